// Which member's Pod is replaced next, so that its pending modifications come into force.
//
// One member at a time: first one that is down anyway, then replicas by name, the primary last, by a switchover
// and then as the replica that it has become. A switchover that an edit of primaryClusterId asks for is that
// switchover when both are due: one is enough, and its target was replaced before. Nothing while another member does not work, while roles move or
// while a change of voters is under way. All of it follows from what is seen: an operator that takes over in
// the middle goes on, and an edit back leaves nothing to do. A group of one node loses its data with its Pod,
// so that is done only when it is due, and said before. Pure.
#pragma once

#include <set>
#include <string>

namespace understudy::plan {

struct GroupTurn;
struct MemberNow;

struct Rollout {
  std::set<std::string> replace;  // members whose Pod is to be deleted now
  // The primary is next and hands over first, to a member of the wanted template if there is one; to the one that
  // primaryClusterId names rather than to another.
  bool hand_over = false;
  std::string heir;
};

// The member's Pod template, or why it has none.
void FillTemplate(const GroupTurn& turn, MemberNow* now);

// Asks for everything deferrable of the group and of its members (turn->deferral, each member's deferral) but
// what promote_demote.h asks for, and chooses. Needs FillMembers. Once per plan.
void FillRollout(GroupTurn* turn);

// Whether it is the rollout that Findings.switchover_blocked holds up: said where the modification waits, and
// no trouble of the group.
bool BlocksHandOver(const GroupTurn& turn, const std::string& blocked);
void TellWhyNotHandedOver(const std::string& blocked, GroupTurn* turn);
// The same of the switchover that primaryClusterId asks for; that one is trouble of the group too.
void TellWhyNotSwitchedOver(const std::string& blocked, GroupTurn* turn);

// Why the primary hands over.
std::string HandOverReason(const std::string& primary);

}  // namespace understudy::plan
