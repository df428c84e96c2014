#include "node/replication/replica_link.h"

#include <arpa/inet.h>
#include <spdlog/fmt/fmt.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "common/check.h"
#include "node/replication/resync_rules.h"
#include "node/replication/socket.h"

namespace understudy::replication {
namespace {

constexpr size_t kReadBytes = 16 * 1024;
constexpr size_t kMaxCommandBytes = 64 * 1024;  // of what a replica may send
// Sent to one replica in one turn, so that none starves the others.
constexpr size_t kSendBytesPerTurn = 4 * 1024 * 1024;
constexpr size_t kSendBytesPerCall = 1024 * 1024;
constexpr int kIovecs = 64;

Status SendFailed() { return Unavailable(fmt::format("sending failed: {}", std::strerror(errno))); }

}  // namespace

ReplicaLink::ReplicaLink(int fd, std::string leftover, ReplicaHandshake handshake, MonoTime now)
    : fd_(fd), handshake_(std::move(handshake)), last_read_(now), last_sent_(now), last_keepalive_(now) {
  ip_ = handshake_.ip_address.empty() ? PeerAddress(fd) : handshake_.ip_address;
  in_.Append(leftover);
  SetNoDelay(fd);
}

ReplicaLink::~ReplicaLink() {
  shutdown(fd_, SHUT_RDWR);  // the other side learns it even if a copy of the descriptor is left somewhere
  close(fd_);
}

std::string ReplicaLink::Name() const {
  std::string name = fmt::format("replica {}:{}", ip_, handshake_.listening_port);
  if (handshake_.has_hello) name += fmt::format(" ({})", handshake_.hello.incarnation);
  return name;
}

void ReplicaLink::StartPartial(const std::string& replid, std::unique_ptr<Log::Reader> reader) {
  text_ = handshake_.capa_psync2 ? fmt::format("+CONTINUE {}\r\n", replid) : "+CONTINUE\r\n";
  reader_ = std::move(reader);
  state_ = State::kOnline;
}

void ReplicaLink::WaitForCopy(bool beside, std::optional<uint64_t> parted_at) {
  beside_ = beside;
  parted_at_ = parted_at;
}

void ReplicaLink::StartCopy(const Log::Cut& cut, std::unique_ptr<Log::Reader> reader, std::optional<uint64_t> length,
                            std::string end_mark) {
  CHECK(state_ == State::kWaitCopy && end_mark.size() == 40);
  if (!handshake_.sync) {
    text_ += FormatFullResync(cut.history.replid, cut.offset, handshake_.has_hello, beside_, parted_at_) + "\r\n";
  }
  if (length) {
    text_ += fmt::format("${}\r\n", *length);
  } else {
    text_ += fmt::format("$EOF:{}\r\n", end_mark);
    end_mark_ = std::move(end_mark);
  }
  reader_ = std::move(reader);
  state_ = State::kSendCopy;
}

void ReplicaLink::SendError(std::string_view line) {
  // The answer to a request on an otherwise empty connection: it fits into the socket's buffer.
  const std::string text = std::string(line) + "\r\n";
  const ssize_t ignored = send(fd_, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  (void)ignored;
}

Status ReplicaLink::Read(MonoTime now) {
  while (true) {
    const ssize_t n = recv(fd_, in_.Room(kReadBytes), kReadBytes, MSG_DONTWAIT);
    if (n == 0) return Unavailable("it closed the connection");
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return {};
      return Unavailable(fmt::format("reading failed: {}", std::strerror(errno)));
    }
    in_.Commit(static_cast<size_t>(n));
    last_read_ = now;
    RETURN_IF_ERROR(ParseInput(now));
    if (static_cast<size_t>(n) < kReadBytes) return {};
  }
}

Status ReplicaLink::ParseInput(MonoTime now) {
  const resp::Limits limits{.max_bulk_bytes = kMaxCommandBytes, .max_arguments = 64};
  while (!in_.empty()) {
    arguments_.Clear();
    const resp::ParseResult result = resp::Parse(in_.view(), limits, &arguments_, &partial_);
    if (result.outcome == resp::Outcome::kError) return Invalid("it sent no command: " + result.error);
    if (result.outcome == resp::Outcome::kCommand && !arguments_.views.empty()) {
      RETURN_IF_ERROR(OnCommand(arguments_.views, now));
    }
    in_.Consume(result.consumed);
    if (result.outcome == resp::Outcome::kNeedMore) break;
  }
  if (in_.size() > kMaxCommandBytes) {
    return Invalid(fmt::format("it sent more than {} bytes without an end of command", kMaxCommandBytes));
  }
  return {};
}

Status ReplicaLink::OnCommand(std::span<const std::string_view> argv, MonoTime now) {
  // A replica only reports here; anything else it may say (PING, options we don't know) needs no answer.
  if (argv.size() < 3 || !EqualsIgnoringCase(argv[0], "REPLCONF") || !EqualsIgnoringCase(argv[1], "ACK")) return {};
  uint64_t offset = 0;
  const auto [end, error] = std::from_chars(argv[2].data(), argv[2].data() + argv[2].size(), offset);
  if (error != std::errc() || end != argv[2].data() + argv[2].size()) {
    return Invalid(fmt::format("it acknowledged '{}', which is not an offset", argv[2]));
  }
  if (state_ != State::kOnline && state_ != State::kWaitFirstAck) return {};  // of its former primary
  // What was not sent can't be acknowledged: the other side counts differently, nothing it says is good.
  if (reader_ && offset > reader_->position()) {
    return Invalid(fmt::format("it acknowledged offset {}, but was sent only {}", offset, reader_->position()));
  }
  if (state_ == State::kWaitFirstAck) state_ = State::kOnline;
  acked_ = offset;
  has_acked_ = true;
  last_ack_ = now;
  return {};
}

bool ReplicaLink::HasWork(const FullCopy* copy, bool stream) const {
  if (wants_write_) return false;
  if (text_sent_ < text_.size()) return true;
  switch (state_) {
    case State::kSendCopy:
      return chunk_ || (copy && (copy->Chunk(next_chunk_) || copy->chunks() == next_chunk_));
    case State::kOnline: return stream && reader_ && reader_->pending_bytes() > 0;
    case State::kWaitCopy:
    case State::kWaitFirstAck: return false;
  }
  return false;
}

Status ReplicaLink::Send(MonoTime now, const FullCopy* copy) {
  if (wants_write_) return {};
  Result<Sent> text = SendText(now);
  if (!text.ok()) return text.status();
  if (*text == Sent::kBlocked) return {};
  if (state_ == State::kSendCopy && copy != nullptr) {
    Result<Sent> sent = SendCopy(now, *copy);
    if (!sent.ok()) return sent.status();
    if (*sent == Sent::kBlocked || state_ == State::kSendCopy) return {};
  }
  if (state_ == State::kOnline) {
    Result<Sent> sent = SendStream(now);
    if (!sent.ok()) return sent.status();
  }
  return {};
}

Result<ReplicaLink::Sent> ReplicaLink::SendText(MonoTime now) {
  while (text_sent_ < text_.size()) {
    const ssize_t n = send(fd_, text_.data() + text_sent_, text_.size() - text_sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return SendFailed();
      wants_write_ = true;
      return Sent::kBlocked;
    }
    text_sent_ += static_cast<size_t>(n);
    last_sent_ = now;
  }
  text_.clear();
  text_sent_ = 0;
  return Sent::kAll;
}

Result<ReplicaLink::Sent> ReplicaLink::SendCopy(MonoTime now, const FullCopy& copy) {
  size_t budget = kSendBytesPerTurn;
  while (budget > 0) {
    if (!chunk_) {
      if (copy.chunks() == next_chunk_) {
        if (handshake_.rdb_only && mark_queued_) return Unavailable("it got the copy that it asked for");
        if (!mark_queued_) {
          text_ = end_mark_;
          mark_queued_ = true;
          Result<Sent> sent = SendText(now);
          if (!sent.ok() || *sent == Sent::kBlocked) return sent;
          continue;
        }
        state_ = handshake_.sync || end_mark_.empty() ? State::kOnline : State::kWaitFirstAck;
        return Sent::kAll;
      }
      chunk_ = copy.Chunk(next_chunk_);
      if (!chunk_) return Sent::kAll;
      chunk_sent_ = 0;
    }
    const ssize_t n = send(fd_, chunk_->data() + chunk_sent_, chunk_->size() - chunk_sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return SendFailed();
      wants_write_ = true;
      return Sent::kBlocked;
    }
    last_sent_ = now;
    chunk_sent_ += static_cast<size_t>(n);
    budget -= std::min(budget, static_cast<size_t>(n));
    if (chunk_sent_ == chunk_->size()) {
      chunk_.reset();
      ++next_chunk_;
    }
  }
  return Sent::kAll;
}

Result<ReplicaLink::Sent> ReplicaLink::SendStream(MonoTime now) {
  size_t budget = kSendBytesPerTurn;
  while (budget > 0) {
    struct iovec parts[kIovecs];
    int used = 0;
    const size_t available = reader_->Peek(parts, &used, kSendBytesPerCall);
    if (available == 0) return Sent::kAll;
    struct msghdr message {};
    message.msg_iov = parts;
    message.msg_iovlen = static_cast<size_t>(used);
    const ssize_t n = sendmsg(fd_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return SendFailed();
      wants_write_ = true;
      return Sent::kBlocked;
    }
    last_sent_ = now;
    reader_->Advance(static_cast<size_t>(n));
    budget -= std::min(budget, static_cast<size_t>(n));
    if (static_cast<size_t>(n) < available) {
      wants_write_ = true;
      return Sent::kBlocked;
    }
  }
  return Sent::kAll;
}

Status ReplicaLink::Tick(MonoTime now, const Settings& settings) {
  const Duration timeout = Milliseconds(static_cast<int64_t>(settings.timeout_ms));
  if (state_ == State::kWaitCopy) {
    // Keeps the replica from giving up; not part of the stream.
    if (now - last_keepalive_ >= Seconds(1) && text_.empty() && !wants_write_) {
      text_ = "\n";
      last_keepalive_ = now;
    }
  } else if (state_ == State::kSendCopy) {
    // A receiver that takes all there is waits for us; only one that takes nothing is stuck.
    if (wants_write_ && now - last_sent_ > timeout) {
      return Unavailable(fmt::format("it has taken nothing of the full copy for {} ms", (now - last_sent_).ms()));
    }
  } else if (!handshake_.sync && now - last_read_ > timeout) {
    return Unavailable(fmt::format("it was silent for {} ms (repl-timeout)", (now - last_read_).ms()));
  }
  const uint64_t pending = pending_bytes();
  // Below the backlog's size a limit would only turn a partial resynchronisation into a full one.
  const uint64_t floor_bytes = settings.backlog_bytes;
  if (settings.replica_hard_limit_bytes > 0 && pending > std::max(settings.replica_hard_limit_bytes, floor_bytes)) {
    return Unavailable(fmt::format("it is {} bytes behind, more than client-output-buffer-limit replica allows ({})",
                                   pending, settings.replica_hard_limit_bytes));
  }
  if (settings.replica_soft_limit_bytes > 0 && pending > std::max(settings.replica_soft_limit_bytes, floor_bytes)) {
    if (over_soft_limit_since_ == MonoTime{}) over_soft_limit_since_ = now;
    if (now - over_soft_limit_since_ > Milliseconds(static_cast<int64_t>(settings.replica_soft_limit_ms))) {
      return Unavailable(fmt::format("it was more than {} bytes behind for {} ms (client-output-buffer-limit replica)",
                                     settings.replica_soft_limit_bytes, settings.replica_soft_limit_ms));
    }
  } else {
    over_soft_limit_since_ = MonoTime{};
  }
  return {};
}

}  // namespace understudy::replication
