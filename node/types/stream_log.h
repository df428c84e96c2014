// StreamLog: the entries of a stream, in order of their IDs, and what it remembers of those that are gone.
//
//   IdTree:  master ID -> node, master ID -> node, ...       (id_tree.h)
//                         |
//                         listpack of up to 100 entries or 4 kB, byte for byte what an RDB file holds (stream_node.h)
//
// Entries come at the end only. Deleted ones are marked in their node; a node goes with its last live entry. Beside
// the entries the log knows the last ID that it ever gave, the highest that was deleted one by one (trimming does not
// count), and how many entries were ever added: from these follows how far a group has come (CountUpTo).
//
// Nodes are counted in a counter of the owner's. Threads: those of the key's shard. Source: Redis's t_stream.c.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "common/function_ref.h"
#include "common/result.h"
#include "node/types/encoding.h"
#include "node/types/id_tree.h"
#include "node/types/stream_id.h"
#include "node/types/stream_node.h"

namespace understudy::types {

// MAXLEN and MINID of XADD and XTRIM.
struct StreamTrim {
  enum class Kind : uint8_t { kMaxLength, kMinId };
  Kind kind = Kind::kMaxLength;
  uint64_t max_length = 0;
  StreamId min_id;           // entries below it go
  bool approximate = false;  // ~: whole nodes only
  uint64_t limit = 0;        // do not remove more entries than that; 0: no limit

  // LIMIT of an approximate one if none is given.
  static uint64_t DefaultLimit(const Limits& limits);
};

class StreamLog {
 public:
  // What is not in the entries.
  struct Counters {
    StreamId last_id;
    StreamId max_deleted_id;  // 0-0: none was
    uint64_t entries_added = 0;
  };

  // account: as for IdTree.
  explicit StreamLog(size_t* account) : account_(account), nodes_(account) {}
  ~StreamLog();
  StreamLog(const StreamLog&) = delete;
  StreamLog& operator=(const StreamLog&) = delete;

  uint64_t size() const { return size_; }
  StreamId last_id() const { return counters_.last_id; }
  // Of the entries that are there; 0-0 if there is none.
  StreamId first_id() const { return first_id_; }
  StreamId top_id() const;
  StreamId max_deleted_id() const { return counters_.max_deleted_id; }
  uint64_t entries_added() const { return counters_.entries_added; }
  const Counters& counters() const { return counters_; }
  uint64_t nodes() const { return nodes_.size(); }
  // Blocks of the index: what XINFO calls radix-tree-nodes.
  uint64_t index_nodes() const { return nodes_.nodes(); }

  // The ID that XADD is to give. wanted: not impossible(). kInvalid: "ERR The stream has exhausted the last possible ID, unable to add more
  // items", or "ERR The ID specified in XADD is equal or smaller than the target stream top item".
  Result<StreamId> NextId(const NewStreamId& wanted, int64_t now_ms) const;
  // words: fields and values. id: from NextId. kInvalid: "ERR Elements are too large to be stored".
  Status Append(StreamId id, StreamNode::Words words, const Limits& limits);
  // False: it is not there. XDEL.
  bool Erase(StreamId id);
  // Returned: how many entries it removed.
  uint64_t Trim(const StreamTrim& trim);
  // XSETID. max_deleted_id: 0-0 if not given, not above last_id (CHECK). kInvalid: an error of Redis's, and nothing changed.
  Status SetId(StreamId last_id, std::optional<uint64_t> entries_added, StreamId max_deleted_id);

  // Calls fn for the entries from `first` to `last`, both included, backward if `reverse`, until it returns false.
  void Walk(StreamId first, StreamId last, bool reverse, FunctionRef<bool(const StreamEntry&)> fn) const;
  std::optional<StreamEntry> Find(StreamId id) const;
  bool Contains(StreamId id) const { return Find(id).has_value(); }
  std::optional<StreamEntry> First() const;
  std::optional<StreamEntry> Last() const;

  // How many entries were ever added up to `id`; nothing if that cannot be known: `id` lies between the first and the
  // last entry, behind the last ID, or before one that was deleted.
  std::optional<uint64_t> CountUpTo(StreamId id) const;
  // Whether an entry that `id` or one behind it had was deleted.
  bool HasGapsFrom(StreamId id) const;

  // Nodes as RDB files hold them.
  void ForEachNode(FunctionRef<void(StreamId master, std::string_view bytes)> fn) const;
  // Behind the nodes that there are. False: bytes from outside are not a node, or not in order. One without live
  // entries is left out.
  bool AppendNode(StreamId master, std::string_view bytes);
  void SetCounters(const Counters& counters) { counters_ = counters; }
  void CloneTo(StreamLog* copy) const;  // copy: new

  // CHECKs every invariant; for tests. O(n). Returned: the bytes that it has in the counter.
  size_t Validate() const;

 private:
  using Tree = IdTree<void*>;  // listpacks

  template <typename Change>
  void Edit(void** block, Change change);
  void AddNode(StreamId master, Listpack pack);
  void RemoveNode(StreamId master, void* block);
  void FindFirst();

  size_t* account_;
  Tree nodes_;
  uint64_t size_ = 0;
  StreamId first_id_;
  Counters counters_;
};

}  // namespace understudy::types
