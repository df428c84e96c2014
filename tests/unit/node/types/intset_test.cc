#include "node/types/intset.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "tests/unit/node/types/types_test_support.h"

namespace understudy::types {
namespace {

using namespace std::string_literals;

TEST(Intset, HoldsIntegersInTheBytesThatRedisWrites) {
  Intset set;
  for (const int64_t value : {3, -1, 200, 3}) set.Add(value);
  EXPECT_EQ(set.AsBytes(), "\x02\0\0\0\x03\0\0\0\xff\xff\x03\0\xc8\0"s);
  set.Add(65536);
  EXPECT_EQ(set.AsBytes(), "\x04\0\0\0\x04\0\0\0\xff\xff\xff\xff\x03\0\0\0\xc8\0\0\0\0\0\x01\0"s);
  set.Erase(65536);  // the width stays
  EXPECT_EQ(set.AsBytes(), "\x04\0\0\0\x03\0\0\0\xff\xff\xff\xff\x03\0\0\0\xc8\0\0\0"s);
}

TEST(Intset, DoesWhatASetDoes) {
  TestRandom random(3);
  for (int round = 0; round < 40; ++round) {
    Intset set;
    std::set<int64_t> model;
    for (int step = 0; step < 3000; ++step) {
      // Narrow ones first, so that every width has its time.
      const int bits = step < 1000 ? 10 : step < 2000 ? 20 : 64;
      const auto value = static_cast<int64_t>(random() << (64 - bits)) >> (64 - bits);
      const bool hit = !model.empty() && random.Below(2) == 0;
      const auto at = static_cast<std::ptrdiff_t>(hit ? random.Below(model.size()) : 0);
      const int64_t chosen = hit ? *std::next(model.begin(), at) : value;
      if (random.Below(model.size() > 200 ? 3 : 2) == 0) {
        ASSERT_EQ(set.Add(chosen), model.insert(chosen).second);
      } else {
        ASSERT_EQ(set.Erase(chosen), model.erase(chosen) == 1);
      }
      ASSERT_EQ(set.Contains(value), model.count(value) == 1);
      ASSERT_EQ(set.Count(), model.size());
    }
    std::vector<int64_t> values;
    for (size_t i = 0; i < set.Count(); ++i) values.push_back(set.Get(i));
    EXPECT_EQ(values, std::vector<int64_t>(model.begin(), model.end()));
    EXPECT_EQ(IntsetView::Validate(set.AsBytes(), true), !model.empty());
    EXPECT_GE(set.AllocatedBytes(), set.bytes());
    const Intset copy = Intset::Copy(set.AsBytes());
    EXPECT_EQ(copy.AsBytes(), set.AsBytes());
    void* block = set.Release();
    EXPECT_EQ(Intset::Adopt(block).Count(), model.size());
  }
}

TEST(Intset, ValidateRefusesWhatIsNoIntset) {
  EXPECT_TRUE(IntsetView::Validate("\x02\0\0\0\x02\0\0\0\x01\0\x02\0"s, true));
  EXPECT_FALSE(IntsetView::Validate("\x02\0\0\0\x02\0\0\0\x02\0\x01\0"s, true));  // not ascending
  EXPECT_TRUE(IntsetView::Validate("\x02\0\0\0\x02\0\0\0\x02\0\x01\0"s, false));
  EXPECT_FALSE(IntsetView::Validate("\x02\0\0\0\x02\0\0\0\x01\0\x01\0"s, true));  // twice the same
  EXPECT_FALSE(IntsetView::Validate("\x03\0\0\0\x01\0\0\0\x01\0\0"s, true));      // no such width
  EXPECT_FALSE(IntsetView::Validate("\x02\0\0\0\x03\0\0\0\x01\0\x02\0"s, true));  // another size
  EXPECT_FALSE(IntsetView::Validate("\x02\0\0\0\0\0\0\0"s, true));                // empty
  EXPECT_FALSE(IntsetView::Validate("\x02\0\0"s, true));
  EXPECT_FALSE(IntsetView::Validate("\x08\0\0\0\0\0\0\x20"s, true));  // a size that overflows 32 bits
}

TEST(Intset, ValidateTakesAnyBytesAndWhatItPassesIsSorted) {
  TestRandom random(4);
  size_t passed = 0;
  for (int round = 0; round < 50000; ++round) {
    Intset set;
    for (uint64_t i = random.Below(6); i > 0; --i) set.Add(static_cast<int64_t>(random()) >> random.Below(64));
    std::string bytes(set.AsBytes());
    for (uint64_t i = random.Below(3); i > 0 && !bytes.empty(); --i) {
      switch (random.Below(3)) {
        case 0: bytes[random.Below(bytes.size())] = static_cast<char>(random()); break;
        case 1: bytes[random.Below(bytes.size())] ^= static_cast<char>(1 << random.Below(8)); break;
        default: bytes.resize(random.Below(bytes.size() + 4)); break;
      }
    }
    const std::vector<char> exact(bytes.begin(), bytes.end());
    if (!IntsetView::Validate({exact.data(), exact.size()}, true)) continue;
    ++passed;
    const IntsetView view(exact.data());
    for (size_t i = 0; i < view.Count(); ++i) ASSERT_TRUE(view.Contains(view.Get(i)));
  }
  EXPECT_GT(passed, 5000u);
}

}  // namespace
}  // namespace understudy::types
