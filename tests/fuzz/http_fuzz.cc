// The admin port's HTTP and WebSocket server: whatever comes, it answers with something that is
// HTTP, and ends the connection once the other side has.
#include "common/http_server.h"
#include "common/log.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/sockets.h"

namespace understudy::http {
namespace {

class World {
 public:
  World() : server_(io_, clock_, {.address = "127.0.0.1"}) {
    CHECK(log::Init("fuzz", "error").ok());
    server_.Get("/hello", [](const Request& request) {
      return Response{200, "text/plain", "hello " + request.query};
    });
    server_.WebSocket("/ws", {.max_message_bytes = 256},
                      [](const std::shared_ptr<ws::Channel>& channel) {
                        ws::Handlers handlers;
                        handlers.on_message = [channel](std::string_view message) {
                          CHECK(message.size() <= 256);
                          if (message == "bye") return channel->Goodbye("bye");
                          channel->Send(std::string(message));
                        };
                        return handlers;
                      });
    CHECK(server_.Listen().ok());
  }

  std::string Ask(std::string_view first, std::string_view second) {
    fuzz::Client client(server_.port());
    std::string answer;
    client.Send(first);
    if (!second.empty()) {
      io_.poll();
      client.Send(second);
    }
    client.EndWrite();
    while (client.Receive(&answer)) {
      io_.poll();
      io_.restart();
    }
    io_.poll();
    return answer;
  }

 private:
  SystemClock clock_;
  boost::asio::io_context io_{1};
  Server server_;
};

}  // namespace
}  // namespace understudy::http

// First byte: where the input is cut in two. A "W" at the beginning of what follows stands for a
// request to become a WebSocket.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace understudy;
  if (size > 16'000) return -1;
  static http::World* const world = new http::World;
  fuzz::Input in(data, size);
  const size_t cut = in.Byte();
  std::string bytes(in.Rest());
  const bool web_socket = bytes.starts_with('W');
  if (web_socket) {
    bytes.replace(
        0, 1,
        "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
  }
  const std::string answer =
      world->Ask(std::string_view(bytes).substr(0, cut),
                 std::string_view(bytes).substr(std::min(cut, bytes.size())));
  CHECK(answer.empty() || answer.starts_with("HTTP/1."));
  CHECK(!web_socket || answer.starts_with("HTTP/1.1 101"));
  return 0;
}
