#include "operator/failover/machine.h"

#include <algorithm>

#include "common/check.h"
#include "common/control/quorum.h"
#include "operator/failover/death.h"
#include "operator/failover/election.h"
#include "operator/failover/fence.h"
#include "operator/failover/first_start.h"
#include "operator/failover/orders.h"
#include "operator/failover/proof_request.h"
#include "operator/failover/suspicion.h"
#include "operator/failover/switchover.h"
#include "operator/failover/takeover.h"
#include "operator/failover/voters.h"

namespace understudy::failover {
namespace {

using control::NodeRef;
using control::NodeState;

bool PodIsGone(const Turn& turn) {
  const PodView* pod = turn.PodByUid(turn.state.primary.pod_uid);
  return pod && !pod->exists;
}

// patience: zero where nothing is left from which a proof could come by itself, or where nothing else is waited for.
void WaitForProof(Turn& turn, const std::string& why, Duration patience = kProofPatience) {
  const NodeRef& primary = turn.state.primary;
  const std::string subject = PodIsGone(turn) ? "the Pod of " + primary.name + " was deleted before its process was seen to end"
                                              : primary.name + " does not answer";
  AskForProof(turn, turn.memory.suspect_since, subject + ", and " + why, MustBeDead(turn, primary), patience);
}

// maxPerHour is reached: says so, and until when.
bool FailoversSpent(Turn& turn) {
  const std::optional<WallTime> until = HourlyBound(turn);
  if (!until) return false;
  const uint32_t most = turn.spec.max_per_hour;
  turn.out.findings.failover_ready_reason = kMaxPerHour;
  turn.out.findings.failover_ready_message =
      std::to_string(most) + (most == 1 ? " takeover" : " takeovers") +
      " without proof of death took place in the last hour (failover.maxPerHour): until " + FormatRfc3339(*until) +
      " a further one waits for such a proof";
  return true;
}

// A candidate who is a fit voter: an unfit primary is better than none.
bool SomebodyElse(const Turn& turn) {
  const Answers answers = ExpectedAnswers(turn);
  return std::any_of(turn.Newest().voters.begin(), turn.Newest().voters.end(),
                     [&](const NodeRef& v) { return answers.HasData(v.incarnation); });
}

// Takeover without proof: two observers, a fence that can be had, an election that can succeed.
bool TakeOverSilent(Turn& turn, const Suspicion& suspicion) {
  const NodeRef& primary = turn.state.primary;
  Findings& findings = turn.out.findings;
  if (!turn.spec.automatic_failover) {
    WaitForProof(turn, "automaticFailover is off");
    return false;
  }
  if (turn.Newest().voters.empty()) {
    WaitForProof(turn, "there is no replica that could tell whether it has ended",
                 PodIsGone(turn) ? Duration{} : kProofPatience);
    return false;
  }
  if (!suspicion.witnessed) {
    WaitForProof(turn, "no voter confirms that it is gone");
    return false;
  }
  if (!FenceWithinReach(turn)) {
    WaitForProof(turn, "too few voters answer to take its lease away");
    return false;
  }
  const Answers answers = ExpectedAnswers(turn);
  const Cover cover = JudgeCover(turn, answers);
  if (answers.with_data.empty() || !cover.covered) {
    findings.no_promotable_replica =
        answers.with_data.empty() ? "no replica that answers holds the data" : cover.missing;
    WaitForProof(turn, findings.no_promotable_replica);
    return false;
  }
  if (FailoversSpent(turn)) {
    WaitForProof(turn, findings.failover_ready_message, Duration{});
    return false;
  }
  StartTakeover(
      turn, "PrimarySilent",
      primary.name + " has not answered for " + Span(turn.now - suspicion.heard) + ", and " + suspicion.witness + " says the same");
  return true;
}

// Does the primary have to be replaced? True if that was persisted.
bool InTrouble(Turn& turn) {
  const GroupState& state = turn.state;
  const NodeRef& primary = state.primary;
  const Suspicion suspicion = JudgePrimary(turn);
  if (MeetHigherEpoch(turn, state.epoch)) return true;
  if (const Death* death = turn.DeathOf(primary.incarnation)) {
    StartTakeover(turn, "PrimaryDead", primary.name + " ended: " + death->why);
    return true;
  }
  const NodeState* words = turn.Words(primary.incarnation);
  const bool reachable = words && turn.Reachable(primary.incarnation);
  if (reachable && turn.EpochOf(*words) >= state.epoch && !turn.InOffice(*words, state.epoch)) {
    StartTakeover(turn, "PrimaryLeftOffice", primary.name + " no longer acts as primary");
    return true;
  }
  if (reachable && words->unfit && turn.memory.unfit_tried == primary.incarnation &&
      turn.spec.automatic_failover && SomebodyElse(turn) && !HourlyBound(turn)) {
    StartTakeover(turn, "PrimaryUnfit",
                  primary.name + " reports itself unfit and could not hand over");
    return true;
  }
  return suspicion.silent && TakeOverSilent(turn, suspicion);
}

// A voter that was lost stays one until another takes its place (synchronousReplicas), but writes wait for it. Idle, a
// replica says something to its primary once a second.
size_t VotersFollowing(const Turn& turn, const NodeState& primary) {
  const uint64_t patience_ms = turn.spec.detection_ms + 1000;
  return static_cast<size_t>(
      std::count_if(turn.Newest().voters.begin(), turn.Newest().voters.end(), [&](const NodeRef& voter) {
        if (turn.Dead(voter.incarnation)) return false;
        const control::ReplicaAck* ack = AckOf(primary, voter.incarnation);
        return (ack && ack->silent_ms <= patience_ms) || turn.Reachable(voter.incarnation);
      }));
}

void JudgeReadiness(Turn& turn, const NodeState& primary) {
  Findings& f = turn.out.findings;
  const bool in_charge = !f.primary_lost && (primary.lease_held || turn.Newest().voters.empty());
  f.voters_following = VotersFollowing(turn, primary);
  const bool enough = f.voters_following >= turn.Newest().synchronous_replicas;
  f.primary_serving = in_charge && enough;
  // With most of its voters gone it has no lease either, whatever this operator grants.
  const bool without_voters = !f.primary_lost && 1 + f.voters_following < control::GrantsNeeded(turn.Newest().voters.size());
  f.lacks_replicas = (in_charge || without_voters) && !enough;
  if (!f.failover_ready_reason.empty()) return;
  if (!turn.spec.automatic_failover) {
    f.failover_ready_reason = "AutomaticFailoverDisabled";
    f.failover_ready_message = "automaticFailover is off";
    return;
  }
  for (const NodeRef& v : turn.Newest().voters) {
    const control::ReplicaAck* ack = AckOf(primary, v.incarnation);
    if (ack == nullptr || !ack->in_sync || !turn.Reachable(v.incarnation)) continue;
    if (FailoversSpent(turn)) return;
    f.failover_ready = true;
    f.failover_ready_reason = "InSyncReplica";
    f.failover_ready_message = v.name + " is in sync";
    return;
  }
  f.failover_ready_reason = "NoInSyncReplica";
  f.failover_ready_message = "no replica is in sync";
}

// After a switchover that was aborted its primary and its target still hold writes: until the Service leads to the
// primary again, or, if it can't be turned, until the budget that the nodes keep themselves is over.
void ResumeWrites(Turn& turn) {
  for (const PodView& pod : turn.view.pods) {
    if (!pod.heard || !pod.heard->state.paused || !turn.Ours(pod.heard->state)) continue;
    if (turn.view.endpoint_pod_uid != turn.state.primary.pod_uid) return;
    MonoTime& since = turn.memory.repointed_at;
    if (since == MonoTime{}) since = turn.now;
    if (turn.now < since + kRepointSettle) return turn.WakeAt(since + kRepointSettle);
    OrderResume(turn, turn.RefOf(pod), turn.state.epoch);
  }
}

// Orders of a group at rest: nothing if everybody is where the state says.
void KeepInPlace(Turn& turn, const NodeState* primary, std::string_view hold_back) {
  const GroupState& state = turn.state;
  const control::Configuration& newest = turn.Newest();
  const PodView* held = turn.PodHearing(hold_back);
  if (held) OrderDemote(turn, turn.RefOf(*held), state.epoch);
  if (primary == nullptr || !turn.Reachable(state.primary.incarnation)) {
    OrderFollowers(turn, newest, hold_back);
    return;
  }
  if (!turn.InOffice(*primary, state.epoch)) {
    OrderPrimary(turn, state.primary, newest, {});  // first start
    return;
  }
  if (primary->configuration != newest.number || primary->lease_ms != turn.LeaseMs(newest) ||
      primary->synchronous_replicas != turn.SynchronousReplicas(newest)) {
    OrderPrimary(turn, state.primary, newest, {});
  }
  ResumeWrites(turn);
  OrderFollowers(turn, newest, hold_back);
  turn.out.endpoint = state.primary;
}

void Steady(Turn& turn) {
  const GroupState& state = turn.state;
  turn.Allow(state.epoch, state.primary);
  turn.InStep("steady:" + std::to_string(state.epoch));
  if (InTrouble(turn)) return;
  turn.out.force_delete = LostPods(turn);
  control::Incarnation hold_back;
  if (RecordReturn(turn, &hold_back)) return;
  const NodeState* primary = turn.Words(state.primary.incarnation);
  const bool serving =
      primary && turn.Reachable(state.primary.incarnation) && turn.InOffice(*primary, state.epoch);
  if (serving) {
    if (MayCommit(turn)) {
      GroupState next = state;
      next.configurations.erase(next.configurations.begin(), next.configurations.end() - 1);
      turn.out.persist = std::move(next);
      return;
    }
    JudgeReadiness(turn, *primary);
    if (StartMove(turn)) return;
    if (std::optional<control::Configuration> c = NextConfiguration(turn)) {
      GroupState next = state;
      next.configurations.push_back(std::move(*c));
      turn.out.persist = std::move(next);
      return;
    }
  }
  KeepInPlace(turn, primary, hold_back);
}

void RunStep(Turn& turn) {
  Findings& findings = turn.out.findings;
  findings.failover_ready_reason = "FailoverRunning";
  findings.failover_ready_message = std::string(KindName(turn.state.failover->kind)) + " of " +
                                    turn.state.failover->old.name + ", step " +
                                    std::string(StepName(turn.state.failover->step));
  switch (turn.state.failover->step) {
    case Step::kFence:
      StepFence(turn);
      break;
    case Step::kCopy:
      StepCopy(turn);
      break;
    case Step::kPromote:
      StepPromote(turn);
      break;
    case Step::kPause:
      StepPause(turn);
      break;
    case Step::kDemote:
      StepDemote(turn);
      break;
  }
  if (!findings.no_promotable_replica.empty()) {
    findings.failover_ready_reason = "NoPromotableReplica";
    findings.failover_ready_message = findings.no_promotable_replica;
  }
}

}  // namespace

Decision Decide(const GroupState& state, const View& view, MonoTime now, WallTime wall,
                Rules rules) {
  Turn turn(state, view, now, wall, rules);
  RememberFacts(turn);
  if (!view.me.leads || now >= view.me.valid_until) return std::move(turn.out);
  turn.WakeAt(view.me.valid_until);
  if (turn.on(Rule::kTermWrite) && state.term != view.me.term) {
    // Nothing before this write succeeded: an older leader may have persisted what was not read
    // yet.
    GroupState next = state;
    next.term = view.me.term;
    turn.out.persist = std::move(next);
    return std::move(turn.out);
  }
  if (!Started(state)) {
    FirstStart(turn);
  } else if (RecordEmptied(turn)) {
    // Nothing to take over.
  } else if (state.failover) {
    RunStep(turn);
  } else {
    Steady(turn);
  }
  NoteVoidWords(turn);
  if (turn.out.persist) {
    // Persist before act.
    turn.out.orders.clear();
    turn.out.endpoint.reset();
    turn.out.force_delete.clear();
  }
  return std::move(turn.out);
}

Memory Remember(const GroupState& state, const View& view, MonoTime now, WallTime wall,
                Rules rules) {
  Turn turn(state, view, now, wall, rules);
  RememberFacts(turn);
  return std::move(turn.memory);
}

}  // namespace understudy::failover
