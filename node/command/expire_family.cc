// Times to live.
#include "node/command/call_context.h"
#include "node/command/expire_time.h"
#include "node/command/notify.h"
#include "node/config/config.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"

namespace understudy::command {
namespace {

using resp::Writer;

void ExpireKey(CallContext& ctx, Args args, ExpireUnit unit, ExpireBase base, std::string_view command, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  ExpireConditions conditions;
  int64_t at = 0;
  if (!ReadExpireConditions(args.subspan(3), &conditions, reply)) return;
  if (!ReadExpireTime(args[2], unit, base, ctx.now_ms, INT64_MIN, command, &at, reply)) return;
  const store::Entry* entry = LookupWrite(ctx, key);
  if (entry == nullptr || !conditions.Hold(entry->has_expire(), entry->expire_ms(), at)) return reply.Integer(0);
  if (at <= ctx.now_ms && ctx.removes_past()) {
    key.shard.Erase(ctx.db, key.name, key.hash);
    key.shard.CountExpiredKey();
    ctx.effects.Add(ctx.db, {CallContext::RemovalWord(ctx.services.config.lazy_expire), key.name});
    Notify(ctx, config::kNotifyGeneric, "del", key.name);
  } else {
    key.shard.SetExpire(ctx.db, key.name, key.hash, at);
    ctx.effects.Add(ctx.db, {"PEXPIREAT", key.name, ctx.effects.Keep(at)});
    Notify(ctx, config::kNotifyGeneric, "expire", key.name);
  }
  reply.Integer(1);
}

void Expire(CallContext& ctx, Args args, Writer& reply) {
  ExpireKey(ctx, args, ExpireUnit::kSeconds, ExpireBase::kRelative, "expire", reply);
}
void PExpire(CallContext& ctx, Args args, Writer& reply) {
  ExpireKey(ctx, args, ExpireUnit::kMilliseconds, ExpireBase::kRelative, "pexpire", reply);
}
void ExpireAt(CallContext& ctx, Args args, Writer& reply) {
  ExpireKey(ctx, args, ExpireUnit::kSeconds, ExpireBase::kAbsolute, "expireat", reply);
}
void PExpireAt(CallContext& ctx, Args args, Writer& reply) {
  ExpireKey(ctx, args, ExpireUnit::kMilliseconds, ExpireBase::kAbsolute, "pexpireat", reply);
}

// -2 no such key, -1 no TTL.
void ReplyTime(CallContext& ctx, Args args, bool left, int64_t per, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  const store::Entry* entry = LookupPeek(ctx, key);
  if (entry == nullptr) {
    Notify(ctx, config::kNotifyKeyMiss, "keymiss", key.name);
    return reply.Integer(-2);
  }
  if (!entry->has_expire()) return reply.Integer(-1);
  const int64_t ms = left ? std::max<int64_t>(entry->expire_ms() - ctx.now_ms, 0) : entry->expire_ms();
  reply.Integer(per == 1 ? ms : (ms + (left ? per / 2 : 0)) / per);
}
void Ttl(CallContext& ctx, Args args, Writer& reply) { ReplyTime(ctx, args, true, 1000, reply); }
void PTtl(CallContext& ctx, Args args, Writer& reply) { ReplyTime(ctx, args, true, 1, reply); }
void ExpireTimeSeconds(CallContext& ctx, Args args, Writer& reply) { ReplyTime(ctx, args, false, 1000, reply); }
void ExpireTimeMs(CallContext& ctx, Args args, Writer& reply) { ReplyTime(ctx, args, false, 1, reply); }

void Persist(CallContext& ctx, Args args, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  if (LookupWrite(ctx, key) == nullptr || !key.shard.Persist(ctx.db, key.name, key.hash)) return reply.Integer(0);
  ctx.effects.Verbatim(ctx.db, args);
  Notify(ctx, config::kNotifyGeneric, "persist", key.name);
  reply.Integer(1);
}

// clang-format off
constexpr KeySpec kOne{1, 1, 1};
const Row kRows[] = {
  {"expire", -3, kWrite | kFast, kOne, KeyAccess::kUpdate, "@keyspace", "generic", "1.0.0", "Lets a key live for a number of seconds.", "key seconds [NX|XX|GT|LT]", Expire},
  {"pexpire", -3, kWrite | kFast, kOne, KeyAccess::kUpdate, "@keyspace", "generic", "2.6.0", "Lets a key live for a number of milliseconds.", "key milliseconds [NX|XX|GT|LT]", PExpire},
  {"expireat", -3, kWrite | kFast, kOne, KeyAccess::kUpdate, "@keyspace", "generic", "1.2.0", "Lets a key live until a Unix time.", "key unix-time-seconds [NX|XX|GT|LT]", ExpireAt},
  {"pexpireat", -3, kWrite | kFast, kOne, KeyAccess::kUpdate, "@keyspace", "generic", "2.6.0", "Lets a key live until a Unix time in milliseconds.", "key unix-time-milliseconds [NX|XX|GT|LT]", PExpireAt},
  {"ttl", 2, kReadonly | kFast, kOne, KeyAccess::kRead, "@keyspace", "generic", "1.0.0", "Tells for how many seconds a key still lives.", "key", Ttl},
  {"pttl", 2, kReadonly | kFast, kOne, KeyAccess::kRead, "@keyspace", "generic", "2.6.0", "Tells for how many milliseconds a key still lives.", "key", PTtl},
  {"expiretime", 2, kReadonly | kFast, kOne, KeyAccess::kRead, "@keyspace", "generic", "7.0.0", "Tells until which Unix time a key lives.", "key", ExpireTimeSeconds},
  {"pexpiretime", 2, kReadonly | kFast, kOne, KeyAccess::kRead, "@keyspace", "generic", "7.0.0", "Tells until which Unix time in milliseconds a key lives.", "key", ExpireTimeMs},
  {"persist", 2, kWrite | kFast, kOne, KeyAccess::kUpdate, "@keyspace", "generic", "2.2.0", "Takes the time to live off a key.", "key", Persist},
};
// clang-format on

}  // namespace

std::span<const Row> ExpireCommands() { return kRows; }

}  // namespace understudy::command
