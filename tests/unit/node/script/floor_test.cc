#include "node/script/floor.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace understudy::script {
namespace {

TEST(Floor, NobodyIsInsideWhileAScriptHasIt) {
  constexpr uint32_t kWorkers = 3;
  Floor floor(kWorkers);
  std::vector<int> data(kWorkers, 0);  // unprotected: data[i] is worker i's, all of it the script's
  std::vector<std::thread> threads;
  for (uint32_t worker = 0; worker < kWorkers; ++worker) {
    threads.emplace_back([&, worker] {
      for (int i = 0; i < 2000; ++i) {
        ASSERT_NE(floor.Enter(worker), Floor::Entry::kBusy);
        ++data[worker];
        if (i % 10 != 0) {
          floor.Leave(worker);
          continue;
        }
        ASSERT_NE(floor.Take(worker), Floor::Entry::kBusy);
        for (int& n : data) ++n;
        floor.Release();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const int n : data) EXPECT_EQ(n, 2000 + 3 * 200);
}

TEST(Floor, WhoWaitsIsToldWhenAScriptIsSlow) {
  Floor floor(2);
  ASSERT_EQ(floor.Enter(0), Floor::Entry::kAtOnce);
  ASSERT_EQ(floor.Take(0), Floor::Entry::kAtOnce);
  EXPECT_FALSE(floor.TryEnter(1));
  std::thread waiting([&] { EXPECT_EQ(floor.Enter(1), Floor::Entry::kBusy); });
  floor.MarkSlow();
  waiting.join();
  EXPECT_TRUE(floor.slow());
  EXPECT_EQ(floor.Enter(0), Floor::Entry::kBusy);  // also on the script's own worker
  floor.Release();
  EXPECT_FALSE(floor.slow());
  EXPECT_EQ(floor.Enter(1), Floor::Entry::kAtOnce);
}

// Two workers whose scripts come without a pause, and two that want to go on.
TEST(Floor, ScriptsWithoutEndKeepNobodyOut) {
  constexpr uint32_t kWorkers = 4;
  Floor floor(kWorkers);
  std::atomic<int> entries{0}, scripts{0};
  std::vector<std::thread> threads;
  for (uint32_t worker = 0; worker < kWorkers; ++worker) {
    threads.emplace_back([&, worker] {
      while (entries < 200) {
        ASSERT_NE(floor.Enter(worker), Floor::Entry::kBusy);
        if (worker >= 2) {
          if (scripts > 0) ++entries;
          floor.Leave(worker);
          continue;
        }
        do {
          ASSERT_NE(floor.Take(worker), Floor::Entry::kBusy);
          ++scripts;
          floor.Release();
          ASSERT_NE(floor.Enter(worker), Floor::Entry::kBusy);
        } while (entries < 200);
        floor.Leave(worker);
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

TEST(Floor, OneWorkerNeedsNoFlagOfItsOwn) {
  Floor floor(1);
  ASSERT_EQ(floor.Enter(0), Floor::Entry::kAtOnce);
  ASSERT_EQ(floor.Take(0), Floor::Entry::kAtOnce);
  EXPECT_FALSE(floor.TryEnter(0));
  floor.Release();
  EXPECT_TRUE(floor.TryEnter(0));
}

}  // namespace
}  // namespace understudy::script
