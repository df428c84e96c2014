#include "operator/observe/world.h"

#include <algorithm>
#include <set>
#include <utility>

#include "operator/manifests/manifests.h"

namespace understudy::observe {
namespace {

constexpr const char* kByNamespace = "namespace";
constexpr const char* kByService = "service";
constexpr const char* kByHost = "host";
constexpr const char* kWithoutNode = "without-node";  // held back: kYes
constexpr const char* kYes = "yes";

template <typename T>
std::string KeyOf(const T& object) {
  return watch::ObjectKey(object.meta.ns, object.meta.name);
}

std::string MemberOf(const api::Pod& pod) { return pod.meta.Label(api::kClusterLabel); }

// A Pod that has an address and may still have a process.
bool Reachable(const api::Pod& pod) {
  return !pod.ip.empty() && !MemberOf(pod).empty() && pod.phase != "Succeeded" && pod.phase != "Failed";
}

watch::Priority PriorityOf(bool initial) { return initial ? watch::Priority::kInitial : watch::Priority::kNormal; }

}  // namespace

std::string GroupKey(const std::string& ns, const std::string& name) { return "g/" + ns + "/" + name; }
std::string NodeKey(api::NodeKind kind, const std::string& ns, const std::string& name) {
  return (kind == api::NodeKind::kCacheCluster ? "c/" : "r/") + ns + "/" + name;
}

World::World(nodes::Nodes& nodes, const Clock& clock)
    : groups(plan::ParseGroupObject),
      cache_clusters([](const Json& d) { return api::ParseCacheNode(api::NodeKind::kCacheCluster, d); }),
      read_replicas([](const Json& d) { return api::ParseCacheNode(api::NodeKind::kReadReplica, d); }),
      pods(api::ParsePod),
      stateful_sets(api::ParseStatefulSet),
      services(api::ParseService),
      slices(api::ParseEndpointSlice),
      budgets(api::ParsePodDisruptionBudget),
      config_maps(api::ParseConfigMap),
      hosts(api::ParseNode),
      namespaces(api::ParseNamespace),
      nodes_(nodes),
      clock_(clock) {
  const auto by_namespace = [](const auto& object) { return std::vector<std::string>{object.meta.ns}; };
  cache_clusters.cache.AddIndex(kByNamespace, by_namespace);
  read_replicas.cache.AddIndex(kByNamespace, by_namespace);
  const auto without_node = [](const api::CacheNode& node) {
    const bool waits = plan::IsHeldBack(node.status);
    return waits ? std::vector<std::string>{kYes} : std::vector<std::string>{};
  };
  cache_clusters.cache.AddIndex(kWithoutNode, without_node);
  read_replicas.cache.AddIndex(kWithoutNode, without_node);
  groups.cache.AddIndex(kByNamespace,
                        [](const plan::GroupObject& group) { return std::vector<std::string>{group.object.meta.ns}; });
  slices.cache.AddIndex(kByService, [](const api::EndpointSlice& slice) {
    return std::vector<std::string>{watch::ObjectKey(slice.meta.ns, slice.service_name)};
  });
  pods.cache.AddIndex(kByHost, [](const api::Pod& pod) {
    return pod.node_name.empty() ? std::vector<std::string>{} : std::vector<std::string>{pod.node_name};
  });
}

void World::OnChanges(Enqueue enqueue) {
  enqueue_ = std::move(enqueue);
  groups.cache.AddHandler([this](const auto& change) { OnGroup(change); });
  cache_clusters.cache.AddHandler([this](const auto& change) { OnNode(change); });
  read_replicas.cache.AddHandler([this](const auto& change) { OnNode(change); });
  pods.cache.AddHandler([this](const auto& change) { OnPod(change); });
  stateful_sets.cache.AddHandler([this](const auto& change) { OnChild(change); });
  services.cache.AddHandler([this](const auto& change) { OnChild(change); });
  budgets.cache.AddHandler([this](const auto& change) { OnChild(change); });
  slices.cache.AddHandler([this](const watch::Change<api::EndpointSlice>& change) {
    for (const auto& slice : {change.before, change.after}) {
      if (!slice) continue;
      if (groups.cache.Get(watch::ObjectKey(slice->meta.ns, slice->service_name))) {
        enqueue_(GroupKey(slice->meta.ns, slice->service_name), PriorityOf(change.initial));
      } else {
        EnqueueNode(slice->meta.ns, slice->service_name, PriorityOf(change.initial));
      }
    }
  });
  config_maps.cache.AddHandler([this](const watch::Change<api::ConfigMap>& change) {
    if (!change.initial) EnqueueNamespace((change.after ? change.after : change.before)->meta.ns);
  });
  namespaces.cache.AddHandler([this](const watch::Change<api::Namespace>& change) {
    if (change.after && change.after->terminating && (!change.before || !change.before->terminating)) {
      EnqueueNamespace(change.after->meta.name);
    }
  });
  hosts.cache.AddHandler([this](const auto& change) { OnHost(change); });
}

std::vector<std::pair<watch::WatchSpec, watch::WatchTarget*>> World::Watches() {
  const auto all = [](const kube::Resource& resource) { return watch::WatchSpec{resource, "", "", ""}; };
  return {
      {all(kube::kReplicationGroups), &groups.cache},
      {all(kube::kCacheClusters), &cache_clusters.cache},
      {all(kube::kReadReplicas), &read_replicas.cache},
      {{kube::kPods, "", api::kClusterLabel, ""}, &pods.cache},
      // Not only ours: a foreign object that has one of our names must be seen to be told.
      {all(kube::kStatefulSets), &stateful_sets.cache},
      {all(kube::kServices), &services.cache},
      {all(kube::kEndpointSlices), &slices.cache},
      {all(kube::kPodDisruptionBudgets), &budgets.cache},
      {{kube::kConfigMaps, "", "", std::string("metadata.name=") + manifests::kConfigMapName}, &config_maps.cache},
      {all(kube::kNodes), &hosts.cache},
      {all(kube::kNamespaces), &namespaces.cache},
  };
}

bool World::Synced() const {
  return groups.cache.Synced() && cache_clusters.cache.Synced() && read_replicas.cache.Synced() &&
         pods.cache.Synced() && stateful_sets.cache.Synced() && services.cache.Synced() && slices.cache.Synced() &&
         budgets.cache.Synced() && config_maps.cache.Synced() && hosts.cache.Synced() && namespaces.cache.Synced();
}

void World::EnqueueAll(watch::Priority priority) const {
  for (const auto& group : groups.cache.All()) {
    enqueue_(GroupKey(group->object.meta.ns, group->object.meta.name), priority);
  }
  for (const auto* store : {&cache_clusters, &read_replicas}) {
    for (const auto& node : store->cache.All()) enqueue_(KeyOfNode(*node), priority);
  }
  enqueue_(kOrphansKey, priority);
}

void World::Wrote(const kube::Resource& resource, const Json& object) {
  if (resource == kube::kReplicationGroups) return groups.Wrote(object);
  if (resource == kube::kCacheClusters) return cache_clusters.Wrote(object);
  if (resource == kube::kReadReplicas) return read_replicas.Wrote(object);
  if (resource == kube::kPods) return pods.Wrote(object);
  if (resource == kube::kStatefulSets) return stateful_sets.Wrote(object);
  if (resource == kube::kServices) return services.Wrote(object);
  if (resource == kube::kEndpointSlices) return slices.Wrote(object);
  if (resource == kube::kPodDisruptionBudgets) return budgets.Wrote(object);
  CHECK(resource == kube::kConfigMaps);
  config_maps.Wrote(object);
}

std::shared_ptr<const api::CacheNode> World::FindNode(api::NodeKind kind, const std::string& ns,
                                                      const std::string& name) const {
  return (kind == api::NodeKind::kCacheCluster ? cache_clusters : read_replicas).Get(watch::ObjectKey(ns, name));
}

std::shared_ptr<const api::CacheNode> World::FindNode(const std::string& ns, const std::string& name) const {
  const std::string key = watch::ObjectKey(ns, name);
  auto cluster = cache_clusters.Get(key);
  auto replica = read_replicas.Get(key);
  if (!cluster || !replica) return cluster ? cluster : replica;
  return replica->meta.OlderThan(cluster->meta) ? replica : cluster;
}

std::vector<std::shared_ptr<const api::CacheNode>> World::NodesOf(const std::string& ns) const {
  const auto key_of = [](const api::CacheNode& node) { return KeyOf(node); };
  auto found = cache_clusters.Find(kByNamespace, ns, key_of);
  auto replicas = read_replicas.Find(kByNamespace, ns, key_of);
  found.insert(found.end(), replicas.begin(), replicas.end());
  return found;
}

std::vector<std::shared_ptr<const plan::GroupObject>> World::GroupsOf(const std::string& ns) const {
  return groups.Find(kByNamespace, ns, [](const plan::GroupObject& group) { return KeyOf(group.object); });
}

std::string World::KeyOfNode(const api::CacheNode& node) const {
  const std::string& ns = node.meta.ns;
  const auto known = GroupsOf(ns);
  std::vector<const plan::GroupObject*> all;
  all.reserve(known.size());
  for (const auto& group : known) all.push_back(group.get());
  const std::string group = plan::ResponsibleGroup(node, all);
  return group.empty() ? NodeKey(node.kind, ns, node.meta.name) : GroupKey(ns, group);
}

std::string World::KeyOfNode(const std::string& ns, const std::string& name) const {
  const auto node = FindNode(ns, name);
  return node ? KeyOfNode(*node) : "";
}

void World::EnqueueNode(const std::string& ns, const std::string& name, watch::Priority priority) const {
  if (const std::string key = KeyOfNode(ns, name); !key.empty()) enqueue_(key, priority);
}

void World::OnGroup(const watch::Change<plan::GroupObject>& change) {
  if (!change.before && !change.initial) NoteArrival(change.after->object.meta);
  const watch::Priority priority = PriorityOf(change.initial);
  std::set<std::string> keys;
  for (const auto& group : {change.before, change.after}) {
    if (!group) continue;
    const api::ObjectMeta& meta = group->object.meta;
    keys.insert(GroupKey(meta.ns, meta.name));
    // Who waits for the group, leaves it, or is claimed by it.
    const bool spec_changed = !change.before || !change.after ||
                              change.before->object.meta.generation != change.after->object.meta.generation ||
                              change.before->object.meta.deleted != change.after->object.meta.deleted ||
                              failover::Started(change.before->state) != failover::Started(change.after->state);
    if (!spec_changed) continue;
    for (const auto& node : NodesOf(meta.ns)) {
      if (node->spec.replication_group_id == meta.name || node->status.group_uid == meta.uid ||
          node->meta.name == group->object.spec.primary_cluster_id) {
        keys.insert(KeyOfNode(*node));
      }
    }
  }
  if (!change.after) {
    NoteDeletion(change.before->object.meta.uid);
    keys.insert(kOrphansKey);
  }
  for (const std::string& key : keys) enqueue_(key, priority);
}

void World::OnNode(const watch::Change<api::CacheNode>& change) {
  if (!change.before && !change.initial) NoteArrival(change.after->meta);
  std::set<std::string> keys;
  for (const auto& node : {change.before, change.after}) {
    if (!node) continue;
    keys.insert(KeyOfNode(*node));
    for (const auto& group : GroupsOf(node->meta.ns)) {
      const auto& spec = group->object.spec;
      if (group->object.meta.name == node->spec.replication_group_id || group->object.meta.uid == node->status.group_uid ||
          spec.primary_cluster_id == node->meta.name) {
        keys.insert(GroupKey(node->meta.ns, group->object.meta.name));
      }
    }
  }
  if (!change.after) {
    NoteDeletion(change.before->meta.uid);
    keys.insert(kOrphansKey);
  }
  for (const std::string& key : keys) enqueue_(key, PriorityOf(change.initial));
}

void World::OnPod(const watch::Change<api::Pod>& change) {
  const api::Pod& pod = change.after ? *change.after : *change.last_state;
  const std::string member = MemberOf(pod);
  if (change.after) {
    // The link stays when a Pod ends: whether its process has is for proofs to say, and ForgetPod ends it.
    if (Reachable(pod)) {
      nodes_.SetTarget({pod.meta.uid, pod.ip, watch::ObjectKey(pod.meta.ns, member)});
    }
  } else {
    {
      std::lock_guard lock(mutex_);
      vanished_[pod.meta.uid] = pod;
    }
    // It may have been the last one of its namespace that needed the key.
    if (NodesOf(pod.meta.ns).empty()) enqueue_(kOrphansKey, watch::Priority::kNormal);
  }
  const bool urgent = !change.initial && (!change.after || change.after->terminated || change.after->meta.deleted);
  const watch::Priority priority = urgent ? watch::Priority::kFailover : PriorityOf(change.initial);
  EnqueueNode(pod.meta.ns, member, priority);
  // Somebody gave it another label: whose Pod it was puts that right.
  if (change.before && MemberOf(*change.before) != member) EnqueueNode(pod.meta.ns, MemberOf(*change.before), priority);
}

void World::OnHost(const watch::Change<api::Node>& change) {
  const auto& a = change.before;
  const auto& b = change.after;
  const bool other_pods = !a || !b || !a->TakesTheSame(*b);
  const bool readiness = !a || !b || a->ready != b->ready;
  {
    std::lock_guard lock(mutex_);
    fleet_.reset();  // also after a heartbeat: else it would keep a second copy of each Node
    if (other_pods || readiness) ++fleet_version_;
  }
  if ((!other_pods && !readiness) || change.initial) return;
  const bool matters = readiness || a->zone != b->zone || a->unschedulable != b->unschedulable ||
                       a->OutOfService() != b->OutOfService();
  if (matters) {
    for (const auto& pod : pods.cache.Find(kByHost, change.key)) {
      EnqueueNode(pod->meta.ns, MemberOf(*pod), watch::Priority::kNormal);
    }
  }
  if (!other_pods) return;
  for (const auto* store : {&cache_clusters, &read_replicas}) {
    for (const auto& node : store->cache.Find(kWithoutNode, kYes)) enqueue_(KeyOfNode(*node), watch::Priority::kNormal);
  }
}

std::shared_ptr<const plan::Fleet> World::Fleet() const {
  uint64_t version = 0;
  {
    std::lock_guard lock(mutex_);
    if (fleet_ && fleet_->version == fleet_version_) return fleet_;
    version = fleet_version_;
  }
  plan::Fleet fleet{version, hosts.cache.All(), {}};
  for (const auto& host : fleet.nodes) {
    if (host->ready && !host->unschedulable && !host->zone.empty()) fleet.zones.insert(host->zone);
  }
  auto made = std::make_shared<const plan::Fleet>(std::move(fleet));
  std::lock_guard lock(mutex_);
  if (!fleet_ || fleet_->version < version) fleet_ = made;
  return made;
}

template <typename T>
void World::OnChild(const watch::Change<T>& change) {
  for (const auto& child : {change.before, change.after}) {
    if (!child) continue;
    const std::string& ns = child->meta.ns;
    const std::string owner = child->meta.Annotation(api::kOwnerAnnotation);
    const size_t slash = owner.find('/');
    if (slash != std::string::npos) {
      const std::string name = owner.substr(slash + 1);
      const bool group = owner.compare(0, slash, "ReplicationGroup") == 0;
      if (group) enqueue_(GroupKey(ns, name), PriorityOf(change.initial));
      if (!group) EnqueueNode(ns, name, PriorityOf(change.initial));
      continue;
    }
    // A foreign object: of interest only if one of ours derives its name.
    if (change.initial) continue;
    std::string name = child->meta.name;
    for (const std::string suffix : {"", "-node", "-reader"}) {
      if (name.size() <= suffix.size() || name.compare(name.size() - suffix.size(), suffix.size(), suffix) != 0) continue;
      const std::string base = name.substr(0, name.size() - suffix.size());
      EnqueueNode(ns, base, watch::Priority::kNormal);
      if (groups.cache.Get(watch::ObjectKey(ns, base))) enqueue_(GroupKey(ns, base), watch::Priority::kNormal);
    }
  }
}

void World::EnqueueNamespace(const std::string& ns) const {
  for (const auto& group : GroupsOf(ns)) enqueue_(GroupKey(ns, group->object.meta.name), watch::Priority::kNormal);
  for (const auto& node : NodesOf(ns)) enqueue_(KeyOfNode(*node), watch::Priority::kNormal);
}

std::vector<api::Pod> World::VanishedPods(const std::string& ns, const std::string& member) const {
  std::vector<api::Pod> found;
  std::lock_guard lock(mutex_);
  for (const auto& [uid, pod] : vanished_) {
    if (pod.meta.ns == ns && MemberOf(pod) == member) found.push_back(pod);
  }
  return found;
}

std::vector<api::Pod> World::AllVanishedPods() const {
  std::vector<api::Pod> found;
  std::lock_guard lock(mutex_);
  for (const auto& [uid, pod] : vanished_) found.push_back(pod);
  return found;
}

void World::ForgetPod(const std::string& uid) {
  nodes_.RemoveTarget(uid);
  nodes_.Forget(uid);
  std::lock_guard lock(mutex_);
  vanished_.erase(uid);
}

void World::NoteDeletion(const std::string& uid) {
  const MonoTime now = clock_.Mono();
  std::lock_guard lock(mutex_);
  std::erase_if(deletions_seen_, [&](const auto& entry) { return now - entry.second > Seconds(3600); });
  deletions_seen_[uid] = now;
}

void World::NoteArrival(const api::ObjectMeta& object) {
  const MonoTime now = clock_.Mono();
  std::lock_guard lock(mutex_);
  std::erase_if(arrivals_, [now](const auto& entry) { return now - entry.second.at >= kManifestLimit; });
  arrivals_[object.uid] = {object.ns, now};
}

MonoTime World::ManifestWholeAt(const api::ObjectMeta& node) const {
  std::lock_guard lock(mutex_);
  const auto own = arrivals_.find(node.uid);
  if (own == arrivals_.end()) return {};
  MonoTime last = own->second.at;
  for (const auto& [uid, arrival] : arrivals_) {
    if (arrival.ns == node.ns) last = std::max(last, arrival.at);
  }
  return std::min(last + kManifestPause, own->second.at + kManifestLimit);
}

std::map<std::string, MonoTime> World::DeletionsSeen() const {
  std::lock_guard lock(mutex_);
  return deletions_seen_;
}

}  // namespace understudy::observe
