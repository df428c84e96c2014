// What the tests of values share: a repeatable source of chance.
#pragma once

#include <cstdint>
#include <string>

namespace understudy::types {

// SplitMix64.
class TestRandom {
 public:
  explicit TestRandom(uint64_t seed) : state_(seed) {}
  uint64_t operator()() {
    uint64_t x = state_ += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
  }
  uint64_t Below(uint64_t bound) { return (*this)() % bound; }
  // A text of any kind a listpack tells apart: integers of all widths, what only looks like one, bytes.
  std::string Text(size_t longest) {
    switch (Below(6)) {
      case 0: return std::to_string(static_cast<int64_t>((*this)() >> Below(64)));
      case 1: return std::to_string(-static_cast<int64_t>((*this)() >> (1 + Below(63))));
      case 2: return "0" + std::to_string(Below(100));
      default: {
        std::string text(Below(longest + 1), ' ');
        for (char& c : text) c = static_cast<char>((*this)());
        return text;
      }
    }
  }

 private:
  uint64_t state_;
};

}  // namespace understudy::types
