// The messages between operator and nodes (control channel) and between nodes (peer channel).
//
// Words and rules: FAILOVER.md sections 1-5. Encoded as CBOR maps in binary WebSocket frames:
// unknown members are ignored, absent ones take the default below, so that two neighbouring
// protocol versions understand each other. Pure: values and their codec, no I/O. Offsets are bytes
// of the replication stream; times are milliseconds, or milliseconds ago on the sender's own
// CLOCK_BOOTTIME.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/result.h"

namespace understudy::control {

inline constexpr int kProtocol = 1;        // spoken
inline constexpr int kOldestProtocol = 1;  // still understood
inline constexpr size_t kMaxMessageBytes = 64 * 1024;

// 32 lower-case hex digits, drawn when a node process starts. An ended one never comes back.
using Incarnation = std::string;

enum class Role : uint8_t { kUnassigned = 0, kReplica = 1, kPrimary = 2, kStandalone = 3 };
std::string_view RoleName(Role role);

enum class LinkState : uint8_t { kNone = 0, kConnecting = 1, kSyncing = 2, kUp = 3 };

// One node process as others name it. `address` is a literal IP address (v4 or v6 without
// brackets).
struct NodeRef {
  std::string name;
  std::string pod_uid;
  Incarnation incarnation;
  std::string node_name;  // of the Kubernetes Node
  std::string address;
  bool operator==(const NodeRef&) const = default;
};

// A numbered set of voters with the promise that was made under it (FAILOVER.md sections 1 and 5).
struct Configuration {
  uint64_t number = 0;
  uint64_t epoch = 0;
  NodeRef primary;
  std::vector<NodeRef> voters;
  uint32_t synchronous_replicas = 0;  // S
  uint32_t lease_ms = 1500;           // T
  bool operator==(const Configuration&) const = default;
};

// What a primary knows about one of its replicas.
struct ReplicaAck {
  Incarnation incarnation;
  uint64_t offset = 0;           // acknowledged
  bool in_sync = false;          // complete, link up, acknowledged the offset of 1 s before
  bool needs_full_copy = false;  // a voter that can't go on without dropping its data
  uint64_t silent_ms = 0;        // since anything came from it
  bool operator==(const ReplicaAck&) const = default;
};

// A parameter that is not in force as it was declared.
struct OpenParameter {
  std::string name;
  std::string in_force;  // what is, as it was declared; empty: it was not; long ones are cut
  std::string reason;    // why this process can't have it at all; empty: it takes a new process
  bool operator==(const OpenParameter&) const = default;
};

// What a node made of the Parameters that it was told last; before, of the arguments that it was started with.
struct ParametersState {
  std::string taken;  // ParametersHash of them; empty: this node changes none while it runs
  std::vector<OpenParameter> open;
  bool operator==(const ParametersState&) const = default;
};

// Everything that a node says of itself; sent in hello, in each heartbeat and with each
// acknowledgement.
struct NodeState {
  std::string pod_uid;
  Incarnation incarnation;
  std::string group;   // UID of the group (standalone: of its own object); empty before any order
  uint64_t epoch = 0;  // the highest epoch that it knows
  Role role = Role::kUnassigned;
  uint64_t role_epoch = 0;  // epoch of the role order in force, 0 = none
  // The role order is of the newest epoch it knows, and it was not demoted since. A fenced replica
  // stays kReplica and a demoted primary stays kPrimary, both with in_office false.
  bool in_office = false;
  uint64_t configuration = 0;  // primary: number in force
  uint64_t configuration_acked =
      0;  // primary: newest number of which S voters hold the offset it had then
  uint32_t synchronous_replicas = 0;
  uint32_t lease_ms = 0;
  std::string dataset;
  std::string history_id;  // replication id, 40 hex digits
  uint64_t last_record_epoch = 0;
  uint64_t offset = 0;
  bool complete = false;  // holds a whole data set
  bool loading = false;   // in the middle of a full copy
  uint64_t keys = 0;
  Incarnation primary;  // replica: whom it follows
  LinkState link = LinkState::kNone;
  uint64_t link_silent_ms = 0;   // replica: since anything came on the peer channel or the link
  std::vector<ReplicaAck> acks;  // primary
  uint64_t lease_left_ms =
      0;  // primary: 0 = may not acknowledge writes (R = 0: always 0 and not needed)
  bool lease_held = false;  // primary: may acknowledge writes now
  bool paused = false;
  bool unfit = false;
  bool terminating = false;
  int64_t last_granted_ms_ago = -1;  // voter: since its last grant to a primary of an older epoch
                                     // than `epoch`, -1 = never granted
  std::vector<Incarnation>
      ended;           // lifelines that this node saw end with FIN and then refused by RST
  uint64_t nonce = 0;  // the offset question that this state answers, 0 = none
  ParametersState parameters;
  bool operator==(const NodeState&) const = default;
};

// Node -> caller, first on a control channel and on a peer channel.
struct Challenge {
  int protocol = kProtocol;
  std::string nonce;  // 32 raw bytes
  std::string pod_uid;
  Incarnation incarnation;
};

// Operator -> node: Ed25519 signature over ChallengeText().
struct Auth {
  int protocol = kProtocol;
  std::string signature;  // 64 raw bytes
  std::string identity;   // of the operator process, for logs
};

struct Hello {
  int protocol = kProtocol;
  NodeState state;
};

struct Heartbeat {
  uint64_t seq = 0;  // grows for the life of the incarnation, over all channels
  NodeState state;
};

// Operator -> primary: permission to acknowledge writes in `epoch` for T from the moment heartbeat
// `seq` was sent.
struct Grant {
  uint64_t seq = 0;
  uint64_t epoch = 0;
};

enum class OrderKind : uint8_t {
  kRole = 1,
  kFence = 2,
  kOffset = 3,
  kDemote = 4,
  kPause = 5,
  kResume = 6,
  kPoll = 7  // changes nothing; the acknowledgement brings the state
};
// A kind that this program does not know arrives as it is and is refused by the role machine, so that a
// newer operator keeps its channel to an older node.
std::string_view OrderKindName(OrderKind kind);

struct Order {
  uint64_t id = 0;  // echoed in the OrderAck
  OrderKind kind = OrderKind::kRole;
  std::string group;  // UID
  uint64_t epoch = 0;
  Incarnation incarnation;  // the addressee; any other refuses
  // kRole
  Role role = Role::kUnassigned;
  Configuration configuration;  // primary: to act under; replica: `primary` says whom to follow
  bool copy_only =
      false;  // replica: copy that node's data without being its voter (automaticFailover false)
  uint64_t copy_epoch = 0;  // with copy_only: of that node's role; its replication handshake knows no other yet
  bool promotion = false;  // primary: must hold `min_offset` and be complete; standalone: be complete
  uint64_t min_offset = 0;
  std::string fresh_dataset;  // primary, standalone: the data set's id if the node starts empty
  bool drop_data = false;     // replica: what it holds is of another data set and may go
  // With drop_data: the data set that may go. A node that stands alone drops no other one, unless it
  // holds no key.
  std::string drop_dataset;
  std::string
      leaves_group;  // with leaves_epoch: the group that it belongs to now, when it changes groups
  uint64_t leaves_epoch = 0;
  std::string replication_key;  // 32 raw bytes, of this epoch; with copy_only of copy_epoch
  uint32_t detection_ms = 1000;
  uint32_t reader_max_lag_ms = 10000;
  // kOffset
  uint64_t nonce = 0;
  // kPause
  uint32_t budget_ms = 2000;
};

struct Parameter {
  std::string name;
  std::string value;
  bool operator==(const Parameter&) const = default;
};

// Operator -> node: the arguments that a new process would have. The node puts in force what it can while it
// runs, and says in its state which Parameters it took and what is open. Only to a node whose state names any.
struct Parameters {
  Incarnation incarnation;  // the addressee
  std::vector<Parameter> values;
  std::vector<std::string> hold;  // names whose change takes a new process, whatever the node could do
};

struct OrderAck {
  uint64_t id = 0;
  bool accepted = false;
  std::string reason;  // why not
  NodeState state;
};

// Peer channel. Replica -> primary, after its Challenge: who is calling, proved with the
// replication key (HMAC over PeerText() with the challenge's nonce). The primary answers with its
// own, echoing the replica's nonce; each side says nothing else before it has verified the other.
struct PeerHello {
  int protocol = kProtocol;
  std::string group;
  uint64_t epoch = 0;  // of the sender's role order, whose key made the mac
  Incarnation incarnation;
  std::string name;   // of the Pod, for logs
  std::string nonce;  // 16 raw bytes
  std::string mac;    // 32 raw bytes
};

// Primary -> voter.
struct LeaseRequest {
  uint64_t seq = 0;
  uint64_t epoch = 0;
  Incarnation incarnation;  // of the primary
  uint64_t offset = 0;      // the primary's, so that the replica knows its lag in bytes
};

// Voter -> primary. `granted` false: `epoch` is a higher one that the voter knows; the primary
// fences itself.
struct LeaseGrant {
  uint64_t seq = 0;
  uint64_t epoch = 0;
  bool granted = false;
};

using Message = std::variant<Challenge, Auth, Hello, Heartbeat, Grant, Order, OrderAck, PeerHello,
                             LeaseRequest, LeaseGrant, Parameters>;

std::string Encode(const Message& message);
// kInvalid for anything that is not a known message within kMaxMessageBytes; never throws.
Result<Message> Decode(std::string_view bytes);

// 16 hex digits over values and hold, in whatever order they stand.
std::string ParametersHash(const Parameters& parameters);

// The exact bytes that are signed or authenticated.
std::string ChallengeText(const Challenge& challenge);
// challenge: the nonce of the Challenge that the hello answers.
std::string PeerText(const PeerHello& hello, std::string_view challenge = {});

// The state as a JSON document, for people (/v1/status).
std::string StateText(const NodeState& state);

}  // namespace understudy::control
