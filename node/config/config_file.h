// The configuration file as CONFIG REWRITE writes it, and how a small file is replaced.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "node/config/config.h"

namespace understudy::config {

// Lines of options that the running server, not Config, knows best ("user", "replicaof"), without the option's name;
// none = the option does not stand in the file.
using LiveLines = std::map<std::string, std::vector<std::string>, std::less<>>;

// text: the file as it is. Comments and the order stay; the line of an option gets the value of now, and options
// that have another value than by default and no line yet are added at the end. all: also those that have not.
std::string RewriteConfig(std::string_view text, const Config& config, const LiveLines& live, bool all = false);

// Writes the whole text under another name beside it, on the disk, then renames it. The message names the file.
Status ReplaceFile(const std::string& path, std::string_view text);

}  // namespace understudy::config
