// The operator's clients against a server that answers anything: a request, a stream of lines, a
// WebSocket.
#include <boost/asio/io_context.hpp>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "common/crypto.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/ws_client.h"
#include "operator/kube/transport.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/sockets.h"

namespace understudy {
namespace {

// Reads a request's head, sends the answer, ends the connection. One at a time, on a thread of its
// own.
class Answerer {
 public:
  Answerer() : listener_(fuzz::Listen(&port_)), thread_([this] { Run(); }) { thread_.detach(); }
  uint16_t port() const { return port_; }
  // accept: the answer to a request to become a WebSocket comes first, as it must be.
  void Answer(std::string answer, bool accept) {
    std::lock_guard lock(mutex_);
    answer_ = std::move(answer);
    accept_ = accept;
  }

 private:
  static std::string Accepted(const std::string& request) {
    constexpr std::string_view kName = "Sec-WebSocket-Key: ";
    const size_t at = request.find(kName);
    if (at == std::string::npos) return "";
    const size_t begin = at + kName.size();
    const std::string key = request.substr(begin, request.find("\r\n", begin) - begin) +
                            "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    const std::string hex = crypto::Sha1Hex(key);
    std::string hash;
    for (size_t i = 0; i < hex.size(); i += 2)
      hash.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    return "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "
           "websocket\r\nSec-WebSocket-Accept: " +
           crypto::Base64(hash) + "\r\n\r\n";
  }
  void Run() {
    for (;;) {
      const int fd = accept(listener_, nullptr, nullptr);
      if (fd < 0) continue;
      std::string request;
      char buffer[4096];
      ssize_t n = 1;
      while (n > 0 && request.find("\r\n\r\n") == std::string::npos) {
        n = recv(fd, buffer, sizeof buffer, 0);
        if (n > 0) request.append(buffer, static_cast<size_t>(n));
      }
      std::string answer;
      {
        std::lock_guard lock(mutex_);
        answer = (accept_ ? Accepted(request) : "") + answer_;
      }
      send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
      shutdown(fd, SHUT_WR);
      // By a reset, so that no port waits for a minute.
      const linger now{1, 0};
      while (recv(fd, buffer, sizeof buffer, 0) > 0) {
      }
      setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
      close(fd);
    }
  }

  uint16_t port_ = 0;
  const int listener_;
  std::mutex mutex_;
  std::string answer_;   // mutex_
  bool accept_ = false;  // mutex_
  std::thread thread_;
};

class Lines final : public kube::LineSink {
 public:
  void OnOpen() override {
    CHECK(!open_);
    open_ = true;
  }
  void OnLine(std::string_view line) override {
    CHECK(open_ && line.size() <= 1000 && line.find('\n') == std::string_view::npos);
  }

 private:
  bool open_ = false;
};

struct World {
  World() {
    CHECK(log::Init("fuzz", "error").ok());
    auto made = kube::Credentials::Explicit(
        {.tls = false, .host = "127.0.0.1", .port = answerer.port()}, {}, clock);
    CHECK(made.ok());
    context.emplace(
        kube::TransportContext{.credentials = *made, .clock = clock, .registry = registry});
    streams = kube::MakeBeastStream(*context);
  }

  void Ask() {
    const std::unique_ptr<kube::Transport> transport = kube::MakeBeastTransport(*context);
    const auto response =
        transport->Send({.method = "GET", .path = "/path"}, Deadline::In(clock, Seconds(10)));
    if (response.ok()) CHECK(response->status >= 100 && response->status <= 999);
    CHECK(kube::ParseRetryAfter(response.ok() && response->headers.contains("retry-after")
                                    ? response->headers.at("retry-after")
                                    : "")
              .ns >= 0);
  }
  void Stream() {
    Lines lines;
    const kube::StreamEnd end =
        streams->Stream({.method = "GET", .path = "/path"}, {.max_line_bytes = 1000}, lines, {});
    CHECK(end.cause != kube::StreamEnd::Cause::kStopped &&
          end.cause != kube::StreamEnd::Cause::kSilent);
    CHECK(end.body.size() <= 64 * 1024 && end.retry_after.ns >= 0);
  }
  void WebSocket() {
    boost::asio::io_context io{1};
    bool open = false;
    int ends = 0;
    ws::Handlers handlers;
    handlers.on_open = [&] { open = true; };
    handlers.on_message = [&](std::string_view message) {
      CHECK(open && ends == 0 && message.size() <= 256);
    };
    handlers.on_end = [&](const ws::End& end) {
      CHECK(end.was_open == open);
      ++ends;
    };
    ws::Client::Connect(io, clock,
                        {.address = "127.0.0.1",
                         .port = answerer.port(),
                         .path = "/ws",
                         .connect_timeout = Seconds(10),
                         .max_message_bytes = 256},
                        std::move(handlers));
    io.run();
    CHECK(ends == 1);
  }

  SystemClock clock;
  metrics::Registry registry;
  Answerer answerer;
  std::optional<kube::TransportContext> context;
  std::unique_ptr<kube::StreamTransport> streams;
};

}  // namespace
}  // namespace understudy

// First byte: r, a request; s, a stream; u, a WebSocket's upgrade; w, a WebSocket's frames.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace understudy;
  if (size > 8'000) return -1;
  static World* const world = new World;
  fuzz::Input in(data, size);
  const uint8_t how = in.Byte();
  world->answerer.Answer(std::string(in.Rest()), how == 'w');
  switch (how) {
    case 'r':
      world->Ask();
      break;
    case 's':
      world->Stream();
      break;
    case 'u':
    case 'w':
      world->WebSocket();
      break;
    default:
      return -1;
  }
  return 0;
}
