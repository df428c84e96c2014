// The table `redis`: redis.call and what else scripts may ask of the server. Names and texts: Redis 7.
#pragma once

#include <string_view>

struct lua_State;

namespace understudy::script {

// Adds to the table on top. functions: what is for EVAL only is left out.
void AddApi(lua_State* state, bool functions);
// What the body of a library may use: redis.register_function, redis.log, ...
void AddLoadingApi(lua_State* state);

// Pushes what redis.error_reply gives: {err = "CODE text"}. text: "-CODE text", or without '-' a text that gets ERR.
void PushError(lua_State* state, std::string_view text);

}  // namespace understudy::script
