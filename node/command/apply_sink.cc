#include "node/command/apply_sink.h"

#include <chrono>
#include <string>
#include <thread>

#include "common/clock.h"
#include "node/command/call_context.h"
#include "node/command/dispatch.h"
#include "node/command/stats.h"
#include "node/pubsub/channels.h"
#include "node/resp/writer.h"
#include "node/store/shard_guard.h"

namespace understudy::command {
namespace {

constexpr uint32_t kStreamed = kWrite | kMayReplicate;
// Messages come as fast as the primary can publish; who listens here may be slower. Then the stream waits, in steps.
constexpr auto kCrowdedStep = std::chrono::milliseconds(1);
constexpr int kMostCrowdedSteps = 100;

std::string Shown(std::string_view text) { return std::string(text.substr(0, 64)); }

}  // namespace

ApplySink::ApplySink() = default;
ApplySink::~ApplySink() = default;

void ApplySink::set_services(Services* services) {
  services_ = services;
  stats_ = std::make_unique<WorkerStats>(services->table.size());
}

Result<const Row*> ApplySink::Resolve(const replication::Record& record) const {
  const Args args = record.argv;
  if (args.empty()) return Invalid("an empty command in the replication stream");
  const Row* row = services_->table.Find(args[0]);
  if (row != nullptr && !row->subcommands.empty() && args.size() > 1) row = FindSubcommand(*row, args);
  if (row == nullptr) {
    return Invalid("command '" + Shown(args[0]) + "' of the replication stream is not supported by this version");
  }
  const int count = static_cast<int>(args.size());
  if ((row->arity > 0 && count != row->arity) || count < -row->arity) {
    return Invalid("command '" + Shown(args[0]) + "' of the replication stream has " + std::to_string(count - 1) +
                   " arguments, which is not a number it takes");
  }
  if (record.db < 0 || record.db >= services_->keyspace.databases()) {
    return Invalid("database " + std::to_string(record.db) + " of the replication stream is above this node's " +
                   std::to_string(services_->keyspace.databases()) + " (option databases)");
  }
  return row;
}

Status ApplySink::Apply(std::span<const replication::Record> records, replication::CommitToLog& commit) {
  pubsub::Channels& channels = services_->channels;
  for (int i = 0; i < kMostCrowdedSteps && channels.Crowded(); ++i) std::this_thread::sleep_for(kCrowdedStep);
  const Status status = Execute(records, commit);
  channels.Wake();
  services_->dispatcher.tracking().Wake(nullptr);
  services_->dispatcher.blocking().Deliver(&served_);
  return status;
}

Status ApplySink::Execute(std::span<const replication::Record> records, replication::CommitToLog& commit) {
  store::Keyspace& keyspace = services_->keyspace;
  rows_.clear();
  shards_.clear();
  bool all = false;
  for (const replication::Record& record : records) {
    const Result<const Row*> row = Resolve(record);
    if (!row.ok()) return row.status();
    rows_.push_back(*row);
    if (!((*row)->flags & kStreamed)) continue;
    if (records.size() == 1 && (*row)->ordinary && HasOneKey(**row, record.argv.size())) [[likely]] {
      const uint64_t hash = keyspace.Hash(record.argv[static_cast<size_t>((*row)->keys.first)]);
      store::OneShardGuard guard(keyspace, keyspace.ShardOf(hash));
      const uint32_t shard = keyspace.ShardIndex(hash);
      return Run(records, {false, {&shard, 1}}, commit);
    }
    all = all || NeedsAllShards(**row, record.argv);
    indexes_.clear();
    if (FindKeys(**row, record.argv, &indexes_)) {
      for (const uint32_t i : indexes_) shards_.push_back(keyspace.ShardIndex(keyspace.Hash(record.argv[i])));
    }
  }
  if (all) {
    store::AllShardsGuard guard(keyspace);
    return Run(records, {.all = true}, commit);
  }
  if (shards_.empty()) return Run(records, {}, commit);
  store::ShardGuard guard(keyspace, shards_);
  return Run(records, {false, shards_}, commit);
}

Status ApplySink::Run(std::span<const replication::Record> records, const Blocking::Held& held,
                      replication::CommitToLog& commit) {
  effects_.Reset(false);
  CallContext ctx{*services_, services_->keyspace, effects_, *stats_};
  ctx.now_ms = services_->clock.Wall().unix_ms;
  ctx.view = store::View::kRaw;
  ctx.in_exec = records.size() > 1;
  ctx.all_locked = held.all;
  resp::Writer reply(discard_, 2);
  for (size_t i = 0; i < records.size(); ++i) {
    const Row& row = *rows_[i];
    const Args args = records[i].argv;
    // What writes nothing (PING, a script's reads) has no effect here.
    if (!(row.flags & kStreamed)) continue;
    ctx.db = records[i].db;
    ctx.row = &row;
    ctx.first_hash = row.keys.first > 0 && args.size() > static_cast<size_t>(row.keys.first)
                         ? services_->keyspace.Hash(args[static_cast<size_t>(row.keys.first)])
                         : 0;
    row.handler(ctx, args, reply);
    if (reply.errors() > 0) {
      return Internal("command '" + Shown(args[0]) + "' of the replication stream failed here with " +
                      std::string(reply.last_error_code()) + ": the data differs from the primary's");
    }
  }
  commit.Commit();
  services_->dispatcher.SetAppliedChanges(effects_.changes());
  Blocking& blocking = services_->dispatcher.blocking();
  // A replica's clients may only read.
  if (blocking.noted()) [[unlikely]] blocking.Serve(ctx, held, {}, &served_);
  return {};
}

}  // namespace understudy::command
