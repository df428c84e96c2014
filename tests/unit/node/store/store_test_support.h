// What the tests of store share: a small generator and a keyspace used like a map.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "node/store/keyspace.h"
#include "node/store/shard_guard.h"

namespace understudy::store {

// Repeatable random numbers from a seed that a failing test prints.
class Rng {
 public:
  explicit Rng(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    state_ += 0x9e3779b97f4a7c15;
    uint64_t x = state_;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
  }
  uint64_t Below(uint64_t n) { return Next() % n; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }

 private:
  uint64_t state_;
};

// The shard of a key, with its hash: shard-level calls need both.
struct At {
  At(Keyspace& keyspace, std::string_view key)
      : hash(Keyspace::Hash(key)), shard(keyspace.ShardOf(hash)) {}
  uint64_t hash;
  Shard& shard;
};

inline Entry* Put(Keyspace& keyspace, int db, std::string_view key, std::string_view value, int64_t now_ms = 0,
                  const SetOptions& options = {}) {
  At at(keyspace, key);
  OneShardGuard guard(keyspace, at.shard);
  return at.shard.Set(db, key, at.hash, value, now_ms, options);
}
inline bool Del(Keyspace& keyspace, int db, std::string_view key) {
  At at(keyspace, key);
  OneShardGuard guard(keyspace, at.shard);
  return at.shard.Erase(db, key, at.hash);
}
inline Entry* Get(Keyspace& keyspace, int db, std::string_view key, int64_t now_ms = 0,
                  View view = View::kNormal) {
  At at(keyspace, key);
  OneShardGuard guard(keyspace, at.shard);
  return at.shard.Find(db, key, at.hash, now_ms, view);
}

#if defined(UNDERSTUDY_ADDRESS_SANITIZER) || defined(UNDERSTUDY_THREAD_SANITIZER)
inline constexpr size_t kSlowdown = 10;
#else
inline constexpr size_t kSlowdown = 1;
#endif

}  // namespace understudy::store
