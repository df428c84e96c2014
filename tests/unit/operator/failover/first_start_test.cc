// FAILOVER.md section 2 "First start", API.md "A new group adopts what exists".
#include "tests/unit/operator/failover/group.h"

namespace understudy::failover {
namespace {

using control::OrderKind;
using control::Role;

// Three new Pods, nobody was ever ordered.
struct Fresh {
  Group g{2};
  Fresh() {
    GroupState empty;
    empty.term = "mine";
    g.state = empty;
    for (const char* n : {"a", "b", "c"}) g.Start(n, std::string(n) + "1");
    g.view.endpoint_pod_uid.clear();
    g.view.memory = {};
    g.Pass(10);
  }
  // Stands alone with data of its own.
  void Standalone(const std::string& name, const std::string& dataset, uint64_t keys) {
    control::NodeState& s = g.Node(name);
    s.role = Role::kStandalone;
    s.group = "own-" + name;
    s.epoch = s.role_epoch = 3;
    s.in_office = s.complete = true;
    s.dataset = dataset;
    s.keys = keys;
    s.offset = 77;
    s.last_record_epoch = 3;
    g.MemberOf(name).may_leave_group = "own-" + name;
  }
  // A replica of a group that is gone, with its data.
  void LeftBehind(const std::string& name, const std::string& dataset, uint64_t keys,
                  const std::string& group = "old group") {
    Standalone(name, dataset, keys);
    g.Node(name).role = Role::kReplica;
    g.Node(name).group = g.MemberOf(name).may_leave_group = group;
  }
  // Was a member of this group before its status was lost.
  void Ours(const std::string& name, Role role, uint64_t epoch, uint64_t offset) {
    control::NodeState& s = g.Node(name);
    s.role = role;
    s.group = "uid";
    s.epoch = s.role_epoch = epoch;
    s.in_office = s.complete = true;
    s.dataset = "data";
    s.keys = 5;
    s.offset = offset;
    s.last_record_epoch = epoch;
    s.configuration = 4;
  }
};

TEST(FirstStart, WritesEpochOneWithoutVotersThenOrdersThePrimary) {
  Fresh f;
  (void)f.g.Persist();
  EXPECT_EQ(f.g.state.epoch, 1u);
  EXPECT_EQ(f.g.state.primary.incarnation, "a1");
  ASSERT_EQ(f.g.state.configurations.size(), 1u);
  EXPECT_EQ(f.g.state.configurations[0].number, 1u);
  EXPECT_TRUE(f.g.state.configurations[0].voters.empty());
  EXPECT_EQ(f.g.state.handled_primary_cluster_id, "a");
  EXPECT_EQ(f.g.state.dataset, "fresh");
  const Decision d = f.g.Decide();
  const std::vector<control::Order> orders = Group::To(d, "pod-a");
  ASSERT_EQ(orders.size(), 1u);
  EXPECT_EQ(orders[0].role, Role::kPrimary);
  EXPECT_EQ(orders[0].fresh_dataset, "fresh");
  EXPECT_FALSE(orders[0].promotion);
  EXPECT_FALSE(d.endpoint);
}

TEST(FirstStart, TheEndpointAndTheReplicasFollowThePrimary) {
  Fresh f;
  (void)f.g.Persist();
  (void)f.g.Decide();
  f.g.Settle("a", 1);
  f.g.Node("a").dataset = "fresh";
  f.g.Node("a").acks.clear();
  const Decision d = f.g.Decide();
  ASSERT_TRUE(d.endpoint);
  EXPECT_EQ(d.endpoint->incarnation, "a1");
  EXPECT_TRUE(Group::Orders(d, "b", OrderKind::kRole));
  EXPECT_TRUE(Group::Orders(d, "c", OrderKind::kRole));
}

TEST(FirstStart, WaitsForTheNamedNode) {
  Fresh f;
  f.g.Pod("a").heard.reset();
  f.g.Pod("a").channel = {};
  f.g.Pod("a").running = f.g.Pod("a").ever_started = false;
  const Decision d = f.g.Decide();
  EXPECT_FALSE(d.persist);
  EXPECT_NE(d.findings.failover_ready_message.find("a"), std::string::npos);
}

TEST(FirstStart, DoesNotWaitForAPodThatNeverRan) {
  Fresh f;
  f.g.Pod("c").heard.reset();
  f.g.Pod("c").channel = {};
  f.g.Pod("c").running = f.g.Pod("c").ever_started = false;
  EXPECT_TRUE(f.g.Decide().persist);
}

TEST(FirstStart, WaitsForARunningPodThatWasNotHeard) {
  Fresh f;
  f.g.Pod("c").heard.reset();
  f.g.Pod("c").channel = {};
  EXPECT_FALSE(f.g.Decide().persist);
}

TEST(FirstStart, ClaimsAStandaloneNodeWithItsData) {
  Fresh f;
  f.Standalone("a", "old", 9);
  (void)f.g.Persist();
  EXPECT_EQ(f.g.state.dataset, "old");
  const std::vector<control::Order> orders = Group::To(f.g.Decide(), "pod-a");
  ASSERT_EQ(orders.size(), 1u);
  EXPECT_EQ(orders[0].leaves_group, "own-a");
  EXPECT_EQ(orders[0].leaves_epoch, 3u);
}

TEST(FirstStart, DoesNotStartWithANodeThatIsBeingDeleted) {
  Fresh f;
  f.g.MemberOf("a").wanted = false;
  EXPECT_FALSE(f.g.Decide().persist);
}

TEST(FirstStart, DoesNotClaimANodeThatMayNotLeave) {
  Fresh f;
  f.Standalone("a", "old", 0);
  f.g.MemberOf("a").may_leave_group.clear();
  EXPECT_FALSE(f.g.Decide().persist);
}

TEST(Adoption, TheNodeWithTheDataIsPrimaryAndTheWishCountsAsHandled) {
  Fresh f;
  f.Standalone("b", "old", 9);
  const Decision d = f.g.Persist();
  EXPECT_EQ(f.g.state.primary.name, "b");
  EXPECT_EQ(f.g.state.handled_primary_cluster_id, "a");
  ASSERT_FALSE(d.events.empty());
  EXPECT_EQ(d.events[0].reason, "PrimaryKept");
}

TEST(Adoption, SeveralDataSetsChooseNothingAndAreNamed) {
  Fresh f;
  f.Standalone("a", "one", 9);
  f.Standalone("b", "two", 9);
  const Decision d = f.g.Decide();
  EXPECT_FALSE(d.persist);
  EXPECT_NE(d.findings.several_datasets.find("one"), std::string::npos);
  EXPECT_NE(d.findings.several_datasets.find("two"), std::string::npos);
}

// An older group's heir, and that of a group which the others were made into without it: both went on writing.
TEST(Adoption, TwoThatStandAloneHoldDifferentDataUnderOneId) {
  Fresh f;
  f.Standalone("a", "one", 9);
  f.Standalone("b", "one", 9);
  const Decision d = f.g.Decide();
  EXPECT_FALSE(d.persist);
  EXPECT_EQ(d.findings.several_datasets, "a holds one, b holds one");
  f.g.MemberOf("b").discard_dataset = "one";
  (void)f.g.Persist();
  EXPECT_EQ(f.g.state.primary.name, "a");
}

TEST(Adoption, WhoStandsAloneFollowsUnderTheSameIdOnlyWithLeave) {
  Fresh f;
  f.Standalone("a", "one", 9);
  f.LeftBehind("b", "one", 9, "a group that was made without a");
  f.g.Node("b").last_record_epoch = 9;
  (void)f.g.Persist();
  ASSERT_EQ(f.g.state.primary.name, "b");
  f.g.Settle("b", f.g.state.epoch);
  f.g.Node("b").dataset = "one";
  f.g.Node("b").acks.clear();
  const Decision d = f.g.Decide();
  EXPECT_TRUE(Group::To(d, "pod-a").empty());
  ASSERT_EQ(d.findings.not_joining.size(), 1u);
  EXPECT_NE(d.findings.not_joining[0].find("discardExistingData: one"), std::string::npos);
  f.g.MemberOf("a").discard_dataset = "one";
  const std::vector<control::Order> orders = Group::To(f.g.Decide(), "pod-a");
  ASSERT_EQ(orders.size(), 1u);
  EXPECT_TRUE(orders[0].drop_data);
  EXPECT_EQ(orders[0].drop_dataset, "one");
}

TEST(Adoption, DataThatMayBeDroppedDoesNotCount) {
  Fresh f;
  f.Standalone("a", "one", 9);
  f.Standalone("b", "two", 9);
  f.g.MemberOf("b").discard_dataset = "two";
  (void)f.g.Persist();
  EXPECT_EQ(f.g.state.primary.name, "a");
  EXPECT_EQ(f.g.state.dataset, "one");
}

TEST(Adoption, OfOneDataSetTheNewestIsPrimary) {
  Fresh f;
  for (const char* n : {"a", "b", "c"}) f.LeftBehind(n, "one", 9);
  f.g.Node("c").offset = 99;
  f.g.Node("b").last_record_epoch = 2;
  f.g.Node("b").offset = 500;
  (void)f.g.Persist();
  EXPECT_EQ(f.g.state.primary.name, "c");
}

TEST(Adoption, WaitsForEveryMemberWhosePodRunsAndSaysWhatMayHelp) {
  Fresh f;
  f.Standalone("b", "old", 9);
  f.g.Silence("c");
  f.g.Pod("c").channel.up = false;
  Decision d = f.g.Decide();
  EXPECT_FALSE(d.persist);
  EXPECT_EQ(d.findings.failover_ready_message, "waiting to hear from c, which may have data");
  f.g.Pod("c").node_lost = true;
  EXPECT_NE(f.g.Decide().findings.failover_ready_message.find("its Node host-c is not ready"), std::string::npos);
}

TEST(Adoption, DoesNotWaitForTheDead) {
  // The kubelet's word of a process that was heard.
  Fresh f;
  f.Standalone("b", "old", 9);
  f.Standalone("c", "old", 99);
  f.g.Pod("c").terminated.push_back("c1");
  f.g.Pod("c").channel.up = false;
  f.g.Silence("c");
  (void)f.g.Persist();
  EXPECT_EQ(f.g.state.primary.name, "b");
  // An administrator's word of a Node whose process was never heard.
  Fresh g;
  g.Standalone("b", "old", 9);
  g.g.Pod("c").heard.reset();
  g.g.Pod("c").channel = {};
  EXPECT_FALSE(g.g.Decide().persist);
  g.g.view.nodes_out_of_service = {"host-c"};
  (void)g.g.Persist();
  EXPECT_EQ(g.g.state.primary.name, "b");
}

TEST(Adoption, OfEqualsTheOneThatTakesWritesIsPrimary) {
  Fresh f;
  f.Standalone("b", "one", 9);
  for (const char* n : {"a", "c"}) {
    // What the deleted group left beside its heir.
    f.LeftBehind(n, "one", 9);
    f.g.Node(n).in_office = false;
  }
  (void)f.g.Persist();
  EXPECT_EQ(f.g.state.primary.name, "b");
  // Also when more was heard of another: its own word is only older.
  Fresh g;
  for (const char* n : {"a", "b", "c"}) g.Standalone(n, "one", 9);
  for (const char* n : {"a", "c"}) g.g.Node(n).role = Role::kReplica;
  g.g.Node("a").offset = 80;
  g.g.Node("c").offset = 70;
  (void)g.g.Persist();
  EXPECT_EQ(g.g.state.primary.name, "b");
}

TEST(Adoption, TheFirstEpochIsAboveThoseOfTheAdoptedHistories) {
  Fresh f;
  f.Standalone("b", "one", 9);
  f.g.Node("b").last_record_epoch = 7;
  (void)f.g.Persist();
  EXPECT_EQ(f.g.state.epoch, 8u);
  ASSERT_EQ(f.g.state.configurations.size(), 1u);
  EXPECT_EQ(f.g.state.configurations[0].epoch, 8u);
  const std::vector<control::Order> orders = Group::To(f.g.Decide(), "pod-b");
  ASSERT_EQ(orders.size(), 1u);
  EXPECT_EQ(orders[0].epoch, 8u);
}

TEST(Adoption, TheFirstEpochIsAboveThoseOfEmptyHistoriesToo) {
  Fresh f;
  f.Standalone("c", "one", 0);
  f.g.Node("c").last_record_epoch = 4;
  (void)f.g.Persist();
  EXPECT_EQ(f.g.state.primary.name, "a");
  EXPECT_EQ(f.g.state.epoch, 5u);
}

TEST(Adoption, WhatADeletedGroupLeftFollowsWithItsData) {
  Fresh f;
  f.Standalone("b", "one", 9);
  f.LeftBehind("c", "one", 9);
  (void)f.g.Persist();
  f.g.Settle("b", f.g.state.epoch);
  f.g.Node("b").dataset = "one";
  f.g.Node("b").acks.clear();
  const std::vector<control::Order> orders = Group::To(f.g.Decide(), "pod-c");
  ASSERT_EQ(orders.size(), 1u);
  EXPECT_EQ(orders[0].leaves_group, "old group");
  EXPECT_FALSE(orders[0].drop_data);
}

TEST(Adoption, WithoutPrimaryClusterIdTheEventNamesNone) {
  Fresh f;
  f.g.view.spec.primary_cluster_id.clear();
  f.Standalone("b", "old", 9);
  const Decision d = f.g.Persist();
  EXPECT_EQ(f.g.state.handled_primary_cluster_id, "");
  ASSERT_FALSE(d.events.empty());
  EXPECT_EQ(d.events[0].message, "b is primary, because it holds the newest of the data that was found");
}

TEST(LostStatus, IsATakeoverAboveWhatTheNodesKnow) {
  Fresh f;
  f.Ours("a", Role::kReplica, 6, 70);
  f.Ours("b", Role::kPrimary, 6, 80);
  f.Ours("c", Role::kReplica, 6, 75);
  (void)f.g.Persist();
  EXPECT_EQ(f.g.state.epoch, 7u);
  ASSERT_TRUE(f.g.state.failover);
  EXPECT_EQ(f.g.state.failover->reason, "StatusLost");
  EXPECT_EQ(f.g.state.failover->old.name, "b");
  EXPECT_EQ(f.g.state.failover->step, Step::kFence);
  // No waiting fences a primary of which nothing is known: it must give the role up.
  f.g.Node("a").epoch = f.g.Node("c").epoch = 7;
  f.g.Pass(600'000);
  EXPECT_FALSE(Group::Orders(f.g.Decide(), "a", OrderKind::kOffset));
  f.g.Node("b").epoch = 7;
  f.g.Node("b").in_office = false;
  f.g.FenceAndAnswer();
  (void)f.g.Persist();
  EXPECT_EQ(f.g.state.failover->winner.name, "b");  // demoted, alive, with the most
}

TEST(LostStatus, NothingStartsBesideNodesThatKnowTheGroupButHaveNoData) {
  Fresh f;
  f.g.Node("c").group = "uid";
  f.g.Node("c").epoch = 4;
  f.g.Pod("a").heard.reset();
  f.g.Pod("a").running = false;
  EXPECT_FALSE(f.g.Decide().persist);
}

TEST(LostStatus, IsNotWhatAProcessKnowsThatEndedBeforeTheGroupWasEmptied) {
  for (const uint64_t emptied_at : {6u, 5u}) {  // in the second case the process knows more than the status
    Fresh f;
    f.Ours("c", Role::kPrimary, 6, 70);
    f.g.Pod("c").terminated.push_back("c1");
    f.g.Pod("c").channel.up = false;
    f.g.Silence("c");
    f.g.state.epoch = emptied_at;
    (void)f.g.Persist();
    EXPECT_EQ(f.g.state.epoch, 7u);
    EXPECT_EQ(f.g.state.failover ? f.g.state.failover->reason : "", emptied_at == 6 ? "" : "StatusLost");
  }
}

// -- members that join later
TEST(Joining, ANodeWithOtherDataGetsNoOrderUntilItMayDropIt) {
  Fresh f;
  f.Standalone("c", "two", 9);
  f.g.MemberOf("c").wanted = false;  // accepted later
  (void)f.g.Persist();
  f.g.Settle("a", 1);
  f.g.Node("a").dataset = "fresh";
  f.g.MemberOf("c").wanted = true;
  Decision d = f.g.Decide();
  EXPECT_FALSE(Group::Orders(d, "c", OrderKind::kRole));
  ASSERT_EQ(d.findings.not_joining.size(), 1u);
  EXPECT_NE(d.findings.not_joining[0].find("holds other data (two)"), std::string::npos);
  f.g.MemberOf("c").discard_dataset = "two";
  d = f.g.Decide();
  const std::vector<control::Order> orders = Group::To(d, "pod-c");
  ASSERT_EQ(orders.size(), 1u);
  EXPECT_TRUE(orders[0].drop_data);
  EXPECT_EQ(orders[0].leaves_group, "own-c");
}

}  // namespace
}  // namespace understudy::failover
