// Groups of consumers of a stream: made and removed, what is pending, acknowledged and claimed. XREADGROUP is in
// stream_read_family.cc.
//
// Replicas are told of each entry that is pending now, and in the same form of each that went from what is pending
// because its stream does not have it any more: they find that out as well.
#include <optional>
#include <string>
#include <vector>

#include "node/command/call_context.h"
#include "node/command/notify.h"
#include "node/command/stream_access.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"
#include "node/types/stream.h"

namespace understudy::command {
namespace {

using resp::Writer;
using types::Stream;
using types::StreamEntry;
using types::StreamGroup;
using types::StreamId;
using types::StreamPending;

void ReplyNoGroup(std::string_view key, std::string_view group, Writer& reply) {
  reply.Error("NOGROUP No such key '" + resp::Printed(key) + "' or consumer group '" + resp::Printed(group) + "'");
}

// ---------------------------------------------------------------------------------------------- XGROUP

// What XGROUP CREATE and SETID say behind the ID.
struct GroupOptions {
  bool make_stream = false;
  int64_t entries_read = StreamGroup::kUnknown;
};

bool ReadGroupOptions(Args args, bool create, GroupOptions* out, Writer& reply) {
  for (size_t i = 5; i < args.size(); ++i) {
    if (create && Is(args[i], "mkstream")) {
      out->make_stream = true;
    } else if (Is(args[i], "entriesread") && i + 1 < args.size()) {
      if (!ReadInt64(args[++i], &out->entries_read, reply)) return false;
      if (out->entries_read < StreamGroup::kUnknown) {
        reply.Error("ERR value for ENTRIESREAD must be positive or -1");
        return false;
      }
    } else {
      ReplyUnknownSubcommand(args, "XGROUP", reply);
      return false;
    }
  }
  return true;
}

// The stream of a subcommand, and if `group` is wanted, that it has one of the name args[3]. False after the error
// reply.
bool LookupForGroup(CallContext& ctx, Args args, bool group, store::Entry** entry, Writer& reply) {
  *entry = LookupWrite(ctx, FirstKey(ctx, args[2]));
  if (HasOtherType(*entry, kStream, reply)) return false;
  if (*entry == nullptr) {
    reply.Error(
        "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM "
        "option to create an empty stream automatically.");
    return false;
  }
  if (!group || (*entry)->As<Stream>()->FindGroup(args[3]) != nullptr) return true;
  reply.Error("NOGROUP No such consumer group '" + resp::Printed(args[3]) + "' for key name '" + resp::Printed(args[2]) +
              "'");
  return false;
}

// After a change of groups.
void Tell(CallContext& ctx, Args args, std::string_view event) {
  ctx.effects.Verbatim(ctx.db, args);
  Notify(ctx, config::kNotifyStream, event, args[2]);
}

void GroupCreate(CallContext& ctx, Args args, Writer& reply) {
  GroupOptions options;
  if (!ReadGroupOptions(args, true, &options, reply)) return;
  const Key key = FirstKey(ctx, args[2]);
  store::Entry* entry = nullptr;
  if (options.make_stream) {
    entry = LookupWrite(ctx, key);
    if (HasOtherType(entry, kStream, reply)) return;
  } else if (!LookupForGroup(ctx, args, false, &entry, reply)) {
    return;
  }
  // More words than any options make.
  if (args.size() > 8) return ReplyUnknownSubcommand(args, "XGROUP", reply);
  types::StreamPosition position;
  if (!Accept(types::ParseStreamPosition(args[4]), &position, reply)) return;
  const auto create = [&](Stream& stream) {
    return stream.CreateGroup(args[3], position.Resolve(stream.log().last_id()), options.entries_read) != nullptr;
  };
  if (entry == nullptr) {
    NotifyIfNew(ctx, key);
    create(*EditOrMake<Stream>(ctx, key, entry, [] { return Stream(); }));
  } else if (!create(*UnwatchedEdit(ctx, key, entry))) {
    return reply.Error("BUSYGROUP Consumer Group name already exists");
  }
  Tell(ctx, args, "xgroup-create");
  reply.Ok();
}

void GroupSetId(CallContext& ctx, Args args, Writer& reply) {
  GroupOptions options;
  if (!ReadGroupOptions(args, false, &options, reply)) return;
  store::Entry* entry;
  if (!LookupForGroup(ctx, args, true, &entry, reply)) return;
  if (args.size() > 7) return ReplyUnknownSubcommand(args, "XGROUP", reply);
  types::StreamPosition position;
  if (args[4] == "-" || args[4] == "+") {
    position.id = args[4] == "-" ? types::kMinStreamId : types::kMaxStreamId;
  } else if (!Accept(types::ParseStreamPosition(args[4]), &position, reply)) {
    return;
  }
  UnwatchedEdit stream(ctx, FirstKey(ctx, args[2]), entry);
  stream->FindGroup(args[3])->SetId(position.Resolve(stream->log().last_id()), options.entries_read);
  Tell(ctx, args, "xgroup-setid");
  reply.Ok();
}

void GroupDestroy(CallContext& ctx, Args args, Writer& reply) {
  store::Entry* entry;
  if (!LookupForGroup(ctx, args, false, &entry, reply)) return;
  {
    // Told of, unlike other changes of groups: who waits in the group hears that it is gone.
    auto stream = EditValue<types::Stream>(ctx, FirstKey(ctx, args[2]), entry);
    if (!stream->DestroyGroup(args[3])) {
      stream.NothingChanged();
      return reply.Integer(0);
    }
  }
  Tell(ctx, args, "xgroup-destroy");
  reply.Integer(1);
}

void GroupCreateConsumer(CallContext& ctx, Args args, Writer& reply) {
  store::Entry* entry;
  if (!LookupForGroup(ctx, args, true, &entry, reply)) return;
  UnwatchedEdit stream(ctx, FirstKey(ctx, args[2]), entry);
  StreamGroup* const group = stream->FindGroup(args[3]);
  if (group->FindConsumer(args[4]) != nullptr) return reply.Integer(0);
  group->CreateConsumer(args[4], ctx.now_ms);
  Tell(ctx, args, "xgroup-createconsumer");
  reply.Integer(1);
}

void GroupDelConsumer(CallContext& ctx, Args args, Writer& reply) {
  store::Entry* entry;
  if (!LookupForGroup(ctx, args, true, &entry, reply)) return;
  UnwatchedEdit stream(ctx, FirstKey(ctx, args[2]), entry);
  StreamGroup* const group = stream->FindGroup(args[3]);
  types::StreamConsumer* const consumer = group->FindConsumer(args[4]);
  if (consumer == nullptr) return reply.Integer(0);
  const uint64_t pending = group->DeleteConsumer(consumer);
  Tell(ctx, args, "xgroup-delconsumer");
  reply.Integer(static_cast<int64_t>(pending));
}

void GroupHelp(CallContext&, Args, Writer& reply) {
  constexpr std::string_view kLines[] = {
      "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "CREATE <key> <groupname> <id|$> [MKSTREAM] [ENTRIESREAD entries_read]",
      "    Make a group that reads from an ID on; MKSTREAM: and the stream if there is none.",
      "CREATECONSUMER <key> <groupname> <consumer>",
      "    Make a consumer.",
      "DELCONSUMER <key> <groupname> <consumer>",
      "    Remove a consumer, and what is pending for it.",
      "DESTROY <key> <groupname>",
      "    Remove a group.",
      "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
      "    Let a group go on behind another ID.",
      "HELP",
      "    This text.",
  };
  ReplyHelp(kLines, reply);
}

// ---------------------------------------------------------------------------------------------- XACK, XPENDING

void XAck(CallContext& ctx, Args args, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry;
  if (!LookupStreamWrite(ctx, key, &entry, reply)) return;
  if (entry == nullptr || entry->As<Stream>()->FindGroup(args[2]) == nullptr) return reply.Integer(0);
  std::vector<StreamId> ids(args.size() - 3);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!Accept(types::ParseStreamId(args[i + 3]), &ids[i], reply)) return;
  }
  int64_t acknowledged = 0;
  {
    UnwatchedEdit stream(ctx, key, entry);
    StreamGroup* const group = stream->FindGroup(args[2]);
    for (const StreamId id : ids) acknowledged += group->Ack(id);
  }
  if (acknowledged > 0) ctx.effects.Verbatim(ctx.db, args);
  reply.Integer(acknowledged);
}

void ReplyPendingSummary(const StreamGroup& group, Writer& reply) {
  reply.Array(4);
  reply.Integer(static_cast<int64_t>(group.pending()));
  if (group.pending() == 0) {
    reply.Null();
    reply.Null();
    return reply.NullArray();
  }
  ReplyId(group.first_pending(), reply);
  ReplyId(group.last_pending(), reply);
  std::vector<const types::StreamConsumer*> consumers;
  group.ForEachConsumer([&](const types::StreamConsumer& consumer) {
    if (consumer.pending() > 0) consumers.push_back(&consumer);
  });
  reply.Array(consumers.size());
  for (const types::StreamConsumer* consumer : consumers) {
    reply.Array(2);
    reply.Bulk(consumer->name());
    reply.BulkInteger(static_cast<int64_t>(consumer->pending()));
  }
}

struct PendingRange {
  int64_t min_idle_ms = 0;
  StreamId first, last;
  int64_t count = 0;
  std::optional<std::string_view> consumer;
};

// False after the error reply.
bool ReadPendingRange(Args args, PendingRange* range, Writer& reply) {
  size_t at = 3;
  if (Is(args[3], "idle")) {
    if (!ReadInt64(args[4], &range->min_idle_ms, reply)) return false;
    if (args.size() < 8) {
      reply.Error(resp::kSyntaxError);
      return false;
    }
    at += 2;
  }
  if (!ReadInt64(args[at + 2], &range->count, reply)) return false;
  if (!Accept(types::ParseRangeStart(args[at]), &range->first, reply)) return false;
  if (!Accept(types::ParseRangeEnd(args[at + 1]), &range->last, reply)) return false;
  if (at + 3 < args.size()) range->consumer = args[at + 3];
  return true;
}

void ReplyPendingRange(const StreamGroup& group, const PendingRange& range, int64_t now_ms, Writer& reply) {
  const types::StreamConsumer* const consumer = range.consumer ? group.FindConsumer(*range.consumer) : nullptr;
  if (range.count <= 0 || (range.consumer && consumer == nullptr)) return reply.Array(0);
  std::vector<std::pair<StreamId, const StreamPending*>> found;
  group.WalkPending(range.first, range.last, consumer, [&](StreamId id, const StreamPending& pending) {
    if (pending.IdleMs(now_ms) >= range.min_idle_ms) found.emplace_back(id, &pending);
    return static_cast<int64_t>(found.size()) < range.count;
  });
  reply.Array(found.size());
  for (const auto& [id, pending] : found) {
    reply.Array(4);
    ReplyId(id, reply);
    reply.Bulk(pending->consumer->name());
    reply.Integer(pending->IdleMs(now_ms));
    reply.Integer(static_cast<int64_t>(pending->deliveries));
  }
}

void XPending(CallContext& ctx, Args args, Writer& reply) {
  const bool summary = args.size() == 3;
  if (!summary && (args.size() < 6 || args.size() > 9)) return reply.Error(resp::kSyntaxError);
  PendingRange range;
  if (!summary && !ReadPendingRange(args, &range, reply)) return;
  const store::Entry* entry;
  if (!LookupStream(ctx, FirstKey(ctx, args[1]), &entry, reply)) return;
  if (entry == nullptr) return ReplyNoGroup(args[1], args[2], reply);
  const auto stream = entry->As<Stream>();
  const StreamGroup* const group = stream->FindGroup(args[2]);
  if (group == nullptr) return ReplyNoGroup(args[1], args[2], reply);
  if (summary) return ReplyPendingSummary(*group, reply);
  ReplyPendingRange(*group, range, ctx.now_ms, reply);
}

// ---------------------------------------------------------------------------------------------- XCLAIM, XAUTOCLAIM

struct ClaimWords {
  std::vector<StreamId> ids;
  StreamGroup::ClaimRule rule;
  StreamId last_id;
};

// The options behind the IDs. False after the error reply.
bool ReadClaimOptions(const CallContext& ctx, Args options, ClaimWords* out, Writer& reply) {
  StreamGroup::ClaimRule& rule = out->rule;
  rule.delivered_ms = ctx.now_ms;
  for (size_t i = 0; i < options.size(); ++i) {
    const bool last = i + 1 == options.size();
    int64_t number = 0;
    if (Is(options[i], "force")) {
      rule.force = true;
    } else if (Is(options[i], "justid")) {
      rule.just_id = true;
    } else if (Is(options[i], "idle") && !last) {
      if (!ReadNumber(options[++i], "ERR Invalid IDLE option argument for XCLAIM", &number, reply)) return false;
      if (__builtin_sub_overflow(ctx.now_ms, number, &number)) number = ctx.now_ms;
      rule.delivered_ms = StreamGroup::ClaimTime(number, ctx.now_ms);
    } else if (Is(options[i], "time") && !last) {
      if (!ReadNumber(options[++i], "ERR Invalid TIME option argument for XCLAIM", &number, reply)) return false;
      rule.delivered_ms = StreamGroup::ClaimTime(number, ctx.now_ms);
    } else if (Is(options[i], "retrycount") && !last) {
      if (!ReadNumber(options[++i], "ERR Invalid RETRYCOUNT option argument for XCLAIM", &number, reply)) return false;
      rule.deliveries = number >= 0 ? std::optional(static_cast<uint64_t>(number)) : std::nullopt;
    } else if (Is(options[i], "lastid") && !last) {
      if (!Accept(types::ParseStreamId(options[++i]), &out->last_id, reply)) return false;
    } else {
      reply.Error("ERR Unrecognized XCLAIM option '" + resp::Printed(options[i]) + "'");
      return false;
    }
  }
  return true;
}

// IDs, up to the first word that is none.
bool ReadClaimWords(const CallContext& ctx, Args args, ClaimWords* out, Writer& reply) {
  if (!ReadNumber(args[4], "ERR Invalid min-idle-time argument for XCLAIM", &out->rule.min_idle_ms, reply)) {
    return false;
  }
  size_t at = 5;
  for (; at < args.size(); ++at) {
    const Result<StreamId> id = types::ParseStreamId(args[at]);
    if (!id.ok()) break;
    out->ids.push_back(*id);
  }
  return ReadClaimOptions(ctx, args.subspan(at), out, reply);
}

// Of entries, or of their IDs only.
void ReplyClaimed(const std::vector<StreamEntry>& entries, bool just_id, Writer& reply) {
  reply.Array(entries.size());
  for (const StreamEntry& entry : entries) {
    if (just_id) {
      ReplyId(entry.id(), reply);
    } else {
      ReplyEntry(entry, reply);
    }
  }
}

// False after the error reply.
bool LookupGroup(CallContext& ctx, const Key& key, std::string_view group, store::Entry** entry, Writer& reply) {
  if (!LookupStreamWrite(ctx, key, entry, reply)) return false;
  if (*entry != nullptr && (*entry)->As<Stream>()->FindGroup(group) != nullptr) return true;
  ReplyNoGroup(key.name, group, reply);
  return false;
}

void XClaim(CallContext& ctx, Args args, Writer& reply) {
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry;
  if (!LookupGroup(ctx, key, args[2], &entry, reply)) return;
  ClaimWords words;
  if (!ReadClaimWords(ctx, args, &words, reply)) return;
  UnwatchedEdit stream(ctx, key, entry);
  StreamGroup& group = *stream->FindGroup(args[2]);
  bool advanced = group.AdvanceLastId(words.last_id);
  types::StreamConsumer* const consumer = SeeConsumer(ctx, key, group, args[3]);
  std::vector<StreamEntry> claimed;
  for (const StreamId id : words.ids) {
    std::optional<StreamPending> before;
    if (const StreamPending* pending = group.FindPending(id)) before = *pending;
    const StreamGroup::Claimed outcome = group.Claim(stream->log(), consumer, id, words.rule, ctx.now_ms);
    if (outcome == StreamGroup::Claimed::kNo) continue;
    const bool gone = outcome == StreamGroup::Claimed::kGone;
    ReplicatePending(ctx, key, group, id, gone ? *before : *group.FindPending(id));
    advanced = false;  // that has said it
    if (!gone) claimed.push_back(*stream->log().Find(id));
  }
  if (advanced) ReplicateGroup(ctx, key, group);
  ReplyClaimed(claimed, words.rule.just_id, reply);
}

struct AutoClaimWords {
  int64_t min_idle_ms = 0;
  StreamId start;
  int64_t count = 100;
  bool just_id = false;
};

bool ReadAutoClaimWords(Args args, AutoClaimWords* out, Writer& reply) {
  constexpr int64_t kMostCount = INT64_MAX / 16;
  if (!ReadNumber(args[4], "ERR Invalid min-idle-time argument for XAUTOCLAIM", &out->min_idle_ms, reply)) return false;
  if (!Accept(types::ParseRangeStart(args[5]), &out->start, reply)) return false;
  for (size_t i = 6; i < args.size(); ++i) {
    if (Is(args[i], "count") && i + 1 < args.size()) {
      constexpr std::string_view kBadCount = "ERR COUNT must be > 0";
      if (!ReadNumber(args[++i], kBadCount, &out->count, reply)) return false;
      if (out->count < 1 || out->count > kMostCount) {
        reply.Error(kBadCount);
        return false;
      }
    } else if (Is(args[i], "justid")) {
      out->just_id = true;
    } else {
      reply.Error(resp::kSyntaxError);
      return false;
    }
  }
  return true;
}

void XAutoClaim(CallContext& ctx, Args args, Writer& reply) {
  AutoClaimWords words;
  if (!ReadAutoClaimWords(args, &words, reply)) return;
  const Key key = FirstKey(ctx, args[1]);
  store::Entry* entry;
  if (!LookupGroup(ctx, key, args[2], &entry, reply)) return;
  UnwatchedEdit stream(ctx, key, entry);
  StreamGroup& group = *stream->FindGroup(args[2]);
  types::StreamConsumer* const consumer = SeeConsumer(ctx, key, group, args[3]);
  std::vector<StreamEntry> claimed;
  std::vector<StreamId> gone;
  const StreamId next = group.AutoClaim(
      stream->log(), consumer, words.start, static_cast<uint64_t>(words.count), words.min_idle_ms, words.just_id,
      ctx.now_ms, [&](StreamId id, const StreamEntry* found, const StreamPending& pending) {
        ReplicatePending(ctx, key, group, id, pending);
        if (found != nullptr) {
          claimed.push_back(*found);
        } else {
          gone.push_back(id);
        }
      });
  reply.Array(3);
  ReplyId(next, reply);
  ReplyClaimed(claimed, words.just_id, reply);
  reply.Array(gone.size());
  for (const StreamId id : gone) ReplyId(id, reply);
}

// clang-format off
constexpr KeySpec kOne{1, 1, 1}, kSecond{2, 2, 1};
const Row kGroupRows[] = {
  {"create", -5, kWrite | kDenyOom, kSecond, KeyAccess::kInsert, "@stream", "stream", "5.0.0", "Makes a group of consumers.", "key group id | $ [MKSTREAM] [ENTRIESREAD entries-read]", GroupCreate},
  {"createconsumer", 5, kWrite | kDenyOom, kSecond, KeyAccess::kInsert, "@stream", "stream", "6.2.0", "Makes a consumer.", "key group consumer", GroupCreateConsumer},
  {"delconsumer", 5, kWrite, kSecond, KeyAccess::kDelete, "@stream", "stream", "5.0.0", "Removes a consumer, and what is pending for it.", "key group consumer", GroupDelConsumer},
  {"destroy", 4, kWrite, kSecond, KeyAccess::kDelete, "@stream", "stream", "5.0.0", "Removes a group of consumers.", "key group", GroupDestroy},
  {"help", 2, kLoading | kStale, {}, KeyAccess::kNone, "@stream", "stream", "5.0.0", "Lists the subcommands.", "", GroupHelp},
  {"setid", -5, kWrite, kSecond, KeyAccess::kUpdate, "@stream", "stream", "5.0.0", "Lets a group go on behind another ID.", "key group id | $ [ENTRIESREAD entries-read]", GroupSetId},
};
const Row kRows[] = {
  {"xack", -4, kWrite | kFast, kOne, KeyAccess::kUpdate, "@stream", "stream", "5.0.0", "Acknowledges entries: they are pending no more.", "key group id [id ...]", XAck},
  {"xautoclaim", -6, kWrite | kFast, kOne, KeyAccess::kDelete, "@stream", "stream", "6.2.0", "Gives a consumer what has been pending for others for long.", "key group consumer min-idle-time start [COUNT count] [JUSTID]", XAutoClaim},
  {"xclaim", -6, kWrite | kFast, kOne, KeyAccess::kUpdate, "@stream", "stream", "5.0.0", "Gives a consumer entries that are pending for others.",
   "key group consumer min-idle-time id [id ...] [IDLE ms] [TIME unix-time-milliseconds] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID lastid]", XClaim},
  {"xgroup", -2, 0, {}, KeyAccess::kNone, "", "stream", "5.0.0", "Makes and removes groups of consumers.", "", nullptr, kGroupRows},
  {"xpending", -3, kReadonly, kOne, KeyAccess::kRead, "@stream", "stream", "5.0.0", "Tells what is pending in a group.", "key group [[IDLE min-idle-time] start end count [consumer]]", XPending},
};
// clang-format on

}  // namespace

std::span<const Row> StreamGroupCommands() { return kRows; }

}  // namespace understudy::command
