// What one plan of a group works with: the view, who is a member, what each member is doing.
//
// Lives for one PlanGroup on the caller's stack and borrows the view. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "operator/api/conditions.h"
#include "operator/failover/machine.h"
#include "operator/plan/deferral.h"
#include "operator/plan/membership.h"
#include "operator/plan/observation.h"
#include "operator/plan/plan.h"
#include "operator/plan/pod_template.h"
#include "operator/plan/rollout.h"

namespace understudy::plan {

inline constexpr Duration kLagPeriod = Seconds(10);  // at most one change of the figure in a lag column
// Of a leader: after that a running process that stays silent does not count.
inline constexpr Duration kHearingTime = Seconds(30);

// Of a step that the first start goes before, and of what was announced too: it may wait for the user.
inline constexpr const char* kUntilStartedWords = "waits until the group has started";

struct MemberNow {
  const Member* member = nullptr;
  const failover::PodView* process = nullptr;
  const control::NodeState* words = nullptr;  // nullptr: its channel is down
  std::optional<Fault> fault;
  std::string zone;
  std::string role;         // "primary", "replica", "standalone", ""
  bool is_primary = false;  // by the group's state
  bool ready = false;       // does what its role asks for
  bool in_sync = false;     // replica: the primary says so
  bool reader = false;      // belongs behind the reader Service
  bool parts = false;       // its Promote or its move has begun (promote_demote.h)
  std::string hands_over_to;  // a primary whose turn it is to leave: who has to be primary first (leaving_primary.h)
  bool kept = false;        // its object is being deleted, and the group needs it for a moment yet (last_copy.h)
  bool serves_alone = false;  // it stands alone and takes writes, as its group has not been started
  std::string link_status;
  std::string lag;
  // Condition InSync.
  api::Truth sync = api::Truth::kFalse;
  std::string_view sync_reason;
  std::string sync_message;
  Deferral deferral;  // asked by FillMembers (Promote, Demote) and FillRollout
  std::optional<PodTemplate> pod_template;  // of those that may run
  std::optional<Placement> placement;       // of the template, if it was asked for
  Status unbuildable;                       // or why it has none

  const std::string& name() const { return member->name(); }
};

struct GroupTurn {
  const GroupView& view;
  const api::ReplicationGroup& group;
  const failover::GroupState& state;  // as persisted
  MonoTime now;
  WallTime wall;
  Membership membership;
  std::vector<MemberNow> members;  // wanted and leaving, by name
  std::string endpoint_pod_uid;    // whom our primary EndpointSlice names
  std::string foreign_endpoints;   // what else stands behind the primary Service; "" = nothing
  bool settled = true;
  std::string lacks_replicas;  // why the primary acknowledges no write although it holds its lease; from the decision
  // Asked by FillRollout.
  Deferral deferral;
  bool edit_due = false;           // the switchover that primaryClusterId asks for
  std::optional<Rollout> rollout;  // unset: not asked for yet

  const MemberNow* Find(const std::string& name) const;
  const control::NodeState* PrimaryWords() const;
};

// Facts of each member; whether the primary is `ready` is the machine's to say, later. Updates the memory's
// times; wake_at is pulled to when a label or a column is due. Once per plan.
void FillMembers(GroupTurn* turn, Plan* plan);

// By its status: not since it was made, or since it stood alone.
bool NeverInSync(const api::CacheNode& node);

// Its process is a voter of the newest configuration.
bool Votes(const GroupTurn& turn, const MemberNow& now);

// Such a process has the group's data or is about to get it: it is of the group, or without any role yet. One that stands
// alone with its own data does not join by itself.
bool MayInherit(const GroupTurn& turn, const control::NodeState& words);

// A Pod of it that is there is named by the group's state: as the primary, a voter, or by a running transition.
bool IsCountedOn(const GroupTurn& turn, const MemberNow& now);

// A group that was never accepted makes nothing, for itself or for its nodes.
bool WasAccepted(const GroupTurn& turn);
// Objects are made and kept for the member, and its process is asked for what it is to have. A node that stands alone in
// a group that was never accepted is served as before.
bool IsServed(const GroupTurn& turn, const Member& member);

// By its status it is out of the group, which its process may not know yet.
bool HasLeft(const GroupTurn& turn, const NodeView& node);

// The machine's input: what observe filled plus spec, members, moves and the administrator's word.
failover::View FailoverViewOf(const GroupTurn& turn);

// Our slice's target, and whatever else claims to be behind the primary Service.
void FillEndpoints(GroupTurn* turn);

}  // namespace understudy::plan
