// How long the turns of a worker's loop take: wall time of each, and CPU time of its thread for those that matter.
//
// Wall time alone blames the node for what the machine did (another process had the core). CPU time is the thread's
// own, but reading it is a system call (0.2-0.5 us, as much as a pipelined command costs), and a turn is known to
// have been long only at its end, when the value at its start is gone. So it is read at the end of a group of turns:
// when they took 100 us together or are 64. Long turns are read one by one, short ones share a reading, and reading
// costs half a per cent at most. The CPU time counted for a group's longest turn is the least that is certainly
// enough: its wall time, or the group's CPU time if that is less. So it is never too small, and too large by the
// group's other turns at most, 100 us of wall time and what waiting for events cost between them.
//
// Written by the worker's thread, read by any.
#pragma once

#include <time.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "common/clock.h"

namespace understudy::net {

class TurnMeter {
 public:
  static constexpr Duration kGroup = Microseconds(100);
  static constexpr uint32_t kGroupTurns = 64;
  static constexpr Duration kLong = Milliseconds(1);  // of CPU time: more is a turn that others notice

  // A turn ended that took `wall`. read_cpu(): CPU time of this thread so far.
  template <typename ReadCpu>
  void Add(Duration wall, ReadCpu read_cpu) {
    turns_.store(turns() + 1, std::memory_order_relaxed);
    total_ns_.store(total_ns_.load(std::memory_order_relaxed) + wall.ns, std::memory_order_relaxed);
    group_wall_ = group_wall_ + wall;
    group_longest_ = std::max(group_longest_, wall);
    if (++group_turns_ < kGroupTurns && group_wall_ < kGroup) return;
    CloseGroup(read_cpu());
  }
  // The CPU time at the thread's start.
  void Begin(Duration cpu) { cpu_ = cpu; }

  uint64_t turns() const { return turns_.load(std::memory_order_relaxed); }
  Duration total() const { return {total_ns_.load(std::memory_order_relaxed)}; }
  Duration longest() const { return {longest_ns_.load(std::memory_order_relaxed)}; }
  Duration longest_cpu() const { return {longest_cpu_ns_.load(std::memory_order_relaxed)}; }
  // Turns of more than kLong of CPU time.
  uint64_t long_turns() const { return long_turns_.load(std::memory_order_relaxed); }
  // CONFIG RESETSTAT, from any thread; what the worker adds at the same moment may survive it.
  void Reset() {
    for (auto* const value : {&total_ns_, &longest_ns_, &longest_cpu_ns_}) value->store(0, std::memory_order_relaxed);
    for (auto* const value : {&turns_, &long_turns_}) value->store(0, std::memory_order_relaxed);
  }

  static Duration ThreadCpu() {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return {int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec};
  }

 private:
  void CloseGroup(Duration cpu) {
    const Duration used = std::min(group_longest_, cpu - cpu_);
    const auto raise = [](std::atomic<int64_t>& longest, Duration to) {
      if (to.ns > longest.load(std::memory_order_relaxed)) longest.store(to.ns, std::memory_order_relaxed);
    };
    raise(longest_ns_, group_longest_);
    raise(longest_cpu_ns_, used);
    if (used > kLong) long_turns_.store(long_turns() + 1, std::memory_order_relaxed);
    cpu_ = cpu;
    group_wall_ = group_longest_ = {};
    group_turns_ = 0;
  }

  Duration cpu_;  // when the last group ended
  Duration group_wall_, group_longest_;
  uint32_t group_turns_ = 0;
  std::atomic<uint64_t> turns_{0}, long_turns_{0};
  std::atomic<int64_t> total_ns_{0}, longest_ns_{0}, longest_cpu_ns_{0};
};

}  // namespace understudy::net
