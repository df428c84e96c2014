#include "node/net/connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/net/worker.h"

namespace understudy::net {
namespace {
constexpr Duration kFlushTime = Seconds(5);
}

Connection::Connection(Worker& worker, uint64_t id, int fd, std::string peer, std::string local)
    : worker_(worker), id_(id), fd_(fd), peer_(std::move(peer)), local_(std::move(local)) {}

Connection::~Connection() {
  if (fd_ >= 0) close(fd_);
}

size_t Connection::MemoryBytes() const {
  // With the nodes of the maps that know it, and the addresses.
  constexpr size_t kObjectBytes = sizeof(Connection) + 256;
  return kObjectBytes + BufferBytes() + (state_ ? state_->MemoryBytes() : 0);
}

void Connection::Append(std::string_view bytes) {
  if (dead_) return;
  worker_.CloseOutputOf(*this);
  TakeTurnOutput();
  queue_.Append(bytes);
  worker_.NeedsTurn(*this);
}

void Connection::Push(char type, std::string_view head, const std::shared_ptr<const std::string>& body) {
  if (dead_ || closing()) return;
  const bool shared = body->size() >= OutputQueue::kSharedBytes;
  // Not while output is being flushed, either: what is in the block then is the flush's.
  if (!shared && queue_.empty() && worker_.output_owner_ == nullptr && worker_.flushing_.empty()) {
    resp::Output& output = worker_.OpenOutput(*this);
    char* to = output.Reserve(1 + head.size() + body->size());
    *to++ = type;
    to = std::copy(head.begin(), head.end(), to);
    output.Commit(std::copy(body->begin(), body->end(), to));
    return worker_.CloseOutput();
  }
  Append({&type, 1});
  Append(head);
  if (!shared) return Append(*body);
  queue_.AppendShared(body);
}

void Connection::TakeTurnOutput() {
  if (turn_begin_ == turn_end_) return;
  queue_.Append({turn_begin_, static_cast<size_t>(turn_end_ - turn_begin_)});
  turn_begin_ = turn_end_ = nullptr;
}

Connection::Position Connection::position() const {
  return sent_ + queue_.size() + worker_.TurnBytesOf(*this);
}

void Connection::HoldFrom(Position from, uint64_t ticket) {
  if (!holds_) holds_ = std::make_unique<std::deque<HoldPoint>>();
  // Nothing was written between two writes of a pipeline but their replies: one hold with the later ticket.
  if (!holds_->empty() && holds_->back().turn == worker_.turns()) {
    holds_->back().ticket = std::max(holds_->back().ticket, ticket);
  } else {
    holds_->push_back({from, ticket, worker_.turns()});
  }
}

size_t Connection::Sendable(uint64_t released) {
  if (!holds_) return queue_.size();
  while (!holds_->empty() && holds_->front().ticket <= released) holds_->pop_front();
  if (holds_->empty()) {
    holds_.reset();
    return queue_.size();
  }
  const Position until = holds_->front().position;
  return until > sent_ ? std::min(queue_.size(), static_cast<size_t>(until - sent_)) : 0;
}

void Connection::ParkBefore() {
  Park();
  repeat_ = true;
}

void Connection::Park() {
  parked_ = true;
  ++waits_;
}

void Connection::Wake() {
  if (!parked_) return;
  parked_ = false;
  if (dead_ || closing()) return;
  worker_.NeedsRead(*this);
}

void Connection::CloseAfterFlush() {
  if (closing()) return;
  close_ = CloseMode::kAfterFlush;
  close_deadline_ = worker_.now() + kFlushTime;
  worker_.NeedsTurn(*this);
}

void Connection::Close() {
  close_ = CloseMode::kNow;
  worker_.NeedsTurn(*this);
}

void Connection::Reset() {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  Close();
}

bool Connection::Retransmits() const {
  tcp_info info{};
  socklen_t size = sizeof info;
  return getsockopt(fd_, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && info.tcpi_retransmits > 0;
}

void Connection::LimitRetransmission(Duration limit) {
  const auto ms = static_cast<unsigned int>(limit.ns / 1'000'000);
  setsockopt(fd_, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
}

void Connection::Detach(std::function<void(int, std::string)> take) {
  detach_ = std::move(take);
  close_deadline_ = worker_.now() + kFlushTime;
  worker_.NeedsTurn(*this);
}

}  // namespace understudy::net
