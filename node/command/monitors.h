// MONITOR: clients that are shown every command of every client.
//
// A command is shown behind its execution, by a line in the mailbox of each worker that has such clients; the worker
// gives them its mail at the end of its turn. Lines of one worker's commands are in their order. While nobody monitors,
// commands pay nothing: Dispatcher::SetThresholds makes every command an unusual one.
//
// A mailbox that its worker does not empty in time is bounded: its clients are closed, as by an output limit.
//
// Threads: Add, Remove, Hand the client's worker; the rest any.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace understudy::net {
class Worker;
}

namespace understudy::command {

class Session;

class Monitors {
 public:
  explicit Monitors(uint32_t workers);

  void Add(Session& session);
  void Remove(Session& session);  // if it is one

  bool any() const { return count_.load(std::memory_order_relaxed) > 0; }
  // source: the client's address, or "lua". Wake must follow, with no lock held.
  void Show(int db, std::string_view source, std::span<const std::string_view> args);
  void Wake(std::span<net::Worker* const> workers) {
    if (stirred_.load(std::memory_order_acquire)) [[unlikely]] WakeAll(workers);
  }

 private:
  static constexpr size_t kMostBytes = 32 * 1024 * 1024;
  using Line = std::shared_ptr<const std::string>;  // without its first character
  struct alignas(64) Mailbox {
    std::mutex mutex;
    std::vector<Line> lines;  // mutex
    size_t bytes = 0;         // mutex
    size_t clients = 0;       // mutex
    bool overrun = false;     // mutex: lines were dropped
    bool unwoken = false;     // mutex
  };

  void WakeAll(std::span<net::Worker* const> workers);
  void Hand(uint32_t worker);

  std::vector<Mailbox> mailboxes_;
  std::vector<std::unordered_set<Session*>> sessions_;  // by worker; the worker's thread
  std::atomic<size_t> count_{0};
  std::atomic<bool> stirred_{false};
};

}  // namespace understudy::command
