#include "node/script/api.h"

#include <lua.hpp>

#include <cmath>
#include <string>
#include <vector>

#include "common/crypto.h"
#include "common/log.h"
#include "node/config/config.h"
#include "node/resp/output.h"
#include "node/resp/writer.h"
#include "node/script/interpreter.h"
#include "node/script/sandbox.h"
#include "node/script/values.h"

namespace understudy::script {
namespace {

constexpr int kLogDebug = 0, kLogVerbose = 1, kLogNotice = 2, kLogWarning = 3;

// "7.2.4" as scripts compare it: 0x070204.
constexpr int VersionNumber(std::string_view text) {
  int number = 0, part = 0;
  for (const char c : text) {
    if (c == '.') {
      number = (number | part) << 8;
      part = 0;
    } else {
      part = part * 10 + (c - '0');
    }
  }
  return number | part;
}

int Fail(lua_State* L, std::string_view text) {
  PushError(L, text);
  return lua_error(L);
}

// The arguments as words; false: one is neither text nor number. Views of Lua's strings, or of `numbers`.
bool ReadWords(lua_State* L, std::vector<std::string_view>* words, std::vector<std::string>* numbers) {
  const int count = lua_gettop(L);
  words->clear();
  numbers->clear();
  numbers->reserve(static_cast<size_t>(count));  // the views stay good
  for (int i = 1; i <= count; ++i) {
    if (lua_type(L, i) == LUA_TNUMBER) {
      words->push_back(numbers->emplace_back(resp::FormatDouble(lua_tonumber(L, i))));
    } else if (lua_type(L, i) == LUA_TSTRING) {
      size_t size;
      const char* text = lua_tolstring(L, i, &size);
      words->emplace_back(text, size);
    } else {
      return false;
    }
  }
  return true;
}

// raise: redis.call, else redis.pcall.
int CallCommand(lua_State* L, bool raise) {
  Interpreter& interpreter = Interpreter::Of(L);
  const Interpreter::Running& running = interpreter.running();
  const auto fail = [&](std::string_view text) {
    PushError(L, text);
    return raise ? lua_error(L) : 1;
  };
  if (running.host == nullptr) return fail("redis.call can only be called inside a script invocation");
  if (lua_gettop(L) == 0) return fail("Please specify at least one argument for this redis lib call");
  auto& [words, numbers] = interpreter.scratch();
  if (!ReadWords(L, &words, &numbers)) return fail("Lua redis lib command arguments must be strings or integers");
  resp::StringOutput& reply = interpreter.ReplyOfCall();
  if (const auto refused = running.host->Call(words, running.protocol, running.replicate_to, reply)) {
    PushError(L, *refused);
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, kCounted);
    return raise ? lua_error(L) : 1;
  }
  const bool failed = reply.view().starts_with('-');
  PushReply(L, reply.view());
  return failed && raise ? lua_error(L) : 1;
}

int Call(lua_State* L) { return CallCommand(L, true); }
int ProtectedCall(lua_State* L) { return CallCommand(L, false); }

int ErrorReply(lua_State* L) {
  if (lua_gettop(L) != 1 || lua_type(L, 1) != LUA_TSTRING) {
    PushError(L, "wrong number or type of arguments");
    return 1;
  }
  size_t size;
  const char* text = lua_tolstring(L, 1, &size);
  const std::string error(text, size);
  PushError(L, error.starts_with('-') ? error : "-" + error);
  return 1;
}

int StatusReply(lua_State* L) {
  if (lua_gettop(L) != 1 || lua_type(L, 1) != LUA_TSTRING) {
    PushError(L, "wrong number or type of arguments");
    return 1;
  }
  lua_newtable(L);
  lua_pushvalue(L, 1);
  lua_setfield(L, -2, "ok");
  return 1;
}

int Sha1(lua_State* L) {
  if (lua_gettop(L) != 1) return Fail(L, "wrong number of arguments");
  size_t size;
  const char* text = lua_tolstring(L, 1, &size);
  const std::string hex = crypto::Sha1Hex(text == nullptr ? std::string_view() : std::string_view(text, size));
  lua_pushlstring(L, hex.data(), hex.size());
  return 1;
}

int Log(lua_State* L) {
  const int count = lua_gettop(L);
  if (count < 2) return Fail(L, "redis.log() requires two arguments or more.");
  if (!lua_isnumber(L, 1)) return Fail(L, "First argument must be a number (log level).");
  const int level = static_cast<int>(lua_tonumber(L, 1));
  if (level < kLogDebug || level > kLogWarning) return Fail(L, "Invalid debug level.");
  std::string text;
  for (int i = 2; i <= count; ++i) {
    size_t size;
    const char* piece = lua_tolstring(L, i, &size);
    if (piece == nullptr) continue;
    if (!text.empty()) text += ' ';
    text.append(piece, size);
  }
  if (level >= kLogWarning) {
    LOG_WARN("script: {}", text);
  } else if (level == kLogNotice) {
    LOG_INFO("script: {}", text);
  } else {
    LOG_DEBUG("script: {}", text);
  }
  return 0;
}

int SetProtocol(lua_State* L) {
  if (lua_gettop(L) != 1) return Fail(L, "redis.setresp() requires one argument.");
  const auto protocol = static_cast<int>(lua_tonumber(L, 1));
  if (protocol != 2 && protocol != 3) return Fail(L, "RESP version must be 2 or 3.");
  Interpreter::Of(L).running().protocol = protocol;
  return 0;
}

int SetReplication(lua_State* L) {
  if (lua_gettop(L) != 1) return Fail(L, "redis.set_repl() requires two arguments.");
  const auto flags = static_cast<int>(lua_tonumber(L, 1));
  if ((flags & ~Host::kToAll) != 0) {
    return Fail(L, "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.");
  }
  Interpreter::Of(L).running().replicate_to = flags;
  return 0;
}

int MayCall(lua_State* L) {
  Host* const host = Interpreter::Of(L).running().host;
  if (host == nullptr) return Fail(L, "redis.acl_check_cmd can only be called inside a script invocation");
  if (lua_gettop(L) == 0) return Fail(L, "Please specify at least one argument for this redis lib call");
  std::vector<std::string_view> words;
  std::vector<std::string> numbers;
  if (!ReadWords(L, &words, &numbers)) return Fail(L, "Lua redis lib command arguments must be strings or integers");
  const std::optional<bool> allowed = host->MayCall(words);
  if (!allowed) return Fail(L, "Invalid command passed to redis.acl_check_cmd()");
  lua_pushboolean(L, *allowed);
  return 1;
}

// Effects are what is replicated, always.
int ReplicateCommands(lua_State* L) {
  lua_pushboolean(L, 1);
  return 1;
}

// There is no debugger to stop for.
int Breakpoint(lua_State* L) {
  lua_pushboolean(L, 0);
  return 1;
}
int Debug(lua_State*) { return 0; }

int RegisterFunction(lua_State* L) {
  const Interpreter::Register* const registered = Interpreter::Of(L).registering();
  if (registered == nullptr) return Fail(L, "redis.register_function can only be called on FUNCTION LOAD command");
  return (*registered)(L);
}

void Set(lua_State* L, const char* name, lua_CFunction function) {
  lua_pushcfunction(L, function);
  lua_setfield(L, -2, name);
}

void Set(lua_State* L, const char* name, int number) {
  lua_pushinteger(L, number);
  lua_setfield(L, -2, name);
}

void Set(lua_State* L, const char* name, std::string_view text) {
  lua_pushlstring(L, text.data(), text.size());
  lua_setfield(L, -2, name);
}

void AddLogAndVersion(lua_State* L) {
  Set(L, "log", Log);
  Set(L, "LOG_DEBUG", kLogDebug);
  Set(L, "LOG_VERBOSE", kLogVerbose);
  Set(L, "LOG_NOTICE", kLogNotice);
  Set(L, "LOG_WARNING", kLogWarning);
  Set(L, "REDIS_VERSION", config::kRedisVersion);
  Set(L, "REDIS_VERSION_NUM", VersionNumber(config::kRedisVersion));
  // Valkey's names.
  Set(L, "SERVER_NAME", std::string_view("understudy"));
  Set(L, "SERVER_VERSION", config::kServerVersion);
  Set(L, "SERVER_VERSION_NUM", VersionNumber(config::kServerVersion));
}

}  // namespace

void PushError(lua_State* L, std::string_view text) {
  while (!text.empty() && (text.back() == '\r' || text.back() == '\n')) text.remove_suffix(1);
  std::string error;
  if (!text.starts_with('-')) {
    error = "ERR " + std::string(text);
  } else if (text.find(' ') == std::string_view::npos) {
    error = "ERR " + std::string(text.substr(1));
  } else {
    error = text.substr(1);
  }
  lua_newtable(L);
  lua_pushlstring(L, error.data(), error.size());
  lua_setfield(L, -2, "err");
}

void AddApi(lua_State* L, bool functions) {
  AddLogAndVersion(L);
  Set(L, "call", Call);
  Set(L, "pcall", ProtectedCall);
  Set(L, "error_reply", ErrorReply);
  Set(L, "status_reply", StatusReply);
  Set(L, "sha1hex", Sha1);
  Set(L, "setresp", SetProtocol);
  Set(L, "set_repl", SetReplication);
  Set(L, "REPL_NONE", 0);
  Set(L, "REPL_AOF", Host::kToAof);
  Set(L, "REPL_SLAVE", Host::kToReplicas);
  Set(L, "REPL_REPLICA", Host::kToReplicas);
  Set(L, "REPL_ALL", Host::kToAll);
  Set(L, "acl_check_cmd", MayCall);
  if (functions) {
    Set(L, "register_function", RegisterFunction);
  } else {
    Set(L, "replicate_commands", ReplicateCommands);
    Set(L, "breakpoint", Breakpoint);
    Set(L, "debug", Debug);
  }
}

void AddLoadingApi(lua_State* L) {
  AddLogAndVersion(L);
  Set(L, "register_function", RegisterFunction);
}

}  // namespace understudy::script
