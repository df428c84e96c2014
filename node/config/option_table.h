// A row of the option table; see options.cc.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

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
  kTakenOnly = 64,  // has no effect (taken_options.h)
  kProtected = 128,  // CONFIG SET changes it only where enable-protected-configs allows it
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

// All of them: those of options.cc, then those of taken_options.h.
std::span<const Option> Options();
struct GivenOption {
  std::string name;
  std::vector<std::string> words;
};
// The options of a command line, as redis-server reads one: `--name value`, also as one argument. The word behind a
// name is its value even if it begins with `--`, unless the option may stand alone. The first argument begins with it.
std::vector<GivenOption> SplitArguments(std::span<const std::string> arguments);

// By name or alias, in any case; nullptr: there is none.
const Option* FindOption(std::string_view name);

}  // namespace understudy::config
