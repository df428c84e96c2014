// What the role machine tells others: the gate, the state in heartbeats, probes.
#include <algorithm>

#include "node/role/role_machine.h"

namespace understudy::role {

using control::Role;

GateState RoleMachine::Gate() const {
  GateState gate;
  gate.generation = generation_;
  gate.loading = !facts_.complete;
  const bool changing =
      std::any_of(transitions_.begin(), transitions_.end(),
                  [](const Transition& transition) { return transition.changes_role; });
  switch (ordered_.role) {
    case Role::kUnassigned:
      gate.mode = GateState::Mode::kUnassigned;
      break;
    case Role::kReplica:
      gate.mode = GateState::Mode::kReplica;
      break;
    case Role::kPrimary:
      gate.mode =
          ordered_.PrimaryInOffice() ? GateState::Mode::kPrimary : GateState::Mode::kReplica;
      break;
    case Role::kStandalone:
      gate.mode = GateState::Mode::kStandalone;
      break;
  }
  // Until the new role has been carried out nothing is written: neither in the old one nor in the
  // new one. A node without data may become anything: its clients are asked to try again.
  if (changing && gate.mode != GateState::Mode::kUnassigned)
    gate.mode = gate.loading ? GateState::Mode::kUnassigned : GateState::Mode::kReplica;
  if (gate.mode == GateState::Mode::kStandalone) gate.lease_until = kForever;
  gate.paused_until = paused_until_;
  if (gate.mode != GateState::Mode::kPrimary) return gate;
  const control::Configuration& configuration = ordered_.configuration;
  gate.synchronous_replicas = configuration.synchronous_replicas;
  gate.enough_voters = configuration.voters.size() >= configuration.synchronous_replicas && !lacks_voters_;
  gate.lease_until = lease_.HeldUntil();
  return gate;
}

control::NodeState RoleMachine::State(MonoTime now) const {
  control::NodeState state;
  state.pod_uid = pod_uid_;
  state.incarnation = incarnation_;
  state.group = settled_.group;
  state.epoch = settled_.epoch;
  state.role = settled_.role;
  state.role_epoch = settled_.role_epoch;
  state.in_office = settled_.InOffice();
  state.configuration = settled_.configuration.number;
  state.synchronous_replicas = settled_.configuration.synchronous_replicas;
  state.lease_ms = settled_.role_epoch == 0 ? 0 : settled_.configuration.lease_ms;
  state.dataset = facts_.dataset;
  state.history_id = facts_.history_id;
  state.last_record_epoch = facts_.last_record_epoch;
  state.offset = facts_.offset;
  state.complete = facts_.complete;
  state.loading = facts_.loading;
  state.keys = facts_.keys;
  state.link = facts_.link;
  if (settled_.role == Role::kReplica) {
    state.primary = settled_.configuration.primary.incarnation;
    state.link_silent_ms = static_cast<uint64_t>(PrimarySilence(now).ms());
  }
  if (settled_.role == Role::kPrimary) {
    state.configuration_acked = acknowledged_;
    state.acks = facts_.acks;
    const GateState gate = Gate();
    state.lease_held = gate.mode == GateState::Mode::kPrimary && now < gate.lease_until;
    if (state.lease_held && gate.lease_until != kForever)
      state.lease_left_ms = static_cast<uint64_t>((gate.lease_until - now).ms());
  }
  state.paused = now < paused_until_;
  state.unfit = unfit_;
  state.terminating = terminating_;
  if (granted_older_ != MonoTime{})
    state.last_granted_ms_ago = std::max<int64_t>(0, (now - granted_older_).ms());
  state.ended = ended_;
  return state;
}

Duration RoleMachine::Lag(MonoTime now) const {
  if (ordered_.role != Role::kReplica) return {};
  return now > caught_up_ ? now - caught_up_ : Duration{};
}

// Since anything came on the link or on the peer channel.
Duration RoleMachine::PrimarySilence(MonoTime now) const {
  const int64_t link_ms = static_cast<int64_t>(std::min<uint64_t>(facts_.link_silent_ms, INT32_MAX));
  const Duration peer = peer_heard_ < now ? now - peer_heard_ : Duration{};
  return std::min(Milliseconds(link_ms), peer);
}

MonoTime RoleMachine::PrimarySilentAt(MonoTime now) const {
  if (settled_.role != Role::kReplica) return kForever;
  return now + (Milliseconds(settled_.detection_ms) - PrimarySilence(now));
}

bool RoleMachine::Ready(MonoTime now, std::string* why) const {
  if (ordered_.role == Role::kUnassigned) {
    *why = "no role was assigned yet";
  } else if (unfit_) {
    *why = "a worker has not ended a turn for too long";
  } else if (!facts_.complete) {
    *why = "no whole data set is loaded yet";
  } else if (Lag(now) > Milliseconds(ordered_.reader_max_lag_ms)) {
    *why = caught_up_ == MonoTime{}
               ? std::string("never was level with the primary")
               : "lags " + std::to_string(Lag(now).ms()) + " ms behind the primary; " +
                     std::to_string(ordered_.reader_max_lag_ms) + " ms are allowed";
  } else {
    return true;
  }
  return false;
}

bool RoleMachine::MayExit() const {
  return settled_.role != Role::kPrimary ||
         (settled_.InOffice() && settled_.configuration.voters.empty());
}

}  // namespace understudy::role
