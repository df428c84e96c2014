// One Lua state with what Redis lets scripts use, and nothing else.
//
// A node has two: one for EVAL, one for functions, so that neither sees the other's globals. Scripts share a state and
// must not be able to leave anything in it: the tables that they all see are read-only (sandbox.h), KEYS and ARGV are
// new for each run. What a script may call beside Lua is in api.h; values are translated by values.h.
//
// Lua's own errors are C++ exceptions (the library is its C++ variant) that never leave this folder. A run during
// which the state would grow by more than its caller allows ends with Lua's "not enough memory".
// Threads: whoever has every shard locked (or is the only user of the keyspace); bytes() is for any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "node/resp/output.h"
#include "node/resp/writer.h"
#include "node/script/host.h"

struct lua_Debug;
struct lua_State;

namespace understudy::script {

class Interpreter {
 public:
  enum class Kind { kEval, kFunctions };
  // A compiled chunk or a function, kept until Release().
  using Ref = int;

  explicit Interpreter(Kind kind);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  // kInvalid: Lua's message, "user_script:1: ...".
  Result<Ref> Compile(std::string_view code);
  void Release(Ref ref);
  // Frees what nothing refers to, now.
  void Collect();

  struct Call {
    Host& host;
    std::string_view name;  // the script's hash or the function's name, for error texts
    std::span<const std::string_view> keys, arguments;
    size_t most_bytes = SIZE_MAX;  // by which the state may grow
  };
  // Runs it and writes its result, or the error, as the one reply.
  void Run(Ref ref, const Call& call, resp::Writer& reply);

  // Kind kFunctions: runs the body of a library. registered: called for each redis.register_function, with the
  // arguments on the stack of the state; whatever it raises is the message. kInvalid: it failed, or took too long.
  using Register = std::function<int(lua_State*)>;
  // For a client, who may be told that it is too much. What a primary has taken is taken here, too.
  struct Bounds {
    bool timed = false;
    size_t most_bytes = SIZE_MAX;
  };
  Status Load(Ref body, const Bounds& bounds, const Register& registered);

  // What is allocated in the state.
  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

  // ---- For the other sources of this folder ----------------------------------------------------------------
  static Interpreter& Of(lua_State* state);
  // Of the running script.
  struct Running {
    Host* host = nullptr;
    int protocol = 2;      // redis.setresp
    int replicate_to = Host::kToAll;
  };
  Running& running() { return running_; }
  const Register* registering() const { return registering_; }
  // A function gathers a text outside of the state, so long by now: raises Lua's error if there is no room for it.
  void CheckRoom(lua_State* state, size_t bytes) const {
    if (bytes > limit_bytes_) RaiseNoMemory(state);
  }
  // Of one redis.call at a time: their memory is used again.
  struct Scratch {
    std::vector<std::string_view> words;
    std::vector<std::string> numbers;
  };
  Scratch& scratch() { return scratch_; }
  resp::StringOutput& ReplyOfCall();
  // math.random: the same numbers in each run.
  uint32_t NextRandom();
  void SeedRandom(uint32_t seed);

 private:
  static void* Allocate(void* self, void* block, size_t old_bytes, size_t new_bytes);
  static void OnCount(lua_State* state, lua_Debug*);
  static void OnLoadCount(lua_State* state, lua_Debug*);
  void WriteError(std::string_view name, resp::Writer& reply);
  [[noreturn]] void RaiseNoMemory(lua_State* state) const;
  // Calls what is on the stack with the error handler below it, within bounds.
  int CallWithin(size_t most_bytes, int arguments, int results);

  const Kind kind_;
  std::atomic<size_t> bytes_{0};
  size_t limit_bytes_ = SIZE_MAX;  // of the state; SIZE_MAX where nothing catches an error
  lua_State* state_ = nullptr;
  int error_handler_ = 0;  // registry
  Running running_;
  Scratch scratch_;
  std::optional<resp::StringOutput> reply_of_call_;
  const Register* registering_ = nullptr;
  int64_t load_until_ns_ = 0;
  uint64_t random_ = 0;
};

}  // namespace understudy::script
