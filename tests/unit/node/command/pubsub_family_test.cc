#include <atomic>

#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

class PubsubTest : public ServerTest {
 protected:
  void Restart(std::vector<std::string> arguments) {
    c_.reset();
    server_.reset();
    StartServer(std::move(arguments));
    c_ = Connect();
  }
  // Sends a command with several answers, or whose answer is a push.
  void ExpectAnswers(RespClient& client, std::string_view command, const std::vector<std::string>& answers) {
    client.Send(test::SplitWords(command));
    for (const std::string& answer : answers) EXPECT_EQ(client.Read(), answer) << command;
  }
};

TEST_F(PubsubTest, AMessageReachesSubscribers) {
  auto listener = Connect();
  ExpectAnswers(*listener, "SUBSCRIBE a b a", {"[\"subscribe\", \"a\", :1]", "[\"subscribe\", \"b\", :2]", "[\"subscribe\", \"a\", :2]"});
  ExpectAnswers(*listener, "PSUBSCRIBE a* *", {"[\"psubscribe\", \"a*\", :3]", "[\"psubscribe\", \"*\", :4]"});
  Expect({{"PUBLISH none x", ":1"}, {"PUBLISH b hello", ":2"}});
  EXPECT_EQ(listener->Read(), "[\"pmessage\", \"*\", \"none\", \"x\"]");
  EXPECT_EQ(listener->Read(), "[\"message\", \"b\", \"hello\"]");
  EXPECT_EQ(listener->Read(), "[\"pmessage\", \"*\", \"b\", \"hello\"]");
  ExpectAnswers(*listener, "UNSUBSCRIBE a x", {"[\"unsubscribe\", \"a\", :3]", "[\"unsubscribe\", \"x\", :3]"});
  ExpectAnswers(*listener, "UNSUBSCRIBE", {"[\"unsubscribe\", \"b\", :2]"});
  ExpectAnswers(*listener, "UNSUBSCRIBE", {"[\"unsubscribe\", nil, :2]"});
  ExpectAnswers(*listener, "PUNSUBSCRIBE * a*", {"[\"punsubscribe\", \"*\", :1]", "[\"punsubscribe\", \"a*\", :0]"});
  ExpectAnswers(*listener, "PUNSUBSCRIBE", {"[\"punsubscribe\", nil, :0]"});
  EXPECT_EQ(listener->Do("GET k"), "nil");
  Expect({{"PUBLISH b hello", ":0"}});
}

TEST_F(PubsubTest, AnEmptyNameMatchesNoPattern) {
  auto listener = Connect();
  ExpectAnswers(*listener, "SUBSCRIBE ''", {"[\"subscribe\", \"\", :1]"});
  ExpectAnswers(*listener, "PSUBSCRIBE *", {"[\"psubscribe\", \"*\", :2]"});
  Expect({{"PUBLISH '' x", ":1"}, {"PUBSUB CHANNELS", "[\"\"]"}, {"PUBSUB CHANNELS *", "[]"}});
}

TEST_F(PubsubTest, ShardChannelsAreApart) {
  auto listener = Connect();
  ExpectAnswers(*listener, "SSUBSCRIBE a b", {"[\"ssubscribe\", \"a\", :1]", "[\"ssubscribe\", \"b\", :2]"});
  ExpectAnswers(*listener, "SUBSCRIBE a", {"[\"subscribe\", \"a\", :1]"});
  Expect({{"SPUBLISH a one", ":1"}, {"PUBLISH b two", ":0"}});
  EXPECT_EQ(listener->Read(), "[\"smessage\", \"a\", \"one\"]");
  Expect({{"PUBSUB SHARDNUMSUB a none", "[\"a\", :1, \"none\", :0]"}, {"PUBSUB SHARDCHANNELS a*", "[\"a\"]"}});
  ExpectAnswers(*listener, "SUNSUBSCRIBE a", {"[\"sunsubscribe\", \"a\", :1]"});
  ExpectAnswers(*listener, "SUNSUBSCRIBE", {"[\"sunsubscribe\", \"b\", :0]"});
  ExpectAnswers(*listener, "SUNSUBSCRIBE", {"[\"sunsubscribe\", nil, :0]"});
}

TEST_F(PubsubTest, ASubscriberOfResp2MayDoLittleElse) {
  ExpectAnswers(*c_, "SUBSCRIBE a", {"[\"subscribe\", \"a\", :1]"});
  const std::string only = "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context";
  Expect({{"GET k", "-ERR Can't execute 'get" + only},
          {"set k v", "-ERR Can't execute 'set" + only},
          {"CONFIG GET x", "-ERR Can't execute 'config|get" + only},
          {"MULTI", "-ERR Can't execute 'multi" + only},
          {"HELLO 3", "-ERR Can't execute 'hello" + only},
          {"GET", "-ERR wrong number of arguments for 'get' command"},
          {"PING", "[\"pong\", \"\"]"},
          {"PING hi", "[\"pong\", \"hi\"]"},
          {"RESET", "+RESET"},
          {"GET k", "nil"},
          {"PUBLISH a x", ":0"},
          {"PUBSUB CHANNELS", "[]"}});
  ExpectAnswers(*c_, "SSUBSCRIBE a", {"[\"ssubscribe\", \"a\", :1]"});
  Expect({{"GET k", "-ERR Can't execute 'get" + only}, {"QUIT", "+OK"}});
}

TEST_F(PubsubTest, UnderResp3MessagesArePushes) {
  auto client = Connect(3);
  ExpectAnswers(*client, "SUBSCRIBE a", {">[\"subscribe\", \"a\", :1]"});
  EXPECT_EQ(client->Do("SET k v"), "+OK");
  EXPECT_EQ(client->Do("PING"), "+PONG");
  // Its own message comes after the answer.
  ExpectAnswers(*client, "PUBLISH a one", {":1", ">[\"message\", \"a\", \"one\"]"});
  ExpectAnswers(*client, "UNSUBSCRIBE", {">[\"unsubscribe\", \"a\", :0]"});
  ExpectAnswers(*client, "UNSUBSCRIBE", {">[\"unsubscribe\", nil, :0]"});
  // A protocol chosen later holds for messages, too.
  ExpectAnswers(*client, "SUBSCRIBE a", {">[\"subscribe\", \"a\", :1]"});
  EXPECT_EQ(client->Do("HELLO 2").front(), '[');
  EXPECT_EQ(client->Do("GET k").substr(0, 24), "-ERR Can't execute 'get'");
  Expect({{"PUBLISH a two", ":1"}});
  EXPECT_EQ(client->Read(), "[\"message\", \"a\", \"two\"]");
}

TEST_F(PubsubTest, MessagesComeAlsoWhenRepliesAreOff) {
  auto client = Connect(3);
  client->Send({"CLIENT", "REPLY", "OFF"});
  ExpectAnswers(*client, "SUBSCRIBE a", {">[\"subscribe\", \"a\", :1]"});
  client->Send({"GET", "k"});
  Expect({{"PUBLISH a x", ":1"}});
  EXPECT_EQ(client->Read(), ">[\"message\", \"a\", \"x\"]");
  EXPECT_EQ(client->Do("CLIENT REPLY ON"), "+OK");
}

TEST_F(PubsubTest, InsideATransaction) {
  auto client = Connect(3);
  ExpectAnswers(*client, "SUBSCRIBE a b", {">[\"subscribe\", \"a\", :1]", ">[\"subscribe\", \"b\", :2]"});
  for (const char* command : {"PING x", "PUBLISH a 1", "PUBLISH b 2", "UNSUBSCRIBE b", "SSUBSCRIBE s"}) {
    if (std::string(command) == "PING x") {
      EXPECT_EQ(client->Do("MULTI"), "+OK");
    }
    EXPECT_EQ(client->Do(command), "+QUEUED") << command;
  }
  // Messages to the client itself come behind.
  ExpectAnswers(*client, "EXEC",
                {"[\"x\", :1, :1, >[\"unsubscribe\", \"b\", :1], -ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client]",
                 ">[\"message\", \"a\", \"1\"]", ">[\"message\", \"b\", \"2\"]"});
  EXPECT_EQ(client->Do("GET k"), "nil");
  // Also to one that began to listen there.
  auto fresh = Connect();
  Expect({{"MULTI", "+OK"}, {"SUBSCRIBE c", "+QUEUED"}, {"PUBLISH c 3", "+QUEUED"}});
  ExpectAnswers(*c_, "EXEC", {"[[\"subscribe\", \"c\", :1], :1]", "[\"message\", \"c\", \"3\"]"});
}

TEST_F(PubsubTest, OnesOwnMessagesArePartOfTheOrder) {
  auto client = Connect(3);
  client->SendRaw(test::EncodeCommand({"SUBSCRIBE", "a"}) + test::EncodeCommand({"PUBLISH", "a", "1"}) +
                  test::EncodeCommand({"UNSUBSCRIBE", "a"}) + test::EncodeCommand({"PUBLISH", "a", "2"}));
  for (const char* answer : {">[\"subscribe\", \"a\", :1]", ":1", ">[\"message\", \"a\", \"1\"]",
                             ">[\"unsubscribe\", \"a\", :0]", ":0"}) {
    EXPECT_EQ(client->Read(), answer);
  }
}

TEST_F(PubsubTest, PubsubTellsWhoListens) {
  auto a = Connect(), b = Connect();
  ExpectAnswers(*a, "SUBSCRIBE x xy", {"[\"subscribe\", \"x\", :1]", "[\"subscribe\", \"xy\", :2]"});
  ExpectAnswers(*b, "SUBSCRIBE x", {"[\"subscribe\", \"x\", :1]"});
  ExpectAnswers(*b, "PSUBSCRIBE p*", {"[\"psubscribe\", \"p*\", :2]"});
  ExpectAnswers(*a, "PSUBSCRIBE p*", {"[\"psubscribe\", \"p*\", :3]"});
  Expect({{"PUBSUB CHANNELS ?", "[\"x\"]"}, {"PUBSUB CHANNELS ''", "[]"}, {"PUBSUB NUMSUB", "[]"},
          {"PUBSUB NUMSUB x y xy", "[\"x\", :2, \"y\", :0, \"xy\", :1]"}, {"PUBSUB NUMPAT", ":1"},
          {"PUBSUB SHARDCHANNELS", "[]"}});
  EXPECT_EQ(Do("PUBSUB HELP").substr(0, 60), "[+PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands");
  ExpectError({"PUBSUB CHANNELS a b"}, "ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP.");
  ExpectError({"PUBSUB NUMPAT x"}, "ERR wrong number of arguments for 'pubsub|numpat' command");
  const std::string info = Do("INFO everything");
  for (const char* line : {"pubsub_channels:2\r", "pubsub_patterns:1\r", "pubsubshard_channels:0\r", "pubsub_clients:2\r"}) {
    EXPECT_NE(info.find(line), std::string::npos) << line;
  }
  const std::string list = Do("CLIENT LIST TYPE pubsub");
  EXPECT_NE(list.find(" flags=P capa= db=0 sub=2 psub=1 ssub=0 "), std::string::npos) << list;
  EXPECT_NE(list.find(" flags=P capa= db=0 sub=1 psub=1 ssub=0 "), std::string::npos) << list;
  EXPECT_EQ(list.find("flags=N"), std::string::npos);
  EXPECT_EQ(Do("CLIENT LIST TYPE normal").find("flags=P"), std::string::npos);
  // Who goes listens no more.
  EXPECT_EQ(Do("CLIENT KILL TYPE pubsub"), ":2");
  EXPECT_TRUE(Eventually([&] { return Do("PUBSUB CHANNELS") == "[]" && Do("PUBSUB NUMPAT") == ":0"; }));
  EXPECT_EQ(a->Read(), "closed");
}

TEST_F(PubsubTest, TooFewArgumentsAreRefused) {
  ExpectError({"SUBSCRIBE"}, "ERR wrong number of arguments for 'subscribe' command");
  ExpectError({"PUBLISH a"}, "ERR wrong number of arguments for 'publish' command");
  ExpectError({"SPUBLISH a"}, "ERR wrong number of arguments for 'spublish' command");
}

TEST_F(PubsubTest, ASubscriberThatDoesNotReadIsClosed) {
  ASSERT_EQ(Do("CONFIG SET client-output-buffer-limit 'pubsub 8mb 0 0'"), "+OK");
  Expect({{"CONFIG GET client-output-buffer-limit",
           "[\"client-output-buffer-limit\", \"normal 0 0 0 slave 268435456 67108864 60 pubsub 8388608 0 0\"]"}});
  auto slow = Connect(), quick = Connect();
  ExpectAnswers(*slow, "SUBSCRIBE a", {"[\"subscribe\", \"a\", :1]"});
  ExpectAnswers(*quick, "SUBSCRIBE a", {"[\"subscribe\", \"a\", :1]"});
  const std::string text(100'000, 'x'), message = "[\"message\", \"a\", \"" + text + "\"]";
  bool alone = false;
  for (int i = 0; i < 2000 && !alone; ++i) {
    alone = c_->Do({"PUBLISH", "a", text}) == ":1";
    ASSERT_EQ(quick->Read(), message);
  }
  EXPECT_TRUE(alone);
  EXPECT_NE(Do("INFO stats").find("client_output_buffer_limit_disconnections:1\r"), std::string::npos);
}

TEST_F(PubsubTest, TheIdleTimeoutIsNotForSubscribers) {
  ASSERT_EQ(Do("CONFIG SET timeout 1"), "+OK");
  auto listener = Connect(), idle = Connect();
  ExpectAnswers(*listener, "SUBSCRIBE a", {"[\"subscribe\", \"a\", :1]"});
  EXPECT_EQ(idle->Do("PING"), "+PONG");
  EXPECT_EQ(idle->Read(), "closed");
  EXPECT_EQ(listener->Do("PING"), "[\"pong\", \"\"]");
}

TEST_F(PubsubTest, AMessageOfThePrimaryReachesSubscribersOfItsReplica) {
  const auto primary_config = std::move(config_);
  const auto primary = std::move(server_);
  auto at_primary = std::move(c_);
  StartServer({"--replicaof", "127.0.0.1", std::to_string(primary->port())});
  c_ = Connect();
  auto listener = Connect();
  ExpectAnswers(*listener, "SUBSCRIBE a", {"[\"subscribe\", \"a\", :1]"});
  ExpectAnswers(*listener, "SSUBSCRIBE a", {"[\"ssubscribe\", \"a\", :1]"});
  ASSERT_TRUE(Eventually([&] { return Do("INFO replication").find("master_link_status:up") != std::string::npos; }));
  EXPECT_EQ(at_primary->Do("PUBLISH a one"), ":0");
  EXPECT_EQ(at_primary->Do("SPUBLISH a two"), ":0");
  EXPECT_EQ(at_primary->Do("MULTI"), "+OK");
  EXPECT_EQ(at_primary->Do("PUBLISH a three"), "+QUEUED");
  EXPECT_EQ(at_primary->Do("SET k v"), "+QUEUED");
  EXPECT_EQ(at_primary->Do("EXEC"), "[:0, +OK]");
  EXPECT_EQ(listener->Read(), "[\"message\", \"a\", \"one\"]");
  EXPECT_EQ(listener->Read(), "[\"smessage\", \"a\", \"two\"]");
  EXPECT_EQ(listener->Read(), "[\"message\", \"a\", \"three\"]");
  // One that is published at the replica stays there, and is no write.
  Expect({{"PUBLISH a four", ":1"}});
  EXPECT_EQ(listener->Read(), "[\"message\", \"a\", \"four\"]");
  EXPECT_TRUE(Eventually([&] { return Do("GET k") == "\"v\""; }));
  server_.reset();
}

TEST_F(PubsubTest, MessagesCrossWorkers) {
  Restart({"--workers", "3"});
  constexpr int kListeners = 9, kPublishers = 3, kMessages = 500;
  std::vector<std::thread> threads;
  std::atomic<int> ready{0};
  std::atomic<bool> failed{false};
  for (int i = 0; i < kListeners; ++i) {
    threads.emplace_back([&, i] {
      RespClient listener(server_->port());
      listener.Do(i % 2 ? "SUBSCRIBE news" : "PSUBSCRIBE n*s");
      ++ready;
      // Each publisher's messages come whole and in order.
      std::vector<int> next(kPublishers, 0);
      for (int n = 0; n < kPublishers * kMessages; ++n) {
        const std::string message = listener.Read(20'000);
        const size_t colon = message.rfind(':');
        if (colon == std::string::npos || message.find("timeout") != std::string::npos) {
          failed = true;
          return;
        }
        const size_t publisher = static_cast<size_t>(message[colon - 1] - '0');
        if (std::stoi(message.substr(colon + 1)) != next[publisher]++) failed = true;
      }
    });
  }
  // Others come and go.
  std::atomic<bool> stop{false};
  threads.emplace_back([&] {
    while (!stop) {
      RespClient visitor(server_->port());
      visitor.Send({"SUBSCRIBE", "news", "other"});
      visitor.Read();
    }
  });
  ASSERT_TRUE(Eventually([&] { return ready == kListeners; }));
  std::vector<std::thread> publishers;
  for (int p = 0; p < kPublishers; ++p) {
    publishers.emplace_back([&, p] {
      RespClient publisher(server_->port());
      for (int i = 0; i < kMessages; ++i) {
        publisher.Send({"PUBLISH", "news", std::to_string(p) + ":" + std::to_string(i)});
        if (i % 10 == 9) {
          for (int k = 0; k < 10; ++k) {
            if (std::stoi(publisher.Read().substr(1)) < kListeners) failed = true;
          }
        }
      }
    });
  }
  for (std::thread& publisher : publishers) publisher.join();
  for (size_t i = 0; i < kListeners; ++i) threads[i].join();
  stop = true;
  threads.back().join();
  EXPECT_FALSE(failed);
  EXPECT_TRUE(Eventually([&] { return Do("PUBSUB NUMSUB news other") == "[\"news\", :0, \"other\", :0]"; }));
}

TEST_F(PubsubTest, WhoeverHasTheAnswerToPublishKnowsWhoGetsIt) {
  Restart({"--workers", "3"});
  // Clients on all workers, and a publisher: no message from before a subscription, each from before its end.
  std::vector<std::unique_ptr<RespClient>> clients;
  for (int i = 0; i < 6; ++i) clients.push_back(Connect(3));
  for (int round = 0; round < 300; ++round) {
    const std::string text = std::to_string(round);
    RespClient& client = *clients[static_cast<size_t>(round) % clients.size()];
    ExpectAnswers(client, "SUBSCRIBE a", {">[\"subscribe\", \"a\", :1]"});
    ASSERT_EQ(Do("PUBLISH a " + text), ":1");
    ExpectAnswers(client, "UNSUBSCRIBE a", {">[\"message\", \"a\", \"" + text + "\"]", ">[\"unsubscribe\", \"a\", :0]"});
    ASSERT_EQ(Do("PUBLISH a late"), ":0");
  }
}

TEST_F(PubsubTest, AFloodOfMessagesIsHeldBackNotDropped) {
  Restart({"--workers", "2"});
  ASSERT_EQ(Do("CONFIG SET client-output-buffer-limit 'pubsub 0 0 0'"), "+OK");
  auto listener = Connect();
  ExpectAnswers(*listener, "SUBSCRIBE a", {"[\"subscribe\", \"a\", :1]"});
  const std::string text(20'000, 'x');
  constexpr int kMessages = 3000;
  std::thread publisher([&] {
    RespClient client(server_->port());
    for (int i = 0; i < kMessages; ++i) client.Send({"PUBLISH", "a", text});
    for (int i = 0; i < kMessages; ++i) EXPECT_EQ(client.Read(20'000), ":1");
  });
  const std::string message = "[\"message\", \"a\", \"" + text + "\"]";
  for (int i = 0; i < kMessages; ++i) ASSERT_EQ(listener->Read(20'000), message);
  publisher.join();
}

}  // namespace
}  // namespace understudy::command
