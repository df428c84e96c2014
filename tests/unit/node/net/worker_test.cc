// A real worker on loopback with a handler that knows a few words:
//   ECHO x          x as a bulk string           BIG n      a bulk string of n bytes
//   PARK            stops this connection        RETRY      as PARK, and runs again when woken
//   WRITE           marks the output as a write  HOLD t     the reply waits for ticket t
//   DETACH          hands the socket over        BYE        answers and closes
#include "node/net/worker.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <future>

#include "node/net/listener.h"
#include "node/resp/writer.h"
#include "tests/support/resp_client.h"

namespace understudy::net {
namespace {

using test::EncodeCommand;
using test::RespClient;

class WordHandler final : public Handler, public ConnectionState {
 public:
  void OnOpen(Connection& connection) override {
    connection.set_state(std::make_unique<ConnectionState>());
    ++opened;
  }
  void OnClose(Connection&) override { ++closed; }
  void OnBatch(Worker& worker, const Batch& batch, std::span<uint32_t> executed) override {
    ++batches;
    largest_batch = std::max<size_t>(largest_batch, batch.segments.size());
    for (size_t i = 0; i < batch.segments.size(); ++i) {
      const Segment& segment = batch.segments[i];
      resp::Writer reply(worker.OpenOutput(*segment.connection), 2);
      uint32_t done = 0;
      while (done < segment.commands && segment.connection->accepts_commands()) {
        Run(*segment.connection, batch.Arguments(batch.commands[segment.first_command + done]), reply);
        if (segment.connection->TakeRepeat()) break;
        ++done;
        if (worker.output_full()) break;
      }
      executed[i] = done;
    }
  }
  bool MayFlush(Connection&, MonoTime) override { return may_flush; }
  uint64_t ReleasedTicket() override { return released; }
  void OnTick(Worker&) override {}
  void OnTurnEnd(Worker&) override {}

  std::atomic<int> opened{0}, closed{0}, batches{0};
  std::atomic<size_t> largest_batch{0};
  std::atomic<bool> may_flush{true}, retry{true};
  std::atomic<uint64_t> released{0}, last_parked{0};
  std::promise<std::pair<int, std::string>> detached;

 private:
  void Run(Connection& connection, std::span<const std::string_view> args, resp::Writer& reply) {
    const std::string_view word = args[0];
    if (word == "ECHO") return reply.Bulk(args[1]);
    if (word == "BIG") return reply.Bulk(std::string(std::stoul(std::string(args[1])), 'b'));
    if (word == "PARK") {
      connection.Park();
      last_parked = connection.id();
      return;
    }
    if (word == "RETRY") {
      if (!retry) return reply.SimpleString("retried");
      connection.ParkBefore();
      last_parked = connection.id();
      return;
    }
    if (word == "WRITE") {
      reply.SimpleString("written");
      return connection.MarkWrote(1);
    }
    if (word == "HOLD") {
      const Connection::Position from = connection.position();
      reply.SimpleString("held");
      return connection.HoldFrom(from, std::stoul(std::string(args[1])));
    }
    if (word == "DETACH") {
      reply.SimpleString("going");
      return connection.Detach([this](int fd, std::string input) { detached.set_value({fd, std::move(input)}); });
    }
    if (word == "BYE") {
      reply.SimpleString("bye");
      return connection.CloseAfterFlush();
    }
    reply.Error("ERR unknown word");
  }
};

class WorkerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<int> fd = Listen("127.0.0.1", 0, 128);
    ASSERT_TRUE(fd.ok());
    port_ = LocalPort(*fd);
    worker_ = std::make_unique<Worker>(Worker::Options{0, {*fd}}, handler_, settings_, totals_, clock_);
    worker_->Start();
  }
  void TearDown() override { worker_.reset(); }

  // Waits until a condition that another thread makes true holds.
  template <typename F>
  bool Eventually(F condition) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::yield();
    }
    return true;
  }

  SystemClock clock_;
  Settings settings_;
  Totals totals_;
  WordHandler handler_;
  std::unique_ptr<Worker> worker_;
  uint16_t port_ = 0;
};

TEST_F(WorkerTest, AnswersInTheOrderOfThePipeline) {
  RespClient client(port_);
  std::string input;
  for (int i = 0; i < 1000; ++i) input += EncodeCommand({"ECHO", std::to_string(i)});
  client.SendRaw(input);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(client.Read(), "\"" + std::to_string(i) + "\"");
}

TEST_F(WorkerTest, AHugePipelineThatIsReadOnlyAfterwardsIsAnsweredInFull) {
  RespClient client(port_);
  constexpr int kCommands = 200'000;
  std::string input;
  for (int i = 0; i < kCommands; ++i) input += EncodeCommand({"ECHO", "value-" + std::to_string(i)});
  // Nothing is read before all is sent: a server that stopped reading meanwhile would stop this for ever.
  client.SendRaw(input);
  for (int i = 0; i < kCommands; ++i) ASSERT_EQ(client.Read(), "\"value-" + std::to_string(i) + "\"");
}

TEST_F(WorkerTest, OneDeepPipelineDoesNotStarveOthers) {
  RespClient deep(port_), other(port_);
  std::string input;
  for (int i = 0; i < 300'000; ++i) input += EncodeCommand({"ECHO", "x"});
  std::thread sender([&] { deep.SendRaw(input); });
  // Answered while the other's pipeline is still being worked on: each of these takes one turn.
  for (int i = 0; i < 50; ++i) ASSERT_EQ(other.Do("ECHO y"), "\"y\"");
  for (int i = 0; i < 300'000; ++i) ASSERT_EQ(deep.Read(), "\"x\"");
  sender.join();
}

TEST_F(WorkerTest, LargeRepliesReachASlowReaderWhole) {
  RespClient client(port_);
  std::string input;
  for (int i = 0; i < 40; ++i) input += EncodeCommand({"BIG", "1000003"}) + EncodeCommand({"ECHO", std::to_string(i)});
  client.SendRaw(input);
  for (int i = 0; i < 40; ++i) {
    ASSERT_EQ(client.Read().size(), 1000003u + 2);
    ASSERT_EQ(client.Read(), "\"" + std::to_string(i) + "\"");
  }
  EXPECT_TRUE(Eventually([&] { return totals_.output_bytes.load() > 40'000'000; }));
}

TEST_F(WorkerTest, ALargeArgumentArrivesInPieces) {
  RespClient client(port_);
  std::string value(5'000'000, 'v');
  for (size_t i = 0; i < value.size(); i += 4099) value[i] = '\n';
  const std::string command = EncodeCommand({"ECHO", value}) + EncodeCommand({"ECHO", "after"});
  std::thread sender([&] {
    for (size_t i = 0; i < command.size(); i += 70'001) client.SendRaw(std::string_view(command).substr(i, 70'001));
  });
  EXPECT_EQ(client.Read(), "\"" + value + "\"");
  EXPECT_EQ(client.Read(), "\"after\"");
  sender.join();
}

TEST_F(WorkerTest, AHalfClosedClientGetsItsAnswersThenTheEnd) {
  RespClient client(port_);
  client.SendRaw(EncodeCommand({"ECHO", "a"}) + EncodeCommand({"ECHO", "b"}));
  client.ShutdownWrite();
  EXPECT_EQ(client.ReadRawUntilClosed(), "$1\r\na\r\n$1\r\nb\r\n");
  EXPECT_TRUE(Eventually([&] { return handler_.closed == 1 && totals_.connections == 0; }));
}

TEST_F(WorkerTest, AProtocolErrorComesAfterTheAnswersBeforeItAndEndsTheConnection) {
  RespClient client(port_);
  client.SendRaw(EncodeCommand({"ECHO", "a"}) + "*1\r\n:5\r\n" + EncodeCommand({"ECHO", "never"}));
  EXPECT_EQ(client.ReadRawUntilClosed(), "$1\r\na\r\n-ERR Protocol error: expected '$', got ':'\r\n");
}

TEST_F(WorkerTest, CommandsOfManyConnectionsAreGatheredIntoOneBatch) {
  std::vector<std::unique_ptr<RespClient>> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(std::make_unique<RespClient>(port_));
  for (auto& c : clients) ASSERT_EQ(c->Do("ECHO warm"), "\"warm\"");
  // While the worker is held up in a task all of them send.
  std::promise<void> held, sent;
  worker_->Post([&] {
    held.set_value();
    sent.get_future().wait();
  });
  held.get_future().wait();
  for (auto& c : clients) c->Send({"ECHO", "x"});
  sent.set_value();
  for (auto& c : clients) ASSERT_EQ(c->Read(), "\"x\"");
  EXPECT_EQ(handler_.largest_batch, 20u);
}

TEST_F(WorkerTest, AParkedConnectionGoesOnWhenWoken) {
  RespClient client(port_);
  client.SendRaw(EncodeCommand({"ECHO", "1"}) + EncodeCommand({"PARK"}) + EncodeCommand({"ECHO", "2"}));
  EXPECT_EQ(client.Read(), "\"1\"");
  ASSERT_TRUE(Eventually([&] { return handler_.last_parked != 0; }));
  client.SendRaw(EncodeCommand({"ECHO", "3"}));
  worker_->PostAndWait([&] {
    Connection* c = worker_->Find(handler_.last_parked);
    c->Append("+late\r\n");
    c->Wake();
  });
  EXPECT_EQ(client.Read(), "+late");
  EXPECT_EQ(client.Read(), "\"2\"");
  EXPECT_EQ(client.Read(), "\"3\"");
}

TEST_F(WorkerTest, ACommandParkedBeforeItRanRunsAgain) {
  RespClient client(port_);
  client.SendRaw(EncodeCommand({"ECHO", "1"}) + EncodeCommand({"RETRY"}) + EncodeCommand({"ECHO", "2"}));
  EXPECT_EQ(client.Read(), "\"1\"");
  ASSERT_TRUE(Eventually([&] { return handler_.last_parked != 0; }));
  worker_->PostAndWait([&] {
    handler_.retry = false;
    worker_->Find(handler_.last_parked)->Wake();
  });
  EXPECT_EQ(client.Read(), "+retried");
  EXPECT_EQ(client.Read(), "\"2\"");
}

TEST_F(WorkerTest, AParkedConnectionWhoseClientLeavesIsClosed) {
  RespClient client(port_);
  client.Send({"PARK"});
  ASSERT_TRUE(Eventually([&] { return handler_.last_parked != 0; }));
  client.Close();
  EXPECT_TRUE(Eventually([&] { return handler_.closed == 1; }));
}

TEST_F(WorkerTest, HeldOutputWaitsForItsTicketAndKeepsItsOrder) {
  RespClient client(port_);
  client.SendRaw(EncodeCommand({"ECHO", "before"}) + EncodeCommand({"HOLD", "5"}) + EncodeCommand({"ECHO", "after"}));
  EXPECT_EQ(client.Read(), "\"before\"");
  worker_->PostAndWait([&] {
    handler_.released = 4;
    worker_->CheckHolds();
  });
  EXPECT_EQ(client.Read(50), "timeout");
  worker_->PostAndWait([&] {
    handler_.released = 5;
    worker_->CheckHolds();
  });
  EXPECT_EQ(client.Read(), "+held");
  EXPECT_EQ(client.Read(), "\"after\"");
}

TEST_F(WorkerTest, AWriteThatMayNotBeFlushedClosesWithoutAByte) {
  RespClient reader(port_), writer(port_);
  handler_.may_flush = false;
  EXPECT_EQ(reader.Do("ECHO x"), "\"x\"") << "only writes ask";
  writer.Send({"WRITE"});
  EXPECT_EQ(writer.ReadRawUntilClosed(), "");
}

TEST_F(WorkerTest, DetachHandsOverTheSocketAfterItsReplies) {
  RespClient client(port_);
  client.SendRaw(EncodeCommand({"ECHO", "a"}) + EncodeCommand({"DETACH"}) + "left over");
  EXPECT_EQ(client.Read(), "\"a\"");
  EXPECT_EQ(client.Read(), "+going");
  auto [fd, input] = handler_.detached.get_future().get();
  EXPECT_EQ(input, "left over");
  EXPECT_EQ(totals_.connections, 0);
  ASSERT_EQ(send(fd, "+mine\r\n", 7, 0), 7);
  EXPECT_EQ(client.Read(), "+mine");
  close(fd);
}

TEST_F(WorkerTest, ClosesAfterTheReplyWasSent) {
  RespClient client(port_);
  client.SendRaw(EncodeCommand({"BYE"}) + EncodeCommand({"ECHO", "never"}));
  EXPECT_EQ(client.ReadRawUntilClosed(), "+bye\r\n");
}

TEST_F(WorkerTest, MaxclientsRefusesWithASentence) {
  settings_.max_clients = 1;
  RespClient first(port_);
  ASSERT_EQ(first.Do("ECHO x"), "\"x\"");
  RespClient second(port_);
  EXPECT_EQ(second.ReadRawUntilClosed(), "-ERR max number of clients reached\r\n");
  EXPECT_EQ(totals_.rejected, 1u);
}

TEST_F(WorkerTest, TheHardOutputLimitClosesAClientThatDoesNotRead) {
  settings_.output_limits[0].hard_bytes = 1 << 20;
  RespClient client(port_);
  client.SendRaw(EncodeCommand({"BIG", "30000000"}));
  EXPECT_TRUE(Eventually([&] { return totals_.closed_output_buffer == 1; }));
  EXPECT_LT(client.ReadRawUntilClosed().size(), 30'000'000u);
}

TEST_F(WorkerTest, ACommandAboveTheQueryBufferLimitIsCut) {
  settings_.max_query_buffer_bytes = 1 << 20;
  RespClient client(port_);
  client.SendRaw("*2\r\n$4\r\nECHO\r\n$3000000\r\n" + std::string(2'000'000, 'x'));
  EXPECT_EQ(client.ReadRawUntilClosed(), "");
  EXPECT_EQ(totals_.closed_query_buffer, 1u);
}

TEST_F(WorkerTest, TheQueryBufferLimitHoldsForManySmallArgumentsToo) {
  settings_.max_query_buffer_bytes = 1 << 20;
  RespClient client(port_);
  std::string input = "*1000000\r\n";
  for (int i = 0; i < 300'000; ++i) input += "$1\r\nx\r\n";
  // The server closes in the middle, so sending may fail.
  for (size_t sent = 0; sent < input.size();) {
    const ssize_t n = send(client.fd(), input.data() + sent, input.size() - sent, MSG_NOSIGNAL);
    if (n < 0) break;
    sent += static_cast<size_t>(n);
  }
  EXPECT_TRUE(Eventually([&] { return totals_.closed_query_buffer == 1; }));
  EXPECT_TRUE(Eventually([&] { return worker_->client_bytes() == 0; }));
}

TEST_F(WorkerTest, MemoryOfClientsIsCountedAndGivenBack) {
  const auto bytes = [&] { return worker_->client_bytes(); };
  EXPECT_EQ(bytes(), 0u);
  {
    RespClient idle(port_), reader(port_), sender(port_);
    EXPECT_EQ(idle.Do("ECHO x"), "\"x\"");
    EXPECT_TRUE(Eventually([&] { return handler_.opened == 3; }));
    EXPECT_TRUE(Eventually([&] { return bytes() > 0; }));
    const size_t base = bytes();
    EXPECT_LT(base, 3 * 4096u);
    // A reply that is not read, most of which the kernel does not take.
    reader.SendRaw(EncodeCommand({"BIG", "30000000"}));
    EXPECT_TRUE(Eventually([&] { return bytes() > base + 20'000'000; }));
    for (size_t left = 30'000'000 + 13; left > 0;) left -= reader.ReadRaw(std::min<size_t>(left, 1 << 20)).size();
    EXPECT_TRUE(Eventually([&] { return bytes() == base; }));
    // A command of which a part is there, byte by byte: what arrived is what it costs.
    sender.SendRaw("*2\r\n$4\r\nECHO\r\n$300000000\r\n" + std::string(100'000, 'x'));
    for (int i = 0; i < 100; ++i) sender.SendRaw("y");
    EXPECT_TRUE(Eventually([&] { return bytes() > base + 100'000; }));
    EXPECT_LT(bytes(), base + 1'500'000);
    EXPECT_EQ(idle.Do("ECHO still"), "\"still\"");
  }
  EXPECT_TRUE(Eventually([&] { return bytes() == 0; }));
}

TEST_F(WorkerTest, OneTurnMakesABoundedPartOfALargeAnswer) {
  // 90 MB of replies; nothing is read at first, and others are served all the time.
  RespClient deep(port_), other(port_);
  std::string input;
  for (int i = 0; i < 1500; ++i) input += EncodeCommand({"BIG", "60000"});
  deep.SendRaw(input);
  const uint64_t before = worker_->turns();
  EXPECT_TRUE(Eventually([&] { return worker_->client_bytes() > 75'000'000; }));
  EXPECT_GT(worker_->turns() - before, 50u);
  EXPECT_EQ(other.Do("ECHO x"), "\"x\"");
  const std::string reply = "$60000\r\n" + std::string(60'000, 'b') + "\r\n";
  for (int i = 0; i < 1500; ++i) ASSERT_EQ(deep.ReadRaw(reply.size()), reply);
}

TEST_F(WorkerTest, AStormOfConnectionsBeyondMaxclientsLeavesOthersAlone) {
  settings_.max_clients = 10;
  RespClient first(port_);
  EXPECT_EQ(first.Do("ECHO x"), "\"x\"");
  std::vector<std::unique_ptr<RespClient>> clients;
  for (int i = 0; i < 3000; ++i) {
    clients.push_back(std::make_unique<RespClient>(port_));
    if (clients.size() > 100) clients.erase(clients.begin());
    if (i % 100 == 0) {
      ASSERT_EQ(first.Do("ECHO y"), "\"y\"");
    }
  }
  EXPECT_TRUE(Eventually([&] { return totals_.rejected + totals_.accepted == 3001; }));
  EXPECT_GT(totals_.rejected, 1000u);
  clients.clear();
  EXPECT_TRUE(Eventually([&] { return totals_.connections == 1; }));
  EXPECT_LT(worker_->client_bytes(), 4096u);
}

TEST_F(WorkerTest, ManyClosedAtOnceGoInPortionsAndNoneIsForgotten) {
  std::vector<std::unique_ptr<RespClient>> clients;
  for (int i = 0; i < 150; ++i) {
    clients.push_back(std::make_unique<RespClient>(port_));
    ASSERT_EQ(clients.back()->Do("ECHO x"), "\"x\"");
  }
  uint64_t before = 0;
  worker_->PostAndWait([&] {
    before = worker_->turns();
    worker_->ForEachConnection([&](Connection& connection) {
      connection.Append("never sent");
      connection.Close();
    });
  });
  EXPECT_TRUE(Eventually([&] { return totals_.connections == 0; }));
  EXPECT_GE(worker_->turns() - before, 4u);
  for (const auto& client : clients) EXPECT_EQ(client->ReadRawUntilClosed(), "");
  EXPECT_EQ(handler_.closed, 150);
  EXPECT_EQ(worker_->client_bytes(), 0u);
}

TEST_F(WorkerTest, TimersRunInTheirOrderAndCanBeCancelled) {
  std::promise<std::string> done;
  std::string order;
  worker_->PostAndWait([&] {
    const MonoTime now = worker_->now();
    worker_->RunAt(now + Milliseconds(20), [&] { order += "b"; });
    worker_->RunAt(now + Milliseconds(10), [&] { order += "a"; });
    const Worker::TimerId never = worker_->RunAt(now + Milliseconds(15), [&] { order += "x"; });
    worker_->RunAt(now + Milliseconds(30), [&] { done.set_value(order); });
    worker_->Cancel(never);
  });
  EXPECT_EQ(done.get_future().get(), "ab");
}

TEST_F(WorkerTest, ManyConnectionsComeAndGo) {
  for (int round = 0; round < 5; ++round) {
    std::vector<std::unique_ptr<RespClient>> clients;
    for (int i = 0; i < 200; ++i) clients.push_back(std::make_unique<RespClient>(port_));
    for (auto& c : clients) ASSERT_EQ(c->Do("ECHO x"), "\"x\"");
  }
  EXPECT_TRUE(Eventually([&] { return totals_.connections == 0; }));
  EXPECT_EQ(totals_.accepted, 1000u);
  EXPECT_EQ(handler_.opened, 1000);
  EXPECT_EQ(handler_.closed, 1000);
}

TEST(WorkerClock, AnIdleClientIsClosedAfterTheTimeout) {
  FakeClock clock;
  Settings settings;
  settings.idle_timeout_s = 5;
  Totals totals;
  WordHandler handler;
  Result<int> fd = Listen("127.0.0.1", 0, 16);
  ASSERT_TRUE(fd.ok());
  const uint16_t port = LocalPort(*fd);
  Worker worker({0, {*fd}}, handler, settings, totals, clock);
  worker.Start();
  RespClient client(port);
  ASSERT_EQ(client.Do("ECHO x"), "\"x\"");
  clock.Advance(Seconds(4));
  ASSERT_EQ(client.Do("ECHO x"), "\"x\"");
  clock.Advance(Seconds(4));
  worker.PostAndWait([] {});
  worker.PostAndWait([] {});
  ASSERT_EQ(client.Do("ECHO x"), "\"x\"") << "4 s after its last command";
  clock.Advance(Seconds(7));
  EXPECT_EQ(client.ReadRawUntilClosed(), "");
}

TEST(Listener, TellsWhyItCant) {
  Result<int> fd = Listen("127.0.0.1", 0, 16);
  ASSERT_TRUE(fd.ok());
  const Status taken = CheckPortFree("127.0.0.1", LocalPort(*fd));
  EXPECT_EQ(taken.message(), "can't listen on 127.0.0.1 port " + std::to_string(LocalPort(*fd)) +
                                 ": Address already in use");
  EXPECT_EQ(Listen("localhost", 0, 16).status().message(),
            "'localhost' is not an IP address; bind takes literal IPv4 or IPv6 addresses, or *");
  close(*fd);
}

}  // namespace
}  // namespace understudy::net
