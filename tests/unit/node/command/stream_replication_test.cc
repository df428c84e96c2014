// What replicas are told of streams.
#include "tests/unit/node/command/stream_fixture.h"

namespace understudy::command {
namespace {

class StreamReplicationTest : public StreamTest {
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
  // All that a node knows of the stream, but when consumers were there, and how its nodes lie.
  static std::string Known(test::RespClient& client, const std::string& key) {
    std::string text = client.Do("XINFO STREAM " + key + " FULL COUNT 0");
    for (const std::string_view name : {"\"seen-time\"", "\"active-time\"", "\"radix-tree-keys\"", "\"radix-tree-nodes\""}) {
      for (size_t at = text.find(name); at != std::string::npos; at = text.find(name, at)) {
        text.erase(at, text.find(", ", at + name.size() + 2) - at);  // with its number
      }
    }
    return text;
  }
  void ExpectSame(const std::string& key) {
    Do("INCR end");
    const std::string end = Do("GET end");
    ASSERT_TRUE(Eventually([&] { return replica_->Do("GET end") == end; }));
    EXPECT_EQ(Known(*replica_, key), Known(*c_, key));
  }

  std::unique_ptr<config::Config> primary_config_;
  std::unique_ptr<Server> primary_;
  std::unique_ptr<RespClient> replica_;
};

TEST_F(StreamReplicationTest, EveryChangeArrivesAsItTurnedOut) {
  Fill("before", 3);
  Do("XGROUP CREATE before g 0");
  Do("XREADGROUP GROUP g c COUNT 2 STREAMS before >");
  Do("XGROUP CREATE empty g 0 MKSTREAM");
  ASSERT_NO_FATAL_FAILURE(StartReplica());
  ExpectSame("before");
  ExpectSame("empty");
  Do("CONFIG SET stream-node-max-entries 5");
  const std::vector<std::string> commands = {
      "XADD s * a 1",
      "XADD s * a 2",
      "DEL s",
      "XADD s 1-1 a 1",
      "XADD s 1-* a 2",
      "XADD s 2 a 3 b 4",
      "XGROUP CREATE s g 0",
      "XGROUP CREATE s h $ ENTRIESREAD 3",
      "XREADGROUP GROUP g a COUNT 2 STREAMS s >",
      "XREADGROUP GROUP g b NOACK STREAMS s >",
      "XREADGROUP GROUP g late STREAMS s >",
      "XREADGROUP GROUP g a STREAMS s 0",
      "XADD s 3 a 1",
      "XADD s 4 a 1",
      "XADD s 5 a 1",
      "XADD s 6 a 1",
      "XADD s 7 a 1",
      "XREADGROUP GROUP h x COUNT 3 STREAMS s >",
      "XCLAIM s h y 0 3-0 RETRYCOUNT 5",
      "XCLAIM s h y 0 7-0 FORCE IDLE 5000",
      "XCLAIM s h z 0 LASTID 6-0",
      "XDEL s 4-0",
      "XCLAIM s h y 0 4-0",
      "XDEL s 5-0",
      "XAUTOCLAIM s h w 0 0",
      "XACK s h 3-0",
      "XADD s MAXLEN ~ 3 8 a 1",
      "XADD s MAXLEN 3 9 a 1",
      "XADD s MAXLEN ~ 1 LIMIT 100 10-* a 1",
      "XTRIM s MINID ~ 9 LIMIT 100",
      "XADD s LIMIT 10 MINID ~ 99 11 a 1",
      "XSETID s 20-0 ENTRIESADDED 99 MAXDELETEDID 12-0",
      "XADD s MINID ~ 999 LIMIT 0 21 a 1",
      "XADD s 22 a 1",
      "XGROUP SETID s g 3-0",
      "XGROUP CREATECONSUMER s g made",
      "XGROUP DELCONSUMER s g a",
      "XGROUP DESTROY s h",
      "XGROUP CREATE t g $ MKSTREAM",
  };
  for (const std::string& command : commands) {
    SCOPED_TRACE(command);
    EXPECT_NE(Do(command)[0], '-');
    ExpectSame("s");
    ExpectSame("t");
    if (HasFailure()) return;
  }
  EXPECT_EQ(replica_->Do("XADD s * a 1").substr(0, 9), "-READONLY");
  EXPECT_EQ(replica_->Do("XREADGROUP GROUP g c STREAMS s >").substr(0, 9), "-READONLY");
  EXPECT_EQ(replica_->Do("XREAD COUNT 1 STREAMS s 0"), Do("XREAD COUNT 1 STREAMS s 0"));
}

}  // namespace
}  // namespace understudy::command
