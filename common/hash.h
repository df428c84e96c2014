// FNV-1a with 64 bits: the same on every machine and in every version. Not for what somebody may want to forge.
#pragma once

#include <cstdint>
#include <string_view>

namespace understudy {

constexpr uint64_t Fnv1a(std::string_view text) {
  uint64_t hash = 14695981039346656037ull;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return hash;
}

}  // namespace understudy
