#include "common/ws_connection.h"

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/post.hpp>
#include <cstring>
#include <utility>

namespace understudy::ws {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using boost::system::error_code;
using tcp = asio::ip::tcp;

constexpr auto kHandshakeTimeout = std::chrono::seconds(5);  // also of the closing handshake
constexpr size_t kMaxReasonBytes = 120;                      // a close frame holds 123

void SetInt(int fd, int level, int name, int value) {
  setsockopt(fd, level, name, &value, sizeof value);
}

// While connecting, ICMP errors are put into the socket's error queue too. Not afterwards: they
// would end an open connection for a router's passing trouble.
void SetErrorQueue(int fd, bool v6, bool on) {
  SetInt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVERR : IP_RECVERR, on ? 1 : 0);
}

bool ErrorCameByIcmp(int fd) {
  char control[512];
  char data[256];
  iovec io{data, sizeof data};
  sockaddr_storage from{};
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = &io;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return false;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    const bool v4 = part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_RECVERR;
    const bool v6 = part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_RECVERR;
    if (!v4 && !v6) continue;
    sock_extended_err error{};
    std::memcpy(&error, CMSG_DATA(part), sizeof error);
    if (error.ee_origin == SO_EE_ORIGIN_ICMP || error.ee_origin == SO_EE_ORIGIN_ICMP6) return true;
  }
  return false;
}

EndCause ReadCause(error_code e) {
  if (e == asio::error::eof) return EndCause::kFin;
  if (e == beast::websocket::error::closed) return EndCause::kClosed;
  if (e == asio::error::connection_reset || e == asio::error::broken_pipe) return EndCause::kReset;
  if (e == asio::error::timed_out || e == beast::error::timeout) return EndCause::kSilent;
  if (e == asio::error::host_unreachable || e == asio::error::network_unreachable)
    return EndCause::kSilent;
  return EndCause::kProtocol;
}

}  // namespace

Connection::Connection(asio::io_context& io, const Clock& clock, Options options, Handlers handlers)
    : stream_(asio::make_strand(io)),
      options_(std::move(options)),
      begun_at_(clock.Mono()),
      handlers_(std::move(handlers)) {}

Connection::Connection(beast::tcp_stream stream, const Clock& clock, Options options,
                       std::string peer_address)
    : stream_(std::move(stream)), options_(std::move(options)), begun_at_(clock.Mono()) {
  options_.address = std::move(peer_address);
}

// ---- the client's start

void Connection::Start() {
  asio::post(stream_.get_executor(), [pending = Pending(shared_from_this())]() mutable {
    pending.Take()->DoConnect();
  });
}

void Connection::DoConnect() {
  if (ended_) return;
  error_code error;
  const auto address = asio::ip::make_address(options_.address, error);
  if (error)
    return Finish(EndCause::kUnreachable, "'" + options_.address + "' is not an IP address");
  const tcp::endpoint endpoint(address, options_.port);
  socket().open(endpoint.protocol(), error);
  if (error) return Finish(EndCause::kUnreachable, "socket: " + error.message());
  SetErrorQueue(socket().native_handle(), address.is_v6(), true);
  auto& stream = beast::get_lowest_layer(stream_);
  stream.expires_after(std::chrono::nanoseconds(options_.connect_timeout.ns));
  stream.async_connect(endpoint, [pending = Pending(shared_from_this()),
                                  v6 = address.is_v6()](error_code e) mutable {
    const auto self = pending.Take();
    if (e) return self->Finish(self->ConnectCause(e), "connect: " + e.message());
    if (self->ended_) return;
    SetErrorQueue(self->socket().native_handle(), v6, false);
    self->OnConnected();
  });
}

EndCause Connection::ConnectCause(error_code e) {
  if (e == asio::error::connection_refused)
    return ErrorCameByIcmp(socket().native_handle()) ? EndCause::kUnreachable : EndCause::kRefused;
  if (e == beast::error::timeout || e == asio::error::timed_out) return EndCause::kSilent;
  return EndCause::kUnreachable;
}

void Connection::OnConnected() {
  SetOptions();
  const std::string host = options_.address.find(':') == std::string::npos
                               ? options_.address
                               : "[" + options_.address + "]";
  stream_.async_handshake(response_, host + ":" + std::to_string(options_.port), options_.path,
                          [pending = Pending(shared_from_this())](error_code e) mutable {
                            pending.Take()->OnUpgraded(e);
                          });
}

void Connection::OnUpgraded(error_code e) {
  if (e == beast::websocket::error::upgrade_declined)
    return Finish(EndCause::kRejected, "answered HTTP " + std::to_string(response_.result_int()));
  // The process that accepted ended before it answered: no evidence, it may be another one by now.
  if (e == beast::error::timeout) return Finish(EndCause::kSilent, "no answer to the upgrade");
  if (e) return Finish(EndCause::kRejected, "upgrade: " + e.message());
  response_ = {};
  OnOpen();
}

// ---- the server's start

void Connection::Accept(Request request, Handlers handlers) {
  asio::post(stream_.get_executor(), [self = shared_from_this(), request = std::move(request),
                                      handlers = std::move(handlers)]() mutable {
    if (self->ended_) return;
    self->handlers_ = std::move(handlers);
    self->request_ = std::move(request);
    self->SetOptions();
    self->stream_.async_accept(self->request_, [pending = Pending(self)](error_code e) mutable {
      const auto self = pending.Take();
      if (e) return self->Finish(EndCause::kProtocol, "upgrade: " + e.message());
      self->request_ = {};
      self->OnOpen();
    });
  });
}

// ---- both

void Connection::SetOptions() {
  error_code ignored;
  socket().set_option(tcp::no_delay(true), ignored);
  const int fd = socket().native_handle();
  SetInt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(options_.unacknowledged_timeout.ms()));
  SetInt(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  SetInt(fd, IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(options_.keepalive.ms() / 1000));
  SetInt(fd, IPPROTO_TCP, TCP_KEEPINTVL, 5);
  // No pings of ours: on a lifeline nothing may be sent to the peer (a pong would be, over there).
  stream_.set_option(beast::websocket::stream_base::timeout{
      kHandshakeTimeout, beast::websocket::stream_base::none(), false});
  stream_.binary(true);
  stream_.read_message_max(options_.max_message_bytes);
}

void Connection::OnOpen() {
  beast::get_lowest_layer(stream_).expires_never();
  if (ended_) return;
  open_ = true;
  if (handlers_.on_open) handlers_.on_open();
  Read();
  Write();
}

void Connection::Read() {
  if (ended_) return;
  stream_.async_read(buffer_, [pending = Pending(shared_from_this())](error_code e, size_t) mutable {
    const auto self = pending.Take();
    if (e) {
      const EndCause cause = ReadCause(e);
      if (cause == EndCause::kClosed) {
        const auto& reason = self->stream_.reason().reason;
        return self->Finish(self->closing_ ? EndCause::kClosedByUs : cause,
                            std::string(reason.data(), reason.size()));
      }
      return self->Finish(cause, e.message());
    }
    const auto data = self->buffer_.cdata();
    if (!self->ended_ && !self->closing_ && self->handlers_.on_message)
      self->handlers_.on_message({static_cast<const char*>(data.data()), data.size()});
    self->buffer_.consume(data.size());
    self->Read();
  });
}

void Connection::Send(std::string message) {
  asio::post(stream_.get_executor(),
             [self = shared_from_this(), message = std::move(message)]() mutable {
               if (self->ended_ || self->goodbye_) return;
               self->queued_bytes_ += message.size();
               self->queue_.push_back(std::move(message));
               if (self->queued_bytes_ > self->options_.max_queued_bytes)
                 return self->Finish(EndCause::kSilent, "the peer reads too slowly");
               self->Write();
             });
}

void Connection::Write() {
  if (!open_ || ended_ || writing_) return;
  if (queue_.empty()) {
    if (!goodbye_ || closing_) return;
    closing_ = true;
    beast::websocket::close_reason reason(beast::websocket::close_code::normal);
    reason.reason =
        beast::string_view(goodbye_->data(), std::min(goodbye_->size(), kMaxReasonBytes));
    stream_.async_close(reason, [self = shared_from_this()](error_code) {
      self->Finish(EndCause::kClosedByUs, "said goodbye");
    });
    return;
  }
  writing_ = true;
  stream_.async_write(asio::buffer(queue_.front()),
                      [self = shared_from_this()](error_code e, size_t) {
                        self->writing_ = false;
                        // The read that is pending tells why; it may have a FIN or an RST still to
                        // report.
                        if (e) return;
                        self->queued_bytes_ -= self->queue_.front().size();
                        self->queue_.pop_front();
                        self->Write();
                      });
}

void Connection::Goodbye(std::string reason) {
  asio::post(stream_.get_executor(),
             [self = shared_from_this(), reason = std::move(reason)]() mutable {
               if (self->ended_ || self->goodbye_) return;
               self->goodbye_ = std::move(reason);
               self->Write();
             });
}

void Connection::Close() {
  asio::post(stream_.get_executor(), [self = shared_from_this()] {
    self->Finish(EndCause::kClosedByUs, "closed by this side");
  });
}

void Connection::Finish(EndCause cause, std::string message) {
  if (ended_) return;
  ended_ = true;
  beast::get_lowest_layer(stream_).close();
  // Handlers may hold what holds this connection: they go before anything else can happen.
  const Handlers handlers = std::move(handlers_);
  handlers_ = {};
  if (handlers.on_end) handlers.on_end({cause, std::move(message), begun_at_, open_});
}

}  // namespace understudy::ws
