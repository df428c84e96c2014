// A small command table for tests of users' rules: commands with keys, with subcommands, with channels, and one that is
// always allowed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "node/acl/user_list.h"

namespace understudy::acl {

inline CommandList SomeCommands() {
  using enum Category;
  std::vector<Command> commands;
  const auto add = [&](std::string name, std::vector<Category> categories, int subcommands = 0, int parent = -1) {
    Command& command = commands.emplace_back();
    command.name = std::move(name);
    for (const Category category : categories) command.categories |= Bit(category);
    command.subcommands = subcommands;
    command.parent = parent;
  };
  add("get", {kRead, kString, kFast});
  add("set", {kWrite, kString, kSlow});
  add("del", {kWrite, kKeyspace, kSlow});
  add("select", {kConnection, kFast});
  add("config", {kSlow}, 2);
  add("config|get", {kAdmin, kSlow, kDangerous}, 0, 4);
  add("config|set", {kAdmin, kSlow, kDangerous}, 0, 4);
  add("publish", {kPubsub, kFast});
  add("psubscribe", {kPubsub, kSlow});
  add("auth", {kConnection, kFast});
  commands.back().always = true;
  // Beyond one word of a bitmap.
  for (int i = 0; i < 60; ++i) add("list" + std::to_string(i), {kList, kWrite, kSlow});
  add("last", {kList, kRead, kFast});
  return CommandList(std::move(commands));
}

}  // namespace understudy::acl
