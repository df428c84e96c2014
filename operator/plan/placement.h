// Whether any Node of the cluster could take a Pod if nothing else ran on it.
//
// A Pod that runs is not given up for one that would be Pending until somebody corrects its template. Only what the
// scheduler asks of each Node by itself is asked here, as Kubernetes asks it: labels, taints, whether it is cordoned,
// what it has for Pods. Room that other Pods take, spreading and affinity between Pods are not: they change without
// an edit. What is not understood counts as fitting, and so does a Node that is not ready: it may come back.
// Source: Kubernetes, "Assigning Pods to Nodes", "Taints and Tolerations", "Resource Management".
// Pure; O(Nodes), and once per template and list of Nodes (Placement).
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/json.h"
#include "operator/api/builtins.h"
#include "operator/api/cache_node.h"

namespace understudy::plan {

// The Kubernetes Nodes; shared by views and never changed.
struct Fleet {
  uint64_t version = 0;  // of this process: the same as long as the Nodes take the same Pods
  std::vector<std::shared_ptr<const api::Node>> nodes;
  std::set<std::string> zones;  // of those that are ready and schedulable
};

// An answer, for as long as both versions hold.
struct Placement {
  std::string template_hash;
  uint64_t fleet_version = 0;
  std::string why_not;  // "" = some Node takes it
};

// Why no Node can take the Pod of this StatefulSet, in a sentence without a full stop; "" when one can, or nothing is
// known of Nodes. zone: that the node object asks for; "" = any.
std::string WhyNoNodeTakes(const Json& stateful_set, const std::string& zone, const Fleet& fleet);

// Its status says so: its settings wait for a Node.
bool IsHeldBack(const api::CacheNodeStatus& status);

}  // namespace understudy::plan
