#include "operator/kube/leader_lease.h"

#include <algorithm>
#include <chrono>

#include "common/log.h"
#include "common/random.h"

namespace understudy::kube {

std::string MakeLeaseIdentity(const std::string& pod_name) {
  return pod_name + "_" + RandomHex(8);
}

LeaderLease::LeaderLease(LeaseConfig config, std::string name_space, std::string name,
                         Transport& transport, const Clock& clock, metrics::Registry& registry,
                         LeaseCallbacks callbacks)
    : config_(config),
      name_space_(std::move(name_space)),
      name_(std::move(name)),
      clock_(clock),
      callbacks_(std::move(callbacks)),
      master_status_(registry.GetGauge("leader_election_master_status",
                                       "1 while this process leads.", {{"name", name_}})),
      client_(transport, clock),
      machine_(std::move(config)) {}

LeaderLease::~LeaderLease() {
  Stop();
}

void LeaderLease::Start() {
  CHECK(!thread_.joinable());
  thread_ = std::jthread([this](std::stop_token stop) { Run(stop); });
}

void LeaderLease::SetEligible(bool eligible) {
  std::lock_guard lock(mutex_);
  if (eligible_ == eligible) return;
  eligible_ = eligible;
  ++eligible_changes_;
  released_ = false;
  changed_.notify_all();
}

bool LeaderLease::Release(Deadline deadline) {
  SetEligible(false);
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::nanoseconds(deadline.Left(clock_.Mono()).ns),
                           [&] { return released_; });
}

void LeaderLease::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  client_.Stop();
  thread_.join();
}

Leadership LeaderLease::Get() const {
  std::lock_guard lock(mutex_);
  return leadership_;
}

std::string LeaderLease::ObservedHolder() const {
  std::lock_guard lock(mutex_);
  return observed_holder_;
}

void LeaderLease::PublishLost(const std::string& reason) {
  valid_until_ns_.store(MonoTime{}.ns, std::memory_order_release);
  {
    std::lock_guard lock(mutex_);
    leadership_ = {};
  }
  master_status_.Set(0);
  LOG_WARN("leadership lost: {}", reason);
  if (callbacks_.on_lost) callbacks_.on_lost(reason);
}

// Makes a step's outcome visible, in the order that callers rely on.
void LeaderLease::Publish(const LeaseOutput& output) {
  if (output.lost) PublishLost(output.lost_reason);
  Leadership now;
  if (machine_.leading()) {
    now = {.leading = true,
           .term = machine_.term(),
           .acquired_at = machine_.acquired_at(),
           .valid_until = machine_.valid_until(),
           .predecessors_until = machine_.predecessors_until()};
  }
  {
    std::lock_guard lock(mutex_);
    leadership_ = now;
    observed_holder_ = machine_.observed_holder();
  }
  valid_until_ns_.store(now.valid_until.ns, std::memory_order_release);
  if (output.acquired) {
    master_status_.Set(1);
    LOG_INFO("leading as {} with term {}", config_.identity, now.term);
    if (callbacks_.on_acquired) callbacks_.on_acquired(now);
  }
}

void LeaderLease::Run(std::stop_token stop) {
  LeaseInput input = LeaseTick{};
  while (!stop.stop_requested()) {
    uint64_t changes = 0;
    {
      std::lock_guard lock(mutex_);
      machine_.SetEligible(eligible_);
      changes = eligible_changes_;
    }
    const double jitter = static_cast<double>(RandomU64() >> 11) / static_cast<double>(1ULL << 53);
    const LeaseOutput output =
        machine_.Step(input, clock_.Mono(), clock_.Wall(), jitter, RandomHex(16));
    Publish(output);
    if (output.request != LeaseOutput::Request::kWait) {
      input = Perform(output);
      continue;
    }
    input = LeaseTick{};
    std::unique_lock lock(mutex_);
    if (machine_.released() && changes == eligible_changes_) {
      released_ = true;
      changed_.notify_all();
    }
    // At most an hour: "never" does not fit into every clock of the standard library.
    const Duration left = std::min(output.until - clock_.Mono(), Seconds(3600));
    changed_.wait_for(lock, stop, std::chrono::nanoseconds(left.ns),
                      [&] { return changes != eligible_changes_; });
  }
  if (machine_.leading()) PublishLost("stopped");
}

LeaseInput LeaderLease::Perform(const LeaseOutput& output) {
  const MonoTime sent_at = clock_.Mono();
  const Deadline deadline{output.until};
  const auto version = [](const Json& object) {
    return JsonString(JsonAt(object, "metadata"), "resourceVersion");
  };
  if (output.request == LeaseOutput::Request::kRead) {
    auto got = client_.Get(kLeases, name_space_, name_, deadline);
    LeaseRead read{.sent_at = sent_at};
    if (got.ok()) {
      lease_ = *std::move(got);
      read.outcome = LeaseRead::Outcome::kFound;
      read.record = DecodeLeaseSpec(JsonAt(lease_, "spec"));
      read.resource_version = version(lease_);
    } else if (got.status().code() == Code::kNotFound) {
      read.outcome = LeaseRead::Outcome::kMissing;
    } else {
      LOG_WARN("reading the lease: {}", got.status().ToString());
    }
    return read;
  }
  const bool create = output.request == LeaseOutput::Request::kCreate;
  // What others have put on the object, such as labels, stays.
  Json object = create ? Json{{"metadata", {{"name", name_}, {"namespace", name_space_}}}} : lease_;
  object["apiVersion"] = ApiVersion(kLeases);
  object["kind"] = kLeases.kind;
  object["spec"] = EncodeLeaseSpec(output.record);
  if (!create) object["metadata"]["resourceVersion"] = output.resource_version;
  object["metadata"].erase("managedFields");
  auto put = create ? client_.Create(kLeases, object, deadline)
                    : client_.Put(kLeases, object, "", deadline);
  LeaseWritten written{.sent_at = sent_at};
  if (put.ok()) {
    lease_ = *std::move(put);
    written.outcome = LeaseWritten::Outcome::kWritten;
    written.resource_version = version(lease_);
  } else if (put.status().code() == Code::kConflict || put.status().code() == Code::kNotFound) {
    written.outcome = LeaseWritten::Outcome::kConflict;
  } else {
    LOG_WARN("writing the lease: {}", put.status().ToString());
  }
  return written;
}

}  // namespace understudy::kube
