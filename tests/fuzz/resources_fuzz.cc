// Objects of the API server: whatever a document holds, it is read, or refused with a sentence;
// what is written of it is read back as the same; and the objects that are built from it can be
// built.
#include "operator/api/builtins.h"
#include "operator/api/cache_node.h"
#include "operator/api/replication_group.h"
#include "operator/api/validate.h"
#include "operator/manifests/manifests.h"
#include "operator/plan/state_codec.h"
#include "tests/fuzz/fuzz.h"

namespace understudy {
namespace {

void Builtins(const Json& document) {
  (void)api::ParsePod(document).ok();
  (void)api::ParseNode(document).ok();
  (void)api::ParseStatefulSet(document).ok();
  (void)api::ParseService(document).ok();
  (void)api::ParseEndpointSlice(document).ok();
  (void)api::ParsePodDisruptionBudget(document).ok();
  (void)api::ParseConfigMap(document).ok();
  (void)api::ParseSecret(document).ok();
  (void)api::ParseNamespace(document).ok();
}

void Settings(const api::NodeSettings& settings) {
  const Json written = api::NodeSettingsJson(settings);
  CHECK(api::ParseNodeSettings(written) == settings);
  CHECK(api::MergeSettings(settings, settings) == settings);
}

void Node(api::NodeKind kind, const Json& document) {
  const Result<api::CacheNode> node = api::ParseCacheNode(kind, document);
  if (!node.ok()) return;
  Settings(node->spec.node);
  const Json status = api::CacheNodeStatusJson(node->status);
  Json copy = document;
  copy["status"] = status;
  const Result<api::CacheNode> again = api::ParseCacheNode(kind, copy);
  CHECK(again.ok() && again->status == node->status);
  CHECK(api::CacheNodeStatusJson(again->status) == status);
  if (!api::ValidateSettings(node->spec.node).ok()) return;
  manifests::NodeInput input{
      .node = &*node, .settings = node->spec.node, .image = "image", .image_alone = "image"};
  const Result<Json> set = manifests::BuildStatefulSet(input);
  if (!set.ok()) return;
  manifests::ValuesOf(*set);
  manifests::ArgumentsOf(*set);
  manifests::PodOf(*set);
  CHECK(!manifests::TemplateHashOf(*set).empty());
  manifests::BuildNodeService(*node);
  manifests::BuildHeadlessService(*node);
}

void Group(const Json& document) {
  const Result<api::ReplicationGroup> group = api::ParseReplicationGroup(document);
  if (!group.ok()) return;
  Settings(group->spec.node);
  const failover::GroupState state = plan::ParseGroupState(JsonAt(document, "status"));
  const Json status = plan::GroupStatusJson(group->status, state);
  Json copy = document;
  copy["status"] = status;
  const Result<api::ReplicationGroup> again = api::ParseReplicationGroup(copy);
  CHECK(again.ok() && again->status == group->status);
  CHECK(plan::ParseGroupState(status) == state);
  CHECK(plan::GroupStatusJson(again->status, plan::ParseGroupState(status)) == status);
  api::OperatorMadeNodeJson(api::NodeKind::kReadReplica, *group, "name", true);
  manifests::BuildPrimaryService(*group);
  manifests::BuildReaderService(*group, 34);
  manifests::BuildDisruptionBudget(*group, 1);
}

}  // namespace
}  // namespace understudy

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace understudy;
  if (size > 8192) return -1;
  const Result<Json> document = ParseJson({reinterpret_cast<const char*>(data), size});
  if (!document.ok()) return 0;
  Builtins(*document);
  if (!document->is_object()) return 0;
  Node(api::NodeKind::kCacheCluster, *document);
  Node(api::NodeKind::kReadReplica, *document);
  Group(*document);
  return 0;
}
