#include "node/net/worker.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>

#include "common/log.h"
#include "node/net/listener.h"
#include "node/net/socket_calls.h"

namespace understudy::net {
namespace {

// Accepting takes 10 us, with what the kernel does for the other end on loopback: a storm makes turns of a fifth of a
// millisecond.
constexpr size_t kEventsPerTurn = 128;
constexpr size_t kAcceptsPerTurn = 16;
constexpr size_t kReadBytes = 16 * 1024;          // of one connection in a turn
constexpr size_t kLargeReadBytes = 1024 * 1024;   // the same, in the middle of a large argument
constexpr uint32_t kCommandsPerSegment = 2048;    // of one connection in a turn
constexpr size_t kBatchCommands = 128;            // gathered across connections before executing
// From so long after its beginning on a turn executes no further batch. Connections with more input than one read takes
// (deep pipelines) have less, but one of them always has its read: so a client with one command waits for the end of a
// short turn, not for a round of all pipelines, and pipelines go on however much else there is.
constexpr Duration kExecuteTime = Microseconds(300), kLeftOverTime = Microseconds(150);
constexpr size_t kTurnOutputBytes = 16 * 1024 * 1024;   // of all connections in a turn, then it is flushed
constexpr size_t kKeptArguments = 1 << 20;              // room for that many is kept from turn to turn

bool Later(const MonoTime& a, const MonoTime& b) { return a > b; }

}  // namespace

Worker::Worker(Options options, Handler& handler, Settings& settings, Totals& totals, const Clock& clock)
    : index_(options.index),
      handler_(handler),
      settings_(settings),
      totals_(totals),
      clock_(clock),
      listeners_(std::move(options.listeners)),
      arena_(new char[kArenaBytes]),
      output_(*this) {
  for (int fd : listeners_) {
    const Status status = loop_.AddListener(fd, &listener_tag_);
    CHECK(status.ok());
  }
  RefreshTime();
  turn_end_ = now_;
  last_turn_end_ns_.store(now_.ns, std::memory_order_relaxed);
}

Worker::~Worker() {
  Stop();
  for (auto& [id, connection] : connections_) handler_.OnClose(*connection);
  connections_.clear();
  for (int fd : listeners_) close(fd);
}

void Worker::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Worker::Stop() {
  if (!thread_.joinable()) return;
  stop_.store(true, std::memory_order_relaxed);
  loop_.Wake();
  thread_.join();
}

void Worker::Post(std::function<void()> task) {
  bool first;
  {
    std::lock_guard lock(tasks_mutex_);
    first = tasks_.empty();
    tasks_.push_back(std::move(task));
    has_tasks_.store(true, std::memory_order_release);
  }
  if (first && !OnOwnThread()) loop_.Wake();
}

void Worker::PostAndWait(std::function<void()> task) {
  CHECK(!OnOwnThread());
  std::mutex mutex;
  std::condition_variable done_changed;
  bool done = false;
  Post([&] {
    task();
    // Notified under the lock: the waiter destroys both as soon as it sees `done`.
    std::lock_guard lock(mutex);
    done = true;
    done_changed.notify_one();
  });
  std::unique_lock lock(mutex);
  done_changed.wait(lock, [&] { return done; });
}

void Worker::RefreshTime() {
  now_ = clock_.Mono();
  wall_ms_ = clock_.Wall().unix_ms;
}

Worker::TimerId Worker::RunAt(MonoTime at, std::function<void()> task) {
  timers_.push_back({at, next_timer_, std::move(task)});
  std::push_heap(timers_.begin(), timers_.end(), [](const Timer& a, const Timer& b) { return Later(a.at, b.at); });
  return next_timer_++;
}

void Worker::Cancel(TimerId id) {
  // Few timers at a time; a cancelled one only loses its task.
  for (Timer& t : timers_) {
    if (t.id == id) t.task = nullptr;
  }
}

Connection* Worker::Find(uint64_t id) {
  const auto it = connections_.find(id);
  return it == connections_.end() || it->second->dead_ ? nullptr : it->second.get();
}

void Worker::ForEachConnection(const std::function<void(Connection&)>& visit) {
  for (auto& [id, connection] : connections_) {
    if (!connection->dead_) visit(*connection);
  }
}

void Worker::NeedsTurn(Connection& connection) {
  if (connection.in_turn_list_) return;
  connection.in_turn_list_ = true;
  turn_list_.push_back(&connection);
}

void Worker::NeedsRead(Connection& connection) {
  if (connection.in_ready_list_) return;
  connection.in_ready_list_ = true;
  ready_.push_back(&connection);
}

void Worker::HasInputLeft(Connection& connection) {
  if (connection.in_ready_list_) return;
  connection.in_ready_list_ = true;
  left_over_.push_back(&connection);
}

// ---------------------------------------------------------------------------------------------- the turn

void Worker::Run() {
  pthread_setname_np(pthread_self(), ("worker-" + std::to_string(index_)).c_str());
  thread_id_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  meter_.Begin(TurnMeter::ThreadCpu());
  turn_end_ = clock_.Mono();
  while (!stop_.load(std::memory_order_relaxed)) RunTurn();
}

int Worker::SleepMs() const {
  if (!ready_.empty() || !left_over_.empty() || !turn_list_.empty() || has_tasks_.load(std::memory_order_acquire)) return 0;
  MonoTime until = next_tick_;
  if (!timers_.empty()) until = std::min(until, timers_.front().at);
  if (until <= turn_end_) return 0;
  return static_cast<int>(((until - turn_end_).ns + 999'999) / 1'000'000);
}

void Worker::RunTurn() {
  epoll_event events[kEventsPerTurn];
  const std::span<epoll_event> ready = loop_.Wait(events, SleepMs());
  RefreshTime();
  const MonoTime begin = now_;
  for (const epoll_event& event : ready) {
    if (event.data.ptr == &listener_tag_) {
      listeners_ready_ = true;
    } else {
      OnEvent(*static_cast<Connection*>(event.data.ptr), event.events);
    }
  }
  RunTasks();
  AcceptPhase();
  ReadPhase();
  RunTimers();
  FlushPhase();
  ClosePhase();
  turns_.store(turns() + 1, std::memory_order_relaxed);
  turn_end_ = clock_.Mono();
  last_turn_end_ns_.store(turn_end_.ns, std::memory_order_relaxed);
  meter_.Add(turn_end_ - begin, TurnMeter::ThreadCpu);
}

void Worker::RunTasks() {
  if (!has_tasks_.load(std::memory_order_acquire)) return;
  std::vector<std::function<void()>> tasks;
  {
    std::lock_guard lock(tasks_mutex_);
    tasks.swap(tasks_);
    has_tasks_.store(false, std::memory_order_relaxed);
  }
  for (auto& task : tasks) task();
}

void Worker::RunTimers() {
  while (!timers_.empty() && timers_.front().at <= now_) {
    std::pop_heap(timers_.begin(), timers_.end(), [](const Timer& a, const Timer& b) { return Later(a.at, b.at); });
    const std::function<void()> task = std::move(timers_.back().task);
    timers_.pop_back();
    if (task) task();
  }
  if (now_ >= next_tick_) {
    next_tick_ = now_ + kTick;
    handler_.OnTick(*this);
    SweepConnections();
  }
}

// ---------------------------------------------------------------------------------------------- accept

void Worker::AcceptPhase() {
  if (!listeners_ready_) return;
  listeners_ready_ = false;
  size_t accepted = 0;
  for (int listener : listeners_) {
    while (accepted < kAcceptsPerTurn) {
      const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) {
        if (errno == EINTR || errno == ECONNABORTED) continue;
        if (errno == EMFILE || errno == ENFILE) return PauseAccepting();
        break;
      }
      ++accepted;
      AddConnection(fd);
    }
  }
}

void Worker::AddConnection(int fd) {
  if (totals_.connections.load(std::memory_order_relaxed) >= settings_.max_clients.load(std::memory_order_relaxed)) {
    constexpr std::string_view kFull = "-ERR max number of clients reached\r\n";
    totals_.rejected.fetch_add(1, std::memory_order_relaxed);
    [[maybe_unused]] const ssize_t n = send(fd, kFull.data(), kFull.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
    return;
  }
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  if (const int idle = static_cast<int>(settings_.tcp_keepalive_s.load(std::memory_order_relaxed)); idle > 0) {
    const int interval = std::max(1, idle / 3), probes = 3;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
  }
  const uint64_t id = totals_.next_connection_id.fetch_add(1, std::memory_order_relaxed);
  auto connection = std::make_unique<Connection>(*this, id, fd, PeerAddress(fd), LocalAddress(fd));
  if (!loop_.AddConnection(fd, connection.get()).ok()) return;
  totals_.connections.fetch_add(1, std::memory_order_relaxed);
  totals_.accepted.fetch_add(1, std::memory_order_relaxed);
  connection->counters.last_input_ms.store(wall_ms_, std::memory_order_relaxed);
  handler_.OnOpen(*connection);
  Account(*connection);
  connections_.emplace(id, std::move(connection));
}

// ---------------------------------------------------------------------------------------------- read, parse

void Worker::OnEvent(Connection& connection, uint32_t events) {
  if (connection.dead_) return;
  if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
    connection.peer_closed_ = true;
    // Nobody waits for the answer to a parked command any longer.
    if (connection.parked_ || (events & (EPOLLHUP | EPOLLERR))) {
      connection.Close();
      return;
    }
  }
  if (events & (EPOLLIN | EPOLLRDHUP)) {
    connection.readable_ = true;
    NeedsRead(connection);
  }
  if ((events & EPOLLOUT) && connection.want_write_) {
    connection.want_write_ = false;
    NeedsTurn(connection);
  }
}

// First those that events told of, then those that have input left over.
void Worker::ReadPhase() {
  if (ready_.empty() && left_over_.empty()) return;
  const MonoTime begin = now_;
  bool in_time = true;
  const auto serve = [&](Connection& connection, Duration time) {
    if (!connection.parked_) Read(connection);
    if (commands_.size() < kBatchCommands) return;
    ExecuteBatch();
    in_time = clock_.Mono() < begin + time;
  };
  const auto has_room = [&] { return moved_bytes_ + output_.blocks() * TurnOutput::kBlockBytes <= kTurnOutputBytes; };
  const auto may_read = [this](Connection& connection) {
    connection.in_ready_list_ = false;
    if (connection.dead_ || &connection == running_) return false;
    // What else comes from a connection that is being closed is not wanted; read, so that its end shows.
    if (connection.closing() && connection.peer_closed_) connection.Close();
    return !connection.closing() && !connection.detach_;
  };
  reading_left_.swap(left_over_);
  reading_.swap(ready_);
  while (reading_at_ < reading_.size()) {
    Connection* const connection = reading_[reading_at_++];
    if (!may_read(*connection)) continue;
    if (in_time && has_room()) {
      serve(*connection, kExecuteTime);
    } else {
      NeedsRead(*connection);
    }
  }
  reading_.clear();
  reading_at_ = 0;
  bool one = false;
  while (reading_left_at_ < reading_left_.size()) {
    Connection* const connection = reading_left_[reading_left_at_++];
    if (!may_read(*connection)) continue;
    if ((in_time || !one) && has_room()) {
      one = true;
      serve(*connection, kLeftOverTime);
    } else {
      HasInputLeft(*connection);
    }
  }
  reading_left_.clear();
  reading_left_at_ = 0;
  ExecuteBatch();
}

bool Worker::Receive(Connection& connection, char* to, size_t size, size_t* received) {
  *received = 0;
  for (;;) {
    const ssize_t n = net::Receive(connection.fd_, to, size);
    if (n > 0) {
      *received = static_cast<size_t>(n);
      input_bytes_ += *received;
      auto& total = connection.counters.total_input_bytes;
      total.store(total.load(std::memory_order_relaxed) + *received, std::memory_order_relaxed);
      connection.counters.last_input_ms.store(wall_ms_, std::memory_order_relaxed);
      // A short read: the socket is drained, and more will be announced; the end of the stream came with the
      // same event, so it must be looked for.
      if (*received < size && !connection.peer_closed_) connection.readable_ = false;
      return true;
    }
    if (n < 0 && errno == EINTR) continue;
    connection.readable_ = false;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
    return false;
  }
}

void Worker::Read(Connection& connection) {
  if (arena_used_ + kReadBytes / 2 + kReadBytes > kArenaBytes) {
    ExecuteBatch();
    if (connection.dead_) return;  // closed by a command of the batch
  }
  InputBuffer& input = connection.input_;
  // Commands left over from the last turn come first.
  if (!input.empty() && input.size() >= connection.input_needed_ && connection.input_needed_ == 0) {
    ParseInput(connection, input.view(), false);
    return;
  }
  if (!connection.readable_) return;
  size_t received = 0;
  const size_t kept = input.size();
  if (kept < kReadBytes / 2) {
    char* const at = arena_.get() + arena_used_;
    if (!Receive(connection, at + kept, kReadBytes, &received)) {
      connection.CloseAfterFlush();
      return;
    }
    if (received == 0) return;
    if (kept > 0) {
      const std::string_view left = input.view();
      std::memcpy(at, left.data(), kept);
      input.Clear();
    }
    arena_used_ += kept + received;
    ParseInput(connection, {at, kept + received}, true);
    return;
  }
  // In the middle of a large command: straight into the connection's own buffer.
  const size_t missing = connection.input_needed_ > kept ? connection.input_needed_ - kept : 0;
  const size_t want = std::clamp(missing, kReadBytes, kLargeReadBytes);
  const size_t most = kept + std::max(missing, want);
  if (const size_t growth = input.Growth(want, most); growth > 0) {
    if (const std::optional<Duration> wait = handler_.WaitToReceive(*this, growth)) {
      if (*wait == Duration{}) return HasInputLeft(connection);
      RunAt(now_ + *wait, [this, id = connection.id_] {
        if (Connection* waiting = Find(id)) NeedsRead(*waiting);
      });
      return;
    }
  }
  if (!Receive(connection, input.Room(want, most), want, &received)) {
    connection.CloseAfterFlush();
    return;
  }
  input.Grew(received);
  Account(connection);
  const size_t limit = static_cast<size_t>(settings_.max_query_buffer_bytes.load(std::memory_order_relaxed));
  if (input.size() > limit) {
    LOG_WARN("client {} closed: its command is larger than client-query-buffer-limit ({} bytes)", connection.peer_,
             limit);
    totals_.closed_query_buffer.fetch_add(1, std::memory_order_relaxed);
    connection.Close();
    return;
  }
  if (received > 0 && input.size() >= connection.input_needed_) {
    ParseInput(connection, input.view(), false);
    return;
  }
  connection.counters.input_bytes.store(input.size(), std::memory_order_relaxed);
  if (connection.readable_) HasInputLeft(connection);
}

void Worker::ParseInput(Connection& connection, std::string_view data, bool in_arena) {
  resp::Limits limits;
  limits.max_bulk_bytes = settings_.max_bulk_bytes.load(std::memory_order_relaxed);
  limits.unauthenticated = !connection.trusted_;
  const resp::PlainLimits plain_limits(limits);
  const uint32_t most = connection.trusted_ ? kCommandsPerSegment : 1;
  Segment segment{&connection, static_cast<uint32_t>(commands_.size()), 0};
  SegmentInput parsed{data, 0, in_arena, false};
  connection.input_needed_ = 0;
  const char* const end = data.data() + data.size();
  while (parsed.parsed < data.size()) {
    if (segment.commands == most) {
      parsed.stopped = true;
      break;
    }
    Command command{static_cast<uint32_t>(arguments_.views.size())};
    if (connection.partial_ == nullptr) {
      command.plain_bytes = static_cast<uint32_t>(
          resp::ParsePlain(data.data() + parsed.parsed, end, plain_limits, &arguments_, &command.arguments));
    }
    if (command.plain_bytes > 0) {
      parsed.parsed += command.plain_bytes;
    } else if (!ParseOne(connection, data, limits, &parsed, &command)) {
      break;
    }
    command.input_end = static_cast<uint32_t>(parsed.parsed);
    commands_.push_back(command);
    ++segment.commands;
  }
  segments_.push_back(segment);
  inputs_.push_back(parsed);
}

// A command in whatever form; false if there is none: it is not there as a whole, or no command.
bool Worker::ParseOne(Connection& connection, std::string_view data, const resp::Limits& limits, SegmentInput* parsed,
                      Command* command) {
  resp::ParseResult result = resp::Parse(data.substr(parsed->parsed), limits, &arguments_, &connection.partial_);
  if (result.outcome == resp::Outcome::kError) {
    connection.protocol_error_ = std::move(result.error);
    parsed->parsed = data.size();
    return false;
  }
  parsed->parsed += result.consumed;
  if (result.outcome == resp::Outcome::kNeedMore) {
    connection.input_needed_ = std::max(result.needed, data.size() - parsed->parsed + 1);
    if (parsed->parsed == data.size()) connection.input_needed_ = 0;
    return false;
  }
  command->arguments = static_cast<uint32_t>(result.arguments);
  return true;
}

// ---------------------------------------------------------------------------------------------- execute

void Worker::ExecuteBatch() {
  if (segments_.empty()) return;
  executed_.assign(segments_.size(), 0);
  handler_.OnBatch(*this, {segments_, commands_, arguments_.views}, executed_);
  CloseOutput();
  for (size_t i = first_unfinished_; i < segments_.size(); ++i) FinishSegment(segments_[i], inputs_[i], executed_[i]);
  first_unfinished_ = 0;
  segments_.clear();
  inputs_.clear();
  commands_.clear();
  arguments_.Clear();
  if (arguments_.views.capacity() > kKeptArguments) arguments_ = {};
  arena_used_ = 0;
  // Now, while the replies are in the cache, and so that the next batch's take the same place.
  FlushOutput();
}

void Worker::FinishSegment(const Segment& segment, const SegmentInput& input, uint32_t executed) {
  Connection& connection = *segment.connection;
  auto& commands = connection.counters.commands;
  commands.store(commands.load(std::memory_order_relaxed) + executed, std::memory_order_relaxed);
  size_t used = input.parsed;
  const bool all = executed == segment.commands;
  if (!all) {
    // Stopped in the middle: the rest is parsed again when the connection goes on.
    used = executed == 0 ? 0 : commands_[segment.first_command + executed - 1].input_end;
    connection.partial_.reset();
    connection.protocol_error_.clear();
    connection.input_needed_ = 0;
  }
  if (input.in_arena) {
    connection.input_.Append(input.data.substr(used));
  } else {
    connection.input_.Consume(used);
  }
  if (connection.input_.empty()) connection.input_.Clear();
  if (!connection.in_turn_list_) Account(connection);  // else the flush does, which comes next
  connection.counters.input_bytes.store(connection.input_.size(), std::memory_order_relaxed);
  if (all && !connection.protocol_error_.empty() && !connection.closing()) {
    connection.Append("-ERR " + connection.protocol_error_ + "\r\n");
    connection.CloseAfterFlush();
    return;
  }
  if (!connection.accepts_commands()) return;
  if (!all || input.stopped || connection.readable_) HasInputLeft(connection);
}

// ---------------------------------------------------------------------------------------------- close

void Worker::ClosePhase() {
  if (closed_.empty()) return;
  auto dead = [](const Connection* c) { return c->dead_; };
  std::erase_if(ready_, dead);
  std::erase_if(left_over_, dead);
  std::erase_if(turn_list_, dead);
  for (const Connection* connection : closed_) connections_.erase(connection->id_);
  closed_.clear();
}

}  // namespace understudy::net
