// Promote: a member leaves its group with its data, whatever happens in between.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/operator/plan/world.h"

namespace understudy::plan {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using control::Role;

constexpr const char* kMember = R"({"replicationGroupId": "g"})";
constexpr const char* kPromoted = R"({"promotedFrom": "g"})";

std::string UidOf(World& world, const char* kind, const std::string& name) {
  return JsonString((*world.Get(kind, name))["metadata"], "uid");
}

size_t Voters(World& world) {
  const Json& configurations = (*world.Get(kRg, "g"))["status"]["configurations"];
  return configurations.back()["voters"].size();
}

// Group g: a is primary with five keys, b (and c) are its replicas.
class Promote : public ::testing::Test {
 protected:
  void SetUp() override { Make(&world, 1); }
  static void Make(World* world, int replicas, const char* spec = R"({"primaryClusterId": "a", "applyImmediately": true})") {
    world->ApplyYaml(kCc, "a", kMember);
    world->ApplyYaml(kRg, "g", spec);
    for (int i = 0; i < replicas; ++i) world->ApplyYaml(kRr, std::string(1, static_cast<char>('b' + i)), kMember);
    ASSERT_TRUE(world->Settle());
    world->Process("a")->keys = 5;
    ASSERT_TRUE(world->Settle());
    if (replicas > 0) { ASSERT_EQ(world->Process("b")->keys, 5u); }
  }
  static void ExpectMember(World& w, const char* name) {
    EXPECT_EQ(w.Process(name)->group, UidOf(w, kRg, "g"));
    EXPECT_EQ(w.Process(name)->dataset, w.Column(kRg, "g", "dataset"));
    EXPECT_EQ(w.Column(kRr, name, "groupUid"), UidOf(w, kRg, "g"));
    EXPECT_EQ(w.Column(kRr, name, "phase"), "available");
  }
  static void ExpectIndependent(World& w, const char* name) {
    const control::NodeState& process = *w.Process(name);
    EXPECT_EQ(process.role, Role::kStandalone);
    EXPECT_EQ(process.group, UidOf(w, kRr, name));
    EXPECT_NE(process.dataset, w.Column(kRg, "g", "dataset"));
    EXPECT_EQ(w.Column(kRr, name, "dataset"), process.dataset);
    EXPECT_EQ(w.Column(kRr, name, "groupUid"), "");
    EXPECT_EQ(w.Column(kRr, name, "role"), "standalone");
    EXPECT_EQ(w.Column(kRr, name, "replicationGroupId"), "");
    EXPECT_EQ(w.Column(kRr, name, "lag"), "");
    EXPECT_EQ(w.Column(kRr, name, "phase"), "available");
    EXPECT_EQ(w.Reason(kRr, name, "Accepted"), "Accepted");
    for (const char* label : {api::kGroupLabel, api::kReaderLabel}) EXPECT_EQ(w.PodLabel(name, label), "") << label;
    EXPECT_EQ(w.PodLabel(name, api::kRoleLabel), "standalone");
  }
  // One or the other, never neither, never both.
  static bool IsIndependent(World& w, const char* name) {
    const bool alone = w.Process(name)->role == Role::kStandalone;
    alone ? ExpectIndependent(w, name) : ExpectMember(w, name);
    return alone;
  }

  World world;
};

// Its membership never was declared: there is nothing to lose.
TEST_F(Promote, OfAClaimedPrimaryThatIsTakenBackLeavesItClaimed) {
  World claimed;
  claimed.ApplyYaml(kCc, "a", "{}");
  claimed.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a"})");
  claimed.ApplyYaml(kRr, "b", kMember);
  ASSERT_TRUE(claimed.Settle());
  ASSERT_EQ(claimed.Reason(kCc, "a", "Accepted"), "MembershipNotDeclared");
  claimed.ApplyYaml(kCc, "a", R"({"promotedFrom": "g"})");
  ASSERT_TRUE(claimed.Settle());
  EXPECT_EQ(claimed.Truth(kCc, "a", "Accepted"), "False");
  claimed.ApplyYaml(kCc, "a", "{}");
  ASSERT_TRUE(claimed.Settle());
  EXPECT_EQ(claimed.Reason(kCc, "a", "Accepted"), "MembershipNotDeclared");
  EXPECT_EQ(claimed.Truth(kCc, "a", "Stalled"), "False");
}

TEST_F(Promote, LeavesTheGroupWithItsDataAndTheGroupGoesOnUntouched) {
  const control::NodeState a = *world.Process("a"), b = *world.Process("b");
  const std::string pod = UidOf(world, "Pod", "b-0");
  world.ApplyYaml(kRr, "b", kPromoted);
  ASSERT_TRUE(world.Settle());
  ExpectIndependent(world, "b");
  EXPECT_EQ(world.Process("b")->keys, 5u);
  EXPECT_EQ(world.Process("b")->incarnation, b.incarnation);
  EXPECT_EQ(UidOf(world, "Pod", "b-0"), pod);
  EXPECT_TRUE(world.HadEvent("PromoteStarted"));
  EXPECT_TRUE(world.HadEvent("PromoteComplete"));
  EXPECT_FALSE(world.HadEvent("DataLost"));
  // The group: no failover, no restart; it says that nobody can take over now.
  EXPECT_EQ(world.Process("a")->incarnation, a.incarnation);
  EXPECT_EQ(world.Process("a")->epoch, a.epoch);
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "a");
  EXPECT_EQ(world.Column(kRg, "g", "phase"), "available");
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "1/1");
  EXPECT_EQ(world.Column(kRg, "g", "automaticFailover"), "enabling");
  EXPECT_EQ(world.Truth(kRg, "g", "FailoverReady"), "False");
  EXPECT_EQ(world.Truth(kRg, "g", "Degraded"), "False");
  EXPECT_EQ(Voters(world), 0u);
  EXPECT_EQ(world.PodLabel("a", api::kReaderLabel), "true");
  // The same manifests again change nothing.
  const int before = world.writes();
  world.ApplyYaml(kRr, "b", kPromoted);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.writes(), before);
}

TEST_F(Promote, LeavesTheReaderEndpointThenTheVotersThenTheGroup) {
  world.ApplyYaml(kRr, "b", kPromoted);
  bool reader_gone = false, voters_gone = false;
  for (int i = 0; i < 30 && world.Column(kRr, "b", "role") != "standalone"; ++i) {
    world.OneStep();
    const bool reader = world.PodLabel("b", api::kReaderLabel) == "true";
    const size_t voters = Voters(world);
    const bool left = world.Column(kRr, "b", "groupUid").empty();
    EXPECT_FALSE(voters == 0 && reader) << "it votes until no client is sent to it";
    EXPECT_FALSE(left && voters > 0) << "it leaves when nobody counts on it";
    EXPECT_TRUE(left || world.Process("b")->role == Role::kReplica) << "persisted before it is ordered";
    reader_gone = reader_gone || !reader;
    voters_gone = voters_gone || voters == 0;
  }
  EXPECT_TRUE(reader_gone && voters_gone);
  ASSERT_TRUE(world.Settle());
  ExpectIndependent(world, "b");
}

TEST_F(Promote, OfThePrimaryIsRefusedUntilItSwitchesOver) {
  world.ApplyYaml(kCc, "a", kPromoted);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kCc, "a", "Accepted"), "InvalidCacheClusterState");
  EXPECT_EQ(world.Truth(kCc, "a", "Stalled"), "True");
  EXPECT_THAT(world.Message(kCc, "a", "Accepted"), HasSubstr("set primaryClusterId of g to another member"));
  EXPECT_EQ(world.Column(kCc, "a", "role"), "primary");
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "True");
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "b", "applyImmediately": true})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "b");
  EXPECT_EQ(world.Column(kCc, "a", "role"), "standalone");
  EXPECT_EQ(world.Process("a")->keys, 5u);
  EXPECT_EQ(world.Truth(kCc, "a", "Accepted"), "True");
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "1/1");
}

// The replica is the only place where the group's data can be while the primary's Pod is replaced.
TEST_F(Promote, OfTheLastReplicaComesAfterTheRolloutThatNeedsIt) {
  for (const char* settings : {R"("image": "understudy:2")", R"("resources": {"limits": {"memory": "2Gi"}})"}) {
    World w;
    Make(&w, 1);
    w.ApplyYaml(kRr, "b", kPromoted);
    w.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a", "applyImmediately": true, "node": {)" + std::string(settings) + "}}");
    w.SetFarBehind(true);  // so that nobody can hand over yet
    for (int i = 0; i < 100; ++i) {
      w.Round();
      w.Advance(Milliseconds(100));
    }
    EXPECT_THAT(w.Message(kRr, "b", "Accepted"),
                HasSubstr("waits until the Pod of a has been replaced, which would cost g its data"));
    ASSERT_EQ(w.Column(kRg, "g", "primary"), "a");
    w.SetFarBehind(false);
    ASSERT_TRUE(w.Settle());
    EXPECT_FALSE(w.HadEvent("DataLost")) << settings;
    // It had to take the role over, and has handed it back.
    EXPECT_EQ(w.Told("SwitchoverStarted"), 2) << settings;
    EXPECT_THAT(w.NoteOf("SwitchoverStarted"), HasSubstr("from b to a: b leaves the group"));
    EXPECT_FALSE(w.HadEvent("InvalidCacheClusterState")) << settings;
    EXPECT_EQ(w.Told("ModificationCancelled"), 0) << settings;
    EXPECT_EQ(w.Column(kRg, "g", "primary"), "a");
    ExpectIndependent(w, "b");
    EXPECT_EQ(w.Process("a")->keys, 5u) << settings;
    EXPECT_EQ(w.Process("b")->keys, 5u) << settings;
  }
}

// With synchronousReplicas 1 neither of the two may go first: the one that has its object stays, also while the other
// has the role.
TEST_F(Promote, OfThePrimaryHoldsUpNoRolloutThatNeedsADeletedReplica) {
  World w;
  Make(&w, 1, R"({"primaryClusterId": "a", "synchronousReplicas": 1, "applyImmediately": true})");
  w.ApplyYaml(kCc, "a", kPromoted);
  ASSERT_TRUE(w.Settle());
  w.ApplyYaml(kRg, "g",
              R"({"primaryClusterId": "a", "synchronousReplicas": 1, "applyImmediately": true, "node": {"image": "understudy:2"}})");
  w.Delete(kRr, "b");
  ASSERT_TRUE(w.Settle(400));
  EXPECT_FALSE(w.HadEvent("DataLost"));
  EXPECT_LE(w.Told("SwitchoverStarted"), 2);
  EXPECT_EQ(w.Process("a")->keys, 5u);
  EXPECT_EQ((*w.Get("Pod", "a-0"))["spec"]["containers"][0]["image"], "understudy:2");
  EXPECT_EQ(w.Column(kRg, "g", "primary"), "a");
}

// Each step with another operator: what is remembered stands in statuses.
TEST_F(Promote, ThatARolloutGaveTheRoleToIsFinishedByWhicheverOperator) {
  bool crashed = true;
  for (int steps = 0; crashed; ++steps) {
    ASSERT_LT(steps, 300);
    SCOPED_TRACE("crash after " + std::to_string(steps) + " steps");
    World w = world;
    w.ApplyYaml(kRr, "b", kPromoted);
    w.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a", "applyImmediately": true, "node": {"image": "understudy:2"}})");
    w.CrashAfter(steps);
    for (int i = 0; i < 100 && !w.crashed(); ++i) {
      w.Round();
      w.Advance(Milliseconds(100));
    }
    crashed = w.crashed();
    w.RestartOperator();
    ASSERT_TRUE(w.Settle(400));
    EXPECT_EQ(w.Column(kRg, "g", "primary"), "a");
    ExpectIndependent(w, "b");
    for (const char* name : {"a", "b"}) EXPECT_EQ(w.Process(name)->keys, 5u);
  }
}

class LeavingPrimary : public Promote {
 protected:
  // b asked for its Promote while it was not in sync; then the primary fails.
  void GiveTheRoleToB() {
    world.SetInSync("b", false);
    world.Round();
    world.ApplyYaml(kRr, "b", kPromoted);
    ASSERT_TRUE(world.Settle());
    ASSERT_EQ(world.Column(kRr, "b", "pending"), "Promote now");
    world.SetInSync("b", true);
    world.KillProcess("a");
    world.SetInSync("a", false);
    ASSERT_TRUE(world.Settle());
    ASSERT_EQ(world.Column(kRg, "g", "primary"), "b");
  }
};

TEST_F(LeavingPrimary, WhoseWishCameFirstWaitsForTheMemberThatPrimaryClusterIdNames) {
  GiveTheRoleToB();
  EXPECT_EQ(world.Column(kRr, "b", "pending"), "Promote now");
  EXPECT_EQ(world.Reason(kRr, "b", "Accepted"), "Promoting");
  EXPECT_EQ(world.Message(kRr, "b", "Accepted"),
            "waits until a (primaryClusterId), which gets the primary role first, is in sync");
  EXPECT_EQ(world.Truth(kRr, "b", "Stalled"), "False");
  EXPECT_NE(world.Reason(kRg, "g", "Degraded"), "SwitchoverBlocked");
  world.SetInSync("a", true);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "a");
  ExpectIndependent(world, "b");
}

TEST_F(LeavingPrimary, WhoseWishCameFirstAndIsTakenBackKeepsTheRole) {
  GiveTheRoleToB();
  world.ApplyYaml(kRr, "b", kMember);
  world.SetInSync("a", true);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "b");
  EXPECT_EQ(world.Reason(kRr, "b", "Accepted"), "Accepted");
}

TEST_F(LeavingPrimary, DoesNotHandOverForNothingWhenSynchronousReplicasNeedsItAfterwards) {
  GiveTheRoleToB();
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a", "synchronousReplicas": 1, "applyImmediately": true})");
  world.SetInSync("a", true);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "b");
  EXPECT_THAT(world.Message(kRr, "b", "Accepted"), HasSubstr("add a replica or lower synchronousReplicas"));
  world.ApplyYaml(kRr, "c", kMember);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "a");
  ExpectIndependent(world, "b");
}

TEST_F(LeavingPrimary, HandsOverAfterTheNewPodOfItsSuccessorAndNotTwice) {
  GiveTheRoleToB();
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g", "node": {"image": "understudy:2"}})");
  world.SetInSync("a", true);
  ASSERT_TRUE(world.Settle(400));
  EXPECT_EQ(world.Column(kCc, "a", "effectiveImage"), "understudy:2");
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "a");
  EXPECT_EQ(world.Told("SwitchoverStarted"), 1);
  ExpectIndependent(world, "b");
  EXPECT_EQ(world.Process("a")->keys, 5u);
}

// The same value of primaryClusterId again would change nothing.
TEST_F(LeavingPrimary, ThatPrimaryClusterIdDoesNotNameAnyMoreIsTold) {
  world.Annotate(kRg, "g", api::kSwitchoverToAnnotation, "b@" + FormatRfc3339(world.wall()));
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(world.Column(kRg, "g", "primary"), "b");
  world.ApplyYaml(kRr, "b", kPromoted);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "b") << "it asked as a primary";
  EXPECT_EQ(world.Reason(kRr, "b", "Accepted"), "InvalidCacheClusterState");
  EXPECT_EQ(world.Truth(kRr, "b", "Stalled"), "True");
  EXPECT_EQ(world.Message(kRr, "b", "Accepted"),
            "b is the primary of replication group g and can't be promoted out of it; primaryClusterId of g names a already "
            "and moves the role only when it is changed: set annotation cache.understudy.dev/switchover-to of g to "
            "a@<the present time> to switch over first, or set replicationGroupId to g again");
  world.Advance(Seconds(10));
  world.Annotate(kRg, "g", api::kSwitchoverToAnnotation, "a@" + FormatRfc3339(world.wall()));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "a");
  ExpectIndependent(world, "b");
}

TEST_F(LeavingPrimary, WhoseSwitchoverWaitsForItsWindowIsNotToldToAskForOne) {
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "b", "preferredMaintenanceWindow": "sat:02:00-sat:03:00"})");
  world.ApplyYaml(kCc, "a", R"({"promotedFrom": "g", "applyImmediately": true})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "a");
  EXPECT_EQ(world.Message(kCc, "a", "Accepted"),
            "a is the primary of replication group g and can't be promoted out of it before the switchover to b, which "
            "primaryClusterId asks for");
  EXPECT_EQ(world.Truth(kCc, "a", "Accepted"), "False");
  EXPECT_EQ(world.Truth(kCc, "a", "Stalled"), "False");
}

TEST_F(LeavingPrimary, ThatIsTheOnlyNodeIsToldWhatHelpsAndItDoes) {
  World w;
  Make(&w, 0);
  w.ApplyYaml(kCc, "a", kPromoted);
  ASSERT_TRUE(w.Settle());
  EXPECT_EQ(w.Reason(kCc, "a", "Accepted"), "InvalidCacheClusterState");
  EXPECT_EQ(w.Message(kCc, "a", "Accepted"),
            "a is the primary of replication group g and can't be promoted out of it, and no other node stays in it; add a "
            "ReadReplica and switch over to it first, or delete g, which leaves a independent with its data, or set "
            "replicationGroupId to g again");
  World other = w;
  other.ApplyYaml(kRr, "b", kMember);
  ASSERT_TRUE(other.Settle());
  EXPECT_THAT(other.Message(kCc, "a", "Accepted"), HasSubstr("set primaryClusterId of g to another member"));
  other.ApplyYaml(kRg, "g", R"({"primaryClusterId": "b", "applyImmediately": true})");
  ASSERT_TRUE(other.Settle());
  EXPECT_EQ(other.Column(kRg, "g", "primary"), "b");
  EXPECT_EQ(other.Column(kCc, "a", "role"), "standalone");
  w.Delete(kRg, "g");
  ASSERT_TRUE(w.Settle());
  EXPECT_FALSE(w.Exists(kRg, "g"));
  EXPECT_EQ(w.Column(kCc, "a", "role"), "standalone");
  EXPECT_EQ(w.Process("a")->keys, 5u);
  EXPECT_EQ(w.Truth(kCc, "a", "Accepted"), "True");
}

TEST_F(LeavingPrimary, ThatWouldGoWithItsGroupIsNotToldToDeleteIt) {
  World w;
  Make(&w, 0, R"({"primaryClusterId": "a", "deletionPolicy": "Delete"})");
  w.ApplyYaml(kCc, "a", kPromoted);
  ASSERT_TRUE(w.Settle());
  EXPECT_THAT(w.Message(kCc, "a", "Accepted"), Not(HasSubstr("delete")));
  EXPECT_THAT(w.Message(kCc, "a", "Accepted"), HasSubstr("add a ReadReplica"));
}

TEST_F(Promote, WaitsUntilItIsInSyncAndTakingItBackMeanwhileCancelsIt) {
  world.SetInSync("b", false);
  world.Round();
  world.ApplyYaml(kRr, "b", kPromoted);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kRr, "b", "Accepted"), "Promoting");
  EXPECT_EQ(world.Truth(kRr, "b", "Accepted"), "True");
  EXPECT_THAT(world.Message(kRr, "b", "Accepted"), HasSubstr("in sync"));
  EXPECT_EQ(world.Process("b")->role, Role::kReplica);
  EXPECT_EQ(Voters(world), 1u);
  world.ApplyYaml(kRr, "b", kMember);
  world.SetInSync("b", true);
  ASSERT_TRUE(world.Settle());
  ExpectMember(world, "b");
  EXPECT_EQ(world.Reason(kRr, "b", "Accepted"), "Accepted");
  EXPECT_FALSE(world.HadEvent("PromoteStarted"));
  world.SetInSync("b", false);
  world.ApplyYaml(kRr, "b", kPromoted);
  ASSERT_TRUE(world.Settle());
  world.SetInSync("b", true);
  ASSERT_TRUE(world.Settle());
  ExpectIndependent(world, "b");
}

TEST_F(Promote, MembershipThatIsOnlyLostIsNoPromote) {
  world.ApplyYaml(kRr, "b", "{}");
  ASSERT_TRUE(world.Settle());
  ExpectMember(world, "b");
  EXPECT_EQ(world.Reason(kRr, "b", "Accepted"), "MembershipLost");
  world.ApplyYaml(kRr, "b", R"({"promotedFrom": "other"})");
  ASSERT_TRUE(world.Settle());
  ExpectMember(world, "b");
  EXPECT_EQ(world.Reason(kRr, "b", "Accepted"), "MembershipLost");
  // promotedFrom taken back while it waits: the same.
  world.SetInSync("b", false);
  world.ApplyYaml(kRr, "b", kPromoted);
  ASSERT_TRUE(world.Settle());
  world.ApplyYaml(kRr, "b", "{}");
  world.SetInSync("b", true);
  ASSERT_TRUE(world.Settle());
  ExpectMember(world, "b");
  EXPECT_EQ(world.Reason(kRr, "b", "Accepted"), "MembershipLost");
  EXPECT_THAT(world.Message(kRr, "b", "Accepted"), HasSubstr("promotedFrom to g"));
}

TEST_F(Promote, AVoterThatSynchronousReplicasNeedsWaitsForAnother) {
  World w;
  Make(&w, 1, R"({"primaryClusterId": "a", "synchronousReplicas": 1, "applyImmediately": true})");
  w.ApplyYaml(kRr, "b", kPromoted);
  ASSERT_TRUE(w.Settle());
  ExpectMember(w, "b");
  EXPECT_THAT(w.Message(kRr, "b", "Accepted"), HasSubstr("lower synchronousReplicas"));
  EXPECT_EQ(w.PodLabel("b", api::kReaderLabel), "true") << "it serves as long as it stays";
  w.ApplyYaml(kRr, "c", kMember);
  ASSERT_TRUE(w.Settle());
  ExpectIndependent(w, "b");
  EXPECT_EQ(Voters(w), 1u);
  EXPECT_EQ(w.Truth(kRg, "g", "Ready"), "True");
}

// The process before its last one is listed beside it while nothing proves that it has ended: that is one member, which
// is not let go and called back in turns.
TEST_F(Promote, AVoterThatSynchronousReplicasNeedsIsOneAlsoWithTwoProcesses) {
  World w;
  Make(&w, 2, R"({"primaryClusterId": "a", "synchronousReplicas": 2, "applyImmediately": true})");
  w.ApplyYaml(kRr, "b", kPromoted);
  ASSERT_TRUE(w.Settle());
  ASSERT_THAT(w.Message(kRr, "b", "Accepted"), HasSubstr("lower synchronousReplicas"));
  w.kubelet_tells_ends = false;
  w.Delete("Pod", "b-0");
  size_t most = 0;
  w.CrashAfter(200);  // an operator that writes without end
  for (int i = 0; i < 100; ++i) {
    w.Round();
    most = std::max(most, Voters(w));
    w.Advance(Milliseconds(100));
  }
  ASSERT_FALSE(w.crashed());
  EXPECT_EQ(most, 3U);
  ExpectMember(w, "b");
  EXPECT_THAT(w.Message(kRr, "b", "Accepted"), HasSubstr("lower synchronousReplicas"));
}

TEST_F(Promote, TwoAtOnceGetDataSetIdsOfTheirOwn) {
  World w;
  Make(&w, 2);
  w.ApplyYaml(kRr, "b", kPromoted);
  w.ApplyYaml(kRr, "c", kPromoted);
  ASSERT_TRUE(w.Settle());
  ExpectIndependent(w, "b");
  ExpectIndependent(w, "c");
  EXPECT_NE(w.Process("b")->dataset, w.Process("c")->dataset);
}

TEST_F(Promote, OnAnEmptyClusterTheManifestsGiveAnEmptyIndependentClusterAndTheEldestMemberIsPrimary) {
  World w;
  w.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a", "applyImmediately": true})");
  w.ApplyYaml(kCc, "a", kPromoted);
  w.ApplyYaml(kRr, "p", kPromoted);
  ASSERT_TRUE(w.Settle());
  EXPECT_EQ(w.Column(kCc, "a", "role"), "standalone");
  EXPECT_EQ(w.Column(kRr, "p", "role"), "standalone");
  EXPECT_EQ(w.Process("p")->keys, 0u);
  EXPECT_EQ(w.Reason(kRg, "g", "Ready"), "CacheClusterNotFound");
  EXPECT_THAT(w.Message(kRg, "g", "Ready"), HasSubstr("promoted out of the group"));
  EXPECT_EQ(w.Truth(kRg, "g", "Accepted"), "True");
  w.ApplyYaml(kRr, "b", kMember);
  w.ApplyYaml(kRr, "c", kMember);
  ASSERT_TRUE(w.Settle());
  EXPECT_EQ(w.Column(kRg, "g", "primary"), "b");
  EXPECT_EQ(w.Column(kRg, "g", "membersReady"), "2/2");
  EXPECT_EQ(w.Truth(kRg, "g", "Degraded"), "False");
  EXPECT_EQ(w.Column(kCc, "a", "role"), "standalone");
  EXPECT_FALSE(w.HadEvent("PromoteComplete"));
  w.KillProcess("p");  // it lives on by itself
  ASSERT_TRUE(w.Settle());
  EXPECT_EQ(w.Column(kRr, "p", "role"), "standalone");
}

TEST_F(Promote, OfWhatADeletedGroupLeftNeedsNobodyToBeInSyncWith) {
  world.Delete(kRg, "g");
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(world.Process("b")->role, Role::kReplica);
  EXPECT_THAT(world.Message(kRr, "b", "Ready"), HasSubstr("promotedFrom: g"));
  const std::string dataset = world.Process("b")->dataset;
  world.ApplyYaml(kRr, "b", kPromoted);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Process("b")->role, Role::kStandalone);
  EXPECT_EQ(world.Process("b")->keys, 5u);
  EXPECT_NE(world.Process("b")->dataset, dataset);
  EXPECT_EQ(world.Column(kRr, "b", "phase"), "available");
  EXPECT_FALSE(world.HadEvent("DataLost"));
}

TEST_F(Promote, AProcessThatEndsBeforeItStandsAloneGoesBackForTheDataAndIsPromotedThen) {
  world.ApplyYaml(kRr, "b", kPromoted);
  // Up to the write that makes it independent; then its process ends.
  for (int i = 0; i < 40 && !world.Column(kRr, "b", "groupUid").empty(); ++i) world.OneStep();
  ASSERT_EQ(world.Column(kRr, "b", "groupUid"), "");
  ASSERT_EQ(world.Process("b")->role, Role::kReplica);
  world.KillProcess("b");
  ASSERT_TRUE(world.Settle());
  EXPECT_TRUE(world.HadEvent("PromoteStopped"));
  ExpectIndependent(world, "b");
  EXPECT_EQ(world.Process("b")->keys, 5u);
  EXPECT_FALSE(world.HadEvent("DataLost"));
}

TEST_F(Promote, AReplicaThatLostItsDataSetBeforeItsOrderGoesBackAndNeverStartsEmpty) {
  world.ApplyYaml(kRr, "b", kPromoted);
  for (int i = 0; i < 40 && !world.Column(kRr, "b", "groupUid").empty(); ++i) world.OneStep();
  world.Process("b")->complete = false;  // a full copy from the primary has begun
  const Plan plan = world.LonePlan(kRr, "b");
  ASSERT_EQ(plan.persist.size(), 1u);
  EXPECT_EQ(JsonString(plan.persist[0].status, "groupUid"), UidOf(world, kRg, "g"));
  EXPECT_TRUE(plan.orders.empty());
}

TEST_F(Promote, AFailoverInTheMiddleGoesFirstAndTheNewPrimaryIsNotPromotedAway) {
  world.ApplyYaml(kRr, "b", kPromoted);
  world.KillProcess("a");  // before anything was done about it
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "b");
  EXPECT_EQ(world.Process("b")->keys, 5u);
  EXPECT_EQ(world.Reason(kRr, "b", "Accepted"), "InvalidCacheClusterState");
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "2/2");
}

// Crash of the operator after each single step; then, with nobody's memory, one of several things happens.
enum class Then { kGoesOn, kTakenBack, kPrimaryDies, kNodeDies };

class PromoteCrash : public Promote, public ::testing::WithParamInterface<Then> {};

TEST_P(PromoteCrash, EndsAtAMemberOrAnIndependentNode) {
  World base;
  Make(&base, 2);
  bool crashed = true;
  int independent = 0, members = 0;
  for (int steps = 0; crashed; ++steps) {
    ASSERT_LT(steps, 60);
    SCOPED_TRACE("crash after " + std::to_string(steps) + " steps");
    World w = base;
    w.ApplyYaml(kRr, "b", kPromoted);
    w.CrashAfter(steps);
    for (int i = 0; i < 20 && !w.crashed(); ++i) w.Round();
    crashed = w.crashed();
    if (GetParam() == Then::kTakenBack) w.ApplyYaml(kRr, "b", kMember);
    if (GetParam() == Then::kPrimaryDies) w.KillProcess("a");
    if (GetParam() == Then::kNodeDies) w.KillProcess("b");
    w.RestartOperator();
    ASSERT_TRUE(w.Settle(400));
    EXPECT_EQ(w.Truth(kRg, "g", "Ready"), "True");
    const bool started = w.HadEvent("PromoteStarted");
    if (GetParam() == Then::kTakenBack) {
      // Refused to join again: it may have been written to.
      if (w.Process("b")->role == Role::kStandalone) {
        EXPECT_TRUE(started);
        EXPECT_EQ(w.Reason(kRr, "b", "Accepted"), "WouldDiscardData");
        EXPECT_EQ(w.Process("b")->group, UidOf(w, kRr, "b"));
        EXPECT_EQ(w.Process("b")->keys, 5u);
        ++independent;
      } else {
        ExpectMember(w, "b");
        EXPECT_EQ(w.Column(kRg, "g", "membersReady"), "3/3");
        ++members;
      }
      continue;
    }
    if (w.Column(kRg, "g", "primary") == "b") {
      EXPECT_EQ(GetParam(), Then::kPrimaryDies);
      EXPECT_EQ(w.Reason(kRr, "b", "Accepted"), "InvalidCacheClusterState");
      ++members;
      continue;
    }
    EXPECT_TRUE(IsIndependent(w, "b"));
    ++independent;
    // Its data is the group's, unless its life alone had begun when it ended.
    const bool lost = GetParam() == Then::kNodeDies && w.HadEvent("DataLost");
    EXPECT_EQ(w.Process("b")->keys, lost ? 0u : 5u);
    EXPECT_EQ(w.Process(w.Column(kRg, "g", "primary"))->keys, 5u);
  }
  EXPECT_GT(independent, 0);
  EXPECT_TRUE(members > 0 || GetParam() != Then::kTakenBack);
}

INSTANTIATE_TEST_SUITE_P(After, PromoteCrash,
                         ::testing::Values(Then::kGoesOn, Then::kTakenBack, Then::kPrimaryDies, Then::kNodeDies));

TEST(PromoteClaim, AGroupThatNamesANodeOnItsWayOutTakesItOnceItStandsAlone) {
  World world;
  world.ApplyYaml("CacheCluster", "a", R"({"replicationGroupId": "g"})");
  world.ApplyYaml("ReplicationGroup", "g", R"({"primaryClusterId": "a", "applyImmediately": true})");
  world.ApplyYaml("ReadReplica", "b", R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world.Settle());
  world.ApplyYaml("ReplicationGroup", "k", R"({"primaryClusterId": "b"})");
  ASSERT_TRUE(world.Settle());
  world.ApplyYaml("ReadReplica", "b", R"({"promotedFrom": "g"})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Process("b")->group, JsonString((*world.Get("ReplicationGroup", "k"))["metadata"], "uid"));
  EXPECT_EQ(world.Process("b")->role, control::Role::kPrimary);
  EXPECT_EQ(world.Column("ReplicationGroup", "k", "primary"), "b");
}

TEST(PromoteClaim, ADeletedMemberThatIsNeededAsVoterSaysSo) {
  World world;
  world.ApplyYaml("CacheCluster", "a", R"({"replicationGroupId": "g"})");
  world.ApplyYaml("ReplicationGroup", "g", R"({"primaryClusterId": "a", "synchronousReplicas": 1})");
  world.ApplyYaml("ReadReplica", "b", R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world.Settle());
  world.Delete("ReadReplica", "b");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason("ReadReplica", "b", "Accepted"), "Deleting");
  EXPECT_THAT(world.Message("ReadReplica", "b", "Accepted"), ::testing::HasSubstr("synchronousReplicas is 1"));
  world.ApplyYaml("ReadReplica", "c", R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world.Settle());
  EXPECT_FALSE(world.Exists("ReadReplica", "b"));
}

}  // namespace
}  // namespace understudy::plan
