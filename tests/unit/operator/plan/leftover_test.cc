// Objects that come back beside what an older object of their name left, and objects that are gone before anything is
// made for them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/plan/objects.h"
#include "tests/unit/operator/plan/three.h"
#include "tests/unit/operator/plan/world.h"

namespace understudy::plan {
namespace {

using ::testing::IsEmpty;

struct Child {
  const char* kind;
  std::string name;
};

std::vector<Child> ChildrenOf(const std::string& node) {
  return {{"StatefulSet", node}, {"Service", node}, {"Service", node + "-node"}, {"EndpointSlice", node + "-pod"}};
}

std::string Uid(World* world, const char* kind, const std::string& name) {
  Json* document = world->Get(kind, name);
  return document == nullptr ? "" : api::ParseMeta(*document).uid;
}

// Of each child that is there, for whom it was made, once each.
std::set<std::string> OwnersOf(World* world, const std::vector<Child>& children) {
  std::set<std::string> owners;
  for (const Child& child : children) {
    Json* document = world->Get(child.kind, child.name);
    if (document != nullptr) owners.insert(api::ParseMeta(*document).OwnerUid());
  }
  return owners;
}

// The object is gone, and whoever saw it go is, too: its children are announced.
void LoseUnseen(World* world, const char* kind, const std::string& name) {
  world->Erase(kind, name);
  world->RestartOperator();
  ASSERT_TRUE(world->Settle());
}

void PassTheWait(World* world) {
  world->Advance(kOrphanWait + Seconds(1));
  ASSERT_TRUE(world->Settle());
}

TEST(Leftover, AReplicaThatComesBackTakesOverWithoutANewPodAndKeepsItWhenTheWaitIsOver) {
  Three three;
  World& world = three.world;
  LoseUnseen(&world, kRr, "b");
  ASSERT_EQ(world.Told("OwnerGone"), 1);
  ASSERT_EQ(PodUid(&world, "b"), three.pods["b"]) << "it waits for 15 minutes";

  world.ApplyYaml(kRr, "b", R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(OwnersOf(&world, ChildrenOf("b")), std::set{Uid(&world, kRr, "b")});
  EXPECT_EQ(PodUid(&world, "b"), three.pods["b"]);
  EXPECT_EQ(world.Column(kRr, "b", "phase"), "available");
  PassTheWait(&world);
  EXPECT_EQ(PodUid(&world, "b"), three.pods["b"]);

  world.Delete(kRr, "b");
  ASSERT_TRUE(world.Settle());
  EXPECT_FALSE(world.Exists(kRr, "b"));
  EXPECT_THAT(OwnersOf(&world, ChildrenOf("b")), IsEmpty());
  EXPECT_EQ(PodUid(&world, "b"), "");
}

TEST(Leftover, ANodeOfTheOtherKindTakesOverAsWell) {
  Three three;
  World& world = three.world;
  LoseUnseen(&world, kRr, "b");
  world.ApplyYaml(kCc, "b", R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(OwnersOf(&world, ChildrenOf("b")), std::set{Uid(&world, kCc, "b")});
  PassTheWait(&world);
  EXPECT_EQ(PodUid(&world, "b"), three.pods["b"]);
}

TEST(Leftover, OfAMemberThatIsDeletedBeforeItWasTakenOverGoesWithIt) {
  Three three;
  World& world = three.world;
  LoseUnseen(&world, kRr, "b");
  world.SetChannel("b", false);  // what it is, is not known
  world.ApplyYaml(kRr, "b", R"({"replicationGroupId": "g"})");
  world.Settle();
  ASSERT_FALSE(OwnersOf(&world, {{"StatefulSet", "b"}}).contains(Uid(&world, kRr, "b")));
  world.Delete(kRr, "b");
  world.Settle();
  EXPECT_FALSE(world.Exists(kRr, "b"));
  EXPECT_THAT(OwnersOf(&world, ChildrenOf("b")), IsEmpty());
}

// The cache may be late: an object that it shows may be gone, and what looks like an older one's be a younger one's.
TEST(Leftover, IsWrittenOrDeletedOnlyAfterALookAtTheNewObject) {
  World world;
  world.ApplyYaml(kCc, "a", "{}");
  ASSERT_TRUE(world.Settle());
  LoseUnseen(&world, kCc, "a");
  world.ApplyYaml(kCc, "a", "{}");
  const Plan plan = world.LonePlan(kCc, "a");
  ASSERT_GE(plan.actions.size(), 4u) << "three Services and slices to take over, a StatefulSet to delete";
  const auto* look = std::get_if<ConfirmExists>(&plan.actions.front());
  ASSERT_NE(look, nullptr);
  EXPECT_EQ(look->ref.uid, Uid(&world, kCc, "a"));

  const api::ObjectRef owner{"", kRr, "ns", "v", "new", ""};
  api::ObjectMeta child;
  child.ns = "ns";
  child.annotations = {{api::kOwnerAnnotation, "ReadReplica/v"}, {api::kOwnerUidAnnotation, "old"}};
  std::vector<Action> actions;
  Remove(&child, "v1", "Service", owner, &actions);
  ASSERT_EQ(actions.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<ConfirmExists>(actions.front()));
  child.annotations[api::kOwnerUidAnnotation] = "new";
  actions.clear();
  Remove(&child, "v1", "Service", owner, &actions);
  EXPECT_EQ(actions.size(), 1u) << "its own needs no look";
}

TEST(Leftover, WhoStandsAloneStartsEmptyAsAfterADeletionThatWasSeen) {
  for (const bool seen : {false, true}) {
    World world;
    world.ApplyYaml(kCc, "a", "{}");
    ASSERT_TRUE(world.Settle());
    const std::string pod = PodUid(&world, "a");
    const std::string dataset = world.Column(kCc, "a", "dataset");
    world.Erase(kCc, "a");
    if (!seen) world.RestartOperator();
    world.ApplyYaml(kCc, "a", "{}");
    ASSERT_TRUE(world.Settle()) << seen;
    EXPECT_EQ(world.Column(kCc, "a", "phase"), "available") << seen;
    EXPECT_NE(PodUid(&world, "a"), pod) << seen;
    EXPECT_NE(world.Column(kCc, "a", "dataset"), dataset) << seen;
    EXPECT_EQ(OwnersOf(&world, ChildrenOf("a")), std::set{Uid(&world, kCc, "a")}) << seen;
    const std::string now = PodUid(&world, "a");
    PassTheWait(&world);
    EXPECT_EQ(PodUid(&world, "a"), now) << seen;
    world.Delete(kCc, "a");
    ASSERT_TRUE(world.Settle());
    EXPECT_THAT(OwnersOf(&world, ChildrenOf("a")), IsEmpty()) << seen;
  }
}

TEST(Leftover, AGroupThatComesBackTakesOverItsServicesAndTheNodesOfItsPool) {
  World world;
  world.ApplyYaml(kRg, "g", R"({"replicas": 2})");
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(world.Column(kRg, "g", "membersReady"), "3/3");
  std::map<std::string, std::string> pods;
  for (const char* node : {"g-001", "g-002", "g-003"}) pods[node] = PodUid(&world, node);
  const std::string service = Uid(&world, "Service", "g");
  const std::vector<Child> children = {{"Service", "g"},           {"Service", "g-reader"}, {"EndpointSlice", "g-primary"},
                                       {"PodDisruptionBudget", "g"}, {kCc, "g-001"},          {kRr, "g-002"},
                                       {kRr, "g-003"}};
  LoseUnseen(&world, kRg, "g");
  world.ApplyYaml(kRg, "g", R"({"replicas": 2})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(OwnersOf(&world, children), std::set{Uid(&world, kRg, "g")});
  EXPECT_EQ(Uid(&world, "Service", "g"), service) << "clients keep its address";
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "3/3");
  EXPECT_FALSE(world.Exists(kRr, "g-004")) << "the pool is full";
  PassTheWait(&world);
  for (const auto& [node, pod] : pods) EXPECT_EQ(PodUid(&world, node), pod) << node;

  world.Delete(kRg, "g");
  ASSERT_TRUE(world.Settle());
  EXPECT_THAT(OwnersOf(&world, children), IsEmpty());
}

TEST(Leftover, IsNeverDeletedWhileAnObjectOfItsNameLives) {
  OrphanView view;
  view.complete = true;
  const api::ObjectRef gone{"", "ReadReplica", "ns", "v", "gone", ""};
  view.children = {{{"apps/v1", "StatefulSet", "ns", "v", "1", "7"}, gone}};
  const MonoTime now{1'000'000'000};
  view.announced = PlanOrphans(view, now, {}).announced;
  ASSERT_TRUE(view.announced.contains("gone"));
  view.living = {"new"};
  view.living_keys = {OwnerKey({"", "CacheCluster", "ns", "v", "new", ""})};
  OrphanPlan plan = PlanOrphans(view, now + kOrphanWait, {});
  EXPECT_THAT(plan.deletes, IsEmpty());
  EXPECT_THAT(plan.announced, IsEmpty()) << "the wait begins anew if it is left alone again";
  view.deletions_seen["gone"] = now;
  EXPECT_THAT(PlanOrphans(view, now, {}).deletes, IsEmpty());
  view.living_keys = {OwnerKey({"", "CacheCluster", "other", "v", "new", ""}),
                      OwnerKey({"", "ReplicationGroup", "ns", "v", "new", ""})};
  EXPECT_EQ(PlanOrphans(view, now, {}).deletes.size(), 1u) << "of another namespace, or no node";
}

TEST(Leftover, IsJudgedByWhatItsProcessSays) {
  NodeView view;
  view.node.meta.name = "v";
  view.node.meta.uid = "new";
  failover::PodView process;
  EXPECT_EQ(JudgeLeftover(view, &process, "g"), Leftover::kTake) << "nothing was left";
  view.stateful_set.emplace();
  view.stateful_set->meta.annotations = {{api::kOwnerAnnotation, "ReadReplica/v"}, {api::kOwnerUidAnnotation, "old"}};
  EXPECT_EQ(JudgeLeftover(view, &process, "g"), Leftover::kTake) << "it has no Pod";
  view.pod.emplace();
  EXPECT_EQ(JudgeLeftover(view, &process, "g"), Leftover::kTake) << "nothing runs in it";
  view.pod->running = true;
  EXPECT_EQ(JudgeLeftover(view, &process, "g"), Leftover::kWait);
  EXPECT_EQ(JudgeLeftover(view, &process, ""), Leftover::kRemove);
  process.channel.up = true;
  process.heard.emplace();
  for (const char* group : {"", "g", "new"}) {
    process.heard->state.group = group;
    EXPECT_EQ(JudgeLeftover(view, &process, "g"), Leftover::kTake) << group;
  }
  process.heard->state.group = "old";
  EXPECT_EQ(JudgeLeftover(view, &process, "g"), Leftover::kRemove) << "it stood alone, for the older one";
  view.node.status.group_uid = "old";
  EXPECT_EQ(JudgeLeftover(view, &process, "g"), Leftover::kTake) << "a group that is gone, which it may leave";
}

// What is made for an object comes after the proof that the object exists, or after the finalizer that keeps it.
void ExpectProofFirst(const Plan& plan, int children, int looks) {
  std::set<std::string> proven;
  for (const Action& action : plan.actions) {
    if (const auto* set = std::get_if<SetFinalizers>(&action)) proven.insert(set->ref.uid);
    if (const auto* confirm = std::get_if<ConfirmExists>(&action)) {
      --looks;
      EXPECT_TRUE(proven.insert(confirm->ref.uid).second) << "asked twice: " << confirm->ref.name;
    }
    const auto* create = std::get_if<CreateObject>(&action);
    if (create == nullptr) continue;
    const api::ObjectMeta meta = api::ParseMeta(create->object);
    if (meta.OwnerUid().empty()) continue;
    --children;
    EXPECT_TRUE(proven.contains(meta.OwnerUid())) << meta.name;
  }
  EXPECT_EQ(children, 0);
  EXPECT_EQ(looks, 0) << "a finalizer is the proof where there is one";
}

// The first plan of the group that makes something.
Plan FirstPlan(World* world, const std::string& group) {
  for (int i = 0; i < 20; ++i) {
    Plan plan = world->GroupPlan(group);
    if (!plan.actions.empty()) return plan;
    world->OneStep();
  }
  return {};
}

TEST(FirstChild, ComesAfterTheFinalizerOfAMember) {
  World world;
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a"})");
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g"})");
  world.ApplyYaml(kRr, "b", R"({"replicationGroupId": "g"})");
  const Plan plan = FirstPlan(&world, "g");
  ExpectProofFirst(plan, 3 + 2 * 3, 0);
  int finalizers = 0;
  for (const Action& action : plan.actions) finalizers += std::holds_alternative<SetFinalizers>(action) ? 1 : 0;
  EXPECT_EQ(finalizers, 3);
}

TEST(FirstChild, ComesAfterTheFinalizerOfAGroup) {
  World world;
  world.ApplyYaml(kRg, "g", R"({"replicas": 1})");
  ExpectProofFirst(FirstPlan(&world, "g"), 2 + 2, 0);
}

TEST(FirstChild, OfWhoGetsNoFinalizerComesAfterALookAtIt) {
  World world;
  world.ApplyYaml(kCc, "a", "{}");
  ExpectProofFirst(world.LonePlan(kCc, "a"), 3, 1);
  world.Delete(kCc, "a");
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "b"})");
  world.ApplyYaml(kCc, "b", R"({"replicationGroupId": "g"})");
  ExpectProofFirst(FirstPlan(&world, "g"), 2 + 3, 1);
}

}  // namespace
}  // namespace understudy::plan
