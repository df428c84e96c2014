// MONITOR and LATENCY.
#include <gmock/gmock.h>

#include "node/command/latency.h"
#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

class MonitorTest : public ServerTest, public ::testing::WithParamInterface<int> {
 protected:
  void SetUp() override {
    StartServer({"--workers", std::to_string(GetParam())});
    c_ = Connect();
  }
  std::unique_ptr<RespClient> Monitor() {
    auto monitor = Connect();
    EXPECT_EQ(monitor->Do("MONITOR"), "+OK");
    return monitor;
  }
  // A line without its time.
  static std::string Line(RespClient& monitor) {
    const std::string line = monitor.Read();
    EXPECT_THAT(line, MatchesRegex("\\+[0-9]+\\.[0-9]+ \\[[0-9]+ .*"));
    return line.substr(line.find(' ') + 1);
  }
  // Of c_.
  std::string Address() {
    const std::string info = Do("CLIENT INFO");
    const size_t at = info.find(" addr=") + 6;
    return info.substr(at, info.find(' ', at) - at);
  }
};

INSTANTIATE_TEST_SUITE_P(Workers, MonitorTest, ::testing::Values(1, 3));

TEST_P(MonitorTest, EveryCommandIsShownBehindItsExecution) {
  const std::string address = Address();
  auto monitor = Monitor(), second = Monitor();
  Expect({{"SET k 'a\"b'", "+OK"},
          {"strlen k", ":3"},
          {"SELECT 3", "+OK"},
          {"MULTI", "+OK"},
          {"INCR n", "+QUEUED"},
          {"EXEC", "[:1]"},
          {"EVAL \"return redis.call('get', KEYS[1])\" 1 n", "\"1\""},
          {"CONFIG GET maxmemory", "[\"maxmemory\", \"0\"]"},
          {"AUTH secret", "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"},
          {"NOSUCH", "-ERR unknown command 'NOSUCH', with args beginning with: "},
          {"GET", "-ERR wrong number of arguments for 'get' command"},
          {"PING", "+PONG"}});
  for (RespClient* client : {monitor.get(), second.get()}) {
    const std::string here = "[0 " + address + "] ", there = "[3 " + address + "] ";
    EXPECT_EQ(Line(*client), here + "\"SET\" \"k\" \"a\\\"b\"");
    EXPECT_EQ(Line(*client), here + "\"strlen\" \"k\"");
    EXPECT_EQ(Line(*client), there + "\"SELECT\" \"3\"");
    EXPECT_EQ(Line(*client), there + "\"MULTI\"");
    EXPECT_EQ(Line(*client), there + "\"INCR\" \"n\"");
    EXPECT_EQ(Line(*client), there + "\"EXEC\"");
    EXPECT_EQ(Line(*client), there + "\"EVAL\" \"return redis.call('get', KEYS[1])\" \"1\" \"n\"");
    EXPECT_EQ(Line(*client), "[3 lua] \"get\" \"n\"");
    EXPECT_EQ(Line(*client), there + "\"AUTH\" \"(redacted)\"");
    EXPECT_EQ(Line(*client), there + "\"PING\"");
  }
}

TEST_P(MonitorTest, BytesThatCannotBePrintedAreEscaped) {
  const std::string address = Address();
  auto monitor = Monitor();
  c_->Send({"ECHO", std::string("\n\r\t\a\b\\\x00\xff", 8)});
  c_->Read();
  EXPECT_EQ(Line(*monitor), "[0 " + address + "] \"ECHO\" \"\\n\\r\\t\\a\\b\\\\\\x00\\xff\"");
}

TEST_P(MonitorTest, WhoMonitorsLeavesKeysAlone) {
  auto monitor = Monitor();
  EXPECT_EQ(monitor->Do("GET k"), "-ERR Replica can't interact with the keyspace");
  EXPECT_THAT(monitor->Do("CLIENT INFO"), HasSubstr(" flags=O "));
  EXPECT_THAT(Line(*monitor), HasSubstr("\"CLIENT\" \"INFO\""));
  EXPECT_EQ(monitor->Do("RESET"), "+RESET");
  EXPECT_EQ(Do("PING"), "+PONG");
  EXPECT_EQ(monitor->Do("GET k"), "nil");
  Expect({{"MULTI", "+OK"}, {"MONITOR", "+QUEUED"}, {"EXEC", "[-ERR MONITOR isn't allowed for DENY BLOCKING client]"}});
}

TEST_P(MonitorTest, LatencyNotesWhatTakesLong) {
  Expect({{"LATENCY LATEST", "[]"}, {"DEBUG SLEEP 0.002", "+OK"}, {"LATENCY HISTORY command", "[]"}});
  EXPECT_THAT(Do("LATENCY DOCTOR"), HasSubstr("is off"));
  Expect({{"CONFIG SET latency-monitor-threshold 500", "+OK"}});
  EXPECT_THAT(Do("LATENCY DOCTOR"), HasSubstr("Nothing"));
  Expect({{"DEBUG SLEEP 1.01", "+OK"}});
  EXPECT_THAT(Do("LATENCY LATEST"), MatchesRegex("\\[\\[\"command\", :[0-9]+, :[0-9]+, :[0-9]+\\]\\]"));
  EXPECT_THAT(Do("LATENCY HISTORY command"), StartsWith("[[:"));
  EXPECT_THAT(Do("LATENCY GRAPH command"), HasSubstr("command - high"));
  EXPECT_THAT(Do("LATENCY DOCTOR"), HasSubstr("command: "));
  EXPECT_EQ(Do("LATENCY GRAPH none"), "-ERR No samples available for event 'none'");
  Expect({{"LATENCY RESET none", ":0"}, {"LATENCY RESET command none", ":1"}, {"LATENCY LATEST", "[]"}, {"LATENCY RESET", ":0"}});
}

TEST_P(MonitorTest, LatencyHistogramCountsCallsByTime) {
  Expect({{"CONFIG RESETSTAT", "+OK"}, {"SET k v", "+OK"}, {"SET k w", "+OK"}});
  Expect({{"GET k", "\"w\""}});
  auto c3 = Connect(3);
  const std::string histogram = c3->Do("LATENCY HISTOGRAM set GET nosuch del");
  EXPECT_THAT(histogram, StartsWith("{\"set\": {\"calls\": :2, \"histogram_usec\": {:"));
  EXPECT_THAT(histogram, HasSubstr("\"get\": {\"calls\": :1, "));
  EXPECT_THAT(histogram, ::testing::Not(HasSubstr("del")));
  EXPECT_THAT(Do("LATENCY HISTOGRAM config"), HasSubstr("config|resetstat"));
  EXPECT_THAT(Do("LATENCY HISTOGRAM"), HasSubstr("\"get\""));
  EXPECT_THAT(Do("INFO commandstats"), HasSubstr("cmdstat_set:calls=2,"));
}

TEST(Latency, KeepsTheHighestOfASecondAndTheNewestSeconds) {
  Latency latency;
  for (const int64_t ms : {5, 9, 7}) latency.Add("e", 100, ms);
  EXPECT_EQ(latency.Find("e").samples.size(), 1u);
  EXPECT_EQ(latency.Find("e").samples.back().ms, 9);
  for (int64_t s = 101; s < 400; ++s) latency.Add("e", s, 1);
  const Latency::Event event = latency.Find("e");
  EXPECT_EQ(event.samples.size(), Latency::kMostSamples);
  EXPECT_EQ(event.samples.back().unix_s, 399);
  EXPECT_EQ(event.highest_ms, 9);
  EXPECT_TRUE(latency.Reset("e"));
  EXPECT_FALSE(latency.Reset("e"));
}

}  // namespace
}  // namespace understudy::command
