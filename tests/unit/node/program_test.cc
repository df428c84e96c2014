// understudy-node as a process: what SIGTERM does (FAILOVER.md sections 4 and 7), what its first role does to clients.
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "tests/unit/node/control/control_fixture.h"

extern char** environ;

namespace understudy::control {
namespace {

// The first word of the reply to an inline command.
std::string Ask(PlainSocket& client, const std::string& command) {
  client.Send(command + "\r\n");
  std::string reply;
  client.ReadSome(&reply);
  return reply.substr(0, reply.find(' '));
}

// The process, on 127.0.0.1; killed at the end of a test that left it running.
class NodeProgram {
 public:
  NodeProgram(const TempDir& dir, uint16_t port, uint16_t admin_port, const std::string& shutdown_timeout)
      : port_(port), admin_port_(admin_port) {
    const std::string log = dir.path() + "/termination-log";
    dir.Write("termination-log", "");
    std::vector<std::string> words = {NODE_PROGRAM, "--port", std::to_string(port), "--admin-port",
                                      std::to_string(admin_port), "--bind", "127.0.0.1", "--workers", "1",
                                      "--operator-key-dir", dir.path(), "--termination-log", log,
                                      "--shutdown-timeout", shutdown_timeout, "--dir", dir.path()};
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    setenv("POD_UID", "uid-a", 1);
    EXPECT_EQ(posix_spawn(&pid_, NODE_PROGRAM, nullptr, nullptr, arguments.data(), environ), 0);
    // The admin port is bound after the incarnation is drawn, and the incarnation is in the file then.
    for (int i = 0; i < 2000 && ref_.incarnation.empty(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      if (Serves(port_)) ref_ = {"a", "uid-a", dir.Read("termination-log"), "", "127.0.0.1"};
    }
    EXPECT_EQ(ref_.incarnation.size(), 32u) << "it did not start";
  }
  ~NodeProgram() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  void Signal(int number) const { ASSERT_EQ(kill(pid_, number), 0); }
  // Waits for its end; true: it ended by itself with 0.
  bool Ended(std::chrono::milliseconds limit) {
    const auto until = std::chrono::steady_clock::now() + limit;
    int status = 0;
    while (std::chrono::steady_clock::now() < until) {
      if (waitpid(pid_, &status, WNOHANG) == pid_) {
        pid_ = 0;
        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
  }
  // Accepts connections on that port.
  static bool Serves(uint16_t port) { return PlainSocket(port).connected(); }
  bool ServesBoth() const { return Serves(port_) && Serves(admin_port_); }
  uint16_t port() const { return port_; }
  const NodeRef& ref() const { return ref_; }

 private:
  uint16_t port_, admin_port_;
  pid_t pid_ = 0;
  NodeRef ref_;
};

class NodeProgramTest : public testing::Test {
 protected:
  void Start(const std::string& shutdown_timeout) {
    dir.Write("operator.pub", key.Public().ToPem());
    admin_port = FreePort();
    node.emplace(dir, FreePort(), admin_port, shutdown_timeout);
    op.emplace(thread, node->ref(), admin_port, key);
  }
  void MakePrimaryWithAVoter() {
    ASSERT_TRUE(op->Do(op->Primary(1, 1)).accepted);
    ASSERT_TRUE(op->Do(op->Primary(1, 2, {other})).accepted);
  }
  void WaitUntilItSaysSo() {
    for (std::optional<Heartbeat> beat = op->heartbeats.Take();; beat = op->heartbeats.Take()) {
      ASSERT_TRUE(beat.has_value()) << "no heartbeat said that it is terminating";
      if (beat->state.terminating) return;
    }
  }

  const NodeRef other{"b", "uid-b", "inc-b", "", "127.0.0.9"};
  crypto::SigningKey key = *crypto::SigningKey::Generate();
  TempDir dir;
  IoThread thread;
  uint16_t admin_port = 0;
  std::optional<NodeProgram> node;
  std::optional<TestOperator> op;
};

TEST_F(NodeProgramTest, ClientsThatCameBeforeItBecameAReplicaAreClosedAndWritesAreNotToldToWaitForItsData) {
  Start("60");
  PlainSocket early(node->port());
  ASSERT_EQ(Ask(early, "SET k v"), "-LOADING");
  ASSERT_TRUE(op->Do(op->Replica(1, 1, other)).accepted);
  EXPECT_EQ(early.ReadAll(), "") << "closed, without a word";
  PlainSocket late(node->port());
  EXPECT_EQ(Ask(late, "GET k"), "-LOADING") << "its primary does not exist, so it has no data";
  ASSERT_TRUE(op->Do(op->Replica(2, 1, other)).accepted);
  EXPECT_EQ(Ask(late, "GET k"), "-LOADING") << "a further order closes nobody";
  EXPECT_EQ(Ask(late, "SET k v"), "-READONLY");
  EXPECT_EQ(late.ReadAll(), "") << "a Service may have led it here that leads elsewhere by now";
}

TEST_F(NodeProgramTest, ClientsThatWaitForAKeyAreServedByAPrimaryAndToldWhenItIsOneNoLonger) {
  Start("60");
  ASSERT_TRUE(op->Do(op->Primary(1, 1)).accepted);
  PlainSocket served(node->port()), left(node->port()), pusher(node->port());
  const auto wait = [&](PlainSocket& client, const std::string& command, int waiting) {
    client.Send(command + "\r\n");
    std::string info;
    while (info.find("blocked_clients:" + std::to_string(waiting)) == std::string::npos) {
      pusher.Send("INFO clients\r\n");
      info.clear();
      ASSERT_TRUE(pusher.ReadSome(&info));
    }
  };
  wait(served, "BLPOP l 0", 1);
  wait(left, "BLMOVE l m LEFT LEFT 0", 2);
  EXPECT_EQ(Ask(pusher, "RPUSH l a"), ":1\r\n");
  std::string reply;
  ASSERT_TRUE(served.ReadSome(&reply));
  EXPECT_EQ(reply, "*2\r\n$1\r\nl\r\n$1\r\na\r\n");
  ASSERT_TRUE(op->Do(op->Base(OrderKind::kDemote, 2)).accepted);
  ASSERT_TRUE(op->Do(op->Replica(2, 3, other)).accepted);
  EXPECT_EQ(left.ReadAll(),
            "-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n");
}

TEST_F(NodeProgramTest, InAGroupAFileIsMadeWhenSomebodyAsksForItAndIsNeverLoadedAtAStart) {
  Start("60");
  ASSERT_TRUE(op->Do(op->Primary(1, 1)).accepted);
  {
    PlainSocket client(node->port());
    EXPECT_EQ(Ask(client, "SET k v"), "+OK\r\n");
    EXPECT_EQ(Ask(client, "CONFIG SET save \"60 1\""), "-ERR");
    EXPECT_EQ(Ask(client, "SAVE"), "+OK\r\n");
  }
  EXPECT_EQ(dir.Read("dump.rdb").substr(0, 9), "REDIS0011");
  node->Signal(SIGTERM);
  ASSERT_TRUE(node->Ended(std::chrono::seconds(10)));
  op.reset();
  Start("60");
  PlainSocket client(node->port());
  EXPECT_EQ(Ask(client, "GET k"), "-LOADING") << "it has no role";
  ASSERT_TRUE(op->Do(op->Primary(1, 1)).accepted);
  PlainSocket late(node->port());
  EXPECT_EQ(Ask(late, "DBSIZE"), ":0\r\n");
}

TEST_F(NodeProgramTest, SigtermOfANodeWithoutARoleEndsItAtOnce) {
  Start("60");
  node->Signal(SIGTERM);
  EXPECT_TRUE(node->Ended(std::chrono::seconds(10)));
}

TEST_F(NodeProgramTest, SigtermOfAPrimaryWithoutVotersEndsItAtOnce) {
  Start("60");
  ASSERT_TRUE(op->Do(op->Primary(1, 1)).accepted);
  node->Signal(SIGTERM);
  EXPECT_TRUE(node->Ended(std::chrono::seconds(10)));
}

TEST_F(NodeProgramTest, SigtermOfAPrimaryWithVotersWaitsUntilAnotherNodeIsPrimaryWithAllItsPortsOpen) {
  Start("60");
  MakePrimaryWithAVoter();
  node->Signal(SIGTERM);
  WaitUntilItSaysSo();
  node->Signal(SIGTERM);  // the kubelet may repeat it
  ASSERT_TRUE(op->Do(op->Base(OrderKind::kDemote, 2)).accepted);
  EXPECT_TRUE(node->ServesBoth());
  op->Send(op->Replica(2, 3, other));
  EXPECT_TRUE(node->Ended(std::chrono::seconds(10)));
}

TEST_F(NodeProgramTest, APrimaryThatNobodyReplacesEndsWhenItsTimeIsUp) {
  Start("1");
  MakePrimaryWithAVoter();
  node->Signal(SIGTERM);
  WaitUntilItSaysSo();
  EXPECT_TRUE(node->ServesBoth());
  EXPECT_TRUE(node->Ended(std::chrono::seconds(10)));
}

TEST_F(NodeProgramTest, SigintEndsItAtOnceAlsoWhileItWaits) {
  Start("60");
  MakePrimaryWithAVoter();
  node->Signal(SIGTERM);
  WaitUntilItSaysSo();
  node->Signal(SIGINT);
  EXPECT_TRUE(node->Ended(std::chrono::seconds(10)));
}

}  // namespace
}  // namespace understudy::control
