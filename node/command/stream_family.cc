// Streams: entries that are added, trimmed, removed and read by range. Groups of consumers are in
// stream_group_family.cc, XREAD in stream_read_family.cc, XINFO in stream_info_family.cc.
//
// Replicas are told the ID that an entry got, and what an approximate trimming came to.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "node/command/call_context.h"
#include "node/command/notify.h"
#include "node/command/stream_access.h"
#include "node/config/config.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"
#include "node/types/stream.h"

namespace understudy::command {
namespace {

using resp::Writer;
using types::Stream;
using types::StreamEntry;
using types::StreamId;
using types::StreamLog;
using types::StreamTrim;

// ---------------------------------------------------------------------------------------------- arguments

// What XADD and XTRIM say before the fields. Positions are those of words, 0 for what was not given.
struct AddWords {
  std::optional<StreamTrim> trim;
  size_t trim_at = 0;   // count or ID of MAXLEN or MINID
  size_t limit_at = 0;  // LIMIT
  bool make = true;     // no NOMKSTREAM
  types::NewStreamId id;
  size_t id_at = 0;
};

// *at: MAXLEN or MINID; moved to its last word. False after the error reply.
bool ReadTrim(Args args, size_t* at, AddWords* out, Writer& reply) {
  if (out->trim) {
    reply.Error("ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
    return false;
  }
  StreamTrim& trim = out->trim.emplace();
  trim.kind = Is(args[*at], "maxlen") ? StreamTrim::Kind::kMaxLength : StreamTrim::Kind::kMinId;
  ++*at;
  if (*at + 1 < args.size() && (args[*at] == "~" || args[*at] == "=")) {
    trim.approximate = args[*at] == "~";
    ++*at;
  }
  out->trim_at = *at;
  if (trim.kind == StreamTrim::Kind::kMinId) return Accept(types::ParseStreamId(args[*at]), &trim.min_id, reply);
  int64_t length = 0;
  if (!ReadInt64(args[*at], &length, reply)) return false;
  if (length < 0) {
    reply.Error("ERR The MAXLEN argument must be >= 0.");
    return false;
  }
  trim.max_length = static_cast<uint64_t>(length);
  return true;
}

// How much an approximate trimming may remove. False after the error reply.
bool SetLimit(const CallContext& ctx, int64_t limit, AddWords* words, Writer& reply) {
  // A primary says what its trimming came to, and may leave LIMIT behind it.
  if (ctx.session == nullptr) return true;
  const bool approximate = words->trim && words->trim->approximate;
  if (words->limit_at != 0 && !approximate) {
    reply.Error("ERR syntax error, LIMIT cannot be used without the special ~ option");
    return false;
  }
  if (!approximate) return true;
  words->trim->limit = words->limit_at != 0 ? static_cast<uint64_t>(limit)
                                            : StreamTrim::DefaultLimit(ctx.services.config.limits());
  return true;
}

// add: of XADD, which goes on with an ID. False after the error reply.
bool ReadAddWords(const CallContext& ctx, Args args, bool add, AddWords* out, Writer& reply) {
  int64_t limit = 0;
  for (size_t i = 2; i < args.size() && out->id_at == 0; ++i) {
    const bool last = i + 1 == args.size();
    if (add && args[i] == "*") {
      out->id.auto_ms = out->id.auto_seq = true;
      out->id_at = i;
    } else if (!last && (Is(args[i], "maxlen") || Is(args[i], "minid"))) {
      if (!ReadTrim(args, &i, out, reply)) return false;
    } else if (!last && Is(args[i], "limit")) {
      out->limit_at = i++;
      if (!ReadInt64(args[i], &limit, reply)) return false;
      if (limit < 0) {
        reply.Error("ERR The LIMIT argument must be >= 0.");
        return false;
      }
    } else if (add && Is(args[i], "nomkstream")) {
      out->make = false;
    } else if (add) {
      if (!Accept(types::ParseNewStreamId(args[i]), &out->id, reply)) return false;
      out->id_at = i;
    } else {
      reply.Error(resp::kSyntaxError);
      return false;
    }
  }
  if (limit > 0 && !out->trim) {
    reply.Error("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
    return false;
  }
  if (!add && !out->trim) {
    reply.Error("ERR syntax error, XTRIM must be called with a trimming strategy");
    return false;
  }
  return SetLimit(ctx, limit, out, reply);
}

// False after the error reply.
bool ReadIds(Args texts, std::vector<StreamId>* ids, Writer& reply) {
  ids->resize(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    if (!Accept(types::ParseStreamId(texts[i]), &(*ids)[i], reply)) return false;
  }
  return true;
}

// ---------------------------------------------------------------------------------------------- writing

// What replicas are to do: exactly what was done to `log`. id: of the entry that was added, if one was.
void Replicate(CallContext& ctx, Args args, const AddWords& words, const StreamLog& log, std::optional<StreamId> id) {
  const bool approximate = words.trim && words.trim->approximate;
  const bool chosen_id = id && words.id.auto_seq;
  if ((!approximate && !chosen_id) || !ctx.effects.wanted()) return ctx.effects.Verbatim(ctx.db, args);
  std::vector<std::string_view> said(args.begin(), args.end());
  if (chosen_id) said[words.id_at] = ctx.effects.Keep(id->ToString());
  if (approximate) {
    said[words.trim_at - 1] = "=";
    if (words.trim->kind == StreamTrim::Kind::kMaxLength) {
      said[words.trim_at] = ctx.effects.Keep(std::to_string(log.size()));
    } else {
      const StreamId first = log.size() > 0 ? log.first_id() : types::kMaxStreamId;
      said[words.trim_at] = ctx.effects.Keep(first.ToString());
    }
    if (words.limit_at != 0) {
      const auto limit = said.begin() + static_cast<ptrdiff_t>(words.limit_at);
      said.erase(limit, limit + 2);
    }
  }
  ctx.effects.AddLong(ctx.db, std::move(said));
}

void XAdd(CallContext& ctx, Args args, Writer& reply) {
  AddWords words;
  if (!ReadAddWords(ctx, args, true, &words, reply)) return;
  const Args pairs = words.id_at != 0 ? args.subspan(words.id_at + 1) : Args();
  if (pairs.empty() || pairs.size() % 2 != 0) {
    return reply.Error("ERR wrong number of arguments for 'xadd' command");
  }
  if (words.id.impossible()) return reply.Error("ERR The ID specified in XADD must be greater than 0-0");
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupWrite(ctx, key);
  if (HasOtherType(entry, kStream, reply)) return;
  if (entry == nullptr && !words.make) return reply.Null();
  if (entry == nullptr) NotifyIfNew(ctx, key);
  StreamId id;
  uint64_t trimmed = 0;
  {
    auto stream = EditOrMake<Stream>(ctx, key, entry, [] { return Stream(); });
    StreamLog& log = stream->log();
    const Result<StreamId> next = log.NextId(words.id, ctx.now_ms);
    const Status added = next.ok() ? log.Append(*next, pairs, ctx.services.config.limits()) : next.status();
    if (!added.ok()) {
      stream.NothingChanged();
      return reply.Error(added.message());
    }
    id = *next;
    if (words.trim) trimmed = log.Trim(*words.trim);
    Replicate(ctx, args, words, log, id);
  }
  Notify(ctx, config::kNotifyStream, "xadd", key.name);
  if (trimmed > 0) Notify(ctx, config::kNotifyStream, "xtrim", key.name);
  ReplyId(id, reply);
}

void XTrim(CallContext& ctx, Args args, Writer& reply) {
  AddWords words;
  if (!ReadAddWords(ctx, args, false, &words, reply)) return;
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupWrite(ctx, key);
  if (HasOtherType(entry, kStream, reply)) return;
  if (entry == nullptr) return reply.Integer(0);
  uint64_t removed = 0;
  {
    auto stream = EditValue<Stream>(ctx, key, entry);
    removed = stream->log().Trim(*words.trim);
    if (removed > 0) {
      Replicate(ctx, args, words, stream->log(), std::nullopt);
    } else {
      stream.NothingChanged();
    }
  }
  if (removed > 0) Notify(ctx, config::kNotifyStream, "xtrim", key.name);
  reply.Integer(static_cast<int64_t>(removed));
}

void XDel(CallContext& ctx, Args args, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupWrite(ctx, key);
  if (HasOtherType(entry, kStream, reply)) return;
  if (entry == nullptr) return reply.Integer(0);
  std::vector<StreamId> ids;
  if (!ReadIds(args.subspan(2), &ids, reply)) return;
  int64_t removed = 0;
  {
    auto stream = EditValue<Stream>(ctx, key, entry);
    for (const StreamId id : ids) removed += stream->log().Erase(id);
    if (removed == 0) stream.NothingChanged();
  }
  if (removed > 0) {
    ctx.effects.Verbatim(ctx.db, args);
    Notify(ctx, config::kNotifyStream, "xdel", key.name);
  }
  reply.Integer(removed);
}

void XSetId(CallContext& ctx, Args args, Writer& reply) {
  StreamId last_id, max_deleted_id;
  std::optional<uint64_t> entries_added;
  if (!Accept(types::ParseStreamId(args[2]), &last_id, reply)) return;
  for (size_t i = 3; i < args.size(); i += 2) {
    const bool last = i + 1 == args.size();
    if (!last && Is(args[i], "entriesadded")) {
      int64_t added = 0;
      if (!ReadInt64(args[i + 1], &added, reply)) return;
      if (added < 0) return reply.Error("ERR entries_added must be positive");
      entries_added = static_cast<uint64_t>(added);
    } else if (!last && Is(args[i], "maxdeletedid")) {
      if (!Accept(types::ParseStreamId(args[i + 1]), &max_deleted_id, reply)) return;
      if (last_id < max_deleted_id) {
        return reply.Error("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id");
      }
    } else {
      return reply.Error(resp::kSyntaxError);
    }
  }
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry = LookupWrite(ctx, key);
  if (entry == nullptr) return reply.Error(resp::kNoSuchKey);
  if (HasOtherType(entry, kStream, reply)) return;
  const Status set = UnwatchedEdit(ctx, key, entry)->log().SetId(last_id, entries_added, max_deleted_id);
  if (!set.ok()) return reply.Error(set.message());
  ctx.effects.Verbatim(ctx.db, args);
  Notify(ctx, config::kNotifyStream, "xsetid", key.name);
  reply.Ok();
}

// ---------------------------------------------------------------------------------------------- reading

void XLen(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry;
  if (!LookupStream(ctx, FirstKey(ctx, args[1]), &entry, reply)) return;
  reply.Integer(entry != nullptr ? static_cast<int64_t>(entry->As<Stream>()->Size()) : 0);
}

void Range(CallContext& ctx, Args args, bool reverse, Writer& reply) {
  StreamId first, last;
  if (!Accept(types::ParseRangeStart(args[reverse ? 3 : 2]), &first, reply)) return;
  if (!Accept(types::ParseRangeEnd(args[reverse ? 2 : 3]), &last, reply)) return;
  int64_t count = INT64_MAX;
  for (size_t i = 4; i < args.size(); i += 2) {
    if (!Is(args[i], "count") || i + 1 == args.size()) return reply.Error(resp::kSyntaxError);
    if (!ReadInt64(args[i + 1], &count, reply)) return;
  }
  const store::Entry* entry;
  if (!LookupStream(ctx, FirstKey(ctx, args[1]), &entry, reply)) return;
  if (entry == nullptr) return reply.Array(0);
  if (count <= 0) return reply.NullArray();
  std::vector<StreamEntry> entries;
  entry->As<Stream>()->log().Walk(first, last, reverse, [&](const StreamEntry& found) {
    entries.push_back(found);
    return static_cast<int64_t>(entries.size()) < count;
  });
  reply.Array(entries.size());
  for (const StreamEntry& found : entries) ReplyEntry(found, reply);
}
void XRange(CallContext& ctx, Args args, Writer& reply) { Range(ctx, args, false, reply); }
void XRevRange(CallContext& ctx, Args args, Writer& reply) { Range(ctx, args, true, reply); }

// clang-format off
constexpr KeySpec kOne{1, 1, 1};
const Row kRows[] = {
  {"xadd", -5, kWrite | kDenyOom | kFast, kOne, KeyAccess::kUpdate, "@stream", "stream", "5.0.0", "Appends an entry to a stream.", "key [NOMKSTREAM] [MAXLEN | MINID [= | ~] threshold [LIMIT count]] * | id field value [field value ...]", XAdd},
  {"xdel", -3, kWrite | kFast, kOne, KeyAccess::kDelete, "@stream", "stream", "5.0.0", "Removes entries of a stream; the key stays.", "key id [id ...]", XDel},
  {"xlen", 2, kReadonly | kFast, kOne, KeyAccess::kLook, "@stream", "stream", "5.0.0", "Counts the entries of a stream.", "key", XLen},
  {"xrange", -4, kReadonly, kOne, KeyAccess::kRead, "@stream", "stream", "5.0.0", "Reads the entries between two IDs.", "key start end [COUNT count]", XRange},
  {"xrevrange", -4, kReadonly, kOne, KeyAccess::kRead, "@stream", "stream", "5.0.0", "Reads the entries between two IDs, the last one first.", "key end start [COUNT count]", XRevRange},
  {"xsetid", -3, kWrite | kDenyOom | kFast, kOne, KeyAccess::kUpdate, "@stream", "stream", "5.0.0", "Sets what a stream remembers of its last ID; for replication.", "key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]", XSetId},
  {"xtrim", -4, kWrite, kOne, KeyAccess::kDelete, "@stream", "stream", "5.0.0", "Removes the oldest entries of a stream.", "key MAXLEN | MINID [= | ~] threshold [LIMIT count]", XTrim},
};
// clang-format on

}  // namespace

std::span<const Row> StreamCommands() { return kRows; }

}  // namespace understudy::command
