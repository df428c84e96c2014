#include "operator/plan/leaving_primary.h"

#include <algorithm>

#include "operator/plan/last_copy.h"

namespace understudy::plan {
namespace {

namespace reason = api::reason;

bool Stays(const MemberNow& now) { return now.member->wanted && !now.member->AsksToLeave(); }

bool IsOnRecord(const GroupTurn& turn, const MemberNow& now) {
  const char* field = now.member->promotes ? kPromoteField : kDemoteField;
  const auto* said = api::FindPending(now.member->view->node.status.pending_modified_values, field);
  return said != nullptr && said->from == turn.group.meta.name && said->to == now.member->moves_to;
}

// Another member that stays and that primaryClusterId names; nullptr: it names nobody of that kind.
const MemberNow* NamedOther(const GroupTurn& turn, const MemberNow& now) {
  const std::string& named = turn.group.spec.primary_cluster_id;
  const MemberNow* other = named.empty() || named == now.name() ? nullptr : turn.Find(named);
  return other != nullptr && Stays(*other) ? other : nullptr;
}

// The value was not acted on yet: a switchover of its own, which waits for its own window.
bool IsNewEdit(const GroupTurn& turn) {
  return failover::Started(turn.state) && turn.group.spec.primary_cluster_id != turn.state.handled_primary_cluster_id;
}

// What a person can do about it.
std::string WayOut(const GroupTurn& turn, const MemberNow& now) {
  const std::string& group = turn.group.meta.name;
  const std::string back = "set replicationGroupId to " + group + " again";
  const bool alone = std::none_of(turn.members.begin(), turn.members.end(), [&](const MemberNow& other) {
    return other.name() != now.name() && Stays(other);
  });
  if (alone && now.member->promotes) {
    const bool keeps = turn.group.spec.deletion_policy == api::DeletionPolicy::kRetainClusters && !now.member->operator_made;
    return ", and no other node stays in it; add a ReadReplica and switch over to it first" +
           (keeps ? ", or delete " + group + ", which leaves " + now.name() + " independent with its data" : "") + ", or " + back;
  }
  if (const MemberNow* named = NamedOther(turn, now)) {
    // The same value again would move nothing.
    return "; primaryClusterId of " + group + " names " + named->name() +
           " already and moves the role only when it is changed: set annotation " + api::kSwitchoverToAnnotation + " of " +
           group + " to " + named->name() + "@<the present time> to switch over first, or " + back;
  }
  return "; set primaryClusterId of " + group + " to another member to switch over first, or " + back;
}

}  // namespace

bool HoldsPrimary(const GroupTurn& turn, const MemberNow& now) {
  return now.is_primary || (now.words != nullptr && now.words->group == turn.group.meta.uid &&
                            now.words->role == control::Role::kPrimary);
}

Permission JudgeLeavingPrimary(const GroupTurn& turn, const MemberNow& now) {
  const std::string& group = turn.group.meta.name;
  const MemberNow* named = NamedOther(turn, now);
  const std::string is_primary =
      now.name() + " is the primary of replication group " + group +
      (now.member->promotes ? " and can't be promoted out of it" : ", which others follow, and can't join " + now.member->moves_to);
  Permission permission;
  if (named != nullptr && IsOnRecord(turn, now)) {
    permission.waits = true;
    permission.hands_over = !IsNewEdit(turn);
    permission.reason = now.member->promotes ? reason::kPromoting : reason::kDemoting;
    permission.message = "waits until the primary role of " + group + " has moved to " + named->name() + " (primaryClusterId)";
    return permission;
  }
  permission.refused = true;
  permission.reason = reason::kInvalidCacheClusterState;
  permission.waits = named != nullptr && IsNewEdit(turn);
  permission.message = is_primary + (permission.waits ? " before the switchover to " + named->name() +
                                                            ", which primaryClusterId asks for"
                                                      : WayOut(turn, now));
  return permission;
}

std::string BeforeHandOver(GroupTurn* turn, const MemberNow& now) {
  const MemberNow* named = NamedOther(*turn, now);
  const auto to = std::find_if(turn->members.begin(), turn->members.end(), [&](const MemberNow& m) { return &m == named; });
  if (!to->in_sync || !Votes(*turn, *to)) {
    return "waits until " + to->name() + " (primaryClusterId), which gets the primary role first, is in sync";
  }
  // The rollout that replaces it would bring the role back.
  if (IsToBeReplaced(*turn, &*to)) {
    return "waits until the Pod of " + to->name() + " (primaryClusterId), which gets the primary role first, has been replaced";
  }
  return "";
}

std::string LeavingReason(const MemberNow& now) {
  return now.name() + " leaves the group, as was accepted before it got the primary role";
}

}  // namespace understudy::plan
