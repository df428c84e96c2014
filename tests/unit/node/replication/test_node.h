// Nodes without commands, for tests of the replication: a keyspace, a sink that knows five commands, and an
// acceptor that does what the command family does until PSYNC.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/clock.h"
#include "node/replication/replication.h"
#include "node/store/keyspace.h"

namespace understudy::replication {

// Waits until `condition` holds; false after `timeout_ms`.
bool Await(const std::function<bool()>& condition, int timeout_ms = 20'000);

// A connected blocking socket.
Result<int> ConnectBlocking(const std::string& ip, uint16_t port);

// Executes SET key value [PXAT ms], DEL key..., INCR key, FLUSHALL, BREAK (fails half way).
class TestSink final : public ApplySink {
 public:
  explicit TestSink(store::Keyspace& keyspace) : keyspace_(keyspace) {}
  Status Apply(std::span<const Record> records, CommitToLog& commit) override;
  // Under the locks of the keys: changes the data and returns the record's effect on it.
  static Status Execute(store::Keyspace& keyspace, const Record& record);
  static std::vector<uint32_t> Shards(store::Keyspace& keyspace, std::span<const Record> records);

  std::atomic<uint64_t> commands{0}, groups{0};

 private:
  store::Keyspace& keyspace_;
};

class TestHooks final : public Hooks {
 public:
  std::vector<std::string> Functions() override { return functions; }
  Status ReplaceFunctions(const std::vector<std::string>& codes) override {
    functions = codes;
    return {};
  }
  void DrainWorkers(std::function<void()> done) override {
    ++drains;
    if (on_drain) on_drain();
    done();
  }
  void ShareKeyspace(std::function<void()> done) override {
    ++shares;
    done();
  }
  void UnshareKeyspace() override { --shares; }
  void OnLoading(bool on) override { loading = on; }
  void OnChange() override { ++changes; }
  bool InOffice() override { return in_office; }
  void OnAcks() override { ++acks; }
  void OnReplicaOf(bool on) override { replica_of = on; }

  std::function<void()> on_drain;
  std::vector<std::string> functions;
  std::atomic<int> drains{0}, shares{0}, changes{0}, acks{0};
  std::atomic<bool> loading{false}, replica_of{false}, in_office{true};
};

class TestNode {
 public:
  // number: makes the address, 127.x.y.number, where x and y are this process's.
  TestNode(int number, bool standalone, Settings settings = {});
  ~TestNode();

  // A write as a worker does it. db 0 unless said.
  uint64_t Set(const std::string& key, const std::string& value, int db = 0);
  uint64_t Write(std::vector<Record> records);
  std::map<std::string, std::string> Data();  // "db key" -> "value expire_ms"

  void Primary(uint64_t epoch, std::vector<TestNode*> voters = {}, uint32_t s = 0, bool start_empty = false);
  void Replica(TestNode& primary, uint64_t epoch, bool drop_data = false);
  // Copies the data of a node whose role is of copy_epoch.
  void Copy(TestNode& source, uint64_t epoch, uint64_t copy_epoch);
  Status Do(const std::function<void(Replication::Done)>& order);
  void Follow(const std::string& ip, uint16_t port);
  control::NodeRef Ref() const;

  // Breaks all connections that were accepted.
  void CutLinks();
  // New connections are closed at once.
  void RefuseConnections(bool refuse) { refuse_ = refuse; }
  ReplicationState state() { return replication->state(); }
  bool Up() { return state().link == control::LinkState::kUp; }

  const std::string ip;
  const control::Incarnation incarnation;
  static constexpr uint16_t kPort = 16379;
  SystemClock clock;
  store::Keyspace keyspace;
  TestSink sink;
  TestHooks hooks;
  std::unique_ptr<Replication> replication;

 private:
  void Become(role::BecomeReplica order, TestNode& primary, uint64_t key_epoch);
  void Accept();
  void Serve(int fd);

  int listener_;
  std::atomic<bool> stop_{false}, refuse_{false};
  std::mutex mutex_;
  std::vector<int> links_;            // duplicates of what was adopted
  std::vector<std::thread> servers_;
  std::thread acceptor_;
};

inline const char kGroup[] = "a-group";

}  // namespace understudy::replication
