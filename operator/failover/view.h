// What one operator process sees of one group at one moment: the input of the decision machine
// beside the persisted state.
//
// Everything here is an observation or a wish, nothing a conclusion: proofs of death, suspicion,
// who is in sync are worked out by the machine (death.h, suspicion.h). Filled by observe/ from the
// watch cache and the node table, under no lock of its own. All MonoTimes are this process's own
// CLOCK_BOOTTIME; the default MonoTime means "never".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/clock.h"
#include "common/control/messages.h"

namespace understudy::failover {

// A node's words and when this process received them. Of two messages of one incarnation the later
// received one is kept.
struct Heard {
  control::NodeState state;
  MonoTime at;
};

// The control channel to a Pod.
struct Channel {
  bool up = false;    // open, and the node's hello was received
  MonoTime begun_at;  // when the connection attempt that led to the present (or last) channel began
  MonoTime up_since;  // when its hello was received
  MonoTime down_since;  // when the last channel ended; meaningless while up
};

// What this process's own lifelines to one incarnation showed (FAILOVER.md section 4). Kept while
// the status names the incarnation.
struct LifelineEnd {
  control::Incarnation incarnation;
  MonoTime ended_by_fin_at;   // ended by the peer with FIN; never for RST or a timeout
  MonoTime refused_begun_at;  // start of the latest attempt that a RST (not ICMP) refused
};

// One Pod of the group, present or vanished, with what its process says. One entry per Pod UID. The
// last version of a vanished Pod stays (exists = false) while the status names its UID.
struct PodView {
  std::string member;  // name of the CacheCluster or ReadReplica that it belongs to
  std::string pod_uid;
  bool exists = true;
  std::string address;    // literal IP; empty before it has one
  std::string node_name;  // Kubernetes Node; empty before it is scheduled
  std::string zone;       // of that Node
  // The kubelet's last word about the cache container.
  bool ever_started = false;  // it has run, or runs
  bool running = false;
  std::vector<control::Incarnation> terminated;  // messages of its terminated state and lastState
  WallTime deletion_timestamp;                   // 0 = not being deleted
  bool node_lost = false;                        // its Node is NotReady, unreachable or gone
  Channel channel;
  std::optional<Heard> heard;   // newest words of whoever answered last from this Pod UID
  std::optional<Heard> answer;  // newest one that answers an offset question (nonce != 0)
};

// One node of the group as the specs declare it.
struct Member {
  std::string name;
  bool wanted = true;  // false: deleted, promoted away or over the quota; leaves the voters first
  bool leaves = false;  // asks to leave, with its data: nobody's choice as a primary while another one can be it
  bool has_volume = false;
  // The UID that its node may be told to leave when it joins this group: its own object's
  // (standalone), or the group that accepted to let it go. Empty: a node that belongs elsewhere
  // gets no order.
  std::string may_leave_group;
  // The data set that its object allows to drop when it joins.
  std::string discard_dataset;
};

// Somebody wants the primary role to move.
struct MoveRequest {
  enum class Source : uint8_t {
    kEdit = 0,        // spec.primaryClusterId; id = that name; done once per value
    kAnnotation = 1,  // switchover-to; id = the annotation's value; done once per value
    kTest = 2,        // spec.testFailover; id = requestedAt (RFC 3339); done once, see test_failover.h
    kAway = 3,        // drain, eviction, rolling update, deletion of the object; while it is given
  };
  Source source = Source::kAway;
  std::string id;
  std::string target;  // member name; empty: the best voter
  std::string reason;  // one sentence, for the record
  bool refused = false;  // for ever: it counts as done, and nothing moves
};

struct Spec {
  std::string group_uid;
  uint32_t synchronous_replicas = 0;  // S
  uint32_t lease_ms = 1500;           // T
  bool automatic_failover = true;
  uint32_t detection_ms = 1000;
  uint32_t reader_max_lag_ms = 10000;
  uint32_t max_per_hour = 6;
  WallTime created;                // of the group object
  std::string primary_cluster_id;  // as the user wrote it; empty if absent
  // Who is primary at the very first start: primaryClusterId's node, or the eldest declared member.
  std::string first_primary;
  std::vector<MoveRequest> moves;  // those that are due now, the most pressing first
};

// This operator process.
struct Self {
  bool leads = false;
  MonoTime acquired_at;  // this leadership
  MonoTime predecessors_until;  // no earlier leader granted anything after this
  MonoTime valid_until;  // renewDeadline after the SENDING of the last successful renewal
  std::string term;      // random, drawn for this acquisition
  MonoTime last_grant;   // newest grant this process gave to any primary of this group
};

// An incarnation that is proven dead, with the first moment at which this process knew.
struct Death {
  control::Incarnation incarnation;
  std::string why;  // one sentence
  MonoTime at;
  bool said = false;  // nobody saw it: an administrator said so; void when the process speaks again
};

// What the machine remembers between two calls in one process and does not persist. The caller
// keeps it per group and hands it back unread; losing it costs time, never safety. Default at the
// start.
struct Memory {
  struct Known {
    control::NodeRef node;
    MonoTime since;  // first named by the status or heard
  };
  struct Sent {
    control::Incarnation to;
    control::OrderKind kind = control::OrderKind::kRole;
    uint64_t epoch = 0;
    uint64_t number = 0;  // configuration number, or the nonce
    MonoTime at;
  };
  struct LastWords {
    control::Incarnation incarnation;
    uint64_t offset = 0;
    MonoTime at;
    WallTime wall;
  };
  // Facts, kept over a change of leadership.
  std::vector<Death> deaths;
  std::vector<Known> known;
  LastWords primary;
  // Of one leadership.
  MonoTime acquired_at;
  std::string step_key;  // which step the times below belong to
  MonoTime step_since;
  uint64_t nonce = 0;  // of the offset question, 0 = not asked yet
  MonoTime asked_at;
  control::Incarnation suspect;
  MonoTime suspect_since;
  WallTime suspected;
  WallTime fenced;
  WallTime promoted;
  MonoTime promoted_at;
  MonoTime repointed_at;  // when the Service was first seen to point where the step wants it
  uint64_t move_begun = 0;    // epoch of the switchover that this leadership persisted
  bool move_demotes = false;  // and whether it has asked for the demotion: no way back
  control::Incarnation unfit_tried;  // a switchover away from this unfit primary failed
  std::string move_blocked;          // why the last switchover was aborted, ...
  uint64_t move_blocked_epoch = 0;   // ... in this epoch
  MonoTime move_failed_at;           // when: what takes the primary away waits before it is tried again
  std::vector<Sent> sent;
};

struct View {
  Spec spec;
  Self me;
  std::vector<Member>
      members;  // in no particular order; also those no longer wanted but still there
  std::vector<PodView> pods;
  std::vector<LifelineEnd> lifelines;
  // The administrator's word: annotation confirm-dead, and Nodes that are tainted out-of-service or
  // whose object is gone.
  std::vector<control::Incarnation> confirmed_dead;
  std::vector<std::string> nodes_out_of_service;
  std::string endpoint_pod_uid;  // whom the primary EndpointSlice names now; empty: nobody
  // Fresh values for this call, drawn by the caller; used at most once.
  uint64_t fresh_nonce = 0;   // never 0
  std::string fresh_dataset;  // 32 hex digits
  Memory memory;              // what the last Decision returned
};

}  // namespace understudy::failover
