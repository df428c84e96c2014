#include "operator/failover/fence.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "common/control/quorum.h"

namespace understudy::failover {
namespace {

using control::Configuration;
using control::NodeRef;

// The latest moment, on this process's clock, at which this voter may have granted anything below
// `epoch`; nullopt while it may still grant.
std::optional<MonoTime> LastGrantOf(const Turn& turn, const NodeRef& voter, uint64_t epoch) {
  std::optional<MonoTime> at;
  if (const Death* death = turn.DeathOf(voter.incarnation)) {
    at = turn.on(Rule::kWaitDead) ? death->at : MonoTime{};
  }
  const PodView* pod = turn.PodHearing(voter.incarnation);
  if (pod && turn.FencedAt(pod->heard->state, epoch)) {
    const int64_t ago_ms = pod->heard->state.last_granted_ms_ago;
    const MonoTime granted = ago_ms < 0 ? MonoTime{} : pod->heard->at - Milliseconds(ago_ms);
    at = at ? std::min(*at, granted) : granted;
  }
  return at;
}

Duration LongestWait(const Turn& turn) {
  uint32_t lease_ms = 0;
  for (const Configuration& c : turn.state.configurations) {
    lease_ms = std::max(lease_ms, turn.LeaseMs(c));
  }
  // Both clocks may be 10 % off: 1.1 / 0.9 = 1.222.
  return Milliseconds(lease_ms) * (turn.on(Rule::kWait125) ? 1.25 : 1.1);
}

}  // namespace

Fence JudgeFence(Turn& turn, const NodeRef& old, uint64_t epoch) {
  Fence fence;
  if (turn.Dead(old.incarnation)) {
    fence.done = fence.ended = true;
    return fence;
  }
  const control::NodeState* words = turn.Words(old.incarnation);
  if (words && turn.FencedAt(*words, epoch)) {
    fence.done = fence.demoted = true;
    return fence;
  }
  MonoTime base = turn.view.me.predecessors_until;
  if (turn.on(Rule::kWaitDead)) base = std::max(base, turn.view.me.last_grant);
  bool any = false;
  for (const Configuration& c : turn.state.configurations) {
    // The primaries of older configurations were dealt with when their successor was elected.
    if (c.primary.incarnation != old.incarnation) continue;
    any = true;
    if (c.voters.empty()) {
      fence.needs_proof = true;
      fence.waiting =
          old.name + " needs no lease (it had no voters): it must be demoted or proven dead";
      return fence;
    }
    std::vector<MonoTime> granted;
    for (const NodeRef& v : c.voters) {
      if (std::optional<MonoTime> at = LastGrantOf(turn, v, epoch)) granted.push_back(*at);
    }
    const size_t needed = control::FencesNeeded(c.voters.size());
    if (granted.size() < needed) {
      fence.needs_proof = true;
      fence.waiting = std::to_string(granted.size()) + " of " + std::to_string(needed) +
                      " voters that must be fenced or proven dead are";
      return fence;
    }
    std::sort(granted.begin(), granted.end());
    base = std::max(base, granted[needed - 1]);
  }
  if (!any) {
    fence.needs_proof = true;
    fence.waiting =
        "no configuration of " + old.name + " is known: it must be demoted or proven dead";
    return fence;
  }
  const MonoTime over = base + LongestWait(turn);
  fence.done = turn.now >= over;
  if (!fence.done) {
    fence.waiting = "the lease of " + old.name + " may last " + Span(over - turn.now) + " more";
    turn.WakeAt(over);
  }
  return fence;
}

bool FenceWithinReach(const Turn& turn) {
  for (const Configuration& c : turn.state.configurations) {
    if (c.primary.incarnation != turn.state.primary.incarnation) continue;
    size_t reachable = 0;
    for (const NodeRef& v : c.voters) {
      if (turn.Dead(v.incarnation) || turn.Reachable(v.incarnation)) ++reachable;
    }
    if (c.voters.empty() || reachable < control::FencesNeeded(c.voters.size())) return false;
  }
  return true;
}

}  // namespace understudy::failover
