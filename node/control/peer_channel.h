// Peer channels between the nodes of a group (FAILOVER.md section 3): the primary's lease requests,
// the voters' grants. Opened by each replica to its primary's admin port.
//
//   primary: challenge        replica: peerHello (mac over both nonces)      primary: peerHello
//   (its own mac) then     leaseRequest ->  <- leaseGrant
//
// Both macs are made with the replication key of the epoch, so the replica knows that it reached
// the node it was sent to and not whoever has the address now, and the primary that the grants come
// from a node with a role order of its epoch. A channel belongs to one epoch: with the next role
// order it is made anew. A voter that learns of a higher epoch says so at once on the channel it
// has, and the primary fences itself. Everything on the admin thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "common/clock.h"
#include "common/control/messages.h"
#include "common/ws_client.h"
#include "node/control/conductor.h"

namespace understudy::control {

// The primary's side.
class PeerServer {
 public:
  PeerServer(boost::asio::io_context& io, Conductor& conductor, std::string pod_name);
  ~PeerServer();

  ws::Handlers Accept(const std::shared_ptr<ws::Channel>& channel);
  // Asks every voter that is connected for its grant.
  void Ask();
  // The role may have changed: ends channels of another epoch.
  void OnRole();
  size_t proved() const;

 private:
  class Session;
  boost::asio::io_context& io_;
  Conductor& conductor_;
  const std::string pod_name_;
  std::set<std::shared_ptr<Session>> sessions_;
};

// The replica's side: one channel to the primary of its role order, connected again whenever it
// ends.
class PeerClient {
 public:
  PeerClient(boost::asio::io_context& io, const Clock& clock, Conductor& conductor,
             std::string pod_name, uint16_t admin_port);
  ~PeerClient();

  // The role, the primary or the epoch may have changed.
  void OnRole();
  bool proved() const { return proved_; }

 private:
  void Connect();
  void Drop();
  void RetryLater();
  void OnMessage(std::string_view bytes);
  void OnChallenge(const Challenge& challenge);
  void OnPrimaryHello(const PeerHello& hello);
  void OnEnd(const ws::End& end);
  void Refuse(const std::string& reason);
  void TellEpoch();

  boost::asio::io_context& io_;
  const Clock& clock_;
  Conductor& conductor_;
  const std::string pod_name_;
  const uint16_t admin_port_;
  boost::asio::steady_timer retry_timer_;
  Duration retry_;

  // Whom the channel is for; empty incarnation: nobody.
  NodeRef target_;
  std::string group_;
  uint64_t epoch_ = 0;
  std::string key_;

  std::shared_ptr<ws::Client> channel_;
  uint64_t attempt_ = 0;   // handlers of earlier attempts are ignored
  std::string challenge_;  // the primary's nonce
  std::string nonce_;      // ours
  bool proved_ = false;
  uint64_t told_epoch_ = 0;
  std::string last_trouble_;  // logged once
};

}  // namespace understudy::control
