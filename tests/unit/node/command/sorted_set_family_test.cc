#include <gmock/gmock.h>

#include <set>

#include "tests/unit/node/command/reply_words.h"
#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

using SortedSetTest = ServerTest;

const std::string kWrongType = "WRONGTYPE Operation against a key holding the wrong kind of value";

TEST_F(SortedSetTest, MembersHaveScoresAndAnOrder) {
  Expect({{"ZADD z 2 b 1 a 3 c", ":3"},
          {"ZADD z 2 b 5 a", ":0"},
          {"ZRANGE z 0 -1 WITHSCORES", "[\"b\", \"2\", \"c\", \"3\", \"a\", \"5\"]"},
          {"ZCARD z", ":3"},
          {"ZCARD none", ":0"},
          {"ZSCORE z a", "\"5\""},
          {"ZSCORE z x", "nil"},
          {"ZSCORE none x", "nil"},
          {"ZMSCORE z a x c", "[\"5\", nil, \"3\"]"},
          {"ZMSCORE none x", "[nil]"},
          {"ZRANK z b", ":0"},
          {"ZREVRANK z b", ":2"},
          {"ZRANK z x", "nil"},
          {"ZRANK none x", "nil"},
          {"ZRANK z a WITHSCORE", "[:2, \"5\"]"},
          {"ZREVRANK z c withscore", "[:1, \"3\"]"},
          {"ZRANK z x WITHSCORE", "nil"},
          {"TYPE z", "+zset"},
          {"ZREM z x", ":0"},
          {"ZREM none x", ":0"},
          {"ZREM z a c a", ":2"},
          {"ZREM z b x", ":1"},
          {"EXISTS z", ":0"}});
  ExpectError({"ZRANK z a x"}, "ERR syntax error");
  ExpectError({"ZRANK z a WITHSCORE x"}, "ERR wrong number of arguments for 'zrank' command");
  ExpectError({"ZREVRANK z a WITHSCORE x"}, "ERR wrong number of arguments for 'zrevrank' command");
}

TEST_F(SortedSetTest, ScoresAreDoublesInResp3AndPairsAreNested) {
  auto client = Connect(3);
  client->Do("ZADD z 1.5 a inf b");
  EXPECT_EQ(client->Do("ZSCORE z a"), ",1.5");
  EXPECT_EQ(client->Do("ZMSCORE z b x"), "[,inf, nil]");
  EXPECT_EQ(client->Do("ZINCRBY z 1 a"), ",2.5");
  EXPECT_EQ(client->Do("ZADD z XX INCR -3 a"), ",-0.5");
  EXPECT_EQ(client->Do("ZADD z NX INCR 1 a"), "nil");
  EXPECT_EQ(client->Do("ZRANK z a WITHSCORE"), "[:0, ,-0.5]");
  EXPECT_EQ(client->Do("ZRANGE z 0 -1"), "[\"a\", \"b\"]");
  EXPECT_EQ(client->Do("ZRANGE z 0 -1 WITHSCORES"), "[[\"a\", ,-0.5], [\"b\", ,inf]]");
  EXPECT_EQ(client->Do("ZUNION 1 z WITHSCORES"), "[[\"a\", ,-0.5], [\"b\", ,inf]]");
  EXPECT_EQ(client->Do("ZRANDMEMBER z -1 WITHSCORES").substr(0, 3), "[[\"");
  EXPECT_EQ(client->Do("ZSCAN z 0"), "[\"0\", [\"a\", \"-0.5\", \"b\", \"inf\"]]");
  EXPECT_EQ(client->Do("ZPOPMIN z"), "[\"a\", ,-0.5]");
  EXPECT_EQ(client->Do("ZPOPMAX z 3"), "[[\"b\", ,inf]]");
  client->Do("ZADD z 1 a");
  EXPECT_EQ(client->Do("ZMPOP 1 z MIN"), "[\"z\", [[\"a\", ,1]]]");
  EXPECT_EQ(client->Do("ZMPOP 1 z MIN"), "nil");
}

TEST_F(SortedSetTest, ScoresAreReadAndPrintedAsRedisDoes) {
  Expect({{"ZADD z 0.1 a -0 b 1e21 c 1e-7 d 4611686018427387904 e -inf f +inf g 0x10 h 123456789.125 i", ":9"},
          {"ZMSCORE z a b c d e f g h i",
           "[\"0.1\", \"0\", \"1e+21\", \"1e-7\", \"4611686018427387904\", \"-inf\", \"inf\", \"16\", \"123456789.125\"]"},
          {"ZINCRBY z 0.2 a", "\"0.30000000000000004\""},
          {"ZINCRBY n -0 a", "\"-0\""}});
  ExpectError({"ZADD z x a", "ZADD z nan a", "ZADD z '' a", "ZADD z ' 1' a", "ZADD z '1 ' a", "ZADD z 1e400 a",
               "ZADD z 1 a 1e-400 b", "ZINCRBY z x a", "ZINCRBY z nan a"},
              "ERR value is not a valid float");
  ExpectError({"ZINCRBY z -inf g", "ZADD z INCR inf f"}, "ERR resulting score is not a number (NaN)");
  Expect({{"ZSCORE z g", "\"inf\""}, {"ZCARD z", ":9"}});
}

TEST_F(SortedSetTest, OptionsOfZAdd) {
  Expect({{"ZADD z XX 1 a", ":0"},
          {"EXISTS z", ":0"},
          {"ZADD z XX INCR 1 a", "nil"},
          {"ZADD z NX 1 a 2 b", ":2"},
          {"ZADD z NX CH 5 a 3 c", ":1"},
          {"ZADD z XX CH 5 a 9 x", ":1"},
          {"ZADD z CH 5 a 6 b 7 d", ":2"},
          {"ZADD z GT CH 4 a 8 b 1 e", ":2"},
          {"ZADD z LT CH 4 a 9 b", ":1"},
          {"ZADD z GT XX CH 1 nobody 9 a", ":1"},
          {"ZADD z INCR 1 a", "\"10\""},
          {"ZADD z GT INCR -1 a", "nil"},
          {"ZADD z LT INCR -1 a", "\"9\""},
          {"ZRANGE z 0 -1 WITHSCORES",
           "[\"e\", \"1\", \"c\", \"3\", \"d\", \"7\", \"b\", \"8\", \"a\", \"9\"]"}});
  ExpectError({"ZADD z NX 1", "ZADD z 1 a 2", "ZADD z NX XX", "ZADD z FOO 1 a"}, "ERR syntax error");
  ExpectError({"ZADD z NX XX 1 a"}, "ERR XX and NX options at the same time are not compatible");
  ExpectError({"ZADD z GT LT 1 a", "ZADD z NX GT 1 a", "ZADD z NX LT 1 a"},
              "ERR GT, LT, and/or NX options at the same time are not compatible");
  ExpectError({"ZADD z INCR 1 a 2 b"}, "ERR INCR option supports a single increment-element pair");
}

TEST_F(SortedSetTest, EncodingsGoAsRedissDo) {
  Expect({{"CONFIG SET zset-max-listpack-entries 3 zset-max-listpack-value 8", "+OK"},
          {"ZADD z 1 a 2 b 3 c", ":3"},
          {"OBJECT ENCODING z", "\"listpack\""},
          {"ZADD z 4 d", ":1"},
          {"OBJECT ENCODING z", "\"skiplist\""},
          {"ZREM z d c", ":2"},
          {"OBJECT ENCODING z", "\"skiplist\""},
          {"ZUNIONSTORE y 1 z", ":2"},
          {"OBJECT ENCODING y", "\"listpack\""},
          {"ZADD x 1 123456789", ":1"},
          {"OBJECT ENCODING x", "\"skiplist\""},
          {"ZADD w 1 a 1 a 1 a 1 a", ":1"},
          {"OBJECT ENCODING w", "\"skiplist\""}});
}

TEST_F(SortedSetTest, RandomMembers) {
  Expect({{"ZADD z 1 a", ":1"},
          {"ZRANDMEMBER z", "\"a\""},
          {"ZRANDMEMBER none", "nil"},
          {"ZRANDMEMBER none 2", "[]"},
          {"ZRANDMEMBER z 0", "[]"},
          {"ZRANDMEMBER z -2 WITHSCORES", "[\"a\", \"1\", \"a\", \"1\"]"},
          {"ZRANDMEMBER z 9 withscores", "[\"a\", \"1\"]"}});
  ExpectError({"ZRANDMEMBER z x", "ZRANDMEMBER z x x"}, "ERR value is not an integer or out of range");
  ExpectError({"ZRANDMEMBER z 1 x", "ZRANDMEMBER z 1 WITHSCORES x"}, "ERR syntax error");
  ExpectError({"ZRANDMEMBER z 9223372036854775807 WITHSCORES"}, "ERR value is out of range");
  for (const int members : {20, 1000}) {
    for (int i = 0; i < members; ++i) Do("ZADD z 1 m" + std::to_string(i));
    for (const int count : {1, 3, members / 2, members + 1}) {
      const auto words = WordsOf(Do("ZRANDMEMBER z " + std::to_string(count)));
      EXPECT_EQ(words.size(), static_cast<size_t>(count));
      EXPECT_EQ(std::set<std::string>(words.begin(), words.end()).size(), words.size());
    }
    const auto words = WordsOf(Do("ZRANDMEMBER z -" + std::to_string(20 * members)));
    EXPECT_EQ(std::set<std::string>(words.begin(), words.end()).size(), static_cast<size_t>(members) + 1);
  }
}

TEST_F(SortedSetTest, Scan) {
  Expect({{"ZADD z 1 a 2 b 3.5 ab", ":3"},
          {"ZSCAN z 0", "[\"0\", [\"a\", \"1\", \"b\", \"2\", \"ab\", \"3.5\"]]"},
          {"ZSCAN z 0 MATCH a* COUNT 1", "[\"0\", [\"a\", \"1\", \"ab\", \"3.5\"]]"},
          {"ZSCAN z 0 NOSCORES", "[\"0\", [\"a\", \"b\", \"ab\"]]"},
          {"ZSCAN none 0 OOPS", "[\"0\", []]"},
          {"ZADD u 0.1 a -3 b", ":2"}, {"ZSCAN u 0 MATCH a", "[\"0\", [\"a\", \"0.1\"]]"},
          {"ZADD u -inf " + std::string(65, 'l'), ":1"}, {"OBJECT ENCODING u", "\"skiplist\""},
          {"ZSCAN u 0 MATCH a", "[\"0\", [\"a\", \"0.10000000000000001\"]]"}, {"ZSCAN u 0 MATCH b", "[\"0\", [\"b\", \"-3\"]]"},
          {"ZSCAN u 0 MATCH l*", "[\"0\", [\"" + std::string(65, 'l') + "\", \"-inf\"]]"}});
  ExpectError({"ZSCAN z x"}, "ERR invalid cursor");
  ExpectError({"ZINCRBY z NX a", "ZINCRBY z incr a", "ZMPOP 1 z MIN COUNT 1 COUNT 1", "ZMPOP 1 z MIN COUNT"}, "ERR syntax error");
  ExpectError({"ZMPOP 1 z MIN COUNT COUNT 1"}, "ERR count should be greater than 0");
  Expect({{"ZADD v 1 a", ":1"}, {"ZADD v XX 2 " + std::string(65, 'l'), ":0"}, {"OBJECT ENCODING v", "\"listpack\""}});
  ExpectError({"ZSCAN z 0 COUNT 0", "ZSCAN z 0 OOPS"}, "ERR syntax error");
  ExpectError({"SCAN 0 NOSCORES"}, "ERR NOSCORES option can only be used in ZSCAN");
  for (int i = 0; i < 2000; ++i) Do("ZADD z " + std::to_string(i) + " m" + std::to_string(i));
  std::set<std::string> seen;
  std::string cursor = "0";
  int steps = 0;
  do {
    const auto words = WordsOf(Do("ZSCAN z " + cursor + " COUNT 100 NOSCORES"));
    cursor = words.at(0);
    EXPECT_LT(words.size(), 250u);
    seen.insert(words.begin() + 1, words.end());
    ++steps;
  } while (cursor != "0");
  EXPECT_EQ(seen.size(), 2003u);
  EXPECT_GT(steps, 8);
}

TEST_F(SortedSetTest, EndsAreTaken) {
  Expect({{"ZADD z 1 a 2 b 3 c 4 d 5 e", ":5"},
          {"ZPOPMIN z", "[\"a\", \"1\"]"},
          {"ZPOPMAX z", "[\"e\", \"5\"]"},
          {"ZPOPMIN z 0", "[]"},
          {"ZPOPMAX z 2", "[\"d\", \"4\", \"c\", \"3\"]"},
          {"ZPOPMIN none", "[]"},
          {"ZPOPMIN none 3", "[]"},
          {"ZPOPMIN z 100", "[\"b\", \"2\"]"},
          {"EXISTS z", ":0"},
          {"ZADD y 1 a 2 b 3 c", ":3"},
          {"ZMPOP 2 z y MIN", "[\"y\", [[\"a\", \"1\"]]]"},
          {"ZMPOP 2 z y max COUNT 9", "[\"y\", [[\"c\", \"3\"], [\"b\", \"2\"]]]"},
          {"ZMPOP 2 z y MIN", "nil"}});
  ExpectError({"ZPOPMIN z -1", "ZPOPMAX z x"}, "ERR value is out of range, must be positive");
  ExpectError({"ZPOPMIN z 1 2", "ZMPOP 2 z y", "ZMPOP 2 z MIN", "ZMPOP 1 z OOPS", "ZMPOP 1 z MIN COUNT",
               "ZMPOP 1 z MIN COUNT 1 COUNT 1", "ZMPOP 9223372036854775807 z MIN"},
              "ERR syntax error");
  ExpectError({"ZMPOP 0 z MIN", "ZMPOP x z MIN", "ZMPOP -1 z MIN"}, "ERR numkeys should be greater than 0");
  ExpectError({"ZMPOP 1 z MIN COUNT 0", "ZMPOP 1 z MIN COUNT x"}, "ERR count should be greater than 0");
}

TEST_F(SortedSetTest, OtherTypesAreRefused) {
  Do("HSET h a 1");
  ExpectError({"ZADD h 1 a", "ZADD h XX 1 a", "ZINCRBY h 1 a", "ZREM h a", "ZCARD h", "ZSCORE h a", "ZMSCORE h a", "ZRANK h a",
               "ZREVRANK h a", "ZSCAN h 0 OOPS", "ZRANDMEMBER h", "ZRANDMEMBER h 0", "ZPOPMIN h", "ZPOPMAX h 0",
               "ZMPOP 2 none h MIN", "ZRANGE h 0 -1", "ZREVRANGE h 0 -1", "ZRANGEBYSCORE h 0 1", "ZREVRANGEBYSCORE h 1 0",
               "ZRANGEBYLEX h - +", "ZREVRANGEBYLEX h + -", "ZCOUNT h 0 1", "ZLEXCOUNT h - +", "ZREMRANGEBYRANK h 0 1",
               "ZREMRANGEBYSCORE h 0 1", "ZREMRANGEBYLEX h - +", "ZRANGESTORE none h 0 1", "ZUNION 1 h", "ZINTER 2 none h",
               "ZDIFF 1 h", "ZINTERCARD 1 h", "ZUNIONSTORE none 1 h OOPS", "ZINTERSTORE none 1 h", "ZDIFFSTORE none 1 h",
               "GEOADD h 1 1 a", "GEODIST h a b", "GEOHASH h", "GEOPOS h a", "GEOSEARCH h FROMMEMBER a BYRADIUS 1 m",
               "GEOSEARCHSTORE none h FROMMEMBER a BYRADIUS 1 m", "GEORADIUS h 1 1 1 m", "GEORADIUS_RO h 1 1 1 m",
               "GEORADIUSBYMEMBER h a 1 m", "GEORADIUSBYMEMBER_RO h a 1 m"},
              kWrongType);
  EXPECT_EQ(Do("DBSIZE"), ":1");
}

}  // namespace
}  // namespace understudy::command
