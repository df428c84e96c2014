// Bits of a string, as Redis's bitmaps have them: bit 0 is the most significant bit of the first byte.
//
// Everything goes 64 bits at a time. What lies behind the end of a string counts as zeros. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace understudy::types {

inline bool BitAt(std::string_view bytes, uint64_t bit) {
  return bit / 8 < bytes.size() && (static_cast<unsigned char>(bytes[bit / 8]) >> (7 - bit % 8) & 1) != 0;
}

// How many bits are set.
uint64_t CountBits(std::string_view bytes);
// Of the bits first to last, both counted; first <= last < 8 * bytes.size().
uint64_t CountBits(std::string_view bytes, uint64_t first, uint64_t last);
// The first of the bits first to last that is `value`, -1 if there is none. Bounds as above.
int64_t FindBit(std::string_view bytes, uint64_t first, uint64_t last, bool value);

enum class BitOperation : uint8_t { kAnd, kOr, kXor, kNot };
// Combines the sources (kNot: the one source) into `to`, which is as long as the longest of them.
void CombineBits(BitOperation operation, std::span<const std::string_view> sources, std::span<char> to);

// The unsigned number in `bits` (1 to 64) bits from `offset` on, the most significant one first.
uint64_t ReadBits(std::string_view bytes, uint64_t offset, unsigned bits);
// Writes the low `bits` bits of value there; all of them lie within `bytes`.
void WriteBits(std::span<char> bytes, uint64_t offset, unsigned bits, uint64_t value);

}  // namespace understudy::types
