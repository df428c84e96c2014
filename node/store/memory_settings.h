// What the keyspace does when memory is short, and how it frees memory. Changed by CONFIG SET while threads run;
// one object a keyspace.
#pragma once

#include <atomic>
#include <cstddef>

#include "node/config/eviction_policy.h"
#include "node/store/access.h"

namespace understudy::store {

using config::EvictionPolicy;

struct MemorySettings {
  std::atomic<EvictionPolicy> policy{EvictionPolicy::kNone};
  std::atomic<int> samples{5};            // maxmemory-samples
  std::atomic<int> lfu_log_factor{10};
  std::atomic<int> lfu_decay_minutes{1};
  // lazyfree-lazy-*: large values of keys that go for this reason are freed on the background thread.
  std::atomic<bool> lazy_eviction{true};
  std::atomic<bool> lazy_expire{true};
  std::atomic<bool> lazy_server_del{true};
  // What may wait for the background thread; a value that would go beyond it is freed at once. It counts as
  // used until it is freed, so this is how far above the limit it may hold memory.
  std::atomic<size_t> lazy_limit_bytes{SIZE_MAX};

  LfuSettings lfu() const {
    return {lfu_log_factor.load(std::memory_order_relaxed), lfu_decay_minutes.load(std::memory_order_relaxed)};
  }
};

}  // namespace understudy::store
