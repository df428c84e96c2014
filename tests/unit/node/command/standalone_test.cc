// What makes a standalone node a stand-in for redis-server: its configuration file, its Unix socket.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/unit/node/command/server_fixture.h"

namespace understudy::command {
namespace {

using ::testing::HasSubstr;

class StandaloneTest : public ServerTest {
 protected:
  void SetUp() override { std::filesystem::create_directory(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  // The configuration file is to hold it: not one that the kernel chooses at the start.
  static std::string FreePort() {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
    close(fd);
    return std::to_string(ntohs(address.sin_port));
  }
  void Start(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--dir", dir_.path(), "--save", ""});
    c_.reset();
    server_.reset();
    config_ = std::make_unique<config::Config>();
    const Status loaded = config_->Load(arguments);
    ASSERT_TRUE(loaded.ok()) << loaded.ToString();
    server_ = std::make_unique<Server>(*config_, clock_, std::string(32, 'a'), [] {});
    const Status started = server_->Start();
    ASSERT_TRUE(started.ok()) << started.ToString();
    ASSERT_TRUE(LoadData().ok());
    c_ = Connect();
  }
  std::string Written() const {
    std::ifstream in(file_);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }

  const std::string folder_ = ::testing::TempDir() + "/understudy_standalone_test_" + std::to_string(getpid());
  const std::string file_ = folder_ + "/redis.conf";
};

TEST_F(StandaloneTest, TheConfigurationFileGetsWhatWasSet) {
  std::ofstream(file_) << "# mine\nport " + FreePort() + "\nstandalone yes\nworkers 2\nbind 127.0.0.1\nenable-debug-command yes\n";
  Start({file_});
  Expect({{"CONFIG SET timeout 7 shutdown-on-sigterm \"now nosave\"", "+OK"}, {"ACL SETUSER bob on nopass +get ~a", "+OK"},
          {"REPLICAOF 127.0.0.1 1", "+OK"}, {"CONFIG REWRITE", "+OK"}});
  const std::string text = Written();
  for (const std::string line : {"# mine", "timeout 7", "shutdown-on-sigterm nosave now", "replicaof 127.0.0.1 1",
                                 "user bob on nopass sanitize-payload ~a resetchannels -@all +get"}) {
    EXPECT_THAT("\n" + text, HasSubstr("\n" + line + "\n"));
  }
  Start({file_});
  EXPECT_EQ(Do("CONFIG GET timeout"), "[\"timeout\", \"7\"]");
  EXPECT_EQ(Do("ACL WHOAMI"), "\"default\"");
  Expect({{"REPLICAOF NO ONE", "+OK"}, {"ACL DELUSER bob", ":1"}, {"DEBUG CONFIG-REWRITE-FORCE-ALL", "+OK"}});
  EXPECT_EQ(Written().find("bob"), std::string::npos);
  EXPECT_EQ(Written().find("replicaof"), std::string::npos);
  EXPECT_THAT(Written(), HasSubstr("\nmaxclients "));
  Start({file_});
  EXPECT_EQ(Do("PING"), "+PONG");
}

TEST_F(StandaloneTest, AUnixSocketIsServed) {
  const std::string path = folder_ + "/socket";
  Start({"--standalone", "--bind", "127.0.0.1", "--port", FreePort(), "--workers", "2", "--unixsocket", path, "--unixsocketperm", "700"});
  struct stat found {};
  ASSERT_EQ(stat(path.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0700u);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(send(fd, "SET a 1\r\n", 9, 0), 9);
  char reply[5];
  ASSERT_EQ(recv(fd, reply, sizeof(reply), MSG_WAITALL), 5);
  EXPECT_EQ(std::string(reply, 5), "+OK\r\n");
  EXPECT_EQ(Do("GET a"), "\"1\"");
  const std::string list = Do("CLIENT LIST");
  EXPECT_THAT(list, HasSubstr("addr=" + path + ":0 laddr=" + path + ":0"));
  EXPECT_THAT(list, HasSubstr("flags=U "));
  close(fd);
}

TEST_F(StandaloneTest, WhatIsLoggedAndSomeOtherOptionsChangeAtOnce) {
  Start({"--standalone", "--bind", "127.0.0.1", "--port", FreePort(), "--workers", "1"});
  Expect({{"CONFIG SET loglevel nothing", "+OK"}, {"CONFIG GET loglevel", "[\"loglevel\", \"nothing\"]"}, {"CONFIG SET loglevel notice", "+OK"},
          {"CONFIG SET availability-zone a1", "+OK"}, {"CONFIG SET protected-mode yes", "+OK"}});
  EXPECT_THAT(Do("INFO server"), HasSubstr("availability_zone:a1"));
  EXPECT_THAT(Do("HELLO"), HasSubstr("\"availability_zone\", \"a1\"]"));
  EXPECT_EQ(Connect()->Do("PING"), "+PONG") << "from this machine";
}

}  // namespace
}  // namespace understudy::command
