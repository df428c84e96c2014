// Replication: one ordered stream of commands from the primary to its replicas, and on a replica the link
// that receives and applies it.
//
// Idea. Every write appends its effects to one log while its shard locks are held, so the log's order is the
// order of execution and the offset (bytes of stream since the start of the history) is exact at once. The
// log is a queue of blocks that the backlog and all replicas read; a reader only has a position in it. A
// replica appends the very bytes it received, so its log is the primary's: after a failover the others go on
// with a partial resynchronisation. Wire format: Redis's replication protocol (PSYNC2), both ways.
//
// Threads. One replication thread (epoll) owns all links; a full-copy thread lives while a snapshot is sent.
// Each method says who may call it: [worker] any worker, shard locks may be held only where said; [admin] the
// role machine's thread; [any]. No method waits for the network. Callbacks run on the replication thread.
//
// Words and rules: FAILOVER.md sections 1, 2, 5-7. Offsets are bytes. Times are milliseconds.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "common/control/messages.h"
#include "common/result.h"
#include "node/replication/apply_sink.h"
#include "node/replication/hello.h"
#include "node/replication/resync_rules.h"
#include "node/role/role_machine.h"
#include "node/types/encoding.h"

namespace understudy::store {
class Keyspace;
}

namespace understudy::replication {

class Log;
class Engine;

// Options of redis.conf that matter here; each may be changed while running (Configure).
struct Settings {
  uint64_t backlog_bytes = 10 * 1024 * 1024;              // repl-backlog-size
  uint64_t backlog_ttl_ms = 3'600'000;                    // repl-backlog-ttl, standalone only; 0 = for ever
  uint64_t ping_period_ms = 10'000;                       // repl-ping-replica-period
  uint64_t timeout_ms = 60'000;                           // repl-timeout
  uint64_t replica_hard_limit_bytes = 256 * 1024 * 1024;  // client-output-buffer-limit replica; 0 = none
  uint64_t replica_soft_limit_bytes = 64 * 1024 * 1024;
  uint64_t replica_soft_limit_ms = 60'000;
  std::string master_user;                                // masteruser
  std::string master_auth;                                // masterauth; empty = no AUTH
  std::string announce_ip;                                // replica-announce-ip
  uint16_t announce_port = 0;                             // replica-announce-port, 0 = listening port
  std::string source_ip;                                  // bind-source-addr; empty = as the system chooses
  std::string spool_dir = ".";                            // dir: for copies whose length must be told first
  types::Limits limits;                                   // of compact encodings, for what is copied from a primary
};

// What a client said in REPLCONF and PSYNC before it became a replica; kept in its session until PSYNC.
struct ReplicaHandshake {
  std::string replid = "?";  // PSYNC's arguments
  int64_t offset = -1;       // the first byte that it wants, counted from 1
  bool sync = false;         // the old SYNC: no +FULLRESYNC line, no acknowledgements
  bool capa_eof = false;
  bool capa_psync2 = false;
  bool copy_only = false;          // own nodes: wants the data, is nobody's voter
  bool rdb_only = false;           // closed after the full copy
  CopyContent content;             // REPLCONF rdb-filter-only
  uint16_t listening_port = 0;
  std::string ip_address;          // REPLCONF ip-address; empty = the peer's
  std::string version;
  bool has_hello = false;          // CheckHello accepted `hello`
  Hello hello;
};

enum class Mode : uint8_t { kUnassigned, kPrimary, kReplica, kStandalone };

struct ReplicaInfo {  // an attached replica, for INFO, ROLE and metrics
  std::string ip;
  uint16_t port = 0;
  std::string state;  // wait_bgsave, send_bulk, online
  uint64_t acked = 0;
  uint64_t lag_s = 0;            // since its last acknowledgement
  uint64_t pending_bytes = 0;    // in the log, not yet sent
  control::Incarnation incarnation;  // own nodes
};

// Everything that heartbeats, INFO and metrics want to know; a copy.
struct ReplicationState {
  Mode mode = Mode::kUnassigned;
  bool demoted = false;
  std::string replid, replid2;           // 40 hex digits; replid2 is 40 zeros when there is none
  int64_t second_offset = -1;            // first byte that replid2 does not vouch for
  uint64_t offset = 0;
  uint64_t last_record_epoch = 0;
  std::string dataset;
  bool complete = false;                 // holds a whole data set
  bool loading = false;                  // a full copy is coming in
  bool needs_full_copy = false;          // replica: partial impossible, and it may not drop its data
  uint64_t dropped_bytes = 0;            // of this node's own history, given up by its last full copy
  // primary
  uint64_t configuration = 0;            // number in force
  uint64_t configuration_acked = 0;
  std::vector<control::ReplicaAck> acks;
  std::vector<ReplicaInfo> replicas;
  // replica
  control::LinkState link = control::LinkState::kNone;
  control::Incarnation primary;
  std::string primary_ip;
  uint16_t primary_port = 0;
  uint64_t link_silent_ms = 0;           // since anything came; since the link went down if it is down
  uint64_t link_down_ms = 0;             // since the link was last up, 0 = it is
  std::string link_error;                // why the last link ended; empty while it is up
  uint64_t load_read_bytes = 0;          // while loading
  // backlog
  bool backlog_active = false;
  uint64_t backlog_size_bytes = 0;
  uint64_t backlog_first_offset = 0;     // counted from 1, as Redis does
  uint64_t backlog_held_bytes = 0;
  // totals since start
  uint64_t full_syncs = 0, partial_syncs = 0, partial_refused = 0, replicas_dropped = 0;
  uint64_t stream_sends = 0;  // turns in which something of the log was sent
};

class Replication {
 public:
  struct Options {
    Settings settings;
    control::Incarnation incarnation;  // of this process
    uint16_t listening_port = 6379;
    uint16_t primary_port = 6379;      // of every node of a group: orders name addresses only
    std::string version = "9.0.0";     // told to primaries: whose RDB we can read
    bool standalone = false;           // --standalone: any Redis or Valkey may be replica or primary
  };
  // All of these must outlive this object.
  Replication(Options options, store::Keyspace& keyspace, ApplySink& sink, Hooks& hooks, const Clock& clock);
  ~Replication();
  // Starts the thread; in --standalone mode the node is then a primary with an empty history.
  Status Start();
  // Closes all links and joins the threads. After the workers have stopped.
  void Stop();

  // ---- The data path -------------------------------------------------------------------------------
  // [worker, shard locks of the records held] Appends the effects of one command or transaction. More than
  // one record is wrapped in MULTI/EXEC. Returns the offset after them. Only while this node is primary or
  // standalone (CHECK). Nothing is sent before Wake().
  uint64_t Append(std::span<const Record> records);
  // [worker, no lock] Once at the end of each loop turn that appended: starts the sending. With S = 0 at most half a
  // millisecond after the last one, unless somebody waits (RequestAcks).
  void Wake();
  // [any] False: nobody reads a log (standalone without replicas); Append returns at once.
  bool active() const;
  // [any] End of the log.
  uint64_t offset() const;
  // [any] Bytes of the log's blocks.
  size_t HeldBytes() const;
  // [any] The largest offset that S voters of the configuration in force have acknowledged; UINT64_MAX with
  // S = 0. A reply to a write that ended at offset p may leave when SyncOffset() >= p. Not monotonic: a change
  // of configuration may lower it. Hooks::OnAcks tells when it grew.
  uint64_t SyncOffset() const;
  // [any] Attached replicas that acknowledged `offset` or more (WAIT).
  size_t CountAcked(uint64_t offset) const;
  // [any] Asks all replicas to acknowledge now (REPLCONF GETACK in the stream), once for all who ask meanwhile.
  void RequestAcks();

  // ---- Replicas of this node -----------------------------------------------------------------------
  // [worker] REPLCONF understudy-hello: the line to answer without "+" (this node's own proof), or the error.
  // A higher epoch of this group is refused and believed by nobody here: it can't be proved to a node that has
  // no key of it, and any client could claim one. The operator's fence and the lease end an old primary.
  Result<std::string> CheckHello(const Hello& hello);
  // [worker] Takes over a connection that sent PSYNC or SYNC, with the bytes read but not yet parsed. Owns fd
  // (non-blocking) from now on; all replies before it were sent.
  void AdoptReplica(int fd, std::string leftover, ReplicaHandshake handshake);

  // ---- Role changes --------------------------------------------------------------------------------
  // Each is queued and carried out in order; `done` runs on the replication thread when it is in force.
  using Done = std::function<void(Status)>;
  // [admin] First start, promotion, a claim, or a new epoch for the same primary: stops applying, gives the
  // history a new id (the old one stays good for partial resynchronisations up to here) and appends the epoch
  // record. kConflict if the node holds no whole data set and is not to start empty.
  void BecomePrimary(role::BecomePrimary order, Done done);
  // [admin] Acts on a configuration at once; configuration_acked follows when S voters hold the offset of now.
  void ActUnder(control::Configuration configuration, Done done);
  // [admin] Follows a primary: the same one = the link is kept; another one = partial resynchronisation first,
  // a full copy as the primary's answer allows (role/copy_rules.h). `done` when the order is in force, not
  // when the link is up. The workers are drained first.
  void BecomeReplica(role::BecomeReplica order, Done done);
  // [admin] The offset question: ends the link, applies nothing more. state() is final when `done` runs.
  void StopApplying(Done done);
  // [admin] The primary role ended: after the workers were drained the offset is final (`done`). Goes on
  // feeding those attached and accepts partial resynchronisations, starts no full copy.
  void Demote(Done done);
  // [admin] A higher epoch is known: starts no full copy, neither as source nor as target; goes on otherwise.
  // Ends with the next order for a role.
  void Fence(Done done);
  // [admin] Stands alone, with the data it has or empty.
  void BecomeStandalone(role::BecomeStandalone order, Done done);
  // [worker] --standalone only: REPLICAOF ip port, REPLICAOF NO ONE.
  void FollowForeign(std::string ip, uint16_t port, Done done);
  void FollowNobody(Done done);

  // [any] CLIENT KILL TYPE: closes the links of all replicas, or the one to the primary; each is opened again by the
  // node that opened it.
  void CloseReplicas();
  void CloseLink();

  // [any] Changes options.
  void Configure(Settings settings);
  // [any] A copy, as of the last turn of the replication thread; offset and times are of now.
  ReplicationState state() const;

 private:
  std::unique_ptr<Log> log_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace understudy::replication
