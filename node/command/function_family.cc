// FUNCTION: libraries of functions, which are data as keys are; FCALL.
#include <cstring>
#include <string>
#include <vector>

#include "node/command/call_context.h"
#include "node/command/counted_keys.h"
#include "node/command/script_host.h"
#include "node/persist/function_dump.h"
#include "node/resp/glob.h"
#include "node/resp/writer.h"
#include "node/script/flags.h"
#include "node/script/scripts.h"

namespace understudy::command {
namespace {

using resp::Writer;
using script::FunctionLibraries;

void CallAs(CallContext& ctx, Args args, bool read_only, Writer& reply) {
  script::Scripts& scripts = ctx.services.scripts;
  const FunctionLibraries::Function* const function = scripts.functions().Find(args[1]);
  if (function == nullptr) return reply.Error("ERR Function not found");
  ScriptCall call{.interpreter = scripts.for_functions(), .ref = function->ref, .flags = function->flags,
                  .read_only = read_only, .function = true, .name = args[1]};
  if (!SplitScriptArguments(args, "ERR Bad number of keys provided", &call, reply)) return;
  RunScript(ctx, args, call, reply);
}

void Fcall(CallContext& ctx, Args args, Writer& reply) { CallAs(ctx, args, false, reply); }
void FcallRo(CallContext& ctx, Args args, Writer& reply) { CallAs(ctx, args, true, reply); }

script::Interpreter::Bounds BoundsOf(const CallContext& ctx) {
  if (ctx.session == nullptr) return {};
  return {.timed = true, .most_bytes = MostScriptBytes(ctx)};
}

void Load(CallContext& ctx, Args args, Writer& reply) {
  bool replace = false;
  for (const std::string_view option : args.subspan(2, args.size() - 3)) {
    if (!Is(option, "replace")) return reply.Error("ERR Unknown option given: " + std::string(option));
    replace = true;
  }
  const Result<std::string> name = ctx.services.scripts.functions().Load(args.back(), replace, BoundsOf(ctx));
  if (!name.ok()) return reply.Error("ERR " + std::string(name.status().message()));
  ctx.effects.Verbatim(ctx.db, args);
  reply.Bulk(*name);
}

void Delete(CallContext& ctx, Args args, Writer& reply) {
  const Status deleted = ctx.services.scripts.functions().Delete(args[2]);
  if (!deleted.ok()) return reply.Error("ERR " + std::string(deleted.message()));
  ctx.effects.Verbatim(ctx.db, args);
  reply.Ok();
}

void Flush(CallContext& ctx, Args args, Writer& reply) {
  if (args.size() > 3 || (args.size() == 3 && !Is(args[2], "async") && !Is(args[2], "sync"))) {
    return reply.Error("ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
  }
  ctx.services.scripts.functions().Clear();
  ctx.effects.Verbatim(ctx.db, args);
  reply.Ok();
}

void WriteLibrary(const std::string& name, const FunctionLibraries::Library& library, bool with_code, Writer& reply) {
  reply.Map(with_code ? 4 : 3);
  reply.Bulk("library_name");
  reply.Bulk(name);
  reply.Bulk("engine");
  reply.Bulk("LUA");
  reply.Bulk("functions");
  reply.Array(library.functions.size());
  for (const auto& [function_name, function] : library.functions) {
    reply.Map(3);
    reply.Bulk("name");
    reply.Bulk(function_name);
    reply.Bulk("description");
    if (function.has_description) {
      reply.Bulk(function.description);
    } else {
      reply.Null();
    }
    reply.Bulk("flags");
    const std::vector<std::string_view> flags = script::FlagNames(function.flags);
    reply.Set(flags.size());
    for (const std::string_view flag : flags) reply.SimpleString(flag);
  }
  if (!with_code) return;
  reply.Bulk("library_code");
  reply.Bulk(library.code);
}

void List(CallContext& ctx, Args args, Writer& reply) {
  bool with_code = false, has_pattern = false;
  std::string_view pattern;
  for (size_t i = 2; i < args.size(); ++i) {
    if (!with_code && Is(args[i], "withcode")) {
      with_code = true;
    } else if (!has_pattern && Is(args[i], "libraryname")) {
      if (++i == args.size()) return reply.Error("ERR library name argument was not given");
      has_pattern = true;
      pattern = args[i];
    } else {
      return reply.Error("ERR Unknown argument " + std::string(args[i]));
    }
  }
  const FunctionLibraries::Libraries& libraries = ctx.services.scripts.functions().libraries();
  const auto wanted = [&](const std::string& name) { return !has_pattern || resp::GlobMatch(pattern, name, true); };
  size_t count = 0;
  for (const auto& [name, library] : libraries) count += wanted(name);
  reply.Array(count);
  for (const auto& [name, library] : libraries) {
    if (wanted(name)) WriteLibrary(name, library, with_code, reply);
  }
}

void Dump(CallContext& ctx, Args, Writer& reply) {
  std::vector<std::string_view> codes;
  for (const auto& [name, library] : ctx.services.scripts.functions().libraries()) codes.push_back(library.code);
  reply.Bulk(persist::DumpFunctions(codes));
}

void Restore(CallContext& ctx, Args args, Writer& reply) {
  using Policy = FunctionLibraries::Policy;
  Policy policy = Policy::kAppend;
  if (args.size() > 4) {
    return reply.Error(
        "ERR Unknown subcommand or wrong number of arguments for 'restore'. Try FUNCTION HELP.");
  }
  if (args.size() == 4) {
    if (Is(args[3], "replace")) {
      policy = Policy::kReplace;
    } else if (Is(args[3], "flush")) {
      policy = Policy::kFlush;
    } else if (!Is(args[3], "append")) {
      return reply.Error("ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.");
    }
  }
  const Result<std::vector<std::string>> codes = persist::ParseFunctions(args[2]);
  if (!codes.ok()) return reply.Error("ERR " + std::string(codes.status().message()));
  const Status restored = ctx.services.scripts.functions().Restore(*codes, policy, BoundsOf(ctx));
  if (!restored.ok()) return reply.Error("ERR " + std::string(restored.message()));
  ctx.effects.Verbatim(ctx.db, args);
  reply.Ok();
}

void Stats(CallContext& ctx, Args, Writer& reply) {
  const script::Scripts& scripts = ctx.services.scripts;
  const script::Scripts::Slow slow = scripts.slow();
  reply.Map(2);
  reply.Bulk("running_script");
  if (!slow.running) {
    reply.Null();
  } else {
    reply.Map(3);
    reply.Bulk("name");
    reply.Bulk(slow.name);
    reply.Bulk("command");
    reply.Array(slow.command.size());
    for (const std::string& word : slow.command) reply.Bulk(word);
    reply.Bulk("duration_ms");
    reply.Integer(ctx.now_ms - slow.since_ms);
  }
  reply.Bulk("engines");
  reply.Map(1);
  reply.Bulk("LUA");
  reply.Map(2);
  reply.Bulk("libraries_count");
  reply.Integer(static_cast<int64_t>(scripts.functions().library_count()));
  reply.Bulk("functions_count");
  reply.Integer(static_cast<int64_t>(scripts.functions().function_count()));
}

void Kill(CallContext& ctx, Args, Writer& reply) { KillScript(ctx, true, reply); }

void Help(CallContext&, Args, Writer& reply) {
  constexpr std::string_view kLines[] = {
      "FUNCTION <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "DELETE <library>",
      "    Removes a library.",
      "DUMP",
      "    All libraries as bytes, for FUNCTION RESTORE.",
      "FLUSH [ASYNC|SYNC]",
      "    Removes all libraries.",
      "KILL",
      "    Ends the function that runs, if it has not written.",
      "LIST [LIBRARYNAME <pattern>] [WITHCODE]",
      "    Shows libraries and their functions.",
      "LOAD [REPLACE] <code>",
      "    Adds a library.",
      "RESTORE <bytes> [APPEND|REPLACE|FLUSH]",
      "    Adds the libraries that FUNCTION DUMP gave.",
      "STATS",
      "    What runs, and how many libraries there are.",
      "HELP",
      "    This text.",
  };
  ReplyHelp(kLines, reply);
}

// clang-format off
constexpr KeySpec kCounted{.find = FindKeysOfScript, .forms = kCountAtTwo};
constexpr uint32_t kScript = kNoScript | kStale | kAllShards | kRunsScript;
constexpr uint32_t kChange = kWrite | kNoScript | kAllShards;
constexpr std::string_view kCategories = "@scripting";
const Row kFunctionRows[] = {
  {"delete", 3, kChange, {}, KeyAccess::kNone, kCategories, "scripting", "7.0.0", "Removes a library.", "library-name", Delete},
  {"dump", 2, kNoScript | kAllShards, {}, KeyAccess::kNone, kCategories, "scripting", "7.0.0", "All libraries as bytes.", "", Dump},
  {"flush", -2, kChange, {}, KeyAccess::kNone, kCategories, "scripting", "7.0.0", "Removes all libraries.", "[ASYNC|SYNC]", Flush},
  {"help", 2, kLoading | kStale, {}, KeyAccess::kNone, kCategories, "scripting", "7.0.0", "Lists the subcommands.", "", Help},
  {"kill", 2, kNoScript | kAllowBusy, {}, KeyAccess::kNone, kCategories, "scripting", "7.0.0", "Ends the function that runs.", "", Kill},
  {"list", -2, kNoScript | kAllShards, {}, KeyAccess::kNone, kCategories, "scripting", "7.0.0", "Shows libraries.", "[LIBRARYNAME library-name-pattern] [WITHCODE]", List},
  {"load", -3, kChange | kDenyOom, {}, KeyAccess::kNone, kCategories, "scripting", "7.0.0", "Adds a library.", "[REPLACE] function-code", Load},
  {"restore", -3, kChange | kDenyOom, {}, KeyAccess::kNone, kCategories, "scripting", "7.0.0", "Adds libraries that were dumped.", "serialized-value [FLUSH|APPEND|REPLACE]", Restore},
  {"stats", 2, kNoScript | kAllowBusy, {}, KeyAccess::kNone, kCategories, "scripting", "7.0.0", "What runs, and how many libraries there are.", "", Stats},
};
const Row kRows[] = {
  {"fcall", -3, kScript | kMayReplicate, kCounted, KeyAccess::kReadWrite, kCategories, "scripting", "7.0.0", "Calls a function.", "function numkeys [key [key ...]] [arg [arg ...]]", Fcall},
  {"fcall_ro", -3, kScript | kReadonly, kCounted, KeyAccess::kRead, kCategories, "scripting", "7.0.0", "Calls a function that does not write.", "function numkeys [key [key ...]] [arg [arg ...]]", FcallRo},
  {"function", -2, 0, {}, KeyAccess::kNone, "", "scripting", "7.0.0", "Manages functions.", "", nullptr, kFunctionRows},
};
// clang-format on

}  // namespace

std::span<const Row> FunctionCommands() { return kRows; }

}  // namespace understudy::command
