// The keyspace as a whole: KEYS, SCAN, DBSIZE, FLUSHALL, SWAPDB ...
#include <optional>

#include "node/command/call_context.h"
#include "node/command/saver.h"
#include "node/command/scan_options.h"
#include "node/config/config.h"
#include "node/net/connection.h"
#include "node/resp/errors.h"
#include "node/resp/glob.h"
#include "node/resp/writer.h"

namespace understudy::command {
namespace {

using resp::Writer;

void DbSize(CallContext& ctx, Args, Writer& reply) {
  reply.Integer(static_cast<int64_t>(ctx.keyspace.Size(ctx.db)));
}

void Keys(CallContext& ctx, Args args, Writer& reply) {
  const std::string_view pattern = args[1];
  const bool all = resp::MatchesAll(pattern);
  std::vector<std::string> names;
  ctx.keyspace.ForEach(ctx.db, ctx.now_ms, ctx.view, ctx.locking(), [&](const store::Entry& entry) {
    if (all || resp::GlobMatch(pattern, entry.key())) names.emplace_back(entry.key());
  });
  reply.Array(names.size());
  for (const std::string& name : names) reply.Bulk(name);
}

void Scan(CallContext& ctx, Args args, Writer& reply) {
  ScanOptions options;
  if (!ReadScanCursor(args[1], &options.cursor, reply)) return;
  if (!ReadScanOptions(args.subspan(2), std::nullopt, &options, reply)) return;
  std::vector<std::string> names, expired;
  const auto visit = [&](const store::Entry& entry) {
    if (options.type && !Is(*options.type, store::TypeName(entry.type()))) return;
    if (!options.Matches(entry.key())) return;
    const bool gone = ctx.view == store::View::kNormal && entry.ExpiredAt(ctx.now_ms);
    (gone ? expired : names).emplace_back(entry.key());
  };
  const uint64_t cursor =
      ctx.keyspace.Scan(ctx.db, options.cursor, options.count, ctx.now_ms, store::View::kRaw, ctx.locking(), visit);
  for (const std::string& name : expired) {
    const Key key = AnyKey(ctx, name);
    ctx.WithShard(key.shard.index(), [&](store::Shard&) { LookupPeek(ctx, key); });
  }
  reply.Array(2);
  reply.Bulk(std::to_string(cursor));
  reply.Array(names.size());
  for (const std::string& name : names) reply.Bulk(name);
}

void RandomKey(CallContext& ctx, Args, Writer& reply) {
  // Expired keys that it meets are removed, or passed over where that is not this node's to do: as often as Redis does.
  for (int tried = 0; tried < 100; ++tried) {
    const auto name = ctx.keyspace.RandomKey(ctx.db, ctx.now_ms, store::View::kRaw, ctx.locking());
    if (!name) break;
    const Key key = AnyKey(ctx, *name);
    bool live = false;
    ctx.WithShard(key.shard.index(), [&](store::Shard&) { live = LookupPeek(ctx, key) != nullptr; });
    if (live) return reply.Bulk(*name);
  }
  reply.Null();
}

bool ReadFlushMode(const CallContext& ctx, Args args, store::Freeing* freeing, Writer& reply) {
  bool lazy = ctx.services.config.lazy_user_flush;
  if (args.size() == 2 && (Is(args[1], "async") || Is(args[1], "sync"))) {
    lazy = Is(args[1], "async");
  } else if (args.size() != 1) {
    reply.Error(resp::kSyntaxError);
    return false;
  }
  *freeing = lazy ? store::Freeing::kLazy : store::Freeing::kInline;
  return true;
}

void FlushDb(CallContext& ctx, Args args, Writer& reply) {
  store::Freeing freeing;
  if (!ReadFlushMode(ctx, args, &freeing, reply)) return;
  ctx.keyspace.FlushDb(ctx.db, freeing);
  ctx.effects.Verbatim(ctx.db, args);
  reply.Ok();
}

void FlushAll(CallContext& ctx, Args args, Writer& reply) {
  store::Freeing freeing;
  if (!ReadFlushMode(ctx, args, &freeing, reply)) return;
  ctx.keyspace.FlushAll(freeing);
  ctx.effects.Verbatim(ctx.db, args);
  // With save points the file is emptied, too, or a restart would bring the data back. A client waits for it; in a
  // transaction or a script nobody can.
  Saver& saver = ctx.services.saver;
  if (ctx.session == nullptr || ctx.in_exec) {
    saver.SaveAfterFlush(nullptr);
    return reply.Ok();
  }
  if (!saver.SaveAfterFlush([answer = ReplyLater(ctx)](Status) { answer("+OK\r\n"); })) return reply.Ok();
  ctx.session->connection.Park();
}

void SwapDb(CallContext& ctx, Args args, Writer& reply) {
  int64_t first = 0, second = 0;
  const auto is_int32 = [](std::string_view text, int64_t* out) {
    return ParseInt64(text, out) && *out == static_cast<int32_t>(*out);
  };
  if (!is_int32(args[1], &first)) return reply.Error("ERR invalid first DB index");
  if (!is_int32(args[2], &second)) return reply.Error("ERR invalid second DB index");
  const int64_t most = ctx.keyspace.databases();
  if (first < 0 || first >= most || second < 0 || second >= most) return reply.Error(resp::kDbOutOfRange);
  if (first != second) {
    ctx.keyspace.SwapDb(static_cast<int>(first), static_cast<int>(second), ctx.now_ms);
    ctx.effects.Verbatim(ctx.db, args);
  }
  reply.Ok();
}

// clang-format off
const Row kRows[] = {
  {"dbsize", 1, kReadonly | kFast | kWalks, {}, KeyAccess::kNone, "@keyspace", "server", "1.0.0", "Counts the keys of the database.", "", DbSize},
  {"keys", 2, kReadonly | kWalks, {}, KeyAccess::kNone, "@keyspace @dangerous", "generic", "1.0.0", "Lists the keys whose names match a pattern.", "pattern", Keys},
  {"scan", -2, kReadonly | kWalks, {}, KeyAccess::kNone, "@keyspace", "generic", "2.8.0", "Walks over the keys in steps.", "cursor [MATCH pattern] [COUNT count] [TYPE type]", Scan},
  {"randomkey", 1, kReadonly | kWalks, {}, KeyAccess::kNone, "@keyspace", "generic", "1.0.0", "Names a random key.", "", RandomKey},
  {"flushdb", -1, kWrite | kAllShards, {}, KeyAccess::kNone, "@keyspace @dangerous", "server", "1.0.0", "Removes all keys of the database.", "[ASYNC|SYNC]", FlushDb},
  {"flushall", -1, kWrite | kAllShards, {}, KeyAccess::kNone, "@keyspace @dangerous", "server", "1.0.0", "Removes all keys of all databases.", "[ASYNC|SYNC]", FlushAll},
  {"swapdb", 3, kWrite | kFast | kAllShards, {}, KeyAccess::kNone, "@keyspace @dangerous", "server", "4.0.0", "Exchanges two databases.", "index1 index2", SwapDb},
};
// clang-format on

}  // namespace

std::span<const Row> KeyspaceCommands() { return kRows; }

}  // namespace understudy::command
