// Random bytes from the operating system's generator, for ids and nonces. Any thread. Pure code is handed
// its randomness as arguments instead.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace understudy {
// `bytes` random bytes as lower-case hex digits (twice as many characters).
std::string RandomHex(size_t bytes);
// `bytes` raw random bytes.
std::string RandomBytes(size_t bytes);
uint64_t RandomU64();

// Numbers for samples, where a system call for each would cost more than the sample: a sequence that begins at a random
// place. Whoever sees some of them knows the next: for nothing that must stay secret.
class RandomSequence {
 public:
  RandomSequence() : state_(RandomU64()) {}
  // 64 random bits.
  uint64_t operator()();

 private:
  uint64_t state_;
};
}  // namespace understudy
