// What COMMAND tells of commands beside their rows. Commands by their full names: "get", "config|get".
#pragma once

#include <string_view>
#include <vector>

namespace understudy::command {

// Hints for clients and proxies, as whether the same call may answer otherwise, or how the answers of several servers
// add up. Usually none.
std::vector<std::string_view> TipsOf(std::string_view command);
// In O notation. Not for commands that have subcommands.
std::string_view ComplexityOf(std::string_view command);

}  // namespace understudy::command
