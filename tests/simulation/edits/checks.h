// What must hold in every step of a run, and what of it was promised to whom: the invariants of FAILOVER.md
// section 10 for several groups, and API.md's rules of verbs, windows and deletions. Throws Violation.
//
// Told by the processes and the operator as things happen; looks at the API server for what was declared.
#pragma once

#include <map>
#include <set>
#include <string>

#include "node/role/role_machine.h"
#include "operator/plan/group_view.h"
#include "operator/plan/plan.h"
#include "tests/simulation/edits/cache_process.h"

namespace understudy::edits {

class Simulation;

class Checks {
 public:
  explicit Checks(Simulation& simulation) : simulation_(simulation) {}

  // -- processes
  void Acknowledges(const CacheProcess& process, const Record& record, size_t offset);
  void BecomesPrimary(const CacheProcess& process, const std::string& group, uint64_t epoch,
                      const control::Configuration& configuration);
  void ActsUnder(const CacheProcess& process, const control::Configuration& configuration);
  void BecomesReplica(const CacheProcess& process, const role::BecomeReplica& order);
  void BecomesStandalone(const CacheProcess& process, const std::string& uid);
  void Parted(const std::string& from, const std::string& dataset);
  // An order was accepted; group() and role() are the new ones.
  void Obeys(const CacheProcess& process, const control::Order& order);
  void StartsEmpty(const CacheProcess& process);
  void Loads(const CacheProcess& process, const CacheProcess& from);
  void Resynchronised(const CacheProcess& process);
  void Deposed(const CacheProcess& process);
  void Ended(const CacheProcess& process);

  // -- operator
  void WroteStatus(const Json& before, const Json& after);
  void Deletes(const api::ObjectRef& ref, int64_t grace_seconds);  // -1: of its own; 0: by force

  // -- users: what was ever allowed to be dropped, and asked for
  void Declared(const Json& node);
  void AskedForPrimary(const Json& group);

  // -- every tick
  void Look();

  // All that a new process would be started with is in force in this one.
  bool HasParameters(const CacheProcess& process) const;

  // Pending modifications that waited for members while their window was open, by object and field.
  bool WasHeld(const std::string& uid, const std::string& field) const { return held_.contains({uid, field}); }
  void ForgetHeld() { held_.clear(); }

  uint64_t acknowledged() const { return acknowledged_; }

 private:
  struct Acked {
    uint64_t epoch = 0;
    size_t offset = 0;
    uint32_t synchronous_replicas = 0;
  };
  struct Ledger {  // of a group, or of a node that stands alone
    std::map<uint64_t, Acked> writes;
    uint64_t last_epoch = 0;
  };

  void CheckLoss(const CacheProcess& process, const std::string& group, uint64_t epoch);
  void CheckEmpty(const CacheProcess& process, const std::string& group);
  // Why its data may not go when it joins the group; "" = it may.
  std::string WhyKept(const CacheProcess& process, const std::string& group_uid) const;
  void Failed(const CacheProcess& process);
  void Emptied(const plan::GroupObject& group);
  void CheckGroup(const plan::GroupObject& before, const plan::GroupObject& after);
  void CheckNode(const api::CacheNode& before, const api::CacheNode& after);
  bool InWindow(const api::CacheNode& node, Duration needed) const;
  bool InWindow(const api::ReplicationGroup& group, Duration needed) const;
  void CheckReplacement(const std::string& pod);
  // The object that the Pod was made for is there, and is not being removed.
  bool IsDeclared(const std::string& pod) const;
  void CheckEnd(const std::string& pod, const CacheProcess& process);
  void CheckSuccessors();

  Simulation& simulation_;
  uint64_t acknowledged_ = 0;
  std::set<std::pair<std::string, std::string>> held_;
  std::map<std::string, Ledger> ledgers_;                       // by UID
  std::map<uint64_t, std::set<std::string>> failed_;            // write -> incarnations that held it and failed
  std::set<std::string> deposed_;                               // incarnations not resynchronised since
  std::map<std::string, std::string> group_of_;                 // incarnation -> UID of the last group it was in
  std::map<std::string, std::map<std::string, int64_t>> discardable_;  // node UID -> data set -> last tick declared
  std::map<std::string, std::string> came_from_;                // data set -> the one that it parted from
  std::map<std::string, std::string> replacing_;                // group UID -> member whose Pod is being replaced
  std::map<std::string, int> asked_;                            // group UID/name -> edits that ask for it
  std::map<std::string, int> switched_;                         // the same -> switchovers that followed
};

}  // namespace understudy::edits
