// One client connection. It stays on the worker that accepted it; every member function is for that
// worker's thread only, apart from the constants id() and the addresses.
//
// What can be asked of it by whoever executes its commands:
//  - ParkBefore / Park / Wake: its input waits (pause, WAIT, blocking commands);
//  - Hold: what it wrote from now on may be sent only once a ticket is released (synchronous replicas);
//  - MarkWrote: before this turn's output is sent, Handler::MayFlush is asked (a lease that ran out in between);
//  - CloseAfterFlush / Close: the end, at the end of the turn;
//  - Detach: the socket and the input not yet parsed go to somebody else (a replica that attaches).
// An idle connection holds no buffers.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "node/net/input_buffer.h"
#include "node/net/output_queue.h"
#include "node/resp/parser.h"

namespace understudy::net {

class Worker;

// What the handler keeps for a connection; destroyed with it, on its worker.
class ConnectionState {
 public:
  virtual ~ConnectionState() = default;
  // What it holds in memory.
  virtual size_t MemoryBytes() const { return 0; }
};

class Connection {
 public:
  // How far output got: a count of all bytes ever written to this connection.
  using Position = uint64_t;

  Connection(Worker& worker, uint64_t id, int fd, std::string peer, std::string local);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  uint64_t id() const { return id_; }
  int fd() const { return fd_; }
  Worker& worker() { return worker_; }
  const std::string& peer_address() const { return peer_; }    // "127.0.0.1:5000", "[::1]:5000"
  const std::string& local_address() const { return local_; }
  bool on_unix_socket() const { return peer_.ends_with(":0") && peer_ == local_; }
  bool from_this_machine() const { return peer_.starts_with("127.") || peer_.starts_with("[::1]") || on_unix_socket(); }

  void set_state(std::unique_ptr<ConnectionState> state) { state_ = std::move(state); }
  ConnectionState* state() { return state_.get(); }
  // In Handler::OnClose: what outlives the connection.
  std::unique_ptr<ConnectionState> TakeState() { return std::move(state_); }
  // The parser's stricter limits hold until this is set; commands are then parsed one at a time, since AUTH
  // changes the limits for what follows it.
  void set_trusted(bool trusted) { trusted_ = trusted; }
  bool trusted() const { return trusted_; }

  // Queues bytes outside the execution of this connection's own commands (a reply that comes later). They are
  // sent at the end of the turn.
  void Append(std::string_view bytes);
  // The same for what no command of this connection answers: a type character, then the pieces. Where nobody's command
  // is being executed they go straight into the turn's output.
  void Push(char type, std::string_view head, const std::shared_ptr<const std::string>& body);
  // Which of the output limits hold for it.
  enum class OutputClass : uint8_t { kNormal, kPubsub };
  void set_output_class(OutputClass output_class) { output_class_ = output_class; }
  // Bytes written that are not sent yet.
  size_t pending_output_bytes() const { return queue_.size() + static_cast<size_t>(turn_end_ - turn_begin_); }

  // The command being executed stays in the input and runs again after Wake().
  void ParkBefore();
  // The command being executed is done (its reply may come by Append); later input waits for Wake().
  void Park();
  void Wake();
  bool parked() const { return parked_; }
  // The number of the last wait; Wake(wait) ends that one and none that began later: for timers, which come when they
  // come.
  uint64_t wait() const { return waits_; }
  void Wake(uint64_t wait) {
    if (wait == waits_) Wake();
  }
  // The other side sends nothing any more. Told once only: who parks it then waits for ever.
  bool peer_closed() const { return peer_closed_; }
  // Was the command just executed put back by ParkBefore?
  bool TakeRepeat() { return std::exchange(repeat_, false); }

  // Everything written after `from` (a position taken before the reply was written) stays back until
  // Handler::ReleasedTicket() >= ticket.
  void HoldFrom(Position from, uint64_t ticket);
  Position position() const;
  // Output now pending acknowledges writes that were executed under `generation`.
  void MarkWrote(uint64_t generation) {
    if (!wrote_) wrote_generation_ = generation;
    wrote_ = true;
  }
  bool wrote() const { return wrote_; }
  uint64_t wrote_generation() const { return wrote_generation_; }

  // No further command is executed; the connection ends once its output is sent (at most 5 s later).
  void CloseAfterFlush();
  // Ends at the end of the turn; output not sent yet is dropped.
  void Close();
  // As Close(), by a reset: what the kernel still has to send is dropped too.
  void Reset();
  // What was sent is being sent again: nothing was acknowledged for a retransmission timeout.
  bool Retransmits() const;
  // The kernel gives up on what the other end's TCP has not acknowledged within limit (from 1 ms on), also after
  // the close: it is not sent again later.
  void LimitRetransmission(Duration limit);
  bool closing() const { return close_ != CloseMode::kOpen; }

  // At the end of the turn, output flushed, calls take(fd, input not yet parsed) and forgets the connection;
  // take owns fd (non-blocking). If the output can't be flushed at once the connection is closed instead.
  void Detach(std::function<void(int fd, std::string input)> take);

  // Buffers as they are allocated, objects about as large as they are.
  size_t MemoryBytes() const;
  // What the state holds may have changed: said by who executes a command that does more than read or write keys.
  void NoteStateChange() { state_changed_ = true; }

  // Commands may be executed: not parked, closing or detaching.
  bool accepts_commands() const { return !parked_ && !closing() && !detach_; }

  // For CLIENT LIST: readable from any thread, updated by the owner.
  struct Counters {
    std::atomic<int64_t> last_input_ms{0};     // wall time of the turn that last read from it
    std::atomic<uint64_t> input_bytes{0};      // buffered, not executed yet
    std::atomic<uint64_t> output_bytes{0};     // buffered, not sent yet
    std::atomic<uint64_t> total_input_bytes{0};
    std::atomic<uint64_t> total_output_bytes{0};
    std::atomic<uint64_t> commands{0};
    std::atomic<uint64_t> memory_bytes{0};       // as MemoryBytes at the end of its last work
  };
  Counters counters;

 private:
  friend class Worker;
  enum class CloseMode : uint8_t { kOpen, kAfterFlush, kNow };
  struct HoldPoint {
    Position position;
    uint64_t ticket;
    uint64_t turn;  // of the worker, in which it was made
  };

  void TakeTurnOutput();  // moves this turn's bytes into queue_
  size_t BufferBytes() const {
    return input_.capacity() + queue_.allocated_bytes() +
           (partial_ ? sizeof(resp::Partial) + partial_->done.capacity() * sizeof(resp::Partial::Range) : 0);
  }
  // How many of the pending bytes may be sent now.
  size_t Sendable(uint64_t released);

  Worker& worker_;
  const uint64_t id_;
  int fd_;
  const std::string peer_, local_;
  std::unique_ptr<ConnectionState> state_;

  InputBuffer input_;           // read, not executed
  size_t input_needed_ = 0;     // size of input_ worth another parse, 0 = any
  std::unique_ptr<resp::Partial> partial_;
  std::string protocol_error_;  // to be answered after the commands before it

  // Output of this turn that is still in the worker's turn buffer; it comes after what is in queue_.
  char* turn_begin_ = nullptr;
  char* turn_end_ = nullptr;
  OutputQueue queue_;
  Position sent_ = 0;
  std::unique_ptr<std::deque<HoldPoint>> holds_;
  uint64_t waits_ = 0;          // how often it was parked
  uint64_t output_turn_ = 0;    // of the worker, in which output was written last
  Position output_from_ = 0;    // where that turn's output begins

  std::function<void(int, std::string)> detach_;
  MonoTime close_deadline_;     // for closing after the flush, or detaching
  MonoTime soft_limit_since_;   // output above the soft limit since; never = below
  uint64_t wrote_generation_ = 0;
  size_t accounted_buffers_ = 0;  // BufferBytes() as they are in counters.memory_bytes
  CloseMode close_ = CloseMode::kOpen;
  OutputClass output_class_ = OutputClass::kNormal;
  bool trusted_ = true;
  bool parked_ = false;
  bool repeat_ = false;         // ParkBefore: the command stays in the input
  bool wrote_ = false;
  bool in_turn_list_ = false;   // has something to be done at the end of the turn
  bool in_ready_list_ = false;  // is to be read or parsed in the next read phase
  bool readable_ = false;       // edge-triggered: the socket may have more to read
  bool want_write_ = false;     // waits for EPOLLOUT
  bool peer_closed_ = false;
  bool keep_fd_ = false;        // detached: the descriptor lives on
  bool state_changed_ = true;   // since it was accounted
  bool dead_ = false;           // closed; destroyed at the end of the turn
};

}  // namespace understudy::net
