// RunPool: memory for the entries of all tables of the process, in runs of 16 or 32 KiB aligned to their size.
//
// Runs are cut from chunks of 2 MiB. That is the size of a huge page, and chunks are asked to be one as soon as
// there are enough of them for it to matter: keys lie anywhere, so with small pages nearly every command waits
// for the walk of a page table. A general allocator would also lose a page or more with each aligned run.
//
//   chunk (2 MiB, aligned) = 128 units of 16 KiB; a bit each: handed out or not
//
// An empty chunk goes back to the system at once, one is kept. Free units of other chunks are used first by
// whoever comes next; when there are too many of them, their pages go back as they become free.
//
// The first touch of a huge page clears 2 MiB: 0.3 ms, and 2 to 4 ms in a virtual machine whose host has no memory
// behind it yet. Commands would wait for that, so a thread of the pool's own, less important than workers, maps and
// touches a chunk as soon as the others are nearly full. If it comes too late the chunk is mapped by who needs it.
// Any thread; called once for hundreds of entries.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <thread>

namespace understudy::store {

class RunPool {
 public:
  static constexpr size_t kUnitBytes = 16 * 1024;
  static constexpr size_t kChunkBytes = 2 * 1024 * 1024;

  static RunPool& Get();  // of the process

  RunPool() = default;
  ~RunPool();  // all runs must be back
  RunPool(const RunPool&) = delete;
  RunPool& operator=(const RunPool&) = delete;

  // bytes: kUnitBytes or twice that; aligned to `bytes`. Never fails: out of memory aborts.
  void* Allocate(size_t bytes);
  void Free(void* run, size_t bytes);

  size_t used_bytes() const;    // in runs that are handed out
  size_t mapped_bytes() const;  // in chunks, one that is prepared included

 private:
  static constexpr size_t kUnits = kChunkBytes / kUnitBytes;
  // From so many chunks on they are huge pages: below, a node with little data would pay with memory.
  static constexpr size_t kHugeFrom = 4;
  struct Chunk {
    uint64_t used[kUnits / 64] = {};
    size_t count = 0;  // units handed out
    int Find(size_t units) const;  // the first free place, -1: none
    void Mark(size_t first, size_t units, bool on);
  };

  // With fewer free units than this the next chunk is prepared: milliseconds of the fastest growth there is.
  static constexpr size_t kPrepareBelow = kUnits / 4;

  char* NewChunk();
  void PrepareIfNeeded();
  void RunPreparing();

  mutable std::mutex mutex_;
  std::map<char*, Chunk> chunks_;  // mutex_: by address
  // mutex_: chunks with room for a run of one unit, of two. The lowest address first, so that the upper ones empty.
  std::set<char*> with_room_[2];
  size_t used_units_ = 0;          // mutex_
  char* prepared_ = nullptr;       // mutex_: a chunk whose pages are there, not in chunks_ yet
  bool wanted_ = false;            // mutex_: the thread shall prepare one, or is at it
  bool stopping_ = false;          // mutex_
  std::condition_variable wake_;
  std::thread thread_;             // mutex_: from the first wish on
};

}  // namespace understudy::store
