// The kinds that the operator reads or writes, and where they live on the API server. Pure.
#pragma once

#include <string>
#include <string_view>

namespace understudy::kube {

struct Resource {
  std::string_view group;  // empty: the core group
  std::string_view version;
  std::string_view plural;
  std::string_view kind;
  bool namespaced = true;
  bool operator==(const Resource&) const = default;
};

inline constexpr std::string_view kApiGroup = "cache.understudy.dev";

inline constexpr Resource kReplicationGroups{kApiGroup, "v1alpha1", "replicationgroups",
                                             "ReplicationGroup"};
inline constexpr Resource kReadReplicas{kApiGroup, "v1alpha1", "readreplicas", "ReadReplica"};
inline constexpr Resource kCacheClusters{kApiGroup, "v1alpha1", "cacheclusters", "CacheCluster"};
inline constexpr Resource kPods{"", "v1", "pods", "Pod"};
inline constexpr Resource kServices{"", "v1", "services", "Service"};
inline constexpr Resource kConfigMaps{"", "v1", "configmaps", "ConfigMap"};
inline constexpr Resource kSecrets{"", "v1", "secrets", "Secret"};
inline constexpr Resource kPersistentVolumeClaims{"", "v1", "persistentvolumeclaims",
                                                  "PersistentVolumeClaim"};
inline constexpr Resource kNodes{"", "v1", "nodes", "Node", false};
inline constexpr Resource kNamespaces{"", "v1", "namespaces", "Namespace", false};
inline constexpr Resource kStatefulSets{"apps", "v1", "statefulsets", "StatefulSet"};
inline constexpr Resource kPodDisruptionBudgets{"policy", "v1", "poddisruptionbudgets",
                                                "PodDisruptionBudget"};
inline constexpr Resource kEndpointSlices{"discovery.k8s.io", "v1", "endpointslices",
                                          "EndpointSlice"};
inline constexpr Resource kLeases{"coordination.k8s.io", "v1", "leases", "Lease"};
inline constexpr Resource kEvents{"events.k8s.io", "v1", "events", "Event"};
inline constexpr Resource kCustomResourceDefinitions{
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", false};

// "group/version", or "v1".
std::string ApiVersion(const Resource& resource);
// name_space empty: all namespaces, or a cluster-scoped resource.
std::string CollectionPath(const Resource& resource, std::string_view name_space);
// subresource empty: the object itself.
std::string ObjectPath(const Resource& resource, std::string_view name_space, std::string_view name,
                       std::string_view subresource = "");

// Percent-encodes a query value or a path segment.
std::string Encode(std::string_view text);

// Resource versions of one resource are decimal numbers without leading zeros and may be compared
// (KEP-5504). Of other text nothing is known.
bool IsResourceVersion(std::string_view text);
// True if both are valid and `version` is not older than `minimum`.
bool NotOlder(std::string_view version, std::string_view minimum);

}  // namespace understudy::kube
