#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

using HashTest = ServerTest;

const std::string kWrongType = "WRONGTYPE Operation against a key holding the wrong kind of value";

TEST_F(HashTest, FieldsAreSetReadAndRemoved) {
  Expect({{"HSET h a 1 b 2 a 3", ":2"},
          {"HGET h a", "\"3\""},
          {"HGET h c", "nil"},
          {"HGET none a", "nil"},
          {"HLEN h", ":2"},
          {"HLEN none", ":0"},
          {"HEXISTS h b", ":1"},
          {"HEXISTS h c", ":0"},
          {"HEXISTS none c", ":0"},
          {"HGETALL h", "[\"a\", \"3\", \"b\", \"2\"]"},
          {"HGETALL none", "[]"},
          {"HSET h a 3", ":0"},
          {"HDEL h c", ":0"},
          {"HDEL none c", ":0"},
          {"HDEL h a c a", ":1"},
          {"TYPE h", "+hash"},
          {"HDEL h b", ":1"},
          {"EXISTS h", ":0"},
          {"TYPE h", "+none"}});
  ExpectError({"HSET h a", "HSET h a 1 b"}, "ERR wrong number of arguments for 'hset' command");
}

TEST_F(HashTest, ReadsAsAMapInResp3) {
  auto client = Connect(3);
  client->Do("HSET h a 1");
  EXPECT_EQ(client->Do("HGETALL h"), "{\"a\": \"1\"}");
}

TEST_F(HashTest, OtherTypesAreRefused) {
  Do("SET s text");
  ExpectError({"HSET s a 1", "HGET s a", "HDEL s a", "HLEN s", "HEXISTS s a", "HGETALL s"}, kWrongType);
  EXPECT_EQ(Do("GET s"), "\"text\"");
}

TEST_F(HashTest, CommandsOfStringsAreRefused) {
  Do("HSET h a 1");
  ExpectError({"GET h", "SET h v GET", "SET h v NX GET", "GETSET h v", "GETDEL h", "GETEX h", "GETEX h EX x", "GETEX h PERSIST",
               "INCR h", "DECR h", "INCRBY h 1", "DECRBY h 1", "INCRBYFLOAT h x", "APPEND h v", "STRLEN h",
               "SETRANGE h 0 v", "SETRANGE h 0 ''", "GETRANGE h 0 -1", "SUBSTR h 0 1"},
              kWrongType);
  ExpectError({"LCS h none", "LCS none h", "LCS h h oops"}, "ERR The specified keys must contain string values");
  Expect({{"MGET h none", "[nil, nil]"},
          {"SETNX h v", ":0"},
          {"MSETNX h v i w", ":0"},
          {"HGET h a", "\"1\""},
          {"SET h v NX", "nil"},
          {"SET h v", "+OK"},
          {"GET h", "\"v\""},
          {"DEL h", ":1"},
          {"HSET h a 1", ":1"},
          {"MSET h v", "+OK"},
          {"GET h", "\"v\""}});
}

TEST_F(HashTest, EncodingFollowsTheLimitsAsTheyAreNow) {
  Expect({{"HSET h a 1", ":1"},
          {"OBJECT ENCODING h", "\"listpack\""},
          {"CONFIG SET hash-max-ziplist-entries 2 hash-max-listpack-value 8", "+OK"},
          {"CONFIG GET hash-max-listpack-entries", "[\"hash-max-listpack-entries\", \"2\"]"},
          {"HSET h b 2", ":1"},
          {"OBJECT ENCODING h", "\"listpack\""},
          {"HSET h c 3", ":1"},
          {"OBJECT ENCODING h", "\"hashtable\""},
          {"HDEL h a b", ":2"},
          {"OBJECT ENCODING h", "\"hashtable\""},
          {"HSET i a 123456789", ":1"},
          {"OBJECT ENCODING i", "\"hashtable\""}});
}

TEST_F(HashTest, KeysWithHashesMoveAsAnyOther) {
  Expect({{"HSET h a 1", ":1"},
          {"EXPIRE h 100", ":1"},
          {"COPY h i", ":1"},
          {"HSET i a 2", ":0"},
          {"HGET h a", "\"1\""},
          {"TTL i", ":100"},
          {"RENAME i j", "+OK"},
          {"HGET j a", "\"2\""},
          {"TTL j", ":100"},
          {"MOVE j 1", ":1"},
          {"EXISTS j", ":0"},
          {"SELECT 1", "+OK"},
          {"HGETALL j", "[\"a\", \"2\"]"},
          {"PERSIST j", ":1"},
          {"HGETALL j", "[\"a\", \"2\"]"},
          {"SCAN 0 TYPE hash COUNT 1000", "[\"0\", [\"j\"]]"},
          {"SCAN 0 TYPE string COUNT 1000", "[\"0\", []]"},
          {"OBJECT REFCOUNT j", ":1"},
          {"OBJECT IDLETIME j", ":0"},
          {"UNLINK j", ":1"},
          {"DBSIZE", ":0"}});
}

TEST_F(HashTest, MemoryOfAHashCountsItsFields) {
  const auto usage = [&] { return std::stoll(Do("MEMORY USAGE h SAMPLES 0").substr(1)); };
  Do("HSET h a 1");
  const int64_t small = usage();
  EXPECT_GT(small, 20);
  EXPECT_LT(small, 120);
  for (int i = 0; i < 1000; ++i) Do("HSET h f" + std::to_string(i) + " " + std::string(100, 'v'));
  EXPECT_GT(usage(), 1000 * 100);
  EXPECT_LT(usage(), 1000 * 170);
}

TEST_F(HashTest, AWatchedHashThatChangesEndsATransaction) {
  auto other = Connect();
  Expect({{"HSET h a 1", ":1"}, {"WATCH h", "+OK"}, {"MULTI", "+OK"}, {"HGET h a", "+QUEUED"}});
  other->Do("HDEL h none");
  EXPECT_EQ(Do("EXEC"), "[\"1\"]");
  Expect({{"WATCH h", "+OK"}, {"MULTI", "+OK"}, {"HGET h a", "+QUEUED"}});
  other->Do("HSET h b 1");
  EXPECT_EQ(Do("EXEC"), "nil");
}

}  // namespace
}  // namespace understudy::command
