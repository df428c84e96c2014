#include "operator/api/builtins.h"

#include <openssl/evp.h>

#include <algorithm>
#include <utility>

namespace understudy::api {
namespace {

Result<ObjectMeta> MetaOf(const Json& document, const char* kind) {
  ObjectMeta meta = ParseMeta(document);
  if (meta.name.empty()) return Invalid(std::string(kind) + " without metadata.name");
  return meta;
}

const Json& Items(const Json& object, const char* key) {
  static const Json kEmpty = Json::array();
  const Json& value = JsonAt(object, key);
  return value.is_array() ? value : kEmpty;
}

// The item of a list with this name, or null.
const Json& Named(const Json& list, const char* name) {
  static const Json kNull;
  for (const Json& item : list) {
    if (JsonString(item, "name") == name) return item;
  }
  return kNull;
}

const Json& ConditionOf(const Json& status, const char* type) {
  static const Json kNull;
  for (const Json& condition : Items(status, "conditions")) {
    if (JsonString(condition, "type") == type) return condition;
  }
  return kNull;
}

std::optional<Termination> ParseTermination(const Json& state) {
  const Json& terminated = JsonAt(state, "terminated");
  if (!terminated.is_object()) return std::nullopt;
  // The node ends the line that it writes; the kubelet keeps the end.
  std::string message = JsonString(terminated, "message");
  while (!message.empty() && (message.back() == '\n' || message.back() == ' ')) message.pop_back();
  return Termination{std::move(message), static_cast<int>(JsonInt(terminated, "exitCode")),
                     JsonString(terminated, "reason")};
}

std::vector<std::string> Strings(const Json& list) {
  std::vector<std::string> strings;
  for (const Json& item : list) {
    if (item.is_string()) strings.push_back(item.get<std::string>());
  }
  return strings;
}

// Base64 as Kubernetes writes it; what is not base64 decodes to nothing.
std::string DecodeBase64(const std::string& text) {
  if (text.empty() || text.size() % 4 != 0) return "";
  std::string bytes(text.size() / 4 * 3, '\0');
  const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
  if (length < 0) return "";
  size_t padding = 0;
  if (text.ends_with("==")) {
    padding = 2;
  } else if (text.ends_with("=")) {
    padding = 1;
  }
  bytes.resize(static_cast<size_t>(length) - padding);
  return bytes;
}

// There are thousands of Nodes: nothing that no Pod of ours asks for, and no room for "none".
std::vector<std::pair<std::string, int64_t>> ParseAllocatable(const Json& list) {
  std::vector<std::pair<std::string, int64_t>> allocatable;
  if (!list.is_object()) return allocatable;
  for (const auto& [name, value] : list.items()) {
    const auto amount = ParseQuantityMillis(IntOrString(value));
    const bool extended = name.find('/') != std::string::npos;
    if (name == "pods" || (amount.ok() && *amount == 0 && !extended)) continue;
    allocatable.emplace_back(name, amount.ok() ? *amount : INT64_MAX);  // what can't be read is enough
  }
  allocatable.shrink_to_fit();
  return allocatable;
}

}  // namespace

Result<Pod> ParsePod(const Json& document) {
  auto meta = MetaOf(document, "Pod");
  if (!meta.ok()) return meta.status();
  const Json& spec = JsonAt(document, "spec");
  const Json& status = JsonAt(document, "status");
  Pod pod;
  pod.meta = *std::move(meta);
  pod.node_name = JsonString(spec, "nodeName");
  pod.ip = JsonString(status, "podIP");
  pod.phase = JsonString(status, "phase");
  if (!ParseRfc3339(JsonString(status, "startTime"), &pod.accepted_at)) pod.accepted_at = {};
  pod.ready = JsonString(ConditionOf(status, "Ready"), "status") == "True";
  pod.disruption_target = JsonString(ConditionOf(status, "DisruptionTarget"), "status") == "True";
  const Json& scheduled = ConditionOf(status, "PodScheduled");
  pod.unschedulable = JsonString(scheduled, "status") == "False";
  if (pod.unschedulable) pod.scheduler_message = JsonString(scheduled, "message");
  pod.image = JsonString(Named(Items(spec, "containers"), kCacheContainer), "image");
  pod.template_hash = pod.meta.Annotation(kTemplateHashAnnotation);

  const Json& container = Named(Items(status, "containerStatuses"), kCacheContainer);
  const Json& state = JsonAt(container, "state");
  pod.running = JsonAt(state, "running").is_object();
  pod.waiting_reason = JsonString(JsonAt(state, "waiting"), "reason");
  pod.waiting_message = JsonString(JsonAt(state, "waiting"), "message");
  pod.restarts = static_cast<int>(JsonInt(container, "restartCount"));
  pod.terminated = ParseTermination(state);
  pod.last_terminated = ParseTermination(JsonAt(container, "lastState"));
  return pod;
}

bool Node::OutOfService() const {
  return std::any_of(taints.begin(), taints.end(), [](const Taint& taint) {
    return taint.key == "node.kubernetes.io/out-of-service";
  });
}

bool Node::TakesTheSame(const Node& other) const {
  return unschedulable == other.unschedulable && meta.name == other.meta.name && taints == other.taints &&
         allocatable == other.allocatable && meta.labels == other.meta.labels;
}

Result<Node> ParseNode(const Json& document) {
  auto meta = MetaOf(document, "Node");
  if (!meta.ok()) return meta.status();
  const Json& spec = JsonAt(document, "spec");
  Node node;
  node.meta = *std::move(meta);
  node.zone = node.meta.Label("topology.kubernetes.io/zone");
  const Json& status = JsonAt(document, "status");
  node.ready = JsonString(ConditionOf(status, "Ready"), "status") == "True";
  node.allocatable = ParseAllocatable(JsonAt(status, "allocatable"));
  node.unschedulable = JsonBool(spec, "unschedulable");
  for (const Json& taint : Items(spec, "taints")) {
    node.taints.push_back({JsonString(taint, "key"), JsonString(taint, "value"), JsonString(taint, "effect")});
  }
  return node;
}

Result<StatefulSet> ParseStatefulSet(const Json& document) {
  auto meta = MetaOf(document, "StatefulSet");
  if (!meta.ok()) return meta.status();
  const Json& spec = JsonAt(document, "spec");
  const Json& pod_template = JsonAt(spec, "template");
  StatefulSet set;
  set.meta = *std::move(meta);
  set.observed_generation = JsonInt(JsonAt(document, "status"), "observedGeneration");
  set.replicas = JsonInt(spec, "replicas", 1);
  set.image = JsonString(Named(Items(JsonAt(pod_template, "spec"), "containers"), kCacheContainer), "image");
  set.template_hash = ParseMeta(pod_template).Annotation(kTemplateHashAnnotation);
  set.update_strategy = JsonString(JsonAt(spec, "updateStrategy"), "type");
  set.service_name = JsonString(spec, "serviceName");
  return set;
}

Result<Service> ParseService(const Json& document) {
  auto meta = MetaOf(document, "Service");
  if (!meta.ok()) return meta.status();
  const Json& spec = JsonAt(document, "spec");
  Service service;
  service.meta = *std::move(meta);
  service.type = JsonString(spec, "type");
  service.cluster_ip = JsonString(spec, "clusterIP");
  service.ip_families = Strings(Items(spec, "ipFamilies"));
  service.selector = ParseStringMap(JsonAt(spec, "selector"));
  for (const Json& port : Items(spec, "ports")) {
    service.ports.push_back({JsonString(port, "name"), JsonInt(port, "port")});
  }
  service.publish_not_ready = JsonBool(spec, "publishNotReadyAddresses");
  service.traffic_distribution = JsonString(spec, "trafficDistribution");
  return service;
}

Result<EndpointSlice> ParseEndpointSlice(const Json& document) {
  auto meta = MetaOf(document, "EndpointSlice");
  if (!meta.ok()) return meta.status();
  EndpointSlice slice;
  slice.meta = *std::move(meta);
  slice.service_name = slice.meta.Label("kubernetes.io/service-name");
  slice.managed_by = slice.meta.Label("endpointslice.kubernetes.io/managed-by");
  slice.address_type = JsonString(document, "addressType");
  for (const Json& item : Items(document, "endpoints")) {
    Endpoint endpoint;
    endpoint.addresses = Strings(Items(item, "addresses"));
    const Json& conditions = JsonAt(item, "conditions");
    endpoint.ready = JsonBool(conditions, "ready");
    endpoint.serving = JsonBool(conditions, "serving");
    endpoint.node_name = JsonString(item, "nodeName");
    endpoint.zone = JsonString(item, "zone");
    const Json& target = JsonAt(item, "targetRef");
    endpoint.target_name = JsonString(target, "name");
    endpoint.target_uid = JsonString(target, "uid");
    slice.endpoints.push_back(std::move(endpoint));
  }
  return slice;
}

Result<PodDisruptionBudget> ParsePodDisruptionBudget(const Json& document) {
  auto meta = MetaOf(document, "PodDisruptionBudget");
  if (!meta.ok()) return meta.status();
  const Json& spec = JsonAt(document, "spec");
  PodDisruptionBudget budget;
  budget.meta = *std::move(meta);
  budget.max_unavailable = IntOrString(JsonAt(spec, "maxUnavailable"));
  budget.unhealthy_policy = JsonString(spec, "unhealthyPodEvictionPolicy");
  return budget;
}

Result<ConfigMap> ParseConfigMap(const Json& document) {
  auto meta = MetaOf(document, "ConfigMap");
  if (!meta.ok()) return meta.status();
  return ConfigMap{*std::move(meta), ParseStringMap(JsonAt(document, "data"))};
}

Result<Secret> ParseSecret(const Json& document) {
  auto meta = MetaOf(document, "Secret");
  if (!meta.ok()) return meta.status();
  Secret secret;
  secret.meta = *std::move(meta);
  for (const auto& [key, value] : ParseStringMap(JsonAt(document, "data"))) {
    secret.data[key] = DecodeBase64(value);
  }
  return secret;
}

Result<Namespace> ParseNamespace(const Json& document) {
  auto meta = MetaOf(document, "Namespace");
  if (!meta.ok()) return meta.status();
  return Namespace{*std::move(meta), JsonString(JsonAt(document, "status"), "phase") == "Terminating"};
}

}  // namespace understudy::api
