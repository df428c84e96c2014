#include "node/store/shard_guard.h"

namespace understudy::store {

ShardGuard::ShardGuard(Keyspace& keyspace, std::span<const uint32_t> shard_indexes) : keyspace_(keyspace) {
  if (!keyspace.shared()) return;
  locked_ = ShardSet(shard_indexes);
  for (const uint32_t index : locked_) keyspace_.shards_[index]->lock_.Lock();
}

ShardGuard::~ShardGuard() {
  for (const uint32_t index : locked_) keyspace_.shards_[index]->lock_.Unlock();
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
