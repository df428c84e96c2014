// Guards: how a command, the applier, a snapshot or the loader gets its shards.
//
// Several shards are locked in ascending order, each once, so that no two holders can wait for each other.
// While the keyspace is not shared (Keyspace::SetShared) only one thread touches the tables and the guards
// cost a branch. Nothing may be waited for, sent or called back under a guard, except the append to the
// replication log, whose lock comes after all shards.
#pragma once

#include <cstdint>
#include <span>

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
