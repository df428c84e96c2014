// What replicas are told of scripts and functions.
#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

class ScriptReplicationTest : public ServerTest {
 protected:
  // c_ stays with the primary.
  void StartReplica() {
    primary_config_ = std::move(config_);
    primary_ = std::move(server_);
    StartServer({"--replicaof", "127.0.0.1", std::to_string(primary_->port())});
    replica_ = Connect();
    ASSERT_TRUE(Eventually(
        [&] { return replica_->Do("INFO replication").find("master_link_status:up") != std::string::npos; }));
  }
  void TearDown() override {
    replica_.reset();
    c_.reset();
    server_.reset();
    primary_.reset();
  }
  std::string Eval(test::RespClient& client, const std::string& script) {
    return client.Do(std::vector<std::string>{"EVAL", script, "0"});
  }
  std::string Load(const std::string& code) {
    return c_->Do(std::vector<std::string>{"FUNCTION", "LOAD", "REPLACE", code});
  }
  // The replica has all that the primary did before.
  void CatchUp() {
    Do("INCR end");
    const std::string end = Do("GET end");
    ASSERT_TRUE(Eventually([&] { return replica_->Do("GET end") == end; }));
  }

  std::unique_ptr<config::Config> primary_config_;
  std::unique_ptr<Server> primary_;
  std::unique_ptr<RespClient> replica_;
};

TEST_F(ScriptReplicationTest, EffectsArriveNotScripts) {
  ASSERT_NO_FATAL_FAILURE(StartReplica());
  EXPECT_EQ(Eval(*c_, "redis.call('set','a',math.random()) redis.call('zadd','l','1','x'..1,'2','y'..2) collectgarbage() "
                      "redis.call('select',2) redis.call('set','b','in 2') return redis.call('pexpire','b',100000)"),
            ":1");
  ASSERT_NO_FATAL_FAILURE(CatchUp());
  EXPECT_EQ(replica_->Do("GET a"), Do("GET a"));
  EXPECT_EQ(replica_->Do("ZRANGE l 0 -1"), "[\"x1\", \"y2\"]");
  replica_->Do("SELECT 2");
  EXPECT_EQ(replica_->Do("GET b"), "\"in 2\"");
  replica_->Do("SELECT 0");
  // What a script asks not to replicate stays here.
  EXPECT_EQ(Eval(*c_, "redis.set_repl(redis.REPL_NONE) redis.call('set','here','1') redis.set_repl(redis.REPL_ALL) "
                      "redis.call('set','both','1') return 1"),
            ":1");
  // An error in the middle keeps what was done before it, on both sides.
  EXPECT_EQ(Eval(*c_, "redis.call('set','half','1') error('x')").substr(0, 25), "-ERR user_script:1: x scr");
  ASSERT_NO_FATAL_FAILURE(CatchUp());
  EXPECT_EQ(replica_->Do("MGET here both half"), "[nil, \"1\", \"1\"]");
}

TEST_F(ScriptReplicationTest, AReplicaRunsScriptsThatOnlyRead) {
  ASSERT_NO_FATAL_FAILURE(StartReplica());
  Do("SET a 1");
  ASSERT_NO_FATAL_FAILURE(CatchUp());
  EXPECT_EQ(Eval(*replica_, "return redis.call('get','a')"), "\"1\"");
  EXPECT_TRUE(Eval(*replica_, "return redis.call('set','a','2')")
                  .starts_with("-READONLY You can't write against a read only replica. script: "));
  EXPECT_EQ(Eval(*replica_, "#!lua\nreturn 1"), "-READONLY Can not run script with write flag on readonly replica.");
  EXPECT_EQ(Eval(*replica_, "#!lua flags=no-writes\nreturn redis.call('get','a')"), "\"1\"");
  EXPECT_TRUE(replica_->Do("FUNCTION FLUSH").starts_with("-READONLY"));
}

TEST_F(ScriptReplicationTest, FunctionsArriveInTheFullCopyAndInTheStream) {
  ASSERT_EQ(Load("#!lua name=old\nredis.register_function('f', function() return 'before' end)"), "\"old\"");
  ASSERT_EQ(Load("#!lua name=w\nredis.register_function('w', function(k) return redis.call('incr', k[1]) end)"), "\"w\"");
  ASSERT_NO_FATAL_FAILURE(StartReplica());
  EXPECT_EQ(replica_->Do("FUNCTION LIST WITHCODE"), Do("FUNCTION LIST WITHCODE"));
  EXPECT_TRUE(replica_->Do("FCALL f 0").starts_with("-READONLY Can not run script with write flag"));
  ASSERT_EQ(Load("#!lua name=old\nredis.register_function{function_name='f', callback=function() return 'after' end, "
                 "flags={'no-writes'}}"),
            "\"old\"");
  EXPECT_EQ(Do("FCALL w 1 n"), ":1");
  ASSERT_NO_FATAL_FAILURE(CatchUp());
  EXPECT_EQ(replica_->Do("FCALL_RO f 0"), "\"after\"");
  EXPECT_EQ(replica_->Do("GET n"), "\"1\"");
  EXPECT_EQ(Do("FUNCTION DELETE old"), "+OK");
  ASSERT_NO_FATAL_FAILURE(CatchUp());
  EXPECT_EQ(replica_->Do("FCALL_RO f 0"), "-ERR Function not found");
  EXPECT_EQ(Do("FUNCTION FLUSH"), "+OK");
  ASSERT_NO_FATAL_FAILURE(CatchUp());
  EXPECT_EQ(replica_->Do("FUNCTION LIST"), "[]");
}

}  // namespace
}  // namespace understudy::command
