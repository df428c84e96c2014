// The link to one Pod: its control channel and its lifeline, opened again whenever they end.
//
// Owned by the NodeTable's map and by its own callbacks. All state is under the link's mutex; the table is
// called with no lock held. Source: FAILOVER.md sections 3 and 4 (third proof).
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <mutex>
#include <string>

#include "common/clock.h"
#include "common/control/messages.h"
#include "common/ws_client.h"
#include "operator/nodes/node_table.h"

namespace understudy::nodes {

class Link : public std::enable_shared_from_this<Link> {
 public:
  Link(NodeTable& table, boost::asio::io_context& io, Target target, const Options& options, const OperatorKey& key,
       const Clock& clock);

  void Start();
  // No callback into the table begins after it returned; it must not be called from one.
  void Stop();
  // Closes the control channel, if there is one, and opens it anew at once.
  void Reconnect();
  // Sends if the channel is up and leads to that incarnation.
  void Send(const control::Incarnation& to, const control::Message& message);
  const Target& target() const { return target_; }

 private:
  // A channel that was just lost is tried again at once, then ever more rarely.
  static constexpr Duration kFirstRetry = Milliseconds(20);
  static constexpr Duration kLastRetry = Seconds(1);
  // Nodes speak at least every second; a channel that has been silent for so long leads nowhere.
  static constexpr Duration kSilence = Seconds(10);

  enum class State { kStopped, kWaiting, kConnecting, kUp };

  void Connect();                      // mutex_ held
  void RetryLater(Duration delay);     // mutex_ held
  void OpenLifeline(const control::Incarnation& incarnation);  // mutex_ held
  void WatchSilence();                 // mutex_ held
  void OnControlMessage(uint64_t attempt, std::string_view bytes);
  void OnControlEnd(uint64_t attempt, const ws::End& end);
  void OnLifelineEnd(uint64_t attempt, const control::Incarnation& incarnation, const ws::End& end);

  NodeTable& table_;
  boost::asio::io_context& io_;
  const Target target_;
  const Options& options_;
  const OperatorKey& key_;
  const Clock& clock_;

  std::mutex mutex_;
  std::mutex calling_;  // held around calls into the table, so that Stop can wait for them
  State state_ = State::kStopped;           // mutex_
  uint64_t attempt_ = 0;                    // mutex_; numbers control connections
  uint64_t lifeline_attempt_ = 0;           // mutex_
  std::shared_ptr<ws::Client> control_;     // mutex_
  std::shared_ptr<ws::Client> lifeline_;    // mutex_
  control::Incarnation lifeline_to_;        // mutex_; empty: none is open
  control::Incarnation incarnation_;        // mutex_; who answered last
  Duration retry_{};                        // mutex_
  MonoTime heard_at_;                       // mutex_
  boost::asio::steady_timer retry_timer_;   // mutex_
  boost::asio::steady_timer silence_timer_; // mutex_
};

// The threads of all links.
class LinkPool {
 public:
  explicit LinkPool(int threads);
  ~LinkPool();
  boost::asio::io_context& io() { return io_; }

 private:
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::vector<std::thread> threads_;
};

}  // namespace understudy::nodes
