// The floor: one script at a time has it, and meanwhile no worker touches a shard.
//
// A script may need any key, so it runs with every shard locked, perhaps for long. A worker that waited for one of
// these locks could not tell its clients that the node is busy, nor hear SCRIPT KILL. So workers ask here first:
//
//   Enter() ... Leave()   around a batch of commands: this worker may take locks of shards
//   Take() ... Release()  by one that has entered: first it leaves, then waits until nobody has the floor and all
//                         others have left. Nobody waits for a lock while a script runs but threads without clients.
//   MarkSlow()            by who has the floor: whoever waits is told so at once (false), and answers BUSY
//
// Bound: nobody waits longer than until the script is marked slow. Threads: each method by the worker that it names,
// slow() by any.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

namespace understudy::script {

class Floor {
 public:
  explicit Floor(uint32_t workers);

  // False: a script that is slow has the floor, also if it runs on this worker. Waits for one that is not slow.
  bool Enter(uint32_t worker) {
    if (workers_ == 1) return state_.load(std::memory_order_relaxed) == kFree;
    inside_[worker].entered.store(true, std::memory_order_seq_cst);
    if (state_.load(std::memory_order_seq_cst) == kFree) [[likely]] return true;
    return EnterSlow(worker);
  }
  // As Enter, but does not wait.
  bool TryEnter(uint32_t worker);
  void Leave(uint32_t worker) {
    if (workers_ > 1) inside_[worker].entered.store(false, std::memory_order_release);
  }

  // The worker has entered; it has left in either case. False: a slow script has the floor.
  bool Take(uint32_t worker);
  void Release();
  void MarkSlow();
  bool slow() const { return (state_.load(std::memory_order_acquire) & kSlow) != 0; }

 private:
  static constexpr uint32_t kFree = 0, kSlow = 1u << 31;  // else 1 + the worker that has it
  struct alignas(64) Inside {
    std::atomic<bool> entered{false};
  };
  bool EnterSlow(uint32_t worker);

  const uint32_t workers_;
  std::unique_ptr<Inside[]> inside_;
  std::atomic<uint32_t> state_{kFree};
};

}  // namespace understudy::script
