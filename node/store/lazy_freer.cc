#include "node/store/lazy_freer.h"

#include <pthread.h>

#include "node/store/table.h"

namespace understudy::store {

LazyFreer::LazyFreer(const MemorySettings& settings) : settings_(settings), thread_([this] { Run(); }) {
  pthread_setname_np(thread_.native_handle(), "lazy-free");
}

LazyFreer::~LazyFreer() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void LazyFreer::Add(std::shared_ptr<Table> table) {
  pending_.fetch_add(1, std::memory_order_relaxed);
  waiting_->fetch_add(table->used_bytes(), std::memory_order_relaxed);
  table->set_waiting(waiting_);
  std::lock_guard lock(mutex_);
  tables_.push_back(std::move(table));
  wake_.notify_one();
}

void LazyFreer::Add(BlobRef blob) {
  pending_.fetch_add(1, std::memory_order_relaxed);
  waiting_->fetch_add(blob.get()->allocated_bytes(), std::memory_order_relaxed);
  std::lock_guard lock(mutex_);
  blobs_.push_back(std::move(blob));
  wake_.notify_one();
}

void LazyFreer::Add(Collection collection) {
  pending_.fetch_add(1, std::memory_order_relaxed);
  waiting_->fetch_add(collection.AllocatedBytes(), std::memory_order_relaxed);
  std::lock_guard lock(mutex_);
  collections_.push_back(std::move(collection));
  wake_.notify_one();
}

void LazyFreer::NoteFreed() {
  freed_.fetch_add(1, std::memory_order_relaxed);
  pending_.fetch_sub(1, std::memory_order_relaxed);
}

void LazyFreer::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    const auto nothing = [this] { return tables_.empty() && blobs_.empty() && collections_.empty(); };
    wake_.wait(lock, [&] { return stopping_ || !nothing(); });
    if (nothing()) return;
    std::vector<std::shared_ptr<Table>> tables;
    std::vector<BlobRef> blobs;
    tables.swap(tables_);
    std::vector<Collection> collections;
    blobs.swap(blobs_);
    collections.swap(collections_);
    lock.unlock();
    for (BlobRef& blob : blobs) {
      const size_t bytes = blob.get()->allocated_bytes();
      blob = BlobRef();
      waiting_->fetch_sub(bytes, std::memory_order_relaxed);
      NoteFreed();
    }
    for (Collection& collection : collections) {
      const size_t bytes = collection.AllocatedBytes();
      collection = Collection();
      waiting_->fetch_sub(bytes, std::memory_order_relaxed);
      NoteFreed();
    }
    // A destroyed table may add its own large values; they are freed in the next round.
    for (std::shared_ptr<Table>& table : tables) {
      table.reset();
      NoteFreed();
    }
    lock.lock();
  }
}

}  // namespace understudy::store
