// Which keys go: every policy against an access pattern in which it matters, with fixed seeds.
#include "node/store/evictor.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/node/store/store_test_support.h"

namespace understudy::store {
namespace {

class Recorder : public ExpirySink {
 public:
  void OnExpired(int, std::string_view) override {}
  void OnEvicted(int db, std::string_view key) override { evicted.emplace_back(db, std::string(key)); }
  std::vector<std::pair<int, std::string>> evicted;
};

class EvictorTest : public ::testing::Test {
 protected:
  EvictorTest() { keyspace_.SetExpirySink(&recorder_); }
  void Use(EvictionPolicy policy) { keyspace_.SetEvictionPolicy(policy); }
  bool Holds(const std::string& key, int db = 0) {
    At at(keyspace_, key);
    return at.shard.Peek(db, key, at.hash, now_ms_, View::kRaw) != nullptr;
  }

  // A cache that holds a third of 20,000 keys, four fifths of whose accesses go to 4,000 of them. Returns the
  // share of hits in the second half.
  double HitShare(EvictionPolicy policy) {
    Keyspace keyspace({.shards = 16, .databases = 1});
    keyspace.SetEvictionPolicy(policy);
    keyspace.memory_settings().lfu_decay_minutes = 30;
    Evictor evictor(keyspace, 1);
    Rng rng(2);
    const std::string value(100, 'v');
    for (int i = 0; i < 6600; ++i) Put(keyspace, 0, Name(i), value, now_ms_, {.expire_ms = now_ms_ + 1'000'000'000});
    const size_t limit = keyspace.UsedBytes();
    constexpr int kAccesses = 200'000;
    int hits = 0;
    int64_t now = now_ms_;
    for (int i = 0; i < kAccesses; ++i) {
      if (i % 100 == 0) now += 1000;
      const uint64_t which = rng.OneIn(5) ? 4000 + rng.Below(16'000) : rng.Below(4000);
      const std::string key = Name(static_cast<int>(which));
      if (Get(keyspace, 0, key, now) != nullptr) {
        hits += i >= kAccesses / 2;
        continue;
      }
      while (keyspace.UsedBytes() > limit) EXPECT_GT(evictor.EvictOne(now), 0u);
      Put(keyspace, 0, key, value, now, {.expire_ms = now_ms_ + 1'000'000'000});
    }
    keyspace.Validate();
    return static_cast<double>(hits) / (kAccesses / 2);
  }
  static std::string Name(int i) { return "key:" + std::to_string(i * 7919 % 20'000); }

  Recorder recorder_;
  Keyspace keyspace_{{.shards = 64, .databases = 2}};
  Evictor evictor_{keyspace_, 3};
  int64_t now_ms_ = 1'700'000'000'000;
};

TEST_F(EvictorTest, LruAndLfuKeepWhatIsUsed) {
  const double random = HitShare(EvictionPolicy::kAllRandom);
  EXPECT_LT(random, 0.72);
  EXPECT_GT(HitShare(EvictionPolicy::kAllLru), random + 0.05);
  EXPECT_GT(HitShare(EvictionPolicy::kAllLfu), random + 0.08);
  EXPECT_GT(HitShare(EvictionPolicy::kVolatileLru), random + 0.05);
  EXPECT_GT(HitShare(EvictionPolicy::kVolatileLfu), random + 0.08);
  EXPECT_NEAR(HitShare(EvictionPolicy::kVolatileRandom), random, 0.03);
}

TEST_F(EvictorTest, WithoutAPolicyNothingGoes) {
  Put(keyspace_, 0, "a", "1", now_ms_);
  EXPECT_EQ(evictor_.EvictOne(now_ms_), 0u);
  EXPECT_TRUE(Holds("a"));
}

TEST_F(EvictorTest, OfAFewKeysTheOldestGoesWhicheverShardItIsIn) {
  Use(EvictionPolicy::kAllLru);
  for (int i = 0; i < 5; ++i) Put(keyspace_, i % 2, "k" + std::to_string(i), "v", now_ms_ + i * 10'000);
  for (int i = 0; i < 5; ++i) {
    EXPECT_GT(evictor_.EvictOne(now_ms_ + 60'000), 0u);
    EXPECT_FALSE(Holds("k" + std::to_string(i), i % 2)) << i;
  }
  EXPECT_EQ(evictor_.EvictOne(now_ms_ + 60'000), 0u);
  EXPECT_EQ(keyspace_.EvictedKeys(), 5u);
  ASSERT_EQ(recorder_.evicted.size(), 5u);
  EXPECT_EQ(recorder_.evicted[1], (std::pair<int, std::string>{1, "k1"}));
}

TEST_F(EvictorTest, AKeyThatWasUsedSinceItWasLookedAtStays) {
  Use(EvictionPolicy::kAllLru);
  for (int i = 0; i < 5; ++i) Put(keyspace_, 0, "k" + std::to_string(i), "v", now_ms_ + i * 10'000);
  EXPECT_GT(evictor_.EvictOne(now_ms_ + 60'000), 0u);  // k0; the others are in the pool now
  EXPECT_NE(Get(keyspace_, 0, "k1", now_ms_ + 61'000), nullptr);
  EXPECT_GT(evictor_.EvictOne(now_ms_ + 62'000), 0u);
  EXPECT_TRUE(Holds("k1"));
  EXPECT_FALSE(Holds("k2"));
}

TEST_F(EvictorTest, VolatilePoliciesTouchOnlyKeysWithATtl) {
  for (const EvictionPolicy policy : {EvictionPolicy::kVolatileLru, EvictionPolicy::kVolatileLfu,
                                      EvictionPolicy::kVolatileRandom, EvictionPolicy::kVolatileTtl}) {
    Use(policy);
    for (int i = 0; i < 3000; ++i) {
      Put(keyspace_, 0, "k" + std::to_string(i), "v", now_ms_,
          {.expire_ms = i % 100 == 0 ? now_ms_ + 1000 + i : kNoExpire});
    }
    for (int i = 0; i < 30; ++i) EXPECT_GT(evictor_.EvictOne(now_ms_), 0u);
    EXPECT_EQ(evictor_.EvictOne(now_ms_), 0u);
    EXPECT_EQ(keyspace_.Size(0), 2970u);
    EXPECT_EQ(keyspace_.ExpireCount(0), 0u);
  }
}

TEST_F(EvictorTest, VolatileTtlTakesWhatEndsSoonest) {
  Use(EvictionPolicy::kVolatileTtl);
  for (int i = 0; i < 10'000; ++i) {
    Put(keyspace_, 0, "k" + std::to_string(i), "v", now_ms_, {.expire_ms = now_ms_ + 1'000'000 + i * 100});
  }
  for (int i = 0; i < 1000; ++i) ASSERT_GT(evictor_.EvictOne(now_ms_), 0u);
  double rank = 0;
  for (const auto& [db, key] : recorder_.evicted) rank += std::stoi(key.substr(1));
  EXPECT_LT(rank / 1000, 2000);  // by chance it would be 5000
}

TEST_F(EvictorTest, RandomPoliciesAreFair) {
  Use(EvictionPolicy::kAllRandom);
  for (int i = 0; i < 20'000; ++i) Put(keyspace_, 0, "k" + std::to_string(i), "v", now_ms_);
  for (int i = 0; i < 10'000; ++i) ASSERT_GT(evictor_.EvictOne(now_ms_), 0u);
  int old_ones = 0;
  for (const auto& [db, key] : recorder_.evicted) old_ones += std::stoi(key.substr(1)) < 10'000;
  EXPECT_NEAR(old_ones, 5000, 500);
  keyspace_.Validate();
}

TEST_F(EvictorTest, TheLfuCounterGrowsSlowerAndSlowerAndDecays) {
  // One shard: each has its own random numbers, and which one a key is in differs from run to run.
  Keyspace keyspace({.shards = 1, .databases = 1});
  keyspace.SetEvictionPolicy(EvictionPolicy::kAllLfu);
  const LfuSettings lfu = keyspace.memory_settings().lfu();
  Put(keyspace, 0, "k", "v", now_ms_);
  const auto counter = [&](int64_t now) {
    At at(keyspace, "k");
    return LfuCounter(at.shard.Peek(0, "k", at.hash, now, View::kRaw)->access_bits(), now, lfu);
  };
  EXPECT_EQ(counter(now_ms_), kLfuInitial);
  for (int i = 0; i < 100; ++i) Get(keyspace, 0, "k", now_ms_);
  const uint32_t hundred = counter(now_ms_);
  EXPECT_GT(hundred, 7u);
  EXPECT_LT(hundred, 16u);
  for (int i = 0; i < 100'000; ++i) Get(keyspace, 0, "k", now_ms_);
  const uint32_t many = counter(now_ms_);
  EXPECT_GT(many, 100u);
  EXPECT_LT(many, 200u);
  EXPECT_EQ(counter(now_ms_ + 10 * 60'000), many - 10);
  EXPECT_EQ(counter(now_ms_ + 1000 * 60'000), 0u);
  // Overwriting a key is one more use of it, not a new key.
  Put(keyspace, 0, "k", "w", now_ms_);
  EXPECT_GE(counter(now_ms_), many);
}

TEST_F(EvictorTest, WhatWaitsToBeFreedCountsAndIsBounded) {
  Use(EvictionPolicy::kAllRandom);
  const std::string large(1 << 20, 'x');
  for (int i = 0; i < 8; ++i) Put(keyspace_, 0, "k" + std::to_string(i), large, now_ms_);
  // No room: freed at once, by who evicts.
  keyspace_.memory_settings().lazy_limit_bytes = 1024;
  EXPECT_GT(evictor_.EvictOne(now_ms_), large.size());
  EXPECT_EQ(keyspace_.WaitingBytes(), 0u);
  EXPECT_EQ(keyspace_.LazyFreePending(), 0u);
  // With room it goes to the background thread, and ends up freed.
  keyspace_.memory_settings().lazy_limit_bytes = SIZE_MAX;
  EXPECT_GT(evictor_.EvictOne(now_ms_), large.size());
  {
    AllShardsGuard guard(keyspace_);
    keyspace_.FlushAll();
  }
  while (keyspace_.LazyFreePending() > 0) std::this_thread::yield();
  EXPECT_EQ(keyspace_.WaitingBytes(), 0u);
  EXPECT_EQ(keyspace_.UsedBytes(), 0u);
}

TEST_F(EvictorTest, AScanGivesEachKeyThatStaysOnceWhateverComesAndGoes) {
  Use(EvictionPolicy::kVolatileRandom);
  Rng rng(5);
  FakeClock clock;
  std::set<std::string> staying;
  for (int i = 0; i < 5000; ++i) staying.insert("s" + std::to_string(i));
  for (const std::string& key : staying) Put(keyspace_, 0, key, "v", now_ms_);
  std::multiset<std::string> given;
  uint64_t cursor = 0;
  int next = 0;
  size_t evicted = 0;
  do {
    cursor = keyspace_.Scan(0, cursor, 20, now_ms_, View::kNormal, Keyspace::Locking::kTake, [&](const Entry& entry) {
      if (entry.key()[0] == 's') given.insert(std::string(entry.key()));
    });
    // Between two steps: tables grow by several splits and shrink again.
    now_ms_ += 10;
    const bool growing = next / 20'000 % 2 == 0;
    for (int i = 0; i < 200; ++i, ++next) {
      if (growing) Put(keyspace_, 0, "t" + std::to_string(next), "v", now_ms_, {.expire_ms = now_ms_ + static_cast<int64_t>(rng.Below(4000))});
      if (!growing || rng.OneIn(3)) evicted += evictor_.EvictOne(now_ms_) > 0;
    }
    keyspace_.Sweep(now_ms_, clock);
  } while (cursor != 0);
  EXPECT_EQ(given.size(), staying.size());
  EXPECT_TRUE(std::equal(given.begin(), given.end(), staying.begin(), staying.end()));
  EXPECT_GT(evicted, 1000u);
  EXPECT_GT(keyspace_.ExpiredKeys(), 1000u);
  keyspace_.Validate();
}

}  // namespace
}  // namespace understudy::store
