#include "node/store/evictor.h"

#include <algorithm>

#include "node/store/shard_guard.h"

namespace understudy::store {

uint64_t Evictor::Random() {
  random_ += 0x9e3779b97f4a7c15;
  return HashFold(random_, 0xd1b54a32d192ed03 ^ random_);
}

uint64_t Evictor::Score(EvictionPolicy policy, const Entry& entry, int64_t now_ms) const {
  switch (policy) {
    case EvictionPolicy::kAllLfu:
    case EvictionPolicy::kVolatileLfu:
      return 255 - LfuCounter(entry.access_bits(), now_ms, keyspace_.memory_settings().lfu());
    case EvictionPolicy::kVolatileTtl:
      return UINT64_MAX - static_cast<uint64_t>(std::max<int64_t>(entry.expire_ms(), 0));
    default:
      return LruIdleSeconds(entry.access_bits(), now_ms);
  }
}

size_t Evictor::EvictOne(int64_t now_ms) {
  const EvictionPolicy policy = keyspace_.memory_settings().policy.load(std::memory_order_relaxed);
  if (policy == EvictionPolicy::kNone) return 0;
  if (policy == EvictionPolicy::kAllRandom || policy == EvictionPolicy::kVolatileRandom) return EvictAny(policy);
  if (policy != pool_policy_) pool_.clear();
  pool_policy_ = policy;
  // A candidate may be gone or in use again by the time its turn comes: then others are looked for.
  constexpr int kRounds = 16;
  for (int round = 0; round < kRounds; ++round) {
    const size_t looked_at = Fill(policy, now_ms);
    if (const size_t freed = EvictBest(policy, now_ms); freed > 0) return freed;
    if (looked_at == 0) break;
  }
  return EvictAny(policy);
}

size_t Evictor::EvictAny(EvictionPolicy policy) {
  const bool only_volatile = OnlyVolatile(policy);
  const uint32_t shards = keyspace_.shard_count();
  for (uint32_t visited = 0; visited < shards; ++visited) {
    Shard& shard = keyspace_.shard(next_shard_++ % shards);
    const auto databases = static_cast<uint32_t>(keyspace_.databases());
    const auto first = static_cast<uint32_t>(Random() % databases);
    for (uint32_t i = 0; i < databases; ++i) {
      const int db = static_cast<int>((first + i) % databases);
      if ((only_volatile ? shard.ExpireCount(db) : shard.Size(db)) == 0) continue;
      OneShardGuard guard(keyspace_, shard);
      const Entry* found = nullptr;
      shard.Sample(db, Random(), 1, only_volatile, [&](const Entry& entry) { found = &entry; });
      if (found == nullptr) continue;
      return shard.Evict(db, found->key(), Keyspace::Hash(found->key()));
    }
  }
  return 0;
}

size_t Evictor::Fill(EvictionPolicy policy, int64_t now_ms) {
  const bool only_volatile = OnlyVolatile(policy);
  const auto wanted = static_cast<size_t>(keyspace_.memory_settings().samples.load(std::memory_order_relaxed));
  const uint32_t shards = keyspace_.shard_count();
  size_t seen = 0;
  for (uint32_t visited = 0; visited < shards && seen < wanted; ++visited) {
    Shard& shard = keyspace_.shard(next_shard_++ % shards);
    for (int db = 0; db < keyspace_.databases(); ++db) {
      if ((only_volatile ? shard.ExpireCount(db) : shard.Size(db)) == 0) continue;
      OneShardGuard guard(keyspace_, shard);
      shard.Sample(db, Random(), wanted, only_volatile, [&](const Entry& entry) {
        ++seen;
        Offer(Score(policy, entry, now_ms), db, entry);
      });
    }
  }
  return seen;
}

void Evictor::Offer(uint64_t score, int db, const Entry& entry) {
  if (pool_.size() == kPool) {
    if (score <= pool_.front().score) return;
    pool_.erase(pool_.begin());
  }
  const auto at = std::lower_bound(pool_.begin(), pool_.end(), score,
                                   [](const Candidate& c, uint64_t s) { return c.score < s; });
  pool_.insert(at, Candidate{score, db, Keyspace::Hash(entry.key()), std::string(entry.key())});
}

size_t Evictor::EvictBest(EvictionPolicy policy, int64_t now_ms) {
  while (!pool_.empty()) {
    const Candidate best = std::move(pool_.back());
    pool_.pop_back();
    Shard& shard = keyspace_.ShardOf(best.hash);
    OneShardGuard guard(keyspace_, shard);
    const Entry* entry = shard.Peek(best.db, best.key, best.hash, now_ms, View::kRaw);
    if (entry == nullptr || (OnlyVolatile(policy) && !entry->has_expire())) continue;
    if (Score(policy, *entry, now_ms) < best.score) continue;
    return shard.Evict(best.db, best.key, best.hash);
  }
  return 0;
}

}  // namespace understudy::store
