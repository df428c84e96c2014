#include <utility>

#include "common/crypto.h"
#include "common/log.h"
#include "common/random.h"
#include "node/control/peer_channel.h"

namespace understudy::control {
namespace {

constexpr auto kProofTimeout = std::chrono::seconds(5);
constexpr size_t kNonceBytes = 32;
// An answer that comes later than this is of no use; the channel is connected again.
constexpr size_t kMaxQueuedRequests = 64 * 1024;

}  // namespace

class PeerServer::Session : public std::enable_shared_from_this<Session> {
 public:
  Session(PeerServer& owner, std::shared_ptr<ws::Channel> channel)
      : owner_(owner), channel_(std::move(channel)), proof_timer_(owner.io_) {}

  void OnOpen() {
    const role::RoleMachine& machine = owner_.conductor_.machine();
    challenge_ = {kProtocol, RandomBytes(kNonceBytes), machine.pod_uid(), machine.incarnation()};
    channel_->Send(Encode(challenge_));
    proof_timer_.expires_after(kProofTimeout);
    proof_timer_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
      if (const auto self = weak.lock(); self && !error && !self->proved_)
        self->Refuse("no proof came within 5 s");
    });
  }

  void OnMessage(std::string_view bytes) {
    Result<Message> message = Decode(bytes);
    if (!message.ok()) return Refuse(std::string(message.status().message()));
    if (!proved_) {
      const auto* hello = std::get_if<PeerHello>(&*message);
      if (hello == nullptr) return Refuse("the first message has to be peerHello");
      return OnHello(*hello);
    }
    const auto* grant = std::get_if<LeaseGrant>(&*message);
    if (grant == nullptr) return Refuse("a proved peer sends grants only");
    owner_.conductor_.OnVoterAnswer(peer_, *grant);
  }

  void OnEnd(const ws::End& end) {
    proof_timer_.cancel();
    if (proved_)
      LOG_INFO("peer {} ({}) disconnected: {}", peer_.name, channel_->peer_address(), end.message);
    owner_.sessions_.erase(shared_from_this());
  }

  void Ask(const std::string& request) {
    if (channel_->queued_bytes() < kMaxQueuedRequests) channel_->Send(request);
  }
  void Detach() { proof_timer_.cancel(); }
  void EndBecauseOf(std::string reason) {
    proved_ = false;
    channel_->Goodbye(std::move(reason));
  }
  bool proved() const { return proved_; }
  uint64_t epoch() const { return epoch_; }

 private:
  void OnHello(const PeerHello& hello) {
    const role::RoleMachine& machine = owner_.conductor_.machine();
    if (machine.role() != Role::kPrimary || !machine.in_office())
      return Refuse("this node is no primary in office");
    if (hello.group != machine.group()) return Refuse("this node belongs to another group");
    // A lower epoch is refused; a higher one can't be checked without its key: the operator's order
    // comes.
    if (hello.epoch != machine.role_epoch())
      return Refuse("the peer is of epoch " + std::to_string(hello.epoch) + ", this primary of " +
                    std::to_string(machine.role_epoch()));
    const std::string& key = machine.replication_key();
    if (key.empty() || !crypto::EqualInConstantTime(
                           crypto::HmacSha256(key, PeerText(hello, challenge_.nonce)), hello.mac))
      return Refuse("the proof is not that of a node of this group and epoch");
    proved_ = true;
    proof_timer_.cancel();
    peer_.name = hello.name.substr(0, 100);
    peer_.incarnation = hello.incarnation;
    epoch_ = hello.epoch;
    LOG_INFO("peer {} ({}) connected in epoch {}", peer_.name, channel_->peer_address(), epoch_);
    PeerHello own{kProtocol,
                  machine.group(),
                  machine.role_epoch(),
                  machine.incarnation(),
                  owner_.pod_name_,
                  hello.nonce,
                  ""};
    own.mac = crypto::HmacSha256(key, PeerText(own, challenge_.nonce));
    channel_->Send(Encode(own));
    channel_->Send(Encode(owner_.conductor_.BuildLeaseRequest()));
  }

  void Refuse(std::string reason) {
    LOG_INFO("peer channel of {} refused: {}", channel_->peer_address(), reason);
    EndBecauseOf(std::move(reason));
  }

  PeerServer& owner_;
  const std::shared_ptr<ws::Channel> channel_;
  boost::asio::steady_timer proof_timer_;
  Challenge challenge_;
  NodeRef peer_;
  uint64_t epoch_ = 0;
  bool proved_ = false;
};

PeerServer::PeerServer(boost::asio::io_context& io, Conductor& conductor, std::string pod_name)
    : io_(io), conductor_(conductor), pod_name_(std::move(pod_name)) {}

PeerServer::~PeerServer() {
  for (const auto& session : sessions_) session->Detach();
}

ws::Handlers PeerServer::Accept(const std::shared_ptr<ws::Channel>& channel) {
  auto session = std::make_shared<Session>(*this, channel);
  sessions_.insert(session);
  return {.on_open = [session] { session->OnOpen(); },
          .on_message = [session](std::string_view bytes) { session->OnMessage(bytes); },
          .on_end = [session](const ws::End& end) { session->OnEnd(end); }};
}

void PeerServer::Ask() {
  const role::RoleMachine& machine = conductor_.machine();
  if (machine.role() != Role::kPrimary || !machine.in_office() || proved() == 0) return;
  const std::string request = Encode(conductor_.BuildLeaseRequest());
  for (const auto& session : sessions_)
    if (session->proved()) session->Ask(request);
}

void PeerServer::OnRole() {
  const role::RoleMachine& machine = conductor_.machine();
  const bool in_office = machine.role() == Role::kPrimary && machine.in_office();
  for (const auto& session : sessions_) {
    if (!session->proved() || (in_office && session->epoch() == machine.role_epoch())) continue;
    session->EndBecauseOf(in_office ? "a new epoch has begun"
                                    : "this node is no primary in office any more");
  }
}

size_t PeerServer::proved() const {
  size_t count = 0;
  for (const auto& session : sessions_) count += session->proved();
  return count;
}

}  // namespace understudy::control
