// IdTree: values in the order of their stream IDs. A B+ tree: the index of a stream's nodes, and the pending entries
// of its groups and consumers.
//
//   Inner  | child, ID that none in it and all before it are below | ... up to 20
//             |                          |
//   Leaf   <-> | ID, value | ... up to 512 bytes  <->  next leaf
//
// IDs come in order nearly always, and go in order often: a full leaf splits at its end where it grows at that end, so
// leaves are full; one that has become small joins a neighbour. The values lie in the leaves themselves: a pending
// entry costs its 40 bytes and few more, where a block of its own would cost two pointers and the block's head. The
// leaf of a tree that has no other starts small: most consumers have few entries, or none.
//
// Values are trivial. What the nodes take is added to a counter of the owner's, which outlives the tree.
// Cursors and pointers to values are good until the next change. Not thread-safe.
#pragma once

#include <malloc.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <type_traits>

#include "common/check.h"
#include "node/types/stream_id.h"

namespace understudy::types {

template <typename Value>
class IdTree {
 private:
  struct Slot {
    StreamId id;
    [[no_unique_address]] Value value;
  };
  static_assert(std::is_trivially_copyable_v<Slot>);
  struct Leaf {
    Leaf* prev;
    Leaf* next;
    uint16_t count;
    uint16_t capacity;
    Slot* slots() { return reinterpret_cast<Slot*>(this + 1); }
  };
  static constexpr int kLeafSlots = static_cast<int>((512 - sizeof(Leaf)) / sizeof(Slot));
  static constexpr int kChildren = 20;
  static constexpr int kMaxDepth = 24;
  struct Inner {
    int count;
    void* children[kChildren];  // all Leaf, or all Inner
    StreamId lows[kChildren];   // the first one has no meaning
  };
  static_assert(sizeof(Inner) <= 512, "a size class of the allocator");
  // From the root down to the leaf's parent, and which child was taken.
  struct Path {
    struct Step {
      Inner* node;
      int child;
    };
    Step steps[kMaxDepth];
    Leaf* leaf;
    int slot;  // in the leaf: how many IDs lie before the one that was looked for
  };

 public:
  // Walks in both directions; false beyond either end.
  class Cursor {
   public:
    explicit operator bool() const { return leaf_ != nullptr; }
    StreamId id() const { return leaf_->slots()[slot_].id; }
    Value& value() const { return leaf_->slots()[slot_].value; }
    void Next() {
      if (++slot_ < leaf_->count) return;
      leaf_ = leaf_->next;
      slot_ = 0;
    }
    void Prev() {
      if (--slot_ >= 0) return;
      leaf_ = leaf_->prev;
      slot_ = leaf_ != nullptr ? leaf_->count - 1 : 0;
    }

   private:
    friend class IdTree;
    Cursor(Leaf* leaf, int slot) : leaf_(leaf), slot_(slot) {}
    Leaf* leaf_;
    int slot_;
  };

  // account: counts the bytes of the nodes among others; outlives the tree.
  explicit IdTree(size_t* account) : account_(account) {}
  ~IdTree() { Clear(); }
  IdTree(const IdTree&) = delete;
  IdTree& operator=(const IdTree&) = delete;

  uint64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // Blocks that the tree is made of.
  uint64_t nodes() const { return nodes_; }

  Cursor First() const { return AtLeast(kMinStreamId); }
  Cursor Last() const { return AtMost(kMaxStreamId); }
  // The first that is not below `id`.
  Cursor AtLeast(StreamId id) const {
    if (root_ == nullptr) return {nullptr, 0};
    Path path;
    Descend(id, &path);
    if (path.slot < path.leaf->count) return {path.leaf, path.slot};
    return {path.leaf->next, 0};
  }
  // The last that is not above `id`.
  Cursor AtMost(StreamId id) const {
    if (root_ == nullptr) return {nullptr, 0};
    Path path;
    Descend(id, &path);
    Cursor cursor(path.leaf, path.slot);
    if (path.slot == path.leaf->count || cursor.id() != id) cursor.Prev();
    return cursor;
  }
  // nullptr: there is none.
  Value* Find(StreamId id) const {
    if (root_ == nullptr) return nullptr;
    Path path;
    Descend(id, &path);
    return IsAt(path, id) ? &path.leaf->slots()[path.slot].value : nullptr;
  }

  struct Inserted {
    Value* value;  // that the ID has now
    bool added;    // false: it had it before
  };
  Inserted Insert(StreamId id, const Value& value);
  // False: it was not there.
  bool Erase(StreamId id);
  void Clear() {
    if (root_ != nullptr) FreeBelow(root_, depth_);
    root_ = nullptr;
    depth_ = 0;
    size_ = 0;
  }

  // CHECKs every invariant; for tests. O(n). Returned: bytes that it has in the counter.
  size_t Validate() const;

 private:
  static bool IsAt(const Path& path, StreamId id) {
    return path.slot < path.leaf->count && path.leaf->slots()[path.slot].id == id;
  }
  void Descend(StreamId id, Path* path) const {
    void* node = root_;
    for (int level = 0; level < depth_; ++level) {
      auto* const inner = static_cast<Inner*>(node);
      const StreamId* const above = std::upper_bound(inner->lows + 1, inner->lows + inner->count, id);
      const int child = static_cast<int>(above - inner->lows) - 1;
      path->steps[level] = {inner, child};
      node = inner->children[child];
    }
    path->leaf = static_cast<Leaf*>(node);
    Slot* const slots = path->leaf->slots();
    const Slot* const at = std::lower_bound(slots, slots + path->leaf->count, id,
                                            [](const Slot& slot, StreamId wanted) { return slot.id < wanted; });
    path->slot = static_cast<int>(at - slots);
  }

  void* Counted(void* block) {
    CHECK(block != nullptr);
    *account_ += malloc_usable_size(block);
    return block;
  }
  Leaf* NewLeaf(int capacity) {
    auto* const leaf = new (Counted(std::malloc(sizeof(Leaf) + static_cast<size_t>(capacity) * sizeof(Slot)))) Leaf;
    ++nodes_;
    leaf->prev = leaf->next = nullptr;
    leaf->count = 0;
    leaf->capacity = static_cast<uint16_t>(capacity);
    return leaf;
  }
  Inner* NewInner() {
    auto* const inner = new (Counted(std::malloc(sizeof(Inner)))) Inner;
    ++nodes_;
    inner->count = 0;
    return inner;
  }
  void FreeNode(void* node) {
    *account_ -= malloc_usable_size(node);
    --nodes_;
    std::free(node);
  }
  void FreeBelow(void* node, int depth) {
    if (depth > 0) {
      auto& inner = *static_cast<Inner*>(node);
      for (int i = 0; i < inner.count; ++i) FreeBelow(inner.children[i], depth - 1);
    }
    FreeNode(node);
  }
  void FreeLeaf(Leaf* leaf) {
    if (leaf->prev != nullptr) leaf->prev->next = leaf->next;
    if (leaf->next != nullptr) leaf->next->prev = leaf->prev;
    FreeNode(leaf);
  }

  template <typename T>
  static void Shift(T* array, int from, int count, int by) {
    std::memmove(static_cast<void*>(array + from + by), array + from, static_cast<size_t>(count - from) * sizeof(T));
  }
  static void InsertChild(Inner& inner, int child, void* node, StreamId low) {
    Shift(inner.children, child, inner.count, 1);
    Shift(inner.lows, child, inner.count, 1);
    inner.children[child] = node;
    inner.lows[child] = low;
    ++inner.count;
  }
  static void RemoveChild(Inner& inner, int child) {
    Shift(inner.children, child + 1, inner.count, -1);
    Shift(inner.lows, child + 1, inner.count, -1);
    --inner.count;
  }

  void MakeRoom(const Path& path);
  void SplitLeaf(Inner& parent, int child, int at);
  void SplitInner(Inner& parent, int child, int at);
  void JoinLeaf(Inner& parent, int child);
  void JoinInner(Inner& parent, int child);
  uint64_t ValidateBelow(void* node, int depth, StreamId low, const StreamId* end, Leaf** last,
                         size_t* bytes) const;

  size_t* account_;
  void* root_ = nullptr;  // nullptr: empty. A Leaf if depth_ is 0
  int depth_ = 0;         // inner nodes on the way to a leaf
  uint64_t size_ = 0;
  uint64_t nodes_ = 0;
};

template <typename Value>
void IdTree<Value>::SplitLeaf(Inner& parent, int child, int at) {
  auto& left = *static_cast<Leaf*>(parent.children[child]);
  auto& right = *NewLeaf(kLeafSlots);
  right.prev = &left;
  right.next = left.next;
  if (left.next != nullptr) left.next->prev = &right;
  left.next = &right;
  right.count = static_cast<uint16_t>(left.count - at);
  std::copy(left.slots() + at, left.slots() + left.count, right.slots());
  left.count = static_cast<uint16_t>(at);
  InsertChild(parent, child + 1, &right, right.slots()[0].id);
}

template <typename Value>
void IdTree<Value>::SplitInner(Inner& parent, int child, int at) {
  auto& left = *static_cast<Inner*>(parent.children[child]);
  auto& right = *NewInner();
  for (int i = at; i < left.count; ++i) InsertChild(right, i - at, left.children[i], left.lows[i]);
  left.count = at;
  InsertChild(parent, child + 1, &right, right.lows[0]);
}

// The leaf is full: one step towards room for the ID that belongs at path.slot.
template <typename Value>
void IdTree<Value>::MakeRoom(const Path& path) {
  if (path.leaf->capacity < kLeafSlots) {  // the only one
    Leaf* const larger = NewLeaf(std::min(kLeafSlots, path.leaf->capacity * 2 + 2));
    larger->count = path.leaf->count;
    std::copy(path.leaf->slots(), path.leaf->slots() + path.leaf->count, larger->slots());
    FreeNode(path.leaf);
    root_ = larger;
    return;
  }
  // The lowest node on the way with room for one more child. If there is none, there will be a new root.
  int level = depth_ - 1;
  while (level >= 0 && path.steps[level].node->count == kChildren) --level;
  Inner* parent = nullptr;
  int child = 0;
  if (level >= 0) {
    parent = path.steps[level].node;
    child = path.steps[level].child;
  } else {
    CHECK(depth_ + 1 < kMaxDepth);
    parent = NewInner();
    InsertChild(*parent, 0, root_, kMinStreamId);
    root_ = parent;
    ++depth_;
    level = 0;
  }
  const bool appends = path.leaf->next == nullptr && path.slot == path.leaf->count;
  const bool prepends = path.leaf->prev == nullptr && path.slot == 0;
  const bool is_leaf = level == depth_ - 1;
  const int count = is_leaf ? kLeafSlots : kChildren;
  const int at = appends ? count - 1 : prepends ? 1 : count / 2;
  is_leaf ? SplitLeaf(*parent, child, at) : SplitInner(*parent, child, at);
}

template <typename Value>
typename IdTree<Value>::Inserted IdTree<Value>::Insert(StreamId id, const Value& value) {
  if (root_ == nullptr) root_ = NewLeaf(1);
  Path path;
  for (Descend(id, &path);; Descend(id, &path)) {
    if (IsAt(path, id)) return {&path.leaf->slots()[path.slot].value, false};
    if (path.leaf->count < path.leaf->capacity) break;
    MakeRoom(path);
  }
  Leaf& leaf = *path.leaf;
  Shift(leaf.slots(), path.slot, leaf.count, 1);
  Slot* const slot = new (&leaf.slots()[path.slot]) Slot{id, value};
  ++leaf.count;
  ++size_;
  return {&slot->value, true};
}

template <typename Value>
bool IdTree<Value>::Erase(StreamId id) {
  if (root_ == nullptr) return false;
  Path path;
  Descend(id, &path);
  if (!IsAt(path, id)) return false;
  if (size_ == 1) {
    Clear();
    return true;
  }
  Leaf& leaf = *path.leaf;
  Shift(leaf.slots(), path.slot + 1, leaf.count, -1);
  --leaf.count;
  --size_;
  int level = depth_ - 1;  // the lowest one whose node stays
  if (leaf.count == 0) {
    FreeLeaf(&leaf);
    RemoveChild(*path.steps[level].node, path.steps[level].child);
    while (path.steps[level].node->count == 0) {
      FreeNode(path.steps[level].node);
      --level;
      RemoveChild(*path.steps[level].node, path.steps[level].child);
    }
  } else if (level >= 0) {
    JoinLeaf(*path.steps[level].node, path.steps[level].child);
  }
  for (; level > 0; --level) JoinInner(*path.steps[level - 1].node, path.steps[level - 1].child);
  while (depth_ > 0 && static_cast<Inner*>(root_)->count == 1) {
    void* const child = static_cast<Inner*>(root_)->children[0];
    FreeNode(root_);
    root_ = child;
    --depth_;
  }
  return true;
}

// Joins the child with a neighbour if it is small enough.
template <typename Value>
void IdTree<Value>::JoinLeaf(Inner& parent, int child) {
  const auto count = [&](int i) {
    return i >= 0 && i < parent.count ? static_cast<Leaf*>(parent.children[i])->count : 255;  // 255: never joined
  };
  if (count(child) >= kLeafSlots / 4) return;
  const int left = count(child - 1) <= count(child + 1) ? child - 1 : child;
  if (count(left) + count(left + 1) > kLeafSlots * 3 / 4) return;
  auto& to = *static_cast<Leaf*>(parent.children[left]);
  auto* const from = static_cast<Leaf*>(parent.children[left + 1]);
  std::copy(from->slots(), from->slots() + from->count, to.slots() + to.count);
  to.count = static_cast<uint16_t>(to.count + from->count);
  RemoveChild(parent, left + 1);
  FreeLeaf(from);
}

template <typename Value>
void IdTree<Value>::JoinInner(Inner& parent, int child) {
  const auto count = [&](int i) {
    return i >= 0 && i < parent.count ? static_cast<Inner*>(parent.children[i])->count : 255;  // 255: never joined
  };
  if (count(child) >= kChildren / 4) return;
  const int left = count(child - 1) <= count(child + 1) ? child - 1 : child;
  if (count(left) + count(left + 1) > kChildren * 3 / 4) return;
  auto& to = *static_cast<Inner*>(parent.children[left]);
  auto* const from = static_cast<Inner*>(parent.children[left + 1]);
  from->lows[0] = parent.lows[left + 1];
  for (int i = 0; i < from->count; ++i) InsertChild(to, to.count, from->children[i], from->lows[i]);
  RemoveChild(parent, left + 1);
  FreeNode(from);
}

// end: IDs below it; nullptr: any.
template <typename Value>
uint64_t IdTree<Value>::ValidateBelow(void* node, int depth, StreamId low, const StreamId* end, Leaf** last,
                                      size_t* bytes) const {
  *bytes += malloc_usable_size(node);
  if (depth == 0) {
    auto& leaf = *static_cast<Leaf*>(node);
    CHECK(leaf.count > 0 && leaf.count <= leaf.capacity && leaf.capacity <= kLeafSlots && leaf.prev == *last);
    CHECK(leaf.capacity == kLeafSlots || node == root_);
    CHECK(*last == nullptr || (*last)->next == &leaf);
    for (int i = 0; i < leaf.count; ++i) {
      CHECK(i == 0 ? leaf.slots()[0].id >= low : leaf.slots()[i - 1].id < leaf.slots()[i].id);
    }
    CHECK(end == nullptr || leaf.slots()[leaf.count - 1].id < *end);
    *last = &leaf;
    return leaf.count;
  }
  auto& inner = *static_cast<Inner*>(node);
  CHECK(inner.count > 0 && inner.count <= kChildren && (node != root_ || inner.count > 1));
  uint64_t size = 0;
  for (int i = 0; i < inner.count; ++i) {
    const StreamId* const next = i + 1 < inner.count ? &inner.lows[i + 1] : end;
    size += ValidateBelow(inner.children[i], depth - 1, i == 0 ? low : inner.lows[i], next, last, bytes);
  }
  return size;
}

template <typename Value>
size_t IdTree<Value>::Validate() const {
  CHECK((root_ == nullptr) == (size_ == 0) && (root_ != nullptr || (depth_ == 0 && nodes_ == 0)));
  if (root_ == nullptr) return 0;
  Leaf* last = nullptr;
  size_t bytes = 0;
  CHECK(ValidateBelow(root_, depth_, kMinStreamId, nullptr, &last, &bytes) == size_ && last->next == nullptr);
  return bytes;
}

}  // namespace understudy::types
