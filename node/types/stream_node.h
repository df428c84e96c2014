// The entries of a stream in one listpack, in the very format of Redis.
//
//   | live | deleted | fields | field 1 | ... | field N | 0 |  entry | entry | ...
//
//   entry: | flags | ms | seq | value 1 | ... | value N | elements |                                  same fields
//          | flags | ms | seq | fields | field 1 | value 1 | ... | field M | value M | elements |     others
//
// The node has a master ID, that of its first entry; ms and seq are what an entry's ID has beyond it. The fields in
// front are those of the first entry, which most others have as well and need not repeat. `elements` is how many
// elements of the listpack the entry has before it, which is how one walks backward. A deleted entry is only marked;
// the node goes when none is live.
//
// StreamNode reads a node that somebody else owns; positions are those of listpacks. Entries are in the order of
// their IDs, as far as they are live: a deleted one's ID means nothing (Redis before 7.0 could reuse its place).
// Trusts its bytes: what came from outside goes through Validate first. Source: Redis's t_stream.c (format). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "common/function_ref.h"
#include "node/types/listpack.h"
#include "node/types/stream_id.h"

namespace understudy::types {

class StreamNode;

// A live entry. Good until the next change of its stream.
class StreamEntry {
 public:
  StreamId id() const { return id_; }
  // Pairs of field and value.
  uint64_t fields() const { return fields_; }
  void ForEachField(FunctionRef<void(const ListpackValue& field, const ListpackValue& value)> fn) const;

 private:
  friend class StreamNode;
  explicit StreamEntry(ListpackView pack) : pack_(pack) {}
  ListpackView pack_;
  StreamId id_;
  uint64_t fields_ = 0;
  bool same_fields_ = false;
  bool deleted_ = false;
  ListpackView::Position at_ = ListpackView::kNone;      // flags
  ListpackView::Position body_ = ListpackView::kNone;    // what follows seq, or the count of fields
  ListpackView::Position master_ = ListpackView::kNone;  // count of fields of the node
};

class StreamNode {
 public:
  using Position = ListpackView::Position;
  // Values of what is in one entry: field, value, field, value, ...
  using Words = std::span<const std::string_view>;

  StreamNode(StreamId master, const void* block);

  // Live entries, without looking at the rest.
  static uint64_t LiveIn(const void* block);
  uint64_t deleted() const;

  // The first live entry that is not below `id`, and the last that is not above it. Looks from both ends, as most
  // who read are near to one of them.
  std::optional<StreamEntry> AtLeast(StreamId id) const;
  std::optional<StreamEntry> AtMost(StreamId id) const;
  // The live entry behind, or before, this one.
  std::optional<StreamEntry> Next(const StreamEntry& entry) const { return Live(Behind(entry), false); }
  std::optional<StreamEntry> Previous(const StreamEntry& entry) const { return Live(Before(entry.at_), true); }
  std::optional<StreamEntry> First() const { return Live(first_, false); }
  std::optional<StreamEntry> Last() const { return Live(Before(ListpackView::kNone), true); }
  // Of the last entry, live or not. There is one.
  StreamId LastWritten() const { return Read(Before(ListpackView::kNone)).id(); }

  // Whether an entry of so many bytes of text would be too much for the node. Limits: 0 = none.
  static bool IsFull(const void* block, size_t text_bytes, uint64_t max_bytes, uint64_t max_entries);
  // A node without entries for such fields, to be given its first one.
  static Listpack New(Words words);
  // words: fields and values. id: above all others.
  static void Append(Listpack* pack, StreamId master, StreamId id, Words words);
  // Marks live entries from the first on as deleted while `fn` says so, and returns how many.
  static uint64_t DeleteWhile(Listpack* pack, StreamId master, FunctionRef<bool(StreamId)> fn);
  static void Delete(Listpack* pack, const StreamEntry& entry);

  // What Validate finds. live 0: there are no IDs.
  struct Summary {
    uint64_t live = 0;
    StreamId first;
    StreamId last;
  };
  // Of any bytes. Nothing if they are no such node, or its live entries are not in order from `master` on.
  static std::optional<Summary> Validate(StreamId master, std::string_view bytes);

 private:
  static constexpr int64_t kDeleted = 1;
  static constexpr int64_t kSameFields = 2;

  StreamEntry Read(Position at) const;
  // kNone: beyond the end.
  Position Behind(const StreamEntry& entry) const;
  Position Before(Position at) const;  // at: kNone for the end
  std::optional<StreamEntry> Live(Position at, bool backward) const;
  static void CountDeleted(Listpack* pack, uint64_t n);

  StreamId master_id_;
  ListpackView pack_;
  Position master_;  // count of fields
  Position first_;   // entry, kNone if there is none
  uint64_t fields_;
};

}  // namespace understudy::types
