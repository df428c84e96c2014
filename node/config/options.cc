// The table of options. A row: name, whether CONFIG SET may change it, what it takes, what it is for.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "node/config/config.h"
#include "node/config/notify_classes.h"
#include "node/config/option_table.h"
#include "node/config/taken_options.h"

namespace understudy::config {
namespace {

using Words = std::span<const std::string>;

Result<int64_t> ParseInt(const std::string& text, int64_t low, int64_t high) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    return Invalid("argument couldn't be parsed into an integer");
  }
  if (value < low || value > high) {
    return Invalid("argument must be between " + std::to_string(low) + " and " + std::to_string(high) + " inclusive");
  }
  return value;
}

template <typename T>
Status SetInt(T& target, Words words, int64_t low, int64_t high) {
  Result<int64_t> value = ParseInt(words[0], low, high);
  if (!value.ok()) return value.status();
  target = static_cast<std::remove_reference_t<decltype(int64_t(target))>>(*value);
  return {};
}

Status SetMemory(std::atomic<int64_t>& target, Words words, int64_t low, int64_t high) {
  Result<int64_t> value = ParseMemory(words[0]);
  if (!value.ok()) return value.status();
  if (*value < low || *value > high) {
    return Invalid("argument must be between " + std::to_string(low) + " and " + std::to_string(high) + " inclusive");
  }
  target = *value;
  return {};
}

Status Only(Words words, std::string_view allowed, std::string_view why) {
  if (words[0] == allowed) return {};
  return Invalid("argument must be '" + std::string(allowed) + "': " + std::string(why));
}

std::string Number(int64_t value) { return std::to_string(value); }

std::string Octal(uint32_t value) {
  char text[16];
  const auto [end, error] = std::to_chars(text, text + sizeof(text), value, 8);
  return {text, end};
}

std::string Lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

Status SetBool(std::atomic<bool>& target, Words words) {
  if (words[0] != "yes" && words[0] != "no") return Invalid("argument must be 'yes' or 'no'");
  target = words[0] == "yes";
  return {};
}

std::string YesNo(bool value) { return value ? "yes" : "no"; }

Status SetAllowedFrom(AllowedFrom& target, Words words) {
  const std::string& word = words[0];
  if (word != "no" && word != "local" && word != "yes") {
    return Invalid("argument(s) must be one of the following: no, local, yes");
  }
  target = word == "no" ? AllowedFrom::kNowhere : word == "local" ? AllowedFrom::kLocal : AllowedFrom::kAnywhere;
  return {};
}

std::string ShowAllowedFrom(AllowedFrom value) {
  return value == AllowedFrom::kNowhere ? "no" : value == AllowedFrom::kLocal ? "local" : "yes";
}

struct NamedShutdownFlag {
  std::string_view name;
  uint32_t flag;
};
constexpr NamedShutdownFlag kShutdownFlags[] = {{"default", 0},
                                                {"save", kShutdownSave},
                                                {"nosave", kShutdownNoSave},
                                                {"now", kShutdownNow},
                                                {"force", kShutdownForce}};

Status SetShutdownFlags(std::atomic<uint32_t>& target, Words words) {
  uint32_t flags = 0;
  for (const std::string& word : words) {
    const auto named = std::find_if(std::begin(kShutdownFlags), std::end(kShutdownFlags),
                                    [&](const NamedShutdownFlag& f) { return f.name == Lower(word); });
    if (named == std::end(kShutdownFlags)) {
      return Invalid("argument(s) must be one of the following: default, save, nosave, now, force");
    }
    flags |= named->flag;
  }
  if ((flags & kShutdownSave) && (flags & kShutdownNoSave)) {
    return Invalid("shutdown options SAVE and NOSAVE can't be used simultaneously");
  }
  target = flags;
  return {};
}

std::string ShowShutdownFlags(uint32_t flags) {
  if (flags == 0) return "default";
  std::string out;
  for (const NamedShutdownFlag& f : kShutdownFlags) {
    if (flags & f.flag) out += (out.empty() ? "" : " ") + std::string(f.name);
  }
  return out;
}

// In the order in which Redis lists them.
struct NamedPolicy {
  std::string_view name;
  EvictionPolicy policy;
};
constexpr NamedPolicy kPolicies[] = {
    {"volatile-lru", EvictionPolicy::kVolatileLru},       {"volatile-lfu", EvictionPolicy::kVolatileLfu},
    {"volatile-random", EvictionPolicy::kVolatileRandom}, {"volatile-ttl", EvictionPolicy::kVolatileTtl},
    {"allkeys-lru", EvictionPolicy::kAllLru},           {"allkeys-lfu", EvictionPolicy::kAllLfu},
    {"allkeys-random", EvictionPolicy::kAllRandom},     {"noeviction", EvictionPolicy::kNone},
};

Status SetPolicy(Config& c, Words words) {
  std::string names;
  for (const NamedPolicy& p : kPolicies) {
    if (Lower(words[0]) == p.name) {
      c.max_memory_policy = p.policy;
      return {};
    }
    names += (names.empty() ? "" : ", ") + std::string(p.name);
  }
  return Invalid("argument(s) must be one of the following: " + names);
}

// Bytes, or a percentage of maxmemory.
Status SetClientsMemory(Config& c, Words words) {
  const std::string& text = words[0];
  c.max_clients_memory_given = true;
  if (text.ends_with('%')) {
    const Result<int64_t> percent = ParseInt(text.substr(0, text.size() - 1), 0, INT64_MAX);
    if (!percent.ok()) return Invalid("argument must be a memory or percent value");
    if (*percent > 100) return Invalid("percentage argument must be less or equal to 100");
    c.max_clients_memory = -*percent;
    return {};
  }
  return SetMemory(c.max_clients_memory, words, 0, INT64_MAX);
}

constexpr int64_t kMax = INT64_MAX;

}  // namespace

// Getters and setters of members that are private to Config.
struct OptionTable {
  static Status SetText(Config& c, std::string& member, Words words) {
    std::lock_guard lock(c.mutex_);
    member = words[0];
    return {};
  }
  static Status SetPassword(Config& c, Words words) {
    if (words[0].size() > 512) return Invalid("Password is longer than CONFIG_AUTHPASS_MAX_LEN");
    std::lock_guard lock(c.mutex_);
    c.password_ = words[0];
    return {};
  }
  static Status SetMasterUser(Config& c, Words w) { return SetText(c, c.master_user_, w); }
  static Status SetMasterAuth(Config& c, Words w) { return SetText(c, c.master_auth_, w); }
  static Status SetAnnounceIp(Config& c, Words w) { return SetText(c, c.announce_ip_, w); }
  static Status SetSourceIp(Config& c, Words w) { return SetText(c, c.source_ip_, w); }
  static Status SetAvailabilityZone(Config& c, Words w) { return SetText(c, c.availability_zone_, w); }

  static Status SetOutputLimit(Config& c, Words words) {
    if (words.size() % 4 != 0) return Invalid("Wrong number of arguments in buffer limit configuration.");
    std::optional<OutputLimit> normal, replica, pubsub;
    for (size_t i = 0; i < words.size(); i += 4) {
      const std::string name = Lower(words[i]);
      if (name != "normal" && name != "replica" && name != "slave" && name != "pubsub") {
        return Invalid("Invalid client class '" + words[i] +
                       "' in buffer limit configuration: it may be normal, replica or pubsub.");
      }
      const Result<int64_t> hard = ParseMemory(words[i + 1]), soft = ParseMemory(words[i + 2]);
      const Result<int64_t> seconds = ParseInt(words[i + 3], 0, INT32_MAX);
      if (!hard.ok() || !soft.ok() || !seconds.ok() || *hard < 0 || *soft < 0) {
        return Invalid("Error in hard, soft or soft_seconds setting in buffer limit configuration.");
      }
      (name == "normal" ? normal : name == "pubsub" ? pubsub : replica) = OutputLimit{*hard, *soft, *seconds};
    }
    std::lock_guard lock(c.mutex_);
    if (normal) c.normal_limit_ = *normal;
    if (replica) c.replica_limit_ = *replica;
    if (pubsub) c.pubsub_limit_ = *pubsub;
    return {};
  }
  static std::string GetOutputLimit(const Config& c) {
    const auto show = [](std::string_view name, const OutputLimit& limit) {
      return std::string(name) + " " + Number(limit.hard_bytes) + " " + Number(limit.soft_bytes) + " " + Number(limit.soft_s);
    };
    return show("normal", c.normal_limit()) + " " + show("slave", c.replica_limit()) + " " + show("pubsub", c.pubsub_limit());
  }

  static Status SetDir(Config& c, Words words) {
    std::string path = words[0];
    if (!c.loading_) {
      char* resolved = realpath(path.c_str(), nullptr);
      if (resolved == nullptr) return Invalid(strerror(errno));
      path = resolved;
      free(resolved);
      std::error_code ignored;
      if (!std::filesystem::is_directory(path, ignored)) return Invalid(strerror(ENOTDIR));
      if (access(path.c_str(), X_OK) != 0) return Invalid(strerror(errno));
    }
    std::lock_guard lock(c.mutex_);
    c.dir_ = std::move(path);
    return {};
  }
  static Status SetDbFilename(Config& c, Words words) {
    if (words[0].empty() || words[0].find('/') != std::string::npos) {
      return Invalid("dbfilename can't be a path, just a filename");
    }
    return SetText(c, c.db_filename_, words);
  }
  static Status SetSavePoints(Config& c, Words words) {
    if (words.size() == 1 && words[0].empty()) words = {};
    std::vector<SavePoint> points;
    for (size_t i = 0; i < words.size(); i += 2) {
      if (i + 1 == words.size()) return Invalid("Invalid save parameters");
      const Result<int64_t> seconds = ParseInt(words[i], 1, INT32_MAX), changes = ParseInt(words[i + 1], 0, INT32_MAX);
      if (!seconds.ok() || !changes.ok()) return Invalid("Invalid save parameters");
      points.push_back({*seconds, *changes});
    }
    if (!c.loading_ && !c.standalone && !points.empty()) {
      return Invalid("save points are allowed only with --standalone: in a group replicas keep the data");
    }
    std::lock_guard lock(c.mutex_);
    if (!c.loading_ || !c.save_adds_up_ || points.empty()) c.save_points_.clear();
    c.save_points_.insert(c.save_points_.end(), points.begin(), points.end());
    c.save_given_ = c.save_adds_up_ = true;
    return {};
  }
  static std::string GetSavePoints(const Config& c) {
    std::string out;
    for (const SavePoint& point : c.save_points()) {
      out += (out.empty() ? "" : " ") + Number(point.seconds) + " " + Number(point.changes);
    }
    return out;
  }

  static Status SetReplicaOf(Config& c, Words words) {
    if (words.size() != 2) return Invalid("wrong number of arguments: it takes a host and a port");
    if (Lower(words[0]) == "no" && Lower(words[1]) == "one") {
      c.replica_of_host.clear();
      return {};
    }
    const Result<int64_t> port = ParseInt(words[1], 1, 65535);
    if (!port.ok()) return port.status();
    c.replica_of_host = words[0];
    c.replica_of_port = static_cast<uint16_t>(*port);
    return {};
  }
  static Status SetBind(Config& c, Words words) {
    std::vector<std::string> addresses;
    for (std::string address : words) {
      // "-::1" means in Redis: no error if the address does not exist. Here each must exist.
      if (address == "-::*" || address == "-::1") continue;
      addresses.push_back(std::move(address));
    }
    if (addresses.empty()) return Invalid("argument must name at least one address");
    c.bind = std::move(addresses);
    return {};
  }
  static Status SetLogLevel(Config& c, Words words) {
    for (std::string_view level : {"debug", "verbose", "notice", "warning", "nothing"}) {
      if (words[0] == level) return SetText(c, c.log_level_, words);
    }
    return Invalid("argument(s) must be one of the following: debug, verbose, notice, warning, nothing");
  }
};

namespace {

std::string Join(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& w : words) out += (out.empty() ? "" : " ") + w;
  return out;
}

// clang-format off
const Option kOptions[] = {
  {"standalone", "", kAtStart | kSwitch, "", "serve at once, without an operator",
   [](const Config& c) { return std::string(c.standalone ? "yes" : "no"); },
   [](Config& c, Words w) -> Status {
     if (!w.empty() && w[0] != "yes" && w[0] != "no") return Invalid("argument must be 'yes' or 'no'");
     c.standalone = w.empty() || w[0] == "yes";
     return {};
   }},
  {"port", "", kAtStart, "N", "port of the Redis protocol",
   [](const Config& c) { return Number(c.port); },
   [](Config& c, Words w) -> Status { return SetInt(c.port, w, 1, 65535); }},
  {"admin-port", "", kAtStart, "N", "port of probes, metrics and the operator's channel; 0 = none (only with --standalone, where it is the default)",
   [](const Config& c) { return Number(c.admin_port); },
   [](Config& c, Words w) -> Status { c.admin_port_given = true; return SetInt(c.admin_port, w, 0, 65535); }},
  {"operator-key-dir", "", kAtStart, "DIR", "directory of the operator's public key (operator.pub)",
   [](const Config& c) { return c.operator_key_dir; },
   [](Config& c, Words w) -> Status { c.operator_key_dir = w[0]; return {}; }},
  {"termination-log", "", kAtStart, "FILE", "file from which the kubelet learns which process ended",
   [](const Config& c) { return c.termination_log; },
   [](Config& c, Words w) -> Status { c.termination_log = w[0]; return {}; }},
  {"bind", "", kAtStart | kManyWords, "ADDRESS...", "IP addresses to listen on; * = all",
   [](const Config& c) { return Join(c.bind); }, OptionTable::SetBind},
  {"workers", "", kAtStart, "N", "threads that serve clients; 0 = the CPU limit rounded up",
   [](const Config& c) { return Number(c.workers); },
   [](Config& c, Words w) -> Status { return SetInt(c.workers, w, 0, 256); }},
  {"shards", "", kAtStart, "N", "parts of the keyspace with a lock of their own; a power of two",
   [](const Config& c) { return Number(c.shards); },
   [](Config& c, Words w) -> Status {
     Result<int64_t> n = ParseInt(w[0], 1, 1024);
     if (!n.ok()) return n.status();
     if ((*n & (*n - 1)) != 0) return Invalid("argument must be a power of two");
     c.shards = static_cast<uint32_t>(*n);
     return {};
   }},
  {"databases", "", kAtStart, "N", "number of databases",
   [](const Config& c) { return Number(c.databases); },
   [](Config& c, Words w) -> Status { return SetInt(c.databases, w, 1, 1024); }},
  {"tcp-backlog", "", kAtStart, "N", "connections that may wait to be accepted",
   [](const Config& c) { return Number(c.tcp_backlog); },
   [](Config& c, Words w) -> Status { return SetInt(c.tcp_backlog, w, 1, 65535); }},
  {"dir", "", kLive | kManaged | kProtected, "PATH", "working directory, and where files are saved",
   [](const Config& c) { return c.dir(); }, OptionTable::SetDir},
  {"loglevel", "", kLive, "debug|verbose|notice|warning|nothing", "what is logged",
   [](const Config& c) { return c.log_level(); }, OptionTable::SetLogLevel},
  {"logfile", "", kAtStart, "FILE", "file to which it is logged; empty = standard error",
   [](const Config& c) { return c.log_file; },
   [](Config& c, Words w) -> Status { c.log_file = w[0]; return {}; }},
  {"pidfile", "", kAtStart, "FILE", "file that gets the number of the process",
   [](const Config& c) { return c.pid_file; },
   [](Config& c, Words w) -> Status { c.pid_file = w[0]; return {}; }},
  {"unixsocket", "", kAtStart, "PATH", "Unix socket to listen on, too",
   [](const Config& c) { return c.unix_socket; },
   [](Config& c, Words w) -> Status { c.unix_socket = w[0]; return {}; }},
  {"unixsocketperm", "", kAtStart, "OCTAL", "its permissions, such as 700; 0 = those that the umask leaves",
   [](const Config& c) { return Octal(c.unix_socket_mode); },
   [](Config& c, Words w) -> Status {
     const auto [end, error] = std::from_chars(w[0].data(), w[0].data() + w[0].size(), c.unix_socket_mode, 8);
     if (error != std::errc() || end != w[0].data() + w[0].size()) return Invalid("argument couldn't be parsed into an octal number");
     if (c.unix_socket_mode > 0777) return Invalid("argument must be between 0 and 777 inclusive");
     return {};
   }},
  {"protected-mode", "", kLive, "yes|no", "refuse clients from elsewhere while the default user needs no password",
   [](const Config& c) { return YesNo(c.protected_mode); },
   [](Config& c, Words w) -> Status { return SetBool(c.protected_mode, w); }},
  {"replicaof", "slaveof", kAtStart | kManyWords, "HOST PORT", "follow this primary (only with --standalone)",
   [](const Config& c) { return c.replica_of_host.empty() ? std::string() : c.replica_of_host + " " + Number(c.replica_of_port); },
   OptionTable::SetReplicaOf},
  {"enable-debug-command", "", kAtStart, "no|local|yes", "who may use DEBUG: nobody, clients on this machine, everybody",
   [](const Config& c) { return ShowAllowedFrom(c.debug_command); },
   [](Config& c, Words w) -> Status { return SetAllowedFrom(c.debug_command, w); }},
  {"enable-protected-configs", "", kAtStart, "no|local|yes", "who may change dir and dbfilename by CONFIG SET",
   [](const Config& c) { return ShowAllowedFrom(c.protected_configs); },
   [](Config& c, Words w) -> Status { return SetAllowedFrom(c.protected_configs, w); }},
  {"maxclients", "", kLive, "N", "client connections at most",
   [](const Config& c) { return Number(c.max_clients); },
   [](Config& c, Words w) -> Status { return SetInt(c.max_clients, w, 1, UINT32_MAX); }},
  {"timeout", "", kLive, "SECONDS", "close clients that were idle for so long; 0 = never",
   [](const Config& c) { return Number(c.timeout_s); },
   [](Config& c, Words w) -> Status { return SetInt(c.timeout_s, w, 0, INT32_MAX); }},
  {"shutdown-timeout", "", kLive | kManaged, "SECONDS", "how long SIGTERM waits until another node is primary (25), with --standalone until replicas have all",
   [](const Config& c) { return Number(c.shutdown_timeout_s); },
   [](Config& c, Words w) -> Status { c.shutdown_timeout_given = true; return SetInt(c.shutdown_timeout_s, w, 0, 3600); }},
  {"shutdown-on-sigint", "", kLive | kManaged | kManyWords, "WORDS", "what SIGINT does as SHUTDOWN would: default, save, nosave, now, force (only with --standalone)",
   [](const Config& c) { return ShowShutdownFlags(c.on_sigint); },
   [](Config& c, Words w) -> Status { return SetShutdownFlags(c.on_sigint, w); }},
  {"shutdown-on-sigterm", "", kLive | kManaged | kManyWords, "WORDS", "the same of SIGTERM",
   [](const Config& c) { return ShowShutdownFlags(c.on_sigterm); },
   [](Config& c, Words w) -> Status { return SetShutdownFlags(c.on_sigterm, w); }},
  {"hz", "", kLive, "N", "taken for the sake of Redis's configuration files; background work here sets its own pace",
   [](const Config& c) { return Number(c.hz); },
   [](Config& c, Words w) -> Status { return SetInt(c.hz, w, 1, 500); }},
  {"tcp-keepalive", "", kLive, "SECONDS", "idle time before TCP probes the other side; 0 = off. For new connections",
   [](const Config& c) { return Number(c.tcp_keepalive_s); },
   [](Config& c, Words w) -> Status { return SetInt(c.tcp_keepalive_s, w, 0, 32767); }},
  {"requirepass", "", kLive | kManaged | kSecret, "PASSWORD", "password of the default user; empty = clients need no AUTH",
   [](const Config& c) { return c.password(); }, OptionTable::SetPassword},
  {"user", "", kAtStart | kManyWords, "NAME RULE...", "a user and what he may do, in the words of ACL SETUSER; any number of them", nullptr,
   [](Config& c, Words w) -> Status { c.users.emplace_back(w.begin(), w.end()); return {}; }},
  {"rename-command", "", kAtStart | kManyWords, "NAME NEW-NAME", "clients know the command by another name, or with \"\" not at all; any number of them (only with --standalone)", nullptr,
   [](Config& c, Words w) -> Status {
     if (w.size() != 2) return Invalid("wrong number of arguments: it takes a name and a new name");
     c.renamed_commands.emplace_back(w[0], w[1]);
     return {};
   }},
  {"aclfile", "", kAtStart, "FILE", "file that holds all users, for ACL LOAD and ACL SAVE; instead of `user`",
   [](const Config& c) { return c.acl_file; },
   [](Config& c, Words w) -> Status { c.acl_file = w[0]; return {}; }},
  {"acl-pubsub-default", "", kLive, "resetchannels|allchannels", "which channels a new user may use: none or all",
   [](const Config& c) { return std::string(c.new_users_have_channels ? "allchannels" : "resetchannels"); },
   [](Config& c, Words w) -> Status {
     const std::string word = Lower(w[0]);
     if (word != "allchannels" && word != "resetchannels") return Invalid("argument(s) must be one of the following: allchannels, resetchannels");
     c.new_users_have_channels = word == "allchannels";
     return {};
   }},
  {"acllog-max-len", "", kLive, "N", "entries that ACL LOG keeps",
   [](const Config& c) { return Number(c.acl_log_entries); },
   [](Config& c, Words w) -> Status { return SetInt(c.acl_log_entries, w, 0, kMax); }},
  {"maxmemory", "", kLive | kManaged, "BYTES", "above it keys are evicted, or commands that need memory refused; 0 = no limit",
   [](const Config& c) { return Number(c.max_memory_bytes); },
   [](Config& c, Words w) -> Status { return SetMemory(c.max_memory_bytes, w, 0, kMax); }},
  {"maxmemory-policy", "", kLive | kManaged, "POLICY", "which keys go at maxmemory: noeviction (none), allkeys- or volatile- (those with a TTL) followed by lru, lfu or random, or volatile-ttl",
   [](const Config& c) { return std::string(PolicyName(c.max_memory_policy)); }, SetPolicy},
  {"maxmemory-samples", "", kLive, "N", "keys that are looked at to evict one; more = a better choice, slower",
   [](const Config& c) { return Number(c.max_memory_samples); },
   [](Config& c, Words w) -> Status { return SetInt(c.max_memory_samples, w, 1, 64); }},
  {"maxmemory-eviction-tenacity", "", kLive, "0-100", "how long evictions may delay others: 10 = a quarter of a millisecond in a turn, 100 = without limit",
   [](const Config& c) { return Number(c.eviction_tenacity); },
   [](Config& c, Words w) -> Status { return SetInt(c.eviction_tenacity, w, 0, 100); }},
  {"maxmemory-clients", "", kLive | kManaged, "BYTES|N%", "if all clients' buffers together take more, those that take most are closed; 0 = no limit",
   [](const Config& c) {
     const int64_t value = c.max_clients_memory;
     return value < 0 ? Number(-value) + "%" : Number(value);
   }, SetClientsMemory},
  {"lfu-log-factor", "", kLive, "N", "how slowly a key's access counter grows",
   [](const Config& c) { return Number(c.lfu_log_factor); },
   [](Config& c, Words w) -> Status { return SetInt(c.lfu_log_factor, w, 0, INT32_MAX); }},
  {"lfu-decay-time", "", kLive, "MINUTES", "time without access that takes one off the counter; 0 = never",
   [](const Config& c) { return Number(c.lfu_decay_minutes); },
   [](Config& c, Words w) -> Status { return SetInt(c.lfu_decay_minutes, w, 0, INT32_MAX); }},
  {"replica-ignore-maxmemory", "slave-ignore-maxmemory", kLive, "yes", "a replica evicts nothing by itself",
   [](const Config&) { return std::string("yes"); },
   [](Config&, Words w) -> Status { return Only(w, "yes", "a replica holds what its primary holds"); }},
  {"lazyfree-lazy-eviction", "", kLive, "yes|no", "large values of evicted keys are freed in the background",
   [](const Config& c) { return YesNo(c.lazy_eviction); },
   [](Config& c, Words w) -> Status { return SetBool(c.lazy_eviction, w); }},
  {"lazyfree-lazy-expire", "", kLive, "yes|no", "the same for keys that expire",
   [](const Config& c) { return YesNo(c.lazy_expire); },
   [](Config& c, Words w) -> Status { return SetBool(c.lazy_expire, w); }},
  {"lazyfree-lazy-server-del", "", kLive, "yes|no", "the same for values that are overwritten",
   [](const Config& c) { return YesNo(c.lazy_server_del); },
   [](Config& c, Words w) -> Status { return SetBool(c.lazy_server_del, w); }},
  {"lazyfree-lazy-user-del", "", kLive, "yes|no", "DEL frees like UNLINK",
   [](const Config& c) { return YesNo(c.lazy_user_del); },
   [](Config& c, Words w) -> Status { return SetBool(c.lazy_user_del, w); }},
  {"lazyfree-lazy-user-flush", "", kLive, "yes|no", "FLUSHALL and FLUSHDB free in the background unless they say SYNC",
   [](const Config& c) { return YesNo(c.lazy_user_flush); },
   [](Config& c, Words w) -> Status { return SetBool(c.lazy_user_flush, w); }},
  {"hash-max-listpack-entries", "hash-max-ziplist-entries", kLive, "N", "fields up to which a hash is stored compactly",
   [](const Config& c) { return Number(c.hash_max_listpack_entries); },
   [](Config& c, Words w) -> Status { return SetInt(c.hash_max_listpack_entries, w, 0, kMax); }},
  {"hash-max-listpack-value", "hash-max-ziplist-value", kLive, "BYTES", "longest field or value of such a hash",
   [](const Config& c) { return Number(c.hash_max_listpack_value); },
   [](Config& c, Words w) -> Status { return SetMemory(c.hash_max_listpack_value, w, 0, kMax); }},
  {"list-max-listpack-size", "list-max-ziplist-size", kLive, "N", "elements of a node of a list; -1 to -5: 4, 8, 16, 32, 64 kB of it",
   [](const Config& c) { return Number(c.list_max_listpack_size); },
   [](Config& c, Words w) -> Status { return SetInt(c.list_max_listpack_size, w, INT32_MIN, INT32_MAX); }},
  {"list-compress-depth", "", kLive, "N", "taken for the sake of Redis's configuration files; nodes of lists are not compressed",
   [](const Config& c) { return Number(c.list_compress_depth); },
   [](Config& c, Words w) -> Status { return SetInt(c.list_compress_depth, w, 0, INT32_MAX); }},
  {"set-max-intset-entries", "", kLive, "N", "members up to which a set of integers is stored compactly",
   [](const Config& c) { return Number(c.set_max_intset_entries); },
   [](Config& c, Words w) -> Status { return SetInt(c.set_max_intset_entries, w, 0, kMax); }},
  {"set-max-listpack-entries", "", kLive, "N", "the same for other sets",
   [](const Config& c) { return Number(c.set_max_listpack_entries); },
   [](Config& c, Words w) -> Status { return SetInt(c.set_max_listpack_entries, w, 0, kMax); }},
  {"set-max-listpack-value", "", kLive, "BYTES", "longest member of such a set",
   [](const Config& c) { return Number(c.set_max_listpack_value); },
   [](Config& c, Words w) -> Status { return SetMemory(c.set_max_listpack_value, w, 0, kMax); }},
  {"zset-max-listpack-entries", "zset-max-ziplist-entries", kLive, "N", "members up to which a sorted set is stored compactly",
   [](const Config& c) { return Number(c.zset_max_listpack_entries); },
   [](Config& c, Words w) -> Status { return SetInt(c.zset_max_listpack_entries, w, 0, kMax); }},
  {"zset-max-listpack-value", "zset-max-ziplist-value", kLive, "BYTES", "longest member of such a sorted set",
   [](const Config& c) { return Number(c.zset_max_listpack_value); },
   [](Config& c, Words w) -> Status { return SetMemory(c.zset_max_listpack_value, w, 0, kMax); }},
  {"stream-node-max-bytes", "", kLive, "BYTES", "size of a node of a stream; 0 = as large as can be",
   [](const Config& c) { return Number(c.stream_node_max_bytes); },
   [](Config& c, Words w) -> Status { return SetMemory(c.stream_node_max_bytes, w, 0, kMax); }},
  {"stream-node-max-entries", "", kLive, "N", "entries of a node of a stream; 0 = no limit",
   [](const Config& c) { return Number(c.stream_node_max_entries); },
   [](Config& c, Words w) -> Status { return SetInt(c.stream_node_max_entries, w, 0, kMax); }},
  {"proto-max-bulk-len", "", kLive, "BYTES", "longest argument and longest string value",
   [](const Config& c) { return Number(c.max_bulk_bytes); },
   [](Config& c, Words w) -> Status { return SetMemory(c.max_bulk_bytes, w, 1024 * 1024, 512LL << 20); }},
  {"client-query-buffer-limit", "", kLive, "BYTES", "longest command",
   [](const Config& c) { return Number(c.query_buffer_bytes); },
   [](Config& c, Words w) -> Status { return SetMemory(c.query_buffer_bytes, w, 1024 * 1024, kMax); }},
  {"client-output-buffer-limit", "", kLive | kManyWords, "CLASS HARD SOFT SECONDS...", "close a client of the class (normal, replica, pubsub) for which more bytes wait; 0 = no limit",
   OptionTable::GetOutputLimit, OptionTable::SetOutputLimit},
  {"notify-keyspace-events", "", kLive, "LETTERS", "what happens to keys is published: K (__keyspace@<db>__:<key>) or E (__keyevent@<db>__:<event>) or both, and of g$lshzxetdmnA what; empty = nothing",
   [](const Config& c) { return NotifyLetters(c.notify_classes); },
   [](Config& c, Words w) -> Status {
     const std::optional<uint32_t> classes = ParseNotifyClasses(w[0]);
     if (!classes) return Invalid("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
     c.notify_classes = *classes;
     return {};
   }},
  {"hll-sparse-max-bytes", "", kLive, "BYTES", "a HyperLogLog that takes more gets its dense form",
   [](const Config& c) { return Number(c.hll_sparse_bytes); },
   [](Config& c, Words w) -> Status { return SetMemory(c.hll_sparse_bytes, w, 0, kMax); }},
  {"availability-zone", "", kLive, "NAME", "where the node is, for clients that prefer one nearby: in HELLO and INFO",
   [](const Config& c) { return c.availability_zone(); }, OptionTable::SetAvailabilityZone},
  {"import-mode", "", kLive, "yes|no", "data comes in from another server: nothing expires or is evicted by itself, and clients that say CLIENT IMPORT-SOURCE ON see what has expired",
   [](const Config& c) { return YesNo(c.import_mode); },
   [](Config& c, Words w) -> Status { return SetBool(c.import_mode, w); }},
  {"rdb-version-check", "", kLive, "strict|relaxed", "relaxed: RESTORE tries payloads of versions that are not known",
   [](const Config& c) { return std::string(c.strict_rdb_version ? "strict" : "relaxed"); },
   [](Config& c, Words w) -> Status {
     const std::string word = Lower(w[0]);
     if (word != "strict" && word != "relaxed") return Invalid("argument(s) must be one of the following: strict, relaxed");
     c.strict_rdb_version = word == "strict";
     return {};
   }},
  {"busy-reply-threshold", "lua-time-limit", kLive, "MILLISECONDS", "while a script runs longer than this, other clients are told BUSY; 0 = they wait",
   [](const Config& c) { return Number(c.busy_reply_ms); },
   [](Config& c, Words w) -> Status { return SetInt(c.busy_reply_ms, w, 0, INT64_MAX / 1'000'000); }},
  {"slowlog-log-slower-than", "commandlog-execution-slower-than", kLive, "MICROSECONDS", "commands that took longer go into SLOWLOG; negative = none",
   [](const Config& c) { return Number(c.slowlog_us); },
   [](Config& c, Words w) -> Status { return SetInt(c.slowlog_us, w, -1, kMax); }},
  {"slowlog-max-len", "commandlog-slow-execution-max-len", kLive, "N", "entries that SLOWLOG keeps",
   [](const Config& c) { return Number(c.slowlog_entries); },
   [](Config& c, Words w) -> Status { return SetInt(c.slowlog_entries, w, 0, INT32_MAX); }},
  {"latency-monitor-threshold", "", kLive, "MILLISECONDS", "what takes longer goes into LATENCY; 0 = nothing",
   [](const Config& c) { return Number(c.latency_threshold_ms); },
   [](Config& c, Words w) -> Status { return SetInt(c.latency_threshold_ms, w, 0, INT64_MAX / 1'000'000); }},
  {"tracking-table-max-keys", "", kLive, "N", "keys that are remembered for CLIENT TRACKING; 0 = any number",
   [](const Config& c) { return Number(c.tracking_table_keys); },
   [](Config& c, Words w) -> Status { return SetInt(c.tracking_table_keys, w, 0, kMax); }},
  {"masteruser", "primaryuser", kLive | kManaged | kSecret, "NAME", "user for AUTH at the primary",
   [](const Config& c) { return c.master_user(); }, OptionTable::SetMasterUser},
  {"masterauth", "primaryauth", kLive | kManaged | kSecret, "PASSWORD", "password for AUTH at the primary",
   [](const Config& c) { return c.master_auth(); }, OptionTable::SetMasterAuth},
  {"repl-backlog-size", "", kLive | kManaged, "BYTES", "replication stream kept for replicas that come back",
   [](const Config& c) { return Number(c.repl_backlog_bytes); },
   [](Config& c, Words w) -> Status { return SetMemory(c.repl_backlog_bytes, w, 16 * 1024, kMax); }},
  {"repl-backlog-ttl", "", kLive | kManaged, "SECONDS", "keep it so long without replicas; 0 = for ever",
   [](const Config& c) { return Number(c.repl_backlog_ttl_s); },
   [](Config& c, Words w) -> Status { return SetInt(c.repl_backlog_ttl_s, w, 0, INT32_MAX); }},
  {"repl-ping-replica-period", "repl-ping-slave-period", kLive | kManaged, "SECONDS", "PING in the replication stream",
   [](const Config& c) { return Number(c.repl_ping_period_s); },
   [](Config& c, Words w) -> Status { return SetInt(c.repl_ping_period_s, w, 1, INT32_MAX); }},
  {"repl-timeout", "", kLive | kManaged, "SECONDS", "a silent replication link is down after it",
   [](const Config& c) { return Number(c.repl_timeout_s); },
   [](Config& c, Words w) -> Status { return SetInt(c.repl_timeout_s, w, 1, INT32_MAX); }},
  {"bind-source-addr", "", kLive | kManaged, "ADDRESS", "address from which a replica connects to its primary; empty = as the system chooses",
   [](const Config& c) { return c.source_ip(); }, OptionTable::SetSourceIp},
  {"replica-announce-ip", "slave-announce-ip", kLive | kManaged, "ADDRESS", "address that a replica tells its primary; empty = the connection's",
   [](const Config& c) { return c.announce_ip(); }, OptionTable::SetAnnounceIp},
  {"replica-announce-port", "slave-announce-port", kLive | kManaged, "N", "port that a replica tells its primary; 0 = its own",
   [](const Config& c) { return Number(c.announce_port); },
   [](Config& c, Words w) -> Status { return SetInt(c.announce_port, w, 0, 65535); }},
  {"replica-priority", "slave-priority", kLive | kManaged, "N", "told in INFO, for Sentinel; 0 = never to be promoted",
   [](const Config& c) { return Number(c.replica_priority); },
   [](Config& c, Words w) -> Status { return SetInt(c.replica_priority, w, 0, INT32_MAX); }},
  {"min-replicas-to-write", "min-slaves-to-write", kLive | kManaged, "N", "refuse writes with fewer replicas; 0 = never (only with --standalone)",
   [](const Config& c) { return Number(c.min_replicas_to_write); },
   [](Config& c, Words w) -> Status { return SetInt(c.min_replicas_to_write, w, 0, INT32_MAX); }},
  {"min-replicas-max-lag", "min-slaves-max-lag", kLive | kManaged, "SECONDS", "those that acknowledged within this time; 0 = no such check",
   [](const Config& c) { return Number(c.min_replicas_max_lag_s); },
   [](Config& c, Words w) -> Status { return SetInt(c.min_replicas_max_lag_s, w, 0, INT32_MAX); }},
  {"replica-serve-stale-data", "slave-serve-stale-data", kLive | kManaged, "yes|no", "serve data while the primary is not there (only with --standalone)",
   [](const Config& c) { return YesNo(c.serves_stale_data); },
   [](Config& c, Words w) -> Status { return SetBool(c.serves_stale_data, w); }},
  {"replica-read-only", "slave-read-only", kLive, "yes", "a replica refuses writes of clients",
   [](const Config&) { return std::string("yes"); },
   [](Config&, Words w) -> Status { return Only(w, "yes", "a replica holds what its primary holds"); }},
  {"save", "", kLive | kManaged | kManyWords | kSwitch, "[SECONDS CHANGES...]", "save to disk after so long if so much changed, and at the end; nothing or \"\" = never. Only with --standalone, where it is 3600 1 300 100 60 10000 by itself",
   OptionTable::GetSavePoints, OptionTable::SetSavePoints},
  {"dbfilename", "", kLive | kManaged | kProtected, "NAME", "file in dir that is saved and, with --standalone, loaded at the start",
   [](const Config& c) { return c.db_filename(); }, OptionTable::SetDbFilename},
  {"rdbchecksum", "", kAtStart, "yes|no", "files have a checksum",
   [](const Config& c) { return YesNo(c.rdb_checksum); },
   [](Config& c, Words w) -> Status {
     std::atomic<bool> value;
     RETURN_IF_ERROR(SetBool(value, w));
     c.rdb_checksum = value;
     return {};
   }},
  {"stop-writes-on-bgsave-error", "", kLive, "yes|no", "refuse writes while the last save failed and there are save points",
   [](const Config& c) { return YesNo(c.stop_writes_on_save_error); },
   [](Config& c, Words w) -> Status { return SetBool(c.stop_writes_on_save_error, w); }},
  {"appendonly", "", kLive | kManaged, "no", "log to disk",
   [](const Config&) { return std::string("no"); },
   [](Config&, Words w) -> Status { return Only(w, "no", "this server keeps no append-only file"); }},
  {"activedefrag", "", kLive, "no", "defragmentation",
   [](const Config&) { return std::string("no"); },
   [](Config&, Words w) -> Status { return Only(w, "no", "the allocator returns memory by itself"); }},
  {"oom-score-adj", "", kLive, "no", "the process changes its own place among those that the kernel ends when memory is short",
   [](const Config&) { return std::string("no"); },
   [](Config&, Words w) -> Status { return Only(w, "no", "who started the process says that"); }},
  {"cluster-enabled", "", kAtStart, "no", "Redis Cluster",
   [](const Config&) { return std::string("no"); },
   [](Config&, Words w) -> Status { return Only(w, "no", "this server has no cluster mode"); }},
  {"daemonize", "", kAtStart, "no", "run in the background",
   [](const Config&) { return std::string("no"); },
   [](Config&, Words w) -> Status { return Only(w, "no", "the process stays in the foreground"); }},
};
// clang-format on

}  // namespace

std::span<const Option> Options() {
  static const std::vector<Option> all = [] {
    std::vector<Option> rows(std::begin(kOptions), std::end(kOptions));
    rows.insert(rows.end(), TakenOptions().begin(), TakenOptions().end());
    return rows;
  }();
  return all;
}

std::string_view PolicyName(EvictionPolicy policy) {
  for (const NamedPolicy& p : kPolicies) {
    if (p.policy == policy) return p.name;
  }
  return {};
}

Result<int64_t> ParseMemory(std::string_view text) {
  size_t digits = 0;
  if (!text.empty() && text[0] == '-') digits = 1;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, value);
  if (error != std::errc() || end != text.data() + digits) return Invalid("argument must be a memory value");
  const std::string unit = Lower(text.substr(digits));
  int64_t factor = 0;
  if (unit.empty() || unit == "b") factor = 1;
  if (unit == "k") factor = 1000;
  if (unit == "kb") factor = 1024;
  if (unit == "m") factor = 1000 * 1000;
  if (unit == "mb") factor = 1024 * 1024;
  if (unit == "g") factor = 1000LL * 1000 * 1000;
  if (unit == "gb") factor = 1024LL * 1024 * 1024;
  if (factor == 0 || __builtin_mul_overflow(value, factor, &value)) return Invalid("argument must be a memory value");
  return value;
}

uint32_t AvailableCpus() {
  uint32_t cpus = std::max(1u, std::thread::hardware_concurrency());
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (file >> quota >> period && quota != "max" && period > 0) {
    const double limit = std::strtod(quota.c_str(), nullptr) / period;
    if (limit > 0) cpus = std::min(cpus, static_cast<uint32_t>(std::ceil(limit)));
  }
  return std::max(1u, cpus);
}

}  // namespace understudy::config
