// The Kubernetes objects that a node and a group consist of, as Json to create or apply.
//
// Pure builders: same input, same bytes, so that a hash of the desired object, kept in an annotation of the
// live one, tells whether anything has to be written (AppliedHash). Golden files pin every byte: a template
// that changes by accident would restart caches. Source: API.md "Names, labels, ports", "Endpoints",
// "Workloads".
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/json.h"
#include "common/result.h"
#include "operator/api/cache_node.h"
#include "operator/api/replication_group.h"

namespace understudy::manifests {

inline constexpr int kDataPort = 6379;
inline constexpr int kAdminPort = 8379;
inline constexpr const char* kConfigMapName = "understudy-operator";
inline constexpr const char* kPublicKeyFile = "operator.pub";
inline constexpr const char* kSliceManager = "understudy.cache.understudy.dev";

// Names derived from a node or a group.
std::string PodName(const std::string& node);             // <node>-0
std::string HeadlessName(const std::string& node);        // <node>-node
std::string ReaderName(const std::string& group);         // <group>-reader
std::string PrimarySliceName(const std::string& group);   // <group>-primary
std::string NodeSliceName(const std::string& node);       // <node>-pod
std::string ServiceEndpoint(const std::string& service, const std::string& ns);  // "x.ns.svc:6379"

// One node, with the settings in force.
struct NodeInput {
  const api::CacheNode* node = nullptr;
  api::NodeSettings settings;     // merged (api::MergeSettings)
  std::string image;              // in force: spec's, else the pinned one
  std::string image_alone;        // that it would have without its group's settings
  std::string group;              // "" while it stands alone
  bool pool = false;              // of the group's replica pool
  api::MultiAz multi_az = api::MultiAz::kDisabled;
  std::vector<std::string> avoid_zones;  // where it is to be only if no other zone has room
};

// What a Pod template was made from, as texts that compare and that people can read. Kept in annotation
// api::kTemplateValuesAnnotation of the template, outside its hash: the hash says whether a Pod is outdated, the
// values say in what. Read from the annotation and not from the Pod's spec, since admission plugins may have changed
// that.
struct TemplateValues {
  std::string image;
  std::string resources;   // "limits cpu=2 memory=1Gi; requests memory=1Gi"; "" = none
  std::string parameters;  // "hz=20 maxmemory-policy=allkeys-lru"; "" = none
  std::string rest;        // a hash of everything else
  bool operator==(const TemplateValues&) const = default;
};
// nullopt: not such an annotation.
std::optional<TemplateValues> ParseTemplateValues(const std::string& annotation);
// Of a built StatefulSet.
TemplateValues ValuesOf(const Json& stateful_set);
// TemplateValues.parameters, there and back.
std::string ParametersText(const std::map<std::string, std::string>& parameters);
std::map<std::string, std::string> ParseParameters(const std::string& text);
// For a status: a long text is cut and ends in a hash, so that different texts stay different.
std::string Shortened(std::string text);
// What the node of a built StatefulSet is started with.
std::vector<std::pair<std::string, std::string>> ArgumentsOf(const Json& stateful_set);
std::string TemplateHashOf(const Json& stateful_set);

// The Pod that its controller makes of a StatefulSet, whose UID is in its metadata.
Json PodOf(const Json& stateful_set);

// kInvalid: a resource quantity that the node's own settings need (memory or CPU limit) can't be read.
Result<Json> BuildStatefulSet(const NodeInput& input);
Json BuildNodeService(const api::CacheNode& node);
Json BuildHeadlessService(const api::CacheNode& node);

Json BuildPrimaryService(const api::ReplicationGroup& group);
// server_minor: PreferSameZone exists from Kubernetes 1.34, PreferClose before.
Json BuildReaderService(const api::ReplicationGroup& group, int server_minor);
Json BuildDisruptionBudget(const api::ReplicationGroup& group, int max_unavailable);

// Whom a Service without a selector leads to.
struct SliceTarget {
  std::string address;  // literal IP
  std::string node_name;
  std::string zone;
  std::string pod_name;
  std::string pod_uid;
};
// The one EndpointSlice of a group's primary Service, or of a node's Service. Owned by the Service (no other
// child has an ownerReference), whose UID is service_uid.
Json BuildPrimarySlice(const api::ReplicationGroup& group, const std::string& service_uid,
                       const std::string& address_type, const SliceTarget& target);
Json BuildNodeSlice(const api::CacheNode& node, const std::string& service_uid, const std::string& address_type,
                    const SliceTarget& target);

// Holds the operator's public key for the nodes of a namespace.
Json BuildConfigMap(const std::string& ns, const std::string& public_key);

// 16 hex digits over the canonical text of an object without its own hash annotation; Build* put it into
// api::kHashAnnotation.
std::string HashOf(const Json& object);
// The annotation that a built object carries.
std::string AppliedHash(const Json& object);

}  // namespace understudy::manifests
