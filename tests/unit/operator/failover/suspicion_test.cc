// FAILOVER.md section 6, steps 1 and 2: who suspects, who confirms, and what is left alone.
#include "tests/unit/operator/failover/group.h"

namespace understudy::failover {
namespace {

bool StartsTakeover(const Decision& d) {
  return d.persist && d.persist->failover && d.persist->failover->kind == Kind::kTakeover;
}

TEST(Suspicion, ProofOfDeathAloneIsEnough) {
  Group g;
  g.Die("a");
  const Decision d = g.Decide();
  ASSERT_TRUE(StartsTakeover(d));
  EXPECT_EQ(d.persist->failover->reason, "PrimaryDead");
  EXPECT_FALSE(d.persist->failover->proof.empty());
}

TEST(Suspicion, SilenceSeenByOperatorAndVoterIsConfirmed) {
  Group g;
  g.Silence("a");
  g.Unlink("b");
  const Decision d = g.Decide();
  ASSERT_TRUE(StartsTakeover(d));
  EXPECT_EQ(d.persist->failover->reason, "PrimarySilent");
  EXPECT_TRUE(d.persist->failover->proof.empty());
}

TEST(Suspicion, ALeaderThatListenedBeforeItsTimeSaysHowLongThePrimaryHasReallyBeenSilent) {
  Group g;
  g.view.me.acquired_at = g.now - Milliseconds(100);
  g.Pod("a").heard->at = g.now - Seconds(4);
  g.Unlink("b");
  const Decision d = g.Decide();
  ASSERT_TRUE(StartsTakeover(d));
  EXPECT_NE(d.persist->failover->message.find("a has not answered for 4.0 s"), std::string::npos) << d.persist->failover->message;
}

TEST(Suspicion, AVoterThatIsSilentAsLongIsAWitnessThoughItsLinkIsUp) {
  Group g;
  g.Silence("a");
  g.Node("c").link_silent_ms = 999;
  EXPECT_FALSE(StartsTakeover(g.Decide()));
  g.Node("c").link_silent_ms = 1000;
  EXPECT_TRUE(StartsTakeover(g.Decide()));
}

TEST(Suspicion, TheOperatorAloneCutOffFromThePrimaryIsNoFailover) {
  Group g;
  g.Silence("a");
  const Decision d = g.DecideAfterPatience({"a"});
  EXPECT_FALSE(d.persist);
  ASSERT_TRUE(d.findings.waiting_for_proof);
  EXPECT_EQ(d.findings.waiting_for_proof->incarnation, "a1");
  EXPECT_NE(d.findings.waiting_message.find("a1"), std::string::npos);
}

TEST(Suspicion, TheOperatorCutOffFromEverybodyDoesNothingAtAll) {
  Group g;
  for (PodView& p : g.view.pods) {
    p.channel.up = false;
    p.heard->at = g.now - Seconds(5);
    p.heard->state.link = control::LinkState::kConnecting;
  }
  const Decision d = g.Decide();
  EXPECT_FALSE(d.persist);
  EXPECT_TRUE(d.orders.empty());
}

TEST(Suspicion, SlowButAnsweringIsNoFailover) {
  Group g;
  for (int i = 0; i < 20; ++i) {
    g.Pass(900);
    g.Unlink("b");
    g.Unlink("c");
    EXPECT_FALSE(g.Decide().persist);
  }
}

TEST(Suspicion, AClosedChannelAloneIsSuspicionOnly) {
  Group g;
  g.Pod("a").channel.up = false;
  g.Unlink("b");
  EXPECT_FALSE(g.Decide().persist);
  g.Pass(1000);
  EXPECT_TRUE(StartsTakeover(g.Decide()));
}

TEST(Suspicion, ANewLeaderCountsSilenceFromItsBeginning) {
  Group g;
  g.Pod("a").heard.reset();
  g.Pod("a").channel = {};
  g.view.me.acquired_at = g.now - Milliseconds(500);
  g.Unlink("b");
  Decision d = g.Decide();
  EXPECT_FALSE(d.persist);
  EXPECT_LE(d.wake_at, g.now + Milliseconds(500));
  g.Pass(500, {"a"});
  EXPECT_TRUE(StartsTakeover(g.Decide()));
}

TEST(Suspicion, TheKubeletIsAnObserverToo) {
  Group g;
  g.Silence("a");
  g.Pod("a").running = false;
  EXPECT_TRUE(StartsTakeover(g.Decide()));
}

TEST(Suspicion, AReplicaOfSomebodyElseIsNoWitness) {
  Group g;
  g.Silence("a");
  g.Unlink("b");
  g.Node("b").primary = "x";
  EXPECT_FALSE(g.Decide().persist);
}

TEST(Suspicion, WithoutVotersSilenceWaitsForProof) {
  Group g(0);
  g.Silence("a");
  g.Pod("a").running = false;
  const Decision d = g.DecideAfterPatience({"a"});
  EXPECT_FALSE(d.persist);
  EXPECT_TRUE(d.findings.waiting_for_proof);
  EXPECT_EQ(d.findings.waiting_message,
            "a does not answer, and there is no replica that could tell whether it has ended; if a will not come back, "
            "and what nobody else has may be lost, confirm it with annotation cache.understudy.dev/confirm-dead: a1");
}

TEST(Suspicion, NothingCanProveTheEndOfALonePrimaryWhosePodIsGoneSoPeopleAreAskedAtOnce) {
  Group g(0);
  g.Pod("a").channel.up = false;
  g.Pod("a").exists = false;
  EXPECT_FALSE(g.Decide().findings.waiting_for_proof);
  g.Pass(1000);
  const Decision d = g.Decide();
  ASSERT_TRUE(d.findings.waiting_for_proof);
  EXPECT_TRUE(d.findings.waiting_message.starts_with("the Pod of a was deleted before its process was seen to end"));
}

TEST(Suspicion, ARequestTellsOfAnAnnotationThatNamesSomethingElse) {
  Group g(0);
  g.Silence("a");
  (void)g.DecideAfterPatience({"a"});
  const auto message = [&] { return g.Decide().findings.waiting_message; };
  EXPECT_EQ(message().find("names"), std::string::npos);
  g.view.confirmed_dead = {"wrong"};
  EXPECT_NE(message().find("; annotation confirm-dead names 'wrong', which is not waited for; if a will not"),
            std::string::npos)
      << message();
  EXPECT_TRUE(message().ends_with("confirm-dead: a1"));
  g.view.confirmed_dead = {std::string(100'000, 'x')};
  EXPECT_LT(message().size(), 400u);
  g.view.confirmed_dead = {"a1"};
  EXPECT_TRUE(StartsTakeover(g.Decide()));
}

TEST(Suspicion, APrimaryThatWasNeverHeardIsLostWhenItsPodIsGone) {
  Group g(0);
  g.Pod("a").heard.reset();
  g.Pod("a").channel = {};
  EXPECT_FALSE(g.Decide().findings.primary_lost);
  g.Pass(10'000);
  EXPECT_FALSE(g.Decide().findings.primary_lost) << "its channel may only not be open yet";
  g.view.memory.suspect.clear();
  g.Pod("a").exists = false;
  EXPECT_FALSE(g.Decide().findings.primary_lost);
  g.Pass(2499);
  const Decision d = g.Decide();
  EXPECT_FALSE(d.findings.primary_lost);
  EXPECT_EQ(d.wake_at, g.now + Milliseconds(1));
  g.Pass(1);
  EXPECT_TRUE(g.Decide().findings.primary_lost);
}

TEST(Suspicion, PeopleAreAskedWhenTheSuspicionIsOldEnoughAndThePlanWakesForIt) {
  Group g;
  g.Silence("a");
  EXPECT_FALSE(g.Decide().findings.waiting_for_proof);
  g.Pass(kProofPatience.ms() - 1, {"a"});
  const Decision d = g.Decide();
  EXPECT_FALSE(d.findings.waiting_for_proof);
  EXPECT_EQ(d.wake_at, g.now + Milliseconds(1));
  g.Pass(1, {"a"});
  EXPECT_TRUE(g.Decide().findings.waiting_for_proof);
}

std::string AsksFor(const Decision& d) {
  const std::string& message = d.findings.waiting_message;
  const size_t at = message.rfind("confirm-dead: ");
  return at == std::string::npos ? "" : message.substr(at + 14);
}

TEST(Suspicion, TheFirstRequestNamesEveryProcessWhoseEndIsNeeded) {
  Group g(2);
  for (PodView& p : g.view.pods) p.channel.up = false;  // all Pods were deleted by force
  for (const char* name : {"a", "b", "c"}) g.Silence(name);
  EXPECT_EQ(AsksFor(g.DecideAfterPatience({"a", "b", "c"})), "a1,b1,c1");
}

TEST(Suspicion, OnlyThePrimaryHasToBeConfirmedWhenAReplicaCanTakeOver) {
  Group g(3);
  for (const char* name : {"a", "c", "d"}) g.Silence(name);
  g.Unlink("b");
  EXPECT_EQ(AsksFor(g.DecideAfterPatience({"a", "c", "d"})), "a1");
}

TEST(Suspicion, WhoMayHoldAnAcknowledgedWriteHasToBeConfirmedToo) {
  Group g(3, 1);  // every answer of three is needed, or the death of those who do not answer
  for (const char* name : {"a", "d"}) g.Silence(name);
  g.Unlink("b");
  EXPECT_EQ(AsksFor(g.DecideAfterPatience({"a", "d"})), "a1,d1");
}

TEST(Suspicion, AboveMaxPerHourOneWithoutProofWaits) {
  Group g;
  g.view.spec.max_per_hour = 2;
  g.state.unproven_takeovers = {{g.wall.unix_ms - 3'599'900}, {g.wall.unix_ms - 1000}};
  g.Silence("a");
  g.Unlink("b");
  Decision d = g.Decide();
  EXPECT_FALSE(d.persist);
  EXPECT_EQ(d.findings.failover_ready_reason, "MaxPerHour");
  ASSERT_TRUE(d.findings.waiting_for_proof) << "it would have begun now";
  EXPECT_TRUE(d.findings.waiting_message.starts_with("a does not answer, and 2 takeovers without proof of death took place"))
      << d.findings.waiting_message;
  EXPECT_EQ(d.wake_at, g.now + Milliseconds(100)) << "when the first of them is an hour old";
  g.Pass(100, {"a"});
  EXPECT_TRUE(StartsTakeover(g.Decide()));
}

// Ten changes of the primary that do not count have pushed those that do out of the history.
TEST(Suspicion, MaxPerHourCountsMoreThanTheHistoryHolds) {
  Group g;
  g.view.spec.max_per_hour = 1;
  g.Silence("a");
  g.Unlink("b");
  g.Persist();
  g.state.primary = g.state.failover->old;
  g.state.failover.reset();
  g.state.term = g.view.me.term = "another leader's";
  g.view.memory = {};
  HistoryEntry e;
  e.kind = Kind::kSwitchover;
  e.old_returned = {1};
  g.state.failover_history.assign(kMaxHistory, e);
  g.Settle("a", g.state.epoch);
  g.Silence("a");
  g.Unlink("b");
  const Decision d = g.Decide();
  EXPECT_FALSE(d.persist);
  EXPECT_EQ(d.findings.failover_ready_reason, "MaxPerHour");
}

TEST(Suspicion, WhatMaxPerHourCountsIsKeptForAnHourAndBounded) {
  Group g;
  g.view.spec.max_per_hour = 1000;
  for (int i = 0; i < 100; ++i) g.state.unproven_takeovers.push_back({g.wall.unix_ms - 3'600'000 + 50 * i - 100});
  g.Silence("a");
  g.Unlink("b");
  g.Persist();
  EXPECT_EQ(g.state.unproven_takeovers.size(), kMaxUnproven);
  EXPECT_EQ(g.state.unproven_takeovers.back(), g.wall);
  g.state.failover.reset();
  g.state.unproven_takeovers = {{g.wall.unix_ms - 3'600'000}, {g.wall.unix_ms - 3'599'999}};
  g.Persist();
  EXPECT_EQ(g.state.unproven_takeovers, (std::vector<WallTime>{{g.wall.unix_ms - 3'599'999}, g.wall}));
}

TEST(Suspicion, MaxPerHourDoesNotBindOneWithProof) {
  Group g;
  g.view.spec.max_per_hour = 0;
  g.Die("a");
  EXPECT_TRUE(StartsTakeover(g.Decide()));
}

TEST(Suspicion, TakeoversWithProofDoNotCount) {
  Group g;
  g.Die("a");
  g.Persist();
  EXPECT_TRUE(g.state.unproven_takeovers.empty());
}

TEST(Suspicion, WithoutAutomaticFailoverSilenceIsLeftAlone) {
  Group g;
  g.view.spec.automatic_failover = false;
  g.Silence("a");
  g.Unlink("b");
  g.Unlink("c");
  EXPECT_FALSE(g.Decide().persist);
}

TEST(Suspicion, NoTakeoverBeginsThatCouldNotBeFenced) {
  Group g(3);  // needs two of three
  g.Silence("a");
  g.Silence("c");
  g.Silence("d");
  g.Unlink("b");
  const Decision d = g.DecideAfterPatience({"a", "c", "d"});
  EXPECT_FALSE(d.persist);
  EXPECT_TRUE(d.findings.waiting_for_proof);
}

TEST(Suspicion, NoTakeoverBeginsThatCouldElectNobody) {
  Group g(3, 1);  // every answer of three is needed
  g.Silence("a");
  g.Silence("d");
  g.Unlink("b");
  const Decision d = g.Decide();
  EXPECT_FALSE(d.persist);
  EXPECT_FALSE(d.findings.no_promotable_replica.empty());
}

TEST(Suspicion, AnEpochAboveStopsAllGrantsAndStartsATakeoverAboveIt) {
  Group g;
  g.Node("b").epoch = 7;
  const Decision d = g.Decide();
  EXPECT_FALSE(d.grants.allowed);
  ASSERT_TRUE(StartsTakeover(d));
  EXPECT_EQ(d.persist->epoch, 8u);
  EXPECT_EQ(d.persist->failover->epoch, 8u);
}

// -- a primary that nobody vouches for any more

TEST(LostPrimary, IsOneThatNobodyHeardForDetectionTimeoutAndLease) {
  Group g(1);
  EXPECT_TRUE(g.Decide().findings.primary_serving);
  g.Pass(999, {"a", "b"});
  EXPECT_FALSE(g.Decide().findings.primary_lost);
  g.Pass(1, {"a", "b"});
  Decision d = g.Decide();
  EXPECT_TRUE(d.findings.primary_serving);
  EXPECT_EQ(d.wake_at, g.now + Milliseconds(1500)) << "it wakes by itself";
  g.Pass(1499, {"a", "b"});
  d = g.Decide();
  EXPECT_FALSE(d.findings.primary_lost);
  EXPECT_TRUE(d.findings.primary_serving);
  g.Pass(1, {"a", "b"});
  d = g.Decide();
  EXPECT_FALSE(d.persist) << "nobody is there to take over";
  EXPECT_TRUE(d.findings.primary_lost);
  EXPECT_FALSE(d.findings.primary_serving);
  g.Pass(100);
  d = g.Decide();
  EXPECT_FALSE(d.findings.primary_lost);
  EXPECT_TRUE(d.findings.primary_serving);
}

TEST(LostPrimary, TheTimesAreTheGroupsOwn) {
  Group g(1);
  g.view.spec.detection_ms = 300;
  g.state.configurations.back().lease_ms = g.Node("a").lease_ms = 500;
  (void)g.Decide();
  g.Pass(300, {"a", "b"});
  EXPECT_FALSE(g.Decide().findings.primary_lost);
  g.Pass(500, {"a", "b"});
  const Decision d = g.Decide();
  EXPECT_TRUE(d.findings.primary_lost);
  EXPECT_FALSE(d.findings.primary_serving) << "though it was heard lately by other measures";
}

TEST(LostPrimary, IsNotOneThatIsLateByAHeartbeat) {
  Group g(1);
  for (int i = 0; i < 20; ++i) {
    g.Pass(1400, {"a", "b"});
    const Decision d = g.Decide();
    EXPECT_FALSE(d.findings.primary_lost);
    EXPECT_TRUE(d.findings.primary_serving);
    g.Pass(0);
    (void)g.Decide();
  }
}

TEST(LostPrimary, AVoterThatHearsItVouchesForIt) {
  Group g(1);
  (void)g.Decide();
  for (int i = 0; i < 10; ++i) {
    g.Pass(1000, {"a"});
    EXPECT_FALSE(g.Decide().findings.primary_lost) << i;
  }
  g.Pass(2499, {"a", "b"});
  EXPECT_FALSE(g.Decide().findings.primary_lost);
  g.Pass(1, {"a", "b"});
  EXPECT_TRUE(g.Decide().findings.primary_lost);
}

TEST(LostPrimary, AVoterVouchesOnlyForWhatItHeardItself) {
  Group g(1);
  (void)g.Decide();
  g.Pass(1000, {"a"});
  g.Node("b").link_silent_ms = 990;  // not silent long enough to be a witness
  EXPECT_FALSE(g.Decide().findings.primary_lost);
  g.Pass(1510, {"a", "b"});
  EXPECT_TRUE(g.Decide().findings.primary_lost);
}

TEST(LostPrimary, AnOperatorThatWasStoppedItselfHearsFirstWhatCameMeanwhile) {
  Group g(1);
  (void)g.Decide();
  g.Pass(3000, {"a", "b"});
  Decision d = g.Decide();
  EXPECT_FALSE(d.findings.primary_lost);
  EXPECT_EQ(d.wake_at, g.now + Milliseconds(1500));
  g.Pass(1500, {"a", "b"});
  EXPECT_TRUE(g.Decide().findings.primary_lost);
}

TEST(LostPrimary, AProcessThatNeverHeardItCannotSay) {
  Group g(1);
  g.Pod("a").heard.reset();
  g.Pod("a").channel = {};
  (void)g.Decide();
  g.Pass(5000, {"b"});
  EXPECT_FALSE(g.Decide().findings.primary_lost);
}

TEST(Suspicion, AnEpochOfAnotherGroupMeansNothing) {
  Group g;
  g.Add("d");
  g.Node("d").group = "another";
  g.Node("d").epoch = 99;
  const Decision d = g.Decide();
  EXPECT_FALSE(d.persist);
  EXPECT_TRUE(d.grants.allowed);
}

TEST(Suspicion, AnUnfitPrimaryIsFirstTriedAsSwitchover) {
  Group g;
  g.Node("a").unfit = true;
  Decision d = g.Persist();
  EXPECT_EQ(g.state.failover->kind, Kind::kSwitchover);
  g.Pass(2000);
  (void)g.Decide();
  g.Pass(2000);
  d = g.Persist();  // aborted: it could not hold its writes
  EXPECT_FALSE(g.state.failover);
  d = g.Persist();
  EXPECT_EQ(g.state.failover->kind, Kind::kTakeover);
  EXPECT_EQ(g.state.failover->reason, "PrimaryUnfit");
}

TEST(Suspicion, AnUnfitPrimaryIsBetterThanNone) {
  Group g;
  g.Node("a").unfit = true;
  g.view.memory.unfit_tried = "a1";
  g.view.memory.acquired_at = g.view.me.acquired_at;
  g.Silence("b");
  g.Silence("c");
  EXPECT_FALSE(g.Decide().persist);
}

}  // namespace
}  // namespace understudy::failover
