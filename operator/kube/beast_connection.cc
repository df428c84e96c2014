#include "operator/kube/beast_connection.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <vector>

namespace understudy::kube {

namespace asio = boost::asio;
namespace http = boost::beast::http;

namespace {
constexpr size_t kReadBytes = 64 * 1024;
}  // namespace

BeastConnection::BeastConnection(Server server, std::shared_ptr<asio::ssl::context> tls)
    : server_(std::move(server)), tls_(std::move(tls)) {
  // Beast reads as much as the buffer has room for, and only 512 bytes into an empty one.
  buffer_.reserve(kReadBytes);
  if (tls_) {
    tls_stream_.emplace(context_, *tls_);
  } else {
    socket_.emplace(context_);
  }
}

void BeastConnection::Abort() {
  resolver_.cancel();
  Error ignored;
  socket().close(ignored);
}

Status BeastConnection::Report(const char* doing, Error error) {
  error_ = error;
  if (!error) return {};
  if (TimedOut()) return Unavailable(server_.Authority() + ": no progress in time while " + doing);
  return Unavailable(server_.Authority() + ": " + error.message() + " while " + doing);
}

void BeastConnection::SetSocketOptions() {
  // Sets an option on a connected socket; none of them is worth failing for.
  const auto set = [fd = socket().native_handle()](int level, int option, int value) {
    (void)setsockopt(fd, level, option, &value, sizeof value);
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 30);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 30'000);
}

Status BeastConnection::Connect(Duration timeout, std::stop_token stop) {
  std::vector<asio::ip::tcp::endpoint> endpoints;
  Error error;
  const auto literal = asio::ip::make_address(server_.host, error);
  const bool is_name = error.failed();
  if (!is_name) {
    endpoints.emplace_back(literal, server_.port);
  } else {
    // getaddrinfo runs in Asio's own thread and can't be interrupted: a stop waits for it.
    asio::ip::tcp::resolver::results_type found;
    error = RunRaw(
        [&](auto handler) {
          resolver_.async_resolve(
              server_.host, std::to_string(server_.port),
              [&found, handler](Error e, asio::ip::tcp::resolver::results_type results) mutable {
                found = std::move(results);
                handler(e);
              });
        },
        timeout, stop);
    RETURN_IF_ERROR(Report("looking up the name", error));
    for (const auto& entry : found) endpoints.push_back(entry.endpoint());
  }
  error =
      RunRaw([&](auto handler) { asio::async_connect(socket(), endpoints, std::move(handler)); },
             timeout, stop);
  RETURN_IF_ERROR(Report("connecting", error));
  SetSocketOptions();
  if (!tls_stream_) return {};
  if (is_name) SSL_set_tlsext_host_name(tls_stream_->native_handle(), server_.host.c_str());
  tls_stream_->set_verify_callback(asio::ssl::host_name_verification(server_.host), error);
  RETURN_IF_ERROR(Report("preparing TLS", error));
  error = RunRaw(
      [&](auto handler) {
        tls_stream_->async_handshake(asio::ssl::stream_base::client, std::move(handler));
      },
      timeout, stop);
  return Report("agreeing on TLS", error);
}

Status BeastConnection::Write(const http::request<http::string_body>& message, Duration timeout,
                              std::stop_token stop) {
  return Report("sending the request",
                Run([&](auto& stream,
                        auto handler) { http::async_write(stream, message, std::move(handler)); },
                    timeout, stop));
}

bool BeastConnection::Stale() {
  if (buffer_.size() != 0 || !socket().is_open()) return true;
  char byte = 0;
  const ssize_t n = ::recv(socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  // Data on an idle plain connection can only be an end or an error; on TLS it may be a session
  // ticket.
  return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) || (n > 0 && !tls_stream_);
}

http::request<http::string_body> BuildMessage(const Request& request, const Server& server,
                                              const std::string& token,
                                              const std::string& user_agent) {
  http::request<http::string_body> message;
  message.version(11);
  message.method_string(request.method);
  message.target(request.path);
  message.set(http::field::host, server.Authority());
  message.set(http::field::user_agent, user_agent);
  message.set(http::field::accept, "application/json");
  if (!token.empty()) message.set(http::field::authorization, "Bearer " + token);
  if (!request.content_type.empty()) message.set(http::field::content_type, request.content_type);
  message.body() = request.body;
  if (!request.body.empty() || (request.method != "GET" && request.method != "HEAD")) {
    message.prepare_payload();
  }
  return message;
}

}  // namespace understudy::kube
