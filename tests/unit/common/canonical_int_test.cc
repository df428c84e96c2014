#include "common/canonical_int.h"

#include <gtest/gtest.h>

#include <string>

namespace understudy {
namespace {

TEST(CanonicalInt, TakesWhatAnIntegerPrintsAs) {
  for (const int64_t n : {int64_t{0}, int64_t{7}, int64_t{-7}, int64_t{10}, INT64_MAX, INT64_MIN}) {
    int64_t out = 1;
    EXPECT_TRUE(ParseCanonicalInt(std::to_string(n), &out));
    EXPECT_EQ(out, n);
  }
}

TEST(CanonicalInt, RefusesEveryOtherWriting) {
  int64_t out;
  for (const char* text : {"", "-", "+1", "-0", "01", "-01", " 1", "1 ", "1a", "a1", "1-", "0x1", "9223372036854775808",
                           "-9223372036854775809", "99999999999999999999", "100000000000000000000"}) {
    EXPECT_FALSE(ParseCanonicalInt(text, &out)) << text;
  }
}

}  // namespace
}  // namespace understudy
