// One client connection to the API server, plain or TLS, written as straight-line code: each step
// starts an asynchronous operation on a private io_context and runs that until the operation ended,
// its time is over or a stop token fired. So a blocked thread can be woken in any phase, without a
// thread pool.
//
// Owned and used by one thread at a time; another one only requests the stop.
#pragma once

// clang-format off
// Must come first: Boost 1.74's awaitable.hpp, included by Asio, uses std::exchange without it.
#include <utility>
// clang-format on

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "common/clock.h"
#include "common/result.h"
#include "operator/kube/transport.h"

namespace understudy::kube {

class BeastConnection {
 public:
  using Error = boost::system::error_code;

  BeastConnection(Server server, std::shared_ptr<boost::asio::ssl::context> tls);
  BeastConnection(const BeastConnection&) = delete;
  BeastConnection& operator=(const BeastConnection&) = delete;

  // Name, TCP and TLS, each within `timeout`. `error()` tells refused from other failures.
  Status Connect(Duration timeout, std::stop_token stop);
  Status Write(const boost::beast::http::request<boost::beast::http::string_body>& message,
               Duration timeout, std::stop_token stop);
  template <typename Parser>
  Status ReadHeader(Parser& parser, Duration timeout, std::stop_token stop) {
    return Report("reading the answer", Run(
                                            [&](auto& stream, auto handler) {
                                              boost::beast::http::async_read_header(
                                                  stream, buffer_, parser, std::move(handler));
                                            },
                                            timeout, stop));
  }
  // What has arrived; need_buffer is no error.
  template <typename Parser>
  Status ReadSome(Parser& parser, Duration timeout, std::stop_token stop) {
    Error error = Run(
        [&](auto& stream, auto handler) {
          boost::beast::http::async_read_some(stream, buffer_, parser, std::move(handler));
        },
        timeout, stop);
    if (error == boost::beast::http::error::need_buffer) error = {};
    return Report("reading the answer", error);
  }
  template <typename Parser>
  Status Read(Parser& parser, Duration timeout, std::stop_token stop) {
    return Report("reading the answer", Run(
                                            [&](auto& stream, auto handler) {
                                              boost::beast::http::async_read(
                                                  stream, buffer_, parser, std::move(handler));
                                            },
                                            timeout, stop));
  }

  // Of the last operation.
  const Error& error() const { return error_; }
  bool TimedOut() const { return error_ == boost::asio::error::timed_out; }
  bool Refused() const { return error_ == boost::asio::error::connection_refused; }
  // Bytes read beyond the last message, or an end of stream: the connection can't be used again.
  bool Stale();

 private:
  using Socket = boost::asio::ip::tcp::socket;
  using TlsStream = boost::asio::ssl::stream<Socket>;

  Socket& socket() { return tls_stream_ ? tls_stream_->next_layer() : *socket_; }
  void Abort();
  Status Report(const char* doing, Error error);
  void SetSocketOptions();

  // Starts an operation by start(stream, handler) and runs it to its end.
  template <typename Start>
  Error Run(Start start, Duration timeout, std::stop_token stop) {
    return RunRaw(
        [&](auto handler) {
          if (tls_stream_) {
            start(*tls_stream_, std::move(handler));
          } else {
            start(*socket_, std::move(handler));
          }
        },
        timeout, stop);
  }
  template <typename Start>
  Error RunRaw(Start start, Duration timeout, std::stop_token stop) {
    if (stop.stop_requested()) return boost::asio::error::operation_aborted;
    std::optional<Error> result;
    context_.restart();
    start([&result](Error error, auto&&...) { result = error; });
    std::stop_callback on_stop(stop, [this] { boost::asio::post(context_, [this] { Abort(); }); });
    const auto until = std::chrono::steady_clock::now() + std::chrono::nanoseconds(timeout.ns);
    bool timed_out = false;
    while (!result) {
      if (context_.run_one_until(until) == 0 && !result) {
        timed_out = true;
        Abort();
        context_.restart();
        while (!result) context_.run_one();
      }
    }
    if (stop.stop_requested() && *result) return boost::asio::error::operation_aborted;
    return timed_out && *result ? Error(boost::asio::error::timed_out) : *result;
  }

  const Server server_;
  const std::shared_ptr<boost::asio::ssl::context> tls_;
  boost::asio::io_context context_{1};
  boost::asio::ip::tcp::resolver resolver_{context_};
  std::optional<Socket> socket_;
  std::optional<TlsStream> tls_stream_;
  boost::beast::flat_buffer buffer_;
  Error error_;
};

// The request as Beast writes it: Host, Authorization, User-Agent, Accept and the body.
boost::beast::http::request<boost::beast::http::string_body> BuildMessage(
    const Request& request, const Server& server, const std::string& token,
    const std::string& user_agent);

}  // namespace understudy::kube
