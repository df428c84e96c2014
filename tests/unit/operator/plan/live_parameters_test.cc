// Parameters that processes take while they run (tests/unit/operator/plan/world_options.cc says which), beside
// those that wait for a new Pod.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/manifests/manifests.h"
#include "tests/unit/operator/plan/three.h"

namespace understudy::plan {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Pending(World* world, const char* kind, const std::string& name, const char* which) {
  for (const Json& one : (*world->Get(kind, name))["status"]["pendingModifiedValues"]) {
    if (JsonString(one, "field") == "parameters") return JsonString(one, which);
  }
  return "";
}

TEST(LiveParameters, AreInForceAtOnceInTheSamePodsAndToldOnce) {
  Three three;
  World& world = three.world;
  EXPECT_EQ(world.parameters_sent(), 0) << "new Pods have them as arguments";
  three.Edit(R"("node": {"parameters": {"slowlog-max-len": 64}})");
  EXPECT_THAT(three.Order(), IsEmpty());
  for (const char* node : {"a", "b", "c"}) {
    const char* kind = std::string(node) == "a" ? kCc : kRr;
    EXPECT_EQ(world.Option(node, "slowlog-max-len"), "64");
    EXPECT_EQ(world.Column(kind, node, "pending"), "");
    EXPECT_EQ(world.Told("ParametersApplied", node), 1);
    EXPECT_EQ(world.Told("ModificationPending", node), 0);
    EXPECT_EQ(world.Told("ModificationApplied", node), 0);
  }
  EXPECT_EQ(world.NoteOf("ParametersApplied"), "Applied without a new Pod: slowlog-max-len default -> 64");
  EXPECT_EQ(world.Column(kRg, "g", "pending"), "");
  EXPECT_EQ(world.parameters_sent(), 3);
  const Json& args = (*world.Get("StatefulSet", "b"))["spec"]["template"]["spec"]["containers"][0]["args"];
  EXPECT_EQ(args.back(), "64") << "a new Pod takes it";

  const int before = world.writes();
  for (int i = 0; i < 20; ++i) {
    world.Advance(Seconds(60));
    world.Round();
  }
  EXPECT_EQ(world.writes(), before);
  world.RestartOperator();
  EXPECT_THAT(three.Order(), IsEmpty());
  EXPECT_EQ(world.writes(), before + 1) << "the group's term is that of the new operator, and nothing else";
  EXPECT_EQ(world.parameters_sent(), 3) << "also another operator has nothing to send";
  EXPECT_EQ(world.Told("ParametersApplied"), 3);
}

TEST(LiveParameters, WaitNeitherForTheWindowNorCostANodeItsData) {
  for (const char* now : {"", R"(, "applyImmediately": true)"}) {
    World world;
    const auto edit = [&](const std::string& parameters) {
      world.ApplyYaml(kCc, "a", R"({"node": {"parameters": {)" + parameters + "}}" + now + "}");
      ASSERT_TRUE(world.Settle());
    };
    edit("");
    const std::string pod = PodUid(&world, "a");
    edit(R"("slowlog-max-len": 64, "maxclients": 10)");
    EXPECT_EQ(world.Option("a", "slowlog-max-len"), "64");
    edit(R"("slowlog-max-len": 65, "maxclients": 10)");
    EXPECT_EQ(world.Option("a", "slowlog-max-len"), "65");
    EXPECT_EQ(world.NoteOf("ParametersApplied"), "Applied without a new Pod: slowlog-max-len 64 -> 65");
    edit(R"("maxclients": 10)");
    EXPECT_EQ(world.Option("a", "slowlog-max-len"), "") << "its default again";
    EXPECT_EQ(world.NoteOf("ParametersApplied"), "Applied without a new Pod: slowlog-max-len 65 -> default");
    edit("");
    EXPECT_EQ(world.Option("a", "maxclients"), "") << "as the Pod was made";
    EXPECT_EQ(PodUid(&world, "a"), pod);
    EXPECT_EQ(world.Told("ParametersApplied"), 4);
    EXPECT_FALSE(world.HadEvent("ModificationPending"));
    EXPECT_FALSE(world.HadEvent("DataLost"));
  }
}

TEST(LiveParameters, LeaveOnlyTheOthersPending) {
  Three three(R"("node": {"parameters": {"hz": 10}})");
  World& world = three.world;
  three.Edit(R"("node": {"parameters": {"hz": 20, "slowlog-max-len": 64}})");
  EXPECT_THAT(three.Order(), IsEmpty());
  EXPECT_EQ(world.Option("b", "slowlog-max-len"), "64");
  EXPECT_EQ(world.Column(kRr, "b", "pending"), "parameters until Sat 02:00Z");
  EXPECT_EQ(Pending(&world, kRr, "b", "from"), "hz=10");
  EXPECT_EQ(Pending(&world, kRr, "b", "to"), "hz=20");
  three.Edit(R"("node": {"parameters": {"hz": 20, "slowlog-max-len": 65}})");
  EXPECT_THAT(three.Order(), IsEmpty());
  EXPECT_EQ(world.Option("b", "slowlog-max-len"), "65");
  EXPECT_EQ(world.Told("ModificationPending", "b"), 1) << "what waits has not changed";
  world.AdvanceTo(kOpening);
  EXPECT_THAT(three.Order(), ElementsAre("b", "c", "a"));
  EXPECT_EQ(world.Option("b", "hz"), "20");
  EXPECT_EQ(world.Told("ModificationApplied", "b"), 1);
  EXPECT_EQ(world.NoteOf("ModificationApplied"), "Applied parameters hz=10 -> hz=20");
  EXPECT_FALSE(world.HadEvent("ModificationCancelled"));
}

TEST(LiveParameters, ARevertOfWhatWaitsIsACancellation) {
  Three three;
  three.Edit(R"("node": {"parameters": {"hz": 20, "slowlog-max-len": 64}})");
  EXPECT_THAT(three.Order(), IsEmpty());
  three.Edit(R"("node": {"parameters": {"slowlog-max-len": 64}})");
  EXPECT_THAT(three.Order(), IsEmpty());
  EXPECT_EQ(three.world.Column(kRr, "b", "pending"), "");
  EXPECT_EQ(three.world.Told("ModificationCancelled", "b"), 1);
  EXPECT_FALSE(three.world.HadEvent("ModificationApplied"));
}

TEST(LiveParameters, AreSentAgainToAProcessThatStartedWithTheArgumentsOfItsPod) {
  Three three;
  World& world = three.world;
  three.Edit(R"("node": {"parameters": {"slowlog-max-len": 64}})");
  EXPECT_THAT(three.Order(), IsEmpty());
  world.KillProcess("b");
  EXPECT_EQ(world.Option("b", "slowlog-max-len"), "");
  EXPECT_THAT(three.Order(3), IsEmpty());
  EXPECT_EQ(world.Option("b", "slowlog-max-len"), "64");
  EXPECT_EQ(world.Option("a", "slowlog-max-len"), "64");
  EXPECT_EQ(world.parameters_sent(), 4);
}

TEST(LiveParameters, WhatAClientHasSetHoldsUntilTheDeclarationChanges) {
  World world;
  world.ApplyYaml(kCc, "a", R"({"node": {"parameters": {"slowlog-max-len": 64}}})");
  ASSERT_TRUE(world.Settle());
  world.SetOption("a", "slowlog-max-len", "7");
  world.RestartOperator();
  ASSERT_TRUE(world.Settle());
  world.ApplyYaml(kCc, "a", R"({"node": {"parameters": {"slowlog-max-len": 64, "maxclients": 9}}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Option("a", "maxclients"), "9");
  EXPECT_EQ(world.Option("a", "slowlog-max-len"), "7");
}

TEST(LiveParameters, AnOlderNodeIsSentNothingAndGetsANewPod) {
  Three three;
  World& world = three.world;
  world.SetOld("b");
  three.Edit(R"("node": {"parameters": {"slowlog-max-len": 64}})");
  EXPECT_THAT(three.Order(), IsEmpty());
  EXPECT_EQ(world.Column(kRr, "b", "pending"), "parameters until Sat 02:00Z");
  EXPECT_EQ(world.Column(kRr, "c", "pending"), "");
  EXPECT_EQ(world.Option("c", "slowlog-max-len"), "64");
  world.AdvanceTo(kOpening);
  EXPECT_THAT(three.Order(), ElementsAre("b"));
  EXPECT_EQ(world.Option("b", "slowlog-max-len"), "64");
}

TEST(LiveParameters, WhileANodeIsNotHeardNothingIsPendingAndItsPodStays) {
  for (const char* group : {"", R"("replicationGroupId": "g", )"}) {
    World world;
    if (*group != '\0') world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a", "applyImmediately": true})");
    const auto edit = [&](const char* parameters) {
      world.ApplyYaml(kCc, "a", std::string("{") + group + R"("applyImmediately": true, "node": {"parameters": )" + parameters + "}}");
    };
    edit("{}");
    ASSERT_TRUE(world.Settle());
    const std::string pod = PodUid(&world, "a");
    edit(R"({"slowlog-max-len": 64})");
    ASSERT_TRUE(world.Settle());
    world.SetChannel("a", false);
    for (int i = 0; i < 30; ++i) {
      world.Round();
      world.Advance(Seconds(1));
    }
    EXPECT_EQ(PodUid(&world, "a"), pod);
    EXPECT_EQ(world.Column(kCc, "a", "pending"), "");
    edit(R"({"slowlog-max-len": 65})");
    for (int i = 0; i < 30; ++i) {
      world.Round();
      world.Advance(Seconds(1));
    }
    EXPECT_EQ(PodUid(&world, "a"), pod);
    world.SetChannel("a", true);
    ASSERT_TRUE(world.Settle());
    EXPECT_EQ(world.Option("a", "slowlog-max-len"), "65");
    EXPECT_EQ(PodUid(&world, "a"), pod);
    EXPECT_FALSE(world.HadEvent("ModificationPending"));
  }
}

TEST(LiveParameters, AValueThatIsRefusedIsSaidAndReplacesNoPod) {
  Three three(R"("applyImmediately": true)");
  World& world = three.world;
  three.Edit(R"("applyImmediately": true, "node": {"parameters": {"maxclients": 9, "slowlog-max-len": "wrong"}})");
  EXPECT_THAT(three.Order(), IsEmpty());
  EXPECT_EQ(world.Option("b", "maxclients"), "9");
  EXPECT_EQ(world.Truth(kRr, "b", "Accepted"), "False");
  EXPECT_EQ(world.Reason(kRr, "b", "Accepted"), "InvalidParameterValue");
  EXPECT_EQ(world.Message(kRr, "b", "Accepted"),
            "node.parameters.slowlog-max-len is refused: argument couldn't be parsed");
  EXPECT_EQ(world.Truth(kRr, "b", "Ready"), "True");
  EXPECT_EQ(world.Column(kRr, "b", "pending"), "");
  EXPECT_EQ(world.Told("InvalidParameterValue", "b"), 1);
  EXPECT_EQ(world.Reason(kRg, "g", "Accepted"), "InvalidParameterValue") << "the setting is the group's";
  const int sent = world.parameters_sent();
  for (int i = 0; i < 10; ++i) {
    world.Advance(Seconds(1));
    EXPECT_EQ(world.Round(), 0);
  }
  EXPECT_EQ(world.parameters_sent(), sent);
  // Nothing else replaces a Pod either: the new one could not start.
  three.Edit(R"("applyImmediately": true, "node": {"podLabels": {"x": "y"}, "parameters": {"slowlog-max-len": "wrong"}})");
  EXPECT_THAT(three.Order(), IsEmpty());
  EXPECT_THAT(world.Message(kRr, "b", "PendingModifications"), HasSubstr("refuses are corrected"));
  EXPECT_EQ(world.Told("InvalidParameterValue", "b"), 1) << "it is the same refusal";
  three.Edit(R"("applyImmediately": true, "node": {"podLabels": {"x": "y"}, "parameters": {"slowlog-max-len": 64}})");
  EXPECT_THAT(three.Order(), ElementsAre("b", "c", "a"));
  EXPECT_EQ(world.Truth(kRr, "b", "Accepted"), "True");
}

void Elapse(World* world, Duration d) {
  for (int64_t ms = 0; ms < d.ms(); ms += 100) {
    world->Round();
    world->Advance(Milliseconds(100));
  }
}

TEST(LiveParameters, NoPodIsReplacedBeforeItsProcessHasAnswered) {
  Three three(R"("applyImmediately": true)");
  World& world = three.world;
  const auto expect_same_pods = [&] {
    for (const char* node : {"a", "b", "c"}) EXPECT_EQ(PodUid(&world, node), three.pods[node]);
  };
  for (const char* node : {"a", "b", "c"}) world.SetMute(node, true);
  three.Edit(R"("applyImmediately": true, "node": {"podLabels": {"x": "y"}, "parameters": {"slowlog-max-len": "wrong"}})");
  Elapse(&world, Seconds(5));
  expect_same_pods();
  EXPECT_EQ(world.Column(kRg, "g", "pending"), "") << "nor is anything told";
  for (const char* node : {"a", "b", "c"}) world.SetMute(node, false);
  EXPECT_THAT(three.Order(), IsEmpty());
  EXPECT_EQ(world.Reason(kRr, "b", "Accepted"), "InvalidParameterValue");
  EXPECT_THAT(world.Message(kRr, "b", "PendingModifications"), HasSubstr("refuses are corrected"));
}

TEST(LiveParameters, ThePodOfANodeAloneIsNotReplacedBeforeItsProcessHasAnswered) {
  World world;
  world.ApplyYaml(kCc, "a", R"({"applyImmediately": true})");
  ASSERT_TRUE(world.Settle());
  const std::string pod = PodUid(&world, "a");
  world.SetMute("a", true);
  world.ApplyYaml(kCc, "a", R"({"applyImmediately": true, "node": {"podLabels": {"x": "y"}, "parameters": {"maxclients": "wrong"}}})");
  Elapse(&world, Seconds(5));
  EXPECT_EQ(PodUid(&world, "a"), pod);
  EXPECT_EQ(world.Column(kCc, "a", "pending"), "");
  world.SetMute("a", false);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(PodUid(&world, "a"), pod);
  EXPECT_EQ(world.Reason(kCc, "a", "Accepted"), "InvalidParameterValue");
}

// What was told before the edit may be due now; the Pod that would take it would have the refused value too.
TEST(LiveParameters, WhatWasPendingBeforeTakesNoPodEitherUntilItsProcessHasAnswered) {
  Three three;
  World& world = three.world;
  three.Edit(R"("node": {"podLabels": {"x": "y"}})");
  EXPECT_THAT(three.Order(), IsEmpty());
  EXPECT_NE(world.Column(kRr, "b", "pending"), "");
  for (const char* node : {"a", "b", "c"}) world.SetMute(node, true);
  three.Edit(R"("applyImmediately": true, "node": {"podLabels": {"x": "y"}, "parameters": {"slowlog-max-len": "wrong"}})");
  Elapse(&world, Seconds(5));
  for (const char* node : {"a", "b", "c"}) {
    EXPECT_EQ(PodUid(&world, node), three.pods[node]);
    world.SetMute(node, false);
  }
  EXPECT_THAT(three.Order(), IsEmpty());
  EXPECT_EQ(world.Reason(kRr, "b", "Accepted"), "InvalidParameterValue");
}

TEST(LiveParameters, NorThatOfANodeAlone) {
  World world;
  const auto edit = [&world](const char* text) { world.ApplyYaml(kCc, "a", text); };
  edit("{}");
  ASSERT_TRUE(world.Settle());
  const std::string pod = PodUid(&world, "a");
  edit(R"({"node": {"podLabels": {"x": "y"}}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_NE(world.Column(kCc, "a", "pending"), "");
  world.SetMute("a", true);
  edit(R"({"applyImmediately": true, "node": {"podLabels": {"x": "y"}, "parameters": {"maxclients": "wrong"}}})");
  Elapse(&world, Seconds(5));
  EXPECT_EQ(PodUid(&world, "a"), pod);
  world.SetMute("a", false);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(PodUid(&world, "a"), pod);
  EXPECT_EQ(world.Reason(kCc, "a", "Accepted"), "InvalidParameterValue");
}

TEST(LiveParameters, AProcessThatDoesNotAnswerInTimeGetsANewPod) {
  Three three(R"("applyImmediately": true)");
  World& world = three.world;
  world.SetMute("b", true);
  three.Edit(R"("applyImmediately": true, "node": {"parameters": {"slowlog-max-len": 64}})");
  Elapse(&world, Seconds(9));
  EXPECT_EQ(PodUid(&world, "b"), three.pods["b"]);
  EXPECT_EQ(world.Option("c", "slowlog-max-len"), "64");
  EXPECT_THAT(three.Order(), ElementsAre("b"));
  EXPECT_EQ(world.Option("b", "slowlog-max-len"), "64");
}

TEST(LiveParameters, WhatOneHasYetToSayKeepsTheOrder) {
  Three three(R"("applyImmediately": true)");
  World& world = three.world;
  for (const char* node : {"b", "c"}) world.SetMute(node, true);
  three.Edit(R"("applyImmediately": true, "node": {"parameters": {"hz": 20}})");
  Elapse(&world, Seconds(5));
  EXPECT_EQ(world.Column(kRg, "g", "primary"), "a") << "it is the last one, though it was the first to answer";
  for (const char* node : {"b", "c"}) world.SetMute(node, false);
  EXPECT_THAT(three.Order(), ElementsAre("b", "c", "a"));
}

TEST(LiveParameters, OneEditIsToldOnceAndWhatWaitsOfItIsInForceInTheWindow) {
  Three three;
  World& world = three.world;
  three.Edit(R"("node": {"image": "understudy:2", "parameters": {"hz": 20, "slowlog-max-len": 64}})");
  EXPECT_THAT(three.Order(), IsEmpty());
  EXPECT_EQ(world.Column(kRr, "b", "pending"), "image, parameters until Sat 02:00Z");
  EXPECT_EQ(Pending(&world, kRr, "b", "to"), "hz=20");
  for (const char* node : {"a", "b", "c"}) {
    EXPECT_EQ(world.Option(node, "slowlog-max-len"), "64");
    EXPECT_EQ(world.Option(node, "hz"), "");
    EXPECT_EQ(world.Told("ModificationPending", node), 1);
  }
  world.AdvanceTo(kOpening);
  EXPECT_THAT(three.Order(), ElementsAre("b", "c", "a"));
  for (const char* node : {"a", "b", "c"}) {
    EXPECT_EQ(world.Option(node, "hz"), "20");
    for (const char* reason : {"ModificationPending", "ApplyingModification", "ModificationApplied"}) {
      EXPECT_EQ(world.Told(reason, node), 1) << reason << " of " << node;
    }
  }
}

TEST(LiveParameters, WhatThisImageRefusesMayBeForTheNextOne) {
  Three three;
  three.Edit(R"("node": {"image": "understudy:2", "parameters": {"slowlog-max-len": "wrong"}})");
  EXPECT_THAT(three.Order(), IsEmpty());
  EXPECT_EQ(three.world.Truth(kRr, "b", "Accepted"), "True");
  EXPECT_EQ(three.world.Column(kRr, "b", "pending"), "image, parameters until Sat 02:00Z");
}

TEST(LiveParameters, MaxmemoryWaitsForTheMemoryLimitThatItWasMadeFor) {
  World world;
  const auto edit = [&](const char* node) {
    world.ApplyYaml(kCc, "a", R"({"preferredMaintenanceWindow": "sat:02:00-sat:03:00", "node": )" + std::string(node) + "}");
    ASSERT_TRUE(world.Settle());
  };
  edit(R"({"resources": {"limits": {"memory": "1Gi"}}})");
  const std::string derived = world.Option("a", "maxmemory");
  EXPECT_EQ(derived, std::to_string((1LL << 30) / 4 * 3));
  edit(R"({"resources": {"limits": {"memory": "1Gi"}}, "parameters": {"maxmemory": "100mb"}})");
  EXPECT_EQ(world.Option("a", "maxmemory"), "100mb");
  edit(R"({"resources": {"limits": {"memory": "1Gi"}}})");
  EXPECT_EQ(world.Option("a", "maxmemory"), derived) << "the derived value again";
  edit(R"({"resources": {"limits": {"memory": "4Gi"}}, "parameters": {"slowlog-max-len": 5}})");
  EXPECT_EQ(world.Option("a", "maxmemory"), derived);
  EXPECT_EQ(world.Option("a", "slowlog-max-len"), "5");
  EXPECT_EQ(world.Column(kCc, "a", "pending"), "resources until Sat 02:00Z");
  edit(R"({"resources": {"limits": {"memory": "4Gi"}}, "parameters": {"slowlog-max-len": 5, "maxmemory": "2gb"}})");
  EXPECT_EQ(world.Option("a", "maxmemory"), derived);
  EXPECT_EQ(world.Column(kCc, "a", "pending"), "parameters, resources until Sat 02:00Z");
  EXPECT_EQ(Pending(&world, kCc, "a", "to"), "maxmemory=2gb");
  world.AdvanceTo(kOpening);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Option("a", "maxmemory"), "2gb");
  EXPECT_EQ(world.Column(kCc, "a", "pending"), "");
}

TEST(LiveParameters, AnOperatorThatDiesAnywhereIsFollowedByOneThatGoesOn) {
  for (int steps = 0; steps < 12; ++steps) {
    Three three;
    World& world = three.world;
    three.Edit(R"("node": {"parameters": {"slowlog-max-len": 64, "hz": 20}})");
    world.CrashAfter(steps);
    world.Settle(5);
    world.RestartOperator();
    EXPECT_THAT(three.Order(), IsEmpty()) << steps;
    for (const char* node : {"a", "b", "c"}) EXPECT_EQ(world.Option(node, "slowlog-max-len"), "64") << steps;
    EXPECT_EQ(Pending(&world, kRr, "b", "to"), "hz=20") << steps;
  }
}

TEST(LiveParameters, TextsAreReadBackWhateverValuesLookLike) {
  const std::map<std::string, std::string> all = {
      {"client-output-buffer-limit", "normal 0 0 0"}, {"hz", "10"}, {"save", ""}, {"x.y", "a=b"}};
  EXPECT_EQ(manifests::ParseParameters(manifests::ParametersText(all)), all);
}

}  // namespace
}  // namespace understudy::plan
