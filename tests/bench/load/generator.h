// The load itself: threads that each drive their share of the connections.
//
// Closed loop (no rate): a connection sends its next pipeline when the last one is answered. Open loop: pipelines
// are due at random moments that the server can't move; latency counts from them (no coordinated omission).
//
// Run() belongs to one thread; it starts the others and reads their counts while they work.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "common/result.h"
#include "tests/bench/load/commands.h"
#include "tests/bench/load/histogram.h"
#include "tests/bench/load/options.h"
#include "tests/bench/load/process_usage.h"

namespace understudy::load {

// Of the measured window; the counts of `filled` apart.
struct Report {
  uint64_t filled = 0;  // keys written before
  double fill_s = 0;
  double window_s = 0;
  uint64_t operations = 0;
  uint64_t nulls = 0;  // replies "no such key", since the start
  int64_t own_cpu_ns = 0;
  ProcessUsage watched;  // with Options::watch_pid
  Histogram latency;     // open loop: from the moment at which a pipeline was due to its last reply
  Histogram lateness;    // open loop: from that moment to its sending, the generator's own share
};

// kUnavailable, kInternal: the server can't be reached, went away, stayed silent or answered an error.
Result<Report> RunLoad(const Options& options, const Workload& workload);

}  // namespace understudy::load
