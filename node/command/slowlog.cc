#include "node/command/slowlog.h"

#include <algorithm>

#include "node/acl/command_list.h"

namespace understudy::command {
namespace {
constexpr size_t kMostArguments = 32;
constexpr size_t kMostBytes = 128;

// The options of CONFIG SET that are passwords.
bool IsSecretOption(std::string_view name) {
  const std::string lower = acl::Lower(name);
  return lower == "requirepass" || lower == "masterauth" || lower == "masteruser";
}

}  // namespace

std::vector<std::string_view> WithoutSecrets(std::string_view command, std::span<const std::string_view> args) {
  std::vector<std::string_view> shown(args.begin(), args.end());
  const auto hide = [&](size_t first, size_t end) {
    for (size_t i = first; i < std::min(end, shown.size()); ++i) shown[i] = "(redacted)";
  };
  if (command == "auth") hide(1, args.size());
  if (command == "acl|setuser" || command == "acl|getuser" || command == "acl|deluser") hide(2, args.size());
  for (size_t i = 1; i < args.size(); ++i) {
    if (command == "hello" && acl::Lower(args[i]) == "auth") hide(i + 1, i + 3);
    if (command == "config|set" && IsSecretOption(args[i])) hide(i + 1, i + 2);
  }
  return shown;
}

void Slowlog::Add(std::span<const std::string_view> args, int64_t unix_s, int64_t us, std::string_view peer,
                  std::string_view name, size_t most) {
  Entry entry{0, unix_s, us, {}, std::string(peer), std::string(name)};
  const size_t shown = std::min(args.size(), kMostArguments);
  for (size_t i = 0; i < shown; ++i) {
    if (i == kMostArguments - 1 && args.size() > kMostArguments) {
      entry.arguments.push_back("... (" + std::to_string(args.size() - i) + " more arguments)");
      break;
    }
    std::string text(args[i].substr(0, kMostBytes));
    if (args[i].size() > kMostBytes) text += "... (" + std::to_string(args[i].size() - kMostBytes) + " more bytes)";
    entry.arguments.push_back(std::move(text));
  }
  std::lock_guard lock(mutex_);
  entry.id = next_id_++;
  entries_.push_front(std::move(entry));
  while (entries_.size() > most) entries_.pop_back();
}

std::vector<Slowlog::Entry> Slowlog::Get(int64_t count) const {
  std::lock_guard lock(mutex_);
  const size_t n = count < 0 ? entries_.size() : std::min(entries_.size(), static_cast<size_t>(count));
  return {entries_.begin(), entries_.begin() + static_cast<ptrdiff_t>(n)};
}

size_t Slowlog::size() const {
  std::lock_guard lock(mutex_);
  return entries_.size();
}

void Slowlog::Clear() {
  std::lock_guard lock(mutex_);
  entries_.clear();
}

}  // namespace understudy::command
