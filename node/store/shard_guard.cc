#include "node/store/shard_guard.h"

namespace understudy::store {

ShardGuard::ShardGuard(Keyspace& keyspace, uint32_t shard_index)
    : keyspace_(keyspace), locked_(keyspace.shared()), single_(shard_index), is_single_(true) {
  if (locked_) keyspace_.shards_[single_]->lock_.Lock();
}

ShardGuard::ShardGuard(Keyspace& keyspace, std::span<const uint32_t> shard_indexes)
    : keyspace_(keyspace), locked_(keyspace.shared()), is_single_(false) {
  if (!locked_) return;
  many_ = ShardSet(shard_indexes);
  for (const uint32_t index : many_) keyspace_.shards_[index]->lock_.Lock();
}

ShardGuard::~ShardGuard() {
  if (!locked_) return;
  if (is_single_) {
    keyspace_.shards_[single_]->lock_.Unlock();
  } else {
    for (const uint32_t index : many_) keyspace_.shards_[index]->lock_.Unlock();
  }
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
