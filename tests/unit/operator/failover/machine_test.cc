// The contract of machine.h, and the rules about who may act (FAILOVER.md section 5, "Losing the
// operator").
#include "tests/unit/operator/failover/group.h"

namespace understudy::failover {
namespace {

using control::OrderKind;

TEST(Machine, AQuietGroupYieldsNoWriteAndNoOrder) {
  Group g;
  for (int i = 0; i < 50; ++i) {
    g.Pass(500);
    const Decision d = g.Decide();
    EXPECT_FALSE(d.persist);
    EXPECT_TRUE(d.orders.empty());
    EXPECT_TRUE(d.events.empty());
    EXPECT_TRUE(d.force_delete.empty());
    EXPECT_TRUE(d.reconnect.empty());
    EXPECT_EQ(d.grants, (Grants{true, 1, "a1"}));
    EXPECT_GT(d.wake_at, g.now);
  }
}

TEST(Machine, WhoDoesNotLeadDoesNothing) {
  Group g;
  g.Die("a");
  g.view.me.leads = false;
  const Decision d = g.Decide();
  EXPECT_FALSE(d.persist);
  EXPECT_TRUE(d.orders.empty());
  EXPECT_FALSE(d.grants.allowed);
}

TEST(Machine, LeadershipThatRanOutGrantsNothing) {
  Group g;
  g.view.me.valid_until = g.now;
  const Decision d = g.Decide();
  EXPECT_FALSE(d.grants.allowed);
  EXPECT_FALSE(d.persist);
}

TEST(Machine, ANewLeaderFirstWritesItsTermAndDoesNothingElse) {
  Group g;
  g.view.me.term = "another";
  g.Die("a");
  const Decision d = g.Persist();
  EXPECT_EQ(g.state.term, "another");
  EXPECT_FALSE(g.state.failover);
  EXPECT_FALSE(d.grants.allowed);
  (void)g.Persist();
  EXPECT_TRUE(g.state.failover);
}

TEST(Machine, ATransitionGoesOnFromItsPersistedStepUnderANewLeader) {
  Group g;
  g.Die("a");
  (void)g.Persist();
  g.FenceAndAnswer();
  (void)g.Persist();
  ASSERT_EQ(g.state.failover->step, Step::kPromote);
  const control::NodeRef winner = g.state.failover->winner;
  g.view.memory = {};
  g.view.me.acquired_at = g.now;
  g.view.me.term = "another";
  (void)g.Persist();
  const Decision d = g.Decide();
  EXPECT_EQ(g.state.failover->winner, winner);  // no second election
  EXPECT_TRUE(Group::Orders(d, winner.name, OrderKind::kRole));
}

TEST(Machine, AnOrderOnItsWayIsNotRepeatedAtOnceButIsAfterAWhile) {
  Group g;
  g.Die("a");
  (void)g.Persist();
  EXPECT_TRUE(Group::Orders(g.Decide(), "b", OrderKind::kOffset));
  const Decision again = g.Decide();
  EXPECT_FALSE(Group::Orders(again, "b", OrderKind::kOffset));
  EXPECT_LE(again.wake_at, g.now + kResend);
  g.Pass(kResend.ms());
  EXPECT_TRUE(Group::Orders(g.Decide(), "b", OrderKind::kOffset));
}

TEST(Machine, AnOrderIsRepeatedAtOnceOverANewChannel) {
  Group g;
  g.Die("a");
  (void)g.Persist();
  EXPECT_TRUE(Group::Orders(g.Decide(), "b", OrderKind::kOffset));
  g.Pass(5);
  g.Pod("b").channel.up_since = g.now;
  EXPECT_TRUE(Group::Orders(g.Decide(), "b", OrderKind::kOffset));
}

TEST(Machine, EveryOrderNamesGroupAndIncarnation) {
  Group g;
  g.Die("a");
  (void)g.Persist();
  const Decision d = g.Decide();
  ASSERT_FALSE(d.orders.empty());
  for (const OutgoingOrder& o : d.orders) {
    EXPECT_EQ(o.order.group, "uid");
    EXPECT_FALSE(o.order.incarnation.empty());
  }
}

TEST(Machine, NothingIsOrderedOverAClosedChannel) {
  Group g;
  g.Die("a");
  (void)g.Persist();
  g.Pod("c").channel.up = false;
  EXPECT_FALSE(Group::Orders(g.Decide(), "c", OrderKind::kOffset));
}

TEST(Machine, TheSameInputsGiveTheSameDecision) {
  Group g;
  g.Die("a");
  (void)g.Persist();
  const Decision one = Decide(g.state, g.view, g.now, g.wall);
  const Decision two = Decide(g.state, g.view, g.now, g.wall);
  ASSERT_EQ(one.orders.size(), two.orders.size());
  EXPECT_EQ(one.wake_at, two.wake_at);
  EXPECT_EQ(one.persist, two.persist);
}

TEST(Readiness, NamesTheReason) {
  Group g;
  Decision d = g.Decide();
  EXPECT_TRUE(d.findings.failover_ready);
  EXPECT_EQ(d.findings.failover_ready_reason, "InSyncReplica");
  EXPECT_TRUE(d.findings.primary_serving);
  g.Ack("b").in_sync = g.Ack("c").in_sync = false;
  d = g.Decide();
  EXPECT_FALSE(d.findings.failover_ready);
  EXPECT_EQ(d.findings.failover_ready_reason, "NoInSyncReplica");
  g.view.spec.automatic_failover = false;
  EXPECT_EQ(g.Decide().findings.failover_ready_reason, "AutomaticFailoverDisabled");
  g.view.spec.automatic_failover = true;
  g.Die("a");
  (void)g.Persist();
  EXPECT_EQ(g.Decide().findings.failover_ready_reason, "FailoverRunning");
}

TEST(Readiness, APrimaryWithoutItsLeaseOrItsVotersDoesNotServe) {
  Group g;
  g.Node("a").lease_held = false;
  EXPECT_FALSE(g.Decide().findings.primary_serving);
  EXPECT_FALSE(g.Decide().findings.lacks_replicas);
  Group h(1, 2);
  EXPECT_FALSE(h.Decide().findings.primary_serving);
  EXPECT_TRUE(h.Decide().findings.lacks_replicas);
  h.Node("a").lease_held = false;
  EXPECT_FALSE(h.Decide().findings.lacks_replicas) << "that is not all";
}

TEST(Readiness, AVoterThatWasLostIsNoneThatWritesCanWaitFor) {
  Group g(2, 1);
  EXPECT_TRUE(g.Decide().findings.primary_serving);
  g.Die("b");
  EXPECT_TRUE(g.Decide().findings.primary_serving) << "c acknowledges";
  g.Die("c");
  Decision d = g.Decide();
  EXPECT_FALSE(d.findings.primary_serving);
  EXPECT_TRUE(d.findings.lacks_replicas);
  EXPECT_EQ(d.findings.voters_following, 0u);
}

TEST(Readiness, APrimaryThatLostItsLeaseWithItsVotersLacksReplicas) {
  Group g(2, 2);
  g.Die("b");
  g.Node("a").lease_held = false;
  EXPECT_FALSE(g.Decide().findings.lacks_replicas) << "the operator and c are enough for a lease";
  g.Die("c");
  EXPECT_TRUE(g.Decide().findings.lacks_replicas);
  EXPECT_FALSE(g.Decide().findings.primary_serving);
}

TEST(Readiness, AVoterCountsAsLongAsThePrimaryOrTheOperatorHearsIt) {
  Group g(1, 1);
  g.Pass(3000, {"b"});  // which the operator does not hear
  EXPECT_TRUE(g.Decide().findings.primary_serving) << "the primary does";
  g.Ack("b").silent_ms = 2001;
  EXPECT_TRUE(g.Decide().findings.lacks_replicas) << "stopped, its connection stays open";
  g.Ack("b").silent_ms = 2000;
  EXPECT_TRUE(g.Decide().findings.primary_serving);
}

TEST(State, NamesOfKindsAndStepsGoBothWays) {
  for (Kind k : {Kind::kTakeover, Kind::kRestore, Kind::kSwitchover})
    EXPECT_EQ(KindFromName(KindName(k)), k);
  for (Step s : {Step::kFence, Step::kCopy, Step::kPromote, Step::kPause, Step::kDemote}) {
    EXPECT_EQ(StepFromName(StepName(s)), s);
  }
  EXPECT_FALSE(KindFromName("failover"));
  EXPECT_FALSE(StepFromName(""));
}

TEST(State, NamedNodesAreThoseOfConfigurationsAndTransitions) {
  Group g;
  EXPECT_EQ(NamedNodes(g.state).size(), 3u);
  g.state.configurations[0].voters.pop_back();
  EXPECT_FALSE(NamesPod(g.state, "pod-c"));
  Failover fo;
  fo.source = g.Ref("c");
  g.state.failover = fo;
  EXPECT_TRUE(NamesPod(g.state, "pod-c"));
  EXPECT_TRUE(NamesIncarnation(g.state, "c1"));
}

}  // namespace
}  // namespace understudy::failover
