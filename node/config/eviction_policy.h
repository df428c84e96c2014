// maxmemory-policy: which keys go when memory is short.
#pragma once

#include <cstdint>

namespace understudy::config {

enum class EvictionPolicy : uint8_t {
  kNone,
  kAllLru,
  kAllLfu,
  kAllRandom,
  kVolatileLru,
  kVolatileLfu,
  kVolatileRandom,
  kVolatileTtl,
};

constexpr bool UsesLfu(EvictionPolicy p) { return p == EvictionPolicy::kAllLfu || p == EvictionPolicy::kVolatileLfu; }
constexpr bool OnlyVolatile(EvictionPolicy p) { return p >= EvictionPolicy::kVolatileLru; }

}  // namespace understudy::config
