#include "node/script/values.h"

#include <charconv>
#include <cstdlib>
#include <lua.hpp>
#include <string>

#include "common/check.h"
#include "node/script/api.h"

namespace understudy::script {
namespace {

// ---------------------------------------------------------------------------------------------- replies

// Walks a reply of our own writer: it is whole and right.
class Replies {
 public:
  Replies(lua_State* state, std::string_view bytes) : L(state), rest_(bytes) {}

  void Push() {
    luaL_checkstack(L, 5, "a reply is nested too deeply");
    const char type = rest_[0];
    const std::string_view line = Line().substr(1);
    switch (type) {
      case ':': return lua_pushnumber(L, static_cast<lua_Number>(Integer(line)));
      case '$': return PushBulk(Integer(line));
      case '+': return PushField("ok", line);
      case '-':
        PushError(L, "-" + std::string(line));
        lua_pushboolean(L, 1);
        return lua_setfield(L, -2, kCounted);
      case '*':
      case '>': return PushArray(Integer(line));
      case '%': return PushMap(Integer(line));
      case '~': return PushSet(Integer(line));
      case '_': return lua_pushnil(L);
      case '#': return lua_pushboolean(L, line == "t");
      case '(': return PushField("big_number", line);
      case ',':
        lua_newtable(L);
        lua_pushnumber(L, std::strtod(std::string(line).c_str(), nullptr));
        return lua_setfield(L, -2, "double");
      case '=': return PushVerbatim(Integer(line));
      case '|':  // attributes of what follows: a test's reply has some
        PushMap(Integer(line));
        lua_pop(L, 1);
        return Push();
      default: CHECK(false);
    }
  }

 private:
  std::string_view Line() {
    const size_t end = rest_.find("\r\n");
    CHECK(end != std::string_view::npos);
    const std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(end + 2);
    return line;
  }
  static int64_t Integer(std::string_view text) {
    int64_t n = 0;
    std::from_chars(text.data(), text.data() + text.size(), n);
    return n;
  }
  std::string_view Bytes(int64_t size) {
    const std::string_view bytes = rest_.substr(0, static_cast<size_t>(size));
    rest_.remove_prefix(static_cast<size_t>(size) + 2);
    return bytes;
  }
  void PushText(std::string_view text) { lua_pushlstring(L, text.data(), text.size()); }
  void PushField(const char* name, std::string_view text) {
    lua_newtable(L);
    PushText(text);
    lua_setfield(L, -2, name);
  }
  void PushBulk(int64_t size) {
    if (size < 0) return lua_pushboolean(L, 0);
    PushText(Bytes(size));
  }
  void PushArray(int64_t size) {
    if (size < 0) return lua_pushboolean(L, 0);
    lua_createtable(L, static_cast<int>(size), 0);
    for (int i = 1; i <= size; ++i) {
      Push();
      lua_rawseti(L, -2, i);
    }
  }
  void PushMap(int64_t pairs) {
    lua_newtable(L);
    lua_createtable(L, 0, static_cast<int>(pairs));
    for (int64_t i = 0; i < pairs; ++i) {
      Push();
      Push();
      SetPair();
    }
    lua_setfield(L, -2, "map");
  }
  void PushSet(int64_t size) {
    lua_newtable(L);
    lua_createtable(L, 0, static_cast<int>(size));
    for (int64_t i = 0; i < size; ++i) {
      Push();
      lua_pushboolean(L, 1);
      SetPair();
    }
    lua_setfield(L, -2, "set");
  }
  // A null can't be a key: such a pair is left out.
  void SetPair() {
    if (lua_isnil(L, -2)) return lua_pop(L, 2);
    lua_rawset(L, -3);
  }
  void PushVerbatim(int64_t size) {
    const std::string_view bytes = Bytes(size);
    lua_newtable(L);
    lua_newtable(L);
    PushText(bytes.substr(4));
    lua_setfield(L, -2, "string");
    PushText(bytes.substr(0, 3));
    lua_setfield(L, -2, "format");
    lua_setfield(L, -2, "verbatim_string");
  }

  lua_State* const L;
  std::string_view rest_;
};

// ---------------------------------------------------------------------------------------------- results

// Deeper than any client reads, and well within a thread's stack.
constexpr int kMostNested = 3000;

std::string OneLine(std::string_view text) {
  std::string line(text);
  for (char& c : line) {
    if (c == '\r' || c == '\n') c = ' ';
  }
  return line;
}

class Results {
 public:
  Results(lua_State* state, int script_protocol, resp::Writer& reply)
      : L(state), protocol_(script_protocol), reply_(reply) {}

  // Pops it.
  void Write() {
    if (depth_ == kMostNested || !lua_checkstack(L, 4)) {
      reply_.Error("ERR reached lua stack limit");
      return lua_pop(L, 1);
    }
    ++depth_;
    switch (lua_type(L, -1)) {
      case LUA_TSTRING: reply_.Bulk(Text(-1)); break;
      case LUA_TBOOLEAN: WriteBoolean(lua_toboolean(L, -1) != 0); break;
      case LUA_TNUMBER: reply_.Integer(ToInteger(lua_tonumber(L, -1))); break;
      case LUA_TTABLE: WriteTable(); break;
      default: reply_.Null();
    }
    --depth_;
    lua_pop(L, 1);
  }

 private:
  // As the processor converts: what is no 64-bit number becomes the smallest one.
  static int64_t ToInteger(lua_Number n) {
    return n >= -9223372036854775808.0 && n < 9223372036854775808.0 ? static_cast<int64_t>(n) : INT64_MIN;
  }
  std::string_view Text(int index) const {
    size_t size;
    const char* text = lua_tolstring(L, index, &size);
    return {text, size};
  }
  void WriteBoolean(bool value) {
    if (protocol_ == 3) return reply_.Boolean(value);
    if (value) return reply_.Integer(1);
    reply_.Null();
  }
  // Pushes the field if it has the type.
  bool PushField(const char* name, int type) {
    lua_pushstring(L, name);
    lua_rawget(L, -2);
    if (lua_type(L, -1) == type) return true;
    lua_pop(L, 1);
    return false;
  }
  void WriteTable() {
    if (PushField("err", LUA_TSTRING)) {
      const std::string_view text = Text(-1);
      lua_pop(L, 1);  // the table holds it
      return WasCounted(L) ? reply_.ErrorToldBefore(text) : reply_.Error(text);
    }
    if (PushField("ok", LUA_TSTRING)) {
      reply_.SimpleString(OneLine(Text(-1)));
      return lua_pop(L, 1);
    }
    if (PushField("double", LUA_TNUMBER)) {
      reply_.Double(lua_tonumber(L, -1));
      return lua_pop(L, 1);
    }
    if (PushField("map", LUA_TTABLE)) return WriteMap();
    if (PushField("set", LUA_TTABLE)) return WriteSet();
    if (PushField("big_number", LUA_TSTRING)) {
      const std::string digits = OneLine(Text(-1));
      if (reply_.protocol() == 3) {
        reply_.Raw("(" + digits + "\r\n");
      } else {
        reply_.Bulk(digits);
      }
      return lua_pop(L, 1);
    }
    if (PushField("verbatim_string", LUA_TTABLE)) {
      if (PushField("format", LUA_TSTRING)) {
        lua_pushliteral(L, "string");
        lua_rawget(L, -3);
        if (lua_type(L, -1) == LUA_TSTRING) {
          std::string format(Text(-2).substr(0, 3));
          format.resize(3, ' ');
          reply_.Verbatim(format, Text(-1));
          return lua_pop(L, 3);
        }
        lua_pop(L, 2);
      }
      lua_pop(L, 1);
    }
    WriteArray();
  }
  size_t CountPairs() {
    size_t pairs = 0;
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) ++pairs;
    return pairs;
  }
  void WriteMap() {
    reply_.Map(CountPairs());
    for (lua_pushnil(L); lua_next(L, -2) != 0;) {
      lua_pushvalue(L, -2);
      Write();
      Write();
    }
    lua_pop(L, 1);
  }
  void WriteSet() {
    reply_.Set(CountPairs());
    for (lua_pushnil(L); lua_next(L, -2) != 0;) {
      lua_pop(L, 1);
      lua_pushvalue(L, -1);
      Write();
    }
    lua_pop(L, 1);
  }
  // Up to the first nil.
  void WriteArray() {
    int size = 0;
    for (;; ++size) {
      lua_rawgeti(L, -1, size + 1);
      const bool end = lua_isnil(L, -1);
      lua_pop(L, 1);
      if (end) break;
    }
    reply_.Array(static_cast<size_t>(size));
    for (int i = 1; i <= size; ++i) {
      lua_rawgeti(L, -1, i);
      Write();
    }
  }

  lua_State* const L;
  const int protocol_;
  resp::Writer& reply_;
  int depth_ = 0;
};

}  // namespace

bool WasCounted(lua_State* L) {
  lua_pushstring(L, kCounted);
  lua_rawget(L, -2);
  const bool counted = lua_toboolean(L, -1) != 0;
  lua_pop(L, 1);
  return counted;
}

void PushReply(lua_State* state, std::string_view reply) { Replies(state, reply).Push(); }

void WriteValue(lua_State* state, int script_protocol, resp::Writer& reply) {
  Results(state, script_protocol, reply).Write();
}

}  // namespace understudy::script
