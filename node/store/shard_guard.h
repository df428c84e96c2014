// Guards: how a command, the applier, a snapshot or the loader gets its shards.
//
// Several shards are locked in ascending order, each once, so that no two holders can wait for each other.
// While the keyspace is not shared (Keyspace::SetShared) only one thread touches the tables and the guards
// cost a branch. Nothing may be waited for, sent or called back under a guard, except the append to the
// replication log, whose lock comes after all shards.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "node/store/keyspace.h"

namespace understudy::store {

// Locks one shard until destroyed: the usual case.
class OneShardGuard {
 public:
  OneShardGuard(Keyspace& keyspace, Shard& shard) : lock_(keyspace.shared() ? &shard.lock_ : nullptr) {
    if (lock_ != nullptr) lock_->Lock();
  }
  ~OneShardGuard() {
    if (lock_ != nullptr) lock_->Unlock();
  }
  OneShardGuard(const OneShardGuard&) = delete;
  OneShardGuard& operator=(const OneShardGuard&) = delete;

 private:
  ShardLock* const lock_;
};

// Locks the given shards until destroyed.
class ShardGuard {
 public:
  // indexes: in any order, repetitions allowed, each < keyspace.shard_count(). Not kept.
  ShardGuard(Keyspace& keyspace, std::span<const uint32_t> shard_indexes);
  ~ShardGuard();
  ShardGuard(const ShardGuard&) = delete;
  ShardGuard& operator=(const ShardGuard&) = delete;

 private:
  Keyspace& keyspace_;
  ShardSet locked_;  // empty while the keyspace is not shared
};

// Further shards for who holds some already. They come in no order, so nothing is waited for: only those are locked
// that are free, or become so within microseconds. Only while the keyspace is shared.
class ExtraShards {
 public:
  explicit ExtraShards(Keyspace& keyspace) : keyspace_(keyspace) {}
  ~ExtraShards();
  ExtraShards(const ExtraShards&) = delete;
  ExtraShards& operator=(const ExtraShards&) = delete;

  // index: not held yet.
  bool TryAdd(uint32_t index);
  bool Holds(uint32_t index) const;
  std::span<const uint32_t> indexes() const { return indexes_; }

 private:
  Keyspace& keyspace_;
  std::vector<uint32_t> indexes_;
};

// Stops the world: all shards, for FLUSHALL, SWAPDB, MULTI with unbounded commands, the cut of a snapshot.
class AllShardsGuard {
 public:
  explicit AllShardsGuard(Keyspace& keyspace);
  ~AllShardsGuard();
  AllShardsGuard(const AllShardsGuard&) = delete;
  AllShardsGuard& operator=(const AllShardsGuard&) = delete;

 private:
  Keyspace& keyspace_;
  bool locked_;
};

}  // namespace understudy::store
