#include <algorithm>
#include <cctype>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "operator/kube/beast_connection.h"
#include "operator/kube/tls_context.h"
#include "operator/kube/transport.h"

namespace understudy::kube {
namespace {

namespace http = boost::beast::http;

constexpr uint64_t kMaxBodyBytes = 64 << 20;

class BeastTransport final : public Transport {
 public:
  explicit BeastTransport(TransportContext context)
      : context_(std::move(context)), counter_(context_.registry) {}

  Result<Response> Send(const Request& request, Deadline deadline) override {
    if (!TakeTurn(deadline)) {
      return Unavailable("the connection to the API server was busy until the deadline");
    }
    auto answer = SendInTurn(request, deadline);
    std::lock_guard lock(mutex_);
    busy_ = false;
    free_.notify_one();
    return answer;
  }

 private:
  Duration Left(Deadline deadline) const { return deadline.Left(context_.clock.Mono()); }

  bool TakeTurn(Deadline deadline) {
    std::unique_lock lock(mutex_);
    const auto left = std::chrono::nanoseconds(Left(deadline).ns);
    if (!free_.wait_for(lock, left, [&] { return !busy_; })) return false;
    busy_ = true;
    return true;
  }

  Result<Response> SendInTurn(const Request& request, Deadline deadline) {
    const std::string token = context_.credentials->Token();
    auto answer = Exchange(request, token, deadline);
    if (answer.ok() && answer->status == 401 && context_.credentials->TokenRefused(token)) {
      answer = Exchange(request, context_.credentials->Token(), deadline);
    }
    return answer;
  }

  Result<Response> Exchange(const Request& request, const std::string& token, Deadline deadline) {
    if (connection_ && connection_->Stale()) connection_.reset();
    const bool reused = connection_ != nullptr;
    auto answer = Once(request, token, deadline);
    // The server may close a kept connection just when it is used; all requests are repeatable.
    if (!answer.ok() && reused && Left(deadline).ns > 0) answer = Once(request, token, deadline);
    counter_.Count(request.method, answer.ok() ? answer->status : 0);
    return answer;
  }

  Result<Response> Once(const Request& request, const std::string& token, Deadline deadline) {
    auto connection = std::move(connection_);
    const Server& server = context_.credentials->server();
    if (!connection) {
      auto tls = tls_.Get(*context_.credentials);
      if (!tls.ok()) return tls.status();
      connection = std::make_unique<BeastConnection>(server, *tls);
      RETURN_IF_ERROR(connection->Connect(Left(deadline), {}));
    }
    RETURN_IF_ERROR(connection->Write(BuildMessage(request, server, token, context_.user_agent),
                                      Left(deadline), {}));
    http::response_parser<http::string_body> parser;
    parser.body_limit(kMaxBodyBytes);
    parser.header_limit(64 * 1024);
    RETURN_IF_ERROR(connection->Read(parser, Left(deadline), {}));
    Response response;
    response.status = static_cast<int>(parser.get().result_int());
    for (const auto& field : parser.get()) {
      std::string name(field.name_string());
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return std::tolower(c); });
      response.headers[name] = std::string(field.value());
    }
    if (parser.get().keep_alive()) connection_ = std::move(connection);
    response.body = std::move(parser.get().body());
    return response;
  }

  const TransportContext context_;
  RequestCounter counter_;
  TlsContextCache tls_;
  std::mutex mutex_;
  std::condition_variable free_;
  bool busy_ = false;                            // mutex_
  std::unique_ptr<BeastConnection> connection_;  // whoever made it busy; null: none kept
};

}  // namespace

std::unique_ptr<Transport> MakeBeastTransport(TransportContext context) {
  return std::make_unique<BeastTransport>(std::move(context));
}

}  // namespace understudy::kube
