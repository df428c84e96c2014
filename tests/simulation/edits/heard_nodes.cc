// What an operator process hears of the nodes (HeardNodes in operator.h).
#include <algorithm>

#include "tests/simulation/edits/simulation.h"

namespace understudy::edits {

namespace {
constexpr Duration kSilentChannel = Milliseconds(3000);  // the link is given up, without a FIN
}  // namespace

void HeardNodes::SetTarget(const nodes::Target& target) {
  targets_[target.pod_uid] = target;
  known_[target.pod_uid];
}

void HeardNodes::RemoveTarget(const std::string& pod_uid) {
  if (targets_.erase(pod_uid) == 0) return;
  failover::Channel& channel = known_[pod_uid].channel;
  if (channel.up) channel.down_since = simulation_.clock().nodes();
  channel.up = false;
}

void HeardNodes::Forget(const std::string& pod_uid) {
  if (targets_.contains(pod_uid)) return;
  known_.erase(pod_uid);
  for (auto it = lifeline_pods_.begin(); it != lifeline_pods_.end();) {
    if (it->second != pod_uid) {
      ++it;
      continue;
    }
    lifelines_.erase(it->first);
    it = lifeline_pods_.erase(it);
  }
}

MonoTime HeardNodes::Told(MonoTime of_nodes) const {
  return of_nodes == MonoTime{} ? of_nodes : of_nodes + simulation_.clock().skipped();
}

std::optional<nodes::Known> HeardNodes::Get(const std::string& pod_uid) const {
  const auto it = known_.find(pod_uid);
  if (it == known_.end()) return std::nullopt;
  nodes::Known known = it->second;
  known.channel.begun_at = Told(known.channel.begun_at);
  known.channel.up_since = Told(known.channel.up_since);
  known.channel.down_since = Told(known.channel.down_since);
  if (known.heard) known.heard->at = Told(known.heard->at);
  if (known.answer) known.answer->at = Told(known.answer->at);
  return known;
}

std::vector<failover::LifelineEnd> HeardNodes::Lifelines(const std::vector<control::Incarnation>& incarnations) const {
  std::vector<failover::LifelineEnd> ends;
  for (const control::Incarnation& incarnation : incarnations) {
    const auto it = lifelines_.find(incarnation);
    if (it == lifelines_.end()) continue;
    ends.push_back({incarnation, Told(it->second.ended_by_fin_at), Told(it->second.refused_begun_at)});
  }
  return ends;
}

MonoTime HeardNodes::LastGrant(const std::string& group_uid) const {
  const auto it = granted_.find(group_uid);
  return it == granted_.end() ? MonoTime{} : Told(it->second);
}

void HeardNodes::SetAttentive(const std::string& owner, bool attentive) {
  if (attentive) {
    attentive_.insert(owner);
  } else {
    attentive_.erase(owner);
  }
}

bool HeardNodes::AllUp() const {
  for (const auto& [uid, target] : targets_) {
    const auto it = known_.find(uid);
    if (it == known_.end() || !it->second.channel.up) return false;
  }
  return true;
}

void HeardNodes::Hear(const std::string& pod_uid, const control::NodeState& state,
                      const std::function<void(const std::string& owner)>& changed) {
  const MonoTime now = simulation_.clock().nodes();
  nodes::Known& known = known_[pod_uid];
  const std::string& owner = targets_[pod_uid].owner;
  const bool matters = !known.heard || known.heard->state.incarnation != state.incarnation || state.nonce != 0 ||
                       attentive_.contains(owner) || plan::NeedsPlan(known.heard->state, state);
  known.heard = failover::Heard{state, now};
  if (state.nonce != 0) known.answer = known.heard;
  if (matters) changed(owner);
}

void HeardNodes::OnAnswer(const std::string& pod_uid, const control::NodeState& state,
                          const std::function<void(const std::string& owner)>& changed) {
  const auto it = known_.find(pod_uid);
  if (it == known_.end() || !it->second.channel.up || !it->second.heard ||
      it->second.heard->state.incarnation != state.incarnation || !targets_.contains(pod_uid)) {
    return;
  }
  Hear(pod_uid, state, changed);
}

void HeardNodes::Reconnect(const std::string& pod_uid) {
  failover::Channel& channel = known_[pod_uid].channel;
  if (!channel.up) return;
  channel.up = false;
  channel.down_since = simulation_.clock().nodes();
}

void HeardNodes::OnEnded(const CacheProcess& process, const std::function<void(const std::string& owner)>& changed) {
  const auto it = known_.find(process.pod_uid);
  if (it == known_.end() || !it->second.channel.up || !it->second.heard ||
      it->second.heard->state.incarnation != process.incarnation) {
    return;
  }
  const MonoTime now = simulation_.clock().nodes();
  it->second.channel.up = false;
  it->second.channel.down_since = now;
  lifelines_[process.incarnation] = {process.incarnation, now, now + Milliseconds(1)};
  lifeline_pods_[process.incarnation] = process.pod_uid;
  late_.erase(process.pod_uid);
  if (targets_.contains(process.pod_uid)) changed(targets_[process.pod_uid].owner);
}

void HeardNodes::Tick(const std::function<void(const std::string& owner)>& changed) {
  const MonoTime now = simulation_.clock().nodes();
  for (const auto& [uid, target] : std::map(targets_)) {
    nodes::Known& known = known_[uid];
    CacheProcess* process = nullptr;
    for (CacheProcess* one : simulation_.Living()) {
      if (one->pod_uid == uid) process = one;
    }
    const bool reaches = process != nullptr && !process->stopped &&
                         !simulation_.Blocked(nullptr, process);
    const bool hears = process != nullptr && !process->stopped && !simulation_.Blocked(process, nullptr);
    const bool other = process != nullptr && known.heard && known.heard->state.incarnation != process->incarnation;
    if (known.channel.up && (other || (known.heard && now - known.heard->at > kSilentChannel))) {
      known.channel.up = false;
      known.channel.down_since = now;
      late_.erase(uid);
      changed(target.owner);
    }
    if (!hears) continue;
    if (!known.channel.up) {
      if (!reaches) continue;
      known.channel.up = true;
      known.channel.begun_at = known.channel.up_since = now;
      known.heard = failover::Heard{process->State(now), now};
      late_.erase(uid);
      changed(target.owner);
      continue;
    }
    const uint64_t seq = process->NextHeartbeat(now);
    const auto delay = delays_.find(uid);
    const bool slow = delay != delays_.end() && now < delay->second.until;
    auto& late = late_[uid];
    late.push_back({now + (slow ? delay->second.by : Duration{}), process->State(now), seq});
    while (!late.empty() && late.front().at <= now) {
      const Late word = std::move(late.front());
      late.pop_front();
      Hear(uid, word.state, changed);
      const auto allowed = allowed_.find(word.state.group);
      if (word.state.role != control::Role::kPrimary || !word.state.in_office || allowed == allowed_.end() ||
          !simulation_.oper().Up()) {
        continue;
      }
      const failover::Grants& grants = allowed->second;
      if (!grants.allowed || grants.to != word.state.incarnation || grants.epoch != word.state.role_epoch) continue;
      granted_[word.state.group] = now;
      if (reaches) process->OnOperatorGrant({word.seq, grants.epoch});
    }
  }
}

}  // namespace understudy::edits
