// A group whose nodes were all deleted: what it says, and how it goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/operator/plan/world.h"

namespace understudy::plan {
namespace {

using ::testing::HasSubstr;

constexpr const char* kMember = R"({"replicationGroupId": "g"})";

// Group g, a is primary with five keys, b its replica.
class AllDeleted : public ::testing::Test {
 protected:
  void SetUp() override {
    world.ApplyYaml(kCc, "a", kMember);
    world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a"})");
    world.ApplyYaml(kRr, "b", kMember);
    ASSERT_TRUE(world.Settle());
    ASSERT_EQ(world.Column(kRg, "g", "membersReady"), "2/2");
    world.Process("a")->keys = 5;
    ASSERT_TRUE(world.Settle());
  }
  void DeleteAll() {
    world.Delete(kCc, "a");
    world.Delete(kRr, "b");
    for (int i = 0; i < 30; ++i) {
      world.Round();
      world.Advance(Seconds(1));
    }
    ASSERT_FALSE(world.Exists(kCc, "a"));
    ASSERT_FALSE(world.Exists(kRr, "b"));
  }
  int64_t Epoch() { return JsonInt((*world.Get(kRg, "g"))["status"], "epoch"); }

  World world;
};

TEST_F(AllDeleted, TheGroupIsEmptyAndNamesNoPrimary) {
  DeleteAll();
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kRg, "g", "Ready"), "Emptied");
  EXPECT_THAT(world.Message(kRg, "g", "Ready"), HasSubstr("or all were deleted and the data with them"));
  EXPECT_THAT(world.Message(kRg, "g", "Ready"), HasSubstr("replicationGroupId g"));
  EXPECT_EQ(world.Told("Emptied", "g"), 1);
  EXPECT_FALSE(world.HadEvent("FailoverStarted")) << "nobody was there to take over";
  EXPECT_EQ(world.Column(kRg, "g", "phase"), "creating");
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "");
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "0/0");
  EXPECT_EQ(world.Truth(kRg, "g", "FailoverReady"), "False");
  const int before = world.writes();
  world.Advance(Seconds(3600));
  world.Round();
  EXPECT_EQ(world.writes(), before);
}

TEST_F(AllDeleted, ANewNodeStartsItAnewAboveTheOldEpoch) {
  const int64_t epoch = Epoch();
  const std::string dataset = world.Column(kRg, "g", "dataset");
  DeleteAll();
  world.ApplyYaml(kRr, "fresh", kMember);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "fresh");
  EXPECT_EQ(world.EndpointOf("g"), "fresh-0");
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "True");
  EXPECT_EQ(world.Column(kRg, "g", "phase"), "available");
  EXPECT_GT(Epoch(), epoch);
  EXPECT_NE(world.Column(kRg, "g", "dataset"), dataset);
  EXPECT_FALSE(world.HadEvent("DataLost")) << "it was deleted";
}

// What proved that the old processes have ended is forgotten with their Pods and the operator that saw it.
TEST_F(AllDeleted, AnotherOperatorStartsItAnewWithoutFurtherProof) {
  DeleteAll();
  world.RestartOperator();
  world.ApplyYaml(kRr, "fresh", kMember);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "fresh");
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "True");
}

TEST_F(AllDeleted, TheSameManifestsGiveTheSameGroup) {
  DeleteAll();
  world.ApplyYaml(kRr, "b", kMember);
  world.ApplyYaml(kCc, "a", kMember);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "a");
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "2/2");
}

TEST_F(AllDeleted, AProcessThatIsNotProvenToHaveEndedIsWaitedForAndToldWithoutNamingItPrimary) {
  const std::string incarnations = world.Process("a")->incarnation + "," + world.Process("b")->incarnation;
  world.kubelet_tells_ends = false;
  DeleteAll();
  EXPECT_EQ(world.Reason(kRg, "g", "Ready"), "NoPromotableReplica");
  EXPECT_THAT(world.Message(kRg, "g", "Ready"), HasSubstr("all nodes of the group were deleted"));
  EXPECT_EQ(world.Reason(kRg, "g", "FailoverReady"), "NoPromotableReplica");
  EXPECT_EQ(world.Column(kRg, "g", "phase"), "creating");
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "");
  ASSERT_EQ(world.Truth(kRg, "g", "WaitingForProofOfDeath"), "True");
  // A new node waits as well: the old process may still acknowledge writes.
  world.ApplyYaml(kRr, "fresh", kMember);
  for (int i = 0; i < 30; ++i) {
    world.Round();
    world.Advance(Seconds(1));
  }
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "");
  EXPECT_NE(world.Column(kRr, "fresh", "role"), "primary");
  world.Annotate(kRg, "g", api::kConfirmDeadAnnotation, incarnations);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "fresh");
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "True");
  EXPECT_TRUE(world.HadEvent("DataLost"));
}

// Nothing runs for the new object, and nothing will in a group that goes: it has no data to inherit.
TEST_F(AllDeleted, AndDeletedItselfItWaitsForNoPrimaryThatWasMadeAnew) {
  world.kubelet_tells_ends = false;
  world.Delete(kCc, "a");
  world.Delete(kRr, "b");
  for (int i = 0; i < 60 && (world.Exists(kCc, "a") || world.Exists(kRr, "b")); ++i) {
    world.Round();
    world.Advance(Seconds(1));
  }
  ASSERT_FALSE(world.Exists(kCc, "a"));
  ASSERT_FALSE(world.Exists(kRr, "b"));
  ASSERT_FALSE((*world.Get(kRg, "g"))["status"]["configurations"].empty()) << "the group does not know it yet";
  world.ApplyYaml(kCc, "a", kMember);
  world.Delete(kRg, "g");
  for (int i = 0; i < 60 && world.Exists(kRg, "g"); ++i) {
    world.Round();
    world.Advance(Seconds(1));
  }
  EXPECT_FALSE(world.Exists(kRg, "g"));
  EXPECT_TRUE(world.Exists(kCc, "a"));
  EXPECT_EQ(world.Process("a"), nullptr);
  // It is as new when its group is back.
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a"})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "a");
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "True");
}

// Group p without a node of its user's: p-001 is primary, p-002 its replica.
class OperatorMade : public ::testing::Test {
 protected:
  void SetUp() override {
    world.ApplyYaml(kRg, "p", R"({"replicas": 1})");
    ASSERT_TRUE(world.Settle());
    ASSERT_EQ(world.Column(kRg, "p", "primary"), "p-001");
    ASSERT_EQ(world.Column(kRg, "p", "membersReady"), "2/2");
  }
  void Delete(const char* kind, const std::string& name) {
    world.Delete(kind, name);
    for (int i = 0; i < 10; ++i) {
      ASSERT_TRUE(world.Settle());
      world.Advance(Seconds(3));  // what waits for its time
    }
    ASSERT_FALSE(world.Exists(kind, name));
  }
  int64_t Replicas() { return JsonInt((*world.Get(kRg, "p"))["status"], "replicas"); }

  World world;
};

TEST_F(OperatorMade, ANodeOfThePoolMoreStandsInForTheOneThatItStartedWith) {
  Delete(kCc, "p-001");
  EXPECT_EQ(world.Column(kRg, "p", "primary"), "p-002");
  EXPECT_TRUE(world.Exists(kRr, "p-003"));
  EXPECT_EQ(world.Column(kRg, "p", "membersReady"), "2/2");
  EXPECT_EQ(Replicas(), 1) << "what kubectl scale counts";
  world.ApplyYaml(kRg, "p", R"({"replicas": 0})");
  ASSERT_TRUE(world.Settle());
  EXPECT_TRUE(world.Exists(kRr, "p-002")) << "the primary stays";
  EXPECT_FALSE(world.Exists(kRr, "p-003"));
  EXPECT_EQ(Replicas(), 0);
}

TEST_F(OperatorMade, AlsoWhereThePrimaryIsNamedThatTheOperatorMade) {
  world.ApplyYaml(kRg, "p", R"({"replicas": 1, "primaryClusterId": "p-002", "applyImmediately": true})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "p", "primary"), "p-002");
  EXPECT_FALSE(world.Exists(kRr, "p-003"));
  Delete(kCc, "p-001");
  EXPECT_TRUE(world.Exists(kRr, "p-003"));
  EXPECT_EQ(world.Column(kRg, "p", "membersReady"), "2/2");
}

TEST_F(OperatorMade, NotWhereTheUsersOwnNodeIsLeft) {
  world.ApplyYaml(kRr, "mine", R"({"replicationGroupId": "p"})");
  ASSERT_TRUE(world.Settle());
  Delete(kCc, "p-001");
  EXPECT_FALSE(world.Exists(kRr, "p-003"));
  EXPECT_EQ(world.Column(kRg, "p", "membersReady"), "2/2");
  EXPECT_EQ(Replicas(), 1);
}

TEST_F(OperatorMade, AllDeletedItComesBackWhole) {
  world.Delete(kRr, "p-002");
  Delete(kCc, "p-001");
  EXPECT_EQ(world.Column(kRg, "p", "membersReady"), "2/2");
  EXPECT_EQ(world.Truth(kRg, "p", "Ready"), "True");
  EXPECT_EQ(Replicas(), 1);
}

}  // namespace
}  // namespace understudy::plan
