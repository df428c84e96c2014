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

// The kubelet puts variables in for $(NAME) and makes $ of $$; a value is taken as it stands.
std::string Escaped(const std::string& value) {
  std::string out;
  for (const char c : value) out += c == '$' ? "$$" : std::string(1, c);
  return out;
}

std::string Unescaped(const std::string& value) {
  std::string out;
  for (size_t i = 0; i < value.size(); ++i) {
    out += value[i];
    if (value[i] == '$' && i + 1 < value.size() && value[i + 1] == '$') ++i;
  }
  return out;
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
    args.push_back(Escaped(value));
  }
  return args;
}

// Without the values of the user, see SetValues.
Json Container() {
  return {
      {"name", api::kCacheContainer},
      {"imagePullPolicy", "IfNotPresent"},
      {"command", {"understudy-node"}},
      {"args", Arguments({})},
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
}

void SetValues(const NodeInput& input, Json* container) {
  (*container)["image"] = input.image;
  (*container)["args"] = Arguments(input.settings);
  if (!input.settings.resources.is_null()) (*container)["resources"] = input.settings.resources;
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

// The spread constraint counts the Pods that are there, so the first one goes anywhere: also where a member that comes
// later has to be.
void AddZonesToAvoid(const std::vector<std::string>& zones, Json* affinity) {
  Json& terms = (*affinity)["nodeAffinity"][kPreferred];
  if (!terms.is_array()) terms = Json::array();
  terms.push_back({{"weight", 100},
                   {"preference",
                    {{"matchExpressions",
                      Json::array({{{"key", kZoneKey}, {"operator", "NotIn"}, {"values", zones}}})}}}});
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

// The template of the node by itself, without image, resources and parameters.
Json NodeTemplate(const NodeInput& input) {
  const api::NodeSettings& settings = input.settings;
  Json labels = Json::object();
  for (const auto& [key, value] : settings.pod_labels) labels[key] = value;
  labels.update(CommonLabels(input.node->meta.name, "cache-node"));
  labels[api::kClusterLabel] = input.node->meta.name;
  Json annotations = Json::object();
  for (const auto& [key, value] : settings.pod_annotations) annotations[key] = value;

  Json spec = {
      {"containers", Json::array({Container()})},
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
      // Longer than the node's shutdown-timeout (node/config/config.h), so that the kubelet's SIGKILL never
      // comes while the primary role moves away.
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
  if (settings.service_account_name) {
    // The API server copies each into the other: only who has set both can take the account away again.
    spec["serviceAccountName"] = spec["serviceAccount"] = *settings.service_account_name;
  }
  return {{"metadata", {{"labels", std::move(labels)}, {"annotations", std::move(annotations)}}},
          {"spec", std::move(spec)}};
}

// All but `rest`.
TemplateValues ValuesFor(const NodeInput& input) {
  TemplateValues values;
  values.image = input.image;
  for (const char* which : {"limits", "requests"}) {
    const Json& list = JsonAt(input.settings.resources, which);
    if (!list.is_object() || list.empty()) continue;
    values.resources += (values.resources.empty() ? "" : "; ") + std::string(which);
    for (const auto& [name, value] : list.items()) values.resources += " " + name + "=" + api::IntOrString(value);
  }
  values.parameters = ParametersText(input.settings.parameters);
  return values;
}

// Of the template that the node has without its group's settings.
std::string AloneHash(const NodeInput& input) {
  NodeInput alone = input;
  alone.settings = input.node->spec.node;
  alone.image = input.image_alone;
  if (!api::ValidateSettings(alone.settings).ok()) return "";
  Json pod_template = NodeTemplate(alone);
  SetValues(alone, &pod_template["spec"]["containers"][0]);
  return HashOf(pod_template);
}

const Json& TemplateAnnotations(const Json& stateful_set) {
  return JsonAt(JsonAt(JsonAt(JsonAt(stateful_set, "spec"), "template"), "metadata"), "annotations");
}

}  // namespace

std::optional<TemplateValues> ParseTemplateValues(const std::string& annotation) {
  const auto json = ParseJson(annotation);
  if (!json.ok() || !json->is_object()) return std::nullopt;
  return TemplateValues{JsonString(*json, "image"), JsonString(*json, "resources"), JsonString(*json, "parameters"),
                        JsonString(*json, "rest")};
}

TemplateValues ValuesOf(const Json& stateful_set) {
  const std::string text = JsonString(TemplateAnnotations(stateful_set), api::kTemplateValuesAnnotation);
  return ParseTemplateValues(text).value_or(TemplateValues{});
}

std::string ParametersText(const std::map<std::string, std::string>& parameters) {
  std::string text;
  for (const auto& [name, value] : parameters) text += (text.empty() ? "" : " ") + name + "=" + value;
  return text;
}

std::map<std::string, std::string> ParseParameters(const std::string& text) {
  std::map<std::string, std::string> parameters;
  std::string* value = nullptr;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    begin = end + 1;
    const size_t name = word.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.-");
    if (name != std::string::npos && name > 0 && word[name] == '=') {
      value = &(parameters[word.substr(0, name)] = word.substr(name + 1));
    } else if (value != nullptr) {
      *value += " " + word;  // a value of several words
    }
  }
  return parameters;
}

std::string Shortened(std::string text) {
  constexpr size_t kLongest = 200;
  constexpr size_t kHash = 20;
  if (text.size() <= kLongest + kHash) return text;  // what was shortened stays as it is
  size_t end = kLongest;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // not inside a character
  return text.substr(0, end) + "... " + HashOf(Json(text));
}

std::vector<std::pair<std::string, std::string>> ArgumentsOf(const Json& stateful_set) {
  std::vector<std::pair<std::string, std::string>> arguments;
  const Json& spec = JsonAt(JsonAt(JsonAt(stateful_set, "spec"), "template"), "spec");
  const Json& containers = JsonAt(spec, "containers");
  if (!containers.is_array() || containers.empty()) return arguments;
  const Json& args = JsonAt(containers.at(0), "args");
  for (size_t i = 0; i + 1 < args.size(); i += 2) {
    arguments.emplace_back(args.at(i).get<std::string>().substr(2), Unescaped(args.at(i + 1).get<std::string>()));
  }
  return arguments;
}

std::string TemplateHashOf(const Json& stateful_set) {
  return JsonString(TemplateAnnotations(stateful_set), api::kTemplateHashAnnotation);
}

Json PodOf(const Json& stateful_set) {
  const Json& meta = JsonAt(stateful_set, "metadata");
  const Json& spec = JsonAt(stateful_set, "spec");
  const std::string set = JsonString(meta, "name"), name = PodName(set);
  Json pod = JsonAt(spec, "template");
  pod["apiVersion"] = "v1";
  pod["kind"] = "Pod";
  pod["metadata"]["name"] = name;
  pod["metadata"]["namespace"] = JsonString(meta, "namespace");
  pod["metadata"]["labels"].update({{"statefulset.kubernetes.io/pod-name", name}, {"apps.kubernetes.io/pod-index", "0"}});
  pod["metadata"]["ownerReferences"] = Json::array({{{"apiVersion", "apps/v1"},
                                                     {"kind", "StatefulSet"},
                                                     {"name", set},
                                                     {"uid", JsonString(meta, "uid")},
                                                     {"controller", true}}});
  pod["spec"]["hostname"] = name;
  pod["spec"]["subdomain"] = JsonString(spec, "serviceName");
  return pod;
}

Result<Json> BuildStatefulSet(const NodeInput& input) {
  const api::CacheNode& node = *input.node;
  RETURN_IF_ERROR(api::ValidateSettings(input.settings));
  Json pod_template = NodeTemplate(input);
  TemplateValues values = ValuesFor(input);
  values.rest = HashOf(pod_template);
  SetValues(input, &pod_template["spec"]["containers"][0]);
  // What depends on the group only matters to the scheduler and comes after the hash, so that joining a group, or
  // another pin of another member, makes no template outdated.
  const std::string hash = HashOf(pod_template);
  Json& annotations = pod_template["metadata"]["annotations"];
  annotations[api::kTemplateHashAnnotation] = hash;
  annotations[api::kTemplateAloneAnnotation] = AloneHash(input);
  annotations[api::kTemplateValuesAnnotation] = Json{{"image", values.image},
                                                     {"resources", values.resources},
                                                     {"parameters", values.parameters},
                                                     {"rest", values.rest}}
                                                    .dump();

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
      if (!input.avoid_zones.empty()) AddZonesToAvoid(input.avoid_zones, &pod_template["spec"]["affinity"]);
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
