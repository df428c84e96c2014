// Integers as Redis prints them: "-12" and "0", but no "+1", "-0", "01" or " 1". What is written like that may be
// kept as a number, because printing it gives the same bytes. Pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace understudy {

// Longest text: "-9223372036854775808".
inline constexpr size_t kMaxIntText = 20;

bool ParseCanonicalDigits(std::string_view text, int64_t* out);

// True and *out if `text` is what the integer prints as and it fits 64 bits.
inline bool ParseCanonicalInt(std::string_view text, int64_t* out) {
  // Most texts that are no numbers end here.
  if (text.empty() || text.size() > kMaxIntText) return false;
  if (text[0] > '9' || text.back() < '0' || text.back() > '9') return false;
  return ParseCanonicalDigits(text, out);
}

}  // namespace understudy
