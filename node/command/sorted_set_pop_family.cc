// The ends of sorted sets, taken.
#include <algorithm>
#include <string>

#include "node/command/counted_keys.h"
#include "node/command/notify.h"
#include "node/command/sorted_set_access.h"
#include "node/command/sorted_set_pop.h"
#include "node/config/config.h"
#include "node/resp/errors.h"

namespace understudy::command {

using resp::Writer;
using types::SortedSet;

void PopMembers(CallContext& ctx, const Key& key, store::Entry* entry, SortedSetEnd end, uint64_t count, bool nested,
                Writer& reply) {
  const bool max = end == SortedSetEnd::kMax;
  bool gone = false;
  {
    auto set = EditValue<SortedSet>(ctx, key, entry);
    const types::Ranks ranks{max ? set->Size() - count : 0, count};
    set->Walk(ranks, max, [&](std::string_view member, double score) {
      if (nested) reply.Array(2);
      reply.Bulk(member);
      ReplyScore(score, reply);
      return true;
    });
    set->RemoveRange(ranks);
    gone = set->empty();
  }
  ctx.effects.Add(ctx.db, {max ? "ZPOPMAX" : "ZPOPMIN", key.name, ctx.effects.Keep(std::to_string(count))});
  Notify(ctx, config::kNotifySortedSet, max ? "zpopmax" : "zpopmin", key.name);
  if (gone) Notify(ctx, config::kNotifyGeneric, "del", key.name);
}

void PopWithKey(CallContext& ctx, const Key& key, store::Entry* entry, SortedSetEnd end, uint64_t most,
                Writer& reply) {
  const uint64_t count = std::min(most, entry->As<SortedSet>()->Size());
  reply.Array(2);
  reply.Bulk(key.name);
  reply.Array(count);
  PopMembers(ctx, key, entry, end, count, true, reply);
}

namespace {

void Pop(CallContext& ctx, Args args, SortedSetEnd end, Writer& reply) {
  if (args.size() > 3) return reply.Error(resp::kSyntaxError);
  const bool counts = args.size() == 3;
  int64_t wanted = 1;
  if (counts && (!ParseInt64(args[2], &wanted) || wanted < 0)) return reply.Error(resp::kNotPositive);
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupWrite(ctx, key);
  if (HasOtherType(entry, store::Type::kSortedSet, reply)) return;
  if (entry == nullptr || wanted == 0) return reply.Array(0);
  const uint64_t count = std::min(static_cast<uint64_t>(wanted), entry->As<SortedSet>()->Size());
  const bool nested = counts && reply.protocol() == 3;
  reply.Array(nested ? count : 2 * count);
  PopMembers(ctx, key, entry, end, count, nested, reply);
}
void ZPopMin(CallContext& ctx, Args args, Writer& reply) { Pop(ctx, args, SortedSetEnd::kMin, reply); }
void ZPopMax(CallContext& ctx, Args args, Writer& reply) { Pop(ctx, args, SortedSetEnd::kMax, reply); }

void ZMPop(CallContext& ctx, Args args, Writer& reply) {
  int64_t keys = 0, most = 1;
  if (!ParseInt64(args[1], &keys) || keys < 1) return reply.Error("ERR numkeys should be greater than 0");
  if (static_cast<uint64_t>(keys) >= args.size() - 2) return reply.Error(resp::kSyntaxError);
  const Args options = args.subspan(2 + static_cast<size_t>(keys));
  const bool max = Is(options[0], "max");
  if (!max && !Is(options[0], "min")) return reply.Error(resp::kSyntaxError);
  if (options.size() > 1) {
    if (!Is(options[1], "count") || options.size() == 2) return reply.Error(resp::kSyntaxError);
    if (!ParseInt64(options[2], &most) || most < 1) return reply.Error("ERR count should be greater than 0");
    if (options.size() > 3) return reply.Error(resp::kSyntaxError);
  }
  for (const std::string_view name : args.subspan(2, static_cast<size_t>(keys))) {
    const Key key = AnyKey(ctx, name);
    store::Entry* entry = LookupWrite(ctx, key);
    if (entry == nullptr) continue;
    if (HasOtherType(entry, store::Type::kSortedSet, reply)) return;
    const SortedSetEnd end = max ? SortedSetEnd::kMax : SortedSetEnd::kMin;
    return PopWithKey(ctx, key, entry, end, static_cast<uint64_t>(most), reply);
  }
  reply.NullArray();
}

// clang-format off
constexpr KeySpec kOne{1, 1, 1}, kCounted{0, 0, 0, FindCountedKeys};
const Row kRows[] = {
  {"zpopmin", -2, kWrite | kFast, kOne, KeyAccess::kTake, "@sortedset", "sorted-set", "5.0.0", "Removes the members with the lowest scores and returns them.", "key [count]", ZPopMin},
  {"zpopmax", -2, kWrite | kFast, kOne, KeyAccess::kTake, "@sortedset", "sorted-set", "5.0.0", "Removes the members with the highest scores and returns them.", "key [count]", ZPopMax},
  {"zmpop", -4, kWrite, kCounted, KeyAccess::kTake, "@sortedset", "sorted-set", "7.0.0", "Takes members from the first of the sorted sets that there is.", "numkeys key [key ...] MIN|MAX [COUNT count]", ZMPop},
};
// clang-format on

}  // namespace

std::span<const Row> SortedSetPopCommands() { return kRows; }

}  // namespace understudy::command
