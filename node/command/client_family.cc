// CLIENT: all connections as seen by one of them.
#include <algorithm>
#include <atomic>
#include <memory>
#include <span>

#include "node/command/call_context.h"
#include "node/command/client_filter.h"
#include "node/command/client_registry.h"
#include "node/command/client_tracking.h"
#include "node/command/dispatch.h"
#include "node/command/shutdown.h"
#include "node/config/config.h"
#include "node/net/connection.h"
#include "node/replication/replication.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"

namespace understudy::command {
std::string DescribeClient(const Session& s, const Table& table, int64_t now_ms) {
  const auto& c = s.connection.counters;
  const auto get = [](const auto& atomic) { return std::to_string(atomic.load(std::memory_order_relaxed)); };
  const auto seconds_since = [&](const std::atomic<int64_t>& at) {
    return std::to_string(std::max<int64_t>(now_ms - at.load(std::memory_order_relaxed), 0) / 1000);
  };
  const uint32_t last = s.last_command.load(std::memory_order_relaxed);
  const bool events_write = c.output_bytes.load(std::memory_order_relaxed) > 0;
  // The order of Redis and Valkey. Arguments lie in the input buffer, and replies have no buffer of a fixed size.
  return "id=" + std::to_string(s.connection.id()) + " addr=" + s.connection.peer_address() +
         " laddr=" + s.connection.local_address() + " fd=" + std::to_string(s.connection.fd()) + " name=" + s.name +
         " age=" + seconds_since(s.created_ms) + " idle=" + seconds_since(s.last_command_ms) + " flags=" + FlagsOf(s) +
         " capa=" + (s.takes_redirects.load(std::memory_order_relaxed) ? "r" : "") + " db=" + get(s.db) +
         " sub=" + get(s.subscriptions[0]) + " psub=" + get(s.subscriptions[1]) + " ssub=" + get(s.subscriptions[2]) +
         " multi=" + get(s.multi_commands) + " watch=" + get(s.watch_count) + " qbuf=" + get(c.input_bytes) +
         " qbuf-free=0 argv-mem=0 multi-mem=" + (s.multi_commands.load(std::memory_order_relaxed) > 0 ? get(s.multi_bytes) : "0") +
         " rbs=0 rbp=0 obl=0 oll=" + (events_write ? "1" : "0") + " omem=" + get(c.output_bytes) +
         " tot-mem=" + get(c.memory_bytes) + " events=" + (events_write ? "rw" : "r") +
         " cmd=" + (last == UINT32_MAX ? "NULL" : table.FullName(last)) + " user=" + s.user +
         " redir=" + get(s.redirects_to) + " resp=" + get(s.protocol) + " lib-name=" + s.library_name + " lib-ver=" + s.library_version +
         " tot-net-in=" + get(c.total_input_bytes) + " tot-net-out=" + get(c.total_output_bytes) +
         " tot-cmds=" + get(c.commands);
}

size_t CloseClients(CallContext& ctx, const std::function<bool(const Session&)>& matches) {
  struct Target {
    net::Worker* worker;
    uint64_t id;
  };
  std::vector<Target> targets;
  ctx.services.dispatcher.clients().ForEach([&](Session& s) {
    if (matches(s)) targets.push_back({&s.connection.worker(), s.connection.id()});
  });
  for (const Target& target : targets) {
    if (target.id == ctx.session->connection.id()) {
      ctx.session->connection.CloseAfterFlush();
      continue;
    }
    target.worker->Post([target] {
      if (net::Connection* connection = target.worker->Find(target.id)) connection->Close();
    });
  }
  return targets.size();
}

void CloseRevokedSubscribers(CallContext& ctx) {
  Dispatcher& dispatcher = ctx.services.dispatcher;
  const auto refresh = [&dispatcher, self = ctx.session](net::Worker& worker) {
    dispatcher.clients().ForEachOf(worker, [&](Session& session) {
      if (!session.subscribed() || session.acl_version == dispatcher.acl().version()) return;
      dispatcher.acl().Refresh(session);
      if (session.connection.closing() && &session != self) session.connection.Close();
    });
  };
  net::Worker& mine = ctx.session->connection.worker();
  refresh(mine);
  for (net::Worker* worker : dispatcher.workers()) {
    if (worker != &mine) worker->Post([refresh, worker] { refresh(*worker); });
  }
}

void ReplyWhenClosed(CallContext& ctx, std::string text, resp::Writer& reply) {
  net::Connection& connection = ctx.session->connection;
  const std::span<net::Worker* const> workers = ctx.services.dispatcher.workers();
  const bool at_once = workers.size() == 1 || ctx.in_exec || connection.closing();
  if (at_once || ctx.session->reply_mode != Session::kReplyOn) return reply.Raw(text);
  connection.Park();
  const auto answer = [&home = connection.worker(), id = connection.id(), text = std::move(text)] {
    net::Connection* connection = home.Find(id);
    if (connection == nullptr) return;
    connection->Append(text);
    connection->Wake();
  };
  const auto left = std::make_shared<std::atomic<size_t>>(workers.size());
  for (net::Worker* worker : workers) {
    // In the turn in which it is told a worker only marks its connections; they go at the end of it.
    worker->Post([worker, left, answer, &home = connection.worker()] {
      worker->Post([left, answer, &home] {
        if (left->fetch_sub(1, std::memory_order_acq_rel) == 1) home.Post(answer);
      });
    });
  }
}

namespace {

using resp::Writer;

void Id(CallContext& ctx, Args, Writer& reply) {
  reply.Integer(static_cast<int64_t>(ctx.session->connection.id()));
}

void Info(CallContext& ctx, Args, Writer& reply) {
  reply.Verbatim("txt", DescribeClient(*ctx.session, ctx.services.table, ctx.now_ms) + "\n");
}

void List(CallContext& ctx, Args args, Writer& reply) {
  ClientFilter filter;
  if (!ReadClientFilter(ctx.services.dispatcher.acl(), args.subspan(2), "ERR Invalid client ID", &filter, reply)) return;
  std::string out;
  ctx.services.dispatcher.clients().ForEach([&](Session& s) {
    if (filter.skip_me && &s == ctx.session) return;
    if (filter.Matches(s, ctx.now_ms)) out += DescribeClient(s, ctx.services.table, ctx.now_ms) + "\n";
  });
  reply.Verbatim("txt", out);
}

void GetName(CallContext& ctx, Args, Writer& reply) {
  if (ctx.session->name.empty()) return reply.Null();
  reply.Bulk(ctx.session->name);
}

bool Printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '!' && c <= '~'; });
}

void SetName(CallContext& ctx, Args args, Writer& reply) {
  if (!Printable(args[2])) {
    return reply.Error("ERR Client names cannot contain spaces, newlines or special characters.");
  }
  ctx.services.dispatcher.clients().Update(*ctx.session, [&](Session& s) { s.name = args[2]; });
  reply.Ok();
}

void SetInfo(CallContext& ctx, Args args, Writer& reply) {
  const bool name = Is(args[2], "lib-name");
  if (!name && !Is(args[2], "lib-ver")) {
    return reply.Error("ERR Unrecognized option '" + std::string(args[2]) + "'");
  }
  if (!Printable(args[3])) {
    return reply.Error("ERR " + std::string(args[2]) +
                       " cannot contain spaces, newlines or special characters.");
  }
  ctx.services.dispatcher.clients().Update(*ctx.session, [&](Session& s) {
    (name ? s.library_name : s.library_version) = args[3];
  });
  reply.Ok();
}

// ---------------------------------------------------------------------------------------------- KILL

// Replication links are no clients of a worker, but are closed by their type.
size_t CloseLinks(CallContext& ctx, ClientType type) {
  replication::Replication& replication = ctx.services.replication;
  const replication::ReplicationState state = replication.state();
  if (type == ClientType::kReplica) {
    replication.CloseReplicas();
    return state.replicas.size();
  }
  replication.CloseLink();
  return state.link == control::LinkState::kUp || state.link == control::LinkState::kSyncing ? 1 : 0;
}

void Kill(CallContext& ctx, Args args, Writer& reply) {
  ClientFilter filter;
  const bool old_style = args.size() == 3;  // CLIENT KILL address
  if (old_style) {
    filter.wanted.address = args[2];
  } else {
    filter.skip_me = true;
    constexpr std::string_view kBadId = "ERR client-id should be greater than 0";
    if (!ReadClientFilter(ctx.services.dispatcher.acl(), args.subspan(2), kBadId, &filter, reply)) return;
  }
  const std::optional<ClientType> type = filter.wanted.type;
  if (type == ClientType::kReplica || type == ClientType::kPrimary) {
    return reply.Integer(static_cast<int64_t>(CloseLinks(ctx, *type)));
  }
  const size_t closed = CloseClients(ctx, [&](const Session& s) {
    return !(filter.skip_me && &s == ctx.session) && filter.Matches(s, ctx.now_ms);
  });
  if (old_style && closed == 0) return reply.Error("ERR No such client");
  ReplyWhenClosed(ctx, old_style ? "+OK\r\n" : ":" + std::to_string(closed) + "\r\n", reply);
}

// ---------------------------------------------------------------------------------------------- modes

void Reply(CallContext& ctx, Args args, Writer& reply) {
  Session& session = *ctx.session;
  if (Is(args[2], "on")) {
    // From OFF the answer is written by the dispatcher: this one is dropped with what came before.
    if (session.reply_mode == Session::kReplyOn) reply.Ok();
    session.reply_mode = Session::kReplyOn;
  } else if (Is(args[2], "off")) {
    session.reply_mode = Session::kReplyOff;
  } else if (Is(args[2], "skip")) {
    if (session.reply_mode != Session::kReplyOff) session.reply_mode = Session::kReplySkipNext;
  } else {
    reply.Error(resp::kSyntaxError);
  }
}

void Pause(CallContext& ctx, Args args, Writer& reply) {
  int64_t timeout_ms = 0;
  if (!ParseInt64(args[2], &timeout_ms) || timeout_ms < 0) {
    return reply.Error(timeout_ms < 0 ? "ERR timeout is negative" : "ERR timeout is not an integer or out of range");
  }
  ClientPause kind = ClientPause::kAll;
  if (args.size() > 4) return reply.Error(resp::kSyntaxError);
  if (args.size() == 4 && Is(args[3], "write")) {
    kind = ClientPause::kWrite;
  } else if (args.size() == 4 && !Is(args[3], "all")) {
    return reply.Error("ERR CLIENT PAUSE mode must be WRITE or ALL");
  }
  int64_t until = 0;
  if (__builtin_add_overflow(ctx.now_ms, timeout_ms, &until)) return reply.Error("ERR timeout is out of range");
  ctx.services.dispatcher.Pause(kind, until);
  reply.Ok();
}

void Unpause(CallContext& ctx, Args, Writer& reply) {
  // What is written behind the last save would be lost.
  if (!ctx.services.shutdown.under_way()) ctx.services.dispatcher.Unpause();
  reply.Ok();
}

void SetFlag(std::atomic<bool>& flag, Args args, Writer& reply) {
  if (!Is(args[2], "on") && !Is(args[2], "off")) return reply.Error(resp::kSyntaxError);
  flag.store(Is(args[2], "on"), std::memory_order_relaxed);
  reply.Ok();
}
void NoEvict(CallContext& ctx, Args args, Writer& reply) { SetFlag(ctx.session->no_evict, args, reply); }
void NoTouch(CallContext& ctx, Args args, Writer& reply) { SetFlag(ctx.session->no_touch, args, reply); }

void ImportSource(CallContext& ctx, Args args, Writer& reply) {
  if (!ctx.services.config.import_mode && !Is(args[2], "off")) return reply.Error("ERR Server is not in import mode");
  SetFlag(ctx.session->import_source, args, reply);
}

void Unblock(CallContext& ctx, Args args, Writer& reply) {
  const bool with_error = args.size() == 4 && Is(args[3], "error");
  if (args.size() > 4 || (args.size() == 4 && !with_error && !Is(args[3], "timeout"))) {
    return reply.Error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
  }
  int64_t id = 0;
  if (!ReadInt64(args[2], &id, reply)) return;
  reply.Integer(id > 0 && ctx.services.dispatcher.blocking().Unblock(static_cast<uint64_t>(id), with_error));
}

// What a client says it can do. Known is only that it takes redirects to the primary, which this server never sends.
void Capa(CallContext& ctx, Args args, Writer& reply) {
  for (const std::string_view word : args.subspan(2)) {
    if (Is(word, "redirect")) ctx.session->takes_redirects.store(true, std::memory_order_relaxed);
  }
  reply.Ok();
}

void Help(CallContext&, Args, Writer& reply) {
  constexpr std::string_view kLines[] = {
      "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "CAPA <capability> ...",
      "    Tells what this client can do: REDIRECT is noted, others are ignored.",
      "CACHING (YES|NO)",
      "    Whether the next command's keys are tracked, with OPTIN or OPTOUT.",
      "GETNAME",
      "    The name of this connection.",
      "GETREDIR",
      "    Where invalidations go: a client's number, 0 to this connection, -1 without tracking.",
      "ID",
      "    The number of this connection.",
      "INFO",
      "    This connection's line of CLIENT LIST.",
      "KILL <ip:port> | <filter> <value> ...",
      "    Closes connections; filters are ID (one or more numbers), ADDR, LADDR, IP, TYPE, USER, NAME, LIB-NAME, LIB-VER,",
      "    FLAGS, CAPA, DB, each also with NOT- before it, and MAXAGE, IDLE, SKIPME.",
      "LIST [<filter> <value> ...]",
      "    All connections, or those that fit the filters of KILL.",
      "NO-EVICT (ON|OFF)",
      "    Protects this connection when memory is short.",
      "IMPORT-SOURCE (ON|OFF)",
      "    See what has expired, too, while import-mode is on.",
      "NO-TOUCH (ON|OFF)",
      "    Whether reading keys counts as using them.",
      "PAUSE <timeout> [WRITE|ALL]",
      "    Lets commands wait for <timeout> milliseconds.",
      "REPLY (ON|OFF|SKIP)",
      "    Whether this connection gets replies.",
      "SETINFO (LIB-NAME|LIB-VER) <text>",
      "    Tells which client library this is.",
      "SETNAME <name>",
      "    Names this connection.",
      "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [PREFIX ...]] [OPTIN] [OPTOUT] [NOLOOP]",
      "    Tells this connection which keys that it may have cached changed.",
      "TRACKINGINFO",
      "    What TRACKING was asked to do.",
      "UNBLOCK <client-id> [TIMEOUT|ERROR]",
      "    Ends a client's wait for a key, as if time were up or with an error.",
      "UNPAUSE",
      "    Ends a pause.",
      "HELP",
      "    This text.",
  };
  ReplyHelp(kLines, reply);
}

// clang-format off
constexpr uint32_t kCommon = kNoScript | kLoading | kStale;
constexpr uint32_t kByAdmin = kCommon | kAdmin;
const Row kClientRows[] = {
  {"caching", 3, kCommon, {}, KeyAccess::kNone, "@connection", "connection", "6.0.0", "Says whether the next command's keys are tracked.", "YES|NO", ClientCaching},
  {"capa", -3, kCommon, {}, KeyAccess::kNone, "@connection", "connection", "8.0.0", "Tells what this client can do.", "capability [capability ...]", Capa},
  {"getname", 2, kCommon, {}, KeyAccess::kNone, "@connection", "connection", "2.6.9", "Tells this connection's name.", "", GetName},
  {"getredir", 2, kCommon, {}, KeyAccess::kNone, "@connection", "connection", "6.0.0", "Tells where invalidations go.", "", ClientGetRedir},
  {"help", 2, kLoading | kStale, {}, KeyAccess::kNone, "@connection", "connection", "5.0.0", "Lists the subcommands.", "", Help},
  {"id", 2, kCommon, {}, KeyAccess::kNone, "@connection", "connection", "5.0.0", "Tells this connection's number.", "", Id},
  {"info", 2, kCommon, {}, KeyAccess::kNone, "@connection", "connection", "6.2.0", "Describes this connection.", "", Info},
  {"kill", -3, kByAdmin, {}, KeyAccess::kNone, "@connection", "connection", "2.4.0", "Closes connections.", "ip:port|[ID client-id] [TYPE type] [USER username] [ADDR ip:port] [LADDR ip:port] [SKIPME yes|no] [MAXAGE seconds]", Kill},
  {"list", -2, kByAdmin, {}, KeyAccess::kNone, "@connection", "connection", "2.4.0", "Lists the connections.", "[ID client-id ...] [filter value ...]", List},
  {"no-evict", 3, kByAdmin, {}, KeyAccess::kNone, "@connection", "connection", "7.0.0", "Protects this connection when memory is short.", "ON|OFF", NoEvict},
  {"import-source", 3, kCommon, {}, KeyAccess::kNone, "@connection", "connection", "8.1.0", "Sees expired keys while the server is in import-mode.", "ON|OFF", ImportSource},
  {"no-touch", 3, kCommon, {}, KeyAccess::kNone, "@connection", "connection", "7.2.0", "Reads without marking keys as used.", "ON|OFF", NoTouch},
  {"pause", -3, kByAdmin, {}, KeyAccess::kNone, "@connection", "connection", "3.0.0", "Lets commands wait.", "timeout [WRITE|ALL]", Pause},
  {"reply", 3, kCommon, {}, KeyAccess::kNone, "@connection", "connection", "3.2.0", "Switches replies on or off.", "ON|OFF|SKIP", Reply},
  {"setinfo", 4, kCommon, {}, KeyAccess::kNone, "@connection", "connection", "7.2.0", "Tells which client library this is.", "LIB-NAME libname|LIB-VER libver", SetInfo},
  {"setname", 3, kCommon, {}, KeyAccess::kNone, "@connection", "connection", "2.6.9", "Names this connection.", "connection-name", SetName},
  {"tracking", -3, kCommon | kWalks, {}, KeyAccess::kNone, "@connection", "connection", "6.0.0", "Switches server-assisted client-side caching.", "ON|OFF [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]", ClientTracking},
  {"trackinginfo", 2, kCommon, {}, KeyAccess::kNone, "@connection", "connection", "6.2.0", "Tells about this connection's tracking.", "", ClientTrackingInfo},
  {"unblock", -3, kByAdmin, {}, KeyAccess::kNone, "@connection", "connection", "5.0.0", "Ends a client's wait for a key.", "client-id [TIMEOUT|ERROR]", Unblock},
  {"unpause", 2, kByAdmin, {}, KeyAccess::kNone, "@connection", "connection", "6.2.0", "Ends a pause.", "", Unpause},
};
const Row kRows[] = {
  {"client", -2, 0, {}, KeyAccess::kNone, "", "connection", "2.4.0", "Looks at and manages connections.", "", nullptr, kClientRows},
};
// clang-format on

}  // namespace

std::span<const Row> ClientCommands() { return kRows; }

}  // namespace understudy::command
