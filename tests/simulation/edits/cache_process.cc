#include "tests/simulation/edits/cache_process.h"

#include <algorithm>

#include "common/check.h"
#include "common/overloaded.h"
#include "tests/simulation/edits/simulation.h"

namespace understudy::edits {

using control::LinkState;
using control::Role;

namespace {

constexpr Duration kLinkDown = Milliseconds(1000);
constexpr Duration kSubscription = Milliseconds(2500);
constexpr uint32_t kCopyTicks = 4;
constexpr uint64_t kBacklog = 60;  // records that a partial resynchronisation may bridge

}  // namespace

CacheProcess::CacheProcess(Simulation& simulation, std::string name_in, std::string pod_uid_in,
                           std::string incarnation_in, std::string host_in,
                           const std::vector<std::string>& arguments, bool written_to_in)
    : name(std::move(name_in)),
      pod_uid(std::move(pod_uid_in)),
      incarnation(std::move(incarnation_in)),
      host(std::move(host_in)),
      written_to(written_to_in),
      simulation_(simulation),
      machine_(pod_uid, incarnation),
      declaration_(config_, arguments) {
  CHECK(config_.Load(arguments).ok());
}

uint64_t CacheProcess::Keys() const { return writes_.size(); }

void CacheProcess::SetLog(Log log) {
  log_ = std::move(log);
  writes_.clear();
  for (const Record& record : log_) {
    if (record.write) writes_.insert(record.number);
  }
}

void CacheProcess::Append(Record record) {
  if (record.write) writes_.insert(record.number);
  log_.push_back(record);
}

bool CacheProcess::MayAcknowledge(MonoTime now) const {
  if (!alive || stopped) return false;
  const role::GateState gate = machine_.Gate();
  if (gate.loading || now < gate.paused_until) return false;
  if (gate.mode == role::GateState::Mode::kStandalone) return true;
  return gate.mode == role::GateState::Mode::kPrimary && now < gate.lease_until;
}

bool CacheProcess::Follows(const CacheProcess& primary) const {
  return machine_.role() == Role::kReplica && follows_.incarnation == primary.incarnation && complete_ && !load_ &&
         dataset_ == primary.dataset_;
}

// ---- facts and actions

role::ReplicationFacts CacheProcess::Facts(MonoTime now) const {
  role::ReplicationFacts facts;
  facts.dataset = dataset_;
  facts.last_record_epoch = log_.empty() ? 0 : log_.back().epoch;
  facts.history_id = std::to_string(facts.last_record_epoch);
  facts.offset = log_.size();
  facts.complete = complete_;
  facts.loading = load_.has_value();
  facts.keys = Keys();
  if (machine_.role() == Role::kReplica) {
    const Duration silent = std::min(now - heard_, Seconds(1'000'000));
    facts.link = silent >= kLinkDown ? LinkState::kConnecting : load_ ? LinkState::kSyncing : LinkState::kUp;
    facts.link_silent_ms = static_cast<uint64_t>(silent.ms());
  }
  for (const auto& [who, subscriber] : subscribers_) {
    control::ReplicaAck ack;
    ack.incarnation = who;
    ack.offset = subscriber.offset;
    const bool linked = now - subscriber.at < kLinkDown;
    // A tick's writes may be under way.
    ack.in_sync = linked && subscriber.offset > 0 && subscriber.offset + 2 >= log_.size();
    ack.needs_full_copy = subscriber.needs_full_copy;
    ack.silent_ms = static_cast<uint64_t>((now - subscriber.at).ms());
    facts.acks.push_back(std::move(ack));
  }
  return facts;
}

void CacheProcess::Finish(const std::vector<role::Action>& actions, uint64_t transition, MonoTime now) {
  gate_.Publish(machine_.Gate());
  for (const role::Action& action : actions) Perform(action, now);
  machine_.Observe(Facts(now), now);
  if (transition != 0) machine_.Settled(transition, now);
  gate_.Publish(machine_.Gate());
}

void CacheProcess::Perform(const role::Action& action, MonoTime now) {
  Checks& checks = simulation_.checks();
  std::visit(
      Overloaded{
          [&](const role::BecomePrimary& a) {
            if (a.start_empty) {
              checks.StartsEmpty(*this);
              SetLog({});
              dataset_ = a.dataset;
            }
            checks.BecomesPrimary(*this, a.group, a.epoch, a.configuration);
            complete_ = true;
            stopped_applying_ = false;
            load_.reset();
            Append({a.epoch, simulation_.NewNumber(), false});
            subscribers_.clear();
            waiting_.clear();
            simulation_.Trace(name + " " + incarnation + " is primary of " + a.group + " epoch " +
                              std::to_string(a.epoch) + ", " + std::to_string(a.configuration.voters.size()) + " voters" +
                              (a.start_empty ? ", starts empty" : ""));
          },
          [&](const role::ActUnder& a) { checks.ActsUnder(*this, a.configuration); },
          [&](const role::BecomeReplica& a) {
            checks.BecomesReplica(*this, a);
            follows_ = a.primary;
            heard_ = {};
            copy_only_ = a.copy_only;
            if (a.drop_data && complete_) {
              SetLog({});
              dataset_.clear();
              complete_ = false;
            }
            stopped_applying_ = false;
            load_.reset();
            waiting_.clear();
            subscribers_.clear();
            simulation_.Trace(name + " " + incarnation + " follows " + a.primary.name + " in " + a.group + " epoch " +
                              std::to_string(a.epoch) + (a.drop_data ? ", may drop its data" : ""));
          },
          [&](const role::BecomeStandalone& a) {
            if (a.start_empty) {
              checks.StartsEmpty(*this);
              SetLog({});
            }
            checks.BecomesStandalone(*this, a.group);
            checks.Parted(dataset_, a.dataset);
            if (!a.dataset.empty()) dataset_ = a.dataset;
            complete_ = true;
            load_.reset();
            subscribers_.clear();
            waiting_.clear();
            simulation_.Trace(name + " " + incarnation + " stands alone, data set " + dataset_.substr(0, 6) + ", " +
                              std::to_string(Keys()) + " keys");
          },
          [&](const role::Fenced&) {},
          [&](const role::StopApplying&) {
            stopped_applying_ = true;
            load_.reset();
          },
          [&](const role::Demote& a) {
            waiting_.clear();
            checks.Deposed(*this);
            simulation_.Trace(name + " " + incarnation + " demoted at epoch " + std::to_string(a.epoch));
          },
          [&](const role::PauseWrites&) {},
          [&](const role::ResumeWrites&) {},
      },
      action);
  (void)now;
}

// ---- operator

control::NodeState CacheProcess::OnOrder(const control::Order& order, MonoTime now) {
  machine_.Observe(Facts(now), now);
  const role::Outcome outcome = machine_.OnOrder(order, now);
  if (outcome.accepted) simulation_.checks().Obeys(*this, order);
  Finish(outcome.actions, outcome.transition, now);
  const control::OrderAck ack = machine_.Ack(order, outcome, now);
  if (!ack.accepted) simulation_.Trace(name + " " + incarnation + " refuses: " + ack.reason);
  control::NodeState state = ack.state;
  state.parameters = declaration_.state();
  return state;
}

void CacheProcess::OnOperatorGrant(const control::Grant& grant) {
  machine_.OnOperatorGrant(grant);
  gate_.Publish(machine_.Gate());
}

control::NodeState CacheProcess::State(MonoTime now) {
  Finish(machine_.Tick(now), 0, now);
  control::NodeState state = machine_.State(now);
  state.parameters = declaration_.state();
  return state;
}

void CacheProcess::OnEnded(const CacheProcess& other) {
  if (follows_.incarnation != other.incarnation) return;
  heard_ = {};
  if (load_ && load_->from == other.incarnation) load_.reset();
  machine_.ReportEnded(other.incarnation);
}

// ---- replication

void CacheProcess::Pull(MonoTime now) {
  if (machine_.role() != Role::kReplica || stopped_applying_) return;
  if (load_) {
    if (--load_->ticks > 0) return;
    SetLog(std::move(load_->log));
    dataset_ = load_->dataset;
    complete_ = true;
    load_.reset();
    simulation_.checks().Resynchronised(*this);
  }
  CacheProcess* primary = simulation_.Process(follows_.incarnation);
  if (primary == nullptr || !primary->alive || primary->stopped || simulation_.Blocked(this, primary)) return;
  const role::Outcome met = primary->machine_.OnEpochMet(machine_.group(), machine_.epoch(), now);
  primary->Finish(met.actions, met.transition, now);
  if (primary->machine_.group() != machine_.group()) return;
  primary->Served(this, now);
  machine_.Observe(Facts(now), now);
}

void CacheProcess::Served(CacheProcess* replica, MonoTime now) {
  role::CopySource source;
  source.role = machine_.role();
  source.in_office = machine_.in_office();
  source.complete = complete_;
  source.loading = load_.has_value();
  source.configuration = &machine_.configuration();
  if (!role::MayServeReplication(source, replica->copy_only_)) return;
  Subscriber& subscriber = subscribers_[replica->incarnation];
  subscriber.at = now;
  const bool back = !simulation_.Blocked(this, replica);
  const size_t have = replica->log_.size();
  const bool continues = replica->complete_ && replica->dataset_ == dataset_ && have <= log_.size() && have > 0 &&
                         replica->log_.back() == log_[have - 1] && log_.size() - have <= kBacklog;
  subscriber.needs_full_copy = false;
  if (continues) {
    subscriber.offset = have;
    if (back) {
      replica->heard_ = now;
      for (size_t i = have; i < log_.size(); ++i) replica->Append(log_[i]);
      simulation_.checks().Resynchronised(*replica);
    }
    Flush(now);
    return;
  }
  subscriber.offset = 0;
  if (!back) return;
  switch (role::AnswerFullCopy(source, {replica->name, replica->pod_uid, replica->incarnation, "", ""},
                               replica->copy_only_)) {
    case role::CopyAnswer::kRefuse: subscribers_.erase(replica->incarnation); return;
    case role::CopyAnswer::kLeaveVotersFirst:
      subscriber.needs_full_copy = true;
      replica->heard_ = now;
      return;
    case role::CopyAnswer::kReplace: replica->StartLoad(this, false); break;
    case role::CopyAnswer::kBeside: replica->StartLoad(this, true); break;
  }
  replica->heard_ = now;
}

void CacheProcess::StartLoad(CacheProcess* from, bool beside) {
  if (!copy_only_ && !role::MayStartLoading(machine_.epoch(), machine_.role_epoch())) return;
  simulation_.checks().Loads(*this, *from);
  simulation_.Trace(name + " " + incarnation + " loads from " + from->name + " " + from->incarnation);
  load_ = Load{from->log_, from->dataset_, static_cast<int>(kCopyTicks), from->incarnation};
  if (beside) return;
  SetLog({});
  complete_ = false;
}

// ---- leases, writes

void CacheProcess::AskLeases(MonoTime now) {
  if (machine_.role() != Role::kPrimary || !machine_.in_office()) return;
  for (const auto& [who, subscriber] : subscribers_) {
    CacheProcess* voter = simulation_.Process(who);
    if (voter == nullptr || !voter->alive || voter->stopped || now - subscriber.at > kSubscription) continue;
    if (simulation_.Blocked(this, voter)) continue;
    const control::LeaseRequest request = machine_.BuildLeaseRequest(now);
    const role::LeaseAnswer answer = voter->machine_.OnLeaseRequest(request, now);
    voter->machine_.OnPeerTraffic(now);
    voter->Finish(answer.actions, answer.transition, now);
    if (!answer.grant || simulation_.Blocked(voter, this)) continue;
    const role::Outcome outcome = machine_.OnVoterAnswer({voter->name, voter->pod_uid, who, "", ""}, *answer.grant, now);
    Finish(outcome.actions, outcome.transition, now);
    if (!outcome.actions.empty()) return;  // it is out of office
  }
  gate_.Publish(machine_.Gate());
}

void CacheProcess::TakeWrites(MonoTime now) {
  if (!written_to || simulation_.dice().Below(100) >= 40) return;
  const uint64_t generation = gate_.generation();
  if (gate_.Check(true, now) != role::Admission::kServe) return;
  // Standing alone opens no epoch: the history goes on.
  const bool alone = gate_.mode() == role::GateState::Mode::kStandalone;
  const uint64_t epoch = alone ? (log_.empty() ? 0 : log_.back().epoch) : machine_.role_epoch();
  Append({epoch, simulation_.NewNumber(), true});
  waiting_.push_back({log_.size(), log_.back(), generation});
  Flush(now);
}

void CacheProcess::Flush(MonoTime now) {
  if (waiting_.empty()) return;
  uint64_t synced = UINT64_MAX;
  if (gate_.synchronous_replicas() > 0) synced = role::SyncOffset(Facts(now).acks, machine_.configuration());
  while (!waiting_.empty() && waiting_.front().offset <= synced) {
    if (!gate_.MayFlush(waiting_.front().generation, now)) {
      waiting_.clear();
      return;
    }
    simulation_.checks().Acknowledges(*this, waiting_.front().record, waiting_.front().offset);
    waiting_.pop_front();
  }
}

}  // namespace understudy::edits
