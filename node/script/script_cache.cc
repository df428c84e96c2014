#include "node/script/script_cache.h"

#include "node/script/flags.h"

namespace understudy::script {
namespace {

// Of an entry beside its text: nodes of the maps and the list, the hash.
constexpr int64_t kEntryBytes = sizeof(ScriptCache::Script) + 256;

}  // namespace

void ScriptCache::Count(int64_t scripts, int64_t bytes) {
  count_.store(count_.load(std::memory_order_relaxed) + static_cast<size_t>(scripts), std::memory_order_relaxed);
  bytes_.store(bytes_.load(std::memory_order_relaxed) + static_cast<size_t>(bytes), std::memory_order_relaxed);
}

const ScriptCache::Script* ScriptCache::Find(const std::string& hash) {
  const auto found = scripts_.find(hash);
  return found == scripts_.end() ? nullptr : Use(found->second);
}

const ScriptCache::Script* ScriptCache::FindText(std::string_view body) {
  const auto found = by_text_.find(body);
  return found == by_text_.end() ? nullptr : Use(*found->second);
}

const ScriptCache::Script* ScriptCache::Use(Script& script) {
  if (!script.kept) recent_.splice(recent_.end(), recent_, script.recent);
  return &script;
}

const ScriptCache::Script* ScriptCache::Peek(const std::string& hash) const {
  const auto found = scripts_.find(hash);
  return found == scripts_.end() ? nullptr : &found->second;
}

Result<const ScriptCache::Script*> ScriptCache::Add(const std::string& hash, std::string_view body, bool keep) {
  if (const auto found = scripts_.find(hash); found != scripts_.end()) {
    Script& script = found->second;
    if (keep && !script.kept) {
      recent_.erase(script.recent);
      script.kept = true;
    }
    return &script;
  }
  const Result<Shebang> shebang = ReadShebang(body);
  if (!shebang.ok()) return shebang.status();
  const Result<Interpreter::Ref> ref = interpreter_.Compile(shebang->code);
  if (!ref.ok()) return Invalid("Error compiling script (new function): " + std::string(ref.status().message()));
  if (!keep && recent_.size() >= kMostOfEval) Remove(scripts_.find(*recent_.front()));
  const auto added = scripts_.emplace(hash, Script{hash, std::string(body), shebang->flags, *ref, keep, {}}).first;
  by_text_.emplace(added->second.body, &added->second);
  if (!keep) added->second.recent = recent_.insert(recent_.end(), &added->first);
  Count(1, kEntryBytes + static_cast<int64_t>(body.size()));
  return &added->second;
}

void ScriptCache::Remove(Scripts::iterator script) {
  interpreter_.Release(script->second.ref);
  if (!script->second.kept) recent_.erase(script->second.recent);
  by_text_.erase(script->second.body);
  Count(-1, -kEntryBytes - static_cast<int64_t>(script->second.body.size()));
  scripts_.erase(script);
}

void ScriptCache::Clear() {
  while (!scripts_.empty()) Remove(scripts_.begin());
  interpreter_.Collect();
}

}  // namespace understudy::script
