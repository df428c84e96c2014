// Libraries that scripts have beside Lua's own: each pushes its table. Written after the behaviour of those that Redis
// gives its scripts, with their limits and messages.
#pragma once

struct lua_State;

namespace understudy::script {

void OpenJson(lua_State* state);     // cjson
void OpenMsgpack(lua_State* state);  // cmsgpack
void OpenBit(lua_State* state);      // bit
void OpenStruct(lua_State* state);   // struct

}  // namespace understudy::script
