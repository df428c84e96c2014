// The keyspace against a std::map, over millions of random operations that make it grow, split, shrink and merge.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "common/clock.h"
#include "node/store/evictor.h"
#include "tests/unit/node/store/store_test_support.h"

namespace understudy::store {
namespace {

constexpr int kDatabases = 3;

struct ModelValue {
  std::string value;
  int64_t expire_ms = kNoExpire;
  StringHint hint = StringHint::kAuto;
};

class Model : public ExpirySink {
 public:
  Model(uint64_t seed, uint32_t shards) : rng(seed), keyspace({.shards = shards, .databases = kDatabases}) {
    keyspace.SetExpirySink(this);
  }
  void OnExpired(int db, std::string_view key) override { expired.insert({db, std::string(key)}); }

  void OnEvicted(int db, std::string_view key) override { evicted.insert({db, std::string(key)}); }

  using Key = std::pair<int, std::string>;
  bool ModelExpired(const ModelValue& v) const { return v.expire_ms != kNoExpire && now_ms > v.expire_ms; }

  std::string RandomKey() {
    std::string key = "k" + std::to_string(rng.Below(key_range));
    switch (rng.Below(50)) {
      case 0: key.resize(254, 'a'); break;
      case 1: key.resize(255, 'b'); break;
      case 2: key.resize(300, 'c'); break;
      case 3: key.clear(); break;
      default: break;
    }
    return key;
  }
  std::string RandomValue() {
    const uint64_t kind = rng.Below(200);
    size_t size = rng.Below(60);
    if (kind == 0) size = kBlobMinBytes - 20 + rng.Below(40);
    if (kind == 1) size = rng.Below(100'000);
    if (kind < 12 && kind > 1) size = rng.Below(3000);
    std::string value(size, static_cast<char>('a' + rng.Below(26)));
    if (size > 2) value[size / 2] = static_cast<char>(rng.Next());
    return value;
  }
  int64_t RandomExpire() { return now_ms + static_cast<int64_t>(rng.Below(5000)); }

  void ExpectEntry(const Entry* entry, const ModelValue& v, const std::string& key) {
    ASSERT_NE(entry, nullptr);
    ASSERT_EQ(entry->key(), key);
    ASSERT_EQ(entry->value(), v.value);
    ASSERT_EQ(entry->expire_ms(), v.expire_ms);
    ASSERT_EQ(entry->string_hint(), v.hint);
    ASSERT_EQ(entry->external(), v.value.size() >= kBlobMinBytes);
  }

  void Step() {
    now_ms += rng.OneIn(4) ? 1 : 0;
    const int db = static_cast<int>(rng.Below(kDatabases));
    const std::string key = RandomKey();
    At at(keyspace, key);
    const auto it = map.find({db, key});
    const bool stored = it != map.end();
    const uint64_t kind = rng.Below(100);
    if (kind < write_percent) {
      if (rng.OneIn(4)) {  // change in place
        ModelValue& v = map[{db, key}];
        const size_t size = rng.OneIn(3) ? rng.Below(v.value.size() + 10) : v.value.size() + rng.Below(30);
        const std::span<char> span = at.shard.Resize(db, key, at.hash, size, now_ms);
        ASSERT_EQ(span.size(), size);
        v.value.resize(size, '\0');
        v.hint = StringHint::kRaw;
        ASSERT_EQ(std::string_view(span.data(), span.size()), v.value);
        if (size > 0) span[size - 1] = v.value[size - 1] = static_cast<char>(rng.Next());
        return;
      }
      ModelValue v{RandomValue(), rng.OneIn(4) ? RandomExpire() : kNoExpire, StringHint::kAuto};
      SetOptions options{.expire_ms = v.expire_ms};
      if (rng.OneIn(5)) {
        options.keep_expire = true;
        v.expire_ms = stored ? it->second.expire_ms : kNoExpire;
      }
      if (rng.OneIn(9)) options.hint = v.hint = StringHint::kNotInt;
      Entry* entry = at.shard.Set(db, key, at.hash, v.value, now_ms, options);
      ExpectEntry(entry, v, key);
      map[{db, key}] = std::move(v);
    } else if (kind < 75) {
      const View view = rng.OneIn(3) ? View::kRaw : View::kNormal;
      const bool visible = stored && (view == View::kRaw || !ModelExpired(it->second));
      switch (rng.Below(3)) {
        case 0: {
          Entry* entry = at.shard.Find(db, key, at.hash, now_ms, view);
          if (visible) {
            ExpectEntry(entry, it->second, key);
            if (!UsesLfu(keyspace.memory_settings().policy.load())) {
              ASSERT_EQ(entry->IdleSeconds(now_ms), 0u);
            }
          } else {
            ASSERT_EQ(entry, nullptr);
          }
          break;
        }
        case 1: ASSERT_EQ(at.shard.Peek(db, key, at.hash, now_ms, view) != nullptr, visible); break;
        case 2: {
          expired.clear();
          Entry* entry = at.shard.FindForWrite(db, key, at.hash, now_ms, view);
          ASSERT_EQ(entry != nullptr, visible);
          ASSERT_EQ(expired.contains({db, key}), stored && !visible);
          if (stored && !visible) map.erase(it);
          break;
        }
      }
    } else if (kind < 88) {
      ASSERT_EQ(at.shard.Erase(db, key, at.hash, rng.OneIn(2) ? Freeing::kInline : Freeing::kLazy), stored);
      if (stored) map.erase(it);
    } else if (kind < 92) {
      const int64_t expire = RandomExpire();
      ASSERT_EQ(at.shard.SetExpire(db, key, at.hash, expire), stored);
      if (stored) it->second.expire_ms = expire;
    } else if (kind < 93) {
      EvictSome();
    } else if (kind < 95) {
      const bool has = stored && it->second.expire_ms != kNoExpire;
      ASSERT_EQ(at.shard.Persist(db, key, at.hash), has);
      if (has) it->second.expire_ms = kNoExpire;
    } else {
      Move(db, key, at, it);
    }
  }

  // One key goes by any of the policies; the model learns which.
  void EvictSome() {
    if (rng.OneIn(50)) keyspace.SetEvictionPolicy(static_cast<EvictionPolicy>(1 + rng.Below(7)));
    const bool only_volatile = OnlyVolatile(keyspace.memory_settings().policy.load());
    evicted.clear();
    const size_t freed = evictor.EvictOne(now_ms);
    ASSERT_EQ(evicted.size(), freed > 0 ? 1u : 0u);
    if (freed == 0) return;
    const auto it = map.find(*evicted.begin());
    ASSERT_NE(it, map.end());
    ASSERT_TRUE(!only_volatile || it->second.expire_ms != kNoExpire);
    map.erase(it);
  }

  // RENAME, COPY and MOVE.
  void Move(int db, const std::string& key, At& at, std::map<Key, ModelValue>::iterator it) {
    const std::string to = RandomKey();
    const int to_db = static_cast<int>(rng.Below(kDatabases));
    At to_at(keyspace, to);
    const bool copy = rng.OneIn(2);
    std::optional<StoredValue> value =
        copy ? at.shard.Copy(db, key, at.hash, now_ms) : at.shard.Take(db, key, at.hash, now_ms);
    ASSERT_EQ(value.has_value(), it != map.end());
    if (!value) return;
    ModelValue v = it->second;
    if (!copy) map.erase(it);
    ExpectEntry(to_at.shard.Put(to_db, to, to_at.hash, *std::move(value), now_ms), v, to);
    map[{to_db, to}] = std::move(v);
  }

  void Compare() {
    keyspace.Validate();
    size_t sizes[kDatabases] = {}, expires[kDatabases] = {};
    for (const auto& [key, v] : map) {
      ++sizes[key.first];
      if (v.expire_ms != kNoExpire) ++expires[key.first];
      At at(keyspace, key.second);
      ExpectEntry(at.shard.Find(key.first, key.second, at.hash, now_ms, View::kRaw), v, key.second);
    }
    size_t held = 0;
    for (int db = 0; db < kDatabases; ++db) {
      keyspace.ForEach(db, now_ms, View::kRaw, Keyspace::Locking::kTake,
                       [&](const Entry& entry) { held += entry.AllocatedBytes(); });
      ASSERT_EQ(keyspace.Size(db), sizes[db]);
      ASSERT_EQ(keyspace.ExpireCount(db), expires[db]);
      size_t given = 0;
      keyspace.ForEach(db, now_ms, View::kRaw, Keyspace::Locking::kTake, [&](const Entry& entry) {
        ++given;
        ASSERT_TRUE(map.contains({db, std::string(entry.key())}));
      });
      ASSERT_EQ(given, sizes[db]);
    }
    ASSERT_EQ(keyspace.UsedBytes(), held + keyspace.IndexBytes());
  }

  Rng rng;
  Keyspace keyspace;
  Evictor evictor{keyspace, 11};
  std::map<Key, ModelValue> map;
  std::set<Key> expired, evicted;
  int64_t now_ms = 1'700'000'000'000;
  uint64_t key_range = 1000;
  uint64_t write_percent = 50;
};

TEST(ShardModel, RandomOperationsGiveWhatAMapGives) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(seed);
    Model model(seed, seed == 1 ? 1 : seed == 2 ? 4 : 64);
    // Growth to many segments, churn, near-emptiness, growth again.
    const struct {
      uint64_t key_range, write_percent, steps;
    } phases[] = {{200, 50, 50'000}, {30'000, 60, 300'000}, {30'000, 30, 300'000}, {30'000, 1, 400'000},
                  {300, 50, 50'000}, {60'000, 55, 200'000}};
    for (const auto& phase : phases) {
      model.key_range = phase.key_range;
      model.write_percent = phase.write_percent;
      for (uint64_t i = 0; i < phase.steps / kSlowdown; ++i) {
        model.Step();
        if (HasFatalFailure()) return;
      }
      model.Compare();
      if (HasFatalFailure()) return;
    }
    // Databases change places, are emptied; then everything goes.
    {
      AllShardsGuard guard(model.keyspace);
      model.keyspace.SwapDb(0, 2, 0);
      model.keyspace.FlushDb(1);
    }
    std::map<Model::Key, ModelValue> swapped;
    for (auto& [key, v] : model.map) {
      if (key.first != 1) swapped[{2 - key.first, key.second}] = v;
    }
    model.map = std::move(swapped);
    model.Compare();
    if (HasFatalFailure()) return;
    for (const auto& [key, v] : model.map) ASSERT_TRUE(Del(model.keyspace, key.first, key.second));
    model.map.clear();
    model.Compare();
    EXPECT_LT(model.keyspace.UsedBytes(), model.keyspace.shard_count() * kDatabases * 4096u);  // tables have shrunk
  }
}

TEST(ShardModel, SweepRemovesExactlyWhatIsDue) {
  Model model(7, 4);
  FakeClock clock;
  model.key_range = 20'000;
  for (int round = 0; round < 20; ++round) {
    for (size_t i = 0; i < 20'000 / kSlowdown; ++i) {
      model.Step();
      if (HasFatalFailure()) return;
    }
    model.now_ms += 700;
    model.expired.clear();
    size_t removed = 0;
    for (bool more = true; more;) {
      const Keyspace::SweepResult result = model.keyspace.Sweep(model.now_ms, clock, {.max_entries = 3000});
      removed += result.expired;
      more = result.more;
    }
    std::set<Model::Key> due;
    for (const auto& [key, v] : model.map) {
      if (model.ModelExpired(v)) due.insert(key);
    }
    ASSERT_EQ(model.expired, due);
    ASSERT_EQ(removed, due.size());
    for (const auto& key : due) model.map.erase(key);
    model.Compare();
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(model.keyspace.ExpiredKeys(), 1000u);
}

}  // namespace
}  // namespace understudy::store
