// Random edits in random order with random faults, from seeds.
//
//   UNDERSTUDY_SEEDS=<n>  how many seeds (120), UNDERSTUDY_SEED=<first> (1); UNDERSTUDY_EDITS=<n>  at least so many edits of
//   each (60)
//   UNDERSTUDY_TRACE=<seed>  that seed alone, with its last steps
#include <gtest/gtest.h>

#include <iostream>
#include <string>

#include "tests/simulation/edits/simulation.h"
#include "tests/support/environment.h"

namespace understudy::edits {
namespace {

constexpr uint64_t kBlocks = 6;  // so that ctest can run them side by side

Options AsAsked() {
  Options options;
  options.edits = static_cast<int>(FromEnvironment("UNDERSTUDY_EDITS", 60));
  return options;
}

void Print(const Simulation& simulation) {
  for (const std::string& line : simulation.trace()) std::cout << line << "\n";
}

class RandomEdits : public testing::TestWithParam<uint64_t> {};

TEST_P(RandomEdits, BreakNoRule) {
  const uint64_t first = FromEnvironment("UNDERSTUDY_SEED", 1);
  const uint64_t seeds = FromEnvironment("UNDERSTUDY_SEEDS", 120);
  int edits = 0;
  uint64_t acknowledged = 0;
  for (uint64_t seed = first + GetParam(); seed < first + seeds; seed += kBlocks) {
    Simulation simulation(seed, AsAsked());
    const std::optional<Violation> violation = simulation.Run();
    edits += simulation.edits();
    acknowledged += simulation.acknowledged();
    if (!violation) continue;
    Print(simulation);
    ADD_FAILURE() << "seed " << seed << ": " << violation->what << "\n(UNDERSTUDY_TRACE=" << seed << " repeats the run)";
    break;
  }
  if (seeds >= kBlocks) {
    EXPECT_GT(acknowledged, 0u);
  }
  std::cout << edits << " edits, " << acknowledged << " acknowledged writes\n";
}

INSTANTIATE_TEST_SUITE_P(EditsSimulation, RandomEdits, testing::Range<uint64_t>(0, kBlocks));

TEST(EditsSimulation, RepeatsExactlyForASeed) {
  Options options;
  options.edits = 20;
  Simulation one(3, options), two(3, options);
  (void)one.Run();
  (void)two.Run();
  EXPECT_EQ(one.trace(), two.trace());
  EXPECT_EQ(one.acknowledged(), two.acknowledged());
}

TEST(EditsSimulation, ShowsOneSeed) {
  const uint64_t seed = FromEnvironment("UNDERSTUDY_TRACE", 0);
  if (seed == 0) GTEST_SKIP() << "UNDERSTUDY_TRACE names no seed";
  Simulation simulation(seed, AsAsked());
  const std::optional<Violation> violation = simulation.Run();
  Print(simulation);
  EXPECT_FALSE(violation.has_value()) << violation->what;
}

}  // namespace
}  // namespace understudy::edits
