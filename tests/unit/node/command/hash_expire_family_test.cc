// Times of fields. Some of these commands' answers are those that Valkey's own tests ask for.
#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

const std::string kBadCount = "ERR numfields should be greater than 0 and match the provided number of fields";

class HashExpireTest : public ServerTest {
 protected:
  int64_t Now() { return clock_.Wall().unix_ms; }
  // An integer in an array of one.
  int64_t OneOf(const std::string& command) {
    const std::string reply = Do(command);
    return reply.starts_with("[:") ? std::stoll(reply.substr(2)) : INT64_MIN;
  }
  void Wait(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }
  std::string Stat(const std::string& name) {
    const std::string text = Do("INFO stats");
    const size_t at = text.find("\n" + name + ":");
    return at == std::string::npos ? "" : text.substr(at + name.size() + 2, text.find('\r', at + 1) - at - name.size() - 2);
  }
};

TEST_F(HashExpireTest, TimesAreSetReadAndRemoved) {
  Expect({{"HSET h a 1 b 2", ":2"},
          {"OBJECT ENCODING h", "\"listpack\""},
          {"HTTL h FIELDS 3 a b c", "[:-1, :-1, :-2]"},
          {"HEXPIRE h 100 FIELDS 2 a c", "[:1, :-2]"},
          {"OBJECT ENCODING h", "\"hashtable\""},
          {"HTTL h FIELDS 3 a b c", "[:100, :-1, :-2]"},
          {"HPEXPIREAT h 33000000000499 fields 1 a", "[:1]"},
          {"HPEXPIRETIME h FIELDS 1 a", "[:33000000000499]"},
          {"HEXPIRETIME h FIELDS 1 a", "[:33000000000]"},
          {"HPEXPIREAT h 33000000000500 FIELDS 1 a", "[:1]"},
          {"HEXPIRETIME h FIELDS 1 a", "[:33000000001]"},
          {"HEXPIREAT h 33000000000 FIELDS 1 a", "[:1]"},
          {"HPEXPIRETIME h FIELDS 1 a", "[:33000000000000]"},
          {"HPERSIST h FIELDS 3 a b c", "[:1, :-1, :-2]"},
          {"HTTL h FIELDS 1 a", "[:-1]"},
          {"HGET h a", "\"1\""},
          {"TTL h", ":-1"}});
  Do("HPEXPIRE h 50000 FIELDS 1 a");
  EXPECT_GT(OneOf("HPTTL h FIELDS 1 a"), 40'000);
  EXPECT_LE(OneOf("HPTTL h FIELDS 1 a"), 50'000);
  for (const std::string command :
       {"HEXPIRE none 1", "HPEXPIRE none 1", "HEXPIREAT none 1", "HPEXPIREAT none 1", "HTTL none", "HPTTL none",
        "HEXPIRETIME none", "HPEXPIRETIME none", "HPERSIST none"}) {
    EXPECT_EQ(Do(command + " FIELDS 2 a b"), "[:-2, :-2]") << command;
  }
  EXPECT_EQ(Do("EXISTS none"), ":0");
}

TEST_F(HashExpireTest, TheLastMillisecondOfAllIsATimeAsAnyOther) {
  Expect({{"HSET h a 1", ":1"},
          {"HPEXPIREAT h 9223372036854775807 FIELDS 1 a", "[:1]"},
          {"HPEXPIRETIME h FIELDS 1 a", "[:9223372036854775806]"},
          {"HGET h a", "\"1\""}});
  ExpectError({"HPEXPIRE h 9223372036854775807 FIELDS 1 a"}, "ERR invalid expire time in 'hpexpire' command");
  ExpectError({"HEXPIREAT h 9223372036854775 FIELDS 1 a x"}, kBadCount);
  ExpectError({"HEXPIREAT h 9223372036854776 FIELDS 1 a"}, "ERR invalid expire time in 'hexpireat' command");
}

TEST_F(HashExpireTest, ConditionsHoldForEachFieldByItself) {
  Do("HSET h a 1 b 2");
  Do("HEXPIRE h 100 FIELDS 1 a");
  Expect({{"HEXPIRE h 200 NX FIELDS 3 a b c", "[:0, :1, :-2]"},
          {"HTTL h FIELDS 2 a b", "[:100, :200]"},
          {"HPERSIST h FIELDS 1 b", "[:1]"},
          {"HEXPIRE h 300 xx FIELDS 2 a b", "[:1, :0]"},
          {"HEXPIRE h 299 GT FIELDS 2 a b", "[:0, :0]"},
          {"HEXPIRE h 301 GT FIELDS 2 a b", "[:1, :0]"},
          {"HEXPIRE h 302 LT FIELDS 2 a b", "[:0, :1]"},
          {"HEXPIRE h 250 LT FIELDS 2 a b", "[:1, :1]"},
          {"HTTL h FIELDS 2 a b", "[:250, :250]"},
          {"HEXPIRE h 0 GT FIELDS 2 a c", "[:0, :-2]"},
          {"HEXPIRE h 0 NX FIELDS 2 a c", "[:0, :-2]"},
          {"HLEN h", ":2"}});
  ExpectError({"HEXPIRE h 1 NX XX FIELDS 1 a", "HEXPIRE h 1 GT NX FIELDS 1 a"},
              "ERR NX and XX, GT or LT options at the same time are not compatible");
  ExpectError({"HEXPIRE h 1 GT LT FIELDS 1 a"}, "ERR GT and LT options at the same time are not compatible");
  ExpectError({"HEXPIRE h 1 oops FIELDS 1 a"}, "ERR Unsupported option oops");
}

TEST_F(HashExpireTest, ATimeInThePastRemovesTheFieldAndTheKeyWithTheLastOfThem) {
  Expect({{"HSET h a 1 b 2 c 3 d 4", ":4"},
          {"HEXPIRE h 0 FIELDS 2 a x", "[:2, :-2]"},
          {"HPEXPIRE h 0 FIELDS 2 b b", "[:2, :-2]"},
          {"HEXPIREAT h 1 FIELDS 1 c", "[:2]"},
          {"HLEN h", ":1"},
          {"HPEXPIREAT h 0 FIELDS 1 d", "[:2]"},
          {"EXISTS h", ":0"}});
  EXPECT_EQ(Stat("expired_fields"), "4");
}

TEST_F(HashExpireTest, BadArguments) {
  Do("SET s x");
  Do("HSET h a 1");
  ExpectError({"HEXPIRE h x FIELDS 1 a", "HEXPIRE h 1 FIELDS x a", "HTTL h FIELDS x a", "HPERSIST h FIELDS x a",
               "HGETDEL h FIELDS x a", "HSETEX h EX x FIELDS 1 a 1", "HGETEX h EX x FIELDS 1 a"},
              "ERR value is not an integer or out of range");
  ExpectError({"HEXPIRE h 1 FIELDS 2 a", "HEXPIRE h 1 FIELDS 0 a", "HEXPIRE h 1 FIELDS -1 a", "HEXPIRE h 1 FIELDS 1 a b",
               "HEXPIRE h 1 NX NX FIELDS", "HEXPIRE h 1 1 a b", "HPERSIST h FIELDS 2 a", "HGETDEL h FIELDS 2 a",
               "HGETEX h FIELDS 2 a", "HGETEX h PERSIST PERSIST FIELDS", "HGETEX h 1 a b",
               "HSETEX h KEEPTTL KEEPTTL KEEPTTL FIELDS", "HSETEX h FIELDS 1 a 1 b", "HSETEX h FIELDS 2 a 1",
               "HSETEX h PX 100 FIELDS 1 a 1 extra", "HSETEX h FIELDS 9223372036854775807 a 1"},
              kBadCount);
  ExpectError({"HTTL h FIELDS 2 a", "HPTTL h FIELDS 0 a", "HEXPIRETIME h FIELDS 1 a b", "HTTL h 1 a b", "HPERSIST h 1 a b", "HGETDEL h 1 a b"},
              "ERR syntax error");
  ExpectError({"HEXPIRE h -1 FIELDS 1 a"}, "ERR invalid expire time in 'hexpire' command");
  ExpectError({"HSETEX h EX -1 FIELDS 1 a 1", "HSETEX h PXAT -1 FIELDS 1 a 1"},
              "ERR invalid expire time in 'hsetex' command");
  ExpectError({"HGETEX h PX -1 FIELDS 1 a"}, "ERR invalid expire time in 'hgetex' command");
  ExpectError({"HGETEX h EX 1 PX 1 FIELDS 1 a", "HGETEX h EX 1 PERSIST FIELDS 1 a", "HGETEX h PERSIST EX 1 FIELDS 1 a",
               "HGETEX h KEEPTTL FIELDS 1 a", "HGETEX h EX FIELDS 1 a", "HGETEX h FNX FIELDS 1 a",
               "HSETEX h FNX FXX FIELDS 1 a 1", "HSETEX h NX XX FIELDS 1 a 1", "HSETEX h EX 1 KEEPTTL FIELDS 1 a 1",
               "HSETEX h KEEPTTL EX 1 FIELDS 1 a 1", "HSETEX h EX 1 PX 1 FIELDS 1 a 1", "HSETEX h PERSIST FIELDS 1 a 1"},
              "ERR syntax error");
  ExpectError({"HEXPIRE h 1 FIELDS 0"}, "ERR wrong number of arguments for 'hexpire' command");
  ExpectError({"HSETEX s EX x FIELDS 1 a 1", "HGETEX s EX x FIELDS 1 a"},
              "WRONGTYPE Operation against a key holding the wrong kind of value");
  EXPECT_EQ(Do("HGETALL h"), "[\"a\", \"1\"]");
}

TEST_F(HashExpireTest, HGetExReadsAndChangesTimes) {
  Expect({{"HSET h a 1 b 2", ":2"},
          {"HGETEX h FIELDS 3 a b c", "[\"1\", \"2\", nil]"},
          {"HGETEX h EX 100 FIELDS 2 a c", "[\"1\", nil]"},
          {"HTTL h FIELDS 2 a b", "[:100, :-1]"},
          {"HGETEX h FIELDS 1 a", "[\"1\"]"},
          {"HTTL h FIELDS 1 a", "[:100]"},
          {"HGETEX h EX 5 EX 200 FIELDS 1 a", "[\"1\"]"},
          {"HTTL h FIELDS 1 a", "[:200]"},
          {"HGETEX h PXAT 33000000000123 FIELDS 1 a", "[\"1\"]"},
          {"HPEXPIRETIME h FIELDS 1 a", "[:33000000000123]"},
          {"HGETEX h EXAT 33000000000 FIELDS 1 a", "[\"1\"]"},
          {"HEXPIRETIME h FIELDS 1 a", "[:33000000000]"},
          {"HGETEX h PERSIST FIELDS 2 a b", "[\"1\", \"2\"]"},
          {"HTTL h FIELDS 2 a b", "[:-1, :-1]"},
          {"HGETEX h PX 0 FIELDS 2 a a", "[\"1\", nil]"},
          {"HGETALL h", "[\"b\", \"2\"]"},
          {"HGETEX h EXAT 1 FIELDS 1 b", "[\"2\"]"},
          {"EXISTS h", ":0"},
          {"HGETEX h EX 10 FIELDS 2 a b", "[nil, nil]"},
          {"EXISTS h", ":0"}});
}

TEST_F(HashExpireTest, HGetDelReadsAndRemoves) {
  Expect({{"HSET h a 1 b 2", ":2"},
          {"HGETDEL h FIELDS 3 a c a", "[\"1\", nil, nil]"},
          {"HGETALL h", "[\"b\", \"2\"]"},
          {"HGETDEL h FIELDS 2 b a", "[\"2\", nil]"},
          {"EXISTS h", ":0"},
          {"HGETDEL h FIELDS 1 b", "[nil]"}});
}

TEST_F(HashExpireTest, HSetExSetsFieldsWithTheirTime) {
  Expect({{"HSETEX h EX 100 FIELDS 2 a 1 b 2", ":1"},
          {"HTTL h FIELDS 2 a b", "[:100, :100]"},
          {"HSETEX h KEEPTTL FIELDS 2 a 3 c 4", ":1"},
          {"HTTL h FIELDS 2 a c", "[:100, :-1]"},
          {"HMGET h a b c", "[\"3\", \"2\", \"4\"]"},
          {"HSETEX h FIELDS 1 a 5", ":1"},
          {"HTTL h FIELDS 1 a", "[:-1]"},
          {"HSETEX h PXAT 33000000000123 FIELDS 1 a 6", ":1"},
          {"HPEXPIRETIME h FIELDS 1 a", "[:33000000000123]"},
          {"HSET h a 7", ":0"},
          {"HTTL h FIELDS 1 a", "[:-1]"}});
}

TEST_F(HashExpireTest, HSetExAsksForKeysAndFieldsThatAreThereOrNot) {
  Expect({{"HSETEX h XX FIELDS 1 a 1", ":0"},
          {"HSETEX h FXX FIELDS 1 a 1", ":0"},
          {"EXISTS h", ":0"},
          {"HSETEX h NX FNX FIELDS 1 a 1", ":1"},
          {"HSETEX h nx FIELDS 1 b 1", ":0"},
          {"HSETEX h FNX FIELDS 2 b 1 a 2", ":0"},
          {"HSETEX h FXX FIELDS 2 a 2 b 2", ":0"},
          {"HGETALL h", "[\"a\", \"1\"]"},
          {"HSETEX h XX FNX EX 10 FIELDS 1 b 2", ":1"},
          {"HSETEX h EX 10 FXX FIELDS 2 a 3 b 4", ":1"},
          {"HMGET h a b", "[\"3\", \"4\"]"}});
}

TEST_F(HashExpireTest, HSetExWithATimeInThePastLeavesNothing) {
  Expect({{"HSETEX none EX 0 FIELDS 1 a 1", ":1"},
          {"EXISTS none", ":0"},
          {"HSET h a 1", ":1"},
          {"HSETEX h PXAT 1 FIELDS 2 a 2 b 3", ":1"},
          {"EXISTS h", ":0"}});
  EXPECT_EQ(Stat("expired_fields"), "3");
}

TEST_F(HashExpireTest, WhatHasExpiredIsNotThereForAnybody) {
  Do("DEBUG SET-ACTIVE-EXPIRE 0");
  Expect({{"HSET h keep 0", ":1"}, {"HSETEX h PX 1 FIELDS 2 a 1 b 2", ":1"}, {"HSETEX gone PX 1 FIELDS 1 a 1", ":1"}});
  Wait(5);
  Expect({{"HLEN h", ":3"},  // as in Valkey
          {"HGET h a", "nil"},
          {"HMGET h a keep", "[nil, \"0\"]"},
          {"HEXISTS h a", ":0"},
          {"HSTRLEN h a", ":0"},
          {"HGETALL h", "[\"keep\", \"0\"]"},
          {"HKEYS h", "[\"keep\"]"},
          {"HVALS h", "[\"0\"]"},
          {"HSCAN h 0 COUNT 1000", "[\"0\", [\"keep\", \"0\"]]"},
          {"HRANDFIELD h", "\"keep\""},
          {"HRANDFIELD h 5", "[\"keep\"]"},
          {"HRANDFIELD h -3", "[\"keep\", \"keep\", \"keep\"]"},
          {"HTTL h FIELDS 1 a", "[:-2]"},
          {"HRANDFIELD gone", "nil"},
          {"HRANDFIELD gone 5", "[]"},
          {"HRANDFIELD gone -5", "[]"},
          {"EXISTS gone", ":1"},
          {"HSETNX h a 5", ":1"},  // which removes b, too
          {"HLEN h", ":2"},
          {"HTTL h FIELDS 1 a", "[:-1]"},
          {"HINCRBY gone a 1", ":1"},
          {"HTTL gone FIELDS 1 a", "[:-1]"}});
  EXPECT_EQ(Stat("expired_fields"), "3");
}

TEST_F(HashExpireTest, HDelRemovesWhatHasExpiredWithoutCountingIt) {
  Do("DEBUG SET-ACTIVE-EXPIRE 0");
  Do("HSETEX h PX 1 FIELDS 1 a 1");
  Wait(5);
  Expect({{"HDEL h b", ":0"}, {"HLEN h", ":1"}, {"HDEL h a", ":0"}, {"EXISTS h", ":0"}});
  EXPECT_EQ(Stat("expired_fields"), "0");
}

TEST_F(HashExpireTest, TheSweepRemovesThem) {
  Expect({{"HSET h keep 0", ":1"}, {"HSETEX h PX 1 FIELDS 2 a 1 b 2", ":1"}, {"HSETEX gone PX 1 FIELDS 1 a 1", ":1"}});
  EXPECT_TRUE(Eventually([&] { return Do("HLEN h") == ":1" && Do("EXISTS gone") == ":0"; }));
  EXPECT_EQ(Stat("expired_fields"), "3");
}

TEST_F(HashExpireTest, AScanAmongExpiredFieldsEndsAfterSomeSteps) {
  Do("DEBUG SET-ACTIVE-EXPIRE 0");
  std::vector<std::string> words = {"HSETEX", "h", "PX", "1", "FIELDS", "5000"};
  for (int i = 0; i < 5000; ++i) words.insert(words.end(), {"f" + std::to_string(i), "v"});
  EXPECT_EQ(c_->Do(words), ":1");
  Wait(5);
  const std::string first = Do("HSCAN h 0 COUNT 1");
  EXPECT_NE(first, "[\"0\", []]");
  EXPECT_TRUE(first.ends_with(", []]")) << first;
  EXPECT_EQ(Do("HSCAN h 0 COUNT 5000"), "[\"0\", []]");
}

TEST_F(HashExpireTest, IncrementsKeepTheTime) {
  Expect({{"HSETEX h EX 100 FIELDS 2 i 1 f 1", ":1"},
          {"HINCRBY h i 1", ":2"},
          {"HINCRBYFLOAT h f 0.5", "\"1.5\""},
          {"HTTL h FIELDS 2 i f", "[:100, :100]"}});
}

TEST_F(HashExpireTest, TimesMoveWithTheKey) {
  Expect({{"HSETEX h PXAT 33000000000123 FIELDS 1 a 1", ":1"},
          {"COPY h i", ":1"},
          {"RENAME i j", "+OK"},
          {"MOVE j 1", ":1"},
          {"SELECT 1", "+OK"},
          {"HPEXPIRETIME j FIELDS 1 a", "[:33000000000123]"},
          {"PERSIST j", ":0"}});
  const std::string dump = Do("DUMP j");
  EXPECT_EQ(c_->Do({"RESTORE", "k", "0", dump.substr(1, dump.size() - 2)}), "+OK");
  EXPECT_EQ(Do("HPEXPIRETIME k FIELDS 1 a"), "[:33000000000123]");
}

}  // namespace
}  // namespace understudy::command
