// Classes of keyspace notifications, as the letters of notify-keyspace-events name them. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace understudy::config {

enum NotifyClass : uint32_t {
  kNotifyKeyspace = 1 << 0,  // K: to __keyspace@<db>__:<key>
  kNotifyKeyevent = 1 << 1,  // E: to __keyevent@<db>__:<event>
  kNotifyGeneric = 1 << 2,   // g
  kNotifyString = 1 << 3,    // $
  kNotifyList = 1 << 4,      // l
  kNotifySet = 1 << 5,       // s
  kNotifyHash = 1 << 6,      // h
  kNotifySortedSet = 1 << 7, // z
  kNotifyExpired = 1 << 8,   // x
  kNotifyEvicted = 1 << 9,   // e
  kNotifyStream = 1 << 10,   // t
  kNotifyModule = 1 << 11,   // d
  kNotifyKeyMiss = 1 << 12,  // m, not in A
  kNotifyNew = 1 << 13,      // n, not in A
};

// Nothing if a letter names no class.
std::optional<uint32_t> ParseNotifyClasses(std::string_view letters);
// In Redis's order.
std::string NotifyLetters(uint32_t classes);

}  // namespace understudy::config
