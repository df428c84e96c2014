// What a process of this machine has used so far: CPU time and sleeps of all its threads.
#pragma once

#include <cstdint>

#include "common/result.h"

namespace understudy::load {

struct ProcessUsage {
  int64_t cpu_ns = 0;
  uint64_t sleeps = 0;  // a thread had nothing to do and gave its CPU away
};

// Threads that have ended are not counted: a server keeps its own. kUnavailable: there is no such process.
Result<ProcessUsage> ReadProcessUsage(int pid);

}  // namespace understudy::load
