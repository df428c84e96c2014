#include "node/config/declaration.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "common/log.h"

namespace understudy::config {
namespace {

// Bound what a heartbeat carries.
constexpr size_t kLongestValue = 100;
constexpr size_t kLongestReason = 200;  // the eviction policies, all named
constexpr size_t kMostOpen = 128;

std::string Cut(std::string text, size_t longest) {
  if (text.size() > longest) text = text.substr(0, longest) + "...";
  return text;
}

std::string KeyOf(const std::string& name) {
  const Option* option = FindOption(name);
  return option == nullptr ? name : std::string(option->name);
}

// As the process would start with it.
Status LoadOne(const std::string& name, const std::string& value, Config* into) {
  const std::vector<std::string> arguments = {"--" + name, value};
  return into->Load(arguments);
}

}  // namespace

Declaration::Declaration(Config& config, std::span<const std::string> arguments) : config_(config) {
  control::Parameters started;
  const bool has_file = !arguments.empty() && !arguments[0].starts_with("--");
  for (const GivenOption& given : SplitArguments(arguments.subspan(has_file ? 1 : 0))) {
    std::string value;
    for (const std::string& word : given.words) value += (&word == &given.words[0] ? "" : " ") + word;
    in_force_[KeyOf(given.name)] = {given.name, value};
    started.values.push_back({given.name, value});
  }
  state_.taken = control::ParametersHash(started);
}

void Declaration::Take(const control::Parameters& declared) {
  state_.open.clear();
  state_.taken = control::ParametersHash(declared);
  std::map<std::string, Given> wanted;
  for (const control::Parameter& one : declared.values) wanted[KeyOf(one.name)] = {one.name, one.value};
  std::vector<std::string> keys;
  for (const auto& [key, given] : wanted) keys.push_back(key);
  for (const auto& [key, given] : in_force_) {
    if (!wanted.contains(key)) keys.push_back(key);
  }
  for (const std::string& key : keys) {
    const auto it = wanted.find(key);
    const bool held = std::any_of(declared.hold.begin(), declared.hold.end(),
                                  [&](const std::string& name) { return KeyOf(name) == key; });
    TakeOne(key, it == wanted.end() ? nullptr : &it->second, held);
  }
}

void Declaration::TakeOne(const std::string& key, const Given* declared, bool held) {
  const auto it = in_force_.find(key);
  const Given* before = it == in_force_.end() ? nullptr : &it->second;
  if (before != nullptr && declared != nullptr && before->value == declared->value) return;
  const Option* option = FindOption(key);
  const std::string& name = declared != nullptr ? declared->name : before->name;

  Config then, now;  // with nothing but this option
  if (declared != nullptr) {
    const Status status = LoadOne(declared->name, declared->value, &then);
    if (!status.ok()) {
      const std::string prefix = "--" + declared->name + ": ";
      std::string reason(status.message());
      if (reason.starts_with(prefix)) reason.erase(0, prefix.size());
      return LeaveOpen(option, name, before, std::move(reason));
    }
  }
  if (option == nullptr) return;
  // What needs other options beside it is no such option.
  if (before != nullptr && !LoadOne(before->name, before->value, &now).ok()) return LeaveOpen(option, name, before, "");
  if (option->get == nullptr) return LeaveOpen(option, name, before, "");
  const std::string value = option->get(then);
  if (value != option->get(now)) {
    if (held || !(option->flags & kLive)) return LeaveOpen(option, name, before, "");
    const std::pair<std::string_view, std::string_view> change[] = {{option->name, value}};
    const Status status = config_.Set(change, {});
    if (!status.ok()) return LeaveOpen(option, name, before, std::string(status.message()));
    LOG_INFO("option {} is {} now: {}", option->name, (option->flags & kSecret) ? "another" : value,
             declared == nullptr ? "it is declared no more" : "as declared");
  }
  if (declared == nullptr) {
    in_force_.erase(key);
  } else {
    in_force_[key] = *declared;
  }
}

void Declaration::LeaveOpen(const Option* option, const std::string& name, const Given* before, std::string reason) {
  if (state_.open.size() == kMostOpen) return;
  std::string value = before == nullptr ? "" : before->value;
  if (option != nullptr && (option->flags & kSecret) && !value.empty()) value = "(secret)";
  state_.open.push_back({name, Cut(std::move(value), kLongestValue), Cut(std::move(reason), kLongestReason)});
}

}  // namespace understudy::config
