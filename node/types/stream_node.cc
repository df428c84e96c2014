#include "node/types/stream_node.h"

#include <algorithm>

#include "common/check.h"

namespace understudy::types {
namespace {

using Position = ListpackView::Position;

// Of an element beside its text: encoding and back length at their longest.
constexpr size_t kElementBytes = 10;
// A new node has room for its first entries; what a stream of one entry leaves of it is given back soon.
constexpr size_t kMaxSpareBytes = 4096;

uint64_t NumberAt(const ListpackView& pack, Position at) { return static_cast<uint64_t>(pack.Get(at).integer()); }

// Numbers of nodes from outside: false if there is none, or it is no number.
class Reader {
 public:
  explicit Reader(ListpackView pack) : pack_(pack), at_(pack.First()) {}
  bool done() const { return at_ == ListpackView::kNone; }
  bool Number(int64_t* out) {
    if (done()) return false;
    const ListpackValue value = pack_.Get(at_);
    if (!value.is_integer()) return false;
    *out = value.integer();
    at_ = pack_.Next(at_);
    return true;
  }
  // Flags, which are written over in place: they must be as short as they can.
  bool Flags(int64_t* out) {
    const Position before = at_;
    return Number(out) && at_ == before + 2;
  }
  bool Count(uint64_t* out) {
    int64_t n;
    // No more than there are elements, so that sums of a few of them stay small.
    if (!Number(&n) || n < 0 || static_cast<uint64_t>(n) > pack_.bytes()) return false;
    *out = static_cast<uint64_t>(n);
    return true;
  }
  bool Skip(uint64_t elements) {
    for (; elements > 0; --elements) {
      if (done()) return false;
      at_ = pack_.Next(at_);
    }
    return true;
  }

 private:
  ListpackView pack_;
  Position at_;
};

}  // namespace

void StreamEntry::ForEachField(FunctionRef<void(const ListpackValue&, const ListpackValue&)> fn) const {
  Position field = same_fields_ ? pack_.Next(master_) : body_;
  Position value = body_;
  for (uint64_t i = 0; i < fields_; ++i) {
    if (!same_fields_) value = pack_.Next(field);
    fn(pack_.Get(field), pack_.Get(value));
    field = pack_.Next(same_fields_ ? field : value);
    value = same_fields_ ? pack_.Next(value) : field;
  }
}

StreamNode::StreamNode(StreamId master, const void* block) : master_id_(master), pack_(block) {
  master_ = pack_.Next(pack_.Next(pack_.First()));
  fields_ = NumberAt(pack_, master_);
  Position at = pack_.Next(master_);
  for (uint64_t i = 0; i < fields_; ++i) at = pack_.Next(at);
  first_ = pack_.Next(at);
}

uint64_t StreamNode::LiveIn(const void* block) {
  const ListpackView pack(block);
  return NumberAt(pack, pack.First());
}

uint64_t StreamNode::deleted() const { return NumberAt(pack_, pack_.Next(pack_.First())); }

StreamEntry StreamNode::Read(Position at) const {
  StreamEntry entry(pack_);
  entry.at_ = at;
  entry.master_ = master_;
  const int64_t flags = pack_.Get(at).integer();
  entry.deleted_ = (flags & kDeleted) != 0;
  entry.same_fields_ = (flags & kSameFields) != 0;
  at = pack_.Next(at);
  entry.id_.ms = master_id_.ms + NumberAt(pack_, at);
  at = pack_.Next(at);
  entry.id_.seq = master_id_.seq + NumberAt(pack_, at);
  at = pack_.Next(at);
  entry.fields_ = fields_;
  if (!entry.same_fields_) {
    entry.fields_ = NumberAt(pack_, at);
    at = pack_.Next(at);
  }
  entry.body_ = at;
  return entry;
}

Position StreamNode::Behind(const StreamEntry& entry) const {
  Position at = entry.body_;
  for (uint64_t n = entry.same_fields_ ? entry.fields_ : entry.fields_ * 2; n > 0; --n) at = pack_.Next(at);
  return pack_.Next(at);
}

Position StreamNode::Before(Position at) const {
  if (at == first_ && at != ListpackView::kNone) return ListpackView::kNone;
  if (first_ == ListpackView::kNone) return ListpackView::kNone;
  at = at == ListpackView::kNone ? pack_.Last() : pack_.Previous(at);
  for (uint64_t n = NumberAt(pack_, at); n > 0; --n) at = pack_.Previous(at);
  return at;
}

std::optional<StreamEntry> StreamNode::Live(Position at, bool backward) const {
  while (at != ListpackView::kNone) {
    const StreamEntry entry = Read(at);
    if (!entry.deleted_) return entry;
    at = backward ? Before(at) : Behind(entry);
  }
  return std::nullopt;
}

std::optional<StreamEntry> StreamNode::AtLeast(StreamId id) const {
  std::optional<StreamEntry> front = First();
  std::optional<StreamEntry> behind;  // the lowest known that is not below
  std::optional<StreamEntry> back = front ? Last() : std::nullopt;
  while (front) {
    if (front->id_ >= id) return front;
    if (back->id_ < id) return behind;
    behind = back;
    front = Next(*front);
    back = Previous(*back);
  }
  return std::nullopt;
}

std::optional<StreamEntry> StreamNode::AtMost(StreamId id) const {
  std::optional<StreamEntry> front = First();
  std::optional<StreamEntry> before;  // the highest known that is not above
  std::optional<StreamEntry> back = front ? Last() : std::nullopt;
  while (front) {
    if (back->id_ <= id) return back;
    if (front->id_ > id) return before;
    before = front;
    front = Next(*front);
    back = Previous(*back);
  }
  return std::nullopt;
}

bool StreamNode::IsFull(const void* block, size_t text_bytes, uint64_t max_bytes, uint64_t max_entries) {
  const ListpackView pack(block);
  if (max_bytes == 0 || max_bytes > ListpackView::kMaxBytes) max_bytes = ListpackView::kMaxBytes;
  if (pack.bytes() + text_bytes >= max_bytes) return true;
  const Position first = pack.First();
  return max_entries > 0 && NumberAt(pack, first) + NumberAt(pack, pack.Next(first)) >= max_entries;
}

Listpack StreamNode::New(Words words) {
  Listpack pack;
  pack.Append(int64_t{0});
  pack.Append(int64_t{0});
  pack.Append(static_cast<int64_t>(words.size() / 2));
  for (size_t i = 0; i < words.size(); i += 2) pack.Append(words[i]);
  pack.Append(int64_t{0});
  return pack;
}

void StreamNode::Append(Listpack* pack, StreamId master, StreamId id, Words words) {
  size_t bytes = (words.size() + 5) * kElementBytes;
  for (const std::string_view word : words) bytes += word.size();
  // One growth for the whole entry, and room for as much again while the node is small.
  if (const size_t wanted = pack->bytes() + bytes; wanted > pack->AllocatedBytes()) {
    pack->Reserve(wanted + std::min(pack->bytes(), kMaxSpareBytes));
  }
  Position at = pack->First();
  at = pack->Next(pack->Replace(at, pack->Get(at).integer() + 1));
  at = pack->Next(at);
  bool same = NumberAt(*pack, at) == words.size() / 2;
  for (size_t i = 0; same && i < words.size(); i += 2) {
    at = pack->Next(at);
    same = pack->Get(at).Is(words[i]);
  }
  pack->Append(same ? kSameFields : int64_t{0});
  pack->Append(static_cast<int64_t>(id.ms - master.ms));
  pack->Append(static_cast<int64_t>(id.seq - master.seq));
  const auto fields = static_cast<int64_t>(words.size() / 2);
  if (same) {
    for (size_t i = 1; i < words.size(); i += 2) pack->Append(words[i]);
  } else {
    pack->Append(fields);
    for (const std::string_view word : words) pack->Append(word);
  }
  pack->Append(same ? fields + 3 : 2 * fields + 4);
}

void StreamNode::CountDeleted(Listpack* pack, uint64_t n) {
  const auto count = static_cast<int64_t>(n);
  Position at = pack->First();
  at = pack->Next(pack->Replace(at, pack->Get(at).integer() - count));
  pack->Replace(at, pack->Get(at).integer() + count);
}

uint64_t StreamNode::DeleteWhile(Listpack* pack, StreamId master, FunctionRef<bool(StreamId)> fn) {
  uint64_t n = 0;
  // A flag stays as long as it was, so that positions stay right.
  const StreamNode node(master, pack->data());
  for (auto entry = node.First(); entry && fn(entry->id_); entry = node.Next(*entry)) {
    pack->Replace(entry->at_, pack->Get(entry->at_).integer() | kDeleted);
    ++n;
  }
  if (n > 0) CountDeleted(pack, n);
  return n;
}

void StreamNode::Delete(Listpack* pack, const StreamEntry& entry) {
  pack->Replace(entry.at_, pack->Get(entry.at_).integer() | kDeleted);
  CountDeleted(pack, 1);
}

std::optional<StreamNode::Summary> StreamNode::Validate(StreamId master, std::string_view bytes) {
  if (!ListpackView::Validate(bytes, true)) return std::nullopt;
  Reader reader(ListpackView(bytes.data()));
  uint64_t live, deleted, fields;
  if (!reader.Count(&live) || !reader.Count(&deleted) || !reader.Count(&fields) || !reader.Skip(fields)) {
    return std::nullopt;
  }
  int64_t end;
  if (!reader.Number(&end) || end != 0) return std::nullopt;
  Summary summary;
  uint64_t marked = 0;
  while (!reader.done()) {
    int64_t flags, ms, seq;
    if (!reader.Flags(&flags) || (flags & ~(kDeleted | kSameFields)) != 0 || !reader.Number(&ms) ||
        !reader.Number(&seq)) {
      return std::nullopt;
    }
    const bool same = (flags & kSameFields) != 0;
    uint64_t n = fields, elements;
    if (!same && !reader.Count(&n)) return std::nullopt;
    if (!reader.Skip(same ? n : 2 * n) || !reader.Count(&elements)) return std::nullopt;
    if (elements != (same ? n + 3 : 2 * n + 4)) return std::nullopt;
    if ((flags & kDeleted) != 0) {
      ++marked;
      continue;
    }
    const StreamId id = {master.ms + static_cast<uint64_t>(ms), master.seq + static_cast<uint64_t>(seq)};
    if (summary.live == 0 ? id < master : id <= summary.last) return std::nullopt;
    if (summary.live == 0) summary.first = id;
    summary.last = id;
    ++summary.live;
  }
  if (summary.live != live || marked != deleted) return std::nullopt;
  return summary;
}

}  // namespace understudy::types
