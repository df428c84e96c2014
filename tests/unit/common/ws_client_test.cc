#include "common/ws_client.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdlib>

#include "common/http_server.h"
#include "tests/unit/common/loopback.h"

namespace understudy::ws {
namespace {

// What one end of a channel saw.
struct Side {
  Mailbox<std::string> messages;
  Mailbox<End> ends;
  Mailbox<bool> opens;
  Handlers Handle() {
    return {.on_open = [this] { opens.Put(true); },
            .on_message = [this](std::string_view message) { messages.Put(std::string(message)); },
            .on_end = [this](const End& end) { ends.Put(end); }};
  }
  EndCause Cause() {
    std::optional<End> end = ends.Take();
    if (!end) return EndCause::kSilent;
    message = end->message;
    was_open = end->was_open;
    return end->cause;
  }
  std::string message;
  bool was_open = false;
};

class WsClient : public testing::Test {
 protected:
  void Listen(Options limits = {}) {
    server.emplace(thread.io, clock, http::ServerOptions{.address = "127.0.0.1"});
    server->WebSocket("/echo", limits, [this](const std::shared_ptr<Channel>& channel) {
      channels.Put(channel);
      return there.Handle();
    });
    ASSERT_TRUE(server->Listen().ok());
  }
  std::shared_ptr<Client> Connect(uint16_t port, Options options = {}) {
    options.address = "127.0.0.1";
    options.port = port;
    options.path = "/echo";
    return Client::Connect(thread.io, clock, options, here.Handle());
  }

  void TearDown() override {
    thread.Stop();
    server.reset();
  }

  SystemClock clock;
  Side here, there;
  IoThread thread;
  Mailbox<std::shared_ptr<Channel>> channels;
  std::optional<http::Server> server;
};

TEST_F(WsClient, CarriesBinaryMessagesBothWaysInOrder) {
  Listen();
  auto client = Connect(server->port());
  for (int i = 0; i < 100; ++i)
    client->Send(std::string(1, '\0') + std::to_string(i));  // queued until it is open
  auto channel = channels.Take().value();
  EXPECT_EQ(channel->peer_address(), "127.0.0.1");
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(there.messages.Take(), std::string(1, '\0') + std::to_string(i));
  channel->Send("back");
  EXPECT_EQ(here.messages.Take(), "back");
  EXPECT_TRUE(here.opens.Take().has_value());
  client->Close();
  EXPECT_EQ(here.Cause(), EndCause::kClosedByUs);
  EXPECT_EQ(there.Cause(), EndCause::kFin);
  EXPECT_TRUE(there.was_open);
}

TEST_F(WsClient, AGoodbyeCarriesItsReasonAfterWhatWasQueued) {
  Listen();
  auto client = Connect(server->port());
  auto channel = channels.Take().value();
  channel->Send("last words");
  channel->Goodbye("the signature is not the operator's");
  EXPECT_EQ(here.messages.Take(), "last words");
  EXPECT_EQ(here.Cause(), EndCause::kClosed);
  EXPECT_EQ(here.message, "the signature is not the operator's");
  EXPECT_EQ(there.Cause(), EndCause::kClosedByUs);
}

TEST_F(WsClient, AMessageBeyondTheLimitEndsTheConnection) {
  Listen({.max_message_bytes = 1000});
  auto client = Connect(server->port());
  client->Send(std::string(1001, 'x'));
  EXPECT_EQ(there.Cause(), EndCause::kProtocol);
}

TEST_F(WsClient, QueuesOnlySoMuch) {
  Listen();
  auto client = Connect(server->port(), {.max_queued_bytes = 100});
  client->Send(std::string(101, 'x'));
  EXPECT_EQ(here.Cause(), EndCause::kSilent);
}

TEST_F(WsClient, TellsWhyItCouldNotConnect) {
  Listen();
  const uint16_t port = server->port();
  auto wrong_path = Client::Connect(
      thread.io, clock, {.address = "127.0.0.1", .port = port, .path = "/other"}, here.Handle());
  EXPECT_EQ(here.Cause(), EndCause::kRejected);
  EXPECT_EQ(here.message, "answered HTTP 404");
  auto no_address =
      Client::Connect(thread.io, clock, {.address = "node-1", .port = port}, here.Handle());
  EXPECT_EQ(here.Cause(), EndCause::kUnreachable);
  EXPECT_EQ(here.message, "'node-1' is not an IP address");
  EXPECT_FALSE(here.was_open);
}

TEST_F(WsClient, ARefusalIsToldFromSilence) {
  uint16_t port = 0;
  const int listener = BoundSocket(&port);
  const MonoTime before = clock.Mono();
  auto refused = Connect(port);  // bound, but nobody listens
  std::optional<End> end = here.ends.Take();
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->cause, EndCause::kRefused) << end->message;
  EXPECT_GE(end->begun_at, before);
  ASSERT_EQ(listen(listener, 5), 0);
  auto silent =
      Connect(port, {.connect_timeout = Milliseconds(100)});  // accepted by the kernel only
  EXPECT_EQ(here.Cause(), EndCause::kSilent);
  close(listener);
}

// ---- real processes: what a killed one leaves behind

// A child process with a server that sends "hello" on each channel.
class ChildServer {
 public:
  ChildServer() {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    pid_ = fork();
    if (pid_ == 0) {
      boost::asio::io_context io;
      SystemClock clock;
      http::Server server(io, clock, {.address = "127.0.0.1"});
      server.WebSocket("/echo", {}, [](const std::shared_ptr<Channel>& channel) {
        return Handlers{.on_open = [channel] { channel->Send("hello"); }};
      });
      uint16_t port = server.Listen().ok() ? server.port() : 0;
      if (write(ready[1], &port, sizeof port) != sizeof port) _exit(1);
      io.run();
      _exit(0);
    }
    close(ready[1]);
    EXPECT_EQ(read(ready[0], &port_, sizeof port_), static_cast<ssize_t>(sizeof port_));
    close(ready[0]);
  }
  ~ChildServer() { Kill(); }
  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  uint16_t port() const { return port_; }

 private:
  pid_t pid_ = 0;
  uint16_t port_ = 0;
};

// In a child process: answers one upgrade, then reads nothing, and tells when there is something to
// read.
void ServeOneAndNeverRead(int listener, int tell) {
  const int fd = AcceptWebSocket(listener);
  if (fd < 0) _exit(1);
  pollfd waiting{fd, POLLIN, 0};
  poll(&waiting, 1, -1);
  if (write(tell, "x", 1) != 1) _exit(3);
  for (;;) pause();
}

// Forks, so it starts its thread afterwards.
class KilledProcess : public testing::Test {
 protected:
  SystemClock clock;
  Side here;
};

TEST_F(KilledProcess, EndsALifelineWithFinAndThenRefuses) {
  ChildServer child;
  IoThread thread;
  const Options options{.address = "127.0.0.1", .port = child.port(), .path = "/echo"};
  auto lifeline = Client::Connect(thread.io, clock, options, here.Handle());
  ASSERT_EQ(here.messages.Take(), "hello");
  child.Kill();
  EXPECT_EQ(here.Cause(), EndCause::kFin);
  auto again = Client::Connect(thread.io, clock, options, here.Handle());
  EXPECT_EQ(here.Cause(), EndCause::kRefused);
}

TEST_F(KilledProcess, WithUnreadBytesEndsWithRst) {
  uint16_t port = 0;
  const int listener = BoundSocket(&port);
  ASSERT_EQ(listen(listener, 5), 0);
  int tell[2];
  ASSERT_EQ(pipe(tell), 0);
  const pid_t pid = fork();
  if (pid == 0) ServeOneAndNeverRead(listener, tell[1]);
  close(listener);
  IoThread thread;
  auto client = Client::Connect(
      thread.io, clock, {.address = "127.0.0.1", .port = port, .path = "/echo"}, here.Handle());
  client->Send("unread");
  char byte = 0;
  ASSERT_EQ(read(tell[0], &byte, 1), 1);
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
  EXPECT_EQ(here.Cause(), EndCause::kReset);
  EXPECT_TRUE(here.was_open);
  close(tell[0]);
  close(tell[1]);
}

// An ICMP answer is no refusal, though both are ECONNREFUSED. In a network namespace of its own,
// where a firewall rule answers one port with ICMP.
TEST_F(KilledProcess, AnIcmpAnswerIsNotARefusal) {
  const pid_t pid = fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    constexpr int kSkip = 77;
    if (unshare(CLONE_NEWNET) != 0) _exit(kSkip);
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    ifreq request{};
    std::snprintf(request.ifr_name, sizeof request.ifr_name, "lo");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(fd, SIOCSIFFLAGS, &request) != 0) _exit(kSkip);
    if (std::system("nft 'table ip t { chain c { type filter hook input priority 0; "
                    "tcp dport 7001 reject with icmp port-unreachable; tcp dport 7002 reject with "
                    "tcp reset; }; }' 2>/dev/null") != 0)
      _exit(kSkip);
    EndCause causes[2];
    for (int i = 0; i < 2; ++i) {
      boost::asio::io_context io;
      auto client = Client::Connect(
          io, clock, {.address = "127.0.0.1", .port = static_cast<uint16_t>(7001 + i)},
          {.on_end = [&, i](const End& end) { causes[i] = end.cause; }});
      io.run();
    }
    _exit(causes[0] != EndCause::kUnreachable ? 1 : causes[1] != EndCause::kRefused ? 2 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "needs a network namespace and nft";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace understudy::ws
