// What the dispatcher keeps for a worker; for its own sources only.
#pragma once

#include "node/command/dispatch.h"
#include "node/store/evictor.h"

namespace understudy::command {

struct Dispatcher::WorkerState {
  explicit WorkerState(uint32_t commands) : stats(commands) {}
  WorkerStats stats;
  net::Worker* worker = nullptr;
  Effects effects;
  std::vector<Plan> plans;
  std::vector<store::Probe> probes;  // of PrefetchGroup
  std::vector<uint64_t> hashes;      // the same, while the keyspace is shared
  std::vector<const store::Entry*> entries;  // the same: found, and collections may hang on them
  // Rows by the exact bytes of short names: clients write theirs in one way.
  struct NamedRow {
    uint64_t name = 0;  // NameWord
    size_t size = 0;
    const Row* row = nullptr;
  };
  static constexpr size_t kNamedRows = 64;
  NamedRow named_rows[kNamedRows];
  std::vector<uint32_t> indexes, shards;
  struct Paused {
    uint64_t connection, wait;     // net::Connection::wait()
  };
  std::vector<Paused> paused;      // who waits for the end of a pause
  std::vector<std::function<void()>> ack_waiters;
  resp::DiscardOutput discard;
  uint64_t generation = 0;       // of the role, read before the last admission of a write
  // A command that took so long is looked at: for SLOWLOG, for LATENCY, or, with 0, for MONITOR. See SetThresholds.
  std::atomic<uint64_t> unusual_ticks{UINT64_MAX};
  std::atomic<uint64_t> slowlog_ticks{UINT64_MAX}, latency_ticks{UINT64_MAX};
  bool may_expire = false;
  // This worker's share of the memory that is left; see memory.h.
  int64_t room = 0, room_limit = 0;
  std::atomic<int64_t> reserved{0};  // what it may use, for other workers
  MonoTime room_at;
  Duration room_wait;            // after Room::kLater: how long to wait; 0 = to the next turn
  uint64_t eviction_turn = UINT64_MAX;
  MonoTime eviction_until;       // in that turn
  std::unique_ptr<store::Evictor> evictor;
  bool appended = false;         // to the replication log in this turn
  Blocking::Served served;       // what was served with locks held: to be finished when none is
  // Scripts (busy.cc).
  bool busy = false;             // a slow script has the floor, and what OnBatch is given is answered so
  bool outside = false;          // this worker may not touch shards: the rest of its batch waits
  bool batch_over = false;       // others were served in the middle of the batch, so it ends here
  bool out_of_memory = false;    // when the script was admitted
  std::vector<std::unique_ptr<net::ConnectionState>> orphans;  // sessions of closed clients that still watch keys
  // Writes of the segment that runs, one behind the other in the input, that the log is still to get: it takes them at
  // once, see AppendGathered. Only while this worker alone uses the keyspace, so that nobody can see the difference.
  struct Gathered {
    Session* session = nullptr;
    int db = 0;
    std::string_view bytes;
  };
  Gathered gathered;
};

inline void Dispatcher::CountCall(WorkerState& state, const CallContext& ctx, Args args, uint64_t ticks, bool failed,
                                  const resp::Writer& reply) {
  CommandStats& stats = ctx.stats.by_command[ctx.row->index];
  stats.CountCall(ticks);
  ctx.stats.commands.Add();
  if (failed || ticks >= state.unusual_ticks.load(std::memory_order_relaxed)) [[unlikely]] CountUnusual(state, ctx, args, ticks, failed, reply);
}

}  // namespace understudy::command
