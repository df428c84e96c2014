// ACL LOG: who was refused what, newest first. The same refusal again within a minute counts up its entry instead of
// making another, so that a client that tries in a loop does not push out the rest. Source: Redis 7.2, acl.c. Pure.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace understudy::acl {

class DenialLog {
 public:
  struct Entry {
    std::string_view reason;   // "command", "key", "channel", "auth"
    std::string_view context;  // "toplevel", "multi", "lua"
    std::string object;        // the command, key or channel
    std::string user;
    std::string client;  // its line of CLIENT LIST
    uint64_t count = 1;
    uint64_t id = 0;
    int64_t created_ms = 0, updated_ms = 0;  // wall
  };

  // entry: the first five members. most: acllog-max-len.
  void Add(Entry entry, int64_t now_ms, size_t most);
  void Clear() { entries_.clear(); }
  const std::deque<Entry>& entries() const { return entries_; }

 private:
  std::deque<Entry> entries_;
  uint64_t next_id_ = 0;
};

}  // namespace understudy::acl
