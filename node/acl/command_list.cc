#include "node/acl/command_list.h"

#include <utility>

#include "common/check.h"

namespace understudy::acl {
namespace {

constexpr std::string_view kNames[] = {
    "keyspace", "read",   "write",       "set",       "sortedset",  "list",        "hash",
    "string",   "bitmap", "hyperloglog", "geo",       "stream",     "pubsub",      "admin",
    "fast",     "slow",   "blocking",    "dangerous", "connection", "transaction", "scripting",
};

}  // namespace

std::span<const std::string_view> CategoryNames() { return kNames; }

Categories CategoryByName(std::string_view name) {
  const std::string lower = Lower(name);
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (kNames[i] == lower) return Categories{1} << i;
  }
  return 0;
}

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  return out;
}

CommandList::CommandList(std::vector<Command> commands) : commands_(std::move(commands)) {
  for (uint32_t i = 0; i < commands_.size(); ++i) {
    CHECK(by_name_.emplace(commands_[i].name, i).second);
    for (int sub = 1; sub <= commands_[i].subcommands; ++sub) {
      CHECK(commands_[i + static_cast<uint32_t>(sub)].parent == static_cast<int>(i));
    }
  }
}

std::optional<uint32_t> CommandList::Find(std::string_view name) const {
  const auto found = by_name_.find(Lower(name));
  if (found == by_name_.end()) return std::nullopt;
  return found->second;
}

}  // namespace understudy::acl
