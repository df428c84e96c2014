// Keyspace notifications: what happens to keys, told to whoever listens to a channel of the key or of the event.
//
// A handler calls Notify() after its change, with the shard's lock held; while nobody asked for the class it is a load
// and a test. As in Redis: the primary's stream makes a replica notify, too; what is flushed or swapped does not.
#pragma once

#include <string_view>

#include "node/command/call_context.h"
#include "node/config/config.h"
#include "node/config/notify_classes.h"

namespace understudy::command {

// Publishes to the channels that notify-keyspace-events names.
void PublishEvent(Services& services, int db, std::string_view event, std::string_view key);

inline bool Notifies(const Services& services, uint32_t classes) {
  return (services.config.notify_classes.load(std::memory_order_relaxed) & classes) != 0;
}

// event: "set", "del", ... in a database other than the context's: db.
inline void NotifyIn(CallContext& ctx, int db, config::NotifyClass notify_class, std::string_view event,
                     std::string_view key) {
  if (Notifies(ctx.services, notify_class)) [[unlikely]] PublishEvent(ctx.services, db, event, key);
}
inline void Notify(CallContext& ctx, config::NotifyClass notify_class, std::string_view event, std::string_view key) {
  NotifyIn(ctx, ctx.db, notify_class, event, key);
}
// Before a key is written that may not be there yet: then it is a new one.
inline void NotifyIfNew(CallContext& ctx, const Key& key) {
  if (!Notifies(ctx.services, config::kNotifyNew)) [[likely]] return;
  if (key.shard.Peek(ctx.db, key.name, key.hash, ctx.now_ms, ctx.view) != nullptr) return;
  PublishEvent(ctx.services, ctx.db, "new", key.name);
}

}  // namespace understudy::command
