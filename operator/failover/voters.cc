#include "operator/failover/voters.h"

#include <algorithm>

namespace understudy::failover {
namespace {

using control::Configuration;
using control::LinkState;
using control::NodeRef;
using control::NodeState;
using control::ReplicaAck;
using control::Role;

// The status must not grow without bound while the primary can't acknowledge: from here on only a
// change that can be acknowledged is appended.
constexpr size_t kManyConfigurations = 32;

bool Holds(const std::vector<NodeRef>& list, std::string_view incarnation) {
  return std::any_of(list.begin(), list.end(),
                     [&](const NodeRef& n) { return n.incarnation == incarnation; });
}

// Silent to the primary and to this operator for kVoterSilence.
bool SilentToAll(Turn& turn, const NodeState& primary, const NodeRef& voter) {
  const ReplicaAck* ack = AckOf(primary, voter.incarnation);
  const bool silent_to_primary =
      ack == nullptr || ack->silent_ms >= static_cast<uint64_t>(kVoterSilence.ms());
  const MonoTime since = std::max(turn.HeardAt(voter.incarnation), turn.view.me.acquired_at);
  if (turn.now - since < kVoterSilence) {
    if (silent_to_primary) turn.WakeAt(since + kVoterSilence);
    return false;
  }
  return silent_to_primary;
}

enum class Keep { kYes, kLeaves, kGone };

Keep JudgeVoter(Turn& turn, const NodeState& primary, const NodeRef& voter) {
  if (turn.Dead(voter.incarnation) || SilentToAll(turn, primary, voter)) return Keep::kGone;
  const PodView* pod = turn.PodHearing(voter.incarnation);
  if (pod && pod->heard->state.complete == false)
    return Keep::kGone;  // it dropped what it voted with
  if (!turn.Wanted(voter.name)) return Keep::kLeaves;
  if (pod && (pod->heard->state.terminating || pod->deletion_timestamp.unix_ms != 0)) {
    return Keep::kLeaves;
  }
  const ReplicaAck* ack = AckOf(primary, voter.incarnation);
  if (ack && ack->needs_full_copy) return Keep::kLeaves;
  return Keep::kYes;
}

bool MayJoin(const Turn& turn, const NodeState& primary, const PodView& pod) {
  const NodeState& node = pod.heard->state;
  if (!pod.exists || !turn.Wanted(pod.member) || !turn.Reachable(pod)) return false;
  if (node.terminating || node.unfit || pod.deletion_timestamp.unix_ms != 0) return false;
  if (!turn.Ours(node) || node.role != Role::kReplica || !node.in_office ||
      node.role_epoch != turn.state.epoch || node.primary != primary.incarnation ||
      node.link != LinkState::kUp || !node.complete || node.loading) {
    return false;
  }
  const ReplicaAck* ack = AckOf(primary, node.incarnation);
  return ack && ack->in_sync && !ack->needs_full_copy;
}

}  // namespace

std::optional<Configuration> NextConfiguration(Turn& turn) {
  const Configuration& newest = turn.Newest();
  if (turn.state.configurations.size() > 1 && !turn.on(Rule::kConfigList)) return std::nullopt;
  const NodeState* primary = turn.Words(turn.state.primary.incarnation);
  if (primary == nullptr) return std::nullopt;
  Configuration next = newest;
  if (turn.on(Rule::kConfigST)) {
    next.synchronous_replicas = turn.spec.synchronous_replicas;
    next.lease_ms = turn.spec.lease_ms;
  }
  next.voters.clear();
  std::vector<NodeRef> leaving;  // alive ones first: they can still catch up
  std::vector<NodeRef> gone;
  for (const NodeRef& v : newest.voters) {
    switch (JudgeVoter(turn, *primary, v)) {
      case Keep::kYes:
        next.voters.push_back(v);
        break;
      case Keep::kLeaves:
        leaving.push_back(v);
        break;
      case Keep::kGone:
        gone.push_back(v);
        break;
    }
  }
  for (const PodView& pod : turn.view.pods) {
    if (!pod.heard || Holds(newest.voters, pod.heard->state.incarnation)) continue;
    if (pod.heard->state.incarnation == primary->incarnation) continue;
    // A voter counts once, however often its Pod is seen.
    if (Holds(next.voters, pod.heard->state.incarnation)) continue;
    if (MayJoin(turn, *primary, pod)) next.voters.push_back(turn.RefOf(pod));
  }
  // No change leaves fewer than S voters (of the old S or the new one): those who would leave stay
  // until others replace them. All leaves are planned in this one change: two that are each allowed
  // could go below S together.
  if (turn.on(Rule::kCatchUp)) {
    const size_t floor = std::max(newest.synchronous_replicas, next.synchronous_replicas);
    leaving.insert(leaving.end(), gone.begin(), gone.end());
    for (const NodeRef& v : leaving) {
      if (next.voters.size() >= floor) break;
      next.voters.push_back(v);
    }
  }
  std::sort(next.voters.begin(), next.voters.end(),
            [](const NodeRef& a, const NodeRef& b) { return a.name < b.name; });
  std::vector<NodeRef> before = newest.voters;
  std::sort(before.begin(), before.end(),
            [](const NodeRef& a, const NodeRef& b) { return a.name < b.name; });
  auto same = [](const NodeRef& a, const NodeRef& b) { return a.incarnation == b.incarnation; };
  if (std::equal(before.begin(), before.end(), next.voters.begin(), next.voters.end(), same) &&
      next.synchronous_replicas == newest.synchronous_replicas &&
      next.lease_ms == newest.lease_ms) {
    return std::nullopt;
  }
  if (turn.state.configurations.size() >= kManyConfigurations) {
    const auto reachable =
        std::count_if(next.voters.begin(), next.voters.end(),
                      [&](const NodeRef& v) { return turn.Reachable(v.incarnation); });
    if (static_cast<uint32_t>(reachable) < next.synchronous_replicas) return std::nullopt;
  }
  next.number = newest.number + 1;
  next.epoch = turn.state.epoch;
  next.primary = turn.state.primary;
  return next;
}

bool MayCommit(const Turn& turn) {
  if (turn.state.configurations.size() < 2) return false;
  const NodeState* primary = turn.Words(turn.state.primary.incarnation);
  return primary && turn.InOffice(*primary, turn.state.epoch) &&
         primary->configuration_acked == turn.Newest().number;
}

std::vector<std::string> LostPods(Turn& turn) {
  std::vector<std::string> lost;
  for (const PodView& pod : turn.view.pods) {
    if (!pod.exists || !pod.node_lost || pod.deletion_timestamp.unix_ms == 0) continue;
    const int64_t over_ms = turn.wall.unix_ms - pod.deletion_timestamp.unix_ms;
    if (over_ms < kLostPodGrace.ms()) {
      turn.WakeAt(turn.now + Milliseconds(kLostPodGrace.ms() - over_ms));
      continue;
    }
    const Member* member = turn.FindMember(pod.member);
    const bool reachable = pod.heard && turn.Reachable(pod);
    if (reachable || (member && member->has_volume) || NamesPod(turn.state, pod.pod_uid)) continue;
    lost.push_back(pod.pod_uid);
  }
  return lost;
}

}  // namespace understudy::failover
