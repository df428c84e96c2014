// What lives in the simulated world, and the parts that it is made of. One thread, virtual time.
//
// A message belongs to one sending and one receiving process (a connection can't outlive them), but
// may be lost, doubled, overtaken or seconds late. A check and the act that follows it are one
// step. Clocks run up to 9 % fast or slow and go on while a process is stopped. Times are
// microseconds of real time; what the processes see are their own clocks.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/clock.h"

namespace understudy::simulation {

inline constexpr int64_t kMs = 1000;

// A process (of a node or an operator), the API server, or the world itself.
struct Actor {
  virtual ~Actor() = default;
  std::string location;  // what cuts and delays name; a force-deleted process moves to another one
  bool alive = true;
  bool stopped = false;  // SIGSTOP: everything that reaches it waits
  double rate = 1;
  int64_t lost_us = 0;  // time that its clock did not see (a paused virtual machine)
  int64_t stopped_at = 0;
  std::vector<std::function<void()>> inbox;

  MonoTime Clock(int64_t now_us) const {
    return {kBase_ns + static_cast<int64_t>(static_cast<double>((now_us - lost_us) * 1000) * rate)};
  }
  static constexpr int64_t kBase_ns = 1'000'000'000'000;
};

// Random numbers that are the same everywhere.
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 0x1234567) {}
  uint64_t Next() {  // SplitMix64
    uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  int64_t Below(int64_t n) { return static_cast<int64_t>(Next() % static_cast<uint64_t>(n)); }
  double Unit() { return static_cast<double>(Next() >> 11) * (1.0 / 9007199254740992.0); }
  double Exponential(double mean);
  template <typename T>
  const T& Of(const std::vector<T>& list) {
    return list[static_cast<size_t>(Below(static_cast<int64_t>(list.size())))];
  }

 private:
  uint64_t state_;
};

struct Violation {
  std::string what;  // begins with the number of the invariant (FAILOVER.md section 10)
};

}  // namespace understudy::simulation
