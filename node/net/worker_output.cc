// Worker: replies on their way from the turn buffer to the sockets.
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "common/log.h"
#include "node/net/socket_calls.h"
#include "node/net/worker.h"

namespace understudy::net {
namespace {

// Of one connection in a turn, then others come first. Replies that have to be kept take new memory, whose pages cost
// more than the copy: a quarter of a millisecond.
constexpr size_t kConnectionOutputBytes = 256 * 1024;
constexpr size_t kClosesPerTurn = 8;  // 60 us each were seen where a thousand clients went at once

}  // namespace

resp::Output& Worker::OpenOutput(Connection& connection) {
  CloseOutput();
  if (connection.turn_begin_ != connection.turn_end_) connection.TakeTurnOutput();
  output_owner_ = &connection;
  const Connection::Position at = connection.sent_ + connection.queue_.size();
  if (connection.output_turn_ != turns()) {
    connection.output_turn_ = turns();
    connection.output_from_ = at;
  }
  output_full_ = at - connection.output_from_ > kConnectionOutputBytes;
  connection.turn_begin_ = connection.turn_end_ = output_.cursor();
  NeedsTurn(connection);
  return output_;
}

void Worker::CloseOutput() {
  if (output_owner_ == nullptr) return;
  Connection& owner = *output_owner_;
  if (output_large_) {
    owner.queue_.CommitLarge(static_cast<size_t>(output_.cursor() - large_begin_));
    output_large_ = false;
    output_.BackToBlock();
    owner.turn_begin_ = owner.turn_end_ = nullptr;
  } else {
    owner.turn_end_ = output_.cursor();
  }
  output_owner_ = nullptr;
}

void Worker::CloseOutputOf(Connection& connection) {
  if (output_owner_ != &connection) return;
  CloseOutput();
  connection.TakeTurnOutput();
  // Replies that follow go on in the block.
  output_owner_ = &connection;
  connection.turn_begin_ = connection.turn_end_ = output_.cursor();
}

size_t Worker::TurnBytesOf(const Connection& connection) const {
  if (output_owner_ != &connection) return static_cast<size_t>(connection.turn_end_ - connection.turn_begin_);
  const char* const begin = output_large_ ? large_begin_ : connection.turn_begin_;
  return static_cast<size_t>(output_.cursor() - begin);
}

char* Worker::OnFull(char* cursor, size_t bytes) {
  CHECK(output_owner_ != nullptr);
  Connection& owner = *output_owner_;
  if (output_large_) {
    owner.queue_.CommitLarge(static_cast<size_t>(cursor - large_begin_));
    output_large_ = false;
  } else {
    owner.turn_end_ = cursor;
    moved_bytes_ += static_cast<size_t>(owner.turn_end_ - owner.turn_begin_);
    owner.TakeTurnOutput();
  }
  const size_t large = bytes >= TurnOutput::kLargeBytes ? bytes : 0;
  moved_bytes_ += large;
  output_full_ = owner.sent_ + owner.queue_.size() + large - owner.output_from_ > kConnectionOutputBytes;
  if (bytes >= TurnOutput::kLargeBytes) {
    output_large_ = true;
    large_begin_ = owner.queue_.ReserveLarge(bytes);
    return large_begin_;
  }
  return nullptr;
}

void Worker::OnRoom(char* cursor) { output_owner_->turn_begin_ = output_owner_->turn_end_ = cursor; }

// ---------------------------------------------------------------------------------------------- flush

void Worker::FlushPhase() {
  handler_.OnTurnEnd(*this);
  if (check_holds_) {
    check_holds_ = false;
    std::vector<uint64_t> held;
    held.swap(held_);
    for (const uint64_t id : held) {
      if (Connection* connection = Find(id)) NeedsTurn(*connection);
    }
  }
  FlushOutput();
  moved_bytes_ = 0;
  if (input_bytes_ + output_bytes_ > 0) {
    totals_.input_bytes.fetch_add(input_bytes_, std::memory_order_relaxed);
    totals_.output_bytes.fetch_add(output_bytes_, std::memory_order_relaxed);
    input_bytes_ = output_bytes_ = 0;
  }
}

void Worker::FlushOutput() {
  // Flushing puts nothing on the list but what belongs to the next turn.
  if (turn_list_.empty()) return;
  flushing_.swap(turn_list_);
  for (Connection* connection : flushing_) {
    connection->in_turn_list_ = false;
    if (!connection->dead_) Flush(*connection);
  }
  flushing_.clear();
  output_.EndTurn();
}

void Worker::Flush(Connection& connection) {
  if (connection.close_ == Connection::CloseMode::kNow) {
    if (closed_.size() < kClosesPerTurn) return EndConnection(connection);
    connection.turn_begin_ = connection.turn_end_ = nullptr;  // dropped anyway, and its block is used again
    return NeedsTurn(connection);
  }
  if (connection.wrote_ && connection.pending_output_bytes() > 0 && !handler_.MayFlush(connection, clock_.Mono())) {
    EndConnection(connection);
    return;
  }
  if (connection.holds_) {
    connection.TakeTurnOutput();
    const size_t sendable = connection.Sendable(handler_.ReleasedTicket());
    if (connection.holds_) held_.push_back(connection.id_);
    if (!Send(connection, sendable)) return EndConnection(connection);
  } else if (connection.queue_.empty()) {
    // The usual case: this turn's replies, straight from the turn buffer.
    const size_t size = static_cast<size_t>(connection.turn_end_ - connection.turn_begin_);
    if (size > 0) {
      ssize_t n = net::Send(connection.fd_, connection.turn_begin_, size);
      if (n < 0 && errno != EAGAIN && errno != EINTR) return EndConnection(connection);
      n = std::max<ssize_t>(n, 0);
      connection.turn_begin_ += n;
      connection.sent_ += static_cast<size_t>(n);
      output_bytes_ += static_cast<size_t>(n);
      if (connection.turn_begin_ != connection.turn_end_) {
        connection.want_write_ = true;
        connection.TakeTurnOutput();
      }
      connection.turn_begin_ = connection.turn_end_ = nullptr;
    }
  } else {
    connection.TakeTurnOutput();
    if (!Send(connection, connection.queue_.size())) return EndConnection(connection);
  }
  auto& counters = connection.counters;
  counters.output_bytes.store(connection.queue_.size(), std::memory_order_relaxed);
  counters.total_output_bytes.store(connection.sent_, std::memory_order_relaxed);
  Account(connection);
  if (connection.queue_.empty()) {
    connection.wrote_ = false;
    connection.soft_limit_since_ = {};
    if (connection.closing()) return EndConnection(connection);
    if (connection.detach_) {
      const auto take = std::move(connection.detach_);
      std::string left(connection.input_.view());
      loop_.Remove(connection.fd_);
      connection.keep_fd_ = true;
      EndConnection(connection);
      take(std::exchange(connection.fd_, -1), std::move(left));
    }
  } else {
    CheckOutputLimits(connection);
  }
}

// Sends up to `limit` bytes of the queue; false if the connection is broken.
bool Worker::Send(Connection& connection, size_t limit) {
  if (connection.want_write_) return true;  // EPOLLOUT will come
  while (limit > 0) {
    iovec pieces[16];
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = connection.queue_.Gather(pieces, limit);
    size_t size = 0;
    for (size_t i = 0; i < message.msg_iovlen; ++i) size += pieces[i].iov_len;
    const ssize_t n = sendmsg(connection.fd_, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
      connection.want_write_ = true;
      return true;
    }
    connection.queue_.Drop(static_cast<size_t>(n));
    connection.sent_ += static_cast<size_t>(n);
    output_bytes_ += static_cast<size_t>(n);
    limit -= static_cast<size_t>(n);
    if (static_cast<size_t>(n) < size) {
      connection.want_write_ = true;
      return true;
    }
  }
  return true;
}

void Worker::EndConnection(Connection& connection) {
  if (connection.dead_) return;
  connection.dead_ = true;
  connection.turn_begin_ = connection.turn_end_ = nullptr;
  client_bytes_.store(client_bytes() - connection.counters.memory_bytes.exchange(0, std::memory_order_relaxed),
                      std::memory_order_relaxed);
  handler_.OnClose(connection);
  if (!connection.keep_fd_) {
    loop_.Remove(connection.fd_);
    // Unread input would turn the close into a reset, which may overtake the last reply.
    char rest[4096];
    for (int i = 0; i < 16 && recv(connection.fd_, rest, sizeof(rest), MSG_DONTWAIT) > 0; ++i) {
    }
    close(connection.fd_);
    connection.fd_ = -1;
  }
  totals_.connections.fetch_sub(1, std::memory_order_relaxed);
  closed_.push_back(&connection);
}

}  // namespace understudy::net
