// Events (events.k8s.io/v1) that people see in `kubectl describe`: recorded without waiting, sent
// by a thread of their own, lost rather than in anybody's way.
//
// An event that is like the one before (same type, reason, action, note and objects) within 6 minutes
// makes a series of it instead of a new object: the second occurrence is sent at once, later ones
// are counted and sent at most every 5 minutes. Names are fixed when the event is recorded, so that
// a repeated POST is harmless (409: it is there).
//
// Threads: Record from any thread; it takes a lock and never waits.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>

#include "common/clock.h"
#include "common/metrics.h"
#include "operator/kube/client.h"

namespace understudy::kube {

struct ObjectReference {
  std::string api_version;
  std::string kind;
  std::string name_space;  // empty: a cluster-scoped object
  std::string name;
  std::string uid;
  bool operator==(const ObjectReference&) const = default;
  auto operator<=>(const ObjectReference&) const = default;
};

enum class EventType { kNormal, kWarning };

struct Event {
  EventType type = EventType::kNormal;
  std::string reason;  // CamelCase, at most 128 characters
  std::string action;  // what was done or failed, CamelCase
  std::string note;    // one sentence; cut at 1 kB
  ObjectReference regarding;
  std::optional<ObjectReference> related;
};

struct EventRecorderOptions {
  std::string controller = "cache.understudy.dev/operator";
  std::string instance;  // the Pod's name
  Duration series_gap = Seconds(360);
  Duration series_refresh = Seconds(300);
  Duration retry_pause = Seconds(10);
  int max_attempts = 12;
};

class EventRecorder {
 public:
  static constexpr size_t kMaxQueued = 1000;
  static constexpr size_t kMaxSeries = 4096;

  EventRecorder(Client& client, const Clock& clock, metrics::Registry& registry,
                EventRecorderOptions options);
  ~EventRecorder();
  EventRecorder(const EventRecorder&) = delete;
  EventRecorder& operator=(const EventRecorder&) = delete;

  void Start();
  // Drops it, and counts that, when 1000 wait already.
  void Record(Event event);
  // Waits until everything recorded so far was sent or given up. False: not before the deadline.
  bool Flush(Deadline deadline);
  // Ends the thread; what still waits is lost.
  void Stop();

 private:
  struct Series {
    std::string name;  // of the Event object
    std::string name_space;
    int64_t count = 1;
    int64_t sent_count = 1;
    MonoTime last_seen;
    MonoTime sent_at;
    std::string last_observed_time;
  };
  struct Item {
    std::string key;  // of its series
    std::string name_space;
    std::string name;
    bool create = true;  // false: a merge patch of the series
    Json body;
    int attempts = 0;
  };

  void Run(std::stop_token stop);
  void EnqueueLocked(Item item);
  void EnqueueCountLocked(const std::string& key, Series& series, MonoTime now);
  // Forgets series that are over; sends counts that nobody has seen yet.
  void SweepLocked(MonoTime now);
  Json BuildBody(const Event& event, const std::string& name, const std::string& name_space,
                 WallTime now) const;

  Client& client_;
  const Clock& clock_;
  const EventRecorderOptions options_;
  metrics::Counter& sent_;
  metrics::Counter& dropped_;

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Item> queue_;                // mutex_
  std::map<std::string, Series> series_;  // mutex_
  MonoTime swept_at_;                     // mutex_
  bool sending_ = false;                  // mutex_; the front of the queue is on its way
  std::jthread thread_;
};

}  // namespace understudy::kube
