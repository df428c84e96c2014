// Life of a group as its users see it. The failover machine is the real one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "operator/plan/observation.h"
#include "tests/unit/operator/plan/world.h"

namespace understudy::plan {
namespace {

using ::testing::HasSubstr;

void ExpectExample(World* world) {
  EXPECT_EQ(world->Column(kCc, "exampleredis", "phase"), "available");
  EXPECT_EQ(world->Column(kCc, "exampleredis", "role"), "primary");
  EXPECT_EQ(world->Column(kCc, "exampleredis", "replicationGroupId"), "examplereplication");
  EXPECT_EQ(world->Column(kCc, "exampleredis", "lag"), "");
  EXPECT_EQ(world->Column(kRr, "exampleredis-read-1", "phase"), "available");
  EXPECT_EQ(world->Column(kRr, "exampleredis-read-1", "role"), "replica");
  EXPECT_EQ(world->Column(kRr, "exampleredis-read-1", "availabilityZone"), "zone-a");
  EXPECT_EQ(world->Column(kRr, "exampleredis-read-1", "lag"), "0B");
  EXPECT_EQ(world->Column(kRg, "examplereplication", "phase"), "available");
  EXPECT_EQ(world->Column(kRg, "examplereplication", "primary"), "exampleredis");
  EXPECT_EQ(world->Column(kRg, "examplereplication", "membersReady"), "2/2");
  EXPECT_EQ(world->Column(kRg, "examplereplication", "automaticFailover"), "enabled");
  EXPECT_EQ(world->Truth(kRg, "examplereplication", "Ready"), "True");
  EXPECT_EQ(world->Truth(kRg, "examplereplication", "Degraded"), "False");
  EXPECT_EQ(world->EndpointOf("examplereplication"), "exampleredis-0");
}

TEST(Group, TheDocumentedExampleWorksInAnyOrder) {
  std::vector<int> order = {0, 1, 2};
  do {
    World world;
    for (int step : order) {
      if (step == 0) world.ApplyYaml(kCc, "exampleredis", "{}");
      if (step == 1) {
        world.ApplyYaml(kRg, "examplereplication",
                        R"({"primaryClusterId": "exampleredis", "description": "examplereplication"})");
      }
      if (step == 2) {
        world.ApplyYaml(kRr, "exampleredis-read-1",
                        R"({"replicationGroupId": "examplereplication", "availabilityZone": "zone-a"})");
      }
      ASSERT_TRUE(world.Settle());
    }
    ExpectExample(&world);
    EXPECT_EQ(world.Reason(kCc, "exampleredis", "Accepted"), "MembershipNotDeclared");
    EXPECT_EQ(world.Truth(kCc, "exampleredis", "Accepted"), "True");
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST(Group, WorksWhenAllIsAppliedAtOnceAndTellsSo) {
  World world;
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  ExpectExample(&world);
  EXPECT_TRUE(world.HadEvent("ReplicationGroupCreated"));
  EXPECT_TRUE(world.HadEvent("CacheNodeAvailable"));
  EXPECT_EQ(world.PodLabel("exampleredis", api::kRoleLabel), "primary");
  EXPECT_EQ(world.PodLabel("exampleredis", api::kGroupLabel), "examplereplication");
  EXPECT_EQ(world.PodLabel("exampleredis", api::kReaderLabel), "");
  EXPECT_EQ(world.PodLabel("exampleredis-read-1", api::kReaderLabel), "true");
}

TEST(Group, ASteadyGroupIsWrittenNothingWhateverItsOffsetsDo) {
  World world;
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  const int before = world.writes();
  for (int i = 0; i < 200; ++i) {
    world.Process("exampleredis")->offset += 1'000'000;
    world.Round();
    world.Advance(Milliseconds(500));
  }
  EXPECT_EQ(world.writes(), before);
  // The same manifests applied again change nothing either.
  ApplyExample(&world);
  world.Round();
  EXPECT_EQ(world.writes(), before);
}

TEST(Group, ANodeWhoseGroupIsMissingGetsNoPodAndSaysSo) {
  World world;
  world.ApplyYaml(kRr, "r1", R"({"replicationGroupId": "later"})");
  ASSERT_TRUE(world.Settle());
  EXPECT_FALSE(world.Exists("StatefulSet", "r1"));
  EXPECT_EQ(world.Reason(kRr, "r1", "Ready"), "ReplicationGroupNotFoundFault");
  EXPECT_THAT(world.Message(kRr, "r1", "Ready"), HasSubstr("waiting for replication group later"));
  EXPECT_EQ(world.Truth(kRr, "r1", "Stalled"), "False");
}

TEST(Group, AGroupWhosePrimaryIsMissingWaitsForIt) {
  World world;
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "later"})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kRg, "g", "Ready"), "CacheClusterNotFound");
  EXPECT_EQ(world.Column(kRg, "g", "phase"), "creating");
  world.ApplyYaml(kCc, "later", R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "phase"), "available");
  EXPECT_EQ(world.Reason(kCc, "later", "Accepted"), "Accepted");
}

TEST(Group, WithoutPrimaryClusterIdTheOperatorMakesTheFirstNodeAndThePool) {
  World world;
  world.ApplyYaml(kRg, "g", R"({"replicas": 2})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "3/3");
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "g-001");
  EXPECT_EQ(world.Column(kRr, "g-002", "role"), "replica");
  EXPECT_EQ(world.Column(kRr, "g-003", "role"), "replica");
  EXPECT_EQ(JsonInt((*world.Get(kRg, "g"))["status"], "replicas"), 2);
  EXPECT_EQ(world.Column(kRg, "g", "selector"), "cache.understudy.dev/pool=g");
  EXPECT_EQ(world.PodLabel("g-002", api::kPoolLabel), "g");
  EXPECT_EQ(world.PodLabel("g-001", api::kPoolLabel), "");
  EXPECT_EQ(JsonInt((*world.Get("PodDisruptionBudget", "g"))["spec"], "maxUnavailable"), 1);
  world.ApplyYaml(kRg, "g", R"({"replicas": 1})");
  ASSERT_TRUE(world.Settle());
  EXPECT_FALSE(world.Exists(kRr, "g-003"));
  EXPECT_FALSE(world.Exists("StatefulSet", "g-003"));
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "2/2");
}

TEST(Group, TheSeventhNodeIsRefusedAndComesInWhenOneLeaves) {
  World world;
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "n1"})");
  for (int i = 1; i <= 7; ++i) {
    world.ApplyYaml(i == 1 ? kCc : kRr, "n" + std::to_string(i), R"({"replicationGroupId": "g"})");
  }
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "6/6");
  EXPECT_EQ(world.Reason(kRr, "n7", "Accepted"), "NodeQuotaForClusterExceeded");
  EXPECT_EQ(world.Truth(kRr, "n7", "Stalled"), "False") << "no edit is needed";
  EXPECT_EQ(world.Column(kRr, "n7", "phase"), "creating") << "it comes in when there is room";
  EXPECT_FALSE(world.Exists("StatefulSet", "n7"));
  world.Delete(kRr, "n3");
  ASSERT_TRUE(world.Settle());
  EXPECT_FALSE(world.Exists(kRr, "n3"));
  EXPECT_EQ(world.Column(kRr, "n7", "phase"), "available");
}

TEST(Group, APoolThatHasNoRoomBesideTheNodesOfUsersSaysSo) {
  World world;
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a", "replicas": 4})");
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g"})");
  world.ApplyYaml(kRr, "b", R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kRg, "g", "Accepted"), "Accepted");
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a", "replicas": 5})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "6/6");
  EXPECT_EQ(world.Reason(kRg, "g", "Accepted"), "NodeQuotaForClusterExceeded");
  EXPECT_EQ(world.Message(kRg, "g", "Accepted"),
            "replicas is 5, and 1 of them has no place: a replication group has at most 6 nodes, and nodes that are not of "
            "the pool take the others; lower replicas, or delete one of those nodes");
  EXPECT_EQ(world.Truth(kRg, "g", "Stalled"), "False");
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "True");
  EXPECT_EQ(world.Told("NodeQuotaForClusterExceeded"), 1);
  world.Delete(kRr, "b");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "6/6");
  EXPECT_EQ(world.Reason(kRg, "g", "Accepted"), "Accepted");
}

TEST(Group, ANodeThatIsBehindForAMomentIsNotTakenForANewOne) {
  World world;
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  const int added = world.Told("CacheNodeAvailable");
  world.SetInSync("exampleredis-read-1", false);
  world.Round();
  EXPECT_EQ(world.Column(kRr, "exampleredis-read-1", "phase"), "modifying");
  world.SetInSync("exampleredis-read-1", true);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRr, "exampleredis-read-1", "phase"), "available");
  EXPECT_EQ(world.Told("CacheNodeAvailable"), added);
  EXPECT_FALSE(world.HadEvent("DemoteComplete"));
}

TEST(Group, ADeletedReplicaLeavesTheVotersFirst) {
  World world;
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ((*world.Get(kRg, "examplereplication"))["status"]["configurations"][0]["voters"].size(), 1u);
  world.Delete(kRr, "exampleredis-read-1");
  ASSERT_TRUE(world.Settle());
  EXPECT_FALSE(world.Exists(kRr, "exampleredis-read-1"));
  EXPECT_FALSE(world.Exists("StatefulSet", "exampleredis-read-1"));
  EXPECT_FALSE(world.Exists("Service", "exampleredis-read-1"));
  EXPECT_FALSE(world.Exists("Service", "exampleredis-read-1-node"));
  EXPECT_EQ((*world.Get(kRg, "examplereplication"))["status"]["configurations"][0]["voters"].size(), 0u);
  EXPECT_EQ(world.Column(kRg, "examplereplication", "membersReady"), "1/1");
  EXPECT_EQ(world.Column(kRg, "examplereplication", "automaticFailover"), "enabling");
  EXPECT_FALSE(world.Exists("PodDisruptionBudget", "examplereplication"));
  // Nobody else reads it: the primary serves the reader endpoint.
  EXPECT_EQ(world.PodLabel("exampleredis", api::kReaderLabel), "true");
}

TEST(Group, ADeletedPrimaryHandsOverFirst) {
  World world;
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  world.Delete(kCc, "exampleredis");
  ASSERT_TRUE(world.Settle());
  EXPECT_FALSE(world.Exists(kCc, "exampleredis"));
  EXPECT_EQ(world.Column(kRg, "examplereplication", "primary"), "exampleredis-read-1");
  EXPECT_EQ(world.EndpointOf("examplereplication"), "exampleredis-read-1-0");
  EXPECT_EQ(world.Column(kRr, "exampleredis-read-1", "role"), "primary");
  const Json& history = (*world.Get(kRg, "examplereplication"))["status"]["failoverHistory"];
  ASSERT_EQ(history.size(), 1u);
  EXPECT_EQ(JsonString(history[0], "kind"), "switchover");
  // The manifest applied again brings it back, empty, as a replica.
  world.ApplyYaml(kCc, "exampleredis", "{}");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kCc, "exampleredis", "role"), "replica");
  EXPECT_EQ(world.Column(kRg, "examplereplication", "primary"), "exampleredis-read-1");
}

TEST(Group, TheLastNodeGoesWithoutBeingAsked) {
  World world;
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g"})");
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a"})");
  ASSERT_TRUE(world.Settle());
  world.Delete(kCc, "a");
  ASSERT_TRUE(world.Settle());
  EXPECT_FALSE(world.Exists(kCc, "a"));
  EXPECT_FALSE(world.Exists("StatefulSet", "a"));
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "False");
}

TEST(Group, AfterAFailoverTheSameManifestsChangeNothing) {
  World world;
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  world.KillProcess("exampleredis");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "examplereplication", "primary"), "exampleredis-read-1");
  EXPECT_EQ(world.EndpointOf("examplereplication"), "exampleredis-read-1-0");
  EXPECT_EQ(world.Column(kCc, "exampleredis", "role"), "replica");
  EXPECT_EQ(world.Column(kRg, "examplereplication", "membersReady"), "2/2");
  const int before = world.writes();
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.writes(), before);
}

TEST(Group, AnEditOfPrimaryClusterIdIsASwitchoverOnceForADeclaredPrimary) {
  World world;
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  const char* other = R"({"primaryClusterId": "exampleredis-read-1", "applyImmediately": true})";
  world.ApplyYaml(kRg, "examplereplication", other);
  ASSERT_TRUE(world.Settle());
  // exampleredis is only claimed: the edit waits until its membership is declared.
  EXPECT_EQ(world.Column(kRg, "examplereplication", "primary"), "exampleredis");
  EXPECT_EQ(world.Reason(kRg, "examplereplication", "Degraded"), "SwitchoverBlocked");
  world.ApplyYaml(kCc, "exampleredis", R"({"replicationGroupId": "examplereplication"})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "examplereplication", "primary"), "exampleredis-read-1");
  EXPECT_EQ(world.Column(kRg, "examplereplication", "handledPrimaryClusterId"), "exampleredis-read-1");
  EXPECT_EQ(world.Truth(kRg, "examplereplication", "Degraded"), "False");
  world.KillProcess("exampleredis-read-1");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "examplereplication", "primary"), "exampleredis");
}

TEST(Group, DeletedItLeavesItsPrimaryStandingAloneWithTheDataAndTheOthersReadOnly) {
  World world;
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  const std::string dataset = world.Process("exampleredis")->dataset;
  const std::string incarnation = world.Process("exampleredis")->incarnation;
  world.Delete(kRg, "examplereplication");
  ASSERT_TRUE(world.Settle());
  EXPECT_FALSE(world.Exists(kRg, "examplereplication"));
  for (const char* service : {"examplereplication", "examplereplication-reader"}) {
    EXPECT_FALSE(world.Exists("Service", service)) << service;
  }
  EXPECT_FALSE(world.Exists("PodDisruptionBudget", "examplereplication"));
  EXPECT_EQ(world.Column(kCc, "exampleredis", "role"), "standalone");
  EXPECT_EQ(world.Column(kCc, "exampleredis", "phase"), "available");
  EXPECT_EQ(world.Column(kCc, "exampleredis", "dataset"), dataset);
  EXPECT_EQ(world.Process("exampleredis")->incarnation, incarnation);
  EXPECT_EQ(world.Process("exampleredis")->role, control::Role::kStandalone);
  EXPECT_EQ(world.Column(kRr, "exampleredis-read-1", "role"), "replica");
  EXPECT_EQ(world.Reason(kRr, "exampleredis-read-1", "Ready"), "ReplicationGroupNotFoundFault");
  EXPECT_TRUE(world.Exists("StatefulSet", "exampleredis-read-1"));
  EXPECT_FALSE(api::ParseMeta(*world.Get(kCc, "exampleredis")).HasFinalizer());
  EXPECT_FALSE(api::ParseMeta(*world.Get(kRr, "exampleredis-read-1")).HasFinalizer());
  // Back again, the group adopts what is there.
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  ExpectExample(&world);
  EXPECT_EQ(world.Column(kRg, "examplereplication", "dataset"), dataset);
}

TEST(Group, DeletedItHandsOverFromANodeThatGoesWithIt) {
  World world;
  world.ApplyYaml(kRg, "g", "{}");
  world.ApplyYaml(kRr, "mine", R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(world.Column(kRg, "g", "primary"), "g-001");
  const std::string dataset = world.Process("mine")->dataset;
  world.Delete(kRg, "g");
  ASSERT_TRUE(world.Settle());
  EXPECT_FALSE(world.Exists(kRg, "g"));
  EXPECT_FALSE(world.Exists(kCc, "g-001"));
  EXPECT_FALSE(world.Exists("StatefulSet", "g-001"));
  EXPECT_EQ(world.Column(kRr, "mine", "role"), "standalone");
  EXPECT_EQ(world.Process("mine")->dataset, dataset);
}

TEST(Group, DeletedWithPolicyDeleteItTakesItsMembersAlong) {
  World world;
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  world.ApplyYaml(kRg, "examplereplication",
                  R"({"primaryClusterId": "exampleredis", "deletionPolicy": "Delete"})");
  world.Delete(kRg, "examplereplication");
  ASSERT_TRUE(world.Settle());
  for (const auto& [kind, name] : {std::pair{kRg, "examplereplication"}, {kCc, "exampleredis"},
                                   {kRr, "exampleredis-read-1"}, {"StatefulSet", "exampleredis"},
                                   {"Service", "exampleredis-node"}}) {
    EXPECT_FALSE(world.Exists(kind, name)) << kind << " " << name;
  }
}

TEST(Group, AnHeirThatDiesBeforeItStandsAloneDoesNotTakeTheDataAlong) {
  World world;
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  const std::string dataset = world.Process("exampleredis")->dataset;
  world.Delete(kRg, "examplereplication");
  // One plan chooses the heir; then its process ends.
  Plan plan = world.GroupPlan("examplereplication");
  ASSERT_EQ(plan.persist.size(), 1u);
  ASSERT_EQ(JsonString(plan.persist[0].status["heir"], "name"), "exampleredis");
  (*world.Get(kRg, "examplereplication"))["status"] = plan.persist[0].status;
  world.Touch(world.Get(kRg, "examplereplication"));
  world.KillProcess("exampleredis");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRr, "exampleredis-read-1", "role"), "standalone");
  EXPECT_EQ(world.Process("exampleredis-read-1")->dataset, dataset);
  EXPECT_FALSE(world.Exists(kRg, "examplereplication"));
}

TEST(Group, AnHeirThatHasGoneOnToAnotherGroupIsLeftThere) {
  World world;
  ApplyExample(&world);
  world.ApplyYaml(kCc, "p", R"({"replicationGroupId": "h"})");
  world.ApplyYaml(kRg, "h", R"({"primaryClusterId": "p"})");
  ASSERT_TRUE(world.Settle());
  world.Delete(kRg, "examplereplication");
  // The heir stood alone and is a member of h by now; the group that is being deleted has not looked since.
  Json& group = *world.Get(kRg, "examplereplication");
  group["status"]["heir"] = {{"name", "exampleredis"}, {"incarnation", world.Process("exampleredis")->incarnation}};
  world.Touch(&group);
  Json& node = *world.Get(kCc, "exampleredis");
  const std::string h = JsonString((*world.Get(kRg, "h"))["metadata"], "uid");
  node["spec"]["replicationGroupId"] = "h";
  node["status"]["groupUid"] = h;
  world.Touch(&node);
  const Plan plan = world.GroupPlan("examplereplication");
  for (const StatusWrite& write : plan.persist) EXPECT_NE(write.ref.name, "exampleredis");
  EXPECT_TRUE(plan.persist.empty());
}

TEST(Group, OfTwoKindsOfOneNameTheOneThatHasTheProcessInherits) {
  World world;
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  world.ApplyYaml(kRr, "exampleredis", R"({"replicationGroupId": "examplereplication"})");
  world.ApplyYaml(kCc, "exampleredis-read-1", R"({"replicationGroupId": "examplereplication"})");
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(world.Reason(kCc, "exampleredis-read-1", "Accepted"), "NameConflict");
  // Its primary is a ReadReplica, which the views name after the CacheCluster of its name.
  world.Annotate(kRg, "examplereplication", "cache.understudy.dev/switchover-to",
                 "exampleredis-read-1@" + FormatRfc3339(world.wall()));
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(world.Column(kRg, "examplereplication", "primary"), "exampleredis-read-1");
  world.Delete(kRg, "examplereplication");
  ASSERT_TRUE(world.Settle());
  EXPECT_FALSE(world.Exists(kRg, "examplereplication"));
  EXPECT_EQ(world.Column(kRr, "exampleredis-read-1", "role"), "standalone");
}

TEST(Group, DeletesWithItselfOnlyWhatItHasTakenIn) {
  World world;
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "old"})");
  world.ApplyYaml(kRg, "old", R"({"primaryClusterId": "a"})");
  world.ApplyYaml(kRr, "b", R"({"replicationGroupId": "old"})");
  ASSERT_TRUE(world.Settle());
  world.Delete(kRg, "old");
  ASSERT_TRUE(world.Settle());
  ASSERT_FALSE(world.Exists(kRg, "old"));
  const std::string left = world.Column(kRr, "b", "groupUid");
  ASSERT_NE(left, "");  // keeps its data, read-only
  world.Process("b")->keys = 3;
  // It asks for another group, which does not get it, since its data may not be dropped; and which is deleted.
  world.ApplyYaml(kRg, "new", R"({"primaryClusterId": "c", "deletionPolicy": "Delete"})");
  world.ApplyYaml(kCc, "c", R"({"replicationGroupId": "new"})");
  ASSERT_TRUE(world.Settle());
  world.ApplyYaml(kRr, "b", R"({"replicationGroupId": "new"})");
  (void)world.Settle(20);
  ASSERT_EQ(world.Column(kRr, "b", "groupUid"), left);
  world.Delete(kRg, "new");
  (void)world.Settle(200);
  EXPECT_FALSE(world.Exists(kRg, "new"));
  EXPECT_FALSE(world.Exists(kCc, "c"));
  EXPECT_TRUE(world.Exists(kRr, "b"));
}

TEST(Group, APodThatNoNodeTakesIsExplainedInTheSchedulersWords) {
  World world;
  world.SetUnschedulable("exampleredis-read-1", "0/3 nodes are available: no zone-x");
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "examplereplication", "phase"), "available");
  EXPECT_EQ(world.Column(kRg, "examplereplication", "membersReady"), "1/2");
  EXPECT_EQ(world.Reason(kRr, "exampleredis-read-1", "Ready"), "InsufficientCacheClusterCapacity");
  EXPECT_THAT(world.Message(kRr, "exampleredis-read-1", "Ready"), HasSubstr("no zone-x"));
  EXPECT_EQ(world.Told("InsufficientCacheClusterCapacity", "exampleredis-read-1"), 1);
  EXPECT_EQ(world.Reason(kRg, "examplereplication", "Degraded"), "MemberMissing");
  EXPECT_EQ(world.Truth(kRg, "examplereplication", "ZoneSpreadSatisfied"), "False");
  // A member that never started must not block every drain.
  EXPECT_EQ(JsonInt((*world.Get("PodDisruptionBudget", "examplereplication"))["spec"], "maxUnavailable"), 2);
  world.SetUnschedulable("exampleredis-read-1", "");
  ASSERT_TRUE(world.Settle());
  ExpectExample(&world);
  EXPECT_EQ(JsonInt((*world.Get("PodDisruptionBudget", "examplereplication"))["spec"], "maxUnavailable"), 1);
}

TEST(Group, EndpointsOfOthersBehindThePrimaryServiceAreReported) {
  World world;
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  world.Put("EndpointSlice", "strange",
            {{"metadata", {{"labels", {{"kubernetes.io/service-name", "examplereplication"}}}}},
             {"addressType", "IPv4"}});
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kRg, "examplereplication", "Degraded"), "ForeignEndpoints");
  EXPECT_THAT(world.Message(kRg, "examplereplication", "Degraded"), HasSubstr("strange"));
  EXPECT_TRUE(world.HadEvent("ForeignEndpoints"));
  world.Erase("EndpointSlice", "strange");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Truth(kRg, "examplereplication", "Degraded"), "False");
}

TEST(Group, WhatOthersChangeIsPutBackWithOneWrite) {
  World world;
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  const int before = world.writes();
  Json* service = world.Get("Service", "examplereplication-reader");
  (*service)["spec"]["selector"] = {{"a", "b"}};
  world.Touch(service);
  Json* set = world.Get("StatefulSet", "exampleredis");
  (*set)["spec"]["replicas"] = 3;
  world.Touch(set);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.writes(), before + 2);
  EXPECT_EQ((*world.Get("StatefulSet", "exampleredis"))["spec"]["replicas"], 1);
}

TEST(Group, AMissingChildIsMadeAgain) {
  World world;
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  world.Erase("Service", "examplereplication");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.EndpointOf("examplereplication"), "exampleredis-0");
  ExpectExample(&world);
}

TEST(Group, AReplicaThatFallsBehindLeavesTheReaderAfterItsTimeAndShowsAPowerOfTen) {
  World world;
  ApplyExample(&world);
  world.ApplyYaml(kRr, "r2", R"({"replicationGroupId": "examplereplication"})");
  ASSERT_TRUE(world.Settle());
  world.SetInSync("r2", false);
  world.Process("exampleredis")->offset += 1234;
  world.Round();
  EXPECT_EQ(world.PodLabel("r2", api::kReaderLabel), "true");
  EXPECT_EQ(world.Reason(kRr, "r2", "InSync"), "Lagging");
  world.Advance(Seconds(11));
  world.Round();
  EXPECT_EQ(world.PodLabel("r2", api::kReaderLabel), "");
  EXPECT_EQ(world.Column(kRr, "r2", "lag"), "10kB");
  // The column moves at most once in ten seconds.
  world.Process("exampleredis")->offset += 100'000'000;
  world.Advance(Seconds(1));
  world.Round();
  EXPECT_EQ(world.Column(kRr, "r2", "lag"), "10kB");
  world.Advance(Seconds(10));
  world.Round();
  EXPECT_EQ(world.Column(kRr, "r2", "lag"), "1GB");
  world.SetInSync("r2", true);
  world.Advance(Seconds(11));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRr, "r2", "lag"), "0B");
  EXPECT_EQ(world.PodLabel("r2", api::kReaderLabel), "true");
}

TEST(Group, ANewReplicaDoesNotMakeTheGroupUnready) {
  World world;
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  const auto transition = [&] {
    return api::ParseConditions((*world.Get(kRg, "examplereplication"))["status"]["conditions"])
        .Find(api::kReady)->last_transition;
  };
  const WallTime before = transition();
  world.ApplyYaml(kRr, "r2", R"({"replicationGroupId": "examplereplication"})");
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ((*world.Get(kRg, "examplereplication"))["status"]["configurations"][0]["voters"].size(), 2u);
  EXPECT_EQ(transition(), before);
  EXPECT_EQ(world.Column(kRg, "examplereplication", "membersReady"), "3/3");
}

TEST(Group, AnOperatorThatHearsNobodyYetChangesNothingForTenSeconds) {
  World world;
  ApplyExample(&world);
  world.ApplyYaml(kCc, "alone", "{}");
  ASSERT_TRUE(world.Settle());
  const int before = world.writes();
  world.SetChannel("exampleredis-read-1", false);
  world.SetChannel("alone", false);
  world.Round();
  EXPECT_EQ(world.writes(), before) << "at once";
  world.Advance(Seconds(9));
  world.Round();
  EXPECT_EQ(world.writes(), before);
  EXPECT_EQ(world.PodLabel("exampleredis-read-1", api::kReaderLabel), "true");
  world.Advance(Seconds(2));
  world.Round();
  EXPECT_EQ(world.Reason(kRr, "exampleredis-read-1", "Ready"), "Unreachable");
  EXPECT_EQ(world.PodLabel("exampleredis-read-1", api::kReaderLabel), "");
  EXPECT_EQ(world.Reason(kCc, "alone", "Ready"), "Unreachable");
  EXPECT_EQ(world.Reason(kRg, "examplereplication", "Degraded"), "MemberMissing");
}

TEST(Group, SettingsOfTheGroupReachItsMembers) {
  World world;
  world.ApplyYaml(kRg, "g", R"({"node": {"parameters": {"hz": 20}}})");
  ASSERT_TRUE(world.Settle());
  const Json& args = (*world.Get("StatefulSet", "g-001"))["spec"]["template"]["spec"]["containers"][0]["args"];
  EXPECT_NE(std::find(args.begin(), args.end(), "--hz"), args.end());
  world.ApplyYaml(kRg, "g", R"({"node": {"resources": {"limits": {"memory": "1Gi"}}, "parameters": {"maxmemory": "2gb"}}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kCc, "g-001", "Accepted"), "InvalidParameterCombination");
  EXPECT_EQ(world.Column(kCc, "g-001", "phase"), "available") << "what runs is left alone";
  EXPECT_EQ(world.Reason(kRg, "g", "Accepted"), "InvalidParameterCombination") << "the setting is the group's";
  EXPECT_EQ(world.Message(kRg, "g", "Accepted"), world.Message(kCc, "g-001", "Accepted"));
  EXPECT_EQ(world.Truth(kRg, "g", "Stalled"), "True");
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "True");
  world.ApplyYaml(kRg, "g", R"({"node": {"parameters": {"hz": 20}}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Truth(kRg, "g", "Accepted"), "True");
}

TEST(Group, WhatANodesOwnSettingsGetWrongIsNotTheGroups) {
  World world;
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a"})");
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world.Settle());
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g",
      "node": {"resources": {"limits": {"memory": "1Gi"}}, "parameters": {"maxmemory": "2gb"}}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kCc, "a", "Accepted"), "InvalidParameterCombination");
  EXPECT_EQ(world.Truth(kRg, "g", "Accepted"), "True");
}

TEST(Group, AClaimOnANodeOfAnotherGroupIsRefused) {
  World world;
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  world.ApplyYaml(kRg, "other", R"({"primaryClusterId": "exampleredis"})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kRg, "other", "Accepted"), "InvalidCacheClusterState");
  EXPECT_THAT(world.Message(kRg, "other", "Accepted"), HasSubstr("belongs to replication group examplereplication"));
  EXPECT_EQ(world.Column(kRg, "other", "phase"), "create-failed");
  EXPECT_EQ(world.Truth(kRg, "other", "Stalled"), "True");
  ExpectExample(&world);
}

TEST(Group, TheOlderObjectKeepsTheName) {
  World world;
  world.ApplyYaml(kCc, "a", "{}");
  world.ApplyYaml(kCc, "a-node", "{}");
  world.ApplyYaml(kRg, "a-node-node", "{}");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kCc, "a", "phase"), "available");
  EXPECT_EQ(world.Reason(kCc, "a-node", "Accepted"), "NameConflict");
  EXPECT_FALSE(world.Exists("StatefulSet", "a-node"));
  EXPECT_EQ(world.Reason(kRg, "a-node-node", "Accepted"), "NameConflict");
}

TEST(Group, AServiceThatIsNotOursIsNotTouched) {
  World world;
  world.Put("Service", "exampleredis", {{"spec", {{"selector", {{"app", "mine"}}}}}});
  const Json kept = *world.Get("Service", "exampleredis");
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kCc, "exampleredis", "Accepted"), "NameConflict");
  EXPECT_EQ(*world.Get("Service", "exampleredis"), kept);
  EXPECT_FALSE(world.Exists("StatefulSet", "exampleredis"));
}

TEST(LagText, IsZeroOrTheNextPowerOfTen) {
  EXPECT_EQ(LagText(0), "0B");
  EXPECT_EQ(LagText(1), "1B");
  EXPECT_EQ(LagText(11), "100B");
  EXPECT_EQ(LagText(1000), "1kB");
  EXPECT_EQ(LagText(1001), "10kB");
  EXPECT_EQ(LagText(999'999'999), "1GB");
  EXPECT_EQ(LagText(UINT64_MAX), "100TB");
}

}  // namespace
}  // namespace understudy::plan
