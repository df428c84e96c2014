#include "node/types/member_table.h"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>

#include "common/keyed_hash.h"

namespace understudy::types {
namespace {

// Bytes of a block for `bytes`: the allocator's size classes, which lie a fifth to a quarter apart.
size_t SizeClass(size_t bytes) {
  const size_t step = std::max<size_t>(std::bit_floor(bytes - 1) / 4, 64);
  return (bytes + step - 1) / step * step;
}

}  // namespace

MemberTable::~MemberTable() { Clear(); }

void MemberTable::Clear() {
  if (directory_ == nullptr) return;
  for (size_t i = 0; i < size_t{1} << depth_;) {
    Page* const page = directory_[i];
    i += SpanOf(*page);
    std::free(page);
  }
  std::free(directory_);
  directory_ = nullptr;
  depth_ = deepest_ = 0;
  size_ = bytes_ = 0;
}

MemberTable::Page* MemberTable::NewPage(uint32_t depth, uint32_t count) {
  const size_t bytes = SizeClass(kPageHeaderBytes + count * sizeof(uint64_t));
  auto* const page = static_cast<Page*>(std::malloc(bytes));
  CHECK(page != nullptr);
  page->depth = depth;
  page->count = 0;
  page->capacity = static_cast<uint32_t>((bytes - kPageHeaderBytes) / sizeof(uint64_t));
  bytes_ += malloc_usable_size(page);
  return page;
}

void MemberTable::FreePage(Page* page) {
  bytes_ -= malloc_usable_size(page);
  std::free(page);
}

uint32_t MemberTable::LowerBound(const Page& page, uint64_t tag) {
  // Hashes are even: the place is near the one in proportion.
  auto slot = static_cast<uint32_t>(tag * page.count >> 16);
  while (slot > 0 && TagOf(page.slots[slot - 1]) >= tag) --slot;
  while (slot < page.count && TagOf(page.slots[slot]) < tag) ++slot;
  return slot;
}

void MemberTable::Put(Page& page, uint32_t slot, ScoredMember* member, uint64_t tag) {
  std::memmove(page.slots + slot + 1, page.slots + slot, (page.count - slot) * sizeof(uint64_t));
  page.slots[slot] = reinterpret_cast<uint64_t>(member) | tag << kPointerBits;
  ++page.count;
}

MemberTable::Place MemberTable::Locate(std::string_view name, uint64_t hash) const {
  if (directory_ == nullptr) return {nullptr, 0};
  Page& page = *directory_[IndexOf(hash)];
  const uint64_t tag = Tag(hash, page.depth);
  for (uint32_t slot = LowerBound(page, tag); slot < page.count && TagOf(page.slots[slot]) == tag; ++slot) {
    if (MemberOf(page.slots[slot])->member() == name) return {&page, slot};
  }
  return {nullptr, 0};
}

ScoredMember* MemberTable::Find(std::string_view name) const {
  const Place place = Locate(name, HashKey(name));
  return place.page != nullptr ? MemberOf(place.page->slots[place.slot]) : nullptr;
}

MemberTable::Page* MemberTable::Resize(Page* page, uint64_t hash, uint32_t count) {
  Page* const resized = NewPage(page->depth, count);
  resized->count = page->count;
  std::memcpy(resized->slots, page->slots, page->count * sizeof(uint64_t));
  std::fill_n(directory_ + FirstIndexOf(*page, hash), SpanOf(*page), resized);
  FreePage(page);
  return resized;
}

void MemberTable::SetDirectory(uint32_t depth) {
  const size_t entries = size_t{1} << depth;
  auto** const directory = static_cast<Page**>(std::malloc(entries * sizeof(Page*)));
  CHECK(directory != nullptr);
  bytes_ += malloc_usable_size(directory);
  if (directory_ != nullptr) {
    // One step up or down: each entry twice, or every second one.
    for (size_t i = 0; i < entries; ++i) directory[i] = directory_[depth > depth_ ? i / 2 : i * 2];
    bytes_ -= malloc_usable_size(directory_);
    std::free(directory_);
  }
  directory_ = directory;
  depth_ = depth;
}

void MemberTable::Split(Page* page, uint64_t hash) {
  const uint32_t depth = page->depth + 1;
  if (depth > depth_) {
    SetDirectory(depth);
    deepest_ = 0;
  }
  const size_t first = FirstIndexOf(*page, hash), half = SpanOf(*page) / 2;
  uint32_t low_count = 0;
  while (low_count < page->count && TagOf(page->slots[low_count]) < 0x8000) ++low_count;
  for (const bool high : {false, true}) {
    const uint32_t begin = high ? low_count : 0, end = high ? page->count : low_count;
    Page* const part = NewPage(depth, end - begin + 1);
    for (uint32_t i = begin; i < end; ++i) {
      // One bit of the hash moves to the directory, one more comes in at the end of the tag.
      ScoredMember* const member = MemberOf(page->slots[i]);
      if (i + 8 < end) __builtin_prefetch(MemberOf(page->slots[i + 8]));
      const uint64_t tag = Tag(HashKey(member->member()), depth);
      uint32_t slot = part->count;
      while (slot > 0 && TagOf(part->slots[slot - 1]) > tag) --slot;
      Put(*part, slot, member, tag);
    }
    std::fill_n(directory_ + first + (high ? half : 0), half, part);
  }
  if (depth == depth_) deepest_ += 2;
  FreePage(page);
}

void MemberTable::Insert(ScoredMember* member) {
  const uint64_t hash = HashKey(member->member());
  if (directory_ == nullptr) {
    SetDirectory(0);
    directory_[0] = NewPage(0, 1);
    deepest_ = 1;
  }
  Page* page = directory_[IndexOf(hash)];
  // No deeper than even hashes need: whoever could choose them should not make the directory large.
  const uint32_t deepest = std::min<uint32_t>(kMaxDepth, static_cast<uint32_t>(std::bit_width(size_ / 32)));
  while (page->count >= kSplitCount && page->depth < deepest) {
    Split(page, hash);
    page = directory_[IndexOf(hash)];
  }
  if (page->count == page->capacity) page = Resize(page, hash, page->count + 1);
  const uint64_t tag = Tag(hash, page->depth);
  Put(*page, LowerBound(*page, tag), member, tag);
  ++size_;
}

void MemberTable::JoinWithNeighbour(Page* page, uint64_t hash) {
  const uint32_t depth = page->depth;
  const size_t first = FirstIndexOf(*page, hash), span = SpanOf(*page);
  const size_t other = first ^ span;
  Page* const neighbour = directory_[other];
  if (neighbour->depth != depth || page->count + neighbour->count > kJoinCount) return;
  Page* const parts[] = {first < other ? page : neighbour, first < other ? neighbour : page};
  Page* const joined = NewPage(depth - 1, page->count + neighbour->count);
  for (const uint64_t high : {0, 1}) {
    const Page& part = *parts[high];
    for (uint32_t i = 0; i < part.count; ++i) {
      Put(*joined, joined->count, MemberOf(part.slots[i]), high << 15 | TagOf(part.slots[i]) >> 1);
    }
  }
  std::fill_n(directory_ + std::min(first, other), 2 * span, joined);
  for (Page* part : parts) FreePage(part);
  if (depth < depth_) return;
  deepest_ -= 2;
  while (deepest_ == 0) {
    SetDirectory(depth_ - 1);
    for (size_t i = 0; i < size_t{1} << depth_; ++i) deepest_ += directory_[i]->depth == depth_;
  }
}

ScoredMember* MemberTable::Erase(std::string_view name) {
  const uint64_t hash = HashKey(name);
  const auto [page, slot] = Locate(name, hash);
  if (page == nullptr) return nullptr;
  ScoredMember* const member = MemberOf(page->slots[slot]);
  --page->count;
  std::memmove(page->slots + slot, page->slots + slot + 1, (page->count - slot) * sizeof(uint64_t));
  if (--size_ == 0) {
    Clear();
  } else if (page->depth > 0 && page->count < kJoinCount / 2) {
    JoinWithNeighbour(page, hash);
  } else if (page->count < page->capacity / 2 && page->capacity > 2 * kLeastCapacity) {
    Resize(page, hash, page->count + 1);
  }
  return member;
}

uint64_t MemberTable::Scan(uint64_t cursor, uint64_t wanted, FunctionRef<void(const ScoredMember&)> fn) const {
  if (directory_ == nullptr) return 0;
  uint64_t at = cursor << 16;  // in the order of the hash
  uint64_t seen = 0;
  do {
    const Page& page = *directory_[IndexOf(at)];
    uint32_t slot = LowerBound(page, Tag(at, page.depth));
    const uint64_t start = page.depth == 0 ? 0 : at >> (64 - page.depth) << (64 - page.depth);
    for (; slot < page.count; ++slot) {
      // Members with the same tag belong together: a cursor can't stand between them.
      const uint64_t tag = TagOf(page.slots[slot]);
      if (seen >= wanted && (slot == 0 || TagOf(page.slots[slot - 1]) != tag)) {
        return (start | tag << (kPointerBits - page.depth)) >> 16;
      }
      fn(*MemberOf(page.slots[slot]));
      ++seen;
    }
    at = page.depth == 0 ? 0 : start + (uint64_t{1} << (64 - page.depth));
  } while (at != 0 && seen < wanted);
  return at >> 16;
}

void MemberTable::Validate() const {
  CHECK(directory_ != nullptr || (size_ == 0 && depth_ == 0 && bytes_ == 0));
  if (directory_ == nullptr) return;
  uint64_t size = 0;
  uint32_t deepest = 0;
  size_t bytes = malloc_usable_size(directory_);
  for (size_t i = 0; i < size_t{1} << depth_;) {
    const Page& page = *directory_[i];
    CHECK(page.depth <= depth_ && page.count <= page.capacity && i % SpanOf(page) == 0);
    for (uint32_t slot = 0; slot < page.count; ++slot) {
      const uint64_t hash = HashKey(MemberOf(page.slots[slot])->member());
      CHECK(directory_[IndexOf(hash)] == &page && TagOf(page.slots[slot]) == Tag(hash, page.depth));
      CHECK(slot == 0 || TagOf(page.slots[slot - 1]) <= TagOf(page.slots[slot]));
    }
    for (size_t j = 0; j < SpanOf(page); ++j) CHECK(directory_[i + j] == &page);
    size += page.count;
    deepest += page.depth == depth_;
    bytes += malloc_usable_size(const_cast<Page*>(&page));
    i += SpanOf(page);
  }
  CHECK(size == size_ && deepest == deepest_ && bytes == bytes_);
}

}  // namespace understudy::types
