#include "node/replication/full_copy.h"

#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "common/check.h"
#include "node/persist/rdb_format.h"

namespace understudy::replication {
namespace {

Status FileFailed(std::string_view what) {
  return Unavailable(fmt::format("{} its file in the directory `dir` failed: {}", what, std::strerror(errno)));
}

}  // namespace

FullCopy::FullCopy(store::Keyspace& keyspace, Log& log, Hooks& hooks, std::string dataset, Form form,
                   size_t receivers, int rdb_version, CopyContent content, std::string spool_dir,
                   std::function<void()> notify)
    : keyspace_(keyspace),
      log_(log),
      hooks_(hooks),
      dataset_(std::move(dataset)),
      form_(form),
      receivers_(receivers),
      rdb_version_(rdb_version),
      content_(content),
      spool_dir_(std::move(spool_dir)),
      notify_(std::move(notify)),
      thread_([this] { Run(); }) {}

FullCopy::~FullCopy() {
  {
    std::lock_guard lock(mutex_);
    cancelled_ = true;
  }
  room_.notify_all();
  thread_.join();
  if (spool_ >= 0) close(spool_);
  keyspace_.snapshot_bytes().fetch_sub(queued_bytes_, std::memory_order_relaxed);
}

void FullCopy::Run() {
  // Runs while all shards are locked: takes the offset of exactly this moment.
  const auto at_cut = [this]() -> persist::AuxFields {
    std::lock_guard lock(mutex_);
    cut_ = log_.TakeCut();
    for (size_t i = 0; i < receivers_; ++i) {
      readers_.push_back(log_.ReadFrom(cut_.offset));
      CHECK(readers_.back() != nullptr);
    }
    has_cut_ = true;
    persist::AuxFields aux = {{persist::kAuxReplStreamDb, std::to_string(cut_.db)},
                              {persist::kAuxReplId, cut_.history.replid},
                              {persist::kAuxReplOffset, std::to_string(cut_.offset)}};
    if (!dataset_.empty()) aux.emplace_back(persist::kAuxDataset, dataset_);
    if (cut_.history.last_record_epoch > 0) {
      aux.emplace_back(persist::kAuxEpoch, std::to_string(cut_.history.last_record_epoch));
    }
    return aux;
  };
  Status status;
  {
    persist::Snapshot::Options options{.chunk_bytes = kChunkBytes, .rdb_version = rdb_version_, .keys = content_.keys};
    if (content_.functions) options.functions = [this] { return hooks_.Functions(); };
    Result<std::unique_ptr<persist::Snapshot>> snapshot = persist::Snapshot::Begin(keyspace_, options, at_cut);
    status = snapshot.ok() ? Status() : snapshot.status();
    if (status.ok()) {
      notify_();
      while (true) {
        Result<bool> done = (*snapshot)->Step(*this);
        if (!done.ok()) status = done.status();
        if (!done.ok() || *done) break;
      }
    }
    // The snapshot ends here, before anybody is told: its tables are this thread's to free.
  }
  {
    std::lock_guard lock(mutex_);
    finished_ = true;
    failure_ = status;
  }
  notify_();
}

Status FullCopy::Write(std::string_view bytes) {
  return form_ == Form::kSpooled ? Spool(bytes) : Enqueue(bytes);
}

Status FullCopy::Spool(std::string_view bytes) {
  if (spool_ < 0) {
    std::string name = spool_dir_ + "/full-copy-XXXXXX";
    spool_ = mkostemp(name.data(), O_CLOEXEC);
    if (spool_ < 0) return FileFailed("making");
    unlink(name.c_str());
  }
  while (!bytes.empty()) {
    if (cancelled_) return Unavailable("the full copy was given up");
    const ssize_t n = write(spool_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FileFailed("writing");
    bytes.remove_prefix(static_cast<size_t>(n));
    spooled_bytes_ += static_cast<uint64_t>(n);
  }
  return {};
}

Status FullCopy::Enqueue(std::string_view bytes) {
  while (!bytes.empty()) {
    auto chunk = std::make_shared<const std::string>(bytes.substr(0, kChunkBytes));
    bytes.remove_prefix(chunk->size());
    {
      std::unique_lock lock(mutex_);
      room_.wait(lock, [this] { return queued_bytes_ < kQueueBytes || cancelled_; });
      if (cancelled_) return Unavailable("the full copy was given up");
      queued_bytes_ += chunk->size();
      keyspace_.snapshot_bytes().fetch_add(chunk->size(), std::memory_order_relaxed);
      queue_.push_back(std::move(chunk));
    }
    notify_();
  }
  return cancelled_ ? Unavailable("the full copy was given up") : Status();
}

const Log::Cut* FullCopy::cut() const {
  std::lock_guard lock(mutex_);
  return has_cut_ ? &cut_ : nullptr;
}

std::unique_ptr<Log::Reader> FullCopy::TakeReader() {
  std::lock_guard lock(mutex_);
  CHECK(!readers_.empty());
  std::unique_ptr<Log::Reader> reader = std::move(readers_.back());
  readers_.pop_back();
  return reader;
}

bool FullCopy::HasChunk(uint64_t index) const {
  std::lock_guard lock(mutex_);
  return HasChunkLocked(index);
}

bool FullCopy::HasChunkLocked(uint64_t index) const {
  if (form_ == Form::kStreamed) return index >= first_chunk_ && index - first_chunk_ < queue_.size();
  return finished_ && failure_.ok() && index * kChunkBytes < spooled_bytes_;
}

std::shared_ptr<const std::string> FullCopy::Chunk(uint64_t index) const {
  std::lock_guard lock(mutex_);
  if (form_ == Form::kSpooled) {
    const uint64_t begin = index * kChunkBytes;
    if (!HasChunkLocked(index)) return nullptr;
    std::string bytes(std::min<uint64_t>(kChunkBytes, spooled_bytes_ - begin), '\0');
    for (size_t got = 0; got < bytes.size();) {
      const ssize_t n = pread(spool_, bytes.data() + got, bytes.size() - got, static_cast<off_t>(begin + got));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) {
        failure_ = FileFailed("reading");
        return nullptr;
      }
      got += static_cast<size_t>(n);
    }
    return std::make_shared<const std::string>(std::move(bytes));
  }
  CHECK(index >= first_chunk_);
  return index - first_chunk_ < queue_.size() ? queue_[index - first_chunk_] : nullptr;
}

void FullCopy::DropBefore(uint64_t index) {
  std::vector<std::shared_ptr<const std::string>> dropped;
  {
    std::lock_guard lock(mutex_);
    while (first_chunk_ < index && !queue_.empty()) {
      queued_bytes_ -= queue_.front()->size();
      keyspace_.snapshot_bytes().fetch_sub(queue_.front()->size(), std::memory_order_relaxed);
      dropped.push_back(std::move(queue_.front()));
      queue_.pop_front();
      ++first_chunk_;
    }
  }
  if (!dropped.empty()) room_.notify_all();
}

uint64_t FullCopy::chunks() const {
  std::lock_guard lock(mutex_);
  if (!finished_ || !failure_.ok()) return UINT64_MAX;
  if (form_ == Form::kSpooled) return (spooled_bytes_ + kChunkBytes - 1) / kChunkBytes;
  return first_chunk_ + queue_.size();
}

std::optional<uint64_t> FullCopy::length() const {
  std::lock_guard lock(mutex_);
  if (form_ != Form::kSpooled || !finished_ || !failure_.ok()) return std::nullopt;
  return spooled_bytes_;
}

Status FullCopy::failure() const {
  std::lock_guard lock(mutex_);
  return failure_;
}

}  // namespace understudy::replication
