// The table of members against a std::map, while pages grow, split, join and vanish.
#include "node/types/member_table.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "tests/unit/node/types/types_test_support.h"

namespace understudy::types {
namespace {

class Members {
 public:
  ~Members() {
    for (const auto& [name, member] : model) ScoredMember::Delete(member);
  }
  void Add(const std::string& name) {
    if (model.contains(name)) return;
    ScoredMember* const member = ScoredMember::New(name, 1);
    model.emplace(name, member);
    table.Insert(member);
  }
  bool Remove(const std::string& name) {
    const auto found = model.find(name);
    ScoredMember* const member = table.Erase(name);
    if (found == model.end()) return member == nullptr;
    const bool right = member == found->second;
    ScoredMember::Delete(found->second);
    model.erase(found);
    return right;
  }

  std::map<std::string, ScoredMember*> model;
  MemberTable table;
};

TEST(MemberTable, BehavesAsAMapWhileItGrowsAndShrinks) {
  TestRandom random(11);
  Members members;
  const auto name = [&] { return "name" + std::to_string(random.Below(60'000)); };
  for (int batch = 0; batch < 60; ++batch) {
    const uint64_t growth = batch % 30 < 12 ? 90 : 5;  // in per cent
    for (int i = 0; i < 5000; ++i) {
      if (random.Below(100) < growth) {
        members.Add(name());
      } else if (!members.model.empty()) {
        const auto at = members.model.lower_bound(name());
        ASSERT_TRUE(members.Remove(at == members.model.end() ? name() : at->first));
      }
    }
    members.table.Validate();
    ASSERT_EQ(members.table.size(), members.model.size());
    for (int i = 0; i < 100; ++i) {
      const std::string probe = name();
      const auto found = members.model.find(probe);
      ASSERT_EQ(members.table.Find(probe), found == members.model.end() ? nullptr : found->second);
    }
  }
  while (!members.model.empty()) ASSERT_TRUE(members.Remove(members.model.begin()->first));
  members.table.Validate();
  EXPECT_EQ(members.table.AllocatedBytes(), 0u);
}

TEST(MemberTable, TakesLessThanTenBytesForAMember) {
  Members members;
  double sum = 0;
  int measured = 0;
  for (int i = 0; i < 200'000; ++i) {
    members.Add("name" + std::to_string(i));
    if (i < 50'000 || i % 1000 != 0) continue;
    sum += static_cast<double>(members.table.AllocatedBytes()) / static_cast<double>(members.table.size());
    ++measured;
  }
  EXPECT_LT(sum / measured, 10);
}

TEST(MemberTable, ScansInStepsOfWhatIsWanted) {
  Members members;
  EXPECT_EQ(members.table.Scan(0, 10, [](const ScoredMember&) { FAIL(); }), 0u);
  for (int i = 0; i < 5000; ++i) members.Add("name" + std::to_string(i));
  std::map<std::string, int> seen;
  uint64_t cursor = 0;
  do {
    uint64_t now = 0;
    cursor = members.table.Scan(cursor, 10, [&](const ScoredMember& member) {
      ++seen[std::string(member.member())];
      ++now;
    });
    ASSERT_LE(now, 15u);
    ASSERT_TRUE(now >= 10 || cursor == 0);
  } while (cursor != 0);
  ASSERT_EQ(seen.size(), 5000u);
  for (const auto& [name, times] : seen) ASSERT_EQ(times, 1) << name;
  // Any number is a cursor.
  for (const uint64_t any : {uint64_t{1}, uint64_t{1} << 47, (uint64_t{1} << 48) - 1, UINT64_MAX}) {
    members.table.Scan(any, 1, [](const ScoredMember&) {});
  }
}

}  // namespace
}  // namespace understudy::types
