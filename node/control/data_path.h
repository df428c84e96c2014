// What control asks of the rest of the node. control sits above the data path and carries orders
// out through this interface, which `main` hands over.
//
// Threads: called on the admin thread unless a method says otherwise. No method waits. Each change
// of role is queued and carried out in order; its `done` may run on any thread, exactly once.
#pragma once

#include <functional>

#include "common/clock.h"
#include "common/control/messages.h"
#include "common/result.h"
#include "node/role/role_gate.h"
#include "node/role/role_machine.h"

namespace understudy::control {

class DataPath {
 public:
  using Done = std::function<void(Status)>;
  virtual ~DataPath() = default;

  // As of now.
  virtual role::ReplicationFacts Facts() = 0;
  // What workers look at.
  virtual role::RoleGate& gate() = 0;
  // How long the worker that is busiest has not ended a turn.
  virtual Duration LongestTurn() = 0;

  virtual void BecomePrimary(const role::BecomePrimary& action, Done done) = 0;
  virtual void ActUnder(const role::ActUnder& action, Done done) = 0;
  virtual void BecomeReplica(const role::BecomeReplica& action, Done done) = 0;
  virtual void BecomeStandalone(const role::BecomeStandalone& action, Done done) = 0;
  virtual void Fence(const role::Fenced& action, Done done) = 0;
  virtual void StopApplying(const role::StopApplying& action, Done done) = 0;
  // The gate says already that this node is no primary. Answers what is queued -READONLY, closes
  // the clients; `done` when no worker can append any more, so that the offset is final.
  virtual void Demote(const role::Demote& action, Done done) = 0;
  // A pause began, ended or moved; the gate says which.
  virtual void WakePausedClients() = 0;
  // Replies that wait for replicas are looked at again: the gate may have become one that lets them never leave.
  virtual void CheckHeldReplies() = 0;

  // On return in force, as far as that is possible in a process that runs.
  virtual void Declare(const Parameters& declared) = 0;
  virtual const ParametersState& Declared() = 0;
};

}  // namespace understudy::control
