#include "operator/watch/watch_machine.h"

#include <gtest/gtest.h>

namespace understudy::watch {
namespace {

using Cause = kube::StreamEnd::Cause;
using Type = WatchEvent::Type;

class WatchMachineTest : public testing::Test {
 protected:
  WatchOutput Step(const WatchInput& input, double jitter = 0.0) {
    return machine_.Step(input, now_, jitter);
  }
  // Follows changes from version 10.
  void Follow() {
    (void)Step(Started{});
    (void)Step(WatchEvent{.type = Type::kAdded, .resource_version = "7"});
    const auto out = Step(
        WatchEvent{.type = Type::kBookmark, .resource_version = "10", .initial_events_end = true});
    ASSERT_TRUE(out.commit);
    now_ = now_ + Seconds(3600);
  }
  static void ExpectWatchFrom(const WatchOutput& out, const std::string& version) {
    EXPECT_EQ(out.command, WatchCommand::kOpenStream);
    EXPECT_NE(out.query.find("resourceVersion=" + version + "&"), std::string::npos) << out.query;
    EXPECT_EQ(out.query.find("sendInitialEvents"), std::string::npos);
    EXPECT_FALSE(out.clear_staged);
  }
  static void ExpectWatchList(const WatchOutput& out) {
    EXPECT_EQ(out.command, WatchCommand::kOpenStream);
    EXPECT_NE(out.query.find("sendInitialEvents=true"), std::string::npos) << out.query;
    EXPECT_TRUE(out.clear_staged);
  }
  void ExpectPauseThenWatchFrom(const WatchOutput& out, const std::string& version) {
    EXPECT_EQ(out.command, WatchCommand::kPause);
    ExpectWatchFrom(Step(PauseOver{}), version);
  }

  WatchMachine machine_;
  MonoTime now_{1'000'000'000};
};

TEST_F(WatchMachineTest, StartsWithAConsistentWatchList) {
  const auto out = Step(Started{}, 0.0);
  ExpectWatchList(out);
  EXPECT_EQ(out.query,
            "watch=1&allowWatchBookmarks=true&sendInitialEvents=true"
            "&resourceVersionMatch=NotOlderThan&timeoutSeconds=300");
  WatchMachine other;
  EXPECT_NE(other.Step(Started{}, now_, 0.9999).query.find("timeoutSeconds=600"),
            std::string::npos);
}

TEST_F(WatchMachineTest, StagesTheInitialStateUntilItsEnd) {
  (void)Step(Started{});
  EXPECT_EQ(Step(WatchEvent{.type = Type::kAdded, .resource_version = "9"}).op, StoreOp::kStage);
  EXPECT_EQ(Step(WatchEvent{.type = Type::kModified, .resource_version = "5"}).op, StoreOp::kStage);
  EXPECT_EQ(Step(WatchEvent{.type = Type::kDeleted, .resource_version = "6"}).op,
            StoreOp::kUnstage);
  const auto early = Step(WatchEvent{.type = Type::kBookmark, .resource_version = "8"});
  EXPECT_FALSE(early.commit);
  EXPECT_EQ(machine_.resource_version(), "") << "versions of the initial events come in no order";
  const auto end = Step(
      WatchEvent{.type = Type::kBookmark, .resource_version = "10", .initial_events_end = true});
  EXPECT_TRUE(end.commit);
  EXPECT_EQ(end.resource_version, "10");
  EXPECT_EQ(end.command, WatchCommand::kNone) << "the same stream goes on";
}

TEST_F(WatchMachineTest, FollowsEventsAndBookmarks) {
  Follow();
  EXPECT_EQ(Step(WatchEvent{.type = Type::kAdded, .resource_version = "11"}).op, StoreOp::kUpsert);
  EXPECT_EQ(Step(WatchEvent{.type = Type::kDeleted, .resource_version = "12"}).op,
            StoreOp::kRemove);
  const auto bookmark = Step(WatchEvent{.type = Type::kBookmark, .resource_version = "20"});
  EXPECT_EQ(bookmark.op, StoreOp::kNone);
  EXPECT_EQ(bookmark.resource_version, "20");
  ExpectWatchFrom(Step(StreamOver{.cause = Cause::kEof, .lasted = Seconds(300)}), "20");
}

TEST_F(WatchMachineTest, FallsBackToPagedListsWhenTheServerCannotSendTheState) {
  const StreamOver failures[] = {{.cause = Cause::kHttpError, .http_status = 422},
                                 {.cause = Cause::kHttpError, .http_status = 400},
                                 {.cause = Cause::kHttpError, .http_status = 500},
                                 {.cause = Cause::kEof, .lasted = Seconds(60)},
                                 {.cause = Cause::kSilent, .lasted = Seconds(150)},
                                 {.cause = Cause::kMalformed}};
  for (const StreamOver& failure : failures) {
    machine_ = WatchMachine();
    (void)Step(Started{});
    (void)Step(WatchEvent{.type = Type::kAdded, .resource_version = "9"});
    const auto list = Step(failure);
    EXPECT_EQ(list.command, WatchCommand::kList);
    EXPECT_TRUE(list.clear_staged);
    EXPECT_EQ(list.limit, 500);
    EXPECT_EQ(list.continue_token, "");
    const auto more = Step(PageListed{.resource_version = "30", .continue_token = "c1"});
    EXPECT_EQ(more.op, StoreOp::kStage);
    EXPECT_EQ(more.command, WatchCommand::kList);
    EXPECT_EQ(more.continue_token, "c1");
    EXPECT_FALSE(more.commit);
    EXPECT_FALSE(more.clear_staged);
    const auto last = Step(PageListed{.resource_version = "30"});
    EXPECT_EQ(last.op, StoreOp::kStage);
    EXPECT_TRUE(last.commit);
    ExpectWatchFrom(last, "30");
  }
}

TEST_F(WatchMachineTest, TriesTheWatchListAgainWhenTheServerIsNotThereOrDeclines) {
  (void)Step(Started{});
  const auto refused = Step(StreamOver{.cause = Cause::kRefused});
  EXPECT_EQ(refused.command, WatchCommand::kPause);
  ExpectWatchList(Step(PauseOver{}));
  const auto declined =
      Step(StreamOver{.cause = Cause::kHttpError, .http_status = 429, .retry_after = Seconds(40)});
  EXPECT_EQ(declined.command, WatchCommand::kPause);
  EXPECT_EQ(declined.pause, Seconds(40)) << "as the server asked, above our longest pause";
  ExpectWatchList(Step(PauseOver{}));
}

TEST_F(WatchMachineTest, ListsOnceMoreWithoutPagesWhenAPageExpired) {
  (void)Step(Started{});
  (void)Step(StreamOver{.cause = Cause::kHttpError, .http_status = 422});
  (void)Step(PageListed{.resource_version = "30", .continue_token = "c1"});
  const auto whole = Step(ListFailed{.code = Code::kExpired});
  EXPECT_EQ(whole.command, WatchCommand::kList);
  EXPECT_EQ(whole.limit, 0);
  EXPECT_EQ(whole.continue_token, "");
  EXPECT_TRUE(whole.clear_staged) << "pages of an older state must not remain";
  // And not for ever.
  EXPECT_EQ(Step(ListFailed{.code = Code::kExpired}).command, WatchCommand::kPause);
  ExpectWatchList(Step(PauseOver{}));
}

TEST_F(WatchMachineTest, PausesAfterAFailedList) {
  (void)Step(Started{});
  (void)Step(StreamOver{.cause = Cause::kHttpError, .http_status = 422});
  EXPECT_EQ(Step(ListFailed{.code = Code::kUnavailable}).command, WatchCommand::kPause);
  ExpectWatchList(Step(PauseOver{}));
}

TEST_F(WatchMachineTest, TakesTheWholeStateAgainAfter410) {
  Follow();
  ExpectWatchList(Step(StreamOver{.cause = Cause::kHttpError, .http_status = 410}));
  // The same as an event in the stream.
  (void)Step(
      WatchEvent{.type = Type::kBookmark, .resource_version = "50", .initial_events_end = true});
  now_ = now_ + Seconds(60);
  EXPECT_EQ(Step(WatchEvent{.type = Type::kError, .error_code = 410}).command,
            WatchCommand::kCloseStream);
  EXPECT_EQ(Step(WatchEvent{.type = Type::kAdded, .resource_version = "99"}).op, StoreOp::kNone)
      << "nothing counts after an error";
  ExpectWatchList(Step(StreamOver{.cause = Cause::kStopped}));
}

TEST_F(WatchMachineTest, PausesBetweenWholeStatesThatExpireAtOnce) {
  Follow();
  ExpectWatchList(Step(StreamOver{.cause = Cause::kHttpError, .http_status = 410}));
  (void)Step(
      WatchEvent{.type = Type::kBookmark, .resource_version = "50", .initial_events_end = true});
  now_ = now_ + Seconds(1);
  EXPECT_EQ(Step(StreamOver{.cause = Cause::kHttpError, .http_status = 410}).command,
            WatchCommand::kPause);
  ExpectWatchList(Step(PauseOver{}));
}

TEST_F(WatchMachineTest, WatchesAgainWithoutListingWhenDeclinedRefusedOrBroken) {
  const StreamOver ends[] = {{.cause = Cause::kHttpError, .http_status = 429},
                             {.cause = Cause::kHttpError, .http_status = 401},
                             {.cause = Cause::kHttpError, .http_status = 403},
                             {.cause = Cause::kHttpError, .http_status = 500},
                             {.cause = Cause::kRefused},
                             {.cause = Cause::kBroken}};
  for (const StreamOver& end : ends) {
    machine_ = WatchMachine();
    Follow();
    ExpectPauseThenWatchFrom(Step(end), "10");
  }
  machine_ = WatchMachine();
  Follow();
  (void)Step(WatchEvent{.type = Type::kError, .error_code = 429, .retry_after = Seconds(5)});
  const auto out = Step(StreamOver{.cause = Cause::kEof, .lasted = Seconds(60)});
  EXPECT_EQ(out.pause, Seconds(5));
  ExpectPauseThenWatchFrom(out, "10");
}

TEST_F(WatchMachineTest, CutsThatCostNothingAreAnsweredAtOnce) {
  Follow();
  ExpectWatchFrom(Step(StreamOver{.cause = Cause::kSilent, .lasted = Seconds(150)}), "10");
  ExpectWatchFrom(Step(StreamOver{.cause = Cause::kEof, .lasted = Seconds(1)}), "10");
}

TEST_F(WatchMachineTest, AVeryShortWatchGoesThroughThePause) {
  Follow();
  ExpectPauseThenWatchFrom(Step(StreamOver{.cause = Cause::kEof, .lasted = Milliseconds(999)}),
                           "10");
}

TEST_F(WatchMachineTest, ManyServerErrorsInARowAskForTheWholeState) {
  // After a restore from a backup our version lies in the future and is refused for ever.
  Follow();
  for (int i = 1; i < kMaxRewatchFailures; ++i) {
    ExpectPauseThenWatchFrom(Step(StreamOver{.cause = Cause::kHttpError, .http_status = 504}),
                             "10");
  }
  EXPECT_EQ(Step(StreamOver{.cause = Cause::kHttpError, .http_status = 504}).command,
            WatchCommand::kPause);
  ExpectWatchList(Step(PauseOver{}));
}

TEST_F(WatchMachineTest, OtherRefusalsAskForTheWholeState) {
  Follow();
  EXPECT_EQ(Step(StreamOver{.cause = Cause::kHttpError, .http_status = 404}).command,
            WatchCommand::kPause);
  ExpectWatchList(Step(PauseOver{}));
}

TEST_F(WatchMachineTest, ALineThatCannotBeReadIsAvoidedByAList) {
  Follow();
  EXPECT_EQ(Step(StreamOver{.cause = Cause::kMalformed}).command, WatchCommand::kPause);
  EXPECT_EQ(Step(PauseOver{}).command, WatchCommand::kList);
}

TEST_F(WatchMachineTest, PausesDoubleToACapWithJitterAndStartOverWhenHealthy) {
  Follow();
  const auto pause = [&](double jitter) {
    const auto out = Step(StreamOver{.cause = Cause::kBroken}, jitter);
    (void)Step(PauseOver{});
    return out.pause;
  };
  EXPECT_EQ(pause(0.0), Milliseconds(800));
  EXPECT_EQ(pause(0.5), Milliseconds(2400));
  EXPECT_EQ(pause(0.0), Milliseconds(3200));
  for (int i = 0; i < 100; ++i) EXPECT_LE(pause(0.99), Seconds(30));
  EXPECT_EQ(pause(0.0), Seconds(30));
  now_ = now_ + Seconds(121);
  EXPECT_EQ(pause(0.0), Milliseconds(800));
}

}  // namespace
}  // namespace understudy::watch
