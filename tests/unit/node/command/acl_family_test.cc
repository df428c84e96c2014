#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>

#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

constexpr std::string_view kSecretHash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
const std::string kWrongPassword = "-WRONGPASS invalid username-password pair or user is disabled.";

class AclTest : public ServerTest {
 protected:
  void Restart(std::vector<std::string> arguments) {
    c_.reset();
    server_.reset();
    StartServer(std::move(arguments));
    c_ = Connect();
  }
  std::unique_ptr<RespClient> ConnectAs(const std::string& user, const std::string& password = "any") {
    auto client = Connect();
    EXPECT_EQ(client->Do({"AUTH", user, password}), "+OK");
    return client;
  }
  // What starting with these arguments answers.
  std::string StartError(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--standalone", "--bind", "127.0.0.1", "--dir", dir_.path()});
    config::Config config;
    const Status loaded = config.Load(arguments);
    if (!loaded.ok()) return std::string(loaded.message());
    config.port = 0;
    config.workers = 1;
    Server server(config, clock_, std::string(32, 'b'), [] {});
    return std::string(server.Start().message());
  }
  static std::string Denied(const std::string& user, const std::string& command) {
    return "-NOPERM User " + user + " has no permissions to run the '" + command + "' command";
  }
  std::string InfoField(const std::string& name) {
    const std::string info = Do("INFO stats");
    const size_t at = info.find("\n" + name + ":");
    return at == std::string::npos ? "none"
                                   : info.substr(at + name.size() + 2, info.find('\r', at) - at - name.size() - 2);
  }
};

const std::string kNoKey = "-NOPERM No permissions to access a key";

TEST_F(AclTest, UsersAreListedAndDescribed) {
  Expect({{"ACL WHOAMI", "\"default\""},
          {"ACL LIST", "[\"user default on nopass sanitize-payload ~* &* +@all\"]"},
          {"ACL SETUSER bob on >secret ~a* %R~b* &c +@read -get (~x +set)", "+OK"},
          {"ACL SETUSER alice", "+OK"},
          {"ACL USERS", "[\"alice\", \"bob\", \"default\"]"},
          {"ACL GETUSER nobody", "nil"},
          {"ACL LIST", "[\"user alice off sanitize-payload resetchannels -@all\", \"user bob on sanitize-payload #" +
                           std::string(kSecretHash) +
                           " ~a* %R~b* resetchannels &c -@all +@read -get (~x resetchannels -@all +set)\", "
                           "\"user default on nopass sanitize-payload ~* &* +@all\"]"},
          {"ACL GETUSER bob",
           "[\"flags\", [\"on\", \"sanitize-payload\"], \"passwords\", [\"" + std::string(kSecretHash) +
               "\"], \"commands\", \"-@all +@read -get\", \"keys\", \"~a* %R~b*\", \"channels\", \"&c\", "
               "\"databases\", \"alldbs\", \"selectors\", [[\"commands\", \"-@all +set\", \"keys\", \"~x\", \"channels\", \"\", \"databases\", \"alldbs\"]]]"}});
  auto c3 = Connect(3);
  EXPECT_EQ(
      c3->Do("ACL GETUSER bob"),
      "{\"flags\": ~[\"on\", \"sanitize-payload\"], \"passwords\": [\"" + std::string(kSecretHash) +
          "\"], \"commands\": \"-@all +@read -get\", \"keys\": \"~a* %R~b*\", \"channels\": \"&c\", \"databases\": "
          "\"alldbs\", \"selectors\": [{\"commands\": \"-@all +set\", \"keys\": \"~x\", \"channels\": \"\", "
          "\"databases\": \"alldbs\"}]}");
  EXPECT_EQ(c3->Do("ACL GETUSER nobody"), "nil");
}

TEST_F(AclTest, AUserStaysInHisDatabases) {
  ASSERT_EQ(Do("ACL SETUSER bob on nopass +@all ~* db=0,1"), "+OK");
  auto bob = ConnectAs("bob");
  const std::string no_database = "-NOPERM No permissions to access database";
  for (const std::string command : {"SELECT 2", "SWAPDB 0 2", "MOVE k 2", "COPY k k2 DB 1 DB 2", "FLUSHALL"}) {
    EXPECT_EQ(bob->Do(command), no_database) << command;
  }
  EXPECT_EQ(bob->Do("SELECT 99"), "-ERR DB index is out of range");
  EXPECT_EQ(bob->Do("SET k v"), "+OK");
  EXPECT_EQ(bob->Do("MOVE k 1"), ":1");
  EXPECT_EQ(bob->Do("FLUSHDB"), "+OK");
  EXPECT_EQ(bob->Do("EVAL \"return redis.call('select', 2)\" 0").substr(0, 55),
            "-NOPERM ACL failure in script: No permissions to access");
  EXPECT_EQ(Do("ACL DRYRUN bob SELECT 2"), "\"User bob has no permissions to access database 2\"");
  EXPECT_EQ(Do("ACL DRYRUN bob FLUSHALL"), "\"User bob has no permissions to access the database\"");
  EXPECT_EQ(InfoField("acl_access_denied_db"), "6");
  EXPECT_NE(Do("ACL LOG 2").find("\"reason\", \"database\", \"context\", \"lua\", \"object\", \"2\""), std::string::npos);
}

TEST_F(AclTest, QueuedCommandsAreOfTheDatabaseThatWasSelectedBeforeThem) {
  ASSERT_EQ(Do("ACL SETUSER bob on nopass (db=0 +@all -@read ~*) (db=2 +@all -@write ~*)"), "+OK");
  auto bob = ConnectAs("bob");
  EXPECT_EQ(bob->Do("MULTI"), "+OK");
  EXPECT_EQ(bob->Do("SET k v"), "+QUEUED");
  EXPECT_EQ(bob->Do("SELECT 2"), "+QUEUED");
  EXPECT_EQ(bob->Do("GET k"), "+QUEUED");
  EXPECT_EQ(bob->Do("EXEC"), "[+OK, +OK, nil]");
  EXPECT_EQ(bob->Do("SET k v"), "-NOPERM User bob has no permissions to run the 'set' command");
}

TEST_F(AclTest, ListenersAreGoneWhenTheirUserMayNotListenAnyMore) {
  Restart({"--workers", "3"});
  ASSERT_EQ(Do("ACL SETUSER bob on nopass +@all resetchannels &a &b*"), "+OK");
  const std::pair<std::string, std::string> listening[] = {
      {"SUBSCRIBE a", "resetchannels"}, {"SSUBSCRIBE a", "resetchannels"}, {"PSUBSCRIBE b*", "resetchannels"}};
  for (const auto& [listen, rule] : listening) {
    ASSERT_EQ(Do("ACL SETUSER bob allchannels"), "+OK");
    auto gone = ConnectAs("bob"), stays = ConnectAs("bob");
    ASSERT_EQ(gone->Do("CLIENT SETNAME gone"), "+OK");
    ASSERT_NE(gone->Do(listen), "closed");
    ASSERT_EQ(Do("ACL SETUSER bob " + rule), "+OK");
    EXPECT_EQ(Do("CLIENT LIST").find("name=gone"), std::string::npos) << listen;
    EXPECT_EQ(gone->Read(), "closed") << listen;
    EXPECT_EQ(stays->Do("PING"), "+PONG") << "it listens to nothing";
  }
}

TEST_F(AclTest, AWaitingCommandIsRefusedIfItsUserLostTheKey) {
  ASSERT_EQ(Do("ACL SETUSER bob on nopass +@all ~*"), "+OK");
  auto bob = ConnectAs("bob");
  bob->Send({"BLPOP", "l", "0"});
  ASSERT_TRUE(Eventually([&] { return Do("INFO clients").find("blocked_clients:1") != std::string::npos; }));
  ASSERT_EQ(Do("ACL SETUSER bob resetkeys"), "+OK");
  EXPECT_EQ(Do("LPUSH l x"), ":1");
  EXPECT_EQ(bob->Read(), kNoKey);
  EXPECT_EQ(Do("LLEN l"), ":1");
}

TEST_F(AclTest, RenamedCommandsKeepTheirNamesInRules) {
  Restart({"--rename-command", "flushdb", "Badger", "--rename-command", "KEYS", ""});
  EXPECT_EQ(Do("FLUSHDB"), "-ERR unknown command 'FLUSHDB', with args beginning with: ");
  EXPECT_EQ(Do("KEYS *"), "-ERR unknown command 'KEYS', with args beginning with: '*' ");
  EXPECT_EQ(Do("badger"), "+OK");
  ASSERT_EQ(Do("ACL SETUSER bob on nopass +@all ~* -flushdb"), "+OK");
  EXPECT_EQ(ConnectAs("bob")->Do("badger"), Denied("bob", "flushdb"));
  EXPECT_EQ(StartError({"--rename-command", "nope", "x"}), "rename-command nope: No such command in rename-command");
  EXPECT_EQ(StartError({"--rename-command", "get", "SET"}), "rename-command get: Target command name already exists");
}

TEST_F(AclTest, SetUserIsAllOrNothing) {
  ExpectError({"ACL SETUSER bob on +nope"},
              "ERR Error in ACL SETUSER modifier '+nope': Unknown command or category name in ACL");
  EXPECT_EQ(Do("ACL GETUSER bob"), "nil");
  ExpectError({"ACL SETUSER 'a b'"}, "ERR Usernames can't contain spaces or null characters");
  ExpectError({"ACL SETUSER bob (+get"}, "ERR Unmatched parenthesis in acl selector starting at '(+get'.");
  ASSERT_EQ(Do("ACL SETUSER bob on nopass +get"), "+OK");
  ExpectError({"ACL SETUSER bob off foo"}, "ERR Error in ACL SETUSER modifier 'foo': Syntax error");
  EXPECT_EQ(Do("ACL LIST").substr(0, 27), "[\"user bob on nopass saniti");
}

TEST_F(AclTest, AUserMayRunWhatHisRulesAllow) {
  ASSERT_EQ(Do("ACL SETUSER bob on nopass ~a* %R~b* %W~c* +@all -@dangerous -del +config|get"), "+OK");
  ASSERT_EQ(Do("MSET a 1 b 2 c 3"), "+OK");
  auto bob = ConnectAs("bob");
  const std::pair<std::string, std::string> exchange[] = {
      {"ACL WHOAMI", "\"bob\""},
      {"GET a", "\"1\""},
      {"SET a 5", "+OK"},
      {"GET b", "\"2\""},
      {"SET b 5", kNoKey},
      {"INCR b", kNoKey},
      {"GET c", kNoKey},
      {"SET c 5", "+OK"},
      {"SET c 5 GET", kNoKey},
      {"GETDEL c", kNoKey},
      {"EXISTS c b a", ":3"},
      {"EXISTS d", kNoKey},
      {"MGET a b", "[\"5\", \"2\"]"},
      {"MGET a c", kNoKey},
      {"COPY b a2", ":1"},
      {"COPY a b2", kNoKey},
      {"DEL a", Denied("bob", "del")},
      {"KEYS *", Denied("bob", "keys")},
      {"CONFIG GET port", "[\"port\", \"0\"]"},
      {"CONFIG SET timeout 1", Denied("bob", "config|set")},
      {"ACL SETUSER bob allkeys", Denied("bob", "acl|setuser")},
      {"FOO", "-ERR unknown command 'FOO', with args beginning with: "},
      {"GET", "-ERR wrong number of arguments for 'get' command"},
      {"AUTH default any", "+OK"},
      {"DEL a", ":1"},
  };
  for (const auto& [command, reply] : exchange) EXPECT_EQ(bob->Do(command), reply) << command;
}

TEST_F(AclTest, AChangeHoldsForConnectionsThatAreOpen) {
  ASSERT_EQ(Do("ACL SETUSER bob on nopass allkeys +get +set +ping"), "+OK");
  auto bob = ConnectAs("bob");
  EXPECT_EQ(bob->Do("SET k v"), "+OK");
  ASSERT_EQ(Do("ACL SETUSER bob -set"), "+OK");
  EXPECT_EQ(bob->Do("SET k v"), Denied("bob", "set"));
  EXPECT_EQ(bob->Do("GET k"), "\"v\"");
  ASSERT_EQ(Do("ACL SETUSER bob resetkeys ~x"), "+OK");
  EXPECT_EQ(bob->Do("GET k"), kNoKey);
  ASSERT_EQ(Do("ACL SETUSER bob off >pw"), "+OK");
  EXPECT_EQ(bob->Do("PING"), "+PONG") << "off only keeps him from logging in";
  EXPECT_EQ(Connect()->Do("AUTH bob pw"), kWrongPassword);
  // In one pipeline, too: the default user takes a right away from himself.
  c_->SendRaw(test::EncodeCommand({"GET", "k"}) + test::EncodeCommand({"ACL", "SETUSER", "default", "-get"}) +
              test::EncodeCommand({"GET", "k"}) + test::EncodeCommand({"SET", "k", "w"}) +
              test::EncodeCommand({"ACL", "SETUSER", "default", "+get"}) + test::EncodeCommand({"GET", "k"}));
  for (const std::string& reply : {std::string("\"v\""), std::string("+OK"), Denied("default", "get"),
                                   std::string("+OK"), std::string("+OK"), std::string("\"w\"")}) {
    EXPECT_EQ(c_->Read(), reply);
  }
}

TEST_F(AclTest, DelUserClosesTheUsersConnections) {
  ASSERT_EQ(Do("ACL SETUSER bob on nopass +@all allkeys"), "+OK");
  ASSERT_EQ(Do("ACL SETUSER alice on nopass +@all allkeys"), "+OK");
  auto bob = ConnectAs("bob"), alice = ConnectAs("alice");
  ExpectError({"ACL DELUSER bob default"}, "ERR The 'default' user cannot be removed");
  EXPECT_EQ(bob->Do("PING"), "+PONG") << "nothing was removed";
  EXPECT_EQ(Do("ACL DELUSER bob nobody"), ":1");
  EXPECT_EQ(bob->ReadRawUntilClosed(), "");
  EXPECT_EQ(alice->Do("ACL DELUSER alice"), ":1");
  EXPECT_EQ(alice->ReadRawUntilClosed(), "") << "itself, after the reply";
  EXPECT_EQ(Do("ACL USERS"), "[\"default\"]");
}

TEST_F(AclTest, AuthAndHelloLogIn) {
  ASSERT_EQ(Do("ACL SETUSER bob on >secret +@all"), "+OK");
  auto c = Connect();
  EXPECT_EQ(c->Do("AUTH bob wrong"), kWrongPassword);
  EXPECT_EQ(c->Do("AUTH nobody secret"), kWrongPassword);
  EXPECT_EQ(c->Do("ACL WHOAMI"), "\"default\"") << "who was refused stays who he was";
  EXPECT_EQ(c->Do("HELLO 3 AUTH bob wrong"), kWrongPassword);
  EXPECT_EQ(c->Do("HELLO 3 AUTH bob secret SETNAME 'a b'").substr(0, 18), "-ERR Client names ");
  EXPECT_EQ(c->Do("ACL WHOAMI"), "\"default\"") << "HELLO logs nobody in before it is known to be right";
  EXPECT_EQ(c->Do("HELLO 3 AUTH bob secret").front(), '{');
  EXPECT_EQ(c->Do("ACL WHOAMI"), "\"bob\"");
  EXPECT_NE(c->Do("CLIENT INFO").find(" user=bob "), std::string::npos);
  EXPECT_NE(Do("CLIENT LIST").find(" user=bob "), std::string::npos);
  ExpectError({"CLIENT KILL USER nobody"}, "ERR No such user 'nobody'");
  EXPECT_EQ(c->Do("RESET"), "+RESET");
  EXPECT_EQ(c->Do("ACL WHOAMI"), "\"default\"");
  EXPECT_EQ(Do("CLIENT KILL USER bob"), ":0");
  auto bob = ConnectAs("bob", "secret");
  EXPECT_EQ(Do("CLIENT KILL USER bob"), ":1");
  EXPECT_EQ(bob->ReadRawUntilClosed(), "");
}

TEST_F(AclTest, RequirepassIsTheDefaultUsersPassword) {
  ASSERT_EQ(Do("CONFIG SET requirepass secret"), "+OK");
  EXPECT_EQ(Do("ACL LIST"), "[\"user default on sanitize-payload #" + std::string(kSecretHash) + " ~* &* +@all\"]");
  EXPECT_EQ(Connect()->Do("PING"), "-NOAUTH Authentication required.");
  EXPECT_EQ(Connect()->Do("AUTH secret"), "+OK");
  ASSERT_EQ(Do("ACL SETUSER default >other"), "+OK");
  ASSERT_EQ(Do("CONFIG SET timeout 100"), "+OK");
  EXPECT_EQ(Connect()->Do("AUTH other"), "+OK") << "another option does not set the password anew";
  auto waiting = Connect();
  EXPECT_EQ(waiting->Do("PING"), "-NOAUTH Authentication required.");
  ASSERT_EQ(Do("CONFIG SET requirepass ''"), "+OK");
  EXPECT_EQ(waiting->Do("PING"), "+PONG");
  EXPECT_EQ(Do("ACL LIST"), "[\"user default on nopass sanitize-payload ~* &* +@all\"]");
  ASSERT_EQ(Do("ACL SETUSER default off"), "+OK");
  EXPECT_EQ(Connect()->Do("PING"), "-NOAUTH Authentication required.");
  Restart({"--requirepass", "secret"});
  EXPECT_EQ(Do("PING"), "-NOAUTH Authentication required.");
  EXPECT_EQ(Do("AUTH secret"), "+OK");
}

TEST_F(AclTest, PermissionsAreCheckedWhenQueuedAndAgainAtExec) {
  ASSERT_EQ(Do("ACL SETUSER bob on nopass allkeys +@all -set"), "+OK");
  auto bob = ConnectAs("bob");
  EXPECT_EQ(bob->Do("MULTI"), "+OK");
  EXPECT_EQ(bob->Do("SET k v"), Denied("bob", "set"));
  EXPECT_EQ(bob->Do("EXEC"), "-EXECABORT Transaction discarded because of previous errors.");
  ASSERT_EQ(Do("ACL SETUSER bob +set"), "+OK");
  for (const std::string_view command : {"MULTI", "SET k v", "GET k", "PING"}) bob->Do(command);
  ASSERT_EQ(Do("ACL SETUSER bob -set resetkeys ~x"), "+OK");
  const std::string changed =
      "-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command "
      "is no "
      "longer allowed for the following reason: ";
  EXPECT_EQ(bob->Do("EXEC"), "[" + changed + "no permission to execute the command or subcommand, " + changed +
                                 "no permission to touch the specified keys, +PONG]");
  EXPECT_EQ(Do("GET k"), "nil");
  ASSERT_EQ(Do("ACL SETUSER bob +set -exec"), "+OK");
  for (const std::string_view command : {"MULTI", "SET x v"}) bob->Do(command);
  EXPECT_EQ(bob->Do("EXEC"), "-EXECABORT Transaction discarded because of: " + Denied("bob", "exec").substr(1));
  // A command of the transaction changes the rules for those behind it.
  Expect({{"MULTI", "+OK"},
          {"ACL SETUSER default -ping", "+QUEUED"},
          {"PING", "+QUEUED"},
          {"ACL SETUSER default +ping", "+QUEUED"},
          {"PING", "+QUEUED"},
          {"EXEC", "[+OK, " + changed + "no permission to execute the command or subcommand, +OK, +PONG]"}});
}

TEST_F(AclTest, RefusalsAreLogged) {
  ASSERT_EQ(Do("ACL SETUSER bob on >secret ~a +get +multi"), "+OK");
  EXPECT_EQ(Do("ACL LOG"), "[]");
  auto bob = ConnectAs("bob", "secret");
  bob->Do("SET a v");
  bob->Do("SET a v");
  bob->Do("GET b");
  bob->Do("auth bob wrong");
  bob->Do("MULTI");
  bob->Do("SET a v");
  auto c3 = Connect(3);
  const std::string log = c3->Do("ACL LOG");
  const std::string newest =
      "[{\"count\": :1, \"reason\": \"command\", \"context\": \"multi\", \"object\": \"set\", \"username\": \"bob\", "
      "\"age-seconds\": ,";
  EXPECT_EQ(log.substr(0, newest.size()), newest);
  for (const char* piece :
       {"{\"count\": :1, \"reason\": \"auth\", \"context\": \"toplevel\", \"object\": \"auth\", \"username\": \"bob\"",
        "{\"count\": :1, \"reason\": \"key\", \"context\": \"toplevel\", \"object\": \"b\", \"username\": \"bob\"",
        "{\"count\": :2, \"reason\": \"command\", \"context\": \"toplevel\", \"object\": \"set\", \"username\": "
        "\"bob\"",
        "\"client-info\": \"id=", " cmd=set user=bob ", "\"entry-id\": :3, \"timestamp-created\": :"}) {
    EXPECT_NE(log.find(piece), std::string::npos) << piece << " in " << log;
  }
  EXPECT_EQ(Do("ACL LOG 1").substr(0, 26), "[[\"count\", :1, \"reason\", \"");
  EXPECT_EQ(Do("ACL LOG -1"), "[]");
  EXPECT_EQ(InfoField("acl_access_denied_auth"), "1");
  EXPECT_EQ(InfoField("acl_access_denied_cmd"), "3");
  EXPECT_EQ(InfoField("acl_access_denied_key"), "1");
  EXPECT_EQ(InfoField("acl_access_denied_channel"), "0");
  Expect({{"ACL LOG RESET", "+OK"},
          {"ACL LOG", "[]"},
          {"CONFIG SET acllog-max-len 1", "+OK"},
          {"AUTH x y", kWrongPassword},
          {"AUTH z y", kWrongPassword},
          {"CONFIG RESETSTAT", "+OK"}});
  EXPECT_EQ(InfoField("acl_access_denied_auth"), "0");
  const std::string last = Do("ACL LOG");
  EXPECT_NE(last.find("\"object\", \"AUTH\", \"username\", \"z\""), std::string::npos) << last;
  EXPECT_EQ(last.find("\"username\", \"x\""), std::string::npos) << last;
  ExpectError({"ACL LOG x"}, "ERR value is not an integer or out of range");
  ExpectError({"ACL LOG 1 2"}, "ERR unknown subcommand or wrong number of arguments for 'LOG'. Try ACL HELP.");
}

TEST_F(AclTest, DryRunTellsWhatWouldBecomeOfACommand) {
  ASSERT_EQ(Do("ACL SETUSER bob ~a +get +config|get"), "+OK");
  Expect({{"ACL DRYRUN bob GET a", "+OK"},
          {"ACL DRYRUN bob GET b", "\"User bob has no permissions to access the 'b' key\""},
          {"ACL DRYRUN bob SET a v", "\"User bob has no permissions to run the 'set' command\""},
          {"ACL DRYRUN bob CONFIG GET x", "+OK"},
          {"ACL DRYRUN bob CONFIG SET x y", "\"User bob has no permissions to run the 'config|set' command\""},
          {"ACL DRYRUN default FLUSHALL", "+OK"},
          {"ACL DRYRUN nobody GET a", "-ERR User 'nobody' not found"},
          {"ACL DRYRUN bob FOO", "-ERR Command 'FOO' not found"},
          {"ACL DRYRUN bob CONFIG FOO", "-ERR Command 'CONFIG' not found"},
          {"ACL DRYRUN bob GET", "-ERR wrong number of arguments for 'get' command"}});
}

TEST_F(AclTest, CategoriesAndPasswordsAreGiven) {
  EXPECT_EQ(
      Do("ACL CAT"),
      "[\"keyspace\", \"read\", \"write\", \"set\", \"sortedset\", \"list\", \"hash\", \"string\", \"bitmap\", "
      "\"hyperloglog\", \"geo\", \"stream\", \"pubsub\", \"admin\", \"fast\", \"slow\", \"blocking\", \"dangerous\", "
      "\"connection\", \"transaction\", \"scripting\"]");
  EXPECT_EQ(Do("ACL CAT transaction"), "[\"multi\", \"exec\", \"discard\", \"watch\", \"unwatch\"]");
  EXPECT_NE(Do("ACL CAT DANGEROUS").find("\"config|set\""), std::string::npos);
  ExpectError({"ACL CAT nope"}, "ERR Unknown category 'nope'");
  ExpectError({"ACL CAT a b"}, "ERR unknown subcommand or wrong number of arguments for 'CAT'. Try ACL HELP.");
  EXPECT_EQ(Do("ACL GENPASS").size(), 64u + 2);
  EXPECT_EQ(Do("ACL GENPASS 5").size(), 2u + 2);
  EXPECT_EQ(Do("ACL GENPASS 4096").size(), 1024u + 2);
  EXPECT_NE(Do("ACL GENPASS"), Do("ACL GENPASS"));
  ExpectError(
      {"ACL GENPASS 0", "ACL GENPASS 4097", "ACL GENPASS -1"},
      "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096");
  ExpectError({"ACL GENPASS x"}, "ERR value is not an integer or out of range");
  ExpectError({"ACL FOO"}, "ERR unknown subcommand 'FOO'. Try ACL HELP.");
  EXPECT_EQ(Do("ACL HELP").substr(0, 7), "[+ACL <");
}

TEST_F(AclTest, UsersComeFromTheConfiguration) {
  Restart({"--user", "bob", "on", ">secret", "~a", "+get", "(+set", "~b)", "--user", "default off",
           "--acl-pubsub-default", "allchannels"});
  EXPECT_EQ(Do("PING"), "-NOAUTH Authentication required.");
  EXPECT_EQ(Do("AUTH bob secret"), "+OK");
  EXPECT_EQ(Do("SET b v"), "+OK");
  EXPECT_EQ(Do("ACL LIST"), Denied("bob", "acl|list"));
  // The rows hold their numbers: no second table beside a server that runs.
  c_.reset();
  server_.reset();
  EXPECT_EQ(StartError({"--user", "bob", "+nope"}),
            "user bob: Error in ACL SETUSER modifier '+nope': Unknown command or category name in ACL");
  EXPECT_EQ(StartError({"--user", "bob", "--user", "bob"}),
            "user bob: Duplicate user found. A user can only be defined once in config files");
  EXPECT_EQ(StartError({"--user", "bob", "--aclfile", "x"}),
            "users are given by 'user' and by 'aclfile': only one of the two may be used");
  EXPECT_EQ(StartError({"--aclfile", "/nowhere/x"}),
            "Error loading ACLs, opening file '/nowhere/x': No such file or directory");
  EXPECT_EQ(StartError({"--aclfile", "/"}), "Error loading ACLs, opening file '/': Is a directory");
}

TEST_F(AclTest, AclPubsubDefaultIsForNewUsers) {
  Expect({{"CONFIG GET acl-pubsub-default", "[\"acl-pubsub-default\", \"resetchannels\"]"},
          {"CONFIG SET acl-pubsub-default allchannels", "+OK"},
          {"ACL SETUSER bob", "+OK"},
          {"ACL LIST",
           "[\"user bob off sanitize-payload &* -@all\", \"user default on nopass sanitize-payload ~* &* +@all\"]"},
          {"CONFIG GET user", "[]"}});
}

TEST_F(AclTest, TheAclFileIsLoadedAndSaved) {
  const std::string no_file =
      "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ";
  EXPECT_EQ(Do("ACL LOAD").substr(1, no_file.size()), no_file);
  EXPECT_EQ(Do("ACL SAVE").substr(1, no_file.size()), no_file);
  const std::string path = ::testing::TempDir() + "/understudy_acl_test.acl";
  std::ofstream(path) << "user bob on nopass ~* +@all\nuser alice on nopass +ping\n";
  Restart({"--aclfile", path});
  EXPECT_EQ(Do("ACL USERS"), "[\"alice\", \"bob\", \"default\"]");
  auto bob = ConnectAs("bob"), alice = ConnectAs("alice");
  ASSERT_EQ(Do("ACL SETUSER carol on +get"), "+OK");
  EXPECT_EQ(Do("ACL SAVE"), "+OK");
  std::ifstream in(path);
  const std::string saved((std::istreambuf_iterator<char>(in)), {});
  EXPECT_EQ(saved,
            "user alice on nopass sanitize-payload resetchannels -@all +ping\n"
            "user bob on nopass sanitize-payload ~* resetchannels +@all\n"
            "user carol on sanitize-payload resetchannels -@all +get\n"
            "user default on nopass sanitize-payload ~* &* +@all\n");
  std::ofstream(path) << "user bob on nopass +nope\n";
  EXPECT_EQ(Do("ACL LOAD"),
            "-ERR " + path +
                ":1: Error in applying operation '+nope': Unknown command or category name in ACL. WARNING: "
                "ACL errors detected, no change to the previously active ACL rules was performed");
  EXPECT_EQ(bob->Do("GET k"), "nil");
  std::ofstream(path) << "user bob on nopass ~* +ping\n";
  EXPECT_EQ(Do("ACL LOAD"), "+OK");
  EXPECT_EQ(alice->ReadRawUntilClosed(), "") << "who is no more is closed";
  EXPECT_EQ(bob->Do("PING"), "+PONG") << "who is still there stays";
  EXPECT_EQ(bob->Do("GET k"), Denied("bob", "get"));
  std::filesystem::remove(path);
  EXPECT_EQ(Do("ACL LOAD"), "-ERR Error loading ACLs, opening file '" + path + "': No such file or directory");
  std::filesystem::create_directory(path);
  EXPECT_EQ(Do("ACL SAVE"),
            "-ERR There was an error trying to save the ACLs. Please check the server logs for more information");
  std::filesystem::remove(path);
}

TEST_F(AclTest, SecretsAreNotInTheSlowlog) {
  ASSERT_EQ(Do("CONFIG SET slowlog-log-slower-than 0"), "+OK");
  ASSERT_TRUE(Eventually([&] { return Do("PING") == "+PONG" && Do("SLOWLOG LEN") != ":0"; }));
  Expect({{"ACL SETUSER bob on >secret1", "+OK"},
          {"AUTH bob secret1", "+OK"},
          {"AUTH default any", "+OK"},
          {"CONFIG SET masterauth secret2 timeout 77", "+OK"}});
  EXPECT_EQ(Do("HELLO 2 AUTH bob secret1 SETNAME me").front(), '[');
  EXPECT_EQ(Do("AUTH default any"), "+OK");
  const std::string log = Do("SLOWLOG GET");
  EXPECT_EQ(log.find("secret"), std::string::npos) << log;
  for (const char* piece : {"[\"ACL\", \"SETUSER\", \"(redacted)\"", "[\"AUTH\", \"(redacted)\", \"(redacted)\"]",
                            "\"masterauth\", \"(redacted)\", \"timeout\", \"77\"",
                            "\"AUTH\", \"(redacted)\", \"(redacted)\", \"SETNAME\", \"me\""}) {
    EXPECT_NE(log.find(piece), std::string::npos) << piece << " in " << log;
  }
}

TEST_F(AclTest, ChannelsAndAllKeysAreAskedForBySession) {
  ASSERT_EQ(Do("ACL SETUSER bob on nopass +@all &news* %R~*"), "+OK");
  auto bob = ConnectAs("bob");
  const auto rows = StringCommands();
  const Row& get = *std::find_if(rows.begin(), rows.end(), [](const Row& row) { return row.name == "get"; });
  int asked = 0;
  server_->dispatcher().clients().ForEach([&](Session& session) {
    const bool is_bob = session.user == "bob";
    EXPECT_TRUE(ChannelAllowed(session, "news1", false));
    EXPECT_TRUE(ChannelAllowed(session, "news*", true));
    EXPECT_EQ(ChannelAllowed(session, "other", false), !is_bob);
    EXPECT_EQ(ChannelAllowed(session, "news1", true), !is_bob);
    const std::string_view args[] = {"get", "k"};
    EXPECT_TRUE(MayAccessAllKeys(session, get, args, acl::kReads));
    EXPECT_EQ(MayAccessAllKeys(session, get, args, acl::kWrites), !is_bob);
    ++asked;
  });
  EXPECT_EQ(asked, 2);
}

TEST_F(AclTest, AUsersRulesDoNotKeepANodeOfTheGroupFromReplicating) {
  const std::string no_auth = "-NOAUTH Authentication required.";
  Restart({"--user", "default", "off"});
  for (const char* command : {"REPLCONF capa eof", "PSYNC ? -1"}) EXPECT_EQ(Do(command), no_auth) << command;
  c_.reset();
  server_.reset();
  config_ = std::make_unique<config::Config>();
  const std::vector<std::string> arguments = {"--bind", "127.0.0.1", "--user", "default", "off"};
  ASSERT_TRUE(config_->Load(arguments).ok());
  config_->port = 0;
  config_->workers = 1;
  server_ = std::make_unique<Server>(*config_, clock_, std::string(32, 'a'), [] {});
  ASSERT_TRUE(server_->Start().ok());
  c_ = Connect();
  for (const char* command : {"PING", "ROLE", "REPLICAOF NO ONE"}) EXPECT_EQ(Do(command), no_auth) << command;
  EXPECT_EQ(Do("REPLCONF capa eof"), "+OK");
  EXPECT_EQ(Do("PSYNC ? -1").substr(0, 38), "-ERR only nodes of its own group may r") << "it must prove that it is one";
}

// One worker changes a user while others run commands as him: each is answered by the rules before or after.
TEST_F(AclTest, AUserIsChangedWhileOthersRunCommandsAsHim) {
  Restart({"--workers", "3"});
  ASSERT_EQ(Do("ACL SETUSER bob on nopass allkeys +get +incr +auth"), "+OK");
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0}, allowed{0}, denied{0};
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      auto client = ConnectAs("bob");
      while (!stop) {
        const std::string reply = client->Do(i % 2 ? "INCR n" : "GET n");
        if (reply.starts_with("-NOPERM")) {
          ++denied;
        } else if (reply.starts_with(":") || reply.starts_with("\"") || reply == "nil") {
          ++allowed;
        } else {
          ++wrong;
        }
      }
    });
  }
  for (int i = 0; i < 300; ++i) {
    ASSERT_EQ(Do(i % 2 ? "ACL SETUSER bob +get +incr allkeys" : "ACL SETUSER bob -get -incr resetkeys ~x >pw nopass"),
              "+OK");
    if (i % 10 == 0) {
      ASSERT_EQ(Do("ACL SETUSER other" + std::to_string(i) + " +@all"), "+OK");
      ASSERT_EQ(Do("ACL DELUSER other" + std::to_string(i)), ":1");
      Do("ACL LOG 5");
      Do("ACL LIST");
    }
  }
  EXPECT_TRUE(Eventually([&] { return allowed > 0 && denied > 0; }));
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(Do("ACL SETUSER bob -get"), "+OK");
  EXPECT_EQ(ConnectAs("bob")->Do("GET n"), Denied("bob", "get")) << "what was answered OK holds from then on";
}

}  // namespace
}  // namespace understudy::command
