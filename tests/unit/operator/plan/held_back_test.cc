// A Pod that runs is not given up for one that no Node could take; what does not run is given what is asked for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/manifests/manifests.h"
#include "tests/unit/operator/plan/three.h"

namespace understudy::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kNvme = R"("applyImmediately": true, "node": {"nodeSelector": {"disk": "nvme"}})";
constexpr const char* kNoNvme = "no Node has the label disk=nvme of nodeSelector";

Json Host(const std::string& zone, Json labels = Json::object()) {
  labels["topology.kubernetes.io/zone"] = zone;
  return {{"metadata", {{"labels", std::move(labels)}}}, {"status", {{"allocatable", {{"cpu", "2"}, {"memory", "4Gi"}}}}}};
}

void FillFleet(World* world) {
  for (const std::string& host : kHosts) world->fleet[host] = Host(ZoneOfHost(host));
}

// A few seconds of what happens by itself.
void Rest(World* world, int rounds = 3) {
  for (int i = 0; i < rounds; ++i) {
    ASSERT_TRUE(world->Settle());
    world->Advance(Seconds(3));
  }
  ASSERT_TRUE(world->Settle());
}

std::string SelectorOf(World* world, const std::string& node) {
  Json* pod = world->Get("Pod", node + "-0");
  return pod == nullptr ? "no Pod" : JsonString(JsonAt((*pod)["spec"], "nodeSelector"), "disk");
}

class Alone : public testing::Test {
 protected:
  Alone() {
    FillFleet(&world);
    Edit("");
    EXPECT_TRUE(world.Settle());
    uid = PodUid(&world, "a");
  }
  void Edit(const std::string& spec) { world.ApplyYaml(kCc, "a", "{" + spec + "}"); }
  void ExpectHeldBack(const std::string& why) {
    Rest(&world);
    EXPECT_EQ(PodUid(&world, "a"), uid);
    EXPECT_EQ(world.Truth(kCc, "a", "Accepted"), "False");
    EXPECT_EQ(world.Reason(kCc, "a", "Accepted"), "InsufficientCacheClusterCapacity");
    EXPECT_EQ(world.Message(kCc, "a", "Accepted"), why);
    EXPECT_EQ(world.Truth(kCc, "a", "Stalled"), "False") << "a Node helps";
    EXPECT_EQ(world.Truth(kCc, "a", "Ready"), "True");
    EXPECT_EQ(world.Column(kCc, "a", "phase"), "available");
    EXPECT_EQ(world.Told("InsufficientCacheClusterCapacity", "a"), 1);
    EXPECT_EQ(world.Told("ApplyingModification", "a"), 0);
    EXPECT_FALSE(world.HadEvent("DataLost"));
  }
  World world;
  std::string uid;
};

TEST_F(Alone, ItsPodStaysAsLongAsNoNodeHasTheLabelsAndGoesOnceOneComes) {
  Edit(kNvme);
  ExpectHeldBack(kNoNvme);
  const int writes = world.writes();
  Rest(&world, 40);
  EXPECT_EQ(world.writes(), writes);
  world.fleet["node-d"] = Host("zone-d");
  Rest(&world);
  EXPECT_EQ(world.writes(), writes) << "of a Node that does not help nothing is told";

  world.fleet["node-e"] = Host("zone-a", {{"disk", "nvme"}});
  Rest(&world);
  EXPECT_NE(PodUid(&world, "a"), uid);
  EXPECT_EQ(SelectorOf(&world, "a"), "nvme");
  EXPECT_EQ(world.Truth(kCc, "a", "Accepted"), "True");
  EXPECT_EQ(world.Column(kCc, "a", "phase"), "available");
}

TEST_F(Alone, ItsPodStaysForAZoneWithoutNodesAndForMoreThanAnyNodeHas) {
  Edit(R"("applyImmediately": true, "availabilityZone": "zone-x")");
  ExpectHeldBack("no Node is in zone zone-x; there are Nodes in zones zone-a, zone-b, zone-c");
  Edit("");
  Rest(&world);
  EXPECT_EQ(world.Truth(kCc, "a", "Accepted"), "True");
  EXPECT_EQ(PodUid(&world, "a"), uid);
}

TEST_F(Alone, ItsPodStaysForMoreThanAnyNodeHas) {
  Edit(R"("applyImmediately": true, "node": {"resources": {"requests": {"cpu": "64"}}})");
  ExpectHeldBack("no Node has 64 CPUs for it: the largest has 2");
}

TEST_F(Alone, WhatWaitsForTheWindowIsRefusedAtOnceToo) {
  Edit(R"("preferredMaintenanceWindow": "sat:02:00-sat:03:00", "node": {"nodeSelector": {"disk": "nvme"}})");
  ExpectHeldBack(kNoNvme);
  EXPECT_EQ(world.Column(kCc, "a", "pending"), "");
}

TEST_F(Alone, WhenTheNodeThatItWaitedForGoesBeforeTheWindowItsPodStays) {
  world.fleet["node-d"] = Host("zone-d", {{"disk", "nvme"}});
  Edit(R"("preferredMaintenanceWindow": "sat:02:00-sat:03:00", "node": {"nodeSelector": {"disk": "nvme"}})");
  Rest(&world);
  EXPECT_EQ(world.Column(kCc, "a", "pending"), "podTemplate until Sat 02:00Z");
  world.fleet.erase("node-d");
  world.AdvanceTo(kOpening);
  Rest(&world);
  EXPECT_EQ(PodUid(&world, "a"), uid);
  EXPECT_EQ(world.Message(kCc, "a", "Accepted"), kNoNvme);
}

TEST_F(Alone, ADrainBringsItsPodBackAsItWas) {
  Edit(kNvme);
  ExpectHeldBack(kNoNvme);
  for (int i = 0; i < 3; ++i) {
    if (i == 1) world.RestartOperator();
    world.Delete("Pod", "a-0");
    EXPECT_EQ(world.LonePlan(kCc, "a").actions.size(), 0u) << "between two Pods";
    Rest(&world);
    EXPECT_EQ(SelectorOf(&world, "a"), "");
    const Json& slice = *world.Get("EndpointSlice", manifests::NodeSliceName("a"));
    EXPECT_EQ(slice["endpoints"][0]["targetRef"]["uid"], PodUid(&world, "a")) << "its Service leads to the new one";
    EXPECT_EQ(world.Column(kCc, "a", "phase"), "available");
    EXPECT_EQ(world.Message(kCc, "a", "Accepted"), kNoNvme);
  }
}

TEST_F(Alone, OneThatIsMadeAnewIsNotHeldBackByThePodThatTheOlderOneLeft) {
  Edit(kNvme);
  ExpectHeldBack(kNoNvme);
  world.Erase(kCc, "a");
  Edit(kNvme);
  world.Advance(Seconds(1));
  Rest(&world);
  EXPECT_NE(PodUid(&world, "a"), uid);
  EXPECT_EQ(SelectorOf(&world, "a"), "nvme");
  EXPECT_EQ(world.Truth(kCc, "a", "Accepted"), "True");
}

TEST_F(Alone, BetweenTwoPodsItIsNotAFailedCreation) {
  Edit(kNvme);
  Rest(&world);
  world.Erase("Pod", "a-0");
  for (const StatusWrite& write : world.LonePlan(kCc, "a").statuses) EXPECT_EQ(write.status["phase"], "creating");
}

TEST_F(Alone, WithoutALastingPodItIsGivenWhatItAsksFor) {
  Edit(kNvme);
  ExpectHeldBack(kNoNvme);
  world.SetBroken("a", "CreateContainerConfigError");
  world.Delete("Pod", "a-0");
  Rest(&world);
  EXPECT_EQ(SelectorOf(&world, "a"), "nvme") << "the old one does not start either";
  EXPECT_EQ(world.Truth(kCc, "a", "Accepted"), "True");
}

TEST(HeldBack, ANewNodeGetsAPodThatWaitsForItsNode) {
  World world;
  FillFleet(&world);
  world.ApplyYaml(kCc, "a", "{" + std::string(kNvme) + "}");
  world.SetUnschedulable("a", "0/3 nodes are available");
  Rest(&world);
  EXPECT_EQ(SelectorOf(&world, "a"), "nvme");
  EXPECT_EQ(world.Truth(kCc, "a", "Accepted"), "True");
  EXPECT_EQ(world.Reason(kCc, "a", "Ready"), "InsufficientCacheClusterCapacity");
  // Nor is one that waits in vain held back from waiting for something else.
  world.ApplyYaml(kCc, "a", R"({"node": {"nodeSelector": {"disk": "tape"}}})");
  Rest(&world);
  EXPECT_EQ(SelectorOf(&world, "a"), "tape");
}

TEST(HeldBack, APodThatRunsAsItIsAskedForMindsNoNodeThatGoes) {
  World world;
  FillFleet(&world);
  world.fleet["node-d"] = Host("zone-d", {{"disk", "nvme"}});
  world.ApplyYaml(kCc, "a", "{" + std::string(kNvme) + "}");
  Rest(&world);
  world.fleet.erase("node-d");
  const int writes = world.writes();
  Rest(&world);
  EXPECT_EQ(world.writes(), writes);
  EXPECT_EQ(world.Truth(kCc, "a", "Accepted"), "True");
}

TEST(HeldBack, NoMemberOfAGroupIsGivenUpAndTheGroupSaysWhy) {
  Three three;
  World& world = three.world;
  FillFleet(&world);
  three.Edit(kNvme);
  EXPECT_THAT(three.Order(), IsEmpty());
  Rest(&world);
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "3/3");
  EXPECT_EQ(world.Reason(kRg, "g", "Accepted"), "InsufficientCacheClusterCapacity");
  EXPECT_EQ(world.Message(kRg, "g", "Accepted"), kNoNvme);
  EXPECT_EQ(world.Truth(kRg, "g", "Stalled"), "False");
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "True");
  EXPECT_EQ(world.Truth(kRg, "g", "Degraded"), "False");
  for (const char* node : {"a", "b", "c"}) {
    EXPECT_EQ(world.Message(std::string(node) == "a" ? kCc : kRr, node, "Accepted"), kNoNvme);
  }
  const Plan plan = world.GroupPlan("g");
  EXPECT_TRUE(plan.Idle());
  ASSERT_TRUE(plan.memory.placements.contains("b"));
  EXPECT_EQ(plan.memory.placements.at("b").why_not, kNoNvme);

  world.fleet["node-d"] = Host("zone-d", {{"disk", "nvme"}});
  EXPECT_THAT(three.Order(), ElementsAre("b", "c", "a"));
  EXPECT_EQ(world.Truth(kRg, "g", "Accepted"), "True");
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "3/3");
}

TEST(HeldBack, AReplicaForAZoneWithoutNodesStaysWhereItIs) {
  Three three("\"applyImmediately\": true");
  World& world = three.world;
  FillFleet(&world);
  world.ApplyYaml(kRr, "b", R"({"replicationGroupId": "g", "availabilityZone": "zone-x"})");
  EXPECT_THAT(three.Order(), IsEmpty());
  EXPECT_THAT(world.Message(kRr, "b", "Accepted"), HasSubstr("no Node is in zone zone-x"));
  EXPECT_EQ(world.Truth(kRg, "g", "Accepted"), "True") << "it is the node's own";
  // What the others are given is theirs.
  three.Edit(R"("applyImmediately": true, "node": {"image": "understudy:2"})");
  EXPECT_THAT(three.Order(), ElementsAre("c", "a"));
  EXPECT_EQ(ImageOf(&world, "b"), "understudy:1");
}

TEST(HeldBack, TheAnswerIsKeptUntilTheTemplateOrTheNodesChange) {
  World world;
  FillFleet(&world);
  world.ApplyYaml(kCc, "a", "{}");
  ASSERT_TRUE(world.Settle());
  world.ApplyYaml(kCc, "a", "{" + std::string(kNvme) + "}");
  const Placement first = world.LonePlan(kCc, "a").memory.placements.at("a");
  EXPECT_EQ(first.why_not, kNoNvme);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.LonePlan(kCc, "a").memory.placements.at("a").fleet_version, first.fleet_version);
  world.fleet["node-d"] = Host("zone-d");
  EXPECT_NE(world.LonePlan(kCc, "a").memory.placements.at("a").fleet_version, first.fleet_version);
  world.ApplyYaml(kCc, "a", R"({"node": {"nodeSelector": {"disk": "tape"}}})");
  EXPECT_THAT(world.LonePlan(kCc, "a").memory.placements.at("a").why_not, HasSubstr("tape"));
}

}  // namespace
}  // namespace understudy::plan
