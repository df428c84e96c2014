#include "operator/failover/proof_request.h"

#include <algorithm>

#include "operator/failover/election.h"

namespace understudy::failover {

using control::NodeRef;

namespace {

// Why what annotation confirm-dead names does not help: it came too early, or is a mistake, or a request that is over.
std::string WhyNotConfirmed(const Turn& turn, const std::vector<NodeRef>& nodes) {
  for (const NodeRef& node : nodes) {
    if (!Has(turn.state.void_words, node.incarnation)) continue;
    return "; annotation confirm-dead has named " + node.name +
           " since it still answered, which counts for nothing: remove the annotation before you set it again";
  }
  constexpr size_t kLongest = 64;  // of a word that is repeated; an incarnation has 32 characters
  for (const control::Incarnation& word : turn.view.confirmed_dead) {
    const bool expected = turn.Dead(word) || std::any_of(nodes.begin(), nodes.end(), [&](const NodeRef& node) {
      return node.incarnation == word;
    });
    if (!expected) return "; annotation confirm-dead names '" + word.substr(0, kLongest) + "', which is not waited for";
  }
  return "";
}

}  // namespace

void AskForProof(Turn& turn, MonoTime since, const std::string& why, const std::vector<NodeRef>& nodes, Duration patience) {
  if (nodes.empty()) return;
  if (turn.now - since < patience) {
    turn.WakeAt(since + patience);
    return;
  }
  std::string names, incarnations;
  for (const NodeRef& node : nodes) {
    names += (names.empty() ? "" : " and ") + node.name;
    incarnations += (incarnations.empty() ? "" : ",") + node.incarnation;
  }
  turn.out.findings.waiting_for_proof = nodes.front();
  turn.out.findings.waiting_message = why + WhyNotConfirmed(turn, nodes) + "; if " + names +
                                      " will not come back, and what nobody else has may be lost, confirm it with annotation " +
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
