// maxmemory as clients see it: the limit holds, keys go by the policy, replicas follow, clients have limits.
#include "node/command/memory.h"

#include <gmock/gmock.h>
#include <sys/socket.h>

#include <numeric>
#include <thread>

#include "node/command/info.h"
#include "tests/unit/node/command/server_fixture.h"
#include "tests/unit/node/store/store_test_support.h"

namespace understudy::command {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using test::EncodeCommand;

const std::string kOom = "-OOM command not allowed when used memory > 'maxmemory'.";

class MemoryTest : public ServerTest {
 protected:
  using ServerTest::Do;
  std::string Do(const std::vector<std::string>& words) { return c_->Do(words); }
  void Restart(std::vector<std::string> arguments) {
    c_.reset();
    server_.reset();
    StartServer(std::move(arguments));
    c_ = Connect();
  }
  int64_t Field(const std::string& name, RespClient* client = nullptr) {
    const std::string info = (client != nullptr ? client : c_.get())->Do("INFO everything");
    const size_t at = info.find("\n" + name + ":");
    return at == std::string::npos ? -1 : std::stoll(info.substr(at + name.size() + 2));
  }
  // A second server that follows the first one.
  void StartReplica(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--standalone", "--bind", "127.0.0.1", "--dir", dir_.path(), "--save", ""});
    ASSERT_TRUE(replica_config_.Load(arguments).ok());
    replica_config_.port = 0;
    replica_ = std::make_unique<Server>(replica_config_, clock_, std::string(32, 'b'), [] {});
    ASSERT_TRUE(replica_->Start().ok());
    at_replica_ = std::make_unique<RespClient>(replica_->port());
    EXPECT_EQ(at_replica_->Do("REPLICAOF 127.0.0.1 " + std::to_string(server_->port())), "+OK");
    ASSERT_TRUE(Eventually([&] { return at_replica_->Do("INFO replication").find("master_link_status:up") != std::string::npos; }));
  }
  static std::string Big(size_t bytes) { return std::string(bytes, 'x'); }

  // Looks at the accounts at the start of every turn of every worker. Another worker may change them meanwhile:
  // only what is the same twice counts.
  class Sampler {
   public:
    Sampler(Server& server) : server_(server) {
      for (net::Worker* worker : server.dispatcher().workers()) Sample(worker);
    }
    ~Sampler() {
      stop_ = true;
      // Two rounds: a sample that was running may have posted one more.
      for (int round = 0; round < 2; ++round) {
        for (net::Worker* worker : server_.dispatcher().workers()) worker->PostAndWait([] {});
      }
    }
    size_t most() const { return most_; }
    uint64_t samples() const { return samples_; }

   private:
    void Sample(net::Worker* worker) {
      worker->Post([this, worker] {
        const auto accounts = Read();
        if (accounts == Read()) {
          const size_t used = std::accumulate(accounts.begin(), accounts.end(), size_t{0});
          size_t before = most_;
          while (before < used && !most_.compare_exchange_weak(before, used)) {
          }
          ++samples_;
        }
        if (!stop_) Sample(worker);
      });
    }
    std::vector<size_t> Read() const {
      std::vector<size_t> accounts = {server_.keyspace().WaitingBytes()};
      for (const net::Worker* w : server_.dispatcher().workers()) accounts.push_back(w->client_bytes());
      for (uint32_t i = 0; i < server_.keyspace().shard_count(); ++i) {
        accounts.push_back(server_.keyspace().shard(i).used_bytes());
      }
      return accounts;
    }
    Server& server_;
    std::atomic<size_t> most_{0};
    std::atomic<uint64_t> samples_{0};
    std::atomic<bool> stop_{false};
  };

  config::Config replica_config_;
  std::unique_ptr<Server> replica_;
  std::unique_ptr<RespClient> at_replica_;
};

TEST_F(MemoryTest, InfoSplitsWhatIsUsed) {
  const int64_t before = Field("used_memory");
  EXPECT_EQ(Do(std::vector<std::string>{"SET", "k", Big(1'000'000)}), "+OK");
  EXPECT_NEAR(Field("used_memory_dataset"), 1'000'000, 10'000);
  EXPECT_NEAR(Field("used_memory") - before, 1'000'000, 20'000);
  EXPECT_EQ(Field("used_memory"), Field("used_memory_dataset") + Field("used_memory_overhead"));
  EXPECT_GE(Field("used_memory_peak"), 1'000'000);
  EXPECT_GT(Field("mem_clients_normal"), 0);
  EXPECT_EQ(Field("mem_not_counted_for_evict"), 0);
  EXPECT_EQ(Do("DEL k"), ":1");
  ASSERT_TRUE(Eventually([&] { return Field("lazyfree_pending_objects") == 0; }));
  EXPECT_EQ(Field("lazyfree_pending_bytes"), 0);
  EXPECT_EQ(Field("lazyfreed_objects"), 1);
  EXPECT_EQ(Do("CONFIG RESETSTAT"), "+OK");
  EXPECT_EQ(Field("lazyfreed_objects"), 0);
  EXPECT_LT(Field("used_memory"), before + 20'000);
  EXPECT_GE(Field("used_memory_peak"), 1'000'000);
  EXPECT_THAT(Do("INFO memory"), HasSubstr("maxmemory_policy:noeviction"));
  EXPECT_THAT(Do("MEMORY STATS"), HasSubstr("\"keys.count\", :0"));
  // Inside a transaction every shard is locked already.
  Expect({{"MULTI", "+OK"}, {"MEMORY STATS", "+QUEUED"}});
  EXPECT_THAT(Do("EXEC"), HasSubstr("dataset.free-bytes"));
  EXPECT_THAT(Do("MEMORY DOCTOR"), HasSubstr("less than 5 MB"));
  EXPECT_EQ(Do("MEMORY PURGE"), "+OK");
  EXPECT_GT(Do("MEMORY MALLOC-STATS").size(), 20u);
}

TEST_F(MemoryTest, EachPolicyKeepsTheLimitAndTheRightKeys) {
  for (const std::string policy : {"allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu",
                                   "volatile-random", "volatile-ttl"}) {
    SCOPED_TRACE(policy);
    EXPECT_EQ(Do("CONFIG SET maxmemory 0 maxmemory-policy " + policy), "+OK");
    EXPECT_EQ(Do("FLUSHALL SYNC"), "+OK");
    for (int i = 0; i < 50; ++i) ASSERT_EQ(Do("SET fixed:" + std::to_string(i) + " v"), "+OK");
    const int64_t evicted = Field("evicted_keys");
    const int64_t limit = Field("used_memory") + 2'000'000;
    EXPECT_EQ(Do("CONFIG SET maxmemory " + std::to_string(limit)), "+OK");
    for (int i = 0; i < 5000; ++i) {
      ASSERT_EQ(Do({"SET", "k" + std::to_string(i), Big(1000), "EX", "1000"}), "+OK");
    }
    EXPECT_LE(Field("used_memory"), limit);
    EXPECT_GT(Field("used_memory"), limit - 100'000);
    EXPECT_GT(Field("evicted_keys") - evicted, 2500);
    if (policy.starts_with("volatile")) {
      for (int i = 0; i < 50; ++i) ASSERT_EQ(Do("GET fixed:" + std::to_string(i)), "\"v\"");
    }
  }
}

TEST_F(MemoryTest, ALowerLimitIsReachedThoughNobodyWrites) {
  EXPECT_EQ(Do("DEBUG POPULATE 30000 k 100"), "+OK");
  EXPECT_EQ(Do("CONFIG SET maxmemory-policy allkeys-lru maxmemory 2mb"), "+OK");
  ASSERT_TRUE(Eventually([&] {
    const store::Keyspace& keyspace = server_->keyspace();
    return keyspace.UsedBytes() < 2 << 20;
  }));
  EXPECT_GT(Field("evicted_keys"), 10'000);
  ASSERT_TRUE(Eventually([&] { return Field("current_eviction_exceeded_time") == 0; }));
  EXPECT_GT(Field("total_eviction_exceeded_time"), 0);
  EXPECT_GT(Do("DBSIZE").size(), 3u);
}

TEST_F(MemoryTest, AVolatilePolicyRefusesWhenOnlyOtherKeysAreLeft) {
  EXPECT_EQ(Do("CONFIG SET maxmemory-policy volatile-lru"), "+OK");
  for (int i = 0; i < 100; ++i) ASSERT_EQ(Do({"SET", "k" + std::to_string(i), Big(10'000)}), "+OK");
  EXPECT_EQ(Do("SET t v EX 100"), "+OK");
  EXPECT_EQ(Do("CONFIG SET maxmemory 500kb"), "+OK");
  EXPECT_EQ(Do("SET a 1"), kOom);
  EXPECT_EQ(Do("DBSIZE"), ":100");
  EXPECT_EQ(Do("GET k1").size(), 10'002u);
}

TEST_F(MemoryTest, AValueThatCanNeverFitCostsNoKeys) {
  for (int i = 0; i < 100; ++i) ASSERT_EQ(Do({"SET", "k" + std::to_string(i), Big(10'000)}), "+OK");
  EXPECT_EQ(Do("CONFIG SET maxmemory 2mb maxmemory-policy allkeys-lru"), "+OK");
  EXPECT_EQ(Do({"SET", "huge", Big(3'000'000)}), kOom);
  EXPECT_EQ(Do("SETRANGE sparse 5000000 x"), kOom);
  EXPECT_EQ(Do("EXISTS huge sparse"), ":0");
  EXPECT_EQ(Do("SET small 1"), "+OK");
}

TEST_F(MemoryTest, ObjectTellsWhatThePolicyTracks) {
  EXPECT_EQ(Do("SET k v"), "+OK");
  EXPECT_EQ(Do("OBJECT IDLETIME k"), ":0");
  EXPECT_THAT(Do("OBJECT FREQ k"), StartsWith("-ERR An LFU maxmemory policy is not selected"));
  EXPECT_EQ(Do("CONFIG SET maxmemory-policy allkeys-lfu lfu-log-factor 0"), "+OK");
  EXPECT_EQ(Do("SET k v2"), "+OK");
  EXPECT_EQ(Do("SET new v"), "+OK");
  EXPECT_EQ(Do("OBJECT FREQ new"), ":5");
  for (int i = 0; i < 10; ++i) Do("GET new");
  EXPECT_EQ(Do("OBJECT FREQ new"), ":15");  // each access counts with factor 0
  EXPECT_THAT(Do("OBJECT IDLETIME k"), StartsWith("-ERR An LFU maxmemory policy is selected"));
}

TEST_F(MemoryTest, AStormOfBigWritesStaysWithinOnePerCent) {
  constexpr int64_t kLimit = 48 << 20;
  for (const char* workers : {"1", "2"}) {
    for (const char* lazy : {"yes", "no"}) {
      SCOPED_TRACE(std::string(workers) + " workers, lazy " + lazy);
      Restart({"--workers", workers, "--maxmemory", std::to_string(kLimit), "--maxmemory-policy", "allkeys-lru",
               "--lazyfree-lazy-eviction", lazy});
      Sampler sampler(*server_);
      constexpr int kClients = 4;
      const int rounds = store::kSlowdown > 1 ? 120 : 300;
      std::atomic<int> refused{0};
      std::vector<std::thread> threads;
      for (int t = 0; t < kClients; ++t) {
        threads.emplace_back([&, t] {
          RespClient client(server_->port());
          store::Rng rng(static_cast<uint64_t>(t));
          for (int i = 0; i < rounds; ++i) {
            const size_t bytes = rng.OneIn(10) ? 2'000'000 + rng.Below(1'000'000) : rng.Below(200'000);
            const std::string key = std::to_string(t) + ":" + std::to_string(rng.Below(2000));
            if (client.Do({"SET", key, Big(bytes)}) != "+OK") ++refused;
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
      EXPECT_EQ(refused, 0);
      EXPECT_LE(sampler.most(), static_cast<size_t>(kLimit + kLimit / 100));
      EXPECT_GT(sampler.samples(), 500u);
      EXPECT_GT(Field("evicted_keys"), 100);
      if (std::string_view(workers) == "1") {  // otherwise the peak may count twice what changes accounts
        EXPECT_LE(Field("used_memory_peak"), kLimit + kLimit / 100);
      }
    }
  }
}

TEST_F(MemoryTest, AFlushedDatabaseCountsUntilItIsFreed) {
  EXPECT_EQ(Do("CONFIG SET maxmemory 64mb maxmemory-policy allkeys-lru"), "+OK");
  Sampler sampler(*server_);
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(Do("DEBUG POPULATE 25000 k:" + std::to_string(round) + " 800"), "+OK");
    EXPECT_EQ(Do("FLUSHALL ASYNC"), "+OK");
    for (int i = 0; i < 30; ++i) ASSERT_EQ(Do({"SET", "v" + std::to_string(i), Big(1'000'000)}), "+OK");
  }
  EXPECT_LE(sampler.most(), size_t{65 << 20});
  EXPECT_EQ(Do("DBSIZE"), ":30");
}

TEST_F(MemoryTest, ReplicasFollowEvictionsAndEvictNothing) {
  ASSERT_NO_FATAL_FAILURE(StartReplica({"--workers", "2", "--maxmemory", "1mb", "--maxmemory-policy", "allkeys-lru"}));
  RespClient& at_replica = *at_replica_;
  EXPECT_EQ(Do("CONFIG SET maxmemory 24mb maxmemory-policy allkeys-lru"), "+OK");
  for (int i = 0; i < 20'000; ++i) {
    ASSERT_EQ(Do({"SET", "k" + std::to_string(i), Big(i % 1000 == 0 ? 200'000 : 1000)}), "+OK");
  }
  EXPECT_GT(Field("evicted_keys"), 1000);
  ASSERT_TRUE(Eventually([&] { return Do("WAIT 1 100") == ":1"; }));
  EXPECT_EQ(at_replica.Do("DBSIZE"), Do("DBSIZE"));
  const std::string keys = Do("KEYS *");
  EXPECT_GT(keys.size(), 10'000u);
  size_t compared = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string name = "k" + std::to_string(i);
    if (keys.find("\"" + name + "\"") == std::string::npos) continue;
    ASSERT_EQ(at_replica.Do("STRLEN " + name), Do("STRLEN " + name));
    ++compared;
  }
  EXPECT_EQ(":" + std::to_string(compared), Do("DBSIZE"));
  EXPECT_EQ(Field("evicted_keys", &at_replica), 0);
  EXPECT_GT(Field("used_memory", &at_replica), 1 << 20);
}

TEST_F(MemoryTest, ClientsThatTakeMostAreClosedAboveMaxmemoryClients) {
  auto never_reads = Connect();
  auto protected_one = Connect();
  EXPECT_EQ(protected_one->Do("CLIENT NO-EVICT on"), "+OK");
  EXPECT_EQ(Do({"SET", "big", Big(20'000'000)}), "+OK");
  protected_one->Send({"GET", "big"});
  never_reads->Send({"GET", "big"});
  ASSERT_TRUE(Eventually([&] { return Field("mem_clients_normal") > 25'000'000; }));
  EXPECT_THAT(Do("CLIENT LIST"), HasSubstr(" tot-mem="));
  EXPECT_EQ(Do("CONFIG SET maxmemory-clients 25mb"), "+OK");
  ASSERT_TRUE(Eventually([&] { return Field("evicted_clients") == 1; }));
  ASSERT_TRUE(Eventually([&] { return Field("mem_clients_normal") < 25 << 20; }));
  EXPECT_LT(never_reads->ReadRawUntilClosed().size(), 20'000'000u);
  EXPECT_EQ(protected_one->Read().size(), 20'000'002u);
  EXPECT_EQ(Field("evicted_clients"), 1);
}

TEST_F(MemoryTest, QueuesAndWatchesCountAsTheClients) {
  auto other = Connect();
  const int64_t before = Field("mem_clients_normal");
  EXPECT_EQ(other->Do("WATCH " + Big(100'000)), "+OK");
  EXPECT_EQ(other->Do("MULTI"), "+OK");
  EXPECT_EQ(other->Do({"SET", "k", Big(1'000'000)}), "+QUEUED");
  EXPECT_GT(Field("mem_clients_normal"), before + 1'100'000);
  EXPECT_EQ(other->Do("DISCARD"), "+OK");
  EXPECT_LT(Field("mem_clients_normal"), before + 50'000);
}

TEST_F(MemoryTest, AClientThatHasNotAuthenticatedGetsNoBuffers) {
  Restart({"--requirepass", "secret"});
  auto stranger = std::make_unique<RespClient>(server_->port());
  // Errors that are never read: far more than the kernel's buffers hold.
  std::string input;
  for (int i = 0; i < 20'000; ++i) input += EncodeCommand({"GET", "k"});
  for (int i = 0; i < 100; ++i) {
    if (send(stranger->fd(), input.data(), input.size(), MSG_NOSIGNAL) < 0) break;
  }
  ASSERT_EQ(Do("AUTH secret"), "+OK");
  ASSERT_TRUE(Eventually([&] { return Field("client_output_buffer_limit_disconnections") == 1; }));
}

TEST_F(MemoryTest, TheBacklogCountsAndALaggingReplicaDoesNot) {
  EXPECT_EQ(Field("mem_replication_backlog"), 0);
  EXPECT_EQ(Do("CONFIG SET repl-backlog-size 1mb"), "+OK");
  ASSERT_NO_FATAL_FAILURE(StartReplica({}));
  for (int i = 0; i < 50; ++i) ASSERT_EQ(Do({"SET", "k", Big(100'000)}), "+OK");
  ASSERT_TRUE(Eventually([&] { return Field("mem_not_counted_for_evict") == 0; }));
  EXPECT_NEAR(Field("mem_replication_backlog"), 1 << 20, 40'000);
}

}  // namespace
}  // namespace understudy::command
