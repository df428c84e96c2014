#include "operator/observe/observe.h"

#include <set>
#include <utility>

#include "operator/manifests/manifests.h"
#include "operator/plan/membership.h"

namespace understudy::observe {
namespace {

template <typename T>
std::optional<T> Copy(const std::shared_ptr<const T>& pointer) {
  if (!pointer) return std::nullopt;
  return *pointer;
}

}  // namespace

plan::NodeView Observer::NodeViewOf(const api::CacheNode& node) const {
  const std::string& ns = node.meta.ns;
  const std::string& name = node.meta.name;
  // What exists under this name was made for the older object.
  if (const auto owner = world_.FindNode(ns, name); owner && owner->kind != node.kind) return {.node = node};
  return {.node = node,
          .stateful_set = Copy(world_.stateful_sets.Get(watch::ObjectKey(ns, name))),
          .service = Copy(world_.services.Get(watch::ObjectKey(ns, name))),
          .slice = Copy(world_.slices.Get(watch::ObjectKey(ns, manifests::NodeSliceName(name)))),
          .headless = Copy(world_.services.Get(watch::ObjectKey(ns, manifests::HeadlessName(name)))),
          .pod = Copy(world_.pods.Get(watch::ObjectKey(ns, manifests::PodName(name)))),
          .first_pod_at = world_.ManifestWholeAt(node.meta)};
}

failover::PodView Observer::Process(const api::Pod& pod, bool exists) const {
  const auto host = pod.node_name.empty() ? nullptr : world_.hosts.Get(pod.node_name);
  failover::PodView view = plan::PodViewOf(pod, pod.meta.Label(api::kClusterLabel), host.get(),
                                           !pod.node_name.empty() && host == nullptr);
  view.exists = exists;
  if (const auto known = nodes_.Get(pod.meta.uid)) {
    view.channel = known->channel;
    view.heard = known->heard;
    view.answer = known->answer;
  }
  return view;
}

void Observer::AddHost(const api::Pod& pod, std::map<std::string, api::Node>* hosts, std::set<std::string>* lost) const {
  if (pod.node_name.empty()) return;
  if (const auto host = world_.hosts.Get(pod.node_name)) {
    hosts->emplace(pod.node_name, *host);
  } else if (lost != nullptr) {
    lost->insert(pod.node_name);
  }
}

std::vector<plan::NameClaim> Observer::Claims(const std::string& ns, std::string_view kind, const std::string& name) const {
  std::vector<plan::NameClaim> claims;
  for (const std::string& candidate : plan::NameCandidates(kind, name)) {
    const std::string key = watch::ObjectKey(ns, candidate);
    const auto add = [&](const char* other_kind, const api::ObjectMeta& meta) {
      if (kind != other_kind || meta.name != name) claims.push_back({other_kind, meta});
    };
    if (const auto group = world_.groups.Get(key)) add("ReplicationGroup", group->object.meta);
    if (const auto node = world_.cache_clusters.Get(key)) add("CacheCluster", node->meta);
    if (const auto node = world_.read_replicas.Get(key)) add("ReadReplica", node->meta);
  }
  return claims;
}

bool Observer::Terminating(const std::string& ns) const {
  const auto found = world_.namespaces.Get(ns);
  return found && found->terminating;
}

std::optional<api::ConfigMap> Observer::KeyMap(const std::string& ns) const {
  return Copy(world_.config_maps.Get(watch::ObjectKey(ns, manifests::kConfigMapName)));
}

std::optional<plan::GroupView> Observer::Group(const std::string& ns, const std::string& name, plan::Memory memory,
                                               const kube::Leadership& leadership, const Fresh& fresh) const {
  const auto group = world_.groups.Get(watch::ObjectKey(ns, name));
  if (!group) return std::nullopt;
  plan::GroupView view;
  view.settings = settings_;
  view.group = *group;
  view.namespace_terminating = Terminating(ns);
  view.config_map = KeyMap(ns);
  view.memory = std::move(memory);

  const api::ReplicationGroup& object = group->object;
  std::set<std::string> named = {object.spec.primary_cluster_id};
  for (const auto& member : object.status.members) named.insert(member.name);
  for (const auto& node : failover::NamedNodes(group->state)) named.insert(node.name);
  std::set<std::string> group_uids;
  for (const auto& node : world_.NodesOf(ns)) {
    const bool ours = node->spec.replication_group_id == name || node->status.group_uid == object.meta.uid ||
                      named.count(node->meta.name) != 0 ||
                      (plan::IsLeaving(node->status) && node->status.replication_group_id == name && !failover::Started(group->state));
    if (!ours) continue;
    view.nodes.push_back(NodeViewOf(*node));
    group_uids.insert(node->status.group_uid);
  }
  const auto groups = world_.GroupsOf(ns);
  std::set<std::string> others;
  for (const auto& one : view.nodes) {
    std::vector<const plan::GroupObject*> all;
    for (const auto& other : groups) all.push_back(other.get());
    others.insert(plan::ResponsibleGroup(one.node, all));
    others.insert(one.node.spec.replication_group_id);  // a member may want to move there
  }
  for (const auto& other : groups) {
    if (other->object.meta.name == name) continue;
    if (others.count(other->object.meta.name) != 0 || group_uids.count(other->object.meta.uid) != 0) {
      view.other_groups.push_back(*other);
    }
  }

  view.primary_service = Copy(world_.services.Get(watch::ObjectKey(ns, name)));
  view.reader_service = Copy(world_.services.Get(watch::ObjectKey(ns, manifests::ReaderName(name))));
  view.disruption_budget = Copy(world_.budgets.Get(watch::ObjectKey(ns, name)));
  bool slice_seen = false;
  const std::string slice_name = manifests::PrimarySliceName(name);
  for (const auto& slice :
       world_.slices.Find("service", watch::ObjectKey(ns, name),
                          [](const api::EndpointSlice& s) { return watch::ObjectKey(s.meta.ns, s.meta.name); })) {
    view.primary_slices.push_back(*slice);
    slice_seen = slice_seen || slice->meta.name == slice_name;
  }
  if (!slice_seen) {  // just written, not watched yet
    if (const auto slice = world_.slices.Get(watch::ObjectKey(ns, slice_name)); slice && slice->service_name == name) {
      view.primary_slices.push_back(*slice);
    }
  }

  view.claims = Claims(ns, "ReplicationGroup", name);
  for (const auto& one : view.nodes) {
    for (auto& claim : Claims(ns, api::NodeKindName(one.node.kind), one.node.meta.name)) {
      view.claims.push_back(std::move(claim));
    }
  }
  view.fleet = world_.Fleet();
  view.zones = view.fleet->zones;

  failover::View& seen = view.failover;
  seen.me = {.leads = leadership.leading,
             .acquired_at = leadership.acquired_at,
             .predecessors_until = leadership.predecessors_until,
             .valid_until = leadership.valid_until,
             .term = leadership.term,
             .last_grant = nodes_.LastGrant(object.meta.uid)};
  seen.fresh_nonce = fresh.nonce;
  seen.fresh_dataset = fresh.dataset;
  for (const auto& one : view.nodes) {
    if (one.pod) {
      seen.pods.push_back(Process(*one.pod, true));
      AddHost(*one.pod, &view.hosts, &view.lost_hosts);
    }
    // The caches go on meanwhile: it may be gone by now.
    const auto named = world_.FindNode(ns, one.node.meta.name);
    if (!named || named->kind != one.node.kind) continue;
    for (const api::Pod& gone : world_.VanishedPods(ns, one.node.meta.name)) {
      seen.pods.push_back(Process(gone, false));
      AddHost(gone, &view.hosts, &view.lost_hosts);
    }
  }
  std::vector<control::Incarnation> incarnations;
  for (const auto& node : failover::NamedNodes(group->state)) {
    incarnations.push_back(node.incarnation);
    // A node whose object is gone may still be named by the state.
    for (const api::Pod& gone : world_.VanishedPods(ns, node.name)) {
      bool listed = false;
      for (const auto& pod : seen.pods) listed = listed || pod.pod_uid == gone.meta.uid;
      if (listed) continue;
      seen.pods.push_back(Process(gone, false));
      AddHost(gone, &view.hosts, &view.lost_hosts);
    }
  }
  seen.lifelines = nodes_.Lifelines(incarnations);
  return view;
}

std::optional<plan::LoneView> Observer::Lone(api::NodeKind kind, const std::string& ns, const std::string& name,
                                             plan::Memory memory, const kube::Leadership& leadership,
                                             const Fresh& fresh) const {
  const auto node = world_.FindNode(kind, ns, name);
  if (!node || world_.KeyOfNode(*node) != NodeKey(kind, ns, name)) return std::nullopt;
  plan::LoneView view;
  view.settings = settings_;
  view.node = NodeViewOf(*node);
  view.namespace_terminating = Terminating(ns);
  view.config_map = KeyMap(ns);
  const std::string& group = plan::NamedGroup(*node);
  if (!group.empty()) view.named_group = Copy(world_.groups.Get(watch::ObjectKey(ns, group)));
  if (view.node.pod) {
    view.process = Process(*view.node.pod, true);
    AddHost(*view.node.pod, &view.hosts, nullptr);
  }
  view.fleet = world_.Fleet();
  view.claims = Claims(ns, api::NodeKindName(node->kind), name);
  view.leads = leadership.leading;
  view.fresh_dataset = fresh.dataset;
  view.memory = std::move(memory);
  return view;
}

std::vector<std::string> Observer::ForgettablePods() const {
  std::vector<std::string> uids;
  for (const api::Pod& pod : world_.AllVanishedPods()) {
    bool named = false;
    for (const auto& group : world_.GroupsOf(pod.meta.ns)) named = named || failover::NamesPod(group->state, pod.meta.uid);
    if (!named) uids.push_back(pod.meta.uid);
  }
  return uids;
}

plan::OrphanView Observer::Orphans(std::map<std::string, MonoTime> announced) const {
  plan::OrphanView view;
  view.complete = world_.groups.cache.Synced() && world_.cache_clusters.cache.Synced() && world_.read_replicas.cache.Synced();
  view.deletions_seen = world_.DeletionsSeen();
  view.announced = std::move(announced);
  const auto add_child = [&](const api::ObjectMeta& meta, const char* api_version, const char* kind) {
    if (meta.OwnerUid().empty() || meta.deleted) return;
    // With its version: an object that came meanwhile may have taken it over.
    view.children.push_back({{api_version, kind, meta.ns, meta.name, meta.uid, meta.resource_version}, plan::OwnerOf(meta)});
  };
  for (const auto& group : world_.groups.cache.All()) {
    view.living.insert(group->object.meta.uid);
    view.living_keys.insert(plan::OwnerKey(group->object.Ref()));
  }
  for (const auto* store : {&world_.cache_clusters, &world_.read_replicas}) {
    for (const auto& node : store->cache.All()) {
      view.living.insert(node->meta.uid);
      view.living_keys.insert(plan::OwnerKey(node->Ref()));
      view.inhabited.insert(node->meta.ns);
      add_child(node->meta, api::kApiVersion.data(), api::NodeKindName(node->kind).data());
    }
  }
  for (const auto& one : world_.stateful_sets.cache.All()) {
    add_child(one->meta, "apps/v1", "StatefulSet");
    if (!one->meta.OwnerUid().empty()) view.inhabited.insert(one->meta.ns);
  }
  for (const auto& pod : world_.pods.cache.All()) view.inhabited.insert(pod->meta.ns);
  for (const auto& map : world_.config_maps.cache.All()) {
    const api::ObjectMeta& meta = map->meta;
    if (meta.Label("app.kubernetes.io/managed-by") != "understudy" || meta.deleted) continue;
    view.key_maps.push_back({"v1", "ConfigMap", meta.ns, meta.name, meta.uid, ""});
  }
  for (const auto& one : world_.services.cache.All()) add_child(one->meta, "v1", "Service");
  for (const auto& one : world_.budgets.cache.All()) add_child(one->meta, "policy/v1", "PodDisruptionBudget");
  return view;
}

}  // namespace understudy::observe
