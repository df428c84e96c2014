// Hashes: fields with values. The example of how a family opens collections (CONTRIBUTING, "A command"). Commands on
// the times at which fields expire are in hash_expire_family.cc.
#include <cmath>
#include <string>
#include <vector>

#include "common/random.h"
#include "node/command/call_context.h"
#include "node/command/hash_access.h"
#include "node/command/notify.h"
#include "node/command/random_count.h"
#include "node/command/scan_options.h"
#include "node/config/config.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"
#include "node/types/hash.h"

namespace understudy::command {
namespace {

using resp::Writer;
using types::Hash;

constexpr store::Type kHash = store::Type::kHash;

// ---------------------------------------------------------------------------------------------- writing

// False after the error reply.
bool SetFields(CallContext& ctx, Args args, std::string_view command, int64_t* added, Writer& reply) {
  if (args.size() % 2 != 0) {
    reply.Error("ERR wrong number of arguments for '" + std::string(command) + "' command");
    return false;
  }
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupFieldsToChange(ctx, key);
  if (HasOtherType(entry, kHash, reply)) return false;
  const types::Limits limits = ctx.services.config.limits();
  auto hash = EditOrMakeHash(ctx, key, entry);
  hash->Expect(args.subspan(2), limits);
  for (size_t i = 2; i < args.size(); i += 2) {
    *added += hash->Set(args[i], args[i + 1], types::kNoExpire, limits, FieldNow(ctx));
  }
  ctx.effects.Verbatim(ctx.db, args);
  Notify(ctx, config::kNotifyHash, "hset", key.name);
  return true;
}

void HSet(CallContext& ctx, Args args, Writer& reply) {
  int64_t added = 0;
  if (SetFields(ctx, args, "hset", &added, reply)) reply.Integer(added);
}

void HMSet(CallContext& ctx, Args args, Writer& reply) {
  int64_t added = 0;
  if (SetFields(ctx, args, "hmset", &added, reply)) reply.Ok();
}

void HSetNx(CallContext& ctx, Args args, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupFieldsToChange(ctx, key);
  if (HasOtherType(entry, kHash, reply)) return;
  if (FindField(ctx, entry, args[2])) return reply.Integer(0);
  EditOrMakeHash(ctx, key, entry)->Set(args[2], args[3], types::kNoExpire, ctx.services.config.limits(), FieldNow(ctx));
  ctx.effects.Verbatim(ctx.db, args);
  Notify(ctx, config::kNotifyHash, "hset", key.name);
  reply.Integer(1);
}

void HDel(CallContext& ctx, Args args, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  // A field that has expired is removed as any other, though it does not count.
  store::Entry* entry = LookupWrite(ctx, key);
  if (HasOtherType(entry, kHash, reply)) return;
  if (entry == nullptr) return reply.Integer(0);
  int64_t erased = 0;
  bool changed = false, gone = false;
  {
    auto hash = EditValue<Hash>(ctx, key, entry);
    const size_t before = hash->Size();
    for (const std::string_view field : args.subspan(2)) erased += hash->Erase(field, FieldNow(ctx));
    changed = hash->Size() != before;
    gone = hash->Size() == 0;
    if (!changed) hash.NothingChanged();
  }
  if (changed) {
    ctx.effects.Verbatim(ctx.db, args);
    NotifyRemoved(ctx, key, "hdel", gone);
  }
  reply.Integer(erased);
}

// ---------------------------------------------------------------------------------------------- numbers

void Store(CallContext& ctx, const Key& key, store::Entry* entry, std::string_view field, std::string_view value) {
  EditOrMakeHash(ctx, key, entry)->Set(field, value, Hash::kKeepExpire, ctx.services.config.limits(), FieldNow(ctx));
}

void HIncrBy(CallContext& ctx, Args args, Writer& reply) {
  int64_t delta = 0, value = 0;
  if (!ReadInt64(args[3], &delta, reply)) return;
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupFieldsToChange(ctx, key);
  if (HasOtherType(entry, kHash, reply)) return;
  if (const auto field = FindField(ctx, entry, args[2])) {
    types::ListpackValue::Buffer buffer;
    if (!ParseInt64(field->value.Text(buffer), &value)) return reply.Error("ERR hash value is not an integer");
  }
  if (__builtin_add_overflow(value, delta, &value)) return reply.Error(resp::kOverflow);
  Store(ctx, key, entry, args[2], std::to_string(value));
  ctx.effects.Verbatim(ctx.db, args);
  Notify(ctx, config::kNotifyHash, "hincrby", key.name);
  reply.Integer(value);
}

void HIncrByFloat(CallContext& ctx, Args args, Writer& reply) {
  long double delta = 0, value = 0;
  if (!ParseLongDouble(args[3], &delta)) return reply.Error(resp::kNotFloat);
  if (std::isinf(delta)) return reply.Error("ERR value is NaN or Infinity");
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupFieldsToChange(ctx, key);
  if (HasOtherType(entry, kHash, reply)) return;
  int64_t expire_ms = types::kNoExpire;
  if (const auto field = FindField(ctx, entry, args[2])) {
    types::ListpackValue::Buffer buffer;
    if (!ParseLongDouble(field->value.Text(buffer), &value)) return reply.Error("ERR hash value is not a float");
    expire_ms = field->expire_ms;
  }
  value += delta;
  if (std::isnan(value) || std::isinf(value)) return reply.Error(resp::kNotFinite);
  const std::string text = resp::FormatLongDouble(value);
  Store(ctx, key, entry, args[2], text);
  // The outcome: another machine may round differently. HSET takes the time off a field.
  ctx.effects.Add(ctx.db, {"HSET", key.name, args[2], ctx.effects.Keep(text)});
  if (expire_ms != types::kNoExpire) {
    ctx.effects.Add(ctx.db, {"HPEXPIREAT", key.name, ctx.effects.Keep(expire_ms), "FIELDS", "1", args[2]});
  }
  Notify(ctx, config::kNotifyHash, "hincrbyfloat", key.name);
  reply.Bulk(text);
}

// ---------------------------------------------------------------------------------------------- reading

// The hash at args[1], for a command that reads. False after an error reply; *entry is null if there is none.
bool LookupHash(CallContext& ctx, Args args, const store::Entry** entry, Writer& reply) {
  *entry = LookupRead(ctx, FirstKey(ctx, args[1]));
  return !HasOtherType(*entry, kHash, reply);
}

void HGet(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry;
  if (LookupHash(ctx, args, &entry, reply)) ReplyValue(FindField(ctx, entry, args[2]), reply);
}

void HMGet(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry;
  if (!LookupHash(ctx, args, &entry, reply)) return;
  reply.Array(args.size() - 2);
  for (const std::string_view field : args.subspan(2)) ReplyValue(FindField(ctx, entry, field), reply);
}

// Also fields that expired and were not removed yet, as in Valkey: a number that is at hand.
void HLen(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry;
  if (!LookupHash(ctx, args, &entry, reply)) return;
  reply.Integer(entry != nullptr ? static_cast<int64_t>(entry->As<Hash>()->Size()) : 0);
}

void HStrLen(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry;
  if (!LookupHash(ctx, args, &entry, reply)) return;
  const auto field = FindField(ctx, entry, args[2]);
  reply.Integer(field ? static_cast<int64_t>(field->value.TextSize()) : 0);
}

void HExists(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry;
  if (LookupHash(ctx, args, &entry, reply)) reply.Integer(FindField(ctx, entry, args[2]).has_value());
}

void ReadAll(CallContext& ctx, Args args, bool names, bool values, Writer& reply) {
  const store::Entry* entry;
  if (!LookupHash(ctx, args, &entry, reply)) return;
  const size_t count = entry != nullptr ? entry->As<Hash>()->CountLive(FieldNow(ctx)) : 0;
  if (names && values) {
    reply.Map(count);
  } else {
    reply.Array(count);
  }
  if (count == 0) return;
  entry->As<Hash>()->ForEach(FieldNow(ctx), [&](const Hash::Field& field) {
    if (names) ReplyText(field.name, reply);
    if (values) ReplyText(field.value, reply);
    return true;
  });
}
void HGetAll(CallContext& ctx, Args args, Writer& reply) { ReadAll(ctx, args, true, true, reply); }
void HKeys(CallContext& ctx, Args args, Writer& reply) { ReadAll(ctx, args, true, false, reply); }
void HVals(CallContext& ctx, Args args, Writer& reply) { ReadAll(ctx, args, false, true, reply); }

void HScan(CallContext& ctx, Args args, Writer& reply) {
  ScanOptions options;
  if (!ReadScanCursor(args[2], &options.cursor, reply)) return;
  const store::Entry* entry;
  if (!LookupHash(ctx, args, &entry, reply)) return;
  std::vector<Hash::Field> fields;
  if (entry != nullptr) {
    if (!ReadScanOptions(args.subspan(3), kHash, &options, reply)) return;
    size_t seen = 0;
    // Also where fields lie sparse, or have expired, one call ends.
    size_t steps = options.count * 10;
    do {
      options.cursor = entry->As<Hash>()->Scan(options.cursor, FieldNow(ctx), [&](const Hash::Field& field) {
        ++seen;
        types::ListpackValue::Buffer buffer;
        if (options.Matches(field.name.Text(buffer))) fields.push_back(field);
      });
    } while (options.cursor != 0 && seen < options.count && --steps > 0);
  } else {
    options.cursor = 0;
  }
  reply.Array(2);
  reply.Bulk(std::to_string(options.cursor));
  reply.Array(fields.size() * (options.only_names ? 1 : 2));
  for (const Hash::Field& field : fields) {
    ReplyText(field.name, reply);
    if (!options.only_names) ReplyText(field.value, reply);
  }
}

// ---------------------------------------------------------------------------------------------- HRANDFIELD

void HRandField(CallContext& ctx, Args args, Writer& reply) {
  RandomCount wanted;
  if (args.size() > 2 && !ReadRandomCount(args, "withvalues", &wanted, reply)) return;
  const store::Entry* entry;
  if (!LookupHash(ctx, args, &entry, reply)) return;
  RandomSequence random;
  if (args.size() == 2) {
    const auto field = entry != nullptr ? entry->As<Hash>()->Random(random(), FieldNow(ctx)) : std::nullopt;
    if (!field) return reply.Null();
    return ReplyText(field->name, reply);
  }
  const size_t draws = wanted.Of(entry != nullptr ? entry->As<Hash>()->CountLive(FieldNow(ctx)) : 0);
  const bool nested = wanted.pairs && reply.protocol() == 3;
  reply.Array(wanted.pairs && !nested ? draws * 2 : draws);
  if (draws == 0) return;
  const auto give = [&](const Hash::Field& field) {
    if (nested) reply.Array(2);
    ReplyText(field.name, reply);
    if (wanted.pairs) ReplyText(field.value, reply);
  };
  const auto hash = entry->As<Hash>();
  if (wanted.repeats) {
    hash->SampleRepeated(draws, random, FieldNow(ctx), give);
  } else {
    hash->SampleDistinct(draws, random, FieldNow(ctx), give);
  }
}

// clang-format off
constexpr KeySpec kOne{1, 1, 1};
const Row kRows[] = {
  {"hset", -4, kWrite | kDenyOom | kFast, kOne, KeyAccess::kUpdate, "@hash", "hash", "2.0.0", "Sets fields of a hash.", "key field value [field value ...]", HSet},
  {"hmset", -4, kWrite | kDenyOom | kFast, kOne, KeyAccess::kUpdate, "@hash", "hash", "2.0.0", "Sets fields of a hash (the old name of HSET).", "key field value [field value ...]", HMSet},
  {"hsetnx", 4, kWrite | kDenyOom | kFast, kOne, KeyAccess::kInsert, "@hash", "hash", "2.0.0", "Sets a field of a hash if there is none of that name.", "key field value", HSetNx},
  {"hdel", -3, kWrite | kFast, kOne, KeyAccess::kDelete, "@hash", "hash", "2.0.0", "Removes fields of a hash, and the key with the last of them.", "key field [field ...]", HDel},
  {"hincrby", 4, kWrite | kDenyOom | kFast, kOne, KeyAccess::kReadWrite, "@hash", "hash", "2.0.0", "Adds to a number in a field; a missing one counts as 0.", "key field increment", HIncrBy},
  {"hincrbyfloat", 4, kWrite | kDenyOom | kFast, kOne, KeyAccess::kReadWrite, "@hash", "hash", "2.6.0", "Adds to a number with a fraction in a field; a missing one counts as 0.", "key field increment", HIncrByFloat},
  {"hget", 3, kReadonly | kFast, kOne, KeyAccess::kRead, "@hash", "hash", "2.0.0", "Reads a field of a hash.", "key field", HGet},
  {"hmget", -3, kReadonly | kFast, kOne, KeyAccess::kRead, "@hash", "hash", "2.0.0", "Reads fields of a hash.", "key field [field ...]", HMGet},
  {"hlen", 2, kReadonly | kFast, kOne, KeyAccess::kLook, "@hash", "hash", "2.0.0", "Counts the fields of a hash.", "key", HLen},
  {"hstrlen", 3, kReadonly | kFast, kOne, KeyAccess::kLook, "@hash", "hash", "3.2.0", "Tells how long the value of a field is.", "key field", HStrLen},
  {"hexists", 3, kReadonly | kFast, kOne, KeyAccess::kLook, "@hash", "hash", "2.0.0", "Tells whether a hash has a field.", "key field", HExists},
  {"hgetall", 2, kReadonly, kOne, KeyAccess::kRead, "@hash", "hash", "2.0.0", "Reads all fields of a hash with their values.", "key", HGetAll},
  {"hkeys", 2, kReadonly, kOne, KeyAccess::kRead, "@hash", "hash", "2.0.0", "Lists the fields of a hash.", "key", HKeys},
  {"hvals", 2, kReadonly, kOne, KeyAccess::kRead, "@hash", "hash", "2.0.0", "Lists the values of a hash.", "key", HVals},
  {"hscan", -3, kReadonly, kOne, KeyAccess::kRead, "@hash", "hash", "2.8.0", "Walks over the fields of a hash in steps.", "key cursor [MATCH pattern] [COUNT count] [NOVALUES]", HScan},
  {"hrandfield", -2, kReadonly, kOne, KeyAccess::kRead, "@hash", "hash", "6.2.0", "Reads random fields of a hash.", "key [count [WITHVALUES]]", HRandField},
};
// clang-format on

}  // namespace

std::span<const Row> HashCommands() { return kRows; }

}  // namespace understudy::command
