// MULTI and its kin. The queue is run by Dispatcher::RunTransaction.
#include "node/command/call_context.h"
#include "node/command/dispatch.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"

namespace understudy::command {
namespace {

using resp::Writer;

void Multi(CallContext& ctx, Args, Writer& reply) {
  if (ctx.session->transaction) return reply.Error("ERR MULTI calls can not be nested");
  ctx.session->transaction = std::make_unique<Transaction>();
  ctx.session->transaction->db = ctx.db;
  ctx.session->multi_commands.store(0, std::memory_order_relaxed);
  reply.Ok();
}

void Exec(CallContext& ctx, Args, Writer& reply) {
  Session& session = *ctx.session;
  if (!session.transaction) return reply.Error("ERR EXEC without MULTI");
  const std::unique_ptr<Transaction> transaction = std::move(session.transaction);
  session.multi_commands.store(-1, std::memory_order_relaxed);
  if (transaction->failed) {
    UnwatchAll(ctx.keyspace, session, false);
    return reply.Error(resp::kExecAbort);
  }
  ctx.services.dispatcher.RunTransaction(ctx, *transaction, reply);
}

void Discard(CallContext& ctx, Args, Writer& reply) {
  if (!ctx.session->transaction) return reply.Error("ERR DISCARD without MULTI");
  EndTransaction(ctx.keyspace, *ctx.session);
  reply.Ok();
}

void Watch(CallContext& ctx, Args args, Writer& reply) {
  Session& session = *ctx.session;
  if (session.transaction) return reply.Error("ERR WATCH inside MULTI is not allowed");
  for (const std::string_view name : args.subspan(1)) {
    const Key key = AnyKey(ctx, name);
    if (key.shard.IsWatchedBy(session.watch_dirty, ctx.db, name, key.hash)) continue;
    store::WatchedKey& watched = session.watches.emplace_back();
    watched.db = ctx.db;
    watched.key = name;
    session.watch_bytes += name.size() + sizeof(store::WatchedKey) + 64;  // with the nodes of two lists
    watched.hash = key.hash;
    watched.dirty = &session.watch_dirty;
    key.shard.Watch(watched, ctx.now_ms);
  }
  session.watch_count.store(static_cast<int>(session.watches.size()), std::memory_order_relaxed);
  reply.Ok();
}

void Unwatch(CallContext& ctx, Args, Writer& reply) {
  // Inside EXEC there is nothing left to let go of.
  if (!ctx.in_exec) UnwatchAll(ctx.keyspace, *ctx.session, false);
  reply.Ok();
}

// clang-format off
const Row kRows[] = {
  {"multi", 1, kNoScript | kLoading | kStale | kFast | kAllowBusy | kImmediate, {}, KeyAccess::kNone, "@transaction", "transactions", "1.2.0", "Begins a transaction.", "", Multi},
  {"exec", 1, kNoScript | kLoading | kStale | kSkipSlowlog | kImmediate | kRunsQueue, {}, KeyAccess::kNone, "@transaction", "transactions", "1.2.0", "Runs the commands of the transaction.", "", Exec},
  {"discard", 1, kNoScript | kLoading | kStale | kFast | kAllowBusy | kImmediate, {}, KeyAccess::kNone, "@transaction", "transactions", "2.0.0", "Drops the transaction.", "", Discard},
  {"watch", -2, kNoScript | kLoading | kStale | kFast | kAllowBusy | kImmediate, {1, -1, 1}, KeyAccess::kLook, "@transaction", "transactions", "2.2.0", "Lets EXEC fail if one of the keys changes before it.", "key [key ...]", Watch},
  {"unwatch", 1, kNoScript | kLoading | kStale | kFast | kAllowBusy, {}, KeyAccess::kNone, "@transaction", "transactions", "2.2.0", "Forgets the watched keys.", "", Unwatch},
};
// clang-format on

}  // namespace

std::span<const Row> TransactionCommands() { return kRows; }

}  // namespace understudy::command
