#include "node/acl/selector.h"

#include <algorithm>
#include <charconv>

#include "node/resp/glob.h"

namespace understudy::acl {
namespace {

Status SyntaxError() { return Invalid("Syntax error"); }
Status Unknown() { return NotFound("Unknown command or category name in ACL"); }

std::string Join(std::span<const std::string> words, std::string_view prefix) {
  std::string out;
  for (const std::string& word : words) out.append(out.empty() ? "" : " ").append(prefix).append(word);
  return out;
}

}  // namespace

bool HasSpaces(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return c == ' ' || (c >= '\t' && c <= '\r') || c == '\0'; });
}

Selector::Selector(const Setting& setting)
    : all_channels_(setting.all_channels), allowed_((setting.commands.size() + 63) / 64) {}

// ---------------------------------------------------------------------------------------------- rules

Status Selector::Apply(const Setting& setting, std::string_view rule) {
  const std::string lower = Lower(rule);
  if (lower == "allkeys" || lower == "~*" || lower == "resetkeys") {
    all_keys_ = lower != "resetkeys";
    keys_.clear();
    return {};
  }
  if (lower == "allchannels" || lower == "&*" || lower == "resetchannels") {
    all_channels_ = lower != "resetchannels";
    channels_.clear();
    return {};
  }
  if (lower == "allcommands" || lower == "+@all" || lower == "nocommands" || lower == "-@all") {
    SetEverything(lower == "allcommands" || lower == "+@all");
    return {};
  }
  if (lower == "alldbs" || lower == "resetdbs") {
    all_databases_ = lower == "alldbs";
    databases_.clear();
    return {};
  }
  if (lower.starts_with("db=")) return ApplyDatabases(rule.substr(3));
  if (rule.empty()) return SyntaxError();
  const std::string_view name = rule.substr(1);
  switch (rule[0]) {
    case '~':
    case '%':
      return ApplyKeyPattern(rule);
    case '&':
      return ApplyChannel(name);
    case '+':
    case '-':
      if (name.starts_with('@')) return SetCategory(setting.commands, name, rule[0] == '+');
      if (rule[0] == '-') return RemoveCommand(setting.commands, name);
      return name.find('|') == std::string_view::npos ? AddCommand(setting.commands, name)
                                                      : AddFirstArgument(setting.commands, name);
    default:
      return SyntaxError();
  }
}

// "~pattern", "%R~pattern", "%RW~pattern"
Status Selector::ApplyKeyPattern(std::string_view rule) {
  if (all_keys_) {
    return Invalid(
        "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try "
        "'resetkeys' to start with an empty list of patterns");
  }
  Access access = kReads | kWrites;
  size_t at = 1;
  if (rule[0] == '%') {
    access = 0;
    for (; at < rule.size() && rule[at] != '~'; ++at) {
      const Access more = rule[at] == 'R' || rule[at] == 'r'   ? kReads
                          : rule[at] == 'W' || rule[at] == 'w' ? kWrites
                                                               : 0;
      if (more == 0 || (access & more) != 0) return SyntaxError();
      access |= more;
    }
    if (access == 0) return SyntaxError();
    if (at < rule.size()) ++at;
  }
  const std::string_view pattern = rule.substr(at);
  if (HasSpaces(pattern)) return SyntaxError();
  for (KeyPattern& known : keys_) {
    if (known.pattern != pattern) continue;
    known.access |= access;
    return {};
  }
  keys_.push_back({access, std::string(pattern)});
  return {};
}

Status Selector::ApplyChannel(std::string_view pattern) {
  if (all_channels_) {
    return Invalid(
        "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. "
        "Try 'resetchannels' to start with an empty list of channels");
  }
  if (HasSpaces(pattern)) return SyntaxError();
  if (std::find(channels_.begin(), channels_.end(), pattern) == channels_.end()) channels_.emplace_back(pattern);
  return {};
}

// "0,3": takes the place of what was allowed before.
Status Selector::ApplyDatabases(std::string_view numbers) {
  std::set<int> databases;
  for (size_t begin = 0; begin <= numbers.size();) {
    const size_t end = std::min(numbers.find(',', begin), numbers.size());
    int database = 0;
    const auto [rest, error] = std::from_chars(numbers.data() + begin, numbers.data() + end, database);
    if (rest != numbers.data() + end || error == std::errc::invalid_argument) return SyntaxError();
    if (error != std::errc() || database < 0) return Invalid("The provided database ID is out of range");
    databases.insert(database);
    begin = end + 1;
  }
  all_databases_ = false;
  databases_ = std::move(databases);
  return {};
}

Status Selector::AddCommand(const CommandList& commands, std::string_view name) {
  const std::optional<uint32_t> number = commands.Find(name);
  if (!number) return Unknown();
  SetCommand(commands, *number, true);
  NoteRule(commands.At(*number).name, true);
  return {};
}

// "config|get", or a first argument of a command without subcommands, "select|0".
Status Selector::AddFirstArgument(const CommandList& commands, std::string_view name) {
  const size_t bar = name.rfind('|');
  const std::optional<uint32_t> number = commands.Find(name.substr(0, bar));
  if (!number) return Unknown();
  const Command& command = commands.At(*number);
  if (command.parent >= 0) return Invalid("Allowing first-arg of a subcommand is not supported");
  if (bar + 1 == name.size()) return SyntaxError();
  if (command.subcommands > 0) return AddCommand(commands, name);
  first_arguments_[*number].insert(Lower(name.substr(bar + 1)));
  NoteRule(name, true);
  return {};
}

Status Selector::RemoveCommand(const CommandList& commands, std::string_view name) {
  const std::optional<uint32_t> number = commands.Find(name);
  if (!number) return Unknown();
  SetCommand(commands, *number, false);
  NoteRule(commands.At(*number).name, false);
  return {};
}

Status Selector::SetCategory(const CommandList& commands, std::string_view name, bool allow) {
  const Categories category = CategoryByName(name.substr(1));
  if (category == 0) return Unknown();
  for (uint32_t i = 0; i < commands.size(); ++i) {
    if (commands.At(i).categories & category) SetCommand(commands, i, allow);
  }
  NoteRule(name, allow);
  return {};
}

void Selector::SetEverything(bool allow) {
  all_commands_ = from_all_ = allow;
  std::fill(allowed_.begin(), allowed_.end(), allow ? ~uint64_t{0} : 0);
  first_arguments_.clear();
  rules_.clear();
}

void Selector::SetCommand(const CommandList& commands, uint32_t number, bool allow) {
  SetBit(number, allow);
  first_arguments_.erase(number);
  for (int i = 1; i <= commands.At(number).subcommands; ++i) SetBit(number + static_cast<uint32_t>(i), allow);
}

void Selector::SetBit(uint32_t number, bool allow) {
  const uint64_t bit = uint64_t{1} << number % 64;
  uint64_t& word = allowed_[number / 64];
  word = allow ? word | bit : word & ~bit;
}

// Earlier rules for the same name, or for parts of it, have no effect any more. The bits are up to date.
void Selector::NoteRule(std::string_view name, bool allow) {
  all_commands_ = std::all_of(allowed_.begin(), allowed_.end(), [](uint64_t word) { return word == ~uint64_t{0}; });
  const std::string lower = Lower(name);
  std::erase_if(rules_, [&](const std::string& rule) {
    const std::string_view old = std::string_view(rule).substr(1);
    return old.starts_with(lower) && (old.size() == lower.size() || old[lower.size()] == '|');
  });
  rules_.push_back((allow ? "+" : "-") + lower);
}

// ---------------------------------------------------------------------------------------------- questions

Verdict Selector::Check(const Command& command, const Request& request) const {
  if (!Allows(command, request.command)) {
    const auto found = first_arguments_.find(request.command);
    if (found == first_arguments_.end() || request.arguments.size() < 2) return {Denial::kCommand};
    if (!found->second.contains(Lower(request.arguments[1]))) return {Denial::kCommand};
  }
  if (!all_databases_) {
    for (const DatabaseUse& use : request.databases) {
      if (!AllowsDatabase(use.database)) return {Denial::kDatabase, use.argument};
    }
  }
  if (!all_keys_) {
    for (const KeyUse& key : request.keys) {
      if (!AllowsKey(key.name, key.access)) return {Denial::kKey, key.argument};
    }
  }
  if (!all_channels_) {
    for (const ChannelUse& channel : request.channels) {
      if (!AllowsChannel(channel.name, channel.pattern)) return {Denial::kChannel, channel.argument};
    }
  }
  return {};
}

bool Selector::AllowsAllKeys(Access access) const {
  return all_keys_ || std::any_of(keys_.begin(), keys_.end(), [&](const KeyPattern& pattern) {
           return (pattern.access & access) == access && resp::MatchesAll(pattern.pattern);
         });
}

bool Selector::AllowsKey(std::string_view key, Access access) const {
  return all_keys_ || std::any_of(keys_.begin(), keys_.end(), [&](const KeyPattern& pattern) {
           return (pattern.access & access) == access &&
                  (resp::MatchesAll(pattern.pattern) || resp::GlobMatch(pattern.pattern, key));
         });
}

bool Selector::AllowsChannel(std::string_view channel, bool pattern) const {
  return all_channels_ || std::any_of(channels_.begin(), channels_.end(), [&](const std::string& allowed) {
           if (pattern) return allowed == channel;
           return resp::MatchesAll(allowed) || resp::GlobMatch(allowed, channel);
         });
}

bool Selector::AllowsDatabase(int database) const { return all_databases_ || databases_.contains(database); }

// ---------------------------------------------------------------------------------------------- texts

std::string Selector::Commands() const {
  std::string out = from_all_ ? "+@all" : "-@all";
  if (!rules_.empty()) out += " " + Join(rules_, "");
  return out;
}

std::string Selector::Keys() const {
  if (all_keys_) return "~*";
  std::string out;
  for (const KeyPattern& key : keys_) {
    if (!out.empty()) out += " ";
    out += (key.access == kReads ? "%R~" : key.access == kWrites ? "%W~" : "~") + key.pattern;
  }
  return out;
}

std::string Selector::Channels() const { return all_channels_ ? "&*" : Join(channels_, "&"); }

std::string Selector::Databases() const {
  if (all_databases_) return "alldbs";
  std::string out;
  for (const int database : databases_) out += (out.empty() ? "db=" : ",") + std::to_string(database);
  return out;
}

std::string Selector::Describe() const {
  const std::string keys = Keys(), channels = Channels();
  std::string out = keys + (keys.empty() ? "" : " ");
  if (!all_channels_) out += "resetchannels ";
  out += channels + (channels.empty() ? "" : " ");
  if (!all_databases_) out += (databases_.empty() ? "resetdbs" : Databases()) + " ";
  return out + Commands();
}

}  // namespace understudy::acl
