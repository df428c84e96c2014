// Changes that need new Pods: what waits, how long, and in which order they come into force. The failover
// machine is the real one; the clock is moved by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "operator/plan/deferral.h"
#include "tests/unit/operator/plan/three.h"

namespace understudy::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Rollout, WaitsForTheWindowVisiblyAndWithoutAWrite) {
  Three three;
  World& world = three.world;
  three.Edit(R"("node": {"image": "understudy:2"})");
  EXPECT_THAT(three.Order(), IsEmpty());
  for (const char* node : {"a", "b", "c"}) {
    const char* kind = std::string(node) == "a" ? kCc : kRr;
    EXPECT_EQ(world.Column(kind, node, "pending"), "image until Sat 02:00Z");
    EXPECT_EQ(world.Column(kind, node, "effectiveImage"), "understudy:1");
    EXPECT_EQ(world.Column(kind, node, "effectivePreferredMaintenanceWindow"), "sat:02:00-sat:03:00");
    EXPECT_EQ(world.Truth(kind, node, "PendingModifications"), "True");
    EXPECT_EQ(world.Reason(kind, node, "PendingModifications"), "WaitingForMaintenanceWindow");
    EXPECT_EQ(world.Truth(kind, node, "Ready"), "True");
    EXPECT_EQ(world.Column(kind, node, "phase"), "available");
    const Json& pending = (*world.Get(kind, node))["status"]["pendingModifiedValues"];
    ASSERT_EQ(pending.size(), 1u);
    EXPECT_EQ(pending[0], Json({{"field", "image"},
                                {"from", "understudy:1"},
                                {"to", "understudy:2"},
                                {"notBefore", "2025-10-11T02:00:00Z"},
                                {"reason", "WaitingForMaintenanceWindow"}}));
    EXPECT_EQ(world.Told("ModificationPending", node), 1);
  }
  EXPECT_EQ(world.Column(kRg, "g", "pending"), "image until Sat 02:00Z");
  EXPECT_THAT(world.Message(kRg, "g", "PendingModifications"),
              HasSubstr("image of a, b, c (understudy:1 -> understudy:2) waits for the maintenance window, Sat 02:00Z"));
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "True");
  EXPECT_EQ(world.Column(kRg, "g", "phase"), "available");
  EXPECT_TRUE(three.SameObservedGeneration(kRg, "g"));

  const int before = world.writes();
  for (int hour = 0; hour < 40; ++hour) {
    world.Advance(Seconds(3600));
    world.Round();
  }
  EXPECT_LT(world.wall(), kOpening);
  EXPECT_EQ(world.writes(), before) << "nothing is written while it waits";
  const Plan plan = world.GroupPlan("g");
  EXPECT_TRUE(plan.Idle());
}

TEST(Rollout, ReplacesReplicasFirstAndThePrimaryLastAfterASwitchover) {
  Three three;
  World& world = three.world;
  three.Edit(R"("node": {"image": "understudy:2"})");
  ASSERT_THAT(three.Order(), IsEmpty());
  world.Process("a")->keys = 5;
  const std::string dataset = world.Process("a")->dataset;
  world.AdvanceTo(kOpening);
  EXPECT_THAT(three.Order(), ElementsAre("b", "c", "a"));
  for (const char* node : {"a", "b", "c"}) EXPECT_EQ(ImageOf(&world, node), "understudy:2");
  EXPECT_NE(world.Column(kRg, "g", "primary"), "a");
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "3/3");
  EXPECT_EQ(world.Column(kRg, "g", "pending"), "");
  EXPECT_EQ(world.Truth(kRg, "g", "PendingModifications"), "False");
  EXPECT_EQ(world.Column(kCc, "a", "effectiveImage"), "understudy:2");
  EXPECT_EQ(world.Process("a")->dataset, dataset) << "no data was lost";
  EXPECT_FALSE(world.HadEvent("DataLost"));
  const Json& history = (*world.Get(kRg, "g"))["status"]["failoverHistory"];
  ASSERT_EQ(history.size(), 1u);
  EXPECT_EQ(JsonString(history[0], "kind"), "switchover");
  EXPECT_THAT(JsonString(history[0], "message"), HasSubstr("the Pod of a is to be replaced"));
  for (const char* node : {"a", "b", "c"}) {
    EXPECT_EQ(world.Told("ModificationPending", node), 1) << node;
    EXPECT_EQ(world.Told("ApplyingModification", node), 1) << node;
    EXPECT_EQ(world.Told("ModificationApplied", node), 1) << node;
  }
}

TEST(Rollout, ApplyImmediatelyDoesItNow) {
  Three three(R"("applyImmediately": true)");
  three.Edit(R"("applyImmediately": true, "node": {"parameters": {"hz": 20}})");
  EXPECT_THAT(three.Order(), ElementsAre("b", "c", "a"));
  EXPECT_EQ(three.world.Told("ModificationPending", "b"), 0) << "it never had to wait";
}

TEST(Rollout, ApplyImmediatelySetLaterFlushesWhatWaits) {
  Three three;
  three.Edit(R"("node": {"image": "understudy:2", "resources": {"limits": {"memory": "1Gi"}}})");
  ASSERT_THAT(three.Order(), IsEmpty());
  EXPECT_EQ(three.world.Column(kRr, "b", "pending"), "image, resources until Sat 02:00Z");
  EXPECT_EQ(three.world.Told("ModificationPending", "b"), 1) << "one event, with both";
  EXPECT_THAT(three.world.NoteOf("ModificationPending"), testing::AllOf(HasSubstr("image ("), HasSubstr("resources (")));
  three.Edit(R"("applyImmediately": true, "node": {"image": "understudy:2", "resources": {"limits": {"memory": "1Gi"}}})");
  EXPECT_THAT(three.Order(), ElementsAre("b", "c", "a"));
}

TEST(Rollout, GoesTheSameWayWithSynchronousReplicasAndWithoutAutomaticFailover) {
  for (const char* more : {R"("synchronousReplicas": 2)", R"("automaticFailover": false)"}) {
    Three three(std::string(R"("applyImmediately": true, )") + more);
    three.Edit(std::string(R"("applyImmediately": true, "node": {"image": "understudy:2"}, )") + more);
    EXPECT_THAT(three.Order(), ElementsAre("b", "c", "a")) << more;
    EXPECT_EQ(three.world.Column(kRg, "g", "membersReady"), "3/3") << more;
    EXPECT_FALSE(three.world.HadEvent("DataLost")) << more;
  }
}

TEST(Rollout, APodThatChangedSinceItWasSeenIsLookedAtAgain) {
  Three three(R"("applyImmediately": true)");
  three.Edit(R"("applyImmediately": true, "node": {"image": "understudy:2"})");
  three.world.Round();
  const std::string version = JsonString((*three.world.Get("Pod", "b-0"))["metadata"], "resourceVersion");
  const Plan plan = three.world.GroupPlan("g");
  ASSERT_EQ(plan.actions.size(), 1u);
  const auto* del = std::get_if<DeleteObject>(&plan.actions[0]);
  ASSERT_NE(del, nullptr);
  EXPECT_EQ(del->ref.name, "b-0");
  EXPECT_EQ(del->ref.uid, PodUid(&three.world, "b"));
  EXPECT_EQ(del->ref.resource_version, version);
}

TEST(Rollout, OneMembersOwnWishFlushesItAlone) {
  Three three;
  three.Edit(R"("node": {"image": "understudy:2"})");
  ASSERT_THAT(three.Order(), IsEmpty());
  three.world.ApplyYaml(kRr, "c", R"({"replicationGroupId": "g", "applyImmediately": true})");
  EXPECT_THAT(three.Order(), ElementsAre("c"));
  EXPECT_EQ(three.world.Column(kRr, "c", "pending"), "");
  EXPECT_EQ(three.world.Column(kRg, "g", "pending"), "image until Sat 02:00Z");
  // Only the primary is let go: it hands over to the member that has the new template.
  three.world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g", "applyImmediately": true})");
  EXPECT_THAT(three.Order(), ElementsAre("a"));
  EXPECT_EQ(three.world.Column(kRg, "g", "primary"), "c");
}

TEST(Rollout, AWindowMovedToNowHoldsAtOnce) {
  Three three;
  three.Edit(R"("node": {"image": "understudy:2"})");
  ASSERT_THAT(three.Order(), IsEmpty());
  three.world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a", "preferredMaintenanceWindow": "thu:08:00-thu:10:00",
                                      "node": {"image": "understudy:2"}})");
  EXPECT_THAT(three.Order(), ElementsAre("b", "c", "a"));
}

TEST(Rollout, StartsNoStepThatCannotEndInsideTheWindow) {
  Three three;
  three.Edit(R"("node": {"image": "understudy:2"})");
  ASSERT_THAT(three.Order(), IsEmpty());
  three.world.AdvanceTo({kOpening.unix_ms + 60 * 60'000 - kRestartNeeds.ms() + 1});
  EXPECT_THAT(three.Order(), IsEmpty());
  EXPECT_EQ(three.world.Column(kRr, "b", "pending"), "image until Sat 02:00Z") << "the next one";
  EXPECT_THAT((*three.world.Get(kRr, "b"))["status"]["pendingModifiedValues"][0]["notBefore"], "2025-10-18T02:00:00Z");
  EXPECT_EQ(three.world.Told("ModificationPending", "b"), 1) << "told once";
  // A replica still fits where a primary, with its switchover, does not.
  three.world.AdvanceTo({At("2025-10-18T03:00:00Z").unix_ms - kRestartNeeds.ms() - 30'000});
  EXPECT_THAT(three.Order(), ElementsAre("b", "c"));
  EXPECT_EQ(three.world.Column(kCc, "a", "pending"), "image until Sat 02:00Z");
  EXPECT_EQ(three.world.Column(kRg, "g", "primary"), "a");
}

TEST(Rollout, GoesOnWhenTheNewOneIsInSyncAgainAndNotBefore) {
  Three three;
  World& world = three.world;
  world.AdvanceTo(kOpening);
  three.Edit(R"("node": {"image": "understudy:2"})");
  three.RunUntilImage("b", "understudy:2");
  world.SetInSync("b", false);  // its copy takes long
  ASSERT_TRUE(world.Settle());
  world.Advance(Seconds(200));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(ImageOf(&world, "c"), "understudy:1");
  EXPECT_EQ(ImageOf(&world, "a"), "understudy:1");
  EXPECT_EQ(world.Reason(kRr, "c", "PendingModifications"), "WaitingForMembers");
  EXPECT_THAT(world.Message(kRr, "c", "PendingModifications"), HasSubstr("waits until b is in sync"));
  EXPECT_EQ(world.Column(kRr, "c", "pending"), "image now");
  world.SetInSync("b", true);
  EXPECT_THAT(three.Order(), ElementsAre("c", "a"));
}

TEST(Rollout, DoesNothingWhileAnotherMemberIsDown) {
  Three three;
  World& world = three.world;
  world.AdvanceTo(kOpening);
  world.SetInSync("c", false);
  three.Edit(R"("node": {"image": "understudy:2"})");
  // c itself may go: it is down anyway, and all others work.
  EXPECT_THAT(three.Order(), ElementsAre("c"));
  EXPECT_EQ(world.Reason(kRr, "b", "PendingModifications"), "WaitingForMembers");
  EXPECT_THAT(world.Message(kCc, "a", "PendingModifications"), HasSubstr("waits until c is in sync"));
  world.SetInSync("c", true);
  EXPECT_THAT(three.Order(), ElementsAre("b", "a"));
}

TEST(Rollout, DoesNothingWhileTwoAreDown) {
  Three three(R"("applyImmediately": true)");
  World& world = three.world;
  world.SetInSync("b", false);
  world.SetInSync("c", false);
  three.Edit(R"("applyImmediately": true, "node": {"image": "understudy:2"})");
  EXPECT_THAT(three.Order(), IsEmpty());
  EXPECT_THAT(world.Message(kRr, "b", "PendingModifications"), HasSubstr("waits until c is in sync"));
}

TEST(Rollout, WaitsForAPodThatStillTerminates) {
  Three three(R"("applyImmediately": true)");
  World& world = three.world;
  // The kubelet takes its time with b.
  (*world.Get("Pod", "b-0"))["metadata"]["finalizers"] = {"test/kubelet"};
  three.Edit(R"("applyImmediately": true, "node": {"image": "understudy:2"})");
  EXPECT_THAT(three.Order(), IsEmpty());
  EXPECT_TRUE((*world.Get("Pod", "b-0"))["metadata"].contains("deletionTimestamp"));
  EXPECT_EQ(ImageOf(&world, "c"), "understudy:1");
  EXPECT_EQ(world.Told("ApplyingModification", "b"), 1);
  world.Erase("Pod", "b-0");
  EXPECT_THAT(three.Order(), ElementsAre("b", "c", "a"));
}

TEST(Rollout, AnEditBackCancelsWhatWaits) {
  Three three;
  three.Edit(R"("node": {"image": "understudy:2"})");
  ASSERT_THAT(three.Order(), IsEmpty());
  three.Edit("");
  EXPECT_THAT(three.Order(), IsEmpty());
  for (const char* node : {"b", "c"}) {
    EXPECT_EQ(three.world.Column(kRr, node, "pending"), "");
    EXPECT_EQ(three.world.Told("ModificationCancelled", node), 1);
    EXPECT_EQ(three.world.Told("ModificationApplied", node), 0);
  }
  EXPECT_EQ(three.world.Truth(kRg, "g", "PendingModifications"), "False");
  three.world.AdvanceTo(kOpening);
  EXPECT_THAT(three.Order(), IsEmpty());
}

TEST(Rollout, AnEditBackInTheMiddleLeavesThoseAloneThatWereNotReplaced) {
  Three three;
  World& world = three.world;
  world.AdvanceTo(kOpening);
  three.Edit(R"("node": {"image": "understudy:2"})");
  three.RunUntilImage("b", "understudy:2");
  three.Edit("");
  EXPECT_THAT(three.Order(), ElementsAre("b")) << "only the one that was replaced goes back";
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "a");
}

TEST(Rollout, ANewerEditReplacesTheOneThatWaits) {
  Three three;
  three.Edit(R"("node": {"image": "understudy:2"})");
  ASSERT_THAT(three.Order(), IsEmpty());
  three.Edit(R"("node": {"image": "understudy:3"})");
  ASSERT_THAT(three.Order(), IsEmpty());
  EXPECT_EQ(three.world.Told("ModificationPending", "b"), 2);
  EXPECT_THAT(three.world.NoteOf("ModificationPending"), HasSubstr("instead of the change to understudy:2"));
  three.world.AdvanceTo(kOpening);
  EXPECT_THAT(three.Order(), ElementsAre("b", "c", "a"));
  EXPECT_EQ(ImageOf(&three.world, "a"), "understudy:3");
}

TEST(Rollout, APodThatIsMadeAnewForAnotherReasonTakesItsPendingTemplate) {
  Three three;
  three.Edit(R"("node": {"image": "understudy:2"})");
  ASSERT_THAT(three.Order(), IsEmpty());
  three.world.Delete("Pod", "c-0");
  EXPECT_THAT(three.Order(), ElementsAre("c"));
  EXPECT_EQ(ImageOf(&three.world, "c"), "understudy:2");
  EXPECT_EQ(three.world.Column(kRr, "c", "pending"), "");
  EXPECT_EQ(three.world.Told("ModificationApplied", "c"), 1);
  EXPECT_EQ(three.world.Column(kRr, "b", "pending"), "image until Sat 02:00Z");
}

TEST(Rollout, ANewDefaultImageIsAPendingModificationAndNeverASilentRestart) {
  Three three;
  World& world = three.world;
  EXPECT_EQ(world.Column(kCc, "a", "effectiveImage"), "understudy:1");
  world.settings.default_node_image = "understudy:2";
  EXPECT_THAT(three.Order(), IsEmpty());
  EXPECT_EQ(world.Column(kCc, "a", "effectiveImage"), "understudy:1");
  EXPECT_EQ(world.Column(kCc, "a", "pending"), "image until Sat 02:00Z");
  world.ApplyYaml(kRr, "new", R"({"replicationGroupId": "g"})");
  ASSERT_THAT(three.Order(), IsEmpty());
  EXPECT_EQ(world.Column(kRr, "new", "effectiveImage"), "understudy:2");
  world.AdvanceTo(kOpening);
  EXPECT_THAT(three.Order(), ElementsAre("b", "c", "a"));
  EXPECT_EQ(world.Column(kCc, "a", "effectiveImage"), "understudy:2");
}

TEST(Rollout, ANewOperatorGoesOnInTheMiddleAndTellsNothingTwice) {
  Three three(R"("applyImmediately": true)");
  World& world = three.world;
  three.Edit(R"("applyImmediately": true, "node": {"image": "understudy:2"})");
  std::vector<std::string> order;
  for (int i = 0; i < 300; ++i) {
    world.ForgetMemories();  // another process each time
    world.Round();
    for (auto& [node, uid] : three.pods) {
      if (const std::string now = PodUid(&world, node); now != uid) {
        order.push_back(node);
        uid = now;
      }
    }
    world.Advance(Milliseconds(100));
  }
  EXPECT_THAT(order, ElementsAre("b", "c", "a"));
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "3/3");
  for (const char* node : {"a", "b", "c"}) {
    EXPECT_EQ(world.Told("ApplyingModification", node), 1) << node;
    EXPECT_EQ(world.Told("ModificationApplied", node), 1) << node;
  }
}

bool DeletesPods(const Plan& plan) {
  return std::any_of(plan.actions.begin(), plan.actions.end(), [](const Action& action) {
    const auto* del = std::get_if<DeleteObject>(&action);
    return del != nullptr && del->ref.kind == "Pod";
  });
}

TEST(Rollout, DoesNothingWhileTheVotersChange) {
  Three three(R"("applyImmediately": true)");
  World& world = three.world;
  three.Edit(R"("applyImmediately": true, "node": {"image": "understudy:2"})");
  world.Round();
  ASSERT_TRUE(DeletesPods(world.GroupPlan("g")));
  // The primary has not acknowledged the newest configuration yet.
  Json& configurations = (*world.Get(kRg, "g"))["status"]["configurations"];
  Json newest = configurations[0];
  newest["number"] = JsonInt(newest, "number") + 1;
  configurations.push_back(newest);
  world.Process("a")->configuration = static_cast<uint64_t>(JsonInt(newest, "number"));
  EXPECT_FALSE(DeletesPods(world.GroupPlan("g")));
}

TEST(Rollout, SaysWhatIsDoneBeforeItIsDone) {
  Three three(R"("applyImmediately": true)");
  three.Edit(R"("applyImmediately": true, "node": {"image": "understudy:2"})");
  EXPECT_FALSE(DeletesPods(three.world.GroupPlan("g"))) << "the StatefulSet is outdated, nothing was said";
  three.world.Round();
  // The status says so now and the StatefulSet has the template, but has its controller seen it?
  Json* set = three.world.Get("StatefulSet", "b");
  const Json seen = (*set)["status"];
  (*set)["status"]["observedGeneration"] = 0;
  EXPECT_FALSE(DeletesPods(three.world.GroupPlan("g"))) << "a new Pod might get the old template";
  (*set)["status"] = seen;
  Json& hash = (*set)["spec"]["template"]["metadata"]["annotations"][api::kTemplateHashAnnotation];
  const Json wanted = hash;
  hash = "another";
  EXPECT_FALSE(DeletesPods(three.world.GroupPlan("g"))) << "somebody has put the old template back";
  hash = wanted;
  EXPECT_EQ(three.world.Reason(kRr, "b", "PendingModifications"), "ApplyingModifications");
  EXPECT_TRUE(DeletesPods(three.world.GroupPlan("g")));
}

TEST(Rollout, NamesEachFieldAndWhatItIsFromAndTo) {
  Three three(R"("node": {"parameters": {"hz": 10}})");
  three.Edit(R"("node": {"parameters": {"hz": 20, "timeout": 5}, "resources": {"limits": {"cpu": "2", "memory": "1Gi"},
                "requests": {"cpu": "1"}}, "nodeSelector": {"disk": "ssd"}})");
  ASSERT_THAT(three.Order(), IsEmpty());
  EXPECT_EQ(three.world.Column(kRr, "b", "pending"), "parameters, podTemplate, resources until Sat 02:00Z");
  const Json& pending = (*three.world.Get(kRr, "b"))["status"]["pendingModifiedValues"];
  EXPECT_EQ(pending[0]["from"], "hz=10");
  EXPECT_EQ(pending[0]["to"], "hz=20 timeout=5");
  EXPECT_FALSE(pending[2].contains("from"));
  EXPECT_EQ(pending[2]["to"], "limits cpu=2 memory=1Gi; requests cpu=1");
}

TEST(Rollout, APodOfAnOlderOperatorIsReplacedToo) {
  Three three(R"("applyImmediately": true)");
  for (const char* node : {"a", "b", "c"}) {
    Json& annotations = (*three.world.Get("Pod", std::string(node) + "-0"))["metadata"]["annotations"];
    annotations.erase(api::kTemplateValuesAnnotation);
  }
  EXPECT_THAT(three.Order(), IsEmpty()) << "the same template";
  for (const char* node : {"a", "b", "c"}) {
    (*three.world.Get("Pod", std::string(node) + "-0"))["metadata"]["annotations"][api::kTemplateHashAnnotation] = "old";
  }
  EXPECT_THAT(three.Order(), ElementsAre("b", "c", "a"));
}

TEST(Rollout, AValueThatIsTakenAwayIsUnset) {
  Three three(R"("node": {"parameters": {"hz": 20}})");
  World& world = three.world;
  three.Edit("");
  ASSERT_THAT(three.Order(), IsEmpty());
  EXPECT_THAT(world.Message(kRg, "g", "PendingModifications"), HasSubstr("(hz=20 -> unset) waits"));
  EXPECT_THAT(world.NoteOf("ModificationPending"), HasSubstr("(hz=20 -> unset) waits"));
  const Json& pending = (*world.Get(kRg, "g"))["status"]["pendingModifiedValues"];
  ASSERT_EQ(pending.size(), 1u);
  EXPECT_EQ(JsonString(pending[0], "from"), "hz=20");
  EXPECT_FALSE(pending[0].contains("to"));
  three.Edit(R"("node": {"parameters": {"hz": 30}})");
  ASSERT_THAT(three.Order(), IsEmpty());
  EXPECT_THAT(world.NoteOf("ModificationPending"), HasSubstr("instead of the change to unset"));
}

TEST(Rollout, WhatDiffersByMemberIsSaid) {
  Three three;
  three.world.ApplyYaml(kRr, "b", R"({"replicationGroupId": "g", "node": {"image": "other:1"}})");
  three.Edit(R"("node": {"image": "understudy:2"})");
  ASSERT_THAT(three.Order(), IsEmpty());
  const Json& pending = (*three.world.Get(kRg, "g"))["status"]["pendingModifiedValues"];
  ASSERT_EQ(pending.size(), 1u);
  EXPECT_FALSE(pending[0].contains("to"));
  EXPECT_THAT(three.world.Message(kRg, "g", "PendingModifications"), HasSubstr("image of a, b, c (differs by member)"));
}

TEST(Rollout, AnImageThatDoesNotStartStopsItAndItsCorrectionGoesOn) {
  Three three(R"("applyImmediately": true)");
  World& world = three.world;
  world.SetBroken("b", "ImagePullBackOff");
  three.Edit(R"("applyImmediately": true, "node": {"image": "typo:2"})");
  std::vector<std::string> order;
  for (int i = 0; i < 50; ++i) {
    world.Round();
    world.Advance(Milliseconds(500));
  }
  EXPECT_EQ(ImageOf(&world, "b"), "typo:2");
  EXPECT_EQ(ImageOf(&world, "c"), "understudy:1");
  EXPECT_EQ(ImageOf(&world, "a"), "understudy:1");
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "True");
  // Nothing runs in that Pod: its correction waits for no window.
  world.SetBroken("b", "");
  three.Edit(R"("node": {"image": "understudy:1"})");
  three.pods["b"] = PodUid(&world, "b");
  EXPECT_THAT(three.Order(), ElementsAre("b"));
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "3/3");
  EXPECT_EQ(world.Column(kRg, "g", "pending"), "");
}

TEST(Rollout, AMemberThatNeverRanTakesACorrectionAtOnce) {
  World world;
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a", "preferredMaintenanceWindow": "sat:02:00-sat:03:00"})");
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g"})");
  world.SetBroken("b", "ContainerCreating");
  world.ApplyYaml(kRr, "b", R"({"replicationGroupId": "g", "node": {"nodeSelector": {"disk": "ssb"}}})");
  world.Settle();
  world.Advance(Seconds(10));
  world.Settle();
  EXPECT_THAT(world.Message(kRr, "b", "Ready"), HasSubstr("kubectl describe pod b-0"));
  EXPECT_EQ(world.Reason(kRg, "g", "Degraded"), "Healthy") << "it starts for the first time";
  world.SetBroken("b", "");
  world.ApplyYaml(kRr, "b", R"({"replicationGroupId": "g", "node": {"nodeSelector": {"disk": "ssd"}}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "2/2");
}

TEST(Rollout, AReplicaThatLeavesAndThatTheGroupCountsOnTakesTheRoleMeanwhile) {
  World world;
  // With one synchronous replica the last one is not let go before another has its place.
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a", "applyImmediately": true, "synchronousReplicas": 1})");
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g"})");
  world.ApplyYaml(kRr, "b", R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world.Settle());
  world.Process("a")->keys = 5;
  world.Delete(kRr, "b");
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g", "node": {"image": "understudy:2"}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(ImageOf(&world, "a"), "understudy:2");
  EXPECT_EQ(world.Process("a")->keys, 5u);
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "a");
  EXPECT_THAT(world.Message(kRr, "b", "Accepted"), HasSubstr("because synchronousReplicas is 1"));
  world.ApplyYaml(kRr, "c", R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world.Settle());
  EXPECT_FALSE(world.Exists(kRr, "b"));
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "a");
}

TEST(Rollout, HandsOverToOneThatStaysRatherThanToOneThatAsksToLeave) {
  Three three;
  World& world = three.world;
  world.ApplyYaml(kRr, "b", R"({"promotedFrom": "g"})");  // in the window
  ASSERT_TRUE(world.Settle());
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g", "applyImmediately": true, "node": {"image": "understudy:2"}})");
  EXPECT_EQ(three.Order(), std::vector<std::string>{"a"});
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "c");
}

TEST(Rollout, WhyThePrimaryCannotHandOverIsSaidWithoutWritingItAgain) {
  Three three;
  World& world = three.world;
  three.Edit(R"("node": {"image": "understudy:2"})");
  ASSERT_THAT(three.Order(), IsEmpty());
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g", "applyImmediately": true})");
  // b and c are in sync, but more than a pause behind in bytes.
  world.SetFarBehind(true);
  EXPECT_THAT(three.Order(), IsEmpty());
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "a");
  EXPECT_THAT(world.Message(kCc, "a", "PendingModifications"), HasSubstr("is to be applied, but"));
  EXPECT_THAT(world.Message(kCc, "a", "PendingModifications"), HasSubstr("lags"));
  const int before = world.writes();
  for (int i = 0; i < 20; ++i) {
    world.Round();
    world.Advance(Seconds(1));
  }
  EXPECT_EQ(world.writes(), before);
  world.SetFarBehind(false);
  EXPECT_THAT(three.Order(), ElementsAre("a"));
}

TEST(Rollout, ASwitchoverThatIsAbortedIsTriedAgainLaterAndNothingElseHappensMeanwhile) {
  Three three;
  World& world = three.world;
  three.Edit(R"("node": {"image": "understudy:2"})");
  ASSERT_THAT(three.Order(), IsEmpty());
  world.SetDeaf(true);  // nodes do not hold their writes: the pause is over before anybody has caught up
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g", "applyImmediately": true})");
  int begun = 0;
  for (int i = 0; i < 80; ++i) {  // 8 s
    world.Round();
    world.Advance(Milliseconds(100));
  }
  begun = world.Told("SwitchoverStarted");
  EXPECT_GE(world.Told("SwitchoverAborted"), 1);
  EXPECT_LE(begun, 2) << "not again at once";
  EXPECT_EQ(ImageOf(&world, "a"), "understudy:1");
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "a");
  world.SetDeaf(false);
  EXPECT_THAT(three.Order(), ElementsAre("a"));
}

TEST(Rollout, SettingsThatNoPodCanHaveLeaveNothingPending) {
  Three three(R"("applyImmediately": true)");
  three.Edit(R"("applyImmediately": true, "node": {"resources": {"limits": {"memory": "1Gi"}}, "parameters": {"maxmemory": "2gb"}})");
  EXPECT_THAT(three.Order(), IsEmpty());
  EXPECT_EQ(three.world.Reason(kRr, "b", "Accepted"), "InvalidParameterCombination");
  EXPECT_EQ(three.world.Column(kRr, "b", "pending"), "");
}

}  // namespace
}  // namespace understudy::plan
