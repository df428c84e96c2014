// From a batch of parsed commands to executed ones.
//
// For each group of commands, gathered across connections (batch.cc): look up the rows, hash the keys, prefetch
// buckets, then entries; then execute in order. A command is admitted (Admit, one ordered list of checks), its
// shards are locked as its row says, its handler runs, its effects go into the replication log while the locks
// are still held.
//
// An ordinary command (Row::ordinary, one key, a session without MULTI, replies on) goes the short way,
// RunOrdinary: the same checks as loads and comparisons that refuse nothing themselves; whatever they do not
// pass goes to RunCommand, which finds out what it is. One context serves all ordinary commands of a segment,
// and one reading of the processor's ticks is the end of a command and the beginning of the next.
//
// Threads: one per-worker state for each worker, used by its thread; the rest is atomic or says so.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "node/command/acl.h"
#include "node/command/blocking.h"
#include "node/command/call_context.h"
#include "node/command/client_registry.h"
#include "node/command/latency.h"
#include "node/command/monitors.h"
#include "node/command/slowlog.h"
#include "node/command/stats.h"
#include "node/command/tracking.h"
#include "node/net/worker.h"
#include "node/resp/output.h"
#include "node/resp/writer.h"

namespace understudy::command {

// CLIENT PAUSE.
enum class ClientPause : uint8_t { kNone, kWrite, kAll };

class Dispatcher final : public net::Handler, public store::ExpirySink {
 public:
  Dispatcher(const Table& table, uint32_t workers);
  ~Dispatcher() override;

  // Before workers start.
  void Attach(Services& services, std::vector<net::Worker*> workers);

  // net::Handler
  void OnOpen(net::Connection& connection) override;
  void OnClose(net::Connection& connection) override;
  void OnBatch(net::Worker& worker, const net::Batch& batch, std::span<uint32_t> executed) override;
  bool MayFlush(net::Connection& connection, MonoTime now) override;
  uint64_t ReleasedTicket() override;
  void OnTick(net::Worker& worker) override;
  void OnTurnEnd(net::Worker& worker) override;
  std::optional<Duration> WaitToReceive(net::Worker& worker, size_t bytes) override;

  // store::ExpirySink
  void OnExpired(int db, std::string_view key) override;
  void OnEvicted(int db, std::string_view key) override;
  void OnFieldExpired(int db, std::string_view key, std::string_view field) override;
  void OnFieldsExpired(int db, std::string_view key, bool key_gone) override;

  // Runs the queued commands of a transaction: EXEC. Takes and frees the locks.
  void RunTransaction(CallContext& ctx, Transaction& transaction, resp::Writer& reply);

  // A script that `running` called is slow: others are told, or may end it. The thread of its worker.
  void ServeOthers(Session& running);
  // May the session's user run it in a script? A refusal is noted.
  acl::Verdict CheckInScript(Session& session, const Row& row, Args args);

  // ---- Any thread ----------------------------------------------------------------------------------------
  // Clients whose commands wait for the end of a pause try again.
  void WakePaused();
  // This node left the primary role (or follows somebody else): what is queued is answered, then all clients
  // are closed. The gate has changed already.
  void CloseAllClients();
  // This node follows another one: clients that wait for keys are told so and closed. The gate has changed already.
  void CloseWaitingClients();
  // Replicas acknowledged more: held replies may have become free; tasks of WhenAcksGrow run.
  void OnAcks();
  // CLIENT PAUSE; until_ms is wall time. A pause never shortens one that runs.
  void Pause(ClientPause kind, int64_t until_ms);
  void Unpause();
  ClientPause pause(int64_t now_ms) const;
  int64_t pause_until_ms() const { return pause_until_ms_.load(std::memory_order_acquire); }
  // After a change of options, or of whether anybody monitors: commands from now on meet it, on all workers.
  void SetThresholds();

  // What clients are told while a script is slow.
  std::string_view BusyText() const;

  // `task` runs once on the worker after the next OnAcks (WAIT). The worker's thread.
  void WhenAcksGrow(net::Worker& worker, std::function<void()> task);

  Acl& acl() { return acl_; }
  ClientRegistry& clients() { return clients_; }
  Slowlog& slowlog() { return slowlog_; }
  Blocking& blocking() { return blocking_; }
  Tracking& tracking() { return tracking_; }
  Monitors& monitors() { return monitors_; }
  Latency& latency() { return latency_; }
  const std::vector<net::Worker*>& workers() const { return workers_; }
  WorkerStats& stats(uint32_t worker) const;
  // Since the start, by clients and by the primary's stream: Effects::changes, as each worker told it last:
  // behind a batch, and before a command that is not ordinary.
  uint64_t changes() const;
  // The replication thread: all that its stream has changed.
  void SetAppliedChanges(uint64_t changes) { applied_changes_.Set(changes); }
  // Ticks() per microsecond.
  double ticks_per_us() const { return ticks_per_us_.load(std::memory_order_relaxed); }
  void set_active_expire(bool on) { active_expire_.store(on, std::memory_order_relaxed); }
  // RESTORE does not look at checksums, for tests.
  bool skips_checksums() const { return skips_checksums_.load(std::memory_order_relaxed); }
  void set_skips_checksums(bool on) { skips_checksums_.store(on, std::memory_order_relaxed); }
  net::Settings& settings() { return settings_; }
  net::Totals& totals() { return totals_; }
  // Commands, input and output bytes, turns of all workers per second over the last 1.6 s; microseconds of a turn.
  struct Rates {
    double commands = 0, input_bytes = 0, output_bytes = 0, turns = 0, turn_us = 0;
  };
  Rates rates() const;
  void ResetStats();

  // Memory; see memory.h.
  void set_startup_bytes(size_t bytes) { startup_bytes_.store(bytes, std::memory_order_relaxed); }
  size_t startup_bytes() const { return startup_bytes_.load(std::memory_order_relaxed); }
  size_t NotePeak(size_t used);  // returns the peak
  uint64_t evicted_clients() const { return evicted_clients_.load(std::memory_order_relaxed); }
  // For how long used memory is above maxmemory now, or was in all.
  int64_t eviction_exceeded_ms(bool total) const;

 private:
  friend class ApplySink;
  struct Plan {
    const Row* row = nullptr;
    uint64_t hash = 0;       // of the first key
    bool ordinary = false;   // as far as the row and the number of arguments tell
  };
  struct WorkerState;

  // Inlined by force: each ordinary command runs through these once.
  [[gnu::always_inline]] inline const Row* FindRow(WorkerState& state, std::string_view name);
  void PrefetchGroup(WorkerState& state, const net::Batch& batch, size_t begin, size_t end);
  uint32_t RunSegment(WorkerState& state, const net::Batch& batch, const net::Segment& segment);
  // The session is no ordinary one only because its user may not do everything, but he may do this.
  [[gnu::noinline]] static bool MayRunRestricted(const Session& session, const Row& row, Args args);
  // Would Admit() let it pass without a word?
  [[gnu::always_inline]] inline bool Passes(WorkerState& state, const Session& session, const Row& row, Args args) const;
  [[gnu::always_inline]] inline void RunOrdinary(WorkerState& state, CallContext& ctx, const Plan& plan, Args args,
                                                 std::string_view bytes, resp::Writer& reply, uint64_t* ticks);
  void RunCommand(WorkerState& state, Session& session, const Plan& plan, Args args, resp::Writer& reply);
  // The same, as the session wants to be answered.
  void RunAndAnswer(WorkerState& state, Session& session, const Plan& plan, Args args, resp::Writer& reply);
  // The row (or subcommand) to run; null after the error reply was written.
  static bool IsHttp(std::string_view word);
  const Row* Resolve(WorkerState& state, const Row* row, Args args, resp::Writer& reply);
  // By its user's rules. Empty: it is not; otherwise the error, which the log of refusals has.
  std::string Forbidden(Session& session, const Row& row, Args args);
  std::string ForbiddenInExec(Session& session, const Row& row, Args args);
  acl::Verdict CheckAndNote(Session& session, const Row& row, Args args, std::string_view context);
  // False: refused (reply written) or parked.
  bool Admit(WorkerState& state, Session& session, const Row& row, Args args, resp::Writer& reply);
  void Queue(WorkerState& state, Session& session, const Row& row, Args args, resp::Writer& reply);
  // Locks what the row says, runs the handler, replicates.
  void Call(WorkerState& state, Session& session, const Row& row, Args args, uint64_t hash, resp::Writer& reply);
  void RunHandler(CallContext& ctx, const Row& row, Args args, resp::Writer& reply);
  // Counts a call that took so many ticks.
  [[gnu::always_inline]] inline void CountCall(WorkerState& state, const CallContext& ctx, Args args, uint64_t ticks,
                                               bool failed, const resp::Writer& reply);
  void CountUnusual(WorkerState& state, const CallContext& ctx, Args args, uint64_t ticks, bool failed,
                    const resp::Writer& reply);
  // busy.cc: while a script has the floor
  bool EnterShards(WorkerState& state);
  void LeaveShards(WorkerState& state);
  bool TakeFloor(WorkerState& state);
  void ReturnFloor(WorkerState& state);
  void OnBusyBatch(WorkerState& state, const net::Batch& batch, std::span<uint32_t> executed);
  uint32_t RunBusySegment(WorkerState& state, const net::Batch& batch, const net::Segment& segment);
  void CallBusy(WorkerState& state, Session& session, const Row& row, Args args, resp::Writer& reply);
  void EndWatches(WorkerState& state, net::Connection& connection);
  // After a command of a client that tracks keys.
  void FinishTracked(WorkerState& state, Session& session, const Row* row);
  void TidyTracking(net::Worker& worker);
  void EndOrphans(WorkerState& state);
  void ServeLeftOutsideBatch(WorkerState& state);
  void Replicate(CallContext& ctx);
  // After a write, its locks held: runs what waited for its keys.
  void ServeWaiting(WorkerState& state, const CallContext& ctx, const Blocking::Held& held) {
    if (blocking_.noted()) [[unlikely]] ServeNoted(state, ctx, held);
  }
  void ServeNoted(WorkerState& state, const CallContext& ctx, const Blocking::Held& held);
  // The lock of that hash's shard is held. Kept out of the short way, and of its stack.
  [[gnu::noinline]] void ServeNotedOf(WorkerState& state, const CallContext& ctx, uint64_t hash);
  // Without locks, in a batch: serves what is noted still, in as far as this node may.
  void ServeLeft(WorkerState& state);
  // Without locks, when state.served is pending: what could not be served at once, then the replies. What may not be
  // touched now, since a script has the floor, stays noted.
  void FinishServing(WorkerState& state);
  // What the store did by itself.
  void AppendOwn(int db, std::span<const std::string_view> argv);
  // Instead of Replicate, for a command that is replicated as it was sent. False: it is to be replicated by itself.
  // synchronous: its own offset is needed at once.
  [[gnu::always_inline]] inline bool Gather(WorkerState& state, const CallContext& ctx, bool synchronous);
  // To be called before anything else is appended, and before the segment ends.
  void AppendGathered(WorkerState& state);
  void Reject(WorkerState& state, Session& session, const Row* row, std::string_view error, resp::Writer& reply);
  void ParkUntil(WorkerState& state, Session& session, MonoTime until);
  // memory.cc
  enum class Room : uint8_t { kYes, kNo, kLater };
  static int64_t MemoryNeed(const Session& session, const Row& row, Args args);
  // The usual case of TakeMemory: there is no limit, or this worker's share is enough and becomes smaller.
  bool TakeShare(WorkerState& state, const Session& session, const Row& row, Args args) const;
  Room TakeMemory(WorkerState& state, Session& session, const Row& row, Args args);
  Room MakeRoom(WorkerState& state, int64_t limit, int64_t need);
  void KeepLimit(WorkerState& state);
  void ReturnRoom(WorkerState& state);
  Room Evict(WorkerState& state, int64_t limit, int64_t need, int64_t* used);
  int64_t CountedBytes() const;
  int64_t ReservedByOthers(const WorkerState& mine) const;
  void EvictInBackground(net::Worker& worker);
  void WatchMemory(net::Worker& worker);
  void EvictClients();
  void Sweep(net::Worker& worker);
  void SampleRates();
  // Something that is no command took so long: LATENCY.
  void NoteLatency(std::string_view event, Duration duration, int64_t unix_ms);
  // In this turn. As admission, by the turn's time.
  // Is this node one that changes data by itself now: no replica, and not while writes are paused?
  bool MayChange(const net::Worker& worker) const;
  bool MayExpire(const net::Worker& worker) const;
  // kRaw for one who imports data; see import-mode.
  store::View ViewOf(const Session& session) const {
    if (!session.import_source.load(std::memory_order_relaxed)) [[likely]] return store::View::kNormal;
    return ViewOfImporter();
  }
  store::View ViewOfImporter() const;

  const Table& table_;
  Services* services_ = nullptr;
  std::vector<net::Worker*> workers_;
  std::vector<std::unique_ptr<WorkerState>> states_;
  net::Settings settings_;
  net::Totals totals_;
  Acl acl_;
  ClientRegistry clients_;
  Slowlog slowlog_;
  Blocking blocking_;
  Tracking tracking_;
  Monitors monitors_;
  Latency latency_;
  std::mutex thresholds_mutex_;

  // Whether the client may have been led here when this node had just left the primary role.
  bool CameLate(const Session& session) const;

  std::atomic<int64_t> clients_closed_ms_{0};  // wall: CloseAllClients; 0 = never
  std::atomic<int64_t> pause_until_ms_{0};
  std::atomic<ClientPause> pause_kind_{ClientPause::kNone};
  std::atomic<bool> active_expire_{true};
  std::atomic<bool> skips_checksums_{false};
  std::atomic<bool> expired_appended_{false};
  std::atomic<double> ticks_per_us_{1000};
  uint64_t first_ticks_ = 0;
  MonoTime first_time_;

  OwnedCounter applied_changes_;
  std::atomic<size_t> startup_bytes_{0}, peak_bytes_{0};
  std::atomic<uint64_t> evicted_clients_{0};
  std::atomic<int64_t> exceeded_ms_{0}, exceeded_since_ms_{0};  // worker 0 writes
  bool evicting_ = false, sweeping_ = false, tidying_ = false;  // worker 0's: a timer goes on with it
  std::mutex evict_clients_mutex_;

  // Samples of the totals every 100 ms: worker 0 writes.
  static constexpr size_t kSamples = 16;
  struct Sample {
    int64_t ns = 0;
    uint64_t commands = 0, input = 0, output = 0, turns = 0, turn_us = 0;
  };
  mutable std::mutex samples_mutex_;
  Sample samples_[kSamples];   // samples_mutex_
  size_t sample_at_ = 0;       // samples_mutex_
};

// DISCARD.
void EndTransaction(store::Keyspace& keyspace, Session& session);
// Lets go of all watches. held: the caller has the locks of their shards.
void UnwatchAll(store::Keyspace& keyspace, Session& session, bool held);

}  // namespace understudy::command
