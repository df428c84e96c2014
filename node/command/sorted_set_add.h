// Adding to sorted sets, once the scores are known: ZADD, ZINCRBY, GEOADD.
#pragma once

#include <span>
#include <string_view>

#include "node/command/call_context.h"
#include "node/types/sorted_set.h"

namespace understudy::command {

struct ScoredName {
  double score;  // no NaN
  std::string_view member;
};

// Adds to args[1], replicates `args`, tells listeners and replies: how many were added, with `count_changed` also those
// that have another score now; after an increment the score, or null. members: at least one, only one of an increment.
void AddScored(CallContext& ctx, Args args, const types::SortedSet::AddRule& rule, bool count_changed,
               std::span<const ScoredName> members, resp::Writer& reply);

}  // namespace understudy::command
