// The simulated world: virtual time, the network, Pods, two operator processes, the API server,
// faults, and the invariants of FAILOVER.md section 10, checked after every step.
//
// One World is one run. Everything that happens follows from its seed; faults are drawn before the
// run starts, each with numbers of its own, so that a story or a fault can be left out alone.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "node/role/rule_set.h"
#include "operator/failover/machine.h"
#include "tests/simulation/actor.h"
#include "tests/simulation/api_server.h"
#include "tests/simulation/node.h"
#include "tests/simulation/operator_process.h"

namespace understudy::simulation {

// Which rules are in force; all, unless a story shows what breaks without one.
struct RuleSwitches {
  failover::Rules machine;
  role::RuleSet node;
  bool renew_from_sending = true;  // H9: leadership counts from when the renewal was sent
  bool wait_for_predecessors = true;  // a new leader counts what the one before it may have granted
};

// Something that happens at a time, or right after a step was persisted and before anybody acts on
// it.
struct PlannedFault {
  std::variant<int64_t, std::string> when;  // milliseconds, or a label ("takeover:fence")
  std::string command;  // story language (faults.cc), or the name of a random fault
  uint64_t seed = 0;    // of a random fault; 0 = a command
};

struct Story {
  int replicas = 1;
  int synchronous_replicas = 0;
  int64_t end_ms = 16000;
  bool automatic_failover = true;
  bool frozen_clock = false;  // a stopped process's clock stands still
  std::map<std::string, double> rates;
  std::vector<PlannedFault> plan;
  int64_t lease_ms[3] = {6000, 4000, 1000};  // leader election
};

struct Options {
  RuleSwitches rules;
  const Story* story = nullptr;  // nullptr: random faults
  bool trace = false;
  bool from_nothing = false;   // begin with an empty status, not with an established group
  std::set<size_t> leave_out;  // random faults by index
};

struct Pod {
  std::string member;
  std::string uid;
  NodeProcess* process = nullptr;  // the latest
  bool exists = true;
  std::vector<std::string> terminated;  // the kubelet's word about its processes
};

class World : public Actor {
 public:
  World(uint64_t seed, Options options);
  ~World() override;

  // Runs to the end. The violation, or nothing.
  std::optional<Violation> Run();

  // -- for tests
  uint64_t acknowledged() const { return acknowledgements_; }
  uint64_t events() const { return events_; }
  size_t planned_faults() const { return planned_; }
  const std::vector<std::string>& trace() const { return trace_; }
  std::string Describe() const;  // R and S

  // -- for the actors
  int64_t now_us() const { return now_us_; }
  WallTime Wall() const { return {1'700'000'000'000 + now_us_ / 1000}; }
  Dice& dice() { return dice_; }
  const Options& options() const { return options_; }
  ApiServer& api() { return *api_; }
  std::vector<std::unique_ptr<OperatorProcess>>& operators() { return operators_; }
  const std::vector<Pod>& pods() const { return pods_; }
  Pod* PodOf(const std::string& member);
  Pod* PodByUid(const std::string& uid);
  NodeProcess* Process(const std::string& incarnation);
  std::string NewId(const char* prefix) { return prefix + std::to_string(++ids_); }
  uint64_t NewNumber() { return ++ids_; }
  double RateOf(const std::string& location);

  void At(int64_t delay_us, Actor& who, std::function<void()> act);
  void Send(Actor& from, Actor& to, const char* kind, std::function<void()> deliver);
  bool Blocked(const Actor& from, const Actor& to) const;
  bool Rejecting(const Actor& from, const Actor& to) const;
  void Trace(const std::string& text) {
    if (options_.trace) AddTrace(text);
  }
  bool tracing() const { return options_.trace; }
  OperatorProcess* OperatorAt(const std::string& location);
  bool stale_reads() const { return stale_; }

  // -- invariants (invariants.cc)
  void Acknowledged(NodeProcess& by, size_t offset, uint32_t write);
  void Promoted(NodeProcess& node, uint64_t epoch);
  void Demoted(NodeProcess& node) { primaries_.erase(&node); }
  void Dropped(NodeProcess& node);
  void Lowered(uint32_t synchronous_replicas);
  // A step that planned faults may wait for: a write of the status, or a demotion that was sent.
  void Reached(OperatorProcess& by, const std::string& label);
  void Persisted(OperatorProcess& by, const failover::GroupState& before,
                 const failover::GroupState& after);
  uint32_t NewWrite() { return ++writes_; }

 private:
  struct Event {
    int64_t at_us;
    uint64_t order;
    Actor* who;
    std::function<void()> act;
  };
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      return a.at_us != b.at_us ? a.at_us > b.at_us : a.order > b.order;
    }
  };
  struct Hold {
    bool again;  // deliver now, and once more after delay
    std::string kind;
    std::string to;
    int64_t delay_us;
  };
  struct Protected {
    uint32_t synchronous_replicas;
    std::pair<uint64_t, size_t> at;  // epoch, offset
  };

  void AddTrace(const std::string& text);
  void Establish();
  void DrawFaults();
  void ClientWrites();

  // -- faults (faults.cc)
  void Inject(const PlannedFault& fault, OperatorProcess* op);
  void RandomFault(const std::string& kind, uint64_t seed, OperatorProcess* op);
  void RandomEdit(const std::string& kind, Dice& dice);
  void Command(const std::string& commands);
  void Obey(const std::vector<std::string>& words);
  void Cut(const std::string& a, const std::string& b, int64_t ms, bool both = true);
  void Kill(NodeProcess& node, bool failure = true);
  void Restart(const std::string& member);
  void Stop(Actor& actor, int64_t ms);
  void Wake(Actor& actor);
  void CrashOperator(const std::string& at, int64_t ms);
  void StartOperator(const std::string& at);
  void ForceDelete(const std::string& member, int64_t ms, const std::vector<std::string>& far);
  void Report(NodeProcess& node);
  void EndAfterTerm(NodeProcess& node, int checks);
  void Reject(const std::string& member, int64_t ms);
  void Remove(const std::string& member);
  void Reap(const std::string& member);
  void AddMember(const std::string& member);
  NodeProcess& StartProcess(Pod& pod);
  Pod& NewPod(const std::string& member);
  void Heal();

  // -- invariants
  void CheckLeases();
  void CheckEnd();
  void Failed(NodeProcess& node);
  bool EverListed(const std::string& incarnation) const {
    return ever_listed_.contains(incarnation);
  }

  Options options_;
  Dice dice_;
  int64_t now_us_ = 0;
  uint64_t order_ = 0;
  uint64_t events_ = 0;
  uint64_t ids_ = 0;
  bool done_ = false;
  std::priority_queue<Event, std::vector<Event>, Later> queue_;
  std::vector<std::string> trace_;

  std::unique_ptr<ApiServer> api_;
  std::vector<std::unique_ptr<OperatorProcess>> operators_;  // present ones
  std::vector<std::unique_ptr<OperatorProcess>> ended_operators_;
  std::vector<std::unique_ptr<NodeProcess>> processes_;
  std::map<std::string, NodeProcess*> by_incarnation_;
  std::vector<Pod> pods_;
  std::map<std::string, double> rates_;

  std::map<std::pair<std::string, std::string>, int64_t> cuts_;  // until
  std::map<std::pair<std::string, std::string>, int64_t> lagging_;
  std::map<std::pair<std::string, std::string>, int64_t> rejecting_;
  std::vector<Hold> holds_;
  bool stale_ = false;
  int64_t slow_until_us_ = 0;
  double loss_ = 0, duplicates_ = 0, late_ = 0;
  bool drift_ = false;
  int64_t end_us_ = 0;
  std::vector<PlannedFault> plan_;
  size_t planned_ = 0;
  int members_made_ = 0;
  int replicas_ = 0;

  std::set<NodeProcess*> primaries_;
  uint32_t writes_ = 0;
  uint64_t acknowledgements_ = 0;
  uint64_t last_epoch_ = 0;
  int64_t last_acknowledged_us_ = 0;
  int64_t last_persisted_us_ = 0;
  std::map<uint32_t, Protected> protected_;
  std::map<uint32_t, std::pair<uint64_t, size_t>> unprotected_;  // S = 0: write -> (epoch, offset)
  std::map<uint32_t, std::set<std::string>>
      failed_;  // write -> incarnations that held it and failed
  std::set<std::string> ever_listed_;
  std::map<uint64_t, Log> promoted_logs_;  // epoch -> what its primary held when it was promoted
};

}  // namespace understudy::simulation
