// Nodes that go with all that they have, and whom their Pods still wait for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "tests/unit/operator/plan/three.h"

namespace understudy::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
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
std::set<std::string> EndedUntilGone(World* world, const char* kind, const std::string& name) {
  for (int i = 0; i < 60 && world->Exists(kind, name); ++i) {
    world->Round();
    world->Advance(Seconds(1));
  }
  EXPECT_FALSE(world->Exists(kind, name));
  return world->ended_at_once;
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
  EXPECT_THAT(EndedUntilGone(&world, kCc, "exampleredis"), ::testing::Contains("exampleredis-0"));
}

TEST(Removal, OfAllNodesEndsThePrimaryAtOnceAlsoIfTheGroupStays) {
  World world;
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  LeaveOnlyThePod(&world, "exampleredis");
  world.Delete(kCc, "exampleredis");
  world.Delete(kRr, "exampleredis-read-1");
  EXPECT_THAT(EndedUntilGone(&world, kCc, "exampleredis"), ::testing::Contains("exampleredis-0"));
}

// A kubelet that has begun to wait goes on waiting when a shorter grace period comes.
TEST(Removal, OfAllNodesEndsThePrimaryBeforeTheGarbageCollectorDoesItSlowly) {
  for (const bool with_group : {false, true}) {
    World world;
    ApplyExample(&world);
    ASSERT_TRUE(world.Settle());
    if (with_group) world.Delete(kRg, "examplereplication");
    world.Delete(kCc, "exampleredis");
    world.Delete(kRr, "exampleredis-read-1");
    EXPECT_THAT(EndedUntilGone(&world, "StatefulSet", "exampleredis"), ::testing::Contains("exampleredis-0")) << with_group;
  }
}

// The group went first, and its heir is deleted before it stands alone.
TEST(Removal, OfAnHeirThatIsStillThePrimaryLetsItNotWaitForAHandOver) {
  World world;
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  world.Delete(kRg, "examplereplication");
  for (int i = 0; i < 100 && !world.Column(kCc, "exampleredis", "groupUid").empty(); ++i) world.OneStep();
  ASSERT_EQ(world.Column(kCc, "exampleredis", "groupUid"), "");
  ASSERT_EQ(world.Process("exampleredis")->role, control::Role::kPrimary);
  world.Delete(kCc, "exampleredis");
  world.Delete(kRr, "exampleredis-read-1");
  EXPECT_THAT(EndedUntilGone(&world, kCc, "exampleredis"), ::testing::Contains("exampleredis-0"));
}

// b, which is being deleted, votes in a configuration that nothing can replace as long as writes wait for more replicas
// than there are.
void DeleteBThatOnlyAnEarlierConfigurationCountsOn(Three* three) {
  World& world = three->world;
  three->Edit(R"("synchronousReplicas": 2)");
  world.Delete(kRr, "b");
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(world.Reason(kRr, "b", "Accepted"), "Deleting");
  // As after a takeover, which gives who is being deleted no vote any more.
  Json* group = world.Get(kRg, "g");
  Json& configurations = (*group)["status"]["configurations"];
  Json next = configurations.back();
  next["number"] = JsonInt(next, "number") + 1;
  std::erase_if(next["voters"].get_ref<Json::array_t&>(), [](const Json& v) { return JsonString(v, "name") == "b"; });
  ASSERT_EQ(next["voters"].size(), 1U);
  configurations.push_back(next);
  world.Touch(group);
}

void RoundsWithoutConfirmation(World* world) {
  const uint64_t acked = world->Process("a")->configuration_acked;
  for (int i = 0; i < 30; ++i) {
    world->Round();
    world->Process("a")->configuration_acked = acked;  // that takes two replicas in sync
    world->Advance(Milliseconds(100));
  }
}

TEST(Removal, OfAReplicaThatAnEarlierConfigurationCountsOnSaysWhatItWaitsFor) {
  Three three;
  World& world = three.world;
  DeleteBThatOnlyAnEarlierConfigurationCountsOn(&three);
  RoundsWithoutConfirmation(&world);
  ASSERT_TRUE(world.Exists(kRr, "b"));
  EXPECT_EQ(world.Reason(kRr, "b", "Accepted"), "Deleting");
  EXPECT_THAT(world.Message(kRr, "b", "Accepted"),
              HasSubstr("because synchronousReplicas is 2 and b is needed for it; add a replica or lower"));
  three.Edit(R"("synchronousReplicas": 1)");
  for (int i = 0; i < 60 && world.Exists(kRr, "b"); ++i) {
    world.Round();
    world.Advance(Seconds(1));
  }
  EXPECT_FALSE(world.Exists(kRr, "b"));
}

TEST(Removal, OfAReplicaWhosePodIsGoneWaitsForNoConfiguration) {
  Three three;
  World& world = three.world;
  DeleteBThatOnlyAnEarlierConfigurationCountsOn(&three);
  LeaveOnlyThePod(&world, "b");
  world.Erase("Pod", "b-0");
  RoundsWithoutConfirmation(&world);
  EXPECT_FALSE(world.Exists(kRr, "b"));
  EXPECT_EQ((*world.Get(kRg, "g"))["status"]["configurations"].size(), 2U);
}

// Where in the plan that object is deleted; -1: it is not.
int DeletedAt(const Plan& plan, const std::string& kind, const std::string& name) {
  for (size_t i = 0; i < plan.actions.size(); ++i) {
    const auto* del = std::get_if<DeleteObject>(&plan.actions[i]);
    if (del != nullptr && del->ref.kind == kind && del->ref.name == name) return static_cast<int>(i);
  }
  return -1;
}

// Who sees a Pod end at once with its data sees that all others end too.
TEST(Removal, OfAGroupThatTakesItsNodesAlongDeletesThemAllBeforeAPodEnds) {
  World world;
  world.ApplyYaml(kCc, "c", "{}");
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "c", "deletionPolicy": "Delete"})");
  world.ApplyYaml(kRr, "r", R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world.Settle());
  world.Delete(kRg, "g");
  const Plan plan = world.GroupPlan("g");
  const int last = std::max(DeletedAt(plan, kCc, "c"), DeletedAt(plan, kRr, "r"));
  ASSERT_GE(std::min(DeletedAt(plan, kCc, "c"), DeletedAt(plan, kRr, "r")), 0);
  ASSERT_EQ(EndedAtOnce(plan).size(), 2U);
  EXPECT_LT(last, std::min(DeletedAt(plan, "Pod", "c-0"), DeletedAt(plan, "Pod", "r-0")));
}

TEST(Removal, LeavesAPrimaryItsTimeForAMemberThatStaysAndIsSilent) {
  World world;
  ApplyExample(&world);
  ASSERT_TRUE(world.Settle());
  world.SetChannel("exampleredis-read-1", false);
  LeaveOnlyThePod(&world, "exampleredis");
  world.Delete(kCc, "exampleredis");
  EXPECT_THAT(EndedUntilGone(&world, kCc, "exampleredis"), IsEmpty());
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
  EXPECT_THAT(EndedUntilGone(&world, kCc, "g-001"), IsEmpty());
}

// Group g with five keys: a is its primary, the others its replicas. Its window is Saturday's.
void MakeWithKeys(World* world, const std::vector<const char*>& replicas, const std::string& more = "") {
  world->ApplyYaml(kCc, "a", R"({"replicationGroupId": "g"})");
  world->ApplyYaml(kRg, "g", R"({"primaryClusterId": "a", )" + std::string(kWindow) + more + "}");
  for (const char* name : replicas) world->ApplyYaml(kRr, name, R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world->Settle());
  world->Process("a")->keys = 5;
  ASSERT_TRUE(world->Settle());
}

void EditSettings(World* world, const std::string& more = R"("applyImmediately": true)", const char* primary = "a") {
  world->ApplyYaml(kRg, "g", R"({"primaryClusterId": ")" + std::string(primary) + "\", " + kWindow + ", " + more +
                                 R"(, "node": {"image": "understudy:2"}})");
}

void ExpectOnlyAWithItsKeys(World* world) {
  EXPECT_EQ(world->Column(kRg, "g", "primary"), "a");
  EXPECT_EQ(world->Column(kRg, "g", "membersReady"), "1/1");
  EXPECT_EQ(ImageOf(world, "a"), "understudy:2");
  EXPECT_EQ(world->Process("a")->keys, 5u);
  EXPECT_FALSE(world->HadEvent("DataLost"));
}

// The replica is the only place where the group's data can be while the primary's Pod is replaced.
TEST(Removal, OfTheLastReplicaComesAfterTheRolloutThatNeedsIt) {
  World world;
  MakeWithKeys(&world, {"b"});
  world.SetFarBehind(true);  // so that nobody can hand over yet
  world.Delete(kRr, "b");
  EditSettings(&world);
  for (int i = 0; i < 100; ++i) {
    world.Round();
    world.Advance(Milliseconds(100));
  }
  ASSERT_TRUE(world.Exists(kRr, "b"));
  EXPECT_EQ(world.Column(kRr, "b", "phase"), "deleting");
  EXPECT_EQ(world.Reason(kRr, "b", "Accepted"), "Deleting");
  EXPECT_THAT(world.Message(kRr, "b", "Accepted"),
              HasSubstr("waits until the Pod of a has been replaced, which would cost g its data"));
  world.SetFarBehind(false);
  ASSERT_TRUE(world.Settle());
  EXPECT_FALSE(world.Exists(kRr, "b"));
  ExpectOnlyAWithItsKeys(&world);
}

TEST(Removal, OfTheLastReplicaInTheMiddleOfTheRolloutWaitsForTheRest) {
  for (int steps = 0; steps < 40; ++steps) {
    World world;
    MakeWithKeys(&world, {"b"});
    EditSettings(&world);
    for (int i = 0; i < steps; ++i) world.OneStep();
    world.Delete(kRr, "b");
    if (steps % 2 == 0) world.RestartOperator();
    ASSERT_TRUE(world.Settle()) << steps;
    EXPECT_FALSE(world.Exists(kRr, "b")) << steps;
    ExpectOnlyAWithItsKeys(&world);
    ASSERT_FALSE(::testing::Test::HasFailure()) << "after " << steps << " steps";
  }
}

TEST(Removal, AnOperatorThatTakesOverMeanwhileKeepsItToo) {
  for (int steps = 0; steps < 40; ++steps) {
    World world;
    MakeWithKeys(&world, {"b"});
    EditSettings(&world);
    world.Delete(kRr, "b");
    for (int i = 0; i < steps; ++i) world.OneStep();
    world.RestartOperator();
    ASSERT_TRUE(world.Settle());
    EXPECT_FALSE(world.Exists(kRr, "b"));
    ExpectOnlyAWithItsKeys(&world);
    ASSERT_FALSE(::testing::Test::HasFailure()) << "after " << steps << " steps";
  }
}

TEST(Removal, OfAllReplicasAtOnceOrOfThePoolWaitsToo) {
  World world;
  MakeWithKeys(&world, {"b", "c"});
  world.Delete(kRr, "b");
  world.Delete(kRr, "c");
  EditSettings(&world);
  ASSERT_TRUE(world.Settle());
  ExpectOnlyAWithItsKeys(&world);

  World pool;
  MakeWithKeys(&pool, {}, R"(, "replicas": 2)");
  pool.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a", "replicas": 0, )" + std::string(kWindow) + "}");
  pool.Round();
  EditSettings(&pool, R"("applyImmediately": true, "replicas": 0)");
  ASSERT_TRUE(pool.Settle());
  EXPECT_FALSE(pool.Exists(kRr, "g-002"));
  EXPECT_FALSE(pool.Exists(kRr, "g-003"));
  ExpectOnlyAWithItsKeys(&pool);
}

TEST(Removal, OfThePrimaryWaitsForTheRolloutOfTheOneThatStays) {
  World world;
  MakeWithKeys(&world, {"b"});
  world.Annotate(kRg, "g", api::kSwitchoverToAnnotation, "b@" + FormatRfc3339(world.wall()));
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(world.Column(kRg, "g", "primary"), "b");
  world.SetFarBehind(true);
  world.Delete(kRr, "b");
  EditSettings(&world);
  for (int i = 0; i < 5; ++i) {
    world.Round();
    world.Advance(Milliseconds(100));
  }
  world.SetFarBehind(false);
  ASSERT_TRUE(world.Settle());
  EXPECT_FALSE(world.Exists(kRr, "b"));
  ExpectOnlyAWithItsKeys(&world);
}

TEST(Removal, WithAnEditOfPrimaryClusterIdNamingTheOneThatStaysLosesNothing) {
  World world;
  MakeWithKeys(&world, {"b"});
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "b", "applyImmediately": true})");
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(world.Column(kRg, "g", "primary"), "b");
  EditSettings(&world);  // names a
  world.Delete(kRr, "b");
  ASSERT_TRUE(world.Settle());
  ExpectOnlyAWithItsKeys(&world);

  World other;
  MakeWithKeys(&other, {"b"});
  EditSettings(&other, R"("applyImmediately": true)", "b");
  other.Delete(kRr, "b");
  ASSERT_TRUE(other.Settle());
  ExpectOnlyAWithItsKeys(&other);
}

TEST(Removal, OfTheLastReplicaDoesNotWaitForAWindow) {
  World world;
  MakeWithKeys(&world, {"b"});
  EditSettings(&world, R"("description": "")");
  world.Delete(kRr, "b");
  ASSERT_TRUE(world.Settle());
  EXPECT_FALSE(world.Exists(kRr, "b"));
  EXPECT_EQ(world.Column(kCc, "a", "pending"), "image until Sat 02:00Z");
  EXPECT_THAT(world.Message(kCc, "a", "PendingModifications"),
              HasSubstr("a has no replica, so its data is lost when its Pod is replaced"));
  EXPECT_EQ(world.Process("a")->keys, 5u);
  // In the window the deletion waits, as the rollout is due.
  World open;
  MakeWithKeys(&open, {"b"});
  EditSettings(&open, R"("description": "")");
  open.AdvanceTo(kOpening);
  open.Delete(kRr, "b");
  ASSERT_TRUE(open.Settle());
  ExpectOnlyAWithItsKeys(&open);
}

TEST(Removal, OfAReplicaThatCannotTakeTheRoleWaitsForNothing) {
  World world;
  MakeWithKeys(&world, {"b"});
  world.SetUnschedulable("b", "0/3 nodes are available");
  world.Erase("Pod", "b-0");
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(world.Reason(kRr, "b", "Ready"), api::reason::kUnschedulable);
  EditSettings(&world);
  world.Delete(kRr, "b");
  ASSERT_TRUE(world.Settle());
  EXPECT_FALSE(world.Exists(kRr, "b"));
}

TEST(Removal, KeepsThePrimaryWhileTheOnlyOtherNodeCannotStartWithTheNewSettings) {
  World world;
  MakeWithKeys(&world, {"b"});
  world.SetBroken("a", "ImagePullBackOff");
  EditSettings(&world);
  world.Delete(kRr, "b");
  for (int i = 0; i < 100; ++i) {
    world.Round();
    world.Advance(Milliseconds(100));
  }
  ASSERT_TRUE(world.Exists(kRr, "b"));
  EXPECT_EQ(world.Process("b")->keys, 5u);
  EXPECT_THAT(world.Message(kRr, "b", "Accepted"), HasSubstr("waits until the new Pod of a has the data of g"));
  world.SetBroken("a", "");
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a", "node": {"image": "understudy:3"}})");  // the correction
  ASSERT_TRUE(world.Settle());
  EXPECT_FALSE(world.Exists(kRr, "b"));
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "a");
  EXPECT_EQ(world.Process("a")->keys, 5u);
}

}  // namespace
}  // namespace understudy::plan
