// ShardLock: the lock of one shard, 4 bytes.
//
// Holders keep it for a microsecond, so a waiter spins first (kSpins pauses) and sleeps on a futex only when
// the holder was descheduled: a pure spinlock would burn a core until the scheduler brings the holder back,
// up to 100 ms under CPU quotas. Not fair. Any thread.
#pragma once

#include <atomic>
#include <cstdint>

namespace understudy::store {

class ShardLock {
 public:
  void Lock() {
    uint32_t expected = kFree;
    if (!state_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire,
                                        std::memory_order_relaxed)) [[unlikely]] {
      LockSlow();
    }
  }
  // Without waiting.
  bool TryLock() {
    uint32_t expected = kFree;
    return state_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire, std::memory_order_relaxed);
  }
  void Unlock() {
    if (state_.exchange(kFree, std::memory_order_release) == kHeldWithWaiters) [[unlikely]] Wake();
  }
  bool held() const { return state_.load(std::memory_order_relaxed) != kFree; }

 private:
  static constexpr uint32_t kFree = 0, kHeld = 1, kHeldWithWaiters = 2;
  void LockSlow();
  void Wake();
  std::atomic<uint32_t> state_{kFree};
};
static_assert(sizeof(ShardLock) == 4);

}  // namespace understudy::store
