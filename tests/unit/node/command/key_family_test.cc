#include <set>

#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

using KeyTest = ServerTest;

const std::string kSyntax = "ERR syntax error";
const std::string kNotInteger = "ERR value is not an integer or out of range";

TEST_F(KeyTest, DelExistsTypeTouch) {
  Expect({{"MSET a 1 b 2 c 3", "+OK"}, {"EXISTS a b a none", ":3"}, {"TOUCH a none", ":1"}, {"TYPE a", "+string"},
          {"TYPE none", "+none"},      {"DEL a none b", ":2"},      {"UNLINK c c", ":1"},   {"DBSIZE", ":0"}});
  ExpectError({"DEL"}, "ERR wrong number of arguments for 'del' command");
}

TEST_F(KeyTest, Rename) {
  Expect({{"SET a 1 EX 100", "+OK"}, {"SET b 2", "+OK"},      {"RENAME a b", "+OK"},  {"GET b", "\"1\""},
          {"TTL b", ":100"},         {"EXISTS a", ":0"},      {"RENAMENX b a", ":1"}, {"SET b 2", "+OK"},
          {"RENAMENX a b", ":0"},    {"RENAME a a", "+OK"},   {"RENAMENX a a", ":0"}});
  ExpectError({"RENAME none x", "RENAMENX none x", "RENAME none none"}, "ERR no such key");
}

TEST_F(KeyTest, CopyAndMove) {
  Expect({{"SET a 1 EX 100", "+OK"},      {"COPY a b", ":1"},           {"GET b", "\"1\""},
          {"TTL b", ":100"},              {"COPY a b", ":0"},           {"SET a 2", "+OK"},
          {"COPY a b REPLACE", ":1"},     {"GET b", "\"2\""},           {"TTL b", ":-1"},
          {"COPY none b", ":0"},          {"COPY a a DB 3", ":1"},      {"MOVE b 3", ":1"},
          {"EXISTS b", ":0"},             {"MOVE a 3", ":0"},           {"MOVE none 3", ":0"},
          {"SELECT 3", "+OK"},            {"MGET a b", "[\"2\", \"2\"]"}, {"SELECT 0", "+OK"}});
  ExpectError({"COPY a a", "COPY a a DB 0", "MOVE a 0"}, "ERR source and destination objects are the same");
  ExpectError({"COPY a b DB 16", "MOVE a 16", "MOVE a -1"}, "ERR DB index is out of range");
  ExpectError({"MOVE a x", "COPY a b DB x"}, kNotInteger);
  ExpectError({"COPY a b FOO", "COPY a b DB"}, kSyntax);
}

TEST_F(KeyTest, ObjectAndMemory) {
  Expect({{"SET a 1", "+OK"},        {"OBJECT REFCOUNT a", ":1"}, {"OBJECT IDLETIME a", ":0"},
          {"OBJECT ENCODING none", "nil"}, {"OBJECT REFCOUNT none", "nil"}, {"MEMORY USAGE none", "nil"}});
  EXPECT_GT(std::stoi(Do("MEMORY USAGE a").substr(1)), 8);
  EXPECT_EQ(Do("MEMORY USAGE a SAMPLES 5"), Do("MEMORY USAGE a"));
  EXPECT_EQ(Do("OBJECT FREQ a").substr(0, 44), "-ERR An LFU maxmemory policy is not selected");
  ExpectError({"OBJECT FOO a"}, "ERR unknown subcommand 'FOO'. Try OBJECT HELP.");
  ExpectError({"OBJECT ENCODING"}, "ERR wrong number of arguments for 'object|encoding' command");
  ExpectError({"OBJECT"}, "ERR wrong number of arguments for 'object' command");
  EXPECT_EQ(Do("OBJECT HELP").substr(0, 10), "[+OBJECT <");
}

TEST_F(KeyTest, TimesToLive) {
  Expect({{"SET k v", "+OK"},          {"TTL k", ":-1"},         {"PTTL k", ":-1"},        {"TTL none", ":-2"},
          {"EXPIRE k 100", ":1"},      {"TTL k", ":100"},        {"EXPIRE none 100", ":0"}, {"PEXPIRE k 50000", ":1"},
          {"TTL k", ":50"},            {"EXPIREAT k 33000000000", ":1"}, {"EXPIRETIME k", ":33000000000"},
          {"PEXPIREAT k 33000000000123", ":1"}, {"PEXPIRETIME k", ":33000000000123"}, {"PERSIST k", ":1"},
          {"PERSIST k", ":0"},         {"PERSIST none", ":0"},   {"EXPIRETIME k", ":-1"},  {"PEXPIRETIME none", ":-2"},
          {"EXPIRE k 0", ":1"},        {"EXISTS k", ":0"},       {"SET k v", "+OK"},       {"EXPIREAT k 1", ":1"},
          {"EXISTS k", ":0"},          {"SET k v", "+OK"},       {"EXPIRE k -10", ":1"},   {"GET k", "nil"}});
  ExpectError({"EXPIRE k x", "PEXPIRE k 1.5"}, kNotInteger);
  ExpectError({"EXPIRE k 9223372036854775807"}, "ERR invalid expire time in 'expire' command");
  ExpectError({"PEXPIRE k 9223372036854775807"}, "ERR invalid expire time in 'pexpire' command");
}

TEST_F(KeyTest, ExpireConditions) {
  Expect({{"SET k v", "+OK"},          {"EXPIRE k 100 XX", ":0"}, {"EXPIRE k 100 GT", ":0"}, {"EXPIRE k 100 NX", ":1"},
          {"EXPIRE k 200 NX", ":0"},   {"EXPIRE k 50 GT", ":0"},  {"EXPIRE k 200 GT", ":1"}, {"TTL k", ":200"},
          {"EXPIRE k 300 LT", ":0"},   {"EXPIRE k 100 LT", ":1"}, {"TTL k", ":100"},         {"EXPIRE k 150 XX GT", ":1"},
          {"PERSIST k", ":1"},         {"EXPIRE k 10 LT", ":1"}});
  ExpectError({"EXPIRE k 1 NX XX", "EXPIRE k 1 NX GT", "PEXPIRE k 1 LT NX"},
              "ERR NX and XX, GT or LT options at the same time are not compatible");
  ExpectError({"EXPIRE k 1 GT LT"}, "ERR GT and LT options at the same time are not compatible");
  ExpectError({"EXPIRE k 1 FOO"}, "ERR Unsupported option FOO");
}

TEST_F(KeyTest, ExpiredKeysAreNotThere) {
  Expect({{"DEBUG SET-ACTIVE-EXPIRE 0", "+OK"}, {"PSETEX a 1 v", "+OK"}, {"SET b v PX 1", "+OK"}});
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  Expect({{"DBSIZE", ":2"}, {"GET a", "nil"}, {"EXISTS b", ":0"}, {"DBSIZE", ":0"}, {"TTL a", ":-2"}});
  Expect({{"PSETEX a 1 v", "+OK"}, {"DEBUG SET-ACTIVE-EXPIRE 1", "+OK"}});
  EXPECT_TRUE(Eventually([&] { return Do("DBSIZE") == ":0"; })) << "removed without being touched";
}

TEST_F(KeyTest, KeysAndScan) {
  for (int i = 0; i < 500; ++i) ASSERT_EQ(Do("SET key:" + std::to_string(i) + " v"), "+OK");
  EXPECT_EQ(Do("DBSIZE"), ":500");
  EXPECT_EQ(Do("KEYS key:1?"), Do("KEYS key:1?"));
  EXPECT_EQ(Do("KEYS none*"), "[]");
  std::set<std::string> names;
  std::string cursor = "0";
  int calls = 0;
  do {
    c_->Send({"SCAN", cursor, "MATCH", "key:1*", "COUNT", "20"});
    const std::string reply = c_->Read();  // ["cursor", ["key:1", ...]]
    const size_t end = reply.find('"', 2);
    cursor = reply.substr(2, end - 2);
    for (size_t at = reply.find("\"key"); at != std::string::npos; at = reply.find("\"key", at + 1)) {
      names.insert(reply.substr(at, reply.find('"', at + 1) - at));
    }
    ASSERT_LT(++calls, 1000);
  } while (cursor != "0");
  EXPECT_EQ(names.size(), 111u);
  EXPECT_GT(calls, 5);
  EXPECT_EQ(Do("SCAN 0 TYPE list COUNT 10000"), "[\"0\", []]");
  // Of keys that have expired it removes those that it would have shown.
  Expect({{"FLUSHALL", "+OK"}, {"DEBUG SET-ACTIVE-EXPIRE 0", "+OK"}, {"SET key:a x PX 1", "+OK"}, {"SET key:b x PX 1", "+OK"}, {"SET other x PX 1", "+OK"},
          {"SADD set m", ":1"}, {"PEXPIRE set 1", ":1"}, {"SET key:c x", "+OK"}});
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  Expect({{"DBSIZE", ":5"}, {"SCAN 0 MATCH key:* TYPE string COUNT 100", "[\"0\", [\"key:c\"]]"}, {"DBSIZE", ":3"}, {"MULTI", "+OK"}, {"SCAN 0 COUNT 100", "+QUEUED"},
          {"EXEC", "[[\"0\", [\"key:c\"]]]"}, {"DBSIZE", ":1"}});
  EXPECT_EQ(Do("SCAN 0 TYPE '' COUNT 10000"), "[\"0\", []]");
  ExpectError({"SCAN x", "SCAN -1", "SCAN 1x"}, "ERR invalid cursor");
  ExpectError({"SCAN 0 COUNT 0", "SCAN 0 FOO 1", "SCAN 0 MATCH"}, kSyntax);
  ExpectError({"SCAN 0 COUNT x"}, kNotInteger);
  EXPECT_EQ(Do("RANDOMKEY").substr(0, 5), "\"key:");
}

TEST_F(KeyTest, DatabasesAreApart) {
  Expect({{"SET k 0", "+OK"},     {"SELECT 1", "+OK"},   {"GET k", "nil"},       {"SET k 1", "+OK"},
          {"SWAPDB 0 1", "+OK"},  {"GET k", "\"0\""},    {"SELECT 0", "+OK"},    {"GET k", "\"1\""},
          {"FLUSHDB", "+OK"},     {"DBSIZE", ":0"},      {"SELECT 1", "+OK"},    {"DBSIZE", ":1"},
          {"FLUSHALL ASYNC", "+OK"}, {"DBSIZE", ":0"},   {"FLUSHALL SYNC", "+OK"}, {"FLUSHDB ASYNC", "+OK"},
          {"RANDOMKEY", "nil"},   {"SWAPDB 1 1", "+OK"}});
  ExpectError({"SELECT 16", "SELECT -1", "SWAPDB 0 16"}, "ERR DB index is out of range");
  ExpectError({"SELECT 2147483648", "MOVE a -2147483649", "COPY a b DB 4294967296"},
              "ERR value is out of range, value must between -2147483648 and 2147483647");
  ExpectError({"SWAPDB 4294967296 0"}, "ERR invalid first DB index");
  ExpectError({"SELECT x"}, kNotInteger);
  ExpectError({"SWAPDB x 1"}, "ERR invalid first DB index");
  ExpectError({"SWAPDB 1 x"}, "ERR invalid second DB index");
  ExpectError({"FLUSHALL NOW", "FLUSHDB ASYNC SYNC"}, kSyntax);
}

}  // namespace
}  // namespace understudy::command
