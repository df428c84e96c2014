#include "common/canonical_int.h"

#include <charconv>

namespace understudy {

bool ParseCanonicalDigits(std::string_view text, int64_t* out) {
  if (text.empty()) return false;
  const bool negative = text[0] == '-';
  const std::string_view digits = text.substr(negative ? 1 : 0);
  if (digits.empty() || digits[0] < '0' || digits[0] > '9') return false;
  if (digits[0] == '0' && (digits.size() > 1 || negative)) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace understudy
