#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

using ConnectionTest = ServerTest;

TEST_F(ConnectionTest, PingEchoQuit) {
  Expect({{"PING", "+PONG"}, {"PING hi", "\"hi\""}, {"ECHO hi", "\"hi\""}});
  ExpectError({"PING a b"}, "ERR wrong number of arguments for 'ping' command");
  ExpectError({"ECHO"}, "ERR wrong number of arguments for 'echo' command");
  c_->SendRaw("PING\r\nQUIT\r\nPING\r\n");
  EXPECT_EQ(c_->ReadRawUntilClosed(), "+PONG\r\n+OK\r\n");
}

TEST_F(ConnectionTest, UnknownCommandsAreShownWithTheirArguments) {
  ExpectError({"FOO bar 'b z'"}, "ERR unknown command 'FOO', with args beginning with: 'bar' 'b z' ");
  ExpectError({"foo"}, "ERR unknown command 'foo', with args beginning with: ");
}

TEST_F(ConnectionTest, AnHttpRequestEndsTheConnectionBeforeItsBody) {
  c_->SendRaw("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nSET k v\r\n");
  EXPECT_EQ(c_->ReadRawUntilClosed(), "");
  auto other = Connect();
  other->SendRaw("GET / HTTP/1.1\r\nHost: localhost\r\n\r\nSET k v\r\n");
  EXPECT_EQ(other->ReadRawUntilClosed().find("+OK"), std::string::npos);
  EXPECT_EQ(Connect()->Do("EXISTS k"), ":0");
}

TEST_F(ConnectionTest, HelloSwitchesTheProtocol) {
  const std::string reply = Do("HELLO 3 SETNAME me");
  EXPECT_EQ(reply.substr(0, 20), "{\"server\": \"redis\", ");
  EXPECT_NE(reply.find("\"proto\": :3"), std::string::npos);
  EXPECT_NE(reply.find("\"role\": \"master\""), std::string::npos);
  Expect({{"CLIENT GETNAME", "\"me\""}, {"DEBUG PROTOCOL map", "{:0: #f, :1: #t, :2: #f}"},
          {"DEBUG PROTOCOL double", ",3.141"}, {"DEBUG PROTOCOL set", "~[:0, :1, :2]"}, {"DEBUG PROTOCOL null", "nil"},
          {"DEBUG PROTOCOL verbatim", "=txt:This is a verbatim\nstring"},
          {"DEBUG PROTOCOL attrib", "|{\"key-popularity\": [\"key:123\", :90]} \"Some real reply following the attribute\""},
          {"DEBUG PROTOCOL push", ">[\"server-cpu-usage\", :42]"}});
  EXPECT_EQ(Do("HELLO").front(), '{');
  EXPECT_EQ(Do("HELLO 2").front(), '[');
  Expect({{"DEBUG PROTOCOL map", "[:0, :0, :1, :1, :2, :0]"}, {"DEBUG PROTOCOL true", ":1"}});
  EXPECT_EQ(Do("HELLO").find("availability_zone"), std::string::npos);
  Expect({{"CONFIG SET availability-zone eu-1b", "+OK"}});
  EXPECT_NE(Do("HELLO 3").find("\"availability_zone\": \"eu-1b\"}"), std::string::npos);
  EXPECT_NE(Do("HELLO 2").find("\"availability_zone\", \"eu-1b\"]"), std::string::npos);
  EXPECT_NE(Do("INFO server").find("availability_zone:eu-1b\r\n"), std::string::npos);
  ExpectError({"HELLO 4", "HELLO 1"}, "NOPROTO unsupported protocol version");
  ExpectError({"HELLO x"}, "ERR Protocol version is not an integer or out of range");
  ExpectError({"HELLO 3 FOO"}, "ERR Syntax error in HELLO option 'FOO'");
  ExpectError({"HELLO 3 SETNAME 'a b'"}, "ERR Client names cannot contain spaces, newlines or special characters.");
}

TEST_F(ConnectionTest, AuthWithoutAPassword) {
  EXPECT_EQ(Do("AUTH foo").substr(0, 75),
            "-ERR AUTH <password> called without any password configured for the default");
  Expect({{"AUTH default anything", "+OK"}, {"AUTH other x", "-WRONGPASS invalid username-password pair or user is disabled."},
          {"AUTH a b c", "-ERR syntax error"}});
}

TEST_F(ConnectionTest, APasswordIsAskedForBeforeAnythingElse) {
  ASSERT_EQ(Do("CONFIG SET requirepass secret"), "+OK");
  EXPECT_EQ(Do("GET k"), "nil") << "who is in stays in";
  auto c = Connect();
  const std::string no_auth = "-NOAUTH Authentication required.";
  EXPECT_EQ(c->Do("GET k"), no_auth);
  EXPECT_EQ(c->Do("PING"), no_auth);
  EXPECT_EQ(c->Do("FOO").substr(0, 19), "-ERR unknown comman");
  EXPECT_EQ(c->Do("AUTH wrong"), "-WRONGPASS invalid username-password pair or user is disabled.");
  EXPECT_EQ(c->Do("HELLO 3").substr(0, 13), "-NOAUTH HELLO");
  EXPECT_EQ(c->Do("HELLO 3 AUTH default wrong"), "-WRONGPASS invalid username-password pair or user is disabled.");
  EXPECT_EQ(c->Do("HELLO 3 AUTH default secret").front(), '{');
  EXPECT_EQ(c->Do("GET k"), "nil");
  EXPECT_EQ(c->Do("RESET"), "+RESET");
  EXPECT_EQ(c->Do("GET k"), no_auth);
  EXPECT_EQ(c->Do("AUTH secret"), "+OK");
  EXPECT_EQ(c->Do("GET k"), "nil");
}

TEST_F(ConnectionTest, AnUnauthenticatedClientMaySendLittleAtATime) {
  ASSERT_EQ(Do("CONFIG SET requirepass secret"), "+OK");
  auto many = Connect();
  many->SendRaw("*100\r\n");
  EXPECT_EQ(many->ReadRawUntilClosed(), "-ERR Protocol error: unauthenticated multibulk length\r\n");
  auto large = Connect();
  large->SendRaw("*1\r\n$100000\r\n");
  EXPECT_EQ(large->ReadRawUntilClosed(), "-ERR Protocol error: unauthenticated bulk length\r\n");
  auto pipelined = Connect();
  pipelined->SendRaw(test::EncodeCommand({"AUTH", "secret"}) + test::EncodeCommand({"SET", "k", std::string(100'000, 'x')}));
  EXPECT_EQ(pipelined->Read(), "+OK");
  EXPECT_EQ(pipelined->Read(), "+OK") << "AUTH lifts the limits for what follows it in the same pipeline";
}

TEST_F(ConnectionTest, ResetForgetsEverything) {
  Expect({{"SELECT 3", "+OK"}, {"CLIENT SETNAME me", "+OK"}, {"WATCH k", "+OK"}, {"MULTI", "+OK"}, {"GET k", "+QUEUED"},
          {"RESET", "+RESET"}, {"EXEC", "-ERR EXEC without MULTI"}, {"CLIENT GETNAME", "nil"}});
  EXPECT_NE(Do("CLIENT INFO").find(" db=0 "), std::string::npos);
}

TEST_F(ConnectionTest, ClientNamesAndInfo) {
  Expect({{"CLIENT GETNAME", "nil"}, {"CLIENT SETNAME someone", "+OK"}, {"CLIENT GETNAME", "\"someone\""},
          {"CLIENT SETINFO LIB-NAME lib", "+OK"}, {"CLIENT SETINFO lib-ver 1.2", "+OK"}, {"CLIENT GETREDIR", ":-1"},
          {"CLIENT NO-EVICT on", "+OK"}, {"CLIENT NO-TOUCH on", "+OK"}, {"CLIENT NO-EVICT OFF", "+OK"}});
  const std::string info = Do("CLIENT INFO");
  for (const char* piece : {"id=", " name=someone ", " flags=T ", " multi=-1 ", " cmd=client|info ", " user=default ",
                            " resp=2 ", " lib-name=lib lib-ver=1.2"}) {
    EXPECT_NE(info.find(piece), std::string::npos) << piece << " in " << info;
  }
  ExpectError({"CLIENT SETNAME 'a b'"}, "ERR Client names cannot contain spaces, newlines or special characters.");
  ExpectError({"CLIENT SETINFO foo x"}, "ERR Unrecognized option 'foo'");
  ExpectError({"CLIENT SETINFO lib-name 'a b'"}, "ERR lib-name cannot contain spaces, newlines or special characters.");
  ExpectError({"CLIENT SETINFO LIB-VER 'a b'"}, "ERR LIB-VER cannot contain spaces, newlines or special characters.");
  ExpectError({"CLIENT NO-EVICT maybe", "CLIENT LIST FOO", "CLIENT REPLY maybe"}, "ERR syntax error");
  ExpectError({"CLIENT FOO"}, "ERR unknown subcommand 'FOO'. Try CLIENT HELP.");
  EXPECT_EQ(Do("CLIENT HELP").substr(0, 10), "[+CLIENT <");
}

TEST_F(ConnectionTest, ClientListShowsAllAndFilters) {
  auto other = Connect();
  const std::string id = other->Do("CLIENT ID").substr(1);
  std::string list = Do("CLIENT LIST");
  EXPECT_EQ(std::count(list.begin(), list.end(), '\n'), 2);
  list = Do("CLIENT LIST ID " + id);
  EXPECT_EQ(list.substr(0, 4 + id.size()), "\"id=" + id);
  EXPECT_EQ(Do("CLIENT LIST TYPE replica"), "\"\"");
  EXPECT_EQ(Do("CLIENT LIST TYPE normal").substr(0, 4), "\"id=");
  ExpectError({"CLIENT LIST TYPE foo"}, "ERR Unknown client type 'foo'");
  ExpectError({"CLIENT LIST ID x"}, "ERR Invalid client ID");
  auto c3 = Connect(3);
  EXPECT_EQ(c3->Do("CLIENT LIST").substr(0, 8), "=txt:id=");
}

TEST_F(ConnectionTest, ClientKill) {
  auto victim = Connect();
  const std::string id = victim->Do("CLIENT ID").substr(1);
  EXPECT_EQ(Do("CLIENT KILL ID " + id), ":1");
  EXPECT_EQ(victim->ReadRawUntilClosed(), "");
  Expect({{"CLIENT KILL ID 99999", ":0"}, {"CLIENT KILL TYPE replica", ":0"}, {"CLIENT KILL USER default SKIPME yes", ":0"}});
  ExpectError({"CLIENT KILL 1.2.3.4:5"}, "ERR No such client");
  ExpectError({"CLIENT KILL ID x"}, "ERR client-id should be greater than 0");
  ExpectError({"CLIENT KILL USER nobody"}, "ERR No such user 'nobody'");
  ExpectError({"CLIENT KILL ID 1 SKIPME", "CLIENT KILL FOO 1"}, "ERR syntax error");
  EXPECT_EQ(Do("CLIENT KILL ID " + Do("CLIENT ID").substr(1) + " SKIPME no"), ":1");
  EXPECT_EQ(c_->ReadRawUntilClosed(), "") << "itself, after the reply";
}

TEST_F(ConnectionTest, ClientsAreFoundByWhatTheyAreAndWhatTheyAreNot) {
  auto a = Connect(), b = Connect();
  Expect({{"CLIENT SETNAME me", "+OK"}});
  EXPECT_EQ(a->Do("CLIENT SETNAME alice"), "+OK");
  EXPECT_EQ(a->Do("CLIENT SETINFO LIB-NAME fast"), "+OK");
  EXPECT_EQ(a->Do("CLIENT CAPA redirect unheard-of"), "+OK");
  EXPECT_EQ(b->Do("CLIENT SETNAME bob"), "+OK");
  EXPECT_EQ(b->Do("SELECT 3"), "+OK");
  EXPECT_EQ(b->Do("MULTI"), "+OK");
  const std::string a_id = a->Do("CLIENT ID").substr(1);
  // The names of those that are listed.
  const auto found = [&](const std::string& filter) {
    const std::string list = Do("CLIENT LIST " + filter);
    std::string names;
    for (const std::string name : {"me", "alice", "bob"}) {
      if (list.find(" name=" + name + " ") != std::string::npos) names += (names.empty() ? "" : " ") + name;
    }
    return names;
  };
  EXPECT_EQ(found("SKIPME yes"), "alice bob");
  EXPECT_EQ(found("NAME bob"), "bob");
  EXPECT_EQ(found("NAME bob NAME alice"), "alice") << "the last one counts";
  EXPECT_EQ(found("NOT-NAME bob"), "me alice");
  EXPECT_EQ(found("DB 3"), "bob");
  EXPECT_EQ(found("NOT-DB 3 LIB-NAME fast"), "alice");
  EXPECT_EQ(found("NOT-LIB-NAME fast FLAGS N"), "me");
  EXPECT_EQ(found("FLAGS x"), "bob");
  EXPECT_EQ(found("NOT-FLAGS x"), "me alice");
  EXPECT_EQ(found("CAPA r"), "alice");
  EXPECT_EQ(found("NOT-CAPA r"), "me bob");
  EXPECT_EQ(found("ID " + a_id + " 99999 NAME alice"), "alice");
  EXPECT_EQ(found("ID " + a_id + " NAME bob"), "");
  EXPECT_EQ(found("NOT-ID " + a_id), "me bob");
  EXPECT_EQ(found("IP 127.0.0.1"), "me alice bob");
  EXPECT_EQ(found("NOT-IP 127.0.0.1"), "");
  EXPECT_EQ(found("USER default MAXAGE 1000"), "");
  EXPECT_EQ(found("IDLE 1000"), "");
  EXPECT_EQ(found("NOT-TYPE pubsub"), "me alice bob");
  ExpectError({"CLIENT LIST FLAGS NZ"}, "ERR Unknown flags found in the provided filter: NZ");
  ExpectError({"CLIENT LIST CAPA x"}, "ERR Unknown capa found in the provided filter: x");
  ExpectError({"CLIENT LIST MAXAGE 0"}, "ERR maxage should be greater than 0");
  ExpectError({"CLIENT KILL IDLE x ID 1"}, "ERR idle is not an integer or out of range");
  ExpectError({"CLIENT LIST NOT-USER nobody"}, "ERR No such user 'nobody'");
  ExpectError({"CLIENT LIST ID 1 foo"}, "ERR Invalid client ID");
  ExpectError({"CLIENT LIST SKIPME maybe", "CLIENT LIST NOT-MAXAGE 1", "CLIENT LIST NAME", "CLIENT LIST NAME a foo b"}, "ERR syntax error");
  EXPECT_EQ(Do("CLIENT KILL NOT-NAME alice NOT-DB 7"), ":1") << "without itself";
  EXPECT_EQ(Do("CLIENT KILL ID " + a_id + " ID " + Do("CLIENT ID").substr(1)), ":1");
}

TEST_F(ConnectionTest, ClientReplyOffAndSkip) {
  c_->Send({"CLIENT", "REPLY", "OFF"});
  c_->Send({"PING"});
  c_->Send({"SET", "k", "1"});
  EXPECT_EQ(Do("CLIENT REPLY ON"), "+OK");
  EXPECT_EQ(Do("GET k"), "\"1\"");
  c_->Send({"CLIENT", "REPLY", "SKIP"});
  c_->Send({"SET", "k", "2"});
  EXPECT_EQ(Do("GET k"), "\"2\"");
  EXPECT_EQ(Do("CLIENT REPLY ON"), "+OK");
}

TEST_F(ConnectionTest, PauseHoldsWritesAndUnpauseLetsThemGo) {
  auto admin = Connect();
  ASSERT_EQ(admin->Do("CLIENT PAUSE 100000 WRITE"), "+OK");
  EXPECT_EQ(Do("GET k"), "nil");
  c_->SendRaw(test::EncodeCommand({"SET", "k", "1"}) + test::EncodeCommand({"GET", "k"}));
  EXPECT_EQ(c_->Read(50), "timeout");
  EXPECT_NE(admin->Do("CLIENT LIST").find("flags=b"), std::string::npos);
  EXPECT_NE(admin->Do("INFO clients").find("paused_reason:client_pause\r\npaused_actions:write\r\npaused_timeout_milliseconds:9"), std::string::npos);
  EXPECT_EQ(admin->Do("CLIENT UNPAUSE"), "+OK");
  EXPECT_NE(admin->Do("INFO clients").find("paused_reason:none\r\npaused_actions:none\r\npaused_timeout_milliseconds:0\r\n"), std::string::npos);
  EXPECT_EQ(c_->Read(), "+OK");
  EXPECT_EQ(c_->Read(), "\"1\"");
}

TEST_F(ConnectionTest, PauseEndsByItself) {
  ASSERT_EQ(Do("CLIENT PAUSE 50 ALL"), "+OK");
  EXPECT_EQ(Do("GET k"), "nil");
  ExpectError({"CLIENT PAUSE x"}, "ERR timeout is not an integer or out of range");
  ExpectError({"CLIENT PAUSE -1"}, "ERR timeout is negative");
  ExpectError({"CLIENT PAUSE 1 FOO"}, "ERR CLIENT PAUSE mode must be WRITE or ALL");
}

TEST_F(ConnectionTest, SeveralWorkersSeeEachOthersClients) {
  c_.reset();
  server_.reset();
  StartServer({"--workers", "3"});
  std::vector<std::unique_ptr<RespClient>> clients;
  for (int i = 0; i < 12; ++i) {
    clients.push_back(Connect());
    ASSERT_EQ(clients.back()->Do("SET k" + std::to_string(i) + " v"), "+OK");
  }
  const std::string list = clients[0]->Do("CLIENT LIST");
  EXPECT_EQ(std::count(list.begin(), list.end(), '\n'), 12);
  EXPECT_EQ(clients[5]->Do("DBSIZE"), ":12");
  EXPECT_EQ(clients[0]->Do("CLIENT KILL TYPE normal"), ":11");
  for (int i = 1; i < 12; ++i) EXPECT_EQ(clients[static_cast<size_t>(i)]->ReadRawUntilClosed(), "");
  EXPECT_EQ(clients[0]->Do("PING"), "+PONG");
}

}  // namespace
}  // namespace understudy::command
