// What SCAN and its like for one key (HSCAN, SSCAN, ZSCAN) take: where to go on, how far, which names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "node/resp/glob.h"
#include "node/resp/writer.h"
#include "node/store/entry.h"

namespace understudy::command {

struct ScanOptions {
  uint64_t cursor = 0;
  size_t count = 10;
  std::string_view pattern = "*";
  std::optional<std::string_view> type;  // of SCAN; none: all
  bool only_names = false;  // NOVALUES of HSCAN, NOSCORES of ZSCAN

  bool Matches(std::string_view name) const { return resp::MatchesAll(pattern) || resp::GlobMatch(pattern, name); }
};

// Both: false after the error reply. scanned: the type of the value that is scanned; none for the keyspace.
bool ReadScanCursor(std::string_view text, uint64_t* cursor, resp::Writer& reply);
bool ReadScanOptions(std::span<const std::string_view> words, std::optional<store::Type> scanned, ScanOptions* out,
                     resp::Writer& reply);

}  // namespace understudy::command
