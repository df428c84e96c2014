// The node's options: redis.conf syntax, `--name value` on the command line, CONFIG GET and SET.
//
// One table (options.cc) holds those that have an effect here. A few have only one allowed value ("appendonly no"):
// they say truthfully what this server does, for tools that ask. Another (taken_options.cc) holds those of Redis's
// configuration files that have none.
// Members marked "start" are set before threads start and constant afterwards. Others may be read by any
// thread at any time; Set() is for any thread, too, one at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/result.h"
#include "node/config/eviction_policy.h"
#include "node/types/encoding.h"

namespace understudy::config {

// enable-debug-command, enable-protected-configs: from where it may be used.
enum class AllowedFrom : uint8_t { kNowhere, kLocal, kAnywhere };

// shutdown-on-sigint, shutdown-on-sigterm: how the signal ends a node without an operator; none: as save points say.
enum ShutdownFlag : uint32_t { kShutdownSave = 1, kShutdownNoSave = 2, kShutdownNow = 4, kShutdownForce = 8 };

// A point of `save`: after so many seconds if so much changed.
struct SavePoint {
  int64_t seconds = 0, changes = 0;
  bool operator==(const SavePoint&) const = default;
};

// As maxmemory-policy names it.
std::string_view PolicyName(EvictionPolicy policy);

// client-output-buffer-limit of one class; 0 = none.
struct OutputLimit {
  int64_t hard_bytes = 0, soft_bytes = 0, soft_s = 0;
};

class Config {
 public:
  Config();

  // ---- start
  bool standalone = false;
  uint16_t port = 6379;
  uint16_t admin_port = 8379;      // 0 = none (standalone only)
  bool admin_port_given = false;   // --standalone has none unless it is asked for
  bool max_clients_memory_given = false, shutdown_timeout_given = false;
  std::string operator_key_dir = "/etc/understudy";      // holds the operator's public key, operator.pub
  std::string termination_log = "/dev/termination-log";  // where the kubelet looks for a last message
  std::vector<std::string> bind = {"*"};
  uint32_t workers = 0;            // 0 = CPU limit rounded up
  uint32_t shards = 64;
  int databases = 16;
  int tcp_backlog = 511;
  std::string log_file;            // empty = standard error
  std::string pid_file;            // empty = none
  std::string unix_socket;         // path, empty = none
  uint32_t unix_socket_mode = 0;   // 0 = as the umask has it
  std::string replica_of_host;     // standalone; empty = a primary
  uint16_t replica_of_port = 0;
  AllowedFrom debug_command = AllowedFrom::kNowhere;
  AllowedFrom protected_configs = AllowedFrom::kNowhere;
  bool rdb_checksum = true;
  std::string file;                // absolute path of the configuration file, empty = none
  std::string acl_file;            // empty = none
  std::vector<std::vector<std::string>> users;  // name and rules of each `user` line
  std::vector<std::pair<std::string, std::string>> renamed_commands;  // name, name for clients; in order

  // ---- live
  std::atomic<int64_t> max_clients{10000};
  std::atomic<int64_t> timeout_s{0};
  std::atomic<int64_t> tcp_keepalive_s{300};
  // With --standalone: how long the end waits for replicas, as in Redis. Under the operator: how long SIGTERM waits for
  // the primary role to move away, and the default is 25 s. In a healthy group it takes well below a second; 25 s cover
  // the worst of it: the leading operator was on the same host (10 s), a first switchover that ran over its budget
  // (2 s), the wait before the second (5 s), that one (3.5 s) and a takeover out of it (2 s). The kubelet kills 30 s
  // after SIGTERM (operator/manifests/stateful_set.cc), 5 s later, which is the end of a process with 100 GB.
  std::atomic<int64_t> shutdown_timeout_s{10};
  std::atomic<int64_t> max_memory_bytes{0};
  std::atomic<EvictionPolicy> max_memory_policy{EvictionPolicy::kNone};
  std::atomic<int64_t> max_memory_samples{5};
  std::atomic<int64_t> eviction_tenacity{10};
  std::atomic<int64_t> lfu_log_factor{10};
  std::atomic<int64_t> lfu_decay_minutes{1};
  // maxmemory-clients: bytes, or if negative per cent of maxmemory; 0 = no limit, which is the default with
  // --standalone. Under the operator it is half of maxmemory: a Pod must not be killed for what its clients don't
  // read.
  std::atomic<int64_t> max_clients_memory{0};
  std::atomic<bool> lazy_eviction{true}, lazy_expire{true}, lazy_server_del{true}, lazy_user_del{true},
      lazy_user_flush{true};
  std::atomic<int64_t> max_bulk_bytes{512LL << 20};
  std::atomic<int64_t> query_buffer_bytes{1LL << 30};
  // Limits of the compact encodings: types::Limits.
  std::atomic<int64_t> hash_max_listpack_entries{512}, hash_max_listpack_value{64};
  std::atomic<int64_t> set_max_intset_entries{512}, set_max_listpack_entries{128}, set_max_listpack_value{64};
  std::atomic<int64_t> zset_max_listpack_entries{128}, zset_max_listpack_value{64};
  std::atomic<int64_t> list_max_listpack_size{-2};
  std::atomic<int64_t> list_compress_depth{0};  // asked for by CONFIG GET and DEBUG OBJECT: nodes are never compressed
  std::atomic<int64_t> stream_node_max_bytes{4096}, stream_node_max_entries{100};
  std::atomic<int> hz{10};                 // asked for by nobody but CONFIG GET
  std::atomic<bool> stop_writes_on_save_error{true};
  std::atomic<uint32_t> on_sigint{0}, on_sigterm{0};  // ShutdownFlag
  std::atomic<int64_t> slowlog_us{10000};  // < 0 = off
  std::atomic<int64_t> slowlog_entries{128};
  std::atomic<int64_t> latency_threshold_ms{0};  // latency-monitor-threshold; 0 = off
  std::atomic<int64_t> tracking_table_keys{1'000'000};  // 0 = any number
  std::atomic<int64_t> acl_log_entries{128};
  std::atomic<int64_t> busy_reply_ms{5000};  // busy-reply-threshold; 0 = scripts are never slow
  std::atomic<bool> new_users_have_channels{false};  // acl-pubsub-default
  std::atomic<int64_t> repl_backlog_bytes{10LL << 20};
  std::atomic<int64_t> repl_backlog_ttl_s{3600};
  std::atomic<int64_t> repl_ping_period_s{10};
  std::atomic<int64_t> repl_timeout_s{60};
  std::atomic<int64_t> announce_port{0};
  std::atomic<int64_t> replica_priority{100};    // asked for by Sentinel
  std::atomic<int64_t> min_replicas_to_write{0}, min_replicas_max_lag_s{10};  // standalone; either 0 = not asked for
  std::atomic<bool> serves_stale_data{true};     // standalone: a replica without its primary
  std::atomic<bool> protected_mode{false};
  std::atomic<uint32_t> notify_classes{0};  // notify-keyspace-events; notify_classes.h
  std::atomic<int64_t> hll_sparse_bytes{3000};
  std::atomic<bool> import_mode{false};          // import-mode
  std::atomic<bool> strict_rdb_version{true};    // rdb-version-check

  std::string password() const { return Text(&password_); }
  std::string master_user() const { return Text(&master_user_); }
  std::string master_auth() const { return Text(&master_auth_); }
  std::string announce_ip() const { return Text(&announce_ip_); }
  std::string log_level() const { return Text(&log_level_); }  // debug, verbose, notice, warning or nothing
  std::string source_ip() const { return Text(&source_ip_); }
  std::string availability_zone() const { return Text(&availability_zone_); }
  // Absolute once Load has succeeded.
  std::string dir() const { return Text(&dir_); }
  std::string db_filename() const { return Text(&db_filename_); }
  // Without --standalone always empty.
  std::vector<SavePoint> save_points() const {
    std::lock_guard lock(mutex_);
    return save_points_;
  }
  OutputLimit normal_limit() const;
  OutputLimit replica_limit() const;
  OutputLimit pubsub_limit() const;

  // As they are now, for a command.
  types::Limits limits() const;

  // maxmemory-clients in bytes; 0 = no limit.
  int64_t max_clients_memory_bytes() const {
    const int64_t value = max_clients_memory.load(std::memory_order_relaxed);
    return value >= 0 ? value : max_memory_bytes.load(std::memory_order_relaxed) / 100 * -value;
  }

  // [file] [--name value ...]; arguments without the program's name. An error is one sentence that names what
  // was wrong and where.
  Status Load(std::span<const std::string> arguments);
  // Lines of a file. source: for error messages. depth: of files that `include` each other.
  Status LoadText(std::string_view text, std::string_view source, int depth = 0);

  using Pair = std::pair<std::string, std::string>;
  // CONFIG GET: options that match any of the patterns, in order of their names.
  std::vector<Pair> Get(std::span<const std::string_view> patterns) const;
  // CONFIG SET: all or none. The message is Redis's, without "ERR ".
  struct Caller {
    bool managed = false;          // refuse what the operator manages
    bool may_set_protected = true;
  };
  Status Set(std::span<const std::pair<std::string_view, std::string_view>> changes, Caller caller);
  // Called after Set changed something; by the thread that called Set. Before threads start.
  void OnChange(std::function<void()> callback) { on_change_ = std::move(callback); }

  static std::string Help();     // the text of --help
  static std::string Version();  // the text of --version

 private:
  friend struct OptionTable;
  friend struct TakenTable;
  std::string Text(const std::string* member) const {
    std::lock_guard lock(mutex_);
    return *member;
  }
  Status LoadFile(const std::string& path, int depth);
  Status Apply(std::string_view name, std::span<const std::string> words, bool at_start);

  mutable std::mutex mutex_;
  std::string password_, master_user_, master_auth_, announce_ip_, source_ip_, availability_zone_;  // mutex_
  std::string log_level_ = "notice";                                                   // mutex_
  std::map<std::string_view, std::string> taken_;  // mutex_; those of taken_options.h that were given
  std::string dir_ = ".", db_filename_ = "dump.rdb";                // mutex_
  std::vector<SavePoint> save_points_{{3600, 1}, {300, 100}, {60, 10000}};  // mutex_
  // While options are read at the start, several `save` add up; the first of the command line starts anew.
  bool loading_ = true, save_given_ = false, save_adds_up_ = false;
  OutputLimit normal_limit_, replica_limit_{256LL << 20, 64LL << 20, 60},
      pubsub_limit_{32LL << 20, 8LL << 20, 60};  // mutex_
  std::mutex set_mutex_;  // one Set at a time
  std::function<void()> on_change_;
};

// "100", "64kb" (1024), "64k" (1000), "1gb": bytes.
Result<int64_t> ParseMemory(std::string_view text);
// CPUs that this process may use: the cgroup's limit rounded up, at most those of the machine.
uint32_t AvailableCpus();

inline constexpr std::string_view kServerVersion = "0.1.0";
// What INFO and HELLO say, since clients choose features by it.
inline constexpr std::string_view kRedisVersion = "7.2.4";

}  // namespace understudy::config
