// cmsgpack: MessagePack (msgpack.org), without extension types and those of bytes, which Redis does not read either.
//
// Numbers that are integers are packed as such, in the fewest bytes; others as float if that loses nothing, else as
// double. A table whose keys are 1 to n is an array. What MessagePack can't hold, and tables nested more than
// kMostNested deep, become nil.
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <lua.hpp>
#include <string>
#include <string_view>

#include "node/script/interpreter.h"
#include "node/script/libraries.h"

namespace understudy::script {
namespace {

constexpr int kMostNested = 16;
constexpr int kMostUnpacked = 1000;  // levels, as cjson takes; well within a thread's stack, with sanitizers too

class Packer {
 public:
  explicit Packer(lua_State* state) : L(state), interpreter_(Interpreter::Of(state)) {}
  const std::string& out() const { return out_; }

  // Pops it.
  void Pack(int depth) {
    luaL_checkstack(L, 6, "a value is nested too deeply");
    interpreter_.CheckRoom(L, out_.size());  // a table may be in it over and over
    switch (lua_type(L, -1)) {
      case LUA_TSTRING: PackText(); break;
      case LUA_TBOOLEAN: Byte(lua_toboolean(L, -1) ? 0xc3 : 0xc2); break;
      case LUA_TNUMBER: PackNumber(lua_tonumber(L, -1)); break;
      case LUA_TTABLE:
        if (depth == kMostNested) {
          Byte(0xc0);
        } else {
          PackTable(depth);
        }
        break;
      default: Byte(0xc0);
    }
    lua_pop(L, 1);
  }

 private:
  void Byte(int byte) { out_.push_back(static_cast<char>(byte)); }
  void BigEndian(uint64_t value, int bytes) {
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) Byte(static_cast<int>(value >> shift & 0xff));
  }
  void Tagged(int tag, uint64_t value, int bytes) {
    Byte(tag);
    BigEndian(value, bytes);
  }
  void PackText() {
    size_t size;
    const char* text = lua_tolstring(L, -1, &size);
    if (size < 32) {
      Byte(0xa0 | static_cast<int>(size));
    } else if (size <= 0xff) {
      Tagged(0xd9, size, 1);
    } else if (size <= 0xffff) {
      Tagged(0xda, size, 2);
    } else {
      Tagged(0xdb, size, 4);
    }
    out_.append(text, size);
  }
  void PackNumber(lua_Number n) {
    if (n == std::floor(n) && n >= -9223372036854775808.0 && n < 9223372036854775808.0) {
      return PackInteger(static_cast<int64_t>(n));
    }
    const auto single = static_cast<float>(n);
    if (static_cast<double>(single) == n) return Tagged(0xca, std::bit_cast<uint32_t>(single), 4);
    Tagged(0xcb, std::bit_cast<uint64_t>(n), 8);
  }
  void PackInteger(int64_t n) {
    const auto bits = static_cast<uint64_t>(n);
    if (n >= 0) {
      if (n <= 127) return Byte(static_cast<int>(n));
      if (n <= 0xff) return Tagged(0xcc, bits, 1);
      if (n <= 0xffff) return Tagged(0xcd, bits, 2);
      if (n <= 0xffffffff) return Tagged(0xce, bits, 4);
      return Tagged(0xcf, bits, 8);
    }
    if (n >= -32) return Byte(static_cast<int>(n) & 0xff);
    if (n >= INT8_MIN) return Tagged(0xd0, bits, 1);
    if (n >= INT16_MIN) return Tagged(0xd1, bits, 2);
    if (n >= INT32_MIN) return Tagged(0xd2, bits, 4);
    Tagged(0xd3, bits, 8);
  }
  void Count(size_t n, int small, int tag) {
    if (n <= 15) {
      Byte(small | static_cast<int>(n));
    } else if (n <= 0xffff) {
      Tagged(tag, n, 2);
    } else {
      Tagged(tag + 1, n, 4);
    }
  }
  void PackTable(int depth) {
    size_t pairs = 0;
    lua_Number largest = 0;
    bool array = true;
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
      ++pairs;
      const lua_Number key = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
      array = array && key > 0 && key == std::floor(key);
      if (key > largest) largest = key;
    }
    array = array && largest == static_cast<lua_Number>(pairs);
    if (array) {
      Count(pairs, 0x90, 0xdc);
      for (size_t i = 1; i <= pairs; ++i) {
        lua_rawgeti(L, -1, static_cast<int>(i));
        Pack(depth + 1);
      }
      return;
    }
    Count(pairs, 0x80, 0xde);
    for (lua_pushnil(L); lua_next(L, -2) != 0;) {
      lua_pushvalue(L, -2);
      Pack(depth + 1);
      Pack(depth + 1);
    }
  }

  lua_State* const L;
  const Interpreter& interpreter_;
  std::string out_;
};

class Unpacker {
 public:
  Unpacker(lua_State* state, std::string_view data) : L(state), rest_(data) {}
  std::string_view rest() const { return rest_; }

  void Push() {
    if (depth_ == kMostUnpacked) luaL_error(L, "stack overflow (a value is nested too deeply)");
    luaL_checkstack(L, 6, "a value is nested too deeply");
    const auto tag = static_cast<int>(Unsigned(1));
    if (tag <= 0x7f) return lua_pushnumber(L, tag);
    if (tag <= 0x8f) return PushMap(static_cast<size_t>(tag & 15));
    if (tag <= 0x9f) return PushArray(static_cast<size_t>(tag & 15));
    if (tag <= 0xbf) return PushText(static_cast<size_t>(tag & 31));
    if (tag >= 0xe0) return lua_pushnumber(L, static_cast<int8_t>(tag));
    switch (tag) {
      case 0xc0: return lua_pushnil(L);
      case 0xc2: return lua_pushboolean(L, 0);
      case 0xc3: return lua_pushboolean(L, 1);
      case 0xd9: return PushText(Unsigned(1));
      case 0xda: return PushText(Unsigned(2));
      case 0xdb: return PushText(Unsigned(4));
      case 0xca: return lua_pushnumber(L, std::bit_cast<float>(static_cast<uint32_t>(Unsigned(4))));
      case 0xcb: return lua_pushnumber(L, std::bit_cast<double>(Unsigned(8)));
      case 0xcc: return PushUnsigned(1);
      case 0xcd: return PushUnsigned(2);
      case 0xce: return PushUnsigned(4);
      case 0xcf: return PushUnsigned(8);
      case 0xd0: return lua_pushnumber(L, static_cast<int8_t>(Unsigned(1)));
      case 0xd1: return lua_pushnumber(L, static_cast<int16_t>(Unsigned(2)));
      case 0xd2: return lua_pushnumber(L, static_cast<int32_t>(Unsigned(4)));
      case 0xd3: return lua_pushnumber(L, static_cast<lua_Number>(static_cast<int64_t>(Unsigned(8))));
      case 0xdc: return PushArray(Unsigned(2));
      case 0xdd: return PushArray(Unsigned(4));
      case 0xde: return PushMap(Unsigned(2));
      case 0xdf: return PushMap(Unsigned(4));
      default: luaL_error(L, "Bad data format in input.");
    }
  }

 private:
  std::string_view Take(size_t bytes) {
    if (rest_.size() < bytes) luaL_error(L, "Missing bytes in input.");
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }
  uint64_t Unsigned(size_t bytes) {
    uint64_t n = 0;
    for (const char c : Take(bytes)) n = n << 8 | static_cast<unsigned char>(c);
    return n;
  }
  void PushUnsigned(size_t bytes) { lua_pushnumber(L, static_cast<lua_Number>(Unsigned(bytes))); }
  void PushText(size_t bytes) {
    const std::string_view text = Take(bytes);
    lua_pushlstring(L, text.data(), text.size());
  }
  // The size is the sender's word only: room comes as the elements do.
  void PushArray(size_t size) {
    lua_newtable(L);
    ++depth_;
    for (size_t i = 1; i <= size; ++i) {
      Push();
      lua_rawseti(L, -2, static_cast<int>(i));
    }
    --depth_;
  }
  void PushMap(size_t size) {
    lua_newtable(L);
    ++depth_;
    for (size_t i = 0; i < size; ++i) {
      Push();
      if (lua_isnil(L, -1) || (lua_isnumber(L, -1) && std::isnan(lua_tonumber(L, -1)))) {
        luaL_error(L, "Bad data format in input.");
      }
      Push();
      lua_rawset(L, -3);
    }
    --depth_;
  }

  lua_State* const L;
  std::string_view rest_;
  int depth_ = 0;
};

int Pack(lua_State* L) {
  const int count = lua_gettop(L);
  if (count == 0) return luaL_argerror(L, 0, "MessagePack pack needs input.");
  Packer packer(L);
  for (int i = 1; i <= count; ++i) {
    lua_pushvalue(L, i);
    packer.Pack(0);
  }
  lua_pushlstring(L, packer.out().data(), packer.out().size());
  return 1;
}

// limit 0: all there are, without a position. Positions are counted from 0; -1 = the end.
int UnpackSome(lua_State* L, int limit, int offset) {
  size_t size;
  const char* data = luaL_checklstring(L, 1, &size);
  if (offset < 0 || limit < 0) {
    return luaL_error(L, "Invalid request to unpack with offset of %d and limit of %d.", offset, static_cast<int>(size));
  }
  if (static_cast<size_t>(offset) > size) {
    return luaL_error(L, "Start offset %d greater than input length %d.", offset, static_cast<int>(size));
  }
  Unpacker unpacker(L, std::string_view(data, size).substr(static_cast<size_t>(offset)));
  const bool all = limit == 0;
  lua_settop(L, 1);
  int results = 0;
  for (; !unpacker.rest().empty() && (all || results < limit); ++results) {
    luaL_checkstack(L, 1, "too many return values at once; use unpack_one or unpack_limit instead.");
    unpacker.Push();
  }
  if (all) return results;
  const size_t left = unpacker.rest().size();
  lua_pushnumber(L, left == 0 ? -1 : static_cast<lua_Number>(size - left));
  lua_insert(L, 2);
  return results + 1;
}

int Unpack(lua_State* L) { return UnpackSome(L, 0, 0); }
int UnpackOne(lua_State* L) { return UnpackSome(L, 1, luaL_optint(L, 2, 0)); }
int UnpackLimit(lua_State* L) {
  const int limit = luaL_checkint(L, 2);
  return UnpackSome(L, limit, luaL_optint(L, 3, 0));
}

constexpr luaL_Reg kFunctions[] = {
    {"pack", Pack}, {"unpack", Unpack}, {"unpack_one", UnpackOne}, {"unpack_limit", UnpackLimit}, {nullptr, nullptr}};

}  // namespace

void OpenMsgpack(lua_State* L) {
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  lua_pushliteral(L, "cmsgpack");
  lua_setfield(L, -2, "_NAME");
  lua_pushliteral(L, "lua-cmsgpack 0.4.0");
  lua_setfield(L, -2, "_VERSION");
}

}  // namespace understudy::script
