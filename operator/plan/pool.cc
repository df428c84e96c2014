#include "operator/plan/pool.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "operator/plan/objects.h"

namespace understudy::plan {
namespace {

bool NameTaken(const GroupTurn& turn, const std::string& name) {
  for (const NodeView& node : turn.view.nodes) {
    if (node.node.meta.name == name) return true;
  }
  return std::any_of(turn.view.claims.begin(), turn.view.claims.end(),
                     [&](const NameClaim& claim) { return claim.meta.name == name; });
}

struct Pool {
  std::vector<const MemberNow*> members;  // by name
  int missing = 0;                        // < 0: too many
  int room = 0;                           // for so many more nodes
};

// nullopt: it can't be counted yet.
std::optional<Pool> PoolOf(const GroupTurn& turn) {
  Pool pool;
  for (const MemberNow& member : turn.members) {
    if (MadeByOlder(turn, *member.member)) return std::nullopt;  // counted once they are this one's
    if (member.member->pool && member.member->wanted) pool.members.push_back(&member);
  }
  pool.missing = turn.group.spec.replicas + turn.membership.stand_ins - static_cast<int>(pool.members.size());
  pool.room = api::kMaxMembers - turn.membership.Wanted() - static_cast<int>(turn.membership.joiners.size());
  // The named primary keeps a place even before it exists.
  if (turn.membership.Find(turn.membership.first_primary) == nullptr && turn.state.epoch == 0) --pool.room;
  return pool;
}

}  // namespace

bool MadeByOlder(const GroupTurn& turn, const Member& member) {
  const api::CacheNode& node = member.view->node;
  return !member.operator_made && member.wanted && IsChildOf(node.meta, turn.group.Ref()) &&
         node.spec.replication_group_id == turn.group.meta.name;
}

void EnsureFirstPrimary(const GroupTurn& turn, Plan* plan) {
  const std::string name = api::OperatorMadeName(turn.group.meta.name, 1);
  if (!turn.group.spec.primary_cluster_id.empty() || turn.state.epoch > 0 || NameTaken(turn, name)) return;
  ConfirmOwner(turn.group.Ref(), &plan->actions);
  plan->actions.push_back(
      CreateObject{api::OperatorMadeNodeJson(api::NodeKind::kCacheCluster, turn.group, name, false)});
}

void EnsurePool(const GroupTurn& turn, Plan* plan) {
  std::optional<Pool> pool = PoolOf(turn);
  if (!pool) return;
  for (int number = 2; number <= api::kMaxPoolNumber && pool->missing > 0 && pool->room > 0; ++number) {
    const std::string name = api::OperatorMadeName(turn.group.meta.name, number);
    if (NameTaken(turn, name)) continue;
    ConfirmOwner(turn.group.Ref(), &plan->actions);
    plan->actions.push_back(
        CreateObject{api::OperatorMadeNodeJson(api::NodeKind::kReadReplica, turn.group, name, true)});
    --pool->missing;
    --pool->room;
  }
  for (auto it = pool->members.rbegin(); it != pool->members.rend() && pool->missing < 0; ++it) {
    if ((*it)->is_primary) continue;
    const api::ObjectRef ref = (*it)->member->view->node.Ref();
    plan->actions.push_back(DeleteObject{{ref.api_version, ref.kind, ref.ns, ref.name, ref.uid, ""}});
    ++pool->missing;
  }
}

std::string PoolWithoutRoom(const GroupTurn& turn) {
  const std::optional<Pool> pool = PoolOf(turn);
  if (!pool) return "";
  const int lacking = pool->missing - std::max(pool->room, 0);
  if (lacking <= 0) return "";
  const std::string most = std::to_string(api::kMaxMembers);
  return "replicas is " + std::to_string(turn.group.spec.replicas) + ", and " + std::to_string(lacking) +
         (lacking == 1 ? " of them has" : " of them have") + " no place: a replication group has at most " + most +
         " nodes, and nodes that are not of the pool take the others; lower replicas, or delete one of those nodes";
}

}  // namespace understudy::plan
