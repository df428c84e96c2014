// Demote: an independent node joins a group and drops its data, if its object allows that; moves between groups.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/operator/plan/world.h"

namespace understudy::plan {
namespace {

using ::testing::HasSubstr;

using control::Role;

std::string UidOf(World& world, const char* kind, const std::string& name) {
  return JsonString((*world.Get(kind, name))["metadata"], "uid");
}

std::string Joins(const std::string& group, const std::string& dataset = "") {
  return R"({"replicationGroupId": ")" + group + "\"" +
         (dataset.empty() ? "" : R"(, "discardExistingData": ")" + dataset + "\"") + "}";
}

// Group h with primary p (seven keys) and replica q, and an independent CacheCluster n with three keys.
class Demote : public ::testing::Test {
 protected:
  void SetUp() override { Make(&world); }
  static void Make(World* world) {
    world->ApplyYaml(kCc, "p", Joins("h"));
    world->ApplyYaml(kRg, "h", R"({"primaryClusterId": "p", "applyImmediately": true})");
    world->ApplyYaml(kRr, "q", Joins("h"));
    world->ApplyYaml(kCc, "n", "{}");
    ASSERT_TRUE(world->Settle());
    world->Process("p")->keys = 7;
    world->Process("n")->keys = 3;
    ASSERT_TRUE(world->Settle());
  }
  static void ExpectAlone(World& w, const char* kind, const char* name, uint64_t keys) {
    EXPECT_EQ(w.Process(name)->role, Role::kStandalone);
    EXPECT_EQ(w.Process(name)->group, UidOf(w, kind, name));
    EXPECT_EQ(w.Process(name)->keys, keys);
    EXPECT_EQ(w.Column(kind, name, "role"), "standalone");
    EXPECT_EQ(w.Column(kind, name, "phase"), "available");
    EXPECT_EQ(w.Column(kind, name, "groupUid"), "");
    EXPECT_EQ(w.Column(kind, name, "dataset"), w.Process(name)->dataset);
    EXPECT_EQ(w.Truth(kind, name, "Ready"), "True");
  }
  static void ExpectReplicaOf(World& w, const char* group, const char* kind, const char* name) {
    EXPECT_EQ(w.Process(name)->role, Role::kReplica);
    EXPECT_EQ(w.Process(name)->group, UidOf(w, kRg, group));
    EXPECT_EQ(w.Process(name)->dataset, w.Column(kRg, group, "dataset"));
    EXPECT_EQ(w.Column(kind, name, "role"), "replica");
    EXPECT_EQ(w.Column(kind, name, "phase"), "available");
    EXPECT_EQ(w.Column(kind, name, "replicationGroupId"), group);
    EXPECT_EQ(w.Column(kind, name, "groupUid"), UidOf(w, kRg, group));
    EXPECT_EQ(JsonInt((*w.Get(kind, name))["status"], "epoch"), 0);
    EXPECT_EQ(w.Column(kind, name, "movingTo"), "");
    EXPECT_EQ(w.Truth(kind, name, "InSync"), "True");
    EXPECT_EQ(w.Reason(kind, name, "Accepted"), "Accepted");
    EXPECT_EQ(w.PodLabel(name, api::kReaderLabel), "true");
    EXPECT_EQ(w.PodLabel(name, api::kGroupLabel), group);
  }

  World world;
};

// A group that was made anew from what an older one left, without its heir: both have the data set's id, and the heir has
// gone on writing.
TEST_F(Demote, OfAnOlderGroupsHeirNeedsLeaveToo) {
  world.Delete(kRg, "h");
  ASSERT_TRUE(world.Settle());
  world.ApplyYaml(kCc, "p", "{}");
  ASSERT_TRUE(world.Settle());
  world.Process("p")->keys = 9;
  ExpectAlone(world, kCc, "p", 9);
  world.ApplyYaml(kRg, "h", R"({"primaryClusterId": "q", "applyImmediately": true})");
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(world.Column(kRg, "h", "primary"), "q");
  const std::string dataset = world.Process("p")->dataset;
  ASSERT_EQ(world.Column(kRg, "h", "dataset"), dataset);
  world.ApplyYaml(kCc, "p", Joins("h"));
  ASSERT_TRUE(world.Settle());
  ExpectAlone(world, kCc, "p", 9);
  EXPECT_EQ(world.Reason(kCc, "p", "Accepted"), "WouldDiscardData");
  EXPECT_THAT(world.Message(kCc, "p", "Accepted"), HasSubstr("discardExistingData: " + dataset));
  world.ApplyYaml(kCc, "p", Joins("h", dataset));
  ASSERT_TRUE(world.Settle());
  ExpectReplicaOf(world, "h", kCc, "p");
}

TEST_F(Demote, IsRefusedUntilTheDataIsGivenUpByItsName) {
  const std::string dataset = world.Process("n")->dataset;
  world.ApplyYaml(kCc, "n", Joins("h"));
  ASSERT_TRUE(world.Settle());
  ExpectAlone(world, kCc, "n", 3);
  EXPECT_EQ(world.Reason(kCc, "n", "Accepted"), "WouldDiscardData");
  EXPECT_EQ(world.Truth(kCc, "n", "Stalled"), "True");
  EXPECT_THAT(world.Message(kCc, "n", "Accepted"), HasSubstr("discardExistingData: " + dataset));
  EXPECT_TRUE(world.HadEvent("WouldDiscardData"));
  EXPECT_EQ(world.Column(kRg, "h", "membersReady"), "2/2");
  // The name of other data allows nothing.
  world.ApplyYaml(kCc, "n", Joins("h", "0123456789"));
  ASSERT_TRUE(world.Settle());
  ExpectAlone(world, kCc, "n", 3);
  EXPECT_THAT(world.Message(kCc, "n", "Accepted"), HasSubstr("names other data (0123456789)"));

  const std::string incarnation = world.Process("n")->incarnation;
  world.ApplyYaml(kCc, "n", Joins("h", dataset));
  ASSERT_TRUE(world.Settle());
  ExpectReplicaOf(world, "h", kCc, "n");
  EXPECT_EQ(world.Process("n")->keys, 7u);
  EXPECT_EQ(world.Process("n")->incarnation, incarnation) << "no restart";
  EXPECT_EQ(world.Column(kRg, "h", "membersReady"), "3/3");
  EXPECT_EQ((*world.Get(kRg, "h"))["status"]["configurations"].back()["voters"].size(), 2u);
  EXPECT_TRUE(world.HadEvent("DemoteStarted"));
  EXPECT_TRUE(world.HadEvent("DemoteComplete"));
  EXPECT_FALSE(world.HadEvent("DataLost"));
  const int before = world.writes();
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.writes(), before);
}

TEST_F(Demote, WhatADeletedGroupLeftIsRefusedUntilItsDataIsGivenUp) {
  world.Delete(kRg, "h");
  ASSERT_TRUE(world.Settle());
  ASSERT_FALSE(world.Exists(kRg, "h"));
  const std::string dataset = world.Process("q")->dataset;
  world.Process("q")->keys = 7;
  world.ApplyYaml(kRg, "k", R"({"primaryClusterId": "r", "applyImmediately": true})");
  world.ApplyYaml(kCc, "r", Joins("k"));
  ASSERT_TRUE(world.Settle());
  world.ApplyYaml(kRr, "q", Joins("k"));
  world.ApplyYaml(kRg, "k", R"({"primaryClusterId": "q", "applyImmediately": true})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Process("q")->dataset, dataset);
  EXPECT_EQ(world.Reason(kRr, "q", "Accepted"), "WouldDiscardData");
  EXPECT_EQ(world.Truth(kRr, "q", "Stalled"), "True");
  EXPECT_THAT(world.Message(kRr, "q", "Accepted"), HasSubstr("set in its spec: discardExistingData: " + dataset));
  EXPECT_EQ(world.Told("WouldDiscardData", "q"), 1);
  // Nobody says that the switchover to it is being applied.
  EXPECT_EQ(world.Reason(kRg, "k", "PendingModifications"), "WaitingForMembers");
  EXPECT_EQ(world.Message(kRg, "k", "PendingModifications"),
            "primaryClusterId (r -> q) is to be applied, but q is not an in-sync voter");
  EXPECT_EQ(world.Reason(kRg, "k", "Degraded"), "SwitchoverBlocked");

  world.ApplyYaml(kRr, "q", Joins("k", dataset));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kRr, "q", "Accepted"), "Accepted");
  EXPECT_EQ(world.Column(kRg, "k", "primary"), "q");
  EXPECT_EQ(world.Reason(kRg, "k", "PendingModifications"), "NothingPending");
}

TEST_F(Demote, ANodeWithoutKeysNeedsNoPermission) {
  world.Process("n")->keys = 0;
  world.ApplyYaml(kCc, "n", Joins("h"));
  ASSERT_TRUE(world.Settle());
  ExpectReplicaOf(world, "h", kCc, "n");
}

TEST_F(Demote, APermissionIsVoidForANewProcessAndForANewPromote) {
  const std::string dataset = world.Process("n")->dataset;
  world.KillProcess("n");
  ASSERT_TRUE(world.Settle());
  ASSERT_NE(world.Process("n")->dataset, dataset);
  world.Process("n")->keys = 1;
  world.ApplyYaml(kCc, "n", Joins("h", dataset));
  ASSERT_TRUE(world.Settle());
  ExpectAlone(world, kCc, "n", 1);
  EXPECT_EQ(world.Reason(kCc, "n", "Accepted"), "WouldDiscardData");

  const std::string shared = world.Process("q")->dataset;
  world.ApplyYaml(kRr, "q", R"({"promotedFrom": "h"})");
  ASSERT_TRUE(world.Settle());
  // Reverting the Promote is a Demote.
  world.ApplyYaml(kRr, "q", Joins("h", shared));
  ASSERT_TRUE(world.Settle());
  ExpectAlone(world, kRr, "q", 7);
  EXPECT_EQ(world.Reason(kRr, "q", "Accepted"), "WouldDiscardData");
  world.ApplyYaml(kRr, "q", Joins("h", world.Process("q")->dataset));
  ASSERT_TRUE(world.Settle());
  ExpectReplicaOf(world, "h", kRr, "q");
}

TEST_F(Demote, KeysThatComeAfterTheDecisionAreNotDropped) {
  world.Process("n")->keys = 0;
  world.ApplyYaml(kCc, "n", Joins("h"));
  for (int i = 0; i < 40 && world.Column(kCc, "n", "groupUid").empty(); ++i) world.OneStep();
  ASSERT_EQ(world.Column(kCc, "n", "groupUid"), UidOf(world, kRg, "h"));
  ASSERT_EQ(world.Process("n")->role, Role::kStandalone);
  world.Process("n")->keys = 1;  // it serves until its order comes
  ASSERT_TRUE(world.Settle());
  ExpectAlone(world, kCc, "n", 1);
  EXPECT_EQ(world.Reason(kCc, "n", "Accepted"), "WouldDiscardData");
  EXPECT_EQ(world.Column(kRg, "h", "membersReady"), "2/2");
}

// What the node has may be all that is left.
TEST_F(Demote, IsAskedForAnewWhereTheGroupHasLostItsDataMeanwhile) {
  const std::string dataset = world.Process("n")->dataset;
  const auto joins = [&](const char* more) {
    return R"({"replicationGroupId": "h", "discardExistingData": ")" + dataset + "\", " + more + "}";
  };
  world.ApplyYaml(kCc, "n", joins(R"("applyImmediately": false)"));
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(world.Reason(kCc, "n", "PendingModifications"), "WaitingForMaintenanceWindow");
  world.Advance(Seconds(60));
  world.KillProcess("p");
  world.KillProcess("q");
  ASSERT_TRUE(world.Settle());
  ASSERT_TRUE(world.HadEvent("DataLost"));
  ASSERT_EQ(world.Truth(kRg, "h", "Ready"), "True");
  world.RestartOperator();
  for (int day = 0; day < 8; ++day) {
    world.Advance(Seconds(24 * 3600));
    ASSERT_TRUE(world.Settle());
  }
  ExpectAlone(world, kCc, "n", 3);
  EXPECT_EQ(world.Reason(kCc, "n", "Accepted"), "GroupLostData");
  EXPECT_EQ(world.Truth(kCc, "n", "Stalled"), "True");
  EXPECT_EQ(world.Column(kCc, "n", "pending"), "");
  EXPECT_EQ(world.Told("GroupLostData", "n"), 1);
  // Another edit means something else, and what passes makes nothing of it forgotten.
  world.ApplyYaml(kCc, "n", joins(R"("applyImmediately": true)"));
  for (const bool up : {false, true}) {
    for (const char* node : {"p", "n"}) world.SetChannel(node, up);
    for (int i = 0; i < 5; ++i) world.Advance(Seconds(3)), world.Settle();
  }
  ExpectAlone(world, kCc, "n", 3);
  EXPECT_THAT(world.Message(kCc, "n", "Accepted"),
              HasSubstr("to ask for it again, take discardExistingData out of its spec and set it anew"));
  world.ApplyYaml(kCc, "n", R"({"replicationGroupId": "h", "applyImmediately": true})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kCc, "n", "Accepted"), "WouldDiscardData");
  world.ApplyYaml(kCc, "n", joins(R"("applyImmediately": true)"));
  ASSERT_TRUE(world.Settle());
  ExpectReplicaOf(world, "h", kCc, "n");
}

TEST_F(Demote, WhoseGroupGoesBeforeItIsOverLeavesWhatCanBePromoted) {
  world.ApplyYaml(kCc, "n",
                  R"({"replicationGroupId": "h", "applyImmediately": true, "discardExistingData": ")" +
                      world.Process("n")->dataset + "\"}");
  for (int i = 0; i < 200 && world.Process("n")->role != Role::kReplica; ++i) world.OneStep();
  ASSERT_EQ(world.Process("n")->role, Role::kReplica);
  ASSERT_EQ(world.Column(kCc, "n", "role"), "standalone") << "its status does not know yet";
  world.Erase(kRg, "h");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kCc, "n", "role"), "replica");
  EXPECT_EQ(world.PodLabel("n", api::kRoleLabel), "replica");
  world.ApplyYaml(kCc, "n", R"({"promotedFrom": "h"})");
  ASSERT_TRUE(world.Settle());
  ExpectAlone(world, kCc, "n", 7);
  EXPECT_EQ(world.Told("PromoteStarted", "n"), 1);
  EXPECT_EQ(world.Told("PromoteComplete", "n"), 1);
}

TEST_F(Demote, WaitsForAGroupThatDoesNotExistAndServesMeanwhile) {
  const std::string dataset = world.Process("n")->dataset;
  world.ApplyYaml(kCc, "n", Joins("later", dataset));
  ASSERT_TRUE(world.Settle());
  ExpectAlone(world, kCc, "n", 3);
  EXPECT_EQ(world.Reason(kCc, "n", "Accepted"), "ReplicationGroupNotFoundFault");
  EXPECT_EQ(world.Truth(kCc, "n", "Stalled"), "False") << "creating the group helps";
  world.ApplyYaml(kCc, "x", Joins("later"));
  world.ApplyYaml(kRg, "later", R"({"primaryClusterId": "x", "applyImmediately": true})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "later", "membersReady"), "2/2");
}

TEST_F(Demote, WaitsForAGroupThatIsNotAvailable) {
  world.SetUnschedulable("q", "no room");
  world.Erase("Pod", "q-0");
  world.Erase("Pod", "p-0");
  world.SetUnschedulable("p", "no room");
  world.Round();
  world.Advance(Seconds(15));
  world.Round();
  ASSERT_EQ(world.Truth(kRg, "h", "Ready"), "False");
  world.ApplyYaml(kCc, "n", Joins("h", world.Process("n")->dataset));
  for (int i = 0; i < 10; ++i) world.Round();
  ExpectAlone(world, kCc, "n", 3);
  EXPECT_EQ(world.Reason(kCc, "n", "Accepted"), "InvalidReplicationGroupState");
  EXPECT_EQ(world.Truth(kCc, "n", "Stalled"), "False");
  EXPECT_EQ(world.Column(kCc, "n", "pending"), "Demote now") << "nobody has to ask again";
  EXPECT_EQ(world.Reason(kCc, "n", "PendingModifications"), "WaitingForMembers");
  EXPECT_THAT(world.Message(kCc, "n", "PendingModifications"),
              ::testing::StartsWith("Demote (independent -> h) can't be applied yet: replication group h is not available"));
}

// It may be the cure.
TEST_F(Demote, AGroupWhoseWritesWaitForReplicasTakesOneIn) {
  for (const bool moves : {false, true}) {
    for (const int synchronous_replicas : {1, 2}) {
      SCOPED_TRACE(std::to_string(synchronous_replicas) + (moves ? ", a member of another group" : ", an independent node"));
      World w;
      Make(&w);
      if (synchronous_replicas == 1) {
        w.Delete(kRr, "q");
        ASSERT_TRUE(w.Settle());
      }
      if (moves) {
        w.ApplyYaml(kCc, "x", Joins("g"));
        w.ApplyYaml(kRg, "g", R"({"primaryClusterId": "x", "applyImmediately": true})");
        ASSERT_TRUE(w.Settle());
        w.ApplyYaml(kCc, "n", Joins("g", w.Process("n")->dataset));
        ASSERT_TRUE(w.Settle());
        ASSERT_EQ(w.Column(kRg, "g", "membersReady"), "2/2");
      }
      w.ApplyYaml(kRg, "h", R"({"primaryClusterId": "p", "applyImmediately": true, "synchronousReplicas": )" +
                                std::to_string(synchronous_replicas) + "}");
      ASSERT_TRUE(w.Settle());
      ASSERT_EQ(w.Reason(kRg, "h", "Ready"), "NotEnoughReplicas");
      w.ApplyYaml(kCc, "n", Joins("h", w.Process("n")->dataset));
      ASSERT_TRUE(w.Settle());
      ExpectReplicaOf(w, "h", kCc, "n");
      EXPECT_EQ(w.Process("n")->keys, 7u);
      EXPECT_EQ(w.Truth(kRg, "h", "Ready"), "True");
      EXPECT_EQ(w.Column(kRg, "h", "phase"), "available");
    }
  }
}

TEST_F(Demote, AGroupWhosePrimaryIsSilentTakesNobodyInThoughItLacksReplicasToo) {
  world.Delete(kRr, "q");
  ASSERT_TRUE(world.Settle());
  world.ApplyYaml(kRg, "h", R"({"primaryClusterId": "p", "applyImmediately": true, "synchronousReplicas": 1})");
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(world.Reason(kRg, "h", "Ready"), "NotEnoughReplicas");
  world.SetChannel("p", false);
  world.ApplyYaml(kCc, "n", Joins("h", world.Process("n")->dataset));
  for (int i = 0; i < 200; ++i) {
    world.Round();
    world.Advance(Milliseconds(100));
  }
  ExpectAlone(world, kCc, "n", 3);
}

TEST_F(Demote, ASeventhMemberIsToldSoServesOnAndComesInWhenThereIsRoom) {
  for (const char* name : {"r1", "r2", "r3", "r4"}) world.ApplyYaml(kRr, name, Joins("h"));
  ASSERT_TRUE(world.Settle());
  world.ApplyYaml(kCc, "n", Joins("h", world.Process("n")->dataset));
  ASSERT_TRUE(world.Settle());
  ExpectAlone(world, kCc, "n", 3);
  EXPECT_EQ(world.Reason(kCc, "n", "Accepted"), "NodeQuotaForClusterExceeded");
  EXPECT_EQ(world.Truth(kCc, "n", "Stalled"), "False");
  EXPECT_EQ(world.Column(kRg, "h", "membersReady"), "6/6");
  world.Delete(kRr, "r4");
  ASSERT_TRUE(world.Settle());
  ExpectReplicaOf(world, "h", kCc, "n");
  EXPECT_EQ(world.Column(kRg, "h", "membersReady"), "6/6");
}

TEST_F(Demote, OfTwoForOneFreePlaceTheElderComesIn) {
  for (const char* name : {"r1", "r2", "r3"}) world.ApplyYaml(kRr, name, Joins("h"));
  world.ApplyYaml(kCc, "m", "{}");
  ASSERT_TRUE(world.Settle());
  world.ApplyYaml(kCc, "n", Joins("h", world.Process("n")->dataset));
  world.ApplyYaml(kCc, "m", Joins("h"));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "h", "membersReady"), "6/6");
  ExpectReplicaOf(world, "h", kCc, "n");
  EXPECT_EQ(world.Column(kCc, "m", "role"), "standalone");
  EXPECT_EQ(world.Reason(kCc, "m", "Accepted"), "NodeQuotaForClusterExceeded");
}

// Six members, and nodes of both kinds that wait for a place; the elder of them may be of either.
class Quota : public Demote {
 protected:
  void Fill() {
    for (const char* name : {"r1", "r2", "r3", "r4"}) world.ApplyYaml(kRr, name, Joins("h"));
    ASSERT_TRUE(world.Settle());
    ASSERT_EQ(world.Column(kRg, "h", "membersReady"), "6/6");
  }
  void ExpectWaits(const char* kind, const char* name) {
    EXPECT_EQ(world.Reason(kind, name, "Accepted"), "NodeQuotaForClusterExceeded") << name;
    EXPECT_EQ(world.Truth(kind, name, "Stalled"), "False") << name << ": a place may become free without an edit";
  }
  void MakeRoom(const char* kind, const char* name) {
    world.Delete(kind, name);
    ASSERT_TRUE(world.Settle());
    ASSERT_FALSE(world.Exists(kind, name));
    EXPECT_EQ(world.Column(kRg, "h", "membersReady"), "6/6");
  }
};

TEST_F(Quota, TheElderIndependentNodeComesInBeforeTheYoungerNewOne) {
  Fill();
  world.ApplyYaml(kCc, "n", Joins("h", world.Process("n")->dataset));
  world.ApplyYaml(kRr, "c", Joins("h"));
  ASSERT_TRUE(world.Settle());
  ExpectWaits(kCc, "n");
  ExpectWaits(kRr, "c");
  MakeRoom(kRr, "r4");
  ExpectReplicaOf(world, "h", kCc, "n");
  ExpectWaits(kRr, "c");
  MakeRoom(kCc, "n");
  EXPECT_EQ(world.Column(kRr, "c", "role"), "replica");
}

TEST_F(Quota, ItKeepsItsPlaceInTheLineWhileThePrimaryHandsOverToMakeIt) {
  Fill();
  world.ApplyYaml(kCc, "n", Joins("h", world.Process("n")->dataset));
  world.ApplyYaml(kRr, "c", Joins("h"));
  ASSERT_TRUE(world.Settle());
  MakeRoom(kCc, "p");
  ExpectReplicaOf(world, "h", kCc, "n");
  ExpectWaits(kRr, "c");
}

TEST_F(Quota, TheElderNewNodeComesInBeforeTheYoungerIndependentOne) {
  Fill();
  world.ApplyYaml(kRr, "z", Joins("h"));
  world.ApplyYaml(kCc, "c", "{}");
  ASSERT_TRUE(world.Settle());
  world.ApplyYaml(kCc, "c", Joins("h"));
  ASSERT_TRUE(world.Settle());
  ExpectWaits(kRr, "z");
  ExpectWaits(kCc, "c");
  MakeRoom(kRr, "r4");
  EXPECT_EQ(world.Column(kRr, "z", "role"), "replica");
  EXPECT_EQ(world.Column(kCc, "c", "role"), "standalone");
  ExpectWaits(kCc, "c");
}

TEST_F(Quota, OfTwoIndependentNodesTheElderComesInWhateverTheirNames) {
  world.ApplyYaml(kCc, "c", "{}");  // younger than n
  Fill();
  for (const char* name : {"c", "n"}) world.ApplyYaml(kCc, name, Joins("h", world.Process(name)->dataset));
  ASSERT_TRUE(world.Settle());
  ExpectWaits(kCc, "n");
  ExpectWaits(kCc, "c");
  MakeRoom(kRr, "r4");
  ExpectReplicaOf(world, "h", kCc, "n");
  ExpectWaits(kCc, "c");
}

TEST_F(Quota, WhoMayNotJoinHoldsNoPlace) {
  Fill();
  world.ApplyYaml(kCc, "n", Joins("h"));  // its data is not given up
  world.ApplyYaml(kRr, "c", Joins("h"));
  ASSERT_TRUE(world.Settle());
  MakeRoom(kRr, "r4");
  EXPECT_EQ(world.Column(kRr, "c", "role"), "replica");
  EXPECT_EQ(world.Column(kCc, "n", "role"), "standalone");
}

TEST_F(Quota, APlaceThatIsHeldIsNotFilledFromThePool) {
  Fill();
  world.ApplyYaml(kCc, "n", Joins("h", world.Process("n")->dataset));
  world.ApplyYaml(kRg, "h", R"({"primaryClusterId": "p", "applyImmediately": true, "replicas": 1})");
  ASSERT_TRUE(world.Settle());
  MakeRoom(kCc, "p");
  ExpectReplicaOf(world, "h", kCc, "n");
  EXPECT_FALSE(world.Exists(kRr, "h-002"));
}

// -- moves: g is a group of its own
class Move : public Demote {
 protected:
  void SetUp() override { Make(&world); }
  static void Make(World* world, int replicas = 1) {
    Demote::Make(world);
    world->ApplyYaml(kCc, "a", Joins("g"));
    world->ApplyYaml(kRg, "g", R"({"primaryClusterId": "a", "applyImmediately": true})");
    if (replicas > 0) world->ApplyYaml(kRr, "b", Joins("g"));
    ASSERT_TRUE(world->Settle());
    world->Process("a")->keys = 5;
    ASSERT_TRUE(world->Settle());
  }
  // An independent node with data, which is to join g on Saturday.
  static void LetXWaitToJoin(World* world) {
    world->ApplyYaml(kCc, "x", R"({"applyImmediately": false, "preferredMaintenanceWindow": "sat:02:00-sat:03:00"})");
    ASSERT_TRUE(world->Settle());
    world->Process("x")->keys = 3;
    ASSERT_TRUE(world->Settle());
    world->ApplyYaml(kCc, "x", R"({"applyImmediately": false, "preferredMaintenanceWindow": "sat:02:00-sat:03:00",
                                 "replicationGroupId": "g", "discardExistingData": ")" + world->Process("x")->dataset + "\"}");
    ASSERT_TRUE(world->Settle());
    ASSERT_EQ(world->Column(kCc, "x", "pending"), "Demote until Sat 02:00Z");
  }
};

TEST_F(Move, OfAReplicaNeedsTheOtherGroupItsConsentAndNothingOfItsOwnGroup) {
  const std::string dataset = world.Process("b")->dataset;
  world.ApplyYaml(kRr, "b", Joins("missing", dataset));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kRr, "b", "Accepted"), "ReplicationGroupNotFoundFault");
  EXPECT_EQ(world.Process("b")->group, UidOf(world, kRg, "g")) << "it stays where it is";
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "2/2");
  world.ApplyYaml(kRr, "b", Joins("h"));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kRr, "b", "Accepted"), "WouldDiscardData");
  EXPECT_THAT(world.Message(kRr, "b", "Accepted"), HasSubstr("discardExistingData: " + dataset));
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "2/2");
  world.ApplyYaml(kRr, "b", Joins("h", dataset));
  ASSERT_TRUE(world.Settle());
  ExpectReplicaOf(world, "h", kRr, "b");
  EXPECT_EQ(world.Process("b")->keys, 7u);
  EXPECT_EQ(world.Column(kRg, "h", "membersReady"), "3/3");
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "1/1");
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "True");
  EXPECT_EQ(world.Process("a")->keys, 5u);
}

TEST_F(Move, OfAPrimaryThatOthersFollowIsRefused) {
  world.ApplyYaml(kCc, "a", Joins("h", world.Process("a")->dataset));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kCc, "a", "Accepted"), "InvalidCacheClusterState");
  EXPECT_THAT(world.Message(kCc, "a", "Accepted"), HasSubstr("which others follow"));
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "True");
  EXPECT_EQ(world.Column(kCc, "a", "role"), "primary");
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "b", "applyImmediately": true})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "b");
  ExpectReplicaOf(world, "h", kCc, "a");
}

// Who is to move had to take the role over while the primary's Pod was replaced.
TEST_F(Move, OfTheLastReplicaGoesOnAfterARolloutThatGaveItTheRole) {
  world.ApplyYaml(kRr, "b", Joins("h", world.Process("b")->dataset));
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a", "applyImmediately": true, "node": {"image": "understudy:2"}})");
  ASSERT_TRUE(world.Settle(400));
  EXPECT_EQ(world.Told("SwitchoverStarted"), 2) << "to b for the rollout, and back";
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "a");
  EXPECT_EQ(world.Process("a")->keys, 5u);
  EXPECT_EQ(world.Column(kCc, "a", "effectiveImage"), "understudy:2");
  ExpectReplicaOf(world, "h", kRr, "b");
  EXPECT_FALSE(world.HadEvent("DataLost"));
  EXPECT_FALSE(world.HadEvent("InvalidCacheClusterState"));
  EXPECT_EQ(world.Told("ModificationCancelled", "b"), 0);
}

TEST_F(Move, OfTheOnlyMemberEmptiesItsGroupWhichSaysSoAndStartsAnewLater) {
  World w;
  Make(&w, 0);
  const int64_t epoch = JsonInt((*w.Get(kRg, "g"))["status"], "epoch");
  w.ApplyYaml(kCc, "a", Joins("h"));
  ASSERT_TRUE(w.Settle());
  EXPECT_EQ(w.Reason(kCc, "a", "Accepted"), "WouldDiscardData");
  EXPECT_EQ(w.Column(kCc, "a", "role"), "primary");
  EXPECT_EQ(w.Truth(kRg, "g", "Ready"), "True");
  w.ApplyYaml(kCc, "a", Joins("h", w.Process("a")->dataset));
  ASSERT_TRUE(w.Settle());
  ExpectReplicaOf(w, "h", kCc, "a");
  EXPECT_EQ(w.Process("a")->keys, 7u);
  EXPECT_EQ(w.Reason(kRg, "g", "Ready"), "Emptied");
  EXPECT_THAT(w.Message(kRg, "g", "Ready"), HasSubstr("replicationGroupId g"));
  EXPECT_EQ(w.Column(kRg, "g", "membersReady"), "0/0");
  EXPECT_EQ(w.Column(kRg, "g", "primary"), "");
  EXPECT_EQ(w.Truth(kRg, "g", "FailoverReady"), "False");
  EXPECT_EQ(w.EndpointOf("g"), "") << "its Service leads nobody to a node of h";
  EXPECT_TRUE(w.HadEvent("Emptied"));
  // A new node starts it again, above the old epoch.
  w.ApplyYaml(kRr, "fresh", Joins("g"));
  ASSERT_TRUE(w.Settle());
  EXPECT_EQ(w.Column(kRg, "g", "primary"), "fresh");
  EXPECT_EQ(w.EndpointOf("g"), "fresh-0");
  EXPECT_EQ(w.Truth(kRg, "g", "Ready"), "True");
  EXPECT_GT(JsonInt((*w.Get(kRg, "g"))["status"], "epoch"), epoch);
  ExpectReplicaOf(w, "h", kCc, "a");
}

TEST_F(Move, OfTheOnlyMemberIsNotHeldUpByANodeThatWaitsToJoinItsGroup) {
  World w;
  Make(&w, 0);
  LetXWaitToJoin(&w);
  w.ApplyYaml(kCc, "a", Joins("h", w.Process("a")->dataset));
  ASSERT_TRUE(w.Settle());
  ExpectReplicaOf(w, "h", kCc, "a");
  EXPECT_EQ(w.Told("Emptied", "g"), 1);
  EXPECT_FALSE(w.HadEvent("FailoverStarted"));
  // The group goes on with who waited for it.
  EXPECT_EQ(w.Column(kRg, "g", "primary"), "x");
  EXPECT_EQ(w.Process("x")->keys, 3u);
}

// Until its process knows that it has left, it may take writes as the group's primary.
TEST_F(Move, OfTheOnlyMemberIsOverBeforeItsGroupStartsAnew) {
  bool seen = false;
  for (int steps = 1; steps < 40 && !seen; ++steps) {
    World w;
    Make(&w, 0);
    w.ApplyYaml(kRg, "g", R"({"applyImmediately": true})");  // that names it no more
    LetXWaitToJoin(&w);
    w.ApplyYaml(kCc, "a", Joins("h", w.Process("a")->dataset));
    w.CrashAfter(steps);
    for (int i = 0; i < 10 && !w.crashed(); ++i) w.Round();
    w.RestartOperator();
    seen = w.Column(kCc, "a", "groupUid").empty() && w.Process("a")->role == Role::kPrimary;
    if (!seen) continue;
    w.SetChannel("a", false);
    for (int i = 0; i < 30; ++i) {
      w.Round();
      w.Advance(Seconds(1));
    }
    ASSERT_EQ(w.Process("a")->role, Role::kPrimary);
    EXPECT_EQ(w.Column(kRg, "g", "primary"), "");
    w.SetChannel("a", true);
    ASSERT_TRUE(w.Settle());
    ExpectReplicaOf(w, "h", kCc, "a");
    EXPECT_EQ(w.Column(kRg, "g", "primary"), "x");
    EXPECT_FALSE(w.HadEvent("FailoverStarted"));
  }
  EXPECT_TRUE(seen);
}

TEST_F(Move, TheServiceOfTheEmptiedGroupIsPointedAwayBeforeItsNodeLeaves) {
  World w;
  Make(&w, 0);
  w.ApplyYaml(kCc, "a", Joins("h", w.Process("a")->dataset));
  for (int i = 0; i < 60 && w.Column(kCc, "a", "role") != "replica"; ++i) {
    w.OneStep();
    const bool left = w.Column(kCc, "a", "groupUid") != UidOf(w, kRg, "g");
    EXPECT_FALSE(left && !w.EndpointOf("g").empty());
    EXPECT_TRUE(left || w.Process("a")->role == Role::kPrimary);
  }
  EXPECT_EQ(w.Process("a")->role, Role::kReplica);
}

// Crash after each single step of a Demote or a move; then the wish holds, is taken back, or somebody dies.
enum class Case { kDemote, kMoveOfAReplica, kMoveOfTheOnlyOne };
enum class Then { kGoesOn, kTakenBack, kReverted, kPermissionTakenBack, kPrimaryDies, kNodeDies };

class DemoteCrash : public Move, public ::testing::WithParamInterface<std::tuple<Case, Then>> {};

TEST_P(DemoteCrash, EndsAtAMemberOrAnIndependentNodeAndDropsNothingWithoutLeave) {
  const auto [what, then] = GetParam();
  const char* kind = what == Case::kMoveOfAReplica ? kRr : kCc;
  const std::string name = what == Case::kDemote ? "n" : what == Case::kMoveOfAReplica ? "b" : "a";
  const std::string home = what == Case::kDemote ? "" : "g";
  World base;
  Make(&base, what == Case::kMoveOfTheOnlyOne ? 0 : 1);
  bool crashed = true;
  for (int steps = 0; crashed; ++steps) {
    ASSERT_LT(steps, 120);
    SCOPED_TRACE("crash after " + std::to_string(steps) + " steps");
    World w = base;
    const std::string dataset = w.Process(name)->dataset;
    const uint64_t keys = w.Process(name)->keys;
    w.ApplyYaml(kind, name, Joins("h", dataset));
    w.CrashAfter(steps);
    for (int i = 0; i < 30 && !w.crashed(); ++i) {
      w.Round();
      w.Advance(Milliseconds(100));
    }
    crashed = w.crashed();
    const bool dropped = w.Process(name)->keys != keys || w.Process(name)->role == Role::kReplica;
    if (then == Then::kTakenBack) w.ApplyYaml(kind, name, home.empty() ? R"({"promotedFrom": "h"})" : Joins(home));
    // The manifest as it was; the API server lets it through until the group has taken the node in (crds/).
    const bool independent = JsonInt((*w.Get(kind, name))["status"], "epoch") > 0 && w.Column(kind, name, "groupUid").empty();
    if (then == Then::kReverted && independent) w.ApplyYaml(kind, name, home.empty() ? "{}" : Joins(home));
    if (then == Then::kPermissionTakenBack) w.ApplyYaml(kind, name, Joins("h"));
    if (then == Then::kPrimaryDies) w.KillProcess("p");
    if (then == Then::kNodeDies) w.KillProcess(name);
    w.RestartOperator();
    ASSERT_TRUE(w.Settle(500));
    EXPECT_EQ(w.Truth(kRg, "h", "Ready"), "True");
    const control::NodeState& node = *w.Process(name);
    const std::string role = w.Column(kind, name, "role");
    ASSERT_NE(node.role, Role::kUnassigned) << "an orphan";
    EXPECT_NE(role, "");
    // Status and process say the same.
    EXPECT_EQ(role, control::RoleName(node.role));
    EXPECT_EQ(w.Column(kind, name, "dataset"), node.dataset);
    const std::string uid = w.Column(kind, name, "groupUid");
    EXPECT_EQ(uid.empty() ? UidOf(w, kind, name) : uid, node.group);
    // The others' data is where it was.
    EXPECT_EQ(w.Process(w.Column(kRg, "h", "primary"))->keys, 7u);
    EXPECT_TRUE(what != Case::kMoveOfAReplica || w.Process("a")->keys == 5u);
    const bool in_h = node.group == UidOf(w, kRg, "h");
    if (then == Then::kReverted && what == Case::kDemote) {
      EXPECT_EQ(in_h, !independent);
      EXPECT_EQ(node.keys, independent ? keys : 7u);
      EXPECT_EQ(w.Reason(kind, name, "Accepted"), "Accepted");
    } else if (then == Then::kReverted) {
      EXPECT_TRUE(in_h || node.keys == keys);
    } else if (then == Then::kGoesOn || then == Then::kPrimaryDies) {
      EXPECT_TRUE(in_h);
      EXPECT_EQ(node.keys, 7u);
    } else if (then == Then::kTakenBack || then == Then::kPermissionTakenBack) {
      // What was not dropped by then is kept.
      const bool promoted_again = dropped && what == Case::kDemote && node.keys == 7;
      EXPECT_TRUE(in_h || node.keys == keys || promoted_again);
      EXPECT_TRUE(!in_h || dropped);
    } else if (what == Case::kMoveOfAReplica) {
      EXPECT_TRUE(in_h || node.group == UidOf(w, kRg, "g"));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    After, DemoteCrash,
    ::testing::Combine(::testing::Values(Case::kDemote, Case::kMoveOfAReplica, Case::kMoveOfTheOnlyOne),
                       ::testing::Values(Then::kGoesOn, Then::kTakenBack, Then::kReverted,
                                         Then::kPermissionTakenBack, Then::kPrimaryDies, Then::kNodeDies)));

}  // namespace
}  // namespace understudy::plan
