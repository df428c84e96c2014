// What else waits, or does not: nodes without a replica, switchovers by edit, failovers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/plan/deferral.h"
#include "operator/plan/maintenance_window.h"
#include "tests/unit/operator/plan/three.h"

namespace understudy::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Deferred, WakesWhenTheWindowOpensOrWithinAnHour) {
  Three three;
  three.Edit(R"("node": {"image": "understudy:2"})");
  ASSERT_THAT(three.Order(), IsEmpty());
  World world;
  world.ApplyYaml(kCc, "alone", R"({"preferredMaintenanceWindow": "sat:02:00-sat:03:00"})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.LonePlan(kCc, "alone").wake_at.ns, INT64_MAX) << "nothing waits";
  world.ApplyYaml(kCc, "alone", R"({"preferredMaintenanceWindow": "sat:02:00-sat:03:00", "node": {"image": "x:2"}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_LE(world.LonePlan(kCc, "alone").wake_at, world.now() + Seconds(3600));
  world.AdvanceTo({kOpening.unix_ms - 90'000});
  EXPECT_EQ(world.LonePlan(kCc, "alone").wake_at, world.now() + Seconds(90));
}

TEST(Deferred, AFailoverIsNotDeferredAndTheRolloutGoesOnAfterIt) {
  Three three;
  World& world = three.world;
  world.AdvanceTo(kOpening);
  three.Edit(R"("node": {"image": "understudy:2"})");
  world.Round();
  world.KillProcess("a");
  const std::vector<std::string> order = three.Order(3);  // the replicas have lost their primary
  EXPECT_EQ(order.size(), 3u) << "each once";
  const Json& history = (*world.Get(kRg, "g"))["status"]["failoverHistory"];
  ASSERT_EQ(history.size(), 2u);
  EXPECT_EQ(JsonString(history[0], "kind"), "takeover");
  EXPECT_EQ(JsonString(history[1], "kind"), "switchover");
  for (const char* node : {"a", "b", "c"}) EXPECT_EQ(ImageOf(&world, node), "understudy:2");
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "3/3");
}

TEST(Deferred, AGroupOfOneLosesItsDataOnlyWhenItIsDueAndSaysSoBefore) {
  World world;
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a", "preferredMaintenanceWindow": "sat:02:00-sat:03:00"})");
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world.Settle());
  const std::string dataset = world.Process("a")->dataset;
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g", "node": {"image": "understudy:2"}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(ImageOf(&world, "a"), "understudy:1");
  EXPECT_THAT(world.Message(kCc, "a", "PendingModifications"),
              HasSubstr("a has no replica, so its data is lost when its Pod is replaced"));
  EXPECT_THAT(world.Message(kRg, "g", "PendingModifications"), HasSubstr("its data is lost"));
  EXPECT_THAT(world.NoteOf("ModificationPending"), HasSubstr("its data is lost"));
  world.AdvanceTo(kOpening);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(ImageOf(&world, "a"), "understudy:2");
  EXPECT_NE(world.Process("a")->dataset, dataset);
  EXPECT_EQ(world.Column(kRg, "g", "phase"), "available");
  EXPECT_EQ(world.Column(kCc, "a", "pending"), "");
  EXPECT_TRUE(world.HadEvent("DataLost"));
  EXPECT_EQ(world.Told("ApplyingModification", "a"), 1);
}

TEST(Deferred, ANodeThatStandsAloneWaitsForItsOwnWindow) {
  World world;
  world.ApplyYaml(kCc, "a", R"({"preferredMaintenanceWindow": "sat:02:00-sat:03:00"})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Truth(kCc, "a", "PendingModifications"), "False");
  const std::string incarnation = world.Process("a")->incarnation;
  world.ApplyYaml(kCc, "a", R"({"preferredMaintenanceWindow": "sat:02:00-sat:03:00", "node": {"parameters": {"hz": 20}}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kCc, "a", "pending"), "parameters until Sat 02:00Z");
  EXPECT_THAT(world.Message(kCc, "a", "PendingModifications"), HasSubstr("its data is lost"));
  EXPECT_EQ(world.Truth(kCc, "a", "Ready"), "True");
  const int before = world.writes();
  world.Advance(Seconds(3600));
  world.Round();
  EXPECT_EQ(world.writes(), before);
  EXPECT_EQ(world.Process("a")->incarnation, incarnation);
  world.AdvanceTo(kOpening);
  ASSERT_TRUE(world.Settle());
  EXPECT_NE(world.Process("a")->incarnation, incarnation);
  EXPECT_EQ(world.Column(kCc, "a", "pending"), "");
  EXPECT_EQ(world.Column(kCc, "a", "phase"), "available");
  EXPECT_EQ(world.Told("ModificationPending"), 1);
  EXPECT_EQ(world.Told("ApplyingModification"), 1);
  EXPECT_EQ(world.Told("ModificationApplied"), 1);
}

TEST(Deferred, ANodeThatStandsAloneCanBeToldToDoItNow) {
  World world;
  world.ApplyYaml(kCc, "a", "{}");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kCc, "a", "effectivePreferredMaintenanceWindow"),
            DefaultMaintenanceWindow(JsonString((*world.Get(kCc, "a"))["metadata"], "uid")).Text());
  const std::string incarnation = world.Process("a")->incarnation;
  world.ApplyYaml(kCc, "a", R"({"applyImmediately": true, "node": {"image": "understudy:2"}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_NE(world.Process("a")->incarnation, incarnation);
  EXPECT_EQ(world.Column(kCc, "a", "effectiveImage"), "understudy:2");
}

TEST(Deferred, ASwitchoverByEditWaitsForTheWindowOnce) {
  Three three;
  World& world = three.world;
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "b", "preferredMaintenanceWindow": "sat:02:00-sat:03:00"})");
  EXPECT_THAT(three.Order(), IsEmpty());
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "a");
  EXPECT_EQ(world.Column(kRg, "g", "pending"), "primaryClusterId until Sat 02:00Z");
  EXPECT_EQ(world.Truth(kRg, "g", "Degraded"), "False") << "to wait is no trouble";
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "True");
  EXPECT_TRUE(three.SameObservedGeneration(kRg, "g"));
  EXPECT_EQ(world.Told("ModificationPending", "g"), 1);
  const int before = world.writes();
  world.Advance(Seconds(3600));
  world.Round();
  EXPECT_EQ(world.writes(), before);
  world.AdvanceTo(kOpening);
  EXPECT_THAT(three.Order(), IsEmpty()) << "no Pod goes for it";
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "b");
  EXPECT_EQ(world.Column(kRg, "g", "pending"), "");
  EXPECT_EQ(world.Told("ModificationApplied", "g"), 1);
}

TEST(Deferred, AnEarlierSwitchoverThatFailedIsNotHeldAgainstOneThatWaits) {
  Three three;
  World& world = three.world;
  world.SetDeaf(true);
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "b", "applyImmediately": true})");
  world.Settle(40);
  ASSERT_EQ(world.Told("SwitchoverAborted"), 1);
  world.SetDeaf(false);
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "c", "preferredMaintenanceWindow": "sat:02:00-sat:03:00"})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "pending"), "primaryClusterId until Sat 02:00Z");
  EXPECT_EQ(world.Truth(kRg, "g", "Degraded"), "False");
}

TEST(Deferred, ASwitchoverThatIsAbortedIsNotSaidToBeApplied) {
  Three three;
  World& world = three.world;
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "b", "preferredMaintenanceWindow": "sat:02:00-sat:03:00"})");
  ASSERT_THAT(three.Order(), IsEmpty());
  world.SetDeaf(true);
  world.AdvanceTo(kOpening);
  world.Settle(60);
  ASSERT_EQ(world.Told("SwitchoverAborted"), 1);
  ASSERT_EQ(world.Column(kRg, "g", "primary"), "a");
  EXPECT_EQ(world.Column(kRg, "g", "pending"), "");
  EXPECT_EQ(world.Told("ModificationApplied", "g"), 0);
  EXPECT_EQ(world.Told("ModificationCancelled", "g"), 1);
  EXPECT_EQ(world.NoteOf("ModificationCancelled"), "No longer pending: primaryClusterId a -> b");
  EXPECT_EQ(world.Message(kRg, "g", "PendingModifications"), "no modification is pending");
  EXPECT_EQ(world.Reason(kRg, "g", "Degraded"), "SwitchoverBlocked");
}

TEST(Deferred, ASwitchoverThatIsTakenBackNeverHappens) {
  Three three;
  World& world = three.world;
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "b", "preferredMaintenanceWindow": "sat:02:00-sat:03:00"})");
  ASSERT_THAT(three.Order(), IsEmpty());
  three.Edit("");
  ASSERT_THAT(three.Order(), IsEmpty());
  EXPECT_EQ(world.Told("ModificationCancelled", "g"), 1);
  world.AdvanceTo(kOpening);
  EXPECT_THAT(three.Order(), IsEmpty());
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "a");
}

TEST(Deferred, WhatAFailoverHasDoneAlreadyNoLongerWaits) {
  Three three;
  World& world = three.world;
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "b", "preferredMaintenanceWindow": "sat:02:00-sat:03:00"})");
  ASSERT_THAT(three.Order(), IsEmpty());
  world.SetInSync("c", false);
  world.KillProcess("a");
  three.Order(3);
  ASSERT_EQ(world.Column(kRg, "g", "primary"), "b");
  EXPECT_EQ(world.Column(kRg, "g", "pending"), "");
  EXPECT_EQ(world.Column(kRg, "g", "handledPrimaryClusterId"), "b");
}

TEST(Deferred, ADrainWaitsForNoWindow) {
  Three three;
  World& world = three.world;
  world.Delete(kCc, "a");
  ASSERT_TRUE(world.Settle());
  EXPECT_NE(world.Column(kRg, "g", "primary"), "a");
  EXPECT_FALSE(world.Exists(kCc, "a"));
}

// -- a switchover by edit and a rollout that are due together

// Who got the role, one after the other.
std::vector<std::string> Switchovers(World* world) {
  std::vector<std::string> to;
  for (const Json& entry : JsonAt((*world->Get(kRg, "g"))["status"], "failoverHistory")) {
    to.push_back(JsonString(JsonAt(entry, "newPrimary"), "name"));
  }
  return to;
}

std::string EditOf(const std::string& primary, const std::string& more) {
  return R"({"primaryClusterId": ")" + primary + R"(", "preferredMaintenanceWindow": "sat:02:00-sat:03:00", )" + more + "}";
}
constexpr const char* kImage = R"("node": {"image": "understudy:2"})";

TEST(Together, OneSwitchoverToTheTargetWhichWasReplacedBeforeAndTheOldPrimaryLast) {
  for (const char* target : {"b", "c"}) {
    Three three;
    World& world = three.world;
    world.ApplyYaml(kRg, "g", EditOf(target, kImage));
    ASSERT_THAT(three.Order(), IsEmpty());
    EXPECT_EQ(world.Column(kRg, "g", "pending"), "image, primaryClusterId until Sat 02:00Z");
    world.AdvanceTo(kOpening);
    EXPECT_THAT(three.Order(), ElementsAre("b", "c", "a"));
    EXPECT_THAT(Switchovers(&world), ElementsAre(target)) << "one is enough";
    EXPECT_EQ(world.Column(kRg, "g", "primary"), target);
    EXPECT_EQ(world.Column(kRg, "g", "handledPrimaryClusterId"), target);
    EXPECT_EQ(world.Column(kRg, "g", "pending"), "");
    EXPECT_FALSE(world.HadEvent("SwitchoverBlocked"));
    for (const char* node : {"a", "b", "c"}) {
      EXPECT_EQ(ImageOf(&world, node), "understudy:2");
      EXPECT_EQ(world.Told("ApplyingModification", node), 1);
    }
  }
}

TEST(Together, WithApplyImmediatelyToo) {
  Three three(R"("applyImmediately": true)");
  three.world.ApplyYaml(kRg, "g", EditOf("c", R"("applyImmediately": true, "node": {"image": "understudy:2"})"));
  EXPECT_THAT(three.Order(), ElementsAre("b", "c", "a"));
  EXPECT_THAT(Switchovers(&three.world), ElementsAre("c"));
}

// maxmemory follows the memory limit, so each process is first asked whether it takes it as it runs.
TEST(Together, WithSettingsThatARunningProcessIsAskedToTake) {
  Three three(R"("applyImmediately": true)");
  three.world.ApplyYaml(kRg, "g", EditOf("c", R"("applyImmediately": true, "node": {"resources": {"limits": {"memory": "2Gi"}}})"));
  EXPECT_THAT(three.Order(), ElementsAre("b", "c", "a"));
  EXPECT_THAT(Switchovers(&three.world), ElementsAre("c"));
  EXPECT_EQ(three.world.Column(kRg, "g", "primary"), "c");
}

TEST(Together, InAGroupOfTwo) {
  World world;
  world.ApplyYaml(kRg, "g", EditOf("a", R"("description": "two")"));
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g"})");
  world.ApplyYaml(kRr, "b", R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world.Settle());
  world.ApplyYaml(kRg, "g", EditOf("b", kImage));
  ASSERT_TRUE(world.Settle());
  world.AdvanceTo(kOpening);
  ASSERT_TRUE(world.Settle());
  EXPECT_THAT(Switchovers(&world), ElementsAre("b"));
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "b");
  for (const char* node : {"a", "b"}) EXPECT_EQ(ImageOf(&world, node), "understudy:2");
}

TEST(Together, TheEditSaysWhomItWaitsFor) {
  Three three;
  World& world = three.world;
  world.AdvanceTo(kOpening);
  world.ApplyYaml(kRg, "g", EditOf("c", kImage));
  world.Round();
  EXPECT_THAT(world.Message(kRg, "g", "PendingModifications"),
              HasSubstr("primaryClusterId (a -> c) waits until c has been replaced"));
  EXPECT_EQ(world.Reason(kRg, "g", "Degraded"), "Healthy");
  three.RunUntilImage("b", "understudy:2");
  world.SetInSync("b", false);  // its copy takes long
  world.Settle(200);
  EXPECT_THAT(world.Message(kRg, "g", "PendingModifications"),
              HasSubstr("primaryClusterId (a -> c) waits until b is in sync and in its role"));
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "a");
  world.SetInSync("b", true);
  EXPECT_THAT(three.Order(), ElementsAre("c", "a"));
  EXPECT_THAT(Switchovers(&world), ElementsAre("c"));
}

TEST(Together, NeitherBeginsWhenTheWindowIsTooShortForBoth) {
  Three three;
  World& world = three.world;
  world.ApplyYaml(kRg, "g", EditOf("b", kImage));
  ASSERT_THAT(three.Order(), IsEmpty());
  // Enough for a switchover, too short for a Pod.
  world.AdvanceTo({kOpening.unix_ms + 60 * 60'000 - kRestartNeeds.ms() + 1});
  EXPECT_THAT(three.Order(), IsEmpty());
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "a");
  EXPECT_EQ(world.Column(kRg, "g", "pending"), "image, primaryClusterId until Sat 02:00Z");
  world.AdvanceTo(At("2025-10-18T02:00:00Z"));
  EXPECT_THAT(three.Order(), ElementsAre("b", "c", "a"));
  EXPECT_THAT(Switchovers(&world), ElementsAre("b"));
}

TEST(Together, ATargetThatWasReplacedInTimeTakesOverInTheSameWindow) {
  Three three;
  World& world = three.world;
  world.ApplyYaml(kRg, "g", EditOf("b", kImage));
  ASSERT_THAT(three.Order(), IsEmpty());
  world.AdvanceTo({kOpening.unix_ms + 60 * 60'000 - kRestartNeeds.ms() - 1000});
  three.RunUntilImage("b", "understudy:2");
  world.Advance(Seconds(60));
  EXPECT_THAT(three.Order(), IsEmpty()) << "the others are too late";
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "b");
  world.AdvanceTo(At("2025-10-18T02:00:00Z"));
  EXPECT_THAT(three.Order(), ElementsAre("a", "c"));
  EXPECT_THAT(Switchovers(&world), ElementsAre("b"));
}

TEST(Together, ATargetWithAWindowOfItsOwnIsNotWaitedFor) {
  Three three;
  World& world = three.world;
  world.ApplyYaml(kRr, "b", R"({"replicationGroupId": "g", "preferredMaintenanceWindow": "mon:02:00-mon:03:00"})");
  world.ApplyYaml(kRg, "g", EditOf("b", kImage));
  ASSERT_THAT(three.Order(), IsEmpty());
  world.AdvanceTo(kOpening);
  EXPECT_THAT(three.Order(), ElementsAre("c", "a"));
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "b");
}

TEST(Together, AReplicaThatDoesNotStartHoldsUpNoTargetThatWasReplaced) {
  Three three(R"("applyImmediately": true)");
  World& world = three.world;
  world.SetBroken("c", "ImagePullBackOff");
  world.ApplyYaml(kRg, "g", EditOf("b", R"("applyImmediately": true, "node": {"image": "understudy:2"})"));
  for (int i = 0; i < 300; ++i) {
    world.Round();
    world.Advance(Milliseconds(100));
  }
  EXPECT_EQ(ImageOf(&world, "b"), "understudy:2");
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "b");
  EXPECT_EQ(ImageOf(&world, "a"), "understudy:1") << "the rollout waits for c";
}

TEST(Together, ARolloutThatHandsOverBeforeTheEditIsDueTakesItsTarget) {
  Three three;
  World& world = three.world;
  world.ApplyYaml(kRg, "g", EditOf("c", R"("description": "moves on Saturday")"));
  ASSERT_THAT(three.Order(), IsEmpty());
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g", "applyImmediately": true, "node": {"image": "understudy:2"}})");
  EXPECT_THAT(three.Order(), ElementsAre("a"));
  EXPECT_THAT(Switchovers(&world), ElementsAre("c"));
  EXPECT_EQ(world.Column(kRg, "g", "handledPrimaryClusterId"), "c");
  EXPECT_EQ(world.Column(kRg, "g", "pending"), "");
}

TEST(Together, AnOperatorThatIsAnotherOneEachTimeDoesTheSame) {
  Three three(R"("applyImmediately": true)");
  World& world = three.world;
  world.ApplyYaml(kRg, "g", EditOf("c", R"("applyImmediately": true, "node": {"image": "understudy:2"})"));
  for (int i = 0; i < 300; ++i) {
    world.ForgetMemories();
    world.Round();
    world.Advance(Milliseconds(100));
  }
  for (const char* node : {"a", "b", "c"}) EXPECT_EQ(ImageOf(&world, node), "understudy:2");
  EXPECT_THAT(Switchovers(&world), ElementsAre("c"));
}

}  // namespace
}  // namespace understudy::plan
