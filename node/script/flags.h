// What a script says of itself: "#!lua flags=no-writes,allow-stale", or `flags` of redis.register_function.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace understudy::script {

enum Flag : uint32_t {
  kNoWrites = 1,
  kAllowOom = 2,
  kAllowStale = 4,
  kNoCluster = 8,
  kAllowCrossSlotKeys = 16,
  kSaysNothing = 32,  // no shebang: what it does is only seen when it does it
};

// By name; nothing: there is no such flag.
std::optional<uint32_t> FlagByName(std::string_view name);
std::vector<std::string_view> FlagNames(uint32_t flags);

std::string Lower(std::string_view text);
// Of a library or function: letters, digits, underscores.
bool IsName(std::string_view name);

// The first line of a text: what it says, where the code begins (at the line's end, so that line numbers stay).
struct Shebang {
  uint32_t flags = kSaysNothing;
  std::string_view code;
};
// Of a script for EVAL. Messages are Redis's, without "ERR ".
Result<Shebang> ReadShebang(std::string_view body);

// Of a library: "#!lua name=mylib".
struct LibraryHead {
  std::string name;
  std::string_view code;
};
Result<LibraryHead> ReadLibraryHead(std::string_view body);

}  // namespace understudy::script
