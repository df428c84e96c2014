#include "operator/plan/group_turn.h"

#include <algorithm>
#include <sstream>

#include "operator/manifests/manifests.h"
#include "operator/plan/moves.h"
#include "operator/plan/pending_status.h"
#include "operator/plan/promote_demote.h"

namespace understudy::plan {
namespace {

using api::Truth;
using control::LinkState;
using control::NodeState;
using control::ReplicaAck;

const ReplicaAck* AckOf(const NodeState* primary, const NodeState& replica) {
  if (primary == nullptr) return nullptr;
  for (const ReplicaAck& ack : primary->acks) {
    if (ack.incarnation == replica.incarnation) return &ack;
  }
  return nullptr;
}

std::string RoleOf(const GroupTurn& turn, const MemberNow& now) {
  if (now.words == nullptr) {
    // Not heard: what it was, but nobody else's role.
    const std::string& before = now.member->view->node.status.role;
    return before == "primary" && !now.is_primary ? "replica" : before;
  }
  if (now.words->group != turn.group.meta.uid) {
    return now.words->role == control::Role::kStandalone ? "standalone" : "";
  }
  if (now.words->role == control::Role::kReplica) return "replica";
  if (now.words->role == control::Role::kPrimary) return now.is_primary ? "primary" : "replica";
  return "";
}

std::string LinkOf(const NodeState& words) {
  switch (words.link) {
    case LinkState::kUp: return "up";
    case LinkState::kSyncing: return "syncing";
    case LinkState::kConnecting: return "connecting";
    case LinkState::kNone: return "down";
  }
  return "down";
}

void FillReplicaSync(const ReplicaAck* ack, MemberNow* now) {
  now->in_sync = ack != nullptr && ack->in_sync;
  if (now->in_sync) {
    now->sync = Truth::kTrue;
    now->sync_reason = api::reason::kInSync;
    now->sync_message = "holds what the primary had a second ago";
    return;
  }
  const bool first = NeverInSync(now->member->view->node);
  if (now->words->loading || now->words->link == LinkState::kSyncing) {
    now->sync_reason = first ? api::reason::kFirstCopy : api::reason::kCopying;
    now->sync_message = "a full copy from the primary is under way";
  } else if (now->words->link == LinkState::kUp) {
    now->sync_reason = first ? api::reason::kFirstCopy : api::reason::kLagging;
    now->sync_message = "is behind the primary";
  } else {
    now->sync_reason = first ? api::reason::kFirstCopy : api::reason::kLinkDown;
    now->sync_message = "has no link to the primary";
  }
}

// The lag column of a replica. Both offsets are the primary's words of one moment. A figure moves at most once in
// kLagPeriod; the 0B of a replica that gets in sync goes with its condition, which is written anyway.
void FillLag(const GroupTurn& turn, const NodeState* primary, const ReplicaAck* ack, MemberNow* now, Plan* plan) {
  const std::string& shown = now->member->view->node.status.lag;
  std::string lag = shown;
  if (now->in_sync) {
    lag = LagText(0);
  } else if (ack != nullptr && primary != nullptr) {
    lag = LagText(primary->offset - std::min(ack->offset, primary->offset));
  }
  auto changed = plan->memory.lag_changed.find(now->name());
  if (lag == shown) {
    now->lag = shown;
    return;
  }
  const bool recent = changed != plan->memory.lag_changed.end() && changed->second + kLagPeriod > turn.now;
  if (!now->in_sync && !shown.empty() && recent) {
    plan->wake_at = std::min(plan->wake_at, changed->second + kLagPeriod);
    now->lag = shown;
    return;
  }
  plan->memory.lag_changed[now->name()] = turn.now;
  now->lag = std::move(lag);
}

// In sync, or out of it (or not heard: a new operator hears nobody at first) for less than readerMaxLag.
void FillReader(const GroupTurn& turn, MemberNow* now, Plan* plan) {
  auto& since = plan->memory.out_of_sync_since;
  if (now->is_primary || !now->member->wanted || now->in_sync) {
    since.erase(now->name());
    now->reader = now->in_sync && now->member->wanted;
    return;
  }
  const bool was_reader =
      now->member->view->pod && now->member->view->pod->meta.Label(api::kReaderLabel) == "true";
  const auto [it, first] = since.try_emplace(now->name(), turn.now);
  const MonoTime leaves = it->second + turn.group.spec.ReaderMaxLag();
  now->reader = was_reader && (now->words == nullptr || now->words->complete) && turn.now < leaves;
  if (now->reader) plan->wake_at = std::min(plan->wake_at, leaves);
}

// In the way of what it may be to users as long as the group has not given it a role.
void FillWithoutRole(const GroupTurn& turn, MemberNow* now) {
  now->sync_message = "has no role yet";
  if (failover::Started(turn.state)) return;
  const NodeState& words = *now->words;
  now->sync_message += ", because replication group " + turn.group.meta.name + " has not been started";
  if (words.role == control::Role::kStandalone && words.group == now->member->view->node.meta.uid) {
    now->serves_alone = true;
    now->sync = Truth::kTrue;
    now->sync_reason = api::reason::kStandsAlone;
    now->sync_message = "stands alone";
  } else if (words.role == control::Role::kReplica && words.complete) {
    now->sync_reason = api::reason::kLinkDown;
    now->sync_message = "keeps the data of a group that is gone, read-only, until replication group " +
                        turn.group.meta.name + " has been started";
  }
}

void FillOne(const NodeState* primary, GroupTurn* turn, MemberNow* now, Plan* plan) {
  now->process = ProcessOf(turn->view, *now->member->view);
  now->words = WordsOf(now->process);
  now->fault = FaultOf(*now->member->view, now->process, turn->wall);
  if (const auto at = MoreIsSaidAt(*now->member->view, turn->wall)) WakeAt(*at, turn->now, turn->wall, plan);
  now->zone = ZoneOf(*now->member->view, turn->view.hosts);
  now->is_primary = failover::Started(turn->state) && turn->state.primary.name == now->name();
  now->role = RoleOf(*turn, *now);
  now->sync_reason = api::reason::kCreating;
  now->sync_message = "its process does not answer yet";
  if (now->words == nullptr) {
    if (!NeverInSync(now->member->view->node)) {
      now->sync_reason = api::reason::kUnreachable;
      now->sync_message = "its process does not answer";
    }
    if (now->role == "replica") FillReader(*turn, now, plan);
    return;
  }
  if (now->is_primary && turn->PrimaryWords() == nullptr) {
    now->sync_reason = api::reason::kLinkDown;
    now->sync_message = "its process is a new one, without the primary role (see the group's Ready)";
    FillReader(*turn, now, plan);
    return;
  }
  if (now->is_primary) {
    now->sync = Truth::kTrue;
    now->sync_reason = api::reason::kIsPrimary;
    now->sync_message = "is the primary";
    FillReader(*turn, now, plan);
    return;
  }
  if (now->role != "replica") {
    FillWithoutRole(*turn, now);
    return;
  }
  now->link_status = LinkOf(*now->words);
  const ReplicaAck* ack = AckOf(primary, *now->words);
  FillReplicaSync(ack, now);
  now->ready = now->in_sync;
  FillLag(*turn, primary, ack, now, plan);
  FillReader(*turn, now, plan);
}

}  // namespace

bool Votes(const GroupTurn& turn, const MemberNow& now) {
  if (now.words == nullptr || turn.state.configurations.empty()) return false;
  const auto& voters = turn.state.configurations.back().voters;
  return std::any_of(voters.begin(), voters.end(),
                     [&](const control::NodeRef& voter) { return voter.incarnation == now.words->incarnation; });
}

bool MayInherit(const GroupTurn& turn, const control::NodeState& words) {
  return words.group.empty() || words.group == turn.group.meta.uid;
}

bool IsCountedOn(const GroupTurn& turn, const MemberNow& now) {
  const auto& pods = turn.view.failover.pods;
  return std::any_of(pods.begin(), pods.end(), [&](const failover::PodView& pod) {
    return pod.exists && pod.member == now.name() && failover::NamesPod(turn.state, pod.pod_uid);
  });
}

bool WasAccepted(const GroupTurn& turn) { return turn.state.epoch > 0 || turn.membership.group_reason.empty(); }

bool IsServed(const GroupTurn& turn, const Member& member) {
  return member.wanted && member.can_run && (WasAccepted(turn) || StandsAlone(member.view->node));
}

bool HasLeft(const GroupTurn& turn, const NodeView& node) {
  return IsLeaving(node.node.status) && turn.Find(node.node.meta.name) == nullptr;
}

bool NeverInSync(const api::CacheNode& node) {
  const api::Condition* before = node.status.conditions.Find(api::kInSync);
  return before == nullptr || before->reason == api::reason::kFirstCopy ||
         before->reason == api::reason::kCreating ||
         before->reason == api::reason::kStandsAlone;  // it has just joined
}

const MemberNow* GroupTurn::Find(const std::string& name) const {
  for (const MemberNow& member : members) {
    if (member.name() == name) return &member;
  }
  return nullptr;
}

const NodeState* GroupTurn::PrimaryWords() const {
  const MemberNow* primary = Find(state.primary.name);
  if (primary == nullptr || primary->words == nullptr) return nullptr;
  return primary->words->incarnation == state.primary.incarnation ? primary->words : nullptr;
}

void FillMembers(GroupTurn* turn, Plan* plan) {
  turn->members.clear();
  turn->deferral = DeferralOf(turn->group, turn->wall);
  for (const Member& member : turn->membership.members) {
    MemberNow now;
    now.member = &member;
    now.deferral = DeferralOf(member.view->node, &turn->group, turn->wall);
    now.process = ProcessOf(turn->view, *member.view);
    now.words = WordsOf(now.process);
    turn->members.push_back(std::move(now));
  }
  const NodeState* primary = turn->PrimaryWords();
  for (MemberNow& now : turn->members) FillOne(primary, turn, &now, plan);
  JudgeDepartures(turn);
  for (MemberNow& now : turn->members) now.reader = now.reader && !now.parts;
  // Nobody else can serve reads: the primary does.
  const bool any = std::any_of(turn->members.begin(), turn->members.end(), [](const MemberNow& m) { return m.reader; });
  for (MemberNow& now : turn->members) {
    if (!any && now.is_primary && now.words != nullptr) now.reader = true;
  }
  const auto gone = [&](const auto& entry) { return turn->Find(entry.first) == nullptr; };
  std::erase_if(plan->memory.out_of_sync_since, gone);
  std::erase_if(plan->memory.lag_changed, gone);
}

failover::View FailoverViewOf(const GroupTurn& turn) {
  failover::View view = turn.view.failover;
  const api::ReplicationGroupSpec& spec = turn.group.spec;
  view.spec = {};
  view.spec.group_uid = turn.group.meta.uid;
  view.spec.synchronous_replicas = static_cast<uint32_t>(spec.SynchronousReplicas());
  view.spec.lease_ms = static_cast<uint32_t>(spec.LeaseDuration().ms());
  view.spec.automatic_failover = spec.automatic_failover;
  view.spec.detection_ms = static_cast<uint32_t>(spec.DetectionTimeout().ms());
  view.spec.reader_max_lag_ms = static_cast<uint32_t>(spec.ReaderMaxLag().ms());
  view.spec.max_per_hour = static_cast<uint32_t>(spec.MaxPerHour());
  view.spec.created = turn.group.meta.created;
  view.spec.primary_cluster_id = spec.primary_cluster_id;
  view.spec.first_primary = turn.membership.first_primary;
  view.spec.moves = MovesOf(turn);

  view.members.clear();
  for (const MemberNow& now : turn.members) {
    const Member& member = *now.member;
    failover::Member out;
    out.name = member.name();
    out.wanted = (member.wanted || now.kept) && !member.returns && !LeavesVoters(now);
    out.leaves = member.AsksToLeave() || !member.wanted;
    // It may leave its own life alone, or a group that no longer exists.
    const std::string& before = member.view->node.status.group_uid;
    const bool exists = std::any_of(turn.view.other_groups.begin(), turn.view.other_groups.end(),
                                    [&](const GroupObject& g) { return g.object.meta.uid == before; });
    out.may_leave_group = member.view->node.meta.uid;
    if (!before.empty() && before != turn.group.meta.uid && !exists) out.may_leave_group = before;
    out.discard_dataset = DiscardableDataset(member.view->node, turn.view.group);
    view.members.push_back(std::move(out));
  }

  // Who has left a group that has not been started (again) has no say in it.
  if (!failover::Started(turn.state)) {
    for (const NodeView& node : turn.view.nodes) {
      if (!HasLeft(turn, node)) continue;
      std::erase_if(view.pods, [&](const failover::PodView& pod) { return pod.member == node.node.meta.name; });
    }
  }

  view.confirmed_dead.clear();
  std::istringstream words(turn.group.meta.Annotation(api::kConfirmDeadAnnotation));
  for (std::string word; std::getline(words, word, ',');) {
    if (std::string incarnation = api::OneLine(word); !incarnation.empty()) view.confirmed_dead.push_back(std::move(incarnation));
  }
  view.nodes_out_of_service.assign(turn.view.lost_hosts.begin(), turn.view.lost_hosts.end());
  for (const auto& [name, host] : turn.view.hosts) {
    if (host.OutOfService()) view.nodes_out_of_service.push_back(name);
  }
  view.endpoint_pod_uid = turn.endpoint_pod_uid;
  view.memory = turn.view.memory.failover;
  return view;
}

void FillEndpoints(GroupTurn* turn) {
  // Where the name is another's, all that stands behind it is that one's.
  const bool conflict = turn->membership.group_reason == api::reason::kNameConflict;
  for (const api::EndpointSlice& slice : turn->view.primary_slices) {
    const std::string owner = slice.meta.OwnerUid();
    const bool made_by_us = slice.managed_by == manifests::kSliceManager;
    if (made_by_us && owner == turn->group.meta.uid && slice.meta.name == manifests::PrimarySliceName(turn->group.meta.name)) {
      if (!slice.meta.deleted && !slice.endpoints.empty()) turn->endpoint_pod_uid = slice.endpoints.front().target_uid;
      continue;
    }
    // Of a node or an earlier group of that name: it goes with that one's Service.
    const bool anothers = made_by_us && !owner.empty() && owner != turn->group.meta.uid;
    if (conflict || anothers) continue;
    turn->foreign_endpoints = "EndpointSlice " + slice.meta.name + " (made by " +
                              (slice.managed_by.empty() ? "somebody" : slice.managed_by) + ") also belongs to Service " +
                              turn->group.meta.name + ", so clients may reach other addresses than the primary's; remove it";
  }
  const auto& service = turn->view.primary_service;
  if (service && service->meta.OwnerUid() == turn->group.meta.uid && !service->selector.empty()) {
    turn->foreign_endpoints = "Service " + turn->group.meta.name +
                              " was given a selector, so Kubernetes adds other endpoints than the primary; remove it";
  }
}

}  // namespace understudy::plan
