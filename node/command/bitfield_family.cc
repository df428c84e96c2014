// BITFIELD: numbers of 1 to 64 bits anywhere in a string.
#include <algorithm>
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
// Wide enough for the sum of two of them.
using Wide = __int128;

enum class Overflow : uint8_t { kWrap, kSaturate, kFail };

struct Field {
  bool is_signed = false;
  unsigned bits = 0;
  uint64_t offset = 0;

  Wide Least() const { return is_signed ? -(Wide{1} << (bits - 1)) : 0; }
  Wide Most() const { return (Wide{1} << (is_signed ? bits - 1 : bits)) - 1; }
  // The low bits of a number, as the field reads them.
  int64_t Read(uint64_t value) const {
    const unsigned above = 64 - bits;
    const uint64_t low = value << above;
    return is_signed ? static_cast<int64_t>(low) >> above : static_cast<int64_t>(low >> above);
  }
};

struct Operation {
  enum Kind : uint8_t { kGet, kSet, kAdd } kind = kGet;
  Overflow overflow = Overflow::kWrap;
  Field field;
  int64_t argument = 0;
};

// "u8", "i16".
bool ReadType(std::string_view text, Field* field, Writer& reply) {
  int64_t bits = 0;
  field->is_signed = text.starts_with('i');
  if ((!field->is_signed && !text.starts_with('u')) || !ParseInt64(text.substr(1), &bits) || bits < 1 ||
      bits > (field->is_signed ? 64 : 63)) {
    reply.Error(
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.");
    return false;
  }
  field->bits = static_cast<unsigned>(bits);
  return true;
}

bool ReadOverflow(std::string_view text, Overflow* overflow, Writer& reply) {
  if (Is(text, "wrap")) {
    *overflow = Overflow::kWrap;
  } else if (Is(text, "sat")) {
    *overflow = Overflow::kSaturate;
  } else if (Is(text, "fail")) {
    *overflow = Overflow::kFail;
  } else {
    reply.Error("ERR Invalid OVERFLOW type specified");
    return false;
  }
  return true;
}

bool ReadOperations(const CallContext& ctx, Args words, std::vector<Operation>* out, Writer& reply) {
  Overflow overflow = Overflow::kWrap;
  for (size_t i = 0; i < words.size();) {
    const size_t left = words.size() - i - 1;
    Operation operation;
    if (Is(words[i], "get") && left >= 2) {
      operation.kind = Operation::kGet;
    } else if (Is(words[i], "set") && left >= 3) {
      operation.kind = Operation::kSet;
    } else if (Is(words[i], "incrby") && left >= 3) {
      operation.kind = Operation::kAdd;
    } else if (Is(words[i], "overflow") && left >= 1) {
      if (!ReadOverflow(words[i + 1], &overflow, reply)) return false;
      i += 2;
      continue;
    } else {
      reply.Error(resp::kSyntaxError);
      return false;
    }
    operation.overflow = overflow;
    if (!ReadType(words[i + 1], &operation.field, reply)) return false;
    if (!ReadBitOffset(ctx, words[i + 2], &operation.field.offset, reply, operation.field.bits)) return false;
    if (operation.kind != Operation::kGet && !ReadInt64(words[i + 3], &operation.argument, reply)) return false;
    i += operation.kind == Operation::kGet ? 3 : 4;
    out->push_back(operation);
  }
  return true;
}

// The number that SET or INCRBY stores; false if it must not, after OVERFLOW FAIL.
bool NewValue(const Operation& operation, int64_t before, int64_t* out) {
  const Field& field = operation.field;
  Wide value = operation.kind == Operation::kAdd ? Wide{before} + operation.argument : Wide{operation.argument};
  // As a number to be stored, a negative one is a large one where there is no sign.
  if (operation.kind == Operation::kSet && !field.is_signed) value = static_cast<uint64_t>(operation.argument);
  bool above = value > field.Most();
  const bool below = value < field.Least();
  // In Redis the distance to the largest number overflows for the least ones: SAT makes the largest of them.
  if (operation.kind == Operation::kSet && field.is_signed && field.bits < 64) above |= field.Most() - value > INT64_MAX;
  if ((above || below) && operation.overflow == Overflow::kFail) return false;
  if ((above || below) && operation.overflow == Overflow::kSaturate) value = above ? field.Most() : field.Least();
  *out = field.Read(static_cast<uint64_t>(value));
  return true;
}

void ReadFields(CallContext& ctx, Args args, std::span<const Operation> operations, Writer& reply) {
  const store::Entry* entry = LookupRead(ctx, FirstKey(ctx, args[1]));
  if (HasOtherType(entry, store::Type::kString, reply)) return;
  const std::string_view value = entry != nullptr ? entry->value() : std::string_view();
  reply.Array(operations.size());
  for (const Operation& operation : operations) {
    const Field& field = operation.field;
    reply.Integer(field.Read(types::ReadBits(value, field.offset, field.bits)));
  }
}

void ChangeFields(CallContext& ctx, Args args, std::span<const Operation> operations, Writer& reply) {
  uint64_t end = 0;  // of what is written
  for (const Operation& operation : operations) {
    if (operation.kind == Operation::kGet) continue;
    end = std::max(end, (operation.field.offset + operation.field.bits + 7) / 8);
  }
  // The last field may reach beyond what an offset may.
  if (end > store::kMaxValueBytes) return reply.Error("ERR bit offset is not an integer or out of range");
  const Key key = FirstKey(ctx, args[1]);
  const store::Entry* entry = LookupWrite(ctx, key);
  if (HasOtherType(entry, store::Type::kString, reply)) return;
  const size_t bytes = entry != nullptr ? entry->value().size() : 0;
  if (entry == nullptr) NotifyIfNew(ctx, key);
  // Opened for writing by the first operation that changes something.
  std::span<char> writable;
  std::string_view value = entry != nullptr ? entry->value() : std::string_view();
  const auto open = [&] {
    if (!writable.empty()) return;
    writable = key.shard.Resize(ctx.db, key.name, key.hash, std::max<size_t>(bytes, end), ctx.now_ms);
    value = {writable.data(), writable.size()};
  };
  const bool grows = bytes < end;
  if (grows) open();
  bool changed = false;
  reply.Array(operations.size());
  for (const Operation& operation : operations) {
    const Field& field = operation.field;
    const int64_t before = field.Read(types::ReadBits(value, field.offset, field.bits));
    int64_t after = before;
    if (operation.kind != Operation::kGet && !NewValue(operation, before, &after)) {
      reply.Null();
      continue;
    }
    reply.Integer(operation.kind == Operation::kAdd ? after : before);
    if (operation.kind == Operation::kGet) continue;
    changed = changed || grows || after != before;
    if (after == before) continue;
    open();
    types::WriteBits(writable, field.offset, field.bits, static_cast<uint64_t>(after));
  }
  if (changed || grows) ctx.effects.Verbatim(ctx.db, args);
  if (changed) Notify(ctx, config::kNotifyString, "setbit", key.name);
}

bool OnlyReads(std::span<const Operation> operations) {
  return std::all_of(operations.begin(), operations.end(), [](const Operation& o) { return o.kind == Operation::kGet; });
}

void BitField(CallContext& ctx, Args args, Writer& reply) {
  std::vector<Operation> operations;
  if (!ReadOperations(ctx, args.subspan(2), &operations, reply)) return;
  if (OnlyReads(operations)) return ReadFields(ctx, args, operations, reply);
  ChangeFields(ctx, args, operations, reply);
}

void BitFieldRo(CallContext& ctx, Args args, Writer& reply) {
  std::vector<Operation> operations;
  if (!ReadOperations(ctx, args.subspan(2), &operations, reply)) return;
  if (!OnlyReads(operations)) return reply.Error("ERR BITFIELD_RO only supports the GET subcommand");
  ReadFields(ctx, args, operations, reply);
}

// What ACL rules for keys ask for: reading is enough where nothing but GET is asked.
KeyAccess AccessOf(Args args) {
  for (size_t i = 2; i < args.size();) {
    if (Is(args[i], "get")) {
      i += 3;
    } else if (Is(args[i], "overflow")) {
      i += 2;
    } else {
      return KeyAccess::kReadWrite;
    }
  }
  return KeyAccess::kRead;
}

// clang-format off
constexpr KeySpec kOne{1, 1, 1}, kVaries{1, 1, 1, nullptr, KeyAccess::kNone, AccessOf};
const Row kRows[] = {
  {"bitfield", -2, kWrite | kDenyOom, kVaries, KeyAccess::kReadWrite, "@bitmap", "bitmap", "3.2.0", "Reads and writes numbers of any width in a string.",
   "key [GET encoding offset|[OVERFLOW WRAP|OVERFLOW SAT|OVERFLOW FAIL] SET encoding offset value|INCRBY encoding offset increment ...]", BitField},
  {"bitfield_ro", -2, kReadonly | kFast, kOne, KeyAccess::kRead, "@bitmap", "bitmap", "6.0.0", "Reads numbers of any width in a string.", "key [GET encoding offset [GET encoding offset ...]]", BitFieldRo},
};
// clang-format on

}  // namespace

std::span<const Row> BitfieldCommands() { return kRows; }

}  // namespace understudy::command
