// Lists as queues: what takes elements off an end or moves them to another list, and what waits for them (blocking.h).
#include <algorithm>
#include <string>
#include <vector>

#include "node/command/blocking.h"
#include "node/command/call_context.h"
#include "node/command/counted_keys.h"
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

std::string_view PopEvent(ListEnd end) { return end == ListEnd::kHead ? "lpop" : "rpop"; }
std::string_view PopCommand(ListEnd end) { return end == ListEnd::kHead ? "LPOP" : "RPOP"; }

// Takes up to `most` elements off an end and answers them: one as such if `single`, else an array. entry: of a list.
// Returned: how many.
uint64_t Take(CallContext& ctx, const Key& key, store::Entry* entry, ListEnd end, uint64_t most, bool single,
              Writer& reply) {
  uint64_t count = 0;
  bool gone = false;
  {
    auto list = EditValue<List>(ctx, key, entry);
    const uint64_t size = list->Size();
    count = std::min(most, size);
    const uint64_t first = end == ListEnd::kHead ? 0 : size - count;
    if (!single) reply.Array(count);
    list->Walk(first, count, end == ListEnd::kTail, [&](const ListpackValue& value) {
      ReplyElement(value, reply);
      return true;
    });
    list->Erase(first, count, ctx.services.config.limits());
    gone = list->empty();
  }
  NotifyListShrunk(ctx, key, PopEvent(end), gone);
  return count;
}

void Pop(CallContext& ctx, Args args, ListEnd end, Writer& reply) {
  const bool counts = args.size() > 2;
  if (args.size() > 3) {
    return reply.Error("ERR wrong number of arguments for '" + std::string(ctx.row->name) + "' command");
  }
  int64_t count = 1;
  if (counts && (!ParseInt64(args[2], &count) || count < 0)) return reply.Error(resp::kNotPositive);
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupWrite(ctx, key);
  if (HasOtherType(entry, kList, reply)) return;
  if (entry == nullptr) return counts ? reply.NullArray() : reply.Null();
  if (count == 0) return reply.Array(0);
  Take(ctx, key, entry, end, static_cast<uint64_t>(count), !counts, reply);
  ctx.effects.Verbatim(ctx.db, args);
}
void LPop(CallContext& ctx, Args args, Writer& reply) { Pop(ctx, args, ListEnd::kHead, reply); }
void RPop(CallContext& ctx, Args args, Writer& reply) { Pop(ctx, args, ListEnd::kTail, reply); }

// ---------------------------------------------------------------------------------------------- from the first that has some

// numkeys key [key ...] LEFT|RIGHT [COUNT count]
struct PopRequest {
  Args keys;
  ListEnd end = ListEnd::kHead;
  int64_t count = 1;
};

bool ReadAboveZero(std::string_view text, int64_t* out, std::string_view error, Writer& reply) {
  if (ParseInt64(text, out) && *out > 0) return true;
  reply.Error(error);
  return false;
}

// From args[at] on. False after the error reply.
bool ReadPopRequest(Args args, size_t at, PopRequest* request, Writer& reply) {
  int64_t keys = 0;
  if (!ReadAboveZero(args[at], &keys, "ERR numkeys should be greater than 0", reply)) return false;
  const Args rest = args.subspan(at + 1);
  if (static_cast<uint64_t>(keys) >= rest.size()) {
    reply.Error(resp::kSyntaxError);
    return false;
  }
  const auto count = static_cast<size_t>(keys);
  request->keys = rest.first(count);
  if (!ReadListEnd(rest[count], &request->end, reply)) return false;
  const Args options = rest.subspan(count + 1);
  if (options.empty()) return true;
  const bool counts = options.size() > 1 && Is(options[0], "count");
  if (counts && !ReadAboveZero(options[1], &request->count, "ERR count should be greater than 0", reply)) return false;
  if (counts && options.size() == 2) return true;
  reply.Error(resp::kSyntaxError);
  return false;
}

void TakeSome(CallContext& ctx, std::string_view name, store::Entry* entry, const PopRequest& request, Writer& reply) {
  reply.Array(2);
  reply.Bulk(name);
  const uint64_t taken =
      Take(ctx, AnyKey(ctx, name), entry, request.end, static_cast<uint64_t>(request.count), false, reply);
  ctx.effects.Add(ctx.db, {PopCommand(request.end), name, ctx.effects.Keep(std::to_string(taken))});
}

void LMPop(CallContext& ctx, Args args, Writer& reply) {
  PopRequest request;
  if (!ReadPopRequest(args, 1, &request, reply)) return;
  std::string_view name;
  store::Entry* entry;
  if (!FindFilled(ctx, request.keys, kList, &name, &entry, reply)) return;
  if (entry == nullptr) return reply.NullArray();
  TakeSome(ctx, name, entry, request, reply);
}

// ---------------------------------------------------------------------------------------------- waiting for some

// Until one of the keys holds a list. False: the client may not wait.
bool WaitForLists(CallContext& ctx, Args args, Args keys, int64_t timeout_ms) {
  return WaitForKeys(ctx, args, keys, {.type = kList, .timeout_ms = timeout_ms});
}

void BPop(CallContext& ctx, Args args, ListEnd end, Writer& reply) {
  int64_t timeout_ms = 0;
  if (!ReadTimeout(ctx, args.back(), TimeoutUnit::kSeconds, &timeout_ms, reply)) return;
  const Args keys = args.subspan(1, args.size() - 2);
  std::string_view name;
  store::Entry* entry;
  if (!FindFilled(ctx, keys, kList, &name, &entry, reply)) return;
  if (entry == nullptr) {
    if (!WaitForLists(ctx, args, keys, timeout_ms)) reply.NullArray();
    return;
  }
  reply.Array(2);
  reply.Bulk(name);
  Take(ctx, AnyKey(ctx, name), entry, end, 1, true, reply);
  ctx.effects.Add(ctx.db, {PopCommand(end), name});
}
void BLPop(CallContext& ctx, Args args, Writer& reply) { BPop(ctx, args, ListEnd::kHead, reply); }
void BRPop(CallContext& ctx, Args args, Writer& reply) { BPop(ctx, args, ListEnd::kTail, reply); }

void BLMPop(CallContext& ctx, Args args, Writer& reply) {
  PopRequest request;
  int64_t timeout_ms = 0;
  if (!ReadPopRequest(args, 2, &request, reply)) return;
  if (!ReadTimeout(ctx, args[1], TimeoutUnit::kSeconds, &timeout_ms, reply)) return;
  std::string_view name;
  store::Entry* entry;
  if (!FindFilled(ctx, request.keys, kList, &name, &entry, reply)) return;
  if (entry != nullptr) return TakeSome(ctx, name, entry, request, reply);
  if (!WaitForLists(ctx, args, request.keys, timeout_ms)) reply.NullArray();
}

// ---------------------------------------------------------------------------------------------- to another list

enum class Moved : uint8_t {
  kNo,       // there is no such list; nothing is answered
  kRefused,  // the error is written
  kYes,
};

// From the list args[1] to the list args[2].
Moved MoveElement(CallContext& ctx, Args args, ListEnd from_end, ListEnd to_end, Writer& reply) {
  const Key from = FirstKey(ctx, args[1]), to = AnyKey(ctx, args[2]);
  store::Entry* source = LookupWrite(ctx, from);
  if (HasOtherType(source, kList, reply)) return Moved::kRefused;
  if (source == nullptr) return Moved::kNo;
  store::Entry* destination = LookupWrite(ctx, to);
  if (HasOtherType(destination, kList, reply)) return Moved::kRefused;
  const types::Limits limits = ctx.services.config.limits();
  std::string element;
  bool gone = false;
  {
    auto list = EditValue<List>(ctx, from, source);
    const uint64_t at = from_end == ListEnd::kHead ? 0 : list->Size() - 1;
    list->Walk(at, 1, false, [&](const ListpackValue& value) {
      element = value.ToString();
      return true;
    });
    list->Erase(at, 1, limits);
    if (source == destination) {
      list->Push(to_end, element, limits);
    } else {
      EditOrMakeList(ctx, to, destination)->Push(to_end, element, limits);
    }
    gone = list->empty();
  }
  Notify(ctx, config::kNotifyList, to_end == ListEnd::kHead ? "lpush" : "rpush", to.name);
  NotifyListShrunk(ctx, from, PopEvent(from_end), gone);
  reply.Bulk(element);
  return Moved::kYes;
}

void MoveAtOnce(CallContext& ctx, Args args, ListEnd from, ListEnd to, Writer& reply) {
  const Moved moved = MoveElement(ctx, args, from, to, reply);
  if (moved == Moved::kYes) ctx.effects.Verbatim(ctx.db, args);
  if (moved == Moved::kNo) reply.Null();
}

void RPopLPush(CallContext& ctx, Args args, Writer& reply) {
  MoveAtOnce(ctx, args, ListEnd::kTail, ListEnd::kHead, reply);
}

void LMove(CallContext& ctx, Args args, Writer& reply) {
  ListEnd from, to;
  if (!ReadListEnd(args[3], &from, reply) || !ReadListEnd(args[4], &to, reply)) return;
  MoveAtOnce(ctx, args, from, to, reply);
}

// effect: what replicas are told.
void MoveOrWait(CallContext& ctx, Args args, ListEnd from, ListEnd to, std::initializer_list<std::string_view> effect,
                Writer& reply) {
  int64_t timeout_ms = 0;
  if (!ReadTimeout(ctx, args.back(), TimeoutUnit::kSeconds, &timeout_ms, reply)) return;
  const Moved moved = MoveElement(ctx, args, from, to, reply);
  if (moved == Moved::kYes) ctx.effects.Add(ctx.db, effect);
  if (moved == Moved::kNo && !WaitForLists(ctx, args, args.subspan(1, 1), timeout_ms)) reply.Null();
}

void BRPopLPush(CallContext& ctx, Args args, Writer& reply) {
  MoveOrWait(ctx, args, ListEnd::kTail, ListEnd::kHead, {"RPOPLPUSH", args[1], args[2]}, reply);
}

void BLMove(CallContext& ctx, Args args, Writer& reply) {
  ListEnd from, to;
  if (!ReadListEnd(args[3], &from, reply) || !ReadListEnd(args[4], &to, reply)) return;
  MoveOrWait(ctx, args, from, to, {"LMOVE", args[1], args[2], args[3], args[4]}, reply);
}

// clang-format off
constexpr KeySpec kOne{1, 1, 1}, kMove{1, 2, 1, nullptr, KeyAccess::kInsert};
constexpr KeySpec kAllButLast{1, -2, 1}, kLMPopKeys{.find = FindCountedKeys, .forms = kCountAtOne}, kBLMPopKeys{.find = FindCountedKeysBehindTimeout, .forms = kCountAtTwo};
constexpr uint32_t kWaits = kWrite | kBlocking;
const Row kRows[] = {
  {"lpop", -2, kWrite | kFast, kOne, KeyAccess::kTake, "@list", "list", "1.0.0", "Takes elements off the beginning of a list.", "key [count]", LPop},
  {"rpop", -2, kWrite | kFast, kOne, KeyAccess::kTake, "@list", "list", "1.0.0", "Takes elements off the end of a list.", "key [count]", RPop},
  {"lmpop", -4, kWrite, kLMPopKeys, KeyAccess::kTake, "@list", "list", "7.0.0", "Takes elements off the first list that has some.", "numkeys key [key ...] LEFT|RIGHT [COUNT count]", LMPop},
  {"lmove", 5, kWrite | kDenyOom, kMove, KeyAccess::kTake, "@list", "list", "6.2.0", "Takes an element off a list and puts it into another one.", "source destination LEFT|RIGHT LEFT|RIGHT", LMove},
  {"rpoplpush", 3, kWrite | kDenyOom, kMove, KeyAccess::kTake, "@list", "list", "1.2.0", "Takes the last element of a list and makes it the first of another one.", "source destination", RPopLPush},
  {"blpop", -3, kWaits, kAllButLast, KeyAccess::kTake, "@list", "list", "2.0.0", "Takes the first element of the first list that has one; waits for it.", "key [key ...] timeout", BLPop},
  {"brpop", -3, kWaits, kAllButLast, KeyAccess::kTake, "@list", "list", "2.0.0", "Takes the last element of the first list that has one; waits for it.", "key [key ...] timeout", BRPop},
  {"blmpop", -5, kWaits, kBLMPopKeys, KeyAccess::kTake, "@list", "list", "7.0.0", "Takes elements off the first list that has some; waits for them.", "timeout numkeys key [key ...] LEFT|RIGHT [COUNT count]", BLMPop},
  {"blmove", 6, kWaits | kDenyOom, kMove, KeyAccess::kTake, "@list", "list", "6.2.0", "Takes an element off a list and puts it into another one; waits for it.", "source destination LEFT|RIGHT LEFT|RIGHT timeout", BLMove},
  {"brpoplpush", 4, kWaits | kDenyOom, kMove, KeyAccess::kTake, "@list", "list", "2.2.0", "Takes the last element of a list and makes it the first of another one; waits for it.", "source destination timeout", BRPopLPush},
};
// clang-format on

}  // namespace

std::span<const Row> ListPopCommands() { return kRows; }

}  // namespace understudy::command
