#include "common/http_server.h"

#include "tests/unit/common/loopback.h"

namespace understudy::http {
namespace {

class HttpServer : public testing::Test {
 protected:
  void Listen(ServerOptions options = {}) {
    server.emplace(thread.io, clock, std::move(options));
    server->Get("/hello", [](const Request& request) {
      return Response{200, "text/plain",
                      "hello " + request.query + " from " + request.peer_address};
    });
    server->Get("/sick", [](const Request&) { return Response{503, "text/plain", "sick"}; });
    server->WebSocket("/ws", {},
                      [](const std::shared_ptr<ws::Channel>&) { return ws::Handlers{}; });
    const Status status = server->Listen();
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  std::string Ask(std::string_view request) {
    PlainSocket socket(server->port());
    socket.Send(request);
    return socket.ReadAll();
  }
  static std::string Get(const std::string& path) {
    return "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  }
  static std::string Upgrade(const std::string& path) {
    return "GET " + path +
           " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
  }

  void TearDown() override {
    thread.Stop();
    server.reset();
  }

  SystemClock clock;
  IoThread thread;
  std::optional<Server> server;
};

TEST_F(HttpServer, AnswersItsRoutes) {
  Listen();
  const std::string answer = Ask(Get("/hello?a=b"));
  EXPECT_EQ(answer.substr(0, 15), "HTTP/1.1 200 OK");
  EXPECT_NE(answer.find("hello a=b from 127.0.0.1"), std::string::npos) << answer;
  EXPECT_EQ(Ask(Get("/sick")).substr(0, 12), "HTTP/1.1 503");
  EXPECT_NE(Ask(Get("/nowhere")).find("404 Not Found"), std::string::npos);
  EXPECT_EQ(Ask(Get("/ws")).substr(0, 12), "HTTP/1.1 426");
}

TEST_F(HttpServer, KeepsConnectionsForFurtherAndPipelinedRequests) {
  Listen();
  PlainSocket socket(server->port());
  socket.Send("GET /hello?1 HTTP/1.1\r\nHost: x\r\n\r\n");
  socket.ReadUntil("hello 1");
  socket.Send("GET /hello?2 HTTP/1.1\r\nHost: x\r\n\r\n" + Get("/hello?3"));
  const std::string rest = socket.ReadAll();
  EXPECT_NE(rest.find("hello 2"), std::string::npos);
  EXPECT_NE(rest.find("hello 3"), std::string::npos);
}

TEST_F(HttpServer, RefusesWhatItDoesNotUnderstandWithOneClearAnswer) {
  Listen();
  EXPECT_EQ(Ask("nonsense\r\n\r\n").substr(0, 12), "HTTP/1.1 400");
  EXPECT_EQ(Ask("*1\r\n$4\r\nPING\r\n").substr(0, 12), "HTTP/1.1 400");
  EXPECT_EQ(Ask(std::string(3000, '\0')).substr(0, 12), "HTTP/1.1 400");
  const std::string post = Ask("POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi");
  EXPECT_EQ(post.substr(0, 12), "HTTP/1.1 405");
  EXPECT_NE(post.find("Allow: GET"), std::string::npos);
  EXPECT_EQ(Ask("POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n").substr(0, 12),
            "HTTP/1.1 413");
  const std::string large =
      Ask("GET /hello HTTP/1.1\r\nHost: x\r\nX-Large: " + std::string(9000, 'x'));
  EXPECT_EQ(large.substr(0, 12), "HTTP/1.1 431");
  EXPECT_NE(large.find("the header is larger than 8192 bytes"), std::string::npos);
}

TEST_F(HttpServer, EndsASlowRequest) {
  Listen({.request_timeout = Milliseconds(100)});
  PlainSocket socket(server->port());
  socket.Send("GET /hello HT");
  EXPECT_EQ(socket.ReadAll(), "");  // closed by the server, without an answer
}

TEST_F(HttpServer, ConnectionsBeyondTheLimitPushOutTheOneIdleLongest) {
  Listen({.max_connections = 8});
  std::deque<PlainSocket> idle;
  for (int i = 0; i < 40; ++i) {
    idle.emplace_back(server->port());
    ASSERT_TRUE(idle.back().connected());
  }
  EXPECT_EQ(Ask(Get("/hello")).substr(0, 15), "HTTP/1.1 200 OK");
  for (int i = 0; i < 30; ++i) EXPECT_EQ(idle[static_cast<size_t>(i)].ReadAll(), "");
  idle.back().Send(Get("/hello"));
  EXPECT_EQ(idle.back().ReadAll().substr(0, 15), "HTTP/1.1 200 OK");
}

TEST_F(HttpServer, WebSocketsBeyondTheLimitAreRefused) {
  Listen({.max_web_sockets = 2});
  PlainSocket a(server->port());
  a.Send(Upgrade("/ws"));
  EXPECT_EQ(a.ReadUntil("\r\n\r\n").substr(0, 12), "HTTP/1.1 101");
  {
    PlainSocket b(server->port());
    b.Send(Upgrade("/ws"));
    EXPECT_EQ(b.ReadUntil("\r\n\r\n").substr(0, 12), "HTTP/1.1 101");
    EXPECT_EQ(Ask(Upgrade("/ws")).substr(0, 12), "HTTP/1.1 503");
  }
  EXPECT_EQ(Ask(Upgrade("/hello")).substr(0, 12), "HTTP/1.1 404");
  // A place is free again once the server has seen b's end.
  std::string answer;
  for (int i = 0; i < 1000 && answer.substr(0, 12) != "HTTP/1.1 101"; ++i) {
    PlainSocket c(server->port());
    c.Send(Upgrade("/ws"));
    answer = c.ReadUntil("\r\n\r\n");
  }
  EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 101");
}

TEST_F(HttpServer, SaysThatAPortIsTaken) {
  Listen();
  Server second(thread.io, clock, {.port = server->port()});
  const Status status = second.Listen();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.message(), "can't bind to :: port " + std::to_string(server->port()) +
                                  ": another process has this port");
  Server local(thread.io, clock, {.address = "127.0.0.1", .port = server->port()});
  EXPECT_FALSE(local.Listen().ok());
  EXPECT_EQ(Server(thread.io, clock, {.address = "localhost"}).Listen().message(),
            "'localhost' is not an IP address");
}

TEST_F(HttpServer, CloseEndsTheListenerAndTheConnections) {
  Listen();
  PlainSocket socket(server->port());
  socket.Send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  socket.ReadUntil("hello");
  server->Close();
  EXPECT_EQ(socket.ReadAll(), "");
}

}  // namespace
}  // namespace understudy::http
