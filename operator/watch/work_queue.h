// Keys that need work, each handed to one worker at a time.
//
// Idea, as in client-go's work queue: a key is *dirty* (needs work) and/or *processing* (a worker
// has it). A dirty key that is being processed waits until Done and then comes again, so one key
// never runs twice at the same time and no addition is lost; further additions of a dirty key are
// the same addition. On top:
//
// - three priorities: a failover overtakes everything, and the objects of the first full state
// after a
//   start wait behind what happens now. Within one, first come, first served. An addition with a
//   higher priority lifts a key that waits;
// - delayed additions: of several for one key the earliest counts;
// - failures: AddRateLimited waits 5 ms * 2^n, at most 30 s; Forget after a success starts over.
//
// Keys carry no news: the worker looks at the current state (level-based). So at ShutDown what
// waits is dropped; what is being processed ends normally.
//
// Any thread. Takes the time from the clock it was given; Take waits in real time.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "common/metrics.h"

namespace understudy::watch {

enum class Priority { kFailover = 0, kNormal = 1, kInitial = 2 };

struct WorkQueueOptions {
  Duration first_retry = Milliseconds(5);
  Duration longest_retry = Seconds(30);
};

class WorkQueue {
 public:
  // name: label of the metrics workqueue_*{name}.
  WorkQueue(const std::string& name, const Clock& clock, metrics::Registry& registry,
            WorkQueueOptions options = {});
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  void Add(const std::string& key, Priority priority = Priority::kNormal);
  void AddAt(const std::string& key, MonoTime when, Priority priority = Priority::kNormal);
  void AddAfter(const std::string& key, Duration delay, Priority priority = Priority::kNormal);
  // The work on the key failed: again after a pause that grows with each failure since Forget.
  void AddRateLimited(const std::string& key, Priority priority = Priority::kNormal);
  // The same with other pauses than the queue's.
  void AddRateLimited(const std::string& key, Priority priority, const WorkQueueOptions& pauses);
  void Forget(const std::string& key);
  int Failures(const std::string& key) const;

  // The next key, waiting for one; empty after ShutDown. Done(key) must follow.
  std::optional<std::string> Take();
  // The same without waiting; also empty if none is ready.
  std::optional<std::string> TryTake();
  void Done(const std::string& key);

  // Refuses additions, drops what waits, and wakes all that Take.
  void ShutDown();
  bool ShuttingDown() const;
  // Keys ready to be taken.
  size_t Depth() const;
  // When the next delayed addition is due; empty: there is none.
  std::optional<MonoTime> NextDelayed() const;

 private:
  struct Key {
    bool dirty = false;
    bool processing = false;
    Priority priority = Priority::kInitial;  // while dirty
    uint64_t place = 0;                      // in ready_, while dirty and not processing
    MonoTime dirty_since;
    MonoTime taken_at;
    MonoTime delayed_until;
    Priority delayed_priority = Priority::kInitial;
    bool delayed = false;
    int failures = 0;

    bool Idle() const { return !dirty && !processing && !delayed && failures == 0; }
  };
  using Place = std::pair<int, uint64_t>;  // priority, number

  void AddLocked(const std::string& key, Priority priority, MonoTime now);
  void AddAtLocked(const std::string& key, MonoTime when, Priority priority);
  void EnqueueLocked(const std::string& name, Key& key);
  void ReleaseDueLocked(MonoTime now);
  std::optional<std::string> TakeLocked(MonoTime now);
  void DropIfIdleLocked(const std::string& key);

  const Clock& clock_;
  const WorkQueueOptions options_;
  metrics::Gauge& depth_;
  metrics::Counter& adds_;
  metrics::Counter& retries_;
  metrics::Histogram& queue_seconds_;
  metrics::Histogram& work_seconds_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::unordered_map<std::string, Key> keys_;           // mutex_
  std::map<Place, std::string> ready_;                  // mutex_
  std::set<std::pair<MonoTime, std::string>> delayed_;  // mutex_
  uint64_t next_place_ = 0;                             // mutex_
  bool shut_down_ = false;                              // mutex_
};

}  // namespace understudy::watch
