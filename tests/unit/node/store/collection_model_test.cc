// Collections in the keyspace against std:: containers: edits, moves, overwriting, expiry, flushes.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "node/store/edit.h"
#include "tests/unit/node/store/collections.h"

namespace understudy::store {
namespace {

class CollectionModel {
 public:
  CollectionModel(uint64_t seed, uint32_t shards)
      : keyspace({.shards = shards, .databases = 2}), writer(keyspace, seed) {}

  void Compare() {
    keyspace.Validate();
    const CollectionModelMap& map = writer.map();
    size_t held = 0, given = 0;
    for (int db = 0; db < 2; ++db) {
      keyspace.ForEach(db, writer.now_ms(), View::kRaw, Keyspace::Locking::kTake, [&](const Entry& entry) {
        held += entry.AllocatedBytes();
        ++given;
        const auto it = map.find({db, std::string(entry.key())});
        ASSERT_NE(it, map.end());
        ASSERT_EQ(Shown(entry), it->second.Shown()) << entry.key();
        ASSERT_EQ(entry.expire_ms(), it->second.expire_ms);
      });
    }
    ASSERT_EQ(given, map.size());
    ASSERT_EQ(keyspace.UsedBytes(), held + keyspace.IndexBytes());
  }

  Keyspace keyspace;
  CollectionWriter writer;
};

TEST(CollectionModel, RandomOperationsGiveWhatContainersGive) {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    CollectionModel model(seed, seed % 2 == 0 ? 1 : 4);
    for (int round = 0; round < 20; ++round) {
      for (size_t i = 0; i < 10'000 / kSlowdown; ++i) {
        model.writer.Step(200);
        if (::testing::Test::HasFatalFailure()) return;
      }
      if (round == 10) model.writer.Flush(1);
      if (round % 3 == 0) model.writer.Swap();
      model.Compare();
      if (::testing::Test::HasFatalFailure()) return;
    }
    model.writer.Flush(0);
    model.writer.Flush(1);
    model.Compare();
  }
}

TEST(CollectionModel, LargeCollectionsComeAndGo) {
  CollectionModel model(9, 4);
  model.writer.set_largest(5000);
  for (size_t i = 0; i < 200'000 / kSlowdown; ++i) {
    model.writer.Step(20);
    if (::testing::Test::HasFatalFailure()) return;
  }
  model.Compare();
}

types::Hash HashOf(int fields) {
  types::Hash hash;
  for (int i = 0; i < fields; ++i) hash.Set("f" + std::to_string(i), "v", types::kNoExpire, types::Limits(), 0);
  return hash;
}

class EditTest : public ::testing::Test {
 protected:
  Edit<types::Hash> Open() {
    return Edit<types::Hash>(at.shard, 0, "h", at.hash, at.shard.FindForWrite(0, "h", at.hash, 0, View::kNormal), 0,
                             [] { return types::Hash(); });
  }
  void Set(std::string_view field) { Open()->Set(field, "v", types::kNoExpire, types::Limits(), 0); }
  const Entry* Find() { return at.shard.Peek(0, "h", at.hash, 0, View::kNormal); }

  Keyspace keyspace{{.shards = 1, .databases = 1}};
  At at{keyspace, "h"};
};

TEST_F(EditTest, MakesTheKeyWithItsFirstElementAndRemovesItWithItsLast) {
  Open();
  EXPECT_EQ(Find(), nullptr);
  const size_t before = keyspace.UsedBytes();
  Set("f");
  ASSERT_NE(Find(), nullptr);
  EXPECT_EQ(Find()->type(), Type::kHash);
  EXPECT_EQ(Find()->EncodingName(), "listpack");
  EXPECT_EQ(Find()->value(), "");
  EXPECT_GT(keyspace.UsedBytes(), before);
  EXPECT_TRUE(Find()->As<types::Hash>()->Find("f", 0).has_value());
  Open()->Erase("f", 0);
  EXPECT_EQ(Find(), nullptr);
  keyspace.Validate();
}

TEST_F(EditTest, MarksWatchersIfSomethingChanged) {
  Set("f");
  std::atomic<bool> dirty{false};
  WatchedKey watched{.db = 0, .key = "h", .hash = at.hash, .dirty = &dirty};
  at.shard.Watch(watched, 0);
  {
    auto edit = Open();
    EXPECT_FALSE(edit.is_new());
    edit.NothingChanged();
  }
  EXPECT_FALSE(dirty);
  Set("g");
  EXPECT_TRUE(dirty.exchange(false));
  {
    auto edit = Open();
    edit->Erase("f", 0);
    edit->Erase("g", 0);
  }
  EXPECT_TRUE(dirty);
  at.shard.Unwatch(watched);
}

TEST_F(EditTest, KeepsTheTimeToLiveThatSetCollectionRemoves) {
  Set("f");
  at.shard.SetExpire(0, "h", at.hash, 1000);
  Set("g");
  EXPECT_EQ(Find()->expire_ms(), 1000);
  at.shard.SetCollection(0, "h", at.hash, Collection(HashOf(3)), 0);
  EXPECT_FALSE(Find()->has_expire());
  EXPECT_EQ(CollectionSize(*Find()), 3u);
  EXPECT_TRUE(at.shard.SetCollection(0, "h", at.hash, Collection(types::Hash()), 0));
  EXPECT_EQ(Find(), nullptr);
  EXPECT_FALSE(at.shard.SetCollection(0, "h", at.hash, Collection(types::Hash()), 0));
}

TEST_F(EditTest, TheValueIsNotReadWhileItIsChanged) {
  Set("f");
  auto edit = Open();
  EXPECT_DEATH(Find()->As<types::Hash>(), "");
  edit.NothingChanged();
}

TEST_F(EditTest, AnotherTypeIsACheckFailure) {
  Put(keyspace, 0, "h", "text");
  EXPECT_DEATH(Find()->As<types::Hash>(), "");
  EXPECT_DEATH(Set("f"), "");
}

// ---- Fields whose time comes ----------------------------------------------------------------------------------------

class FieldSink : public ExpirySink {
 public:
  void OnExpired(int, std::string_view key) override { keys.push_back(std::string(key)); }
  void OnEvicted(int, std::string_view) override {}
  void OnFieldExpired(int db, std::string_view key, std::string_view field) override {
    fields.push_back(std::to_string(db) + " " + std::string(key) + " " + std::string(field));
  }
  void OnFieldsExpired(int db, std::string_view key, bool key_gone) override {
    hashes.push_back(std::to_string(db) + " " + std::string(key) + (key_gone ? " gone" : ""));
  }
  std::vector<std::string> keys, fields, hashes;
};

class FieldExpiryTest : public ::testing::Test {
 protected:
  FieldExpiryTest() { keyspace.SetExpirySink(&sink); }
  void Set(std::string_view key, std::string_view field, int64_t expire_ms) {
    At at(keyspace, key);
    Edit<types::Hash> edit(at.shard, 1, key, at.hash, at.shard.FindForWrite(1, key, at.hash, 0, View::kNormal), 0,
                           [] { return types::Hash(); });
    edit->Set(field, "v", expire_ms, types::Limits(), 0);
  }
  size_t Fields(std::string_view key) {
    At at(keyspace, key);
    const Entry* entry = at.shard.Peek(1, key, at.hash, 0, View::kRaw);
    return entry == nullptr ? 0 : CollectionSize(*entry);
  }
  void Sweep(int64_t now_ms) {
    FakeClock clock;
    while (keyspace.Sweep(now_ms, clock).more) {
    }
    keyspace.Validate();
  }

  FieldSink sink;
  Keyspace keyspace{{.shards = 4, .databases = 2}};
};

TEST_F(FieldExpiryTest, TheSweepRemovesThemAndTellsTheSink) {
  Set("h", "a", 100);
  Set("h", "b", types::kNoExpire);
  Set("h", "c", 200);
  Sweep(100);
  EXPECT_EQ(Fields("h"), 3u);  // it lives in the millisecond of its time
  Sweep(101);
  EXPECT_EQ(sink.fields, std::vector<std::string>{"1 h a"});
  EXPECT_EQ(Fields("h"), 2u);
  Sweep(500);
  EXPECT_EQ(sink.fields.back(), "1 h c");
  EXPECT_EQ(sink.hashes, (std::vector<std::string>{"1 h", "1 h"}));
  EXPECT_EQ(Fields("h"), 1u);
  EXPECT_EQ(keyspace.ExpiredFields(), 2u);
  EXPECT_TRUE(sink.keys.empty());
}

TEST_F(FieldExpiryTest, TheKeyGoesWithItsLastField) {
  for (int i = 0; i < 1000; ++i) Set("h", "f" + std::to_string(i), 100 + i % 3);
  At at(keyspace, "h");
  at.shard.SetExpire(1, "h", at.hash, 1'000'000);
  std::atomic<bool> dirty{false};
  WatchedKey watched{.db = 1, .key = "h", .hash = at.hash, .dirty = &dirty};
  at.shard.Watch(watched, 0);
  Sweep(500);
  EXPECT_EQ(sink.fields.size(), 1000u);
  EXPECT_EQ(sink.hashes.back(), "1 h gone");
  EXPECT_EQ(std::count(sink.hashes.begin(), sink.hashes.end(), "1 h gone"), 1);
  EXPECT_TRUE(sink.keys.empty());
  EXPECT_EQ(keyspace.TotalSize(), 0u);
  EXPECT_EQ(keyspace.ExpireCount(1), 0u);
  EXPECT_TRUE(dirty);
  at.shard.Unwatch(watched);
}

TEST_F(FieldExpiryTest, AWriteRemovesWhatIsDueFirst) {
  Set("h", "a", 100);
  Set("h", "b", types::kNoExpire);
  At at(keyspace, "h");
  Entry* entry = at.shard.FindForWrite(1, "h", at.hash, 101, View::kNormal);
  EXPECT_EQ(at.shard.ExpireFieldsOf(1, "h", at.hash, *entry, 100), entry);
  EXPECT_TRUE(sink.fields.empty());
  EXPECT_EQ(at.shard.ExpireFieldsOf(1, "h", at.hash, *entry, 101), entry);
  EXPECT_EQ(sink.fields.size(), 1u);
  EXPECT_EQ(sink.hashes, std::vector<std::string>{"1 h"});
  Set("i", "a", 100);
  At other(keyspace, "i");
  entry = other.shard.FindForWrite(1, "i", other.hash, 101, View::kNormal);
  EXPECT_EQ(other.shard.ExpireFieldsOf(1, "i", other.hash, *entry, 101), nullptr);
  EXPECT_EQ(Fields("i"), 0u);
  EXPECT_EQ(sink.hashes.back(), "1 i gone");
}

TEST(CollectionModel, SweepsRemoveExactlyTheKeysAndFieldsThatAreDue) {
  CollectionModel model(21, 4);
  model.writer.set_field_expiry(true);
  for (int round = 0; round < 200; ++round) {
    for (size_t i = 0; i < 1000 / kSlowdown; ++i) {
      model.writer.Step(200);
      if (::testing::Test::HasFatalFailure()) return;
    }
    model.writer.Sweep();
    model.Compare();
    if (::testing::Test::HasFatalFailure()) return;
  }
  EXPECT_GT(model.keyspace.ExpiredFields(), 100u);
}

TEST(LazyFree, LargeCollectionsGoToTheBackgroundThreadAndCountUntilTheyAreFreed) {
  Keyspace keyspace({.shards = 1, .databases = 1});
  At at(keyspace, "h");
  // The thread may be done before one can look, but not each time.
  const auto waits = [&](auto remove) {
    for (int tried = 0; tried < 20; ++tried) {
      while (keyspace.LazyFreePending() > 0) std::this_thread::yield();
      at.shard.SetCollection(0, "h", at.hash, Collection(HashOf(200'000)), 0);
      const size_t bytes = keyspace.UsedBytes();
      remove();
      EXPECT_LT(keyspace.UsedBytes(), bytes / 100);
      if (keyspace.LazyFreePending() > 0 && keyspace.WaitingBytes() > 0) return true;
    }
    return false;
  };
  EXPECT_TRUE(waits([&] { EXPECT_TRUE(at.shard.Erase(0, "h", at.hash)); }));
  // A string in its place does the same; 64 elements are freed at once.
  EXPECT_TRUE(waits([&] { at.shard.Set(0, "h", at.hash, "v", 0); }));
  while (keyspace.LazyFreePending() > 0) std::this_thread::yield();
  EXPECT_EQ(keyspace.WaitingBytes(), 0u);
  for (const int fields : {64, 512}) {
    at.shard.SetCollection(0, "h", at.hash, Collection(HashOf(fields)), 0);
    EXPECT_TRUE(at.shard.Erase(0, "h", at.hash));
    EXPECT_EQ(keyspace.LazyFreePending(), 0u);
  }
}

}  // namespace
}  // namespace understudy::store
