// What clients ask about that this server has not: cluster mode, modules.
#include "node/command/call_context.h"
#include "node/resp/writer.h"

namespace understudy::command {
namespace {

using resp::Writer;

void ClusterDisabled(CallContext&, Args, Writer& reply) {
  reply.Error("ERR This instance has cluster support disabled");
}

void ModuleList(CallContext&, Args, Writer& reply) { reply.Array(0); }

void ModuleRefused(CallContext&, Args, Writer& reply) {
  reply.Error(
      "ERR MODULE command not allowed. If the enable-module-command option is set to \"local\", you can run it from a "
      "local connection, otherwise you need to set this option in the configuration file, and then restart the "
      "server.");
}

void ModuleHelp(CallContext&, Args, Writer& reply) {
  constexpr std::string_view kLines[] = {
      "MODULE <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "LIST",
      "    Lists modules: there are none, and none can be loaded.",
      "HELP",
      "    This text.",
  };
  ReplyHelp(kLines, reply);
}

// clang-format off
constexpr uint32_t kByAdmin = kAdmin | kStale;
constexpr uint32_t kChange = kByAdmin | kNoAsyncLoading;
constexpr uint32_t kConnection = kLoading | kStale | kFast;
constexpr uint32_t kLoad = kAdmin | kNoScript | kNoAsyncLoading;
constexpr std::string_view kRefused = "Refused: there is no cluster mode.";
const Row kClusterRows[] = {
  {"addslots", -3, kChange, {}, KeyAccess::kNone, "", "cluster", "3.0.0", kRefused, "slot [slot ...]", ClusterDisabled},
  {"addslotsrange", -4, kChange, {}, KeyAccess::kNone, "", "cluster", "7.0.0", kRefused, "start-slot end-slot [start-slot end-slot ...]", ClusterDisabled},
  {"bumpepoch", 2, kChange, {}, KeyAccess::kNone, "", "cluster", "3.0.0", kRefused, "", ClusterDisabled},
  {"count-failure-reports", 3, kByAdmin, {}, KeyAccess::kNone, "", "cluster", "3.0.0", kRefused, "node-id", ClusterDisabled},
  {"countkeysinslot", 3, kStale, {}, KeyAccess::kNone, "", "cluster", "3.0.0", kRefused, "slot", ClusterDisabled},
  {"delslots", -3, kChange, {}, KeyAccess::kNone, "", "cluster", "3.0.0", kRefused, "slot [slot ...]", ClusterDisabled},
  {"delslotsrange", -4, kChange, {}, KeyAccess::kNone, "", "cluster", "7.0.0", kRefused, "start-slot end-slot [start-slot end-slot ...]", ClusterDisabled},
  {"failover", -2, kChange, {}, KeyAccess::kNone, "", "cluster", "3.0.0", kRefused, "[FORCE|TAKEOVER]", ClusterDisabled},
  {"flushslots", 2, kChange, {}, KeyAccess::kNone, "", "cluster", "3.0.0", kRefused, "", ClusterDisabled},
  {"forget", 3, kChange, {}, KeyAccess::kNone, "", "cluster", "3.0.0", kRefused, "node-id", ClusterDisabled},
  {"getkeysinslot", 4, kStale, {}, KeyAccess::kNone, "", "cluster", "3.0.0", kRefused, "slot count", ClusterDisabled},
  {"help", 2, kLoading | kStale, {}, KeyAccess::kNone, "", "cluster", "5.0.0", kRefused, "", ClusterDisabled},
  {"info", 2, kStale, {}, KeyAccess::kNone, "", "cluster", "3.0.0", kRefused, "", ClusterDisabled},
  {"keyslot", 3, kStale, {}, KeyAccess::kNone, "", "cluster", "3.0.0", kRefused, "key", ClusterDisabled},
  {"links", 2, kStale, {}, KeyAccess::kNone, "", "cluster", "7.0.0", kRefused, "", ClusterDisabled},
  {"meet", -4, kChange, {}, KeyAccess::kNone, "", "cluster", "3.0.0", kRefused, "ip port [cluster-bus-port]", ClusterDisabled},
  {"myid", 2, kStale, {}, KeyAccess::kNone, "", "cluster", "3.0.0", kRefused, "", ClusterDisabled},
  {"myshardid", 2, kStale, {}, KeyAccess::kNone, "", "cluster", "7.2.0", kRefused, "", ClusterDisabled},
  {"nodes", 2, kStale, {}, KeyAccess::kNone, "", "cluster", "3.0.0", kRefused, "", ClusterDisabled},
  {"replicas", 3, kByAdmin, {}, KeyAccess::kNone, "", "cluster", "5.0.0", kRefused, "node-id", ClusterDisabled},
  {"replicate", 3, kChange, {}, KeyAccess::kNone, "", "cluster", "3.0.0", kRefused, "node-id", ClusterDisabled},
  {"reset", -2, kByAdmin | kNoScript, {}, KeyAccess::kNone, "", "cluster", "3.0.0", kRefused, "[HARD|SOFT]", ClusterDisabled},
  {"saveconfig", 2, kChange, {}, KeyAccess::kNone, "", "cluster", "3.0.0", kRefused, "", ClusterDisabled},
  {"set-config-epoch", 3, kChange, {}, KeyAccess::kNone, "", "cluster", "3.0.0", kRefused, "config-epoch", ClusterDisabled},
  {"setslot", -4, kChange, {}, KeyAccess::kNone, "", "cluster", "3.0.0", kRefused, "slot IMPORTING node-id|MIGRATING node-id|NODE node-id|STABLE", ClusterDisabled},
  {"shards", 2, kLoading | kStale, {}, KeyAccess::kNone, "", "cluster", "7.0.0", kRefused, "", ClusterDisabled},
  {"slaves", 3, kByAdmin, {}, KeyAccess::kNone, "", "cluster", "3.0.0", kRefused, "node-id", ClusterDisabled},
  {"slots", 2, kLoading | kStale, {}, KeyAccess::kNone, "", "cluster", "3.0.0", kRefused, "", ClusterDisabled},
};
const Row kModuleRows[] = {
  {"help", 2, kLoading | kStale, {}, KeyAccess::kNone, "", "server", "5.0.0", "Lists the subcommands.", "", ModuleHelp},
  {"list", 2, kAdmin | kNoScript, {}, KeyAccess::kNone, "", "server", "4.0.0", "Lists modules: there are none.", "", ModuleList},
  {"load", -3, kLoad, {}, KeyAccess::kNone, "", "server", "4.0.0", "Refused: there are no modules.", "path [arg [arg ...]]", ModuleRefused},
  {"loadex", -3, kLoad, {}, KeyAccess::kNone, "", "server", "7.0.0", "Refused: there are no modules.", "path [CONFIG name value [CONFIG name value ...]] [ARGS args ...]", ModuleRefused},
  {"unload", 3, kLoad, {}, KeyAccess::kNone, "", "server", "4.0.0", "Refused: there are no modules.", "name", ModuleRefused},
};
const Row kRows[] = {
  {"asking", 1, kFast, {}, KeyAccess::kNone, "@connection", "cluster", "3.0.0", kRefused, "", ClusterDisabled},
  {"cluster", -2, 0, {}, KeyAccess::kNone, "", "cluster", "3.0.0", kRefused, "", nullptr, kClusterRows},
  {"module", -2, 0, {}, KeyAccess::kNone, "", "server", "4.0.0", "Tells about modules.", "", nullptr, kModuleRows},
  {"readonly", 1, kConnection, {}, KeyAccess::kNone, "@connection", "cluster", "3.0.0", kRefused, "", ClusterDisabled},
  {"readwrite", 1, kConnection, {}, KeyAccess::kNone, "@connection", "cluster", "3.0.0", kRefused, "", ClusterDisabled},
};
// clang-format on

}  // namespace

std::span<const Row> ClusterCommands() { return kRows; }

}  // namespace understudy::command
