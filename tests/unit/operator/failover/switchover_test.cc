// FAILOVER.md section 7.
#include "tests/unit/operator/failover/group.h"

namespace understudy::failover {
namespace {

using control::OrderKind;
using control::Role;

void Ask(Group& g, MoveRequest::Source source, const std::string& id, const std::string& target) {
  g.view.spec.moves = {{source, id, target, "a person asked for it"}};
}

// The move to `b` is persisted.
struct Begun {
  Group g;
  explicit Begun(int r = 2, uint32_t s = 0) : g(r, s) {
    Ask(g, MoveRequest::Source::kAnnotation, "b@2026-01-01T00:00:00Z", "b");
    (void)g.Persist();
  }
};

// And the Service has pointed to `b` for long enough.
struct Paused : Begun {
  explicit Paused(int r = 2, uint32_t s = 0) : Begun(r, s) {
    g.Node("b").paused = true;
    g.view.endpoint_pod_uid = "pod-b";
    (void)g.Decide();
    g.Pass(kRepointSettle.ms());
  }
  void Hold() {
    g.Node("a").paused = true;
    g.Pass(1);
  }
  void Demote() {
    Hold();
    ASSERT_TRUE(Group::Orders(g.Decide(), "a", OrderKind::kDemote));
  }
};

TEST(Switchover, IsPersistedWithItsRequestBeforeThePause) {
  Paused p;
  EXPECT_EQ(p.g.state.failover->kind, Kind::kSwitchover);
  EXPECT_EQ(p.g.state.failover->step, Step::kPause);
  EXPECT_EQ(p.g.state.failover->winner.incarnation, "b1");
  EXPECT_EQ(p.g.state.handled_switchover_to, "b@2026-01-01T00:00:00Z");
  EXPECT_EQ(p.g.state.epoch, 1u);
  const Decision d = p.g.Decide();
  EXPECT_TRUE(Group::Orders(d, "a", OrderKind::kPause));
  EXPECT_EQ(d.grants, (Grants{true, 1, "a1"}));
}

TEST(Switchover, TheEndpointMovesBeforeThePause) {
  Begun p;
  p.g.Node("b").paused = true;
  const Decision d = p.g.Decide();
  ASSERT_TRUE(d.endpoint);
  EXPECT_EQ(d.endpoint->incarnation, "b1");
  EXPECT_FALSE(Group::Orders(d, "a", OrderKind::kPause));
  EXPECT_LE(d.wake_at, p.g.now + kRepointFirst);
  p.g.view.endpoint_pod_uid = "pod-b";
  EXPECT_FALSE(Group::Orders(p.g.Decide(), "a", OrderKind::kPause)) << "kube-proxy has still to follow";
  p.g.Pass(kRepointSettle.ms() - 1);
  EXPECT_FALSE(Group::Orders(p.g.Decide(), "a", OrderKind::kPause));
  EXPECT_EQ(p.g.Decide().wake_at, p.g.now + Milliseconds(1));
  p.g.Pass(1);
  EXPECT_TRUE(Group::Orders(p.g.Decide(), "a", OrderKind::kPause));
}

TEST(Switchover, TheTargetHoldsWritesBeforeTheEndpointMoves) {
  Begun p;
  Decision d = p.g.Decide();
  EXPECT_TRUE(Group::Orders(d, "b", OrderKind::kPause));
  EXPECT_FALSE(Group::Orders(d, "c", OrderKind::kPause));
  p.g.Pass(1000);
  d = p.g.Decide();
  EXPECT_FALSE(d.endpoint) << "nobody is led to a node that does not answer";
  EXPECT_FALSE(Group::Orders(d, "a", OrderKind::kPause)) << "and nobody waits for it";
  EXPECT_TRUE(Group::Orders(d, "b", OrderKind::kPause));
  p.g.Node("b").paused = true;
  d = p.g.Decide();
  EXPECT_TRUE(d.endpoint);
  EXPECT_FALSE(Group::Orders(d, "b", OrderKind::kPause)) << "it does";
}

TEST(Switchover, ATargetThatNeverAnswersEndsItWithoutHoldingAnyWrite) {
  Begun p;
  (void)p.g.Decide();
  p.g.Pass(kPauseBudget.ms() - kTurnBack.ms());
  (void)p.g.Persist();
  EXPECT_FALSE(p.g.state.failover);
  EXPECT_NE(p.g.Decide().findings.switchover_blocked.find("b did not answer within"), std::string::npos);
}

TEST(Switchover, APrimaryThatFallsSilentIsNamedAsTheReasonAndNotTheTarget) {
  Paused p;
  (void)p.g.Decide();
  p.g.Pass(kPauseBudget.ms() - kTurnBack.ms(), {"a"});
  (void)p.g.Persist();
  EXPECT_FALSE(p.g.state.failover);
  EXPECT_NE(p.g.Decide().findings.switchover_blocked.find("a has not answered for 1.8 s"), std::string::npos)
      << p.g.Decide().findings.switchover_blocked;
}

TEST(Switchover, AnEndpointThatCannotBeMovedHoldsItUpForAMomentOnly) {
  Begun p;
  p.g.Node("b").paused = true;
  (void)p.g.Decide();
  p.g.Pass(kRepointFirst.ms() - 1);
  EXPECT_FALSE(Group::Orders(p.g.Decide(), "a", OrderKind::kPause));
  p.g.Pass(1);
  const Decision d = p.g.Decide();
  EXPECT_TRUE(Group::Orders(d, "a", OrderKind::kPause));
  EXPECT_TRUE(d.endpoint) << "still wanted";
}

TEST(Switchover, TheEndpointGoesBackWhenItIsAborted) {
  Paused p;
  (void)p.g.Decide();
  p.g.Pass(2000);
  (void)p.g.Persist();
  ASSERT_FALSE(p.g.state.failover);
  const Decision d = p.g.Decide();
  ASSERT_TRUE(d.endpoint);
  EXPECT_EQ(d.endpoint->incarnation, "a1");
}

TEST(Switchover, IsNotBegunTowardsALaggingTarget) {
  Group g;
  Ask(g, MoveRequest::Source::kAnnotation, "b@1", "b");
  g.Ack("b").in_sync = false;
  const Decision d = g.Decide();
  EXPECT_FALSE(d.persist);
  EXPECT_NE(d.findings.switchover_blocked.find("b lags"), std::string::npos);
}

TEST(Switchover, IsNotBegunTowardsANodeThatWouldRefuseToHoldWrites) {
  Group g;
  Ask(g, MoveRequest::Source::kAnnotation, "b@1", "b");
  g.Node("b").role_epoch = 0;
  const Decision d = g.Decide();
  EXPECT_FALSE(d.persist);
  EXPECT_TRUE(Group::Orders(d, "b", OrderKind::kRole)) << "what is waited for";
  EXPECT_NE(d.findings.switchover_blocked.find("b has not got its role of this epoch"), std::string::npos);
}

TEST(Switchover, IsNotBegunTowardsANodeThatIsNoVoter) {
  Group g;
  g.state.configurations[0].voters = {g.Ref("c")};
  g.Node("b").complete = false;
  Ask(g, MoveRequest::Source::kEdit, "b", "b");
  const Decision d = g.Decide();
  EXPECT_FALSE(d.persist);
  EXPECT_FALSE(d.findings.switchover_blocked.empty());
}

TEST(Switchover, ARequestForThePresentPrimaryIsHandledAtOnce) {
  Group g;
  Ask(g, MoveRequest::Source::kAnnotation, "a@1", "a");
  (void)g.Persist();
  EXPECT_FALSE(g.state.failover);
  EXPECT_EQ(g.state.handled_switchover_to, "a@1");
  EXPECT_FALSE(g.Decide().persist);
}

TEST(Switchover, ARequestThatIsRefusedForEverIsHandledAndMovesNothing) {
  Group g;
  Ask(g, MoveRequest::Source::kAnnotation, "b@9", "b");
  g.view.spec.moves[0].refused = true;
  (void)g.Persist();
  EXPECT_FALSE(g.state.failover);
  EXPECT_EQ(g.state.handled_switchover_to, "b@9");
  g.view.spec.moves[0].refused = false;  // its time has come
  EXPECT_FALSE(g.Decide().persist);
}

TEST(Switchover, AnEditIsActedOnOncePerValue) {
  Group g;
  Ask(g, MoveRequest::Source::kEdit, "a", "a");
  EXPECT_FALSE(g.Decide().persist);  // handled at the first start
  Ask(g, MoveRequest::Source::kEdit, "c", "c");
  (void)g.Persist();
  EXPECT_EQ(g.state.handled_primary_cluster_id, "c");
  EXPECT_EQ(g.state.failover->winner.name, "c");
}

TEST(Switchover, TheDemotionIsAskedForWhenTheTargetHasWhatIsHeldWithTheEpochThatWasPersisted) {
  Paused p;
  EXPECT_EQ(p.g.state.failover->epoch, 2u);
  p.g.Node("a").offset = 110;
  p.Hold();
  Decision d = p.g.Decide();
  EXPECT_FALSE(Group::Orders(d, "a", OrderKind::kDemote));
  EXPECT_TRUE(d.grants.allowed);
  p.g.Node("b").offset = 110;
  d = p.g.Decide();
  EXPECT_FALSE(d.persist) << "no write while clients wait";
  EXPECT_FALSE(d.grants.allowed);
  const std::vector<control::Order> orders = Group::To(d, "pod-a");
  ASSERT_EQ(orders.size(), 1u);
  EXPECT_EQ(orders[0].kind, OrderKind::kDemote);
  EXPECT_EQ(orders[0].epoch, 2u);
}

TEST(Switchover, ThereIsNoWayBackForAnotherLeaderWhichCannotKnowWhetherTheDemotionWasSent) {
  Paused p;
  p.Demote();
  p.g.view.me.acquired_at = p.g.now;
  const Decision d = p.g.Persist();
  EXPECT_EQ(p.g.state.failover->step, Step::kDemote);
  EXPECT_EQ(p.g.state.epoch, 2u);
  EXPECT_FALSE(d.grants.allowed);
  EXPECT_TRUE(Group::Orders(p.g.Decide(), "a", OrderKind::kDemote));
}

TEST(Switchover, TheTargetIsPolledUntilItHasWhatIsHeld) {
  Paused p;
  EXPECT_FALSE(Group::Orders(p.g.Decide(), "b", OrderKind::kPoll));  // nothing is held yet
  p.g.Node("a").offset = 110;
  p.Hold();
  const Decision d = p.g.Decide();
  EXPECT_TRUE(Group::Orders(d, "b", OrderKind::kPoll));
  EXPECT_FALSE(Group::Orders(d, "b", OrderKind::kResume));
  EXPECT_LE(d.wake_at, p.g.now + kPoll);
  p.g.Pass(1);
  EXPECT_FALSE(Group::Orders(p.g.Decide(), "b", OrderKind::kPoll));  // on its way
  p.g.Pass(kPoll.ms());
  EXPECT_TRUE(Group::Orders(p.g.Decide(), "b", OrderKind::kPoll));
  // After the demotion too, under its epoch.
  p.g.Node("b").offset = 110;
  ASSERT_TRUE(Group::Orders(p.g.Decide(), "a", OrderKind::kDemote));
  p.g.Node("a").epoch = 2;
  p.g.Node("a").in_office = p.g.Node("a").lease_held = false;
  p.g.Node("a").offset = 115;
  p.g.Pass(1);
  const std::vector<control::Order> orders = Group::To(p.g.Decide(), "pod-b");
  ASSERT_EQ(orders.size(), 1u);
  EXPECT_EQ(orders[0].kind, OrderKind::kPoll);
  EXPECT_EQ(orders[0].epoch, 2u);
}

TEST(Switchover, NothingIsDemotedBeforeItsWritesAreHeld) {
  Paused p;
  EXPECT_FALSE(p.g.Decide().persist);
}

TEST(Switchover, PromotionWaitsForTheFinalOffsetOfTheDemotion) {
  Paused p;
  p.Demote();
  p.g.Node("a").epoch = 2;
  p.g.Node("a").in_office = p.g.Node("a").lease_held = false;
  p.g.Node("a").offset = 105;  // more than when it was paused
  p.g.Pass(1);
  Decision d = p.g.Decide();
  EXPECT_FALSE(d.persist);
  p.g.Node("b").offset = 105;
  d = p.g.Persist();
  EXPECT_EQ(p.g.state.failover->step, Step::kPromote);
  EXPECT_EQ(p.g.state.failover->offset, 105u);
  EXPECT_EQ(p.g.state.failover->epoch, 2u);
}

TEST(Switchover, AnEndpointThatDidNotMoveDoesSoWithTheRoleOrderAndIsRecordedWhenTheTargetIsInOffice) {
  Paused p;
  p.g.view.endpoint_pod_uid = "pod-a";
  p.Demote();
  EXPECT_FALSE(p.g.Decide().endpoint) << "the old primary has not given its role up";
  p.g.Node("a").epoch = 2;
  p.g.Node("a").in_office = p.g.Node("a").lease_held = false;
  (void)p.g.Persist();
  const Decision d = p.g.Decide();
  EXPECT_TRUE(Group::Orders(d, "b", OrderKind::kRole));
  ASSERT_TRUE(d.endpoint);
  EXPECT_EQ(d.endpoint->incarnation, "b1");
  p.g.view.endpoint_pod_uid = "pod-b";
  EXPECT_FALSE(p.g.Decide().persist) << "it has not said that it is primary";
  p.g.TakeOffice("b");
  (void)p.g.Persist();
  EXPECT_FALSE(p.g.state.failover);
  EXPECT_EQ(p.g.state.primary.name, "b");
}

TEST(Switchover, TheEndpointDoesNotMoveToATargetThatDoesNotAnswer) {
  Begun p;
  p.g.Pod("b").channel.up = false;
  EXPECT_FALSE(p.g.Decide().endpoint) << "before the pause";
  p.g.Pod("b").channel.up = true;
  p.g.Pass(kRepointFirst.ms());
  p.g.Node("a").paused = true;
  p.g.Pass(1);
  ASSERT_TRUE(Group::Orders(p.g.Decide(), "a", OrderKind::kDemote));
  p.g.Node("a").epoch = 2;
  p.g.Node("a").in_office = p.g.Node("a").lease_held = false;
  (void)p.g.Persist();
  p.g.Pod("b").channel.up = false;
  EXPECT_FALSE(p.g.Decide().endpoint) << "with the role order";
}

TEST(Switchover, TheOldPrimaryIsAVoterOfItsSuccessor) {
  Paused p(2, 1);
  p.Demote();
  p.g.Node("a").epoch = 2;
  p.g.Node("a").in_office = p.g.Node("a").lease_held = false;
  (void)p.g.Persist();
  const control::Configuration& c = p.g.state.configurations.back();
  EXPECT_EQ(c.primary.incarnation, "b1");
  ASSERT_EQ(c.voters.size(), 2u);
  EXPECT_EQ(c.voters[0].incarnation, "c1");
  EXPECT_EQ(c.voters[1].incarnation, "a1");
}

TEST(Switchover, OverBudgetBeforeTheDemotionItIsAbortedAndWritesGoOn) {
  Paused p;
  (void)p.g.Decide();
  const int64_t patience_ms = kPauseBudget.ms() - kTurnBack.ms();
  p.g.Pass(patience_ms - kRepointSettle.ms() - 1);
  EXPECT_FALSE(p.g.Decide().persist);
  EXPECT_EQ(p.g.Decide().wake_at, p.g.now + Milliseconds(1));
  p.g.Pass(1);
  const Decision d = p.g.Persist();
  EXPECT_FALSE(p.g.state.failover);
  EXPECT_EQ(p.g.state.epoch, 1u);
  EXPECT_TRUE(p.g.state.failover_history.empty());
  ASSERT_FALSE(d.events.empty());
  EXPECT_EQ(d.events[0].reason, "SwitchoverAborted");
  p.g.Node("b").paused = false;
  p.g.Node("a").paused = true;
  ASSERT_TRUE(p.g.Decide().endpoint);
  p.g.Pass(kTurnBack.ms());
  EXPECT_FALSE(Group::Orders(p.g.Decide(), "a", OrderKind::kResume)) << "the Service leads to the target";
  p.g.view.endpoint_pod_uid = "pod-a";
  EXPECT_FALSE(Group::Orders(p.g.Decide(), "a", OrderKind::kResume)) << "kube-proxy has still to follow";
  EXPECT_EQ(p.g.Decide().wake_at, p.g.now + kRepointSettle);
  p.g.Pass(kRepointSettle.ms());
  const Decision after = p.g.Decide();
  EXPECT_TRUE(Group::Orders(after, "a", OrderKind::kResume));
  EXPECT_FALSE(Group::Orders(after, "b", OrderKind::kResume));
  p.g.Node("b").paused = true;
  EXPECT_TRUE(Group::Orders(p.g.Decide(), "b", OrderKind::kResume)) << "the target, which held writes too";
  EXPECT_NE(after.findings.switchover_blocked.find("aborted"), std::string::npos);
}

TEST(Switchover, AfterTheDemotionThereIsNoWayBackButATakeover) {
  Paused p;
  p.Demote();
  (void)p.g.Decide();
  p.g.Pass(1500);
  (void)p.g.Persist();
  EXPECT_EQ(p.g.state.failover->kind, Kind::kTakeover);
  EXPECT_EQ(p.g.state.failover->step, Step::kFence);
  EXPECT_EQ(p.g.state.unproven_takeovers.size(), 1u) << "maxPerHour counts it";
  EXPECT_EQ(p.g.state.failover->epoch, 2u);
  EXPECT_EQ(p.g.state.failover->old.incarnation, "a1");
}

TEST(Switchover, ALostTargetAfterTheDemotionMeansATakeoverInWhichTheOldPrimaryIsACandidate) {
  Paused p(1, 1);
  p.Demote();
  p.g.Node("a").epoch = 2;
  p.g.Node("a").in_office = p.g.Node("a").lease_held = false;
  p.g.Die("b");
  (void)p.g.Persist();
  EXPECT_EQ(p.g.state.failover->reason, "TargetLost");
  p.g.FenceAndAnswer();
  (void)p.g.Persist();
  EXPECT_EQ(p.g.state.failover->winner.incarnation, "a1");
  p.g.TakeOffice("a");
  p.g.view.endpoint_pod_uid = "pod-a";
  const Decision d = p.g.Persist();
  ASSERT_EQ(d.events.size(), 1u);
  EXPECT_EQ(d.events[0].message, "Primary node a goes on as primary");
}

TEST(Switchover, ADeadPrimaryTurnsItIntoATakeover) {
  Paused p;
  p.g.Die("a");
  (void)p.g.Persist();
  EXPECT_EQ(p.g.state.failover->kind, Kind::kTakeover);
  EXPECT_EQ(p.g.state.epoch, 3u) << "2 is the demotion's, which another leader may have sent";

  Paused q;
  q.Demote();
  q.g.Die("a");
  (void)q.g.Persist();
  EXPECT_EQ(q.g.state.failover->kind, Kind::kTakeover);
  EXPECT_EQ(q.g.state.failover->step, Step::kFence);
  EXPECT_EQ(q.g.state.epoch, 2u);
}

TEST(Switchover, ADeletedPodIsMovedAwayFromWhileItAnswers) {
  Group g;
  g.Pod("a").deletion_timestamp = {g.wall.unix_ms + 30'000};
  (void)g.Persist();
  EXPECT_EQ(g.state.failover->kind, Kind::kSwitchover);
  EXPECT_NE(g.state.failover->message.find("being deleted"), std::string::npos);
}

TEST(Switchover, APrimaryThatGotSigtermIsMovedAwayFrom) {
  Group g;
  g.Node("a").terminating = true;
  (void)g.Persist();
  EXPECT_EQ(g.state.failover->kind, Kind::kSwitchover);
}

TEST(Switchover, ATerminatingPrimaryIsNoVoterOfItsSuccessor) {
  Group g;
  g.Node("a").terminating = true;
  (void)g.Persist();
  g.view.endpoint_pod_uid = "pod-b";
  g.Node("a").paused = true;
  ASSERT_TRUE(Group::Orders(g.Decide(), "a", OrderKind::kDemote));
  g.Node("a").epoch = 2;
  g.Node("a").in_office = g.Node("a").lease_held = false;
  (void)g.Persist();
  ASSERT_EQ(g.state.configurations.back().voters.size(), 1u);
  EXPECT_EQ(g.state.configurations.back().voters[0].name, "c");
}

TEST(Switchover, AMemberThatLeavesHandsOverFirst) {
  Group g;
  g.MemberOf("a").wanted = false;
  (void)g.Persist();
  EXPECT_EQ(g.state.failover->kind, Kind::kSwitchover);
}

TEST(Switchover, TheLastNodeAsksForNothing) {
  Group g(0);
  g.Node("a").terminating = true;
  EXPECT_FALSE(g.Decide().persist);
}

TEST(Switchover, AwayIsTriedAgainAfterAWhile) {
  Group g;
  g.view.spec.moves = {{MoveRequest::Source::kAway, "drain", "", "the node is drained"}};
  (void)g.Persist();
  (void)g.Decide();
  g.Pass(2000);
  (void)g.Persist();  // aborted
  const Decision d = g.Decide();
  EXPECT_FALSE(d.persist);
  EXPECT_LE(d.wake_at, g.now + kMoveRetry);
  g.Pass(kMoveRetry.ms());
  (void)g.Persist();
  EXPECT_EQ(g.state.failover->kind, Kind::kSwitchover);
}

TEST(Switchover, ChoosesTheVoterThatIsFurthest) {
  Group g;
  g.Node("a").offset = 120;
  g.Ack("b").offset = 110;
  g.Ack("c").offset = 115;
  g.view.spec.moves = {{MoveRequest::Source::kAway, "drain", "", "the node is drained"}};
  (void)g.Persist();
  EXPECT_EQ(g.state.failover->winner.name, "c");
}

TEST(Switchover, AnUnfitOrTerminatingVoterIsNoTarget) {
  Group g;
  g.Node("b").unfit = true;
  g.Node("c").terminating = true;
  g.state.configurations[0].synchronous_replicas = g.view.spec.synchronous_replicas = 2;
  g.Node("a").synchronous_replicas = 2;
  g.view.spec.moves = {{MoveRequest::Source::kAway, "drain", "", "the node is drained"}};
  const Decision d = g.Decide();
  EXPECT_FALSE(d.persist);
  EXPECT_FALSE(d.findings.switchover_blocked.empty());
}

// -- test failover
TEST(TestFailover, FailsThePrimaryWithoutAPauseOnceAndLosesNothing) {
  Group g;
  g.view.spec.created = {g.wall.unix_ms - 3'600'000};
  const std::string at = FormatRfc3339({g.wall.unix_ms - 1000});
  Ask(g, MoveRequest::Source::kTest, at, "");
  const Decision d = g.Persist();
  EXPECT_EQ(g.state.failover->step, Step::kDemote);
  EXPECT_EQ(g.state.epoch, 2u);
  EXPECT_EQ(g.state.handled_test_failover, at);
  EXPECT_FALSE(d.grants.allowed);
}

TEST(TestFailover, IsIgnoredWhenOldOlderThanTheObjectOrHandled) {
  struct Case {
    int64_t age_ms, object_age_ms, handled_age_ms;
    bool acts;
  };
  for (const Case& c : std::vector<Case>{{10'000, 20'000, 0, true},
                                         {3'601'000, 9'000'000, 0, false},
                                         {10'000, 5'000, 0, false},
                                         {10'000, 20'000, 10'000, false},
                                         {10'000, 20'000, 5'000, false},
                                         {10'000, 20'000, 15'000, true}}) {
    Group g;
    g.wall = {1'800'000'000'000};
    g.view.spec.created = {g.wall.unix_ms - c.object_age_ms};
    if (c.handled_age_ms)
      g.state.handled_test_failover = FormatRfc3339({g.wall.unix_ms - c.handled_age_ms});
    Ask(g, MoveRequest::Source::kTest, FormatRfc3339({g.wall.unix_ms - c.age_ms}), "");
    EXPECT_EQ(g.Decide().persist.has_value(), c.acts)
        << c.age_ms << " " << c.object_age_ms << " " << c.handled_age_ms;
  }
}

}  // namespace
}  // namespace understudy::failover
