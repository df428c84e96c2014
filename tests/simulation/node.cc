#include "tests/simulation/node.h"

#include <algorithm>
#include <limits>

#include "common/overloaded.h"
#include "tests/simulation/world.h"

namespace understudy::simulation {

using control::LinkState;
using control::Role;

namespace {

constexpr size_t kBacklog = 30;  // records that a partial resynchronisation may bridge
constexpr int64_t kPullEvery_us = 250 * kMs;
constexpr int64_t kLinkDown_ms = 1000;  // nothing heard for so long: the link is down
constexpr int64_t kSubscription_us = 2500 * kMs;

}  // namespace

NodeProcess::NodeProcess(World& world, std::string name_in, std::string pod_uid_in,
                         std::string incarnation_in)
    : name(std::move(name_in)),
      pod_uid(std::move(pod_uid_in)),
      incarnation(std::move(incarnation_in)),
      world_(world),
      machine_(pod_uid, incarnation, world.options().rules.node) {
  location = name;
  rate = world.RateOf(name);
}

MonoTime NodeProcess::Now() const {
  return Clock(world_.now_us());
}

control::NodeRef NodeProcess::Ref() const {
  return {name, pod_uid, incarnation, "", "10.0.0.1"};
}

bool NodeProcess::MayAcknowledge() const {
  const role::GateState gate = machine_.Gate();
  return gate.mode == role::GateState::Mode::kPrimary && Now() < gate.lease_until;
}

bool NodeProcess::LinkedTo(const std::string& primary) const {
  return machine_.role() == Role::kReplica && follows_ == primary && complete &&
         Now() - heard_ < Milliseconds(2000);
}

void NodeProcess::StartTimers() {
  world_.At(world_.dice().Below(250) * kMs, *this, [this] { Tick(); });
  world_.At(world_.dice().Below(250) * kMs, *this, [this] { LeaseTick(); });
}

void NodeProcess::Establish(const control::Configuration& configuration, const std::string& group) {
  log = {{1, 0}};
  complete = true;
  dataset = "d0";
  Observe();
  control::Order order;
  order.kind = control::OrderKind::kRole;
  order.group = group;
  order.epoch = 1;
  order.incarnation = incarnation;
  order.configuration = configuration;
  order.detection_ms = 1500;
  order.role = configuration.primary.incarnation == incarnation ? Role::kPrimary : Role::kReplica;
  const role::Outcome outcome = machine_.OnOrder(order, Now());
  Finish(outcome.actions, outcome.transition);
  if (order.role == Role::kPrimary)
    log = {{1, 0}};  // the record of epoch 1 is the one they all hold
  Observe();
}

// -- facts and actions
// ----------------------------------------------------------------------------------

role::ReplicationFacts NodeProcess::Facts() const {
  role::ReplicationFacts f;
  f.dataset = dataset;
  f.last_record_epoch = log.empty() ? 0 : log.back().epoch;
  f.history_id = std::to_string(f.last_record_epoch);
  f.offset = log.size();
  f.complete = complete;
  f.loading = load_.has_value();
  f.keys = log.size();
  if (machine_.role() == Role::kReplica) {
    const int64_t silent_ms = std::min<int64_t>((Now() - heard_).ms(), 1'000'000'000);
    f.link = silent_ms < kLinkDown_ms ? (load_ ? LinkState::kSyncing : LinkState::kUp)
                                      : LinkState::kConnecting;
    f.link_silent_ms = static_cast<uint64_t>(silent_ms);
  }
  const int64_t now_us = world_.now_us();
  size_t second_ago = 0;
  for (const auto& [at, offset] : offsets_) {
    if (at <= now_us - 1000 * kMs) second_ago = offset;
  }
  for (const auto& [who, subscriber] : subscribers_) {
    control::ReplicaAck ack;
    ack.incarnation = who;
    auto at = acks_.find(who);
    ack.offset = at == acks_.end() ? 0 : at->second;
    const bool linked = now_us - subscriber.at_us < kLinkDown_ms * kMs;
    ack.in_sync = at != acks_.end() && linked && ack.offset >= second_ago && ack.offset > 0;
    ack.needs_full_copy = need_full_.contains(who);
    ack.silent_ms = static_cast<uint64_t>((now_us - subscriber.at_us) / kMs);
    f.acks.push_back(std::move(ack));
  }
  for (const std::string& who : need_full_) {
    if (!subscribers_.contains(who)) f.acks.push_back({who, 0, false, true, 0});
  }
  return f;
}

void NodeProcess::Observe() {
  if (machine_.Observe(Facts(), Now()) && world_.now_us() > 0) Beat();
}

void NodeProcess::Finish(const std::vector<role::Action>& actions, uint64_t transition) {
  gate_.Publish(machine_.Gate());
  Perform(actions);
  machine_.Observe(Facts(), Now());
  if (transition != 0) machine_.Settled(transition, Now());
  gate_.Publish(machine_.Gate());
}

void NodeProcess::Lowered(uint32_t synchronous_replicas) {
  if (synchronous_replicas < synchronous_replicas_) world_.Lowered(synchronous_replicas);
  synchronous_replicas_ = synchronous_replicas;
}

void NodeProcess::Perform(const std::vector<role::Action>& actions) {
  for (const role::Action& action : actions) {
    std::visit(Overloaded{
                   [&](const role::BecomePrimary& a) {
                     if (a.start_empty) {
                       log.clear();
                       dataset = a.dataset;
                     }
                     if (world_.now_us() > 0) world_.Promoted(*this, a.epoch);
                     complete = true;
                     deposed = stopped_applying_ = false;
                     load_.reset();
                     log.push_back({static_cast<uint32_t>(a.epoch), 0});
                     acks_.clear();
                     ack_heard_us_.clear();
                     subscribers_.clear();
                     need_full_.clear();
                     waiting_.clear();
                     offsets_.clear();
                     offsets_.push_back({world_.now_us(), log.size()});
                     // The first configuration of an office may be the first that is acted on with
                     // a lower S.
                     world_.Lowered(synchronous_replicas_ = a.configuration.synchronous_replicas);
                     world_.Trace(name + " " + incarnation + " is primary of epoch " +
                                  std::to_string(a.epoch) + ", configuration " +
                                  std::to_string(a.configuration.number) + ", offset " +
                                  std::to_string(log.size()));
                   },
                   [&](const role::ActUnder& a) {
                     Lowered(a.configuration.synchronous_replicas);
                     world_.Trace(name + " " + incarnation + " acts under configuration " +
                                  std::to_string(a.configuration.number) +
                                  ", R=" + std::to_string(a.configuration.voters.size()) +
                                  " S=" + std::to_string(a.configuration.synchronous_replicas));
                   },
                   [&](const role::BecomeReplica& a) {
                     follows_ = a.primary.incarnation;
                     heard_ = {};
                     link_epoch_ = 0;
                     stopped_applying_ = false;
                     copy_only_ = a.copy_only;
                     copy_epoch_ = a.copy_epoch;
                     load_.reset();
                     rx_ = tx_ + 1;
                     waiting_.clear();
                     told_silent_ = false;
                     world_.Trace(name + " " + incarnation + " follows " + follows_ + " in epoch " +
                                  std::to_string(a.epoch));
                   },
                   [&](const role::BecomeStandalone&) {},
                   [&](const role::Fenced&) {},
                   [&](const role::StopApplying&) {
                     stopped_applying_ = true;
                     load_.reset();  // what it dropped for that load stays dropped
                   },
                   [&](const role::Demote& a) {
                     waiting_.clear();
                     deposed = true;
                     world_.Demoted(*this);
                     world_.Trace(name + " " + incarnation + " demoted at epoch " +
                                  std::to_string(a.epoch) + ", offset " +
                                  std::to_string(log.size()));
                   },
                   [&](const role::PauseWrites&) {},
                   [&](const role::ResumeWrites&) {},
               },
               action);
  }
}

// -- operators
// ------------------------------------------------------------------------------------------

void NodeProcess::Beat() {
  last_beat_us_ = world_.now_us();
  const uint64_t seq = machine_.NextRequest(Now());
  const uint64_t order = world_.NewNumber();
  for (OperatorProcess* op : operators) {
    world_.Send(*this, *op, "info",
                [op, this, s = State(), order, seq] { op->OnWords(this, s, order, seq); });
  }
}

void NodeProcess::OnConnect(OperatorProcess* from, MonoTime begun) {
  if (std::find(operators.begin(), operators.end(), from) == operators.end())
    operators.push_back(from);
  machine_.Observe(Facts(), Now());
  world_.Send(*this, *from, "info", [from, this, s = State(), order = world_.NewNumber(), begun] {
    from->OnHello(this, s, order, begun);
  });
}

void NodeProcess::OnOrder(OperatorProcess* from, control::Order order) {
  machine_.Observe(Facts(), Now());
  const role::Outcome outcome = machine_.OnOrder(order, Now());
  Finish(outcome.actions, outcome.transition);
  const control::OrderAck ack = machine_.Ack(order, outcome, Now());
  if (!ack.accepted) world_.Trace(name + " " + incarnation + " refuses: " + ack.reason);
  world_.Send(*this, *from, "info", [from, this, s = ack.state, number = world_.NewNumber()] {
    from->OnWords(this, s, number, 0);
  });
  if (outcome.transition != 0) Beat();
  if (machine_.role() == Role::kReplica && outcome.transition != 0) SendPull();
  Flush();
}

void NodeProcess::OnOperatorGrant(const control::Grant& grant) {
  machine_.OnOperatorGrant(grant);
  gate_.Publish(machine_.Gate());
}

void NodeProcess::SetUnfit(bool unfit) {
  machine_.SetUnfit(unfit);
  Beat();
}

void NodeProcess::SetTerminating() {
  machine_.SetTerminating();
  Beat();
}

// -- time
// -----------------------------------------------------------------------------------------------

void NodeProcess::Tick() {
  world_.At(static_cast<int64_t>(kPullEvery_us / rate), *this, [this] { Tick(); });
  Finish(machine_.Tick(Now()), 0);
  Observe();
  const int64_t since_us = world_.now_us() - last_beat_us_;
  const bool silent = machine_.role() == Role::kReplica && Now() - heard_ >= Milliseconds(1500);
  if (since_us >= machine_.HeartbeatInterval().us() - kPullEvery_us / 2 ||
      (silent && !told_silent_))
    Beat();
  told_silent_ = silent;
  if (machine_.role() == Role::kReplica) SendPull();
}

void NodeProcess::LeaseTick() {
  world_.At(static_cast<int64_t>(static_cast<double>(machine_.LeaseRequestInterval().us()) / rate),
            *this, [this] { LeaseTick(); });
  if (!ActsAsPrimary()) return;
  for (const auto& [who, subscriber] : subscribers_) {
    if (world_.now_us() - subscriber.at_us <= kSubscription_us) AskLease(world_.Process(who));
  }
}

void NodeProcess::AskLease(NodeProcess* voter) {
  world_.Send(*this, *voter, "greq", [voter, this, request = machine_.BuildLeaseRequest(Now())] {
    voter->OnLeaseRequest(this, request);
  });
}

// -- leases
// ---------------------------------------------------------------------------------------------

void NodeProcess::OnLeaseRequest(NodeProcess* from, const control::LeaseRequest& request) {
  const role::LeaseAnswer answer = machine_.OnLeaseRequest(request, Now());
  machine_.OnPeerTraffic(Now());
  Finish(answer.actions, answer.transition);
  if (!answer.grant) return;
  world_.Send(*this, *from, answer.grant->granted ? "grant" : "nack",
              [from, this, g = *answer.grant] { from->OnLeaseAnswer(this, g); });
}

void NodeProcess::OnLeaseAnswer(NodeProcess* from, const control::LeaseGrant& grant) {
  const role::Outcome outcome = machine_.OnVoterAnswer(from->Ref(), grant, Now());
  Finish(outcome.actions, outcome.transition);
  if (outcome.transition != 0) Beat();
}

// -- writes
// ---------------------------------------------------------------------------------------------

void NodeProcess::OnClientWrite() {
  const uint64_t generation = gate_.generation();
  if (gate_.Check(true, Now()) != role::Admission::kServe) return;
  const Record previous = log.empty() ? Record{} : log.back();
  log.push_back({static_cast<uint32_t>(machine_.role_epoch()), world_.NewWrite()});
  offsets_.push_back({world_.now_us(), log.size()});
  while (offsets_.size() > 1 && offsets_[1].first <= world_.now_us() - 1000 * kMs)
    offsets_.pop_front();
  waiting_.push_back({log.size(), log.back().write, generation});
  for (const auto& [who, subscriber] : subscribers_) {
    if (world_.now_us() - subscriber.at_us > kSubscription_us) continue;
    NodeProcess* to = world_.Process(who);
    world_.Send(*this, *to, "data",
                [to, self = incarnation, tx = subscriber.tx, n = log.size() - 1, previous,
                 r = log.back()] { to->OnData(self, tx, n, previous, {r}); });
  }
  world_.At(world_.dice().Below(3) * kMs, *this, [this] { Flush(); });
}

void NodeProcess::Flush() {
  if (waiting_.empty()) return;
  uint64_t synced = std::numeric_limits<uint64_t>::max();
  if (gate_.synchronous_replicas() > 0) {
    synced = role::SyncOffset(Facts().acks, machine_.configuration(), world_.options().rules.node);
  }
  while (!waiting_.empty() && waiting_.front().offset <= synced) {
    if (!gate_.MayFlush(waiting_.front().generation, Now())) {  // closes its connections instead
      waiting_.clear();
      return;
    }
    world_.Acknowledged(*this, waiting_.front().offset, waiting_.front().write);
    waiting_.pop_front();
  }
}

// -- replication
// ----------------------------------------------------------------------------------------

bool NodeProcess::Prefix(size_t offset, Record last) const {
  return offset <= log.size() && (offset == 0 || log[offset - 1] == last);
}

void NodeProcess::SendPull() {  // handshake, request for data and acknowledgement in one
  NodeProcess* to = world_.Process(follows_);
  if (to == nullptr || stopped_applying_) return;
  if (Now() - heard_ >= Milliseconds(kLinkDown_ms))
    link_epoch_ = machine_.epoch();  // a new link shows it
  ++tx_;
  const Pull pull{this,
                  copy_only_ ? copy_epoch_ : link_epoch_,
                  tx_,
                  log.size(),
                  log.empty() ? Record{} : log.back(),
                  complete && !load_,
                  copy_only_,
                  dataset};
  world_.Send(*this, *to, "pull", [to, pull] { to->OnPull(pull); });
}

void NodeProcess::OnPull(const Pull& pull) {
  const role::Outcome met = machine_.OnEpochMet("group", pull.epoch, Now());
  Finish(met.actions, met.transition);
  if (met.transition != 0) Beat();
  if (machine_.role() == Role::kPrimary && ActsAsPrimary() && pull.epoch < machine_.role_epoch())
    return;
  // As in the real handshake, whose proof is made with the key of one epoch.
  if (pull.copy && pull.epoch != machine_.role_epoch()) return;
  role::CopySource source;
  source.role = machine_.role();
  source.in_office = machine_.in_office();
  source.complete = complete;
  source.loading = load_.has_value();
  source.configuration = &machine_.configuration();
  if (!role::MayServeReplication(source, pull.copy)) return;
  NodeProcess* to = pull.from;
  if (pull.complete && pull.dataset == dataset && Prefix(pull.offset, pull.last) &&
      log.size() - pull.offset <= kBacklog) {
    need_full_.erase(to->incarnation);
    if (machine_.role() == Role::kPrimary || !pull.copy) {
      size_t& ack = acks_[to->incarnation];
      ack = std::max(ack, pull.offset);
      const bool fresh = !subscribers_.contains(to->incarnation);
      Subscriber& s = subscribers_[to->incarnation];
      s = {world_.now_us(), std::max(s.tx, pull.tx)};
      if (fresh && ActsAsPrimary()) AskLease(to);
    }
    const Log tail(log.begin() + static_cast<ptrdiff_t>(pull.offset), log.end());
    world_.Send(*this, *to, "data", [to, self = incarnation, pull, tail] {
      to->OnData(self, pull.tx, pull.offset, pull.last, tail);
    });
    Observe();
    Flush();
    return;
  }
  switch (role::AnswerFullCopy(source, to->Ref(), pull.copy, world_.options().rules.node)) {
    case role::CopyAnswer::kRefuse:
      return;
    case role::CopyAnswer::kLeaveVotersFirst:
      need_full_.insert(to->incarnation);
      Observe();
      world_.Send(*this, *to, "data",
                  [to, self = incarnation, tx = pull.tx] { to->OnData(self, tx, 0, {}, {}); });
      return;
    case role::CopyAnswer::kReplace:
    case role::CopyAnswer::kBeside:
      break;
  }
  const bool beside =
      role::AnswerFullCopy(source, to->Ref(), pull.copy, world_.options().rules.node) ==
      role::CopyAnswer::kBeside;
  acks_.erase(to->incarnation);
  need_full_.erase(to->incarnation);
  world_.Send(*this, *to, "full",
              [to, self = incarnation, tx = pull.tx, data = log, d = dataset, beside] {
                to->OnFull(self, tx, data, d, beside);
              });
}

void NodeProcess::OnData(const std::string& primary, uint64_t tx, size_t from, Record previous,
                         const Log& records) {
  if (machine_.role() != Role::kReplica || primary != follows_ || stopped_applying_ || tx < rx_)
    return;
  heard_ = Now();
  rx_ = tx;
  const size_t have = log.size();
  bool applied = false;
  if (!load_ && !records.empty() && complete && Prefix(from, previous)) {
    const size_t overlap = have - from;
    if (overlap < records.size() && (overlap == 0 || log.back() == records[overlap - 1])) {
      log.insert(log.end(), records.begin() + static_cast<ptrdiff_t>(overlap), records.end());
      applied = true;
    }
  }
  Observe();
  if (applied) SendPull();
}

void NodeProcess::OnFull(const std::string& primary, uint64_t tx, const Log& data,
                         const std::string& of, bool beside) {
  if (machine_.role() != Role::kReplica || primary != follows_ || stopped_applying_ || load_ ||
      tx <= rx_)
    return;
  if (!copy_only_ &&
      !role::MayStartLoading(machine_.epoch(), machine_.role_epoch(), world_.options().rules.node))
    return;
  heard_ = Now();
  load_ = Load{world_.NewNumber(), data, of};
  rx_ = tx_;  // answers to older requests are void
  if (!beside) {
    world_.Dropped(*this);
    log.assign(data.begin(), data.begin() + static_cast<ptrdiff_t>(data.size() / 2));
    complete = false;
  }
  Observe();
  world_.At((100 + world_.dice().Below(800)) * kMs, *this,
            [this, id = load_->id] { OnLoaded(id); });
}

void NodeProcess::OnLoaded(uint64_t id) {
  if (!load_ || load_->id != id) return;
  log = std::move(load_->data);
  dataset = load_->dataset;
  complete = true;
  deposed = false;
  load_.reset();
  rx_ = tx_ + 1;
  heard_ = Now();
  Observe();
  SendPull();
}

// -- lifelines
// ------------------------------------------------------------------------------------------

void NodeProcess::OnLifelineEnd(NodeProcess* of) {
  if (follows_ != of->incarnation) return;
  heard_ = {};
  load_.reset();  // a copy that was under way is cut short
  Observe();
  TryConnect(of, 10);
}

void NodeProcess::TryConnect(NodeProcess* to, int attempts) {
  if (attempts == 0) return;
  const Pod* pod = world_.PodByUid(to->pod_uid);
  const bool refused = pod->process == to && !to->alive;
  if (world_.Blocked(*this, *to) || world_.Blocked(*to, *this)) {
    world_.At(200 * kMs, *this, [this, to, attempts] { TryConnect(to, attempts - 1); });
    return;
  }
  if (!refused) return;  // somebody answers there: its successor
  world_.At(2 * kMs, *this, [this, to] {
    machine_.ReportEnded(to->incarnation);
    Beat();
  });
}

}  // namespace understudy::simulation
