// Who may not leave a group yet, because the data would be lost with the Pod of the only member that stays.
//
// A rollout replaces each Pod, the primary's last, while another member has the data. Who is about to leave may be
// the only other one: it goes after that rollout. Only where the rollout is due now: one that waits for its window
// may wait for days, and then says what it costs (rollout.h). Pure.
#pragma once

#include <string>

namespace understudy::plan {

struct GroupTurn;
struct MemberNow;

// Its Pod is due to be replaced, or may be when its process has said which parameters it takes as it runs.
bool IsToBeReplaced(const GroupTurn& turn, MemberNow* now);

// Whose Pod is due to be replaced, and would take the group's data along once `leaver` has left, which has the data
// or is about to have it. nullptr: nobody's.
const MemberNow* WouldBeAloneWhenReplaced(GroupTurn* turn, const MemberNow& leaver);

// Why a member whose object is being deleted stays for now: WouldBeAloneWhenReplaced, or the new Pod has not got the
// data from it yet. "" = it may go.
std::string WhyKept(GroupTurn* turn, const MemberNow& leaver);

}  // namespace understudy::plan
