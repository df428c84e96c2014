// Values between the protocol and Lua, both ways, as Redis translates them.
//
//   reply                          Lua (redis.setresp(2))     with setresp(3)
//   integer, bulk                  number, string             the same
//   status, error                  {ok = text}, {err = text}  the same
//   null                           false                      nil
//   array                          table from 1 on            the same
//   map, set                       flat table                 {map = {}}, {set = {x = true}}
//   boolean, double, big number,   number, string             boolean, {double = n}, {big_number = text},
//   verbatim                                                  {verbatim_string = {string = text, format = "txt"}}
#pragma once

#include <string_view>

#include "node/resp/writer.h"

struct lua_State;

namespace understudy::script {

// In an error's table: it was counted when the command failed.
inline constexpr char kCounted[] = "ignore_error_stats_update";
// Whether the table on top is such an error.
bool WasCounted(lua_State* state);

// Pushes the value of a whole reply of this server.
void PushReply(lua_State* state, std::string_view reply);
// Writes the value on top of the stack; pops it. script_protocol: of redis.setresp.
void WriteValue(lua_State* state, int script_protocol, resp::Writer& reply);

}  // namespace understudy::script
