// Who votes, and with what promise: changes of the configuration (FAILOVER.md section 5). Pure.
//
// A change is appended, acted on by the primary at once, acknowledged when S of its voters hold the
// offset of that moment, and then the older ones leave the list. It is never withdrawn.
#pragma once

#include <optional>

#include "operator/failover/turn.h"

namespace understudy::failover {

// The configuration that should follow the newest one now; nullopt: it is right as it is. The
// primary must be in office.
std::optional<control::Configuration> NextConfiguration(Turn& turn);

// The primary acknowledged the newest configuration and older ones are still in the list.
bool MayCommit(const Turn& turn);

// Pods on lost nodes that nothing names any more; the StatefulSet replaces them once they are gone.
std::vector<std::string> LostPods(Turn& turn);

}  // namespace understudy::failover
