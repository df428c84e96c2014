#include "node/config/taken_options.h"

#include <array>
#include <charconv>
#include <utility>

#include "node/config/config.h"

namespace understudy::config {
namespace {

using Words = std::span<const std::string>;
using Kind = TakenOption::Kind;

// clang-format off
constexpr TakenOption kTaken[] = {
  // Background work sets its own pace; memory is jemalloc's own affair.
  {"activerehashing", "", kLive, Kind::kYesNo, "yes"},
  {"dynamic-hz", "", kLive, Kind::kYesNo, "yes"},
  {"jemalloc-bg-thread", "", kLive, Kind::kYesNo, "yes"},
  {"replica-lazy-flush", "slave-lazy-flush", kLive, Kind::kYesNo, "yes"},
  // Threads are `workers`.
  {"io-threads", "", kLive, Kind::kNumber, "1"},
  {"io-threads-do-reads", "", kAtStart, Kind::kYesNo, "no"},
  {"events-per-io-thread", "", kLive, Kind::kNumber, "2"},
  {"prefetch-batch-max-size", "", kLive, Kind::kNumber, "16"},
  {"min-io-threads-avoid-copy-reply", "", kLive, Kind::kNumber, "7"},
  {"min-string-size-avoid-copy-reply", "", kLive, Kind::kMemory, "16384"},
  {"min-string-size-avoid-copy-reply-threaded", "", kLive, Kind::kMemory, "65536"},
  {"max-new-connections-per-cycle", "", kLive, Kind::kNumber, "10"},
  {"max-new-tls-connections-per-cycle", "", kLive, Kind::kNumber, "1"},
  // A full copy is streamed without a file, and begins at once.
  {"repl-diskless-sync", "", kLive, Kind::kYesNo, "yes"},
  {"repl-diskless-sync-delay", "", kLive, Kind::kNumber, "5"},
  {"repl-diskless-sync-max-replicas", "", kLive, Kind::kNumber, "0"},
  {"repl-diskless-load", "", kLive, Kind::kOneOf, "disabled", "disabled, on-empty-db, swapdb, flush-before-load"},
  {"repl-disable-tcp-nodelay", "", kLive, Kind::kYesNo, "no"},
  {"dual-channel-replication-enabled", "", kLive, Kind::kYesNo, "no"},
  // There is no append-only file (appendonly).
  {"appendfilename", "", kAtStart, Kind::kText, "appendonly.aof"},
  {"appenddirname", "", kAtStart, Kind::kText, "appendonlydir"},
  {"appendfsync", "", kLive, Kind::kOneOf, "everysec", "everysec, always, no"},
  {"no-appendfsync-on-rewrite", "", kLive, Kind::kYesNo, "no"},
  {"auto-aof-rewrite-percentage", "", kLive, Kind::kNumber, "100"},
  {"auto-aof-rewrite-min-size", "", kLive, Kind::kMemory, "67108864"},
  {"aof-load-truncated", "", kLive, Kind::kYesNo, "yes"},
  {"aof-use-rdb-preamble", "", kLive, Kind::kYesNo, "yes"},
  {"aof-timestamp-enabled", "", kLive, Kind::kYesNo, "no"},
  {"aof-rewrite-incremental-fsync", "", kLive, Kind::kYesNo, "yes"},
  {"rdb-save-incremental-fsync", "", kLive, Kind::kYesNo, "yes"},
  // Nothing in files is compressed, since writers would wait for it; no file of a full copy is ever left.
  {"rdbcompression", "", kLive, Kind::kYesNo, "yes"},
  {"rdb-del-sync-files", "", kLive, Kind::kYesNo, "no"},
  // There are no modules.
  {"enable-module-command", "", kAtStart, Kind::kOneOf, "no", "no, local, yes"},
  // A copy from elsewhere is always checked.
  {"sanitize-dump-payload", "", kLive, Kind::kOneOf, "yes", "no, yes, clients"},
  // How the process shows itself, and what becomes of it when it crashes.
  {"always-show-logo", "", kAtStart, Kind::kYesNo, "no"},
  {"locale-collate", "", kAtStart, Kind::kText, ""},
  {"oom-score-adj-values", "", kLive, Kind::kWords, "0 200 800"},
  {"set-proc-title", "", kAtStart, Kind::kYesNo, "yes"},
  {"proc-title-template", "", kLive, Kind::kText, "{title} {listen-addr} {server-mode}"},
  {"supervised", "", kAtStart, Kind::kOneOf, "no", "upstart, systemd, auto, no"},
  {"disable-thp", "", kAtStart, Kind::kYesNo, "yes"},
  {"crash-log-enabled", "", kLive, Kind::kYesNo, "yes"},
  {"crash-memcheck-enabled", "", kLive, Kind::kYesNo, "yes"},
  {"use-exit-on-panic", "", kLive, Kind::kYesNo, "no"},
  {"propagation-error-behavior", "", kLive, Kind::kOneOf, "ignore", "ignore, panic, panic-on-replicas"},
  {"enable-debug-assert", "", kAtStart, Kind::kYesNo, "no"},
  // There is no COMMANDLOG; SLOWLOG is.
  {"commandlog-request-larger-than", "", kLive, Kind::kText, "-1"},
  {"commandlog-large-request-max-len", "", kLive, Kind::kNumber, "128"},
  {"commandlog-reply-larger-than", "", kLive, Kind::kText, "-1"},
  {"commandlog-large-reply-max-len", "", kLive, Kind::kNumber, "128"},
  // Names and versions are always Redis's; keys and values are never logged.
  {"extended-redis-compatibility", "", kLive, Kind::kYesNo, "no"},
  {"hide-user-data-from-log", "", kLive, Kind::kYesNo, "yes"},
};
// clang-format on

bool IsAllowed(const TakenOption& option, const std::string& word) {
  return (", " + std::string(option.allowed) + ", ").find(", " + word + ", ") != std::string::npos;
}

Status NotAllowed(const TakenOption& option) {
  return Invalid("argument(s) must be one of the following: " + std::string(option.allowed));
}

Status Check(const TakenOption& option, const std::string& value) {
  switch (option.kind) {
    case Kind::kYesNo:
      if (value != "yes" && value != "no") return Invalid("argument must be 'yes' or 'no'");
      return {};
    case Kind::kNumber: {
      int64_t number = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
      if (error != std::errc() || end != value.data() + value.size() || number < 0) {
        return Invalid("argument couldn't be parsed into an integer");
      }
      return {};
    }
    case Kind::kMemory:
      return ParseMemory(value).status();
    case Kind::kText:
    case Kind::kWords:
      return {};
    case Kind::kOneOf:
      return IsAllowed(option, value) ? Status() : NotAllowed(option);
  }
  return {};
}

std::string_view Takes(Kind kind) {
  switch (kind) {
    case Kind::kYesNo: return "yes|no";
    case Kind::kNumber: return "N";
    case Kind::kMemory: return "BYTES";
    case Kind::kText: return "TEXT";
    case Kind::kWords: return "WORDS";
    case Kind::kOneOf: return "WORD";
  }
  return {};
}

}  // namespace

// Reads and writes what is private to Config.
struct TakenTable {
  static std::string Get(const Config& c, const TakenOption& option) {
    std::lock_guard lock(c.mutex_);
    const auto it = c.taken_.find(option.name);
    return it == c.taken_.end() ? std::string(option.initial) : it->second;
  }
  static Status Set(Config& c, const TakenOption& option, Words words) {
    std::string value = words[0];
    for (const std::string& word : words.subspan(1)) value += " " + word;
    RETURN_IF_ERROR(Check(option, value));
    if (option.kind == Kind::kMemory) value = std::to_string(*ParseMemory(value));
    std::lock_guard lock(c.mutex_);
    c.taken_[option.name] = std::move(value);
    return {};
  }
};

namespace {

template <size_t N>
Option RowOf() {
  constexpr const TakenOption& option = kTaken[N];
  const uint32_t more = option.kind == Kind::kWords ? kManyWords | kTakenOnly : kTakenOnly;
  return {option.name, option.alias, option.flags | more, Takes(option.kind), "",
          [](const Config& c) { return TakenTable::Get(c, kTaken[N]); },
          [](Config& c, Words words) -> Status { return TakenTable::Set(c, kTaken[N], words); }};
}

template <size_t... N>
std::array<Option, sizeof...(N)> Rows(std::index_sequence<N...>) {
  return {RowOf<N>()...};
}

}  // namespace

std::span<const Option> TakenOptions() {
  static const auto rows = Rows(std::make_index_sequence<std::size(kTaken)>());
  return rows;
}

}  // namespace understudy::config
