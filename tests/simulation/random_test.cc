// Random faults from seeds: loss, doubling, delay, reordering, crashes, restarts, stopped
// processes, cuts, clocks up to 9 % off, API conflicts and stale reads, edits of the group,
// switchovers.
//
//   UNDERSTUDY_SEEDS=<n>  how many seeds (300), UNDERSTUDY_SEED=<first> (1)
//   UNDERSTUDY_TRACE=<seed>  that seed alone, with everything that happened
//   UNDERSTUDY_SHRINK=1  of a seed that fails: which of its faults are needed
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <set>
#include <string>

#include "tests/simulation/world.h"
#include "tests/support/environment.h"

namespace understudy::simulation {
namespace {

constexpr uint64_t kBlocks = 6;  // so that ctest can run them side by side

Options For(uint64_t seed) {
  Options options;
  options.from_nothing = seed % 3 == 0;
  return options;
}

// Leaves out every fault that is not needed for a violation of the same invariant.
std::set<size_t> Shrink(uint64_t seed, char invariant, size_t faults) {
  std::set<size_t> left_out;
  for (size_t k = faults; k-- > 0;) {
    Options options = For(seed);
    options.leave_out = left_out;
    options.leave_out.insert(k);
    World world(seed, options);
    const std::optional<Violation> v = world.Run();
    if (v && v->what[0] == invariant) left_out.insert(k);
  }
  return left_out;
}

class RandomFaults : public testing::TestWithParam<uint64_t> {};

TEST_P(RandomFaults, BreakNoInvariant) {
  const uint64_t first = FromEnvironment("UNDERSTUDY_SEED", 1);
  const uint64_t seeds = FromEnvironment("UNDERSTUDY_SEEDS", 300);
  uint64_t acknowledged = 0;
  uint64_t events = 0;
  for (uint64_t seed = first + GetParam(); seed < first + seeds; seed += kBlocks) {
    World world(seed, For(seed));
    const std::optional<Violation> violation = world.Run();
    acknowledged += world.acknowledged();
    events += world.events();
    if (!violation) continue;
    ADD_FAILURE() << "seed " << seed << ", " << world.Describe() << ": invariant "
                  << violation->what << "\n(UNDERSTUDY_TRACE=" << seed << " shows the run)";
    if (FromEnvironment("UNDERSTUDY_SHRINK", 0) != 0) {
      const std::set<size_t> left_out = Shrink(seed, violation->what[0], world.planned_faults());
      Options options = For(seed);
      options.trace = true;
      options.leave_out = left_out;
      World shorter(seed, options);
      (void)shorter.Run();
      for (const std::string& line : shorter.trace()) std::cout << line << "\n";
    }
  }
  if (seeds >= kBlocks) {
    EXPECT_GT(acknowledged, 0u);
  }
  std::cout << events << " events, " << acknowledged << " acknowledged writes\n";
}

INSTANTIATE_TEST_SUITE_P(Simulation, RandomFaults, testing::Range<uint64_t>(0, kBlocks));

TEST(Simulation, RepeatsExactlyForASeed) {
  World one(7, For(7));
  World two(7, For(7));
  EXPECT_FALSE(one.Run().has_value());
  EXPECT_FALSE(two.Run().has_value());
  EXPECT_EQ(one.events(), two.events());
  EXPECT_EQ(one.acknowledged(), two.acknowledged());
}

TEST(Simulation, ShowsOneSeed) {
  const uint64_t seed = FromEnvironment("UNDERSTUDY_TRACE", 0);
  if (seed == 0) GTEST_SKIP() << "UNDERSTUDY_TRACE names no seed";
  Options options = For(seed);
  options.trace = true;
  World world(seed, options);
  const std::optional<Violation> violation = world.Run();
  for (const std::string& line : world.trace()) std::cout << line << "\n";
  EXPECT_FALSE(violation.has_value()) << world.Describe() << ": " << violation->what;
}

}  // namespace
}  // namespace understudy::simulation
