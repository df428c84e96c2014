// What this node is allowed to be (FAILOVER.md sections 2, 3, 5 and 7, the node's half).
//
// Input: orders, grants, lease requests, epochs met in handshakes, facts about the replication, the
// time. Output: decisions, as lists of Actions that the caller carries out (replication, gate,
// clients), and the NodeState that is sent to the operator. Pure: no I/O, no clock, no thread;
// everything on the admin thread.
//
// Two standings are kept. The ordered one is what the newest accepted order says; every rule is
// judged by it. The settled one is what has been carried out; State() speaks of that one, so that
// nothing is reported before it is true. Carrying out takes place in transitions:
//   Outcome outcome = machine.OnOrder(order, now);
//   gate.Publish(machine.Gate());                       // closes at once what has to be closed
//   carry out outcome.actions in their order;
//   machine.Observe(facts); machine.Settled(outcome.transition, now); gate.Publish(machine.Gate());
//   send machine.Ack(order, outcome, now)               // after Settled: it carries the final
//   offset
// Further orders may be handed in before a transition has settled; transitions settle in their
// order.
//
// How a role reads in NodeState: in office = role order of the newest epoch known, not demoted
// since. A fenced replica has role kReplica and in_office false; a demoted primary has role
// kPrimary and in_office false.
//
// Whoever sends orders: an order that is to change anything needs a larger (epoch, configuration
// number) than the node's last role order; this includes replica orders (number of the
// configuration given with it), and a promotion in the epoch of a copy-only order. A pause or a
// resume carries the epoch of the office.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "common/control/messages.h"
#include "node/role/copy_rules.h"
#include "node/role/role_gate.h"
#include "node/role/rule_set.h"
#include "node/role/write_lease.h"

namespace understudy::role {

// ---- actions

// Take office. With `start_empty` the keyspace is emptied and gets `dataset` as its id; otherwise
// the data stays (and its dataset id). A new history id; the first record is the epoch. Then act
// under `configuration`.
struct BecomePrimary {
  std::string group;
  uint64_t epoch = 0;
  control::Configuration configuration;
  std::string replication_key;
  bool start_empty = false;
  std::string dataset;
  bool operator==(const BecomePrimary&) const = default;
};

// The same office under another configuration, at once: its voters and its S count from now on.
struct ActUnder {
  control::Configuration configuration;
  bool operator==(const ActUnder&) const = default;
};

// Follow `primary`. With `drop_data` what is held belongs to another data set and may be dropped at
// once. `copy_only`: load its data, be nobody's voter. `close_clients`, a process's first role: who is connected may
// mean the primary that its predecessor at this address was, and would only be told to wait.
struct BecomeReplica {
  std::string group;
  uint64_t epoch = 0;
  control::NodeRef primary;
  std::string replication_key;
  bool copy_only = false;
  uint64_t copy_epoch = 0;  // with copy_only: for the handshake, instead of `epoch`
  bool drop_data = false;
  bool close_clients = false;
  bool operator==(const BecomeReplica&) const = default;
};

// Serve alone. Data as in BecomePrimary; without `start_empty` a non-empty `dataset` is the new id
// of the data that is kept (Promote).
struct BecomeStandalone {
  std::string group;
  uint64_t epoch = 0;
  bool start_empty = false;
  std::string dataset;
  bool operator==(const BecomeStandalone&) const = default;
};

// Replica: a higher epoch is known; go on applying, start no full copy.
struct Fenced {
  uint64_t epoch = 0;
  bool operator==(const Fenced&) const = default;
};

// Replica: the offset question. Stop applying and acknowledging for good (until the next role
// order); a load in progress is given up, its half stays incomplete.
struct StopApplying {
  uint64_t epoch = 0;
  bool operator==(const StopApplying&) const = default;
};

// Leave the primary role: no more acknowledgements, what is queued gets -READONLY, clients are
// closed. Goes on feeding the replicas that are attached; starts no full copy. Settled when no
// worker can append any more.
struct Demote {
  uint64_t epoch = 0;
  bool operator==(const Demote&) const = default;
};

// The gate already says so; wakes or re-times what is held.
struct PauseWrites {
  MonoTime until;
  bool operator==(const PauseWrites&) const = default;
};
struct ResumeWrites {
  bool operator==(const ResumeWrites&) const = default;
};

using Action = std::variant<BecomePrimary, ActUnder, BecomeReplica, BecomeStandalone, Fenced,
                            StopApplying, Demote, PauseWrites, ResumeWrites>;

// ---- in and out

// What the replication knows; the members of NodeState of the same names.
struct ReplicationFacts {
  std::string dataset;
  std::string history_id;
  uint64_t last_record_epoch = 0;
  uint64_t offset = 0;
  bool complete = false;
  bool loading = false;
  uint64_t keys = 0;
  control::LinkState link = control::LinkState::kNone;
  uint64_t link_silent_ms = 0;
  std::vector<control::ReplicaAck> acks;
  bool operator==(const ReplicationFacts&) const = default;
};

struct Outcome {
  bool accepted = true;  // carried out now, or already in force
  std::string reason;    // one sentence, if not accepted
  std::vector<Action> actions;
  // Acknowledge after Settled(transition); 0 = at once. May be set without actions: an order
  // repeated while its first copy is still being carried out.
  uint64_t transition = 0;
};

// A voter's answer to a lease request, and what it learned from it.
struct LeaseAnswer {
  std::optional<control::LeaseGrant> grant;  // none: says nothing
  std::string reason;  // why nothing is said; the channel leads to the wrong node
  std::vector<Action> actions;
  uint64_t transition = 0;
};

// Copyable, so that a search can try several ways on from one state.
class RoleMachine {
 public:
  RoleMachine(std::string pod_uid, control::Incarnation incarnation, RuleSet rules = {});

  // Facts first: orders are judged by the newest ones observed. Observe before OnOrder() and before
  // Settled(). True if something changed that a heartbeat should tell at once.
  bool Observe(const ReplicationFacts& facts, MonoTime now);

  Outcome OnOrder(const control::Order& order, MonoTime now);
  control::OrderAck Ack(const control::Order& order, const Outcome& outcome, MonoTime now) const;
  // The actions of `transition` have been carried out.
  void Settled(uint64_t transition, MonoTime now);

  // Primary: grants, and the number for a heartbeat or lease request that is about to be sent (any
  // role: the counter belongs to the incarnation).
  uint64_t NextRequest(MonoTime now) { return lease_.NextRequest(now); }
  void OnOperatorGrant(const control::Grant& grant);
  Outcome OnVoterAnswer(const control::NodeRef& voter, const control::LeaseGrant& grant,
                        MonoTime now);
  control::LeaseRequest BuildLeaseRequest(MonoTime now);

  // Voter: the lease request of a primary.
  LeaseAnswer OnLeaseRequest(const control::LeaseRequest& request, MonoTime now);

  // An epoch of this group was met in an authenticated handshake or answer; a higher one ends the
  // office.
  Outcome OnEpochMet(const std::string& group, uint64_t epoch, MonoTime now);

  // A pause that is over ends: at NextDeadline(), and where a switchover's target held writes, as soon as it may
  // acknowledge them. Call then, after grants and after Settled().
  std::vector<Action> Tick(MonoTime now);
  std::optional<MonoTime> NextDeadline() const;

  // Said in heartbeats.
  void OnPeerTraffic(MonoTime now) {
    peer_heard_ = now;
  }  // replica: something came on the peer channel
  void OnPrimaryOffset(uint64_t offset, MonoTime now);  // replica: from lease requests; for the lag
  void ReportEnded(
      const control::Incarnation& incarnation);  // its lifeline: FIN, then refused by RST
  void SetUnfit(bool unfit) { unfit_ = unfit; }
  void SetTerminating() { terminating_ = true; }

  control::NodeState State(MonoTime now) const;
  GateState Gate() const;

  // Replica: time since it last held everything that the primary was known to have; kForever-like
  // large if never. Zero for others.
  Duration Lag(MonoTime now) const;
  // Replica: when its primary's silence reaches detectionTimeout if nothing more comes; not after `now`:
  // it has. Never for others.
  MonoTime PrimarySilentAt(MonoTime now) const;
  // Has a role, can serve it, is fit, lags less than readers accept. `why` gets one sentence if
  // not.
  bool Ready(MonoTime now, std::string* why) const;
  // After SIGTERM: nobody waits for a switchover away from this node, or it is done.
  bool MayExit() const;

  // Of the ordered standing, for the wires.
  const control::Incarnation& incarnation() const { return incarnation_; }
  const std::string& pod_uid() const { return pod_uid_; }
  const std::string& group() const { return ordered_.group; }
  uint64_t epoch() const { return ordered_.epoch; }
  uint64_t role_epoch() const { return ordered_.role_epoch; }
  control::Role role() const { return ordered_.role; }
  bool in_office() const { return ordered_.InOffice(); }
  bool copy_only() const { return ordered_.copy_only; }
  const control::Configuration& configuration() const { return ordered_.configuration; }
  const std::string& replication_key() const { return ordered_.replication_key; }
  uint32_t detection_ms() const { return ordered_.detection_ms; }
  uint32_t reader_max_lag_ms() const { return ordered_.reader_max_lag_ms; }
  // Heartbeats: a primary every min(500 ms, T/3, detection/2), others every second.
  Duration HeartbeatInterval() const;
  // Lease requests: every min(T/4, detection/4).
  Duration LeaseRequestInterval() const;

 private:
  struct Standing {
    std::string group;
    uint64_t epoch = 0;
    control::Role role = control::Role::kUnassigned;
    uint64_t role_epoch = 0;
    bool demoted = false;
    bool stopped_applying = false;
    control::Configuration configuration;  // of the last role order
    bool copy_only = false;
    std::string replication_key;
    uint32_t detection_ms = 1000;
    uint32_t reader_max_lag_ms = 10000;
    bool InOffice() const {
      return role != control::Role::kUnassigned && role_epoch == epoch && !demoted;
    }
    bool PrimaryInOffice() const { return role == control::Role::kPrimary && InOffice(); }
  };
  struct Transition {
    uint64_t id = 0;
    bool changes_role = false;
    bool changes_configuration = false;
    Standing standing;
  };

  Outcome Refuse(std::string reason) const;
  Outcome Repeat() const;  // accepted, in force already
  Outcome Begin(std::vector<Action> actions, bool changes_role, bool changes_configuration);
  bool CheckAddress(const control::Order& order, std::string* reason) const;
  Outcome OnRole(const control::Order& order, MonoTime now);
  Outcome OnReplicaOrder(const control::Order& order, bool other_group, MonoTime now);
  Outcome OnPrimaryOrder(const control::Order& order, bool other_group, MonoTime now);
  Outcome OnStandaloneOrder(const control::Order& order, bool other_group, MonoTime now);
  Outcome OnFence(const control::Order& order, MonoTime now);
  Outcome OnOffsetQuestion(const control::Order& order, MonoTime now);
  Outcome OnPause(const control::Order& order, MonoTime now);
  Outcome OnResume(const control::Order& order);
  // Learns of a higher epoch: a primary in office is demoted. Appends to `actions`; true if the
  // role changed.
  bool RaiseEpoch(uint64_t epoch, std::vector<Action>* actions);
  void LeaveOffice();
  void EnterGroup(const control::Order& order, bool other_group);
  bool MayStart(const control::Order& order, std::string* reason) const;
  void BeginConfiguration(MonoTime now);  // primary: nothing of it has been acknowledged, nobody was waited for
  void UpdateAcknowledged();
  // Primary: fewer of its voters than S were heard of late, so that a write could only wait.
  bool LacksVoters(MonoTime now) const;
  void EndPause(std::vector<Action>* actions);
  Duration PrimarySilence(MonoTime now) const;

  std::string pod_uid_;
  control::Incarnation incarnation_;
  RuleSet rules_;

  Standing ordered_;
  Standing settled_;
  std::deque<Transition> transitions_;  // not settled yet, oldest first
  uint64_t last_transition_ = 0;

  WriteLease lease_;
  uint64_t generation_ = 1;  // of the office; grows when it ends, or when its voters are gone (lacks_voters_)
  MonoTime paused_until_;
  bool pause_awaits_office_ = false;  // begun as a switchover's target; a pause of the primary is another one
  std::optional<uint64_t> last_pause_id_;

  // Voter: its last grant in the newest epoch it knows, and the last one in any earlier epoch.
  MonoTime granted_;
  MonoTime granted_older_;

  // Primary: the offset when the configuration came into force, and the newest number acknowledged.
  std::optional<uint64_t> mark_;
  uint64_t acknowledged_ = 0;
  MonoTime configured_at_;  // when the configuration was ordered; whom it names may have to connect first
  bool lacks_voters_ = false;

  ReplicationFacts facts_;
  MonoTime peer_heard_;
  std::vector<control::Incarnation> ended_;
  bool unfit_ = false;
  bool terminating_ = false;

  // Replica: offsets that the primary was known to have and this node had not reached yet, oldest
  // first.
  struct PrimaryOffset {
    uint64_t offset = 0;
    MonoTime at;
  };
  std::deque<PrimaryOffset> behind_;
  MonoTime caught_up_;
};

}  // namespace understudy::role
