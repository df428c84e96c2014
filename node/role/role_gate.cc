#include "node/role/role_gate.h"

namespace understudy::role {
std::string_view ErrorText(Admission admission) {
  switch (admission) {
    case Admission::kServe:
    case Admission::kPaused:
      return "";
    case Admission::kLoading:
      return "LOADING this node has no role or no whole data set yet; try again";
    case Admission::kReadOnly:
      return "READONLY You can't write against a read only replica.";
    case Admission::kNoLease:
      return "NOREPLICAS lease lost: too few of the operator and the voters answer this primary; "
             "try again";
    case Admission::kNoReplicas:
      return "NOREPLICAS Not enough good replicas to write.";
    case Admission::kStale:
      return "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
  }
  return "";
}

void RoleGate::ServeStandalone() {
  Publish({.mode = GateState::Mode::kStandalone, .lease_until = kForever, .generation = 1});
}

void RoleGate::Publish(const GateState& state) {
  uint32_t word = static_cast<uint32_t>(state.mode);
  if (state.loading) word |= kLoadingBit;
  if (state.enough_voters) word |= kEnoughVotersBit;
  if (state.stale) word |= kStaleBit;
  const bool opens =
      state.mode == GateState::Mode::kPrimary || state.mode == GateState::Mode::kStandalone;
  // A reader may combine a word of before with a lease of after: out of office there is no lease to
  // find.
  const MonoTime lease_until = opens ? state.lease_until : MonoTime{};
  // Closing: the word first, so that nobody passes on the old mode with what follows. Opening: the
  // word last, so that whoever sees the new mode sees the lease, the pause and S that belong to it.
  if (!opens) word_.store(word, std::memory_order_seq_cst);
  generation_.store(state.generation, std::memory_order_seq_cst);
  lease_until_ns_.store(lease_until.ns, std::memory_order_seq_cst);
  paused_until_ns_.store(state.paused_until.ns, std::memory_order_seq_cst);
  synchronous_replicas_.store(state.synchronous_replicas, std::memory_order_seq_cst);
  if (opens) word_.store(word, std::memory_order_seq_cst);
}

}  // namespace understudy::role
