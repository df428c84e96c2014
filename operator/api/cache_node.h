// CacheCluster and ReadReplica: two kinds with one schema, hence one struct. They differ in who makes them
// and in what a missing replicationGroupId means; `kind` says which one it is.
//
// Pure values and their codecs. Reading is tolerant (an unknown or malformed member is absent: the schema
// has refused it already), writing is exact: only what is set. Source: API.md "spec" and "Status".
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/json.h"
#include "operator/api/conditions.h"
#include "operator/api/meta.h"
#include "operator/api/pending.h"

namespace understudy::api {

enum class NodeKind { kCacheCluster, kReadReplica };
std::string_view NodeKindName(NodeKind kind);    // "CacheCluster"
std::string_view NodeKindPlural(NodeKind kind);  // "cacheclusters"

// spec.node of a member or of a group. The islands (resources, tolerations, affinity) go into the Pod
// template as they are and stay Json; they are small and bounded by the schema.
struct NodeSettings {
  std::optional<std::string> image;
  Json resources;                                  // null when absent
  std::map<std::string, std::string> parameters;   // redis.conf words; values as text
  std::map<std::string, std::string> node_selector;
  Json tolerations;                                // array or null
  Json affinity;                                   // object or null
  std::optional<std::string> priority_class_name;
  std::optional<std::string> service_account_name;
  std::map<std::string, std::string> pod_labels;
  std::map<std::string, std::string> pod_annotations;
  bool operator==(const NodeSettings&) const = default;
};
NodeSettings ParseNodeSettings(const Json& node);
Json NodeSettingsJson(const NodeSettings& settings);

// The settings in force for a member: its own win field by field; `parameters` and the pod* maps key by key.
NodeSettings MergeSettings(const NodeSettings& group, const NodeSettings& member);

struct CacheNodeSpec {
  std::string replication_group_id;  // "" = absent
  std::string promoted_from;         // Promote: the group that it left, or is to leave, with its data
  std::string discard_existing_data;  // Demote: the data set that may be dropped
  std::string availability_zone;     // "" = absent
  std::optional<bool> apply_immediately;     // the group's when absent
  std::string preferred_maintenance_window;  // "" = absent: the group's
  NodeSettings node;
};

// Written by the controller that answers for the node: its group's, or its own while it stands alone.
struct CacheNodeStatus {
  int64_t observed_generation = -1;
  std::string phase = "creating";
  std::string role;                  // "primary", "replica", "standalone", "" = none yet
  std::string replication_group_id;  // name of the group that accepted it
  std::string group_uid;             // and its UID; stays when the group is deleted, goes when it stands alone
  // UID of the group for which it left its former one (spec.replicationGroupId was changed): the permission
  // to drop what it held there, which has got another dataset id since. Goes with the first step elsewhere.
  std::string moving_to;
  // While it stands alone: an order of `epoch` was decided for process `incarnation`, with this data set.
  int64_t epoch = 0;
  std::string incarnation;
  std::string dataset;               // also of members, as the node says
  std::string availability_zone;
  std::string endpoint;              // "name.namespace.svc:6379"
  std::string lag;                   // "0B" or a power of ten; "" for anything but a replica
  std::string effective_image;       // of the Pod that runs, else of the one that will be made
  std::string effective_maintenance_window;
  std::string pending;               // the column: pending_modified_values in few words
  PendingModifications pending_modified_values;
  Conditions conditions;
  bool operator==(const CacheNodeStatus&) const = default;
};

struct CacheNode {
  NodeKind kind = NodeKind::kCacheCluster;
  ObjectMeta meta;
  CacheNodeSpec spec;
  CacheNodeStatus status;
  ObjectRef Ref() const;
  // Made by the operator for this group: the claimed first primary or a replica of the pool.
  bool MadeFor(const std::string& group_uid) const { return meta.OwnerUid() == group_uid; }
};

// kInvalid only for a document without metadata.name.
Result<CacheNode> ParseCacheNode(NodeKind kind, const Json& document);
Json CacheNodeStatusJson(const CacheNodeStatus& status);

}  // namespace understudy::api
