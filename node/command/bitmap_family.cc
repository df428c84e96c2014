// Bitmaps: bits of strings. Numbers of any width in them are in bitfield_family.cc.
#include <algorithm>
#include <utility>
#include <vector>

#include "node/command/bit_offset.h"
#include "node/command/call_context.h"
#include "node/command/notify.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"
#include "node/types/bits.h"

namespace understudy::command {
namespace {

using resp::Writer;

void GetBit(CallContext& ctx, Args args, Writer& reply) {
  uint64_t bit = 0;
  if (!ReadBitOffset(ctx, args[2], &bit, reply)) return;
  const store::Entry* entry = LookupRead(ctx, FirstKey(ctx, args[1]));
  if (HasOtherType(entry, store::Type::kString, reply)) return;
  reply.Integer(entry != nullptr && types::BitAt(entry->value(), bit));
}

void SetBit(CallContext& ctx, Args args, Writer& reply) {
  uint64_t bit = 0;
  int64_t on = 0;
  if (!ReadBitOffset(ctx, args[2], &bit, reply)) return;
  if (!ParseInt64(args[3], &on) || (on != 0 && on != 1)) return reply.Error("ERR bit is not an integer or out of range");
  const Key key = FirstKey(ctx, args[1]);
  const store::Entry* entry = LookupWrite(ctx, key);
  if (HasOtherType(entry, store::Type::kString, reply)) return;
  const bool before = entry != nullptr && types::BitAt(entry->value(), bit);
  const size_t bytes = entry != nullptr ? entry->value().size() : 0;
  // A bit that stays as it is changes nothing unless the string grows to it.
  if (bytes <= bit / 8 || before != (on == 1)) {
    if (entry == nullptr) NotifyIfNew(ctx, key);
    const std::span<char> value =
        key.shard.Resize(ctx.db, key.name, key.hash, std::max<size_t>(bytes, bit / 8 + 1), ctx.now_ms);
    types::WriteBits(value, bit, 1, static_cast<uint64_t>(on));
    ctx.effects.Verbatim(ctx.db, args);
    Notify(ctx, config::kNotifyString, "setbit", key.name);
  }
  reply.Integer(before);
}

// ---------------------------------------------------------------------------------------------- ranges

struct BitRange {
  bool given = false, has_end = false, in_bits = false;
  int64_t start = 0, end = 0;
};

// [start [end [BYTE|BIT]]]. False after the error reply.
bool ReadRange(Args words, BitRange* out, Writer& reply) {
  if (words.size() > 3) {
    reply.Error(resp::kSyntaxError);
    return false;
  }
  out->given = !words.empty();
  out->has_end = words.size() > 1;
  if (out->given && !ReadInt64(words[0], &out->start, reply)) return false;
  if (words.size() == 3) {
    out->in_bits = Is(words[2], "bit");
    if (!out->in_bits && !Is(words[2], "byte")) {
      reply.Error(resp::kSyntaxError);
      return false;
    }
  }
  return !out->has_end || ReadInt64(words[1], &out->end, reply);
}

// The bits of a string of so many bytes that the range names; false if there are none.
bool Resolve(const BitRange& range, size_t bytes, uint64_t* first, uint64_t* last) {
  const int64_t per = range.in_bits ? 8 : 1;
  const int64_t size = static_cast<int64_t>(bytes) * per;
  int64_t start = range.start, end = range.has_end ? range.end : size - 1;
  if (start < 0) start = std::max<int64_t>(start + size, 0);
  if (end < 0) end = std::max<int64_t>(end + size, 0);
  end = std::min(end, size - 1);
  if (start > end) return false;
  *first = static_cast<uint64_t>(start * (8 / per));
  *last = static_cast<uint64_t>(end * (8 / per) + 8 / per - 1);
  return true;
}

void BitCount(CallContext& ctx, Args args, Writer& reply) {
  BitRange range;
  if (!ReadRange(args.subspan(2), &range, reply)) return;
  const store::Entry* entry = LookupRead(ctx, FirstKey(ctx, args[1]));
  if (HasOtherType(entry, store::Type::kString, reply)) return;
  if (entry == nullptr) return reply.Integer(0);
  const std::string_view value = entry->value();
  if (!range.given) return reply.Integer(static_cast<int64_t>(types::CountBits(value)));
  // Both counted from the end, in the wrong order: also where the string is so short that both are its beginning.
  if (range.has_end && range.start < 0 && range.end < 0 && range.start > range.end) return reply.Integer(0);
  uint64_t first = 0, last = 0;
  if (!Resolve(range, value.size(), &first, &last)) return reply.Integer(0);
  reply.Integer(static_cast<int64_t>(types::CountBits(value, first, last)));
}

void BitPos(CallContext& ctx, Args args, Writer& reply) {
  int64_t bit = 0;
  BitRange range;
  if (!ReadInt64(args[2], &bit, reply)) return;
  if (bit != 0 && bit != 1) return reply.Error("ERR The bit argument must be 1 or 0.");
  if (!ReadRange(args.subspan(3), &range, reply)) return;
  const store::Entry* entry = LookupRead(ctx, FirstKey(ctx, args[1]));
  if (HasOtherType(entry, store::Type::kString, reply)) return;
  if (entry == nullptr) return reply.Integer(bit == 1 ? -1 : 0);
  const std::string_view value = entry->value();
  uint64_t first = 0, last = 0;
  if (!Resolve(range, value.size(), &first, &last)) return reply.Integer(-1);
  const int64_t found = types::FindBit(value, first, last, bit == 1);
  // A string without an end that was asked for goes on with zeros.
  if (found < 0 && bit == 0 && !range.has_end) return reply.Integer(static_cast<int64_t>(value.size() * 8));
  reply.Integer(found);
}

// ---------------------------------------------------------------------------------------------- BITOP

bool ReadOperation(std::string_view word, types::BitOperation* out) {
  constexpr std::pair<std::string_view, types::BitOperation> kOperations[] = {
      {"and", types::BitOperation::kAnd},
      {"or", types::BitOperation::kOr},
      {"xor", types::BitOperation::kXor},
      {"not", types::BitOperation::kNot},
  };
  for (const auto& [name, operation] : kOperations) {
    if (!Is(word, name)) continue;
    *out = operation;
    return true;
  }
  return false;
}

void BitOp(CallContext& ctx, Args args, Writer& reply) {
  types::BitOperation operation;
  if (!ReadOperation(args[1], &operation)) return reply.Error(resp::kSyntaxError);
  if (operation == types::BitOperation::kNot && args.size() != 4) {
    return reply.Error("ERR BITOP NOT must be called with a single source key.");
  }
  std::vector<std::string_view> sources;
  size_t bytes = 0;
  for (const std::string_view name : args.subspan(3)) {
    const store::Entry* entry = LookupRead(ctx, AnyKey(ctx, name));
    if (HasOtherType(entry, store::Type::kString, reply)) return;
    sources.push_back(entry != nullptr ? entry->value() : std::string_view());
    bytes = std::max(bytes, sources.back().size());
  }
  const Key key = FirstKey(ctx, args[2]);
  if (bytes == 0) {
    if (LookupWrite(ctx, key) != nullptr) {
      key.shard.Erase(ctx.db, key.name, key.hash);
      ctx.effects.Verbatim(ctx.db, args);
      Notify(ctx, config::kNotifyGeneric, "del", key.name);
    }
    return reply.Integer(0);
  }
  // Made beside what is there: the destination may be a source. A large one is then taken over as it is.
  store::StoredValue result;
  result.hint = store::StringHint::kRaw;
  std::span<char> to;
  if (bytes >= store::kBlobMinBytes) {
    result.blob = store::BlobRef::Adopt(store::Blob::New(bytes, bytes));
    to = {result.blob.get()->data(), bytes};
  } else {
    result.bytes.resize(bytes);
    to = result.bytes;
  }
  types::CombineBits(operation, sources, to);
  NotifyIfNew(ctx, key);
  key.shard.Put(ctx.db, key.name, key.hash, std::move(result), ctx.now_ms);
  ctx.effects.Verbatim(ctx.db, args);
  Notify(ctx, config::kNotifyString, "set", key.name);
  reply.Integer(static_cast<int64_t>(bytes));
}

// clang-format off
constexpr KeySpec kOne{1, 1, 1}, kFromSecond{2, -1, 1, nullptr, KeyAccess::kRead};
const Row kRows[] = {
  {"getbit", 3, kReadonly | kFast, kOne, KeyAccess::kRead, "@bitmap", "bitmap", "2.2.0", "Reads one bit of a string.", "key offset", GetBit},
  {"setbit", 4, kWrite | kDenyOom | kGrowsToBit, kOne, KeyAccess::kReadWrite, "@bitmap", "bitmap", "2.2.0", "Writes one bit of a string and tells what it was.", "key offset value", SetBit},
  {"bitcount", -2, kReadonly, kOne, KeyAccess::kRead, "@bitmap", "bitmap", "2.6.0", "Counts the bits of a string that are set.", "key [start [end [BYTE|BIT]]]", BitCount},
  {"bitpos", -3, kReadonly, kOne, KeyAccess::kRead, "@bitmap", "bitmap", "2.8.7", "Finds the first bit that is set, or not set.", "key bit [start [end [BYTE|BIT]]]", BitPos},
  {"bitop", -4, kWrite | kDenyOom, kFromSecond, KeyAccess::kOverwrite, "@bitmap", "bitmap", "2.6.0", "Combines strings bit by bit and stores the outcome.", "AND|OR|XOR|NOT destkey key [key ...]", BitOp},
};
// clang-format on

}  // namespace

std::span<const Row> BitmapCommands() { return kRows; }

}  // namespace understudy::command
