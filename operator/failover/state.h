// What one replication group's status keeps of roles and failover: the only memory of the decision
// machine that outlives an operator process (API.md "Status", FAILOVER.md sections 5 to 7).
//
// Plain values with equality; their JSON form is the API folder's business. Every field named here
// is written to ReplicationGroup.status before anything that follows from it is done, at the
// resourceVersion it was read at. A wall time of 0 means "not yet". Offsets are bytes of the
// replication stream. Owner: whoever holds the value; no thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "common/control/messages.h"

namespace understudy::failover {

enum class Kind : uint8_t {
  kTakeover = 0,  // FAILOVER.md section 6
  kRestore = 1,  // the same with automaticFailover false: the old primary's successor gets the role
  kSwitchover = 2,  // FAILOVER.md section 7
};
inline constexpr size_t kKindCount = 3;
std::string_view KindName(Kind kind);  // "takeover", "restore", "switchover"
std::optional<Kind> KindFromName(std::string_view name);

// The step that was persisted and is being acted on.
enum class Step : uint8_t {
  kFence = 0,    // takeover, restore: fencing, waiting, asking, electing
  kCopy = 1,     // restore: `winner` copies the data of `source`
  kPromote = 2,  // all kinds: `winner` is elected, with `offset`, in `epoch`
  kPause = 3,    // switchover: writes are held on `old` while `winner` catches up
  kDemote = 4,   // switchover: `old` is told to give the role up; no way back
};
std::string_view StepName(Step step);  // "fence", "copy", "promote", "pause", "demote"
std::optional<Step> StepFromName(std::string_view name);

// When this operator (or the one before it) saw each step; for people, never for a decision but the
// hourly bound (unproven_takeovers).
struct Times {
  WallTime suspected;
  WallTime confirmed;
  WallTime fenced;  // the old primary can no longer acknowledge
  WallTime elected;
  WallTime promoted;   // the winner said that it is primary
  WallTime repointed;  // the primary EndpointSlice names the winner
  WallTime completed;
  bool operator==(const Times&) const = default;
};

// status.failover: the transition in progress.
struct Failover {
  Kind kind = Kind::kTakeover;
  Step step = Step::kFence;
  uint64_t epoch = 0;    // that the winner will be primary of; pause: the present one
  std::string reason;    // CamelCase word: PrimaryDead, PrimarySilent, EpochAbove, Requested, ...
  std::string message;   // one sentence for people
  control::NodeRef old;  // the primary that is being replaced (or the last winner, promoted or not)
  control::NodeRef winner;    // switchover: the target; else empty until elected
  control::NodeRef source;    // restore: whose data is copied
  uint64_t offset = 0;        // the winner's at its election,
  uint64_t offset_epoch = 0;  // with the epoch of its last record: offsets of one history compare
  std::string proof;          // why `old` is known to have ended; empty while it is not proven
  uint64_t old_offset = 0;    // the last one heard from `old`, at old_heard (0 = never heard)
  WallTime old_heard;
  bool old_offset_final = false;  // `old` was demoted and said what it holds: old_offset is exact
  uint64_t dropped_bytes = 0;     // then: what it holds beyond the winner's history
  bool data_lost = false;    // elected by "everybody else is dead" or started empty: event DataLost
  bool empty_start = false;  // nobody had data: the winner starts the new `dataset` of the group
  Times times;
  bool operator==(const Failover&) const = default;
};

// One entry of status.failoverHistory.
struct HistoryEntry {
  Kind kind = Kind::kTakeover;
  uint64_t epoch = 0;
  std::string reason;
  std::string message;
  control::NodeRef old_primary;
  control::NodeRef new_primary;
  std::string proof;  // empty: taken over without proof of death
  // The winner's at its election: every write lost lies above (offset_epoch, offset).
  uint64_t offset = 0;
  uint64_t offset_epoch = 0;
  uint64_t old_offset = 0;  // last one heard from the old primary, and when
  WallTime old_heard;
  bool data_lost = false;
  // Set when the old primary's same incarnation came back: exactly what it had to drop. 0 and unset
  // until then.
  WallTime old_returned;
  uint64_t dropped_bytes = 0;
  Times times;
  bool operator==(const HistoryEntry&) const = default;
};

inline constexpr size_t kMaxHistory = 10;
inline constexpr size_t kMaxUnproven = 60;  // the greatest maxPerHour

struct GroupState {
  uint64_t epoch = 0;  // 0: the group was never started
  std::string term;    // random, of the leadership that wrote last (FAILOVER.md section 5)
  control::NodeRef primary;
  // Oldest first. Several: a change that the primary has not acknowledged yet, or a promotion whose
  // winner has not caught its voters up. A takeover satisfies every one of them.
  std::vector<control::Configuration> configurations;
  std::optional<Failover> failover;
  std::vector<HistoryEntry> failover_history;  // oldest first, at most kMaxHistory
  // When each takeover without proof of death was confirmed: what maxPerHour counts. Oldest first, of the hour before
  // the last one, at most kMaxUnproven; the running one is among them from the write that begins it.
  std::vector<WallTime> unproven_takeovers;
  // The last value of each request that was acted on, or found to need nothing.
  std::string handled_primary_cluster_id;
  std::string handled_test_failover;  // RFC 3339, as it was asked
  std::string handled_switchover_to;  // the annotation's whole value
  // Words of annotation confirm-dead that came while the process that they name answered (death.h); kept as long as
  // the annotation names it.
  std::vector<control::Incarnation> void_words;
  std::string dataset;                // id of the group's data set; drawn at an empty start
  bool operator==(const GroupState&) const = default;
};

// Whether the group has, or had and lost, a primary. Not started: it never had one (epoch 0), or its
// only node left it with its data (the epoch stays, since epochs only grow): the next first start
// takes whoever is there.
inline bool Started(const GroupState& state) { return !state.configurations.empty(); }

// Nothing that the group has points at a node any more: its last one left with the data, or all were deleted.
void Empty(GroupState* state);

// What the node holds is an older state of this group: nothing is lost when it takes the group's data. Who stands alone
// with the group's data set (the heir of an older group) has written to it since.
inline bool HoldsOlderState(const GroupState& state, const control::NodeState& node) {
  return node.dataset == state.dataset && node.role != control::Role::kStandalone;
}

// The takeovers without proof of death that a history and a running failover tell of.
std::vector<WallTime> UnprovenOf(const std::vector<HistoryEntry>& history, const std::optional<Failover>& running);

// True if a configuration or the running transition names this Pod (by UID), or it is the primary.
// A Pod that is named must not be removed, and its last version must be kept when it vanishes.
bool NamesPod(const GroupState& state, std::string_view pod_uid);
// The same for one process.
bool NamesIncarnation(const GroupState& state, std::string_view incarnation);
// Every process that the state names, without repeats.
std::vector<control::NodeRef> NamedNodes(const GroupState& state);

}  // namespace understudy::failover
