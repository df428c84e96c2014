#include "node/script/function_libraries.h"

#include <lua.hpp>

#include "node/script/api.h"
#include "node/script/flags.h"

namespace understudy::script {
namespace {

// Of a library or function beside its texts.
constexpr size_t kNodeBytes = 160;

int Fail(lua_State* L, std::string_view text) {
  PushError(L, text);
  return lua_error(L);
}

std::string TextAt(lua_State* L, int index) {
  size_t size;
  const char* text = lua_tolstring(L, index, &size);
  return {text, size};
}

// The arguments of redis.register_function.
struct Registration {
  std::string name;
  bool has_name = false;
  FunctionLibraries::Function function;
  int callback = 0;  // stack index
};

void ReadFlags(lua_State* L, uint32_t* flags) {  // the table is on top
  for (int i = 1;; ++i) {
    lua_rawgeti(L, -1, i);
    if (lua_isnil(L, -1)) return lua_pop(L, 1);
    const auto flag = lua_type(L, -1) == LUA_TSTRING ? FlagByName(TextAt(L, -1)) : std::nullopt;
    if (!flag) Fail(L, "unknown flag given");
    *flags |= *flag;
    lua_pop(L, 1);
  }
}

void ReadNamed(lua_State* L, Registration* out) {
  lua_settop(L, 2);  // place for the callback
  for (lua_pushnil(L); lua_next(L, 1) != 0; lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING) Fail(L, "named argument key given to redis.register_function is not a string");
    const std::string key = TextAt(L, -2);
    if (key == "function_name") {
      if (lua_type(L, -1) != LUA_TSTRING) {
        Fail(L, "function_name argument given to redis.register_function must be a string");
      }
      out->name = TextAt(L, -1);
      out->has_name = true;
    } else if (key == "description") {
      if (lua_type(L, -1) != LUA_TSTRING) {
        Fail(L, "description argument given to redis.register_function must be a string");
      }
      out->function.description = TextAt(L, -1);
      out->function.has_description = true;
    } else if (key == "callback") {
      if (lua_type(L, -1) != LUA_TFUNCTION) {
        Fail(L, "callback argument given to redis.register_function must be a function");
      }
      lua_pushvalue(L, -1);
      lua_replace(L, 2);
      out->callback = 2;
    } else if (key == "flags") {
      if (lua_type(L, -1) != LUA_TTABLE) {
        Fail(L, "flags argument to redis.register_function must be a table representing function flags");
      }
      ReadFlags(L, &out->function.flags);
    } else {
      Fail(L, "unknown argument given to redis.register_function");
    }
  }
  if (!out->has_name) Fail(L, "redis.register_function must get a function name argument");
  if (out->callback == 0) Fail(L, "redis.register_function must get a callback argument");
}

void ReadArguments(lua_State* L, Registration* out) {
  const int count = lua_gettop(L);
  if (count < 1 || count > 2) Fail(L, "wrong number of arguments to redis.register_function");
  if (count == 1) {
    if (lua_type(L, 1) != LUA_TTABLE) {
      Fail(L, "calling redis.register_function with a single argument is only applicable to Lua table (representing "
              "named arguments).");
    }
    return ReadNamed(L, out);
  }
  if (lua_type(L, 1) != LUA_TSTRING) Fail(L, "first argument to redis.register_function must be a string");
  if (lua_type(L, 2) != LUA_TFUNCTION) Fail(L, "second argument to redis.register_function must be a function");
  out->name = TextAt(L, 1);
  out->callback = 2;
}

int Register(lua_State* L, FunctionLibraries::Library* library) {
  Registration registration;
  ReadArguments(L, &registration);
  if (!IsName(registration.name)) {
    Fail(L, "Library names can only contain letters, numbers, or underscores(_) and must be at least one character "
            "long");
  }
  if (library->functions.contains(registration.name)) Fail(L, "Function already exists in the library");
  lua_pushvalue(L, registration.callback);
  registration.function.ref = luaL_ref(L, LUA_REGISTRYINDEX);
  library->functions.emplace(std::move(registration.name), std::move(registration.function));
  return 0;
}

}  // namespace

FunctionLibraries::~FunctionLibraries() { Clear(); }

void FunctionLibraries::Release(Library& library) {
  for (const auto& [name, function] : library.functions) interpreter_.Release(function.ref);
  library.functions.clear();
}

void FunctionLibraries::Release(Libraries& libraries) {
  for (auto& [name, library] : libraries) Release(library);
  libraries.clear();
}

Result<FunctionLibraries::Library> FunctionLibraries::Run(std::string_view body, std::string_view code,
                                                           const Interpreter::Bounds& bounds) {
  const Result<Interpreter::Ref> ref = interpreter_.Compile(code);
  if (!ref.ok()) return Invalid("Error compiling function: " + std::string(ref.status().message()));
  Library library{std::string(body), {}};
  const Status ran = interpreter_.Load(*ref, bounds, [&](lua_State* L) { return Register(L, &library); });
  interpreter_.Release(*ref);
  if (ran.ok() && !library.functions.empty()) return library;
  Release(library);
  return Invalid(ran.ok() ? "No functions registered"
                          : "Error registering functions: " + std::string(ran.message()));
}

FunctionLibraries::Index FunctionLibraries::IndexOf(const Libraries& libraries) {
  Index index;
  for (const auto& [name, library] : libraries) {
    for (const auto& [function, details] : library.functions) index.emplace(Lower(function), Place{name, &details});
  }
  return index;
}

Status FunctionLibraries::CheckNames(const Index& others, const Library& library, std::string_view name) {
  for (const auto& [function, ignored] : library.functions) {
    const auto other = others.find(Lower(function));
    if (other != others.end() && other->second.library != name) return Invalid("Function " + function + " already exists");
  }
  return {};
}

Result<std::string> FunctionLibraries::Load(std::string_view code, bool replace,
                                            const Interpreter::Bounds& bounds) {
  Result<LibraryHead> head = ReadLibraryHead(code);
  if (!head.ok()) return head.status();
  const auto old = libraries_.find(head->name);
  if (old != libraries_.end() && !replace) return Invalid("Library '" + head->name + "' already exists");
  Result<Library> library = Run(code, head->code, bounds);
  if (!library.ok()) return library.status();
  if (Status clash = CheckNames(by_name_, *library, head->name); !clash.ok()) {
    Release(*library);
    return clash;
  }
  if (old != libraries_.end()) Release(old->second);
  libraries_.insert_or_assign(head->name, std::move(*library));
  Count();
  return std::move(head->name);
}

Status FunctionLibraries::Delete(std::string_view name) {
  const auto library = libraries_.find(name);
  if (library == libraries_.end()) return NotFound("Library not found");
  Release(library->second);
  libraries_.erase(library);
  Count();
  return {};
}

void FunctionLibraries::Clear() {
  Release(libraries_);
  Count();
  interpreter_.Collect();
}

Status FunctionLibraries::Restore(const std::vector<std::string>& codes, Policy policy,
                                  const Interpreter::Bounds& bounds) {
  Libraries loaded;
  const auto give_up = [&](Status status) {
    Release(loaded);
    return status;
  };
  for (const std::string& code : codes) {
    Result<LibraryHead> head = ReadLibraryHead(code);
    if (!head.ok()) return give_up(head.status());
    if (loaded.contains(head->name) || (policy == Policy::kAppend && libraries_.contains(head->name))) {
      return give_up(Invalid("Library " + head->name + " already exists"));
    }
    Result<Library> library = Run(code, head->code, bounds);
    if (!library.ok()) return give_up(library.status());
    if (Status clash = CheckNames(IndexOf(loaded), *library, head->name); !clash.ok()) {
      Release(*library);
      return give_up(std::move(clash));
    }
    loaded.emplace(head->name, std::move(*library));
  }
  if (policy != Policy::kFlush) {
    Index kept = by_name_;
    std::erase_if(kept, [&](const auto& entry) { return loaded.contains(entry.second.library); });
    for (const auto& [name, library] : loaded) {
      if (Status clash = CheckNames(kept, library, name); !clash.ok()) return give_up(std::move(clash));
    }
  }
  if (policy == Policy::kFlush) Release(libraries_);
  for (auto& [name, library] : loaded) {
    if (const auto old = libraries_.find(name); old != libraries_.end()) Release(old->second);
    libraries_.insert_or_assign(name, std::move(library));
  }
  Count();
  return {};
}

const FunctionLibraries::Function* FunctionLibraries::Find(std::string_view name) const {
  const auto found = by_name_.find(Lower(name));
  return found == by_name_.end() ? nullptr : found->second.function;
}

void FunctionLibraries::Count() {
  size_t functions = 0, bytes = 0;
  by_name_ = IndexOf(libraries_);
  for (const auto& [name, library] : libraries_) {
    bytes += kNodeBytes + name.size() + library.code.size();
    for (const auto& [function, details] : library.functions) {
      bytes += kNodeBytes + function.size() + details.description.size();
    }
    functions += library.functions.size();
  }
  library_count_.store(libraries_.size(), std::memory_order_relaxed);
  function_count_.store(functions, std::memory_order_relaxed);
  bytes_.store(bytes, std::memory_order_relaxed);
}

}  // namespace understudy::script
