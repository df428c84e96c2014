// Entries of streams: the bytes of their nodes, and every operation against a std::map.
#include "node/types/stream_log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "tests/unit/node/types/stream_test_support.h"
#include "tests/unit/node/types/types_test_support.h"

namespace understudy::types {
namespace {

// A log with the counter of its owner.
struct Log {
  size_t bytes = 0;
  StreamLog log{&bytes};
  void Validate() const { ASSERT_EQ(log.Validate(), bytes); }
};

std::string ErrorOf(const Status& status) { return std::string(status.message()); }

std::vector<size_t> LiveOfNodes(const StreamLog& log) {
  std::vector<size_t> live;
  log.ForEachNode([&](StreamId, std::string_view bytes) { live.push_back(StreamNode::LiveIn(bytes.data())); });
  return live;
}

std::string Hex(std::string_view bytes) {
  std::string hex;
  for (const char c : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += kDigits[static_cast<uint8_t>(c) >> 4];
    hex += kDigits[static_cast<uint8_t>(c) & 15];
  }
  return hex;
}

// What DUMP of Redis 7.0.15 and Valkey 9.1.2 has for the same commands.
TEST(StreamLog, NodesAreTheBytesThatRedisHas) {
  Log both;
  StreamLog& log = both.log;
  ASSERT_TRUE(Append(log, {5, 1}, {"name", "Ann", "age", "31"}).ok());
  ASSERT_TRUE(Append(log, {5, 2}, {"name", "Bob", "age", "200"}).ok());
  ASSERT_TRUE(Append(log, {7, 0}, {"city", "Rome"}).ok());
  ASSERT_TRUE(Append(log, {7, 5}, {"name", "Eve", "age", "-5"}).ok());
  ASSERT_TRUE(Append(log, {4000000000000, 1}, {"name", std::string(70, 'x'), "age", "07"}).ok());
  ASSERT_TRUE(log.Erase({5, 2}));
  int nodes = 0;
  log.ForEachNode([&](StreamId master, std::string_view bytes) {
    ++nodes;
    EXPECT_EQ(master, (StreamId{5, 1}));
    const std::string expected =
        "bd0000002500040101010201846e616d65058361676504000102010001000183416e6e041f01050103010001010183426f62"
        "04c0c802050100010201dfff02010184636974790584526f6d650506010201020104018345766504dffb0205010201f4fb3f"
        "9452a3030000090001e046";
    std::string text;
    for (int i = 0; i < 70; ++i) text += "78";
    EXPECT_EQ(Hex(bytes), expected + text + "48823037030501ff");
  });
  EXPECT_EQ(nodes, 1);
  both.Validate();
}

TEST(StreamLog, GivesFieldsAndValuesAsTheyCameWhetherOrNotTheNodeHasTheFields) {
  Log both;
  const std::vector<Words> entries = {{"a", "1", "b", "x"}, {"a", "2", "b", "y"}, {"b", "1", "a", "2"}, {"a", "9"},
                                      {"a", "", "b", "-0"}, {"", ""},              {"12", "007", "a", "12"}};
  for (size_t i = 0; i < entries.size(); ++i) ASSERT_TRUE(Append(both.log, {1, i + 1}, entries[i]).ok());
  for (size_t i = 0; i < entries.size(); ++i) {
    const auto entry = both.log.Find({1, i + 1});
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->fields(), entries[i].size() / 2);
    EXPECT_EQ(WordsOf(*entry), entries[i]);
  }
  EXPECT_FALSE(both.log.Find({1, 99}));
}

TEST(StreamLog, NodesEndAtTheLimits) {
  Log by_entries;
  Fill(by_entries.log, 250);
  EXPECT_EQ(LiveOfNodes(by_entries.log), (std::vector<size_t>{100, 100, 50}));
  Limits limits;
  limits.stream_node_max_entries = 3;
  Log few;
  Fill(few.log, 7, limits);
  EXPECT_EQ(LiveOfNodes(few.log), (std::vector<size_t>{3, 3, 1}));
  // Deleted ones count.
  ASSERT_TRUE(few.log.Erase({7, 0}));
  ASSERT_TRUE(Append(few.log, {8, 0}, {"n", "8"}, limits).ok());
  ASSERT_TRUE(Append(few.log, {9, 0}, {"n", "9"}, limits).ok());
  ASSERT_TRUE(few.log.Erase({8, 0}));
  ASSERT_TRUE(Append(few.log, {10, 0}, {"n", "10"}, limits).ok());
  ASSERT_TRUE(Append(few.log, {11, 0}, {"n", "11"}, limits).ok());
  EXPECT_EQ(LiveOfNodes(few.log), (std::vector<size_t>{3, 3, 2, 1}));
  Log by_bytes;
  for (uint64_t i = 1; i <= 5; ++i) ASSERT_TRUE(Append(by_bytes.log, {i, 0}, {"n", std::string(1900, 'x')}).ok());
  EXPECT_EQ(LiveOfNodes(by_bytes.log), (std::vector<size_t>{2, 2, 1}));
  limits.stream_node_max_entries = limits.stream_node_max_bytes = 0;
  Log unlimited;
  Fill(unlimited.log, 3000, limits);
  EXPECT_EQ(LiveOfNodes(unlimited.log), (std::vector<size_t>{3000}));
  unlimited.Validate();
}

TEST(StreamLog, AFullNodeGivesItsSpareMemoryBack) {
  Log both;
  Fill(both.log, 10'000);
  size_t held = 0;
  both.log.ForEachNode([&](StreamId, std::string_view bytes) { held += bytes.size(); });
  EXPECT_LT(both.bytes, held * 3 / 2 + 8192);
}

TEST(StreamLog, ChoosesWhatTheIdLeavesOpen) {
  Log both;
  StreamLog& log = both.log;
  EXPECT_EQ(*log.NextId({{}, true, true}, 0), (StreamId{0, 1}));
  EXPECT_EQ(*log.NextId({{}, true, true}, 1000), (StreamId{1000, 0}));
  EXPECT_EQ(*log.NextId({{0, 0}, false, true}, 1000), (StreamId{0, 1}));
  ASSERT_TRUE(Append(log, {5, 7}, {"a", "b"}).ok());
  EXPECT_EQ(*log.NextId({{}, true, true}, 6), (StreamId{6, 0}));
  EXPECT_EQ(*log.NextId({{}, true, true}, 5), (StreamId{5, 8}));
  EXPECT_EQ(*log.NextId({{}, true, true}, 4), (StreamId{5, 8})) << "the clock was set back";
  EXPECT_EQ(*log.NextId({{5, 0}, false, true}, 1), (StreamId{5, 8}));
  EXPECT_EQ(*log.NextId({{6, 0}, false, true}, 1), (StreamId{6, 0}));
  EXPECT_EQ(*log.NextId({{5, 9}, false, false}, 1), (StreamId{5, 9}));
}

TEST(StreamLog, RefusesIdsThatAreNotBehindTheLast) {
  Log both;
  StreamLog& log = both.log;
  constexpr char kSmall[] = "ERR The ID specified in XADD is equal or smaller than the target stream top item";
  constexpr char kEnd[] = "ERR The stream has exhausted the last possible ID, unable to add more items";
  ASSERT_TRUE(Append(log, {5, UINT64_MAX}, {"a", "b"}).ok());
  for (const NewStreamId& wanted : {NewStreamId{{5, UINT64_MAX}, false, false}, NewStreamId{{4, 0}, false, false},
                                    NewStreamId{{4, 0}, false, true}, NewStreamId{{5, 0}, false, true}}) {
    EXPECT_EQ(ErrorOf(log.NextId(wanted, 9).status()), kSmall);
  }
  EXPECT_EQ(*log.NextId({{}, true, true}, 5), (StreamId{6, 0}));
  ASSERT_TRUE(Append(log, kMaxStreamId, {"a", "b"}).ok());
  EXPECT_EQ(ErrorOf(log.NextId({{}, true, true}, 9).status()), kEnd);
  EXPECT_EQ(ErrorOf(log.NextId({{5, 1}, false, false}, 9).status()), kEnd);
}

TEST(StreamLog, RefusesAnEntryThatIsTooLarge) {
  Log both;
  // Nothing reads it: it is too long.
  const std::string_view large("x", size_t{1} << 30);
  const std::string_view words[] = {"", large};
  EXPECT_EQ(ErrorOf(both.log.Append({1, 1}, words, {})), "ERR Elements are too large to be stored");
  EXPECT_EQ(both.log.size(), 0u);
  EXPECT_EQ(both.log.entries_added(), 0u);
}

TEST(StreamLog, ErasingMovesTheFirstAndRemembersTheHighest) {
  Log both;
  StreamLog& log = both.log;
  Fill(log, 5);
  EXPECT_EQ(log.first_id(), (StreamId{1, 0}));
  EXPECT_TRUE(log.Erase({3, 0}));
  EXPECT_FALSE(log.Erase({3, 0}));
  EXPECT_FALSE(log.Erase({9, 0}));
  EXPECT_EQ(log.first_id(), (StreamId{1, 0}));
  EXPECT_TRUE(log.Erase({1, 0}));
  EXPECT_TRUE(log.Erase({2, 0}));
  EXPECT_EQ(log.first_id(), (StreamId{4, 0}));
  EXPECT_EQ(log.max_deleted_id(), (StreamId{3, 0}));
  EXPECT_TRUE(log.Erase({5, 0}));
  EXPECT_EQ(log.top_id(), (StreamId{4, 0}));
  EXPECT_TRUE(log.Erase({4, 0}));
  EXPECT_EQ(log.size(), 0u);
  EXPECT_EQ(log.nodes(), 0u);
  EXPECT_EQ(both.bytes, 0u);
  EXPECT_TRUE(log.first_id().zero() && log.top_id().zero());
  EXPECT_EQ(log.last_id(), (StreamId{5, 0}));
  EXPECT_EQ(log.entries_added(), 5u);
  EXPECT_FALSE(log.First() || log.Last());
}

TEST(StreamLog, TrimsToALengthOrAnId) {
  Log both;
  StreamLog& log = both.log;
  Fill(log, 250);
  EXPECT_EQ(log.Trim({.kind = StreamTrim::Kind::kMaxLength, .max_length = 300}), 0u);
  EXPECT_EQ(log.Trim({.kind = StreamTrim::Kind::kMaxLength, .max_length = 240}), 10u);
  EXPECT_EQ(log.first_id(), (StreamId{11, 0}));
  EXPECT_EQ(log.Trim({.kind = StreamTrim::Kind::kMinId, .min_id = {111, 0}}), 100u);
  EXPECT_EQ(log.first_id(), (StreamId{111, 0}));
  EXPECT_EQ(LiveOfNodes(log), (std::vector<size_t>{90, 50}));
  EXPECT_TRUE(log.max_deleted_id().zero()) << "trimming is no deletion of single entries";
  both.Validate();
  EXPECT_EQ(log.Trim({.kind = StreamTrim::Kind::kMinId, .min_id = kMaxStreamId}), 140u);
  EXPECT_EQ(log.size(), 0u);
  EXPECT_TRUE(log.first_id().zero());
  EXPECT_EQ(both.bytes, 0u);
}

TEST(StreamLog, ApproximateTrimsRemoveWholeNodesUpToTheLimit) {
  Log both;
  StreamLog& log = both.log;
  Fill(log, 450);
  using Kind = StreamTrim::Kind;
  EXPECT_EQ(log.Trim({.kind = Kind::kMaxLength, .max_length = 401, .approximate = true}), 0u);
  EXPECT_EQ(log.Trim({.kind = Kind::kMaxLength, .max_length = 349, .approximate = true}), 100u);
  EXPECT_EQ(log.Trim({.kind = Kind::kMinId, .min_id = {200, 0}, .approximate = true}), 0u);
  EXPECT_EQ(log.Trim({.kind = Kind::kMinId, .min_id = {201, 0}, .approximate = true}), 100u);
  EXPECT_EQ(log.Trim({.kind = Kind::kMaxLength, .max_length = 0, .approximate = true, .limit = 99}), 0u);
  EXPECT_EQ(log.Trim({.kind = Kind::kMaxLength, .max_length = 0, .approximate = true, .limit = 200}), 200u);
  EXPECT_EQ(log.size(), 50u);
  Limits limits;
  EXPECT_EQ(StreamTrim::DefaultLimit(limits), 10'000u);
  limits.stream_node_max_entries = 3;
  EXPECT_EQ(StreamTrim::DefaultLimit(limits), 300u);
  limits.stream_node_max_entries = 0;
  EXPECT_EQ(StreamTrim::DefaultLimit(limits), 10'000u);
  limits.stream_node_max_entries = UINT64_MAX;
  EXPECT_EQ(StreamTrim::DefaultLimit(limits), 1'000'000u);
}

TEST(StreamLog, ADeletedEntryAtTheEndKeepsItsNodeFromApproximateTrims) {
  Log both;
  StreamLog& log = both.log;
  Fill(log, 5);
  ASSERT_TRUE(log.Erase({5, 0}));
  EXPECT_EQ(log.Trim({.kind = StreamTrim::Kind::kMinId, .min_id = {5, 0}, .approximate = true}), 0u);
  EXPECT_EQ(log.Trim({.kind = StreamTrim::Kind::kMinId, .min_id = {5, 0}}), 4u);
  EXPECT_EQ(log.nodes(), 0u);
  EXPECT_EQ(both.bytes, 0u);
}

TEST(StreamLog, SetIdKeepsTheOrderOfIds) {
  Log both;
  StreamLog& log = both.log;
  Fill(log, 5);
  ASSERT_TRUE(log.Erase({5, 0}));
  EXPECT_EQ(ErrorOf(log.SetId({4, 0}, std::nullopt, {})),
            "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id");
  EXPECT_EQ(ErrorOf(log.SetId({6, 0}, 3, {})),
            "ERR The entries_added specified in XSETID is smaller than the target stream length");
  ASSERT_TRUE(log.SetId({9, 0}, 40, {8, 0}).ok());
  EXPECT_EQ(log.last_id(), (StreamId{9, 0}));
  EXPECT_EQ(log.entries_added(), 40u);
  EXPECT_EQ(log.max_deleted_id(), (StreamId{8, 0}));
  Log other;
  Fill(other.log, 5);
  EXPECT_EQ(ErrorOf(other.log.SetId({4, 9}, std::nullopt, {})),
            "ERR The ID specified in XSETID is smaller than the target stream top item");
  ASSERT_TRUE(other.log.SetId({5, 0}, std::nullopt, {}).ok());
  Log empty;
  ASSERT_TRUE(empty.log.SetId({3, 0}, 0, {}).ok());
  EXPECT_EQ(empty.log.last_id(), (StreamId{3, 0}));
}

TEST(StreamLog, CountsUpToAnIdWhereItCanBeKnown) {
  Log both;
  StreamLog& log = both.log;
  EXPECT_EQ(log.CountUpTo({5, 0}), 0u);
  Fill(log, 10);
  EXPECT_EQ(log.CountUpTo({10, 0}), 10u);
  EXPECT_EQ(log.CountUpTo({0, 0}), 0u);
  EXPECT_EQ(log.CountUpTo({1, 0}), 1u);
  EXPECT_EQ(log.CountUpTo({2, 0}), std::nullopt) << "somewhere between";
  EXPECT_EQ(log.CountUpTo({11, 0}), std::nullopt) << "in the future";
  log.Trim({.kind = StreamTrim::Kind::kMaxLength, .max_length = 6});
  EXPECT_EQ(log.CountUpTo({0, 0}), 4u);
  EXPECT_EQ(log.CountUpTo({3, 0}), 4u);
  EXPECT_EQ(log.CountUpTo({5, 0}), 5u);
  ASSERT_TRUE(log.Erase({7, 0}));
  EXPECT_EQ(log.CountUpTo({0, 0}), std::nullopt) << "a gap ahead";
  EXPECT_EQ(log.CountUpTo({6, 0}), std::nullopt);
  EXPECT_EQ(log.CountUpTo({10, 0}), 10u);
  EXPECT_TRUE(log.HasGapsFrom({7, 0}));
  EXPECT_FALSE(log.HasGapsFrom({7, 1}));
  // All before the gap go: it is behind then.
  ASSERT_TRUE(log.Erase({5, 0}));
  ASSERT_TRUE(log.Erase({6, 0}));
  EXPECT_EQ(log.CountUpTo({8, 0}), 8u);
  EXPECT_EQ(log.CountUpTo({7, 5}), 7u);
  EXPECT_EQ(log.CountUpTo({6, 0}), std::nullopt);
  log.Trim({.kind = StreamTrim::Kind::kMaxLength, .max_length = 0});
  EXPECT_EQ(log.CountUpTo({6, 0}), 10u);
  EXPECT_EQ(log.CountUpTo({11, 0}), std::nullopt);
  EXPECT_FALSE(log.HasGapsFrom({1, 0}));
}

TEST(StreamLog, RefusesNodesThatAreNotInOrderAndLeavesOutThoseWithoutEntries) {
  Log source;
  Fill(source.log, 250);
  std::vector<std::pair<StreamId, std::string>> nodes;
  source.log.ForEachNode([&](StreamId master, std::string_view bytes) { nodes.emplace_back(master, bytes); });
  Log both;
  StreamLog& log = both.log;
  ASSERT_TRUE(log.AppendNode(nodes[1].first, nodes[1].second));
  EXPECT_FALSE(log.AppendNode(nodes[0].first, nodes[0].second));
  EXPECT_FALSE(log.AppendNode(nodes[1].first, nodes[1].second));
  EXPECT_FALSE(log.AppendNode({150, 0}, nodes[2].second)) << "its IDs follow from its own";
  Listpack gone = Listpack::Copy(nodes[2].second);
  EXPECT_EQ(StreamNode::DeleteWhile(&gone, nodes[2].first, [](StreamId) { return true; }), 50u);
  EXPECT_TRUE(log.AppendNode(nodes[2].first, gone.AsBytes()));
  EXPECT_EQ(log.size(), 100u);
  EXPECT_EQ(log.nodes(), 1u);
}

// A log and what it should be.
struct Both : Log {
  explicit Both(uint64_t seed) : random(seed) {
    limits.stream_node_max_entries = seed % 3 == 0 ? 100 : 1 + random.Below(20);
    limits.stream_node_max_bytes = seed % 2 == 0 ? 4096 : 200 + random.Below(2000);
  }
  StreamId AnyId() { return {random.Below(last.ms + 3), random.Below(4)}; }
  Words AnyWords() {
    if (random.Below(3) > 0) return {"kind", std::to_string(random.Below(5)), "text", random.Text(80)};
    Words words;
    for (uint64_t i = random.Below(4) + 1; i > 0; --i) {
      words.push_back(random.Text(10));
      words.push_back(random.Text(random.Below(10) == 0 ? 5000 : 30));
    }
    return words;
  }
  void Add() {
    last.ms += random.Below(3);
    last.seq = random.Below(2) == 0 ? last.seq + 1 : last.seq + random.Below(1000) + 1;
    const Words words = AnyWords();
    ASSERT_TRUE(Append(log, last, words, limits).ok());
    model[last] = words;
    ++added;
  }
  void Erase() {
    StreamId id = AnyId();
    if (const auto it = model.lower_bound(id); it != model.end() && random.Below(2) == 0) id = it->first;
    const bool there = model.erase(id) == 1;
    ASSERT_EQ(log.Erase(id), there);
    if (there) max_deleted = std::max(max_deleted, id);
  }
  void Trim() {
    StreamTrim trim;
    const bool by_length = random.Below(2) == 0;
    trim.kind = by_length ? StreamTrim::Kind::kMaxLength : StreamTrim::Kind::kMinId;
    trim.max_length = model.size() - std::min<size_t>(model.size(), random.Below(60));
    trim.min_id = model.empty() ? AnyId() : std::next(model.begin(), static_cast<ptrdiff_t>(random.Below(
                                                std::min<size_t>(model.size(), 60))))->first;
    trim.approximate = random.Below(2) == 0;
    trim.limit = trim.approximate ? random.Below(100) : 0;
    const uint64_t removed = log.Trim(trim);
    uint64_t expected = 0;
    while (expected < removed && !model.empty()) {
      model.erase(model.begin());
      ++expected;
    }
    ASSERT_EQ(removed, expected);
    const bool enough = by_length ? model.size() <= trim.max_length
                                  : model.empty() || model.begin()->first >= trim.min_id;
    if (by_length) {
      ASSERT_TRUE(removed == 0 || model.size() >= trim.max_length);
    }
    if (!trim.approximate) {
      ASSERT_TRUE(enough);
    }
    if (trim.limit > 0) {
      ASSERT_LE(removed, trim.limit);
    }
  }
  void ExpectSameRange() {
    const StreamId first = AnyId();
    const StreamId to = random.Below(3) == 0 ? kMaxStreamId : AnyId();
    const size_t most = random.Below(2) == 0 ? SIZE_MAX : random.Below(5) + 1;
    std::vector<StreamId> ids;
    for (auto it = model.lower_bound(first); it != model.end() && it->first <= to; ++it) ids.push_back(it->first);
    std::vector<StreamId> reversed(ids.rbegin(), ids.rend());
    if (ids.size() > most) ids.resize(most);
    if (reversed.size() > most) reversed.resize(most);
    ASSERT_EQ(IdsOf(log, first, to, false, most), ids);
    ASSERT_EQ(IdsOf(log, first, to, true, most), reversed);
    const auto found = log.Find(first);
    ASSERT_EQ(found.has_value(), model.count(first) == 1);
    if (found) {
      ASSERT_EQ(WordsOf(*found), model[first]);
    }
  }
  void ExpectSame() {
    ASSERT_NO_FATAL_FAILURE(Validate());
    ASSERT_EQ(log.size(), model.size());
    ASSERT_EQ(log.last_id(), last);
    ASSERT_EQ(log.entries_added(), added);
    ASSERT_EQ(log.max_deleted_id(), max_deleted);
    ASSERT_EQ(log.first_id(), model.empty() ? kMinStreamId : model.begin()->first);
    ASSERT_EQ(log.top_id(), model.empty() ? kMinStreamId : model.rbegin()->first);
    auto it = model.begin();
    log.Walk(kMinStreamId, kMaxStreamId, false, [&](const StreamEntry& entry) {
      EXPECT_TRUE(it != model.end() && entry.id() == it->first && WordsOf(entry) == it->second);
      return it++ != model.end();
    });
    ASSERT_TRUE(it == model.end());
  }

  Limits limits;
  TestRandom random;
  std::map<StreamId, Words> model;
  StreamId last, max_deleted;
  uint64_t added = 0;
};

TEST(StreamLog, BehavesAsAMapUnderRandomOperations) {
  for (uint64_t seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE(seed);
    Both both(seed);
    for (int i = 0; i < 8000; ++i) {
      const uint64_t what = both.random.Below(100);
      const uint64_t adds = i / 1000 % 2 == 0 ? 70 : 35;
      if (what < adds) {
        ASSERT_NO_FATAL_FAILURE(both.Add());
      } else if (what < 90) {
        ASSERT_NO_FATAL_FAILURE(both.Erase());
      } else if (what < 92) {
        ASSERT_NO_FATAL_FAILURE(both.Trim());
      } else {
        ASSERT_NO_FATAL_FAILURE(both.ExpectSameRange());
      }
      if (i % 500 == 0) {
        ASSERT_NO_FATAL_FAILURE(both.ExpectSame());
      }
    }
    ASSERT_NO_FATAL_FAILURE(both.ExpectSame());
  }
}

}  // namespace
}  // namespace understudy::types
