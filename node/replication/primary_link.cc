#include "node/replication/primary_link.h"

#include <spdlog/fmt/fmt.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/check.h"
#include "common/log.h"
#include "common/random.h"
#include "node/replication/socket.h"

namespace understudy::replication {
namespace {

constexpr size_t kReadBytes = 256 * 1024;
constexpr size_t kMaxLineBytes = 64 * 1024;
constexpr int kReadsPerTurn = 4;
constexpr Duration kConnectTimeout = Seconds(5);
constexpr Duration kFirstRetry = Milliseconds(100);
constexpr Duration kLastRetry = Seconds(2);
constexpr int kQuickRetries = 5;              // a new primary may need a moment to take office
constexpr Duration kStableAfter = Seconds(5);  // a link up for so long makes earlier failures forgotten
constexpr Duration kRepeatLogAfter = Seconds(10);

Duration RetryDelay(int failures) {
  Duration delay = kFirstRetry;
  for (int i = kQuickRetries; i < failures && delay < kLastRetry; ++i) delay = delay * 2;
  return std::min(delay, kLastRetry);
}

}  // namespace

PrimaryLink::PrimaryLink(Parts parts, Target target, MonoTime now)
    : parts_(std::move(parts)), target_(std::move(target)), retry_at_(now), last_read_(now), down_since_(now) {}

PrimaryLink::~PrimaryLink() {
  if (fd_ >= 0) close(fd_);
  AbandonLoading();
}

control::LinkState PrimaryLink::link_state() const {
  switch (state_) {
    case State::kWaiting:
    case State::kConnecting:
    case State::kGreeting: return control::LinkState::kConnecting;
    case State::kAsking:
    case State::kDraining:
    case State::kHeader:
    case State::kLoading: return control::LinkState::kSyncing;
    case State::kStreaming: return control::LinkState::kUp;
  }
  return control::LinkState::kNone;
}

// ---- Connection --------------------------------------------------------------------------------------

void PrimaryLink::Connect(MonoTime now) {
  Result<int> fd = StartConnect(target_.address, target_.port, parts_.settings.source_ip);
  attempt_at_ = now;
  if (!fd.ok()) return Fail(fd.status().message(), now);
  fd_ = *fd;
  state_ = State::kConnecting;
  epoll_event event{};
  event.events = EPOLLOUT;
  event.data.u64 = parts_.epoll_tag;
  CHECK(epoll_ctl(parts_.epoll, EPOLL_CTL_ADD, fd_, &event) == 0);
  watch_write_ = true;
}

void PrimaryLink::Fail(std::string_view why, MonoTime now) {
  const bool was_up = up();
  // The same failure at each attempt is one line every ten seconds.
  if (why != last_error_logged_ || now - last_error_logged_at_ >= kRepeatLogAfter) {
    LOG_WARN("link to primary {}:{} {}: {}", target_.address, target_.port, was_up ? "ended" : "not made", why);
    last_error_logged_ = why;
    last_error_logged_at_ = now;
  }
  last_error_ = why;
  if (fd_ >= 0) close(fd_);  // leaves the epoll set, too
  fd_ = -1;
  AbandonLoading();
  alive_ = std::make_shared<int>(0);
  if (was_up) {
    down_since_ = now;
    if (now - up_since_ >= kStableAfter) failures_ = 0;
  }
  state_ = State::kWaiting;
  in_.Clear();
  out_.clear();
  out_sent_ = 0;
  partial_.reset();
  retry_at_ = now + RetryDelay(failures_++);
  parts_.changed();
}

void PrimaryLink::Watch(bool read) {
  epoll_event event{};
  event.events = (read ? EPOLLIN : 0u) | (out_sent_ < out_.size() ? EPOLLOUT : 0u);
  event.data.u64 = parts_.epoll_tag;
  watch_write_ = (event.events & EPOLLOUT) != 0;
  CHECK(epoll_ctl(parts_.epoll, EPOLL_CTL_MOD, fd_, &event) == 0);
}

void PrimaryLink::QueueCommand(std::initializer_list<std::string_view> argv) {
  EncodeCommand({argv.begin(), argv.size()}, &out_);
}

Status PrimaryLink::Flush() {
  while (out_sent_ < out_.size()) {
    const ssize_t n = send(fd_, out_.data() + out_sent_, out_.size() - out_sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) break;
      return Unavailable(fmt::format("sending failed: {}", std::strerror(errno)));
    }
    out_sent_ += static_cast<size_t>(n);
  }
  if (out_sent_ == out_.size()) {
    out_.clear();
    out_sent_ = 0;
  }
  const bool blocked = out_sent_ < out_.size();
  if (blocked != watch_write_) Watch(state_ != State::kDraining);
  return {};
}

void PrimaryLink::Retarget(Target target, MonoTime now) {
  target_ = std::move(target);
  failures_ = 0;
  if (state_ == State::kWaiting) retry_at_ = now;
}

void PrimaryLink::OnEvent(uint32_t events, MonoTime now) {
  if (fd_ < 0) return;
  Status status;
  if (state_ == State::kConnecting) {
    status = ConnectResult(fd_);
    if (status.ok() && (events & EPOLLOUT)) {
      state_ = State::kGreeting;
      last_read_ = now;
      expected_ = {Expect::kPing};
      answered_ = 0;
      QueueCommand({"PING"});
      Watch(true);
    }
  } else if (state_ == State::kDraining) {
    // Nothing is read meanwhile; only an error can come.
    if (events & (EPOLLERR | EPOLLHUP)) status = Unavailable("the primary closed the connection");
  } else {
    bool more = true;
    for (int i = 0; i < kReadsPerTurn && more && status.ok() && state_ != State::kDraining; ++i) {
      status = Read(now, &more);
      // What came before the end of the connection counts.
      const Status processed = Process(now);
      if (!processed.ok()) status = processed;
    }
  }
  if (status.ok() && acknowledge_ && now - last_ack_ >= Milliseconds(1)) Acknowledge(now);
  if (status.ok()) status = Flush();
  if (!status.ok()) Fail(status.message(), now);
}

Status PrimaryLink::Read(MonoTime now, bool* more) {
  *more = false;
  char* room = in_.Room(kReadBytes);
  const size_t size = in_.room_bytes();
  const ssize_t n = recv(fd_, room, size, MSG_DONTWAIT);
  if (n == 0) return Unavailable("the primary closed the connection");
  if (n < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return {};
    return Unavailable(fmt::format("reading failed: {}", std::strerror(errno)));
  }
  in_.Commit(static_cast<size_t>(n));
  last_read_ = now;
  *more = static_cast<size_t>(n) == size;
  return {};
}

Result<std::string> PrimaryLink::TakeLine() {
  const std::string_view input = in_.view();
  const size_t end = input.find('\n');
  if (end == std::string_view::npos) {
    if (input.size() > kMaxLineBytes) return Internal("the primary sent a line without end");
    return NotFound("no whole line yet");
  }
  std::string line(input.substr(0, end));
  if (!line.empty() && line.back() == '\r') line.pop_back();
  in_.Consume(end + 1);
  return line;
}

Status PrimaryLink::Process(MonoTime now) {
  while (true) {
    switch (state_) {
      case State::kWaiting:
      case State::kConnecting:
      case State::kDraining: return {};
      case State::kLoading: {
        RETURN_IF_ERROR(Load(now));
        if (state_ == State::kLoading) return {};
        break;
      }
      case State::kStreaming: return ApplyStream(now);
      case State::kGreeting:
      case State::kAsking:
      case State::kHeader: {
        Result<std::string> line = TakeLine();
        if (!line.ok()) return line.status().code() == Code::kNotFound ? Status() : line.status();
        if (line->empty() && state_ != State::kGreeting) break;  // keep-alive
        if (state_ == State::kGreeting) {
          RETURN_IF_ERROR(OnGreetingLine(*line));
        } else if (state_ == State::kAsking) {
          RETURN_IF_ERROR(OnAnswer(*line, now));
        } else {
          RETURN_IF_ERROR(OnHeader(*line));
        }
        break;
      }
    }
  }
}

// ---- Introduction ------------------------------------------------------------------------------------

Status PrimaryLink::OnGreetingLine(const std::string& line) {
  const Expect expect = expected_[answered_];
  switch (expect) {
    case Expect::kPing:
      // A password or ACL may stand before PING; AUTH follows.
      if (!line.starts_with('+') && !line.starts_with("-NOAUTH") && !line.starts_with("-NOPERM") &&
          !line.starts_with("-ERR operation not permitted")) {
        return Unavailable(fmt::format("the primary answered PING with '{}'", line));
      }
      break;
    case Expect::kAuth:
      if (!line.starts_with('+')) return Denied(fmt::format("the primary refused masterauth: {}", line));
      break;
    case Expect::kIgnored: break;  // options that some primaries do not know
    case Expect::kCopyOnly:
      if (!line.starts_with('+')) return Denied(fmt::format("the primary refused: {}", line));
      break;
    case Expect::kHello: {
      if (line.starts_with('-')) return Denied(fmt::format("the primary refused this node: {}", line));
      Result<HelloAnswer> answer = ParseHelloAnswer(line);
      if (!answer.ok()) return answer.status();
      if (answer->incarnation != target_.incarnation) {
        return Denied(fmt::format("{} answers at this address, not {}", answer->incarnation, target_.incarnation));
      }
      if (answer->epoch != hello_.epoch || !VerifyHelloAnswer(target_.key, hello_, *answer)) {
        return Denied("the primary did not prove that it belongs to this group and epoch");
      }
      break;
    }
  }
  ++answered_;
  if (answered_ < expected_.size()) return {};
  if (expect == Expect::kPing) {
    Introduce();
  } else {
    Ask();
  }
  return {};
}

void PrimaryLink::Introduce() {
  expected_.clear();
  answered_ = 0;
  const Settings& settings = parts_.settings;
  if (!settings.master_auth.empty()) {
    if (settings.master_user.empty()) {
      QueueCommand({"AUTH", settings.master_auth});
    } else {
      QueueCommand({"AUTH", settings.master_user, settings.master_auth});
    }
    expected_.push_back(Expect::kAuth);
  }
  const uint16_t port = settings.announce_port != 0 ? settings.announce_port : parts_.listening_port;
  QueueCommand({"REPLCONF", "listening-port", std::to_string(port)});
  expected_.push_back(Expect::kIgnored);
  if (!settings.announce_ip.empty()) {
    QueueCommand({"REPLCONF", "ip-address", settings.announce_ip});
    expected_.push_back(Expect::kIgnored);
  }
  QueueCommand({"REPLCONF", "capa", "eof", "capa", "psync2"});
  expected_.push_back(Expect::kIgnored);
  QueueCommand({"REPLCONF", "version", parts_.version});
  expected_.push_back(Expect::kIgnored);
  if (target_.own) {
    hello_ = Hello{target_.group, target_.epoch, parts_.incarnation, RandomHex(16), ""};
    SignHello(target_.key, &hello_);
    QueueCommand({"REPLCONF", "understudy-hello", hello_.group, std::to_string(hello_.epoch), hello_.incarnation,
                  hello_.nonce, hello_.mac});
    expected_.push_back(Expect::kHello);
    if (target_.copy_only) {
      QueueCommand({"REPLCONF", "understudy-copy-only", "1"});
      expected_.push_back(Expect::kCopyOnly);
    }
  }
}

void PrimaryLink::Ask() {
  state_ = State::kAsking;
  if (parts_.data.follows_log) {
    QueueCommand({"PSYNC", parts_.log.history().replid, std::to_string(parts_.log.end() + 1)});
  } else {
    QueueCommand({"PSYNC", "?", "-1"});
  }
  parts_.changed();
}

Status PrimaryLink::OnAnswer(const std::string& line, MonoTime now) {
  Result<PsyncAnswer> answer = ParsePsyncAnswer(line);
  if (!answer.ok()) return answer.status();
  switch (answer->kind) {
    case PsyncAnswer::Kind::kContinue:
      if (!parts_.data.follows_log) return Internal("the primary said +CONTINUE to a node without data");
      if (!answer->replid.empty() && answer->replid != parts_.log.history().replid) {
        // Those below learn the new id by asking again.
        parts_.log.RenameHistory(answer->replid);
        parts_.drop_replicas("the history got another id");
      }
      LOG_INFO("goes on with primary {}:{} at offset {} (history {})", target_.address, target_.port,
               parts_.log.end(), parts_.log.history().replid);
      StartStreaming(now);
      return {};
    case PsyncAnswer::Kind::kFullCopy: return BeginLoading(*answer);
    case PsyncAnswer::Kind::kLeaveVotersFirst:
      parts_.data.needs_full_copy = true;
      return Unavailable("a partial resynchronisation is impossible, and a voter keeps its data");
    case PsyncAnswer::Kind::kError: return Unavailable(fmt::format("the primary answered PSYNC with '{}'", line));
  }
  return {};
}

void PrimaryLink::Tick(MonoTime now) {
  switch (state_) {
    case State::kWaiting:
      if (now >= retry_at_) Connect(now);
      return;
    case State::kConnecting:
      if (now - attempt_at_ >= kConnectTimeout) Fail("no answer to the attempt to connect", now);
      return;
    default: break;
  }
  const Duration timeout = Milliseconds(static_cast<int64_t>(parts_.settings.timeout_ms));
  if (now - last_read_ > timeout) {
    return Fail(fmt::format("silent for {} ms (repl-timeout)", (now - last_read_).ms()), now);
  }
  if (state_ == State::kStreaming) {
    const bool due = acknowledge_ && now - last_ack_ >= Milliseconds(1);
    if (due || now - last_ack_ >= Seconds(1)) Acknowledge(now);
  } else if ((state_ == State::kLoading || state_ == State::kHeader || state_ == State::kDraining) &&
             now - last_written_ >= Seconds(1) && out_.empty()) {
    out_.append("\n");  // so that the primary does not give this node up while it loads
    last_written_ = now;
  }
  if (const Status status = Flush(); !status.ok()) Fail(status.message(), now);
}

MonoTime PrimaryLink::NextDeadline() const {
  if (state_ == State::kWaiting) return retry_at_;
  if (state_ == State::kStreaming && acknowledge_ && out_.empty()) return last_ack_ + Milliseconds(1);
  return role::kForever;  // the engine's own ticks will do
}

}  // namespace understudy::replication
