// A deleted group (API.md "Deletion"): its data stays with the members that users made. The primary leaves to
// stand alone, the heir; the others keep what they have, read-only; what the operator made goes.
//
// Order, each step persisted before the next: hand over from an operator-made primary (the machine, as a
// switchover) -> status.heir names the process that inherits -> the heir's own status says that it stands
// alone (from then on PlanLone gives it its order) -> it says so itself -> the group's objects go.
#include <algorithm>

#include "operator/plan/group_steps.h"
#include "operator/plan/objects.h"
#include "operator/plan/state_codec.h"
#include "operator/plan/status.h"

namespace understudy::plan {
namespace {

// The heir's words come under its own key, the end of the children under several: look again by itself.
constexpr Duration kLookForHeir = Milliseconds(250);

// A node that a user made stays with what it holds, if the policy says so.
bool Stays(const GroupTurn& turn, const MemberNow& now) {
  return turn.group.spec.deletion_policy == api::DeletionPolicy::kRetainClusters && now.member->wanted &&
         !now.member->operator_made;
}

// A primary that is silent is waited for; an object made anew under its name, for which nothing runs and nothing will, is
// not.
bool MayBecomeHeir(const GroupTurn& turn, const MemberNow& now) {
  if (!Stays(turn, now)) return false;
  if (now.words != nullptr) return MayInherit(turn, *now.words);
  const NodeView& view = *now.member->view;
  return now.is_primary && (view.pod || view.stateful_set);
}

// Whether there is data to hand on and somebody to have it.
bool HasHeirs(const GroupTurn& turn) {
  return failover::Started(turn.state) &&
         std::any_of(turn.members.begin(), turn.members.end(), [&](const MemberNow& now) { return MayBecomeHeir(turn, now); });
}

// Of two kinds of one name the older: the process is its own.
const NodeView* NodeNamed(const GroupView& view, const std::string& name) {
  const NodeView* found = nullptr;
  for (const NodeView& node : view.nodes) {
    if (node.node.meta.name != name) continue;
    if (found == nullptr || node.node.meta.OlderThan(found->node.meta)) found = &node;
  }
  return found;
}

// A node that a user made, and that this group has not taken in yet: its process is still what an older group left,
// with the data of that one.
bool IsStillElsewhere(const GroupTurn& turn, const MemberNow& now) {
  return now.member->wanted && !now.member->operator_made &&
         now.member->view->node.status.group_uid != turn.group.meta.uid;
}

// Objects of the group and nodes that the operator made; finalizers at the end.
std::set<std::string> Finish(const GroupTurn& turn, Plan* plan) {
  std::set<std::string> moved;
  const auto stays = [&turn](const MemberNow& now) { return Stays(turn, now) || IsStillElsewhere(turn, now); };
  // Who is silent now may yet come to inherit what a primary has.
  const bool nobody_stays = std::none_of(turn.members.begin(), turn.members.end(), stays);
  // All objects before the first Pod: once a Pod ends at once with its data, nobody is left who could have had it.
  for (const MemberNow& now : turn.members) {
    const api::CacheNode& node = now.member->view->node;
    if (stays(now) || node.meta.deleted) continue;
    const api::ObjectRef ref = node.Ref();
    plan->actions.push_back(DeleteObject{{ref.api_version, ref.kind, ref.ns, ref.name, ref.uid, ""}});
  }
  bool gone = true;
  for (const MemberNow& now : turn.members) {
    const api::CacheNode& node = now.member->view->node;
    if (stays(now)) {
      if (EnsureFinalizer(node.Ref(), node.meta, false, &plan->actions)) moved.insert(node.meta.uid);
      continue;
    }
    gone = false;
    moved.insert(node.meta.uid);
    const auto remove = nobody_stays ? RemoveNodeAndPod : RemoveNode;
    if (remove(*now.member->view, &plan->actions)) {
      EnsureFinalizer(node.Ref(), node.meta, false, &plan->actions);
    }
  }
  const bool removed = RemoveGroupObjects(turn, plan);
  if (gone && removed && EnsureFinalizer(turn.group.Ref(), turn.group.meta, false, &plan->actions)) {
    moved.insert(turn.group.meta.uid);
  }
  return moved;
}

void PersistHeir(const GroupTurn& turn, const failover::Findings& findings, std::optional<api::Heir> heir,
                 Plan* plan) {
  api::ReplicationGroupStatus status = GroupStatus(turn, findings, turn.state);
  status.heir = std::move(heir);
  plan->persist.push_back({turn.group.Ref(), GroupStatusJson(status, turn.state)});
}

// The heir's process ended before it stood alone: the group decides again who has the data.
void GiveUpHeir(const GroupTurn& turn, const failover::Findings& findings, const NodeView* node, Plan* plan) {
  if (node != nullptr && StandsAlone(node->node)) {
    api::CacheNodeStatus status = node->node.status;
    status.epoch = 0;
    status.incarnation.clear();
    status.group_uid = turn.group.meta.uid;
    plan->persist.push_back({node->node.Ref(), api::CacheNodeStatusJson(status)});
  }
  PersistHeir(turn, findings, std::nullopt, plan);
}

void ChooseHeir(const GroupTurn& turn, const failover::Findings& findings, Plan* plan) {
  const MemberNow* primary = turn.Find(turn.state.primary.name);
  if (turn.state.failover || primary == nullptr || !Stays(turn, *primary)) return;
  const control::NodeState* words = turn.PrimaryWords();
  if (words == nullptr || words->role != control::Role::kPrimary || !words->in_office) return;
  PersistHeir(turn, findings, api::Heir{primary->name(), words->incarnation}, plan);
}

// True: the heir stands alone.
bool SendOff(const GroupTurn& turn, const failover::Findings& findings, Plan* plan) {
  const api::Heir& heir = *turn.group.status.heir;
  const NodeView* node = NodeNamed(turn.view, heir.name);
  if (node == nullptr) {
    GiveUpHeir(turn, findings, nullptr, plan);
    return false;
  }
  // It stood alone, and has gone on to another group since.
  const std::string& of = node->node.status.group_uid;
  if (!of.empty() && of != turn.group.meta.uid) return true;
  const failover::PodView* process = ProcessOf(turn.view, *node);
  const control::NodeState* words = WordsOf(process);
  if (words == nullptr) return false;  // silent: it may come back as it was
  if (words->role == control::Role::kStandalone && words->group == node->node.meta.uid) return true;
  if (words->incarnation != heir.incarnation) {
    GiveUpHeir(turn, findings, node, plan);
    return false;
  }
  if (!StandsAlone(node->node)) {
    api::CacheNodeStatus status = node->node.status;
    status.epoch = 1;
    status.incarnation = heir.incarnation;
    status.dataset = words->dataset;
    status.group_uid.clear();
    plan->persist.push_back({node->node.Ref(), api::CacheNodeStatusJson(status)});
  }
  return false;
}

}  // namespace

bool MachineDecides(const GroupTurn& turn) {
  if (!turn.group.meta.deleted) return true;
  return !turn.group.status.heir && HasHeirs(turn);
}

std::set<std::string> PlanGroupDeletion(const GroupTurn& turn, const failover::Findings& findings, Plan* plan) {
  plan->wake_at = std::min(plan->wake_at, turn.now + kLookForHeir);
  if (turn.group.status.heir) {
    if (SendOff(turn, findings, plan)) return Finish(turn, plan);
  } else if (HasHeirs(turn)) {
    ChooseHeir(turn, findings, plan);
  } else {
    return Finish(turn, plan);
  }
  return {};
}

}  // namespace understudy::plan
