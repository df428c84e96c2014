// Whole streams: entries and groups under random operations against std:: containers; copies, and who owns them.
#include "node/types/stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/node/types/stream_test_support.h"
#include "tests/unit/node/types/types_test_support.h"

namespace understudy::types {
namespace {

struct ModelPending {
  std::string consumer;
  int64_t delivered_ms;
  uint64_t deliveries;
};

struct ModelGroup {
  StreamId last_id;
  std::map<std::string, int64_t> consumers;  // when active
  std::map<StreamId, ModelPending> pending;
};

// A stream and what it should be.
struct Both {
  explicit Both(uint64_t seed) : random(seed) { limits.stream_node_max_entries = 1 + random.Below(100); }

  StreamId AnyId() { return {random.Below(last.ms + 3), random.Below(3)}; }
  // One that there is or was.
  StreamId LikelyId(const ModelGroup& group) {
    if (!group.pending.empty() && random.Below(2) == 0) {
      const auto it = group.pending.lower_bound(AnyId());
      return it == group.pending.end() ? group.pending.begin()->first : it->first;
    }
    const auto it = entries.lower_bound(AnyId());
    return it == entries.end() ? AnyId() : it->first;
  }
  std::pair<StreamGroup*, ModelGroup*> AnyGroup() {
    const std::string name = "group " + std::to_string(random.Below(4));
    StreamGroup* group = stream.FindGroup(name);
    if (group == nullptr) {
      const StreamId id = random.Below(3) == 0 ? last : StreamId{};
      group = stream.CreateGroup(name, id, StreamGroup::kUnknown);
      groups[name].last_id = id;
    }
    return {group, &groups[name]};
  }
  StreamConsumer* AnyConsumer(StreamGroup* group, ModelGroup* model) {
    const std::string name = std::string(random.Below(2) * 20, 'c') + std::to_string(random.Below(5));
    StreamConsumer* consumer = group->FindConsumer(name);
    if (consumer == nullptr) {
      consumer = group->CreateConsumer(name, now);
      model->consumers[name] = StreamConsumer::kNeverActive;
    }
    return consumer;
  }

  void ChangeEntries() {
    const uint64_t what = random.Below(100);
    if (what < 75) {
      last.ms += random.Below(2);
      ++last.seq;
      const Words words = {"n", std::to_string(random.Below(1000)), "text", random.Text(40)};
      ASSERT_TRUE(Append(stream.log(), last, words, limits).ok());
      entries[last] = words;
    } else if (what < 97) {
      const auto it = entries.lower_bound(AnyId());
      if (it == entries.end()) return;
      ASSERT_TRUE(stream.log().Erase(it->first));
      entries.erase(it);
    } else {
      const uint64_t keep = entries.size() - std::min<size_t>(entries.size(), random.Below(50));
      const uint64_t removed = stream.log().Trim({.kind = StreamTrim::Kind::kMaxLength, .max_length = keep});
      ASSERT_EQ(removed, entries.size() - keep);
      for (uint64_t i = 0; i < removed; ++i) entries.erase(entries.begin());
    }
  }

  void Deliver(StreamGroup* group, ModelGroup* model) {
    StreamConsumer* const consumer = AnyConsumer(group, model);
    const bool noack = random.Below(8) == 0;
    auto it = entries.upper_bound(model->last_id);
    const uint64_t given = group->Deliver(
        stream.log(), consumer, random.Below(8) + 1, noack, now, [&](const StreamEntry& entry) {
          ASSERT_TRUE(it != entries.end() && entry.id() == it->first && WordsOf(entry) == it->second);
          model->last_id = it->first;
          if (!noack) {
            model->pending[it->first] = {consumer->name(), now, 1};
            model->consumers[consumer->name()] = now;
          }
          ++it;
        });
    ASSERT_TRUE(given > 0 || it == entries.end());
  }

  void Redeliver(StreamGroup* group, ModelGroup* model) {
    StreamConsumer* const consumer = AnyConsumer(group, model);
    const StreamId after = AnyId();
    std::vector<StreamId> ids;
    group->Redeliver(stream.log(), consumer, after, 5, now, [&](StreamId id, const StreamEntry* entry) {
      ids.push_back(id);
      ASSERT_EQ(entry != nullptr, entries.count(id) == 1);
      ModelPending& pending = model->pending.at(id);
      if (entry == nullptr) return;
      pending.delivered_ms = now;
      ++pending.deliveries;
    });
    std::vector<StreamId> expected;
    for (auto it = model->pending.upper_bound(after); it != model->pending.end() && expected.size() < 5; ++it) {
      if (it->second.consumer == consumer->name()) expected.push_back(it->first);
    }
    ASSERT_EQ(ids, expected);
  }

  void Claim(StreamGroup* group, ModelGroup* model) {
    StreamConsumer* const consumer = AnyConsumer(group, model);
    StreamGroup::ClaimRule rule;
    rule.min_idle_ms = static_cast<int64_t>(random.Below(2) * random.Below(300));
    rule.delivered_ms = now - static_cast<int64_t>(random.Below(50));
    if (random.Below(4) == 0) rule.deliveries = random.Below(9);
    rule.force = random.Below(3) == 0;
    rule.just_id = random.Below(3) == 0;
    const StreamId id = LikelyId(*model);
    auto it = model->pending.find(id);
    auto expected = StreamGroup::Claimed::kYes;
    if (entries.count(id) == 0) {
      expected = it == model->pending.end() ? StreamGroup::Claimed::kNo : StreamGroup::Claimed::kGone;
      if (it != model->pending.end()) model->pending.erase(it);
    } else if (it == model->pending.end() ? !rule.force : now - it->second.delivered_ms < rule.min_idle_ms) {
      expected = StreamGroup::Claimed::kNo;
    } else {
      if (it == model->pending.end()) it = model->pending.emplace(id, ModelPending{"", now, 1}).first;
      const uint64_t deliveries = it->second.deliveries + (rule.just_id ? 0 : 1);
      it->second = {consumer->name(), rule.delivered_ms, rule.deliveries.value_or(deliveries)};
      model->consumers[consumer->name()] = now;
    }
    ASSERT_EQ(group->Claim(stream.log(), consumer, id, rule, now), expected);
  }

  void AutoClaim(StreamGroup* group, ModelGroup* model) {
    StreamConsumer* const consumer = AnyConsumer(group, model);
    const auto min_idle = static_cast<int64_t>(random.Below(2) * random.Below(300));
    uint64_t count = random.Below(6) + 1;
    const bool just_id = random.Below(2) == 0;
    const StreamId start = AnyId();
    std::vector<StreamId> claimed, found_gone;
    const StreamId next = group->AutoClaim(stream.log(), consumer, start, count, min_idle, just_id, now,
                                          [&](StreamId id, const StreamEntry* entry, const StreamPending&) {
                                            (entry != nullptr ? claimed : found_gone).push_back(id);
                                          });
    std::vector<StreamId> expected, gone;
    auto it = model->pending.lower_bound(start);
    for (uint64_t looks = count * 10; looks > 0 && count > 0 && it != model->pending.end(); --looks) {
      if (entries.count(it->first) == 0) {
        gone.push_back(it->first);
        it = model->pending.erase(it);
        --count;
        continue;
      }
      if (now - it->second.delivered_ms >= min_idle) {
        expected.push_back(it->first);
        it->second = {consumer->name(), now, it->second.deliveries + (just_id ? 0 : 1)};
        model->consumers[consumer->name()] = now;
        --count;
      }
      ++it;
    }
    ASSERT_EQ(claimed, expected);
    ASSERT_EQ(found_gone, gone);
    ASSERT_EQ(next, it == model->pending.end() ? StreamId{} : it->first);
  }

  void ChangeGroup() {
    const auto [group, model] = AnyGroup();
    const uint64_t what = random.Below(200);
    if (what < 80) return Deliver(group, model);
    if (what < 95) return Redeliver(group, model);
    if (what < 130) {
      const StreamId id = LikelyId(*model);
      ASSERT_EQ(group->Ack(id), model->pending.erase(id) == 1);
    } else if (what < 160) {
      Claim(group, model);
    } else if (what < 185) {
      AutoClaim(group, model);
    } else if (what < 191) {
      StreamConsumer* const consumer = AnyConsumer(group, model);
      const std::string name = consumer->name();
      const auto pending = std::erase_if(model->pending, [&](const auto& p) { return p.second.consumer == name; });
      model->consumers.erase(name);
      ASSERT_EQ(group->DeleteConsumer(consumer), pending);
    } else if (what < 199) {
      model->last_id = AnyId();
      group->SetId(model->last_id, StreamGroup::kUnknown);
    } else {
      const std::string name = group->name();
      ASSERT_TRUE(stream.DestroyGroup(name));
      groups.erase(name);
    }
  }

  void ExpectSameGroup(const StreamGroup& group, const ModelGroup& model) {
    ASSERT_EQ(group.last_id(), model.last_id);
    ASSERT_EQ(group.pending(), model.pending.size());
    auto it = model.pending.begin();
    group.WalkPending(kMinStreamId, kMaxStreamId, nullptr, [&](StreamId id, const StreamPending& pending) {
      const bool same = id == it->first && pending.consumer->name() == it->second.consumer &&
                        pending.delivered_ms == it->second.delivered_ms && pending.deliveries == it->second.deliveries;
      EXPECT_TRUE(same) << id.ToString();
      ++it;
      return same;
    });
    std::map<std::string, int64_t> consumers;
    group.ForEachConsumer([&](const StreamConsumer& consumer) { consumers[consumer.name()] = consumer.active_ms(); });
    ASSERT_EQ(consumers, model.consumers);
    // A known lag is the number of entries ahead.
    if (const auto lag = group.Lag(stream.log())) {
      ASSERT_EQ(*lag, std::distance(entries.upper_bound(model.last_id), entries.end()));
    }
  }
  void ExpectSame(const Stream& checked) {
    checked.Validate();
    ASSERT_EQ(checked.Size(), entries.size());
    ASSERT_EQ(checked.groups(), groups.size());
    for (const auto& [name, model] : groups) {
      const StreamGroup* const group = checked.FindGroup(name);
      ASSERT_NE(group, nullptr);
      ASSERT_NO_FATAL_FAILURE(ExpectSameGroup(*group, model));
    }
  }

  Limits limits;
  TestRandom random;
  int64_t now = 1'000'000;
  Stream stream;
  StreamId last;
  std::map<StreamId, Words> entries;
  std::map<std::string, ModelGroup> groups;
};

TEST(Stream, BehavesAsMapsUnderRandomOperations) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    Both both(seed);
    for (int i = 0; i < 20'000; ++i) {
      both.now += static_cast<int64_t>(both.random.Below(5));
      if (both.random.Below(2) == 0) {
        ASSERT_NO_FATAL_FAILURE(both.ChangeEntries());
      } else {
        ASSERT_NO_FATAL_FAILURE(both.ChangeGroup());
      }
      if (i % 500 != 0) continue;
      ASSERT_NO_FATAL_FAILURE(both.ExpectSame(both.stream));
      Stream copy = both.stream.Clone();
      ASSERT_NO_FATAL_FAILURE(both.ExpectSame(copy));
      ASSERT_EQ(PiecesOf(copy), PiecesOf(both.stream));
      const Encoding encoding = copy.encoding();
      both.stream = Stream::Adopt(encoding, copy.Release());
    }
  }
}

TEST(Stream, IsAlwaysInItsLargeForm) {
  const Stream stream;
  EXPECT_EQ(stream.EncodingName(), "stream");
  EXPECT_EQ(stream.encoding(), Encoding::kTable);
  EXPECT_EQ(stream.Size(), 0u);
}

TEST(Stream, CountsAllOfItsMemory) {
  Stream stream;
  const size_t empty = stream.AllocatedBytes();
  Fill(stream.log(), 1000);
  const size_t entries = stream.AllocatedBytes();
  EXPECT_GT(entries, empty + 5000);
  StreamGroup* const group = stream.CreateGroup(std::string(100, 'g'), {}, 0);
  StreamConsumer* const consumer = group->CreateConsumer(std::string(200, 'c'), 1);
  EXPECT_GT(stream.AllocatedBytes(), entries + 300);
  const size_t names = stream.AllocatedBytes();
  group->Deliver(stream.log(), consumer, 1000, false, 1, [](const StreamEntry&) {});
  // 40 bytes and 16, in leaves that are nearly full.
  EXPECT_GT(stream.AllocatedBytes(), names + 56'000);
  EXPECT_LT(stream.AllocatedBytes(), names + 72'000);
  group->DeleteConsumer(consumer);
  EXPECT_TRUE(stream.DestroyGroup(group->name()));
  EXPECT_EQ(stream.AllocatedBytes(), entries);
  stream.log().Trim({.kind = StreamTrim::Kind::kMaxLength, .max_length = 0});
  EXPECT_EQ(stream.AllocatedBytes(), empty);
}

TEST(Stream, ACopyIsItsOwn) {
  Stream stream;
  Fill(stream.log(), 10);
  StreamGroup* const group = stream.CreateGroup("g", {}, 0);
  group->Deliver(stream.log(), group->CreateConsumer("c", 1), 5, false, 1, [](const StreamEntry&) {});
  Stream copy = stream.Clone();
  ASSERT_TRUE(stream.log().Erase({3, 0}));
  ASSERT_TRUE(group->Ack({4, 0}));
  EXPECT_EQ(copy.Size(), 10u);
  EXPECT_EQ(copy.FindGroup("g")->pending(), 5u);
  EXPECT_TRUE(copy.log().Contains({3, 0}));
  copy.Validate();
  stream.Validate();
}

}  // namespace
}  // namespace understudy::types
