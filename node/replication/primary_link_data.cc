// PrimaryLink: the full copy and the stream.
#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <charconv>

#include "common/check.h"
#include "common/log.h"
#include "common/random.h"
#include "node/persist/rdb_format.h"
#include "node/replication/primary_link.h"
#include "node/replication/socket.h"
#include "node/store/shard_guard.h"

namespace understudy::replication {
namespace {

// A command or transaction of the stream may be so long.
constexpr int64_t kMaxStreamBytes = 1LL << 30;

// Puts the bytes of a record into the log under the sink's locks.
class RawCommit final : public CommitToLog {
 public:
  RawCommit(Log& log, std::string_view raw, int db) : log_(log), raw_(raw), db_(db) {}
  void Commit() override {
    CHECK(!done_);
    log_.AppendRaw(raw_, db_, 0);
    done_ = true;
  }
  bool done() const { return done_; }

 private:
  Log& log_;
  const std::string_view raw_;
  const int db_;
  bool done_ = false;
};

}  // namespace

// ---- Full copy ---------------------------------------------------------------------------------------

Status PrimaryLink::BeginLoading(const PsyncAnswer& answer) {
  if (!may_load_) return Unavailable("a full copy is needed, but a higher epoch is known: waiting for an order");
  copy_ = answer;
  parts_.data.loading = true;
  parts_.drop_replicas("this node takes a full copy");
  if (answer.parted_at && parts_.data.follows_log) {
    const uint64_t end = parts_.log.end();
    parts_.data.dropped_bytes = end > *answer.parted_at ? end - *answer.parted_at : 0;
    if (parts_.data.dropped_bytes > 0) {
      LOG_WARN("{} bytes of this node's own history (offsets {} to {}) exist nowhere else and are dropped",
               parts_.data.dropped_bytes, *answer.parted_at, end);
    }
  }
  LOG_INFO("full copy from primary {}:{} at offset {} (history {}), {}", target_.address, target_.port, answer.offset,
           answer.replid, answer.beside && parts_.data.complete ? "beside the data held" : "in its place");
  if (answer.beside && parts_.data.complete) {
    beside_ = std::make_unique<store::Keyspace>(
        store::Keyspace::Options{parts_.keyspace.shard_count(), parts_.keyspace.databases()});
    beside_->TakeMemorySettingsOf(parts_.keyspace);
    state_ = State::kHeader;
    parts_.changed();
    return {};
  }
  // Nobody may see a half: first no new command is admitted, then those under way end, then the data goes.
  parts_.hooks.OnLoading(true);
  state_ = State::kDraining;
  Watch(false);
  parts_.hooks.DrainWorkers([this, post = parts_.post, alive = std::weak_ptr<int>(alive_)] {
    post([this, alive] {
      if (!alive.expired()) EmptyAndLoad();
    });
  });
  parts_.changed();
  return {};
}

void PrimaryLink::EmptyAndLoad() {
  CHECK(state_ == State::kDraining);
  parts_.data.complete = false;
  parts_.data.follows_log = false;
  {
    store::AllShardsGuard guard(parts_.keyspace);
    parts_.keyspace.FlushAll();
  }
  state_ = State::kHeader;
  const MonoTime now = parts_.clock.Mono();
  last_read_ = now;
  Watch(true);
  const Status status = Process(now);  // what was read before
  if (!status.ok()) Fail(status.message(), now);
}

Status PrimaryLink::OnHeader(const std::string& line) {
  if (line.starts_with('-')) return Unavailable(fmt::format("the primary gave up the full copy: {}", line));
  constexpr std::string_view kEof = "$EOF:";
  if (line.starts_with(kEof)) {
    end_mark_ = line.substr(kEof.size());
    if (end_mark_.size() != 40) return Internal(fmt::format("'{}' has no end mark of 40 bytes", line));
  } else {
    end_mark_.clear();
    const char* end = line.data() + line.size();
    const auto [stop, error] = std::from_chars(line.data() + (line.empty() ? 0 : 1), end, left_bytes_);
    if (!line.starts_with('$') || error != std::errc() || stop != end) {
      return Internal(fmt::format("'{}' is not the start of a full copy", line.substr(0, 200)));
    }
  }
  loader_ = std::make_unique<persist::Loader>(
      beside_ ? *beside_ : parts_.keyspace,
      persist::Loader::Options{
          .keep_expired = true, .now_ms = parts_.clock.Wall().unix_ms, .limits = parts_.settings.limits});
  state_ = State::kLoading;
  return {};
}

Status PrimaryLink::Load(MonoTime now) {
  if (!loader_->done()) {
    std::string_view input = in_.view();
    if (end_mark_.empty()) input = input.substr(0, std::min<uint64_t>(input.size(), left_bytes_));
    Result<size_t> taken = loader_->Feed(input);
    if (!taken.ok()) return taken.status().Prefixed("the full copy can't be loaded");
    in_.Consume(*taken);
    if (end_mark_.empty()) left_bytes_ -= *taken;
    if (!loader_->done()) {
      if (end_mark_.empty() && left_bytes_ == 0) return loader_->Finish().Prefixed("the full copy can't be loaded");
      return {};
    }
  }
  if (end_mark_.empty()) {
    if (left_bytes_ > 0) return Internal(fmt::format("{} bytes follow the end of the full copy", left_bytes_));
  } else {
    if (in_.size() < end_mark_.size()) return {};
    if (in_.view().substr(0, end_mark_.size()) != end_mark_) return Internal("the full copy has no end mark");
    in_.Consume(end_mark_.size());
  }
  return FinishLoading(now);
}

Status PrimaryLink::FinishLoading(MonoTime now) {
  const auto aux = [&](const char* name) {
    const auto it = loader_->aux().find(name);
    return it == loader_->aux().end() ? std::string() : it->second;
  };
  const auto number = [&](const char* name) {
    const std::string text = aux(name);
    uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
  };
  const int db = static_cast<int>(std::min<uint64_t>(number(persist::kAuxReplStreamDb), INT32_MAX));
  if (db >= parts_.keyspace.databases()) return Internal(fmt::format("the full copy's stream is in database {}", db));
  History history{copy_.replid, {}, number(persist::kAuxEpoch)};
  std::string dataset = aux(persist::kAuxDataset);
  if (dataset.empty()) dataset = RandomHex(16);  // a foreign primary has none
  const uint64_t keys = loader_->keys_loaded();
  const uint64_t bytes = loader_->bytes_read();
  const std::vector<std::string> functions = loader_->functions();
  loader_.reset();
  if (beside_) {
    {
      store::AllShardsGuard guard(parts_.keyspace);
      RETURN_IF_ERROR(parts_.hooks.ReplaceFunctions(functions).Prefixed("functions of the full copy can't be loaded"));
      store::AllShardsGuard other(*beside_);
      parts_.keyspace.SwapContents(*beside_);
      parts_.log.Reset(std::move(history), copy_.offset, db);
    }
    parts_.dispose(std::move(beside_));
  } else {
    store::AllShardsGuard guard(parts_.keyspace);
    RETURN_IF_ERROR(parts_.hooks.ReplaceFunctions(functions).Prefixed("functions of the full copy can't be loaded"));
    parts_.log.Reset(std::move(history), copy_.offset, db);
  }
  parts_.data.dataset = std::move(dataset);
  parts_.data.complete = true;
  parts_.data.follows_log = true;
  parts_.data.loading = false;
  LOG_INFO("loaded {} keys, {} bytes, from primary {}:{} in {} ms", keys, bytes, target_.address, target_.port,
           (now - attempt_at_).ms());
  StartStreaming(now);
  parts_.hooks.OnLoading(false);
  return {};
}

void PrimaryLink::AbandonLoading() {
  if (!parts_.data.loading) return;
  loader_.reset();
  parts_.data.loading = false;
  if (beside_) {
    parts_.dispose(std::move(beside_));
  } else if (parts_.data.complete) {
    parts_.hooks.OnLoading(false);  // ended before anything was dropped
  }
}

// ---- Stream ------------------------------------------------------------------------------------------

void PrimaryLink::StartStreaming(MonoTime now) {
  state_ = State::kStreaming;
  parts_.data.needs_full_copy = false;
  up_since_ = now;
  last_read_ = now;
  last_error_.clear();
  arguments_.Clear();
  partial_.reset();
  parsed_ = 0;
  in_transaction_ = false;
  queued_.clear();
  queued_words_.clear();
  db_ = parts_.log.db();
  acknowledge_ = true;
  Acknowledge(now);
  parts_.changed();
}

Status PrimaryLink::ApplyStream(MonoTime now) {
  const resp::Limits limits{.max_bulk_bytes = kMaxStreamBytes};
  while (parsed_ < in_.size()) {
    arguments_.Clear();
    const resp::ParseResult result = resp::Parse(in_.view().substr(parsed_), limits, &arguments_, &partial_);
    if (result.outcome == resp::Outcome::kError) return Internal("the stream is damaged: " + result.error);
    if (result.outcome == resp::Outcome::kNeedMore) {
      // Empty lines before it are part of the stream and are counted with it.
      if (result.consumed > 0) partial_.reset();
      break;
    }
    const std::string_view raw = in_.view().substr(in_transaction_ ? 0 : parsed_, parsed_ + result.consumed);
    parsed_ += result.consumed;
    if (!arguments_.views.empty()) RETURN_IF_ERROR(OnStreamCommand(raw, now));
    if (!in_transaction_ && parsed_ > 0) {
      in_.Consume(parsed_);
      parsed_ = 0;
    }
  }
  if (in_.size() > static_cast<size_t>(kMaxStreamBytes)) {
    return Internal(fmt::format("a command or transaction of the stream is larger than {} bytes", kMaxStreamBytes));
  }
  return {};
}

Status PrimaryLink::OnStreamCommand(std::string_view raw, MonoTime now) {
  const std::span<const std::string_view> argv = arguments_.views;
  const std::string_view name = argv[0];
  acknowledge_ = acknowledge_ || target_.own;
  if (EqualsIgnoringCase(name, "SELECT")) {
    int db = -1;
    if (argv.size() == 2) std::from_chars(argv[1].data(), argv[1].data() + argv[1].size(), db);
    if (db < 0 || db >= parts_.keyspace.databases()) {
      return Internal(fmt::format("the stream selects database '{}', there are {}",
                                  argv.size() == 2 ? argv[1] : "", parts_.keyspace.databases()));
    }
    db_ = db;
    if (!in_transaction_) parts_.log.AppendRaw(raw, db_, 0);
    return {};
  }
  if (in_transaction_) {
    if (EqualsIgnoringCase(name, "EXEC")) {
      std::vector<std::string_view> words;
      words.reserve(queued_words_.size());
      for (const Word& w : queued_words_) words.push_back(raw.substr(w.offset, w.size));
      std::vector<Record> records;
      records.reserve(queued_.size());
      for (const Queued& q : queued_) records.push_back({q.db, {words.data() + q.first_word, q.words}});
      in_transaction_ = false;
      const Status status = records.empty() ? (parts_.log.AppendRaw(raw, db_, 0), Status()) : Apply(records, raw);
      queued_.clear();
      queued_words_.clear();
      return status;
    }
    if (EqualsIgnoringCase(name, "MULTI")) return Internal("the stream has MULTI inside MULTI");
    queued_.push_back({db_, queued_words_.size(), argv.size()});
    for (std::string_view word : argv) {
      if (word.data() < raw.data() || word.data() > raw.data() + raw.size()) {
        return Internal("the stream has a quoted inline command");
      }
      queued_words_.push_back({static_cast<size_t>(word.data() - raw.data()), word.size()});
    }
    return {};
  }
  if (EqualsIgnoringCase(name, "MULTI")) {
    in_transaction_ = true;  // in_ keeps it from its first byte until EXEC
    return {};
  }
  if (EqualsIgnoringCase(name, "PING")) {
    parts_.log.AppendRaw(raw, db_, argv.size() == 2 ? ParseEpochWord(argv[1]) : 0);
    return {};
  }
  if (EqualsIgnoringCase(name, "REPLCONF")) {
    parts_.log.AppendRaw(raw, db_, 0);
    if (argv.size() >= 2 && EqualsIgnoringCase(argv[1], "GETACK")) Acknowledge(now);
    return {};
  }
  const Record record{db_, argv};
  return Apply({&record, 1}, raw);
}

Status PrimaryLink::Apply(std::span<const Record> records, std::string_view raw) {
  RawCommit commit(parts_.log, raw, db_);
  Status status = parts_.sink.Apply(records, commit);
  if (status.ok()) {
    CHECK(commit.done());
    return {};
  }
  CHECK(!commit.done());
  if (status.code() == Code::kInvalid) return status.Prefixed("the stream can't be applied");
  // Half of it may be done: neither the data nor its position is the primary's any more.
  parts_.data.complete = false;
  parts_.data.follows_log = false;
  parts_.hooks.OnLoading(true);
  LOG_ERROR("this node's data has parted from the primary's at offset {} and must be copied anew: {}",
            parts_.log.end(), status.message());
  return status.Prefixed("applying the stream failed");
}

void PrimaryLink::Acknowledge(MonoTime now) {
  // One at a time: what waits in out_ would be older than what is to be said.
  if (!out_.empty()) return;
  QueueCommand({"REPLCONF", "ACK", std::to_string(parts_.log.end())});
  acknowledge_ = false;
  last_ack_ = now;
  last_written_ = now;
}

}  // namespace understudy::replication
