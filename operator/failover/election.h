// Who becomes primary, and may anybody? (FAILOVER.md section 6, steps 5 and 6.) Pure.
//
// Answers are given after the fence to a question asked after the wait: answering ends applying, so
// what an answer says stays true until the next role order.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "operator/failover/turn.h"

namespace understudy::failover {

struct Answer {
  control::NodeRef node;
  const control::NodeState* state = nullptr;  // of the view
};

struct Answers {
  std::vector<Answer> all;                           // fit ones
  std::vector<Answer> with_data;                     // may be elected
  bool Has(std::string_view incarnation) const;      // answered
  bool HasData(std::string_view incarnation) const;  // answered, and holds a whole data set
};

// Answers to this process's question of `epoch`.
Answers CollectAnswers(const Turn& turn, uint64_t epoch);
// What the nodes said last, as if they had been asked: to judge whether a takeover could succeed.
Answers ExpectedAnswers(const Turn& turn);

// Every write acknowledged under a listed configuration is among the answers.
struct Cover {
  bool covered = false;
  bool by_death = false;  // only because everybody else is dead: writes may be lost
  std::string missing;    // one sentence, when not covered
};
Cover JudgeCover(const Turn& turn, const Answers& answers);

// The answer that wins; answers.with_data must not be empty.
const Answer& Best(const Turn& turn, const Answers& answers, const control::NodeRef& old);

// True if `a` holds at least what `b` holds.
bool HoldsAsMuch(const Turn& turn, const control::NodeState& a, const control::NodeState& b);

// Those of `answers` that hold a prefix of what `winner` holds and stay in the group: its first
// voters.
std::vector<control::NodeRef> FirstVoters(const Turn& turn, const Answers& answers,
                                          const control::NodeState& winner);

// Processes of the listed configurations that neither answer nor are gone: a data set may be on them.
std::vector<control::NodeRef> Unaccounted(const Turn& turn, const Answers& answers);

// Nobody has data: may the group start empty, with whoever answers? Sentence why not; empty: it may.
std::string WhyNotEmpty(const Turn& turn, const Answers& answers);

}  // namespace understudy::failover
