#include "operator/plan/promote_demote.h"

#include <algorithm>
#include <utility>

#include "operator/plan/last_copy.h"
#include "operator/plan/leaving_primary.h"
#include "operator/plan/objects.h"
#include "operator/plan/observation.h"
#include "operator/plan/pending_status.h"
#include "operator/plan/rollout.h"
#include "operator/plan/state_codec.h"
#include "operator/plan/status.h"

namespace understudy::plan {
namespace {

using control::NodeState;
using control::Role;
namespace reason = api::reason;

// The longest that they take where nothing is wrong: acknowledged voters and two status writes; a full copy.
constexpr Duration kPromoteNeeds = Seconds(60);
constexpr Duration kDemoteNeeds = kRestartNeeds;

Permission Given(std::string_view why, std::string message) { return {true, false, false, why, std::move(message)}; }
Permission Waits(std::string_view why, std::string message) { return {false, true, false, why, std::move(message)}; }
// Not accepted, until another object changes.
Permission Held(std::string_view why, std::string message) { return {false, true, true, why, std::move(message)}; }
// Not accepted, until its own object changes.
Permission Refused(std::string_view why, std::string message) { return {false, false, true, why, std::move(message)}; }

// A group that is not available will be: who asks to join it has asked once and for all.
bool StaysPending(const Permission& permission) {
  return !permission.refused || permission.reason == reason::kInvalidReplicationGroupState;
}

bool RoleMoves(const GroupObject& group) {
  return failover::Started(group.state) && group.object.status.conditions.Reason(api::kReady) == reason::kFailingOver;
}

// Its primary lives and serves full copies: who joins is what it waits for.
bool LacksReplicas(const GroupObject& group) {
  return failover::Started(group.state) && !group.state.failover &&
         group.object.status.conditions.Reason(api::kReady) == reason::kNotEnoughReplicas;
}

// Why a group takes nobody in now; "" = it does.
std::string WhyUnavailable(const GroupObject& group) {
  if (!failover::Started(group.state)) return "it has no primary yet";
  if (group.state.failover) return "its primary role is moving";
  if (group.object.status.conditions.IsTrue(api::kReady) || LacksReplicas(group)) return "";
  const api::Condition* ready = group.object.status.conditions.Find(api::kReady);
  return ready == nullptr ? "it has only just started" : ready->message;
}

// Who waits for a place keeps it while the role moves: a member that leaves may have handed over first.
bool TakesInSoon(const GroupObject& group) {
  return failover::Started(group.state) && !group.object.meta.deleted &&
         (group.object.status.conditions.IsTrue(api::kReady) || RoleMoves(group) || LacksReplicas(group));
}

// Something is lost if what the process holds goes.
bool HoldsItsOwn(const NodeState& words, const GroupObject& group) {
  return words.keys > 0 && !words.dataset.empty() && !failover::HoldsOlderState(group.state, words);
}

// What the process holds may go, because nothing is lost with it or because its object says so.
bool MayDrop(const api::CacheNode& node, const NodeState& words, const GroupObject& group) {
  return !HoldsItsOwn(words, group) || words.dataset == DiscardableDataset(node, group);
}

std::string LostDataWords(const GroupObject& group) { return "replication group " + group.object.meta.name + " has lost data"; }

// Since the node was asked to give its data up for the group's: what it has may be the last that is left. It does when
// the wish or the leave to drop its data was taken back and is given again: another edit means something else. Said by
// its conditions, which outlive an operator. words: null, its process does not answer.
bool GivenUpForLostData(const api::CacheNode& node, const NodeState* words, const GroupObject& group) {
  const api::Condition* accepted = node.status.conditions.Find(api::kAccepted);
  const bool said = accepted != nullptr && accepted->reason == reason::kGroupLostData &&
                    accepted->message.starts_with(LostDataWords(group));
  if (words == nullptr) return said;
  if (!HoldsItsOwn(*words, group) || !MayDrop(node, *words, group)) return false;
  if (said) return true;
  const api::Condition* pending = node.status.conditions.Find(api::kPendingModifications);
  if (pending == nullptr || pending->status != api::Truth::kTrue ||
      api::FindPending(node.status.pending_modified_values, kDemoteField) == nullptr) {
    return false;
  }
  return std::any_of(group.state.failover_history.begin(), group.state.failover_history.end(),
                     [&](const failover::HistoryEntry& entry) {
                       return entry.data_lost && entry.times.completed.unix_ms > pending->last_transition.unix_ms;
                     });
}

Permission WouldDiscard(const api::CacheNode& node, const NodeState& words, const std::string& group) {
  const std::string& given = node.spec.discard_existing_data;
  return Refused(reason::kWouldDiscardData,
                 node.meta.name + " holds data that would be dropped when it joins replication group " + group +
                     (given.empty() ? "" : ", and discardExistingData names other data (" + given + ")") +
                     "; to allow it, set in its spec: discardExistingData: " + words.dataset);
}

// has_place: the group has not its six nodes yet.
Permission JudgeDemote(const api::CacheNode& node, const NodeState* words, const GroupObject& group, bool has_place) {
  const std::string& name = group.object.meta.name;
  // Before all that passes: in its place nothing else would remember it.
  if (GivenUpForLostData(node, words, group)) {
    return Refused(reason::kGroupLostData,
                   LostDataWords(group) + " since " + node.meta.name + " was asked to drop its own and join it; " +
                       node.meta.name + " goes on as it is; to ask for it again, take discardExistingData out of its spec "
                       "and set it anew");
  }
  if (group.object.meta.deleted) {
    return Held(reason::kReplicationGroupNotFound,
                "replication group " + name + " is being deleted; " + node.meta.name + " goes on as it is");
  }
  if (RoleMoves(group)) return Waits(reason::kDemoting, "waits until the primary role of " + name + " has moved");
  if (const std::string why = WhyUnavailable(group); !why.empty()) {
    return Held(reason::kInvalidReplicationGroupState, "replication group " + name + " is not available (" + why +
                                                           "); " + node.meta.name + " goes on as it is until it is");
  }
  if (!has_place) {
    return Held(reason::kNodeQuotaForClusterExceeded,
                "replication group " + name + " has its " + std::to_string(api::kMaxMembers) + " nodes already; " +
                    node.meta.name + " goes on as it is until one of them is deleted");
  }
  if (words == nullptr || words->terminating) {
    return Waits(reason::kDemoting, "joins replication group " + name + " when its process answers");
  }
  if (!MayDrop(node, *words, group)) return WouldDiscard(node, *words, name);
  return Given(reason::kDemoting, "joins replication group " + name);
}

// A node of the group, not one that waits for its first start.
bool IsOfGroup(const GroupTurn& turn, const MemberNow& now) {
  if (now.words != nullptr) return now.words->group == turn.group.meta.uid;
  return now.member->view->node.status.group_uid == turn.group.meta.uid && !StandsAlone(now.member->view->node);
}

// The only node of its group; in one that it has emptied others may wait to start it anew.
bool IsSole(const GroupTurn& turn, const MemberNow& now) {
  const auto& configurations = turn.state.configurations;
  if (!configurations.empty()) {
    return turn.members.size() == 1 && configurations.size() == 1 && configurations.front().voters.empty();
  }
  return std::none_of(turn.members.begin(), turn.members.end(), [&](const MemberNow& other) {
    return other.name() != now.name() && IsOfGroup(turn, other);
  });
}

// Whole and level with the primary, in the role of this group.
bool FollowsWell(const GroupTurn& turn, const MemberNow& now) {
  const NodeState* words = now.words;
  return words != nullptr && now.in_sync && words->group == turn.group.meta.uid && words->role == Role::kReplica &&
         words->in_office && words->complete && !words->loading && !words->terminating &&
         words->dataset == turn.state.dataset;
}

size_t VotersNeeded(const GroupTurn& turn) {
  const control::Configuration& newest = turn.state.configurations.back();
  return std::max(newest.synchronous_replicas, static_cast<uint32_t>(turn.group.spec.SynchronousReplicas()));
}

// Without the member there would be fewer voters than synchronousReplicas asks for. Its last process and the one before
// may both be listed: that is one member. The primary votes once it has handed over, in the place of the one that takes
// over.
bool CantBeSpared(const GroupTurn& turn, const MemberNow& now) {
  const auto& voters = turn.state.configurations.back().voters;
  const auto others =
      std::count_if(voters.begin(), voters.end(), [&](const control::NodeRef& v) { return v.name != now.name(); });
  return static_cast<size_t>(others) < VotersNeeded(turn) + (now.is_primary ? 1 : 0);
}

bool NeededAsVoter(const GroupTurn& turn, const MemberNow& now) {
  if (!failover::Started(turn.state)) return false;
  const auto& voters = turn.state.configurations.back().voters;
  const bool votes =
      std::any_of(voters.begin(), voters.end(), [&](const control::NodeRef& v) { return v.name == now.name(); });
  return votes && CantBeSpared(turn, now);
}

std::string NeededText(const GroupTurn& turn, const MemberNow& now) {
  return "waits until another replica of " + turn.group.meta.name + " is in sync, because synchronousReplicas is " +
         std::to_string(turn.group.spec.SynchronousReplicas()) + " and " + now.name() +
         " is needed for it; add a replica or lower synchronousReplicas";
}

// Writes wait for more voters than the newest configuration has, so nothing confirms it, and the one before it goes on
// naming the member.
bool IsCountedOnForLackOfVoters(const GroupTurn& turn, const MemberNow& now) {
  if (!failover::Started(turn.state) || now.is_primary) return false;
  return turn.state.configurations.back().voters.size() < VotersNeeded(turn) && IsCountedOn(turn, now);
}

void Persist(const api::CacheNode& node, const api::CacheNodeStatus& status, Plan* plan) {
  plan->persist.push_back({node.Ref(), api::CacheNodeStatusJson(status)});
}

// The group's last node takes its data along.
void PersistEmptied(const GroupTurn& turn, const MemberNow& now, Plan* plan) {
  failover::GroupState next = turn.state;
  failover::Empty(&next);
  plan->persist.push_back({turn.group.Ref(), GroupStatusJson(PersistedStatus(turn, next), next)});
  plan->events.push_back({turn.group.Ref(), true, std::string(reason::kEmptied), "Demote",
                          "the last node of replication group " + turn.group.meta.name + ", " + now.name() +
                              ", leaves it for " + now.member->moves_to + "; the group is empty"});
}

// From here on the node is independent, whoever goes on with it.
void PersistAlone(const GroupTurn& turn, const MemberNow& now, Plan* plan) {
  const api::CacheNode& node = now.member->view->node;
  const NodeState& words = *now.words;
  api::CacheNodeStatus status = node.status;
  status.epoch = 1;
  status.incarnation = words.incarnation;
  // Two that hold the same data go different ways from here on. The last node of a group is not two.
  status.dataset = words.role == Role::kReplica ? turn.view.failover.fresh_dataset : words.dataset;
  status.group_uid.clear();
  status.role = words.role == Role::kReplica ? "replica" : "primary";
  status.phase = "modifying";
  if (!now.member->moves_to.empty()) {
    for (const GroupObject& other : turn.view.other_groups) {
      if (other.object.meta.name == now.member->moves_to) status.moving_to = other.object.meta.uid;
    }
  }
  Persist(node, status, plan);
  const std::string& group = turn.group.meta.name;
  plan->events.push_back(now.member->promotes
                             ? Event{node.Ref(), false, "PromoteStarted", "Promote",
                                     "Promoting " + node.meta.name + " out of replication group " + group}
                             : Event{node.Ref(), false, "DemoteStarted", "Demote",
                                     "Moving " + node.meta.name + " from replication group " + group + " to " +
                                         now.member->moves_to});
}

bool PersistDeparture(const GroupTurn& turn, Plan* plan) {
  for (const MemberNow& now : turn.members) {
    if (!LeavesVoters(now) || now.words == nullptr) continue;
    if (now.is_primary) {
      PersistEmptied(turn, now, plan);
      return true;
    }
    // Its Service must not lead clients of the group to a node that leaves with the role.
    if (HoldsPrimary(turn, now) && !turn.endpoint_pod_uid.empty()) continue;
    if (IsCountedOn(turn, now)) continue;
    PersistAlone(turn, now, plan);
    return true;
  }
  return false;
}

// A group that has not been started gives a node back that no longer asks for it. At once: it serves as it did, or has
// no data.
bool PersistReturn(const GroupTurn& turn, Plan* plan) {
  for (const MemberNow& now : turn.members) {
    const api::CacheNode& node = now.member->view->node;
    if (!now.member->returns || node.status.group_uid != turn.group.meta.uid) continue;
    api::CacheNodeStatus status = node.status;
    status.group_uid.clear();
    status.replication_group_id.clear();
    Persist(node, status, plan);
    plan->events.push_back({node.Ref(), false, "JoinCancelled", "Demote",
                            node.meta.name + " is independent again: replication group " + turn.group.meta.name +
                                ", which has not been started, no longer counts on it"});
    return true;
  }
  return false;
}

// A member whose process stands alone and may not drop what it has (any more), or is wanted elsewhere: the
// process is right.
bool PersistStray(const GroupTurn& turn, Plan* plan) {
  for (const MemberNow& now : turn.members) {
    const api::CacheNode& node = now.member->view->node;
    const NodeState* words = now.words;
    if (words == nullptr || now.is_primary || node.status.group_uid != turn.group.meta.uid) continue;
    if (words->role != Role::kStandalone || words->group != node.meta.uid) continue;
    if (!now.member->AsksToLeave() && MayDrop(node, *words, turn.view.group)) continue;  // its order is on the way
    api::CacheNodeStatus status = node.status;
    status.epoch = static_cast<int64_t>(words->epoch);
    status.incarnation = words->incarnation;
    status.dataset = words->dataset;
    status.group_uid.clear();
    Persist(node, status, plan);
    return true;
  }
  return false;
}

// An independent node that asks for this group: what its process says, nullptr if it does not ask, or does not answer
// as what its status says.
const NodeState* WordsOfCandidate(const GroupView& view, const NodeView& candidate) {
  const api::CacheNode& node = candidate.node;
  if (node.meta.deleted || !StandsAlone(node) || node.spec.replication_group_id != view.group.object.meta.name ||
      !ResponsibleGroup(node, GroupsOf(view)).empty()) {
    return nullptr;
  }
  const NodeState* words = WordsOf(ProcessOf(view, candidate));
  const bool as_known = words != nullptr && words->role == Role::kStandalone && words->group == node.meta.uid &&
                        words->incarnation == node.status.incarnation && !words->terminating;
  return as_known ? words : nullptr;
}

// One at a time, so that each counts for the next.
bool PersistJoiner(const GroupTurn& turn, Plan* plan) {
  for (const NodeView* joiner : turn.membership.joiners) {
    const api::CacheNode& node = joiner->node;
    const NodeState* words = WordsOfCandidate(turn.view, *joiner);
    const Permission permission = JudgeDemote(node, words, turn.view.group, true);
    if (!permission.given) continue;
    api::CacheNodeStatus status = node.status;
    status.group_uid = turn.group.meta.uid;
    status.replication_group_id = turn.group.meta.name;
    status.dataset = words->dataset;
    status.role = "standalone";
    status.phase = "modifying";
    SetAccepted(true, permission.reason, permission.message, node.meta.generation, turn.wall, &status.conditions);
    Persist(node, status, plan);
    plan->events.push_back({node.Ref(), false, "DemoteStarted", "Demote",
                            "Demoting " + node.meta.name + ": it joins replication group " + turn.group.meta.name +
                                (words->keys == 0 ? "" : " and drops data set " + words->dataset)});
    return true;
  }
  return false;
}

// The status says that it is being applied.
bool IsAnnounced(const api::CacheNode& node, const DeferrableStep& step) {
  const api::PendingModification* said = api::FindPending(node.status.pending_modified_values, step.field);
  return said != nullptr && said->from == step.from && said->to == step.to &&
         said->reason == reason::kApplyingModifications;
}

// Pending modifications come into force before it leaves, while losing its Pod loses nothing.
bool PodIsOutdated(const GroupTurn& turn, MemberNow* now) {
  FillTemplate(turn, now);
  return now->pod_template && (now->pod_template->outdated || now->pod_template->live.asked);
}

// What another group that is gone left, with its data: a member that gets no order to join as long as that may not go.
void JudgeArrival(const GroupTurn& turn, Member* member, const MemberNow& now) {
  const api::CacheNode& node = member->view->node;
  const NodeState* words = now.words;
  if (!failover::Started(turn.state) || now.is_primary || !member->wanted || !member->accepted) return;
  if (words == nullptr || words->group == turn.group.meta.uid || MayDrop(node, *words, turn.view.group)) return;
  const Permission refused = WouldDiscard(node, *words, turn.group.meta.name);
  member->accepted = false;
  member->reason = refused.reason;
  member->message = refused.message;
}

void JudgeDeletion(GroupTurn* turn, Member* member, MemberNow* now) {
  std::string why = WhyKept(turn, *now);
  now->kept = !why.empty();
  const bool needed = NeededAsVoter(*turn, *now) || IsCountedOnForLackOfVoters(*turn, *now);
  if (why.empty() && needed) why = NeededText(*turn, *now);
  if (why.empty()) return;
  member->reason = reason::kDeleting;
  member->message = std::move(why);
}

// As the rest of a sentence that begins with what is pending.
std::string WhyHeld(const Permission& permission) {
  return permission.refused ? "can't be applied yet: " + permission.message : permission.message;
}

void JudgeDeparture(GroupTurn* turn, Member* member, MemberNow* now) {
  const std::string& group = turn->group.meta.name;
  const api::CacheNode& node = member->view->node;
  const bool asks = member->wanted && member->can_run && member->AsksToLeave();
  Permission permission;
  if (asks) permission = member->promotes ? BeginPromote(*turn, *now) : BeginMove(*turn, *now);

  DeferrableStep promote{kPromoteField, group, group, kPromoteNeeds};
  DeferrableStep demote{kDemoteField, group, group, kDemoteNeeds};
  // Nothing of the group is to be disturbed: it goes when it answers.
  promote.harmless = demote.harmless = !failover::Started(turn->state) && now->words == nullptr;
  DeferrableStep& step = member->promotes ? promote : demote;
  if (permission.hands_over) step.needed = step.needed + kSwitchoverNeeds;
  if (asks && StaysPending(permission)) step.to = member->promotes ? "" : member->moves_to;
  step.begun = permission.given && step.from != step.to && IsAnnounced(node, step);
  const auto* joins = api::FindPending(node.status.pending_modified_values, kDemoteField);
  if (!asks && joins != nullptr && joins->to == group && StandsAlone(node)) {
    demote.from = joins->from;  // accepted by this group, and not carried out yet
    demote.begun = true;
  }
  const bool promote_due = now->deferral.Due(promote), demote_due = now->deferral.Due(demote);
  if (!asks && demote_due && !failover::Started(turn->state)) {
    now->deferral.Hold(kDemoteField, reason::kWaitingForMembers, kUntilStartedWords);
  }
  if (!member->wanted) JudgeDeletion(turn, member, now);
  if (!asks) return JudgeArrival(*turn, member, *now);

  const bool due = member->promotes ? promote_due : demote_due;
  if (due && permission.given && member->promotes && !step.begun && PodIsOutdated(*turn, now)) {
    permission = Waits(reason::kPromoting, "waits until its Pod has been replaced, which costs nothing while " + group +
                                               " has its data");
  }
  if (due && permission.given && !step.begun) {
    if (const MemberNow* primary = WouldBeAloneWhenReplaced(turn, *now)) {
      permission = Waits(member->promotes ? reason::kPromoting : reason::kDemoting,
                         "waits until the Pod of " + primary->name() + " has been replaced, which would cost " + group +
                             " its data once nobody else has it");
    }
  }
  if (due && permission.hands_over && now->is_primary) {
    std::string why = BeforeHandOver(turn, *now);
    // It votes as soon as another one is primary.
    if (why.empty() && CantBeSpared(*turn, *now)) why = NeededText(*turn, *now);
    if (why.empty()) {
      now->hands_over_to = turn->group.spec.primary_cluster_id;
    } else {
      permission.message = std::move(why);
    }
  }
  if (due && !permission.given) now->deferral.Hold(step.field, reason::kWaitingForMembers, WhyHeld(permission));
  if (!due && (permission.given || permission.hands_over)) permission.message += InWindow(now->deferral, step.field);
  now->parts = permission.given && step.begun;
  member->accepted = !permission.refused;
  member->waits = permission.waits;
  member->reason = permission.reason;
  member->message = std::move(permission.message);
}

}  // namespace

bool AskForDemote(const api::CacheNode& node, const api::ReplicationGroup& group, const Permission& permission,
                  WallTime wall, Deferral* deferral) {
  DeferrableStep step{kDemoteField, "", "", kDemoteNeeds};
  if (StaysPending(permission)) {
    step.to = group.meta.name;
    step.begun = node.status.moving_to == group.meta.uid;
    const auto* said = api::FindPending(node.status.pending_modified_values, kDemoteField);
    if (step.begun && said != nullptr && said->to == step.to) step.from = said->from;
  }
  Deferral asked = DeferralOf(node, &group, wall);
  const bool due = asked.Due(step);
  if (due && !permission.given) asked.Hold(kDemoteField, reason::kWaitingForMembers, WhyHeld(permission));
  deferral->Include(asked);
  return due;
}

std::vector<const NodeView*> JoinersOf(const GroupView& view, MonoTime now, WallTime wall, Plan* plan) {
  std::vector<const NodeView*> joiners;
  if (!TakesInSoon(view.group)) return joiners;
  for (const NodeView& one : view.nodes) {
    const NodeState* words = WordsOfCandidate(view, one);
    if (words == nullptr || !MayDrop(one.node, *words, view.group)) continue;
    if (GivenUpForLostData(one.node, words, view.group)) continue;
    Deferral deferral;
    if (AskForDemote(one.node, view.group.object, Given(reason::kDemoting, ""), wall, &deferral)) {
      joiners.push_back(&one);
    } else {
      WakeFor(deferral, now, wall, plan);
    }
  }
  std::sort(joiners.begin(), joiners.end(),
            [](const NodeView* a, const NodeView* b) { return a->node.meta.OlderThan(b->node.meta); });
  return joiners;
}

std::string InWindow(const Deferral& deferral, std::string_view field) {
  const Deferral::Entry* entry = deferral.Find(field);
  if (entry == nullptr || entry->value.not_before.unix_ms == 0) return "";
  return " in the maintenance window, " + WeekTimeText(entry->value.not_before);
}

std::string DiscardableDataset(const api::CacheNode& node, const GroupObject& group) {
  if (node.spec.replication_group_id != group.object.meta.name) return "";
  // What it took along from its former group has another id than the one that the user gave leave for; taking
  // that leave back still counts.
  const bool moves = node.status.moving_to == group.object.meta.uid && !node.spec.discard_existing_data.empty();
  if (moves) return node.status.dataset;
  return node.spec.discard_existing_data;
}

Permission BeginPromote(const GroupTurn& turn, const MemberNow& now) {
  const std::string& group = turn.group.meta.name;
  if (HoldsPrimary(turn, now)) return JudgeLeavingPrimary(turn, now);
  if (!failover::Started(turn.state)) {
    return Waits(reason::kPromoting, "leaves replication group " + group +
                                         ", which has not been started, when its process answers");
  }
  if (turn.state.failover) return Waits(reason::kPromoting, "waits until the primary role of " + group + " has moved");
  if (!FollowsWell(turn, now)) return Waits(reason::kPromoting, "waits until it is in sync with the primary of " + group);
  if (NeededAsVoter(turn, now)) return Waits(reason::kPromoting, NeededText(turn, now));
  return Given(reason::kPromoting, "leaves replication group " + group + " with its data");
}

Permission BeginDemote(const api::CacheNode& node, const NodeState* words, const GroupObject& group) {
  return JudgeDemote(node, words, group, static_cast<int>(group.object.status.members.size()) < api::kMaxMembers);
}

Permission BeginMove(const GroupTurn& turn, const MemberNow& now) {
  const std::string& group = turn.group.meta.name;
  const std::string& target = now.member->moves_to;
  const GroupObject* to = nullptr;
  for (const GroupObject& other : turn.view.other_groups) {
    if (other.object.meta.name == target) to = &other;
  }
  if (to == nullptr) {
    return Held(reason::kReplicationGroupNotFound, "replication group " + target + " does not exist; " + now.name() +
                                                       " stays a member of " + group + " until it does");
  }
  const bool leads = HoldsPrimary(turn, now) && !IsSole(turn, now);
  const Permission as_primary = leads ? JudgeLeavingPrimary(turn, now) : Permission();
  if (as_primary.refused) return as_primary;
  Permission permission = BeginDemote(now.member->view->node, now.words, *to);
  if (!permission.given) return permission;
  if (leads) return as_primary;
  if (turn.state.failover) return Waits(reason::kDemoting, "waits until the primary role of " + group + " has moved");
  if (now.words->group != turn.group.meta.uid) {
    return Waits(reason::kDemoting, "waits until it has left where it was before");
  }
  if (NeededAsVoter(turn, now)) return Waits(reason::kDemoting, NeededText(turn, now));
  permission.message = "leaves replication group " + group + " for " + target;
  return permission;
}

void JudgeDepartures(GroupTurn* turn) {
  if (turn->group.meta.deleted) return;
  for (size_t i = 0; i < turn->members.size(); ++i) {
    JudgeDeparture(turn, &turn->membership.members[i], &turn->members[i]);
  }
}

bool LeavesVoters(const MemberNow& now) {
  const auto& pod = now.member->view->pod;
  // The last node of a group leaves nobody to read elsewhere.
  return now.parts && (now.is_primary || !pod || pod->meta.Label(api::kReaderLabel).empty());
}

bool LeavesEmptied(const GroupTurn& turn) {
  if (failover::Started(turn.state) || turn.state.epoch == 0) return false;
  if (std::any_of(turn.members.begin(), turn.members.end(), [](const MemberNow& now) { return now.parts; })) return true;
  // Its process was not told yet, or may not know.
  return std::any_of(turn.view.nodes.begin(), turn.view.nodes.end(), [&](const NodeView& node) {
    if (!HasLeft(turn, node)) return false;
    const NodeState* words = WordsOf(ProcessOf(turn.view, node));
    return words == nullptr ? node.pod && node.pod->running : words->group == turn.group.meta.uid;
  });
}

bool PersistMembership(const GroupTurn& turn, const failover::Findings& findings, Plan* plan) {
  if (turn.group.meta.deleted || turn.state.failover) return false;
  if (PersistDeparture(turn, plan)) return true;
  if (!failover::Started(turn.state)) return PersistReturn(turn, plan);
  if (PersistStray(turn, plan)) return true;
  return (findings.primary_serving || findings.lacks_replicas) && PersistJoiner(turn, plan);
}

}  // namespace understudy::plan
