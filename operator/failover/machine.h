// The failover machine: persisted state + what is seen + now -> what to persist, or what to do.
//
// Pure: no I/O, clock, thread, lock or randomness. The same code runs in the operator, in the unit
// tests and in the simulator. Source of every rule: FAILOVER.md sections 2 to 7.
//
// How to call it (the contract of the caller)
//  * Only the leader acts. Call with the newest status that this process has read or WRITTEN, never
//  an
//    older one; after a conflict read first. One call at a time per group.
//  * Call after each change of an input and at `wake_at`. Calling too often is harmless: orders
//  already
//    on their way are not repeated within kResend, and a steady group yields no persist and no
//    orders.
//  * Apply a Decision in this order: `grants` at once (also when `persist` is set: they only ever
//  get
//    narrower in such a Decision); then either write `persist` with the resourceVersion that
//    `state` was read at and call again with the result, or, with no `persist`, carry out `orders`,
//    `endpoint` and `force_delete`. A Decision never has both: persist before act. `events` belong
//    to the write: record them when it succeeded, drop them when it did not. Keep `memory` in every
//    case.
//  * When the outcome of a write is not known (time-out), read before the next call, as after a
//  conflict.
//  * Call again as soon as the EndpointSlice was written: the record of a takeover waits for it.
//  * Fill in each order's `id` and, for role orders, `replication_key` (it is derived from the
//  private
//    key, group and epoch); send it to the Pod `pod_uid` only over the channel of that incarnation.
//  * Answer a heartbeat of `grants.to` with a grant only while `grants.allowed` and now is before
//    View.me.valid_until, and put the time into View.me.last_grant BEFORE the frame is sent.
//
// The writes of one takeover, and why there is none less
//  1. fence:   {epoch+1, failover.step fence}. Epochs must be unique before a node hears of one.
//  2. promote: {step promote, winner, offset, appended configuration}: from here on the winner
//  counts
//     as primary of its epoch, so it must survive the operator before the winner hears of it. With
//     proof of death at hand there is no write between 1 and 2: one question to the voters and
//     back.
//  3. record:  {primary, failover empty, history}: after the winner said that it is primary and the
//     EndpointSlice was written, so it costs no latency.
//  4. commit:  {configurations: newest only}: when the winner has caught its voters up.
// A switchover has pause (with the epoch of its demotion), promote, record, commit; another leader that
// finds it paused writes demote, as the demotion may be on its way. A change of voters has append and
// commit. A new leader's first write is its term; a group in a transition goes on from its
// persisted step.
//
// Acts of promote, in order: role order to the winner and, in the same Decision, the others' orders
// to follow it; as soon as the winner reports itself primary, `endpoint` (in a switchover already before
// the pause); when View.endpoint_pod_uid shows it and the winner is primary, write 3. Labels and
// the reader Service follow after that.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "operator/failover/rules.h"
#include "operator/failover/state.h"
#include "operator/failover/view.h"

namespace understudy::failover {

struct OutgoingOrder {
  std::string pod_uid;
  control::Order order;  // id and replication_key are the sender's to fill in
};

// Whom the grantor may answer. Not allowed: nobody of this group.
struct Grants {
  bool allowed = false;
  uint64_t epoch = 0;
  control::Incarnation to;
  bool operator==(const Grants&) const = default;
};

struct Event {
  bool warning = false;
  std::string reason;   // CamelCase
  std::string message;  // the original service's words where they are known
  bool operator==(const Event&) const = default;
};

inline constexpr const char* kMaxPerHour = "MaxPerHour";  // failover_ready_reason: a takeover without proof has to wait

// Input of the group's conditions; the plan folder makes them.
struct Findings {
  // WaitingForProofOfDeath: the incarnation that must be proven dead (or come back) before the
  // group can go on; message says how an administrator can confirm it.
  std::optional<control::NodeRef> waiting_for_proof;
  std::string waiting_message;
  // NoPromotableReplica: a takeover finds nobody who may become primary; why.
  std::string no_promotable_replica;
  // FailoverReady.
  bool failover_ready = false;
  std::string failover_ready_reason;  // CamelCase
  std::string failover_ready_message;
  // Why the last switchover was aborted, or the one that is asked for waits. Empty: neither.
  std::string switchover_blocked;
  // The primary is known, in office and may acknowledge writes.
  bool primary_serving = false;
  // It is all that but for the replicas: fewer are in sync than synchronousReplicas asks for.
  bool lacks_replicas = false;
  // Voters of the newest configuration that the primary hears, or this process.
  size_t voters_following = 0;
  // Nobody can say so any more: neither this process nor a voter that it hears had a word of the primary for
  // detectionTimeout and T, so that its lease has run out.
  bool primary_lost = false;
  // Several data sets among the nodes of a group that was never started; names them. Empty: none.
  std::string several_datasets;
  // Members whose node holds other data, or belongs elsewhere, and therefore gets no order; a
  // sentence per member.
  std::vector<std::string> not_joining;
};

struct Decision {
  std::optional<GroupState> persist;
  std::vector<OutgoingOrder> orders;
  // Whom the primary EndpointSlice shall name; nullopt: leave it as it is (never emptied by a
  // takeover).
  std::optional<control::NodeRef> endpoint;
  Grants grants;
  std::vector<std::string> force_delete;  // Pod UIDs (FAILOVER.md section 5, last sentence)
  std::vector<std::string> reconnect;     // Pod UIDs: close the control channel and open it anew
  std::vector<Event> events;
  Findings findings;
  MonoTime wake_at{INT64_MAX};  // call again then even if nothing changes
  Memory memory;
};

Decision Decide(const GroupState& state, const View& view, MonoTime now, WallTime wall,
                Rules rules = {});

// For an operator process that does not lead: keeps the proofs of death and the primary's last
// words, so that they are at hand when it takes over. Returns the new memory.
Memory Remember(const GroupState& state, const View& view, MonoTime now, WallTime wall,
                Rules rules = {});

// Periods. Section numbers are FAILOVER.md's.
inline constexpr Duration kResend = Milliseconds(250);  // an unanswered order is sent again
inline constexpr Duration kPoll = Milliseconds(15);     // while a switchover waits for an offset
inline constexpr Duration kAnswersWait = Milliseconds(300);  // 6.5: for those who are connected
inline constexpr Duration kProofPatience =
    Seconds(5);  // from the suspicion, or the step that waits, until people are asked for a proof of death
inline constexpr Duration kVoterAnswersWait =
    Seconds(5);  // 6.6: before a node that is no voter wins
inline constexpr Duration kRepointFirst = Milliseconds(300);     // 8: pause without the EndpointSlice
inline constexpr Duration kRepointSettle = Milliseconds(50);     // 8: kube-proxy's 12-25 ms, twice
inline constexpr Duration kPauseBudget = Milliseconds(2000);     // 7
inline constexpr Duration kTurnBack = Milliseconds(250);  // 7: of that budget, to turn the Service back in an abort
inline constexpr Duration kDemoteBudget = Milliseconds(1500);    // 7: then takeover from step 3
inline constexpr Duration kPromoteSilence = Milliseconds(2500);  // 6.7: the winner says nothing
inline constexpr Duration kPromoteLimit =
    Milliseconds(5000);  // 6.7: the winner does not take the role
inline constexpr Duration kRepointLimit =
    Milliseconds(2000);                                  // 6.8: record without the EndpointSlice
inline constexpr Duration kCopySilence = Seconds(6);     // restore: one of the two is gone
inline constexpr Duration kCopyLimit = Seconds(600);     // restore: a copy that does not end
inline constexpr Duration kVoterSilence = Seconds(10);   // 5: a silent voter leaves
inline constexpr Duration kMoveRetry = Seconds(5);       // after an aborted switchover away
inline constexpr Duration kBlockedMoveRetry = Milliseconds(500);  // one that finds no target yet
inline constexpr Duration kTestFailoverExpires = Seconds(3600);   // what was not possible for so long is off
inline constexpr Duration kRecent = Milliseconds(2500);  // connected and heard so lately: reachable
inline constexpr Duration kLostPodGrace =
    Seconds(10);  // after a deletion that the kubelet did not end

}  // namespace understudy::failover
