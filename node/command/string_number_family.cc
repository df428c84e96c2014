// Strings changed in place: numbers and ranges.
#include <charconv>
#include <cmath>

#include "node/command/call_context.h"
#include "node/command/notify.h"
#include "node/config/config.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"

namespace understudy::command {
namespace {

using resp::Writer;

// ---------------------------------------------------------------------------------------------- numbers

void Add(CallContext& ctx, Args args, int64_t delta, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  const store::Entry* entry = LookupWrite(ctx, key);
  if (HasOtherType(entry, store::Type::kString, reply)) return;
  int64_t value = 0;
  if (entry != nullptr && !ParseInt64(entry->value(), &value)) return reply.Error(resp::kNotInteger);
  if (__builtin_add_overflow(value, delta, &value)) return reply.Error(resp::kOverflow);
  char text[20];
  const std::string_view digits(text, static_cast<size_t>(resp::WriteInteger(text, value) - text));
  store::SetOptions options;
  options.keep_expire = true;
  if (entry == nullptr) NotifyIfNew(ctx, key);
  key.shard.Set(ctx.db, key.name, key.hash, digits, ctx.now_ms, options);
  ctx.effects.Verbatim(ctx.db, args);
  Notify(ctx, config::kNotifyString, "incrby", key.name);
  reply.Integer(value);
}

void Incr(CallContext& ctx, Args args, Writer& reply) { Add(ctx, args, 1, reply); }
void Decr(CallContext& ctx, Args args, Writer& reply) { Add(ctx, args, -1, reply); }

void IncrBy(CallContext& ctx, Args args, Writer& reply) {
  int64_t delta = 0;
  if (ReadInt64(args[2], &delta, reply)) Add(ctx, args, delta, reply);
}

void DecrBy(CallContext& ctx, Args args, Writer& reply) {
  int64_t delta = 0;
  if (!ReadInt64(args[2], &delta, reply)) return;
  if (delta == INT64_MIN) return reply.Error("ERR decrement would overflow");
  Add(ctx, args, -delta, reply);
}

void IncrByFloat(CallContext& ctx, Args args, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  const store::Entry* entry = LookupWrite(ctx, key);
  if (HasOtherType(entry, store::Type::kString, reply)) return;
  long double value = 0, delta = 0;
  if ((entry != nullptr && !ParseLongDouble(entry->value(), &value)) || !ParseLongDouble(args[2], &delta)) {
    return reply.Error(resp::kNotFloat);
  }
  value += delta;
  if (std::isnan(value) || std::isinf(value)) return reply.Error(resp::kNotFinite);
  const std::string text = resp::FormatLongDouble(value);
  store::SetOptions options;
  options.keep_expire = true;
  options.hint = store::StringHint::kNotInt;
  if (entry == nullptr) NotifyIfNew(ctx, key);
  key.shard.Set(ctx.db, key.name, key.hash, text, ctx.now_ms, options);
  // The outcome: another machine may round differently.
  ctx.effects.Add(ctx.db, {"SET", key.name, ctx.effects.Keep(text), "KEEPTTL"});
  Notify(ctx, config::kNotifyString, "incrbyfloat", key.name);
  reply.Bulk(text);
}

// ---------------------------------------------------------------------------------------------- ranges

bool TooLong(const CallContext& ctx, uint64_t bytes, Writer& reply) {
  const auto most = static_cast<uint64_t>(ctx.services.config.max_bulk_bytes.load(std::memory_order_relaxed));
  // What a primary accepted is accepted, within what the store can hold.
  if (bytes <= (ctx.session == nullptr ? store::kMaxValueBytes : most)) return false;
  reply.Error(resp::kStringTooLong);
  return true;
}

void Append(CallContext& ctx, Args args, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  const store::Entry* entry = LookupWrite(ctx, key);
  if (HasOtherType(entry, store::Type::kString, reply)) return;
  if (entry == nullptr) {
    NotifyIfNew(ctx, key);
    key.shard.Set(ctx.db, key.name, key.hash, args[2], ctx.now_ms);
    ctx.effects.Verbatim(ctx.db, args);
    Notify(ctx, config::kNotifyString, "append", key.name);
    return reply.Integer(static_cast<int64_t>(args[2].size()));
  }
  const size_t before = entry->value().size();
  if (TooLong(ctx, uint64_t{before} + args[2].size(), reply)) return;
  const std::span<char> value = key.shard.Resize(ctx.db, key.name, key.hash, before + args[2].size(), ctx.now_ms);
  std::copy(args[2].begin(), args[2].end(), value.begin() + static_cast<ptrdiff_t>(before));
  ctx.effects.Verbatim(ctx.db, args);
  Notify(ctx, config::kNotifyString, "append", key.name);
  reply.Integer(static_cast<int64_t>(value.size()));
}

void StrLen(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry = LookupRead(ctx, FirstKey(ctx, args[1]));
  if (HasOtherType(entry, store::Type::kString, reply)) return;
  reply.Integer(entry ? static_cast<int64_t>(entry->value().size()) : 0);
}

void SetRange(CallContext& ctx, Args args, Writer& reply) {
  int64_t offset = 0;
  if (!ReadInt64(args[2], &offset, reply)) return;
  if (offset < 0) return reply.Error(resp::kOffsetOutOfRange);
  const Key key = FirstKey(ctx, args[1]);
  const store::Entry* entry = LookupWrite(ctx, key);
  if (HasOtherType(entry, store::Type::kString, reply)) return;
  const std::string_view piece = args[3];
  const size_t before = entry ? entry->value().size() : 0;
  if (piece.empty()) return reply.Integer(static_cast<int64_t>(before));
  uint64_t end = 0;
  if (__builtin_add_overflow(static_cast<uint64_t>(offset), piece.size(), &end)) {
    return reply.Error(resp::kStringTooLong);
  }
  if (TooLong(ctx, end, reply)) return;
  if (entry == nullptr) NotifyIfNew(ctx, key);
  const std::span<char> value =
      key.shard.Resize(ctx.db, key.name, key.hash, std::max<size_t>(before, end), ctx.now_ms);
  std::copy(piece.begin(), piece.end(), value.begin() + offset);
  ctx.effects.Verbatim(ctx.db, args);
  Notify(ctx, config::kNotifyString, "setrange", key.name);
  reply.Integer(static_cast<int64_t>(value.size()));
}

void GetRange(CallContext& ctx, Args args, Writer& reply) {
  int64_t first = 0, last = 0;
  if (!ReadInt64(args[2], &first, reply) || !ReadInt64(args[3], &last, reply)) return;
  const store::Entry* entry = LookupRead(ctx, FirstKey(ctx, args[1]));
  if (HasOtherType(entry, store::Type::kString, reply)) return;
  const std::string_view value = entry ? entry->value() : std::string_view();
  const auto size = static_cast<int64_t>(value.size());
  if (first < 0 && last < 0 && first > last) return reply.Bulk("");
  if (first < 0) first = std::max<int64_t>(size + first, 0);
  if (last < 0) last = std::max<int64_t>(size + last, 0);
  last = std::min(last, size - 1);
  if (size == 0 || first > last) return reply.Bulk("");
  reply.Bulk(value.substr(static_cast<size_t>(first), static_cast<size_t>(last - first + 1)));
}

// clang-format off
constexpr KeySpec kOne{1, 1, 1};
const Row kRows[] = {
  {"incr", 2, kWrite | kDenyOom | kFast, kOne, KeyAccess::kReadWrite, "@string", "string", "1.0.0", "Adds one to a number; a missing key counts as 0.", "key", Incr},
  {"decr", 2, kWrite | kDenyOom | kFast, kOne, KeyAccess::kReadWrite, "@string", "string", "1.0.0", "Takes one from a number; a missing key counts as 0.", "key", Decr},
  {"incrby", 3, kWrite | kDenyOom | kFast, kOne, KeyAccess::kReadWrite, "@string", "string", "1.0.0", "Adds to a number; a missing key counts as 0.", "key increment", IncrBy},
  {"decrby", 3, kWrite | kDenyOom | kFast, kOne, KeyAccess::kReadWrite, "@string", "string", "1.0.0", "Takes from a number; a missing key counts as 0.", "key decrement", DecrBy},
  {"incrbyfloat", 3, kWrite | kDenyOom | kFast, kOne, KeyAccess::kReadWrite, "@string", "string", "2.6.0", "Adds to a number with a fraction; a missing key counts as 0.", "key increment", IncrByFloat},
  {"append", 3, kWrite | kDenyOom | kFast, kOne, KeyAccess::kInsert, "@string", "string", "2.0.0", "Adds to the end of a string.", "key value", Append},
  {"strlen", 2, kReadonly | kFast, kOne, KeyAccess::kLook, "@string", "string", "2.2.0", "Tells how long a string is.", "key", StrLen},
  {"setrange", 4, kWrite | kDenyOom | kGrowsToOffset, kOne, KeyAccess::kUpdate, "@string", "string", "2.2.0", "Writes into a string from an offset on.", "key offset value", SetRange},
  {"getrange", 4, kReadonly, kOne, KeyAccess::kRead, "@string", "string", "2.4.0", "Reads a part of a string.", "key start end", GetRange},
  {"substr", 4, kReadonly, kOne, KeyAccess::kRead, "@string", "string", "1.0.0", "Reads a part of a string (the old name of GETRANGE).", "key start end", GetRange},
};
// clang-format on

}  // namespace

std::span<const Row> StringNumberCommands() { return kRows; }

}  // namespace understudy::command
