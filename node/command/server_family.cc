// The server itself: INFO, CONFIG, TIME, SLOWLOG.
#include <time.h>

#include "node/command/call_context.h"
#include "node/command/config_rewrite.h"
#include "node/command/dispatch.h"
#include "node/command/info.h"
#include "node/config/config.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"

namespace understudy::command {
namespace {

using resp::Writer;

void Info(CallContext& ctx, Args args, Writer& reply) {
  reply.Verbatim("txt", BuildInfo(ctx.services, args.subspan(1)));
}

void Time(CallContext&, Args, Writer& reply) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  reply.Array(2);
  reply.BulkInteger(now.tv_sec);
  reply.BulkInteger(now.tv_nsec / 1000);
}

// ---------------------------------------------------------------------------------------------- CONFIG

void ConfigGet(CallContext& ctx, Args args, Writer& reply) {
  const auto pairs = ctx.services.config.Get(args.subspan(2));
  reply.Map(pairs.size());
  for (const auto& [name, value] : pairs) {
    reply.Bulk(name);
    reply.Bulk(value);
  }
}

void ConfigSet(CallContext& ctx, Args args, Writer& reply) {
  if (args.size() % 2 != 0) return reply.Error("ERR wrong number of arguments for 'config|set' command");
  std::vector<std::pair<std::string_view, std::string_view>> changes;
  for (size_t i = 2; i < args.size(); i += 2) changes.emplace_back(args[i], args[i + 1]);
  const config::Config& config = ctx.services.config;
  const Status status = ctx.services.config.Set(
      changes, {.managed = !ctx.services.standalone,
                .may_set_protected = Allows(config.protected_configs, ctx.session->connection)});
  if (!status.ok()) return reply.Error("ERR " + std::string(status.message()));
  ctx.services.dispatcher.SetThresholds();
  reply.Ok();
}

void ConfigResetStat(CallContext& ctx, Args, Writer& reply) {
  ctx.services.dispatcher.ResetStats();
  reply.Ok();
}

void ConfigRewrite(CallContext& ctx, Args, Writer& reply) { RewriteConfigFile(ctx, false, reply); }

void ConfigHelp(CallContext&, Args, Writer& reply) {
  constexpr std::string_view kLines[] = {
      "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "GET <pattern> [<pattern> ...]",
      "    Options whose names match.",
      "SET <directive> <value> [<directive> <value> ...]",
      "    Changes options, all of them or none.",
      "RESETSTAT",
      "    Puts the counters of INFO to zero.",
      "REWRITE",
      "    Writes the options of now into the configuration file.",
      "HELP",
      "    This text.",
  };
  ReplyHelp(kLines, reply);
}

// ---------------------------------------------------------------------------------------------- SLOWLOG

void SlowlogGet(CallContext& ctx, Args args, Writer& reply) {
  int64_t count = 10;
  if (args.size() > 3) return reply.Error(resp::kSyntaxError);
  if (args.size() == 3 && (!ParseInt64(args[2], &count) || count < -1)) {
    return reply.Error("ERR count should be greater than or equal to -1");
  }
  const auto entries = ctx.services.dispatcher.slowlog().Get(count);
  reply.Array(entries.size());
  for (const Slowlog::Entry& entry : entries) {
    reply.Array(6);
    reply.Integer(static_cast<int64_t>(entry.id));
    reply.Integer(entry.unix_s);
    reply.Integer(entry.us);
    reply.Array(entry.arguments.size());
    for (const std::string& argument : entry.arguments) reply.Bulk(argument);
    reply.Bulk(entry.peer);
    reply.Bulk(entry.name);
  }
}

void SlowlogLen(CallContext& ctx, Args, Writer& reply) {
  reply.Integer(static_cast<int64_t>(ctx.services.dispatcher.slowlog().size()));
}

void SlowlogReset(CallContext& ctx, Args, Writer& reply) {
  ctx.services.dispatcher.slowlog().Clear();
  reply.Ok();
}

void SlowlogHelp(CallContext&, Args, Writer& reply) {
  constexpr std::string_view kLines[] = {
      "SLOWLOG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "GET [<count>]",
      "    The newest entries, 10 unless told, -1 for all.",
      "LEN",
      "    How many entries there are.",
      "RESET",
      "    Removes them.",
      "HELP",
      "    This text.",
  };
  ReplyHelp(kLines, reply);
}

// ---------------------------------------------------------------------------------------------- others

void Monitor(CallContext& ctx, Args, Writer& reply) {
  if (ctx.in_exec) return reply.Error("ERR MONITOR isn't allowed for DENY BLOCKING client");
  ctx.services.dispatcher.monitors().Add(*ctx.session);
  ctx.services.dispatcher.SetThresholds();
  reply.Ok();
}

void Lolwut(CallContext&, Args, Writer& reply) {
  reply.Verbatim("txt", "Redis ver. " + std::string(config::kRedisVersion) + "\n");
}

// clang-format off
constexpr uint32_t kByAdmin = kAdmin | kNoScript | kLoading | kStale;
const Row kConfigRows[] = {
  {"get", -3, kByAdmin, {}, KeyAccess::kNone, "", "server", "2.0.0", "Shows options.", "parameter [parameter ...]", ConfigGet},
  {"help", 2, kLoading | kStale, {}, KeyAccess::kNone, "", "server", "5.0.0", "Lists the subcommands.", "", ConfigHelp},
  {"resetstat", 2, kByAdmin, {}, KeyAccess::kNone, "", "server", "2.0.0", "Puts counters to zero.", "", ConfigResetStat},
  {"rewrite", 2, kByAdmin, {}, KeyAccess::kNone, "", "server", "2.8.0", "Writes the options of now into the configuration file.", "", ConfigRewrite},
  {"set", -4, kByAdmin, {}, KeyAccess::kNone, "", "server", "2.0.0", "Changes options.", "parameter value [parameter value ...]", ConfigSet},
};
const Row kSlowlogRows[] = {
  {"get", -2, kAdmin | kLoading | kStale, {}, KeyAccess::kNone, "", "server", "2.2.12", "Shows slow commands.", "[count]", SlowlogGet},
  {"help", 2, kLoading | kStale, {}, KeyAccess::kNone, "", "server", "6.2.0", "Lists the subcommands.", "", SlowlogHelp},
  {"len", 2, kAdmin | kLoading | kStale, {}, KeyAccess::kNone, "", "server", "2.2.12", "Counts the entries.", "", SlowlogLen},
  {"reset", 2, kAdmin | kLoading | kStale, {}, KeyAccess::kNone, "", "server", "2.2.12", "Removes the entries.", "", SlowlogReset},
};
const Row kRows[] = {
  {"info", -1, kLoading | kStale, {}, KeyAccess::kNone, "@dangerous", "server", "1.0.0", "Tells about the server.", "[section [section ...]]", Info},
  {"time", 1, kLoading | kStale | kFast, {}, KeyAccess::kNone, "", "server", "2.6.0", "Tells the time.", "", Time},
  {"config", -2, 0, {}, KeyAccess::kNone, "", "server", "2.0.0", "Shows and changes options.", "", nullptr, kConfigRows},
  {"slowlog", -2, 0, {}, KeyAccess::kNone, "", "server", "2.2.12", "Shows slow commands.", "", nullptr, kSlowlogRows},
  {"lolwut", -1, kReadonly | kFast, {}, KeyAccess::kNone, "", "server", "5.0.0", "Tells the version.", "[VERSION version]", Lolwut},
  {"monitor", 1, kByAdmin, {}, KeyAccess::kNone, "", "server", "1.0.0", "Shows every command that clients send.", "", Monitor},
};
// clang-format on

}  // namespace

std::span<const Row> ServerCommands() { return kRows; }

}  // namespace understudy::command
