// LazyFreer: a thread that frees what is too large to free under a shard lock: flushed tables, large values.
// What was added counts as used until it is freed (waiting_bytes), so that a limit of memory stays true.
// Add is quick and may be called under a shard's lock; its own lock comes after all others.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "node/store/collection.h"
#include "node/store/entry.h"
#include "node/store/shard.h"

namespace understudy::store {

class Table;

class LazyFreer {
 public:
  // Strings from this size on are worth the hand-over, and collections of more blocks of memory than this (Redis's
  // bound).
  static constexpr size_t kMinBytes = 64 * 1024;
  static constexpr size_t kMinEffort = 64;

  explicit LazyFreer(const MemorySettings& settings);
  ~LazyFreer();  // frees all that was added
  LazyFreer(const LazyFreer&) = delete;
  LazyFreer& operator=(const LazyFreer&) = delete;

  void Add(std::shared_ptr<Table> table);
  void Add(BlobRef blob);
  void Add(Collection collection);
  // Any thread: may `bytes` more wait?
  bool HasRoomFor(size_t bytes) const {
    return waiting_bytes() + bytes <= settings_.lazy_limit_bytes.load(std::memory_order_relaxed);
  }
  // How the old value of a key that is overwritten is freed.
  Freeing OnOverwrite() const {
    return settings_.lazy_server_del.load(std::memory_order_relaxed) ? Freeing::kLazy : Freeing::kInline;
  }
  size_t waiting_bytes() const { return waiting_->load(std::memory_order_relaxed); }
  // Objects added and not freed yet. Any thread.
  size_t pending() const { return pending_.load(std::memory_order_relaxed); }
  // Objects freed since the start, or since ResetFreed. Any thread.
  uint64_t freed() const { return freed_.load(std::memory_order_relaxed); }
  void ResetFreed() { freed_.store(0, std::memory_order_relaxed); }

 private:
  void Run();
  void NoteFreed();
  const MemorySettings& settings_;
  // Shared with the tables that were added: a snapshot may keep one longer than this object lives.
  const std::shared_ptr<std::atomic<size_t>> waiting_ = std::make_shared<std::atomic<size_t>>(0);
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::shared_ptr<Table>> tables_;  // mutex_
  std::vector<BlobRef> blobs_;                  // mutex_
  std::vector<Collection> collections_;         // mutex_
  bool stopping_ = false;                       // mutex_
  std::atomic<size_t> pending_{0};
  std::atomic<uint64_t> freed_{0};
  std::thread thread_;
};

}  // namespace understudy::store
