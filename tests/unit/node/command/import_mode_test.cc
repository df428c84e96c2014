// import-mode: data comes in from a server that says itself when keys go.
#include <gmock/gmock.h>

#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

using ::testing::HasSubstr;

class ImportModeTest : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    importer_ = Connect();
    ASSERT_EQ(Do("CONFIG SET import-mode yes"), "+OK");
    ASSERT_EQ(importer_->Do("CLIENT IMPORT-SOURCE ON"), "+OK");
  }
  // A key, and a field of a hash, whose times have come.
  void MakeExpired() {
    Expect({{"SET k 1 PX 1", "+OK"}, {"HSETEX h PX 1 FIELDS 1 f v", ":1"}});
    ASSERT_TRUE(Eventually([&] { return Do("GET k") == "nil" && Do("HGET h f") == "nil"; }));
  }
  std::unique_ptr<RespClient> importer_;
};

TEST_F(ImportModeTest, NothingIsRemovedAndOnlyTheImporterSeesWhatHasExpired) {
  MakeExpired();
  Expect({{"TTL k", ":-2"}, {"EXISTS k", ":0"}, {"KEYS *", "[\"h\"]"}, {"DBSIZE", ":2"}});
  EXPECT_EQ(importer_->Do("GET k"), "\"1\"");
  EXPECT_EQ(importer_->Do("TTL k"), ":0");
  EXPECT_EQ(importer_->Do("INCR k"), ":2");
  EXPECT_EQ(importer_->Do("HGET h f"), "\"v\"");
  EXPECT_EQ(importer_->Do("SCAN 0 MATCH k COUNT 1000"), "[\"0\", [\"k\"]]");
  EXPECT_EQ(importer_->Do("EVAL \"return redis.call('GET', KEYS[1])\" 1 k"), "\"2\"");
  for (const char* command : {"MULTI", "GET k"}) importer_->Do(command);
  EXPECT_EQ(importer_->Do("EXEC"), "[\"2\"]");
  EXPECT_THAT(Do("INFO stats"), HasSubstr("expired_keys:0\r\nexpired_fields:0\r\n"));
  Expect({{"CONFIG SET import-mode no", "+OK"}});
  EXPECT_EQ(importer_->Do("GET k"), "nil");
  EXPECT_TRUE(Eventually([&] { return Do("DBSIZE") == ":0"; }));
}

TEST_F(ImportModeTest, ATimeInThePastIsKept) {
  Expect({{"SET k v", "+OK"}, {"EXPIREAT k -1", ":1"}, {"SET l v", "+OK"}, {"GETEX l PXAT 1", "\"v\""},
          {"HSET h f v", ":1"}, {"HPEXPIREAT h 1 FIELDS 1 f", "[:1]"}, {"DBSIZE", ":3"}});
  EXPECT_EQ(importer_->Do("GET k"), "\"v\"");
}

TEST_F(ImportModeTest, ThePrivilegeIsTakenByTheNextCommandAndGivenBackByReset) {
  MakeExpired();
  auto client = Connect();
  client->SendRaw("CLIENT IMPORT-SOURCE on\r\nGET k\r\nCLIENT IMPORT-SOURCE off\r\nGET k\r\n");
  for (const char* reply : {"+OK", "\"1\"", "+OK", "nil"}) EXPECT_EQ(client->Read(), reply);
  EXPECT_THAT(importer_->Do("CLIENT INFO"), HasSubstr(" flags=I "));
  EXPECT_EQ(importer_->Do("RESET"), "+RESET");
  EXPECT_THAT(importer_->Do("CLIENT INFO"), HasSubstr(" flags=N "));
  EXPECT_EQ(importer_->Do("GET k"), "nil");
}

TEST_F(ImportModeTest, ItIsThereOnlyWhileTheModeIsOn) {
  ExpectError({"CLIENT IMPORT-SOURCE maybe"}, "ERR syntax error");
  Expect({{"CONFIG SET import-mode no", "+OK"}, {"CLIENT IMPORT-SOURCE OFF", "+OK"}});
  ExpectError({"CLIENT IMPORT-SOURCE ON"}, "ERR Server is not in import mode");
}

TEST_F(ImportModeTest, ClientsThatWaitForAKeyAreServedAllTheSame) {
  importer_->Send({"BLPOP", "l", "0"});
  ASSERT_TRUE(Eventually([&] { return Do("INFO clients").find("blocked_clients:1") != std::string::npos; }));
  Expect({{"RPUSH l v", ":1"}});
  EXPECT_EQ(importer_->Read(), "[\"l\", \"v\"]");
}

}  // namespace
}  // namespace understudy::command
