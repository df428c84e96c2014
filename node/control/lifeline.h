// Lifelines (FAILOVER.md sections 3 and 4): connections on which, after the request, only the node
// sends, so that the end of its process shows as FIN. A node never ends one while it lives.
//
// Server: first the incarnation, then the offset with each heartbeat. A reader that is too slow
// misses offsets; it is not disconnected, since that would look like a death. Client, on a replica:
// one to its primary. After FIN it connects again; if an attempt begun after the FIN is refused by
// RST, this incarnation has ended, and the heartbeats say so. Admin thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "common/clock.h"
#include "common/control/messages.h"
#include "common/ws_client.h"

namespace understudy::control {

class LifelineServer {
 public:
  explicit LifelineServer(Incarnation incarnation) : incarnation_(std::move(incarnation)) {}

  // Limits that suit a connection which is never given up early.
  static ws::Options Limits();
  ws::Handlers Accept(const std::shared_ptr<ws::Channel>& channel);
  void SendOffset(uint64_t offset);

 private:
  const Incarnation incarnation_;
  std::set<std::shared_ptr<ws::Channel>> channels_;
};

class LifelineClient {
 public:
  // on_ended: this incarnation's lifeline ended with FIN and a later attempt was refused by RST.
  LifelineClient(boost::asio::io_context& io, const Clock& clock, uint16_t admin_port,
                 std::function<void(const Incarnation&)> on_ended);
  ~LifelineClient();

  // Watches this node from now on; an empty incarnation: nobody.
  void Watch(const NodeRef& target);
  bool open() const { return open_; }

 private:
  void Connect();
  void OnMessage(std::string_view bytes);
  void OnEnd(const ws::End& end);
  void RetryLater();

  boost::asio::io_context& io_;
  const Clock& clock_;
  const uint16_t admin_port_;
  const std::function<void(const Incarnation&)> on_ended_;
  boost::asio::steady_timer retry_timer_;
  Duration retry_;
  NodeRef target_;
  std::shared_ptr<ws::Client> channel_;
  uint64_t attempt_ = 0;
  bool open_ = false;       // and it is the target that answers
  bool ended_fin_ = false;  // the last one that was open ended with FIN
};

}  // namespace understudy::control
