// What the fuzzers share. A fuzzer is one file, NAME_fuzz.cc, that defines LLVMFuzzerTestOneInput:
// libFuzzer calls it with inputs that it makes up, and corpus_main.cc with the files of
// tests/fuzz/corpus/NAME, as a test of every build. A broken property is a CHECK; all else is found
// by the sanitizers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/check.h"

// 0: the input may be kept in the corpus.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace understudy::fuzz {

// Takes what a fuzzer needs from the front of an input; what is missing is zero, or empty.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return rest_.empty(); }
  uint8_t Byte() {
    if (rest_.empty()) return 0;
    const auto byte = static_cast<uint8_t>(rest_[0]);
    rest_.remove_prefix(1);
    return byte;
  }
  // Little-endian.
  uint64_t Number(size_t bytes) {
    uint64_t n = 0;
    for (size_t i = 0; i < bytes; ++i) n |= uint64_t{Byte()} << (8 * i);
    return n;
  }
  std::string_view Bytes(size_t n) {
    const std::string_view bytes = rest_.substr(0, n);
    rest_.remove_prefix(bytes.size());
    return bytes;
  }
  // Up to the next line end, which goes.
  std::string_view Line() {
    const size_t end = std::min(rest_.find('\n'), rest_.size());
    const std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    return line;
  }
  std::string_view Rest() { return Bytes(rest_.size()); }

 private:
  std::string_view rest_;
};

}  // namespace understudy::fuzz
