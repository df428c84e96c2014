#include "node/acl/user_list.h"

#include <utility>
#include <vector>

namespace understudy::acl {
namespace {

std::string_view Trim(std::string_view text, std::string_view what) {
  const size_t first = text.find_first_not_of(what);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(what) - first + 1);
}

std::vector<std::string_view> Split(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const size_t end = line.find(' ');
    words.push_back(line.substr(0, end));
    if (end == std::string_view::npos) return words;
    line.remove_prefix(end + 1);
  }
}

// The rules of one line; what is wrong with them.
std::string ApplyLine(const Setting& setting, std::span<const std::string_view> words, const std::string& where,
                      User* user) {
  size_t first_open = 0;
  const Result<std::vector<std::string>> rules = JoinSelectors(words, &first_open);
  if (!rules.ok()) return where + ": Unmatched parenthesis in selector definition. ";
  std::string errors;
  bool told = false;
  for (const std::string& rule : *rules) {
    const std::string_view trimmed = Trim(rule, "\t\r\n");
    const Status status = user->Apply(setting, trimmed);
    if (status.ok()) continue;
    const std::string why(status.message());
    if (status.code() == Code::kNotFound) {
      // Names a command, not a secret.
      errors += where + ": Error in applying operation '" + std::string(trimmed) + "': " + why + ". ";
    } else if (!told) {
      errors += where + ": " + why + ". ";
      told = true;
    }
  }
  return errors;
}

}  // namespace

Result<Users> ParseUsers(std::string_view text, std::string_view source, const Setting& setting) {
  Users users;
  std::string errors;
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    const std::string_view line = Trim(text.substr(0, end), " \t\r\n");
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty()) continue;
    const std::vector<std::string_view> words = Split(line);
    const std::string where = std::string(source) + ":" + std::to_string(number);
    if (words[0] != "user" || words.size() < 2) {
      errors += where + " should start with user keyword followed by the username. ";
      continue;
    }
    const std::string name(words[1]);
    if (HasSpaces(name)) {
      errors += "'" + where + ": username '" + name + "' contains invalid characters. ";
      continue;
    }
    if (users.contains(name)) {
      errors += "WARNING: Duplicate user '" + name + "' found on line " + std::to_string(number) + ". ";
      continue;
    }
    User user(name, setting);
    errors += ApplyLine(setting, std::span(words).subspan(2), where, &user);
    users.emplace(name, std::make_shared<const User>(std::move(user)));
  }
  if (!errors.empty()) {
    return Invalid(errors + "WARNING: ACL errors detected, no change to the previously active ACL rules was performed");
  }
  if (!users.contains(kDefaultUser)) {
    users.emplace(kDefaultUser, std::make_shared<const User>(User::Default(setting)));
  }
  return users;
}

std::string FormatUsers(const Users& users) {
  std::string out;
  for (const auto& [name, user] : users) out += FormatUser(*user) + "\n";
  return out;
}

std::string FormatUser(const User& user) { return "user " + user.name() + " " + user.Describe(); }

}  // namespace understudy::acl
