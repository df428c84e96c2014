// What a handler is given: the locked shards of its keys, the time, where to record its effects, who asks.
//
// Handlers take no locks: the caller locked the shards of the keys that the table row names (or all of them).
// ShardOf() gives the shard of one of these keys. Commands that walk the keyspace (SCAN, KEYS, DBSIZE) use
// WithShard(), which locks one shard for the call unless the caller holds it already (inside EXEC).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "node/command/effects.h"
#include "node/command/session.h"
#include "node/command/stats.h"
#include "node/command/table.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"
#include "node/store/edit.h"
#include "node/store/keyspace.h"

namespace understudy {
class Clock;
namespace config {
enum class AllowedFrom : uint8_t;
class Config;
}  // namespace config
namespace net {
class Connection;
class Worker;
}  // namespace net
namespace pubsub {
class Channels;
}
namespace replication {
class Replication;
}
namespace role {
class RoleGate;
}
namespace script {
class Scripts;
}
}  // namespace understudy

namespace understudy::command {

class Dispatcher;
class Saver;
class Shutdown;
struct Services;
struct WorkerStats;

struct CallContext {
  Services& services;
  store::Keyspace& keyspace;
  Effects& effects;
  WorkerStats& stats;
  const Row* row = nullptr;     // of the command (or subcommand)
  Session* session = nullptr;   // null: a command of the primary's stream
  int db = 0;
  int64_t now_ms = 0;           // wall time, the same for all commands of a transaction
  store::View view = store::View::kNormal;  // kRaw for a primary's stream
  bool may_expire = false;      // this node removes expired keys itself: a primary that is not paused
  bool in_exec = false;         // no parking, no detaching: the rest of the transaction follows
  bool all_locked = false;      // every shard is locked
  bool* waits_on = nullptr;     // not null: a command that waited is run anew; set if it has to go on (blocking.h)
  uint64_t counted_errors = 0;  // of commands within this one (EXEC): in the statistics already
  bool out_of_memory = false;   // for a script: what needs memory is refused
  uint64_t first_hash = 0;      // of the first key that the row's key positions name, if any

  // Is a key at once removed when it is given a time that is past? Under a primary's stream that is the primary's to
  // say, and in import-mode nothing expires.
  bool removes_past() const;
  // How replicas are told that a key goes: DEL, or UNLINK if this server frees its value in the background.
  static std::string_view RemovalWord(bool lazy) { return lazy ? "UNLINK" : "DEL"; }
  net::Connection* connection() const { return session ? &session->connection : nullptr; }

  // Hash(args[i]); free for the first key.
  store::Shard& ShardOf(uint64_t hash) const { return keyspace.ShardOf(hash); }
  // For commands without key positions that walk the keyspace.
  void WithShard(uint32_t index, store::FunctionRef<void(store::Shard&)> visit) const;
  store::Keyspace::Locking locking() const {
    return all_locked ? store::Keyspace::Locking::kHeld : store::Keyspace::Locking::kTake;
  }
};

// A key of the command, hashed.
struct Key {
  std::string_view name;
  uint64_t hash;
  store::Shard& shard;
};
// The first of the row's key positions.
inline Key FirstKey(const CallContext& ctx, std::string_view name) {
  return {name, ctx.first_hash, ctx.keyspace.ShardOf(ctx.first_hash)};
}
inline Key AnyKey(const CallContext& ctx, std::string_view name) {
  const uint64_t hash = ctx.keyspace.Hash(name);
  return {name, hash, ctx.keyspace.ShardOf(hash)};
}

// Counts a hit or a miss.
void NoteLookup(CallContext& ctx, const Key& key, const store::Entry* entry);
// Without noting anything: TTL, TYPE, EXISTS, OBJECT. An expired key is not there; on a primary it is removed for
// good (and replicas are told).
const store::Entry* LookupPeek(CallContext& ctx, const Key& key);
// The same, counting a hit or a miss: what a client reads under CLIENT NO-TOUCH.
const store::Entry* LookupUntouched(CallContext& ctx, const Key& key);
void NoteMiss(CallContext& ctx, const Key& key);  // an expired key is removed as by LookupPeek
// For commands that read: counts a hit or a miss, notes the access.
inline const store::Entry* LookupRead(CallContext& ctx, const Key& key) {
  if (ctx.session != nullptr && ctx.session->no_touch.load(std::memory_order_relaxed)) [[unlikely]] {
    return LookupUntouched(ctx, key);
  }
  const store::Entry* entry = key.shard.Find(ctx.db, key.name, key.hash, ctx.now_ms, ctx.view);
  if (entry != nullptr) [[likely]] {
    ctx.stats.hits.Add();
  } else {
    NoteMiss(ctx, key);
  }
  return entry;
}
// For commands that may write it: an expired key is removed first.
inline store::Entry* LookupWrite(CallContext& ctx, const Key& key) {
  return key.shard.FindForWrite(ctx.db, key.name, key.hash, ctx.now_ms, ctx.view);
}

// The key holds something else: true, and the error is written. False also without a key.
inline bool HasOtherType(const store::Entry* entry, store::Type type, resp::Writer& reply) {
  if (entry == nullptr || entry->type() == type) [[likely]] return false;
  reply.Error(resp::kWrongType);
  return true;
}
// What LookupWrite gave, open for changes. entry: not null, and of that type.
template <typename T>
store::Edit<T> EditValue(const CallContext& ctx, const Key& key, store::Entry* entry) {
  return store::Edit<T>(key.shard, ctx.db, key.name, key.hash, *entry, ctx.now_ms);
}
// The same; without an entry the value is what `make` gives, an empty T.
template <typename T, typename Make>
store::Edit<T> EditOrMake(const CallContext& ctx, const Key& key, store::Entry* entry, Make make) {
  return store::Edit<T>(key.shard, ctx.db, key.name, key.hash, entry, ctx.now_ms, make);
}

// The parts that handlers work with; they live as long as the process. Built by the server.
struct Services {
  const Clock& clock;
  config::Config& config;
  store::Keyspace& keyspace;
  replication::Replication& replication;
  const role::RoleGate& gate;
  const Table& table;
  Dispatcher& dispatcher;
  pubsub::Channels& channels;
  script::Scripts& scripts;
  Saver& saver;
  Shutdown& shutdown;
  bool standalone;  // false: the operator manages roles; what clients may not do then is answered by ReplyManaged
};

// May a command that is no write put something into the replication stream? As a write, without refusing anything:
// a replica, or a primary that may not write now, does it for itself alone.
bool MayStream(const CallContext& ctx);

// "-ERR <what> is managed by the Understudy operator": the one answer to what clients may not do in a group.
void ReplyManaged(resp::Writer& reply, std::string_view what);
// For a subcommand that there is, but not with so many arguments.
void ReplyUnknownSubcommand(Args args, std::string_view parent, resp::Writer& reply);
// For a command that is answered later: takes the reply as it is sent, once, on any thread. The caller parks the
// connection, which it wakes.
std::function<void(std::string)> ReplyLater(const CallContext& ctx);
// What HELP answers.
void ReplyHelp(std::span<const std::string_view> lines, resp::Writer& reply);

// Whether that is where the client is.
bool Allows(config::AllowedFrom allowed, const net::Connection& connection);
// Texts as numbers; ReadInt64 and ReadDb write the error reply where there is none. A long double may be infinite.
bool ParseInt64(std::string_view text, int64_t* out);
bool ParseLongDouble(std::string_view text, long double* out);
bool ReadInt64(std::string_view text, int64_t* out, resp::Writer& reply);
// The number of a database that there is.
bool ReadDb(const CallContext& ctx, std::string_view text, int* out, resp::Writer& reply);
// Case-insensitive comparison with an upper- or lower-case word.
bool Is(std::string_view text, std::string_view word);

}  // namespace understudy::command
