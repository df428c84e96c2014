// The operator's processes, one leading at a time: the real watch caches, triggers, views and plans, carried out
// in the order that operator/plan/plan.h asks for, request by request, so that a run can end it between any two.
//
// Words_ stands in for nodes/NodeTable. A request that was on its way when a process ended arrives later, when
// another one has gone on.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/nodes/nodes.h"
#include "operator/observe/observe.h"
#include "operator/observe/world.h"
#include "operator/plan/plan.h"

namespace understudy::edits {

class Simulation;
class CacheProcess;

// What this operator process hears of nodes. Times are the nodes' clock; Get tells them on the operator's.
class HeardNodes final : public nodes::Nodes {
 public:
  explicit HeardNodes(Simulation& simulation) : simulation_(simulation) {}

  void SetTarget(const nodes::Target& target) override;
  void RemoveTarget(const std::string& pod_uid) override;
  void Forget(const std::string& pod_uid) override;
  std::optional<nodes::Known> Get(const std::string& pod_uid) const override;
  std::vector<failover::LifelineEnd> Lifelines(const std::vector<control::Incarnation>& incarnations) const override;
  MonoTime LastGrant(const std::string& group_uid) const override;

  // Another process leads from now on: it has granted nothing.
  void Lead() { allowed_.clear(), granted_.clear(); }
  // -- once a tick: opens channels, hears heartbeats, grants. changed: owners of Pods that need a plan.
  void Tick(const std::function<void(const std::string& owner)>& changed);
  void OnAnswer(const std::string& pod_uid, const control::NodeState& state,
                const std::function<void(const std::string& owner)>& changed);
  void Reconnect(const std::string& pod_uid);
  void OnEnded(const CacheProcess& process, const std::function<void(const std::string& owner)>& changed);
  void SetGrants(const std::string& group_uid, const failover::Grants& grants) { allowed_[group_uid] = grants; }
  void SetAttentive(const std::string& owner, bool attentive);
  // Words of this Pod come late by so much, until then.
  void Delay(const std::string& pod_uid, Duration by, MonoTime until) { delays_[pod_uid] = {by, until}; }
  bool AllUp() const;

 private:
  struct Late {
    MonoTime at;
    control::NodeState state;
    uint64_t seq = 0;
  };
  struct Slowness {
    Duration by;
    MonoTime until;
  };
  void Hear(const std::string& pod_uid, const control::NodeState& state,
            const std::function<void(const std::string& owner)>& changed);
  MonoTime Told(MonoTime of_nodes) const;

  Simulation& simulation_;
  std::map<std::string, nodes::Target> targets_;  // by Pod UID
  std::map<std::string, nodes::Known> known_;
  std::map<std::string, std::deque<Late>> late_;
  std::map<std::string, Slowness> delays_;
  std::map<std::string, failover::LifelineEnd> lifelines_;
  std::map<std::string, std::string> lifeline_pods_;
  std::map<std::string, failover::Grants> allowed_;  // by group UID
  std::map<std::string, MonoTime> granted_;
  std::set<std::string> attentive_;
};

class OperatorProcess {
 public:
  explicit OperatorProcess(Simulation& simulation);

  void Tick();
  // It ends now, or after so many more requests; the next one leads after `down`. warm: a standby had watched,
  // so only what is remembered from plan to plan is lost.
  void Crash(int after_requests, Duration down, bool warm);
  void Restart();  // now, if it is down
  bool Up() const { return up_; }
  // The caches of this kind show nothing new for so long.
  void HoldWatch(const std::string& kind, Duration d);
  void HealWatches() { held_.clear(); }
  void LoseOrders(Duration d);
  void OnProcessEnded(const CacheProcess& process);

  HeardNodes& heard() { return *heard_; }
  const observe::World& world() const { return *world_; }
  // Writes and orders so far: a world at rest adds none.
  int64_t requests() const { return requests_; }
  // What is being written was decided by an operator that has ended since.
  bool delivers_late() const { return delivers_late_; }
  const std::string& last_request() const { return last_request_; }
  // When it wants to look next without a change, beyond the minute in which something always looks again.
  std::optional<MonoTime> NextWake() const;
  bool Calm() const { return up_ && queue_.empty() && flights_.empty() && declared_.empty() && held_.empty(); }
  bool Attentive() const { return !attentive_.empty(); }

 private:
  struct Flight {  // an order on its way
    MonoTime at;
    std::string pod_uid;
    control::Order order;
  };
  struct Declared {  // parameters on their way
    MonoTime at;
    plan::OutgoingParameters out;
  };
  void Start(bool warm);
  void ShowEvents();
  void Deliver();
  void Enqueue(const std::string& key);
  void Reconcile(const std::string& key);
  bool ReconcileGroup(const std::string& name);
  bool ReconcileLone(api::NodeKind kind, const std::string& name);
  bool ReconcileOrphans();
  // False: a request failed, or the process has ended.
  bool Carry(const std::string& group_uid, const plan::Plan& plan);
  bool WriteStatus(const plan::StatusWrite& write);
  bool Act(const plan::Action& action);
  void SendOrder(const failover::OutgoingOrder& out);
  bool Take(const std::string& what);  // one request; false: the process ends before it
  void NodeChanged(const std::string& owner);
  void Wrote(const std::string& kind, const Json& object);

  Simulation& simulation_;
  std::unique_ptr<HeardNodes> heard_;
  std::unique_ptr<observe::World> world_;
  std::unique_ptr<observe::Observer> observer_;
  plan::Settings settings_;
  std::map<std::string, plan::Memory> memories_;
  std::map<std::string, MonoTime> announced_;
  std::set<std::string> queue_;
  std::map<std::string, MonoTime> wakes_;  // operator's clock
  std::set<std::string> attentive_;
  std::map<std::string, MonoTime> held_;  // kind -> until, nodes' clock
  std::vector<Flight> flights_;
  std::vector<Declared> declared_;
  template <typename T>
  struct Late {  // of an ended process
    MonoTime at;
    T what;
  };
  std::vector<Late<plan::Action>> late_actions_;
  std::vector<Late<plan::StatusWrite>> late_writes_;
  bool delivers_late_ = false;
  MonoTime orders_lost_until_;
  bool up_ = true;
  bool warm_ = false;
  MonoTime down_until_;
  int requests_left_ = -1;  // before it ends; -1: it does not
  Duration down_for_;
  std::string term_;
  MonoTime acquired_;
  int64_t requests_ = 0;
  std::string last_request_;
};

}  // namespace understudy::edits
