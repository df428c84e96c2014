// DEBUG: for tests of servers and clients; refused unless enable-debug-command allows it.
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "common/crypto.h"
#include "common/log.h"
#include "node/command/call_context.h"
#include "node/command/config_rewrite.h"
#include "node/command/dispatch.h"
#include "node/command/saver.h"
#include "node/config/config.h"
#include "node/persist/rdb_writer.h"
#include "node/resp/errors.h"
#include "node/resp/writer.h"
#include "node/types/hash.h"
#include "node/types/list.h"
#include "node/types/score_text.h"
#include "node/types/set.h"
#include "node/types/sorted_set.h"
#include "node/types/stream.h"

namespace understudy::command {
namespace {

using resp::Writer;

// ----------------------------------------------------------------------------------------------
// DIGEST

constexpr types::StreamId kLastId{UINT64_MAX, UINT64_MAX};
constexpr std::string_view kDigestOfNothing = "0000000000000000000000000000000000000000";

// Words that can't run into each other.
std::string Framed(std::initializer_list<std::string_view> words) {
  std::string out;
  for (const std::string_view word : words) out.append(std::to_string(word.size())).append(":").append(word);
  return out;
}

std::string DigestOf(const std::vector<std::string>& parts) {
  std::string all;
  for (const std::string& part : parts) all += Framed({part});
  return crypto::Sha256Hex(all).substr(0, kDigestOfNothing.size());
}

// What a value holds, whatever its encoding; elements that have no order of their own are sorted.
std::vector<std::string> ContentOf(const store::Entry& entry, int64_t now_ms) {
  std::vector<std::string> parts;
  types::ListpackValue::Buffer first, second;
  switch (entry.type()) {
    case store::Type::kString:
      parts.emplace_back(entry.value());
      break;
    case store::Type::kList:
      entry.As<types::List>()->WalkAll([&](const types::ListpackValue& value) {
        parts.emplace_back(value.Text(first));
        return true;
      });
      break;
    case store::Type::kSet:
      entry.As<types::Set>()->ForEach([&](const types::Set::Member& member) {
        parts.emplace_back(member.Text(first));
        return true;
      });
      std::sort(parts.begin(), parts.end());
      break;
    case store::Type::kSortedSet:
      entry.As<types::SortedSet>()->WalkAll([&](std::string_view member, double score) {
        types::ScoreBuffer buffer;
        parts.push_back(Framed({member, types::FormatScore(score, buffer)}));
        return true;
      });
      break;
    case store::Type::kHash:
      entry.As<types::Hash>()->ForEach(now_ms, [&](const types::Hash::Field& field) {
        parts.push_back(Framed({field.name.Text(first), field.value.Text(second), std::to_string(field.expire_ms)}));
        return true;
      });
      std::sort(parts.begin(), parts.end());
      break;
    case store::Type::kStream:
      entry.As<types::Stream>()->log().Walk({}, kLastId, false, [&](const types::StreamEntry& found) {
        std::string text = found.id().ToString();
        found.ForEachField([&](const types::ListpackValue& name, const types::ListpackValue& value) {
          text += Framed({name.Text(first), value.Text(second)});
        });
        parts.push_back(std::move(text));
        return true;
      });
      break;
  }
  return parts;
}

std::string DigestOf(const store::Entry& entry, int64_t now_ms) {
  std::vector<std::string> parts = ContentOf(entry, now_ms);
  parts.emplace_back(store::TypeName(entry.type()));
  parts.emplace_back(entry.has_expire() ? "expires" : "");
  return DigestOf(parts);
}

// One number for the whole data set. Not that of Redis: two servers compare only if both are this
// one.
void DebugDigest(CallContext& ctx, Args, Writer& reply) {
  std::vector<std::string> keys;
  for (int db = 0; db < ctx.keyspace.databases(); ++db) {
    ctx.keyspace.ForEach(db, ctx.now_ms, store::View::kNormal, ctx.locking(), [&](const store::Entry& entry) {
      keys.push_back(Framed({std::to_string(db), entry.key(), DigestOf(entry, ctx.now_ms)}));
    });
  }
  std::sort(keys.begin(), keys.end());
  reply.SimpleString(keys.empty() ? std::string(kDigestOfNothing) : DigestOf(keys));
}

void DebugDigestValue(CallContext& ctx, Args args, Writer& reply) {
  reply.Array(args.size() - 2);
  for (const std::string_view name : args.subspan(2)) {
    const store::Entry* entry = LookupPeek(ctx, AnyKey(ctx, name));
    reply.SimpleString(entry == nullptr ? std::string(kDigestOfNothing) : DigestOf(*entry, ctx.now_ms));
  }
}

// ----------------------------------------------------------------------------------------------
// RELOAD

// Through the file and back: what is not in the file is lost.
void DebugReload(CallContext& ctx, Args args, Writer& reply) {
  // A role could change in the middle of it.
  if (!ctx.services.standalone) return ReplyManaged(reply, "DEBUG RELOAD");
  Saver::Reload reload;
  for (const std::string_view option : args.subspan(2)) {
    if (Is(option, "merge")) {
      reload.merge = true;
    } else if (Is(option, "noflush")) {
      reload.flush = false;
    } else if (Is(option, "nosave")) {
      reload.save = false;
    } else {
      return reply.Error("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.");
    }
  }
  ctx.session->connection.Park();
  ctx.services.saver.ReloadData(reload, [answer = ReplyLater(ctx)](Status status) {
    answer(status.ok() ? "+OK\r\n" : "-ERR" + std::string(status.message().empty() ? "" : " ") +
                                         std::string(status.message()) + "\r\n");
  });
}

void DebugLoadLog(CallContext&, Args, Writer& reply) { reply.Error("ERR this server keeps no append-only file"); }

// ----------------------------------------------------------------------------------------------
// others

// Elements that are larger than a node have one of their own anyway.
void DebugQuicklistPackedThreshold(CallContext&, Args args, Writer& reply) {
  const Result<int64_t> bytes = config::ParseMemory(args[2]);
  if (!bytes.ok() || *bytes < 0)
    return reply.Error("ERR argument must be a memory value bigger than 1 and smaller than 4gb");
  reply.Ok();
}

void DebugSleep(CallContext&, Args args, Writer& reply) {
  const std::string text(args[2]);
  char* end = nullptr;
  const double seconds = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || !std::isfinite(seconds) || seconds < 0) return reply.Error(resp::kNotFloat);
  std::this_thread::sleep_for(std::chrono::duration<double>(std::min(seconds, 3600.0)));
  reply.Ok();
}

void DebugSetActiveExpire(CallContext& ctx, Args args, Writer& reply) {
  if (args[2] != "0" && args[2] != "1") return reply.Error("ERR argument must be 0 or 1");
  ctx.services.dispatcher.set_active_expire(args[2] == "1");
  reply.Ok();
}

void DebugSkipChecksums(CallContext& ctx, Args args, Writer& reply) {
  if (args[2] != "0" && args[2] != "1") return reply.Error("ERR argument must be 0 or 1");
  ctx.services.dispatcher.set_skips_checksums(args[2] == "1");
  reply.Ok();
}

void DebugObject(CallContext& ctx, Args args, Writer& reply) {
  const store::Entry* entry = LookupPeek(ctx, FirstKey(ctx, args[2]));
  if (entry == nullptr) return reply.Error(resp::kNoSuchKey);
  constexpr size_t kAroundValue = 1 + 2 + 8;  // type, version, checksum
  char text[256];
  std::snprintf(
      text, sizeof(text), "Value at:%p refcount:1 encoding:%.*s serializedlength:%zu lru:%u lru_seconds_idle:%u",
      static_cast<const void*>(entry), static_cast<int>(entry->EncodingName().size()), entry->EncodingName().data(),
      persist::DumpPayload(*entry).size() - kAroundValue, entry->access_bits(), entry->IdleSeconds(ctx.now_ms));
  std::string line = text;
  if (entry->type() == store::Type::kList && entry->encoding() == types::Encoding::kTable) {
    const types::Borrowed<types::List> list = entry->As<types::List>();
    const double nodes = static_cast<double>(list->nodes());
    const config::Config& config = ctx.services.config;
    std::snprintf(text, sizeof(text), " ql_nodes:%.0f ql_avg_node:%.2f ql_listpack_max:%lld ql_compressed:%d", nodes,
                  static_cast<double>(list->Size()) / nodes,
                  static_cast<long long>(config.list_max_listpack_size.load(std::memory_order_relaxed)),
                  config.list_compress_depth.load(std::memory_order_relaxed) > 0 ? 1 : 0);
    line += text;
  }
  reply.SimpleString(line);
}

// DEBUG POPULATE count [prefix] [size]: keys for tests, not replicated, as in Redis.
void DebugPopulate(CallContext& ctx, Args args, Writer& reply) {
  int64_t count = 0, size = 0;
  if (!ReadInt64(args[2], &count, reply)) return;
  if (args.size() > 4 && !ReadInt64(args[4], &size, reply)) return;
  if (count < 0 || size < 0 || size > 1 << 20) return reply.Error("ERR value is out of range");
  const std::string prefix = args.size() > 3 ? std::string(args[3]) : "key";
  for (int64_t i = 0; i < count; ++i) {
    const std::string name = prefix + ":" + std::to_string(i);
    std::string value = "value:" + std::to_string(i);
    if (size > 0) value.resize(static_cast<size_t>(size), '\0');
    const Key key = AnyKey(ctx, name);
    if (key.shard.FindForWrite(ctx.db, name, key.hash, ctx.now_ms, ctx.view) != nullptr) continue;
    key.shard.Set(ctx.db, name, key.hash, value, ctx.now_ms);
  }
  reply.Ok();
}

void DebugJmap(CallContext&, Args, Writer& reply) {
  reply.Error("ERR DEBUG JMAP needs a Java virtual machine; this server has none");
}

// One of each RESP3 type, for tests of client libraries.
void DebugProtocol(CallContext&, Args args, Writer& reply) {
  const std::string_view kind = args[2];
  if (Is(kind, "string")) return reply.Bulk("Hello World");
  if (Is(kind, "integer")) return reply.Integer(12345);
  if (Is(kind, "double")) return reply.Double(3.141);
  if (Is(kind, "null")) return reply.Null();
  if (Is(kind, "true")) return reply.Boolean(true);
  if (Is(kind, "false")) return reply.Boolean(false);
  if (Is(kind, "verbatim")) return reply.Verbatim("txt", "This is a verbatim\nstring");
  if (Is(kind, "bignum")) {
    constexpr std::string_view kDigits = "1234567999999999999999999999999999999";
    if (reply.protocol() == 2) return reply.Bulk(kDigits);
    return reply.Raw("(" + std::string(kDigits) + "\r\n");
  }
  if (Is(kind, "array") || Is(kind, "set")) {
    if (Is(kind, "set")) {
      reply.Set(3);
    } else {
      reply.Array(3);
    }
    for (int i = 0; i < 3; ++i) reply.Integer(i);
    return;
  }
  if (Is(kind, "map")) {
    reply.Map(3);
    for (int i = 0; i < 3; ++i) {
      reply.Integer(i);
      reply.Boolean(i == 1);
    }
    return;
  }
  if (Is(kind, "attrib")) {
    if (reply.protocol() == 3) reply.Raw("|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n");
    return reply.Bulk("Some real reply following the attribute");
  }
  if (Is(kind, "push")) {
    reply.Push(2);
    reply.Bulk("server-cpu-usage");
    reply.Integer(42);
    return;
  }
  reply.Error(
      "ERR Wrong protocol type name. Please use one of the following: "
      "string|integer|double|null|array|set|map|attrib|push|verbatim|true|false");
}

void DebugError(CallContext&, Args args, Writer& reply) { reply.Error(args[2]); }

void DebugLog(CallContext&, Args args, Writer& reply) {
  LOG_INFO("DEBUG LOG: {}", std::string(args[2].substr(0, 1024)));
  reply.Ok();
}

// For tests of how others stand a server that ends without a word.
void DebugSegfault(CallContext&, Args, Writer&) { raise(SIGSEGV); }

// Replies have one form here, and collections no table of their own that could be asked for.
void DebugTaken(CallContext&, Args, Writer& reply) { reply.Ok(); }

void DebugRewriteAll(CallContext& ctx, Args, Writer& reply) { RewriteConfigFile(ctx, true, reply); }

void DebugHelp(CallContext&, Args, Writer& reply) {
  constexpr std::string_view kLines[] = {
      "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "CONFIG-REWRITE-FORCE-ALL",
      "    CONFIG REWRITE with all options.",
      "DIGEST",
      "    A number that says what the whole data set is.",
      "DIGEST-VALUE <key> [<key> ...]",
      "    The same for each of some keys.",
      "ERROR <string>",
      "    Answers an error.",
      "LOG <message>",
      "    Writes to the server's log.",
      "OBJECT <key>",
      "    How a key is stored.",
      "POPULATE <count> [<prefix>] [<size>]",
      "    Makes keys <prefix>:<n>.",
      "PROTOCOL <type>",
      "    Answers a value of the type.",
      "QUICKLIST-PACKED-THRESHOLD <size>",
      "    Taken for tests that ask for it; large elements of lists have nodes of their own "
      "anyway.",
      "RELOAD [MERGE] [NOFLUSH] [NOSAVE]",
      "    Saves the data set, removes it from memory and loads it back; NOSAVE and NOFLUSH leave out the",
      "    first two, and with MERGE keys that are there already are replaced.",
      "SET-ACTIVE-EXPIRE (0|1)",
      "    Whether keys are removed when they expire, or only when they are used.",
      "SET-SKIP-CHECKSUM-VALIDATION (0|1)",
      "    Whether RESTORE takes payloads with a wrong checksum.",
      "SLEEP <seconds>",
      "    Stops this worker.",
      "HELP",
      "    This text.",
  };
  ReplyHelp(kLines, reply);
}

// clang-format off
constexpr KeySpec kSecond{2, 2, 1}, kFromSecond{2, -1, 1};
constexpr uint32_t kByAdmin = kAdmin | kNoScript | kLoading | kStale;
const Row kDebugRows[] = {
  {"config-rewrite-force-all", 2, kByAdmin | kForTests, {}, KeyAccess::kNone, "", "server", "7.0.0", "Writes all options into the configuration file.", "", DebugRewriteAll},
  {"digest", 2, kReadonly | kAdmin | kNoScript | kWalks | kForTests, {}, KeyAccess::kNone, "", "server", "1.0.0", "Says what the data set is.", "", DebugDigest},
  {"digest-value", -3, kReadonly | kAdmin | kNoScript | kForTests, kFromSecond, KeyAccess::kRead, "", "server", "5.0.0", "Says what keys hold.", "key [key ...]", DebugDigestValue},
  {"error", 3, kByAdmin | kForTests, {}, KeyAccess::kNone, "", "server", "1.0.0", "Answers an error.", "string", DebugError},
  {"help", 2, kLoading | kStale, {}, KeyAccess::kNone, "", "server", "1.0.0", "Lists the subcommands.", "", DebugHelp},
  {"jmap", -2, kByAdmin | kForTests, {}, KeyAccess::kNone, "", "server", "1.0.0", "Refused: it belongs to another kind of server.", "", DebugJmap},
  {"loadaof", 2, kByAdmin | kForTests, {}, KeyAccess::kNone, "", "server", "1.0.0", "Refused: there is no append-only file.", "", DebugLoadLog},
  {"log", 3, kByAdmin | kForTests, {}, KeyAccess::kNone, "", "server", "1.0.0", "Writes to the log.", "message", DebugLog},
  {"object", 3, (kByAdmin & ~kLoading) | kForTests, kSecond, KeyAccess::kRead, "", "server", "1.0.0", "Shows how a key is stored.", "key", DebugObject},
  {"populate", -3, kWrite | kAdmin | kNoScript | kAllShards | kForTests, {}, KeyAccess::kNone, "", "server", "1.0.0", "Makes keys.", "count [prefix] [size]", DebugPopulate},
  {"protocol", 3, kByAdmin | kForTests, {}, KeyAccess::kNone, "", "server", "6.0.0", "Answers a value of a type.", "type", DebugProtocol},
  {"quicklist-packed-threshold", 3, kByAdmin | kForTests, {}, KeyAccess::kNone, "", "server", "7.0.0", "Has no effect.", "size", DebugQuicklistPackedThreshold},
  {"reload", -2, kWrite | kAdmin | kNoScript | kNoMulti | kForTests, {}, KeyAccess::kNone, "", "server", "1.0.0", "Saves and loads the data set.", "[MERGE] [NOFLUSH] [NOSAVE]", DebugReload},
  {"client-enforce-reply-list", 3, kByAdmin | kForTests, {}, KeyAccess::kNone, "", "server", "7.0.0", "Has no effect.", "0|1", DebugTaken},
  {"dict-resizing", 3, kByAdmin | kForTests, {}, KeyAccess::kNone, "", "server", "7.2.0", "Has no effect.", "0|1", DebugTaken},
  {"pause-cron", 3, kByAdmin | kForTests, {}, KeyAccess::kNone, "", "server", "7.0.0", "Has no effect.", "0|1", DebugTaken},
  {"replybuffer", -4, kByAdmin | kForTests, {}, KeyAccess::kNone, "", "server", "7.0.0", "Has no effect.", "option value", DebugTaken},
  {"segfault", 2, kByAdmin | kForTests, {}, KeyAccess::kNone, "", "server", "1.0.0", "Ends the process as a fault would.", "", DebugSegfault},
  {"set-active-expire", 3, kByAdmin | kForTests, {}, KeyAccess::kNone, "", "server", "1.0.0", "Switches active expiry.", "0|1", DebugSetActiveExpire},
  {"set-skip-checksum-validation", 3, kByAdmin | kForTests, {}, KeyAccess::kNone, "", "server", "6.2.0", "Switches the checksums of RESTORE off.", "0|1", DebugSkipChecksums},
  {"sleep", 3, kByAdmin | kForTests, {}, KeyAccess::kNone, "", "server", "1.0.0", "Stops this worker.", "seconds", DebugSleep},
};
const Row kRows[] = {
  {"debug", -2, kAdmin, {}, KeyAccess::kNone, "", "server", "1.0.0", "For tests.", "", nullptr, kDebugRows},
};
// clang-format on

}  // namespace

std::span<const Row> DebugCommands() { return kRows; }

}  // namespace understudy::command
