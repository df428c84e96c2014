#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

using TransactionTest = ServerTest;

TEST_F(TransactionTest, ExecRunsTheQueue) {
  Expect({{"MULTI", "+OK"}, {"SET a 1", "+QUEUED"}, {"INCR a", "+QUEUED"}, {"GET none", "+QUEUED"}, {"PING", "+QUEUED"},
          {"EXEC", "[+OK, :2, nil, +PONG]"}, {"GET a", "\"2\""}, {"MULTI", "+OK"}, {"EXEC", "[]"}});
}

TEST_F(TransactionTest, DiscardDropsTheQueue) {
  Expect({{"MULTI", "+OK"}, {"SET a 1", "+QUEUED"}, {"DISCARD", "+OK"}, {"GET a", "nil"},
          {"DISCARD", "-ERR DISCARD without MULTI"}, {"EXEC", "-ERR EXEC without MULTI"}});
}

TEST_F(TransactionTest, AnErrorWhileQueueingAborts) {
  const std::string aborted = "-EXECABORT Transaction discarded because of previous errors.";
  Expect({{"MULTI", "+OK"}, {"SET a", "-ERR wrong number of arguments for 'set' command"}, {"SET a 1", "+QUEUED"},
          {"EXEC", aborted}, {"GET a", "nil"},
          {"MULTI", "+OK"}, {"FOO", "-ERR unknown command 'FOO', with args beginning with: "}, {"EXEC", aborted},
          {"MULTI", "+OK"}, {"MULTI", "-ERR MULTI calls can not be nested"}, {"WATCH a", "-ERR WATCH inside MULTI is not allowed"},
          {"SET a 1", "+QUEUED"}, {"EXEC", "[+OK]"}});
}

TEST_F(TransactionTest, ARefusedExecEndsTheTransactionIfThereIsOne) {
  const std::string refused = "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command";
  Expect({{"EXEC x", refused}, {"MULTI", "+OK"}, {"SET a 1", "+QUEUED"}, {"EXEC x", refused}, {"EXEC", "-ERR EXEC without MULTI"},
          {"GET a", "nil"}});
}

TEST_F(TransactionTest, AnErrorWhileRunningDoesNotStopTheRest) {
  Expect({{"SET a x", "+OK"}, {"MULTI", "+OK"}, {"INCR a", "+QUEUED"}, {"SET b 1", "+QUEUED"},
          {"EXEC", "[-ERR value is not an integer or out of range, +OK]"}, {"GET b", "\"1\""}});
}

TEST_F(TransactionTest, SelectInsideCounts) {
  Expect({{"MULTI", "+OK"}, {"SELECT 2", "+QUEUED"}, {"SET a 2", "+QUEUED"}, {"EXEC", "[+OK, +OK]"}, {"GET a", "\"2\""},
          {"SELECT 0", "+OK"}, {"GET a", "nil"}});
}

TEST_F(TransactionTest, CommandsOnTheWholeKeyspaceRunInside) {
  Expect({{"MSET a 1 b 2", "+OK"}, {"MULTI", "+OK"}, {"DBSIZE", "+QUEUED"}, {"FLUSHALL", "+QUEUED"}, {"DBSIZE", "+QUEUED"},
          {"KEYS *", "+QUEUED"}, {"SCAN 0", "+QUEUED"}, {"RANDOMKEY", "+QUEUED"}, {"SWAPDB 0 1", "+QUEUED"},
          {"CLIENT ID", "+QUEUED"}, {"UNWATCH", "+QUEUED"}});
  const std::string reply = Do("EXEC");
  EXPECT_EQ(reply.substr(0, 40), "[:2, +OK, :0, [], [\"0\", []], nil, +OK, :");
}

struct WatchCase {
  std::string watched, change;
  bool fails;
};

TEST_F(TransactionTest, ExecFailsWhenAWatchedKeyChanged) {
  const WatchCase cases[] = {
      {"k", "SET k 2", true},       {"k", "DEL k", true},        {"k", "EXPIRE k 100", true}, {"k", "APPEND k x", true},
      {"k", "RENAME k m", true},    {"none", "SET none 1", true}, {"k", "FLUSHALL", true},    {"k", "FLUSHDB", true},
      {"k", "SWAPDB 0 1", true},    {"k", "GET k", false},       {"k", "SET other 1", false}, {"k", "DEL none", false},
      {"k", "SETNX k 5", false},    {"none", "FLUSHALL", false}, {"k other2", "SET other2 1", true},
  };
  auto other = Connect();
  for (const WatchCase& c : cases) {
    ASSERT_EQ(Do("FLUSHALL"), "+OK");
    ASSERT_EQ(Do("SET k 1"), "+OK");
    ASSERT_EQ(Do("WATCH " + c.watched), "+OK");
    ASSERT_EQ(other->Do(c.change).front() == '-', false) << c.change;
    ASSERT_EQ(Do("MULTI"), "+OK");
    ASSERT_EQ(Do("PING"), "+QUEUED");
    EXPECT_EQ(Do("EXEC"), c.fails ? "nil" : "[+PONG]") << c.watched << ": " << c.change;
  }
}

TEST_F(TransactionTest, WatchesEndWithUnwatchDiscardExecAndTheConnection) {
  auto other = Connect();
  for (const char* end : {"UNWATCH", "DISCARD", "EXEC"}) {
    ASSERT_EQ(Do("WATCH k"), "+OK");
    if (std::string(end) != "UNWATCH") Do("MULTI");
    Do(end);
    ASSERT_EQ(other->Do("INCR k").front(), ':');
    ASSERT_EQ(Do("MULTI"), "+OK");
    EXPECT_EQ(Do("EXEC"), "[]") << end;
  }
  auto gone = Connect();
  ASSERT_EQ(gone->Do("WATCH k"), "+OK");
  gone.reset();
  EXPECT_TRUE(Eventually([&] { return Do("INFO clients").find("total_watched_keys:0") != std::string::npos; }));
  EXPECT_EQ(Do("INCR k").front(), ':');
}

TEST_F(TransactionTest, AKeyIsWatchedOnceHoweverOftenItIsNamed) {
  std::vector<std::string> words{"WATCH"};
  for (int i = 0; i < 20'000; ++i) words.push_back("key" + std::to_string(i));
  words.push_back("key7");
  auto other = Connect();
  for (RespClient* client : {c_.get(), c_.get(), other.get()}) {
    EXPECT_EQ(client->Do(words), "+OK");
    EXPECT_NE(client->Do("CLIENT INFO").find(" watch=20000 "), std::string::npos);
  }
  Expect({{"SELECT 1", "+OK"}, {"WATCH key7", "+OK"}});
  EXPECT_NE(Do("CLIENT INFO").find(" watch=20001 "), std::string::npos);
  Expect({{"UNWATCH", "+OK"}, {"SELECT 0", "+OK"}, {"SET key7 x", "+OK"}, {"MULTI", "+OK"}, {"EXEC", "[]"}});
  EXPECT_EQ(other->Do("MULTI"), "+OK");
  EXPECT_EQ(other->Do("EXEC"), "nil");
}

TEST_F(TransactionTest, AnExpiredWatchedKeyFailsExec) {
  Expect({{"DEBUG SET-ACTIVE-EXPIRE 0", "+OK"}, {"SET k 1 PX 5", "+OK"}, {"WATCH k", "+OK"}});
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  Expect({{"MULTI", "+OK"}, {"PING", "+QUEUED"}, {"EXEC", "nil"}});
  // Expired before WATCH: nothing changes any more.
  Expect({{"SET k 1 PX 1", "+OK"}});
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  Expect({{"WATCH k", "+OK"}, {"MULTI", "+OK"}, {"PING", "+QUEUED"}, {"EXEC", "[+PONG]"}});
}

TEST_F(TransactionTest, SwapDbIsNoChangeForKeysThatHaveExpiredOnBothSides) {
  ASSERT_EQ(Do("DEBUG SET-ACTIVE-EXPIRE 0"), "+OK");
  struct Case {
    std::string here, there;  // what makes the key in the watched database and in the other one
    std::string reply;
  };
  const std::string expired = "SET k 1 PX 1", alive = "SET k 1";
  const Case cases[] = {{"PING", expired, "[+PONG]"}, {expired, expired, "[+PONG]"}, {expired, "PING", "[+PONG]"}, {"PING", alive, "nil"},
                        {expired, alive, "nil"}, {alive, expired, "nil"}, {alive, "PING", "nil"}};
  for (const Case& c : cases) {
    Expect({{"FLUSHALL", "+OK"}, {"SELECT 0", "+OK"}});
    Do(c.there);
    ASSERT_EQ(Do("SELECT 1"), "+OK");
    Do(c.here);
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    Expect({{"WATCH k", "+OK"}, {"SWAPDB 0 1", "+OK"}, {"MULTI", "+OK"}, {"PING", "+QUEUED"}});
    EXPECT_EQ(Do("EXEC"), c.reply) << c.here << ", " << c.there;
  }
}

TEST_F(TransactionTest, TransactionsAreAtomicAcrossWorkers) {
  c_.reset();
  server_.reset();
  StartServer({"--workers", "3"});
  // Each transfer keeps a + b = 0; every reader sees that.
  std::atomic<bool> stop{false};
  std::vector<std::thread> writers;
  for (int w = 0; w < 3; ++w) {
    writers.emplace_back([&] {
      RespClient c(server_->port());
      while (!stop) {
        c.SendRaw("MULTI\r\nINCR a\r\nDECR b\r\nEXEC\r\n");
        for (int i = 0; i < 4; ++i) c.Read();
      }
    });
  }
  RespClient reader(server_->port());
  for (int i = 0; i < 2000; ++i) {
    const std::string reply = reader.Do("MGET a b");
    if (reply == "[nil, nil]") continue;
    const size_t comma = reply.find(", ");
    const long a = std::stol(reply.substr(2)), b = std::stol(reply.substr(comma + 3));
    ASSERT_EQ(a + b, 0) << reply;
  }
  stop = true;
  for (auto& t : writers) t.join();
}

}  // namespace
}  // namespace understudy::command
