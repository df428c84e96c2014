#include <gmock/gmock.h>

#include "tests/unit/node/command/stream_fixture.h"

namespace understudy::command {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

using StreamFamilyTest = StreamTest;

TEST_F(StreamFamilyTest, EntriesAreAddedCountedAndRead) {
  Expect({{"XADD s 1-1 a 1 b two", "\"1-1\""},
          {"XADD s 1-2 a 3 b four", "\"1-2\""},
          {"XADD s 5 other x", "\"5-0\""},
          {"XLEN s", ":3"},
          {"XLEN none", ":0"},
          {"TYPE s", "+stream"},
          {"OBJECT ENCODING s", "\"stream\""},
          {"XRANGE s - +", "[[\"1-1\", [\"a\", \"1\", \"b\", \"two\"]], [\"1-2\", [\"a\", \"3\", \"b\", \"four\"]], "
                           "[\"5-0\", [\"other\", \"x\"]]]"},
          {"XRANGE s 1-2 1-2", "[[\"1-2\", [\"a\", \"3\", \"b\", \"four\"]]]"},
          {"XRANGE none - +", "[]"},
          {"XRANGE s + -", "[]"}});
  EXPECT_GT(std::stoll(Do("MEMORY USAGE s").substr(1)), 100);
}

TEST_F(StreamFamilyTest, RangesMayExcludeTheirEndsCountAndGoBackward) {
  Fill("s", 5);
  Expect({{"XRANGE s 2 4", Ids("2-0 3-0 4-0")},
          {"XRANGE s (2 (4", Ids("3-0 4-0")},
          {"XRANGE s (2-0 4-0", Ids("3-0 4-0")},
          {"XRANGE s 2-0 (4-0", Ids("2-0 3-0")},
          {"XRANGE s - + COUNT 2", Ids("1-0 2-0")},
          {"XREVRANGE s + - COUNT 2", Ids("5-0 4-0")},
          {"XREVRANGE s 4 2", Ids("4-0 3-0 2-0")},
          {"XREVRANGE s (4-0 (2-0", Ids("3-0")},
          {"XREVRANGE none + -", "[]"},
          {"XRANGE s - + COUNT 0", "nil"},
          {"XRANGE s - + COUNT -1", "nil"},
          {"XRANGE none - + COUNT 0", "[]"}});
  ExpectError({"XRANGE s x +", "XRANGE s - x", "XRANGE s (- +", "XRANGE s 1-2-3 +"}, kBadId);
  ExpectError({"XRANGE s (18446744073709551615-18446744073709551615 +"}, "ERR invalid start ID for the interval");
  ExpectError({"XRANGE s - (0-0"}, "ERR invalid end ID for the interval");
  ExpectError({"XRANGE s - + COUNT", "XRANGE s - + LIMIT 5", "XRANGE s - + COUNT 5 x"}, "ERR syntax error");
  ExpectError({"XRANGE s - + COUNT x"}, "ERR value is not an integer or out of range");
}

TEST_F(StreamFamilyTest, TheStreamChoosesIdsOrPartsOfThem) {
  const std::string id = Do("XADD s * a 1");
  EXPECT_THAT(id, testing::MatchesRegex("\"[0-9]{13}-0\""));
  Expect({{"XADD t 7-* a 1", "\"7-0\""},
          {"XADD t 7-* a 1", "\"7-1\""},
          {"XADD t 8-* a 1", "\"8-0\""},
          {"XADD zero 0-* a 1", "\"0-1\""},
          {"XADD late 18446744073709551615-5 a 1", "\"18446744073709551615-5\""},
          {"XADD late * a 1", "\"18446744073709551615-6\""},
          {"XADD late 18446744073709551615-18446744073709551615 a 1", "\"18446744073709551615-18446744073709551615\""}});
  ExpectError({"XADD late * a 1", "XADD late 5-5 a 1"},
              "ERR The stream has exhausted the last possible ID, unable to add more items");
  ExpectError({"XADD t 8-0 a 1", "XADD t 7-* a 1", "XADD t 7-9 a 1"},
              "ERR The ID specified in XADD is equal or smaller than the target stream top item");
  ExpectError({"XADD none 0-0 a 1", "XADD none 0 a 1", "XADD none NOMKSTREAM 0-0 a 1"},
              "ERR The ID specified in XADD must be greater than 0-0");
  ExpectError({"XADD none 1-x a 1", "XADD none + a 1", "XADD none FOO a 1", "XADD none *-1 a 1"}, kBadId);
  EXPECT_EQ(Do("EXISTS none"), ":0");
}

TEST_F(StreamFamilyTest, AddingChecksItsWordsInOrder) {
  Expect({{"XADD none NOMKSTREAM 1-1 a 1", "nil"}, {"EXISTS none", ":0"}, {"SET text x", "+OK"}});
  const std::string arity = "ERR wrong number of arguments for 'xadd' command";
  ExpectError({"XADD s * a", "XADD s 1-1 a 1 b", "XADD s 0-0 a b c", "XADD s MAXLEN 5 1-1", "XADD s NOMKSTREAM MAXLEN 5",
               "XADD s MAXLEN ~ 5 NOMKSTREAM"},
              arity);
  ExpectError({"XADD s MAXLEN x * a 1", "XADD s MAXLEN ~ x * a 1", "XADD s MAXLEN ~ 5 LIMIT x * a 1"},
              "ERR value is not an integer or out of range");
  ExpectError({"XADD s MAXLEN -1 * a 1"}, "ERR The MAXLEN argument must be >= 0.");
  ExpectError({"XADD s MINID x * a 1", "XADD s MINID - * a 1"}, kBadId);
  ExpectError({"XADD s MAXLEN ~ 5 LIMIT -1 * a 1"}, "ERR The LIMIT argument must be >= 0.");
  ExpectError({"XADD s MAXLEN 5 MINID 5 * a 1"},
              "ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
  ExpectError({"XADD s LIMIT 5 * a 1"},
              "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
  ExpectError({"XADD s MAXLEN 5 LIMIT 5 * a 1", "XADD s MAXLEN = 5 LIMIT 5 * a 1", "XADD s LIMIT 0 * a 1"},
              "ERR syntax error, LIMIT cannot be used without the special ~ option");
  ExpectError({"XADD text * a 1"}, "WRONGTYPE Operation against a key holding the wrong kind of value");
  EXPECT_EQ(Do("EXISTS s"), ":0");
}

TEST_F(StreamFamilyTest, AddingMayTrim) {
  Fill("s", 10);
  Expect({{"XADD s MAXLEN 5 11-0 n 11", "\"11-0\""},
          {"XRANGE s - +", Ids("7-0 8-0 9-0 10-0 11-0")},
          {"XADD s MINID = 10 12-0 n 12", "\"12-0\""},
          {"XRANGE s - +", Ids("10-0 11-0 12-0")},
          {"XADD s MAXLEN ~ 1 13-0 n 13", "\"13-0\""},
          {"XLEN s", ":4"},
          {"XADD s MAXLEN 0 14-0 n 14", "\"14-0\""},
          {"XLEN s", ":0"},
          {"EXISTS s", ":1"},
          {"XADD s 15-0 n 15", "\"15-0\""}});
}

TEST_F(StreamFamilyTest, TrimmingIsExactOrByWholeNodesUpToALimit) {
  Do("CONFIG SET stream-node-max-entries 10");
  Fill("s", 100);
  Expect({{"XTRIM s MAXLEN ~ 55", ":40"},
          {"XTRIM s MAXLEN ~ 55", ":0"},
          {"XTRIM s MAXLEN = 55", ":5"},
          {"XTRIM s MINID ~ 65", ":15"},
          {"XTRIM s MINID 65", ":4"},
          {"XTRIM s MAXLEN ~ 0 LIMIT 9", ":6"},
          {"XTRIM s MAXLEN ~ 0 LIMIT 10", ":10"},
          {"XTRIM s MAXLEN ~ 0 LIMIT 0", ":20"},
          {"XLEN s", ":0"},
          {"XTRIM none MAXLEN 5", ":0"}});
  ExpectError({"XTRIM s MAXLEN 5 FOO", "XTRIM s NOMKSTREAM MAXLEN 5", "XTRIM s FOO 5"}, "ERR syntax error");
  ExpectError({"XTRIM s LIMIT 0"}, "ERR syntax error, XTRIM must be called with a trimming strategy");
  ExpectError({"XTRIM s LIMIT 1"}, "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
  ExpectError({"XTRIM s MAXLEN 5 LIMIT 5"}, "ERR syntax error, LIMIT cannot be used without the special ~ option");
}

TEST_F(StreamFamilyTest, RemovedEntriesAreRememberedAndTheKeyStays) {
  Fill("s", 5);
  Expect({{"XDEL s 2-0 4 9-9 2-0", ":2"},
          {"XDEL s 2-0", ":0"},
          {"XDEL none x", ":0"},
          {"XRANGE s - +", Ids("1-0 3-0 5-0")},
          {"XDEL s 1-0 3-0 5-0", ":3"},
          {"XLEN s", ":0"},
          {"TYPE s", "+stream"},
          {"XADD s 5-* n 1", "\"5-1\""}});
  ExpectError({"XDEL s 5-1 x"}, kBadId);
  EXPECT_EQ(Do("XLEN s"), ":1");
  EXPECT_THAT(Do("XINFO STREAM s"), HasSubstr("\"max-deleted-entry-id\", \"5-0\", \"entries-added\", :6"));
}

TEST_F(StreamFamilyTest, WhatAStreamRemembersIsSet) {
  Fill("s", 3);
  Expect({{"XSETID s 9-9", "+OK"}, {"XADD s 9-* a 1", "\"9-10\""}, {"XDEL s 9-10", ":1"}});
  Expect({{"XSETID s 12-0 ENTRIESADDED 100 MAXDELETEDID 11-0", "+OK"}});
  EXPECT_THAT(Do("XINFO STREAM s"), HasSubstr("\"12-0\", \"max-deleted-entry-id\", \"11-0\", \"entries-added\", :100"));
  ExpectError({"XSETID none 1-1"}, "ERR no such key");
  ExpectError({"XSETID none 1-1 MAXDELETEDID 2-2"},
              "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id");
  ExpectError({"XSETID s 10-0"}, "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id");
  ExpectError({"XSETID s 12-0 ENTRIESADDED 2"},
              "ERR The entries_added specified in XSETID is smaller than the target stream length");
  ExpectError({"XSETID s 12-0 ENTRIESADDED -1"}, "ERR entries_added must be positive");
  ExpectError({"XSETID s 12-0 ENTRIESADDED x"}, "ERR value is not an integer or out of range");
  ExpectError({"XSETID s x", "XSETID s $", "XSETID s 12-0 MAXDELETEDID x"}, kBadId);
  ExpectError({"XSETID s 12-0 FOO 1", "XSETID s 12-0 ENTRIESADDED"}, "ERR syntax error");
  Fill("t", 3);
  ExpectError({"XSETID t 2-0"}, "ERR The ID specified in XSETID is smaller than the target stream top item");
}

TEST_F(StreamFamilyTest, ManyEntriesInManyNodesComeBackFromRangesDumpAndCopy) {
  Do("CONFIG SET stream-node-max-entries 7");
  std::string all;
  for (int i = 1; i <= 300; ++i) all += std::to_string(i) + "-0 ";
  Fill("s", 300);
  EXPECT_EQ(Do("XRANGE s - +"), Ids(all));
  Expect({{"COPY s t", ":1"}, {"XDEL s 150-0", ":1"}, {"XLEN t", ":300"}});
  EXPECT_EQ(Do("XRANGE t - +"), Ids(all));
  Expect({{"RENAME t u", "+OK"}, {"XLEN u", ":300"}, {"XRANGE s 149 151", Ids("149-0 151-0")}});
}

TEST_F(StreamFamilyTest, WatchIsToldOfEntriesButNotOfGroups) {
  Fill("s", 2);
  Do("XGROUP CREATE s g 0");
  const auto other = Connect();
  const auto exec_after = [&](const std::string& command) {
    Do("WATCH s");
    other->Do(command);
    Do("MULTI");
    Do("PING");
    return Do("EXEC");
  };
  for (const char* command : {"XADD s 3-0 a 1", "XDEL s 3-0", "XTRIM s MAXLEN 1", "DEL s"}) {
    EXPECT_EQ(exec_after(command), "nil") << command;
    if (std::string_view(command) == "DEL s") break;
  }
  Fill("s", 2);
  for (const char* command : {"XGROUP CREATE s g 0", "XREADGROUP GROUP g c COUNT 1 STREAMS s >", "XACK s g 1-0",
                              "XDEL s 9-9", "XTRIM s MAXLEN 100", "XADD s 1-1 a 1", "XSETID s 10-0"}) {
    EXPECT_EQ(exec_after(command), "[+PONG]") << command;
  }
}

TEST_F(StreamFamilyTest, ListenersAreTold) {
  Do("CONFIG SET notify-keyspace-events KEAn");
  const auto listener = Connect(3);
  listener->Do("PSUBSCRIBE __keyevent*");
  const auto events = [&](const std::vector<std::string>& commands) {
    for (const std::string& command : commands) Do(command);
    Do("PUBLISH __keyevent_end x");
    std::string seen;
    for (;;) {
      const std::string message = listener->Read();
      if (message.find("__keyevent@0__:") == std::string::npos) return seen;
      const size_t at = message.find("__keyevent@0__:") + 15;
      seen += message.substr(at, message.find('"', at) - at) + " ";
    }
  };
  EXPECT_EQ(events({"XADD s 1-0 a 1", "XADD s 2-0 a 1", "XADD s MAXLEN 1 3-0 a 1", "XADD s MAXLEN 9 4-0 a 1"}),
            "new xadd xadd xadd xtrim xadd ");
  EXPECT_EQ(events({"XTRIM s MAXLEN 5", "XTRIM s MAXLEN 1", "XDEL s 1-0", "XDEL s 4-0", "XSETID s 9-0"}),
            "xtrim xdel xsetid ");
  EXPECT_EQ(events({"XGROUP CREATE s g $", "XGROUP CREATE s g $", "XGROUP CREATE t g $ MKSTREAM"}),
            "xgroup-create new xgroup-create ");
  EXPECT_EQ(events({"XGROUP SETID s g 0", "XGROUP CREATECONSUMER s g a", "XGROUP CREATECONSUMER s g a",
                    "XREADGROUP GROUP g a STREAMS s >", "XREADGROUP GROUP g b STREAMS s >", "XCLAIM s g c 0 1-0",
                    "XAUTOCLAIM s g d 0 0", "XACK s g 1-0"}),
            "xgroup-setid xgroup-createconsumer xgroup-createconsumer xgroup-createconsumer xgroup-createconsumer ");
  EXPECT_EQ(events({"XGROUP DELCONSUMER s g a", "XGROUP DELCONSUMER s g a", "XGROUP DESTROY s g", "XGROUP DESTROY s g"}),
            "xgroup-delconsumer xgroup-destroy ");
}

TEST_F(StreamFamilyTest, DamagedPayloadsAreRefusedOrMakeAStreamThatWorks) {
  Fill("s", 4);
  Do("XGROUP CREATE s g 0");
  Do("XREADGROUP GROUP g c COUNT 3 STREAMS s >");
  Do("XDEL s 2-0");
  const std::string reply = Do("DUMP s");
  const std::string body = reply.substr(1, reply.size() - 12);
  ASSERT_EQ(body[0], '\x15');
  int made = 0;
  for (size_t at = 1; at < body.size(); ++at) {
    for (const int flip : {1, 0x80, 0xff}) {
      std::string damaged = body;
      damaged[at] = static_cast<char>(damaged[at] ^ flip);
      const std::string answer =
          c_->Do({"RESTORE", "d", "0", damaged + std::string("\x0b\x00", 2) + std::string(8, '\0'), "REPLACE"});
      if (answer != "+OK") {
        EXPECT_EQ(answer, "-ERR Bad data format");
        continue;
      }
      ++made;
      EXPECT_THAT(Do("XINFO STREAM d FULL COUNT 0"), StartsWith("["));
      EXPECT_THAT(Do("XRANGE d - +"), StartsWith("["));
      EXPECT_THAT(Do("XREVRANGE d + -"), StartsWith("["));
      Do("XREADGROUP GROUP g other STREAMS d >");
      Do("XAUTOCLAIM d g other 5 0");
      Do("XPENDING d g IDLE 1 - + 10");
      Do("XINFO CONSUMERS d g");
      Do("XADD d * a 1");
      Do("XTRIM d MAXLEN 1");
      Do("XDEL d 4-0");
    }
  }
  EXPECT_GT(made, 10);
  EXPECT_EQ(Do("PING"), "+PONG");
}

}  // namespace
}  // namespace understudy::command
