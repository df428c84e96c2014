// What the commands on streams share: how they reply with IDs and entries, how they find a group, and what replicas
// are told of groups.
//
// WATCH is told of entries only, as in Redis: not of groups, and not of XSETID.
#pragma once

#include <string_view>

#include "common/result.h"
#include "node/command/call_context.h"
#include "node/resp/writer.h"
#include "node/types/stream.h"

namespace understudy::command {

inline constexpr store::Type kStream = store::Type::kStream;

void ReplyId(types::StreamId id, resp::Writer& reply);
// [ID, [field, value, ...]]
void ReplyEntry(const types::StreamEntry& entry, resp::Writer& reply);

// False after the error reply.
template <typename T>
bool Accept(const Result<T>& parsed, T* out, resp::Writer& reply) {
  if (!parsed.ok()) {
    reply.Error(parsed.status().message());
    return false;
  }
  *out = *parsed;
  return true;
}
// error: of a text that is no integer. False after it.
bool ReadNumber(std::string_view text, std::string_view error, int64_t* out, resp::Writer& reply);

// The stream of a command that reads, counted as a hit or a miss. False after an error reply; null: there is none.
bool LookupStream(CallContext& ctx, const Key& key, const store::Entry** entry, resp::Writer& reply);
// The same of one that changes groups.
bool LookupStreamWrite(CallContext& ctx, const Key& key, store::Entry** entry, resp::Writer& reply);

// A stream of which something is changed that WATCH is not told of, open.
class UnwatchedEdit {
 public:
  // entry: as for EditValue.
  UnwatchedEdit(const CallContext& ctx, const Key& key, store::Entry* entry)
      : stream_(EditValue<types::Stream>(ctx, key, entry)) {
    stream_.NothingChanged();
  }
  types::Stream& operator*() { return *stream_; }
  types::Stream* operator->() { return &*stream_; }

 private:
  store::Edit<types::Stream> stream_;
};

// The consumer, which is seen now; made if there is none, and then replicas and listeners are told.
types::StreamConsumer* SeeConsumer(CallContext& ctx, const Key& key, types::StreamGroup& group, std::string_view name);

// ---- For replicas, in forms that real ones understand
// XCLAIM: the entry is pending like that. It also tells how far the group has come.
void ReplicatePending(CallContext& ctx, const Key& key, const types::StreamGroup& group, types::StreamId id,
                      const types::StreamPending& pending);
// XGROUP SETID: how far the group has come, and how much it has read.
void ReplicateGroup(CallContext& ctx, const Key& key, const types::StreamGroup& group);

}  // namespace understudy::command
