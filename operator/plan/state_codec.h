// failover::GroupState as members of ReplicationGroup.status, and back without loss.
//
// The machine's memory survives an operator only through this codec, so reading what was written must give
// an equal value (times to the millisecond). `primary` holds the name alone (it is a column of kubectl get);
// the process behind it stands in `primaryProcess`. Empty members are left out.
#pragma once

#include "common/json.h"
#include "operator/failover/state.h"
#include "operator/plan/group_view.h"

namespace understudy::plan {

Json GroupStateJson(const failover::GroupState& state);
failover::GroupState ParseGroupState(const Json& status);

// The whole status of a group: api's half and the machine's.
Json GroupStatusJson(const api::ReplicationGroupStatus& status, const failover::GroupState& state);

}  // namespace understudy::plan
