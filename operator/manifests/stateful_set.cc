// The StatefulSet of one node: one replica, so that failures, images and zones are a node's own, and
// updateStrategy OnDelete, so that only the operator decides when a process ends.
#include <algorithm>

#include "operator/api/builtins.h"
#include "operator/api/validate.h"
#include "operator/manifests/labels.h"
#include "operator/manifests/manifests.h"

namespace understudy::manifests {
namespace {

constexpr int kUser = 65532;  // of the image; any other than 0 works, /data is group-writable
constexpr const char* kZoneKey = "topology.kubernetes.io/zone";
constexpr const char* kRequired = "requiredDuringSchedulingIgnoredDuringExecution";
constexpr const char* kPreferred = "preferredDuringSchedulingIgnoredDuringExecution";

Json FieldEnv(const char* name, const char* path) {
  return {{"name", name}, {"valueFrom", {{"fieldRef", {{"apiVersion", "v1"}, {"fieldPath", path}}}}}};
}

Json Probe(const char* path, int period_s, int timeout_s, int failures) {
  return {{"httpGet", {{"path", path}, {"port", "admin"}, {"scheme", "HTTP"}}},
          {"periodSeconds", period_s},
          {"timeoutSeconds", timeout_s},
          {"failureThreshold", failures}};
}

// What the node is started with. Derived values stand only where the user named none: maxmemory leaves a
// quarter of the memory limit for output buffers, the replication backlog and copies.
Json Arguments(const api::NodeSettings& settings) {
  Json args = {"--port",  std::to_string(kDataPort), "--admin-port",       std::to_string(kAdminPort),
               "--dir",   "/data",                   "--operator-key-dir", "/etc/understudy"};
  const auto derive = [&](const char* name, int64_t value) {
    if (value <= 0 || settings.parameters.contains(name)) return;
    args.push_back(std::string("--") + name);
    args.push_back(std::to_string(value));
  };
  derive("maxmemory", api::LimitMillis(settings.resources, "memory") / 1000 / 4 * 3);
  derive("workers", (api::LimitMillis(settings.resources, "cpu") + 999) / 1000);
  for (const auto& [name, value] : settings.parameters) {
    args.push_back("--" + name);
    args.push_back(value);
  }
  return args;
}

Json Container(const NodeInput& input) {
  Json container = {
      {"name", api::kCacheContainer},
      {"image", input.image},
      {"imagePullPolicy", "IfNotPresent"},
      {"command", {"understudy-node"}},
      {"args", Arguments(input.settings)},
      {"ports", Json::array({{{"name", "redis"}, {"containerPort", kDataPort}, {"protocol", "TCP"}},
                             {{"name", "admin"}, {"containerPort", kAdminPort}, {"protocol", "TCP"}}})},
      {"env", Json::array({FieldEnv("POD_UID", "metadata.uid"), FieldEnv("POD_IP", "status.podIP"),
                           FieldEnv("NODE_NAME", "spec.nodeName")})},
      // A busy node never looks dead: its admin thread answers. /livez itself allows 120 s without a turn.
      {"livenessProbe", Probe("/livez", 10, 5, 3)},
      {"readinessProbe", Probe("/readyz", 1, 1, 2)},
      // The process writes its incarnation there: the kubelet's word of its death (FAILOVER.md section 4).
      {"terminationMessagePath", "/dev/termination-log"},
      {"terminationMessagePolicy", "FallbackToLogsOnError"},
      {"securityContext",
       {{"allowPrivilegeEscalation", false},
        {"readOnlyRootFilesystem", true},
        {"capabilities", {{"drop", {"ALL"}}}}}},
      {"volumeMounts", Json::array({{{"name", "data"}, {"mountPath", "/data"}},
                                    {{"name", "operator-key"},
                                     {"mountPath", "/etc/understudy"},
                                     {"readOnly", true}}})}};
  if (!input.settings.resources.is_null()) container["resources"] = input.settings.resources;
  return container;
}

// The user's tolerations and, unless the user speaks of these keys, 30 s on a lost Node: the group has
// failed over long before, and the replacement should not wait for the default 5 minutes.
Json Tolerations(const api::NodeSettings& settings) {
  Json list = settings.tolerations.is_array() ? settings.tolerations : Json::array();
  for (const char* key : {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}) {
    const bool spoken_of = std::any_of(list.begin(), list.end(), [key](const Json& toleration) {
      return JsonString(toleration, "key") == key;
    });
    if (!spoken_of) {
      list.push_back(
          {{"key", key}, {"operator", "Exists"}, {"effect", "NoExecute"}, {"tolerationSeconds", 30}});
    }
  }
  return list;
}

// The user's affinity with availabilityZone as a further requirement: the terms of a node selector are
// alternatives, so it goes into each of them.
Json AffinityWithZone(const api::NodeSettings& settings, const std::string& zone) {
  Json affinity = settings.affinity.is_object() ? settings.affinity : Json::object();
  if (zone.empty()) return affinity;
  const Json expression = {{"key", kZoneKey}, {"operator", "In"}, {"values", {zone}}};
  Json& node_affinity = affinity["nodeAffinity"];
  Json terms = JsonAt(JsonAt(node_affinity, kRequired), "nodeSelectorTerms");
  if (!terms.is_array() || terms.empty()) terms = Json::array({Json::object()});
  for (Json& term : terms) {
    Json& expressions = term["matchExpressions"];
    if (!expressions.is_array()) expressions = Json::array();
    expressions.push_back(expression);
  }
  node_affinity[kRequired] = {{"nodeSelectorTerms", std::move(terms)}};
  return affinity;
}

Json GroupSelector(const std::string& group) { return {{"matchLabels", {{api::kGroupLabel, group}}}}; }

// Members keep away from each other's hosts where they can; added to what the user wants.
void AddHostSpread(const std::string& group, Json* affinity) {
  Json& terms = (*affinity)["podAntiAffinity"][kPreferred];
  if (!terms.is_array()) terms = Json::array();
  terms.push_back({{"weight", 100},
                   {"podAffinityTerm",
                    {{"topologyKey", "kubernetes.io/hostname"}, {"labelSelector", GroupSelector(group)}}}});
}

// nodeAffinityPolicy Ignore: a Pod that is pinned to one zone would otherwise see that zone alone and find
// itself well spread.
Json ZoneSpread(const std::string& group, api::MultiAz multi_az) {
  Json constraint = {{"topologyKey", kZoneKey},
                     {"maxSkew", 1},
                     {"nodeTaintsPolicy", "Honor"},
                     {"nodeAffinityPolicy", "Ignore"},
                     {"labelSelector", GroupSelector(group)}};
  if (multi_az == api::MultiAz::kRequired) {
    constraint["whenUnsatisfiable"] = "DoNotSchedule";
    constraint["minDomains"] = 2;
  } else {
    constraint["whenUnsatisfiable"] = "ScheduleAnyway";
  }
  return Json::array({std::move(constraint)});
}

// The template of the node by itself; what depends on its group only matters to the scheduler and comes
// after the hash, so that joining a group makes no template outdated.
Json NodeTemplate(const NodeInput& input) {
  const api::NodeSettings& settings = input.settings;
  Json labels = Json::object();
  for (const auto& [key, value] : settings.pod_labels) labels[key] = value;
  labels.update(CommonLabels(input.node->meta.name, "cache-node"));
  labels[api::kClusterLabel] = input.node->meta.name;
  Json annotations = Json::object();
  for (const auto& [key, value] : settings.pod_annotations) annotations[key] = value;

  Json spec = {
      {"containers", Json::array({Container(input)})},
      {"volumes", Json::array({{{"name", "data"}, {"emptyDir", Json::object()}},
                               {{"name", "operator-key"}, {"configMap", {{"name", kConfigMapName}}}}})},
      {"securityContext",
       {{"runAsNonRoot", true},
        {"runAsUser", kUser},
        {"runAsGroup", kUser},
        {"fsGroup", kUser},
        {"fsGroupChangePolicy", "OnRootMismatch"},
        {"seccompProfile", {{"type", "RuntimeDefault"}}}}},
      {"tolerations", Tolerations(settings)},
      {"terminationGracePeriodSeconds", 30},
      {"enableServiceLinks", false},
      {"automountServiceAccountToken", false}};
  if (Json affinity = AffinityWithZone(settings, input.node->spec.availability_zone); !affinity.empty()) {
    spec["affinity"] = std::move(affinity);
  }
  if (!settings.node_selector.empty()) {
    spec["nodeSelector"] = Json::object();
    for (const auto& [key, value] : settings.node_selector) spec["nodeSelector"][key] = value;
  }
  if (settings.priority_class_name) spec["priorityClassName"] = *settings.priority_class_name;
  return {{"metadata", {{"labels", std::move(labels)}, {"annotations", std::move(annotations)}}},
          {"spec", std::move(spec)}};
}

}  // namespace

Result<Json> BuildStatefulSet(const NodeInput& input) {
  const api::CacheNode& node = *input.node;
  RETURN_IF_ERROR(api::ValidateSettings(input.settings));
  Json pod_template = NodeTemplate(input);
  pod_template["metadata"]["annotations"][api::kTemplateHashAnnotation] = HashOf(pod_template);

  Json labels = CommonLabels(node.meta.name, "cache-node");
  labels[api::kClusterLabel] = node.meta.name;
  if (!input.group.empty()) {
    labels[api::kGroupLabel] = input.group;
    pod_template["metadata"]["labels"][api::kGroupLabel] = input.group;
    if (input.pool) {
      labels[api::kPoolLabel] = input.group;
      pod_template["metadata"]["labels"][api::kPoolLabel] = input.group;
    }
    AddHostSpread(input.group, &pod_template["spec"]["affinity"]);
    if (input.multi_az != api::MultiAz::kDisabled) {
      pod_template["spec"]["topologySpreadConstraints"] = ZoneSpread(input.group, input.multi_az);
    }
  }
  return WithHash(
      {{"apiVersion", "apps/v1"},
       {"kind", "StatefulSet"},
       {"metadata", ChildMeta(node.meta.name, node.meta, api::NodeKindName(node.kind), std::move(labels))},
       {"spec",
        {{"replicas", 1},
         {"serviceName", HeadlessName(node.meta.name)},
         {"podManagementPolicy", "Parallel"},
         {"updateStrategy", {{"type", "OnDelete"}}},
         {"revisionHistoryLimit", 2},
         {"selector", {{"matchLabels", {{api::kClusterLabel, node.meta.name}}}}},
         {"template", std::move(pod_template)}}}});
}

}  // namespace understudy::manifests
