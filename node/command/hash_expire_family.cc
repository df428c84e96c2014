// Fields of hashes that expire: their times, and reading or writing fields together with them.
//
// Replicas are told the outcome: HPEXPIREAT with the fields that got the time, HDEL with those whose time was past.
// Source: Valkey 9.1, for behaviour and for error texts, of which Redis 8 has others in places.
#include <string>
#include <vector>

#include "node/command/call_context.h"
#include "node/command/expire_time.h"
#include "node/command/hash_access.h"
#include "node/command/notify.h"
#include "node/config/config.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"
#include "node/types/hash.h"

namespace understudy::command {
namespace {

using resp::Writer;
using types::Hash;

constexpr store::Type kHash = store::Type::kHash;
constexpr std::string_view kBadCount = "ERR numfields should be greater than 0 and match the provided number of fields";
// Replies of HEXPIRE, HTTL and HPERSIST for one field.
constexpr int64_t kNoField = -2, kNoTime = -1, kConditionFailed = 0, kDone = 1, kRemoved = 2;

// ---------------------------------------------------------------------------------------------- arguments

// "<options> FIELDS numfields field ..."
struct FieldWords {
  Args options;
  Args counted;  // from the number on; empty if there is none
};

FieldWords SplitAtFields(Args words) {
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    if (Is(words[i], "fields")) return {words.first(i), words.subspan(i + 1)};
  }
  return {};
}

// words_each: 2 if a value follows each field. error: of a number that is not theirs. False after the error reply.
bool ReadFields(Args counted, size_t words_each, std::string_view error, Args* fields, Writer& reply) {
  int64_t count = 0;
  if (!counted.empty() && !ReadInt64(counted[0], &count, reply)) return false;
  const size_t words = counted.empty() ? 0 : counted.size() - 1;
  if (count <= 0 || words % words_each != 0 || static_cast<uint64_t>(count) != words / words_each) {
    reply.Error(error);
    return false;
  }
  *fields = counted.subspan(1);
  return true;
}

// Of commands without options: FIELDS is their third word. False after the error reply.
bool ReadFieldsOnly(Args args, std::string_view error, Args* fields, Writer& reply) {
  if (!Is(args[2], "fields")) {
    reply.Error(resp::kSyntaxError);
    return false;
  }
  return ReadFields(args.subspan(3), 1, error, fields, reply);
}

// False after the error reply.
bool ReadFieldTime(const CallContext& ctx, const ExpireOption& option, std::string_view command, int64_t* unix_ms,
                   Writer& reply) {
  if (!ReadExpireTime(option.text, option.unit, option.base, ctx.now_ms, 0, command, unix_ms, reply)) return false;
  // The last millisecond of all means "none" in a hash.
  *unix_ms = std::min(*unix_ms, types::kNoExpire - 1);
  return true;
}

// Is it a time at which a field is removed at once? On a replica that is the primary's to say.
bool IsPast(const CallContext& ctx, int64_t unix_ms) {
  return unix_ms <= ctx.now_ms && ctx.removes_past();
}

// ---------------------------------------------------------------------------------------------- effects

// "<words> field ..."; counted: with FIELDS and their number before them.
void ReplicateFields(CallContext& ctx, std::vector<std::string_view> words, bool counted, Args fields) {
  if (counted) words.insert(words.end(), {"FIELDS", ctx.effects.Keep(fields.size())});
  words.insert(words.end(), fields.begin(), fields.end());
  ctx.effects.AddLong(ctx.db, std::move(words));
}

// What is done to fields, by HEXPIRE, HPERSIST, HGETEX and HGETDEL.
struct FieldChange {
  enum Kind : uint8_t { kSetTime, kRemoveTime, kExpire, kRemove } kind;
  int64_t unix_ms = types::kNoExpire;
};

// Changes the fields that `wants` says yes to, and tells replicas and listeners. wants is given each field as it is
// before the change, nothing for one that the hash does not have.
template <typename Wants>
void ChangeFields(CallContext& ctx, const Key& key, store::Entry* entry, Args fields, FieldChange change, Wants wants) {
  std::vector<std::string_view> changed;
  bool gone = false;
  {
    auto hash = EditValue<Hash>(ctx, key, entry);
    for (const std::string_view name : fields) {
      const auto found = hash->Find(name, FieldNow(ctx));
      if (!wants(found) || !found) continue;
      if (change.kind == FieldChange::kSetTime || change.kind == FieldChange::kRemoveTime) {
        hash->SetExpire(name, change.unix_ms, FieldNow(ctx));
      } else {
        hash->Erase(name, FieldNow(ctx));
      }
      changed.push_back(name);
    }
    if (changed.empty()) hash.NothingChanged();
    gone = hash->Size() == 0;
  }
  if (changed.empty()) return;
  switch (change.kind) {
    case FieldChange::kSetTime:
      ReplicateFields(ctx, {"HPEXPIREAT", key.name, ctx.effects.Keep(change.unix_ms)}, true, changed);
      return Notify(ctx, config::kNotifyHash, "hexpire", key.name);
    case FieldChange::kRemoveTime:
      ReplicateFields(ctx, {"HPERSIST", key.name}, true, changed);
      return Notify(ctx, config::kNotifyHash, "hpersist", key.name);
    case FieldChange::kExpire:
      key.shard.CountExpiredFields(changed.size());
      [[fallthrough]];
    case FieldChange::kRemove:
      ReplicateFields(ctx, {"HDEL", key.name}, false, changed);
      NotifyRemoved(ctx, key, change.kind == FieldChange::kRemove ? "hdel" : "hexpired", gone);
  }
}

// ---------------------------------------------------------------------------------------------- HEXPIRE, HTTL

void ExpireFields(CallContext& ctx, Args args, ExpireUnit unit, ExpireBase base, std::string_view command,
                  Writer& reply) {
  const FieldWords words = SplitAtFields(args.subspan(3));
  ExpireConditions conditions;
  Args fields;
  int64_t at = 0;
  if (!ReadExpireConditions(words.options, &conditions, reply)) return;
  if (!ReadFields(words.counted, 1, kBadCount, &fields, reply)) return;
  if (!ReadFieldTime(ctx, {true, args[2], unit, base}, command, &at, reply)) return;
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupFieldsToChange(ctx, key);
  if (HasOtherType(entry, kHash, reply)) return;
  reply.Array(fields.size());
  if (entry == nullptr) {
    for (size_t i = 0; i < fields.size(); ++i) reply.Integer(kNoField);
    return;
  }
  const bool past = IsPast(ctx, at);
  const FieldChange change{past ? FieldChange::kExpire : FieldChange::kSetTime, at};
  ChangeFields(ctx, key, entry, fields, change, [&](const std::optional<Hash::Field>& found) {
    const bool holds = found && conditions.Hold(found->expire_ms != types::kNoExpire, found->expire_ms, at);
    reply.Integer(!found ? kNoField : !holds ? kConditionFailed : past ? kRemoved : kDone);
    return holds;
  });
}

void HExpire(CallContext& ctx, Args args, Writer& reply) {
  ExpireFields(ctx, args, ExpireUnit::kSeconds, ExpireBase::kRelative, "hexpire", reply);
}
void HPExpire(CallContext& ctx, Args args, Writer& reply) {
  ExpireFields(ctx, args, ExpireUnit::kMilliseconds, ExpireBase::kRelative, "hpexpire", reply);
}
void HExpireAt(CallContext& ctx, Args args, Writer& reply) {
  ExpireFields(ctx, args, ExpireUnit::kSeconds, ExpireBase::kAbsolute, "hexpireat", reply);
}
void HPExpireAt(CallContext& ctx, Args args, Writer& reply) {
  ExpireFields(ctx, args, ExpireUnit::kMilliseconds, ExpireBase::kAbsolute, "hpexpireat", reply);
}

void ReplyTimes(CallContext& ctx, Args args, ExpireUnit unit, ExpireBase base, Writer& reply) {
  Args fields;
  if (!ReadFieldsOnly(args, resp::kSyntaxError, &fields, reply)) return;
  const store::Entry* entry = LookupRead(ctx, FirstKey(ctx, args[1]));
  if (HasOtherType(entry, kHash, reply)) return;
  reply.Array(fields.size());
  for (const std::string_view name : fields) {
    const auto field = FindField(ctx, entry, name);
    if (!field || field->expire_ms == types::kNoExpire) {
      reply.Integer(field ? kNoTime : kNoField);
      continue;
    }
    int64_t ms = field->expire_ms;
    if (base == ExpireBase::kRelative) ms = std::max<int64_t>(ms - ctx.now_ms, 0);
    reply.Integer(unit == ExpireUnit::kMilliseconds ? ms : ms / 1000 + (ms % 1000 >= 500));
  }
}

void HTtl(CallContext& ctx, Args args, Writer& reply) {
  ReplyTimes(ctx, args, ExpireUnit::kSeconds, ExpireBase::kRelative, reply);
}
void HPTtl(CallContext& ctx, Args args, Writer& reply) {
  ReplyTimes(ctx, args, ExpireUnit::kMilliseconds, ExpireBase::kRelative, reply);
}
void HExpireTime(CallContext& ctx, Args args, Writer& reply) {
  ReplyTimes(ctx, args, ExpireUnit::kSeconds, ExpireBase::kAbsolute, reply);
}
void HPExpireTime(CallContext& ctx, Args args, Writer& reply) {
  ReplyTimes(ctx, args, ExpireUnit::kMilliseconds, ExpireBase::kAbsolute, reply);
}

void HPersist(CallContext& ctx, Args args, Writer& reply) {
  Args fields;
  if (!ReadFieldsOnly(args, kBadCount, &fields, reply)) return;
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupFieldsToChange(ctx, key);
  if (HasOtherType(entry, kHash, reply)) return;
  reply.Array(fields.size());
  if (entry == nullptr) {
    for (size_t i = 0; i < fields.size(); ++i) reply.Integer(kNoField);
    return;
  }
  ChangeFields(ctx, key, entry, fields, {FieldChange::kRemoveTime}, [&](const std::optional<Hash::Field>& found) {
    const bool expires = found && found->expire_ms != types::kNoExpire;
    reply.Integer(!found ? kNoField : expires ? kDone : kNoTime);
    return expires;
  });
}

// ---------------------------------------------------------------------------------------------- HGETEX, HGETDEL

void ReplyValues(CallContext& ctx, const store::Entry* entry, Args fields, Writer& reply) {
  reply.Array(fields.size());
  for (const std::string_view name : fields) ReplyValue(FindField(ctx, entry, name), reply);
}

void ReplyValuesAndChange(CallContext& ctx, const Key& key, store::Entry* entry, Args fields, FieldChange change,
                          Writer& reply) {
  reply.Array(fields.size());
  ChangeFields(ctx, key, entry, fields, change, [&](const std::optional<Hash::Field>& found) {
    ReplyValue(found, reply);
    return change.kind != FieldChange::kRemoveTime || (found && found->expire_ms != types::kNoExpire);
  });
}

void HGetDel(CallContext& ctx, Args args, Writer& reply) {
  Args fields;
  if (!ReadFieldsOnly(args, kBadCount, &fields, reply)) return;
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupFieldsToChange(ctx, key);
  NoteLookup(ctx, key, entry);
  if (HasOtherType(entry, kHash, reply)) return;
  if (entry == nullptr) return ReplyValues(ctx, entry, fields, reply);
  ReplyValuesAndChange(ctx, key, entry, fields, {FieldChange::kRemove}, reply);
}

// The time option at *i, which may be given again, but only in its form. False: it is none.
bool TakeTime(Args options, size_t* i, ExpireOption* time) {
  ExpireOption read;
  if (!TakeExpireOption(options, i, &read)) return false;
  if (time->given && (read.unit != time->unit || read.base != time->base)) return false;
  *time = read;
  return true;
}

void HGetEx(CallContext& ctx, Args args, Writer& reply) {
  const FieldWords words = SplitAtFields(args.subspan(2));
  ExpireOption time;
  bool persist = false;
  for (size_t i = 0; i < words.options.size(); ++i) {
    if (Is(words.options[i], "persist") && !time.given) {
      persist = true;
    } else if (persist || !TakeTime(words.options, &i, &time)) {
      return reply.Error(resp::kSyntaxError);
    }
  }
  Args fields;
  if (!ReadFields(words.counted, 1, kBadCount, &fields, reply)) return;
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupFieldsToChange(ctx, key);
  NoteLookup(ctx, key, entry);
  if (HasOtherType(entry, kHash, reply)) return;
  int64_t at = 0;
  if (time.given && !ReadFieldTime(ctx, time, "hgetex", &at, reply)) return;
  if (entry == nullptr || (!time.given && !persist)) return ReplyValues(ctx, entry, fields, reply);
  FieldChange change{FieldChange::kRemoveTime};
  if (time.given) change = {IsPast(ctx, at) ? FieldChange::kExpire : FieldChange::kSetTime, at};
  ReplyValuesAndChange(ctx, key, entry, fields, change, reply);
}

// ---------------------------------------------------------------------------------------------- HSETEX

struct SetOptions {
  bool key_absent = false, key_present = false, fields_absent = false, fields_present = false, keep_time = false;
  ExpireOption time;
};

bool ReadSetOptions(Args options, SetOptions* out, Writer& reply) {
  for (size_t i = 0; i < options.size(); ++i) {
    if (Is(options[i], "nx") && !out->key_present) {
      out->key_absent = true;
    } else if (Is(options[i], "xx") && !out->key_absent) {
      out->key_present = true;
    } else if (Is(options[i], "fnx") && !out->fields_present) {
      out->fields_absent = true;
    } else if (Is(options[i], "fxx") && !out->fields_absent) {
      out->fields_present = true;
    } else if (Is(options[i], "keepttl") && !out->time.given) {
      out->keep_time = true;
    } else if (out->keep_time || !TakeTime(options, &i, &out->time)) {
      reply.Error(resp::kSyntaxError);
      return false;
    }
  }
  return true;
}

// pairs: fields and values in turn.
bool FieldsAreAsAsked(CallContext& ctx, const store::Entry* entry, Args pairs, const SetOptions& options) {
  if (!options.fields_absent && !options.fields_present) return true;
  for (size_t i = 0; i < pairs.size(); i += 2) {
    if (FindField(ctx, entry, pairs[i]).has_value() != options.fields_present) return false;
  }
  return true;
}

void SetFieldsWithTime(CallContext& ctx, const Key& key, store::Entry* entry, Args pairs, const SetOptions& options,
                       int64_t at) {
  const types::Limits limits = ctx.services.config.limits();
  int64_t expire_ms = types::kNoExpire;
  if (options.keep_time) expire_ms = Hash::kKeepExpire;
  if (options.time.given) expire_ms = at;
  {
    auto hash = EditOrMakeHash(ctx, key, entry);
    for (size_t i = 0; i < pairs.size(); i += 2) {
      hash->Set(pairs[i], pairs[i + 1], expire_ms, limits, FieldNow(ctx));
    }
  }
  const std::string_view count = ctx.effects.Keep(pairs.size() / 2);
  std::vector<std::string_view> words{"HSET", key.name};
  if (options.keep_time) words = {"HSETEX", key.name, "KEEPTTL", "FIELDS", count};
  if (options.time.given) words = {"HSETEX", key.name, "PXAT", ctx.effects.Keep(at), "FIELDS", count};
  ReplicateFields(ctx, std::move(words), false, pairs);
  Notify(ctx, config::kNotifyHash, "hset", key.name);
  if (options.time.given) Notify(ctx, config::kNotifyHash, "hexpire", key.name);
}

// With a time in the past it is as if the fields had been set and had expired at once.
void SetAndExpireFields(CallContext& ctx, const Key& key, store::Entry* entry, Args pairs) {
  std::vector<std::string_view> removed;
  bool gone = entry == nullptr;
  if (entry != nullptr) {
    auto hash = EditValue<Hash>(ctx, key, entry);
    for (size_t i = 0; i < pairs.size(); i += 2) {
      if (hash->Erase(pairs[i], FieldNow(ctx))) removed.push_back(pairs[i]);
    }
    if (removed.empty()) hash.NothingChanged();
    gone = hash->Size() == 0;
  }
  if (!removed.empty()) ReplicateFields(ctx, {"HDEL", key.name}, false, removed);
  key.shard.CountExpiredFields(pairs.size() / 2);
  Notify(ctx, config::kNotifyHash, "hset", key.name);
  Notify(ctx, config::kNotifyHash, "hexpire", key.name);
  NotifyRemoved(ctx, key, "hexpired", gone);
}

void HSetEx(CallContext& ctx, Args args, Writer& reply) {
  const FieldWords words = SplitAtFields(args.subspan(2));
  SetOptions options;
  Args pairs;
  if (!ReadSetOptions(words.options, &options, reply)) return;
  if (!ReadFields(words.counted, 2, kBadCount, &pairs, reply)) return;
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupFieldsToChange(ctx, key);
  if (HasOtherType(entry, kHash, reply)) return;
  if (entry != nullptr ? options.key_absent : options.key_present) return reply.Integer(0);
  int64_t at = 0;
  if (options.time.given && !ReadFieldTime(ctx, options.time, "hsetex", &at, reply)) return;
  if (!FieldsAreAsAsked(ctx, entry, pairs, options)) return reply.Integer(0);
  if (options.time.given && IsPast(ctx, at)) {
    SetAndExpireFields(ctx, key, entry, pairs);
  } else {
    SetFieldsWithTime(ctx, key, entry, pairs, options, at);
  }
  reply.Integer(1);
}

// clang-format off
constexpr KeySpec kOne{1, 1, 1};
const Row kRows[] = {
  {"hexpire", -6, kWrite | kFast, kOne, KeyAccess::kUpdate, "@hash", "hash", "9.0.0", "Lets fields of a hash live for a number of seconds.", "key seconds [NX|XX|GT|LT] FIELDS numfields field [field ...]", HExpire},
  {"hpexpire", -6, kWrite | kFast, kOne, KeyAccess::kUpdate, "@hash", "hash", "9.0.0", "Lets fields of a hash live for a number of milliseconds.", "key milliseconds [NX|XX|GT|LT] FIELDS numfields field [field ...]", HPExpire},
  {"hexpireat", -6, kWrite | kFast, kOne, KeyAccess::kUpdate, "@hash", "hash", "9.0.0", "Lets fields of a hash live until a Unix time.", "key unix-time-seconds [NX|XX|GT|LT] FIELDS numfields field [field ...]", HExpireAt},
  {"hpexpireat", -6, kWrite | kFast, kOne, KeyAccess::kUpdate, "@hash", "hash", "9.0.0", "Lets fields of a hash live until a Unix time in milliseconds.", "key unix-time-milliseconds [NX|XX|GT|LT] FIELDS numfields field [field ...]", HPExpireAt},
  {"httl", -5, kReadonly | kFast, kOne, KeyAccess::kRead, "@hash", "hash", "9.0.0", "Tells for how many seconds fields of a hash still live.", "key FIELDS numfields field [field ...]", HTtl},
  {"hpttl", -5, kReadonly | kFast, kOne, KeyAccess::kRead, "@hash", "hash", "9.0.0", "Tells for how many milliseconds fields of a hash still live.", "key FIELDS numfields field [field ...]", HPTtl},
  {"hexpiretime", -5, kReadonly | kFast, kOne, KeyAccess::kRead, "@hash", "hash", "9.0.0", "Tells until which Unix time fields of a hash live.", "key FIELDS numfields field [field ...]", HExpireTime},
  {"hpexpiretime", -5, kReadonly | kFast, kOne, KeyAccess::kRead, "@hash", "hash", "9.0.0", "Tells until which Unix time in milliseconds fields of a hash live.", "key FIELDS numfields field [field ...]", HPExpireTime},
  {"hpersist", -5, kWrite | kFast, kOne, KeyAccess::kUpdate, "@hash", "hash", "9.0.0", "Takes the time to live off fields of a hash.", "key FIELDS numfields field [field ...]", HPersist},
  {"hgetex", -5, kWrite | kFast, kOne, KeyAccess::kReadCached, "@hash", "hash", "9.0.0", "Reads fields of a hash and changes their times to live.",
   "key [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST] FIELDS numfields field [field ...]", HGetEx},
  {"hsetex", -6, kWrite | kDenyOom | kFast, kOne, KeyAccess::kInsert, "@hash", "hash", "9.0.0", "Sets fields of a hash and their times to live.",
   "key [NX|XX] [FNX|FXX] [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL] FIELDS numfields field value [field value ...]", HSetEx},
  {"hgetdel", -5, kWrite | kFast, kOne, KeyAccess::kTake, "@hash", "hash", "9.1.0", "Reads fields of a hash and removes them.", "key FIELDS numfields field [field ...]", HGetDel},
};
// clang-format on

}  // namespace

std::span<const Row> HashExpireCommands() { return kRows; }

}  // namespace understudy::command
