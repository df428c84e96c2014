// Members that may be anywhere keep out of the zones that others are pinned to, in whatever order their documents come.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/unit/operator/plan/three.h"

namespace understudy::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// What a Pod's spec tells the scheduler to avoid.
std::vector<std::string> Avoided(const Json& pod_spec) {
  const Json& affinity = JsonAt(JsonAt(pod_spec, "affinity"), "nodeAffinity");
  const Json& terms = JsonAt(affinity, "preferredDuringSchedulingIgnoredDuringExecution");
  if (!terms.is_array()) return {};
  return terms.at(0).at("preference").at("matchExpressions").at(0).at("values").get<std::vector<std::string>>();
}
// A new Pod of the node.
std::vector<std::string> Avoided(World* world, const std::string& node) {
  return Avoided(JsonAt(JsonAt(JsonAt(*world->Get("StatefulSet", node), "spec"), "template"), "spec"));
}

class ZoneSpread : public testing::Test {
 protected:
  void Run(Duration d) {
    for (const MonoTime until = world.now() + d; world.now() < until;) {
      world.Round();
      world.Advance(Milliseconds(10));
    }
  }
  void Add(const char* kind, const std::string& name, const std::string& spec) {
    world.ApplyYaml(kind, name, spec);
    world.first_pod_at[name] = world.now() + Milliseconds(300);
  }
  void AddReplica(const std::string& name, const std::string& zone = "") {
    Add(kRr, name, R"({"replicationGroupId": "g")" + (zone.empty() ? "" : R"(, "availabilityZone": ")" + zone + "\"") + "}");
  }
  World world;
};

TEST_F(ZoneSpread, ThePrimaryOfTheDocumentedExampleIsInAnotherZoneThanItsReplicaInEveryOrder) {
  std::vector<int> order = {0, 1, 2};
  do {
    world = World();
    for (int step : order) {
      if (step == 0) Add(kCc, "exampleredis", "{}");
      if (step == 1) world.ApplyYaml(kRg, "examplereplication", R"({"primaryClusterId": "exampleredis"})");
      if (step == 2) {
        Add(kRr, "exampleredis-read-1", R"({"replicationGroupId": "examplereplication", "availabilityZone": "zone-a"})");
      }
      Run(Milliseconds(100));
    }
    ASSERT_TRUE(world.Settle());
    EXPECT_EQ(world.Column(kRg, "examplereplication", "membersReady"), "2/2");
    EXPECT_THAT(Avoided((*world.Get("Pod", "exampleredis-0"))["spec"]), ElementsAre("zone-a")) << testing::PrintToString(order);
    EXPECT_EQ(world.Column(kRr, "exampleredis-read-1", "availabilityZone"), "zone-a");
    EXPECT_NE(world.Column(kCc, "exampleredis", "availabilityZone"), "zone-a") << testing::PrintToString(order);
    EXPECT_EQ(world.Truth(kRg, "examplereplication", "ZoneSpreadSatisfied"), "True") << testing::PrintToString(order);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_F(ZoneSpread, AFirstPodWaitsForTheRestOfItsManifestAndNothingElseDoes) {
  Add(kCc, "alone", "{}");
  const MonoTime due = world.first_pod_at["alone"];
  Plan plan = world.LonePlan(kCc, "alone");
  EXPECT_EQ(plan.wake_at, due);
  Run(Milliseconds(290));
  EXPECT_FALSE(world.Exists("StatefulSet", "alone"));
  EXPECT_TRUE(world.Exists("Service", "alone"));
  EXPECT_EQ(world.Reason(kCc, "alone", "Ready"), "Creating");
  Run(Milliseconds(30));
  EXPECT_TRUE(world.Exists("StatefulSet", "alone"));
  ASSERT_TRUE(world.Settle());
  // Of a node that has one already, it is changed at once.
  world.first_pod_at["alone"] = world.now() + Seconds(60);
  world.ApplyYaml(kCc, "alone", R"({"applyImmediately": true, "node": {"image": "understudy:2"}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(ImageOf(&world, "alone"), "understudy:2");
}

TEST_F(ZoneSpread, ANodeWhoseZoneIsGivenDoesNotWait) {
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a"})");
  Add(kCc, "a", R"({"replicationGroupId": "g"})");
  AddReplica("b", "zone-a");
  world.Round();
  EXPECT_TRUE(world.Exists("StatefulSet", "b"));
  EXPECT_FALSE(world.Exists("StatefulSet", "a"));
  EXPECT_EQ(world.GroupPlan("g").wake_at, world.first_pod_at["a"]);
}

TEST_F(ZoneSpread, AReplicaWithoutAZoneKeepsOutOfThatOfAPinnedPrimary) {
  Add(kCc, "a", R"({"replicationGroupId": "g", "availabilityZone": "zone-b"})");
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a"})");
  AddReplica("b");
  ASSERT_TRUE(world.Settle());
  EXPECT_THAT(Avoided(&world, "a"), IsEmpty());
  EXPECT_THAT(Avoided(&world, "b"), ElementsAre("zone-b"));
  EXPECT_NE(world.Column(kRr, "b", "availabilityZone"), "zone-b");
}

TEST_F(ZoneSpread, EachKeepsOutOfTheZonesThatAreFullByThen) {
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g"})");
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a"})");
  AddReplica("b");
  AddReplica("c");
  AddReplica("d", "zone-b");
  AddReplica("e", "zone-a");
  ASSERT_TRUE(world.Settle());
  EXPECT_THAT(Avoided(&world, "a"), ElementsAre("zone-a", "zone-b"));
  EXPECT_THAT(Avoided(&world, "b"), IsEmpty()) << "each has one by then";
  EXPECT_THAT(Avoided(&world, "c"), IsEmpty());
  EXPECT_THAT(Avoided(&world, "d"), IsEmpty());
  AddReplica("f", "zone-a");
  ASSERT_TRUE(world.Settle());
  EXPECT_THAT(Avoided(&world, "a"), ElementsAre("zone-a", "zone-b"));
  EXPECT_THAT(Avoided(&world, "b"), ElementsAre("zone-a")) << "which has its two";
  EXPECT_THAT(Avoided(&world, "c"), ElementsAre("zone-a"));
}

TEST_F(ZoneSpread, NobodyKeepsOutOfAZoneWhereMultiAzIsDisabled) {
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g"})");
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a", "multiAZ": "Disabled"})");
  AddReplica("b", "zone-a");
  ASSERT_TRUE(world.Settle());
  EXPECT_THAT(Avoided(&world, "a"), IsEmpty());
}

TEST_F(ZoneSpread, AnotherPinIsForPodsToComeAndReplacesNone) {
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g"})");
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a"})");
  ASSERT_TRUE(world.Settle());
  const std::string pod = PodUid(&world, "a");
  const std::string zone = world.Column(kCc, "a", "availabilityZone");
  AddReplica("b", zone);
  ASSERT_TRUE(world.Settle());
  EXPECT_THAT(Avoided(&world, "a"), ElementsAre(zone));
  EXPECT_EQ(PodUid(&world, "a"), pod);
  EXPECT_EQ(world.Column(kCc, "a", "pending"), "");
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "2/2");
  const int writes = world.writes();
  for (int i = 0; i < 20; ++i) world.Round();
  EXPECT_EQ(world.writes(), writes) << "a steady group writes nothing";
  // The documented way out of a shared zone.
  EXPECT_EQ(world.Reason(kRg, "g", "ZoneSpreadSatisfied"), "SharedZone");
  world.Erase("Pod", "a-0");
  ASSERT_TRUE(world.Settle());
  EXPECT_NE(world.Column(kCc, "a", "availabilityZone"), zone);
}

}  // namespace
}  // namespace understudy::plan
