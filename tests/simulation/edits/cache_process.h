// One process of a cache node: the real role machine, gate, copy rules and options around a replication stream that is
// a list of numbered writes.
//
// Coarser than tests/simulation/node.h, which searches the protocol's interleavings: all processes move in
// steps of a tick, what passes between two nodes in one tick arrives or does not, clocks agree. What it adds is
// what verbs need: several groups, data sets of their own, standing alone.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "node/config/config.h"
#include "node/config/declaration.h"
#include "node/role/copy_rules.h"
#include "node/role/role_gate.h"
#include "node/role/role_machine.h"

namespace understudy::edits {

class Simulation;

struct Record {
  uint64_t epoch = 0;
  uint64_t number = 0;  // unique
  bool write = false;   // false: the record that begins an epoch
  bool operator==(const Record&) const = default;
};
using Log = std::vector<Record>;

class CacheProcess {
 public:
  CacheProcess(Simulation& simulation, std::string name, std::string pod_uid, std::string incarnation,
               std::string host, const std::vector<std::string>& arguments, bool written_to);

  const std::string name;
  const std::string pod_uid;
  const std::string incarnation;
  const std::string host;
  const bool written_to;  // by clients; a node without keys is another case for most verbs
  bool alive = true;
  bool stopped = false;  // SIGSTOP

  const Log& log() const { return log_; }
  bool complete() const { return complete_; }
  const std::string& dataset() const { return dataset_; }
  const role::RoleMachine& machine() const { return machine_; }
  uint64_t Keys() const;
  bool HasData() const { return complete_ && Keys() > 0; }
  bool Holds(uint64_t write) const { return writes_.contains(write); }
  bool MayAcknowledge(MonoTime now) const;
  bool Loading() const { return load_.has_value(); }
  // Complete and fed by it.
  bool Follows(const CacheProcess& primary) const;

  // -- messages
  control::NodeState OnOrder(const control::Order& order, MonoTime now);
  void OnOperatorGrant(const control::Grant& grant);
  void OnParameters(const control::Parameters& declared) { declaration_.Take(declared); }
  const control::ParametersState& parameters() const { return declaration_.state(); }
  uint64_t NextHeartbeat(MonoTime now) { return machine_.NextRequest(now); }
  control::NodeState State(MonoTime now);
  void OnEnded(const CacheProcess& other);  // its lifeline
  void Terminate() { machine_.SetTerminating(); }
  bool MayExit() const { return machine_.MayExit(); }

  // -- a tick, in this order
  void Pull(MonoTime now);
  void AskLeases(MonoTime now);
  void TakeWrites(MonoTime now);

 private:
  struct Load {
    Log log;
    std::string dataset;
    int ticks = 0;
    std::string from;
  };
  struct Subscriber {
    MonoTime at;
    uint64_t offset = 0;
    bool needs_full_copy = false;
  };
  struct Waiting {
    size_t offset;
    Record record;
    uint64_t generation;
  };

  role::ReplicationFacts Facts(MonoTime now) const;
  void Finish(const std::vector<role::Action>& actions, uint64_t transition, MonoTime now);
  void Perform(const role::Action& action, MonoTime now);
  void SetLog(Log log);
  void Append(Record record);
  void Served(CacheProcess* replica, MonoTime now);  // primary: a replica's pull
  void StartLoad(CacheProcess* from, bool beside);
  void Flush(MonoTime now);

  Simulation& simulation_;
  role::RoleMachine machine_;
  role::RoleGate gate_;
  config::Config config_;
  config::Declaration declaration_;
  Log log_;
  std::set<uint64_t> writes_;
  bool complete_ = false;
  std::string dataset_;

  // replica
  control::NodeRef follows_;
  MonoTime heard_;
  bool copy_only_ = false;
  bool stopped_applying_ = false;
  std::optional<Load> load_;

  // primary
  std::map<std::string, Subscriber> subscribers_;
  std::deque<Waiting> waiting_;
};

}  // namespace understudy::edits
