// The loop: takes a key, observes, plans, applies, and sees to it that the key comes again.
//
// A few threads share one queue; a key is never worked on twice at the same time, so a group's decisions are
// serial and groups are independent. While this process does not lead, a key only has its proofs of death
// and last words kept (warm standby). What one plan remembers for the next lives here, by key.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/clock.h"
#include "common/metrics.h"
#include "operator/apply/apply_plan.h"
#include "operator/nodes/node_table.h"
#include "operator/observe/observe.h"
#include "operator/reconcile/failover_counts.h"
#include "operator/watch/work_queue.h"

namespace understudy::reconcile {

class Controller {
 public:
  struct Parts {
    observe::World& world;
    observe::Observer& observer;
    apply::PlanApplier& applier;
    nodes::NodeTable& nodes;
    watch::WorkQueue& queue;
    std::function<kube::Leadership()> leadership;
    const Clock& clock;
    metrics::Registry& registry;
  };
  explicit Controller(Parts parts) : parts_(std::move(parts)), failovers_(parts_.registry) {}
  ~Controller() { Stop(); }

  void Start(int threads);
  // Lets the work at hand end; the queue must be shut down first.
  void Stop();

 private:
  // Persisted steps that may follow each other without a return to the queue.
  static constexpr int kMaxSteps = 20;

  enum class Result { kDone, kSoon, kFailed };

  void Run();
  void RunOne(const std::string& key);
  Result ReconcileGroup(const std::string& key);
  Result ReconcileLone(const std::string& key);
  Result ReconcileOrphans();
  Result Finish(const std::string& key, const Status& status);
  void WakeAt(const std::string& key, MonoTime at, bool urgent);
  observe::Fresh DrawFresh() const;
  plan::Memory MemoryOf(const std::string& key);
  void Remember(const std::string& key, plan::Memory memory);
  void RememberRejection(const std::string& key, const apply::PlanApplier::Outcome& outcome);
  void Forget(const std::string& key);
  // What was perhaps written is read before it is decided on again.
  Status ReadIfUnknown(const std::string& key);

  const Parts parts_;
  FailoverCounts failovers_;
  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::map<std::string, plan::Memory> memory_;            // mutex_
  std::map<std::string, MonoTime> announced_orphans_;     // mutex_
  std::set<std::string> unread_;                          // mutex_; groups with a write of unknown outcome
};

}  // namespace understudy::reconcile
