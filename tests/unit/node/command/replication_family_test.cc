// Two real servers in one process: what clients see of replication.
#include <gmock/gmock.h>

#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class ReplicationFamilyTest : public ServerTest {
 protected:
  struct Node {
    config::Config config;
    std::unique_ptr<Server> server;
    std::unique_ptr<RespClient> client;
    std::string Do(std::string_view command) { return client->Do(command); }
  };
  std::unique_ptr<Node> MakeNode(bool standalone = true) {
    auto node = std::make_unique<Node>();
    const std::vector<std::string> arguments = {"--standalone", "--bind", "127.0.0.1", "--workers", "2",
                                                "--dir", dir_.path(), "--save", ""};
    EXPECT_TRUE(node->config.Load(arguments).ok());
    node->config.port = 0;
    node->config.standalone = standalone;
    node->server = std::make_unique<Server>(node->config, clock_, std::string(32, 'b'), [] {});
    EXPECT_TRUE(node->server->Start().ok());
    node->client = std::make_unique<RespClient>(node->server->port());
    return node;
  }
  std::string Port() const { return std::to_string(server_->port()); }
  bool LinkUp(Node& node) {
    return Eventually([&] { return node.Do("INFO replication").find("master_link_status:up") != std::string::npos; });
  }
  std::string Info(const std::string& field) {
    const std::string text = Do("INFO replication");
    const size_t at = text.find(field + ":");
    return at == std::string::npos ? "" : text.substr(at + field.size() + 1, text.find_first_of("\r\\", at) - at - field.size() - 1);
  }
};

TEST_F(ReplicationFamilyTest, APrimaryAloneSaysSo) {
  EXPECT_EQ(Do("ROLE"), "[\"master\", :0, []]");
  const std::string info = Do("INFO replication");
  EXPECT_THAT(info, HasSubstr("role:master"));
  EXPECT_THAT(info, HasSubstr("connected_slaves:0"));
  EXPECT_THAT(info, HasSubstr("repl_backlog_active:0"));
  EXPECT_THAT(info, HasSubstr("second_repl_offset:-1"));
  EXPECT_EQ(Info("master_replid").size(), 40u);
  EXPECT_EQ(Do("WAIT 0 0"), ":0");
  EXPECT_EQ(Do("WAIT 1 20"), ":0");
}

TEST_F(ReplicationFamilyTest, AReplicaHasAllTypesAndServesItsReadersThatWait) {
  Expect({{"XADD s 1-1 a 1", "\"1-1\""}, {"RPUSH l 3 1 2", ":3"}, {"ZADD z 1 a", ":1"}, {"SADD m x", ":1"}, {"HSET h f v", ":1"}});
  auto replica = MakeNode();
  EXPECT_EQ(replica->Do("REPLICAOF 127.0.0.1 " + Port()), "+OK");
  ASSERT_TRUE(LinkUp(*replica));
  RespClient reader(replica->server->port()), popper(replica->server->port());
  reader.Send({"XREAD", "BLOCK", "0", "STREAMS", "s", "$"});
  EXPECT_THAT(popper.Do("BLPOP l 0"), StartsWith("-READONLY"));
  ASSERT_TRUE(Eventually([&] { return replica->Do("INFO clients").find("blocked_clients:1") != std::string::npos; }));
  Expect({{"XADD s 2-1 b 2", "\"2-1\""}, {"SORT l STORE sorted", ":3"}, {"BLPOP l 0", "[\"l\", \"3\"]"}, {"ZADD z 2 b", ":1"},
          {"BZPOPMIN z 0", "[\"z\", \"a\", \"1\"]"}, {"SPOP m", "\"x\""}, {"HDEL h f", ":1"}, {"WAIT 1 5000", ":1"}});
  EXPECT_EQ(reader.Read(), "[[\"s\", [[\"2-1\", [\"b\", \"2\"]]]]]");
  EXPECT_EQ(replica->Do("LRANGE sorted 0 -1"), "[\"1\", \"2\", \"3\"]");
  EXPECT_EQ(replica->Do("LRANGE l 0 -1"), "[\"1\", \"2\"]");
  EXPECT_EQ(replica->Do("ZRANGE z 0 -1"), "[\"b\"]");
  EXPECT_EQ(replica->Do("EXISTS m h"), ":0");
  EXPECT_EQ(replica->Do("XLEN s"), ":2");
}

TEST_F(ReplicationFamilyTest, ReplicaOfAndBack) {
  EXPECT_EQ(Do("SET a 1"), "+OK");
  auto replica = MakeNode();
  EXPECT_EQ(replica->Do("SET own 1"), "+OK");
  EXPECT_EQ(replica->Do("REPLICAOF 127.0.0.1 " + Port()), "+OK");
  EXPECT_THAT(replica->Do("SET b 1"), StartsWith("-READONLY"));
  ASSERT_TRUE(LinkUp(*replica));
  EXPECT_EQ(replica->Do("GET a"), "\"1\"");
  EXPECT_EQ(replica->Do("GET own"), "nil");
  EXPECT_EQ(replica->Do("REPLICAOF 127.0.0.1 " + Port()), "+OK Already connected to specified master");
  EXPECT_EQ(replica->Do("ROLE"), "[\"slave\", \"127.0.0.1\", :" + Port() + ", \"connected\", :" +
                                     Info("master_repl_offset") + "]");
  const std::string info = replica->Do("INFO replication");
  for (const char* field : {"role:slave", "master_host:127.0.0.1", "master_link_status:up", "slave_read_only:1",
                            "master_sync_in_progress:0", "slave_repl_offset:", "slave_priority:100"}) {
    EXPECT_THAT(info, HasSubstr(field));
  }
  EXPECT_EQ(Info("connected_slaves"), "1");
  EXPECT_THAT(Do("INFO replication"), HasSubstr("slave0:ip=127.0.0.1,port="));

  // A transaction arrives as one, in its databases.
  Expect({{"MULTI", "+OK"}, {"SET a 2", "+QUEUED"}, {"SELECT 3", "+QUEUED"}, {"INCR n", "+QUEUED"}, {"EXEC", "[+OK, +OK, :1]"},
          {"SELECT 0", "+OK"}, {"WAIT 1 5000", ":1"}});
  EXPECT_EQ(replica->Do("GET a"), "\"2\"");
  EXPECT_EQ(replica->Do("SELECT 3"), "+OK");
  EXPECT_EQ(replica->Do("GET n"), "\"1\"");
  EXPECT_THAT(replica->Do("WAIT 0 0"), StartsWith("-ERR WAIT cannot be used with replica instances"));

  EXPECT_EQ(replica->Do("REPLICAOF NO ONE"), "+OK");
  EXPECT_THAT(replica->Do("ROLE"), StartsWith("[\"master\""));
  EXPECT_EQ(replica->Do("SET n 5"), "+OK");
  EXPECT_EQ(replica->Do("REPLICAOF NO ONE"), "+OK");
  // And the other way round, without a copy: this server's history is the other one's past.
  auto other = std::make_unique<RespClient>(replica->server->port());
  EXPECT_EQ(Do("SLAVEOF localhost " + std::to_string(replica->server->port())), "+OK");
  c_ = Connect();
  ASSERT_TRUE(Eventually([&] { return Info("master_link_status") == "up"; }));
  // The answer that brings the link up is sent before the step that gives it is counted.
  EXPECT_TRUE(Eventually([&] { return replica->server->replication().state().partial_syncs == 1; }));
  EXPECT_EQ(replica->server->replication().state().full_syncs, 0u);
  Expect({{"SELECT 3", "+OK"}, {"GET n", "\"5\""}});
}

TEST_F(ReplicationFamilyTest, WaitHoldsOnlyItsOwnClient) {
  auto replica = MakeNode();
  EXPECT_EQ(replica->Do("REPLICAOF 127.0.0.1 " + Port()), "+OK");
  ASSERT_TRUE(LinkUp(*replica));
  EXPECT_EQ(Do("SET a 1"), "+OK");
  EXPECT_EQ(Do("WAIT 1 0"), ":1");
  EXPECT_EQ(Do("WAIT 2 50"), ":1");
  Expect({{"MULTI", "+OK"}, {"SET a 2", "+QUEUED"}, {"WAIT 2 0", "+QUEUED"}});
  EXPECT_THAT(Do("EXEC"), StartsWith("[+OK, :"));  // never waits inside a transaction
  std::thread waiting([&] {
    auto client = Connect();
    EXPECT_EQ(client->Do("SET b 1"), "+OK");
    EXPECT_EQ(client->Do("WAIT 2 300"), ":1");
    EXPECT_EQ(client->Do("PING"), "+PONG");
  });
  EXPECT_EQ(Do("PING"), "+PONG");
  waiting.join();
  // A client that leaves while it waits is forgotten.
  {
    auto client = Connect();
    client->Send({"WAIT", "5", "0"});
  }
  EXPECT_EQ(Do("SET c 1"), "+OK");
  EXPECT_EQ(Do("WAIT 1 0"), ":1");
}

TEST_F(ReplicationFamilyTest, ACopyHasOnlyWhatItsReceiverAskedFor) {
  EXPECT_EQ(Do("SET some-key v"), "+OK");
  EXPECT_EQ(c_->Do({"FUNCTION", "LOAD", "#!lua name=some_library\nredis.register_function('f', function() return 1 end)"}), "\"some_library\"");
  const auto copy = [&](const std::vector<std::string>& filter) {
    auto receiver = Connect();
    std::vector<std::string> words = {"REPLCONF", "capa", "eof", "rdb-only", "1"};
    words.insert(words.end(), filter.begin(), filter.end());
    EXPECT_EQ(receiver->Do(words), "+OK");
    receiver->Send({"PSYNC", "?", "-1"});
    return receiver->ReadRawUntilClosed();
  };
  EXPECT_THAT(copy({}), HasSubstr("some-key"));
  EXPECT_THAT(copy({"version", "8.1.0"}), AllOf(HasSubstr("some-key"), HasSubstr("name=some_library")));
  EXPECT_THAT(copy({"rdb-filter-only", "functions"}), AllOf(Not(HasSubstr("some-key")), HasSubstr("name=some_library")));
  EXPECT_THAT(copy({"rdb-filter-only", ""}), AllOf(HasSubstr("REDIS00"), Not(HasSubstr("some-key")), Not(HasSubstr("some_library"))));
}

TEST_F(ReplicationFamilyTest, ClientKillClosesLinksByTheirType) {
  auto replica = MakeNode();
  ASSERT_EQ(replica->Do("REPLICAOF 127.0.0.1 " + Port()), "+OK");
  ASSERT_TRUE(LinkUp(*replica));
  const auto partial = [&](const std::string& count) {
    return Eventually([&] { return Do("INFO stats").find("sync_partial_ok:" + count) != std::string::npos; });
  };
  EXPECT_EQ(Do("CLIENT KILL TYPE replica"), ":1");
  EXPECT_TRUE(partial("1")) << "it comes back";
  ASSERT_TRUE(LinkUp(*replica));
  EXPECT_EQ(replica->Do("CLIENT KILL TYPE master"), ":1");
  EXPECT_TRUE(partial("2"));
  EXPECT_EQ(Do("CLIENT KILL TYPE master"), ":0");
}

TEST_F(ReplicationFamilyTest, WritesAreRefusedWithFewerReplicasThanAskedFor) {
  const std::string refusal = "-NOREPLICAS Not enough good replicas to write.";
  ASSERT_EQ(Do("CONFIG SET min-slaves-to-write 1"), "+OK");
  ASSERT_TRUE(Eventually([&] { return Do("SET b 1") == refusal; }));
  EXPECT_EQ(Do("SET a 1"), refusal);
  EXPECT_EQ(Do("GET a"), "nil");
  EXPECT_EQ(Do("EVAL \"return redis.call('set', 'a', 1)\" 0").substr(0, refusal.size()), refusal);
  auto replica = MakeNode();
  ASSERT_EQ(replica->Do("REPLICAOF 127.0.0.1 " + Port()), "+OK");
  EXPECT_TRUE(Eventually([&] { return Do("SET a 1") == "+OK"; }));
  ASSERT_EQ(replica->Do("REPLICAOF NO ONE"), "+OK");
  EXPECT_TRUE(Eventually([&] { return Do("SET a 1") == refusal; }));
  ASSERT_EQ(Do("CONFIG SET min-replicas-max-lag 0"), "+OK");
  EXPECT_TRUE(Eventually([&] { return Do("SET a 1") == "+OK"; }));
}

TEST_F(ReplicationFamilyTest, AReplicaWithoutItsPrimaryServesNothingIfToldSo) {
  const std::string refusal = "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
  ASSERT_EQ(Do("FUNCTION LOAD \"#!lua name=l\nredis.register_function{function_name='f', callback=function() return 'ok' end, "
               "flags={'allow-stale', 'no-writes'}}\""), "\"l\"");
  ASSERT_EQ(Do("CONFIG SET replica-serve-stale-data no"), "+OK");
  EXPECT_EQ(Do("GET a"), "nil") << "a primary";
  ASSERT_EQ(Do("REPLICAOF 127.0.0.1 1"), "+OK");
  ASSERT_TRUE(Eventually([&] { return Do("GET a") == refusal; }));
  EXPECT_EQ(Do("EVAL \"#!lua\nreturn 1\" 0"), refusal);
  EXPECT_EQ(Do("EVAL \"return redis.call('get', 'a')\" 0").substr(0, 51), "-ERR Can not execute the command on a stale replica");
  EXPECT_EQ(Do("FCALL f 0"), "\"ok\"");
  EXPECT_EQ(Do("PING"), "+PONG");
  ASSERT_EQ(Do("CONFIG SET replica-serve-stale-data yes"), "+OK");
  EXPECT_TRUE(Eventually([&] { return Do("GET a") == "nil"; }));
}

TEST_F(ReplicationFamilyTest, ErrorsSayWhatIsAllowed) {
  Expect({{"REPLICAOF some.host 6379", "-ERR REPLICAOF takes the primary's IP address, not a name"},
          {"REPLICAOF 127.0.0.1 x", "-ERR Invalid master port"},
          {"REPLICAOF 127.0.0.1 70000", "-ERR Invalid master port"},
          {"FAILOVER", "-ERR FAILOVER is not supported by a standalone node: use REPLICAOF on both nodes"},
          {"WAIT -1 0", "-ERR value is out of range, must be positive"},
          {"WAIT x 0", "-ERR value is not an integer or out of range"},
          {"WAIT 1 -1", "-ERR timeout is negative"},
          {"REPLCONF nonsense 1", "-ERR Unrecognized REPLCONF option: nonsense"},
          {"REPLCONF capa", "-ERR syntax error"},
          {"REPLCONF rdb-filter-only nonsense", "-ERR Unsupported rdb-filter-only option: nonsense"},
          {"REPLCONF rdb-filter-only 'functions keys'", "-ERR Unsupported rdb-filter-only option: keys"},
          {"REPLCONF listening-port 99999", "-ERR value is not an integer or out of range"},
          {"REPLCONF listening-port 6380 capa eof capa psync2 capa unknown version 8.1.0", "+OK"},
          {"PSYNC ? x", "-ERR value is not an integer or out of range"},
          {"PSYNC ? -1 FAILOVER", "-ERR PSYNC with FAILOVER is not supported: use REPLICAOF on both nodes"}});
}

// The line that tells how long the copy is, and the copy.
std::string ReadCopyOfKnownLength(RespClient& replica) {
  std::string line;
  while (!line.ends_with("\r\n")) {
    const std::string c = replica.ReadRaw(1);
    if (c.empty()) return "nothing";
    if (!line.empty() || c != "\n") line += c;  // empty lines before it are keep-alives
  }
  if (line.front() != '$') return line;
  return replica.ReadRaw(std::stoul(line.substr(1)));
}

TEST_F(ReplicationFamilyTest, AReplicaThatKnowsNoDisklessFormIsToldTheLengthOfItsCopy) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(c_->Do({"SET", "key" + std::to_string(i), std::string(20'000, static_cast<char>('a' + i))}), "+OK");
  }
  auto synced = Connect(), psynced = Connect();
  EXPECT_EQ(psynced->Do("REPLCONF listening-port 6380"), "+OK");
  psynced->Send({"PSYNC", "?", "-1"});
  EXPECT_THAT(psynced->Read(), StartsWith("+FULLRESYNC "));
  synced->SendRaw("SYNC\r\n");
  for (RespClient* replica : {psynced.get(), synced.get()}) {
    const std::string copy = ReadCopyOfKnownLength(*replica);
    EXPECT_THAT(copy, StartsWith("REDIS"));
    EXPECT_THAT(copy, HasSubstr("key19"));
    EXPECT_EQ(copy[copy.size() - 9], '\xff');  // the end, before the checksum
    EXPECT_EQ(Do("SET after copy"), "+OK");
    std::string command;
    while (command.find("after") == std::string::npos) {
      command = replica->Read();
      ASSERT_NE(command, "timeout");
    }
    EXPECT_EQ(command, "[\"SET\", \"after\", \"copy\"]");
  }
  EXPECT_EQ(Info("connected_slaves"), "2");
  auto file = Connect();
  EXPECT_EQ(file->Do("REPLCONF rdb-only 1"), "+OK");
  file->SendRaw("SYNC\r\n");
  EXPECT_THAT(ReadCopyOfKnownLength(*file), StartsWith("REDIS"));
  EXPECT_EQ(file->Read(), "closed");
}

TEST_F(ReplicationFamilyTest, UnderTheOperatorNoClientMovesARole) {
  auto node = MakeNode(false);
  for (const char* command : {"REPLICAOF NO ONE", "SLAVEOF 127.0.0.1 6379", "FAILOVER"}) {
    EXPECT_THAT(node->Do(command), HasSubstr("is managed by the Understudy operator")) << command;
  }
  EXPECT_EQ(node->Do("ROLE"), "[\"slave\", \"\", :0, \"connect\", :-1]");  // nobody's primary yet
  EXPECT_THAT(node->Do("REPLCONF understudy-hello g 1 i 00 00"), StartsWith("-ERR this node belongs to no group"));
  EXPECT_THAT(node->Do("PSYNC ? -1"), StartsWith("-ERR only nodes of its own group"));
}

}  // namespace
}  // namespace understudy::command
