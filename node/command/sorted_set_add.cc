#include "node/command/sorted_set_add.h"

#include <algorithm>

#include "node/command/notify.h"
#include "node/command/sorted_set_access.h"
#include "node/config/config.h"

namespace understudy::command {

void AddScored(CallContext& ctx, Args args, const types::SortedSet::AddRule& rule, bool count_changed,
               std::span<const ScoredName> members, resp::Writer& reply) {
  using types::SortedSet;
  using Outcome = SortedSet::AddOutcome;
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupWrite(ctx, key);
  if (HasOtherType(entry, store::Type::kSortedSet, reply)) return;
  if (entry == nullptr) {
    if (rule.only_existing) return rule.increment ? reply.Null() : reply.Integer(0);
    NotifyIfNew(ctx, key);
  }
  // As Redis: of a set that is there only the number counts, as with XX no member may come to it.
  size_t longest = 0;
  for (const ScoredName& m : members) longest = entry == nullptr ? std::max(longest, m.member.size()) : 0;
  const types::Limits limits = ctx.services.config.limits();
  int64_t added = 0, updated = 0;
  SortedSet::AddResult last{};
  {
    auto set = EditOrMake<SortedSet>(ctx, key, entry, [] { return SortedSet(); });
    set->Expect(members.size(), longest, limits);
    for (const ScoredName& m : members) {
      last = set->Add(m.member, m.score, rule, limits);
      added += last.outcome == Outcome::kAdded;
      updated += last.outcome == Outcome::kUpdated;
    }
    if (added + updated == 0) set.NothingChanged();
  }
  if (last.outcome == Outcome::kNotANumber) return reply.Error("ERR resulting score is not a number (NaN)");
  if (added + updated > 0) {
    ctx.effects.Verbatim(ctx.db, args);
    Notify(ctx, config::kNotifySortedSet, rule.increment ? "zincr" : "zadd", key.name);
  }
  if (!rule.increment) return reply.Integer(count_changed ? added + updated : added);
  if (last.outcome == Outcome::kSkipped) return reply.Null();
  ReplyScore(last.score, reply);
}

}  // namespace understudy::command
