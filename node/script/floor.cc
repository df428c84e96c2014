#include "node/script/floor.h"

#include <time.h>

#include <chrono>
#include <thread>

namespace understudy::script {
namespace {

// Batches take some ten microseconds; a command that walks all keys takes longer.
constexpr int kSpins = 100;
constexpr auto kStep = std::chrono::microseconds(20);
constexpr int64_t kPatienceNs = 100'000;

int64_t NowNs() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

// One step of waiting for what other workers do soon.
void WaitStep(int* steps) {
  if (++*steps < kSpins) {
    std::this_thread::yield();
  } else {
    std::this_thread::sleep_for(kStep);
  }
}

}  // namespace

Floor::Floor(uint32_t workers) : workers_(workers), inside_(new Inside[workers]) {}

bool Floor::TryEnter(uint32_t worker) {
  inside_[worker].entered.store(true, std::memory_order_seq_cst);
  if (state_.load(std::memory_order_seq_cst) == kFree) return true;
  inside_[worker].entered.store(false, std::memory_order_release);
  return false;
}

void Floor::NoteWaiting(uint32_t worker) {
  std::atomic<int64_t>& since = inside_[worker].waits_since_ns;
  if (since.load(std::memory_order_relaxed) == 0) since.store(NowNs(), std::memory_order_relaxed);
}

// Does anybody come before this worker's script?
bool Floor::OlderWaits(uint32_t worker) const {
  const int64_t mine = inside_[worker].waits_since_ns.load(std::memory_order_relaxed);
  int64_t before = 0;
  for (uint32_t other = 0; other < workers_; ++other) {
    const int64_t since = inside_[other].waits_since_ns.load(std::memory_order_relaxed);
    if (other == worker || since == 0) continue;
    if (before == 0) before = NowNs() - kPatienceNs;
    if (since > before) continue;
    if (mine == 0 || since < mine || (since == mine && other < worker)) return true;
  }
  return false;
}

// Who has the floor waits until it sees `entered` false; this worker is seen by it, or sees it.
Floor::Entry Floor::EnterSlow(uint32_t worker) {
  Inside& mine = inside_[worker];
  for (;;) {
    mine.entered.store(false, std::memory_order_release);
    const uint32_t state = state_.load(std::memory_order_acquire);
    Entry entry = Entry::kBusy;
    if ((state & kSlow) == 0) {
      NoteWaiting(worker);
      if (state != kFree) state_.wait(state, std::memory_order_acquire);
      mine.entered.store(true, std::memory_order_seq_cst);
      if (state_.load(std::memory_order_seq_cst) != kFree) continue;
      entry = Entry::kWaited;
    }
    mine.waits_since_ns.store(0, std::memory_order_relaxed);
    return entry;
  }
}

Floor::Entry Floor::Take(uint32_t worker) {
  Inside& mine = inside_[worker];
  mine.entered.store(false, std::memory_order_release);
  int steps = 0;
  for (;;) {
    uint32_t state = state_.load(std::memory_order_acquire);
    if ((state & kSlow) != 0) {
      mine.waits_since_ns.store(0, std::memory_order_relaxed);
      return Entry::kBusy;
    }
    if (state != kFree) {
      NoteWaiting(worker);
      state_.wait(state, std::memory_order_acquire);
    } else if (OlderWaits(worker)) {
      WaitStep(&steps);
    } else if (state_.compare_exchange_strong(state, worker + 1, std::memory_order_seq_cst)) {
      break;
    }
  }
  for (uint32_t other = 0; other < workers_; ++other) {
    for (int spins = 0; inside_[other].entered.load(std::memory_order_seq_cst);) {
      WaitStep(&spins);
      if (spins > steps) steps = spins;
    }
  }
  const bool waited = mine.waits_since_ns.exchange(0, std::memory_order_relaxed) != 0 || steps >= kSpins;
  return waited ? Entry::kWaited : Entry::kAtOnce;
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
