// A snapshot equals the state at its cut, whatever is written, deleted, expired, flushed or swapped meanwhile.
#include "node/persist/snapshot.h"

#include <gtest/gtest.h>

#include <thread>

#include "common/clock.h"
#include "tests/unit/node/persist/persist_test_support.h"

namespace understudy::persist {
namespace {

using store::AllShardsGuard;
using store::At;
using store::Keyspace;
using store::OneShardGuard;
using store::Rng;

// Random writes of all kinds, one at a time, under the locks that a command would have.
class Writer {
 public:
  Writer(Keyspace& keyspace, uint64_t seed) : keyspace_(keyspace), rng_(seed) {}

  void Step(uint64_t key_range) {
    now_ms_ += rng_.OneIn(10) ? 1 : 0;
    const std::string key = "k" + std::to_string(rng_.Below(key_range));
    const int db = static_cast<int>(rng_.Below(2));
    At at(keyspace_, key);
    OneShardGuard guard(keyspace_, at.shard);
    switch (rng_.Below(10)) {
      case 0:
      case 1: at.shard.Erase(db, key, at.hash); break;
      case 2: at.shard.SetExpire(db, key, at.hash, now_ms_ + static_cast<int64_t>(rng_.Below(300))); break;
      case 3: at.shard.Persist(db, key, at.hash); break;
      case 4: {
        const std::span<char> value = at.shard.Resize(db, key, at.hash, Size(), now_ms_);
        if (!value.empty()) value[rng_.Below(value.size())] = static_cast<char>('0' + rng_.Below(10));
        break;
      }
      case 5: {
        std::optional<store::StoredValue> value = at.shard.Take(db, key, at.hash, now_ms_);
        if (value) at.shard.Put(1 - db, key, at.hash, *std::move(value), now_ms_);
        break;
      }
      case 6: at.shard.EraseIfExpired(db, key, at.hash, now_ms_); break;
      default:
        at.shard.Set(db, key, at.hash, std::string(Size(), static_cast<char>('a' + rng_.Below(26))), now_ms_,
                     {.expire_ms = rng_.OneIn(3) ? now_ms_ + static_cast<int64_t>(rng_.Below(300)) : store::kNoExpire});
    }
  }
  void Sweep() {
    while (keyspace_.Sweep(now_ms_, clock_, {.max_entries = 100'000'000, .max_time = Seconds(100)}).more) {}
  }
  void Flush(int db) {
    AllShardsGuard guard(keyspace_);
    keyspace_.FlushDb(db);
  }
  void Swap() {
    AllShardsGuard guard(keyspace_);
    keyspace_.SwapDb(0, 1, 0);
  }
  Rng& rng() { return rng_; }

 private:
  size_t Size() { return rng_.OneIn(200) ? store::kBlobMinBytes - 10 + rng_.Below(3000) : rng_.Below(100); }
  Keyspace& keyspace_;
  Rng rng_;
  FakeClock clock_;
  int64_t now_ms_ = 1'700'000'000'000;
};

struct Running {
  std::unique_ptr<Snapshot> snapshot;
  Contents at_cut;
  StringSink sink;
};

std::unique_ptr<Running> BeginNow(Keyspace& keyspace, const Snapshot::Options& options) {
  auto running = std::make_unique<Running>();
  auto begun = Snapshot::Begin(keyspace, options, [&] {
    running->at_cut = ContentsOf(keyspace, Keyspace::Locking::kHeld);
    return AuxFields{};
  });
  EXPECT_TRUE(begun.ok()) << begun.status().ToString();
  running->snapshot = *std::move(begun);
  return running;
}

void ExpectEqualsCut(const Running& running) {
  Result<Contents> loaded = Load(running.sink.rdb, 2);
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  ASSERT_EQ(loaded->size(), running.at_cut.size());
  ASSERT_TRUE(*loaded == running.at_cut);
}

TEST(Snapshot, InterleavedWithEveryKindOfWriteEqualsTheCut) {
  for (uint64_t seed = 1; seed <= 60 / store::kSlowdown; ++seed) {
    SCOPED_TRACE(seed);
    Keyspace keyspace({.shards = seed % 3 == 0 ? 1u : 4u, .databases = 2});
    keyspace.SetShared(true);
    Writer writer(keyspace, seed);
    Rng& rng = writer.rng();
    // Some start small and grow much during the snapshot, others shrink.
    const uint64_t before = seed % 2 == 0 ? 20'000 : 1000;
    const uint64_t during = seed % 2 == 0 ? 2000 : 40'000;
    for (uint64_t i = 0; i < before * 2; ++i) writer.Step(before);
    {
      std::vector<std::unique_ptr<Running>> running;
      const Snapshot::Options options{.chunk_bytes = 1 + rng.Below(3000), .entries_a_lock = 1 + rng.Below(20)};
      running.push_back(BeginNow(keyspace, options));
      int finished = 0;
      for (int turn = 0; !running.empty(); ++turn) {
        ASSERT_LT(turn, 1'000'000);
        for (uint64_t i = rng.Below(200); i > 0; --i) writer.Step(during);
        if (rng.OneIn(200)) writer.Sweep();
        if (rng.OneIn(2000)) writer.Flush(static_cast<int>(rng.Below(2)));
        if (rng.OneIn(300)) writer.Swap();
        if (rng.OneIn(300) && finished + running.size() < 6 && running.size() < store::kMaxSnapshots) {
          running.push_back(BeginNow(keyspace, options));
        }
        const size_t i = rng.Below(running.size());
        Result<bool> done = running[i]->snapshot->Step(running[i]->sink);
        ASSERT_TRUE(done.ok()) << done.status().ToString();
        if (*done) {
          ExpectEqualsCut(*running[i]);
          if (HasFatalFailure()) return;
          running.erase(running.begin() + static_cast<long>(i));
          ++finished;
        }
      }
    }
    keyspace.SetShared(false);
    keyspace.Validate();
  }
}

TEST(Snapshot, FlushOfEverythingDuringItLosesNothing) {
  Keyspace keyspace({.shards = 4, .databases = 2});
  keyspace.SetShared(true);
  Writer writer(keyspace, 1);
  for (int i = 0; i < 50'000; ++i) writer.Step(20'000);
  {
    auto running = BeginNow(keyspace, {.chunk_bytes = 1000});
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(running->snapshot->Step(running->sink).ok());
    writer.Flush(0);
    writer.Flush(1);
    EXPECT_EQ(keyspace.TotalSize(), 0u);
    for (int i = 0; i < 5000; ++i) writer.Step(20'000);
    ASSERT_TRUE(running->snapshot->Run(running->sink).ok());
    ExpectEqualsCut(*running);
  }
  keyspace.SetShared(false);
}

TEST(Snapshot, ContentsSwappedAwayDuringItAreStillItsOwn) {
  Keyspace keyspace({.shards = 4, .databases = 2});
  keyspace.SetShared(true);
  Writer writer(keyspace, 1);
  for (int i = 0; i < 50'000; ++i) writer.Step(20'000);
  auto running = BeginNow(keyspace, {.chunk_bytes = 1000});
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(running->snapshot->Step(running->sink).ok());
  {
    Keyspace beside({.shards = 4, .databases = 2});
    store::Put(beside, 0, "new", "v");
    AllShardsGuard guard(keyspace);
    keyspace.SwapContents(beside);
  }
  for (int i = 0; i < 5000; ++i) writer.Step(20'000);
  auto second = BeginNow(keyspace, {});
  ASSERT_TRUE(running->snapshot->Run(running->sink).ok());
  ExpectEqualsCut(*running);
  ASSERT_TRUE(second->snapshot->Run(second->sink).ok());
  ExpectEqualsCut(*second);
  second.reset();
  running.reset();
  keyspace.SetShared(false);
  keyspace.Validate();
}

TEST(Snapshot, GivenUpHalfwayLeavesNothingBehind) {
  Keyspace keyspace({.shards = 4, .databases = 2});
  keyspace.SetShared(true);
  Writer writer(keyspace, 1);
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 3000; ++i) writer.Step(5000);
    auto running = BeginNow(keyspace, {.chunk_bytes = 500});
    for (int i = 0; i < round; ++i) ASSERT_TRUE(running->snapshot->Step(running->sink).ok());
  }
  auto running = BeginNow(keyspace, {});
  ASSERT_TRUE(running->snapshot->Run(running->sink).ok());
  ExpectEqualsCut(*running);
  running.reset();
  keyspace.SetShared(false);
}

TEST(Snapshot, AtMostFourAtOnce) {
  Keyspace keyspace;
  keyspace.SetShared(true);
  std::vector<std::unique_ptr<Running>> running;
  for (int i = 0; i < store::kMaxSnapshots; ++i) running.push_back(BeginNow(keyspace, {}));
  auto one_more = Snapshot::Begin(keyspace, {}, [] { return AuxFields{}; });
  ASSERT_FALSE(one_more.ok());
  EXPECT_EQ(one_more.status().code(), Code::kUnavailable);
  running.pop_back();
  EXPECT_TRUE(Snapshot::Begin(keyspace, {}, [] { return AuxFields{}; }).ok());
  running.clear();
  keyspace.SetShared(false);
}

TEST(Snapshot, MemoryForASlowReceiverIsBounded) {
  Keyspace keyspace({.shards = 4, .databases = 1});
  for (int i = 0; i < 5000; ++i) store::Put(keyspace, 0, "k" + std::to_string(i), std::string(1000, 'x'));
  keyspace.SetShared(true);
  constexpr size_t kLimit = 1'000'000;
  {
    auto running = BeginNow(keyspace, {.pre_image_limit_bytes = kLimit});
    EXPECT_FALSE(keyspace.WritersShouldWait());
    bool pressed = false;
    for (int i = 0; i < 5000; ++i) {
      store::Put(keyspace, 0, "k" + std::to_string(i), "y");
      pressed = pressed || keyspace.WritersShouldWait();
    }
    EXPECT_TRUE(pressed);
    EXPECT_FALSE(keyspace.WritersShouldWait());  // given up: nothing is kept any more
    EXPECT_LT(running->snapshot->pre_image_peak_bytes(), kLimit + 2000);
    Result<bool> step = running->snapshot->Step(running->sink);
    ASSERT_FALSE(step.ok());
    EXPECT_EQ(step.status().code(), Code::kUnavailable);
    EXPECT_FALSE(running->snapshot->Step(running->sink).ok());
  }
  // Half full: pressure, which ends when it is written.
  {
    auto running = BeginNow(keyspace, {.pre_image_limit_bytes = 20'000});
    for (int i = 0; !keyspace.WritersShouldWait(); ++i) store::Put(keyspace, 0, "k" + std::to_string(i), "z");
    ASSERT_TRUE(running->snapshot->Run(running->sink).ok());
    EXPECT_FALSE(keyspace.WritersShouldWait());
    ExpectEqualsCut(*running);
    for (int i = 0; !running->at_cut.empty() && i < 100; ++i) store::Put(keyspace, 0, "k" + std::to_string(i), "w");
    EXPECT_FALSE(keyspace.WritersShouldWait());
  }
  {
    auto running = BeginNow(keyspace, {.pre_image_limit_bytes = 20'000});
    for (int i = 0; !keyspace.WritersShouldWait(); ++i) store::Put(keyspace, 0, "k" + std::to_string(i), "z");
  }
  EXPECT_FALSE(keyspace.WritersShouldWait());  // ended with the snapshot
  keyspace.SetShared(false);
}

TEST(Snapshot, AnErrorOfTheSinkIsFinal) {
  class BrokenSink final : public ChunkSink {
   public:
    Status Write(std::string_view) override { return Unavailable("connection lost"); }
  };
  Keyspace keyspace;
  keyspace.SetShared(true);
  auto running = BeginNow(keyspace, {});
  BrokenSink broken;
  EXPECT_FALSE(running->snapshot->Run(broken).ok());
  Result<bool> again = running->snapshot->Step(running->sink);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.status().message(), "connection lost");
  running.reset();
  keyspace.SetShared(false);
}

TEST(Snapshot, WhileThreadsWriteFlushAndSwapEachEqualsItsCut) {
  Keyspace keyspace({.shards = 8, .databases = 2});
  {
    Writer writer(keyspace, 0);
    for (size_t i = 0; i < 60'000 / store::kSlowdown; ++i) writer.Step(20'000);
  }
  keyspace.SetShared(true);
  std::atomic<bool> stop{false};
  std::vector<std::thread> writers;
  for (uint64_t t = 1; t <= 2; ++t) {
    writers.emplace_back([&, t] {
      Writer writer(keyspace, t);
      while (!stop) {
        for (int i = 0; i < 500; ++i) writer.Step(30'000);
        if (writer.rng().OneIn(20)) writer.Sweep();
        if (writer.rng().OneIn(300)) writer.Flush(static_cast<int>(writer.rng().Below(2)));
        if (writer.rng().OneIn(20)) writer.Swap();
        std::this_thread::yield();
      }
    });
  }
  std::vector<std::thread> copiers;
  for (int c = 0; c < 2; ++c) {
    copiers.emplace_back([&] {
      for (int i = 0; i < 8; ++i) {
        auto running = BeginNow(keyspace, {.pre_image_limit_bytes = 1u << 30, .chunk_bytes = 5000, .entries_a_lock = 16});
        const Status status = running->snapshot->Run(running->sink);
        ASSERT_TRUE(status.ok()) << status.ToString();
        running->snapshot.reset();
        ExpectEqualsCut(*running);
      }
    });
  }
  for (std::thread& copier : copiers) copier.join();
  stop = true;
  for (std::thread& writer : writers) writer.join();
  keyspace.SetShared(false);
  keyspace.Validate();
}

}  // namespace
}  // namespace understudy::persist
