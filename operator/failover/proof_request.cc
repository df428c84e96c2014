#include "operator/failover/proof_request.h"

#include <algorithm>

namespace understudy::failover {

using control::NodeRef;

void AskForProof(Turn& turn, MonoTime since, const std::string& why, const std::vector<NodeRef>& nodes) {
  if (nodes.empty()) return;
  if (turn.now - since < kProofPatience) {
    turn.WakeAt(since + kProofPatience);
    return;
  }
  std::string names, incarnations;
  for (const NodeRef& node : nodes) {
    names += (names.empty() ? "" : " and ") + node.name;
    incarnations += (incarnations.empty() ? "" : ",") + node.incarnation;
  }
  turn.out.findings.waiting_for_proof = nodes.front();
  turn.out.findings.waiting_message = why + "; if " + names + " will not come back, confirm it with annotation " +
                                      "cache.understudy.dev/confirm-dead: " + incarnations;
}

}  // namespace understudy::failover
