#include "node/store/shard_guard.h"

#include <algorithm>

namespace understudy::store {
namespace {

constexpr int kTries = 1000;  // some 20 us: holders need one or two, unless they are descheduled

}  // namespace

ShardGuard::ShardGuard(Keyspace& keyspace, std::span<const uint32_t> shard_indexes) : keyspace_(keyspace) {
  if (!keyspace.shared()) return;
  locked_ = ShardSet(shard_indexes);
  for (const uint32_t index : locked_) keyspace_.shards_[index]->lock_.Lock();
}

ShardGuard::~ShardGuard() {
  for (const uint32_t index : locked_) keyspace_.shards_[index]->lock_.Unlock();
}

ExtraShards::~ExtraShards() {
  for (const uint32_t index : indexes_) keyspace_.shards_[index]->lock_.Unlock();
}

bool ExtraShards::TryAdd(uint32_t index) {
  ShardLock& lock = keyspace_.shards_[index]->lock_;
  for (int i = 0; i < kTries; ++i) {
    if (lock.TryLock()) {
      indexes_.push_back(index);
      return true;
    }
    __builtin_ia32_pause();
  }
  return false;
}

bool ExtraShards::Holds(uint32_t index) const {
  return std::find(indexes_.begin(), indexes_.end(), index) != indexes_.end();
}

AllShardsGuard::AllShardsGuard(Keyspace& keyspace) : keyspace_(keyspace), locked_(keyspace.shared()) {
  if (!locked_) return;
  for (const auto& shard : keyspace_.shards_) shard->lock_.Lock();
}

AllShardsGuard::~AllShardsGuard() {
  if (!locked_) return;
  for (const auto& shard : keyspace_.shards_) shard->lock_.Unlock();
}

}  // namespace understudy::store
