// Who leads, decided over one Lease object: pure, `Step(input, now, …)` says what to ask the API
// server.
//
// Rules (FAILOVER.md section 5; the idea is client-go's):
// - A candidate takes a lease that has no holder, or whose record it has seen unchanged, on its own
//   monotonic clock, for the whole lease duration. Times in the record are for people only.
// - All writes name the resourceVersion that was read, so of two candidates one wins.
// - The leader renews without reading first. Its leadership ends renew_deadline after it *sent* its
// last
//   successful write, whatever the answer took: earlier than anybody may take the lease over, as
//   long as clock rates differ by less than lease_duration / renew_deadline (1.25 at least).
// - Each acquisition draws a fresh term, also when the own lost lease is taken back.
// - Withdrawing (shutdown, an operator that may not lead) ends the leadership first and then frees
// the
//   lease, so that the other candidate need not wait.
//
//             lease free: write ok                 no write ok in renew_deadline,
//   candidate --------------------------> leader   somebody else's name, withdrawn
//             <--------------------------
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "common/clock.h"
#include "common/json.h"
#include "common/result.h"

namespace understudy::kube {

struct LeaseConfig {
  std::string identity;  // unique for each start of a process: MakeLeaseIdentity
  Duration lease_duration = Seconds(6);
  Duration renew_deadline = Seconds(4);
  Duration retry_period = Seconds(1);
};
// kInvalid unless lease_duration >= 1.25 * renew_deadline and renew_deadline > 1.2 * retry_period.
Status CheckLeaseConfig(const LeaseConfig& config);

// LeaseSpec of coordination.k8s.io/v1.
struct LeaseRecord {
  std::string holder;  // empty: free
  int64_t duration_s = 0;
  std::string acquire_time;  // RFC 3339 with microseconds
  std::string renew_time;
  int64_t transitions = 0;
  bool operator==(const LeaseRecord&) const = default;
};
LeaseRecord DecodeLeaseSpec(const Json& spec);
Json EncodeLeaseSpec(const LeaseRecord& record);

// Inputs. Tick: the time to wait for has come, or eligibility changed.
struct LeaseTick {};
struct LeaseRead {
  enum class Outcome { kFound, kMissing, kFailed };
  Outcome outcome = Outcome::kFailed;
  LeaseRecord record;
  std::string resource_version;
  MonoTime sent_at;
};
struct LeaseWritten {
  enum class Outcome {
    kWritten,
    kConflict,
    kFailed
  };  // kFailed: nobody knows whether it was written
  Outcome outcome = Outcome::kFailed;
  std::string resource_version;
  MonoTime sent_at;
};
using LeaseInput = std::variant<LeaseTick, LeaseRead, LeaseWritten>;

// In this order: tell `lost`, tell `acquired`, then do `request`.
struct LeaseOutput {
  enum class Request { kWait, kRead, kCreate, kReplace };
  bool lost = false;
  std::string lost_reason;
  bool acquired = false;
  Request request = Request::kWait;
  LeaseRecord record;            // kCreate, kReplace
  std::string resource_version;  // kReplace: the one that must still be current
  MonoTime until;                // kWait: then Tick; otherwise the request's deadline
};

class LeaseMachine {
 public:
  explicit LeaseMachine(LeaseConfig config);

  // Whether this process may lead; Tick afterwards. False at first.
  void SetEligible(bool eligible) { eligible_ = eligible; }

  // jitter: uniform in [0, 1). fresh_term: a new random string, used if this step acquires.
  LeaseOutput Step(const LeaseInput& input, MonoTime now, WallTime wall, double jitter,
                   const std::string& fresh_term);

  bool leading() const { return leading_; }
  // While leading.
  MonoTime valid_until() const { return valid_until_; }
  MonoTime acquired_at() const { return acquired_at_; }
  // Until when, on this clock, earlier leaders can have taken themselves for the leader: acquired_at
  // at the latest, unless the Lease object was missing. All processes keep to the same renew_deadline.
  MonoTime predecessors_until() const { return predecessors_until_; }
  const std::string& term() const { return term_; }
  // Who holds it as last read; empty: nobody or unknown.
  const std::string& observed_holder() const { return record_.holder; }
  // Withdrawn, and the lease surely does not carry our name.
  bool released() const { return !eligible_ && !may_hold_ && !leading_; }

 private:
  enum class Writing { kNothing, kAcquire, kRenew, kRelease };

  void OnRead(const LeaseRead& read, MonoTime now, double jitter, LeaseOutput* out);
  void OnWritten(const LeaseWritten& written, MonoTime now, const std::string& fresh_term,
                 LeaseOutput* out);
  void Decide(MonoTime now, WallTime wall, LeaseOutput* out);
  void Lose(const std::string& reason, LeaseOutput* out);
  void Write(Writing what, MonoTime now, WallTime wall, LeaseOutput* out);
  void Wait(MonoTime until, LeaseOutput* out) const;
  MonoTime RequestDeadline(MonoTime now) const;
  bool Free(MonoTime now) const;
  Duration HeldFor() const;
  MonoTime HoldersLast(MonoTime now) const;

  const LeaseConfig config_;
  bool eligible_ = false;
  bool leading_ = false;
  MonoTime valid_until_;
  MonoTime acquired_at_;
  MonoTime predecessors_until_;
  std::string term_;

  // The record as last read or written by us; its version is empty when it has to be read anew.
  LeaseRecord record_;
  bool record_exists_ = false;
  bool record_read_ = false;  // in this attempt
  std::string resource_version_;
  MonoTime record_seen_at_;  // since when it has been unchanged
  bool may_hold_ = false;    // a write of ours was, or may have been, carried out
  MonoTime holders_last_;    // predecessors_until of the acquisition that is in flight
  MonoTime next_attempt_;

  Writing writing_ = Writing::kNothing;
  LeaseRecord written_;
};

}  // namespace understudy::kube
