// Promote and Demote wait for the maintenance window like everything deferrable, and never twice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/operator/plan/three.h"

namespace understudy::plan {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using control::Role;

constexpr const char* kMember = R"({"replicationGroupId": "g"})";
constexpr const char* kPromoted = R"({"promotedFrom": "g"})";
const WallTime kClosing = At("2025-10-11T03:00:00Z");

// The group of three with five keys; its window opens on Saturday at 02:00.
class DeferredVerbs : public ::testing::Test {
 protected:
  void SetUp() override { Fill(&three); }
  static void Fill(Three* three) {
    three->world.Process("a")->keys = 5;
    ASSERT_THAT(three->Order(), IsEmpty());
    ASSERT_EQ(three->world.Process("b")->keys, 5u);
  }
  // Nothing is written while it merely waits.
  void ExpectRest() {
    const int before = world.writes();
    world.Advance(Seconds(3600));
    world.Round();
    EXPECT_EQ(world.writes(), before);
  }
  void ExpectPromoted(const char* name, uint64_t keys = 5) {
    EXPECT_EQ(world.Process(name)->role, Role::kStandalone);
    EXPECT_EQ(world.Process(name)->keys, keys);
    EXPECT_EQ(world.Column(kRr, name, "role"), "standalone");
    EXPECT_EQ(world.Column(kRr, name, "pending"), "");
    EXPECT_EQ(world.Truth(kRr, name, "PendingModifications"), "False");
  }
  void ExpectReplica(const char* kind, const char* name) {
    EXPECT_EQ(world.Process(name)->role, Role::kReplica);
    EXPECT_EQ(world.Column(kind, name, "role"), "replica");
    EXPECT_EQ(world.Column(kind, name, "groupUid"), JsonString((*world.Get(kRg, "g"))["metadata"], "uid"));
  }
  // An independent CacheCluster with three keys and a window on Monday; what it may drop.
  std::string MakeAlone() {
    world.ApplyYaml(kCc, "n", R"({"preferredMaintenanceWindow": "mon:02:00-mon:03:00"})");
    EXPECT_TRUE(world.Settle());
    world.Process("n")->keys = 3;
    EXPECT_TRUE(world.Settle());
    return world.Process("n")->dataset;
  }
  static std::string Joins(const std::string& dataset, const std::string& more = "") {
    return R"({"replicationGroupId": "g")" +
           (dataset.empty() ? "" : R"(, "discardExistingData": ")" + dataset + "\"") +
           (more.empty() ? "" : ", " + more) + "}";
  }

  Three three;
  World& world = three.world;
};

TEST_F(DeferredVerbs, APromoteWaitsShowsItAndBeginsWhenTheWindowOpens) {
  world.ApplyYaml(kRr, "b", kPromoted);
  EXPECT_THAT(three.Order(), IsEmpty());
  ExpectReplica(kRr, "b");
  EXPECT_EQ(world.Column(kRr, "b", "pending"), "Promote until Sat 02:00Z");
  EXPECT_EQ(world.Column(kRg, "g", "pending"), "Promote until Sat 02:00Z");
  EXPECT_THAT(world.Message(kRr, "b", "PendingModifications"), HasSubstr("Promote (g -> independent) waits"));
  EXPECT_EQ(world.Reason(kRr, "b", "Accepted"), "Promoting");
  EXPECT_EQ(world.Truth(kRr, "b", "Accepted"), "True");
  EXPECT_THAT(world.Message(kRr, "b", "Accepted"), HasSubstr("in the maintenance window, Sat 02:00Z"));
  EXPECT_EQ(world.Truth(kRr, "b", "Ready"), "True");
  EXPECT_TRUE(three.SameObservedGeneration(kRr, "b"));
  EXPECT_EQ(world.PodLabel("b", api::kReaderLabel), "true");
  EXPECT_EQ(world.Told("ModificationPending", "b"), 1);
  ExpectRest();
  world.AdvanceTo({kOpening.unix_ms - 1000});
  EXPECT_THAT(three.Order(), IsEmpty());
  ExpectReplica(kRr, "b");
  world.AdvanceTo(kOpening);
  EXPECT_THAT(three.Order(), IsEmpty()) << "no Pod goes for it";
  ExpectPromoted("b");
  EXPECT_EQ(world.Column(kRg, "g", "pending"), "");
  EXPECT_EQ(world.Told("ApplyingModification", "b"), 1);
  EXPECT_EQ(world.Told("ModificationApplied", "b"), 1);
  EXPECT_EQ(world.Told("ModificationCancelled"), 0);
}

TEST_F(DeferredVerbs, ApplyImmediatelyOfTheNodeOrOfItsGroupPromotesAtOnce) {
  world.ApplyYaml(kRr, "b", R"({"promotedFrom": "g", "applyImmediately": true})");
  world.ApplyYaml(kRr, "c", kPromoted);
  ASSERT_TRUE(world.Settle());
  ExpectPromoted("b");
  ExpectReplica(kRr, "c");
  three.Edit(R"("applyImmediately": true)");
  ASSERT_TRUE(world.Settle());
  ExpectPromoted("c");
}

TEST_F(DeferredVerbs, ANodesFalseHoldsAgainstItsGroup) {
  three.Edit(R"("applyImmediately": true)");
  world.ApplyYaml(kRr, "b", R"({"promotedFrom": "g", "applyImmediately": false})");
  ASSERT_TRUE(world.Settle());
  ExpectReplica(kRr, "b");
  EXPECT_EQ(world.Column(kRr, "b", "pending"), "Promote until Sat 02:00Z");
}

TEST_F(DeferredVerbs, APromoteThatIsTakenBackNeverHappens) {
  world.ApplyYaml(kRr, "b", kPromoted);
  ASSERT_TRUE(world.Settle());
  world.ApplyYaml(kRr, "b", kMember);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRr, "b", "pending"), "");
  EXPECT_EQ(world.Reason(kRr, "b", "Accepted"), "Accepted");
  EXPECT_EQ(world.Told("ModificationCancelled", "b"), 1);
  world.AdvanceTo(kOpening);
  ASSERT_TRUE(world.Settle());
  ExpectReplica(kRr, "b");
  EXPECT_FALSE(world.HadEvent("PromoteStarted"));
}

TEST_F(DeferredVerbs, WhatIsRefusedIsNotPending) {
  world.ApplyYaml(kCc, "a", kPromoted);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kCc, "a", "Accepted"), "InvalidCacheClusterState");
  EXPECT_EQ(world.Column(kCc, "a", "pending"), "");
  MakeAlone();
  world.ApplyYaml(kCc, "n", Joins(""));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kCc, "n", "Accepted"), "WouldDiscardData");
  EXPECT_EQ(world.Column(kCc, "n", "pending"), "");
  EXPECT_FALSE(world.HadEvent("ModificationPending"));
}

TEST_F(DeferredVerbs, APromoteThatIsDueAndHasToWaitForItsPrimarySaysSo) {
  world.SetInSync("b", false);
  world.ApplyYaml(kRr, "b", kPromoted);
  world.AdvanceTo(kOpening);
  ASSERT_TRUE(world.Settle());
  ExpectReplica(kRr, "b");
  EXPECT_EQ(world.Column(kRr, "b", "pending"), "Promote now");
  EXPECT_EQ(world.Reason(kRr, "b", "PendingModifications"), "WaitingForMembers");
  EXPECT_THAT(world.Message(kRr, "b", "PendingModifications"), HasSubstr("in sync"));
  world.SetInSync("b", true);
  ASSERT_TRUE(world.Settle());
  ExpectPromoted("b");
}

// One that has begun goes on when the window closes over it, after each single step and with another operator.
TEST_F(DeferredVerbs, APromoteThatHasBegunIsNotDeferredAgain) {
  world.ApplyYaml(kRr, "b", kPromoted);
  ASSERT_TRUE(world.Settle());
  world.AdvanceTo({kClosing.unix_ms - 61'000});
  int begun = 0;
  bool crashed = true;
  for (int steps = 0; crashed; ++steps) {
    ASSERT_LT(steps, 60);
    SCOPED_TRACE("after " + std::to_string(steps) + " steps");
    World w = world;
    w.CrashAfter(steps);
    for (int i = 0; i < 20 && !w.crashed(); ++i) w.Round();
    crashed = w.crashed();
    const bool announced = w.Reason(kRr, "b", "PendingModifications") == "ApplyingModifications" ||
                           w.Column(kRr, "b", "groupUid").empty();
    w.AdvanceTo({kClosing.unix_ms + 5000});
    w.RestartOperator();
    ASSERT_TRUE(w.Settle(400));
    EXPECT_EQ(w.Process("b")->role, announced ? Role::kStandalone : Role::kReplica);
    EXPECT_EQ(w.Column(kRr, "b", "pending"), announced ? "" : "Promote until Sat 02:00Z");
    EXPECT_EQ(w.Process("b")->keys, 5u);
    if (announced) ++begun;
  }
  EXPECT_GT(begun, 3);
}

TEST_F(DeferredVerbs, WhatNoLongerFitsWaitsForTheNextWindow) {
  world.AdvanceTo({kClosing.unix_ms - 30'000});
  world.ApplyYaml(kRr, "b", kPromoted);
  ASSERT_TRUE(world.Settle());
  ExpectReplica(kRr, "b");
  EXPECT_EQ(world.Column(kRr, "b", "pending"), "Promote until Sat 02:00Z");
}

TEST_F(DeferredVerbs, TheNodesNewPodComesFirstSoThatItLeavesWithItsData) {
  world.ApplyYaml(kRr, "b", R"({"promotedFrom": "g", "node": {"image": "understudy:2"}})");
  EXPECT_THAT(three.Order(), IsEmpty());
  EXPECT_EQ(world.Column(kRr, "b", "pending"), "Promote, image until Sat 02:00Z");
  world.AdvanceTo(kOpening);
  EXPECT_EQ(three.Order(), std::vector<std::string>{"b"}) << "once";
  EXPECT_EQ(ImageOf(&world, "b"), "understudy:2");
  ExpectPromoted("b");
  EXPECT_FALSE(world.HadEvent("DataLost"));
}

// The settings of its group are gone with the group: no reason to replace the Pod, which holds the only copy.
TEST_F(DeferredVerbs, WhoLeavesItsGroupKeepsThePodThatTheGroupsSettingsMade) {
  three.Edit(R"("applyImmediately": true, "node": {"image": "understudy:2", "resources": {"limits": {"memory": "1Gi"}}})");
  ASSERT_EQ(three.Order().size(), 3u);
  ASSERT_EQ(world.Column(kRr, "c", "role"), "replica");
  ASSERT_EQ(world.Process("c")->keys, 5u);
  const std::string pod = PodUid(&world, "c");
  world.ApplyYaml(kRr, "c", R"({"promotedFrom": "g", "applyImmediately": true})");
  EXPECT_THAT(three.Order(), IsEmpty());
  ExpectPromoted("c");
  EXPECT_EQ(PodUid(&world, "c"), pod);
  EXPECT_EQ(world.Column(kRr, "c", "effectiveImage"), "understudy:2");
  EXPECT_EQ(world.Column(kRr, "c", "pending"), "");
  // What its own object asks for from then on is a change, with its price.
  world.ApplyYaml(kRr, "c", R"({"promotedFrom": "g", "preferredMaintenanceWindow": "sat:02:00-sat:03:00",
                                "node": {"image": "understudy:3"}})");
  EXPECT_THAT(three.Order(), IsEmpty());
  EXPECT_THAT(world.Column(kRr, "c", "pending"), HasSubstr("image"));
  EXPECT_THAT(world.Message(kRr, "c", "PendingModifications"), HasSubstr("its data is lost"));
}

TEST_F(DeferredVerbs, TheHeirOfADeletedGroupKeepsThePodThatTheGroupsSettingsMade) {
  three.Edit(R"("applyImmediately": true, "node": {"image": "understudy:2"})");
  ASSERT_EQ(three.Order().size(), 3u);
  const std::string heir = world.Column(kRg, "g", "primary");
  const char* kind = heir == "a" ? kCc : kRr;
  const std::string pod = PodUid(&world, heir);
  world.Delete(kRg, "g");
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(world.Column(kind, heir, "role"), "standalone");
  world.ApplyYaml(kind, heir, R"({"preferredMaintenanceWindow": "sat:02:00-sat:03:00", "replicationGroupId": "g"})");
  world.AdvanceTo(kOpening);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(PodUid(&world, heir), pod);
  EXPECT_EQ(world.Process(heir)->keys, 5u);
}

TEST_F(DeferredVerbs, ADemoteWaitsForTheWindowOfTheNodeShowsItAndBeginsThen) {
  const std::string dataset = MakeAlone();
  world.ApplyYaml(kCc, "n", Joins(dataset, R"("preferredMaintenanceWindow": "fri:02:00-fri:03:00")"));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Process("n")->keys, 3u);
  EXPECT_EQ(world.Column(kCc, "n", "role"), "standalone");
  EXPECT_EQ(world.Column(kCc, "n", "pending"), "Demote until Fri 02:00Z");
  EXPECT_EQ(world.Reason(kCc, "n", "Accepted"), "Demoting");
  EXPECT_EQ(world.Truth(kCc, "n", "Accepted"), "True");
  EXPECT_THAT(world.Message(kCc, "n", "Accepted"), HasSubstr("in the maintenance window, Fri 02:00Z"));
  EXPECT_EQ(world.Truth(kCc, "n", "Ready"), "True");
  EXPECT_EQ(world.Told("ModificationPending", "n"), 1);
  EXPECT_LE(world.GroupPlan("g").wake_at, world.now() + Seconds(3600)) << "the group accepts it, so it has to wake";
  ExpectRest();
  world.AdvanceTo(At("2025-10-10T02:00:00Z"));
  ASSERT_TRUE(world.Settle());
  ExpectReplica(kCc, "n");
  EXPECT_EQ(world.Process("n")->keys, 5u);
  EXPECT_EQ(world.Column(kCc, "n", "pending"), "");
  EXPECT_EQ(world.Told("ModificationApplied", "n"), 1);
  EXPECT_EQ(world.Told("ModificationCancelled"), 0);
}

TEST_F(DeferredVerbs, ADemoteWithoutAWindowOfItsOwnFollowsTheGroupThatItJoins) {
  const std::string dataset = MakeAlone();
  world.ApplyYaml(kCc, "n", Joins(dataset));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kCc, "n", "pending"), "Demote until Sat 02:00Z");
  three.Edit(R"("applyImmediately": true)");
  ASSERT_TRUE(world.Settle());
  ExpectReplica(kCc, "n");
}

TEST_F(DeferredVerbs, ADemoteThatComesDueWhileTheRoleMovesStaysPending) {
  const std::string dataset = MakeAlone();
  world.ApplyYaml(kCc, "n", Joins(dataset));
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(world.Column(kCc, "n", "pending"), "Demote until Sat 02:00Z");
  world.AdvanceTo({kOpening.unix_ms - 500});
  world.SetDeaf(true);  // so that it takes its time
  world.Annotate(kRg, "g", api::kSwitchoverToAnnotation, "b@" + FormatRfc3339(world.wall()));
  const auto run = [&](int rounds) {
    for (int i = 0; i < rounds; ++i) {
      world.Round();
      world.Advance(Milliseconds(100));
    }
  };
  run(8);
  ASSERT_EQ(world.Reason(kRg, "g", "Ready"), "FailingOver");
  EXPECT_EQ(world.Reason(kRg, "g", "FailoverReady"), "FailoverRunning") << "as long as it runs";
  EXPECT_EQ(world.Column(kCc, "n", "pending"), "Demote now");
  EXPECT_EQ(world.Truth(kCc, "n", "Accepted"), "True");
  EXPECT_EQ(world.Message(kCc, "n", "Accepted"), "waits until the primary role of g has moved");
  EXPECT_EQ(world.Reason(kCc, "n", "PendingModifications"), "WaitingForMembers");
  world.SetDeaf(false);
  ASSERT_TRUE(world.Settle());
  ExpectReplica(kCc, "n");
  EXPECT_EQ(world.Told("ModificationCancelled", "n"), 0);
  EXPECT_FALSE(world.HadEvent("InvalidReplicationGroupState"));
  EXPECT_EQ(world.Told("ModificationApplied", "n"), 1);
}

TEST_F(DeferredVerbs, APromoteOfWhoGotTheRoleMeanwhileHandsOverInItsWindow) {
  world.Delete(kRr, "c");
  world.ApplyYaml(kRr, "b", kPromoted);
  ASSERT_TRUE(world.Settle());
  world.KillProcess("a");
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(world.Column(kRg, "g", "primary"), "b");
  EXPECT_EQ(world.Column(kRr, "b", "pending"), "Promote until Sat 02:00Z") << "nothing flips back by itself";
  EXPECT_EQ(world.Truth(kRr, "b", "Accepted"), "True");
  EXPECT_EQ(world.Message(kRr, "b", "Accepted"),
            "waits until the primary role of g has moved to a (primaryClusterId) in the maintenance window, Sat 02:00Z");
  ExpectRest();
  world.AdvanceTo(kOpening);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "a");
  ExpectPromoted("b");
  EXPECT_EQ(world.Told("ModificationCancelled", "b"), 0);
}

TEST_F(DeferredVerbs, ApplyImmediatelyOfTheNodeDemotesAtOnce) {
  const std::string dataset = MakeAlone();
  world.ApplyYaml(kCc, "n", Joins(dataset, R"("applyImmediately": true)"));
  ASSERT_TRUE(world.Settle());
  ExpectReplica(kCc, "n");
}

TEST_F(DeferredVerbs, ADemoteThatIsTakenBackNeverHappens) {
  const std::string dataset = MakeAlone();
  int cancelled = 0;
  for (const char* manifest : {R"({"promotedFrom": "g"})", "{}"}) {
    world.ApplyYaml(kCc, "n", Joins(dataset));
    ASSERT_TRUE(world.Settle());
    EXPECT_THAT(world.Column(kCc, "n", "pending"), HasSubstr("Demote until"));
    // What the rule of the CRD goes by.
    EXPECT_GT(JsonInt((*world.Get(kCc, "n"))["status"], "epoch"), 0);
    EXPECT_EQ(world.Column(kCc, "n", "groupUid"), "");
    world.ApplyYaml(kCc, "n", manifest);
    ASSERT_TRUE(world.Settle());
    EXPECT_EQ(world.Column(kCc, "n", "pending"), "");
    EXPECT_EQ(world.Told("ModificationCancelled", "n"), ++cancelled);
  }
  world.AdvanceTo(kOpening);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kCc, "n", "role"), "standalone");
  EXPECT_EQ(world.Process("n")->keys, 3u);
}

// A group says nothing about the Pod of a node that does not belong to it yet.
TEST_F(DeferredVerbs, TheGroupThatItIsToJoinDoesNotHurryItsOtherChanges) {
  three.Edit(R"("applyImmediately": true)");
  MakeAlone();
  const std::string pod = PodUid(&world, "n");
  world.ApplyYaml(kCc, "n", Joins("", R"("preferredMaintenanceWindow": "mon:02:00-mon:03:00", "node": {"image": "understudy:2"})"));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kCc, "n", "Accepted"), "WouldDiscardData");
  EXPECT_EQ(PodUid(&world, "n"), pod);
  EXPECT_EQ(world.Process("n")->keys, 3u);
  EXPECT_EQ(world.Column(kCc, "n", "pending"), "image until Mon 02:00Z");
}

TEST_F(DeferredVerbs, AMoveWaitsOnceInTheGroupThatItLeaves) {
  world.ApplyYaml(kCc, "p", R"({"replicationGroupId": "h"})");
  world.ApplyYaml(kRg, "h", R"({"primaryClusterId": "p", "preferredMaintenanceWindow": "mon:02:00-mon:03:00"})");
  ASSERT_TRUE(world.Settle());
  world.Process("p")->keys = 7;
  ASSERT_TRUE(world.Settle());
  world.ApplyYaml(kRr, "b", R"({"replicationGroupId": "h", "discardExistingData": ")" + world.Process("b")->dataset + R"("})");
  ASSERT_TRUE(world.Settle());
  ExpectReplica(kRr, "b");
  EXPECT_EQ(world.Column(kRr, "b", "pending"), "Demote until Sat 02:00Z");
  EXPECT_THAT(world.Message(kRr, "b", "PendingModifications"), HasSubstr("g -> h"));
  world.AdvanceTo(kOpening);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRr, "b", "replicationGroupId"), "h") << "in between it does not wait for Monday";
  EXPECT_EQ(world.Process("b")->keys, 7u);
  EXPECT_EQ(world.Column(kRr, "b", "pending"), "");
  EXPECT_EQ(world.Told("ApplyingModification", "b"), 1);
  EXPECT_EQ(world.Told("ModificationApplied", "b"), 1);
  EXPECT_EQ(world.Told("ModificationCancelled", "b"), 0);
}

}  // namespace
}  // namespace understudy::plan
