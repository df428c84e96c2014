// A new group whose nodes hold different data: nothing is chosen, everybody goes on as it was, and each wish can be
// taken back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/operator/plan/world.h"

namespace understudy::plan {
namespace {

using ::testing::HasSubstr;
using control::Role;

constexpr const char* kMember = R"({"replicationGroupId": "g"})";
constexpr const char* kTakenBack = R"({"promotedFrom": "g"})";

std::string UidOf(World& world, const char* kind, const std::string& name) {
  return JsonString((*world.Get(kind, name))["metadata"], "uid");
}

// Independent a and b, five keys each, both put into g, which names a as its primary.
class SeveralDatasets : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"a", "b"}) world.ApplyYaml(kCc, name, "{}");
    ASSERT_TRUE(world.Settle());
    for (const char* name : {"a", "b"}) {
      world.Process(name)->keys = 5;
      world.Process(name)->dataset = std::string("data-of-") + name;
    }
    ASSERT_TRUE(world.Settle());
    for (const char* name : {"a", "b"}) world.ApplyYaml(kCc, name, kMember);
    world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a"})");
    ASSERT_TRUE(world.Settle());
    ASSERT_EQ(world.Reason(kRg, "g", "Ready"), "SeveralDatasets");
  }
  void ExpectIndependent(const std::string& name, uint64_t keys = 5) {
    ASSERT_NE(world.Process(name), nullptr);
    EXPECT_EQ(world.Process(name)->role, Role::kStandalone);
    EXPECT_EQ(world.Process(name)->group, UidOf(world, kCc, name));
    EXPECT_EQ(world.Process(name)->keys, keys);
    EXPECT_EQ(world.Column(kCc, name, "role"), "standalone");
    EXPECT_EQ(world.Column(kCc, name, "phase"), "available");
    EXPECT_EQ(world.Column(kCc, name, "groupUid"), "");
    EXPECT_EQ(world.Column(kCc, name, "replicationGroupId"), "");
    EXPECT_EQ(world.Column(kCc, name, "dataset"), world.Process(name)->dataset);
    EXPECT_EQ(world.Column(kCc, name, "pending"), "");
    EXPECT_EQ(world.Truth(kCc, name, "Accepted"), "True");
    EXPECT_EQ(world.Reason(kCc, name, "Accepted"), "Accepted");
    EXPECT_EQ(world.Message(kCc, name, "Ready"), "stands alone and accepts writes");
    EXPECT_EQ(world.PodLabel(name, api::kGroupLabel), "");
  }
  void ExpectGroupOfA(const char* members_ready) {
    EXPECT_EQ(world.Column(kRg, "g", "primary"), "a");
    EXPECT_EQ(world.Column(kRg, "g", "dataset"), "data-of-a");
    EXPECT_EQ(world.Column(kRg, "g", "membersReady"), members_ready);
    EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "True");
    EXPECT_EQ(world.Process("a")->keys, 5u);
  }

  World world;
};

TEST_F(SeveralDatasets, TheGroupSaysWhoHoldsWhatAndWhatToDoAndAnEventTellsItOnce) {
  const std::string message = world.Message(kRg, "g", "Ready");
  EXPECT_THAT(message, HasSubstr("a holds data-of-a, b holds data-of-b"));
  EXPECT_THAT(message, HasSubstr("discardExistingData: <data set>"));
  EXPECT_THAT(message, HasSubstr("delete them"));
  EXPECT_THAT(message, HasSubstr("promotedFrom: g"));
  EXPECT_EQ(world.Told("SeveralDatasets", "g"), 1);
  EXPECT_EQ(world.NoteOf("SeveralDatasets"), message);
  EXPECT_EQ(world.Column(kRg, "g", "phase"), "creating");
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "");
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "0/2");
  EXPECT_EQ(world.Truth(kRg, "g", "Degraded"), "False");
  world.RestartOperator();
  world.Annotate(kRg, "g", "cache.understudy.dev/confirm-dead", "whoever");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Told("SeveralDatasets", "g"), 1);
}

TEST_F(SeveralDatasets, AParameterReachesANodeThatServesAloneThoughTheGroupIsRefusedMeanwhile) {
  world.ApplyYaml(kCc, "x", "{}");
  world.ApplyYaml(kRg, "other", R"({"primaryClusterId": "x"})");
  ASSERT_TRUE(world.Settle());
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "x"})");
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(world.Reason(kRg, "g", "Accepted"), "InvalidCacheClusterState");
  world.ApplyYaml(kCc, "b", R"({"replicationGroupId": "g", "node": {"parameters": {"slowlog-max-len": 64}}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Option("b", "slowlog-max-len"), "64");
  EXPECT_EQ(world.Column(kCc, "b", "pending"), "");
  EXPECT_EQ(world.Truth(kCc, "b", "Ready"), "True");
}

TEST_F(SeveralDatasets, WhatNeedsANewPodWaitsForTheStartThoughTheGroupIsRefusedMeanwhile) {
  world.ApplyYaml(kRr, "r", kMember);  // which has nothing to serve, and is asked nothing as long as the group is refused
  world.ApplyYaml(kCc, "x", "{}");
  world.ApplyYaml(kRg, "other", R"({"primaryClusterId": "x"})");
  ASSERT_TRUE(world.Settle());
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "x", "applyImmediately": true, "node": {"parameters": {"tcp-backlog": 103}}})");
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(world.Reason(kRg, "g", "Accepted"), "InvalidCacheClusterState");
  for (const char* node : {"a", "b"}) {
    EXPECT_EQ(world.Column(kCc, node, "pending"), "parameters now");
    EXPECT_THAT(world.Message(kCc, node, "PendingModifications"), HasSubstr("waits until the group has started"));
  }
}

// As after a group that had started is gone, or has lost all that it had.
TEST_F(SeveralDatasets, WhatWasBeingAppliedWaitsForTheStartAsWell) {
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a", "applyImmediately": true, "node": {"image": "understudy:2"}})");
  ASSERT_TRUE(world.Settle());
  Json* node = world.Get(kCc, "b");
  Json& pending = (*node)["status"]["pendingModifiedValues"];
  ASSERT_EQ(pending.size(), 1U);
  pending[0]["reason"] = "ApplyingModifications";
  Json demote = {{"field", "Demote"}, {"to", "g"}, {"reason", "ApplyingModifications"}};
  pending.insert(pending.begin(), demote);
  world.Touch(node);
  ASSERT_TRUE(world.Settle());
  node = world.Get(kCc, "b");
  ASSERT_EQ((*node)["status"]["pendingModifiedValues"].size(), 2U);
  for (const Json& one : (*node)["status"]["pendingModifiedValues"]) EXPECT_EQ(one["reason"], "WaitingForMembers") << one;
  EXPECT_THAT(world.Message(kCc, "b", "PendingModifications"), HasSubstr("Demote (independent -> g) waits until the group has started"));
}

TEST_F(SeveralDatasets, TheNodesSayThatTheyServeAlone) {
  for (const char* name : {"a", "b"}) {
    EXPECT_EQ(world.Process(name)->role, Role::kStandalone);
    EXPECT_EQ(world.Column(kCc, name, "phase"), "available");
    EXPECT_EQ(world.Column(kCc, name, "role"), "standalone");
    EXPECT_EQ(world.Column(kCc, name, "dataset"), std::string("data-of-") + name);
    EXPECT_EQ(world.Truth(kCc, name, "Ready"), "True");
    EXPECT_THAT(world.Message(kCc, name, "Ready"),
                HasSubstr("stands alone and accepts writes, because replication group g has not been started"));
    EXPECT_EQ(world.Reason(kCc, name, "InSync"), "StandsAlone");
  }
  // One without data has nothing to serve.
  world.ApplyYaml(kRr, "r", kMember);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRr, "r", "phase"), "creating");
  EXPECT_EQ(world.Reason(kRr, "r", "Ready"), "Creating");
  EXPECT_EQ(world.Message(kRr, "r", "Ready"), "has no role yet, because replication group g has not been started");
}

TEST_F(SeveralDatasets, AWishTakenBackGivesTheNodeBackAtOnceWithItsData) {
  const std::string incarnation = world.Process("b")->incarnation;
  world.ApplyYaml(kCc, "b", kTakenBack);
  ASSERT_TRUE(world.Settle());
  ExpectIndependent("b");
  EXPECT_EQ(world.Process("b")->dataset, "data-of-b");
  EXPECT_EQ(world.Process("b")->incarnation, incarnation);
  EXPECT_EQ(world.Told("JoinCancelled", "b"), 1);
  EXPECT_FALSE(world.HadEvent("PromoteStarted"));
  EXPECT_FALSE(world.HadEvent("DataLost"));
  ExpectGroupOfA("1/1");
}

TEST_F(SeveralDatasets, SoDoesTheSpecAsItWas) {
  world.ApplyYaml(kCc, "b", "{}");
  ASSERT_TRUE(world.Settle());
  ExpectIndependent("b");
  ExpectGroupOfA("1/1");
}

TEST_F(SeveralDatasets, ThePermissionThatTheMessageNamesLetsTheGroupStart) {
  world.ApplyYaml(kCc, "b", R"({"replicationGroupId": "g", "discardExistingData": "data-of-b"})");
  ASSERT_TRUE(world.Settle());
  ExpectGroupOfA("2/2");
  EXPECT_EQ(world.Column(kCc, "b", "role"), "replica");
  EXPECT_EQ(world.Column(kCc, "b", "phase"), "available");
}

TEST_F(SeveralDatasets, SoDoesADeletion) {
  world.Delete(kCc, "b");
  ASSERT_TRUE(world.Settle());
  ExpectGroupOfA("1/1");
}

TEST_F(SeveralDatasets, WhoHasTakenItsWishBackIsNotMadePrimaryWhenTheOtherGoes) {
  world.ApplyYaml(kCc, "b", kTakenBack);
  world.Delete(kCc, "a");
  ASSERT_TRUE(world.Settle());
  ExpectIndependent("b");
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "");
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "False");
}

TEST_F(SeveralDatasets, BothWishesCanBeTakenBack) {
  for (const char* name : {"a", "b"}) world.ApplyYaml(kCc, name, kTakenBack);
  ASSERT_TRUE(world.Settle());
  for (const char* name : {"a", "b"}) ExpectIndependent(name);
  EXPECT_EQ(world.Reason(kRg, "g", "Ready"), "CacheClusterNotFound");
}

TEST_F(SeveralDatasets, ASilentNodeIsGivenBackWhenItAnswers) {
  world.SetChannel("b", false);
  world.ApplyYaml(kCc, "b", kTakenBack);
  for (int i = 0; i < 15; ++i) {
    world.Round();
    world.Advance(Seconds(1));
  }
  EXPECT_EQ(world.Column(kCc, "b", "groupUid"), UidOf(world, kRg, "g")) << "it may be what a lost status knew";
  EXPECT_THAT(world.Message(kCc, "b", "Accepted"), HasSubstr("when its process answers"));
  EXPECT_EQ(world.Column(kCc, "b", "pending"), "Promote now") << "no window holds it up";
  world.SetChannel("b", true);
  ASSERT_TRUE(world.Settle());
  ExpectIndependent("b");
}

TEST_F(SeveralDatasets, AProcessThatHasEndedStartsEmptyAndAlone) {
  world.KillProcess("b");
  world.ApplyYaml(kCc, "b", kTakenBack);
  ASSERT_TRUE(world.Settle());
  ExpectIndependent("b", 0);
  EXPECT_EQ(world.Told("DataLost", "b"), 1);
}

TEST(WaitingGroup, ANodeThatWasNeverIndependentCanBeTakenBackToo) {
  World world;
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "later"})");
  world.ApplyYaml(kRr, "r", kMember);
  world.SetUnschedulable("s", "no room");
  world.ApplyYaml(kRr, "s", kMember);
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(world.Column(kRr, "r", "groupUid"), UidOf(world, kRg, "g"));
  world.ApplyYaml(kRr, "r", kTakenBack);
  world.ApplyYaml(kRr, "s", kTakenBack);  // it has no process that could answer
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRr, "r", "role"), "standalone");
  EXPECT_EQ(world.Column(kRr, "r", "phase"), "available");
  for (const char* name : {"r", "s"}) EXPECT_EQ(world.Column(kRr, name, "groupUid"), "") << name;
  EXPECT_EQ(world.Reason(kRg, "g", "Ready"), "CacheClusterNotFound");
}

TEST(WaitingGroup, ANodeMayGoOnToAnotherGroup) {
  World world;
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "later"})");
  world.ApplyYaml(kCc, "p", R"({"replicationGroupId": "h"})");
  world.ApplyYaml(kRg, "h", R"({"primaryClusterId": "p"})");
  world.ApplyYaml(kRr, "r", kMember);
  ASSERT_TRUE(world.Settle());
  world.ApplyYaml(kRr, "r", R"({"replicationGroupId": "h"})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRr, "r", "role"), "replica");
  EXPECT_EQ(world.Column(kRg, "h", "membersReady"), "2/2");
}

}  // namespace
}  // namespace understudy::plan
