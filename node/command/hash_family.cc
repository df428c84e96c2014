// Hashes: fields with values. The example of how a family opens collections (CONTRIBUTING, "A command").
#include <string>

#include "node/command/call_context.h"
#include "node/config/config.h"
#include "node/resp/writer.h"
#include "node/types/hash.h"

namespace understudy::command {
namespace {

using resp::Writer;
using types::Hash;

constexpr store::Type kHash = store::Type::kHash;

// What commands that read see: under a primary's stream nothing has expired by itself.
int64_t FieldNow(const CallContext& ctx) { return ctx.view == store::View::kRaw ? INT64_MIN : ctx.now_ms; }

Hash NewHash() { return Hash(); }

void ReplyText(const types::ListpackValue& value, Writer& reply) {
  types::ListpackValue::Buffer buffer;
  reply.Bulk(value.Text(buffer));
}

// LookupWrite for a command that changes fields: those whose time has come are removed first, and replicas told, as
// LookupWrite does it with keys. Null: no such key (any more), or another type.
store::Entry* LookupToChange(CallContext& ctx, const Key& key) {
  store::Entry* entry = LookupWrite(ctx, key);
  if (entry == nullptr || entry->type() != kHash || ctx.view == store::View::kRaw) return entry;
  return key.shard.ExpireFieldsOf(ctx.db, key.name, key.hash, *entry, ctx.now_ms);
}

void HSet(CallContext& ctx, Args args, Writer& reply) {
  if (args.size() % 2 != 0) return reply.Error("ERR wrong number of arguments for 'hset' command");
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupToChange(ctx, key);
  if (HasOtherType(entry, kHash, reply)) return;
  const types::Limits limits = ctx.services.config.limits();
  auto hash = EditOrMake<Hash>(ctx, key, entry, NewHash);
  hash->Expect(args.subspan(2), limits);
  int64_t added = 0;
  for (size_t i = 2; i < args.size(); i += 2) {
    added += hash->Set(args[i], args[i + 1], types::kNoExpire, limits, FieldNow(ctx));
  }
  ctx.effects.Verbatim(ctx.db, args);
  reply.Integer(added);
}

void HGet(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry = LookupRead(ctx, FirstKey(ctx, args[1]));
  if (HasOtherType(entry, kHash, reply)) return;
  if (entry == nullptr) return reply.Null();
  const auto field = entry->As<Hash>()->Find(args[2], FieldNow(ctx));
  if (!field) return reply.Null();
  ReplyText(field->value, reply);
}

void HDel(CallContext& ctx, Args args, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupToChange(ctx, key);
  if (HasOtherType(entry, kHash, reply)) return;
  if (entry == nullptr) return reply.Integer(0);
  auto hash = EditValue<Hash>(ctx, key, entry);
  int64_t erased = 0;
  for (const std::string_view field : args.subspan(2)) erased += hash->Erase(field, FieldNow(ctx));
  if (erased == 0) {
    hash.NothingChanged();
  } else {
    ctx.effects.Verbatim(ctx.db, args);
  }
  reply.Integer(erased);
}

void HLen(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry = LookupRead(ctx, FirstKey(ctx, args[1]));
  if (HasOtherType(entry, kHash, reply)) return;
  reply.Integer(entry != nullptr ? static_cast<int64_t>(entry->As<Hash>()->Size()) : 0);
}

void HExists(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry = LookupRead(ctx, FirstKey(ctx, args[1]));
  if (HasOtherType(entry, kHash, reply)) return;
  reply.Integer(entry != nullptr && entry->As<Hash>()->Find(args[2], FieldNow(ctx)) ? 1 : 0);
}

void HGetAll(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry = LookupRead(ctx, FirstKey(ctx, args[1]));
  if (HasOtherType(entry, kHash, reply)) return;
  if (entry == nullptr) return reply.Map(0);
  const auto hash = entry->As<Hash>();
  reply.Map(hash->CountLive(FieldNow(ctx)));
  hash->ForEach(FieldNow(ctx), [&](const Hash::Field& field) {
    ReplyText(field.name, reply);
    ReplyText(field.value, reply);
    return true;
  });
}

// clang-format off
constexpr KeySpec kOne{1, 1, 1};
const Row kRows[] = {
  {"hset", -4, kWrite | kDenyOom | kFast, kOne, KeyAccess::kReadWrite, "@hash", "hash", "2.0.0", "Sets fields of a hash.", "key field value [field value ...]", HSet},
  {"hget", 3, kReadonly | kFast, kOne, KeyAccess::kRead, "@hash", "hash", "2.0.0", "Reads a field of a hash.", "key field", HGet},
  {"hdel", -3, kWrite | kFast, kOne, KeyAccess::kReadWrite, "@hash", "hash", "2.0.0", "Removes fields of a hash, and the key with the last of them.", "key field [field ...]", HDel},
  {"hlen", 2, kReadonly | kFast, kOne, KeyAccess::kRead, "@hash", "hash", "2.0.0", "Counts the fields of a hash.", "key", HLen},
  {"hexists", 3, kReadonly | kFast, kOne, KeyAccess::kRead, "@hash", "hash", "2.0.0", "Tells whether a hash has a field.", "key field", HExists},
  {"hgetall", 2, kReadonly, kOne, KeyAccess::kRead, "@hash", "hash", "2.0.0", "Reads all fields of a hash.", "key", HGetAll},
};
// clang-format on

}  // namespace

std::span<const Row> HashCommands() { return kRows; }

}  // namespace understudy::command
