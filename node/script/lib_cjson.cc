// cjson: JSON (RFC 8259), with the limits and messages of the library that Redis has under this name.
//
// null is a value of its own (cjson.null), so that a table can hold it. A table whose keys are positive integers is an
// array, with null in its gaps; an empty one is an object.
#include <strings.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <lua.hpp>
#include <string>
#include <string_view>

#include "node/script/interpreter.h"
#include "node/script/libraries.h"

namespace understudy::script {
namespace {

// What the functions of one table share; the first upvalue of each.
struct Settings {
  bool sparse_to_object = false;
  int sparse_ratio = 2;
  int sparse_safe = 10;
  int encode_depth = 1000;
  int decode_depth = 1000;
  int precision = 14;
  bool keep_buffer = true;
  bool decode_invalid_numbers = true;
  enum class Invalid { kRefuse, kWrite, kNull } encode_invalid = Invalid::kRefuse;
};

Settings& SettingsOf(lua_State* L) { return *static_cast<Settings*>(lua_touserdata(L, lua_upvalueindex(1))); }

// ---------------------------------------------------------------------------------------------- encode

class Encoder {
 public:
  Encoder(lua_State* state, const Settings& settings)
      : L(state), interpreter_(Interpreter::Of(state)), settings_(settings) {}
  const std::string& out() const { return out_; }

  // The value on top stays there.
  void Write(int depth) {
    interpreter_.CheckRoom(L, out_.size());  // a table may be in it over and over
    switch (lua_type(L, -1)) {
      case LUA_TSTRING: return WriteText(-1);
      case LUA_TNUMBER: return WriteNumber(lua_tonumber(L, -1));
      case LUA_TBOOLEAN:
        out_ += lua_toboolean(L, -1) ? "true" : "false";
        return;
      case LUA_TNIL: out_ += "null"; return;
      case LUA_TTABLE: return WriteTable(depth + 1);
      case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(L, -1) == nullptr) {
          out_ += "null";
          return;
        }
        [[fallthrough]];
      default: Refuse("type not supported");
    }
  }

 private:
  void Refuse(const char* why) { luaL_error(L, "Cannot serialise %s: %s", luaL_typename(L, -1), why); }

  void WriteText(int index) {
    size_t size;
    const char* text = lua_tolstring(L, index, &size);
    out_ += '"';
    for (size_t i = 0; i < size; ++i) {
      const char c = text[i];
      switch (c) {
        case '"': out_ += "\\\""; break;
        case '\\': out_ += "\\\\"; break;
        case '/': out_ += "\\/"; break;
        case '\b': out_ += "\\b"; break;
        case '\t': out_ += "\\t"; break;
        case '\n': out_ += "\\n"; break;
        case '\f': out_ += "\\f"; break;
        case '\r': out_ += "\\r"; break;
        default:
          if (static_cast<unsigned char>(c) < 32 || c == 127) {
            char escaped[8];
            std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c));
            out_ += escaped;
          } else {
            out_ += c;
          }
      }
    }
    out_ += '"';
  }

  void WriteNumber(lua_Number n) {
    if (!std::isfinite(n)) {
      if (settings_.encode_invalid == Settings::Invalid::kRefuse) Refuse("must not be NaN or Inf");
      if (settings_.encode_invalid == Settings::Invalid::kNull) {
        out_ += "null";
        return;
      }
      if (std::isnan(n)) {
        out_ += "nan";
        return;
      }
    }
    char text[32];
    const int size = std::snprintf(text, sizeof text, "%.*g", settings_.precision, n);
    out_.append(text, static_cast<size_t>(size));
  }

  // The largest index of an array; -1: it is none.
  int ArraySize() {
    double largest = 0;
    int pairs = 0;
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
      const double key = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
      if (!(key > 0 && key == std::floor(key))) {
        lua_pop(L, 2);
        return -1;
      }
      if (key > largest) largest = key;
      ++pairs;
    }
    if (settings_.sparse_ratio > 0 && largest > static_cast<double>(pairs) * settings_.sparse_ratio &&
        largest > settings_.sparse_safe) {
      if (!settings_.sparse_to_object) Refuse("excessively sparse array");
      return -1;
    }
    return largest < INT32_MAX ? static_cast<int>(largest) : INT32_MAX;
  }

  void WriteTable(int depth) {
    if (depth > settings_.encode_depth || !lua_checkstack(L, 3)) {
      luaL_error(L, "Cannot serialise, excessive nesting (%d)", depth);
    }
    const int size = ArraySize();
    if (size > 0) return WriteArray(size, depth);
    out_ += '{';
    bool first = true;
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
      if (!first) out_ += ',';
      first = false;
      if (lua_type(L, -2) == LUA_TNUMBER) {
        out_ += '"';
        WriteNumber(lua_tonumber(L, -2));
        out_ += '"';
      } else if (lua_type(L, -2) == LUA_TSTRING) {
        WriteText(-2);
      } else {
        lua_pop(L, 1);
        luaL_error(L, "Cannot serialise %s: %s", luaL_typename(L, -1), "table key must be a number or string");
      }
      out_ += ':';
      Write(depth);
    }
    out_ += '}';
  }

  void WriteArray(int size, int depth) {
    out_ += '[';
    for (int i = 1; i <= size; ++i) {
      if (i > 1) out_ += ',';
      lua_rawgeti(L, -1, i);
      Write(depth);
      lua_pop(L, 1);
    }
    out_ += ']';
  }

  lua_State* const L;
  const Interpreter& interpreter_;
  const Settings& settings_;
  std::string out_;
};

int Encode(lua_State* L) {
  luaL_argcheck(L, lua_gettop(L) == 1, 1, "expected 1 argument");
  Encoder encoder(L, SettingsOf(L));
  encoder.Write(0);
  lua_pushlstring(L, encoder.out().data(), encoder.out().size());
  return 1;
}

// ---------------------------------------------------------------------------------------------- decode

enum class Token { kObject, kObjectEnd, kArray, kArrayEnd, kText, kNumber, kBoolean, kNull, kColon, kComma, kEnd, kError };

constexpr const char* kTokenNames[] = {"T_OBJ_BEGIN", "T_OBJ_END", "T_ARR_BEGIN", "T_ARR_END", "T_STRING", "T_NUMBER",
                                       "T_BOOLEAN",   "T_NULL",    "T_COLON",     "T_COMMA",   "T_END",    "T_ERROR"};

// text is followed by a zero byte, as Lua's strings are: a look ahead never leaves it.
class Decoder {
 public:
  Decoder(lua_State* state, const Settings& settings, std::string_view text)
      : L(state), settings_(settings), text_(text) {}

  void PushDocument() {
    Next();
    PushValue(0);
    Next();
    if (token_ != Token::kEnd) Unexpected("the end");
  }

 private:
  void Unexpected(const char* expected) {
    const char* const found = token_ == Token::kError ? error_ : kTokenNames[static_cast<size_t>(token_)];
    luaL_error(L, "Expected %s but found %s at character %d", expected, found, static_cast<int>(start_ + 1));
  }
  void Fail(const char* error, size_t at) {
    token_ = Token::kError;
    error_ = error;
    start_ = at;
  }

  void Next() {
    while (at_ < text_.size() && std::strchr(" \t\n\r", text_[at_]) != nullptr && text_[at_] != '\0') ++at_;
    start_ = at_;
    const char* const p = text_.data() + at_;
    const auto single = [&](Token token) {
      token_ = token;
      ++at_;
    };
    const auto word = [&](const char* name, Token token) {
      const size_t size = std::strlen(name);
      if (text_.substr(at_, size) != name) return false;
      token_ = token;
      at_ += size;
      return true;
    };
    if (at_ == text_.size() || *p == '\0') {
      token_ = Token::kEnd;
      return;
    }
    switch (*p) {
      case '{': return single(Token::kObject);
      case '}': return single(Token::kObjectEnd);
      case '[': return single(Token::kArray);
      case ']': return single(Token::kArrayEnd);
      case ':': return single(Token::kColon);
      case ',': return single(Token::kComma);
      case '"': return ReadText();
      default: break;
    }
    if (*p == '-' || (*p >= '0' && *p <= '9')) {
      if (!settings_.decode_invalid_numbers && IsInvalidNumber(p)) return Fail("invalid number", start_);
      return ReadNumber();
    }
    if (word("true", Token::kBoolean)) {
      boolean_ = true;
    } else if (word("false", Token::kBoolean)) {
      boolean_ = false;
    } else if (word("null", Token::kNull)) {
      return;
    } else if (settings_.decode_invalid_numbers && IsInvalidNumber(p)) {
      ReadNumber();
    } else {
      Fail("invalid token", start_);
    }
  }

  // A number that JSON does not know: a plus sign, hexadecimal, leading zeros, infinity, NaN.
  static bool IsInvalidNumber(const char* p) {
    if (*p == '+') return true;
    if (*p == '-') ++p;
    if (*p == '0') return (p[1] | 0x20) == 'x' || (p[1] >= '0' && p[1] <= '9');
    if (*p <= '9') return false;
    return strncasecmp(p, "inf", 3) == 0 || strncasecmp(p, "nan", 3) == 0;
  }

  void ReadNumber() {
    const char* const begin = text_.data() + at_;
    char* end;
    number_ = std::strtod(begin, &end);
    if (end == begin) return Fail("invalid number", start_);
    token_ = Token::kNumber;
    at_ += static_cast<size_t>(end - begin);
  }

  static int HexDigit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
  }
  // Four digits at `at`; -1: they are none.
  int Hex4(size_t at) const {
    if (at + 4 > text_.size()) return -1;
    int code = 0;
    for (size_t i = at; i < at + 4; ++i) {
      const int digit = HexDigit(text_[i]);
      if (digit < 0) return -1;
      code = code << 4 | digit;
    }
    return code;
  }
  void AppendUtf8(uint32_t code) {
    const auto byte = [&](uint32_t b) { string_ += static_cast<char>(b); };
    if (code < 0x80) return byte(code);
    if (code < 0x800) {
      byte(0xc0 | code >> 6);
    } else {
      if (code < 0x10000) {
        byte(0xe0 | code >> 12);
      } else {
        byte(0xf0 | code >> 18);
        byte(0x80 | (code >> 12 & 0x3f));
      }
      byte(0x80 | (code >> 6 & 0x3f));
    }
    byte(0x80 | (code & 0x3f));
  }
  // at_ is at the backslash of \uXXXX; one above the basic plane takes two of them.
  bool ReadUnicode() {
    const int first = Hex4(at_ + 2);
    if (first < 0) return false;
    auto code = static_cast<uint32_t>(first);
    size_t size = 6;
    if ((code & 0xf800) == 0xd800) {
      if ((code & 0x400) != 0 || text_.substr(at_ + 6, 2) != "\\u") return false;
      const int second = Hex4(at_ + 8);
      if (second < 0 || (second & 0xfc00) != 0xdc00) return false;
      code = 0x10000 + ((code & 0x3ff) << 10 | (static_cast<uint32_t>(second) & 0x3ff));
      size = 12;
    }
    AppendUtf8(code);
    at_ += size;
    return true;
  }

  void ReadText() {
    string_.clear();
    ++at_;
    for (;;) {
      if (at_ >= text_.size() || text_[at_] == '\0') return Fail("unexpected end of string", at_);
      const char c = text_[at_];
      if (c == '"') break;
      if (c != '\\') {
        string_ += c;
        ++at_;
        continue;
      }
      const char escaped = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
      switch (escaped) {
        case '"': case '\\': case '/': string_ += escaped; break;
        case 'b': string_ += '\b'; break;
        case 'f': string_ += '\f'; break;
        case 'n': string_ += '\n'; break;
        case 'r': string_ += '\r'; break;
        case 't': string_ += '\t'; break;
        case 'u':
          if (!ReadUnicode()) return Fail("invalid unicode escape code", at_);
          continue;
        default: return Fail("invalid escape code", at_);
      }
      at_ += 2;
    }
    ++at_;
    token_ = Token::kText;
  }

  void Deeper(int depth) {
    if (depth > settings_.decode_depth || !lua_checkstack(L, 3)) {
      luaL_error(L, "Found too many nested data structures (%d)", depth);
    }
  }
  void PushText() { lua_pushlstring(L, string_.data(), string_.size()); }

  void PushValue(int depth) {
    switch (token_) {
      case Token::kText: return PushText();
      case Token::kNumber: return lua_pushnumber(L, number_);
      case Token::kBoolean: return lua_pushboolean(L, boolean_);
      case Token::kNull: return lua_pushlightuserdata(L, nullptr);
      case Token::kObject: return PushObject(depth + 1);
      case Token::kArray: return PushArray(depth + 1);
      default: Unexpected("value");
    }
  }
  void PushObject(int depth) {
    Deeper(depth);
    lua_newtable(L);
    Next();
    if (token_ == Token::kObjectEnd) return;
    for (;; Next()) {
      if (token_ != Token::kText) Unexpected("object key string");
      PushText();
      Next();
      if (token_ != Token::kColon) Unexpected("colon");
      Next();
      PushValue(depth);
      lua_rawset(L, -3);
      Next();
      if (token_ == Token::kObjectEnd) return;
      if (token_ != Token::kComma) Unexpected("comma or object end");
    }
  }
  void PushArray(int depth) {
    Deeper(depth);
    lua_newtable(L);
    Next();
    if (token_ == Token::kArrayEnd) return;
    for (int i = 1;; ++i, Next()) {
      PushValue(depth);
      lua_rawseti(L, -2, i);
      Next();
      if (token_ == Token::kArrayEnd) return;
      if (token_ != Token::kComma) Unexpected("comma or array end");
    }
  }

  lua_State* const L;
  const Settings& settings_;
  const std::string_view text_;
  size_t at_ = 0;
  // The last token.
  Token token_ = Token::kEnd;
  size_t start_ = 0;
  std::string string_;
  double number_ = 0;
  bool boolean_ = false;
  const char* error_ = "";
};

int Decode(lua_State* L) {
  luaL_argcheck(L, lua_gettop(L) == 1, 1, "expected 1 argument");
  size_t size;
  const char* text = luaL_checklstring(L, 1, &size);
  if (size >= 2 && (text[0] == '\0' || text[1] == '\0')) {
    return luaL_error(L, "JSON parser does not support UTF-16 or UTF-32");
  }
  Decoder(L, SettingsOf(L), {text, size}).PushDocument();
  return 1;
}

// ---------------------------------------------------------------------------------------------- settings

// The argument, if there is one, as the new value; pushes the value.
void IntegerOption(lua_State* L, int index, int* value, int least, int most) {
  if (!lua_isnoneornil(L, index)) {
    const lua_Integer given = luaL_checkinteger(L, index);
    const char* const range = lua_pushfstring(L, "expected integer between %d and %d", least, most);
    luaL_argcheck(L, least <= given && given <= most, index, range);
    lua_pop(L, 1);
    *value = static_cast<int>(given);
  }
  lua_pushinteger(L, *value);
}

void BooleanOption(lua_State* L, int index, bool* value) {
  if (!lua_isnoneornil(L, index)) {
    luaL_checktype(L, index, LUA_TBOOLEAN);
    *value = lua_toboolean(L, index) != 0;
  }
  lua_pushboolean(L, *value);
}

void AtMost(lua_State* L, int arguments) {
  luaL_argcheck(L, lua_gettop(L) <= arguments, arguments + 1, "found too many arguments");
  lua_settop(L, arguments);
}

int EncodeSparseArray(lua_State* L) {
  AtMost(L, 3);
  Settings& settings = SettingsOf(L);
  BooleanOption(L, 1, &settings.sparse_to_object);
  IntegerOption(L, 2, &settings.sparse_ratio, 0, INT32_MAX);
  IntegerOption(L, 3, &settings.sparse_safe, 0, INT32_MAX);
  return 3;
}

int OneInteger(lua_State* L, int Settings::* value, int least, int most) {
  AtMost(L, 1);
  IntegerOption(L, 1, &(SettingsOf(L).*value), least, most);
  return 1;
}

int EncodeMaxDepth(lua_State* L) { return OneInteger(L, &Settings::encode_depth, 1, INT32_MAX); }
int DecodeMaxDepth(lua_State* L) { return OneInteger(L, &Settings::decode_depth, 1, INT32_MAX); }
int EncodeNumberPrecision(lua_State* L) { return OneInteger(L, &Settings::precision, 1, 14); }

int EncodeKeepBuffer(lua_State* L) {
  AtMost(L, 1);
  BooleanOption(L, 1, &SettingsOf(L).keep_buffer);
  return 1;
}

int DecodeInvalidNumbers(lua_State* L) {
  AtMost(L, 1);
  BooleanOption(L, 1, &SettingsOf(L).decode_invalid_numbers);
  return 1;
}

// A boolean, or "null".
int EncodeInvalidNumbers(lua_State* L) {
  AtMost(L, 1);
  Settings::Invalid& value = SettingsOf(L).encode_invalid;
  if (lua_type(L, 1) == LUA_TSTRING) {
    luaL_argcheck(L, std::string_view(lua_tostring(L, 1)) == "null", 1, "invalid option");
    value = Settings::Invalid::kNull;
  } else if (!lua_isnil(L, 1)) {
    luaL_checktype(L, 1, LUA_TBOOLEAN);
    value = lua_toboolean(L, 1) ? Settings::Invalid::kWrite : Settings::Invalid::kRefuse;
  }
  if (value == Settings::Invalid::kNull) {
    lua_pushliteral(L, "null");
  } else {
    lua_pushboolean(L, value == Settings::Invalid::kWrite);
  }
  return 1;
}

// cjson.new: the same functions with settings of their own.
int New(lua_State* L) {
  OpenJson(L);
  return 1;
}

constexpr luaL_Reg kFunctions[] = {
    {"encode", Encode},
    {"decode", Decode},
    {"encode_sparse_array", EncodeSparseArray},
    {"encode_max_depth", EncodeMaxDepth},
    {"decode_max_depth", DecodeMaxDepth},
    {"encode_number_precision", EncodeNumberPrecision},
    {"encode_keep_buffer", EncodeKeepBuffer},
    {"encode_invalid_numbers", EncodeInvalidNumbers},
    {"decode_invalid_numbers", DecodeInvalidNumbers},
    {"new", New},
};

}  // namespace

void OpenJson(lua_State* L) {
  lua_newtable(L);
  new (lua_newuserdata(L, sizeof(Settings))) Settings;
  for (const luaL_Reg& function : kFunctions) {
    lua_pushvalue(L, -1);
    lua_pushcclosure(L, function.func, 1);
    lua_setfield(L, -3, function.name);
  }
  lua_pop(L, 1);
  lua_pushlightuserdata(L, nullptr);
  lua_setfield(L, -2, "null");
  lua_pushliteral(L, "cjson");
  lua_setfield(L, -2, "_NAME");
  lua_pushliteral(L, "2.1.0");
  lua_setfield(L, -2, "_VERSION");
}

}  // namespace understudy::script
