// All of a node's scripting: EVAL's scripts, functions, and what runs now.
//
// Threads: the parts say it; the rest is for any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "node/script/floor.h"
#include "node/script/function_libraries.h"
#include "node/script/interpreter.h"
#include "node/script/script_cache.h"

namespace understudy::script {

class Scripts {
 public:
  explicit Scripts(uint32_t workers) : floor_(workers) {}

  Interpreter& eval() { return eval_; }
  Interpreter& for_functions() { return for_functions_; }
  const Interpreter& eval() const { return eval_; }
  const Interpreter& for_functions() const { return for_functions_; }
  ScriptCache& cache() { return cache_; }
  const ScriptCache& cache() const { return cache_; }
  FunctionLibraries& functions() { return functions_; }
  const FunctionLibraries& functions() const { return functions_; }
  Floor& floor() { return floor_; }
  // All that scripts hold in memory.
  size_t bytes() const { return eval_.bytes() + for_functions_.bytes() + cache_.bytes() + functions_.bytes(); }

  // ---- The script that is slow --------------------------------------------------------------------------
  struct Slow {
    bool running = false;
    bool function = false;             // else EVAL
    bool wrote = false;                // it can't be undone
    std::string name;                  // of a function
    std::vector<std::string> command;  // as it was sent
    int64_t since_ms = 0;              // wall
  };
  Slow slow() const {
    std::lock_guard lock(mutex_);
    return slow_;
  }
  bool slow_is_function() const {
    std::lock_guard lock(mutex_);
    return slow_.function;
  }
  // By who runs it.
  void SetSlow(Slow slow) {
    std::lock_guard lock(mutex_);
    slow_ = std::move(slow);
    kill_.store(false, std::memory_order_relaxed);
  }
  // Before the slow script's first write. False: it is to end, so it must not write.
  bool NoteWrite() {
    std::lock_guard lock(mutex_);
    slow_.wrote = !killed();
    return slow_.wrote;
  }
  // Ends it, if it is of that kind and did not write.
  enum class KillResult : uint8_t { kEnds, kNoneRuns, kOtherKind, kWrote };
  KillResult Kill(bool function) {
    std::lock_guard lock(mutex_);
    if (!slow_.running) return KillResult::kNoneRuns;
    if (slow_.wrote) return KillResult::kWrote;
    if (slow_.function != function) return KillResult::kOtherKind;
    kill_.store(true, std::memory_order_release);
    return KillResult::kEnds;
  }
  bool killed() const { return kill_.load(std::memory_order_acquire); }

 private:
  Interpreter eval_{Interpreter::Kind::kEval};
  Interpreter for_functions_{Interpreter::Kind::kFunctions};
  ScriptCache cache_{eval_};
  FunctionLibraries functions_{for_functions_};
  Floor floor_;
  mutable std::mutex mutex_;
  Slow slow_;                     // mutex_
  std::atomic<bool> kill_{false};
};

}  // namespace understudy::script
