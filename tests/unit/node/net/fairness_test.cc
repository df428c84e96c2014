// One client's deep pipeline and another's single command: who waits for whom, counted in batches.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <condition_variable>
#include <mutex>

#include "node/net/listener.h"
#include "node/net/worker.h"
#include "node/resp/writer.h"
#include "tests/support/resp_client.h"

namespace understudy::net {
namespace {

using test::EncodeCommand;
using test::RespClient;

// Each batch takes a millisecond of the fake clock: no turn has time for a second one. COUNT
// answers how many batches there were; before the batch of a given number the handler stops until
// it is let go.
class CountingHandler final : public Handler {
 public:
  explicit CountingHandler(FakeClock& clock) : clock_(clock) {}
  void OnOpen(Connection& connection) override {
    connection.set_state(std::make_unique<ConnectionState>());
  }
  void OnClose(Connection&) override {}
  void OnBatch(Worker& worker, const Batch& batch, std::span<uint32_t> executed) override {
    {
      std::unique_lock lock(mutex_);
      ++batches_;
      changed_.notify_all();
      changed_.wait(lock, [&] { return batches_ < stop_at_; });
    }
    clock_.Advance(Milliseconds(1));
    for (size_t i = 0; i < batch.segments.size(); ++i) {
      const Segment& segment = batch.segments[i];
      resp::Writer reply(worker.OpenOutput(*segment.connection), 2);
      for (uint32_t c = 0; c < segment.commands; ++c) {
        reply.Integer(batch.Arguments(batch.commands[segment.first_command + c])[0] == "COUNT"
                          ? batches()
                          : 0);
      }
      executed[i] = segment.commands;
    }
  }
  bool MayFlush(Connection&, MonoTime) override { return true; }
  uint64_t ReleasedTicket() override { return 0; }
  void OnTick(Worker&) override {}
  void OnTurnEnd(Worker&) override {}

  void StopAt(int64_t batch) {
    std::lock_guard lock(mutex_);
    stop_at_ = batch;
    changed_.notify_all();
  }
  void AwaitStop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return batches_ == stop_at_; });
  }
  int64_t batches() {
    std::lock_guard lock(mutex_);
    return batches_;
  }

 private:
  FakeClock& clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t batches_ = 0;          // mutex_
  int64_t stop_at_ = INT64_MAX;  // mutex_
};

class FairnessTest : public ::testing::Test {
 protected:
  static constexpr int kPipelines = 20;

  FairnessTest() : handler_(clock_) {}
  void SetUp() override {
    Result<int> fd = Listen("127.0.0.1", 0, 128);
    ASSERT_TRUE(fd.ok());
    port_ = LocalPort(*fd);
    worker_ =
        std::make_unique<Worker>(Worker::Options{0, {*fd}}, handler_, settings_, totals_, clock_);
    worker_->Start();
  }
  void TearDown() override {
    handler_.StopAt(INT64_MAX);
    worker_.reset();
  }

  // As many bytes as the sockets take without anybody reading.
  std::unique_ptr<RespClient> DeepPipeline() {
    auto client = std::make_unique<RespClient>(port_);
    const int room = 1 << 20;
    setsockopt(client->fd(), SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    std::string input;
    while (input.size() < 300'000) input += EncodeCommand({"NOTHING", std::string(20, 'x')});
    client->SendRaw(input);
    return client;
  }

  FakeClock clock_;
  Settings settings_;
  Totals totals_;
  CountingHandler handler_;
  std::unique_ptr<Worker> worker_;
  uint16_t port_ = 0;
};

TEST_F(FairnessTest, ASingleCommandDoesNotWaitForARoundOfDeepPipelines) {
  RespClient single(port_);
  ASSERT_EQ(single.Do("COUNT").substr(0, 1), ":");
  handler_.StopAt(2);
  std::vector<std::unique_ptr<RespClient>> deep;
  for (int i = 0; i < kPipelines; ++i) deep.push_back(DeepPipeline());
  handler_.AwaitStop();
  constexpr int64_t kAt = 5 * kPipelines;  // each has had its first read, and much input is left
  handler_.StopAt(kAt);
  handler_.AwaitStop();
  single.Send({"COUNT"});
  handler_.StopAt(INT64_MAX);
  const std::string reply = single.Read();
  ASSERT_EQ(reply.substr(0, 1), ":");
  EXPECT_LE(std::stoll(reply.substr(1)), kAt + 3);
}

TEST_F(FairnessTest, DeepPipelinesGoOnAlthoughOthersAlwaysHaveCommands) {
  const auto deep = DeepPipeline();
  std::atomic<bool> stop{false};
  std::vector<std::thread> others;
  for (int i = 0; i < 4; ++i) {
    others.emplace_back([&] {
      RespClient client(port_);
      std::string input;
      for (int n = 0; n < 200; ++n) input += EncodeCommand({"COUNT"});
      while (!stop) {
        client.SendRaw(input);
        for (int n = 0; n < 200; ++n) ASSERT_EQ(client.Read().substr(0, 1), ":");
      }
    });
  }
  EXPECT_EQ(deep->ReadRaw(4 * 6000, 20'000).size(), 4 * 6000u)
      << "replies of most of it, ':0' each";
  stop = true;
  for (std::thread& other : others) other.join();
}

TEST_F(FairnessTest, ATurnEndsAfterItsTimeHoweverManyConnectionsAreReady) {
  handler_.StopAt(1);
  std::vector<std::unique_ptr<RespClient>> deep;
  for (int i = 0; i < kPipelines; ++i) deep.push_back(DeepPipeline());
  handler_.AwaitStop();
  const uint64_t turns = worker_->turns();
  handler_.StopAt(1 + kPipelines);
  handler_.AwaitStop();
  // One of those with new input, and one of those with input left.
  EXPECT_GE(worker_->turns() - turns, uint64_t{kPipelines} / 2 - 1) << "more than two batches of a millisecond shared a turn";
}

}  // namespace
}  // namespace understudy::net
