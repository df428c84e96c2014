#include "operator/failover/takeover.h"

#include <algorithm>

#include "operator/failover/election.h"
#include "operator/failover/fence.h"
#include "operator/failover/orders.h"
#include "operator/failover/proof_request.h"
#include "operator/failover/suspicion.h"

namespace understudy::failover {
namespace {

using control::Configuration;
using control::NodeRef;
using control::NodeState;

// What is known of the old primary's data, and whether it is known to have ended.
void NoteOld(const Turn& turn, Failover* fo) {
  const Memory::LastWords& last = turn.memory.primary;
  if (last.incarnation == fo->old.incarnation && last.at != MonoTime{}) {
    fo->old_offset = last.offset;
    fo->old_heard = last.wall;
  }
  if (const Death* death = turn.DeathOf(fo->old.incarnation)) fo->proof = death->why;
  const NodeState* words = turn.Words(fo->old.incarnation);
  if (words && turn.FencedAt(*words, fo->epoch)) fo->old_offset_final = true;
}

// What a node whose last record is of `epoch` at `offset` holds beyond the winner's history. Where
// the two histories part: at the winner's offset, or before it if the node followed a primary that
// began an epoch in between.
uint64_t Beyond(const GroupState& state, uint64_t offset_epoch, uint64_t winner_offset,
                uint64_t epoch, uint64_t offset) {
  uint64_t common = winner_offset;
  for (const HistoryEntry& e : state.failover_history) {
    if (offset_epoch == 0) break;  // not recorded
    if (e.epoch > offset_epoch && e.epoch <= epoch) common = std::min(common, e.offset);
  }
  return offset > common ? offset - common : 0;
}

HistoryEntry EntryOf(const Failover& fo) {
  HistoryEntry e;
  e.kind = fo.kind;
  e.epoch = fo.epoch;
  e.reason = fo.reason;
  e.message = fo.message;
  e.old_primary = fo.old;
  e.new_primary = fo.winner;
  e.proof = fo.proof;
  e.offset = fo.offset;
  e.offset_epoch = fo.offset_epoch;
  e.old_offset = fo.old_offset;
  e.old_heard = fo.old_heard;
  e.data_lost = fo.data_lost;
  e.times = fo.times;
  if (fo.old_offset_final) {
    e.old_returned = fo.times.elected;
    e.dropped_bytes = fo.dropped_bytes;
  }
  return e;
}

void Append(GroupState* state, HistoryEntry entry) {
  state->failover_history.push_back(std::move(entry));
  while (state->failover_history.size() > kMaxHistory) {
    state->failover_history.erase(state->failover_history.begin());
  }
}

// Brings what maxPerHour counts in step with the running failover, in the write that changes it: a takeover counts from
// its first write on, unless its old primary is proven dead by then or by its election.
void CountUnproven(const Turn& turn, GroupState* next) {
  std::vector<WallTime>& times = next->unproven_takeovers;
  const Failover& fo = *next->failover;
  std::erase(times, fo.times.confirmed);
  if (fo.kind == Kind::kTakeover && fo.proof.empty()) times.push_back(fo.times.confirmed);
  std::erase_if(times, [&](WallTime t) { return !CountsForHour(turn, t); });
  if (times.size() > kMaxUnproven) times.erase(times.begin(), times.end() - kMaxUnproven);
}

bool Answered(const Turn& turn, const PodView& pod) {
  return pod.answer && pod.answer->state.nonce == turn.memory.nonce &&
         pod.answer->state.incarnation == pod.heard->state.incarnation;
}

// To be asked for its offset: reachable, and of this group; or a process that loaded the group's
// data from its volume and was not ordered yet.
bool Asked(const Turn& turn, const PodView& pod) {
  if (!pod.heard || !turn.Reachable(pod)) return false;
  const NodeState& node = pod.heard->state;
  return turn.Ours(node) ||
         (node.group.empty() && node.complete && node.dataset == turn.state.dataset);
}

// The old primary whose silence began the takeover is asked like everybody, but not waited for.
bool WaitedFor(const Turn& turn, const Failover& fo, const PodView& pod) {
  return Asked(turn, pod) && !Answered(turn, pod) &&
         (pod.heard->state.incarnation != fo.old.incarnation ||
          turn.now - pod.heard->at < Milliseconds(turn.spec.detection_ms));
}

void SendFences(Turn& turn, const Failover& fo) {
  for (const PodView& pod : turn.view.pods) {
    if (!pod.heard || !turn.Ours(pod.heard->state)) continue;
    if (pod.heard->state.incarnation == fo.old.incarnation) continue;
    if (turn.EpochOf(pod.heard->state) < fo.epoch) OrderFence(turn, pod, fo.epoch);
  }
  OrderDemote(turn, fo.old, fo.epoch);
}

// Nobody has data, and nobody can have any.
void StartEmpty(Turn& turn, const Failover& fo, const Answers& answers) {
  const Answer* winner = nullptr;
  for (const Answer& a : answers.all) {
    if (!turn.Wanted(a.node.name)) continue;
    const bool own = fo.kind == Kind::kRestore && a.node.name == fo.old.name;
    if (winner == nullptr || own || a.node.name < winner->node.name) winner = &a;
    if (own) break;
  }
  if (winner == nullptr) {
    turn.out.findings.no_promotable_replica = "no node of the group answers";
    return;
  }
  PersistPromotion(turn, fo, {winner->node, 0, 0, {}, true, true});
}

// Restore: the old primary's successor gets the role, after it copied the best data if it has less.
void ElectRestored(Turn& turn, Failover fo, const Answers& answers, const Answer& best,
                   bool data_lost) {
  const PodView* own = turn.PodOf(fo.old.name);
  const bool answered = own && own->heard && answers.Has(own->heard->state.incarnation);
  if (!answered) {
    turn.out.findings.no_promotable_replica =
        "automaticFailover is off: waiting for " + fo.old.name + " to come back";
    return;
  }
  const NodeRef ref = turn.RefOf(*own);
  const NodeState* state = nullptr;
  for (const Answer& a : answers.with_data) {
    if (a.node.incarnation == ref.incarnation) state = a.state;
  }
  if (state != nullptr && HoldsAsMuch(turn, *state, *best.state)) {
    PersistPromotion(turn, fo,
                     {ref, state->offset, state->last_record_epoch,
                      FirstVoters(turn, answers, *state), data_lost, false});
    return;
  }
  fo.step = Step::kCopy;
  fo.winner = ref;
  fo.source = best.node;
  fo.offset = best.state->offset;
  fo.data_lost = data_lost;
  if (fo.times.fenced.unix_ms == 0) fo.times.fenced = turn.memory.fenced;
  NoteOld(turn, &fo);
  GroupState next = turn.state;
  next.failover = fo;
  turn.out.persist = std::move(next);
  turn.Note(false, "RestoringPrimary", fo.winner.name + " copies the data of " + fo.source.name);
}

// A replica outside the newest configuration may be far behind: voters that are not known to be
// dead get a little longer to answer before one of those wins.
bool WorthWaiting(Turn& turn, const Answers& answers, const Answer& best) {
  const Configuration& c = turn.Newest();
  auto is_best = [&](const NodeRef& n) { return n.incarnation == best.node.incarnation; };
  if (is_best(c.primary) || std::any_of(c.voters.begin(), c.voters.end(), is_best)) return false;
  const bool missing = std::any_of(c.voters.begin(), c.voters.end(), [&](const NodeRef& v) {
    return !turn.Dead(v.incarnation) && !answers.Has(v.incarnation);
  });
  if (!missing || turn.now - turn.memory.asked_at >= kVoterAnswersWait) return false;
  turn.WakeAt(turn.memory.asked_at + kVoterAnswersWait);
  return true;
}

void Elect(Turn& turn, const Failover& fo) {
  const Answers answers = CollectAnswers(turn, fo.epoch);
  std::string& why = turn.out.findings.no_promotable_replica;
  if (answers.with_data.empty()) {
    why = WhyNotEmpty(turn, answers);
    if (why.empty()) return StartEmpty(turn, fo, answers);
    AskForProof(turn, turn.memory.asked_at, why, Unaccounted(turn, answers));
    return;
  }
  bool data_lost = false;
  if (fo.kind != Kind::kRestore || turn.on(Rule::kRestoreCover)) {
    const Cover cover = JudgeCover(turn, answers);
    if (!cover.covered) {
      why = cover.missing;
      AskForProof(turn, turn.memory.asked_at, why, Unaccounted(turn, answers));
      return;
    }
    data_lost = cover.by_death;
  }
  const Answers* electable = &answers;
  Answers others;
  if (!turn.on(Rule::kOldCandidate)) {
    others = answers;
    std::erase_if(others.with_data, [&](const Answer& a) {
      return a.node.incarnation == fo.old.incarnation || a.state->role != control::Role::kReplica;
    });
    if (others.with_data.empty()) {
      why = "only the old primary has data";
      return;
    }
    electable = &others;
  }
  const Answer& best = Best(turn, *electable, fo.old);
  if (fo.kind == Kind::kRestore) {
    ElectRestored(turn, fo, answers, best, data_lost);
    return;
  }
  if (WorthWaiting(turn, answers, best)) return;
  PersistPromotion(turn, fo,
                   {best.node, best.state->offset, best.state->last_record_epoch,
                    FirstVoters(turn, answers, *best.state), data_lost, false});
}

// In the original's words where they fit.
std::string Outcome(const Failover& fo, const NodeRef& primary) {
  if (fo.kind == Kind::kSwitchover) return "Primary role moved from " + fo.old.name + " to " + primary.name;
  if (fo.old.name != primary.name) {
    return "Failover from primary node " + fo.old.name + " to replica node " + primary.name + " completed";
  }
  if (fo.old.incarnation == primary.incarnation) return "Primary node " + primary.name + " goes on as primary";
  return "Primary node " + primary.name + " was restarted and is primary again, " +
         (fo.empty_start ? "empty: no node had the group's data" : "with the group's data");
}

void Record(Turn& turn, const NodeRef& primary, bool repointed, bool caught_up) {
  Failover fo = *turn.state.failover;
  GroupState next = turn.state;
  fo.times.promoted = turn.memory.promoted;
  if (repointed) fo.times.repointed = turn.wall;
  fo.times.completed = turn.wall;
  next.primary = primary;
  next.failover.reset();
  next.configurations.back().primary = primary;
  if (caught_up || !turn.on(Rule::kEstablish)) {
    next.configurations.erase(next.configurations.begin(), next.configurations.end() - 1);
  }
  Append(&next, EntryOf(fo));
  turn.out.persist = std::move(next);
  turn.Note(false, fo.kind == Kind::kSwitchover ? "SwitchoverComplete" : "FailoverComplete", Outcome(fo, primary));
}

}  // namespace

void StartTakeover(Turn& turn, std::string reason, std::string message) {
  GroupState next = turn.state;
  Failover fo;
  fo.kind = turn.spec.automatic_failover ? Kind::kTakeover : Kind::kRestore;
  const uint64_t reserved = turn.state.failover ? turn.state.failover->epoch : 0;
  fo.epoch = std::max({turn.state.epoch, reserved, turn.HighestEpochHeard()}) + 1;
  fo.old = turn.state.primary;
  fo.times.suspected = turn.memory.suspected;
  fo.times.confirmed = turn.wall;
  if (turn.state.failover) {
    const Failover& before = *turn.state.failover;
    fo.times.suspected = before.times.suspected;
    fo.old = before.old;
    if (before.step == Step::kPromote) {
      // Elected means primary of its epoch, promoted or not; the abandoned promotion is on record.
      fo.old = next.primary = before.winner;
      Append(&next, EntryOf(before));
    } else {
      // It goes on under another epoch: one takeover.
      std::erase(next.unproven_takeovers, before.times.confirmed);
    }
  }
  if (fo.times.suspected.unix_ms == 0) fo.times.suspected = turn.wall;
  fo.reason = std::move(reason);
  fo.message = std::move(message);
  NoteOld(turn, &fo);
  fo.old_offset_final = false;
  next.epoch = fo.epoch;
  next.failover = fo;
  CountUnproven(turn, &next);
  turn.out.persist = std::move(next);
  turn.Forbid();
  turn.Note(true, "FailoverStarted", fo.message);
}

bool RecordEmptied(Turn& turn) {
  const std::vector<Member>& members = turn.view.members;
  if (std::any_of(members.begin(), members.end(), [](const Member& m) { return m.wanted; })) return false;
  if (!WhyNotEmpty(turn, {}).empty()) return false;
  GroupState next = turn.state;
  Empty(&next);
  if (next.failover) {
    Failover fo = *next.failover;
    fo.winner = {};
    fo.data_lost = true;
    fo.times.completed = turn.wall;
    NoteOld(turn, &fo);
    Append(&next, EntryOf(fo));
    next.failover.reset();
  }
  turn.Forbid();
  turn.Note(true, "Emptied",
            "all nodes of the group were deleted, and its data with them; the next one starts it anew, empty");
  turn.out.persist = std::move(next);
  return true;
}

void TurnIntoTakeover(Turn& turn, std::string reason, std::string message) {
  GroupState next = turn.state;
  Failover& fo = *next.failover;
  fo.kind = turn.spec.automatic_failover ? Kind::kTakeover : Kind::kRestore;
  fo.step = Step::kFence;
  fo.winner = {};
  next.epoch = fo.epoch;
  fo.reason = std::move(reason);
  fo.message = std::move(message);
  if (fo.times.confirmed.unix_ms == 0) fo.times.confirmed = turn.wall;
  CountUnproven(turn, &next);
  turn.Forbid();
  turn.Note(true, "FailoverStarted", fo.message);
  turn.out.persist = std::move(next);
}

bool MeetHigherEpoch(Turn& turn, uint64_t epoch) {
  if (!turn.on(Rule::kEpochAbove)) return false;
  const uint64_t heard = turn.HighestEpochHeard();
  if (heard <= epoch) return false;
  StartTakeover(turn, "EpochAbove",
                "a node knows epoch " + std::to_string(heard) + ", above the recorded " +
                    std::to_string(epoch));
  return true;
}

void PersistPromotion(Turn& turn, Failover fo, Promotion promotion) {
  GroupState next = turn.state;
  fo.step = Step::kPromote;
  fo.winner = promotion.winner;
  fo.offset = promotion.offset;
  fo.offset_epoch = promotion.offset_epoch;
  fo.data_lost = fo.data_lost || promotion.data_lost;
  fo.empty_start = promotion.empty_start;
  if (fo.times.fenced.unix_ms == 0) fo.times.fenced = turn.memory.fenced;
  if (fo.times.fenced.unix_ms == 0) fo.times.fenced = turn.wall;
  fo.times.elected = turn.wall;
  NoteOld(turn, &fo);
  const NodeState* old = turn.Words(fo.old.incarnation);
  if (fo.old_offset_final && old && fo.old.incarnation != fo.winner.incarnation) {
    fo.dropped_bytes =
        Beyond(turn.state, fo.offset_epoch, fo.offset, old->last_record_epoch, old->offset);
  }
  if (fo.empty_start) next.dataset = turn.view.fresh_dataset;
  Configuration c;
  c.number = turn.Newest().number + 1;
  c.epoch = fo.epoch;
  c.primary = promotion.winner;
  c.voters = std::move(promotion.voters);
  c.synchronous_replicas = turn.SynchronousReplicas(turn.Newest());
  c.lease_ms = turn.LeaseMs(turn.Newest());
  next.configurations.push_back(std::move(c));
  next.epoch = fo.epoch;
  next.failover = fo;
  CountUnproven(turn, &next);
  turn.out.persist = std::move(next);
  turn.Forbid();
  if (fo.empty_start) {
    turn.Note(true, "DataLost",
              "all nodes of the group lost their data; " + fo.winner.name + " starts empty");
  } else if (promotion.data_lost) {
    turn.Note(true, "DataLost",
              "acknowledged writes may be lost: everybody else who held them is dead; " +
                  fo.winner.name + " goes on from offset " + std::to_string(fo.offset) +
                  ", the last one heard from " + fo.old.name + " was " +
                  std::to_string(fo.old_offset));
  }
}

void StepFence(Turn& turn) {
  const Failover& fo = *turn.state.failover;
  turn.Forbid();
  turn.InStep(StepKey(fo));
  if (MeetHigherEpoch(turn, fo.epoch)) return;
  if (fo.kind == Kind::kRestore && (turn.spec.automatic_failover || !turn.Wanted(fo.old.name))) {
    GroupState next = turn.state;
    next.failover->kind = Kind::kTakeover;
    CountUnproven(turn, &next);
    turn.out.persist = std::move(next);
    return;
  }
  const Fence fence = JudgeFence(turn, fo.old, fo.epoch);
  if (!fence.done) {
    SendFences(turn, fo);
    if (fence.needs_proof) AskForProof(turn, turn.memory.step_since, fence.waiting, MustBeDead(turn, fo.old));
    return;
  }
  Memory& memory = turn.memory;
  if (memory.nonce == 0) {
    memory.fenced = turn.wall;
    memory.nonce = turn.view.fresh_nonce;
    memory.asked_at = turn.now;
  }
  const bool all_answered =
      std::none_of(turn.view.pods.begin(), turn.view.pods.end(),
                   [&](const PodView& pod) { return WaitedFor(turn, fo, pod); });
  const bool due = all_answered || turn.now - memory.asked_at >= kAnswersWait;
  if (due || !turn.on(Rule::kFreshRead)) Elect(turn, fo);
  if (turn.out.persist) return;
  if (!due) turn.WakeAt(memory.asked_at + kAnswersWait);
  for (const PodView& pod : turn.view.pods) {
    if (Asked(turn, pod) && !Answered(turn, pod)) AskOffset(turn, pod, fo.epoch);
  }
}

void StepCopy(Turn& turn) {
  const Failover& fo = *turn.state.failover;
  turn.Forbid();
  const Duration taken = turn.InStep(StepKey(fo));
  if (MeetHigherEpoch(turn, fo.epoch)) return;
  const NodeState* copier = turn.Words(fo.winner.incarnation);
  const NodeState* source = turn.Words(fo.source.incarnation);
  const bool lost = turn.Dead(fo.winner.incarnation) || turn.Dead(fo.source.incarnation);
  const bool silent = taken > kCopySilence && !(turn.Reachable(fo.winner.incarnation) &&
                                                turn.Reachable(fo.source.incarnation));
  if (lost || silent || taken > kCopyLimit) {
    // Both have an order of this epoch by now: the next try needs a new one.
    StartTakeover(turn, "CopyFailed",
                  "the copy from " + fo.source.name + " to " + fo.winner.name + " did not end");
    return;
  }
  if (copier && source && copier->complete && !copier->loading && copier->role_epoch == fo.epoch &&
      copier->primary == fo.source.incarnation && copier->offset >= fo.offset &&
      copier->offset >= source->offset && turn.Reachable(fo.winner.incarnation) &&
      turn.Reachable(fo.source.incarnation)) {
    std::vector<NodeRef> voters;
    for (const PodView& pod : turn.view.pods) {
      if (!pod.heard || !turn.Reachable(pod) || !pod.exists || !turn.Wanted(pod.member)) continue;
      const NodeState& n = pod.heard->state;
      if (n.incarnation != copier->incarnation && turn.HoldsData(n) &&
          turn.EpochOf(n) >= fo.epoch && n.last_record_epoch == copier->last_record_epoch &&
          n.offset <= copier->offset) {
        voters.push_back(turn.RefOf(pod));
      }
    }
    PersistPromotion(
        turn, fo,
        {fo.winner, copier->offset, copier->last_record_epoch, std::move(voters), false, false});
    return;
  }
  if (taken <= kCopySilence) turn.WakeAt(turn.memory.step_since + kCopySilence + Milliseconds(1));
  turn.WakeAt(turn.memory.step_since + kCopyLimit + Milliseconds(1));
  OrderCopy(turn, fo.winner, fo.source, fo.epoch);
}

void StepPromote(Turn& turn) {
  const Failover& fo = *turn.state.failover;
  turn.Allow(fo.epoch, fo.winner);
  const Duration taken = turn.InStep(StepKey(fo));
  Memory& memory = turn.memory;
  if (MeetHigherEpoch(turn, fo.epoch)) return;
  NodeRef winner = fo.winner;
  if (!turn.on(Rule::kOrderIncarnation)) {
    const PodView* pod = turn.PodOf(winner.name);
    if (pod && pod->heard) winner = turn.RefOf(*pod);
  }
  const control::Configuration& configuration = turn.Newest();
  const std::string hold_back = fo.old_offset_final ? "" : fo.old.incarnation;
  const NodeState* words = turn.Words(winner.incarnation);
  if (words && turn.InOffice(*words, fo.epoch)) {
    if (memory.promoted_at == MonoTime{}) {
      memory.promoted_at = turn.now;
      memory.promoted = turn.wall;
    }
    const bool repointed = turn.view.endpoint_pod_uid == winner.pod_uid;
    if (repointed || turn.now - memory.promoted_at >= kRepointLimit) {
      Record(turn, winner, repointed, words->configuration_acked == configuration.number);
      return;
    }
    turn.out.endpoint = winner;
    turn.WakeAt(memory.promoted_at + kRepointLimit);
    OrderFollowers(turn, configuration, hold_back);
    return;
  }
  const MonoTime heard = std::max(turn.HeardAt(winner.incarnation), memory.step_since);
  const bool dead = turn.Dead(winner.incarnation);
  const bool silent = turn.now - heard >= kPromoteSilence;
  if (dead || silent || taken >= kPromoteLimit) {
    StartTakeover(turn, "WinnerLost",
                  winner.name + (dead     ? " ended before it became primary"
                                 : silent ? " went silent before it became primary"
                                          : " did not become primary in time"));
    return;
  }
  turn.WakeAt(heard + kPromoteSilence);
  turn.WakeAt(memory.step_since + kPromoteLimit);
  // In a switchover the winner is about to take office: it answers, holds the demoted primary's last offset, and
  // by the persisted election is primary of its epoch already. What kube-proxy needs for the new endpoint
  // (12-25 ms, section 8) then runs beside the promotion; who may acknowledge is decided by orders and leases.
  if (fo.kind == Kind::kSwitchover && fo.old_offset_final && turn.Reachable(winner.incarnation)) {
    turn.out.endpoint = winner;
  }
  OrderPrimary(turn, winner, configuration, {!fo.empty_start, fo.offset});
  OrderFollowers(turn, configuration, hold_back);
  const NodeState* old = turn.Words(fo.old.incarnation);
  if (old && fo.old.incarnation != winner.incarnation && !turn.FencedAt(*old, fo.epoch)) {
    OrderDemote(turn, fo.old, fo.epoch);
  }
}

bool RecordReturn(Turn& turn, control::Incarnation* hold_back) {
  for (size_t i = turn.state.failover_history.size(); i-- > 0;) {
    const HistoryEntry& e = turn.state.failover_history[i];
    const control::Incarnation& old = e.old_primary.incarnation;
    if (e.old_returned.unix_ms != 0 || old == turn.state.primary.incarnation || turn.Dead(old))
      continue;
    const NodeState* words = turn.Words(old);
    if (words == nullptr || !turn.Reachable(old) || !turn.HoldsData(*words)) continue;
    if (words->last_record_epoch >= e.epoch) continue;  // it has the newer history already
    if (!turn.FencedAt(*words, e.epoch)) {
      *hold_back = old;
      continue;
    }
    GroupState next = turn.state;
    HistoryEntry& entry = next.failover_history[i];
    entry.old_returned = turn.wall;
    entry.old_offset = words->offset;
    entry.old_heard = turn.wall;
    entry.dropped_bytes =
        Beyond(turn.state, e.offset_epoch, e.offset, words->last_record_epoch, words->offset);
    turn.Note(entry.dropped_bytes > 0, "OldPrimaryReturned",
              e.old_primary.name + " is back and drops " + std::to_string(entry.dropped_bytes) +
                  " bytes that were not replicated before the failover to " + e.new_primary.name);
    turn.out.persist = std::move(next);
    return true;
  }
  return false;
}

}  // namespace understudy::failover
