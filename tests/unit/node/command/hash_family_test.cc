#include <algorithm>
#include <set>

#include "tests/unit/node/command/reply_words.h"
#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

using HashTest = ServerTest;

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
  EXPECT_EQ(client->Do("HGETALL none"), "{}");
  EXPECT_EQ(client->Do("HKEYS h"), "[\"a\"]");
}

TEST_F(HashTest, FieldsAreSetOnlyIfTheyAreNew) {
  Expect({{"HSETNX h a 1", ":1"},
          {"HSETNX h a 2", ":0"},
          {"HGET h a", "\"1\""},
          {"HMSET h a 3 b 4", "+OK"},
          {"HMGET h a none b", "[\"3\", nil, \"4\"]"},
          {"HMGET none a b", "[nil, nil]"},
          {"HSTRLEN h a", ":1"},
          {"HSTRLEN h none", ":0"},
          {"HSTRLEN none a", ":0"},
          {"HSET h n -1234", ":1"},
          {"HSTRLEN h n", ":5"},
          {"HKEYS h", "[\"a\", \"b\", \"n\"]"},
          {"HVALS h", "[\"3\", \"4\", \"-1234\"]"},
          {"HKEYS none", "[]"},
          {"HVALS none", "[]"}});
  ExpectError({"HMSET h a", "HMSET h a 1 b"}, "ERR wrong number of arguments for 'hmset' command");
}

TEST_F(HashTest, NumbersAreAddedTo) {
  Expect({{"HINCRBY h i 5", ":5"},
          {"HINCRBY h i -7", ":-2"},
          {"HSET h most 9223372036854775807 text x float 1.5 space ' 1'", ":4"},
          {"HINCRBYFLOAT h f 0.1", "\"0.1\""},
          {"HINCRBYFLOAT h f 0.2", "\"0.3\""},
          {"HINCRBYFLOAT h float 1.5", "\"3\""},
          {"HINCRBYFLOAT h i 2.0e3", "\"1998\""},
          {"HINCRBY h float 1", ":4"}});
  ExpectError({"HINCRBY h i x", "HINCRBY h i 1.5", "HINCRBY h i 9223372036854775808"},
              "ERR value is not an integer or out of range");
  ExpectError({"HINCRBY h text 1", "HINCRBY h space 1", "HINCRBY h f 1"}, "ERR hash value is not an integer");
  ExpectError({"HINCRBY h most 1"}, "ERR increment or decrement would overflow");
  ExpectError({"HINCRBYFLOAT h f x", "HINCRBYFLOAT h f nan", "HINCRBYFLOAT h f ' 1'"}, "ERR value is not a valid float");
  ExpectError({"HINCRBYFLOAT h f inf", "HINCRBYFLOAT h f -inf"}, "ERR value is NaN or Infinity");
  ExpectError({"HINCRBYFLOAT h text 1", "HINCRBYFLOAT h space 1"}, "ERR hash value is not a float");
  Do("HSET h inf inf");
  ExpectError({"HINCRBYFLOAT h inf 1"}, "ERR increment would produce NaN or Infinity");
  EXPECT_EQ(Do("HGET h most"), "\"9223372036854775807\"");
  EXPECT_EQ(Do("EXISTS none"), ":0");
}

TEST_F(HashTest, RandomFields) {
  Do("HSET h a 1");
  Expect({{"HRANDFIELD h", "\"a\""},
          {"HRANDFIELD none", "nil"},
          {"HRANDFIELD none 1", "[]"},
          {"HRANDFIELD h 0", "[]"},
          {"HRANDFIELD h 3", "[\"a\"]"},
          {"HRANDFIELD h 9223372036854775807", "[\"a\"]"},
          {"HRANDFIELD h -2", "[\"a\", \"a\"]"},
          {"HRANDFIELD h 1 withvalues", "[\"a\", \"1\"]"},
          {"HRANDFIELD h -2 WITHVALUES", "[\"a\", \"1\", \"a\", \"1\"]"}});
  auto client = Connect(3);
  EXPECT_EQ(client->Do("HRANDFIELD h -2 WITHVALUES"), "[[\"a\", \"1\"], [\"a\", \"1\"]]");
  EXPECT_EQ(client->Do("HRANDFIELD h 2"), "[\"a\"]");
  ExpectError({"HRANDFIELD h x", "HRANDFIELD h x oops"}, "ERR value is not an integer or out of range");
  ExpectError({"HRANDFIELD h -9223372036854775808"},
              "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
  ExpectError({"HRANDFIELD h 9223372036854775807 WITHVALUES", "HRANDFIELD h -9223372036854775807 WITHVALUES",
               "HRANDFIELD h -9223372036854775807"},
              "ERR value is out of range");
  ExpectError({"HRANDFIELD h 1 oops", "HRANDFIELD h 1 WITHVALUES oops"}, "ERR syntax error");
}

TEST_F(HashTest, DrawsAreDifferentFieldsAndEachComes) {
  for (const int fields : {20, 2000}) {
    Do("DEL h");
    for (int i = 0; i < fields; ++i) Do("HSET h f" + std::to_string(i) + " " + std::to_string(i));
    for (const int count : {1, 3, fields / 2, fields - 1}) {
      std::vector<std::string> words = WordsOf(Do("HRANDFIELD h " + std::to_string(count)));
      EXPECT_EQ(words.size(), static_cast<size_t>(count));
      std::sort(words.begin(), words.end());
      EXPECT_EQ(std::unique(words.begin(), words.end()), words.end()) << count << " of " << fields;
    }
    std::set<std::string> seen;
    for (const std::string& word : WordsOf(Do("HRANDFIELD h -" + std::to_string(fields * 20)))) seen.insert(word);
    EXPECT_EQ(seen.size(), static_cast<size_t>(fields));
  }
}

TEST_F(HashTest, Scan) {
  Do("HSET h a 1 b 2 ab 3");
  Expect({{"HSCAN h 0", "[\"0\", [\"a\", \"1\", \"b\", \"2\", \"ab\", \"3\"]]"},
          {"HSCAN h 0 MATCH a*", "[\"0\", [\"a\", \"1\", \"ab\", \"3\"]]"},
          {"HSCAN h 0 NOVALUES", "[\"0\", [\"a\", \"b\", \"ab\"]]"},
          {"HSCAN h 0 novalues COUNT 1 match b", "[\"0\", [\"b\"]]"},
          {"HSCAN none 0", "[\"0\", []]"},
          {"HSCAN none 7 OOPS", "[\"0\", []]"}});
  ExpectError({"HSCAN h x", "HSCAN none -1"}, "ERR invalid cursor");
  ExpectError({"HSCAN h 0 COUNT x"}, "ERR value is not an integer or out of range");
  ExpectError({"HSCAN h 0 COUNT 0", "HSCAN h 0 MATCH", "HSCAN h 0 TYPE hash", "HSCAN h 0 OOPS"}, "ERR syntax error");
  ExpectError({"SCAN 0 NOVALUES"}, "ERR NOVALUES option can only be used in HSCAN");
}

TEST_F(HashTest, ScanOfALargeHashComesInSteps) {
  for (int i = 0; i < 3000; ++i) Do("HSET h f" + std::to_string(i) + " v");
  std::set<std::string> seen;
  std::string cursor = "0";
  int steps = 0;
  do {
    std::vector<std::string> words = WordsOf(Do("HSCAN h " + cursor + " COUNT 100 NOVALUES"));
    ASSERT_FALSE(words.empty());
    EXPECT_LT(words.size(), 200u);
    cursor = words[0];
    seen.insert(words.begin() + 1, words.end());
    ++steps;
  } while (cursor != "0");
  EXPECT_EQ(seen.size(), 3000u);
  EXPECT_GE(steps, 15);
}

TEST_F(HashTest, OtherTypesAreRefused) {
  Do("SET s text");
  ExpectError({"HSET s a 1", "HMSET s a 1", "HSETNX s a 1", "HGET s a", "HMGET s a", "HDEL s a", "HLEN s", "HSTRLEN s a",
               "HEXISTS s a", "HGETALL s", "HKEYS s", "HVALS s", "HINCRBY s a 1", "HINCRBYFLOAT s a 1", "HRANDFIELD s",
               "HRANDFIELD s 1", "HSCAN s 0 OOPS", "HGETDEL s FIELDS 1 a", "HGETEX s FIELDS 1 a", "HSETEX s FIELDS 1 a 1",
               "HEXPIRE s 1 FIELDS 1 a", "HPEXPIRE s 1 FIELDS 1 a", "HEXPIREAT s 1 FIELDS 1 a",
               "HPEXPIREAT s 1 FIELDS 1 a", "HTTL s FIELDS 1 a", "HPTTL s FIELDS 1 a", "HEXPIRETIME s FIELDS 1 a",
               "HPEXPIRETIME s FIELDS 1 a", "HPERSIST s FIELDS 1 a"},
              "WRONGTYPE Operation against a key holding the wrong kind of value");
  EXPECT_EQ(Do("GET s"), "\"text\"");
}

TEST_F(HashTest, AboveMaxmemoryWhatGrowsIsRefused) {
  Do("HSET h a 1 b 2");
  Do("CONFIG SET maxmemory 1");
  ExpectError({"HSET h c 1", "HMSET h c 1", "HSETNX h c 1", "HINCRBY h a 1", "HINCRBYFLOAT h a 1",
               "HSETEX h FIELDS 1 c 1"},
              "OOM command not allowed when used memory > 'maxmemory'.");
  Expect({{"HDEL h a", ":1"}, {"HGETALL h", "[\"b\", \"2\"]"}});
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
