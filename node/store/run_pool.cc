#include "node/store/run_pool.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <utility>

#include "common/check.h"

namespace understudy::store {
namespace {

constexpr int kNice = 10;  // of the thread that prepares chunks

char* MapChunk(bool huge) {
  constexpr size_t kChunkBytes = RunPool::kChunkBytes;
  // A mapping has the alignment of a page: twice as much is mapped, and what sticks out goes back.
  void* const mapped = mmap(nullptr, 2 * kChunkBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(mapped != MAP_FAILED);
  char* const begin = static_cast<char*>(mapped);
  char* const base = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(begin) + kChunkBytes - 1) & ~(kChunkBytes - 1));
  if (base > begin) munmap(begin, static_cast<size_t>(base - begin));
  if (const auto rest = static_cast<size_t>(begin + kChunkBytes - base); rest > 0) munmap(base + kChunkBytes, rest);
  // Without huge pages in the system, or none free, it is small ones.
  if (huge) (void)madvise(base, kChunkBytes, MADV_HUGEPAGE);
  return base;
}

}  // namespace

RunPool& RunPool::Get() {
  // Never destroyed: a table may be freed by another thread to the last moment.
  static auto* const pool = new RunPool;
  return *pool;
}

RunPool::~RunPool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
  CHECK(used_units_ == 0);
  if (prepared_ != nullptr) munmap(prepared_, kChunkBytes);
  for (const auto& [base, chunk] : chunks_) munmap(base, kChunkBytes);
}

int RunPool::Chunk::Find(size_t units) const {
  for (size_t first = 0; first < kUnits; first += units) {
    const uint64_t mask = (units == 1 ? uint64_t{1} : uint64_t{3}) << (first % 64);
    if ((used[first / 64] & mask) == 0) return static_cast<int>(first);
  }
  return -1;
}

void RunPool::Chunk::Mark(size_t first, size_t units, bool on) {
  const uint64_t mask = (units == 1 ? uint64_t{1} : uint64_t{3}) << (first % 64);
  CHECK((used[first / 64] & mask) == (on ? 0 : mask));
  used[first / 64] ^= mask;
  count = on ? count + units : count - units;
}

char* RunPool::NewChunk() {
  char* const base = prepared_ != nullptr ? std::exchange(prepared_, nullptr) : MapChunk(chunks_.size() >= kHugeFrom);
  chunks_.emplace(base, Chunk{});
  for (auto& chunks : with_room_) chunks.insert(base);
  return base;
}

void RunPool::PrepareIfNeeded() {
  if (wanted_ || prepared_ != nullptr || chunks_.size() < kHugeFrom || chunks_.size() * kUnits - used_units_ >= kPrepareBelow) return;
  wanted_ = true;
  if (!thread_.joinable()) thread_ = std::thread([this] { RunPreparing(); });
  wake_.notify_one();
}

void RunPool::RunPreparing() {
  pthread_setname_np(pthread_self(), "chunks");
  (void)setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNice);
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return wanted_ || stopping_; });
    if (stopping_) return;
    lock.unlock();
    char* const chunk = MapChunk(true);
    // An older kernel does not know it: then the pages come with the first touch.
    (void)madvise(chunk, kChunkBytes, MADV_POPULATE_WRITE);
    lock.lock();
    wanted_ = false;
    const bool still_needed = chunks_.size() * kUnits - used_units_ < kUnits;
    if (still_needed) {
      prepared_ = chunk;
    } else {
      munmap(chunk, kChunkBytes);
    }
  }
}

void* RunPool::Allocate(size_t bytes) {
  const size_t units = bytes / kUnitBytes;
  CHECK((units == 1 || units == 2) && bytes == units * kUnitBytes);
  std::lock_guard lock(mutex_);
  std::set<char*>& candidates = with_room_[units - 1];
  char* const base = candidates.empty() ? NewChunk() : *candidates.begin();
  Chunk& chunk = chunks_.at(base);
  const int first = chunk.Find(units);
  CHECK(first >= 0);
  chunk.Mark(static_cast<size_t>(first), units, true);
  used_units_ += units;
  if (chunk.Find(1) < 0) with_room_[0].erase(base);
  if (chunk.Find(2) < 0) with_room_[1].erase(base);
  PrepareIfNeeded();
  return base + static_cast<size_t>(first) * kUnitBytes;
}

void RunPool::Free(void* run, size_t bytes) {
  const size_t units = bytes / kUnitBytes;
  char* const base = reinterpret_cast<char*>(reinterpret_cast<uintptr_t>(run) & ~(kChunkBytes - 1));
  std::lock_guard lock(mutex_);
  Chunk& chunk = chunks_.at(base);
  chunk.Mark(static_cast<size_t>(static_cast<char*>(run) - base) / kUnitBytes, units, false);
  used_units_ -= units;
  const size_t free_units = chunks_.size() * kUnits - used_units_;
  if (prepared_ != nullptr && free_units > kUnits) munmap(std::exchange(prepared_, nullptr), kChunkBytes);
  if (chunk.count == 0 && free_units > kUnits) {
    for (auto& chunks : with_room_) chunks.erase(base);
    chunks_.erase(base);
    munmap(base, kChunkBytes);
    return;
  }
  with_room_[0].insert(base);
  if (chunk.Find(2) >= 0) with_room_[1].insert(base);
  // An eighth of the data may lie fallow; what is more costs a page fault when it is used again.
  if (free_units > used_units_ / 8 + kUnits) (void)madvise(run, bytes, MADV_DONTNEED);
}

size_t RunPool::used_bytes() const {
  std::lock_guard lock(mutex_);
  return used_units_ * kUnitBytes;
}

size_t RunPool::mapped_bytes() const {
  std::lock_guard lock(mutex_);
  return (chunks_.size() + (prepared_ != nullptr ? 1 : 0)) * kChunkBytes;
}

}  // namespace understudy::store
