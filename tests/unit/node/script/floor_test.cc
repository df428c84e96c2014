#include "node/script/floor.h"

#include <gtest/gtest.h>

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
        ASSERT_TRUE(floor.Enter(worker));
        ++data[worker];
        if (i % 10 != 0) {
          floor.Leave(worker);
          continue;
        }
        ASSERT_TRUE(floor.Take(worker));
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
  ASSERT_TRUE(floor.Enter(0));
  ASSERT_TRUE(floor.Take(0));
  EXPECT_FALSE(floor.TryEnter(1));
  std::thread waiting([&] { EXPECT_FALSE(floor.Enter(1)); });
  floor.MarkSlow();
  waiting.join();
  EXPECT_TRUE(floor.slow());
  EXPECT_FALSE(floor.Enter(0));  // also on the script's own worker
  floor.Release();
  EXPECT_FALSE(floor.slow());
  EXPECT_TRUE(floor.Enter(1));
}

TEST(Floor, OneWorkerNeedsNoFlagOfItsOwn) {
  Floor floor(1);
  ASSERT_TRUE(floor.Enter(0));
  ASSERT_TRUE(floor.Take(0));
  EXPECT_FALSE(floor.TryEnter(0));
  floor.Release();
  EXPECT_TRUE(floor.TryEnter(0));
}

}  // namespace
}  // namespace understudy::script
