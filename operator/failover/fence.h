// Can the old primary still acknowledge a write? (FAILOVER.md section 6, steps 3 and 4.) Pure.
#pragma once

#include <string>

#include "operator/failover/turn.h"

namespace understudy::failover {

struct Fence {
  bool done = false;
  bool ended = false;        // done, because the old primary is proven dead
  bool demoted = false;      // done, because it gave the role up itself
  bool needs_proof = false;  // waiting will not help: it must be proven dead or come back
  std::string waiting;       // one sentence, when not done
};

// For the takeover of `old` at `epoch`. Asks to be woken when the wait ends.
Fence JudgeFence(Turn& turn, const control::NodeRef& old, uint64_t epoch);

// Could a takeover of the present primary be fenced now, without its help? Enough voters of each of
// its configurations are reachable or dead; never with R = 0.
bool FenceWithinReach(const Turn& turn);

}  // namespace understudy::failover
