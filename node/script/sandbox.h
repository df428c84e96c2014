// The globals of scripts: which there are, and that nobody can change them.
//
// A table that all scripts share is hidden behind a proxy: an empty table whose metatable reads from the hidden one and
// refuses to be written. Stock Lua lets rawset, table.insert and others write into the proxy, and pairs and rawget see
// it empty, so these functions are replaced by ones that know proxies. Names and texts: Redis 7.
#pragma once

#include <string_view>

struct lua_State;

namespace understudy::script {

// Opens the libraries and makes the globals; api: adds to the table `redis` (also `server`), on top of the stack.
void BuildSandbox(lua_State* state, bool functions);
// Whether a script sees the table at `index`, but may not change it.
bool IsProtected(lua_State* state, int index);
// Sets a global that scripts see, from the top of the stack; pops it.
void SetGlobal(lua_State* state, const char* name);
// While a library is loaded, `redis` is another table: what may be called then.
void EnterLoading(lua_State* state);
void LeaveLoading(lua_State* state);

// As luaL_loadbuffer, with the chunk's name kept on the stack meanwhile: Lua's parser holds it by nothing that its
// collector sees.
int LoadChunk(lua_State* state, std::string_view code, const char* name);

// As luaL_error, without a place before the text. Does not return.
[[noreturn]] void Raise(lua_State* state, std::string_view text);
// With the place where the script is: "user_script:1: ...".
[[noreturn]] void RaiseHere(lua_State* state, std::string_view text);

}  // namespace understudy::script
