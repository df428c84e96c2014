// Strings: values as a whole. Numbers and ranges of strings are in string_number_family.cc.
#include <algorithm>
#include <optional>

#include "node/command/call_context.h"
#include "node/command/expire_time.h"
#include "node/command/notify.h"
#include "node/config/config.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"
#include "node/command/stats.h"

namespace understudy::command {
namespace {

using resp::Writer;

void ReplyValue(const store::Entry* entry, Writer& reply) {
  if (entry == nullptr) {
    reply.Null();
  } else if (entry->is_string()) [[likely]] {
    reply.Bulk(entry->value());
  } else {
    reply.Error(resp::kWrongType);
  }
}

bool IsOther(const store::Entry* entry) { return entry != nullptr && !entry->is_string(); }

void Get(CallContext& ctx, Args args, Writer& reply) { ReplyValue(LookupRead(ctx, FirstKey(ctx, args[1])), reply); }

// ---------------------------------------------------------------------------------------------- SET

struct SetArguments {
  bool if_absent = false, if_present = false, get = false, keep_ttl = false;
  std::optional<std::string_view> if_equal;  // to the string that is there
  ExpireOption expire;  // to be read by ReadExpire
  std::string_view pxat = "PXAT";            // as the client wrote it, for replicas
  bool keeps_past = false;                   // a time in the past is stored, and expires as any other
  int64_t expire_ms = store::kNoExpire;
};

enum class SetWords : uint8_t { kSet, kMSetEx, kGetEx };

// The options of a command; each may come twice, and its last value counts. False after the error reply.
bool ReadSetOptions(Args options, SetWords words, SetArguments* out, bool* persist, Writer& reply) {
  const bool sets = words != SetWords::kGetEx;
  for (size_t i = 0; i < options.size(); ++i) {
    const std::string_view option = options[i];
    ExpireOption expire;
    if (sets && Is(option, "nx") && !out->if_present && !out->if_equal) {
      out->if_absent = true;
    } else if (sets && Is(option, "xx") && !out->if_absent && !out->if_equal) {
      out->if_present = true;
    } else if (words == SetWords::kSet && Is(option, "ifeq") && i + 1 < options.size() && !out->if_absent &&
               !out->if_present && !out->if_equal) {
      out->if_equal = options[++i];
    } else if (words == SetWords::kSet && Is(option, "get")) {
      out->get = true;
    } else if (sets && Is(option, "keepttl") && !out->expire.given) {
      out->keep_ttl = true;
    } else if (!sets && Is(option, "persist") && !out->expire.given) {
      *persist = true;
    } else if (!out->keep_ttl && !*persist && TakeExpireOption(options, &i, &expire) &&
               (!out->expire.given || expire.IsLike(out->expire))) {
      out->expire = expire;
    } else {
      reply.Error(resp::kSyntaxError);
      return false;
    }
    if (Is(option, "pxat")) out->pxat = option;
  }
  return true;
}

// The time itself, which Redis looks at after all options. False after the error reply.
bool ReadExpire(const CallContext& ctx, std::string_view command, SetArguments* how, Writer& reply) {
  return !how->expire.given || ReadExpireTime(how->expire.text, how->expire.unit, how->expire.base, ctx.now_ms, 1,
                                              command, &how->expire_ms, reply);
}

// Stores and tells the replicas: SET key value [PXAT ms | KEEPTTL].
void Store(CallContext& ctx, const Key& key, std::string_view value, const SetArguments& how) {
  store::SetOptions options;
  options.expire_ms = how.expire_ms;
  options.keep_expire = how.keep_ttl;
  if (how.expire.given && how.expire_ms < ctx.now_ms && !how.keeps_past && ctx.removes_past()) {
    // A time in the past: the key is gone, on the replicas, too.
    if (key.shard.Erase(ctx.db, key.name, key.hash)) {
      ctx.effects.Add(ctx.db, {CallContext::RemovalWord(ctx.services.config.lazy_expire), key.name});
      Notify(ctx, config::kNotifyGeneric, "del", key.name);
    }
    return;
  }
  NotifyIfNew(ctx, key);
  key.shard.Set(ctx.db, key.name, key.hash, value, ctx.now_ms, options);
  if (how.expire.given) {
    ctx.effects.Add(ctx.db, {"SET", key.name, value, how.pxat, ctx.effects.Keep(how.expire_ms)});
  } else if (how.keep_ttl) {
    ctx.effects.Add(ctx.db, {"SET", key.name, value, "KEEPTTL"});
  } else {
    ctx.effects.Add(ctx.db, {"SET", key.name, value});
  }
  Notify(ctx, config::kNotifyString, "set", key.name);
  if (how.expire.given) Notify(ctx, config::kNotifyGeneric, "expire", key.name);
}

void Set(CallContext& ctx, Args args, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  if (args.size() == 3 && !Notifies(ctx.services, config::kNotifyString | config::kNotifyNew)) [[likely]] {
    key.shard.Set(ctx.db, key.name, key.hash, args[2], ctx.now_ms);
    ctx.effects.Verbatim(ctx.db, args);
    return reply.Ok();
  }
  SetArguments how;
  bool persist = false;
  if (!ReadSetOptions(args.subspan(3), SetWords::kSet, &how, &persist, reply)) return;
  if (!ReadExpire(ctx, "set", &how, reply)) return;
  // Only these look at the old value.
  if (how.if_absent || how.if_present || how.if_equal || how.get || how.keep_ttl) {
    const store::Entry* old = LookupWrite(ctx, key);
    if (how.get) {
      NoteLookup(ctx, key, old);
      ReplyValue(old, reply);
      if (IsOther(old)) return;
    }
    if (how.if_equal && IsOther(old)) return reply.Error(resp::kWrongType);
    if ((how.if_equal && (old == nullptr || old->value() != *how.if_equal)) || (how.if_absent && old != nullptr) ||
        (how.if_present && old == nullptr)) {
      if (!how.get) reply.Null();
      return;
    }
  }
  Store(ctx, key, args[2], how);
  if (!how.get) reply.Ok();
}

void SetNx(CallContext& ctx, Args args, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  if (LookupWrite(ctx, key) != nullptr) return reply.Integer(0);
  Store(ctx, key, args[2], {});
  reply.Integer(1);
}

void SetWithExpiry(CallContext& ctx, Args args, ExpireUnit unit, std::string_view command, Writer& reply) {
  SetArguments how;
  how.expire.given = true;
  if (!ReadExpireTime(args[2], unit, ExpireBase::kRelative, ctx.now_ms, 1, command, &how.expire_ms, reply)) return;
  Store(ctx, FirstKey(ctx, args[1]), args[3], how);
  reply.Ok();
}
void SetEx(CallContext& ctx, Args args, Writer& reply) {
  SetWithExpiry(ctx, args, ExpireUnit::kSeconds, "setex", reply);
}
void PSetEx(CallContext& ctx, Args args, Writer& reply) {
  SetWithExpiry(ctx, args, ExpireUnit::kMilliseconds, "psetex", reply);
}

void GetSet(CallContext& ctx, Args args, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  const store::Entry* old = LookupWrite(ctx, key);
  NoteLookup(ctx, key, old);
  ReplyValue(old, reply);
  if (!IsOther(old)) Store(ctx, key, args[2], {});
}

void GetDel(CallContext& ctx, Args args, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  const store::Entry* entry = LookupWrite(ctx, key);
  NoteLookup(ctx, key, entry);
  ReplyValue(entry, reply);
  if (entry == nullptr || IsOther(entry)) return;
  key.shard.Erase(ctx.db, key.name, key.hash);
  ctx.effects.Add(ctx.db, {"DEL", key.name});
  Notify(ctx, config::kNotifyGeneric, "del", key.name);
}

// DELIFEQ key value
void DelIfEqual(CallContext& ctx, Args args, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  const store::Entry* entry = LookupWrite(ctx, key);
  if (IsOther(entry)) return reply.Error(resp::kWrongType);
  if (entry == nullptr || entry->value() != args[2]) return reply.Integer(0);
  key.shard.Erase(ctx.db, key.name, key.hash);
  ctx.effects.Add(ctx.db, {"DEL", key.name});
  Notify(ctx, config::kNotifyGeneric, "del", key.name);
  reply.Integer(1);
}

void GetEx(CallContext& ctx, Args args, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  SetArguments how;
  bool persist = false;
  if (!ReadSetOptions(args.subspan(2), SetWords::kGetEx, &how, &persist, reply)) return;
  const store::Entry* entry = LookupWrite(ctx, key);
  NoteLookup(ctx, key, entry);
  if (entry != nullptr && !IsOther(entry) && !ReadExpire(ctx, "getex", &how, reply)) return;
  ReplyValue(entry, reply);
  if (entry == nullptr || IsOther(entry)) return;
  if (how.expire.given && how.expire_ms < ctx.now_ms && ctx.removes_past()) {
    key.shard.Erase(ctx.db, key.name, key.hash);
    key.shard.CountExpiredKey();
    ctx.effects.Add(ctx.db, {CallContext::RemovalWord(ctx.services.config.lazy_expire), key.name});
    Notify(ctx, config::kNotifyGeneric, "del", key.name);
  } else if (how.expire.given) {
    key.shard.SetExpire(ctx.db, key.name, key.hash, how.expire_ms);
    ctx.effects.Add(ctx.db, {"PEXPIREAT", key.name, ctx.effects.Keep(how.expire_ms)});
    Notify(ctx, config::kNotifyGeneric, "expire", key.name);
  } else if (persist && key.shard.Persist(ctx.db, key.name, key.hash)) {
    ctx.effects.Add(ctx.db, {"PERSIST", key.name});
    Notify(ctx, config::kNotifyGeneric, "persist", key.name);
  }
}

// ---------------------------------------------------------------------------------------------- several keys

void MGet(CallContext& ctx, Args args, Writer& reply) {
  reply.Array(args.size() - 1);
  for (const std::string_view name : args.subspan(1)) {
    const store::Entry* entry = LookupRead(ctx, AnyKey(ctx, name));
    if (entry != nullptr && entry->is_string()) [[likely]] {
      reply.Bulk(entry->value());
    } else {
      reply.Null();
    }
  }
}

bool SetMany(CallContext& ctx, Args args, bool if_absent, std::string_view command, Writer& reply) {
  if (args.size() % 2 == 0) {
    reply.Error("ERR wrong number of arguments for '" + std::string(command) + "' command");
    return false;
  }
  if (if_absent) {
    for (size_t i = 1; i < args.size(); i += 2) {
      if (LookupWrite(ctx, AnyKey(ctx, args[i])) != nullptr) return false;
    }
  }
  for (size_t i = 1; i < args.size(); i += 2) {
    const Key key = AnyKey(ctx, args[i]);
    NotifyIfNew(ctx, key);
    key.shard.Set(ctx.db, key.name, key.hash, args[i + 1], ctx.now_ms);
    Notify(ctx, config::kNotifyString, "set", key.name);
  }
  ctx.effects.Verbatim(ctx.db, args);
  return true;
}

void MSet(CallContext& ctx, Args args, Writer& reply) {
  if (SetMany(ctx, args, false, "mset", reply)) reply.Ok();
}

void MSetNx(CallContext& ctx, Args args, Writer& reply) {
  const uint64_t errors = reply.errors();
  const bool stored = SetMany(ctx, args, true, "msetnx", reply);
  if (reply.errors() == errors) reply.Integer(stored ? 1 : 0);
}

// MSETEX numkeys key value [key value ...] [options]: where the options begin, 0 if the words are too few.
size_t EndOfPairs(Args args, int64_t pairs) {
  return static_cast<uint64_t>(pairs) <= (args.size() - 2) / 2 ? 2 + 2 * static_cast<size_t>(pairs) : 0;
}

bool FindMSetExKeys(Args args, std::vector<uint32_t>* indexes) {
  int64_t pairs = 0;
  if (args.size() < 4 || !ParseInt64(args[1], &pairs) || pairs < 1) return false;
  const size_t end = EndOfPairs(args, pairs);
  for (size_t i = 2; i < end; i += 2) indexes->push_back(static_cast<uint32_t>(i));
  return end != 0;
}

void MSetEx(CallContext& ctx, Args args, Writer& reply) {
  int64_t pairs = 0;
  if (!ParseInt64(args[1], &pairs) || pairs < 1 || pairs > INT32_MAX) {
    return reply.Error("ERR invalid numkeys value or out of range");
  }
  const size_t end = EndOfPairs(args, pairs);
  if (end == 0) return reply.Error(resp::kSyntaxError);
  SetArguments how;
  how.keeps_past = true;  // as Valkey 9.1 has it
  bool persist = false;
  if (!ReadSetOptions(args.subspan(end), SetWords::kMSetEx, &how, &persist, reply)) return;
  if (!ReadExpire(ctx, "msetex", &how, reply)) return;
  for (size_t i = 2; i < end && (how.if_absent || how.if_present); i += 2) {
    const bool there = LookupWrite(ctx, AnyKey(ctx, args[i])) != nullptr;
    if (there == how.if_absent) return reply.Integer(0);
  }
  for (size_t i = 2; i < end; i += 2) {
    const Key key = AnyKey(ctx, args[i]);
    if (how.keep_ttl) LookupWrite(ctx, key);  // the time of an expired key is not kept
    Store(ctx, key, args[i + 1], how);
  }
  reply.Integer(1);
}

// ---------------------------------------------------------------------------------------------- LCS

struct LcsOptions {
  bool length = false, ranges = false, with_match_length = false;
  int64_t shortest = 0;
};

struct Match {
  size_t a_begin, a_end, b_begin, b_end;  // inclusive ends
};

// The usual table of lengths, then the way back through it.
void Lcs(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* first = LookupRead(ctx, AnyKey(ctx, args[1]));
  const store::Entry* second = LookupRead(ctx, AnyKey(ctx, args[2]));
  if (IsOther(first) || IsOther(second)) return reply.Error("ERR The specified keys must contain string values");
  LcsOptions options;
  for (size_t i = 3; i < args.size(); ++i) {
    if (Is(args[i], "idx")) {
      options.ranges = true;
    } else if (Is(args[i], "len")) {
      options.length = true;
    } else if (Is(args[i], "withmatchlen")) {
      options.with_match_length = true;
    } else if (Is(args[i], "minmatchlen") && i + 1 < args.size()) {
      if (!ReadInt64(args[++i], &options.shortest, reply)) return;
      options.shortest = std::max<int64_t>(options.shortest, 0);
    } else {
      return reply.Error(resp::kSyntaxError);
    }
  }
  if (options.ranges && options.length) {
    return reply.Error("ERR If you want both the length and indexes, please just use IDX.");
  }
  const std::string_view a = first ? first->value() : std::string_view();
  const std::string_view b = second ? second->value() : std::string_view();
  // 4 bytes a cell, and the time to fill them, with the shards locked.
  constexpr uint64_t kMostCells = 128ULL << 20;
  if ((a.size() + 1) * static_cast<uint64_t>(b.size() + 1) > kMostCells) {
    return reply.Error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
  }
  const size_t width = b.size() + 1;
  std::vector<uint32_t> table((a.size() + 1) * width, 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      table[i * width + j] = a[i - 1] == b[j - 1] ? table[(i - 1) * width + j - 1] + 1
                                                  : std::max(table[(i - 1) * width + j], table[i * width + j - 1]);
    }
  }
  const uint32_t length = table[a.size() * width + b.size()];
  if (options.length) return reply.Integer(length);

  std::string text(options.ranges ? 0 : length, '\0');
  std::vector<Match> matches;
  size_t i = a.size(), j = b.size(), at = length;
  while (i > 0 && j > 0) {
    if (a[i - 1] == b[j - 1]) {
      --i, --j, --at;
      if (!options.ranges) {
        text[at] = a[i];
      } else if (!matches.empty() && matches.back().a_begin == i + 1 && matches.back().b_begin == j + 1) {
        matches.back().a_begin = i;
        matches.back().b_begin = j;
      } else {
        matches.push_back({i, i, j, j});
      }
    } else if (table[(i - 1) * width + j] > table[i * width + j - 1]) {
      --i;
    } else {
      --j;
    }
  }
  if (!options.ranges) return reply.Bulk(text);
  std::erase_if(matches, [&](const Match& m) {
    return static_cast<int64_t>(m.a_end - m.a_begin + 1) < options.shortest;
  });
  reply.Map(2);
  reply.Bulk("matches");
  reply.Array(matches.size());
  for (const Match& m : matches) {
    reply.Array(options.with_match_length ? 3 : 2);
    reply.Array(2);
    reply.Integer(static_cast<int64_t>(m.a_begin));
    reply.Integer(static_cast<int64_t>(m.a_end));
    reply.Array(2);
    reply.Integer(static_cast<int64_t>(m.b_begin));
    reply.Integer(static_cast<int64_t>(m.b_end));
    if (options.with_match_length) reply.Integer(static_cast<int64_t>(m.a_end - m.a_begin + 1));
  }
  reply.Bulk("len");
  reply.Integer(length);
}

// SET without GET and IFEQ tells nothing of the old value.
KeyAccess SetAccess(Args args) {
  const Args options = args.subspan(std::min<size_t>(args.size(), 3));
  const bool reads = std::any_of(options.begin(), options.end(), [](std::string_view word) {
    return Is(word, "get") || Is(word, "ifeq");
  });
  return reads ? KeyAccess::kReadWrite : KeyAccess::kOverwrite;
}

// clang-format off
constexpr KeyForm kPairsBehindCount[] = {{.kind = KeyForm::Kind::kCounted, .at = 1, .step = 2}};
constexpr KeySpec kOne{1, 1, 1}, kAll{1, -1, 1}, kPairs{1, -1, 2}, kTwo{1, 2, 1}, kCountedPairs{.find = FindMSetExKeys, .forms = kPairsBehindCount};
constexpr KeySpec kSetKey{1, 1, 1, nullptr, KeyAccess::kNone, SetAccess};
const Row kRows[] = {
  {"get", 2, kReadonly | kFast, kOne, KeyAccess::kRead, "@string", "string", "1.0.0", "Reads a string.", "key", Get},
  {"set", -3, kWrite | kDenyOom, kSetKey, KeyAccess::kReadWrite, "@string", "string", "1.0.0", "Stores a string, whatever the key held before.",
   "key value [NX|XX|IFEQ comparison-value] [GET] [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]", Set},
  {"setnx", 3, kWrite | kDenyOom | kFast, kOne, KeyAccess::kCreate, "@string", "string", "1.0.0", "Stores a string if the key is free.", "key value", SetNx},
  {"setex", 4, kWrite | kDenyOom, kOne, KeyAccess::kOverwrite, "@string", "string", "2.0.0", "Stores a string that lives for a number of seconds.", "key seconds value", SetEx},
  {"psetex", 4, kWrite | kDenyOom, kOne, KeyAccess::kOverwrite, "@string", "string", "2.6.0", "Stores a string that lives for a number of milliseconds.", "key milliseconds value", PSetEx},
  {"getset", 3, kWrite | kDenyOom | kFast, kOne, KeyAccess::kReadWrite, "@string", "string", "1.0.0", "Stores a string and tells what was there before.", "key value", GetSet},
  {"getdel", 2, kWrite | kFast, kOne, KeyAccess::kTake, "@string", "string", "6.2.0", "Reads a string and removes its key.", "key", GetDel},
  {"delifeq", 3, kWrite | kFast, kOne, KeyAccess::kRemove, "@string", "string", "9.0.0", "Removes a string if it has a given value.", "key value", DelIfEqual},
  {"getex", -2, kWrite | kFast, kOne, KeyAccess::kReadWrite, "@string", "string", "6.2.0", "Reads a string and changes its time to live.",
   "key [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST]", GetEx},
  {"mget", -2, kReadonly | kFast, kAll, KeyAccess::kRead, "@string", "string", "1.0.0", "Reads several strings.", "key [key ...]", MGet},
  {"mset", -3, kWrite | kDenyOom, kPairs, KeyAccess::kOverwrite, "@string", "string", "1.0.1", "Stores several strings at once.", "key value [key value ...]", MSet},
  {"msetnx", -3, kWrite | kDenyOom, kPairs, KeyAccess::kCreate, "@string", "string", "1.0.1", "Stores several strings if all their keys are free.", "key value [key value ...]", MSetNx},
  {"msetex", -4, kWrite | kDenyOom, kCountedPairs, KeyAccess::kOverwrite, "@string", "string", "9.1.0", "Stores several strings at once, with a time to live.",
   "numkeys key value [key value ...] [NX|XX] [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]", MSetEx},
  {"lcs", -3, kReadonly, kTwo, KeyAccess::kRead, "@string", "string", "7.0.0", "Finds the longest sequence that two strings have in common.", "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]", Lcs},
};
// clang-format on

}  // namespace

std::span<const Row> StringCommands() { return kRows; }

}  // namespace understudy::command
