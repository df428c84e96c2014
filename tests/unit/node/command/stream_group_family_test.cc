#include <gmock/gmock.h>

#include "tests/unit/node/command/stream_fixture.h"

namespace understudy::command {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

class StreamGroupFamilyTest : public StreamTest {
 protected:
  // One stream with ten entries, a group that has read none.
  void SetUp() override {
    StreamTest::SetUp();
    Fill("s", 10);
    Do("XGROUP CREATE s g 0");
  }
  // Ten entries as XREADGROUP gives them.
  static std::string Given(std::string_view ids) { return "[[\"s\", " + Ids(ids) + "]]"; }
};

const std::string kTypeError = "WRONGTYPE Operation against a key holding the wrong kind of value";

TEST_F(StreamGroupFamilyTest, GroupsAreMadeSetAndRemoved) {
  Expect({{"XGROUP CREATE s h $", "+OK"},
          {"XGROUP CREATE s i 5-0 ENTRIESREAD 5", "+OK"},
          {"XINFO GROUPS s",
           "[[\"name\", \"g\", \"consumers\", :0, \"pending\", :0, \"last-delivered-id\", \"0-0\", \"entries-read\", "
           "nil, \"lag\", :10], [\"name\", \"h\", \"consumers\", :0, \"pending\", :0, \"last-delivered-id\", \"10-0\", "
           "\"entries-read\", nil, \"lag\", :0], [\"name\", \"i\", \"consumers\", :0, \"pending\", :0, "
           "\"last-delivered-id\", \"5-0\", \"entries-read\", :5, \"lag\", :5]]"},
          {"XGROUP SETID s i 7 ENTRIESREAD 7", "+OK"},
          {"XREADGROUP GROUP i c STREAMS s >", Given("8-0 9-0 10-0")},
          {"XGROUP SETID s i $", "+OK"},
          {"XREADGROUP GROUP i c STREAMS s >", "nil"},
          {"XGROUP SETID s i -", "+OK"},
          {"XREADGROUP GROUP i c COUNT 1 STREAMS s >", Given("1-0")},
          {"XGROUP DESTROY s i", ":1"},
          {"XGROUP DESTROY s i", ":0"},
          {"XGROUP CREATE made g $ MKSTREAM", "+OK"},
          {"XLEN made", ":0"},
          {"TYPE made", "+stream"}});
  ExpectError({"XGROUP CREATE s g $", "XGROUP CREATE made g 0 MKSTREAM"},
              "BUSYGROUP Consumer Group name already exists");
  ExpectError({"XGROUP CREATE none g $", "XGROUP SETID none g $", "XGROUP DESTROY none g",
               "XGROUP CREATECONSUMER none g c", "XGROUP DELCONSUMER none g c"},
              "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the "
              "MKSTREAM option to create an empty stream automatically.");
  ExpectError({"XGROUP SETID s no $", "XGROUP CREATECONSUMER s no c", "XGROUP DELCONSUMER s no c"},
              "NOGROUP No such consumer group 'no' for key name 's'");
  ExpectError({"XGROUP CREATE s x oops", "XGROUP SETID s g oops", "XGROUP CREATE s x -"}, kBadId);
  ExpectError({"XGROUP CREATE s x $ ENTRIESREAD -2", "XGROUP SETID s g $ ENTRIESREAD -2"},
              "ERR value for ENTRIESREAD must be positive or -1");
  ExpectError({"XGROUP CREATE s x $ ENTRIESREAD x"}, "ERR value is not an integer or out of range");
  ExpectError({"XGROUP CREATE s x $ FOO", "XGROUP CREATE s x $ ENTRIESREAD",
               "XGROUP CREATE s x $ MKSTREAM MKSTREAM MKSTREAM MKSTREAM"},
              "ERR unknown subcommand or wrong number of arguments for 'CREATE'. Try XGROUP HELP.");
  ExpectError({"XGROUP SETID s g $ MKSTREAM"},
              "ERR unknown subcommand or wrong number of arguments for 'SETID'. Try XGROUP HELP.");
  Do("SET text x");
  ExpectError({"XGROUP CREATE text g $ MKSTREAM", "XGROUP DESTROY text g", "XACK text g 1", "XPENDING text g",
               "XCLAIM text g c 0 1", "XAUTOCLAIM text g c 0 0", "XINFO STREAM text", "XREAD STREAMS text 0",
               "XREADGROUP GROUP g c STREAMS text >", "XLEN text", "XDEL text 1", "XTRIM text MAXLEN 1",
               "XSETID text 1", "XRANGE text - +"},
              kTypeError);
  EXPECT_THAT(Do("XGROUP HELP"), HasSubstr("CREATECONSUMER <key>"));
}

TEST_F(StreamGroupFamilyTest, ConsumersAreMadeAndRemovedWithWhatIsPending) {
  Expect({{"XGROUP CREATECONSUMER s g c", ":1"},
          {"XGROUP CREATECONSUMER s g c", ":0"},
          {"XREADGROUP GROUP g c COUNT 3 STREAMS s >", Given("1-0 2-0 3-0")},
          {"XREADGROUP GROUP g d COUNT 1 STREAMS s >", Given("4-0")},
          {"XGROUP DELCONSUMER s g c", ":3"},
          {"XGROUP DELCONSUMER s g c", ":0"},
          {"XPENDING s g", "[:1, \"4-0\", \"4-0\", [[\"d\", \"1\"]]]"}});
}

TEST_F(StreamGroupFamilyTest, EachEntryGoesToOneConsumerUntilItIsAcknowledged) {
  Expect({{"XREADGROUP GROUP g a COUNT 2 STREAMS s >", Given("1-0 2-0")},
          {"XREADGROUP GROUP g b COUNT 2 STREAMS s >", Given("3-0 4-0")},
          {"XREADGROUP GROUP g a STREAMS s 0", Given("1-0 2-0")},
          {"XREADGROUP GROUP g a STREAMS s 1-0", Given("2-0")},
          {"XREADGROUP GROUP g a COUNT 1 STREAMS s 0", Given("1-0")},
          {"XREADGROUP GROUP g a STREAMS s 2-0", "[[\"s\", []]]"},
          {"XACK s g 1-0 3-0 9-0 1-0", ":2"},
          {"XACK s no 1-0", ":0"},
          {"XACK none g x", ":0"},
          {"XREADGROUP GROUP g a STREAMS s 0", Given("2-0")},
          {"XDEL s 2-0", ":1"},
          {"XREADGROUP GROUP g a STREAMS s 0", "[[\"s\", [[\"2-0\", nil]]]]"},
          {"XREADGROUP GROUP g b NOACK COUNT 1 STREAMS s >", Given("5-0")},
          {"XPENDING s g", "[:2, \"2-0\", \"4-0\", [[\"a\", \"1\"], [\"b\", \"1\"]]]"},
          {"XACK s g 2-0 4-0", ":2"},
          {"XPENDING s g", "[:0, nil, nil, nil]"}});
  ExpectError({"XACK s g 5-0 x"}, kBadId);
}

TEST_F(StreamGroupFamilyTest, ReadingChecksItsWords) {
  ExpectError({"XREADGROUP GROUP no c STREAMS s >"},
              "NOGROUP No such key 's' or consumer group 'no' in XREADGROUP with GROUP option");
  ExpectError({"XREADGROUP GROUP g c STREAMS s none > >"},
              "NOGROUP No such key 'none' or consumer group 'g' in XREADGROUP with GROUP option");
  ExpectError({"XREADGROUP GROUP g c STREAMS s s >"},
              "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified.");
  ExpectError({"XREAD COUNT 5 STREAMS s s 0"},
              "ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.");
  ExpectError({"XREADGROUP COUNT 5 NOACK STREAMS s s > >"}, "ERR Missing GROUP option for XREADGROUP");
  ExpectError({"XREAD GROUP g c STREAMS s >"},
              "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.");
  ExpectError({"XREAD NOACK STREAMS s 0"},
              "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.");
  ExpectError({"XREAD STREAMS s >"},
              "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.");
  for (const std::string id : {"$", "+"}) {
    ExpectError({"XREADGROUP GROUP g c STREAMS s " + id},
                "ERR The " + id + " ID is meaningless in the context of XREADGROUP: you want to read the history of "
                "this consumer by specifying a proper ID, or use the > ID to get new messages. The " + id +
                " ID would just return an empty result set.");
  }
  ExpectError({"XREAD STREAMS s x", "XREADGROUP GROUP g c STREAMS s x", "XREAD STREAMS s -"}, kBadId);
  ExpectError({"XREAD FOO STREAMS s 0", "XREAD COUNT 5 s 0", "XREAD s 0 COUNT", "XREADGROUP GROUP g c FOO s >"},
              "ERR syntax error");
  ExpectError({"XREAD COUNT x STREAMS s 0"}, "ERR value is not an integer or out of range");
  ExpectError({"XREAD BLOCK x STREAMS s 0"}, "ERR timeout is not an integer or out of range");
  ExpectError({"XREAD BLOCK -1 STREAMS s 0"}, "ERR timeout is negative");
}

TEST_F(StreamGroupFamilyTest, XreadGivesWhatIsBehindAnId) {
  Fill("t", 2);
  Expect({{"XREAD STREAMS s 8", "[[\"s\", " + Ids("9-0 10-0") + "]]"},
          {"XREAD COUNT 1 STREAMS s t 8-0 0",
           "[[\"s\", " + Ids("9-0") + "], [\"t\", " + Ids("1-0") + "]]"},
          {"XREAD STREAMS s t none 10 1 0", "[[\"t\", " + Ids("2-0") + "]]"},
          {"XREAD STREAMS s $", "nil"},
          {"XREAD STREAMS s none 10-0 $", "nil"},
          {"XREAD STREAMS s +", "[[\"s\", " + Ids("10-0") + "]]"},
          {"XREAD STREAMS none +", "nil"},
          {"XREAD COUNT 0 STREAMS s 9", "[[\"s\", " + Ids("10-0") + "]]"},
          {"XREAD COUNT -5 STREAMS s 9", "[[\"s\", " + Ids("10-0") + "]]"},
          {"XDEL s 10-0", ":1"},
          {"XREAD STREAMS s +", "[[\"s\", " + Ids("9-0") + "]]"},
          {"XREAD STREAMS s 9", "nil"}});
}

TEST_F(StreamGroupFamilyTest, Resp3HasMaps) {
  const auto client = Connect(3);
  EXPECT_EQ(client->Do("XREAD COUNT 1 STREAMS s 0"), "{\"s\": " + Ids("1-0") + "}");
  EXPECT_EQ(client->Do("XREADGROUP GROUP g c COUNT 1 STREAMS s >"), "{\"s\": " + Ids("1-0") + "}");
  EXPECT_EQ(client->Do("XREAD STREAMS s $"), "nil");
  EXPECT_EQ(client->Do("XINFO GROUPS s"),
            "[{\"name\": \"g\", \"consumers\": :1, \"pending\": :1, \"last-delivered-id\": \"1-0\", \"entries-read\": "
            ":1, \"lag\": :9}]");
  EXPECT_THAT(client->Do("XINFO STREAM s FULL COUNT 1"),
              MatchesRegex(".\"length\": :10, \"radix-tree-keys\": :1, \"radix-tree-nodes\": :[0-9]+, "
                           "\"last-generated-id\": \"10-0\", \"max-deleted-entry-id\": \"0-0\", \"entries-added\": "
                           ":10, \"recorded-first-entry-id\": \"1-0\", \"entries\": ..\"1-0\", .\"n\", \"1\"..., "
                           "\"groups\": ..\"name\": \"g\", \"last-delivered-id\": \"1-0\", \"entries-read\": :1, "
                           "\"lag\": :9, \"pel-count\": :1, \"pending\": ..\"1-0\", \"c\", :[0-9]+, :1.., "
                           "\"consumers\": ..\"name\": \"c\", \"seen-time\": :[0-9]+, \"active-time\": :[0-9]+, "
                           "\"pel-count\": :1, \"pending\": ..\"1-0\", :[0-9]+, :1......."));
}

TEST_F(StreamGroupFamilyTest, InfoTellsOfStreamsAndConsumers) {
  Do("XREADGROUP GROUP g c COUNT 12 STREAMS s >");
  Do("XGROUP CREATECONSUMER s g d");
  EXPECT_THAT(Do("XINFO STREAM s"),
              MatchesRegex(".\"length\", :10, .*\"groups\", :1, \"first-entry\", .\"1-0\", .\"n\", \"1\".., "
                           "\"last-entry\", .\"10-0\", .\"n\", \"10\"..."));
  EXPECT_THAT(Do("XINFO CONSUMERS s g"),
              MatchesRegex("..\"name\", \"c\", \"pending\", :10, \"idle\", :[0-9]+, \"inactive\", :[0-9]+., "
                           ".\"name\", \"d\", \"pending\", :0, \"idle\", :[0-9]+, \"inactive\", :-1.."));
  Do("XGROUP CREATE empty g 0 MKSTREAM");
  EXPECT_THAT(Do("XINFO STREAM empty"), HasSubstr("\"groups\", :1, \"first-entry\", nil, \"last-entry\", nil"));
  const auto entries = [&](const std::string& count) {
    const std::string reply = Do("XINFO STREAM s FULL" + count);
    return std::count(reply.begin(), reply.end(), 'n');
  };
  Do("XADD s 11-0 n 11");
  EXPECT_LT(entries(" COUNT 2"), entries(""));
  EXPECT_LT(entries(""), entries(" COUNT 0"));
  EXPECT_EQ(entries(""), entries(" COUNT -1"));
  ExpectError({"XINFO STREAM none", "XINFO GROUPS none", "XINFO CONSUMERS none g", "XINFO STREAM none FOO"},
              "ERR no such key");
  ExpectError({"XINFO CONSUMERS s no"}, "NOGROUP No such consumer group 'no' for key name 's'");
  ExpectError({"XINFO STREAM s FOO", "XINFO STREAM s FULL COUNT", "XINFO STREAM s FULL FOO 1"},
              "ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.");
  ExpectError({"XINFO STREAM s FULL COUNT x"}, "ERR value is not an integer or out of range");
  EXPECT_THAT(Do("XINFO HELP"), HasSubstr("GROUPS <key>"));
}

TEST_F(StreamGroupFamilyTest, PendingEntriesAreListedByRangeIdleTimeAndConsumer) {
  Do("XREADGROUP GROUP g a COUNT 3 STREAMS s >");
  Do("XREADGROUP GROUP g b COUNT 2 STREAMS s >");
  Do("XCLAIM s g a 0 2-0 IDLE 100000 RETRYCOUNT 7 JUSTID");
  const auto shown = [&](const std::string& words) {
    const std::string reply = Do("XPENDING s g " + words);
    std::string out;  // ID, consumer
    for (size_t at = reply.find("[\""); at != std::string::npos; at = reply.find("[\"", at + 1)) {
      out += reply.substr(at + 2, reply.find('"', at + 2) - at - 2) + " ";
    }
    return out;
  };
  EXPECT_EQ(shown("- + 10"), "1-0 2-0 3-0 4-0 5-0 ");
  EXPECT_EQ(shown("- + 2"), "1-0 2-0 ");
  EXPECT_EQ(shown("(1-0 4 10"), "2-0 3-0 4-0 ");
  EXPECT_EQ(shown("- + 10 b"), "4-0 5-0 ");
  EXPECT_EQ(shown("- + 10 nobody"), "");
  EXPECT_EQ(shown("- + 0"), "");
  EXPECT_EQ(shown("- + -1"), "");
  EXPECT_EQ(shown("IDLE 90000 - + 10"), "2-0 ");
  EXPECT_EQ(shown("IDLE 90000 - + 10 b"), "");
  EXPECT_THAT(Do("XPENDING s g IDLE 90000 - + 10"), MatchesRegex("..\"2-0\", \"a\", :1000[0-9][0-9], :7.."));
  ExpectError({"XPENDING s g -", "XPENDING s g - +", "XPENDING s g IDLE 5 - +", "XPENDING s g - + 1 a b c d"},
              "ERR syntax error");
  ExpectError({"XPENDING s g - + x", "XPENDING s g IDLE x - + 5"}, "ERR value is not an integer or out of range");
  ExpectError({"XPENDING s g x + 5"}, kBadId);
  ExpectError({"XPENDING s no", "XPENDING s no - + 5"}, "NOGROUP No such key 's' or consumer group 'no'");
  ExpectError({"XPENDING none g"}, "NOGROUP No such key 'none' or consumer group 'g'");
}

TEST_F(StreamGroupFamilyTest, ClaimsMoveEntriesThatHaveBeenIdle) {
  Do("XREADGROUP GROUP g a COUNT 5 STREAMS s >");
  Expect({{"XCLAIM s g b 100000 1-0", "[]"},
          {"XCLAIM s g b 0 1-0 2-0 9-0", Ids("1-0 2-0")},
          {"XCLAIM s g b 0 9-0 FORCE", Ids("9-0")},
          {"XCLAIM s g b 0 99-0 FORCE", "[]"},
          {"XCLAIM s g b -5 3-0 JUSTID", "[\"3-0\"]"},
          {"XCLAIM s g a 0 3-0 IDLE 100000 RETRYCOUNT 9", Ids("3-0")},
          {"XCLAIM s g b 90000 3-0 4-0 TIME 1000", Ids("3-0")},
          {"XDEL s 4-0", ":1"},
          {"XCLAIM s g b 0 4-0", "[]"},
          {"XPENDING s g", "[:5, \"1-0\", \"9-0\", [[\"a\", \"1\"], [\"b\", \"4\"]]]"},
          {"XCLAIM s g b 0 1-0 LASTID 8-0 JUSTID", "[\"1-0\"]"},
          {"XREADGROUP GROUP g b COUNT 1 STREAMS s >", Given("9-0")}});
  EXPECT_THAT(Do("XPENDING s g 3 3 1"), MatchesRegex("..\"3-0\", \"b\", :[0-9]{10,}, :10.."));
  EXPECT_THAT(Do("XPENDING s g 1 1 1"), HasSubstr(":2]"));
  ExpectError({"XCLAIM s g b x 1-0"}, "ERR Invalid min-idle-time argument for XCLAIM");
  ExpectError({"XCLAIM s g b 0 1-0 IDLE x"}, "ERR Invalid IDLE option argument for XCLAIM");
  ExpectError({"XCLAIM s g b 0 1-0 TIME x"}, "ERR Invalid TIME option argument for XCLAIM");
  ExpectError({"XCLAIM s g b 0 1-0 RETRYCOUNT x"}, "ERR Invalid RETRYCOUNT option argument for XCLAIM");
  ExpectError({"XCLAIM s g b 0 1-0 LASTID x"}, kBadId);
  ExpectError({"XCLAIM s g b 0 oops", "XCLAIM s g b 0 1-0 oops"}, "ERR Unrecognized XCLAIM option 'oops'");
  ExpectError({"XCLAIM s no b x 1-0"}, "NOGROUP No such key 's' or consumer group 'no'");
  ExpectError({"XCLAIM none g b 0 1-0"}, "NOGROUP No such key 'none' or consumer group 'g'");
}

TEST_F(StreamGroupFamilyTest, AutomaticClaimsGoOnWhereTheyStopped) {
  Do("XREADGROUP GROUP g a COUNT 6 STREAMS s >");
  Do("XDEL s 2-0 5-0");
  Expect({{"XAUTOCLAIM s g b 0 0 COUNT 3", "[\"4-0\", " + Ids("1-0 3-0") + ", [\"2-0\"]]"},
          {"XAUTOCLAIM s g b 0 4-0 JUSTID", "[\"0-0\", [\"4-0\", \"6-0\"], [\"5-0\"]]"},
          {"XAUTOCLAIM s g c 100000 -", "[\"0-0\", [], []]"},
          {"XAUTOCLAIM s g c 0 (4-0", "[\"0-0\", " + Ids("6-0") + ", []]"},
          {"XPENDING s g", "[:4, \"1-0\", \"6-0\", [[\"b\", \"3\"], [\"c\", \"1\"]]]"}});
  ExpectError({"XAUTOCLAIM s g b x 0"}, "ERR Invalid min-idle-time argument for XAUTOCLAIM");
  ExpectError({"XAUTOCLAIM s g b 0 x"}, kBadId);
  ExpectError({"XAUTOCLAIM s g b 0 0 COUNT 0", "XAUTOCLAIM s g b 0 0 COUNT x",
               "XAUTOCLAIM s g b 0 0 COUNT 9223372036854775807"},
              "ERR COUNT must be > 0");
  ExpectError({"XAUTOCLAIM s g b 0 0 FOO", "XAUTOCLAIM s g b 0 0 COUNT"}, "ERR syntax error");
  ExpectError({"XAUTOCLAIM s no b 0 0"}, "NOGROUP No such key 's' or consumer group 'no'");
}

TEST_F(StreamGroupFamilyTest, ConsumersAreMadeByWhateverNamesThem) {
  Do("XGROUP SETID s g $");
  Expect({{"XREADGROUP GROUP g a STREAMS s >", "nil"},
          {"XCLAIM s g b 0 1-0", "[]"},
          {"XAUTOCLAIM s g c 0 0", "[\"0-0\", [], []]"}});
  const std::string consumers = Do("XINFO CONSUMERS s g");
  for (const char* name : {"\"a\"", "\"b\"", "\"c\""}) EXPECT_THAT(consumers, HasSubstr(name));
}

TEST_F(StreamGroupFamilyTest, TheSameStreamMayBeNamedTwice) {
  Expect({{"XREADGROUP GROUP g a COUNT 9 STREAMS s s > >",
           "[[\"s\", " + Ids("1-0 2-0 3-0 4-0 5-0 6-0 7-0 8-0 9-0") + "], [\"s\", " + Ids("10-0") + "]]"},
          {"XREADGROUP GROUP g a STREAMS s s > 9", Given("10-0")}});
}

TEST_F(StreamGroupFamilyTest, KeysOfReadsAreFound) {
  Expect({{"COMMAND GETKEYS XREAD COUNT 5 STREAMS a b 0 0", "[\"a\", \"b\"]"},
          {"COMMAND GETKEYS XREADGROUP GROUP g c STREAMS streams >", "[\"streams\"]"},
          {"COMMAND GETKEYS XGROUP CREATE a g 0", "[\"a\"]"},
          {"COMMAND GETKEYS XINFO STREAM a", "[\"a\"]"}});
}

}  // namespace
}  // namespace understudy::command
