// What the dispatcher counts and notes of commands: what took long, who monitors, rates, statistics.
#include <algorithm>

#include "common/clock.h"
#include "node/command/dispatch.h"
#include "node/command/dispatch_state.h"
#include "node/command/saver.h"
#include "node/config/config.h"

namespace understudy::command {

void Dispatcher::CountUnusual(WorkerState& state, const CallContext& ctx, Args args, uint64_t ticks, bool failed,
                              const resp::Writer& reply) {
  if (failed) {
    ctx.stats.by_command[ctx.row->index].failed.Add();
    if (!reply.last_error_code().empty()) ctx.stats.CountError(reply.last_error_code());
  }
  const uint32_t flags = ctx.row->flags;
  const Session& session = *ctx.session;
  // A script was shown before it ran.
  if (monitors_.any() && !(flags & (kAdmin | kRunsScript))) {
    monitors_.Show(session.db.load(std::memory_order_relaxed), session.connection.peer_address(),
                   WithoutSecrets(table_.FullName(ctx.row->index), args));
  }
  const auto us = static_cast<int64_t>(static_cast<double>(ticks) / ticks_per_us());
  if (ticks >= state.latency_ticks.load(std::memory_order_relaxed)) {
    latency_.Add(flags & kFast ? "fast-command" : "command", ctx.now_ms / 1000, us / 1000);
  }
  if (ticks >= state.slowlog_ticks.load(std::memory_order_relaxed) && !(flags & kSkipSlowlog)) {
    slowlog_.Add(WithoutSecrets(table_.FullName(ctx.row->index), args), ctx.now_ms / 1000, us,
                 session.connection.peer_address(), session.name,
                 static_cast<size_t>(services_->config.slowlog_entries.load(std::memory_order_relaxed)));
  }
}

void Dispatcher::SetThresholds() {
  std::lock_guard lock(thresholds_mutex_);
  const double per_us = ticks_per_us();
  const int64_t slow_us = services_->config.slowlog_us.load(std::memory_order_relaxed);
  const int64_t latency_ms = services_->config.latency_threshold_ms.load(std::memory_order_relaxed);
  const auto ticks = [&](int64_t us) { return static_cast<uint64_t>(static_cast<double>(us) * per_us); };
  const uint64_t slowlog = slow_us < 0 ? UINT64_MAX : ticks(slow_us);
  const uint64_t latency = latency_ms == 0 ? UINT64_MAX : ticks(latency_ms * 1000);
  for (const auto& state : states_) {
    state->slowlog_ticks.store(slowlog, std::memory_order_relaxed);
    state->latency_ticks.store(latency, std::memory_order_relaxed);
    state->unusual_ticks.store(monitors_.any() ? 0 : std::min(slowlog, latency), std::memory_order_relaxed);
  }
}

void Dispatcher::NoteLatency(std::string_view event, Duration duration, int64_t unix_ms) {
  const int64_t least_ms = services_->config.latency_threshold_ms.load(std::memory_order_relaxed);
  if (least_ms > 0 && duration.ms() >= least_ms) latency_.Add(event, unix_ms / 1000, duration.ms());
}

void Dispatcher::SampleRates() {
  Sample sample;
  sample.ns = services_->clock.Mono().ns;
  for (const auto& state : states_) sample.commands += state->stats.commands.value();
  for (const net::Worker* worker : workers_) {
    sample.turns += worker->meter().turns();
    sample.turn_us += static_cast<uint64_t>(worker->meter().total().us());
  }
  sample.input = totals_.input_bytes.load(std::memory_order_relaxed);
  sample.output = totals_.output_bytes.load(std::memory_order_relaxed);
  std::lock_guard lock(samples_mutex_);
  samples_[sample_at_++ % kSamples] = sample;
}

Dispatcher::Rates Dispatcher::rates() const {
  std::lock_guard lock(samples_mutex_);
  if (sample_at_ < 2) return {};
  const Sample& last = samples_[(sample_at_ - 1) % kSamples];
  const Sample& first = samples_[sample_at_ < kSamples ? 0 : sample_at_ % kSamples];
  const double s = static_cast<double>(last.ns - first.ns) / 1e9;
  if (s <= 0) return {};
  const auto rate = [s](uint64_t to, uint64_t from) { return to > from ? static_cast<double>(to - from) / s : 0.0; };
  const double turns = rate(last.turns, first.turns);
  return {rate(last.commands, first.commands), rate(last.input, first.input), rate(last.output, first.output), turns,
          turns > 0 ? rate(last.turn_us, first.turn_us) / turns : 0};
}

void Dispatcher::ResetStats() {
  for (const auto& state : states_) {
    WorkerStats& stats = state->stats;
    stats.commands.Reset();
    stats.hits.Reset();
    stats.misses.Reset();
    stats.error_replies.Reset();
    for (uint32_t i = 0; i < stats.command_count; ++i) {
      for (OwnedCounter& counter : stats.by_command[i].by_duration) counter.Reset();
      stats.by_command[i].ticks.Reset();
      stats.by_command[i].rejected.Reset();
      stats.by_command[i].failed.Reset();
    }
    std::lock_guard lock(stats.mutex);
    stats.errors.clear();
  }
  for (net::Worker* worker : workers_) worker->ResetMeter();
  services_->keyspace.ResetTotals();
  acl_.ResetCounters();
  services_->saver.ResetCounters();
  evicted_clients_ = 0;
  exceeded_ms_ = 0;
  totals_.accepted = 0;
  totals_.rejected = 0;
  totals_.input_bytes = 0;
  totals_.output_bytes = 0;
  totals_.closed_query_buffer = 0;
  totals_.closed_output_buffer = 0;
}

}  // namespace understudy::command
