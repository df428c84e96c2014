#include <algorithm>

#include "operator/manifests/manifests.h"
#include "operator/plan/group_steps.h"
#include "operator/plan/objects.h"
#include "operator/plan/observation.h"
#include "operator/plan/pool.h"

namespace understudy::plan {
namespace {

// 1, and one more for each member that was never yet in sync: a member that cannot start must not block
// every drain.
int MaxUnavailable(const GroupTurn& turn) {
  int max = 1;
  for (const MemberNow& member : turn.members) {
    if (member.member->wanted && !member.is_primary &&
        (member.sync_reason == api::reason::kFirstCopy || member.sync_reason == api::reason::kCreating)) {
      ++max;
    }
  }
  return max;
}

void EnsureServices(const GroupTurn& turn, Plan* plan) {
  const api::ObjectRef owner = turn.group.Ref();
  Json primary = manifests::BuildPrimaryService(turn.group);
  Ensure(MetaOf(turn.view.primary_service), false, std::move(primary), owner, &plan->actions);
  Json reader = manifests::BuildReaderService(turn.group, turn.view.settings.server_minor);
  const bool reader_drifted =
      turn.view.reader_service &&
      turn.view.reader_service->selector != api::ParseStringMap(JsonAt(JsonAt(reader, "spec"), "selector"));
  Ensure(MetaOf(turn.view.reader_service), reader_drifted, std::move(reader), owner, &plan->actions);

  // An emptied group leads nobody to the node that left it.
  if (!failover::Started(turn.state)) {
    for (const api::EndpointSlice& slice : turn.view.primary_slices) {
      if (slice.meta.name != manifests::PrimarySliceName(turn.group.meta.name)) continue;
      Remove(&slice.meta, "discovery.k8s.io/v1", "EndpointSlice", owner, &plan->actions);
    }
  }

  if (turn.membership.Wanted() < 2) {
    Remove(MetaOf(turn.view.disruption_budget), "policy/v1", "PodDisruptionBudget", owner, &plan->actions);
    return;
  }
  const int max_unavailable = MaxUnavailable(turn);
  const bool budget_drifted =
      turn.view.disruption_budget &&
      (turn.view.disruption_budget->max_unavailable != std::to_string(max_unavailable) ||
       turn.view.disruption_budget->unhealthy_policy != "AlwaysAllow");
  Ensure(MetaOf(turn.view.disruption_budget), budget_drifted,
         manifests::BuildDisruptionBudget(turn.group, max_unavailable), owner, &plan->actions);
}

void EnsureMembers(GroupTurn* turn, Plan* plan) {
  const auto runs = [turn](const Member& member) { return IsServed(*turn, member); };
  std::vector<Member>& members = turn->membership.members;
  Status keys;
  if (std::any_of(members.begin(), members.end(), runs)) {
    keys = EnsureKeys(turn->group.meta.ns, turn->view.settings, turn->view.config_map, &plan->actions);
  }
  for (Member& member : members) {
    if (!runs(member)) continue;
    const MemberNow& now = *turn->Find(member.name());
    if (now.placement) plan->memory.placements[member.name()] = *now.placement;
    const Status& made = keys.ok() ? now.unbuildable : keys;
    if (made.ok()) {
      EnsureNode(*member.view, now.process, turn->group.meta.uid, now.zone, now.pod_template->stateful_set, turn->now,
                 plan);
      const bool due = turn->rollout->replace.contains(member.name()) && now.pod_template->ready;
      if (due && Announced(member.view->node.status, now.deferral)) {
        ReplacePod(*member.view, *now.pod_template, &plan->actions);
      }
      TryMissingPod(*member.view, *now.pod_template, turn->now, turn->wall, plan);
      SendParameters(*member.view, now.process, *now.pod_template, turn->now, plan);
      const std::string& refused = now.pod_template->live.refused;
      if (!refused.empty() && member.accepted) {
        member.accepted = false;
        member.reason = api::reason::kInvalidParameterValue;
        member.message = refused;
      }
      continue;
    }
    EnsureNodeSlice(*member.view, now.zone, &plan->actions);
    member.accepted = member.can_run = false;
    member.waits = RefusalWaits(made);
    member.reason = RefusalReason(made);
    member.message = std::string(made.message());
  }
  const auto gone = [turn](const auto& known) { return turn->Find(known.first) == nullptr; };
  std::erase_if(plan->memory.parameters, gone);
  std::erase_if(plan->memory.placements, gone);
}

void EnsureLabels(const GroupTurn& turn, Plan* plan) {
  for (const MemberNow& now : turn.members) {
    std::map<std::string, std::optional<std::string>> wanted = {{api::kGroupLabel, turn.group.meta.name},
                                                                {api::kRoleLabel, std::nullopt},
                                                                {api::kReaderLabel, std::nullopt}};
    if (!now.role.empty()) wanted[api::kRoleLabel] = now.role;
    if (now.reader) wanted[api::kReaderLabel] = "true";
    EnsurePodLabels(*now.member->view, wanted, &plan->actions);
  }
}

// Whether a member that stays may inherit, or may come to speak: then a member that leaves hands over first.
bool OthersAlive(const GroupTurn& turn, const MemberNow& leaving, Plan* plan) {
  for (const MemberNow& other : turn.members) {
    if (other.name() == leaving.name() || !other.member->wanted) continue;
    if (other.words != nullptr) {
      if (MayInherit(turn, *other.words)) return true;
      continue;
    }
    const MonoTime patience = turn.view.failover.me.acquired_at + kHearingTime;
    if (other.member->view->pod && other.member->view->pod->running && turn.now < patience) {
      plan->wake_at = std::min(plan->wake_at, patience);
      return true;
    }
  }
  return false;
}

// A member whose object is being deleted goes when the group no longer counts on it: it is not primary and
// no configuration names its process, or that is gone anyway. The last one with data asks for nothing.
bool MayGo(const GroupTurn& turn, const MemberNow& leaving, Plan* plan) {
  if (!failover::Started(turn.state)) return true;
  if (leaving.kept) return false;
  const bool counted_on = leaving.is_primary || IsCountedOn(turn, leaving);
  return !counted_on || !OthersAlive(turn, leaving, plan);
}

}  // namespace

void EnsurePrimarySlice(const GroupTurn& turn, const control::NodeRef& target, Plan* plan) {
  const auto& service = turn.view.primary_service;
  if (!service || service->meta.OwnerUid() != turn.group.meta.uid || service->meta.deleted) return;
  manifests::SliceTarget to;
  to.address = target.address;
  to.node_name = target.node_name;
  to.pod_uid = target.pod_uid;
  to.pod_name = manifests::PodName(target.name);
  const auto host = turn.view.hosts.find(target.node_name);
  if (host != turn.view.hosts.end()) to.zone = host->second.zone;
  const api::EndpointSlice* live = nullptr;
  for (const api::EndpointSlice& slice : turn.view.primary_slices) {
    if (slice.meta.name == manifests::PrimarySliceName(turn.group.meta.name)) live = &slice;
  }
  EnsureSlice(*service, live, to,
              manifests::BuildPrimarySlice(turn.group, service->meta.uid, AddressTypeOf(*service), to),
              turn.group.Ref(), &plan->actions);
}

void EnsureGroup(GroupTurn* turn, Plan* plan) {
  if (WasAccepted(*turn)) {
    EnsureServices(*turn, plan);
    EnsureFirstPrimary(*turn, plan);
    EnsurePool(*turn, plan);
  }
  EnsureMembers(turn, plan);
  EnsureLabels(*turn, plan);
}

std::set<std::string> EnsureMembership(const GroupTurn& turn, Plan* plan) {
  std::set<std::string> moved;
  if (!turn.group.meta.deleted &&
      EnsureFinalizer(turn.group.Ref(), turn.group.meta, true, &plan->actions)) {
    moved.insert(turn.group.meta.uid);
  }
  const bool others = turn.membership.Wanted() > 1;
  // Who is silent now, or over the quota, may yet come to take over what a leaving primary has.
  const bool nobody_stays = turn.membership.Wanted() == 0 && turn.membership.refused.empty();
  for (const MemberNow& now : turn.members) {
    const api::CacheNode& node = now.member->view->node;
    bool keep = others;
    if (!now.member->wanted) {
      const auto remove = nobody_stays ? RemoveNodeAndPod : RemoveNode;
      keep = !(MayGo(turn, now, plan) && remove(*now.member->view, &plan->actions));
      // The API server takes no new finalizer on an object that is being deleted.
      plan->wake_at = std::min(plan->wake_at, turn.now + kLookAgain);
      if (keep && !node.meta.HasFinalizer()) continue;
    }
    if (EnsureFinalizer(node.Ref(), node.meta, keep, &plan->actions)) moved.insert(node.meta.uid);
    if (MadeByOlder(turn, *now.member)) {
      const bool pool = !node.meta.Label(api::kPoolLabel).empty();
      Ensure(&node.meta, true, api::OperatorMadeNodeJson(node.kind, turn.group, node.meta.name, pool), turn.group.Ref(),
             &plan->actions);
      moved.insert(node.meta.uid);
    }
  }
  return moved;
}

bool RemoveGroupObjects(const GroupTurn& turn, Plan* plan) {
  const api::ObjectRef owner = turn.group.Ref();
  Remove(MetaOf(turn.view.disruption_budget), "policy/v1", "PodDisruptionBudget", owner, &plan->actions);
  Remove(MetaOf(turn.view.reader_service), "v1", "Service", owner, &plan->actions);
  Remove(MetaOf(turn.view.primary_service), "v1", "Service", owner, &plan->actions);
  const auto left = [&owner](const auto& object) { return object && IsChildOf(object->meta, owner); };
  return !left(turn.view.disruption_budget) && !left(turn.view.reader_service) && !left(turn.view.primary_service);
}

}  // namespace understudy::plan
