// Client-side caching: which clients read which keys, and the word they get when a key changes. docs/decisions/0021.
//
// Clients that track by default: each shard has a table, key --> clients that read it since it changed last, guarded by
// the shard's lock. A read enters its client while it still holds the lock under which it read, and a change takes the
// clients out under the same lock: so a change after the read is told, on whatever worker it is made, and what is told
// comes behind the reply to the read. As in Redis a key is its name, in whatever database.
//
// With BCAST clients name prefixes, and read what they like. Each prefix has the keys that changed since they were told
// last; they are told together, at the end of a turn.
//
//   shard's table, prefixes --> mailbox of worker 0: (client, keys), (client, keys), ...
//                           `-> mailbox of worker 2: ...
//
// A change leaves letters; each worker gives its letters to its clients, at the end of its turn, and after a command of
// a client that tracks, so that what the client changed itself is told right behind the reply. Redirected ones go on to
// the mailbox of the other client's worker.
//
// Bounds: tracking-table-max-keys keys in the tables, beyond that one is dropped as if it had changed; a mailbox or
// prefix with too much in it is emptied, and its clients are told that everything changed.
//
// Locks, in this order: Tidy's, shards, then prefixes, then a mailbox. While nobody tracks, a change costs the look at
// Shard::told_ that WATCH needs anyway, and a read nothing.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "node/command/call_context.h"
#include "node/pubsub/channels.h"

namespace understudy::command {

// A connection's id and its worker: enough to find it, and never used again. 0 = none.
using ClientRef = uint64_t;
inline constexpr int kWorkerBits = 8;
ClientRef RefOf(const Session& session);
inline ClientRef MakeRef(uint64_t id, uint32_t worker) { return id << kWorkerBits | worker; }
inline uint64_t IdOf(ClientRef ref) { return ref >> kWorkerBits; }
inline uint32_t WorkerOf(ClientRef ref) { return static_cast<uint32_t>(ref & ((1u << kWorkerBits) - 1)); }

class Tracking final : public store::KeyListener {
 public:
  explicit Tracking(uint32_t workers);
  // Before workers start.
  void Attach(Services& services);

  // The client whose command runs on this thread: it may not want to be told of its own changes.
  class Author {
   public:
    explicit Author(ClientRef client);
    ~Author();
    Author(const Author&) = delete;
    Author& operator=(const Author&) = delete;

   private:
    const ClientRef before_;
  };

  // ---- The client's worker ------------------------------------------------------------------------------------
  // CLIENT TRACKING ON: takes over `wanted`; prefixes are added to those that the client has. Takes the shards' locks
  // one after the other, unless the context has them.
  void Enable(CallContext& ctx, TrackingState wanted);
  // OFF, or the connection ends. No lock is needed.
  void Disable(Session& session);
  // Runs the command of a client that tracks, and enters the keys that it reads. Their locks are held.
  void Run(CallContext& ctx, const Row& row, Args args, resp::Writer& reply);
  // What Run does of it behind the handler, for a command that a script of the client called.
  void Remember(CallContext& ctx, const Row& row, Args args);
  // Whether the client's reads are entered.
  static bool Reads(const Session& session);
  // After a command of a client that tracks, no locks held. may_lock: shards may be touched.
  void AfterCommand(net::Worker& worker, bool may_lock);

  // ---- Any thread ---------------------------------------------------------------------------------------------
  // Enters the keys of a command for a client. Their locks are held.
  void RememberFor(ClientRef client, const CallContext& ctx, const Row& row, Args args);
  // Sends letters on their way. Once for any number of changes, with no locks held. here: the caller's own worker, null
  // on another thread.
  void Wake(net::Worker* here) {
    if (stirred_.load(std::memory_order_acquire)) [[unlikely]] WakeAll(here);
  }
  // Worker 0, no locks held: keeps the limit, drops tables that nobody needs. True: there is more to do.
  bool Tidy();

  // For INFO.
  size_t clients() const { return clients_.load(std::memory_order_relaxed); }
  size_t keys() const { return keys_.load(std::memory_order_relaxed); }
  size_t items() const { return items_.load(std::memory_order_relaxed); }
  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  size_t prefixes() const;

  // store::KeyListener
  void OnKeyChanged(store::Shard& shard, std::string_view key, bool by_itself) override;
  void OnDatabasesChanged() override;

 private:
  using Body = std::shared_ptr<const std::string>;  // an array of keys, null = everything
  using Clients = std::vector<ClientRef>;           // ascending
  using Keys = std::unordered_map<std::string, Clients, pubsub::NameHash, std::equal_to<>>;
  struct alignas(64) PerShard {  // the shard's lock
    Keys keys;
  };
  struct Prefix {
    std::map<ClientRef, bool> clients;         // do they want to hear of their own changes?
    std::map<std::string, ClientRef> changed;  // by whom last
    size_t changed_bytes = 0;
    bool everything = false;                   // instead of `changed`
  };
  struct Letter {
    enum class Kind : uint8_t {
      kRead,       // the client read the key
      kBroadcast,  // the client broadcasts
      kEveryone,   // each client of the worker that tracks: everything changed
      kRedirected,
      kBroken,     // the client to which `to` redirects is gone
    };
    Kind kind;
    ClientRef to = 0;
    ClientRef from = 0;  // who made the change, or who redirects
    Body body = {};
  };
  struct alignas(64) Mailbox {
    std::mutex mutex;
    std::vector<Letter> letters;  // mutex
    size_t bytes = 0;             // mutex
    bool everyone = false;        // mutex; a kEveryone is among them: others of those who track say nothing more
    bool unwoken = false;         // mutex
  };

  uint32_t IndexOf(uint64_t hash) const { return services_->keyspace.ShardIndex(hash); }
  void Enter(uint32_t shard, std::string_view key, ClientRef client);
  // Takes the key out and tells its clients. Its shard's lock is held.
  void Drop(PerShard& shard, Keys::iterator at, ClientRef author);
  // Drops up to `most` keys that come first from a random place on, but not `kept`.
  size_t DropSome(PerShard& shard, size_t most, const std::string* kept);
  void NoteBroadcast(std::string_view key, ClientRef author);
  void SendBroadcasts();
  void Put(uint32_t worker, Letter letter);
  static void Condense(Mailbox& box);
  void WakeAll(net::Worker* here);
  // Gives the worker's letters to its clients.
  void Hand(net::Worker& worker);
  void Give(net::Worker& worker, const Letter& letter);
  void Tell(net::Worker& worker, Session& session, const Body& body);
  void TellRedirected(net::Worker& worker, ClientRef to, ClientRef from, const Body& body);
  void NoteBroken(Session& session);
  // Keys beyond the limit.
  size_t Excess() const;

  Services* services_ = nullptr;
  std::unique_ptr<PerShard[]> shards_;
  std::vector<Mailbox> mailboxes_;
  std::vector<std::unordered_set<Session*>> sessions_;  // that track, by worker; the worker's thread
  std::mutex tidy_mutex_;  // one at a time drops what is too much, else all would drop it
  mutable std::mutex prefixes_mutex_;
  std::map<std::string, Prefix, std::less<>> prefixes_;  // prefixes_mutex_
  std::atomic<size_t> clients_{0}, broadcasters_{0};
  std::atomic<size_t> keys_{0}, items_{0}, bytes_{0};    // of all shards' tables
  std::atomic<bool> stirred_{false};                     // a letter, or a prefix's change, waits
};

}  // namespace understudy::command
