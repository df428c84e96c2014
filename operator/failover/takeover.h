// The steps of a takeover and of a restore (FAILOVER.md section 6), and the promotion that a
// switchover shares with them. Each function looks at the persisted step and either persists the
// next one or says what to do for this one. Pure.
#pragma once

#include <string>
#include <vector>

#include "operator/failover/turn.h"

namespace understudy::failover {

// Persists a takeover (automaticFailover false: a restore) of the present primary, or of the winner
// that was elected last, under a new epoch above every one heard. No grant from here on.
void StartTakeover(Turn& turn, std::string reason, std::string message);

// Takeover from step 3 out of a switchover whose demotion is persisted already.
void TurnIntoTakeover(Turn& turn, std::string reason, std::string message);

// Every node was deleted, and every process that may have had the group's data is proven to have ended: the group has
// not been started any more, as after its last node took its data along. What proves it is forgotten with this operator
// and its Pods. True if that was persisted.
bool RecordEmptied(Turn& turn);

// A node of this group knows an epoch above `epoch`. Starts a takeover above it; false: there is
// none.
bool MeetHigherEpoch(Turn& turn, uint64_t epoch);

struct Promotion {
  control::NodeRef winner;
  uint64_t offset = 0;
  uint64_t offset_epoch = 0;  // of the winner's last record
  std::vector<control::NodeRef> voters;
  bool data_lost = false;
  bool empty_start = false;
};
// Persists the election: `fo` with its winner, and the winner's configuration.
void PersistPromotion(Turn& turn, Failover fo, Promotion promotion);

void StepFence(Turn& turn);
void StepCopy(Turn& turn);
void StepPromote(Turn& turn);

// The demoted primary of a recorded takeover is back with the data that it must drop: counts it.
// True if that was persisted now. Otherwise `hold_back` names an old primary that has to give up
// its role and say its last offset before it may follow.
bool RecordReturn(Turn& turn, control::Incarnation* hold_back);

}  // namespace understudy::failover
