// Is the primary in trouble, and do two independent observers say so? (FAILOVER.md section 6, steps
// 1 and 2.) Pure.
#pragma once

#include <optional>
#include <string>

#include "operator/failover/turn.h"

namespace understudy::failover {

struct Suspicion {
  bool suspected = false;  // something is wrong; nothing is done for that alone
  bool silent = false;     // nothing heard for detectionTimeout
  bool witnessed = false;  // a voter (or the kubelet) says the same
  std::string witness;     // who
  MonoTime heard;          // when it was, last; before this process heard it at all, the beginning of its leadership
};

// Looks at the present primary; keeps since when it is suspected in the memory, and says in the findings
// when nobody vouches for it any more (primary_lost). Asks to be woken when silence would reach
// detectionTimeout, and then when it would be lost.
Suspicion JudgePrimary(Turn& turn);

// A takeover without proof of death at that time is one of the last hour.
bool CountsForHour(const Turn& turn, WallTime confirmed);

// Takeovers without proof of death in the last hour have reached maxPerHour: until when a further one waits. Then asks
// to be woken at that time. nullopt: one more may begin.
std::optional<WallTime> HourlyBound(Turn& turn);

}  // namespace understudy::failover
