#include "node/replication/full_copy.h"

#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/check.h"
#include "node/persist/rdb_format.h"

namespace understudy::replication {

FullCopy::FullCopy(store::Keyspace& keyspace, Log& log, Hooks& hooks, std::string dataset, size_t receivers,
                   int rdb_version, std::string spool_dir, std::function<void()> notify)
    : keyspace_(keyspace),
      log_(log),
      hooks_(hooks),
      dataset_(std::move(dataset)),
      receivers_(receivers),
      rdb_version_(rdb_version),
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
  if (!spool_dir_.empty()) status = MakeSpool();
  if (status.ok()) {
    Result<std::unique_ptr<persist::Snapshot>> snapshot =
        persist::Snapshot::Begin(keyspace_, {.chunk_bytes = kChunkBytes, .rdb_version = rdb_version_,
                                              .functions = [this] { return hooks_.Functions(); }}, at_cut);
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
  if (status.ok() && spool_ >= 0) status = SendSpool();
  if (spool_ >= 0) close(spool_);
  {
    std::lock_guard lock(mutex_);
    finished_ = true;
    failure_ = status;
  }
  notify_();
}

Status FullCopy::Write(std::string_view bytes) { return spool_ >= 0 ? Spool(bytes) : Enqueue(bytes); }

Status FullCopy::MakeSpool() {
  std::string path = spool_dir_ + "/temp-copy-XXXXXX";
  spool_ = mkostemp(path.data(), O_CLOEXEC);
  if (spool_ < 0) return Unavailable(fmt::format("can't make a file in '{}': {}", spool_dir_, std::strerror(errno)));
  unlink(path.c_str());  // it goes with the descriptor, however this ends
  return {};
}

Status FullCopy::Spool(std::string_view bytes) {
  while (!bytes.empty()) {
    if (cancelled_) return Unavailable("the full copy was given up");
    const ssize_t n = write(spool_, bytes.data(), bytes.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return Unavailable(fmt::format("can't write a file in '{}': {}", spool_dir_, std::strerror(errno)));
    }
    bytes.remove_prefix(static_cast<size_t>(n));
    std::lock_guard lock(mutex_);
    spooled_bytes_ += static_cast<uint64_t>(n);
  }
  return {};
}

Status FullCopy::SendSpool() {
  {
    std::lock_guard lock(mutex_);
    spooled_ = true;
  }
  notify_();
  const auto buffer = std::make_unique<char[]>(kChunkBytes);
  for (uint64_t at = 0; at < spooled_bytes_;) {
    const ssize_t n = pread(spool_, buffer.get(), kChunkBytes, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      return Unavailable(fmt::format("can't read a file in '{}': {}", spool_dir_, n < 0 ? std::strerror(errno) : "cut off"));
    }
    at += static_cast<uint64_t>(n);
    RETURN_IF_ERROR(Enqueue({buffer.get(), static_cast<size_t>(n)}));
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
  return has_cut_ && (spool_dir_.empty() || spooled_) ? &cut_ : nullptr;
}

std::optional<uint64_t> FullCopy::length() const {
  std::lock_guard lock(mutex_);
  if (spool_dir_.empty()) return std::nullopt;
  return spooled_bytes_;
}

std::unique_ptr<Log::Reader> FullCopy::TakeReader() {
  std::lock_guard lock(mutex_);
  CHECK(!readers_.empty());
  std::unique_ptr<Log::Reader> reader = std::move(readers_.back());
  readers_.pop_back();
  return reader;
}

std::shared_ptr<const std::string> FullCopy::Chunk(uint64_t index) const {
  std::lock_guard lock(mutex_);
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
  return finished_ && failure_.ok() ? first_chunk_ + queue_.size() : UINT64_MAX;
}

Status FullCopy::failure() const {
  std::lock_guard lock(mutex_);
  return failure_;
}

}  // namespace understudy::replication
