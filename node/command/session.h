// What the server knows about one client between its commands: database, protocol, name, transaction.
//
// Owned by the connection's worker. What CLIENT LIST shows of clients on other workers is atomic, or text
// under Registry's lock.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <iterator>
#include <list>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "node/command/subscriber.h"
#include "node/net/connection.h"
#include "node/store/shard.h"

namespace understudy::acl {
class User;
}

namespace understudy::command {

struct Row;
struct WaitingCommand;

// What another part keeps with a client; ends with it. replication_family.cc keeps a replica's handshake.
class SessionAttachment {
 public:
  virtual ~SessionAttachment() = default;
};

// A command that MULTI queued: the arguments, copied.
struct QueuedCommand {
  const Row* row;
  std::string bytes;           // all arguments, one after the other
  std::vector<uint32_t> ends;  // end of each in `bytes`
};

struct Transaction {
  std::deque<QueuedCommand> queue;
  size_t bytes = 0;            // of all arguments
  uint32_t flags = 0;          // of all rows together
  bool needs_role = false;     // not all of them are allowed in a node without a role
  int db = 0;                  // of the next command that is queued
  bool failed = false;         // a command was refused while queueing: EXECABORT
};

// What a client wants of CLIENT TRACKING (tracking.h). Its worker's thread.
struct TrackingState {
  bool broadcast = false, opt_in = false, opt_out = false, no_loop = false;
  bool caching = false;        // CLIENT CACHING came before this command or transaction
  uint64_t redirect = 0;       // ClientRef, 0 = none
  std::set<std::string> prefixes;
  size_t prefix_bytes = 0;
};

class Session final : public net::ConnectionState {
 public:
  enum ReplyMode : uint8_t { kReplyOn, kReplyOff, kReplySkip, kReplySkipNext };

  explicit Session(net::Connection& connection) : connection(connection) {}
  size_t MemoryBytes() const override {
    constexpr size_t kCommandBytes = sizeof(QueuedCommand) + 64;
    return sizeof(Session) + (tracking ? sizeof(TrackingState) + tracking->prefix_bytes : 0) + watch_bytes + waiting_bytes + (subscriber ? sizeof(ClientSubscriber) + subscriber->MemoryBytes() : 0) +
           (transaction ? transaction->bytes + transaction->queue.size() * kCommandBytes : 0);
  }
  static Session& Of(net::Connection& connection) { return static_cast<Session&>(*connection.state()); }

  net::Connection& connection;

  // Nothing of the session's own keeps a command from running and being answered.
  bool ordinary() const { return unrestricted && runs_and_answers(); }
  // The same, but for what the user may do.
  bool runs_and_answers() const { return reply_mode == kReplyOn && !takes_long_way && transaction == nullptr; }
  void NoteWay() { takes_long_way = only_listens || tracking != nullptr || monitors.load(std::memory_order_relaxed); }
  bool subscribed() const {
    return std::any_of(std::begin(subscriptions), std::end(subscriptions),
                       [](const auto& n) { return n.load(std::memory_order_relaxed) > 0; });
  }

  // The worker's thread only.
  bool authenticated = false;
  bool unrestricted = false;                       // authenticated, and the user may do everything
  uint64_t acl_version = 0;                        // Acl::version() when acl_user was read
  std::shared_ptr<const acl::User> acl_user;       // never null once the client is open
  ReplyMode reply_mode = kReplyOn;
  bool only_listens = false;                       // restricted to what a subscriber may do: it has subscriptions, under RESP2
  bool takes_long_way = false;                     // never ordinary(): see NoteWay
  std::unique_ptr<TrackingState> tracking;         // while it tracks keys
  std::unique_ptr<ClientSubscriber> subscriber;    // since its first subscription; it ends them in OnClose
  std::unique_ptr<Transaction> transaction;        // between MULTI and EXEC
  std::list<store::WatchedKey> watches;            // registered in their shards; a list costs an idle client nothing
  size_t watch_bytes = 0;                          // of `watches`
  MonoTime waits_for_memory_since;                 // its command finds no room; never = it does not wait
  std::atomic<bool> watch_dirty{false};            // set by any writer of a watched key
  std::shared_ptr<WaitingCommand> waiting;         // since it waits for a key (blocking.h)
  size_t waiting_bytes = 0;                        // of `waiting`
  uint64_t last_write_offset = 0;                  // replication offset after its last write, for WAIT
  std::unique_ptr<SessionAttachment> replication;  // REPLCONF's handshake state

  // Written by the worker, read by any thread (CLIENT LIST).
  std::atomic<int> db{0};
  std::atomic<int> protocol{2};
  std::atomic<int> multi_commands{-1};             // queued, -1 = no MULTI
  std::atomic<size_t> multi_bytes{0};              // of the queued commands; old if there are none
  std::atomic<int> watch_count{0};
  std::atomic<uint32_t> subscriptions[pubsub::kKinds] = {};
  std::atomic<int64_t> created_ms{0};              // wall
  std::atomic<int64_t> last_command_ms{0};         // wall
  std::atomic<uint32_t> last_command{UINT32_MAX};  // index in the table
  std::atomic<bool> no_evict{false}, no_touch{false}, blocked{false};
  std::atomic<bool> takes_redirects{false};        // CLIENT CAPA REDIRECT
  std::atomic<bool> tracks{false}, broadcasts{false};     // CLIENT TRACKING, with BCAST
  std::atomic<bool> redirect_broken{false};        // the client that gets its invalidations is gone
  std::atomic<int64_t> redirects_to{-1};           // that client, 0 = itself, -1 = it does not track
  std::atomic<bool> monitors{false};               // MONITOR
  std::atomic<bool> import_source{false};          // CLIENT IMPORT-SOURCE ON: sees expired keys in import-mode
  std::atomic<bool> evicted{false};                // it is being closed because clients take too much memory

  // Registry's lock, or the worker's thread for reading.
  std::string name, library_name, library_version, user = "default";
};

}  // namespace understudy::command
