// What the commands on lists share: how they find a list and change it, and what they tell.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "node/command/call_context.h"
#include "node/command/notify.h"
#include "node/config/config.h"
#include "node/resp/writer.h"
#include "node/types/list.h"

namespace understudy::command {

// LEFT or RIGHT. False after the error reply.
inline bool ReadListEnd(std::string_view text, types::ListEnd* end, resp::Writer& reply) {
  if (Is(text, "left")) {
    *end = types::ListEnd::kHead;
  } else if (Is(text, "right")) {
    *end = types::ListEnd::kTail;
  } else {
    reply.Error(resp::kSyntaxError);
    return false;
  }
  return true;
}

inline void ReplyElement(const types::ListpackValue& value, resp::Writer& reply) {
  types::ListpackValue::Buffer buffer;
  reply.Bulk(value.Text(buffer));
}

// The value of a list that is changed, or of one that is made.
inline store::Edit<types::List> EditOrMakeList(CallContext& ctx, const Key& key, store::Entry* entry) {
  if (entry == nullptr) NotifyIfNew(ctx, key);
  return EditOrMake<types::List>(ctx, key, entry, [] { return types::List(); });
}

// After elements were removed. event: "lpop", "lrem" ... key_gone: with the last of them.
inline void NotifyListShrunk(CallContext& ctx, const Key& key, std::string_view event, bool key_gone) {
  Notify(ctx, config::kNotifyList, event, key.name);
  if (key_gone) Notify(ctx, config::kNotifyGeneric, "del", key.name);
}

}  // namespace understudy::command
