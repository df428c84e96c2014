// A small cluster for tests of plans: an API server's rules about versions, finalizers and names, a kubelet
// that makes Pods, and node processes that obey their orders at once.
//
// The failover machine and the codecs are the real ones, so a test says what a user does and looks at what
// becomes of it. Timing, loss and faults of the wires belong to tests/simulation. One thread; time is moved
// by hand.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/plan/group_view.h"
#include "operator/plan/plan.h"

namespace understudy::plan {

inline constexpr const char* kRg = "ReplicationGroup";
inline constexpr const char* kCc = "CacheCluster";
inline constexpr const char* kRr = "ReadReplica";

// The Kubernetes Nodes, each in a zone of its own.
inline const std::vector<std::string> kHosts = {"node-a", "node-b", "node-c"};
inline std::string ZoneOfHost(const std::string& host) { return "zone-" + host.substr(5); }

class World {
 public:
  World();

  // -- what users and other controllers do
  void ApplyYaml(const char* kind, const std::string& name, const std::string& spec);  // spec as JSON
  void Delete(const char* kind, const std::string& name);
  // Deletes the object without its finalizers' leave, as an administrator may.
  void Erase(const char* kind, const std::string& name);
  Json* Get(const char* kind, const std::string& name);  // nullptr if it does not exist
  bool Exists(const char* kind, const std::string& name) { return Get(kind, name) != nullptr; }
  // Sets or (empty value) removes an annotation.
  void Annotate(const char* kind, const std::string& name, const char* key, const std::string& value);
  void Touch(Json* document);  // somebody changed it: a new resourceVersion
  void Put(const char* kind, const std::string& name, Json document);

  // -- what nodes do
  void KillProcess(const std::string& node);       // a new, empty process in the same Pod
  void SetUnschedulable(const std::string& node, const std::string& words);
  // Pods that the operator ended with a second's grace before they went as the garbage of their StatefulSets.
  std::set<std::string> ended_at_once;
  // Kubernetes Nodes that take no Pods.
  std::set<std::string> cordoned;
  // The Kubernetes Nodes as the operator knows them, as documents by name; empty: it knows nothing of what they take.
  // The scheduler of this cluster asks for less than Kubernetes': it places what it is given.
  std::map<std::string, Json> fleet;
  // New Pods of this node do not start, for what the kubelet calls `reason`; "" = they do again.
  void SetBroken(const std::string& node, const std::string& reason);
  // An older node: it changes nothing while it runs, and says nothing of parameters.
  void SetOld(const std::string& node);
  // Parameters that are sent to it are lost.
  void SetMute(const std::string& node, bool mute) { mute_[node] = mute; }
  // The value of an option of its process; "" = its default.
  std::string Option(const std::string& node, const std::string& name);
  // CONFIG SET by a client.
  void SetOption(const std::string& node, const std::string& name, const std::string& value);
  int parameters_sent() const { return parameters_sent_; }
  control::NodeState* Process(const std::string& node);  // nullptr if it has none
  void SetChannel(const std::string& node, bool up);
  void SetSilent(const std::string& node) { processes_.at(node).silent_since = now_; }  // its channel stays up
  void SetHeard(const std::string& node) { processes_.at(node).silent_since.reset(); }
  void SetInSync(const std::string& node, bool in_sync) {
    out_of_sync_[node] = !in_sync;
    UpdateAcks();
  }
  void SetFarBehind(bool far) {  // what the primary says of its replicas' offsets
    far_behind_ = far;
    UpdateAcks();
  }
  void SetDeaf(bool deaf) { deaf_ = deaf; }  // orders to pause are lost

  // -- the operator: one plan for every key, carried out; then once more, until nothing is left to do or
  // `rounds` are over. Between rounds 100 ms pass. True: it came to rest.
  bool Settle(int rounds = 200);
  // One round; the number of writes and orders in it.
  int Round();
  void Advance(Duration d);
  // The operator dies after so many more writes and orders, in the middle of whatever it does.
  void CrashAfter(int steps) { steps_left_ = steps; }
  bool crashed() const { return crashed_; }
  // One more step, for a test that looks at each.
  void OneStep();
  // Another process takes over: it remembers nothing that was not written.
  void RestartOperator();
  void AdvanceTo(WallTime wall) { Advance(Milliseconds(wall.unix_ms - wall_.unix_ms)); }
  WallTime wall() const { return wall_; }
  MonoTime now() const { return now_; }
  void ForgetMemories() { memories_.clear(); }  // another operator process goes on
  // A plan for one key without carrying it out.
  Plan GroupPlan(const std::string& name);
  Plan LonePlan(const char* kind, const std::string& name);

  // -- what one sees
  std::string Column(const char* kind, const std::string& name, const char* path);  // "phase", "role", ...
  std::string Reason(const char* kind, const std::string& name, const char* condition);
  std::string Truth(const char* kind, const std::string& name, const char* condition);
  std::string Message(const char* kind, const std::string& name, const char* condition);
  std::string PodLabel(const std::string& node, const char* label);
  std::string EndpointOf(const std::string& group);  // Pod that the primary slice names
  bool HadEvent(const std::string& reason) const { return Told(reason) > 0; }
  int Told(const std::string& reason, const std::string& about = "") const;  // how often; about: an object's name
  std::string NoteOf(const std::string& reason) const;                       // of the last one
  int writes() const { return writes_; }

  std::map<std::string, MonoTime> first_pod_at;  // by node name: until then its manifest may not be all there

  Settings settings;
  bool namespace_terminating = false;
  bool kubelet_tells_ends = true;  // false: Pods vanish without the kubelet's word that their process has ended

 private:
  struct Process_ {
    std::string pod_uid;
    control::NodeState state;
    bool channel_up = true;
    MonoTime up_since;
    MonoTime down_since;
    std::optional<MonoTime> silent_since;
    std::optional<failover::Heard> answer;
    std::map<std::string, std::string> declared;  // in force, as declared
    std::map<std::string, std::string> options;
    bool old = false;
  };

  static std::string Key(const std::string& kind, const std::string& name) { return kind + "/" + name; }
  bool MayStep();
  bool Carry(const std::string& key, const Plan& plan);
  bool WriteStatus(const StatusWrite& write);
  bool Act(const Action& action);
  void Obey(const failover::OutgoingOrder& out);
  void StartOptions(const std::string& node, Process_* process);
  void Take(const OutgoingParameters& out);
  void RunKubelet();
  std::string HostFor(const Json& pod_spec) const;
  void UpdateAcks();
  std::vector<GroupObject> Groups() const;
  NodeView NodeViewOf(const api::CacheNode& node);
  std::vector<api::CacheNode> Nodes() const;
  failover::PodView PodViewFor(const api::Pod& pod, const std::string& member);
  GroupView GroupViewOf(const GroupObject& group);
  LoneView LoneViewOf(const api::CacheNode& node);
  std::shared_ptr<const Fleet> FleetNow() const;
  std::vector<NameClaim> Claims(const std::set<std::string>& names, const std::set<std::string>& without);
  template <typename T, typename F>
  std::optional<T> Typed(const char* kind, const std::string& name, F parse);

  std::map<std::string, Json> objects_;            // "Kind/name"
  std::map<std::string, Process_> processes_;      // by node name
  std::map<std::string, std::string> unschedulable_;
  std::map<std::string, std::string> broken_;
  std::map<std::string, bool> out_of_sync_;
  std::map<std::string, bool> mute_;
  bool far_behind_ = false;
  bool deaf_ = false;
  std::map<std::string, Memory> memories_;
  std::map<std::string, failover::PodView> vanished_;  // by Pod UID
  std::set<std::string> deletions_seen_;
  std::map<std::string, MonoTime> announced_;
  std::vector<Event> events_;
  MonoTime now_{1'000'000'000'000};
  WallTime wall_{1'760'000'000'000};
  int steps_left_ = -1;  // -1: does not crash
  bool crashed_ = false;
  int terms_ = 1;
  MonoTime leads_since_{1'000'000'000};
  int next_ = 0;
  int writes_ = 0;
  int parameters_sent_ = 0;
};

// The example of README.md: group "examplereplication" of "exampleredis" and "exampleredis-read-1".
void ApplyExample(World* world);

}  // namespace understudy::plan
