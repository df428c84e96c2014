#include "operator/failover/test_failover.h"

#include "operator/failover/machine.h"

namespace understudy::failover {

TestFailover JudgeTestFailover(const std::string& requested_at, WallTime group_created, const std::string& handled,
                               WallTime now) {
  WallTime at, last;
  if (!ParseRfc3339(requested_at, &at) || at <= group_created) return TestFailover::kHistory;
  if (ParseRfc3339(handled, &last) && at <= last) return TestFailover::kHistory;
  if (at > now) return TestFailover::kLater;
  const bool expired = now.unix_ms - at.unix_ms >= kTestFailoverExpires.ms();
  return expired ? TestFailover::kExpired : TestFailover::kDue;
}

}  // namespace understudy::failover
