#include "node/control/operator_channel.h"

#include <boost/asio/steady_timer.hpp>
#include <fstream>
#include <sstream>
#include <utility>

#include "common/log.h"
#include "common/random.h"

namespace understudy::control {
namespace {

constexpr auto kProofTimeout = std::chrono::seconds(5);
constexpr size_t kNonceBytes = 32;

}  // namespace

class OperatorChannels::Session : public std::enable_shared_from_this<Session> {
 public:
  Session(OperatorChannels& owner, std::shared_ptr<ws::Channel> channel)
      : owner_(owner), channel_(std::move(channel)), proof_timer_(owner.io_) {}

  void OnOpen() {
    challenge_.nonce = RandomBytes(kNonceBytes);
    challenge_.pod_uid = owner_.conductor_.machine().pod_uid();
    challenge_.incarnation = owner_.conductor_.machine().incarnation();
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
      const auto* auth = std::get_if<Auth>(&*message);
      if (auth == nullptr) return Refuse("the first message has to be auth");
      return OnAuth(*auth);
    }
    Conductor& conductor = owner_.conductor_;
    if (const auto* grant = std::get_if<Grant>(&*message)) return conductor.OnOperatorGrant(*grant);
    if (const auto* order = std::get_if<Order>(&*message)) {
      return conductor.OnOrder(
          *order, [channel = std::weak_ptr<ws::Channel>(channel_)](const OrderAck& ack) {
            if (const auto open = channel.lock()) open->Send(Encode(ack));
          });
    }
    if (const auto* declared = std::get_if<Parameters>(&*message)) return conductor.OnParameters(*declared);
    Refuse("a proved operator sends grants, orders and parameters only");
  }

  void OnEnd(const ws::End& end) {
    proof_timer_.cancel();
    if (proved_)
      LOG_INFO("operator {} ({}) disconnected: {}", identity_, channel_->peer_address(),
               end.message);
    owner_.sessions_.erase(shared_from_this());
  }

  void Detach() { proof_timer_.cancel(); }
  bool proved() const { return proved_; }
  ws::Channel& channel() { return *channel_; }

 private:
  void OnAuth(const Auth& auth) {
    if (auth.protocol < kOldestProtocol)
      return Refuse("protocol " + std::to_string(auth.protocol) + " is not understood any more; " +
                    std::to_string(kOldestProtocol) + " and later are");
    Result<crypto::PublicKey> key = owner_.ReadKey();
    if (!key.ok())
      return Refuse("the node can't check signatures: " + std::string(key.status().message()));
    if (!key->Verify(ChallengeText(challenge_), auth.signature))
      return Refuse("the signature is not the operator's");
    proved_ = true;
    proof_timer_.cancel();
    identity_ = auth.identity.substr(0, 100);
    LOG_INFO("operator {} ({}) connected", identity_, channel_->peer_address());
    channel_->Send(Encode(Hello{kProtocol, owner_.conductor_.State()}));
    // At once, so that a leader can grant.
    channel_->Send(Encode(owner_.conductor_.BuildHeartbeat()));
  }

  void Refuse(std::string reason) {
    LOG_WARN("control channel of {} refused: {}", channel_->peer_address(), reason);
    proved_ = false;
    channel_->Goodbye(std::move(reason));
  }

  OperatorChannels& owner_;
  const std::shared_ptr<ws::Channel> channel_;
  boost::asio::steady_timer proof_timer_;
  Challenge challenge_;
  std::string identity_;
  bool proved_ = false;
};

OperatorChannels::OperatorChannels(boost::asio::io_context& io, Conductor& conductor,
                                   std::string operator_key_dir)
    : io_(io), conductor_(conductor), operator_key_dir_(std::move(operator_key_dir)) {}

OperatorChannels::~OperatorChannels() {
  for (const auto& session : sessions_) session->Detach();
}

Result<crypto::PublicKey> OperatorChannels::ReadKey() const {
  const std::string path = operator_key_dir_ + "/" + kOperatorKeyFile;
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return NotFound("the operator's public key can't be read from " + path);
  Result<crypto::PublicKey> key = crypto::PublicKey::Parse(text.str());
  if (!key.ok()) return key.status().Prefixed(path);
  return key;
}

ws::Handlers OperatorChannels::Accept(const std::shared_ptr<ws::Channel>& channel) {
  auto session = std::make_shared<Session>(*this, channel);
  sessions_.insert(session);
  return {.on_open = [session] { session->OnOpen(); },
          .on_message = [session](std::string_view bytes) { session->OnMessage(bytes); },
          .on_end = [session](const ws::End& end) { session->OnEnd(end); }};
}

void OperatorChannels::Send(const Heartbeat& heartbeat) {
  const std::string bytes = Encode(heartbeat);
  for (const auto& session : sessions_)
    if (session->proved()) session->channel().Send(bytes);
}

size_t OperatorChannels::proved() const {
  size_t count = 0;
  for (const auto& session : sessions_) count += session->proved();
  return count;
}

}  // namespace understudy::control
