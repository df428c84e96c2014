// bit: operations on 32 bits; results are signed. Source: bitop.luajit.org.
#include <cstdint>
#include <cstring>
#include <lua.hpp>

#include "node/script/libraries.h"

namespace understudy::script {
namespace {

// Any number, modulo 2^32. Adding this leaves the integer in the low bits of the sum.
uint32_t Argument(lua_State* L, int index) {
  constexpr double kAlign = 6755399441055744.0;  // 2^52 + 2^51
  const double sum = luaL_checknumber(L, index) + kAlign;
  uint64_t bits;
  std::memcpy(&bits, &sum, sizeof bits);
  return static_cast<uint32_t>(bits);
}

int Push(lua_State* L, uint32_t bits) {
  lua_pushnumber(L, static_cast<int32_t>(bits));
  return 1;
}

template <typename F>
int Fold(lua_State* L, F f) {
  uint32_t bits = Argument(L, 1);
  for (int i = lua_gettop(L); i > 1; --i) bits = f(bits, Argument(L, i));
  return Push(L, bits);
}

template <typename F>
int Shift(lua_State* L, F f) {
  const uint32_t bits = Argument(L, 1);
  return Push(L, f(bits, Argument(L, 2) & 31));
}

uint32_t RotateLeft(uint32_t bits, uint32_t by) { return bits << by | bits >> ((32 - by) & 31); }

int ToBit(lua_State* L) { return Push(L, Argument(L, 1)); }
int Not(lua_State* L) { return Push(L, ~Argument(L, 1)); }
int Swap(lua_State* L) { return Push(L, __builtin_bswap32(Argument(L, 1))); }
int And(lua_State* L) {
  return Fold(L, [](uint32_t a, uint32_t b) { return a & b; });
}
int Or(lua_State* L) {
  return Fold(L, [](uint32_t a, uint32_t b) { return a | b; });
}
int Xor(lua_State* L) {
  return Fold(L, [](uint32_t a, uint32_t b) { return a ^ b; });
}
int ShiftLeft(lua_State* L) {
  return Shift(L, [](uint32_t a, uint32_t n) { return a << n; });
}
int ShiftRight(lua_State* L) {
  return Shift(L, [](uint32_t a, uint32_t n) { return a >> n; });
}
int ShiftRightSigned(lua_State* L) {
  return Shift(L, [](uint32_t a, uint32_t n) { return static_cast<uint32_t>(static_cast<int32_t>(a) >> n); });
}
int Left(lua_State* L) { return Shift(L, RotateLeft); }
int Right(lua_State* L) {
  return Shift(L, [](uint32_t a, uint32_t n) { return RotateLeft(a, (32 - n) & 31); });
}

// digits < 0: upper case.
int ToHex(lua_State* L) {
  uint32_t bits = Argument(L, 1);
  int digits = lua_isnone(L, 2) ? 8 : static_cast<int32_t>(Argument(L, 2));
  const char* const letters = digits < 0 ? "0123456789ABCDEF" : "0123456789abcdef";
  if (digits < 0) digits = digits == INT32_MIN ? 8 : -digits;
  if (digits > 8) digits = 8;
  char text[8];
  for (int i = digits; i > 0; --i, bits >>= 4) text[i - 1] = letters[bits & 15];
  lua_pushlstring(L, text, static_cast<size_t>(digits));
  return 1;
}

constexpr luaL_Reg kFunctions[] = {
    {"tobit", ToBit},        {"bnot", Not},           {"band", And},
    {"bor", Or},             {"bxor", Xor},           {"lshift", ShiftLeft},
    {"rshift", ShiftRight},  {"arshift", ShiftRightSigned}, {"rol", Left},
    {"ror", Right},          {"bswap", Swap},         {"tohex", ToHex},
    {nullptr, nullptr},
};

}  // namespace

void OpenBit(lua_State* L) {
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
}

}  // namespace understudy::script
