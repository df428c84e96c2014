// Scripts by the SHA-1 of their text: what EVALSHA finds.
//
// Those that EVAL brought are kept while they are among the last kMostOfEval of them: clients that put values into the
// text would fill the memory otherwise. SCRIPT LOAD keeps a script until SCRIPT FLUSH. Threads: as Interpreter;
// size() and bytes() by any.
#pragma once

#include <atomic>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/result.h"
#include "node/script/interpreter.h"

namespace understudy::script {

class ScriptCache {
 public:
  static constexpr size_t kMostOfEval = 500;

  struct Script {
    std::string hash, body;
    uint32_t flags = 0;  // flags.h
    Interpreter::Ref ref = 0;
    bool kept = false;   // by SCRIPT LOAD
    std::list<const std::string*>::iterator recent;  // if it is not kept: its place in recent_
  };

  explicit ScriptCache(Interpreter& interpreter) : interpreter_(interpreter) {}

  // hash: 40 lower-case digits. Null: it is not known.
  const Script* Find(const std::string& hash);
  // The same by its text, which takes less time than to hash it.
  const Script* FindText(std::string_view body);
  // The same, but it does not count as used.
  const Script* Peek(const std::string& hash) const;
  // Compiles it if it is new. keep: SCRIPT LOAD. The message is Redis's, without "ERR ".
  Result<const Script*> Add(const std::string& hash, std::string_view body, bool keep);
  void Clear();

  size_t size() const { return count_.load(std::memory_order_relaxed); }
  // Of the texts, and of what it takes to find them.
  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  using Scripts = std::unordered_map<std::string, Script>;
  void Remove(Scripts::iterator script);
  void Count(int64_t scripts, int64_t bytes);

  Interpreter& interpreter_;
  const Script* Use(Script& script);

  Scripts scripts_;
  std::unordered_map<std::string_view, Script*> by_text_;
  std::list<const std::string*> recent_;  // hashes of those that are not kept, the latest used last
  std::atomic<size_t> count_{0}, bytes_{0};
};

}  // namespace understudy::script
