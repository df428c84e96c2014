// What the schemas of the kinds cannot see because it takes two fields, or one from the group and one from
// the member. A failure becomes condition Accepted=False with this sentence; running Pods are left alone.
//
// Pure. Everything that one object shows by itself is refused by the API server already (crds/).
#pragma once

#include "common/result.h"
#include "operator/api/cache_node.h"

namespace understudy::api {

// settings: those in force (MergeSettings). kInvalid, with one sentence: a quantity that is none, a request
// above its limit, a memory limit that no node can start with, maxmemory above the memory limit, an affinity that no
// Pod could have.
Status ValidateSettings(const NodeSettings& settings);

// resources.limits[name] or resources.requests[name] in thousandths; 0 when absent or malformed.
int64_t LimitMillis(const Json& resources, const char* name);

// Bytes of a memory size as redis.conf writes it: "100", "1kb" (1024), "1k" (1000), "512mb", "2gb"; -1 for
// anything else.
int64_t ParseMemorySize(const std::string& text);

}  // namespace understudy::api
