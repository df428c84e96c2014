// Dict: the hash table of the large forms: fields of a hash, members of a set or a sorted set.
//
// A directory indexed by the first hash bits leads to segments of 1 to 64 buckets (common/buckets.h). A segment grows
// in small steps, and splits in two when it has 64 full buckets: the most that one insertion moves is the 392 elements
// of a segment, so a table of any size grows without a pause and without a second table beside it. (A directory that
// doubles copies 8 bytes per 370 elements.) That, rather than rehashing step by step, because it keeps buckets 83 %
// full at all sizes and lookups look in one place; node/store/table.h is built the same way.
//
//   hash, most significant bit first
//   | segment's depth bits | window: 16 bits | ...                | tag: low 8 |
//     directory index        home bucket       (cursor: first 48)
//
//   Dict --> directory --> Segment --> buckets --> element: one block from malloc, with its key
//
// An element costs its block and 11 bytes on average: a slot, its share of the bucket's head, and free slots.
//
// A position in hash order is a cursor: it stays right over growth, splits and merges, so that a walk gives every
// element that is there all the while at least once.
//
// Elements may be due at some time (fields with a TTL): each segment knows a lower bound, a heap orders the segments
// by it. There is nothing of it in the elements, and tables without due elements pay 12 bytes per segment.
//
// Not thread-safe: guarded by the lock of the key's shard. May be handed to another thread to be destroyed.
#pragma once

#include <malloc.h>

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "common/buckets.h"
#include "common/function_ref.h"
#include "common/keyed_hash.h"

namespace understudy::types {

inline constexpr int64_t kNeverDue = INT64_MAX;

// What does not depend on the kind of element.
class DictBase {
 public:
  DictBase(const DictBase&) = delete;
  DictBase& operator=(const DictBase&) = delete;

  size_t size() const { return size_; }
  // Of the table and all elements.
  size_t AllocatedBytes() const { return bytes_; }
  // Elements that are due at some time: what CountDue was told, less those that were taken out because they were.
  size_t due_elements() const { return due_elements_; }
  // No element is due earlier.
  int64_t next_due() const { return heap_size_ == 0 ? kNeverDue : heap_[0]->due; }

 protected:
  struct Segment {
    Bucket* buckets = nullptr;
    uint64_t prefix = 0;       // the first `depth` bits of the hashes of its elements
    int64_t due = kNeverDue;   // none of its elements is due earlier
    int32_t heap_index = -1;   // in heap_, -1: none is due ever
    uint16_t count = 0;        // elements
    uint8_t bucket_count = 0;
    uint8_t depth = 0;         // directory bits that all its elements share
  };
  static_assert(sizeof(Segment) == 32);

  struct Spot {
    Segment* segment = nullptr;
    uint32_t bucket = 0;
    uint32_t slot = 0;
    void* element = nullptr;
    uint64_t hash = 0;
  };
  using KeyOf = std::string_view (*)(const void*);

  DictBase();
  ~DictBase();  // frees the elements

  void InsertAt(const Spot& spot, void* element, KeyOf key_of);
  void RemoveAt(const Spot& spot);
  void ReplaceAt(const Spot& spot, void* element, size_t old_bytes);
  void NoteDueAt(Segment& segment, int64_t due);
  uint64_t ScanBucket(uint64_t position, FunctionRef<void(void*)> fn) const;
  void* RandomElement(uint64_t random) const;
  bool Walk(FunctionRef<bool(void*)> fn) const;
  size_t TakeDueElements(int64_t now, size_t limit, FunctionRef<int64_t(const void*)> due_of,
                         FunctionRef<void(void*)> take);
  void ValidateElements(KeyOf key_of, FunctionRef<int64_t(const void*)> due_of) const;

  size_t DirectoryIndex(uint64_t hash) const { return hash >> 1 >> (63 - depth_); }
  static uint32_t Window(uint64_t hash, int depth) { return static_cast<uint32_t>((hash << depth) >> 48); }
  static size_t BlockBytes(const void* element) { return malloc_usable_size(const_cast<void*>(element)); }

  // The rest of this is dict.cc's own; what is inline below needs to see it.
  Segment** directory_;  // 2^depth_ entries; &only_ while that is one
  Segment* only_ = &first_;
  Segment first_;        // holds the lowest hashes
  size_t size_ = 0;
  size_t bytes_ = 0;
  size_t due_elements_ = 0;
  Segment** heap_ = nullptr;  // by due
  uint32_t heap_size_ = 0, heap_capacity_ = 0;
  uint32_t deepest_ = 1;      // segments that have all depth_ bits
  int depth_ = 0;

 private:
  static Bucket* NewBuckets(uint32_t count);
  void FreeBuckets(Bucket* buckets, uint32_t count);
  void SetBuckets(Segment& segment, uint32_t count);
  Segment* NewSegment(int depth, uint64_t prefix, uint32_t bucket_count);
  void FreeSegment(Segment* segment);
  void Publish(Segment& segment);
  void ResizeDirectory(int depth);
  void Rehash(Segment& segment, uint32_t bucket_count);
  void Split(Segment& segment, KeyOf key_of);
  void ShrinkIfSparse(Segment& segment);
  Segment* MergeWithBuddy(Segment& segment);
  void HeapUp(uint32_t i);
  void HeapDown(uint32_t i);
  void HeapErase(Segment& segment);
};

// Element: a block from malloc without a destructor; DictKey(const Element&), found by its argument, gives its key.
// The table owns its elements: they are freed with it.
template <typename Element>
class Dict : public DictBase {
 public:
  // Where a key is, or that it is not there. Good until the next change of the table.
  class Place {
   public:
    Element* get() const { return static_cast<Element*>(spot_.element); }
    Element* operator->() const { return get(); }
    explicit operator bool() const { return spot_.element != nullptr; }

   private:
    friend class Dict;
    Spot spot_;
  };

  [[gnu::always_inline]] Place Locate(std::string_view key) const {
    Place place;
    place.spot_.hash = HashKey(key);
    const uint64_t hash = place.spot_.hash;
    Segment* segment = directory_[DirectoryIndex(hash)];
    place.spot_.segment = segment;
    const uint32_t n = segment->bucket_count;
    const uint32_t window = Window(hash, segment->depth);
    const uint8_t tag = TagOf(hash);
    uint32_t b = HomeBucket(window, n);
    for (uint32_t tried = 0; tried < n; ++tried) {
      const Bucket& bucket = segment->buckets[b];
      for (uint64_t match = MatchTag(bucket.head, tag); match != 0; match &= match - 1) {
        const uint32_t slot = SlotOfMatch(match);
        const uint64_t word = bucket.slots[slot];
        if (word >> 48 != window) continue;
        auto* element = reinterpret_cast<Element*>(word & kPointerMask);
        if (DictKey(*element) != key) continue;
        place.spot_.bucket = b;
        place.spot_.slot = slot;
        place.spot_.element = element;
        return place;
      }
      if (Passed(bucket) == 0) break;
      if (++b == n) b = 0;
    }
    return place;
  }
  Element* Find(std::string_view key) const { return Locate(key).get(); }

  // place: of the element's key, which is not there. Takes it over.
  void Insert(const Place& place, Element* element) { InsertAt(place.spot_, element, &KeyOfElement); }
  // The caller has the element then.
  Element* Remove(const Place& place) {
    RemoveAt(place.spot_);
    return place.get();
  }
  // Puts another block with the same key there; the caller has, or had, the old one, of old_bytes (Bytes()).
  void Replace(const Place& place, Element* element, size_t old_bytes) {
    ReplaceAt(place.spot_, element, old_bytes);
  }
  static size_t Bytes(const Element* element) { return BlockBytes(element); }

  // The element at `place` is due at that time.
  void NoteDue(const Place& place, int64_t due) { NoteDueAt(*place.spot_.segment, due); }
  // An element is inserted, changed or removed that was, or is now, due at some time.
  void CountDue(bool before, bool after) { due_elements_ += static_cast<size_t>(after) - static_cast<size_t>(before); }
  // Takes out elements that are due before `now`, at most `limit`, and gives them to `take`, who frees them.
  // due_of: kNeverDue for those that are not. Looks at a bounded number of elements: next_due() tells whether there
  // may be more. Returns how many it took.
  size_t TakeDue(int64_t now, size_t limit, FunctionRef<int64_t(const Element&)> due_of,
                 FunctionRef<void(Element*)> take) {
    return TakeDueElements(
        now, limit, [&](const void* element) { return due_of(*static_cast<const Element*>(element)); },
        [&](void* element) { take(static_cast<Element*>(element)); });
  }

  // Gives fn some elements, and returns the cursor for the next call; 0 begins and ends. Any cursor is allowed.
  uint64_t Scan(uint64_t cursor, FunctionRef<void(Element*)> fn) const {
    return ScanBucket(cursor << 16, [&](void* element) { fn(static_cast<Element*>(element)); }) >> 16;
  }
  // Each element with the same probability, null if there is none.
  Element* Random(uint64_t random) const { return static_cast<Element*>(RandomElement(random)); }
  // In no order, until fn returns false; then false. fn changes nothing.
  bool ForEach(FunctionRef<bool(Element*)> fn) const {
    return Walk([&](void* element) { return fn(static_cast<Element*>(element)); });
  }
  // Checks all invariants. For tests.
  void Validate(FunctionRef<int64_t(const Element&)> due_of) const {
    ValidateElements(&KeyOfElement,
                     [&](const void* element) { return due_of(*static_cast<const Element*>(element)); });
  }
  void Validate() const {
    Validate([](const Element&) { return kNeverDue; });
  }

 private:
  static std::string_view KeyOfElement(const void* element) { return DictKey(*static_cast<const Element*>(element)); }
};

}  // namespace understudy::types
