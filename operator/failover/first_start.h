// A group that is not started (state.h): its first start, the adoption of members that have data,
// and the recovery of a status that was lost (FAILOVER.md section 2, API.md "A new group adopts").
// Pure.
#pragma once

#include "operator/failover/turn.h"

namespace understudy::failover {

// Persists epoch 1 (after a primary left with its data, the next one) with its primary when it can be
// chosen; until then the findings say what is missing.
void FirstStart(Turn& turn);

}  // namespace understudy::failover
