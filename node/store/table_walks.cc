// The table's order of expiry, and what snapshots do with it.
#include <algorithm>

#include "common/check.h"
#include "node/store/table.h"
#include "node/store/table_bits.h"
#include "node/types/hash.h"

namespace understudy::store {

// ---- Expiry --------------------------------------------------------------------------------------------------

void Table::HeapUp(size_t i) {
  Segment* segment = due_[i];
  for (; i > 0; i = (i - 1) / 2) {
    Segment* parent = due_[(i - 1) / 2];
    if (parent->min_expire <= segment->min_expire) break;
    due_[i] = parent;
    parent->heap_index = static_cast<int32_t>(i);
  }
  due_[i] = segment;
  segment->heap_index = static_cast<int32_t>(i);
}

void Table::HeapDown(size_t i) {
  Segment* segment = due_[i];
  for (;;) {
    size_t child = 2 * i + 1;
    if (child >= due_.size()) break;
    if (child + 1 < due_.size() && due_[child + 1]->min_expire < due_[child]->min_expire) ++child;
    if (due_[child]->min_expire >= segment->min_expire) break;
    due_[i] = due_[child];
    due_[i]->heap_index = static_cast<int32_t>(i);
    i = child;
  }
  due_[i] = segment;
  segment->heap_index = static_cast<int32_t>(i);
}

void Table::HeapErase(Segment& segment) {
  if (segment.heap_index < 0) return;
  const auto i = static_cast<size_t>(segment.heap_index);
  segment.heap_index = -1;
  segment.min_expire = INT64_MAX;
  Segment* last = due_.back();
  due_.pop_back();
  if (last == &segment) return;
  due_[i] = last;
  last->heap_index = static_cast<int32_t>(i);
  HeapUp(i);
  HeapDown(static_cast<size_t>(last->heap_index));
}

void Table::NoteExpire(Segment& segment, int64_t at_ms) {
  if (segment.heap_index >= 0 && at_ms >= segment.min_expire) return;
  segment.min_expire = at_ms;
  if (segment.heap_index < 0) {
    segment.heap_index = static_cast<int32_t>(due_.size());
    due_.push_back(&segment);
  }
  HeapUp(static_cast<size_t>(segment.heap_index));
}

size_t Table::ExpireSegment(int64_t now_ms, Freeing freeing, FunctionRef<void(const Entry&)> before_erase,
                            FunctionRef<void(const Entry&, std::string_view)> after_field,
                            FunctionRef<void(const Entry&, bool gone)> after_hash) {
  if (next_expire_ms() >= now_ms) return 0;
  Segment& segment = *due_[0];
  size_t looked_at = segment.count + size_t{1};
  for (uint32_t b = 0; b < segment.bucket_count; ++b) {
    for (const uint64_t word : segment.buckets[b].slots) {
      if (word != 0) __builtin_prefetch(EntryOf(word));
    }
  }
  int64_t earliest = INT64_MAX;
  for (uint32_t b = 0; b < segment.bucket_count; ++b) {
    for (uint32_t s = 0; s < 7; ++s) {
      const uint64_t word = segment.buckets[b].slots[s];
      if (word == 0) continue;
      Entry* entry = EntryOf(word);
      if (entry->is_plain()) continue;
      if (entry->ExpiredAt(now_ms)) {
        before_erase(*entry);
        BeforeChangeAt(segment, static_cast<uint32_t>(word >> 48));
      } else {
        if (entry->has_expire()) earliest = std::min(earliest, entry->expire_ms());
        if (entry->type() != Type::kHash) continue;
        int64_t due = NextFieldExpiry(entry->type(), entry->encoding(), entry->rep());
        if (due < now_ms) {
          BeforeChangeAt(segment, static_cast<uint32_t>(word >> 48));
          looked_at += kFieldsAStep;
          due = ExpireFields(*entry, now_ms, after_field);
          after_hash(*entry, due == kNoFields);
        }
        if (due != kNoFields) {
          earliest = std::min(earliest, due);
          continue;
        }
      }
      RemoveSlot(segment, b, s);
      if (entry->has_expire()) --expires_;
      FreeEntry(entry, freeing);
    }
  }
  if (earliest == INT64_MAX) {
    HeapErase(segment);
  } else {
    segment.min_expire = earliest;
    HeapDown(static_cast<size_t>(segment.heap_index));
  }
  ShrinkIfSparse(&segment);
  return looked_at;
}

// Returns when the next field is due, kNoFields if none is left.
int64_t Table::ExpireFields(Entry& entry, int64_t now_ms,
                            FunctionRef<void(const Entry&, std::string_view)> after_field) {
  Collection value = Detach(entry);
  const types::Encoding encoding = value.encoding();
  types::Hash hash = types::Hash::Adopt(encoding, value.Release());
  hash.ExpireFields(now_ms, kFieldsAStep, [&](std::string_view field) { after_field(entry, field); });
  const int64_t due = hash.Size() == 0 ? kNoFields : hash.next_expire_ms();
  Attach(entry, Collection(std::move(hash)));
  return due;
}

// ---- Snapshots -----------------------------------------------------------------------------------------------

void Table::AttachSink(int slot, PreImageSink* sink, int db, uint32_t version) {
  CHECK(sinks_[slot] == nullptr);
  sinks_[slot] = sink;
  sink_db_[slot] = db;
  sink_version_[slot] = version;
  ++sinks_active_;
}

void Table::DetachSink(int slot) {
  CHECK(sinks_[slot] != nullptr);
  sinks_[slot] = nullptr;
  --sinks_active_;
}

uint64_t& Table::SavedBits(Segment& segment, int slot) const {
  if (segment.saved_version[slot] != sink_version_[slot]) {
    segment.saved_version[slot] = sink_version_[slot];
    segment.saved[slot] = 0;
  }
  return segment.saved[slot];
}

void Table::SavePreImage(Segment& segment, uint32_t window) {
  const uint32_t interval = window >> 10;
  for (int i = 0; i < kMaxSnapshots; ++i) {
    if (sinks_[i] == nullptr) continue;
    uint64_t& saved = SavedBits(segment, i);
    if ((saved >> interval & 1) != 0) continue;
    VisitInterval(segment, interval, [this, i](const Entry& entry) { sinks_[i]->AddPreImage(sink_db_[i], entry); });
    saved |= uint64_t{1} << interval;
  }
}

void Table::VisitInterval(const Segment& segment, uint32_t interval, FunctionRef<void(const Entry&)> fn) const {
  const uint32_t n = segment.bucket_count;
  const uint32_t first = (interval << 10) * n >> 16;
  const uint32_t last = ((interval << 10) | 1023) * n >> 16;
  uint32_t b = first;
  for (uint32_t tried = 0; tried < n; ++tried) {
    const Bucket& bucket = segment.buckets[b];
    for (const uint64_t word : bucket.slots) {
      if (word != 0 && word >> 58 == interval) fn(*EntryOf(word));
    }
    if (first + tried >= last && bucket.head >> 56 == 0) break;
    if (++b == n) b = 0;
  }
}

bool Table::WalkUnsaved(int slot, uint64_t* position, size_t most, FunctionRef<size_t(const Entry&)> fn) {
  size_t seen = 0;
  for (;;) {
    Segment& segment = SegmentAt(*position);
    uint64_t& saved = SavedBits(segment, slot);
    for (uint32_t interval = Window(*position, segment.depth) >> 10; interval < 64; ++interval) {
      if ((saved >> interval & 1) != 0) continue;
      if (seen >= most) {
        const uint64_t start = segment.depth == 0 ? 0 : segment.prefix << (64 - segment.depth);
        *position = start + (uint64_t{interval} << (58 - segment.depth));
        return true;
      }
      VisitInterval(segment, interval, [&seen, &fn](const Entry& entry) { seen += fn(entry); });
      saved |= uint64_t{1} << interval;
    }
    *position = segment.depth == 0 ? 0 : (segment.prefix + 1) << (64 - segment.depth);
    if (*position == 0) return false;
    // An empty table has many empty segments: they count, too.
    ++seen;
  }
}

}  // namespace understudy::store
