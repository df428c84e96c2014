#include "node/server.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "common/log.h"
#include "common/metrics.h"
#include "common/random.h"
#include "node/command/info.h"
#include "node/command/memory.h"
#include "node/net/listener.h"
#include "node/role/write_lease.h"

namespace understudy {
namespace {

// Descriptors that are not clients: listeners, epoll, logs, replication, admin port.
constexpr int64_t kOwnDescriptors = 64;

replication::Settings ReplicationSettings(const config::Config& config) {
  replication::Settings s;
  s.backlog_bytes = static_cast<uint64_t>(config.repl_backlog_bytes.load());
  s.backlog_ttl_ms = static_cast<uint64_t>(config.repl_backlog_ttl_s.load()) * 1000;
  s.ping_period_ms = static_cast<uint64_t>(config.repl_ping_period_s.load()) * 1000;
  s.timeout_ms = static_cast<uint64_t>(config.repl_timeout_s.load()) * 1000;
  const config::OutputLimit limit = config.replica_limit();
  s.replica_hard_limit_bytes = static_cast<uint64_t>(limit.hard_bytes);
  s.replica_soft_limit_bytes = static_cast<uint64_t>(limit.soft_bytes);
  s.replica_soft_limit_ms = static_cast<uint64_t>(limit.soft_s) * 1000;
  s.master_user = config.master_user();
  s.master_auth = config.master_auth();
  s.announce_ip = config.announce_ip();
  s.source_ip = config.source_ip();
  s.announce_port = static_cast<uint16_t>(config.announce_port.load());
  s.spool_dir = config.dir();
  s.limits = config.limits();
  return s;
}

}  // namespace

std::string_view LogLevelOf(const config::Config& config) {
  const std::string level = config.log_level();
  if (level == "debug") return "debug";
  if (level == "nothing") return "off";
  return level == "warning" ? "warn" : "info";
}

command::Table BuildCommandTable() {
  const std::span<const command::Row> families[] = {
      command::StringCommands(),     command::StringNumberCommands(), command::KeyCommands(),
      command::HashCommands(),       command::HashExpireCommands(),   command::DumpCommands(),
      command::KeyspaceCommands(),   command::ExpireCommands(),       command::ConnectionCommands(),
      command::AclCommands(),        command::ClientCommands(),       command::ServerCommands(),
      command::LatencyCommands(),    command::ClusterCommands(),      command::DebugCommands(),
      command::SaveCommands(),
      command::MemoryCommands(),     command::CommandCommands(),      command::BitmapCommands(),
      command::BitfieldCommands(),   command::PubsubCommands(),       command::HyperLogLogCommands(),
      command::TransactionCommands(), command::ReplicationCommands(), command::StreamCommands(),
      command::StreamReadCommands(), command::StreamGroupCommands(),  command::StreamInfoCommands(),
      command::SetCommands(),        command::SetAlgebraCommands(),   command::SortedSetCommands(),
      command::SortedSetRangeCommands(), command::SortedSetPopCommands(), command::SortedSetAlgebraCommands(),
      command::GeoCommands(),        command::SortCommands(),
      command::ListCommands(),       command::ListPopCommands(),
      command::ScriptCommands(),     command::FunctionCommands(),
  };
  return command::Table(families);
}

Server::Server(config::Config& config, const Clock& clock, std::string incarnation, std::function<void()> exit)
    : config_(config), clock_(clock), incarnation_(std::move(incarnation)), table_(BuildCommandTable()) {
  keyspace_ = std::make_unique<store::Keyspace>(store::Keyspace::Options{config.shards, config.databases});
  replication::Replication::Options options;
  options.settings = ReplicationSettings(config);
  options.incarnation = incarnation_;
  options.listening_port = config.port;
  options.standalone = config.standalone;
  replication_ = std::make_unique<replication::Replication>(std::move(options), *keyspace_, sink_, *this, clock);
  const uint32_t workers = config.workers > 0 ? config.workers : config::AvailableCpus();
  dispatcher_ = std::make_unique<command::Dispatcher>(table_, workers);
  channels_ = std::make_unique<pubsub::Channels>(workers);
  scripts_ = std::make_unique<script::Scripts>(workers);
  saver_ = std::make_unique<command::Saver>(gate_);
  shutdown_ = std::make_unique<command::Shutdown>(std::move(exit));
  services_ = std::make_unique<command::Services>(command::Services{
      clock_, config_, *keyspace_, *replication_, gate_, table_, *dispatcher_, *channels_, *scripts_,
      *saver_, *shutdown_, config.standalone});
  shutdown_->Attach(*services_);
  sink_.set_services(services_.get());
  keyspace_->SetExpirySink(dispatcher_.get());
  if (workers > 1) keyspace_->SetShared(true);
}

Server::~Server() {
  saver_->Stop();
  for (auto& worker : workers_) worker->Stop();
  replication_->Stop();
  workers_.clear();
}

Status Server::Start() {
  command::ProcessFacts& process = command::Process();
  process.run_id = RandomHex(20);
  process.start_unix_ms = clock_.Wall().unix_ms;
  std::error_code ignored;
  process.executable = std::filesystem::read_symlink("/proc/self/exe", ignored).string();

  for (const auto& [name, now] : config_.renamed_commands) {
    RETURN_IF_ERROR(table_.Rename(name, now).Prefixed("rename-command " + name));
  }
  RETURN_IF_ERROR(dispatcher_->acl().Start(config_));
  RaiseFileLimit();
  ApplySettings();
  config_.OnChange([this] {
    RaiseFileLimit();
    ApplySettings();
    replication_->Configure(ReplicationSettings(config_));
    dispatcher_->acl().FollowPassword(config_.password());
    saver_->OnOptions();
  });
  const uint32_t count = config_.workers > 0 ? config_.workers : config::AvailableCpus();
  std::vector<std::vector<int>> listeners;
  RETURN_IF_ERROR(OpenListeners(count, &listeners));
  std::vector<net::Worker*> pointers;
  for (uint32_t i = 0; i < count; ++i) {
    workers_.push_back(std::make_unique<net::Worker>(net::Worker::Options{i, std::move(listeners[i])}, *dispatcher_,
                                                     dispatcher_->settings(), dispatcher_->totals(), clock_));
    pointers.push_back(workers_.back().get());
  }
  channels_->OnMail([this](uint32_t worker) {
    workers_[worker]->Post([this, worker] { channels_->Hand(worker); });
  });
  dispatcher_->Attach(*services_, std::move(pointers));
  saver_->Start(*services_);
  if (config_.standalone) {
    gate_.ServeStandalone();
    loads_ = saver_->WillLoad();
  }
  RETURN_IF_ERROR(replication_->Start());
  // What else is allocated from here on is in one of the accounts.
  if (const command::MemoryFigures memory = command::ReadMemoryFigures(); memory.from_allocator) {
    const size_t counted = command::ReadMemoryUse(*services_).total();
    dispatcher_->set_startup_bytes(memory.allocated - std::min(memory.allocated, counted));
  }
  for (auto& worker : workers_) worker->Start();
  return {};
}

void Server::Load(std::function<void(Status)> done) {
  const auto serve = [this, done = std::move(done)](Status status) {
    if (status.ok() && !config_.replica_of_host.empty()) {
      replication_->FollowForeign(config_.replica_of_host, config_.replica_of_port, [](Status followed) {
        if (!followed.ok()) LOG_WARN("replicaof: {}", followed.ToString());
      });
    }
    done(status);
  };
  if (!loads_) return serve({});
  saver_->Load(serve);
}

Status Server::OpenListeners(uint32_t workers, std::vector<std::vector<int>>* listeners) {
  const auto close_all = [&] {
    for (const auto& fds : *listeners) {
      for (const int fd : fds) close(fd);
    }
    listeners->clear();
  };
  port_ = config_.port;
  // Workers share the port; another process must not.
  if (port_ != 0) {
    for (const std::string& address : config_.bind) RETURN_IF_ERROR(net::CheckPortFree(address, port_));
  }
  for (uint32_t i = 0; i < workers; ++i) {
    std::vector<int>& mine = listeners->emplace_back();
    for (const std::string& address : config_.bind) {
      Result<int> fd = net::Listen(address, port_, config_.tcp_backlog);
      if (!fd.ok()) {
        close_all();
        return fd.status();
      }
      mine.push_back(*fd);
      if (port_ == 0) port_ = net::LocalPort(*fd);
    }
  }
  if (config_.unix_socket.empty()) return {};
  // One for all: workers can't share the name. The first serves its clients, as their number is small.
  Result<int> fd = net::ListenLocal(config_.unix_socket, config_.unix_socket_mode, config_.tcp_backlog);
  if (!fd.ok()) {
    close_all();
    return fd.status();
  }
  listeners->front().push_back(*fd);
  return {};
}

void Server::RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const auto wanted = static_cast<rlim_t>(config_.max_clients.load() + kOwnDescriptors);
  if (limit.rlim_cur >= wanted) return;
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
  if (limit.rlim_cur >= wanted) return;
  const int64_t possible = std::max<int64_t>(static_cast<int64_t>(limit.rlim_cur) - kOwnDescriptors, 1);
  LOG_WARN("maxclients is {} instead of {}: the process may have {} open files only", possible,
           config_.max_clients.load(), static_cast<uint64_t>(limit.rlim_cur));
  config_.max_clients = possible;
}

void Server::ApplySettings() {
  log::SetLevel(LogLevelOf(config_));
  net::Settings& s = dispatcher_->settings();
  s.max_bulk_bytes = config_.max_bulk_bytes.load();
  s.max_query_buffer_bytes = config_.query_buffer_bytes.load();
  s.max_clients = config_.max_clients.load();
  s.idle_timeout_s = config_.timeout_s.load();
  s.tcp_keepalive_s = config_.tcp_keepalive_s.load();
  const auto set_limit = [&](net::Connection::OutputClass output_class, const config::OutputLimit& limit) {
    net::OutputLimit& to = s.output_limits[static_cast<size_t>(output_class)];
    to.hard_bytes = limit.hard_bytes;
    to.soft_bytes = limit.soft_bytes;
    to.soft_s = limit.soft_s;
  };
  set_limit(net::Connection::OutputClass::kNormal, config_.normal_limit());
  set_limit(net::Connection::OutputClass::kPubsub, config_.pubsub_limit());

  store::MemorySettings& memory = keyspace_->memory_settings();
  keyspace_->SetEvictionPolicy(config_.max_memory_policy.load());
  memory.samples = static_cast<int>(config_.max_memory_samples.load());
  memory.lfu_log_factor = static_cast<int>(config_.lfu_log_factor.load());
  memory.lfu_decay_minutes = static_cast<int>(config_.lfu_decay_minutes.load());
  memory.lazy_eviction = config_.lazy_eviction.load();
  memory.lazy_expire = config_.lazy_expire.load();
  memory.lazy_server_del = config_.lazy_server_del.load();
  // Half of the per cent within which maxmemory holds.
  const int64_t most = config_.max_memory_bytes.load();
  memory.lazy_limit_bytes = most > 0 ? static_cast<size_t>(most) / 200 : SIZE_MAX;
}

void Server::CollectMetrics(metrics::Writer& writer) const {
  const command::MemoryUse use = command::ReadMemoryUse(*services_);
  const std::pair<const char*, size_t> accounts[] = {
      {"entries", use.entries}, {"tables", use.index},    {"waiting", use.waiting},   {"clients", use.clients},
      {"backlog", use.backlog}, {"replicas", use.replicas}, {"startup", use.startup}, {"scripts", use.scripts},
  };
  for (const auto& [name, bytes] : accounts) {
    writer.Sample("understudy_memory_used_bytes", "gauge",
                  "Memory in use, by what for; all but replicas count against maxmemory.", {{"use", name}},
                  static_cast<double>(bytes));
  }
  writer.Sample("understudy_memory_limit_bytes", "gauge", "maxmemory; 0 = no limit.", {},
                static_cast<double>(config_.max_memory_bytes.load()));
  writer.Sample("understudy_memory_limit_exceeded_seconds_total", "counter", "For how long more was used than maxmemory.",
                {}, static_cast<double>(dispatcher_->eviction_exceeded_ms(true)) / 1e3);
  writer.Sample("understudy_evicted_keys_total", "counter", "Keys removed because memory was short.", {},
                static_cast<double>(keyspace_->EvictedKeys()));
  writer.Sample("understudy_evicted_clients_total", "counter",
                "Clients closed because all together took more than maxmemory-clients.", {},
                static_cast<double>(dispatcher_->evicted_clients()));
  for (const auto& worker : workers_) {
    writer.Sample("understudy_worker_longest_turn_cpu_seconds", "gauge",
                  "Most CPU time that a turn of the worker's loop took since the start or CONFIG RESETSTAT.",
                  {{"worker", std::to_string(worker->index())}}, worker->meter().longest_cpu().seconds());
  }
  for (const auto& worker : workers_) {
    writer.Sample("understudy_worker_longest_turn_seconds", "gauge",
                  "Longest turn of the worker's loop since then, with what others did on its core meanwhile.",
                  {{"worker", std::to_string(worker->index())}}, worker->meter().longest().seconds());
  }
}

void Server::PostToAllWorkers(std::function<void(net::Worker&)> task, std::function<void()> done) {
  struct Shared {
    std::atomic<size_t> left;
    std::function<void(net::Worker&)> task;
    std::function<void()> done;
  };
  auto shared = std::make_shared<Shared>();
  shared->left = workers_.size();
  shared->task = std::move(task);
  shared->done = std::move(done);
  for (auto& worker : workers_) {
    worker->Post([shared, w = worker.get()] {
      shared->task(*w);
      if (shared->left.fetch_sub(1, std::memory_order_acq_rel) == 1) shared->done();
    });
  }
}

Duration Server::LongestTurn() const {
  const MonoTime now = clock_.Mono();
  Duration longest{};
  for (const auto& worker : workers_) longest = std::max(longest, now - worker->last_turn_end());
  return longest;
}

// ---------------------------------------------------------------------------------------------- hooks

std::vector<std::string> Server::Functions() {
  return command::FunctionCodes(*services_);
}

Status Server::ReplaceFunctions(const std::vector<std::string>& codes) {
  return scripts_->functions().Restore(codes, script::FunctionLibraries::Policy::kFlush, {});
}

// A posted task runs at the start of a turn: the turn that was running then has ended.
void Server::DrainWorkers(std::function<void()> done) {
  PostToAllWorkers([](net::Worker&) {}, std::move(done));
}

void Server::ShareKeyspace(std::function<void()> done) {
  workers_[0]->Post([this, done = std::move(done)] {
    keyspace_->SetShared(true);
    done();
  });
}

void Server::UnshareKeyspace() {
  workers_[0]->Post([this] { keyspace_->SetShared(false); });
}

void Server::OnLoading(bool loading) {
  if (role_events_ != nullptr) return role_events_->OnLoading(loading);
  is_loading_ = loading;
  PublishStandalone();
}

void Server::OnChange() {
  if (role_events_ != nullptr) role_events_->OnChange();
}

void Server::OnAcks() { dispatcher_->OnAcks(); }

void Server::OnFigures() {
  if (!config_.standalone || role_events_ != nullptr) return;
  const int64_t needed = config_.min_replicas_to_write.load(), lag_s = config_.min_replicas_max_lag_s.load();
  bool enough = true, stale = false;
  if ((needed > 0 && lag_s > 0) || !config_.serves_stale_data.load()) {
    const replication::ReplicationState state = replication_->state();
    const auto good = std::count_if(state.replicas.begin(), state.replicas.end(), [&](const auto& replica) {
      return replica.state == "online" && replica.lag_s <= static_cast<uint64_t>(lag_s);
    });
    enough = needed == 0 || lag_s == 0 || good >= needed;
    stale = !config_.serves_stale_data.load() && state.link != control::LinkState::kUp;
  }
  if (enough == has_enough_replicas_ && stale == is_stale_) return;
  has_enough_replicas_ = enough;
  is_stale_ = stale;
  PublishStandalone();
}

void Server::OnReplicaOf(bool replica) {
  if (replica != is_replica_) ++generation_;
  is_replica_ = replica;
  PublishStandalone();
  if (replica) dispatcher_->CloseWaitingClients();
}

void Server::PublishStandalone() {
  role::GateState state;
  state.mode = is_replica_ ? role::GateState::Mode::kReplica : role::GateState::Mode::kStandalone;
  state.loading = is_loading_;
  state.enough_voters = has_enough_replicas_;
  state.stale = is_stale_ && is_replica_;
  state.lease_until = role::kForever;
  state.generation = generation_;
  gate_.Publish(state);
}

}  // namespace understudy
