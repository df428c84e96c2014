// HashKey: the keyed 64-bit hash of the whole node.
//
// Multiply-and-fold over 16 bytes at a time, every operand mixed with secret bits drawn at start, so that
// clients cannot choose keys that fall into one segment or bucket. The same within a process, different in the next:
// it is never stored or sent. Any thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace understudy {

struct HashSeed {
  uint64_t a, b, c, d;
};
extern const HashSeed kHashSeed;  // drawn at start

inline uint64_t HashFold(uint64_t x, uint64_t y) {
  const __uint128_t product = static_cast<__uint128_t>(x) * y;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline uint64_t HashKey(std::string_view key) {
  auto load = [](const char* p) {
    uint64_t x;
    std::memcpy(&x, p, sizeof x);
    return x;
  };
  const HashSeed& seed = kHashSeed;
  const char* p = key.data();
  size_t n = key.size();
  uint64_t h = seed.a ^ n;
  for (; n > 16; n -= 16, p += 16) h = HashFold(load(p) ^ seed.b, load(p + 8) ^ h);
  uint64_t x = 0, y = 0;
  if (n >= 8) {
    x = load(p);
    y = load(p + n - 8);
  } else if (n > 0) {
    std::memcpy(&x, p, n);
  }
  return HashFold(HashFold(x ^ seed.b ^ h, y ^ seed.c), h ^ seed.d);
}

}  // namespace understudy
