#include "node/command/info.h"

#include <malloc.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>

#include "node/command/call_context.h"
#include "node/command/client_registry.h"
#include "node/command/dispatch.h"
#include "node/command/memory.h"
#include "node/command/saver.h"
#include "node/command/shutdown.h"
#include "node/command/stats.h"
#include "node/config/config.h"
#include "node/pubsub/channels.h"
#include "node/replication/replication.h"
#include "node/script/scripts.h"
#include "node/store/run_pool.h"

extern "C" int mallctl(const char*, void*, size_t*, void*, size_t) __attribute__((weak));
extern "C" void malloc_stats_print(void (*)(void*, const char*), void*, const char*) __attribute__((weak));

namespace understudy::command {
namespace {

// Lines of one section.
class Lines {
 public:
  explicit Lines(std::string* out) : out_(out) {}
  void Add(std::string_view name, std::string_view value) {
    out_->append(name).append(":").append(value).append("\r\n");
  }
  template <typename T>
    requires std::is_arithmetic_v<T>
  void Add(std::string_view name, T value) {
    if constexpr (std::is_floating_point_v<T>) {
      char text[64];
      std::snprintf(text, sizeof(text), "%.2f", static_cast<double>(value));
      Add(name, std::string_view(text));
    } else {
      Add(name, std::string_view(std::to_string(value)));
    }
  }

 private:
  std::string* out_;
};

std::string Human(size_t bytes) {
  constexpr const char* kUnits[] = {"B", "K", "M", "G", "T"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) value /= 1024, ++unit;
  char text[64];
  std::snprintf(text, sizeof(text), unit == 0 ? "%.0f%s" : "%.2f%s", value, kUnits[unit]);
  return text;
}

void Server(const Services& s, std::string* out) {
  Lines lines(out);
  utsname system{};
  uname(&system);
  const int64_t now_ms = s.clock.Wall().unix_ms;
  const int64_t up_s = std::max<int64_t>(now_ms - Process().start_unix_ms, 0) / 1000;
  lines.Add("redis_version", config::kRedisVersion);
  lines.Add("understudy_version", config::kServerVersion);
  lines.Add("redis_mode", "standalone");
  lines.Add("os", std::string(system.sysname) + " " + system.release + " " + system.machine);
  lines.Add("arch_bits", sizeof(void*) * 8);
  lines.Add("multiplexing_api", "epoll");
  lines.Add("process_id", getpid());
  lines.Add("run_id", Process().run_id);
  lines.Add("tcp_port", s.config.port);
  lines.Add("worker_threads", s.dispatcher.workers().size());
  lines.Add("server_time_usec", now_ms * 1000);
  lines.Add("uptime_in_seconds", up_s);
  lines.Add("uptime_in_days", up_s / 86400);
  lines.Add("executable", Process().executable);
  lines.Add("config_file", s.config.file);
  lines.Add("availability_zone", s.config.availability_zone());
}

void Clients(const Services& s, std::string* out) {
  Lines lines(out);
  size_t blocked = 0, subscribed = 0, watching = 0, watched = 0;
  uint64_t largest_input = 0, largest_output = 0;
  s.dispatcher.clients().ForEach([&](Session& session) {
    blocked += session.blocked.load(std::memory_order_relaxed);
    subscribed += session.subscribed();
    const int watches = session.watch_count.load(std::memory_order_relaxed);
    watching += watches > 0;
    watched += static_cast<size_t>(watches);
    largest_input = std::max(largest_input, session.connection.counters.input_bytes.load(std::memory_order_relaxed));
    largest_output = std::max(largest_output, session.connection.counters.output_bytes.load(std::memory_order_relaxed));
  });
  lines.Add("connected_clients", s.dispatcher.totals().connections.load());
  lines.Add("maxclients", s.config.max_clients.load());
  lines.Add("client_recent_max_input_buffer", largest_input);
  lines.Add("client_recent_max_output_buffer", largest_output);
  lines.Add("blocked_clients", blocked);
  lines.Add("tracking_clients", s.dispatcher.tracking().clients());
  lines.Add("pubsub_clients", subscribed);
  lines.Add("watching_clients", watching);
  lines.Add("total_watched_keys", watched);
  lines.Add("total_blocking_keys", s.dispatcher.blocking().keys());
  lines.Add("total_blocking_keys_on_nokey", s.dispatcher.blocking().keys_that_tell_of_end());
  const int64_t now_ms = s.clock.Wall().unix_ms;
  const ClientPause pause = s.dispatcher.pause(now_ms);
  const std::string_view by = s.shutdown.under_way() ? "shutdown_in_progress" : "client_pause";
  lines.Add("paused_reason", pause == ClientPause::kNone ? "none" : by);
  lines.Add("paused_actions", pause == ClientPause::kNone ? "none" : pause == ClientPause::kWrite ? "write" : "all");
  lines.Add("paused_timeout_milliseconds", pause == ClientPause::kNone ? 0 : std::max<int64_t>(s.dispatcher.pause_until_ms() - now_ms, 0));
}

std::string Percent(size_t part, size_t whole) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f%%", whole > 0 ? 100.0 * static_cast<double>(part) / static_cast<double>(whole) : 0.0);
  return text;
}

void Memory(const Services& s, std::string* out) {
  Lines lines(out);
  const MemoryUse use = ReadMemoryUse(s);
  const MemoryFigures allocator = ReadMemoryFigures();
  const size_t used = use.total(), peak = PeakMemory(s), resident = allocator.resident;
  const size_t dataset = use.entries + use.waiting;
  const auto limit = static_cast<size_t>(s.config.max_memory_bytes.load());
  const auto with_human = [&](const std::string& name, size_t bytes) {
    lines.Add(name, bytes);
    lines.Add(name + "_human", Human(bytes));
  };
  const auto excess = [&](const std::string& name, size_t outer, size_t inner) {
    lines.Add(name + "_ratio", inner > 0 ? static_cast<double>(outer) / static_cast<double>(inner) : 0.0);
    lines.Add(name + "_bytes", static_cast<int64_t>(outer) - static_cast<int64_t>(inner));
  };
  with_human("used_memory", used);
  with_human("used_memory_rss", resident);
  with_human("used_memory_peak", peak);
  lines.Add("used_memory_peak_perc", Percent(used, peak));
  lines.Add("used_memory_overhead", use.overhead());
  lines.Add("used_memory_startup", use.startup);
  lines.Add("used_memory_dataset", dataset);
  lines.Add("used_memory_dataset_perc", Percent(dataset, used - use.startup));
  if (allocator.from_allocator) {
    lines.Add("allocator_allocated", allocator.allocated);
    lines.Add("allocator_active", allocator.active);
    lines.Add("allocator_resident", allocator.resident);
  }
  const size_t physical = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(sysconf(_SC_PAGESIZE));
  with_human("total_system_memory", physical);
  with_human("maxmemory", limit);
  const script::Scripts& scripts = s.scripts;
  const size_t texts = scripts.cache().bytes() + scripts.functions().bytes();
  lines.Add("used_memory_lua", scripts.eval().bytes());
  lines.Add("used_memory_vm_eval", scripts.eval().bytes());
  lines.Add("used_memory_lua_human", Human(scripts.eval().bytes()));
  lines.Add("used_memory_scripts_eval", scripts.cache().bytes());
  lines.Add("number_of_cached_scripts", scripts.cache().size());
  lines.Add("number_of_functions", scripts.functions().function_count());
  lines.Add("number_of_libraries", scripts.functions().library_count());
  lines.Add("used_memory_vm_functions", scripts.for_functions().bytes());
  with_human("used_memory_vm_total", scripts.eval().bytes() + scripts.for_functions().bytes());
  lines.Add("used_memory_functions", scripts.functions().bytes());
  with_human("used_memory_scripts", texts);
  lines.Add("maxmemory_policy", config::PolicyName(s.config.max_memory_policy));
  if (allocator.from_allocator) {
    excess("allocator_frag", allocator.active, allocator.allocated);
    excess("allocator_rss", allocator.resident, allocator.active);
  }
  excess("mem_fragmentation", resident, used);
  lines.Add("mem_not_counted_for_evict", use.replicas);
  lines.Add("mem_replication_backlog", use.backlog);
  lines.Add("mem_total_replication_buffers", use.backlog + use.replicas);
  lines.Add("mem_clients_slaves", use.replicas);
  lines.Add("mem_clients_normal", use.clients);
  lines.Add("mem_allocator", allocator.from_allocator ? "jemalloc" : "libc");
  lines.Add("lazyfree_pending_objects", s.keyspace.LazyFreePending());
  lines.Add("lazyfree_pending_bytes", use.waiting);
  lines.Add("lazyfreed_objects", s.keyspace.LazyFreed());
}

struct Sums {
  uint64_t commands = 0, hits = 0, misses = 0, errors = 0, ticks = 0;
};

Sums SumStats(const Services& s) {
  Sums sums;
  for (uint32_t i = 0; i < s.dispatcher.workers().size(); ++i) {
    const WorkerStats& stats = s.dispatcher.stats(i);
    sums.commands += stats.commands.value();
    sums.hits += stats.hits.value();
    sums.misses += stats.misses.value();
    sums.errors += stats.error_replies.value();
    for (uint32_t row = 0; row < stats.command_count; ++row) sums.ticks += stats.by_command[row].ticks.value();
  }
  return sums;
}

void Persistence(const Services& s, std::string* out) {
  Lines lines(out);
  const Saver::State saver = s.saver.state();
  const int64_t now_ms = s.clock.Wall().unix_ms;
  const bool loads_file = s.saver.loading();
  const bool loading = loads_file || s.replication.state().loading;
  lines.Add("loading", loading ? 1 : 0);
  lines.Add("async_loading", 0);
  lines.Add("current_cow_peak", s.keyspace.SnapshotBytes());
  lines.Add("current_cow_size", s.keyspace.SnapshotBytes());
  lines.Add("current_cow_size_age", 0);
  lines.Add("current_fork_perc", saver.keys_to_save > 0 ? 100.0 * static_cast<double>(saver.keys_saved) /
                                                              static_cast<double>(saver.keys_to_save)
                                                        : 0.0);
  lines.Add("current_save_keys_processed", saver.keys_saved);
  lines.Add("current_save_keys_total", saver.keys_to_save);
  lines.Add("rdb_changes_since_last_save", s.saver.changes_since_save());
  lines.Add("rdb_bgsave_in_progress", saver.in_background ? 1 : 0);
  lines.Add("rdb_last_save_time", saver.last_save_s);
  lines.Add("rdb_last_bgsave_status", saver.last_ok ? "ok" : "err");
  lines.Add("rdb_last_bgsave_time_sec", saver.last_background_s);
  lines.Add("rdb_current_bgsave_time_sec", saver.in_background ? (now_ms - saver.save_started_ms) / 1000 : -1);
  lines.Add("rdb_saves", saver.saves);
  lines.Add("rdb_last_cow_size", 0);
  lines.Add("rdb_last_load_keys_expired", saver.keys_expired);
  lines.Add("rdb_last_load_keys_loaded", saver.keys_loaded);
  lines.Add("aof_enabled", 0);
  lines.Add("aof_rewrite_in_progress", 0);
  lines.Add("aof_rewrite_scheduled", 0);
  lines.Add("aof_last_rewrite_time_sec", -1);
  lines.Add("aof_current_rewrite_time_sec", -1);
  lines.Add("aof_last_bgrewrite_status", "ok");
  lines.Add("aof_rewrites", 0);
  lines.Add("aof_rewrites_consecutive_failures", 0);
  lines.Add("aof_last_write_status", "ok");
  lines.Add("aof_last_cow_size", 0);
  lines.Add("module_fork_in_progress", 0);
  lines.Add("module_fork_last_cow_size", 0);
  if (!loads_file) return;
  const auto read = static_cast<double>(saver.load_read_bytes), total = static_cast<double>(saver.load_total_bytes);
  const int64_t elapsed_s = (now_ms - saver.load_started_ms) / 1000;
  lines.Add("loading_start_time", saver.load_started_ms / 1000);
  lines.Add("loading_total_bytes", saver.load_total_bytes);
  lines.Add("loading_rdb_used_mem", 0);
  lines.Add("loading_loaded_bytes", saver.load_read_bytes);
  lines.Add("loading_loaded_perc", total > 0 ? 100.0 * read / total : 0.0);
  lines.Add("loading_eta_seconds", read > 0 ? static_cast<int64_t>(static_cast<double>(elapsed_s) * (total - read) / read) : 1);
}

// Longest and sums over all workers; microseconds.
void AddTurns(const Services& s, Lines& lines) {
  uint64_t turns = 0, long_turns = 0;
  Duration total, longest, longest_cpu;
  for (const net::Worker* worker : s.dispatcher.workers()) {
    const net::TurnMeter& meter = worker->meter();
    turns += meter.turns();
    long_turns += meter.long_turns();
    total = total + meter.total();
    longest = std::max(longest, meter.longest());
    longest_cpu = std::max(longest_cpu, meter.longest_cpu());
  }
  lines.Add("eventloop_cycles", turns);
  lines.Add("eventloop_duration_sum", total.us());
  lines.Add("eventloop_duration_max", longest.us());
  lines.Add("eventloop_cpu_max", longest_cpu.us());
  lines.Add("eventloop_cpu_over_1ms", long_turns);
}

void Stats(const Services& s, std::string* out) {
  Lines lines(out);
  const net::Totals& totals = s.dispatcher.totals();
  const Sums sums = SumStats(s);
  const Dispatcher::Rates rates = s.dispatcher.rates();
  lines.Add("total_connections_received", totals.accepted.load());
  lines.Add("total_commands_processed", sums.commands);
  lines.Add("instantaneous_ops_per_sec", static_cast<uint64_t>(rates.commands));
  lines.Add("total_net_input_bytes", totals.input_bytes.load());
  lines.Add("total_net_output_bytes", totals.output_bytes.load());
  lines.Add("instantaneous_input_kbps", rates.input_bytes / 1024);
  lines.Add("instantaneous_output_kbps", rates.output_bytes / 1024);
  lines.Add("rejected_connections", totals.rejected.load());
  lines.Add("client_query_buffer_limit_disconnections", totals.closed_query_buffer.load());
  lines.Add("client_output_buffer_limit_disconnections", totals.closed_output_buffer.load());
  const replication::ReplicationState replication = s.replication.state();
  lines.Add("sync_full", replication.full_syncs);
  lines.Add("sync_partial_ok", replication.partial_syncs);
  lines.Add("sync_partial_err", replication.partial_refused);
  lines.Add("expired_keys", s.keyspace.ExpiredKeys());
  lines.Add("expired_fields", s.keyspace.ExpiredFields());
  lines.Add("evicted_keys", s.keyspace.EvictedKeys());
  lines.Add("evicted_clients", s.dispatcher.evicted_clients());
  lines.Add("total_eviction_exceeded_time", s.dispatcher.eviction_exceeded_ms(true));
  lines.Add("current_eviction_exceeded_time", s.dispatcher.eviction_exceeded_ms(false));
  lines.Add("keyspace_hits", sums.hits);
  lines.Add("keyspace_misses", sums.misses);
  lines.Add("pubsub_channels", s.channels.CountNames(pubsub::Kind::kChannel));
  lines.Add("pubsub_patterns", s.channels.CountNames(pubsub::Kind::kPattern));
  lines.Add("pubsubshard_channels", s.channels.CountNames(pubsub::Kind::kShardChannel));
  const Tracking& tracking = s.dispatcher.tracking();
  lines.Add("tracking_total_keys", tracking.keys());
  lines.Add("tracking_total_items", tracking.items());
  lines.Add("tracking_total_prefixes", tracking.prefixes());
  lines.Add("total_error_replies", sums.errors);
  lines.Add("slowlog_entries", s.dispatcher.slowlog().size());
  AddTurns(s, lines);
  const double command_us = static_cast<double>(sums.ticks) / s.dispatcher.ticks_per_us();
  lines.Add("eventloop_duration_cmd_sum", static_cast<uint64_t>(command_us));
  lines.Add("instantaneous_eventloop_cycles_per_sec", static_cast<uint64_t>(rates.turns));
  lines.Add("instantaneous_eventloop_duration_usec", static_cast<uint64_t>(rates.turn_us));
  const Acl::Counters& denied = s.dispatcher.acl().counters();
  lines.Add("acl_access_denied_auth", denied.auth.load());
  lines.Add("acl_access_denied_cmd", denied.command.load());
  lines.Add("acl_access_denied_key", denied.key.load());
  lines.Add("acl_access_denied_channel", denied.channel.load());
  lines.Add("acl_access_denied_db", denied.database.load());
}

void Cpu(const Services&, std::string* out) {
  Lines lines(out);
  const auto add = [&](std::string_view name, const timeval& t) {
    char text[64];
    std::snprintf(text, sizeof(text), "%ld.%06ld", static_cast<long>(t.tv_sec), static_cast<long>(t.tv_usec));
    lines.Add(name, std::string_view(text));
  };
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  add("used_cpu_sys", usage.ru_stime);
  add("used_cpu_user", usage.ru_utime);
  getrusage(RUSAGE_CHILDREN, &usage);
  add("used_cpu_sys_children", usage.ru_stime);
  add("used_cpu_user_children", usage.ru_utime);
}

void CommandStatistics(const Services& s, std::string* out) {
  const double ticks_per_us = s.dispatcher.ticks_per_us();
  for (uint32_t i = 0; i < s.table.size(); ++i) {
    uint64_t calls = 0, ticks = 0, rejected = 0, failed = 0;
    for (uint32_t w = 0; w < s.dispatcher.workers().size(); ++w) {
      const CommandStats& stats = s.dispatcher.stats(w).by_command[i];
      calls += stats.calls();
      ticks += stats.ticks.value();
      rejected += stats.rejected.value();
      failed += stats.failed.value();
    }
    if (calls == 0 && rejected == 0) continue;
    const double us = static_cast<double>(ticks) / ticks_per_us;
    char text[256];
    std::snprintf(text, sizeof(text),
                  "cmdstat_%s:calls=%llu,usec=%llu,usec_per_call=%.2f,rejected_calls=%llu,failed_calls=%llu\r\n",
                  s.table.FullName(i).c_str(), static_cast<unsigned long long>(calls),
                  static_cast<unsigned long long>(us), calls > 0 ? us / static_cast<double>(calls) : 0.0,
                  static_cast<unsigned long long>(rejected), static_cast<unsigned long long>(failed));
    out->append(text);
  }
}

void ErrorStatistics(const Services& s, std::string* out) {
  std::map<std::string, uint64_t> sums;
  for (uint32_t i = 0; i < s.dispatcher.workers().size(); ++i) {
    const WorkerStats& stats = s.dispatcher.stats(i);
    std::lock_guard lock(stats.mutex);
    for (const auto& [code, count] : stats.errors) sums[code] += count;
  }
  for (const auto& [code, count] : sums) {
    out->append("errorstat_" + code + ":count=" + std::to_string(count) + "\r\n");
  }
}

void Cluster(const Services&, std::string* out) { Lines(out).Add("cluster_enabled", 0); }

void KeyspaceFigures(const Services& s, std::string* out) {
  for (int db = 0; db < s.keyspace.databases(); ++db) {
    const size_t keys = s.keyspace.Size(db);
    if (keys == 0) continue;
    out->append("db" + std::to_string(db) + ":keys=" + std::to_string(keys) +
                ",expires=" + std::to_string(s.keyspace.ExpireCount(db)) +
                ",avg_ttl=" + std::to_string(s.keyspace.AverageTtl(db)) +
                ",keys_with_volatile_items=" + std::to_string(s.keyspace.ExpiringHashes(db)) + "\r\n");
  }
}

struct Section {
  std::string_view name, title;
  void (*build)(const Services&, std::string*);
  bool by_default;
};

constexpr Section kSections[] = {
    {"server", "Server", Server, true},
    {"clients", "Clients", Clients, true},
    {"memory", "Memory", Memory, true},
    {"persistence", "Persistence", Persistence, true},
    {"stats", "Stats", Stats, true},
    {"replication", "Replication", AppendReplicationInfo, true},
    {"cpu", "CPU", Cpu, true},
    {"commandstats", "Commandstats", CommandStatistics, false},
    {"errorstats", "Errorstats", ErrorStatistics, true},
    {"cluster", "Cluster", Cluster, true},
    {"keyspace", "Keyspace", KeyspaceFigures, true},
};

}  // namespace

std::string BuildInfo(const Services& services, std::span<const std::string_view> sections) {
  const auto asked = [&](std::string_view name) {
    return std::any_of(sections.begin(), sections.end(), [&](std::string_view s) { return Is(s, name); });
  };
  const bool everything = asked("all") || asked("everything");
  const bool defaults = sections.empty() || asked("default");
  std::string out;
  for (const Section& section : kSections) {
    if (!everything && !(defaults && section.by_default) && !asked(section.name)) continue;
    if (!out.empty()) out += "\r\n";
    out.append("# ").append(section.title).append("\r\n");
    section.build(services, &out);
  }
  return out;
}

MemoryFigures ReadMemoryFigures() {
  MemoryFigures figures;
  figures.resident = ResidentBytes();
  if (mallctl == nullptr) return figures;
  uint64_t epoch = 1;
  size_t size = sizeof(epoch);
  mallctl("epoch", &epoch, &size, &epoch, sizeof(epoch));
  const auto read = [](const char* name, size_t* value) {
    size_t bytes = sizeof(*value);
    return mallctl(name, value, &bytes, nullptr, 0) == 0;
  };
  figures.from_allocator = read("stats.allocated", &figures.allocated) && read("stats.active", &figures.active) &&
                           read("stats.resident", &figures.resident);
  // The data set lies beside it.
  const store::RunPool& pool = store::RunPool::Get();
  figures.allocated += pool.used_bytes();
  figures.active += pool.used_bytes();
  figures.resident += pool.mapped_bytes();
  return figures;
}

std::string AllocatorReport() {
  if (malloc_stats_print == nullptr) return "Stats not supported for the current allocator";
  std::string text;
  malloc_stats_print([](void* out, const char* piece) { static_cast<std::string*>(out)->append(piece); }, &text, nullptr);
  return text;
}

void PurgeAllocator() {
  if (mallctl == nullptr) {
    malloc_trim(0);
    return;
  }
  // 4096 is MALLCTL_ARENAS_ALL.
  mallctl("arena.4096.purge", nullptr, nullptr, nullptr, 0);
}

size_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  size_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

ProcessFacts& Process() {
  static ProcessFacts facts;
  return facts;
}

}  // namespace understudy::command
