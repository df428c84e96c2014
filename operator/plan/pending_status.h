// What a Deferral recorded, as people see it: columns, condition PendingModifications, events.
//
// Ready and the phase say nothing of it: waiting is no trouble. Pure; nothing changes while something merely
// waits. Events come from the difference to the status before, so each is told once, by whichever operator.
#pragma once

#include <vector>

#include "operator/plan/deferral.h"
#include "operator/plan/group_turn.h"
#include "operator/plan/plan.h"

namespace understudy::plan {

// Of a node: effective window, pending, pendingModifiedValues and the condition.
void SetPending(const Deferral& deferral, int64_t generation, WallTime wall, api::CacheNodeStatus* status);
// Of a group: its own and its members', one line for each field.
void SetPending(const GroupTurn& turn, api::ReplicationGroupStatus* status);

// before: pendingModifiedValues of the status that is replaced. Fields that were not asked for are not told of.
void AddPendingEvents(const api::ObjectRef& ref, const api::PendingModifications& before, const Deferral& deferral,
                      Plan* plan);

// Plans again when an answer of the deferral changes by itself.
void WakeFor(const Deferral& deferral, MonoTime now, WallTime wall, Plan* plan);
// Plans again at that time of day.
void WakeAt(WallTime at, MonoTime now, WallTime wall, Plan* plan);

}  // namespace understudy::plan
