#include "node/role/role_machine.h"

#include <algorithm>
#include <utility>

#include "common/check.h"

namespace understudy::role {
namespace {

using control::Order;
using control::OrderKind;
using control::Role;

constexpr size_t kMaxEnded = 8;
constexpr size_t kMaxBehind = 256;
constexpr Duration kLongestPause = Seconds(60);
constexpr Duration kHeartbeat = Seconds(1);
constexpr Duration kPrimaryHeartbeat = Milliseconds(500);
// As Redis' min-replicas-max-lag; the operator gives a silent voter up after the same time.
constexpr Duration kAbsentVoter = Seconds(10);
constexpr Duration kShortestInterval = Milliseconds(10);
constexpr MonoTime kNever{};

std::string Quoted(const std::string& text) {
  return text.empty() ? "(none)" : text;
}

}  // namespace

RoleMachine::RoleMachine(std::string pod_uid, control::Incarnation incarnation, RuleSet rules)
    : pod_uid_(std::move(pod_uid)),
      incarnation_(std::move(incarnation)),
      rules_(rules),
      lease_(rules) {}

// ---- transitions

Outcome RoleMachine::Refuse(std::string reason) const {
  Outcome outcome;
  outcome.accepted = false;
  outcome.reason = std::move(reason);
  return outcome;
}

Outcome RoleMachine::Repeat() const {
  Outcome outcome;
  outcome.transition = transitions_.empty() ? 0 : transitions_.back().id;
  return outcome;
}

Outcome RoleMachine::Begin(std::vector<Action> actions, bool changes_role,
                           bool changes_configuration) {
  Outcome outcome;
  outcome.actions = std::move(actions);
  if (outcome.actions.empty() && transitions_.empty() && !changes_configuration) {
    settled_ = ordered_;
    return outcome;
  }
  transitions_.push_back({++last_transition_, changes_role, changes_configuration, ordered_});
  outcome.transition = last_transition_;
  return outcome;
}

void RoleMachine::Settled(uint64_t transition, MonoTime now) {
  (void)now;
  while (!transitions_.empty() && transitions_.front().id <= transition) {
    const Transition& done = transitions_.front();
    settled_ = done.standing;
    // The mark belongs to the newest configuration; an older one that settles late sets none.
    if (done.changes_configuration && done.standing.role_epoch == ordered_.role_epoch &&
        done.standing.configuration.number == ordered_.configuration.number)
      mark_ = facts_.offset;
    transitions_.pop_front();
  }
  UpdateAcknowledged();
}

void RoleMachine::UpdateAcknowledged() {
  if (!mark_.has_value() || !ordered_.PrimaryInOffice()) return;
  const control::Configuration& configuration = ordered_.configuration;
  if (acknowledged_ == configuration.number) return;
  const uint32_t needed = configuration.synchronous_replicas;
  if (needed == 0 || !rules_.on(Rule::kCatchUp) ||
      CountAcked(facts_.acks, configuration, *mark_, rules_) >= needed)
    acknowledged_ = configuration.number;
}

bool RoleMachine::RaiseEpoch(uint64_t epoch, std::vector<Action>* actions) {
  if (epoch > ordered_.epoch) {
    ordered_.epoch = epoch;
    granted_older_ = std::max(granted_older_, granted_);
    granted_ = kNever;
  }
  if (ordered_.role == Role::kPrimary && !ordered_.demoted) {
    ordered_.demoted = true;
    LeaveOffice();
    actions->push_back(Demote{epoch});
    return true;
  }
  if (ordered_.role == Role::kReplica) actions->push_back(Fenced{epoch});
  return false;
}

void RoleMachine::LeaveOffice() {
  ++generation_;
  lease_.Stop();
  paused_until_ = kNever;
  pause_awaits_office_ = false;
  mark_.reset();
}

// ---- facts

bool RoleMachine::LacksVoters(MonoTime now) const {
  const control::Configuration& configuration = ordered_.configuration;
  if (!ordered_.PrimaryInOffice() || now - configured_at_ < kAbsentVoter) return false;
  const auto present = std::count_if(
      configuration.voters.begin(), configuration.voters.end(), [&](const control::NodeRef& voter) {
        return std::any_of(facts_.acks.begin(), facts_.acks.end(), [&](const control::ReplicaAck& ack) {
          return ack.incarnation == voter.incarnation && Milliseconds(ack.silent_ms) < kAbsentVoter;
        });
      });
  return static_cast<uint32_t>(present) < configuration.synchronous_replicas;
}

bool RoleMachine::Observe(const ReplicationFacts& facts, MonoTime now) {
  const auto worth_telling = [](const ReplicationFacts& a, const ReplicationFacts& b) {
    if (a.complete != b.complete || a.loading != b.loading || a.link != b.link ||
        a.history_id != b.history_id || a.last_record_epoch != b.last_record_epoch ||
        a.dataset != b.dataset || a.acks.size() != b.acks.size())
      return true;
    for (size_t i = 0; i < a.acks.size(); ++i)
      if (a.acks[i].incarnation != b.acks[i].incarnation ||
          a.acks[i].in_sync != b.acks[i].in_sync ||
          a.acks[i].needs_full_copy != b.acks[i].needs_full_copy)
        return true;
    return false;
  };
  const uint64_t acknowledged = acknowledged_;
  const bool changed = worth_telling(facts_, facts);
  facts_ = facts;
  if (facts_.complete && facts_.link == control::LinkState::kUp)
    while (!behind_.empty() && facts_.offset >= behind_.front().offset) {
      caught_up_ = std::max(caught_up_, behind_.front().at);
      behind_.pop_front();
    }
  UpdateAcknowledged();
  const bool lacked = std::exchange(lacks_voters_, LacksVoters(now));
  // Who wrote while a voter was waited for is not left without an answer: its connection is closed.
  if (lacks_voters_ && !lacked) ++generation_;
  return changed || acknowledged_ != acknowledged || lacks_voters_ != lacked;
}

void RoleMachine::OnPrimaryOffset(uint64_t offset, MonoTime now) {
  if (facts_.complete && facts_.link == control::LinkState::kUp && facts_.offset >= offset) {
    behind_.clear();
    caught_up_ = now;
    return;
  }
  // Losing the oldest makes the lag look larger than it is, never smaller.
  if (behind_.size() >= kMaxBehind) behind_.pop_front();
  behind_.push_back({offset, now});
}

void RoleMachine::ReportEnded(const control::Incarnation& incarnation) {
  if (std::find(ended_.begin(), ended_.end(), incarnation) != ended_.end()) return;
  if (ended_.size() >= kMaxEnded) ended_.erase(ended_.begin());
  ended_.push_back(incarnation);
}

// ---- orders

bool RoleMachine::CheckAddress(const Order& order, std::string* reason) const {
  if (rules_.on(Rule::kOrderIncarnation) && order.incarnation != incarnation_) {
    *reason = "the order is for incarnation " + Quoted(order.incarnation) + "; this one is " +
              incarnation_;
    return false;
  }
  if (order.group.empty()) {
    *reason = "the order names no group";
    return false;
  }
  if (order.group == ordered_.group) {
    if (order.epoch >= ordered_.epoch) return true;
    *reason = "epoch " + std::to_string(order.epoch) + " is lower than " +
              std::to_string(ordered_.epoch) + ", the highest that this node has seen";
    return false;
  }
  if (order.kind == OrderKind::kRole) {
    if (order.leaves_group == ordered_.group && order.leaves_epoch == ordered_.epoch) return true;
    *reason = "the order is of group " + order.group + " and leaves group " +
              Quoted(order.leaves_group) + " at epoch " + std::to_string(order.leaves_epoch) +
              "; this node belongs to " + Quoted(ordered_.group) + " at epoch " +
              std::to_string(ordered_.epoch);
    return false;
  }
  if (ordered_.group.empty()) return true;
  *reason = "the order is of group " + order.group + "; this node belongs to " + ordered_.group;
  return false;
}

Outcome RoleMachine::OnOrder(const Order& order, MonoTime now) {
  std::string reason;
  if (!CheckAddress(order, &reason)) return Refuse(std::move(reason));
  switch (order.kind) {
    case OrderKind::kRole:
      return OnRole(order, now);
    case OrderKind::kFence:
    case OrderKind::kDemote:
      return OnFence(order, now);
    case OrderKind::kOffset:
      return OnOffsetQuestion(order, now);
    case OrderKind::kPause:
      return OnPause(order, now);
    case OrderKind::kResume:
      return OnResume(order);
    case OrderKind::kPoll:
      return {};  // at once, also while a transition runs
  }
  return Refuse("the order is of kind " + std::to_string(static_cast<int>(order.kind)) +
                ", which this version does not know");
}

control::OrderAck RoleMachine::Ack(const Order& order, const Outcome& outcome, MonoTime now) const {
  control::OrderAck ack;
  ack.id = order.id;
  ack.accepted = outcome.accepted;
  ack.reason = outcome.reason;
  ack.state = State(now);
  if (order.kind == OrderKind::kOffset && outcome.accepted && settled_.epoch == order.epoch)
    ack.state.nonce = order.nonce;
  return ack;
}

Outcome RoleMachine::OnRole(const Order& order, MonoTime now) {
  const bool other_group = order.group != ordered_.group;
  const uint64_t number = order.configuration.number;
  if (!other_group && ordered_.role_epoch == order.epoch && ordered_.role != Role::kUnassigned &&
      number <= ordered_.configuration.number && rules_.on(Rule::kConfigurationNumber)) {
    const bool same =
        order.role == ordered_.role && number == ordered_.configuration.number &&
        order.configuration.primary.incarnation == ordered_.configuration.primary.incarnation;
    if (same) return Repeat();
    return Refuse("configuration " + std::to_string(number) + " of epoch " +
                  std::to_string(order.epoch) + " is not larger than " +
                  std::to_string(ordered_.configuration.number) + ", which this " +
                  std::string(RoleName(ordered_.role)) + " acts under");
  }
  switch (order.role) {
    case Role::kReplica:
      return OnReplicaOrder(order, other_group, now);
    case Role::kPrimary:
      return OnPrimaryOrder(order, other_group, now);
    case Role::kStandalone:
      return OnStandaloneOrder(order, other_group, now);
    case Role::kUnassigned:
      break;
  }
  return Refuse("a role order names one of replica, primary, standalone");
}

void RoleMachine::EnterGroup(const Order& order, bool other_group) {
  const bool same_office =
      !other_group && ordered_.role == order.role && ordered_.role_epoch == order.epoch;
  if (other_group) {
    granted_ = granted_older_ = kNever;
    ordered_.group = order.group;
  } else if (order.epoch > ordered_.epoch) {
    granted_older_ = std::max(granted_older_, granted_);
    granted_ = kNever;
  }
  ordered_.epoch = ordered_.role_epoch = order.epoch;
  ordered_.role = order.role;
  ordered_.demoted = ordered_.stopped_applying = false;
  ordered_.configuration = order.configuration;
  ordered_.copy_only = order.role == Role::kReplica && order.copy_only;
  // The key belongs to the epoch: a further configuration of it need not repeat the key.
  if (!same_office || !order.replication_key.empty())
    ordered_.replication_key = order.replication_key;
  ordered_.detection_ms = order.detection_ms;
  ordered_.reader_max_lag_ms = order.reader_max_lag_ms;
}

Outcome RoleMachine::OnReplicaOrder(const Order& order, bool other_group, MonoTime now) {
  const control::NodeRef& primary = order.configuration.primary;
  if (primary.incarnation.empty() || primary.incarnation == incarnation_)
    return Refuse("a replica order names the incarnation of another node to follow; it named " +
                  Quoted(primary.incarnation));
  if (ordered_.PrimaryInOffice() && !other_group && ordered_.role_epoch == order.epoch)
    return Refuse("this node is the primary of epoch " + std::to_string(order.epoch) +
                  "; only a higher epoch makes it a replica");
  const bool stood_alone = ordered_.role == Role::kStandalone;
  if (stood_alone) {
    if (!other_group)
      return Refuse("a standalone node becomes the replica of a group, not of its own object");
    if (facts_.complete && !order.drop_data)
      return Refuse(
          "this standalone node holds a data set of its own, and the order does not allow to drop "
          "it");
  }
  // Keys may have come since the order was decided on: the permission is for one data set.
  const bool drops = stood_alone || (other_group && order.drop_data);
  if (drops && facts_.complete && facts_.keys > 0 && order.drop_dataset != facts_.dataset)
    return Refuse("this " + std::string(RoleName(ordered_.role)) + " node holds data set " +
                  facts_.dataset + "; the order allows to drop " + Quoted(order.drop_dataset));

  std::vector<Action> actions;
  const bool same_master =
      !other_group && ordered_.role == Role::kReplica && ordered_.role_epoch == order.epoch &&
      ordered_.configuration.primary == primary && ordered_.copy_only == order.copy_only;
  if (!same_master) {
    // Who wrote here must see that this is over: replies are withheld, connections closed.
    if (stood_alone || (ordered_.role == Role::kPrimary && !ordered_.demoted)) {
      LeaveOffice();
      actions.push_back(Demote{order.epoch});
    }
    EndPause(&actions);
    actions.push_back(BecomeReplica{order.group, order.epoch, primary, order.replication_key,
                                    order.copy_only, order.copy_epoch, order.drop_data,
                                    ordered_.role == Role::kUnassigned});
    behind_.clear();
    caught_up_ = kNever;
    peer_heard_ = now;  // it can't have been silent to a replica that did not listen yet
  }
  EnterGroup(order, other_group);
  return Begin(std::move(actions), !same_master, false);
}

void RoleMachine::BeginConfiguration(MonoTime now) {
  configured_at_ = now;
  lacks_voters_ = false;
  mark_.reset();
}

bool RoleMachine::MayStart(const Order& order, std::string* reason) const {
  if (facts_.complete || !order.fresh_dataset.empty()) return true;
  *reason =
      "this node holds no whole data set, and the order names no fresh one to start empty with";
  return false;
}

Outcome RoleMachine::OnPrimaryOrder(const Order& order, bool other_group, MonoTime now) {
  const control::Configuration& configuration = order.configuration;
  if (rules_.on(Rule::kOrderIncarnation) && configuration.primary.incarnation != incarnation_)
    return Refuse("the configuration names " + Quoted(configuration.primary.incarnation) +
                  " as its primary; this node is " + incarnation_);
  if (configuration.epoch != order.epoch)
    return Refuse("the configuration is of epoch " + std::to_string(configuration.epoch) +
                  ", the order of " + std::to_string(order.epoch));
  if (configuration.lease_ms == 0) return Refuse("a lease duration of 0 ms is not allowed");

  if (!other_group && ordered_.PrimaryInOffice() && ordered_.role_epoch == order.epoch) {
    // Reached with a number that is not larger only when the rule that refuses it is off.
    const control::Configuration& own = ordered_.configuration;
    if (configuration.number == own.number &&
        configuration.synchronous_replicas == own.synchronous_replicas &&
        configuration.lease_ms == own.lease_ms)
      return Repeat();
    EnterGroup(order, false);
    BeginConfiguration(now);
    lease_.Change(configuration);
    return Begin({ActUnder{configuration}}, false, true);
  }

  if (!other_group && ordered_.role == Role::kStandalone)
    return Refuse("a standalone node becomes the primary of a group, not of its own object");
  std::string reason;
  if (order.promotion && rules_.on(Rule::kOrderIncarnation)) {
    if (!facts_.complete)
      return Refuse("this node holds no whole data set, so it can't be promoted");
    if (facts_.offset < order.min_offset)
      return Refuse("this node holds the data up to offset " + std::to_string(facts_.offset) +
                    "; the promotion needs " + std::to_string(order.min_offset));
  } else if (!order.promotion && !MayStart(order, &reason)) {
    return Refuse(std::move(reason));
  }

  const bool start_empty = !order.promotion && !facts_.complete;
  EnterGroup(order, other_group);
  BeginConfiguration(now);
  lease_.Start(order.epoch, configuration);
  acknowledged_ = 0;
  behind_.clear();
  return Begin({BecomePrimary{order.group, order.epoch, configuration, order.replication_key,
                              start_empty, start_empty ? order.fresh_dataset : std::string()}},
               true, true);
}

Outcome RoleMachine::OnStandaloneOrder(const Order& order, bool other_group, MonoTime now) {
  (void)now;
  std::string reason;
  if (order.promotion && !facts_.complete)
    return Refuse("this node holds no whole data set, so it can't be promoted");
  if (!MayStart(order, &reason)) return Refuse(std::move(reason));
  if (!other_group && (ordered_.role == Role::kPrimary || ordered_.role == Role::kReplica))
    return Refuse(
        "a member of a group becomes standalone under its own object's UID, not under the group's");
  const bool start_empty = !facts_.complete;
  // Kept data gets a new id only when it parts from its group's (Promote).
  const bool parts = ordered_.role == Role::kReplica;
  const bool serves_already = ordered_.role == Role::kStandalone;
  if (ordered_.role == Role::kPrimary && !ordered_.demoted) {
    // It goes on serving its clients: nobody else is primary of what it holds.
    lease_.Stop();
    mark_.reset();
  }
  EnterGroup(order, other_group);
  if (serves_already && !other_group) return Begin({}, false, false);
  std::vector<Action> actions;
  EndPause(&actions);
  actions.push_back(BecomeStandalone{order.group, order.epoch, start_empty,
                                     start_empty || parts ? order.fresh_dataset : std::string()});
  return Begin(std::move(actions), true, false);
}

Outcome RoleMachine::OnFence(const Order& order, MonoTime now) {
  (void)now;
  if (ordered_.role == Role::kStandalone)
    return Refuse("a standalone node is in no group that could fence it");
  std::vector<Action> actions;
  bool changes_role = false;
  ordered_.group = order.group;
  if (order.epoch > ordered_.epoch) {
    changes_role = RaiseEpoch(order.epoch, &actions);
  } else if (!rules_.on(Rule::kEqualEpoch) && ordered_.PrimaryInOffice()) {
    changes_role = RaiseEpoch(order.epoch, &actions);
  } else {
    // The same epoch again, or a role order of it is in force: nothing changes.
    if (ordered_.role == Role::kUnassigned) return Begin({}, false, false);
    return Repeat();
  }
  return Begin(std::move(actions), changes_role, false);
}

Outcome RoleMachine::OnOffsetQuestion(const Order& order, MonoTime now) {
  Outcome outcome = OnFence(order, now);
  if (!outcome.accepted) return outcome;
  if (ordered_.PrimaryInOffice())
    return Refuse("this node is the primary of epoch " + std::to_string(order.epoch) +
                  "; it is asked only under a higher one");
  const bool must_stop = ordered_.role == Role::kReplica && !ordered_.stopped_applying &&
                         rules_.on(Rule::kFreshRead) &&
                         (ordered_.role_epoch < order.epoch || !rules_.on(Rule::kEqualEpoch));
  if (!must_stop) return outcome;
  ordered_.stopped_applying = true;
  Outcome stop = Begin({StopApplying{order.epoch}}, false, false);
  outcome.actions.insert(outcome.actions.end(), stop.actions.begin(), stop.actions.end());
  outcome.transition = stop.transition;
  return outcome;
}

Outcome RoleMachine::OnPause(const Order& order, MonoTime now) {
  const bool primary = ordered_.PrimaryInOffice();
  const bool replica = ordered_.role == Role::kReplica && !ordered_.copy_only;
  if (!(primary || replica) || ordered_.role_epoch != order.epoch)
    return Refuse("only the primary of epoch " + std::to_string(order.epoch) +
                  " and its replicas can pause writes; this node is neither");
  // A pause that is repeated, or late, does not lengthen the one that runs: the budget is the
  // node's promise.
  const bool runs = now < paused_until_ && pause_awaits_office_ == !primary;
  if (last_pause_id_ == order.id || runs) return Repeat();
  last_pause_id_ = order.id;
  pause_awaits_office_ = !primary;
  paused_until_ = now + std::min(Milliseconds(order.budget_ms), kLongestPause);
  Outcome outcome = Repeat();
  outcome.actions.push_back(PauseWrites{paused_until_});
  return outcome;
}

Outcome RoleMachine::OnResume(const Order& order) {
  const bool primary = ordered_.PrimaryInOffice();
  if (!(primary || ordered_.role == Role::kReplica) || ordered_.role_epoch != order.epoch)
    return Refuse("only the primary of epoch " + std::to_string(order.epoch) +
                  " and its replicas can resume writes; this node is neither");
  Outcome outcome = Repeat();
  // What waits for the office that this node has now goes on with its lease, and not before.
  if (!(primary && pause_awaits_office_)) EndPause(&outcome.actions);
  return outcome;
}

void RoleMachine::EndPause(std::vector<Action>* actions) {
  pause_awaits_office_ = false;
  if (paused_until_ == kNever) return;
  paused_until_ = kNever;
  actions->push_back(ResumeWrites{});
}

// ---- leases, epochs

void RoleMachine::OnOperatorGrant(const control::Grant& grant) {
  lease_.OnOperatorGrant(grant.seq, grant.epoch);
}

Outcome RoleMachine::OnVoterAnswer(const control::NodeRef& voter, const control::LeaseGrant& grant,
                                   MonoTime now) {
  if (!grant.granted) return OnEpochMet(ordered_.group, grant.epoch, now);
  lease_.OnVoterGrant(voter, grant.seq, grant.epoch);
  return {};
}

control::LeaseRequest RoleMachine::BuildLeaseRequest(MonoTime now) {
  control::LeaseRequest request;
  request.seq = lease_.NextRequest(now);
  request.epoch = ordered_.role_epoch;
  request.incarnation = incarnation_;
  request.offset = facts_.offset;
  return request;
}

LeaseAnswer RoleMachine::OnLeaseRequest(const control::LeaseRequest& request, MonoTime now) {
  LeaseAnswer answer;
  if (ordered_.role != Role::kReplica) {
    answer.reason = "this node is no replica";
    return answer;
  }
  if (request.incarnation != ordered_.configuration.primary.incarnation) {
    answer.reason = "the request comes from incarnation " + Quoted(request.incarnation) +
                    "; this replica follows " + ordered_.configuration.primary.incarnation;
    return answer;
  }
  if (ordered_.copy_only) {
    answer.reason = "this replica only copies data; it is nobody's voter";
    return answer;
  }
  if (request.epoch < ordered_.epoch) {
    answer.grant = control::LeaseGrant{request.seq, ordered_.epoch, false};
    return answer;
  }
  if (request.epoch > ordered_.epoch) {
    std::vector<Action> actions;
    RaiseEpoch(request.epoch, &actions);
    Outcome outcome = Begin(std::move(actions), false, false);
    answer.actions = std::move(outcome.actions);
    answer.transition = outcome.transition;
  }
  granted_ = now;
  answer.grant = control::LeaseGrant{request.seq, request.epoch, true};
  return answer;
}

Outcome RoleMachine::OnEpochMet(const std::string& group, uint64_t epoch, MonoTime now) {
  (void)now;
  if (group != ordered_.group || epoch <= ordered_.epoch || ordered_.role == Role::kUnassigned ||
      ordered_.role == Role::kStandalone)
    return Repeat();
  std::vector<Action> actions;
  const bool changes_role = RaiseEpoch(epoch, &actions);
  return Begin(std::move(actions), changes_role, false);
}

// ---- time

std::vector<Action> RoleMachine::Tick(MonoTime now) {
  if (paused_until_ == kNever) return {};
  const GateState gate = Gate();
  const bool serves = gate.mode == GateState::Mode::kPrimary && now < gate.lease_until;
  if (now < paused_until_ && !(pause_awaits_office_ && serves)) return {};
  std::vector<Action> actions;
  EndPause(&actions);
  return actions;
}

std::optional<MonoTime> RoleMachine::NextDeadline() const {
  if (paused_until_ == kNever) return std::nullopt;
  return paused_until_;
}

Duration RoleMachine::HeartbeatInterval() const {
  if (!ordered_.PrimaryInOffice()) return kHeartbeat;
  const Duration interval =
      std::min({kPrimaryHeartbeat, Milliseconds(ordered_.configuration.lease_ms) * (1.0 / 3),
                Milliseconds(ordered_.detection_ms) * 0.5});
  return std::max(interval, kShortestInterval);
}

Duration RoleMachine::LeaseRequestInterval() const {
  const Duration interval = std::min(Milliseconds(ordered_.configuration.lease_ms) * 0.25,
                                     Milliseconds(ordered_.detection_ms) * 0.25);
  return std::max(interval, kShortestInterval);
}

}  // namespace understudy::role
