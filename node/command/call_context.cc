#include "node/command/call_context.h"

#include <cctype>
#include <cerrno>
#include <cmath>
#include <cstdlib>

#include "node/command/notify.h"
#include "node/command/stats.h"
#include "node/config/config.h"
#include "node/net/connection.h"
#include "node/net/worker.h"
#include "node/role/role_gate.h"
#include "node/store/shard_guard.h"

namespace understudy::command {

bool CallContext::removes_past() const { return view == store::View::kNormal && !services.config.import_mode; }

void CallContext::WithShard(uint32_t index, store::FunctionRef<void(store::Shard&)> visit) const {
  if (all_locked) return visit(keyspace.shard(index));
  store::Shard& shard = keyspace.shard(index);
  store::OneShardGuard guard(keyspace, shard);
  visit(shard);
}

const store::Entry* LookupPeek(CallContext& ctx, const Key& key) {
  const store::Entry* entry = key.shard.Peek(ctx.db, key.name, key.hash, ctx.now_ms, ctx.view);
  if (entry == nullptr && ctx.may_expire && key.shard.ExpireCount(ctx.db) > 0) {
    key.shard.EraseIfExpired(ctx.db, key.name, key.hash, ctx.now_ms);
  }
  return entry;
}

void NoteLookup(CallContext& ctx, const Key& key, const store::Entry* entry) {
  (entry ? ctx.stats.hits : ctx.stats.misses).Add();
  if (entry == nullptr) Notify(ctx, config::kNotifyKeyMiss, "keymiss", key.name);
}

void NoteMiss(CallContext& ctx, const Key& key) {
  NoteLookup(ctx, key, nullptr);
  if (ctx.may_expire && key.shard.ExpireCount(ctx.db) > 0) {
    key.shard.EraseIfExpired(ctx.db, key.name, key.hash, ctx.now_ms);
  }
}

const store::Entry* LookupUntouched(CallContext& ctx, const Key& key) {
  const store::Entry* entry = LookupPeek(ctx, key);
  NoteLookup(ctx, key, entry);
  return entry;
}

bool MayStream(const CallContext& ctx) {
  return ctx.session != nullptr &&
         ctx.services.gate.MayStream(ctx.session->connection.worker().now());
}

void ReplyUnknownSubcommand(Args args, std::string_view parent, resp::Writer& reply) {
  reply.Error("ERR unknown subcommand or wrong number of arguments for '" + std::string(args[1].substr(0, 128)) +
              "'. Try " + std::string(parent) + " HELP.");
}

void ReplyManaged(resp::Writer& reply, std::string_view what) {
  reply.Error("ERR " + std::string(what) + " is managed by the Understudy operator");
}

std::function<void(std::string)> ReplyLater(const CallContext& ctx) {
  net::Connection& connection = ctx.session->connection;
  const bool silent = ctx.session->reply_mode != Session::kReplyOn;  // CLIENT REPLY
  return [&worker = connection.worker(), id = connection.id(), silent](std::string text) {
    worker.Post([&worker, id, silent, text = std::move(text)] {
      net::Connection* connection = worker.Find(id);
      if (connection == nullptr) return;
      if (!silent) connection->Append(text);
      connection->Wake();
    });
  };
}

bool Allows(config::AllowedFrom allowed, const net::Connection& connection) {
  if (allowed != config::AllowedFrom::kLocal) return allowed == config::AllowedFrom::kAnywhere;
  return connection.from_this_machine();
}

void ReplyHelp(std::span<const std::string_view> lines, resp::Writer& reply) {
  reply.Array(lines.size());
  for (const std::string_view line : lines) reply.SimpleString(line);
}

bool ParseInt64(std::string_view text, int64_t* out) { return store::ParseCanonicalInt(text, out); }

bool ParseLongDouble(std::string_view text, long double* out) {
  if (text.empty() || text.size() >= 5 * 1024 || std::isspace(static_cast<unsigned char>(text[0]))) return false;
  const std::string copy(text);
  char* end = nullptr;
  errno = 0;
  *out = std::strtold(copy.c_str(), &end);
  if (errno == ERANGE && (std::isinf(*out) || *out == 0)) return false;
  return end == copy.c_str() + copy.size() && !std::isnan(*out);
}

bool ReadInt64(std::string_view text, int64_t* out, resp::Writer& reply) {
  if (ParseInt64(text, out)) return true;
  reply.Error(resp::kNotInteger);
  return false;
}

bool ReadDb(const CallContext& ctx, std::string_view text, int* out, resp::Writer& reply) {
  int64_t number = 0;
  if (!ReadInt64(text, &number, reply)) return false;
  if (number != static_cast<int32_t>(number)) {
    reply.Error(resp::kNotInt32);
    return false;
  }
  if (number < 0 || number >= ctx.keyspace.databases()) {
    reply.Error(resp::kDbOutOfRange);
    return false;
  }
  *out = static_cast<int>(number);
  return true;
}

bool Is(std::string_view text, std::string_view word) {
  if (text.size() != word.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char a = text[i], b = word[i];
    if ((a >= 'A' && a <= 'Z' ? a | 0x20 : a) != (b >= 'A' && b <= 'Z' ? b | 0x20 : b)) return false;
  }
  return true;
}

}  // namespace understudy::command
