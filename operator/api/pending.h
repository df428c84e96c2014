// status.pendingModifiedValues of all three kinds: changes that were asked for and are not in force yet
// (API.md "Deferrable and immediate"). A map by `field`. Pure values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "common/json.h"

namespace understudy::api {

struct PendingModification {
  std::string field;   // "image", "parameters", "primaryClusterId", ...
  std::string from;    // in force; "" = unset
  std::string to;      // asked for; "" = unset
  WallTime not_before; // whole seconds; 0: may be applied now
  std::string reason;  // as condition PendingModifications has it
  bool operator==(const PendingModification&) const = default;
};
using PendingModifications = std::vector<PendingModification>;  // sorted by field

const PendingModification* FindPending(const PendingModifications& pending, std::string_view field);

PendingModifications ParsePendingModifications(const Json& array);
Json PendingModificationsJson(const PendingModifications& pending);

}  // namespace understudy::api
