// The stories H1-H24: for each rule that was found by looking for holes, the shortest run that
// breaks an invariant of FAILOVER.md section 10 when the rule is left out
// (research/failover-model/REPORT.md).
#pragma once

#include <string>
#include <vector>

#include "tests/simulation/world.h"

namespace understudy::simulation {

struct ToldStory {
  std::string name;      // "H1 a refused connection is not proof of death"
  RuleSwitches without;  // the rule taken out, in the operator, in the node or in both
  std::string
      violates;  // which invariants ("1", "3 4"): at least one of them is broken without the rule
  Story story;
};

inline constexpr uint64_t kOrders = 6;       // message orders in which each has to hold
inline constexpr uint64_t kMostOrders = 40;  // within which each has to break without its rule

const std::vector<ToldStory>& Stories();

}  // namespace understudy::simulation
