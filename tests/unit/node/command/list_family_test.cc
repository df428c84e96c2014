#include <gmock/gmock.h>

#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

const std::string kWrongType = "WRONGTYPE Operation against a key holding the wrong kind of value";
const std::string kNotInteger = "ERR value is not an integer or out of range";

class ListTest : public ServerTest {
 protected:
  // A list `key` of exactly these elements.
  void Make(const std::string& key, const std::string& elements) {
    Do("DEL " + key);
    ASSERT_EQ(Do("RPUSH " + key + " " + elements).front(), ':');
  }
  std::string All(const std::string& key) { return Do("LRANGE " + key + " 0 -1"); }
};

TEST_F(ListTest, ElementsArePutAtBothEnds) {
  Expect({{"LPUSH l a b", ":2"},
          {"RPUSH l 12 -7", ":4"},
          {"LRANGE l 0 -1", "[\"b\", \"a\", \"12\", \"-7\"]"},
          {"TYPE l", "+list"},
          {"LLEN l", ":4"},
          {"LLEN none", ":0"},
          {"LPUSHX l c", ":5"},
          {"RPUSHX l d e", ":7"},
          {"LPUSHX none c", ":0"},
          {"RPUSHX none c", ":0"},
          {"EXISTS none", ":0"},
          {"LRANGE l 0 -1", "[\"c\", \"b\", \"a\", \"12\", \"-7\", \"d\", \"e\"]"}});
}

TEST_F(ListTest, DebugObjectTellsOfNodes) {
  Expect({{"CONFIG SET list-max-listpack-size 2 list-compress-depth 3", "+OK"}, {"RPUSH l 1 2 3 4 5", ":5"}});
  EXPECT_THAT(Do("DEBUG OBJECT l"), ::testing::HasSubstr(" ql_nodes:3 ql_avg_node:1.67 ql_listpack_max:2 ql_compressed:1"));
  Expect({{"CONFIG SET list-compress-depth 0", "+OK"}, {"CONFIG GET list-compress-depth", "[\"list-compress-depth\", \"0\"]"}});
  EXPECT_THAT(Do("DEBUG OBJECT l"), ::testing::HasSubstr(" ql_compressed:0"));
  Expect({{"CONFIG SET list-max-listpack-size -2", "+OK"}, {"RPUSH small 1", ":1"}});
  EXPECT_THAT(Do("DEBUG OBJECT small"), ::testing::Not(::testing::HasSubstr("ql_nodes")));
}

TEST_F(ListTest, RangesAndIndexesCountFromEitherEnd) {
  Make("l", "a b c d");
  Expect({{"LRANGE l 1 2", "[\"b\", \"c\"]"},
          {"LRANGE l -2 100", "[\"c\", \"d\"]"},
          {"LRANGE l -100 0", "[\"a\"]"},
          {"LRANGE l 3 1", "[]"},
          {"LRANGE l 4 10", "[]"},
          {"LRANGE l 0 -5", "[]"},
          {"LRANGE l -9223372036854775808 9223372036854775807", "[\"a\", \"b\", \"c\", \"d\"]"},
          {"LRANGE none 0 -1", "[]"},
          {"LINDEX l 0", "\"a\""},
          {"LINDEX l -1", "\"d\""},
          {"LINDEX l 4", "nil"},
          {"LINDEX l -5", "nil"},
          {"LINDEX l -9223372036854775808", "nil"},
          {"LINDEX none 0", "nil"},
          {"LINDEX none x", "nil"},
          {"LSET l 1 B", "+OK"},
          {"LSET l -1 7", "+OK"},
          {"LRANGE l 0 -1", "[\"a\", \"B\", \"c\", \"7\"]"}});
  ExpectError({"LRANGE l x 0", "LRANGE l 0 x", "LRANGE none 0 x", "LINDEX l x", "LSET l x v"}, kNotInteger);
  ExpectError({"LSET l 4 v", "LSET l -5 v"}, "ERR index out of range");
  ExpectError({"LSET none 0 v", "LSET none x v"}, "ERR no such key");
}

TEST_F(ListTest, ElementsAreTakenOffTheEnds) {
  Make("l", "a b c d e f");
  Expect({{"LPOP l", "\"a\""},
          {"RPOP l", "\"f\""},
          {"LPOP l 2", "[\"b\", \"c\"]"},
          {"RPOP l 0", "[]"},
          {"RPOP l 5", "[\"e\", \"d\"]"},
          {"EXISTS l", ":0"},
          {"LPOP l", "nil"},
          {"LPOP l 2", "nil"},
          {"RPOP l 0", "nil"}});
  ExpectError({"LPOP l -1", "RPOP l -9", "LPOP l x", "RPOP l 1.5"}, "ERR value is out of range, must be positive");
  ExpectError({"LPOP l 1 1"}, "ERR wrong number of arguments for 'lpop' command");
  ExpectError({"RPOP l 1 1"}, "ERR wrong number of arguments for 'rpop' command");
  c_->SendRaw("LPOP none\r\nLPOP none 1\r\n");
  EXPECT_EQ(c_->ReadRaw(10), "$-1\r\n*-1\r\n");
  auto client = Connect(3);
  client->SendRaw("LPOP none\r\nLPOP none 1\r\n");
  EXPECT_EQ(client->ReadRaw(6), "_\r\n_\r\n");
}

TEST_F(ListTest, ElementsAreRemovedByRangeAndByValue) {
  Make("l", "a b a c a d");
  Expect({{"LREM l 1 a", ":1"},
          {"LREM l -1 a", ":1"},
          {"LRANGE l 0 -1", "[\"b\", \"a\", \"c\", \"d\"]"},
          {"LREM l 0 none", ":0"},
          {"LREM none 0 a", ":0"},
          {"RPUSH l a 5 a 5", ":8"},
          {"LREM l 0 5", ":2"},
          {"LREM l -9223372036854775808 a", ":3"},
          {"LRANGE l 0 -1", "[\"b\", \"c\", \"d\"]"},
          {"LTRIM l 0 -1", "+OK"},
          {"LTRIM l 1 100", "+OK"},
          {"LRANGE l 0 -1", "[\"c\", \"d\"]"},
          {"LTRIM l -1 -1", "+OK"},
          {"LRANGE l 0 -1", "[\"d\"]"},
          {"LTRIM l 1 0", "+OK"},
          {"EXISTS l", ":0"},
          {"LTRIM none 0 1", "+OK"},
          {"RPUSH l a a", ":2"},
          {"LREM l 0 a", ":2"},
          {"EXISTS l", ":0"}});
  ExpectError({"LREM l x a", "LTRIM l x 1", "LTRIM none 1 x"}, kNotInteger);
}

TEST_F(ListTest, ElementsArePutBesideOthers) {
  Make("l", "a b b");
  Expect({{"LINSERT l BEFORE b x", ":4"},
          {"LINSERT l after b 9", ":5"},
          {"LRANGE l 0 -1", "[\"a\", \"x\", \"b\", \"9\", \"b\"]"},
          {"LINSERT l BEFORE none x", ":-1"},
          {"LINSERT none BEFORE a x", ":0"}});
  ExpectError({"LINSERT l BESIDE b x", "LINSERT none x b x"}, "ERR syntax error");
}

TEST_F(ListTest, PositionsOfAValue) {
  Make("l", "a b c 1 2 3 c c");
  Expect({{"LPOS l c", ":2"},
          {"LPOS l none", "nil"},
          {"LPOS none c", "nil"},
          {"LPOS none c COUNT 1", "[]"},
          {"LPOS l 1", ":3"},
          {"LPOS l c RANK 2", ":6"},
          {"LPOS l c RANK -1", ":7"},
          {"LPOS l c RANK 4", "nil"},
          {"LPOS l c COUNT 0", "[:2, :6, :7]"},
          {"LPOS l c COUNT 2 RANK -1", "[:7, :6]"},
          {"LPOS l c RANK 2 COUNT 5", "[:6, :7]"},
          {"LPOS l c MAXLEN 2", "nil"},
          {"LPOS l c COUNT 0 MAXLEN 7", "[:2, :6]"},
          {"LPOS l none COUNT 3", "[]"},
          {"LPOS l c RANK -9223372036854775807", "nil"}});
  ExpectError({"LPOS l c RANK 0"},
              "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to "
              "start from the end of the list");
  ExpectError({"LPOS l c RANK x"}, kNotInteger);
  ExpectError({"LPOS l c RANK -9223372036854775808"},
              "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
  ExpectError({"LPOS l c COUNT -1", "LPOS l c COUNT x"}, "ERR COUNT can't be negative");
  ExpectError({"LPOS l c MAXLEN -1", "LPOS l c MAXLEN x"}, "ERR MAXLEN can't be negative");
  ExpectError({"LPOS l c RANK", "LPOS l c OOPS 1"}, "ERR syntax error");
}

TEST_F(ListTest, AnElementMovesToAnotherListOrRoundItsOwn) {
  Make("l", "a b c");
  Expect({{"LMOVE l m LEFT RIGHT", "\"a\""},
          {"LMOVE l m right left", "\"c\""},
          {"LRANGE m 0 -1", "[\"c\", \"a\"]"},
          {"RPOPLPUSH l m", "\"b\""},
          {"EXISTS l", ":0"},
          {"LMOVE l m LEFT LEFT", "nil"},
          {"RPOPLPUSH none new", "nil"},
          {"EXISTS new", ":0"},
          {"LRANGE m 0 -1", "[\"b\", \"c\", \"a\"]"},
          {"LMOVE m m LEFT RIGHT", "\"b\""},
          {"RPOPLPUSH m m", "\"b\""},
          {"LMOVE m m LEFT LEFT", "\"b\""},
          {"LRANGE m 0 -1", "[\"b\", \"c\", \"a\"]"},
          {"RPUSH one 1", ":1"},
          {"LMOVE one one LEFT RIGHT", "\"1\""},
          {"LLEN one", ":1"},
          {"SET s text", "+OK"}});
  ExpectError({"LMOVE m n UP LEFT", "LMOVE m n LEFT UP"}, "ERR syntax error");
  ExpectError({"LMOVE s m LEFT LEFT", "LMOVE m s LEFT LEFT", "RPOPLPUSH s m", "RPOPLPUSH m s"}, kWrongType);
  Expect({{"LRANGE m 0 -1", "[\"b\", \"c\", \"a\"]"}, {"LMOVE none s LEFT LEFT", "nil"}});
}

TEST_F(ListTest, TheFirstListThatHasElementsIsTakenFrom) {
  Make("l", "a b c");
  Make("m", "1 2");
  Expect({{"LMPOP 3 none l m LEFT", "[\"l\", [\"a\"]]"},
          {"LMPOP 2 l m RIGHT COUNT 10", "[\"l\", [\"c\", \"b\"]]"},
          {"EXISTS l", ":0"},
          {"LMPOP 2 l m right count 1", "[\"m\", [\"2\"]]"},
          {"LMPOP 1 l LEFT", "nil"},
          {"SET s text", "+OK"}});
  ExpectError({"LMPOP 2 s m LEFT", "LMPOP 2 none s LEFT"}, kWrongType);
  Expect({{"LMPOP 2 m s LEFT", "[\"m\", [\"1\"]]"}});
  ExpectError({"LMPOP 0 l LEFT", "LMPOP -1 l LEFT", "LMPOP x l LEFT"}, "ERR numkeys should be greater than 0");
  ExpectError({"LMPOP 1 l LEFT COUNT 0", "LMPOP 1 l LEFT COUNT -1", "LMPOP 1 l LEFT COUNT x"},
              "ERR count should be greater than 0");
  ExpectError({"LMPOP 2 l LEFT", "LMPOP 1 l UP", "LMPOP 1 l LEFT COUNT", "LMPOP 1 l LEFT OOPS 1",
               "LMPOP 1 l LEFT COUNT 1 COUNT 1", "LMPOP 9223372036854775807 l LEFT"},
              "ERR syntax error");
  c_->SendRaw("LMPOP 1 none LEFT\r\n");
  EXPECT_EQ(c_->ReadRaw(5), "*-1\r\n");
}

TEST_F(ListTest, EveryCommandRefusesAnotherType) {
  Do("SET s text");
  ExpectError({"LPUSH s a", "RPUSH s a", "LPUSHX s a", "RPUSHX s a", "LINSERT s BEFORE a b", "LSET s 0 a", "LSET s x a",
               "LTRIM s 0 1", "LREM s 0 a", "LLEN s", "LINDEX s 0", "LINDEX s x", "LRANGE s 0 -1", "LPOS s a", "LPOP s",
               "RPOP s", "LPOP s 0", "LMPOP 1 s LEFT"},
              kWrongType);
  EXPECT_EQ(Do("GET s"), "\"text\"");
}

TEST_F(ListTest, LargeListsAreQuicklistsAndComeBack) {
  for (int i = 0; i < 3000; ++i) Do("RPUSH l element" + std::to_string(i));
  Expect({{"OBJECT ENCODING l", "\"quicklist\""},
          {"LINDEX l 1500", "\"element1500\""},
          {"LPOS l element2999", ":2999"},
          {"LRANGE l 1998 2000", "[\"element1998\", \"element1999\", \"element2000\"]"},
          {"LMOVE l m RIGHT LEFT", "\"element2999\""},
          {"LTRIM l 10 12", "+OK"},
          {"LRANGE l 0 -1", "[\"element10\", \"element11\", \"element12\"]"},
          {"OBJECT ENCODING l", "\"listpack\""}});
}

TEST_F(ListTest, ManyClientsMoveElementsBetweenShardsWithoutLosingAny) {
  c_.reset();
  server_.reset();
  StartServer({"--workers", "2"});
  c_ = Connect();
  constexpr int kLists = 8, kElements = 50;
  for (int i = 0; i < kLists * kElements; ++i) Do("RPUSH l" + std::to_string(i % kLists) + " " + std::to_string(i));
  std::vector<std::thread> movers;
  for (int t = 0; t < 4; ++t) {
    movers.emplace_back([&, t] {
      RespClient c(server_->port());
      for (int i = 0; i < 1000; ++i) {
        c.Do("LMOVE l" + std::to_string((i + t) % kLists) + " l" + std::to_string((i * 7 + t * 3) % kLists) + " LEFT RIGHT");
      }
    });
  }
  for (auto& t : movers) t.join();
  int64_t left = 0;
  for (int i = 0; i < kLists; ++i) left += std::stoll(Do("LLEN l" + std::to_string(i)).substr(1));
  EXPECT_EQ(left, kLists * kElements);
}

}  // namespace
}  // namespace understudy::command
