// What the tests of collections share: random changes of keys of every type, one at a time, under the locks that a
// command would have, and a model of what the keyspace must hold then.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "node/store/edit.h"
#include "node/types/hash.h"
#include "node/types/list.h"
#include "node/types/set.h"
#include "node/types/sorted_set.h"
#include "tests/unit/node/store/store_test_support.h"
#include "tests/unit/node/store/streams.h"

namespace understudy::store {

// Small ones, so that every encoding is met often.
inline types::Limits SmallLimits() {
  types::Limits limits;
  limits.hash_max_listpack_entries = 8;
  limits.set_max_intset_entries = 6;
  limits.set_max_listpack_entries = 10;
  limits.zset_max_listpack_entries = 9;
  limits.list_max_listpack_size = 7;
  limits.stream_node_max_entries = 5;
  return limits;
}

// The elements in an order that does not depend on the encoding.
inline std::string Shown(const Entry& entry) {
  std::string out(TypeName(entry.type()));
  std::vector<std::string> parts;
  switch (entry.type()) {
    case Type::kString:
      return out + ":" + std::string(entry.value());
    case Type::kList:
      entry.As<types::List>()->WalkAll([&](const types::ListpackValue& value) {
        parts.push_back(value.ToString());
        return true;
      });
      break;
    case Type::kSet:
      entry.As<types::Set>()->ForEach([&](const types::Set::Member& member) {
        parts.push_back(member.ToString());
        return true;
      });
      break;
    case Type::kSortedSet:
      entry.As<types::SortedSet>()->WalkAll([&](std::string_view member, double score) {
        parts.push_back(std::string(member) + "=" + std::to_string(score));
        return true;
      });
      break;
    case Type::kHash:
      entry.As<types::Hash>()->ForEach(INT64_MIN, [&](const types::Hash::Field& field) {
        parts.push_back(field.name.ToString() + "=" + field.value.ToString() +
                        (field.expire_ms == types::kNoExpire ? "" : "@" + std::to_string(field.expire_ms)));
        return true;
      });
      break;
    case Type::kStream:
      ShowStream(*entry.As<types::Stream>(), &parts);
      break;
  }
  if (entry.type() != Type::kList && entry.type() != Type::kStream) std::sort(parts.begin(), parts.end());
  for (const std::string& part : parts) out += ":" + part;
  return out;
}

struct HashModelField {
  std::string value;
  int64_t expire_ms = types::kNoExpire;
};

struct CollectionModelValue {
  std::variant<std::string, std::list<std::string>, std::set<std::string>, std::map<std::string, double>,
               std::map<std::string, HashModelField>, ModelStream>
      value;
  int64_t expire_ms = kNoExpire;

  bool empty() const {
    return std::visit(
        [](const auto& v) {
          using Value = std::decay_t<decltype(v)>;
          if constexpr (std::is_same_v<Value, std::string> || std::is_same_v<Value, ModelStream>) {
            return false;
          } else {
            return v.empty();
          }
        },
        value);
  }
  std::string Shown() const {
    static constexpr Type kTypes[] = {Type::kString,    Type::kList, Type::kSet,
                                      Type::kSortedSet, Type::kHash, Type::kStream};
    std::string out(TypeName(kTypes[value.index()]));
    std::vector<std::string> parts;
    if (const auto* text = std::get_if<0>(&value)) return out + ":" + *text;
    if (const auto* list = std::get_if<1>(&value)) parts.assign(list->begin(), list->end());
    if (const auto* set = std::get_if<2>(&value)) parts.assign(set->begin(), set->end());
    if (const auto* scores = std::get_if<3>(&value)) {
      for (const auto& [member, score] : *scores) parts.push_back(member + "=" + std::to_string(score));
    }
    if (const auto* fields = std::get_if<4>(&value)) {
      for (const auto& [name, field] : *fields) {
        parts.push_back(name + "=" + field.value +
                        (field.expire_ms == types::kNoExpire ? "" : "@" + std::to_string(field.expire_ms)));
      }
    }
    if (const auto* model = std::get_if<5>(&value)) ShowStream(model->stream, &parts);
    if (value.index() != 1 && value.index() != 5) std::sort(parts.begin(), parts.end());
    for (const std::string& part : parts) out += ":" + part;
    return out;
  }
};

using CollectionModelMap = std::map<std::pair<int, std::string>, CollectionModelValue>;

class CollectionWriter {
 public:
  CollectionWriter(Keyspace& keyspace, uint64_t seed) : keyspace_(keyspace), rng_(seed) {}

  // Databases 0 and 1.
  void Step(uint64_t key_range) {
    now_ms_ += rng_.OneIn(10) ? 1 : 0;
    const int db = static_cast<int>(rng_.Below(2));
    const std::string key = "k" + std::to_string(rng_.Below(key_range));
    const uint64_t kind = rng_.Below(20);
    if (kind == 0) return Move(db, key);
    At at(keyspace_, key);
    OneShardGuard guard(keyspace_, at.shard);
    const auto it = map_.find({db, key});
    const bool stored = it != map_.end();
    switch (kind) {
      case 1:
        ASSERT_EQ(at.shard.Erase(db, key, at.hash, rng_.OneIn(2) ? Freeing::kInline : Freeing::kLazy), stored);
        if (stored) map_.erase(it);
        return;
      case 2: {
        const int64_t expire = now_ms_ + static_cast<int64_t>(rng_.Below(300));
        ASSERT_EQ(at.shard.SetExpire(db, key, at.hash, expire), stored);
        if (stored) it->second.expire_ms = expire;
        return;
      }
      case 3: {
        const bool has = stored && it->second.expire_ms != kNoExpire;
        ASSERT_EQ(at.shard.Persist(db, key, at.hash), has);
        if (has) it->second.expire_ms = kNoExpire;
        return;
      }
      case 4: {
        const bool expired = stored && it->second.expire_ms != kNoExpire && now_ms_ > it->second.expire_ms;
        ASSERT_EQ(at.shard.EraseIfExpired(db, key, at.hash, now_ms_), expired);
        if (expired) map_.erase(it);
        return;
      }
      case 5: {
        const std::string value(rng_.OneIn(20) ? kBlobMinBytes + rng_.Below(3000) : rng_.Below(100), 'v');
        at.shard.Set(db, key, at.hash, value, now_ms_);
        map_[{db, key}] = {value, kNoExpire};
        return;
      }
      case 6: {  // as SINTERSTORE does
        types::Set set(Member(), 1, limits_);
        std::set<std::string> members;
        for (uint64_t n = rng_.Below(20); n > 0; --n) {
          const std::string member = Member();
          set.Add(member, limits_);
          members.insert(member);
        }
        const bool any = !members.empty();
        ASSERT_EQ(at.shard.SetCollection(db, key, at.hash, Collection(std::move(set)), now_ms_), any || stored);
        if (stored) map_.erase(it);
        if (any) map_[{db, key}] = {std::move(members), kNoExpire};
        return;
      }
      default:
        Change(db, key, at, it);
    }
  }
  // Everything that is due goes.
  void Sweep() {
    while (keyspace_.Sweep(now_ms_, clock_, {.max_entries = 100'000'000, .max_time = Seconds(100)}).more) {
    }
    for (auto it = map_.begin(); it != map_.end();) {
      CollectionModelValue& v = it->second;
      bool gone = v.expire_ms != kNoExpire && now_ms_ > v.expire_ms;
      if (auto* fields = std::get_if<4>(&v.value); fields != nullptr && !gone) {
        std::erase_if(*fields, [&](const auto& field) { return field.second.expire_ms < now_ms_; });
        gone = fields->empty();
      }
      it = gone ? map_.erase(it) : std::next(it);
    }
  }
  void Flush(int db) {
    AllShardsGuard guard(keyspace_);
    keyspace_.FlushDb(db);
    std::erase_if(map_, [&](const auto& item) { return item.first.first == db; });
  }
  void Swap() {
    AllShardsGuard guard(keyspace_);
    keyspace_.SwapDb(0, 1, 0);
    CollectionModelMap swapped;
    for (auto& [key, v] : map_) swapped[{1 - key.first, key.second}] = std::move(v);
    map_ = std::move(swapped);
  }

  Rng& rng() { return rng_; }
  int64_t now_ms() const { return now_ms_; }
  const CollectionModelMap& map() const { return map_; }
  void set_largest(uint64_t elements) { largest_ = elements; }
  void set_field_expiry(bool on) { field_expiry_ = on; }

 private:
  std::string Member() {
    const uint64_t n = rng_.Below(largest_);
    switch (rng_.Below(8)) {
      case 0:
        return "member of some length " + std::to_string(n);
      case 1:
        return std::string(rng_.OneIn(10) ? 300 : 66, static_cast<char>('a' + n % 26));
      default:
        return std::to_string(n);
    }
  }

  void Move(int db, const std::string& key) {
    const std::string to = "k" + std::to_string(rng_.Below(200));
    const int to_db = static_cast<int>(rng_.Below(2));
    At from_at(keyspace_, key), to_at(keyspace_, to);
    const uint32_t shards[] = {from_at.shard.index(), to_at.shard.index()};
    ShardGuard guard(keyspace_, shards);
    const bool copy = rng_.OneIn(2);
    std::optional<StoredValue> value =
        copy ? from_at.shard.Copy(db, key, from_at.hash, now_ms_) : from_at.shard.Take(db, key, from_at.hash, now_ms_);
    const auto it = map_.find({db, key});
    ASSERT_EQ(value.has_value(), it != map_.end());
    if (!value) return;
    CollectionModelValue v = it->second;
    if (!copy) map_.erase(it);
    to_at.shard.Put(to_db, to, to_at.hash, *std::move(value), now_ms_);
    map_[{to_db, to}] = std::move(v);
  }

  // Some elements of the value; another value if it is a string or missing.
  void Change(int db, const std::string& key, At& at, CollectionModelMap::iterator it) {
    if (it != map_.end() && it->second.value.index() == 0) {
      ASSERT_TRUE(at.shard.Erase(db, key, at.hash));
      map_.erase(it);
      it = map_.end();
    }
    Entry* entry = at.shard.FindForWrite(db, key, at.hash, now_ms_, View::kRaw);
    ASSERT_EQ(entry != nullptr, it != map_.end());
    CollectionModelValue v = it != map_.end() ? it->second : CollectionModelValue{};
    const size_t index = entry != nullptr ? v.value.index() : 1 + rng_.Below(5);
    const uint64_t changes = rng_.Below(10) == 0 ? rng_.Below(120) : 1 + rng_.Below(4);
    const bool erase = rng_.OneIn(3);
    switch (index) {
      case 1: {
        if (entry == nullptr) v.value = std::list<std::string>();
        auto& list = std::get<1>(v.value);
        Edit<types::List> edit(at.shard, db, key, at.hash, entry, now_ms_, [] { return types::List(); });
        for (uint64_t i = 0; i < changes; ++i) {
          if (erase) {
            if (list.empty()) break;
            edit->Erase(0, 1, limits_);
            list.pop_front();
          } else {
            list.push_back(Member());
            edit->Push(types::ListEnd::kTail, list.back(), limits_);
          }
        }
        break;
      }
      case 2: {
        if (entry == nullptr) v.value = std::set<std::string>();
        auto& set = std::get<2>(v.value);
        Edit<types::Set> edit(at.shard, db, key, at.hash, entry, now_ms_,
                              [&] { return types::Set(Member(), 1, limits_); });
        bool any = false;
        for (uint64_t i = 0; i < changes; ++i) {
          const std::string member = Member();
          const bool done = erase ? edit->Erase(member) : edit->Add(member, limits_);
          ASSERT_EQ(done, erase ? set.erase(member) > 0 : set.insert(member).second);
          any |= done;
        }
        if (!any) edit.NothingChanged();
        break;
      }
      case 3: {
        if (entry == nullptr) v.value = std::map<std::string, double>();
        auto& scores = std::get<3>(v.value);
        Edit<types::SortedSet> edit(at.shard, db, key, at.hash, entry, now_ms_, [] { return types::SortedSet(); });
        for (uint64_t i = 0; i < changes; ++i) {
          const std::string member = Member();
          const double score = static_cast<double>(rng_.Below(1000)) / 8 - 50;
          if (erase) {
            ASSERT_EQ(edit->Remove(member), scores.erase(member) > 0);
          } else {
            edit->Add(member, score, limits_);
            scores[member] = score;
          }
        }
        if (scores.empty() && entry == nullptr) edit.NothingChanged();
        break;
      }
      case 5: {
        if (entry == nullptr) v.value = ModelStream();
        Edit<types::Stream> edit(at.shard, db, key, at.hash, entry, now_ms_, [] { return types::Stream(); });
        for (uint64_t i = 0; i < changes; ++i) {
          const StreamChange change = RandomStreamChange(rng_, Member(), limits_, now_ms_);
          change(*edit);
          change(std::get<5>(v.value).stream);
        }
        break;
      }
      default: {
        if (entry == nullptr) v.value = std::map<std::string, HashModelField>();
        auto& fields = std::get<4>(v.value);
        Edit<types::Hash> edit(at.shard, db, key, at.hash, entry, now_ms_, [] { return types::Hash(); });
        for (uint64_t i = 0; i < changes; ++i) {
          const std::string name = Member(), value = Member();
          if (erase) {
            edit->Erase(name, INT64_MIN);
            fields.erase(name);
          } else {
            const int64_t expire =
                field_expiry_ && rng_.OneIn(5) ? now_ms_ + static_cast<int64_t>(rng_.Below(500)) : types::kNoExpire;
            edit->Set(name, value, expire, limits_, INT64_MIN);
            fields[name] = {value, expire};
          }
        }
      }
    }
    if (v.empty()) {
      if (it != map_.end()) map_.erase(it);
    } else {
      map_[{db, key}] = std::move(v);
    }
  }

  Keyspace& keyspace_;
  Rng rng_;
  FakeClock clock_;
  types::Limits limits_ = SmallLimits();
  int64_t now_ms_ = 1'700'000'000'000;
  uint64_t largest_ = 60;
  bool field_expiry_ = false;
  CollectionModelMap map_;
};

}  // namespace understudy::store
