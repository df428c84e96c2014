// Kubernetes' own kinds, with only the fields that decisions read. The watch projects each document into
// one of these and drops the document.
//
// Pure values. Parse* are tolerant: an absent member is the default below; kInvalid only without a name.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/json.h"
#include "operator/api/meta.h"

namespace understudy::api {

// One ended run of the cache container, from `state.terminated` or `lastState.terminated`. The kubelet's
// word of a process's death (FAILOVER.md section 4): `message` is the incarnation that it wrote at start.
struct Termination {
  std::string message;
  int exit_code = 0;
  std::string reason;  // "OOMKilled", "Error", "Completed", ...
  bool operator==(const Termination&) const = default;
};

struct Pod {
  ObjectMeta meta;
  std::string node_name;
  std::string ip;
  std::string phase;  // Pending, Running, Succeeded, Failed, Unknown
  bool ready = false;                 // condition Ready
  bool disruption_target = false;     // condition DisruptionTarget: about to be evicted or deleted
  bool unschedulable = false;         // condition PodScheduled is False
  std::string scheduler_message;      // and what the scheduler says
  // The cache container.
  bool running = false;
  WallTime accepted_at;               // by its kubelet; 0 = not yet
  std::string waiting_reason;         // "ImagePullBackOff", "CrashLoopBackOff", ...
  std::string waiting_message;
  int restarts = 0;
  std::string image;                  // of the spec
  std::string template_hash;          // annotation of the template that it was made from
  std::optional<Termination> terminated;       // state
  std::optional<Termination> last_terminated;  // lastState
};
inline constexpr const char* kCacheContainer = "cache";
Result<Pod> ParsePod(const Json& document);

struct Taint {
  std::string key;
  std::string value;
  std::string effect;
  bool operator==(const Taint&) const = default;
};

struct Node {
  ObjectMeta meta;
  std::string zone;  // label topology.kubernetes.io/zone
  bool ready = false;
  bool unschedulable = false;
  std::vector<Taint> taints;
  // What all its Pods together may request, in thousandths, by name; without the number of Pods. Of Kubernetes' own
  // resources what is not listed is not there. Empty: it has not said.
  std::vector<std::pair<std::string, int64_t>> allocatable;
  // Whether `other` takes the same Pods, as far as the scheduler asks nobody but the Node.
  bool TakesTheSame(const Node& other) const;
  bool OutOfService() const;  // an administrator's word: taint node.kubernetes.io/out-of-service
};
Result<Node> ParseNode(const Json& document);

struct StatefulSet {
  ObjectMeta meta;
  int64_t observed_generation = 0;  // that its controller has seen
  int64_t replicas = 1;
  std::string image;          // of the cache container in the template
  std::string template_hash;  // annotation of the template
  std::string update_strategy;
  std::string service_name;
};
Result<StatefulSet> ParseStatefulSet(const Json& document);

struct ServicePort {
  std::string name;
  int64_t port = 0;
  bool operator==(const ServicePort&) const = default;
};

struct Service {
  ObjectMeta meta;
  std::string type;
  std::string cluster_ip;  // "None" = headless
  std::vector<std::string> ip_families;
  std::map<std::string, std::string> selector;
  std::vector<ServicePort> ports;
  bool publish_not_ready = false;
  std::string traffic_distribution;
};
Result<Service> ParseService(const Json& document);

struct Endpoint {
  std::vector<std::string> addresses;
  bool ready = false;
  bool serving = false;
  std::string node_name;
  std::string zone;
  std::string target_name;
  std::string target_uid;
};

struct EndpointSlice {
  ObjectMeta meta;
  std::string service_name;  // label kubernetes.io/service-name
  std::string managed_by;    // label endpointslice.kubernetes.io/managed-by
  std::string address_type;
  std::vector<Endpoint> endpoints;
};
Result<EndpointSlice> ParseEndpointSlice(const Json& document);

struct PodDisruptionBudget {
  ObjectMeta meta;
  std::string max_unavailable;
  std::string unhealthy_policy;
};
Result<PodDisruptionBudget> ParsePodDisruptionBudget(const Json& document);

struct ConfigMap {
  ObjectMeta meta;
  std::map<std::string, std::string> data;
};
Result<ConfigMap> ParseConfigMap(const Json& document);

struct Secret {
  ObjectMeta meta;
  std::map<std::string, std::string> data;  // decoded from base64
};
Result<Secret> ParseSecret(const Json& document);

struct Namespace {
  ObjectMeta meta;
  bool terminating = false;  // status.phase
};
Result<Namespace> ParseNamespace(const Json& document);

}  // namespace understudy::api
