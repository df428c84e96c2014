// Scores and bounds of ranges as clients write them and as Redis prints them. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace understudy::types {

// Room for any score as text.
using ScoreBuffer = char[40];

// As Redis prints a score, and keeps it in a listpack: the shortest digits that read back as the same number; whole
// numbers up to 2^62 and what has few zeros without an exponent; "inf", "-inf", "-0". Not NaN.
std::string_view FormatScore(double score, ScoreBuffer& buffer);

// A score that a client gives: everything that strtod takes, but no spaces before it, no NaN, and nothing that
// overflows or underflows. Nothing: "ERR value is not a valid float".
std::optional<double> ParseScore(std::string_view text);

struct ScoreBound {
  double value = 0;
  bool exclusive = false;
};

// "1.5", "(1.5", "-inf". As lenient as Redis: "" is 0. Nothing: "ERR min or max is not a float".
std::optional<ScoreBound> ParseScoreBound(std::string_view text);

struct LexBound {
  enum class Kind : uint8_t { kLowest, kHighest, kInclusive, kExclusive };
  Kind kind = Kind::kLowest;
  std::string_view member = {};  // of the text that was parsed
};

// "-", "+", "[member", "(member". Nothing: "ERR min or max not valid string range item".
std::optional<LexBound> ParseLexBound(std::string_view text);

}  // namespace understudy::types
