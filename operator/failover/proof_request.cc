#include "operator/failover/proof_request.h"

#include <algorithm>

#include "operator/failover/election.h"

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

std::vector<NodeRef> MustBeDead(const Turn& turn, const NodeRef& old) {
  std::vector<NodeRef> nodes = {old};
  const Answers answers = ExpectedAnswers(turn);
  if (!answers.with_data.empty() && JudgeCover(turn, answers).covered) return nodes;
  for (const NodeRef& node : Unaccounted(turn, answers)) {
    if (node.incarnation != old.incarnation && !turn.Reachable(node.incarnation)) nodes.push_back(node);
  }
  return nodes;
}

}  // namespace understudy::failover
