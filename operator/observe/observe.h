// Views for plans, read from memory: the World and the node table. No network. Any thread.
// nullopt: the object is gone, or another key answers for it.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "operator/kube/leader_lease.h"
#include "operator/observe/world.h"
#include "operator/plan/group_view.h"
#include "operator/plan/plan.h"

namespace understudy::observe {

// Fresh ids for one call (drawn by the caller: nothing here is random).
struct Fresh {
  uint64_t nonce = 1;
  std::string dataset;
};

class Observer {
 public:
  Observer(const World& world, const nodes::Nodes& nodes, plan::Settings settings)
      : world_(world), nodes_(nodes), settings_(std::move(settings)) {}

  std::optional<plan::GroupView> Group(const std::string& ns, const std::string& name, plan::Memory memory,
                                       const kube::Leadership& leadership, const Fresh& fresh) const;
  std::optional<plan::LoneView> Lone(api::NodeKind kind, const std::string& ns, const std::string& name, plan::Memory memory,
                                     const kube::Leadership& leadership, const Fresh& fresh) const;
  plan::OrphanView Orphans(std::map<std::string, MonoTime> announced) const;
  // UIDs of vanished Pods that no group's state names: what is known of them may go.
  std::vector<std::string> ForgettablePods() const;

 private:
  plan::NodeView NodeViewOf(const api::CacheNode& node) const;
  failover::PodView Process(const api::Pod& pod, bool exists) const;
  void AddHost(const api::Pod& pod, std::map<std::string, api::Node>* hosts, std::set<std::string>* lost) const;
  std::vector<plan::NameClaim> Claims(const std::string& ns, std::string_view kind, const std::string& name) const;
  bool Terminating(const std::string& ns) const;
  std::optional<api::ConfigMap> KeyMap(const std::string& ns) const;

  const World& world_;
  const nodes::Nodes& nodes_;
  const plan::Settings settings_;
};

}  // namespace understudy::observe
