// LazyFreer: a thread that frees what is too large to free under a shard lock: flushed tables, large values.
// Add is quick and may be called under a shard's lock; its own lock comes after all others.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "node/store/entry.h"

namespace understudy::store {

class Table;

class LazyFreer {
 public:
  // Values from this size on are worth the hand-over.
  static constexpr size_t kMinBytes = 64 * 1024;

  LazyFreer();
  ~LazyFreer();  // frees all that was added
  LazyFreer(const LazyFreer&) = delete;
  LazyFreer& operator=(const LazyFreer&) = delete;

  void Add(std::shared_ptr<Table> table);
  void Add(BlobRef blob);
  // Objects added and not freed yet. Any thread.
  size_t pending() const { return pending_.load(std::memory_order_relaxed); }

 private:
  void Run();
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::shared_ptr<Table>> tables_;  // mutex_
  std::vector<BlobRef> blobs_;                  // mutex_
  bool stopping_ = false;                       // mutex_
  std::atomic<size_t> pending_{0};
  std::thread thread_;
};

}  // namespace understudy::store
