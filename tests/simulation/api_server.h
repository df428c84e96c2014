// The API server as far as failover sees it: one object with spec and status under one
// resourceVersion, the primary's EndpointSlice, and the Lease of the leader election. Linearisable
// for writes; reads may be stale.
#pragma once

#include <string>
#include <vector>

#include "operator/failover/state.h"
#include "tests/simulation/actor.h"

namespace understudy::simulation {

class World;
class OperatorProcess;

struct GroupSpec {
  std::vector<std::string> names;  // members
  uint32_t synchronous_replicas = 0;
  uint32_t lease_ms = 2000;
  bool automatic_failover = true;
  uint64_t switch_number = 0;  // counts switchover requests
  std::string switch_to;
};

class ApiServer : public Actor {
 public:
  struct Version {
    int64_t at_us = 0;
    int64_t version = 0;
    failover::GroupState status;
    GroupSpec spec;
  };

  ApiServer(World& world, failover::GroupState status, GroupSpec spec);

  const failover::GroupState& status() const { return history_.back().status; }
  const GroupSpec& spec() const { return history_.back().spec; }
  const std::string& slice() const { return slice_; }
  void ChangeSpec(GroupSpec spec);
  // The status of the beginning comes back under a new version (a store restored from its backup).
  void Rollback();
  bool rolled_back() const { return rolled_back_; }

  void OnGet(OperatorProcess& from, uint64_t request);
  void OnPut(OperatorProcess& from, uint64_t request, int64_t version,
             const failover::GroupState& status);
  void OnPutSlice(OperatorProcess& from, const std::string& pod_uid);
  void OnGetLease(OperatorProcess& from, MonoTime sent);
  void OnPutLease(OperatorProcess& from, int64_t version, MonoTime sent);
  void OnDropLease(OperatorProcess& from, int64_t version);

 private:
  World& world_;
  std::vector<Version> history_;
  std::string slice_;
  bool rolled_back_ = false;
  std::string lease_holder_;
  int64_t lease_version_ = 0;
};

}  // namespace understudy::simulation
