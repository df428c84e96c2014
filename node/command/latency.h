// LATENCY: what took long, by kind of event, as far back as the last samples reach. Any thread.
//
// latency-monitor-threshold says from how many milliseconds on something is noted; 0 = nothing is. Events: "command",
// "fast-command" (commands with the flag fast), "expire-cycle", "eviction-cycle".
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace understudy::command {

class Latency {
 public:
  static constexpr size_t kMostSamples = 160;  // of an event; one a second at most, the highest of it

  struct Sample {
    int64_t unix_s = 0;
    int64_t ms = 0;
  };
  struct Event {
    std::string name;
    std::deque<Sample> samples;  // oldest first
    int64_t highest_ms = 0;      // also of samples that are forgotten
  };

  void Add(std::string_view event, int64_t unix_s, int64_t ms);
  // In the order of names; samples are never empty.
  std::vector<Event> Events() const;
  // Without samples if there is no such event.
  Event Find(std::string_view event) const;
  // False: there is no such event.
  bool Reset(std::string_view event);

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Event, std::less<>> events_;  // mutex_
};

}  // namespace understudy::command
