#include "node/replication/primary_link.h"

#include <spdlog/fmt/fmt.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "common/check.h"
#include "common/log.h"
#include "common/random.h"
#include "node/persist/rdb_format.h"
#include "node/replication/socket.h"
#include "node/store/shard_guard.h"

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

// A command or transaction of the stream may be so long.
constexpr int64_t kMaxStreamBytes = 1LL << 30;

// Puts the bytes of a record into the log under the sink's locks.
class RawCommit final : public CommitToLog {
 public:
  RawCommit(Log& log, std::string_view raw, int db) : log_(log), raw_(raw), db_(db) {}
  void Commit() override {
    CHECK(!done_);
    log_.AppendRaw(raw_, db_, 0);
    done_ = true;
  }
  bool done() const { return done_; }

 private:
  Log& log_;
  const std::string_view raw_;
  const int db_;
  bool done_ = false;
};

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
  Result<int> fd = StartConnect(target_.address, target_.port);
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

// ---- Full copy ---------------------------------------------------------------------------------------

Status PrimaryLink::BeginLoading(const PsyncAnswer& answer) {
  if (!may_load_) return Unavailable("a full copy is needed, but a higher epoch is known: waiting for an order");
  copy_ = answer;
  parts_.data.loading = true;
  parts_.drop_replicas("this node takes a full copy");
  if (answer.parted_at && parts_.data.follows_log) {
    const uint64_t end = parts_.log.end();
    parts_.data.dropped_bytes = end > *answer.parted_at ? end - *answer.parted_at : 0;
    if (parts_.data.dropped_bytes > 0) {
      LOG_WARN("{} bytes of this node's own history (offsets {} to {}) exist nowhere else and are dropped",
               parts_.data.dropped_bytes, *answer.parted_at, end);
    }
  }
  LOG_INFO("full copy from primary {}:{} at offset {} (history {}), {}", target_.address, target_.port, answer.offset,
           answer.replid, answer.beside && parts_.data.complete ? "beside the data held" : "in its place");
  if (answer.beside && parts_.data.complete) {
    beside_ = std::make_unique<store::Keyspace>(
        store::Keyspace::Options{parts_.keyspace.shard_count(), parts_.keyspace.databases()});
    state_ = State::kHeader;
    parts_.changed();
    return {};
  }
  // Nobody may see a half: first no new command is admitted, then those under way end, then the data goes.
  parts_.hooks.OnLoading(true);
  state_ = State::kDraining;
  Watch(false);
  parts_.hooks.DrainWorkers([this, post = parts_.post, alive = std::weak_ptr<int>(alive_)] {
    post([this, alive] {
      if (!alive.expired()) EmptyAndLoad();
    });
  });
  parts_.changed();
  return {};
}

void PrimaryLink::EmptyAndLoad() {
  CHECK(state_ == State::kDraining);
  parts_.data.complete = false;
  parts_.data.follows_log = false;
  {
    store::AllShardsGuard guard(parts_.keyspace);
    parts_.keyspace.FlushAll();
  }
  state_ = State::kHeader;
  const MonoTime now = parts_.clock.Mono();
  last_read_ = now;
  Watch(true);
  const Status status = Process(now);  // what was read before
  if (!status.ok()) Fail(status.message(), now);
}

Status PrimaryLink::OnHeader(const std::string& line) {
  if (line.starts_with('-')) return Unavailable(fmt::format("the primary gave up the full copy: {}", line));
  constexpr std::string_view kEof = "$EOF:";
  if (line.starts_with(kEof)) {
    end_mark_ = line.substr(kEof.size());
    if (end_mark_.size() != 40) return Internal(fmt::format("'{}' has no end mark of 40 bytes", line));
  } else {
    end_mark_.clear();
    const char* end = line.data() + line.size();
    const auto [stop, error] = std::from_chars(line.data() + (line.empty() ? 0 : 1), end, left_bytes_);
    if (!line.starts_with('$') || error != std::errc() || stop != end) {
      return Internal(fmt::format("'{}' is not the start of a full copy", line.substr(0, 200)));
    }
  }
  loader_ = std::make_unique<persist::Loader>(
      beside_ ? *beside_ : parts_.keyspace,
      persist::Loader::Options{.keep_expired = true, .now_ms = parts_.clock.Wall().unix_ms});
  state_ = State::kLoading;
  return {};
}

Status PrimaryLink::Load(MonoTime now) {
  if (!loader_->done()) {
    std::string_view input = in_.view();
    if (end_mark_.empty()) input = input.substr(0, std::min<uint64_t>(input.size(), left_bytes_));
    Result<size_t> taken = loader_->Feed(input);
    if (!taken.ok()) return taken.status().Prefixed("the full copy can't be loaded");
    in_.Consume(*taken);
    if (end_mark_.empty()) left_bytes_ -= *taken;
    if (!loader_->done()) {
      if (end_mark_.empty() && left_bytes_ == 0) return loader_->Finish().Prefixed("the full copy can't be loaded");
      return {};
    }
  }
  if (end_mark_.empty()) {
    if (left_bytes_ > 0) return Internal(fmt::format("{} bytes follow the end of the full copy", left_bytes_));
  } else {
    if (in_.size() < end_mark_.size()) return {};
    if (in_.view().substr(0, end_mark_.size()) != end_mark_) return Internal("the full copy has no end mark");
    in_.Consume(end_mark_.size());
  }
  return FinishLoading(now);
}

Status PrimaryLink::FinishLoading(MonoTime now) {
  const auto aux = [&](const char* name) {
    const auto it = loader_->aux().find(name);
    return it == loader_->aux().end() ? std::string() : it->second;
  };
  const auto number = [&](const char* name) {
    const std::string text = aux(name);
    uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  };
  const int db = static_cast<int>(std::min<uint64_t>(number(persist::kAuxReplStreamDb), INT32_MAX));
  if (db >= parts_.keyspace.databases()) return Internal(fmt::format("the full copy's stream is in database {}", db));
  History history{copy_.replid, {}, number(persist::kAuxEpoch)};
  std::string dataset = aux(persist::kAuxDataset);
  if (dataset.empty()) dataset = RandomHex(16);  // a foreign primary has none
  const uint64_t keys = loader_->keys_loaded();
  const uint64_t bytes = loader_->bytes_read();
  loader_.reset();
  if (beside_) {
    {
      store::AllShardsGuard guard(parts_.keyspace);
      store::AllShardsGuard other(*beside_);
      parts_.keyspace.SwapContents(*beside_);
      parts_.log.Reset(std::move(history), copy_.offset, db);
    }
    parts_.dispose(std::move(beside_));
  } else {
    store::AllShardsGuard guard(parts_.keyspace);
    parts_.log.Reset(std::move(history), copy_.offset, db);
  }
  parts_.data.dataset = std::move(dataset);
  parts_.data.complete = true;
  parts_.data.follows_log = true;
  parts_.data.loading = false;
  LOG_INFO("loaded {} keys, {} bytes, from primary {}:{} in {} ms", keys, bytes, target_.address, target_.port,
           (now - attempt_at_).ms());
  StartStreaming(now);
  parts_.hooks.OnLoading(false);
  return {};
}

void PrimaryLink::AbandonLoading() {
  if (!parts_.data.loading) return;
  loader_.reset();
  parts_.data.loading = false;
  if (beside_) {
    parts_.dispose(std::move(beside_));
  } else if (parts_.data.complete) {
    parts_.hooks.OnLoading(false);  // ended before anything was dropped
  }
}

// ---- Stream ------------------------------------------------------------------------------------------

void PrimaryLink::StartStreaming(MonoTime now) {
  state_ = State::kStreaming;
  parts_.data.needs_full_copy = false;
  up_since_ = now;
  last_read_ = now;
  last_error_.clear();
  arguments_.Clear();
  partial_.reset();
  parsed_ = 0;
  in_transaction_ = false;
  queued_.clear();
  queued_words_.clear();
  db_ = parts_.log.db();
  acknowledge_ = true;
  Acknowledge(now);
  parts_.changed();
}

Status PrimaryLink::ApplyStream(MonoTime now) {
  const resp::Limits limits{.max_bulk_bytes = kMaxStreamBytes};
  while (parsed_ < in_.size()) {
    arguments_.Clear();
    const resp::ParseResult result = resp::Parse(in_.view().substr(parsed_), limits, &arguments_, &partial_);
    if (result.outcome == resp::Outcome::kError) return Internal("the stream is damaged: " + result.error);
    if (result.outcome == resp::Outcome::kNeedMore) {
      // Empty lines before it are part of the stream and are counted with it.
      if (result.consumed > 0) partial_.reset();
      break;
    }
    const std::string_view raw = in_.view().substr(in_transaction_ ? 0 : parsed_, parsed_ + result.consumed);
    parsed_ += result.consumed;
    if (!arguments_.views.empty()) RETURN_IF_ERROR(OnStreamCommand(raw, now));
    if (!in_transaction_ && parsed_ > 0) {
      in_.Consume(parsed_);
      parsed_ = 0;
    }
  }
  if (in_.size() > static_cast<size_t>(kMaxStreamBytes)) {
    return Internal(fmt::format("a command or transaction of the stream is larger than {} bytes", kMaxStreamBytes));
  }
  return {};
}

Status PrimaryLink::OnStreamCommand(std::string_view raw, MonoTime now) {
  const std::vector<std::string_view>& argv = arguments_.views;
  const std::string_view name = argv[0];
  acknowledge_ = acknowledge_ || target_.own;
  if (EqualsIgnoringCase(name, "SELECT")) {
    int db = -1;
    if (argv.size() == 2) std::from_chars(argv[1].data(), argv[1].data() + argv[1].size(), db);
    if (db < 0 || db >= parts_.keyspace.databases()) {
      return Internal(fmt::format("the stream selects database '{}', there are {}",
                                  argv.size() == 2 ? argv[1] : "", parts_.keyspace.databases()));
    }
    db_ = db;
    if (!in_transaction_) parts_.log.AppendRaw(raw, db_, 0);
    return {};
  }
  if (in_transaction_) {
    if (EqualsIgnoringCase(name, "EXEC")) {
      std::vector<std::string_view> words;
      words.reserve(queued_words_.size());
      for (const Word& w : queued_words_) words.push_back(raw.substr(w.offset, w.size));
      std::vector<Record> records;
      records.reserve(queued_.size());
      for (const Queued& q : queued_) records.push_back({q.db, {words.data() + q.first_word, q.words}});
      in_transaction_ = false;
      const Status status = records.empty() ? (parts_.log.AppendRaw(raw, db_, 0), Status()) : Apply(records, raw);
      queued_.clear();
      queued_words_.clear();
      return status;
    }
    if (EqualsIgnoringCase(name, "MULTI")) return Internal("the stream has MULTI inside MULTI");
    queued_.push_back({db_, queued_words_.size(), argv.size()});
    for (std::string_view word : argv) {
      if (word.data() < raw.data() || word.data() > raw.data() + raw.size()) {
        return Internal("the stream has a quoted inline command");
      }
      queued_words_.push_back({static_cast<size_t>(word.data() - raw.data()), word.size()});
    }
    return {};
  }
  if (EqualsIgnoringCase(name, "MULTI")) {
    in_transaction_ = true;  // in_ keeps it from its first byte until EXEC
    return {};
  }
  if (EqualsIgnoringCase(name, "PING")) {
    parts_.log.AppendRaw(raw, db_, argv.size() == 2 ? ParseEpochWord(argv[1]) : 0);
    return {};
  }
  if (EqualsIgnoringCase(name, "REPLCONF")) {
    parts_.log.AppendRaw(raw, db_, 0);
    if (argv.size() >= 2 && EqualsIgnoringCase(argv[1], "GETACK")) Acknowledge(now);
    return {};
  }
  const Record record{db_, argv};
  return Apply({&record, 1}, raw);
}

Status PrimaryLink::Apply(std::span<const Record> records, std::string_view raw) {
  RawCommit commit(parts_.log, raw, db_);
  Status status = parts_.sink.Apply(records, commit);
  if (status.ok()) {
    CHECK(commit.done());
    return {};
  }
  CHECK(!commit.done());
  if (status.code() == Code::kInvalid) return status.Prefixed("the stream can't be applied");
  // Half of it may be done: neither the data nor its position is the primary's any more.
  parts_.data.complete = false;
  parts_.data.follows_log = false;
  parts_.hooks.OnLoading(true);
  LOG_ERROR("this node's data has parted from the primary's at offset {} and must be copied anew: {}",
            parts_.log.end(), status.message());
  return status.Prefixed("applying the stream failed");
}

void PrimaryLink::Acknowledge(MonoTime now) {
  // One at a time: what waits in out_ would be older than what is to be said.
  if (!out_.empty()) return;
  QueueCommand({"REPLCONF", "ACK", std::to_string(parts_.log.end())});
  acknowledge_ = false;
  last_ack_ = now;
  last_written_ = now;
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
