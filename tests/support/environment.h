// Settings of tests that run longer when they are asked to.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace understudy {

inline uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace understudy
