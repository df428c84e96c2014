// Nodes that go with all that they have, and whom their Pods still wait for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/operator/plan/world.h"

namespace understudy::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

// All that was made for it is gone, and its Pod, which is garbage, is not yet.
void LeaveOnlyThePod(World* world, const std::string& node) {
  const std::string pod = node + "-0";
  const Json document = *world->Get("Pod", pod);
  world->Erase("StatefulSet", node);
  world->Erase("Service", node);
  world->Erase("Service", node + "-node");
  world->Put("Pod", pod, document);
}

std::vector<std::string> EndedAtOnce(const Plan& plan) {
  std::vector<std::string> ended;
  for (const Action& action : plan.actions) {
    const auto* del = std::get_if<DeleteObject>(&action);
    if (del != nullptr && del->ref.kind == "Pod" && del->grace_seconds == 1) ended.push_back(del->ref.name);
  }
  return ended;
}

// Rounds a second apart, until the object is gone: the Pods that were ended at once meanwhile.
std::vector<std::string> EndedUntilGone(World* world, const std::string& group, const char* kind, const std::string& name) {
  std::vector<std::string> ended;
  for (int i = 0; i < 60 && world->Exists(kind, name); ++i) {
    if (world->Exists(kRg, group)) {
      for (std::string& pod : EndedAtOnce(world->GroupPlan(group))) ended.push_back(std::move(pod));
    }
    world->Round();
    world->Advance(Seconds(1));
  }
  EXPECT_FALSE(world->Exists(kind, name));
  return ended;
}

TEST(Removal, InATerminatingNamespaceNothingIsHeldBack) {
  World world;
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  world.namespace_terminating = true;
  world.Delete(kRg, "examplereplication");
  world.Delete(kCc, "exampleredis");
  world.Delete(kRr, "exampleredis-read-1");
  EXPECT_THAT(EndedAtOnce(world.GroupPlan("examplereplication")),
              UnorderedElementsAre("exampleredis-0", "exampleredis-read-1-0"))
      << "the primary is not left to wait for a hand-over";
  world.Round();
  EXPECT_FALSE(world.Exists(kRg, "examplereplication"));
  EXPECT_FALSE(world.Exists(kCc, "exampleredis"));
  EXPECT_FALSE(world.Exists(kRr, "exampleredis-read-1"));
}

TEST(Removal, OfAGroupWithAllItsNodesLetsNoPrimaryWaitForAHandOver) {
  World world;
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  LeaveOnlyThePod(&world, "exampleredis");
  world.Delete(kRg, "examplereplication");
  world.Delete(kCc, "exampleredis");
  world.Delete(kRr, "exampleredis-read-1");
  EXPECT_THAT(EndedUntilGone(&world, "examplereplication", kCc, "exampleredis"), ElementsAre("exampleredis-0"));
}

TEST(Removal, OfAllNodesEndsThePrimaryAtOnceAlsoIfTheGroupStays) {
  World world;
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  LeaveOnlyThePod(&world, "exampleredis");
  world.Delete(kCc, "exampleredis");
  world.Delete(kRr, "exampleredis-read-1");
  EXPECT_THAT(EndedUntilGone(&world, "examplereplication", kCc, "exampleredis"), ElementsAre("exampleredis-0"));
}

TEST(Removal, LeavesAPrimaryItsTimeForAMemberThatStaysAndIsSilent) {
  World world;
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  world.SetChannel("exampleredis-read-1", false);
  LeaveOnlyThePod(&world, "exampleredis");
  world.Delete(kCc, "exampleredis");
  EXPECT_THAT(EndedUntilGone(&world, "examplereplication", kCc, "exampleredis"), IsEmpty());
}

TEST(Removal, OfAGroupLeavesItsPrimaryItsTimeForAnHeirThatIsSilent) {
  World world;
  world.ApplyYaml(kRg, "g", "{}");
  world.ApplyYaml(kRr, "r", R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(world.Column(kRg, "g", "primary"), "g-001");
  world.SetChannel("r", false);
  LeaveOnlyThePod(&world, "g-001");
  world.Delete(kRg, "g");
  world.Delete(kCc, "g-001");  // as the group's first plan does
  EXPECT_THAT(EndedUntilGone(&world, "g", kCc, "g-001"), IsEmpty());
}

}  // namespace
}  // namespace understudy::plan
