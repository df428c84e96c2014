// The tree of IDs against a std::map, over random operations that make it grow, split, shrink and join.
#include "node/types/id_tree.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/unit/node/types/types_test_support.h"

namespace understudy::types {
namespace {

struct Nothing {};
struct Wide {
  uint64_t number;
  uint64_t filler[2];
};

template <typename Value>
Value Make(uint64_t number);
template <>
Nothing Make<Nothing>(uint64_t) {
  return {};
}
template <>
Wide Make<Wide>(uint64_t number) {
  return {number, {0, number}};
}
bool IsValue(const Nothing&, uint64_t) { return true; }
bool IsValue(const Wide& value, uint64_t number) { return value.number == number && value.filler[1] == number; }

// A tree and what it should hold.
template <typename Value>
struct Both {
  void Insert(StreamId id, uint64_t number) {
    const bool added = model.emplace(id, number).second;
    const auto inserted = tree.Insert(id, Make<Value>(number));
    ASSERT_EQ(inserted.added, added);
    ASSERT_TRUE(IsValue(*inserted.value, model[id]));
  }
  void Erase(StreamId id) { ASSERT_EQ(tree.Erase(id), model.erase(id) == 1); }
  void ExpectSame() {
    ASSERT_EQ(tree.Validate(), bytes);
    ASSERT_EQ(tree.size(), model.size());
    auto at = tree.First();
    for (const auto& [id, number] : model) {
      ASSERT_TRUE(at);
      ASSERT_TRUE(at.id() == id && IsValue(at.value(), number));
      at.Next();
    }
    ASSERT_FALSE(at);
    at = tree.Last();
    for (auto it = model.rbegin(); it != model.rend(); ++it, at.Prev()) ASSERT_TRUE(at && at.id() == it->first);
    ASSERT_FALSE(at);
  }
  void ExpectSameAround(StreamId id) {
    const auto above = model.lower_bound(id);
    const auto at_least = tree.AtLeast(id);
    ASSERT_EQ(static_cast<bool>(at_least), above != model.end());
    if (at_least) {
      ASSERT_EQ(at_least.id(), above->first);
    }
    const auto behind = model.upper_bound(id);
    const auto at_most = tree.AtMost(id);
    ASSERT_EQ(static_cast<bool>(at_most), behind != model.begin());
    if (at_most) {
      ASSERT_EQ(at_most.id(), std::prev(behind)->first);
    }
    ASSERT_EQ(tree.Find(id) != nullptr, model.count(id) == 1);
  }

  size_t bytes = 0;
  IdTree<Value> tree{&bytes};
  std::map<StreamId, uint64_t> model;
};

template <typename Value>
void RunRandomOperations() {
  Both<Value> both;
  TestRandom random(7);
  uint64_t next = 0, hole = 0;
  for (int batch = 0; batch < 300; ++batch) {
    // In order at the end, anywhere, away from anywhere, from either end, from the middle, in order at the front.
    const uint64_t kind = random.Below(8);
    const uint64_t range = 1 + random.Below(3000);
    for (int i = 0; i < 400; ++i) {
      const StreamId any = {random.Below(range), random.Below(3)};
      switch (kind) {
        case 0: ASSERT_NO_FATAL_FAILURE(both.Insert({10'000 + ++next, random.Below(3)}, random())); break;
        case 1: ASSERT_NO_FATAL_FAILURE(both.Insert(any, random())); break;
        case 2: ASSERT_NO_FATAL_FAILURE(both.Erase(any)); break;
        case 3:
          if (!both.model.empty()) {
            ASSERT_NO_FATAL_FAILURE(both.Erase(both.model.begin()->first));
          }
          break;
        case 4:
          if (!both.model.empty()) {
            ASSERT_NO_FATAL_FAILURE(both.Erase(both.model.rbegin()->first));
          }
          break;
        case 5:
        case 6: {
          // A run of them, so that whole branches go and what is beside them joins.
          auto it = both.model.lower_bound({hole, 0});
          if (it == both.model.end() || i % 60 == 0) hole = random.Below(range);
          if (it != both.model.end()) {
            const StreamId id = it->first;
            ASSERT_NO_FATAL_FAILURE(both.Erase(id));
          }
          break;
        }
        default: ASSERT_NO_FATAL_FAILURE(both.Insert({UINT64_MAX - ++next, 0}, random())); break;
      }
      ASSERT_NO_FATAL_FAILURE(both.ExpectSameAround(any));
    }
    ASSERT_NO_FATAL_FAILURE(both.ExpectSame());
  }
  while (!both.model.empty()) {
    auto it = both.model.lower_bound({random.Below(20'000), 0});
    if (it == both.model.end()) --it;
    const StreamId id = it->first;
    ASSERT_NO_FATAL_FAILURE(both.Erase(id));
  }
  ASSERT_NO_FATAL_FAILURE(both.ExpectSame());
  EXPECT_EQ(both.bytes, 0u);
  EXPECT_EQ(both.tree.nodes(), 0u);
}

TEST(IdTree, BehavesAsAMapUnderRandomOperations) { RunRandomOperations<Wide>(); }

TEST(IdTree, BehavesAsASetUnderRandomOperations) { RunRandomOperations<Nothing>(); }

TEST(IdTree, IsEmptyAtFirst) {
  size_t bytes = 0;
  const IdTree<Wide> tree(&bytes);
  EXPECT_TRUE(tree.empty() && !tree.First() && !tree.Last() && tree.Find({1, 1}) == nullptr);
  EXPECT_EQ(bytes, 0u);
}

TEST(IdTree, ASmallOneTakesLittleMemoryAndInOrderLeavesAreFull) {
  size_t bytes = 0;
  IdTree<Nothing> tree(&bytes);
  tree.Insert({1, 1}, {});
  EXPECT_LE(bytes, 64u);
  for (uint64_t i = 2; i <= 100'000; ++i) tree.Insert({i, 0}, {});
  // 16 bytes each, and a tenth more.
  EXPECT_LT(bytes, 1'900'000u);
  tree.Validate();
  tree.Clear();
  EXPECT_EQ(bytes, 0u);
}

TEST(IdTree, HoldsTheLowestAndTheHighestId) {
  size_t bytes = 0;
  IdTree<Wide> tree(&bytes);
  tree.Insert(kMaxStreamId, Make<Wide>(2));
  tree.Insert(kMinStreamId, Make<Wide>(1));
  EXPECT_EQ(tree.First().id(), kMinStreamId);
  EXPECT_EQ(tree.Last().id(), kMaxStreamId);
  EXPECT_EQ(tree.Find(kMaxStreamId)->number, 2u);
}

}  // namespace
}  // namespace understudy::types
