// Intersections, unions and differences of sorted sets, and of plain sets, whose members count as having the score 1.
#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "node/command/counted_keys.h"
#include "node/command/sorted_set_access.h"
#include "node/command/store_result.h"
#include "node/config/config.h"
#include "node/resp/errors.h"
#include "node/types/set.h"

namespace understudy::command {
namespace {

using resp::Writer;
using types::Set;
using types::SortedSet;

enum class Operation : uint8_t { kUnion, kIntersection, kDifference };
enum class Aggregate : uint8_t { kSum, kMin, kMax };

double Weigh(double weight, double score) {
  const double weighed = weight * score;
  return std::isnan(weighed) ? 0 : weighed;  // 0 * inf
}

double Combine(Aggregate aggregate, double a, double b) {
  if (aggregate == Aggregate::kMin) return std::min(a, b);
  if (aggregate == Aggregate::kMax) return std::max(a, b);
  return std::isnan(a + b) ? 0 : a + b;  // inf - inf
}

// One of the inputs: a sorted set, a plain one, or no key.
struct Source {
  const store::Entry* entry = nullptr;
  double weight = 1;

  bool is_plain() const { return entry->type() == store::Type::kSet; }
  uint64_t Size() const {
    if (entry == nullptr) return 0;
    return is_plain() ? entry->As<Set>()->Size() : entry->As<SortedSet>()->Size();
  }
  std::optional<double> Score(std::string_view member) const {
    if (entry == nullptr) return std::nullopt;
    if (!is_plain()) return entry->As<SortedSet>()->Score(member);
    return entry->As<Set>()->Contains(member) ? std::optional(1.0) : std::nullopt;
  }
  // Until fn returns false.
  void ForEach(FunctionRef<bool(std::string_view, double)> fn) const {
    if (entry == nullptr) return;
    if (!is_plain()) return entry->As<SortedSet>()->WalkAll(fn);
    entry->As<Set>()->ForEach([&](const Set::Member& member) {
      types::ListpackValue::Buffer buffer;
      return fn(member.Text(buffer), 1);
    });
  }
};

struct Query {
  Operation operation;
  std::vector<Source> sources;
  Aggregate aggregate = Aggregate::kSum;
  bool with_scores = false;
  int64_t limit = 0;  // of what ZINTERCARD counts; 0 = none
};

// ---------------------------------------------------------------------------------------------- what they are

// Redis adds scores up in this order; with fractions another order may give another sum.
void SmallestFirst(std::vector<Source>* sources) {
  std::stable_sort(sources->begin(), sources->end(),
                   [](const Source& a, const Source& b) { return a.Size() < b.Size(); });
}

// Calls fn for the members that are in all sources, with their scores, until it returns false.
void Intersect(Query& query, FunctionRef<bool(std::string_view, double)> fn) {
  SmallestFirst(&query.sources);
  const std::span<const Source> others = std::span(query.sources).subspan(1);
  query.sources[0].ForEach([&](std::string_view member, double score) {
    double combined = Weigh(query.sources[0].weight, score);
    for (const Source& other : others) {
      const auto found = other.Score(member);
      if (!found) return true;
      combined = Combine(query.aggregate, combined, *found * other.weight);
    }
    return fn(member, combined);
  });
}

// Scores are added up before anything is put in order.
void Unite(Query& query, SortedSet* result, const types::Limits& limits) {
  SmallestFirst(&query.sources);
  std::unordered_map<std::string, double> scores;
  scores.reserve(query.sources.back().Size());
  for (const Source& source : query.sources) {
    source.ForEach([&](std::string_view member, double score) {
      const double weighed = Weigh(source.weight, score);
      const auto [at, is_new] = scores.try_emplace(std::string(member), weighed);
      if (!is_new) at->second = Combine(query.aggregate, at->second, weighed);
      return true;
    });
  }
  for (const auto& [member, score] : scores) result->Add(member, score, limits);
}

void Subtract(const Query& query, SortedSet* result, const types::Limits& limits) {
  const Source& first = query.sources[0];
  const std::span<const Source> others = std::span(query.sources).subspan(1);
  uint64_t all_members = 0;
  for (const Source& source : query.sources) all_members += source.Size();
  const auto keep = [&](auto is_in_another) {
    first.ForEach([&](std::string_view member, double score) {
      if (!is_in_another(member)) result->Add(member, score, limits);
      return true;
    });
  };
  // To ask each source for each member, or to gather what must go first: the same estimate as of SDIFF.
  if (first.Size() * query.sources.size() / 2 <= all_members) {
    keep([&](std::string_view member) {
      return std::any_of(others.begin(), others.end(), [&](const Source& other) { return other.Score(member).has_value(); });
    });
    return;
  }
  Set gone({}, all_members, limits);  // of so many that it is a table, unless that makes no difference
  for (const Source& other : others) {
    other.ForEach([&](std::string_view member, double) {
      gone.Add(member, limits);
      return true;
    });
  }
  keep([&](std::string_view member) { return gone.Contains(member); });
}

SortedSet Compute(Query& query, const types::Limits& limits) {
  SortedSet result;
  // Large from the start: a listpack would be searched for each member, and has no negative zero.
  result.Expect(UINT64_MAX, 0, limits);
  switch (query.operation) {
    case Operation::kUnion: Unite(query, &result, limits); break;
    case Operation::kDifference: Subtract(query, &result, limits); break;
    case Operation::kIntersection:
      Intersect(query, [&](std::string_view member, double score) {
        result.Add(member, score, limits);
        return true;
      });
  }
  return result;
}

// ---------------------------------------------------------------------------------------------- arguments

enum class Outcome : uint8_t { kReply, kStore, kCount };

// What follows options[*at], WEIGHTS: a number for each source. False after the error reply.
bool TakeWeights(Args options, size_t* at, Query* query, Writer& reply) {
  for (Source& source : query->sources) {
    const auto weight = types::ParseScore(options[++*at]);
    if (!weight) {
      reply.Error("ERR weight value is not a float");
      return false;
    }
    source.weight = *weight;
  }
  return true;
}

bool TakeAggregate(std::string_view word, Aggregate* out) {
  constexpr std::pair<std::string_view, Aggregate> kWords[] = {
      {"sum", Aggregate::kSum}, {"min", Aggregate::kMin}, {"max", Aggregate::kMax}};
  for (const auto& [name, aggregate] : kWords) {
    if (!Is(word, name)) continue;
    *out = aggregate;
    return true;
  }
  return false;
}

// What follows the keys. False after the error reply.
bool ReadOptions(Args options, Outcome outcome, Query* query, Writer& reply) {
  const bool scored = query->operation != Operation::kDifference && outcome != Outcome::kCount;
  for (size_t i = 0; i < options.size(); ++i) {
    const size_t following = options.size() - i - 1;
    if (scored && following >= query->sources.size() && Is(options[i], "weights")) {
      if (!TakeWeights(options, &i, query, reply)) return false;
    } else if (scored && following >= 1 && Is(options[i], "aggregate") &&
               TakeAggregate(options[i + 1], &query->aggregate)) {
      ++i;
    } else if (outcome == Outcome::kReply && Is(options[i], "withscores")) {
      query->with_scores = true;
    } else if (outcome == Outcome::kCount && following >= 1 && Is(options[i], "limit")) {
      if (!ParseInt64(options[++i], &query->limit) || query->limit < 0) {
        reply.Error("ERR LIMIT can't be negative");
        return false;
      }
    } else {
      reply.Error(resp::kSyntaxError);
      return false;
    }
  }
  return true;
}

// words: numkeys and all that follows. False after the error reply.
bool ReadQuery(CallContext& ctx, Args words, Outcome outcome, Query* query, Writer& reply) {
  int64_t count = 0;
  if (!ReadInt64(words[0], &count, reply)) return false;
  if (count < 1) {
    reply.Error("ERR at least 1 input key is needed for '" + std::string(ctx.row->name) + "' command");
    return false;
  }
  if (static_cast<uint64_t>(count) > words.size() - 1) {
    reply.Error(resp::kSyntaxError);
    return false;
  }
  for (const std::string_view name : words.subspan(1, static_cast<size_t>(count))) {
    const store::Entry* entry = LookupRead(ctx, AnyKey(ctx, name));
    if (entry != nullptr && entry->type() != store::Type::kSet && HasOtherType(entry, store::Type::kSortedSet, reply)) {
      return false;
    }
    query->sources.push_back({entry});
  }
  return ReadOptions(words.subspan(1 + static_cast<size_t>(count)), outcome, query, reply);
}

// ---------------------------------------------------------------------------------------------- commands

void Reply(CallContext& ctx, Args args, Operation operation, Writer& reply) {
  Query query{operation};
  if (!ReadQuery(ctx, args.subspan(1), Outcome::kReply, &query, reply)) return;
  const SortedSet result = Compute(query, ctx.services.config.limits());
  MemberReply members(result.Size(), query.with_scores, reply);
  result.WalkAll([&](std::string_view member, double score) {
    members.Add(member, score);
    return true;
  });
}
void ZUnion(CallContext& ctx, Args args, Writer& reply) { Reply(ctx, args, Operation::kUnion, reply); }
void ZInter(CallContext& ctx, Args args, Writer& reply) { Reply(ctx, args, Operation::kIntersection, reply); }
void ZDiff(CallContext& ctx, Args args, Writer& reply) { Reply(ctx, args, Operation::kDifference, reply); }

void ZInterCard(CallContext& ctx, Args args, Writer& reply) {
  Query query{Operation::kIntersection};
  if (!ReadQuery(ctx, args.subspan(1), Outcome::kCount, &query, reply)) return;
  int64_t count = 0;
  Intersect(query, [&](std::string_view, double) { return ++count != query.limit; });
  reply.Integer(count);
}

void Store(CallContext& ctx, Args args, Operation operation, std::string_view event, Writer& reply) {
  Query query{operation};
  if (!ReadQuery(ctx, args.subspan(2), Outcome::kStore, &query, reply)) return;
  const types::Limits limits = ctx.services.config.limits();
  SortedSet result = Compute(query, limits);
  result.Compact(limits);
  const auto size = static_cast<int64_t>(result.Size());
  if (StoreResult(ctx, FirstKey(ctx, args[1]), std::move(result), config::kNotifySortedSet, event)) {
    ctx.effects.Verbatim(ctx.db, args);
  }
  reply.Integer(size);
}
void ZUnionStore(CallContext& ctx, Args args, Writer& reply) {
  Store(ctx, args, Operation::kUnion, "zunionstore", reply);
}
void ZInterStore(CallContext& ctx, Args args, Writer& reply) {
  Store(ctx, args, Operation::kIntersection, "zinterstore", reply);
}
void ZDiffStore(CallContext& ctx, Args args, Writer& reply) {
  Store(ctx, args, Operation::kDifference, "zdiffstore", reply);
}

// clang-format off
constexpr KeySpec kCounted{.find = FindCountedKeys, .forms = kCountAtOne}, kStore{1, 1, 1, FindStoreAndCountedKeys, KeyAccess::kRead, nullptr, nullptr, kCountAtTwo};
const Row kRows[] = {
  {"zunion", -3, kReadonly, kCounted, KeyAccess::kRead, "@sortedset", "sorted-set", "6.2.0", "Unites sorted sets.", "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]", ZUnion},
  {"zinter", -3, kReadonly, kCounted, KeyAccess::kRead, "@sortedset", "sorted-set", "6.2.0", "Intersects sorted sets.", "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX] [WITHSCORES]", ZInter},
  {"zdiff", -3, kReadonly, kCounted, KeyAccess::kRead, "@sortedset", "sorted-set", "6.2.0", "Takes the members of other sorted sets out of the first.", "numkeys key [key ...] [WITHSCORES]", ZDiff},
  {"zintercard", -3, kReadonly, kCounted, KeyAccess::kRead, "@sortedset", "sorted-set", "7.0.0", "Counts the members of an intersection of sorted sets.", "numkeys key [key ...] [LIMIT limit]", ZInterCard},
  {"zunionstore", -4, kWrite | kDenyOom, kStore, KeyAccess::kOverwrite, "@sortedset", "sorted-set", "2.0.0", "Unites sorted sets and stores the outcome.", "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX]", ZUnionStore},
  {"zinterstore", -4, kWrite | kDenyOom, kStore, KeyAccess::kOverwrite, "@sortedset", "sorted-set", "2.0.0", "Intersects sorted sets and stores the outcome.", "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM|MIN|MAX]", ZInterStore},
  {"zdiffstore", -4, kWrite | kDenyOom, kStore, KeyAccess::kOverwrite, "@sortedset", "sorted-set", "6.2.0", "Takes the members of other sorted sets out of the first and stores the outcome.", "destination numkeys key [key ...]", ZDiffStore},
};
// clang-format on

}  // namespace

std::span<const Row> SortedSetAlgebraCommands() { return kRows; }

}  // namespace understudy::command
