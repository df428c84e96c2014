// What the node uses memory for, and what it does when there is too little.
//
// Used memory is a sum of accounts, each kept exactly where memory is allocated: entries and tables by their
// shard, buffers by their worker, the log's blocks by the log. There is no global counter; a reader adds them up.
//
//   counted against maxmemory          not counted (as in Redis: a slow replica must not cost keys)
//   ---------------------------------  -----------------------------------------------------------
//   keys and values, tables            log kept beyond repl-backlog-size because a replica is behind
//   values that wait to be freed       what a full copy holds: overwritten data, chunks that wait
//   buffers and objects of clients
//   backlog, what the process started with
//   scripts and functions, tables of client-side caching
//
// Memory given to the background thread stays in the account until it is freed. So that it cannot hold more than
// half a per cent above the limit, values beyond that are freed at once.
//
// The limit holds per command: before one that may need memory runs, there must be room for its arguments. Each
// worker holds a share of what is left, so most commands cost a subtraction; who finds the share used up adds up
// the accounts, and evicts until there is room. That is bounded in time a turn (maxmemory-eviction-tenacity): a
// command for which there is no room yet waits and goes on in the next turn, while others are served.
#pragma once

#include <cstddef>

namespace understudy::command {

struct Services;

struct MemoryUse {
  size_t startup = 0;   // what the process had allocated before it held any data
  size_t entries = 0;   // keys and values
  size_t index = 0;     // tables
  size_t waiting = 0;   // to be freed in the background
  size_t clients = 0;
  size_t backlog = 0;
  size_t scripts = 0;   // their texts, and what Lua holds
  size_t tracking = 0;  // tables of client-side caching
  size_t replicas = 0;  // not counted against maxmemory

  size_t overhead() const { return startup + index + clients + backlog + scripts + tracking + replicas; }
  size_t total() const { return entries + waiting + overhead(); }
  size_t counted() const { return total() - replicas; }
};

// As of now. Any thread.
MemoryUse ReadMemoryUse(const Services& services);
// The highest total() seen: looked at ten times a second and when it is asked for.
size_t PeakMemory(const Services& services);

}  // namespace understudy::command
