// Questions that plans ask of what is seen: what a node's process says, why it is not ready, how far a
// replica is behind. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "operator/plan/group_view.h"

namespace understudy::plan {

// The present Pod's entry in the failover view, nullptr if it has none.
const failover::PodView* ProcessOf(const GroupView& view, const NodeView& node);
// What the process behind an open channel says; nullptr when nothing is known or the channel is down.
const control::NodeState* WordsOf(const failover::PodView* process);

// Why a node cannot work now, in the words of whoever knows: scheduler, kubelet, channel. nullopt: nothing
// is known to be wrong.
struct Fault {
  std::string_view reason;
  std::string message;
};
std::optional<Fault> FaultOf(const NodeView& node, const failover::PodView* process, WallTime wall);
// What the Pod's process was started with and can't be started with, in its own words; "" = nothing is known.
std::string RefusedConfiguration(const NodeView& node, const failover::PodView* process);
// It should have a Pod and has none for longer than it takes.
bool LacksPod(const NodeView& node, WallTime wall);
// When FaultOf will say more of a Pod that does not come up; nullopt: not by itself.
std::optional<WallTime> MoreIsSaidAt(const NodeView& node, WallTime wall);
// No process ever ran in this Pod: nothing is in it. (An init container or a sandbox may fail before.)
bool NeverRan(const api::Pod& pod, const failover::PodView* process);

// It was available and runs, but its channel is down: a cut, or an operator that has just started. Not worth a
// word in a status before it lasts (kUnsettledLimit).
bool FellSilent(const NodeView& node, const failover::PodView* process);
inline constexpr Duration kUnsettledLimit = Seconds(10);
// At what changes without telling this key: children that go, a group that a node waits for.
inline constexpr Duration kLookAgain = Seconds(1);

// Zone of the Node that the Pod is on; "" before it has one.
std::string ZoneOf(const NodeView& node, const std::map<std::string, api::Node>& hosts);

// "0B", or the next power of ten of `bytes` ("10kB" for 1001 to 10000).
std::string LagText(uint64_t bytes);

}  // namespace understudy::plan
