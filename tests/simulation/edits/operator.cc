#include "tests/simulation/edits/operator.h"

#include <algorithm>
#include <iterator>

#include "common/overloaded.h"
#include "operator/plan/membership.h"
#include "tests/simulation/edits/simulation.h"

namespace understudy::edits {
namespace {

constexpr int kMaxSteps = 20;
constexpr Duration kConflictDelay = Milliseconds(50);
constexpr Duration kOrphanPeriod = Seconds(60);

// Those of `waiting` whose time has come, which leave it.
template <typename T>
std::vector<T> TakeDue(std::vector<T>* waiting, MonoTime now) {
  const auto first = std::stable_partition(waiting->begin(), waiting->end(), [now](const T& one) { return one.at > now; });
  std::vector<T> due(std::make_move_iterator(first), std::make_move_iterator(waiting->end()));
  waiting->erase(first, waiting->end());
  return due;
}

}  // namespace

OperatorProcess::OperatorProcess(Simulation& simulation) : simulation_(simulation) {
  settings_.operator_namespace = "understudy-system";
  settings_.default_node_image = "understudy:1";
  settings_.public_key = "KEY";
  settings_.server_minor = 36;
  Start(false);
}

void OperatorProcess::Start(bool warm) {
  up_ = true;
  warm_ = false;
  requests_left_ = -1;
  acquired_ = simulation_.clock().Mono();
  term_ = simulation_.NewHex();
  memories_.clear();
  attentive_.clear();
  queue_.clear();
  wakes_.clear();
  announced_.clear();
  if (!warm || !world_) {
    heard_ = std::make_unique<HeardNodes>(simulation_);
    world_ = std::make_unique<observe::World>(*heard_, simulation_.clock());
    observer_ = std::make_unique<observe::Observer>(*world_, *heard_, settings_);
    world_->OnChanges([this](const std::string& key, watch::Priority) { Enqueue(key); });
    held_.clear();
    simulation_.api().watch().clear();
    for (const auto& [spec, target] : world_->Watches()) {
      target->ClearStaged();
      for (const Json* one : simulation_.api().All(std::string(spec.resource.kind))) target->Stage(*one);
      target->Commit(std::to_string(simulation_.api().version()));
    }
  }
  heard_->Lead();
  world_->EnqueueAll(watch::Priority::kNormal);
  wakes_[observe::kOrphansKey] = simulation_.clock().Mono() + kOrphanPeriod;
  simulation_.Trace(std::string("an operator leads") + (warm ? ", which stood by" : ", which has just started"));
}

void OperatorProcess::Crash(int after_requests, Duration down, bool warm) {
  if (!up_) return;
  down_for_ = down;
  warm_ = warm;
  requests_left_ = after_requests;
  if (after_requests > 0) return;
  up_ = false;
  down_until_ = simulation_.clock().nodes() + down;
  simulation_.Trace("the operator ends");
}

void OperatorProcess::Restart() {
  requests_left_ = -1;
  if (!up_) Start(warm_);
}

void OperatorProcess::HoldWatch(const std::string& kind, Duration d) {
  held_[kind] = simulation_.clock().nodes() + d;
}

void OperatorProcess::LoseOrders(Duration d) { orders_lost_until_ = simulation_.clock().nodes() + d; }

void OperatorProcess::Enqueue(const std::string& key) { queue_.insert(key); }

void OperatorProcess::NodeChanged(const std::string& owner) {
  if (!up_) return;
  const size_t slash = owner.find('/');
  const std::string key = world_->KeyOfNode(owner.substr(0, slash), owner.substr(slash + 1));
  if (!key.empty()) Enqueue(key);
}

void OperatorProcess::OnProcessEnded(const CacheProcess& process) {
  heard_->OnEnded(process, [this](const std::string& owner) { NodeChanged(owner); });
}

void OperatorProcess::ShowEvents() {
  const MonoTime now = simulation_.clock().nodes();
  std::erase_if(held_, [&](const auto& entry) { return now >= entry.second; });
  for (const auto& [spec, target] : world_->Watches()) {
    const std::string kind(spec.resource.kind);
    if (held_.contains(kind)) continue;
    auto& events = simulation_.api().watch()[kind];
    while (!events.empty()) {
      const ApiServer::WatchEvent event = std::move(events.front());
      events.pop_front();
      if (event.gone) {
        target->Remove(event.document);
      } else {
        target->Upsert(event.document);
      }
    }
  }
}

void OperatorProcess::Deliver() {
  const MonoTime now = simulation_.clock().nodes();
  for (const Flight& flight : TakeDue(&flights_, now)) {
    CacheProcess* process = simulation_.Process(flight.order.incarnation);
    if (process == nullptr || !process->alive || process->stopped) continue;
    if (simulation_.Blocked(nullptr, process) || process->pod_uid != flight.pod_uid) continue;
    const control::NodeState state = process->OnOrder(flight.order, now);
    if (simulation_.Blocked(process, nullptr)) continue;
    heard_->OnAnswer(flight.pod_uid, state, [this](const std::string& owner) { NodeChanged(owner); });
  }
  for (const Declared& declared : TakeDue(&declared_, now)) {
    const plan::OutgoingParameters& out = declared.out;
    CacheProcess* process = simulation_.Process(out.parameters.incarnation);
    if (process == nullptr || !process->alive || process->stopped || simulation_.Blocked(nullptr, process)) continue;
    process->OnParameters(out.parameters);
    if (simulation_.Blocked(process, nullptr)) continue;
    heard_->OnAnswer(out.pod_uid, process->State(now), [this](const std::string& owner) { NodeChanged(owner); });
  }
  for (const Late<plan::Action>& late : TakeDue(&late_actions_, now)) {
    simulation_.Trace("a request of an ended operator arrives");
    Act(late.what);
  }
  for (const Late<plan::StatusWrite>& late : TakeDue(&late_writes_, now)) {
    simulation_.Trace("a status of an ended operator arrives");
    delivers_late_ = true;
    WriteStatus(late.what);
    delivers_late_ = false;
  }
}

void OperatorProcess::Tick() {
  Deliver();
  if (!up_ && simulation_.clock().nodes() >= down_until_) Start(warm_);
  ShowEvents();
  if (!up_) {
    heard_->Tick([](const std::string&) {});
    return;
  }
  heard_->Tick([this](const std::string& owner) { NodeChanged(owner); });
  for (auto it = wakes_.begin(); it != wakes_.end();) {
    if (it->second > simulation_.clock().Mono()) {
      ++it;
      continue;
    }
    Enqueue(it->first);
    it = wakes_.erase(it);
  }
  // One pass: what this makes due is seen in the next tick.
  std::vector<std::string> keys(queue_.begin(), queue_.end());
  queue_.clear();
  while (!keys.empty() && up_) {
    const size_t at = static_cast<size_t>(simulation_.dice().Below(static_cast<int64_t>(keys.size())));
    const std::string key = keys[at];
    keys.erase(keys.begin() + static_cast<ptrdiff_t>(at));
    Reconcile(key);
    if (up_) ShowEvents();
  }
}

std::optional<MonoTime> OperatorProcess::NextWake() const {
  const MonoTime soon = simulation_.clock().Mono() + kOrphanPeriod;
  std::optional<MonoTime> next;
  for (const auto& [key, at] : wakes_) {
    if (at > soon && (!next || at < *next)) next = at;
  }
  return next;
}

void OperatorProcess::Reconcile(const std::string& key) {
  wakes_.erase(key);
  bool done = true;
  if (key == observe::kOrphansKey) {
    wakes_[key] = simulation_.clock().Mono() + kOrphanPeriod;
    done = ReconcileOrphans();
  } else {
    const std::string name = key.substr(key.rfind('/') + 1);
    done = key[0] == 'g' ? ReconcileGroup(name)
                         : ReconcileLone(key[0] == 'c' ? api::NodeKind::kCacheCluster : api::NodeKind::kReadReplica, name);
  }
  if (!done && up_) wakes_[key] = simulation_.clock().Mono() + kConflictDelay;
}

bool OperatorProcess::ReconcileGroup(const std::string& name) {
  const std::string key = observe::GroupKey(kNamespace, name);
  for (int step = 0; step < kMaxSteps; ++step) {
    const MonoTime now = simulation_.clock().Mono();
    const kube::Leadership leadership{true, term_, acquired_, now + Seconds(4)};
    const observe::Fresh fresh{simulation_.NewNumber(), simulation_.NewHex()};
    auto view = observer_->Group(kNamespace, name, memories_[key], leadership, fresh);
    if (!view) {
      memories_.erase(key);
      attentive_.erase(key);
      return true;
    }
    const plan::Plan plan = plan::PlanGroup(*view, now, simulation_.clock().Wall());
    memories_[key] = plan.memory;
    if (plan.attentive) {
      attentive_.insert(key);
    } else {
      attentive_.erase(key);
    }
    for (const plan::NodeView& node : view->nodes) {
      heard_->SetAttentive(watch::ObjectKey(kNamespace, node.node.meta.name), plan.attentive);
    }
    if (!Carry(view->group.object.meta.uid, plan)) return false;
    if (plan.persist.empty()) {
      if (plan.wake_at.ns != INT64_MAX) wakes_[key] = plan.wake_at;
      return true;
    }
  }
  throw Violation{"planning of group " + name + " does not end: " + std::to_string(kMaxSteps) + " writes in a row, the last of " + last_request_};
}

bool OperatorProcess::ReconcileLone(api::NodeKind kind, const std::string& name) {
  const std::string key = observe::NodeKey(kind, kNamespace, name);
  for (int step = 0; step < kMaxSteps; ++step) {
    const MonoTime now = simulation_.clock().Mono();
    const kube::Leadership leadership{true, term_, acquired_, now + Seconds(4)};
    auto view = observer_->Lone(kind, kNamespace, name, memories_[key], leadership,
                                {simulation_.NewNumber(), simulation_.NewHex()});
    if (!view) {
      memories_.erase(key);
      return true;
    }
    const plan::Plan plan = plan::PlanLone(*view, now, simulation_.clock().Wall());
    memories_[key] = plan.memory;
    if (!Carry(view->node.node.meta.uid, plan)) return false;
    if (plan.persist.empty()) {
      if (plan.wake_at.ns != INT64_MAX) wakes_[key] = plan.wake_at;
      return true;
    }
  }
  throw Violation{"planning of node " + name + " does not end: " + std::to_string(kMaxSteps) + " writes in a row, the last of " + last_request_};
}

bool OperatorProcess::ReconcileOrphans() {
  for (const std::string& uid : observer_->ForgettablePods()) world_->ForgetPod(uid);
  const plan::OrphanPlan orphans = plan::PlanOrphans(observer_->Orphans(announced_), simulation_.clock().Mono(), simulation_.clock().Wall());
  plan::Plan plan;
  for (const plan::DeleteObject& child : orphans.deletes) plan.actions.emplace_back(child);
  plan.events = orphans.events;
  if (!Carry("", plan)) return false;
  announced_ = orphans.announced;
  if (orphans.wake_at.ns != INT64_MAX) {
    wakes_[observe::kOrphansKey] = std::min(wakes_[observe::kOrphansKey], orphans.wake_at);
  }
  return true;
}

// -- carrying out, as apply/ does

bool OperatorProcess::Take(const std::string& what) {
  if (!up_) return false;
  if (requests_left_ > 0 && --requests_left_ == 0) {
    Crash(0, down_for_, warm_);
    return false;
  }
  ++requests_;
  last_request_ = what;
  simulation_.Trace("  " + what);
  return true;
}

void OperatorProcess::Wrote(const std::string& kind, const Json& object) {
  for (const kube::Resource* resource :
       {&kube::kReplicationGroups, &kube::kReadReplicas, &kube::kCacheClusters, &kube::kPods, &kube::kServices,
        &kube::kConfigMaps, &kube::kStatefulSets, &kube::kPodDisruptionBudgets, &kube::kEndpointSlices}) {
    if (resource->kind == kind) world_->Wrote(*resource, object);
  }
}

bool OperatorProcess::Carry(const std::string& group_uid, const plan::Plan& plan) {
  Dice& dice = simulation_.dice();
  // What is on its way when the process ends.
  const auto late = [&] {
    return simulation_.clock().nodes() + kTick * static_cast<double>(1 + dice.Below(60));
  };
  if (!group_uid.empty()) heard_->SetGrants(group_uid, plan.grants);
  const bool acts = !(plan.orders.empty() && plan.parameters.empty() && plan.actions.empty() && plan.statuses.empty());
  if (!plan.persist.empty() && acts) {
    throw Violation{"a plan that persists does something else beside"};
  }
  for (const plan::StatusWrite& write : plan.persist) {
    if (!Take("persist " + write.ref.kind + " " + write.ref.name)) {
      if (dice.Below(3) == 0) late_writes_.push_back({late(), write});
      return false;
    }
    if (!WriteStatus(write)) return false;
  }
  for (const plan::Event& event : plan.events) {
    if (!plan.persist.empty()) simulation_.Trace("  event " + event.regarding.name + " " + event.reason + ": " + event.note);
  }
  for (const failover::OutgoingOrder& order : plan.orders) {
    if (!Take("order " + std::string(control::OrderKindName(order.order.kind)) + " " +
              std::string(control::RoleName(order.order.role)) + " to " + order.order.incarnation)) {
      return false;
    }
    SendOrder(order);
  }
  for (const plan::OutgoingParameters& out : plan.parameters) {
    if (!Take("parameters to " + out.parameters.incarnation)) return false;
    const MonoTime now = simulation_.clock().nodes();
    if (simulation_.faults_on() && now < orders_lost_until_ && dice.Below(2) == 0) continue;
    declared_.push_back({now + kTick, out});
  }
  for (const std::string& uid : plan.reconnect) heard_->Reconnect(uid);
  for (const plan::Action& action : plan.actions) {
    if (!Take("action")) {
      if (dice.Below(3) == 0) late_actions_.push_back({late(), action});
      return false;
    }
    if (!Act(action)) return false;
  }
  for (const plan::StatusWrite& write : plan.statuses) {
    if (!Take("status of " + write.ref.kind + " " + write.ref.name)) {
      if (dice.Below(3) == 0) late_writes_.push_back({late(), write});
      return false;
    }
    if (!WriteStatus(write)) return false;
  }
  for (const plan::Event& event : plan.events) {
    if (plan.persist.empty()) simulation_.Trace("  event " + event.regarding.name + " " + event.reason + ": " + event.note);
  }
  return true;
}

bool OperatorProcess::WriteStatus(const plan::StatusWrite& write) {
  ApiServer& api = simulation_.api();
  const Json* present = api.Get(write.ref.kind, write.ref.name);
  const Json before = present == nullptr ? Json() : *present;
  const Result<Json> answer = api.WriteStatus(write);
  if (!answer.ok()) {
    simulation_.Trace("  conflict: " + std::string(answer.status().message()));
    return false;
  }
  simulation_.checks().WroteStatus(before, *answer);
  Wrote(write.ref.kind, *answer);
  return true;
}

void OperatorProcess::SendOrder(const failover::OutgoingOrder& out) {
  Dice& dice = simulation_.dice();
  const MonoTime now = simulation_.clock().nodes();
  Flight flight{now + kTick, out.pod_uid, out.order};
  flight.order.id = simulation_.NewNumber();
  if (simulation_.faults_on()) {
    if (now < orders_lost_until_ && dice.Below(2) == 0) return;
    // Orders of one connection keep their order; those of another one may come seconds later.
    if (dice.Below(40) == 0) flights_.push_back({now + kTick * static_cast<double>(1 + dice.Below(80)), out.pod_uid, flight.order});
  }
  flights_.push_back(std::move(flight));
}

bool OperatorProcess::Act(const plan::Action& action) {
  ApiServer& api = simulation_.api();
  Kubelet& kubelet = simulation_.kubelet();
  const auto wrote = [&](const std::string& kind, const Result<Json>& answer, const std::string& what) {
    if (answer.ok()) {
      simulation_.Trace("    " + what);
      Wrote(kind, *answer);
    } else {
      simulation_.Trace("    failed: " + what + ": " + std::string(answer.status().message()));
    }
    return answer.ok();
  };
  const auto name_of = [](const Json& object) { return JsonString(object, "kind") + " " + JsonString(object.at("metadata"), "name"); };
  return std::visit(
      Overloaded{
          [&](const plan::CreateObject& create) {
            return wrote(JsonString(create.object, "kind"), api.Create(create.object), "create " + name_of(create.object));
          },
          [&](const plan::ApplyObject& apply) {
            return wrote(JsonString(apply.object, "kind"), api.Apply(apply.object), "apply " + name_of(apply.object));
          },
          [&](const plan::DeleteObject& del) {
            if (!api.MayDelete(del.ref).ok()) return true;
            simulation_.Trace("    delete " + del.ref.kind + " " + del.ref.name);
            simulation_.checks().Deletes(del.ref, del.grace_seconds);
            if (del.ref.kind == "Pod") {
              kubelet.DeletePod(del.ref.name, del.grace_seconds);
            } else {
              api.Delete(del.ref.kind, del.ref.name);
            }
            return true;
          },
          [&](const plan::ForceDeletePod& del) {
            if (!api.MayDelete(del.ref).ok()) return true;
            simulation_.Trace("    force delete " + del.ref.name);
            simulation_.checks().Deletes(del.ref, 0);
            kubelet.DeletePod(del.ref.name, 0);
            return true;
          },
          [&](const plan::LabelPod& label) {
            const Result<Json> answer = api.PatchLabels(label);
            wrote("Pod", answer, "label " + label.ref.name);
            return true;
          },
          [&](const plan::SetFinalizers& set) {
            const Result<Json> answer = api.PatchFinalizers(set);
            return wrote(set.ref.kind, answer, "finalizers of " + set.ref.name) ||
                   answer.status().code() == Code::kNotFound;
          },
          [&](const plan::ConfirmExists& confirm) {
            const Json* document = api.Get(confirm.ref.kind, confirm.ref.name);
            return document != nullptr && JsonString(document->at("metadata"), "uid") == confirm.ref.uid;
          },
          [&](const plan::TryPod&) { return true; }},
      action);
}

}  // namespace understudy::edits
