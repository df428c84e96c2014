#include "node/command/stream_access.h"

#include <string>

#include "node/command/notify.h"

namespace understudy::command {

using types::StreamGroup;
using types::StreamId;

void ReplyId(StreamId id, resp::Writer& reply) {
  char buffer[StreamId::kMaxText];
  reply.Bulk(id.PrintTo(buffer));
}

void ReplyEntry(const types::StreamEntry& entry, resp::Writer& reply) {
  reply.Array(2);
  ReplyId(entry.id(), reply);
  reply.Array(entry.fields() * 2);
  entry.ForEachField([&](const types::ListpackValue& field, const types::ListpackValue& value) {
    types::ListpackValue::Buffer buffer;
    reply.Bulk(field.Text(buffer));
    reply.Bulk(value.Text(buffer));
  });
}

bool ReadNumber(std::string_view text, std::string_view error, int64_t* out, resp::Writer& reply) {
  if (ParseInt64(text, out)) return true;
  reply.Error(error);
  return false;
}

bool LookupStream(CallContext& ctx, const Key& key, const store::Entry** entry, resp::Writer& reply) {
  *entry = LookupRead(ctx, key);
  return !HasOtherType(*entry, kStream, reply);
}

bool LookupStreamWrite(CallContext& ctx, const Key& key, store::Entry** entry, resp::Writer& reply) {
  *entry = LookupWrite(ctx, key);
  NoteLookup(ctx, key, *entry);
  return !HasOtherType(*entry, kStream, reply);
}

types::StreamConsumer* SeeConsumer(CallContext& ctx, const Key& key, StreamGroup& group, std::string_view name) {
  types::StreamConsumer* consumer = group.FindConsumer(name);
  if (consumer == nullptr) {
    consumer = group.CreateConsumer(name, ctx.now_ms);
    ctx.effects.Add(ctx.db, {"XGROUP", "CREATECONSUMER", key.name, ctx.effects.Keep(group.name()), name});
    Notify(ctx, config::kNotifyStream, "xgroup-createconsumer", key.name);
  }
  consumer->See(ctx.now_ms);
  return consumer;
}

void ReplicatePending(CallContext& ctx, const Key& key, const StreamGroup& group, StreamId id,
                      const types::StreamPending& pending) {
  Effects& effects = ctx.effects;
  if (!effects.wanted()) return effects.AddLong(ctx.db, {});
  effects.AddLong(ctx.db, {"XCLAIM", key.name, effects.Keep(group.name()), effects.Keep(pending.consumer->name()), "0",
                           effects.Keep(id.ToString()), "TIME", effects.Keep(std::to_string(pending.delivered_ms)),
                           "RETRYCOUNT", effects.Keep(std::to_string(pending.deliveries)), "FORCE", "JUSTID", "LASTID",
                           effects.Keep(group.last_id().ToString())});
}

void ReplicateGroup(CallContext& ctx, const Key& key, const StreamGroup& group) {
  Effects& effects = ctx.effects;
  effects.Add(ctx.db, {"XGROUP", "SETID", key.name, effects.Keep(group.name()), effects.Keep(group.last_id().ToString()),
                       "ENTRIESREAD", effects.Keep(std::to_string(group.entries_read()))});
}

}  // namespace understudy::command
