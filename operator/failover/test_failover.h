// Whether a test failover that is asked for (spec.testFailover) is to be done: once for each time, and nothing that is
// history is replayed. Pure. Source: API.md "ReplicationGroup.spec".
#pragma once

#include <cstdint>
#include <string>

#include "common/clock.h"

namespace understudy::failover {

enum class TestFailover : uint8_t {
  kHistory,  // no time, not later than the group, or not than the last one that was acted on
  kLater,    // its time has not come
  kDue,
  kExpired,  // it was not possible for kTestFailoverExpires
};

// requested_at, handled: RFC 3339, "" = none.
TestFailover JudgeTestFailover(const std::string& requested_at, WallTime group_created, const std::string& handled,
                               WallTime now);

}  // namespace understudy::failover
