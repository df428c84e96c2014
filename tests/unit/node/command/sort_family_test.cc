#include "tests/unit/node/command/reply_words.h"
#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

class SortTest : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    Do("SADD s 3 10 1 2");
    Do("ZADD z 1 c 2 a 3 b");
    Do("MSET w_1 4 w_2 3 w_3 2 w_10 1 n_1 one n_3 three");
    Do("HSET h_1 f 9 name eins");
    Do("HSET h_2 f 8 name 22");
  }
};

TEST_F(SortTest, ElementsAreSortedAsNumbersOrAsTexts) {
  Expect({{"SORT s", "[\"1\", \"2\", \"3\", \"10\"]"},
          {"SORT s DESC", "[\"10\", \"3\", \"2\", \"1\"]"},
          {"SORT s ALPHA", "[\"1\", \"10\", \"2\", \"3\"]"},
          {"SORT s ALPHA DESC LIMIT 1 2", "[\"2\", \"10\"]"},
          {"SORT s LIMIT 1 2", "[\"2\", \"3\"]"},
          {"SORT s LIMIT -5 2", "[\"1\", \"2\"]"},
          {"SORT s LIMIT 2 -1", "[\"3\", \"10\"]"},
          {"SORT s LIMIT 9 1", "[]"},
          {"SORT z ALPHA", "[\"a\", \"b\", \"c\"]"},
          {"SORT none", "[]"},
          {"SORT_RO s DESC LIMIT 0 1", "[\"10\"]"}});
  ExpectError({"SORT z"}, "ERR One or more scores can't be converted into double");
  ExpectError({"SORT s x", "SORT s LIMIT 1", "SORT s BY", "SORT s STORE", "SORT_RO s STORE d"}, "ERR syntax error");
  ExpectError({"SORT s LIMIT x 1", "SORT s LIMIT 1 x"}, "ERR value is not an integer or out of range");
  ExpectError({"SORT w_1", "SORT h_1", "SORT_RO h_1"},
              "WRONGTYPE Operation against a key holding the wrong kind of value");
}

TEST_F(SortTest, OtherKeysSayTheOrderAndWhatIsShown) {
  Expect({{"SORT s BY w_*", "[\"10\", \"3\", \"2\", \"1\"]"},
          {"SORT s BY h_*->f", "[\"10\", \"3\", \"2\", \"1\"]"},
          {"SORT s BY n_* ALPHA", "[\"2\", \"10\", \"1\", \"3\"]"},
          {"SORT s BY w_* LIMIT 1 2", "[\"3\", \"2\"]"},
          {"SORT s GET n_* GET # GET h_*->name",
           "[\"one\", \"1\", \"eins\", nil, \"2\", \"22\", \"three\", \"3\", nil, nil, \"10\", nil]"},
          {"SORT s GET constant GET h_*", "[nil, nil, nil, nil, nil, nil, nil, nil]"},
          {"SORT s LIMIT 0 1 GET h_*->", "[nil]"},
          {"SORT_RO z BY nosort GET #", "[\"c\", \"a\", \"b\"]"},
          {"SORT z BY nosort DESC LIMIT 1 5", "[\"a\", \"c\"]"},
          {"SET w_3 text", "+OK"}});
  ExpectError({"SORT s BY w_*"}, "ERR One or more scores can't be converted into double");
}

TEST_F(SortTest, TheOutcomeIsStoredAsAList) {
  Expect({{"SET d text EX 100", "+OK"},
          {"SORT s DESC STORE d", ":4"},
          {"TYPE d", "+list"},
          {"TTL d", ":-1"},
          {"SORT d BY nosort", "[\"10\", \"3\", \"2\", \"1\"]"},
          {"SORT d BY nosort DESC LIMIT 1 2", "[\"2\", \"3\"]"},
          {"SORT d BY nosort LIMIT 3 9", "[\"1\"]"},
          {"SORT d LIMIT 0 2", "[\"1\", \"2\"]"},
          {"SORT s GET n_* LIMIT 0 2 STORE e", ":2"},
          {"SORT e BY nosort", "[\"one\", \"\"]"},
          {"SORT s BY nosort STORE e", ":4"},
          {"SORT e BY nosort", "[\"1\", \"10\", \"2\", \"3\"]"},
          {"SORT d STORE d", ":4"},
          {"SORT d BY nosort", "[\"1\", \"2\", \"3\", \"10\"]"},
          {"SORT none STORE d", ":0"},
          {"EXISTS d", ":0"}});
}

TEST_F(SortTest, PatternsNeedTheRightToReadAllKeys) {
  Do("ACL SETUSER bob on nopass +@all ~s ~d");
  auto bob = Connect();
  EXPECT_EQ(bob->Do("AUTH bob x"), "+OK");
  EXPECT_EQ(bob->Do("SORT s LIMIT 0 1"), "[\"1\"]");
  EXPECT_EQ(bob->Do("SORT s BY nosort STORE d"), ":4");
  EXPECT_EQ(bob->Do("SORT s BY w_*"), "-ERR BY option of SORT denied due to insufficient ACL permissions.");
  EXPECT_EQ(bob->Do("SORT_RO s BY w_*"), "-ERR BY option of SORT denied due to insufficient ACL permissions.");
  EXPECT_EQ(bob->Do("SORT s GET #"), "-ERR GET option of SORT denied due to insufficient ACL permissions.");
  EXPECT_EQ(bob->Do("SORT s STORE e"), "-NOPERM No permissions to access a key");
  Do("ACL SETUSER bob %R~*");
  EXPECT_EQ(bob->Do("SORT s BY w_* GET # LIMIT 0 1"), "[\"10\"]");
  EXPECT_EQ(bob->Do("SORT s BY w_* STORE e"), "-NOPERM No permissions to access a key");
  EXPECT_EQ(bob->Do("SORT s BY w_* STORE d"), ":4");
}

TEST(SortLocks, OnlyPatternsThatLeadToOtherKeysLockEveryShard) {
  const Table table = BuildCommandTable();
  const auto locks_all = [&](const std::string& command) {
    const std::vector<std::string> words = test::SplitWords(command);
    const std::vector<std::string_view> args(words.begin(), words.end());
    return NeedsAllShards(*table.Find(args[0]), args);
  };
  for (const char* command : {"SORT k BY w_*", "SORT k GET # GET w_*", "SORT_RO k ALPHA BY h_*->f", "SORT k STORE d GET *"}) {
    EXPECT_TRUE(locks_all(command)) << command;
  }
  for (const char* command : {"SORT k", "SORT k BY nosort GET #", "SORT_RO k GET constant", "SORT k STORE w_*", "SORT k BY w_* oops"}) {
    EXPECT_FALSE(locks_all(command)) << command;
  }
  EXPECT_FALSE(table.Find("sort_ro")->ordinary);
}

TEST_F(SortTest, KeysOfOtherShardsMayBeWrittenMeanwhile) {
  server_.reset();
  StartServer({"--workers", "3"});
  c_ = Connect();
  std::string add = "SADD s";
  for (int i = 0; i < 50; ++i) add += " " + std::to_string(i);
  Do(add);
  std::vector<std::thread> clients;
  for (int n = 0; n < 3; ++n) {
    clients.emplace_back([&, n] {
      RespClient client(server_->port());
      for (int i = 0; i < 200; ++i) {
        const std::string number = std::to_string(i * 7 % 50);
        client.Do("SET w_" + number + " " + std::to_string(i));
        client.Do("HSET h_" + number + " f " + std::string(static_cast<size_t>(i), 'x'));
        EXPECT_EQ(WordsOf(client.Do("SORT_RO s BY w_* GET #")).size(), 50u);
        EXPECT_EQ(client.Do("SORT s BY w_* GET h_*->f STORE d" + std::to_string(n)), ":50");
        if (i % 10 == 0) {
          client.Do("MULTI");
          client.Do("SORT_RO s BY w_* LIMIT 0 1");
          client.Do("SORT s BY w_* STORE d" + number);
          EXPECT_EQ(client.Do("EXEC").front(), '[');
        }
        client.Do("DEL w_" + number);
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(Do("PING"), "+PONG");
}

}  // namespace
}  // namespace understudy::command
