// Projections of Kubernetes' own kinds.
#include "operator/api/builtins.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/api/validate.h"

namespace understudy::api {
namespace {

Json Parse(std::string_view text) {
  auto json = ParseJson(text);
  EXPECT_TRUE(json.ok()) << text;
  return *std::move(json);
}

TEST(PodProjection, KeepsTheKubeletsWordOfAnEndedProcess) {
  const auto pod = ParsePod(Parse(R"({
    "metadata": {"name": "a-0", "uid": "p", "annotations": {"cache.understudy.dev/template-hash": "h"}},
    "spec": {"nodeName": "n1", "containers": [{"name": "sidecar", "image": "s"}, {"name": "cache", "image": "i"}]},
    "status": {"phase": "Running", "podIP": "10.0.0.1", "startTime": "2026-01-01T00:00:00Z",
      "conditions": [{"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "True"}],
      "containerStatuses": [
        {"name": "sidecar", "state": {"terminated": {"message": "other"}}},
        {"name": "cache", "restartCount": 2, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
         "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "message": "cafe01\n"}}}]}})"));
  ASSERT_TRUE(pod.ok());
  EXPECT_EQ(pod->node_name, "n1");
  EXPECT_EQ(pod->ip, "10.0.0.1");
  EXPECT_EQ(pod->image, "i");
  EXPECT_EQ(pod->template_hash, "h");
  EXPECT_EQ(FormatRfc3339(pod->accepted_at), "2026-01-01T00:00:00Z");
  EXPECT_TRUE(pod->ready);
  EXPECT_TRUE(pod->running);
  EXPECT_FALSE(pod->terminated.has_value());
  EXPECT_EQ(pod->last_terminated, (Termination{"cafe01", 137, "OOMKilled"}));
  EXPECT_EQ(pod->restarts, 2);
}

TEST(PodProjection, KeepsTheSchedulersWords) {
  const auto pod = ParsePod(Parse(R"({"metadata": {"name": "a-0"}, "status": {"phase": "Pending", "conditions": [
    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
     "message": "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity."}]}})"));
  ASSERT_TRUE(pod.ok());
  EXPECT_EQ(pod->accepted_at.unix_ms, 0);
  EXPECT_TRUE(pod->unschedulable);
  EXPECT_THAT(pod->scheduler_message, ::testing::StartsWith("0/3 nodes"));
}

TEST(NodeProjection, KnowsWhatItsPodsMayRequest) {
  const auto node = ParseNode(Parse(R"({"metadata": {"name": "n1"}, "status": {"allocatable": {
    "cpu": "1930m", "memory": "3Gi", "pods": "110", "hugepages-2Mi": "0", "example.com/gpu": "0", "odd": "1 x"}}})"));
  ASSERT_TRUE(node.ok());
  EXPECT_THAT(node->allocatable,
              ::testing::UnorderedElementsAre(std::pair("cpu", 1930), std::pair("memory", 3 * (int64_t{1} << 30) * 1000),
                                              std::pair("example.com/gpu", 0), std::pair("odd", INT64_MAX)));
  EXPECT_TRUE(ParseNode(Parse(R"({"metadata": {"name": "n1"}})"))->allocatable.empty());
}

TEST(NodeProjection, AHeartbeatChangesNothingOfWhichPodsItTakes) {
  const Json document = Parse(R"({"metadata": {"name": "n1", "labels": {"disk": "ssd"}}, "spec": {"taints": [
    {"key": "k", "value": "v", "effect": "NoSchedule"}]}, "status": {"allocatable": {"cpu": "2"}}})");
  const auto changed = [&](const char* patch) {
    Json other = document;
    other.merge_patch(Parse(patch));
    return !ParseNode(document)->TakesTheSame(*ParseNode(other));
  };
  EXPECT_FALSE(changed(R"({"metadata": {"resourceVersion": "2", "annotations": {"a": "b"}}, "status": {
    "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "x"}], "images": ["i"], "capacity": {"cpu": "3"}}})"));
  EXPECT_TRUE(changed(R"({"metadata": {"labels": {"disk": "nvme"}}})"));
  EXPECT_TRUE(changed(R"({"spec": {"taints": [{"key": "k", "value": "v", "effect": "NoExecute"}]}})"));
  EXPECT_TRUE(changed(R"({"spec": {"unschedulable": true}})"));
  EXPECT_TRUE(changed(R"({"status": {"allocatable": {"cpu": "3"}}})"));
}

TEST(NodeProjection, KnowsZoneReadinessAndTheAdministratorsWord) {
  const auto node = ParseNode(Parse(R"({
    "metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "z1"}},
    "spec": {"unschedulable": true, "taints": [{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]},
    "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}})"));
  ASSERT_TRUE(node.ok());
  EXPECT_EQ(node->zone, "z1");
  EXPECT_FALSE(node->ready);
  EXPECT_TRUE(node->unschedulable);
  EXPECT_TRUE(node->OutOfService());
}

TEST(SecretProjection, DecodesBase64AndLeavesOutWhatIsNone) {
  const auto secret =
      ParseSecret(Parse(R"({"metadata": {"name": "s"}, "data": {"a": "aGVsbG8=", "b": "!!", "c": "AAE="}})"));
  ASSERT_TRUE(secret.ok());
  EXPECT_EQ(secret->data.at("a"), "hello");
  EXPECT_EQ(secret->data.at("b"), "");
  EXPECT_EQ(secret->data.at("c"), std::string("\0\1", 2));
}

TEST(Projections, RefuseADocumentWithoutAName) {
  const Json empty = Json::object();
  EXPECT_FALSE(ParsePod(empty).ok());
  EXPECT_FALSE(ParseNode(empty).ok());
  EXPECT_FALSE(ParseStatefulSet(empty).ok());
  EXPECT_FALSE(ParseService(empty).ok());
  EXPECT_FALSE(ParseEndpointSlice(empty).ok());
  EXPECT_FALSE(ParsePodDisruptionBudget(empty).ok());
  EXPECT_FALSE(ParseConfigMap(empty).ok());
  EXPECT_FALSE(ParseSecret(empty).ok());
  EXPECT_FALSE(ParseNamespace(empty).ok());
}

struct SettingsCase {
  const char* node;
  const char* sentence;  // part of it; "" = valid
};
class Settings : public ::testing::TestWithParam<SettingsCase> {};
TEST_P(Settings, AreRefusedWithOneSentence) {
  const Status status = ValidateSettings(ParseNodeSettings(Parse(GetParam().node)));
  if (std::string_view(GetParam().sentence).empty()) {
    EXPECT_TRUE(status.ok()) << status.ToString();
  } else {
    EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(GetParam().sentence));
  }
}
INSTANTIATE_TEST_SUITE_P(
    Table, Settings,
    ::testing::Values(
        SettingsCase{R"({})", ""},
        SettingsCase{R"({"resources": {"limits": {"memory": "16Mi"}}})", ""},
        SettingsCase{R"({"resources": {"requests": {"memory": 1}}})", ""},
        SettingsCase{R"({"resources": {"limits": {"memory": "1"}}})",
                     "node.resources.limits.memory (1) is less than a node can start with; it must be 16Mi at least"},
        SettingsCase{R"({"resources": {"limits": {"memory": "512m"}}})", "it must be 16Mi at least"},
        SettingsCase{R"({"resources": {"limits": {"memory": "16777215"}}})", "it must be 16Mi at least"},
        SettingsCase{R"({"resources": {"limits": {"memory": "1Gi"}}, "parameters": {"maxmemory": "512mb"}})", ""},
        SettingsCase{R"({"resources": {"limits": {"memory": "1Gi"}}, "parameters": {"maxmemory": "2gb"}})",
                     "maxmemory (2gb) is above the memory limit (1Gi)"},
        SettingsCase{R"({"parameters": {"maxmemory": "lots"}})", "it may be a number of bytes or a size"},
        SettingsCase{R"({"resources": {"requests": {"cpu": 2}, "limits": {"cpu": "500m"}}})",
                     "requests.cpu (2) is above its limit (500m)"},
        SettingsCase{R"({"resources": {"limits": {"memory": "1Zi"}}})", "is not a quantity"},
        SettingsCase{R"({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}}})",
                     "needs nodeSelectorTerms"},
        SettingsCase{R"({"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": {}}}})",
                     "must be a list"}));

}  // namespace
}  // namespace understudy::api
