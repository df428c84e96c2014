// A script that does not end: what other clients are told, and who can end it.
#include <sys/socket.h>

#include <functional>

#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

constexpr char kBusy[] = "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
constexpr char kBusyFunction[] =
    "-BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.";
constexpr char kUnkillable[] =
    "-UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script "
    "termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.";

class BusyTest : public ServerTest, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    StartServer({"--workers", GetParam(), "--busy-reply-threshold", "50"});
    c_ = Connect();
    ASSERT_EQ(Do("SET k v"), "+OK");
  }
  // The server can't be stopped while a script runs.
  void TearDown() override {
    auto last = Connect();
    last->Do("SCRIPT KILL");
    last->Do("FUNCTION KILL");
  }
  // A client whose script runs until it is killed.
  std::unique_ptr<RespClient> StartEndless(const std::string& before = "") {
    auto client = Connect();
    client->Send({"EVAL", before + " while true do end", "0"});
    EXPECT_TRUE(Eventually([&] { return Do("GET k").starts_with("-BUSY"); }));
    return client;
  }
  void ExpectKilled(RespClient& client) {
    const std::string reply = client.Read();
    EXPECT_TRUE(reply.starts_with("-ERR Script killed by user with SCRIPT KILL. script: ")) << reply;
    EXPECT_EQ(client.Do("GET k"), "\"v\"");
  }
};

TEST_P(BusyTest, OthersAreToldBusyUntilTheScriptIsKilled) {
  auto running = StartEndless();
  // On each worker, clients of before and new ones.
  std::vector<std::unique_ptr<RespClient>> others;
  for (int i = 0; i < 8; ++i) others.push_back(Connect());
  for (auto& other : others) {
    EXPECT_EQ(other->Do("GET k"), kBusy);
    EXPECT_EQ(other->Do("PING"), kBusy);
    EXPECT_EQ(other->Do("SET k w"), kBusy);
    EXPECT_EQ(other->Do("EVAL 'return 1' 0"), kBusy);
    EXPECT_EQ(other->Do("WATCH k"), kBusy);
    EXPECT_EQ(other->Do("NOPE").substr(0, 20), "-ERR unknown command");
    EXPECT_EQ(other->Do("FUNCTION KILL"), kBusy);
    EXPECT_EQ(other->Do("FUNCTION STATS").substr(0, 27), "[\"running_script\", [\"name\",");
  }
  EXPECT_EQ(Do("SCRIPT KILL"), "+OK");
  ExpectKilled(*running);
  for (auto& other : others) EXPECT_EQ(other->Do("GET k"), "\"v\"");
  EXPECT_EQ(Do("SCRIPT KILL"), "-NOTBUSY No scripts in execution right now.");
}

TEST_P(BusyTest, AScriptThatCatchesItsErrorsIsKilledToo) {
  auto running = StartEndless("while true do pcall(function() while true do end end) end");
  EXPECT_EQ(Do("SCRIPT KILL"), "+OK");
  ExpectKilled(*running);
}

TEST_P(BusyTest, ATransactionWhoseCommandsAreRefusedIsAborted) {
  auto running = StartEndless();
  auto other = Connect();
  EXPECT_EQ(other->Do("MULTI"), "+OK");
  EXPECT_EQ(other->Do("SET k w"), kBusy);
  EXPECT_EQ(Do("SCRIPT KILL"), "+OK");
  ExpectKilled(*running);
  EXPECT_EQ(other->Do("EXEC"), "-EXECABORT Transaction discarded because of previous errors.");
}

TEST_P(BusyTest, ATransactionThatWatchesKeysIsAbortedAndItsClientMayGo) {
  auto watching = Connect(), leaving = Connect();
  EXPECT_EQ(watching->Do("WATCH k"), "+OK");
  EXPECT_EQ(watching->Do("MULTI"), "+OK");
  EXPECT_EQ(watching->Do("PING"), "+QUEUED");
  EXPECT_EQ(leaving->Do("WATCH k"), "+OK");
  auto running = StartEndless();
  leaving.reset();
  EXPECT_EQ(watching->Do("EXEC"), "-EXECABORT Transaction discarded because of: " + std::string(kBusy).substr(1));
  EXPECT_EQ(watching->Do("UNWATCH"), kBusy);
  EXPECT_EQ(Do("SCRIPT KILL"), "+OK");
  ExpectKilled(*running);
  EXPECT_EQ(watching->Do("UNWATCH"), "+OK");
  EXPECT_TRUE(Eventually([&] { return Do("INFO clients").find("total_watched_keys:0") != std::string::npos; }));
  EXPECT_EQ(Do("SET k v"), "+OK");
}

TEST_P(BusyTest, AScriptThatWroteCantBeKilled) {
  auto running = Connect();
  running->Send({"EVAL",
                 "redis.call('set','w','1') local n = 0 local t = os.clock() while os.clock() - t < 0.4 do n = n + 1 end "
                 "return 'end'",
                 "0"});
  ASSERT_TRUE(Eventually([&] { return Do("GET k").starts_with("-BUSY"); }));
  EXPECT_EQ(Do("SCRIPT KILL"), kUnkillable);
  EXPECT_EQ(running->Read(), "\"end\"");
  EXPECT_EQ(Do("GET w"), "\"1\"");
}

TEST_P(BusyTest, FunctionsAreKilledByTheirOwnCommand) {
  ASSERT_EQ(c_->Do(std::vector<std::string>{
                "FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() while true do end end)"}),
            "\"l\"");
  auto running = Connect();
  running->Send({"FCALL", "f", "0"});
  ASSERT_TRUE(Eventually([&] { return Do("GET k").starts_with("-BUSY"); }));
  EXPECT_EQ(Do("GET k"), kBusyFunction);
  EXPECT_EQ(Do("SCRIPT KILL"), kBusyFunction);
  EXPECT_TRUE(Do("FUNCTION STATS").starts_with("[\"running_script\", [\"name\", \"f\", \"command\", [\"FCALL\", "));
  EXPECT_EQ(Do("FUNCTION KILL"), "+OK");
  EXPECT_TRUE(running->Read().starts_with("-ERR Script killed by user with SCRIPT KILL. script: f, on @user_function:"));
}

TEST_P(BusyTest, WhatAClientSendsBehindItsScriptWaits) {
  auto running = Connect();
  running->Send({"SET", "a", "1"});
  running->Send({"EVAL", "while true do end", "0"});
  running->Send({"INCR", "a"});
  ASSERT_TRUE(Eventually([&] { return Do("GET k").starts_with("-BUSY"); }));
  running->Send({"INCR", "a"});
  EXPECT_EQ(Do("GET k"), kBusy);
  EXPECT_EQ(Do("SCRIPT KILL"), "+OK");
  EXPECT_EQ(running->Read(), "+OK");
  EXPECT_TRUE(running->Read().starts_with("-ERR Script killed"));
  EXPECT_EQ(running->Read(), ":2");
  EXPECT_EQ(running->Read(), ":3");
}

TEST_P(BusyTest, PipelinesOfManyClientsAreAnsweredInOrder) {
  std::vector<std::unique_ptr<RespClient>> others;
  for (int i = 0; i < 20; ++i) others.push_back(Connect());
  std::string pipeline;
  for (int i = 0; i < 200; ++i) pipeline += "ECHO " + std::to_string(i) + "\r\n";
  auto running = Connect();
  running->Send({"EVAL", "while true do end", "0"});
  for (auto& other : others) other->SendRaw(pipeline);
  ASSERT_TRUE(Eventually([&] { return Do("GET k").starts_with("-BUSY"); }));
  // Each reply is that of its command, or BUSY.
  for (auto& other : others) {
    for (int i = 0; i < 200; ++i) {
      const std::string reply = other->Read();
      ASSERT_TRUE(reply == kBusy || reply == "\"" + std::to_string(i) + "\"") << reply;
    }
    other->SendRaw(pipeline);
  }
  EXPECT_EQ(Do("SCRIPT KILL"), "+OK");
  ExpectKilled(*running);
  for (auto& other : others) {
    for (int i = 0; i < 200; ++i) {
      const std::string reply = other->Read();
      ASSERT_TRUE(reply == kBusy || reply == "\"" + std::to_string(i) + "\"") << reply;
    }
    EXPECT_EQ(other->Do("GET k"), "\"v\"");
  }
}

// The end of a long pipeline is left for later turns; a script begins in between.
TEST_P(BusyTest, PipelinesThatAreLeftOverGoOn) {
  constexpr int kCommands = 8'000;
  std::string pipeline;
  for (int i = 0; i < kCommands; ++i) pipeline += "ECHO x\r\n";
  for (int round = 0; round < 3; ++round) {
    std::vector<std::unique_ptr<RespClient>> others;
    for (int i = 0; i < 6; ++i) others.push_back(Connect());
    auto running = Connect();
    for (auto& other : others) other->SendRaw(pipeline);
    running->Send({"EVAL", "while true do end", "0"});
    ASSERT_TRUE(Eventually([&] { return Do("GET k").starts_with("-BUSY"); }));
    EXPECT_EQ(Do("SCRIPT KILL"), "+OK");
    ExpectKilled(*running);
    for (auto& other : others) {
      for (int i = 0; i < kCommands; ++i) {
        const std::string reply = other->Read();
        ASSERT_TRUE(reply == kBusy || reply == "\"x\"") << i << ": " << reply;
      }
    }
  }
}

TEST_P(BusyTest, ATransactionGoesOnBehindTheScriptInItThatWasKilled) {
  auto running = Connect(), watching = Connect();
  EXPECT_EQ(watching->Do("WATCH n"), "+OK");
  EXPECT_EQ(running->Do("MULTI"), "+OK");
  EXPECT_EQ(running->Do("SET n 1"), "+QUEUED");
  EXPECT_EQ(running->Do(std::vector<std::string>{"EVAL", "while true do end", "0"}), "+QUEUED");
  EXPECT_EQ(running->Do("INCR n"), "+QUEUED");
  running->Send({"EXEC"});
  ASSERT_TRUE(Eventually([&] { return Do("GET k").starts_with("-BUSY"); }));
  EXPECT_EQ(Do("SCRIPT KILL"), "+OK");
  EXPECT_TRUE(running->Read().starts_with("[+OK, -ERR Script killed by user with SCRIPT KILL. script: "));
  EXPECT_EQ(Do("GET n"), "\"2\"");
  EXPECT_EQ(watching->Do("MULTI"), "+OK");
  EXPECT_EQ(watching->Do("EXEC"), "nil");
}

TEST_P(BusyTest, AClientThatGoesAwayMeanwhileIsGoneAfterItsScript) {
  for (const bool reset : {false, true}) {
    auto running = Connect(), other = Connect();
    const std::string id = running->Do("CLIENT ID").substr(1);
    running->Send({"EVAL", "while true do end", "0"});
    ASSERT_TRUE(Eventually([&] { return Do("GET k").starts_with("-BUSY"); }));
    other->Send({"GET", "k"});
    for (auto* client : {&running, &other}) {
      const linger at_once{.l_onoff = reset, .l_linger = 0};
      ASSERT_EQ(setsockopt((*client)->fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
      client->reset();
    }
    EXPECT_EQ(Do("GET k"), kBusy);
    EXPECT_EQ(Do("SCRIPT KILL"), "+OK");
    EXPECT_TRUE(Eventually([&] { return Do("GET k") == "\"v\"" && Do("CLIENT LIST ID " + id) == "\"\""; }));
  }
}

// Of clients that wait for a key when a script begins one goes away, and another's time is up.
TEST_P(BusyTest, WaitsForKeysEndOrGoOn) {
  std::vector<std::unique_ptr<RespClient>> waiting;
  std::vector<std::string> ids;
  const auto blocked = [&](size_t count) {
    const std::string line = "\r\nblocked_clients:" + std::to_string(count) + "\r\n";
    return Eventually([&] { return Do("INFO clients").find(line) != std::string::npos; });
  };
  for (const char* timeout : {"0", "0", "0", "0", "0.1"}) {
    waiting.push_back(Connect());
    ids.push_back(waiting.back()->Do("CLIENT ID").substr(1));
    waiting.back()->Send({"BLPOP", "l", timeout});
    ASSERT_TRUE(blocked(waiting.size()));
  }
  auto running = StartEndless();
  waiting[2].reset();
  EXPECT_EQ(Do("CLIENT UNBLOCK " + ids[0]), kBusy);
  EXPECT_EQ(Do("SCRIPT KILL"), "+OK");
  ExpectKilled(*running);
  EXPECT_EQ(waiting[4]->Read(), "nil");
  ASSERT_TRUE(blocked(3));
  EXPECT_EQ(Do("CLIENT UNBLOCK " + ids[0]), ":1");
  EXPECT_EQ(Do("CLIENT UNBLOCK " + ids[1] + " ERROR"), ":1");
  EXPECT_EQ(waiting[0]->Read(), "nil");
  EXPECT_EQ(waiting[1]->Read(), "-UNBLOCKED client unblocked via CLIENT UNBLOCK");
  // The places of those that are gone are nobody's.
  EXPECT_EQ(c_->Do(std::vector<std::string>{"EVAL", "return redis.call('lpush', 'l', 'a', 'b')", "0"}), ":2");
  EXPECT_EQ(waiting[3]->Read(), "[\"l\", \"b\"]");
  EXPECT_EQ(Do("LRANGE l 0 -1"), "[\"a\"]");
  EXPECT_TRUE(Eventually([&] { return Do("INFO clients").find("\r\ntotal_blocking_keys:0\r\n") != std::string::npos; }));
}

TEST_P(BusyTest, WhatASlowScriptPushesIsServedWhenItEnds) {
  auto waiting = Connect();
  waiting->Send({"BLPOP", "l", "0"});
  ASSERT_TRUE(Eventually([&] { return Do("INFO clients").find("\r\nblocked_clients:1\r\n") != std::string::npos; }));
  auto running = Connect();
  running->Send({"EVAL",
                 "redis.call('rpush','l','1') local t = os.clock() while os.clock() - t < 0.3 do end "
                 "return redis.call('rpush','l','2')",
                 "0"});
  ASSERT_TRUE(Eventually([&] { return Do("GET k").starts_with("-BUSY"); }));
  EXPECT_EQ(running->Read(), ":2");
  EXPECT_EQ(waiting->Read(), "[\"l\", \"1\"]");
  EXPECT_EQ(Do("LRANGE l 0 -1"), "[\"2\"]");
}

// A script has all keys: nothing is evicted for what others queue meanwhile.
TEST_P(BusyTest, NothingIsEvictedWhileAScriptRuns) {
  for (int i = 0; i < 200; ++i) ASSERT_EQ(Do("SET key:" + std::to_string(i) + " " + std::string(10'000, 'x')), "+OK");
  ASSERT_EQ(Do("CONFIG SET maxmemory-policy allkeys-random"), "+OK");
  const std::string info = Do("INFO memory");
  const size_t used = std::stoul(info.substr(info.find("used_memory:") + 12));
  ASSERT_EQ(Do("CONFIG SET maxmemory " + std::to_string(used + 300'000)), "+OK");
  auto queueing = Connect(), running = Connect();
  running->Send({"EVAL",
                 "local t, n = os.clock(), #redis.call('keys', '*') while os.clock() - t < 0.5 do end "
                 "return n - #redis.call('keys', '*')",
                 "0"});
  ASSERT_TRUE(Eventually([&] { return Do("GET k").starts_with("-BUSY"); }));
  EXPECT_EQ(queueing->Do("MULTI"), "+OK");
  for (int i = 0; i < 50; ++i) EXPECT_EQ(queueing->Do("AUTH x " + std::string(10'000, 'x')), "+QUEUED");
  EXPECT_EQ(queueing->Do("DISCARD"), "+OK");
  EXPECT_EQ(running->Read(), ":0");
}

INSTANTIATE_TEST_SUITE_P(Workers, BusyTest, ::testing::Values("1", "2", "3"));

}  // namespace
}  // namespace understudy::command
