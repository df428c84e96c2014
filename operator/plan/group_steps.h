// The steps of PlanGroup, in files of their own: what the group's objects should be, and how it goes.
//
// Each appends to the plan and keeps nothing. Pure.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "operator/plan/group_turn.h"
#include "operator/plan/plan.h"

namespace understudy::plan {

// -- group_objects.cc
// The primary EndpointSlice for `target` (it needs the Service to exist first).
void EnsurePrimarySlice(const GroupTurn& turn, const control::NodeRef& target, Plan* plan);
// Services, disruption budget, first primary, pool, every member's objects, Pod labels. Members whose
// objects can't be built are changed to not accepted, with the reason.
void EnsureGroup(GroupTurn* turn, Plan* plan);
// Finalizers of the group and its members, and the farewell of members whose objects are being deleted. Comes before
// EnsureGroup: an object that goes as soon as it came can't leave children behind once it has its finalizer.
// Returns the UIDs of objects whose version moves, so that their statuses wait for the next plan.
std::set<std::string> EnsureMembership(const GroupTurn& turn, Plan* plan);
// Deletes the Services and the disruption budget. True: none is left.
bool RemoveGroupObjects(const GroupTurn& turn, Plan* plan);

// -- group_deletion.cc
// Whether the machine still decides for a group that is being deleted: until it has an heir.
bool MachineDecides(const GroupTurn& turn);
// The deletion as far as it can go now; returns the UIDs of objects whose version moves. A plan that
// persists is complete.
std::set<std::string> PlanGroupDeletion(const GroupTurn& turn, const failover::Findings& findings, Plan* plan);

}  // namespace understudy::plan
