// Custom resources and conditions: what is read, and that what is written reads back equal.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/cache_node.h"
#include "operator/api/conditions.h"
#include "operator/api/replication_group.h"

namespace understudy::api {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

Json Parse(std::string_view text) {
  auto json = ParseJson(text);
  EXPECT_TRUE(json.ok()) << text;
  return *std::move(json);
}

TEST(ReplicationGroupCodec, ReadsTheDocumentedExample) {
  const auto group = ParseReplicationGroup(Parse(R"({
    "metadata": {"name": "examplereplication", "namespace": "default", "uid": "u1", "generation": 3,
                 "resourceVersion": "17", "creationTimestamp": "2026-01-02T03:04:05Z"},
    "spec": {"primaryClusterId": "exampleredis", "description": "examplereplication", "replicas": 0,
             "automaticFailover": true, "multiAZ": "Preferred", "deletionPolicy": "RetainClusters"}})"));
  ASSERT_TRUE(group.ok());
  EXPECT_EQ(group->meta.name, "examplereplication");
  EXPECT_EQ(group->meta.generation, 3);
  EXPECT_EQ(FormatRfc3339(group->meta.created), "2026-01-02T03:04:05Z");
  EXPECT_EQ(group->spec.primary_cluster_id, "exampleredis");
  EXPECT_TRUE(group->spec.automatic_failover);
  EXPECT_EQ(group->spec.SynchronousReplicas(), 0);
  EXPECT_EQ(group->spec.LeaseDuration(), Milliseconds(1500));
  EXPECT_EQ(group->status.observed_generation, -1);
  EXPECT_EQ(group->status.phase, "creating");
}

TEST(ReplicationGroupCodec, ReadsEveryFieldOfTheSpec) {
  const auto group = ParseReplicationGroup(Parse(R"({
    "metadata": {"name": "g"},
    "spec": {"replicas": 2, "automaticFailover": false, "multiAZ": "Required", "synchronousReplicas": 1,
             "readerMaxLag": "1m30s", "deletionPolicy": "Delete",
             "failover": {"detectionTimeout": "750ms", "leaseDuration": "2.5s", "maxPerHour": 3},
             "node": {"image": "i:1", "parameters": {"maxmemory-policy": "allkeys-lru", "hz": 20},
                      "podLabels": {"team": "a"}}}})"));
  ASSERT_TRUE(group.ok());
  EXPECT_EQ(group->spec.replicas, 2);
  EXPECT_FALSE(group->spec.automatic_failover);
  EXPECT_EQ(group->spec.multi_az, MultiAz::kRequired);
  EXPECT_EQ(group->spec.SynchronousReplicas(), 1);
  EXPECT_EQ(group->spec.ReaderMaxLag(), Seconds(90));
  EXPECT_EQ(group->spec.DetectionTimeout(), Milliseconds(750));
  EXPECT_EQ(group->spec.LeaseDuration(), Milliseconds(2500));
  EXPECT_EQ(group->spec.MaxPerHour(), 3);
  EXPECT_EQ(group->spec.deletion_policy, DeletionPolicy::kDelete);
  EXPECT_THAT(group->spec.node.parameters, ElementsAre(Pair("hz", "20"), Pair("maxmemory-policy", "allkeys-lru")));
}

TEST(ReplicationGroupCodec, StatusReadsBackAsItWasWritten) {
  ReplicationGroupStatus status;
  status.observed_generation = 4;
  status.phase = "available";
  status.members = {{"a", "CacheCluster", false, "primary", "z1", "a.ns.svc:6379", "", ""},
                    {"b", "ReadReplica", true, "replica", "z2", "b.ns.svc:6379", "up", "0B"}};
  status.members_ready = "2/2";
  status.replicas = 1;
  status.selector = "x=y";
  status.primary_endpoint = "g.ns.svc:6379";
  status.reader_endpoint = "g-reader.ns.svc:6379";
  status.automatic_failover = "enabled";
  status.effective_synchronous_replicas = 1;
  status.effective_reader_max_lag = "10s";
  status.effective_detection_timeout = "1s";
  status.effective_lease_duration = "1.5s";
  status.effective_max_per_hour = 6;
  status.effective_maintenance_window = "sun:05:00-sun:06:00";
  status.pending = "image until Sun 05:00Z";
  status.pending_modified_values = {{"image", "a", "b", WallTime{1'700'000'000'000}, "WaitingForMaintenanceWindow"}};
  status.heir = Heir{"a", "0123"};
  status.conditions.Set(kReady, Truth::kTrue, reason::kAvailable, "m", 4, WallTime{1'700'000'000'000});
  const Json document = {{"metadata", {{"name", "g"}}}, {"status", ReplicationGroupStatusJson(status)}};
  const auto back = ParseReplicationGroup(document);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->status, status);
}

TEST(CacheNodeCodec, StatusReadsBackAsItWasWritten) {
  CacheNodeStatus status;
  status.observed_generation = 2;
  status.phase = "available";
  status.role = "standalone";
  status.replication_group_id = "g";
  status.group_uid = "gu";
  status.moving_to = "hu";
  status.epoch = 7;
  status.incarnation = "i";
  status.dataset = "d";
  status.availability_zone = "z";
  status.endpoint = "n.ns.svc:6379";
  status.lag = "10kB";
  status.effective_image = "image:1";
  status.effective_maintenance_window = "sun:05:00-sun:06:00";
  status.pending = "image now";
  status.pending_modified_values = {{"image", "a", "b", {}, "ApplyingModifications"}};
  status.conditions.Set(kInSync, Truth::kFalse, reason::kLagging, "", 2, WallTime{1'700'000'001'000});
  const Json document = {{"metadata", {{"name", "n"}}}, {"status", CacheNodeStatusJson(status)}};
  const auto back = ParseCacheNode(NodeKind::kReadReplica, document);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->kind, NodeKind::kReadReplica);
  EXPECT_EQ(back->status, status);
}

TEST(CacheNodeCodec, WrongTypesAreAbsentAndAMissingNameIsRefused) {
  const auto node = ParseCacheNode(NodeKind::kCacheCluster,
                                   Parse(R"({"metadata": {"name": "n", "labels": 5}, "spec": [], "status": "x"})"));
  ASSERT_TRUE(node.ok());
  EXPECT_EQ(node->spec.replication_group_id, "");
  EXPECT_EQ(ParseCacheNode(NodeKind::kCacheCluster, Parse(R"({"spec": {}})")).status().code(), Code::kInvalid);
}

TEST(NodeSettings, TheMembersOwnWinFieldByFieldAndMapsKeyByKey) {
  const NodeSettings group = ParseNodeSettings(Parse(R"({
    "image": "g:1", "resources": {"limits": {"memory": "1Gi"}}, "priorityClassName": "low", "serviceAccountName": "g",
    "parameters": {"hz": 10, "maxmemory-policy": "noeviction"}, "podLabels": {"a": "1", "b": "1"},
    "nodeSelector": {"disk": "ssd"}})"));
  const NodeSettings member = ParseNodeSettings(Parse(R"({
    "image": "m:1", "serviceAccountName": "m", "parameters": {"hz": 50}, "podLabels": {"b": "2"}, "tolerations": [{"key": "k"}]})"));
  const NodeSettings merged = MergeSettings(group, member);
  EXPECT_EQ(NodeSettingsJson(merged), Parse(R"({
    "image": "m:1", "resources": {"limits": {"memory": "1Gi"}}, "priorityClassName": "low", "serviceAccountName": "m",
    "parameters": {"hz": "50", "maxmemory-policy": "noeviction"}, "podLabels": {"a": "1", "b": "2"},
    "nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "k"}]})"));
}

TEST(Conditions, TheTransitionTimeMovesOnlyWhenTheStatusFlips) {
  Conditions conditions;
  conditions.Set(kReady, Truth::kFalse, reason::kCreating, "a", 1, WallTime{1'000'500});
  conditions.Set(kReady, Truth::kFalse, reason::kUnreachable, "b", 2, WallTime{2'000'000});
  EXPECT_EQ(conditions.Find(kReady)->last_transition.unix_ms, 1'000'000);
  EXPECT_EQ(conditions.Find(kReady)->message, "b");
  EXPECT_EQ(conditions.Find(kReady)->observed_generation, 2);
  conditions.Set(kReady, Truth::kTrue, reason::kAvailable, "c", 2, WallTime{3'000'000});
  EXPECT_EQ(conditions.Find(kReady)->last_transition.unix_ms, 3'000'000);
  EXPECT_TRUE(conditions.IsTrue(kReady));
  EXPECT_EQ(ParseConditions(ConditionsJson(conditions)), conditions);
}

TEST(Meta, KeepsOnlyOurAnnotations) {
  const ObjectMeta meta = ParseMeta(Parse(R"({"metadata": {"name": "x", "annotations": {
    "kubectl.kubernetes.io/last-applied-configuration": "{}", "cache.understudy.dev/owner-uid": "u"},
    "finalizers": ["a", "cache.understudy.dev/membership"], "deletionTimestamp": "2026-01-01T00:00:00Z"}})"));
  EXPECT_THAT(meta.annotations, ElementsAre(Pair("cache.understudy.dev/owner-uid", "u")));
  EXPECT_TRUE(meta.HasFinalizer());
  EXPECT_TRUE(meta.deleted.has_value());
}

struct DurationCase {
  const char* text;
  int64_t ms;  // -1: refused
};
class Durations : public ::testing::TestWithParam<DurationCase> {};
TEST_P(Durations, AreReadAsCelReadsThem) {
  const auto parsed = ParseDuration(GetParam().text);
  EXPECT_EQ(parsed.ok() ? parsed->ms() : -1, GetParam().ms) << GetParam().text;
}
INSTANTIATE_TEST_SUITE_P(Table, Durations,
                         ::testing::Values(DurationCase{"500ms", 500}, DurationCase{"1.5s", 1500},
                                           DurationCase{"1m30s", 90'000}, DurationCase{"1h", 3'600'000},
                                           DurationCase{"0.25h", 900'000}, DurationCase{"", -1}, DurationCase{"5", -1},
                                           DurationCase{"s", -1}, DurationCase{"1d", -1}, DurationCase{"-1s", -1},
                                           DurationCase{"99999999999999999999h", -1},
                                           DurationCase{"900000h900000h900000h900000h", -1}));

TEST(Durations, AreWrittenInTheirShortestForm) {
  EXPECT_EQ(FormatDuration(Milliseconds(500)), "500ms");
  EXPECT_EQ(FormatDuration(Milliseconds(1500)), "1.5s");
  EXPECT_EQ(FormatDuration(Milliseconds(1050)), "1.05s");
  EXPECT_EQ(FormatDuration(Seconds(10)), "10s");
  EXPECT_EQ(FormatDuration(Seconds(120)), "2m");
  EXPECT_EQ(FormatDuration(Seconds(90)), "90s");
  EXPECT_EQ(FormatDuration(Seconds(3600)), "1h");
}

struct QuantityCase {
  const char* text;
  int64_t millis;
};
class Quantities : public ::testing::TestWithParam<QuantityCase> {};
TEST_P(Quantities, AreReadAsKubernetesReadsThem) {
  const auto parsed = ParseQuantityMillis(GetParam().text);
  EXPECT_EQ(parsed.ok() ? *parsed : -1, GetParam().millis) << GetParam().text;
}
INSTANTIATE_TEST_SUITE_P(Table, Quantities,
                         ::testing::Values(QuantityCase{"1", 1000}, QuantityCase{"500m", 500},
                                           QuantityCase{"0.5", 500}, QuantityCase{"1Ki", 1'024'000},
                                           QuantityCase{"512Mi", 536'870'912'000}, QuantityCase{"1.5Gi", 1'610'612'736'000},
                                           QuantityCase{"2e3", 2'000'000}, QuantityCase{"1k", 1'000'000},
                                           QuantityCase{"", -1}, QuantityCase{"x", -1}, QuantityCase{"1Xi", -1},
                                           QuantityCase{"9999999Pi", -1}));

}  // namespace
}  // namespace understudy::api
