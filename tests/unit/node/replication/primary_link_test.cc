// The replica's side against a primary that says what the test wants: real Redis's forms, and garbage.
#include "node/replication/primary_link.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/persist/crc64.h"
#include "node/persist/rdb_writer.h"
#include "tests/unit/node/replication/test_node.h"

namespace understudy::replication {
namespace {

const std::string kId(40, 'e');

std::string Rdb(int keys) {
  std::string out;
  persist::AppendRdbMagic(out);
  persist::AppendRdbAux(out, "redis-ver", "7.2.0");
  persist::AppendRdbSelectDb(out, 3);
  for (int i = 0; i < keys; ++i) {
    out.push_back('\0');  // a string
    persist::AppendRdbString(out, "key" + std::to_string(i));
    persist::AppendRdbString(out, "value");
  }
  persist::AppendRdbEnd(out, persist::Crc64(0, out));
  return out;
}

std::string Command(std::initializer_list<std::string_view> argv) {
  std::string out;
  EncodeCommand({argv.begin(), argv.size()}, &out);
  return out;
}

// Plays a primary, one connection at a time, on the test's thread.
class FakePrimary {
 public:
  FakePrimary() {
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    socklen_t size = sizeof address;
    EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port = ntohs(address.sin_port);
    EXPECT_EQ(listen(fd_, 8), 0);
  }
  ~FakePrimary() {
    Hang();
    close(fd_);
  }

  // Accepts and answers everything up to PSYNC, whose words it returns.
  std::vector<std::string> AcceptUntilPsync() {
    Hang();
    pollfd wait{fd_, POLLIN, 0};
    EXPECT_EQ(poll(&wait, 1, 10'000), 1);
    connection_ = accept(fd_, nullptr, nullptr);
    greeting.clear();
    while (true) {
      std::vector<std::string> argv = NextCommand();
      if (argv.empty() || argv[0] == "PSYNC") return argv;
      greeting.push_back(argv);
      Send(argv[0] == "PING" ? "+PONG\r\n" : "+OK\r\n");
    }
  }
  // Empty when nothing came for 10 s or the connection ended.
  std::vector<std::string> NextCommand() {
    while (true) {
      resp::Arguments arguments;
      std::unique_ptr<resp::Partial> partial;
      const resp::ParseResult result = resp::Parse(input_, {}, &arguments, &partial);
      if (result.outcome == resp::Outcome::kCommand) {
        std::vector<std::string> argv(arguments.views.begin(), arguments.views.end());
        input_.erase(0, result.consumed);
        if (!argv.empty()) return argv;
        continue;
      }
      char buffer[4096];
      pollfd wait{connection_, POLLIN, 0};
      if (poll(&wait, 1, 10'000) != 1) return {};
      const ssize_t n = recv(connection_, buffer, sizeof buffer, 0);
      if (n <= 0) return {};
      input_.append(buffer, static_cast<size_t>(n));
    }
  }
  uint64_t NextAck() {
    while (true) {
      const std::vector<std::string> argv = NextCommand();
      if (argv.empty()) return UINT64_MAX;
      if (argv.size() >= 3 && argv[0] == "REPLCONF" && argv[1] == "ACK") return std::stoull(argv[2]);
    }
  }
  // The next acknowledgement of at least `offset`.
  uint64_t AwaitAck(uint64_t offset) {
    uint64_t got = NextAck();
    while (got < offset) got = NextAck();
    return got;
  }
  void Send(const std::string& bytes) {
    ASSERT_EQ(send(connection_, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  void Hang() {
    if (connection_ >= 0) close(connection_);
    connection_ = -1;
    input_.clear();
  }

  // The next byte that comes; 0 if none does within 10 s.
  char NextByte() {
    char byte = 0;
    pollfd wait{connection_, POLLIN, 0};
    if (poll(&wait, 1, 10'000) == 1 && recv(connection_, &byte, 1, 0) != 1) byte = 0;
    return byte;
  }

  uint16_t port = 0;
  std::vector<std::vector<std::string>> greeting;  // what came before PSYNC

 private:
  int fd_ = -1;
  int connection_ = -1;
  std::string input_;
};

class PrimaryLinkTest : public ::testing::Test {
 protected:
  void Follow() { node.Follow("127.0.0.1", primary.port); }
  // A node that holds 10 keys of history kId at offset 100.
  void Load() {
    Follow();
    primary.AcceptUntilPsync();
    const std::string rdb = Rdb(10);
    primary.Send("+FULLRESYNC " + kId + " 100\r\n$" + std::to_string(rdb.size()) + "\r\n" + rdb);
    ASSERT_EQ(primary.NextAck(), 100u);
    ASSERT_TRUE(Await([&] { return node.Up(); }));
  }
  bool ErrorHas(const std::string& text) {
    return Await([&] { return node.state().link_error.find(text) != std::string::npos; });
  }

  FakePrimary primary;
  TestNode node{1, true};
};

TEST_F(PrimaryLinkTest, LoadsTheFormWithALengthAndStreamsAtOnce) {
  Follow();
  EXPECT_EQ(primary.AcceptUntilPsync(), (std::vector<std::string>{"PSYNC", "?", "-1"}));
  const std::string rdb = Rdb(10);
  const std::string set = Command({"SET", "key1", "new"});
  primary.Send("\n\n+FULLRESYNC " + kId + " 100\r\n\n\n$" + std::to_string(rdb.size()) + "\r\n" + rdb + set);
  EXPECT_EQ(primary.AwaitAck(100 + set.size()), 100 + set.size());
  EXPECT_EQ(node.Data().size(), 11u);  // in database 0: the copy says nothing else
  EXPECT_TRUE(node.Data().at("0 key1").starts_with("new "));
  EXPECT_EQ(node.state().replid, kId);
}

TEST_F(PrimaryLinkTest, LoadsTheFormWithAMarkInAnyPieces) {
  Follow();
  primary.AcceptUntilPsync();
  const std::string mark(40, 'm');
  const std::string all = "+FULLRESYNC " + kId + " 100\r\n$EOF:" + mark + "\r\n" + Rdb(10) + mark;
  for (char c : all) primary.Send(std::string(1, c));
  EXPECT_EQ(primary.NextAck(), 100u);
  EXPECT_EQ(node.Data().size(), 10u);
}

TEST_F(PrimaryLinkTest, CountsEveryByteAndAsksForTheNextOne) {
  Load();
  std::string stream = Command({"SELECT", "3"}) + Command({"SET", "a", "1"}) + Command({"PING"}) +
                       Command({"REPLCONF", "GETACK", "*"});
  primary.Send(stream);
  uint64_t offset = 100 + stream.size();
  EXPECT_EQ(primary.AwaitAck(offset), offset);
  primary.AcceptUntilPsync();  // hangs up first
  primary.Send("+CONTINUE\r\n");
  EXPECT_EQ(primary.NextAck(), offset);
  // The database is still the selected one.
  stream = Command({"SET", "b", "2"});
  primary.Send(stream);
  offset += stream.size();
  EXPECT_EQ(primary.AwaitAck(offset), offset);
  EXPECT_TRUE(node.Data().contains("3 b"));
  EXPECT_EQ(primary.AcceptUntilPsync(), (std::vector<std::string>{"PSYNC", kId, std::to_string(offset + 1)}));
}

TEST_F(PrimaryLinkTest, ATransactionIsAppliedAtOnceOrNotAtAll) {
  Load();
  const std::string begin = Command({"SELECT", "0"}) + Command({"MULTI"}) + Command({"SET", "x", "1"}) +
                            Command({"SELECT", "2"}) + Command({"SET", "y", "1"});
  primary.Send(begin);
  const uint64_t before = 100 + Command({"SELECT", "0"}).size();
  EXPECT_EQ(primary.AwaitAck(before), before);  // the periodic one: nothing of the transaction counts
  EXPECT_FALSE(node.Data().contains("0 x"));
  // The link breaks: all of it is asked for again.
  EXPECT_EQ(primary.AcceptUntilPsync(), (std::vector<std::string>{"PSYNC", kId, std::to_string(before + 1)}));
  primary.Send("+CONTINUE\r\n");
  const std::string rest = begin.substr(Command({"SELECT", "0"}).size()) + Command({"EXEC"});
  for (char c : rest) primary.Send(std::string(1, c));
  EXPECT_EQ(primary.AwaitAck(before + rest.size()), before + rest.size());
  EXPECT_TRUE(node.Data().contains("0 x"));
  EXPECT_TRUE(node.Data().contains("2 y"));
  EXPECT_EQ(node.sink.groups, 1u);
}

TEST_F(PrimaryLinkTest, AdoptsTheNewIdOfTheHistory) {
  Load();
  primary.AcceptUntilPsync();
  const std::string next(40, 'd');
  primary.Send("+CONTINUE " + next + "\r\n");
  EXPECT_EQ(primary.NextAck(), 100u);
  EXPECT_EQ(node.state().replid, next);
  EXPECT_EQ(node.state().replid2, kId);
  EXPECT_EQ(node.state().second_offset, 101);
}

TEST_F(PrimaryLinkTest, GarbageInTheStreamEndsTheLinkAndTheNextOneGoesOn) {
  Load();
  struct Case {
    std::string bytes;
    const char* error;
  };
  const Case cases[] = {
      {"*x\r\n", "the stream is damaged"},
      {"*1\r\n+PING\r\n", "the stream is damaged"},
      {"\x01\x02\x03\r\n", "unknown command"},
      {Command({"NOSUCH", "thing"}), "unknown command 'NOSUCH'"},
      {Command({"SELECT", "99"}), "selects database '99'"},
      {Command({"SELECT"}), "selects database"},
      {Command({"MULTI"}) + Command({"MULTI"}), "MULTI inside MULTI"},
      {Command({"MULTI"}) + Command({"SET", "never", "1"}) + Command({"NOSUCH"}) + Command({"EXEC"}), "unknown command"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.error);
    primary.Send(c.bytes);
    EXPECT_TRUE(ErrorHas(c.error)) << node.state().link_error;
    EXPECT_EQ(primary.AcceptUntilPsync(), (std::vector<std::string>{"PSYNC", kId, "101"}));
    primary.Send("+CONTINUE\r\n");
    EXPECT_EQ(primary.NextAck(), 100u);
    ASSERT_TRUE(Await([&] { return node.Up(); }));
  }
  EXPECT_EQ(node.Data().size(), 10u);
}

TEST_F(PrimaryLinkTest, AnExecutionThatFailsHalfWayNeedsANewCopy) {
  Load();
  primary.Send(Command({"MULTI"}) + Command({"SET", "half", "1"}) + Command({"BREAK"}) + Command({"EXEC"}));
  EXPECT_TRUE(ErrorHas("BREAK was executed"));
  EXPECT_FALSE(node.state().complete);
  EXPECT_TRUE(node.hooks.loading);
  EXPECT_EQ(primary.AcceptUntilPsync(), (std::vector<std::string>{"PSYNC", "?", "-1"}));
  const std::string rdb = Rdb(5);
  primary.Send("+FULLRESYNC " + kId + " 500\r\n$" + std::to_string(rdb.size()) + "\r\n" + rdb);
  EXPECT_EQ(primary.NextAck(), 500u);
  EXPECT_EQ(node.Data().size(), 5u);
  EXPECT_FALSE(node.hooks.loading);
}

TEST_F(PrimaryLinkTest, DamagedCopiesAreRefusedWithAReason) {
  Follow();
  const std::string mark(40, 'm');
  std::string bad_type = Rdb(1);
  bad_type[bad_type.find("key0") - 2] = 99;
  std::string bad_crc = Rdb(1);
  bad_crc.back() ^= 1;
  struct Case {
    std::string bytes;
    const char* error;
  };
  const Case cases[] = {
      {"$EOF:short\r\n", "no end mark of 40 bytes"},
      {"hello\r\n", "is not the start of a full copy"},
      {"$-7\r\n", "is not the start of a full copy"},
      {"-ERR out of memory\r\n", "gave up the full copy"},
      {"$EOF:" + mark + "\r\nNOT AN RDB AT ALL", "the full copy can't be loaded"},
      {"$EOF:" + mark + "\r\n" + bad_type, "99"},
      {"$EOF:" + mark + "\r\n" + bad_crc + mark, "checksum"},
      {"$EOF:" + mark + "\r\n" + Rdb(1) + std::string(40, 'n'), "no end mark"},
      {"$20\r\n" + Rdb(1).substr(0, 20), "the full copy can't be loaded"},
      {"$" + std::to_string(Rdb(1).size() + 5) + "\r\n" + Rdb(1) + "extra", "follow the end"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.error);
    EXPECT_EQ(primary.AcceptUntilPsync(), (std::vector<std::string>{"PSYNC", "?", "-1"}));
    primary.Send("+FULLRESYNC " + kId + " 100\r\n" + c.bytes);
    EXPECT_TRUE(ErrorHas(c.error)) << node.state().link_error;
    EXPECT_FALSE(node.state().complete);
    EXPECT_TRUE(node.hooks.loading);
  }
  primary.AcceptUntilPsync();
  primary.Send("+FULLRESYNC " + kId + " 100\r\n$EOF:" + mark + "\r\n" + Rdb(3) + mark);
  EXPECT_EQ(primary.NextAck(), 100u);
  EXPECT_EQ(node.Data().size(), 3u);
  EXPECT_FALSE(node.hooks.loading);
}

TEST_F(PrimaryLinkTest, SendsSignsOfLifeWhileItLoads) {
  Follow();
  primary.AcceptUntilPsync();
  const std::string rdb = Rdb(10);
  primary.Send("+FULLRESYNC " + kId + " 100\r\n$" + std::to_string(rdb.size()) + "\r\n" + rdb.substr(0, 30));
  ASSERT_TRUE(Await([&] { return node.state().loading; }));
  // An empty line is no command: NextAck would skip it, so look for the byte itself.
  EXPECT_EQ(primary.NextByte(), '\n');
  primary.Send(rdb.substr(30));
  EXPECT_EQ(primary.NextAck(), 100u);
}

TEST_F(PrimaryLinkTest, RefusalsAreTriedAgain) {
  Follow();
  primary.AcceptUntilPsync();
  primary.Send("-NOMASTERLINK Can't SYNC while not connected with my master\r\n");
  EXPECT_TRUE(ErrorHas("NOMASTERLINK"));
  primary.AcceptUntilPsync();
  primary.Send("-LOADING Redis is loading\r\n");
  EXPECT_TRUE(ErrorHas("LOADING"));
  primary.AcceptUntilPsync();
  primary.Send("+WHATEVER\r\n");
  EXPECT_TRUE(ErrorHas("is no answer to PSYNC"));
  primary.AcceptUntilPsync();
  primary.Send("+CONTINUE\r\n");  // this node has nothing to go on with
  EXPECT_TRUE(ErrorHas("without data"));
  EXPECT_EQ(primary.AcceptUntilPsync(), (std::vector<std::string>{"PSYNC", "?", "-1"}));
}

TEST_F(PrimaryLinkTest, SpeaksAuthFirst) {
  Settings settings;
  settings.master_user = "replicator";
  settings.master_auth = "secret";
  node.replication->Configure(settings);
  Follow();
  EXPECT_EQ(primary.AcceptUntilPsync().at(0), "PSYNC");
  EXPECT_EQ(primary.greeting.at(1), (std::vector<std::string>{"AUTH", "replicator", "secret"}));
  EXPECT_EQ(primary.greeting.at(2), (std::vector<std::string>{"REPLCONF", "listening-port", "16379"}));
  EXPECT_EQ(primary.greeting.at(3), (std::vector<std::string>{"REPLCONF", "capa", "eof", "capa", "psync2"}));
}

TEST_F(PrimaryLinkTest, ASilentPrimaryIsLeft) {
  Load();
  Settings settings;
  settings.timeout_ms = 300;
  node.replication->Configure(settings);
  EXPECT_TRUE(ErrorHas("repl-timeout"));
}

TEST_F(PrimaryLinkTest, ReplicaOfNoOneDuringALoadLeavesAnEmptyNode) {
  Follow();
  primary.AcceptUntilPsync();
  const std::string rdb = Rdb(10);
  primary.Send("+FULLRESYNC " + kId + " 100\r\n$" + std::to_string(rdb.size()) + "\r\n" + rdb.substr(0, 100));
  ASSERT_TRUE(Await([&] { return node.state().load_read_bytes > 0; }));
  ASSERT_TRUE(node.Do([&](auto done) { node.replication->FollowNobody(done); }).ok());
  EXPECT_TRUE(node.Data().empty());
  EXPECT_TRUE(node.state().complete);
  EXPECT_FALSE(node.hooks.loading);
  node.Set("k", "v");
  EXPECT_EQ(node.Data().size(), 1u);
}

}  // namespace
}  // namespace understudy::replication
