#include "operator/api/cache_node.h"

namespace understudy::api {
namespace {

void Put(Json* object, const char* key, const std::string& value) {
  if (!value.empty()) (*object)[key] = value;
}

Json StringMapJson(const std::map<std::string, std::string>& map) {
  Json object = Json::object();
  for (const auto& [key, value] : map) object[key] = value;
  return object;
}

std::optional<std::string> OptionalString(const Json& object, const char* key) {
  const Json& value = JsonAt(object, key);
  if (!value.is_string()) return std::nullopt;
  return value.get<std::string>();
}

// `over` wins key by key.
std::map<std::string, std::string> MergeMaps(std::map<std::string, std::string> base,
                                             const std::map<std::string, std::string>& over) {
  for (const auto& [key, value] : over) base[key] = value;
  return base;
}

CacheNodeStatus ParseStatus(const Json& json) {
  CacheNodeStatus status;
  status.observed_generation = JsonInt(json, "observedGeneration", -1);
  status.phase = JsonString(json, "phase", "creating");
  status.role = JsonString(json, "role");
  status.replication_group_id = JsonString(json, "replicationGroupId");
  status.group_uid = JsonString(json, "groupUid");
  status.moving_to = JsonString(json, "movingTo");
  status.epoch = JsonInt(json, "epoch");
  status.incarnation = JsonString(json, "incarnation");
  status.dataset = JsonString(json, "dataset");
  status.availability_zone = JsonString(json, "availabilityZone");
  status.endpoint = JsonString(json, "endpoint");
  status.lag = JsonString(json, "lag");
  status.effective_image = JsonString(json, "effectiveImage");
  status.effective_maintenance_window = JsonString(json, "effectivePreferredMaintenanceWindow");
  status.pending = JsonString(json, "pending");
  status.pending_modified_values = ParsePendingModifications(JsonAt(json, "pendingModifiedValues"));
  status.conditions = ParseConditions(JsonAt(json, "conditions"));
  return status;
}

}  // namespace

std::string_view NodeKindName(NodeKind kind) {
  return kind == NodeKind::kCacheCluster ? "CacheCluster" : "ReadReplica";
}

std::string_view NodeKindPlural(NodeKind kind) {
  return kind == NodeKind::kCacheCluster ? "cacheclusters" : "readreplicas";
}

NodeSettings ParseNodeSettings(const Json& node) {
  NodeSettings settings;
  settings.image = OptionalString(node, "image");
  settings.resources = JsonAt(node, "resources");
  const Json& parameters = JsonAt(node, "parameters");
  if (parameters.is_object()) {
    for (const auto& [key, value] : parameters.items()) settings.parameters[key] = IntOrString(value);
  }
  settings.node_selector = ParseStringMap(JsonAt(node, "nodeSelector"));
  settings.tolerations = JsonAt(node, "tolerations");
  settings.affinity = JsonAt(node, "affinity");
  settings.priority_class_name = OptionalString(node, "priorityClassName");
  settings.service_account_name = OptionalString(node, "serviceAccountName");
  settings.pod_labels = ParseStringMap(JsonAt(node, "podLabels"));
  settings.pod_annotations = ParseStringMap(JsonAt(node, "podAnnotations"));
  return settings;
}

Json NodeSettingsJson(const NodeSettings& settings) {
  Json node = Json::object();
  if (settings.image) node["image"] = *settings.image;
  if (!settings.resources.is_null()) node["resources"] = settings.resources;
  if (!settings.parameters.empty()) node["parameters"] = StringMapJson(settings.parameters);
  if (!settings.node_selector.empty()) node["nodeSelector"] = StringMapJson(settings.node_selector);
  if (!settings.tolerations.is_null()) node["tolerations"] = settings.tolerations;
  if (!settings.affinity.is_null()) node["affinity"] = settings.affinity;
  if (settings.priority_class_name) node["priorityClassName"] = *settings.priority_class_name;
  if (settings.service_account_name) node["serviceAccountName"] = *settings.service_account_name;
  if (!settings.pod_labels.empty()) node["podLabels"] = StringMapJson(settings.pod_labels);
  if (!settings.pod_annotations.empty()) node["podAnnotations"] = StringMapJson(settings.pod_annotations);
  return node;
}

NodeSettings MergeSettings(const NodeSettings& group, const NodeSettings& member) {
  NodeSettings merged = group;
  if (member.image) merged.image = member.image;
  if (!member.resources.is_null()) merged.resources = member.resources;
  merged.parameters = MergeMaps(std::move(merged.parameters), member.parameters);
  if (!member.node_selector.empty()) merged.node_selector = member.node_selector;
  if (!member.tolerations.is_null()) merged.tolerations = member.tolerations;
  if (!member.affinity.is_null()) merged.affinity = member.affinity;
  if (member.priority_class_name) merged.priority_class_name = member.priority_class_name;
  if (member.service_account_name) merged.service_account_name = member.service_account_name;
  merged.pod_labels = MergeMaps(std::move(merged.pod_labels), member.pod_labels);
  merged.pod_annotations = MergeMaps(std::move(merged.pod_annotations), member.pod_annotations);
  return merged;
}

ObjectRef CacheNode::Ref() const {
  return {std::string(kApiVersion), std::string(NodeKindName(kind)), meta.ns, meta.name, meta.uid,
          meta.resource_version};
}

Result<CacheNode> ParseCacheNode(NodeKind kind, const Json& document) {
  CacheNode node;
  node.kind = kind;
  node.meta = ParseMeta(document);
  if (node.meta.name.empty()) return Invalid(std::string(NodeKindName(kind)) + " without metadata.name");
  const Json& spec = JsonAt(document, "spec");
  node.spec.replication_group_id = JsonString(spec, "replicationGroupId");
  node.spec.promoted_from = JsonString(spec, "promotedFrom");
  node.spec.discard_existing_data = JsonString(spec, "discardExistingData");
  node.spec.availability_zone = JsonString(spec, "availabilityZone");
  node.spec.apply_immediately = OptionalBool(spec, "applyImmediately");
  node.spec.preferred_maintenance_window = JsonString(spec, "preferredMaintenanceWindow");
  node.spec.node = ParseNodeSettings(JsonAt(spec, "node"));
  node.status = ParseStatus(JsonAt(document, "status"));
  return node;
}

Json CacheNodeStatusJson(const CacheNodeStatus& status) {
  Json json = {{"observedGeneration", status.observed_generation}, {"phase", status.phase}};
  Put(&json, "role", status.role);
  Put(&json, "replicationGroupId", status.replication_group_id);
  Put(&json, "groupUid", status.group_uid);
  Put(&json, "movingTo", status.moving_to);
  if (status.epoch != 0) json["epoch"] = status.epoch;
  Put(&json, "incarnation", status.incarnation);
  Put(&json, "dataset", status.dataset);
  Put(&json, "availabilityZone", status.availability_zone);
  Put(&json, "endpoint", status.endpoint);
  Put(&json, "lag", status.lag);
  Put(&json, "effectiveImage", status.effective_image);
  Put(&json, "effectivePreferredMaintenanceWindow", status.effective_maintenance_window);
  Put(&json, "pending", status.pending);
  if (!status.pending_modified_values.empty()) {
    json["pendingModifiedValues"] = PendingModificationsJson(status.pending_modified_values);
  }
  json["conditions"] = ConditionsJson(status.conditions);
  return json;
}

}  // namespace understudy::api
