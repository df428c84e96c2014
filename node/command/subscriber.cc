#include "node/command/subscriber.h"

#include "node/command/call_context.h"
#include "node/command/session.h"
#include "node/net/worker.h"
#include "node/pubsub/channels.h"

namespace understudy::command {

ClientSubscriber::ClientSubscriber(Session& session)
    : pubsub::Subscriber(session.connection.worker().index()), session_(session) {}

void ClientSubscriber::OnMessage(std::string_view head, const std::shared_ptr<const std::string>& body) {
  if (defers_) [[unlikely]] {
    deferred_.emplace_back(head, body);
    return;
  }
  // Also when replies are off.
  session_.connection.Push(session_.protocol.load(std::memory_order_relaxed) == 2 ? '*' : '>', head, body);
}

void ClientSubscriber::EndDeferral() {
  defers_ = false;
  for (const auto& [head, body] : std::exchange(deferred_, {})) OnMessage(head, body);
}

void NoteSubscriptions(Session& session) {
  size_t all = 0;
  for (size_t kind = 0; kind < pubsub::kKinds; ++kind) {
    const size_t count = session.subscriber ? session.subscriber->count(static_cast<pubsub::Kind>(kind)) : 0;
    session.subscriptions[kind].store(static_cast<uint32_t>(count), std::memory_order_relaxed);
    all += count;
  }
  session.only_listens = all > 0 && session.protocol.load(std::memory_order_relaxed) == 2;
  session.NoteWay();
  session.connection.set_output_class(all > 0 ? net::Connection::OutputClass::kPubsub
                                              : net::Connection::OutputClass::kNormal);
  session.connection.NoteStateChange();
}

void EndSubscriptions(Services& services, Session& session) {
  if (session.subscriber == nullptr) return;
  services.channels.RemoveAll(*session.subscriber);
  session.subscriber.reset();
  NoteSubscriptions(session);
}

}  // namespace understudy::command
