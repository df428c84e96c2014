#include "node/types/score_tree.h"

#include <algorithm>
#include <bit>
#include <cstdlib>

namespace understudy::types {
namespace {

// Rises with the score; the same for both zeros.
uint64_t Sortable(double score) {
  if (score == 0) score = 0;
  const auto bits = std::bit_cast<uint64_t>(score);
  return bits >> 63 != 0 ? ~bits : bits | uint64_t{1} << 63;
}

template <typename T>
void Shift(T* array, int from, int count, int by) {
  std::memmove(array + from + by, array + from, static_cast<size_t>(count - from) * sizeof(T));
}

}  // namespace

ScoreTree::~ScoreTree() {
  if (root_ != nullptr) FreeBelow(root_, depth_);
}

template <typename Node>
Node* ScoreTree::NewNode() {
  void* const block = std::malloc(sizeof(Node));
  CHECK(block != nullptr);
  bytes_ += malloc_usable_size(block);
  auto* const node = new (block) Node;
  node->count = 0;
  return node;
}

void ScoreTree::FreeNode(void* node) {
  bytes_ -= malloc_usable_size(node);
  std::free(node);
}

void ScoreTree::FreeBelow(void* node, int depth) {
  if (depth > 0) {
    auto& inner = *static_cast<Inner*>(node);
    for (int i = 0; i < inner.count; ++i) FreeBelow(inner.children[i], depth - 1);
  }
  FreeNode(node);
}

uint16_t ScoreTree::Hint(const Leaf& leaf, double score) {
  const uint64_t sortable = Sortable(score);
  if (sortable <= leaf.base) return 0;
  return static_cast<uint16_t>(std::min<uint64_t>((sortable - leaf.base) >> leaf.shift, UINT16_MAX));
}

uint64_t ScoreTree::Slot(const Leaf& leaf, const ScoredMember* member) {
  return reinterpret_cast<uint64_t>(member) | static_cast<uint64_t>(Hint(leaf, member->score())) << kPointerBits;
}

void ScoreTree::ChooseHints(Leaf& leaf) {
  leaf.base = Sortable(MemberOf(leaf.slots[0])->score());
  const uint64_t span = Sortable(MemberOf(leaf.slots[leaf.count - 1])->score()) - leaf.base;
  // The present scores take half of the range: a leaf at the end grows upwards.
  leaf.shift = static_cast<uint8_t>(std::max(0, static_cast<int>(std::bit_width(span)) - 15));
  for (int i = 0; i < leaf.count; ++i) leaf.slots[i] = Slot(leaf, MemberOf(leaf.slots[i]));
}

bool ScoreTree::IsBefore(double score, const ScoredMember* member, const Place& place) {
  using Kind = Place::Kind;
  if (place.kind < Kind::kBeforeName) {
    if (score != place.score) return score < place.score;
    if (place.kind == Kind::kBeforeScore) return false;
    if (place.kind == Kind::kAfterScore) return true;
  }
  const int order = member->member().compare(place.member);
  return order < 0 || (order == 0 && (place.kind == Kind::kAfterMember || place.kind == Kind::kAfterName));
}

int ScoreTree::CountBefore(const Leaf& leaf, const Place& place) {
  const uint64_t* low = leaf.slots;
  const uint64_t* high = leaf.slots + leaf.count;
  if (place.kind < Place::Kind::kBeforeName) {
    // Only members whose hint is the same need a look.
    const uint64_t hint = Hint(leaf, place.score);
    low = std::lower_bound(low, high, hint << kPointerBits);
    if (hint < UINT16_MAX) high = std::lower_bound(low, high, (hint + 1) << kPointerBits);
  }
  const uint64_t* const found = std::partition_point(
      low, high, [&](uint64_t slot) { return IsBefore(MemberOf(slot)->score(), MemberOf(slot), place); });
  return static_cast<int>(found - leaf.slots);
}

int ScoreTree::ChildOf(const Inner& inner, const Place& place) {
  const Low* const found = std::partition_point(inner.lows + 1, inner.lows + inner.count, [&](const Low& low) {
    return IsBefore(low.score, low.member, place);
  });
  return static_cast<int>(found - inner.lows) - 1;
}

void ScoreTree::Descend(const Place& place, Path* path) const {
  void* node = root_;
  for (int level = 0; level < depth_; ++level) {
    auto* const inner = static_cast<Inner*>(node);
    const int child = ChildOf(*inner, place);
    path->steps[level] = {inner, child};
    node = inner->children[child];
  }
  path->leaf = static_cast<Leaf*>(node);
  path->slot = CountBefore(*path->leaf, place);
}

ScoreTree::Low ScoreTree::LowOf(const void* node, int depth) {
  if (depth > 0) return static_cast<const Inner*>(node)->lows[0];
  const ScoredMember* const member = MemberOf(static_cast<const Leaf*>(node)->slots[0]);
  return {member->score(), member};
}

void ScoreTree::Refresh(const Path& path, int from, int64_t added, bool lows) {
  for (int level = from; level >= 0; --level) {
    const auto [node, child] = path.steps[level];
    node->sizes[child] += static_cast<uint64_t>(added);
    if (lows) node->lows[child] = LowOf(node->children[child], depth_ - level - 1);
  }
}

void ScoreTree::InsertChild(Inner& inner, int child, void* node, uint64_t size, Low low) {
  Shift(inner.children, child, inner.count, 1);
  Shift(inner.sizes, child, inner.count, 1);
  Shift(inner.lows, child, inner.count, 1);
  inner.children[child] = node;
  inner.sizes[child] = size;
  inner.lows[child] = low;
  ++inner.count;
}

void ScoreTree::RemoveChild(Inner& inner, int child) {
  Shift(inner.children, child + 1, inner.count, -1);
  Shift(inner.sizes, child + 1, inner.count, -1);
  Shift(inner.lows, child + 1, inner.count, -1);
  --inner.count;
}

void ScoreTree::SplitLeaf(Inner& parent, int child, int at) {
  auto& left = *static_cast<Leaf*>(parent.children[child]);
  auto& right = *NewNode<Leaf>();
  right.prev = &left;
  right.next = left.next;
  if (left.next != nullptr) left.next->prev = &right;
  left.next = &right;
  right.count = static_cast<uint8_t>(left.count - at);
  std::copy(left.slots + at, left.slots + left.count, right.slots);
  left.count = static_cast<uint8_t>(at);
  ChooseHints(left);
  ChooseHints(right);
  parent.sizes[child] = left.count;
  InsertChild(parent, child + 1, &right, right.count, LowOf(&right, 0));
}

void ScoreTree::SplitInner(Inner& parent, int child, int at) {
  auto& left = *static_cast<Inner*>(parent.children[child]);
  auto& right = *NewNode<Inner>();
  uint64_t moved = 0;
  for (int i = at; i < left.count; ++i) {
    InsertChild(right, i - at, left.children[i], left.sizes[i], left.lows[i]);
    moved += left.sizes[i];
  }
  left.count = at;
  parent.sizes[child] -= moved;
  InsertChild(parent, child + 1, &right, moved, right.lows[0]);
}

void ScoreTree::MakeRoom(const Path& path) {
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
    parent = NewNode<Inner>();
    InsertChild(*parent, 0, root_, size_, LowOf(root_, depth_));
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

void ScoreTree::Insert(ScoredMember* member) {
  if (root_ == nullptr) {
    auto* const leaf = NewNode<Leaf>();
    leaf->prev = leaf->next = nullptr;
    leaf->base = leaf->shift = 0;
    root_ = leaf;
  }
  const Place place = {Place::Kind::kBeforeMember, member->score(), member->member()};
  Path path;
  for (Descend(place, &path); path.leaf->count == kLeafSlots; Descend(place, &path)) MakeRoom(path);
  Leaf& leaf = *path.leaf;
  Shift(leaf.slots, path.slot, leaf.count, 1);
  leaf.slots[path.slot] = Slot(leaf, member);
  ++leaf.count;
  if (std::has_single_bit(leaf.count)) ChooseHints(leaf);
  ++size_;
  Refresh(path, depth_ - 1, 1, path.slot == 0);
}

void ScoreTree::Erase(const ScoredMember* member) {
  CHECK(size_ > 0);
  Path path;
  Descend({Place::Kind::kAfterMember, member->score(), member->member()}, &path);
  --path.slot;
  CHECK(path.slot >= 0 && MemberOf(path.leaf->slots[path.slot]) == member);
  RemoveSlots(path, 1);
}

void ScoreTree::UpdateScore(ScoredMember* member, double score) {
  CHECK(size_ > 0 && !std::isnan(score));
  if (score == member->score()) {
    member->score_ = score;  // the sign of a zero may differ
    return;
  }
  Path path;
  Descend({Place::Kind::kAfterMember, member->score(), member->member()}, &path);
  --path.slot;
  CHECK(path.slot >= 0 && MemberOf(path.leaf->slots[path.slot]) == member);
  // Most changes are small: the member stays where it is.
  Cursor before(path.leaf, path.slot);
  Cursor after = before;
  before.Prev();
  after.Next();
  const Place place = {Place::Kind::kBeforeMember, score, member->member()};
  if ((!before || IsBefore(before->score(), before.get(), place)) &&
      (!after || !IsBefore(after->score(), after.get(), place))) {
    member->score_ = score;
    path.leaf->slots[path.slot] = Slot(*path.leaf, member);
    if (path.slot == 0) Refresh(path, depth_ - 1, 0, true);
    return;
  }
  RemoveSlots(path, 1);
  member->score_ = score;
  Insert(member);
}

void ScoreTree::FreeLeaf(Leaf* leaf) {
  if (leaf->prev != nullptr) leaf->prev->next = leaf->next;
  if (leaf->next != nullptr) leaf->next->prev = leaf->prev;
  FreeNode(leaf);
}

void ScoreTree::JoinLeaf(Inner& parent, int child) {
  const auto count = [&](int i) {
    return i >= 0 && i < parent.count ? static_cast<Leaf*>(parent.children[i])->count : 255;  // 255: never joined
  };
  if (count(child) >= kLeafSlots / 4) return;
  const int left = count(child - 1) <= count(child + 1) ? child - 1 : child;
  if (count(left) + count(left + 1) > kLeafSlots * 3 / 4) return;
  auto& to = *static_cast<Leaf*>(parent.children[left]);
  auto* const from = static_cast<Leaf*>(parent.children[left + 1]);
  std::copy(from->slots, from->slots + from->count, to.slots + to.count);
  to.count = static_cast<uint8_t>(to.count + from->count);
  ChooseHints(to);
  parent.sizes[left] = to.count;
  RemoveChild(parent, left + 1);
  FreeLeaf(from);
}

void ScoreTree::JoinInner(Inner& parent, int child) {
  const auto count = [&](int i) {
    return i >= 0 && i < parent.count ? static_cast<Inner*>(parent.children[i])->count : 255;  // 255: never joined
  };
  if (count(child) >= kChildren / 4) return;
  const int left = count(child - 1) <= count(child + 1) ? child - 1 : child;
  if (count(left) + count(left + 1) > kChildren * 3 / 4) return;
  auto& to = *static_cast<Inner*>(parent.children[left]);
  auto* const from = static_cast<Inner*>(parent.children[left + 1]);
  for (int i = 0; i < from->count; ++i) InsertChild(to, to.count, from->children[i], from->sizes[i], from->lows[i]);
  parent.sizes[left] += parent.sizes[left + 1];
  RemoveChild(parent, left + 1);
  FreeNode(from);
}

void ScoreTree::RemoveSlots(const Path& path, int n) {
  Leaf& leaf = *path.leaf;
  Shift(leaf.slots, path.slot + n, leaf.count, -n);
  leaf.count = static_cast<uint8_t>(leaf.count - n);
  size_ -= static_cast<uint64_t>(n);
  if (size_ == 0) {
    FreeBelow(root_, depth_);
    root_ = nullptr;
    depth_ = 0;
    return;
  }
  int level = depth_ - 1;  // the lowest one whose node stays
  if (leaf.count == 0) {
    FreeLeaf(&leaf);
    RemoveChild(*path.steps[level].node, path.steps[level].child);
    while (path.steps[level].node->count == 0) {
      FreeNode(path.steps[level].node);
      --level;
      RemoveChild(*path.steps[level].node, path.steps[level].child);
    }
    Refresh(path, level - 1, -n, true);
  } else {
    Refresh(path, level, -n, path.slot == 0);
    if (level >= 0) JoinLeaf(*path.steps[level].node, path.steps[level].child);
  }
  for (; level > 0; --level) JoinInner(*path.steps[level - 1].node, path.steps[level - 1].child);
  while (depth_ > 0 && static_cast<Inner*>(root_)->count == 1) {
    void* const child = static_cast<Inner*>(root_)->children[0];
    FreeNode(root_);
    root_ = child;
    --depth_;
  }
}

uint64_t ScoreTree::CountBefore(const Place& place) const {
  if (root_ == nullptr) return 0;
  Path path;
  Descend(place, &path);
  auto before = static_cast<uint64_t>(path.slot);
  for (int level = 0; level < depth_; ++level) {
    for (int i = 0; i < path.steps[level].child; ++i) before += path.steps[level].node->sizes[i];
  }
  return before;
}

ScoreTree::Cursor ScoreTree::AtRank(uint64_t rank) const {
  if (rank >= size_) return {};
  const void* node = root_;
  for (int level = 0; level < depth_; ++level) {
    const auto& inner = *static_cast<const Inner*>(node);
    int child = 0;
    for (; rank >= inner.sizes[child]; ++child) rank -= inner.sizes[child];
    node = inner.children[child];
  }
  return {static_cast<const Leaf*>(node), static_cast<int>(rank)};
}

ScoreTree::Cursor ScoreTree::First() const { return AtRank(0); }

ScoreTree::Cursor ScoreTree::Last() const { return AtRank(size_ - 1); }

int ScoreTree::EraseSome(uint64_t first, uint64_t count, ScoredMember** out) {
  Path path;
  void* node = root_;
  for (int level = 0; level < depth_; ++level) {
    auto* const inner = static_cast<Inner*>(node);
    int child = 0;
    for (; first >= inner->sizes[child]; ++child) first -= inner->sizes[child];
    path.steps[level] = {inner, child};
    node = inner->children[child];
  }
  path.leaf = static_cast<Leaf*>(node);
  path.slot = static_cast<int>(first);
  const int n = static_cast<int>(std::min<uint64_t>(count, static_cast<uint64_t>(path.leaf->count - path.slot)));
  for (int i = 0; i < n; ++i) out[i] = MemberOf(path.leaf->slots[path.slot + i]);
  RemoveSlots(path, n);
  return n;
}

void ScoreTree::EraseRange(uint64_t first, uint64_t count, FunctionRef<void(ScoredMember*)> erased) {
  while (count > 0 && first < size_) {
    ScoredMember* out[kLeafSlots];
    const int n = EraseSome(first, count, out);
    for (int i = 0; i < n; ++i) erased(out[i]);
    count -= static_cast<uint64_t>(n);
  }
}

uint64_t ScoreTree::ValidateBelow(const void* node, int depth, const Leaf** last) const {
  if (depth == 0) {
    const auto& leaf = *static_cast<const Leaf*>(node);
    CHECK(leaf.count > 0 && leaf.count <= kLeafSlots && leaf.prev == *last);
    CHECK(*last == nullptr || (*last)->next == &leaf);
    for (int i = 0; i < leaf.count; ++i) {
      const ScoredMember* const member = MemberOf(leaf.slots[i]);
      CHECK(leaf.slots[i] == Slot(leaf, member));
      Cursor before(&leaf, i);
      before.Prev();
      const Place place = {Place::Kind::kBeforeMember, member->score(), member->member()};
      CHECK(!before || IsBefore(before->score(), before.get(), place));
    }
    *last = &leaf;
    return leaf.count;
  }
  const auto& inner = *static_cast<const Inner*>(node);
  CHECK(inner.count > 0 && inner.count <= kChildren && (node != root_ || inner.count > 1));
  uint64_t size = 0;
  for (int i = 0; i < inner.count; ++i) {
    const Low low = LowOf(inner.children[i], depth - 1);
    CHECK(inner.lows[i].score == low.score && inner.lows[i].member == low.member);
    CHECK(inner.sizes[i] == ValidateBelow(inner.children[i], depth - 1, last));
    size += inner.sizes[i];
  }
  return size;
}

void ScoreTree::Validate() const {
  const Leaf* last = nullptr;
  CHECK((root_ == nullptr) == (size_ == 0) && (root_ != nullptr || (depth_ == 0 && bytes_ == 0)));
  if (root_ == nullptr) return;
  CHECK(ValidateBelow(root_, depth_, &last) == size_ && last->next == nullptr);
}

}  // namespace understudy::types
