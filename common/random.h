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
}  // namespace understudy
