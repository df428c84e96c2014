// What replicas are told: the stream as a replica that attaches by PSYNC sees it.
#include <gmock/gmock.h>

#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

class EffectsTest : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    tap_ = Connect();
    ASSERT_EQ(tap_->Do("REPLCONF capa eof capa psync2"), "+OK");
    tap_->Send({"PSYNC", "?", "-1"});
    ASSERT_EQ(tap_->Read().substr(0, 12), "+FULLRESYNC ");
    // "$EOF:" and 40 characters, the snapshot, the same 40 characters; empty lines before it are keep-alives.
    std::string header;
    while (header.empty() || header.back() != '\n' || header.size() < 40) {
      const std::string c = tap_->ReadRaw(1);
      ASSERT_FALSE(c.empty());
      if (!header.empty() || (c != "\n" && c != "\r")) header += c;
    }
    ASSERT_EQ(header.substr(0, 5), "$EOF:");
    const std::string mark = header.substr(5, 40);
    std::string snapshot;
    while (!snapshot.ends_with(mark)) {
      const std::string c = tap_->ReadRaw(1);
      ASSERT_FALSE(c.empty());
      snapshot += c;
    }
    EXPECT_EQ(snapshot.substr(0, 5), "REDIS");
    tap_->SendRaw(test::EncodeCommand({"REPLCONF", "ACK", "0"}));
  }
  // The next command of the stream that is data.
  std::string Next() {
    for (;;) {
      const std::string command = tap_->Read();
      if (command.find("\"PING\"") == std::string::npos && command.find("\"SELECT\"") == std::string::npos &&
          command.find("\"GETACK\"") == std::string::npos) {
        return command;
      }
    }
  }
  std::unique_ptr<RespClient> tap_;
};

struct EffectCase {
  std::string command, effect;  // a regular expression; empty = nothing
};

TEST_F(EffectsTest, EachCommandIsReplicatedByItsOutcome) {
  const EffectCase cases[] = {
      {"SET k v", R"(\["SET", "k", "v"\])"},
      {"SET k v EX 100", R"(\["SET", "k", "v", "PXAT", "[0-9]{13}"\])"},
      {"SET k w KEEPTTL", R"(\["SET", "k", "w", "KEEPTTL"\])"},
      {"SET k v NX", ""},
      {"SET none v XX", ""},
      {"SET k x IFEQ y", ""},
      {"SET k x IFEQ w", R"(\["SET", "k", "x"\])"},
      {"DELIFEQ k w", ""},
      {"DELIFEQ k x", R"(\["DEL", "k"\])"},
      {"SET k w", R"(\["SET", "k", "w"\])"},
      {"SET k v XX GET", R"(\["SET", "k", "v"\])"},
      {"SET k v EXAT 1", R"(\["UNLINK", "k"\])"},
      {"SET gone v EXAT 1", ""},
      {"SETNX k 1", R"(\["SET", "k", "1"\])"},
      {"SETNX k 2", ""},
      {"SETEX k 10 v", R"(\["SET", "k", "v", "PXAT", "[0-9]{13}"\])"},
      {"PSETEX k 10000 v", R"(\["SET", "k", "v", "PXAT", "[0-9]{13}"\])"},
      {"GETSET k 5", R"(\["SET", "k", "5"\])"},
      {"GETEX k", ""},
      {"GETEX k EX 100", R"(\["PEXPIREAT", "k", "[0-9]{13}"\])"},
      {"GETEX k PERSIST", R"(\["PERSIST", "k"\])"},
      {"GETEX k PERSIST", ""},
      {"INCR k", R"(\["INCR", "k"\])"},
      {"INCRBYFLOAT k 1.5", R"(\["SET", "k", "7.5", "KEEPTTL"\])"},
      {"APPEND k x", R"(\["APPEND", "k", "x"\])"},
      {"SETRANGE k 0 ''", ""},
      {"SETRANGE k 0 ab", R"(\["SETRANGE", "k", "0", "ab"\])"},
      {"INCR k", ""},
      {"EXPIRE k 100", R"(\["PEXPIREAT", "k", "[0-9]{13}"\])"},
      {"EXPIRE k 10 GT", ""},
      {"PERSIST k", R"(\["PERSIST", "k"\])"},
      {"PERSIST k", ""},
      {"EXPIRE k -1", R"(\["UNLINK", "k"\])"},
      {"EXPIRE none 10", ""},
      {"MSET a 1 b 2", R"(\["MSET", "a", "1", "b", "2"\])"},
      {"MSETNX a 1 c 2", ""},
      {"COPY a b", ""},
      {"COPY a c", R"(\["COPY", "a", "c"\])"},
      {"RENAME c d", R"(\["RENAME", "c", "d"\])"},
      {"RENAME d d", ""},
      {"MOVE d 3", R"(\["MOVE", "d", "3"\])"},
      {"GETDEL a", R"(\["DEL", "a"\])"},
      {"GETDEL a", ""},
      {"DEL none", ""},
      {"DEL b none", R"(\["DEL", "b", "none"\])"},
      {"UNLINK none", ""},
      {"SWAPDB 0 0", ""},
      {"SWAPDB 0 1", R"(\["SWAPDB", "0", "1"\])"},
      {"FLUSHDB", R"(\["FLUSHDB"\])"},
      {"FLUSHALL", R"(\["FLUSHALL"\])"},
      {"TOUCH k", ""},
      {"HSET h a 1 b 2", R"(\["HSET", "h", "a", "1", "b", "2"\])"},
      {"HDEL h none", ""},
      {"HDEL h a none", R"(\["HDEL", "h", "a", "none"\])"},
      {"HSET k", ""},
      {"HMSET h a 1", R"(\["HMSET", "h", "a", "1"\])"},
      {"HSETNX h a 1", ""},
      {"HSETNX h n 1", R"(\["HSETNX", "h", "n", "1"\])"},
      {"HINCRBY h n 1", R"(\["HINCRBY", "h", "n", "1"\])"},
      {"HINCRBYFLOAT h n 0.5", R"(\["HSET", "h", "n", "2.5"\])"},
      {"HRANDFIELD h 2", ""},
      {"HEXPIRE h 100 FIELDS 3 n none a", R"(\["HPEXPIREAT", "h", "[0-9]{13}", "FIELDS", "2", "n", "a"\])"},
      {"HEXPIREAT h 33000000000 NX FIELDS 2 n b", R"(\["HPEXPIREAT", "h", "33000000000000", "FIELDS", "1", "b"\])"},
      {"HEXPIRE h 1 GT FIELDS 1 n", ""},
      {"HPERSIST h FIELDS 2 a none", R"(\["HPERSIST", "h", "FIELDS", "1", "a"\])"},
      {"HPERSIST h FIELDS 1 a", ""},
      {"HGETEX h FIELDS 1 a", ""},
      {"HGETEX h EX 100 FIELDS 2 a none", R"(\["HPEXPIREAT", "h", "[0-9]{13}", "FIELDS", "1", "a"\])"},
      {"HGETEX h PERSIST FIELDS 2 a none", R"(\["HPERSIST", "h", "FIELDS", "1", "a"\])"},
      {"HGETEX h PX 0 FIELDS 2 a none", R"(\["HDEL", "h", "a"\])"},
      {"HGETEX h PX 0 FIELDS 1 none", ""},
      {"HSETEX h FNX FIELDS 2 c 1 d 2", R"(\["HSET", "h", "c", "1", "d", "2"\])"},
      {"HSETEX h FNX FIELDS 1 c 1", ""},
      {"HSETEX h KEEPTTL FIELDS 1 c 3", R"(\["HSETEX", "h", "KEEPTTL", "FIELDS", "1", "c", "3"\])"},
      {"HSETEX h FXX EX 100 FIELDS 1 c 4", R"(\["HSETEX", "h", "PXAT", "[0-9]{13}", "FIELDS", "1", "c", "4"\])"},
      {"HSETEX h EX 0 FIELDS 2 c 5 none 5", R"(\["HDEL", "h", "c"\])"},
      {"HSETEX h EX 0 FIELDS 1 none 5", ""},
      {"HEXPIRE h 0 FIELDS 2 d none", R"(\["HDEL", "h", "d"\])"},
      {"HGETDEL h FIELDS 1 none", ""},
      {"HGETDEL h FIELDS 2 none n", R"(\["HDEL", "h", "n"\])"},
      {"HEXPIRE none 100 FIELDS 1 a", ""},
      {"HGETALL h", ""},
      {"RPUSH l a b c d e f g", R"(\["RPUSH", "l", "a", "b", "c", "d", "e", "f", "g"\])"},
      {"LPUSHX none a", ""},
      {"LPUSHX l z", R"(\["LPUSHX", "l", "z"\])"},
      {"LINSERT l BEFORE none x", ""},
      {"LINSERT l BEFORE a y", R"(\["LINSERT", "l", "BEFORE", "a", "y"\])"},
      {"LSET l 0 x", R"(\["LSET", "l", "0", "x"\])"},
      {"LREM l 0 none", ""},
      {"LREM l 0 y", R"(\["LREM", "l", "0", "y"\])"},
      {"LTRIM l 0 -1", ""},
      {"LTRIM l 1 -1", R"(\["LTRIM", "l", "1", "-1"\])"},
      {"LPOP l 0", ""},
      {"LPOP none", ""},
      {"LPOP l", R"(\["LPOP", "l"\])"},
      {"RPOP l 2", R"(\["RPOP", "l", "2"\])"},
      {"LMOVE none m LEFT LEFT", ""},
      {"LMOVE l m LEFT RIGHT", R"(\["LMOVE", "l", "m", "LEFT", "RIGHT"\])"},
      {"RPOPLPUSH l m", R"(\["RPOPLPUSH", "l", "m"\])"},
      {"LMPOP 1 none LEFT", ""},
      {"LMPOP 2 none m RIGHT COUNT 10", R"(\["RPOP", "m", "2"\])"},
      {"RPUSH m a b", R"(\["RPUSH", "m", "a", "b"\])"},
      {"BLPOP none m 0", R"(\["LPOP", "m"\])"},
      {"BRPOP m 0", R"(\["RPOP", "m"\])"},
      {"BLPOP m 0.001", ""},
      {"BLMOVE l m LEFT LEFT 0", R"(\["LMOVE", "l", "m", "LEFT", "LEFT"\])"},
      {"BRPOPLPUSH m l 0", R"(\["RPOPLPUSH", "m", "l"\])"},
      {"BLMPOP 0 2 m l LEFT COUNT 5", R"(\["LPOP", "l", "2"\])"},
  };
  int marker = 0;
  for (const EffectCase& c : cases) {
    Do(c.command);
    if (!c.effect.empty()) {
      const std::string got = Next();
      EXPECT_THAT(got, ::testing::MatchesRegex(std::string(c.effect))) << c.command;
    }
    // Whatever came in between shows here.
    const std::string name = "marker" + std::to_string(++marker);
    Do("SET " + name + " 1");
    ASSERT_EQ(Next(), "[\"SET\", \"" + name + "\", \"1\"]") << c.command;
  }
}

TEST_F(EffectsTest, ATransactionIsOneGroup) {
  Expect({{"MULTI", "+OK"}, {"SET a 1", "+QUEUED"}, {"GET a", "+QUEUED"}, {"INCR a", "+QUEUED"}, {"EXEC", "[+OK, \"1\", :2]"}});
  EXPECT_EQ(Next(), "[\"MULTI\"]");
  EXPECT_EQ(Next(), "[\"SET\", \"a\", \"1\"]");
  EXPECT_EQ(Next(), "[\"INCR\", \"a\"]");
  EXPECT_EQ(Next(), "[\"EXEC\"]");
  Expect({{"MULTI", "+OK"}, {"GET a", "+QUEUED"}, {"EXEC", "[\"2\"]"}, {"SET end 1", "+OK"}});
  EXPECT_EQ(Next(), "[\"SET\", \"end\", \"1\"]") << "a transaction that wrote nothing is not replicated";
}

TEST_F(EffectsTest, WhatAWaitingClientTakesFollowsTheWriteThatMadeItReady) {
  auto first = Connect(), second = Connect(), third = Connect();
  const auto waits = [&](int clients) {
    return Eventually([&] { return Do("INFO clients").find("blocked_clients:" + std::to_string(clients) + "\r") != std::string::npos; });
  };
  first->Send({"BLPOP", "none", "l", "0"});
  ASSERT_TRUE(waits(1));
  second->Send({"BLMOVE", "l", "m", "LEFT", "RIGHT", "0"});
  ASSERT_TRUE(waits(2));
  third->Send({"BLMPOP", "0", "1", "m", "LEFT", "COUNT", "3"});
  ASSERT_TRUE(waits(3));
  c_->SendRaw(test::EncodeCommand({"SET", "a", "1"}) + test::EncodeCommand({"RPUSH", "l", "x", "y", "z"}) +
              test::EncodeCommand({"SET", "b", "1"}));
  EXPECT_EQ(third->Read(), "[\"m\", [\"y\"]]");
  EXPECT_EQ(Next(), "[\"SET\", \"a\", \"1\"]");
  EXPECT_EQ(Next(), "[\"RPUSH\", \"l\", \"x\", \"y\", \"z\"]");
  EXPECT_EQ(Next(), "[\"LPOP\", \"l\"]");
  EXPECT_EQ(Next(), "[\"LMOVE\", \"l\", \"m\", \"LEFT\", \"RIGHT\"]");
  EXPECT_EQ(Next(), "[\"LPOP\", \"m\", \"1\"]");
  EXPECT_EQ(Next(), "[\"SET\", \"b\", \"1\"]");
}

TEST_F(EffectsTest, AnExpiredKeyIsDeletedBeforeTheWriteThatFoundIt) {
  Expect({{"DEBUG SET-ACTIVE-EXPIRE 0", "+OK"}, {"PSETEX k 1 v", "+OK"}});
  Next();
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  Expect({{"INCR k", ":1"}});
  EXPECT_EQ(Next(), "[\"UNLINK\", \"k\"]");
  EXPECT_EQ(Next(), "[\"INCR\", \"k\"]");
}

TEST_F(EffectsTest, WhatIsFreedAtOnceIsDeletedAtOnce) {
  Expect({{"CONFIG SET lazyfree-lazy-expire no lazyfree-lazy-server-del no", "+OK"},
          {"MSET a 1 b 2", "+OK"}, {"SADD s m n", ":2"}});
  Next();
  Next();
  Expect({{"EXPIRE a -1", ":1"}, {"GETEX b EXAT 1", "\"2\""}, {"SPOP s 2", Do("SMEMBERS s")}});
  for (const char* key : {"a", "b", "s"}) EXPECT_EQ(Next(), "[\"DEL\", \"" + std::string(key) + "\"]");
  Expect({{"CONFIG SET lazyfree-lazy-server-del yes", "+OK"}, {"SADD s m", ":1"}, {"SPOP s", "\"m\""}});
  Next();
  EXPECT_EQ(Next(), "[\"UNLINK\", \"s\"]");
}

TEST_F(EffectsTest, RandomKeyRemovesWhatHasExpired) {
  Expect({{"DEBUG SET-ACTIVE-EXPIRE 0", "+OK"}, {"PSETEX k 1 v", "+OK"}});
  Next();
  ASSERT_TRUE(Eventually([&] { return Do("RANDOMKEY") == "nil"; }));
  EXPECT_EQ(Next(), "[\"UNLINK\", \"k\"]");
  EXPECT_EQ(Do("DBSIZE"), ":0");
}

TEST_F(EffectsTest, AnExpiredKeyIsDeletedWhenItIsReadOrSwept) {
  Expect({{"DEBUG SET-ACTIVE-EXPIRE 0", "+OK"}, {"PSETEX k 1 v", "+OK"}});
  Next();
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  Expect({{"GET k", "nil"}});
  EXPECT_EQ(Next(), "[\"UNLINK\", \"k\"]");
  Expect({{"PSETEX k 1 v", "+OK"}, {"DEBUG SET-ACTIVE-EXPIRE 1", "+OK"}});
  Next();
  EXPECT_EQ(Next(), "[\"UNLINK\", \"k\"]");
}

// The payload of a hash with a field f that expires at that time.
std::string HashWithExpiry(int64_t expire_ms) {
  std::string payload("\x16\x01\x01" "f\x01v", 6);
  payload.append(reinterpret_cast<const char*>(&expire_ms), sizeof expire_ms);
  payload += std::string("\x50\x00", 2) + std::string(8, '\0');
  return payload;
}

TEST_F(EffectsTest, RestoreIsReplicatedWithItsTime) {
  const int64_t before = clock_.Wall().unix_ms, later = before + 100'000;
  EXPECT_EQ(c_->Do({"RESTORE", "h", "5000", HashWithExpiry(later), "IDLETIME", "7"}), "+OK");
  std::string got = Next();
  const std::string begin = "[\"RESTORE\", \"h\", \"";
  ASSERT_THAT(got, ::testing::StartsWith(begin));
  const int64_t told = std::stoll(got.substr(begin.size()));
  EXPECT_GE(told, before + 5000);
  EXPECT_LE(told, clock_.Wall().unix_ms + 5000);
  EXPECT_THAT(got, ::testing::EndsWith("\", \"REPLACE\", \"ABSTTL\", \"IDLETIME\", \"7\"]"));
  EXPECT_EQ(c_->Do({"RESTORE", "i", "0", HashWithExpiry(later)}), "+OK");
  got = Next();
  EXPECT_THAT(got, ::testing::StartsWith("[\"RESTORE\", \"i\", \"0\", "));
  EXPECT_THAT(got, ::testing::EndsWith("\", \"REPLACE\", \"ABSTTL\"]"));
  EXPECT_EQ(c_->Do({"RESTORE", "i", "1", HashWithExpiry(later), "REPLACE", "ABSTTL"}), "+OK");
  EXPECT_EQ(Next(), "[\"UNLINK\", \"i\"]");
}

TEST_F(EffectsTest, AFieldThatExpiresIsRemovedByNameBeforeTheWriteThatFoundItOrWhenItIsSwept) {
  Expect({{"DEBUG SET-ACTIVE-EXPIRE 0", "+OK"}, {"HSET seen 1 1", ":1"}});
  Next();
  const int64_t soon = clock_.Wall().unix_ms + 2;
  EXPECT_EQ(c_->Do({"RESTORE", "h", "0", HashWithExpiry(soon)}), "+OK");
  EXPECT_EQ(c_->Do({"RESTORE", "i", "0", HashWithExpiry(soon)}), "+OK");
  Next();
  Next();
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  Expect({{"HGET h f", "nil"}, {"HSET h g 1", ":1"}, {"HGETALL h", "[\"g\", \"1\"]"}});
  EXPECT_EQ(Next(), "[\"HDEL\", \"h\", \"f\"]");
  EXPECT_EQ(Next(), "[\"HSET\", \"h\", \"g\", \"1\"]");
  Do("DEBUG SET-ACTIVE-EXPIRE 1");
  EXPECT_EQ(Next(), "[\"HDEL\", \"i\", \"f\"]");
  Expect({{"EXISTS i", ":0"}});
}

TEST_F(EffectsTest, AFloatIncrementKeepsTheTimeOfItsFieldOnReplicas) {
  Expect({{"HSETEX h PXAT 33000000000123 FIELDS 1 f 1", ":1"}});
  Next();
  Expect({{"HINCRBYFLOAT h f 0.5", "\"1.5\""}});
  EXPECT_EQ(Next(), "[\"MULTI\"]");
  EXPECT_EQ(Next(), "[\"HSET\", \"h\", \"f\", \"1.5\"]");
  EXPECT_EQ(Next(), "[\"HPEXPIREAT\", \"h\", \"33000000000123\", \"FIELDS\", \"1\", \"f\"]");
  EXPECT_EQ(Next(), "[\"EXEC\"]");
}

TEST_F(EffectsTest, AFieldThatHasExpiredIsRemovedOnReplicasToo) {
  Expect({{"DEBUG SET-ACTIVE-EXPIRE 0", "+OK"}, {"HSETEX h PX 1 FIELDS 2 a 1 b 2", ":1"}});
  Next();
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  Expect({{"HDEL h a", ":0"}});
  EXPECT_EQ(Next(), "[\"HDEL\", \"h\", \"a\"]");
  Expect({{"HSETEX h KEEPTTL FIELDS 1 b 3", ":1"}});
  EXPECT_EQ(Next(), "[\"HDEL\", \"h\", \"b\"]");
  EXPECT_EQ(Next(), "[\"HSETEX\", \"h\", \"KEEPTTL\", \"FIELDS\", \"1\", \"b\", \"3\"]");
}

TEST_F(EffectsTest, DatabasesAreSelected) {
  Expect({{"SELECT 5", "+OK"}, {"SET k 1", "+OK"}});
  std::string command;
  do command = tap_->Read();
  while (command == "[\"PING\"]" || command == "[\"SELECT\", \"0\"]");
  EXPECT_EQ(command, "[\"SELECT\", \"5\"]");
  EXPECT_EQ(Next(), "[\"SET\", \"k\", \"1\"]");
}

// What comes in one turn of the worker goes into the log together, in its order and each in its database.
TEST_F(EffectsTest, APipelineIsReplicatedInItsOrder) {
  Do("DEBUG SET-ACTIVE-EXPIRE 0");
  Do("SET gone v PX 1");
  EXPECT_THAT(Next(), ::testing::MatchesRegex(R"(\["SET", "gone".*)"));
  Do("SET marker 0");
  EXPECT_EQ(Next(), R"(["SET", "marker", "0"])");
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  std::string bytes;
  const auto send = [&bytes](const std::vector<std::string>& words) { bytes += test::EncodeCommand(words); };
  send({"SET", "a", "1"});
  send({"SET", "b", "2"});
  send({"GET", "a"});
  send({"APPEND", "gone", "x"});  // it has expired: DEL first, but after what came before
  send({"SET", "c", "3"});
  send({"SELECT", "3"});
  send({"SET", "a", "4"});
  send({"INCR", "a"});
  send({"SELECT", "0"});
  send({"MSET", "d", "5", "e", "6"});
  send({"INCR", "none", "x"});  // an error
  send({"INCR", "n"});
  send({"SET", "f", "7", "EX", "100"});
  send({"SET", "g", "8"});
  send({"MULTI"});
  send({"SET", "h", "9"});
  send({"DEL", "b"});
  send({"EXEC"});
  send({"SET", "i", "10"});
  send({"DEL", "i"});
  c_->SendRaw(bytes);
  std::string stream;
  while (!stream.ends_with("[\"DEL\", \"i\"]\n")) {
    const std::string command = tap_->Read();
    ASSERT_EQ(command.front(), '[') << stream;
    if (command.find("\"PING\"") == std::string::npos && command.find("GETACK") == std::string::npos) stream += command + "\n";
  }
  EXPECT_THAT(stream, ::testing::MatchesRegex(R"(\["SET", "a", "1"\]
\["SET", "b", "2"\]
\["UNLINK", "gone"\]
\["APPEND", "gone", "x"\]
\["SET", "c", "3"\]
\["SELECT", "3"\]
\["SET", "a", "4"\]
\["INCR", "a"\]
\["SELECT", "0"\]
\["MSET", "d", "5", "e", "6"\]
\["INCR", "n"\]
\["SET", "f", "7", "PXAT", "[0-9]{13}"\]
\["SET", "g", "8"\]
\["MULTI"\]
\["SET", "h", "9"\]
\["DEL", "b"\]
\["EXEC"\]
\["SET", "i", "10"\]
\["DEL", "i"\]
)"));
}

TEST_F(EffectsTest, AScriptIsReplicatedByItsEffects) {
  const auto eval = [&](const std::string& script) { return c_->Do(std::vector<std::string>{"EVAL", script, "0"}); };
  EXPECT_EQ(eval("return redis.call('set','a','1')"), "+OK");
  EXPECT_EQ(Next(), "[\"set\", \"a\", \"1\"]");
  EXPECT_EQ(eval("redis.call('get','a') redis.call('incr','a') return redis.call('del','a')"), ":1");
  for (const char* command : {"[\"MULTI\"]", "[\"incr\", \"a\"]", "[\"del\", \"a\"]", "[\"EXEC\"]"}) EXPECT_EQ(Next(), command);
  EXPECT_EQ(eval("return redis.call('get','a')"), "nil");
  EXPECT_EQ(Do("SET end 1"), "+OK");
  EXPECT_EQ(Next(), "[\"SET\", \"end\", \"1\"]");
}

}  // namespace
}  // namespace understudy::command
