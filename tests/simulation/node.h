// One process of a simulated cache node: the real role machine, write lease, gate and copy rules
// around a replication stream that is a list of numbered writes.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "node/role/role_gate.h"
#include "node/role/role_machine.h"
#include "tests/simulation/actor.h"

namespace understudy::simulation {

class World;
class OperatorProcess;

struct Record {
  uint32_t epoch = 0;
  uint32_t write = 0;  // 0: the record that begins an epoch
  bool operator==(const Record&) const = default;
};
using Log = std::vector<Record>;

class NodeProcess : public Actor {
 public:
  NodeProcess(World& world, std::string name, std::string pod_uid, std::string incarnation);

  // -- for the world and its checks
  const std::string name;
  const std::string pod_uid;
  const std::string incarnation;
  Log log;
  bool complete = false;
  std::string dataset;
  bool deposed = false;  // was primary, was demoted, and has not been resynchronised since
  std::vector<OperatorProcess*> operators;

  MonoTime Now() const;
  control::NodeRef Ref() const;
  bool ActsAsPrimary() const {
    return machine_.role() == control::Role::kPrimary && machine_.in_office();
  }
  bool MayAcknowledge() const;
  const role::RoleMachine& machine() const { return machine_; }
  bool HoldsPart() const { return load_.has_value(); }
  const std::string& follows() const { return follows_; }
  bool LinkedTo(const std::string& primary) const;
  // Places it in an established group, as if it had been ordered to.
  void Establish(const control::Configuration& configuration, const std::string& group);
  void StartTimers();

  // -- messages
  void OnOrder(OperatorProcess* from, control::Order order);
  void OnOperatorGrant(const control::Grant& grant);
  void OnConnect(OperatorProcess* from, MonoTime begun);
  void OnLeaseRequest(NodeProcess* from, const control::LeaseRequest& request);
  void OnLeaseAnswer(NodeProcess* from, const control::LeaseGrant& grant);
  void OnClientWrite();
  void OnLifelineEnd(NodeProcess* of);
  void SetUnfit(bool unfit);
  void SetTerminating();

 private:
  struct Load {
    uint64_t id;
    Log data;
    std::string dataset;
  };
  struct Waiting {
    size_t offset;
    uint32_t write;
    uint64_t generation;
  };
  struct Subscriber {
    int64_t at_us;
    uint64_t tx;
  };
  struct Pull {
    NodeProcess* from;
    uint64_t epoch;
    uint64_t tx;
    size_t offset;
    Record last;
    bool complete;
    bool copy;
    std::string dataset;
  };

  void Perform(const std::vector<role::Action>& actions);
  void Finish(const std::vector<role::Action>& actions, uint64_t transition);
  void Observe();
  role::ReplicationFacts Facts() const;
  control::NodeState State() const { return machine_.State(Now()); }
  void Beat();
  void Tick();
  void LeaseTick();
  void AskLease(NodeProcess* voter);
  void SendPull();
  void OnPull(const Pull& pull);
  void OnData(const std::string& primary, uint64_t tx, size_t from, Record previous,
              const Log& records);
  void OnFull(const std::string& primary, uint64_t tx, const Log& data, const std::string& dataset,
              bool beside);
  void OnLoaded(uint64_t id);
  void Flush();
  bool Prefix(size_t offset, Record last) const;
  void TryConnect(NodeProcess* to, int attempts);
  void Lowered(uint32_t synchronous_replicas);

  World& world_;
  role::RoleMachine machine_;
  role::RoleGate gate_;
  int64_t last_beat_us_ = -1'000'000'000;
  bool told_silent_ = false;

  // replica
  std::string follows_;
  MonoTime heard_;
  uint64_t link_epoch_ = 0;
  bool stopped_applying_ = false;
  bool copy_only_ = false;
  uint64_t copy_epoch_ = 0;
  uint64_t tx_ = 0;
  uint64_t rx_ = 0;
  std::optional<Load> load_;

  // primary
  std::map<std::string, size_t> acks_;
  std::map<std::string, int64_t> ack_heard_us_;
  std::map<std::string, Subscriber> subscribers_;
  std::set<std::string> need_full_;
  std::deque<Waiting> waiting_;
  std::deque<std::pair<int64_t, size_t>> offsets_;  // (when, offset), for "in sync"
  uint32_t synchronous_replicas_ = 0;
};

}  // namespace understudy::simulation
