// Statuses for people: phases, conditions, columns. docs/conditions.md explains every reason.
//
// Pure. A status is built from the old one, so that what did not change stays the same to the byte and is
// not written.
#pragma once

#include <optional>
#include <string>

#include "operator/failover/machine.h"
#include "operator/plan/group_turn.h"
#include "operator/plan/plan.h"

namespace understudy::plan {

// Of the group. `findings` must be those of a decision that persists nothing: only these are complete.
api::ReplicationGroupStatus GroupStatus(const GroupTurn& turn, const failover::Findings& findings,
                                        const failover::GroupState& state);
// Beside a state that is about to be persisted: as it was, but that a change of roles shows from its first
// write on.
api::ReplicationGroupStatus PersistedStatus(const GroupTurn& turn, const failover::GroupState& state);

// While everything else waits for a group to settle: as it was, but for whether the group serves, why it does not and
// whose word it waits for. nullopt: that stands there already, or is not certain.
std::optional<api::ReplicationGroupStatus> ServiceStatus(const GroupTurn& turn, const failover::Findings& findings);
// And of a primary of which nobody hears any more: that it does not serve. nullopt: that stands there already.
std::optional<StatusWrite> LostPrimaryWrite(const GroupTurn& turn, const MemberNow& primary);

api::CacheNodeStatus MemberStatusOf(const GroupTurn& turn, const MemberNow& now);
api::CacheNodeStatus RefusedStatus(const GroupTurn& turn, const Member& member);

// The write that turns the present status into this one; nullopt when they are equal.
std::optional<StatusWrite> WriteOf(const GroupTurn& turn, const api::ReplicationGroupStatus& status,
                                   const failover::GroupState& state);
std::optional<StatusWrite> WriteOf(const api::CacheNode& node, const api::CacheNodeStatus& status);

// Shared by members and nodes without a group. waits: not accepted, but no edit is needed.
void SetAccepted(bool accepted, std::string_view reason, const std::string& message, int64_t generation,
                 WallTime wall, api::Conditions* conditions, bool waits = false);

// Events of what this status write makes visible: a node or a group that became available, a refusal.
void AddNodeEvents(const api::CacheNode& node, const api::CacheNodeStatus& next, Plan* plan);
void AddGroupEvents(const GroupTurn& turn, const api::ReplicationGroupStatus& next, Plan* plan);

}  // namespace understudy::plan
