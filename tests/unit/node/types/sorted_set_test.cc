// Sorted sets against a std::map, over both encodings and every change between them.
#include "node/types/sorted_set.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/node/types/types_test_support.h"

namespace understudy::types {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
using Outcome = SortedSet::AddOutcome;
using Pairs = std::vector<std::pair<std::string, double>>;

Pairs PairsOf(const SortedSet& set, Ranks ranks, bool reverse = false) {
  Pairs pairs;
  set.Walk(ranks, reverse, [&](std::string_view member, double score) {
    pairs.emplace_back(member, score);
    return true;
  });
  return pairs;
}

Pairs PairsOf(const SortedSet& set) { return PairsOf(set, {0, set.Size()}); }

// The same in std:: containers.
class Model {
 public:
  Pairs Sorted() const {
    Pairs pairs(scores.begin(), scores.end());
    std::sort(pairs.begin(), pairs.end(), [](const auto& a, const auto& b) {
      return a.second != b.second ? a.second < b.second : a.first < b.first;
    });
    return pairs;
  }
  std::map<std::string, double> scores;
};

Pairs Slice(const Pairs& pairs, Ranks ranks) {
  const auto begin = pairs.begin() + static_cast<ptrdiff_t>(ranks.first);
  return {begin, begin + static_cast<ptrdiff_t>(ranks.count)};
}

double RandomScore(TestRandom& random) {
  switch (random.Below(6)) {
    case 0: return static_cast<double>(random.Below(20));
    case 1: return static_cast<double>(random.Below(1000)) / 8;
    case 2: return -static_cast<double>(random() >> 20);
    case 3: return random.Below(2) == 0 ? kInfinity : -kInfinity;
    case 4: return std::ldexp(static_cast<double>(random() >> 11), static_cast<int>(random.Below(200)) - 150);
    default: return 0;
  }
}

void ExpectSame(const SortedSet& set, const Model& model, TestRandom& random) {
  set.Validate();
  const Pairs sorted = model.Sorted();
  ASSERT_EQ(set.Size(), sorted.size());
  ASSERT_EQ(PairsOf(set), sorted);
  Pairs reversed = sorted;
  std::reverse(reversed.begin(), reversed.end());
  ASSERT_EQ(PairsOf(set, {0, set.Size()}, true), reversed);
  for (int i = 0; i < 10 && !sorted.empty(); ++i) {
    const size_t rank = random.Below(sorted.size());
    double score = 0;
    ASSERT_EQ(set.Rank(sorted[rank].first, false, &score), rank);
    ASSERT_EQ(score, sorted[rank].second);
    ASSERT_EQ(set.Rank(sorted[rank].first, true), sorted.size() - 1 - rank);
    ASSERT_EQ(set.Score(sorted[rank].first), sorted[rank].second);
    ScoreRange range = {{RandomScore(random), random.Below(2) == 0}, {RandomScore(random), random.Below(2) == 0}};
    if (random.Below(3) == 0) range.max.value = range.min.value = sorted[rank].second;
    Pairs within;
    for (const auto& pair : sorted) {
      const double s = pair.second;
      const bool above = range.min.exclusive ? s > range.min.value : s >= range.min.value;
      const bool below = range.max.exclusive ? s < range.max.value : s <= range.max.value;
      if (above && below) within.push_back(pair);
    }
    const Ranks ranks = set.RanksIn(range);
    ASSERT_EQ(ranks.count, within.size());
    ASSERT_EQ(PairsOf(set, ranks), within);
  }
  std::set<std::string> scanned;
  uint64_t cursor = 0;
  do {
    cursor = set.Scan(cursor, 10, [&](std::string_view member, double score) {
      ASSERT_EQ(model.scores.at(std::string(member)), score);
      scanned.insert(std::string(member));
    });
  } while (cursor != 0);
  ASSERT_EQ(scanned.size(), sorted.size());
}

TEST(SortedSet, BehavesAsAMapUnderRandomOperations) {
  for (const size_t entries : {0u, 8u, 128u}) {
    SCOPED_TRACE(entries);
    Limits limits;
    limits.zset_max_listpack_entries = entries;
    TestRandom random(entries + 1);
    SortedSet set;
    Model model;
    bool was_table = false;
    for (int batch = 0; batch < 100; ++batch) {
      // Both ways, so that the set is emptied and compacted now and then.
      const uint64_t range = batch % 10 < 5 ? 60 : 20'000;
      for (int i = 0; i < 400; ++i) {
        const std::string member = random.Below(50) == 0 ? random.Text(80) : std::to_string(random.Below(range));
        const auto found = model.scores.find(member);
        const bool there = found != model.scores.end();
        const uint64_t what = random.Below(100);
        if (what < 70) {
          const SortedSet::AddRule rule = {random.Below(4) == 0, random.Below(8) == 0, random.Below(8) == 0,
                                           random.Below(8) == 0, random.Below(8) == 0};
          double score = RandomScore(random);
          const SortedSet::AddResult result = set.Add(member, score, rule, limits);
          if (there && rule.increment) score += found->second;
          if (there && !rule.only_new && std::isnan(score)) {
            ASSERT_EQ(result.outcome, Outcome::kNotANumber);
          } else if (there ? rule.only_new || (rule.only_greater && score <= found->second) ||
                                 (rule.only_less && score >= found->second)
                           : rule.only_existing) {
            ASSERT_EQ(result.outcome, Outcome::kSkipped);
          } else {
            ASSERT_EQ(result.outcome, !there                   ? Outcome::kAdded
                                      : score == found->second ? Outcome::kSame
                                                               : Outcome::kUpdated);
            ASSERT_EQ(result.score, score);
            model.scores[member] = score;
          }
        } else if (what < 95) {
          ASSERT_EQ(set.Remove(member), there);
          model.scores.erase(member);
        } else if (what < 97) {
          ASSERT_EQ(set.Score(member).has_value(), there);
          ASSERT_EQ(set.Rank(member).has_value(), there);
        } else if (!model.scores.empty()) {
          const Pairs sorted = model.Sorted();
          const uint64_t first = random.Below(sorted.size());
          const uint64_t count = random.Below(std::min<uint64_t>(sorted.size() - first, 30) + 1);
          set.RemoveRange({first, count});
          for (const auto& pair : Slice(sorted, {first, count})) model.scores.erase(pair.first);
        }
        was_table = !set.empty() && (was_table || set.encoding() == Encoding::kTable);
        ASSERT_FALSE(was_table && set.encoding() == Encoding::kListpack);
      }
      ASSERT_NO_FATAL_FAILURE(ExpectSame(set, model, random));
      SortedSet copy = set.Clone();
      ASSERT_NO_FATAL_FAILURE(ExpectSame(copy, model, random));
      ASSERT_EQ(copy.encoding(), set.encoding());
      if (batch % 3 == 0) {
        const Encoding encoding = copy.encoding();
        copy = SortedSet::Adopt(encoding, copy.Release());
        set = std::move(copy);
      }
      if (batch % 10 == 9) {
        set.RemoveRange({0, set.Size() - std::min<uint64_t>(set.Size(), entries)});
        model.scores.clear();
        for (const auto& [member, score] : PairsOf(set)) model.scores[member] = score;
        set.Compact(limits);
        const bool fits = std::all_of(model.scores.begin(), model.scores.end(), [](const auto& pair) {
          return pair.first.size() <= 64;
        });
        ASSERT_EQ(set.encoding() == Encoding::kListpack, fits);
        ASSERT_NO_FATAL_FAILURE(ExpectSame(set, model, random));
        was_table = false;
      }
    }
  }
}

TEST(SortedSet, BecomesATableAtRedisLimits) {
  const Limits limits;
  SortedSet set;
  for (int i = 0; i < 128; ++i) set.Add(std::to_string(i), i, limits);
  EXPECT_EQ(set.EncodingName(), "listpack");
  set.Add("7", 1000, limits);
  EXPECT_EQ(set.EncodingName(), "listpack");
  set.Add("new", 1, {.only_existing = true}, limits);
  EXPECT_EQ(set.EncodingName(), "listpack");
  set.Add("new", 1, limits);
  EXPECT_EQ(set.EncodingName(), "skiplist");
  set.Remove("new");
  EXPECT_EQ(set.EncodingName(), "skiplist");
  set.Compact(limits);
  EXPECT_EQ(set.EncodingName(), "listpack");
  set.RemoveRange({0, 100});
  set.Add(std::string(64, 'x'), 1, limits);
  EXPECT_EQ(set.EncodingName(), "listpack");
  set.Add(std::string(65, 'x'), 1, limits);
  EXPECT_EQ(set.EncodingName(), "skiplist");
  set.Compact(limits);
  EXPECT_EQ(set.EncodingName(), "skiplist");
  set.Validate();
}

TEST(SortedSet, IsATableAtOnceIfThatIsAnnounced) {
  SortedSet set;
  set.Expect(128, 64, Limits());
  EXPECT_EQ(set.EncodingName(), "listpack");
  set.Expect(1, 65, Limits());
  EXPECT_EQ(set.EncodingName(), "skiplist");
  SortedSet other;
  other.Expect(129, 0, Limits());
  EXPECT_EQ(other.EncodingName(), "skiplist");
  EXPECT_TRUE(other.empty());
  other.Validate();
}

TEST(SortedSet, KeepsTheBytesThatRedisKeeps) {
  SortedSet set;
  const Limits limits;
  set.Add("half", 0.5, limits);
  set.Add("one", 1, limits);
  set.Add("5", 1e17, limits);
  set.Add("large", 1e19, limits);
  set.Add("none", -0.0, limits);
  std::string texts;
  set.listpack().ForEach([&](const ListpackValue& value) {
    texts += (value.is_integer() ? "i" : "s") + value.ToString() + " ";
    return true;
  });
  EXPECT_EQ(texts, "snone i0 shalf s0.5 sone i1 i5 i100000000000000000 slarge s1e+19 ");
}

TEST(SortedSet, KeepsNegativeZeroInATableOnly) {
  Limits limits;
  limits.zset_max_listpack_entries = 0;
  SortedSet set;
  set.Add("m", -0.0, limits);
  EXPECT_TRUE(std::signbit(*set.Score("m")));
  set.Compact(Limits());
  EXPECT_EQ(set.EncodingName(), "listpack");
  EXPECT_FALSE(std::signbit(*set.Score("m")));
}

SortedSet Letters(const Limits& limits) {
  SortedSet set;
  for (const char c : std::string("hgfedcba")) set.Add(std::string(1, c), 0, limits);
  return set;
}

TEST(SortedSet, FindsRangesOfMembersWithEqualScores) {
  Limits tables;
  tables.zset_max_listpack_entries = 0;
  for (const Limits& limits : {Limits(), tables}) {
    const SortedSet set = Letters(limits);
    const auto ranks = [&](std::string_view min, std::string_view max) {
      return set.RanksIn(LexRange{*ParseLexBound(min), *ParseLexBound(max)});
    };
    EXPECT_EQ(ranks("-", "+"), (Ranks{0, 8}));
    EXPECT_EQ(ranks("[b", "[d"), (Ranks{1, 3}));
    EXPECT_EQ(ranks("(b", "[d"), (Ranks{2, 2}));
    EXPECT_EQ(ranks("[b", "(d"), (Ranks{1, 2}));
    EXPECT_EQ(ranks("-", "(c"), (Ranks{0, 2}));
    EXPECT_EQ(ranks("[bb", "+"), (Ranks{2, 6}));
    EXPECT_EQ(ranks("+", "-").count, 0u);
    EXPECT_EQ(ranks("[d", "[b").count, 0u);
    EXPECT_EQ(ranks("(b", "(b").count, 0u);
    EXPECT_EQ(ranks("[", "[").count, 0u);
    EXPECT_EQ(ranks("+", "+").count, 0u);
  }
}

TEST(SortedSet, TurnsIndexesIntoRanks) {
  EXPECT_EQ(RanksBetween(0, -1, 5), (Ranks{0, 5}));
  EXPECT_EQ(RanksBetween(-2, -1, 5), (Ranks{3, 2}));
  EXPECT_EQ(RanksBetween(-100, 100, 5), (Ranks{0, 5}));
  EXPECT_EQ(RanksBetween(1, 3, 5), (Ranks{1, 3}));
  EXPECT_EQ(RanksBetween(5, 10, 5).count, 0u);
  EXPECT_EQ(RanksBetween(3, 1, 5).count, 0u);
  EXPECT_EQ(RanksBetween(0, -6, 5).count, 0u);
  EXPECT_EQ(RanksBetween(0, -1, 0).count, 0u);
  EXPECT_EQ(RanksBetween(INT64_MIN, INT64_MAX, 5), (Ranks{0, 5}));
}

TEST(SortedSet, LimitsARangeFromTheEndItIsWalkedFrom) {
  const Ranks ranks = {10, 5};
  EXPECT_EQ(Limit(ranks, false, 1, 2), (Ranks{11, 2}));
  EXPECT_EQ(Limit(ranks, true, 1, 2), (Ranks{12, 2}));
  EXPECT_EQ(Limit(ranks, false, 0, -1), ranks);
  EXPECT_EQ(Limit(ranks, true, 2, -1), (Ranks{10, 3}));
  EXPECT_EQ(Limit(ranks, false, 0, 0).count, 0u);
  EXPECT_EQ(Limit(ranks, false, 5, 1).count, 0u);
  EXPECT_EQ(Limit(ranks, false, -1, 1).count, 0u);
  EXPECT_EQ(Limit(ranks, false, 4, INT64_MAX), (Ranks{14, 1}));
}

TEST(SortedSet, StopsAWalkWhenToldTo) {
  Limits tables;
  tables.zset_max_listpack_entries = 0;
  for (const Limits& limits : {Limits(), tables}) {
    const SortedSet set = Letters(limits);
    int seen = 0;
    set.WalkAll([&](std::string_view, double) { return ++seen < 3; });
    EXPECT_EQ(seen, 3);
  }
}

Listpack PackOf(std::initializer_list<std::string_view> texts) {
  Listpack pack;
  for (const std::string_view text : texts) pack.Append(text);
  return pack;
}

TEST(SortedSet, TakesOverListpacksThatAreSortedSets) {
  const auto take = [](std::initializer_list<std::string_view> texts, size_t entries = 128) {
    Limits limits;
    limits.zset_max_listpack_entries = entries;
    return SortedSet::FromListpack(PackOf(texts), limits);
  };
  const Pairs sorted = {{"7", 1}, {"b", 1}, {"a", 2.5}};
  EXPECT_EQ(PairsOf(*take({"7", "1", "b", "1", "a", "2.5"})), sorted);
  EXPECT_EQ(take({"7", "1", "b", "1", "a", "2.5"})->EncodingName(), "listpack");
  EXPECT_EQ(take({"7", "1", "b", "1", "a", "2.5"}, 2)->EncodingName(), "skiplist");
  EXPECT_EQ(PairsOf(*take({"7", "1", "b", "1", "a", "2.5"}, 2)), sorted);
  // Out of order: put right.
  EXPECT_EQ(PairsOf(*take({"a", "2.5", "b", "1", "7", "1"})), sorted);
  EXPECT_EQ(take({"a", "2.5", "b", "1", "7", "1"})->EncodingName(), "listpack");
  EXPECT_TRUE(take({})->empty());
  EXPECT_FALSE(take({"a"}));
  EXPECT_FALSE(take({"a", "1", "b"}));
  EXPECT_FALSE(take({"a", "1", "a", "2"}));
  EXPECT_FALSE(take({"7", "1", "7", "2"}));
  EXPECT_FALSE(take({"a", "x"}));
  EXPECT_FALSE(take({"a", "nan"}));
  EXPECT_FALSE(take({"a", ""}));
  EXPECT_EQ(PairsOf(*take({"a", "-inf", "b", "inf"})), (Pairs{{"a", -kInfinity}, {"b", kInfinity}}));
}

TEST(SortedSet, CountsItsBytes) {
  SortedSet set;
  const Limits limits;
  for (int i = 0; i < 1000; ++i) {
    set.Add("member:" + std::to_string(i), i, limits);
    ASSERT_GT(set.AllocatedBytes(), set.Size() * 10);
  }
  const size_t before = set.AllocatedBytes();
  set.Add(std::string(100'000, 'x'), 1, limits);
  EXPECT_GE(set.AllocatedBytes(), before + 100'000);
  set.Remove(std::string(100'000, 'x'));
  EXPECT_LE(set.AllocatedBytes(), before + 1024);  // a page may have grown
  set.RemoveRange({0, set.Size()});
  EXPECT_LT(set.AllocatedBytes(), 400u);
}

TEST(SortedSet, ScanSeesWhoStaysWhileOthersComeAndGo) {
  Limits limits;
  limits.zset_max_listpack_entries = 0;
  for (const bool grows : {true, false}) {
    SortedSet set;
    for (int i = 0; i < 500; ++i) set.Add("stays" + std::to_string(i), i, limits);
    for (int i = 0; i < 20'000 && !grows; ++i) set.Add("goes" + std::to_string(i), i, limits);
    std::set<std::string> seen;
    uint64_t cursor = 0;
    int step = 0;
    do {
      cursor = set.Scan(cursor, 25, [&](std::string_view member, double) { seen.insert(std::string(member)); });
      ASSERT_LT(cursor, uint64_t{1} << 48);
      for (int i = 0; i < 1000; ++i) {
        const std::string other = "goes" + std::to_string(step * 1000 + i);
        grows && step < 40 ? (void)set.Add(other, i, limits) : (void)set.Remove(other);
      }
      ++step;
    } while (cursor != 0);
    set.Validate();
    for (int i = 0; i < 500; ++i) ASSERT_TRUE(seen.contains("stays" + std::to_string(i))) << i;
  }
}

}  // namespace
}  // namespace understudy::types
