// The operator's Ed25519 key: proves to a node that an order comes from the operator, and is the root from
// which the replication key of each group and epoch is derived, so that every leader knows it.
//
// Kept in Secret `understudy-operator-key` of the operator's own namespace, made once by whichever operator
// process comes first; nodes read the public half from ConfigMap `understudy-operator`. Source: FAILOVER.md
// section 3, "Who may order". Immutable once made; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "common/clock.h"
#include "common/control/messages.h"
#include "common/crypto.h"
#include "common/result.h"
#include "operator/kube/client.h"

namespace understudy::nodes {

inline constexpr const char* kKeySecret = "understudy-operator-key";
inline constexpr const char* kKeySecretItem = "ed25519.pem";

class OperatorKey {
 public:
  explicit OperatorKey(crypto::SigningKey key) : key_(std::move(key)) {}
  // The Secret's key; makes the Secret if there is none (POST; 409 = somebody else was first: read it).
  static Result<OperatorKey> LoadOrCreate(kube::Client& client, const std::string& name_space, Deadline deadline);

  // Puts the Secret back if it is gone. False: it holds another key by now.
  Result<bool> Keep(kube::Client& client, const std::string& name_space, Deadline deadline) const;

  // What the ConfigMap holds.
  std::string public_pem() const { return key_.Public().ToPem(); }
  // 64 raw bytes over control::ChallengeText.
  std::string Sign(const control::Challenge& challenge) const { return key_.Sign(control::ChallengeText(challenge)); }
  // 32 raw bytes.
  std::string ReplicationKey(const std::string& group_uid, uint64_t epoch) const {
    return crypto::ReplicationKey(key_, group_uid, epoch);
  }

 private:
  crypto::SigningKey key_;
};

}  // namespace understudy::nodes
