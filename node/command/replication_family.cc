// Replication as clients see it: REPLICAOF, ROLE, WAIT, INFO's section; and the first half of a replica's
// handshake, REPLCONF and PSYNC, after which its connection goes to the replication thread.
#include <algorithm>
#include <functional>
#include <memory>
#include <string>

#include "common/clock.h"
#include "node/command/call_context.h"
#include "node/command/dispatch.h"
#include "node/command/info.h"
#include "node/config/config.h"
#include "node/net/connection.h"
#include "node/net/worker.h"
#include "node/replication/replication.h"
#include "node/replication/socket.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"

namespace understudy::command {
namespace {

using replication::Mode;
using replication::ReplicationState;
using resp::Writer;

// What REPLCONF told so far.
class Handshake final : public SessionAttachment {
 public:
  replication::ReplicaHandshake said;
};

Handshake& HandshakeOf(Session& session) {
  if (!session.replication) session.replication = std::make_unique<Handshake>();
  return static_cast<Handshake&>(*session.replication);
}

// A node that was given no role yet is nobody's primary: clients that look for one must go on looking.
bool IsReplica(const ReplicationState& state) {
  return state.mode == Mode::kReplica || state.mode == Mode::kUnassigned;
}

// ---------------------------------------------------------------------------------------------- handshake

bool ReadPort(std::string_view text, uint16_t* out, Writer& reply) {
  int64_t port = 0;
  if (!ReadInt64(text, &port, reply)) return false;
  if (port < 0 || port > 65535) {
    reply.Error(resp::kNotInteger);
    return false;
  }
  *out = static_cast<uint16_t>(port);
  return true;
}

// REPLCONF understudy-hello group epoch incarnation nonce mac
void OwnHello(CallContext& ctx, Args args, Writer& reply) {
  replication::Hello hello;
  int64_t epoch = 0;
  if (args.size() != 7) return reply.Error(resp::kSyntaxError);
  if (!ReadInt64(args[3], &epoch, reply)) return;
  hello.group = args[2];
  hello.epoch = static_cast<uint64_t>(epoch);
  hello.incarnation = args[4];
  hello.nonce = args[5];
  hello.mac = args[6];
  Result<std::string> answer = ctx.services.replication.CheckHello(hello);
  if (!answer.ok()) return reply.Error("ERR " + std::string(answer.status().message()));
  replication::ReplicaHandshake& said = HandshakeOf(*ctx.session).said;
  said.hello = std::move(hello);
  said.has_hello = true;
  reply.SimpleString(*answer);
}

// A list of what the copy is to have, with spaces between; an empty one asks for a copy with nothing.
bool ReadCopyContent(std::string_view list, replication::CopyContent* content, Writer& reply) {
  *content = {.keys = false, .functions = false};
  while (!list.empty()) {
    const std::string_view item = list.substr(0, list.find(' '));
    list.remove_prefix(std::min(list.size(), item.size() + 1));
    if (item.empty()) continue;
    if (!Is(item, "functions")) {
      reply.Error("ERR Unsupported rdb-filter-only option: " + std::string(item.substr(0, 128)));
      return false;
    }
    content->functions = true;
  }
  return true;
}

void Replconf(CallContext& ctx, Args args, Writer& reply) {
  if (args.size() >= 2 && Is(args[1], "understudy-hello")) return OwnHello(ctx, args, reply);
  if (args.size() % 2 == 0) return reply.Error(resp::kSyntaxError);
  replication::ReplicaHandshake& said = HandshakeOf(*ctx.session).said;
  for (size_t i = 1; i < args.size(); i += 2) {
    const std::string_view option = args[i], value = args[i + 1];
    if (Is(option, "listening-port")) {
      if (!ReadPort(value, &said.listening_port, reply)) return;
    } else if (Is(option, "ip-address")) {
      if (value.size() > 255) return reply.Error("ERR REPLCONF ip-address provided by replica instance is too long");
      said.ip_address = value;
    } else if (Is(option, "capa")) {
      if (Is(value, "eof")) said.capa_eof = true;
      if (Is(value, "psync2")) said.capa_psync2 = true;
    } else if (Is(option, "version")) {
      said.version = value.substr(0, 64);
    } else if (Is(option, "rdb-only")) {
      said.rdb_only = value == "1";
    } else if (Is(option, "rdb-filter-only")) {
      if (!ReadCopyContent(value, &said.content, reply)) return;
    } else if (Is(option, "understudy-copy-only")) {
      said.copy_only = value == "1";
    } else if (Is(option, "ack") || Is(option, "getack")) {
      return;  // belongs on a replication link; never answered
    } else {
      return reply.Error("ERR Unrecognized REPLCONF option: " + std::string(option.substr(0, 128)));
    }
  }
  reply.Ok();
}

void HandOver(CallContext& ctx, replication::ReplicaHandshake handshake) {
  ctx.session->connection.Detach(
      [&replication = ctx.services.replication, handshake = std::move(handshake)](int fd, std::string input) {
        replication.AdoptReplica(fd, std::move(input), handshake);
      });
}

void Psync(CallContext& ctx, Args args, Writer& reply) {
  if (args.size() > 3) return reply.Error("ERR PSYNC with FAILOVER is not supported: use REPLICAOF on both nodes");
  replication::ReplicaHandshake handshake = HandshakeOf(*ctx.session).said;
  if (!ReadInt64(args[2], &handshake.offset, reply)) return;
  handshake.replid = args[1];
  HandOver(ctx, std::move(handshake));
}

void Sync(CallContext& ctx, Args, Writer&) {
  replication::ReplicaHandshake handshake = HandshakeOf(*ctx.session).said;
  handshake.sync = true;
  HandOver(ctx, std::move(handshake));
}

// ---------------------------------------------------------------------------------------------- roles

// Replies when the replication thread has done it: from then on ROLE and INFO agree.
replication::Replication::Done ReplyOkLater(CallContext& ctx) {
  ctx.session->connection.Park();
  return [answer = ReplyLater(ctx)](Status status) {
    answer(status.ok() ? "+OK\r\n" : "-ERR " + std::string(status.message()) + "\r\n");
  };
}

void ReplicaOf(CallContext& ctx, Args args, Writer& reply) {
  if (!ctx.services.standalone) return ReplyManaged(reply, Is(args[0], "slaveof") ? "SLAVEOF" : "REPLICAOF");
  replication::Replication& replication = ctx.services.replication;
  if (Is(args[1], "no") && Is(args[2], "one")) return replication.FollowNobody(ReplyOkLater(ctx));
  int64_t port = 0;
  if (!ParseInt64(args[2], &port) || port < 1 || port > 65535) return reply.Error("ERR Invalid master port");
  const std::string ip = Is(args[1], "localhost") ? "127.0.0.1" : std::string(args[1]);
  if (!replication::IsIpAddress(ip)) {
    return reply.Error("ERR REPLICAOF takes the primary's IP address, not a name");
  }
  const ReplicationState state = replication.state();
  if (state.mode == Mode::kReplica && state.primary_ip == ip && state.primary_port == port) {
    return reply.SimpleString("OK Already connected to specified master");
  }
  replication.FollowForeign(ip, static_cast<uint16_t>(port), ReplyOkLater(ctx));
}

void Failover(CallContext& ctx, Args, Writer& reply) {
  if (!ctx.services.standalone) return ReplyManaged(reply, "FAILOVER");
  reply.Error("ERR FAILOVER is not supported by a standalone node: use REPLICAOF on both nodes");
}

std::string_view LinkWord(const ReplicationState& state) {
  switch (state.link) {
    case control::LinkState::kNone: return "connect";
    case control::LinkState::kConnecting: return "connecting";
    case control::LinkState::kSyncing: return "sync";
    case control::LinkState::kUp: return "connected";
  }
  return "connect";
}

void Role(CallContext& ctx, Args, Writer& reply) {
  const ReplicationState state = ctx.services.replication.state();
  if (IsReplica(state)) {
    reply.Array(5);
    reply.Bulk("slave");
    reply.Bulk(state.primary_ip);
    reply.Integer(state.primary_port);
    reply.Bulk(LinkWord(state));
    reply.Integer(state.complete ? static_cast<int64_t>(state.offset) : -1);
    return;
  }
  const auto online = [](const replication::ReplicaInfo& r) { return r.state == "online"; };
  reply.Array(3);
  reply.Bulk("master");
  reply.Integer(static_cast<int64_t>(state.offset));
  reply.Array(static_cast<size_t>(std::count_if(state.replicas.begin(), state.replicas.end(), online)));
  for (const replication::ReplicaInfo& replica : state.replicas) {
    if (!online(replica)) continue;
    reply.Array(3);
    reply.Bulk(replica.ip);
    reply.Bulk(std::to_string(replica.port));
    reply.Bulk(std::to_string(replica.acked));
  }
}

// ---------------------------------------------------------------------------------------------- WAIT

struct Waiter {
  net::Worker& worker;
  Dispatcher& dispatcher;
  replication::Replication& replication;
  const uint64_t connection;
  const uint64_t offset;
  const int64_t needed;
  bool over = false;  // replied, or the connection is gone
};

// On the connection's worker. Replies if enough replicas acknowledged, or if the time is up.
void LookAgain(const std::shared_ptr<Waiter>& waiter, bool time_is_up) {
  if (waiter->over) return;
  net::Connection* connection = waiter->worker.Find(waiter->connection);
  if (connection == nullptr) {
    waiter->over = true;
    return;
  }
  const int64_t acked = static_cast<int64_t>(waiter->replication.CountAcked(waiter->offset));
  if (acked < waiter->needed && !time_is_up) {
    waiter->dispatcher.WhenAcksGrow(waiter->worker, [waiter] { LookAgain(waiter, false); });
    return;
  }
  waiter->over = true;
  static_cast<Session*>(connection->state())->blocked.store(false, std::memory_order_relaxed);
  connection->Append(":" + std::to_string(acked) + "\r\n");
  connection->Wake();
}

void Wait(CallContext& ctx, Args args, Writer& reply) {
  replication::Replication& replication = ctx.services.replication;
  Session& session = *ctx.session;
  if (IsReplica(replication.state())) {
    return reply.Error(
        "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is "
        "configured to be writable (which is not the default) writes to replicas are just local and are not "
        "propagated.");
  }
  int64_t needed = 0, timeout_ms = 0;
  if (!ReadInt64(args[1], &needed, reply)) return;
  if (needed < 0) return reply.Error(resp::kNotPositive);
  if (!ParseInt64(args[2], &timeout_ms)) return reply.Error("ERR timeout is not an integer or out of range");
  if (timeout_ms < 0) return reply.Error("ERR timeout is negative");
  const int64_t acked = static_cast<int64_t>(replication.CountAcked(session.last_write_offset));
  if (acked >= needed || ctx.in_exec) return reply.Integer(acked);

  net::Worker& worker = session.connection.worker();
  const auto waiter = std::make_shared<Waiter>(Waiter{worker, ctx.services.dispatcher, replication,
                                                      session.connection.id(), session.last_write_offset, needed});
  session.connection.Park();
  session.blocked.store(true, std::memory_order_relaxed);
  if (timeout_ms > 0) {
    // Beyond a year there is no difference to "for ever".
    const int64_t bounded_ms = std::min<int64_t>(timeout_ms, int64_t{366} * 24 * 3600 * 1000);
    worker.RunAt(worker.now() + Milliseconds(bounded_ms), [waiter] { LookAgain(waiter, true); });
  }
  // First to be told, then look: an acknowledgement in between is seen by one of the two.
  ctx.services.dispatcher.WhenAcksGrow(worker, [waiter] { LookAgain(waiter, false); });
  replication.RequestAcks();
}

// clang-format off
constexpr uint32_t kHandshakeFlags = kAdmin | kNoScript | kLoading | kStale | kNoMulti | kHandshake;
const Row kRows[] = {
  {"replconf", -1, kHandshakeFlags | kAllowBusy, {}, KeyAccess::kNone, "", "server", "3.0.0", "Tells a primary about the replica that is about to attach.", "option value [option value ...]", Replconf},
  {"psync", -3, kHandshakeFlags | kNoAsyncLoading, {}, KeyAccess::kNone, "", "server", "2.8.0", "Makes this connection a replication link.", "replicationid offset", Psync},
  {"sync", 1, kHandshakeFlags | kNoAsyncLoading, {}, KeyAccess::kNone, "", "server", "1.0.0", "Makes this connection a replication link, with a full copy.", "", Sync},
  {"replicaof", 3, kAdmin | kNoScript | kLoading | kStale | kNoMulti | kNoAsyncLoading, {}, KeyAccess::kNone, "", "server", "5.0.0", "Makes this node a replica of another one, or a primary.", "host port | NO ONE", ReplicaOf},
  {"slaveof", 3, kAdmin | kNoScript | kLoading | kStale | kNoMulti | kNoAsyncLoading, {}, KeyAccess::kNone, "", "server", "1.0.0", "As REPLICAOF.", "host port | NO ONE", ReplicaOf},
  {"failover", -1, kAdmin | kNoScript | kStale | kLoading, {}, KeyAccess::kNone, "", "server", "6.2.0", "Refused: the operator, or REPLICAOF on both nodes, moves the primary role.", "[TO host port [FORCE]] [ABORT] [TIMEOUT milliseconds]", Failover},
  {"role", 1, kNoScript | kLoading | kStale | kFast, {}, KeyAccess::kNone, "@admin @dangerous", "server", "2.8.12", "Tells the role, and who follows or is followed.", "", Role},
  {"wait", 3, kBlocking, {}, KeyAccess::kNone, "@connection", "generic", "3.0.0", "Waits until replicas acknowledged this client's writes.", "numreplicas timeout", Wait},
};
// clang-format on

// ---------------------------------------------------------------------------------------------- INFO

void AddLine(std::string* out, std::string_view name, std::string_view value) {
  out->append(name).append(":").append(value).append("\r\n");
}
void AddLine(std::string* out, std::string_view name, uint64_t value) { AddLine(out, name, std::to_string(value)); }

}  // namespace

std::span<const Row> ReplicationCommands() { return kRows; }

void AppendReplicationInfo(const Services& services, std::string* out) {
  const ReplicationState s = services.replication.state();
  const bool replica = IsReplica(s);
  AddLine(out, "role", replica ? "slave" : "master");
  if (replica) {
    const bool up = s.link == control::LinkState::kUp;
    AddLine(out, "master_host", s.primary_ip);
    AddLine(out, "master_port", s.primary_port);
    AddLine(out, "master_link_status", up ? "up" : "down");
    AddLine(out, "master_last_io_seconds_ago", up ? std::to_string(s.link_silent_ms / 1000) : "-1");
    AddLine(out, "master_sync_in_progress", s.loading ? 1 : 0);
    AddLine(out, "slave_read_repl_offset", s.offset);
    AddLine(out, "slave_repl_offset", s.offset);
    if (s.loading) {
      AddLine(out, "master_sync_read_bytes", s.load_read_bytes);
      AddLine(out, "master_sync_last_io_seconds_ago", s.link_silent_ms / 1000);
    }
    if (!up) {
      AddLine(out, "master_link_down_since_seconds",
              s.mode == Mode::kUnassigned ? "-1" : std::to_string(s.link_down_ms / 1000));
    }
    AddLine(out, "slave_priority", static_cast<uint64_t>(services.config.replica_priority.load()));
    AddLine(out, "slave_read_only", 1);
    AddLine(out, "replica_announced", 1);
  }
  AddLine(out, "connected_slaves", s.replicas.size());
  for (size_t i = 0; i < s.replicas.size(); ++i) {
    const replication::ReplicaInfo& r = s.replicas[i];
    AddLine(out, "slave" + std::to_string(i),
            "ip=" + r.ip + ",port=" + std::to_string(r.port) + ",state=" + r.state +
                ",offset=" + std::to_string(r.acked) + ",lag=" + std::to_string(r.lag_s));
  }
  AddLine(out, "master_failover_state", "no-failover");
  AddLine(out, "master_replid", s.replid);
  AddLine(out, "master_replid2", s.replid2);
  AddLine(out, "master_repl_offset", s.offset);
  AddLine(out, "second_repl_offset", std::to_string(s.second_offset));
  AddLine(out, "repl_backlog_active", s.backlog_active ? 1 : 0);
  AddLine(out, "repl_backlog_size", s.backlog_size_bytes);
  AddLine(out, "repl_backlog_first_byte_offset", s.backlog_active ? s.backlog_first_offset : 0);
  AddLine(out, "repl_backlog_histlen", s.backlog_held_bytes);
}

}  // namespace understudy::command
