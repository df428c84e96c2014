#include "node/types/score_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>

#include "tests/unit/node/types/types_test_support.h"

namespace understudy::types {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::string Format(double score) {
  ScoreBuffer buffer;
  return std::string(FormatScore(score, buffer));
}

TEST(ScoreText, PrintsScoresAsRedisDoes) {
  EXPECT_EQ(Format(0), "0");
  EXPECT_EQ(Format(-0.0), "-0");
  EXPECT_EQ(Format(1), "1");
  EXPECT_EQ(Format(-17), "-17");
  EXPECT_EQ(Format(kInfinity), "inf");
  EXPECT_EQ(Format(-kInfinity), "-inf");
  EXPECT_EQ(Format(0.1), "0.1");
  EXPECT_EQ(Format(3.25), "3.25");
  EXPECT_EQ(Format(-123.456), "-123.456");
  EXPECT_EQ(Format(0.1 + 0.2), "0.30000000000000004");
  EXPECT_EQ(Format(1e17), "100000000000000000");
  EXPECT_EQ(Format(4e18), "4000000000000000000");
  EXPECT_EQ(Format(5e18), "5e+18");
  EXPECT_EQ(Format(1e20), "1e+20");
  EXPECT_EQ(Format(1.5e300), "1.5e+300");
  EXPECT_EQ(Format(1.7976931348623157e308), "1.7976931348623157e+308");
  EXPECT_EQ(Format(0.00001), "0.00001");
  EXPECT_EQ(Format(0.000001), "0.000001");
  EXPECT_EQ(Format(0.0000001), "1e-7");
  EXPECT_EQ(Format(0.00123), "0.00123");
  EXPECT_EQ(Format(1.5e-7), "1.5e-7");
  EXPECT_EQ(Format(5e-324), "5e-324");
}

TEST(ScoreText, ReadsBackWhatItPrints) {
  TestRandom random(1);
  for (int i = 0; i < 100'000; ++i) {
    const double score = std::ldexp(static_cast<double>(random() >> 11), static_cast<int>(random.Below(2000)) - 1040);
    const double signed_score = random.Below(2) == 0 ? score : -score;
    const std::string text = Format(signed_score);
    ASSERT_LT(text.size(), 30u);
    ASSERT_EQ(std::strtod(text.c_str(), nullptr), signed_score) << text;
  }
}

TEST(ScoreText, TakesTheScoresThatRedisTakes) {
  EXPECT_EQ(ParseScore("1.5"), 1.5);
  EXPECT_EQ(ParseScore("+1.5"), 1.5);
  EXPECT_EQ(ParseScore("-1e3"), -1000);
  EXPECT_EQ(ParseScore(".5"), 0.5);
  EXPECT_EQ(ParseScore("0x10"), 16);
  EXPECT_EQ(ParseScore("inf"), kInfinity);
  EXPECT_EQ(ParseScore("+INF"), kInfinity);
  EXPECT_EQ(ParseScore("-infinity"), -kInfinity);
  for (const std::string_view text : {"", " 1", "1 ", "x", "1x", "nan", "-nan", "1e400", "1e-400", "(1", "+", "--1"}) {
    EXPECT_FALSE(ParseScore(text)) << text;
  }
  EXPECT_FALSE(ParseScore(std::string_view("1\0", 2)));
}

TEST(ScoreText, TakesTheBoundsOfScoresThatRedisTakes) {
  const auto expect = [](std::string_view text, double value, bool exclusive) {
    const std::optional<ScoreBound> bound = ParseScoreBound(text);
    ASSERT_TRUE(bound) << text;
    EXPECT_EQ(bound->value, value) << text;
    EXPECT_EQ(bound->exclusive, exclusive) << text;
  };
  expect("1.5", 1.5, false);
  expect("(1.5", 1.5, true);
  expect("-inf", -kInfinity, false);
  expect("(+inf", kInfinity, true);
  expect("", 0, false);
  expect("(", 0, true);
  expect(" 2", 2, false);
  expect("1e400", kInfinity, false);
  for (const std::string_view text : {"x", "nan", "(nan", "1x", "1 ", "[1", "((1"}) {
    EXPECT_FALSE(ParseScoreBound(text)) << text;
  }
}

TEST(ScoreText, TakesTheBoundsOfMembersThatRedisTakes) {
  using Kind = LexBound::Kind;
  EXPECT_EQ(ParseLexBound("-")->kind, Kind::kLowest);
  EXPECT_EQ(ParseLexBound("+")->kind, Kind::kHighest);
  EXPECT_EQ(ParseLexBound("[a")->kind, Kind::kInclusive);
  EXPECT_EQ(ParseLexBound("[a")->member, "a");
  EXPECT_EQ(ParseLexBound("(")->kind, Kind::kExclusive);
  EXPECT_EQ(ParseLexBound("(")->member, "");
  EXPECT_EQ(ParseLexBound("[-")->member, "-");
  for (const std::string_view text : {"", "a", "-a", "+a", "--", " -"}) EXPECT_FALSE(ParseLexBound(text)) << text;
}

}  // namespace
}  // namespace understudy::types
