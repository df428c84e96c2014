// Intersections, unions and differences of sets.
#include <algorithm>
#include <string>
#include <vector>

#include "node/command/counted_keys.h"
#include "node/command/set_access.h"
#include "node/command/store_result.h"
#include "node/config/config.h"
#include "node/resp/errors.h"

namespace understudy::command {
namespace {

using resp::Writer;
using types::Set;

// The sets at these keys, in their order; null where there is none. False after the error reply.
bool LookupSets(CallContext& ctx, Args keys, std::vector<const store::Entry*>* sets, Writer& reply) {
  for (const std::string_view name : keys) {
    sets->push_back(LookupRead(ctx, AnyKey(ctx, name)));
    if (HasOtherType(sets->back(), store::Type::kSet, reply)) return false;
  }
  return true;
}

size_t SizeOf(const store::Entry* set) { return set != nullptr ? set->As<Set>()->Size() : 0; }

bool Contains(const store::Entry* set, std::string_view member) {
  return set != nullptr && set->As<Set>()->Contains(member);
}

// ---------------------------------------------------------------------------------------------- what they are
// Members are views of the sets that they are in.

// Members that are in all sets: the smallest is walked, the others are asked. Up to `most` of them.
std::vector<Set::Member> Intersect(std::vector<const store::Entry*> sets, size_t most) {
  std::stable_sort(sets.begin(), sets.end(), [](const auto* a, const auto* b) { return SizeOf(a) < SizeOf(b); });
  std::vector<Set::Member> common;
  if (sets[0] == nullptr) return common;
  sets[0]->As<Set>()->ForEach([&](const Set::Member& member) {
    types::ListpackValue::Buffer buffer;
    const std::string_view text = member.Text(buffer);
    const bool in_all =
        std::all_of(sets.begin() + 1, sets.end(), [&](const auto* other) { return Contains(other, text); });
    if (in_all) common.push_back(member);
    return common.size() < most;
  });
  return common;
}

// Of sets that are made to be asked, and go with the command: a small one in a listpack would be searched each time.
types::Limits NeverCompact() {
  types::Limits limits;
  limits.set_max_intset_entries = 0;
  limits.set_max_listpack_entries = 0;
  return limits;
}

Set Unite(std::span<const store::Entry* const> sets, const types::Limits& limits) {
  Set all({}, 1, limits);
  bool first = true;
  for (const store::Entry* entry : sets) {
    if (entry == nullptr) continue;
    entry->As<Set>()->ForEach([&](const Set::Member& member) {
      types::ListpackValue::Buffer buffer;
      const std::string_view text = member.Text(buffer);
      if (std::exchange(first, false)) all = Set(text, 1, limits);
      all.Add(text, limits);
      return true;
    });
  }
  return all;
}

// Members of the first set that are in no other.
std::vector<Set::Member> Subtract(std::span<const store::Entry* const> sets) {
  std::vector<Set::Member> left;
  if (sets[0] == nullptr) return left;
  const std::span<const store::Entry* const> others = sets.subspan(1);
  // To ask each set for each member, or to gather what must go first: what is less work by Redis's estimate, in which
  // asking is half as much.
  size_t all_members = 0;
  for (const store::Entry* set : sets) all_members += SizeOf(set);
  const auto keep = [&](auto is_in_another) {
    sets[0]->As<Set>()->ForEach([&](const Set::Member& member) {
      types::ListpackValue::Buffer buffer;
      if (!is_in_another(member.Text(buffer))) left.push_back(member);
      return true;
    });
  };
  if (SizeOf(sets[0]) * sets.size() / 2 <= all_members) {
    keep([&](std::string_view member) {
      return std::any_of(others.begin(), others.end(), [&](const auto* other) { return Contains(other, member); });
    });
  } else {
    const Set gone = Unite(others, NeverCompact());
    keep([&](std::string_view member) { return gone.Contains(member); });
  }
  return left;
}

// ---------------------------------------------------------------------------------------------- commands

void ReplyMembers(const std::vector<Set::Member>& members, Writer& reply) {
  reply.Set(members.size());
  for (const Set::Member& member : members) ReplyMember(member, reply);
}

Set Copy(const std::vector<Set::Member>& members, const types::Limits& limits) {
  types::ListpackValue::Buffer buffer;
  Set copy(members.empty() ? std::string_view() : members[0].Text(buffer), 1, limits);
  for (const Set::Member& member : members) copy.Add(member.Text(buffer), limits);
  return copy;
}

void Store(CallContext& ctx, Args args, Set result, std::string_view event, Writer& reply) {
  const auto size = static_cast<int64_t>(result.Size());
  if (StoreResult(ctx, FirstKey(ctx, args[1]), std::move(result), config::kNotifySet, event)) {
    ctx.effects.Verbatim(ctx.db, args);
  }
  reply.Integer(size);
}

void SInter(CallContext& ctx, Args args, Writer& reply) {
  std::vector<const store::Entry*> sets;
  if (LookupSets(ctx, args.subspan(1), &sets, reply)) ReplyMembers(Intersect(std::move(sets), SIZE_MAX), reply);
}

void SInterStore(CallContext& ctx, Args args, Writer& reply) {
  std::vector<const store::Entry*> sets;
  if (!LookupSets(ctx, args.subspan(2), &sets, reply)) return;
  const types::Limits limits = ctx.services.config.limits();
  Set result = Copy(Intersect(std::move(sets), SIZE_MAX), limits);
  result.TryIntset(limits);
  Store(ctx, args, std::move(result), "sinterstore", reply);
}

void SInterCard(CallContext& ctx, Args args, Writer& reply) {
  int64_t count = 0, limit = 0;
  if (!ParseInt64(args[1], &count) || count < 1) return reply.Error("ERR numkeys should be greater than 0");
  if (static_cast<uint64_t>(count) > args.size() - 2) {
    return reply.Error("ERR Number of keys can't be greater than number of args");
  }
  const auto keys = static_cast<size_t>(count);
  for (size_t i = 2 + keys; i < args.size(); ++i) {
    if (!Is(args[i], "limit") || i + 1 == args.size()) return reply.Error(resp::kSyntaxError);
    if (!ParseInt64(args[++i], &limit) || limit < 0) return reply.Error("ERR LIMIT can't be negative");
  }
  std::vector<const store::Entry*> sets;
  if (!LookupSets(ctx, args.subspan(2, keys), &sets, reply)) return;
  const size_t most = limit > 0 ? static_cast<size_t>(limit) : SIZE_MAX;
  reply.Integer(static_cast<int64_t>(Intersect(std::move(sets), most).size()));
}

void SUnion(CallContext& ctx, Args args, Writer& reply) {
  std::vector<const store::Entry*> sets;
  if (LookupSets(ctx, args.subspan(1), &sets, reply)) command::ReplyMembers(Unite(sets, NeverCompact()), reply);
}

void SUnionStore(CallContext& ctx, Args args, Writer& reply) {
  std::vector<const store::Entry*> sets;
  if (!LookupSets(ctx, args.subspan(2), &sets, reply)) return;
  Store(ctx, args, Unite(sets, ctx.services.config.limits()), "sunionstore", reply);
}

void SDiff(CallContext& ctx, Args args, Writer& reply) {
  std::vector<const store::Entry*> sets;
  if (LookupSets(ctx, args.subspan(1), &sets, reply)) ReplyMembers(Subtract(sets), reply);
}

void SDiffStore(CallContext& ctx, Args args, Writer& reply) {
  std::vector<const store::Entry*> sets;
  if (!LookupSets(ctx, args.subspan(2), &sets, reply)) return;
  Store(ctx, args, Copy(Subtract(sets), ctx.services.config.limits()), "sdiffstore", reply);
}

// clang-format off
constexpr KeySpec kAll{1, -1, 1}, kStore{1, -1, 1, nullptr, KeyAccess::kRead}, kCounted{.find = FindCountedKeys, .forms = kCountAtOne};
const Row kRows[] = {
  {"sinter", -2, kReadonly, kAll, KeyAccess::kRead, "@set", "set", "1.0.0", "Intersects sets.", "key [key ...]", SInter},
  {"sintercard", -3, kReadonly, kCounted, KeyAccess::kRead, "@set", "set", "7.0.0", "Counts the members of an intersection of sets.", "numkeys key [key ...] [LIMIT limit]", SInterCard},
  {"sinterstore", -3, kWrite | kDenyOom, kStore, KeyAccess::kUpdate, "@set", "set", "1.0.0", "Intersects sets and stores the outcome.", "destination key [key ...]", SInterStore},
  {"sunion", -2, kReadonly, kAll, KeyAccess::kRead, "@set", "set", "1.0.0", "Unites sets.", "key [key ...]", SUnion},
  {"sunionstore", -3, kWrite | kDenyOom, kStore, KeyAccess::kOverwrite, "@set", "set", "1.0.0", "Unites sets and stores the outcome.", "destination key [key ...]", SUnionStore},
  {"sdiff", -2, kReadonly, kAll, KeyAccess::kRead, "@set", "set", "1.0.0", "Takes the members of other sets out of the first.", "key [key ...]", SDiff},
  {"sdiffstore", -3, kWrite | kDenyOom, kStore, KeyAccess::kOverwrite, "@set", "set", "1.0.0", "Takes the members of other sets out of the first and stores the outcome.", "destination key [key ...]", SDiffStore},
};
// clang-format on

}  // namespace

std::span<const Row> SetAlgebraCommands() { return kRows; }

}  // namespace understudy::command
