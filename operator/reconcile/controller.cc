#include "operator/reconcile/controller.h"

#include <utility>

#include "common/log.h"
#include "common/random.h"
#include "operator/failover/machine.h"
#include "operator/plan/plan.h"

namespace understudy::reconcile {
namespace {

// Orphans and vanished Pods are looked for this often even if nothing is deleted.
constexpr Duration kOrphanPeriod = Seconds(60);
// A write was overtaken by somebody else's, or by our own that the watch has not shown. What the watch shows is planned
// at once anyway; as long as it shows nothing, the next conflict is as certain as the last, so each takes twice as long.
constexpr watch::WorkQueueOptions kConflictPauses = {.first_retry = Milliseconds(50), .longest_retry = Milliseconds(1600)};

struct Name {
  std::string ns, name;
};

Name Split(const std::string& key) {
  const size_t first = key.find('/');
  const size_t second = key.find('/', first + 1);
  return {key.substr(first + 1, second - first - 1), key.substr(second + 1)};
}

}  // namespace

void Controller::Start(int threads) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { Run(); });
  }
}

void Controller::Stop() {
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Controller::Run() {
  while (const auto key = parts_.queue.Take()) {
    RunOne(*key);
    parts_.queue.Done(*key);
  }
}

void Controller::RunOne(const std::string& key) {
  const MonoTime begun = parts_.clock.Mono();
  const char* controller = "orphans";
  Result result = Result::kDone;
  if (key == observe::kOrphansKey) {
    result = ReconcileOrphans();
  } else if (key[0] == 'g') {
    controller = "replicationgroup";
    result = ReconcileGroup(key);
  } else {
    controller = "node";
    result = ReconcileLone(key);
  }
  const char* word = "success";
  switch (result) {
    case Result::kDone:
      parts_.queue.Forget(key);
      break;
    case Result::kSoon:
      word = "conflict";
      parts_.queue.AddRateLimited(key, watch::Priority::kFailover, kConflictPauses);
      break;
    case Result::kFailed:
      word = "error";
      parts_.queue.AddRateLimited(key);
      break;
  }
  parts_.registry
      .GetCounter("controller_runtime_reconcile_total", "Reconciles by controller and result",
                  {{"controller", controller}, {"result", word}})
      .Add();
  parts_.registry
      .GetHistogram("controller_runtime_reconcile_time_seconds", "Time that a reconcile took",
                    {0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5}, {{"controller", controller}})
      .Observe((parts_.clock.Mono() - begun).seconds());
}

Controller::Result Controller::Finish(const std::string& key, const Status& status) {
  if (status.ok()) return Result::kDone;
  if (status.code() == Code::kConflict) {
    LOG_DEBUG("{}: {}", key, status.message());
    return Result::kSoon;
  }
  if (status.code() == Code::kDenied && !parts_.leadership().leading) return Result::kDone;
  LOG_WARN("{}: {}", key, status.ToString());
  return Result::kFailed;
}

Controller::Result Controller::ReconcileGroup(const std::string& key) {
  const auto [ns, name] = Split(key);
  for (int step = 0; step < kMaxSteps; ++step) {
    const kube::Leadership leadership = parts_.leadership();
    if (leadership.leading) {
      if (const Status read = ReadIfUnknown(key); !read.ok()) return Finish(key, read);
    }
    auto view = parts_.observer.Group(ns, name, MemoryOf(key), leadership, DrawFresh());
    if (!view) {
      Forget(key);
      failovers_.Forget(ns, name);
      return Result::kDone;
    }
    const MonoTime now = parts_.clock.Mono();
    const WallTime wall = parts_.clock.Wall();
    if (!leadership.leading) {
      view->memory.failover = failover::Remember(view->group.state, view->failover, now, wall);
      Remember(key, std::move(view->memory));
      return Result::kDone;
    }
    failovers_.Know(ns, name);
    const plan::Plan plan = plan::PlanGroup(*view, now, wall);
    Remember(key, plan.memory);
    for (const auto& node : view->nodes) {
      parts_.nodes.SetAttentive(watch::ObjectKey(ns, node.node.meta.name), plan.attentive);
    }
    const auto next = parts_.applier.Apply(view->group.object.meta.uid, plan, leadership.acquired_at);
    if (!next.ok()) {
      if (next.status().code() == Code::kUnavailable) {
        std::lock_guard lock(mutex_);
        unread_.insert(key);
      }
      return Finish(key, next.status());
    }
    for (const failover::Kind kind : plan.recorded) failovers_.Add(ns, name, kind);
    if (next->next == apply::PlanApplier::Next::kRejected) RememberRejection(key, *next);
    if (next->next == apply::PlanApplier::Next::kWait) {
      WakeAt(key, plan.wake_at, plan.attentive);
      return Result::kDone;
    }
  }
  LOG_WARN("{}: {} steps were persisted without a pause; going on after a back-off", key, kMaxSteps);
  return Result::kFailed;
}

Controller::Result Controller::ReconcileLone(const std::string& key) {
  const auto [ns, name] = Split(key);
  const api::NodeKind kind = key[0] == 'c' ? api::NodeKind::kCacheCluster : api::NodeKind::kReadReplica;
  for (int step = 0; step < kMaxSteps; ++step) {
    const kube::Leadership leadership = parts_.leadership();
    auto view = parts_.observer.Lone(kind, ns, name, MemoryOf(key), leadership, DrawFresh());
    if (!view) {
      Forget(key);
      return Result::kDone;
    }
    if (!leadership.leading) return Result::kDone;
    const plan::Plan plan = plan::PlanLone(*view, parts_.clock.Mono(), parts_.clock.Wall());
    Remember(key, plan.memory);
    const auto next = parts_.applier.Apply(view->node.node.meta.uid, plan, leadership.acquired_at);
    if (!next.ok()) return Finish(key, next.status());
    if (next->next == apply::PlanApplier::Next::kRejected) RememberRejection(key, *next);
    if (next->next == apply::PlanApplier::Next::kWait) {
      WakeAt(key, plan.wake_at, false);
      return Result::kDone;
    }
  }
  return Result::kFailed;
}

Controller::Result Controller::ReconcileOrphans() {
  parts_.queue.AddAfter(observe::kOrphansKey, kOrphanPeriod, watch::Priority::kInitial);
  for (const std::string& uid : parts_.observer.ForgettablePods()) parts_.world.ForgetPod(uid);
  const kube::Leadership leadership = parts_.leadership();
  if (!leadership.leading) return Result::kDone;
  std::map<std::string, MonoTime> announced;
  {
    std::lock_guard lock(mutex_);
    announced = announced_orphans_;
  }
  const plan::OrphanPlan orphans = plan::PlanOrphans(
      parts_.observer.Orphans(std::move(announced)), parts_.clock.Mono(), parts_.clock.Wall());
  plan::Plan plan;
  for (const plan::DeleteObject& child : orphans.deletes) plan.actions.emplace_back(child);
  plan.events = orphans.events;
  if (!plan.Idle()) {
    const auto next = parts_.applier.Apply("", plan, leadership.acquired_at);
    if (!next.ok()) return Finish(observe::kOrphansKey, next.status());
  }
  {
    std::lock_guard lock(mutex_);
    announced_orphans_ = orphans.announced;
  }
  WakeAt(observe::kOrphansKey, orphans.wake_at, false);
  return Result::kDone;
}

void Controller::WakeAt(const std::string& key, MonoTime at, bool urgent) {
  if (at.ns == INT64_MAX) return;
  parts_.queue.AddAt(key, at, urgent ? watch::Priority::kFailover : watch::Priority::kNormal);
}

Status Controller::ReadIfUnknown(const std::string& key) {
  {
    std::lock_guard lock(mutex_);
    if (unread_.count(key) == 0) return {};
  }
  const auto [ns, name] = Split(key);
  const Status status = parts_.applier.ReadGroup(ns, name);
  if (!status.ok() && status.code() != Code::kNotFound) return status;
  std::lock_guard lock(mutex_);
  unread_.erase(key);
  return {};
}

observe::Fresh Controller::DrawFresh() const { return {RandomU64() | 1, RandomHex(16)}; }

plan::Memory Controller::MemoryOf(const std::string& key) {
  std::lock_guard lock(mutex_);
  const auto it = memory_.find(key);
  return it == memory_.end() ? plan::Memory{} : it->second;
}

void Controller::Remember(const std::string& key, plan::Memory memory) {
  std::lock_guard lock(mutex_);
  memory_[key] = std::move(memory);
}

void Controller::RememberRejection(const std::string& key, const apply::PlanApplier::Outcome& outcome) {
  WakeAt(key, outcome.rejection.until, false);
  std::lock_guard lock(mutex_);
  memory_[key].rejected[outcome.rejected_name] = outcome.rejection;
}

void Controller::Forget(const std::string& key) {
  std::lock_guard lock(mutex_);
  memory_.erase(key);
}

}  // namespace understudy::reconcile
