// Who is a member of a group, who leaves, who is refused and why.
//
// Membership is declared (spec.replicationGroupId) or claimed (spec.primaryClusterId); it is kept by those
// who have it (status.members, status.group_uid), and newcomers come in by age while there is room. Pure.
// Source: API.md "CacheCluster.spec and ReadReplica.spec", "Names, labels, ports".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "operator/plan/group_view.h"

namespace understudy::plan {

// The end of a name conflict is an event of somebody else's object: looked for at this pace.
inline constexpr Duration kConflictPeriod = Seconds(30);

struct Member {
  const NodeView* view = nullptr;
  api::NodeSettings settings;     // in force
  bool wanted = true;             // false: its object is being deleted; it leaves the voters first
  bool accepted_before = false;
  bool declared = false;          // its spec names the group: in replicationGroupId, or as what it leaves
  bool promotes = false;          // asks for Promote: promotedFrom names the group
  std::string moves_to;           // asks to move: replicationGroupId names this other group; "" = no
  // Listed in a group that has not been started, and its spec no longer asks for it: nothing of the group is in it,
  // and it goes back to what it was (promote_demote.h).
  bool returns = false;
  bool operator_made = false;
  bool pool = false;
  // Condition Accepted. `can_run` false: nothing is made or changed for it, what runs is left alone.
  bool accepted = true;
  bool waits = false;             // not accepted, but no edit is needed: time or another object helps
  bool can_run = true;
  std::string_view reason;
  std::string message;

  const std::string& name() const { return view->node.meta.name; }
  bool AsksToLeave() const { return promotes || !moves_to.empty(); }
};

struct Membership {
  std::vector<Member> members;     // by name; those that leave are among them, those over the quota are not
  std::vector<Member> refused;     // Accepted=False: over the quota, or a name that an older object has
  // Of those that PlanMembership was given, by age: they have a place and may join.
  std::vector<const NodeView*> joiners;
  // Why the group itself is not accepted; empty: it is.
  std::string_view group_reason;
  std::string group_message;
  // The node of the first start, by name; it may not exist yet. "" = a member is missing that could be it.
  std::string first_primary;
  // How many nodes of the pool are no replicas but stand in for the group's own node: one if that one has left, and no
  // node but the pool's is left.
  int stand_ins = 0;

  const Member* Find(const std::string& name) const;
  int Wanted() const;
};

// joiners: independent nodes that would join now if there is a place (promote_demote.h), by age. They stand in one
// line with the newcomers that were never independent.
Membership PlanMembership(const GroupView& view, const std::vector<const NodeView*>& joiners);

// Zones that the Pod of a member is to keep out of where it can, sorted: those that are full with members that are
// pinned to them, once this one and those before it by name that may be anywhere have filled up the others. Members that
// may be anywhere spread by themselves; what the scheduler can't know is who is pinned and comes later. zones: of the
// cluster, that take Pods.
std::vector<std::string> ZonesToAvoid(const Membership& membership, const Member& member,
                                      const std::set<std::string>& zones);

// Whether the node was ordered to stand alone, and has not joined a group since.
bool StandsAlone(const api::CacheNode& node);
// The status lets its node go, whose process may still be where it was: in the group that the status names.
bool IsLeaving(const api::CacheNodeStatus& status);
// The group that a node which no group answers for is to be looked at with: the one that it names, left, or
// belonged to last; "" = none.
const std::string& NamedGroup(const api::CacheNode& node);
// Whether the group counts this node among its own: by status.members, as its primary, or in a configuration.
bool Has(const GroupObject& group, const std::string& node);

// An older object of ours, or something that we did not make, has a name that a node needs; a sentence that names
// its kind and whose it is, or "" when the names are free.
std::string NodeNameConflict(const NodeView& view, const std::vector<NameClaim>& claims);
// The sentence about an object that was not made by the operator: "Service default/a", whose it is, what to do.
std::string ForeignObject(std::string_view kind, const api::ObjectMeta& meta);

}  // namespace understudy::plan
