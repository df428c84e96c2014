// understudy-node --standalone as a process: what is on the disk when it ends, in order or not, and when it starts again.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/support/resp_client.h"
#include "tests/support/temp_directory.h"

extern char** environ;

namespace understudy {
namespace {

using ::testing::HasSubstr;
using test::RespClient;

uint16_t FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  close(fd);
  return ntohs(address.sin_port);
}

class StandaloneProgramTest : public ::testing::Test {
 protected:
  ~StandaloneProgramTest() override {
    if (pid_ > 0) Kill(SIGKILL);
  }
  // Does not wait until it serves.
  void Spawn(const std::vector<std::string>& options = {}) {
    port_ = FreePort();
    std::vector<std::string> words = {NODE_PROGRAM, "--standalone", "--port", std::to_string(port_), "--bind", "127.0.0.1",
                                      "--workers", "2", "--dir", dir_.path(), "--enable-debug-command", "yes"};
    words.insert(words.end(), options.begin(), options.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, Log().c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    EXPECT_EQ(posix_spawn(&pid_, NODE_PROGRAM, &actions, nullptr, arguments.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
  }
  void Start(const std::vector<std::string>& options = {}) {
    Spawn(options);
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (LogText().find("Ready to accept connections") == std::string::npos) {
      ASSERT_LT(std::chrono::steady_clock::now(), until) << LogText();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    client_ = std::make_unique<RespClient>(port_);
    ASSERT_TRUE(client_->connected());
  }
  // Waits for its end; the status is waitpid's.
  int Wait() {
    int status = 0;
    EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
    pid_ = 0;
    return status;
  }
  int Kill(int number) {
    EXPECT_EQ(kill(pid_, number), 0);
    return Wait();
  }
  std::string Log() const { return dir_.path() + "/log"; }
  std::string LogText() const {
    std::ifstream file(Log());
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::string File() const { return dir_.path() + "/dump.rdb"; }
  std::string Do(std::string_view command) { return client_->Do(command); }

  test::TempDirectory dir_;
  uint16_t port_ = 0;
  pid_t pid_ = 0;
  std::unique_ptr<RespClient> client_;
};

TEST_F(StandaloneProgramTest, SigtermSavesIfThereAreSavePointsAndTheNextProcessHasTheData) {
  Start();
  EXPECT_EQ(Do("SET k v"), "+OK");
  EXPECT_EQ(Kill(SIGTERM), 0);
  EXPECT_THAT(LogText(), HasSubstr("DB saved on disk"));
  Start({"--save", ""});
  EXPECT_THAT(LogText(), HasSubstr("DB loaded from disk"));
  EXPECT_EQ(Do("GET k"), "\"v\"");
  EXPECT_EQ(Do("SET k w"), "+OK");
  EXPECT_EQ(Kill(SIGTERM), 0);
  Start();
  EXPECT_EQ(Do("GET k"), "\"v\"") << "without save points nothing is saved";
}

TEST_F(StandaloneProgramTest, ShutdownEndsTheProcessInOrder) {
  Start();
  EXPECT_EQ(Do("SET k v"), "+OK");
  EXPECT_EQ(Do("SHUTDOWN"), "closed");
  EXPECT_EQ(Wait(), 0);
  EXPECT_TRUE(std::filesystem::exists(File()));
}

// Whenever it is killed, what is on the disk is one moment's data: that of the former save, or of the one under way.
TEST_F(StandaloneProgramTest, AProcessThatIsKilledWhileItSavesLeavesAWholeFile) {
  constexpr int kKeys = 20'000;
  Start({"--save", ""});
  const auto fill = [&](const std::string& generation) {
    for (int i = 0; i < kKeys; i += 1000) {
      for (int k = i; k < i + 1000; ++k) client_->Send({"SET", "key" + std::to_string(k), generation + std::string(500, '.')});
      for (int k = i; k < i + 1000; ++k) ASSERT_EQ(client_->Read(), "+OK");
    }
  };
  fill("0");
  EXPECT_EQ(Do("SAVE"), "+OK");
  for (int round = 1; round <= 5; ++round) {
    fill(std::to_string(round));
    EXPECT_EQ(Do("BGSAVE"), "+Background saving started");
    std::this_thread::sleep_for(std::chrono::milliseconds(4 * (round - 1)));
    EXPECT_EQ(WTERMSIG(Kill(SIGKILL)), SIGKILL);
    Start({"--save", ""});
    ASSERT_EQ(Do("DBSIZE"), ":" + std::to_string(kKeys));
    const std::string generation = Do("GETRANGE key0 0 0");
    for (int i = 0; i < kKeys; i += 1000) {
      for (int k = i; k < i + 1000; ++k) client_->Send({"GETRANGE", "key" + std::to_string(k), "0", "0"});
      for (int k = i; k < i + 1000; ++k) ASSERT_EQ(client_->Read(), generation) << k;
    }
  }
}

TEST_F(StandaloneProgramTest, ADamagedFileEndsTheStartWithOneSentence) {
  Start();
  EXPECT_EQ(Do("SET k some-value"), "+OK");
  EXPECT_EQ(Kill(SIGTERM), 0);
  std::filesystem::resize_file(File(), std::filesystem::file_size(File()) - 3);
  Spawn();
  const int status = Wait();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_THAT(LogText(), HasSubstr("understudy-node: Fatal error loading the DB, exiting: " + File() + ": RDB breaks off at byte "));
  EXPECT_THAT(LogText(), ::testing::Not(HasSubstr("Ready to accept connections")));
  EXPECT_TRUE(std::filesystem::exists(File())) << "it is left for its owner";
}

TEST_F(StandaloneProgramTest, ASignalThatCannotBeObeyedInOrderLeavesTheNodeServingUntilSomebodyInsists) {
  Start();
  EXPECT_EQ(Do("SET k v"), "+OK");
  std::filesystem::create_directory(File());
  EXPECT_EQ(kill(pid_, SIGTERM), 0);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (LogText().find("can't exit") == std::string::npos) {
    ASSERT_LT(std::chrono::steady_clock::now(), until);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(Do("SET k w"), "+OK");
  std::filesystem::remove(File());
  EXPECT_EQ(Kill(SIGTERM), 0);
  EXPECT_TRUE(std::filesystem::is_regular_file(File()));
}

}  // namespace
}  // namespace understudy
