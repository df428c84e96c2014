// What a worker does so that no client takes more than its share: accounts, limits, time-outs.
#include <algorithm>

#include "common/log.h"
#include "node/net/worker.h"

namespace understudy::net {
namespace {

constexpr size_t kUnauthenticatedOutputBytes = 1024;  // as Redis
constexpr Duration kAcceptPause = Milliseconds(100);
// Of SweepConnections. The most take a fifth of a millisecond; with more than 20,000 connections a round is longer than
// a second.
constexpr size_t kTicksARound = 10, kSweptAtLeast = 256, kSweptAtMost = 2000;

}  // namespace

// The listener stays readable while nothing can be accepted: without a pause this would be a busy loop.
void Worker::PauseAccepting() {
  LOG_WARN("accept: no file descriptors left; raise the limit or lower maxclients");
  for (const int listener : listeners_) loop_.Remove(listener);
  RunAt(now_ + kAcceptPause, [this] {
    for (const int listener : listeners_) CHECK(loop_.AddListener(listener, &listener_tag_).ok());
  });
}

void Worker::AccountChange(Connection& connection) {
  const size_t before = connection.counters.memory_bytes.load(std::memory_order_relaxed);
  const size_t bytes = connection.MemoryBytes();
  connection.accounted_buffers_ = connection.BufferBytes();
  connection.state_changed_ = false;
  connection.counters.memory_bytes.store(bytes, std::memory_order_relaxed);
  client_bytes_.store(client_bytes() + bytes - before, std::memory_order_relaxed);
}

void Worker::CheckOutputLimits(Connection& connection) {
  const size_t pending = connection.queue_.size();
  const OutputLimit& limit = settings_.output_limits[static_cast<size_t>(connection.output_class_)];
  const auto hard = static_cast<size_t>(limit.hard_bytes.load(std::memory_order_relaxed));
  const auto soft = static_cast<size_t>(limit.soft_bytes.load(std::memory_order_relaxed));
  bool over = (hard > 0 && pending > hard) || (!connection.trusted_ && pending > kUnauthenticatedOutputBytes);
  if (soft > 0 && pending > soft) {
    if (connection.soft_limit_since_ == MonoTime{}) connection.soft_limit_since_ = now_;
    const Duration allowed = Seconds(limit.soft_s.load(std::memory_order_relaxed));
    over = over || now_ - connection.soft_limit_since_ > allowed;
  } else {
    connection.soft_limit_since_ = {};
  }
  if (!over) return;
  LOG_WARN("client {} closed: {} bytes of replies wait for it, more than client-output-buffer-limit allows",
           connection.peer_, pending);
  totals_.closed_output_buffer.fetch_add(1, std::memory_order_relaxed);
  EndConnection(connection);
}

// A tenth of them each tick, or all if they are few: looking at 10,000 at once would take milliseconds, as their memory
// is in no cache. Growth of the map moves some away from where the sweep is; their turn comes a round later.
void Worker::SweepConnections() {
  const size_t buckets = connections_.bucket_count();
  const size_t count = std::clamp(buckets / kTicksARound, std::min(buckets, kSweptAtLeast), kSweptAtMost);
  for (size_t i = 0; i < count; ++i) {
    sweep_at_ = sweep_at_ + 1 < buckets ? sweep_at_ + 1 : 0;
    for (auto at = connections_.begin(sweep_at_); at != connections_.end(sweep_at_); ++at) SweepConnection(*at->second);
  }
}

void Worker::SweepConnection(Connection& connection) {
  if (connection.dead_) return;
  const int64_t timeout_s = settings_.idle_timeout_s.load(std::memory_order_relaxed);
  if ((connection.closing() || connection.detach_) && now_ > connection.close_deadline_) {
    connection.Close();
  } else if (timeout_s > 0 && !connection.parked_ &&
             connection.output_class_ == Connection::OutputClass::kNormal &&  // subscribers only listen
             wall_ms_ - connection.counters.last_input_ms.load(std::memory_order_relaxed) > timeout_s * 1000) {
    connection.Close();
  } else if (!connection.queue_.empty()) {
    CheckOutputLimits(connection);
  }
}

}  // namespace understudy::net
