// Lists: what adds, looks at and removes elements by their place or value. Commands that take them off an end, and
// those that wait for one, are in list_pop_family.cc.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "node/command/call_context.h"
#include "node/command/list_access.h"
#include "node/command/notify.h"
#include "node/config/config.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"
#include "node/types/list.h"

namespace understudy::command {
namespace {

using resp::Writer;
using types::List;
using types::ListEnd;
using types::ListpackValue;

constexpr store::Type kList = store::Type::kList;

// ---------------------------------------------------------------------------------------------- adding

void Push(CallContext& ctx, Args args, ListEnd end, bool only_if_there, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupWrite(ctx, key);
  if (HasOtherType(entry, kList, reply)) return;
  if (entry == nullptr && only_if_there) return reply.Integer(0);
  int64_t size = 0;
  {
    auto list = EditOrMakeList(ctx, key, entry);
    list->Push(end, args.subspan(2), ctx.services.config.limits());
    size = static_cast<int64_t>(list->Size());
  }
  ctx.effects.Verbatim(ctx.db, args);
  Notify(ctx, config::kNotifyList, end == ListEnd::kHead ? "lpush" : "rpush", key.name);
  reply.Integer(size);
}
void LPush(CallContext& ctx, Args args, Writer& reply) { Push(ctx, args, ListEnd::kHead, false, reply); }
void RPush(CallContext& ctx, Args args, Writer& reply) { Push(ctx, args, ListEnd::kTail, false, reply); }
void LPushX(CallContext& ctx, Args args, Writer& reply) { Push(ctx, args, ListEnd::kHead, true, reply); }
void RPushX(CallContext& ctx, Args args, Writer& reply) { Push(ctx, args, ListEnd::kTail, true, reply); }

void LInsert(CallContext& ctx, Args args, Writer& reply) {
  const bool after = Is(args[2], "after");
  if (!after && !Is(args[2], "before")) return reply.Error(resp::kSyntaxError);
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupWrite(ctx, key);
  if (HasOtherType(entry, kList, reply)) return;
  if (entry == nullptr) return reply.Integer(0);
  int64_t size = -1;
  {
    auto list = EditValue<List>(ctx, key, entry);
    if (list->InsertBeside(args[3], after, args[4], ctx.services.config.limits())) {
      size = static_cast<int64_t>(list->Size());
    } else {
      list.NothingChanged();
    }
  }
  if (size > 0) {
    ctx.effects.Verbatim(ctx.db, args);
    Notify(ctx, config::kNotifyList, "linsert", key.name);
  }
  reply.Integer(size);
}

// ---------------------------------------------------------------------------------------------- changing, removing

// An index that counts from the end if it is negative; false if there is no such element.
bool FindIndex(int64_t index, uint64_t size, uint64_t* at) {
  if (index < 0) index += static_cast<int64_t>(size);
  *at = static_cast<uint64_t>(index);
  return index >= 0 && *at < size;
}

void LSet(CallContext& ctx, Args args, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupWrite(ctx, key);
  if (entry == nullptr) return reply.Error(resp::kNoSuchKey);
  if (HasOtherType(entry, kList, reply)) return;
  int64_t index = 0;
  if (!ReadInt64(args[2], &index, reply)) return;
  uint64_t at = 0;
  if (!FindIndex(index, entry->As<List>()->Size(), &at)) return reply.Error(resp::kOutOfRange);
  EditValue<List>(ctx, key, entry)->Set(at, args[3], ctx.services.config.limits());
  ctx.effects.Verbatim(ctx.db, args);
  Notify(ctx, config::kNotifyList, "lset", key.name);
  reply.Ok();
}

struct Range {
  uint64_t first = 0, count = 0;
};

// From `start` to `stop`, which count from the end if they are negative, as far as there are elements.
Range Clamp(int64_t start, int64_t stop, uint64_t elements) {
  const auto size = static_cast<int64_t>(elements);
  if (start < 0) start = std::max<int64_t>(start + size, 0);
  if (stop < 0) stop += size;
  stop = std::min(stop, size - 1);
  if (start > stop) return {};
  return {static_cast<uint64_t>(start), static_cast<uint64_t>(stop - start + 1)};
}

void LTrim(CallContext& ctx, Args args, Writer& reply) {
  int64_t start = 0, stop = 0;
  if (!ReadInt64(args[2], &start, reply) || !ReadInt64(args[3], &stop, reply)) return;
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupWrite(ctx, key);
  if (HasOtherType(entry, kList, reply)) return;
  if (entry == nullptr) return reply.Ok();
  bool trimmed = false, gone = false;
  {
    // Who watches the key is told even if nothing is trimmed, as in Redis.
    auto list = EditValue<List>(ctx, key, entry);
    const types::Limits limits = ctx.services.config.limits();
    const uint64_t size = list->Size();
    const Range kept = Clamp(start, stop, size);
    list->Erase(kept.first + kept.count, size - kept.first - kept.count, limits);
    list->Erase(0, kept.first, limits);
    trimmed = kept.count < size;
    gone = kept.count == 0;
  }
  if (trimmed) ctx.effects.Verbatim(ctx.db, args);
  NotifyListShrunk(ctx, key, "ltrim", gone);
  reply.Ok();
}

void LRem(CallContext& ctx, Args args, Writer& reply) {
  int64_t count = 0;
  if (!ReadInt64(args[2], &count, reply)) return;
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupWrite(ctx, key);
  if (HasOtherType(entry, kList, reply)) return;
  if (entry == nullptr) return reply.Integer(0);
  const ListEnd from = count < 0 ? ListEnd::kTail : ListEnd::kHead;
  uint64_t most = UINT64_MAX;
  if (count != 0) most = count < 0 ? -static_cast<uint64_t>(count) : static_cast<uint64_t>(count);
  uint64_t removed = 0;
  bool gone = false;
  {
    auto list = EditValue<List>(ctx, key, entry);
    removed = list->EraseEqual(args[3], most, from, ctx.services.config.limits());
    gone = list->empty();
    if (removed == 0) list.NothingChanged();
  }
  if (removed > 0) {
    ctx.effects.Verbatim(ctx.db, args);
    NotifyListShrunk(ctx, key, "lrem", gone);
  }
  reply.Integer(static_cast<int64_t>(removed));
}

// ---------------------------------------------------------------------------------------------- reading

// The list at args[1], for a command that reads. False after an error reply; *entry is null if there is none.
bool LookupList(CallContext& ctx, Args args, const store::Entry** entry, Writer& reply) {
  *entry = LookupRead(ctx, FirstKey(ctx, args[1]));
  return !HasOtherType(*entry, kList, reply);
}

void LLen(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry;
  if (!LookupList(ctx, args, &entry, reply)) return;
  reply.Integer(entry != nullptr ? static_cast<int64_t>(entry->As<List>()->Size()) : 0);
}

void LIndex(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry;
  if (!LookupList(ctx, args, &entry, reply)) return;
  if (entry == nullptr) return reply.Null();
  int64_t index = 0;
  if (!ReadInt64(args[2], &index, reply)) return;
  const auto list = entry->As<List>();
  uint64_t at = 0;
  if (!FindIndex(index, list->Size(), &at)) return reply.Null();
  list->Walk(at, 1, false, [&](const ListpackValue& value) {
    ReplyElement(value, reply);
    return true;
  });
}

void LRange(CallContext& ctx, Args args, Writer& reply) {
  int64_t start = 0, stop = 0;
  if (!ReadInt64(args[2], &start, reply) || !ReadInt64(args[3], &stop, reply)) return;
  const store::Entry* entry;
  if (!LookupList(ctx, args, &entry, reply)) return;
  if (entry == nullptr) return reply.Array(0);
  const auto list = entry->As<List>();
  const Range range = Clamp(start, stop, list->Size());
  reply.Array(range.count);
  list->Walk(range.first, range.count, false, [&](const ListpackValue& value) {
    ReplyElement(value, reply);
    return true;
  });
}

struct PositionOptions {
  int64_t rank = 1, max_compared = 0;
  std::optional<int64_t> count;
};

// False after the error reply.
bool ReadPositionOptions(Args args, PositionOptions* options, Writer& reply) {
  const auto read = [&](std::string_view text, int64_t* out, std::string_view negative) {
    if (ParseInt64(text, out) && *out >= 0) return true;
    reply.Error(negative);
    return false;
  };
  for (size_t i = 3; i < args.size(); i += 2) {
    if (i + 1 == args.size()) {
      reply.Error(resp::kSyntaxError);
      return false;
    }
    const std::string_view value = args[i + 1];
    if (Is(args[i], "rank")) {
      if (!ReadInt64(value, &options->rank, reply)) return false;
      if (options->rank == INT64_MIN) {
        reply.Error(
            "ERR value is out of range, value must between -9223372036854775807 and "
            "9223372036854775807");
        return false;
      }
      if (options->rank == 0) {
        reply.Error(
            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to "
            "start from the end of the list");
        return false;
      }
    } else if (Is(args[i], "count")) {
      if (!read(value, &options->count.emplace(), "ERR COUNT can't be negative")) return false;
    } else if (Is(args[i], "maxlen")) {
      if (!read(value, &options->max_compared, "ERR MAXLEN can't be negative")) return false;
    } else {
      reply.Error(resp::kSyntaxError);
      return false;
    }
  }
  return true;
}

void LPos(CallContext& ctx, Args args, Writer& reply) {
  PositionOptions options;
  if (!ReadPositionOptions(args, &options, reply)) return;
  const store::Entry* entry;
  if (!LookupList(ctx, args, &entry, reply)) return;
  std::vector<uint64_t> found;
  const uint64_t most = options.count.value_or(1) == 0 ? UINT64_MAX : static_cast<uint64_t>(options.count.value_or(1));
  if (entry != nullptr) {
    entry->As<List>()->Positions(args[2], options.rank, static_cast<uint64_t>(options.max_compared),
                                 [&](uint64_t index) {
                                   found.push_back(index);
                                   return found.size() < most;
                                 });
  }
  if (!options.count) {
    if (found.empty()) return reply.Null();
    return reply.Integer(static_cast<int64_t>(found[0]));
  }
  reply.Array(found.size());
  for (const uint64_t index : found) reply.Integer(static_cast<int64_t>(index));
}

// clang-format off
constexpr KeySpec kOne{1, 1, 1};
const Row kRows[] = {
  {"lpush", -3, kWrite | kDenyOom | kFast, kOne, KeyAccess::kInsert, "@list", "list", "1.0.0", "Puts elements before the first of a list.", "key element [element ...]", LPush},
  {"rpush", -3, kWrite | kDenyOom | kFast, kOne, KeyAccess::kInsert, "@list", "list", "1.0.0", "Puts elements behind the last of a list.", "key element [element ...]", RPush},
  {"lpushx", -3, kWrite | kDenyOom | kFast, kOne, KeyAccess::kInsert, "@list", "list", "2.2.0", "Puts elements before the first of a list that exists.", "key element [element ...]", LPushX},
  {"rpushx", -3, kWrite | kDenyOom | kFast, kOne, KeyAccess::kInsert, "@list", "list", "2.2.0", "Puts elements behind the last of a list that exists.", "key element [element ...]", RPushX},
  {"linsert", 5, kWrite | kDenyOom, kOne, KeyAccess::kInsert, "@list", "list", "2.2.0", "Puts an element beside another one.", "key BEFORE|AFTER pivot element", LInsert},
  {"lset", 4, kWrite | kDenyOom, kOne, KeyAccess::kUpdate, "@list", "list", "1.0.0", "Replaces an element of a list.", "key index element", LSet},
  {"ltrim", 4, kWrite, kOne, KeyAccess::kDelete, "@list", "list", "1.0.0", "Removes all elements but those of a range.", "key start stop", LTrim},
  {"lrem", 4, kWrite, kOne, KeyAccess::kDelete, "@list", "list", "1.0.0", "Removes elements by their value.", "key count element", LRem},
  {"llen", 2, kReadonly | kFast, kOne, KeyAccess::kLook, "@list", "list", "1.0.0", "Counts the elements of a list.", "key", LLen},
  {"lindex", 3, kReadonly, kOne, KeyAccess::kRead, "@list", "list", "1.0.0", "Reads an element of a list.", "key index", LIndex},
  {"lrange", 4, kReadonly, kOne, KeyAccess::kRead, "@list", "list", "1.0.0", "Reads a range of a list.", "key start stop", LRange},
  {"lpos", -3, kReadonly, kOne, KeyAccess::kRead, "@list", "list", "6.0.6", "Tells where in a list a value is.", "key element [RANK rank] [COUNT num-matches] [MAXLEN len]", LPos},
};
// clang-format on

}  // namespace

std::span<const Row> ListCommands() { return kRows; }

}  // namespace understudy::command
