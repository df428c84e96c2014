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

// Notes in what is persisted which words of annotation confirm-dead came while their process answered, and forgets
// those that it no longer names; a warning event tells of each new one. Such a word never counts: it says nothing of
// how that process ends later. For a leader, after its decision.
void NoteVoidWords(Turn& turn);

}  // namespace understudy::failover
