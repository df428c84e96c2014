// What one reconcile sees: a group with everything that was made for it, or one node that stands alone.
//
// Filled by observe/ from the watch cache and the node table (memory only, no network), read by the pure
// Plan* functions. Views are copies: nothing in them changes while a plan is made. All MonoTimes are this
// process's own; the default means "never".
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "operator/api/builtins.h"
#include "operator/api/cache_node.h"
#include "operator/api/replication_group.h"
#include "operator/failover/machine.h"
#include "operator/failover/state.h"
#include "operator/failover/view.h"
#include "operator/plan/placement.h"

namespace understudy::plan {

// A ReplicationGroup with both halves of its status. What the watch cache of that kind holds.
struct GroupObject {
  api::ReplicationGroup object;
  failover::GroupState state;
};
Result<GroupObject> ParseGroupObject(const Json& document);

// Of the operator process; the same for all views.
struct Settings {
  std::string operator_namespace;
  std::string default_node_image;
  std::string public_key;    // text of the node's public key file (ConfigMap key "operator.pub")
  int server_minor = 0;      // Kubernetes 1.<server_minor>
};

// A CacheCluster or ReadReplica and what was made for it. Children are found by name, so each may be
// somebody else's: plan looks at the owner-uid annotation.
struct NodeView {
  api::CacheNode node;
  std::optional<api::StatefulSet> stateful_set;  // <node>
  std::optional<api::Service> service;           // <node>
  std::optional<api::EndpointSlice> slice;       // <node>-pod, of `service`
  std::optional<api::Service> headless;          // <node>-node
  std::optional<api::Pod> pod;                   // <node>-0, the present one, terminating or not
  // Until then the rest of the manifest that the node came with may be on its way: the group that claims it, members
  // that are pinned to a zone. A Pod that is placed before they are known shares their zone for as long as it lives.
  MonoTime first_pod_at;
};

// Of a child that may be missing; then null.
inline const api::ObjectMeta* MetaOf(const auto& child) { return child ? &child->meta : nullptr; }

// Another object of ours in the namespace that may derive the same Service names (NameCandidates).
struct NameClaim {
  std::string kind;
  api::ObjectMeta meta;
};

// What a process remembers of one key between two plans and does not persist. The caller keeps it and
// hands it back unread; losing it costs time, never safety.
// The API server refused an object of these contents; asked again at `until`.
struct Rejection {
  std::string hash;     // AppliedHash
  std::string message;  // "the API server refuses its Pod: ..."
  bool waits = false;   // another object may help: one that is missing, a rule
  MonoTime until;
};

// What is known of the parameters of one process.
struct TakenParameters {
  control::Incarnation incarnation;
  std::string asked;  // ParametersHash of what it is to say last
  MonoTime asked_at;
  std::string sent;   // and of what it was sent last
  MonoTime sent_at;
  std::optional<std::map<std::string, std::string>> in_force;  // the user's, as last told
};

struct Memory {
  failover::Memory failover;
  std::map<std::string, MonoTime> out_of_sync_since;  // member -> when it was first seen not in sync
  std::map<std::string, MonoTime> lag_changed;        // member -> when a change of its lag was last planned
  std::optional<MonoTime> unsettled_since;  // a transition runs, the primary does not serve, a node is unheard
  std::string order_sent_to;                // lone node: incarnation and epoch of its last order
  MonoTime order_sent;
  std::map<std::string, TakenParameters> parameters;  // by name of the node
  std::map<std::string, Rejection> rejected;  // by name of the StatefulSet
  std::map<std::string, MonoTime> tried;      // by name of the node: when its missing Pod was tried last
  std::map<std::string, Placement> placements;  // by name of the node
};

struct GroupView {
  Settings settings;
  GroupObject group;
  bool namespace_terminating = false;
  std::optional<api::ConfigMap> config_map;  // `understudy-operator` in the group's namespace

  // Every CacheCluster and ReadReplica of the namespace with spec.replicationGroupId = this name, with
  // status.group_uid = this UID, or that is named by spec.primaryClusterId, by status.members or by the state.
  // Who of them is a member, waits or is refused is decided by the plan.
  std::vector<NodeView> nodes;
  // The groups of the namespace that answer for one of `nodes` instead (ResponsibleGroup), that one of them names
  // in replicationGroupId, or that have the UID which one of them has in status.group_uid.
  std::vector<GroupObject> other_groups;

  std::optional<api::Service> primary_service;          // <group>
  std::optional<api::Service> reader_service;           // <group>-reader
  std::vector<api::EndpointSlice> primary_slices;       // all with label kubernetes.io/service-name = <group>
  std::optional<api::PodDisruptionBudget> disruption_budget;  // <group>
  std::map<std::string, api::Node> hosts;  // Kubernetes Nodes by name: those that the members' Pods are on
  std::set<std::string> lost_hosts;        // names of Nodes that Pods are bound to and whose object is gone
  std::set<std::string> zones;             // of all Nodes that are ready and schedulable
  std::shared_ptr<const Fleet> fleet;      // all Nodes; null: not known
  std::vector<NameClaim> claims;           // NameCandidates of the group and of its nodes, without themselves

  // Filled by observe: me, pods (PodViewOf helps; vanished ones that the status names stay), lifelines,
  // fresh_nonce, fresh_dataset. The rest (spec, members, confirmed_dead, nodes_out_of_service,
  // endpoint_pod_uid, memory) is filled by PlanGroup from what stands above.
  failover::View failover;
  Memory memory;
};

// A node that no group answers for: it stands alone, waits for its group, was refused, or is what a deleted
// group left.
struct LoneView {
  Settings settings;
  NodeView node;
  bool namespace_terminating = false;
  std::optional<api::ConfigMap> config_map;
  // The group of NamedGroup(node), if it exists.
  std::optional<GroupObject> named_group;
  std::optional<failover::PodView> process;     // of node.pod's UID
  std::map<std::string, api::Node> hosts;       // the Node that the Pod is on
  std::shared_ptr<const Fleet> fleet;           // all Nodes; null: not known
  std::vector<NameClaim> claims;
  bool leads = false;
  std::string fresh_dataset;  // 32 hex digits, drawn for this call
  Memory memory;
};

// Which group answers for a node: its name, or "" for the node itself (PlanLone). Pure.
// groups: those of the node's namespace that its spec or status names, or that name it as primaryClusterId
// or in status.members; others do no harm. In order: the group with status.group_uid; the one whose state counts on
// the process that its status knows; the one that spec.replicationGroupId names, unless it is being deleted, or
// the node stands alone and the group has been started without it (it joins by Demote); with no
// replicationGroupId, the oldest group that names it as primaryClusterId on the same terms, but never the one that
// promotedFrom names. The trigger of a node enqueues this group, and the node itself when the answer is "".
std::string ResponsibleGroup(const api::CacheNode& node, std::span<const GroupObject* const> groups);
// What ResponsibleGroup asks among: the view's own group first, then the others that it lists.
std::vector<const GroupObject*> GroupsOf(const GroupView& view);

// Names of our kinds that could derive a Service name which object `kind`/`name` derives as well.
std::vector<std::string> NameCandidates(std::string_view kind, const std::string& name);

// The kubelet's facts of a Pod for the failover machine; channel, heard and answer are the caller's.
failover::PodView PodViewOf(const api::Pod& pod, const std::string& member, const api::Node* host,
                            bool host_gone);

// Whether a heartbeat changes anything that a plan looks at outside a transition: everything but counters
// (offset, lease left, silences, acknowledged offsets). Wake-ups of plans cover the rest.
bool NeedsPlan(const control::NodeState& before, const control::NodeState& after);

}  // namespace understudy::plan
