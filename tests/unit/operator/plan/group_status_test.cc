// What a group's status says while something happens, and when. The failover machine is the real one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/operator/plan/world.h"

namespace understudy::plan {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

class GroupOfTwo : public testing::Test {
 protected:
  void SetUp() override {
    world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a"})");
    world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g"})");
    world.ApplyYaml(kRr, "b", R"({"replicationGroupId": "g"})");
    ASSERT_TRUE(world.Settle());
    ASSERT_EQ(world.Truth(kRg, "g", "Ready"), "True");
  }
  void PowerOff() {
    for (const char* node : {"a", "b"}) world.SetChannel(node, false);
  }
  // The primary's host is cut off, and its replica notices.
  void CutOffPrimary() {
    world.SetChannel("a", false);
    for (int i = 0; i < 40; ++i) {
      control::NodeState* replica = world.Process("b");
      if (replica->role == control::Role::kReplica) replica->link = control::LinkState::kConnecting;
      Run(Milliseconds(100));
    }
  }
  void Run(Duration d) {
    for (const MonoTime until = world.now() + d; world.now() < until;) {
      world.Advance(Milliseconds(100));
      world.Round();
    }
  }
  World world;
};

TEST_F(GroupOfTwo, IsNotReadyWhenNobodyHeardItsPrimaryForDetectionTimeoutAndLease) {
  PowerOff();
  const int before = world.writes();
  Run(Milliseconds(2400));
  EXPECT_EQ(world.writes(), before);
  EXPECT_LE(world.GroupPlan("g").wake_at, world.now() + Milliseconds(100)) << "the plan asks for it itself";
  Run(Milliseconds(100));
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "False");
  EXPECT_EQ(world.Reason(kRg, "g", "Ready"), "PrimaryUnreachable");
  EXPECT_THAT(world.Message(kRg, "g", "Ready"), HasSubstr("primary a: "));
  EXPECT_EQ(world.Column(kRg, "g", "phase"), "failing-over");
  EXPECT_EQ(world.Truth(kRg, "g", "FailoverReady"), "False");
  EXPECT_EQ(world.Truth(kCc, "a", "Ready"), "False");
  EXPECT_EQ(world.Truth(kRr, "b", "Ready"), "True") << "everything else waits: it may only be unheard";
  EXPECT_EQ(world.writes(), before + 2);
  Run(Milliseconds(2400));
  EXPECT_EQ(world.writes(), before + 2);
  EXPECT_EQ(world.Truth(kRg, "g", "WaitingForProofOfDeath"), "False") << "most proofs come by themselves";
  Run(Milliseconds(200));  // 5 s after the suspicion
  EXPECT_EQ(world.Truth(kRg, "g", "WaitingForProofOfDeath"), "True");
  EXPECT_EQ(world.Message(kRg, "g", "Ready"), world.Message(kRg, "g", "WaitingForProofOfDeath"));
  EXPECT_EQ(world.Told("ProofOfDeathMissing"), 1);
  EXPECT_EQ(world.writes(), before + 3);
  Run(Seconds(4));
  EXPECT_EQ(world.writes(), before + 3);
  Run(Seconds(1));
  EXPECT_EQ(world.Truth(kRr, "b", "Ready"), "False");
  EXPECT_EQ(world.Told("ProofOfDeathMissing"), 1);
}

// Its channel stays open.
TEST_F(GroupOfTwo, AStoppedPrimaryThatIsWaitedForIsNeitherAvailableNorReady) {
  world.SetSilent("a");
  world.SetSilent("b");
  Run(Milliseconds(2400));
  EXPECT_EQ(world.Column(kCc, "a", "phase"), "available");
  Run(Milliseconds(200));
  EXPECT_EQ(world.Column(kCc, "a", "phase"), "modifying");
  EXPECT_EQ(world.Truth(kCc, "a", "Ready"), "False");
  EXPECT_EQ(world.Reason(kCc, "a", "Ready"), "Unreachable");
  EXPECT_EQ(world.Message(kCc, "a", "Ready"), "its process does not answer the operator");
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "1/2");
  Run(Seconds(10));
  EXPECT_EQ(world.Column(kCc, "a", "phase"), "modifying");
  EXPECT_EQ(world.Reason(kCc, "a", "Ready"), "Unreachable") << "the same also later";
  for (const char* node : {"a", "b"}) world.SetHeard(node);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kCc, "a", "phase"), "available");
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "2/2");
  EXPECT_EQ(world.Told("CacheNodeAvailable", "a"), 1) << "it is no new node";
}

TEST_F(GroupOfTwo, AFailoverDoesNotCountTheOldPrimaryAsReady) {
  world.SetChannel("a", false);
  for (int i = 0; i < 40 && !world.HadEvent("FailoverStarted"); ++i) {
    world.Process("b")->link = control::LinkState::kConnecting;
    world.OneStep();
    world.Advance(Milliseconds(100));
  }
  ASSERT_EQ(world.Column(kRg, "g", "phase"), "failing-over");
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "1/2");
}

TEST_F(GroupOfTwo, AFrozenReplicaIsNotBeingCreated) {
  world.SetInSync("b", false);  // its primary notices first
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRr, "b", "phase"), "modifying");
  world.SetChannel("b", false);
  Run(Seconds(12));
  EXPECT_EQ(world.Reason(kRr, "b", "Ready"), "Unreachable");
  EXPECT_EQ(world.Column(kRr, "b", "phase"), "modifying");
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "1/2");
  world.SetUnschedulable("b", "0/3 nodes are available");
  world.Erase("Pod", "b-0");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRr, "b", "phase"), "creating") << "but a new Pod's is";
}

TEST_F(GroupOfTwo, ADrainThatTheDisruptionBudgetHoldsUpIsExplained) {
  const std::string host = JsonString((*world.Get("Pod", "a-0"))["spec"], "nodeName");
  world.cordoned.insert(host);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Truth(kRg, "g", "Degraded"), "False") << "b is there: a may be evicted";
  world.SetUnschedulable("b", "0/3 nodes are available");
  world.Delete("Pod", "b-0");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kRg, "g", "Degraded"), "DrainBlocked");
  EXPECT_THAT(world.Message(kRg, "g", "Degraded"),
              HasSubstr("Node " + host + " is cordoned, but a can't be evicted from it while b has no Node"));
  EXPECT_TRUE(world.HadEvent("DrainBlocked"));
  world.cordoned.clear();
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kRg, "g", "Degraded"), "MemberMissing");
}

TEST_F(GroupOfTwo, ADrainMayGoOnBesideAReplicaThatNeverWorked) {
  world.SetUnschedulable("c", "0/3 nodes are available");
  world.ApplyYaml(kRr, "c", R"({"replicationGroupId": "g"})");
  world.cordoned.insert(JsonString((*world.Get("Pod", "a-0"))["spec"], "nodeName"));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kRg, "g", "Degraded"), "MemberMissing");
}

TEST_F(GroupOfTwo, IsReadyAgainAsSoonAsItsPrimaryServes) {
  PowerOff();
  Run(Seconds(4));
  ASSERT_EQ(world.Truth(kRg, "g", "Ready"), "False");
  world.SetChannel("a", true);  // its replica is still away
  Run(Milliseconds(200));
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "True");
  EXPECT_EQ(world.Column(kRg, "g", "phase"), "available");
}

TEST_F(GroupOfTwo, IsReadyAgainAsSoonAsAFailoverIsOver) {
  CutOffPrimary();
  ASSERT_EQ(world.Column(kRg, "g", "primary"), "b");
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "True") << "the old primary is not waited for";
  EXPECT_EQ(world.Column(kRg, "g", "phase"), "available");
}

TEST_F(GroupOfTwo, StaysReadyThroughShorterSilences) {
  const int before = world.writes();
  for (int i = 0; i < 5; ++i) {
    PowerOff();
    Run(Seconds(2));
    for (const char* node : {"a", "b"}) world.SetChannel(node, true);
    Run(Seconds(1));
  }
  EXPECT_EQ(world.writes(), before);
}

// -- WaitingForProofOfDeath

TEST_F(GroupOfTwo, AsksNobodyToConfirmADeathForATakeoverThatNeedsNoProof) {
  world.SetSilent("a");
  Run(Milliseconds(1500));  // suspected; its replica has not noticed yet
  EXPECT_EQ(world.Truth(kRg, "g", "WaitingForProofOfDeath"), "False");
  for (int i = 0; i < 40; ++i) {
    control::NodeState* replica = world.Process("b");
    if (replica->role == control::Role::kReplica) replica->link = control::LinkState::kConnecting;
    Run(Milliseconds(100));
  }
  ASSERT_EQ(world.Column(kRg, "g", "primary"), "b");
  EXPECT_TRUE(world.HadEvent("FailoverStarted"));
  EXPECT_FALSE(world.HadEvent("ProofOfDeathMissing"));
}

TEST_F(GroupOfTwo, OneLineConfirmsAllThatItTakesAfterAllPodsWereDeletedByForce) {
  world.kubelet_tells_ends = false;
  const std::string incarnations = world.Process("a")->incarnation + "," + world.Process("b")->incarnation;
  for (const char* pod : {"a-0", "b-0"}) world.Erase("Pod", pod);
  Run(Seconds(12));
  ASSERT_EQ(world.Truth(kRg, "g", "WaitingForProofOfDeath"), "True");
  EXPECT_THAT(world.Message(kRg, "g", "WaitingForProofOfDeath"), EndsWith("confirm-dead: " + incarnations));
  world.Annotate(kRg, "g", api::kConfirmDeadAnnotation, incarnations);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "True");
  EXPECT_EQ(world.Told("ProofOfDeathMissing"), 1);
}

class GroupOfOne : public testing::Test {
 protected:
  void SetUp() override {
    world.kubelet_tells_ends = false;
    world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a"})");
    world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g"})");
    ASSERT_TRUE(world.Settle());
    ASSERT_EQ(world.Truth(kRg, "g", "Ready"), "True");
  }
  void Run(Duration d) {
    for (const MonoTime until = world.now() + d; world.now() < until;) {
      world.Advance(Milliseconds(100));
      world.Round();
    }
  }
  World world;
};

TEST_F(GroupOfOne, WhosePodWasDeletedByForceSaysWhatItWaitsFor) {
  const std::string incarnation = world.Process("a")->incarnation;
  world.Erase("Pod", "a-0");
  Run(Milliseconds(2500));
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "False") << "not longer than detectionTimeout and leaseDuration";
  EXPECT_THAT(world.Message(kRg, "g", "Ready"), EndsWith("confirm-dead: " + incarnation)) << "as soon as it is known";
  Run(Seconds(10));
  ASSERT_NE(world.Process("a")->incarnation, incarnation);
  EXPECT_EQ(world.Reason(kRg, "g", "Ready"), "PrimaryUnreachable");
  EXPECT_EQ(world.Message(kRg, "g", "Ready"),
            "the Pod of a was deleted before its process was seen to end, and there is no replica that could tell "
            "whether it has ended; if a will not come back, and what nobody else has may be lost, confirm it with annotation "
            "cache.understudy.dev/confirm-dead: " + incarnation);
  EXPECT_EQ(world.Message(kRg, "g", "WaitingForProofOfDeath"), world.Message(kRg, "g", "Ready"));
  EXPECT_EQ(world.Column(kRg, "g", "phase"), "modifying") << "nobody is there to take over";
  EXPECT_EQ(world.Truth(kRg, "g", "Degraded"), "True");
  // The node's own object: its new process follows nobody and is nobody's primary.
  EXPECT_NE(world.Column(kCc, "a", "role"), "primary");
  for (const char* condition : {"Ready", "InSync"}) {
    EXPECT_EQ(world.Truth(kCc, "a", condition), "False");
    EXPECT_EQ(world.Reason(kCc, "a", condition), "LinkDown");
    EXPECT_EQ(world.Message(kCc, "a", condition),
              "its process is a new one, without the primary role (see the group's Ready)");
  }
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "0/1");
}

TEST_F(GroupOfOne, IsNotConfirmedDeadByAnAnnotationFromBeforeItsEnd) {
  const std::string incarnation = world.Process("a")->incarnation;
  world.Annotate(kRg, "g", api::kConfirmDeadAnnotation, incarnation);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "True");
  EXPECT_EQ(world.Told("ConfirmDeadIgnored"), 1);
  const int before = world.writes();
  Run(Seconds(150));
  EXPECT_EQ(world.writes(), before) << "it was noted once";
  world.Erase("Pod", "a-0");
  Run(Seconds(5));
  world.RestartOperator();
  Run(Seconds(13));
  EXPECT_EQ(world.Truth(kRg, "g", "WaitingForProofOfDeath"), "True");
  EXPECT_THAT(world.Message(kRg, "g", "Ready"), HasSubstr("annotation confirm-dead has named a since it still answered"));
  world.Annotate(kRg, "g", api::kConfirmDeadAnnotation, "");
  ASSERT_TRUE(world.Settle());
  EXPECT_THAT(world.Message(kRg, "g", "Ready"), ::testing::Not(HasSubstr("since it still answered")));
  world.Annotate(kRg, "g", api::kConfirmDeadAnnotation, incarnation);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "True");
}

TEST_F(GroupOfOne, WhoseProcessEndedTellsOfNoReplicaNode) {
  world.KillProcess("a");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.NoteOf("FailoverComplete"),
            "Primary node a was restarted and is primary again, empty: no node had the group's data");
}

TEST_F(GroupOfTwo, TellsOfAFailoverInTheOriginalsWords) {
  world.KillProcess("a");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.NoteOf("FailoverComplete"), "Failover from primary node a to replica node b completed");
}

TEST_F(GroupOfOne, SaysThatTheAnnotationNamesSomethingElse) {
  const std::string incarnation = world.Process("a")->incarnation;
  world.Erase("Pod", "a-0");
  Run(Seconds(13));
  world.Annotate(kRg, "g", api::kConfirmDeadAnnotation, "wrong");
  ASSERT_TRUE(world.Settle());
  EXPECT_THAT(world.Message(kRg, "g", "WaitingForProofOfDeath"), HasSubstr("names 'wrong', which is not waited for"));
  EXPECT_THAT(world.Message(kRg, "g", "WaitingForProofOfDeath"), EndsWith(incarnation));
  world.Annotate(kRg, "g", api::kConfirmDeadAnnotation, "wrong, " + incarnation + " ");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "True");
  EXPECT_EQ(world.Truth(kRg, "g", "WaitingForProofOfDeath"), "False");
  EXPECT_EQ(world.Column(kCc, "a", "role"), "primary");
  EXPECT_EQ(world.Truth(kCc, "a", "InSync"), "True");
  EXPECT_TRUE(world.HadEvent("DataLost"));
}

// -- synchronousReplicas

TEST_F(GroupOfOne, SaysAtOnceThatItsWritesWaitForReplicasAndThatNothingFailsOver) {
  ASSERT_EQ(world.Column(kCc, "a", "phase"), "available");
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a", "synchronousReplicas": 1})");
  Run(Milliseconds(400));
  ASSERT_EQ(world.Process("a")->synchronous_replicas, 1u);
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "False");
  EXPECT_EQ(world.Reason(kRg, "g", "Ready"), "NotEnoughReplicas");
  EXPECT_EQ(world.Message(kRg, "g", "Ready"), "writes need 1 replica in sync (synchronousReplicas); there are 0");
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "0/1");
  Run(Seconds(15));
  EXPECT_EQ(world.Reason(kRg, "g", "Ready"), "NotEnoughReplicas");
  EXPECT_EQ(world.Column(kRg, "g", "phase"), "modifying");
  EXPECT_EQ(world.Column(kCc, "a", "phase"), "modifying");
  EXPECT_EQ(world.Reason(kCc, "a", "Ready"), "NotEnoughReplicas");
  EXPECT_EQ(world.Told("NotEnoughReplicas", "g"), 1);
  const int before = world.writes();
  Run(Seconds(15));
  EXPECT_EQ(world.writes(), before);
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a"})");
  Run(Milliseconds(400));
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "True");
  EXPECT_EQ(world.Column(kRg, "g", "phase"), "available");
}

TEST_F(GroupOfTwo, ItsReadyFollowsSynchronousReplicasAlsoWhileAMemberIsUnheard) {
  world.ApplyYaml(kRr, "c", R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world.Settle());
  world.SetChannel("c", false);
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a", "synchronousReplicas": 3})");
  Run(Milliseconds(400));
  EXPECT_EQ(world.Reason(kRg, "g", "Ready"), "NotEnoughReplicas");
  EXPECT_EQ(world.Column(kRg, "g", "phase"), "modifying");
}

// -- failover.maxPerHour

TEST_F(GroupOfTwo, IsNotReadyForFailoverFromTheLastTakeoverOfTheHourUntilTheFirstIsAnHourOld) {
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a", "failover": {"maxPerHour": 2}})");
  ASSERT_TRUE(world.Settle());
  Json& status = (*world.Get(kRg, "g"))["status"];
  const WallTime first{world.wall().unix_ms - 1'800'000};
  status["unprovenTakeovers"] = Json::array({FormatRfc3339(first)});
  world.Touch(world.Get(kRg, "g"));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Truth(kRg, "g", "FailoverReady"), "True");
  CutOffPrimary();
  world.SetChannel("a", true);
  ASSERT_EQ(world.Column(kRg, "g", "primary"), "b");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "True");
  EXPECT_EQ(world.Truth(kRg, "g", "FailoverReady"), "False");
  EXPECT_EQ(world.Reason(kRg, "g", "FailoverReady"), "MaxPerHour");
  const WallTime until{first.unix_ms + 3'600'000};
  EXPECT_EQ(world.Message(kRg, "g", "FailoverReady"),
            "2 takeovers without proof of death took place in the last hour (failover.maxPerHour): until " +
                FormatRfc3339(until) + " a further one waits for such a proof");
  EXPECT_EQ(world.Column(kRg, "g", "automaticFailover"), "disabled");
  EXPECT_EQ(world.Column(kRg, "g", "phase"), "available");
  // Nothing is written meanwhile, and the plan asks for the moment itself.
  const int before = world.writes();
  Run(Seconds(5));
  EXPECT_EQ(world.writes(), before);
  world.Advance(Milliseconds(until.unix_ms - world.wall().unix_ms - 100));
  EXPECT_EQ(world.Truth(kRg, "g", "FailoverReady"), "False");
  EXPECT_EQ(world.GroupPlan("g").wake_at, world.now() + Milliseconds(100));
  world.Advance(Milliseconds(100));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Truth(kRg, "g", "FailoverReady"), "True");
  EXPECT_EQ(world.Column(kRg, "g", "automaticFailover"), "enabled");
}

TEST_F(GroupOfTwo, WhoseTakeoverWaitsForTheHourSaysSoAtOnce) {
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a", "failover": {"maxPerHour": 1}})");
  ASSERT_TRUE(world.Settle());
  (*world.Get(kRg, "g"))["status"]["unprovenTakeovers"] = Json::array({FormatRfc3339({world.wall().unix_ms - 1000})});
  world.Touch(world.Get(kRg, "g"));
  ASSERT_TRUE(world.Settle());
  const std::string incarnation = world.Process("a")->incarnation;
  world.SetChannel("a", false);
  const auto run = [&](int tenths) {
    for (int i = 0; i < tenths; ++i) {
      world.Process("b")->link = control::LinkState::kConnecting;
      world.Advance(Milliseconds(100));
      world.Round();
    }
  };
  run(12);
  EXPECT_EQ(world.Truth(kRg, "g", "WaitingForProofOfDeath"), "True") << "without the limit it would have begun";
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "True") << "the primary may hold its lease yet";
  run(20);
  EXPECT_EQ(world.Reason(kRg, "g", "Ready"), "PrimaryUnreachable");
  EXPECT_THAT(world.Message(kRg, "g", "Ready"), HasSubstr("1 takeover without proof of death took place in the last hour"));
  EXPECT_THAT(world.Message(kRg, "g", "Ready"), EndsWith("confirm-dead: " + incarnation));
  EXPECT_EQ(world.Column(kRg, "g", "phase"), "modifying") << "nothing fails over";
  EXPECT_EQ(world.Column(kRg, "g", "automaticFailover"), "disabled");
  EXPECT_EQ(world.Reason(kRg, "g", "FailoverReady"), "MaxPerHour");
  run(100);
  EXPECT_EQ(world.Column(kRg, "g", "phase"), "modifying");
  EXPECT_EQ(world.Told("ProofOfDeathMissing"), 1);
  world.Annotate(kRg, "g", api::kConfirmDeadAnnotation, incarnation);
  run(30);
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "b");
}

// -- column LAG

TEST_F(GroupOfTwo, AReplicaThatGetsInSyncShowsNoLagAtOnce) {
  world.Advance(Seconds(11));
  world.SetInSync("b", false);
  world.Process("a")->offset += 50;
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(world.Column(kRr, "b", "lag"), "100B");
  world.SetInSync("b", true);
  world.Round();
  EXPECT_EQ(world.Reason(kRr, "b", "InSync"), "InSync");
  EXPECT_EQ(world.Column(kRr, "b", "lag"), "0B");
}

TEST_F(GroupOfTwo, AReplicaOfWhichNothingIsHeardShowsNoLag) {
  ASSERT_EQ(world.Column(kRr, "b", "lag"), "0B");
  world.SetChannel("b", false);
  world.Advance(Seconds(5));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRr, "b", "lag"), "0B") << "a short silence is not worth a write";
  world.Advance(Seconds(11));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRr, "b", "lag"), "");
  world.SetChannel("b", true);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRr, "b", "lag"), "0B");
  world.SetUnschedulable("b", "0/3 nodes are available");
  world.Erase("Pod", "b-0");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRr, "b", "lag"), "");
  for (const Json& member : (*world.Get(kRg, "g"))["status"]["members"]) EXPECT_EQ(JsonString(member, "lag"), "");
}

TEST_F(GroupOfTwo, ANewReplicaOfAnIdlePrimaryShowsNoLag) {
  world.SetInSync("c", false);  // the second that it takes to be in sync
  world.ApplyYaml(kRr, "c", R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world.Settle());
  world.Process("c")->offset = world.Process("a")->offset;
  world.SetInSync("c", false);
  world.Advance(Seconds(11));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Truth(kRr, "c", "InSync"), "False");
  EXPECT_EQ(world.Column(kRr, "c", "lag"), "0B");
}

}  // namespace
}  // namespace understudy::plan
