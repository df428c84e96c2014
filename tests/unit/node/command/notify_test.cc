#include <gmock/gmock.h>

#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

class NotifyTest : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    Listen();
  }
  void Listen() {
    listener_ = Connect();
    EXPECT_EQ(listener_->Do("PSUBSCRIBE __key*"), "[\"psubscribe\", \"__key*\", :1]");
  }
  void Ask(const std::string& classes) { EXPECT_EQ(Do("CONFIG SET notify-keyspace-events " + classes), "+OK"); }
  // What was told since the last call: "db event key" of each __keyevent.
  std::string Told() {
    EXPECT_EQ(Do("PUBLISH __key_end x"), ":1");
    std::string told;
    for (;;) {
      const std::string message = listener_->Read();
      if (message == "closed" || message == "timeout" || message.find("__key_end") != std::string::npos) return told;
      const size_t at = message.find("__keyevent@");
      EXPECT_NE(at, std::string::npos) << message;
      const size_t colon = message.find("__:", at), quote = message.find('"', colon);
      const size_t key = quote + 4;
      if (!told.empty()) told += ", ";
      told += message.substr(at + 11, colon - at - 11) + " " + message.substr(colon + 3, quote - colon - 3) + " " +
              message.substr(key, message.size() - key - 2);
    }
  }
  // Commands and what they tell; their answers don't matter, but that they are no errors.
  void ExpectEvents(const std::vector<std::pair<std::string, std::string>>& commands) {
    for (const auto& [command, events] : commands) {
      EXPECT_NE(Do(command).front(), '-') << command;
      EXPECT_EQ(Told(), events) << command;
    }
  }
  std::unique_ptr<RespClient> listener_;
};

TEST_F(NotifyTest, NothingIsToldUnlessAskedFor) {
  ExpectEvents({{"SET k v", ""}});
  Ask("$g");  // neither K nor E
  ExpectEvents({{"SET k v", ""}});
  Ask("KEl");
  ExpectEvents({{"SET k v", ""}, {"DEL k", ""}});
}

TEST_F(NotifyTest, TheKeysChannelAndTheEventsChannel) {
  Ask("KE$");
  Expect({{"SELECT 3", "+OK"}, {"SET k v", "+OK"}});
  EXPECT_EQ(listener_->Read(), "[\"pmessage\", \"__key*\", \"__keyspace@3__:k\", \"set\"]");
  EXPECT_EQ(listener_->Read(), "[\"pmessage\", \"__key*\", \"__keyevent@3__:set\", \"k\"]");
  Ask("K$");
  Expect({{"SET k v", "+OK"}});
  EXPECT_EQ(listener_->Read(), "[\"pmessage\", \"__key*\", \"__keyspace@3__:k\", \"set\"]");
  EXPECT_EQ(Told(), "");
}

TEST_F(NotifyTest, StringsTell) {
  Ask("E$");
  ExpectEvents({{"SET k v", "0 set k"},          {"SET k v EX 100", "0 set k"},   {"SET k v NX", ""},
                {"SETNX n v", "0 set n"},        {"SETNX n v", ""},               {"SETEX k 10 v", "0 set k"},
                {"PSETEX k 10000 v", "0 set k"}, {"GETSET k v", "0 set k"},       {"MSET a 1 b 2", "0 set a, 0 set b"},
                {"MSETNX a 1 c 2", ""},          {"MSETNX c 1 d 2", "0 set c, 0 set d"},
                {"INCR i", "0 incrby i"},        {"DECRBY i 2", "0 incrby i"},    {"INCRBYFLOAT f 1.5", "0 incrbyfloat f"},
                {"APPEND p x", "0 append p"},    {"APPEND p x", "0 append p"},    {"SETRANGE p 5 y", "0 setrange p"},
                {"SETRANGE p 5 ''", ""},         {"SETBIT b 1 1", "0 setbit b"},  {"SETBIT b 1 1", ""},
                {"BITFIELD b SET u8 0 1 INCRBY u8 0 1", "0 setbit b"},            {"BITFIELD b GET u8 0", ""},
                {"BITOP NOT o b", "0 set o"},    {"PFADD h 1 2", "0 pfadd h"},    {"PFADD h 1 2", ""},
                {"PFMERGE h2 h", "0 pfadd h2"},  {"PFCOUNT h", ""},               {"GET k", ""}});
}

TEST_F(NotifyTest, HashesTell) {
  Ask("Ehg");
  ExpectEvents({{"HSET h a 1 b 2", "0 hset h"},       {"HSET h a 1", "0 hset h"},            {"HMSET h a 1", "0 hset h"},
                {"HSETNX h a 1", ""},                 {"HSETNX h c 1", "0 hset h"},          {"HINCRBY h a 1", "0 hincrby h"},
                {"HINCRBYFLOAT h a 1", "0 hincrbyfloat h"},                                  {"HDEL h none", ""},
                {"HDEL h c", "0 hdel h"},             {"HDEL h a b", "0 hdel h, 0 del h"},   {"HGETALL h", ""},
                {"HSET h a 1 b 2", "0 hset h"},       {"HEXPIRE h 100 FIELDS 3 a b c", "0 hexpire h"},
                {"HEXPIRE h 1 GT FIELDS 1 a", ""},    {"HPERSIST h FIELDS 2 a b", "0 hpersist h"},
                {"HPERSIST h FIELDS 2 a b", ""},      {"HGETEX h FIELDS 1 a", ""},           {"HGETEX h EX 10 FIELDS 1 a", "0 hexpire h"},
                {"HGETEX h PERSIST FIELDS 2 a b", "0 hpersist h"},                           {"HGETEX h PX 0 FIELDS 1 a", "0 hexpired h"},
                {"HEXPIRE h 0 FIELDS 1 b", "0 hexpired h, 0 del h"},                         {"HSETEX h FIELDS 2 a 1 b 2", "0 hset h"},
                {"HSETEX h EX 10 FIELDS 1 a 1", "0 hset h, 0 hexpire h"},                    {"HSETEX h FNX FIELDS 1 a 1", ""},
                {"HSETEX h EX 0 FIELDS 1 a 1", "0 hset h, 0 hexpire h, 0 hexpired h"},       {"HGETDEL h FIELDS 1 none", ""},
                {"HGETDEL h FIELDS 1 b", "0 hdel h, 0 del h"}});
}

TEST_F(NotifyTest, ListsTell) {
  Ask("Elgn");
  ExpectEvents({{"RPUSH l a b c d e f", "0 new l, 0 rpush l"}, {"LPUSH l z", "0 lpush l"},
                {"LPUSHX none z", ""},                         {"RPUSHX l z", "0 rpush l"},
                {"LINSERT l BEFORE a x", "0 linsert l"},       {"LINSERT l BEFORE none x", ""},
                {"LSET l 0 x", "0 lset l"},                    {"LREM l 1 none", ""},
                {"LREM l 1 x", "0 lrem l"},                    {"LTRIM l 1 -2", "0 ltrim l"},
                {"LTRIM l 0 -1", "0 ltrim l"},                 {"LPOP l", "0 lpop l"},
                {"LPOP l 0", ""},                              {"RPOP l 3", "0 rpop l"},
                {"LMOVE l m LEFT RIGHT", "0 new m, 0 rpush m, 0 lpop l"},
                {"LMOVE l l LEFT LEFT", "0 lpush l, 0 lpop l"},
                {"RPOPLPUSH l m", "0 lpush m, 0 rpop l, 0 del l"},
                {"LMPOP 2 l m RIGHT", "0 rpop m"},             {"LMPOP 2 l m LEFT", "0 lpop m, 0 del m"},
                {"LMPOP 2 l m LEFT", ""},                      {"RPUSH l a", "0 new l, 0 rpush l"},
                {"LREM l 0 a", "0 lrem l, 0 del l"},           {"RPUSH l a", "0 new l, 0 rpush l"},
                {"LTRIM l 5 9", "0 ltrim l, 0 del l"},         {"RPUSH l a", "0 new l, 0 rpush l"},
                {"BLPOP l 0", "0 lpop l, 0 del l"},            {"RPUSH l a", "0 new l, 0 rpush l"},
                {"BLMOVE l m LEFT LEFT 0", "0 new m, 0 lpush m, 0 lpop l, 0 del l"}});
  auto waiting = Connect();
  waiting->Send({"BRPOP", "w", "0"});
  ASSERT_TRUE(Eventually([&] { return Do("INFO clients").find("blocked_clients:1") != std::string::npos; }));
  ExpectEvents({{"LPUSH w a", "0 new w, 0 lpush w, 0 rpop w, 0 del w"}});
}

TEST_F(NotifyTest, FieldsThatExpireTellOnceForTheirHash) {
  Expect({{"DEBUG SET-ACTIVE-EXPIRE 0", "+OK"},
          {"HSET h keep 1", ":1"},
          {"HSETEX h PX 1 FIELDS 2 a 1 b 2", ":1"},
          {"HSETEX gone PX 1 FIELDS 2 a 1 b 2", ":1"}});
  Ask("Ehg");
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ExpectEvents({{"HGETALL h", ""},
                {"HSET h keep 2", "0 hexpired h, 0 hset h"},
                {"HSET gone c 1", "0 hexpired gone, 0 del gone, 0 hset gone"}});
  EXPECT_EQ(Do("DEBUG SET-ACTIVE-EXPIRE 1"), "+OK");
  EXPECT_EQ(Do("HSETEX h PX 1 FIELDS 2 keep 1 b 2"), ":1");
  for (const char* event : {"hset", "hexpire", "hexpired", "del"}) {
    EXPECT_EQ(listener_->Read(), "[\"pmessage\", \"__key*\", \"__keyevent@0__:" + std::string(event) + "\", \"h\"]");
  }
}

TEST_F(NotifyTest, RestoreTells) {
  Expect({{"SET k v", "+OK"}});
  const std::string reply = Do("DUMP k"), payload = reply.substr(1, reply.size() - 2);
  Ask("Egn");
  EXPECT_EQ(c_->Do({"RESTORE", "r", "0", payload}), "+OK");
  EXPECT_EQ(Told(), "0 new r, 0 restore r");
  EXPECT_EQ(c_->Do({"RESTORE", "r", "1", payload, "REPLACE", "ABSTTL"}), "+OK");
  EXPECT_EQ(Told(), "0 del r");
}

TEST_F(NotifyTest, CommandsOnAnyKindOfKeyTell) {
  Ask("Eg");
  ExpectEvents({{"SET k v", ""},                     {"SET k v EX 100", "0 expire k"},       {"GETEX k EX 50", "0 expire k"},
                {"GETEX k PERSIST", "0 persist k"},  {"GETEX k PERSIST", ""},                {"EXPIRE k 100", "0 expire k"},
                {"EXPIRE k 100 NX", ""},             {"PERSIST k", "0 persist k"},           {"COPY k l", "0 copy_to l"},
                {"COPY k l DB 2", "2 copy_to l"},    {"RENAME k m", "0 rename_from k, 0 rename_to m"},
                {"RENAMENX l m", ""},                {"MOVE m 1", "0 move_from m, 1 move_to m"},
                {"DEL l none", "0 del l"},           {"SET k v", ""},                        {"UNLINK k", "0 del k"},
                {"SET k v", ""},                     {"GETDEL k", "0 del k"},                {"SET k v", ""},
                {"EXPIRE k -1", "0 del k"},          {"SET k v", ""},                        {"GETEX k PXAT 1", "0 del k"},
                {"SET k v", ""},                     {"SET k v PXAT 1", "0 del k"},          {"SET k v", ""},
                {"BITOP OR k none", "0 del k"},      {"FLUSHALL", ""}});
}

TEST_F(NotifyTest, NewKeysTell) {
  Ask("En");
  ExpectEvents({{"SET k v", "0 new k"},        {"SET k v", ""},               {"SET k v EX 9", ""},     {"MSET k 1 l 2", "0 new l"},
                {"INCR i", "0 new i"},         {"INCR i", ""},                {"APPEND a x", "0 new a"}, {"SETRANGE r 1 x", "0 new r"},
                {"SETBIT b 1 1", "0 new b"},   {"BITFIELD f SET u8 0 1", "0 new f"}, {"BITOP NOT o k", "0 new o"},
                {"PFADD h", "0 new h"},        {"PFMERGE g h", "0 new g"},    {"INCRBYFLOAT d 1", "0 new d"},
                {"RENAME k m", "0 new m"},     {"COPY m n", "0 new n"},       {"MOVE m 5", "5 new m"}, {"SETNX s v", "0 new s"},
                {"HSET h2 a 1", "0 new h2"},   {"HSET h2 b 1", ""},           {"HSETNX h3 a 1", "0 new h3"}, {"HINCRBY h4 a 1", "0 new h4"},
                {"HINCRBYFLOAT h5 a 1", "0 new h5"}, {"HSETEX h6 FIELDS 1 a 1", "0 new h6"}});
}

TEST_F(NotifyTest, MissedKeysTell) {
  Ask("Em");
  ExpectEvents({{"SET k v", ""}, {"GET k", ""}, {"GET x", "0 keymiss x"}, {"MGET k x y", "0 keymiss x, 0 keymiss y"},
                {"EXISTS x", "0 keymiss x"}, {"TTL x", "0 keymiss x"}, {"TYPE x", "0 keymiss x"}, {"GETEX x", "0 keymiss x"},
                {"STRLEN x", "0 keymiss x"}, {"BITCOUNT x", "0 keymiss x"}, {"DEL x", ""}, {"OBJECT ENCODING x", ""},
                {"HGET x a", "0 keymiss x"}, {"HGETEX x FIELDS 1 a", "0 keymiss x"}, {"DUMP x", "0 keymiss x"}});
}

TEST_F(NotifyTest, SetsTell) {
  Ask("Esgn");
  ExpectEvents({{"SADD s a b c", "0 new s, 0 sadd s"},    {"SADD s a", ""},
                {"SREM s x", ""},                         {"SREM s c", "0 srem s"},
                {"SMOVE s t x", ""},                      {"SMOVE s t a", "0 srem s, 0 new t, 0 sadd t"},
                {"SMOVE t s a", "0 srem t, 0 del t, 0 sadd s"},
                {"SADD t a", "0 new t, 0 sadd t"},        {"SMOVE s t a", "0 srem s"},
                {"SPOP s", "0 spop s, 0 del s"},          {"SADD s a b c", "0 new s, 0 sadd s"},
                {"SPOP s 0", ""},                         {"SPOP s 2", "0 spop s"},
                {"SPOP s 5", "0 spop s, 0 del s"},        {"SINTERSTORE d t t", "0 new d, 0 sinterstore d"},
                {"SUNIONSTORE d t", "0 sunionstore d"},   {"SDIFFSTORE e t none", "0 new e, 0 sdiffstore e"},
                {"SDIFFSTORE d t t", "0 del d"},          {"SDIFFSTORE d t t", ""},
                {"SREM t a", "0 srem t, 0 del t"},        {"SMEMBERS e", ""}});
}

TEST_F(NotifyTest, AnExpiredKeyIsNoMoreWhenAnOutcomeIsStoredThere) {
  Ask("Esgx");
  Expect({{"DEBUG SET-ACTIVE-EXPIRE 0", "+OK"}});
  ExpectEvents({{"SET d v PX 1", "0 expire d"}});
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ExpectEvents({{"SINTERSTORE d none none", "0 expired d"}, {"SADD s a", "0 sadd s"}});
  ExpectEvents({{"SET d v PX 1", "0 expire d"}});
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ExpectEvents({{"SUNIONSTORE d s", "0 expired d, 0 sunionstore d"}});
}

TEST_F(NotifyTest, SortedSetsTell) {
  Ask("Ezgnl");
  ExpectEvents({{"ZADD z 1 a 2 b 3 c", "0 new z, 0 zadd z"}, {"ZADD z 1 a", ""},
                {"ZADD z XX 5 x", ""},                       {"ZADD z INCR 1 a", "0 zincr z"},
                {"ZINCRBY z 0 a", ""},                       {"ZINCRBY z 1 a", "0 zincr z"},
                {"ZREM z x", ""},                            {"ZREM z a", "0 zrem z"},
                {"ZPOPMIN z", "0 zpopmin z"},                {"ZMPOP 1 z MAX", "0 zpopmax z, 0 del z"},
                {"ZADD z 1 a 2 b 3 c", "0 new z, 0 zadd z"}, {"ZREMRANGEBYRANK z 0 0", "0 zremrangebyrank z"},
                {"ZREMRANGEBYSCORE z 9 9", ""},              {"ZREMRANGEBYLEX z - +", "0 zremrangebylex z, 0 del z"},
                {"ZADD z 1 a", "0 new z, 0 zadd z"},         {"ZUNIONSTORE d 1 z", "0 new d, 0 zunionstore d"},
                {"ZINTERSTORE d 1 z", "0 zinterstore d"},    {"ZDIFFSTORE d 1 z", "0 zdiffstore d"},
                {"ZRANGESTORE d z 0 -1", "0 zrangestore d"}, {"ZRANGESTORE d z 5 5", "0 del d"},
                {"ZRANGESTORE d z 5 5", ""},                 {"GEOADD g 1 1 a", "0 new g, 0 zadd g"},
                {"GEOSEARCHSTORE d g FROMMEMBER a BYRADIUS 1 m", "0 new d, 0 geosearchstore d"},
                {"GEORADIUS g 1 1 1 km STORE d", "0 georadiusstore d"},
                {"SORT z ALPHA STORE d", "0 sortstore d"},   {"SORT none STORE d", "0 del d"},
                {"ZREM z a", "0 zrem z, 0 del z"},           {"ZRANGE g 0 -1", ""}});
}

TEST_F(NotifyTest, ExpiredAndEvictedKeysTell) {
  Ask("Ex");
  Expect({{"SET k v PX 1", "+OK"}});
  EXPECT_EQ(listener_->Read(), "[\"pmessage\", \"__key*\", \"__keyevent@0__:expired\", \"k\"]");
  Expect({{"DEBUG SET-ACTIVE-EXPIRE 0", "+OK"}, {"SET k v PX 1", "+OK"}});
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ExpectEvents({{"GET k", "0 expired k"}});
  Ask("Ee");
  const std::string value(1'000'000, 'x');
  Expect({{"CONFIG SET maxmemory-policy allkeys-random", "+OK"}, {"CONFIG SET maxmemory 20mb", "+OK"}});
  for (int i = 0; i < 40; ++i) EXPECT_EQ(c_->Do({"SET", "key" + std::to_string(i), value}), "+OK");
  EXPECT_THAT(listener_->Read(), ::testing::StartsWith("[\"pmessage\", \"__key*\", \"__keyevent@0__:evicted\", \"key"));
}

TEST_F(NotifyTest, AReplicaTellsWhatItIsTold) {
  const auto primary_config = std::move(config_);
  const auto primary = std::move(server_);
  const auto at_primary = std::move(c_);
  StartServer({"--replicaof", "127.0.0.1", std::to_string(primary->port())});
  c_ = Connect();
  Listen();
  Ask("E$g");
  ASSERT_TRUE(Eventually([&] { return Do("INFO replication").find("master_link_status:up") != std::string::npos; }));
  EXPECT_EQ(at_primary->Do("SET k v EX 100"), "+OK");
  EXPECT_EQ(at_primary->Do("DEL k"), ":1");
  for (const char* event : {"set", "expire", "del"}) {
    EXPECT_EQ(listener_->Read(), "[\"pmessage\", \"__key*\", \"__keyevent@0__:" + std::string(event) + "\", \"k\"]");
  }
  listener_.reset();
  server_.reset();
}

TEST_F(NotifyTest, TheClassesAreShownAsRedisDoes) {
  const std::pair<const char*, const char*> cases[] = {
      {"KEA", "AKE"}, {"gnKm", "gnKm"}, {"K$", "$K"}, {"x", "x"}, {"Ag$lshzxetdKE", "AKE"}, {"AKEnm", "AnKEm"}};
  for (const auto& [given, shown] : cases) {
    Ask(given);
    EXPECT_EQ(Do("CONFIG GET notify-keyspace-events"), std::string("[\"notify-keyspace-events\", \"") + shown + "\"]");
  }
  Ask("''");
  EXPECT_EQ(Do("CONFIG GET notify-keyspace-events"), "[\"notify-keyspace-events\", \"\"]");
  ExpectError({"CONFIG SET notify-keyspace-events KQ"},
              "ERR CONFIG SET failed (possibly related to argument 'notify-keyspace-events') - Invalid event class "
              "character. Use 'Ag$lshzxeKEtmdn'.");
}

TEST_F(NotifyTest, ListenersThatCannotKeepUpHoldWritesBack) {
  Ask("EK$");
  ASSERT_EQ(Do("CONFIG SET client-output-buffer-limit 'pubsub 0 0 0'"), "+OK");
  std::thread writer([&] {
    RespClient client(server_->port());
    std::string pipeline;
    for (int i = 0; i < 20'000; ++i) pipeline += "SET k v\r\n";
    client.SendRaw(pipeline);
    for (int i = 0; i < 20'000; ++i) ASSERT_EQ(client.Read(20'000), "+OK");
  });
  for (int i = 0; i < 40'000; ++i) ASSERT_THAT(listener_->Read(20'000), ::testing::StartsWith("[\"pmessage\""));
  writer.join();
}

}  // namespace
}  // namespace understudy::command
