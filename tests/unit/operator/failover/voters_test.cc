// FAILOVER.md section 5, "Changes of configuration".
#include <algorithm>

#include "tests/unit/operator/failover/group.h"

namespace understudy::failover {
namespace {

std::vector<std::string> Voters(const GroupState& state) {
  std::vector<std::string> names;
  for (const control::NodeRef& v : state.configurations.back().voters)
    names.push_back(v.incarnation);
  return names;
}
using Names = std::vector<std::string>;

// The primary acts under the newest configuration and has caught its voters up.
void Acknowledge(Group& g) {
  const control::Configuration& c = g.state.configurations.back();
  control::NodeState& a = g.Node("a");
  a.configuration = a.configuration_acked = c.number;
  a.synchronous_replicas = c.synchronous_replicas;
  a.lease_ms = c.lease_ms;
}

TEST(Voters, AReplicaInSyncJoinsByOneChange) {
  Group g(1);
  g.Add("c");
  g.Settle("c", 1);
  g.Ack("c");
  (void)g.Persist();
  EXPECT_EQ(Voters(g.state), (Names{"b1", "c1"}));
  EXPECT_EQ(g.state.configurations.size(), 2u);
  EXPECT_EQ(g.state.configurations.back().number, 2u);
  const Decision d = g.Decide();
  const std::vector<control::Order> orders = Group::To(d, "pod-a");
  ASSERT_EQ(orders.size(), 1u);
  EXPECT_EQ(orders[0].configuration.number, 2u);
  EXPECT_FALSE(orders[0].promotion);
}

TEST(Voters, AReplicaWhosePodIsSeenTwiceJoinsOnce) {
  Group g(1);
  g.Add("c");
  g.Settle("c", 1);
  g.Ack("c");
  const auto seen = std::find_if(g.view.pods.begin(), g.view.pods.end(), [](const PodView& p) { return p.member == "c"; });
  ASSERT_NE(seen, g.view.pods.end());
  g.view.pods.push_back(PodView(*seen));
  (void)g.Persist();
  EXPECT_EQ(Voters(g.state), (Names{"b1", "c1"}));
}

TEST(Voters, OneThatIsNotInSyncDoesNotJoin) {
  for (int what = 0; what < 7; ++what) {
    Group g(1);
    g.Add("c");
    g.Settle("c", 1);
    g.Ack("c");
    control::NodeState& c = g.Node("c");
    if (what == 0) g.Ack("c").in_sync = false;
    if (what == 1) c.link = control::LinkState::kSyncing;
    if (what == 2) c.complete = false;
    if (what == 3) c.loading = true;
    if (what == 4) g.Ack("c").needs_full_copy = true;
    if (what == 5) c.unfit = true;
    if (what == 6) g.MemberOf("c").wanted = false;
    EXPECT_FALSE(g.Decide().persist) << what;
  }
}

TEST(Voters, OlderConfigurationsLeaveTheListWhenThePrimaryAcknowledged) {
  Group g(1);
  g.Add("c");
  g.Settle("c", 1);
  g.Ack("c");
  (void)g.Persist();
  g.Node("a").configuration = 2;  // acts on it, has not caught its voters up
  EXPECT_FALSE(g.Decide().persist);
  Acknowledge(g);
  (void)g.Persist();
  ASSERT_EQ(g.state.configurations.size(), 1u);
  EXPECT_EQ(g.state.configurations[0].number, 2u);
  EXPECT_FALSE(g.Decide().persist);
}

TEST(Voters, ADeadOneLeaves) {
  Group g(2, 1);
  g.Die("c");
  (void)g.Persist();
  EXPECT_EQ(Voters(g.state), Names{"b1"});
}

TEST(Voters, ADeadOneStaysUntilAnotherReplacesIt) {
  Group g(1, 1);
  g.Die("b");
  EXPECT_FALSE(g.Decide().persist);
  g.Add("c");
  g.Settle("c", 1);
  g.Ack("c");
  (void)g.Persist();
  EXPECT_EQ(Voters(g.state), Names{"c1"});
}

TEST(Voters, LeavesArePlannedTogetherAndNeverGoBelowS) {
  Group g(3, 2);
  g.Die("b");
  g.MemberOf("c").wanted = false;
  (void)g.Persist();
  EXPECT_EQ(Voters(g.state), (Names{"c1", "d1"}));  // the one that lives stays
}

TEST(Voters, LoweringSDoesNotLetThemGoBelowTheOldSInOneStep) {
  Group g(2, 2);
  g.view.spec.synchronous_replicas = 1;
  g.MemberOf("b").wanted = false;
  (void)g.Persist();
  EXPECT_EQ(Voters(g.state), (Names{"b1", "c1"}));
  EXPECT_EQ(g.state.configurations.back().synchronous_replicas, 1u);
  Acknowledge(g);
  (void)g.Persist();  // older ones leave
  (void)g.Persist();
  EXPECT_EQ(Voters(g.state), Names{"c1"});
}

TEST(Voters, ADeletedOneLeavesFirst) {
  Group g;
  g.MemberOf("b").wanted = false;
  (void)g.Persist();
  EXPECT_EQ(Voters(g.state), Names{"c1"});
  EXPECT_TRUE(NamesPod(g.state, "pod-b"));  // until the primary acknowledged
  Acknowledge(g);
  (void)g.Persist();
  EXPECT_FALSE(NamesPod(g.state, "pod-b"));
}

TEST(Voters, ATerminatingOneLeaves) {
  Group g;
  g.Node("b").terminating = true;
  (void)g.Persist();
  EXPECT_EQ(Voters(g.state), Names{"c1"});
}

TEST(Voters, OneThatNeedsAFullCopyLeavesFirst) {
  Group g(2, 1);
  g.Ack("b").needs_full_copy = true;
  (void)g.Persist();
  EXPECT_EQ(Voters(g.state), Names{"c1"});
}

TEST(Voters, OneThatNeedsAFullCopyAndCannotBeSparedStays) {
  Group g(1, 1);
  g.Ack("b").needs_full_copy = true;
  EXPECT_FALSE(g.Decide().persist);
}

TEST(Voters, OneSilentToThePrimaryAndTheOperatorForTenSecondsLeaves) {
  Group g(2);
  (void)g.Decide();
  g.Ack("b").silent_ms = 10'000;
  g.Pass(9'999, {"b"});
  Decision d = g.Decide();
  EXPECT_FALSE(d.persist);
  EXPECT_LE(d.wake_at, g.now + Milliseconds(1));
  g.Pass(1, {"b"});
  (void)g.Persist();
  EXPECT_EQ(Voters(g.state), Names{"c1"});
}

TEST(Voters, OneSilentToOnlyOneOfTheTwoStays) {
  Group g(2);
  g.Pass(60'000, {"b"});
  g.Ack("b").silent_ms = 0;
  EXPECT_FALSE(g.Decide().persist);
  Group h(2);
  h.Ack("b").silent_ms = 60'000;
  EXPECT_FALSE(h.Decide().persist);
}

TEST(Voters, ANewLeaderWaitsTenSecondsItself) {
  Group g(2);
  g.Ack("b").silent_ms = 60'000;
  g.Pod("b").heard.reset();
  g.view.me.acquired_at = g.now - Seconds(5);
  EXPECT_FALSE(g.Decide().persist);
}

TEST(Voters, ARestartedReplicaIsANewVoter) {
  Group g(2);
  (void)g.Decide();
  g.Pass(10);
  g.Start("b", "b2");
  g.Pass(10);
  (void)g.Persist();
  EXPECT_EQ(Voters(g.state), Names{"c1"});
  Acknowledge(g);
  g.Settle("b", 1);
  g.Ack("b");
  (void)g.Persist();
  (void)g.Persist();
  EXPECT_EQ(Voters(g.state), (Names{"b2", "c1"}));
}

TEST(Voters, SAndTAreConfigurationChanges) {
  Group g(2);
  g.view.spec.synchronous_replicas = 1;
  g.view.spec.lease_ms = 3000;
  (void)g.Persist();
  EXPECT_EQ(g.state.configurations.size(), 2u);
  EXPECT_EQ(g.state.configurations.back().synchronous_replicas, 1u);
  EXPECT_EQ(g.state.configurations.back().lease_ms, 3000u);
}

TEST(Voters, AFurtherChangeMayBeAppendedWhileOneWaits) {
  Group g(3, 1);
  g.Die("b");
  (void)g.Persist();
  g.Die("c");
  (void)g.Persist();
  EXPECT_EQ(g.state.configurations.size(), 3u);
  EXPECT_EQ(Voters(g.state), Names{"d1"});
}

TEST(Voters, NothingChangesWhileThePrimaryIsNotHeard) {
  Group g(2);
  g.Pod("a").channel.up = false;
  g.Die("b");
  EXPECT_FALSE(g.Decide().persist);
}

// -- a lost node's Pod
struct Lost {
  Group g{2};
  Lost() {
    PodView& p = g.Pod("c");
    p.node_lost = true;
    p.channel.up = false;
    p.deletion_timestamp = {g.wall.unix_ms - 60'000};
    p.heard->at = g.now - Seconds(60);
  }
};

TEST(LostPod, IsForceDeletedOnceNothingNamesIt) {
  Lost l;
  l.g.Ack("c").silent_ms = 60'000;
  (void)l.g.Persist();  // it leaves the voters
  EXPECT_TRUE(l.g.Decide().force_delete.empty());
  Acknowledge(l.g);
  (void)l.g.Persist();
  EXPECT_EQ(l.g.Decide().force_delete, Names{"pod-c"});
}

TEST(LostPod, IsKeptWithAVolumeOrBeforeItsGraceIsOverOrWhileItSpeaks) {
  for (int what = 0; what < 4; ++what) {
    Lost l;
    l.g.state.configurations[0].voters = {l.g.Ref("b")};
    if (what == 0) l.g.MemberOf("c").has_volume = true;
    if (what == 1) l.g.Pod("c").deletion_timestamp = {l.g.wall.unix_ms + 5'000};
    if (what == 2) l.g.Pod("c").node_lost = false;
    if (what == 3) {
      l.g.Pod("c").channel.up = true;
      l.g.Pod("c").heard->at = l.g.now;
    }
    EXPECT_TRUE(l.g.Decide().force_delete.empty()) << what;
  }
}

}  // namespace
}  // namespace understudy::failover
