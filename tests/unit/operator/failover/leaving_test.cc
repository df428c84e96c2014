// Members that leave a group with their data, and nodes that join one and drop theirs: the machine's part of
// Promote and Demote (FAILOVER.md sections 2 and 5).
#include "tests/unit/operator/failover/group.h"

namespace understudy::failover {
namespace {

using control::OrderKind;
using control::Role;

// Promoted away: nobody's member any more, but its process has not heard of it.
void Forget(Group& g, const std::string& name) {
  std::erase_if(g.view.members, [&](const Member& m) { return m.name == name; });
  for (control::Configuration& c : g.state.configurations) {
    std::erase_if(c.voters, [&](const control::NodeRef& v) { return v.name == name; });
  }
}

// c stands alone with data set "own" and three keys.
void StandAlone(Group& g) {
  control::NodeState& c = g.Node("c");
  c = {.pod_uid = c.pod_uid, .incarnation = c.incarnation};
  c.group = "own-c";
  c.epoch = c.role_epoch = 4;
  c.role = Role::kStandalone;
  c.in_office = c.complete = true;
  c.dataset = "own";
  c.keys = 3;
  g.MemberOf("c").may_leave_group = "own-c";
  for (control::Configuration& conf : g.state.configurations) {
    std::erase_if(conf.voters, [](const control::NodeRef& v) { return v.name == "c"; });
  }
}

TEST(Leaving, OneThatLeavesIsNoVoterAndIsNotToldToFollowAgain) {
  Group g(2);
  g.MemberOf("b").wanted = false;
  (void)g.Persist();
  ASSERT_EQ(g.state.configurations.size(), 2u);
  EXPECT_EQ(g.state.configurations.back().voters.size(), 1u);
  EXPECT_EQ(g.state.configurations.back().voters[0].name, "c");
  g.Node("b").primary = "somebody";
  EXPECT_FALSE(Group::Orders(g.Decide(), "b", OrderKind::kRole)) << "it is still listed until that is acknowledged";
  g.Node("a").configuration = g.Node("a").configuration_acked = g.state.configurations.back().number;
  (void)g.Persist();
  EXPECT_EQ(g.state.configurations.size(), 1u);
  EXPECT_FALSE(Group::Orders(g.Decide(), "b", OrderKind::kRole));
}

// A primary ends at SIGTERM when it knows that it is none any more.
TEST(Leaving, OneThatHasHandedOverIsToldToWhomThoughItLeaves) {
  Group g(2);
  control::NodeState& b = g.Node("b");
  g.MemberOf("b").wanted = false;
  Forget(g, "b");
  g.view.members.push_back({.name = "b", .wanted = false});
  b.role = Role::kPrimary;
  b.in_office = false;
  b.role_epoch = b.epoch = g.state.epoch - 1;
  b.primary = b.incarnation;
  EXPECT_TRUE(Group::Orders(g.Decide(), "b", OrderKind::kRole));
  b.role = Role::kReplica;
  EXPECT_FALSE(Group::Orders(g.Decide(), "b", OrderKind::kRole));
}

TEST(Leaving, TheLastReplicaMayGoAndFailoverIsNotReadyThen) {
  Group g(1);
  g.MemberOf("b").wanted = false;
  (void)g.Persist();
  EXPECT_TRUE(g.state.configurations.back().voters.empty());
  g.Node("a").configuration = g.Node("a").configuration_acked = g.state.configurations.back().number;
  (void)g.Persist();
  Forget(g, "b");
  const Decision d = g.Decide();
  EXPECT_FALSE(d.persist.has_value());
  EXPECT_TRUE(d.findings.primary_serving);
  EXPECT_FALSE(d.findings.failover_ready);
  EXPECT_EQ(d.findings.failover_ready_reason, "NoInSyncReplica");
}

TEST(Leaving, OneThatWasPromotedAwayIsNotElectedThoughItHoldsTheNewestData) {
  Group g(2);
  Forget(g, "b");
  g.Node("b").offset = 200;
  g.Die("a");
  (void)g.Persist();
  g.FenceAndAnswer();
  (void)g.Persist();
  EXPECT_EQ(g.state.failover->step, Step::kPromote);
  EXPECT_EQ(g.state.failover->winner.name, "c");
}

TEST(Leaving, OneThatOnlyWantsToLeaveIsElectedWhenItHasTheData) {
  Group g(1);
  g.MemberOf("b").wanted = false;
  g.Die("a");
  (void)g.Persist();
  g.FenceAndAnswer();
  (void)g.Persist();
  EXPECT_EQ(g.state.failover->winner.name, "b");
}

TEST(Leaving, OneThatAsksToLeaveIsElectedOnlyIfItHoldsMore) {
  for (const bool more : {false, true}) {
    Group g(2);
    g.MemberOf("b").leaves = true;
    if (more) g.Node("b").offset += 10;
    g.Die("a");
    (void)g.Persist();
    g.FenceAndAnswer();
    (void)g.Persist();
    EXPECT_EQ(g.state.failover->winner.name, more ? "b" : "c");
  }
}

TEST(Leaving, OneThatAsksToLeaveIsNoTargetWhileThereIsAnother) {
  Group g(2);
  g.MemberOf("b").leaves = true;
  g.Ack("b").offset = g.Ack("c").offset + 1;
  g.MemberOf("a").wanted = false;
  (void)g.Persist();
  EXPECT_EQ(g.state.failover->winner.name, "c");
}

TEST(Leaving, AListedVoterWinsEvenWhenItsObjectIsGone) {
  Group g(1);
  g.view.members.pop_back();
  g.Die("a");
  (void)g.Persist();
  g.FenceAndAnswer();
  (void)g.Persist();
  EXPECT_EQ(g.state.failover->winner.name, "b");
}

TEST(Emptied, AGroupStartsAnewAboveTheEpochOfThePrimaryThatLeft) {
  Group g(1);
  g.state.epoch = 7;
  g.state.primary = {};
  g.state.configurations.clear();
  g.view.endpoint_pod_uid.clear();
  // a left for another group; b is new.
  g.Node("a").group = "other";
  std::erase_if(g.view.members, [](const Member& m) { return m.name == "a"; });
  g.Start("b", "b2");
  g.view.spec.first_primary = "b";
  g.Pass(10);
  (void)g.Persist();
  EXPECT_TRUE(Started(g.state));
  EXPECT_EQ(g.state.epoch, 8u);
  EXPECT_EQ(g.state.primary.incarnation, "b2");
  EXPECT_EQ(g.state.dataset, "fresh");
  EXPECT_TRUE(Group::Orders(g.Decide(), "b", OrderKind::kRole));
}

TEST(Emptied, APrimaryThatDidNotLeaveAfterAllIsRecoveredAboveEveryEpoch) {
  Group g(0);
  g.state.epoch = 7;
  g.state.primary = {};
  g.state.configurations.clear();
  (void)g.Persist();
  EXPECT_EQ(g.state.primary.name, "a");
  EXPECT_EQ(g.state.epoch, 8u);
  EXPECT_TRUE(g.state.failover.has_value()) << "the nodes know the group: a takeover, not a first start";
}

TEST(Joining, TheOrderNamesTheDataSetThatMayGo) {
  Group g(2);
  StandAlone(g);
  g.MemberOf("c").discard_dataset = "own";
  const std::vector<control::Order> orders = Group::To(g.Decide(), "pod-c");
  ASSERT_EQ(orders.size(), 1u);
  EXPECT_TRUE(orders[0].drop_data);
  EXPECT_EQ(orders[0].drop_dataset, "own");
  EXPECT_EQ(orders[0].leaves_group, "own-c");
  EXPECT_EQ(orders[0].leaves_epoch, 4u);
}

TEST(Joining, WithoutLeaveThereIsNoOrderAndTheFindingsPrintTheLine) {
  for (const char* discard : {"", "another"}) {
    Group g(2);
    StandAlone(g);
    g.MemberOf("c").discard_dataset = discard;
    const Decision d = g.Decide();
    EXPECT_FALSE(Group::Orders(d, "c", OrderKind::kRole));
    ASSERT_EQ(d.findings.not_joining.size(), 1u);
    EXPECT_NE(d.findings.not_joining[0].find("discardExistingData: own"), std::string::npos);
  }
}

TEST(Joining, AnEmptyNodeMayJoinButKeysThatAreOnTheirWayMayNotGo) {
  Group g(2);
  StandAlone(g);
  g.Node("c").keys = 0;
  const std::vector<control::Order> orders = Group::To(g.Decide(), "pod-c");
  ASSERT_EQ(orders.size(), 1u);
  EXPECT_TRUE(orders[0].drop_data);
  EXPECT_EQ(orders[0].drop_dataset, "");
}

TEST(Joining, ANodeThatStoodAloneWithTheGroupsDataSetNeedsLeaveAndCopiesIt) {
  Group g(2);
  StandAlone(g);
  g.Node("c").dataset = "data";
  EXPECT_FALSE(Group::Orders(g.Decide(), "c", OrderKind::kRole)) << "it has written to it since";
  g.MemberOf("c").discard_dataset = "data";
  const std::vector<control::Order> orders = Group::To(g.Decide(), "pod-c");
  ASSERT_EQ(orders.size(), 1u);
  EXPECT_TRUE(orders[0].drop_data);
  EXPECT_EQ(orders[0].drop_dataset, "data");
}

}  // namespace
}  // namespace understudy::failover
