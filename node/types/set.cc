#include "node/types/set.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "common/canonical_int.h"
#include "common/check.h"
#include "node/types/distinct.h"

namespace understudy::types {

Set::Set(std::string_view first, size_t count, const Limits& limits) {
  int64_t ignored;
  if (count <= limits.set_max_intset_entries && ParseCanonicalInt(first, &ignored)) {
    encoding_ = Encoding::kIntset;
    rep_ = Intset().Release();
  } else if (count <= limits.set_max_listpack_entries) {
    encoding_ = Encoding::kListpack;
    rep_ = Listpack().Release();
  } else {
    encoding_ = Encoding::kTable;
    rep_ = new Table;
  }
}

Set::~Set() {
  if (rep_ == nullptr) return;
  if (encoding_ == Encoding::kTable) {
    delete &table();
  } else {
    std::free(rep_);
  }
}

std::optional<Set> Set::FromListpack(std::string_view bytes, const Limits& limits) {
  if (!ListpackView::Validate(bytes, true)) return std::nullopt;
  const ListpackView pack(bytes.data());
  if (!AllDistinct(pack, 1)) return std::nullopt;
  Set set(Encoding::kListpack, Listpack::Copy(bytes).Release());
  if (set.Size() > limits.set_max_listpack_entries) set.ConvertToTable();
  return set;
}

std::optional<Set> Set::FromIntset(std::string_view bytes, const Limits& limits) {
  if (!IntsetView::Validate(bytes, true)) return std::nullopt;
  Set set(Encoding::kIntset, Intset::Copy(bytes).Release());
  if (set.Size() > limits.set_max_intset_entries) set.ConvertToTable();
  return set;
}

template <typename Fn>
auto Set::EditPack(Fn fn) {
  Listpack pack = Listpack::Adopt(rep_);
  const auto result = fn(pack);
  rep_ = pack.Release();
  return result;
}

template <typename Fn>
auto Set::EditIntset(Fn fn) {
  Intset set = Intset::Adopt(rep_);
  const auto result = fn(set);
  rep_ = set.Release();
  return result;
}

size_t Set::Size() const {
  switch (encoding_) {
    case Encoding::kListpack: return pack().Count();
    case Encoding::kIntset: return integers().Count();
    case Encoding::kTable: return table().size();
  }
  CHECK(false);
}

size_t Set::AllocatedBytes() const {
  switch (encoding_) {
    case Encoding::kListpack: return pack().AllocatedBytes();
    case Encoding::kIntset: return integers().AllocatedBytes();
    case Encoding::kTable: return table().AllocatedBytes();
  }
  CHECK(false);
}

std::string_view Set::AsBytes() const {
  CHECK(encoding_ != Encoding::kTable);
  return encoding_ == Encoding::kListpack ? pack().AsBytes() : integers().AsBytes();
}

Set Set::Clone() const {
  switch (encoding_) {
    case Encoding::kListpack: return Set(encoding_, Listpack::Copy(AsBytes()).Release());
    case Encoding::kIntset: return Set(encoding_, Intset::Copy(AsBytes()).Release());
    case Encoding::kTable: break;
  }
  Set copy(Encoding::kTable, new Table);
  table().ForEach([&](SetMember* member) { return copy.AddToTable(member->text()); });
  return copy;
}

bool Set::Contains(std::string_view member) const {
  switch (encoding_) {
    case Encoding::kListpack: return pack().Find(pack().First(), member) != ListpackView::kNone;
    case Encoding::kIntset: {
      int64_t integer;
      return ParseCanonicalInt(member, &integer) && integers().Contains(integer);
    }
    case Encoding::kTable: return table().Find(member) != nullptr;
  }
  CHECK(false);
}

bool Set::AddToTable(std::string_view member) {
  const Table::Place place = table().Locate(member);
  if (place) return false;
  table().Insert(place, SetMember::New(member));
  return true;
}

void Set::ConvertToTable() {
  Set large(Encoding::kTable, new Table);
  ListpackValue::Buffer buffer;
  ForEach([&](const Member& member) {
    large.AddToTable(member.Text(buffer));
    return true;
  });
  *this = std::move(large);
}

void Set::ConvertToListpack() {
  Listpack members;
  ForEach([&](const Member& member) { return members.Append(member.integer()) != ListpackView::kNone; });
  *this = Set(Encoding::kListpack, members.Release());
}

void Set::Expect(size_t count, const Limits& limits) {
  if ((encoding_ == Encoding::kListpack && count > limits.set_max_listpack_entries) ||
      (encoding_ == Encoding::kIntset && count > limits.set_max_intset_entries)) {
    ConvertToTable();
  }
}

// Whether one more member, which is there not yet, may be in a listpack with those that are there.
bool Set::FitsListpack(std::string_view member, const Limits& limits) const {
  if (Size() >= limits.set_max_listpack_entries || member.size() > limits.set_max_listpack_value) return false;
  if (encoding_ == Encoding::kListpack) return pack().HasRoomFor(member.size());
  const size_t count = integers().Count();
  if (count == 0) return true;
  const size_t longest = std::max(Member(integers().Get(0)).TextSize(), Member(integers().Get(count - 1)).TextSize());
  // An integer takes ten bytes at most.
  return longest <= limits.set_max_listpack_value && count * 10 + member.size() <= ListpackView::kMaxBytes;
}

bool Set::Add(std::string_view member, const Limits& limits) {
  if (encoding_ == Encoding::kTable) return AddToTable(member);
  if (encoding_ == Encoding::kIntset) {
    int64_t integer;
    if (ParseCanonicalInt(member, &integer)) {
      const bool added = EditIntset([integer](Intset& set) { return set.Add(integer); });
      if (added && Size() > limits.set_max_intset_entries) ConvertToTable();
      return added;
    }
  } else if (Contains(member)) {
    return false;
  }
  if (!FitsListpack(member, limits)) {
    ConvertToTable();
    return AddToTable(member);
  }
  if (encoding_ == Encoding::kIntset) ConvertToListpack();
  EditPack([member](Listpack& pack) { return pack.Append(member); });
  return true;
}

bool Set::Erase(std::string_view member) {
  switch (encoding_) {
    case Encoding::kListpack: {
      const auto at = pack().Find(pack().First(), member);
      if (at == ListpackView::kNone) return false;
      EditPack([at](Listpack& pack) { return pack.Erase(at); });
      return true;
    }
    case Encoding::kIntset: {
      int64_t integer;
      return ParseCanonicalInt(member, &integer) &&
             EditIntset([integer](Intset& set) { return set.Erase(integer); });
    }
    case Encoding::kTable: {
      const Table::Place place = table().Locate(member);
      if (!place) return false;
      SetMember::Delete(table().Remove(place));
      return true;
    }
  }
  CHECK(false);
}

void Set::TryIntset(const Limits& limits) {
  if (encoding_ == Encoding::kIntset || Size() > limits.set_max_intset_entries) return;
  Intset integers;
  const bool all = ForEach([&](const Member& member) {
    ListpackValue::Buffer buffer;
    int64_t integer;
    return ParseCanonicalInt(member.Text(buffer), &integer) && integers.Add(integer);
  });
  if (all) *this = Set(Encoding::kIntset, integers.Release());
}

bool Set::ForEach(FunctionRef<bool(const Member&)> fn) const {
  switch (encoding_) {
    case Encoding::kListpack:
      for (auto at = pack().First(); at != ListpackView::kNone; at = pack().Next(at)) {
        if (!fn(pack().Get(at))) return false;
      }
      return true;
    case Encoding::kIntset:
      for (size_t i = 0; i < integers().Count(); ++i) {
        if (!fn(Member(integers().Get(i)))) return false;
      }
      return true;
    case Encoding::kTable: return table().ForEach([&](SetMember* member) { return fn(Member(member->text())); });
  }
  CHECK(false);
}

uint64_t Set::Scan(uint64_t cursor, FunctionRef<void(const Member&)> fn) const {
  if (encoding_ == Encoding::kTable) {
    return table().Scan(cursor, [&](SetMember* member) { fn(Member(member->text())); });
  }
  ForEach([&](const Member& member) {
    fn(member);
    return true;
  });
  return 0;
}

Set::Member Set::Random(uint64_t random) const {
  CHECK(Size() > 0);
  switch (encoding_) {
    case Encoding::kListpack: return pack().Get(pack().Seek(static_cast<int64_t>(RandomBelow(random, Size()))));
    case Encoding::kIntset: return Member(integers().Get(RandomBelow(random, Size())));
    case Encoding::kTable: return Member(table().Random(random)->text());
  }
  CHECK(false);
}

std::string Set::Pop(uint64_t random) {
  if (encoding_ == Encoding::kListpack) {
    CHECK(Size() > 0);
    const auto at = pack().Seek(static_cast<int64_t>(RandomBelow(random, Size())));
    std::string member = pack().Get(at).ToString();
    EditPack([at](Listpack& pack) { return pack.Erase(at); });
    return member;
  }
  std::string member = Random(random).ToString();
  CHECK(Erase(member));
  return member;
}

void Set::SampleDistinct(size_t count, Random64 random, FunctionRef<void(const Member&)> fn) const {
  switch (encoding_) {
    case Encoding::kListpack: {
      auto at = pack().First();
      size_t index = 0;
      SelectInOrder(Size(), count, random, [&](size_t selected) {
        for (; index < selected; ++index) at = pack().Next(at);
        fn(pack().Get(at));
      });
      return;
    }
    case Encoding::kIntset:
      SelectInOrder(Size(), count, random, [&](size_t selected) { fn(Member(integers().Get(selected))); });
      return;
    case Encoding::kTable:
      SelectDistinct(table(), count, random, [&](const SetMember* member) { fn(Member(member->text())); });
      return;
  }
}

void Set::SampleRepeated(size_t count, Random64 random, FunctionRef<void(const Member&)> fn) const {
  if (Size() == 0) return;
  if (encoding_ != Encoding::kListpack || count == 1) {
    for (; count > 0; --count) fn(Random(random()));
    return;
  }
  // One walk finds all places.
  std::vector<ListpackView::Position> places;
  for (auto at = pack().First(); at != ListpackView::kNone; at = pack().Next(at)) places.push_back(at);
  for (; count > 0; --count) fn(pack().Get(places[RandomBelow(random(), places.size())]));
}

void Set::Validate() const {
  switch (encoding_) {
    case Encoding::kListpack: CHECK(ListpackView::Validate(AsBytes(), true) && AllDistinct(pack(), 1)); return;
    case Encoding::kIntset: CHECK(Size() == 0 || IntsetView::Validate(AsBytes(), true)); return;
    case Encoding::kTable: table().Validate(); return;
  }
}

}  // namespace understudy::types
