// FUNCTION DUMP: the codes of all libraries, each as the record that an RDB file has of it, then version and checksum.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace understudy::persist {

// Appends the record of one library.
void AppendRdbFunction(std::string& out, std::string_view code);

std::string DumpFunctions(std::span<const std::string_view> codes);
// Messages are Redis's, without "ERR ".
Result<std::vector<std::string>> ParseFunctions(std::string_view payload);

}  // namespace understudy::persist
