#include "common/ws_client.h"

#include "common/ws_connection.h"

namespace understudy::ws {

const char* EndCauseName(EndCause cause) {
  switch (cause) {
    case EndCause::kFin:
      return "FIN";
    case EndCause::kReset:
      return "RST";
    case EndCause::kClosed:
      return "closed by the peer";
    case EndCause::kSilent:
      return "silent";
    case EndCause::kRefused:
      return "refused";
    case EndCause::kUnreachable:
      return "unreachable";
    case EndCause::kRejected:
      return "rejected";
    case EndCause::kProtocol:
      return "protocol error";
    case EndCause::kClosedByUs:
      return "closed by this side";
  }
  return "unknown";
}

std::shared_ptr<Client> Client::Connect(boost::asio::io_context& io, const Clock& clock,
                                        Options options, Handlers handlers) {
  auto connection =
      std::make_shared<Connection>(io, clock, std::move(options), std::move(handlers));
  connection->Start();
  return connection;
}

}  // namespace understudy::ws
