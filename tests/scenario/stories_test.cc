// Each story with all rules (nothing is violated) and without its own (an invariant is).
#include "tests/scenario/stories.h"

#include <gtest/gtest.h>

#include <cctype>
#include <ostream>

namespace understudy::simulation {

void PrintTo(const ToldStory& told, std::ostream* out) {
  *out << told.name;
}

namespace {

class Told : public testing::TestWithParam<ToldStory> {};

TEST_P(Told, HoldsWithAllRules) {
  const ToldStory& told = GetParam();
  for (uint64_t seed = 1; seed <= kOrders; ++seed) {
    Options options;
    options.story = &told.story;
    World world(seed, options);
    const std::optional<Violation> violation = world.Run();
    ASSERT_FALSE(violation.has_value())
        << told.name << ", seed " << seed << ": " << violation->what;
    EXPECT_GT(world.acknowledged(), 0u);
  }
}

TEST_P(Told, BreaksWithoutItsRule) {
  const ToldStory& told = GetParam();
  std::string seen;
  for (uint64_t seed = 1; seed <= kMostOrders; ++seed) {
    Options options;
    options.story = &told.story;
    options.rules = told.without;
    World world(seed, options);
    const std::optional<Violation> violation = world.Run();
    if (!violation) continue;
    if (told.violates.find(violation->what[0]) != std::string::npos) return;
    seen += " " + violation->what;
  }
  FAIL() << told.name << ": none of the invariants " << told.violates << " was broken in "
         << kMostOrders << " message orders; seen:" << seen;
}

std::string NameOf(const testing::TestParamInfo<ToldStory>& info) {
  std::string name;
  for (char c : info.param.name) name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Stories, Told, testing::ValuesIn(Stories()), NameOf);

}  // namespace
}  // namespace understudy::simulation
