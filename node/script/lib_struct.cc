// struct: numbers and texts in bytes, by a format.
//
//   > < !n          byte order; alignment of what follows to at most n bytes (a power of 2)
//   b B h H l L T   integers of 1, 2, 8, 8 bytes; small letters are signed
//   in In           integers of n bytes, 4 without n, at most 32
//   f d             float, double
//   s               text up to a zero byte
//   cn              n bytes; c0: as many as the number before it says (unpack), the whole text (pack)
//   x, space        a zero byte; nothing
#include <cctype>
#include <climits>
#include <cstdint>
#include <cstring>
#include <lua.hpp>
#include <string>
#include <string_view>

#include "node/script/interpreter.h"
#include "node/script/libraries.h"

namespace understudy::script {
namespace {

constexpr int kMostIntegerBytes = 32;
constexpr int kLargestAlignment = 8;

class Format {
 public:
  Format(lua_State* state, const char* text) : L(state), at_(text) {}

  // False at the end. Options for the format itself are carried out here.
  bool Next() {
    if (*at_ == '\0') return false;
    option = *at_++;
    size = Size();
    return true;
  }
  // Bytes to skip at `position` before the value.
  size_t Padding(size_t position) const {
    if (size == 0 || option == 'c') return 0;
    const auto to = static_cast<size_t>(size > alignment_ ? alignment_ : size);
    return (to - (position & (to - 1))) & (to - 1);
  }
  void Control() {
    switch (option) {
      case ' ': return;
      case '>': big_endian = true; return;
      case '<': big_endian = false; return;
      case '!': {
        const int n = Number(kLargestAlignment);
        if (n <= 0 || (n & (n - 1)) != 0) luaL_error(L, "alignment %d is not a power of 2", n);
        alignment_ = n;
        return;
      }
      default: luaL_argerror(L, 1, lua_pushfstring(L, "invalid format option '%c'", option));
    }
  }

  char option = 0;
  int size = 0;  // of the value; 0 if the option does not say
  bool big_endian = false;

 private:
  int Number(int without) {
    if (!std::isdigit(static_cast<unsigned char>(*at_))) return without;
    int64_t n = 0;
    while (std::isdigit(static_cast<unsigned char>(*at_))) {
      n = n * 10 + (*at_++ - '0');
      if (n > INT_MAX) luaL_error(L, "integral size overflow");
    }
    return static_cast<int>(n);
  }
  int Size() {
    switch (option) {
      case 'b': case 'B': case 'x': return 1;
      case 'h': case 'H': return 2;
      case 'l': case 'L': case 'T': case 'd': return 8;
      case 'f': return 4;
      case 'c': return Number(1);
      case 'i': case 'I': {
        const int n = Number(4);
        if (n > kMostIntegerBytes) {
          luaL_error(L, "integral size %d is larger than limit of %d", n, kMostIntegerBytes);
        }
        return n;
      }
      default: return 0;
    }
  }

  lua_State* const L;
  const char* at_;
  int alignment_ = 1;
};

bool IsInteger(char option) { return option != '\0' && std::strchr("bBhHlLTiI", option) != nullptr; }

void AppendOrdered(std::string* out, const void* value, size_t size, bool big_endian) {
  const auto* bytes = static_cast<const char*>(value);
  for (size_t i = 0; i < size; ++i) out->push_back(bytes[big_endian ? size - 1 - i : i]);
}

void ReadOrdered(const char* from, void* value, size_t size, bool big_endian) {
  auto* bytes = static_cast<char*>(value);
  for (size_t i = 0; i < size; ++i) bytes[i] = from[big_endian ? size - 1 - i : i];
}

// What does not fit into 64 bits is whatever the processor makes of it, but always the same.
uint64_t ToBits(lua_Number n) {
  if (n < 0) return n >= -9223372036854775808.0 ? static_cast<uint64_t>(static_cast<int64_t>(n)) : uint64_t{1} << 63;
  return n < 18446744073709551616.0 ? static_cast<uint64_t>(n) : 0;
}

void AppendInteger(std::string* out, lua_Number n, int size, bool big_endian) {
  uint64_t bits = ToBits(n);
  char bytes[kMostIntegerBytes];
  for (int i = 0; i < size; ++i, bits >>= 8) bytes[i] = static_cast<char>(bits & 0xff);
  AppendOrdered(out, bytes, static_cast<size_t>(size), big_endian);
}

lua_Number ReadInteger(const char* from, int size, bool is_signed, bool big_endian) {
  uint64_t bits = 0;
  for (int i = 0; i < size && i < 8; ++i) {
    const char byte = from[big_endian ? size - 1 - i : i];
    bits |= uint64_t{static_cast<unsigned char>(byte)} << (8 * i);
  }
  if (!is_signed) return static_cast<lua_Number>(bits);
  if (size > 0 && size < 8 && (bits >> (8 * size - 1) & 1) != 0) bits |= ~uint64_t{0} << (8 * size);
  return static_cast<lua_Number>(static_cast<int64_t>(bits));
}

int Pack(lua_State* L) {
  Format format(L, luaL_checkstring(L, 1));
  lua_pushnil(L);  // what is missing is told as "got nil"
  std::string out;
  int argument = 2;
  while (format.Next()) {
    Interpreter::Of(L).CheckRoom(L, out.size());
    out.append(format.Padding(out.size()), '\0');
    const auto size = static_cast<size_t>(format.size);
    if (IsInteger(format.option)) {
      AppendInteger(&out, luaL_checknumber(L, argument++), format.size, format.big_endian);
    } else if (format.option == 'x') {
      out.push_back('\0');
    } else if (format.option == 'f') {
      const auto value = static_cast<float>(luaL_checknumber(L, argument++));
      AppendOrdered(&out, &value, size, format.big_endian);
    } else if (format.option == 'd') {
      const double value = luaL_checknumber(L, argument++);
      AppendOrdered(&out, &value, size, format.big_endian);
    } else if (format.option == 'c' || format.option == 's') {
      size_t length;
      const char* text = luaL_checklstring(L, argument++, &length);
      const size_t taken = size == 0 ? length : size;
      luaL_argcheck(L, length >= taken, argument, "string too short");
      out.append(text, taken);
      if (format.option == 's') out.push_back('\0');
    } else {
      format.Control();
    }
  }
  lua_pushlstring(L, out.data(), out.size());
  return 1;
}

int Unpack(lua_State* L) {
  Format format(L, luaL_checkstring(L, 1));
  size_t length;
  const char* const data = luaL_checklstring(L, 2, &length);
  const lua_Integer from = luaL_optinteger(L, 3, 1);
  luaL_argcheck(L, from != 0, 3, "offset must be 1 or greater");
  auto position = static_cast<size_t>(from - 1);
  const auto must_hold = [&](size_t bytes) {
    luaL_argcheck(L, bytes <= length && position <= length - bytes, 2, "data string too short");
  };
  lua_settop(L, 2);
  int results = 0;
  while (format.Next()) {
    position += format.Padding(position);
    auto size = static_cast<size_t>(format.size);
    must_hold(size);
    luaL_checkstack(L, 2, "too many results");
    const char* const at = data + position;
    if (IsInteger(format.option)) {
      const bool is_signed = std::islower(static_cast<unsigned char>(format.option)) != 0;
      lua_pushnumber(L, ReadInteger(at, format.size, is_signed, format.big_endian));
      ++results;
    } else if (format.option == 'f') {
      float value;
      ReadOrdered(at, &value, size, format.big_endian);
      lua_pushnumber(L, value);
      ++results;
    } else if (format.option == 'd') {
      double value;
      ReadOrdered(at, &value, size, format.big_endian);
      lua_pushnumber(L, value);
      ++results;
    } else if (format.option == 'c') {
      if (size == 0) {
        if (results == 0 || !lua_isnumber(L, -1)) luaL_error(L, "format 'c0' needs a previous size");
        const lua_Number n = lua_tonumber(L, -1);
        luaL_argcheck(L, n >= 0 && n <= static_cast<lua_Number>(length), 2, "data string too short");
        size = static_cast<size_t>(n);
        lua_pop(L, 1);
        --results;
        must_hold(size);
      }
      lua_pushlstring(L, at, size);
      ++results;
    } else if (format.option == 's') {
      const void* const end = position < length ? std::memchr(at, '\0', length - position) : nullptr;
      if (end == nullptr) luaL_error(L, "unfinished string in data");
      size = static_cast<size_t>(static_cast<const char*>(end) - at);
      lua_pushlstring(L, at, size);
      ++size;
      ++results;
    } else if (format.option != 'x') {
      format.Control();
    }
    position += size;
  }
  lua_pushinteger(L, static_cast<lua_Integer>(position + 1));
  return results + 1;
}

int Size(lua_State* L) {
  Format format(L, luaL_checkstring(L, 1));
  size_t position = 0;
  while (format.Next()) {
    position += format.Padding(position);
    if (format.option == 's') luaL_argerror(L, 1, "option 's' has no fixed size");
    if (format.option == 'c' && format.size == 0) luaL_argerror(L, 1, "option 'c0' has no fixed size");
    if (!std::isalnum(static_cast<unsigned char>(format.option))) format.Control();
    position += static_cast<size_t>(format.size);
  }
  lua_pushinteger(L, static_cast<lua_Integer>(position));
  return 1;
}

constexpr luaL_Reg kFunctions[] = {{"pack", Pack}, {"unpack", Unpack}, {"size", Size}, {nullptr, nullptr}};

}  // namespace

void OpenStruct(lua_State* L) {
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
}

}  // namespace understudy::script
