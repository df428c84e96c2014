// What the operator sees of a World.
#include <algorithm>
#include <functional>

#include "operator/manifests/manifests.h"
#include "operator/plan/membership.h"
#include "tests/unit/operator/plan/world.h"

namespace understudy::plan {
namespace {

Json HostDocument(const std::string& name) {
  return {{"metadata",
           {{"name", name}, {"uid", "host-" + name}, {"labels", {{"topology.kubernetes.io/zone", ZoneOfHost(name)}}}}},
          {"status", {{"conditions", Json::array({{{"type", "Ready"}, {"status", "True"}}})}}}};
}

}  // namespace

std::shared_ptr<const Fleet> World::FleetNow() const {
  if (fleet.empty()) return nullptr;
  Fleet now;
  for (const auto& [name, document] : fleet) {
    Json whole = document;
    whole["metadata"]["name"] = name;
    now.version = now.version * 31 + std::hash<std::string>()(whole.dump());
    now.nodes.push_back(std::make_shared<const api::Node>(*api::ParseNode(whole)));
  }
  return std::make_shared<const Fleet>(std::move(now));
}

std::vector<GroupObject> World::Groups() const {
  std::vector<GroupObject> groups;
  for (const auto& [key, document] : objects_) {
    if (key.starts_with("ReplicationGroup/")) groups.push_back(*ParseGroupObject(document));
  }
  return groups;
}

std::vector<api::CacheNode> World::Nodes() const {
  std::vector<api::CacheNode> nodes;
  for (const auto& [key, document] : objects_) {
    if (key.starts_with("CacheCluster/")) nodes.push_back(*api::ParseCacheNode(api::NodeKind::kCacheCluster, document));
    if (key.starts_with("ReadReplica/")) nodes.push_back(*api::ParseCacheNode(api::NodeKind::kReadReplica, document));
  }
  return nodes;
}

template <typename T, typename F>
std::optional<T> World::Typed(const char* kind, const std::string& name, F parse) {
  Json* document = Get(kind, name);
  if (document == nullptr) return std::nullopt;
  return *parse(*document);
}

NodeView World::NodeViewOf(const api::CacheNode& node) {
  const std::string& name = node.meta.name;
  // As observe/ does: what exists under a name was made for the older object.
  for (const api::CacheNode& other : Nodes()) {
    if (other.meta.name == name && other.kind != node.kind && other.meta.OlderThan(node.meta)) return {.node = node};
  }
  return {node, Typed<api::StatefulSet>("StatefulSet", name, api::ParseStatefulSet),
          Typed<api::Service>("Service", name, api::ParseService),
          Typed<api::EndpointSlice>("EndpointSlice", manifests::NodeSliceName(name), api::ParseEndpointSlice),
          Typed<api::Service>("Service", manifests::HeadlessName(name), api::ParseService),
          Typed<api::Pod>("Pod", manifests::PodName(name), api::ParsePod),
          first_pod_at.contains(name) ? first_pod_at.at(name) : MonoTime{}};
}

failover::PodView World::PodViewFor(const api::Pod& pod, const std::string& member) {
  std::optional<api::Node> host;
  if (!pod.node_name.empty()) host = *api::ParseNode(HostDocument(pod.node_name));
  failover::PodView view = PodViewOf(pod, member, host ? &*host : nullptr, false);
  const auto it = processes_.find(member);
  if (it == processes_.end() || it->second.pod_uid != pod.meta.uid) return view;
  view.channel.up = it->second.channel_up;
  view.channel.begun_at = view.channel.up_since = it->second.up_since;
  view.channel.down_since = it->second.down_since;
  const Process_& process = it->second;
  view.heard = failover::Heard{process.state, process.silent_since.value_or(process.channel_up ? now_ : process.down_since)};
  view.answer = it->second.answer;
  return view;
}

std::vector<NameClaim> World::Claims(const std::set<std::string>& names, const std::set<std::string>& without) {
  std::vector<NameClaim> claims;
  for (const char* kind : {"CacheCluster", "ReadReplica", "ReplicationGroup"}) {
    for (const std::string& name : names) {
      Json* document = Get(kind, name);
      if (document == nullptr) continue;
      api::ObjectMeta meta = api::ParseMeta(*document);
      if (!without.contains(meta.uid)) claims.push_back({kind, std::move(meta)});
    }
  }
  return claims;
}

GroupView World::GroupViewOf(const GroupObject& group) {
  GroupView view;
  view.settings = settings;
  view.group = group;
  view.namespace_terminating = namespace_terminating;
  const std::string& name = group.object.meta.name;
  view.config_map = Typed<api::ConfigMap>("ConfigMap", manifests::kConfigMapName, api::ParseConfigMap);
  std::set<std::string> names, uids = {group.object.meta.uid};
  for (const std::string& n : NameCandidates("ReplicationGroup", name)) names.insert(n);
  for (const api::CacheNode& node : Nodes()) {
    const bool ours = node.spec.replication_group_id == name || node.status.group_uid == group.object.meta.uid ||
                      group.object.spec.primary_cluster_id == node.meta.name || Has(group, node.meta.name) ||
                      (IsLeaving(node.status) && node.status.replication_group_id == name && !failover::Started(group.state));
    if (!ours) continue;
    view.nodes.push_back(NodeViewOf(node));
    uids.insert(node.meta.uid);
    for (const std::string& n : NameCandidates(api::NodeKindName(node.kind), node.meta.name)) names.insert(n);
    if (const auto& pod = view.nodes.back().pod) view.failover.pods.push_back(PodViewFor(*pod, node.meta.name));
  }
  for (const auto& [uid, pod] : vanished_) {
    if (failover::NamesPod(group.state, uid)) view.failover.pods.push_back(pod);
  }
  for (const GroupObject& other : Groups()) {
    if (other.object.meta.uid != group.object.meta.uid) view.other_groups.push_back(other);
  }
  view.claims = Claims(names, uids);
  view.primary_service = Typed<api::Service>("Service", name, api::ParseService);
  view.reader_service = Typed<api::Service>("Service", manifests::ReaderName(name), api::ParseService);
  view.disruption_budget = Typed<api::PodDisruptionBudget>("PodDisruptionBudget", name, api::ParsePodDisruptionBudget);
  for (const auto& [key, document] : objects_) {
    if (!key.starts_with("EndpointSlice/")) continue;
    api::EndpointSlice slice = *api::ParseEndpointSlice(document);
    if (slice.service_name == name) view.primary_slices.push_back(std::move(slice));
  }
  for (const std::string& host : kHosts) {
    view.hosts[host] = *api::ParseNode(HostDocument(host));
    view.hosts[host].unschedulable = cordoned.contains(host);
    if (cordoned.contains(host)) continue;
    view.zones.insert(ZoneOfHost(host));
  }
  view.fleet = FleetNow();
  view.failover.me = {.leads = true,
                      .acquired_at = leads_since_,
                      .predecessors_until = leads_since_,
                      .valid_until = now_ + Seconds(4),
                      .term = "term-" + std::to_string(terms_)};
  view.failover.fresh_nonce = static_cast<uint64_t>(++next_);
  view.failover.fresh_dataset = "dataset-" + std::to_string(next_);
  view.memory = memories_["ReplicationGroup/" + name];
  return view;
}

LoneView World::LoneViewOf(const api::CacheNode& node) {
  LoneView view;
  view.settings = settings;
  view.node = NodeViewOf(node);
  view.namespace_terminating = namespace_terminating;
  view.config_map = Typed<api::ConfigMap>("ConfigMap", manifests::kConfigMapName, api::ParseConfigMap);
  const std::string& group = NamedGroup(node);
  if (Exists("ReplicationGroup", group)) view.named_group = *ParseGroupObject(*Get("ReplicationGroup", group));
  if (view.node.pod) view.process = PodViewFor(*view.node.pod, node.meta.name);
  for (const std::string& host : kHosts) view.hosts[host] = *api::ParseNode(HostDocument(host));
  view.fleet = FleetNow();
  std::set<std::string> names;
  for (const std::string& n : NameCandidates(api::NodeKindName(node.kind), node.meta.name)) names.insert(n);
  view.claims = Claims(names, {node.meta.uid});
  view.leads = true;
  view.fresh_dataset = "dataset-" + std::to_string(++next_);
  view.memory = memories_[Key(std::string(api::NodeKindName(node.kind)), node.meta.name)];
  return view;
}

}  // namespace understudy::plan
