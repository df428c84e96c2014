#include "node/script/floor.h"

#include <chrono>
#include <thread>

namespace understudy::script {
namespace {

// Batches take some ten microseconds; a command that walks all keys takes longer.
constexpr int kSpins = 200;
constexpr auto kStep = std::chrono::microseconds(20);

}  // namespace

Floor::Floor(uint32_t workers) : workers_(workers), inside_(new Inside[workers]) {}

bool Floor::TryEnter(uint32_t worker) {
  inside_[worker].entered.store(true, std::memory_order_seq_cst);
  if (state_.load(std::memory_order_seq_cst) == kFree) return true;
  inside_[worker].entered.store(false, std::memory_order_release);
  return false;
}

// Who has the floor waits until it sees `entered` false; this worker is seen by it, or sees it.
bool Floor::EnterSlow(uint32_t worker) {
  for (;;) {
    inside_[worker].entered.store(false, std::memory_order_release);
    const uint32_t state = state_.load(std::memory_order_acquire);
    if ((state & kSlow) != 0) return false;
    if (state != kFree) state_.wait(state, std::memory_order_acquire);
    inside_[worker].entered.store(true, std::memory_order_seq_cst);
    if (state_.load(std::memory_order_seq_cst) == kFree) return true;
  }
}

bool Floor::Take(uint32_t worker) {
  inside_[worker].entered.store(false, std::memory_order_release);
  for (;;) {
    uint32_t state = kFree;
    if (state_.compare_exchange_strong(state, worker + 1, std::memory_order_seq_cst)) break;
    if ((state & kSlow) != 0) return false;
    state_.wait(state, std::memory_order_acquire);
  }
  for (uint32_t other = 0; other < workers_; ++other) {
    for (int spin = 0; inside_[other].entered.load(std::memory_order_seq_cst); ++spin) {
      if (spin >= kSpins) std::this_thread::sleep_for(kStep);
    }
  }
  return true;
}

void Floor::Release() {
  state_.store(kFree, std::memory_order_release);
  state_.notify_all();
}

void Floor::MarkSlow() {
  state_.fetch_or(kSlow, std::memory_order_acq_rel);
  state_.notify_all();
}

}  // namespace understudy::script
