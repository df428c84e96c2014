// What one run of the load generator does, as given on its command line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/result.h"

namespace understudy::load {

struct Options {
  std::string host = "127.0.0.1";
  uint16_t port = 6379;
  std::vector<int> cpus;  // one thread on each; empty: one thread, anywhere
  uint32_t connections = 50;
  uint32_t pipeline = 1;
  std::string command = "get";  // NAME[:WEIGHT],...
  uint64_t keys = 1'000'000;
  uint32_t key_bytes = 16;
  uint32_t value_bytes = 64;
  uint32_t elements = 10;  // fields, members or list elements of a key that is a collection
  std::string distribution = "uniform";
  double zipf_exponent = 0.99;
  uint64_t first_key = 0;   // of a sequence
  uint32_t ttl_s = 864'000;  // of SETEX and EXPIRE; ten days: nothing expires while it is measured
  bool fill = false;
  uint64_t fill_from = 0;  // the first key that --fill-only writes
  bool fill_only = false;
  double rate = 0;  // operations a second; 0: as many as the server can
  bool sleep = false;  // until the next of them is due
  double warmup_s = 0.3;
  double seconds = 2;
  double stall_s = 30;  // without any reply so long, the run fails
  int watch_pid = 0;
  uint64_t seed = 1;
};

// exit_text is filled, and nothing is to be run, if the arguments ask for --help.
Result<Options> ParseOptions(const std::vector<std::string>& arguments, std::string* exit_text);

}  // namespace understudy::load
