// Keys whatever they hold: DEL, RENAME, COPY, OBJECT ...
#include "node/command/call_context.h"
#include "node/command/notify.h"
#include "node/command/stats.h"
#include "node/config/config.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"

namespace understudy::command {
namespace {

using resp::Writer;

void Remove(CallContext& ctx, Args args, store::Freeing freeing, Writer& reply) {
  int64_t erased = 0;
  for (const std::string_view name : args.subspan(1)) {
    const Key key = AnyKey(ctx, name);
    if (LookupWrite(ctx, key) == nullptr) continue;
    key.shard.Erase(ctx.db, key.name, key.hash, freeing);
    Notify(ctx, config::kNotifyGeneric, "del", key.name);
    ++erased;
  }
  if (erased > 0) ctx.effects.Verbatim(ctx.db, args);
  reply.Integer(erased);
}

void Del(CallContext& ctx, Args args, Writer& reply) {
  Remove(ctx, args, ctx.services.config.lazy_user_del ? store::Freeing::kLazy : store::Freeing::kInline, reply);
}
void Unlink(CallContext& ctx, Args args, Writer& reply) { Remove(ctx, args, store::Freeing::kLazy, reply); }

void Exists(CallContext& ctx, Args args, Writer& reply) {
  int64_t found = 0;
  for (const std::string_view name : args.subspan(1)) {
    found += LookupUntouched(ctx, AnyKey(ctx, name)) != nullptr;
  }
  reply.Integer(found);
}

void Touch(CallContext& ctx, Args args, Writer& reply) {
  int64_t found = 0;
  for (const std::string_view name : args.subspan(1)) found += LookupRead(ctx, AnyKey(ctx, name)) != nullptr;
  reply.Integer(found);
}

void Type(CallContext& ctx, Args args, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  const store::Entry* entry = LookupPeek(ctx, key);
  if (entry == nullptr) Notify(ctx, config::kNotifyKeyMiss, "keymiss", key.name);
  reply.SimpleString(entry ? store::TypeName(entry->type()) : "none");
}

// ---------------------------------------------------------------------------------------------- moving

void RenameTo(CallContext& ctx, Args args, bool only_if_absent, Writer& reply) {
  const Key from = AnyKey(ctx, args[1]), to = AnyKey(ctx, args[2]);
  if (LookupWrite(ctx, from) == nullptr) return reply.Error(resp::kNoSuchKey);
  if (from.name == to.name) {
    if (only_if_absent) return reply.Integer(0);
    return reply.Ok();
  }
  if (only_if_absent && LookupWrite(ctx, to) != nullptr) return reply.Integer(0);
  std::optional<store::StoredValue> value = from.shard.Take(ctx.db, from.name, from.hash, ctx.now_ms);
  to.shard.Put(ctx.db, to.name, to.hash, std::move(*value), ctx.now_ms);
  ctx.effects.Verbatim(ctx.db, args);
  Notify(ctx, config::kNotifyNew, "new", to.name);
  Notify(ctx, config::kNotifyGeneric, "rename_from", from.name);
  Notify(ctx, config::kNotifyGeneric, "rename_to", to.name);
  if (only_if_absent) return reply.Integer(1);
  reply.Ok();
}
void Rename(CallContext& ctx, Args args, Writer& reply) { RenameTo(ctx, args, false, reply); }
void RenameNx(CallContext& ctx, Args args, Writer& reply) { RenameTo(ctx, args, true, reply); }

void Move(CallContext& ctx, Args args, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  int64_t number = 0;
  if (!ParseInt64(args[2], &number)) return reply.Error("ERR value is not an integer or out of range");
  int to = 0;
  if (!ReadDb(ctx, args[2], &to, reply)) return;
  if (to == ctx.db) return reply.Error(resp::kSameObject);
  if (LookupWrite(ctx, key) == nullptr) return reply.Integer(0);
  if (key.shard.FindForWrite(to, key.name, key.hash, ctx.now_ms, ctx.view) != nullptr) return reply.Integer(0);
  std::optional<store::StoredValue> value = key.shard.Take(ctx.db, key.name, key.hash, ctx.now_ms);
  key.shard.Put(to, key.name, key.hash, std::move(*value), ctx.now_ms);
  ctx.effects.Verbatim(ctx.db, args);
  NotifyIn(ctx, to, config::kNotifyNew, "new", key.name);
  Notify(ctx, config::kNotifyGeneric, "move_from", key.name);
  NotifyIn(ctx, to, config::kNotifyGeneric, "move_to", key.name);
  reply.Integer(1);
}

void Copy(CallContext& ctx, Args args, Writer& reply) {
  const Key from = AnyKey(ctx, args[1]), to = AnyKey(ctx, args[2]);
  int db = ctx.db;
  bool replace = false;
  for (size_t i = 3; i < args.size(); ++i) {
    if (Is(args[i], "replace")) {
      replace = true;
    } else if (Is(args[i], "db") && i + 1 < args.size()) {
      if (!ReadDb(ctx, args[++i], &db, reply)) return;
    } else {
      return reply.Error(resp::kSyntaxError);
    }
  }
  if (from.name == to.name && db == ctx.db) return reply.Error(resp::kSameObject);
  if (LookupWrite(ctx, from) == nullptr) return reply.Integer(0);
  const bool occupied = to.shard.FindForWrite(db, to.name, to.hash, ctx.now_ms, ctx.view) != nullptr;
  if (occupied && !replace) return reply.Integer(0);
  std::optional<store::StoredValue> value = from.shard.Copy(ctx.db, from.name, from.hash, ctx.now_ms);
  to.shard.Put(db, to.name, to.hash, std::move(*value), ctx.now_ms);
  ctx.effects.Verbatim(ctx.db, args);
  NotifyIn(ctx, db, config::kNotifyNew, "new", to.name);
  NotifyIn(ctx, db, config::kNotifyGeneric, "copy_to", to.name);
  reply.Integer(1);
}

// ---------------------------------------------------------------------------------------------- OBJECT

// Without touching the key, and with "no such key" as null: since Redis 7.
const store::Entry* ObjectOf(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry = LookupPeek(ctx, FirstKey(ctx, args[2]));
  if (entry == nullptr) reply.Null();
  return entry;
}

void ObjectEncoding(CallContext& ctx, Args args, Writer& reply) {
  if (const store::Entry* entry = ObjectOf(ctx, args, reply)) reply.Bulk(entry->EncodingName());
}
void ObjectRefcount(CallContext& ctx, Args args, Writer& reply) {
  if (ObjectOf(ctx, args, reply) != nullptr) reply.Integer(1);
}
bool CountsAccesses(const CallContext& ctx) {
  return config::UsesLfu(ctx.keyspace.memory_settings().policy.load(std::memory_order_relaxed));
}
void ObjectIdletime(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry = ObjectOf(ctx, args, reply);
  if (entry == nullptr) return;
  if (CountsAccesses(ctx)) {
    return reply.Error(
        "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between "
        "policies at runtime LRU and LFU data will take some time to adjust.");
  }
  reply.Integer(entry->IdleSeconds(ctx.now_ms));
}
void ObjectFreq(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry = ObjectOf(ctx, args, reply);
  if (entry == nullptr) return;
  if (!CountsAccesses(ctx)) {
    return reply.Error(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching "
        "between policies at runtime LRU and LFU data will take some time to adjust.");
  }
  reply.Integer(store::LfuCounter(entry->access_bits(), ctx.now_ms, ctx.keyspace.memory_settings().lfu()));
}

void ObjectHelp(CallContext&, Args, Writer& reply) {
  constexpr std::string_view kLines[] = {
      "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "ENCODING <key>",
      "    How the value is stored.",
      "FREQ <key>",
      "    Access frequency; needs an LFU policy.",
      "IDLETIME <key>",
      "    Seconds since the key was last used.",
      "REFCOUNT <key>",
      "    References to the value.",
      "HELP",
      "    This text.",
  };
  ReplyHelp(kLines, reply);
}

// clang-format off
constexpr KeySpec kOne{1, 1, 1}, kAll{1, -1, 1}, kSecond{2, 2, 1};
constexpr KeySpec kRename{1, 2, 1, nullptr, KeyAccess::kOverwrite}, kRenameNx{1, 2, 1, nullptr, KeyAccess::kCreate};
constexpr KeySpec kCopy{1, 2, 1, nullptr, KeyAccess::kOverwrite};
const Row kObjectRows[] = {
  {"encoding", 3, kReadonly, kSecond, KeyAccess::kLook, "@keyspace", "generic", "2.2.3", "Tells how a value is stored.", "key", ObjectEncoding},
  {"freq", 3, kReadonly, kSecond, KeyAccess::kLook, "@keyspace", "generic", "4.0.0", "Tells how often a key is used, under an LFU policy.", "key", ObjectFreq},
  {"help", 2, kLoading | kStale, {}, KeyAccess::kNone, "@keyspace", "generic", "6.2.0", "Lists the subcommands.", "", ObjectHelp},
  {"idletime", 3, kReadonly, kSecond, KeyAccess::kLook, "@keyspace", "generic", "2.2.3", "Tells for how many seconds a key was not used.", "key", ObjectIdletime},
  {"refcount", 3, kReadonly, kSecond, KeyAccess::kLook, "@keyspace", "generic", "2.2.3", "Tells how many references a value has.", "key", ObjectRefcount},
};
const Row kRows[] = {
  {"del", -2, kWrite, kAll, KeyAccess::kRemove, "@keyspace", "generic", "1.0.0", "Removes keys.", "key [key ...]", Del},
  {"unlink", -2, kWrite | kFast, kAll, KeyAccess::kRemove, "@keyspace", "generic", "4.0.0", "Removes keys; their memory is freed in the background.", "key [key ...]", Unlink},
  {"exists", -2, kReadonly | kFast, kAll, KeyAccess::kLook, "@keyspace", "generic", "1.0.0", "Counts how many of the keys exist.", "key [key ...]", Exists},
  {"touch", -2, kReadonly | kFast, kAll, KeyAccess::kLook, "@keyspace", "generic", "3.2.1", "Marks keys as just used and counts those that exist.", "key [key ...]", Touch},
  {"type", 2, kReadonly | kFast, kOne, KeyAccess::kLook, "@keyspace", "generic", "1.0.0", "Tells what a key holds.", "key", Type},
  {"rename", 3, kWrite, kRename, KeyAccess::kTake, "@keyspace", "generic", "1.0.0", "Gives a key another name, replacing what has that name.", "key newkey", Rename},
  {"renamenx", 3, kWrite | kFast, kRenameNx, KeyAccess::kTake, "@keyspace", "generic", "1.0.0", "Gives a key another name if that one is free.", "key newkey", RenameNx},
  {"move", 3, kWrite | kFast, kOne, KeyAccess::kReadWrite, "@keyspace", "generic", "1.0.0", "Moves a key to another database.", "key db", Move},
  {"copy", -3, kWrite | kDenyOom, kCopy, KeyAccess::kRead, "@keyspace", "generic", "6.2.0", "Copies a key's value to another key.", "source destination [DB destination-db] [REPLACE]", Copy},
  {"object", -2, 0, {}, KeyAccess::kNone, "", "generic", "2.2.3", "Looks at how a key is stored.", "", nullptr, kObjectRows},
};
// clang-format on

}  // namespace

std::span<const Row> KeyCommands() { return kRows; }

}  // namespace understudy::command
