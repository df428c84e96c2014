#include "operator/nodes/link.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

#include "common/log.h"

namespace understudy::nodes {

LinkPool::LinkPool(int threads) : work_(boost::asio::make_work_guard(io_)) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { io_.run(); });
  }
}

LinkPool::~LinkPool() {
  work_.reset();
  io_.stop();
  for (std::thread& thread : threads_) thread.join();
}

Link::Link(NodeTable& table, boost::asio::io_context& io, Target target, const Options& options, const OperatorKey& key,
           const Clock& clock)
    : table_(table),
      io_(io),
      target_(std::move(target)),
      options_(options),
      key_(key),
      clock_(clock),
      retry_timer_(io),
      silence_timer_(io) {}

void Link::Start() {
  std::lock_guard lock(mutex_);
  WatchSilence();
  Connect();
}

void Link::Stop() {
  {
    std::lock_guard lock(mutex_);
    state_ = State::kStopped;
    ++attempt_;
    ++lifeline_attempt_;
    retry_timer_.cancel();
    silence_timer_.cancel();
    if (control_) control_->Close();
    if (lifeline_) lifeline_->Close();
    control_.reset();
    lifeline_.reset();
  }
  std::lock_guard finished(calling_);
}

void Link::Reconnect() {
  std::lock_guard calling(calling_);
  bool was_up = false;
  {
    std::lock_guard lock(mutex_);
    if (state_ == State::kStopped) return;
    was_up = state_ == State::kUp;
    if (control_) control_->Close();
    retry_ = {};
    Connect();
  }
  if (was_up) table_.OnDown(target_);
}

void Link::Send(const control::Incarnation& to, const control::Message& message) {
  std::lock_guard lock(mutex_);
  if (state_ != State::kUp || incarnation_ != to) return;
  control_->Send(control::Encode(message));
}

void Link::Connect() {
  state_ = State::kConnecting;
  retry_timer_.cancel();
  const uint64_t attempt = ++attempt_;
  ws::Handlers handlers;
  handlers.on_message = [self = shared_from_this(), attempt](std::string_view bytes) {
    self->OnControlMessage(attempt, bytes);
  };
  handlers.on_end = [self = shared_from_this(), attempt](const ws::End& end) { self->OnControlEnd(attempt, end); };
  control_ = ws::Client::Connect(io_, clock_,
                                 {.address = target_.address,
                                  .port = options_.admin_port,
                                  .path = "/v1/control",
                                  .max_message_bytes = control::kMaxMessageBytes},
                                 std::move(handlers));
}

void Link::RetryLater(Duration delay) {
  state_ = State::kWaiting;
  retry_timer_.expires_after(std::chrono::nanoseconds(delay.ns));
  retry_timer_.async_wait([self = shared_from_this(), attempt = attempt_](const boost::system::error_code& error) {
    if (error) return;
    std::lock_guard lock(self->mutex_);
    if (self->state_ == State::kWaiting && self->attempt_ == attempt) self->Connect();
  });
}

void Link::WatchSilence() {
  silence_timer_.expires_after(std::chrono::nanoseconds(kSilence.ns / 5));
  silence_timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (error) return;
    bool silent = false;
    {
      std::lock_guard lock(self->mutex_);
      silent = self->state_ == State::kUp && self->clock_.Mono() - self->heard_at_ > kSilence;
    }
    if (silent) self->Reconnect();
    std::lock_guard lock(self->mutex_);
    if (self->state_ != State::kStopped) self->WatchSilence();
  });
}

void Link::OnControlMessage(uint64_t attempt, std::string_view bytes) {
  Result<control::Message> message = control::Decode(bytes);
  std::lock_guard calling(calling_);
  const control::NodeState* said = nullptr;
  uint64_t heartbeat = 0;
  bool hello = false;
  MonoTime begun_at;
  {
    std::lock_guard lock(mutex_);
    if (attempt != attempt_ || (state_ != State::kConnecting && state_ != State::kUp)) return;
    if (!message.ok()) {
      LOG_WARN("control channel to {}: {}", target_.address, message.status().message());
      control_->Close();
      return;
    }
    heard_at_ = clock_.Mono();
    begun_at = control_->begun_at();
    if (const auto* challenge = std::get_if<control::Challenge>(&*message)) {
      if (challenge->pod_uid != target_.pod_uid) {
        LOG_DEBUG("{} is the address of Pod {} and not of {} any more", target_.address, challenge->pod_uid,
                  target_.pod_uid);
        control_->Close();
        return;
      }
      control_->Send(control::Encode(control::Auth{
          .protocol = control::kProtocol, .signature = key_.Sign(*challenge), .identity = options_.identity}));
      return;
    }
    if (const auto* first = std::get_if<control::Hello>(&*message)) {
      said = &first->state;
      hello = true;
    } else if (const auto* beat = std::get_if<control::Heartbeat>(&*message)) {
      said = &beat->state;
      heartbeat = beat->seq;
    } else if (const auto* ack = std::get_if<control::OrderAck>(&*message)) {
      said = &ack->state;
      if (!ack->accepted) LOG_WARN("node {} refused an order: {}", target_.address, ack->reason);
    } else {
      return;  // a message of a later protocol version
    }
    if (said->pod_uid != target_.pod_uid) {
      control_->Close();
      return;
    }
    if (hello) {
      state_ = State::kUp;
      retry_ = {};
    }
    incarnation_ = said->incarnation;
    if (lifeline_to_ != incarnation_) OpenLifeline(incarnation_);
  }
  if (hello) table_.OnUp(target_, begun_at, *said);
  if (heartbeat != 0 && table_.MayGrant(*said)) {
    std::lock_guard lock(mutex_);
    if (attempt == attempt_ && control_) {
      control_->Send(control::Encode(control::Grant{.seq = heartbeat, .epoch = said->role_epoch}));
    }
  }
  table_.OnState(target_, *said);
}

void Link::OnControlEnd(uint64_t attempt, const ws::End& end) {
  std::lock_guard calling(calling_);
  bool was_up = false;
  control::Incarnation incarnation;
  {
    std::lock_guard lock(mutex_);
    if (attempt != attempt_ || state_ == State::kStopped) return;
    was_up = state_ == State::kUp;
    incarnation = incarnation_;
    control_.reset();
    if (was_up) {
      LOG_INFO("control channel to {} ended: {} ({})", target_.address, ws::EndCauseName(end.cause), end.message);
      Connect();  // its refusal is what the third proof of death waits for
    } else {
      retry_ = retry_ == Duration{} ? kFirstRetry : std::min(retry_ * 2, kLastRetry);
      RetryLater(retry_);
    }
  }
  if (was_up) table_.OnDown(target_);
  if (end.cause == ws::EndCause::kRefused && !incarnation.empty()) {
    table_.OnRefused(target_, incarnation, end.begun_at);
  }
}

void Link::OpenLifeline(const control::Incarnation& incarnation) {
  if (lifeline_) lifeline_->Close();
  lifeline_to_ = incarnation;
  const uint64_t attempt = ++lifeline_attempt_;
  ws::Handlers handlers;
  handlers.on_message = [](std::string_view) {};  // keeps the receive buffer empty: see FAILOVER.md section 3
  handlers.on_end = [self = shared_from_this(), attempt, incarnation](const ws::End& end) {
    self->OnLifelineEnd(attempt, incarnation, end);
  };
  lifeline_ = ws::Client::Connect(
      io_, clock_, {.address = target_.address, .port = options_.admin_port, .path = "/v1/lifeline"}, std::move(handlers));
}

void Link::OnLifelineEnd(uint64_t attempt, const control::Incarnation& incarnation, const ws::End& end) {
  std::lock_guard calling(calling_);
  bool was_up = false;
  {
    std::lock_guard lock(mutex_);
    if (attempt != lifeline_attempt_ || state_ == State::kStopped) return;
    lifeline_.reset();
    lifeline_to_.clear();  // opened again with the next words of whoever answers
    if (end.cause != ws::EndCause::kFin) return;
    // An attempt that begins now may be refused, which is the other half of the proof.
    was_up = state_ == State::kUp;
    if (control_) control_->Close();
    retry_ = {};
    Connect();
  }
  table_.OnLifelineFin(target_, incarnation);
  if (was_up) table_.OnDown(target_);
}

}  // namespace understudy::nodes
