#include "node/store/entry_heap.h"

#include <malloc.h>

#include <cstdlib>
#include <cstring>

#include "common/check.h"
#include "node/store/run_pool.h"

namespace understudy::store {

EntryHeap::~EntryHeap() {
  CHECK(large_blocks_ == 0);
  FreeRuns();
}

void EntryHeap::FreeRuns() {
  while (runs_ != nullptr) {
    Run* run = runs_;
    runs_ = run->next;
    RunPool::Get().Free(run, run->run_bytes);
  }
}

EntryHeap::Run* EntryHeap::NewRun(size_t size_class) {
  const size_t bytes = RunBytes(size_class);
  Run* run = static_cast<Run*>(RunPool::Get().Allocate(bytes));
  *run = Run{};
  run->bump = kRunHeaderBytes;
  run->slot_bytes = static_cast<uint32_t>(size_class * 8);
  run->run_bytes = static_cast<uint32_t>(bytes);
  run_bytes_ += bytes;
  run->next = runs_;
  if (runs_ != nullptr) runs_->prev = run;
  runs_ = run;
  return run;
}

void EntryHeap::AddPartial(Run* run, size_t size_class) {
  run->prev_partial = nullptr;
  run->next_partial = partial_[size_class];
  if (run->next_partial != nullptr) run->next_partial->prev_partial = run;
  partial_[size_class] = run;
}

void EntryHeap::RemovePartial(Run* run, size_t size_class) {
  if (run->prev_partial != nullptr) {
    run->prev_partial->next_partial = run->next_partial;
  } else {
    partial_[size_class] = run->next_partial;
  }
  if (run->next_partial != nullptr) run->next_partial->prev_partial = run->prev_partial;
}

void* EntryHeap::Allocate(size_t bytes) {
  if (bytes > kSlabMaxBytes) {
    void* block = std::malloc(bytes);
    CHECK(block != nullptr);
    live_bytes_ += malloc_usable_size(block);
    large_bytes_ += malloc_usable_size(block);
    ++large_blocks_;
    return block;
  }
  const size_t size_class = (bytes + 7) / 8;
  Run* run = partial_[size_class];
  if (run == nullptr) {
    run = NewRun(size_class);
    AddPartial(run, size_class);
  }
  void* block = run->free_list;
  if (block != nullptr) {
    std::memcpy(&run->free_list, block, sizeof run->free_list);
  } else {
    block = reinterpret_cast<char*>(run) + run->bump;
    run->bump += run->slot_bytes;
  }
  ++run->used;
  if (run->Full()) RemovePartial(run, size_class);
  live_bytes_ += size_class * 8;
  return block;
}

void EntryHeap::Free(void* block, size_t bytes) {
  if (bytes > kSlabMaxBytes) {
    live_bytes_ -= malloc_usable_size(block);
    large_bytes_ -= malloc_usable_size(block);
    --large_blocks_;
    std::free(block);
    return;
  }
  const size_t size_class = (bytes + 7) / 8;
  Run* run = reinterpret_cast<Run*>(reinterpret_cast<uintptr_t>(block) & ~(RunBytes(size_class) - 1));
  const bool was_full = run->Full();
  std::memcpy(block, &run->free_list, sizeof run->free_list);
  run->free_list = block;
  live_bytes_ -= size_class * 8;
  if (was_full) AddPartial(run, size_class);
  // One empty run a class stays, so that a key set and deleted in turn does not map memory each time.
  if (--run->used == 0 && (run->next_partial != nullptr || run->prev_partial != nullptr)) {
    RemovePartial(run, size_class);
    if (run->prev != nullptr) {
      run->prev->next = run->next;
    } else {
      runs_ = run->next;
    }
    if (run->next != nullptr) run->next->prev = run->prev;
    run_bytes_ -= run->run_bytes;
    RunPool::Get().Free(run, run->run_bytes);
  }
}

bool EntryHeap::SameClass(const void* block, size_t old_bytes, size_t new_bytes) {
  if (old_bytes <= kSlabMaxBytes) return (old_bytes + 7) / 8 == (new_bytes + 7) / 8;
  if (new_bytes <= kSlabMaxBytes) return false;
  const size_t usable = malloc_usable_size(const_cast<void*>(block));
  return new_bytes <= usable && usable <= 2 * new_bytes;
}

size_t EntryHeap::BlockBytes(const void* block, size_t bytes) {
  if (bytes <= kSlabMaxBytes) return (bytes + 7) / 8 * 8;
  return malloc_usable_size(const_cast<void*>(block));
}

}  // namespace understudy::store
