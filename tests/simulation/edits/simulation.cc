#include "tests/simulation/edits/simulation.h"

#include <algorithm>

#include "operator/manifests/manifests.h"
#include "operator/plan/membership.h"

namespace understudy::edits {
namespace {

constexpr size_t kTraced = 1500;  // lines
constexpr Duration kTwoWeeks = Seconds(14 * 86400);

// Of a Pod.
std::vector<std::pair<std::string, std::string>> ArgumentsOf(const Json& pod) {
  const Json set = {{"spec", {{"template", {{"spec", pod.at("spec")}}}}}};
  return manifests::ArgumentsOf(set);
}

}  // namespace

Simulation::Simulation(uint64_t seed, Options options) : options_(options), dice_(seed) {
  api_ = std::make_unique<ApiServer>(clock_);
  checks_ = std::make_unique<Checks>(*this);
  kubelet_ = std::make_unique<Kubelet>(*this);
  operator_ = std::make_unique<OperatorProcess>(*this);
  users_ = std::make_unique<Users>(*this);
}

Simulation::~Simulation() = default;

std::string Simulation::NewHex() {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (int i = 0; i < 4; ++i) {
    uint64_t word = dice_.Next();
    for (int k = 0; k < 8; ++k, word >>= 4) hex += kDigits[word & 15];
  }
  return hex;
}

void Simulation::Trace(const std::string& text) {
  trace_.push_back(std::to_string(ticks_) + " " + text);
  if (trace_.size() > kTraced) trace_.pop_front();
}

// ---- processes

CacheProcess* Simulation::Process(const std::string& incarnation) {
  const auto it = by_incarnation_.find(incarnation);
  return it == by_incarnation_.end() ? nullptr : it->second;
}

CacheProcess* Simulation::ProcessOf(const std::string& node) {
  const Json* pod = api_->Get("Pod", manifests::PodName(node));
  if (pod == nullptr) return nullptr;
  const std::string uid = UidOf(*pod);
  for (auto it = processes_.rbegin(); it != processes_.rend(); ++it) {
    if ((*it)->pod_uid == uid) return it->get();
  }
  return nullptr;
}

std::vector<CacheProcess*> Simulation::Living() {
  std::vector<CacheProcess*> living;
  for (const auto& process : processes_) {
    if (process->alive) living.push_back(process.get());
  }
  return living;
}

CacheProcess& Simulation::StartProcess(const std::string& node, const std::string& pod_uid, const std::string& host) {
  const std::string incarnation = "i" + std::to_string(NewNumber());
  std::vector<std::string> arguments;
  for (const auto& [option, value] : ArgumentsOf(*api_->Get("Pod", manifests::PodName(node)))) {
    arguments.insert(arguments.end(), {"--" + option, value});
  }
  processes_.push_back(
      std::make_unique<CacheProcess>(*this, node, pod_uid, incarnation, host, arguments, dice_.Below(100) < 80));
  by_incarnation_[incarnation] = processes_.back().get();
  Trace(node + " starts as " + incarnation + " on " + host);
  return *processes_.back();
}

void Simulation::EndProcess(CacheProcess* process, const char* why) {
  Trace(process->name + " " + process->incarnation + " ends: " + why);
  checks_->Ended(*process);
  process->alive = false;
  stopped_.erase(process->incarnation);
  if (!Blocked(process, nullptr) && !Blocked(nullptr, process)) operator_->OnProcessEnded(*process);
  for (CacheProcess* other : Living()) {
    if (!other->stopped && !Blocked(process, other) && !Blocked(other, process)) other->OnEnded(*process);
  }
  kubelet_->ContainerEnded(process->pod_uid, process->incarnation);
}

bool Simulation::Blocked(const CacheProcess* from, const CacheProcess* to) const {
  const std::string from_host = from == nullptr ? "" : from->host, to_host = to == nullptr ? "" : to->host;
  if (from_host != to_host && (kubelet_->HostLost(from_host) || kubelet_->HostLost(to_host))) return true;
  const auto cut = cuts_.find({from == nullptr ? "" : from->name, to == nullptr ? "" : to->name});
  return cut != cuts_.end() && clock_.nodes() < cut->second;
}

void Simulation::Cut(const std::string& from, const std::string& to, Duration d) {
  cuts_[{from, to}] = clock_.nodes() + d;
}

// ---- time

void Simulation::Tick() {
  ++ticks_;
  clock_.Advance(kTick);
  const MonoTime now = clock_.nodes();
  std::erase_if(cuts_, [&](const auto& cut) { return now >= cut.second; });
  for (auto it = stopped_.begin(); it != stopped_.end();) {
    if (now < it->second) {
      ++it;
      continue;
    }
    Process(it->first)->stopped = false;
    it = stopped_.erase(it);
  }
  kubelet_->Tick();
  const std::vector<CacheProcess*> living = Living();
  const auto each = [&](void (CacheProcess::*act)(MonoTime)) {
    for (CacheProcess* process : living) {
      if (process->alive && !process->stopped) (process->*act)(now);
    }
  };
  each(&CacheProcess::Pull);
  each(&CacheProcess::AskLeases);
  each(&CacheProcess::TakeWrites);
  checks_->Look();
  operator_->Tick();
  checks_->Look();
}

void Simulation::Ticks(int n) {
  for (int i = 0; i < n; ++i) Tick();
}

bool Simulation::Calm() const {
  return cuts_.empty() && stopped_.empty() && kubelet_->Calm() && operator_->Calm() && !operator_->Attentive() &&
         operator_->heard().AllUp();
}

Duration Simulation::UntilNextWindow() const {
  Duration least = kTwoWeeks;
  for (const char* kind : {"ReplicationGroup", "CacheCluster", "ReadReplica"}) {
    for (const Json* object : api_->All(kind)) {
      const Json& pending = JsonAt(JsonAt(*object, "status"), "pendingModifiedValues");
      for (const api::PendingModification& one : api::ParsePendingModifications(pending)) {
        const Duration left = Milliseconds(one.not_before.unix_ms - clock_.Wall().unix_ms);
        if (left.ns > 0) least = std::min(least, left);
      }
    }
  }
  return least;
}

bool Simulation::SkipTime(Duration most, bool at_rest) {
  if (!at_rest && !Calm()) return false;
  const MonoTime now = clock_.Mono();
  const std::optional<MonoTime> wake = operator_->NextWake();
  Duration skip = std::min(most, UntilNextWindow());
  if (wake && *wake - now < skip) skip = *wake - now;
  if (skip.ns <= 0) return false;
  clock_.Skip({skip.ns / 1'000'000 * 1'000'000});
  Trace("time passes, until " + FormatRfc3339(clock_.Wall()));
  return true;
}

// ---- a run

void Simulation::RandomFault() {
  const std::vector<CacheProcess*> living = Living();
  if (living.empty()) return;
  CacheProcess* process = dice_.Of(living);
  const Duration d = Milliseconds(200 + dice_.Below(dice_.Below(2) == 0 ? 2000 : 12000));
  const std::string how_long = " for " + std::to_string(d.ms()) + " ms";
  static const std::vector<std::string> kKinds = {"Pod", "Service", "ReplicationGroup", "CacheCluster", "ReadReplica",
                                                  "StatefulSet", "EndpointSlice", "Node"};
  switch (dice_.Below(16)) {
    case 0:
    case 1: EndProcess(process, "killed"); break;
    case 2:
      Trace("FAULT Pod of " + process->name + " deleted");
      kubelet_->DeletePod(manifests::PodName(process->name), dice_.Below(5) == 0 ? 0 : -1);
      break;
    case 3:
      Trace("FAULT " + process->name + " cut off from the operator" + how_long);
      if (dice_.Below(3) != 0) Cut(process->name, "", d);
      if (dice_.Below(3) != 0) Cut("", process->name, d);
      break;
    case 4: {
      Trace("FAULT " + process->name + " cut off from everybody" + how_long);
      for (CacheProcess* other : living) {
        Cut(process->name, other->name, d);
        Cut(other->name, process->name, d);
      }
      Cut(process->name, "", d);
      Cut("", process->name, d);
      break;
    }
    case 5: {
      const std::string other = dice_.Of(living)->name;
      Trace("FAULT " + process->name + " does not reach " + other + how_long);
      Cut(process->name, other, d);
      if (dice_.Below(2) == 0) Cut(other, process->name, d);
      break;
    }
    case 6:
      if (dice_.Below(3) != 0 || kubelet_->HostLost(process->host)) return;
      Trace("FAULT host " + process->host + " lost");
      kubelet_->LoseHost(process->host, dice_.Below(2) == 0, Seconds(2 + dice_.Below(25)));
      break;
    case 7:
    case 8:
    case 9:
    case 10: {
      const int after = static_cast<int>(dice_.Below(12));
      Trace("FAULT the operator ends after " + std::to_string(after) + " requests");
      operator_->Crash(after, Milliseconds(100 + dice_.Below(5000)), dice_.Below(4) != 0);
      break;
    }
    case 11:
    case 12: {
      const std::string kind = dice_.Of(kKinds);
      Trace("FAULT " + kind + "s are seen late" + how_long);
      operator_->HoldWatch(kind, d);
      break;
    }
    case 13:
      Trace("FAULT " + process->name + " stopped" + how_long);
      process->stopped = true;
      stopped_[process->incarnation] = clock_.nodes() + d;
      break;
    case 14:
      Trace("FAULT words of " + process->name + " come late" + how_long);
      operator_->heard().Delay(process->pod_uid, Milliseconds(100 + dice_.Below(1500)), clock_.nodes() + d);
      operator_->LoseOrders(d);
      break;
    default: {
      // Somebody else writes the objects that the operator is about to write.
      Trace("FAULT others write statuses");
      for (const char* kind : {"ReplicationGroup", "CacheCluster", "ReadReplica"}) {
        for (const Json* object : api_->All(kind)) {
          if (dice_.Below(2) == 0) continue;
          const std::string name = JsonString(object->at("metadata"), "name");
          api_->Change(kind, name, [&](Json* d) {
            (*d)["metadata"]["annotations"]["example.com/touched"] = std::to_string(NewNumber());
          });
        }
      }
      operator_->HoldWatch("ReplicationGroup", Milliseconds(300));
      break;
    }
  }
}

void Simulation::Heal() {
  Trace("HEAL");
  faults_on_ = false;
  cuts_.clear();
  for (const auto& [incarnation, until] : stopped_) Process(incarnation)->stopped = false;
  stopped_.clear();
  kubelet_->ReturnAllHosts();
  operator_->HealWatches();
  operator_->Restart();
}

bool Simulation::Rest(int most_ticks, int quiet_ticks) {
  int64_t requests = operator_->requests();
  int quiet = 0;
  for (int i = 0; i < most_ticks; ++i) {
    if (i % 50 == 0) users_->ConfirmDeaths();
    Tick();
    quiet = operator_->requests() == requests ? quiet + 1 : 0;
    requests = operator_->requests();
    if (quiet >= quiet_ticks && operator_->Calm() && kubelet_->Calm()) return true;
  }
  return false;
}

void Simulation::Settle() {
  Heal();
  checks_->ForgetHeld();
  // Weeks go by, so that every window opens and closes.
  const WallTime until{clock_.Wall().unix_ms + kTwoWeeks.ms()};
  for (int steps = 0; clock_.Wall() < until; ++steps) {
    const bool rests = Rest(3000, 30) && steps < 700;
    if (!rests) throw Violation{"6 the world does not come to rest; the last request: " + operator_->last_request()};
    SkipTime(Seconds(43200), true);
    Ticks(2);
  }
  if (!Rest(3000, 150)) throw Violation{"7 a world at rest writes: " + operator_->last_request()};
  CheckRest();
}

namespace {

// Ready, or one condition that says why not.
void CheckReady(const std::string& what, const api::Conditions& conditions) {
  const api::Condition* ready = conditions.Find(api::kReady);
  const api::Condition* accepted = conditions.Find(api::kAccepted);
  if (ready == nullptr) throw Violation{"E " + what + " has no condition Ready"};
  if (ready->status == api::Truth::kTrue) return;
  const bool told = !ready->reason.empty() && !ready->message.empty();
  const bool refused = accepted != nullptr && accepted->status == api::Truth::kFalse && !accepted->message.empty();
  if (!told && !refused) throw Violation{"E " + what + " is not Ready, and nothing says why"};
}

void CheckPendingTold(const Checks& checks, const std::string& what, const std::string& uid,
                      const api::PendingModifications& pending) {
  for (const api::PendingModification& one : pending) {
    if (one.reason == api::reason::kWaitingForMembers) continue;
    if (one.reason == api::reason::kWaitingForMaintenanceWindow && one.not_before.unix_ms > 0) {
      if (checks.WasHeld(uid, one.field)) continue;
      throw Violation{"E " + what + ": " + one.field + " still waits for its window, which has been"};
    }
    throw Violation{"E " + what + ": " + one.field + " (" + one.from + " -> " + one.to + ") is " + one.reason + " for ever"};
  }
}

}  // namespace

void Simulation::CheckRest() {
  std::map<std::string, plan::GroupObject> groups;  // by UID
  std::vector<const plan::GroupObject*> pointers;
  for (const Json* document : api_->All("ReplicationGroup")) {
    plan::GroupObject group = *plan::ParseGroupObject(*document);
    groups.emplace(group.object.meta.uid, std::move(group));
  }
  for (const auto& [uid, group] : groups) pointers.push_back(&group);
  for (const auto& [uid, group] : groups) {
    const std::string what = "ReplicationGroup " + group.object.meta.name;
    if (group.object.meta.deleted) throw Violation{"E " + what + " is deleted and does not go"};
    CheckReady(what, group.object.status.conditions);
    CheckPendingTold(*checks_, what, uid, group.object.status.pending_modified_values);
    const bool ready = group.object.status.conditions.IsTrue(api::kReady);
    if (group.state.failover && ready) throw Violation{"6 " + what + " is Ready, and still in a transition"};
    if (!failover::Started(group.state)) continue;
    const CacheProcess* primary = Process(group.state.primary.incarnation);
    if (primary == nullptr || !primary->MayAcknowledge(clock_.nodes())) {
      if (ready) throw Violation{"6 " + what + " says Ready, and its primary can't acknowledge"};
    }
  }
  for (const char* kind : {"CacheCluster", "ReadReplica"}) {
    for (const Json* document : api_->All(kind)) {
      const api::NodeKind parsed = std::string(kind) == "CacheCluster" ? api::NodeKind::kCacheCluster : api::NodeKind::kReadReplica;
      const api::CacheNode node = *api::ParseCacheNode(parsed, *document);
      const std::string what = std::string(kind) + " " + node.meta.name;
      // Fewer voters than synchronousReplicas asks for are never left, and that is told.
      const bool needed = node.status.conditions.Reason(api::kAccepted) == api::reason::kDeleting;
      if (node.meta.deleted && !needed) throw Violation{"E " + what + " is deleted and does not go"};
      CheckReady(what, node.status.conditions);
      CheckPendingTold(*checks_, what, node.meta.uid, node.status.pending_modified_values);
      const CacheProcess* process = ProcessOf(node.meta.name);
      if (process == nullptr || !process->alive) continue;
      const bool at_work = !node.status.group_uid.empty() && node.status.conditions.IsTrue(api::kReady);
      const bool current = node.meta.deleted || checks_->HasParameters(*process);  // nothing is applied to what goes
      if (at_work && node.status.pending_modified_values.empty() && !current) {
        throw Violation{"L " + what + " has nothing pending, and its process has not the parameters of a new one"};
      }
      const std::string& of = process->machine().group();
      const auto shares = api_->Get(std::string(kind) == "CacheCluster" ? "ReadReplica" : "CacheCluster", node.meta.name);
      if (shares != nullptr) continue;  // whose process it is, is another question
      const bool alone = plan::StandsAlone(node);
      // One that was never accepted replaces nothing yet, also not what an older object of the name left.
      const auto group = groups.find(node.status.group_uid);
      const bool member = group != groups.end() && (group->second.state.epoch > 0 ||
                                                    group->second.object.status.conditions.IsTrue(api::kAccepted));
      if (alone && of != node.meta.uid) throw Violation{"E " + what + " stands alone by its status, and its process is of " + of};
      if (!alone && member && of != node.status.group_uid && !of.empty()) {
        throw Violation{"E " + what + " is a member by its status, and its process is of " + of};
      }
    }
  }
}

std::optional<Violation> Simulation::Run() {
  try {
    users_->Begin();
    if (!Rest(600, 30)) throw Violation{"6 the first groups do not start"};
    faults_on_ = options_.faults;
    while (edits_ < options_.edits) {
      // Edits come alone, or in a burst.
      const int64_t burst = dice_.Below(4) == 0 ? 1 + dice_.Below(4) : 1;
      for (int64_t i = 0; i < burst; ++i, ++edits_) users_->Edit();
      const int64_t ticks = 1 + dice_.Below(dice_.Below(5) == 0 ? 150 : 30);
      for (int64_t i = 0; i < ticks; ++i) {
        if (faults_on_ && dice_.Below(60) == 0) RandomFault();
        Tick();
      }
      if (dice_.Below(3) == 0) users_->ConfirmDeaths();
      if (dice_.Below(4) == 0) SkipTime(Seconds(dice_.Below(3) == 0 ? 86400 : 1800));
    }
    Settle();
  } catch (const Violation& violation) {
    for (const char* kind : {"ReplicationGroup", "CacheCluster", "ReadReplica"}) {
      for (const Json* object : api_->All(kind)) {
        Trace(std::string(kind) + " " + JsonString(object->at("metadata"), "name") + " " + UidOf(*object) + " " +
              object->at("spec").dump() + " " + object->at("status").dump());
      }
    }
    return violation;
  }
  return std::nullopt;
}

}  // namespace understudy::edits
