#include "operator/failover/state.h"

#include <algorithm>
#include <array>

namespace understudy::failover {
namespace {

constexpr std::array<std::string_view, kKindCount> kKinds = {"takeover", "restore", "switchover"};
constexpr std::array<std::string_view, 5> kSteps = {"fence", "copy", "promote", "pause", "demote"};

template <typename E, size_t N>
std::optional<E> Find(const std::array<std::string_view, N>& names, std::string_view name) {
  auto at = std::find(names.begin(), names.end(), name);
  if (at == names.end()) return std::nullopt;
  return static_cast<E>(at - names.begin());
}

}  // namespace

std::string_view KindName(Kind kind) {
  return kKinds.at(static_cast<size_t>(kind));
}
std::optional<Kind> KindFromName(std::string_view name) {
  return Find<Kind>(kKinds, name);
}
std::string_view StepName(Step step) {
  return kSteps.at(static_cast<size_t>(step));
}
std::optional<Step> StepFromName(std::string_view name) {
  return Find<Step>(kSteps, name);
}

void Empty(GroupState* state) {
  state->primary = {};
  state->configurations.clear();
}

std::vector<WallTime> UnprovenOf(const std::vector<HistoryEntry>& history, const std::optional<Failover>& running) {
  std::vector<WallTime> times;
  for (const HistoryEntry& e : history) {
    if (e.kind == Kind::kTakeover && e.proof.empty()) times.push_back(e.times.confirmed);
  }
  if (running && running->kind == Kind::kTakeover && running->proof.empty()) times.push_back(running->times.confirmed);
  return times;
}

std::vector<control::NodeRef> NamedNodes(const GroupState& state) {
  std::vector<control::NodeRef> nodes;
  auto add = [&nodes](const control::NodeRef& node) {
    if (node.incarnation.empty()) return;
    for (const control::NodeRef& n : nodes) {
      if (n.incarnation == node.incarnation) return;
    }
    nodes.push_back(node);
  };
  add(state.primary);
  for (const control::Configuration& c : state.configurations) {
    add(c.primary);
    for (const control::NodeRef& v : c.voters) add(v);
  }
  if (state.failover) {
    add(state.failover->old);
    add(state.failover->winner);
    add(state.failover->source);
  }
  return nodes;
}

bool NamesPod(const GroupState& state, std::string_view pod_uid) {
  for (const control::NodeRef& n : NamedNodes(state)) {
    if (n.pod_uid == pod_uid) return true;
  }
  return false;
}

bool NamesIncarnation(const GroupState& state, std::string_view incarnation) {
  for (const control::NodeRef& n : NamedNodes(state)) {
    if (n.incarnation == incarnation) return true;
  }
  return false;
}

}  // namespace understudy::failover
