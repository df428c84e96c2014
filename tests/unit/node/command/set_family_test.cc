#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "tests/unit/node/command/reply_words.h"
#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

using SetTest = ServerTest;

const std::string kWrongType = "WRONGTYPE Operation against a key holding the wrong kind of value";

TEST_F(SetTest, MembersAreAddedAskedForAndRemoved) {
  Expect({{"SADD s a b a 1", ":3"},
          {"SADD s a", ":0"},
          {"SCARD s", ":3"},
          {"SCARD none", ":0"},
          {"SISMEMBER s a", ":1"},
          {"SISMEMBER s c", ":0"},
          {"SISMEMBER none a", ":0"},
          {"SMISMEMBER s a c 1", "[:1, :0, :1]"},
          {"SMISMEMBER none a c", "[:0, :0]"},
          {"SMEMBERS s", "[\"a\", \"b\", \"1\"]"},
          {"SMEMBERS none", "[]"},
          {"TYPE s", "+set"},
          {"SREM s c", ":0"},
          {"SREM none c", ":0"},
          {"SREM s a 1 a c", ":2"},
          {"SREM s b x", ":1"},
          {"EXISTS s", ":0"}});
  ExpectError({"SADD s"}, "ERR wrong number of arguments for 'sadd' command");
}

TEST_F(SetTest, SetsAreSetsInResp3) {
  auto client = Connect(3);
  client->Do("SADD s a");
  EXPECT_EQ(client->Do("SMEMBERS s"), "~[\"a\"]");
  EXPECT_EQ(client->Do("SMEMBERS none"), "~[]");
  EXPECT_EQ(client->Do("SINTER s s"), "~[\"a\"]");
  EXPECT_EQ(client->Do("SINTER s none"), "~[]");
  EXPECT_EQ(client->Do("SUNION s none"), "~[\"a\"]");
  EXPECT_EQ(client->Do("SDIFF s none"), "~[\"a\"]");
  EXPECT_EQ(client->Do("SRANDMEMBER s 2"), "[\"a\"]");
  EXPECT_EQ(client->Do("SRANDMEMBER none"), "nil");
  EXPECT_EQ(client->Do("SPOP none 1"), "~[]");
  EXPECT_EQ(client->Do("SPOP s 0"), "~[]");
  EXPECT_EQ(client->Do("SPOP s 7"), "~[\"a\"]");
}

TEST_F(SetTest, EncodingsGoAsRedissDo) {
  Expect({{"SADD i 1 2 3", ":3"},
          {"OBJECT ENCODING i", "\"intset\""},
          {"SADD i x", ":1"},
          {"OBJECT ENCODING i", "\"listpack\""},
          {"SREM i x", ":1"},
          {"OBJECT ENCODING i", "\"listpack\""},
          {"SINTERSTORE j i i", ":3"},
          {"OBJECT ENCODING j", "\"intset\""},
          {"CONFIG SET set-max-intset-entries 2 set-max-listpack-entries 3", "+OK"},
          {"SADD k 1 2", ":2"},
          {"OBJECT ENCODING k", "\"intset\""},
          {"SADD k 3", ":1"},
          {"OBJECT ENCODING k", "\"hashtable\""},
          {"SADD l a b c d", ":4"},
          {"OBJECT ENCODING l", "\"hashtable\""}});
}

TEST_F(SetTest, AMemberMoves) {
  Expect({{"SADD a 1 2", ":2"},
          {"SMOVE a b 1", ":1"},
          {"SMOVE a b x", ":0"},
          {"SMOVE none b 1", ":0"},
          {"SMOVE a a 2", ":1"},
          {"SMOVE a a x", ":0"},
          {"SMEMBERS a", "[\"2\"]"},
          {"SMEMBERS b", "[\"1\"]"},
          {"SADD b 2", ":1"},
          {"SMOVE a b 2", ":1"},
          {"EXISTS a", ":0"},
          {"SCARD b", ":2"},
          {"SET s text", "+OK"},
          {"SMOVE none s 1", ":0"}});
  ExpectError({"SMOVE s b 1", "SMOVE b s 1"}, kWrongType);
}

TEST_F(SetTest, RandomMembersArePopped) {
  Expect({{"SPOP none", "nil"}, {"SPOP none 3", "[]"}, {"SADD s a", ":1"}, {"SPOP s", "\"a\""}, {"EXISTS s", ":0"}});
  for (const int members : {20, 500}) {
    for (int i = 0; i < members; ++i) Do("SADD s " + std::to_string(i) + "m");
    std::set<std::string> popped;
    for (const int count : {0, 1, 3, members / 2}) {
      const auto words = WordsOf(Do("SPOP s " + std::to_string(count)));
      EXPECT_EQ(words.size(), static_cast<size_t>(count));
      for (const std::string& word : words) EXPECT_TRUE(popped.insert(word).second) << word;
      for (const std::string& word : words) EXPECT_EQ(Do("SISMEMBER s " + word), ":0");
      EXPECT_EQ(Do("SCARD s"), ":" + std::to_string(static_cast<size_t>(members) - popped.size()));
    }
    for (const std::string& word : WordsOf(Do("SPOP s 100000"))) EXPECT_TRUE(popped.insert(word).second) << word;
    EXPECT_EQ(popped.size(), static_cast<size_t>(members));
    EXPECT_EQ(Do("EXISTS s"), ":0");
  }
  ExpectError({"SPOP s -1", "SPOP s x"}, "ERR value is out of range, must be positive");
  ExpectError({"SPOP s 1 x"}, "ERR syntax error");
}

TEST_F(SetTest, RandomMembersAreRead) {
  Expect({{"SADD s a", ":1"},
          {"SRANDMEMBER s", "\"a\""},
          {"SRANDMEMBER none", "nil"},
          {"SRANDMEMBER none -3", "[]"},
          {"SRANDMEMBER s 0", "[]"},
          {"SRANDMEMBER s -2", "[\"a\", \"a\"]"},
          {"SRANDMEMBER s 9223372036854775807", "[\"a\"]"}});
  ExpectError({"SRANDMEMBER s x"}, "ERR value is not an integer or out of range");
  ExpectError({"SRANDMEMBER s 1 x", "SRANDMEMBER s x x"}, "ERR syntax error");
  ExpectError({"SRANDMEMBER s -9223372036854775808"},
              "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
  ExpectError({"SRANDMEMBER s -9223372036854775807"}, "ERR value is out of range");
  for (int i = 0; i < 300; ++i) Do("SADD s m" + std::to_string(i));
  for (const int count : {2, 150, 300}) {
    auto words = WordsOf(Do("SRANDMEMBER s " + std::to_string(count)));
    EXPECT_EQ(words.size(), static_cast<size_t>(count));
    EXPECT_EQ(std::set<std::string>(words.begin(), words.end()).size(), words.size());
  }
}

TEST_F(SetTest, SetsAreIntersectedUnitedAndSubtracted) {
  Expect({{"SADD a 1 2 3 x y", ":5"},
          {"SADD b 2 3 4 y", ":4"},
          {"SADD c 3 y z", ":3"},
          {"SINTER a b c", "[\"3\", \"y\"]"},
          {"SINTER a", "[\"1\", \"2\", \"3\", \"x\", \"y\"]"},
          {"SINTER a none c", "[]"},
          {"SINTERCARD 3 a b c", ":2"},
          {"SINTERCARD 2 a b LIMIT 2", ":2"},
          {"SINTERCARD 2 a b limit 0", ":3"},
          {"SINTERCARD 2 a none", ":0"},
          {"SDIFF a b", "[\"1\", \"x\"]"},
          {"SDIFF a none", "[\"1\", \"2\", \"3\", \"x\", \"y\"]"},
          {"SDIFF none a", "[]"},
          {"SDIFF a b a", "[]"},
          {"SUNION none", "[]"}});
  EXPECT_THAT(WordsOf(Do("SUNION a b none c")), ::testing::UnorderedElementsAre("1", "2", "3", "4", "x", "y", "z"));
  ExpectError({"SINTERCARD 0 a", "SINTERCARD x a", "SINTERCARD -1 a"}, "ERR numkeys should be greater than 0");
  ExpectError({"SINTERCARD 2 a", "SINTERCARD 9223372036854775807 a"},
              "ERR Number of keys can't be greater than number of args");
  ExpectError({"SINTERCARD 1 a LIMIT -1", "SINTERCARD 1 a LIMIT x"}, "ERR LIMIT can't be negative");
  ExpectError({"SINTERCARD 1 a LIMIT", "SINTERCARD 1 a x"}, "ERR syntax error");
}

// Small sets of many make it worth to gather first what must go.
TEST_F(SetTest, ADifferenceIsTheSameHoweverItIsFound) {
  std::string many = "SADD many";
  for (int i = 0; i < 200; ++i) many += " m" + std::to_string(i);
  Do(many);
  std::string command = "SDIFF many";
  for (int i = 0; i < 10; ++i) {
    Do("SADD one" + std::to_string(i) + " m" + std::to_string(i) + " other");
    command += " one" + std::to_string(i);
  }
  const auto left = WordsOf(Do(command));
  EXPECT_EQ(left.size(), 190u);
  EXPECT_EQ(std::count(left.begin(), left.end(), "m9"), 0);
  EXPECT_EQ(std::count(left.begin(), left.end(), "m10"), 1);
}

TEST_F(SetTest, OutcomesAreStoredInThePlaceOfWhatIsThere) {
  Expect({{"SADD a 1 2 3", ":3"},
          {"SADD b 2 3 4", ":3"},
          {"SET d text EX 100", "+OK"},
          {"SINTERSTORE d a b", ":2"},
          {"SMEMBERS d", "[\"2\", \"3\"]"},
          {"TTL d", ":-1"},
          {"SUNIONSTORE a a b", ":4"},
          {"SMEMBERS a", "[\"1\", \"2\", \"3\", \"4\"]"},
          {"SDIFFSTORE a a b", ":1"},
          {"SMEMBERS a", "[\"1\"]"},
          {"SINTERSTORE d a b", ":0"},
          {"EXISTS d", ":0"},
          {"SINTERSTORE d none b", ":0"},
          {"SDIFFSTORE b none", ":0"},
          {"SUNIONSTORE b none none", ":0"},
          {"EXISTS b", ":0"},
          {"SET t text", "+OK"}});
  ExpectError({"SINTERSTORE a none t", "SUNIONSTORE a t", "SDIFFSTORE a none t", "SINTER none t", "SUNION t", "SDIFF a t",
               "SINTERCARD 2 none t"},
              kWrongType);
  EXPECT_EQ(Do("SMEMBERS a"), "[\"1\"]");
}

TEST_F(SetTest, Scan) {
  Expect({{"SADD s a b ab 1", ":4"},
          {"SSCAN s 0", "[\"0\", [\"a\", \"b\", \"ab\", \"1\"]]"},
          {"SSCAN s 0 MATCH a* COUNT 1", "[\"0\", [\"a\", \"ab\"]]"},
          {"SSCAN none 7 OOPS", "[\"0\", []]"}});
  ExpectError({"SSCAN s x"}, "ERR invalid cursor");
  ExpectError({"SSCAN s 0 COUNT 0", "SSCAN s 0 OOPS"}, "ERR syntax error");
  ExpectError({"SSCAN s 0 NOVALUES"}, "ERR NOVALUES option can only be used in HSCAN");
  ExpectError({"SSCAN s 0 NOSCORES"}, "ERR NOSCORES option can only be used in ZSCAN");
  for (int i = 0; i < 2000; ++i) Do("SADD s m" + std::to_string(i));
  std::set<std::string> seen;
  std::string cursor = "0";
  int steps = 0;
  do {
    const auto words = WordsOf(Do("SSCAN s " + cursor + " COUNT 100"));
    cursor = words.at(0);
    EXPECT_LT(words.size(), 200u);
    seen.insert(words.begin() + 1, words.end());
    ++steps;
  } while (cursor != "0");
  EXPECT_EQ(seen.size(), 2004u);
  EXPECT_GT(steps, 10);
}

TEST_F(SetTest, OtherTypesAreRefused) {
  Do("HSET h a 1");
  ExpectError({"SADD h a", "SREM h a", "SISMEMBER h a", "SMISMEMBER h a", "SCARD h", "SMEMBERS h", "SPOP h", "SPOP h 0",
               "SRANDMEMBER h", "SRANDMEMBER h 0", "SSCAN h 0 OOPS", "SINTER h", "SUNION h", "SDIFF h"},
              kWrongType);
}

TEST_F(SetTest, KeysOfSeveralShardsAreLockedTogether) {
  server_.reset();
  StartServer({"--workers", "3"});
  c_ = Connect();
  std::vector<std::thread> clients;
  for (int n = 0; n < 3; ++n) {
    clients.emplace_back([&, n] {
      RespClient client(server_->port());
      for (int i = 0; i < 300; ++i) {
        const std::string from = "s" + std::to_string((i + n) % 7), to = "s" + std::to_string((i * 3 + n) % 7);
        client.Do("SADD " + from + " " + std::to_string(i % 10));
        EXPECT_EQ(client.Do("SMOVE " + from + " " + to + " " + std::to_string(i % 10)).front(), ':');
        EXPECT_EQ(client.Do("SUNIONSTORE u" + std::to_string(n) + " " + from + " " + to).front(), ':');
        EXPECT_EQ(client.Do("SINTERCARD 2 " + from + " " + to).front(), ':');
        EXPECT_EQ(client.Do("ZUNIONSTORE z" + std::to_string(n) + " 2 " + from + " " + to).front(), ':');
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(Do("PING"), "+PONG");
}

TEST_F(SetTest, ReplicasAreToldWhichMembersWent) {
  const auto primary_config = std::move(config_);
  const auto primary = std::move(server_);
  const auto at_primary = std::move(c_);
  StartServer({"--replicaof", "127.0.0.1", std::to_string(primary->port())});
  c_ = Connect();
  ASSERT_TRUE(Eventually([&] { return Do("INFO replication").find("master_link_status:up") != std::string::npos; }));
  std::string many = "SADD s";
  for (int i = 0; i < 3000; ++i) many += " m" + std::to_string(i);
  EXPECT_EQ(at_primary->Do(many), ":3000");
  EXPECT_EQ(at_primary->Do("SPOP s").front(), '"');
  at_primary->Do("SPOP s 10");
  at_primary->Do("SPOP s 2500");
  EXPECT_EQ(at_primary->Do("SADD t a b"), ":2");
  EXPECT_EQ(WordsOf(at_primary->Do("SPOP t 9")).size(), 2u);
  EXPECT_EQ(at_primary->Do("SADD v a"), ":1");
  EXPECT_EQ(at_primary->Do("SPOP v"), "\"a\"");
  EXPECT_EQ(at_primary->Do("SUNIONSTORE w s none"), ":489");
  EXPECT_EQ(at_primary->Do("ZUNIONSTORE z 1 w"), ":489");
  EXPECT_EQ(WordsOf(at_primary->Do("ZMPOP 2 none z MAX COUNT 9")).size(), 19u);
  EXPECT_EQ(at_primary->Do("SET end 1"), "+OK");
  ASSERT_TRUE(Eventually([&] { return Do("EXISTS end") == ":1"; }));
  Expect({{"EXISTS t v", ":0"}, {"SCARD s", ":489"}, {"SCARD w", ":489"}});
  EXPECT_EQ(Do("ZRANGE z 0 -1"), at_primary->Do("ZRANGE z 0 -1"));
  for (const std::string& word : WordsOf(at_primary->Do("SMEMBERS s"))) EXPECT_EQ(Do("SISMEMBER s " + word), ":1");
  server_.reset();
}

}  // namespace
}  // namespace understudy::command
