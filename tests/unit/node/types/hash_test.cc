#include "node/types/hash.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/node/types/types_test_support.h"

namespace understudy::types {
namespace {

const Limits kDefaults;

std::vector<std::string> Words(const Hash& hash, int64_t now_ms = 0) {
  std::vector<std::string> words;
  hash.ForEach(now_ms, [&](const Hash::Field& field) {
    words.push_back(field.name.ToString());
    words.push_back(field.value.ToString());
    return true;
  });
  return words;
}

std::optional<std::string> Get(const Hash& hash, std::string_view name, int64_t now_ms = 0) {
  const auto field = hash.Find(name, now_ms);
  if (!field) return std::nullopt;
  return field->value.ToString();
}

bool Set(Hash& hash, std::string_view name, std::string_view value) {
  return hash.Set(name, value, kNoExpire, kDefaults, 0);
}

TEST(Hash, ASmallOneKeepsTheOrderInWhichFieldsCame) {
  Hash hash;
  EXPECT_TRUE(Set(hash, "b", "1"));
  EXPECT_TRUE(Set(hash, "a", "2"));
  EXPECT_FALSE(Set(hash, "b", "3"));
  EXPECT_EQ(hash.encoding(), Encoding::kListpack);
  EXPECT_EQ(Words(hash), (std::vector<std::string>{"b", "3", "a", "2"}));
  EXPECT_EQ(Get(hash, "a"), "2");
  EXPECT_EQ(Get(hash, "3"), std::nullopt);  // a value is no field
  EXPECT_TRUE(hash.Erase("b", 0));
  EXPECT_FALSE(hash.Erase("b", 0));
  EXPECT_EQ(hash.Size(), 1u);
}

TEST(Hash, BecomesATableWithOneFieldMoreThanTheLimitAndStaysOne) {
  Hash hash;
  for (int i = 0; i < 512; ++i) Set(hash, "f" + std::to_string(i), "v");
  EXPECT_EQ(hash.encoding(), Encoding::kListpack);
  Set(hash, "f7", "again");
  EXPECT_EQ(hash.encoding(), Encoding::kListpack);
  Set(hash, "more", "v");
  EXPECT_EQ(hash.encoding(), Encoding::kTable);
  EXPECT_EQ(hash.Size(), 513u);
  EXPECT_EQ(Get(hash, "f7"), "again");
  for (int i = 0; i < 512; ++i) EXPECT_TRUE(hash.Erase("f" + std::to_string(i), 0));
  EXPECT_EQ(hash.encoding(), Encoding::kTable);
  EXPECT_EQ(EncodingName(Kind::kHash, hash.encoding()), "hashtable");
}

TEST(Hash, BecomesATableForALongFieldOrValue) {
  const std::string fits(64, 'x'), too_long(65, 'x');
  Hash by_value, by_field;
  Set(by_value, fits, fits);
  Set(by_field, fits, fits);
  EXPECT_EQ(by_value.encoding(), Encoding::kListpack);
  Set(by_value, "f", too_long);
  Set(by_field, too_long, "v");
  EXPECT_EQ(by_value.encoding(), Encoding::kTable);
  EXPECT_EQ(by_field.encoding(), Encoding::kTable);
  EXPECT_EQ(Get(by_value, "f"), too_long);
  EXPECT_EQ(Get(by_field, too_long), "v");
}

TEST(Hash, AWholeCommandIsLookedAtBeforeItsFirstField) {
  Hash hash;
  std::vector<std::string_view> words(1024, "same");
  hash.Expect(words, kDefaults);
  EXPECT_EQ(hash.encoding(), Encoding::kListpack);
  words.insert(words.end(), 2, "same");  // 513 pairs, though of one field
  hash.Expect(words, kDefaults);
  EXPECT_EQ(hash.encoding(), Encoding::kTable);
  Hash other;
  const std::string too_long(65, 'x');
  const std::string_view two[] = {"f", too_long};
  other.Expect(two, kDefaults);
  EXPECT_EQ(other.encoding(), Encoding::kTable);
}

TEST(Hash, AFieldWithATtlMakesItATable) {
  Hash hash;
  Set(hash, "f", "v");
  EXPECT_EQ(hash.next_expire_ms(), kNoExpire);
  EXPECT_FALSE(hash.SetExpire("none", 100, 0));
  EXPECT_TRUE(hash.SetExpire("f", kNoExpire, 0));
  EXPECT_EQ(hash.encoding(), Encoding::kListpack);
  EXPECT_TRUE(hash.SetExpire("f", 100, 0));
  EXPECT_EQ(hash.encoding(), Encoding::kTable);
  EXPECT_EQ(hash.Find("f", 0)->expire_ms, 100);
  EXPECT_EQ(hash.next_expire_ms(), 100);
  Hash other;
  other.Set("f", "v", 50, kDefaults, 0);
  EXPECT_EQ(other.encoding(), Encoding::kTable);
  Hash kept;
  kept.Set("f", "v", Hash::kKeepExpire, kDefaults, 0);
  EXPECT_EQ(kept.encoding(), Encoding::kListpack);
}

TEST(Hash, AnExpiredFieldIsNotThereForAnybody) {
  Hash hash;
  hash.Set("f", "v", 100, kDefaults, 0);
  Set(hash, "stays", "v");
  EXPECT_TRUE(hash.Find("f", 100));  // it lives in the millisecond of its expiry
  EXPECT_FALSE(hash.Find("f", 101));
  EXPECT_EQ(Words(hash, 101), (std::vector<std::string>{"stays", "v"}));
  EXPECT_EQ(hash.Size(), 2u);
  EXPECT_EQ(hash.CountLive(100), 2u);
  EXPECT_EQ(hash.CountLive(101), 1u);
  EXPECT_FALSE(hash.SetExpire("f", 200, 101));
  uint64_t given = 0, cursor = 0;
  do {
    cursor = hash.Scan(cursor, 101, [&](const Hash::Field&) { ++given; });
  } while (cursor != 0);
  EXPECT_EQ(given, 1u);
  for (uint64_t i = 0; i < 50; ++i) {
    EXPECT_EQ(hash.Random(i * 0x9e3779b97f4a7c15, 101)->name.ToString(), "stays");
  }
  EXPECT_FALSE(hash.Erase("f", 101));  // removed, but was not there
  EXPECT_EQ(hash.Size(), 1u);
}

TEST(Hash, SetReplacesAnExpiredFieldAsANewOneWithoutItsTtl) {
  Hash hash;
  hash.Set("f", "v", 100, kDefaults, 0);
  EXPECT_FALSE(hash.Set("f", "w", Hash::kKeepExpire, kDefaults, 100));
  EXPECT_EQ(hash.Find("f", 100)->expire_ms, 100);
  EXPECT_TRUE(hash.Set("f", "x", Hash::kKeepExpire, kDefaults, 101));
  EXPECT_EQ(hash.Find("f", 101)->expire_ms, kNoExpire);
  hash.Set("f", "x", 300, kDefaults, 101);
  EXPECT_FALSE(hash.Set("f", "y", kNoExpire, kDefaults, 102));  // HSET takes the TTL away
  EXPECT_EQ(hash.Find("f", 1000)->value.ToString(), "y");
  EXPECT_EQ(hash.ExpireFields(1000, 10, [](std::string_view) { FAIL(); }), 0u);
  EXPECT_EQ(hash.next_expire_ms(), kNoExpire);
}

TEST(Hash, ExpireFieldsRemovesInSteps) {
  Hash hash;
  for (int i = 0; i < 5000; ++i) hash.Set("f" + std::to_string(i), "v", 1000 + i, kDefaults, 0);
  std::set<std::string> gone;
  const auto note = [&](std::string_view name) { gone.emplace(name); };
  EXPECT_EQ(hash.ExpireFields(1000, 10, note), 0u);
  size_t steps = 0;
  while (hash.next_expire_ms() < 3001) {
    EXPECT_LE(hash.ExpireFields(3001, 10, note), 10u);
    ASSERT_LT(++steps, 1000u);
  }
  EXPECT_EQ(gone.size(), 2001u);
  EXPECT_TRUE(gone.count("f2000"));
  EXPECT_FALSE(gone.count("f2001"));
  EXPECT_EQ(hash.Size(), 2999u);
  hash.Validate();
}

TEST(Hash, FromListpackTakesPairsOfDifferentFieldsOnly) {
  const auto make = [](std::vector<std::string> words) {
    Listpack pack;
    for (const auto& word : words) pack.Append(std::string_view(word));
    return std::string(pack.AsBytes());
  };
  const auto hash = Hash::FromListpack(make({"a", "1", "2", "a"}), kDefaults);
  ASSERT_TRUE(hash);
  EXPECT_EQ(Words(*hash), (std::vector<std::string>{"a", "1", "2", "a"}));
  EXPECT_FALSE(Hash::FromListpack(make({"a", "1", "b"}), kDefaults));
  EXPECT_FALSE(Hash::FromListpack(make({"a", "1", "a", "2"}), kDefaults));
  EXPECT_FALSE(Hash::FromListpack(make({"7", "1", "7", "2"}), kDefaults));
  EXPECT_FALSE(Hash::FromListpack("no listpack", kDefaults));
  EXPECT_EQ(Hash::FromListpack(make({}), kDefaults)->Size(), 0u);
  Limits small;
  small.hash_max_listpack_entries = 1;
  const auto large = Hash::FromListpack(make({"a", "1", "2", "a"}), small);
  EXPECT_EQ(large->encoding(), Encoding::kTable);
  EXPECT_EQ(Get(*large, "2"), "a");
}

TEST(Hash, FromListpackFindsTheSameIntegerWrittenInTwoWays) {
  using namespace std::string_literals;
  // 12 as a text and as an integer, each with the value 1.
  const std::string bytes = "\x11\0\0\0\x04\0\x82" "12\x03\x01\x01\x0c\x01\x01\x01\xff"s;
  std::string sized = bytes;
  sized[0] = static_cast<char>(sized.size());
  ASSERT_TRUE(ListpackView::Validate(sized, true));
  EXPECT_FALSE(Hash::FromListpack(sized, kDefaults));
}

// Every size of field and value on both sides of where its representation changes.
TEST(Hash, AFieldOfATableHoldsTextsOfAllSizes) {
  TestRandom random(10);
  Hash hash;
  hash.Set("ttl", "v", 1, kDefaults, 0);  // a table from here on
  std::map<std::string, std::pair<std::string, int64_t>> model;
  const size_t sizes[] = {0, 1, 13, 14, 62, 63, 64, 65, 254, 255, 256, 257, 4000, 70000};
  for (int step = 0; step < 20000; ++step) {
    const size_t name_size = sizes[random.Below(11)];
    const std::string name = std::string(name_size, static_cast<char>('a' + random.Below(3)));
    const std::string value(sizes[random.Below(step % 100 == 0 ? 14 : 12)], static_cast<char>(random()));
    switch (random.Below(3)) {
      case 0: {
        const int64_t expire = random.Below(2) == 0 ? kNoExpire : static_cast<int64_t>(1000 + random.Below(100));
        hash.Set(name, value, expire, kDefaults, 0);
        model[name] = {value, expire};
        break;
      }
      case 1: {
        const int64_t expire = random.Below(2) == 0 ? kNoExpire : static_cast<int64_t>(1000 + random.Below(100));
        ASSERT_EQ(hash.SetExpire(name, expire, 0), model.count(name) == 1);
        if (model.count(name) == 1) model[name].second = expire;
        break;
      }
      default:
        hash.Set(name, value, Hash::kKeepExpire, kDefaults, 0);
        model.try_emplace(name, std::string(), kNoExpire).first->second.first = value;
        break;
    }
    const auto field = hash.Find(name, 0);
    ASSERT_EQ(field.has_value(), model.count(name) == 1);
    if (field) {
      ASSERT_EQ(field->value.ToString(), model[name].first);
      ASSERT_EQ(field->expire_ms, model[name].second);
    }
  }
  hash.Validate();
  for (const auto& [name, value] : model) ASSERT_EQ(Get(hash, name), value.first);
}

class Model {
 public:
  struct Value {
    std::string text;
    int64_t expire_ms;
  };
  bool Has(const std::string& name, int64_t now) const {
    const auto it = fields.find(name);
    return it != fields.end() && it->second.expire_ms >= now;
  }
  void DropExpired(int64_t now) {
    std::erase_if(fields, [now](const auto& field) { return field.second.expire_ms < now; });
  }
  std::map<std::string, Value> fields;
};

void ExpectSame(const Hash& hash, const Model& model, int64_t now) {
  hash.Validate();
  std::map<std::string, std::string> expected, seen;
  for (const auto& [name, value] : model.fields) {
    if (value.expire_ms >= now) expected[name] = value.text;
  }
  hash.ForEach(now, [&](const Hash::Field& field) {
    EXPECT_TRUE(seen.emplace(field.name.ToString(), field.value.ToString()).second);
    EXPECT_EQ(field.expire_ms, model.fields.at(field.name.ToString()).expire_ms);
    return true;
  });
  ASSERT_EQ(seen, expected);
  ASSERT_EQ(hash.CountLive(now), expected.size());
}

TEST(Hash, DoesWhatAMapOfExpiringValuesDoes) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    TestRandom random(100 + seed);
    Limits limits;
    limits.hash_max_listpack_entries = seed % 3 == 0 ? 20 : 512;
    const bool expires = seed % 2 == 1;
    const uint64_t names = seed % 4 == 0 ? 30 : 3000;
    Hash hash;
    Model model;
    int64_t now = 0;
    for (int step = 0; step < 10000; ++step) {
      now += static_cast<int64_t>(random.Below(2));
      std::string name = std::to_string(random.Below(names));
      if (random.Below(2) == 0) name = "f:" + name;
      const std::string value = random.Text(seed % 5 == 4 ? 300 : 30);
      switch (random.Below(expires ? 6 : 3)) {
        case 0:
          ASSERT_EQ(hash.Erase(name, now), model.Has(name, now));
          model.fields.erase(name);
          break;
        case 1:
        case 2:
          ASSERT_EQ(hash.Set(name, value, kNoExpire, limits, now), !model.Has(name, now));
          model.fields[name] = {value, kNoExpire};
          break;
        case 3: {
          const int64_t at = now + static_cast<int64_t>(random.Below(500));
          ASSERT_EQ(hash.Set(name, value, at, limits, now), !model.Has(name, now));
          model.fields[name] = {value, at};
          break;
        }
        case 4: {
          const int64_t at = random.Below(3) == 0 ? kNoExpire : now + static_cast<int64_t>(random.Below(500));
          ASSERT_EQ(hash.SetExpire(name, at, now), model.Has(name, now));
          if (model.Has(name, now)) model.fields[name].expire_ms = at;
          break;
        }
        default: {
          const int64_t at = model.Has(name, now) ? model.fields[name].expire_ms : kNoExpire;
          ASSERT_EQ(hash.Set(name, value, Hash::kKeepExpire, limits, now), !model.Has(name, now));
          model.fields[name] = {value, at};
          break;
        }
      }
      if (random.Below(50) == 0) {
        hash.ExpireFields(now, 20, [&](std::string_view gone) { ASSERT_FALSE(model.Has(std::string(gone), now)); });
      }
      if (random.Below(1000) == 0) {
        while (hash.next_expire_ms() < now) hash.ExpireFields(now, 100, [](std::string_view) {});
        model.DropExpired(now);
        ASSERT_EQ(hash.Size(), model.fields.size());
      }
      if (random.Below(2000) == 0) {  // the representation goes through an entry's pointer and bits
        const Encoding encoding = hash.encoding();
        hash = Hash::Adopt(encoding, hash.Release());
        Hash copy = hash.Clone();
        ExpectSame(copy, model, now);
        copy.Set("only in the copy", "v", kNoExpire, limits, now);
        EXPECT_FALSE(hash.Find("only in the copy", now));
        EXPECT_EQ(copy.encoding(), encoding);
      }
      if (step % 500 == 0) ExpectSame(hash, model, now);
    }
    ExpectSame(hash, model, now);
  }
}

TEST(Hash, SamplesAreOfThoseThatLiveAndDistinctWhereTheyShouldBe) {
  TestRandom random(11);
  const auto chance = [&] { return random(); };
  for (const int n : {1, 10, 400, 3000}) {
    for (const bool expiring : {false, true}) {
      Hash hash;
      for (int i = 0; i < n; ++i) Set(hash, std::to_string(i), "v");
      if (expiring) hash.Set("expired", "v", 5, kDefaults, 0);
      for (const int wanted : {1, 3, n / 5, n / 2, n, n + 10}) {
        std::set<std::string> seen;
        size_t given = 0;
        hash.SampleDistinct(static_cast<size_t>(wanted), chance, 10, [&](const Hash::Field& field) {
          seen.insert(field.name.ToString());
          ++given;
        });
        EXPECT_EQ(given, static_cast<size_t>(std::min(wanted, n)));
        EXPECT_EQ(seen.size(), given);
        EXPECT_FALSE(seen.count("expired"));
      }
      std::map<std::string, int> counts;
      hash.SampleRepeated(static_cast<size_t>(n) * 30, chance, 10,
                          [&](const Hash::Field& field) { ++counts[field.name.ToString()]; });
      EXPECT_EQ(counts.size(), static_cast<size_t>(n));
      EXPECT_FALSE(counts.count("expired"));
    }
  }
  Hash empty;
  EXPECT_FALSE(empty.Random(5, 0));
  empty.SampleDistinct(5, chance, 0, [](const Hash::Field&) { FAIL(); });
  empty.SampleRepeated(5, chance, 0, [](const Hash::Field&) { FAIL(); });
}

TEST(Hash, ForEachEndsEarly) {
  for (const int n : {10, 1000}) {
    Hash hash;
    for (int i = 0; i < n; ++i) Set(hash, std::to_string(i), "v");
    int given = 0;
    EXPECT_FALSE(hash.ForEach(0, [&](const Hash::Field&) { return ++given < 5; }));
    EXPECT_EQ(given, 5);
  }
}

}  // namespace
}  // namespace understudy::types
