#include "node/store/keyspace.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <thread>

#include "common/clock.h"
#include "tests/unit/node/store/store_test_support.h"

namespace understudy::store {
namespace {

std::string Name(uint64_t i) { return "key:" + std::to_string(i); }

std::multiset<std::string> ScanAll(Keyspace& keyspace, int db, size_t count, FunctionRef<void()> between) {
  std::multiset<std::string> seen;
  uint64_t cursor = 0;
  do {
    cursor = keyspace.Scan(db, cursor, count, 0, View::kNormal, Keyspace::Locking::kTake,
                           [&](const Entry& entry) { seen.insert(std::string(entry.key())); });
    EXPECT_LT(cursor, uint64_t{1} << 48);
    between();
  } while (cursor != 0);
  return seen;
}

TEST(Scan, GivesEveryKeyThatStaysExactlyOnceWhileTheTableGrowsAndShrinks) {
  for (const uint32_t shards : {1u, 64u}) {
    Keyspace keyspace({.shards = shards, .databases = 1});
    constexpr uint64_t kStay = 10'000;
    for (uint64_t i = 0; i < kStay; ++i) Put(keyspace, 0, Name(i), "v");
    Rng rng(shards);
    uint64_t next = kStay, oldest = kStay;
    int calls = 0;
    const std::multiset<std::string> seen = ScanAll(keyspace, 0, 10, [&] {
      // First many more keys, so that all segments split several times; then they go again.
      ++calls;
      for (int i = 0; i < 300; ++i) {
        if (calls < 400) {
          Put(keyspace, 0, Name(next++), "v");
        } else if (oldest < next) {
          Del(keyspace, 0, Name(oldest++));
        }
      }
    });
    keyspace.Validate();
    EXPECT_GT(next, kStay * 5);
    for (uint64_t i = 0; i < kStay; ++i) ASSERT_EQ(seen.count(Name(i)), 1u) << Name(i);
    for (const std::string& key : seen) ASSERT_LE(seen.count(key), 1u);
  }
}

TEST(Scan, AnyCursorIsSafe) {
  Keyspace keyspace({.shards = 8, .databases = 2});
  for (uint64_t i = 0; i < 5000; ++i) Put(keyspace, 0, Name(i), "v");
  Rng rng(3);
  for (int i = 0; i < 10'000; ++i) {
    size_t given = 0;
    const uint64_t next = keyspace.Scan(static_cast<int>(rng.Below(2)), rng.Next() >> rng.Below(64), 5, 0,
                                        View::kNormal, Keyspace::Locking::kTake, [&](const Entry&) { ++given; });
    ASSERT_LT(next, uint64_t{1} << 48);
    ASSERT_LT(given, 100u);
  }
}

TEST(Scan, HidesExpiredKeysUnlessRaw) {
  Keyspace keyspace;
  Put(keyspace, 0, "a", "1", 1000, {.expire_ms = 1500});
  Put(keyspace, 0, "b", "1", 1000);
  for (const auto& [view, expected] : {std::pair{View::kNormal, 1u}, {View::kRaw, 2u}}) {
    size_t n = 0;
    keyspace.ForEach(0, 1501, view, Keyspace::Locking::kTake, [&](const Entry&) { ++n; });
    EXPECT_EQ(n, expected);
  }
}

TEST(RandomKey, ReachesAllKeysAboutEqually) {
  Keyspace keyspace({.shards = 4, .databases = 1});
  EXPECT_FALSE(keyspace.RandomKey(0, 0, View::kNormal, Keyspace::Locking::kTake));
  constexpr int kKeys = 200, kDraws = 40'000;
  for (uint64_t i = 0; i < kKeys; ++i) Put(keyspace, 0, Name(i), "v");
  std::map<std::string, int> drawn;
  for (int i = 0; i < kDraws; ++i) ++drawn[*keyspace.RandomKey(0, 0, View::kNormal, Keyspace::Locking::kTake)];
  EXPECT_EQ(drawn.size(), static_cast<size_t>(kKeys));
  for (const auto& [key, n] : drawn) EXPECT_GT(n, kDraws / kKeys / 8) << key;
}

TEST(RandomKey, FindsTheOnlyKeyAndNoExpiredOne) {
  Keyspace keyspace;
  Put(keyspace, 3, "only", "v", 1000, {.expire_ms = 2000});
  EXPECT_EQ(keyspace.RandomKey(3, 2000, View::kNormal, Keyspace::Locking::kTake), "only");
  EXPECT_EQ(keyspace.RandomKey(3, 2001, View::kNormal, Keyspace::Locking::kTake), std::nullopt);
  EXPECT_EQ(keyspace.RandomKey(3, 2001, View::kRaw, Keyspace::Locking::kTake), "only");
}

TEST(Expiry, AKeyLivesThroughTheMillisecondOfItsExpiryTime) {
  Keyspace keyspace;
  Put(keyspace, 0, "k", "v", 1000, {.expire_ms = 2000});
  EXPECT_NE(Get(keyspace, 0, "k", 2000), nullptr);
  EXPECT_EQ(Get(keyspace, 0, "k", 2001), nullptr);
  EXPECT_NE(Get(keyspace, 0, "k", 2001, View::kRaw), nullptr);
  EXPECT_EQ(keyspace.Size(0), 1u);  // still stored
}

TEST(Expiry, SweepStopsAtItsTimeBudgetAndSaysThatThereIsMore) {
  class TickingClock final : public Clock {
   public:
    MonoTime Mono() const override { return {now_ += 300'000}; }
    WallTime Wall() const override { return {}; }

   private:
    mutable int64_t now_ = 0;
  };
  Keyspace keyspace({.shards = 16, .databases = 1});
  for (uint64_t i = 0; i < 20'000; ++i) Put(keyspace, 0, Name(i), "v", 0, {.expire_ms = 10});
  TickingClock clock;
  int calls = 1;
  for (; keyspace.Sweep(1000, clock, {.max_time = Milliseconds(1)}).more; ++calls) ASSERT_LT(calls, 1000);
  EXPECT_GT(calls, 5);
  EXPECT_EQ(keyspace.Size(0), 0u);
  EXPECT_EQ(keyspace.ExpiredKeys(), 20'000u);
}

TEST(Encoding, IsNamedAsRedisNamesIt) {
  Keyspace keyspace;
  EXPECT_EQ(Put(keyspace, 0, "k", "12")->EncodingName(), "int");
  EXPECT_EQ(Put(keyspace, 0, "k", "-9223372036854775808")->EncodingName(), "int");
  EXPECT_EQ(Put(keyspace, 0, "k", "9223372036854775808")->EncodingName(), "embstr");
  for (const char* text : {"", "-", "+1", "01", "-0", "1 ", "1.0", "0x1"}) {
    EXPECT_EQ(Put(keyspace, 0, "k", text)->EncodingName(), "embstr") << text;
  }
  EXPECT_EQ(Put(keyspace, 0, "k", std::string(44, 'x'))->EncodingName(), "embstr");
  EXPECT_EQ(Put(keyspace, 0, "k", std::string(45, 'x'))->EncodingName(), "raw");
  EXPECT_EQ(Put(keyspace, 0, "k", "3", 0, {.hint = StringHint::kNotInt})->EncodingName(), "embstr");
  At at(keyspace, "k");
  at.shard.Resize(0, "k", at.hash, 1, 0);
  EXPECT_EQ(Get(keyspace, 0, "k")->EncodingName(), "raw");
}

TEST(IdleTime, CountsSecondsSinceTheLastFindNotPeek) {
  Keyspace keyspace;
  Put(keyspace, 0, "k", "v", 10'000);
  At at(keyspace, "k");
  EXPECT_EQ(at.shard.Peek(0, "k", at.hash, 17'000, View::kNormal)->IdleSeconds(17'000), 7u);
  at.shard.Find(0, "k", at.hash, 18'000, View::kNormal);
  EXPECT_EQ(at.shard.Peek(0, "k", at.hash, 20'500, View::kNormal)->IdleSeconds(20'500), 2u);
  std::optional<StoredValue> value = at.shard.Copy(0, "k", at.hash, 28'000);
  At to(keyspace, "other");
  EXPECT_EQ(to.shard.Put(0, "other", to.hash, *std::move(value), 28'000)->IdleSeconds(28'000), 10u);
}

TEST(LargeValues, ASharedOneIsCopiedBeforeItChanges) {
  Keyspace keyspace;
  const std::string big(100'000, 'x');
  Put(keyspace, 0, "k", big);
  At at(keyspace, "k");
  const std::optional<StoredValue> held = at.shard.Copy(0, "k", at.hash, 0);
  ASSERT_TRUE(held->blob);
  at.shard.Resize(0, "k", at.hash, big.size() + 1, 0)[0] = 'y';
  EXPECT_EQ(held->view(), big);
  EXPECT_EQ(Get(keyspace, 0, "k")->value()[0], 'y');
  Put(keyspace, 0, "k", std::string(100'000, 'z'));
  EXPECT_EQ(held->view(), big);
  keyspace.Validate();
}

TEST(LargeValues, AppendsToAnUnsharedOneDoNotCopyEachTime) {
  Keyspace keyspace;
  At at(keyspace, "k");
  const char* address = nullptr;
  int moves = 0;
  for (size_t size = 1; size < 2'000'000; size += 100) {
    const std::span<char> value = at.shard.Resize(0, "k", at.hash, size, 0);
    if (value.data() != address) ++moves;
    address = value.data();
  }
  EXPECT_LT(moves, 350);  // of 20,000: by classes to 16 KiB, then by doubling
}

TEST(Memory, UsedBytesFollowEntriesAndReturnAfterAFlush) {
  Keyspace keyspace({.shards = 4, .databases = 2});
  EXPECT_EQ(keyspace.UsedBytes(), 0u);
  for (uint64_t i = 0; i < 10'000; ++i) Put(keyspace, 1, Name(i), std::string(100, 'x'));
  const size_t before = keyspace.UsedBytes();
  EXPECT_GT(before, 10'000u * 110);
  EXPECT_LT(before, 10'000u * 170);
  Put(keyspace, 1, "big", std::string(1'000'000, 'x'));
  EXPECT_GE(keyspace.UsedBytes(), before + 1'000'000);
  EXPECT_GE(Get(keyspace, 1, "big")->AllocatedBytes(), 1'000'000u);
  {
    AllShardsGuard guard(keyspace);
    keyspace.FlushAll();
  }
  EXPECT_EQ(keyspace.UsedBytes(), 0u);
  EXPECT_EQ(keyspace.TotalSize(), 0u);
}

// Memory per key is a promise.
TEST(Memory, TheTablesTakeTwelveBytesOfAKey) {
  Keyspace keyspace;
  constexpr uint64_t kKeys = 100'000;
  double sum = 0;
  uint64_t filled = 0;
  for (uint64_t step = 1; step <= 8; ++step) {  // across a doubling, so that no table's growth is met at its best
    for (; filled < kKeys + kKeys * step / 8; ++filled) Put(keyspace, 0, Name(filled), "v");
    sum += static_cast<double>(keyspace.IndexBytes()) / static_cast<double>(filled);
  }
  EXPECT_LT(sum / 8, 12.0);
}

TEST(Contents, AreSwappedInOneMoment) {
  Keyspace live({.shards = 8, .databases = 2}), beside({.shards = 8, .databases = 2});
  for (uint64_t i = 0; i < 1000; ++i) Put(live, 0, Name(i), "old");
  for (uint64_t i = 500; i < 3000; ++i) Put(beside, 1, Name(i), std::string(20'000, 'n'), 0, {.expire_ms = 99});
  live.SwapContents(beside);
  live.Validate();
  beside.Validate();
  EXPECT_EQ(live.Size(0), 0u);
  EXPECT_EQ(live.Size(1), 2500u);
  EXPECT_EQ(live.ExpireCount(1), 2500u);
  EXPECT_EQ(beside.Size(0), 1000u);
  FakeClock clock;
  while (live.Sweep(100, clock).more) {}
  EXPECT_EQ(live.Size(1), 0u);
}

TEST(Contents, OutliveTheKeyspaceTheyWereLoadedInto) {
  Keyspace live({.shards = 2, .databases = 1});
  {
    Keyspace beside({.shards = 2, .databases = 1});
    Put(beside, 0, "k", std::string(200'000, 'n'));
    live.SwapContents(beside);
  }
  EXPECT_TRUE(Del(live, 0, "k"));  // goes to the live keyspace's freeing thread
  live.Validate();
}

class Watching : public testing::Test {
 protected:
  Watching() {
    watched.db = 0;
    watched.key = "k";
    watched.hash = Keyspace::Hash("k");
    watched.dirty = &dirty;
  }
  Shard& shard() { return keyspace.ShardOf(watched.hash); }
  bool TakeDirty() { return dirty.exchange(false); }

  Keyspace keyspace{{.shards = 4, .databases = 3}};
  std::atomic<bool> dirty{false};
  WatchedKey watched;
};

TEST_F(Watching, EveryKindOfChangeIsNoticedAndNothingElse) {
  shard().Watch(watched, 0);
  Put(keyspace, 1, "k", "v");
  Put(keyspace, 0, "other", "v");
  EXPECT_FALSE(shard().Erase(0, "k", watched.hash));
  EXPECT_FALSE(TakeDirty());
  Put(keyspace, 0, "k", "v");
  EXPECT_TRUE(TakeDirty());
  Get(keyspace, 0, "k");
  EXPECT_FALSE(TakeDirty());
  shard().Resize(0, "k", watched.hash, 3, 0);
  EXPECT_TRUE(TakeDirty());
  shard().SetExpire(0, "k", watched.hash, 500);
  EXPECT_TRUE(TakeDirty());
  shard().Persist(0, "k", watched.hash);
  EXPECT_TRUE(TakeDirty());
  std::optional<StoredValue> value = shard().Take(0, "k", watched.hash, 0);
  EXPECT_TRUE(TakeDirty());
  shard().Put(0, "k", watched.hash, *std::move(value), 0);
  EXPECT_TRUE(TakeDirty());
  keyspace.SwapDb(0, 2, 0);
  EXPECT_TRUE(TakeDirty());
  keyspace.SwapDb(1, 2, 0);
  EXPECT_FALSE(TakeDirty());
  keyspace.FlushDb(0);
  EXPECT_FALSE(TakeDirty());  // was not there
  Put(keyspace, 0, "k", "v");
  EXPECT_TRUE(TakeDirty());
  keyspace.FlushDb(0);
  EXPECT_TRUE(TakeDirty());
  shard().Unwatch(watched);
  Put(keyspace, 0, "k", "v");
  EXPECT_FALSE(TakeDirty());
}

TEST_F(Watching, ASinkIsToldOfEachChange) {
  struct Sink final : ChangeSink {
    void OnChanged(WatchedKey& changed) override { told.push_back(changed.key); }
    std::vector<std::string> told;
  } sink;
  watched.dirty = nullptr;
  watched.sink = &sink;
  shard().Watch(watched, 0);
  Put(keyspace, 0, "other", "v");
  Put(keyspace, 0, "k", "v", 0, {.expire_ms = 100});
  Put(keyspace, 1, "k", "v");
  EXPECT_EQ(sink.told.size(), 1u);
  FakeClock clock;
  keyspace.Sweep(101, clock);
  keyspace.SwapDb(0, 1, 101);
  keyspace.FlushDb(0);
  EXPECT_EQ(sink.told, (std::vector<std::string>{"k", "k", "k", "k"}));
  shard().Unwatch(watched);
}

TEST_F(Watching, ExpiryCountsOnceItsTimeHasCome) {
  Put(keyspace, 0, "k", "v", 0, {.expire_ms = 100});
  shard().Watch(watched, 50);
  EXPECT_FALSE(shard().WatchedKeyExpired(watched, 100));
  EXPECT_TRUE(shard().WatchedKeyExpired(watched, 101));
  FakeClock clock;
  keyspace.Sweep(101, clock);
  EXPECT_TRUE(TakeDirty());
  shard().Unwatch(watched);
}

TEST_F(Watching, AKeyExpiredBeforeItWasWatchedMayGoUnnoticed) {
  Put(keyspace, 0, "k", "v", 0, {.expire_ms = 100});
  shard().Watch(watched, 200);
  EXPECT_FALSE(shard().WatchedKeyExpired(watched, 300));
  shard().FindForWrite(0, "k", watched.hash, 300, View::kNormal);
  EXPECT_FALSE(TakeDirty());
  Put(keyspace, 0, "k", "v");
  EXPECT_TRUE(TakeDirty());
  shard().Unwatch(watched);
}

TEST(Threads, ReadersWritersSweeperScannerAndFlushWorkTogether) {
  Keyspace keyspace({.shards = 8, .databases = 2});
  keyspace.SetShared(true);
  const size_t rounds = 150'000 / kSlowdown;
  std::atomic<bool> stop{false};
  std::vector<std::thread> workers;
  for (uint64_t t = 0; t < 2; ++t) {
    workers.emplace_back([&, t] {
      Rng rng(t);
      for (size_t i = 0; i < rounds; ++i) {
        const std::string key = Name(rng.Below(20'000));
        At at(keyspace, key);
        OneShardGuard guard(keyspace, at.shard);
        const int db = static_cast<int>(rng.Below(2));
        const auto now = static_cast<int64_t>(i);
        switch (rng.Below(4)) {
          case 0: at.shard.Erase(db, key, at.hash); break;
          case 1: at.shard.Find(db, key, at.hash, now, View::kNormal); break;
          case 2: at.shard.Set(db, key, at.hash, rng.OneIn(100) ? std::string(70'000, 'x') : "v", now,
                               {.expire_ms = now + static_cast<int64_t>(rng.Below(5000))});
                  break;
          default: at.shard.Resize(db, key, at.hash, rng.Below(100), now); break;
        }
      }
    });
  }
  std::thread sweeper([&] {
    SystemClock clock;
    for (int64_t now = 0; !stop; now += 100) keyspace.Sweep(now, clock);
  });
  std::thread scanner([&] {
    size_t seen = 0;
    for (int i = 0; !stop; ++i) {
      keyspace.ForEach(i % 2, 0, View::kNormal, Keyspace::Locking::kTake, [&](const Entry&) { ++seen; });
      (void)keyspace.RandomKey(i % 2, 0, View::kRaw, Keyspace::Locking::kTake);
      store::Probe probe;
      {
        const auto hash = static_cast<uint64_t>(i) * 0x9e3779b97f4a7c15;
        const OneShardGuard guard(keyspace, keyspace.ShardOf(hash));
        if (keyspace.ShardOf(hash).Prefetch(0, hash, &probe)) probe.Step();
      }
      if (i % 50 == 0) {
        AllShardsGuard guard(keyspace);
        keyspace.SwapDb(0, 1, 0);
        if (i % 100 == 0) keyspace.FlushDb(0);
      }
      (void)(keyspace.UsedBytes() + keyspace.TotalSize() + keyspace.LazyFreePending());
    }
  });
  for (std::thread& worker : workers) worker.join();
  stop = true;
  sweeper.join();
  scanner.join();
  keyspace.SetShared(false);
  keyspace.Validate();
}

}  // namespace
}  // namespace understudy::store
