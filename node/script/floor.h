// The floor: one script at a time has it, and meanwhile no worker touches a shard.
//
// A script may need any key, so it runs with every shard locked, perhaps for long. A worker that waited for one of
// these locks could not tell its clients that the node is busy, nor hear SCRIPT KILL. So workers ask here first:
//
//   Enter() ... Leave()   around a batch of commands: this worker may take locks of shards
//   Take() ... Release()  by one that has entered: first it leaves, then waits until nobody has the floor and all
//                         others have left. Nobody waits for a lock while a script runs but threads without clients.
//   MarkSlow()            by who has the floor: whoever waits is told so at once (kBusy), and answers BUSY
//
// Bounds: nobody waits longer than until the script is marked slow. Who has waited for kPatience comes before the next
// script, the oldest first: scripts that come without end on one worker do not keep the others from their clients.
// Threads: each method by the worker that it names, slow() by any.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace understudy::script {

class Floor {
 public:
  // kBusy: no; a script that is slow has the floor, also if it runs on this worker. kWaited: yes, and time has passed.
  enum class Entry : uint8_t { kBusy, kAtOnce, kWaited };

  explicit Floor(uint32_t workers);

  // Waits for a script that is not slow.
  Entry Enter(uint32_t worker) {
    if (workers_ == 1) return state_.load(std::memory_order_relaxed) == kFree ? Entry::kAtOnce : Entry::kBusy;
    inside_[worker].entered.store(true, std::memory_order_seq_cst);
    if (state_.load(std::memory_order_seq_cst) == kFree) [[likely]] return Entry::kAtOnce;
    return EnterSlow(worker);
  }
  // As Enter, but does not wait.
  bool TryEnter(uint32_t worker);
  void Leave(uint32_t worker) {
    if (workers_ > 1) inside_[worker].entered.store(false, std::memory_order_release);
  }

  // The worker has entered; it has left in either case.
  Entry Take(uint32_t worker);
  void Release();
  void MarkSlow();
  bool slow() const { return (state_.load(std::memory_order_acquire) & kSlow) != 0; }

 private:
  static constexpr uint32_t kFree = 0, kSlow = 1u << 31;  // else 1 + the worker that has it
  struct alignas(64) Inside {
    std::atomic<bool> entered{false};
    std::atomic<int64_t> waits_since_ns{0};  // 0 = it does not
  };
  Entry EnterSlow(uint32_t worker);
  void NoteWaiting(uint32_t worker);
  bool OlderWaits(uint32_t worker) const;

  const uint32_t workers_;
  std::unique_ptr<Inside[]> inside_;
  std::atomic<uint32_t> state_{kFree};
};

}  // namespace understudy::script
