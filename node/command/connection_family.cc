// A client's own connection: AUTH, HELLO, PING, SELECT, QUIT, RESET.
#include <algorithm>
#include <utility>

#include "node/command/call_context.h"
#include "node/command/client_registry.h"
#include "node/command/dispatch.h"
#include "node/config/config.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"
#include "node/role/role_gate.h"

namespace understudy::command {
namespace {

using resp::Writer;

constexpr size_t kMostNameBytes = 1024;  // of a user in ACL LOG

void Ping(CallContext& ctx, Args args, Writer& reply) {
  if (args.size() > 2) return reply.Error("ERR wrong number of arguments for 'ping' command");
  if (ctx.session->only_listens) {  // an answer that looks like a message
    reply.Array(2);
    reply.Bulk("pong");
    return reply.Bulk(args.size() == 2 ? args[1] : "");
  }
  if (args.size() == 2) return reply.Bulk(args[1]);
  reply.SimpleString("PONG");
}

void Echo(CallContext&, Args args, Writer& reply) { reply.Bulk(args[1]); }

void Select(CallContext& ctx, Args args, Writer& reply) {
  int db = 0;
  if (!ReadDb(ctx, args[1], &db, reply)) return;
  ctx.session->db.store(db, std::memory_order_relaxed);
  reply.Ok();
}

void Quit(CallContext& ctx, Args, Writer& reply) {
  reply.Ok();
  ctx.session->connection.CloseAfterFlush();
}

// ---------------------------------------------------------------------------------------------- AUTH, HELLO

// False: the error is written, and ACL LOG has it.
bool Authenticate(CallContext& ctx, Args args, std::string_view user, std::string_view password, Writer& reply) {
  Dispatcher& dispatcher = ctx.services.dispatcher;
  Session& session = *ctx.session;
  if (dispatcher.acl().LogIn(session, user, password, dispatcher.clients())) return true;
  acl::DenialLog::Entry entry;
  entry.reason = "auth";
  entry.context = ctx.in_exec ? "multi" : "toplevel";
  entry.object = args[0];
  entry.user = user.substr(0, kMostNameBytes);
  entry.client = DescribeClient(session, ctx.services.table, ctx.now_ms);
  dispatcher.acl().NoteDenial(std::move(entry), ctx.now_ms);
  reply.Error(resp::kWrongPass);
  return false;
}

void Auth(CallContext& ctx, Args args, Writer& reply) {
  if (args.size() > 3) return reply.Error(resp::kSyntaxError);
  if (args.size() == 2 && ctx.services.dispatcher.acl().Find(acl::kDefaultUser)->no_password()) {
    return reply.Error(
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your "
        "configuration is correct?");
  }
  const std::string_view user = args.size() == 3 ? args[1] : acl::kDefaultUser;
  if (Authenticate(ctx, args, user, args.back(), reply)) reply.Ok();
}

bool PrintableName(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= '!' && c <= '~'; });
}

void Hello(CallContext& ctx, Args args, Writer& reply) {
  Session& session = *ctx.session;
  int64_t protocol = session.protocol.load(std::memory_order_relaxed);
  if (args.size() > 1) {
    if (!ParseInt64(args[1], &protocol)) {
      return reply.Error("ERR Protocol version is not an integer or out of range");
    }
    if (protocol < 2 || protocol > 3) return reply.Error(resp::kNoProto);
  }
  std::string_view name, user, password;
  bool has_name = false, has_user = false;
  for (size_t i = 2; i < args.size(); ++i) {
    const size_t left = args.size() - i - 1;
    if (Is(args[i], "auth") && left >= 2) {
      user = args[i + 1];
      password = args[i + 2];
      has_user = true;
      i += 2;
    } else if (Is(args[i], "setname") && left >= 1) {
      name = args[++i];
      has_name = true;
      if (!PrintableName(name)) {
        return reply.Error("ERR Client names cannot contain spaces, newlines or special characters.");
      }
    } else {
      return reply.Error("ERR Syntax error in HELLO option '" + std::string(args[i]) + "'");
    }
  }
  if (has_user && !Authenticate(ctx, args, user, password, reply)) return;
  if (!session.authenticated) {
    return reply.Error(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> "
        "<pass> option can be used to authenticate the client and select the RESP protocol version at the same time");
  }
  if (has_name) {
    ctx.services.dispatcher.clients().Update(session, [&](Session& s) { s.name = name; });
  }
  session.protocol.store(static_cast<int>(protocol), std::memory_order_relaxed);
  reply.set_protocol(static_cast<int>(protocol));
  NoteSubscriptions(session);
  const bool replica = ctx.services.gate.mode() == role::GateState::Mode::kReplica;
  const std::string zone = ctx.services.config.availability_zone();
  reply.Map(zone.empty() ? 7 : 8);
  reply.Bulk("server");
  reply.Bulk("redis");
  reply.Bulk("version");
  reply.Bulk(config::kRedisVersion);
  reply.Bulk("proto");
  reply.Integer(protocol);
  reply.Bulk("id");
  reply.Integer(static_cast<int64_t>(session.connection.id()));
  reply.Bulk("mode");
  reply.Bulk("standalone");
  reply.Bulk("role");
  reply.Bulk(replica ? "replica" : "master");
  reply.Bulk("modules");
  reply.Array(0);
  if (zone.empty()) return;
  reply.Bulk("availability_zone");
  reply.Bulk(zone);
}

void Reset(CallContext& ctx, Args, Writer& reply) {
  Session& session = *ctx.session;
  session.transaction.reset();
  session.multi_commands.store(-1, std::memory_order_relaxed);
  UnwatchAll(ctx.keyspace, session, false);
  EndSubscriptions(ctx.services, session);
  ctx.services.dispatcher.tracking().Disable(session);
  ctx.services.dispatcher.monitors().Remove(session);
  session.db.store(0, std::memory_order_relaxed);
  session.protocol.store(2, std::memory_order_relaxed);
  session.reply_mode = Session::kReplyOn;
  session.no_evict.store(false, std::memory_order_relaxed);
  session.no_touch.store(false, std::memory_order_relaxed);
  session.takes_redirects.store(false, std::memory_order_relaxed);
  session.import_source.store(false, std::memory_order_relaxed);
  ctx.services.dispatcher.acl().Open(session, ctx.services.dispatcher.clients());
  ctx.services.dispatcher.clients().Update(session, [](Session& s) { s.name.clear(); });
  reply.set_protocol(2);
  reply.SimpleString("RESET");
}

// clang-format off
constexpr uint32_t kAlways = kNoScript | kLoading | kStale | kFast | kAllowBusy;
const Row kRows[] = {
  {"ping", -1, kFast | kLoading | kStale | kWhenSubscribed, {}, KeyAccess::kNone, "@connection", "connection", "1.0.0", "Answers PONG, or its argument.", "[message]", Ping},
  {"echo", 2, kLoading | kStale | kFast, {}, KeyAccess::kNone, "@connection", "connection", "1.0.0", "Answers its argument.", "message", Echo},
  {"select", 2, kLoading | kStale | kFast, {}, KeyAccess::kNone, "@connection", "connection", "1.0.0", "Chooses the database of this connection.", "index", Select},
  {"auth", -2, kAlways | kNoAuth, {}, KeyAccess::kNone, "@connection", "connection", "1.0.0", "Proves who the client is.", "[username] password", Auth},
  {"hello", -1, kAlways | kNoAuth, {}, KeyAccess::kNone, "@connection", "connection", "6.0.0", "Chooses the protocol version and tells about the server.", "[protover [AUTH username password] [SETNAME clientname]]", Hello},
  {"quit", -1, kAlways | kNoAuth | kImmediate | kWhenSubscribed, {}, KeyAccess::kNone, "@connection", "connection", "1.0.0", "Closes the connection.", "", Quit},
  {"reset", 1, kAlways | kNoAuth | kImmediate | kWhenSubscribed, {}, KeyAccess::kNone, "@connection", "connection", "6.2.0", "Puts the connection into the state of a new one.", "", Reset},
};
// clang-format on

}  // namespace

std::span<const Row> ConnectionCommands() { return kRows; }

}  // namespace understudy::command
