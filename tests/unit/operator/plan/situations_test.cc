// How others read the statuses that the operator writes: kstatus (Flux, kubectl wait's relatives) here, Argo CD
// in tests/argocd, which runs its checks over the documents that this test keeps in tests/golden.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/golden/golden.h"
#include "tests/unit/operator/plan/world.h"

namespace understudy::plan {
namespace {

// What kstatus of cli-utils makes of a custom resource, in its order: being deleted; a generation that was not
// observed; Reconciling and Stalled; at last Ready. Source: pkg.go.dev/sigs.k8s.io/cli-utils/pkg/kstatus.
std::string Kstatus(const Json& object) {
  const Json& metadata = JsonAt(object, "metadata");
  const Json& status = JsonAt(object, "status");
  if (!JsonString(metadata, "deletionTimestamp").empty()) return "Terminating";
  if (status.contains("observedGeneration") &&
      JsonInt(status, "observedGeneration") != JsonInt(metadata, "generation")) {
    return "InProgress";
  }
  const auto value = [&](const char* type) {
    for (const Json& condition : JsonAt(status, "conditions")) {
      if (JsonString(condition, "type") == type) return JsonString(condition, "status");
    }
    return std::string();
  };
  if (value("Reconciling") == "True") return "InProgress";
  if (value("Stalled") == "True") return "Failed";
  const std::string ready = value("Ready");
  return ready.empty() || ready == "True" ? "Current" : "InProgress";
}

// Keeps the parts that tools read; the rest (times, UIDs) changes with every step of the test's world.
void Expect(World* world, const char* kind, const std::string& name, const std::string& situation,
            const std::string& kstatus) {
  ASSERT_TRUE(world->Exists(kind, name)) << situation;
  const Json& live = *world->Get(kind, name);
  Json kept = {{"kind", kind},
               {"metadata", {{"name", name}, {"generation", JsonInt(live["metadata"], "generation")}}},
               {"status", {{"phase", JsonString(live["status"], "phase")},
                           {"observedGeneration", JsonInt(live["status"], "observedGeneration")},
                           {"conditions", Json::array()}}}};
  if (live["metadata"].contains("deletionTimestamp")) kept["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  for (Json condition : JsonAt(live["status"], "conditions")) {
    condition.erase("lastTransitionTime");
    kept["status"]["conditions"].push_back(std::move(condition));
  }
  EXPECT_EQ(Kstatus(kept), kstatus) << situation << ": " << kept.dump(1);
  golden::ExpectGolden("status/situations/" + situation + ".json", kept.dump(1) + "\n");
}

void MakeGroup(World* world) {
  world->ApplyYaml(kCc, "a", R"({"replicationGroupId": "g"})");
  world->ApplyYaml(kRg, "g", R"({"primaryClusterId": "a"})");
  world->ApplyYaml(kRr, "b", R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world->Settle());
}

// Rounds until the group's phase is as given, in the middle of what goes on.
void RunUntil(World* world, const std::string& phase) {
  for (int i = 0; i < 300 && world->Column(kRg, "g", "phase") != phase; ++i) {
    const Plan plan = world->GroupPlan("g");
    ASSERT_FALSE(plan.persist.empty()) << "nothing is under way";
    (*world->Get(kRg, "g"))["status"] = plan.persist[0].status;
    world->Touch(world->Get(kRg, "g"));
  }
}

TEST(Situations, AGroupOnItsWay) {
  World world;
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a"})");
  Expect(&world, kRg, "g", "group_new", "InProgress");
  ASSERT_TRUE(world.Settle());
  Expect(&world, kRg, "g", "group_waits_for_primary", "InProgress");
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g"})");
  Expect(&world, kCc, "a", "node_new", "InProgress");
  world.ApplyYaml(kRr, "b", R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world.Settle());
  Expect(&world, kRg, "g", "group_available", "Current");
  Expect(&world, kCc, "a", "node_primary", "Current");
  Expect(&world, kRr, "b", "node_replica", "Current");
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a", "description": "new"})");
  Expect(&world, kRg, "g", "group_edited", "InProgress");
}

TEST(Situations, WhatOnlyAnEditCanHelp) {
  World world;
  MakeGroup(&world);
  world.ApplyYaml(kRg, "other", R"({"primaryClusterId": "a"})");
  world.ApplyYaml(kCc, "alone", "{}");
  ASSERT_TRUE(world.Settle());
  Expect(&world, kRg, "other", "group_refused", "Failed");
  Expect(&world, kCc, "alone", "node_alone", "Current");
  world.Process("alone")->keys = 5;
  world.ApplyYaml(kCc, "alone", R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world.Settle());
  Expect(&world, kCc, "alone", "node_refused", "Failed");
}

TEST(Situations, SeveralDataSets) {
  World world;
  world.ApplyYaml(kCc, "a", "{}");
  world.ApplyYaml(kCc, "b", "{}");
  ASSERT_TRUE(world.Settle());
  for (const char* name : {"a", "b"}) {
    world.Process(name)->keys = 5;
    world.Process(name)->dataset = std::string("data-of-") + name;
  }
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g"})");
  world.ApplyYaml(kCc, "b", R"({"replicationGroupId": "g"})");
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a"})");
  ASSERT_TRUE(world.Settle());
  Expect(&world, kRg, "g", "group_several_datasets", "InProgress");
}

TEST(Situations, RolesOnTheMove) {
  World world;
  MakeGroup(&world);
  world.Annotate(kRg, "g", api::kSwitchoverToAnnotation, "b@" + FormatRfc3339(world.wall()));
  RunUntil(&world, "modifying");
  Expect(&world, kRg, "g", "group_switching_over", "InProgress");
  World other;
  MakeGroup(&other);
  other.KillProcess("a");
  RunUntil(&other, "failing-over");
  Expect(&other, kRg, "g", "group_failing_over", "InProgress");
}

TEST(Situations, AGroupThatServesWithoutOneOfItsMembers) {
  World world;
  MakeGroup(&world);
  world.SetUnschedulable("c", "0/3 nodes are available");
  world.ApplyYaml(kRr, "c", R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world.Settle());
  Expect(&world, kRg, "g", "group_member_missing", "Current");
  Expect(&world, kRr, "c", "node_unschedulable", "InProgress");
  world.SetChannel("b", false);
  world.Advance(Seconds(12));
  world.Round();
  world.Advance(Seconds(12));
  ASSERT_TRUE(world.Settle());
  Expect(&world, kRr, "b", "node_unreachable", "InProgress");
}

TEST(Situations, ASwitchoverThatIsBlockedChangesNothing) {
  World world;
  MakeGroup(&world);
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "nobody"})");
  ASSERT_TRUE(world.Settle());
  Expect(&world, kRg, "g", "group_switchover_blocked", "Current");
}

TEST(Situations, AnotherGroupIsMissingOrAllGoesAway) {
  World world;
  MakeGroup(&world);
  world.ApplyYaml(kRr, "early", R"({"replicationGroupId": "later"})");
  ASSERT_TRUE(world.Settle());
  Expect(&world, kRr, "early", "node_waits_for_group", "InProgress");
  world.Delete(kRg, "g");
  world.Delete(kRr, "b");
  Expect(&world, kRg, "g", "group_deleted", "Terminating");
  Expect(&world, kRr, "b", "node_deleted", "Terminating");
}

}  // namespace
}  // namespace understudy::plan
