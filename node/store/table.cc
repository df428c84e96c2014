// Structure of the table: directory, segments, buckets. Values: table_values.cc; expiry order and snapshots:
// table_walks.cc.
#include "node/store/table.h"

#include <algorithm>
#include <new>

#include "common/check.h"
#include "common/keyed_hash.h"
#include "node/store/bucket_pool.h"
#include "node/store/table_bits.h"
#include "node/types/hash_field.h"

namespace understudy::store {
namespace {

constexpr int kMinBuckets = 8, kMaxBuckets = 64;
// By how many a segment grows: small steps keep it full, and each moves its slots once more.
constexpr int kBucketStep = 4;
constexpr int kCursorBits = 48;

// Keys a segment takes before it grows: 7/8 of its slots.
constexpr uint32_t MaxCount(int bucket_count) { return static_cast<uint32_t>(bucket_count) * 49 / 8; }

int BucketsFor(uint32_t count) {
  for (int n = kMinBuckets; n < kMaxBuckets; n += kBucketStep) {
    if (count + 4 <= MaxCount(n)) return n;
  }
  return kMaxBuckets;
}

}  // namespace

Table::Table(int shard_bits, LazyFreer& freer) : shard_bits_(shard_bits), freer_(&freer) {
  Segment* first = NewSegment(kMinBuckets, 0, 0);
  directory_.resize(1);
  index_bytes_ += sizeof(Table) + sizeof(DirectoryEntry);
  Publish(*first);
}

Table::~Table() {
  // Entries in runs go with their runs; only what lies outside has to be visited.
  const bool visit = heap_.large_blocks() > 0 || outside_count_ > 0;
  size_t left = used_bytes();
  const auto note_freed = [&](size_t now_left) {
    if (waiting_ != nullptr) waiting_->fetch_sub(left - now_left, std::memory_order_relaxed);
    left = now_left;
  };
  for (size_t i = 0; i < directory_.size();) {
    Segment* segment = directory_[i].segment;
    i += size_t{1} << (depth_ - segment->depth);
    if (visit) {
      for (uint32_t b = 0; b < segment->bucket_count; ++b) {
        for (uint32_t s = 0; s < 7; ++s) {
          if (TagAt(segment->buckets[b], s) != 0) {
            FreeEntry(EntryOf(segment->buckets[b].slots[s]), Freeing::kInline);
          }
        }
      }
    }
    DeleteSegment(segment);
    note_freed(used_bytes());
  }
  heap_.FreeRuns();
  note_freed(0);
}

Bucket* Table::NewBuckets(int bucket_count) {
  const size_t bytes = static_cast<size_t>(bucket_count) * sizeof(Bucket);
  void* memory = BucketPool::Get().Allocate(bytes);
  index_bytes_ += bytes;
  Bucket* buckets = static_cast<Bucket*>(memory);
  std::uninitialized_fill_n(buckets, bucket_count, Bucket{});
  return buckets;
}

void Table::DeleteBuckets(Bucket* buckets, int bucket_count) {
  const size_t bytes = static_cast<size_t>(bucket_count) * sizeof(Bucket);
  index_bytes_ -= bytes;
  BucketPool::Get().Free(buckets, bytes);
}

Segment* Table::NewSegment(int bucket_count, int depth, uint64_t prefix) {
  auto* segment = new Segment;
  index_bytes_ += sizeof(Segment);
  segment->buckets = NewBuckets(bucket_count);
  segment->bucket_count = static_cast<uint8_t>(bucket_count);
  segment->depth = static_cast<uint8_t>(depth);
  segment->prefix = prefix;
  return segment;
}

void Table::DeleteSegment(Segment* segment) {
  DeleteBuckets(segment->buckets, segment->bucket_count);
  index_bytes_ -= sizeof(Segment);
  delete segment;
}

void Table::Publish(Segment& segment) {
  const uint64_t word = reinterpret_cast<uint64_t>(segment.buckets) | uint64_t{segment.bucket_count} << 48 |
                        uint64_t{segment.depth} << 56;
  const size_t n = size_t{1} << (depth_ - segment.depth);
  const size_t first = segment.prefix << (depth_ - segment.depth);
  for (size_t i = first; i < first + n; ++i) directory_[i] = {word, &segment};
}

// Puts a new entry in, for a key that is not there. The segment grows or splits first where needed.
Entry* Table::Install(const Place& place, uint64_t hash, Entry* entry) {
  if (place) {  // replaces place.entry, which the caller frees
    place.segment->buckets[place.bucket].slots[place.slot] =
        (place.segment->buckets[place.bucket].slots[place.slot] & ~kPointerMask) | AddressOf(entry);
    return entry;
  }
  const uint64_t local = Local(hash);
  Segment* segment = &SegmentAt(local);
  while (segment->count >= MaxCount(segment->bucket_count)) {
    if (segment->bucket_count < kMaxBuckets) {
      Rehash(*segment, BucketsFor(segment->count));
    } else if (segment->depth < kCursorBits - 16 - shard_bits_) {
      Split(*segment);
      segment = &SegmentAt(local);
    } else {
      break;  // PutSlot still has an eighth
    }
  }
  PutSlot(segment->buckets, segment->bucket_count,
          uint64_t{Window(local, segment->depth)} << 48 | AddressOf(entry), TagOf(hash));
  ++segment->count;
  ++size_;
  return entry;
}

void Table::RemoveSlot(Segment& segment, uint32_t bucket, uint32_t slot) {
  ClearSlot(segment.buckets, segment.bucket_count, bucket, slot);
  --segment.count;
  --size_;
}

void Table::Rehash(Segment& segment, int bucket_count) {
  Bucket* buckets = NewBuckets(bucket_count);
  CopySlots(segment.buckets, segment.bucket_count, buckets, static_cast<uint32_t>(bucket_count));
  DeleteBuckets(segment.buckets, segment.bucket_count);
  segment.buckets = buckets;
  segment.bucket_count = static_cast<uint8_t>(bucket_count);
  Publish(segment);
}

void Table::Split(Segment& segment) {
  if (segment.depth == depth_) {
    std::vector<DirectoryEntry> twice(directory_.size() * 2);
    for (size_t i = 0; i < twice.size(); ++i) twice[i] = directory_[i / 2];
    index_bytes_ += directory_.size() * sizeof(DirectoryEntry);
    directory_.swap(twice);
    ++depth_;
  }
  uint32_t counts[2] = {0, 0};
  for (uint32_t b = 0; b < segment.bucket_count; ++b) {
    for (uint32_t s = 0; s < 7; ++s) {
      if (TagAt(segment.buckets[b], s) == 0) continue;
      ++counts[segment.buckets[b].slots[s] >> 63];
      __builtin_prefetch(EntryOf(segment.buckets[b].slots[s]));
    }
  }
  Bucket* old = segment.buckets;
  const int old_buckets = segment.bucket_count;
  const int depth = segment.depth + 1;
  Segment* upper = NewSegment(BucketsFor(counts[1]), depth, segment.prefix * 2 + 1);
  segment.depth = static_cast<uint8_t>(depth);
  segment.prefix *= 2;
  segment.bucket_count = static_cast<uint8_t>(BucketsFor(counts[0]));
  segment.buckets = NewBuckets(segment.bucket_count);
  segment.count = static_cast<uint16_t>(counts[0]);
  upper->count = static_cast<uint16_t>(counts[1]);
  Segment* halves[2] = {&segment, upper};
  for (int b = 0; b < old_buckets; ++b) {
    for (uint32_t s = 0; s < 7; ++s) {
      if (TagAt(old[b], s) == 0) continue;
      const uint64_t word = old[b].slots[s];
      const uint64_t window = Window(Local(HashKey(EntryOf(word)->key())), depth);
      Segment* half = halves[word >> 63];
      PutSlot(half->buckets, half->bucket_count, window << 48 | (word & kPointerMask), TagAt(old[b], s));
    }
  }
  DeleteBuckets(old, old_buckets);
  // Each interval becomes two. The bound on expiry holds for both halves.
  for (int i = 0; i < kMaxSnapshots; ++i) {
    upper->saved_version[i] = segment.saved_version[i];
    upper->saved[i] = SpreadBits(static_cast<uint32_t>(segment.saved[i] >> 32));
    segment.saved[i] = SpreadBits(static_cast<uint32_t>(segment.saved[i]));
  }
  if (segment.heap_index >= 0) NoteExpire(*upper, segment.min_expire);
  Publish(segment);
  Publish(*upper);
}

void Table::ShrinkIfSparse(Segment* segment) {
  if (segment->count >= MaxCount(segment->bucket_count) / 3) return;
  const int bucket_count = BucketsFor(segment->count * 3u / 2);
  if (bucket_count < segment->bucket_count) {
    Rehash(*segment, bucket_count);
    if (bucket_count <= kMaxBuckets / 4) MergeWithBuddy(*segment);
  }
}

// Joins the two halves of a split again, if both are nearly empty. Not during a snapshot: one bit would have
// to speak for two intervals.
bool Table::MergeWithBuddy(Segment& segment) {
  if (segment.depth == 0 || sinks_active_ != 0) return false;
  const uint64_t lower_prefix = segment.prefix & ~uint64_t{1};
  const int shift = depth_ - segment.depth;
  Segment* lower = directory_[lower_prefix << shift].segment;
  Segment* upper = directory_[(lower_prefix | 1) << shift].segment;
  if (lower->depth != upper->depth || lower->count + upper->count > MaxCount(kMaxBuckets / 2)) return false;
  const int bucket_count = BucketsFor((lower->count + upper->count) * 3u / 2);
  Bucket* buckets = NewBuckets(bucket_count);
  for (Segment* half : {lower, upper}) {
    const uint64_t side = half == upper ? uint64_t{1} << 63 : 0;
    for (uint32_t b = 0; b < half->bucket_count; ++b) {
      for (uint32_t s = 0; s < 7; ++s) {
        const uint8_t tag = TagAt(half->buckets[b], s);
        if (tag == 0) continue;
        const uint64_t word = half->buckets[b].slots[s];
        const uint64_t window = (side | (word >> 1 & ~(uint64_t{1} << 63))) & ~kPointerMask;
        PutSlot(buckets, static_cast<uint32_t>(bucket_count), window | (word & kPointerMask), tag);
      }
    }
  }
  DeleteBuckets(lower->buckets, lower->bucket_count);
  lower->buckets = buckets;
  lower->bucket_count = static_cast<uint8_t>(bucket_count);
  lower->count = static_cast<uint16_t>(lower->count + upper->count);
  lower->depth = static_cast<uint8_t>(lower->depth - 1);
  lower->prefix /= 2;
  if (upper->heap_index >= 0) NoteExpire(*lower, upper->min_expire);
  HeapErase(*upper);
  DeleteSegment(upper);
  Publish(*lower);
  return true;
}

// ---- Walking -------------------------------------------------------------------------------------------------

uint64_t Table::ScanBucket(uint64_t local, FunctionRef<void(const Entry&)> fn) const {
  const Segment& segment = SegmentAt(local);
  const uint32_t n = segment.bucket_count;
  const uint32_t from = Window(local, segment.depth);
  const uint32_t home = HomeBucket(from, n);
  uint32_t b = home;
  for (uint32_t tried = 0; tried < n; ++tried) {
    const Bucket& bucket = segment.buckets[b];
    for (uint32_t s = 0; s < 7; ++s) {
      if (TagAt(bucket, s) == 0) continue;
      const auto window = static_cast<uint32_t>(bucket.slots[s] >> 48);
      if (window >= from && HomeBucket(window, n) == home) fn(*EntryOf(bucket.slots[s]));
    }
    if (Passed(bucket) == 0) break;
    if (++b == n) b = 0;
  }
  // The first window that belongs to the next bucket, or the next segment.
  const uint64_t window = ((home + 1) * 65536 + n - 1) / n;
  const uint64_t start = segment.depth == 0 ? 0 : segment.prefix << (64 - segment.depth);
  return window == 65536 ? (segment.depth == 0 ? 0 : (segment.prefix + 1) << (64 - segment.depth))
                         : start + (window << (48 - segment.depth));
}

const Entry* Table::RandomEntry(uint64_t random) const {
  if (size_ == 0) return nullptr;
  uint64_t state = random;
  auto next = [&state] {
    state += 0x9e3779b97f4a7c15;
    return HashFold(state, 0xd1b54a32d192ed03 ^ state);
  };
  uint64_t local = 0;
  for (int tried = 0; tried < 64; ++tried) {
    local = next();
    const Segment& segment = SegmentAt(local);
    const Bucket& bucket = segment.buckets[HomeBucket(Window(local, segment.depth), segment.bucket_count)];
    const auto slot = static_cast<uint32_t>(next() % 7);
    if (TagAt(bucket, slot) != 0) return EntryOf(bucket.slots[slot]);
  }
  // Very sparse: the first key from some place on.
  const Entry* found = nullptr;
  while (found == nullptr) {
    local = ScanBucket(local, [&found](const Entry& entry) {
      if (found == nullptr) found = &entry;
    });
  }
  return found;
}

void Table::Sample(uint64_t random, size_t wanted, bool with_expire, FunctionRef<void(const Entry&)> fn) const {
  if (size_ == 0 || wanted == 0 || (with_expire && due_.empty())) return;
  const Entry* found[kMostSamples];
  size_t count = 0;
  wanted = std::min(wanted, kMostSamples);
  // A segment each, the next ones if it has too few. Keys with a TTL are known to lie in the segments of due_.
  constexpr size_t kMostSegments = 8;
  size_t at = with_expire ? random % due_.size() : DirectoryIndex(random * 0xd1b54a32d192ed03);
  // Where a bucket begins must be random, too: its first slots are filled first.
  const auto turn = static_cast<uint32_t>(random >> 40 & 0xffff);
  const Segment* first = with_expire ? due_[at] : directory_[at].segment;
  for (size_t segments = 0; count < wanted; ++segments) {
    const Segment& segment = with_expire ? *due_[at] : *directory_[at].segment;
    if (segments > 0 && &segment == first) break;
    if (segments >= kMostSegments && (count > 0 || !with_expire)) break;
    uint32_t b = static_cast<uint32_t>(random >> 8 & 0xffff) * segment.bucket_count >> 16;
    for (uint32_t tried = 0; tried < segment.bucket_count && count < wanted; ++tried) {
      const Bucket& bucket = segment.buckets[b];
      for (uint32_t s = 0; s < 7 && count < wanted; ++s) {
        const uint64_t word = bucket.slots[(s + turn) % 7];
        if (word == 0) continue;
        const Entry* entry = EntryOf(word);
        if (with_expire && !entry->has_expire()) continue;
        if (!with_expire) __builtin_prefetch(entry);
        found[count++] = entry;
      }
      if (++b == segment.bucket_count) b = 0;
    }
    if (with_expire) {
      if (++at == due_.size()) at = 0;
    } else {
      const size_t span = size_t{1} << (depth_ - segment.depth);
      at = (at / span + 1) * span % directory_.size();
    }
  }
  if (count == 0 && !with_expire) found[count++] = RandomEntry(random);
  for (size_t i = 0; i < count; ++i) fn(*found[i]);
}

void Table::Validate(uint32_t shard_index) const {
  CHECK(directory_.size() == size_t{1} << depth_);
  size_t keys = 0, expires = 0, outside = 0, outside_bytes = 0, segments_due = 0;
  size_t index_bytes = sizeof(Table) + directory_.size() * sizeof(DirectoryEntry);
  for (size_t i = 0; i < directory_.size();) {
    Segment& segment = *directory_[i].segment;
    CHECK(segment.depth <= depth_ && segment.prefix << (depth_ - segment.depth) == i);
    const size_t n = size_t{1} << (depth_ - segment.depth);
    for (size_t j = i; j < i + n; ++j) {
      CHECK(directory_[j].segment == &segment && directory_[j].word == directory_[i].word);
    }
    CHECK((directory_[i].word & kPointerMask) == reinterpret_cast<uint64_t>(segment.buckets));
    CHECK((directory_[i].word >> 48 & 0xff) == segment.bucket_count && directory_[i].word >> 56 == segment.depth);
    i += n;
    index_bytes += sizeof(Segment) + segment.bucket_count * sizeof(Bucket);
    size_t count = 0;
    std::vector<uint32_t> passed(segment.bucket_count, 0);
    for (uint32_t b = 0; b < segment.bucket_count; ++b) {
      for (uint32_t s = 0; s < 7; ++s) {
        const uint64_t word = segment.buckets[b].slots[s];
        if (TagAt(segment.buckets[b], s) == 0) {
          CHECK(word == 0);
          continue;
        }
        ++count;
        const Entry& entry = *EntryOf(word);
        const uint64_t hash = HashKey(entry.key());
        CHECK(shard_bits_ == 0 || hash >> (64 - shard_bits_) == shard_index);
        CHECK(TagAt(segment.buckets[b], s) == TagOf(hash) && word >> 48 == Window(Local(hash), segment.depth));
        CHECK(&SegmentAt(Local(hash)) == &segment && Locate(entry.key(), hash).entry == &entry);
        for (uint32_t at = HomeBucket(word >> 48, segment.bucket_count); at != b; at = (at + 1) % segment.bucket_count) {
          ++passed[at];
        }
        if (entry.has_expire()) {
          ++expires;
          CHECK(segment.heap_index >= 0 && segment.min_expire <= entry.expire_ms());
        }
        if (entry.external()) {
          ++outside;
          outside_bytes += entry.blob()->allocated_bytes();
        } else if (!entry.is_string()) {
          ++outside;
          outside_bytes += CollectionBytes(entry);
          CHECK(entry.type() == Type::kStream || CollectionSize(entry) > 0);
          const int64_t due = NextFieldExpiry(entry.type(), entry.encoding(), entry.rep());
          CHECK(due == types::kNoExpire || (segment.heap_index >= 0 && segment.min_expire <= due));
        }
      }
    }
    CHECK(count == segment.count && count <= segment.bucket_count * 7u);
    keys += count;
    for (uint32_t b = 0; b < segment.bucket_count; ++b) {
      CHECK(Passed(segment.buckets[b]) == kPassedFull || Passed(segment.buckets[b]) == passed[b]);
    }
    if (segment.heap_index >= 0) {
      ++segments_due;
      CHECK(due_[static_cast<size_t>(segment.heap_index)] == &segment);
    }
  }
  CHECK(keys == size_ && expires == expires_ && outside == outside_count_ && outside_bytes == outside_bytes_);
  CHECK(segments_due == due_.size() && index_bytes == index_bytes_);
  for (size_t i = 1; i < due_.size(); ++i) CHECK(due_[(i - 1) / 2]->min_expire <= due_[i]->min_expire);
}

}  // namespace understudy::store
