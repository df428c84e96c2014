#include "node/script/flags.h"

#include <algorithm>
#include <cctype>

namespace understudy::script {
namespace {

constexpr struct {
  std::string_view name;
  uint32_t flag;
} kFlags[] = {{"no-writes", kNoWrites},
              {"allow-oom", kAllowOom},
              {"allow-stale", kAllowStale},
              {"no-cluster", kNoCluster},
              {"allow-cross-slot-keys", kAllowCrossSlotKeys}};

std::vector<std::string_view> SplitWords(std::string_view text) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const size_t end = std::min(text.find_first_of(" \t\r"), text.size());
    if (end > 0) parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

}  // namespace

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

bool IsName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_';
  });
}

std::optional<uint32_t> FlagByName(std::string_view name) {
  for (const auto& known : kFlags) {
    if (known.name == name) return known.flag;
  }
  return std::nullopt;
}

std::vector<std::string_view> FlagNames(uint32_t flags) {
  std::vector<std::string_view> names;
  for (const auto& known : kFlags) {
    if (flags & known.flag) names.push_back(known.name);
  }
  return names;
}

Result<Shebang> ReadShebang(std::string_view body) {
  if (!body.starts_with("#!")) return Shebang{kSaysNothing, body};
  const size_t end = body.find('\n');
  if (end == std::string_view::npos) return Invalid("Invalid script shebang");
  const std::vector<std::string_view> words = SplitWords(body.substr(0, end));
  if (words[0] != "#!lua") return Invalid("Unexpected engine in script shebang: " + std::string(words[0]));
  Shebang shebang{0, body.substr(end)};
  for (const std::string_view word : std::span(words).subspan(1)) {
    if (!word.starts_with("flags=")) return Invalid("Unknown lua shebang option: " + std::string(word));
    std::string_view names = word.substr(6);
    while (!names.empty()) {
      const size_t comma = names.find(',');
      const std::string_view name = names.substr(0, comma);
      const std::optional<uint32_t> flag = FlagByName(name);
      if (!flag) return Invalid("Unexpected flag in script shebang: " + std::string(name));
      shebang.flags |= *flag;
      if (comma == std::string_view::npos) break;
      names.remove_prefix(comma + 1);
      if (names.empty()) return Invalid("Unexpected flag in script shebang: ");
    }
  }
  return shebang;
}

Result<LibraryHead> ReadLibraryHead(std::string_view body) {
  if (!body.starts_with("#!")) return Invalid("Missing library metadata");
  const size_t end = body.find('\n');
  if (end == std::string_view::npos) return Invalid("Invalid library metadata");
  const std::vector<std::string_view> words = SplitWords(body.substr(0, end));
  bool named = false;
  LibraryHead head{{}, body.substr(end)};
  for (const std::string_view word : std::span(words).subspan(1)) {
    if (!Lower(word).starts_with("name=")) return Invalid("Invalid metadata value given: " + std::string(word));
    if (named) return Invalid("Invalid metadata value, name argument was given multiple times");
    named = true;
    head.name = word.substr(5);
  }
  if (!named) return Invalid("Library name was not given");
  if (!IsName(head.name)) {
    return Invalid("Library names can only contain letters, numbers, or underscores(_) and must be at least one "
                   "character long");
  }
  const std::string_view engine = words[0].substr(2);
  if (Lower(engine) != "lua") return Invalid("Engine '" + std::string(engine) + "' not found");
  return head;
}

}  // namespace understudy::script
