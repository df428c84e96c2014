#include "tests/bench/load/process_usage.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

namespace understudy::load {

Result<ProcessUsage> ReadProcessUsage(int pid) {
  ProcessUsage usage;
  std::error_code error;
  bool any = false;
  for (std::filesystem::directory_iterator task("/proc/" + std::to_string(pid) + "/task", error), end; !error && task != end;
       task.increment(error)) {
    // Nanoseconds on a CPU are its first number; the kernel's other counts are in hundredths of a second.
    std::ifstream schedule(task->path() / "schedstat");
    int64_t cpu_ns = 0;
    if (!(schedule >> cpu_ns)) continue;
    any = true;
    usage.cpu_ns += cpu_ns;
    std::ifstream status(task->path() / "status");
    for (std::string word; status >> word;) {
      if (word != "voluntary_ctxt_switches:") continue;
      uint64_t sleeps = 0;
      if (status >> sleeps) usage.sleeps += sleeps;
      break;
    }
  }
  if (!any) return Unavailable("there is no process " + std::to_string(pid) + ", or the kernel keeps no /proc/PID/task/*/schedstat");
  return usage;
}

}  // namespace understudy::load
