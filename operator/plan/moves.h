// Who asks for the primary role to move: the input of FAILOVER.md section 7.
//
// An edit of spec.primaryClusterId (in the maintenance window, rollout.h), a value of the annotation switchover-to (at
// once) and a time in spec.testFailover (at that time) are each acted on once; what takes the primary away (eviction,
// the end of a deleted group's own nodes, the replacement of its Pod in a rollout, its own leave: leaving_primary.h) is
// asked for as long as it is so.
// What the primary itself shows (SIGTERM, deletion of its Pod or object, unfit) the failover machine sees by
// itself. Pure. Source: API.md "ReplicationGroup.spec", "CacheCluster.spec", "Deletion".
#pragma once

#include <string>
#include <string_view>

#include "common/result.h"
#include "operator/plan/group_turn.h"

namespace understudy::plan {

// A request from further in the future than clocks differ is refused for good: it is no appointment.
inline constexpr Duration kClockSkew = Seconds(60);

// "<node>@<RFC 3339>".
struct SwitchoverTo {
  std::string node;
  WallTime at;
};
// kInvalid: one sentence that says what is allowed.
Result<SwitchoverTo> ParseSwitchoverTo(std::string_view text);

// Those that are due, the most pressing first. Needs FillMembers, and FillRollout for the edit and the rollout.
std::vector<failover::MoveRequest> MovesOf(const GroupTurn& turn);
// A time in spec.testFailover that has not come is pending until then. Plans again when it comes, and when its hour is
// over.
void AwaitTest(GroupTurn* turn, MonoTime now, Plan* plan);
// The member that spec.primaryClusterId asks to switch over to; "" when it asks for nothing new, or is refused.
std::string EditedPrimary(const GroupTurn& turn);
// Why the primary hands over to it.
std::string EditReason(const std::string& named);
// Why a switchover that a person asked for can't even be tried; "" if none is asked for, or it is tried.
std::string RefusedMove(const GroupTurn& turn);

}  // namespace understudy::plan
