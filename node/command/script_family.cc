// EVAL and its kin; SCRIPT. How a script runs: script_host.h.
#include <string>

#include "common/crypto.h"
#include "node/command/call_context.h"
#include "node/command/counted_keys.h"
#include "node/command/script_host.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"
#include "node/script/flags.h"
#include "node/script/scripts.h"

namespace understudy::command {
namespace {

using resp::Writer;
using script::ScriptCache;

constexpr std::string_view kNoScriptFound = "NOSCRIPT No matching script. Please use EVAL.";

void Run(CallContext& ctx, Args args, const ScriptCache::Script& found, ScriptCall& call, Writer& reply) {
  call.ref = found.ref;
  call.flags = found.flags;
  call.name = found.hash;
  RunScript(ctx, args, call, reply);
}

void EvalAs(CallContext& ctx, Args args, bool read_only, Writer& reply) {
  script::Scripts& scripts = ctx.services.scripts;
  ScriptCall call{.interpreter = scripts.eval(), .read_only = read_only};
  if (!SplitScriptArguments(args, resp::kNotInteger, &call, reply)) return;
  const ScriptCache::Script* found = scripts.cache().FindText(args[1]);
  if (found == nullptr) {
    const Result<const ScriptCache::Script*> added =
        scripts.cache().Add(crypto::Sha1Hex(args[1]), args[1], false);
    if (!added.ok()) return reply.Error("ERR " + std::string(added.status().message()));
    found = *added;
  }
  Run(ctx, args, *found, call, reply);
}

void EvalShaAs(CallContext& ctx, Args args, bool read_only, Writer& reply) {
  script::Scripts& scripts = ctx.services.scripts;
  const std::string hash = script::Lower(args[1]);
  const ScriptCache::Script* const found = scripts.cache().Find(hash);
  ScriptCall call{.interpreter = scripts.eval(), .read_only = read_only};
  if (hash.size() != 40) return reply.Error(kNoScriptFound);
  if (!SplitScriptArguments(args, resp::kNotInteger, &call, reply)) return;
  if (found == nullptr) return reply.Error(kNoScriptFound);
  Run(ctx, args, *found, call, reply);
}

void Debug(CallContext&, Args args, Writer& reply) {
  if (Is(args[2], "no")) return reply.Ok();
  if (!Is(args[2], "yes") && !Is(args[2], "sync")) return reply.Error("ERR Use SCRIPT DEBUG YES/SYNC/NO");
  reply.Error("ERR SCRIPT DEBUG is not supported: this server has no debugger for scripts");
}

void Eval(CallContext& ctx, Args args, Writer& reply) { EvalAs(ctx, args, false, reply); }
void EvalRo(CallContext& ctx, Args args, Writer& reply) { EvalAs(ctx, args, true, reply); }
void EvalSha(CallContext& ctx, Args args, Writer& reply) { EvalShaAs(ctx, args, false, reply); }
void EvalShaRo(CallContext& ctx, Args args, Writer& reply) { EvalShaAs(ctx, args, true, reply); }

void Load(CallContext& ctx, Args args, Writer& reply) {
  const std::string hash = crypto::Sha1Hex(args[2]);
  const Result<const ScriptCache::Script*> added = ctx.services.scripts.cache().Add(hash, args[2], true);
  if (!added.ok()) return reply.Error("ERR " + std::string(added.status().message()));
  reply.Bulk(hash);
}

void Exists(CallContext& ctx, Args args, Writer& reply) {
  reply.Array(args.size() - 2);
  for (const std::string_view hash : args.subspan(2)) {
    reply.Integer(ctx.services.scripts.cache().Find(script::Lower(hash)) != nullptr ? 1 : 0);
  }
}

void Flush(CallContext& ctx, Args args, Writer& reply) {
  if (args.size() > 3 || (args.size() == 3 && !Is(args[2], "async") && !Is(args[2], "sync"))) {
    return reply.Error("ERR SCRIPT FLUSH only support SYNC|ASYNC option");
  }
  ctx.services.scripts.cache().Clear();
  reply.Ok();
}

void Show(CallContext& ctx, Args args, Writer& reply) {
  const ScriptCache::Script* const found = ctx.services.scripts.cache().Find(script::Lower(args[2]));
  if (found == nullptr) return reply.Error("NOSCRIPT No matching script.");
  reply.Bulk(found->body);
}

void Kill(CallContext& ctx, Args, Writer& reply) { KillScript(ctx, false, reply); }

void Help(CallContext&, Args, Writer& reply) {
  constexpr std::string_view kLines[] = {
      "SCRIPT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "DEBUG NO",
      "    Does nothing: there is no debugger.",
      "EXISTS <sha1> [<sha1> ...]",
      "    Tells for each hash whether its script is known.",
      "FLUSH [ASYNC|SYNC]",
      "    Forgets all scripts.",
      "KILL",
      "    Ends the script that runs, if it has not written.",
      "LOAD <script>",
      "    Keeps a script without running it.",
      "SHOW <sha1>",
      "    The text of a script.",
      "HELP",
      "    This text.",
  };
  ReplyHelp(kLines, reply);
}

// clang-format off
constexpr KeySpec kCounted{.find = FindKeysOfScript, .forms = kCountAtTwo};
constexpr uint32_t kScript = kNoScript | kStale | kAllShards | kRunsScript;
constexpr uint32_t kCache = kNoScript | kAllShards;
const Row kScriptRows[] = {
  {"debug", 3, kNoScript, {}, KeyAccess::kNone, "@scripting", "scripting", "3.2.0", "Leaves the debugger of scripts off: there is none.", "YES|SYNC|NO", Debug},
  {"exists", -3, kCache, {}, KeyAccess::kNone, "@scripting", "scripting", "2.6.0", "Tells which scripts are known.", "sha1 [sha1 ...]", Exists},
  {"flush", -2, kCache, {}, KeyAccess::kNone, "@scripting", "scripting", "2.6.0", "Forgets all scripts.", "[ASYNC|SYNC]", Flush},
  {"help", 2, kLoading | kStale, {}, KeyAccess::kNone, "@scripting", "scripting", "5.0.0", "Lists the subcommands.", "", Help},
  {"kill", 2, kNoScript | kAllowBusy, {}, KeyAccess::kNone, "@scripting", "scripting", "2.6.0", "Ends the script that runs.", "", Kill},
  {"load", 3, kCache, {}, KeyAccess::kNone, "@scripting", "scripting", "2.6.0", "Keeps a script.", "script", Load},
  {"show", 3, kCache, {}, KeyAccess::kNone, "@scripting", "scripting", "8.0.0", "Shows a script.", "sha1", Show},
};
const Row kRows[] = {
  {"eval", -3, kScript | kMayReplicate, kCounted, KeyAccess::kReadWrite, "@scripting", "scripting", "2.6.0", "Runs a script.", "script numkeys [key [key ...]] [arg [arg ...]]", Eval},
  {"eval_ro", -3, kScript | kReadonly, kCounted, KeyAccess::kRead, "@scripting", "scripting", "7.0.0", "Runs a script that does not write.", "script numkeys [key [key ...]] [arg [arg ...]]", EvalRo},
  {"evalsha", -3, kScript | kMayReplicate, kCounted, KeyAccess::kReadWrite, "@scripting", "scripting", "2.6.0", "Runs a script that is known.", "sha1 numkeys [key [key ...]] [arg [arg ...]]", EvalSha},
  {"evalsha_ro", -3, kScript | kReadonly, kCounted, KeyAccess::kRead, "@scripting", "scripting", "7.0.0", "Runs a known script that does not write.", "sha1 numkeys [key [key ...]] [arg [arg ...]]", EvalShaRo},
  {"script", -2, 0, {}, KeyAccess::kNone, "", "scripting", "2.6.0", "Manages scripts.", "", nullptr, kScriptRows},
};
// clang-format on

}  // namespace

std::span<const Row> ScriptCommands() { return kRows; }

}  // namespace understudy::command
