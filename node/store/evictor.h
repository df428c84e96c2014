// Evictor: chooses the keys that go when memory is short, by the policy in force, and removes them.
//
// As Redis does: a few keys are looked at, a pool keeps the best candidates of all that were ever looked at, and
// the best of the pool goes, unless it was used meanwhile. Samples are taken a shard at a time, under that
// shard's lock only; a shard that has fewer keys than are wanted is followed by the next one, so a keyspace of a
// handful of keys is looked at as a whole. A random policy removes the first key that it meets.
//
// One object a worker. The caller holds no shard lock.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "node/store/keyspace.h"

namespace understudy::store {

class Evictor {
 public:
  // seed: any number; tests give a constant one.
  Evictor(Keyspace& keyspace, uint64_t seed) : keyspace_(keyspace), random_(seed) {}

  // Removes one key; the ExpirySink is told. Returns the bytes that the keyspace shrank by, 0 if the policy
  // allows no key to go.
  size_t EvictOne(int64_t now_ms);

 private:
  static constexpr size_t kPool = 16;
  struct Candidate {
    uint64_t score;  // the highest goes first
    int db;
    uint64_t hash;
    std::string key;
  };

  uint64_t Random();
  uint64_t Score(EvictionPolicy policy, const Entry& entry, int64_t now_ms) const;
  size_t EvictAny(EvictionPolicy policy);
  // Looks at keys; returns how many.
  size_t Fill(EvictionPolicy policy, int64_t now_ms);
  void Offer(uint64_t score, int db, const Entry& entry);
  size_t EvictBest(EvictionPolicy policy, int64_t now_ms);

  Keyspace& keyspace_;
  uint64_t random_;
  uint32_t next_shard_ = 0;
  EvictionPolicy pool_policy_ = EvictionPolicy::kNone;
  std::vector<Candidate> pool_;  // best last
};

}  // namespace understudy::store
