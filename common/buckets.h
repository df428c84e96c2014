// Buckets of hash tables: 64 bytes with seven slots, a tag of one byte for each, and a count of what passed by.
//
//   | tag 0..6, 0 = free | passed | slot 0 | ... | slot 6 |     slot: window << 48 | pointer
//
// A run of buckets is in the order of the hash: an element's home is bucket `window * buckets >> 16`, where window is
// 16 bits of its hash. One that finds its home full goes to the next bucket with room (round the run); `passed` of
// every bucket it passes counts it, so that a search knows how far to go, exactly, also after erasures. Because the
// slot has the window, a run grows without touching the elements.
//
// Pure; portable C++, 8 bytes at a time.
#pragma once

#include <bit>
#include <cstdint>

#include "common/check.h"

namespace understudy {

static_assert(std::endian::native == std::endian::little && sizeof(void*) == 8,
              "entries, buckets and RDB integers are laid out for little-endian 64-bit machines");

inline constexpr uint32_t kSlots = 7;

struct alignas(64) Bucket {
  uint64_t head = 0;  // bytes 0-6 tags, byte 7 passed (255: that many or more, until the next rehash)
  uint64_t slots[kSlots] = {};
};
static_assert(sizeof(Bucket) == 64);

inline constexpr uint8_t kPassedFull = 255;

// User addresses take 48 bits; the upper 16 of a slot hold the window.
inline constexpr uint64_t kPointerMask = (uint64_t{1} << 48) - 1;

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

inline uint8_t Passed(const Bucket& bucket) { return static_cast<uint8_t>(bucket.head >> 56); }
inline void SetPassed(Bucket& bucket, uint8_t n) {
  bucket.head = (bucket.head & ~(uint64_t{0xff} << 56)) | uint64_t{n} << 56;
}
inline uint8_t TagAt(const Bucket& bucket, uint32_t slot) { return static_cast<uint8_t>(bucket.head >> (8 * slot)); }

// Puts a slot into the first bucket with room from its home on. There must be room.
inline void PutSlot(Bucket* buckets, uint32_t bucket_count, uint64_t word, uint8_t tag) {
  uint32_t b = HomeBucket(static_cast<uint32_t>(word >> 48), bucket_count);
  for (uint32_t tried = 0; tried < bucket_count; ++tried) {
    Bucket& bucket = buckets[b];
    if (const uint64_t room = MatchTag(bucket.head, 0); room != 0) {
      const uint32_t slot = SlotOfMatch(room);
      bucket.head |= uint64_t{tag} << (8 * slot);
      bucket.slots[slot] = word;
      return;
    }
    if (Passed(bucket) != kPassedFull) SetPassed(bucket, static_cast<uint8_t>(Passed(bucket) + 1));
    if (++b == bucket_count) b = 0;
  }
  // Runs are filled to 7/8; more elements than the rest takes do not share a hash's prefix by chance, and the hash's
  // key is secret.
  CHECK(false);
}

inline void ClearSlot(Bucket* buckets, uint32_t bucket_count, uint32_t bucket, uint32_t slot) {
  const auto window = static_cast<uint32_t>(buckets[bucket].slots[slot] >> 48);
  for (uint32_t b = HomeBucket(window, bucket_count); b != bucket;) {
    Bucket& passed = buckets[b];
    if (Passed(passed) != kPassedFull) SetPassed(passed, static_cast<uint8_t>(Passed(passed) - 1));
    if (++b == bucket_count) b = 0;
  }
  buckets[bucket].head &= ~(uint64_t{0xff} << (8 * slot));
  buckets[bucket].slots[slot] = 0;
}

// Puts all slots of `from` into `to`, with the same windows.
inline void CopySlots(const Bucket* from, uint32_t from_count, Bucket* to, uint32_t to_count) {
  for (uint32_t b = 0; b < from_count; ++b) {
    for (uint32_t s = 0; s < kSlots; ++s) {
      if (TagAt(from[b], s) != 0) PutSlot(to, to_count, from[b].slots[s], TagAt(from[b], s));
    }
  }
}

}  // namespace understudy
