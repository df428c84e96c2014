// Which keys a change concerns, and what is found by name.
#include "operator/nodes/node_table.h"
#include "operator/observe/world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "operator/observe/observe.h"

namespace understudy::observe {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

Json Object(const std::string& name, int version, Json spec = Json::object(), Json labels = Json::object()) {
  return {{"metadata",
           {{"name", name},
            {"namespace", "ns"},
            {"uid", "uid-" + name + std::to_string(version)},
            {"resourceVersion", std::to_string(version)},
            {"creationTimestamp", "2026-01-01T00:00:" + std::to_string(10 + version) + "Z"},
            {"labels", std::move(labels)}}},
          {"spec", std::move(spec)}};
}

class WorldTest : public testing::Test {
 protected:
  WorldTest() {
    world.OnChanges([this](const std::string& key, watch::Priority) { keys.push_back(key); });
    for (auto& [spec, target] : world.Watches()) target->Commit("1");
  }
  std::vector<std::string> Taken() { return std::exchange(keys, {}); }

  FakeClock clock;
  metrics::Registry registry;
  nodes::OperatorKey key{*crypto::SigningKey::Generate()};
  nodes::NodeTable table{{.leadership = [] { return kube::Leadership{}; }, .matters = plan::NeedsPlan}, key, clock, registry};
  World world{table, clock};
  std::vector<std::string> keys;
};

TEST_F(WorldTest, ANodeThatStandsAloneAnswersForItself) {
  world.cache_clusters.cache.Upsert(Object("a", 1));
  EXPECT_THAT(Taken(), ElementsAre("c/ns/a"));
  world.read_replicas.cache.Upsert(Object("b", 2));
  EXPECT_THAT(Taken(), ElementsAre("r/ns/b"));
}

TEST_F(WorldTest, AMemberIsItsGroupsBusiness) {
  world.groups.cache.Upsert(Object("g", 1));
  EXPECT_THAT(Taken(), ElementsAre("g/ns/g"));
  world.cache_clusters.cache.Upsert(Object("a", 2, {{"replicationGroupId", "g"}}));
  EXPECT_THAT(Taken(), ElementsAre("g/ns/g"));
  EXPECT_EQ(world.KeyOfNode("ns", "a"), "g/ns/g");
}

TEST_F(WorldTest, ASliceConcernsTheGroupOrTheNodeWhoseServiceItBelongsTo) {
  world.groups.cache.Upsert(Object("g", 1));
  world.cache_clusters.cache.Upsert(Object("a", 2));
  (void)Taken();
  const auto slice = [](const std::string& service, int version) {
    return Object(service + "-x", version, {}, {{"kubernetes.io/service-name", service}});
  };
  world.slices.cache.Upsert(slice("g", 3));  // new: nothing was before
  EXPECT_THAT(Taken(), ElementsAre("g/ns/g"));
  world.slices.cache.Upsert(slice("a", 4));
  EXPECT_THAT(Taken(), ElementsAre("c/ns/a"));
  world.slices.cache.Upsert(slice("a", 5));
  EXPECT_THAT(Taken(), Contains("c/ns/a"));
  world.slices.cache.Remove(slice("a", 6));  // gone: nothing is after
  EXPECT_THAT(Taken(), ElementsAre("c/ns/a"));
  world.slices.cache.Upsert(slice("somebody-elses", 7));
  EXPECT_THAT(Taken(), IsEmpty());
}

TEST_F(WorldTest, OfTwoNodesOfOneNameTheOlderHasWhatWasMadeUnderIt) {
  world.cache_clusters.cache.Upsert(Object("a", 1));
  world.read_replicas.cache.Upsert(Object("a", 2));
  EXPECT_THAT(Taken(), UnorderedElementsAre("c/ns/a", "r/ns/a"));
  world.stateful_sets.cache.Upsert(Object("a", 3));
  EXPECT_EQ(world.KeyOfNode("ns", "a"), "c/ns/a");
  const Observer observer(world, table, {});
  const auto older = observer.Lone(api::NodeKind::kCacheCluster, "ns", "a", {}, {}, {});
  ASSERT_TRUE(older);
  EXPECT_TRUE(older->node.stateful_set);
  const auto younger = observer.Lone(api::NodeKind::kReadReplica, "ns", "a", {}, {}, {});
  ASSERT_TRUE(younger);
  EXPECT_FALSE(younger->node.stateful_set);
  ASSERT_EQ(younger->claims.size(), 1u);
  EXPECT_EQ(younger->claims[0].kind, "CacheCluster");
}

TEST_F(WorldTest, AGroupSeesThePodOfTwoNodesOfOneNameOnce) {
  world.groups.cache.Upsert(Object("g", 1));
  world.cache_clusters.cache.Upsert(Object("a", 2, {{"replicationGroupId", "g"}}));
  world.read_replicas.cache.Upsert(Object("a", 3, {{"replicationGroupId", "g"}}));
  world.pods.cache.Upsert(Object("a-0", 4, {}, {{"cache.understudy.dev/cluster", "a"}}));
  const Observer observer(world, table, {});
  const auto view = observer.Group("ns", "g", {}, {}, {});
  ASSERT_TRUE(view);
  EXPECT_EQ(view->nodes.size(), 2u);
  EXPECT_EQ(view->failover.pods.size(), 1u);
  world.pods.cache.Remove(Object("a-0", 5, {}, {{"cache.understudy.dev/cluster", "a"}}));
  EXPECT_EQ(observer.Group("ns", "g", {}, {}, {})->failover.pods.size(), 1u);  // its last version
}

TEST_F(WorldTest, AGroupIsLookedAtWhileItsNodesComeAndGo) {
  world.groups.cache.Upsert(Object("g", 1));
  const Observer observer(world, table, {});
  std::atomic<bool> over{false};
  std::thread watch([&] {
    for (int version = 2; version < 20'000; version += 2) {
      world.cache_clusters.cache.Upsert(Object("a", version, {{"replicationGroupId", "g"}}));
      world.cache_clusters.cache.Remove(Object("a", version + 1, {{"replicationGroupId", "g"}}));
    }
    over = true;
  });
  size_t seen = 0;
  while (!over) seen += observer.Group("ns", "g", {}, {}, {})->nodes.size();
  watch.join();
  EXPECT_GT(seen, 0U);
}

TEST_F(WorldTest, AManifestIsWholeWhenNothingHasComeToItsNamespaceForAMoment) {
  const auto whole_at = [&](const std::string& name) {
    return world.ManifestWholeAt(world.FindNode("ns", name)->meta);
  };
  const MonoTime start = clock.Mono();
  world.cache_clusters.cache.Upsert(Object("a", 1));
  EXPECT_EQ(whole_at("a"), start + kManifestPause);
  clock.Advance(Milliseconds(150));
  world.groups.cache.Upsert(Object("g", 2));
  EXPECT_EQ(whole_at("a"), start + Milliseconds(150) + kManifestPause);
  // A change of what is there, or what comes elsewhere, is no part of it.
  clock.Advance(Milliseconds(150));
  Json changed = Object("g", 3);
  changed["metadata"]["uid"] = "uid-g2";
  world.groups.cache.Upsert(changed);
  Json elsewhere = Object("x", 4);
  elsewhere["metadata"]["namespace"] = "other";
  world.read_replicas.cache.Upsert(elsewhere);
  EXPECT_EQ(whole_at("a"), start + Milliseconds(150) + kManifestPause);
  // It never takes longer than the limit, whatever else comes.
  for (int version = 5; version < 15; ++version) {
    clock.Advance(Milliseconds(100));
    world.read_replicas.cache.Upsert(Object("r" + std::to_string(version), version));
    EXPECT_LE(whole_at("a"), start + kManifestLimit);
  }
  EXPECT_EQ(whole_at("r14"), clock.Mono() + kManifestPause);
  const Observer observer(world, table, {});
  EXPECT_EQ(observer.Lone(api::NodeKind::kReadReplica, "ns", "r14", {}, {}, {})->node.first_pod_at, whole_at("r14"));
}

TEST_F(WorldTest, WhatWasThereBeforeIsWhole) {
  World other(table, clock);
  other.OnChanges([](const std::string&, watch::Priority) {});
  for (auto& [spec, target] : other.Watches()) {
    if (target == &other.cache_clusters.cache) target->Stage(Object("a", 1));
    target->Commit("1");
  }
  ASSERT_TRUE(other.FindNode("ns", "a"));
  EXPECT_EQ(other.ManifestWholeAt(other.FindNode("ns", "a")->meta), MonoTime{});
}

Json Host(const std::string& name, int version, Json labels = Json::object()) {
  Json host = Object(name, version, {}, std::move(labels));
  host["metadata"]["uid"] = "uid-" + name;
  host["metadata"].erase("namespace");
  host["status"] = {{"conditions", Json::array({{{"type", "Ready"}, {"status", "True"}}})}, {"allocatable", {{"cpu", "2"}}}};
  return host;
}

TEST_F(WorldTest, WhoIsHeldBackIsLookedAtWhenANodeTakesOtherPodsAndAtNoHeartbeat) {
  Json held = Object("a", 1);
  held["status"]["conditions"] =
      Json::array({{{"type", "Accepted"}, {"status", "False"}, {"reason", api::reason::kUnschedulable}}});
  world.groups.cache.Upsert(Object("g", 2));
  Json member = Object("m", 3, {{"replicationGroupId", "g"}});
  member["status"] = held["status"];
  world.cache_clusters.cache.Upsert(held);
  world.read_replicas.cache.Upsert(member);
  world.cache_clusters.cache.Upsert(Object("b", 4));
  Json full = Object("full", 5);
  full["status"]["conditions"] = Json::array({{{"type", "Accepted"}, {"status", "False"}, {"reason", "NameConflict"}}});
  world.cache_clusters.cache.Upsert(full);
  (void)Taken();
  world.hosts.cache.Upsert(Host("n", 6));
  EXPECT_THAT(Taken(), UnorderedElementsAre("c/ns/a", "g/ns/g"));

  Json beat = Host("n", 7);
  beat["metadata"]["annotations"] = {{"volumes", "2"}};
  beat["status"]["conditions"][0]["lastHeartbeatTime"] = "2026-01-01T00:00:00Z";
  world.hosts.cache.Upsert(beat);
  EXPECT_THAT(Taken(), IsEmpty());
  world.hosts.cache.Upsert(Host("n", 8, {{"disk", "nvme"}}));
  EXPECT_THAT(Taken(), UnorderedElementsAre("c/ns/a", "g/ns/g"));
  Json larger = Host("n", 9, {{"disk", "nvme"}});
  larger["status"]["allocatable"]["cpu"] = "4";
  world.hosts.cache.Upsert(larger);
  EXPECT_THAT(Taken(), UnorderedElementsAre("c/ns/a", "g/ns/g"));
  world.hosts.cache.Remove(larger);
  EXPECT_THAT(Taken(), UnorderedElementsAre("c/ns/a", "g/ns/g")) << "what is said of it may be another thing";

  world.cache_clusters.cache.Upsert(Object("a", 10));
  world.read_replicas.cache.Remove(member);
  (void)Taken();
  world.hosts.cache.Upsert(Host("n", 11));
  EXPECT_THAT(Taken(), IsEmpty());
}

TEST_F(WorldTest, TheListOfNodesHasAnotherVersionOnlyWhenOneOfThemChanges) {
  const auto empty = world.Fleet();
  EXPECT_TRUE(empty->nodes.empty());
  world.hosts.cache.Upsert(Host("n", 1, {{"topology.kubernetes.io/zone", "a"}}));
  const auto one = world.Fleet();
  EXPECT_NE(one->version, empty->version);
  ASSERT_EQ(one->nodes.size(), 1u);
  EXPECT_THAT(one->zones, ElementsAre("a"));
  world.hosts.cache.Upsert(Host("n", 2, {{"topology.kubernetes.io/zone", "a"}}));
  EXPECT_EQ(world.Fleet()->version, one->version) << "a heartbeat";
  EXPECT_EQ(world.Fleet()->nodes.front(), world.hosts.cache.Get("n")) << "no second copy is kept";
  Json lost = Host("n", 3, {{"topology.kubernetes.io/zone", "a"}});
  lost["status"]["conditions"][0]["status"] = "Unknown";
  world.hosts.cache.Upsert(lost);
  EXPECT_NE(world.Fleet()->version, one->version);
  EXPECT_THAT(world.Fleet()->zones, IsEmpty());
  EXPECT_EQ(world.Fleet()->nodes.size(), 1u);
  const Observer observer(world, table, {});
  world.groups.cache.Upsert(Object("g", 4));
  world.cache_clusters.cache.Upsert(Object("a", 5));
  EXPECT_EQ(observer.Group("ns", "g", {}, {}, {})->fleet, world.Fleet());
  EXPECT_EQ(observer.Lone(api::NodeKind::kCacheCluster, "ns", "a", {}, {}, {})->fleet, world.Fleet());
}

TEST_F(WorldTest, APodOfNobodyConcernsNobody) {
  world.pods.cache.Upsert(Object("x-0", 1, {}, {{"cache.understudy.dev/cluster", "x"}}));
  EXPECT_THAT(Taken(), IsEmpty());
  EXPECT_EQ(world.KeyOfNode("ns", "x"), "");
}

TEST_F(WorldTest, OrphansAreSeenWithTheirVersionAndBesideTheNamesThatAreTaken) {
  const auto child = [](const std::string& name, int version, const char* owner) {
    Json object = Object(name, version);
    object["metadata"]["annotations"] = {{api::kOwnerAnnotation, owner}, {api::kOwnerUidAnnotation, "older"}};
    return object;
  };
  world.groups.cache.Upsert(Object("g", 1));
  world.read_replicas.cache.Upsert(Object("v", 2));
  world.stateful_sets.cache.Upsert(child("v", 3, "CacheCluster/v"));
  world.services.cache.Upsert(Object("foreign", 4));
  Json going = child("w", 5, "ReadReplica/w");
  going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  world.services.cache.Upsert(going);
  const Observer observer(world, table, {});
  const plan::OrphanView view = observer.Orphans({});
  EXPECT_THAT(view.living, UnorderedElementsAre("uid-g1", "uid-v2"));
  ASSERT_EQ(view.children.size(), 1u);
  EXPECT_EQ(view.children[0].ref, (api::ObjectRef{"apps/v1", "StatefulSet", "ns", "v", "uid-v3", "3"}));
  EXPECT_EQ(view.children[0].owner.kind, "CacheCluster");
  EXPECT_EQ(view.children[0].owner.uid, "older");
  EXPECT_THAT(view.living_keys, UnorderedElementsAre(plan::OwnerKey({"", "ReplicationGroup", "ns", "g", "", ""}),
                                                     plan::OwnerKey(view.children[0].owner)));
}

}  // namespace
}  // namespace understudy::observe
