#include "operator/watch/work_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace understudy::watch {
namespace {

class WorkQueueTest : public testing::Test {
 protected:
  std::string Next() {
    const auto key = queue_.TryTake();
    return key ? *key : "";
  }
  void Work(const std::string& key) {
    EXPECT_EQ(Next(), key);
    queue_.Done(key);
  }

  FakeClock clock_;
  metrics::Registry registry_;
  WorkQueue queue_{"test", clock_, registry_};
};

TEST_F(WorkQueueTest, HandsOutInOrderAndOncePerKey) {
  queue_.Add("a");
  queue_.Add("b");
  queue_.Add("a");
  EXPECT_EQ(queue_.Depth(), 2u);
  Work("a");
  Work("b");
  EXPECT_EQ(Next(), "");
}

TEST_F(WorkQueueTest, AKeyIsNeverProcessedTwiceAtATimeAndNoAdditionIsLost) {
  queue_.Add("a");
  EXPECT_EQ(Next(), "a");
  queue_.Add("a");
  queue_.Add("a");
  EXPECT_EQ(Next(), "") << "a is being processed";
  queue_.Done("a");
  Work("a");
  EXPECT_EQ(Next(), "") << "two additions meanwhile are one";
}

TEST_F(WorkQueueTest, PrioritiesGoFirstAndLiftWaitingKeys) {
  queue_.Add("initial-1", Priority::kInitial);
  queue_.Add("initial-2", Priority::kInitial);
  queue_.Add("normal-1");
  queue_.Add("normal-2");
  queue_.Add("failover", Priority::kFailover);
  queue_.Add("initial-2", Priority::kFailover);
  queue_.Add("normal-2", Priority::kInitial);  // never lowered
  for (const char* key : {"failover", "initial-2", "normal-1", "normal-2", "initial-1"}) Work(key);
}

TEST_F(WorkQueueTest, AnAdditionWhileProcessingKeepsItsPriority) {
  queue_.Add("a");
  EXPECT_EQ(Next(), "a");
  queue_.Add("a", Priority::kFailover);
  queue_.Add("b");
  queue_.Done("a");
  Work("a");
  Work("b");
}

TEST_F(WorkQueueTest, OfSeveralDelayedAdditionsTheEarliestCounts) {
  queue_.AddAfter("a", Seconds(10));
  queue_.AddAfter("a", Seconds(5));
  queue_.AddAfter("a", Seconds(20));
  EXPECT_EQ(queue_.NextDelayed(), clock_.Mono() + Seconds(5));
  clock_.Advance(Milliseconds(4999));
  EXPECT_EQ(Next(), "");
  clock_.Advance(Milliseconds(1));
  Work("a");
  clock_.Advance(Seconds(60));
  EXPECT_EQ(Next(), "");
  queue_.AddAfter("a", Duration{});
  Work("a");
}

TEST_F(WorkQueueTest, FailuresWaitLongerEachTimeUntilForgotten) {
  const auto delay = [&] {
    queue_.AddRateLimited("a");
    const Duration out = *queue_.NextDelayed() - clock_.Mono();
    clock_.Advance(out);
    Work("a");
    return out;
  };
  EXPECT_EQ(delay(), Milliseconds(5));
  EXPECT_EQ(delay(), Milliseconds(10));
  EXPECT_EQ(delay(), Milliseconds(20));
  EXPECT_EQ(queue_.Failures("a"), 3);
  for (int i = 0; i < 100; ++i) EXPECT_LE(delay(), Seconds(30));
  EXPECT_EQ(delay(), Seconds(30));
  queue_.Forget("a");
  EXPECT_EQ(delay(), Milliseconds(5));
}

TEST_F(WorkQueueTest, ShutDownDropsWhatWaitsAndRefusesMore) {
  queue_.Add("a");
  EXPECT_EQ(Next(), "a");
  queue_.Add("b");
  queue_.AddAfter("c", Seconds(1));
  queue_.Add("a");
  queue_.ShutDown();
  EXPECT_TRUE(queue_.ShuttingDown());
  queue_.Add("d");
  queue_.Done("a");
  EXPECT_EQ(queue_.Take(), std::nullopt);
}

TEST_F(WorkQueueTest, CountsInTheMetrics) {
  queue_.Add("a");
  queue_.Add("a");
  queue_.AddRateLimited("b");
  EXPECT_NE(registry_.Text().find("workqueue_depth{name=\"test\"} 1"), std::string::npos);
  EXPECT_NE(registry_.Text().find("workqueue_adds_total{name=\"test\"} 1"), std::string::npos);
  EXPECT_NE(registry_.Text().find("workqueue_retries_total{name=\"test\"} 1"), std::string::npos);
}

TEST(WorkQueueThreads, EachKeyIsSerialAndEveryAdditionIsSeen) {
  SystemClock clock;
  metrics::Registry registry;
  WorkQueue queue("test", clock, registry);
  constexpr int kKeys = 5;
  constexpr int kRounds = 200;
  std::atomic<int> wanted[kKeys] = {};
  std::atomic<int> seen[kKeys] = {};
  std::atomic<int> running[kKeys] = {};
  std::atomic<bool> overlapped{false};
  std::vector<std::thread> workers;
  for (int w = 0; w < 4; ++w) {
    workers.emplace_back([&] {
      while (auto key = queue.Take()) {
        const int k = std::stoi(*key);
        if (running[k].fetch_add(1) != 0) overlapped = true;
        seen[k] = wanted[k].load();
        running[k].fetch_sub(1);
        queue.Done(*key);
      }
    });
  }
  for (int round = 1; round <= kRounds; ++round) {
    for (int k = 0; k < kKeys; ++k) {
      wanted[k] = round;
      if (round % 2 == 0) {
        queue.Add(std::to_string(k));
      } else {
        queue.AddAfter(std::to_string(k), Milliseconds(1));
      }
    }
  }
  const MonoTime limit = clock.Mono() + Seconds(30);
  const auto done = [&] {
    for (int k = 0; k < kKeys; ++k) {
      if (seen[k] != kRounds) return false;
    }
    return true;
  };
  while (!done() && clock.Mono() < limit) std::this_thread::yield();
  EXPECT_TRUE(done());
  EXPECT_FALSE(overlapped);
  queue.ShutDown();
  for (auto& worker : workers) worker.join();
}

TEST(WorkQueueThreads, ADelayedKeyDoesNotWaitForABusyWorker) {
  SystemClock clock;
  metrics::Registry registry;
  WorkQueue queue("test", clock, registry);
  std::atomic<bool> second_taken{false};
  std::vector<std::thread> workers;
  for (int w = 0; w < 2; ++w) {
    workers.emplace_back([&] {
      while (auto key = queue.Take()) {
        if (*key == "second") second_taken = true;
        // The first worker is busy until the second key was taken by the other.
        const MonoTime limit = clock.Mono() + Seconds(20);
        while (!second_taken && clock.Mono() < limit) std::this_thread::yield();
        queue.Done(*key);
      }
    });
  }
  queue.AddAfter("first", Milliseconds(5));
  queue.AddAfter("second", Milliseconds(30));
  const MonoTime limit = clock.Mono() + Seconds(10);
  while (!second_taken && clock.Mono() < limit) std::this_thread::yield();
  EXPECT_TRUE(second_taken);
  queue.ShutDown();
  for (auto& worker : workers) worker.join();
}

}  // namespace
}  // namespace understudy::watch
