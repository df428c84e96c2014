#include "node/config/config.h"

#include <glob.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "node/config/option_table.h"
#include "node/resp/glob.h"
#include "node/resp/parser.h"

namespace understudy::config {
namespace {

bool SameName(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
         });
}

Status Failed(std::string_view name, std::string_view why) {
  return Invalid("CONFIG SET failed (possibly related to argument '" + std::string(name) + "') - " + std::string(why));
}

// Of an `include`: a pattern may name no file, a name must.
std::vector<std::string> FilesOf(const std::string& name) {
  if (name.find_first_of("*?[") == std::string::npos) return {name};
  std::vector<std::string> out;
  glob_t found{};
  if (glob(name.c_str(), 0, nullptr, &found) == 0) out.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  return out;
}

}  // namespace

const Option* FindOption(std::string_view name) {
  for (const Option& option : Options()) {
    if (SameName(option.name, name) || (!option.alias.empty() && SameName(option.alias, name))) return &option;
  }
  return nullptr;
}

Config::Config() = default;

types::Limits Config::limits() const {
  const auto size = [](const std::atomic<int64_t>& option) {
    return static_cast<size_t>(option.load(std::memory_order_relaxed));
  };
  types::Limits limits;
  limits.hash_max_listpack_entries = size(hash_max_listpack_entries);
  limits.hash_max_listpack_value = size(hash_max_listpack_value);
  limits.set_max_intset_entries = size(set_max_intset_entries);
  limits.set_max_listpack_entries = size(set_max_listpack_entries);
  limits.set_max_listpack_value = size(set_max_listpack_value);
  limits.zset_max_listpack_entries = size(zset_max_listpack_entries);
  limits.zset_max_listpack_value = size(zset_max_listpack_value);
  limits.stream_node_max_bytes = size(stream_node_max_bytes);
  limits.stream_node_max_entries = size(stream_node_max_entries);
  limits.list_max_listpack_size = list_max_listpack_size.load(std::memory_order_relaxed);
  return limits;
}

OutputLimit Config::normal_limit() const {
  std::lock_guard lock(mutex_);
  return normal_limit_;
}

OutputLimit Config::replica_limit() const {
  std::lock_guard lock(mutex_);
  return replica_limit_;
}

OutputLimit Config::pubsub_limit() const {
  std::lock_guard lock(mutex_);
  return pubsub_limit_;
}

Status Config::Apply(std::string_view name, std::span<const std::string> words, bool at_start) {
  const Option* option = FindOption(name);
  if (option == nullptr) {
    return NotFound("'" + std::string(name) + "' is not an option; understudy-node --help lists them all");
  }
  if (!at_start && !(option->flags & kLive)) return Invalid("can't set immutable config");
  const bool enough = !words.empty() || (option->flags & kSwitch);
  if (!enough || (words.size() > 1 && !(option->flags & kManyWords))) {
    return Invalid("wrong number of arguments: it takes " + std::string(option->takes));
  }
  return option->set(*this, words);
}

Status Config::LoadFile(const std::string& path, int depth) {
  constexpr int kDeepest = 8;
  if (depth > kDeepest) return Invalid("configuration files include each other more than 8 deep: '" + path + "'");
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  if (!in) return NotFound("can't read the configuration file '" + path + "'");
  return LoadText(text.str(), path, depth);
}

Status Config::LoadText(std::string_view text, std::string_view source, int depth) {
  int line_number = 0;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++line_number;
    const std::string where = std::string(source) + ", line " + std::to_string(line_number);
    const size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string_view::npos || line[first] == '#') continue;
    std::vector<std::string> words;
    if (!resp::SplitInline(line, &words)) return Invalid(where + ": quotes don't match");
    if (words.empty()) continue;  // a zero byte, or white space of other kinds
    const std::string name = words[0];
    if (SameName(name, "include") && words.size() == 2) {
      for (const std::string& path : FilesOf(words[1])) RETURN_IF_ERROR(LoadFile(path, depth + 1));
      continue;
    }
    const Status status = Apply(name, std::span(words).subspan(1), true);
    if (!status.ok()) {
      const std::string context = status.code() == Code::kNotFound ? where : where + ": " + name;
      return status.Prefixed(context);
    }
  }
  return {};
}

std::vector<GivenOption> SplitArguments(std::span<const std::string> arguments) {
  std::vector<GivenOption> out;
  for (size_t i = 0; i < arguments.size();) {
    GivenOption given;
    if (!resp::SplitInline(std::string_view(arguments[i]).substr(2), &given.words) || given.words.empty()) {
      given.words = {arguments[i].substr(2)};
    }
    ++i;
    given.name = given.words[0];
    given.words.erase(given.words.begin());
    const Option* option = FindOption(given.name);
    const bool needs_none = option != nullptr && (option->flags & kSwitch);
    if (given.words.empty() && !needs_none && i < arguments.size()) given.words.push_back(arguments[i++]);
    for (; i < arguments.size() && !arguments[i].starts_with("--"); ++i) given.words.push_back(arguments[i]);
    out.push_back(std::move(given));
  }
  return out;
}

Status Config::Load(std::span<const std::string> arguments) {
  size_t i = 0;
  if (i < arguments.size() && !arguments[i].starts_with("-")) {
    file = std::filesystem::absolute(arguments[i]).string();
    RETURN_IF_ERROR(LoadFile(arguments[i], 0));
    ++i;
  }
  if (i < arguments.size() && !arguments[i].starts_with("--")) {
    return Invalid("'" + arguments[i] + "' is not expected here; usage: understudy-node [redis.conf] [--name value ...]");
  }
  save_adds_up_ = false;
  for (GivenOption& given : SplitArguments(arguments.subspan(i))) {
    // A value that was handed over as one argument, as in a Pod: "normal 0 0 0".
    const Option* option = FindOption(given.name);
    if (option != nullptr && (option->flags & kManyWords) && given.words.size() == 1) {
      const std::string text = std::move(given.words[0]);
      given.words.clear();
      if (!resp::SplitInline(text, &given.words)) return Invalid("--" + given.name + ": quotes don't match");
    }
    const Status status = Apply(given.name, given.words, true);
    if (!status.ok()) return status.code() == Code::kNotFound ? status : status.Prefixed("--" + given.name);
  }
  if (standalone && !admin_port_given) admin_port = 0;
  if (!standalone && !max_clients_memory_given) max_clients_memory = -50;
  if (!standalone && admin_port == 0) return Invalid("admin-port 0 is allowed only with --standalone");
  if (!acl_file.empty() && !users.empty()) {
    return Invalid("users are given by 'user' and by 'aclfile': only one of the two may be used");
  }
  if (!standalone && !renamed_commands.empty()) return Invalid("rename-command is allowed only with --standalone");
  if (!standalone && !replica_of_host.empty()) return Invalid("replicaof is allowed only with --standalone");
  if (!standalone && save_given_ && !save_points_.empty()) {
    return Invalid("save points are allowed only with --standalone: in a group replicas keep the data");
  }
  if (!standalone) save_points_.clear();
  if (!standalone && !shutdown_timeout_given) shutdown_timeout_s = 25;
  // Whoever starts the process changes to it, and says what is wrong with it.
  if (char* path = realpath(dir_.c_str(), nullptr); path != nullptr) {
    dir_ = path;
    free(path);
  }
  loading_ = false;
  return {};
}

std::vector<Config::Pair> Config::Get(std::span<const std::string_view> patterns) const {
  std::vector<Pair> out;
  for (const Option& option : Options()) {
    for (const std::string_view name : {option.name, option.alias}) {
      if (name.empty() || option.get == nullptr) continue;
      const bool matches = std::any_of(patterns.begin(), patterns.end(), [&](std::string_view pattern) {
        return resp::GlobMatch(pattern, name, true);
      });
      if (matches) out.emplace_back(name, option.get(*this));
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

Status Config::Set(std::span<const std::pair<std::string_view, std::string_view>> changes, Caller caller) {
  std::lock_guard lock(set_mutex_);
  std::vector<const Option*> options;
  for (const auto& [name, value] : changes) {
    const Option* option = FindOption(name);
    if (option == nullptr) {
      return NotFound("Unknown option or number of arguments for CONFIG SET - '" + std::string(name) + "'");
    }
    if (!(option->flags & kLive)) return Failed(name, "can't set immutable config");
    if ((option->flags & kProtected) && !caller.may_set_protected) return Failed(name, "can't set protected config");
    if (caller.managed && (option->flags & kManaged)) {
      return Failed(name, "it is managed by the Understudy operator: change the object instead");
    }
    if (std::find(options.begin(), options.end(), option) != options.end()) return Failed(name, "duplicate parameter");
    options.push_back(option);
  }
  std::vector<std::string> before;
  for (size_t i = 0; i < options.size(); ++i) {
    before.push_back(options[i]->get(*this));
    std::vector<std::string> words = {std::string(changes[i].second)};
    if (options[i]->flags & kManyWords) {
      words.clear();
      if (!resp::SplitInline(changes[i].second, &words)) words.clear();
    }
    const Status status = Apply(options[i]->name, words, false);
    if (status.ok()) continue;
    // All or none: put back what was set before it.
    for (size_t k = i; k-- > 0;) {
      std::vector<std::string> old = {before[k]};
      if (options[k]->flags & kManyWords) {
        old.clear();
        CHECK(resp::SplitInline(before[k], &old));
      }
      CHECK(options[k]->set(*this, old).ok());
    }
    return Failed(changes[i].first, status.message());
  }
  if (on_change_) on_change_();
  return {};
}

std::string Config::Version() {
  return "understudy-node v=" + std::string(kServerVersion) + " redis_version=" + std::string(kRedisVersion) + "\n";
}

std::string Config::Help() {
  std::string out =
      "A cache node that speaks the Redis protocol.\n\n"
      "  understudy-node [redis.conf] [--name value ...]\n\n"
      "Without --standalone it waits for its role from the Understudy operator. Each option may stand in the\n"
      "configuration file (`port 6379`) or on the command line (`--port 6379`), which wins. Those marked * can be\n"
      "changed by CONFIG SET while it runs.\n\n";
  const Config defaults;
  std::string taken;
  for (const Option& option : Options()) {
    if (option.flags & kTakenOnly) {
      const std::string word = " --" + std::string(option.name);
      if (taken.size() - (taken.rfind('\n') + 1) + word.size() > 118) taken += "\n ";
      taken += word;
      continue;
    }
    std::string line = std::string("  ") + ((option.flags & kLive) ? "* " : "  ") + "--" + std::string(option.name);
    if (!option.takes.empty()) line += " " + std::string(option.takes);
    if (line.size() < 44) line.resize(44, ' ');
    line += "  " + std::string(option.help);
    const std::string value = option.get == nullptr ? "" : option.get(defaults);
    if (!value.empty() && !(option.flags & kSwitch)) line += " (" + value + ")";
    if (!option.alias.empty()) line += "; also --" + std::string(option.alias);
    out += line + "\n";
  }
  return out + "\n    --help       this text\n    --version    the version\n\nWithout effect, taken for the sake of " +
         "configuration files of Redis and Valkey:\n " + taken + "\n";
}

}  // namespace understudy::config
