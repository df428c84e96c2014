#include <algorithm>
#include <chrono>
#include <utility>

#include "common/crypto.h"
#include "common/log.h"
#include "common/random.h"
#include "node/control/peer_channel.h"

namespace understudy::control {
namespace {

constexpr size_t kNonceBytes = 16;
constexpr Duration kFirstRetry = Milliseconds(20);
constexpr Duration kLastRetry = Milliseconds(500);

}  // namespace

PeerClient::PeerClient(boost::asio::io_context& io, const Clock& clock, Conductor& conductor,
                       std::string pod_name, uint16_t admin_port)
    : io_(io),
      clock_(clock),
      conductor_(conductor),
      pod_name_(std::move(pod_name)),
      admin_port_(admin_port),
      retry_timer_(io) {}

PeerClient::~PeerClient() {
  ++attempt_;
  retry_timer_.cancel();
}

void PeerClient::OnRole() {
  const role::RoleMachine& machine = conductor_.machine();
  const bool follows = machine.role() == Role::kReplica && !machine.copy_only();
  const NodeRef target = follows ? machine.configuration().primary : NodeRef{};
  // What this node knows that its primary does not: said before the channel goes.
  TellEpoch();
  if (target == target_ &&
      (!follows || (epoch_ == machine.role_epoch() && group_ == machine.group())))
    return;
  Drop();
  target_ = target;
  group_ = machine.group();
  epoch_ = machine.role_epoch();
  key_ = machine.replication_key();
  retry_ = {};
  if (!target_.incarnation.empty()) Connect();
}

void PeerClient::TellEpoch() {
  const role::RoleMachine& machine = conductor_.machine();
  if (!proved_ || machine.group() != group_ || machine.epoch() <= std::max(epoch_, told_epoch_))
    return;
  told_epoch_ = machine.epoch();
  channel_->Send(Encode(LeaseGrant{0, told_epoch_, false}));
}

void PeerClient::Drop() {
  ++attempt_;
  retry_timer_.cancel();
  proved_ = false;
  if (channel_) channel_->Goodbye("this node follows another primary, or in another epoch");
  channel_.reset();
}

void PeerClient::Connect() {
  const uint64_t attempt = ++attempt_;
  proved_ = false;
  told_epoch_ = 0;
  nonce_ = RandomBytes(kNonceBytes);
  ws::Options options;
  options.address = target_.address;
  options.port = admin_port_;
  options.path = "/v1/peer";
  options.max_message_bytes = kMaxMessageBytes;
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

void PeerClient::OnMessage(std::string_view bytes) {
  Result<Message> message = Decode(bytes);
  if (!message.ok()) return Refuse(std::string(message.status().message()));
  if (const auto* challenge = std::get_if<Challenge>(&*message)) return OnChallenge(*challenge);
  if (const auto* hello = std::get_if<PeerHello>(&*message)) return OnPrimaryHello(*hello);
  const auto* request = std::get_if<LeaseRequest>(&*message);
  if (request == nullptr || !proved_)
    return Refuse("a lease request was expected from the primary");
  const MonoTime now = clock_.Mono();
  conductor_.machine().OnPeerTraffic(now);
  conductor_.machine().OnPrimaryOffset(request->offset, now);
  const Result<LeaseGrant> grant = conductor_.OnLeaseRequest(*request);
  if (!grant.ok()) return Refuse(std::string(grant.status().message()));
  // Carrying a higher epoch's consequences out may have dropped the channel.
  if (channel_) channel_->Send(Encode(*grant));
}

void PeerClient::OnChallenge(const Challenge& challenge) {
  if (challenge.incarnation != target_.incarnation)
    return Refuse("incarnation " + challenge.incarnation + " answers there, not " +
                  target_.incarnation);
  challenge_ = challenge.nonce;
  PeerHello hello{kProtocol, group_, epoch_, conductor_.machine().incarnation(),
                  pod_name_, nonce_, ""};
  hello.mac = crypto::HmacSha256(key_, PeerText(hello, challenge_));
  channel_->Send(Encode(hello));
}

void PeerClient::OnPrimaryHello(const PeerHello& hello) {
  if (challenge_.empty() || hello.incarnation != target_.incarnation || hello.group != group_ ||
      hello.epoch != epoch_ || hello.nonce != nonce_ ||
      !crypto::EqualInConstantTime(crypto::HmacSha256(key_, PeerText(hello, challenge_)),
                                   hello.mac))
    return Refuse("the answer is not that of this group's primary");
  proved_ = true;
  retry_ = {};
  last_trouble_.clear();
  conductor_.machine().OnPeerTraffic(clock_.Mono());
  LOG_INFO("peer channel to primary {} ({}) is up in epoch {}", target_.name, target_.address,
           epoch_);
  TellEpoch();
}

void PeerClient::Refuse(const std::string& reason) {
  if (reason != last_trouble_)
    LOG_WARN("peer channel to {} ({}): {}", target_.name, target_.address, reason);
  last_trouble_ = reason;
  ++attempt_;
  proved_ = false;
  if (channel_) channel_->Goodbye(reason);
  channel_.reset();
  RetryLater();
}

void PeerClient::OnEnd(const ws::End& end) {
  const std::string trouble = std::string(ws::EndCauseName(end.cause)) + ", " + end.message;
  if (trouble != last_trouble_)
    LOG_INFO("peer channel to {} ({}) ended: {}", target_.name, target_.address, trouble);
  last_trouble_ = trouble;
  proved_ = false;
  channel_.reset();
  RetryLater();
}

void PeerClient::RetryLater() {
  retry_ = retry_ == Duration{} ? kFirstRetry : std::min(retry_ * 2, kLastRetry);
  challenge_.clear();
  retry_timer_.expires_after(std::chrono::nanoseconds(retry_.ns));
  retry_timer_.async_wait([this, attempt = attempt_](boost::system::error_code error) {
    if (!error && attempt == attempt_ && !target_.incarnation.empty()) Connect();
  });
}

}  // namespace understudy::control
