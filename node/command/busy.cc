// While a script has the floor: who waits, who is told, what still works. See script/floor.h.
#include "node/command/dispatch.h"
#include "node/command/dispatch_state.h"
#include "node/command/script_host.h"
#include "node/script/scripts.h"

namespace understudy::command {
namespace {

using Entry = script::Floor::Entry;

}  // namespace

std::string_view Dispatcher::BusyText() const {
  return command::BusyText(services_->scripts.slow_is_function());
}

bool Dispatcher::EnterShards(WorkerState& state) {
  const Entry entry = services_->scripts.floor().Enter(state.worker->index());
  if (entry == Entry::kBusy) return false;
  // What is admitted now must not be so by the lease of before.
  if (entry == Entry::kWaited) [[unlikely]] state.worker->RefreshTime();
  state.outside = state.batch_over = false;
  return true;
}

void Dispatcher::LeaveShards(WorkerState& state) {
  if (!state.outside) services_->scripts.floor().Leave(state.worker->index());
  state.outside = state.batch_over = false;
}

bool Dispatcher::TakeFloor(WorkerState& state) {
  const Entry entry = services_->scripts.floor().Take(state.worker->index());
  if (entry == Entry::kAtOnce) [[likely]] return true;
  if (entry == Entry::kWaited) {
    state.worker->RefreshTime();
    state.may_expire = MayExpire(*state.worker);
    return true;
  }
  state.outside = state.batch_over = true;
  return false;
}

void Dispatcher::ReturnFloor(WorkerState& state) {
  script::Floor& floor = services_->scripts.floor();
  floor.Release();
  if (floor.Enter(state.worker->index()) == Entry::kBusy) state.outside = state.batch_over = true;
}

void Dispatcher::ServeOthers(Session& running) {
  WorkerState& state = *states_[running.connection.worker().index()];
  state.batch_over = true;
  state.worker->ServeOthers(running.connection);
}

void Dispatcher::OnBusyBatch(WorkerState& state, const net::Batch& batch, std::span<uint32_t> executed) {
  state.busy = true;
  for (size_t i = 0; i < batch.segments.size(); ++i) executed[i] = RunBusySegment(state, batch, batch.segments[i]);
  state.busy = false;
}

uint32_t Dispatcher::RunBusySegment(WorkerState& state, const net::Batch& batch, const net::Segment& segment) {
  net::Connection& connection = *segment.connection;
  Session& session = Session::Of(connection);
  if (session.acl_version != acl_.version()) acl_.Refresh(session);
  if (!connection.accepts_commands()) return 0;
  session.last_command_ms.store(state.worker->wall_ms(), std::memory_order_relaxed);
  resp::Writer reply(state.worker->OpenOutput(connection), session.protocol.load(std::memory_order_relaxed));
  for (uint32_t i = 0; i < segment.commands; ++i) {
    const Args args = batch.Arguments(batch.commands[segment.first_command + i]);
    RunAndAnswer(state, session, {table_.Find(args[0])}, args, reply);
    if (session.acl_version != acl_.version()) acl_.Refresh(session);
    if (connection.TakeRepeat()) return i;
    if (session.tracking != nullptr) FinishTracked(state, session, table_.Find(args[0]));
    if (!connection.accepts_commands() || state.worker->output_full()) return i + 1;
  }
  return segment.commands;
}

void Dispatcher::CallBusy(WorkerState& state, Session& session, const Row& row, Args args, resp::Writer& reply) {
  // What watches keys, or may let go of watched ones, needs their shards.
  const bool touches_shards = row.keys.first > 0 || (!session.watches.empty() && row.group != "scripting");
  if (touches_shards) return Reject(state, session, &row, BusyText(), reply);
  Effects effects;
  CallContext ctx{*services_, services_->keyspace, effects, state.stats};
  ctx.session = &session;
  ctx.db = session.db.load(std::memory_order_relaxed);
  ctx.now_ms = state.worker->wall_ms();
  RunHandler(ctx, row, args, reply);
}

// A closed client lets go of its watches, now or once no script has their shards.
void Dispatcher::EndWatches(WorkerState& state, net::Connection& connection) {
  script::Floor& floor = services_->scripts.floor();
  if (floor.Enter(state.worker->index()) == Entry::kBusy) {
    state.orphans.push_back(connection.TakeState());
    return;
  }
  UnwatchAll(services_->keyspace, Session::Of(connection), false);
  floor.Leave(state.worker->index());
}

void Dispatcher::EndOrphans(WorkerState& state) {
  script::Floor& floor = services_->scripts.floor();
  if (!floor.TryEnter(state.worker->index())) return;
  for (const auto& orphan : state.orphans) UnwatchAll(services_->keyspace, static_cast<Session&>(*orphan), false);
  state.orphans.clear();
  floor.Leave(state.worker->index());
}

void Dispatcher::ServeLeftOutsideBatch(WorkerState& state) {
  script::Floor& floor = services_->scripts.floor();
  if (!floor.TryEnter(state.worker->index())) return;  // a later tick
  ServeLeft(state);
  floor.Leave(state.worker->index());
  if (state.served.pending) FinishServing(state);
}

}  // namespace understudy::command
