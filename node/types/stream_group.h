// StreamGroup: a consumer group of a stream: how far it has come, its consumers, and what was delivered to them and
// not acknowledged yet.
//
//   pending_  (IdTree) | ID, consumer, when, how often | ...      all of the group
//                            |
//   consumer  (IdTree) | ID | ...                                 those of one consumer
//
// Both are in order of IDs. Times are handed in, Unix milliseconds. An entry may be pending though it is deleted; who
// comes upon it by Claim or AutoClaim removes it, acknowledging does as well.
//
// Commands that change a consumer tell it first that it was seen (StreamConsumer::See). Deliver and Claim take the log
// of the same stream. What a group takes is counted in its owner's counter. Pointers to consumers are good until that
// consumer is deleted. Threads: those of the key's shard. Source: Valkey's t_stream.c (behaviour).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/function_ref.h"
#include "node/types/id_tree.h"
#include "node/types/stream_log.h"

namespace understudy::types {

// By their own names.
template <typename T>
using Named = std::map<std::string_view, std::unique_ptr<T>>;

// What one of them takes: its block, the map's, and its name if that is not in it.
template <typename T>
size_t NamedBytes(const T& named) {
  constexpr size_t kMapNode = 4 * sizeof(void*) + sizeof(typename Named<T>::value_type), kInPlace = 15;
  const size_t name = named.name().capacity();
  return kMapNode + sizeof(T) + (name > kInPlace ? name + 1 : 0);
}

class StreamConsumer {
 public:
  static constexpr int64_t kNeverActive = -1;

  StreamConsumer(size_t* account, std::string_view name, int64_t seen_ms)
      : name_(name), seen_ms_(seen_ms), pending_(account) {}

  const std::string& name() const { return name_; }
  // When a command last named it, and when it was last given an entry.
  int64_t seen_ms() const { return seen_ms_; }
  int64_t active_ms() const { return active_ms_; }
  void See(int64_t now_ms) { seen_ms_ = now_ms; }
  void SetTimes(int64_t seen_ms, int64_t active_ms) {
    seen_ms_ = seen_ms;
    active_ms_ = active_ms;
  }
  uint64_t pending() const { return pending_.size(); }
  void ForEachPending(FunctionRef<void(StreamId)> fn) const {
    for (auto at = pending_.First(); at; at.Next()) fn(at.id());
  }

 private:
  friend class StreamGroup;
  struct Nothing {};
  const std::string name_;
  int64_t seen_ms_;
  int64_t active_ms_ = kNeverActive;
  IdTree<Nothing> pending_;
};

// 0 if `then_ms` is yet to come. Times from RDB files may be any.
inline int64_t MsSince(int64_t then_ms, int64_t now_ms) {
  int64_t passed = 0;
  if (__builtin_sub_overflow(now_ms, then_ms, &passed)) return then_ms < now_ms ? INT64_MAX : 0;
  return passed > 0 ? passed : 0;
}

// An entry that was delivered and not acknowledged.
struct StreamPending {
  StreamConsumer* consumer;
  int64_t delivered_ms;
  uint64_t deliveries;
  int64_t IdleMs(int64_t now_ms) const { return MsSince(delivered_ms, now_ms); }
};

class StreamGroup {
 public:
  // entries_read: not known.
  static constexpr int64_t kUnknown = -1;

  // account: as for IdTree.
  StreamGroup(size_t* account, std::string_view name, StreamId last_id, int64_t entries_read)
      : account_(account), name_(name), last_id_(last_id), entries_read_(entries_read), pending_(account) {}
  ~StreamGroup();
  StreamGroup(const StreamGroup&) = delete;
  StreamGroup& operator=(const StreamGroup&) = delete;

  const std::string& name() const { return name_; }
  // The last that was delivered.
  StreamId last_id() const { return last_id_; }
  // A count as entries_read() has it: what is no count there, since others said nonsense, is not known.
  static int64_t EntriesRead(std::optional<uint64_t> count) {
    return count && *count <= INT64_MAX ? static_cast<int64_t>(*count) : kUnknown;
  }
  // How many entries of the stream it has read, or kUnknown.
  int64_t entries_read() const { return entries_read_; }
  // Entries that are not delivered yet; nothing if that cannot be known.
  std::optional<int64_t> Lag(const StreamLog& log) const;
  // XGROUP SETID.
  void SetId(StreamId last_id, int64_t entries_read) {
    last_id_ = last_id;
    entries_read_ = entries_read;
  }
  // LASTID of XCLAIM: forward only. True if it moved.
  bool AdvanceLastId(StreamId last_id);

  // ---- Consumers, in order of their names
  size_t consumers() const { return consumers_.size(); }
  StreamConsumer* FindConsumer(std::string_view name);
  const StreamConsumer* FindConsumer(std::string_view name) const;
  // There is none of that name.
  StreamConsumer* CreateConsumer(std::string_view name, int64_t now_ms);
  // With all that is pending for it: returned, how many.
  uint64_t DeleteConsumer(StreamConsumer* consumer);
  void ForEachConsumer(FunctionRef<void(const StreamConsumer&)> fn) const;

  // ---- Delivery
  // XREADGROUP >: up to `count` entries behind last_id() go to the consumer, pending unless `noack`. fn is told of
  // each. Returned: how many.
  uint64_t Deliver(const StreamLog& log, StreamConsumer* consumer, uint64_t count, bool noack, int64_t now_ms,
                   FunctionRef<void(const StreamEntry&)> fn);
  // XREADGROUP with an ID: what is pending for the consumer behind `after`, delivered once more. entry: nullptr if
  // it was deleted.
  uint64_t Redeliver(const StreamLog& log, StreamConsumer* consumer, StreamId after, uint64_t count, int64_t now_ms,
                     FunctionRef<void(StreamId, const StreamEntry*)> fn);
  // False: it was not pending.
  bool Ack(StreamId id);

  // ---- Other consumers' entries
  struct ClaimRule {
    int64_t min_idle_ms = 0;
    int64_t delivered_ms = 0;               // that it has then: now, or IDLE, TIME (ClaimTime)
    std::optional<uint64_t> deliveries;     // RETRYCOUNT; else one more
    bool force = false;                     // also what is not pending
    bool just_id = false;                   // without counting it as a delivery
  };
  enum class Claimed : uint8_t {
    kYes,
    kNo,
    kGone,  // deleted from the stream, and now from what is pending
  };
  // What IDLE or TIME ask for; a bogus one means now.
  static int64_t ClaimTime(int64_t wanted_ms, int64_t now_ms) {
    return wanted_ms < 0 || wanted_ms > now_ms ? now_ms : wanted_ms;
  }
  Claimed Claim(const StreamLog& log, StreamConsumer* consumer, StreamId id, const ClaimRule& rule, int64_t now_ms);

  // entry: nullptr if it was deleted from the stream; then `pending` is what is removed now.
  using AutoClaimedFn = FunctionRef<void(StreamId id, const StreamEntry* entry, const StreamPending& pending)>;
  // XAUTOCLAIM: claims up to `count` entries from `start` on; those that are gone count as well. Looks at 10 times as
  // many at most. fn is told of each that was claimed or is gone. Returned: where to go on, 0-0 at the end.
  StreamId AutoClaim(const StreamLog& log, StreamConsumer* consumer, StreamId start, uint64_t count,
                     int64_t min_idle_ms, bool just_id, int64_t now_ms, AutoClaimedFn fn);

  // ---- What is pending
  uint64_t pending() const { return pending_.size(); }
  // 0-0 if nothing is.
  StreamId first_pending() const { return pending_.empty() ? kMinStreamId : pending_.First().id(); }
  StreamId last_pending() const { return pending_.empty() ? kMinStreamId : pending_.Last().id(); }
  const StreamPending* FindPending(StreamId id) const { return pending_.Find(id); }
  // Calls fn for what is pending from `first` to `last`, of one consumer or all (nullptr), until it returns false.
  void WalkPending(StreamId first, StreamId last, const StreamConsumer* consumer,
                   FunctionRef<bool(StreamId, const StreamPending&)> fn) const;

  // ---- Loading
  // False: it is pending already. Its consumer is to be named with GivePending.
  bool AddPending(StreamId id, int64_t delivered_ms, uint64_t deliveries);
  // False: it is not pending, or has a consumer.
  bool GivePending(StreamId id, StreamConsumer* consumer);
  void CloneTo(StreamGroup* copy) const;  // copy: new

  // CHECKs every invariant; for tests. O(n). Returned: bytes that it has in the counter.
  size_t Validate() const;

 private:
  void RemovePending(StreamId id, StreamConsumer* consumer);
  // Makes it the consumer's, whoever had it.
  void Reassign(StreamId id, StreamPending* pending, StreamConsumer* consumer);

  size_t* account_;
  const std::string name_;
  StreamId last_id_;
  int64_t entries_read_;
  IdTree<StreamPending> pending_;
  Named<StreamConsumer> consumers_;
};

}  // namespace understudy::types
