// One process of the simulated operator: the real failover machine with a node table, leader
// election and API calls around it, written the way its contract (machine.h) asks.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "operator/failover/machine.h"
#include "tests/simulation/actor.h"
#include "tests/simulation/api_server.h"

namespace understudy::simulation {

class World;
class NodeProcess;

class OperatorProcess : public Actor {
 public:
  OperatorProcess(World& world, std::string at);

  std::string identity;

  MonoTime Now() const;
  bool leads() const { return leads_; }
  bool Valid() const;
  void StartTimers();
  // Graceful end of leadership: grants stop first.
  void Release();

  // -- messages
  void OnReply(uint64_t request, bool ok, int64_t version, const failover::GroupState& status,
               const GroupSpec& spec);
  void OnSlice(const std::string& pod_uid);
  void OnLease(bool ok, const std::string& holder, int64_t version, MonoTime sent, bool put);
  void OnHello(NodeProcess* from, const control::NodeState& state, uint64_t order, MonoTime begun);
  void OnWords(NodeProcess* from, const control::NodeState& state, uint64_t order,
               uint64_t heartbeat);
  void OnLifelineEnd(NodeProcess* of);
  void OnRefused(const std::string& pod_uid, MonoTime begun);

 private:
  struct Peer {
    failover::Channel channel;
    std::string incarnation;
    uint64_t order = 0;
    std::optional<failover::Heard> heard;
    std::optional<failover::Heard> answer;
    MonoTime tried;
  };

  void Tick();
  void TryConnect(const std::string& pod_uid);
  void Decide();
  failover::View BuildView() const;
  void Apply(failover::Decision decision);
  void Put(const failover::GroupState& state);
  void WakeAt(MonoTime at);
  failover::LifelineEnd& LifelineOf(const std::string& incarnation);
  void NoteHeard(Peer& peer, const control::NodeState& state, uint64_t order);

  World& world_;
  bool leads_ = false;
  std::string term_;
  MonoTime renewed_;
  MonoTime acquired_;
  MonoTime predecessors_until_;
  MonoTime lease_next_;
  int64_t lease_version_ = -1;
  MonoTime lease_seen_;

  std::optional<failover::GroupState> state_;
  GroupSpec spec_;
  int64_t version_ = -1;
  int64_t least_version_ = -1;  // after a conflict: nothing before a newer one was read
  struct Request {
    uint64_t id;
    MonoTime at;
    bool put;
  };
  std::optional<Request> request_;
  MonoTime read_next_;
  bool must_read_ = true;

  std::map<std::string, Peer> peers_;  // by Pod UID
  std::vector<failover::LifelineEnd> lifelines_;
  failover::Memory memory_;
  failover::Grants grants_;
  MonoTime last_grant_;
  std::string slice_;
  std::string slice_sent_;
  MonoTime slice_sent_at_;
  MonoTime wake_;
  uint64_t order_ids_ = 0;
  bool deciding_ = false;
};

}  // namespace understudy::simulation
