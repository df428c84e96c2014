// DUMP and RESTORE: a value as bytes, in the format of RDB.
#include <optional>
#include <string>

#include "node/command/call_context.h"
#include "node/command/dispatch.h"
#include "node/command/notify.h"
#include "node/config/config.h"
#include "node/persist/rdb_reader.h"
#include "node/persist/rdb_writer.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"

namespace understudy::command {
namespace {

using resp::Writer;

void Dump(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry = LookupRead(ctx, FirstKey(ctx, args[1]));
  if (entry == nullptr) return reply.Null();
  reply.Bulk(persist::DumpPayload(*entry));
}

struct RestoreOptions {
  bool replace = false;
  std::string_view absolute;  // ABSTTL as the client wrote it; empty if he did not
  std::optional<int64_t> idle_seconds, frequency;  // not both
};

bool ReadRestoreOptions(Args options, RestoreOptions* out, Writer& reply) {
  for (size_t i = 0; i < options.size(); ++i) {
    const bool last = i + 1 == options.size();
    int64_t number = 0;
    if (Is(options[i], "replace")) {
      out->replace = true;
    } else if (Is(options[i], "absttl")) {
      out->absolute = options[i];
    } else if (Is(options[i], "idletime") && !last && !out->frequency) {
      if (!ReadInt64(options[++i], &number, reply)) return false;
      if (number < 0) {
        reply.Error("ERR Invalid IDLETIME value, must be >= 0");
        return false;
      }
      out->idle_seconds = number;
    } else if (Is(options[i], "freq") && !last && !out->idle_seconds) {
      if (!ReadInt64(options[++i], &number, reply)) return false;
      if (number < 0 || number > 255) {
        reply.Error("ERR Invalid FREQ value, must be >= 0 and <= 255");
        return false;
      }
      out->frequency = number;
    } else {
      reply.Error(resp::kSyntaxError);
      return false;
    }
  }
  return true;
}

// With the time at which the key expires, whatever the client said, so that replicas agree on it.
void ReplicateRestore(CallContext& ctx, Args args, const RestoreOptions& options, int64_t expire_ms) {
  std::vector<std::string_view> words = {
      "RESTORE", args[1], ctx.effects.Keep(expire_ms == store::kNoExpire ? 0 : expire_ms), args[3],
      "REPLACE", options.absolute.empty() ? "ABSTTL" : options.absolute};
  if (options.idle_seconds) {
    words.insert(words.end(), {"IDLETIME", ctx.effects.Keep(*options.idle_seconds)});
  } else if (options.frequency) {
    words.insert(words.end(), {"FREQ", ctx.effects.Keep(*options.frequency)});
  }
  ctx.effects.Add(ctx.db, words);
}

void Restore(CallContext& ctx, Args args, Writer& reply) {
  RestoreOptions options;
  if (!ReadRestoreOptions(args.subspan(4), &options, reply)) return;
  const Key key = FirstKey(ctx, args[1]);
  const store::Entry* old = LookupWrite(ctx, key);
  if (old != nullptr && !options.replace) return reply.Error("BUSYKEY Target key name already exists.");
  int64_t ttl = 0;
  if (!ReadInt64(args[2], &ttl, reply)) return;
  if (ttl < 0) return reply.Error("ERR Invalid TTL value, must be >= 0");
  const persist::DumpChecks checks{.version = ctx.services.config.strict_rdb_version,
                                   .checksum = !ctx.services.dispatcher.skips_checksums()};
  if (!persist::CheckDumpPayload(args[3], checks).ok()) {
    return reply.Error("ERR DUMP payload version or checksum are wrong");
  }
  Result<store::StoredValue> value = persist::ParseDumpPayload(args[3], ctx.services.config.limits(), checks);
  if (!value.ok()) return reply.Error("ERR Bad data format");
  if (ttl > 0) {
    value->expire_ms = ttl;
    // What is beyond all time is as good as the end of it.
    if (options.absolute.empty() && __builtin_add_overflow(ttl, ctx.now_ms, &value->expire_ms)) value->expire_ms = INT64_MAX;
    if (value->expire_ms <= ctx.now_ms && ctx.removes_past()) {
      if (key.shard.Erase(ctx.db, key.name, key.hash)) {
        ctx.effects.Add(ctx.db, {CallContext::RemovalWord(ctx.services.config.lazy_server_del), key.name});
        Notify(ctx, config::kNotifyGeneric, "del", key.name);
      }
      return reply.Ok();
    }
  }
  if (options.idle_seconds) {
    value->idle_seconds = static_cast<uint32_t>(std::min<int64_t>(*options.idle_seconds, UINT32_MAX));
  }
  if (options.frequency) value->frequency = static_cast<uint8_t>(*options.frequency);
  const int64_t expire_ms = value->expire_ms;
  key.shard.Put(ctx.db, key.name, key.hash, *std::move(value), ctx.now_ms);
  ReplicateRestore(ctx, args, options, expire_ms);
  Notify(ctx, config::kNotifyNew, "new", key.name);
  Notify(ctx, config::kNotifyGeneric, "restore", key.name);
  reply.Ok();
}

// clang-format off
constexpr KeySpec kOne{1, 1, 1};
const Row kRows[] = {
  {"dump", 2, kReadonly, kOne, KeyAccess::kRead, "@keyspace", "generic", "2.6.0", "Gives a key's value as bytes that RESTORE takes.", "key", Dump},
  {"restore", -4, kWrite | kDenyOom, kOne, KeyAccess::kOverwrite, "@keyspace @dangerous", "generic", "2.6.0", "Makes a key from what DUMP gave.",
   "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]", Restore},
  {"restore-asking", -4, kWrite | kDenyOom, kOne, KeyAccess::kOverwrite, "@keyspace @dangerous", "server", "3.0.0", "RESTORE, as nodes of a cluster send it.",
   "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]", Restore},
};
// clang-format on

}  // namespace

std::span<const Row> DumpCommands() { return kRows; }

}  // namespace understudy::command
