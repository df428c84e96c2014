// A primary that asks to leave its group, by Promote or for another group (promote_demote.h).
//
// Asked for by a primary it is refused: a person says first who is to be primary instead. But a node may get the role
// while its accepted wish waits, because it was the only place for the data during a rollout, or in a failover. Such a
// wish stays accepted, and when it is due the node hands over to the member that primaryClusterId names. That the wish
// came before the role is on record: the node's status has it as pending, which a refused one never is. Pure.
#pragma once

#include <string>

#include "operator/plan/promote_demote.h"

namespace understudy::plan {

// A primary by the group's state, or one that the state has let go and that was not told yet.
bool HoldsPrimary(const GroupTurn& turn, const MemberNow& now);

// For a member that asks to leave and HoldsPrimary. Not for the only node of a group that moves, which takes the role
// along.
Permission JudgeLeavingPrimary(const GroupTurn& turn, const MemberNow& now);

// Permission::hands_over was given, and it is due: why primaryClusterId's member can't get the role yet; "" = it can.
std::string BeforeHandOver(GroupTurn* turn, const MemberNow& now);

// Why the primary hands over, for the record.
std::string LeavingReason(const MemberNow& now);

}  // namespace understudy::plan
