#include "node/command/script_host.h"

#include <algorithm>

#include "common/log.h"
#include "node/command/acl.h"
#include "node/command/dispatch.h"
#include "node/config/config.h"
#include "node/resp/errors.h"
#include "node/role/role_gate.h"
#include "node/script/flags.h"
#include "node/script/scripts.h"
#include "node/store/shard_guard.h"

namespace understudy::command {
namespace {

// Results of some million elements fit; a script that gathers without end must not end the process.
constexpr size_t kMostBytes = size_t{1} << 30, kLeastBytes = size_t{64} << 20;
constexpr std::string_view kKilled = "Script killed by user with SCRIPT KILL.";

// Why the node would refuse a write now; nothing: it would not. A pause that began meanwhile waits for the script.
std::string_view WriteRefusal(const CallContext& ctx) {
  if (ctx.session == nullptr) return {};
  if (ctx.keyspace.WritesFail()) return resp::kDiskError;
  return role::ErrorText(ctx.services.gate.Check(true, ctx.services.clock.Mono()));
}

// Is this a replica that must not serve its data now?
bool IsStale(const CallContext& ctx) {
  return ctx.session != nullptr && ctx.services.gate.Check(false, ctx.services.clock.Mono()) == role::Admission::kStale;
}

class ScriptHost final : public script::Host {
 public:
  ScriptHost(CallContext& ctx, Args command, const ScriptCall& call, bool read_only)
      : ctx_(ctx), command_(command), call_(call), read_only_(read_only), since_(ctx.services.clock.Mono()),
        db_(ctx.db) {}
  ~ScriptHost() {
    // SELECT in a script is the script's own.
    if (ctx_.session != nullptr) ctx_.session->db.store(ctx_.db, std::memory_order_relaxed);
    if (slow_) ctx_.services.scripts.SetSlow({});
  }
  ScriptHost(const ScriptHost&) = delete;
  ScriptHost& operator=(const ScriptHost&) = delete;

  std::optional<std::string> Call(std::span<const std::string_view> words, int protocol, int replicate_to,
                                  resp::Output& reply) override {
    const Row* const row = FindRow(words);
    if (std::optional<std::string> refused = Refuse(row, words)) {
      if (row != nullptr) ctx_.stats.by_command[row->index].rejected.Add();
      const std::string_view text = *refused;
      ctx_.stats.CountError(text.starts_with('-') ? text.substr(1, text.find(' ') - 1) : "ERR");
      return refused;
    }
    wrote_ = wrote_ || (row->flags & kWrite) != 0;
    if ((replicate_to & kToReplicas) != 0) [[likely]] {
      Run(*row, words, ctx_.effects, protocol, reply);
    } else {
      Effects unreplicated;
      Run(*row, words, unreplicated, protocol, reply);
    }
    return std::nullopt;
  }

  std::optional<bool> MayCall(std::span<const std::string_view> words) override {
    const Row* const row = FindRow(words);
    if (row == nullptr) return std::nullopt;
    return ctx_.session == nullptr || ctx_.session->unrestricted ||
           CheckPermission(*ctx_.session->acl_user, *row, words, {db_, ctx_.keyspace.databases()}).allowed();
  }

  bool Interrupt() override {
    const int64_t threshold_ms = ctx_.services.config.busy_reply_ms.load(std::memory_order_relaxed);
    if (ctx_.session == nullptr || threshold_ms == 0) return false;
    if (!slow_) {
      if (ctx_.services.clock.Mono() - since_ < Milliseconds(threshold_ms)) return false;
      BecomeSlow();
    }
    ctx_.services.dispatcher.ServeOthers(*ctx_.session);
    return ctx_.services.scripts.killed();
  }

 private:
  const Row* FindRow(Args words) const {
    const Row* const row = ctx_.services.table.Find(words[0]);
    if (row == nullptr || row->subcommands.empty() || words.size() < 2) return row;
    return FindSubcommand(*row, words);
  }

  std::optional<std::string> Refuse(const Row* found, Args words) {
    if (found == nullptr) return "Unknown Redis command called from script";
    const Row& row = *found;
    if (!ArityFits(row, words.size())) return "Wrong number of args calling Redis command from script";
    if (row.flags & kNoScript) return "This Redis command is not allowed from script";
    if (Session* const session = ctx_.session; session != nullptr && !session->unrestricted) {
      const acl::Verdict verdict = ctx_.services.dispatcher.CheckInScript(*session, row, words);
      if (!verdict.allowed()) {
        return "-NOPERM ACL failure in script: " + DenialText(verdict, *session->acl_user,
                                                              ctx_.services.table.FullName(row.index), words, false);
      }
    }
    if (!(row.flags & kStale) && IsStale(ctx_)) return "Can not execute the command on a stale replica";
    if ((row.flags & (kWrite | kMayReplicate)) && read_only_) return "Write commands are not allowed from read-only scripts.";
    // After the first write a script can't be stopped half way.
    if (wrote_) return std::nullopt;
    if (row.flags & kWrite) {
      if (const std::string_view refusal = WriteRefusal(ctx_); !refusal.empty()) return "-" + std::string(refusal);
    }
    if ((row.flags & kDenyOom) && ctx_.out_of_memory && !(call_.flags & script::kAllowOom)) {
      return "-" + std::string(resp::kOutOfMemory);
    }
    if ((row.flags & kWrite) && slow_ && !ctx_.services.scripts.NoteWrite()) return std::string(kKilled);
    return std::nullopt;
  }

  void Run(const Row& row, Args words, Effects& effects, int protocol, resp::Output& reply) {
    CallContext inner{ctx_.services, ctx_.keyspace, effects, ctx_.stats};
    inner.row = &row;
    inner.session = ctx_.session;
    inner.db = db_;
    inner.now_ms = ctx_.now_ms;
    inner.view = ctx_.view;
    inner.may_expire = ctx_.may_expire;
    inner.in_exec = true;
    inner.all_locked = ctx_.all_locked;
    // What is replicated must outlive Lua's strings.
    if ((row.flags & (kWrite | kMayReplicate)) && effects.wanted()) words = effects.KeepWords(words);
    if (row.keys.first > 0 && words.size() > static_cast<size_t>(row.keys.first)) {
      inner.first_hash = ctx_.keyspace.Hash(words[static_cast<size_t>(row.keys.first)]);
    }
    resp::Writer writer(reply, protocol);
    const uint64_t begin = Ticks();
    row.handler(inner, words, writer);
    if (ctx_.session != nullptr && ctx_.session->tracking) ctx_.services.dispatcher.tracking().Remember(inner, row, words);
    CommandStats& stats = ctx_.stats.by_command[row.index];
    stats.CountCall(Ticks() - begin);
    ctx_.stats.commands.Add();
    if (writer.errors() > 0) {
      stats.failed.Add();
      ctx_.stats.CountError(writer.last_error_code());
    }
    if (Monitors& monitors = ctx_.services.dispatcher.monitors(); monitors.any() && !(row.flags & kAdmin)) {
      monitors.Show(db_, "lua", WithoutSecrets(ctx_.services.table.FullName(row.index), words));
    }
    if (ctx_.session != nullptr) db_ = ctx_.session->db.load(std::memory_order_relaxed);
  }

  void BecomeSlow() {
    slow_ = true;
    script::Scripts::Slow slow;
    slow.running = true;
    slow.function = call_.function;
    slow.wrote = wrote_;
    slow.name = call_.name;
    slow.command.assign(command_.begin(), command_.end());
    slow.since_ms = ctx_.now_ms;
    LOG_WARN("a script has run for {} ms: clients are told BUSY until it ends or is killed (busy-reply-threshold)",
             (ctx_.services.clock.Mono() - since_).ms());
    ctx_.services.scripts.SetSlow(std::move(slow));
    ctx_.services.scripts.floor().MarkSlow();
  }

  CallContext& ctx_;
  const Args command_;
  const ScriptCall& call_;
  const bool read_only_;
  const MonoTime since_;
  int db_;               // of the next call
  bool wrote_ = false, slow_ = false;
};

}  // namespace

void RunScript(CallContext& ctx, Args args, const ScriptCall& call, resp::Writer& reply) {
  bool read_only = call.read_only;
  if (!(call.flags & script::kSaysNothing)) {
    if (!(call.flags & script::kAllowStale) && IsStale(ctx)) {
      return reply.Error(role::ErrorText(role::Admission::kStale));
    }
    if (!(call.flags & script::kNoWrites)) {
      if (const std::string_view refusal = WriteRefusal(ctx); !refusal.empty()) {
        return reply.Error(refusal.starts_with("READONLY")
                               ? "READONLY Can not run script with write flag on readonly replica."
                               : refusal);
      }
      if (call.read_only) return reply.Error("ERR Can not execute a script with write flag using *_ro command.");
    }
    if (ctx.out_of_memory && !(call.flags & (script::kAllowOom | script::kNoWrites))) {
      return reply.Error(
          "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'");
    }
    read_only = read_only || (call.flags & script::kNoWrites);
  }
  // Before what it calls.
  if (Monitors& monitors = ctx.services.dispatcher.monitors(); monitors.any() && ctx.session != nullptr) {
    monitors.Show(ctx.db, ctx.session->connection.peer_address(), args);
  }
  ScriptHost host(ctx, args, call, read_only);
  call.interpreter.Run(call.ref, {host, call.name, call.keys, call.arguments, MostScriptBytes(ctx)}, reply);
}

bool SaysItWritesNothing(const Services& services, const Row& row, Args args) {
  const script::Scripts& scripts = services.scripts;
  if (row.name == "eval") {
    const Result<script::Shebang> shebang = script::ReadShebang(args[1]);
    return shebang.ok() && (shebang->flags & script::kNoWrites);
  }
  // Who changes scripts and functions has all shards: any one of them keeps them as they are.
  store::OneShardGuard guard(services.keyspace, services.keyspace.shard(0));
  if (row.name == "fcall") {
    const auto* const function = scripts.functions().Find(args[1]);
    return function != nullptr && (function->flags & script::kNoWrites);
  }
  const script::ScriptCache::Script* const found = scripts.cache().Peek(script::Lower(args[1]));
  return found != nullptr && (found->flags & script::kNoWrites);
}

std::string_view BusyText(bool function) {
  return function ? "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
                  : "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
}

size_t MostScriptBytes(const CallContext& ctx) {
  const auto limit = static_cast<size_t>(ctx.services.config.max_memory_bytes.load(std::memory_order_relaxed));
  return limit == 0 ? kMostBytes : std::clamp(limit / 4, kLeastBytes, kMostBytes);
}

bool SplitScriptArguments(Args args, std::string_view not_a_number, ScriptCall* call, resp::Writer& reply) {
  int64_t keys = 0;
  if (!ParseInt64(args[2], &keys)) {
    reply.Error(not_a_number);
    return false;
  }
  if (keys > static_cast<int64_t>(args.size()) - 3) {
    reply.Error("ERR Number of keys can't be greater than number of args");
    return false;
  }
  if (keys < 0) {
    reply.Error("ERR Number of keys can't be negative");
    return false;
  }
  call->keys = args.subspan(3, static_cast<size_t>(keys));
  call->arguments = args.subspan(3 + static_cast<size_t>(keys));
  return true;
}

void KillScript(CallContext& ctx, bool function, resp::Writer& reply) {
  using Kill = script::Scripts::KillResult;
  switch (ctx.services.scripts.Kill(function)) {
    case Kill::kEnds:
      return reply.Ok();
    case Kill::kNoneRuns:
      return reply.Error("NOTBUSY No scripts in execution right now.");
    case Kill::kOtherKind:
      return reply.Error(BusyText(!function));
    case Kill::kWrote:
      return reply.Error(
          "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the "
          "script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.");
  }
}

}  // namespace understudy::command
