// Condition NameConflict names the other object: its kind, its name, and whose it is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/operator/plan/world.h"

namespace understudy::plan {
namespace {

void ExpectConflict(World* world, const char* kind, const std::string& name, const std::string& message) {
  ASSERT_TRUE(world->Settle());
  EXPECT_EQ(world->Reason(kind, name, "Accepted"), "NameConflict");
  EXPECT_EQ(world->Truth(kind, name, "Stalled"), "False") << "the other may go";
  EXPECT_EQ(world->Message(kind, name, "Accepted"), message);
}

TEST(NameConflict, NamesTheServiceAndTheOlderObjectThatHasIt) {
  World world;
  world.ApplyYaml(kCc, "a", "{}");
  world.ApplyYaml(kCc, "a-node", "{}");
  world.ApplyYaml(kRg, "b", "{}");
  world.ApplyYaml(kRr, "b-reader", "{}");
  ExpectConflict(&world, kCc, "a-node",
                 "Service default/a-node is that of the older CacheCluster a; give this object another name");
  ExpectConflict(&world, kRr, "b-reader",
                 "Service default/b-reader is that of the older ReplicationGroup b; give this object another name");
  world.ApplyYaml(kRr, "a", R"({"replicationGroupId": "b"})");
  ExpectConflict(&world, kRr, "a", "Service default/a is that of the older CacheCluster a; give this object another name");
}

TEST(NameConflict, NamesTheKindOfAForeignObjectAndWhoManagesIt) {
  World world;
  world.Put("Service", "one", {{"metadata", {{"labels", {{"app.kubernetes.io/managed-by", "Helm"},
                                                         {"app.kubernetes.io/instance", "shop"}}}}}});
  world.SetUnschedulable("two", "no room");
  world.Put("StatefulSet", "two", {{"metadata", {{"labels", {{"app.kubernetes.io/instance", "shop"}}}}},
                                   {"spec", {{"template", {{"metadata", Json::object()}, {"spec", Json::object()}}}}}});
  world.Put("Service", "three-node", Json::object());
  world.Put("PodDisruptionBudget", "four", Json::object());
  for (const char* name : {"one", "two", "three"}) world.ApplyYaml(kCc, name, "{}");
  world.ApplyYaml(kRg, "four", "{}");
  const std::string rest = "; remove it, or give this object another name";
  ExpectConflict(&world, kCc, "one",
                 "Service default/one exists and was not made by Understudy (managed by Helm, instance shop)" + rest);
  ExpectConflict(&world, kCc, "two",
                 "StatefulSet default/two exists and was not made by Understudy (instance shop)" + rest);
  ExpectConflict(&world, kCc, "three", "Service default/three-node exists and was not made by Understudy" + rest);
  ExpectConflict(&world, kRg, "four", "PodDisruptionBudget default/four exists and was not made by Understudy" + rest);
}

TEST(NameConflict, OfAGroupWithANodeMakesNoForeignEndpointsOfThatNodes) {
  World world;
  world.ApplyYaml(kCc, "a", "{}");
  ASSERT_TRUE(world.Settle());
  ASSERT_TRUE(world.Exists("EndpointSlice", "a-pod"));
  world.ApplyYaml(kRg, "a", "{}");
  ExpectConflict(&world, kRg, "a", "Service default/a is that of the older CacheCluster a; give this object another name");
  EXPECT_EQ(world.Reason(kRg, "a", "Degraded"), "Healthy") << world.Message(kRg, "a", "Degraded");
  EXPECT_FALSE(world.HadEvent("ForeignEndpoints"));
}

TEST(NameConflict, OfAGroupWithAForeignServiceMakesNoForeignEndpointsOfThatServices) {
  World world;
  world.Put("Service", "a", Json::object());
  world.Put("EndpointSlice", "a-x7k", {{"metadata", {{"labels", {{"kubernetes.io/service-name", "a"}}}}},
                                       {"addressType", "IPv4"}, {"endpoints", Json::array()}});
  world.ApplyYaml(kRg, "a", "{}");
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(world.Reason(kRg, "a", "Accepted"), "NameConflict");
  EXPECT_EQ(world.Reason(kRg, "a", "Degraded"), "Healthy") << world.Message(kRg, "a", "Degraded");
}

// What the node of that name leaves for a moment, when it is deleted.
TEST(NameConflict, ThatIsOverLeavesSlicesThatNobodyHasToRemove) {
  World world;
  world.ApplyYaml(kRg, "g", "{}");
  ASSERT_TRUE(world.Settle());
  Json slice = *world.Get("EndpointSlice", "g-primary");
  slice["metadata"]["annotations"][api::kOwnerUidAnnotation] = "uid-of-a-node";
  world.Put("EndpointSlice", "g-pod", slice);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kRg, "g", "Degraded"), "Healthy") << world.Message(kRg, "g", "Degraded");
  // One that only claims to be the group's is foreign as ever.
  slice["metadata"]["annotations"][api::kOwnerUidAnnotation] = JsonString((*world.Get(kRg, "g"))["metadata"], "uid");
  world.Put("EndpointSlice", "g-copy", slice);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kRg, "g", "Degraded"), "ForeignEndpoints");
}

TEST(NameConflict, NamesTheForeignConfigMap) {
  World world;
  world.Put("ConfigMap", "understudy-operator", {{"data", {{"mine", "x"}}}});
  world.ApplyYaml(kCc, "a", "{}");
  ExpectConflict(&world, kCc, "a",
                 "ConfigMap default/understudy-operator exists and was not made by Understudy; remove it");
}

TEST(NameConflict, OfTheNodeThatAGroupNamesIsSaidThere) {
  World world;
  world.Put("Service", "a", Json::object());
  world.ApplyYaml(kCc, "a", "{}");
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a"})");
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(world.Reason(kCc, "a", "Accepted"), "NameConflict");
  for (const char* condition : {"Accepted", "Ready"}) {
    EXPECT_THAT(world.Message(kRg, "g", condition), ::testing::Not(::testing::HasSubstr("replication group ;"))) << condition;
  }
  world.Erase("Service", "a");
  world.Advance(Seconds(30));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "a");
}

}  // namespace
}  // namespace understudy::plan
