#include "node/types/dict.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/unit/node/types/types_test_support.h"

namespace understudy::types {
namespace {

struct Number {
  int64_t due;
  uint32_t size;
  char text[1];
};
std::string_view DictKey(const Number& number) { return {number.text, number.size}; }
constexpr auto DueOf = [](const Number& number) { return number.due; };

Number* New(std::string_view text, int64_t due = kNeverDue) {
  auto* number = static_cast<Number*>(std::malloc(sizeof(Number) + text.size()));
  number->due = due;
  number->size = static_cast<uint32_t>(text.size());
  std::memcpy(number->text, text.data(), text.size());
  return number;
}

using Numbers = Dict<Number>;

void Add(Numbers& dict, std::string_view key) {
  const auto place = dict.Locate(key);
  if (!place) dict.Insert(place, New(key));
}
bool Remove(Numbers& dict, std::string_view key) {
  const auto place = dict.Locate(key);
  if (!place) return false;
  std::free(dict.Remove(place));
  return true;
}
std::string Name(uint64_t i) { return "key:" + std::to_string(i); }

TEST(Dict, DoesWhatAMapDoesWhileItGrowsAndShrinks) {
  TestRandom random(5);
  Numbers dict;
  std::map<std::string, int64_t> model;
  for (int step = 0; step < 200000; ++step) {
    // Up to some ten thousand keys, down to none, and again.
    const bool growing = step / 40000 % 2 == 0;
    const std::string key = Name(random.Below(growing ? 30000 : 12000));
    if (random.Below(10) < (growing ? 8 : 1)) {
      const auto place = dict.Locate(key);
      ASSERT_EQ(bool(place), model.count(key) == 1);
      Number* made = New(key, step);
      if (place) {
        Number* old = place.get();
        dict.Replace(place, made, Numbers::Bytes(old));
        std::free(old);
      } else {
        dict.Insert(place, made);
      }
      dict.NoteDue(dict.Locate(key), step);
      dict.CountDue(model.count(key) == 1, true);
      model[key] = step;
    } else {
      const bool removed = Remove(dict, key);
      ASSERT_EQ(removed, model.erase(key) == 1);
      dict.CountDue(removed, false);
    }
    ASSERT_EQ(dict.due_elements(), model.size());
    ASSERT_EQ(dict.size(), model.size());
    if (step % 5000 == 0) {
      dict.Validate(DueOf);
      for (const auto& [name, value] : model) ASSERT_EQ(dict.Find(name)->due, value);
    }
  }
  std::map<std::string, int64_t> seen;
  EXPECT_TRUE(dict.ForEach([&](Number* n) { return seen.emplace(DictKey(*n), n->due).second; }));
  EXPECT_EQ(seen, model);
}

TEST(Dict, GivesItsMemoryBackWhenItEmpties) {
  Numbers dict;
  const size_t empty = dict.AllocatedBytes();
  for (int i = 0; i < 100000; ++i) Add(dict, Name(i));
  EXPECT_GT(dict.AllocatedBytes(), 100000u * 24);
  for (int i = 0; i < 100000; ++i) ASSERT_TRUE(Remove(dict, Name(i)));
  dict.Validate();
  EXPECT_EQ(dict.size(), 0u);
  EXPECT_LT(dict.AllocatedBytes(), empty + 1024);
}

TEST(Dict, TakesElevenBytesPerElementBesideItsBlock) {
  for (const uint64_t n : {1000, 10000, 100000, 300000}) {
    Numbers dict;
    size_t blocks = 0;
    for (uint64_t i = 0; i < n; ++i) {
      Number* made = New(Name(i));
      blocks += Numbers::Bytes(made);
      dict.Insert(dict.Locate(DictKey(*made)), made);
    }
    const double per_element = static_cast<double>(dict.AllocatedBytes() - blocks) / static_cast<double>(n);
    EXPECT_LT(per_element, 12.5) << n;
  }
}

// Every element that is there during the whole walk is given, whatever comes and goes meanwhile.
TEST(Dict, AScanGivesWhatStaysWhileTheTableGrowsAndShrinks) {
  TestRandom random(6);
  for (int round = 0; round < 30; ++round) {
    Numbers dict;
    const uint64_t stay = 1 + random.Below(3000);
    for (uint64_t i = 0; i < stay; ++i) Add(dict, "stay:" + Name(i));
    const uint64_t extra = random.Below(20000);
    for (uint64_t i = 0; i < extra; ++i) Add(dict, Name(i));
    std::set<std::string> seen;
    uint64_t cursor = 0, next_new = extra, next_old = 0, calls = 0;
    const uint64_t mode = round % 3;  // grows, shrinks, both
    do {
      cursor = dict.Scan(cursor, [&](Number* n) { seen.emplace(DictKey(*n)); });
      ++calls;
      for (int i = 0; i < 12; ++i) {
        if (mode != 1 && random.Below(2) == 0 && next_new < 40000) Add(dict, Name(next_new++));
        if (mode != 0 && random.Below(2) == 0 && next_old < extra) Remove(dict, Name(next_old++));
      }
      ASSERT_LT(calls, 100000u);
    } while (cursor != 0);
    for (uint64_t i = 0; i < stay; ++i) ASSERT_TRUE(seen.count("stay:" + Name(i))) << "round " << round;
    dict.Validate();
  }
}

TEST(Dict, AScanOfATableThatDoesNotChangeGivesEachElementOnce) {
  Numbers dict;
  for (int i = 0; i < 5000; ++i) Add(dict, Name(i));
  std::map<std::string, int> seen;
  uint64_t cursor = 0;
  do {
    cursor = dict.Scan(cursor, [&](Number* n) { ++seen[std::string(DictKey(*n))]; });
  } while (cursor != 0);
  EXPECT_EQ(seen.size(), 5000u);
  for (const auto& [key, times] : seen) EXPECT_EQ(times, 1) << key;
}

TEST(Dict, AnyCursorIsTaken) {
  Numbers dict;
  for (int i = 0; i < 2000; ++i) Add(dict, Name(i));
  TestRandom random(7);
  for (int i = 0; i < 10000; ++i) {
    uint64_t cursor = random();
    for (int step = 0; step < 3; ++step) cursor = dict.Scan(cursor, [](Number*) {});
  }
  EXPECT_EQ(dict.Scan(~uint64_t{0}, [](Number*) {}), 0u);
}

TEST(Dict, RandomGivesEachElementTheSameChance) {
  TestRandom random(8);
  EXPECT_EQ(Numbers().Random(1), nullptr);
  for (const int n : {1, 3, 100, 700}) {
    Numbers dict;
    for (int i = 0; i < n; ++i) Add(dict, Name(i));
    std::unordered_map<std::string, double> counts;
    const int draws = n * 400;
    for (int i = 0; i < draws; ++i) ++counts[std::string(DictKey(*dict.Random(random())))];
    ASSERT_EQ(counts.size(), static_cast<size_t>(n));
    double chi = 0;
    for (const auto& [key, count] : counts) chi += (count - 400) * (count - 400) / 400;
    // Mean n - 1, deviation sqrt(2n).
    EXPECT_LT(chi, n + 6 * std::sqrt(2.0 * n)) << n;
  }
}

TEST(Dict, RandomFindsTheLastFewOfAManyTimesLargerTable) {
  Numbers dict;
  for (int i = 0; i < 50000; ++i) Add(dict, Name(i));
  for (int i = 3; i < 50000; ++i) Remove(dict, Name(i));
  std::set<std::string> seen;
  for (uint64_t i = 0; i < 200; ++i) seen.emplace(DictKey(*dict.Random(i * 0x9e3779b97f4a7c15)));
  EXPECT_EQ(seen.size(), 3u);
}

TEST(Dict, TakesOutWhatIsDueInSteps) {
  TestRandom random(9);
  Numbers dict;
  std::multimap<int64_t, std::string> model;
  for (int i = 0; i < 20000; ++i) {
    const bool ever = random.Below(3) != 0;
    const int64_t due = ever ? static_cast<int64_t>(random.Below(100000)) : kNeverDue;
    const auto place = dict.Locate(Name(i));
    dict.Insert(place, New(Name(i), due));
    if (!ever) continue;
    dict.NoteDue(dict.Locate(Name(i)), due);
    dict.CountDue(false, true);
    model.emplace(due, Name(i));
  }
  const size_t never = 20000 - model.size();
  for (int64_t now = 0; now <= 100000; now += 2500) {
    EXPECT_LE(dict.next_due(), model.begin()->first);
    for (size_t steps = 0; dict.next_due() < now; ++steps) {
      ASSERT_LT(steps, 20000u);
      const size_t taken = dict.TakeDue(now, 50, DueOf, [&](Number* n) {
        ASSERT_LT(n->due, now);
        std::free(n);
      });
      ASSERT_LE(taken, 50u);
    }
    model.erase(model.begin(), model.lower_bound(now));
    ASSERT_EQ(dict.size(), never + model.size());
    dict.Validate(DueOf);
  }
  EXPECT_EQ(dict.next_due(), kNeverDue);
  EXPECT_EQ(dict.size(), never);
}

}  // namespace
}  // namespace understudy::types
