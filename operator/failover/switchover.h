// Moving the primary role while the primary answers (FAILOVER.md section 7). Pure.
#pragma once

#include "operator/failover/turn.h"

namespace understudy::failover {

// Begins the most pressing move that is due and possible. True if something was persisted.
// Otherwise Findings.switchover_blocked says why the one that is asked for waits. The primary must
// be in office and reachable.
bool StartMove(Turn& turn);

void StepPause(Turn& turn);
void StepDemote(Turn& turn);

}  // namespace understudy::failover
