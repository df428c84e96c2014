// Sorted sets, member by member. Ranges of them are in sorted_set_range_family.cc, their ends in
// sorted_set_pop_family.cc, what combines several in sorted_set_algebra_family.cc.
#include <cmath>
#include <cstdio>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "common/random.h"
#include "node/command/notify.h"
#include "node/command/random_count.h"
#include "node/command/scan_options.h"
#include "node/command/sorted_set_access.h"
#include "node/command/sorted_set_add.h"
#include "node/config/config.h"
#include "node/resp/errors.h"
#include "node/types/sample.h"

namespace understudy::command {
namespace {

using resp::Writer;
using types::SortedSet;

constexpr store::Type kSortedSet = store::Type::kSortedSet;

// ---------------------------------------------------------------------------------------------- writing

// False at a word that is no option of ZADD.
bool TakeAddOption(std::string_view word, SortedSet::AddRule* rule, bool* count_changed) {
  const std::pair<std::string_view, bool*> options[] = {
      {"nx", &rule->only_new},  {"xx", &rule->only_existing}, {"gt", &rule->only_greater},
      {"lt", &rule->only_less}, {"incr", &rule->increment},   {"ch", count_changed},
  };
  for (const auto& [name, option] : options) {
    if (Is(word, name)) return *option = true;
  }
  return false;
}

void ZAdd(CallContext& ctx, Args args, Writer& reply) {
  SortedSet::AddRule rule;
  bool count_changed = false;
  size_t at = 2;
  while (at < args.size() && TakeAddOption(args[at], &rule, &count_changed)) ++at;
  const Args pairs = args.subspan(at);
  if (pairs.empty() || pairs.size() % 2 != 0) return reply.Error(resp::kSyntaxError);
  if (rule.only_new && rule.only_existing) {
    return reply.Error("ERR XX and NX options at the same time are not compatible");
  }
  if (rule.only_greater + rule.only_less + rule.only_new > 1) {
    return reply.Error("ERR GT, LT, and/or NX options at the same time are not compatible");
  }
  if (rule.increment && pairs.size() > 2) {
    return reply.Error("ERR INCR option supports a single increment-element pair");
  }
  std::vector<ScoredName> members;
  members.reserve(pairs.size() / 2);
  for (size_t i = 0; i < pairs.size(); i += 2) {
    const auto score = types::ParseScore(pairs[i]);
    if (!score) return reply.Error(resp::kNotFloat);
    members.push_back({*score, pairs[i + 1]});
  }
  AddScored(ctx, args, rule, count_changed, members, reply);
}

void ZIncrBy(CallContext& ctx, Args args, Writer& reply) {
  // Redis takes ZADD's options here too, after which too few words are left.
  SortedSet::AddRule options;
  bool count_changed = false;
  if (TakeAddOption(args[2], &options, &count_changed)) return reply.Error(resp::kSyntaxError);
  const auto increment = types::ParseScore(args[2]);
  if (!increment) return reply.Error(resp::kNotFloat);
  const ScoredName member{*increment, args[3]};
  AddScored(ctx, args, {.increment = true}, false, {&member, 1}, reply);
}

void ZRem(CallContext& ctx, Args args, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupWrite(ctx, key);
  if (HasOtherType(entry, kSortedSet, reply)) return;
  if (entry == nullptr) return reply.Integer(0);
  int64_t removed = 0;
  bool gone = false;
  {
    auto set = EditValue<SortedSet>(ctx, key, entry);
    for (const std::string_view member : args.subspan(2)) removed += set->Remove(member);
    gone = set->empty();
    if (removed == 0) set.NothingChanged();
  }
  if (removed > 0) {
    ctx.effects.Verbatim(ctx.db, args);
    Notify(ctx, config::kNotifySortedSet, "zrem", key.name);
    if (gone) Notify(ctx, config::kNotifyGeneric, "del", key.name);
  }
  reply.Integer(removed);
}

// ---------------------------------------------------------------------------------------------- reading

void ZCard(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry;
  if (!LookupSortedSet(ctx, args[1], &entry, reply)) return;
  reply.Integer(entry != nullptr ? static_cast<int64_t>(entry->As<SortedSet>()->Size()) : 0);
}

void ReplyScoreOf(const store::Entry* entry, std::string_view member, Writer& reply) {
  const auto score = entry != nullptr ? entry->As<SortedSet>()->Score(member) : std::nullopt;
  if (!score) return reply.Null();
  ReplyScore(*score, reply);
}

void ZScore(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry;
  if (LookupSortedSet(ctx, args[1], &entry, reply)) ReplyScoreOf(entry, args[2], reply);
}

void ZMScore(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry;
  if (!LookupSortedSet(ctx, args[1], &entry, reply)) return;
  reply.Array(args.size() - 2);
  for (const std::string_view member : args.subspan(2)) ReplyScoreOf(entry, member, reply);
}

void Rank(CallContext& ctx, Args args, bool reverse, Writer& reply) {
  if (args.size() > 4) {
    return reply.Error("ERR wrong number of arguments for '" + std::string(ctx.row->name) + "' command");
  }
  const bool with_score = args.size() == 4;
  if (with_score && !Is(args[3], "withscore")) return reply.Error(resp::kSyntaxError);
  const store::Entry* entry;
  if (!LookupSortedSet(ctx, args[1], &entry, reply)) return;
  double score = 0;
  const auto rank = entry != nullptr ? entry->As<SortedSet>()->Rank(args[2], reverse, &score) : std::nullopt;
  if (!rank) return with_score ? reply.NullArray() : reply.Null();
  if (with_score) reply.Array(2);
  reply.Integer(static_cast<int64_t>(*rank));
  if (with_score) ReplyScore(score, reply);
}
void ZRank(CallContext& ctx, Args args, Writer& reply) { Rank(ctx, args, false, reply); }
void ZRevRank(CallContext& ctx, Args args, Writer& reply) { Rank(ctx, args, true, reply); }

// Redis keeps scores as text in a listpack, and as numbers in a table: those ZSCAN alone writes with 17 digits.
std::string_view FormatScanned(double score, types::Encoding encoding, types::ScoreBuffer& buffer) {
  if (encoding == types::Encoding::kListpack || std::isinf(score)) return types::FormatScore(score, buffer);
  const int size = std::snprintf(buffer, sizeof buffer, "%.17g", score);
  return {buffer, static_cast<size_t>(size)};
}

void ZScan(CallContext& ctx, Args args, Writer& reply) {
  ScanOptions options;
  if (!ReadScanCursor(args[2], &options.cursor, reply)) return;
  const store::Entry* entry;
  if (!LookupSortedSet(ctx, args[1], &entry, reply)) return;
  std::vector<std::pair<std::string, double>> members;
  if (entry != nullptr) {
    if (!ReadScanOptions(args.subspan(3), kSortedSet, &options, reply)) return;
    options.cursor = entry->As<SortedSet>()->Scan(
        options.cursor, options.count, [&](std::string_view member, double score) {
          if (options.Matches(member)) members.emplace_back(member, score);
        });
  } else {
    options.cursor = 0;
  }
  reply.Array(2);
  reply.Bulk(std::to_string(options.cursor));
  reply.Array(members.size() * (options.only_names ? 1 : 2));
  for (const auto& [member, score] : members) {
    reply.Bulk(member);
    types::ScoreBuffer buffer;
    if (!options.only_names) reply.Bulk(FormatScanned(score, entry->As<SortedSet>()->encoding(), buffer));
  }
}

// ---------------------------------------------------------------------------------------------- ZRANDMEMBER

using Give = FunctionRef<void(std::string_view, double)>;

void GiveAt(const SortedSet& set, uint64_t rank, Give give) {
  set.Walk({rank, 1}, false, [&](std::string_view member, double score) {
    give(member, score);
    return true;
  });
}

// `draws` members, which are different ones: at most all.
void SampleDistinct(const SortedSet& set, uint64_t draws, types::Random64 random, Give give) {
  // A walk over the ranks costs less than drawing again what was drawn already, from a third on (Redis's bound, too).
  if (draws > set.Size() / 3) {
    std::vector<bool> selected(set.Size());
    types::SelectInOrder(set.Size(), draws, random, [&](size_t rank) { selected[rank] = true; });
    size_t rank = 0;
    set.WalkAll([&](std::string_view member, double score) {
      if (selected[rank++]) give(member, score);
      return true;
    });
    return;
  }
  std::unordered_set<uint64_t> drawn;
  while (drawn.size() < draws) {
    const uint64_t rank = types::RandomBelow(random(), set.Size());
    if (drawn.insert(rank).second) GiveAt(set, rank, give);
  }
}

// `draws` members, each drawn from all.
void SampleRepeated(const SortedSet& set, uint64_t draws, types::Random64 random, Give give) {
  if (draws < set.Size()) {
    for (; draws > 0; --draws) GiveAt(set, types::RandomBelow(random(), set.Size()), give);
    return;
  }
  // One walk finds them all.
  std::vector<std::pair<std::string, double>> members;
  members.reserve(set.Size());
  set.WalkAll([&](std::string_view member, double score) {
    members.emplace_back(member, score);
    return true;
  });
  for (; draws > 0; --draws) {
    const auto& [member, score] = members[types::RandomBelow(random(), members.size())];
    give(member, score);
  }
}

void ZRandMember(CallContext& ctx, Args args, Writer& reply) {
  RandomCount wanted;
  if (args.size() > 2 && !ReadRandomCount(args, "withscores", &wanted, reply)) return;
  const store::Entry* entry;
  if (!LookupSortedSet(ctx, args[1], &entry, reply)) return;
  RandomSequence random;
  const uint64_t size = entry != nullptr ? entry->As<SortedSet>()->Size() : 0;
  if (args.size() == 2) {
    if (size == 0) return reply.Null();
    return GiveAt(*entry->As<SortedSet>(), types::RandomBelow(random(), size),
                  [&](std::string_view member, double) { reply.Bulk(member); });
  }
  const uint64_t draws = wanted.Of(size);
  MemberReply members(draws, wanted.pairs, reply);
  if (draws == 0) return;
  const auto sample = wanted.repeats ? SampleRepeated : SampleDistinct;
  sample(*entry->As<SortedSet>(), draws, random,
         [&](std::string_view member, double score) { members.Add(member, score); });
}

// clang-format off
constexpr KeySpec kOne{1, 1, 1};
const Row kRows[] = {
  {"zadd", -4, kWrite | kDenyOom | kFast, kOne, KeyAccess::kUpdate, "@sortedset", "sorted-set", "1.2.0", "Adds members to a sorted set, or changes their scores.", "key [NX|XX] [GT|LT] [CH] [INCR] score member [score member ...]", ZAdd},
  {"zincrby", 4, kWrite | kDenyOom | kFast, kOne, KeyAccess::kReadWrite, "@sortedset", "sorted-set", "1.2.0", "Adds to the score of a member; a missing one counts as 0.", "key increment member", ZIncrBy},
  {"zrem", -3, kWrite | kFast, kOne, KeyAccess::kDelete, "@sortedset", "sorted-set", "1.2.0", "Removes members of a sorted set, and the key with the last of them.", "key member [member ...]", ZRem},
  {"zcard", 2, kReadonly | kFast, kOne, KeyAccess::kLook, "@sortedset", "sorted-set", "1.2.0", "Counts the members of a sorted set.", "key", ZCard},
  {"zscore", 3, kReadonly | kFast, kOne, KeyAccess::kRead, "@sortedset", "sorted-set", "1.2.0", "Reads the score of a member.", "key member", ZScore},
  {"zmscore", -3, kReadonly | kFast, kOne, KeyAccess::kRead, "@sortedset", "sorted-set", "6.2.0", "Reads the scores of members.", "key member [member ...]", ZMScore},
  {"zrank", -3, kReadonly | kFast, kOne, KeyAccess::kRead, "@sortedset", "sorted-set", "2.0.0", "Tells how many members come before one.", "key member [WITHSCORE]", ZRank},
  {"zrevrank", -3, kReadonly | kFast, kOne, KeyAccess::kRead, "@sortedset", "sorted-set", "2.0.0", "Tells how many members come before one, counted from the highest score.", "key member [WITHSCORE]", ZRevRank},
  {"zscan", -3, kReadonly, kOne, KeyAccess::kRead, "@sortedset", "sorted-set", "2.8.0", "Walks over the members of a sorted set in steps.", "key cursor [MATCH pattern] [COUNT count] [NOSCORES]", ZScan},
  {"zrandmember", -2, kReadonly, kOne, KeyAccess::kRead, "@sortedset", "sorted-set", "6.2.0", "Reads random members of a sorted set.", "key [count [WITHSCORES]]", ZRandMember},
};
// clang-format on

}  // namespace

std::span<const Row> SortedSetCommands() { return kRows; }

}  // namespace understudy::command
