// Clients that wait for a key: one by one, many at a time, and every way in which a wait ends.
#include <gmock/gmock.h>

#include <atomic>
#include <map>
#include <mutex>

#include "node/store/shard_guard.h"
#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

using ::testing::HasSubstr;

constexpr int kSilence = 60;  // ms in which a client that goes on waiting is told nothing

// With one worker, and with two, of which clients get either.
class BlockingTest : public ServerTest, public ::testing::WithParamInterface<int> {
 protected:
  void SetUp() override {
    StartServer({"--workers", std::to_string(GetParam())});
    c_ = Connect();
  }
  size_t Waiting() {
    const std::string info = Do("INFO clients");
    const size_t at = info.find("blocked_clients:");
    return std::stoul(info.substr(at + 16));
  }
  // A client that has sent the command and waits. It is the only one, or the others wait already.
  std::unique_ptr<RespClient> Wait(const std::string& command, int protocol = 2) {
    auto client = Connect(protocol);
    const size_t before = Waiting();
    client->Send(test::SplitWords(command));
    EXPECT_TRUE(Eventually([&] { return Waiting() == before + 1; })) << command;
    return client;
  }
  bool NobodyWaits() {
    return Eventually([&] { return Do("INFO clients").find("\r\ntotal_blocking_keys:0\r\n") != std::string::npos; }) &&
           Waiting() == 0;
  }
  static std::string IdOf(RespClient& client) { return client.Do("CLIENT ID").substr(1); }
};

INSTANTIATE_TEST_SUITE_P(Workers, BlockingTest, ::testing::Values(1, 2));

TEST_P(BlockingTest, WhatIsThereIsTakenAtOnce) {
  Expect({{"RPUSH l a b c d e f", ":6"},
          {"BLPOP none l 0", "[\"l\", \"a\"]"},
          {"BRPOP l none 1.5", "[\"l\", \"f\"]"},
          {"BLMPOP 0 2 none l LEFT COUNT 2", "[\"l\", [\"b\", \"c\"]]"},
          {"BLMOVE l m LEFT RIGHT 0", "\"d\""},
          {"BRPOPLPUSH l m 0", "\"e\""},
          {"EXISTS l", ":0"},
          {"LRANGE m 0 -1", "[\"e\", \"d\"]"},
          {"SET s text", "+OK"}});
  ExpectError({"BLPOP s m 0", "BRPOP none s 0", "BLMPOP 0 1 s LEFT", "BLMOVE s m LEFT LEFT 0", "BRPOPLPUSH m s 0"},
              "WRONGTYPE Operation against a key holding the wrong kind of value");
  ExpectError({"BLMPOP 0 0 l LEFT"}, "ERR numkeys should be greater than 0");
  ExpectError({"BLMPOP 0 2 l LEFT", "BLMPOP 0 1 l UP", "BLMOVE l m UP LEFT x", "BLMPOP 0 1 l LEFT COUNT"}, "ERR syntax error");
  ExpectError({"BLMPOP 0 1 l LEFT COUNT 0"}, "ERR count should be greater than 0");
}

TEST_P(BlockingTest, TimeoutsAreNumbersOfSecondsWithFractions) {
  for (const std::string command : {"BLPOP l ", "BRPOP l m ", "BRPOPLPUSH l m ", "BLMOVE l m LEFT LEFT "}) {
    ExpectError({command + "x", command + "nan", command + "''"}, "ERR timeout is not a float or out of range");
    ExpectError({command + "-1", command + "-0.01", command + "-inf"}, "ERR timeout is negative");
    ExpectError({command + "1e16", command + "inf", command + "9223372036854775.9"}, "ERR timeout is out of range");
  }
  ExpectError({"BLMPOP x 1 l LEFT"}, "ERR timeout is not a float or out of range");
  ExpectError({"BLMPOP -1 1 l LEFT"}, "ERR timeout is negative");
  EXPECT_TRUE(NobodyWaits());
}

TEST_P(BlockingTest, AWaitEndsWhenItsTimeIsUp) {
  for (const std::string command : {"BLPOP l 0.05", "BRPOP l m 0.05", "BLMPOP 0.05 2 l m LEFT", "BRPOPLPUSH l m 0.05",
                                    "BLMOVE l m LEFT LEFT 0.05"}) {
    const auto begin = std::chrono::steady_clock::now();
    c_->SendRaw(command + "\r\n");
    EXPECT_EQ(c_->ReadRaw(5), "*-1\r\n") << command;
    EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(49)) << command;
  }
  auto client = Connect(3);
  client->SendRaw("BLPOP l 0.01\r\n");
  EXPECT_EQ(client->ReadRaw(3), "_\r\n");
  // The one whose time is up first is not the one that began first.
  auto late = Wait("BLPOP l 0.3"), soon = Wait("BLPOP l 0.1");
  EXPECT_EQ(soon->Read(), "nil");
  EXPECT_EQ(Do("RPUSH l a"), ":1");
  EXPECT_EQ(late->Read(), "[\"l\", \"a\"]");
  EXPECT_TRUE(NobodyWaits());
}

TEST_P(BlockingTest, ATransactionDoesNotWait) {
  Expect({{"MULTI", "+OK"},
          {"BLPOP l 0", "+QUEUED"},
          {"BLMPOP 0 1 l LEFT", "+QUEUED"},
          {"BLMOVE l m LEFT LEFT 0", "+QUEUED"},
          {"RPUSH l a", "+QUEUED"},
          {"BLPOP l 0", "+QUEUED"},
          {"EXEC", "[nil, nil, nil, :1, [\"l\", \"a\"]]"}});
  c_->SendRaw("MULTI\r\nBLPOP l 0\r\nBLMOVE l m LEFT LEFT 0\r\nEXEC\r\n");
  EXPECT_EQ(c_->ReadRaw(37), "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n*-1\r\n$-1\r\n");
}

TEST_P(BlockingTest, ClientsAreServedInTheOrderInWhichTheyBeganToWait) {
  std::vector<std::unique_ptr<RespClient>> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(Wait(i % 2 == 0 ? "BLPOP l 0" : "BLPOP none l 0"));
  EXPECT_EQ(Do("RPUSH l 0 1"), ":2");
  EXPECT_EQ(Do("LLEN l"), ":0") << "they are served before the next command";
  EXPECT_EQ(Do("RPUSH l 2 3 4 5 6"), ":5");
  EXPECT_EQ(Do("LRANGE l 0 -1"), "[\"6\"]");
  for (int i = 0; i < 6; ++i) EXPECT_EQ(clients[static_cast<size_t>(i)]->Read(), "[\"l\", \"" + std::to_string(i) + "\"]");
  EXPECT_TRUE(NobodyWaits());
}

TEST_P(BlockingTest, ATransactionIsOverBeforeClientsAreServed) {
  auto client = Wait("BLPOP l 0");
  Expect({{"MULTI", "+OK"}, {"LPUSH l a", "+QUEUED"}, {"LPUSH l b c", "+QUEUED"}, {"LLEN l", "+QUEUED"}, {"EXEC", "[:1, :3, :3]"}});
  EXPECT_EQ(client->Read(), "[\"l\", \"c\"]");
  Expect({{"LRANGE l 0 -1", "[\"b\", \"a\"]"}, {"DEL l", ":1"}});
  client = Wait("BLPOP l 0");
  Expect({{"MULTI", "+OK"}, {"LPUSH l a", "+QUEUED"}, {"DEL l", "+QUEUED"}, {"SET l v", "+QUEUED"}, {"EXEC", "[:1, :1, +OK]"}});
  EXPECT_EQ(client->Read(kSilence), "timeout");
  Expect({{"DEL l", ":1"}, {"RPUSH l z", ":1"}});
  EXPECT_EQ(client->Read(), "[\"l\", \"z\"]");
}

TEST_P(BlockingTest, WhatHasExpiredByTheEndOfItsTransactionServesNobody) {
  auto client = Wait("BLPOP l 0");
  Expect({{"DEBUG SET-ACTIVE-EXPIRE 0", "+OK"}, {"MULTI", "+OK"}, {"RPUSH l a", "+QUEUED"}, {"PEXPIRE l 10", "+QUEUED"},
          {"DEBUG SLEEP 0.03", "+QUEUED"}, {"EXEC", "[:1, :1, +OK]"}, {"EXISTS l", ":0"}, {"RPUSH l b", ":1"}});
  EXPECT_EQ(client->Read(), "[\"l\", \"b\"]");
}

TEST_P(BlockingTest, AKeyOfAnotherTypeIsNotWhatIsWaitedFor) {
  auto client = Wait("BLPOP l m 0");
  Expect({{"SET l v", "+OK"}, {"APPEND l x", ":2"}, {"DEL l", ":1"}, {"HSET l a 1", ":1"}});
  EXPECT_EQ(client->Read(kSilence), "timeout");
  EXPECT_EQ(Do("RPUSH m b"), ":1");
  EXPECT_EQ(client->Read(), "[\"m\", \"b\"]") << "whatever l has become";
}

TEST_P(BlockingTest, EachCommandGetsWhatItWaitsFor) {
  auto pop = Wait("BRPOP none l 0");
  EXPECT_EQ(Do("RPUSH l a b"), ":2");
  EXPECT_EQ(pop->Read(), "[\"l\", \"b\"]");
  Do("DEL l");
  auto some = Wait("BLMPOP 0 2 none l RIGHT COUNT 2");
  EXPECT_EQ(Do("RPUSH l a b c"), ":3");
  EXPECT_EQ(some->Read(), "[\"l\", [\"c\", \"b\"]]");
  Do("DEL l");
  auto move = Wait("BLMOVE l m RIGHT LEFT 0");
  EXPECT_EQ(Do("RPUSH l a b"), ":2");
  EXPECT_EQ(move->Read(), "\"b\"");
  Do("DEL l");
  move = Wait("BRPOPLPUSH l m 0");
  EXPECT_EQ(Do("LPUSH l a"), ":1");
  EXPECT_EQ(move->Read(), "\"a\"");
  Expect({{"LRANGE m 0 -1", "[\"a\", \"b\"]"}, {"EXISTS l", ":0"}});
  auto twice = Wait("BLPOP k k k 0", 3);
  EXPECT_EQ(Do("RPUSH k a b"), ":2");
  EXPECT_EQ(twice->Read(), "[\"k\", \"a\"]");
  EXPECT_EQ(Do("LLEN k"), ":1");
  EXPECT_TRUE(NobodyWaits());
}

TEST_P(BlockingTest, WhatOneMovesServesTheNext) {
  auto last = Wait("BLPOP c 0");
  auto second = Wait("BLMOVE b c LEFT LEFT 0");
  auto first = Wait("BLMOVE a b LEFT LEFT 0");
  EXPECT_EQ(Do("RPUSH a x"), ":1");
  EXPECT_EQ(Do("EXISTS a b c"), ":0");
  EXPECT_EQ(first->Read(), "\"x\"");
  EXPECT_EQ(second->Read(), "\"x\"");
  EXPECT_EQ(last->Read(), "[\"c\", \"x\"]");
  // Round its own list, and to and fro.
  auto self = Wait("BLMOVE r r LEFT RIGHT 0");
  EXPECT_EQ(Do("RPUSH r 1 2"), ":2");
  EXPECT_EQ(self->Read(), "\"1\"");
  EXPECT_EQ(Do("LRANGE r 0 -1"), "[\"2\", \"1\"]");
  auto there = Wait("BRPOPLPUSH p q 0"), back = Wait("BRPOPLPUSH q p 0");
  EXPECT_EQ(Do("RPUSH p x"), ":1");
  EXPECT_EQ(there->Read(), "\"x\"");
  EXPECT_EQ(back->Read(), "\"x\"");
  EXPECT_EQ(Do("LRANGE p 0 -1"), "[\"x\"]");
  EXPECT_TRUE(NobodyWaits());
}

// Whatever shards the keys are in: who waits for the second key is asked before who waits for what the first one moves.
TEST_P(BlockingTest, WhatBecomesReadyFirstServesFirst) {
  for (int i = 0; i < 12; ++i) {
    const std::string n = std::to_string(i);
    auto mover = Wait("BRPOPLPUSH a" + n + " c" + n + " 0"), popper = Wait("BLPOP b" + n + " 0"),
         both = Wait("BLMPOP 0 2 b" + n + " c" + n + " LEFT");
    Expect({{"MULTI", "+OK"}, {"LPUSH a" + n + " 1", "+QUEUED"}, {"LPUSH b" + n + " 2", "+QUEUED"}, {"EXEC", "[:1, :1]"}});
    ASSERT_EQ(mover->Read(), "\"1\"");
    ASSERT_EQ(popper->Read(), "[\"b" + n + "\", \"2\"]");
    ASSERT_EQ(both->Read(), "[\"c" + n + "\", [\"1\"]]");
  }
}

TEST_P(BlockingTest, ADestinationOfAnotherTypeIsToldAndTheElementStaysForTheNext) {
  Do("SET s text");
  auto wrong = Wait("BLMOVE l s LEFT LEFT 0"), right = Wait("BLPOP l 0");
  EXPECT_EQ(Do("RPUSH l a"), ":1");
  EXPECT_EQ(wrong->Read(), "-WRONGTYPE Operation against a key holding the wrong kind of value");
  EXPECT_EQ(right->Read(), "[\"l\", \"a\"]");
}

TEST_P(BlockingTest, WhateverMakesAListMakesItReady) {
  Do("RPUSH source a");
  const std::string dump = Do("DUMP source"), payload = dump.substr(1, dump.size() - 2);
  const std::vector<std::vector<std::string>> makers = {
      {"RENAME", "source", "l"},      {"RENAMENX", "source", "l"}, {"COPY", "source", "l"},
      {"RESTORE", "l", "0", payload}, {"LMOVE", "source", "l", "LEFT", "LEFT"},
      {"RPOPLPUSH", "source", "l"},   {"LPUSH", "l", "a"},         {"BLMOVE", "source", "l", "LEFT", "LEFT", "0"},
  };
  for (const auto& maker : makers) {
    Do("FLUSHALL");
    Do("RPUSH source a");
    auto client = Wait("BLPOP l 0");
    EXPECT_NE(c_->Do(maker).front(), '-') << maker[0];
    EXPECT_EQ(client->Read(), "[\"l\", \"a\"]") << maker[0];
    EXPECT_EQ(Do("EXISTS l"), ":0") << maker[0];
  }
  for (const std::string command : {"MOVE l 1", "COPY l l DB 1", "SWAPDB 0 1"}) {
    Do("FLUSHALL");
    auto client = Connect();
    client->Do("SELECT 1");
    client->Send({"BLPOP", "l", "0"});
    ASSERT_TRUE(Eventually([&] { return Waiting() == 1; }));
    EXPECT_EQ(Do("RPUSH l a"), ":1") << "in another database";
    EXPECT_EQ(client->Read(kSilence), "timeout");
    EXPECT_NE(Do(command).front(), '-') << command;
    EXPECT_EQ(client->Read(), "[\"l\", \"a\"]") << command;
  }
  auto client = Wait("BLPOP l 0");
  Expect({{"FLUSHALL", "+OK"}, {"SWAPDB 0 1", "+OK"}, {"FLUSHDB", "+OK"}});
  EXPECT_EQ(client->Read(kSilence), "timeout");
}

TEST_P(BlockingTest, AListThatExpiredIsNotReady) {
  auto client = Wait("BLPOP l 0");
  Do("DEBUG SET-ACTIVE-EXPIRE 0");
  Expect({{"MULTI", "+OK"}, {"RPUSH l a", "+QUEUED"}, {"PEXPIREAT l 1", "+QUEUED"}, {"EXEC", "[:1, :1]"}});
  EXPECT_EQ(client->Read(kSilence), "timeout");
  EXPECT_EQ(Do("RPUSH l b"), ":1");
  EXPECT_EQ(client->Read(), "[\"l\", \"b\"]");
}

TEST_P(BlockingTest, LaterCommandsOfTheClientComeAfterTheReply) {
  auto client = Connect();
  client->SendRaw("BLPOP l 0\r\nLLEN l\r\nBLPOP l 0\r\nPING\r\n");
  ASSERT_TRUE(Eventually([&] { return Waiting() == 1; }));
  EXPECT_EQ(client->Read(kSilence), "timeout");
  EXPECT_EQ(Do("RPUSH l a"), ":1");
  EXPECT_EQ(client->Read(), "[\"l\", \"a\"]");
  EXPECT_EQ(client->Read(), ":0");
  EXPECT_EQ(client->Read(kSilence), "timeout");
  EXPECT_EQ(Do("RPUSH l b"), ":1");
  EXPECT_EQ(client->Read(), "[\"l\", \"b\"]");
  EXPECT_EQ(client->Read(), "+PONG");
}

TEST_P(BlockingTest, ManyPushesInOnePipelineServeEachItsOwn) {
  auto first = Wait("BLPOP l 0"), second = Wait("BRPOP l 0"), third = Wait("BLMOVE l m LEFT LEFT 0");
  c_->SendRaw("SET a 1\r\nRPUSH l 1\r\nSET a 2\r\nRPUSH l 2\r\nLLEN l\r\nRPUSH l 3 4\r\nLLEN l\r\nGET a\r\n");
  for (const char* reply : {"+OK", ":1", "+OK", ":1", ":0", ":2", ":1", "\"2\""}) EXPECT_EQ(c_->Read(), reply);
  EXPECT_EQ(first->Read(), "[\"l\", \"1\"]");
  EXPECT_EQ(second->Read(), "[\"l\", \"2\"]");
  EXPECT_EQ(third->Read(), "\"3\"");
}

TEST_P(BlockingTest, ClientUnblockEndsAWait) {
  auto client = Connect(), other = Connect();
  const std::string id = IdOf(*client), others_id = IdOf(*other);
  const auto wait = [&] {
    client->Send({"BLPOP", "l", "m", "0"});
    ASSERT_TRUE(Eventually([&] { return Waiting() == 1; }));
  };
  wait();
  EXPECT_THAT(Do("CLIENT LIST ID " + id), HasSubstr(" flags=b "));
  EXPECT_EQ(Do("CLIENT UNBLOCK " + id), ":1");
  EXPECT_EQ(client->Read(), "nil");
  EXPECT_THAT(Do("CLIENT LIST ID " + id), HasSubstr(" flags=N "));
  wait();
  EXPECT_EQ(Do("CLIENT UNBLOCK " + id + " TIMEOUT"), ":1");
  EXPECT_EQ(client->Read(), "nil");
  wait();
  Expect({{"MULTI", "+OK"}, {"SET l v", "+QUEUED"}, {"CLIENT UNBLOCK " + id + " error", "+QUEUED"}, {"EXEC", "[+OK, :1]"}});
  EXPECT_EQ(client->Read(), "-UNBLOCKED client unblocked via CLIENT UNBLOCK");
  Expect({{"CLIENT UNBLOCK " + id, ":0"}, {"CLIENT UNBLOCK " + others_id, ":0"}, {"CLIENT UNBLOCK 999999", ":0"},
          {"CLIENT UNBLOCK -1", ":0"}, {"DEL l", ":1"}, {"RPUSH l a", ":1"}, {"LLEN l", ":1"}});
  ExpectError({"CLIENT UNBLOCK 1 oops", "CLIENT UNBLOCK x oops"}, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
  ExpectError({"CLIENT UNBLOCK x"}, "ERR value is not an integer or out of range");
  EXPECT_TRUE(NobodyWaits());
}

TEST_P(BlockingTest, AClientThatIsGoneTakesNothing) {
  auto gone = Wait("BLPOP l 0"), half_closed = Wait("BLPOP l m 0"), killed = Wait("BLMOVE l m LEFT LEFT 0"), left = Wait("BRPOP l 0");
  gone->Close();
  half_closed->ShutdownWrite();
  ASSERT_TRUE(Eventually([&] { return Waiting() == 2; }));
  const std::string list = Do("CLIENT LIST");
  const size_t cmd = list.find(" cmd=blmove "), line = list.rfind("id=", cmd);
  EXPECT_EQ(Do("CLIENT KILL ID " + list.substr(line + 3, list.find(' ', line) - line - 3)), ":1");
  ASSERT_TRUE(Eventually([&] { return Waiting() == 1; }));
  EXPECT_EQ(killed->Read(), "closed");
  EXPECT_EQ(half_closed->Read(), "closed");
  EXPECT_EQ(Do("RPUSH l a"), ":1");
  EXPECT_EQ(left->Read(), "[\"l\", \"a\"]");
  EXPECT_TRUE(NobodyWaits());
  // Its end comes with the command, when the worker looks at both at once.
  auto hasty = Connect();
  c_->Send({"DEBUG", "SLEEP", "0.05"});
  hasty->SendRaw("BLPOP l 0\r\n");
  hasty->ShutdownWrite();
  EXPECT_EQ(hasty->Read(), "closed");
  EXPECT_EQ(c_->Read(), "+OK");
  EXPECT_TRUE(NobodyWaits());
  Expect({{"RPUSH l a", ":1"}, {"LLEN l", ":1"}});
}

TEST_P(BlockingTest, AClientWithoutRepliesTakesAllTheSame) {
  auto client = Connect();
  client->SendRaw("CLIENT REPLY OFF\r\nBLPOP l 0\r\nSET done 1\r\nCLIENT REPLY ON\r\n");
  ASSERT_TRUE(Eventually([&] { return Waiting() == 1; }));
  Expect({{"RPUSH l a", ":1"}, {"LLEN l", ":0"}});
  EXPECT_EQ(client->Read(), "+OK");
  EXPECT_EQ(Do("GET done"), "\"1\"");
}

TEST_P(BlockingTest, WhoBecomesAReplicaLetsNobodyWait) {
  auto pop = Wait("BLPOP l 0"), other = Connect();
  EXPECT_EQ(Do("REPLICAOF 127.0.0.1 1"), "+OK");
  EXPECT_EQ(pop->Read(), "-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)");
  EXPECT_EQ(pop->Read(), "closed");
  EXPECT_EQ(other->Do("PING"), "+PONG");
  EXPECT_EQ(Do("BLPOP l 0").substr(0, 9), "-READONLY");
  EXPECT_EQ(Do("REPLICAOF NO ONE"), "+OK");
  auto again = Wait("BLPOP l 0");
  EXPECT_EQ(Do("RPUSH l a"), ":1");
  EXPECT_EQ(again->Read(), "[\"l\", \"a\"]");
}

TEST_P(BlockingTest, APauseOfWritesEndsNoWaitButItsTimeDoes) {
  auto client = Wait("BLPOP l 0"), timed = Wait("BLPOP l 0.2"), pusher = Connect();
  EXPECT_EQ(Do("CLIENT PAUSE 100000 WRITE"), "+OK");
  pusher->Send({"RPUSH", "l", "a"});
  EXPECT_EQ(timed->Read(), "nil");
  EXPECT_EQ(client->Read(kSilence), "timeout");
  EXPECT_EQ(Do("CLIENT UNPAUSE"), "+OK");
  EXPECT_EQ(pusher->Read(), ":1");
  EXPECT_EQ(client->Read(), "[\"l\", \"a\"]");
}

TEST_P(BlockingTest, TheEndOfAnEarlierPauseEndsNoWait) {
  auto client = Connect();
  EXPECT_EQ(Do("CLIENT PAUSE 250 WRITE"), "+OK");
  client->Send({"SET", "k", "v"});
  ASSERT_TRUE(Eventually([&] { return Waiting() == 1; }));
  EXPECT_EQ(Do("CLIENT UNPAUSE"), "+OK");
  EXPECT_EQ(client->Read(), "+OK");
  client->SendRaw("BLPOP l 0\r\nSET done 1\r\n");
  EXPECT_EQ(client->Read(300), "timeout");
  EXPECT_EQ(Do("GET done"), "nil");
  EXPECT_EQ(Do("RPUSH l a"), ":1");
  EXPECT_EQ(client->Read(), "[\"l\", \"a\"]");
  EXPECT_EQ(client->Read(), "+OK");
}

TEST_P(BlockingTest, WatchesOfAKeyThatIsWaitedForAreToldOfBoth) {
  auto client = Wait("BLPOP l 0"), watcher = Connect();
  EXPECT_EQ(watcher->Do("WATCH l"), "+OK");
  EXPECT_EQ(Do("RPUSH l a"), ":1");
  EXPECT_EQ(client->Read(), "[\"l\", \"a\"]");
  watcher->Do("MULTI");
  watcher->Do("PING");
  EXPECT_EQ(watcher->Do("EXEC"), "nil");
}

TEST_P(BlockingTest, WhoNeedsALockThatIsTakenIsServedWhenItIsFree) {
  if (GetParam() == 1) return;  // a single worker takes no locks
  store::Keyspace& keyspace = server_->keyspace();
  const auto shard_of = [&](const std::string& key) { return keyspace.ShardIndex(keyspace.Hash(key)); };
  std::string to = "to";
  while (shard_of(to) == shard_of("from")) to += "x";
  auto mover = Wait("BLMOVE from " + to + " LEFT LEFT 0"), next = Wait("BLPOP from 0"), pusher = Connect();
  {
    const store::OneShardGuard guard(keyspace, keyspace.shard(shard_of(to)));
    pusher->Send({"RPUSH", "from", "a"});
    EXPECT_EQ(mover->Read(kSilence), "timeout");
    EXPECT_EQ(next->Read(1), "timeout") << "it came later";
  }
  EXPECT_EQ(mover->Read(), "\"a\"");
  EXPECT_EQ(pusher->Read(), ":1");
  Expect({{"LRANGE " + to + " 0 -1", "[\"a\"]"}, {"RPUSH from b", ":1"}});
  EXPECT_EQ(next->Read(), "[\"from\", \"b\"]");
}

// Producers and consumers on keys of many shards, consumers that wait for several, some of which give up or go: each
// element is taken once, and those of one producer in their order where one consumer takes all of a list.
TEST_P(BlockingTest, ManyProducersAndConsumersLoseAndDoubleNothing) {
  constexpr int kKeys = 5, kProducers = 3, kConsumers = 4, kElements = 300;
  std::mutex mutex;
  std::map<std::string, int> taken;
  std::atomic<int> left{kProducers * kElements};
  std::vector<std::thread> threads;
  const auto note = [&](const std::string& reply) {
    const size_t end = reply.rfind('"'), begin = reply.rfind('"', end - 1);
    std::lock_guard lock(mutex);
    ++taken[reply.substr(begin + 1, end - begin - 1)];
    --left;
  };
  for (int c = 0; c < kConsumers; ++c) {
    threads.emplace_back([&, c] {
      RespClient client(server_->port());
      for (int i = c; left > 0; ++i) {
        const std::string a = "q" + std::to_string(i % kKeys), b = "q" + std::to_string((i * 3 + 1) % kKeys);
        std::string reply;
        if (c % 2 == 0) {
          reply = client.Do("BLPOP " + a + " " + b + " q0 q1 q2 q3 q4 0.02");
        } else {
          client.Do("BLMOVE " + a + " q" + std::to_string((i + 1) % kKeys) + " LEFT RIGHT 0.002");
          continue;
        }
        if (reply != "nil") note(reply);
      }
    });
  }
  for (int p = 0; p < kProducers; ++p) {
    threads.emplace_back([&, p] {
      RespClient client(server_->port());
      for (int i = 0; i < kElements; ++i) {
        const std::string element = std::to_string(p) + "-" + std::to_string(i);
        const std::string key = "q" + std::to_string((i + p) % kKeys);
        if (i % 10 == 0) {
          client.Do("MULTI");
          client.Do("RPUSH " + key + " " + element);
          EXPECT_EQ(client.Do("EXEC").front(), '[');
        } else {
          EXPECT_EQ(client.Do("RPUSH " + key + " " + element).front(), ':');
        }
      }
    });
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(taken.size(), static_cast<size_t>(kProducers * kElements));
  for (const auto& [element, times] : taken) EXPECT_EQ(times, 1) << element;
  EXPECT_EQ(Do("EXISTS q0 q1 q2 q3 q4"), ":0");
  EXPECT_TRUE(NobodyWaits());
}

// Ends of waits race with what would serve them: an element is in the list, or with the client that was told.
TEST_P(BlockingTest, AnElementIsEitherTakenOrLeftWhenAWaitEndsAtThatMoment) {
  auto client = Connect(), ender = Connect();
  const std::string id = IdOf(*client);
  int served = 0;
  for (int i = 0; i < 300; ++i) {
    client->Send({"BLPOP", "l", "0.002"});
    if (i % 3 == 1) ender->Send({"CLIENT", "UNBLOCK", id});
    if (i % 3 == 2) std::this_thread::sleep_for(std::chrono::microseconds(1900));
    ASSERT_EQ(Do("RPUSH l x"), ":1");
    const std::string reply = client->Read();
    if (i % 3 == 1) ender->Read();
    if (reply == "[\"l\", \"x\"]") {
      ASSERT_EQ(Do("LLEN l"), ":0");
      ++served;
    } else {
      ASSERT_EQ(reply, "nil");
      ASSERT_EQ(Do("DEL l"), ":1");
    }
  }
  EXPECT_GT(served, 0);
  EXPECT_TRUE(NobodyWaits());
}

// ---------------------------------------------------------------------------------------------- sorted sets

TEST_P(BlockingTest, MembersOfSortedSetsAreTakenByWhoWaitsForThem) {
  auto min = Wait("BZPOPMIN y z 0"), max = Wait("BZPOPMAX w 0");
  EXPECT_EQ(Do("ZADD z 2 b 1 a"), ":2");
  EXPECT_EQ(min->Read(), "[\"z\", \"a\", \"1\"]");
  EXPECT_EQ(Do("ZADD w 1 a 2 b"), ":2");
  EXPECT_EQ(max->Read(), "[\"w\", \"b\", \"2\"]");
  auto some = Wait("BZMPOP 0 2 u v MAX COUNT 2");
  EXPECT_EQ(Do("ZADD v 1 a 2 b 3 c"), ":3");
  EXPECT_EQ(some->Read(), "[\"v\", [[\"c\", \"3\"], [\"b\", \"2\"]]]");
  Expect({{"ZRANGE z 0 -1", "[\"b\"]"}, {"ZRANGE w 0 -1", "[\"a\"]"}, {"ZRANGE v 0 -1", "[\"a\"]"}});
  Expect({{"BZPOPMIN none z 0", "[\"z\", \"b\", \"2\"]"}, {"BZMPOP 0 1 v MIN", "[\"v\", [[\"a\", \"1\"]]]"}});
  EXPECT_TRUE(NobodyWaits());
}

TEST_P(BlockingTest, WhoWaitsForASortedSetIsNotServedByAnotherType) {
  auto client = Wait("BZPOPMIN z 0");
  EXPECT_EQ(Do("RPUSH z x"), ":1");
  EXPECT_EQ(Waiting(), 1u);
  EXPECT_EQ(Do("DEL z"), ":1");
  EXPECT_EQ(Do("ZADD z 1 a"), ":1");
  EXPECT_EQ(client->Read(), "[\"z\", \"a\", \"1\"]");
}

TEST_P(BlockingTest, RequestsForMembersThatMakeNoSenseAreRefused) {
  Expect({{"BZPOPMIN z 0.01", "nil"},
          {"BZMPOP 0.01 1 z MIN", "nil"},
          {"BZPOPMAX z soon", "-ERR timeout is not a float or out of range"},
          {"BZPOPMIN z -1", "-ERR timeout is negative"},
          {"BZMPOP 0 0 z MIN", "-ERR numkeys should be greater than 0"},
          {"BZMPOP 0 1 z MIDDLE", "-ERR syntax error"},
          {"BZMPOP 0 2 z MIN", "-ERR syntax error"},
          {"BZMPOP 0 1 z MIN COUNT 0", "-ERR count should be greater than 0"},
          {"BZMPOP 0 1 z MIN COUNT", "-ERR syntax error"},
          {"SET z 1", "+OK"},
          {"BZPOPMIN z 0", "-WRONGTYPE Operation against a key holding the wrong kind of value"}});
}

// ---------------------------------------------------------------------------------------------- streams

TEST_P(BlockingTest, EntriesOfStreamsAreGivenToAllWhoWaitForThem) {
  EXPECT_EQ(Do("XADD s 1-1 a 1"), "\"1-1\"");
  auto one = Wait("XREAD BLOCK 0 STREAMS t s $ $"), other = Wait("XREAD COUNT 5 BLOCK 0 STREAMS s 1-1");
  EXPECT_EQ(Do("RPUSH t x"), ":1") << "whatever t has become";
  EXPECT_EQ(Do("XADD s 2-1 b 2"), "\"2-1\"");
  for (RespClient* client : {one.get(), other.get()}) {
    EXPECT_EQ(client->Read(), "[[\"s\", [[\"2-1\", [\"b\", \"2\"]]]]]");
  }
  auto late = Wait("XREAD BLOCK 0 STREAMS none +");
  EXPECT_EQ(Do("XADD none 1-1 a 1"), "\"1-1\"");
  EXPECT_EQ(late->Read(), "[[\"none\", [[\"1-1\", [\"a\", \"1\"]]]]]");
  Expect({{"XREAD BLOCK 0 STREAMS none +", "[[\"none\", [[\"1-1\", [\"a\", \"1\"]]]]]"},
          {"XREAD BLOCK 10 STREAMS s $", "nil"},
          {"XREAD BLOCK x STREAMS s $", "-ERR timeout is not an integer or out of range"},
          {"XREAD BLOCK -1 STREAMS s $", "-ERR timeout is negative"}});
  EXPECT_TRUE(NobodyWaits());
}

TEST_P(BlockingTest, AConsumerGetsWhatComesAndEachEntryGoesToOne) {
  EXPECT_EQ(Do("XGROUP CREATE s g $ MKSTREAM"), "+OK");
  auto first = Wait("XREADGROUP GROUP g c1 BLOCK 0 STREAMS s >"), second = Wait("XREADGROUP GROUP g c2 BLOCK 0 STREAMS s >");
  EXPECT_EQ(Do("XADD s 1-1 a 1"), "\"1-1\"");
  EXPECT_EQ(first->Read(), "[[\"s\", [[\"1-1\", [\"a\", \"1\"]]]]]");
  EXPECT_EQ(Waiting(), 1u);
  EXPECT_EQ(Do("XADD s 2-1 b 2"), "\"2-1\"");
  EXPECT_EQ(second->Read(), "[[\"s\", [[\"2-1\", [\"b\", \"2\"]]]]]");
  EXPECT_EQ(Do("XPENDING s g"), "[:2, \"1-1\", \"2-1\", [[\"c1\", \"1\"], [\"c2\", \"1\"]]]");
}

TEST_P(BlockingTest, AConsumerIsToldWhenItsGroupOrItsStreamIsGone) {
  const std::string no_group = "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option";
  EXPECT_EQ(Do("XGROUP CREATE s g $ MKSTREAM"), "+OK");
  auto client = Wait("XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
  EXPECT_EQ(Do("XGROUP DESTROY s g"), ":1");
  EXPECT_EQ(client->Read(), no_group);
  EXPECT_NE(Do("INFO errorstats").find("errorstat_NOGROUP:count=1"), std::string::npos);
  EXPECT_NE(Do("INFO commandstats").find("rejected_calls=0,failed_calls=1"), std::string::npos);
  EXPECT_EQ(Do("XGROUP CREATE s g $"), "+OK");
  client = Wait("XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
  EXPECT_EQ(Do("DEL s"), ":1");
  EXPECT_EQ(client->Read(), no_group);
  EXPECT_EQ(Do("XGROUP CREATE s g $ MKSTREAM"), "+OK");
  client = Wait("XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
  EXPECT_EQ(Do("SET s 1"), "+OK");
  EXPECT_EQ(client->Read(), "-WRONGTYPE Operation against a key holding the wrong kind of value");
  EXPECT_TRUE(NobodyWaits());
}

TEST_P(BlockingTest, NobodyWaitsInATransaction) {
  Expect({{"MULTI", "+OK"}, {"XREAD BLOCK 0 STREAMS s $", "+QUEUED"}, {"BZPOPMIN z 0", "+QUEUED"}, {"EXEC", "[nil, nil]"}});
}

}  // namespace
}  // namespace understudy::command
