// A worker: one thread, one epoll loop, one listener per address (SO_REUSEPORT), its own connections.
//
// RunTurn is the list of phases: accept, read + parse, execute (batches gathered across connections, each
// flushed before the next is read), flush what is left, close. Each has a bound, so that neither deep pipelines nor a
// storm of new connections starve the rest: what is left is done in the next turn, which then does not sleep. Execution
// is bounded by time, and connections that events told of come before those that have input left from the last turn:
// no turn takes a millisecond of CPU time (turn_meter.h shows it) unless a single command does. Edge-triggered; a read that is shorter
// than its buffer means that the socket is drained (research/floor/REPORT.md: 8 % at P=1). One send per
// connection and turn, at the end of its batch: a batch's input and replies are a few KiB that stay in the
// first-level caches from the read to the send.
// net knows no command: it calls a Handler. Any thread may Post; everything else is for the worker's thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "common/clock.h"
#include "common/result.h"
#include "node/net/connection.h"
#include "node/net/event_loop.h"
#include "node/net/turn_meter.h"
#include "node/net/turn_output.h"
#include "node/resp/output.h"
#include "node/resp/parser.h"

namespace understudy::net {

// One parsed command: `arguments` of them from `first_argument` on in Batch::arguments.
struct Command {
  uint32_t first_argument = 0;
  uint32_t arguments = 0;
  uint32_t input_end = 0;    // where the command ends, counted from the segment's first byte
  uint32_t plain_bytes = 0;  // it came in the form that a replication stream has (resp::ParsePlain), so many bytes
};

// Consecutive commands of one connection.
struct Segment {
  Connection* connection = nullptr;
  uint32_t first_command = 0;
  uint32_t commands = 0;
};

struct Batch {
  std::span<const Segment> segments;
  std::span<const Command> commands;
  std::span<const std::string_view> arguments;
  std::span<const std::string_view> Arguments(const Command& c) const {
    return {arguments.data() + c.first_argument, c.arguments};
  }
  // The command as it came, if it came in the stream's form, else nothing.
  std::string_view PlainBytes(const Command& c) const {
    const std::string_view& last = arguments[c.first_argument + c.arguments - 1];
    return c.plain_bytes == 0 ? std::string_view()
                              : std::string_view(last.data() + last.size() + 2 - c.plain_bytes, c.plain_bytes);
  }
};

class Handler {
 public:
  virtual ~Handler() = default;
  virtual void OnOpen(Connection& connection) = 0;  // sets its state
  virtual void OnClose(Connection& connection) = 0;
  // Executes the segments in order, each with Worker::OpenOutput(connection), and returns in executed[i] how
  // many commands of segment i are done: fewer when the connection stopped accepting commands. Those that
  // are not done run again when it does.
  virtual void OnBatch(Worker& worker, const Batch& batch, std::span<uint32_t> executed) = 0;
  // May what this connection wrote in this turn (MarkWrote) be sent?
  virtual bool MayFlush(Connection& connection, MonoTime now) = 0;
  // Tickets up to this one need not be held any longer.
  virtual uint64_t ReleasedTicket() = 0;
  // Every kTick.
  virtual void OnTick(Worker& worker) = 0;
  // May the input buffer of a connection that sends a large command grow by `bytes`? If not, it is asked again
  // after the time that is returned; 0 = in the next turn.
  virtual std::optional<Duration> WaitToReceive(Worker&, size_t /*bytes*/) { return std::nullopt; }
  // Before the output of a turn is flushed.
  virtual void OnTurnEnd(Worker& worker) = 0;
};

// client-output-buffer-limit of one class; 0 = none.
struct OutputLimit {
  std::atomic<int64_t> hard_bytes{0}, soft_bytes{0}, soft_s{0};
};

// Limits that CONFIG SET changes while workers run; shared by all workers.
struct Settings {
  std::atomic<int64_t> max_bulk_bytes{512LL << 20};
  std::atomic<int64_t> max_query_buffer_bytes{1LL << 30};
  std::atomic<int64_t> max_clients{10000};
  std::atomic<int64_t> idle_timeout_s{0};         // 0 = never
  std::atomic<int64_t> tcp_keepalive_s{300};      // 0 = off
  OutputLimit output_limits[2];                   // by Connection::OutputClass
};

// Sums over all workers.
struct Totals {
  std::atomic<int64_t> connections{0};
  std::atomic<uint64_t> accepted{0};
  std::atomic<uint64_t> rejected{0};
  std::atomic<uint64_t> input_bytes{0};
  std::atomic<uint64_t> output_bytes{0};
  std::atomic<uint64_t> closed_query_buffer{0};   // client-query-buffer-limit
  std::atomic<uint64_t> closed_output_buffer{0};  // client-output-buffer-limit
  std::atomic<uint64_t> next_connection_id{1};
};

class Worker final : private TurnOutput::Owner {
 public:
  struct Options {
    uint32_t index = 0;
    std::vector<int> listeners;  // bound and listening, non-blocking; owned from here on
  };
  using TimerId = uint64_t;
  static constexpr Duration kTick = Milliseconds(100);
  static constexpr size_t kArenaBytes = 512 * 1024;  // input of a batch

  Worker(Options options, Handler& handler, Settings& settings, Totals& totals, const Clock& clock);
  ~Worker();

  // Starts the thread. Stop() lets it end its turn and joins it.
  void Start();
  void Stop();

  // Runs `task` on this worker's thread, in the order of posting. Any thread.
  void Post(std::function<void()> task);
  // As Post, and returns when it has run. Not from a worker's thread.
  void PostAndWait(std::function<void()> task);

  uint32_t index() const { return index_; }
  bool OnOwnThread() const { return std::this_thread::get_id() == thread_id_.load(std::memory_order_relaxed); }
  MonoTime now() const { return now_; }              // of this turn
  int64_t wall_ms() const { return wall_ms_; }       // of this turn
  // Reads the clocks again: after something that took long.
  void RefreshTime();

  // Calls `task` at `at` or soon after it; once.
  TimerId RunAt(MonoTime at, std::function<void()> task);
  void Cancel(TimerId id);

  Connection* Find(uint64_t id);
  void ForEachConnection(const std::function<void(Connection&)>& visit);
  // Output for a connection's replies, valid until the next call of OpenOutput or the end of OnBatch.
  resp::Output& OpenOutput(Connection& connection);
  // The connection whose output is open has written so much in this turn that its next commands should wait for
  // the next turn.
  bool output_full() const { return output_full_; }
  // In the middle of a command of `running` that takes long: reads what others send, has it executed by OnBatch, and
  // sends the replies; called again and again. What was read for the batch in progress and is not executed goes back to
  // its connections, so who executes that batch must not execute what follows `running`'s command. Tasks, timers and the
  // end of connections wait for the end of the command, and so does what `running` sends.
  void ServeOthers(Connection& running);
  // Held output is looked at again at the end of this turn. Posted by who releases tickets.
  void CheckHolds() { check_holds_ = true; }

  // When the last turn ended, for the verdict "unfit". Any thread.
  MonoTime last_turn_end() const { return {last_turn_end_ns_.load(std::memory_order_relaxed)}; }
  // What this worker's connections hold. Any thread.
  size_t client_bytes() const { return client_bytes_.load(std::memory_order_relaxed); }
  uint64_t turns() const { return turns_.load(std::memory_order_relaxed); }
  // How long turns take. Any thread.
  const TurnMeter& meter() const { return meter_; }
  void ResetMeter() { meter_.Reset(); }

 private:
  friend class Connection;
  struct Timer {
    MonoTime at;
    TimerId id;
    std::function<void()> task;
  };

  struct SegmentInput {
    std::string_view data;  // what was parsed, and behind it what was not
    size_t parsed;
    bool in_arena;          // otherwise in the connection's own buffer
    bool stopped;           // more complete commands may follow the parsed ones
  };

  void Run();
  void RunTurn();
  int SleepMs() const;
  void RunTasks();
  void RunTimers();
  void AcceptPhase();
  void PauseAccepting();
  void AddConnection(int fd);
  void OnEvent(Connection& connection, uint32_t events);
  void ReadPhase();
  void Read(Connection& connection);
  bool Receive(Connection& connection, char* to, size_t size, size_t* received);
  void ParseInput(Connection& connection, std::string_view data, bool in_arena);
  bool ParseOne(Connection& connection, std::string_view data, const resp::Limits& limits, SegmentInput* parsed,
                Command* command);
  void ExecuteBatch();
  void EndBatchAt(const Connection& running);
  void FinishSegment(const Segment& segment, const SegmentInput& input, uint32_t executed);
  // The usual command leaves a connection's memory as it was.
  void Account(Connection& connection) {
    if (connection.state_changed_ || connection.BufferBytes() != connection.accounted_buffers_) AccountChange(connection);
  }
  void AccountChange(Connection& connection);
  void CloseOutput();
  void CloseOutputOf(Connection& connection);
  size_t TurnBytesOf(const Connection& connection) const;
  char* OnFull(char* cursor, size_t bytes) override;
  void OnRoom(char* cursor) override;
  void FlushPhase();
  void FlushOutput();
  void Flush(Connection& connection);
  bool Send(Connection& connection, size_t limit);
  void CheckOutputLimits(Connection& connection);
  void EndConnection(Connection& connection);
  void ClosePhase();
  void SweepConnections();
  void SweepConnection(Connection& connection);
  void NeedsTurn(Connection& connection);  // end-of-turn work
  void NeedsRead(Connection& connection);  // next read phase
  void HasInputLeft(Connection& connection);  // next read phase, after those

  const uint32_t index_;
  Handler& handler_;
  Settings& settings_;
  Totals& totals_;
  const Clock& clock_;
  EventLoop loop_;
  std::vector<int> listeners_;
  char listener_tag_ = 0;  // its address is the epoll data of listeners
  std::thread thread_;
  std::atomic<std::thread::id> thread_id_{};
  std::atomic<bool> stop_{false};

  std::mutex tasks_mutex_;
  std::vector<std::function<void()>> tasks_;   // tasks_mutex_
  std::atomic<bool> has_tasks_{false};

  MonoTime now_;
  int64_t wall_ms_ = 0;
  MonoTime turn_end_;  // of the last one
  TurnMeter meter_;
  MonoTime next_tick_;
  size_t sweep_at_ = 0;  // bucket of connections_ where SweepConnections goes on
  std::unordered_map<uint64_t, std::unique_ptr<Connection>> connections_;
  std::vector<Timer> timers_;  // heap, earliest first
  TimerId next_timer_ = 1;

  // Of this turn.
  std::unique_ptr<char[]> arena_;    // input read for this batch
  size_t arena_used_ = 0;
  resp::Arguments arguments_;
  std::vector<Command> commands_;
  std::vector<Segment> segments_;
  std::vector<SegmentInput> inputs_;
  std::vector<uint32_t> executed_;
  size_t first_unfinished_ = 0;      // of segments_: those before it are done with, before the batch is
  TurnOutput output_;
  Connection* output_owner_ = nullptr;
  bool output_large_ = false;        // the owner writes into a chunk of its queue, from large_begin_ on
  char* large_begin_ = nullptr;
  bool output_full_ = false;
  size_t moved_bytes_ = 0;           // of this turn's output that did not fit into the block
  std::vector<Connection*> ready_, left_over_, turn_list_, flushing_, closed_;
  std::vector<Connection*> reading_, reading_left_;  // of ready_ and left_over_, while they are read
  size_t reading_at_ = 0, reading_left_at_ = 0;      // how many of them were looked at
  bool listeners_ready_ = false;
  bool check_holds_ = false;
  // Of ServeOthers: whose command runs, null else; input and output of the others, made when they are needed first.
  Connection* running_ = nullptr;
  std::unique_ptr<char[]> others_arena_;
  std::unique_ptr<TurnOutput> others_output_;
  std::vector<uint64_t> held_;       // connections whose output waits for a ticket
  uint64_t input_bytes_ = 0, output_bytes_ = 0;

  std::atomic<int64_t> last_turn_end_ns_{0};
  std::atomic<uint64_t> turns_{0};
  std::atomic<size_t> client_bytes_{0};
};

}  // namespace understudy::net
