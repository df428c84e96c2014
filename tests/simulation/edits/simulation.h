// A simulated Kubernetes cluster with several replication groups, users who edit them and faults: the real
// planner, failover machine, watch cache, triggers and views (operator/{plan,failover,observe}) against the
// real node's role machine. One seed is one run; virtual time in ticks of 100 ms; one thread.
//
// Beside tests/simulation, which takes one group's protocol apart message by message, this one is about what
// users do: membership, Promote, Demote, moves, deletion, windows.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/clock.h"
#include "tests/simulation/actor.h"
#include "tests/simulation/edits/api_server.h"
#include "tests/simulation/edits/cache_process.h"
#include "tests/simulation/edits/checks.h"
#include "tests/simulation/edits/kubelet.h"
#include "tests/simulation/edits/operator.h"
#include "tests/simulation/edits/users.h"

namespace understudy::edits {

using simulation::Dice;
using simulation::Violation;

inline constexpr Duration kTick = Milliseconds(100);
extern const std::vector<std::string> kHosts;

// Clock of the operator and the API server. Time that is skipped (weeks until a window) passes here alone: the
// nodes' leases, which are renewed all the time, are simulated only where something happens.
class SimulatedClock final : public Clock {
 public:
  MonoTime Mono() const override { return nodes_ + skipped_; }
  WallTime Wall() const override { return wall_; }
  MonoTime nodes() const { return nodes_; }
  Duration skipped() const { return skipped_; }
  void Advance(Duration d) {
    nodes_ = nodes_ + d;
    wall_.unix_ms += d.ms();
  }
  void Skip(Duration d) {
    skipped_ = skipped_ + d;
    wall_.unix_ms += d.ms();
  }

 private:
  MonoTime nodes_{1'000'000'000'000};
  Duration skipped_;
  WallTime wall_{1'760'000'000'000};
};

struct Options {
  int edits = 100;
  bool faults = true;
};

class Simulation {
 public:
  Simulation(uint64_t seed, Options options);
  ~Simulation();

  // Edits and faults, then healing, until the world rests. The violation, or nothing.
  std::optional<Violation> Run();

  int edits() const { return edits_; }
  int64_t ticks() const { return ticks_; }
  uint64_t acknowledged() const { return checks_->acknowledged(); }
  const std::deque<std::string>& trace() const { return trace_; }

  // -- for its parts
  SimulatedClock& clock() { return clock_; }
  Dice& dice() { return dice_; }
  ApiServer& api() { return *api_; }
  Kubelet& kubelet() { return *kubelet_; }
  OperatorProcess& oper() { return *operator_; }
  Checks& checks() { return *checks_; }
  uint64_t NewNumber() { return ++numbers_; }
  std::string NewHex();
  void Trace(const std::string& text);
  CacheProcess* Process(const std::string& incarnation);
  // The newest process in the node's present Pod; nullptr: none.
  CacheProcess* ProcessOf(const std::string& node);
  std::vector<CacheProcess*> Living();
  CacheProcess& StartProcess(const std::string& node, const std::string& pod_uid, const std::string& host);
  void EndProcess(CacheProcess* process, const char* why);

  // What is sent from one to the other is lost. nullptr: the operator.
  bool Blocked(const CacheProcess* from, const CacheProcess* to) const;
  // By node, "" = the operator; one way.
  void Cut(const std::string& from, const std::string& to, Duration d);
  bool faults_on() const { return faults_on_; }

 private:
  void Tick();
  void Ticks(int n);
  // To the next time at which the operator wants to look, or `most`; false while something is under way. at_rest:
  // nothing is, though a transition may wait for a node that never comes.
  bool SkipTime(Duration most, bool at_rest = false);
  // By what statuses say: the wake for it may stand behind one that comes every second.
  Duration UntilNextWindow() const;
  bool Calm() const;
  void RandomFault();
  void Heal();
  void Settle();
  bool Rest(int most_ticks, int quiet_ticks);
  void CheckRest();

  const Options options_;
  Dice dice_;
  SimulatedClock clock_;
  std::unique_ptr<ApiServer> api_;
  std::unique_ptr<Checks> checks_;
  std::unique_ptr<Kubelet> kubelet_;
  std::unique_ptr<OperatorProcess> operator_;
  std::unique_ptr<Users> users_;
  std::vector<std::unique_ptr<CacheProcess>> processes_;
  std::map<std::string, CacheProcess*> by_incarnation_;
  std::map<std::pair<std::string, std::string>, MonoTime> cuts_;
  std::map<std::string, MonoTime> stopped_;  // incarnation -> until
  bool faults_on_ = false;
  int edits_ = 0;
  int64_t ticks_ = 0;
  uint64_t numbers_ = 0;
  std::deque<std::string> trace_;
};

}  // namespace understudy::edits
