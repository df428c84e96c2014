#include "node/command/blocking.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <thread>

#include "common/check.h"
#include "common/clock.h"
#include "node/command/dispatch.h"
#include "node/net/worker.h"
#include "node/replication/replication.h"
#include "node/resp/output.h"
#include "node/role/role_gate.h"
#include "node/script/scripts.h"

namespace understudy::command {
namespace {

constexpr int64_t kLongestWaitMs = int64_t{100} * 366 * 24 * 3600 * 1000;  // as good as for ever; fits a MonoTime
// How often all noted keys of a shard are looked at before the next tick has to do it.
constexpr int kRounds = 8;

constexpr std::string_view kUnblocked = "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n";
constexpr std::string_view kRoleChanged =
    "-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n";

std::string_view TimeIsUp(int protocol) { return protocol == 3 ? "_\r\n" : "*-1\r\n"; }

}  // namespace

bool FindFilled(CallContext& ctx, Args keys, store::Type type, std::string_view* name, store::Entry** entry,
                resp::Writer& reply) {
  *entry = nullptr;
  for (const std::string_view key : keys) {
    store::Entry* const found = LookupWrite(ctx, AnyKey(ctx, key));
    // Who waits already is not told of what else a key became in the meantime.
    if (ctx.waits_on == nullptr && HasOtherType(found, type, reply)) return false;
    if (found == nullptr || found->type() != type) continue;
    *name = key;
    *entry = found;
    return true;
  }
  return true;
}

bool ReadTimeout(const CallContext& ctx, std::string_view text, TimeoutUnit unit, int64_t* ms, resp::Writer& reply) {
  const auto refuse = [&](std::string_view error) {
    reply.Error(error);
    return false;
  };
  if (unit == TimeoutUnit::kSeconds) {
    long double seconds = 0;
    if (!ParseLongDouble(text, &seconds)) return refuse("ERR timeout is not a float or out of range");
    const long double exact = std::ceil(seconds * 1000);
    if (exact > static_cast<long double>(INT64_MAX)) return refuse("ERR timeout is out of range");
    *ms = exact < 0 ? -1 : static_cast<int64_t>(exact);
  } else if (!ParseInt64(text, ms)) {
    return refuse("ERR timeout is not an integer or out of range");
  }
  if (*ms < 0) return refuse("ERR timeout is negative");
  if (*ms > INT64_MAX - ctx.now_ms) return refuse("ERR timeout is out of range");
  return true;
}

// ---------------------------------------------------------------------------------------------- what waits

// The queue of one key. Exists as long as somebody stands in it.
struct Blocking::WaitedKey : store::WatchedKey {
  uint32_t shard = 0;
  std::list<std::shared_ptr<WaitingCommand>> queue;  // the one that waits for longest first
  size_t telling = 0;                                // of them WaitOptions::tells_of_end
  bool noted = false;
  uint64_t note = 0;                                 // when it was noted, in the order of all notes
  bool served = false;                               // right now: it must not go
};

struct WaitingCommand {
  enum class State : uint8_t { kWaiting, kRunning, kOver };
  struct Place {
    Blocking::WaitedKey* key;
    std::list<std::shared_ptr<WaitingCommand>>::iterator at;
  };

  ClientRef ref() const { return MakeRef(client, worker.index()); }

  net::Worker& worker;
  const uint64_t client;
  const Row& row;
  const int db;
  const int protocol;
  const bool silent;  // the client wants no replies
  const bool tracked;  // what it reads is entered (tracking.h)
  const WaitOptions options;
  std::shared_ptr<const acl::User> user;  // the client's
  uint64_t acl_version = 0;               // when he was looked at last
  std::string bytes;  // all arguments, one after the other
  std::vector<std::string_view> args;
  std::vector<uint32_t> shards;  // of all its keys, ascending
  std::atomic<State> state{State::kWaiting};
  std::vector<Place> places;  // the locks of `shards`
  std::multimap<int64_t, std::shared_ptr<WaitingCommand>>::iterator deadline;  // the worker's thread; if it has one
  bool has_deadline = false;
};

bool WaitForKeys(CallContext& ctx, Args command, std::span<const std::string_view> keys, const WaitOptions& options) {
  if (ctx.waits_on != nullptr) {
    *ctx.waits_on = true;
    return true;
  }
  if (ctx.session == nullptr || ctx.in_exec) return false;
  ctx.services.dispatcher.blocking().Enter(ctx, command, keys, options);
  return true;
}

Blocking::Blocking(uint32_t workers) : workers_(workers) {}

Blocking::~Blocking() = default;

void Blocking::Attach(Services& services) {
  services_ = &services;
  const uint32_t count = services.keyspace.shard_count();
  shards_ = std::make_unique<PerShard[]>(count);
  for (uint32_t i = 0; i < count; ++i) all_shards_.push_back(i);
}

void Blocking::Enter(CallContext& ctx, Args command, std::span<const std::string_view> keys,
                     const WaitOptions& options) {
  Session& session = *ctx.session;
  net::Connection& connection = session.connection;
  // No event will tell of this end once more.
  if (connection.peer_closed()) return connection.Close();
  auto waiting = std::make_shared<WaitingCommand>(connection.worker(), connection.id(), *ctx.row, ctx.db,
                                                  session.protocol.load(std::memory_order_relaxed),
                                                  session.reply_mode != Session::kReplyOn, Tracking::Reads(session), options);
  waiting->user = session.acl_user;
  waiting->acl_version = session.acl_version;
  size_t bytes = 0;
  for (const std::string_view arg : command) bytes += arg.size();
  waiting->bytes.reserve(bytes);  // the views stay good
  for (const std::string_view arg : command) {
    waiting->bytes.append(arg);
    waiting->args.emplace_back(waiting->bytes.data() + waiting->bytes.size() - arg.size(), arg.size());
  }
  std::vector<uint32_t> indexes;
  CHECK(FindKeys(*ctx.row, waiting->args, &indexes));
  for (const uint32_t i : indexes) waiting->shards.push_back(ctx.keyspace.ShardIndex(ctx.keyspace.Hash(waiting->args[i])));
  std::sort(waiting->shards.begin(), waiting->shards.end());
  waiting->shards.erase(std::unique(waiting->shards.begin(), waiting->shards.end()), waiting->shards.end());
  for (const std::string_view name : keys) {
    WaitedKey& key = KeyOf(ctx.db, name, ctx.keyspace.Hash(name), ctx.now_ms);
    const auto stands_there = [&](const WaitingCommand::Place& place) { return place.key == &key; };
    if (std::any_of(waiting->places.begin(), waiting->places.end(), stands_there)) continue;
    key.queue.push_back(waiting);
    waiting->places.push_back({&key, std::prev(key.queue.end())});
    if (options.tells_of_end && ++key.telling == 1) telling_keys_.fetch_add(1, std::memory_order_relaxed);
  }
  {
    std::lock_guard lock(mutex_);
    by_client_.emplace(waiting->client, waiting);
  }
  if (options.timeout_ms > 0) {
    PerWorker& mine = workers_[connection.worker().index()];
    const MonoTime at = connection.worker().now() + Milliseconds(std::min(options.timeout_ms, kLongestWaitMs));
    waiting->deadline = mine.deadlines.emplace(at.ns, waiting);
    waiting->has_deadline = true;
    SetTimer(connection.worker(), at.ns);
  }
  session.waiting_bytes = sizeof(WaitingCommand) + bytes + command.size() * sizeof(std::string_view) +
                          waiting->places.size() * (sizeof(WaitedKey) + 128);
  session.waiting = std::move(waiting);
  session.blocked.store(true, std::memory_order_relaxed);
  connection.Park();
}

Blocking::WaitedKey& Blocking::KeyOf(int db, std::string_view name, uint64_t hash, int64_t now_ms) {
  store::Keyspace& keyspace = services_->keyspace;
  const uint32_t index = keyspace.ShardIndex(hash);
  auto& keys = shards_[index].keys;
  if (const auto found = keys.find(Name{db, name}); found != keys.end()) return *found->second;
  auto made = std::make_unique<WaitedKey>();
  WaitedKey& key = *made;
  key.db = db;
  key.key = name;
  key.hash = hash;
  key.sink = this;
  key.shard = index;
  keys.emplace(Name{db, key.key}, std::move(made));
  keyspace.shard(index).Watch(key, now_ms);
  keys_.fetch_add(1, std::memory_order_relaxed);
  return key;
}

void Blocking::LeaveQueues(const std::shared_ptr<WaitingCommand>& command) {
  for (const WaitingCommand::Place& place : command->places) {
    WaitedKey& key = *place.key;
    key.queue.erase(place.at);
    if (command->options.tells_of_end && --key.telling == 0) telling_keys_.fetch_sub(1, std::memory_order_relaxed);
    RemoveIfUnused(key);
  }
  command->places.clear();
}

void Blocking::RemoveIfUnused(WaitedKey& key) {
  if (!key.queue.empty() || key.served) return;
  if (key.noted) DropNote(key);
  services_->keyspace.shard(key.shard).Unwatch(key);
  keys_.fetch_sub(1, std::memory_order_relaxed);
  // The name is the key's own.
  auto& keys = shards_[key.shard].keys;
  keys.erase(keys.find(Name{key.db, key.key}));
}

// ---------------------------------------------------------------------------------------------- what is ready

void Blocking::OnChanged(store::WatchedKey& watched) { Note(static_cast<WaitedKey&>(watched)); }

void Blocking::Note(WaitedKey& key) {
  if (key.noted) return;
  key.noted = true;
  key.note = next_note_.fetch_add(1, std::memory_order_relaxed);
  PerShard& shard = shards_[key.shard];
  shard.noted.push_back(&key);
  shard.any_noted.store(true, std::memory_order_relaxed);
  noted_.fetch_add(1, std::memory_order_relaxed);
}

Blocking::WaitedKey* Blocking::TakeNote(std::span<const uint32_t> shards, std::span<const uint32_t> more) {
  WaitedKey* key = nullptr;
  const auto look = [&](uint32_t index) {
    const std::vector<WaitedKey*>& noted = shards_[index].noted;
    if (!noted.empty() && (key == nullptr || noted.front()->note < key->note)) key = noted.front();
  };
  std::for_each(shards.begin(), shards.end(), look);
  std::for_each(more.begin(), more.end(), look);
  if (key != nullptr) DropNote(*key);
  return key;
}

void Blocking::DropNote(WaitedKey& key) {
  PerShard& shard = shards_[key.shard];
  key.noted = false;
  std::erase(shard.noted, &key);
  shard.any_noted.store(!shard.noted.empty(), std::memory_order_relaxed);
  noted_.fetch_sub(1, std::memory_order_relaxed);
}

// The locks under which waiting commands run: those of who serves them, and others that were free.
class Blocking::Locks {
 public:
  Locks(store::Keyspace& keyspace, const Held& held) : held_(held), more_(keyspace) {}
  // All of them are held, or could be had.
  bool Take(std::span<const uint32_t> shards) {
    if (held_.all) return true;
    const auto has = [&](uint32_t shard) {
      return std::find(held_.shards.begin(), held_.shards.end(), shard) != held_.shards.end() || more_.Holds(shard);
    };
    return std::all_of(shards.begin(), shards.end(), [&](uint32_t shard) { return has(shard) || more_.TryAdd(shard); });
  }
  std::span<const uint32_t> more() const { return more_.indexes(); }

 private:
  const Held& held_;
  store::ExtraShards more_;
};

void Blocking::Serve(const CallContext& cause, const Held& held, const Office& office, Served* served) {
  std::vector<WaitedKey*> left;
  served->pending = true;
  // The time of now: a transaction may have taken so long that what it made has expired.
  CallContext now = cause;
  now.now_ms = std::max(cause.now_ms, services_->clock.Wall().unix_ms);
  {
    Locks locks(services_->keyspace, held);
    const std::span<const uint32_t> mine = held.all ? std::span<const uint32_t>(all_shards_) : held.shards;
    for (;;) {
      // What is run may make other keys ready, also those whose locks were taken for it.
      WaitedKey* const key = TakeNote(mine, locks.more());
      if (key == nullptr) break;
      if (key->served) continue;  // it is one of `left`
      key->served = true;
      const Outcome outcome = ServeKey(now, *key, locks, office, served);
      if (outcome == Outcome::kNeedsLocks) {
        left.push_back(key);  // and `served`, so that it stays
        continue;
      }
      key->served = false;
      RemoveIfUnused(*key);
    }
    for (WaitedKey* key : left) {
      key->served = false;
      Note(*key);
      served->left = true;
    }
  }
}

Blocking::Outcome Blocking::ServeKey(const CallContext& cause, WaitedKey& key, Locks& locks, const Office& office,
                                     Served* served) {
  const store::Shard& shard = services_->keyspace.shard(key.shard);
  for (auto at = key.queue.begin(); at != key.queue.end();) {
    const std::shared_ptr<WaitingCommand> command = *at++;  // it may leave the queue
    const store::Entry* entry = shard.Peek(key.db, key.key, key.hash, cause.now_ms, store::View::kNormal);
    if (entry == nullptr && key.telling == 0) break;
    const bool fits = entry != nullptr && entry->type() == command->options.type;
    if (!fits && !command->options.tells_of_end) continue;
    if ((command->row.flags & kWrite) && !office.may_write) continue;
    if (!locks.Take(command->shards)) return Outcome::kNeedsLocks;
    Run(cause, command, office, served);
  }
  return Outcome::kDone;
}

void Blocking::Run(const CallContext& cause, const std::shared_ptr<WaitingCommand>& command, const Office& office,
                   Served* served) {
  using State = WaitingCommand::State;
  State expected = State::kWaiting;
  if (!command->state.compare_exchange_strong(expected, State::kRunning)) return;  // it is being ended
  const Row& row = command->row;
  Effects effects;
  effects.Reset((row.flags & kWrite) && services_->replication.active());
  bool waits_on = false;
  CallContext ctx{*services_, services_->keyspace, effects, cause.stats};
  ctx.row = &row;
  ctx.db = command->db;
  ctx.now_ms = cause.now_ms;
  ctx.may_expire = cause.may_expire;
  ctx.all_locked = cause.all_locked;
  if (row.keys.first > 0) ctx.first_hash = ctx.keyspace.Hash(command->args[static_cast<size_t>(row.keys.first)]);
  ctx.waits_on = &waits_on;
  resp::StringOutput output;
  resp::Writer reply(output, command->protocol);
  if (MayStillRun(*command, cause.now_ms, reply)) {
    const Tracking::Author author(command->ref());
    row.handler(ctx, command->args, reply);
  }
  if (waits_on) {
    command->state.store(State::kWaiting);
    return;
  }
  if (command->tracked) services_->dispatcher.tracking().RememberFor(command->ref(), ctx, row, command->args);
  if (reply.errors() > 0) {
    ctx.stats.by_command[row.index].failed.Add();
    ctx.stats.CountError(reply.last_error_code());
  }
  Delivery& delivery = served->deliveries.emplace_back();
  delivery.command = command;
  delivery.reply = output.view();
  delivery.wrote = effects.changes() > 0;
  cause.effects.CountChanges(effects.changes());
  delivery.generation = office.generation;
  if (!effects.empty()) {
    delivery.offset = services_->replication.Append(effects.Records());
    served->appended = true;
  }
  LeaveQueues(command);
  command->state.store(State::kOver);
}

// Users may have changed since it began to wait. Whoever lost his user is closed elsewhere.
bool Blocking::MayStillRun(WaitingCommand& command, int64_t now_ms, resp::Writer& reply) {
  Acl& acl = services_->dispatcher.acl();
  const uint64_t version = acl.version();
  if (command.acl_version == version) return true;
  command.acl_version = version;
  if (const auto user = acl.Find(command.user->name()); user != nullptr) command.user = user;
  const acl::Verdict verdict =
      CheckPermission(*command.user, command.row, command.args, {command.db, services_->keyspace.databases()});
  if (verdict.allowed()) return true;
  const std::string name = services_->table.FullName(command.row.index);
  acl.NoteDenial(DenialEntry(verdict, "toplevel", name, command.args, command.user->name()), now_ms);
  reply.Error("NOPERM " + DenialText(verdict, *command.user, name, command.args, false));
  return false;
}

void Blocking::ServeAll(const CallContext& cause, const Office& office, Served* served) {
  store::Keyspace& keyspace = services_->keyspace;
  for (const uint32_t index : all_shards_) {
    for (int round = 0; round < kRounds && shards_[index].any_noted.load(std::memory_order_relaxed); ++round) {
      std::vector<uint32_t> needed = {index};
      {
        store::OneShardGuard guard(keyspace, keyspace.shard(index));
        for (const WaitedKey* key : shards_[index].noted) {
          for (const auto& command : key->queue) needed.insert(needed.end(), command->shards.begin(), command->shards.end());
        }
      }
      store::ShardGuard guard(keyspace, needed);
      Serve(cause, {!keyspace.shared(), needed}, office, served);
    }
  }
}

void Blocking::Deliver(Served* served) {
  for (Delivery& delivery : served->deliveries) {
    net::Worker& worker = delivery.command->worker;
    worker.Post([this, &worker, delivery = std::move(delivery)] {
      net::Connection* connection = worker.Find(delivery.command->client);
      if (connection == nullptr) return;
      Session& session = Session::Of(*connection);
      if (session.waiting != delivery.command) return;
      const uint64_t position = connection->position();
      Finish(session, delivery.reply);
      if (!delivery.wrote) return;
      connection->MarkWrote(delivery.generation);
      if (delivery.offset == 0) return;
      session.last_write_offset = delivery.offset;
      if (services_->gate.synchronous_replicas() > 0) connection->HoldFrom(position, delivery.offset);
    });
  }
  served->deliveries.clear();
  served->appended = served->left = served->pending = false;
}

// ---------------------------------------------------------------------------------------------- other ends

bool Blocking::Claim(WaitingCommand& command) {
  using State = WaitingCommand::State;
  for (;;) {
    State expected = State::kWaiting;
    if (command.state.compare_exchange_strong(expected, State::kOver)) return true;
    if (expected == State::kOver) return false;
    std::this_thread::yield();  // who runs it has all its locks, and is done in microseconds
  }
}

void Blocking::LeaveUnlocked(const std::shared_ptr<WaitingCommand>& command) {
  const uint32_t worker = command->worker.index();
  script::Floor& floor = services_->scripts.floor();
  if (!floor.TryEnter(worker)) {
    workers_[worker].leaving.push_back(command);
    return;
  }
  {
    store::ShardGuard guard(services_->keyspace, command->shards);
    LeaveQueues(command);
  }
  floor.Leave(worker);
}

void Blocking::OnTick(net::Worker& worker) {
  std::vector<std::shared_ptr<WaitingCommand>> leaving;
  leaving.swap(workers_[worker.index()].leaving);
  for (const auto& command : leaving) LeaveUnlocked(command);
}

void Blocking::Forget(Session& session) {
  const std::shared_ptr<WaitingCommand> command = std::move(session.waiting);
  session.waiting.reset();
  session.waiting_bytes = 0;
  session.blocked.store(false, std::memory_order_relaxed);
  if (command->has_deadline) workers_[command->worker.index()].deadlines.erase(command->deadline);
  std::lock_guard lock(mutex_);
  by_client_.erase(command->client);
}

void Blocking::Finish(Session& session, std::string_view reply) {
  const bool silent = session.waiting->silent;
  Forget(session);
  if (!silent) session.connection.Append(reply);
  session.connection.NoteStateChange();
  session.connection.Wake();
}

bool Blocking::End(Session& session, std::string_view reply) {
  const std::shared_ptr<WaitingCommand> command = session.waiting;
  if (command == nullptr || !Claim(*command)) return false;
  LeaveUnlocked(command);
  Finish(session, reply);
  return true;
}

void Blocking::Leave(Session& session) {
  const std::shared_ptr<WaitingCommand> command = session.waiting;
  if (command == nullptr) return;
  Claim(*command);
  LeaveUnlocked(command);
  Forget(session);
}

void Blocking::EndAll(net::Worker& worker) {
  worker.ForEachConnection([this](net::Connection& connection) {
    if (End(Session::Of(connection), kRoleChanged)) connection.CloseAfterFlush();
  });
}

bool Blocking::Unblock(uint64_t client, bool with_error) {
  std::shared_ptr<WaitingCommand> command;
  {
    std::lock_guard lock(mutex_);
    const auto found = by_client_.find(client);
    if (found == by_client_.end()) return false;
    command = found->second;
  }
  if (!Claim(*command)) return false;
  command->worker.Post([this, command, with_error] {
    net::Connection* connection = command->worker.Find(command->client);
    if (connection == nullptr || Session::Of(*connection).waiting != command) return;
    LeaveUnlocked(command);
    if (with_error) {
      WorkerStats& stats = services_->dispatcher.stats(command->worker.index());
      stats.CountError("UNBLOCKED");
      stats.by_command[command->row.index].rejected.Add();
    }
    Finish(Session::Of(*connection), with_error ? kUnblocked : TimeIsUp(command->protocol));
  });
  return true;
}

void Blocking::SetTimer(net::Worker& worker, int64_t deadline_ns) {
  PerWorker& mine = workers_[worker.index()];
  if (deadline_ns >= mine.timer_ns) return;
  mine.timer_ns = deadline_ns;
  worker.RunAt({deadline_ns}, [this, &worker] { OnTimer(worker); });
}

// A timer that an earlier one has replaced comes, too, and finds nothing due.
void Blocking::OnTimer(net::Worker& worker) {
  PerWorker& mine = workers_[worker.index()];
  std::vector<std::shared_ptr<WaitingCommand>> due;
  for (auto at = mine.deadlines.begin(); at != mine.deadlines.end() && at->first <= worker.now().ns; ++at) {
    due.push_back(at->second);
  }
  for (const auto& command : due) {
    net::Connection* connection = worker.Find(command->client);
    if (connection != nullptr) End(Session::Of(*connection), TimeIsUp(command->protocol));
  }
  if (mine.timer_ns <= worker.now().ns) mine.timer_ns = INT64_MAX;
  // What is due and being answered by others is gone soon.
  const auto next = mine.deadlines.upper_bound(worker.now().ns);
  if (next != mine.deadlines.end()) SetTimer(worker, next->first);
}

}  // namespace understudy::command
