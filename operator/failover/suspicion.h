// Is the primary in trouble, and do two independent observers say so? (FAILOVER.md section 6, steps
// 1 and 2.) Pure.
#pragma once

#include <string>

#include "operator/failover/turn.h"

namespace understudy::failover {

struct Suspicion {
  bool suspected = false;  // something is wrong; nothing is done for that alone
  bool silent = false;     // nothing heard for detectionTimeout
  bool witnessed = false;  // a voter (or the kubelet) says the same
  std::string witness;     // who
};

// Looks at the present primary; keeps since when it is suspected in the memory, and says in the findings
// when nobody vouches for it any more (primary_lost). Asks to be woken when silence would reach
// detectionTimeout, and then when it would be lost.
Suspicion JudgePrimary(Turn& turn);

// Takeovers without proof of death in the last hour have reached maxPerHour.
bool HourlyBoundReached(const Turn& turn);

}  // namespace understudy::failover
