// Who asks for a switchover, and what a person sees of it. The failover machine is the real one.
#include "operator/plan/moves.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/operator/plan/world.h"

namespace understudy::plan {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// Primary `a`, replicas `b` and `c` of group `g`.
class Moves : public testing::Test {
 protected:
  void SetUp() override {
    world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a"})");
    world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g"})");
    world.ApplyYaml(kRr, "b", R"({"replicationGroupId": "g"})");
    world.ApplyYaml(kRr, "c", R"({"replicationGroupId": "g"})");
    ASSERT_TRUE(world.Settle());
    ASSERT_EQ(Primary(), "a");
  }
  std::string Primary() { return world.Column(kRg, "g", "primary"); }
  std::string Blocked() {
    return world.Reason(kRg, "g", "Degraded") == "SwitchoverBlocked" ? world.Message(kRg, "g", "Degraded") : "";
  }
  // The annotation, asked for `seconds` from now; returns its value.
  std::string AskFor(const std::string& node, int64_t seconds = 0) {
    const std::string value = node + "@" + FormatRfc3339({world.wall().unix_ms + seconds * 1000});
    world.Annotate(kRg, "g", api::kSwitchoverToAnnotation, value);
    return value;
  }
  void SetField(const char* name, Json value) {
    Json document = *world.Get(kRg, "g");
    document["spec"][name] = std::move(value);
    world.ApplyYaml(kRg, "g", document["spec"].dump());
  }
  // testFailover, asked for `seconds` from now; returns its value.
  std::string TestAt(int64_t seconds) {
    const std::string at = FormatRfc3339({world.wall().unix_ms + seconds * 1000});
    SetField("testFailover", {{"requestedAt", at}});
    return at;
  }
  size_t Moved() { return JsonAt((*world.Get(kRg, "g"))["status"], "failoverHistory").size(); }
  World world;
};

TEST(SwitchoverTo, NamesANodeAndATime) {
  const auto to = ParseSwitchoverTo("redis-1@2026-01-31T12:00:00Z");
  ASSERT_TRUE(to.ok());
  EXPECT_EQ(to->node, "redis-1");
  EXPECT_EQ(FormatRfc3339(to->at), "2026-01-31T12:00:00Z");
}

TEST(SwitchoverTo, AnythingElseIsRefusedWithAnExample) {
  for (const char* text : {"redis-1", "@2026-01-31T12:00:00Z", "redis-1@", "redis-1@yesterday", "redis-1@1767225600"}) {
    const auto to = ParseSwitchoverTo(text);
    ASSERT_FALSE(to.ok()) << text;
    EXPECT_THAT(std::string(to.status().message()), HasSubstr(std::string("is '") + text + "'"));
    EXPECT_THAT(std::string(to.status().message()), HasSubstr("redis-1@2026-01-31T12:00:00Z"));
  }
}

TEST_F(Moves, TheAnnotationIsActedOnOncePerValue) {
  const std::string value = AskFor("b");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Primary(), "b");
  EXPECT_EQ(world.Column(kRg, "g", "handledSwitchoverTo"), value);
  EXPECT_EQ(world.Column(kRg, "g", "handledPrimaryClusterId"), "a") << "the spec is not read anew";
  world.KillProcess("b");
  ASSERT_TRUE(world.Settle());
  EXPECT_NE(Primary(), "b");
  EXPECT_EQ(Moved(), 2u);
  AskFor("b", 1);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Primary(), "b");
}

TEST_F(Moves, ATestFailoverHappensOncePerTimeWithoutLossAndIsNotReplayed) {
  world.Advance(Seconds(3));
  const std::string at = TestAt(0);
  ASSERT_TRUE(world.Settle());
  EXPECT_NE(Primary(), "a");
  EXPECT_EQ(Moved(), 1u);
  EXPECT_EQ(world.Column(kRg, "g", "handledTestFailover"), at);
  EXPECT_TRUE(world.HadEvent("TestFailoverStarted"));
  world.Advance(Seconds(30));
  TestAt(-40);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Moved(), 1u) << "a revert to an earlier time asks for nothing";
  TestAt(0);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Moved(), 2u);
}

TEST_F(Moves, ATestFailoverThatIsOlderThanTheGroupIsHistory) {
  TestAt(-3600);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Moved(), 0u);
  EXPECT_EQ(Blocked(), "");
}

TEST_F(Moves, ATestFailoverOfALaterTimeHappensThen) {
  const std::string at = TestAt(600);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Moved(), 0u);
  EXPECT_LE((world.GroupPlan("g").wake_at - world.now()).ms(), 600'000);
  EXPECT_EQ(world.Message(kRg, "g", "PendingModifications"), "testFailover (unset -> " + at + ") waits for that time");
  EXPECT_EQ(world.Reason(kRg, "g", "PendingModifications"), "WaitingForRequestedTime");
  EXPECT_THAT(world.Column(kRg, "g", "pending"), StartsWith("testFailover until "));
  EXPECT_EQ(world.Truth(kRg, "g", "Ready"), "True");
  world.Advance(Seconds(601));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Moved(), 1u);
  EXPECT_EQ(world.Column(kRg, "g", "pending"), "");
  EXPECT_EQ(world.NoteOf("ModificationApplied"), "Applied testFailover unset -> " + at);
}

TEST_F(Moves, ATestFailoverOfALaterTimeThatIsTakenBackDoesNotHappen) {
  const std::string at = TestAt(600);
  ASSERT_TRUE(world.Settle());
  EXPECT_THAT(world.NoteOf("ModificationPending"), HasSubstr(at));
  SetField("testFailover", nullptr);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.NoteOf("ModificationCancelled"), "No longer pending: testFailover unset -> " + at);
  EXPECT_EQ(world.Column(kRg, "g", "pending"), "");
  world.Advance(Seconds(601));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Moved(), 0u);
}

TEST_F(Moves, ATestFailoverWaitsForAutomaticFailoverAndIsOffAfterAnHour) {
  world.Advance(Seconds(3));
  SetField("automaticFailover", false);
  const std::string at = TestAt(0);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Blocked(), "testFailover asks for a failover at " + at + "; it waits as long as automaticFailover is false");
  EXPECT_EQ(world.Message(kRg, "g", "PendingModifications"),
            "testFailover (unset -> " + at + ") is due, but waits as long as automaticFailover is false");
  world.Advance(Seconds(3601));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Blocked(), "testFailover asks for a failover at " + at +
                           ", which is more than an hour ago; nothing is done any more: set requestedAt to the present time");
  SetField("automaticFailover", true);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Moved(), 0u);
  TestAt(0);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Moved(), 1u);
  EXPECT_EQ(Blocked(), "");
}

TEST_F(Moves, TheAnnotationForThePresentPrimaryIsHandledWithoutAMove) {
  const std::string value = AskFor("a");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "handledSwitchoverTo"), value);
  EXPECT_EQ(Moved(), 0u);
  EXPECT_EQ(Blocked(), "");
}

TEST_F(Moves, AMalformedAnnotationIsToldInOneSentenceUntilItIsGone) {
  world.Annotate(kRg, "g", api::kSwitchoverToAnnotation, "b");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Primary(), "a");
  EXPECT_THAT(Blocked(), HasSubstr("is 'b'; it must be the name of a member, @ and the time"));
  EXPECT_TRUE(world.HadEvent("SwitchoverBlocked"));
  const int before = world.writes();
  for (int i = 0; i < 20; ++i) {
    world.Round();
    world.Advance(Seconds(1));
  }
  EXPECT_EQ(world.writes(), before) << "told once";
  world.Annotate(kRg, "g", api::kSwitchoverToAnnotation, "");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Truth(kRg, "g", "Degraded"), "False");
}

TEST_F(Moves, AnAnnotationThatNamesNoMemberIsToldAndActedOnOnceItIsOne) {
  AskFor("d");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Blocked(), "annotation switchover-to asks for a switchover to d, which is no member of the group");
  world.ApplyYaml(kRr, "d", R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Primary(), "d");
  EXPECT_EQ(Blocked(), "");
}

TEST_F(Moves, AnAnnotationOlderThanTheGroupIsHistory) {
  AskFor("b", -3600);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Primary(), "a");
  EXPECT_EQ(Blocked(), "");
}

TEST_F(Moves, AnAnnotationFromTheFutureIsRefusedForGood) {
  const std::string value = AskFor("b", 2 * 3600);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Primary(), "a");
  EXPECT_THAT(Blocked(), HasSubstr("asks for a switchover to b at " + value.substr(2) + ", which is in the future"));
  EXPECT_EQ(world.Told("SwitchoverBlocked"), 1);
  EXPECT_EQ(world.Column(kRg, "g", "handledSwitchoverTo"), value);
  const int before = world.writes();
  for (int i = 0; i < 100; ++i) {
    world.Round();
    world.Advance(Seconds(60));
  }
  EXPECT_EQ(world.writes(), before) << "told once";
  // Its time comes, and passes.
  for (int i = 0; i < 100; ++i) {
    world.Round();
    world.Advance(Seconds(60));
  }
  EXPECT_EQ(Moved(), 0u);
  EXPECT_EQ(Blocked(), "");
  AskFor("b");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Primary(), "b") << "a new value is a new request";
}

TEST_F(Moves, AnAnnotationOfAClockThatIsAheadIsActedOn) {
  AskFor("b", 60);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Primary(), "b");
  AskFor("c", 70);  // some of them have passed
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Primary(), "b");
  EXPECT_NE(Blocked(), "");
}

TEST_F(Moves, ALaggingTargetIsWaitedForAndTheConditionSaysSo) {
  world.SetInSync("b", false);
  AskFor("b");
  for (int i = 0; i < 20; ++i) {
    world.Round();
    world.Advance(Milliseconds(100));
  }
  EXPECT_EQ(Primary(), "a");
  EXPECT_EQ(Blocked(), "annotation switchover-to asks for b: b lags");
  world.SetInSync("b", true);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Primary(), "b");
  EXPECT_EQ(Blocked(), "");
}

TEST_F(Moves, ABlockedRequestDoesNotHoldUpAnother) {
  world.SetInSync("b", false);
  AskFor("b");
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "c", "applyImmediately": true})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Primary(), "c");
}

TEST_F(Moves, AnEditThatNamesNoMemberIsTold) {
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "nobody"})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Primary(), "a");
  EXPECT_EQ(Blocked(), "primaryClusterId asks for a switchover to nobody, which is no member of the group");
}

TEST_F(Moves, AnEvictedPrimaryHandsOver) {
  Json* pod = world.Get("Pod", "a-0");
  (*pod)["status"]["conditions"].push_back({{"type", "DisruptionTarget"}, {"status", "True"}});
  world.Touch(pod);
  ASSERT_TRUE(world.Settle());
  EXPECT_NE(Primary(), "a");
  EXPECT_EQ(JsonString((*world.Get(kRg, "g"))["status"]["failoverHistory"][0], "kind"), "switchover");
}

// -- deletion of a primary's object (API.md "Deletion")

TEST_F(Moves, ADeletedPrimarysPodStaysUntilAnotherIsPrimary) {
  world.Delete(kCc, "a");
  const std::string incarnation = world.Process("a")->incarnation;
  bool kept = true;
  for (int i = 0; i < 200 && world.Exists(kCc, "a"); ++i) {
    if (!world.Exists("StatefulSet", "a") && kept) {
      // The first moment without it: its successor is recorded and the Service leads there.
      EXPECT_NE(Primary(), "a");
      EXPECT_NE(world.EndpointOf("g"), "a-0");
      kept = false;
    }
    world.Round();
    world.Advance(Milliseconds(100));
  }
  EXPECT_FALSE(kept);
  EXPECT_FALSE(world.Exists(kCc, "a"));
  const Json& history = (*world.Get(kRg, "g"))["status"]["failoverHistory"];
  ASSERT_EQ(history.size(), 1u);
  EXPECT_EQ(JsonString(history[0], "kind"), "switchover");
  EXPECT_EQ(JsonString(history[0]["oldPrimary"], "incarnation"), incarnation);
}

TEST_F(Moves, ADeletedPrimaryWithoutATargetStaysAndTheConditionSaysWhy) {
  world.SetInSync("b", false);
  world.SetInSync("c", false);
  world.Process("a")->offset += 10'000'000;
  world.Delete(kCc, "a");
  for (int i = 0; i < 100; ++i) {
    world.Round();
    world.Advance(Milliseconds(100));
  }
  EXPECT_TRUE(world.Exists("StatefulSet", "a"));
  EXPECT_EQ(Primary(), "a");
  EXPECT_THAT(Blocked(), HasSubstr("a leaves the group: "));
  world.SetInSync("c", true);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Primary(), "c");
  EXPECT_FALSE(world.Exists(kCc, "a"));
}

TEST_F(Moves, TheLastMemberWithDataIsNotHeldBackByThoseThatWillNotInherit) {
  // Processes that live in the members' Pods but belong elsewhere, with data of their own.
  for (const char* name : {"b", "c"}) {
    control::NodeState* process = world.Process(name);
    process->group = "elsewhere";
    process->role = control::Role::kStandalone;
    process->dataset = "other data";
    process->keys = 5;
  }
  world.Delete(kCc, "a");
  for (int i = 0; i < 200 && world.Exists(kCc, "a"); ++i) {
    world.Round();
    world.Advance(Milliseconds(100));
  }
  EXPECT_FALSE(world.Exists(kCc, "a"));
}

TEST_F(Moves, AnAdoptedGroupGoesOnAboveItsOldEpochs) {
  AskFor("b");
  ASSERT_TRUE(world.Settle());
  AskFor("c", 1);
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(Primary(), "c");
  for (const char* name : {"a", "b", "c"}) world.Process(name)->keys = 5;
  const std::string dataset = world.Column(kRg, "g", "dataset");
  const uint64_t epoch = static_cast<uint64_t>(JsonInt((*world.Get(kRg, "g"))["status"], "epoch"));
  world.Delete(kRg, "g");
  ASSERT_TRUE(world.Settle());
  ASSERT_FALSE(world.Exists(kRg, "g"));
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a"})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Primary(), "c") << "it went on with the data";
  EXPECT_EQ(world.Column(kRg, "g", "handledPrimaryClusterId"), "a");
  EXPECT_TRUE(world.HadEvent("PrimaryKept"));
  EXPECT_EQ(world.Column(kRg, "g", "dataset"), dataset);
  EXPECT_GT(JsonInt((*world.Get(kRg, "g"))["status"], "epoch"), static_cast<int64_t>(epoch));
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "3/3");
}

TEST_F(Moves, AnEmptyHeirIsAMemberOfTheGroupThatComesBack) {
  AskFor("c");
  ASSERT_TRUE(world.Settle());
  world.Delete(kRg, "g");
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(world.Column(kRr, "c", "role"), "standalone");
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a", "applyImmediately": true})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(Primary(), "a");
  EXPECT_EQ(world.Column(kRr, "c", "role"), "replica");
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "3/3");
}

}  // namespace
}  // namespace understudy::plan
