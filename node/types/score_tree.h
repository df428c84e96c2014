// ScoreTree: the members of a large sorted set in order of (score, member), with ranks.
//
// Problem: a skip list, as Redis has it, costs some 32 bytes a member beside the member itself, and a search
// waits for a cache miss at each of its steps. Idea: a B+ tree whose leaves hold nothing but pointers to the
// members (8 bytes each), and whose inner nodes count the members below each child, so that ranks cost one
// descent as well.
//
//   Inner  | child, members below it, its lowest member and that one's score | ... up to 31
//             |                                    |
//   Leaf   <-> | hint:16 pointer:48 | ... up to 60  <->  next leaf      (512 bytes)
//                            |
//                            ScoredMember: score, member
//
// A search in a leaf would still wait for a miss at each step. Therefore each slot has a hint in the bits that a
// pointer leaves free: how far the score lies above the leaf's `base`, in steps of 2^shift, at most 65535. It
// never falls where scores rise, so it decides nearly all comparisons without a look at the member; equal
// hints are decided by the members themselves. Any base and shift are right, good ones are chosen whenever
// the leaf is made or its count reaches a power of two.
//
// A full leaf splits in the middle, but at its end where the set grows at that end: leaves that were filled in
// order are full, others to 70 %. A leaf that has become small joins a neighbour.
//
// Order: by score as numbers (-0.0 equals 0.0), equal scores by the bytes of the member. No NaN.
// The tree borrows the members. Cursors are valid until the next change. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "common/function_ref.h"
#include "node/types/scored_member.h"

namespace understudy::types {

class ScoreTree {
 private:
  struct Leaf;
  struct Inner;

 public:
  // A place between two members.
  struct Place {
    enum class Kind : uint8_t {
      kBeforeScore,   // before all members of this score
      kAfterScore,    // behind all members of this score
      kBeforeMember,  // before this member with this score
      kAfterMember,   // behind it
      kBeforeName,    // before this member; the scores are all equal and do not matter (ranges BYLEX)
      kAfterName,     // behind it
    };
    Kind kind;
    double score = 0;
    std::string_view member = {};
  };

  // Walks in both directions; false beyond either end.
  class Cursor {
   public:
    Cursor() = default;
    explicit operator bool() const { return leaf_ != nullptr; }
    const ScoredMember& operator*() const { return *get(); }
    const ScoredMember* operator->() const { return get(); }
    const ScoredMember* get() const;
    void Next();
    void Prev();

   private:
    friend class ScoreTree;
    Cursor(const Leaf* leaf, int slot) : leaf_(leaf), slot_(slot) {}
    const Leaf* leaf_ = nullptr;
    int slot_ = 0;
  };

  ScoreTree() = default;
  ~ScoreTree();
  ScoreTree(const ScoreTree&) = delete;
  ScoreTree& operator=(const ScoreTree&) = delete;

  uint64_t size() const { return size_; }
  // Of the nodes, not of the members. O(1).
  size_t AllocatedBytes() const { return bytes_; }

  // O(log n) all of them. Insert: no equal member may be in the tree. Erase, UpdateScore: it must be.
  void Insert(ScoredMember* member);
  void Erase(const ScoredMember* member);
  void UpdateScore(ScoredMember* member, double score);

  // How many members lie before it.
  uint64_t Rank(const ScoredMember* member) const {
    return CountBefore({Place::Kind::kBeforeMember, member->score(), member->member()});
  }
  uint64_t CountBefore(const Place& place) const;
  // False if there are not so many.
  Cursor AtRank(uint64_t rank) const;
  Cursor First() const;
  Cursor Last() const;

  // Takes `count` members from rank `first` on out of the tree (fewer if there are not so many) and gives each to
  // `erased`, which may delete it. O(log n + count).
  void EraseRange(uint64_t first, uint64_t count, FunctionRef<void(ScoredMember*)> erased);

  // CHECKs every invariant; for tests. O(n).
  void Validate() const;

 private:
  static constexpr int kLeafSlots = 60;
  static constexpr int kChildren = 31;
  static constexpr int kMaxDepth = 24;
  static constexpr int kPointerBits = 48;
  static constexpr uint64_t kPointerMask = (uint64_t{1} << kPointerBits) - 1;

  struct Leaf {
    Leaf* prev;
    Leaf* next;
    uint64_t base;  // of hints: see Hint
    uint8_t shift;
    uint8_t count;
    uint64_t slots[kLeafSlots];
  };
  static_assert(sizeof(Leaf) == 512, "a size class of the allocator");
  struct Low {  // the lowest member below a child
    double score;
    const ScoredMember* member;
  };
  struct Inner {
    int count;
    void* children[kChildren];  // all Leaf, or all Inner
    uint64_t sizes[kChildren];
    Low lows[kChildren];
  };
  static_assert(sizeof(Inner) <= 1024, "a size class of the allocator");

  // From the root down to the leaf's parent, and which child was taken.
  struct Path {
    struct Step {
      Inner* node;
      int child;
    };
    Step steps[kMaxDepth];
    Leaf* leaf;
    int slot;  // in the leaf: how many members lie before the place
  };

  static ScoredMember* MemberOf(uint64_t slot) { return reinterpret_cast<ScoredMember*>(slot & kPointerMask); }
  static uint16_t Hint(const Leaf& leaf, double score);
  static uint64_t Slot(const Leaf& leaf, const ScoredMember* member);
  static void ChooseHints(Leaf& leaf);
  static bool IsBefore(double score, const ScoredMember* member, const Place& place);
  static int CountBefore(const Leaf& leaf, const Place& place);
  static int ChildOf(const Inner& inner, const Place& place);

  template <typename Node>
  Node* NewNode();
  void FreeNode(void* node);
  void FreeBelow(void* node, int depth);
  void Descend(const Place& place, Path* path) const;
  static Low LowOf(const void* node, int depth);
  // Counts, and the lowest members if they may have changed, from level `from` (0: the root's) upwards.
  void Refresh(const Path& path, int from, int64_t added, bool lows);
  // The leaf is full: one step towards room for the member that belongs at path.slot.
  void MakeRoom(const Path& path);
  void SplitLeaf(Inner& parent, int child, int at);
  void SplitInner(Inner& parent, int child, int at);
  void InsertChild(Inner& inner, int child, void* node, uint64_t size, Low low);
  void RemoveChild(Inner& inner, int child);
  void FreeLeaf(Leaf* leaf);
  void RemoveSlots(const Path& path, int n);
  // Joins the child with a neighbour if one of them is small enough.
  void JoinLeaf(Inner& parent, int child);
  void JoinInner(Inner& parent, int child);
  int EraseSome(uint64_t first, uint64_t count, ScoredMember** out);
  uint64_t ValidateBelow(const void* node, int depth, const Leaf** last) const;

  void* root_ = nullptr;  // nullptr: empty. A Leaf if depth_ is 0
  int depth_ = 0;         // inner nodes on the way to a leaf
  uint64_t size_ = 0;
  size_t bytes_ = 0;
};

inline const ScoredMember* ScoreTree::Cursor::get() const { return MemberOf(leaf_->slots[slot_]); }

inline void ScoreTree::Cursor::Next() {
  // Members lie anywhere: the one that a walk needs soon is fetched now.
  if (slot_ + 8 < leaf_->count) __builtin_prefetch(MemberOf(leaf_->slots[slot_ + 8]));
  if (++slot_ < leaf_->count) return;
  leaf_ = leaf_->next;
  slot_ = 0;
}

inline void ScoreTree::Cursor::Prev() {
  if (slot_ >= 8) __builtin_prefetch(MemberOf(leaf_->slots[slot_ - 8]));
  if (--slot_ >= 0) return;
  leaf_ = leaf_->prev;
  slot_ = leaf_ != nullptr ? leaf_->count - 1 : 0;
}

}  // namespace understudy::types
