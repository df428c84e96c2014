// Structure of the table: directory, segments, buckets. Walks and due elements: dict_walks.cc.
#include "node/types/dict.h"

#include <algorithm>
#include <memory>

#include "common/check.h"

namespace understudy::types {
namespace {

// Sizes of segments, in buckets: those that the allocator has without rounding.
constexpr uint8_t kSizes[] = {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64};
constexpr uint32_t kMaxBuckets = 64;
// A cursor has 48 bits, the window 16 of them.
constexpr int kMaxDepth = 32;

// Elements a segment takes before it grows: 7/8 of its slots.
constexpr uint32_t MaxCount(uint32_t bucket_count) { return bucket_count * 49 / 8; }

uint32_t BucketsFor(uint32_t count) {
  for (const uint8_t n : kSizes) {
    if (count < MaxCount(n)) return n;
  }
  return kMaxBuckets;
}

void* NotNull(void* memory) {
  CHECK(memory != nullptr);
  return memory;
}

}  // namespace

DictBase::DictBase() : directory_(&only_), bytes_(sizeof(DictBase)) { SetBuckets(first_, 1); }

DictBase::~DictBase() {
  Walk([](void* element) {
    std::free(element);
    return true;
  });
  for (size_t i = 0; i < size_t{1} << depth_;) {
    Segment* segment = directory_[i];
    i += size_t{1} << (depth_ - segment->depth);
    std::free(segment->buckets);
    if (segment != &first_) delete segment;
  }
  if (directory_ != &only_) std::free(directory_);
  std::free(heap_);
}

Bucket* DictBase::NewBuckets(uint32_t count) {
  auto* buckets = static_cast<Bucket*>(NotNull(std::aligned_alloc(sizeof(Bucket), count * sizeof(Bucket))));
  std::uninitialized_fill_n(buckets, count, Bucket{});
  return buckets;
}

void DictBase::FreeBuckets(Bucket* buckets, uint32_t count) {
  bytes_ -= count * sizeof(Bucket);
  std::free(buckets);
}

void DictBase::SetBuckets(Segment& segment, uint32_t count) {
  segment.buckets = NewBuckets(count);
  segment.bucket_count = static_cast<uint8_t>(count);
  bytes_ += count * sizeof(Bucket);
}

DictBase::Segment* DictBase::NewSegment(int depth, uint64_t prefix, uint32_t bucket_count) {
  auto* segment = new Segment;
  bytes_ += sizeof(Segment);
  segment->depth = static_cast<uint8_t>(depth);
  segment->prefix = prefix;
  SetBuckets(*segment, bucket_count);
  return segment;
}

void DictBase::FreeSegment(Segment* segment) {
  FreeBuckets(segment->buckets, segment->bucket_count);
  bytes_ -= sizeof(Segment);
  delete segment;
}

void DictBase::Publish(Segment& segment) {
  const int shift = depth_ - segment.depth;
  std::fill_n(directory_ + (segment.prefix << shift), size_t{1} << shift, &segment);
}

// By one bit, up or down.
void DictBase::ResizeDirectory(int depth) {
  const size_t old_size = size_t{1} << depth_, size = size_t{1} << depth;
  Segment** directory = depth == 0 ? &only_ : static_cast<Segment**>(NotNull(std::malloc(size * sizeof(Segment*))));
  for (size_t i = 0; i < size; ++i) directory[i] = depth > depth_ ? directory_[i / 2] : directory_[i * 2];
  if (depth_ > 0) {
    std::free(directory_);
    bytes_ -= old_size * sizeof(Segment*);
  }
  if (depth > 0) bytes_ += size * sizeof(Segment*);
  directory_ = directory;
  depth_ = depth;
  deepest_ = 0;
  for (size_t i = 0; i < size; ++i) deepest_ += directory_[i]->depth == depth_ ? 1 : 0;
}

void DictBase::InsertAt(const Spot& spot, void* element, KeyOf key_of) {
  Segment* segment = spot.segment;
  while (segment->count >= MaxCount(segment->bucket_count)) {
    if (segment->bucket_count < kMaxBuckets) {
      Rehash(*segment, BucketsFor(segment->count));
    } else if (segment->depth < kMaxDepth) {
      Split(*segment, key_of);
      segment = directory_[DirectoryIndex(spot.hash)];
    } else {
      break;  // PutSlot still has an eighth
    }
  }
  const uint64_t word = uint64_t{Window(spot.hash, segment->depth)} << 48 | reinterpret_cast<uint64_t>(element);
  PutSlot(segment->buckets, segment->bucket_count, word, TagOf(spot.hash));
  ++segment->count;
  ++size_;
  bytes_ += BlockBytes(element);
}

void DictBase::RemoveAt(const Spot& spot) {
  ClearSlot(spot.segment->buckets, spot.segment->bucket_count, spot.bucket, spot.slot);
  --spot.segment->count;
  --size_;
  bytes_ -= BlockBytes(spot.element);
  ShrinkIfSparse(*spot.segment);
}

void DictBase::ReplaceAt(const Spot& spot, void* element, size_t old_bytes) {
  uint64_t& word = spot.segment->buckets[spot.bucket].slots[spot.slot];
  word = (word & ~kPointerMask) | reinterpret_cast<uint64_t>(element);
  bytes_ = bytes_ - old_bytes + BlockBytes(element);
}

void DictBase::Rehash(Segment& segment, uint32_t bucket_count) {
  Bucket* old = segment.buckets;
  const uint32_t old_count = segment.bucket_count;
  SetBuckets(segment, bucket_count);
  CopySlots(old, old_count, segment.buckets, bucket_count);
  FreeBuckets(old, old_count);
}

void DictBase::Split(Segment& segment, KeyOf key_of) {
  if (segment.depth == depth_) ResizeDirectory(depth_ + 1);
  uint32_t counts[2] = {0, 0};
  Bucket* old = segment.buckets;
  const uint32_t old_count = segment.bucket_count;
  for (uint32_t b = 0; b < old_count; ++b) {
    for (const uint64_t word : old[b].slots) {
      if (word == 0) continue;
      ++counts[word >> 63];
      __builtin_prefetch(reinterpret_cast<const void*>(word & kPointerMask));
    }
  }
  const int depth = segment.depth + 1;
  Segment* upper = NewSegment(depth, segment.prefix * 2 + 1, BucketsFor(counts[1]));
  segment.depth = static_cast<uint8_t>(depth);
  segment.prefix *= 2;
  SetBuckets(segment, BucketsFor(counts[0]));
  segment.count = static_cast<uint16_t>(counts[0]);
  upper->count = static_cast<uint16_t>(counts[1]);
  for (uint32_t b = 0; b < old_count; ++b) {
    for (uint32_t s = 0; s < kSlots; ++s) {
      const uint64_t word = old[b].slots[s];
      if (word == 0) continue;
      const uint64_t pointer = word & kPointerMask;
      // The window's last bit comes from the element.
      const uint64_t window = Window(HashKey(key_of(reinterpret_cast<const void*>(pointer))), depth);
      Segment& half = word >> 63 == 0 ? segment : *upper;
      PutSlot(half.buckets, half.bucket_count, window << 48 | pointer, TagAt(old[b], s));
    }
  }
  FreeBuckets(old, old_count);
  if (segment.heap_index >= 0) NoteDueAt(*upper, segment.due);  // the bound holds for both
  if (depth == depth_) deepest_ += 2;
  Publish(*upper);
}

void DictBase::ShrinkIfSparse(Segment& segment) {
  if (segment.count >= MaxCount(segment.bucket_count) / 3) return;
  const uint32_t bucket_count = BucketsFor(segment.count * 3u / 2);
  if (bucket_count >= segment.bucket_count) return;
  Rehash(segment, bucket_count);
  if (bucket_count > kMaxBuckets / 4) return;
  for (Segment* joined = &segment; joined != nullptr;) joined = MergeWithBuddy(*joined);
}

// Joins the two halves of a split again, if both are nearly empty; null if they are not.
DictBase::Segment* DictBase::MergeWithBuddy(Segment& segment) {
  if (segment.depth == 0) return nullptr;
  const uint64_t lower_prefix = segment.prefix & ~uint64_t{1};
  const int shift = depth_ - segment.depth;
  Segment& lower = *directory_[lower_prefix << shift];
  Segment& upper = *directory_[(lower_prefix | 1) << shift];
  if (lower.depth != upper.depth || lower.count + upper.count > MaxCount(kMaxBuckets / 2)) return nullptr;
  const uint32_t bucket_count = BucketsFor((lower.count + upper.count) * 3u / 2);
  Bucket* old = lower.buckets;
  const uint32_t old_count = lower.bucket_count;
  SetBuckets(lower, bucket_count);
  const auto take_in = [&](const Bucket* from, uint32_t from_count, uint64_t side) {
    for (uint32_t b = 0; b < from_count; ++b) {
      for (uint32_t s = 0; s < kSlots; ++s) {
        const uint64_t word = from[b].slots[s];
        if (word == 0) continue;
        const uint64_t window = (side << 63 | word >> 1) & ~kPointerMask;
        PutSlot(lower.buckets, bucket_count, window | (word & kPointerMask), TagAt(from[b], s));
      }
    }
  };
  take_in(old, old_count, 0);
  take_in(upper.buckets, upper.bucket_count, 1);
  FreeBuckets(old, old_count);
  if (lower.depth == depth_) deepest_ -= 2;
  lower.count = static_cast<uint16_t>(lower.count + upper.count);
  --lower.depth;
  lower.prefix /= 2;
  if (upper.heap_index >= 0) NoteDueAt(lower, upper.due);
  HeapErase(upper);
  FreeSegment(&upper);
  Publish(lower);
  while (depth_ > 0 && deepest_ == 0) ResizeDirectory(depth_ - 1);
  return &lower;
}

// ---- Order of what is due --------------------------------------------------------------------------------------

void DictBase::HeapUp(uint32_t i) {
  Segment* segment = heap_[i];
  for (; i > 0; i = (i - 1) / 2) {
    Segment* parent = heap_[(i - 1) / 2];
    if (parent->due <= segment->due) break;
    heap_[i] = parent;
    parent->heap_index = static_cast<int32_t>(i);
  }
  heap_[i] = segment;
  segment->heap_index = static_cast<int32_t>(i);
}

void DictBase::HeapDown(uint32_t i) {
  Segment* segment = heap_[i];
  for (;;) {
    uint32_t child = 2 * i + 1;
    if (child >= heap_size_) break;
    if (child + 1 < heap_size_ && heap_[child + 1]->due < heap_[child]->due) ++child;
    if (heap_[child]->due >= segment->due) break;
    heap_[i] = heap_[child];
    heap_[i]->heap_index = static_cast<int32_t>(i);
    i = child;
  }
  heap_[i] = segment;
  segment->heap_index = static_cast<int32_t>(i);
}

void DictBase::HeapErase(Segment& segment) {
  if (segment.heap_index < 0) return;
  const auto i = static_cast<uint32_t>(segment.heap_index);
  segment.heap_index = -1;
  segment.due = kNeverDue;
  Segment* last = heap_[--heap_size_];
  if (heap_size_ == 0) {
    bytes_ -= heap_capacity_ * sizeof(Segment*);
    std::free(heap_);
    heap_ = nullptr;
    heap_capacity_ = 0;
    return;
  }
  if (last == &segment) return;
  heap_[i] = last;
  last->heap_index = static_cast<int32_t>(i);
  HeapUp(i);
  HeapDown(static_cast<uint32_t>(last->heap_index));
}

void DictBase::NoteDueAt(Segment& segment, int64_t due) {
  if (segment.heap_index >= 0 && due >= segment.due) return;
  segment.due = due;
  if (segment.heap_index < 0) {
    if (heap_size_ == heap_capacity_) {
      const uint32_t capacity = heap_capacity_ == 0 ? 1 : heap_capacity_ * 2;
      heap_ = static_cast<Segment**>(NotNull(std::realloc(heap_, capacity * sizeof(Segment*))));
      bytes_ += (capacity - heap_capacity_) * sizeof(Segment*);
      heap_capacity_ = capacity;
    }
    segment.heap_index = static_cast<int32_t>(heap_size_);
    heap_[heap_size_++] = &segment;
  }
  HeapUp(static_cast<uint32_t>(segment.heap_index));
}

// A bound may lie before what is really due, after a field lost its TTL: a few segments per call keep it short.
size_t DictBase::TakeDueElements(int64_t now, size_t limit, FunctionRef<int64_t(const void*)> due_of,
                                 FunctionRef<void(void*)> take) {
  constexpr int kMostSegments = 16;
  size_t taken = 0;
  for (int segments = 0; segments < kMostSegments && taken < limit && next_due() < now; ++segments) {
    Segment& segment = *heap_[0];
    for (uint32_t b = 0; b < segment.bucket_count; ++b) {
      for (const uint64_t word : segment.buckets[b].slots) {
        if (word != 0) __builtin_prefetch(reinterpret_cast<const void*>(word & kPointerMask));
      }
    }
    int64_t earliest = kNeverDue;
    for (uint32_t b = 0; b < segment.bucket_count; ++b) {
      for (uint32_t s = 0; s < kSlots; ++s) {
        const uint64_t word = segment.buckets[b].slots[s];
        if (word == 0) continue;
        void* element = reinterpret_cast<void*>(word & kPointerMask);
        const int64_t due = due_of(element);
        if (due >= now || taken == limit) {
          earliest = std::min(earliest, due);
          continue;
        }
        ClearSlot(segment.buckets, segment.bucket_count, b, s);
        --segment.count;
        --size_;
        bytes_ -= BlockBytes(element);
        ++taken;
        take(element);
      }
    }
    if (earliest == kNeverDue) {
      HeapErase(segment);
    } else {
      segment.due = earliest;
      HeapDown(0);
    }
    ShrinkIfSparse(segment);
  }
  due_elements_ -= taken;
  return taken;
}

}  // namespace understudy::types
