// Accounts of memory, and the limit: eviction of keys, refusals, eviction of clients.
#include "node/command/memory.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "common/clock.h"
#include "common/log.h"
#include "node/command/dispatch.h"
#include "node/command/dispatch_state.h"
#include "node/command/notify.h"
#include "node/config/config.h"
#include "node/replication/log.h"
#include "node/replication/replication.h"
#include "node/role/role_gate.h"
#include "node/script/scripts.h"

namespace understudy::command {
namespace {

// How long a worker's share of what is left is good: others need memory, too.
constexpr Duration kShareAge = Milliseconds(1);
// The background thread frees a value of 64 MiB in about that time.
constexpr Duration kFreeStep = Milliseconds(1);
// With the default tenacity a quarter of a core at most.
constexpr Duration kEvictAgain = Milliseconds(2);
// A command that finds no room for so long, since others take what becomes free, is refused.
constexpr Duration kLongestWait = Seconds(2);
// The share that a worker takes at most; what it may use counts as used for the others.
constexpr int64_t kLeastShare = 64 * 1024;
// Evicted at once beyond what is needed: some hundred small keys, a fifth of a millisecond.
constexpr int64_t kSpare = 32 * 1024;
// Of an entry, beside its key and value.
constexpr size_t kEntryBytes = 64;
// The log holds whole blocks, and the one that is being filled.
constexpr size_t kBacklogRounding = 2 * replication::Log::kBlockBytes;

// Redis's scale, each step half as long: what a turn executes beside must stay below a millisecond with it. 25 us a
// step to 10, then 15 % more a step.
Duration EvictionTime(int64_t tenacity) {
  if (tenacity <= 10) return Microseconds(25 * tenacity);
  if (tenacity == 100) return Seconds(3600);
  return Microseconds(static_cast<int64_t>(250 * std::pow(1.15, static_cast<double>(tenacity) - 10)));
}

// Of what the log holds (held), what counts as backlog; the rest waits for replicas that lag.
size_t BacklogBytes(const Services& s, size_t held) {
  const auto most = static_cast<size_t>(s.config.repl_backlog_bytes.load(std::memory_order_relaxed)) + kBacklogRounding;
  return std::min(held, most);
}

}  // namespace

MemoryUse ReadMemoryUse(const Services& s) {
  MemoryUse use;
  use.startup = s.dispatcher.startup_bytes();
  use.index = s.keyspace.IndexBytes();
  const size_t keyspace = s.keyspace.UsedBytes();
  use.entries = keyspace > use.index ? keyspace - use.index : 0;
  use.waiting = s.keyspace.WaitingBytes();
  for (const net::Worker* worker : s.dispatcher.workers()) use.clients += worker->client_bytes();
  const size_t held = s.replication.HeldBytes();
  use.backlog = BacklogBytes(s, held);
  use.scripts = s.scripts.bytes();
  use.tracking = s.dispatcher.tracking().bytes();
  use.replicas = held - use.backlog + s.keyspace.SnapshotBytes();
  return use;
}

size_t PeakMemory(const Services& s) { return s.dispatcher.NotePeak(ReadMemoryUse(s).total()); }

size_t Dispatcher::NotePeak(size_t used) {
  size_t before = peak_bytes_.load(std::memory_order_relaxed);
  while (before < used && !peak_bytes_.compare_exchange_weak(before, used, std::memory_order_relaxed)) {
  }
  return std::max(before, used);
}

// MemoryUse::counted, without what only INFO wants to know. Others change the accounts meanwhile; in this order
// what moves from one to another is seen twice rather than not at all.
int64_t Dispatcher::CountedBytes() const {
  size_t used = startup_bytes();
  for (const net::Worker* worker : workers_) used += worker->client_bytes();
  used += services_->keyspace.UsedBytes();
  used += services_->keyspace.WaitingBytes();
  used += services_->scripts.bytes();
  used += tracking_.bytes();
  used += BacklogBytes(*services_, services_->replication.HeldBytes());
  return static_cast<int64_t>(used);
}

int64_t Dispatcher::ReservedByOthers(const WorkerState& mine) const {
  int64_t bytes = 0;
  for (const auto& state : states_) {
    if (state.get() != &mine) bytes += state->reserved.load(std::memory_order_seq_cst);
  }
  return bytes;
}

int64_t Dispatcher::MemoryNeed(const Session& session, const Row& row, Args args) {
  if (row.flags & kRunsQueue) return session.transaction ? static_cast<int64_t>(session.transaction->bytes) : 0;
  size_t need = kEntryBytes;
  for (const std::string_view arg : args) need += arg.size();
  int64_t offset = 0;
  if ((row.flags & (kGrowsToOffset | kGrowsToBit)) && args.size() > 2 && ParseInt64(args[2], &offset) && offset > 0) {
    if (row.flags & kGrowsToBit) offset /= 8;
    need += static_cast<size_t>(std::min<int64_t>(offset, store::kMaxValueBytes));
  }
  return static_cast<int64_t>(need);
}

bool Dispatcher::TakeShare(WorkerState& state, const Session& session, const Row& row, Args args) const {
  const int64_t limit = services_->config.max_memory_bytes.load(std::memory_order_relaxed);
  // A replica holds what its primary holds; while writes are paused the data must not change.
  if (limit == 0 || !state.may_expire) return true;
  const int64_t need = MemoryNeed(session, row, args);
  if (state.room_limit != limit || state.room < need) [[unlikely]] return false;
  state.room -= need;
  return true;
}

Dispatcher::Room Dispatcher::TakeMemory(WorkerState& state, Session& session, const Row& row, Args args) {
  if (TakeShare(state, session, row, args)) [[likely]] return Room::kYes;
  const int64_t limit = services_->config.max_memory_bytes.load(std::memory_order_relaxed);
  Room room = MakeRoom(state, limit, MemoryNeed(session, row, args));
  const MonoTime now = state.worker->now();
  if (room != Room::kLater) {
    session.waits_for_memory_since = {};
  } else if (session.waits_for_memory_since == MonoTime{}) {
    session.waits_for_memory_since = now;
  } else if (now - session.waits_for_memory_since > kLongestWait) {
    session.waits_for_memory_since = {};
    room = Room::kNo;
  }
  return room;
}

Dispatcher::Room Dispatcher::MakeRoom(WorkerState& state, int64_t limit, int64_t need) {
  const auto workers = static_cast<int64_t>(workers_.size());
  state.room_limit = limit;
  state.room_at = state.worker->now();
  const auto reserve = [&](int64_t bytes, int64_t share) {
    state.room = share;
    state.reserved.store(bytes + share, std::memory_order_relaxed);
  };
  // First it says what it wants, then it looks: of two workers at least one sees the other.
  state.room = 0;
  state.reserved.store(need, std::memory_order_seq_cst);
  // Before the accounts: a reservation is given up after what it was for is in an account.
  const int64_t reserved = ReservedByOthers(state);
  int64_t used = CountedBytes();
  NotePeak(static_cast<size_t>(used));
  used += reserved;
  const auto fits = [&] {
    if (used + need > limit) return false;
    reserve(need, std::min((limit - used - need) / workers, std::max(kLeastShare, limit / 1024)));
    return true;
  };
  if (fits()) return Room::kYes;
  const Room room = Evict(state, limit, need, &used);
  if (room == Room::kYes && fits()) return Room::kYes;
  if (room == Room::kYes && used <= limit && used + need <= limit + limit / 100) return Room::kYes;
  reserve(0, 0);
  return room == Room::kLater ? Room::kLater : Room::kNo;
}

// kYes: it did what it could. used: in, and as it is afterwards.
Dispatcher::Room Dispatcher::Evict(WorkerState& state, int64_t limit, int64_t need, int64_t* used) {
  store::Keyspace& keyspace = services_->keyspace;
  if (keyspace.memory_settings().policy.load(std::memory_order_relaxed) == store::EvictionPolicy::kNone) return Room::kYes;
  // Each key that goes is more overwritten data for a copy that is short of room already.
  state.room_wait = kFreeStep;
  if (keyspace.WritersShouldWait()) return Room::kLater;
  const auto waiting = static_cast<int64_t>(keyspace.WaitingBytes());
  const auto entries = static_cast<int64_t>(keyspace.UsedBytes() - keyspace.IndexBytes());
  // If all keys together are not enough none has to go in vain.
  const int64_t least = *used - waiting - entries + need;
  if (least > limit) return Room::kYes;
  if (state.eviction_turn != state.worker->turns()) {
    state.eviction_turn = state.worker->turns();
    const int64_t tenacity = services_->config.eviction_tenacity.load(std::memory_order_relaxed);
    state.eviction_until = services_->clock.Mono() + EvictionTime(tenacity);
  }
  // A little more than needed, so that not each command has to; not so much that others wait for it.
  const int64_t spare = std::min<int64_t>({limit / 1024, kSpare, limit - least});
  int64_t left = *used - waiting + need - (limit - spare);
  bool in_time = true;
  const MonoTime begin = services_->clock.Mono();
  while (left > 0 && in_time) {
    const size_t freed = state.evictor->EvictOne(state.worker->wall_ms());
    if (freed == 0) break;
    left -= static_cast<int64_t>(freed);
    in_time = services_->clock.Mono() < state.eviction_until;
  }
  NoteLatency("eviction-cycle", services_->clock.Mono() - begin, state.worker->wall_ms());
  const int64_t reserved = ReservedByOthers(state);
  *used = reserved + CountedBytes();
  if (*used + need <= limit) return Room::kYes;
  if (left > 0 && in_time) return Room::kYes;  // nothing is left that may go
  // Time is up: the next turn goes on. Or what is gone has yet to be freed.
  if (left > 0) state.room_wait = Duration{};
  return Room::kLater;
}

// What needs memory without being a command that says so: replies, the log.
void Dispatcher::KeepLimit(WorkerState& state) {
  const int64_t limit = services_->config.max_memory_bytes.load(std::memory_order_relaxed);
  if (limit == 0 || !state.may_expire || state.worker->now() - state.room_at < kShareAge) return;
  MakeRoom(state, limit, 0);
}

// At the end of a turn: what a large command had reserved is used by now. Small shares are kept.
void Dispatcher::ReturnRoom(WorkerState& state) {
  if (state.reserved.load(std::memory_order_relaxed) <= std::max(kLeastShare, state.room_limit / 1024)) return;
  state.room = 0;
  state.reserved.store(0, std::memory_order_release);
}

std::optional<Duration> Dispatcher::WaitToReceive(net::Worker& worker, size_t bytes) {
  WorkerState& state = *states_[worker.index()];
  const int64_t limit = services_->config.max_memory_bytes.load(std::memory_order_relaxed);
  if (limit == 0 || !MayExpire(worker)) return std::nullopt;
  script::Floor& floor = services_->scripts.floor();
  if (!floor.TryEnter(worker.index())) return kFreeStep;
  const Room room = MakeRoom(state, limit, static_cast<int64_t>(bytes));
  floor.Leave(worker.index());
  if (room != Room::kLater) return std::nullopt;
  return state.room_wait;
}

void Dispatcher::OnEvicted(int db, std::string_view key) {
  if (Notifies(*services_, config::kNotifyEvicted)) PublishEvent(*services_, db, "evicted", key);
  if (!services_->replication.active()) return;
  const bool lazy = services_->config.lazy_eviction.load(std::memory_order_relaxed);
  const std::string_view argv[] = {CallContext::RemovalWord(lazy), key};
  const replication::Record record{db, argv};
  AppendGathered(*states_[0]);
  services_->replication.Append({&record, 1});
  expired_appended_.store(true, std::memory_order_relaxed);
}

// Worker 0: goes on by itself as long as too much is used, though nobody writes.
void Dispatcher::EvictInBackground(net::Worker& worker) {
  WorkerState& state = *states_[worker.index()];
  const int64_t limit = services_->config.max_memory_bytes.load(std::memory_order_relaxed);
  state.may_expire = MayExpire(worker);
  script::Floor& floor = services_->scripts.floor();
  evicting_ = false;
  if (limit > 0 && state.may_expire && floor.TryEnter(worker.index())) {
    evicting_ = MakeRoom(state, limit, 0) == Room::kLater;
    floor.Leave(worker.index());
  }
  if (evicting_) worker.RunAt(worker.now() + kEvictAgain, [this, &worker] { EvictInBackground(worker); });
}

// Worker 0, every tick.
void Dispatcher::WatchMemory(net::Worker& worker) {
  WorkerState& state = *states_[worker.index()];
  NotePeak(ReadMemoryUse(*services_).total());
  const int64_t limit = services_->config.max_memory_bytes.load(std::memory_order_relaxed);
  if (!evicting_) EvictInBackground(worker);
  const bool exceeded = state.may_expire && limit > 0 && CountedBytes() > limit;
  const int64_t now_ms = worker.now().ns / 1'000'000;
  if (const int64_t since = exceeded_since_ms_.load(std::memory_order_relaxed); exceeded && since == 0) {
    exceeded_since_ms_.store(now_ms, std::memory_order_relaxed);
  } else if (!exceeded && since != 0) {
    exceeded_ms_.store(exceeded_ms_.load(std::memory_order_relaxed) + now_ms - since, std::memory_order_relaxed);
    exceeded_since_ms_.store(0, std::memory_order_relaxed);
  }
}

int64_t Dispatcher::eviction_exceeded_ms(bool total) const {
  const int64_t since = exceeded_since_ms_.load(std::memory_order_relaxed);
  const int64_t current = since == 0 ? 0 : services_->clock.Mono().ns / 1'000'000 - since;
  return total ? exceeded_ms_.load(std::memory_order_relaxed) + current : current;
}

// ---------------------------------------------------------------------------------------------- clients

// maxmemory-clients: those that take most go first. Any worker, at the end of its turn.
void Dispatcher::EvictClients() {
  const int64_t limit = services_->config.max_clients_memory_bytes();
  if (limit == 0) return;
  int64_t used = 0;
  for (const net::Worker* worker : workers_) used += static_cast<int64_t>(worker->client_bytes());
  if (used <= limit) return;
  const std::unique_lock lock(evict_clients_mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return;
  struct Client {
    int64_t bytes;
    net::Worker* worker;
    uint64_t id;
  };
  std::vector<Client> clients;
  clients_.ForEach([&](Session& session) {
    const auto bytes = static_cast<int64_t>(session.connection.counters.memory_bytes.load(std::memory_order_relaxed));
    if (session.evicted.load(std::memory_order_relaxed)) {
      used -= bytes;  // on its way out
    } else if (!session.no_evict.load(std::memory_order_relaxed)) {
      clients.push_back({bytes, &session.connection.worker(), session.connection.id()});
    }
  });
  std::sort(clients.begin(), clients.end(), [](const Client& a, const Client& b) { return a.bytes > b.bytes; });
  std::unordered_set<uint64_t> chosen;
  for (const Client& client : clients) {
    if (used <= limit) break;
    used -= client.bytes;
    chosen.insert(client.id);
    evicted_clients_.fetch_add(1, std::memory_order_relaxed);
    client.worker->Post([worker = client.worker, id = client.id, bytes = client.bytes] {
      net::Connection* connection = worker->Find(id);
      if (connection == nullptr) return;
      LOG_WARN("client {} closed: it takes {} bytes, the most while all take more than maxmemory-clients",
               connection->peer_address(), bytes);
      connection->Close();
    });
  }
  clients_.ForEach([&](Session& session) {
    if (!chosen.contains(session.connection.id())) return;
    session.evicted.store(true, std::memory_order_relaxed);
  });
}

}  // namespace understudy::command
