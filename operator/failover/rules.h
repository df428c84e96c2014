// The rules of FAILOVER.md that were found by looking for holes
// (research/failover-model/REPORT.md), as switches, so that a test can show that leaving one out
// loses data or makes two primaries.
//
// In production every rule is on and there is no way to say otherwise: only tests/support defines
// RulesForTests.
#pragma once

#include <cstdint>

namespace understudy::failover {

enum class Rule : uint8_t {
  kWait125,           // H7: the wait is 1.25 T, not 1.1 T
  kWaitDead,          // H5: it also counts from proofs of death and the own last grant
  kTermWrite,         // H4: a new leader writes its term before it does anything
  kEveryConfig,       // H12: an election covers every listed configuration
  kEstablish,         // H13: configurations from before a promotion stay until the winner caught up
  kConfigST,          // H6, H12: S and T belong to the configuration
  kConfigList,        // H23: a change may be appended while one waits
  kFinalOffset,       // H11: switchover promotes at the offset of the demotion, not of the pause
  kOldCandidate,      // H21: a demoted old primary is a candidate and answers for its epoch
  kComplete,          // H16: only complete nodes are candidates or answers
  kDeadFinal,         // H22: when all who do not answer are dead, waiting ends
  kAllHeard,          // H20: an empty start needs every Pod heard or dead
  kRestoreCover,      // H15: the restore path needs the same cover
  kRefused,           // H1: a refusal proves death only after FIN, and seen by a voter too
  kPodUid,            // H2: the same Pod means the same Pod UID
  kFreshRead,         // H18: offsets are answers to a question asked after the wait
  kHistoryCompare,    // H17: candidates compare by (epoch of the last record, offset)
  kOrderIncarnation,  // H19: elections and orders name an incarnation and its offset
  kCatchUp,           // H10: no change leaves fewer than S voters
  kEpochAbove,        // a heard epoch above the persisted one stops grants and starts a takeover
  kCount,
};

class Rules {
 public:
  constexpr Rules() = default;
  constexpr bool on(Rule rule) const { return ((off_ >> static_cast<int>(rule)) & 1u) == 0; }

 private:
  friend struct RulesForTests;
  uint32_t off_ = 0;
};
static_assert(static_cast<int>(Rule::kCount) <= 32);

}  // namespace understudy::failover
