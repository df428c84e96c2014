// Leader election: LeaseMachine driven by a thread of its own, over a Transport of its own, so that
// no slow reconciler can make the leader miss a renewal.
//
// Losing the lease does not end the process: it goes on as a standby and may win again, under a new
// term. Whoever acts as the leader asks IsLeader() right before each step that needs it, and sends
// grants only until ValidUntil().
//
// Threads: all methods from any thread. Callbacks run in the lease's thread, one at a time, and
// must return at once: renewals wait for them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "common/clock.h"
#include "common/metrics.h"
#include "operator/kube/client.h"
#include "operator/kube/lease_machine.h"
#include "operator/kube/transport.h"

namespace understudy::kube {

// pod_name + "_" + 64 random bits: another one at each start of a process.
std::string MakeLeaseIdentity(const std::string& pod_name);

struct Leadership {
  bool leading = false;
  std::string term;      // random, drawn at this acquisition
  MonoTime acquired_at;  // when it was known
  MonoTime valid_until;  // renew_deadline after the last successful renewal was *sent*
  MonoTime predecessors_until;  // no earlier leader acted as one after this
};

struct LeaseCallbacks {
  std::function<void(const Leadership&)> on_acquired;
  // Called after IsLeader() turned false and, when it is given up by will, before the release is
  // sent: grants must have stopped when it returns.
  std::function<void(const std::string& reason)> on_lost;
};

class LeaderLease {
 public:
  // The Lease is name_space/name. `transport` should serve nobody else. References must outlive
  // this.
  LeaderLease(LeaseConfig config, std::string name_space, std::string name, Transport& transport,
              const Clock& clock, metrics::Registry& registry, LeaseCallbacks callbacks);
  ~LeaderLease();
  LeaderLease(const LeaderLease&) = delete;
  LeaderLease& operator=(const LeaderLease&) = delete;

  void Start();
  // Whether this process may lead; false at first. Turning it off gives a held lease up (callback,
  // then release) and leaves it free.
  void SetEligible(bool eligible);
  // SetEligible(false), then waits until the lease surely does not carry our name. False: not
  // before the deadline; the others then wait for the lease duration.
  bool Release(Deadline deadline);
  // Ends the thread without releasing; on_lost is called if it led.
  void Stop();

  bool IsLeader() const { return clock_.Mono() < ValidUntil(); }
  // "Never" (MonoTime{}) when not leading.
  MonoTime ValidUntil() const { return {valid_until_ns_.load(std::memory_order_acquire)}; }
  Leadership Get() const;
  // The holder's identity as last seen; empty: none or unknown.
  std::string ObservedHolder() const;

 private:
  void Run(std::stop_token stop);
  LeaseInput Perform(const LeaseOutput& output);
  void Publish(const LeaseOutput& output);
  void PublishLost(const std::string& reason);

  const LeaseConfig config_;
  const std::string name_space_;
  const std::string name_;
  const Clock& clock_;
  const LeaseCallbacks callbacks_;
  metrics::Gauge& master_status_;
  Client client_;

  LeaseMachine machine_;  // the lease's thread
  Json lease_;            // the lease's thread; the object as last read or written
  std::atomic<int64_t> valid_until_ns_{MonoTime{}.ns};
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  bool eligible_ = false;          // mutex_
  bool released_ = true;           // mutex_
  uint64_t eligible_changes_ = 0;  // mutex_
  Leadership leadership_;          // mutex_
  std::string observed_holder_;    // mutex_
  std::jthread thread_;
};

}  // namespace understudy::kube
