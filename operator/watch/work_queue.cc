#include "operator/watch/work_queue.h"

#include <algorithm>
#include <chrono>

#include "common/check.h"

namespace understudy::watch {
namespace {

const std::vector<double> kSeconds = {0.0001, 0.001, 0.01, 0.1, 1, 10, 60};

}  // namespace

WorkQueue::WorkQueue(const std::string& name, const Clock& clock, metrics::Registry& registry,
                     WorkQueueOptions options)
    : clock_(clock),
      options_(options),
      depth_(
          registry.GetGauge("workqueue_depth", "Keys that wait for a worker.", {{"name", name}})),
      adds_(registry.GetCounter("workqueue_adds_total", "Additions that made a key wait.",
                                {{"name", name}})),
      retries_(registry.GetCounter("workqueue_retries_total", "Additions after a failure.",
                                   {{"name", name}})),
      queue_seconds_(registry.GetHistogram("workqueue_queue_duration_seconds",
                                           "How long keys wait for a worker.", kSeconds,
                                           {{"name", name}})),
      work_seconds_(registry.GetHistogram("workqueue_work_duration_seconds",
                                          "How long the work on a key takes.", kSeconds,
                                          {{"name", name}})) {}

void WorkQueue::EnqueueLocked(const std::string& name, Key& key) {
  key.place = next_place_++;
  ready_.emplace(Place{static_cast<int>(key.priority), key.place}, name);
  depth_.Set(static_cast<double>(ready_.size()));
  changed_.notify_one();
}

void WorkQueue::AddLocked(const std::string& name, Priority priority, MonoTime now) {
  Key& key = keys_[name];
  if (!key.dirty) {
    key.dirty = true;
    key.priority = priority;
    key.dirty_since = now;
    adds_.Add();
    if (!key.processing) EnqueueLocked(name, key);
    return;
  }
  if (priority >= key.priority) return;
  if (!key.processing) ready_.erase(Place{static_cast<int>(key.priority), key.place});
  key.priority = priority;
  if (!key.processing) EnqueueLocked(name, key);
}

void WorkQueue::AddAtLocked(const std::string& name, MonoTime when, Priority priority) {
  Key& key = keys_[name];
  if (key.delayed) {
    key.delayed_priority = std::min(key.delayed_priority, priority);
    if (when >= key.delayed_until) return;
    delayed_.erase({key.delayed_until, name});
  } else {
    key.delayed = true;
    key.delayed_priority = priority;
  }
  key.delayed_until = when;
  delayed_.emplace(when, name);
  // A worker may be waiting for a later one.
  changed_.notify_one();
}

void WorkQueue::Add(const std::string& key, Priority priority) {
  std::lock_guard lock(mutex_);
  if (!shut_down_) AddLocked(key, priority, clock_.Mono());
}

void WorkQueue::AddAt(const std::string& key, MonoTime when, Priority priority) {
  std::lock_guard lock(mutex_);
  if (shut_down_) return;
  const MonoTime now = clock_.Mono();
  if (when <= now) {
    AddLocked(key, priority, now);
  } else {
    AddAtLocked(key, when, priority);
  }
}

void WorkQueue::AddAfter(const std::string& key, Duration delay, Priority priority) {
  AddAt(key, clock_.Mono() + delay, priority);
}

void WorkQueue::AddRateLimited(const std::string& name, Priority priority) {
  AddRateLimited(name, priority, options_);
}

void WorkQueue::AddRateLimited(const std::string& name, Priority priority, const WorkQueueOptions& pauses) {
  std::lock_guard lock(mutex_);
  if (shut_down_) return;
  Key& key = keys_[name];
  const Duration delay =
      pauses.first_retry * static_cast<double>(uint64_t{1} << std::min(key.failures, 20));
  ++key.failures;
  retries_.Add();
  AddAtLocked(name, clock_.Mono() + std::min(delay, pauses.longest_retry), priority);
}

void WorkQueue::Forget(const std::string& key) {
  std::lock_guard lock(mutex_);
  const auto it = keys_.find(key);
  if (it == keys_.end()) return;
  it->second.failures = 0;
  DropIfIdleLocked(key);
}

int WorkQueue::Failures(const std::string& key) const {
  std::lock_guard lock(mutex_);
  const auto it = keys_.find(key);
  return it == keys_.end() ? 0 : it->second.failures;
}

void WorkQueue::ReleaseDueLocked(MonoTime now) {
  while (!delayed_.empty() && delayed_.begin()->first <= now) {
    const std::string name = delayed_.begin()->second;
    delayed_.erase(delayed_.begin());
    Key& key = keys_.at(name);
    key.delayed = false;
    AddLocked(name, key.delayed_priority, now);
  }
}

std::optional<std::string> WorkQueue::TakeLocked(MonoTime now) {
  ReleaseDueLocked(now);
  if (ready_.empty()) return std::nullopt;
  std::string name = std::move(ready_.begin()->second);
  ready_.erase(ready_.begin());
  depth_.Set(static_cast<double>(ready_.size()));
  Key& key = keys_.at(name);
  key.dirty = false;
  key.processing = true;
  key.taken_at = now;
  queue_seconds_.Observe((now - key.dirty_since).seconds());
  return name;
}

std::optional<std::string> WorkQueue::Take() {
  std::unique_lock lock(mutex_);
  while (!shut_down_) {
    const MonoTime now = clock_.Mono();
    if (auto key = TakeLocked(now)) {
      // The one who watched the time is now busy: another waiter must look at what is left.
      if (!ready_.empty() || !delayed_.empty()) changed_.notify_one();
      return key;
    }
    if (delayed_.empty()) {
      changed_.wait(lock);
    } else {
      changed_.wait_for(lock, std::chrono::nanoseconds((delayed_.begin()->first - now).ns));
    }
  }
  return std::nullopt;
}

std::optional<std::string> WorkQueue::TryTake() {
  std::lock_guard lock(mutex_);
  return shut_down_ ? std::nullopt : TakeLocked(clock_.Mono());
}

void WorkQueue::Done(const std::string& name) {
  std::lock_guard lock(mutex_);
  const auto it = keys_.find(name);
  CHECK(it != keys_.end() && it->second.processing);
  Key& key = it->second;
  key.processing = false;
  work_seconds_.Observe((clock_.Mono() - key.taken_at).seconds());
  if (key.dirty && !shut_down_) {
    EnqueueLocked(name, key);
  } else {
    DropIfIdleLocked(name);
  }
}

void WorkQueue::DropIfIdleLocked(const std::string& name) {
  const auto it = keys_.find(name);
  if (it != keys_.end() && it->second.Idle()) keys_.erase(it);
}

void WorkQueue::ShutDown() {
  std::lock_guard lock(mutex_);
  shut_down_ = true;
  ready_.clear();
  delayed_.clear();
  depth_.Set(0);
  changed_.notify_all();
}

bool WorkQueue::ShuttingDown() const {
  std::lock_guard lock(mutex_);
  return shut_down_;
}

size_t WorkQueue::Depth() const {
  std::lock_guard lock(mutex_);
  return ready_.size();
}

std::optional<MonoTime> WorkQueue::NextDelayed() const {
  std::lock_guard lock(mutex_);
  if (delayed_.empty()) return std::nullopt;
  return delayed_.begin()->first;
}

}  // namespace understudy::watch
