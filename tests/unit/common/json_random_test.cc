#include <gtest/gtest.h>

#include <set>

#include "common/json.h"
#include "common/random.h"

namespace understudy {
namespace {

TEST(Json, MembersHaveDefaultsForAbsentAndWronglyTypedOnes) {
  Result<Json> json = ParseJson(R"({"s":"x","n":3,"b":true,"o":{"p":{"q":"deep"}}})");
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(JsonString(*json, "s"), "x");
  EXPECT_EQ(JsonString(*json, "n", "other"), "other");
  EXPECT_EQ(JsonInt(*json, "n"), 3);
  EXPECT_EQ(JsonInt(*json, "s", 7), 7);
  EXPECT_TRUE(JsonBool(*json, "b"));
  EXPECT_TRUE(JsonBool(*json, "absent", true));
  EXPECT_EQ(JsonString(JsonAt(JsonAt(*json, "o"), "p"), "q"), "deep");
  EXPECT_TRUE(JsonAt(JsonAt(*json, "s"), "p").is_null());
}

TEST(Json, SaysWhereTextIsNotJson) {
  const Result<Json> json = ParseJson("{\"a\":]");
  ASSERT_FALSE(json.ok());
  EXPECT_EQ(json.status().code(), Code::kInvalid);
  EXPECT_NE(json.status().message().find("column 6"), std::string::npos) << json.status().message();
}

TEST(Random, GivesDifferentBytesOfTheRightLength) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) {
    const std::string hex = RandomHex(16);
    ASSERT_EQ(hex.size(), 32u);
    EXPECT_EQ(hex.find_first_not_of("0123456789abcdef"), std::string::npos);
    seen.insert(hex);
  }
  EXPECT_EQ(seen.size(), 100u);
  EXPECT_EQ(RandomBytes(7).size(), 7u);
  EXPECT_NE(RandomU64(), RandomU64());
}

}  // namespace
}  // namespace understudy
