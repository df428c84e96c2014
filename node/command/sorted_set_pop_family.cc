// The ends of sorted sets, taken.
#include <algorithm>
#include <string>

#include "node/command/blocking.h"
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

// "numkeys key [key ...] MIN|MAX [COUNT count]"
struct PopRequest {
  Args keys;
  SortedSetEnd end = SortedSetEnd::kMin;
  int64_t most = 1;
};

// args[at] is the number of keys. False after the error reply.
bool ReadPopRequest(Args args, size_t at, PopRequest* request, Writer& reply) {
  int64_t keys = 0;
  if (!ParseInt64(args[at], &keys) || keys < 1) {
    reply.Error("ERR numkeys should be greater than 0");
    return false;
  }
  const Args rest = args.subspan(at + 1);
  const bool end_follows = static_cast<uint64_t>(keys) < rest.size();
  const Args options = end_follows ? rest.subspan(static_cast<size_t>(keys)) : Args{};
  const bool max = end_follows && Is(options[0], "max");
  const bool counts = options.size() >= 3 && Is(options[1], "count");
  if (!end_follows || (!max && !Is(options[0], "min")) || (options.size() > 1 && !counts)) {
    reply.Error(resp::kSyntaxError);
    return false;
  }
  request->keys = rest.first(static_cast<size_t>(keys));
  request->end = max ? SortedSetEnd::kMax : SortedSetEnd::kMin;
  if (counts && (!ParseInt64(options[2], &request->most) || request->most < 1)) {
    reply.Error("ERR count should be greater than 0");
    return false;
  }
  if (options.size() > 3) {
    reply.Error(resp::kSyntaxError);
    return false;
  }
  return true;
}

void ZMPop(CallContext& ctx, Args args, Writer& reply) {
  PopRequest request;
  std::string_view name;
  store::Entry* entry;
  if (!ReadPopRequest(args, 1, &request, reply)) return;
  if (!FindFilled(ctx, request.keys, store::Type::kSortedSet, &name, &entry, reply)) return;
  if (entry == nullptr) return reply.NullArray();
  PopWithKey(ctx, AnyKey(ctx, name), entry, request.end, static_cast<uint64_t>(request.most), reply);
}

// ---------------------------------------------------------------------------------------------- waiting for some

bool WaitForSets(CallContext& ctx, Args args, Args keys, int64_t timeout_ms) {
  return WaitForKeys(ctx, args, keys, {.type = store::Type::kSortedSet, .timeout_ms = timeout_ms});
}

void BPop(CallContext& ctx, Args args, SortedSetEnd end, Writer& reply) {
  int64_t timeout_ms = 0;
  if (!ReadTimeout(ctx, args.back(), TimeoutUnit::kSeconds, &timeout_ms, reply)) return;
  const Args keys = args.subspan(1, args.size() - 2);
  std::string_view name;
  store::Entry* entry;
  if (!FindFilled(ctx, keys, store::Type::kSortedSet, &name, &entry, reply)) return;
  if (entry == nullptr) {
    if (!WaitForSets(ctx, args, keys, timeout_ms)) reply.NullArray();
    return;
  }
  reply.Array(3);
  reply.Bulk(name);
  PopMembers(ctx, AnyKey(ctx, name), entry, end, 1, false, reply);
}
void BZPopMin(CallContext& ctx, Args args, Writer& reply) { BPop(ctx, args, SortedSetEnd::kMin, reply); }
void BZPopMax(CallContext& ctx, Args args, Writer& reply) { BPop(ctx, args, SortedSetEnd::kMax, reply); }

void BZMPop(CallContext& ctx, Args args, Writer& reply) {
  PopRequest request;
  int64_t timeout_ms = 0;
  if (!ReadPopRequest(args, 2, &request, reply)) return;
  if (!ReadTimeout(ctx, args[1], TimeoutUnit::kSeconds, &timeout_ms, reply)) return;
  std::string_view name;
  store::Entry* entry;
  if (!FindFilled(ctx, request.keys, store::Type::kSortedSet, &name, &entry, reply)) return;
  if (entry != nullptr) {
    return PopWithKey(ctx, AnyKey(ctx, name), entry, request.end, static_cast<uint64_t>(request.most), reply);
  }
  if (!WaitForSets(ctx, args, request.keys, timeout_ms)) reply.NullArray();
}

// clang-format off
constexpr KeySpec kOne{1, 1, 1}, kCounted{.find = FindCountedKeys, .forms = kCountAtOne}, kAllButLast{1, -2, 1};
constexpr KeySpec kCountedBehindTimeout{.find = FindCountedKeysBehindTimeout, .forms = kCountAtTwo};
constexpr uint32_t kWaits = kWrite | kBlocking;
const Row kRows[] = {
  {"zpopmin", -2, kWrite | kFast, kOne, KeyAccess::kTake, "@sortedset", "sorted-set", "5.0.0", "Removes the members with the lowest scores and returns them.", "key [count]", ZPopMin},
  {"zpopmax", -2, kWrite | kFast, kOne, KeyAccess::kTake, "@sortedset", "sorted-set", "5.0.0", "Removes the members with the highest scores and returns them.", "key [count]", ZPopMax},
  {"zmpop", -4, kWrite, kCounted, KeyAccess::kTake, "@sortedset", "sorted-set", "7.0.0", "Takes members from the first of the sorted sets that there is.", "numkeys key [key ...] MIN|MAX [COUNT count]", ZMPop},
  {"bzpopmin", -3, kWaits | kFast, kAllButLast, KeyAccess::kTake, "@sortedset", "sorted-set", "5.0.0", "Takes the member with the lowest score of the first sorted set that there is; waits for one.", "key [key ...] timeout", BZPopMin},
  {"bzpopmax", -3, kWaits | kFast, kAllButLast, KeyAccess::kTake, "@sortedset", "sorted-set", "5.0.0", "Takes the member with the highest score of the first sorted set that there is; waits for one.", "key [key ...] timeout", BZPopMax},
  {"bzmpop", -5, kWaits, kCountedBehindTimeout, KeyAccess::kTake, "@sortedset", "sorted-set", "7.0.0", "Takes members from the first of the sorted sets that there is; waits for one.", "timeout numkeys key [key ...] MIN|MAX [COUNT count]", BZMPop},
};
// clang-format on

}  // namespace

std::span<const Row> SortedSetPopCommands() { return kRows; }

}  // namespace understudy::command
