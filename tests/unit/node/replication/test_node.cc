#include "tests/unit/node/replication/test_node.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <charconv>
#include <future>

#include "common/check.h"
#include "common/random.h"
#include "node/replication/socket.h"
#include "node/resp/parser.h"
#include "node/store/shard_guard.h"

namespace understudy::replication {

bool Await(const std::function<bool()>& condition, int timeout_ms) {
  const SystemClock clock;
  const Deadline deadline = Deadline::In(clock, Milliseconds(timeout_ms));
  while (!condition()) {
    if (deadline.Passed(clock.Mono())) return false;
    usleep(1000);
  }
  return true;
}

Result<int> ConnectBlocking(const std::string& ip, uint16_t port) {
  Result<int> fd = StartConnect(ip, port);
  if (!fd.ok()) return fd;
  pollfd wait{*fd, POLLOUT, 0};
  poll(&wait, 1, 5000);
  RETURN_IF_ERROR(ConnectResult(*fd));
  fcntl(*fd, F_SETFL, 0);
  return fd;
}

// ---- TestSink ----------------------------------------------------------------------------------------

std::vector<uint32_t> TestSink::Shards(store::Keyspace& keyspace, std::span<const Record> records) {
  std::vector<uint32_t> shards;
  for (const Record& record : records) {
    if (EqualsIgnoringCase(record.argv[0], "FLUSHALL")) {
      for (uint32_t i = 0; i < keyspace.shard_count(); ++i) shards.push_back(i);
      break;
    }
    const size_t keys = EqualsIgnoringCase(record.argv[0], "DEL") ? record.argv.size() : 2;
    for (size_t i = 1; i < keys && i < record.argv.size(); ++i) {
      shards.push_back(keyspace.ShardIndex(keyspace.Hash(record.argv[i])));
    }
  }
  if (shards.empty()) shards.push_back(0);
  return shards;
}

Status TestSink::Execute(store::Keyspace& keyspace, const Record& record) {
  const auto& argv = record.argv;
  const auto shard = [&](std::string_view key) -> store::Shard& { return keyspace.ShardOf(keyspace.Hash(key)); };
  if (argv[0] == "SET") {
    store::SetOptions options;
    if (argv.size() == 5) {
      std::from_chars(argv[4].data(), argv[4].data() + argv[4].size(), options.expire_ms);
    }
    shard(argv[1]).Set(record.db, argv[1], keyspace.Hash(argv[1]), argv[2], 0, options);
  } else if (argv[0] == "DEL") {
    for (size_t i = 1; i < argv.size(); ++i) shard(argv[i]).Erase(record.db, argv[i], keyspace.Hash(argv[i]));
  } else if (argv[0] == "INCR") {
    const uint64_t hash = keyspace.Hash(argv[1]);
    const auto old = shard(argv[1]).Copy(record.db, argv[1], hash, 0);
    const int64_t value = old ? std::stoll(std::string(old->view())) : 0;
    shard(argv[1]).Set(record.db, argv[1], hash, std::to_string(value + 1), 0);
  } else if (argv[0] == "FLUSHALL") {
    for (int db = 0; db < keyspace.databases(); ++db) {
      for (uint32_t i = 0; i < keyspace.shard_count(); ++i) keyspace.shard(i).FlushDb(db);
    }
  } else {
    return Internal("BREAK was executed");
  }
  return {};
}

Status TestSink::Apply(std::span<const Record> records, CommitToLog& commit) {
  for (const Record& record : records) {
    const std::string_view name = record.argv[0];
    if (name != "SET" && name != "DEL" && name != "INCR" && name != "FLUSHALL" && name != "BREAK") {
      return Invalid("unknown command '" + std::string(name) + "'");
    }
  }
  const std::vector<uint32_t> shards = Shards(keyspace_, records);
  const store::ShardGuard guard(keyspace_, shards);
  for (const Record& record : records) {
    const Status status = Execute(keyspace_, record);
    if (!status.ok()) return status;
  }
  commit.Commit();
  commands += records.size();
  if (records.size() > 1) ++groups;
  return {};
}

// ---- TestNode ----------------------------------------------------------------------------------------

namespace {

std::string Address(int number) {
  const int pid = getpid();
  return "127." + std::to_string(pid >> 8 & 127) + "." + std::to_string(pid & 255) + "." + std::to_string(number);
}

int Listen(const std::string& ip, uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  CHECK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  CHECK(inet_pton(AF_INET, ip.c_str(), &address.sin_addr) == 1);
  CHECK(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  CHECK(listen(fd, 64) == 0);
  return fd;
}

}  // namespace

TestNode::TestNode(int number, bool standalone, Settings settings)
    : ip(Address(number)), incarnation(RandomHex(16)), sink(keyspace), listener_(Listen(ip, kPort)) {
  keyspace.SetShared(true);  // test threads write
  Replication::Options options;
  options.settings = std::move(settings);
  options.incarnation = incarnation;
  options.listening_port = kPort;
  options.primary_port = kPort;
  options.standalone = standalone;
  replication = std::make_unique<Replication>(options, keyspace, sink, hooks, clock);
  const Status status = replication->Start();
  CHECK(status.ok());
  acceptor_ = std::thread([this] { Accept(); });
}

TestNode::~TestNode() {
  stop_ = true;
  acceptor_.join();
  for (auto& server : servers_) server.join();
  close(listener_);
  replication->Stop();
  CutLinks();
  EXPECT_GE(hooks.shares, 0);
}

void TestNode::Accept() {
  while (!stop_) {
    pollfd wait{listener_, POLLIN, 0};
    if (poll(&wait, 1, 10) <= 0) continue;
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) continue;
    if (refuse_) {
      close(fd);
      continue;
    }
    servers_.emplace_back([this, fd] { Serve(fd); });
  }
}

void TestNode::Serve(int fd) {
  std::string input;
  ReplicaHandshake shake;
  resp::Arguments arguments;
  while (!stop_) {
    pollfd wait{fd, POLLIN, 0};
    if (poll(&wait, 1, 10) <= 0) continue;
    char buffer[4096];
    const ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0) break;
    input.append(buffer, static_cast<size_t>(n));
    while (!input.empty()) {
      arguments.Clear();
      std::unique_ptr<resp::Partial> partial;
      const resp::ParseResult result = resp::Parse(input, {}, &arguments, &partial);
      if (result.outcome != resp::Outcome::kCommand) break;
      const auto& argv = arguments.views;
      std::string reply = "+OK\r\n";
      if (argv[0] == "PING") reply = "+PONG\r\n";
      if (argv[0] == "REPLCONF" && argv[1] == "listening-port") shake.listening_port = static_cast<uint16_t>(std::stoi(std::string(argv[2])));
      if (argv[0] == "REPLCONF" && argv[1] == "capa") shake.capa_eof = shake.capa_psync2 = true;
      if (argv[0] == "REPLCONF" && argv[1] == "understudy-copy-only") shake.copy_only = true;
      if (argv[0] == "REPLCONF" && argv[1] == "understudy-hello") {
        shake.hello = {std::string(argv[2]), std::stoull(std::string(argv[3])), std::string(argv[4]), std::string(argv[5]),
                       std::string(argv[6])};
        Result<std::string> answer = replication->CheckHello(shake.hello);
        shake.has_hello = answer.ok();
        reply = answer.ok() ? "+" + *answer + "\r\n" : "-ERR " + std::string(answer.status().message()) + "\r\n";
      }
      if (argv[0] == "PSYNC") {
        shake.replid = argv[1];
        shake.offset = std::stoll(std::string(argv[2]));
        {
          std::lock_guard lock(mutex_);
          links_.push_back(dup(fd));
        }
        replication->AdoptReplica(fd, input.substr(result.consumed), shake);
        return;
      }
      // The other side may have left meanwhile.
      if (send(fd, reply.data(), reply.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(reply.size())) {
        close(fd);
        return;
      }
      input.erase(0, result.consumed);
    }
  }
  close(fd);
}

void TestNode::CutLinks() {
  std::lock_guard lock(mutex_);
  for (int fd : links_) {
    shutdown(fd, SHUT_RDWR);
    close(fd);
  }
  links_.clear();
}

uint64_t TestNode::Write(std::vector<Record> records) {
  uint64_t offset;
  {
    const std::vector<uint32_t> shards = TestSink::Shards(keyspace, records);
    const store::ShardGuard guard(keyspace, shards);
    for (const Record& record : records) {
      const Status status = TestSink::Execute(keyspace, record);
      CHECK(status.ok());
    }
    offset = replication->Append(records);
  }
  replication->Wake();
  return offset;
}

uint64_t TestNode::Set(const std::string& key, const std::string& value, int db) {
  const std::string_view argv[] = {"SET", key, value};
  return Write({{db, argv}});
}

std::map<std::string, std::string> TestNode::Data() {
  std::map<std::string, std::string> data;
  for (int db = 0; db < keyspace.databases(); ++db) {
    keyspace.ForEach(db, 0, store::View::kRaw, store::Keyspace::Locking::kTake, [&](const store::Entry& entry) {
      const std::string key = std::to_string(db) + " " + std::string(entry.key());
      CHECK(data.emplace(key, std::string(entry.value()) + " " + std::to_string(entry.expire_ms())).second);
    });
  }
  return data;
}

control::NodeRef TestNode::Ref() const {
  control::NodeRef ref;
  ref.name = ip;
  ref.incarnation = incarnation;
  ref.address = ip;
  return ref;
}

Status TestNode::Do(const std::function<void(Replication::Done)>& order) {
  std::promise<Status> promise;
  order([&](Status status) { promise.set_value(std::move(status)); });
  return promise.get_future().get();
}

void TestNode::Primary(uint64_t epoch, std::vector<TestNode*> voters, uint32_t s, bool start_empty) {
  role::BecomePrimary order;
  order.group = kGroup;
  order.epoch = epoch;
  order.configuration.number = epoch;
  order.configuration.epoch = epoch;
  order.configuration.primary = Ref();
  for (TestNode* voter : voters) order.configuration.voters.push_back(voter->Ref());
  order.configuration.synchronous_replicas = s;
  order.replication_key = "key of epoch " + std::to_string(epoch);
  order.start_empty = start_empty;
  order.dataset = "dataset-" + std::to_string(epoch);
  const Status status = Do([&](auto done) { replication->BecomePrimary(order, done); });
  ASSERT_TRUE(status.ok()) << status.ToString();
}

void TestNode::Replica(TestNode& primary, uint64_t epoch, bool drop_data) {
  role::BecomeReplica order;
  order.epoch = epoch;
  order.drop_data = drop_data;
  Become(std::move(order), primary, epoch);
}

void TestNode::Copy(TestNode& source, uint64_t epoch, uint64_t copy_epoch) {
  role::BecomeReplica order;
  order.epoch = epoch;
  order.copy_only = order.drop_data = true;
  order.copy_epoch = copy_epoch;
  Become(std::move(order), source, copy_epoch);
}

void TestNode::Become(role::BecomeReplica order, TestNode& primary, uint64_t key_epoch) {
  order.group = kGroup;
  order.primary = primary.Ref();
  order.replication_key = "key of epoch " + std::to_string(key_epoch);
  const Status status = Do([&](auto done) { replication->BecomeReplica(order, done); });
  ASSERT_TRUE(status.ok()) << status.ToString();
}

void TestNode::Follow(const std::string& primary_ip, uint16_t port) {
  const Status status = Do([&](auto done) { replication->FollowForeign(primary_ip, port, done); });
  ASSERT_TRUE(status.ok()) << status.ToString();
}

}  // namespace understudy::replication
