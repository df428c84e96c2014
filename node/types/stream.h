// Stream: entries with IDs that only grow, and groups of consumers that share them.
//
//   Stream -> | StreamLog: nodes, counters | groups: name -> StreamGroup |
//
// Always in its large form ("stream", for OBJECT ENCODING), also without entries: a key may hold an empty stream. It
// is read and changed through its two parts: XADD, XRANGE, XDEL, XTRIM and XSETID are calls of log(); XREADGROUP,
// XACK, XCLAIM, XAUTOCLAIM and XPENDING calls of a group, which takes the log where it needs it; stream_rdb.h has the
// form of RDB files.
//
// Time is handed in. Texts that come out are good until the next change. Not thread-safe: guarded by the lock of the
// key's shard. May be handed to another thread to be destroyed, which takes time in proportion to its nodes and to
// what is pending.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

#include "common/function_ref.h"
#include "node/types/encoding.h"
#include "node/types/stream_group.h"
#include "node/types/stream_log.h"

namespace understudy::types {

class Stream {
 public:
  Stream();  // empty
  // Takes over what Release gave.
  static Stream Adopt(Encoding encoding, void* rep);
  Stream(Stream&& other) noexcept : rep_(std::exchange(other.rep_, nullptr)) {}
  Stream& operator=(Stream&& other) noexcept {
    std::swap(rep_, other.rep_);
    return *this;
  }
  ~Stream();
  // Gives the value away; nothing but destruction may follow.
  void* Release() { return std::exchange(rep_, nullptr); }
  Stream Clone() const;

  Encoding encoding() const { return Encoding::kTable; }
  std::string_view EncodingName() const { return types::EncodingName(Kind::kStream, encoding()); }
  // Entries.
  uint64_t Size() const { return log().size(); }
  // O(1). Groups and consumers are counted by what they hold, not by the allocator's blocks.
  size_t AllocatedBytes() const;

  StreamLog& log();
  const StreamLog& log() const;

  // Groups, in order of their names.
  size_t groups() const;
  StreamGroup* FindGroup(std::string_view name);
  const StreamGroup* FindGroup(std::string_view name) const;
  // nullptr: there is one of that name. entries_read: StreamGroup::kUnknown, or how many it is said to have read.
  StreamGroup* CreateGroup(std::string_view name, StreamId last_id, int64_t entries_read);
  // False: there is none.
  bool DestroyGroup(std::string_view name);
  void ForEachGroup(FunctionRef<void(const StreamGroup&)> fn) const;

  // CHECKs every invariant; for tests. O(n).
  void Validate() const;

 private:
  struct Rep;
  explicit Stream(Rep* rep) : rep_(rep) {}

  Rep* rep_;
};

}  // namespace understudy::types
