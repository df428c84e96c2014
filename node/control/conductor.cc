#include "node/control/conductor.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>
#include <optional>
#include <utility>

#include "common/log.h"
#include "common/overloaded.h"

namespace understudy::control {
namespace {

std::string Describe(const role::Action& action) {
  return std::visit(
      Overloaded{
          [](const role::BecomePrimary& a) {
            return fmt::format("primary of group {} in epoch {}, configuration {}, {} voters{}",
                               a.group, a.epoch, a.configuration.number,
                               a.configuration.voters.size(),
                               a.start_empty ? ", starting empty" : "");
          },
          [](const role::ActUnder& a) {
            return fmt::format("configuration {} with {} voters, {} synchronous",
                               a.configuration.number, a.configuration.voters.size(),
                               a.configuration.synchronous_replicas);
          },
          [](const role::BecomeReplica& a) {
            return fmt::format("replica of {} ({}) in epoch {}{}", a.primary.name,
                               a.primary.address, a.epoch, a.copy_only ? ", copy only" : "");
          },
          [](const role::BecomeStandalone&) { return std::string("standalone"); },
          [](const role::Fenced& a) { return fmt::format("fenced at epoch {}", a.epoch); },
          [](const role::StopApplying& a) {
            return fmt::format("stops applying at epoch {}", a.epoch);
          },
          [](const role::Demote& a) { return fmt::format("demoted at epoch {}", a.epoch); },
          [](const role::PauseWrites&) { return std::string("writes are paused"); },
          [](const role::ResumeWrites&) { return std::string("writes go on"); },
      },
      action);
}

}  // namespace

Conductor::Conductor(boost::asio::io_context& io, const Clock& clock, DataPath& data_path,
                     std::string pod_uid, Incarnation incarnation)
    : io_(io),
      clock_(clock),
      data_path_(data_path),
      machine_(std::move(pod_uid), std::move(incarnation)),
      pause_timer_(io) {}

// ---- in

void Conductor::OnOrder(const Order& order, std::function<void(const OrderAck&)> acknowledge) {
  Refresh();
  const role::Outcome outcome = machine_.OnOrder(order, clock_.Mono());
  if (!outcome.accepted)
    LOG_WARN("order {} ({}) refused: {}", order.id, OrderKindName(order.kind), outcome.reason);
  waiting_.push_back({outcome.transition, order, outcome, std::move(acknowledge)});
  CarryOut(outcome.actions, outcome.transition);
}

void Conductor::OnOperatorGrant(const Grant& grant) {
  machine_.OnOperatorGrant(grant);
  Publish();
  EndPauseIfOver();
}

void Conductor::OnParameters(const Parameters& declared) {
  if (declared.incarnation != machine_.incarnation()) return;
  data_path_.Declare(declared);
  if (events_.on_change) events_.on_change();
}

void Conductor::OnVoterAnswer(const NodeRef& voter, const LeaseGrant& grant) {
  const role::Outcome outcome = machine_.OnVoterAnswer(voter, grant, clock_.Mono());
  CarryOut(outcome.actions, outcome.transition);
  EndPauseIfOver();
}

LeaseRequest Conductor::BuildLeaseRequest() {
  Refresh();
  return machine_.BuildLeaseRequest(clock_.Mono());
}

Result<LeaseGrant> Conductor::OnLeaseRequest(const LeaseRequest& request) {
  Refresh();
  const role::LeaseAnswer answer = machine_.OnLeaseRequest(request, clock_.Mono());
  if (!answer.actions.empty()) CarryOut(answer.actions, answer.transition);
  if (!answer.grant.has_value()) return Denied(answer.reason);
  return *answer.grant;
}

void Conductor::Terminate(std::function<void()> may_exit) {
  machine_.SetTerminating();
  may_exit_ = std::move(may_exit);
  if (events_.on_change) events_.on_change();
  CheckExit();
}

// ---- transitions

void Conductor::CarryOut(const std::vector<role::Action>& actions, uint64_t transition) {
  Publish();
  // A transition not newer than the last one is the repetition of an order on its way; what comes
  // with it (a pause) changes the gate only.
  const bool is_new = transition > last_started_;
  if (is_new) {
    last_started_ = transition;
    in_progress_.push_back({transition, actions.size(), {}});
  }
  for (const role::Action& action : actions) {
    LOG_INFO("role: {}", Describe(action));
    Start(action, [this, tracked = is_new ? transition : 0](Status status) {
      boost::asio::post(
          io_, [this, tracked, status = std::move(status)] { OnActionDone(tracked, status); });
    });
  }
  if (!actions.empty() && events_.on_role) events_.on_role();
  Advance();
}

void Conductor::OnActionDone(uint64_t transition, const Status& status) {
  if (!status.ok()) LOG_ERROR("role: what was ordered could not be done: {}", status.message());
  for (Progress& progress : in_progress_) {
    if (progress.transition != transition) continue;
    --progress.left;
    if (!status.ok() && progress.status.ok()) progress.status = status;
  }
  Advance();
}

void Conductor::Advance() {
  bool settled = false;
  while (!in_progress_.empty() && in_progress_.front().left == 0) {
    const Progress done = in_progress_.front();
    in_progress_.pop_front();
    if (!done.status.ok()) {
      // Stays unsettled, so the gate stays closed; only a further order leads out of it.
      failed_ = done.transition;
      failure_ = done.status;
      continue;
    }
    failed_ = 0;
    Refresh();
    machine_.Settled(done.transition, clock_.Mono());
    settled = true;
  }
  if (settled) Publish();
  while (!waiting_.empty() && (waiting_.front().transition == 0 || in_progress_.empty() ||
                               waiting_.front().transition < in_progress_.front().transition)) {
    const Waiting waiting = std::move(waiting_.front());
    waiting_.pop_front();
    OrderAck ack = machine_.Ack(waiting.order, waiting.outcome, clock_.Mono());
    ack.state = StateOf(std::move(ack.state));
    if (failed_ != 0 && waiting.transition == failed_) {
      ack.accepted = false;
      ack.reason = failure_.message();
    }
    waiting.acknowledge(ack);
  }
  if (!settled) return;
  EndPauseIfOver();
  if (events_.on_role) events_.on_role();
  if (events_.on_change) events_.on_change();
  CheckExit();
}

void Conductor::Start(const role::Action& action, DataPath::Done done) {
  std::visit(
      Overloaded{
          [&](const role::BecomePrimary& a) { data_path_.BecomePrimary(a, std::move(done)); },
          [&](const role::ActUnder& a) { data_path_.ActUnder(a, std::move(done)); },
          [&](const role::BecomeReplica& a) { data_path_.BecomeReplica(a, std::move(done)); },
          [&](const role::BecomeStandalone& a) { data_path_.BecomeStandalone(a, std::move(done)); },
          [&](const role::Fenced& a) { data_path_.Fence(a, std::move(done)); },
          [&](const role::StopApplying& a) { data_path_.StopApplying(a, std::move(done)); },
          [&](const role::Demote& a) { data_path_.Demote(a, std::move(done)); },
          [&](const role::PauseWrites&) {
            data_path_.WakePausedClients();
            ArmPause();
            done({});
          },
          [&](const role::ResumeWrites&) {
            data_path_.WakePausedClients();
            done({});
          },
      },
      action);
}

// ---- what is told

void Conductor::Publish() {
  data_path_.gate().Publish(machine_.Gate());
}

bool Conductor::Refresh() {
  const bool changed = machine_.Observe(data_path_.Facts(), clock_.Mono());
  if (changed) {
    Publish();  // a data set that is complete now may be served
    data_path_.CheckHeldReplies();
  }
  return changed;
}

NodeState Conductor::State() {
  Refresh();
  return StateOf(machine_.State(clock_.Mono()));
}

Heartbeat Conductor::BuildHeartbeat() {
  Refresh();
  const MonoTime now = clock_.Mono();
  return {machine_.NextRequest(now), StateOf(machine_.State(now))};
}

NodeState Conductor::StateOf(NodeState state) const {
  state.parameters = data_path_.Declared();
  return state;
}

void Conductor::ArmPause() {
  const std::optional<MonoTime> until = machine_.NextDeadline();
  if (!until.has_value()) return;
  pause_timer_.expires_after(
      std::chrono::nanoseconds(std::max<int64_t>(0, (*until - clock_.Mono()).ns)));
  pause_timer_.async_wait([this](boost::system::error_code error) {
    if (error) return;
    // A clock that is behind the timer's: look again when it says so.
    if (!EndPauseIfOver()) ArmPause();
  });
}

bool Conductor::EndPauseIfOver() {
  const std::vector<role::Action> actions = machine_.Tick(clock_.Mono());
  if (actions.empty()) return false;
  CarryOut(actions, 0);
  if (events_.on_change) events_.on_change();
  return true;
}

void Conductor::CheckExit() {
  if (!may_exit_ || !machine_.MayExit()) return;
  const std::function<void()> may_exit = std::move(may_exit_);
  may_exit_ = nullptr;
  may_exit();
}

}  // namespace understudy::control
