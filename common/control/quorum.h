// How many are enough (FAILOVER.md sections 5 and 6). Pure, shared by both programs.
#pragma once

#include <cstddef>

namespace understudy::control {

// A: grants that a primary with R voters needs to acknowledge writes, of the R + 1 grantors
// (operator and voters). 0 with R = 0: no lease is needed.
constexpr size_t GrantsNeeded(size_t voters) {
  return voters == 0 ? 0 : (voters + 2) / 2;
}

// Voters that have to be fenced or proven dead before a takeover, when the operator has stopped
// granting: enough that the others and nobody else can't give A grants.
constexpr size_t FencesNeeded(size_t voters) {
  return voters + 1 - GrantsNeeded(voters);
}

// Answers of voters that cover a configuration with S synchronous replicas: among any R - S + 1 of
// R voters is one that holds every acknowledged write. With S = 0 nothing was promised: any answer
// will do.
constexpr size_t AnswersNeeded(size_t voters, size_t synchronous_replicas) {
  return synchronous_replicas == 0 || synchronous_replicas > voters
             ? 1
             : voters - synchronous_replicas + 1;
}

}  // namespace understudy::control
