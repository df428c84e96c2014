#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

class SortedSetRangeTest : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    Do("ZADD z 1 a 2 b 2 c 3 d inf e");
    Do("ZADD n 0 a 0 b 0 c 0 d 0 e");
  }
};

TEST_F(SortedSetRangeTest, ByRank) {
  Expect({{"ZRANGE z 0 1", "[\"a\", \"b\"]"},
          {"ZRANGE z -2 -1 WITHSCORES", "[\"d\", \"3\", \"e\", \"inf\"]"},
          {"ZRANGE z 0 1 REV", "[\"e\", \"d\"]"},
          {"ZRANGE z 3 100", "[\"d\", \"e\"]"},
          {"ZRANGE z -100 0", "[\"a\"]"},
          {"ZRANGE z 2 1", "[]"},
          {"ZRANGE z 5 9", "[]"},
          {"ZRANGE none 0 1", "[]"},
          {"ZRANGE z 0 0 LIMIT 1 -1", "[\"a\"]"},
          {"ZREVRANGE z 0 1 withscores", "[\"e\", \"inf\", \"d\", \"3\"]"},
          {"ZREVRANGE z -1 -1", "[\"a\"]"},
          {"ZREVRANGE z 7 9", "[]"}});
  ExpectError({"ZRANGE z x 1", "ZRANGE z 0 1.5", "ZREVRANGE z 0 x", "ZRANGE z 0 1 BYSCORE LIMIT x 1"},
              "ERR value is not an integer or out of range");
  ExpectError({"ZRANGE z 0 1 LIMIT 0 1", "ZREVRANGE z 0 1 LIMIT 0 1"},
              "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
  ExpectError({"ZRANGE z 0 1 OOPS", "ZRANGE z 0 1 REV REV", "ZRANGE z 0 1 BYSCORE BYLEX", "ZRANGE z 0 1 LIMIT 1",
               "ZREVRANGE z 0 1 REV", "ZRANGEBYSCORE z 0 1 BYSCORE"},
              "ERR syntax error");
}

TEST_F(SortedSetRangeTest, ByScore) {
  Expect({{"ZRANGEBYSCORE z 2 3", "[\"b\", \"c\", \"d\"]"},
          {"ZRANGEBYSCORE z (2 +inf WITHSCORES", "[\"d\", \"3\", \"e\", \"inf\"]"},
          {"ZRANGEBYSCORE z -inf (2", "[\"a\"]"},
          {"ZRANGEBYSCORE z 3 2", "[]"},
          {"ZRANGEBYSCORE z -inf +inf LIMIT 1 2", "[\"b\", \"c\"]"},
          {"ZRANGEBYSCORE z -inf +inf LIMIT 3 -1", "[\"d\", \"e\"]"},
          {"ZRANGEBYSCORE z -inf +inf LIMIT -1 2", "[]"},
          {"ZRANGEBYSCORE z -inf +inf LIMIT 9 2", "[]"},
          {"ZREVRANGEBYSCORE z 3 2 LIMIT 1 5", "[\"c\", \"b\"]"},
          {"ZRANGE z 3 (1 BYSCORE REV LIMIT 0 2 WITHSCORES", "[\"d\", \"3\", \"c\", \"2\"]"},
          {"ZRANGE z (1 2 byscore", "[\"b\", \"c\"]"},
          {"ZRANGEBYSCORE none 0 1", "[]"},
          {"ZCOUNT z 2 3", ":3"},
          {"ZCOUNT z (2 (3", ":0"},
          {"ZCOUNT z -inf inf", ":5"},
          {"ZCOUNT none 0 1", ":0"}});
  ExpectError({"ZRANGEBYSCORE z x 1", "ZCOUNT z 0 nan", "ZRANGE z (a 1 BYSCORE", "ZREMRANGEBYSCORE z 1 x"},
              "ERR min or max is not a float");
}

TEST_F(SortedSetRangeTest, ByName) {
  Expect({{"ZRANGEBYLEX n [b [d", "[\"b\", \"c\", \"d\"]"},
          {"ZRANGEBYLEX n (b +", "[\"c\", \"d\", \"e\"]"},
          {"ZRANGEBYLEX n - (b", "[\"a\"]"},
          {"ZRANGEBYLEX n + -", "[]"},
          {"ZRANGEBYLEX n - + LIMIT 1 2", "[\"b\", \"c\"]"},
          {"ZREVRANGEBYLEX n (d [b", "[\"c\", \"b\"]"},
          {"ZRANGE n + [d BYLEX REV", "[\"e\", \"d\"]"},
          {"ZRANGE n [bb + BYLEX LIMIT 0 1", "[\"c\"]"},
          {"ZLEXCOUNT n [b (e", ":3"},
          {"ZLEXCOUNT none - +", ":0"}});
  ExpectError({"ZRANGEBYLEX n b [c", "ZLEXCOUNT n '' +", "ZRANGE n - x BYLEX", "ZREMRANGEBYLEX n x +"},
              "ERR min or max not valid string range item");
  ExpectError({"ZRANGE n - + BYLEX WITHSCORES", "ZRANGEBYLEX n - + WITHSCORES"},
              "ERR syntax error, WITHSCORES not supported in combination with BYLEX");
}

TEST_F(SortedSetRangeTest, RangesAreRemoved) {
  Expect({{"ZREMRANGEBYRANK z 0 0", ":1"},
          {"ZREMRANGEBYSCORE z 2 (3", ":2"},
          {"ZREMRANGEBYSCORE z 100 200", ":0"},
          {"ZRANGE z 0 -1", "[\"d\", \"e\"]"},
          {"ZREMRANGEBYRANK z -2 -1", ":2"},
          {"EXISTS z", ":0"},
          {"ZREMRANGEBYRANK z 0 -1", ":0"},
          {"ZREMRANGEBYLEX n (a [c", ":2"},
          {"ZRANGE n 0 -1", "[\"a\", \"d\", \"e\"]"},
          {"ZREMRANGEBYLEX n - +", ":3"},
          {"EXISTS n", ":0"}});
  ExpectError({"ZREMRANGEBYRANK z x 1"}, "ERR value is not an integer or out of range");
}

TEST_F(SortedSetRangeTest, RangesAreStored) {
  Expect({{"SET d text EX 100", "+OK"},
          {"ZRANGESTORE d z 1 2", ":2"},
          {"ZRANGE d 0 -1 WITHSCORES", "[\"b\", \"2\", \"c\", \"2\"]"},
          {"TTL d", ":-1"},
          {"ZRANGESTORE z z 3 2 BYSCORE REV LIMIT 1 1", ":1"},
          {"ZRANGE z 0 -1", "[\"c\"]"},
          {"ZRANGESTORE d n [b [c BYLEX", ":2"},
          {"ZRANGESTORE d n 9 9", ":0"},
          {"EXISTS d", ":0"},
          {"ZRANGESTORE n none 0 -1", ":0"},
          {"EXISTS n", ":0"}});
  ExpectError({"ZRANGESTORE d z 0 -1 WITHSCORES"}, "ERR syntax error");
}

TEST_F(SortedSetRangeTest, LargeOnesAreAsSmallOnes) {
  for (int i = 0; i < 1000; ++i) Do("ZADD large " + std::to_string(i) + " m" + std::to_string(1000 + i));
  Expect({{"OBJECT ENCODING large", "\"skiplist\""},
          {"ZRANGE large 500 501", "[\"m1500\", \"m1501\"]"},
          {"ZREVRANGE large 500 501", "[\"m1499\", \"m1498\"]"},
          {"ZCOUNT large (100 (200", ":99"},
          {"ZRANGEBYSCORE large 10 20 LIMIT 9 5", "[\"m1019\", \"m1020\"]"},
          {"ZREVRANGEBYSCORE large 20 (10 LIMIT 9 5", "[\"m1011\"]"},
          {"ZREVRANK large m1000", ":999"},
          {"ZREMRANGEBYRANK large 10 -11", ":980"},
          {"ZCARD large", ":20"},
          {"ZRANGE large 9 10", "[\"m1009\", \"m1990\"]"}});
}

// ---------------------------------------------------------------------------------------------- several of them

TEST_F(SortedSetRangeTest, SortedSetsAreCombined) {
  Expect({{"ZADD y 10 b 20 d 30 x", ":3"},
          {"SADD s a d", ":2"},
          {"ZUNION 2 z y", "[\"a\", \"c\", \"b\", \"d\", \"x\", \"e\"]"},
          {"ZUNION 2 z y WITHSCORES",
           "[\"a\", \"1\", \"c\", \"2\", \"b\", \"12\", \"d\", \"23\", \"x\", \"30\", \"e\", \"inf\"]"},
          {"ZINTER 2 z y WITHSCORES", "[\"b\", \"12\", \"d\", \"23\"]"},
          {"ZINTER 2 z y WEIGHTS 2 0.5 WITHSCORES", "[\"b\", \"9\", \"d\", \"16\"]"},
          {"ZINTER 2 z y AGGREGATE MIN WITHSCORES", "[\"b\", \"2\", \"d\", \"3\"]"},
          {"ZINTER 2 z y aggregate max weights 10 1 withscores", "[\"b\", \"20\", \"d\", \"30\"]"},
          {"ZINTER 3 z y s WITHSCORES", "[\"d\", \"24\"]"},
          {"ZINTER 2 z none", "[]"},
          {"ZUNION 2 s none WEIGHTS 5 1 WITHSCORES", "[\"a\", \"5\", \"d\", \"5\"]"},
          {"ZUNION 2 z z WEIGHTS 0 -1 WITHSCORES",
           "[\"e\", \"-inf\", \"d\", \"-3\", \"b\", \"-2\", \"c\", \"-2\", \"a\", \"-1\"]"},
          {"ZUNION 2 z z WEIGHTS 1 -1 WITHSCORES",
           "[\"a\", \"0\", \"b\", \"0\", \"c\", \"0\", \"d\", \"0\", \"e\", \"0\"]"},
          {"ZDIFF 2 z y WITHSCORES", "[\"a\", \"1\", \"c\", \"2\", \"e\", \"inf\"]"},
          {"ZDIFF 3 z y s", "[\"c\", \"e\"]"},
          {"ZDIFF 2 none z", "[]"},
          {"ZINTERCARD 2 z y", ":2"},
          {"ZINTERCARD 2 z y LIMIT 1", ":1"},
          {"ZINTERCARD 2 z none", ":0"},
          {"ZINTERSTORE d 2 z y WEIGHTS 1 10", ":2"},
          {"ZRANGE d 0 -1 WITHSCORES", "[\"b\", \"102\", \"d\", \"203\"]"},
          {"ZUNIONSTORE z 2 z y", ":6"},
          {"ZCARD z", ":6"},
          {"ZDIFFSTORE d 2 y z", ":0"},
          {"EXISTS d", ":0"},
          {"ZUNIONSTORE y 1 none", ":0"},
          {"EXISTS y", ":0"}});
}

TEST_F(SortedSetRangeTest, WhatIsCombinedWronglyIsRefused) {
  ExpectError({"ZUNION 0 z"}, "ERR at least 1 input key is needed for 'zunion' command");
  ExpectError({"ZINTERSTORE d -1 z"}, "ERR at least 1 input key is needed for 'zinterstore' command");
  ExpectError({"ZINTERCARD 0 z"}, "ERR at least 1 input key is needed for 'zintercard' command");
  ExpectError({"ZDIFF x z"}, "ERR value is not an integer or out of range");
  ExpectError({"ZUNION 2 z", "ZUNION 9223372036854775807 z", "ZUNION 1 z WEIGHTS", "ZUNION 2 z n WEIGHTS 1",
               "ZUNION 1 z AGGREGATE", "ZUNION 1 z AGGREGATE avg", "ZDIFF 1 z WEIGHTS 1", "ZDIFF 1 z AGGREGATE SUM",
               "ZUNIONSTORE d 1 z WITHSCORES", "ZINTERCARD 1 z WITHSCORES", "ZINTERCARD 1 z WEIGHTS 1", "ZINTERCARD 1 z LIMIT",
               "ZUNION 1 z LIMIT 1"},
              "ERR syntax error");
  ExpectError({"ZUNION 1 z WEIGHTS x", "ZINTER 1 z WEIGHTS nan"}, "ERR weight value is not a float");
  ExpectError({"ZINTERCARD 1 z LIMIT -1", "ZINTERCARD 1 z LIMIT x"}, "ERR LIMIT can't be negative");
}

TEST_F(SortedSetRangeTest, KeysBehindTheirNumberAreFound) {
  Expect({{"COMMAND GETKEYS ZUNION 2 a b WEIGHTS 1 2", "[\"a\", \"b\"]"},
          {"COMMAND GETKEYS ZUNIONSTORE d 2 a b", "[\"d\", \"a\", \"b\"]"},
          {"COMMAND GETKEYS SINTERCARD 1 a LIMIT 5", "[\"a\"]"},
          {"COMMAND GETKEYS ZMPOP 1 a MIN", "[\"a\"]"},
          {"COMMAND GETKEYS GEORADIUS k 1 1 1 m STORE x STOREDIST y", "[\"k\", \"y\"]"},
          {"COMMAND GETKEYS SORT k GET store STORE x", "[\"k\", \"x\"]"}});
  ExpectError({"COMMAND GETKEYS ZUNION 3 a b", "COMMAND GETKEYS ZUNIONSTORE d 0 a"},
              "ERR Invalid arguments specified for command");
}

}  // namespace
}  // namespace understudy::command
