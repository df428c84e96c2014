// Nodes that stand alone, wait, or were left; orphans.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/manifests/manifests.h"
#include "operator/plan/membership.h"
#include "operator/plan/objects.h"
#include "operator/plan/observation.h"
#include "operator/plan/state_codec.h"
#include "tests/golden/golden.h"
#include "tests/unit/operator/plan/world.h"

namespace understudy::plan {
namespace {

using ::testing::HasSubstr;

constexpr WallTime kWall{1'760'000'000'000};

TEST(Lone, ACacheClusterWithoutAGroupStandsAlone) {
  World world;
  world.ApplyYaml(kCc, "a", "{}");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kCc, "a", "phase"), "available");
  EXPECT_EQ(world.Column(kCc, "a", "role"), "standalone");
  EXPECT_EQ(world.Column(kCc, "a", "replicationGroupId"), "");
  EXPECT_EQ(JsonInt((*world.Get(kCc, "a"))["status"], "epoch"), 1);
  EXPECT_EQ(world.Column(kCc, "a", "dataset"), world.Process("a")->dataset);
  EXPECT_EQ(world.Process("a")->group, JsonString((*world.Get(kCc, "a"))["metadata"], "uid"));
  EXPECT_EQ(world.PodLabel("a", api::kRoleLabel), "standalone");
  EXPECT_FALSE(api::ParseMeta(*world.Get(kCc, "a")).HasFinalizer());
  EXPECT_FALSE(world.HadEvent("DataLost"));
}

TEST(Lone, TheCorrectionOfWhatKeptItFromStartingWaitsForNoWindow) {
  World world;
  world.SetBroken("a", "ContainerCreating");
  world.ApplyYaml(kCc, "a", R"({"preferredMaintenanceWindow": "sat:02:00-sat:03:00", "node": {"nodeSelector": {"disk": "ssb"}}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Message(kCc, "a", "Ready"), "waiting for its process to start");
  EXPECT_LE(world.LonePlan(kCc, "a").wake_at, world.now() + Seconds(10));
  world.Advance(Seconds(10));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kCc, "a", "Ready"), "Creating");
  EXPECT_THAT(world.Message(kCc, "a", "Ready"), HasSubstr("kubectl describe pod a-0 -n default"));
  EXPECT_EQ(world.Column(kCc, "a", "phase"), "creating");
  world.SetBroken("a", "");
  world.ApplyYaml(kCc, "a", R"({"preferredMaintenanceWindow": "sat:02:00-sat:03:00", "node": {"nodeSelector": {"disk": "ssd"}}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kCc, "a", "phase"), "available");
  EXPECT_EQ(world.Column(kCc, "a", "pending"), "");
}

TEST(Lone, ANewProcessStartsEmptyUnderANewEpochAndThatIsSaid) {
  World world;
  world.ApplyYaml(kCc, "a", "{}");
  ASSERT_TRUE(world.Settle());
  const std::string dataset = world.Process("a")->dataset;
  world.KillProcess("a");
  ASSERT_TRUE(world.Settle());
  EXPECT_TRUE(world.HadEvent("DataLost"));
  EXPECT_EQ(JsonInt((*world.Get(kCc, "a"))["status"], "epoch"), 2);
  EXPECT_NE(world.Process("a")->dataset, dataset);
  EXPECT_EQ(world.Column(kCc, "a", "phase"), "available");
}

TEST(Lone, ItsOrderIsPersistedBeforeItIsSent) {
  World world;
  world.ApplyYaml(kCc, "a", "{}");
  ASSERT_TRUE(world.Settle());
  world.KillProcess("a");
  const Plan plan = world.LonePlan(kCc, "a");
  ASSERT_EQ(plan.persist.size(), 1u);
  EXPECT_TRUE(plan.orders.empty());
  EXPECT_EQ(JsonString(plan.persist[0].status, "incarnation"), world.Process("a")->incarnation);
  EXPECT_EQ(JsonInt(plan.persist[0].status, "epoch"), 2);
}

TEST(Lone, ALostStatusIsFilledFromTheNode) {
  World world;
  world.ApplyYaml(kCc, "a", "{}");
  ASSERT_TRUE(world.Settle());
  const std::string dataset = world.Process("a")->dataset;
  (*world.Get(kCc, "a"))["status"] = {{"observedGeneration", -1}, {"phase", "creating"}};
  world.Touch(world.Get(kCc, "a"));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Process("a")->dataset, dataset);
  EXPECT_EQ(world.Column(kCc, "a", "dataset"), dataset);
  EXPECT_FALSE(world.HadEvent("DataLost"));
}

TEST(Lone, OneThatHoldsDataCanBeClaimedByANewGroupWithoutARestart) {
  World world;
  world.ApplyYaml(kCc, "a", "{}");
  ASSERT_TRUE(world.Settle());
  const std::string dataset = world.Process("a")->dataset;
  const std::string incarnation = world.Process("a")->incarnation;
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a"})");
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kCc, "a", "role"), "primary");
  EXPECT_EQ(world.Process("a")->dataset, dataset);
  EXPECT_EQ(world.Process("a")->incarnation, incarnation);
  EXPECT_EQ(world.Column(kRg, "g", "dataset"), dataset);
  EXPECT_EQ(JsonInt((*world.Get(kCc, "a"))["status"], "epoch"), 0);
}

TEST(Lone, OneThatAGroupThatCannotStartHasClaimedNoLongerStandsAloneOnceItsProcessHasEnded) {
  World world;
  world.ApplyYaml(kCc, "p", R"({"replicationGroupId": "h"})");
  world.ApplyYaml(kRg, "h", R"({"primaryClusterId": "p"})");
  world.ApplyYaml(kCc, "a", "{}");
  ASSERT_TRUE(world.Settle());
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g"})");
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "p"})");
  ASSERT_TRUE(world.Settle());
  ASSERT_EQ(world.Reason(kRg, "g", "Ready"), "InvalidCacheClusterState");
  // As long as its process lives it goes on as it is.
  EXPECT_EQ(world.Process("a")->role, control::Role::kStandalone);
  EXPECT_GT(JsonInt((*world.Get(kCc, "a"))["status"], "epoch"), 0);
  EXPECT_FALSE(world.HadEvent("DataLost"));
  world.KillProcess("a");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Process("a")->role, control::Role::kUnassigned);
  EXPECT_EQ(world.Column(kCc, "a", "role"), "");
  EXPECT_EQ(JsonInt((*world.Get(kCc, "a"))["status"], "epoch"), 0);
  EXPECT_EQ(world.Column(kCc, "a", "incarnation"), "");
  EXPECT_EQ(world.Column(kCc, "a", "dataset"), "");
  EXPECT_EQ(world.Told("DataLost", "a"), 1);
  // The group starts with it.
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a"})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kCc, "a", "role"), "primary");
}

TEST(Lone, ItsServiceLeadsToThePresentPodAndStaysAsItIsWithoutOne) {
  World world;
  world.ApplyYaml(kCc, "a", "{}");
  ASSERT_TRUE(world.Settle());
  const auto target = [&] {
    const Json* slice = world.Get("EndpointSlice", "a-pod");
    return slice == nullptr ? "" : JsonString((*slice)["endpoints"][0]["targetRef"], "uid");
  };
  const std::string first = JsonString((*world.Get("Pod", "a-0"))["metadata"], "uid");
  EXPECT_EQ(target(), first);
  EXPECT_FALSE((*world.Get("Service", "a"))["spec"].contains("selector"));
  world.Erase("Pod", "a-0");
  for (const Action& action : world.LonePlan(kCc, "a").actions) {
    EXPECT_FALSE(std::holds_alternative<ApplyObject>(action) || std::holds_alternative<DeleteObject>(action));
  }
  EXPECT_EQ(target(), first);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(target(), JsonString((*world.Get("Pod", "a-0"))["metadata"], "uid"));
  EXPECT_NE(target(), first);
}

TEST(Lone, ANewOperatorsDefaultImageNeverCostsItsData) {
  World world;
  world.ApplyYaml(kCc, "a", R"({"applyImmediately": true})");
  ASSERT_TRUE(world.Settle());
  const std::string incarnation = world.Process("a")->incarnation;
  world.settings.default_node_image = "understudy:2";
  ASSERT_TRUE(world.Settle());
  world.Advance(Seconds(8 * 24 * 3600));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Process("a")->incarnation, incarnation);
  EXPECT_EQ(world.Truth(kCc, "a", "PendingModifications"), "True");
  EXPECT_THAT(world.Message(kCc, "a", "PendingModifications"), HasSubstr("add a ReadReplica, or set image"));
  world.ApplyYaml(kCc, "a", R"({"applyImmediately": true, "node": {"image": "understudy:2"}})");
  ASSERT_TRUE(world.Settle());
  EXPECT_NE(world.Process("a")->incarnation, incarnation) << "now somebody asked";
}

TEST(Lone, LabelsThatSomebodyChangedAreSetAgain) {
  World world;
  world.ApplyYaml(kCc, "a", "{}");
  ASSERT_TRUE(world.Settle());
  Json* pod = world.Get("Pod", "a-0");
  (*pod)["metadata"]["labels"][api::kClusterLabel] = "zzz";
  (*pod)["metadata"]["labels"][api::kRoleLabel] = "zzz";
  world.Touch(pod);
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.PodLabel("a", api::kClusterLabel), "a");
  EXPECT_EQ(world.PodLabel("a", api::kRoleLabel), "standalone");
}

TEST(Lone, TheYoungerOfTwoNodesOfOneNameIsRefusedAndTouchesNothing) {
  World world;
  world.ApplyYaml(kCc, "a", "{}");
  ASSERT_TRUE(world.Settle());
  const std::string incarnation = world.Process("a")->incarnation;
  world.ApplyYaml(kRr, "a", "{}");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kRr, "a", "Accepted"), "NameConflict");
  EXPECT_EQ(world.Column(kCc, "a", "phase"), "available");
  EXPECT_EQ(world.Process("a")->incarnation, incarnation);
  EXPECT_EQ(world.Column(kRr, "a", "endpoint"), "");
}

TEST(Lone, DeletedItLeavesNothingBehind) {
  World world;
  world.ApplyYaml(kCc, "a", "{}");
  ASSERT_TRUE(world.Settle());
  world.Delete(kCc, "a");
  ASSERT_TRUE(world.Settle());
  for (const char* kind : {"CacheCluster", "StatefulSet", "Service"}) EXPECT_FALSE(world.Exists(kind, "a")) << kind;
  EXPECT_FALSE(world.Exists("Service", "a-node"));
  EXPECT_FALSE(world.Exists("Pod", "a-0"));
}

TEST(Lone, TheKeyStaysInANamespaceUntilItsLastNodeIsGone) {
  World world;
  world.ApplyYaml("CacheCluster", "one", "{}");
  world.ApplyYaml("CacheCluster", "two", "{}");
  ASSERT_TRUE(world.Settle());
  world.Delete("CacheCluster", "one");
  ASSERT_TRUE(world.Settle());
  EXPECT_TRUE(world.Exists("ConfigMap", "understudy-operator"));
  world.Delete("CacheCluster", "two");
  ASSERT_TRUE(world.Settle());
  EXPECT_FALSE(world.Exists("ConfigMap", "understudy-operator"));
  world.ApplyYaml("CacheCluster", "three", "{}");
  ASSERT_TRUE(world.Settle());
  EXPECT_TRUE(world.Exists("ConfigMap", "understudy-operator"));
}

TEST(Orphans, TheKeyOfANamespaceWithNodesOrWithoutFullListsIsLeftAlone) {
  OrphanView view;
  view.key_maps = {{"v1", "ConfigMap", "empty", "understudy-operator", "u1", ""},
                   {"v1", "ConfigMap", "used", "understudy-operator", "u2", ""}};
  view.inhabited = {"used"};
  EXPECT_TRUE(PlanOrphans(view, MonoTime{1}, kWall).deletes.empty());
  view.complete = true;
  const OrphanPlan plan = PlanOrphans(view, MonoTime{1}, kWall);
  ASSERT_EQ(plan.deletes.size(), 1u);
  EXPECT_EQ(plan.deletes[0].ref.ns, "empty");
  EXPECT_EQ(plan.deletes[0].ref.uid, "u1");
}

TEST(Lone, AForeignConfigMapIsNotMergedInto) {
  World world;
  world.Put("ConfigMap", "understudy-operator", {{"data", {{"mine", "x"}}}});
  world.ApplyYaml(kCc, "a", "{}");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kCc, "a", "Accepted"), "NameConflict");
  EXPECT_FALSE(world.Exists("StatefulSet", "a"));
  EXPECT_EQ((*world.Get("ConfigMap", "understudy-operator"))["data"], Json({{"mine", "x"}}));
}

TEST(Lone, WhatIsLeftOfAGroupThatVanishedKeepsItsDataAndIsAdopted) {
  World world;
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a"})");
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g"})");
  world.ApplyYaml(kRr, "b", R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world.Settle());
  const std::string dataset = world.Process("a")->dataset;
  world.Erase(kRg, "g");  // without its finalizer's leave
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Reason(kCc, "a", "Ready"), "ReplicationGroupNotFoundFault");
  EXPECT_TRUE(world.Exists("StatefulSet", "a"));
  EXPECT_EQ(world.Process("a")->dataset, dataset);
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "b"})");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRg, "g", "membersReady"), "2/2");
  EXPECT_EQ(world.Column(kRg, "g", "dataset"), dataset);
  EXPECT_EQ(world.Process("b")->dataset, dataset);
}

TEST(Lone, WhatADeletedGroupLeftIsNotAvailable) {
  World world;
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a"})");
  world.ApplyYaml(kCc, "a", R"({"replicationGroupId": "g"})");
  for (const char* name : {"b", "c"}) world.ApplyYaml(kRr, name, R"({"replicationGroupId": "g"})");
  ASSERT_TRUE(world.Settle());
  world.Delete(kRg, "g");
  for (int i = 0; i < 60 && world.Exists(kRg, "g"); ++i) {
    world.OneStep();
    EXPECT_NE(world.Column(kRr, "b", "phase"), "creating") << "it is not new";
  }
  ASSERT_TRUE(world.Settle());
  ASSERT_FALSE(world.Exists(kRg, "g"));
  EXPECT_EQ(world.Column(kCc, "a", "phase"), "available") << "the heir";
  EXPECT_EQ(world.Column(kRr, "b", "phase"), "modifying");
  EXPECT_EQ(world.Column(kRr, "b", "role"), "replica");
  EXPECT_THAT(world.Message(kRr, "b", "Ready"), HasSubstr("keeps its data, read-only"));
  // Silence is no news of its data; the end of its process is.
  world.SetChannel("b", false);
  world.Advance(Seconds(15));
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRr, "b", "phase"), "modifying");
  world.SetChannel("b", true);
  world.KillProcess("b");
  ASSERT_TRUE(world.Settle());
  EXPECT_EQ(world.Column(kRr, "b", "phase"), "creating");
  EXPECT_THAT(world.Message(kRr, "b", "Ready"), HasSubstr("has no data, as its process has ended"));
  world.ApplyYaml(kRg, "g", R"({"primaryClusterId": "a"})");
  ASSERT_TRUE(world.Settle());
  for (const char* name : {"b", "c"}) EXPECT_EQ(world.Column(kRr, name, "phase"), "available") << name;
  EXPECT_FALSE(world.HadEvent("DemoteComplete")) << "nobody was demoted";
}

TEST(Lone, WordsOfTheApiServerAreOneLineInConditionsAndEvents) {
  LoneView view;
  view.node.node.meta.name = "a";
  view.node.node.meta.uid = "u";
  NodeObjects objects;
  objects.view = &view.node;
  const auto built = BuildNode(objects, view.settings);
  ASSERT_TRUE(built.ok());
  view.memory.rejected["a"] = {manifests::AppliedHash(*built), "the API server refuses its Pod: spec.x: Invalid value:\n\t\"y\"\r\n  must be z\n",
                               false, MonoTime{2'000}};
  const Plan plan = PlanLone(view, MonoTime{1'000}, WallTime{1'760'000'000'000});
  const std::string line = "the API server refuses its Pod: spec.x: Invalid value: \"y\" must be z";
  ASSERT_EQ(plan.statuses.size(), 1u);
  const api::Conditions conditions = api::ParseConditions(plan.statuses[0].status["conditions"]);
  for (std::string_view type : {api::kAccepted, api::kReady, api::kStalled}) {
    ASSERT_NE(conditions.Find(type), nullptr) << type;
    EXPECT_EQ(conditions.Find(type)->message, line) << type;
  }
  ASSERT_EQ(plan.events.size(), 1u);
  EXPECT_EQ(plan.events[0].note, line);
}

TEST(Orphans, GoAtOnceAfterADeletionThatWasSeenElseAfterAWarning) {
  OrphanView view;
  view.complete = true;
  view.living = {"alive"};
  view.children = {{{"apps/v1", "StatefulSet", "ns", "a", "1", ""}, {"", "CacheCluster", "ns", "a", "alive", ""}},
                   {{"apps/v1", "StatefulSet", "ns", "b", "2", ""}, {"", "CacheCluster", "ns", "b", "seen", ""}},
                   {{"apps/v1", "StatefulSet", "ns", "c", "3", ""}, {"", "CacheCluster", "ns", "c", "gone", ""}},
                   {{"v1", "Service", "ns", "c", "4", ""}, {"", "CacheCluster", "ns", "c", "gone", ""}}};
  const MonoTime now{1'000'000'000};
  view.deletions_seen["seen"] = now;
  OrphanPlan plan = PlanOrphans(view, now, kWall);
  ASSERT_EQ(plan.deletes.size(), 1u);
  EXPECT_EQ(plan.deletes[0].ref.name, "b");
  ASSERT_EQ(plan.events.size(), 1u);
  EXPECT_EQ(plan.wake_at, now + kLookAgain) << "whether what was to be deleted is gone";
  EXPECT_EQ(plan.events[0].note,
            "CacheCluster c, which this was made for, does not exist; it and all else that was made for it will be deleted "
            "at 2025-10-09T09:08:20Z, in 15 minutes; an operator that takes over before then waits for as long anew");
  view.announced = plan.announced;
  view.children.erase(view.children.begin() + 1);
  plan = PlanOrphans(view, now + Seconds(60), kWall);
  EXPECT_TRUE(plan.events.empty()) << "announced once";
  EXPECT_EQ(plan.wake_at, now + kOrphanWait);
  view.announced = plan.announced;
  plan = PlanOrphans(view, now + kOrphanWait, kWall);
  EXPECT_EQ(plan.deletes.size(), 2u);
  view.complete = false;
  EXPECT_TRUE(PlanOrphans(view, now + kOrphanWait, kWall).deletes.empty());
}

TEST(Orphans, AnOwnerThatTurnsUpIsForgiven) {
  OrphanView view;
  view.complete = true;
  view.children = {{{"v1", "Service", "ns", "c", "4", ""}, {"", "CacheCluster", "ns", "c", "late", ""}}};
  const MonoTime now{1'000'000'000};
  OrphanPlan plan = PlanOrphans(view, now, kWall);
  view.announced = plan.announced;
  view.living = {"late"};
  plan = PlanOrphans(view, now + kOrphanWait, kWall);
  EXPECT_TRUE(plan.deletes.empty());
  EXPECT_TRUE(plan.announced.empty());
}

// One with every member set.
failover::GroupState FullState() {
  failover::GroupState state;
  state.epoch = 7;
  state.term = "t";
  state.primary = {"a", "pu", "inc", "host", "10.0.0.1"};
  control::Configuration configuration;
  configuration.number = 9;
  configuration.epoch = 7;
  configuration.primary = state.primary;
  configuration.voters = {{"b", "pb", "ib", "h2", "fd00::1"}};
  configuration.synchronous_replicas = 1;
  configuration.lease_ms = 2250;
  state.configurations = {configuration, configuration};
  failover::Failover running;
  running.kind = failover::Kind::kSwitchover;
  running.step = failover::Step::kDemote;
  running.epoch = 8;
  running.reason = "Requested";
  running.message = "m";
  running.old = state.primary;
  running.winner = configuration.voters[0];
  running.source = state.primary;
  running.offset = 1ull << 60;
  running.proof = "p";
  running.old_offset = 5;
  running.old_heard = {1'700'000'000'123};
  running.old_offset_final = running.data_lost = running.empty_start = true;
  running.offset_epoch = 5;
  running.dropped_bytes = 3;
  running.times = {{1'700'000'000'001}, {2}, {1'700'000'000'003}, {4}, {5'000}, {6}, {1'700'000'000'999}};
  state.failover = running;
  failover::HistoryEntry entry;
  entry.kind = failover::Kind::kRestore;
  entry.epoch = 6;
  entry.reason = "r";
  entry.message = "m";
  entry.old_primary = state.primary;
  entry.new_primary = configuration.voters[0];
  entry.proof = "kubelet";
  entry.offset = 11;
  entry.old_offset = 12;
  entry.old_heard = {1'600'000'000'500};
  entry.data_lost = true;
  entry.old_returned = {1'600'000'001'500};
  entry.dropped_bytes = 77;
  entry.offset_epoch = 6;
  entry.times = running.times;
  state.failover_history = {entry};
  state.unproven_takeovers = {{1'700'000'000'001}, {1'700'000'000'999}};
  state.handled_primary_cluster_id = "a";
  state.handled_test_failover = "2026-01-01T00:00:00Z";
  state.handled_switchover_to = "b@x";
  state.void_words = {"inc", "another"};
  state.dataset = "d";
  return state;
}

TEST(StateCodec, GroupStateReadsBackAsItWasWritten) {
  const failover::GroupState state = FullState();
  EXPECT_EQ(ParseGroupState(GroupStateJson(state)), state);
  EXPECT_EQ(ParseGroupState(GroupStateJson({})), failover::GroupState{});
  EXPECT_EQ(JsonString(GroupStateJson(state), "primary"), "a");
}

// A status of an operator that did not keep what maxPerHour counts tells it by its history.
TEST(StateCodec, UnprovenTakeoversOfAnOlderStatusAreThoseOfItsHistory) {
  failover::GroupState state = FullState();
  failover::HistoryEntry& proven = state.failover_history[0];
  proven.kind = failover::Kind::kTakeover;
  failover::HistoryEntry unproven = proven;
  unproven.proof.clear();
  unproven.times.confirmed = {1'700'000'000'005};
  failover::HistoryEntry moved = unproven;
  moved.kind = failover::Kind::kSwitchover;
  state.failover_history = {proven, unproven, moved};
  state.failover->kind = failover::Kind::kTakeover;
  state.failover->proof.clear();
  state.failover->times.confirmed = {1'700'000'000'007};
  Json old = GroupStateJson(state);
  old.erase("unprovenTakeovers");
  EXPECT_EQ(ParseGroupState(old).unproven_takeovers,
            (std::vector<WallTime>{{1'700'000'000'005}, {1'700'000'000'007}}));
  state.unproven_takeovers.clear();  // kept, and there was none
  EXPECT_EQ(ParseGroupState(GroupStateJson(state)), state);
}

// What the schema of the kind (crds/) has to know: the API server refuses a status with anything else in it.
TEST(GoldenStatus, OfAGroupAndOfANodeWithEveryMemberSet) {
  failover::GroupState state = FullState();
  state.handled_test_failover.clear();  // requests of this kind do not exist yet
  api::ReplicationGroupStatus status;
  status.members = {{"a", "CacheCluster", true, "primary", "z", "a.ns.svc:6379", "up", "0B"}};
  status.members_ready = "1/1";
  status.selector = "cache.understudy.dev/pool=g";
  status.primary_endpoint = "g.ns.svc:6379";
  status.reader_endpoint = "g-reader.ns.svc:6379";
  status.automatic_failover = "enabled";
  status.effective_reader_max_lag = "10s";
  status.effective_detection_timeout = "1s";
  status.effective_lease_duration = "1.5s";
  status.effective_max_per_hour = 6;
  status.effective_maintenance_window = "sun:05:00-sun:06:00";
  status.pending = "image until Sun 05:00Z";
  status.pending_modified_values = {{"image", "i:1", "i:2", WallTime{1'700'000'000'000}, "WaitingForMaintenanceWindow"}};
  status.heir = api::Heir{"a", "inc"};
  status.conditions.Set(api::kReady, api::Truth::kTrue, api::reason::kAvailable, "m", 1, WallTime{1'700'000'000'000});
  golden::ExpectGolden("status/replication_group.json", GroupStatusJson(status, state).dump(1) + "\n");
  api::CacheNodeStatus node;
  node.role = "replica";
  node.replication_group_id = "g";
  node.group_uid = "u";
  node.moving_to = "v";
  node.epoch = 1;
  node.incarnation = "i";
  node.dataset = "d";
  node.availability_zone = "z";
  node.endpoint = "a.ns.svc:6379";
  node.lag = "0B";
  node.effective_image = "i:1";
  node.effective_maintenance_window = status.effective_maintenance_window;
  node.pending = status.pending;
  node.pending_modified_values = status.pending_modified_values;
  golden::ExpectGolden("status/cache_node.json", api::CacheNodeStatusJson(node).dump(1) + "\n");
}

TEST(ResponsibleGroup, IsTheOneThatHasTheNodeElseTheOneItNamesElseTheOldestThatNamesIt) {
  const auto group = [](const char* name, const char* primary, int64_t created) {
    GroupObject g;
    g.object.meta.name = name;
    g.object.meta.uid = std::string("uid-") + name;
    g.object.meta.created = WallTime{created};
    g.object.spec.primary_cluster_id = primary;
    return g;
  };
  GroupObject old = group("old", "n", 1), young = group("young", "n", 2);
  const std::vector<const GroupObject*> both = {&young, &old};
  api::CacheNode node;
  node.meta.name = "n";
  EXPECT_EQ(ResponsibleGroup(node, both), "old");
  node.spec.replication_group_id = "young";
  EXPECT_EQ(ResponsibleGroup(node, both), "young");
  node.spec.replication_group_id = "missing";
  EXPECT_EQ(ResponsibleGroup(node, both), "");
  node.status.group_uid = "uid-old";
  EXPECT_EQ(ResponsibleGroup(node, both), "old");
  node.status.group_uid = "";
  node.spec.replication_group_id = "young";
  node.status.epoch = 3;  // stands alone
  EXPECT_EQ(ResponsibleGroup(node, both), "young") << "a group that was not started may adopt";
  young.state.epoch = 1;
  EXPECT_EQ(ResponsibleGroup(node, both), "young") << "an emptied group adopts like a new one";
  young.state.configurations.emplace_back();
  EXPECT_EQ(ResponsibleGroup(node, both), "") << "it joins by Demote";
  young.state.primary.name = "n";
  EXPECT_EQ(ResponsibleGroup(node, both), "young") << "its order to join may still be on the way";
  young.state = {};
  node = {};
  node.meta.name = "n";
  node.spec.promoted_from = "old";
  EXPECT_EQ(ResponsibleGroup(node, both), "young") << "the group that it left never claims it";
  node.spec.promoted_from = "";
  node.status.epoch = 1;
  node.status.incarnation = "i";
  young.state.configurations.emplace_back().voters = {{"n", "p", "i", "", ""}};
  EXPECT_EQ(ResponsibleGroup(node, both), "young") << "its state counts on that very process";
}

TEST(NeedsPlan, CountersAloneNeedNone) {
  control::NodeState before;
  before.acks = {{"r", 5, true, false, 10}};
  control::NodeState after = before;
  after.offset = 100;
  after.acks[0].offset = 90;
  after.acks[0].silent_ms = 0;
  after.lease_left_ms = 1400;
  EXPECT_FALSE(NeedsPlan(before, after));
  after.acks[0].in_sync = false;
  EXPECT_TRUE(NeedsPlan(before, after));
}

}  // namespace
}  // namespace understudy::plan
