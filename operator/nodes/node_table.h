// What every cache node says, as this operator process hears it, and the way to give it orders.
//
// One link per Pod with an address: a control channel (FAILOVER.md section 3) and, once a process answered
// on it, a lifeline to that incarnation. All links live on a few threads of one io_context; there is no
// thread and no timer per heartbeat. Both operator processes hold links; only the leader's plans order and
// grant. What is known of a Pod stays after its link ended, until Forget: proofs of death need it.
//
// Threads: every public method may be called by any thread and none waits for the network. The change
// callback runs on a link thread with no lock held; it must not block.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/clock.h"
#include "common/control/messages.h"
#include "common/metrics.h"
#include "operator/failover/machine.h"
#include "operator/failover/view.h"
#include "operator/kube/leader_lease.h"
#include "operator/nodes/nodes.h"
#include "operator/nodes/operator_key.h"

namespace understudy::nodes {

class Link;
class LinkPool;

struct Options {
  std::string identity;             // of this operator process, for the nodes' logs
  uint16_t admin_port = 8379;
  int threads = 2;
  std::function<kube::Leadership()> leadership;  // as of now; any thread
  // A change that a plan looks at (operator/plan NeedsPlan); others only update what Get shows.
  std::function<bool(const control::NodeState& before, const control::NodeState& after)> matters;
};

class NodeTable final : public Nodes {
 public:
  // key, clock, registry must outlive the table.
  NodeTable(Options options, const OperatorKey& key, const Clock& clock, metrics::Registry& registry);
  ~NodeTable() override;

  // on_change(owner): something that a plan looks at changed. Before the first SetTarget.
  void Start(std::function<void(const std::string& owner)> on_change);
  void Stop();

  void SetTarget(const Target& target) override;
  void RemoveTarget(const std::string& pod_uid) override;
  void Forget(const std::string& pod_uid) override;
  // Pod UIDs that are known, with or without a link.
  std::vector<std::string> PodUids() const;

  std::optional<Known> Get(const std::string& pod_uid) const override;
  std::vector<failover::LifelineEnd> Lifelines(const std::vector<control::Incarnation>& incarnations) const override;

  // Sends over the channel of the order's incarnation; dropped when there is none (the plan sends again).
  // id and, for role orders, replication_key are filled in here.
  void SendOrder(const std::string& pod_uid, control::Order order);
  void SendParameters(const std::string& pod_uid, const control::Parameters& parameters);
  void Reconnect(const std::string& pod_uid);
  // While true every heartbeat of the owner's Pods counts as a change: a transition is under way.
  void SetAttentive(const std::string& owner, bool attentive);

  // ---- Grants (FAILOVER.md section 5): given on the link's thread, at once, as the last plan allows -----
  // under: acquired_at of the leadership that the plan was made under; it allows nothing to a later one.
  void SetGrants(const std::string& group_uid, const failover::Grants& grants, MonoTime under);
  MonoTime LastGrant(const std::string& group_uid) const override;

 private:
  friend class Link;
  struct GroupGrants {
    failover::Grants allowed;
    MonoTime under;
    MonoTime last;
  };

  // Called by links, on their threads.
  void OnUp(const Target& target, MonoTime begun_at, const control::NodeState& state);
  void OnDown(const Target& target);
  void OnState(const Target& target, const control::NodeState& state);
  // True: answer the heartbeat with a grant; the time of the grant is on record already.
  bool MayGrant(const control::NodeState& state);
  void OnLifelineFin(const Target& target, const control::Incarnation& incarnation);
  void OnRefused(const Target& target, const control::Incarnation& incarnation, MonoTime begun_at);
  void Changed(const std::string& owner);
  std::shared_ptr<Link> FindLink(const std::string& pod_uid) const;  // nullptr: no target of that Pod

  const Options options_;
  const OperatorKey& key_;
  const Clock& clock_;
  std::function<void(const std::string&)> on_change_;
  std::unique_ptr<LinkPool> pool_;
  metrics::Counter& heartbeats_;
  metrics::Counter& grants_given_;
  metrics::Gauge& channels_up_;

  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Link>> links_;                    // mutex_; by Pod UID
  std::map<std::string, Known> known_;                                    // mutex_; by Pod UID
  std::map<control::Incarnation, failover::LifelineEnd> lifeline_ends_;   // mutex_
  std::map<control::Incarnation, std::string> lifeline_pods_;             // mutex_; incarnation -> Pod UID
  std::map<std::string, GroupGrants> grants_;                             // mutex_; by group UID
  std::set<std::string> attentive_;                                       // mutex_; owners
  std::atomic<uint64_t> next_order_id_ = 1;
  int64_t up_ = 0;                                                        // mutex_
};

}  // namespace understudy::nodes
