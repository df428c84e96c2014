#include "node/types/stream_log.h"

#include <malloc.h>

#include <algorithm>
#include <cstdlib>

#include "common/check.h"

namespace understudy::types {
namespace {

// Of one entry: with what lies around them, and the text that is allowed, they stay below the format's 4 GiB.
constexpr size_t kMaxWords = size_t{1} << 26;

}  // namespace

uint64_t StreamTrim::DefaultLimit(const Limits& limits) {
  // Redis's bounds: enough for a few whole nodes, never without an end.
  constexpr uint64_t kFallback = 10'000, kMost = 1'000'000;
  const uint64_t entries = limits.stream_node_max_entries;
  return entries == 0 ? kFallback : entries > kMost / 100 ? kMost : 100 * entries;
}

StreamLog::~StreamLog() {
  for (auto at = nodes_.First(); at; at.Next()) {
    *account_ -= malloc_usable_size(at.value());
    std::free(at.value());
  }
}

template <typename Change>
void StreamLog::Edit(void** block, Change change) {
  *account_ -= malloc_usable_size(*block);
  Listpack pack = Listpack::Adopt(*block);
  change(&pack);
  *block = pack.Release();
  *account_ += malloc_usable_size(*block);
}

void StreamLog::AddNode(StreamId master, Listpack pack) {
  *account_ += pack.AllocatedBytes();
  CHECK(nodes_.Insert(master, pack.Release()).added);
}

void StreamLog::RemoveNode(StreamId master, void* block) {
  CHECK(nodes_.Erase(master));
  *account_ -= malloc_usable_size(block);
  std::free(block);
}

std::optional<StreamEntry> StreamLog::First() const {
  const auto at = nodes_.First();
  return at ? StreamNode(at.id(), at.value()).First() : std::nullopt;
}

std::optional<StreamEntry> StreamLog::Last() const {
  const auto at = nodes_.Last();
  return at ? StreamNode(at.id(), at.value()).Last() : std::nullopt;
}

StreamId StreamLog::top_id() const {
  const auto entry = Last();
  return entry ? entry->id() : kMinStreamId;
}

void StreamLog::FindFirst() {
  const auto entry = First();
  first_id_ = entry ? entry->id() : kMinStreamId;
}

Result<StreamId> StreamLog::NextId(const NewStreamId& wanted, int64_t now_ms) const {
  const StreamId last = counters_.last_id;
  StreamId id = last;
  if (last == kMaxStreamId) {
    return Invalid("ERR The stream has exhausted the last possible ID, unable to add more items");
  }
  if (wanted.auto_ms) {
    // A clock that was set back does not bring IDs out of order.
    const auto now = static_cast<uint64_t>(std::max<int64_t>(now_ms, 0));
    if (now > last.ms) return StreamId{now, 0};
    Increment(&id);
    return id;
  }
  id = wanted.id;
  if (wanted.auto_seq && id.ms == last.ms) id.seq = last.seq + 1;
  if (id <= last) return Invalid("ERR The ID specified in XADD is equal or smaller than the target stream top item");
  return id;
}

Status StreamLog::Append(StreamId id, StreamNode::Words words, const Limits& limits) {
  CHECK(id > counters_.last_id && words.size() % 2 == 0);
  size_t bytes = 0;
  for (const std::string_view word : words) bytes += word.size();
  if (bytes >= ListpackView::kMaxBytes || words.size() > kMaxWords) {
    return Invalid("ERR Elements are too large to be stored");
  }
  auto at = nodes_.Last();
  if (at && StreamNode::IsFull(at.value(), bytes, limits.stream_node_max_bytes, limits.stream_node_max_entries)) {
    // It will not grow any more.
    Edit(&at.value(), [](Listpack* pack) { pack->ShrinkToFit(); });
    at.Next();
  }
  if (at) {
    const StreamId master = at.id();
    Edit(&at.value(), [&](Listpack* pack) { StreamNode::Append(pack, master, id, words); });
  } else {
    Listpack pack = StreamNode::New(words);
    StreamNode::Append(&pack, id, id, words);
    AddNode(id, std::move(pack));
  }
  ++size_;
  ++counters_.entries_added;
  counters_.last_id = id;
  if (size_ == 1) first_id_ = id;
  return {};
}

std::optional<StreamEntry> StreamLog::Find(StreamId id) const {
  const auto at = nodes_.AtMost(id);
  if (!at) return std::nullopt;
  const auto entry = StreamNode(at.id(), at.value()).AtLeast(id);
  return entry && entry->id() == id ? entry : std::nullopt;
}

bool StreamLog::Erase(StreamId id) {
  const auto entry = Find(id);
  if (!entry) return false;
  const auto at = nodes_.AtMost(id);
  if (StreamNode::LiveIn(at.value()) == 1) {
    RemoveNode(at.id(), at.value());
  } else {
    Edit(&at.value(), [&](Listpack* pack) { StreamNode::Delete(pack, *entry); });
  }
  --size_;
  if (id == first_id_) FindFirst();
  counters_.max_deleted_id = std::max(counters_.max_deleted_id, id);
  return true;
}

uint64_t StreamLog::Trim(const StreamTrim& trim) {
  const bool by_length = trim.kind == StreamTrim::Kind::kMaxLength;
  uint64_t removed = 0;
  for (auto at = nodes_.First(); at; at = nodes_.First()) {
    if (by_length && size_ <= trim.max_length) break;
    const StreamId master = at.id();
    const uint64_t live = StreamNode::LiveIn(at.value());
    if (trim.limit > 0 && removed + live > trim.limit) break;
    const bool whole = by_length ? size_ - live >= trim.max_length
                                 : StreamNode(master, at.value()).LastWritten() < trim.min_id;
    if (whole) {
      RemoveNode(master, at.value());
      size_ -= live;
      removed += live;
      continue;
    }
    if (trim.approximate) break;
    uint64_t excess = by_length ? size_ - trim.max_length : 0;
    uint64_t here = 0;
    Edit(&at.value(), [&](Listpack* pack) {
      here = StreamNode::DeleteWhile(
          pack, master, [&](StreamId id) { return by_length ? excess-- > 0 : id < trim.min_id; });
    });
    size_ -= here;
    removed += here;
    // What is left may be deleted entries only; Redis keeps such a node.
    if (here == live) RemoveNode(master, at.value());
    break;
  }
  if (removed > 0) FindFirst();
  return removed;
}

Status StreamLog::SetId(StreamId last_id, std::optional<uint64_t> entries_added, StreamId max_deleted_id) {
  CHECK(max_deleted_id <= last_id);
  if (last_id < counters_.max_deleted_id) {
    return Invalid("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id");
  }
  if (size_ > 0 && last_id < top_id()) {
    return Invalid("ERR The ID specified in XSETID is smaller than the target stream top item");
  }
  if (size_ > 0 && entries_added && *entries_added < size_) {
    return Invalid("ERR The entries_added specified in XSETID is smaller than the target stream length");
  }
  counters_.last_id = last_id;
  if (entries_added) counters_.entries_added = *entries_added;
  if (!max_deleted_id.zero()) counters_.max_deleted_id = max_deleted_id;
  return {};
}

void StreamLog::Walk(StreamId first, StreamId last, bool reverse, FunctionRef<bool(const StreamEntry&)> fn) const {
  if (first > last) return;
  auto at = nodes_.AtMost(reverse ? last : first);
  if (!at && !reverse) at = nodes_.First();
  for (bool seek = true; at; seek = false) {
    const StreamNode node(at.id(), at.value());
    auto entry = reverse ? (seek ? node.AtMost(last) : node.Last()) : seek ? node.AtLeast(first) : node.First();
    for (; entry; entry = reverse ? node.Previous(*entry) : node.Next(*entry)) {
      if (reverse ? entry->id() < first : entry->id() > last) return;
      if (!fn(*entry)) return;
    }
    reverse ? at.Prev() : at.Next();
  }
}

bool StreamLog::HasGapsFrom(StreamId id) const {
  return size_ > 0 && !counters_.max_deleted_id.zero() && id <= counters_.max_deleted_id;
}

std::optional<uint64_t> StreamLog::CountUpTo(StreamId id) const {
  const uint64_t added = counters_.entries_added;
  if (added == 0) return 0;
  if (size_ == 0 && id <= counters_.last_id) return added;
  const StreamId deleted = counters_.max_deleted_id;
  if (!id.zero() && id < deleted) return std::nullopt;
  if (id == counters_.last_id) return added;
  if (id > counters_.last_id || (!deleted.zero() && deleted >= first_id_)) return std::nullopt;
  if (id < first_id_) return added - size_;
  if (id == first_id_) return added - size_ + 1;
  return std::nullopt;
}

void StreamLog::ForEachNode(FunctionRef<void(StreamId, std::string_view)> fn) const {
  for (auto at = nodes_.First(); at; at.Next()) fn(at.id(), ListpackView(at.value()).AsBytes());
}

bool StreamLog::AppendNode(StreamId master, std::string_view bytes) {
  const auto summary = StreamNode::Validate(master, bytes);
  if (!summary) return false;
  if (summary->live == 0) return true;
  if (size_ > 0 && master <= top_id()) return false;
  AddNode(master, Listpack::Copy(bytes));
  if (size_ == 0) first_id_ = summary->first;
  size_ += summary->live;
  return true;
}

void StreamLog::CloneTo(StreamLog* copy) const {
  ForEachNode([&](StreamId master, std::string_view bytes) { copy->AddNode(master, Listpack::Copy(bytes)); });
  copy->size_ = size_;
  copy->first_id_ = first_id_;
  copy->counters_ = counters_;
}

size_t StreamLog::Validate() const {
  size_t bytes = nodes_.Validate();
  uint64_t size = 0;
  StreamId last;
  for (auto at = nodes_.First(); at; at.Next()) {
    const auto summary = StreamNode::Validate(at.id(), ListpackView(at.value()).AsBytes());
    CHECK(summary && summary->live > 0 && (size == 0 || at.id() > last));
    if (size == 0) CHECK(summary->first == first_id_);
    size += summary->live;
    last = summary->last;
    bytes += malloc_usable_size(at.value());
  }
  CHECK(size == size_ && (size > 0 || first_id_.zero()));
  CHECK(last <= counters_.last_id && (size == 0 || counters_.entries_added >= size));
  return bytes;
}

}  // namespace understudy::types
