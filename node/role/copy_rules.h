// Who may copy whose data, and which acknowledgements count (FAILOVER.md sections 2 and 5). Pure
// functions, used by the replication (and by the simulator in its place).
#pragma once

#include <cstdint>
#include <span>

#include "common/control/messages.h"
#include "node/role/rule_set.h"

namespace understudy::role {

// The node that is asked for data.
struct CopySource {
  control::Role role = control::Role::kUnassigned;
  bool in_office = false;
  bool complete = false;
  bool loading = false;
  const control::Configuration* configuration =
      nullptr;  // primary: in force; must not be null then
};

enum class CopyAnswer : uint8_t {
  kRefuse,            // not by this node, or not now
  kLeaveVotersFirst,  // the asker is a voter that can be spared: report needs_full_copy, wait until
                      // it left
  kReplace,           // the asker drops what it has and loads
  kBeside,            // a voter that can't be spared: it loads beside its data and swaps at the end
};

// May this node serve replication (partial or full) to somebody at all? A primary, a demoted
// primary (it goes on feeding), anybody complete for a copy-only order.
bool MayServeReplication(const CopySource& source, bool copy_only);

// The answer to a replica that can't continue from the backlog.
CopyAnswer AnswerFullCopy(const CopySource& source, const control::NodeRef& asker, bool copy_only,
                          RuleSet rules = {});

// The replica's side: a fenced replica (it knows a higher epoch than that of its role order) goes
// on applying but starts no full copy.
bool MayStartLoading(uint64_t epoch, uint64_t role_epoch, RuleSet rules = {});

// How many of the voters of the configuration in force acknowledged `offset`.
uint32_t CountAcked(std::span<const control::ReplicaAck> acks,
                    const control::Configuration& configuration, uint64_t offset,
                    RuleSet rules = {});

// The largest offset that S voters of the configuration in force acknowledged: replies up to it may
// leave. UINT64_MAX with S = 0; 0 when there are fewer than S voters.
uint64_t SyncOffset(std::span<const control::ReplicaAck> acks,
                    const control::Configuration& configuration, RuleSet rules = {});

}  // namespace understudy::role
