// Consumer groups: delivery, history, acknowledgement, claims, and how far a group has come, as Valkey 9.1 has them.
#include "node/types/stream_group.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/node/types/stream_test_support.h"

namespace understudy::types {
namespace {

using Claimed = StreamGroup::Claimed;
constexpr int64_t kNow = 1'000'000;

// A stream with entries 1-0 to 10-0, a group at its start and two consumers.
struct Scene {
  explicit Scene(uint64_t entries = 10) {
    Fill(stream.log(), entries);
    group = stream.CreateGroup("g", {0, 0}, StreamGroup::kUnknown);
    ann = group->CreateConsumer("ann", kNow);
    bob = group->CreateConsumer("bob", kNow);
  }
  ~Scene() { stream.Validate(); }

  std::vector<uint64_t> Deliver(StreamConsumer* consumer, uint64_t count, int64_t now_ms = kNow, bool noack = false) {
    std::vector<uint64_t> ids;
    const uint64_t given = group->Deliver(log(), consumer, count, noack, now_ms,
                                          [&](const StreamEntry& entry) { ids.push_back(entry.id().ms); });
    EXPECT_EQ(given, ids.size());
    return ids;
  }
  StreamLog& log() { return stream.log(); }
  StreamPending At(uint64_t ms) { return *group->FindPending({ms, 0}); }
  Claimed Claim(StreamConsumer* consumer, uint64_t ms, const StreamGroup::ClaimRule& rule, int64_t now_ms = kNow) {
    return group->Claim(log(), consumer, {ms, 0}, rule, now_ms);
  }

  Stream stream;
  StreamGroup* group;
  StreamConsumer* ann;
  StreamConsumer* bob;
};

using Ids = std::vector<uint64_t>;

TEST(StreamGroup, DeliversEachEntryOnceAndKeepsItPending) {
  Scene s;
  EXPECT_EQ(s.Deliver(s.ann, 3), (Ids{1, 2, 3}));
  EXPECT_EQ(s.Deliver(s.bob, 4), (Ids{4, 5, 6, 7}));
  EXPECT_EQ(s.Deliver(s.ann, 100), (Ids{8, 9, 10}));
  EXPECT_EQ(s.Deliver(s.ann, 100), Ids{});
  EXPECT_EQ(s.Deliver(s.ann, 0), Ids{});
  EXPECT_EQ(s.group->last_id(), (StreamId{10, 0}));
  EXPECT_EQ(s.group->pending(), 10u);
  EXPECT_EQ(s.ann->pending(), 6u);
  EXPECT_EQ(s.At(5).consumer, s.bob);
  EXPECT_EQ(s.At(5).delivered_ms, kNow);
  EXPECT_EQ(s.At(5).deliveries, 1u);
  EXPECT_EQ(s.group->first_pending(), (StreamId{1, 0}));
  EXPECT_EQ(s.group->last_pending(), (StreamId{10, 0}));
}

TEST(StreamGroup, WithoutAcknowledgementNothingIsPendingAndNobodyActive) {
  Scene s;
  EXPECT_EQ(s.Deliver(s.ann, 3, kNow, true), (Ids{1, 2, 3}));
  EXPECT_EQ(s.group->pending(), 0u);
  EXPECT_EQ(s.ann->active_ms(), StreamConsumer::kNeverActive);
  s.Deliver(s.ann, 1, kNow + 5);
  EXPECT_EQ(s.ann->active_ms(), kNow + 5);
  EXPECT_EQ(s.ann->seen_ms(), kNow);
}

TEST(StreamGroup, AnEntryDeliveredAgainAfterSetIdGoesToTheNewConsumer) {
  Scene s;
  s.Deliver(s.ann, 3);
  s.group->SetId({1, 0}, StreamGroup::kUnknown);
  EXPECT_EQ(s.Deliver(s.bob, 1, kNow + 9), (Ids{2}));
  EXPECT_EQ(s.At(2).consumer, s.bob);
  EXPECT_EQ(s.At(2).delivered_ms, kNow + 9);
  EXPECT_EQ(s.ann->pending(), 2u);
  EXPECT_EQ(s.group->pending(), 3u);
}

TEST(StreamGroup, HistoryIsTheConsumersOwnAndCountsDeliveries) {
  Scene s;
  s.Deliver(s.ann, 3);
  s.Deliver(s.bob, 1);
  ASSERT_TRUE(s.log().Erase({2, 0}));
  std::vector<std::pair<uint64_t, bool>> given;
  const auto note = [&](StreamId id, const StreamEntry* entry) { given.emplace_back(id.ms, entry != nullptr); };
  EXPECT_EQ(s.group->Redeliver(s.log(), s.ann, {0, 0}, 10, kNow + 7, note), 3u);
  EXPECT_EQ(given, (std::vector<std::pair<uint64_t, bool>>{{1, true}, {2, false}, {3, true}}));
  EXPECT_EQ(s.At(1).deliveries, 2u);
  EXPECT_EQ(s.At(1).delivered_ms, kNow + 7);
  EXPECT_EQ(s.At(2).deliveries, 1u) << "there is nothing to deliver";
  given.clear();
  EXPECT_EQ(s.group->Redeliver(s.log(), s.ann, {1, 0}, 1, kNow, note), 1u);
  EXPECT_EQ(given.front().first, 2u);
  EXPECT_EQ(s.group->Redeliver(s.log(), s.ann, kMaxStreamId, 1, kNow, note), 0u);
  EXPECT_EQ(s.At(4).deliveries, 1u);
}

TEST(StreamGroup, AcknowledgedEntriesAreNotPending) {
  Scene s;
  s.Deliver(s.ann, 3);
  EXPECT_TRUE(s.group->Ack({2, 0}));
  EXPECT_FALSE(s.group->Ack({2, 0}));
  EXPECT_FALSE(s.group->Ack({7, 0}));
  EXPECT_EQ(s.group->pending(), 2u);
  EXPECT_EQ(s.ann->pending(), 2u);
}

TEST(StreamGroup, DeletingAConsumerForgetsWhatIsPendingForIt) {
  Scene s;
  s.Deliver(s.ann, 3);
  s.Deliver(s.bob, 2);
  EXPECT_EQ(s.group->DeleteConsumer(s.ann), 3u);
  EXPECT_EQ(s.group->FindConsumer("ann"), nullptr);
  EXPECT_EQ(s.group->pending(), 2u);
  EXPECT_EQ(s.group->consumers(), 1u);
  EXPECT_EQ(s.group->last_id(), (StreamId{5, 0}));
}

TEST(StreamGroup, ConsumersAndGroupsComeInOrderOfTheirNames) {
  Scene s;
  s.group->CreateConsumer("a long name that does not fit into the object", kNow);
  s.group->CreateConsumer("", kNow);
  std::string names;
  s.group->ForEachConsumer([&](const StreamConsumer& consumer) { names += consumer.name() + "|"; });
  EXPECT_EQ(names, "|a long name that does not fit into the object|ann|bob|");
  EXPECT_EQ(s.stream.CreateGroup("g", {}, 0), nullptr);
  s.stream.CreateGroup("f", {}, 0);
  names.clear();
  s.stream.ForEachGroup([&](const StreamGroup& group) { names += group.name() + "|"; });
  EXPECT_EQ(names, "f|g|");
  EXPECT_TRUE(s.stream.DestroyGroup("f"));
  EXPECT_FALSE(s.stream.DestroyGroup("f"));
  EXPECT_EQ(s.stream.groups(), 1u);
}

TEST(StreamGroup, ClaimsWhatIsIdleLongEnough) {
  Scene s;
  s.Deliver(s.ann, 3);
  StreamGroup::ClaimRule rule;
  rule.min_idle_ms = 100;
  rule.delivered_ms = kNow + 99;
  EXPECT_EQ(s.Claim(s.bob, 1, rule, kNow + 99), Claimed::kNo);
  EXPECT_EQ(s.At(1).consumer, s.ann);
  rule.delivered_ms = kNow + 100;
  EXPECT_EQ(s.Claim(s.bob, 1, rule, kNow + 100), Claimed::kYes);
  EXPECT_EQ(s.At(1).consumer, s.bob);
  EXPECT_EQ(s.At(1).deliveries, 2u);
  EXPECT_EQ(s.At(1).delivered_ms, kNow + 100);
  EXPECT_EQ(s.bob->active_ms(), kNow + 100);
  EXPECT_EQ(s.ann->pending(), 2u);
  rule = {.delivered_ms = kNow - 5, .deliveries = 0};
  EXPECT_EQ(s.Claim(s.bob, 2, rule), Claimed::kYes);
  EXPECT_EQ(s.At(2).deliveries, 0u);
  EXPECT_EQ(s.At(2).delivered_ms, kNow - 5);
  rule = {.delivered_ms = kNow, .just_id = true};
  EXPECT_EQ(s.Claim(s.bob, 3, rule), Claimed::kYes);
  EXPECT_EQ(s.At(3).deliveries, 1u);
}

TEST(StreamGroup, ClaimsWhatIsNotPendingOnlyByForce) {
  Scene s;
  StreamGroup::ClaimRule rule = {.delivered_ms = kNow};
  EXPECT_EQ(s.Claim(s.bob, 1, rule), Claimed::kNo);
  rule.force = true;
  rule.min_idle_ms = 1000;
  EXPECT_EQ(s.Claim(s.bob, 1, rule), Claimed::kYes);
  EXPECT_EQ(s.At(1).deliveries, 2u) << "as Redis counts it";
  EXPECT_EQ(s.Claim(s.bob, 77, rule), Claimed::kNo) << "no such entry";
  EXPECT_EQ(s.group->pending(), 1u);
}

TEST(StreamGroup, ClaimingADeletedEntryRemovesItFromWhatIsPending) {
  Scene s;
  s.Deliver(s.ann, 3);
  ASSERT_TRUE(s.log().Erase({2, 0}));
  EXPECT_EQ(s.Claim(s.bob, 2, {.min_idle_ms = 50, .delivered_ms = kNow}), Claimed::kGone);
  EXPECT_EQ(s.group->FindPending({2, 0}), nullptr);
  EXPECT_EQ(s.ann->pending(), 2u);
  EXPECT_EQ(s.bob->pending(), 0u);
}

TEST(StreamGroup, BogusClaimTimesMeanNow) {
  EXPECT_EQ(StreamGroup::ClaimTime(-1, kNow), kNow);
  EXPECT_EQ(StreamGroup::ClaimTime(kNow + 1, kNow), kNow);
  EXPECT_EQ(StreamGroup::ClaimTime(0, kNow), 0);
  EXPECT_EQ(StreamGroup::ClaimTime(kNow, kNow), kNow);
}

TEST(StreamGroup, LastIdOnlyAdvances) {
  Scene s;
  EXPECT_TRUE(s.group->AdvanceLastId({4, 0}));
  EXPECT_FALSE(s.group->AdvanceLastId({4, 0}));
  EXPECT_FALSE(s.group->AdvanceLastId({3, 0}));
  EXPECT_EQ(s.group->last_id(), (StreamId{4, 0}));
}

TEST(StreamGroup, AutoClaimGoesOnWhereItStoppedAndNamesWhatIsGone) {
  Scene s;
  s.Deliver(s.ann, 10);
  for (const uint64_t ms : {2, 3, 9}) ASSERT_TRUE(s.log().Erase({ms, 0}));
  Ids ids, gone;
  const auto note = [&](StreamId id, const StreamEntry* entry, const StreamPending& pending) {
    (entry != nullptr ? ids : gone).push_back(id.ms);
    EXPECT_EQ(pending.consumer, entry != nullptr ? s.bob : s.ann);
    EXPECT_TRUE(entry == nullptr || entry->id() == id);
  };
  StreamId next = s.group->AutoClaim(s.log(), s.bob, {0, 0}, 4, 10, false, kNow + 10, note);
  EXPECT_EQ(ids, (Ids{1, 4}));
  EXPECT_EQ(gone, (Ids{2, 3}));
  EXPECT_EQ(next, (StreamId{5, 0}));
  EXPECT_EQ(s.At(4).deliveries, 2u);
  ids.clear();
  next = s.group->AutoClaim(s.log(), s.bob, next, 100, 10, true, kNow + 10, note);
  EXPECT_EQ(ids, (Ids{5, 6, 7, 8, 10}));
  EXPECT_EQ(gone, (Ids{2, 3, 9}));
  EXPECT_TRUE(next.zero());
  EXPECT_EQ(s.At(5).deliveries, 1u);
  EXPECT_EQ(s.ann->pending(), 0u);
  EXPECT_EQ(s.bob->pending(), 7u);
}

TEST(StreamGroup, AutoClaimLooksAtTenTimesTheCount) {
  Scene s(50);
  s.Deliver(s.ann, 50);
  const auto none = [](StreamId, const StreamEntry*, const StreamPending&) { FAIL(); };
  const StreamId next = s.group->AutoClaim(s.log(), s.bob, {0, 0}, 2, 1, false, kNow, none);
  EXPECT_EQ(next, (StreamId{21, 0}));
}

TEST(StreamGroup, WalksWhatIsPendingOfAllOrOne) {
  Scene s;
  s.Deliver(s.ann, 3);
  s.Deliver(s.bob, 3);
  s.Deliver(s.ann, 1);
  const auto walk = [&](StreamId first, StreamId last, const StreamConsumer* consumer, size_t most) {
    Ids ids;
    s.group->WalkPending(first, last, consumer, [&](StreamId id, const StreamPending& pending) {
      EXPECT_TRUE(consumer == nullptr || pending.consumer == consumer);
      ids.push_back(id.ms);
      return ids.size() < most;
    });
    return ids;
  };
  EXPECT_EQ(walk(kMinStreamId, kMaxStreamId, nullptr, 99), (Ids{1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(walk({2, 0}, {5, 0}, nullptr, 99), (Ids{2, 3, 4, 5}));
  EXPECT_EQ(walk(kMinStreamId, kMaxStreamId, nullptr, 2), (Ids{1, 2}));
  EXPECT_EQ(walk({2, 0}, kMaxStreamId, s.ann, 99), (Ids{2, 3, 7}));
  EXPECT_EQ(walk(kMinStreamId, {4, 0}, s.bob, 99), (Ids{4}));
  EXPECT_EQ(s.At(1).IdleMs(kNow + 4), 4);
  EXPECT_EQ(s.At(1).IdleMs(kNow - 4), 0) << "the clock was set back";
}

// ---- entries-read and lag: the scenarios were run against Valkey 9.1.2.

TEST(StreamGroup, LagOfANewStreamIsZeroAndOfAGroupAtItsStartItsLength) {
  Scene empty(0);
  EXPECT_EQ(empty.group->Lag(empty.log()), 0);
  Scene s;
  EXPECT_EQ(s.group->Lag(s.log()), 10);
  s.Deliver(s.ann, 3);
  EXPECT_EQ(s.group->entries_read(), 3);
  EXPECT_EQ(s.group->Lag(s.log()), 7);
  s.Deliver(s.ann, 99);
  EXPECT_EQ(s.group->entries_read(), 10);
  EXPECT_EQ(s.group->Lag(s.log()), 0);
}

TEST(StreamGroup, LagIsUnknownInTheMiddleUntilTheEndIsReached) {
  Scene s;
  s.group->SetId({4, 0}, StreamGroup::kUnknown);
  EXPECT_EQ(s.group->Lag(s.log()), std::nullopt);
  s.Deliver(s.ann, 1);
  EXPECT_EQ(s.group->entries_read(), StreamGroup::kUnknown);
  EXPECT_EQ(s.group->Lag(s.log()), std::nullopt);
  s.Deliver(s.ann, 99);
  EXPECT_EQ(s.group->entries_read(), 10);
  EXPECT_EQ(s.group->Lag(s.log()), 0);
  s.group->SetId({4, 0}, 4);
  EXPECT_EQ(s.group->Lag(s.log()), 6) << "told so";
}

TEST(StreamGroup, LagIsWhatIsThereOnceTheRestWasTrimmedAway) {
  Scene s;
  s.group->SetId({3, 0}, StreamGroup::kUnknown);
  ASSERT_TRUE(s.log().Erase({5, 0}));
  EXPECT_EQ(s.group->Lag(s.log()), std::nullopt);
  s.log().Trim({.max_length = 4});
  EXPECT_EQ(s.group->Lag(s.log()), 4);
  s.Deliver(s.ann, 1);
  EXPECT_EQ(s.group->Lag(s.log()), 3);
  s.group->SetId({3, 0}, 9);  // says nonsense
  s.log().Trim({.max_length = 0});
  EXPECT_EQ(s.group->Lag(s.log()), 0);
}

TEST(StreamGroup, CountersThatAreNonsenseDoNoHarm) {
  Scene s;
  ASSERT_TRUE(s.log().SetId(s.log().last_id(), uint64_t{1} << 63, kMinStreamId).ok());
  s.group->SetId({3, 0}, INT64_MAX);
  EXPECT_EQ(s.group->Lag(s.log()), 1);
  s.Deliver(s.ann, 1);
  EXPECT_EQ(s.group->entries_read(), StreamGroup::kUnknown);
  s.Deliver(s.ann, 99);
  EXPECT_EQ(s.group->entries_read(), StreamGroup::kUnknown) << "more than it can hold";
  EXPECT_EQ(s.group->Lag(s.log()), 0);
}

TEST(StreamGroup, LagIsUnknownWhileADeletedEntryIsAhead) {
  Scene s;
  s.Deliver(s.ann, 2);
  ASSERT_TRUE(s.log().Erase({5, 0}));
  EXPECT_EQ(s.group->entries_read(), 2);
  EXPECT_EQ(s.group->Lag(s.log()), std::nullopt);
  s.Deliver(s.ann, 1);
  EXPECT_EQ(s.group->entries_read(), StreamGroup::kUnknown);
  s.Deliver(s.ann, 1);
  s.Deliver(s.ann, 1);
  EXPECT_EQ(s.group->last_id(), (StreamId{6, 0}));
  EXPECT_EQ(s.group->Lag(s.log()), std::nullopt);
  s.Deliver(s.ann, 99);
  EXPECT_EQ(s.group->entries_read(), 10);
  EXPECT_EQ(s.group->Lag(s.log()), 0);
}

TEST(StreamGroup, LagSurvivesTrimmingOfWhatWasRead) {
  Scene s;
  s.Deliver(s.ann, 5);
  s.log().Trim({.kind = StreamTrim::Kind::kMaxLength, .max_length = 5});
  EXPECT_EQ(s.group->Lag(s.log()), 5);
  s.Deliver(s.ann, 1);
  EXPECT_EQ(s.group->entries_read(), 6) << "found by the first entry's place";
  s.log().Trim({.kind = StreamTrim::Kind::kMaxLength, .max_length = 0});
  EXPECT_EQ(s.group->Lag(s.log()), 0) << "what is gone is not waited for";
}

}  // namespace
}  // namespace understudy::types
