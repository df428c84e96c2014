// SLOWLOG: the commands that took longest to execute, newest first. Any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace understudy::command {

// The arguments as they may be shown: passwords, and what tells about users, are not. command: "acl|setuser".
std::vector<std::string_view> WithoutSecrets(std::string_view command, std::span<const std::string_view> args);

class Slowlog {
 public:
  struct Entry {
    uint64_t id;
    int64_t unix_s;
    int64_t us;
    std::vector<std::string> arguments;  // at most 32, each cut at 128 bytes
    std::string peer, name;
  };

  void Add(std::span<const std::string_view> args, int64_t unix_s, int64_t us, std::string_view peer,
           std::string_view name, size_t most);
  // The newest `count`; all if negative.
  std::vector<Entry> Get(int64_t count) const;
  size_t size() const;
  void Clear();

 private:
  mutable std::mutex mutex_;
  std::deque<Entry> entries_;  // mutex_; newest first
  uint64_t next_id_ = 0;       // mutex_
};

}  // namespace understudy::command
