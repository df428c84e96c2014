// BucketPool: memory for the bucket arrays of all tables of the process.
//
// Segments grow in step, since hashes are even: at one time most arrays have one size, a moment later the next.
// An allocator with a class for each size keeps the memory of the size that is over. Here arrays of all sizes
// share runs of 32 KiB from the RunPool: an array is 2 to 16 units of 4 buckets in a row, a run has 128 of them.
//
// Any thread; called once for some twenty new keys.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <set>
#include <unordered_map>

namespace understudy::store {

class BucketPool {
 public:
  static constexpr size_t kUnitBytes = 256;  // 4 buckets
  static constexpr size_t kUnits = 128;       // of a run
  using Units = __uint128_t;                  // a bit for each

  static BucketPool& Get();  // of the process

  BucketPool() = default;
  ~BucketPool();  // all arrays must be back
  BucketPool(const BucketPool&) = delete;
  BucketPool& operator=(const BucketPool&) = delete;

  // bytes: a multiple of kUnitBytes, at most kUnits of them. Aligned to kUnitBytes, not initialised; never fails.
  void* Allocate(size_t bytes);
  void Free(void* array, size_t bytes);

 private:
  static constexpr size_t kRunBytes = kUnits * kUnitBytes;
  struct Run {
    Units used = 0;
    size_t hole = kUnits;  // the most units in a row that are free
  };
  void Change(char* base, Run& run, Units used);

  std::mutex mutex_;
  std::unordered_map<char*, Run> runs_;                // mutex_
  std::array<std::set<char*>, kUnits + 1> by_hole_;    // mutex_: the lowest address first
};

}  // namespace understudy::store
