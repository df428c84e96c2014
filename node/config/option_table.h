// A row of the option table; see options.cc.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/result.h"

namespace understudy::config {

class Config;

enum OptionFlag : uint32_t {
  kAtStart = 1,     // file and command line only
  kLive = 2,        // CONFIG SET, too
  kManyWords = 4,   // takes more than one word
  kSwitch = 8,      // the word may be left out
  kManaged = 16,    // under the operator CONFIG SET is refused
  kSecret = 32,     // its value is not shown in messages
  kProtected = 64,  // CONFIG SET changes it only where enable-protected-configs allows it
};

struct Option {
  std::string_view name;
  std::string_view alias;  // older name, empty = none
  uint32_t flags;
  std::string_view takes;
  std::string_view help;
  std::string (*get)(const Config&);  // null: CONFIG GET does not know it
  Status (*set)(Config&, std::span<const std::string>);
};

std::span<const Option> Options();
// By name or alias, in any case; nullptr: there is none.
const Option* FindOption(std::string_view name);

}  // namespace understudy::config
