// The node's end of control channels (FAILOVER.md section 3): the operator processes that are
// connected.
//
// challenge -> auth (Ed25519 over nonce, Pod UID, incarnation; the public key is read anew for each
// channel)
// -> hello -> heartbeats; grants and orders come in, acknowledgements go out. Several at once:
// which of them leads is the operators' business, an order or a grant is judged by its epoch. A
// channel that breaks the order of messages or does not prove itself is closed with a reason. Admin
// thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <set>
#include <string>

#include "common/control/messages.h"
#include "common/crypto.h"
#include "common/ws_client.h"
#include "node/control/conductor.h"

namespace understudy::control {

// Name of the file with the operator's public key within the mounted directory.
inline constexpr char kOperatorKeyFile[] = "operator.pub";

class OperatorChannels {
 public:
  // operator_key_dir: a mounted ConfigMap.
  OperatorChannels(boost::asio::io_context& io, Conductor& conductor, std::string operator_key_dir);
  ~OperatorChannels();

  // For http::Server::WebSocket.
  ws::Handlers Accept(const std::shared_ptr<ws::Channel>& channel);
  // To every operator that has proved itself.
  void Send(const Heartbeat& heartbeat);
  size_t proved() const;

 private:
  class Session;
  Result<crypto::PublicKey> ReadKey() const;

  boost::asio::io_context& io_;
  Conductor& conductor_;
  const std::string operator_key_dir_;
  std::set<std::shared_ptr<Session>> sessions_;
};

}  // namespace understudy::control
