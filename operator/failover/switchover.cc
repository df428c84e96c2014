#include "operator/failover/switchover.h"

#include <algorithm>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "operator/failover/orders.h"
#include "operator/failover/takeover.h"
#include "operator/failover/test_failover.h"

namespace understudy::failover {
namespace {

using control::NodeRef;
using control::NodeState;
using control::ReplicaAck;

// A target must be able to catch up within the pause.
constexpr uint64_t kSmallLag_bytes = 1 << 20;

bool Handled(const Turn& turn, const MoveRequest& r) {
  switch (r.source) {
    case MoveRequest::Source::kEdit:
      return r.id == turn.state.handled_primary_cluster_id;
    case MoveRequest::Source::kAnnotation:
      return r.id == turn.state.handled_switchover_to;
    case MoveRequest::Source::kTest:
      return JudgeTestFailover(r.id, turn.spec.created, turn.state.handled_test_failover, turn.wall) != TestFailover::kDue;
    case MoveRequest::Source::kAway:
      return false;
  }
  return false;
}

void MarkHandled(const MoveRequest& r, GroupState* state) {
  switch (r.source) {
    case MoveRequest::Source::kEdit:
      state->handled_primary_cluster_id = r.id;
      break;
    case MoveRequest::Source::kAnnotation:
      state->handled_switchover_to = r.id;
      break;
    case MoveRequest::Source::kTest:
      state->handled_test_failover = r.id;
      break;
    case MoveRequest::Source::kAway:
      break;
  }
}

// What the primary's own state asks for.
std::optional<MoveRequest> OwnWish(const Turn& turn, const NodeState& primary) {
  const NodeRef& ref = turn.state.primary;
  const PodView* pod = turn.PodByUid(ref.pod_uid);
  MoveRequest r;
  r.id = ref.incarnation;
  if (primary.unfit && turn.memory.unfit_tried != ref.incarnation) {
    r.reason = ref.name + " reports itself unfit";
  } else if (primary.terminating) {
    r.reason = ref.name + " is terminating";
  } else if (pod && pod->deletion_timestamp.unix_ms != 0) {
    r.reason = "the Pod of " + ref.name + " is being deleted";
  } else if (!turn.Wanted(ref.name)) {
    r.reason = ref.name + " leaves the group";
  } else {
    return std::nullopt;
  }
  return r;
}

// Everything that is asked for and not handled, the most pressing first.
std::vector<MoveRequest> DueMoves(Turn& turn, const NodeState& primary) {
  std::vector<MoveRequest> moves;
  if (std::optional<MoveRequest> own = OwnWish(turn, primary)) moves.push_back(*own);
  moves.insert(moves.end(), turn.spec.moves.begin(), turn.spec.moves.end());
  const MonoTime again = turn.memory.move_failed_at + kMoveRetry;
  const bool failed = turn.memory.move_failed_at != MonoTime{} && turn.now < again;
  std::erase_if(moves, [&](const MoveRequest& r) {
    // One that was aborted is tried again after a while, under whatever name it is asked for then.
    if (r.source == MoveRequest::Source::kAway && failed) {
      turn.WakeAt(again);
      return true;
    }
    return Handled(turn, r);
  });
  return moves;
}

// Why this voter can't become primary now; empty: it can.
std::string WhyNot(const Turn& turn, const NodeState& primary, const NodeRef& voter) {
  const PodView* pod = turn.PodHearing(voter.incarnation);
  if (turn.Dead(voter.incarnation)) return voter.name + " has ended";
  if (pod == nullptr || !turn.Reachable(*pod)) return voter.name + " does not answer";
  const NodeState& node = pod->heard->state;
  if (node.unfit) return voter.name + " reports itself unfit";
  if (node.terminating || pod->deletion_timestamp.unix_ms != 0)
    return voter.name + " is terminating";
  if (!turn.Wanted(voter.name)) return voter.name + " leaves the group";
  if (node.role_epoch != turn.state.epoch) return voter.name + " has not got its role of this epoch yet";
  if (!turn.HoldsData(node) || node.link != control::LinkState::kUp) {
    return voter.name + " is not replicating";
  }
  const ReplicaAck* ack = AckOf(primary, voter.incarnation);
  if (ack == nullptr) return voter.name + " is not replicating";
  if (ack->needs_full_copy) return voter.name + " needs a full copy";
  if (!ack->in_sync || ack->offset + kSmallLag_bytes < primary.offset) return voter.name + " lags";
  return "";
}

std::optional<NodeRef> ChooseTarget(const Turn& turn, const NodeState& primary,
                                    const MoveRequest& r, std::string* why) {
  *why = r.target.empty() ? "no voter can become primary" : r.target + " is not an in-sync voter";
  const NodeRef* best = nullptr;
  std::tuple<bool, uint64_t> best_key;
  for (const NodeRef& v : turn.Newest().voters) {
    if (!r.target.empty() && v.name != r.target) continue;
    const std::string not_now = WhyNot(turn, primary, v);
    if (!not_now.empty()) {
      *why = not_now;
      continue;
    }
    const ReplicaAck* ack = AckOf(primary, v.incarnation);
    const std::tuple key(turn.Stays(v.name), ack ? ack->offset : 0);
    if (best == nullptr || key > best_key || (key == best_key && v.name < best->name)) {
      best = &v;
      best_key = key;
    }
  }
  if (best == nullptr) return std::nullopt;
  return *best;
}

void Abort(Turn& turn, const std::string& why) {
  const Failover& fo = *turn.state.failover;
  GroupState next = turn.state;
  next.failover.reset();
  const NodeState* primary = turn.Words(fo.old.incarnation);
  if (primary && primary->unfit) turn.memory.unfit_tried = fo.old.incarnation;
  turn.memory.move_blocked =
      "the switchover from " + fo.old.name + " to " + fo.winner.name + " was aborted: " + why;
  turn.memory.move_blocked_epoch = turn.state.epoch;
  turn.memory.move_failed_at = turn.now;
  turn.Note(true, "SwitchoverAborted", turn.memory.move_blocked);
  turn.out.persist = std::move(next);
}

// Persists the move; nothing has been done yet.
void Begin(Turn& turn, const MoveRequest& request, const NodeRef& target) {
  GroupState next = turn.state;
  MarkHandled(request, &next);
  Failover fo;
  fo.kind = Kind::kSwitchover;
  fo.step = Step::kPause;
  fo.epoch = turn.state.epoch + 1;  // reserved: the demotion needs no write of its own while writes are held
  fo.reason = request.source == MoveRequest::Source::kTest ? "TestFailover" : "Switchover";
  fo.message = request.reason;
  fo.old = turn.state.primary;
  fo.winner = target;
  fo.times.confirmed = turn.wall;
  if (request.source == MoveRequest::Source::kTest) {
    // A test fails the primary: no pause, its writers see what a failover costs; nothing is lost.
    fo.step = Step::kDemote;
    next.epoch = fo.epoch;
    turn.Forbid();
  }
  turn.memory.move_blocked.clear();
  turn.memory.move_begun = fo.epoch;
  turn.memory.move_demotes = false;
  next.failover = fo;
  turn.out.persist = std::move(next);
  turn.Note(
      false, fo.step == Step::kDemote ? "TestFailoverStarted" : "SwitchoverStarted",
      "Moving the primary role from " + fo.old.name + " to " + fo.winner.name + ": " + fo.message);
}

bool CaughtUp(const Turn& turn, const NodeRef& target, const NodeState& primary) {
  const NodeState* words = turn.Words(target.incarnation);
  return words && turn.HoldsData(*words) && words->role == control::Role::kReplica &&
         words->primary == primary.incarnation && words->offset >= primary.offset;
}

}  // namespace

bool StartMove(Turn& turn) {
  Memory& memory = turn.memory;
  const NodeState* primary = turn.Words(turn.state.primary.incarnation);
  // An aborted move is told until the role moves, or is asked to move, again.
  if (memory.move_blocked_epoch != turn.state.epoch) memory.move_blocked.clear();
  std::string& blocked = turn.out.findings.switchover_blocked;
  blocked = memory.move_blocked;
  bool first = true;
  for (const MoveRequest& request : DueMoves(turn, *primary)) {
    const bool away = request.source == MoveRequest::Source::kAway;
    if (request.refused || request.target == turn.state.primary.name) {
      if (away) continue;
      if (!request.refused) memory.move_blocked.clear();
      GroupState next = turn.state;
      MarkHandled(request, &next);
      turn.out.persist = std::move(next);  // nothing has to move
      return true;
    }
    std::string why;
    if (const std::optional<NodeRef> target = ChooseTarget(turn, *primary, request, &why)) {
      Begin(turn, request, *target);
      return true;
    }
    // The last node asks for nothing: there is nobody to move to, nor anything that could be waited for.
    if (away && turn.Newest().voters.empty()) continue;
    if (std::exchange(first, false)) blocked = request.reason + ": " + why;
    turn.WakeAt(turn.now + kBlockedMoveRetry);  // a lag that shrinks is no news of its own
  }
  return false;
}

void StepPause(Turn& turn) {
  const Failover& fo = *turn.state.failover;
  if (turn.memory.move_begun != fo.epoch) {
    // Begun under another leadership, which may have sent the demotion: there is no way back.
    GroupState next = turn.state;
    next.epoch = fo.epoch;
    next.failover->step = Step::kDemote;
    turn.out.persist = std::move(next);
    turn.Forbid();
    return;
  }
  if (turn.memory.move_demotes) return StepDemote(turn);
  turn.Allow(turn.state.epoch, fo.old);
  const Duration taken = turn.InStep(StepKey(fo));
  if (MeetHigherEpoch(turn, turn.state.epoch)) return;
  if (const Death* death = turn.DeathOf(fo.old.incarnation)) {
    StartTakeover(turn, "PrimaryDead", fo.old.name + " ended: " + death->why);
    return;
  }
  if (turn.Dead(fo.winner.incarnation)) return Abort(turn, fo.winner.name + " ended");
  // Writes are held until the nodes' own budget is over, and the Service leads to the primary again by then: who is
  // let go to the target, which may be frozen, waits there.
  const Duration patience = kPauseBudget - kTurnBack;
  const NodeState* target = turn.Words(fo.winner.incarnation);
  const bool holds = target && target->paused;
  if (taken >= patience) {
    const Duration silent = turn.now - std::max(turn.HeardAt(fo.old.incarnation), turn.view.me.acquired_at);
    if (silent >= patience * 0.5) return Abort(turn, fo.old.name + " has not answered for " + Span(silent));
    return Abort(turn, fo.winner.name + (holds ? " did not catch up within " : " did not answer within ") + Span(patience));
  }
  turn.WakeAt(turn.memory.step_since + patience);
  const NodeState* primary = turn.Words(fo.old.incarnation);
  if (primary && turn.Reachable(fo.old.incarnation) && turn.Reachable(fo.winner.incarnation) &&
      turn.InOffice(*primary, turn.state.epoch) && primary->paused &&
      CaughtUp(turn, fo.winner, *primary)) {
    turn.memory.move_demotes = true;
    return StepDemote(turn);
  }
  // kube-proxy needs 12-25 ms for a new endpoint (section 8); they pass before the pause and not in it. Clients
  // stay connected to the primary meanwhile, and who may acknowledge is decided by orders and leases. Abort turns
  // it back: Steady points the Service at the primary.
  const bool repointed = turn.view.endpoint_pod_uid == fo.winner.pod_uid;
  // Who connects to the target already is not refused: its writes wait there for the promotion. It answers that it
  // holds them before anybody is led to it: connections to a node that hangs can't be called back.
  if (target && !holds) OrderPause(turn, fo.winner, turn.state.epoch);
  if (!repointed && !holds) return;
  if (!repointed && turn.Reachable(fo.winner.incarnation)) turn.out.endpoint = fo.winner;
  if (repointed && turn.memory.repointed_at == MonoTime{}) turn.memory.repointed_at = turn.now;
  const MonoTime pause_at = repointed ? turn.memory.repointed_at + kRepointSettle : turn.memory.step_since + kRepointFirst;
  if (turn.now < pause_at) return turn.WakeAt(pause_at);
  OrderPause(turn, fo.old, turn.state.epoch);
  if (primary && primary->paused) Poll(turn, fo.winner, turn.state.epoch);
}

void StepDemote(Turn& turn) {
  const Failover& fo = *turn.state.failover;
  turn.Forbid();
  const Duration taken = turn.InStep("demote:" + StepKey(fo));
  if (MeetHigherEpoch(turn, fo.epoch)) return;
  if (const Death* death = turn.DeathOf(fo.old.incarnation)) {
    return TurnIntoTakeover(turn, "PrimaryDead", fo.old.name + " ended: " + death->why);
  }
  if (turn.Dead(fo.winner.incarnation)) {
    return TurnIntoTakeover(turn, "TargetLost", fo.winner.name + " ended during the switchover");
  }
  const NodeState* primary = turn.Words(fo.old.incarnation);
  const bool demoted = primary && turn.FencedAt(*primary, fo.epoch);
  if (demoted) {
    if (turn.memory.fenced.unix_ms == 0) turn.memory.fenced = turn.wall;
    const NodeState* target = turn.Words(fo.winner.incarnation);
    const bool caught_up = !turn.on(Rule::kFinalOffset) || CaughtUp(turn, fo.winner, *primary);
    if (caught_up && target && target->complete && turn.Reachable(fo.winner.incarnation)) {
      Promotion promotion;
      promotion.winner = fo.winner;
      promotion.offset = target->offset;
      promotion.offset_epoch = target->last_record_epoch;
      for (const NodeRef& v : turn.Newest().voters) {
        if (v.incarnation != fo.winner.incarnation) promotion.voters.push_back(v);
      }
      const PodView* pod = turn.PodHearing(fo.old.incarnation);
      const bool ending = primary->terminating || primary->unfit || !turn.Wanted(fo.old.name) ||
                          (pod && pod->deletion_timestamp.unix_ms != 0);
      // One that is about to end is no help as a voter, but the number never falls below S.
      if (!ending || promotion.voters.size() < turn.Newest().synchronous_replicas) {
        promotion.voters.push_back(fo.old);
      }
      return PersistPromotion(turn, fo, std::move(promotion));
    }
  }
  if (taken >= kDemoteBudget) {
    return TurnIntoTakeover(turn, "SwitchoverTimeout",
                            "the switchover to " + fo.winner.name + " did not end within " +
                                Span(kDemoteBudget) + " of the demotion of " + fo.old.name);
  }
  turn.WakeAt(turn.memory.step_since + kDemoteBudget);
  if (demoted) {
    Poll(turn, fo.winner, fo.epoch);
  } else {
    OrderDemote(turn, fo.old, fo.epoch);
  }
}

}  // namespace understudy::failover
