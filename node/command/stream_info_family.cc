// XINFO: what a stream holds and remembers, its groups and their consumers.
#include <algorithm>
#include <string>
#include <vector>

#include "node/command/call_context.h"
#include "node/command/stream_access.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"
#include "node/types/stream.h"

namespace understudy::command {
namespace {

using resp::Writer;
using types::Stream;
using types::StreamConsumer;
using types::StreamEntry;
using types::StreamGroup;
using types::StreamId;
using types::StreamLog;
using types::StreamPending;

void Field(std::string_view name, uint64_t number, Writer& reply) {
  reply.Bulk(name);
  reply.Integer(static_cast<int64_t>(number));
}
void Field(std::string_view name, StreamId id, Writer& reply) {
  reply.Bulk(name);
  ReplyId(id, reply);
}
void Field(std::string_view name, std::string_view text, Writer& reply) {
  reply.Bulk(name);
  reply.Bulk(text);
}
void Field(std::string_view name, const std::optional<StreamEntry>& entry, Writer& reply) {
  reply.Bulk(name);
  if (!entry) return reply.Null();
  ReplyEntry(*entry, reply);
}

// How far a group has come.
void ProgressFields(const StreamGroup& group, const StreamLog& log, Writer& reply) {
  reply.Bulk("entries-read");
  if (group.entries_read() == StreamGroup::kUnknown) {
    reply.Null();
  } else {
    reply.Integer(group.entries_read());
  }
  reply.Bulk("lag");
  const std::optional<int64_t> lag = group.Lag(log);
  if (!lag) return reply.Null();
  reply.Integer(*lag);
}

// Up to `most` of what is pending for a consumer, or for all of the group, whom each entry then names.
void PendingField(const StreamGroup& group, const StreamConsumer* consumer, uint64_t most, Writer& reply) {
  const uint64_t all = consumer != nullptr ? consumer->pending() : group.pending();
  uint64_t left = std::min(all, most);
  reply.Bulk("pending");
  reply.Array(left);
  if (left == 0) return;
  group.WalkPending(types::kMinStreamId, types::kMaxStreamId, consumer, [&](StreamId id, const StreamPending& pending) {
    reply.Array(consumer != nullptr ? 3 : 4);
    ReplyId(id, reply);
    if (consumer == nullptr) reply.Bulk(pending.consumer->name());
    reply.Integer(pending.delivered_ms);
    reply.Integer(static_cast<int64_t>(pending.deliveries));
    return --left > 0;
  });
}

void ReplyFullGroup(const StreamGroup& group, const StreamLog& log, uint64_t most, Writer& reply) {
  reply.Map(7);
  Field("name", group.name(), reply);
  Field("last-delivered-id", group.last_id(), reply);
  ProgressFields(group, log, reply);
  Field("pel-count", group.pending(), reply);
  PendingField(group, nullptr, most, reply);
  reply.Bulk("consumers");
  reply.Array(group.consumers());
  group.ForEachConsumer([&](const StreamConsumer& consumer) {
    reply.Map(5);
    Field("name", consumer.name(), reply);
    reply.Bulk("seen-time");
    reply.Integer(consumer.seen_ms());
    reply.Bulk("active-time");
    reply.Integer(consumer.active_ms());
    Field("pel-count", consumer.pending(), reply);
    PendingField(group, &consumer, most, reply);
  });
}

// FULL. most: of entries, and of what is pending.
void FullFields(const Stream& stream, uint64_t most, Writer& reply) {
  const StreamLog& log = stream.log();
  uint64_t left = std::min(log.size(), most);
  reply.Bulk("entries");
  reply.Array(left);
  if (left > 0) {
    log.Walk(types::kMinStreamId, types::kMaxStreamId, false, [&](const StreamEntry& entry) {
      ReplyEntry(entry, reply);
      return --left > 0;
    });
  }
  reply.Bulk("groups");
  reply.Array(stream.groups());
  stream.ForEachGroup([&](const StreamGroup& group) { ReplyFullGroup(group, log, most, reply); });
}

// Null after an error reply.
const store::Entry* LookupToTell(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry;
  if (!LookupStream(ctx, FirstKey(ctx, args[2]), &entry, reply)) return nullptr;
  if (entry == nullptr) reply.Error(resp::kNoSuchKey);
  return entry;
}

void InfoStream(CallContext& ctx, Args args, Writer& reply) {
  constexpr int64_t kDefaultCount = 10;
  const store::Entry* entry = LookupToTell(ctx, args, reply);
  if (entry == nullptr) return;
  const bool full = args.size() > 3;
  int64_t count = kDefaultCount;
  if (full) {
    const bool counts = args.size() == 6 && Is(args[4], "count");
    if (!Is(args[3], "full") || (args.size() != 4 && !counts)) return ReplyUnknownSubcommand(args, "XINFO", reply);
    if (counts && !ReadInt64(args[5], &count, reply)) return;
    if (count < 0) count = kDefaultCount;
  }
  const auto stream = entry->As<Stream>();
  const StreamLog& log = stream->log();
  reply.Map(full ? 9 : 10);
  Field("length", log.size(), reply);
  Field("radix-tree-keys", log.nodes(), reply);
  Field("radix-tree-nodes", std::max<uint64_t>(log.index_nodes(), 1), reply);  // an empty tree has its root
  Field("last-generated-id", log.last_id(), reply);
  Field("max-deleted-entry-id", log.max_deleted_id(), reply);
  Field("entries-added", log.entries_added(), reply);
  Field("recorded-first-entry-id", log.first_id(), reply);
  if (full) return FullFields(*stream, count == 0 ? UINT64_MAX : static_cast<uint64_t>(count), reply);
  Field("groups", stream->groups(), reply);
  Field("first-entry", log.First(), reply);
  Field("last-entry", log.Last(), reply);
}

void InfoGroups(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry = LookupToTell(ctx, args, reply);
  if (entry == nullptr) return;
  const auto stream = entry->As<Stream>();
  reply.Array(stream->groups());
  stream->ForEachGroup([&](const StreamGroup& group) {
    reply.Map(6);
    Field("name", group.name(), reply);
    Field("consumers", group.consumers(), reply);
    Field("pending", group.pending(), reply);
    Field("last-delivered-id", group.last_id(), reply);
    ProgressFields(group, stream->log(), reply);
  });
}

void InfoConsumers(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry = LookupToTell(ctx, args, reply);
  if (entry == nullptr) return;
  const auto stream = entry->As<Stream>();
  const StreamGroup* const group = stream->FindGroup(args[3]);
  if (group == nullptr) {
    return reply.Error("NOGROUP No such consumer group '" + resp::Printed(args[3]) + "' for key name '" +
                       resp::Printed(args[2]) + "'");
  }
  reply.Array(group->consumers());
  group->ForEachConsumer([&](const StreamConsumer& consumer) {
    const bool active = consumer.active_ms() != StreamConsumer::kNeverActive;
    reply.Map(4);
    Field("name", consumer.name(), reply);
    Field("pending", consumer.pending(), reply);
    reply.Bulk("idle");
    reply.Integer(types::MsSince(consumer.seen_ms(), ctx.now_ms));
    reply.Bulk("inactive");
    reply.Integer(active ? types::MsSince(consumer.active_ms(), ctx.now_ms) : StreamConsumer::kNeverActive);
  });
}

void InfoHelp(CallContext&, Args, Writer& reply) {
  constexpr std::string_view kLines[] = {
      "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "CONSUMERS <key> <groupname>",
      "    The consumers of a group.",
      "GROUPS <key>",
      "    The groups of a stream.",
      "STREAM <key> [FULL [COUNT <count>]]",
      "    The stream; FULL: with entries, groups and what is pending.",
      "HELP",
      "    This text.",
  };
  ReplyHelp(kLines, reply);
}

// clang-format off
constexpr KeySpec kSecond{2, 2, 1};
const Row kInfoRows[] = {
  {"consumers", 4, kReadonly, kSecond, KeyAccess::kRead, "@stream", "stream", "5.0.0", "Lists the consumers of a group.", "key group", InfoConsumers},
  {"groups", 3, kReadonly, kSecond, KeyAccess::kRead, "@stream", "stream", "5.0.0", "Lists the groups of a stream.", "key", InfoGroups},
  {"help", 2, kLoading | kStale, {}, KeyAccess::kNone, "@stream", "stream", "5.0.0", "Lists the subcommands.", "", InfoHelp},
  {"stream", -3, kReadonly, kSecond, KeyAccess::kRead, "@stream", "stream", "5.0.0", "Tells about a stream.", "key [FULL [COUNT count]]", InfoStream},
};
const Row kRows[] = {
  {"xinfo", -2, 0, {}, KeyAccess::kNone, "", "stream", "5.0.0", "Tells about streams, their groups and consumers.", "", nullptr, kInfoRows},
};
// clang-format on

}  // namespace

std::span<const Row> StreamInfoCommands() { return kRows; }

}  // namespace understudy::command
