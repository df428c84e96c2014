#include "node/command/latency.h"

#include <algorithm>

namespace understudy::command {

void Latency::Add(std::string_view event, int64_t unix_s, int64_t ms) {
  std::lock_guard lock(mutex_);
  auto at = events_.find(event);
  if (at == events_.end()) at = events_.emplace(std::string(event), Event{std::string(event), {}, 0}).first;
  Event& found = at->second;
  found.highest_ms = std::max(found.highest_ms, ms);
  if (!found.samples.empty() && found.samples.back().unix_s == unix_s) {
    found.samples.back().ms = std::max(found.samples.back().ms, ms);
    return;
  }
  found.samples.push_back({unix_s, ms});
  if (found.samples.size() > kMostSamples) found.samples.pop_front();
}

std::vector<Latency::Event> Latency::Events() const {
  std::vector<Event> all;
  std::lock_guard lock(mutex_);
  for (const auto& [name, event] : events_) all.push_back(event);
  return all;
}

Latency::Event Latency::Find(std::string_view event) const {
  std::lock_guard lock(mutex_);
  const auto at = events_.find(event);
  return at == events_.end() ? Event{} : at->second;
}

bool Latency::Reset(std::string_view event) {
  std::lock_guard lock(mutex_);
  const auto at = events_.find(event);
  if (at == events_.end()) return false;
  events_.erase(at);
  return true;
}

}  // namespace understudy::command
