// INFO: the sections, as text. Any worker thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace understudy::command {

struct Services;

// sections: names as INFO takes them (any case); none = the default ones.
std::string BuildInfo(const Services& services, std::span<const std::string_view> sections);

// "name:value\r\n" lines of the section Replication, without its title. Defined in replication_family.cc.
void AppendReplicationInfo(const Services& services, std::string* out);

// What the allocator says, in bytes; without jemalloc only `resident` is known.
struct MemoryFigures {
  size_t allocated = 0, active = 0, resident = 0;
  bool from_allocator = false;
};
MemoryFigures ReadMemoryFigures();
// Gives memory that is free back to the system.
void PurgeAllocator();
// What the allocator tells about itself, for people.
std::string AllocatorReport();
// The process's resident set, from the kernel.
size_t ResidentBytes();

// Set once by the server at start.
struct ProcessFacts {
  std::string run_id;        // 40 hex digits
  std::string executable;
  int64_t start_unix_ms = 0;
};
ProcessFacts& Process();

}  // namespace understudy::command
