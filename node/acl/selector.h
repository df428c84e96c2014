// A selector: commands with the keys, channels and databases on which they may be used. A user has a root selector and
// any number of others in parentheses; a command is allowed if one of them allows all of it.
//
// Allowed commands are a bitmap over the numbers of the command table, so that the check of a command costs a load, and
// that of its keys nothing where all keys are allowed. The rules for commands are also kept as they were given, without
// those that later ones made void: that is what ACL LIST prints, and applying them anew gives the same bitmap. Source:
// Redis 7.2, acl.c; the texts of errors are its own. Databases (db=0,1) are Valkey 9.1's. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "node/acl/command_list.h"

namespace understudy::acl {

// What a command does with a key, or a pattern allows: bits.
using Access = uint8_t;
inline constexpr Access kReads = 1;
inline constexpr Access kWrites = 2;

// What rules are read with.
struct Setting {
  const CommandList& commands;
  bool all_channels = false;  // acl-pubsub-default: what a selector begins with
};

// Why not, in the order in which one reason is told rather than another.
enum class Denial : uint8_t { kNone, kDatabase, kCommand, kKey, kChannel };

struct Verdict {
  Denial denial = Denial::kNone;
  uint32_t argument = 0;  // of the key, channel or database; 0: no argument names it
  bool allowed() const { return denial == Denial::kNone; }
};

// A key or a channel among the arguments of a command.
struct KeyUse {
  std::string_view name;
  Access access;  // 0: looks at nothing that the key holds (EXISTS)
  uint32_t argument;
};
struct ChannelUse {
  std::string_view name;
  bool pattern;  // as in PSUBSCRIBE: it must be among the rules letter by letter
  uint32_t argument;
};

// A database in which the command looks at keys.
struct DatabaseUse {
  int database;       // kAllDatabases: every one
  uint32_t argument;  // 0: the connection's own
};
inline constexpr int kAllDatabases = -1;

struct Request {
  uint32_t command;
  std::span<const std::string_view> arguments;  // with the name
  std::span<const KeyUse> keys;
  std::span<const ChannelUse> channels;
  std::span<const DatabaseUse> databases = {};
};

class Selector {
 public:
  explicit Selector(const Setting& setting);

  // One rule that isn't about the user as a whole: "+get", "~key*", "allchannels". Changes nothing if it fails;
  // kNotFound: it names a command or category that does not exist.
  Status Apply(const Setting& setting, std::string_view rule);

  bool everything() const { return all_commands_ && all_keys_ && all_channels_ && all_databases_; }
  bool all_keys() const { return all_keys_; }
  bool all_channels() const { return all_channels_; }
  bool all_databases() const { return all_databases_; }
  // Whatever arguments: `first argument` rules are not asked.
  bool Allows(const Command& command, uint32_t number) const {
    return all_commands_ || command.always || (allowed_[number / 64] >> number % 64 & 1) != 0;
  }
  Verdict Check(const Command& command, const Request& request) const;
  // Every key there is.
  bool AllowsAllKeys(Access access) const;
  bool AllowsKey(std::string_view key, Access access) const;
  bool AllowsChannel(std::string_view channel, bool pattern) const;
  bool AllowsDatabase(int database) const;

  // "+@all -get"
  std::string Commands() const;
  // "~a %R~b", or "~*"
  std::string Keys() const;
  // "&a &b", or "&*"
  std::string Channels() const;
  std::span<const std::string> channels() const { return channels_; }
  // "db=0,1", "alldbs", or nothing
  std::string Databases() const;
  // All of them, as in ACL LIST, which leaves "alldbs" out.
  std::string Describe() const;

  // The same to everybody who asks; how it came to be does not count.
  friend bool operator==(const Selector&, const Selector&) = default;

 private:
  struct KeyPattern {
    Access access;
    std::string pattern;
    friend bool operator==(const KeyPattern&, const KeyPattern&) = default;
  };

  Status ApplyKeyPattern(std::string_view rule);
  Status ApplyChannel(std::string_view rule);
  Status ApplyDatabases(std::string_view numbers);
  Status AddCommand(const CommandList& commands, std::string_view name);
  Status AddFirstArgument(const CommandList& commands, std::string_view name);
  Status RemoveCommand(const CommandList& commands, std::string_view name);
  Status SetCategory(const CommandList& commands, std::string_view name, bool allow);
  void SetEverything(bool allow);
  // With its subcommands.
  void SetCommand(const CommandList& commands, uint32_t number, bool allow);
  void SetBit(uint32_t number, bool allow);
  // name: "get", "config|get", "select|0", "@string"
  void NoteRule(std::string_view name, bool allow);

  bool all_commands_ = false;  // no command is forbidden
  bool from_all_ = false;      // the rules begin with +@all rather than -@all
  bool all_keys_ = false, all_channels_ = false, all_databases_ = true;
  std::vector<uint64_t> allowed_;
  // Of commands that are forbidden otherwise; lower case.
  std::map<uint32_t, std::set<std::string>> first_arguments_;
  std::vector<KeyPattern> keys_;
  std::vector<std::string> channels_;
  std::set<int> databases_;
  std::vector<std::string> rules_;  // for commands, in order: "+get"
};

// Neither in names of users nor in patterns.
bool HasSpaces(std::string_view text);

}  // namespace understudy::acl
