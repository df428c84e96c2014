#include "node/types/score_text.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <string>

#include "common/check.h"

namespace understudy::types {
namespace {

std::string_view Put(std::string_view text, ScoreBuffer& buffer) {
  std::copy(text.begin(), text.end(), buffer);
  return {buffer, text.size()};
}

// The digits d1 d2 ... dn, to be multiplied by 10^exponent, in the notation that Redis chooses.
char* Notate(std::string_view digits, int exponent, char* to) {
  const int n = static_cast<int>(digits.size());
  const int magnitude = exponent + n - 1;  // of the first digit
  if (exponent >= 0 && std::abs(magnitude) < n + 7) {
    to = std::copy(digits.begin(), digits.end(), to);
    return std::fill_n(to, exponent, '0');
  }
  if (exponent < 0 && (exponent > -7 || std::abs(magnitude) < 4)) {
    const int whole = n + exponent;  // digits before the point
    if (whole <= 0) {
      to = std::copy_n("0.", 2, to);
      to = std::fill_n(to, -whole, '0');
      return std::copy(digits.begin(), digits.end(), to);
    }
    to = std::copy_n(digits.begin(), whole, to);
    *to++ = '.';
    return std::copy(digits.begin() + whole, digits.end(), to);
  }
  *to++ = digits[0];
  if (n > 1) {
    *to++ = '.';
    to = std::copy(digits.begin() + 1, digits.end(), to);
  }
  *to++ = 'e';
  *to++ = magnitude < 0 ? '-' : '+';
  return std::to_chars(to, to + 4, std::abs(magnitude)).ptr;
}

}  // namespace

std::string_view FormatScore(double score, ScoreBuffer& buffer) {
  CHECK(!std::isnan(score));
  if (std::isinf(score)) return Put(score > 0 ? "inf" : "-inf", buffer);
  if (score == 0) return Put(std::signbit(score) ? "-0" : "0", buffer);
  constexpr double kLargest = 4611686018427387904.0;  // 2^62
  if (std::fabs(score) <= kLargest && score == std::trunc(score)) {
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, static_cast<int64_t>(score));
    return {buffer, static_cast<size_t>(end.ptr - buffer)};
  }
  // "d.ddde-dd"
  char text[32];
  const char* const end = std::to_chars(text, text + sizeof text, std::fabs(score), std::chars_format::scientific).ptr;
  const char* const e = std::find(static_cast<const char*>(text), end, 'e');
  char digits[24];
  char* const digits_end = std::copy_if(static_cast<const char*>(text), e, digits, [](char c) { return c != '.'; });
  int magnitude = 0;
  std::from_chars(e[1] == '+' ? e + 2 : e + 1, end, magnitude);
  const auto n = static_cast<int>(digits_end - digits);
  char* to = buffer;
  if (score < 0) *to++ = '-';
  to = Notate({digits, static_cast<size_t>(n)}, magnitude - n + 1, to);
  return {buffer, static_cast<size_t>(to - buffer)};
}

std::optional<double> ParseScore(std::string_view text) {
  if (text.empty() || std::isspace(static_cast<unsigned char>(text[0])) != 0) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size()) {
    if (std::isnan(value)) return std::nullopt;
    return value;
  }
  // Rare: a plus sign, hexadecimal digits, an overflow.
  const std::string copy(text);
  char* rest = nullptr;
  errno = 0;
  value = std::strtod(copy.c_str(), &rest);
  if (rest != copy.c_str() + copy.size() || std::isnan(value)) return std::nullopt;
  if (errno == ERANGE && (std::isinf(value) || std::fpclassify(value) == FP_ZERO)) return std::nullopt;
  return value;
}

std::optional<ScoreBound> ParseScoreBound(std::string_view text) {
  ScoreBound bound;
  if (!text.empty() && text[0] == '(') {
    bound.exclusive = true;
    text.remove_prefix(1);
  }
  if (const std::optional<double> value = ParseScore(text)) {
    bound.value = *value;
    return bound;
  }
  const std::string copy(text);
  char* rest = nullptr;
  bound.value = std::strtod(copy.c_str(), &rest);
  if (*rest != '\0' || std::isnan(bound.value)) return std::nullopt;
  return bound;
}

std::optional<LexBound> ParseLexBound(std::string_view text) {
  if (text == "-") return LexBound{LexBound::Kind::kLowest};
  if (text == "+") return LexBound{LexBound::Kind::kHighest};
  if (text.starts_with('[')) return LexBound{LexBound::Kind::kInclusive, text.substr(1)};
  if (text.starts_with('(')) return LexBound{LexBound::Kind::kExclusive, text.substr(1)};
  return std::nullopt;
}

}  // namespace understudy::types
