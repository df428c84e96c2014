// ReplicationGroup: which nodes belong together, who starts as primary, how failover behaves.
//
// Pure values and their codecs, tolerant in reading, exact in writing (API.md "ReplicationGroup.spec",
// "Status"). The part of the status that the failover machine persists (epoch, term, primary,
// configurations, failover, failoverHistory, handled*) is failover::GroupState; plan/state_codec.h reads
// and writes it beside what is here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "common/json.h"
#include "operator/api/cache_node.h"
#include "operator/api/conditions.h"
#include "operator/api/meta.h"

namespace understudy::api {

enum class MultiAz { kPreferred, kRequired, kDisabled };
std::string_view MultiAzName(MultiAz value);

enum class DeletionPolicy { kRetainClusters, kDelete };

inline constexpr int kMaxMembers = 6;
inline constexpr Duration kDefaultReaderMaxLag = Seconds(10);
inline constexpr Duration kDefaultDetectionTimeout = Seconds(1);
inline constexpr Duration kDefaultLeaseDuration = Milliseconds(1500);
inline constexpr int kDefaultMaxPerHour = 6;

struct ReplicationGroupSpec {
  std::string description;
  std::string primary_cluster_id;  // "" = absent
  int replicas = 0;                // the pool
  bool automatic_failover = true;
  MultiAz multi_az = MultiAz::kPreferred;
  std::optional<int> synchronous_replicas;
  std::optional<Duration> reader_max_lag;
  std::optional<Duration> detection_timeout;
  std::optional<Duration> lease_duration;
  std::optional<int> max_per_hour;
  std::optional<bool> apply_immediately;
  std::string preferred_maintenance_window;  // "" = absent: derived from the UID
  std::string test_failover_at;  // testFailover.requestedAt, RFC 3339; "" = absent
  NodeSettings node;
  DeletionPolicy deletion_policy = DeletionPolicy::kRetainClusters;

  int SynchronousReplicas() const { return synchronous_replicas.value_or(0); }
  Duration ReaderMaxLag() const { return reader_max_lag.value_or(kDefaultReaderMaxLag); }
  Duration DetectionTimeout() const { return detection_timeout.value_or(kDefaultDetectionTimeout); }
  Duration LeaseDuration() const { return lease_duration.value_or(kDefaultLeaseDuration); }
  int MaxPerHour() const { return max_per_hour.value_or(kDefaultMaxPerHour); }
};

// One line of status.members.
struct MemberStatus {
  std::string name;
  std::string kind;         // "CacheCluster" or "ReadReplica"
  bool declared = false;    // its spec names the group
  std::string role;         // "primary", "replica" or ""
  std::string zone;
  std::string endpoint;
  std::string link_status;  // of a replica: "up", "syncing", "connecting", "down"; "" otherwise
  std::string lag;          // as in the node's status
  bool operator==(const MemberStatus&) const = default;
};

// A deleted group that keeps its members' data: the primary leaves to stand alone, once, as this process.
struct Heir {
  std::string name;
  std::string incarnation;
  bool operator==(const Heir&) const = default;
};

struct ReplicationGroupStatus {
  int64_t observed_generation = -1;
  std::string phase = "creating";
  std::vector<MemberStatus> members;  // sorted by name
  std::string members_ready;          // "2/2"
  int replicas = 0;                   // of the pool
  std::string selector;               // of the pool's Pods, for the scale subresource
  std::string primary_endpoint;       // status.endpoints.primary, "name.namespace.svc:6379"
  std::string reader_endpoint;        // status.endpoints.reader
  std::string automatic_failover;     // enabled, enabling, disabling, disabled
  // status.effective*: what holds where the spec is silent.
  int effective_synchronous_replicas = 0;
  std::string effective_reader_max_lag;
  std::string effective_detection_timeout;
  std::string effective_lease_duration;
  int effective_max_per_hour = 0;
  std::string effective_maintenance_window;
  // The group's own, and what waits at its members: one line for each field.
  std::string pending;
  PendingModifications pending_modified_values;
  std::optional<Heir> heir;
  Conditions conditions;
  bool operator==(const ReplicationGroupStatus&) const = default;
};

struct ReplicationGroup {
  ObjectMeta meta;
  ReplicationGroupSpec spec;
  ReplicationGroupStatus status;
  ObjectRef Ref() const;
};

// kInvalid only for a document without metadata.name.
Result<ReplicationGroup> ParseReplicationGroup(const Json& document);
// The members of status that are not failover::GroupState's.
Json ReplicationGroupStatusJson(const ReplicationGroupStatus& status);

// "<group>-001"; 001 is the first primary, the pool starts at 002 and skips names that are taken.
inline constexpr int kMaxPoolNumber = 12;
std::string OperatorMadeName(const std::string& group, int number);

// A ReadReplica of the pool, or the CacheCluster `<group>-001`, as the operator creates it.
Json OperatorMadeNodeJson(NodeKind kind, const ReplicationGroup& group, const std::string& name, bool pool);

}  // namespace understudy::api
