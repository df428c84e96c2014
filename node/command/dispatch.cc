#include "node/command/dispatch.h"

#include <algorithm>

#include "common/clock.h"
#include "common/log.h"
#include "common/random.h"
#include "node/command/dispatch_state.h"
#include "node/command/notify.h"
#include "node/command/saver.h"
#include "node/command/shutdown.h"
#include "node/command/script_host.h"
#include "node/config/config.h"
#include "node/pubsub/channels.h"
#include "node/replication/replication.h"
#include "node/resp/errors.h"
#include "node/role/role_gate.h"
#include "node/script/scripts.h"
#include "node/store/shard_guard.h"

namespace understudy::command {
namespace {

constexpr Duration kSweepAgain = Milliseconds(1);
constexpr Duration kLateReplyLimit = Milliseconds(200);  // shorter than from the end of a lease to a takeover

}  // namespace

Dispatcher::Dispatcher(const Table& table, uint32_t workers) : table_(table), acl_(table), clients_(workers), blocking_(workers), tracking_(workers), monitors_(workers) {
  for (uint32_t i = 0; i < workers; ++i) states_.push_back(std::make_unique<WorkerState>(table.size()));
}

Dispatcher::~Dispatcher() = default;

void Dispatcher::Attach(Services& services, std::vector<net::Worker*> workers) {
  services_ = &services;
  workers_ = std::move(workers);
  CHECK(workers_.size() == states_.size());
  for (size_t i = 0; i < workers_.size(); ++i) {
    states_[i]->worker = workers_[i];
    states_[i]->evictor = std::make_unique<store::Evictor>(services.keyspace, RandomU64());
  }
  blocking_.Attach(services);
  tracking_.Attach(services);
  first_ticks_ = Ticks();
  first_time_ = services.clock.Mono();
  SetThresholds();
  SampleRates();
}

WorkerStats& Dispatcher::stats(uint32_t worker) const { return states_[worker]->stats; }

uint64_t Dispatcher::changes() const {
  uint64_t sum = applied_changes_.value();
  for (const auto& state : states_) sum += state->stats.changes.value();
  return sum;
}

// ---------------------------------------------------------------------------------------------- connections

void Dispatcher::OnOpen(net::Connection& connection) {
  auto session = std::make_unique<Session>(connection);
  const int64_t now = connection.worker().wall_ms();
  session->created_ms.store(now, std::memory_order_relaxed);
  session->last_command_ms.store(now, std::memory_order_relaxed);
  acl_.Open(*session, clients_);
  clients_.Add(*session);
  connection.set_state(std::move(session));
  if (services_->config.protected_mode.load(std::memory_order_relaxed) && !connection.from_this_machine() &&
      acl_.Find(acl::kDefaultUser)->no_password()) {
    connection.Append(
        "-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the "
        "default user. In this mode connections are only accepted from the loopback interface. If you want to connect "
        "from external computers, you may adopt one of the following solutions: 1) Just disable protected mode sending "
        "the command 'CONFIG SET protected-mode no' from the loopback interface by connecting from the same host the "
        "server is running, however MAKE SURE it is not publicly accessible from internet if you do so. 2) Set it to "
        "'no' in the configuration file, and restart. 3) Set a password for the default user.\r\n");
    connection.CloseAfterFlush();
  }
}

void Dispatcher::OnClose(net::Connection& connection) {
  Session& session = Session::Of(connection);
  clients_.Remove(session);
  blocking_.Leave(session);
  tracking_.Disable(session);
  monitors_.Remove(session);
  EndSubscriptions(*services_, session);
  if (!session.watches.empty()) EndWatches(*states_[connection.worker().index()], connection);
}

void EndTransaction(store::Keyspace& keyspace, Session& session) {
  session.transaction.reset();
  session.multi_commands.store(-1, std::memory_order_relaxed);
  UnwatchAll(keyspace, session, false);
}

void UnwatchAll(store::Keyspace& keyspace, Session& session, bool held) {
  for (store::WatchedKey& watched : session.watches) {
    store::Shard& shard = keyspace.ShardOf(watched.hash);
    if (held) {
      shard.Unwatch(watched);
    } else {
      store::OneShardGuard guard(keyspace, shard);
      shard.Unwatch(watched);
    }
  }
  session.watches.clear();
  session.watch_bytes = 0;
  session.watch_dirty.store(false, std::memory_order_relaxed);
  session.watch_count.store(0, std::memory_order_relaxed);
}

bool Dispatcher::MayFlush(net::Connection& connection, MonoTime now) {
  return services_->gate.MayFlush(connection.wrote_generation(), now);
}

uint64_t Dispatcher::ReleasedTicket() {
  return services_->gate.synchronous_replicas() == 0 ? UINT64_MAX : services_->replication.SyncOffset();
}

// ---------------------------------------------------------------------------------------------- one command

// Words of an HTTP request that no command has: what follows them must not be taken for commands.
bool Dispatcher::IsHttp(std::string_view word) { return Is(word, "post") || Is(word, "host:"); }

const Row* Dispatcher::Resolve(WorkerState& state, const Row* row, Args args, resp::Writer& reply) {
  if (row == nullptr) {
    std::string text = "ERR unknown command '" + resp::Printed(args[0], 128) + "', with args beginning with: ";
    const size_t before = text.size();
    for (size_t i = 1; i < args.size() && text.size() - before < 128; ++i) {
      text += "'" + resp::Printed(args[i], 128 - (text.size() - before)) + "' ";
    }
    reply.Error(text);
    return nullptr;
  }
  const Row* parent = nullptr;
  if (!row->subcommands.empty() && args.size() > 1) {
    parent = row;
    row = FindSubcommand(*row, args);
    if (row == nullptr) {
      std::string name(parent->name);
      for (char& c : name) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      reply.Error("ERR unknown subcommand '" + resp::Printed(args[1], 128) + "'. Try " + name + " HELP.");
      return nullptr;
    }
  }
  if (!ArityFits(*row, args.size())) {
    const std::string name = parent ? std::string(parent->name) + "|" + std::string(row->name) : std::string(row->name);
    reply.Error("ERR wrong number of arguments for '" + name + "' command");
    state.stats.by_command[row->index].rejected.Add();
    return nullptr;
  }
  return row;
}

void Dispatcher::Reject(WorkerState& state, Session& session, const Row* row, std::string_view error,
                        resp::Writer& reply) {
  if (row != nullptr) state.stats.by_command[row->index].rejected.Add();
  if (row != nullptr && (row->flags & kRunsQueue)) {
    constexpr std::string_view kCode = "ERR ";
    if (error.starts_with(kCode)) error.remove_prefix(kCode.size());
    reply.Error("EXECABORT Transaction discarded because of: " + std::string(error));
    state.stats.CountError(reply.last_error_code());
    if (!session.transaction) return;
    if (state.busy || state.outside) {
      // The shards are a script's: its watches stay, and may fail the next transaction in vain.
      session.transaction.reset();
      session.multi_commands.store(-1, std::memory_order_relaxed);
    } else {
      EndTransaction(services_->keyspace, session);
    }
    return;
  }
  if (!error.empty()) reply.Error(error);
  state.stats.CountError(reply.last_error_code());
  if (session.transaction) session.transaction->failed = true;
}

void Dispatcher::RunCommand(WorkerState& state, Session& session, const Plan& plan, Args args, resp::Writer& reply) {
  session.connection.NoteStateChange();
  const Row* row = plan.row;
  if (row == nullptr || !ArityFits(*row, args.size()) || !row->subcommands.empty()) {
    if (row == nullptr && IsHttp(args[0])) {
      LOG_WARN("client {} closed: it speaks HTTP, perhaps a page that a browser was lured to", session.connection.peer_address());
      return session.connection.Close();
    }
    if (row != nullptr && (row->flags & kRunsQueue)) {
      return Reject(state, session, row, "wrong number of arguments for '" + std::string(row->name) + "' command", reply);
    }
    row = Resolve(state, row, args, reply);
    if (row == nullptr) return Reject(state, session, nullptr, {}, reply);
  }
  uint64_t hash = plan.hash;
  if (row != plan.row && row->keys.first > 0) hash = services_->keyspace.Hash(args[static_cast<size_t>(row->keys.first)]);
  if (!Admit(state, session, *row, args, reply)) return;
  if (session.transaction && !(row->flags & kImmediate)) return Queue(state, session, *row, args, reply);
  if (state.busy) [[unlikely]] return CallBusy(state, session, *row, args, reply);
  Call(state, session, *row, args, hash, reply);
}

void Dispatcher::Queue(WorkerState& state, Session& session, const Row& row, Args args, resp::Writer& reply) {
  Transaction& transaction = *session.transaction;
  QueuedCommand queued{&row, {}, {}};
  size_t bytes = 0;
  for (const std::string_view arg : args) bytes += arg.size();
  const auto limit = static_cast<size_t>(settings_.max_query_buffer_bytes.load(std::memory_order_relaxed));
  if (transaction.bytes + bytes > limit || bytes > UINT32_MAX) {
    return Reject(state, session, &row, "ERR transaction is larger than client-query-buffer-limit allows", reply);
  }
  queued.bytes.reserve(bytes);
  for (const std::string_view arg : args) {
    queued.bytes.append(arg);
    queued.ends.push_back(static_cast<uint32_t>(queued.bytes.size()));
  }
  transaction.bytes += bytes;
  constexpr uint32_t kMayWrite = kRunsScript | kMayReplicate;
  const bool writes_nothing = (row.flags & kMayWrite) == kMayWrite && SaysItWritesNothing(*services_, row, args);
  transaction.flags |= writes_nothing ? row.flags & ~kMayReplicate : row.flags;
  transaction.needs_role = transaction.needs_role || !(row.flags & kLoading);
  if (row.name == "select") {
    int64_t db = 0;
    const bool exists = ParseInt64(args[1], &db) && db >= 0 && db < services_->keyspace.databases();
    if (exists) transaction.db = static_cast<int>(db);
  }
  transaction.queue.push_back(std::move(queued));
  session.multi_commands.store(static_cast<int>(transaction.queue.size()), std::memory_order_relaxed);
  session.multi_bytes.store(transaction.bytes, std::memory_order_relaxed);
  reply.Raw("+QUEUED\r\n");
}

void Dispatcher::RunHandler(CallContext& ctx, const Row& row, Args args, resp::Writer& reply) {
  const uint64_t errors = reply.errors(), counted = ctx.counted_errors;
  const uint64_t begin = Ticks();
  ctx.row = &row;
  Session& session = *ctx.session;
  if (!ctx.in_exec) session.last_command.store(row.index, std::memory_order_relaxed);
  if (session.tracking == nullptr) [[likely]] {
    row.handler(ctx, args, reply);
  } else {
    tracking_.Run(ctx, row, args, reply);
  }
  const uint64_t own = reply.errors() - errors - (ctx.counted_errors - counted);
  ctx.counted_errors += own;
  ctx.row = &row;  // EXEC's commands had it
  CountCall(*states_[session.connection.worker().index()], ctx, args, Ticks() - begin, own > 0, reply);
}

void Dispatcher::Replicate(CallContext& ctx) {
  if (ctx.effects.empty()) [[likely]] return;
  const uint64_t offset = services_->replication.Append(ctx.effects.Records());
  if (ctx.session == nullptr) return;
  Session& session = *ctx.session;
  session.last_write_offset = offset;
  states_[session.connection.worker().index()]->appended = true;
}

void Dispatcher::ServeNoted(WorkerState& state, const CallContext& ctx, const Blocking::Held& held) {
  AppendGathered(state);
  blocking_.Serve(ctx, held, {true, state.generation}, &state.served);
  state.appended = state.appended || state.served.appended;
}

void Dispatcher::ServeNotedOf(WorkerState& state, const CallContext& ctx, uint64_t hash) {
  const uint32_t shard = services_->keyspace.ShardIndex(hash);
  ServeNoted(state, ctx, {!services_->keyspace.shared(), {&shard, 1}});
}

void Dispatcher::ServeLeft(WorkerState& state) {
  Blocking::Office office;
  office.generation = services_->gate.generation();
  office.may_write = MayChange(*state.worker);
  // While a primary's writes are paused or refused, what waits to write keeps its place.
  if (!office.may_write && services_->gate.mode() != role::GateState::Mode::kReplica) return;
  CallContext ctx{*services_, services_->keyspace, state.effects, state.stats};
  ctx.now_ms = state.worker->wall_ms();
  ctx.may_expire = MayExpire(*state.worker);
  blocking_.ServeAll(ctx, office, &state.served);
  state.appended = state.appended || state.served.appended;
}

void Dispatcher::FinishServing(WorkerState& state) {
  if (state.served.left && !state.outside) ServeLeft(state);
  blocking_.Deliver(&state.served);
}

void Dispatcher::AppendGathered(WorkerState& state) {
  WorkerState::Gathered& gathered = state.gathered;
  if (gathered.bytes.empty()) return;
  const replication::Record record{gathered.db, {}, gathered.bytes};
  gathered.session->last_write_offset = services_->replication.Append({&record, 1});
  state.appended = true;
  gathered = {};
}

void Dispatcher::Call(WorkerState& state, Session& session, const Row& row, Args args, uint64_t hash,
                      resp::Writer& reply) {
  store::Keyspace& keyspace = services_->keyspace;
  const uint32_t flags = row.flags | (session.transaction ? session.transaction->flags : 0);
  const bool script = (flags & kRunsScript) != 0;
  if (script && !TakeFloor(state)) [[unlikely]] return Reject(state, session, &row, BusyText(), reply);
  const bool writes = (flags & kWrite) != 0 || script;
  // A message is no write: nobody waits for its acknowledgement, and no office is needed to answer it.
  const bool streams = (flags & (kWrite | kMayReplicate)) != 0;
  const uint64_t changes = state.effects.changes();
  state.stats.changes.Set(changes);  // INFO tells its own client's, too
  state.effects.Reset(streams && services_->replication.active());
  CallContext ctx{*services_, keyspace, state.effects, state.stats};
  ctx.session = &session;
  ctx.db = session.db.load(std::memory_order_relaxed);
  ctx.now_ms = state.worker->wall_ms();
  ctx.may_expire = state.may_expire;
  ctx.view = ViewOf(session);
  ctx.out_of_memory = state.out_of_memory;
  ctx.first_hash = hash;
  const bool synchronous = writes && services_->gate.synchronous_replicas() > 0;
  const uint64_t position = synchronous ? session.connection.position() : 0;
  if (NeedsAllShards(row, args)) {
    store::AllShardsGuard guard(keyspace);
    ctx.all_locked = true;
    RunHandler(ctx, row, args, reply);
    Replicate(ctx);
    if (writes) ServeWaiting(state, ctx, {.all = true});
  } else if (row.keys.first == 0 && row.keys.find == nullptr) {
    RunHandler(ctx, row, args, reply);  // EXEC replicates by itself, under its locks
    if (row.flags & kMayReplicate) Replicate(ctx);
  } else if (row.keys.first == row.keys.last && row.keys.find == nullptr) {
    store::OneShardGuard guard(keyspace, keyspace.ShardOf(hash));
    RunHandler(ctx, row, args, reply);
    Replicate(ctx);
    if (writes && blocking_.noted()) [[unlikely]] ServeNotedOf(state, ctx, hash);
  } else if (!keyspace.shared()) {
    // No lock to take, so no need to know of which shards.
    RunHandler(ctx, row, args, reply);
    Replicate(ctx);
    if (writes) ServeWaiting(state, ctx, {.all = true});
  } else {
    state.indexes.clear();
    state.shards.clear();
    if (FindKeys(row, args, &state.indexes)) {
      for (const uint32_t i : state.indexes) state.shards.push_back(keyspace.ShardIndex(keyspace.Hash(args[i])));
    }
    // Without keys the handler finds the error in the arguments; it touches no shard.
    if (state.shards.empty()) {
      RunHandler(ctx, row, args, reply);
    } else {
      store::ShardGuard guard(keyspace, state.shards);
      RunHandler(ctx, row, args, reply);
      Replicate(ctx);
      if (writes) ServeWaiting(state, ctx, {false, state.shards});
    }
  }
  if (script) [[unlikely]] ReturnFloor(state);
  if (writes && state.effects.changes() != changes) {
    session.connection.MarkWrote(state.generation);
    if (synchronous) session.connection.HoldFrom(position, session.last_write_offset);
  }
}

void Dispatcher::RunTransaction(CallContext& ctx, Transaction& transaction, resp::Writer& reply) {
  store::Keyspace& keyspace = ctx.keyspace;
  Session& session = *ctx.session;
  // The lock plan: the shards of all queued commands and of the watched keys.
  std::vector<std::vector<std::string_view>> arguments;
  std::vector<uint32_t> shards, indexes;
  bool all = (transaction.flags & kWalks) != 0;
  for (const QueuedCommand& queued : transaction.queue) {
    std::vector<std::string_view>& args = arguments.emplace_back();
    uint32_t begin = 0;
    for (const uint32_t end : queued.ends) {
      args.emplace_back(queued.bytes.data() + begin, end - begin);
      begin = end;
    }
    all = all || NeedsAllShards(*queued.row, args);
    indexes.clear();
    if (FindKeys(*queued.row, args, &indexes)) {
      for (const uint32_t i : indexes) shards.push_back(keyspace.ShardIndex(keyspace.Hash(args[i])));
    }
  }
  for (const store::WatchedKey& watched : session.watches) shards.push_back(keyspace.ShardIndex(watched.hash));

  const auto run = [&] {
    bool dirty = session.watch_dirty.load(std::memory_order_relaxed);
    for (const store::WatchedKey& watched : session.watches) {
      dirty = dirty || keyspace.ShardOf(watched.hash).WatchedKeyExpired(watched, ctx.now_ms);
    }
    UnwatchAll(keyspace, session, true);
    if (dirty) {
      reply.NullArray();
      return;
    }
    ctx.in_exec = true;
    if (session.subscriber) session.subscriber->Defer();
    reply.Array(transaction.queue.size());
    for (size_t i = 0; i < transaction.queue.size(); ++i) {
      const Row& row = *transaction.queue[i].row;
      const Args args = arguments[i];
      // The rules may be others than when it was queued; a command before it may have changed them.
      if (session.acl_version != acl_.version()) [[unlikely]] acl_.Refresh(session);
      if (!session.unrestricted) [[unlikely]] {
        if (const std::string error = ForbiddenInExec(session, row, args); !error.empty()) {
          reply.Error(error);
          ctx.stats.CountError(reply.last_error_code());
          ++ctx.counted_errors;
          continue;
        }
      }
      ctx.db = session.db.load(std::memory_order_relaxed);
      ctx.first_hash = row.keys.first > 0 && args.size() > static_cast<size_t>(row.keys.first)
                           ? keyspace.Hash(args[static_cast<size_t>(row.keys.first)])
                           : 0;
      RunHandler(ctx, row, args, reply);
    }
    Replicate(ctx);
    if (transaction.flags & kWrite) {
      ServeWaiting(*states_[session.connection.worker().index()], ctx, {all || !keyspace.shared(), shards});
    }
  };
  if (all) {
    store::AllShardsGuard guard(keyspace);
    ctx.all_locked = true;
    run();
  } else if (shards.empty()) {
    run();
  } else {
    store::ShardGuard guard(keyspace, shards);
    run();
  }
  if (session.subscriber) session.subscriber->EndDeferral();
}

// ---------------------------------------------------------------------------------------------- turns, ticks

void Dispatcher::OnTurnEnd(net::Worker& worker) {
  WorkerState& state = *states_[worker.index()];
  services_->channels.Wake();
  tracking_.Wake(&worker);
  monitors_.Wake(workers_);
  // Without limits there is nothing reserved, and nobody to evict.
  if (state.reserved.load(std::memory_order_relaxed) != 0) [[unlikely]] ReturnRoom(state);
  if (services_->config.max_clients_memory.load(std::memory_order_relaxed) != 0) [[unlikely]] EvictClients();
  if (!state.appended && !expired_appended_.load(std::memory_order_relaxed)) return;
  state.appended = false;
  expired_appended_.store(false, std::memory_order_relaxed);
  services_->replication.Wake();
}

void Dispatcher::OnExpired(int db, std::string_view key) {
  if (Notifies(*services_, config::kNotifyExpired)) PublishEvent(*services_, db, "expired", key);
  const std::string_view argv[] = {CallContext::RemovalWord(services_->config.lazy_expire), key};
  AppendOwn(db, argv);
}

void Dispatcher::OnFieldExpired(int db, std::string_view key, std::string_view field) {
  const std::string_view argv[] = {"HDEL", key, field};
  AppendOwn(db, argv);
}

void Dispatcher::OnFieldsExpired(int db, std::string_view key, bool key_gone) {
  if (Notifies(*services_, config::kNotifyHash)) PublishEvent(*services_, db, "hexpired", key);
  if (key_gone && Notifies(*services_, config::kNotifyGeneric)) PublishEvent(*services_, db, "del", key);
}

void Dispatcher::AppendOwn(int db, std::span<const std::string_view> argv) {
  if (!services_->replication.active()) return;
  const replication::Record record{db, argv};
  AppendGathered(*states_[0]);
  services_->replication.Append({&record, 1});
  expired_appended_.store(true, std::memory_order_relaxed);
}

bool Dispatcher::MayExpire(const net::Worker& worker) const {
  return !services_->config.import_mode.load(std::memory_order_relaxed) && MayChange(worker);
}

store::View Dispatcher::ViewOfImporter() const {
  const bool replica = services_->gate.mode() == role::GateState::Mode::kReplica;
  return services_->config.import_mode && !replica ? store::View::kRaw : store::View::kNormal;
}

bool Dispatcher::MayChange(const net::Worker& worker) const {
  const auto mode = services_->gate.mode();
  if (mode != role::GateState::Mode::kPrimary && mode != role::GateState::Mode::kStandalone) return false;
  // While writes are paused the data must not change (a switchover counts on it).
  return pause(worker.wall_ms()) == ClientPause::kNone &&
         services_->gate.MayStream(worker.now());
}

void Dispatcher::OnTick(net::Worker& worker) {
  WorkerState& state = *states_[worker.index()];
  if (pause(worker.wall_ms()) == ClientPause::kNone && services_->gate.paused_until() <= worker.now()) {
    state.paused.clear();
  }
  if (!state.orphans.empty()) EndOrphans(state);
  blocking_.OnTick(worker);
  if (worker.index() != 0) return;
  const double us = static_cast<double>((worker.now() - first_time_).us());
  if (us > 1000) ticks_per_us_.store(static_cast<double>(Ticks() - first_ticks_) / us, std::memory_order_relaxed);
  SetThresholds();
  SampleRates();
  if (!sweeping_) Sweep(worker);
  if (!tidying_) TidyTracking(worker);
  // What no write of a client has changed: keys that expired, a copy that was loaded.
  if (blocking_.noted()) ServeLeftOutsideBatch(state);
  WatchMemory(worker);
  services_->saver.OnTick(worker.wall_ms());
  services_->shutdown.OnTick(worker.now());
}

void Dispatcher::Sweep(net::Worker& worker) {
  sweeping_ = false;
  if (!active_expire_.load(std::memory_order_relaxed) || !MayExpire(worker)) return;
  script::Floor& floor = services_->scripts.floor();
  if (!floor.TryEnter(worker.index())) return;  // the next tick goes on
  const MonoTime begin = services_->clock.Mono();
  sweeping_ = services_->keyspace.Sweep(worker.wall_ms(), services_->clock).more;
  NoteLatency("expire-cycle", services_->clock.Mono() - begin, worker.wall_ms());
  floor.Leave(worker.index());
  // A quarter of a core at most, however much is due.
  if (sweeping_) worker.RunAt(worker.now() + kSweepAgain, [this, &worker] { Sweep(worker); });
}

void Dispatcher::FinishTracked(WorkerState& state, Session& session, const Row* row) {
  // CLIENT CACHING holds for what follows it: a command, or a transaction.
  const bool over = !session.transaction && (row == nullptr || row->name != "client");
  if (over && session.tracking) session.tracking->caching = false;
  tracking_.AfterCommand(*state.worker, !state.busy && !state.outside);
}

void Dispatcher::TidyTracking(net::Worker& worker) {
  tidying_ = false;
  script::Floor& floor = services_->scripts.floor();
  if (!floor.TryEnter(worker.index())) return;  // the next tick goes on
  tidying_ = tracking_.Tidy();
  floor.Leave(worker.index());
  if (tidying_) worker.RunAt(worker.now() + kSweepAgain, [this, &worker] { TidyTracking(worker); });
}

// ---------------------------------------------------------------------------------------------- pauses

ClientPause Dispatcher::pause(int64_t now_ms) const {
  if (pause_until_ms_.load(std::memory_order_acquire) <= now_ms) return ClientPause::kNone;
  return pause_kind_.load(std::memory_order_acquire);
}

void Dispatcher::Pause(ClientPause kind, int64_t until_ms) {
  const int64_t now = services_->clock.Wall().unix_ms;
  const ClientPause running = pause(now);
  pause_kind_.store(running == ClientPause::kAll ? ClientPause::kAll : kind, std::memory_order_release);
  pause_until_ms_.store(std::max(until_ms, pause_until_ms_.load(std::memory_order_relaxed)), std::memory_order_release);
}

void Dispatcher::Unpause() {
  pause_until_ms_.store(0, std::memory_order_release);
  WakePaused();
}

void Dispatcher::WakePaused() {
  for (net::Worker* worker : workers_) {
    worker->Post([this, worker] {
      std::vector<WorkerState::Paused> paused;
      paused.swap(states_[worker->index()]->paused);
      for (const auto& [id, wait] : paused) {
        if (net::Connection* connection = worker->Find(id)) connection->Wake(wait);
      }
    });
  }
}

void Dispatcher::ParkUntil(WorkerState& state, Session& session, MonoTime until) {
  session.connection.ParkBefore();
  session.blocked.store(true, std::memory_order_relaxed);
  const uint64_t id = session.connection.id(), wait = session.connection.wait();
  state.paused.push_back({id, wait});
  state.worker->RunAt(until, [worker = state.worker, id, wait] {
    if (net::Connection* connection = worker->Find(id)) connection->Wake(wait);
  });
}

void Dispatcher::CloseAllClients() {
  clients_closed_ms_.store(services_->clock.Wall().unix_ms, std::memory_order_relaxed);
  WakePaused();
  for (net::Worker* worker : workers_) {
    // First a turn in which what is queued is answered, then the close. A reply that the network holds back must
    // not arrive after another node's: what an isolated primary sent long ago is dropped by a reset, what it sent
    // just now if it is not received at once.
    worker->Post([this, worker] {
      blocking_.EndAll(*worker);
      worker->ForEachConnection([](net::Connection& connection) {
        if (connection.Retransmits()) connection.Reset();
        connection.LimitRetransmission(kLateReplyLimit);
        connection.Wake();
      });
      worker->Post([worker] {
        worker->ForEachConnection([](net::Connection& connection) { connection.CloseAfterFlush(); });
      });
    });
  }
}

void Dispatcher::CloseWaitingClients() {
  for (net::Worker* worker : workers_) {
    worker->Post([this, worker] { blocking_.EndAll(*worker); });
  }
}

void Dispatcher::OnAcks() {
  for (net::Worker* worker : workers_) {
    worker->Post([this, worker] {
      worker->CheckHolds();
      std::vector<std::function<void()>> waiting;
      waiting.swap(states_[worker->index()]->ack_waiters);
      for (const auto& task : waiting) task();
    });
  }
}

void Dispatcher::WhenAcksGrow(net::Worker& worker, std::function<void()> task) {
  states_[worker.index()]->ack_waiters.push_back(std::move(task));
}

}  // namespace understudy::command
