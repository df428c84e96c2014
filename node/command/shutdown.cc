#include "node/command/shutdown.h"

#include <algorithm>
#include <utility>

#include "common/log.h"
#include "node/command/call_context.h"
#include "node/command/dispatch.h"
#include "node/command/saver.h"
#include "node/config/config.h"
#include "node/replication/replication.h"
#include "node/script/scripts.h"

namespace understudy::command {
namespace {

// Writes stay paused until the process ends, or goes on after all.
constexpr int64_t kPauseMs = int64_t{24} * 3600 * 1000;

}  // namespace

bool Shutdown::ReplicasLag() const {
  const replication::ReplicationState state = services_->replication.state();
  if (state.mode != replication::Mode::kStandalone) return false;
  return std::any_of(state.replicas.begin(), state.replicas.end(),
                     [&](const replication::ReplicaInfo& replica) { return replica.acked < state.offset; });
}

void Shutdown::Begin(Options options, std::function<void()> failed) {
  std::unique_lock lock(mutex_);
  failed_.push_back(std::move(failed));
  if (phase_ != Phase::kNone) return;
  options_ = options;
  if (options.now || !ReplicasLag()) return Last(std::move(lock));
  const int64_t timeout_s = services_->config.shutdown_timeout_s;
  if (timeout_s == 0) return Last(std::move(lock));
  LOG_INFO("waiting up to {} s for replicas before shutting down", timeout_s);
  phase_ = Phase::kWaitForReplicas;
  until_ = services_->clock.Mono() + Seconds(timeout_s);
  services_->dispatcher.Pause(ClientPause::kWrite, services_->clock.Wall().unix_ms + kPauseMs);
  services_->replication.RequestAcks();
}

void Shutdown::OnTick(MonoTime now) {
  std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock || phase_ != Phase::kWaitForReplicas) return;
  if (ReplicasLag()) {
    if (now < until_) return services_->replication.RequestAcks();
    LOG_WARN("shutting down although replicas have not acknowledged all that was written");
  }
  Last(std::move(lock));
}

void Shutdown::Last(std::unique_lock<std::mutex> lock) {
  phase_ = Phase::kLast;
  const bool points = !services_->config.save_points().empty();
  // A signal may come while a script is slow, which could go on for ever.
  const bool possible = !services_->saver.loading() && !services_->scripts.floor().slow();
  const bool save = possible && (options_.save || (points && !options_.no_save));
  const bool force = options_.force;
  lock.unlock();
  if (!save) {
    services_->saver.Abandon();
    LOG_INFO("Redis is now ready to exit, bye bye...");
    return exit_();
  }
  services_->dispatcher.Pause(ClientPause::kWrite, services_->clock.Wall().unix_ms + kPauseMs);
  services_->saver.SaveLast([this, force](Status status) {
    if (!status.ok() && !force) {
      LOG_ERROR("Error trying to save the DB, can't exit.");
      return Fail(std::unique_lock(mutex_));
    }
    if (!status.ok()) LOG_WARN("Error trying to save the DB, but the shutdown was forced");
    LOG_INFO("Redis is now ready to exit, bye bye...");
    exit_();
  });
}

bool Shutdown::Abort() {
  std::unique_lock lock(mutex_);
  if (phase_ != Phase::kWaitForReplicas) return false;
  LOG_INFO("Shutdown manually aborted");
  Fail(std::move(lock));
  return true;
}

bool Shutdown::under_way() {
  std::lock_guard lock(mutex_);
  return phase_ != Phase::kNone;
}

void Shutdown::Fail(std::unique_lock<std::mutex> lock) {
  phase_ = Phase::kNone;
  const std::vector<std::function<void()>> failed = std::exchange(failed_, {});
  lock.unlock();
  services_->dispatcher.Unpause();
  for (const auto& tell : failed) tell();
}

}  // namespace understudy::command
