#include <algorithm>
#include <map>
#include <set>

#include "operator/manifests/manifests.h"
#include "operator/plan/moves.h"
#include "operator/plan/pending_status.h"
#include "operator/plan/pool.h"
#include "operator/plan/state_codec.h"
#include "operator/plan/status.h"

namespace understudy::plan {
namespace {

using api::Truth;
namespace reason = api::reason;

struct Verdict {
  Truth status = Truth::kFalse;
  std::string_view reason;
  std::string message;
};

// Why the group has not been started: the first primary is missing, not up, or unclear.
Verdict NotStarted(const GroupTurn& turn, const failover::Findings& findings) {
  if (!findings.several_datasets.empty()) {
    return {Truth::kFalse, reason::kSeveralDatasets,
            "its nodes hold different data, of which a group can have one: " + findings.several_datasets +
                "; for each data set that may go set discardExistingData: <data set> on the nodes that hold it, or "
                "delete them, or take them back with promotedFrom: " + turn.group.meta.name};
  }
  const std::string& first = turn.membership.first_primary;
  if (first.empty()) {
    const std::string add = "; create a ReadReplica or CacheCluster with replicationGroupId " + turn.group.meta.name;
    if (turn.state.epoch > 0) {
      return {Truth::kFalse, reason::kEmptied,
              "the group has no node: its last one left with its data, or all were deleted and the data with them" + add};
    }
    return {Truth::kFalse, reason::kCacheClusterNotFound,
            "CacheCluster " + turn.group.spec.primary_cluster_id + " was promoted out of the group, which has no other node" +
                add};
  }
  const MemberNow* primary = turn.Find(first);
  if (primary == nullptr) {
    if (turn.group.spec.primary_cluster_id.empty()) {
      return {Truth::kFalse, reason::kCreating, "CacheCluster " + first + " is being created"};
    }
    return {Truth::kFalse, reason::kCacheClusterNotFound, "waiting for CacheCluster " + first};
  }
  if (!primary->member->accepted && !primary->member->can_run) {
    return {Truth::kFalse, primary->member->reason, first + ": " + primary->member->message};
  }
  if (primary->fault) return {Truth::kFalse, primary->fault->reason, first + ": " + primary->fault->message};
  // What the first start waits for: also other nodes, as long as they may have data.
  return {Truth::kFalse, reason::kCreating,
          findings.failover_ready_message.empty() ? "waiting for " + first + " to start"
                                                  : findings.failover_ready_message};
}

// Started, and every node has been deleted since.
bool AllDeleted(const GroupTurn& turn, const failover::GroupState& state) {
  return failover::Started(state) && turn.members.empty();
}

Verdict ReadyOf(const GroupTurn& turn, const failover::Findings& findings, const failover::GroupState& state) {
  if (turn.group.meta.deleted) return {Truth::kFalse, reason::kDeleting, "the group is being deleted"};
  if (!turn.membership.group_reason.empty() && !failover::Started(state)) {
    return {Truth::kFalse, turn.membership.group_reason, turn.membership.group_message};
  }
  if (!failover::Started(state)) return NotStarted(turn, findings);
  if (AllDeleted(turn, state)) {
    return {Truth::kFalse, reason::kNoPromotableReplica,
            "all nodes of the group were deleted, and its data with them; when they are proven to have ended (see "
            "WaitingForProofOfDeath), the next ReadReplica or CacheCluster with replicationGroupId " +
                turn.group.meta.name + " starts it anew, empty"};
  }
  // It says what is waited for, and why.
  const std::string& asks = findings.waiting_message;
  if (!findings.no_promotable_replica.empty()) {
    return {Truth::kFalse, reason::kNoPromotableReplica, asks.empty() ? findings.no_promotable_replica : asks};
  }
  if (state.failover) {
    const std::string& message = asks.empty() ? state.failover->message : asks;
    return {Truth::kFalse, reason::kFailingOver,
            message.empty() ? "the primary role is moving away from " + state.failover->old.name : message};
  }
  const MemberNow* primary = turn.Find(state.primary.name);
  if (!findings.primary_serving) {
    if (!asks.empty()) return {Truth::kFalse, reason::kPrimaryUnreachable, asks};
    const bool heard = turn.PrimaryWords() != nullptr && !findings.primary_lost;
    if (!turn.lacks_replicas.empty()) return {Truth::kFalse, reason::kNotEnoughReplicas, turn.lacks_replicas};
    std::string why = primary == nullptr   ? "its object is gone"
                      : primary->fault     ? primary->fault->message
                      : heard              ? "it holds no write lease"
                                           : "it does not answer the operator";
    return {Truth::kFalse, reason::kPrimaryUnreachable, "primary " + state.primary.name + ": " + std::move(why)};
  }
  if (turn.endpoint_pod_uid != state.primary.pod_uid) {
    return {Truth::kFalse, reason::kCreating,
            "Service " + turn.group.meta.name + " is being pointed at " + state.primary.name};
  }
  return {Truth::kTrue, reason::kAvailable, "primary " + state.primary.name + " accepts writes"};
}

Verdict FailoverReadyOf(const GroupTurn& turn, const failover::Findings& findings) {
  if (!turn.group.spec.automatic_failover) {
    return {Truth::kFalse, reason::kFailoverDisabled,
            "automaticFailover is false: when the primary is lost, the group waits for it to come back"};
  }
  if (!failover::Started(turn.state)) return {Truth::kFalse, reason::kCreating, "the group has not been started"};
  if (AllDeleted(turn, turn.state)) return {Truth::kFalse, reason::kNoPromotableReplica, "the group has no node"};
  if (findings.failover_ready) {
    return {Truth::kTrue,
            findings.failover_ready_reason.empty() ? reason::kReplicaInSync
                                                   : std::string_view(findings.failover_ready_reason),
            findings.failover_ready_message};
  }
  return {Truth::kFalse,
          findings.failover_ready_reason.empty() ? reason::kNoReplicaInSync
                                                 : std::string_view(findings.failover_ready_reason),
          findings.failover_ready_message.empty() ? "no replica is in sync with the primary"
                                                  : findings.failover_ready_message};
}

Verdict ZoneSpreadOf(const GroupTurn& turn) {
  if (turn.group.spec.multi_az == api::MultiAz::kDisabled) {
    return {Truth::kTrue, reason::kSpreadDisabled, "multiAZ is Disabled"};
  }
  std::map<std::string, int> per_zone;
  for (const std::string& zone : turn.view.zones) per_zone[zone] = 0;
  int wanted = 0, placed = 0;
  for (const MemberNow& member : turn.members) {
    if (!member.member->wanted) continue;
    ++wanted;
    if (!member.zone.empty()) {
      ++placed;
      ++per_zone[member.zone];
    } else if (member.fault && member.fault->reason == reason::kUnschedulable) {
      return {Truth::kFalse, reason::kUnschedulable, member.name() + ": " + member.fault->message};
    }
  }
  if (wanted <= 1) return {Truth::kTrue, reason::kSingleNode, "one node has nothing to spread over"};
  if (placed < wanted) {
    return {Truth::kUnknown, reason::kZonesUnknown,
            per_zone.empty() ? "the Nodes carry no label topology.kubernetes.io/zone"
                             : std::to_string(wanted - placed) + " of " + std::to_string(wanted) +
                                   " nodes are not in a known zone yet"};
  }
  const auto [least, most] = std::minmax_element(
      per_zone.begin(), per_zone.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  if (per_zone.size() == 1) {
    return {Truth::kFalse, reason::kSharedZone, "all nodes are in zone " + most->first + ", the only one there is"};
  }
  if (most->second - least->second > 1) {
    return {Truth::kFalse, reason::kSharedZone,
            "zone " + most->first + " has " + std::to_string(most->second) + " nodes while zone " +
                least->first + " has " + std::to_string(least->second)};
  }
  const auto used = std::count_if(per_zone.begin(), per_zone.end(), [](const auto& z) { return z.second > 0; });
  return {Truth::kTrue, reason::kSpread,
          std::to_string(wanted) + " nodes in " + std::to_string(used) + " zones"};
}

// One that was aborted, when another is asked for and waits for the maintenance window.
bool IsHistory(const GroupTurn& turn, const std::string& blocked) {
  return !turn.edit_due && !EditedPrimary(turn).empty() && blocked == turn.view.memory.failover.move_blocked;
}

// A cordoned Node whose drain the disruption budget holds up, because another member has no Node to go to.
std::string BlockedDrain(const GroupTurn& turn) {
  const auto homeless = std::find_if(turn.members.begin(), turn.members.end(), [](const MemberNow& member) {
    return member.member->wanted && member.fault && member.fault->reason == reason::kUnschedulable;
  });
  // One that never worked does not count in the budget.
  if (homeless == turn.members.end() || homeless->sync_reason == reason::kCreating) return "";
  for (const MemberNow& member : turn.members) {
    const std::optional<api::Pod>& pod = member.member->view->pod;
    if (!pod || pod->node_name.empty()) continue;
    const auto host = turn.view.hosts.find(pod->node_name);
    if (host == turn.view.hosts.end() || !host->second.unschedulable) continue;
    return "Node " + pod->node_name + " is cordoned, but " + member.name() + " can't be evicted from it while " +
           homeless->name() + " has no Node (" + homeless->fault->message +
           "): the disruption budget allows one missing node at a time; uncordon a Node that takes " +
           homeless->name() + ", or delete the object " + homeless->name();
  }
  return "";
}

Verdict DegradedOf(const GroupTurn& turn, const failover::Findings& findings) {
  if (!turn.foreign_endpoints.empty()) {
    return {Truth::kTrue, reason::kForeignEndpoints, turn.foreign_endpoints};
  }
  if (std::string refused = RefusedMove(turn); !refused.empty()) {
    return {Truth::kTrue, reason::kSwitchoverBlocked, std::move(refused)};
  }
  if (const std::string& blocked = findings.switchover_blocked; !blocked.empty() && !IsHistory(turn, blocked) &&
                                                               !BlocksHandOver(turn, blocked)) {
    return {Truth::kTrue, reason::kSwitchoverBlocked, blocked};
  }
  if (std::string blocked = BlockedDrain(turn); !blocked.empty()) {
    return {Truth::kTrue, reason::kDrainBlocked, std::move(blocked)};
  }
  std::string text;
  for (const MemberNow& member : turn.members) {
    if (!member.member->wanted || member.ready) continue;
    if (member.is_primary && !member.fault) continue;  // what it lacks is said by Ready
    // A first copy, or a first start without a fault, is no degradation.
    const bool starting = member.sync_reason == reason::kFirstCopy || member.sync_reason == reason::kCreating ||
                          !failover::Started(turn.state);
    const bool faulty = member.fault && member.fault->reason != reason::kCreating;
    if (starting && !faulty) continue;
    text += (text.empty() ? "" : "; ") + member.name() + ": " +
            (faulty ? member.fault->message : member.sync_message);
  }
  for (const std::string& sentence : findings.not_joining) text += (text.empty() ? "" : "; ") + sentence;
  if (text.empty() && !findings.primary_serving &&
      (!findings.no_promotable_replica.empty() || findings.waiting_for_proof)) {
    text = "no primary serves; Ready says what is waited for";
  }
  if (!text.empty()) return {Truth::kTrue, reason::kMemberMissing, std::move(text)};
  return {Truth::kFalse, reason::kHealthy, "every node does its work"};
}

// failover.maxPerHour is reached: a takeover without proof of death does not begin.
bool LimitReached(const failover::Findings& findings) { return findings.failover_ready_reason == failover::kMaxPerHour; }

std::string PhaseOf(const GroupTurn& turn, const failover::Findings& findings, const failover::GroupState& state,
                    const Verdict& ready) {
  if (turn.group.meta.deleted) return "deleting";
  if (!failover::Started(state)) return turn.membership.group_reason.empty() ? "creating" : "create-failed";
  if (AllDeleted(turn, state)) return "creating";  // no role is moving: it waits for a node
  if (state.failover) return state.failover->kind == failover::Kind::kSwitchover ? "modifying" : "failing-over";
  if (ready.status == Truth::kTrue) return "available";
  // Until it was available once it is being created; after that a primary that does not serve is a failure, unless it
  // waits for replicas or the takeover for a proof that maxPerHour asks for, or nobody is there to take over.
  const bool was = turn.group.status.phase != "creating" && turn.group.status.phase != "create-failed";
  if (!was) return "creating";
  const bool fails_over =
      ready.reason != reason::kNotEnoughReplicas && !LimitReached(findings) && turn.membership.Wanted() > 1;
  return fails_over ? "failing-over" : "modifying";
}

api::MemberStatus Line(const GroupTurn& turn, const MemberNow& now) {
  api::MemberStatus line;
  line.name = now.name();
  line.kind = std::string(api::NodeKindName(now.member->view->node.kind));
  line.declared = now.member->declared;
  // What it asks for while it wants to leave tells no more whether it ever was declared.
  for (const api::MemberStatus& before : turn.group.status.members) {
    if (now.member->AsksToLeave() && before.name == now.name()) line.declared = before.declared;
  }
  line.role = now.role;
  line.zone = now.zone;
  line.endpoint = manifests::ServiceEndpoint(now.name(), now.member->view->node.meta.ns);
  line.link_status = now.link_status;
  line.lag = now.lag;
  return line;
}

void SetService(const GroupTurn& turn, const failover::Findings& findings, const failover::GroupState& state,
                const Verdict& ready, api::ReplicationGroupStatus* status) {
  status->phase = PhaseOf(turn, findings, state, ready);
  if (turn.group.spec.automatic_failover) {
    status->automatic_failover = findings.failover_ready ? "enabled" : LimitReached(findings) ? "disabled" : "enabling";
  } else {
    status->automatic_failover = state.failover ? "disabling" : "disabled";
  }
  const Verdict failover_ready = FailoverReadyOf(turn, findings);
  const int64_t generation = turn.group.meta.generation;
  status->conditions.Set(api::kReady, ready.status, ready.reason, ready.message, generation, turn.wall);
  status->conditions.Set(api::kFailoverReady, failover_ready.status, failover_ready.reason, failover_ready.message,
                         generation, turn.wall);
}

void SetWaitingForProof(const GroupTurn& turn, const failover::Findings& findings, api::ReplicationGroupStatus* status) {
  const bool waits = findings.waiting_for_proof.has_value();
  status->conditions.Set(api::kWaitingForProofOfDeath, waits ? Truth::kTrue : Truth::kFalse,
                         waits ? reason::kProofOfDeathMissing : reason::kNotWaiting,
                         waits ? findings.waiting_message : "no proof of death is needed", turn.group.meta.generation,
                         turn.wall);
}

// Column READY. primary_silent: without the primary's words nobody can say who is in sync, so what was told last stands
// for those who are heard.
std::string MembersReady(const GroupTurn& turn, bool primary_silent) {
  int wanted = 0, ready = 0;
  for (const MemberNow& member : turn.members) {
    if (!member.member->wanted) continue;
    ++wanted;
    const bool told = member.words != nullptr && member.member->view->node.status.conditions.IsTrue(api::kReady);
    if (member.ready || (primary_silent && !member.is_primary && told)) ++ready;
  }
  return std::to_string(ready) + "/" + std::to_string(wanted);
}

// A node that is refused for what only the group's settings can have given it. nullptr: none is.
const Member* RefusedForGroupsSettings(const GroupTurn& turn) {
  for (const MemberNow& now : turn.members) {
    const Member& member = *now.member;
    // availabilityZone is a node's own.
    const bool homeless = member.reason == reason::kUnschedulable && member.view->node.spec.availability_zone.empty();
    const bool refused = homeless || member.reason == reason::kInvalidParameterCombination ||
                         member.reason == reason::kInvalidParameterValue;
    const bool inherited = member.view->node.spec.node == api::NodeSettings{};
    if (member.wanted && !member.accepted && refused && inherited) return &member;
  }
  return nullptr;
}

}  // namespace

void SetAccepted(bool accepted, std::string_view why, const std::string& message, int64_t generation,
                 WallTime wall, api::Conditions* conditions, bool waits) {
  conditions->Set(api::kAccepted, accepted ? Truth::kTrue : Truth::kFalse, why, message, generation, wall);
  // Only an edit can help where the object was not accepted, unless it is another object that is waited for, or that
  // has the name: it may go.
  const bool stalled = !accepted && !waits && why != reason::kNameConflict;
  conditions->Set(api::kStalled, stalled ? Truth::kTrue : Truth::kFalse, stalled ? why : reason::kAccepted,
                  stalled ? message : "nothing waits for an edit", generation, wall);
}

api::ReplicationGroupStatus GroupStatus(const GroupTurn& turn, const failover::Findings& findings,
                                        const failover::GroupState& state) {
  const api::ReplicationGroup& group = turn.group;
  const int64_t generation = group.meta.generation;
  api::ReplicationGroupStatus status = group.status;
  status.observed_generation = generation;

  status.members.clear();
  int pool = 0;
  for (const MemberNow& member : turn.members) {
    status.members.push_back(Line(turn, member));
    if (member.member->wanted && member.member->pool) ++pool;
  }
  status.members_ready = MembersReady(turn, false);
  status.replicas = std::max(0, pool - turn.membership.stand_ins);
  status.selector = std::string(api::kPoolLabel) + "=" + group.meta.name;
  status.primary_endpoint = manifests::ServiceEndpoint(group.meta.name, group.meta.ns);
  status.reader_endpoint = manifests::ServiceEndpoint(manifests::ReaderName(group.meta.name), group.meta.ns);
  status.effective_synchronous_replicas = group.spec.SynchronousReplicas();
  status.effective_reader_max_lag = api::FormatDuration(group.spec.ReaderMaxLag());
  status.effective_detection_timeout = api::FormatDuration(group.spec.DetectionTimeout());
  status.effective_lease_duration = api::FormatDuration(group.spec.LeaseDuration());
  status.effective_max_per_hour = group.spec.MaxPerHour();

  const auto set = [&](std::string_view type, const Verdict& verdict) {
    status.conditions.Set(type, verdict.status, verdict.reason, verdict.message, generation, turn.wall);
  };
  if (!turn.membership.group_reason.empty()) {
    SetAccepted(false, turn.membership.group_reason, turn.membership.group_message, generation, turn.wall,
                &status.conditions);
  } else if (const Member* refused = RefusedForGroupsSettings(turn)) {
    SetAccepted(false, refused->reason, refused->message, generation, turn.wall, &status.conditions, refused->waits);
  } else if (const std::string no_room = PoolWithoutRoom(turn); !no_room.empty()) {
    SetAccepted(false, reason::kNodeQuotaForClusterExceeded, no_room, generation, turn.wall, &status.conditions, true);
  } else {
    SetAccepted(true, reason::kAccepted, "the group's nodes and names are its own", generation, turn.wall,
                &status.conditions);
  }
  SetService(turn, findings, state, ReadyOf(turn, findings, state), &status);
  set(api::kZoneSpreadSatisfied, ZoneSpreadOf(turn));
  set(api::kDegraded, DegradedOf(turn, findings));
  SetWaitingForProof(turn, findings, &status);
  SetPending(turn, &status);
  return status;
}

std::optional<api::ReplicationGroupStatus> ServiceStatus(const GroupTurn& turn, const failover::Findings& findings) {
  if (!failover::Started(turn.state) || turn.state.failover || turn.group.meta.deleted) return std::nullopt;
  const bool told = turn.group.status.conditions.IsTrue(api::kReady);
  const bool waits = findings.waiting_for_proof.has_value();
  const bool certain = told ? findings.primary_lost || findings.lacks_replicas : findings.primary_serving;
  const Verdict ready = ReadyOf(turn, findings, turn.state);
  api::ReplicationGroupStatus status = turn.group.status;
  const bool flips = certain && told != (ready.status == Truth::kTrue);
  if (flips || (!told && waits)) {  // or says why not
    SetService(turn, findings, turn.state, ready, &status);
    status.members_ready = MembersReady(turn, !findings.primary_serving && !findings.lacks_replicas);
  }
  if (waits) SetWaitingForProof(turn, findings, &status);
  if (status == turn.group.status) return std::nullopt;
  return status;
}

api::ReplicationGroupStatus PersistedStatus(const GroupTurn& turn, const failover::GroupState& state) {
  api::ReplicationGroupStatus status = turn.group.status;
  if (!state.failover || turn.group.meta.deleted) return status;
  const bool planned = state.failover->kind == failover::Kind::kSwitchover;
  status.phase = planned ? "modifying" : "failing-over";
  if (!planned) status.members_ready = MembersReady(turn, true);
  const std::string& message = state.failover->message;
  status.conditions.Set(api::kReady, Truth::kFalse, reason::kFailingOver,
                        message.empty() ? "the primary role is moving away from " + state.failover->old.name : message,
                        turn.group.meta.generation, turn.wall);
  status.conditions.Set(api::kFailoverReady, Truth::kFalse, reason::kFailoverRunning,
                        "a change of roles runs; the next can begin after it",
                        turn.group.meta.generation, turn.wall);
  return status;
}

std::optional<StatusWrite> WriteOf(const GroupTurn& turn, const api::ReplicationGroupStatus& status,
                                   const failover::GroupState& state) {
  if (status == turn.group.status && state == turn.state) return std::nullopt;
  return StatusWrite{turn.group.Ref(), GroupStatusJson(status, state)};
}

void AddGroupEvents(const GroupTurn& turn, const api::ReplicationGroupStatus& next, Plan* plan) {
  const api::ReplicationGroupStatus& before = turn.group.status;
  const api::ObjectRef ref = turn.group.Ref();
  if (next.phase == "available" && before.phase == "creating") {
    plan->events.push_back({ref, false, "ReplicationGroupCreated", "CreateGroup",
                            "Replication group " + turn.group.meta.name + " created"});
  }
  if (next.automatic_failover == "enabled" && before.automatic_failover != "enabled" &&
      before.phase == "creating") {
    plan->events.push_back(
        {ref, false, "AutomaticFailoverEnabled", "CreateGroup",
         "Automatic failover has been turned on for replication group " + turn.group.meta.name});
  }
  const auto turned = [&](std::string_view type, Truth status) {
    const api::Condition* now = next.conditions.Find(type);
    const api::Condition* then = before.conditions.Find(type);
    return now != nullptr && now->status == status &&
           (then == nullptr || then->status != status || then->reason != now->reason);
  };
  for (const auto& [type, bad] : {std::pair{api::kAccepted, Truth::kFalse},
                                  std::pair{api::kWaitingForProofOfDeath, Truth::kTrue}}) {
    if (!turned(type, bad)) continue;
    const api::Condition* condition = next.conditions.Find(type);
    plan->events.push_back({ref, true, condition->reason, "Reconcile", condition->message});
  }
  if (turned(api::kReady, Truth::kFalse) && next.conditions.Reason(api::kReady) == reason::kSeveralDatasets) {
    plan->events.push_back({ref, true, std::string(reason::kSeveralDatasets), "CreateGroup",
                            next.conditions.Find(api::kReady)->message});
  }
  // Not as long as its first replicas are being made.
  if (turned(api::kReady, Truth::kFalse) && next.conditions.Reason(api::kReady) == reason::kNotEnoughReplicas &&
      before.phase != "creating") {
    plan->events.push_back({ref, true, std::string(reason::kNotEnoughReplicas), "Reconcile",
                            next.conditions.Find(api::kReady)->message});
  }
  for (std::string_view told : {reason::kForeignEndpoints, reason::kSwitchoverBlocked, reason::kDrainBlocked}) {
    if (!turned(api::kDegraded, Truth::kTrue) || next.conditions.Reason(api::kDegraded) != told) continue;
    plan->events.push_back(
        {ref, true, std::string(told), "Reconcile", next.conditions.Find(api::kDegraded)->message});
  }
}

}  // namespace understudy::plan
