// Everything that this operator process knows: a Store per kind, the node table, and Pods that vanished.
//
// Also says which keys a change concerns. Keys of the work queue: "g/<namespace>/<name>" for a
// ReplicationGroup, "c/<namespace>/<name>" and "r/…" for a CacheCluster or ReadReplica that no group answers
// for, "orphans".
// Any thread; handlers run on the watchers' threads.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "operator/api/builtins.h"
#include "operator/api/cache_node.h"
#include "operator/nodes/nodes.h"
#include "operator/observe/store.h"
#include "operator/plan/group_view.h"
#include "operator/watch/watcher.h"
#include "operator/watch/work_queue.h"

namespace understudy::observe {

inline constexpr const char* kOrphansKey = "orphans";
inline constexpr Duration kManifestPause = Milliseconds(300);
inline constexpr Duration kManifestLimit = Seconds(1);
std::string GroupKey(const std::string& ns, const std::string& name);
std::string NodeKey(api::NodeKind kind, const std::string& ns, const std::string& name);

class World {
 public:
  // Called with each key that needs a plan.
  using Enqueue = std::function<void(const std::string& key, watch::Priority priority)>;

  World(nodes::Nodes& nodes, const Clock& clock);

  // Before the watchers start.
  void OnChanges(Enqueue enqueue);
  // What to watch, and where it goes.
  std::vector<std::pair<watch::WatchSpec, watch::WatchTarget*>> Watches();
  bool Synced() const;
  // All groups and nodes: after leadership was acquired.
  void EnqueueAll(watch::Priority priority) const;
  // The key whose plan answers for this node now.
  std::string KeyOfNode(const api::CacheNode& node) const;
  // The same for the node of this name (FindNode); "" if there is none.
  std::string KeyOfNode(const std::string& ns, const std::string& name) const;
  // The answer to one of our writes.
  void Wrote(const kube::Resource& resource, const Json& object);

  std::shared_ptr<const api::CacheNode> FindNode(api::NodeKind kind, const std::string& ns, const std::string& name) const;
  // A node by name, whichever kind; null if there is none. When both kinds have the name, the older object: what
  // was made under the name is its own, the younger one is refused.
  std::shared_ptr<const api::CacheNode> FindNode(const std::string& ns, const std::string& name) const;
  std::vector<std::shared_ptr<const api::CacheNode>> NodesOf(const std::string& ns) const;
  std::vector<std::shared_ptr<const plan::GroupObject>> GroupsOf(const std::string& ns) const;

  // The last version of Pods whose object is gone, until they are forgotten.
  std::vector<api::Pod> VanishedPods(const std::string& ns, const std::string& member) const;
  std::vector<api::Pod> AllVanishedPods() const;
  // Ends the link to its process, too.
  void ForgetPod(const std::string& uid);

  // When the manifest that a new node came with is taken to be all there; the default: it was there before this process,
  // or has been known for long. kubectl and what works like it send the documents of a manifest one by one, 50 to 150 ms
  // apart: it is whole when nothing has come to its namespace for kManifestPause, at the latest after kManifestLimit.
  MonoTime ManifestWholeAt(const api::ObjectMeta& node) const;

  // All Kubernetes Nodes; its version is another one when what a Node takes, or whether it is ready, has changed. O(Nodes)
  // for the first who asks after an event of a Node.
  std::shared_ptr<const plan::Fleet> Fleet() const;

  // DELETE events of our three kinds in the last hour: uid -> when.
  std::map<std::string, MonoTime> DeletionsSeen() const;

  Store<plan::GroupObject> groups;
  Store<api::CacheNode> cache_clusters, read_replicas;
  Store<api::Pod> pods;
  Store<api::StatefulSet> stateful_sets;
  Store<api::Service> services;
  Store<api::EndpointSlice> slices;
  Store<api::PodDisruptionBudget> budgets;
  Store<api::ConfigMap> config_maps;
  Store<api::Node> hosts;
  Store<api::Namespace> namespaces;

 private:
  void OnGroup(const watch::Change<plan::GroupObject>& change);
  void OnNode(const watch::Change<api::CacheNode>& change);
  void OnPod(const watch::Change<api::Pod>& change);
  void OnHost(const watch::Change<api::Node>& change);
  template <typename T>
  void OnChild(const watch::Change<T>& change);
  void EnqueueNode(const std::string& ns, const std::string& name, watch::Priority priority) const;
  void EnqueueNamespace(const std::string& ns) const;
  void NoteDeletion(const std::string& uid);
  void NoteArrival(const api::ObjectMeta& object);

  nodes::Nodes& nodes_;
  const Clock& clock_;
  Enqueue enqueue_;

  mutable std::mutex mutex_;
  std::map<std::string, api::Pod> vanished_;          // mutex_; by uid
  std::map<std::string, MonoTime> deletions_seen_;    // mutex_
  struct Arrival {
    std::string ns;
    MonoTime at;
  };
  std::map<std::string, Arrival> arrivals_;  // mutex_; by uid: groups and nodes that came in the last kManifestLimit
  uint64_t fleet_version_ = 1;                        // mutex_
  mutable std::shared_ptr<const plan::Fleet> fleet_;  // mutex_; null, or of an older version: to be made
};

}  // namespace understudy::observe
