// A small HTTP server on somebody's io_context: GET routes for probes, metrics and status, and
// WebSocket routes. For admin ports: few connections, small answers made at once.
//
// Bounds: header bytes, time to send a request, idle time, connections. Plain HTTP connections
// beyond the limit push out the one that has been idle longest, so that nobody can lock probes out
// by connecting; WebSockets beyond theirs are answered 503. A malformed request gets one clear
// answer and a close.
//
// Threads: one strand a connection. Route handlers are called on the connection's strand, so with a
// single thread running the io_context they need no locks. Listen() binds without SO_REUSEPORT: a
// second process on the same port fails, which FAILOVER.md section 3 relies on. The listener stays
// open until Close().
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/clock.h"
#include "common/result.h"
#include "common/ws_client.h"

namespace understudy::http {

struct Request {
  std::string path;          // "/v1/status"
  std::string query;         // after the '?'
  std::string peer_address;  // "10.0.0.7"
};

struct Response {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

struct ServerOptions {
  std::string address;           // literal IP; empty = all, IPv4 and IPv6
  uint16_t port = 0;             // 0 = any free one
  size_t max_connections = 256;  // plain HTTP
  size_t max_web_sockets = 1024;
  uint32_t max_header_bytes = 8192;
  Duration request_timeout =
      Seconds(5);                       // from connecting to the end of the first request's header
  Duration idle_timeout = Seconds(60);  // between requests
};

class Server {
 public:
  using Handler = std::function<Response(const Request&)>;
  // Given a channel whose upgrade was not yet answered; returns what happens on it. `channel` may
  // be kept.
  using UpgradeHandler = std::function<ws::Handlers(const std::shared_ptr<ws::Channel>& channel)>;

  // io and clock must outlive the server and the io_context's last run.
  Server(boost::asio::io_context& io, const Clock& clock, ServerOptions options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Before Listen().
  void Get(std::string path, Handler handler);
  // `options`: the limits of ws::Options; its address, port, path and connect_timeout are not used.
  void WebSocket(std::string path, ws::Options options, UpgradeHandler handler);

  // kUnavailable with a sentence for people: port taken, address not local, not allowed.
  Status Listen();
  uint16_t port() const;  // after Listen()
  // Stops listening and ends the plain HTTP connections. WebSockets belong to whoever was given
  // them.
  void Close();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace understudy::http
