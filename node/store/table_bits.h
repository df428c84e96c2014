// Bit tricks of the table: words of slots, tags of buckets. Pure; portable C++, 8 bytes at a time.
#pragma once

#include <bit>
#include <cstdint>

#include "node/store/entry.h"

namespace understudy::store {

static_assert(std::endian::native == std::endian::little && sizeof(void*) == 8,
              "entries, buckets and RDB integers are laid out for little-endian 64-bit machines");

// User addresses take 48 bits; the upper 16 of a slot hold the window.
inline constexpr uint64_t kPointerMask = (uint64_t{1} << 48) - 1;

inline Entry* EntryOf(uint64_t word) { return reinterpret_cast<Entry*>(word & kPointerMask); }
inline uint64_t AddressOf(const Entry* entry) { return reinterpret_cast<uint64_t>(entry); }

// Low 8 bits of the hash; 0 means a free slot.
inline uint8_t TagOf(uint64_t hash) {
  const auto tag = static_cast<uint8_t>(hash);
  return tag == 0 ? 1 : tag;
}

// Bit 7 of byte i is set for each of the seven tags in `head` that equals `tag`.
inline uint64_t MatchTag(uint64_t head, uint8_t tag) {
  constexpr uint64_t kLow7 = 0x007f7f7f7f7f7f7f;
  const uint64_t x = head ^ 0x0001010101010101 * tag;
  return ~(((x & kLow7) + kLow7) | x) & 0x0080808080808080;
}
inline uint32_t SlotOfMatch(uint64_t match) { return static_cast<uint32_t>(std::countr_zero(match)) / 8; }

// The bucket that a window begins in.
inline uint32_t HomeBucket(uint32_t window, uint32_t bucket_count) { return window * bucket_count >> 16; }

// Bit i becomes bits 2i and 2i + 1.
inline uint64_t SpreadBits(uint32_t bits) {
  uint64_t x = bits;
  x = (x | x << 16) & 0x0000ffff0000ffff;
  x = (x | x << 8) & 0x00ff00ff00ff00ff;
  x = (x | x << 4) & 0x0f0f0f0f0f0f0f0f;
  x = (x | x << 2) & 0x3333333333333333;
  x = (x | x << 1) & 0x5555555555555555;
  return x | x << 1;
}

}  // namespace understudy::store
