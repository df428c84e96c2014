// What the commands on sets share: how they find one and how they write its members.
#pragma once

#include "node/command/call_context.h"
#include "node/resp/writer.h"
#include "node/types/set.h"

namespace understudy::command {

// The set at args[1], for a command that reads. False after an error reply; *entry is null if there is none.
inline bool LookupSet(CallContext& ctx, Args args, const store::Entry** entry, resp::Writer& reply) {
  *entry = LookupRead(ctx, FirstKey(ctx, args[1]));
  return !HasOtherType(*entry, store::Type::kSet, reply);
}

inline void ReplyMember(const types::Set::Member& member, resp::Writer& reply) {
  types::ListpackValue::Buffer buffer;
  reply.Bulk(member.Text(buffer));
}

// All of them, as a set in RESP3.
inline void ReplyMembers(const types::Set& set, resp::Writer& reply) {
  reply.Set(set.Size());
  set.ForEach([&](const types::Set::Member& member) {
    ReplyMember(member, reply);
    return true;
  });
}

}  // namespace understudy::command
