// A client that listens to channels. Its worker's thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "node/pubsub/channels.h"

namespace understudy::command {

struct Services;
class Session;

class ClientSubscriber final : public pubsub::Subscriber {
 public:
  explicit ClientSubscriber(Session& session);
  void OnMessage(std::string_view head, const std::shared_ptr<const std::string>& body) override;
  // While the client's own transaction is being answered its messages wait: they would end up among the answers.
  void Defer() { defers_ = true; }
  void EndDeferral();

 private:
  Session& session_;
  bool defers_ = false;
  std::vector<std::pair<std::string, std::shared_ptr<const std::string>>> deferred_;
};

// After the session's subscriptions or its protocol changed: what others see of them, and what follows from them.
void NoteSubscriptions(Session& session);
// Ends all of them without a word.
void EndSubscriptions(Services& services, Session& session);

}  // namespace understudy::command
