// EntryHeap: memory for the entries of one table.
//
// A general allocator's classes lose up to 25 % between 128 bytes and 1 KiB, where most cached values are.
// Here sizes to kSlabMaxBytes go in steps of 8 bytes, cut from runs of 16 or 32 KiB (run_pool.h); larger ones are
// malloc's.
// A heap belongs to a table, so a flushed table gives back whole runs instead of entries one by one.
//
//   run (aligned to its size) = header of 64 bytes, slots of one class: bumped first, then a free list
//
// Not thread-safe: guarded by the shard's lock; once the table is detached, by whoever frees it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace understudy::store {

class EntryHeap {
 public:
#if defined(UNDERSTUDY_ADDRESS_SANITIZER)
  static constexpr size_t kSlabMaxBytes = 0;  // so that the sanitizer sees each entry
#else
  static constexpr size_t kSlabMaxBytes = 1024;
#endif

  EntryHeap() = default;
  ~EntryHeap();  // gives back all runs; large blocks must have been freed
  EntryHeap(const EntryHeap&) = delete;
  EntryHeap& operator=(const EntryHeap&) = delete;

  // Gives back all runs, with what is in them; nothing may be allocated or freed afterwards.
  void FreeRuns();

  // bytes > 0. Aligned to 8. Never fails: out of memory aborts, as everywhere in this process.
  void* Allocate(size_t bytes);
  // bytes: as asked for at Allocate, or anything of the same class.
  void Free(void* block, size_t bytes);
  // True if a block got for old_bytes can hold new_bytes and is still in the class Free will look in.
  static bool SameClass(const void* block, size_t old_bytes, size_t new_bytes);
  // What a block got for `bytes` takes.
  static size_t BlockBytes(const void* block, size_t bytes);

  size_t live_bytes() const { return live_bytes_; }      // blocks handed out
  size_t free_bytes() const { return run_bytes_ - (live_bytes_ - large_bytes_); }  // of runs, with their headers
  size_t large_blocks() const { return large_blocks_; }  // of them malloc's

 private:
  static constexpr size_t kClasses = kSlabMaxBytes / 8 + 1;
  struct Run {
    Run* next_partial;
    Run* prev_partial;
    Run* next;
    Run* prev;
    void* free_list;
    uint32_t used;    // slots handed out
    uint32_t bump;    // offset of the first slot never handed out
    uint32_t slot_bytes;
    uint32_t run_bytes;
    bool Full() const { return free_list == nullptr && bump + slot_bytes > run_bytes; }
  };
  static_assert(sizeof(Run) <= 64);
  static constexpr size_t kRunHeaderBytes = 64;

  static size_t RunBytes(size_t size_class) { return size_class <= 256 / 8 ? 16 * 1024 : 32 * 1024; }
  Run* NewRun(size_t size_class);
  void AddPartial(Run* run, size_t size_class);
  void RemovePartial(Run* run, size_t size_class);

  Run* partial_[kClasses] = {};  // runs with room, by class
  Run* runs_ = nullptr;          // all
  size_t live_bytes_ = 0;
  size_t run_bytes_ = 0;
  size_t large_bytes_ = 0;
  size_t large_blocks_ = 0;
};

}  // namespace understudy::store
