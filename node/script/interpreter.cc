#include "node/script/interpreter.h"

#include <cstdlib>
#include <ctime>
#include <lua.hpp>

#include "common/check.h"
#include "node/script/api.h"
#include "node/script/sandbox.h"
#include "node/script/values.h"

namespace understudy::script {
namespace {

// Instructions between two looks at the clock: a thousandth of a second or less.
constexpr int kInstructionsBetweenLooks = 100'000;
constexpr size_t kKeptReplyBytes = 64 * 1024;  // room for a larger one is given back
constexpr int64_t kLoadTimeNs = 500'000'000;  // of a library's body
// drand48's generator, whose sequence for a seed is the same everywhere.
constexpr uint64_t kRandomFactor = 0x5DEECE66D, kRandomStep = 0xB, kRandomMask = (uint64_t{1} << 48) - 1;

int64_t NowNs() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

std::string_view TextAt(lua_State* L, int index) {
  size_t size;
  const char* text = lua_tolstring(L, index, &size);
  return text == nullptr ? std::string_view() : std::string_view(text, size);
}

// Makes a table of what was raised, with the place: {err, source, line}. What all scripts share is not written to.
int DescribeError(lua_State* L) {
  if (IsProtected(L, 1)) {
    lua_newtable(L);
  } else if (!lua_istable(L, 1)) {
    lua_getglobal(L, "tostring");
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    const std::string text = "ERR " + std::string(TextAt(L, -1));
    lua_newtable(L);
    lua_pushlstring(L, text.data(), text.size());
    lua_setfield(L, -2, "err");
  } else {
    lua_pushvalue(L, 1);
  }
  lua_Debug where{};
  bool found = lua_getstack(L, 1, &where) != 0 && lua_getinfo(L, "Sl", &where) != 0;
  if (found && std::string_view(where.what) == "C") {
    found = lua_getstack(L, 2, &where) != 0 && lua_getinfo(L, "Sl", &where) != 0;
  }
  if (found) {
    lua_pushliteral(L, "source");
    lua_pushstring(L, where.source);
    lua_rawset(L, -3);
    lua_pushliteral(L, "line");
    lua_pushinteger(L, where.currentline);
    lua_rawset(L, -3);
  }
  return 1;
}

int Build(lua_State* L) {
  BuildSandbox(L, lua_toboolean(L, 1) != 0);
  return 0;
}

void PushTexts(lua_State* L, std::span<const std::string_view> texts) {
  lua_createtable(L, static_cast<int>(texts.size()), 0);
  int i = 0;
  for (const std::string_view text : texts) {
    lua_pushlstring(L, text.data(), text.size());
    lua_rawseti(L, -2, ++i);
  }
}

// What Run needs in the state, under its protection: memory may end.
struct Start {
  const Interpreter::Call* call;
  Interpreter::Ref ref;
  bool function;
};

// Calls the script with its keys and arguments; its result is the only one.
int StartScript(lua_State* L) {
  const auto& start = *static_cast<const Start*>(lua_touserdata(L, 1));
  lua_rawgeti(L, LUA_REGISTRYINDEX, start.ref);
  PushTexts(L, start.call->keys);
  if (!start.function) SetGlobal(L, "KEYS");
  PushTexts(L, start.call->arguments);
  if (!start.function) SetGlobal(L, "ARGV");
  lua_call(L, start.function ? 2 : 0, 1);
  return 1;
}

struct Finish {
  int protocol;
  resp::Writer* reply;
};

}  // namespace

Interpreter& Interpreter::Of(lua_State* state) {
  void* self;
  lua_getallocf(state, &self);
  return *static_cast<Interpreter*>(self);
}

void* Interpreter::Allocate(void* self, void* block, size_t old_bytes, size_t new_bytes) {
  auto& interpreter = *static_cast<Interpreter*>(self);
  auto& bytes = interpreter.bytes_;
  if (new_bytes > old_bytes && bytes.load(std::memory_order_relaxed) + (new_bytes - old_bytes) > interpreter.limit_bytes_)
    [[unlikely]] {
    return nullptr;
  }
  void* moved = nullptr;
  if (new_bytes == 0) {
    std::free(block);
  } else if (moved = std::realloc(block, new_bytes); moved == nullptr) {
    return nullptr;
  }
  bytes.store(bytes.load(std::memory_order_relaxed) + new_bytes - old_bytes, std::memory_order_relaxed);
  return moved;
}

Interpreter::Interpreter(Kind kind) : kind_(kind), state_(lua_newstate(Allocate, this)) {
  CHECK(state_ != nullptr);
  lua_pushcfunction(state_, Build);
  lua_pushboolean(state_, kind == Kind::kFunctions);
  CHECK(lua_pcall(state_, 1, 0, 0) == 0);
  lua_pushcfunction(state_, DescribeError);
  error_handler_ = luaL_ref(state_, LUA_REGISTRYINDEX);
}

Interpreter::~Interpreter() { lua_close(state_); }

void Interpreter::SeedRandom(uint32_t seed) { random_ = uint64_t{seed} << 16 | 0x330E; }

uint32_t Interpreter::NextRandom() {
  random_ = (random_ * kRandomFactor + kRandomStep) & kRandomMask;
  return static_cast<uint32_t>(random_ >> 17);
}

Result<Interpreter::Ref> Interpreter::Compile(std::string_view code) {
  const char* const name = kind_ == Kind::kEval ? "@user_script" : "@user_function";
  // Bytecode that nobody checks could read and write any memory.
  if (code.starts_with(LUA_SIGNATURE[0])) return Invalid(std::string(name + 1) + ":1: unexpected symbol near char(27)");
  if (LoadChunk(state_, code, name) != 0) {
    std::string message(TextAt(state_, -1));
    lua_pop(state_, 1);
    return Invalid(std::move(message));
  }
  return luaL_ref(state_, LUA_REGISTRYINDEX);
}

void Interpreter::Release(Ref ref) { luaL_unref(state_, LUA_REGISTRYINDEX, ref); }

void Interpreter::Collect() { lua_gc(state_, LUA_GCCOLLECT, 0); }

void Interpreter::OnCount(lua_State* L, lua_Debug*) {
  Running& running = Of(L).running();
  if (running.host == nullptr || !running.host->Interrupt()) return;
  // From now on at every line, so that a script that catches this error does not get away.
  lua_sethook(L, OnCount, LUA_MASKLINE | LUA_MASKCOUNT, 1);
  PushError(L, "Script killed by user with SCRIPT KILL.");
  lua_error(L);
}

void Interpreter::OnLoadCount(lua_State* L, lua_Debug*) {
  if (NowNs() < Of(L).load_until_ns_) return;
  lua_sethook(L, OnLoadCount, LUA_MASKLINE | LUA_MASKCOUNT, 1);
  PushError(L, "FUNCTION LOAD timeout");
  lua_error(L);
}

// By asking for what it does not get.
void Interpreter::RaiseNoMemory(lua_State* state) const {
  lua_newuserdata(state, limit_bytes_);
  __builtin_unreachable();
}

resp::StringOutput& Interpreter::ReplyOfCall() {
  if (!reply_of_call_ || reply_of_call_->view().size() > kKeptReplyBytes) reply_of_call_.emplace();
  reply_of_call_->Clear();
  return *reply_of_call_;
}

int Interpreter::CallWithin(size_t most_bytes, int arguments, int results) {
  const size_t before = bytes();
  limit_bytes_ = most_bytes == SIZE_MAX ? SIZE_MAX : before + most_bytes;
  const int failed = lua_pcall(state_, arguments, results, 1);
  limit_bytes_ = SIZE_MAX;
  // Lua 5.1 gives up without a look at what it could free.
  if (failed == LUA_ERRMEM) lua_gc(state_, LUA_GCCOLLECT, 0);
  return failed;
}

void Interpreter::Run(Ref ref, const Call& call, resp::Writer& reply) {
  lua_State* const L = state_;
  running_ = {.host = &call.host};
  SeedRandom(0);
  lua_sethook(L, OnCount, LUA_MASKCOUNT, kInstructionsBetweenLooks);
  lua_rawgeti(L, LUA_REGISTRYINDEX, error_handler_);
  Start start{&call, ref, kind_ == Kind::kFunctions};
  lua_pushcfunction(L, StartScript);
  lua_pushlightuserdata(L, &start);
  const int failed = CallWithin(call.most_bytes, 1, 1);
  lua_sethook(L, nullptr, 0, 0);
  if (failed != 0) {
    WriteError(call.name, reply);
  } else {
    WriteValue(L, running_.protocol, reply);
  }
  running_ = {};
  ReplyOfCall();
  lua_settop(L, 0);
}

void Interpreter::WriteError(std::string_view name, resp::Writer& reply) {
  lua_State* const L = state_;
  if (!lua_istable(L, -1)) {
    const std::string_view text = lua_isstring(L, -1) ? TextAt(L, -1) : "execution failure";
    return reply.Error("ERR Error running script " + std::string(name) + ", " + std::string(text.substr(0, 100)));
  }
  const auto field = [&](const char* key) {
    lua_pushstring(L, key);
    lua_rawget(L, -2);
    const bool there = lua_isstring(L, -1) != 0;
    std::string text(there ? TextAt(L, -1) : std::string_view());
    lua_pop(L, 1);
    return std::pair(there, std::move(text));
  };
  auto [has_text, text] = field("err");
  if (!has_text) text = "ERR unknown error";
  const auto [has_source, source] = field("source");
  const auto [has_line, line] = field("line");
  if (has_source && has_line) text += " script: " + std::string(name) + ", on " + source + ":" + line + ".";
  WasCounted(L) ? reply.ErrorToldBefore(text) : reply.Error(text);
}

Status Interpreter::Load(Ref body, const Bounds& bounds, const Register& registered) {
  CHECK(kind_ == Kind::kFunctions);
  lua_State* const L = state_;
  registering_ = &registered;
  load_until_ns_ = NowNs() + kLoadTimeNs;
  EnterLoading(L);
  if (bounds.timed) lua_sethook(L, OnLoadCount, LUA_MASKCOUNT, kInstructionsBetweenLooks);
  lua_rawgeti(L, LUA_REGISTRYINDEX, error_handler_);
  lua_rawgeti(L, LUA_REGISTRYINDEX, body);
  const int failed = CallWithin(bounds.most_bytes, 0, 0);
  lua_sethook(L, nullptr, 0, 0);
  LeaveLoading(L);
  registering_ = nullptr;
  std::string message;
  if (failed != 0) {
    message = "execution failure";
    if (lua_istable(L, -1)) {
      lua_pushliteral(L, "err");
      lua_rawget(L, -2);
    }
    if (lua_isstring(L, -1)) message = TextAt(L, -1);
  }
  lua_settop(L, 0);
  return failed != 0 ? Invalid(std::move(message)) : Status();
}

}  // namespace understudy::script
