#include "node/replication/resync_rules.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include <spdlog/fmt/fmt.h>

#include "node/persist/rdb_format.h"

namespace understudy::replication {
namespace {

std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const size_t begin = line.find_first_not_of(' ');
    if (begin == std::string_view::npos) return words;
    const size_t end = std::min(line.find(' ', begin), line.size());
    words.push_back(line.substr(begin, end - begin));
    line.remove_prefix(end);
  }
}

bool ParseNumber(std::string_view text, uint64_t* out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string FormatFullResync(const std::string& replid, uint64_t offset, bool own_node, bool beside,
                             std::optional<uint64_t> parted_at) {
  std::string line = fmt::format("+FULLRESYNC {} {}", replid, offset);
  if (own_node) line += beside ? " beside" : " replace";
  if (own_node && parted_at) line += fmt::format(" {}", *parted_at);
  return line;
}

int RdbVersionFor(bool own_node, bool rdb_only, std::string_view version) {
  if (own_node) return persist::kValkeyRdbVersion;
  if (version.empty()) return rdb_only ? persist::kRdbVersion : persist::kOldRdbVersion;
  int major = 0;
  std::from_chars(version.data(), version.data() + version.size(), major);
  return major >= 9 ? persist::kValkeyRdbVersion : persist::kRdbVersion;
}

bool IsReplid(std::string_view text) {
  return text.size() == 40 && text.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
}

ResyncDecision DecideResync(const LogView& log, std::string_view replid, int64_t wanted_offset) {
  if (replid == "?") return {false, 0, "it asks for a full copy", {}};
  if (!log.active) return {false, 0, "no backlog is kept", {}};
  if (wanted_offset < 1) return {false, 0, fmt::format("offset {} is not one of a stream", wanted_offset), {}};
  const uint64_t position = static_cast<uint64_t>(wanted_offset) - 1;
  if (replid != log.history.replid) {
    const auto& ancestors = log.history.ancestors;
    const auto it = std::find_if(ancestors.begin(), ancestors.end(),
                                 [&](const Ancestor& a) { return a.replid == replid; });
    if (it == ancestors.end()) return {false, 0, fmt::format("history {} is not known here", replid), {}};
    if (position > it->end) {
      return {false, 0, fmt::format("history {} was left at offset {}, the replica is at {}", replid, it->end,
                                    position),
              it->end};
    }
  }
  if (position < log.first) {
    return {false, 0, fmt::format("the backlog begins at offset {}, the replica is at {}", log.first, position), {}};
  }
  if (position > log.end) {
    return {false, 0, fmt::format("the replica is at offset {}, ahead of {}", position, log.end), log.end};
  }
  return {true, position, "", {}};
}

Result<PsyncAnswer> ParsePsyncAnswer(std::string_view line) {
  PsyncAnswer answer;
  answer.text = line;
  const std::vector<std::string_view> words = Words(line);
  if (words.empty()) return Internal("an empty answer to PSYNC");
  if (words[0] == "+CONTINUE") {
    answer.kind = PsyncAnswer::Kind::kContinue;
    if (words.size() >= 2) {
      if (!IsReplid(words[1])) return Internal(fmt::format("'{}' names no history id", line));
      answer.replid = words[1];
    }
    return answer;
  }
  if (words[0] == "+FULLRESYNC") {
    answer.kind = PsyncAnswer::Kind::kFullCopy;
    if (words.size() < 3 || !IsReplid(words[1])) {
      return Internal(fmt::format("'{}' is not +FULLRESYNC <history id> <offset>", line));
    }
    answer.replid = words[1];
    if (!ParseNumber(words[2], &answer.offset)) return Internal(fmt::format("'{}' has no offset", line));
    answer.beside = words.size() >= 4 && words[3] == "beside";
    if (words.size() >= 5) {
      uint64_t parted_at = 0;
      if (!ParseNumber(words[4], &parted_at)) return Internal(fmt::format("'{}' has a bad last word", line));
      answer.parted_at = parted_at;
    }
    return answer;
  }
  if (words[0] == "-NEEDSFULLCOPY") {
    answer.kind = PsyncAnswer::Kind::kLeaveVotersFirst;
    return answer;
  }
  if (words[0].starts_with('-')) return answer;
  return Internal(fmt::format("'{}' is no answer to PSYNC", line));
}

}  // namespace understudy::replication
