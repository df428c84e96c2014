#include "node/store/bucket_pool.h"

#include <bit>

#include "common/check.h"
#include "node/store/run_pool.h"

namespace understudy::store {
namespace {

using Units = BucketPool::Units;

Units Row(size_t units) { return units == BucketPool::kUnits ? ~Units{0} : (Units{1} << units) - 1; }

// Bit i stays set if `units` bits from i on are set.
Units StartsOf(Units free, size_t units) {
  for (size_t i = 1; i < units; ++i) free &= free >> 1;
  return free;
}

size_t LongestRow(Units free) {
  size_t n = 0;
  for (; free != 0; ++n) free &= free << 1;
  return n;
}

size_t First(Units units) {
  const auto low = static_cast<uint64_t>(units);
  return static_cast<size_t>(low != 0 ? std::countr_zero(low) : 64 + std::countr_zero(static_cast<uint64_t>(units >> 64)));
}

}  // namespace

BucketPool& BucketPool::Get() {
  // Never destroyed: a table may be freed by another thread to the last moment.
  static auto* const pool = new BucketPool;
  return *pool;
}

BucketPool::~BucketPool() { CHECK(runs_.empty()); }

void BucketPool::Change(char* base, Run& run, Units used) {
  run.used = used;
  const size_t hole = LongestRow(~used);
  if (hole == run.hole) return;
  by_hole_[run.hole].erase(base);
  by_hole_[hole].insert(base);
  run.hole = hole;
}

void* BucketPool::Allocate(size_t bytes) {
  const size_t units = bytes / kUnitBytes;
  CHECK(units > 0 && units <= kUnits && bytes == units * kUnitBytes);
  std::lock_guard lock(mutex_);
  // The smallest hole that is large enough.
  size_t hole = units;
  while (hole <= kUnits && by_hole_[hole].empty()) ++hole;
  if (hole > kUnits) {
    hole = kUnits;
    char* const base = static_cast<char*>(RunPool::Get().Allocate(kRunBytes));
    runs_.emplace(base, Run{});
    by_hole_[kUnits].insert(base);
  }
  char* const base = *by_hole_[hole].begin();
  Run& run = runs_.at(base);
  const auto first = First(StartsOf(~run.used, units));
  CHECK(first + units <= kUnits);
  Change(base, run, run.used | Row(units) << first);
  return base + first * kUnitBytes;
}

void BucketPool::Free(void* array, size_t bytes) {
  char* const base = reinterpret_cast<char*>(reinterpret_cast<uintptr_t>(array) & ~(kRunBytes - 1));
  const size_t first = static_cast<size_t>(static_cast<char*>(array) - base) / kUnitBytes;
  const Units mask = Row(bytes / kUnitBytes) << first;
  std::lock_guard lock(mutex_);
  Run& run = runs_.at(base);
  CHECK((run.used & mask) == mask);
  Change(base, run, run.used & ~mask);
  if (run.used != 0) return;
  by_hole_[kUnits].erase(base);
  runs_.erase(base);
  RunPool::Get().Free(base, kRunBytes);
}

}  // namespace understudy::store
