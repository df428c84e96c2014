// A full copy: one snapshot of the keyspace on its way to the replicas that wait for it.
//
// A thread of its own steps the snapshot into a bounded queue of chunks; the replication thread sends them. At
// the cut, while all shards are locked, a place in the log is kept for each receiver, so that the stream goes
// on exactly where the copy ends. The slowest receiver sets the pace (and is dropped by its own limits).
//
// Receivers that must know the length before the first byte (kSpooled) get their chunks when the snapshot has been
// written into a file without a name in the directory `dir`.
//
// Threads: everything but the snapshot itself belongs to the replication thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/result.h"
#include "node/persist/snapshot.h"
#include "node/replication/apply_sink.h"
#include "node/replication/log.h"
#include "node/replication/resync_rules.h"

namespace understudy::replication {

class FullCopy final : private persist::ChunkSink {
 public:
  static constexpr size_t kChunkBytes = 64 * 1024;
  static constexpr size_t kQueueBytes = 4 * 1024 * 1024;

  enum class Form : uint8_t { kStreamed, kSpooled };

  // The keyspace is shared (Hooks::ShareKeyspace) as long as this lives. rdb_version: one that all receivers can
  // read. content: what all of them asked for. spool_dir: for kSpooled. notify: called on the copy's thread when there
  // is something new to look at.
  FullCopy(store::Keyspace& keyspace, Log& log, Hooks& hooks, std::string dataset, Form form, size_t receivers,
           int rdb_version, CopyContent content, std::string spool_dir, std::function<void()> notify);
  ~FullCopy();  // gives up, joins

  // Null before the cut.
  const Log::Cut* cut() const;
  // The place in the log of one receiver, once each, after the cut.
  std::unique_ptr<Log::Reader> TakeReader();

  // A piece of the RDB, counted from 0; null if it is not there yet or there is none, or if it can't be read, which
  // failure() tells.
  std::shared_ptr<const std::string> Chunk(uint64_t index) const;
  bool HasChunk(uint64_t index) const;
  // Nobody needs chunks before `index` any more.
  void DropBefore(uint64_t index);
  // The number of chunks once all were made; UINT64_MAX before.
  uint64_t chunks() const;
  // Bytes of a spooled copy, once its snapshot is whole.
  std::optional<uint64_t> length() const;
  Status failure() const;

 private:
  void Run();
  Status Write(std::string_view bytes) override;
  Status Enqueue(std::string_view bytes);
  Status Spool(std::string_view bytes);
  bool HasChunkLocked(uint64_t index) const;

  store::Keyspace& keyspace_;
  Log& log_;
  Hooks& hooks_;
  const std::string dataset_;
  const Form form_;
  const size_t receivers_;
  const int rdb_version_;
  const CopyContent content_;
  const std::string spool_dir_;
  const std::function<void()> notify_;
  std::atomic<bool> cancelled_{false};
  int spool_ = -1;              // of the copy's thread until finished_
  uint64_t spooled_bytes_ = 0;  // the same

  mutable std::mutex mutex_;
  std::condition_variable room_;
  bool has_cut_ = false;                                      // mutex_
  Log::Cut cut_;                                              // mutex_; constant once has_cut_
  std::vector<std::unique_ptr<Log::Reader>> readers_;         // mutex_
  std::deque<std::shared_ptr<const std::string>> queue_;      // mutex_
  uint64_t first_chunk_ = 0;                                  // mutex_: index of queue_.front()
  size_t queued_bytes_ = 0;                                   // mutex_
  bool finished_ = false;                                     // mutex_
  mutable Status failure_;                                    // mutex_
  std::thread thread_;
};

}  // namespace understudy::replication
