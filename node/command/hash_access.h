// What the commands on hashes share: how they find a hash and a field, and what they tell when fields went.
#pragma once

#include <optional>
#include <string_view>

#include "node/command/call_context.h"
#include "node/command/notify.h"
#include "node/resp/writer.h"
#include "node/types/hash.h"

namespace understudy::command {

// The time by which fields are expired or not: under a primary's stream nothing has expired by itself.
inline int64_t FieldNow(const CallContext& ctx) { return ctx.view == store::View::kRaw ? INT64_MIN : ctx.now_ms; }

// LookupWrite for a command that changes fields: those whose time has come are removed first, and replicas told, as
// LookupWrite does it with keys. Null: no such key (any more), or another type.
inline store::Entry* LookupFieldsToChange(CallContext& ctx, const Key& key) {
  store::Entry* entry = LookupWrite(ctx, key);
  if (entry == nullptr || entry->type() != store::Type::kHash || ctx.view == store::View::kRaw) return entry;
  return key.shard.ExpireFieldsOf(ctx.db, key.name, key.hash, *entry, ctx.now_ms);
}

// entry: null, or of a hash that is not open for changes.
inline std::optional<types::Hash::Field> FindField(const CallContext& ctx, const store::Entry* entry,
                                                   std::string_view name) {
  if (entry == nullptr) return std::nullopt;
  return entry->As<types::Hash>()->Find(name, FieldNow(ctx));
}

// The value of a hash that is changed, or of one that is made.
inline store::Edit<types::Hash> EditOrMakeHash(CallContext& ctx, const Key& key, store::Entry* entry) {
  if (entry == nullptr) NotifyIfNew(ctx, key);
  return EditOrMake<types::Hash>(ctx, key, entry, [] { return types::Hash(); });
}

inline void ReplyText(const types::ListpackValue& value, resp::Writer& reply) {
  types::ListpackValue::Buffer buffer;
  reply.Bulk(value.Text(buffer));
}
inline void ReplyValue(const std::optional<types::Hash::Field>& field, resp::Writer& reply) {
  if (!field) return reply.Null();
  ReplyText(field->value, reply);
}

// After fields were removed. event: "hdel" or "hexpired". key_gone: with the last of them.
inline void NotifyRemoved(CallContext& ctx, const Key& key, std::string_view event, bool key_gone) {
  Notify(ctx, config::kNotifyHash, event, key.name);
  if (key_gone) Notify(ctx, config::kNotifyGeneric, "del", key.name);
}

}  // namespace understudy::command
