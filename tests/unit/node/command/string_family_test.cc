#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

using StringTest = ServerTest;

const std::string kSyntax = "ERR syntax error";
const std::string kNotInteger = "ERR value is not an integer or out of range";

TEST_F(StringTest, SetAndGet) {
  Expect({{"GET k", "nil"},
          {"SET k v", "+OK"},
          {"GET k", "\"v\""},
          {"set k \"a b\\r\\n\"", "+OK"},
          {"get k", "\"a b\r\n\""},
          {"SET k ''", "+OK"},
          {"GET k", "\"\""},
          {"STRLEN k", ":0"},
          {"STRLEN none", ":0"}});
}

TEST_F(StringTest, SetConditions) {
  Expect({{"SET k 1 XX", "nil"},     {"SET k 1 NX", "+OK"},     {"SET k 2 NX", "nil"},      {"SET k 3 XX", "+OK"},
          {"SET k 4 GET", "\"3\""},  {"SET n 1 GET", "nil"},    {"SET k 5 NX GET", "\"4\""}, {"GET k", "\"4\""},
          {"SET k 6 XX GET", "\"4\""}, {"SET m 1 XX GET", "nil"}, {"EXISTS m", ":0"}});
  ExpectError({"SET k v NX XX", "SET k v XX NX", "SET k v EX", "SET k v EX 1 PX 1", "SET k v KEEPTTL EX 1",
               "SET k v EX 1 KEEPTTL", "SET k v oops", "SET k v PERSIST"},
              kSyntax);
  ExpectError({"SET k v EX x", "SET k v PX 1.5", "SET k v EXAT 99999999999999999999"}, kNotInteger);
  ExpectError({"SET k v EX 0", "SET k v PX -1", "SET k v EX 9223372036854775807", "SET k v PX 9223372036854775807"},
              "ERR invalid expire time in 'set' command");
  ExpectError({"SET", "SET k"}, "ERR wrong number of arguments for 'set' command");
  ExpectError({"GET", "GET a b"}, "ERR wrong number of arguments for 'get' command");
}

TEST_F(StringTest, SetAndDelTakeAConditionOnTheOldValue) {
  Expect({{"SET k 1 IFEQ 1", "nil"},      {"EXISTS k", ":0"},           {"SET k 1", "+OK"},
          {"SET k 2 IFEQ 0", "nil"},      {"SET k 2 ifeq 1", "+OK"},    {"SET k 3 IFEQ 0 GET", "\"2\""},
          {"GET k", "\"2\""},           {"SET k 3 GET IFEQ 2", "\"2\""}, {"GET k", "\"3\""},
          {"SET n 1 IFEQ 1 GET", "nil"},  {"EXISTS n", ":0"},           {"SET k 4 EX 100 IFEQ 3", "+OK"},
          {"TTL k", ":100"},              {"SET k 5 IFEQ 4 KEEPTTL", "+OK"}, {"TTL k", ":100"},
          {"SET k 6 IFEQ '5 '", "nil"},   {"DELIFEQ k 6", ":0"},        {"DELIFEQ none ''", ":0"},
          {"DELIFEQ k 5", ":1"},          {"EXISTS k", ":0"},           {"SADD s m", ":1"}});
  ExpectError({"SET k v IFEQ", "SET k v IFEQ a NX", "SET k v XX IFEQ a", "SET k v IFEQ a IFEQ a", "MSETEX 1 k v IFEQ a"},
              kSyntax);
  ExpectError({"SET s v IFEQ m", "SET s v IFEQ m GET", "DELIFEQ s m"},
              "WRONGTYPE Operation against a key holding the wrong kind of value");
}

TEST_F(StringTest, SetTimesToLive) {
  Expect({{"SET k v EX 5 EX 200", "+OK"}, {"TTL k", ":200"}, {"GETEX k PERSIST PERSIST", "\"v\""}, {"TTL k", ":-1"},
          {"SET k v EX 100", "+OK"}, {"TTL k", ":100"},    {"SET k w KEEPTTL", "+OK"}, {"TTL k", ":100"},
          {"SET k v", "+OK"},        {"TTL k", ":-1"},     {"SET k v PX 50000", "+OK"}, {"TTL k", ":50"},
          {"SET k v EXAT 33000000000", "+OK"},             {"EXPIRETIME k", ":33000000000"},
          {"SET k v PXAT 33000000000123", "+OK"},          {"PEXPIRETIME k", ":33000000000123"},
          {"SET k v EXAT 1", "+OK"},                       {"EXISTS k", ":0"},
          {"SETEX k 100 v", "+OK"},  {"TTL k", ":100"},    {"PSETEX k 100000 v", "+OK"}, {"TTL k", ":100"}});
  ExpectError({"SETEX k 0 v"}, "ERR invalid expire time in 'setex' command");
  ExpectError({"PSETEX k -5 v"}, "ERR invalid expire time in 'psetex' command");
  ExpectError({"SETEX k x v", "PSETEX k x v"}, kNotInteger);
}

TEST_F(StringTest, SetNxGetSetGetDelGetEx) {
  Expect({{"SETNX k 1", ":1"},          {"SETNX k 2", ":0"},        {"GETSET k 3", "\"1\""},   {"GETSET n 1", "nil"},
          {"GETDEL k", "\"3\""},        {"GETDEL k", "nil"},        {"SET k v EX 100", "+OK"}, {"GETSET k w", "\"v\""},
          {"TTL k", ":-1"},             {"GETEX k EX 50", "\"w\""}, {"TTL k", ":50"},          {"GETEX k", "\"w\""},
          {"TTL k", ":50"},             {"GETEX k PERSIST", "\"w\""}, {"TTL k", ":-1"},        {"GETEX k PXAT 1", "\"w\""},
          {"EXISTS k", ":0"},           {"GETEX none EX 5", "nil"}});
  ExpectError({"GETEX n EX", "GETEX n EX 1 PERSIST", "GETEX n PERSIST EX 1", "GETEX n KEEPTTL", "GETEX n NX"}, kSyntax);
  ExpectError({"GETEX n EX 0", "GETEX n PX -1"}, "ERR invalid expire time in 'getex' command");
  ExpectError({"SET k v EX 0 FOO", "SET k v EX x NX XX", "GETEX n EX x FOO"}, kSyntax);
  Expect({{"GETEX none EX x", "nil"}});
}

TEST_F(StringTest, SeveralKeysAtOnce) {
  Expect({{"MSET a 1 b 2 a 3", "+OK"},
          {"MGET a b c", "[\"3\", \"2\", nil]"},
          {"MSETNX c 1 a 9", ":0"},
          {"EXISTS c", ":0"},
          {"MSETNX c 1 d 2", ":1"},
          {"MGET c d", "[\"1\", \"2\"]"}});
  ExpectError({"MSET a", "MSET a 1 b"}, "ERR wrong number of arguments for 'mset' command");
  ExpectError({"MSETNX a", "MSETNX a 1 b"}, "ERR wrong number of arguments for 'msetnx' command");
}

TEST_F(StringTest, MSetExStoresAllOrNothingWithOneTime) {
  Expect({{"MSETEX 2 a 1 b 2", ":1"}, {"MGET a b", "[\"1\", \"2\"]"}, {"TTL a", ":-1"}, {"MSETEX 2 a 3 b 4 EX 100", ":1"}, {"TTL a", ":100"},
          {"TTL b", ":100"}, {"MSETEX 2 a 5 c 6 KEEPTTL", ":1"}, {"TTL a", ":100"}, {"TTL c", ":-1"}, {"MSETEX 1 a 7", ":1"}, {"TTL a", ":-1"},
          {"MSETEX 2 d 1 a 9 NX", ":0"}, {"EXISTS d", ":0"}, {"GET a", "\"7\""}, {"MSETEX 2 a 9 d 1 XX", ":0"}, {"GET a", "\"7\""},
          {"MSETEX 2 d 1 d 2 NX PX 100000", ":1"}, {"GET d", "\"2\""}, {"DEBUG SET-ACTIVE-EXPIRE 0", "+OK"},
          {"MSETEX 2 a 8 d 3 XX EXAT 1", ":1"}, {"DBSIZE", ":4"}, {"EXISTS a d", ":0"}, {"DBSIZE", ":2"},
          {"MSETEX 1 b 1 PXAT 99999999999999", ":1"}, {"PEXPIRETIME b", ":99999999999999"}, {"COMMAND GETKEYS MSETEX 2 x 1 y 2 NX", "[\"x\", \"y\"]"}});
  ExpectError({"MSETEX", "MSETEX a b"}, "ERR wrong number of arguments for 'msetex' command");
  ExpectError({"MSETEX 0 a 1", "MSETEX -1 a 1", "MSETEX x a 1", "MSETEX 2147483648 a 1"}, "ERR invalid numkeys value or out of range");
  ExpectError({"MSETEX 2 a 1", "MSETEX 2 a 1 b", "MSETEX 1 a 1 b", "MSETEX 1 a 1 NX XX", "MSETEX 1 a 1 EX", "MSETEX 1 a 1 EX 1 PX 1", "MSETEX 1 a 1 EX 1 KEEPTTL",
               "MSETEX 1 a 1 GET", "MSETEX 1 a 1 PERSIST", "MSETEX 2147483647 a 1"},
              "ERR syntax error");
  ExpectError({"MSETEX 1 a 1 EX 0", "MSETEX 1 a 1 PXAT -1"}, "ERR invalid expire time in 'msetex' command");
  ExpectError({"MSETEX 1 a 1 EX 1.5"}, "ERR value is not an integer or out of range");
}

TEST_F(StringTest, Numbers) {
  Expect({{"INCR n", ":1"},         {"INCRBY n 41", ":42"},     {"DECR n", ":41"},      {"DECRBY n 40", ":1"},
          {"INCRBY n -5", ":-4"},   {"OBJECT ENCODING n", "\"int\""}, {"SET n 9223372036854775807", "+OK"}});
  ExpectError({"INCR n", "INCRBY n 1"}, "ERR increment or decrement would overflow");
  Expect({{"SET n abc", "+OK"}});
  ExpectError({"INCR n", "DECR n", "INCRBY n 1", "INCRBY x 1.5", "INCRBY x ' 1'", "DECRBY x x"}, kNotInteger);
  ExpectError({"DECRBY x -9223372036854775808"}, "ERR decrement would overflow");
  Expect({{"SET n ' 11'", "+OK"}});
  ExpectError({"INCR n"}, kNotInteger);
  Expect({{"SET n 10 EX 100", "+OK"}, {"INCR n", ":11"}, {"TTL n", ":100"}});
}

TEST_F(StringTest, NumbersWithFractions) {
  Expect({{"SET n 10.50", "+OK"},
          {"INCRBYFLOAT n 0.1", "\"10.6\""},
          {"INCRBYFLOAT n -5", "\"5.6\""},
          {"SET n 5.0e3", "+OK"},
          {"INCRBYFLOAT n 2.0e2", "\"5200\""},
          {"INCRBYFLOAT none 3", "\"3\""},
          {"OBJECT ENCODING none", "\"embstr\""},
          {"SET n abc", "+OK"}});
  ExpectError({"INCRBYFLOAT n 1", "INCRBYFLOAT x abc", "INCRBYFLOAT x ' 1'", "INCRBYFLOAT x nan", "INCRBYFLOAT x 1e5000", "INCRBYFLOAT x 1e-5000"},
              "ERR value is not a valid float");
  ExpectError({"INCRBYFLOAT x +inf"}, "ERR increment would produce NaN or Infinity");
}

TEST_F(StringTest, Ranges) {
  Expect({{"APPEND k Hello", ":5"},      {"APPEND k ' World'", ":11"},   {"GETRANGE k 0 4", "\"Hello\""},
          {"GETRANGE k -5 -1", "\"World\""}, {"GETRANGE k 6 100", "\"World\""}, {"GETRANGE k 5 3", "\"\""},
          {"GETRANGE k -1 -5", "\"\""},  {"GETRANGE k -100 2", "\"Hel\""}, {"SUBSTR k 0 1", "\"He\""},
          {"GETRANGE none 0 -1", "\"\""}, {"SETRANGE k 6 Redis", ":11"}, {"GET k", "\"Hello Redis\""},
          {"SETRANGE k 0 ''", ":11"},    {"SETRANGE none 0 ''", ":0"},   {"EXISTS none", ":0"},
          {"SETRANGE pad 3 x", ":4"},    {"OBJECT ENCODING k", "\"raw\""}, {"STRLEN pad", ":4"}});
  EXPECT_EQ(Do("GET pad"), std::string("\"\0\0\0x\"", 6));
  ExpectError({"SETRANGE k -1 x"}, "ERR offset is out of range");
  ExpectError({"SETRANGE k x x", "GETRANGE k a 1", "GETRANGE k 1 a"}, kNotInteger);
  ExpectError({"SETRANGE k 536870912 x", "SETRANGE k 4294967295 x", "SETRANGE k 9223372036854775807 x"},
              "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
}

TEST_F(StringTest, LongestCommonSubsequence) {
  Expect({{"MSET a ohmytext b mynewtext", "+OK"},
          {"LCS a b", "\"mytext\""},
          {"LCS a b LEN", ":6"},
          {"LCS a b IDX", "[\"matches\", [[[:4, :7], [:5, :8]], [[:2, :3], [:0, :1]]], \"len\", :6]"},
          {"LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN", "[\"matches\", [[[:4, :7], [:5, :8], :4]], \"len\", :6]"},
          {"LCS a none", "\"\""},
          {"LCS a none LEN", ":0"}});
  ExpectError({"LCS a b IDX LEN"}, "ERR If you want both the length and indexes, please just use IDX.");
  ExpectError({"LCS a b FOO", "LCS a b MINMATCHLEN"}, kSyntax);
  auto c3 = Connect(3);
  EXPECT_EQ(c3->Do("LCS a b IDX MINMATCHLEN 9"), "{\"matches\": [], \"len\": :6}");
}

TEST_F(StringTest, NullsAreWrittenInTheClientsProtocol) {
  auto c3 = Connect(3);
  EXPECT_EQ(c3->Do("GET none"), "nil");
  c3->Send({"GET", "none"});
  EXPECT_EQ(c3->ReadRaw(3), "_\r\n");
  c_->Send({"GET", "none"});
  EXPECT_EQ(c_->ReadRaw(5), "$-1\r\n");
}

TEST_F(StringTest, LargeValuesComeBackWhole) {
  const std::string value(3'000'000, 'x');
  EXPECT_EQ(c_->Do({"SET", "k", value}), "+OK");
  EXPECT_EQ(Do("GET k"), "\"" + value + "\"");
  EXPECT_EQ(Do("APPEND k y"), ":3000001");
  EXPECT_EQ(Do("GETRANGE k -2 -1"), "\"xy\"");
}

TEST_F(StringTest, EncodingsAreThoseOfRedis) {
  Expect({{"SET k 123", "+OK"},   {"OBJECT ENCODING k", "\"int\""},
          {"SET k 0123", "+OK"},  {"OBJECT ENCODING k", "\"embstr\""},
          {"SET k 12345678901234567890", "+OK"}, {"OBJECT ENCODING k", "\"embstr\""}});
  EXPECT_EQ(c_->Do({"SET", "k", std::string(44, 'x')}), "+OK");
  EXPECT_EQ(Do("OBJECT ENCODING k"), "\"embstr\"");
  EXPECT_EQ(c_->Do({"SET", "k", std::string(45, 'x')}), "+OK");
  EXPECT_EQ(Do("OBJECT ENCODING k"), "\"raw\"");
}

}  // namespace
}  // namespace understudy::command
