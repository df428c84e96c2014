// Sets: members without order. What combines several of them is in set_algebra_family.cc.
#include <algorithm>
#include <string>
#include <vector>

#include "common/random.h"
#include "node/command/notify.h"
#include "node/command/random_count.h"
#include "node/command/scan_options.h"
#include "node/command/set_access.h"
#include "node/config/config.h"
#include "node/resp/errors.h"

namespace understudy::command {
namespace {

using resp::Writer;
using types::Set;

constexpr store::Type kSet = store::Type::kSet;

// ---------------------------------------------------------------------------------------------- writing

// members: at least one, all of which are going to be added.
store::Edit<Set> EditOrMakeSet(CallContext& ctx, const Key& key, store::Entry* entry, Args members) {
  if (entry == nullptr) NotifyIfNew(ctx, key);
  return EditOrMake<Set>(ctx, key, entry,
                         [&] { return Set(members[0], members.size(), ctx.services.config.limits()); });
}

void SAdd(CallContext& ctx, Args args, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupWrite(ctx, key);
  if (HasOtherType(entry, kSet, reply)) return;
  const types::Limits limits = ctx.services.config.limits();
  const Args members = args.subspan(2);
  int64_t added = 0;
  {
    auto set = EditOrMakeSet(ctx, key, entry, members);
    set->Expect(members.size(), limits);
    for (const std::string_view member : members) added += set->Add(member, limits);
    if (added == 0) set.NothingChanged();
  }
  if (added > 0) {
    ctx.effects.Verbatim(ctx.db, args);
    Notify(ctx, config::kNotifySet, "sadd", key.name);
  }
  reply.Integer(added);
}

// After members went; the key with the last of them.
void NotifyRemoved(CallContext& ctx, const Key& key, std::string_view event, bool key_gone) {
  Notify(ctx, config::kNotifySet, event, key.name);
  if (key_gone) Notify(ctx, config::kNotifyGeneric, "del", key.name);
}

// entry: of a set. Returns how many were there.
int64_t Erase(CallContext& ctx, const Key& key, store::Entry* entry, Args members) {
  int64_t erased = 0;
  bool gone = false;
  {
    auto set = EditValue<Set>(ctx, key, entry);
    for (const std::string_view member : members) erased += set->Erase(member);
    gone = set->Size() == 0;
    if (erased == 0) set.NothingChanged();
  }
  if (erased > 0) NotifyRemoved(ctx, key, "srem", gone);
  return erased;
}

void SRem(CallContext& ctx, Args args, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupWrite(ctx, key);
  if (HasOtherType(entry, kSet, reply)) return;
  if (entry == nullptr) return reply.Integer(0);
  const int64_t erased = Erase(ctx, key, entry, args.subspan(2));
  if (erased > 0) ctx.effects.Verbatim(ctx.db, args);
  reply.Integer(erased);
}

void SMove(CallContext& ctx, Args args, Writer& reply) {
  const Key from = AnyKey(ctx, args[1]), to = AnyKey(ctx, args[2]);
  store::Entry* source = LookupWrite(ctx, from);
  store::Entry* destination = LookupWrite(ctx, to);
  if (source == nullptr) return reply.Integer(0);
  if (HasOtherType(source, kSet, reply) || HasOtherType(destination, kSet, reply)) return;
  if (source == destination) return reply.Integer(source->As<Set>()->Contains(args[3]));
  const Args member = args.subspan(3, 1);
  if (Erase(ctx, from, source, member) == 0) return reply.Integer(0);
  bool added = false;
  {
    auto set = EditOrMakeSet(ctx, to, destination, member);
    added = set->Add(args[3], ctx.services.config.limits());
    if (!added) set.NothingChanged();
  }
  ctx.effects.Verbatim(ctx.db, args);
  if (added) Notify(ctx, config::kNotifySet, "sadd", to.name);
  reply.Integer(1);
}

// ---------------------------------------------------------------------------------------------- SPOP

// Replicas are told which members went.
void AddRemoval(CallContext& ctx, const Key& key, const std::vector<std::string>& members, bool key_gone) {
  if (key_gone) return ctx.effects.Add(ctx.db, {CallContext::RemovalWord(ctx.services.config.lazy_server_del), key.name});
  if (members.size() == 1) return ctx.effects.Add(ctx.db, {"SREM", key.name, ctx.effects.Keep(members[0])});
  constexpr size_t kMostInOne = 1024;
  for (size_t first = 0; first < members.size(); first += kMostInOne) {
    std::vector<std::string_view> words = {"SREM", key.name};
    for (size_t i = first; i < std::min(first + kMostInOne, members.size()); ++i) {
      words.push_back(ctx.effects.Keep(members[i]));
    }
    ctx.effects.AddLong(ctx.db, std::move(words));
  }
}

// Removes `count` members by chance, or all; entry: of a set.
std::vector<std::string> Pop(CallContext& ctx, const Key& key, store::Entry* entry, uint64_t count) {
  std::vector<std::string> popped;
  bool gone = false;
  {
    auto set = EditValue<Set>(ctx, key, entry);
    RandomSequence random;
    if (count == 1) {
      popped.push_back(set->Pop(random()));
    } else {
      popped.reserve(std::min<uint64_t>(count, set->Size()));
      set->SampleDistinct(count, random, [&](const Set::Member& member) { popped.push_back(member.ToString()); });
      for (const std::string& member : popped) set->Erase(member);
    }
    gone = set->Size() == 0;
  }
  AddRemoval(ctx, key, popped, gone);
  NotifyRemoved(ctx, key, "spop", gone);
  return popped;
}

// All members at once: nothing is copied but into the reply.
void PopAll(CallContext& ctx, const Key& key, const store::Entry& entry, Writer& reply) {
  ReplyMembers(*entry.As<Set>(), reply);
  key.shard.Erase(ctx.db, key.name, key.hash);
  ctx.effects.Add(ctx.db, {CallContext::RemovalWord(ctx.services.config.lazy_server_del), key.name});
  NotifyRemoved(ctx, key, "spop", true);
}

void SPop(CallContext& ctx, Args args, Writer& reply) {
  if (args.size() > 3) return reply.Error(resp::kSyntaxError);
  const bool counts = args.size() == 3;
  int64_t count = 1;
  if (counts && (!ParseInt64(args[2], &count) || count < 0)) return reply.Error(resp::kNotPositive);
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupWrite(ctx, key);
  if (HasOtherType(entry, kSet, reply)) return;
  if (!counts) {
    if (entry == nullptr) return reply.Null();
    return reply.Bulk(Pop(ctx, key, entry, 1)[0]);
  }
  if (entry == nullptr || count == 0) return reply.Set(0);
  if (static_cast<uint64_t>(count) >= entry->As<Set>()->Size()) return PopAll(ctx, key, *entry, reply);
  const std::vector<std::string> popped = Pop(ctx, key, entry, static_cast<uint64_t>(count));
  reply.Set(popped.size());
  for (const std::string& member : popped) reply.Bulk(member);
}

// ---------------------------------------------------------------------------------------------- reading

void SIsMember(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry;
  if (LookupSet(ctx, args, &entry, reply)) reply.Integer(entry != nullptr && entry->As<Set>()->Contains(args[2]));
}

void SMIsMember(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry;
  if (!LookupSet(ctx, args, &entry, reply)) return;
  reply.Array(args.size() - 2);
  for (const std::string_view member : args.subspan(2)) {
    reply.Integer(entry != nullptr && entry->As<Set>()->Contains(member));
  }
}

void SCard(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry;
  if (!LookupSet(ctx, args, &entry, reply)) return;
  reply.Integer(entry != nullptr ? static_cast<int64_t>(entry->As<Set>()->Size()) : 0);
}

void SMembers(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry;
  if (!LookupSet(ctx, args, &entry, reply)) return;
  if (entry == nullptr) return reply.Set(0);
  ReplyMembers(*entry->As<Set>(), reply);
}

void SRandMember(CallContext& ctx, Args args, Writer& reply) {
  RandomCount wanted;
  if (args.size() > 3) return reply.Error(resp::kSyntaxError);
  if (args.size() == 3 && !ReadRandomCount(args, {}, &wanted, reply)) return;
  const store::Entry* entry;
  if (!LookupSet(ctx, args, &entry, reply)) return;
  RandomSequence random;
  if (args.size() == 2) {
    if (entry == nullptr) return reply.Null();
    return ReplyMember(entry->As<Set>()->Random(random()), reply);
  }
  const uint64_t draws = wanted.Of(entry != nullptr ? entry->As<Set>()->Size() : 0);
  reply.Array(draws);
  if (draws == 0) return;
  const auto give = [&](const Set::Member& member) { ReplyMember(member, reply); };
  const auto set = entry->As<Set>();
  if (wanted.repeats) {
    set->SampleRepeated(draws, random, give);
  } else {
    set->SampleDistinct(draws, random, give);
  }
}

void SScan(CallContext& ctx, Args args, Writer& reply) {
  ScanOptions options;
  if (!ReadScanCursor(args[2], &options.cursor, reply)) return;
  const store::Entry* entry;
  if (!LookupSet(ctx, args, &entry, reply)) return;
  std::vector<Set::Member> members;
  if (entry != nullptr) {
    if (!ReadScanOptions(args.subspan(3), kSet, &options, reply)) return;
    size_t seen = 0;
    do {
      options.cursor = entry->As<Set>()->Scan(options.cursor, [&](const Set::Member& member) {
        ++seen;
        types::ListpackValue::Buffer buffer;
        if (options.Matches(member.Text(buffer))) members.push_back(member);
      });
    } while (options.cursor != 0 && seen < options.count);
  } else {
    options.cursor = 0;
  }
  reply.Array(2);
  reply.Bulk(std::to_string(options.cursor));
  reply.Array(members.size());
  for (const Set::Member& member : members) ReplyMember(member, reply);
}

// clang-format off
constexpr KeySpec kOne{1, 1, 1}, kMove{1, 2, 1, nullptr, KeyAccess::kInsert};
const Row kRows[] = {
  {"sadd", -3, kWrite | kDenyOom | kFast, kOne, KeyAccess::kInsert, "@set", "set", "1.0.0", "Adds members to a set.", "key member [member ...]", SAdd},
  {"srem", -3, kWrite | kFast, kOne, KeyAccess::kDelete, "@set", "set", "1.0.0", "Removes members of a set, and the key with the last of them.", "key member [member ...]", SRem},
  {"smove", 4, kWrite | kFast, kMove, KeyAccess::kTake, "@set", "set", "1.0.0", "Moves a member from one set to another.", "source destination member", SMove},
  {"spop", -2, kWrite | kFast, kOne, KeyAccess::kTake, "@set", "set", "1.0.0", "Removes random members of a set and returns them.", "key [count]", SPop},
  {"sismember", 3, kReadonly | kFast, kOne, KeyAccess::kLook, "@set", "set", "1.0.0", "Tells whether a set has a member.", "key member", SIsMember},
  {"smismember", -3, kReadonly | kFast, kOne, KeyAccess::kRead, "@set", "set", "6.2.0", "Tells which of the members a set has.", "key member [member ...]", SMIsMember},
  {"scard", 2, kReadonly | kFast, kOne, KeyAccess::kLook, "@set", "set", "1.0.0", "Counts the members of a set.", "key", SCard},
  {"smembers", 2, kReadonly, kOne, KeyAccess::kRead, "@set", "set", "1.0.0", "Lists the members of a set.", "key", SMembers},
  {"srandmember", -2, kReadonly, kOne, KeyAccess::kRead, "@set", "set", "1.0.0", "Reads random members of a set.", "key [count]", SRandMember},
  {"sscan", -3, kReadonly, kOne, KeyAccess::kRead, "@set", "set", "2.8.0", "Walks over the members of a set in steps.", "key cursor [MATCH pattern] [COUNT count]", SScan},
};
// clang-format on

}  // namespace

std::span<const Row> SetCommands() { return kRows; }

}  // namespace understudy::command
