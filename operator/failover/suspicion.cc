#include "operator/failover/suspicion.h"

#include <algorithm>

namespace understudy::failover {
namespace {

using control::LinkState;
using control::NodeRef;
using control::NodeState;

constexpr Duration kHour = Seconds(3600);

// A voter whose own link to the primary is down, or silent as long as the operator's.
std::string FindWitness(const Turn& turn, const NodeRef& primary) {
  for (const control::Configuration& c : turn.state.configurations) {
    for (const NodeRef& voter : c.voters) {
      const NodeState* words = turn.Words(voter.incarnation);
      if (words == nullptr || words->primary != primary.incarnation) continue;
      if (!turn.Reachable(voter.incarnation)) continue;
      if (words->link != LinkState::kUp || words->link_silent_ms >= turn.spec.detection_ms) {
        return voter.name;
      }
    }
  }
  const PodView* pod = turn.PodByUid(primary.pod_uid);
  if (pod && pod->exists && pod->ever_started && !pod->running) return "the kubelet";
  return "";
}

// When the primary was last known to be alive; as its voters say that are heard, too.
MonoTime LastSign(const Turn& turn) {
  const NodeRef& primary = turn.state.primary;
  MonoTime last = turn.HeardAt(primary.incarnation);
  for (const control::Configuration& c : turn.state.configurations) {
    for (const NodeRef& voter : c.voters) {
      const NodeState* words = turn.Words(voter.incarnation);
      if (words == nullptr || words->primary != primary.incarnation || words->link != LinkState::kUp) continue;
      const auto silent = Milliseconds(static_cast<int64_t>(words->link_silent_ms));
      last = std::max(last, turn.HeardAt(voter.incarnation) - silent);
    }
  }
  return last;
}

// A process that never heard the primary can't say how long it has been silent, unless its Pod is gone: then not longer
// than it has been suspected. One that was stopped itself hears first what came meanwhile, hence the time since the
// suspicion.
void JudgeLost(Turn& turn) {
  const NodeRef& primary = turn.state.primary;
  MonoTime sign = LastSign(turn);
  if (turn.HeardAt(primary.incarnation) == MonoTime{}) {
    const PodView* pod = turn.PodByUid(primary.pod_uid);
    if (pod && pod->exists) return;
    sign = std::max(sign, turn.memory.suspect_since);
  }
  const Duration lease = Milliseconds(turn.LeaseMs(turn.Newest()));
  const MonoTime at = std::max(sign + Milliseconds(turn.spec.detection_ms), turn.memory.suspect_since) + lease;
  turn.out.findings.primary_lost = turn.now >= at;
  turn.WakeAt(at);
}

}  // namespace

Suspicion JudgePrimary(Turn& turn) {
  const NodeRef& primary = turn.state.primary;
  const Duration detection = Milliseconds(turn.spec.detection_ms);
  const PodView* hearing = turn.PodHearing(primary.incarnation);
  const PodView* pod = turn.PodByUid(primary.pod_uid);
  Suspicion s;
  s.heard = hearing ? hearing->heard->at : turn.view.me.acquired_at;
  s.silent = turn.now - s.heard >= detection;
  if (!s.silent) turn.WakeAt(s.heard + detection);
  const bool closed = hearing == nullptr || !hearing->channel.up;
  const bool says = hearing && (hearing->heard->state.unfit || hearing->heard->state.terminating);
  const bool kubelet =
      pod && (pod->deletion_timestamp.unix_ms != 0 || (pod->ever_started && !pod->running));
  s.suspected = s.silent || closed || says || kubelet || turn.Dead(primary.incarnation);

  Memory& memory = turn.memory;
  if (!s.suspected) {
    memory.suspect.clear();
  } else if (memory.suspect != primary.incarnation) {
    memory.suspect = primary.incarnation;
    memory.suspect_since = turn.now;
    memory.suspected = turn.wall;
  }
  if (s.silent) JudgeLost(turn);
  s.witness = FindWitness(turn, primary);
  s.witnessed = !s.witness.empty();
  return s;
}

bool CountsForHour(const Turn& turn, WallTime confirmed) {
  return confirmed.unix_ms > turn.wall.unix_ms - kHour.ms();
}

std::optional<WallTime> HourlyBound(Turn& turn) {
  std::vector<WallTime> recent = turn.state.unproven_takeovers;
  std::erase_if(recent, [&](WallTime t) { return !CountsForHour(turn, t); });
  const size_t most = std::max<size_t>(turn.spec.max_per_hour, 1);
  if (recent.size() < most) return std::nullopt;
  // As many as are allowed are still of the last hour until this one is not.
  std::sort(recent.begin(), recent.end());
  const WallTime until{recent[recent.size() - most].unix_ms + kHour.ms()};
  turn.WakeAt(turn.now + Milliseconds(until.unix_ms - turn.wall.unix_ms));
  return until;
}

}  // namespace understudy::failover
