// Lists against a std::deque, over both encodings, plain nodes and every change between them.
#include "node/types/list.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <string>
#include <vector>

#include "tests/unit/node/types/types_test_support.h"

namespace understudy::types {
namespace {

using Strings = std::vector<std::string>;

Strings ElementsOf(const List& list, uint64_t first, uint64_t count, bool reverse = false) {
  Strings elements;
  list.Walk(first, count, reverse, [&](const ListpackValue& value) {
    elements.push_back(value.ToString());
    return true;
  });
  return elements;
}

Strings ElementsOf(const List& list) { return ElementsOf(list, 0, list.Size()); }

std::vector<uint64_t> PositionsOf(const List& list, std::string_view value, int64_t rank, uint64_t max_compared = 0,
                                  size_t most = SIZE_MAX) {
  std::vector<uint64_t> found;
  list.Positions(value, rank, max_compared, [&](uint64_t index) {
    found.push_back(index);
    return found.size() < most;
  });
  return found;
}

Limits LimitsOf(int64_t list_max_listpack_size) {
  Limits limits;
  limits.list_max_listpack_size = list_max_listpack_size;
  return limits;
}

// A list and what it should be.
struct Both {
  explicit Both(int64_t setting) : limits(LimitsOf(setting)), random(static_cast<uint64_t>(setting + 10)) {}

  std::string Value() {
    switch (random.Below(40)) {
      case 0: return std::string(random.Below(20'000), 'l');
      case 1: return std::string(4000 + random.Below(400), 'm');
      case 2: return random.Text(300);
      default: return std::to_string(random.Below(50));
    }
  }
  void Push(ListEnd end) {
    Strings values(1 + random.Below(3));
    std::vector<std::string_view> views;
    for (std::string& value : values) {
      value = Value();
      end == ListEnd::kHead ? model.push_front(value) : model.push_back(value);
    }
    views.assign(values.begin(), values.end());
    list.Push(end, views, limits);
  }
  void Erase(uint64_t first, uint64_t count) {
    list.Erase(first, count, limits);
    const auto begin = model.begin() + static_cast<ptrdiff_t>(first);
    model.erase(begin, begin + static_cast<ptrdiff_t>(count));
  }
  void EraseEqual() {
    const std::string value = Value();
    const uint64_t most = random.Below(2) == 0 ? UINT64_MAX : 1 + random.Below(3);
    const bool head = random.Below(2) == 0;
    uint64_t erased = 0;
    if (!head) std::reverse(model.begin(), model.end());
    for (auto it = model.begin(); it != model.end() && erased < most;) {
      if (*it != value) {
        ++it;
        continue;
      }
      it = model.erase(it);
      ++erased;
    }
    if (!head) std::reverse(model.begin(), model.end());
    ASSERT_EQ(list.EraseEqual(value, most, head ? ListEnd::kHead : ListEnd::kTail, limits), erased);
  }
  void Insert() {
    const std::string pivot = Value(), value = Value();
    const bool after = random.Below(2) == 0;
    const auto at = std::find(model.begin(), model.end(), pivot);
    const bool found = at != model.end();
    ASSERT_EQ(list.InsertBeside(pivot, after, value, limits), found);
    if (found) model.insert(after ? at + 1 : at, value);
  }
  void Step(bool grows) {
    const uint64_t what = random.Below(100);
    const uint64_t pushes = grows ? 45 : 8;
    if (what < pushes) return Push(random.Below(2) == 0 ? ListEnd::kHead : ListEnd::kTail);
    if (what < pushes + 8) return Insert();
    if (what < pushes + 12) return EraseEqual();
    if (model.empty()) return;
    if (what < pushes + 25) {
      const uint64_t index = random.Below(model.size());
      const std::string value = Value();
      list.Set(index, value, limits);
      model[index] = value;
    } else if (what < 98) {
      Erase(random.Below(2) == 0 ? 0 : model.size() - 1, 1);
    } else {
      const uint64_t first = random.Below(model.size());
      Erase(first, random.Below(std::min<uint64_t>(model.size() - first, 20) + 1));
    }
  }
  void ExpectSame() {
    list.Validate();
    const Strings all(model.begin(), model.end());
    ASSERT_EQ(list.Size(), all.size());
    ASSERT_TRUE(ElementsOf(list) == all);
    Strings reversed = all;
    std::reverse(reversed.begin(), reversed.end());
    ASSERT_TRUE(ElementsOf(list, 0, list.Size(), true) == reversed);
    const std::string value = Value();
    std::vector<uint64_t> forward;
    for (size_t i = 0; i < all.size(); ++i) {
      if (all[i] == value) forward.push_back(i);
    }
    ASSERT_EQ(PositionsOf(list, value, 1), forward);
    std::reverse(forward.begin(), forward.end());
    ASSERT_EQ(PositionsOf(list, value, -1), forward);
    for (int i = 0; i < 10 && !all.empty(); ++i) {
      const uint64_t first = random.Below(all.size());
      const uint64_t count = random.Below(all.size() - first) + 1;
      const auto begin = all.begin() + static_cast<ptrdiff_t>(first);
      ASSERT_TRUE(ElementsOf(list, first, count) == Strings(begin, begin + static_cast<ptrdiff_t>(count)));
    }
  }

  Limits limits;
  TestRandom random;
  List list;
  std::deque<std::string> model;
};

TEST(List, BehavesAsADequeUnderRandomOperations) {
  for (const int64_t setting : {-2, -1, -5, 1, 4, 128, 0, -9}) {
    SCOPED_TRACE(setting);
    Both both(setting);
    size_t conversions = 0;
    Encoding last = both.list.encoding();
    for (int batch = 0; batch < 70; ++batch) {
      for (int i = 0; i < 250; ++i) {
        both.Step(batch % 10 < 5);
        conversions += both.list.encoding() != last;
        last = both.list.encoding();
        if (testing::Test::HasFatalFailure()) return;
      }
      ASSERT_NO_FATAL_FAILURE(both.ExpectSame());
      List copy = both.list.Clone();
      ASSERT_EQ(copy.encoding(), both.list.encoding());
      copy.Validate();
      ASSERT_TRUE(ElementsOf(copy) == ElementsOf(both.list));
      const Encoding encoding = copy.encoding();
      both.list = List::Adopt(encoding, copy.Release());
      if (batch % 10 == 9 && both.model.size() > 3) both.Erase(2, both.model.size() - 3);
    }
    // With one entry as the limit, no half of it is left that a listpack might be.
    const bool goes_back = setting != 0 && setting != 1;
    EXPECT_GT(conversions, goes_back ? 5u : 0u);
  }
}

TEST(List, BecomesAQuicklistBeforeItsListpackWouldBeTooLarge) {
  List list;
  const Limits limits;
  const std::string value(1000, 'x');
  for (int i = 0; i < 8; ++i) list.Push(ListEnd::kTail, value, limits);
  EXPECT_EQ(list.EncodingName(), "listpack");
  list.Push(ListEnd::kTail, value, limits);
  EXPECT_EQ(list.EncodingName(), "quicklist");

  List many;
  for (int i = 0; i < 128; ++i) many.Push(ListEnd::kTail, "1", LimitsOf(128));
  EXPECT_EQ(many.EncodingName(), "listpack");
  many.Push(ListEnd::kTail, "1", LimitsOf(128));
  EXPECT_EQ(many.EncodingName(), "quicklist");

  // All values of a push count together, and a limit of entries is also one of 8 KiB.
  List together;
  const std::string_view parts[] = {std::string_view(value), value, value, value, value, value, value, value, value};
  together.Push(ListEnd::kTail, parts, LimitsOf(1000));
  EXPECT_EQ(together.EncodingName(), "quicklist");
}

TEST(List, BecomesAListpackAgainAtHalfOfTheLimit) {
  const Limits limits = LimitsOf(8);
  List list;
  for (int i = 0; i < 9; ++i) list.Push(ListEnd::kTail, std::to_string(i), limits);
  EXPECT_EQ(list.nodes(), 2u);
  list.Erase(0, 4, limits);
  EXPECT_EQ(list.EncodingName(), "quicklist");  // 5 in two nodes
  list.Erase(4, 1, limits);
  EXPECT_EQ(list.EncodingName(), "listpack");  // 4 in one
  EXPECT_EQ(ElementsOf(list), (Strings{"4", "5", "6", "7"}));

  List one_node = List::OfNodes();
  Listpack pack;
  for (int i = 0; i < 6; ++i) pack.Append(int64_t{i});
  one_node.AppendPack(std::move(pack));
  one_node.Erase(0, 1, limits);
  EXPECT_EQ(one_node.EncodingName(), "quicklist");
  one_node.Compact(limits);
  EXPECT_EQ(one_node.EncodingName(), "listpack");

  List bytes = List::OfNodes();
  Listpack large;
  for (int i = 0; i < 5; ++i) large.Append(std::string(1000, 'x'));
  bytes.AppendPack(std::move(large));
  bytes.Set(0, "x", Limits());  // 4 kB and a little
  EXPECT_EQ(bytes.EncodingName(), "listpack");
}

TEST(List, KeepsAQuicklistWhoseOnlyElementIsPlain) {
  const Limits limits;
  List list;
  list.Push(ListEnd::kTail, std::string(8193, 'x'), limits);
  EXPECT_EQ(list.EncodingName(), "quicklist");
  list.Push(ListEnd::kTail, "y", limits);
  list.Erase(1, 1, limits);
  EXPECT_EQ(list.EncodingName(), "quicklist");
  list.Compact(limits);
  EXPECT_EQ(list.EncodingName(), "quicklist");
  list.Set(0, "small", limits);
  EXPECT_EQ(list.EncodingName(), "listpack");
  EXPECT_EQ(ElementsOf(list), Strings{"small"});
}

TEST(List, HoldsItsNodesAsAnRdbFileDoes) {
  const Limits limits;
  List list;
  list.Push(ListEnd::kTail, "a", limits);
  list.Push(ListEnd::kTail, std::string(9000, 'x'), limits);
  list.Push(ListEnd::kTail, "12", limits);
  List copy = List::OfNodes();
  std::vector<bool> plain_nodes;
  list.ForEachNode([&](bool plain, std::string_view bytes) {
    plain_nodes.push_back(plain);
    plain ? copy.AppendPlain(bytes) : copy.AppendPack(Listpack::Copy(bytes));
  });
  EXPECT_EQ(plain_nodes, (std::vector<bool>{false, true, false}));
  EXPECT_EQ(list.nodes(), 3u);
  copy.AppendPack(Listpack());  // an empty one is no node
  copy.Compact(limits);
  copy.Validate();
  EXPECT_EQ(ElementsOf(copy), ElementsOf(list));

  List small;
  small.Push(ListEnd::kTail, "a", limits);
  EXPECT_EQ(small.nodes(), 1u);
  small.ForEachNode([&](bool plain, std::string_view bytes) {
    EXPECT_FALSE(plain);
    EXPECT_EQ(ListpackView(bytes.data()).Count(), 1u);
  });
  small.Push(ListEnd::kTail, "b", limits);
  small.Compact(LimitsOf(1));
  EXPECT_EQ(small.EncodingName(), "quicklist");
}

TEST(List, FindsPositionsByRankCountAndLength) {
  for (const int64_t setting : {-2, 2}) {
    List list;
    for (const std::string_view value : {"a", "b", "c", "1", "2", "3", "c", "c"}) {
      list.Push(ListEnd::kTail, value, LimitsOf(setting));
    }
    using Found = std::vector<uint64_t>;
    EXPECT_EQ(PositionsOf(list, "c", 1, 0, 1), Found{2});
    EXPECT_EQ(PositionsOf(list, "c", 2), (Found{6, 7}));
    EXPECT_EQ(PositionsOf(list, "c", -1), (Found{7, 6, 2}));
    EXPECT_EQ(PositionsOf(list, "c", -2, 0, 1), Found{6});
    EXPECT_EQ(PositionsOf(list, "c", 4), Found{});
    EXPECT_EQ(PositionsOf(list, "c", 1, 2), Found{});
    EXPECT_EQ(PositionsOf(list, "c", 1, 3), Found{2});
    EXPECT_EQ(PositionsOf(list, "c", -1, 2), (Found{7, 6}));
    EXPECT_EQ(PositionsOf(list, "2", 1), Found{4});
    EXPECT_EQ(PositionsOf(list, "02", 1), Found{});
    EXPECT_EQ(PositionsOf(list, "c", INT64_MIN), Found{});
  }
}

TEST(List, StopsAWalkWhenToldTo) {
  for (const int64_t setting : {-2, 2}) {
    List list;
    for (int i = 0; i < 10; ++i) list.Push(ListEnd::kHead, std::to_string(i), LimitsOf(setting));
    int seen = 0;
    list.WalkAll([&](const ListpackValue&) { return ++seen < 3; });
    EXPECT_EQ(seen, 3);
    list.Walk(10, 0, false, [](const ListpackValue&) -> bool { throw "not called"; });
  }
}

TEST(List, KeepsItsNodesFullWhereElementsComeIn) {
  const Limits limits;
  TestRandom random(5);
  List list;
  for (int i = 0; i < 4000; ++i) list.Push(ListEnd::kTail, "value:" + std::to_string(i), limits);
  const uint64_t in_order = list.nodes();
  for (int i = 0; i < 4000; ++i) {
    list.InsertBeside("value:" + std::to_string(random.Below(4000)), true, "x", limits);
  }
  list.Validate();
  EXPECT_LT(list.nodes(), in_order * 4);
  EXPECT_LT(list.AllocatedBytes(), 4000u * 60);
  list.Erase(0, list.Size() - 1, limits);
  EXPECT_EQ(list.EncodingName(), "listpack");
  EXPECT_LT(list.AllocatedBytes(), 200u);
}

TEST(List, GoesRoundAsAQueueWithoutGrowing) {
  const Limits limits;
  List list;
  for (int i = 0; i < 50'000; ++i) list.Push(ListEnd::kTail, "value:" + std::to_string(i), limits);
  const size_t before = list.AllocatedBytes();
  for (int i = 50'000; i < 300'000; ++i) {
    list.Push(ListEnd::kTail, "value:" + std::to_string(i), limits);
    ASSERT_EQ(ElementsOf(list, 0, 1), Strings{"value:" + std::to_string(i - 50'000)});
    list.Erase(0, 1, limits);
  }
  list.Validate();
  EXPECT_LT(list.AllocatedBytes(), before + before / 4);
}

}  // namespace
}  // namespace understudy::types
