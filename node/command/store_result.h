// The end of a command that stores a collection which it made: SINTERSTORE, ZRANGESTORE, SORT ... STORE.
#pragma once

#include <string_view>
#include <utility>

#include "node/command/call_context.h"
#include "node/command/notify.h"

namespace understudy::command {

// Replaces whatever the key holds by `value`, and removes the key if that is empty. event: what listeners are told if
// it is not. True if anything changed: the caller then says what is replicated. value: made of other keys' values, or
// of this one's; nothing in it may lead into the keyspace.
template <typename T>
bool StoreResult(CallContext& ctx, const Key& key, T value, config::NotifyClass notify_class, std::string_view event) {
  const bool made = value.Size() > 0;
  LookupWrite(ctx, key);  // an expired key that the result takes the place of has expired first
  if (made) NotifyIfNew(ctx, key);
  if (!key.shard.SetCollection(ctx.db, key.name, key.hash, store::Collection(std::move(value)), ctx.now_ms)) {
    return false;
  }
  if (made) {
    Notify(ctx, notify_class, event, key.name);
  } else {
    Notify(ctx, config::kNotifyGeneric, "del", key.name);
  }
  return true;
}

}  // namespace understudy::command
