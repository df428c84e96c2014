// Table: the keys of one database in one shard.
//
// A directory indexed by hash bits leads to segments, each with 8 to 64 buckets of 64 bytes; a bucket has 7
// slots. A segment grows in small steps up to 64 buckets, then splits in two, so there is never a second table,
// nor a pause, and buckets are 83 % full on average. Everything is in the order of the hash:
//
//   hash, most significant bit first
//   | shard bits | segment's depth bits | window: 16 bits        | ...     | tag: low 8 |
//                  directory index        bucket = window * buckets >> 16
//                                         interval = window >> 10 (for snapshots)
//
//   bucket: | tag 0..6, 0 = free | passed | slot 0 | ... | slot 6 |     slot: window << 48 | Entry*
//
// A key that finds its bucket full goes to the next one with room (round the segment); `passed` of every bucket
// it passes counts it, so that a search knows how far to go, exactly, also after erasures. Because the slot has
// the window, a segment grows without touching its entries; only a split reads the keys, to get the next bit.
// Because a bucket is an interval of hashes whatever the size, a position in hash order is a cursor that stays
// right over growth, splits and merges: SCAN and snapshots use that.
//
// Expiry: each segment knows a lower bound of the expiry times of its keys, and of the fields of its hashes; a heap
// orders the segments by it.
//
// Not thread-safe: guarded by the shard's lock. A table that was flushed or swapped away (detached) is never
// changed again; a snapshot may still hold it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "node/store/collection.h"
#include "node/store/entry.h"
#include "node/store/entry_heap.h"
#include "node/store/function_ref.h"
#include "node/store/pre_image.h"
#include "node/store/shard.h"
#include "node/store/table_bits.h"

namespace understudy::store {

struct Segment {
  Bucket* buckets = nullptr;
  uint8_t bucket_count = 0;
  uint8_t depth = 0;               // directory bits all its keys share
  uint16_t count = 0;              // keys
  int32_t heap_index = -1;         // in Table::due_, -1: no key or field with a TTL
  int64_t min_expire = INT64_MAX;  // no key or field expires earlier
  uint64_t prefix = 0;             // those depth bits
  // By snapshot: intervals it has, valid if the version is that snapshot's.
  uint64_t saved[kMaxSnapshots] = {};
  uint32_t saved_version[kMaxSnapshots] = {};
};

// The search for a key whose memory is fetched ahead, one step at a time, while others are, too. A hint: good
// until the next change of the table. Inlined by force: GCC takes a function that only prefetches for one without
// effect, and drops calls of it.
class Probe {
 public:
  Probe() = default;
  [[gnu::always_inline]] Probe(const Bucket* buckets, uint32_t at, uint32_t count, uint32_t window, uint8_t tag)
      : buckets_(buckets), at_(at), count_(static_cast<uint8_t>(count)), tag_(tag), window_(static_cast<uint16_t>(window)) {
    __builtin_prefetch(&buckets_[at_]);
  }
  // The bucket has come: fetches the entry, which entry() is then, or else the bucket that the search would look at
  // next. True in the second case: call it again. A tenth of the keys are not in the first bucket.
  [[gnu::always_inline]] bool Step() {
    const Bucket& bucket = buckets_[at_];
    for (uint64_t match = MatchTag(bucket.head, tag_); match != 0; match &= match - 1) {
      const uint64_t slot = bucket.slots[SlotOfMatch(match)];
      if (slot >> 48 != window_) continue;
      const auto* bytes = reinterpret_cast<const char*>(slot & kPointerMask);
      __builtin_prefetch(bytes);
      __builtin_prefetch(bytes + 64);
      __builtin_prefetch(bytes + 88);  // a value of 64 bytes may reach into a third line
      entry_ = reinterpret_cast<const Entry*>(bytes);
      return false;
    }
    if (bucket.head >> 56 == 0) return false;
    at_ = at_ + 1 == count_ ? 0 : at_ + 1;
    __builtin_prefetch(&buckets_[at_]);
    return true;
  }
  // The likely one: its key may be another. Null: not found yet, or not there.
  const Entry* entry() const { return entry_; }

 private:
  const Bucket* buckets_ = nullptr;
  const Entry* entry_ = nullptr;
  uint32_t at_ = 0;
  uint8_t count_ = 0;
  uint8_t tag_ = 0;
  uint16_t window_ = 0;
};

class Table {
 public:
  // freer: takes large values to be freed on another thread.
  Table(int shard_bits, LazyFreer& freer);
  ~Table();  // frees all itself
  void set_freer(LazyFreer& freer) { freer_ = &freer; }  // when it moves to another keyspace
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  // Where a key is. Good until the next mutation of the table.
  struct Place {
    Segment* segment = nullptr;
    uint32_t bucket = 0;
    uint32_t slot = 0;
    Entry* entry = nullptr;
    explicit operator bool() const { return entry != nullptr; }
  };
  Entry* Find(std::string_view key, uint64_t hash) const { return Locate(key, hash).entry; }
  [[gnu::always_inline]] Place Locate(std::string_view key, uint64_t hash) const;
  // Prefetches the bucket in which the search for a key begins.
  [[gnu::always_inline]] Probe Prefetch(uint64_t hash) const;
  static void NoteAccess(Entry& entry, int64_t now_ms) {
    const uint32_t access = LruBits(now_ms);
    if (!entry.HasAccessBits(access)) entry.set_access_bits(access);
  }
  static void SetAccess(Entry& entry, uint32_t bits) { entry.set_access_bits(bits); }

  // The common case of Set: a value in the entry becomes another one of the same size class, neither has a TTL.
  // False if it is not that.
  bool Overwrite(const Place& place, uint64_t hash, std::string_view value, StringHint hint, uint32_t access);
  // Mutations. All save pre-images first. `place` may be empty for a key that is not there.
  Entry* Set(const Place& place, std::string_view key, uint64_t hash, std::string_view value, int64_t expire_ms,
             StringHint hint, uint32_t access);
  // Takes over a reference to blob.
  Entry* SetBlob(const Place& place, std::string_view key, uint64_t hash, Blob* blob, int64_t expire_ms,
                 StringHint hint, uint32_t access);
  // place: of no key, or of a string.
  Entry* Resize(const Place& place, std::string_view key, uint64_t hash, size_t value_bytes, StringHint hint,
                uint32_t access);
  // Makes or replaces the whole value.
  Entry* SetCollection(const Place& place, std::string_view key, uint64_t hash, Collection value, int64_t expire_ms,
                       uint32_t access);
  // A collection is changed in place between these two. OpenValue saves pre-images and gives it away,
  // CloseValue takes it back, as the same or another one; the entry stays where it is. The figures count it, with its
  // old bytes, all the while, but for expiring_hashes().
  Collection OpenValue(Entry& entry, uint64_t hash);
  void CloseValue(Entry& entry, uint64_t hash, Collection value, size_t old_bytes);
  void SetExpire(const Place& place, uint64_t hash, int64_t expire_ms);  // kNoExpire removes it
  void Erase(const Place& place, uint64_t hash, Freeing freeing);
  // The same, and the collection goes to the caller.
  Collection Take(const Place& place, uint64_t hash);
  static std::span<char> ValueOf(Entry& entry);

  // Whether there may be hashes with fields that have a TTL: false is certain. Once there was one, true lasts until no
  // key or field of the table has a TTL.
  bool may_have_field_expiry() const { return noted_field_expiry_ && !due_.empty(); }

  // Walking. local: position within the shard, hash << shard_bits; `next` is 0 at the end.
  uint64_t ScanBucket(uint64_t local, FunctionRef<void(const Entry&)> fn) const;
  const Entry* RandomEntry(uint64_t random) const;
  // Calls fn for up to `wanted` (at most kMostSamples) keys from a random place on; with_expire: only those that
  // have a TTL. May find fewer where keys lie sparse, but at least one if there is any.
  static constexpr size_t kMostSamples = 64;
  void Sample(uint64_t random, size_t wanted, bool with_expire, FunctionRef<void(const Entry&)> fn) const;
  // Erases due keys of the segment that is first in the expiry order, and due fields of its hashes (of each hash at
  // most kFieldsAStep), if it may have any at now_ms. Calls before_erase for each key whose own time has come, and
  // after_field for each field, then after_hash (gone: with its last field): with an entry of which only the key may
  // be read. Returns the number of entries and fields looked at, 0 if nothing is due.
  static constexpr size_t kFieldsAStep = 64;
  size_t ExpireSegment(int64_t now_ms, Freeing freeing, FunctionRef<void(const Entry&)> before_erase,
                       FunctionRef<void(const Entry&, std::string_view)> after_field,
                       FunctionRef<void(const Entry&, bool gone)> after_hash);
  int64_t next_expire_ms() const { return due_.empty() ? INT64_MAX : due_[0]->min_expire; }

  size_t size() const { return size_; }
  size_t expires() const { return expires_; }
  size_t expiring_hashes() const { return expiring_hashes_; }  // with fields that have a time
  size_t used_bytes() const { return heap_.live_bytes() + outside_bytes_ + index_bytes(); }
  // Of them directory, segments, buckets, order of expiry.
  size_t index_bytes() const { return index_bytes_ + due_.capacity() * sizeof(Segment*); }
  size_t free_bytes() const { return heap_.free_bytes(); }
  // The table was given to the lazy freer: what it frees is taken off `waiting`.
  void set_waiting(std::shared_ptr<std::atomic<size_t>> waiting) { waiting_ = std::move(waiting); }

  // Snapshots. slot < kMaxSnapshots; version: different for every snapshot of the process.
  void AttachSink(int slot, PreImageSink* sink, int db, uint32_t version);
  void DetachSink(int slot);
  // Gives fn entries that the sink of `slot` does not have yet, from position on, and notes that it has them; at
  // least one interval, until fn's results, 1 for an ordinary entry, add up to `most`. Moves position. False when the
  // end was reached.
  bool WalkUnsaved(int slot, uint64_t* position, size_t most, FunctionRef<size_t(const Entry&)> fn);

  void Validate(uint32_t shard_index) const;

 private:
  struct DirectoryEntry {
    uint64_t word;     // bucket address | bucket_count << 48 | depth << 56, so that a lookup needs no Segment
    Segment* segment;
  };

  size_t DirectoryIndex(uint64_t local) const { return local >> 1 >> (63 - depth_); }
  static uint32_t Window(uint64_t local, int depth) { return static_cast<uint32_t>((local << depth) >> 48); }
  uint64_t Local(uint64_t hash) const { return hash << shard_bits_; }
  Segment& SegmentAt(uint64_t local) const { return *directory_[DirectoryIndex(local)].segment; }
  void Publish(Segment& segment);  // writes the segment's directory entries

  Segment* NewSegment(int bucket_count, int depth, uint64_t prefix);
  void DeleteSegment(Segment* segment);
  Bucket* NewBuckets(int bucket_count);
  void DeleteBuckets(Bucket* buckets, int bucket_count);
  void RemoveSlot(Segment& segment, uint32_t bucket, uint32_t slot);
  void Rehash(Segment& segment, int bucket_count);
  void Split(Segment& segment);
  void ShrinkIfSparse(Segment* segment);
  bool MergeWithBuddy(Segment& segment);

  // kind: all of Entry::meta_ but kHasExpire.
  Entry* NewEntry(std::string_view key, int64_t expire_ms, size_t tail_bytes, uint8_t kind, uint32_t access);
  void Put(const Place& place, uint64_t hash, Entry* entry);  // also in the place of another one, which is freed
  void FreeEntry(Entry* entry, Freeing freeing);
  void DropOutside(Entry& entry, Freeing freeing);
  Collection Detach(Entry& entry);
  static constexpr int64_t kNoFields = INT64_MIN;
  int64_t ExpireFields(Entry& entry, int64_t now_ms, FunctionRef<void(const Entry&, std::string_view)> after_field);
  void Attach(Entry& entry, Collection value);
  Entry* Install(const Place& place, uint64_t hash, Entry* entry);
  void NoteExpire(Segment& segment, int64_t at_ms);
  void NoteFieldExpiry(uint64_t hash, int64_t at_ms) {
    noted_field_expiry_ = true;
    NoteExpire(SegmentAt(Local(hash)), at_ms);
  }

  // Comes before every change of a key, also before it is inserted: hands the old state to snapshots.
  void BeforeChange(Segment& segment, uint64_t hash) {
    if (sinks_active_ != 0) [[unlikely]] SavePreImage(segment, Window(Local(hash), segment.depth));
  }
  void BeforeChangeAt(Segment& segment, uint32_t window) {
    if (sinks_active_ != 0) [[unlikely]] SavePreImage(segment, window);
  }
  void SavePreImage(Segment& segment, uint32_t window);
  void VisitInterval(const Segment& segment, uint32_t interval, FunctionRef<void(const Entry&)> fn) const;
  uint64_t& SavedBits(Segment& segment, int slot) const;

  void HeapUp(size_t i);
  void HeapDown(size_t i);
  void HeapErase(Segment& segment);

  const int shard_bits_;
  bool noted_field_expiry_ = false;
  LazyFreer* freer_;
  int depth_ = 0;  // directory_ has 2^depth_ entries
  std::vector<DirectoryEntry> directory_;
  std::vector<Segment*> due_;  // heap by min_expire
  EntryHeap heap_;
  size_t size_ = 0;
  size_t expires_ = 0;
  size_t expiring_hashes_ = 0;
  size_t outside_count_ = 0;  // Blobs and collections
  size_t outside_bytes_ = 0;
  size_t index_bytes_ = 0;

  std::shared_ptr<std::atomic<size_t>> waiting_;  // null until it is being freed
  int sinks_active_ = 0;
  PreImageSink* sinks_[kMaxSnapshots] = {};
  int sink_db_[kMaxSnapshots] = {};
  uint32_t sink_version_[kMaxSnapshots] = {};
};

// Inline: every command pays for these.

inline Table::Place Table::Locate(std::string_view key, uint64_t hash) const {
  const uint64_t local = Local(hash);
  const DirectoryEntry& directory = directory_[DirectoryIndex(local)];
  const auto* buckets = reinterpret_cast<const Bucket*>(directory.word & kPointerMask);
  const auto n = static_cast<uint32_t>(directory.word >> 48 & 0xff);
  const uint32_t window = Window(local, static_cast<int>(directory.word >> 56));
  const uint8_t tag = TagOf(hash);
  uint32_t b = HomeBucket(window, n);
  for (uint32_t tried = 0; tried < n; ++tried) {
    const Bucket& bucket = buckets[b];
    for (uint64_t match = MatchTag(bucket.head, tag); match != 0; match &= match - 1) {
      const uint32_t slot = SlotOfMatch(match);
      const uint64_t word = bucket.slots[slot];
      if (word >> 48 != window) continue;
      Entry* entry = EntryOf(word);
      if (entry->HasKey(key)) return {directory.segment, b, slot, entry};
    }
    if (bucket.head >> 56 == 0) break;
    if (++b == n) b = 0;
  }
  return {directory.segment, 0, 0, nullptr};
}

inline Probe Table::Prefetch(uint64_t hash) const {
  const uint64_t local = Local(hash);
  const uint64_t word = directory_[DirectoryIndex(local)].word;
  const auto n = static_cast<uint32_t>(word >> 48 & 0xff);
  const uint32_t window = Window(local, static_cast<int>(word >> 56));
  return {reinterpret_cast<const Bucket*>(word & kPointerMask), HomeBucket(window, n), n, window, TagOf(hash)};
}

inline bool Shard::Prefetch(int db, uint64_t hash, Probe* probe) const {
  const Table* t = table(db);
  if (t == nullptr) return false;
  *probe = t->Prefetch(hash);
  return true;
}

inline void Shard::NoteAccess(Entry& entry, int64_t now_ms) {
  if (lfu_.load(std::memory_order_relaxed)) [[unlikely]] {
    Table::SetAccess(entry, TouchedLfu(entry.access_bits(), now_ms));
  } else {
    Table::NoteAccess(entry, now_ms);
  }
}

inline Entry* Shard::Find(int db, std::string_view key, uint64_t hash, int64_t now_ms, View view) {
  const Table* t = table(db);
  if (t == nullptr) return nullptr;
  Entry* entry = t->Find(key, hash);
  if (entry == nullptr || (view == View::kNormal && entry->ExpiredAt(now_ms))) return nullptr;
  NoteAccess(*entry, now_ms);
  return entry;
}

inline Entry* Shard::FindForWrite(int db, std::string_view key, uint64_t hash, int64_t now_ms, View view) {
  const Table* t = table(db);
  if (t == nullptr) return nullptr;
  Entry* entry = t->Find(key, hash);
  if (entry == nullptr) return nullptr;
  if (view == View::kNormal && entry->ExpiredAt(now_ms)) {
    EraseIfExpired(db, key, hash, now_ms);
    return nullptr;
  }
  NoteAccess(*entry, now_ms);
  return entry;
}

}  // namespace understudy::store
