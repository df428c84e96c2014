// How a script runs: what must hold before, and its calls of commands. For EVAL and FCALL.
//
// A call goes through the command table as a client's command does: arity, ACL, role, memory, what scripts may not run.
// All shards are locked, the time stands still, and its effects are gathered as a transaction's are.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "node/command/call_context.h"
#include "node/script/host.h"
#include "node/script/interpreter.h"

namespace understudy::command {

struct ScriptCall {
  script::Interpreter& interpreter;
  script::Interpreter::Ref ref;
  uint32_t flags;         // script/flags.h
  bool read_only;         // by a command that does not write: EVAL_RO
  bool function;
  std::string_view name;  // the hash or the function's name
  std::span<const std::string_view> keys, arguments;
};

// Answers, also if it may not run. args: of the command that runs it.
void RunScript(CallContext& ctx, Args args, const ScriptCall& call, resp::Writer& reply);

// Does a script or function that the command would run say of itself that it writes nothing? In a batch, no locks held.
bool SaysItWritesNothing(const Services& services, const Row& row, Args args);
// args[2] keys follow: EVAL, FCALL. False, and the error is written, if they don't. not_a_number: the error then.
bool SplitScriptArguments(Args args, std::string_view not_a_number, ScriptCall* call, resp::Writer& reply);
// By how much a script of a client may let the memory of its Lua state grow.
size_t MostScriptBytes(const CallContext& ctx);
// What clients are told while a slow script runs.
std::string_view BusyText(bool function);
// SCRIPT KILL, FUNCTION KILL.
void KillScript(CallContext& ctx, bool function, resp::Writer& reply);

}  // namespace understudy::command
