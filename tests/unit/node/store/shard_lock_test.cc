#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tests/unit/node/store/store_test_support.h"

namespace understudy::store {
namespace {

TEST(ShardLock, OneHolderAtATime) {
  ShardLock lock;
  long counter = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50'000; ++i) {
        lock.Lock();
        ++counter;
        if (i % 64 == 0) std::this_thread::yield();  // sometimes long enough that others go to sleep
        lock.Unlock();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter, 200'000);
  EXPECT_FALSE(lock.held());
}

TEST(ShardGuard, TakesEachShardOnceInAnyOrder) {
  Keyspace keyspace({.shards = 64, .databases = 1});
  keyspace.SetShared(true);
  std::vector<uint32_t> indexes;
  for (uint32_t i = 0; i < 40; ++i) indexes.push_back(39 - i % 20);
  for (int i = 0; i < 2; ++i) ShardGuard guard(keyspace, indexes);
  { AllShardsGuard guard(keyspace); }
  const std::vector<uint32_t> same = {5, 5, 5};
  for (int i = 0; i < 2; ++i) ShardGuard guard(keyspace, same);
  keyspace.SetShared(false);
}

TEST(ExtraShards, AreOnlyThoseThatAreFree) {
  Keyspace keyspace({.shards = 4, .databases = 1});
  keyspace.SetShared(true);
  const OneShardGuard guard(keyspace, keyspace.shard(2));
  {
    ExtraShards more(keyspace);
    EXPECT_FALSE(more.TryAdd(2));
    EXPECT_TRUE(more.TryAdd(3));
    EXPECT_TRUE(more.TryAdd(0));
    EXPECT_TRUE(more.Holds(3));
    EXPECT_FALSE(more.Holds(2));
    ExtraShards others(keyspace);
    EXPECT_FALSE(others.TryAdd(3));
    EXPECT_TRUE(others.TryAdd(1));
  }
  ExtraShards again(keyspace);
  EXPECT_TRUE(again.TryAdd(3));
  EXPECT_TRUE(again.TryAdd(1));
}

TEST(ShardSet, IsSortedWithoutRepetitions) {
  std::vector<uint32_t> indexes;
  for (uint32_t i = 0; i < 100; ++i) indexes.push_back(i * 37 % 50);
  const ShardSet set(indexes);
  EXPECT_EQ(set.size(), 50u);
  EXPECT_TRUE(std::is_sorted(set.begin(), set.end()));
  const std::vector<uint32_t> few = {3, 1, 3};
  const ShardSet small(few);
  EXPECT_EQ(std::vector<uint32_t>(small.begin(), small.end()), (std::vector<uint32_t>{1, 3}));
}

// Money moves between accounts under guards of two shards; no sum is ever seen wrong under a guard of all.
TEST(ShardGuard, ManyThreadsKeepAnInvariantOverShards) {
  Keyspace keyspace({.shards = 16, .databases = 2});
  constexpr int kAccounts = 50;
  auto name = [](uint64_t i) { return "account:" + std::to_string(i); };
  for (uint64_t i = 0; i < kAccounts; ++i) Put(keyspace, 0, name(i), "1000");
  keyspace.SetShared(true);
  const size_t rounds = 100'000 / kSlowdown;
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      Rng rng(t);
      for (size_t i = 0; i < rounds; ++i) {
        const std::string from = name(rng.Below(kAccounts)), to = name(rng.Below(kAccounts));
        if (from == to) continue;
        At a(keyspace, from), b(keyspace, to);
        const uint32_t indexes[] = {a.shard.index(), b.shard.index()};
        ShardGuard guard(keyspace, indexes);
        const long x = std::stol(std::string(a.shard.Find(0, from, a.hash, 0, View::kNormal)->value()));
        const long y = std::stol(std::string(b.shard.Find(0, to, b.hash, 0, View::kNormal)->value()));
        a.shard.Set(0, from, a.hash, std::to_string(x - 1), 0);
        b.shard.Set(0, to, b.hash, std::to_string(y + 1), 0);
      }
    });
  }
  threads.emplace_back([&] {  // unrelated growth and shrinking in the same shards
    Rng rng(99);
    for (size_t i = 0; i < rounds; ++i) {
      const std::string key = "other:" + std::to_string(rng.Below(20'000));
      if (rng.OneIn(2)) Put(keyspace, 1, key, "x"); else Del(keyspace, 1, key);
    }
  });
  for (int i = 0; i < 50; ++i) {
    AllShardsGuard guard(keyspace);
    long sum = 0;
    keyspace.ForEach(0, 0, View::kNormal, Keyspace::Locking::kHeld,
                     [&](const Entry& entry) { sum += std::stol(std::string(entry.value())); });
    ASSERT_EQ(sum, 1000 * kAccounts);
  }
  for (std::thread& thread : threads) thread.join();
  keyspace.SetShared(false);
  keyspace.Validate();
}

}  // namespace
}  // namespace understudy::store
