#include "node/types/list.h"

#include <malloc.h>

#include <cstdlib>
#include <optional>

#include "common/check.h"

namespace understudy::types {

using Position = ListpackView::Position;

List::List() : List(Encoding::kListpack, Listpack().Release()) {}

List List::OfNodes() { return List(Encoding::kTable, new Quicklist); }

List::~List() {
  if (rep_ == nullptr) return;
  is_listpack() ? std::free(rep_) : delete &quicklist();
}

List List::Clone() const {
  if (is_listpack()) return List(Encoding::kListpack, Listpack::Copy(listpack().AsBytes()).Release());
  List copy = OfNodes();
  quicklist().CloneTo(&copy.quicklist());
  return copy;
}

uint64_t List::Size() const { return is_listpack() ? listpack().Count() : quicklist().size(); }

size_t List::AllocatedBytes() const {
  if (is_listpack()) return listpack().AllocatedBytes();
  return malloc_usable_size(rep_) + quicklist().AllocatedBytes();
}

template <typename Change>
void List::Edit(Change change) {
  Listpack pack = Listpack::Adopt(rep_);
  change(pack);
  rep_ = pack.Release();
}

void List::Grow(size_t bytes, size_t entries, const NodeLimit& limit) {
  if (!is_listpack() || !limit.Exceeds(listpack().bytes() + bytes, Size() + entries)) return;
  auto* const made = new Quicklist;
  Listpack pack = Listpack::Adopt(rep_);
  if (!pack.empty()) made->AppendPack(std::move(pack));
  rep_ = made;
  encoding_ = Encoding::kTable;
}

void List::Shrink(const NodeLimit& limit, bool shrinking) {
  if (is_listpack()) return;
  const void* const only = quicklist().only_pack();
  if (only == nullptr || !limit.FitsListpack(ListpackView(only).bytes(), Size(), shrinking)) return;
  Listpack pack = quicklist().TakeOnlyPack();
  delete &quicklist();
  rep_ = pack.Release();
  encoding_ = Encoding::kListpack;
}

void List::Compact(const Limits& limits) {
  const NodeLimit limit(limits.list_max_listpack_size);
  is_listpack() ? Grow(0, 0, limit) : Shrink(limit, false);
}

void List::Push(ListEnd end, std::span<const std::string_view> values, const Limits& limits) {
  const NodeLimit limit(limits.list_max_listpack_size);
  size_t bytes = 0;
  for (const std::string_view value : values) bytes += value.size();
  Grow(bytes, values.size(), limit);
  if (!is_listpack()) {
    for (const std::string_view value : values) quicklist().Push(end, value, limit);
    return;
  }
  Edit([&](Listpack& pack) {
    for (const std::string_view value : values) end == ListEnd::kHead ? pack.Prepend(value) : pack.Append(value);
  });
}

bool List::InsertBeside(std::string_view pivot, bool after, std::string_view value, const Limits& limits) {
  const NodeLimit limit(limits.list_max_listpack_size);
  // Whether or not the pivot is there, as in Redis.
  Grow(value.size(), 1, limit);
  if (is_listpack()) {
    const Position at = listpack().Find(listpack().First(), pivot);
    if (at == ListpackView::kNone) return false;
    Edit([&](Listpack& pack) { after ? pack.InsertAfter(at, value) : pack.InsertBefore(at, value); });
    return true;
  }
  std::optional<uint64_t> found;
  Positions(pivot, 1, 0, [&](uint64_t index) {
    found = index;
    return false;
  });
  if (!found) return false;
  quicklist().Insert(after ? *found + 1 : *found, value, limit);
  return true;
}

void List::Set(uint64_t index, std::string_view value, const Limits& limits) {
  CHECK(index < Size());
  const NodeLimit limit(limits.list_max_listpack_size);
  Grow(value.size(), 1, limit);
  if (is_listpack()) return Edit([&](Listpack& pack) { pack.Replace(pack.Seek(static_cast<int64_t>(index)), value); });
  quicklist().Replace(index, value, limit);
  Shrink(limit, true);
}

void List::Erase(uint64_t first, uint64_t count, const Limits& limits) {
  if (count == 0) return;
  CHECK(first < Size() && count <= Size() - first);
  if (is_listpack()) return Edit([&](Listpack& pack) { pack.EraseAt(static_cast<int64_t>(first), count); });
  quicklist().Erase(first, count);
  Shrink(NodeLimit(limits.list_max_listpack_size), true);
}

uint64_t List::EraseEqual(std::string_view value, uint64_t most, ListEnd from, const Limits& limits) {
  uint64_t erased = 0;
  if (!is_listpack()) {
    erased = quicklist().EraseEqual(value, most, from);
    if (erased > 0) Shrink(NodeLimit(limits.list_max_listpack_size), true);
    return erased;
  }
  Edit([&](Listpack& pack) {
    if (from == ListEnd::kHead) {
      for (Position at = pack.First(); erased < most && (at = pack.Find(at, value)) != ListpackView::kNone; ++erased) {
        at = pack.Erase(at);
      }
      return;
    }
    for (Position at = pack.Last(); erased < most && at != ListpackView::kNone;) {
      const Position previous = pack.Previous(at);
      if (pack.Get(at).Is(value)) {
        pack.Erase(at);
        ++erased;
      }
      at = previous;
    }
  });
  return erased;
}

void List::Walk(uint64_t first, uint64_t count, bool reverse, FunctionRef<bool(const ListpackValue&)> fn) const {
  if (!is_listpack()) return quicklist().Walk(first, count, reverse, fn);
  if (count == 0) return;
  const ListpackView pack = listpack();
  CHECK(first + count <= Size());
  Position at = pack.Seek(static_cast<int64_t>(reverse ? first + count - 1 : first));
  while (fn(pack.Get(at)) && --count > 0) at = reverse ? pack.Previous(at) : pack.Next(at);
}

void List::Positions(std::string_view value, int64_t rank, uint64_t max_compared,
                     FunctionRef<bool(uint64_t)> fn) const {
  CHECK(rank != 0);
  const bool reverse = rank < 0;
  uint64_t skip = (reverse ? 0 - static_cast<uint64_t>(rank) : static_cast<uint64_t>(rank)) - 1;
  const uint64_t size = Size();
  uint64_t compared = 0;
  Walk(0, size, reverse, [&](const ListpackValue& element) {
    const uint64_t index = reverse ? size - 1 - compared : compared;
    ++compared;
    if (element.Is(value)) {
      if (skip > 0) {
        --skip;
      } else if (!fn(index)) {
        return false;
      }
    }
    return compared != max_compared;
  });
}

void List::ForEachNode(FunctionRef<void(bool, std::string_view)> fn) const {
  is_listpack() ? fn(false, listpack().AsBytes()) : quicklist().ForEachNode(fn);
}

void List::AppendPack(Listpack pack) {
  if (!pack.empty()) quicklist().AppendPack(std::move(pack));
}

void List::Validate() const {
  is_listpack() ? CHECK(ListpackView::Validate(listpack().AsBytes(), true)) : quicklist().Validate();
}

}  // namespace understudy::types
