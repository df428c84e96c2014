// PlanGroup: who is a member, what the failover machine decides, then what objects, labels and statuses are
// missing. A transition of roles goes first and alone: nothing else is written until it is over, or has been
// stuck for kUnsettledLimit.
#include <algorithm>

#include "operator/plan/group_steps.h"
#include "operator/plan/group_turn.h"
#include "operator/plan/moves.h"
#include "operator/plan/objects.h"
#include "operator/plan/pending_status.h"
#include "operator/plan/promote_demote.h"
#include "operator/plan/state_codec.h"
#include "operator/plan/status.h"

namespace understudy::plan {
namespace {

// In a namespace that goes away the Pods go first: nothing is handed over, nothing is held back.
Plan LetGo(const GroupTurn& turn) {
  Plan plan;
  plan.memory = turn.view.memory;
  for (const NodeView& node : turn.view.nodes) {
    EndPod(node, &plan.actions);
    EnsureFinalizer(node.node.Ref(), node.node.meta, false, &plan.actions);
  }
  EnsureFinalizer(turn.group.Ref(), turn.group.meta, false, &plan.actions);
  return plan;
}

void AddEvents(const GroupTurn& turn, const failover::Decision& decision, Plan* plan) {
  for (const failover::Event& event : decision.events) {
    plan->events.push_back({turn.group.Ref(), event.warning, event.reason, "Failover", event.message});
  }
}

// Entries of a history come with ever higher epochs.
std::vector<failover::Kind> Recorded(const failover::GroupState& before, const failover::GroupState& after) {
  const uint64_t last = before.failover_history.empty() ? 0 : before.failover_history.back().epoch;
  std::vector<failover::Kind> kinds;
  for (const failover::HistoryEntry& entry : after.failover_history) {
    if (entry.epoch > last) kinds.push_back(entry.kind);
  }
  return kinds;
}

// A group that was never accepted is not started.
bool MayDecide(const GroupTurn& turn) {
  if (!turn.membership.group_reason.empty() && !failover::Started(turn.state)) return false;
  return MachineDecides(turn);
}

// Statuses, labels and objects wait while roles move, so that they cost no time, and while a member may only
// be unheard; trouble that lasts longer than kUnsettledLimit is shown and worked around. Only whether the group
// serves is shown as soon as it is known (ServiceStatus).
void JudgeSettled(const failover::Findings& findings, GroupTurn* turn, Plan* plan) {
  auto& since = plan->memory.unsettled_since;
  const bool in_charge = findings.primary_serving || findings.lacks_replicas;
  bool moving = failover::Started(turn->state) && (turn->state.failover || !in_charge);
  for (const MemberNow& member : turn->members) {
    moving = moving || FellSilent(*member.member->view, member.process);
  }
  if (!moving || turn->group.meta.deleted) {
    since.reset();
    turn->settled = true;
    return;
  }
  if (!since) since = turn->now;
  turn->settled = turn->now - *since >= kUnsettledLimit;
  if (!turn->settled) plan->wake_at = std::min(plan->wake_at, *since + kUnsettledLimit);
}

void CarryDecision(const GroupTurn& turn, failover::Decision decision, Plan* plan) {
  plan->orders = std::move(decision.orders);
  plan->reconnect = std::move(decision.reconnect);
  if (decision.endpoint) EnsurePrimarySlice(turn, *decision.endpoint, plan);
  for (const std::string& uid : decision.force_delete) {
    for (const NodeView& node : turn.view.nodes) {
      if (!node.pod || node.pod->meta.uid != uid) continue;
      const api::ObjectMeta& meta = node.pod->meta;
      plan->actions.push_back(ForceDeletePod{{"v1", "Pod", meta.ns, meta.name, meta.uid, ""}});
    }
  }
}

void WriteStatuses(const GroupTurn& turn, const failover::Findings& findings,
                   const std::set<std::string>& moved, Plan* plan) {
  if (!moved.contains(turn.group.meta.uid)) {
    const api::ReplicationGroupStatus status = GroupStatus(turn, findings, turn.state);
    if (auto write = WriteOf(turn, status, turn.state)) {
      AddGroupEvents(turn, status, plan);
      AddPendingEvents(turn.group.Ref(), turn.group.status.pending_modified_values, turn.deferral, plan);
      plan->statuses.push_back(std::move(*write));
    }
  }
  const auto add = [&](const api::CacheNode& node, const api::CacheNodeStatus& status, const Deferral& deferral) {
    if (moved.contains(node.meta.uid)) return;
    if (auto write = WriteOf(node, status)) {
      // It was to be the group's data, not to be dropped for it.
      if (!failover::Started(turn.state) && StandsAlone(node) && status.epoch == 0 && status.dataset.empty()) {
        plan->events.push_back({node.Ref(), true, "DataLost", "StandAlone",
                                "the process of " + node.meta.name + " has ended and its data with it; it starts empty"});
      }
      AddNodeEvents(node, status, plan);
      AddPendingEvents(node.Ref(), node.status.pending_modified_values, deferral, plan);
      plan->statuses.push_back(std::move(*write));
    }
  };
  for (const MemberNow& now : turn.members) {
    add(now.member->view->node, MemberStatusOf(turn, now), now.deferral);
    WakeFor(now.deferral, turn.now, turn.wall, plan);
  }
  WakeFor(turn.deferral, turn.now, turn.wall, plan);
  for (const Member& member : turn.membership.refused) add(member.view->node, RefusedStatus(turn, member), {});
}

}  // namespace

Plan PlanGroup(const GroupView& view, MonoTime now, WallTime wall) {
  Plan plan;
  plan.memory = view.memory;
  GroupTurn turn{view, view.group.object, view.group.state, now, wall,
                 PlanMembership(view, JoinersOf(view, now, wall, &plan))};
  if (view.namespace_terminating) return LetGo(turn);

  FillEndpoints(&turn);
  FillMembers(&turn, &plan);

  // Before the machine, which may have to move the primary for it; a group in trouble has other worries.
  const bool calm = !turn.group.meta.deleted && !turn.state.failover && turn.PrimaryWords() != nullptr;
  if (calm) FillRollout(&turn);

  failover::Decision decision;
  decision.memory = view.memory.failover;
  if (LeavesEmptied(turn)) {
    plan.wake_at = std::min(plan.wake_at, now + kLookAgain);
  } else if (MayDecide(turn)) {
    decision = failover::Decide(turn.state, FailoverViewOf(turn), now, wall);
  }
  plan.memory.failover = decision.memory;
  plan.attentive = turn.state.failover.has_value() || decision.persist.has_value() || !decision.orders.empty() ||
                   !decision.memory.suspect.empty();
  plan.grants = decision.grants;
  plan.wake_at = std::min(plan.wake_at, decision.wake_at);
  if (decision.findings.lacks_replicas) {
    const int needed = turn.group.spec.SynchronousReplicas();
    turn.lacks_replicas = "writes need " + std::to_string(needed) + (needed == 1 ? " replica" : " replicas") +
                          " in sync (synchronousReplicas); there are " +
                          std::to_string(decision.findings.voters_following);
  }
  for (MemberNow& member : turn.members) {
    if (!member.is_primary || turn.PrimaryWords() == nullptr) continue;
    member.ready = decision.findings.primary_serving;
    // Its channel is still open.
    if (decision.findings.primary_lost && !member.fault) {
      member.fault = Fault{api::reason::kUnreachable, "its process does not answer the operator"};
    }
  }
  const failover::Findings findings = decision.findings;
  // Who has taken its wish back goes before the group starts with the others.
  const bool starts = decision.persist && !failover::Started(turn.state) && failover::Started(*decision.persist);
  if (starts && PersistMembership(turn, findings, &plan)) {
    plan.memory.failover = view.memory.failover;
    return plan;
  }
  if (decision.persist) {
    AddEvents(turn, decision, &plan);
    plan.recorded = Recorded(turn.state, *decision.persist);
    plan.persist.push_back(
        {turn.group.Ref(), GroupStatusJson(PersistedStatus(turn, *decision.persist), *decision.persist)});
    return plan;
  }
  if (PersistMembership(turn, findings, &plan)) {
    plan.memory.failover = view.memory.failover;  // the decision's orders are not sent
    return plan;
  }
  AddEvents(turn, decision, &plan);
  CarryDecision(turn, std::move(decision), &plan);
  TellWhyNotHandedOver(findings.switchover_blocked, &turn);
  TellWhyNotSwitchedOver(findings.switchover_blocked, &turn);
  AwaitTest(&turn, now, &plan);
  JudgeSettled(findings, &turn, &plan);
  if (!turn.settled) {
    if (const auto status = ServiceStatus(turn, findings)) {
      AddGroupEvents(turn, *status, &plan);
      plan.statuses.push_back({turn.group.Ref(), GroupStatusJson(*status, turn.state)});
    }
    const MemberNow* primary = turn.Find(turn.state.primary.name);
    if (findings.primary_lost && primary != nullptr) {
      if (auto write = LostPrimaryWrite(turn, *primary)) plan.statuses.push_back(*std::move(write));
    }
    return plan;
  }

  if (!turn.rollout && !turn.group.meta.deleted) FillRollout(&turn);
  std::set<std::string> moved;
  if (turn.group.meta.deleted) {
    moved = PlanGroupDeletion(turn, findings, &plan);
    if (!plan.persist.empty()) {
      plan.orders.clear();
      plan.reconnect.clear();
      plan.actions.clear();
      return plan;
    }
  } else {
    moved = EnsureMembership(turn, &plan);
    EnsureGroup(&turn, &plan);
  }
  const bool conflict = turn.membership.group_reason == api::reason::kNameConflict || !turn.membership.refused.empty();
  if (conflict) plan.wake_at = std::min(plan.wake_at, now + kConflictPeriod);
  // Another group's status tells nobody here that it is available.
  for (const MemberNow& member : turn.members) {
    if (!member.member->moves_to.empty()) plan.wake_at = std::min(plan.wake_at, now + kLookAgain);
  }
  WriteStatuses(turn, findings, moved, &plan);
  return plan;
}

}  // namespace understudy::plan
