// What the commands on sorted sets share: how they find one, how they write members and scores.
#pragma once

#include <string_view>

#include "node/command/call_context.h"
#include "node/resp/writer.h"
#include "node/types/score_text.h"
#include "node/types/sorted_set.h"

namespace understudy::command {

// The sorted set at `name`, the command's first key, for a command that reads. False after an error reply; *entry is
// null if there is none.
inline bool LookupSortedSet(CallContext& ctx, std::string_view name, const store::Entry** entry, resp::Writer& reply) {
  *entry = LookupRead(ctx, FirstKey(ctx, name));
  return !HasOtherType(*entry, store::Type::kSortedSet, reply);
}

inline void ReplyScore(double score, resp::Writer& reply) {
  types::ScoreBuffer buffer;
  reply.DoubleText(types::FormatScore(score, buffer));
}

// A reply of members, or of members with their scores: in RESP2 one after the other, in RESP3 in pairs.
class MemberReply {
 public:
  MemberReply(uint64_t members, bool scores, resp::Writer& reply)
      : scores_(scores), nested_(scores && reply.protocol() == 3), reply_(reply) {
    reply.Array(scores && !nested_ ? members * 2 : members);
  }
  void Add(std::string_view member, double score) {
    if (nested_) reply_.Array(2);
    reply_.Bulk(member);
    if (scores_) ReplyScore(score, reply_);
  }

 private:
  const bool scores_, nested_;
  resp::Writer& reply_;
};

}  // namespace understudy::command
