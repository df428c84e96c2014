// From a batch to its commands: rows and keys looked up ahead, memory prefetched, the short way for ordinary ones.
#include <cstring>

#include "node/command/dispatch.h"
#include "node/command/dispatch_state.h"
#include "node/config/config.h"
#include "node/pubsub/channels.h"
#include "node/replication/replication.h"
#include "node/role/role_gate.h"
#include "node/store/shard_guard.h"

namespace understudy::command {
namespace {

// Commands looked at before the first of them is executed: enough to hide a cache miss, few enough to stay in
// the first-level cache (measured best between 16 and 128).
constexpr size_t kPrefetchGroup = 64;
// Keys of one command that are looked at.
constexpr size_t kPrefetchKeys = 64;
// Buckets that a search is followed through.
constexpr size_t kPrefetchRounds = 3;

// The bytes of a name of 4 to 8 bytes; with its size nothing else has this word.
uint64_t NameWord(std::string_view name) {
  uint32_t first, last;
  std::memcpy(&first, name.data(), sizeof first);
  std::memcpy(&last, name.data() + name.size() - sizeof last, sizeof last);
  return uint64_t{last} << 32 | first;
}

}  // namespace

const Row* Dispatcher::FindRow(WorkerState& state, std::string_view name) {
  uint64_t word;
  if (name.size() == 3) {
    const auto byte = [name](size_t i) { return uint64_t{static_cast<unsigned char>(name[i])}; };
    word = byte(0) | byte(1) << 8 | byte(2) << 16;
  } else if (name.size() >= 4 && name.size() <= 8) {
    word = NameWord(name);
  } else {
    return table_.Find(name);
  }
  WorkerState::NamedRow& named = state.named_rows[(word ^ name.size() << 60) * 0x9e3779b97f4a7c15ULL >> 58];
  if (named.name != word || named.size != name.size()) [[unlikely]] named = {word, name.size(), table_.Find(name)};
  return named.row;
}

void Dispatcher::OnBatch(net::Worker& worker, const net::Batch& batch, std::span<uint32_t> executed) {
  WorkerState& state = *states_[worker.index()];
  if (!EnterShards(state)) [[unlikely]] return OnBusyBatch(state, batch, executed);
  state.may_expire = MayExpire(worker);
  if (services_->config.max_memory_bytes.load(std::memory_order_relaxed) != 0) [[unlikely]] KeepLimit(state);
  if (state.plans.size() < batch.commands.size()) state.plans.resize(batch.commands.size());
  // Nobody writes what would be told to listeners who don't keep up: it is for Admit to let it wait.
  const bool crowded = services_->channels.Crowded() && services_->config.notify_classes != 0;
  size_t prefetched = 0;
  for (size_t i = 0; i < batch.segments.size(); ++i) {
    const net::Segment& segment = batch.segments[i];
    if (segment.first_command + segment.commands > prefetched) {
      // A group may begin in the middle of a segment only if it is a long one; RunSegment goes on from there.
      prefetched = std::max<size_t>(prefetched, segment.first_command);
    }
    uint32_t done = 0;
    while (done < segment.commands) {
      const size_t next = segment.first_command + done;
      if (next >= prefetched) {
        const size_t end = std::min(batch.commands.size(), next + kPrefetchGroup);
        PrefetchGroup(state, batch, next, end);
        for (size_t at = next; crowded && at < end; ++at) state.plans[at].ordinary = false;
        prefetched = end;
      }
      net::Segment part = segment;
      part.first_command = static_cast<uint32_t>(next);
      part.commands = static_cast<uint32_t>(std::min<size_t>(segment.commands - done, prefetched - next));
      const uint32_t ran = RunSegment(state, batch, part);
      AppendGathered(state);
      done += ran;
      if (ran < part.commands) break;
    }
    executed[i] = done;
    if (state.batch_over) [[unlikely]] break;
  }
  if (state.served.pending) [[unlikely]] FinishServing(state);
  state.stats.changes.Set(state.effects.changes());
  LeaveShards(state);
  services_->channels.Wake();
}

void Dispatcher::PrefetchGroup(WorkerState& state, const net::Batch& batch, size_t begin, size_t end) {
  store::Keyspace& keyspace = services_->keyspace;
  const bool shared = keyspace.shared();
  // A single command looks for its key itself right after this.
  const bool alone = end - begin == 1;
  std::vector<store::Probe>& probes = state.probes;
  probes.clear();
  state.hashes.clear();
  state.entries.clear();
  bool collections = false;
  // Most clients stay in database 0; elsewhere the hint is wasted, not wrong.
  const auto look_at = [&](uint64_t hash) {
    store::Shard& shard = keyspace.ShardOf(hash);
    store::Probe probe;
    const store::OneShardGuard guard(keyspace, shard);
    if (!shard.Prefetch(0, hash, &probe)) return;
    if (shared) {
      state.hashes.push_back(hash);
    } else {
      probes.push_back(probe);
    }
  };
  for (size_t i = begin; i < end; ++i) {
    const Args args = batch.Arguments(batch.commands[i]);
    const Row* row = FindRow(state, args[0]);
    Plan& plan = state.plans[i];
    plan = {row};
    if (row == nullptr || row->keys.first == 0 || args.size() <= static_cast<size_t>(row->keys.first)) continue;
    const auto first = static_cast<size_t>(row->keys.first);
    plan.hash = keyspace.Hash(args[first]);
    const bool one_key = HasOneKey(*row, args.size());
    collections |= row->reads_collection;
    if (!alone || !one_key) look_at(plan.hash);
    if (one_key) [[likely]] {
      plan.ordinary = row->ordinary && ArityFits(*row, args.size());
      continue;
    }
    const auto step = static_cast<size_t>(row->keys.step);
    for (size_t at = first + step; row->keys.last == -1 && at < args.size() && at < kPrefetchKeys; at += step) {
      look_at(keyspace.Hash(args[at]));
    }
  }
  // Round by round, so that each waits for its memory while the others are looked at.
  size_t open = probes.size();
  for (size_t round = 0; round < kPrefetchRounds && open > 0; ++round) {
    size_t left = 0;
    for (size_t i = 0; i < open; ++i) {
      if (probes[i].Step()) {
        probes[left++] = probes[i];
      } else if (collections && probes[i].entry() != nullptr) {
        state.entries.push_back(probes[i].entry());
      }
    }
    open = left;
  }
  for (const store::Entry* entry : state.entries) entry->PrefetchCollection();
  // Others change the tables, too: the lock is taken once more rather than held, and the search begins anew.
  for (const uint64_t hash : state.hashes) {
    store::Shard& shard = keyspace.ShardOf(hash);
    store::Probe probe;
    const store::OneShardGuard guard(keyspace, shard);
    if (shard.Prefetch(0, hash, &probe)) probe.Step();
  }
  if (!collections) return;
  for (const uint64_t hash : state.hashes) {
    store::Shard& shard = keyspace.ShardOf(hash);
    store::Probe probe;
    const store::OneShardGuard guard(keyspace, shard);
    if (shard.Prefetch(0, hash, &probe) && !probe.Step() && probe.entry() != nullptr) probe.entry()->PrefetchCollection();
  }
}

bool Dispatcher::MayRunRestricted(const Session& session, const Row& row, Args args) {
  return session.authenticated && session.runs_and_answers() &&
         MayRunOrdinary(*session.acl_user, row, args, session.db.load(std::memory_order_relaxed));
}

bool Dispatcher::Passes(WorkerState& state, const Session& session, const Row& row, Args args) const {
  const bool writes = (row.flags & kWrite) != 0;
  if (writes) {
    if (!services_->keyspace.WritersMayPass()) return false;
    state.generation = services_->gate.generation();
  }
  if (services_->gate.Check(writes, state.worker->now()) != role::Admission::kServe ||
      pause_until_ms_.load(std::memory_order_acquire) > state.worker->wall_ms() ||
      session.blocked.load(std::memory_order_relaxed)) {
    return false;
  }
  // Last, since it takes what the command needs.
  return !(row.flags & kDenyOom) || services_->config.max_memory_bytes.load(std::memory_order_relaxed) == 0 ||
         TakeShare(state, session, row, args);
}

bool Dispatcher::Gather(WorkerState& state, const CallContext& ctx, bool synchronous) {
  const std::span<const replication::Record> records = ctx.effects.Records();
  if (records.empty()) return true;
  if (synchronous || records.size() != 1 || records[0].encoded.empty() || services_->keyspace.shared()) {
    AppendGathered(state);
    return false;
  }
  WorkerState::Gathered& gathered = state.gathered;
  const std::string_view bytes = records[0].encoded;
  if (gathered.bytes.data() + gathered.bytes.size() == bytes.data() && gathered.db == records[0].db) {
    gathered.bytes = {gathered.bytes.data(), gathered.bytes.size() + bytes.size()};
  } else {
    AppendGathered(state);
    gathered = {ctx.session, records[0].db, bytes};
  }
  return true;
}

void Dispatcher::RunOrdinary(WorkerState& state, CallContext& ctx, const Plan& plan, Args args, std::string_view bytes,
                             resp::Writer& reply, uint64_t* ticks) {
  store::Keyspace& keyspace = services_->keyspace;
  Session& session = *ctx.session;
  const Row& row = *plan.row;
  const bool writes = (row.flags & kWrite) != 0;
  const uint64_t errors = reply.errors();
  ctx.row = &row;
  ctx.db = session.db.load(std::memory_order_relaxed);
  ctx.first_hash = plan.hash;
  session.last_command.store(row.index, std::memory_order_relaxed);
  if (!writes) {
    store::OneShardGuard guard(keyspace, keyspace.ShardOf(plan.hash));
    row.handler(ctx, args, reply);
  } else {
    const bool synchronous = services_->gate.synchronous_replicas() > 0;
    const uint64_t position = synchronous ? session.connection.position() : 0;
    const uint64_t changes = state.effects.changes();
    state.effects.Reset(services_->replication.active(), {args.data(), bytes});
    {
      store::OneShardGuard guard(keyspace, keyspace.ShardOf(plan.hash));
      row.handler(ctx, args, reply);
      if (!Gather(state, ctx, synchronous)) Replicate(ctx);
      if (blocking_.noted()) [[unlikely]] ServeNotedOf(state, ctx, plan.hash);
    }
    if (state.effects.changes() != changes) {
      session.connection.MarkWrote(state.generation);
      if (synchronous) session.connection.HoldFrom(position, session.last_write_offset);
    }
  }
  const uint64_t now = Ticks();
  CountCall(state, ctx, args, now - *ticks, reply.errors() != errors, reply);
  *ticks = now;
}

void Dispatcher::RunAndAnswer(WorkerState& state, Session& session, const Plan& plan, Args args, resp::Writer& reply) {
  if (session.reply_mode == Session::kReplyOn) [[likely]] return RunCommand(state, session, plan, args, reply);
  if (session.reply_mode == Session::kReplySkipNext) session.reply_mode = Session::kReplySkip;
  const bool skip_this = session.reply_mode == Session::kReplySkip;
  resp::Writer discarded(state.discard, reply.protocol());
  RunCommand(state, session, plan, args, discarded);
  reply.set_protocol(discarded.protocol());
  // CLIENT REPLY ON and RESET are answered, though replies were off when they came.
  if (session.reply_mode == Session::kReplyOn) reply.SimpleString(Is(args[0], "reset") ? "RESET" : "OK");
  if (skip_this && session.reply_mode == Session::kReplySkip) session.reply_mode = Session::kReplyOn;
}

uint32_t Dispatcher::RunSegment(WorkerState& state, const net::Batch& batch, const net::Segment& segment) {
  net::Connection& connection = *segment.connection;
  Session& session = Session::Of(connection);
  if (session.acl_version != acl_.version()) [[unlikely]] acl_.Refresh(session);
  if (!connection.accepts_commands()) return 0;
  session.last_command_ms.store(state.worker->wall_ms(), std::memory_order_relaxed);
  resp::Writer reply(state.worker->OpenOutput(connection), session.protocol.load(std::memory_order_relaxed));
  CallContext ctx{*services_, services_->keyspace, state.effects, state.stats};
  ctx.session = &session;
  ctx.now_ms = state.worker->wall_ms();
  ctx.may_expire = state.may_expire;
  ctx.view = ViewOf(session);
  uint64_t ticks = Ticks();
  for (uint32_t i = 0; i < segment.commands; ++i) {
    const size_t at = segment.first_command + i;
    const net::Command& command = batch.commands[at];
    const Args args = batch.Arguments(command);
    const Plan& plan = state.plans[at];
    if (plan.ordinary && (session.ordinary() || MayRunRestricted(session, *plan.row, args)) &&
        Passes(state, session, *plan.row, args)) [[likely]] {
      // Neither parks nor closes, detaches, or changes the session.
      RunOrdinary(state, ctx, plan, args, batch.PlainBytes(command), reply, &ticks);
      if (state.worker->output_full()) [[unlikely]] return i + 1;
      continue;
    }
    AppendGathered(state);
    RunAndAnswer(state, session, plan, args, reply);
    if (session.acl_version != acl_.version()) [[unlikely]] acl_.Refresh(session);
    if (connection.TakeRepeat()) return i;
    if (session.tracking != nullptr) [[unlikely]] FinishTracked(state, session, plan.row);
    if (!connection.accepts_commands() || state.worker->output_full() || state.batch_over) return i + 1;
    ctx.view = ViewOf(session);
    ticks = Ticks();
  }
  return segment.commands;
}

}  // namespace understudy::command
