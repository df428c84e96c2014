#include "node/types/set.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/node/types/types_test_support.h"

namespace understudy::types {
namespace {

const Limits kDefaults;

Set Make(const std::vector<std::string>& members, const Limits& limits = kDefaults) {
  Set set(members.at(0), 1, limits);
  for (const auto& member : members) set.Add(member, limits);
  return set;
}

std::vector<std::string> Members(const Set& set) {
  std::vector<std::string> members;
  set.ForEach([&](const Set::Member& member) {
    members.push_back(member.ToString());
    return true;
  });
  return members;
}

TEST(Set, BeginsAsRedisDoesByFirstMemberAndHowManyAreComing) {
  EXPECT_EQ(Set("7", 512, kDefaults).encoding(), Encoding::kIntset);
  EXPECT_EQ(Set("7", 513, kDefaults).encoding(), Encoding::kTable);
  EXPECT_EQ(Set("a", 128, kDefaults).encoding(), Encoding::kListpack);
  EXPECT_EQ(Set("a", 129, kDefaults).encoding(), Encoding::kTable);
  EXPECT_EQ(Set("07", 1, kDefaults).encoding(), Encoding::kListpack);
  Limits few;
  few.set_max_intset_entries = 2;
  EXPECT_EQ(Set("7", 3, few).encoding(), Encoding::kListpack);
}

TEST(Set, IntegersAreAscendingTextsInTheOrderInWhichTheyCame) {
  EXPECT_EQ(Members(Make({"30", "-5", "7"})), (std::vector<std::string>{"-5", "7", "30"}));
  EXPECT_EQ(Members(Make({"z", "a", "3"})), (std::vector<std::string>{"z", "a", "3"}));
  EXPECT_EQ(Members(Make({"30", "-5", "z", "7"})), (std::vector<std::string>{"-5", "30", "z", "7"}));
}

TEST(Set, IntegersBecomeATableBeyondTheirLimitAndAListpackWithATextWhileThereAreFew) {
  Set set("1", 1, kDefaults);
  for (int i = 0; i < 512; ++i) set.Add(std::to_string(i), kDefaults);
  EXPECT_EQ(set.encoding(), Encoding::kIntset);
  Set with_text = set.Clone();
  with_text.Add("text", kDefaults);
  EXPECT_EQ(with_text.encoding(), Encoding::kTable);
  EXPECT_EQ(with_text.Size(), 513u);
  set.Add("512", kDefaults);
  EXPECT_EQ(set.encoding(), Encoding::kTable);

  Set few("1", 1, kDefaults);
  for (int i = 0; i < 127; ++i) few.Add(std::to_string(i), kDefaults);
  few.Add("text", kDefaults);
  EXPECT_EQ(few.encoding(), Encoding::kListpack);
  EXPECT_EQ(few.Size(), 128u);
  EXPECT_FALSE(few.Add("text", kDefaults));
  EXPECT_EQ(few.encoding(), Encoding::kListpack);
  few.Add("more", kDefaults);
  EXPECT_EQ(few.encoding(), Encoding::kTable);
  EXPECT_EQ(EncodingName(Kind::kSet, few.encoding()), "hashtable");

  Set of_128("1", 1, kDefaults);
  for (int i = 0; i < 128; ++i) of_128.Add(std::to_string(i), kDefaults);
  of_128.Add("text", kDefaults);
  EXPECT_EQ(of_128.encoding(), Encoding::kTable);
}

TEST(Set, ALongMemberMakesItATable) {
  Set texts = Make({"a"}), integers = Make({"1"});
  texts.Add(std::string(64, 'x'), kDefaults);
  EXPECT_EQ(texts.encoding(), Encoding::kListpack);
  texts.Add(std::string(65, 'x'), kDefaults);
  EXPECT_EQ(texts.encoding(), Encoding::kTable);
  integers.Add(std::string(65, 'x'), kDefaults);
  EXPECT_EQ(integers.encoding(), Encoding::kTable);
  EXPECT_TRUE(integers.Contains("1"));
}

TEST(Set, IntegersThatAreLongerThanTheLimitOfTextsDoNotGoIntoAListpack) {
  Limits limits;
  limits.set_max_listpack_value = 5;
  Set set = Make({"-12345", "1"}, limits);
  EXPECT_EQ(set.encoding(), Encoding::kIntset);
  set.Add("a", limits);
  EXPECT_EQ(set.encoding(), Encoding::kTable);
}

TEST(Set, ExpectMakesATableBeforeTheFirstOfManyMembers) {
  Set texts = Make({"a"}), integers = Make({"1"});
  texts.Expect(128, kDefaults);
  integers.Expect(512, kDefaults);
  EXPECT_EQ(texts.encoding(), Encoding::kListpack);
  EXPECT_EQ(integers.encoding(), Encoding::kIntset);
  texts.Expect(129, kDefaults);
  integers.Expect(513, kDefaults);
  EXPECT_EQ(texts.encoding(), Encoding::kTable);
  EXPECT_EQ(integers.encoding(), Encoding::kTable);
  EXPECT_TRUE(texts.Contains("a"));
}

TEST(Set, TryIntsetIsTheWayBackForIntegersOnly) {
  Set set = Make({"a", "5", "-3"});
  set.TryIntset(kDefaults);
  EXPECT_EQ(set.encoding(), Encoding::kListpack);
  set.Erase("a");
  EXPECT_EQ(set.encoding(), Encoding::kListpack);
  set.TryIntset(kDefaults);
  EXPECT_EQ(set.encoding(), Encoding::kIntset);
  EXPECT_EQ(Members(set), (std::vector<std::string>{"-3", "5"}));
  Set table("1", 1000, kDefaults);
  for (int i = 0; i < 513; ++i) table.Add(std::to_string(i), kDefaults);
  table.TryIntset(kDefaults);
  EXPECT_EQ(table.encoding(), Encoding::kTable);
  table.Erase("0");
  table.TryIntset(kDefaults);
  EXPECT_EQ(table.encoding(), Encoding::kIntset);
  EXPECT_EQ(table.Size(), 512u);
}

TEST(Set, ComesFromValidBytesOnly) {
  Listpack pack;
  pack.Append("a");
  pack.Append("5");
  EXPECT_EQ(Members(*Set::FromListpack(pack.AsBytes(), kDefaults)), (std::vector<std::string>{"a", "5"}));
  Limits small;
  small.set_max_listpack_entries = 1;
  small.set_max_intset_entries = 1;
  EXPECT_EQ(Set::FromListpack(pack.AsBytes(), small)->encoding(), Encoding::kTable);
  pack.Append("a");
  EXPECT_FALSE(Set::FromListpack(pack.AsBytes(), kDefaults));
  EXPECT_FALSE(Set::FromListpack("bytes", kDefaults));
  Intset integers;
  EXPECT_FALSE(Set::FromIntset(integers.AsBytes(), kDefaults));
  integers.Add(3);
  integers.Add(900000);
  EXPECT_EQ(Set::FromIntset(integers.AsBytes(), kDefaults)->AsBytes(), integers.AsBytes());
  EXPECT_EQ(Set::FromIntset(integers.AsBytes(), small)->encoding(), Encoding::kTable);
  EXPECT_FALSE(Set::FromIntset(integers.AsBytes().substr(1), kDefaults));
}

void ExpectSame(const Set& set, const std::set<std::string>& model) {
  set.Validate();
  ASSERT_EQ(set.Size(), model.size());
  const auto members = Members(set);
  ASSERT_EQ(members.size(), model.size());
  ASSERT_EQ(std::set<std::string>(members.begin(), members.end()), model);
  ASSERT_GT(set.AllocatedBytes(), 0u);
}

TEST(Set, DoesWhatASetDoesInEveryEncoding) {
  for (uint64_t seed = 0; seed < 15; ++seed) {
    TestRandom random(200 + seed);
    const uint64_t kind = seed % 3;  // integers, texts, both
    const uint64_t range = seed % 5 == 0 ? 100 : 400 * (1 + seed);
    const auto draw = [&] {
      const uint64_t n = random.Below(range);
      if (kind == 0 || (kind == 2 && random.Below(50) != 0)) {
        return std::to_string(static_cast<int64_t>(n * n * n * n) - 5000);
      }
      return "m" + std::to_string(n) + (n % 97 == 0 ? std::string(300, 'x') : "");
    };
    const std::string first = draw();
    Set set(first, 1, kDefaults);
    std::set<std::string> model;
    for (int step = 0; step < 10000; ++step) {
      const std::string member = draw();
      switch (random.Below(8)) {
        case 0:
        case 1: ASSERT_EQ(set.Erase(member), model.erase(member) == 1); break;
        case 2:
          if (model.empty()) break;
          ASSERT_EQ(model.erase(set.Pop(random())), 1u);
          break;
        case 3: ASSERT_EQ(set.Contains(member), model.count(member) == 1); break;
        case 4:
          if (model.empty()) break;
          ASSERT_TRUE(model.count(set.Random(random()).ToString()));
          break;
        default: ASSERT_EQ(set.Add(member, kDefaults), model.insert(member).second); break;
      }
      ASSERT_EQ(set.Size(), model.size());
      if (random.Below(1000) == 0) {
        const Encoding encoding = set.encoding();
        set = Set::Adopt(encoding, set.Release());
        Set copy = set.Clone();
        ExpectSame(copy, model);
        EXPECT_EQ(copy.encoding(), encoding);
        copy.Add("only in the copy", kDefaults);
        EXPECT_FALSE(set.Contains("only in the copy"));
      }
      if (step % 500 == 0) ExpectSame(set, model);
    }
    ExpectSame(set, model);
  }
}

TEST(Set, AScanGivesAllMembersInEveryEncoding) {
  for (const auto& [prefix, n] : std::map<std::string, int>{{"", 100}, {"m", 100}, {"big", 5000}}) {
    Set set(prefix + "0", 1, kDefaults);
    for (int i = 0; i < n; ++i) set.Add(prefix + std::to_string(i), kDefaults);
    std::set<std::string> seen;
    uint64_t cursor = 0;
    do {
      cursor = set.Scan(cursor, [&](const Set::Member& member) { seen.insert(member.ToString()); });
    } while (cursor != 0);
    EXPECT_EQ(seen.size(), static_cast<size_t>(n));
  }
}

TEST(Set, SamplesAreDistinctWhereTheyShouldBeAndReachEveryMember) {
  TestRandom random(12);
  const auto chance = [&] { return random(); };
  for (const auto& [prefix, n] : std::map<std::string, int>{{"", 300}, {"m", 100}, {"big", 3000}}) {
    Set set(prefix + "0", 1, kDefaults);
    for (int i = 0; i < n; ++i) set.Add(prefix + std::to_string(i), kDefaults);
    for (const int wanted : {0, 1, 7, n / 2, n, n + 1}) {
      std::set<std::string> seen;
      int given = 0;
      set.SampleDistinct(static_cast<size_t>(wanted), chance, [&](const Set::Member& member) {
        seen.insert(member.ToString());
        ++given;
      });
      EXPECT_EQ(given, std::min(wanted, n));
      EXPECT_EQ(seen.size(), static_cast<size_t>(given));
    }
    std::set<std::string> reached;
    set.SampleRepeated(static_cast<size_t>(n) * 30, chance,
                       [&](const Set::Member& member) { reached.insert(member.ToString()); });
    EXPECT_EQ(reached.size(), static_cast<size_t>(n));
  }
}

TEST(Set, ForEachEndsEarly) {
  const std::string too_long(70, 'x');
  using Words = std::vector<std::string>;
  for (const auto& members : {Words{"1", "2", "3"}, Words{"a", "b", "c"}, Words{"a", "b", too_long}}) {
    const Set set = Make(members);
    int given = 0;
    EXPECT_FALSE(set.ForEach([&](const Set::Member&) { return ++given < 2; }));
    EXPECT_EQ(given, 2);
  }
}

}  // namespace
}  // namespace understudy::types
