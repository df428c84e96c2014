// Commands of all families on a whole server with a replica: a line is a command, its words as in a
// shell ("a\x00b"). Whatever is asked, every invariant of the keyspace holds afterwards, the memory
// in use is what a recount gives, the replica holds the same, and all values survive DUMP and
// RESTORE.
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <vector>

#include "common/log.h"
#include "node/persist/rdb_format.h"
#include "node/persist/rdb_writer.h"
#include "node/resp/parser.h"
#include "node/server.h"
#include "node/store/shard_guard.h"
#include "tests/fuzz/content.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/resp_client.h"

namespace understudy {
namespace {

// A server and a client of it that is asked for what must succeed.
class Node {
 public:
  Node() {
    const std::vector<std::string> arguments = {"--standalone",
                                                "--bind",
                                                "127.0.0.1",
                                                "--enable-debug-command",
                                                "yes",
                                                "--workers",
                                                "1",
                                                "--shards",
                                                "4",
                                                "--databases",
                                                "4",
                                                "--proto-max-bulk-len",
                                                "1mb",
                                                "--maxmemory",
                                                "128mb"};
    CHECK(config_.Load(arguments).ok());
    const std::pair<std::string_view, std::string_view> small[] = {
        {"hash-max-listpack-entries", "4"}, {"set-max-intset-entries", "4"},
        {"set-max-listpack-entries", "5"},  {"zset-max-listpack-entries", "4"},
        {"list-max-listpack-size", "4"},    {"stream-node-max-entries", "3"},
        {"hll-sparse-max-bytes", "60"},     {"notify-keyspace-events", "KEAmn"}};
    CHECK(config_.Set(small, false).ok());
    config_.port = 0;
    server_ = std::make_unique<Server>(config_, clock_, std::string(32, 'a'));
    CHECK(server_->Start().ok());
    client_ = std::make_unique<test::RespClient>(server_->port());
    Must("DEBUG SET-ACTIVE-EXPIRE 0");
  }
  uint16_t port() const { return server_->port(); }

  std::string Do(std::string_view command) { return client_->Do(command); }
  void Must(std::string_view command, std::string_view expected = "+OK") {
    const std::string reply = Do(command);
    if (reply != expected)
      std::fprintf(stderr, "%s: %s\n", std::string(command).c_str(), reply.c_str());
    CHECK(reply == expected);
  }
  // On the worker's thread, between two commands.
  fuzz::Contents Look(const fuzz::Leaving& leaving = {}) {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
    fuzz::Contents contents;
    server_->PostToAllWorkers(
        [&](net::Worker&) {
          store::AllShardsGuard guard(server_->keyspace());
          contents = fuzz::ContentsOf(server_->keyspace(), leaving);
        },
        [&] {
          std::lock_guard lock(mutex);
          done = true;
          changed.notify_one();
        });
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return done; });
    return contents;
  }

 private:
  SystemClock clock_;
  config::Config config_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<test::RespClient> client_;
};

class World {
 public:
  World() {
    CHECK(log::Init("fuzz", "error").ok());
    primary_ = std::make_unique<Node>();
    replica_ = std::make_unique<Node>();
    replica_->Must("REPLICAOF 127.0.0.1 " + std::to_string(primary_->port()));
    AwaitReplica();
  }

  void Run(const std::vector<std::vector<std::string>>& commands, bool compare) {
    {
      test::RespClient client(primary_->port());
      std::string all;
      for (const auto& command : commands) all += test::EncodeCommand(command);
      client.SendRaw(all);
      client.ShutdownWrite();
      // It has done all that it will do once it ends the connection.
      client.ReadRawUntilClosed(60'000);
    }
    if (compare) {
      AwaitReplica();
      // When a consumer was seen is nobody's but the server's that saw it.
      CHECK(replica_->Look({.stream_times = true}) == primary_->Look({.stream_times = true}));
    }
    Reload();
    primary_->Must("FLUSHALL SYNC");
    primary_->Must("FUNCTION FLUSH SYNC");
    primary_->Must("SCRIPT FLUSH SYNC");
    CHECK(primary_->Look().empty());
  }

 private:
  // It has applied all that was written before.
  void AwaitReplica() {
    primary_->Must("SET the-last-write 1");
    primary_->Must("WAIT 1 60000", ":1");
  }
  void Reload() {
    const fuzz::Contents before = primary_->Look();
    primary_->Must("DEBUG RELOAD");
    const fuzz::Contents after = primary_->Look();
    for (const auto& [key, value] : before) {
      const auto it = after.find(key);
      // Keys that have expired may go.
      CHECK(it == after.end() ? value.second != store::kNoExpire : it->second == value);
    }
    CHECK(after.size() <= before.size());
  }

  std::unique_ptr<Node> primary_, replica_;
};

std::string Upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  return out;
}

// What would end or stop the server, change how all later inputs fare, or call somebody else.
bool MayRun(const std::vector<std::string>& words) {
  const std::string name = Upper(words[0]);
  for (const std::string_view never :
       {"SHUTDOWN", "DEBUG", "REPLICAOF", "SLAVEOF", "PSYNC", "SYNC", "REPLCONF", "CONFIG", "ACL",
        "FAILOVER", "CLUSTER", "SAVE", "BGSAVE", "BGREWRITEAOF", "SWAPDB"}) {
    if (name == never) return false;
  }
  const std::string second = words.size() > 1 ? Upper(words[1]) : "";
  if (name == "CLIENT" && (second == "PAUSE" || second == "KILL")) return false;
  if (name == "EVAL" || name == "EVAL_RO" || (name == "SCRIPT" && second == "LOAD") ||
      name == "FUNCTION") {
    // Scripts that may take long have a fuzzer of their own.
    for (const std::string& word : words) {
      for (const std::string_view loop :
           {"while", "for", "repeat", "rep", "function f", "string", "match", "sparse", "repl"}) {
        if (word.find(loop) != std::string::npos) return false;
      }
    }
  }
  return true;
}

}  // namespace
}  // namespace understudy

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace understudy;
  if (size > 4'000) return -1;
  static World* const world = new World;
  fuzz::Input in(data, size);
  std::vector<std::vector<std::string>> commands;
  while (!in.empty()) {
    std::vector<std::string> words;
    if (!resp::SplitInline(in.Line(), &words) || words.empty() || !MayRun(words)) continue;
    // Nobody guesses a checksum.
    if (Upper(words[0]) == "RESTORE" && words.size() >= 4) {
      persist::AppendDumpEnd(words[3], words[3].starts_with('\x16') ? persist::kValkeyRdbVersion
                                                                    : persist::kRdbVersion);
    }
    commands.push_back(std::move(words));
  }
  if (commands.empty()) return -1;
  world->Run(commands, size % 4 == 0);
  return 0;
}
