#include "tests/bench/load/generator.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <deque>
#include <thread>

#include "tests/bench/load/reply_reader.h"

namespace understudy::load {
namespace {

constexpr size_t kReceiveBytes = 256 * 1024;
constexpr size_t kMaxEvents = 512;
constexpr int64_t kLongestSleepNs = 50'000'000;  // then it is looked whether others have failed
// Pipelines of a connection that may wait for their replies in an open loop.
constexpr size_t kMaxWaiting = 100'000;

int64_t NowNs() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

void SleepUntil(int64_t ns) {
  const timespec t{.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr) == EINTR) {
  }
}

int64_t OwnCpuNs() {
  timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

Status SystemError(const std::string& what) { return Unavailable(what + ": " + std::strerror(errno)); }

struct Connection {
  explicit Connection(const std::vector<ExpectedReply>& expected) : reader(expected) {}
  ~Connection() {
    if (fd >= 0) close(fd);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int fd = -1;
  ReplyReader reader;
  uint64_t awaited = 0;        // replies since the start after which nothing is outstanding
  std::string unsent;          // what the socket had no room for
  std::deque<int64_t> due_ns;  // open loop: of each pipeline that is not answered
};

// What all threads of a step share. The moments are set before they start.
struct Schedule {
  int64_t begin_ns = 0, end_ns = 0;  // the window
  std::atomic<bool> over{false};     // a closed loop ends
  std::atomic<bool> failed{false};   // a thread could not go on: nobody shall
};

// One thread's share. Its counters are read by the thread that started it.
class Driver {
 public:
  Driver(const Options& options, const Workload& workload, std::shared_ptr<const ZipfTable> zipf, size_t index, size_t drivers)
      : options_(options),
        workload_(workload),
        cpu_(options.cpus.empty() ? -1 : options.cpus[index]),
        numbers_(options.seed + index * 7919),
        keys_(options.keys, std::move(zipf), numbers_),
        gap_ns_(options.rate > 0 ? 1e9 * static_cast<double>(options.pipeline * drivers) / options.rate : 0),
        input_(kReceiveBytes),
        output_(options.pipeline * std::max(workload.max_bytes(), workload.max_fill_bytes())) {
    if (options.distribution == "sequence") {
      const uint64_t keys = options.keys - options.first_key;
      keys_.WalkThrough(options.first_key + keys * index / drivers, options.first_key + keys * (index + 1) / drivers);
    }
    const size_t count = options.connections / drivers + (index < options.connections % drivers ? 1 : 0);
    for (size_t i = 0; i < count; ++i) connections_.push_back(std::make_unique<Connection>(workload.expected()));
  }
  ~Driver() {
    if (epoll_ >= 0) close(epoll_);
  }
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  Status Connect();
  // Writes the keys [from, to) of each kind of value.
  Status Fill(uint64_t from, uint64_t to);
  Status Drive(const Schedule& schedule) { return gap_ns_ > 0 ? DriveOpen(schedule) : DriveClosed(schedule); }

  // Any thread.
  uint64_t done() const { return done_.load(std::memory_order_relaxed); }
  // After Drive.
  uint64_t nulls() const;
  const Histogram& latency() const { return latency_; }
  const Histogram& lateness() const { return lateness_; }
  Status Pin() const;

 private:
  Status DriveClosed(const Schedule& schedule);
  Status DriveOpen(const Schedule& schedule);
  // Waits for events and handles them. answered(connection) is called when replies came in.
  template <typename Answered>
  Status Turn(int64_t timeout_ns, const Answered& answered);
  Status Receive(Connection& connection, bool* any);
  Status Send(Connection& connection, size_t bytes, uint64_t commands);
  Status SendRest(Connection& connection);
  Status SendPipeline(Connection& connection);

  const Options& options_;
  const Workload& workload_;
  const int cpu_;
  Numbers numbers_;
  KeyChoice keys_;
  const double gap_ns_;  // between pipelines in an open loop, mean
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<char> input_, output_;
  int epoll_ = -1;
  uint64_t outstanding_ = 0;  // replies that this thread waits for
  int64_t last_reply_ns_ = 0;
  std::atomic<uint64_t> done_{0};
  Histogram latency_, lateness_;
};

Status Driver::Pin() const {
  if (cpu_ < 0) return {};
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu_), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) return Invalid("this process can't run on CPU " + std::to_string(cpu_) + " (--cpus)");
  return {};
}

Status Driver::Connect() {
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(options_.port)};
  if (inet_pton(AF_INET, options_.host.c_str(), &address.sin_addr) != 1) {
    return Invalid("--host must be an IPv4 address, not '" + options_.host + "'");
  }
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  for (auto& connection : connections_) {
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0) return SystemError("can't open a socket");
    if (connect(connection->fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      return SystemError("can't connect to " + options_.host + ":" + std::to_string(options_.port));
    }
    const int on = 1;
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(connection->fd, F_SETFL, O_NONBLOCK);
    epoll_event event{.events = EPOLLIN, .data = {.ptr = connection.get()}};
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, connection->fd, &event) != 0) return SystemError("can't watch a socket");
  }
  return {};
}

uint64_t Driver::nulls() const {
  uint64_t sum = 0;
  for (const auto& connection : connections_) sum += connection->reader.nulls();
  return sum;
}

// The first `bytes` of output_, with so many commands.
Status Driver::Send(Connection& connection, size_t bytes, uint64_t commands) {
  connection.awaited += commands;
  outstanding_ += commands;
  const char* data = output_.data();
  if (connection.unsent.empty()) {
    const ssize_t sent = send(connection.fd, data, bytes, MSG_NOSIGNAL);
    if (sent == static_cast<ssize_t>(bytes)) return {};
    if (sent < 0 && errno != EAGAIN) return SystemError("the connection broke");
    if (sent > 0) data += sent, bytes -= static_cast<size_t>(sent);
    epoll_event event{.events = EPOLLIN | EPOLLOUT, .data = {.ptr = &connection}};
    epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd, &event);
  }
  connection.unsent.append(data, bytes);
  return {};
}

Status Driver::SendRest(Connection& connection) {
  const ssize_t sent = send(connection.fd, connection.unsent.data(), connection.unsent.size(), MSG_NOSIGNAL);
  if (sent < 0) return errno == EAGAIN ? Status() : SystemError("the connection broke");
  connection.unsent.erase(0, static_cast<size_t>(sent));
  if (!connection.unsent.empty()) return {};
  epoll_event event{.events = EPOLLIN, .data = {.ptr = &connection}};
  epoll_ctl(epoll_, EPOLL_CTL_MOD, connection.fd, &event);
  return {};
}

Status Driver::SendPipeline(Connection& connection) {
  char* out = output_.data();
  for (uint32_t i = 0; i < options_.pipeline; ++i) {
    const CommandText& text = workload_.Choose(numbers_);
    text.Write(out, keys_, options_.elements);
    out += text.bytes();
  }
  return Send(connection, static_cast<size_t>(out - output_.data()), options_.pipeline);
}

Status Driver::Receive(Connection& connection, bool* any) {
  const ssize_t size = recv(connection.fd, input_.data(), input_.size(), 0);
  if (size < 0 && errno == EAGAIN) return {};
  if (size < 0) return SystemError("the connection broke");
  if (size == 0) return Unavailable("the server closed a connection");
  const uint64_t before = connection.reader.replies();
  if (!connection.reader.Read(input_.data(), static_cast<size_t>(size))) return Internal(connection.reader.error());
  if (connection.reader.replies() > connection.awaited) return Internal("the server answered more than it was asked");
  const uint64_t replies = connection.reader.replies() - before;
  outstanding_ -= replies;
  done_.store(done_.load(std::memory_order_relaxed) + replies, std::memory_order_relaxed);
  *any = replies > 0;
  return {};
}

template <typename Answered>
Status Driver::Turn(int64_t timeout_ns, const Answered& answered) {
  epoll_event events[kMaxEvents];
  const timespec timeout{.tv_sec = timeout_ns / 1'000'000'000, .tv_nsec = timeout_ns % 1'000'000'000};
  const int count = epoll_pwait2(epoll_, events, kMaxEvents, &timeout, nullptr);
  if (count < 0 && errno != EINTR) return SystemError("epoll_wait failed");
  for (int i = 0; i < count; ++i) {
    Connection& connection = *static_cast<Connection*>(events[i].data.ptr);
    if (events[i].events & EPOLLOUT) RETURN_IF_ERROR(SendRest(connection));
    if (!(events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) continue;
    bool any = false;
    RETURN_IF_ERROR(Receive(connection, &any));
    if (any) RETURN_IF_ERROR(answered(connection));
  }
  if (count > 0 || outstanding_ == 0) {
    last_reply_ns_ = NowNs();
  } else if (static_cast<double>(NowNs() - last_reply_ns_) > options_.stall_s * 1e9) {
    return Unavailable("no reply for " + std::to_string(static_cast<int>(options_.stall_s)) + " s, " + std::to_string(outstanding_) +
                       " are outstanding");
  }
  return {};
}

Status Driver::Fill(uint64_t from, uint64_t to) {
  last_reply_ns_ = NowNs();
  for (const CommandText& text : workload_.fills()) {
    uint64_t next = from;
    const auto send_next = [&](Connection& connection) -> Status {
      if (next == to || connection.reader.replies() != connection.awaited) return {};
      char* out = output_.data();
      uint64_t commands = 0;
      for (; commands < options_.pipeline && next < to; ++commands, ++next) {
        text.WriteFor(out, next, numbers_, options_.elements);
        out += text.bytes();
      }
      return Send(connection, static_cast<size_t>(out - output_.data()), commands);
    };
    for (auto& connection : connections_) RETURN_IF_ERROR(send_next(*connection));
    while (outstanding_ > 0) RETURN_IF_ERROR(Turn(1'000'000'000, send_next));
  }
  return {};
}

Status Driver::DriveClosed(const Schedule& schedule) {
  last_reply_ns_ = NowNs();
  const auto send_next = [&](Connection& connection) -> Status {
    if (connection.reader.replies() != connection.awaited || schedule.over.load(std::memory_order_relaxed)) return {};
    return SendPipeline(connection);
  };
  for (auto& connection : connections_) RETURN_IF_ERROR(send_next(*connection));
  while (outstanding_ > 0) RETURN_IF_ERROR(Turn(1'000'000'000, send_next));
  return {};
}

// Polls without sleeping: the generator has a CPU of its own, and a sleep's wake-up would count as latency.
Status Driver::DriveOpen(const Schedule& schedule) {
  if (options_.sleep) prctl(PR_SET_TIMERSLACK, 1);  // of this thread; the default adds 50 us
  last_reply_ns_ = NowNs();
  int64_t due = last_reply_ns_ + numbers_.Gap(gap_ns_);
  size_t turn = 0;
  const auto answered = [&](Connection& connection) -> Status {
    const int64_t now = NowNs();
    // Whole pipelines: the last reply of one has come when no more of them than the others' are awaited.
    while (!connection.due_ns.empty() &&
           connection.awaited - connection.reader.replies() <= (connection.due_ns.size() - 1) * options_.pipeline) {
      const int64_t began = connection.due_ns.front();
      connection.due_ns.pop_front();
      if (began >= schedule.begin_ns && began < schedule.end_ns) latency_.Add(now - began);
    }
    return {};
  };
  while (due < schedule.end_ns || outstanding_ > 0) {
    for (int64_t now = NowNs(); due <= now && due < schedule.end_ns; due += numbers_.Gap(gap_ns_)) {
      if (schedule.failed.load(std::memory_order_relaxed)) return {};
      Connection& connection = *connections_[turn++ % connections_.size()];
      if (connection.due_ns.size() >= kMaxWaiting) {
        return Unavailable("the server falls behind --rate: " + std::to_string(connection.due_ns.size()) + " pipelines wait on a connection");
      }
      connection.due_ns.push_back(due);
      if (due >= schedule.begin_ns) lateness_.Add(NowNs() - due);
      RETURN_IF_ERROR(SendPipeline(connection));
    }
    RETURN_IF_ERROR(Turn(options_.sleep ? std::clamp<int64_t>(due - NowNs(), 0, kLongestSleepNs) : 0, answered));
  }
  return {};
}

// Runs one step of every driver, each on a thread of its own; the first failure is the result and stops them all.
class Team {
 public:
  Team(const Options& options, const Workload& workload) {
    const size_t count = std::max<size_t>(1, options.cpus.size());
    std::shared_ptr<const ZipfTable> zipf;
    if (options.distribution == "zipf") zipf = std::make_shared<ZipfTable>(options.keys, options.zipf_exponent, options.seed);
    for (size_t i = 0; i < count; ++i) drivers_.push_back(std::make_unique<Driver>(options, workload, zipf, i, count));
  }

  template <typename Step, typename Meanwhile>
  Status Run(Schedule& schedule, const Step& step, const Meanwhile& meanwhile) {
    std::vector<Status> results(drivers_.size());
    std::vector<std::thread> threads;
    for (size_t i = 0; i < drivers_.size(); ++i) {
      threads.emplace_back([&, i] {
        results[i] = drivers_[i]->Pin();
        if (results[i].ok()) results[i] = step(*drivers_[i], i);
        if (!results[i].ok()) schedule.failed = schedule.over = true;
      });
    }
    Status status = meanwhile();
    schedule.over = true;
    for (std::thread& thread : threads) thread.join();
    for (const Status& result : results) {
      if (!result.ok()) return result;
    }
    return status;
  }
  const std::vector<std::unique_ptr<Driver>>& drivers() const { return drivers_; }
  uint64_t done() const {
    uint64_t sum = 0;
    for (const auto& driver : drivers_) sum += driver->done();
    return sum;
  }

 private:
  std::vector<std::unique_ptr<Driver>> drivers_;
};

// The counts at one end of the window, taken together.
struct Mark {
  int64_t at_ns = 0, own_cpu_ns = 0;
  uint64_t operations = 0;
  ProcessUsage watched;
};

Result<Mark> TakeMark(const Options& options, const Team& team) {
  Mark mark;
  if (options.watch_pid != 0) {
    Result<ProcessUsage> usage = ReadProcessUsage(options.watch_pid);
    if (!usage.ok()) return usage.status();
    mark.watched = *usage;
  }
  mark.at_ns = NowNs();
  mark.own_cpu_ns = OwnCpuNs();
  mark.operations = team.done();
  return mark;
}

}  // namespace

Result<Report> RunLoad(const Options& options, const Workload& workload) {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  const size_t pipeline_bytes = options.pipeline * std::max(workload.max_bytes(), workload.max_fill_bytes());
  if (pipeline_bytes > (size_t{256} << 20)) {
    return Invalid("a pipeline of these commands has " + std::to_string(pipeline_bytes >> 20) + " MB; at most 256 MB are sent together");
  }
  Report report;
  Team team(options, workload);
  for (const auto& driver : team.drivers()) RETURN_IF_ERROR(driver->Connect());

  if (options.fill) {
    if (workload.fills().empty()) return Invalid("the commands of --command use no keys: there is nothing to fill");
    const int64_t start = NowNs();
    Schedule schedule;
    const uint64_t count = options.keys - options.fill_from, drivers = team.drivers().size();
    RETURN_IF_ERROR(team.Run(
        schedule,
        [&](Driver& driver, size_t i) {
          return driver.Fill(options.fill_from + count * i / drivers, options.fill_from + count * (i + 1) / drivers);
        },
        [] { return Status(); }));
    report.filled = count * workload.fills().size();
    report.fill_s = static_cast<double>(NowNs() - start) / 1e9;
    if (options.fill_only) return report;
  }

  Schedule schedule;
  schedule.begin_ns = NowNs() + static_cast<int64_t>(options.warmup_s * 1e9);
  schedule.end_ns = schedule.begin_ns + static_cast<int64_t>(options.seconds * 1e9);
  const auto measure = [&]() -> Status {
    SleepUntil(schedule.begin_ns);
    Result<Mark> begin = TakeMark(options, team);
    if (!begin.ok()) return begin.status();
    // Longer if nothing was answered in it: drivers fail when that lasts.
    for (int64_t now = NowNs(); (now < schedule.end_ns || team.done() == begin->operations) && !schedule.failed; now = NowNs()) {
      SleepUntil(now < schedule.end_ns ? std::min(schedule.end_ns, now + 50'000'000) : now + 1'000'000);
    }
    Result<Mark> end = TakeMark(options, team);
    if (!end.ok()) return end.status();
    report.window_s = static_cast<double>(end->at_ns - begin->at_ns) / 1e9;
    report.operations = end->operations - begin->operations;
    report.own_cpu_ns = end->own_cpu_ns - begin->own_cpu_ns;
    report.watched = {.cpu_ns = end->watched.cpu_ns - begin->watched.cpu_ns, .sleeps = end->watched.sleeps - begin->watched.sleeps};
    return {};
  };
  RETURN_IF_ERROR(team.Run(schedule, [&](Driver& driver, size_t) { return driver.Drive(schedule); }, measure));
  for (const auto& driver : team.drivers()) {
    report.nulls += driver->nulls();
    report.latency.Merge(driver->latency());
    report.lateness.Merge(driver->lateness());
  }
  return report;
}

}  // namespace understudy::load
