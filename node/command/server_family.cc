// The server itself: INFO, CONFIG, TIME, SLOWLOG, DEBUG, SHUTDOWN.
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <thread>

#include "common/log.h"
#include "node/command/call_context.h"
#include "node/command/dispatch.h"
#include "node/command/info.h"
#include "node/config/config.h"
#include "node/persist/rdb_writer.h"
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
  const Status status = ctx.services.config.Set(changes, !ctx.services.standalone);
  if (!status.ok()) return reply.Error("ERR " + std::string(status.message()));
  reply.Ok();
}

void ConfigResetStat(CallContext& ctx, Args, Writer& reply) {
  ctx.services.dispatcher.ResetStats();
  reply.Ok();
}

void ConfigRewrite(CallContext& ctx, Args, Writer& reply) {
  if (ctx.services.config.file.empty()) return reply.Error("ERR The server is running without a config file");
  reply.Error("ERR Rewriting config file: this server never writes its configuration file; change it by hand");
}

void ConfigHelp(CallContext&, Args, Writer& reply) {
  constexpr std::string_view kLines[] = {
      "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "GET <pattern> [<pattern> ...]",
      "    Options whose names match.",
      "SET <directive> <value> [<directive> <value> ...]",
      "    Changes options, all of them or none.",
      "RESETSTAT",
      "    Puts the counters of INFO to zero.",
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

// ---------------------------------------------------------------------------------------------- DEBUG

void DebugSleep(CallContext&, Args args, Writer& reply) {
  const std::string text(args[2]);
  char* end = nullptr;
  const double seconds = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || !std::isfinite(seconds) || seconds < 0) return reply.Error(resp::kNotFloat);
  std::this_thread::sleep_for(std::chrono::duration<double>(std::min(seconds, 3600.0)));
  reply.Ok();
}

void DebugSetActiveExpire(CallContext& ctx, Args args, Writer& reply) {
  if (args[2] != "0" && args[2] != "1") return reply.Error("ERR argument must be 0 or 1");
  ctx.services.dispatcher.set_active_expire(args[2] == "1");
  reply.Ok();
}

void DebugObject(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry = LookupPeek(ctx, FirstKey(ctx, args[2]));
  if (entry == nullptr) return reply.Error(resp::kNoSuchKey);
  constexpr size_t kAroundValue = 1 + 2 + 8;  // type, version, checksum
  char text[256];
  std::snprintf(text, sizeof(text), "Value at:%p refcount:1 encoding:%.*s serializedlength:%zu lru_seconds_idle:%u",
                static_cast<const void*>(entry), static_cast<int>(entry->EncodingName().size()),
                entry->EncodingName().data(), persist::DumpPayload(*entry).size() - kAroundValue,
                entry->IdleSeconds(ctx.now_ms));
  reply.SimpleString(text);
}

// DEBUG POPULATE count [prefix] [size]: keys for tests, not replicated, as in Redis.
void DebugPopulate(CallContext& ctx, Args args, Writer& reply) {
  int64_t count = 0, size = 0;
  if (!ReadInt64(args[2], &count, reply)) return;
  if (args.size() > 4 && !ReadInt64(args[4], &size, reply)) return;
  if (count < 0 || size < 0 || size > 1 << 20) return reply.Error("ERR value is out of range");
  const std::string prefix = args.size() > 3 ? std::string(args[3]) : "key";
  for (int64_t i = 0; i < count; ++i) {
    const std::string name = prefix + ":" + std::to_string(i);
    std::string value = "value:" + std::to_string(i);
    if (size > 0) value.resize(static_cast<size_t>(size), '\0');
    const Key key = AnyKey(ctx, name);
    if (key.shard.FindForWrite(ctx.db, name, key.hash, ctx.now_ms, ctx.view) != nullptr) continue;
    key.shard.Set(ctx.db, name, key.hash, value, ctx.now_ms);
  }
  reply.Ok();
}

void DebugJmap(CallContext&, Args, Writer& reply) {
  reply.Error("ERR DEBUG JMAP needs a Java virtual machine; this server has none");
}

// One of each RESP3 type, for tests of client libraries.
void DebugProtocol(CallContext&, Args args, Writer& reply) {
  const std::string_view kind = args[2];
  if (Is(kind, "string")) return reply.Bulk("Hello World");
  if (Is(kind, "integer")) return reply.Integer(12345);
  if (Is(kind, "double")) return reply.Double(3.141);
  if (Is(kind, "null")) return reply.Null();
  if (Is(kind, "true")) return reply.Boolean(true);
  if (Is(kind, "false")) return reply.Boolean(false);
  if (Is(kind, "verbatim")) return reply.Verbatim("txt", "This is a verbatim\nstring");
  if (Is(kind, "bignum")) {
    constexpr std::string_view kDigits = "1234567999999999999999999999999999999";
    if (reply.protocol() == 2) return reply.Bulk(kDigits);
    return reply.Raw("(" + std::string(kDigits) + "\r\n");
  }
  if (Is(kind, "array") || Is(kind, "set")) {
    if (Is(kind, "set")) {
      reply.Set(3);
    } else {
      reply.Array(3);
    }
    for (int i = 0; i < 3; ++i) reply.Integer(i);
    return;
  }
  if (Is(kind, "map")) {
    reply.Map(3);
    for (int i = 0; i < 3; ++i) {
      reply.Integer(i);
      reply.Boolean(i == 1);
    }
    return;
  }
  if (Is(kind, "attrib")) {
    if (reply.protocol() == 3) reply.Raw("|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n");
    return reply.Bulk("Some real reply following the attribute");
  }
  if (Is(kind, "push")) {
    reply.Push(2);
    reply.Bulk("server-cpu-usage");
    reply.Integer(42);
    return;
  }
  reply.Error(
      "ERR Wrong protocol type name. Please use one of the following: "
      "string|integer|double|null|array|set|map|attrib|push|verbatim|true|false");
}

void DebugError(CallContext&, Args args, Writer& reply) { reply.Error(args[2]); }

void DebugLog(CallContext&, Args args, Writer& reply) {
  LOG_INFO("DEBUG LOG: {}", std::string(args[2].substr(0, 1024)));
  reply.Ok();
}

void DebugHelp(CallContext&, Args, Writer& reply) {
  constexpr std::string_view kLines[] = {
      "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "ERROR <string>",
      "    Answers an error.",
      "LOG <message>",
      "    Writes to the server's log.",
      "OBJECT <key>",
      "    How a key is stored.",
      "POPULATE <count> [<prefix>] [<size>]",
      "    Makes keys <prefix>:<n>.",
      "PROTOCOL <type>",
      "    Answers a value of the type.",
      "SET-ACTIVE-EXPIRE (0|1)",
      "    Whether keys are removed when they expire, or only when they are used.",
      "SLEEP <seconds>",
      "    Stops this worker.",
      "HELP",
      "    This text.",
  };
  ReplyHelp(kLines, reply);
}

// ---------------------------------------------------------------------------------------------- others

void Shutdown(CallContext& ctx, Args args, Writer& reply) {
  if (!ctx.services.standalone) return ReplyManaged(reply, "SHUTDOWN");
  for (const std::string_view option : args.subspan(1)) {
    if (Is(option, "abort")) return reply.Error("ERR No shutdown in progress.");
    if (!Is(option, "nosave") && !Is(option, "save") && !Is(option, "now") && !Is(option, "force")) {
      return reply.Error(resp::kSyntaxError);
    }
    if (Is(option, "save")) return reply.Error("ERR SHUTDOWN SAVE is not possible: data is not written to disk");
  }
  LOG_INFO("shutting down: a client asked for it");
  // The way in which any signal ends the process; listeners stay open to the end.
  kill(getpid(), SIGTERM);
}

void ClusterDisabled(CallContext&, Args, Writer& reply) {
  reply.Error("ERR This instance has cluster support disabled");
}

void ModuleList(CallContext&, Args, Writer& reply) { reply.Array(0); }

// clang-format off
constexpr KeySpec kSecond{2, 2, 1};
constexpr uint32_t kByAdmin = kAdmin | kNoScript | kLoading | kStale;
const Row kConfigRows[] = {
  {"get", -3, kByAdmin, {}, KeyAccess::kNone, "", "server", "2.0.0", "Shows options.", "parameter [parameter ...]", ConfigGet},
  {"help", 2, kLoading | kStale, {}, KeyAccess::kNone, "", "server", "5.0.0", "Lists the subcommands.", "", ConfigHelp},
  {"resetstat", 2, kByAdmin, {}, KeyAccess::kNone, "", "server", "2.0.0", "Puts counters to zero.", "", ConfigResetStat},
  {"rewrite", 2, kByAdmin, {}, KeyAccess::kNone, "", "server", "2.8.0", "Would write the configuration file; refused.", "", ConfigRewrite},
  {"set", -4, kByAdmin, {}, KeyAccess::kNone, "", "server", "2.0.0", "Changes options.", "parameter value [parameter value ...]", ConfigSet},
};
const Row kSlowlogRows[] = {
  {"get", -2, kAdmin | kLoading | kStale, {}, KeyAccess::kNone, "", "server", "2.2.12", "Shows slow commands.", "[count]", SlowlogGet},
  {"help", 2, kLoading | kStale, {}, KeyAccess::kNone, "", "server", "6.2.0", "Lists the subcommands.", "", SlowlogHelp},
  {"len", 2, kAdmin | kLoading | kStale, {}, KeyAccess::kNone, "", "server", "2.2.12", "Counts the entries.", "", SlowlogLen},
  {"reset", 2, kAdmin | kLoading | kStale, {}, KeyAccess::kNone, "", "server", "2.2.12", "Removes the entries.", "", SlowlogReset},
};
const Row kDebugRows[] = {
  {"error", 3, kByAdmin | kForTests, {}, KeyAccess::kNone, "", "server", "1.0.0", "Answers an error.", "string", DebugError},
  {"help", 2, kLoading | kStale, {}, KeyAccess::kNone, "", "server", "1.0.0", "Lists the subcommands.", "", DebugHelp},
  {"jmap", -2, kByAdmin | kForTests, {}, KeyAccess::kNone, "", "server", "1.0.0", "Refused: it belongs to another kind of server.", "", DebugJmap},
  {"log", 3, kByAdmin | kForTests, {}, KeyAccess::kNone, "", "server", "1.0.0", "Writes to the log.", "message", DebugLog},
  {"object", 3, (kByAdmin & ~kLoading) | kForTests, kSecond, KeyAccess::kRead, "", "server", "1.0.0", "Shows how a key is stored.", "key", DebugObject},
  {"populate", -3, kWrite | kAdmin | kNoScript | kAllShards | kForTests, {}, KeyAccess::kNone, "", "server", "1.0.0", "Makes keys.", "count [prefix] [size]", DebugPopulate},
  {"protocol", 3, kByAdmin | kForTests, {}, KeyAccess::kNone, "", "server", "6.0.0", "Answers a value of a type.", "type", DebugProtocol},
  {"set-active-expire", 3, kByAdmin | kForTests, {}, KeyAccess::kNone, "", "server", "1.0.0", "Switches active expiry.", "0|1", DebugSetActiveExpire},
  {"sleep", 3, kByAdmin | kForTests, {}, KeyAccess::kNone, "", "server", "1.0.0", "Stops this worker.", "seconds", DebugSleep},
};
const Row kModuleRows[] = {
  {"list", 2, kAdmin | kNoScript | kLoading | kStale, {}, KeyAccess::kNone, "", "server", "4.0.0", "Lists modules: there are none.", "", ModuleList},
};
const Row kRows[] = {
  {"info", -1, kLoading | kStale, {}, KeyAccess::kNone, "@dangerous", "server", "1.0.0", "Tells about the server.", "[section [section ...]]", Info},
  {"time", 1, kLoading | kStale | kFast, {}, KeyAccess::kNone, "", "server", "2.6.0", "Tells the time.", "", Time},
  {"config", -2, 0, {}, KeyAccess::kNone, "", "server", "2.0.0", "Shows and changes options.", "", nullptr, kConfigRows},
  {"slowlog", -2, 0, {}, KeyAccess::kNone, "", "server", "2.2.12", "Shows slow commands.", "", nullptr, kSlowlogRows},
  {"debug", -2, kAdmin, {}, KeyAccess::kNone, "", "server", "1.0.0", "For tests.", "", nullptr, kDebugRows},
  {"module", -2, 0, {}, KeyAccess::kNone, "", "server", "4.0.0", "Tells about modules.", "", nullptr, kModuleRows},
  {"cluster", -2, kLoading | kStale, {}, KeyAccess::kNone, "", "cluster", "3.0.0", "Refused: there is no cluster mode.", "[subcommand]", ClusterDisabled},
  {"shutdown", -1, kAdmin | kNoScript | kLoading | kStale | kNoMulti | kAllowBusy, {}, KeyAccess::kNone, "", "server", "1.0.0", "Ends the process.", "[NOSAVE] [NOW] [FORCE]", Shutdown},
};
// clang-format on

}  // namespace

std::span<const Row> ServerCommands() { return kRows; }

}  // namespace understudy::command
