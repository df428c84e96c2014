// A replica against a primary that sends anything: greeting, the answer to PSYNC, a full copy, the
// stream. Whatever comes, the link ends with a reason or goes on; what is loaded and applied is
// sound, and the log is as long as it says.
#include <sys/epoll.h>
#include <sys/uio.h>

#include <map>
#include <vector>

#include "common/log.h"
#include "node/replication/primary_link.h"
#include "node/store/shard_guard.h"
#include "tests/fuzz/content.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/sockets.h"

namespace understudy::replication {
namespace {

// Knows SET, DEL and FLUSHALL; BREAK fails half way.
class Sink final : public ApplySink {
 public:
  explicit Sink(store::Keyspace& keyspace) : keyspace_(keyspace) {}
  Status Apply(std::span<const Record> records, CommitToLog& commit) override {
    for (const Record& record : records) {
      CHECK(!record.argv.empty() && record.db >= 0 && record.db < keyspace_.databases());
      const std::string_view name = record.argv[0];
      const size_t words = name == "SET"                           ? 3
                           : name == "DEL"                         ? 2
                           : name == "FLUSHALL" || name == "BREAK" ? 1
                                                                   : 0;
      if (record.argv.size() != words) return Invalid("no such command");
    }
    for (const Record& record : records) {
      if (record.argv[0] == "BREAK") return Internal("broken");
      if (record.argv[0] == "FLUSHALL") {
        keyspace_.FlushAll();
        continue;
      }
      const std::string_view key = record.argv[1];
      const uint64_t hash = store::Keyspace::Hash(key);
      store::Shard& shard = keyspace_.ShardOf(hash);
      if (record.argv[0] == "SET") {
        shard.Set(record.db, key, hash, record.argv[2], 1);
      } else {
        shard.Erase(record.db, key, hash);
      }
    }
    commit.Commit();
    return {};
  }

 private:
  store::Keyspace& keyspace_;
};

class NoHooks final : public Hooks {
 public:
  std::vector<std::string> Functions() override { return {}; }
  Status ReplaceFunctions(const std::vector<std::string>&) override { return {}; }
  void DrainWorkers(std::function<void()> done) override { done(); }
  void ShareKeyspace(std::function<void()> done) override { done(); }
  void UnshareKeyspace() override {}
  void OnLoading(bool loading) override { loading_ = loading; }
  void OnChange() override {}
  bool InOffice() override { return true; }
  void OnAcks() override {}
  void OnReplicaOf(bool) override {}

 private:
  bool loading_ = false;
};

const std::string kReplid(40, 'e');

class Replica {
 public:
  explicit Replica(uint8_t how)
      : sink_(keyspace_), log_(kReplid, 1 << 20), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
    settings_.limits = (how & 1) != 0 ? fuzz::SmallLimits() : types::Limits();
    log_.Activate(kReplid);
    data_.complete = data_.follows_log = (how & 2) != 0;
    may_load_ = (how & 12) != 12;
  }
  ~Replica() { close(epoll_); }

  void Follow(std::string_view sent, size_t piece) {
    static uint16_t port = 0;
    static const int listener = fuzz::Listen(&port);
    PrimaryLink link(
        {.log = log_,
         .keyspace = keyspace_,
         .sink = sink_,
         .hooks = hooks_,
         .clock = clock_,
         .settings = settings_,
         .data = data_,
         .epoll = epoll_,
         .epoll_tag = 1,
         .incarnation = incarnation_,
         .listening_port = 6379,
         .version = version_,
         .post = [this](std::function<void()> task) { tasks_.push_back(std::move(task)); },
         .changed = [] {},
         .drop_replicas = [](std::string_view why) { CHECK(!why.empty()); },
         .dispose = [](std::unique_ptr<store::Keyspace>) {}},
        {.address = "127.0.0.1", .port = port}, now_);
    if (!may_load_) link.ForbidLoading();
    link.Tick(now_);
    const int primary = accept(listener, nullptr, nullptr);
    CHECK(primary >= 0);
    Turn(link, EPOLLOUT);
    while (!sent.empty() && link.last_error().empty()) {
      const std::string_view bytes = sent.substr(0, piece);
      sent.remove_prefix(bytes.size());
      CHECK(send(primary, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(bytes.size()));
      Turn(link, EPOLLIN);
    }
    CheckLog(link);
    // Ends by a reset, which leaves no port behind.
    const linger at_once{1, 0};
    setsockopt(primary, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(primary);
    Turn(link, EPOLLIN);
    CHECK(!link.up() && !link.last_error().empty() && !data_.loading);
    fuzz::ContentsOf(keyspace_);
  }

 private:
  void Turn(PrimaryLink& link, uint32_t events) {
    now_ = now_ + Milliseconds(2);
    link.OnEvent(events, now_);
    for (const auto& task : std::exchange(tasks_, {})) task();
  }
  // All of it can be read, and it is as long as its offsets say.
  void CheckLog(const PrimaryLink& link) {
    CHECK(log_.end() >= log_.first());
    if (link.up()) CHECK(data_.complete && data_.follows_log && !data_.loading);
    const std::unique_ptr<Log::Reader> reader = log_.ReadFrom(log_.first());
    CHECK(reader != nullptr);
    iovec parts[64];
    int used = 0;
    uint64_t bytes = 0;
    while (const size_t n = reader->Peek(parts, &used, SIZE_MAX)) {
      bytes += n;
      reader->Advance(n);
    }
    CHECK(bytes == log_.end() - log_.first());
  }

  store::Keyspace keyspace_{{.shards = 2, .databases = 4}};
  Sink sink_;
  NoHooks hooks_;
  SystemClock clock_;
  Settings settings_;
  DataState data_;
  Log log_;
  const int epoll_;
  const control::Incarnation incarnation_ = std::string(32, 'a');
  const std::string version_ = "9.0.0";
  bool may_load_ = true;
  std::vector<std::function<void()>> tasks_;
  MonoTime now_{1'000'000'000};
};

}  // namespace
}  // namespace understudy::replication

// First byte: what the replica holds, and in what pieces it is sent. A "G" at the beginning of the
// rest stands for the answers up to PSYNC, an "F" behind it for that of a full copy with an end
// mark of m's.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace understudy;
  static const bool quiet = log::Init("fuzz", "error").ok();
  CHECK(quiet);
  if (size > 8'000) return -1;
  fuzz::Input in(data, size);
  const uint8_t how = in.Byte();
  std::string sent(in.Rest());
  if (sent.starts_with("GF")) {
    sent.replace(
        1, 1,
        "+FULLRESYNC " + std::string(40, 'f') + " 100\r\n$EOF:" + std::string(40, 'm') + "\r\n");
  }
  if (sent.starts_with("G")) sent.replace(0, 1, "+PONG\r\n+OK\r\n+OK\r\n+OK\r\n");
  constexpr size_t kPieces[] = {SIZE_MAX, 1000, 17, 300};
  replication::Replica(how).Follow(sent, kPieces[how >> 4 & 3]);
  return 0;
}
