// Bit tricks of the table, beside those of its buckets (common/buckets.h). Pure.
#pragma once

#include <cstdint>

#include "common/buckets.h"
#include "node/store/entry.h"

namespace understudy::store {

inline Entry* EntryOf(uint64_t word) { return reinterpret_cast<Entry*>(word & kPointerMask); }
inline uint64_t AddressOf(const Entry* entry) { return reinterpret_cast<uint64_t>(entry); }

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
