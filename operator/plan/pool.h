// The nodes that the operator makes for a group: its first primary, unless the user names one, and as many replicas as
// spec.replicas asks for. Pure.
#pragma once

#include <string>

#include "operator/plan/group_turn.h"
#include "operator/plan/plan.h"

namespace understudy::plan {

// The CacheCluster that a group without primaryClusterId starts with.
void EnsureFirstPrimary(const GroupTurn& turn, Plan* plan);
// A node of an older group of this name, which is to be this one's.
bool MadeByOlder(const GroupTurn& turn, const Member& member);
// Makes and removes replicas of the pool: never the primary, the highest number first.
void EnsurePool(const GroupTurn& turn, Plan* plan);
// Why replicas of the pool are missing that will not be made, as the group has all the nodes that it may have; "" when
// none is.
std::string PoolWithoutRoom(const GroupTurn& turn);

}  // namespace understudy::plan
