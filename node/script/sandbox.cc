#include "node/script/sandbox.h"

#include <lua.hpp>

#include <ctime>
#include <iterator>
#include <string>

#include "node/script/api.h"
#include "node/script/interpreter.h"
#include "node/script/libraries.h"

namespace understudy::script {
namespace {

constexpr std::string_view kReadOnly = "Attempt to modify a readonly table";
// Lua's search goes one level of the thread's stack deeper for each item of a pattern: it would end the process.
constexpr size_t kLongestPattern = 16 * 1024;

// Addresses as keys: of a proxy's hidden table in its metatable, of our tables in the registry.
char hidden_key, globals_key, proxy_key, loading_key;

void* Key(char& address) { return &address; }

// Pushes the table that the proxy at `index` hides; false, and nothing pushed, if it is none.
bool PushHidden(lua_State* L, int index) {
  if (!lua_istable(L, index) || !lua_getmetatable(L, index)) return false;
  lua_pushlightuserdata(L, Key(hidden_key));
  lua_rawget(L, -2);
  lua_remove(L, -2);
  if (lua_istable(L, -1)) return true;
  lua_pop(L, 1);
  return false;
}

int RefuseWrite(lua_State* L) { RaiseHere(L, kReadOnly); }

void RefuseProxy(lua_State* L, int index) {
  if (!PushHidden(L, index)) return;
  Raise(L, kReadOnly);
}

// Replaces the table on top by a proxy for it.
void Protect(lua_State* L) {
  lua_newtable(L);   // the proxy
  lua_newtable(L);   // its metatable
  lua_pushvalue(L, -3);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, RefuseWrite);
  lua_setfield(L, -2, "__newindex");
  lua_pushboolean(L, 0);
  lua_setfield(L, -2, "__metatable");
  lua_pushlightuserdata(L, Key(hidden_key));
  lua_pushvalue(L, -4);
  lua_rawset(L, -3);
  lua_setmetatable(L, -2);
  lua_remove(L, -2);
}

int MissingGlobal(lua_State* L) {
  const std::string name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2);
  RaiseHere(L, "Script attempted to access nonexistent global variable '" + name + "'");
}

void RefuseMissing(lua_State* L) {
  lua_newtable(L);
  lua_pushcfunction(L, MissingGlobal);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
}

// ---------------------------------------------------------------------------------------------- replaced functions

int Next(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  if (PushHidden(L, 1)) lua_replace(L, 1);
  if (lua_next(L, 1)) return 2;
  lua_pushnil(L);
  return 1;
}

int Pairs(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_pushvalue(L, lua_upvalueindex(1));  // Next
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  return 3;
}

int RawGet(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checkany(L, 2);
  lua_settop(L, 2);
  if (PushHidden(L, 1)) lua_replace(L, 1);
  lua_rawget(L, 1);
  return 1;
}

// Does what was there before, unless its first argument is a proxy. Not by a call: errors name the place and the function
// by the frame.
int Guarded(lua_State* L) {
  RefuseProxy(L, 1);
  return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

// What takes a pattern as its second argument.
int WithPattern(lua_State* L) {
  if (lua_type(L, 2) == LUA_TSTRING && lua_objlen(L, 2) > kLongestPattern) {
    const std::string_view pattern(lua_tostring(L, 2), lua_objlen(L, 2));
    if (pattern.find_first_of("^$*+?.([%-") != std::string_view::npos) return luaL_error(L, "pattern too complex");
  }
  return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

int Find(lua_State* L) {
  if (lua_toboolean(L, 4)) return lua_tocfunction(L, lua_upvalueindex(1))(L);  // a plain text
  return WithPattern(L);
}

// Of what collectgarbage can do, what ends with the call: the pace of collection is everybody's.
int CollectGarbage(lua_State* L) {
  const char* const options[] = {"collect", "count", "step", "stop", "restart", "setpause", "setstepmul", nullptr};
  constexpr int kForOne = 3;
  if (luaL_checkoption(L, 1, "collect", options) < kForOne) return lua_tocfunction(L, lua_upvalueindex(1))(L);
  lua_pushinteger(L, 0);
  return 1;
}

// An error of redis.call is a table inside, but a text for who catches it.
int ProtectedCall(lua_State* L) {
  luaL_checkany(L, 1);
  if (lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0) == 0) {
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    return lua_gettop(L);
  }
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, "err");
    if (lua_isstring(L, -1)) {
      lua_replace(L, -2);
    } else {
      lua_pop(L, 1);
    }
  }
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 2;
}

// load, loadstring: source only. Bytecode that nobody checks could read and write any memory.
int LoadSource(lua_State* L, std::string_view code, const char* name) {
  if (!code.empty() && code[0] == LUA_SIGNATURE[0]) {
    lua_pushnil(L);
    lua_pushliteral(L, "attempt to load bytecode, only source is allowed");
    return 2;
  }
  if (LoadChunk(L, code, name) == 0) return 1;
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

int LoadString(lua_State* L) {
  size_t size;
  const char* code = luaL_checklstring(L, 1, &size);
  return LoadSource(L, {code, size}, luaL_optstring(L, 2, code));
}

int Load(lua_State* L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  const char* const name = luaL_optstring(L, 2, "=(load)");
  std::string code;
  for (;;) {
    Interpreter::Of(L).CheckRoom(L, code.size());
    lua_pushvalue(L, 1);
    lua_call(L, 0, 1);
    size_t size;
    const char* piece = lua_tolstring(L, -1, &size);
    if (piece == nullptr && !lua_isnil(L, -1)) luaL_error(L, "reader function must return a string");
    if (piece == nullptr || size == 0) break;
    code.append(piece, size);
    lua_pop(L, 1);
  }
  return LoadSource(L, code, name);
}

int Random(lua_State* L) {
  constexpr uint32_t kMost = INT32_MAX;
  const lua_Number r = static_cast<lua_Number>(Interpreter::Of(L).NextRandom() % kMost) / static_cast<lua_Number>(kMost);
  switch (lua_gettop(L)) {
    case 0:
      lua_pushnumber(L, r);
      return 1;
    case 1: {
      const int upper = luaL_checkint(L, 1);
      luaL_argcheck(L, 1 <= upper, 1, "interval is empty");
      lua_pushnumber(L, static_cast<lua_Number>(static_cast<int64_t>(r * upper)) + 1);
      return 1;
    }
    case 2: {
      const int lower = luaL_checkint(L, 1), upper = luaL_checkint(L, 2);
      luaL_argcheck(L, lower <= upper, 2, "interval is empty");
      const double width = static_cast<double>(upper) - lower + 1;
      lua_pushnumber(L, static_cast<lua_Number>(static_cast<int64_t>(r * width)) + lower);
      return 1;
    }
    default: return luaL_error(L, "wrong number of arguments");
  }
}

int RandomSeed(lua_State* L) {
  Interpreter::Of(L).SeedRandom(static_cast<uint32_t>(luaL_checkint(L, 1)));
  return 0;
}

int Clock(lua_State* L) {
  lua_pushnumber(L, static_cast<lua_Number>(std::clock()) / CLOCKS_PER_SEC);
  return 1;
}

// ---------------------------------------------------------------------------------------------- the globals

void Open(lua_State* L, lua_CFunction open, const char* name) {
  lua_pushcfunction(L, open);
  lua_pushstring(L, name);
  lua_call(L, 1, 0);
}

// The field of the table on top gets our function; the one before is its upvalue.
void Wrap(lua_State* L, const char* name, lua_CFunction function) {
  lua_getfield(L, -1, name);
  lua_pushcclosure(L, function, 1);
  lua_setfield(L, -2, name);
}

void Set(lua_State* L, const char* name, lua_CFunction function) {
  lua_pushcfunction(L, function);
  lua_setfield(L, -2, name);
}

void ReplaceBase(lua_State* L) {  // the hidden globals are on top
  for (const char* name : {"dofile", "loadfile", "print", "getfenv", "setfenv", "newproxy", "module", "require",
                           "package", "debug", "io"}) {
    lua_pushnil(L);
    lua_setfield(L, -2, name);
  }
  Set(L, "next", Next);
  lua_getfield(L, -1, "next");
  lua_pushcclosure(L, Pairs, 1);
  lua_setfield(L, -2, "pairs");
  Set(L, "rawget", RawGet);
  Wrap(L, "rawset", Guarded);
  Wrap(L, "setmetatable", Guarded);
  Set(L, "pcall", ProtectedCall);
  Set(L, "load", Load);
  Set(L, "loadstring", LoadString);
  Wrap(L, "collectgarbage", CollectGarbage);
  lua_getfield(L, -1, "string");
  for (const char* name : {"gfind", "gmatch", "gsub", "match"}) Wrap(L, name, WithPattern);
  Wrap(L, "find", Find);
  lua_pop(L, 1);
  lua_getfield(L, -1, "table");
  for (const char* name : {"insert", "remove", "sort", "setn"}) Wrap(L, name, Guarded);
  lua_pop(L, 1);
  lua_getfield(L, -1, "math");
  Set(L, "random", Random);
  Set(L, "randomseed", RandomSeed);
  lua_pop(L, 1);
  lua_newtable(L);
  Set(L, "clock", Clock);
  lua_setfield(L, -2, "os");
}

// What getmetatable("") gives must not lead to the hidden table of strings.
void ProtectStringMetatable(lua_State* L) {
  lua_pushliteral(L, "");
  lua_getmetatable(L, -1);
  lua_newtable(L);
  lua_getglobal(L, "string");
  lua_setfield(L, -2, "__index");
  Protect(L);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 2);
}

}  // namespace

void Raise(lua_State* L, std::string_view text) {
  lua_pushlstring(L, text.data(), text.size());
  lua_error(L);
  __builtin_unreachable();
}

void RaiseHere(lua_State* L, std::string_view text) {
  luaL_where(L, 1);
  lua_pushlstring(L, text.data(), text.size());
  lua_concat(L, 2);
  lua_error(L);
  __builtin_unreachable();
}

int LoadChunk(lua_State* L, std::string_view code, const char* name) {
  lua_pushstring(L, name);
  const int failed = luaL_loadbuffer(L, code.data(), code.size(), name);
  lua_remove(L, -2);
  return failed;
}

void BuildSandbox(lua_State* L, bool functions) {
  Open(L, luaopen_base, "");
  Open(L, luaopen_table, LUA_TABLIBNAME);
  Open(L, luaopen_string, LUA_STRLIBNAME);
  Open(L, luaopen_math, LUA_MATHLIBNAME);
  lua_pushvalue(L, LUA_GLOBALSINDEX);
  OpenJson(L);
  lua_setfield(L, -2, "cjson");
  OpenMsgpack(L);
  lua_setfield(L, -2, "cmsgpack");
  OpenBit(L);
  lua_setfield(L, -2, "bit");
  OpenStruct(L);
  lua_setfield(L, -2, "struct");
  ReplaceBase(L);
  for (const char* name : {"table", "string", "math", "os", "coroutine", "cjson", "cmsgpack", "bit", "struct"}) {
    lua_getfield(L, -1, name);
    Protect(L);
    lua_setfield(L, -2, name);
  }
  ProtectStringMetatable(L);

  lua_newtable(L);
  AddApi(L, functions);
  Protect(L);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "redis");
  lua_setfield(L, -2, "server");
  RefuseMissing(L);

  // What scripts see of it, also as _G; and the globals of all chunks from here on.
  lua_pushlightuserdata(L, Key(globals_key));
  lua_pushvalue(L, -2);
  lua_rawset(L, LUA_REGISTRYINDEX);
  lua_pushvalue(L, -1);
  Protect(L);
  lua_getmetatable(L, -1);
  lua_newtable(L);
  Protect(L);
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
  lua_pushvalue(L, -1);
  lua_setfield(L, -3, "_G");
  lua_pushlightuserdata(L, Key(proxy_key));
  lua_pushvalue(L, -2);
  lua_rawset(L, LUA_REGISTRYINDEX);
  lua_replace(L, LUA_GLOBALSINDEX);

  if (functions) {
    lua_pushlightuserdata(L, Key(loading_key));
    lua_newtable(L);
    lua_newtable(L);
    AddLoadingApi(L);
    RefuseMissing(L);
    Protect(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "redis");
    lua_setfield(L, -2, "server");
    lua_newtable(L);
    lua_pushvalue(L, -4);  // the hidden globals
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
  }
  lua_pop(L, 1);
}

bool IsProtected(lua_State* L, int index) {
  if (!PushHidden(L, index)) return false;
  lua_pop(L, 1);
  return true;
}

void SetGlobal(lua_State* L, const char* name) {
  lua_pushlightuserdata(L, Key(globals_key));
  lua_rawget(L, LUA_REGISTRYINDEX);
  lua_insert(L, -2);
  lua_pushstring(L, name);
  lua_insert(L, -2);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

namespace {

void ReadGlobalsFrom(lua_State* L, char& key) {
  lua_pushlightuserdata(L, Key(proxy_key));
  lua_rawget(L, LUA_REGISTRYINDEX);
  lua_getmetatable(L, -1);
  lua_pushlightuserdata(L, Key(key));
  lua_rawget(L, LUA_REGISTRYINDEX);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 2);
}

}  // namespace

void EnterLoading(lua_State* L) { ReadGlobalsFrom(L, loading_key); }
void LeaveLoading(lua_State* L) { ReadGlobalsFrom(L, globals_key); }

}  // namespace understudy::script
