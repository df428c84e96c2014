// The 24 bits of an entry that say how it was used: either when, or how often. Redis's scheme.
//
//   LRU (and all policies but LFU)   seconds of the last access, mod 2^24
//   LFU                              | minutes of the last access, mod 2^16 | counter: 8 bits |
//
// The counter grows with a probability that falls as it grows, and loses one for each lfu-decay-time minutes
// without access, so that 8 bits tell a key that is used a million times from one that is used a hundred times.
// Which of the two the bits mean follows from the policy in force: after a change between LRU and LFU they are
// wrong until the keys are used again, as in Redis. Pure.
#pragma once

#include <cstdint>

namespace understudy::store {

inline constexpr uint32_t kAccessMask = 0xffffff;

struct LfuSettings {
  int log_factor = 10;     // lfu-log-factor: 10 saturates at about a million accesses
  int decay_minutes = 1;   // lfu-decay-time; 0 = never
};

inline constexpr uint32_t kLfuInitial = 5;  // of a new key, so that it is not the first to go

constexpr uint32_t LruBits(int64_t now_ms, uint32_t idle_seconds = 0) {
  return (static_cast<uint32_t>(now_ms / 1000) - idle_seconds) & kAccessMask;
}
// Wraps after 194 days.
constexpr uint32_t LruIdleSeconds(uint32_t bits, int64_t now_ms) {
  return (static_cast<uint32_t>(now_ms / 1000) - bits) & kAccessMask;
}

constexpr uint32_t LfuBits(int64_t now_ms, uint32_t counter = kLfuInitial) {
  return (static_cast<uint32_t>(now_ms / 60'000) & 0xffff) << 8 | counter;
}
// The counter as it is now, decayed.
constexpr uint32_t LfuCounter(uint32_t bits, int64_t now_ms, const LfuSettings& settings) {
  const uint32_t counter = bits & 0xff;
  if (settings.decay_minutes == 0) return counter;
  const uint32_t minutes = (static_cast<uint32_t>(now_ms / 60'000) - (bits >> 8)) & 0xffff;
  const uint32_t periods = minutes / static_cast<uint32_t>(settings.decay_minutes);
  return periods > counter ? 0 : counter - periods;
}
// The bits after one more access. random: 64 random bits.
constexpr uint32_t LfuTouched(uint32_t bits, int64_t now_ms, const LfuSettings& settings, uint64_t random) {
  uint32_t counter = LfuCounter(bits, now_ms, settings);
  if (counter < 255) {
    const uint32_t base = counter > kLfuInitial ? counter - kLfuInitial : 0;
    // With probability 1 / (base * log_factor + 1).
    if ((random >> 11) % (uint64_t{base} * static_cast<uint32_t>(settings.log_factor) + 1) == 0) ++counter;
  }
  return LfuBits(now_ms, counter);
}

}  // namespace understudy::store
