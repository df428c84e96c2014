#include "operator/failover/turn.h"

#include <algorithm>
#include <cstdio>

#include "common/check.h"

namespace understudy::failover {

using control::NodeState;
using control::Role;

Turn::Turn(const GroupState& state_in, const View& view_in, MonoTime now_in, WallTime wall_in,
           Rules rules_in)
    : state(state_in),
      view(view_in),
      spec(view_in.spec),
      now(now_in),
      wall(wall_in),
      rules(rules_in),
      memory(out.memory) {
  memory = view.memory;
  if (memory.acquired_at != view.me.acquired_at) {
    // Timers and questions belong to one leadership; facts are for ever.
    Memory kept;
    kept.deaths = std::move(memory.deaths);
    kept.known = std::move(memory.known);
    kept.primary = std::move(memory.primary);
    kept.acquired_at = view.me.acquired_at;
    memory = std::move(kept);
  }
}

void Turn::WakeAt(MonoTime at) {
  if (at > now) out.wake_at = std::min(out.wake_at, at);
}

const Member* Turn::FindMember(std::string_view name) const {
  for (const Member& m : view.members) {
    if (m.name == name) return &m;
  }
  return nullptr;
}

bool Turn::Wanted(std::string_view member) const {
  const Member* m = FindMember(member);
  return m != nullptr && m->wanted;
}

bool Turn::Stays(std::string_view member) const {
  const Member* m = FindMember(member);
  return m != nullptr && m->wanted && !m->leaves;
}

const PodView* Turn::PodOf(std::string_view member) const {
  for (const PodView& p : view.pods) {
    if (p.exists && p.member == member) return &p;
  }
  return nullptr;
}

const PodView* Turn::PodByUid(std::string_view uid) const {
  for (const PodView& p : view.pods) {
    if (p.pod_uid == uid) return &p;
  }
  return nullptr;
}

const PodView* Turn::PodHearing(std::string_view incarnation) const {
  if (incarnation.empty()) return nullptr;
  for (const PodView& p : view.pods) {
    if (p.heard && p.heard->state.incarnation == incarnation) return &p;
  }
  return nullptr;
}

const NodeState* Turn::Words(std::string_view incarnation) const {
  const PodView* pod = PodHearing(incarnation);
  return pod ? &pod->heard->state : nullptr;
}

MonoTime Turn::HeardAt(std::string_view incarnation) const {
  const PodView* pod = PodHearing(incarnation);
  return pod ? pod->heard->at : MonoTime{};
}

bool Turn::Hears(const PodView& pod) const { return pod.channel.up && pod.heard && now - pod.heard->at < kRecent; }

bool Turn::Reachable(const PodView& pod) const { return Hears(pod) && !Dead(pod.heard->state.incarnation); }

bool Turn::Reachable(std::string_view incarnation) const {
  const PodView* pod = PodHearing(incarnation);
  return pod && Reachable(*pod);
}

control::NodeRef Turn::RefOf(const PodView& pod) const {
  CHECK(pod.heard.has_value());
  return {pod.member, pod.pod_uid, pod.heard->state.incarnation, pod.node_name, pod.address};
}

std::string Turn::ZoneOf(const control::NodeRef& node) const {
  const PodView* pod = PodByUid(node.pod_uid);
  return pod ? pod->zone : "";
}

uint64_t Turn::EpochOf(const NodeState& node) const {
  return Ours(node) ? node.epoch : 0;
}

bool Turn::InOffice(const NodeState& node, uint64_t epoch) const {
  return Ours(node) && node.role == Role::kPrimary && node.role_epoch == epoch && node.in_office;
}

bool Turn::FencedAt(const NodeState& node, uint64_t epoch) const {
  if (EpochOf(node) < epoch) return false;
  return !(node.role == Role::kPrimary && node.role_epoch < epoch &&
           (node.in_office || node.lease_held));
}

bool Turn::HoldsData(const NodeState& node) const {
  // The data set too: a node that just joined is ours before it has dropped what it held elsewhere.
  if (!Ours(node) || node.dataset != state.dataset) return false;
  if (on(Rule::kComplete)) return node.complete && !node.loading;
  return node.role != Role::kUnassigned && node.offset > 0;
}

uint64_t Turn::HighestEpochHeard() const {
  uint64_t highest = 0;
  for (const PodView& p : view.pods) {
    if (p.heard) highest = std::max(highest, EpochOf(p.heard->state));
  }
  return highest;
}

const Death* Turn::DeathOf(std::string_view incarnation) const {
  if (incarnation.empty()) return nullptr;
  for (const Death& d : memory.deaths) {
    if (d.incarnation == incarnation) return &d;
  }
  return nullptr;
}

const control::Configuration& Turn::Newest() const {
  CHECK(!state.configurations.empty());
  return state.configurations.back();
}

uint32_t Turn::SynchronousReplicas(const control::Configuration& c) const {
  return on(Rule::kConfigST) ? c.synchronous_replicas : spec.synchronous_replicas;
}

uint32_t Turn::LeaseMs(const control::Configuration& c) const {
  return on(Rule::kConfigST) ? c.lease_ms : spec.lease_ms;
}

Duration Turn::InStep(std::string_view key) {
  if (memory.step_key != key) {
    memory.step_key = key;
    memory.step_since = now;
    memory.nonce = 0;
    memory.fenced = {};
    memory.promoted = {};
    memory.promoted_at = {};
    memory.repointed_at = {};
  }
  return now - memory.step_since;
}

void Turn::Note(bool warning, std::string reason, std::string message) {
  out.events.push_back({warning, std::move(reason), std::move(message)});
}

std::string Span(Duration d) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", d.seconds());
  return text;
}

std::string StepKey(const Failover& failover) {
  return std::string(StepName(failover.step)) + ":" + std::to_string(failover.epoch) + ":" +
         failover.winner.incarnation + ":" + failover.source.incarnation;
}

const control::ReplicaAck* AckOf(const control::NodeState& primary, std::string_view incarnation) {
  for (const control::ReplicaAck& ack : primary.acks) {
    if (ack.incarnation == incarnation) return &ack;
  }
  return nullptr;
}

bool Has(const std::vector<std::string>& list, const std::string& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

}  // namespace understudy::failover
