// What INFO counts, per worker: each is written by its worker only (plain add), read by any thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <ctime>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace understudy::command {

// A counter with one writer.
class OwnedCounter {
 public:
  void Add(uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void Set(uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }
  // CONFIG RESETSTAT, from any thread; an addition at the same moment may survive it.
  void Reset() { value_.store(0, std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

struct CommandStats {
  // Calls by their ticks: bucket n has those of fewer than 2^n, and not fewer than half of it.
  static constexpr size_t kBuckets = 48;
  void CountCall(uint64_t call_ticks) {
    by_duration[std::min<size_t>(static_cast<size_t>(std::bit_width(call_ticks)), kBuckets - 1)].Add();
    ticks.Add(call_ticks);
  }
  uint64_t calls() const {
    uint64_t sum = 0;
    for (const OwnedCounter& counter : by_duration) sum += counter.value();
    return sum;
  }

  OwnedCounter by_duration[kBuckets];
  OwnedCounter ticks;
  OwnedCounter rejected;  // refused before it ran
  OwnedCounter failed;    // ran, and answered an error
};

struct alignas(64) WorkerStats {
  explicit WorkerStats(uint32_t commands) : by_command(new CommandStats[commands]), command_count(commands) {}

  OwnedCounter commands;
  OwnedCounter hits, misses;
  OwnedCounter error_replies;
  OwnedCounter changes;  // of data, for save points: Effects::changes of now and then
  std::unique_ptr<CommandStats[]> by_command;
  const uint32_t command_count;

  void CountError(std::string_view code) {
    error_replies.Add();
    std::lock_guard lock(mutex);
    auto it = errors.find(code);
    if (it == errors.end()) {
      const size_t most = IsWord(code) ? 2 * kMostErrors : kMostErrors;
      it = errors.emplace(errors.size() < most ? std::string(code) : "ERRORSTATS_OVERFLOW", 0).first;
    }
    ++it->second;
  }

  static constexpr size_t kMostErrors = 128;  // distinct codes; scripts may make up any number, also of texts
  // As the server's own are: they are counted by their names when scripts have used up the others.
  static bool IsWord(std::string_view code) {
    return std::all_of(code.begin(), code.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  }
  mutable std::mutex mutex;
  std::map<std::string, uint64_t, std::less<>> errors;  // mutex
};

// Processor ticks: a command is timed at a few nanoseconds' cost. TickScale turns them into microseconds.
inline uint64_t Ticks() {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
  uint64_t ticks;
  asm volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
#else
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000ULL + static_cast<uint64_t>(t.tv_nsec);
#endif
}

}  // namespace understudy::command
