#include "operator/kube/lease_machine.h"

#include <algorithm>

#include "common/check.h"

namespace understudy::kube {
namespace {

constexpr MonoTime kNever{INT64_MAX / 4};
// A candidate reads more often than the leader writes: what it sees late, it takes over late.
constexpr double kCandidatePace = 0.3;
constexpr double kCandidateJitter = 0.2;
constexpr int64_t kLongestHoldSeconds = 600;
// What another clock, 10 % slow, may make of a duration on ours, 10 % fast: 1.1 / 0.9 = 1.222.
constexpr double kClockRates = 1.25;

}  // namespace

Status CheckLeaseConfig(const LeaseConfig& config) {
  if (config.identity.empty()) return Invalid("the lease identity is empty; it must be unique");
  if (config.retry_period.ns <= 0) return Invalid("the retry period must be above zero");
  if (config.lease_duration < config.renew_deadline * kClockRates) {
    return Invalid("the lease duration must be at least 1.25 times the renew deadline");
  }
  if (config.renew_deadline <= config.retry_period * 1.2) {
    return Invalid("the renew deadline must be more than 1.2 times the retry period");
  }
  return {};
}

LeaseRecord DecodeLeaseSpec(const Json& spec) {
  return {.holder = JsonString(spec, "holderIdentity"),
          .duration_s = JsonInt(spec, "leaseDurationSeconds"),
          .acquire_time = JsonString(spec, "acquireTime"),
          .renew_time = JsonString(spec, "renewTime"),
          .transitions = JsonInt(spec, "leaseTransitions")};
}

Json EncodeLeaseSpec(const LeaseRecord& record) {
  Json out = {{"holderIdentity", record.holder},
              {"leaseDurationSeconds", record.duration_s},
              {"leaseTransitions", record.transitions}};
  if (!record.acquire_time.empty()) out["acquireTime"] = record.acquire_time;
  if (!record.renew_time.empty()) out["renewTime"] = record.renew_time;
  return out;
}

LeaseMachine::LeaseMachine(LeaseConfig config) : config_(std::move(config)) {
  CHECK(CheckLeaseConfig(config_).ok());
}

LeaseOutput LeaseMachine::Step(const LeaseInput& input, MonoTime now, WallTime wall, double jitter,
                               const std::string& fresh_term) {
  LeaseOutput out;
  // Before anything else: an answer that comes too late begins a new leadership, it doesn't
  // prolong.
  if (leading_ && now >= valid_until_) Lose("no renewal succeeded within the renew deadline", &out);
  if (const auto* read = std::get_if<LeaseRead>(&input)) {
    OnRead(*read, now, jitter, &out);
  } else if (const auto* written = std::get_if<LeaseWritten>(&input)) {
    OnWritten(*written, now, fresh_term, &out);
  }
  Decide(now, wall, &out);
  return out;
}

void LeaseMachine::OnRead(const LeaseRead& read, MonoTime now, double jitter, LeaseOutput* out) {
  if (read.outcome == LeaseRead::Outcome::kFailed) {
    next_attempt_ = std::max(now, read.sent_at + config_.retry_period);
    return;
  }
  record_read_ = true;
  const bool exists = read.outcome == LeaseRead::Outcome::kFound;
  const LeaseRecord record = exists ? read.record : LeaseRecord{};
  if (exists != record_exists_ || record != record_ || record_seen_at_ == MonoTime{}) {
    record_seen_at_ = now;
  }
  record_exists_ = exists;
  record_ = record;
  resource_version_ = exists ? read.resource_version : "";
  may_hold_ = record_.holder == config_.identity;
  if (leading_ && !may_hold_) {
    Lose(record_.holder.empty() ? "the lease was freed by somebody"
                                : "the lease was taken by " + record_.holder,
         out);
  }
  if (eligible_ && !leading_ && !Free(now)) {
    record_read_ = false;
    next_attempt_ = std::min(now + config_.retry_period * (kCandidatePace * (1.0 + kCandidateJitter * jitter)),
                             record_seen_at_ + HeldFor());
  }
}

void LeaseMachine::OnWritten(const LeaseWritten& written, MonoTime now,
                             const std::string& fresh_term, LeaseOutput* out) {
  CHECK(writing_ != Writing::kNothing);
  const Writing what = std::exchange(writing_, Writing::kNothing);
  record_read_ = false;
  if (written.outcome != LeaseWritten::Outcome::kWritten) {
    resource_version_.clear();
    const bool conflict = written.outcome == LeaseWritten::Outcome::kConflict;
    // A leader must know at once whether it still is one; a candidate that lost a race has time.
    const bool at_once = conflict && (leading_ || what == Writing::kRelease);
    next_attempt_ = at_once ? now : std::max(now, written.sent_at + config_.retry_period);
    return;
  }
  record_ = written_;
  record_exists_ = true;
  resource_version_ = written.resource_version;
  record_seen_at_ = now;
  next_attempt_ = written.sent_at + config_.retry_period;
  if (what == Writing::kRelease) {
    may_hold_ = false;
    return;
  }
  const MonoTime valid_until = written.sent_at + config_.renew_deadline;
  if (now >= valid_until) return;  // ours by name, but too old to act on; the next write decides
  valid_until_ = valid_until;
  if (leading_) return;
  leading_ = true;
  acquired_at_ = now;
  predecessors_until_ = holders_last_;
  term_ = fresh_term;
  out->acquired = true;
}

void LeaseMachine::Decide(MonoTime now, WallTime wall, LeaseOutput* out) {
  if (!eligible_) {
    if (leading_) Lose("withdrawn", out);
    if (!may_hold_) return Wait(kNever, out);
    if (record_exists_ && record_.holder == config_.identity && !resource_version_.empty()) {
      return Write(Writing::kRelease, now, wall, out);
    }
  } else if (record_read_ && (leading_ || Free(now))) {
    return Write(leading_ ? Writing::kRenew : Writing::kAcquire, now, wall, out);
  }
  if (now < next_attempt_) {
    return Wait(leading_ ? std::min(next_attempt_, valid_until_) : next_attempt_, out);
  }
  if (eligible_ && leading_ && !resource_version_.empty()) {
    return Write(Writing::kRenew, now, wall, out);
  }
  out->request = LeaseOutput::Request::kRead;
  out->until = RequestDeadline(now);
}

void LeaseMachine::Lose(const std::string& reason, LeaseOutput* out) {
  leading_ = false;
  term_.clear();
  out->lost = true;
  out->lost_reason = reason;
}

void LeaseMachine::Write(Writing what, MonoTime now, WallTime wall, LeaseOutput* out) {
  const std::string time = FormatRfc3339Micro(wall);
  LeaseRecord record = record_;
  record.renew_time = time;
  // Whole seconds, never shorter than what we promise to keep to.
  record.duration_s = (config_.lease_duration.ns + 999'999'999) / 1'000'000'000;
  if (what == Writing::kRelease) {
    record.holder.clear();
    record.duration_s = 1;
  } else if (what == Writing::kAcquire) {
    record.holder = config_.identity;
    record.acquire_time = time;
    record.transitions = record_exists_ ? record_.transitions + 1 : 0;
    holders_last_ = HoldersLast(now);
  }
  writing_ = what;
  written_ = record;
  may_hold_ = true;  // from the moment it is sent
  record_read_ = false;
  out->record = std::move(record);
  out->resource_version = resource_version_;
  out->request = record_exists_ ? LeaseOutput::Request::kReplace : LeaseOutput::Request::kCreate;
  out->until = RequestDeadline(now);
}

void LeaseMachine::Wait(MonoTime until, LeaseOutput* out) const {
  out->request = LeaseOutput::Request::kWait;
  out->until = until;
}

MonoTime LeaseMachine::RequestDeadline(MonoTime now) const {
  // Short enough for a second attempt before the leadership ends.
  const MonoTime limit = now + config_.renew_deadline * 0.5;
  return leading_ ? std::min(limit, valid_until_) : limit;
}

Duration LeaseMachine::HeldFor() const {
  // Bounded: a record with nonsense in it must not lock everybody out.
  return std::max(config_.lease_duration,
                  Seconds(std::clamp<int64_t>(record_.duration_s, 0, kLongestHoldSeconds)));
}

// The holder sent its last renewal before we first saw the record that this made.
MonoTime LeaseMachine::HoldersLast(MonoTime now) const {
  const MonoTime by_deadline = record_seen_at_ + config_.renew_deadline * kClockRates;
  if (!record_exists_) return by_deadline;  // deleted under a leader that does not know it yet
  const bool let_run_out = !record_.holder.empty() && record_.holder != config_.identity;
  return let_run_out ? std::min(now, by_deadline) : now;
}

bool LeaseMachine::Free(MonoTime now) const {
  return record_.holder.empty() || record_.holder == config_.identity ||
         now >= record_seen_at_ + HeldFor();
}

}  // namespace understudy::kube
