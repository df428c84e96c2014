// ACL: users and their rules, who was refused what.
#include <algorithm>
#include <utility>

#include "common/random.h"
#include "node/command/acl.h"
#include "node/command/call_context.h"
#include "node/command/client_registry.h"
#include "node/command/dispatch.h"
#include "node/config/config.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"

namespace understudy::command {
namespace {

using resp::Writer;

constexpr int64_t kMostPasswordBits = 4096;

Acl& AclOf(const CallContext& ctx) { return ctx.services.dispatcher.acl(); }

void WrongArguments(std::string_view subcommand, Writer& reply) {
  reply.Error("ERR unknown subcommand or wrong number of arguments for '" + std::string(subcommand.substr(0, 128)) +
              "'. Try ACL HELP.");
}

// ---------------------------------------------------------------------------------------------- users

void WhoAmI(CallContext& ctx, Args, Writer& reply) { reply.Bulk(ctx.session->acl_user->name()); }

void List(CallContext& ctx, Args, Writer& reply) {
  const acl::Users users = AclOf(ctx).users();
  reply.Array(users.size());
  for (const auto& [name, user] : users) reply.Bulk(acl::FormatUser(*user));
}

void Users(CallContext& ctx, Args, Writer& reply) {
  const acl::Users users = AclOf(ctx).users();
  reply.Array(users.size());
  for (const auto& [name, user] : users) reply.Bulk(name);
}

void ReplySelector(const acl::Selector& selector, Writer& reply) {
  reply.Bulk("commands");
  reply.Bulk(selector.Commands());
  reply.Bulk("keys");
  reply.Bulk(selector.Keys());
  reply.Bulk("channels");
  reply.Bulk(selector.Channels());
  reply.Bulk("databases");
  reply.Bulk(selector.Databases());
}

void GetUser(CallContext& ctx, Args args, Writer& reply) {
  const std::shared_ptr<const acl::User> user = AclOf(ctx).Find(args[2]);
  if (user == nullptr) return reply.Null();
  reply.Map(7);
  reply.Bulk("flags");
  const auto flags = user->Flags();
  reply.Set(flags.size());
  for (const std::string_view flag : flags) reply.Bulk(flag);
  reply.Bulk("passwords");
  reply.Array(user->passwords().size());
  for (const std::string& password : user->passwords()) reply.Bulk(password);
  // The root selector's fields, then the others.
  ReplySelector(user->selectors()[0], reply);
  reply.Bulk("selectors");
  const auto others = user->selectors().subspan(1);
  reply.Array(others.size());
  for (const acl::Selector& selector : others) {
    reply.Map(4);
    ReplySelector(selector, reply);
  }
}

void SetUser(CallContext& ctx, Args args, Writer& reply) {
  const Status status = AclOf(ctx).SetUser(args[2], args.subspan(3));
  if (!status.ok()) return reply.Error("ERR " + std::string(status.message()));
  CloseRevokedSubscribers(ctx);
  ReplyWhenClosed(ctx, "+OK\r\n", reply);
}

void DelUser(CallContext& ctx, Args args, Writer& reply) {
  const Args names = args.subspan(2);
  if (std::find(names.begin(), names.end(), acl::kDefaultUser) != names.end()) {
    return reply.Error("ERR The 'default' user cannot be removed");
  }
  const size_t removed = AclOf(ctx).Remove(names);
  CloseClients(ctx, [&](const Session& s) { return std::find(names.begin(), names.end(), s.user) != names.end(); });
  ReplyWhenClosed(ctx, ":" + std::to_string(removed) + "\r\n", reply);
}

// ---------------------------------------------------------------------------------------------- file

bool HasFile(const CallContext& ctx, Writer& reply) {
  if (!ctx.services.config.acl_file.empty()) return true;
  reply.Error(
      "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER "
      "command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store "
      "users in the Redis configuration.");
  return false;
}

void Load(CallContext& ctx, Args, Writer& reply) {
  if (!HasFile(ctx, reply)) return;
  const Status status = AclOf(ctx).LoadFile();
  if (!status.ok()) return reply.Error("ERR " + std::string(status.message()));
  const acl::Users users = AclOf(ctx).users();
  CloseClients(ctx, [&](const Session& s) { return !users.contains(s.user); });
  CloseRevokedSubscribers(ctx);
  ReplyWhenClosed(ctx, "+OK\r\n", reply);
}

void Save(CallContext& ctx, Args, Writer& reply) {
  if (!HasFile(ctx, reply)) return;
  const Status status = AclOf(ctx).SaveFile();
  if (!status.ok()) return reply.Error("ERR " + std::string(status.message()));
  reply.Ok();
}

// ---------------------------------------------------------------------------------------------- questions

void Cat(CallContext& ctx, Args args, Writer& reply) {
  if (args.size() > 3) return WrongArguments(args[1], reply);
  if (args.size() == 2) {
    reply.Array(acl::CategoryNames().size());
    for (const std::string_view name : acl::CategoryNames()) reply.Bulk(name);
    return;
  }
  const acl::Categories category = acl::CategoryByName(args[2]);
  if (category == 0) return reply.Error("ERR Unknown category '" + std::string(args[2].substr(0, 128)) + "'");
  const acl::CommandList& commands = AclOf(ctx).commands();
  std::vector<std::string_view> names;
  for (uint32_t i = 0; i < commands.size(); ++i) {
    if (commands.At(i).categories & category) names.push_back(commands.At(i).name);
  }
  reply.Array(names.size());
  for (const std::string_view name : names) reply.Bulk(name);
}

void GenPass(CallContext&, Args args, Writer& reply) {
  int64_t bits = 256;
  if (args.size() > 3) return WrongArguments(args[1], reply);
  if (args.size() == 3 && !ReadInt64(args[2], &bits, reply)) return;
  if (bits <= 0 || bits > kMostPasswordBits) {
    return reply.Error(
        "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096");
  }
  const auto digits = static_cast<size_t>((bits + 3) / 4);
  reply.Bulk(RandomHex((digits + 1) / 2).substr(0, digits));
}

void DryRun(CallContext& ctx, Args args, Writer& reply) {
  const std::shared_ptr<const acl::User> user = AclOf(ctx).Find(args[2]);
  if (user == nullptr) return reply.Error("ERR User '" + std::string(args[2]) + "' not found");
  const Args inner = args.subspan(3);
  const Row* row = ctx.services.table.Find(inner[0]);
  if (row != nullptr && !row->subcommands.empty() && inner.size() > 1) row = FindSubcommand(*row, inner);
  if (row == nullptr) return reply.Error("ERR Command '" + std::string(inner[0]) + "' not found");
  const std::string name = ctx.services.table.FullName(row->index);
  if (!ArityFits(*row, inner.size())) return reply.Error("ERR wrong number of arguments for '" + name + "' command");
  const acl::Verdict verdict = CheckPermission(*user, *row, inner, {ctx.db, ctx.keyspace.databases()});
  if (!verdict.allowed()) return reply.Bulk(DenialText(verdict, *user, name, inner, true));
  reply.Ok();
}

// ---------------------------------------------------------------------------------------------- LOG

void Log(CallContext& ctx, Args args, Writer& reply) {
  int64_t count = 10;
  if (args.size() > 3) return WrongArguments(args[1], reply);
  if (args.size() == 3 && Is(args[2], "reset")) {
    AclOf(ctx).ClearDenials();
    return reply.Ok();
  }
  if (args.size() == 3 && !ReadInt64(args[2], &count, reply)) return;
  auto entries = AclOf(ctx).Denials();
  entries.resize(std::min(entries.size(), static_cast<size_t>(std::max<int64_t>(count, 0))));
  reply.Array(entries.size());
  for (const acl::DenialLog::Entry& entry : entries) {
    reply.Map(10);
    reply.Bulk("count");
    reply.Integer(static_cast<int64_t>(entry.count));
    reply.Bulk("reason");
    reply.Bulk(entry.reason);
    reply.Bulk("context");
    reply.Bulk(entry.context);
    reply.Bulk("object");
    reply.Bulk(entry.object);
    reply.Bulk("username");
    reply.Bulk(entry.user);
    reply.Bulk("age-seconds");
    reply.Double(static_cast<double>(std::max<int64_t>(ctx.now_ms - entry.updated_ms, 0)) / 1000);
    reply.Bulk("client-info");
    reply.Bulk(entry.client);
    reply.Bulk("entry-id");
    reply.Integer(static_cast<int64_t>(entry.id));
    reply.Bulk("timestamp-created");
    reply.Integer(entry.created_ms);
    reply.Bulk("timestamp-last-updated");
    reply.Integer(entry.updated_ms);
  }
}

void Help(CallContext&, Args, Writer& reply) {
  constexpr std::string_view kLines[] = {
      "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "CAT [<category>]",
      "    The categories, or the commands of one of them.",
      "DELUSER <username> [<username> ...]",
      "    Removes users and closes their connections.",
      "DRYRUN <username> <command> [<arg> ...]",
      "    Whether the user may run the command; it is not run.",
      "GENPASS [<bits>]",
      "    A random password of 256 bits, or of as many as are asked for.",
      "GETUSER <username>",
      "    What a user may do.",
      "LIST",
      "    All users, as the ACL file has them.",
      "LOAD",
      "    Reads the ACL file anew.",
      "LOG [<count> | RESET]",
      "    What was refused to whom, newest first; or forgets it.",
      "SAVE",
      "    Writes the users into the ACL file.",
      "SETUSER <username> [<rule> ...]",
      "    Makes a user, or changes what he may do.",
      "USERS",
      "    The names of all users.",
      "WHOAMI",
      "    The user of this connection.",
      "HELP",
      "    This text.",
  };
  ReplyHelp(kLines, reply);
}

// clang-format off
constexpr uint32_t kAnybody = kNoScript | kLoading | kStale;
constexpr uint32_t kByAdmin = kAnybody | kAdmin;
const Row kAclRows[] = {
  {"cat", -2, kAnybody, {}, KeyAccess::kNone, "", "server", "6.0.0", "Lists the categories, or the commands of one.", "[category]", Cat},
  {"deluser", -3, kByAdmin, {}, KeyAccess::kNone, "", "server", "6.0.0", "Removes users and closes their connections.", "username [username ...]", DelUser},
  {"dryrun", -4, kByAdmin, {}, KeyAccess::kNone, "", "server", "7.0.0", "Tells whether a user may run a command.", "username command [arg ...]", DryRun},
  {"genpass", -2, kAnybody, {}, KeyAccess::kNone, "", "server", "6.0.0", "Makes a random password.", "[bits]", GenPass},
  {"getuser", 3, kByAdmin, {}, KeyAccess::kNone, "", "server", "6.0.0", "Tells what a user may do.", "username", GetUser},
  {"help", 2, kLoading | kStale, {}, KeyAccess::kNone, "", "server", "6.0.0", "Lists the subcommands.", "", Help},
  {"list", 2, kByAdmin, {}, KeyAccess::kNone, "", "server", "6.0.0", "Lists the users with their rules.", "", List},
  {"load", 2, kByAdmin, {}, KeyAccess::kNone, "", "server", "6.0.0", "Reads the ACL file anew.", "", Load},
  {"log", -2, kByAdmin, {}, KeyAccess::kNone, "", "server", "6.0.0", "Shows what was refused.", "[count|RESET]", Log},
  {"save", 2, kByAdmin, {}, KeyAccess::kNone, "", "server", "6.0.0", "Writes the users into the ACL file.", "", Save},
  {"setuser", -3, kByAdmin, {}, KeyAccess::kNone, "", "server", "6.0.0", "Makes or changes a user.", "username [rule [rule ...]]", SetUser},
  {"users", 2, kByAdmin, {}, KeyAccess::kNone, "", "server", "6.0.0", "Lists the names of the users.", "", Users},
  {"whoami", 2, kAnybody, {}, KeyAccess::kNone, "", "server", "6.0.0", "Tells the user of this connection.", "", WhoAmI},
};
const Row kRows[] = {
  {"acl", -2, 0, {}, KeyAccess::kNone, "", "server", "6.0.0", "Manages users and what they may do.", "", nullptr, kAclRows},
};
// clang-format on

}  // namespace

std::span<const Row> AclCommands() { return kRows; }

}  // namespace understudy::command
