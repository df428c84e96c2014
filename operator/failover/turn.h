// The working values of one Decide: inputs, the Decision in the making, and the questions that
// every step asks about what is seen.
//
// Lives for one call on the caller's stack; borrows its inputs. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "operator/failover/machine.h"

namespace understudy::failover {

class Turn {
 public:
  Turn(const GroupState& state, const View& view, MonoTime now, WallTime wall, Rules rules);

  const GroupState& state;
  const View& view;
  const Spec& spec;
  const MonoTime now;
  const WallTime wall;
  const Rules rules;
  Decision out;
  Memory& memory;  // out.memory

  bool on(Rule rule) const { return rules.on(rule); }
  // Asks to be called again at `at`, if that is still to come.
  void WakeAt(MonoTime at);

  // -- who is there
  const Member* FindMember(std::string_view name) const;
  bool Wanted(std::string_view member) const;
  bool Stays(std::string_view member) const;  // wanted, and does not ask to leave
  // The present Pod of a member; nullptr if it has none.
  const PodView* PodOf(std::string_view member) const;
  const PodView* PodByUid(std::string_view uid) const;
  // The Pod from which this incarnation answered last; nullptr if another (or nobody) answers
  // there.
  const PodView* PodHearing(std::string_view incarnation) const;
  // Newest words of that incarnation; nullptr if there are none.
  const control::NodeState* Words(std::string_view incarnation) const;
  MonoTime HeardAt(std::string_view incarnation) const;
  // Connected and heard lately.
  bool Hears(const PodView& pod) const;
  // And not proven dead.
  bool Reachable(const PodView& pod) const;
  bool Reachable(std::string_view incarnation) const;
  // The process in that Pod as others are to name it. The Pod must have been heard.
  control::NodeRef RefOf(const PodView& pod) const;
  std::string ZoneOf(const control::NodeRef& node) const;

  // -- what its words mean for this group
  // 0 for a node that belongs elsewhere: epochs of different groups do not compare.
  uint64_t EpochOf(const control::NodeState& node) const;
  bool Ours(const control::NodeState& node) const { return node.group == spec.group_uid; }
  bool InOffice(const control::NodeState& node, uint64_t epoch) const;  // primary of that epoch
  // Knows `epoch` and no longer acts as primary of a lower one.
  bool FencedAt(const control::NodeState& node, uint64_t epoch) const;
  bool HoldsData(const control::NodeState& node) const;  // the group's whole data set
  uint64_t HighestEpochHeard() const;

  const Death* DeathOf(std::string_view incarnation) const;
  bool Dead(std::string_view incarnation) const { return DeathOf(incarnation) != nullptr; }

  const control::Configuration& Newest() const;
  // S and T that a takeover reckons with for `c` (rule kConfigST: its own).
  uint32_t SynchronousReplicas(const control::Configuration& c) const;
  uint32_t LeaseMs(const control::Configuration& c) const;

  // -- what to do
  // Starts the clock of a step when it is first seen; returns how long ago that was.
  Duration InStep(std::string_view key);
  void Note(bool warning, std::string reason, std::string message);
  void Forbid() { out.grants = {}; }
  void Allow(uint64_t epoch, const control::NodeRef& to) {
    out.grants = {true, epoch, to.incarnation};
  }
};

// `2 s 300 ms` as "2.3 s".
std::string Span(Duration d);

// For Turn::InStep: the same step of the same transition.
std::string StepKey(const Failover& failover);

// What the primary says of that replica; nullptr: nothing.
const control::ReplicaAck* AckOf(const control::NodeState& primary, std::string_view incarnation);
bool Has(const std::vector<std::string>& list, const std::string& value);

}  // namespace understudy::failover
