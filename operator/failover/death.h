// Proof of death (FAILOVER.md section 4): the only four things that prove that a process has ended.
//
// A timeout, silence, a NotReady node, a Pod phase, a vanished or force-deleted Pod prove nothing.
// A proof names an incarnation and is kept for ever: an ended incarnation never comes back. Pure.
#pragma once

#include "operator/failover/turn.h"

namespace understudy::failover {

// Adds to the memory who is known, who is newly proven dead, and the last words of the primary.
// Drops what neither the status names nor a Pod of the view still shows.
void RememberFacts(Turn& turn);

}  // namespace understudy::failover
