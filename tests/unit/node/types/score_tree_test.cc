// The tree of scores against a std::set, over random operations that make it grow, split, shrink and join.
#include "node/types/score_tree.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/node/types/types_test_support.h"

namespace understudy::types {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Order {
  bool operator()(const ScoredMember* a, const ScoredMember* b) const {
    if (a->score() != b->score()) return a->score() < b->score();
    return a->member() < b->member();
  }
};

// Owns the members, and has them in order twice.
class Both {
 public:
  ~Both() {
    for (ScoredMember* member : all) ScoredMember::Delete(member);
  }
  void Add(std::string_view name, double score) {
    ScoredMember* const member = ScoredMember::New(name, score);
    if (!model.insert(member).second) return ScoredMember::Delete(member);
    all.push_back(member);
    tree.Insert(member);
  }
  void RemoveAt(size_t i) {
    tree.Erase(all[i]);
    model.erase(all[i]);
    ScoredMember::Delete(all[i]);
    all[i] = all.back();
    all.pop_back();
  }
  void Rescore(size_t i, double score) {
    ScoredMember* const probe = ScoredMember::New(all[i]->member(), score);
    const bool taken = model.count(probe) > 0 && *model.find(probe) != all[i];
    ScoredMember::Delete(probe);
    if (taken) return;
    model.erase(all[i]);
    tree.UpdateScore(all[i], score);
    model.insert(all[i]);
  }
  void ExpectSame() {
    tree.Validate();
    ASSERT_EQ(tree.size(), model.size());
    ScoreTree::Cursor cursor = tree.First();
    for (const ScoredMember* member : model) {
      ASSERT_TRUE(cursor);
      ASSERT_EQ(cursor.get(), member);
      cursor.Next();
    }
    EXPECT_FALSE(cursor);
    cursor = tree.Last();
    for (auto it = model.rbegin(); it != model.rend(); ++it, cursor.Prev()) ASSERT_EQ(cursor.get(), *it);
    EXPECT_FALSE(cursor);
  }

  std::vector<ScoredMember*> all;
  std::set<ScoredMember*, Order> model;
  ScoreTree tree;
};

double RandomScore(TestRandom& rng, int kind) {
  switch (kind) {
    case 0: return static_cast<double>(rng.Below(50));                                       // many equal ones
    case 1: return (static_cast<double>(rng() >> 11) - 4503599627370496.0) / 1048576.0;  // hardly any
    case 2: return std::ldexp(1.0, static_cast<int>(rng.Below(2000)) - 1000) * ((rng.Below(2) == 0) ? 1 : -1);
    default: {
      constexpr double kEdges[] = {0.0, -0.0, kInfinity, -kInfinity, 5e-324, -5e-324, 1.7976931348623157e308, 1, -1};
      return kEdges[rng.Below(std::size(kEdges))];
    }
  }
}

TEST(ScoreTree, BehavesAsASetUnderRandomOperations) {
  for (int kind = 0; kind < 4; ++kind) {
    SCOPED_TRACE(kind);
    TestRandom rng(static_cast<uint64_t>(kind) + 7);
    Both both;
    for (size_t batch = 0; batch < 100; ++batch) {
      const uint64_t growth = batch % 20 < 12 ? 70 : 25;  // in per cent
      for (int i = 0; i < 1000; ++i) {
        const uint64_t what = rng.Below(100);
        if (what < growth || both.all.empty()) {
          both.Add("m" + std::to_string(rng.Below(100'000)), RandomScore(rng, kind));
        } else if (what < growth + 15) {
          const size_t at = rng.Below(both.all.size());
          const double score = (rng.Below(2) == 0) ? both.all[at]->score() + 1e-3 : RandomScore(rng, kind);
          both.Rescore(at, score);
        } else {
          both.RemoveAt(rng.Below(both.all.size()));
        }
      }
      ASSERT_NO_FATAL_FAILURE(both.ExpectSame());
      for (int i = 0; i < 20; ++i) {
        const ScoredMember* const member = both.all[rng.Below(both.all.size())];
        const uint64_t rank = both.tree.Rank(member);
        ASSERT_EQ(rank, std::distance(both.model.begin(), both.model.find(const_cast<ScoredMember*>(member))));
        ASSERT_EQ(both.tree.AtRank(rank).get(), member);
      }
    }
  }
}

TEST(ScoreTree, CountsWhatLiesBeforeAnyPlace) {
  TestRandom rng(3);
  Both both;
  for (int i = 0; i < 3000; ++i) both.Add("m" + std::to_string(i), RandomScore(rng, i % 4));
  using Kind = ScoreTree::Place::Kind;
  for (int i = 0; i < 500; ++i) {
    const double score = RandomScore(rng, i % 4);
    const std::string name = "m" + std::to_string(rng.Below(4000));
    uint64_t before[4] = {};
    for (const ScoredMember* member : both.model) {
      const bool lower = member->score() < score, same = member->score() == score;
      before[0] += lower;
      before[1] += lower || same;
      before[2] += lower || (same && member->member() < name);
      before[3] += lower || (same && member->member() <= name);
    }
    EXPECT_EQ(both.tree.CountBefore({Kind::kBeforeScore, score}), before[0]);
    EXPECT_EQ(both.tree.CountBefore({Kind::kAfterScore, score}), before[1]);
    EXPECT_EQ(both.tree.CountBefore({Kind::kBeforeMember, score, name}), before[2]);
    EXPECT_EQ(both.tree.CountBefore({Kind::kAfterMember, score, name}), before[3]);
  }
}

TEST(ScoreTree, OrdersEqualScoresByBytesAndFindsNames) {
  Both both;
  for (int i = 0; i < 256; ++i) both.Add(std::string(1, static_cast<char>(i)), i % 2 == 0 ? 0.0 : -0.0);
  both.Add("", 0.0);
  both.Add(std::string(300, 'a'), -0.0);
  both.ExpectSame();
  using Kind = ScoreTree::Place::Kind;
  EXPECT_EQ(both.tree.First()->member(), "");
  EXPECT_EQ(both.tree.Last()->member(), "\xff");
  EXPECT_EQ(both.tree.CountBefore({Kind::kBeforeName, 0, "a"}), 1u + 'a');
  EXPECT_EQ(both.tree.CountBefore({Kind::kAfterName, 0, "a"}), 2u + 'a');
  EXPECT_EQ(both.tree.CountBefore({Kind::kBeforeName, 0, "b"}), 3u + 'a');
  EXPECT_EQ(both.tree.CountBefore({Kind::kBeforeName, 0, ""}), 0u);
}

TEST(ScoreTree, KeepsTheSignOfAZeroThatAnUpdateBrings) {
  Both both;
  both.Add("m", 0.0);
  both.tree.UpdateScore(both.all[0], -0.0);
  EXPECT_TRUE(std::signbit(both.tree.First()->score()));
}

TEST(ScoreTree, ErasesRangesAsIfOneByOne) {
  for (const size_t size : {1u, 59u, 60u, 61u, 500u, 5000u}) {
    TestRandom rng(size);
    Both both;
    for (size_t i = 0; i < size; ++i) both.Add("m" + std::to_string(i), RandomScore(rng, static_cast<int>(i % 3)));
    while (!both.model.empty()) {
      const uint64_t first = rng.Below(both.model.size());
      const uint64_t count = rng.Below(both.model.size() / 2 + 2) + 1;  // may reach beyond the end
      const auto begin = std::next(both.model.begin(), static_cast<ptrdiff_t>(first));
      std::vector<ScoredMember*> gone;
      auto end = begin;
      for (uint64_t i = 0; i < count && end != both.model.end(); ++i) gone.push_back(*end++);
      both.model.erase(begin, end);
      std::vector<ScoredMember*> erased;
      both.tree.EraseRange(first, count, [&](ScoredMember* member) { erased.push_back(member); });
      ASSERT_EQ(erased, gone);
      ASSERT_NO_FATAL_FAILURE(both.ExpectSame());
    }
    EXPECT_EQ(both.tree.AllocatedBytes(), 0u);
  }
}

TEST(ScoreTree, FillsItsLeavesWhenFilledInOrder) {
  for (const int step : {1, -1}) {
    Both both;
    for (int i = 0; i < 20'000; ++i) both.Add("m", i * step);
    both.ExpectSame();
    EXPECT_LT(both.tree.AllocatedBytes(), 20'000 * 10u);
  }
}

TEST(ScoreTree, IsEmptyAtTheStart) {
  ScoreTree tree;
  tree.Validate();
  EXPECT_FALSE(tree.First());
  EXPECT_FALSE(tree.Last());
  EXPECT_FALSE(tree.AtRank(0));
  EXPECT_EQ(tree.CountBefore({ScoreTree::Place::Kind::kAfterScore, 0}), 0u);
  tree.EraseRange(0, 5, [](ScoredMember*) { FAIL(); });
}

TEST(ScoredMember, HoldsMembersOfAnyLength) {
  for (const size_t size : {0u, 1u, 254u, 255u, 256u, 100'000u}) {
    const std::string name(size, 'x');
    ScoredMember* const member = ScoredMember::New(name, 1.5);
    EXPECT_EQ(member->member(), name);
    EXPECT_EQ(member->score(), 1.5);
    EXPECT_GE(member->AllocatedBytes(), size + 9);
    ScoredMember::Delete(member);
  }
}

}  // namespace
}  // namespace understudy::types
