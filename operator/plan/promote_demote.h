// Promote and Demote (API.md): a member that leaves its group with its data, and an independent node that joins
// one and drops its own.
//
// Each step is persisted before the next, so that an operator that dies anywhere is resumed at a node that is
// either a member or independent:
//  Promote  leaves the reader endpoint -> leaves the voters (an acknowledged configuration without it) -> its
//           own status says that it stands alone, as this process, with a new data set id -> PlanLone gives it
//           its order. Up to the status everything is undone by taking the wish back.
//  Demote   its own status says that the group has it, while epoch, incarnation and data set still say what its
//           process may leave -> the machine orders it to follow and to drop that data set -> it says that it is
//           of the group. Until then it serves alone; a wish taken back takes the status back.
//  Move     of a member to another group: both. Status.movingTo carries the permission over the new data set
//           id. The primary may move only if it is the group's last node: the group's state is emptied first,
//           so that nothing points at it any more.
//  Return   from a group that has not been started: its status lets go of the node, which is what it was before.
// Where the process and the status differ, because an order was on its way when something changed, the process
// is right: its object's status follows it.
//
// Each begins in the maintenance window (deferral.h) and, once begun, goes on outside it. Of a member which leaves
// the beginning is that its status says ApplyingModifications for it. Pure.
#pragma once

#include <string>
#include <string_view>

#include "operator/plan/deferral.h"
#include "operator/plan/group_turn.h"
#include "operator/plan/plan.h"

namespace understudy::plan {

// As status.pendingModifiedValues names them.
inline constexpr const char* kPromoteField = "Promote";
inline constexpr const char* kDemoteField = "Demote";

// Whether a verb may begin, as far as roles, data and other objects go. If not: condition Accepted of the node says
// why. What is refused is not pending.
struct Permission {
  bool given = false;
  bool waits = false;  // no edit is needed: time, or another object's change, helps
  bool refused = false;  // Accepted=False
  std::string_view reason;
  std::string message;
  bool hands_over = false;  // waits only for its own primary role to move (leaving_primary.h)
};

// Every Promote is judged here: from `given` on the member leaves, step by step, as long as it stays given.
Permission BeginPromote(const GroupTurn& turn, const MemberNow& now);
// Every Demote is judged here, that of an independent node and that of a member which moves. group: the one that the
// node names. words: of the node's process, nullptr if it is silent.
Permission BeginDemote(const api::CacheNode& node, const control::NodeState* words, const GroupObject& group);
// The member asks to move: what its own group says, then BeginDemote.
Permission BeginMove(const GroupTurn& turn, const MemberNow& now);

// Independent nodes whose Demote into this group waits for nothing but a place and, for a moment, the primary's role;
// by age. wake_at is pulled to when another one's window opens.
std::vector<const NodeView*> JoinersOf(const GroupView& view, MonoTime now, WallTime wall, Plan* plan);

// Asks the window for the Demote of an independent node, for which BeginDemote gave `permission`; by the wishes of
// the node, else of the group that it is to join. Recorded in `deferral`. True: it may begin now.
bool AskForDemote(const api::CacheNode& node, const api::ReplicationGroup& group, const Permission& permission,
                  WallTime wall, Deferral* deferral);
// Of a verb that may begin and waits for its window: said after what is to happen.
std::string InWindow(const Deferral& deferral, std::string_view field);

// The data set of an independent node that may be dropped in this group; "" = none.
std::string DiscardableDataset(const api::CacheNode& node, const GroupObject& group);

// Condition Accepted of members that ask to leave, and MemberNow::parts; asks the window for all members. After
// their facts are known.
void JudgeDepartures(GroupTurn* turn);
// Leaves the voters: it has left the reader endpoint.
bool LeavesVoters(const MemberNow& now);
// The group's only node leaves it and its state has let it go: the machine, which would take it back, rests.
bool LeavesEmptied(const GroupTurn& turn);

// The next write by which a node leaves or joins, if one is due. The plan then holds nothing else.
bool PersistMembership(const GroupTurn& turn, const failover::Findings& findings, Plan* plan);

}  // namespace understudy::plan
