#include "node/types/hash.h"

#include <cstdlib>
#include <vector>

#include "common/check.h"
#include "node/types/distinct.h"

namespace understudy::types {

Hash::Hash() : encoding_(Encoding::kListpack), rep_(Listpack().Release()) {}

Hash::~Hash() {
  if (rep_ == nullptr) return;
  if (compact()) {
    std::free(rep_);
  } else {
    delete &table();
  }
}

std::optional<Hash> Hash::FromListpack(std::string_view bytes, const Limits& limits) {
  if (!ListpackView::Validate(bytes, true)) return std::nullopt;
  const ListpackView pack(bytes.data());
  const size_t count = pack.Count();
  if (count % 2 != 0 || !AllDistinct(pack, 2)) return std::nullopt;
  Hash hash(Encoding::kListpack, Listpack::Copy(bytes).Release());
  if (count / 2 > limits.hash_max_listpack_entries) hash.ConvertToTable();
  return hash;
}

template <typename Fn>
auto Hash::EditPack(Fn fn) {
  Listpack pack = Listpack::Adopt(rep_);
  const auto result = fn(pack);
  rep_ = pack.Release();
  return result;
}

size_t Hash::Size() const { return compact() ? pack().Count() / 2 : table().size(); }

size_t Hash::CountLive(int64_t now_ms) const {
  if (!MayHaveExpired(now_ms)) return Size();
  size_t count = 0;
  ForEach(now_ms, [&](const Field&) {
    ++count;
    return true;
  });
  return count;
}

size_t Hash::AllocatedBytes() const { return compact() ? pack().AllocatedBytes() : table().AllocatedBytes(); }

Hash Hash::Clone() const {
  if (compact()) return Hash(Encoding::kListpack, Listpack::Copy(pack().AsBytes()).Release());
  Hash copy(Encoding::kTable, new Table);
  table().ForEach([&](HashField* field) {
    copy.SetAt(copy.table().Locate(field->field()), field->field(), field->value(), field->expire_ms());
    return true;
  });
  return copy;
}

ListpackView::Position Hash::FindPosition(std::string_view name) const {
  return pack().Find(pack().First(), name, 2);
}

Hash::Field Hash::FieldAt(ListpackView::Position at) const {
  return {pack().Get(at), pack().Get(pack().Next(at)), kNoExpire};
}

Hash::Field Hash::FieldOf(const HashField& field) {
  return {ListpackValue(field.field()), ListpackValue(field.value()), field.expire_ms()};
}

std::optional<Hash::Field> Hash::Find(std::string_view name, int64_t now_ms) const {
  if (compact()) {
    const auto at = FindPosition(name);
    if (at == ListpackView::kNone) return std::nullopt;
    return FieldAt(at);
  }
  const HashField* field = table().Find(name);
  if (field == nullptr || field->ExpiredAt(now_ms)) return std::nullopt;
  return FieldOf(*field);
}

void Hash::ConvertToTable() {
  Hash large(Encoding::kTable, new Table);
  ListpackValue::Buffer name, value;
  for (auto at = pack().First(); at != ListpackView::kNone; at = pack().Next(pack().Next(at))) {
    const Field field = FieldAt(at);
    const std::string_view text = field.name.Text(name);
    large.SetAt(large.table().Locate(text), text, field.value.Text(value), kNoExpire);
  }
  *this = std::move(large);
}

void Hash::Expect(std::span<const std::string_view> words, const Limits& limits) {
  if (!compact()) return;
  size_t bytes = 0;
  bool too_long = false;
  for (const std::string_view word : words) {
    bytes += word.size();
    too_long |= word.size() > limits.hash_max_listpack_value;
  }
  if (too_long || words.size() / 2 > limits.hash_max_listpack_entries || !pack().HasRoomFor(bytes)) ConvertToTable();
}

void Hash::SetAt(const Table::Place& place, std::string_view name, std::string_view value, int64_t expire_ms) {
  table().CountDue(place && place->expire_ms() != kNoExpire, expire_ms != kNoExpire);
  if (place) {
    const size_t old_bytes = Table::Bytes(place.get());
    table().Replace(place, HashField::Changed(place.get(), value, expire_ms), old_bytes);
    if (expire_ms != kNoExpire) table().NoteDue(place, expire_ms);
    return;
  }
  table().Insert(place, HashField::New(name, value, expire_ms));
  // The insertion may have split the segment.
  if (expire_ms != kNoExpire) table().NoteDue(table().Locate(name), expire_ms);
}

bool Hash::Set(std::string_view name, std::string_view value, int64_t expire_ms, const Limits& limits,
               int64_t now_ms) {
  if (compact()) {
    const bool expires = expire_ms != kNoExpire && expire_ms != kKeepExpire;
    const size_t longest = limits.hash_max_listpack_value;
    if (expires || name.size() > longest || value.size() > longest || !pack().HasRoomFor(name.size() + value.size())) {
      ConvertToTable();
    }
  }
  if (compact()) {
    const auto at = FindPosition(name);
    EditPack([&](Listpack& pack) {
      return at == ListpackView::kNone ? pack.AppendPair(name, value) : pack.Replace(pack.Next(at), value);
    });
    if (Size() > limits.hash_max_listpack_entries) ConvertToTable();
    return at == ListpackView::kNone;
  }
  const Table::Place place = table().Locate(name);
  const bool live = place && !place->ExpiredAt(now_ms);
  if (expire_ms == kKeepExpire) expire_ms = live ? place->expire_ms() : kNoExpire;
  SetAt(place, name, value, expire_ms);
  return !live;
}

bool Hash::SetExpire(std::string_view name, int64_t expire_ms, int64_t now_ms) {
  if (compact()) {
    const bool there = FindPosition(name) != ListpackView::kNone;
    if (!there || expire_ms == kNoExpire) return there;
    ConvertToTable();
  }
  const Table::Place place = table().Locate(name);
  if (!place || place->ExpiredAt(now_ms)) return false;
  if (place->expire_ms() == expire_ms) return true;
  table().CountDue(place->expire_ms() != kNoExpire, expire_ms != kNoExpire);
  const size_t old_bytes = Table::Bytes(place.get());
  // The value goes along: with or without a TTL the block is another one.
  table().Replace(place, HashField::Changed(place.get(), place->value(), expire_ms), old_bytes);
  if (expire_ms != kNoExpire) table().NoteDue(place, expire_ms);
  return true;
}

bool Hash::Erase(std::string_view name, int64_t now_ms) {
  if (compact()) {
    const auto at = FindPosition(name);
    if (at == ListpackView::kNone) return false;
    EditPack([&](Listpack& pack) { return pack.EraseRange(at, 2); });
    return true;
  }
  const Table::Place place = table().Locate(name);
  if (!place) return false;
  const bool live = !place->ExpiredAt(now_ms);
  table().CountDue(place->expire_ms() != kNoExpire, false);
  HashField::Delete(table().Remove(place));
  return live;
}

size_t Hash::ExpireFields(int64_t now_ms, size_t limit, FunctionRef<void(std::string_view)> fn) {
  if (!MayHaveExpired(now_ms)) return 0;
  return table().TakeDue(now_ms, limit, [](const HashField& field) { return field.expire_ms(); },
                         [&](HashField* field) {
                           fn(field->field());
                           HashField::Delete(field);
                         });
}

bool Hash::ForEach(int64_t now_ms, FunctionRef<bool(const Field&)> fn) const {
  if (compact()) {
    for (auto at = pack().First(); at != ListpackView::kNone; at = pack().Next(pack().Next(at))) {
      if (!fn(FieldAt(at))) return false;
    }
    return true;
  }
  return table().ForEach([&](HashField* field) { return field->ExpiredAt(now_ms) || fn(FieldOf(*field)); });
}

uint64_t Hash::Scan(uint64_t cursor, int64_t now_ms, FunctionRef<void(const Field&)> fn) const {
  if (!compact()) {
    return table().Scan(cursor, [&](HashField* field) {
      if (!field->ExpiredAt(now_ms)) fn(FieldOf(*field));
    });
  }
  ForEach(now_ms, [&](const Field& field) {
    fn(field);
    return true;
  });
  return 0;
}

std::vector<const HashField*> Hash::LiveFields(int64_t now_ms) const {
  std::vector<const HashField*> live;
  table().ForEach([&](HashField* field) {
    if (!field->ExpiredAt(now_ms)) live.push_back(field);
    return true;
  });
  return live;
}

std::optional<Hash::Field> Hash::Random(uint64_t random, int64_t now_ms) const {
  std::optional<Field> found;
  SampleRepeated(1, [random] { return random; }, now_ms, [&](const Field& field) { found = field; });
  return found;
}

void Hash::SampleDistinct(size_t count, Random64 random, int64_t now_ms, FunctionRef<void(const Field&)> fn) const {
  if (compact()) {
    auto at = pack().First();
    size_t index = 0;
    SelectInOrder(Size(), count, random, [&](size_t selected) {
      for (; index < selected; ++index) at = pack().Next(pack().Next(at));
      fn(FieldAt(at));
    });
    return;
  }
  const auto give = [&](const HashField* field) { fn(FieldOf(*field)); };
  if (MayHaveExpired(now_ms)) {
    auto live = LiveFields(now_ms);
    SelectDistinct(&live, count, random, give);
  } else {
    SelectDistinct(table(), count, random, give);
  }
}

void Hash::SampleRepeated(size_t count, Random64 random, int64_t now_ms, FunctionRef<void(const Field&)> fn) const {
  if (Size() == 0) return;
  if (compact()) {
    // One walk finds all places if there is more to find than one.
    std::vector<ListpackView::Position> places;
    for (auto at = pack().First(); count > 1 && at != ListpackView::kNone; at = pack().Next(pack().Next(at))) {
      places.push_back(at);
    }
    for (; count > 0; --count) {
      const uint64_t index = RandomBelow(random(), Size());
      fn(FieldAt(places.empty() ? pack().Seek(static_cast<int64_t>(index * 2)) : places[index]));
    }
    return;
  }
  if (MayHaveExpired(now_ms)) {
    const auto live = LiveFields(now_ms);
    for (; count > 0 && !live.empty(); --count) fn(FieldOf(*live[RandomBelow(random(), live.size())]));
    return;
  }
  for (; count > 0; --count) fn(FieldOf(*table().Random(random())));
}

void Hash::Validate() const {
  if (compact()) {
    CHECK(ListpackView::Validate(pack().AsBytes(), true) && pack().Count() % 2 == 0 && AllDistinct(pack(), 2));
  } else {
    table().Validate([](const HashField& field) { return field.expire_ms(); });
  }
}

}  // namespace understudy::types
