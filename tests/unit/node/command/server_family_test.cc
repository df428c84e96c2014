#include <gmock/gmock.h>

#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ServerFamilyTest : public ServerTest {
 protected:
  // The value of a field of INFO.
  std::string Field(const std::string& name, const std::string& section = "everything") {
    const std::string info = Do("INFO " + section);
    const size_t at = info.find("\n" + name + ":");
    if (at == std::string::npos) return "absent";
    const size_t begin = at + name.size() + 2;
    return info.substr(begin, info.find("\r\n", begin) - begin);
  }
};

TEST_F(ServerFamilyTest, InfoHasTheSectionsAskedFor) {
  EXPECT_EQ(Do("INFO server").substr(0, 11), "\"# Server\r\n");
  const std::string all = Do("INFO");
  for (const char* title : {"# Server", "# Clients", "# Memory", "# Persistence", "# Stats", "# Replication", "# CPU", "# Errorstats",
                            "# Cluster", "# Keyspace"}) {
    EXPECT_NE(all.find(title), std::string::npos) << title;
  }
  EXPECT_EQ(all.find("# Commandstats"), std::string::npos);
  EXPECT_NE(Do("INFO all").find("# Commandstats"), std::string::npos);
  EXPECT_NE(Do("INFO commandstats keyspace").find("# Keyspace"), std::string::npos);
  EXPECT_EQ(Do("INFO nonsense"), "\"\"");
  auto c3 = Connect(3);
  EXPECT_EQ(c3->Do("INFO cluster"), "=txt:# Cluster\r\ncluster_enabled:0\r\n");
}

TEST_F(ServerFamilyTest, InfoCountsWhatHappened) {
  Expect({{"SET a 1", "+OK"}, {"GET a", "\"1\""}, {"GET b", "nil"}, {"GET", "-ERR wrong number of arguments for 'get' command"},
          {"SET n x EX 100", "+OK"}, {"INCR n", "-ERR value is not an integer or out of range"}});
  EXPECT_EQ(Field("keyspace_hits"), "1");
  EXPECT_EQ(Field("keyspace_misses"), "1");
  EXPECT_EQ(Field("db0").substr(0, 25), "keys=2,expires=1,avg_ttl=");
  EXPECT_EQ(Field("connected_clients"), "1");
  EXPECT_EQ(Field("errorstat_ERR"), "count=2");
  EXPECT_EQ(Field("cmdstat_set").substr(0, 8), "calls=2,");
  EXPECT_NE(Field("cmdstat_get").find("rejected_calls=1,failed_calls=0"), std::string::npos);
  EXPECT_NE(Field("cmdstat_incr").find("rejected_calls=0,failed_calls=1"), std::string::npos);
  EXPECT_EQ(Field("role"), "master");
  EXPECT_EQ(Do("CONFIG RESETSTAT"), "+OK");
  EXPECT_EQ(Field("keyspace_hits"), "0");
  EXPECT_EQ(Field("errorstat_ERR"), "absent");
  EXPECT_EQ(Field("cmdstat_set"), "absent");
}

TEST_F(ServerFamilyTest, AnErrorIsCountedOnceAndForTheCommandThatFailed) {
  Expect({{"CONFIG RESETSTAT", "+OK"}, {"MULTI", "+OK"}, {"SET a b", "+QUEUED"}, {"LPUSH a x", "+QUEUED"}});
  EXPECT_THAT(Do("EXEC"), StartsWith("[+OK, -WRONGTYPE"));
  std::string info = Do("INFO commandstats errorstats stats");
  EXPECT_THAT(info, HasSubstr("errorstat_WRONGTYPE:count=1\r"));
  EXPECT_THAT(info, ContainsRegex("cmdstat_exec:[^\r]*failed_calls=0\r"));
  EXPECT_THAT(info, ContainsRegex("cmdstat_lpush:[^\r]*failed_calls=1\r"));
  EXPECT_THAT(info, HasSubstr("total_error_replies:1\r"));
  for (int i = 0; i < 200; ++i) Do("DEBUG ERROR 'code" + std::to_string(i) + " text'");
  Do("DEBUG ERROR 'OWN text'");
  info = Do("INFO errorstats");
  EXPECT_THAT(info, HasSubstr("errorstat_ERRORSTATS_OVERFLOW:count=73\r")) << "of 128 codes one was WRONGTYPE";
  EXPECT_THAT(info, HasSubstr("errorstat_OWN:count=1\r"));
}

TEST_F(ServerFamilyTest, AClientThatIsUnblockedWithAnErrorIsCounted) {
  auto waiting = Connect();
  const std::string id = waiting->Do("CLIENT ID").substr(1);
  waiting->Send({"BLPOP", "l", "0"});
  ASSERT_TRUE(Eventually([&] { return Do("CLIENT UNBLOCK " + id + " ERROR") == ":1"; }));
  EXPECT_THAT(waiting->Read(), StartsWith("-UNBLOCKED"));
  const std::string info = Do("INFO commandstats errorstats");
  EXPECT_THAT(info, HasSubstr("errorstat_UNBLOCKED:count=1\r"));
  EXPECT_THAT(info, ContainsRegex("cmdstat_blpop:[^\r]*rejected_calls=1,failed_calls=0\r"));
}

TEST_F(ServerFamilyTest, InfoCountsKeysThatAreGivenATimeInThePast) {
  Expect({{"MSET a 1 b 2 c 3", "+OK"}, {"EXPIRE a -1", ":1"}, {"GETEX b PXAT 1", "\"2\""}, {"EXPIRE c 100", ":1"}});
  EXPECT_EQ(Field("expired_keys"), "2");
}

TEST_F(ServerFamilyTest, InfoTellsHowLongKeysLiveOnAverage) {
  Do("SET k v");
  Expect({{"SET a v PX 50000000", "+OK"}, {"SET b v PX 150000000", "+OK"}});
  const auto average = [&] {
    const std::string line = Field("db0");
    return std::stoll(line.substr(line.find("avg_ttl=") + 8));
  };
  EXPECT_TRUE(Eventually([&] { return average() > 49'000'000 && average() <= 150'000'000; }));
  Expect({{"PERSIST a", ":1"}, {"DEL b", ":1"}});
  EXPECT_TRUE(Eventually([&] { return average() == 0; }));
}

TEST_F(ServerFamilyTest, InfoCountsHashesWithFieldsThatExpire) {
  const auto counted = [&](const std::string& db = "db0") {
    const std::string line = Field(db);
    return line.substr(line.find(",keys_with") + 1);
  };
  const std::string kNone = "keys_with_volatile_items=0", kOne = "keys_with_volatile_items=1",
                    kTwo = "keys_with_volatile_items=2";
  Expect({{"SET s v EX 100", "+OK"}, {"HSET h a 1 b 2", ":2"}});
  EXPECT_EQ(counted(), kNone);
  Expect({{"HEXPIRE h 100 FIELDS 2 a b", "[:1, :1]"}, {"HSETEX g EX 100 FIELDS 1 a 1", ":1"}});
  EXPECT_EQ(counted(), kTwo);
  Do("HPERSIST h FIELDS 1 a");
  EXPECT_EQ(counted(), kTwo);
  Do("HSET h b 3");
  EXPECT_EQ(counted(), kOne);
  Expect({{"COPY g h REPLACE", ":1"}, {"RENAME g f", "+OK"}});
  EXPECT_EQ(counted(), kTwo);
  Expect({{"MOVE h 1", ":1"}});
  EXPECT_EQ(counted(), kOne);
  EXPECT_EQ(counted("db1"), kOne);
  Expect({{"SWAPDB 0 2", "+OK"}, {"HDEL x y", ":0"}});
  EXPECT_EQ(counted("db2"), kOne);
  Expect({{"SWAPDB 0 2", "+OK"}, {"HDEL f a", ":1"}});
  EXPECT_EQ(counted(), kNone);
  Expect({{"HSETEX h PX 1 FIELDS 1 a 1", ":1"}, {"HSET h b 1", ":1"}});
  EXPECT_TRUE(Eventually([&] { return counted() == kNone; }));
  Expect({{"HSETEX h EX 100 FIELDS 1 a 1", ":1"}, {"FLUSHALL", "+OK"}});
  EXPECT_EQ(Field("db0"), "absent");
  Expect({{"SET h v", "+OK"}});
  EXPECT_EQ(counted(), kNone);
}

TEST_F(ServerFamilyTest, InfoTellsHowLongTurnsTake) {
  const auto number = [&](const std::string& name) { return std::stoull(Field(name, "stats")); };
  for (int i = 0; i < 200; ++i) Do("PING");
  EXPECT_GE(number("eventloop_cycles"), 200u);
  EXPECT_GT(number("eventloop_duration_sum"), 0u);
  EXPECT_EQ(Do("DEBUG SLEEP 0.02"), "+OK");
  EXPECT_GE(number("eventloop_duration_max"), 20'000u);
  EXPECT_LT(number("eventloop_cpu_max"), 20'000u) << "sleeping takes no CPU time";
  EXPECT_EQ(Do("CONFIG RESETSTAT"), "+OK");
  EXPECT_LT(number("eventloop_cycles"), 200u);
  EXPECT_LT(number("eventloop_duration_max"), 20'000u);
  EXPECT_EQ(Field("eventloop_cpu_over_1ms", "stats").find_first_not_of("0123456789"), std::string::npos);
}

// Timers that went on with the work of earlier ticks once piled up until expiry had the whole core.
TEST_F(ServerFamilyTest, ExpiryLeavesMostOfTheCoreToClients) {
  constexpr int kKeys = 300'000;
  net::Worker& worker = *server_->dispatcher().workers()[0];
  store::Keyspace& keyspace = server_->keyspace();
  EXPECT_EQ(Do("DEBUG SET-ACTIVE-EXPIRE 0"), "+OK");
  const int64_t due_ms = clock_.Wall().unix_ms + 1;
  worker.PostAndWait([&] {
    for (int i = 0; i < kKeys; ++i) {
      const std::string key = "key:" + std::to_string(i);
      const uint64_t hash = store::Keyspace::Hash(key);
      keyspace.ShardOf(hash).Set(0, key, hash, "v", due_ms, {.expire_ms = due_ms});
    }
  });
  Duration cpu;
  const auto read_cpu = [&] { cpu = net::TurnMeter::ThreadCpu(); };
  worker.PostAndWait(read_cpu);
  const Duration cpu_before = cpu;
  const MonoTime begin = clock_.Mono();
  EXPECT_EQ(Do("DEBUG SET-ACTIVE-EXPIRE 1"), "+OK");
  EXPECT_TRUE(Eventually([&] { return keyspace.ExpiredKeys() == kKeys; }));
  worker.PostAndWait(read_cpu);
  EXPECT_LT((cpu - cpu_before).seconds() / (clock_.Mono() - begin).seconds(), 0.45);
}

TEST_F(ServerFamilyTest, ConfigGetAndSet) {
  Expect({{"CONFIG GET maxmemory", "[\"maxmemory\", \"0\"]"}, {"CONFIG SET maxmemory 100mb timeout 5", "+OK"},
          {"CONFIG GET maxmemory timeout", "[\"maxmemory\", \"104857600\", \"timeout\", \"5\"]"},
          {"CONFIG GET none", "[]"}, {"CONFIG SET timeout 0 hz 100", "+OK"}, {"CONFIG GET hz", "[\"hz\", \"100\"]"}, {"CONFIG GET save", "[\"save\", \"\"]"},
          {"CONFIG GET appendonly", "[\"appendonly\", \"no\"]"}});
  ExpectError({"CONFIG SET none 1"}, "ERR Unknown option or number of arguments for CONFIG SET - 'none'");
  ExpectError({"CONFIG SET port 1"}, "ERR CONFIG SET failed (possibly related to argument 'port') - can't set immutable config");
  ExpectError({"CONFIG SET maxmemory-policy lru"},
              "ERR CONFIG SET failed (possibly related to argument 'maxmemory-policy') - argument(s) must be one of the "
              "following: volatile-lru, volatile-lfu, volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, "
              "allkeys-random, noeviction");
  ExpectError({"CONFIG SET timeout 1 maxmemory"}, "ERR wrong number of arguments for 'config|set' command");
  ExpectError({"CONFIG REWRITE"}, "ERR The server is running without a config file");
  ExpectError({"CONFIG FOO"}, "ERR unknown subcommand 'FOO'. Try CONFIG HELP.");
  auto c3 = Connect(3);
  EXPECT_EQ(c3->Do("CONFIG GET maxmemory-policy"), "{\"maxmemory-policy\": \"noeviction\"}");
}

TEST_F(ServerFamilyTest, MaxmemoryRefusesWhatNeedsMemory) {
  Expect({{"SET a 1", "+OK"}, {"CONFIG SET maxmemory 1", "+OK"}});
  const std::string oom = "OOM command not allowed when used memory > 'maxmemory'.";
  ExpectError({"SET b 1", "APPEND a x", "INCR n", "COPY a b"}, oom);
  Expect({{"GET a", "\"1\""}, {"DEL a", ":1"}, {"MULTI", "+OK"}});
  // A queue takes memory whatever is in it.
  ExpectError({"SET b 1", "GET a"}, oom);
  Expect({{"EXEC", "-EXECABORT Transaction discarded because of previous errors."}, {"CONFIG SET maxmemory 0", "+OK"},
          {"SET b 1", "+OK"}, {"MULTI", "+OK"}, {"SET c 1", "+QUEUED"}});
  auto other = Connect();
  EXPECT_EQ(other->Do("CONFIG SET maxmemory 1"), "+OK");
  Expect({{"EXEC", "-EXECABORT Transaction discarded because of: " + oom}, {"EXEC", "-ERR EXEC without MULTI"},
          {"MULTI", "+OK"}, {"DISCARD", "+OK"}, {"CONFIG SET maxmemory 0", "+OK"}, {"GET c", "nil"}});
}

TEST_F(ServerFamilyTest, CommandTellsAboutCommands) {
  EXPECT_EQ(Do("COMMAND INFO get foo"),
            "[[\"get\", :2, [+readonly, +fast], :1, :1, :1, [+@read, +@string, +@fast], [], "
            "[[\"flags\", [+RO, +access], \"begin_search\", [\"type\", \"index\", \"spec\", [\"index\", :1]], \"find_keys\", "
            "[\"type\", \"range\", \"spec\", [\"lastkey\", :0, \"keystep\", :1, \"limit\", :0]]]], []], nil]");
  const std::string list = Do("COMMAND LIST");
  for (const char* name : {"\"get\"", "\"client\"", "\"client|list\""}) EXPECT_NE(list.find(name), std::string::npos) << name;
  EXPECT_EQ(Do("COMMAND LIST FILTERBY PATTERN config|r*"), "[\"config|resetstat\", \"config|rewrite\"]");
  for (const char* name : {"sort", "sort_ro", "zunion"}) {
    EXPECT_NE(Do("COMMAND INFO " + std::string(name)).find("+movablekeys"), std::string::npos) << name;
  }
  const int count = std::stoi(Do("COMMAND COUNT").substr(1));
  EXPECT_EQ(static_cast<size_t>(count), BuildCommandTable().rows().size());
  EXPECT_EQ(Do("COMMAND GETKEYS MSET a 1 b 2"), "[\"a\", \"b\"]");
  EXPECT_EQ(Do("COMMAND GETKEYS OBJECT ENCODING k"), "[\"k\"]");
  EXPECT_EQ(Do("COMMAND GETKEYSANDFLAGS SET a 1"), "[[\"a\", [+OW, +update]]]");
  EXPECT_EQ(Do("COMMAND LIST FILTERBY PATTERN getr*"), "[\"getrange\"]");
  EXPECT_EQ(Do("COMMAND LIST FILTERBY MODULE foo"), "[]");
  EXPECT_NE(Do("COMMAND LIST FILTERBY ACLCAT transaction").find("\"multi\""), std::string::npos);
  EXPECT_EQ(Do("COMMAND DOCS foo"), "[]");
  auto c3 = Connect(3);
  EXPECT_EQ(c3->Do("COMMAND DOCS getdel"),
            "{\"getdel\": {\"summary\": \"Reads a string and removes its key.\", \"since\": \"6.2.0\", \"group\": \"string\", "
            "\"complexity\": \"O(1)\", \"arguments\": [{\"name\": \"key\", \"type\": \"key\", \"display_text\": \"key\"}]}}");
  EXPECT_NE(c3->Do("COMMAND DOCS set").find("\"type\": \"oneof\""), std::string::npos);
  EXPECT_EQ(Do("COMMAND").front(), '[');
  EXPECT_EQ(Do("COMMAND DOCS").front(), '[');
  ExpectError({"COMMAND GETKEYS PING"}, "ERR The command has no key arguments");
  ExpectError({"COMMAND GETKEYS FOO"}, "ERR Invalid command specified");
  ExpectError({"COMMAND GETKEYS GET"}, "ERR Invalid number of arguments specified for command");
}

TEST_F(ServerFamilyTest, CommandTellsWhereKeysAre) {
  const auto find = [](const std::string& type, const std::string& spec) {
    return "\"type\", \"" + type + "\", \"spec\", [" + spec + "]";
  };
  const std::string counted = find("keynum", "\"keynumidx\", :0, \"firstkey\", :1, \"keystep\", :1");
  for (const char* name : {"zunion", "eval", "bzmpop", "sintercard", "lmpop", "fcall_ro"}) {
    EXPECT_NE(Do("COMMAND INFO " + std::string(name)).find(counted), std::string::npos) << name;
  }
  EXPECT_NE(Do("COMMAND INFO zunionstore").find(counted), std::string::npos);
  const std::string xread = Do("COMMAND INFO xread");
  EXPECT_NE(xread.find(find("keyword", "\"keyword\", \"STREAMS\", \"startfrom\", :1")), std::string::npos) << xread;
  EXPECT_NE(xread.find(find("range", "\"lastkey\", :-1, \"keystep\", :1, \"limit\", :2")), std::string::npos) << xread;
  EXPECT_NE(Do("COMMAND INFO georadius").find(find("keyword", "\"keyword\", \"STOREDIST\", \"startfrom\", :6")), std::string::npos);
  EXPECT_NE(Do("COMMAND INFO sort").find(find("unknown", "")), std::string::npos);
  EXPECT_NE(Do("COMMAND INFO spublish").find(":1, :1, :1"), std::string::npos);
  EXPECT_NE(Do("COMMAND INFO ssubscribe").find("[+not_key]"), std::string::npos);
  EXPECT_NE(Do("COMMAND INFO mget").find("[\"request_policy:multi_shard\"]"), std::string::npos);
  EXPECT_NE(Do("COMMAND INFO config|set").find("\"response_policy:all_succeeded\""), std::string::npos);
}

TEST_F(ServerFamilyTest, ThereIsNoClusterAndThereAreNoModules) {
  ExpectError({"CLUSTER INFO", "CLUSTER SLOTS", "CLUSTER ADDSLOTS 1 2", "CLUSTER HELP", "ASKING", "READONLY", "READWRITE"},
              "ERR This instance has cluster support disabled");
  ExpectError({"CLUSTER NOSUCH"}, "ERR unknown subcommand 'NOSUCH'. Try CLUSTER HELP.");
  ExpectError({"CLUSTER KEYSLOT"}, "ERR wrong number of arguments for 'cluster|keyslot' command");
  for (const char* command : {"MODULE LOAD x", "MODULE LOADEX x", "MODULE UNLOAD x"}) {
    EXPECT_EQ(Do(command).substr(0, 32), "-ERR MODULE command not allowed.") << command;
  }
  EXPECT_EQ(Do("LOLWUT").substr(0, 11), "\"Redis ver.");
  Expect({{"SCRIPT DEBUG NO", "+OK"}, {"SCRIPT DEBUG maybe", "-ERR Use SCRIPT DEBUG YES/SYNC/NO"}});
}

TEST_F(ServerFamilyTest, Slowlog) {
  Expect({{"CONFIG SET slowlog-log-slower-than 0", "+OK"}});
  EXPECT_EQ(Do("PING"), "+PONG");
  EXPECT_NE(Do("SLOWLOG LEN"), ":0") << "the next command meets the new threshold";
  Expect({{"CLIENT SETNAME slow", "+OK"}, {"SET k v", "+OK"}});
  const std::string entry = Do("SLOWLOG GET 1");
  EXPECT_NE(entry.find("[\"SET\", \"k\", \"v\"]"), std::string::npos) << entry;
  EXPECT_NE(entry.find("\"slow\""), std::string::npos) << entry;
  Expect({{"CONFIG SET slowlog-log-slower-than -1", "+OK"}, {"SLOWLOG RESET", "+OK"}, {"PING", "+PONG"}, {"SLOWLOG LEN", ":0"}});
  ExpectError({"SLOWLOG GET -2", "SLOWLOG GET x"}, "ERR count should be greater than or equal to -1");
}

TEST_F(ServerFamilyTest, DebugAndOthers) {
  Expect({{"SET a 1", "+OK"}, {"DEBUG SLEEP 0", "+OK"}, {"DEBUG POPULATE 10 p 5", "+OK"}, {"DBSIZE", ":11"}, {"STRLEN p:3", ":5"},
          {"DEBUG ERROR 'CODE text'", "-CODE text"}, {"DEBUG JMAP", "-ERR DEBUG JMAP needs a Java virtual machine; this server has none"},
          {"CLUSTER INFO", "-ERR This instance has cluster support disabled"}, {"MODULE LIST", "[]"},
          {"READONLY", "-ERR This instance has cluster support disabled"}, {"READWRITE", "-ERR This instance has cluster support disabled"},
          {"ASKING", "-ERR This instance has cluster support disabled"},
          {"DEBUG OBJECT none", "-ERR no such key"}, {"SHUTDOWN FOO", "-ERR syntax error"},
          {"SHUTDOWN ABORT", "-ERR No shutdown in progress."}});
  EXPECT_NE(Do("DEBUG OBJECT a").find("encoding:int"), std::string::npos);
  EXPECT_EQ(Do("TIME").substr(0, 2), "[\"");
}

// All kinds of values, and the times of keys and fields.
TEST_F(ServerFamilyTest, DebugReloadKeepsWhatThereIs) {
  Expect({{"SET s text PX 1000000", "+OK"}, {"SET n 12", "+OK"}, {"HSET h f v g w", ":2"}, {"HEXPIRE h 1000 FIELDS 1 f", "[:1]"},
          {"SADD i 1 2 3", ":3"}, {"SADD t a b", ":2"}, {"ZADD z 1.5 a 2 b", ":2"}, {"XADD x 1-1 f v", "\"1-1\""},
          {"XGROUP CREATE x g 0", "+OK"}, {"SELECT 3", "+OK"}, {"SET other db", "+OK"}, {"SELECT 0", "+OK"}});
  const std::string before = Do("DEBUG DIGEST");
  EXPECT_EQ(before.size(), 41u);
  Expect({{"DEBUG RELOAD", "+OK"}, {"DBSIZE", ":7"}, {"OBJECT ENCODING i", "\"intset\""}, {"OBJECT ENCODING h", "\"hashtable\""},
          {"HTTL h FIELDS 2 f g", "[:1000, :-1]"}, {"GET s", "\"text\""}, {"XLEN x", ":1"}});
  EXPECT_GT(std::stoi(Do("PTTL s").substr(1)), 900'000);
  EXPECT_NE(Do("XINFO GROUPS x").find("\"name\", \"g\""), std::string::npos);
  EXPECT_EQ(Do("DEBUG DIGEST"), before);
  ExpectError({"DEBUG RELOAD NOW"}, "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.");
  EXPECT_EQ(Do("SET gone x PX 1"), "+OK");
  EXPECT_EQ(Do("DEBUG SET-ACTIVE-EXPIRE 0"), "+OK");
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  Expect({{"DEBUG RELOAD", "+OK"}, {"DBSIZE", ":7"}});
}

TEST_F(ServerFamilyTest, DebugDigestTellsContentsApartWhateverTheirEncoding) {
  const std::string nothing = "+0000000000000000000000000000000000000000";
  Expect({{"DEBUG DIGEST", nothing}, {"SADD a 1 2 x", ":3"}, {"SADD b x 2 1", ":3"}, {"SADD c x 2", ":2"}, {"DEBUG DIGEST-VALUE none", "[" + nothing + "]"}});
  const auto of = [&](const std::string& key) { return Do("DEBUG DIGEST-VALUE " + key); };
  EXPECT_EQ(of("a"), of("b"));
  EXPECT_NE(of("a"), of("c"));
  Expect({{"CONFIG SET set-max-listpack-entries 1", "+OK"}, {"SADD d x 1 2", ":3"}, {"OBJECT ENCODING d", "\"hashtable\""}});
  EXPECT_EQ(of("a"), of("d"));
  // Words do not run into each other, a key's time counts, and so do kind, score and order.
  Expect({{"HSET h ab c", ":1"}, {"HSET i a bc", ":1"}, {"SET s v", "+OK"}, {"SET t v EX 100", "+OK"}, {"ZADD y 1 m", ":1"}, {"ZADD z 2 m", ":1"}});
  EXPECT_NE(of("h"), of("i"));
  EXPECT_NE(of("s"), of("t"));
  EXPECT_NE(of("y"), of("z"));
  const std::string all = Do("DEBUG DIGEST");
  Expect({{"RENAME s u", "+OK"}});
  EXPECT_NE(Do("DEBUG DIGEST"), all);
  Expect({{"RENAME u s", "+OK"}, {"DEBUG DIGEST", all}});
}

TEST_F(ServerFamilyTest, DebugIsForThoseWhoEnabledIt) {
  c_.reset();
  server_.reset();
  StartServer({"--enable-debug-command", "no"});
  c_ = Connect();
  EXPECT_EQ(Do("DEBUG SLEEP 0").substr(0, 31), "-ERR DEBUG command not allowed.");
}

TEST_F(ServerFamilyTest, EveryRowHasWhatItNeeds) {
  const Table table = BuildCommandTable();
  for (uint32_t i = 0; i < table.size(); ++i) {
    const Row& row = table.At(i);
    EXPECT_TRUE(row.handler != nullptr || !row.subcommands.empty()) << table.FullName(i);
    EXPECT_FALSE(row.summary.empty()) << table.FullName(i);
    EXPECT_NE(row.arity, 0) << table.FullName(i);
    EXPECT_FALSE((row.flags & kWrite) && (row.flags & kReadonly)) << table.FullName(i);
    // A write locks something, or its effects could not be ordered.
    const bool locks = row.keys.first != 0 || row.keys.find != nullptr || (row.flags & kAllShards);
    EXPECT_TRUE(!(row.flags & kWrite) || locks) << table.FullName(i);
    EXPECT_EQ(table.Find(row.name) == &row, table.FullName(i).find('|') == std::string::npos) << table.FullName(i);
  }
}

TEST_F(ServerFamilyTest, EveryCommandRefusesTooFewArguments) {
  const Table table = BuildCommandTable();
  for (const Row* row : table.rows()) {
    if (row->arity == 1 || row->arity == -1) continue;
    EXPECT_EQ(Do(std::string(row->name)), "-ERR wrong number of arguments for '" + std::string(row->name) + "' command");
  }
}

}  // namespace
}  // namespace understudy::command
