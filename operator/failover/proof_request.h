// What people are asked for when a group can only go on with their word that processes have ended (FAILOVER.md
// section 4): which ones, and in which sentence. Pure.
#pragma once

#include <string>
#include <vector>

#include "operator/failover/turn.h"

namespace understudy::failover {

// Says in the findings that the end of `nodes` is waited for; nobody is asked before it has been waited for `patience`
// since `since`, as most proofs come by themselves. why: what stands in the way, without the request. At most once a Turn.
void AskForProof(Turn& turn, MonoTime since, const std::string& why, const std::vector<control::NodeRef>& nodes,
                 Duration patience = kProofPatience);

// `old`, and who else would still be in the way of an election if that one were proven dead. Processes that answer are
// nobody's to confirm.
std::vector<control::NodeRef> MustBeDead(const Turn& turn, const control::NodeRef& old);

}  // namespace understudy::failover
