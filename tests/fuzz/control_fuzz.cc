// Messages between operator and nodes: what is understood is encoded and understood as the same.
#include "common/control/messages.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace understudy;
  using namespace understudy::control;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const Result<Message> message = Decode(bytes);
  if (!message.ok()) {
    CHECK(message.status().code() == Code::kInvalid);
    return 0;
  }
  // Texts need not be UTF-8 in what others send; ours has no other.
  const std::string encoded = Encode(*message);
  const Result<Message> again = Decode(encoded);
  if (encoded.size() > kMaxMessageBytes) return 0;
  CHECK(again.ok() && again->index() == message->index());
  CHECK(Encode(*again) == encoded);
  if (const auto* hello = std::get_if<Hello>(&*message)) StateText(hello->state);
  if (const auto* heartbeat = std::get_if<Heartbeat>(&*message)) StateText(heartbeat->state);
  if (const auto* challenge = std::get_if<Challenge>(&*message)) ChallengeText(*challenge);
  if (const auto* peer = std::get_if<PeerHello>(&*message)) PeerText(*peer, "nonce");
  if (const auto* order = std::get_if<Order>(&*message)) {
    OrderKindName(order->kind);
    RoleName(order->role);
  }
  if (const auto* parameters = std::get_if<Parameters>(&*message))
    CHECK(ParametersHash(*parameters).size() == 16);
  return 0;
}
