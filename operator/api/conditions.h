// Conditions as the Kubernetes API conventions define them. docs/conditions.md has one table of all types
// and reasons; the constants here are its words.
//
// Pure values. lastTransitionTime has whole seconds and moves only when the status flips, so that planning
// the same thing twice gives the same bytes and nothing is written.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "common/json.h"

namespace understudy::api {

enum class Truth { kTrue, kFalse, kUnknown };
std::string_view TruthName(Truth truth);

// Text of others in one line: each run of blanks and control characters is one space, none at either end.
std::string OneLine(std::string_view text);

struct Condition {
  std::string type;
  Truth status = Truth::kUnknown;
  std::string reason;
  std::string message;
  WallTime last_transition;
  int64_t observed_generation = 0;
  bool operator==(const Condition&) const = default;
};

// Sorted by type, each type once.
class Conditions {
 public:
  const Condition* Find(std::string_view type) const;
  bool IsTrue(std::string_view type) const;
  // Reason of the condition, "" when it is absent.
  std::string_view Reason(std::string_view type) const;
  // Adds or replaces; the old last_transition stays unless the status flips to another value. The message is made
  // OneLine: it may hold words of the API server, a scheduler or a kubelet. Events that tell of a condition take its
  // message from here.
  void Set(std::string_view type, Truth status, std::string_view reason, std::string_view message,
           int64_t generation, WallTime now);
  void Remove(std::string_view type);
  const std::vector<Condition>& all() const { return all_; }
  bool operator==(const Conditions&) const = default;

 private:
  friend Conditions ParseConditions(const Json&);
  std::vector<Condition> all_;
};

Conditions ParseConditions(const Json& array);
Json ConditionsJson(const Conditions& conditions);

// Types. Group: kAccepted, kReady, kFailoverReady, kZoneSpreadSatisfied; kDegraded, kStalled,
// kPendingModifications and kWaitingForProofOfDeath are true when abnormal. Node: kAccepted, kReady, kInSync,
// kPendingModifications, kStalled.
inline constexpr std::string_view kAccepted = "Accepted";
inline constexpr std::string_view kReady = "Ready";
inline constexpr std::string_view kFailoverReady = "FailoverReady";
inline constexpr std::string_view kZoneSpreadSatisfied = "ZoneSpreadSatisfied";
inline constexpr std::string_view kDegraded = "Degraded";
inline constexpr std::string_view kStalled = "Stalled";
inline constexpr std::string_view kPendingModifications = "PendingModifications";
inline constexpr std::string_view kWaitingForProofOfDeath = "WaitingForProofOfDeath";
inline constexpr std::string_view kInSync = "InSync";

// Reasons (CamelCase; those of the original's API keep its error names).
namespace reason {
inline constexpr std::string_view kAccepted = "Accepted";
inline constexpr std::string_view kMembershipNotDeclared = "MembershipNotDeclared";
inline constexpr std::string_view kNameConflict = "NameConflict";
inline constexpr std::string_view kNodeQuotaForClusterExceeded = "NodeQuotaForClusterExceeded";
inline constexpr std::string_view kInvalidCacheClusterState = "InvalidCacheClusterState";
inline constexpr std::string_view kInvalidParameterCombination = "InvalidParameterCombination";
inline constexpr std::string_view kInvalidParameterValue = "InvalidParameterValue";
inline constexpr std::string_view kMembershipLost = "MembershipLost";
inline constexpr std::string_view kPromoting = "Promoting";
inline constexpr std::string_view kDemoting = "Demoting";
inline constexpr std::string_view kWouldDiscardData = "WouldDiscardData";
inline constexpr std::string_view kGroupLostData = "GroupLostData";
inline constexpr std::string_view kInvalidReplicationGroupState = "InvalidReplicationGroupState";
inline constexpr std::string_view kEmptied = "Emptied";
inline constexpr std::string_view kReplicationGroupNotFound = "ReplicationGroupNotFoundFault";
inline constexpr std::string_view kCacheClusterNotFound = "CacheClusterNotFound";
inline constexpr std::string_view kAvailable = "Available";
inline constexpr std::string_view kCreating = "Creating";
inline constexpr std::string_view kUnschedulable = "InsufficientCacheClusterCapacity";
inline constexpr std::string_view kContainerFailing = "ContainerFailing";
inline constexpr std::string_view kUnreachable = "Unreachable";
inline constexpr std::string_view kFailingOver = "FailingOver";
inline constexpr std::string_view kNoPromotableReplica = "NoPromotableReplica";
inline constexpr std::string_view kSeveralDatasets = "SeveralDatasets";
inline constexpr std::string_view kPrimaryUnreachable = "PrimaryUnreachable";
inline constexpr std::string_view kNotEnoughReplicas = "NotEnoughReplicas";
inline constexpr std::string_view kDeleting = "Deleting";
inline constexpr std::string_view kReplicaInSync = "InSyncReplica";
inline constexpr std::string_view kNoReplicaInSync = "NoInSyncReplica";
inline constexpr std::string_view kFailoverDisabled = "AutomaticFailoverDisabled";
inline constexpr std::string_view kFailoverRunning = "FailoverRunning";
// The machine's further words for FailoverReady: NotStarted, MaxPerHour.
inline constexpr std::string_view kSpread = "Spread";
inline constexpr std::string_view kSharedZone = "SharedZone";
inline constexpr std::string_view kSingleNode = "SingleNode";
inline constexpr std::string_view kZonesUnknown = "ZonesUnknown";
inline constexpr std::string_view kSpreadDisabled = "SpreadDisabled";
inline constexpr std::string_view kForeignEndpoints = "ForeignEndpoints";
inline constexpr std::string_view kSwitchoverBlocked = "SwitchoverBlocked";
inline constexpr std::string_view kDrainBlocked = "DrainBlocked";
inline constexpr std::string_view kMemberMissing = "MemberMissing";
inline constexpr std::string_view kHealthy = "Healthy";
inline constexpr std::string_view kInSync = "InSync";
inline constexpr std::string_view kIsPrimary = "IsPrimary";
inline constexpr std::string_view kStandsAlone = "StandsAlone";
inline constexpr std::string_view kFirstCopy = "FirstCopy";  // never yet in sync
inline constexpr std::string_view kLinkDown = "LinkDown";
inline constexpr std::string_view kCopying = "Copying";
inline constexpr std::string_view kLagging = "Lagging";
inline constexpr std::string_view kProofOfDeathMissing = "ProofOfDeathMissing";
inline constexpr std::string_view kNotWaiting = "NotWaiting";
// Of PendingModifications, and of each line of status.pendingModifiedValues.
inline constexpr std::string_view kWaitingForMaintenanceWindow = "WaitingForMaintenanceWindow";
inline constexpr std::string_view kWaitingForMembers = "WaitingForMembers";
inline constexpr std::string_view kWaitingForRequestedTime = "WaitingForRequestedTime";
inline constexpr std::string_view kApplyingModifications = "ApplyingModifications";
inline constexpr std::string_view kNothingPending = "NothingPending";
}  // namespace reason

}  // namespace understudy::api
