#include "common/random.h"

#include <sys/random.h>

#include <cstring>

#include "common/check.h"

namespace understudy {

std::string RandomBytes(size_t bytes) {
  std::string out(bytes, '\0');
  size_t done = 0;
  while (done < bytes) {
    const ssize_t n = getrandom(out.data() + done, bytes - done, 0);
    CHECK(n > 0);
    done += static_cast<size_t>(n);
  }
  return out;
}

std::string RandomHex(size_t bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes * 2);
  for (unsigned char c : RandomBytes(bytes)) {
    out.push_back(kDigits[c >> 4]);
    out.push_back(kDigits[c & 15]);
  }
  return out;
}

uint64_t RandomU64() {
  uint64_t value = 0;
  const std::string bytes = RandomBytes(sizeof value);
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

// SplitMix64: a counter whose bits are stirred.
uint64_t RandomSequence::operator()() {
  uint64_t bits = state_ += 0x9e3779b97f4a7c15;
  bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
  bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
  return bits ^ bits >> 31;
}

}  // namespace understudy
