#include "operator/failover/election.h"

#include <algorithm>
#include <tuple>

#include "common/check.h"
#include "common/control/quorum.h"

namespace understudy::failover {
namespace {

using control::Configuration;
using control::NodeRef;
using control::NodeState;

bool Named(const std::vector<Answer>& answers, std::string_view incarnation) {
  return std::any_of(answers.begin(), answers.end(),
                     [&](const Answer& a) { return a.node.incarnation == incarnation; });
}

// Not one that was promoted away: its object says that it stands alone, though its process may not
// have heard so yet. Who is listed counts even when its object is gone.
bool MayWin(const Turn& turn, const PodView& pod, const NodeState& state) {
  return turn.HoldsData(state) && (turn.FindMember(pod.member) != nullptr ||
                                   NamesIncarnation(turn.state, state.incarnation));
}

void Sort(const Turn& turn, const PodView& pod, const NodeState& state, Answers* answers) {
  if (pod.heard->state.unfit) return;  // counts as not answering; it may become fit again
  answers->all.push_back({turn.RefOf(pod), &state});
  if (MayWin(turn, pod, state)) answers->with_data.push_back(answers->all.back());
}

// Has no process of this group's data: it answers, but was never ordered.
bool IsBlank(const NodeState& node) {
  return node.role == control::Role::kUnassigned && !node.complete && !node.loading &&
         node.group.empty();
}

uint64_t HistoryOf(const Turn& turn, const NodeState& node) {
  // The epoch of the last applied record, never that of whom it follows: it may not have any data
  // of that one yet.
  return turn.on(Rule::kHistoryCompare) ? node.last_record_epoch : node.role_epoch;
}

// Dead, or heard in this takeover without data.
bool Gone(const Turn& turn, const Answers& answers, const NodeRef& node) {
  if (turn.Dead(node.incarnation)) return true;
  return answers.Has(node.incarnation) && !answers.HasData(node.incarnation);
}

// Its primary, or a later one (which was elected with everything of it), answers.
bool PrimaryAnswers(const Turn& turn, const Answers& answers, const Configuration& c) {
  if (!turn.on(Rule::kOldCandidate)) return false;
  for (const Configuration& d : turn.state.configurations) {
    if (d.epoch >= c.epoch && answers.HasData(d.primary.incarnation)) return true;
  }
  return false;
}

bool VotersAnswer(const Turn& turn, const Answers& answers, const Configuration& c) {
  size_t count = 0;
  for (const NodeRef& v : c.voters) {
    if (turn.on(Rule::kComplete) ? answers.HasData(v.incarnation) : answers.Has(v.incarnation)) {
      ++count;
    }
  }
  return count >= control::AnswersNeeded(c.voters.size(), turn.SynchronousReplicas(c));
}

// Heard in this takeover (an answer with data would have won), dead, or of another group.
bool Accounted(const Turn& turn, const Answers& answers, const PodView& pod) {
  const NodeState& node = pod.heard->state;
  if (answers.Has(node.incarnation)) return true;
  if (!turn.Ours(node) && !node.group.empty()) return true;
  if (!turn.Dead(node.incarnation)) return false;
  // A volume outlives the process: its next one may load the data.
  const Member* member = turn.FindMember(pod.member);
  return !pod.exists || member == nullptr || !member->has_volume;
}

// Names of those in `c` who neither answer with data nor are gone.
std::string Unheard(const Turn& turn, const Answers& answers, const Configuration& c) {
  std::string names;
  auto look = [&](const NodeRef& n) {
    if (answers.HasData(n.incarnation) || Gone(turn, answers, n)) return;
    names += (names.empty() ? "" : ", ") + n.name;
  };
  look(c.primary);
  for (const NodeRef& v : c.voters) look(v);
  return names;
}

}  // namespace

bool Answers::Has(std::string_view incarnation) const {
  return Named(all, incarnation);
}
bool Answers::HasData(std::string_view incarnation) const {
  return Named(with_data, incarnation);
}

Answers CollectAnswers(const Turn& turn, uint64_t epoch) {
  Answers answers;
  for (const PodView& pod : turn.view.pods) {
    if (!pod.heard || !turn.Reachable(pod)) continue;
    const NodeState& now = pod.heard->state;
    if (IsBlank(now) && pod.heard->at > turn.memory.step_since) {
      Sort(turn, pod, now, &answers);
      continue;
    }
    if (!turn.on(Rule::kFreshRead)) {
      if (turn.EpochOf(now) >= epoch && turn.FencedAt(now, epoch)) Sort(turn, pod, now, &answers);
      continue;
    }
    if (!pod.answer || turn.memory.nonce == 0) continue;
    const NodeState& answer = pod.answer->state;
    if (answer.nonce != turn.memory.nonce || answer.incarnation != now.incarnation ||
        turn.EpochOf(answer) != epoch) {
      continue;
    }
    Sort(turn, pod, answer, &answers);
  }
  return answers;
}

Answers ExpectedAnswers(const Turn& turn) {
  Answers answers;
  for (const PodView& pod : turn.view.pods) {
    if (pod.heard && turn.Reachable(pod) &&
        pod.heard->state.incarnation != turn.state.primary.incarnation) {
      Sort(turn, pod, pod.heard->state, &answers);
    }
  }
  return answers;
}

Cover JudgeCover(const Turn& turn, const Answers& answers) {
  Cover cover;
  cover.covered = true;
  for (size_t i = 0; i < turn.state.configurations.size(); ++i) {
    if (i > 0 && !turn.on(Rule::kEveryConfig)) break;
    const Configuration& c = turn.state.configurations[i];
    const uint32_t s = turn.SynchronousReplicas(c);
    if (s == 0 || PrimaryAnswers(turn, answers, c) || VotersAnswer(turn, answers, c)) continue;
    const std::string unheard = Unheard(turn, answers, c);
    if (turn.on(Rule::kDeadFinal) && unheard.empty()) {
      // With fewer voters than S nothing was ever acknowledged under it.
      if (c.voters.size() >= s) cover.by_death = true;
      continue;
    }
    cover.covered = false;
    cover.missing = "an acknowledged write may be on a node that does not answer (" + unheard + ")";
    return cover;
  }
  return cover;
}

const Answer& Best(const Turn& turn, const Answers& answers, const NodeRef& old) {
  CHECK(!answers.with_data.empty());
  const std::string failed_zone = turn.ZoneOf(old);
  auto key = [&](const Answer& a) {
    const PodView* pod = turn.PodByUid(a.node.pod_uid);
    const bool leaving = !turn.Stays(a.node.name);
    const bool ending =
        pod && (pod->heard->state.terminating || pod->deletion_timestamp.unix_ms != 0);
    const bool is_old = a.node.incarnation == old.incarnation;
    const bool same_zone = !failed_zone.empty() && pod && pod->zone == failed_zone;
    return std::tuple(~HistoryOf(turn, *a.state), ~a.state->offset, leaving, ending, is_old,
                      same_zone, a.node.name);
  };
  return *std::min_element(answers.with_data.begin(), answers.with_data.end(),
                           [&](const Answer& a, const Answer& b) { return key(a) < key(b); });
}

bool HoldsAsMuch(const Turn& turn, const NodeState& a, const NodeState& b) {
  return std::pair(HistoryOf(turn, a), a.offset) >= std::pair(HistoryOf(turn, b), b.offset);
}

std::vector<NodeRef> FirstVoters(const Turn& turn, const Answers& answers,
                                 const NodeState& winner) {
  std::vector<NodeRef> voters;
  for (const Answer& a : answers.with_data) {
    const PodView* pod = turn.PodByUid(a.node.pod_uid);
    if (a.node.incarnation == winner.incarnation || !turn.Wanted(a.node.name)) continue;
    if (pod && (pod->heard->state.terminating || pod->deletion_timestamp.unix_ms != 0)) continue;
    if (a.state->last_record_epoch == winner.last_record_epoch &&
        a.state->offset <= winner.offset) {
      voters.push_back(a.node);
    }
  }
  return voters;
}

std::vector<NodeRef> Unaccounted(const Turn& turn, const Answers& answers) {
  std::vector<NodeRef> nodes;
  for (const NodeRef& node : NamedNodes(turn.state)) {
    const bool listed = std::any_of(
        turn.state.configurations.begin(), turn.state.configurations.end(),
        [&](const Configuration& c) {
          auto same = [&](const NodeRef& n) { return n.incarnation == node.incarnation; };
          return same(c.primary) || std::any_of(c.voters.begin(), c.voters.end(), same);
        });
    if (listed && !answers.HasData(node.incarnation) && !Gone(turn, answers, node)) nodes.push_back(node);
  }
  return nodes;
}

std::string WhyNotEmpty(const Turn& turn, const Answers& answers) {
  if (const std::vector<NodeRef> nodes = Unaccounted(turn, answers); !nodes.empty()) {
    return nodes.front().name + " may still have the data: it neither answers nor is proven dead";
  }
  if (turn.on(Rule::kAllHeard)) {
    for (const PodView& pod : turn.view.pods) {
      if (!pod.ever_started && !pod.heard) continue;  // no process of it ever ran
      if (!pod.exists && !pod.heard) continue;        // listed ones were looked at above
      if (pod.heard && Accounted(turn, answers, pod)) continue;
      return pod.member +
             " may have data: it was not heard in this takeover and is not proven dead";
    }
  }
  return "";
}

}  // namespace understudy::failover
