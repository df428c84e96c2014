#include "node/acl/user.h"

#include <algorithm>
#include <utility>

#include "common/crypto.h"
#include "node/resp/parser.h"

namespace understudy::acl {
namespace {

constexpr size_t kHashDigits = 2 * crypto::kHashBytes;

bool IsHash(std::string_view text) {
  return text.size() == kHashDigits &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

User::User(std::string name, const Setting& setting) : name_(std::move(name)), commands_(&setting.commands) {
  selectors_.emplace_back(setting);
}

User User::Default(const Setting& setting) {
  User user{std::string(kDefaultUser), setting};
  for (const std::string_view rule : {"+@all", "~*", "&*", "on", "nopass"}) CHECK(user.Apply(setting, rule).ok());
  return user;
}

// ---------------------------------------------------------------------------------------------- rules

Status User::Apply(const Setting& setting, std::string_view rule) {
  if (rule.empty()) return {};
  const std::string lower = Lower(rule);
  Status status;
  if (lower == "on" || lower == "off") {
    enabled_ = lower == "on";
  } else if (lower == "nopass" || lower == "resetpass") {
    no_password_ = lower == "nopass";
    passwords_.clear();
  } else if (lower == "skip-sanitize-payload" || lower == "sanitize-payload") {
    skips_checks_ = lower == "skip-sanitize-payload";
  } else if (rule[0] == '>' || rule[0] == '#' || rule[0] == '<' || rule[0] == '!') {
    status = ApplyPassword(rule);
  } else if (rule[0] == '(' && rule.back() == ')') {
    status = AddSelector(setting, rule);
  } else if (lower == "clearselectors") {
    selectors_.erase(selectors_.begin() + 1, selectors_.end());
  } else if (lower == "reset") {
    Reset(setting);
  } else {
    status = selectors_[0].Apply(setting, rule);
  }
  restricted_to_databases_ =
      std::any_of(selectors_.begin(), selectors_.end(), [](const Selector& s) { return !s.all_databases(); });
  everything_ = std::any_of(selectors_.begin(), selectors_.end(), [](const Selector& s) { return s.everything(); });
  return status;
}

Status User::ApplyPassword(std::string_view rule) {
  const bool adds = rule[0] == '>' || rule[0] == '#';
  const bool in_clear = rule[0] == '>' || rule[0] == '<';
  if (!in_clear && !IsHash(rule.substr(1))) {
    return Invalid("The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters");
  }
  const std::string hash = in_clear ? crypto::Sha256Hex(rule.substr(1)) : std::string(rule.substr(1));
  const auto known = std::find(passwords_.begin(), passwords_.end(), hash);
  if (adds) {
    if (known == passwords_.end()) passwords_.push_back(hash);
    no_password_ = false;
    return {};
  }
  if (known == passwords_.end()) return Invalid("The password you are trying to remove from the user does not exist");
  passwords_.erase(known);
  return {};
}

Status User::AddSelector(const Setting& setting, std::string_view rule) {
  std::vector<std::string> words;
  // Quotes that don't match leave no words, and so a selector that allows nothing.
  if (!resp::SplitInline(rule.size() < 2 ? "" : rule.substr(1, rule.size() - 2), &words)) words.clear();
  Selector selector(setting);
  for (const std::string& word : words) RETURN_IF_ERROR(selector.Apply(setting, word));
  selectors_.push_back(std::move(selector));
  return {};
}

void User::Reset(const Setting& setting) {
  enabled_ = no_password_ = skips_checks_ = false;
  passwords_.clear();
  selectors_.clear();
  selectors_.emplace_back(setting);
}

Status User::ApplyAll(const Setting& setting, std::span<const std::string_view> words) {
  size_t first_open = 0;
  const Result<std::vector<std::string>> rules = JoinSelectors(words, &first_open);
  if (!rules.ok()) return rules.status();
  for (const std::string& rule : *rules) {
    const Status status = Apply(setting, rule);
    if (status.ok()) continue;
    return Status(status.code(), "Error in ACL SETUSER modifier '" + rule + "': " + std::string(status.message()));
  }
  return {};
}

void User::SetOnlyPassword(std::string_view password) {
  passwords_.clear();
  no_password_ = password.empty();
  if (!no_password_) passwords_.push_back(crypto::Sha256Hex(password));
}

Result<std::vector<std::string>> JoinSelectors(std::span<const std::string_view> words, size_t* first_open) {
  std::vector<std::string> out;
  bool open = false;
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    if (open) {
      out.back().append(" ").append(word);
    } else {
      out.emplace_back(word);
      *first_open = i;
      open = word.starts_with('(');
    }
    open = open && !word.ends_with(')');
  }
  if (!open) return out;
  return Invalid("Unmatched parenthesis in acl selector starting at '" + std::string(words[*first_open]) + "'.");
}

// ---------------------------------------------------------------------------------------------- questions

bool User::MayLogIn(std::string_view password) const {
  if (!enabled_) return false;
  if (no_password_) return true;
  const std::string hash = crypto::Sha256Hex(password);
  bool found = false;
  for (const std::string& known : passwords_) found |= crypto::EqualInConstantTime(hash, known);
  return found;
}

bool User::AllowsAnyArguments(uint32_t command) const {
  return everything_ || std::any_of(selectors_.begin(), selectors_.end(), [&](const Selector& s) {
           return s.all_keys() && s.all_channels() && s.all_databases() && s.Allows(commands_->At(command), command);
         });
}

Verdict User::Check(const Request& request) const {
  if (everything_) return {};
  const Command& command = commands_->At(request.command);
  // Of several reasons the one is told that came closest to being allowed.
  Verdict told;
  for (const Selector& selector : selectors_) {
    const Verdict verdict = selector.Check(command, request);
    if (verdict.allowed()) return verdict;
    if (verdict.denial > told.denial || (verdict.denial == told.denial && verdict.argument > told.argument))
      told = verdict;
  }
  return told;
}

bool User::AllowsAllKeys(const Request& request, Access access) const {
  const Command& command = commands_->At(request.command);
  return everything_ || std::any_of(selectors_.begin(), selectors_.end(), [&](const Selector& s) {
           return s.Check(command, request).allowed() && s.AllowsAllKeys(access);
         });
}

bool User::AllowsChannel(std::string_view channel, bool pattern) const {
  return std::any_of(selectors_.begin(), selectors_.end(),
                     [&](const Selector& s) { return s.AllowsChannel(channel, pattern); });
}

bool LosesChannels(const User& before, const User& after, const Subscriptions& subscriptions) {
  const auto any_all = [](const User& user) {
    return std::any_of(user.selectors().begin(), user.selectors().end(),
                       [](const Selector& s) { return s.all_channels(); });
  };
  if (any_all(after)) return false;
  bool kept = !any_all(before);
  for (const Selector& selector : before.selectors()) {
    for (const std::string& rule : selector.channels()) kept = kept && after.AllowsChannel(rule, true);
  }
  if (kept) return false;
  const auto lost = [&](std::span<const std::string_view> names, bool patterns) {
    return std::any_of(names.begin(), names.end(),
                       [&](std::string_view name) { return !after.AllowsChannel(name, patterns); });
  };
  return lost(subscriptions.patterns, true) || lost(subscriptions.channels, false);
}

// ---------------------------------------------------------------------------------------------- texts

std::vector<std::string_view> User::Flags() const {
  std::vector<std::string_view> flags = {enabled_ ? "on" : "off"};
  if (no_password_) flags.push_back("nopass");
  flags.push_back(skips_checks_ ? "skip-sanitize-payload" : "sanitize-payload");
  return flags;
}

std::string User::Describe() const {
  std::string out;
  for (const std::string_view flag : Flags()) out.append(flag).append(" ");
  for (const std::string& password : passwords_) out += "#" + password + " ";
  out += selectors_[0].Describe();
  for (size_t i = 1; i < selectors_.size(); ++i) out += " (" + selectors_[i].Describe() + ")";
  return out;
}

}  // namespace understudy::acl
