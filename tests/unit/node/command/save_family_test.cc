// Files: what SAVE and BGSAVE write a new server loads; save points, failures, the end.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/node/command/server_fixture.h"
#include "tests/unit/node/store/store_test_support.h"

namespace understudy::command {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kDiskError[] =
    "-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may "
    "modify the data set are disabled, because this instance is configured to report errors during writes if RDB "
    "snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.";

class SaveFamilyTest : public ServerTest {
 protected:
  using ServerTest::Do;
  std::string Do(const std::vector<std::string>& words) { return c_->Do(words); }
  // A process that comes after this one, in the same directory.
  void Restart(std::vector<std::string> arguments = {}) {
    c_.reset();
    server_.reset();
    StartServer(std::move(arguments));
    c_ = Connect();
  }
  std::string Field(const std::string& name) {
    const std::string info = Do("INFO persistence");
    const size_t at = info.find("\n" + name + ":");
    if (at == std::string::npos) return "absent";
    const size_t begin = at + name.size() + 2;
    return info.substr(begin, info.find("\r\n", begin) - begin);
  }
  bool BackgroundSaveEnded() {
    return Eventually([&] { return Field("rdb_bgsave_in_progress") == "0"; });
  }
  std::string File() const { return dir_.path() + "/dump.rdb"; }
  std::string Bytes() const {
    std::ifstream file(File(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // From now on nothing can be written.
  void BreakDirectory() {
    const std::string path = dir_.path() + "/gone";
    std::filesystem::create_directory(path);
    EXPECT_EQ(Do("CONFIG SET dir " + path), "+OK");
    std::filesystem::remove(path);
  }
};

TEST_F(SaveFamilyTest, WhatIsSavedIsThereAfterARestart) {
  Expect({{"SET s text PX 1000000", "+OK"}, {"SET n 12", "+OK"}, {"HSET h f v g w", ":2"}, {"SADD i 1 2 3", ":3"},
          {"ZADD z 1.5 a 2 b", ":2"}, {"XADD x 1-1 f v", "\"1-1\""}, {"XGROUP CREATE x g 0", "+OK"},
          {"RPUSH l a b 3", ":3"}, {"SELECT 3", "+OK"}, {"SET other db", "+OK"}, {"SELECT 0", "+OK"}});
  EXPECT_EQ(Do({"FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 7 end)"}), "\"lib\"");
  const std::string digest = Do("DEBUG DIGEST");
  EXPECT_EQ(Do("SAVE"), "+OK");
  EXPECT_THAT(Bytes(), StartsWith("REDIS0011"));
  Restart();
  EXPECT_EQ(Do("DEBUG DIGEST"), digest);
  EXPECT_EQ(Do("FCALL f 0"), ":7");
  EXPECT_EQ(Field("rdb_last_load_keys_loaded"), "8");
  EXPECT_EQ(Field("rdb_changes_since_last_save"), "0");
  EXPECT_THAT(Do("XINFO GROUPS x"), HasSubstr("\"name\", \"g\""));
}

TEST_F(SaveFamilyTest, TimesOfFieldsAreKeptByAFileOfValkey9) {
  Expect({{"HSET h f v g w", ":2"}, {"HEXPIRE h 1000 FIELDS 1 f", "[:1]"}, {"SAVE", "+OK"}});
  EXPECT_THAT(Bytes(), StartsWith("VALKEY080"));
  Restart();
  EXPECT_EQ(Do("HTTL h FIELDS 2 f g"), "[:1000, :-1]");
  Expect({{"FLUSHALL", "+OK"}, {"HSET h f v", ":1"}, {"SAVE", "+OK"}});
  EXPECT_THAT(Bytes(), StartsWith("REDIS0011")) << "which more servers can read";
}

TEST_F(SaveFamilyTest, ABackgroundSaveHasWhatWasThereWhenItWasAskedFor) {
  Expect({{"SET k before", "+OK"}, {"BGSAVE", "+Background saving started"}, {"SET k after", "+OK"}});
  ASSERT_TRUE(BackgroundSaveEnded());
  EXPECT_EQ(Field("rdb_last_bgsave_status"), "ok");
  EXPECT_EQ(Field("rdb_saves"), "1");
  EXPECT_EQ(Field("rdb_changes_since_last_save"), "1");
  EXPECT_EQ(Do("CONFIG RESETSTAT"), "+OK");
  EXPECT_EQ(Field("rdb_saves"), "0");
  EXPECT_EQ(Field("rdb_changes_since_last_save"), "1");
  Restart();
  EXPECT_EQ(Do("GET k"), "\"before\"");
}

// Random values of all types, in every encoding, saved and loaded.
TEST_F(SaveFamilyTest, ALoadedFileIsTheDataThatWasSaved) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    Restart({"--workers", seed % 2 == 0 ? "1" : "2", "--hash-max-listpack-entries", "8", "--set-max-intset-entries", "6",
             "--set-max-listpack-entries", "10", "--zset-max-listpack-entries", "9", "--list-max-listpack-size", "7"});
    EXPECT_EQ(Do("FLUSHALL"), "+OK");
    store::Rng rng(seed);
    const auto word = [&] {
      if (rng.OneIn(3)) return std::to_string(static_cast<int64_t>(rng.Below(1 << 20)) - 500);
      return std::string(rng.Below(rng.OneIn(20) ? 5000 : 90), static_cast<char>('a' + rng.Below(26)));
    };
    for (int i = 0; i < 1500; ++i) {
      const std::string n = std::to_string(rng.Below(40));
      const std::string score = std::to_string(static_cast<double>(rng.Below(1000)) / 8);
      switch (rng.Below(9)) {
        case 0: Do({"SET", "s" + n, word()}); break;
        case 1: Do({"RPUSH", "l" + n, word(), word()}); break;
        case 2: Do({"SADD", "i" + n, std::to_string(rng.Below(50))}); break;
        case 3: Do({"SADD", "t" + n, word()}); break;
        case 4: Do({"ZADD", "z" + n, score, word()}); break;
        case 5: Do({"HSET", "h" + n, word(), word()}); break;
        case 6: Do({"XADD", "x" + n, "*", "f", word()}); break;
        case 7: Do({"EXPIRE", std::string(1, "slithzx"[rng.Below(7)]) + n, "10000"}); break;
        case 8: Do({"SELECT", std::to_string(rng.Below(3))}); break;
      }
    }
    const std::string digest = Do("DEBUG DIGEST");
    EXPECT_EQ(Do("SAVE"), "+OK");
    Restart();
    EXPECT_EQ(Do("DEBUG DIGEST"), digest) << "seed " << seed;
    EXPECT_EQ(Do("DEBUG RELOAD"), "+OK");
    EXPECT_EQ(Do("DEBUG DIGEST"), digest) << "seed " << seed;
  }
}

TEST_F(SaveFamilyTest, ChangesAreCountedSinceTheLastSave) {
  Expect({{"SET a 1", "+OK"}, {"GET a", "\"1\""}, {"SETBIT b 3 1", ":0"}, {"SETBIT b 3 1", ":1"}, {"DEL none", ":0"},
          {"MULTI", "+OK"}, {"INCR a", "+QUEUED"}, {"INCR a", "+QUEUED"}, {"EXEC", "[:2, :3]"}});
  EXPECT_EQ(Do({"EVAL", "return redis.call('SET', KEYS[1], 'x')", "1", "c"}), "+OK");
  EXPECT_EQ(Field("rdb_changes_since_last_save"), "5");
  // In one batch, too.
  c_->SendRaw("SET a 1\r\nSET a 2\r\nINFO persistence\r\n");
  EXPECT_EQ(c_->Read(), "+OK");
  EXPECT_EQ(c_->Read(), "+OK");
  EXPECT_THAT(c_->Read(), HasSubstr("rdb_changes_since_last_save:7"));
  c_->SendRaw("SET a 1\r\nSAVE\r\n");
  EXPECT_EQ(c_->Read(), "+OK");
  EXPECT_EQ(c_->Read(), "+OK");
  EXPECT_EQ(Field("rdb_changes_since_last_save"), "0");
  // What waited counts for itself.
  auto waiting = Connect();
  waiting->Send({"BLPOP", "l", "0"});
  ASSERT_TRUE(Eventually([&] { return Do("INFO clients").find("blocked_clients:1") != std::string::npos; }));
  Expect({{"RPUSH l x", ":1"}});
  EXPECT_EQ(Field("rdb_changes_since_last_save"), "2");
  Expect({{"SAVE", "+OK"}});
  EXPECT_EQ(Field("rdb_changes_since_last_save"), "0");
  EXPECT_EQ(Do("LASTSAVE"), ":" + Field("rdb_last_save_time"));
}

TEST_F(SaveFamilyTest, ASavePointSavesByItself) {
  Expect({{"CONFIG SET save \"1 2\"", "+OK"}, {"SET a 1", "+OK"}});
  ASSERT_TRUE(Eventually([&] { return clock_.Wall().unix_ms / 1000 - std::stoll(Field("rdb_last_save_time")) >= 2; }));
  EXPECT_EQ(Field("rdb_saves"), "0") << "one change is not enough";
  EXPECT_EQ(Do("SET a 2"), "+OK");
  EXPECT_TRUE(Eventually([&] { return Field("rdb_changes_since_last_save") == "0"; }));
  EXPECT_EQ(Field("rdb_saves"), "1");
}

TEST_F(SaveFamilyTest, InATransactionABackgroundSaveIsScheduled) {
  Expect({{"SET a 1", "+OK"}, {"MULTI", "+OK"}, {"SAVE", "-ERR Command not allowed inside a transaction"}, {"DISCARD", "+OK"},
          {"MULTI", "+OK"}, {"BGSAVE", "+QUEUED"}, {"EXEC", "[+Background saving scheduled]"}});
  EXPECT_TRUE(Eventually([&] { return Field("rdb_changes_since_last_save") == "0"; }));
  Expect({{"BGSAVE NOW", "-ERR syntax error"}, {"BGSAVE SCHEDULE", "+Background saving started"}});
}

TEST_F(SaveFamilyTest, AFailedSaveLeavesTheFormerFileAndStopsWritesIfThereAreSavePoints) {
  Expect({{"SET k former", "+OK"}, {"SAVE", "+OK"}, {"SET k later", "+OK"}});
  const std::string former = Bytes();
  BreakDirectory();
  Expect({{"SAVE", "-ERR"}, {"BGSAVE", "+Background saving started"}});
  ASSERT_TRUE(BackgroundSaveEnded());
  EXPECT_EQ(Field("rdb_last_bgsave_status"), "err");
  EXPECT_EQ(Bytes(), former);
  Expect({{"SET k v", "+OK"}, {"CONFIG SET save \"3600 1000000\"", "+OK"}});
  ExpectError({"SET k w", "DEL k", "PING"}, std::string(kDiskError).substr(1));
  EXPECT_THAT(Do({"EVAL", "return redis.call('SET', KEYS[1], 'x')", "1", "k"}), StartsWith(kDiskError));
  EXPECT_EQ(Do({"EVAL", "#!lua\nreturn 1", "0"}), kDiskError) << "it may write";
  Expect({{"MULTI", "+OK"}, {"GET k", "+QUEUED"}});
  EXPECT_EQ(Do("SET k w"), kDiskError);
  EXPECT_THAT(Do("EXEC"), StartsWith("-EXECABORT "));
  Expect({{"GET k", "\"v\""}, {"CONFIG SET stop-writes-on-bgsave-error no", "+OK"}, {"SET k w", "+OK"},
          {"CONFIG SET stop-writes-on-bgsave-error yes", "+OK"}});
  EXPECT_THAT(Do("SET k x"), StartsWith("-MISCONF "));
  Expect({{"CONFIG SET dir " + dir_.path(), "+OK"}, {"SAVE", "+OK"}, {"SET k x", "+OK"}});
  EXPECT_EQ(Field("rdb_last_bgsave_status"), "ok");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir_.path()), {}), 1) << "no temporary file is left";
}

TEST_F(SaveFamilyTest, WithSavePointsFlushallEmptiesTheFile) {
  Expect({{"SET k v", "+OK"}, {"SAVE", "+OK"}, {"FLUSHALL", "+OK"}});
  EXPECT_NE(Field("rdb_changes_since_last_save"), "0");
  Expect({{"SET k v", "+OK"}, {"CONFIG SET save \"3600 1\"", "+OK"}, {"FLUSHALL", "+OK"}});
  EXPECT_EQ(Field("rdb_changes_since_last_save"), "0");
  Restart();
  EXPECT_EQ(Do("DBSIZE"), ":0");
}

TEST_F(SaveFamilyTest, DebugReloadTakesTheFileAsItIsToldTo) {
  Expect({{"SET k file", "+OK"}, {"SET both file", "+OK"}, {"SAVE", "+OK"}, {"DEL k", ":1"}, {"SET both memory", "+OK"},
          {"SET m memory", "+OK"}, {"DEBUG RELOAD NOFLUSH NOSAVE MERGE", "+OK"}, {"MGET k both m", "[\"file\", \"file\", \"memory\"]"},
          {"DEBUG RELOAD NOSAVE", "+OK"}, {"MGET k both m", "[\"file\", \"file\", nil]"},
          {"DEBUG RELOAD NOSAVE NOFLUSH", "-ERR Error trying to load the RDB dump, check server logs."}});
}

TEST_F(SaveFamilyTest, WhatNeedsAnAppendOnlyFileIsRefused) {
  ExpectError({"BGREWRITEAOF", "DEBUG LOADAOF"}, "ERR this server keeps no append-only file");
  EXPECT_EQ(Do("CONFIG SET appendonly yes"),
            "-ERR CONFIG SET failed (possibly related to argument 'appendonly') - argument must be 'no': this server keeps "
            "no append-only file");
  EXPECT_EQ(Field("aof_enabled"), "0");
}

TEST_F(SaveFamilyTest, WhileTheFileIsLoadedClientsAreToldSo) {
  Expect({{"SET k v", "+OK"}, {"SAVE", "+OK"}});
  c_.reset();
  server_.reset();
  server_ = std::make_unique<Server>(*config_, clock_, std::string(32, 'a'), [] {});
  ASSERT_TRUE(server_->Start().ok());
  c_ = Connect();
  ExpectError({"PING", "GET k", "SET k w", "SAVE", "BGSAVE", "REPLICAOF 127.0.0.1 1", "SYNC"},
              "LOADING Redis is loading the dataset in memory");
  EXPECT_EQ(Field("loading"), "1");
  EXPECT_EQ(Field("async_loading"), "0");
  EXPECT_NE(Field("loading_start_time"), "absent");
  EXPECT_TRUE(LoadData().ok());
  Expect({{"PING", "+PONG"}, {"GET k", "\"v\""}});
  EXPECT_EQ(Field("loading"), "0");
}

TEST_F(SaveFamilyTest, ADamagedFileIsNeverTakenForAnEmptyOne) {
  Expect({{"SET k some-value", "+OK"}, {"SAVE", "+OK"}});
  const std::string whole = Bytes();
  std::string flipped = whole;
  flipped[whole.find("some-value")] = 'S';
  for (const std::string& bytes : {whole.substr(0, whole.size() - 4), flipped, std::string("not a file"), std::string()}) {
    c_.reset();
    server_.reset();
    std::ofstream(File(), std::ios::binary) << bytes;
    server_ = std::make_unique<Server>(*config_, clock_, std::string(32, 'a'), [] {});
    ASSERT_TRUE(server_->Start().ok());
    EXPECT_THAT(std::string(LoadData().message()), StartsWith(File() + ": RDB "));
    EXPECT_THAT(Connect()->Do("GET k"), StartsWith("-LOADING "));
  }
}

// ---------------------------------------------------------------------------------------------- SHUTDOWN

TEST_F(SaveFamilyTest, ShutdownSavesIfThereAreSavePointsOrItIsTold) {
  const auto shut_down = [&](const std::string& command) {
    std::filesystem::remove(File());
    Restart();
    EXPECT_EQ(Do("SET k v"), "+OK");
    if (command.starts_with("points ")) {
      EXPECT_EQ(Do("CONFIG SET save \"3600 1\""), "+OK");
    }
    const int exits = exits_;
    c_->Send(test::SplitWords(command.substr(command.find("SHUTDOWN"))));
    EXPECT_TRUE(Eventually([&] { return exits_ > exits; })) << command;
    return std::filesystem::exists(File());
  };
  EXPECT_FALSE(shut_down("SHUTDOWN"));
  EXPECT_TRUE(shut_down("SHUTDOWN SAVE NOW"));
  EXPECT_TRUE(shut_down("points SHUTDOWN"));
  EXPECT_FALSE(shut_down("points SHUTDOWN NOSAVE"));
}

TEST_F(SaveFamilyTest, ShutdownThatCannotSaveDoesNotEndUnlessForced) {
  ExpectError({"SHUTDOWN SAVE NOSAVE", "SHUTDOWN ABORT NOW", "SHUTDOWN X"}, "ERR syntax error");
  EXPECT_EQ(Do("SET k v"), "+OK");
  BreakDirectory();
  Expect({{"SHUTDOWN SAVE", "-ERR Errors trying to SHUTDOWN. Check logs."}, {"SET k w", "+OK"}, {"GET k", "\"w\""}});
  EXPECT_EQ(exits_, 0);
  c_->Send({"SHUTDOWN", "SAVE", "FORCE"});
  EXPECT_TRUE(Eventually([&] { return exits_ == 1; }));
}

TEST_F(SaveFamilyTest, ShutdownWaitsForReplicasThatHaveNotAcknowledgedAll) {
  // It never acknowledges anything.
  auto replica = Connect();
  replica->SendRaw("SYNC\r\n");
  EXPECT_EQ(Do("SET k v"), "+OK");
  ASSERT_TRUE(Eventually([&] { return Do("INFO replication").find("state=online") != std::string::npos; }));
  Expect({{"SET k w", "+OK"}});
  auto other = Connect();
  other->Send({"SHUTDOWN"});
  ASSERT_TRUE(Eventually([&] { return Do("SHUTDOWN ABORT") == "+OK"; }));
  EXPECT_EQ(other->Read(), "-ERR Errors trying to SHUTDOWN. Check logs.");
  Expect({{"SET k x", "+OK"}, {"SHUTDOWN ABORT", "-ERR No shutdown in progress."}, {"CONFIG SET shutdown-timeout 1", "+OK"}});
  EXPECT_EQ(exits_, 0);
  other->Send({"SHUTDOWN"});
  EXPECT_TRUE(Eventually([&] { return exits_ == 1; })) << "when its time is up";
}

}  // namespace
}  // namespace understudy::command
