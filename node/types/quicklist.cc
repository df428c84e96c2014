#include "node/types/quicklist.h"

#include <malloc.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>

#include "common/check.h"

namespace understudy::types {
namespace {

using Position = ListpackView::Position;

// Beside its text: encoding and back length, generously.
constexpr size_t kEntryBytes = 8;

}  // namespace

NodeLimit::NodeLimit(int64_t setting) : by_entries_(setting >= 0) {
  if (by_entries_) {
    bytes_ = kSafeBytes;
    entries_ = static_cast<size_t>(std::max<int64_t>(setting, 1));
  } else {
    bytes_ = size_t{4096} << (-std::max<int64_t>(setting, -5) - 1);
    entries_ = SIZE_MAX;
  }
}

bool NodeLimit::FitsListpack(size_t bytes, size_t entries, bool shrinking) const {
  const size_t parts = shrinking ? 2 : 1;
  return by_entries_ ? entries <= entries_ / parts : bytes <= bytes_ / parts;
}

Quicklist::~Quicklist() {
  for (size_t i = 0; i < count_; ++i) std::free(At(i).data);
  std::free(ring_);
}

Quicklist::Where Quicklist::Seek(uint64_t index) const {
  CHECK(index < size_);
  if (index < size_ / 2) {
    size_t node = 0;
    for (; index >= At(node).size(); ++node) index -= At(node).size();
    return {node, index};
  }
  uint64_t from_end = size_ - index;  // at least 1
  size_t node = count_ - 1;
  for (; from_end > At(node).size(); --node) from_end -= At(node).size();
  return {node, At(node).size() - from_end};
}

bool Quicklist::Allows(size_t node, size_t value_bytes, const NodeLimit& limit) const {
  const Node& n = At(node);
  if (n.plain() || limit.IsLarge(value_bytes)) return false;
  return !limit.Exceeds(n.bytes().size() + value_bytes + kEntryBytes, n.count + size_t{1});
}

Quicklist::Node Quicklist::NewPlain(std::string_view value) {
  CHECK(value.size() <= UINT32_MAX);
  void* const data = std::malloc(std::max<size_t>(value.size(), 1));
  CHECK(data != nullptr);
  if (!value.empty()) std::memcpy(data, value.data(), value.size());
  bytes_ += malloc_usable_size(data);
  return {data, 0, static_cast<uint32_t>(value.size())};
}

Quicklist::Node Quicklist::Adopted(Listpack pack) {
  const auto count = static_cast<uint32_t>(pack.Count());
  CHECK(count > 0);
  bytes_ += pack.AllocatedBytes();
  return {pack.Release(), count, 0};
}

Quicklist::Node Quicklist::NewNode(std::string_view value, const NodeLimit& limit) {
  if (limit.IsLarge(value.size())) return NewPlain(value);
  Listpack pack;
  pack.Append(value);
  return Adopted(std::move(pack));
}

void Quicklist::Reserve(size_t nodes) {
  if (nodes <= capacity_ && (capacity_ <= 16 || nodes > capacity_ / 4)) return;
  const size_t capacity = std::bit_ceil(std::max<size_t>(nodes, 2));
  auto* const ring = static_cast<Node*>(std::malloc(capacity * sizeof(Node)));
  CHECK(ring != nullptr);
  for (size_t i = 0; i < count_; ++i) ring[i] = At(i);
  bytes_ += malloc_usable_size(ring);
  if (ring_ != nullptr) bytes_ -= malloc_usable_size(ring_);
  std::free(ring_);
  ring_ = ring;
  capacity_ = capacity;
  head_ = 0;
}

void Quicklist::InsertNode(size_t at, const Node& node) {
  Reserve(count_ + 1);
  ++count_;
  if (at < count_ / 2) {
    head_ = (head_ + capacity_ - 1) & (capacity_ - 1);
    for (size_t i = 0; i < at; ++i) At(i) = At(i + 1);
  } else {
    for (size_t i = count_ - 1; i > at; --i) At(i) = At(i - 1);
  }
  At(at) = node;
  size_ += node.size();
}

void Quicklist::RemoveNodes(size_t at, size_t n, bool free_blocks) {
  for (size_t i = at; i < at + n; ++i) {
    Node& node = At(i);
    size_ -= node.size();
    bytes_ -= malloc_usable_size(node.data);
    if (free_blocks) std::free(node.data);
  }
  if (at < count_ / 2) {
    for (size_t i = at; i > 0; --i) At(i + n - 1) = At(i - 1);
    head_ = (head_ + n) & (capacity_ - 1);
  } else {
    for (size_t i = at; i + n < count_; ++i) At(i) = At(i + n);
  }
  count_ -= n;
  if (count_ > 0) Reserve(count_);
}

template <typename Change>
void Quicklist::Edit(Node& node, Change change) {
  bytes_ -= malloc_usable_size(node.data);
  Listpack pack = Listpack::Adopt(node.data);
  change(pack);
  node.data = pack.Release();
  bytes_ += malloc_usable_size(node.data);
}

void Quicklist::InsertInto(size_t at, uint64_t offset, std::string_view value) {
  Node& node = At(at);
  Edit(node, [&](Listpack& pack) {
    if (offset == 0) {
      pack.Prepend(value);
    } else if (offset == node.count) {
      pack.Append(value);
    } else {
      pack.InsertBefore(pack.Seek(static_cast<int64_t>(offset)), value);
    }
  });
  ++node.count;
  ++size_;
}

void Quicklist::Push(ListEnd end, std::string_view value, const NodeLimit& limit) {
  const bool head = end == ListEnd::kHead;
  const size_t node = head ? 0 : count_ - 1;
  if (count_ > 0 && Allows(node, value.size(), limit)) return InsertInto(node, head ? 0 : At(node).count, value);
  // The node that was full will not grow any more.
  if (count_ > 0 && !At(node).plain()) Edit(At(node), [](Listpack& pack) { pack.ShrinkToFit(); });
  InsertNode(head ? 0 : count_, NewNode(value, limit));
}

void Quicklist::Insert(uint64_t index, std::string_view value, const NodeLimit& limit) {
  if (index == 0) return Push(ListEnd::kHead, value, limit);
  if (index == size_) return Push(ListEnd::kTail, value, limit);
  const auto [node, offset] = Seek(index);
  if (Allows(node, value.size(), limit)) return InsertInto(node, offset, value);
  if (offset == 0) {
    if (Allows(node - 1, value.size(), limit)) return InsertInto(node - 1, At(node - 1).count, value);
    return InsertNode(node, NewNode(value, limit));
  }
  Split(node, offset);
  if (Allows(node, value.size(), limit)) {
    InsertInto(node, At(node).count, value);
  } else {
    InsertNode(node + 1, NewNode(value, limit));
  }
  // Parts may be small: they join what is beside them.
  for (size_t i = node + 3; i-- > (node > 0 ? node - 1 : 0);) TryJoin(i, limit);
}

void Quicklist::Split(size_t at, uint64_t offset) {
  Node& node = At(at);
  Listpack behind = Listpack::Copy(node.bytes());
  behind.EraseAt(0, offset);
  behind.ShrinkToFit();
  Edit(node, [&](Listpack& pack) {
    pack.EraseAt(static_cast<int64_t>(offset), node.count - offset);
    pack.ShrinkToFit();
  });
  size_ -= node.count - offset;
  node.count = static_cast<uint32_t>(offset);
  InsertNode(at + 1, Adopted(std::move(behind)));
}

void Quicklist::TryJoin(size_t at, const NodeLimit& limit) {
  if (at + 1 >= count_) return;
  Node& node = At(at);
  const Node& next = At(at + 1);
  if (node.plain() || next.plain()) return;
  if (limit.Exceeds(node.bytes().size() + next.bytes().size(), size_t{node.count} + next.count)) return;
  Edit(node, [&](Listpack& pack) { pack.AppendAll(ListpackView(next.data)); });
  node.count += next.count;
  size_ += next.count;
  RemoveNodes(at + 1, 1, true);
}

void Quicklist::Replace(uint64_t index, std::string_view value, const NodeLimit& limit) {
  const auto [at, offset] = Seek(index);
  Node& node = At(at);
  const bool large = limit.IsLarge(value.size());
  if (node.plain() && large) {
    const Node made = NewPlain(value);
    bytes_ -= malloc_usable_size(node.data);
    std::free(node.data);
    node = made;
  } else if (!node.plain() && !large && ListpackView(node.data).HasRoomFor(value.size() + kEntryBytes)) {
    Edit(node, [&](Listpack& pack) { pack.Replace(pack.Seek(static_cast<int64_t>(offset)), value); });
  } else {
    Insert(index, value, limit);
    Erase(index + 1, 1);
  }
}

void Quicklist::Erase(uint64_t first, uint64_t count) {
  if (count == 0) return;
  CHECK(first < size_ && count <= size_ - first);
  auto [at, offset] = Seek(first);
  const auto erase_in = [&](Node& node, uint64_t from, uint64_t n) {
    Edit(node, [&](Listpack& pack) {
      pack.EraseAt(static_cast<int64_t>(from), n);
      pack.ShrinkToFit();
    });
    node.count -= static_cast<uint32_t>(n);
    size_ -= n;
    count -= n;
  };
  if (offset > 0) {
    Node& node = At(at);
    erase_in(node, offset, std::min<uint64_t>(count, node.count - offset));
    ++at;
  }
  size_t whole = 0;
  for (; count > 0 && count >= At(at + whole).size(); ++whole) count -= At(at + whole).size();
  if (count > 0) erase_in(At(at + whole), 0, count);
  if (whole > 0) RemoveNodes(at, whole, true);
}

uint64_t Quicklist::EraseEqual(std::string_view value, uint64_t most, ListEnd from) {
  const bool head = from == ListEnd::kHead;
  uint64_t erased = 0;
  for (size_t i = head ? 0 : count_; erased < most && (head ? i < count_ : i > 0);) {
    const size_t at = head ? i : i - 1;
    Node& node = At(at);
    uint64_t here = 0;
    if (node.plain()) {
      here = node.bytes() == value ? 1 : 0;
    } else if (const ListpackView view(node.data); view.Find(view.First(), value) != ListpackView::kNone) {
      Edit(node, [&](Listpack& pack) {
        Position p = head ? pack.Find(pack.First(), value) : pack.Last();
        while (p != ListpackView::kNone && erased + here < most) {
          if (head) {
            p = pack.Find(pack.Erase(p), value);
            ++here;
            continue;
          }
          const Position previous = pack.Previous(p);
          if (pack.Get(p).Is(value)) {
            pack.Erase(p);
            ++here;
          }
          p = previous;
        }
        pack.ShrinkToFit();
      });
    }
    erased += here;
    if (here == node.size()) {
      RemoveNodes(at, 1, true);
      if (!head) --i;
      continue;
    }
    node.count -= static_cast<uint32_t>(here);
    size_ -= here;
    head ? ++i : --i;
  }
  return erased;
}

void Quicklist::Walk(uint64_t first, uint64_t count, bool reverse, FunctionRef<bool(const ListpackValue&)> fn) const {
  if (count == 0) return;
  CHECK(first < size_ && count <= size_ - first);
  auto [at, offset] = Seek(reverse ? first + count - 1 : first);
  while (true) {
    const Node& node = At(at);
    if (node.plain()) {
      if (!fn(ListpackValue(node.bytes())) || --count == 0) return;
    } else {
      const ListpackView view(node.data);
      for (Position p = view.Seek(static_cast<int64_t>(offset)); p != ListpackView::kNone;) {
        if (!fn(view.Get(p)) || --count == 0) return;
        p = reverse ? view.Previous(p) : view.Next(p);
      }
    }
    at = reverse ? at - 1 : at + 1;
    offset = reverse ? At(at).size() - 1 : 0;
  }
}

void Quicklist::ForEachNode(FunctionRef<void(bool, std::string_view)> fn) const {
  for (size_t i = 0; i < count_; ++i) fn(At(i).plain(), At(i).bytes());
}

void Quicklist::AppendPack(Listpack pack) { InsertNode(count_, Adopted(std::move(pack))); }

void Quicklist::AppendPlain(std::string_view value) { InsertNode(count_, NewPlain(value)); }

const void* Quicklist::only_pack() const { return count_ == 1 && !At(0).plain() ? At(0).data : nullptr; }

Listpack Quicklist::TakeOnlyPack() {
  CHECK(only_pack() != nullptr);
  void* const block = At(0).data;
  RemoveNodes(0, 1, false);
  return Listpack::Adopt(block);
}

void Quicklist::CloneTo(Quicklist* copy) const {
  copy->Reserve(count_);
  ForEachNode([&](bool plain, std::string_view bytes) {
    plain ? copy->AppendPlain(bytes) : copy->AppendPack(Listpack::Copy(bytes));
  });
}

void Quicklist::Validate() const {
  CHECK(count_ <= capacity_);
  uint64_t size = 0;
  size_t bytes = ring_ != nullptr ? malloc_usable_size(ring_) : 0;
  for (size_t i = 0; i < count_; ++i) {
    const Node& node = At(i);
    CHECK(node.plain() || ListpackView::Validate(node.bytes(), true));
    CHECK(node.plain() || ListpackView(node.data).Count() == node.count);
    size += node.size();
    bytes += malloc_usable_size(node.data);
  }
  CHECK(size == size_ && bytes == bytes_);
}

}  // namespace understudy::types
