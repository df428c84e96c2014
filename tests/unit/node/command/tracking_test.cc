// Client-side caching: CLIENT TRACKING and its kin, with clients on one worker and on several.
#include <gmock/gmock.h>

#include <atomic>
#include <map>

#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

using ::testing::HasSubstr;

std::string Invalid(const std::string& keys) { return ">[\"invalidate\", " + keys + "]"; }
std::string Message(const std::string& keys) { return "[\"message\", \"__redis__:invalidate\", " + keys + "]"; }

// c_ writes; clients get any of the workers.
class TrackingTest : public ServerTest, public ::testing::WithParamInterface<int> {
 protected:
  void SetUp() override {
    StartServer({"--workers", std::to_string(GetParam())});
    c_ = Connect();
  }
  std::unique_ptr<RespClient> Tracker(const std::string& options = "", int protocol = 3) {
    auto client = Connect(protocol);
    EXPECT_EQ(client->Do("CLIENT TRACKING ON " + options), "+OK");
    return client;
  }
  // Nothing came before the answer to this.
  static void ExpectSilence(RespClient& client) { EXPECT_EQ(client.Do("ECHO silence"), "\"silence\""); }
  static std::string IdOf(RespClient& client) { return client.Do("CLIENT ID").substr(1); }
  std::string Field(const std::string& section, const std::string& name) {
    const std::string info = Do("INFO " + section);
    const size_t at = info.find("\r\n" + name + ":");
    if (at == std::string::npos) return "missing";
    const size_t from = at + 3 + name.size();
    return info.substr(from, info.find('\r', from) - from);
  }
};

INSTANTIATE_TEST_SUITE_P(Workers, TrackingTest, ::testing::Values(1, 3));

TEST_P(TrackingTest, AChangeOfAKeyThatWasReadIsToldOnce) {
  auto client = Tracker();
  Expect({{"SET a 1", "+OK"}, {"SET b 1", "+OK"}});
  EXPECT_EQ(client->Do("GET a"), "\"1\"");
  EXPECT_EQ(client->Do("MGET b c"), "[\"1\", nil]");
  EXPECT_EQ(Field("stats", "tracking_total_keys"), "3");
  EXPECT_EQ(Field("stats", "tracking_total_items"), "3");
  EXPECT_EQ(Field("clients", "tracking_clients"), "1");
  Expect({{"SET a 2", "+OK"}});
  EXPECT_EQ(client->Read(), Invalid("[\"a\"]"));
  Expect({{"SET a 3", "+OK"}, {"APPEND c x", ":1"}});
  EXPECT_EQ(client->Read(), Invalid("[\"c\"]"));
  Expect({{"DEL b", ":1"}});
  EXPECT_EQ(client->Read(), Invalid("[\"b\"]"));
  EXPECT_EQ(Field("stats", "tracking_total_keys"), "0");
  EXPECT_EQ(Field("stats", "tracking_total_items"), "0");
}

TEST_P(TrackingTest, EveryKindOfChangeIsTold) {
  const std::vector<std::pair<std::string, std::string>> changes = {
      {"EXPIRE k 100", ":1"},  {"PERSIST k", ":1"},      {"RENAME k m", "+OK"},   {"RENAME m k", "+OK"},
      {"MOVE k 1", ":1"},      {"SET k 1", "+OK"},       {"SETRANGE k 0 x", ":1"}, {"COPY other k REPLACE", ":1"},
      {"DEL k", ":1"},         {"RPUSH k a b", ":2"},    {"LPOP k", "\"a\""},     {"DEL k", ":1"},
      {"HSET k f v", ":1"},    {"HDEL k f", ":1"},       {"ZADD k 1 m", ":1"},    {"ZREM k m", ":1"},
      {"SADD k m", ":1"},      {"UNLINK k", ":1"},       {"XADD k 1-1 f v", "\"1-1\""}, {"EVAL \"return redis.call('del', KEYS[1])\" 1 k", ":1"},
      {"PFADD k a", ":1"},     {"GETDEL k", "skip"},     {"SETEX k 100 v", "+OK"}, {"GETEX k PERSIST", "\"v\""}};
  Expect({{"MSET other 1 k 1", "+OK"}});
  auto client = Tracker();
  for (const auto& [command, answer] : changes) {
    EXPECT_THAT(client->Do("EXISTS k"), ::testing::StartsWith(":")) << command;
    const std::string got = Do(command);
    if (answer != "skip") {
      EXPECT_EQ(got, answer) << command;
    }
    EXPECT_EQ(client->Read(), Invalid("[\"k\"]")) << command;
  }
}

TEST_P(TrackingTest, WhatAClientChangesItselfIsToldBehindTheReply) {
  auto client = Tracker();
  EXPECT_EQ(client->Do("GET a"), "nil");
  EXPECT_EQ(client->Do("GET b"), "nil");
  client->SendRaw("SET a 1\r\nSET b 1\r\nGET a\r\n");
  for (const std::string& word : {std::string("+OK"), Invalid("[\"a\"]"), std::string("+OK"), Invalid("[\"b\"]"), std::string("\"1\"")}) {
    EXPECT_EQ(client->Read(), word);
  }
  // Of a transaction behind all its answers.
  client->SendRaw("GET b\r\nMULTI\r\nINCR a\r\nGET b\r\nINCR b\r\nEXEC\r\n");
  for (const std::string& word : {std::string("\"1\""), std::string("+OK"), std::string("+QUEUED"), std::string("+QUEUED"),
                                  std::string("+QUEUED"), std::string("[:2, \"1\", :2]"), Invalid("[\"a\"]"), Invalid("[\"b\"]")}) {
    EXPECT_EQ(client->Read(), word);
  }
  EXPECT_EQ(client->Do("GET a"), "\"2\"");
  EXPECT_EQ(client->Do("FLUSHALL"), "+OK");
  EXPECT_EQ(client->Read(), Invalid("nil"));
}

TEST_P(TrackingTest, NoLoopSparesAClientItsOwnChanges) {
  auto client = Tracker("NOLOOP");
  EXPECT_EQ(client->Do("MGET a b c"), "[nil, nil, nil]");
  EXPECT_EQ(client->Do("SET a 1"), "+OK");
  EXPECT_EQ(client->Do("EVAL \"return redis.call('set', 'b', 1)\" 0"), "+OK");
  ExpectSilence(*client);
  Expect({{"SET c 1", "+OK"}});
  EXPECT_EQ(client->Read(), Invalid("[\"c\"]"));
}

TEST_P(TrackingTest, ReadsInTransactionsAndScriptsAreEntered) {
  auto client = Tracker();
  for (const char* command : {"MULTI", "GET a", "EXEC"}) client->Do(command);
  EXPECT_EQ(client->Do("EVAL \"redis.call('get', KEYS[1]); return redis.call('get', 'undeclared')\" 1 b"), "nil");
  EXPECT_EQ(client->Do("EVAL_RO \"return redis.call('exists', KEYS[1])\" 2 c d"), ":0");
  EXPECT_EQ(Field("stats", "tracking_total_keys"), "4");
  for (const char* key : {"a", "b", "c", "undeclared"}) {
    Expect({{std::string("SET ") + key + " 1", "+OK"}});
    EXPECT_EQ(client->Read(), Invalid("[\"" + std::string(key) + "\"]"));
  }
}

TEST_P(TrackingTest, AReaderThatWaitsIsToldOfWhatItRead) {
  auto client = Tracker();
  client->Send({"XREAD", "BLOCK", "0", "STREAMS", "s", "0-0"});
  EXPECT_TRUE(Eventually([&] { return Field("clients", "blocked_clients") == "1"; }));
  Expect({{"XADD s 1-1 f v", "\"1-1\""}});
  // It was entered when it began to wait, and again when it was served.
  std::vector<std::string> words = {client->Read(), client->Read()};
  EXPECT_THAT(words, ::testing::UnorderedElementsAre(Invalid("[\"s\"]"), "{\"s\": [[\"1-1\", [\"f\", \"v\"]]]}"));
  Expect({{"XADD s 1-2 f v", "\"1-2\""}});
  EXPECT_EQ(client->Read(), Invalid("[\"s\"]"));
}

TEST_P(TrackingTest, OptInAndOptOutLetChooseWhatIsEntered) {
  auto in = Tracker("OPTIN"), out = Tracker("OPTOUT");
  EXPECT_EQ(in->Do("GET a"), "nil");
  EXPECT_EQ(in->Do("CLIENT CACHING YES"), "+OK");
  EXPECT_EQ(in->Do("CLIENT TRACKINGINFO"), "{\"flags\": ~[\"on\", \"optin\", \"caching-yes\"], \"redirect\": :0, \"prefixes\": []}");
  EXPECT_EQ(in->Do("GET b"), "nil");
  EXPECT_EQ(in->Do("GET c"), "nil");
  for (const char* command : {"CLIENT CACHING YES", "MULTI", "GET d", "GET e", "EXEC"}) in->Do(command);
  EXPECT_EQ(in->Do("GET f"), "nil");
  EXPECT_EQ(Field("stats", "tracking_total_keys"), "3");
  EXPECT_EQ(out->Do("CLIENT CACHING NO"), "+OK");
  EXPECT_EQ(out->Do("GET g"), "nil");
  EXPECT_EQ(out->Do("GET h"), "nil");
  EXPECT_EQ(Field("stats", "tracking_total_keys"), "4");
  Expect({{"MSET a 1 b 1 c 1 d 1 e 1 f 1 g 1 h 1", "+OK"}});
  for (const char* key : {"b", "d", "e"}) EXPECT_EQ(in->Read(), Invalid("[\"" + std::string(key) + "\"]"));
  EXPECT_EQ(out->Read(), Invalid("[\"h\"]"));
  ExpectSilence(*in);
  ExpectSilence(*out);
}

TEST_P(TrackingTest, BroadcastTellsOfPrefixes) {
  auto all = Tracker("BCAST"), some = Tracker("BCAST PREFIX user: PREFIX item:"), quiet = Tracker("BCAST NOLOOP PREFIX user:");
  EXPECT_EQ(Field("stats", "tracking_total_prefixes"), "3");
  EXPECT_EQ(Field("stats", "tracking_total_keys"), "0");
  Expect({{"SET other 1", "+OK"}});
  EXPECT_EQ(all->Read(), Invalid("[\"other\"]"));
  Expect({{"MSET user:1 a user:2 b", "+OK"}});
  for (RespClient* client : {all.get(), some.get(), quiet.get()}) EXPECT_EQ(client->Read(), Invalid("[\"user:1\", \"user:2\"]"));
  EXPECT_EQ(quiet->Do("SET user:3 1"), "+OK");
  for (RespClient* client : {all.get(), some.get()}) EXPECT_EQ(client->Read(), Invalid("[\"user:3\"]"));
  // Its own change behind the reply; and who reads is not told because of that.
  EXPECT_EQ(some->Do("GET unrelated"), "nil");
  EXPECT_EQ(some->Do("SET item:1 1"), "+OK");
  EXPECT_EQ(some->Read(), Invalid("[\"item:1\"]"));
  EXPECT_EQ(all->Read(), Invalid("[\"item:1\"]"));
  ExpectSilence(*quiet);
  EXPECT_EQ(some->Do("CLIENT TRACKINGINFO"), "{\"flags\": ~[\"on\", \"bcast\"], \"redirect\": :0, \"prefixes\": [\"item:\", \"user:\"]}");
  some->Close();
  EXPECT_TRUE(Eventually([&] { return Field("stats", "tracking_total_prefixes") == "2"; }));
}

TEST_P(TrackingTest, ExpiredAndEvictedKeysAreTold) {
  auto client = Tracker("NOLOOP"), broad = Tracker("BCAST NOLOOP");
  EXPECT_EQ(client->Do("SET k v PX 2000"), "+OK");
  EXPECT_EQ(broad->Read(), Invalid("[\"k\"]"));
  EXPECT_EQ(client->Do("EXISTS k other"), ":1");
  EXPECT_EQ(client->Read(), Invalid("[\"k\"]"));
  EXPECT_EQ(broad->Read(), Invalid("[\"k\"]"));
  Expect({{"SET big " + std::string(1'000'000, 'x'), "+OK"}});
  EXPECT_EQ(broad->Read(), Invalid("[\"big\"]"));
  EXPECT_EQ(client->Do("STRLEN big"), ":1000000");
  const std::string limit = std::to_string(std::stoull(Field("memory", "used_memory")) - 500'000);
  Expect({{"CONFIG SET maxmemory-policy allkeys-lru maxmemory " + limit, "+OK"}});
  EXPECT_EQ(client->Read(), Invalid("[\"big\"]"));
  EXPECT_EQ(broad->Read(), Invalid("[\"big\"]"));
}

TEST_P(TrackingTest, AFlushOrSwapIsToldToAllWhoTrack) {
  auto client = Tracker(), broad = Tracker("BCAST PREFIX p"), redirected = Connect(), listener = Connect();
  EXPECT_EQ(redirected->Do("CLIENT TRACKING ON REDIRECT " + IdOf(*listener)), "+OK");
  EXPECT_EQ(listener->Do("SUBSCRIBE __redis__:invalidate"), "[\"subscribe\", \"__redis__:invalidate\", :1]");
  for (const char* command : {"FLUSHALL", "FLUSHDB ASYNC", "SWAPDB 0 1"}) {
    EXPECT_EQ(client->Do("GET k"), "nil");
    EXPECT_EQ(Do(command), "+OK") << command;
    EXPECT_EQ(client->Read(), Invalid("nil")) << command;
    EXPECT_EQ(broad->Read(), Invalid("nil")) << command;
    EXPECT_EQ(listener->Read(), Message("nil")) << command;
    EXPECT_EQ(Field("stats", "tracking_total_keys"), "0");
  }
}

TEST_P(TrackingTest, RedirectedInvalidationsAreMessagesOrPushes) {
  auto push_listener = Connect(3);
  auto idle = Connect();
  const std::string id = IdOf(*push_listener), idle_id = IdOf(*idle);
  auto client = Tracker("REDIRECT " + id, 2), other = Tracker("REDIRECT " + idle_id, 2);
  EXPECT_EQ(client->Do("CLIENT GETREDIR"), ":" + id);
  EXPECT_EQ(client->Do("GET k"), "nil");
  EXPECT_EQ(other->Do("GET k"), "nil");
  Expect({{"SET k 1", "+OK"}});
  EXPECT_EQ(push_listener->Read(), Invalid("[\"k\"]"));
  ExpectSilence(*idle);  // of RESP2, and listens to nothing
  ExpectSilence(*client);
  EXPECT_THAT(client->Do("CLIENT INFO"), ::testing::AllOf(HasSubstr(" flags=t "), HasSubstr(" redir=" + id + " ")));
}

TEST_P(TrackingTest, AClientIsToldThatItsRedirectionIsBroken) {
  auto listener = Connect();
  const std::string id = IdOf(*listener);
  auto client = Tracker("REDIRECT " + id);
  EXPECT_EQ(client->Do("GET k"), "nil");
  listener->Close();
  EXPECT_TRUE(Eventually([&] { return Field("clients", "connected_clients") == "2"; }));
  Expect({{"SET k 1", "+OK"}});
  EXPECT_EQ(client->Read(), ">[\"tracking-redir-broken\", :" + id + "]");
  EXPECT_THAT(client->Do("CLIENT INFO"), HasSubstr(" flags=tR "));
  EXPECT_EQ(client->Do("CLIENT TRACKINGINFO"), "{\"flags\": ~[\"on\", \"broken_redirect\"], \"redirect\": :" + id + ", \"prefixes\": []}");
  EXPECT_EQ(client->Do("CLIENT TRACKING ON"), "+OK");
  EXPECT_THAT(client->Do("CLIENT INFO"), HasSubstr(" flags=t "));
}

TEST_P(TrackingTest, WhatDoesNotFitIsRefused) {
  ExpectError({"CLIENT TRACKING ON REDIRECT 999"}, "ERR The client ID you want redirect to does not exist");
  ExpectError({"CLIENT TRACKING ON REDIRECT x"}, "ERR value is not an integer or out of range");
  ExpectError({"CLIENT TRACKING ON PREFIX a"}, "ERR PREFIX option requires BCAST mode to be enabled");
  ExpectError({"CLIENT TRACKING ON BCAST OPTIN", "CLIENT TRACKING ON OPTOUT BCAST"}, "ERR OPTIN and OPTOUT are not compatible with BCAST");
  ExpectError({"CLIENT TRACKING ON OPTIN OPTOUT"}, "ERR You can't specify both OPTIN mode and OPTOUT mode");
  ExpectError({"CLIENT TRACKING MAYBE", "CLIENT TRACKING ON NEVER", "CLIENT TRACKING ON PREFIX"}, "ERR syntax error");
  ExpectError({"CLIENT TRACKING ON BCAST PREFIX a PREFIX ab"},
              "ERR Prefix 'a' overlaps with another provided prefix 'ab'. Prefixes for a single client must not overlap.");
  ExpectError({"CLIENT CACHING YES"},
              "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled");
  Expect({{"CLIENT GETREDIR", ":-1"},
          {"CLIENT TRACKINGINFO", "[\"flags\", [\"off\"], \"redirect\", :-1, \"prefixes\", []]"},
          {"CLIENT TRACKING ON BCAST PREFIX b", "+OK"},
          {"CLIENT GETREDIR", ":0"}});
  ExpectError({"CLIENT TRACKING ON BCAST PREFIX bc"},
              "ERR Prefix 'bc' overlaps with an existing prefix 'b'. Prefixes for a single client must not overlap.");
  ExpectError({"CLIENT TRACKING ON"},
              "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.");
  Expect({{"CLIENT TRACKING OFF", "+OK"}, {"CLIENT TRACKING ON OPTIN", "+OK"}});
  ExpectError({"CLIENT TRACKING ON OPTOUT"},
              "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.");
  ExpectError({"CLIENT CACHING NO"}, "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
  ExpectError({"CLIENT CACHING MAYBE"}, "ERR syntax error");
  Expect({{"RESET", "+RESET"}, {"CLIENT GETREDIR", ":-1"}});
  EXPECT_EQ(Field("clients", "tracking_clients"), "0");
}

TEST_P(TrackingTest, BroadcastMayBeginInATransaction) {
  auto client = Connect(3);
  for (const char* command : {"MULTI", "SET a 1", "CLIENT TRACKING ON BCAST", "SET b 1"}) client->Do(command);
  EXPECT_EQ(client->Do("EXEC"), "[+OK, +OK, +OK]");
  EXPECT_EQ(client->Read(), Invalid("[\"b\"]"));
  Expect({{"SET c 1", "+OK"}});
  EXPECT_EQ(client->Read(), Invalid("[\"c\"]"));
}

TEST_P(TrackingTest, TheTableKeepsItsLimit) {
  Expect({{"CONFIG SET tracking-table-max-keys 10", "+OK"}});
  auto client = Tracker();
  size_t told = 0;
  for (int i = 0; i < 100; ++i) {
    client->Send({"EXISTS", "key:" + std::to_string(i)});
    std::string word;
    while ((word = client->Read()).starts_with(">[\"invalidate\"")) ++told;
    EXPECT_EQ(word, ":0");
  }
  const auto keys = [&] { return std::stoul(Field("stats", "tracking_total_keys")); };
  EXPECT_LE(keys(), 10u);
  for (; told < 100 - keys(); ++told) EXPECT_THAT(client->Read(), HasSubstr("invalidate"));
  ExpectSilence(*client);
  Expect({{"CONFIG SET tracking-table-max-keys 1", "+OK"}});
  for (; told < 99; ++told) EXPECT_THAT(client->Read(), HasSubstr("invalidate"));
  EXPECT_EQ(keys(), 1u);
  ExpectSilence(*client);
}

TEST_P(TrackingTest, TablesGoWhenNobodyTracks) {
  auto client = Tracker();
  EXPECT_EQ(client->Do("GET a"), "nil");
  EXPECT_EQ(client->Do("CLIENT TRACKING OFF"), "+OK");
  EXPECT_TRUE(Eventually([&] { return Field("stats", "tracking_total_keys") == "0"; }));
  Expect({{"SET a 1", "+OK"}});
  ExpectSilence(*client);
}

TEST_P(TrackingTest, AReplicaTellsOfWhatItsPrimaryChanged) {
  config::Config config;
  ASSERT_TRUE(config.Load(std::vector<std::string>{"--standalone", "--bind", "127.0.0.1", "--workers", std::to_string(GetParam()),
                                                   "--dir", dir_.path()}).ok());
  config.port = 0;
  Server replica(config, clock_, std::string(32, 'b'), [] {});
  ASSERT_TRUE(replica.Start().ok());
  RespClient control(replica.port()), client(replica.port());
  EXPECT_EQ(client.Do("HELLO 3").front(), '{');
  EXPECT_EQ(client.Do("CLIENT TRACKING ON"), "+OK");
  EXPECT_EQ(control.Do("REPLICAOF 127.0.0.1 " + std::to_string(server_->port())), "+OK");
  Expect({{"SET k 1", "+OK"}});
  ASSERT_TRUE(Eventually([&] { return control.Do("GET k") == "\"1\""; }));
  // A copy that was loaded changes everything.
  EXPECT_EQ(client.Read(), Invalid("nil"));
  EXPECT_EQ(client.Do("GET k"), "\"1\"");
  Expect({{"SET k 2", "+OK"}});
  EXPECT_EQ(client.Read(), Invalid("[\"k\"]"));
  EXPECT_EQ(client.Do("GET k"), "\"2\"");
}

// The rule that caches live by: what a client keeps was not changed, or it is told.
TEST_P(TrackingTest, NoChangeBetweenReadsAndWritesOfOthersIsMissed) {
  constexpr int kKeys = 5, kWrites = 1500;
  std::atomic<int> writing{2};
  std::vector<std::thread> threads;
  for (int w = 0; w < 2; ++w) {
    threads.emplace_back([&, w] {
      auto writer = Connect();
      for (int i = 0; i < kWrites; ++i) {
        EXPECT_THAT(writer->Do("INCR k" + std::to_string((i + w) % kKeys)), ::testing::StartsWith(":"));
      }
      --writing;
    });
  }
  for (const char* options : {"", "BCAST PREFIX k"}) {
    threads.emplace_back([&, options] {
      auto client = Tracker(options);
      std::map<std::string, std::string> cache;
      const auto forget = [&](const std::string& word) {
        for (int k = 0; k < kKeys; ++k) {
          const std::string name = "k" + std::to_string(k);
          if (word.find("\"" + name + "\"") != std::string::npos) cache.erase(name);
        }
      };
      while (writing > 0) {
        for (int k = 0; k < kKeys; ++k) {
          const std::string name = "k" + std::to_string(k);
          if (cache.contains(name)) continue;
          client->Send({"GET", name});
          std::string word;
          while ((word = client->Read()).starts_with(">")) forget(word);
          cache[name] = word;
        }
        client->Send({"ECHO", "x"});
        std::string word;
        while ((word = client->Read()).starts_with(">")) forget(word);
      }
      auto checker = Connect();
      // Whatever is left in the cache when all has been told is what the server has.
      EXPECT_TRUE(Eventually([&] {
        client->Send({"ECHO", "x"});
        std::string word;
        while ((word = client->Read()).starts_with(">")) forget(word);
        for (const auto& [name, value] : cache) {
          if (checker->Do("GET " + name) != value) return false;
        }
        return true;
      })) << options;
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace understudy::command
