// MemberTable: finds a member of a large sorted set by its bytes.
//
// Problem: a hash table with free slots costs 10 to 16 bytes a member and pauses when it doubles. Idea: everything
// is in the order of the hash, in pages without free slots between them; hashes are even, so that a member lies
// about where its hash says, and a short walk from there finds it.
//
//   hash, most significant bit first
//   | page's depth bits | tag: 16 bits | ...
//     directory index     order in the page
//
//   directory -> Page | depth | count | capacity | tag:16 pointer:48 | tag:16 pointer:48 | ...   up to 254
//
// A page grows in steps of the allocator's size classes, then splits in two (extendible hashing); small
// neighbours join. So a member costs about 9 bytes, and no change touches more than a page; only the directory is
// copied when its depth changes, 8 bytes for some 200 members. A cursor of Scan is a place in the order of the
// hash, so that neither splits nor joins let it miss anybody.
//
// Borrows the members. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/function_ref.h"
#include "node/types/scored_member.h"

namespace understudy::types {

class MemberTable {
 public:
  MemberTable() = default;
  ~MemberTable();
  MemberTable(const MemberTable&) = delete;
  MemberTable& operator=(const MemberTable&) = delete;

  uint64_t size() const { return size_; }
  // Of pages and directory, not of the members. O(1).
  size_t AllocatedBytes() const { return bytes_; }

  // nullptr: not there.
  ScoredMember* Find(std::string_view name) const;
  // No member of these bytes may be there.
  void Insert(ScoredMember* member);
  // Takes it out and returns it; nullptr: not there.
  ScoredMember* Erase(std::string_view name);
  // Calls fn for `wanted` members or a few more from the cursor on, and returns the next cursor (48 bits), 0 at the
  // end. Between two calls everything may change.
  uint64_t Scan(uint64_t cursor, uint64_t wanted, FunctionRef<void(const ScoredMember&)> fn) const;

  // CHECKs every invariant; for tests. O(n).
  void Validate() const;

 private:
  static constexpr int kMaxDepth = 32;  // a cursor has 16 bits more
  static constexpr int kPointerBits = 48;
  static constexpr uint64_t kPointerMask = (uint64_t{1} << kPointerBits) - 1;
  static constexpr size_t kPageHeaderBytes = 16;
  static constexpr uint32_t kLeastCapacity = (64 - kPageHeaderBytes) / 8;
  static constexpr uint32_t kSplitCount = (2048 - kPageHeaderBytes) / 8;
  static constexpr uint32_t kJoinCount = kSplitCount / 2;

  struct Page {
    uint32_t depth;
    uint32_t count;
    uint32_t capacity;
    uint64_t slots[1];  // `capacity` of them
  };
  struct Place {  // in a page: the first slot whose tag is not lower
    Page* page;
    uint32_t slot;
  };

  static ScoredMember* MemberOf(uint64_t slot) { return reinterpret_cast<ScoredMember*>(slot & kPointerMask); }
  static uint64_t TagOf(uint64_t slot) { return slot >> kPointerBits; }
  static uint64_t Tag(uint64_t hash, uint32_t depth) { return hash << depth >> kPointerBits; }
  static uint32_t LowerBound(const Page& page, uint64_t tag);
  static void Put(Page& page, uint32_t slot, ScoredMember* member, uint64_t tag);
  size_t IndexOf(uint64_t hash) const { return hash >> 1 >> (63 - depth_); }
  // The first directory entry of the page, and how many lead to it.
  size_t SpanOf(const Page& page) const { return size_t{1} << (depth_ - page.depth); }
  size_t FirstIndexOf(const Page& page, uint64_t hash) const { return IndexOf(hash) & ~(SpanOf(page) - 1); }

  Place Locate(std::string_view name, uint64_t hash) const;
  void Clear();
  Page* NewPage(uint32_t depth, uint32_t count);
  void FreePage(Page* page);
  // A page of the same content with room for `count`, in the directory in its place.
  Page* Resize(Page* page, uint64_t hash, uint32_t count);
  void SetDirectory(uint32_t depth);
  void Split(Page* page, uint64_t hash);
  void JoinWithNeighbour(Page* page, uint64_t hash);

  Page** directory_ = nullptr;  // 2^depth_; nullptr: empty
  uint32_t depth_ = 0;
  uint32_t deepest_ = 0;  // pages of depth depth_
  uint64_t size_ = 0;
  size_t bytes_ = 0;
};

}  // namespace understudy::types
