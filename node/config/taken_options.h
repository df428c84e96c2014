// Options that redis.conf may hold and that have no effect here: they say how Redis or Valkey do something that this
// server does in one way only, or has no need of. They are taken, with their values checked, so that configuration
// files and tools written for those servers work. What a client or a person must be able to rely on is never among
// them: such an option has its effect, or is refused.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "node/config/option_table.h"

namespace understudy::config {

struct TakenOption {
  enum class Kind : uint8_t { kYesNo, kNumber, kMemory, kText, kWords, kOneOf };
  std::string_view name;
  std::string_view alias;  // older name, empty = none
  uint32_t flags;          // kLive or kAtStart
  Kind kind;
  std::string_view initial;
  std::string_view allowed = {};  // kOneOf: the words, with ", " between
};

// Rows for the table of options. Config keeps their values.
std::span<const Option> TakenOptions();

}  // namespace understudy::config
