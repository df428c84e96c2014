// Ranges of sorted sets, by rank, by score or by name: read, counted, removed, stored. Each range becomes ranks first
// (types/sorted_set.h), so counting is O(log n), and every form of ZRANGE is one walk.
#include <string>
#include <utility>

#include "node/command/notify.h"
#include "node/command/sorted_set_access.h"
#include "node/command/store_result.h"
#include "node/config/config.h"
#include "node/resp/errors.h"

namespace understudy::command {
namespace {

using resp::Writer;
using types::Ranks;
using types::SortedSet;

enum class By : uint8_t { kRank, kScore, kName };

// A range of members before it is known of which set.
struct Range {
  By by = By::kRank;
  int64_t start = 0, stop = 0;  // kRank
  types::ScoreRange scores;     // kScore
  types::LexRange names;        // kName
  bool reverse = false;
  int64_t offset = 0, count = -1;  // LIMIT, of the others than kRank

  Ranks Of(const SortedSet& set) const {
    if (by != By::kRank) {
      return types::Limit(by == By::kScore ? set.RanksIn(scores) : set.RanksIn(names), reverse, offset, count);
    }
    Ranks ranks = types::RanksBetween(start, stop, set.Size());
    if (reverse) ranks.first = set.Size() - ranks.first - ranks.count;
    return ranks;
  }
};

// The two ends; `reverse` ranges of scores and names begin with the upper one. False after the error reply.
bool ReadEnds(std::string_view first, std::string_view second, Range* range, Writer& reply) {
  if (range->by == By::kRank) return ReadInt64(first, &range->start, reply) && ReadInt64(second, &range->stop, reply);
  if (range->reverse) std::swap(first, second);
  if (range->by == By::kScore) {
    const auto min = types::ParseScoreBound(first), max = types::ParseScoreBound(second);
    if (min && max) {
      range->scores = {*min, *max};
      return true;
    }
    reply.Error("ERR min or max is not a float");
    return false;
  }
  const auto min = types::ParseLexBound(first), max = types::ParseLexBound(second);
  if (min && max) {
    range->names = {*min, *max};
    return true;
  }
  reply.Error("ERR min or max not valid string range item");
  return false;
}

// ---------------------------------------------------------------------------------------------- ZRANGE and its like

// Which options a command of the family has beyond LIMIT.
struct Form {
  bool chooses = false;  // BYSCORE, BYLEX, REV
  bool scores = false;   // WITHSCORES
};

// words: min, max, then options. range: what the command's name says. False after the error reply.
bool ReadRange(Args words, const Form& form, Range* range, bool* with_scores, Writer& reply) {
  bool chosen = false;
  for (size_t i = 2; i < words.size(); ++i) {
    if (form.scores && Is(words[i], "withscores")) {
      *with_scores = true;
    } else if (Is(words[i], "limit") && i + 2 < words.size()) {
      if (!ReadInt64(words[i + 1], &range->offset, reply) || !ReadInt64(words[i + 2], &range->count, reply)) {
        return false;
      }
      i += 2;
    } else if (form.chooses && !range->reverse && Is(words[i], "rev")) {
      range->reverse = true;
    } else if (form.chooses && !chosen && (Is(words[i], "bylex") || Is(words[i], "byscore"))) {
      range->by = Is(words[i], "bylex") ? By::kName : By::kScore;
      chosen = true;
    } else {
      reply.Error(resp::kSyntaxError);
      return false;
    }
  }
  if (range->count != -1 && range->by == By::kRank) {
    reply.Error("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
    return false;
  }
  if (*with_scores && range->by == By::kName) {
    reply.Error("ERR syntax error, WITHSCORES not supported in combination with BYLEX");
    return false;
  }
  return ReadEnds(words[0], words[1], range, reply);
}

void ReadMembers(CallContext& ctx, Args args, const Form& form, Range range, Writer& reply) {
  bool with_scores = false;
  if (!ReadRange(args.subspan(2), form, &range, &with_scores, reply)) return;
  const store::Entry* entry;
  if (!LookupSortedSet(ctx, args[1], &entry, reply)) return;
  if (entry == nullptr) return reply.Array(0);
  const auto set = entry->As<SortedSet>();
  const Ranks ranks = range.Of(*set);
  MemberReply members(ranks.count, with_scores, reply);
  set->Walk(ranks, range.reverse, [&](std::string_view member, double score) {
    members.Add(member, score);
    return true;
  });
}

void ZRange(CallContext& ctx, Args args, Writer& reply) { ReadMembers(ctx, args, {true, true}, {}, reply); }
void ZRevRange(CallContext& ctx, Args args, Writer& reply) {
  ReadMembers(ctx, args, {false, true}, {.reverse = true}, reply);
}
void ZRangeByScore(CallContext& ctx, Args args, Writer& reply) {
  ReadMembers(ctx, args, {false, true}, {.by = By::kScore}, reply);
}
void ZRevRangeByScore(CallContext& ctx, Args args, Writer& reply) {
  ReadMembers(ctx, args, {false, true}, {.by = By::kScore, .reverse = true}, reply);
}
void ZRangeByLex(CallContext& ctx, Args args, Writer& reply) {
  ReadMembers(ctx, args, {false, true}, {.by = By::kName}, reply);
}
void ZRevRangeByLex(CallContext& ctx, Args args, Writer& reply) {
  ReadMembers(ctx, args, {false, true}, {.by = By::kName, .reverse = true}, reply);
}

void ZRangeStore(CallContext& ctx, Args args, Writer& reply) {
  Range range;
  bool with_scores = false;
  if (!ReadRange(args.subspan(3), {true, false}, &range, &with_scores, reply)) return;
  const store::Entry* entry = LookupRead(ctx, AnyKey(ctx, args[2]));
  if (HasOtherType(entry, store::Type::kSortedSet, reply)) return;
  SortedSet result;
  if (entry != nullptr) {
    const types::Limits limits = ctx.services.config.limits();
    const auto set = entry->As<SortedSet>();
    const Ranks ranks = range.Of(*set);
    result.Expect(ranks.count, 0, limits);
    set->Walk(ranks, false, [&](std::string_view member, double score) {
      result.Add(member, score, limits);
      return true;
    });
  }
  const auto size = static_cast<int64_t>(result.Size());
  if (StoreResult(ctx, FirstKey(ctx, args[1]), std::move(result), config::kNotifySortedSet, "zrangestore")) {
    ctx.effects.Verbatim(ctx.db, args);
  }
  reply.Integer(size);
}

// ---------------------------------------------------------------------------------------------- counting, removing

void CountMembers(CallContext& ctx, Args args, Range range, Writer& reply) {
  if (!ReadEnds(args[2], args[3], &range, reply)) return;
  const store::Entry* entry;
  if (!LookupSortedSet(ctx, args[1], &entry, reply)) return;
  reply.Integer(entry != nullptr ? static_cast<int64_t>(range.Of(*entry->As<SortedSet>()).count) : 0);
}
void ZCount(CallContext& ctx, Args args, Writer& reply) { CountMembers(ctx, args, {.by = By::kScore}, reply); }
void ZLexCount(CallContext& ctx, Args args, Writer& reply) { CountMembers(ctx, args, {.by = By::kName}, reply); }

void RemoveMembers(CallContext& ctx, Args args, Range range, Writer& reply) {
  if (!ReadEnds(args[2], args[3], &range, reply)) return;
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupWrite(ctx, key);
  if (HasOtherType(entry, store::Type::kSortedSet, reply)) return;
  if (entry == nullptr) return reply.Integer(0);
  const Ranks ranks = range.Of(*entry->As<SortedSet>());
  if (ranks.count == 0) return reply.Integer(0);
  bool gone = false;
  {
    auto set = EditValue<SortedSet>(ctx, key, entry);
    set->RemoveRange(ranks);
    gone = set->empty();
  }
  ctx.effects.Verbatim(ctx.db, args);
  Notify(ctx, config::kNotifySortedSet, ctx.row->name, key.name);
  if (gone) Notify(ctx, config::kNotifyGeneric, "del", key.name);
  reply.Integer(static_cast<int64_t>(ranks.count));
}
void ZRemRangeByRank(CallContext& ctx, Args args, Writer& reply) { RemoveMembers(ctx, args, {}, reply); }
void ZRemRangeByScore(CallContext& ctx, Args args, Writer& reply) {
  RemoveMembers(ctx, args, {.by = By::kScore}, reply);
}
void ZRemRangeByLex(CallContext& ctx, Args args, Writer& reply) { RemoveMembers(ctx, args, {.by = By::kName}, reply); }

// clang-format off
constexpr KeySpec kOne{1, 1, 1}, kStore{1, 2, 1, nullptr, KeyAccess::kRead};
const Row kRows[] = {
  {"zrange", -4, kReadonly, kOne, KeyAccess::kRead, "@sortedset", "sorted-set", "1.2.0", "Reads a range of members.", "key start stop [BYSCORE|BYLEX] [REV] [LIMIT offset count] [WITHSCORES]", ZRange},
  {"zrevrange", -4, kReadonly, kOne, KeyAccess::kRead, "@sortedset", "sorted-set", "1.2.0", "Reads members by rank, counted from the highest score.", "key start stop [WITHSCORES]", ZRevRange},
  {"zrangebyscore", -4, kReadonly, kOne, KeyAccess::kRead, "@sortedset", "sorted-set", "1.0.5", "Reads the members with scores in a range.", "key min max [WITHSCORES] [LIMIT offset count]", ZRangeByScore},
  {"zrevrangebyscore", -4, kReadonly, kOne, KeyAccess::kRead, "@sortedset", "sorted-set", "2.2.0", "Reads the members with scores in a range, the highest first.", "key max min [WITHSCORES] [LIMIT offset count]", ZRevRangeByScore},
  {"zrangebylex", -4, kReadonly, kOne, KeyAccess::kRead, "@sortedset", "sorted-set", "2.8.9", "Reads the members with names in a range, if all scores are equal.", "key min max [LIMIT offset count]", ZRangeByLex},
  {"zrevrangebylex", -4, kReadonly, kOne, KeyAccess::kRead, "@sortedset", "sorted-set", "2.8.9", "Reads the members with names in a range, the last first.", "key max min [LIMIT offset count]", ZRevRangeByLex},
  {"zrangestore", -5, kWrite | kDenyOom, kStore, KeyAccess::kOverwrite, "@sortedset", "sorted-set", "6.2.0", "Stores a range of members in another key.", "dst src min max [BYSCORE|BYLEX] [REV] [LIMIT offset count]", ZRangeStore},
  {"zcount", 4, kReadonly | kFast, kOne, KeyAccess::kRead, "@sortedset", "sorted-set", "2.0.0", "Counts the members with scores in a range.", "key min max", ZCount},
  {"zlexcount", 4, kReadonly | kFast, kOne, KeyAccess::kRead, "@sortedset", "sorted-set", "2.8.9", "Counts the members with names in a range.", "key min max", ZLexCount},
  {"zremrangebyrank", 4, kWrite, kOne, KeyAccess::kDelete, "@sortedset", "sorted-set", "2.0.0", "Removes members by rank.", "key start stop", ZRemRangeByRank},
  {"zremrangebyscore", 4, kWrite, kOne, KeyAccess::kDelete, "@sortedset", "sorted-set", "1.2.0", "Removes the members with scores in a range.", "key min max", ZRemRangeByScore},
  {"zremrangebylex", 4, kWrite, kOne, KeyAccess::kDelete, "@sortedset", "sorted-set", "2.8.9", "Removes the members with names in a range.", "key min max", ZRemRangeByLex},
};
// clang-format on

}  // namespace

std::span<const Row> SortedSetRangeCommands() { return kRows; }

}  // namespace understudy::command
