// Shutdown: the orderly end of a node without an operator, by SHUTDOWN or a signal.
//
//   wait until attached replicas have all, writes paused (shutdown-timeout; not with NOW)
//   -> save, if there are save points or SAVE was said (not with NOSAVE, nor while data is being loaded or a script is
//   slow) -> exit
//
// What fails leaves the node serving, and all who asked are told, unless FORCE was said. One at a time: who asks while
// one is under way waits with it. Threads: any; callbacks on any.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "common/clock.h"

namespace understudy::command {

struct Services;

class Shutdown {
 public:
  struct Options {
    bool save = false, no_save = false;  // neither: as save points say
    bool now = false, force = false;
  };
  // exit: ends the process; called on any thread.
  explicit Shutdown(std::function<void()> exit) : exit_(std::move(exit)) {}
  // Before workers start.
  void Attach(Services& services) { services_ = &services; }

  // failed: called once if the process goes on after all.
  void Begin(Options options, std::function<void()> failed);
  // SHUTDOWN ABORT. False: none is under way, or it is too late.
  bool Abort();
  bool under_way();
  // Worker 0, every 100 ms or so.
  void OnTick(MonoTime now);

 private:
  enum class Phase : uint8_t { kNone, kWaitForReplicas, kLast };

  bool ReplicasLag() const;
  void Last(std::unique_lock<std::mutex> lock);
  void Fail(std::unique_lock<std::mutex> lock);

  Services* services_ = nullptr;
  const std::function<void()> exit_;
  std::mutex mutex_;
  Phase phase_ = Phase::kNone;                  // mutex_
  Options options_;                             // mutex_
  MonoTime until_;                              // mutex_: of kWaitForReplicas
  std::vector<std::function<void()>> failed_;   // mutex_
};

}  // namespace understudy::command
