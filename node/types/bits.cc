#include "node/types/bits.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace understudy::types {
namespace {

// Of a large result so much is combined at a time, that it stays in the first-level cache between two sources.
constexpr size_t kCombineBytes = 16 * 1024;

uint64_t Load(const char* p) {
  uint64_t word;
  std::memcpy(&word, p, sizeof word);
  return word;
}

// The first byte is the most significant one.
uint64_t LoadBig(const char* p) {
  const uint64_t word = Load(p);
  return std::endian::native == std::endian::big ? word : __builtin_bswap64(word);
}

#if defined(__x86_64__)
// Four sums, so that no count waits for the one before it.
[[gnu::target("popcnt")]] uint64_t CountWords(const char* p, size_t words) {
  uint64_t sums[4] = {};
  for (; words >= 4; words -= 4, p += 32) {
    sums[0] += static_cast<uint64_t>(__builtin_popcountll(Load(p)));
    sums[1] += static_cast<uint64_t>(__builtin_popcountll(Load(p + 8)));
    sums[2] += static_cast<uint64_t>(__builtin_popcountll(Load(p + 16)));
    sums[3] += static_cast<uint64_t>(__builtin_popcountll(Load(p + 24)));
  }
  for (; words > 0; --words, p += 8) sums[0] += static_cast<uint64_t>(__builtin_popcountll(Load(p)));
  return sums[0] + sums[1] + sums[2] + sums[3];
}
#endif

// Without an instruction for it: pairs, nibbles, then bytes are summed up within the word.
uint64_t CountWordsPlain(const char* p, size_t words) {
  uint64_t sum = 0;
  for (; words > 0; --words, p += 8) {
    uint64_t w = Load(p);
    w -= w >> 1 & 0x5555555555555555;
    w = (w & 0x3333333333333333) + (w >> 2 & 0x3333333333333333);
    w = (w + (w >> 4)) & 0x0f0f0f0f0f0f0f0f;
    sum += w * 0x0101010101010101 >> 56;
  }
  return sum;
}

template <typename Operation>
void CombineWith(std::string_view source, char* to, Operation operation) {
  size_t i = 0;
  for (; i + 8 <= source.size(); i += 8) {
    const uint64_t word = operation(Load(to + i), Load(source.data() + i));
    std::memcpy(to + i, &word, sizeof word);
  }
  for (; i < source.size(); ++i) {
    to[i] = static_cast<char>(operation(static_cast<unsigned char>(to[i]), static_cast<unsigned char>(source[i])));
  }
}

}  // namespace

uint64_t CountBits(std::string_view bytes) {
  const size_t words = bytes.size() / 8;
#if defined(__x86_64__)
  uint64_t sum = __builtin_cpu_supports("popcnt") ? CountWords(bytes.data(), words)
                                                  : CountWordsPlain(bytes.data(), words);
#else
  uint64_t sum = CountWordsPlain(bytes.data(), words);
#endif
  for (const char c : bytes.substr(words * 8)) sum += static_cast<uint64_t>(std::popcount(static_cast<unsigned char>(c)));
  return sum;
}

uint64_t CountBits(std::string_view bytes, uint64_t first, uint64_t last) {
  const uint64_t first_byte = first / 8, last_byte = last / 8;
  uint64_t sum = CountBits(bytes.substr(first_byte, last_byte - first_byte + 1));
  // What the two bytes at the ends have beyond.
  const unsigned before = static_cast<unsigned char>(bytes[first_byte]) & ~(0xffu >> first % 8);
  const unsigned behind = static_cast<unsigned char>(bytes[last_byte]) & (0x7fu >> last % 8);
  sum -= static_cast<uint64_t>(std::popcount(before) + std::popcount(behind));
  return sum;
}

int64_t FindBit(std::string_view bytes, uint64_t first, uint64_t last, bool value) {
  // Turned so that what is looked for is a one.
  const uint64_t turn = value ? 0 : ~uint64_t{0};
  const uint64_t last_byte = last / 8;
  unsigned inside = 0xffu >> first % 8;
  for (uint64_t at = first / 8; at <= last_byte;) {
    if (inside == 0xff && at + 8 <= last_byte) {
      const uint64_t word = LoadBig(bytes.data() + at) ^ turn;
      if (word != 0) return static_cast<int64_t>(at * 8) + std::countl_zero(word);
      at += 8;
      continue;
    }
    if (at == last_byte) inside &= 0xffu << (7 - last % 8);
    const auto byte = static_cast<uint8_t>((static_cast<unsigned char>(bytes[at]) ^ turn) & inside);
    if (byte != 0) return static_cast<int64_t>(at * 8) + std::countl_zero(byte);
    inside = 0xff;
    ++at;
  }
  return -1;
}

void CombineBits(BitOperation operation, std::span<const std::string_view> sources, std::span<char> to) {
  for (size_t begin = 0; begin < to.size(); begin += kCombineBytes) {
    const size_t size = std::min(kCombineBytes, to.size() - begin);
    const auto part = [&](std::string_view source) {
      return begin < source.size() ? source.substr(begin, size) : std::string_view();
    };
    char* const at = to.data() + begin;
    const std::string_view first = part(sources[0]);
    if (!first.empty()) std::memcpy(at, first.data(), first.size());
    std::memset(at + first.size(), 0, size - first.size());
    if (operation == BitOperation::kNot) {
      CombineWith(first, at, [](uint64_t, uint64_t b) { return ~b; });
      continue;
    }
    for (const std::string_view whole : sources.subspan(1)) {
      const std::string_view source = part(whole);
      switch (operation) {
        case BitOperation::kAnd:
          CombineWith(source, at, [](uint64_t a, uint64_t b) { return a & b; });
          std::memset(at + source.size(), 0, size - source.size());
          break;
        case BitOperation::kOr:
          CombineWith(source, at, [](uint64_t a, uint64_t b) { return a | b; });
          break;
        case BitOperation::kXor:
        case BitOperation::kNot:
          CombineWith(source, at, [](uint64_t a, uint64_t b) { return a ^ b; });
          break;
      }
    }
  }
}

uint64_t ReadBits(std::string_view bytes, uint64_t offset, unsigned bits) {
  const uint64_t byte = offset / 8;
  if (byte >= bytes.size()) return 0;
  char window[9] = {};
  std::memcpy(window, bytes.data() + byte, std::min<uint64_t>(sizeof window, bytes.size() - byte));
  const auto shift = static_cast<unsigned>(offset % 8);
  uint64_t word = LoadBig(window) << shift;
  if (shift > 0) word |= static_cast<unsigned char>(window[8]) >> (8 - shift);
  return word >> (64 - bits);
}

void WriteBits(std::span<char> bytes, uint64_t offset, unsigned bits, uint64_t value) {
  while (bits > 0) {
    const auto from = static_cast<unsigned>(offset % 8);
    const unsigned n = std::min(bits, 8 - from);
    const unsigned shift = 8 - from - n;
    const unsigned mask = ((1u << n) - 1) << shift;
    const unsigned piece = static_cast<unsigned>(value >> (bits - n)) << shift & mask;
    char& byte = bytes[offset / 8];
    byte = static_cast<char>((static_cast<unsigned char>(byte) & ~mask) | piece);
    offset += n;
    bits -= n;
  }
}

}  // namespace understudy::types
