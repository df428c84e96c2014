#include "node/control/lifeline.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/log.h"

namespace understudy::control {
namespace {

constexpr size_t kMaxQueuedBytes = 4096;
constexpr Duration kFirstRetry = Milliseconds(50);
constexpr Duration kLastRetry = Seconds(1);

}  // namespace

// ---- server

ws::Options LifelineServer::Limits() {
  ws::Options options;
  options.unacknowledged_timeout = Seconds(60);
  options.max_message_bytes = 1024;  // nothing should come
  options.max_queued_bytes = 64 * 1024;
  return options;
}

ws::Handlers LifelineServer::Accept(const std::shared_ptr<ws::Channel>& channel) {
  return {.on_open =
              [this, channel] {
                channels_.insert(channel);
                channel->Send(incarnation_);
              },
          .on_end = [this, channel](const ws::End&) { channels_.erase(channel); }};
}

void LifelineServer::SendOffset(uint64_t offset) {
  const std::string text = std::to_string(offset);
  for (const auto& channel : channels_)
    if (channel->queued_bytes() < kMaxQueuedBytes) channel->Send(text);
}

// ---- client

LifelineClient::LifelineClient(boost::asio::io_context& io, const Clock& clock, uint16_t admin_port,
                               std::function<void(const Incarnation&)> on_ended)
    : io_(io),
      clock_(clock),
      admin_port_(admin_port),
      on_ended_(std::move(on_ended)),
      retry_timer_(io) {}

LifelineClient::~LifelineClient() {
  ++attempt_;
  retry_timer_.cancel();
}

void LifelineClient::Watch(const NodeRef& target) {
  if (target.incarnation == target_.incarnation && target.address == target_.address) return;
  ++attempt_;
  retry_timer_.cancel();
  if (channel_) channel_->Close();
  channel_.reset();
  open_ = ended_fin_ = false;
  target_ = target;
  retry_ = {};
  if (!target_.incarnation.empty()) Connect();
}

void LifelineClient::Connect() {
  const uint64_t attempt = ++attempt_;
  open_ = false;
  ws::Options options;
  options.address = target_.address;
  options.port = admin_port_;
  options.path = "/v1/lifeline";
  options.max_message_bytes = 1024;
  channel_ = ws::Client::Connect(io_, clock_, std::move(options),
                                 {.on_message =
                                      [this, attempt](std::string_view bytes) {
                                        if (attempt == attempt_) OnMessage(bytes);
                                      },
                                  .on_end =
                                      [this, attempt](const ws::End& end) {
                                        if (attempt == attempt_) OnEnd(end);
                                      }});
}

void LifelineClient::OnMessage(std::string_view bytes) {
  if (open_) return;  // an offset
  if (bytes != target_.incarnation) {
    // Another process has the address by now. Not to be taken for the one that is watched.
    ++attempt_;
    channel_->Close();
    channel_.reset();
    return RetryLater();
  }
  open_ = true;
  ended_fin_ = false;
  retry_ = {};
}

void LifelineClient::OnEnd(const ws::End& end) {
  channel_.reset();
  const bool was_open = open_;
  open_ = false;
  if (was_open) {
    LOG_INFO("lifeline to primary {} ({}) ended: {}, {}", target_.name, target_.address,
             ws::EndCauseName(end.cause), end.message);
    ended_fin_ = end.cause == ws::EndCause::kFin;
    // The attempt that may be refused begins after the FIN.
    return Connect();
  }
  if (end.cause == ws::EndCause::kRefused && ended_fin_) {
    LOG_WARN("primary {} has ended: its lifeline closed and its admin port refuses", target_.name);
    const Incarnation ended = target_.incarnation;
    target_ = {};
    return on_ended_(ended);
  }
  RetryLater();
}

void LifelineClient::RetryLater() {
  retry_ = retry_ == Duration{} ? kFirstRetry : std::min(retry_ * 2, kLastRetry);
  retry_timer_.expires_after(std::chrono::nanoseconds(retry_.ns));
  retry_timer_.async_wait([this, attempt = attempt_](boost::system::error_code error) {
    if (!error && attempt == attempt_) Connect();
  });
}

}  // namespace understudy::control
