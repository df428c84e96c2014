// Walks over the table: cursors, chance, everything; and the check of its invariants.
#include <vector>

#include "common/check.h"
#include "node/types/dict.h"

namespace understudy::types {
namespace {

constexpr uint32_t kMaxBuckets = 64;

void* ElementOf(uint64_t word) { return reinterpret_cast<void*>(word & kPointerMask); }

}  // namespace

uint64_t DictBase::ScanBucket(uint64_t position, FunctionRef<void(void*)> fn) const {
  const Segment& segment = *directory_[DirectoryIndex(position)];
  const uint32_t n = segment.bucket_count;
  const uint32_t from = Window(position, segment.depth);
  const uint32_t home = HomeBucket(from, n);
  uint32_t b = home;
  for (uint32_t tried = 0; tried < n; ++tried) {
    const Bucket& bucket = segment.buckets[b];
    for (const uint64_t word : bucket.slots) {
      if (word == 0) continue;
      const auto window = static_cast<uint32_t>(word >> 48);
      if (window >= from && HomeBucket(window, n) == home) fn(ElementOf(word));
    }
    if (Passed(bucket) == 0) break;
    if (++b == n) b = 0;
  }
  // The first window that belongs to the next bucket, or the next segment. Wraps to 0 behind the last.
  const uint64_t window = ((uint64_t{home} + 1) * 65536 + n - 1) / n;
  const uint64_t start = segment.depth == 0 ? 0 : segment.prefix << (64 - segment.depth);
  if (window < 65536) return start + (window << (48 - segment.depth));
  return segment.depth == 0 ? 0 : start + (uint64_t{1} << (64 - segment.depth));
}

// Draws a slot of the widest segment that there could be behind a directory entry, until an element is there. A
// segment counts at the first of its entries only: so each slot, and each element, has the same chance.
void* DictBase::RandomElement(uint64_t random) const {
  if (size_ == 0) return nullptr;
  const auto next = [&random] {
    random += 0x9e3779b97f4a7c15;
    return HashFold(random, 0xd1b54a32d192ed03 ^ random);
  };
  const uint32_t slots = (depth_ == 0 ? first_.bucket_count : kMaxBuckets) * kSlots;
  for (int tried = 0; tried < 256; ++tried) {
    const uint64_t drawn = next();
    const size_t index = DirectoryIndex(drawn);
    const Segment& segment = *directory_[index];
    if (segment.prefix << (depth_ - segment.depth) != index) continue;
    const auto at = static_cast<uint32_t>((drawn & 0xffffffff) * slots >> 32);
    if (at / kSlots >= segment.bucket_count) continue;
    const uint64_t word = segment.buckets[at / kSlots].slots[at % kSlots];
    if (word != 0) return ElementOf(word);
  }
  // Very sparse: the first element from some place on.
  void* found = nullptr;
  for (uint64_t position = next(); found == nullptr;) {
    position = ScanBucket(position, [&found](void* element) { found = element; });
  }
  return found;
}

bool DictBase::Walk(FunctionRef<bool(void*)> fn) const {
  for (size_t i = 0; i < size_t{1} << depth_;) {
    const Segment& segment = *directory_[i];
    i += size_t{1} << (depth_ - segment.depth);
    for (uint32_t b = 0; b < segment.bucket_count; ++b) {
      for (const uint64_t word : segment.buckets[b].slots) {
        if (b + 1 < segment.bucket_count && word != 0) __builtin_prefetch(ElementOf(word));
        if (word != 0 && !fn(ElementOf(word))) return false;
      }
    }
  }
  return true;
}

void DictBase::ValidateElements(KeyOf key_of, FunctionRef<int64_t(const void*)> due_of) const {
  size_t elements = 0, due_elements = 0, bytes = sizeof(DictBase) + heap_capacity_ * sizeof(Segment*);
  uint32_t deepest = 0, in_heap = 0;
  if (depth_ > 0) bytes += (size_t{1} << depth_) * sizeof(Segment*);
  for (size_t i = 0; i < size_t{1} << depth_;) {
    const Segment& segment = *directory_[i];
    const size_t n = size_t{1} << (depth_ - segment.depth);
    CHECK(segment.prefix * n == i);
    for (size_t j = i; j < i + n; ++j) CHECK(directory_[j] == &segment);
    i += n;
    deepest += segment.depth == depth_ ? 1 : 0;
    bytes += segment.bucket_count * sizeof(Bucket) + (&segment == &first_ ? 0 : sizeof(Segment));
    if (segment.heap_index >= 0) {
      ++in_heap;
      CHECK(heap_[segment.heap_index] == &segment);
      CHECK(segment.heap_index == 0 || heap_[(segment.heap_index - 1) / 2]->due <= segment.due);
    }
    uint32_t count = 0;
    std::vector<uint32_t> passed(segment.bucket_count, 0);
    for (uint32_t b = 0; b < segment.bucket_count; ++b) {
      for (uint32_t s = 0; s < kSlots; ++s) {
        const uint64_t word = segment.buckets[b].slots[s];
        CHECK((word == 0) == (TagAt(segment.buckets[b], s) == 0));
        if (word == 0) continue;
        ++count;
        const void* element = ElementOf(word);
        const uint64_t hash = HashKey(key_of(element));
        CHECK(TagAt(segment.buckets[b], s) == TagOf(hash) && word >> 48 == Window(hash, segment.depth));
        CHECK(directory_[DirectoryIndex(hash)] == &segment);
        bytes += BlockBytes(element);
        const auto window = static_cast<uint32_t>(word >> 48);
        for (uint32_t at = HomeBucket(window, segment.bucket_count); at != b; at = (at + 1) % segment.bucket_count) {
          ++passed[at];
        }
        due_elements += due_of(element) == kNeverDue ? 0 : 1;
        CHECK(due_of(element) == kNeverDue || (segment.heap_index >= 0 && segment.due <= due_of(element)));
      }
    }
    CHECK(count == segment.count);
    elements += count;
    for (uint32_t b = 0; b < segment.bucket_count; ++b) {
      CHECK(Passed(segment.buckets[b]) == kPassedFull || Passed(segment.buckets[b]) == passed[b]);
    }
  }
  CHECK(elements == size_ && due_elements == due_elements_ && bytes == bytes_);
  CHECK(deepest == deepest_ && in_heap == heap_size_);
}

}  // namespace understudy::types
