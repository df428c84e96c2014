// What rules of users know about commands: names, categories, which commands have subcommands.
//
// The command table lies below this folder and hands over what is needed here, once at start; the numbers are those of
// its rows. Constant afterwards: any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace understudy::acl {

// In the order in which ACL CAT and COMMAND INFO list them. A category is the bit of its number.
enum class Category : uint8_t {
  kKeyspace,
  kRead,
  kWrite,
  kSet,
  kSortedSet,
  kList,
  kHash,
  kString,
  kBitmap,
  kHyperLogLog,
  kGeo,
  kStream,
  kPubsub,
  kAdmin,
  kFast,
  kSlow,
  kBlocking,
  kDangerous,
  kConnection,
  kTransaction,
  kScripting,
};
using Categories = uint32_t;
constexpr Categories Bit(Category category) { return Categories{1} << static_cast<uint8_t>(category); }

// "keyspace", ...: without the @.
std::span<const std::string_view> CategoryNames();
// In any case, without the @; 0 = there is none of that name.
Categories CategoryByName(std::string_view name);

struct Command {
  std::string name;  // lower case, "config|get" for a subcommand
  Categories categories = 0;
  bool always = false;  // everybody may run it, whatever the rules say: AUTH, HELLO, ...
  int subcommands = 0;  // so many follow it in the list
  int parent = -1;      // of a subcommand
};

class CommandList {
 public:
  // Each command is followed by its subcommands.
  explicit CommandList(std::vector<Command> commands);

  const Command& At(uint32_t number) const { return commands_[number]; }
  uint32_t size() const { return static_cast<uint32_t>(commands_.size()); }
  // "get" or "config|get", in any case.
  std::optional<uint32_t> Find(std::string_view name) const;

 private:
  std::vector<Command> commands_;
  std::unordered_map<std::string, uint32_t> by_name_;
};

// Names of commands, categories and rules are compared without case.
std::string Lower(std::string_view text);

}  // namespace understudy::acl
