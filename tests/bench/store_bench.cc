// The store alone: bytes per key, nanoseconds per operation, cost of a snapshot. Nothing is asserted.
//   store_bench [keys]        default 1,000,000
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "node/persist/loader.h"
#include "node/persist/snapshot.h"
#include "node/store/keyspace.h"
#include "node/store/shard_guard.h"

namespace understudy {
namespace {

using store::Keyspace;

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Of this thread: what an operation costs, whatever else the machine does.
int64_t CpuNs() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

size_t ResidentBytes() {
  FILE* f = std::fopen("/proc/self/statm", "r");
  size_t total = 0, resident = 0;
  if (f != nullptr) {
    if (std::fscanf(f, "%zu %zu", &total, &resident) != 2) resident = 0;
    std::fclose(f);
  }
  return resident * 4096;
}

// 16 bytes, spread like a benchmark's keys.
struct KeyText {
  explicit KeyText(uint64_t i) { std::snprintf(text, sizeof text, "key:%012llu", static_cast<unsigned long long>(i)); }
  std::string_view view() const { return {text, 16}; }
  char text[40];
};

uint64_t Next(uint64_t& state) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

void Set(Keyspace& keyspace, std::string_view key, std::string_view value, int64_t expire_ms) {
  const uint64_t hash = Keyspace::Hash(key);
  store::Shard& shard = keyspace.ShardOf(hash);
  store::OneShardGuard guard(keyspace, shard);
  shard.Set(0, key, hash, value, 1'700'000'000'000, {.expire_ms = expire_ms});
}

// In a process of its own, so that no memory freed before is taken for free.
void MemoryPerKey(size_t keys, size_t value_bytes, bool ttl) {
  std::fflush(stdout);
  if (const pid_t child = fork(); child != 0) {
    waitpid(child, nullptr, 0);
    return;
  }
  const size_t before = ResidentBytes();
  Keyspace keyspace;
  const std::string value(value_bytes, 'v');
  double sum = 0, used = 0;
  size_t filled = 0;
  for (int step = 1; step <= 8; ++step) {  // eight counts across a doubling
    const size_t target = keys + keys * static_cast<size_t>(step) / 8;
    for (; filled < target; ++filled) Set(keyspace, KeyText(filled).view(), value, ttl ? 1'800'000'000'000 : store::kNoExpire);
    sum += static_cast<double>(ResidentBytes() - before) / static_cast<double>(filled);
    used += static_cast<double>(keyspace.UsedBytes()) / static_cast<double>(filled);
  }
  std::printf("16 + %4zu bytes%s: %.1f bytes a key resident, %.1f accounted (mean of 8 counts, %zu to %zu keys)\n",
              value_bytes, ttl ? " + TTL" : "", sum / 8, used / 8, keys + keys / 8, 2 * keys);
  std::fflush(stdout);
  _exit(0);
}

// Nanoseconds of CPU. group: keys hashed, prefetched, then executed together; 1: no prefetch.
void Speed(Keyspace& keyspace, size_t keys, size_t group, bool set) {
  const std::string value(64, 'w');
  uint64_t state = 88172645463325252;
  constexpr size_t kOperations = 1'024'000;
  std::vector<KeyText> texts;
  for (size_t i = 0; i < kOperations; ++i) texts.emplace_back(Next(state) % keys);
  std::vector<uint64_t> hashes(group);
  std::vector<store::Probe> probes(group);
  size_t found = 0;
  const int64_t start = CpuNs();
  for (size_t done = 0; done < kOperations; done += group) {
    for (size_t i = 0; i < group; ++i) {
      hashes[i] = Keyspace::Hash(texts[done + i].view());
      if (group > 1) keyspace.ShardOf(hashes[i]).Prefetch(0, hashes[i], &probes[i]);
    }
    if (group > 1) {
      for (store::Probe& probe : probes) probe.Step();
    }
    for (size_t i = 0; i < group; ++i) {
      const std::string_view key = texts[done + i].view();
      const uint32_t index = keyspace.ShardIndex(hashes[i]);
      store::OneShardGuard guard(keyspace, keyspace.shard(index));
      if (set) {
        keyspace.shard(index).Set(0, key, hashes[i], value, 1'700'000'001'000);
      } else {
        const store::Entry* entry =
            keyspace.shard(index).Find(0, key, hashes[i], 1'700'000'001'000, store::View::kNormal);
        if (entry != nullptr) found += static_cast<unsigned char>(entry->value()[0]) != 0 ? 1 : 0;
      }
    }
  }
  std::printf("%s, groups of %3zu%s: %.0f ns of CPU\n", set ? "SET" : "GET", group,
              keyspace.shared() ? ", locks" : "", static_cast<double>(CpuNs() - start) / kOperations);
  if (!set && found != kOperations) std::printf("  only %zu found\n", found);
}

class CountingSink final : public persist::ChunkSink {
 public:
  Status Write(std::string_view bytes) override {
    rdb.append(bytes);
    return {};
  }
  std::string rdb;
};

void SnapshotCost(Keyspace& keyspace, size_t keys) {
  keyspace.SetShared(true);
  CountingSink sink;
  sink.rdb.reserve(keys * 120);
  std::vector<int64_t> locked_ns;
  const int64_t start = NowNs();
  int64_t cut_ns = 0;
  size_t peak = 0;
  std::atomic<bool> stop{false};
  std::thread writer([&] {  // each write's time: how long a snapshot can stall a client
    uint64_t state = 1;
    const std::string value(64, 'z');
    while (!stop) {
      const KeyText key(Next(state) % keys);
      const int64_t from = NowNs();
      Set(keyspace, key.view(), value, store::kNoExpire);
      locked_ns.push_back(NowNs() - from);
    }
  });
  {
    auto snapshot = persist::Snapshot::Begin(keyspace, {.pre_image_limit_bytes = 1u << 30}, [&] {
      cut_ns = -NowNs();
      return persist::AuxFields{};
    });
    cut_ns += NowNs();
    if (Status status = (*snapshot)->Run(sink); !status.ok()) std::printf("%s\n", status.ToString().c_str());
    peak = (*snapshot)->pre_image_peak_bytes();
  }
  const double seconds = static_cast<double>(NowNs() - start) / 1e9;
  stop = true;
  writer.join();
  keyspace.SetShared(false);
  std::sort(locked_ns.begin(), locked_ns.end());
  std::printf("snapshot under writes: cut %.0f us, %.2f s, %.0f MB, %zu writes meanwhile: p99 %.1f us, p99.99 %.1f us; "
              "%.1f MB waited at most\n",
              static_cast<double>(cut_ns) / 1e3, seconds, static_cast<double>(sink.rdb.size()) / 1e6, locked_ns.size(),
              static_cast<double>(locked_ns[locked_ns.size() * 99 / 100]) / 1e3,
              static_cast<double>(locked_ns[locked_ns.size() * 9999 / 10000]) / 1e3, static_cast<double>(peak) / 1e6);
  Keyspace into;
  persist::Loader loader(into, {});
  const int64_t load_start = CpuNs();
  Result<size_t> used = loader.Feed(sink.rdb);
  if (!used.ok()) std::printf("%s\n", used.status().ToString().c_str());
  std::printf("load: %.2f s of CPU for %zu keys\n", static_cast<double>(CpuNs() - load_start) / 1e9, into.TotalSize());
}

}  // namespace
}  // namespace understudy

int main(int argc, char** argv) {
  using namespace understudy;
  const size_t keys = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1'000'000;
  if (keys == 0) {
    std::fprintf(stderr, "store_bench: the number of keys must be a positive integer\n");
    return 1;
  }
  MemoryPerKey(keys, 32, false);
  MemoryPerKey(keys, 16, true);
  MemoryPerKey(keys, 512, false);
  store::Keyspace keyspace;
  const std::string value(64, 'v');
  const int64_t start = CpuNs();
  for (size_t i = 0; i < keys; ++i) Set(keyspace, KeyText(i).view(), value, store::kNoExpire);
  std::printf("insert: %.0f ns of CPU\n", static_cast<double>(CpuNs() - start) / static_cast<double>(keys));
  for (const bool set : {false, true}) {
    for (const size_t group : {size_t{1}, size_t{32}, size_t{128}}) Speed(keyspace, keys, group, set);
  }
  keyspace.SetShared(true);
  for (const bool set : {false, true}) Speed(keyspace, keys, 1, set);
  keyspace.SetShared(false);
  SnapshotCost(keyspace, keys);
  return 0;
}
