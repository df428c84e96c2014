// Clients that wait until a key holds something: BLPOP, BZPOPMIN, XREAD BLOCK ...
//
// Problem: they are served in the order in which they began to wait, right after the command, transaction or script
// that made their key ready, before anybody else sees what it put there; and that may happen on another worker.
//
// Idea: a client that waits is its command, kept to be run anew. It stands in a queue for each of its keys, and the
// shard of the key tells of every change of it (store::ChangeSink), whatever made the change: so no command says by
// itself that a key may be ready. The key is noted, and whoever made the change runs the commands of those who wait
// for it before it frees its locks, on its own thread. What a command replicates goes into the log behind what made it
// run; its reply is posted to the client's worker when the locks are free.
//
// Locks: the queues of a shard's keys are guarded by the shard's lock. To run a command takes the locks of all its
// keys. Who made the change may not hold them all (BLMOVE's destination, a second key of BLPOP): others are taken
// without waiting, since they come in no order. If one can't be had, the note stays, and is looked at when the locks
// are free: only then, and only while others use the same shards, may another client come first.
//
// Ending a wait by anything else (timeout, CLIENT UNBLOCK, the end of the connection or of the primary role) claims the
// command first, so that it is served or ended, never both.
//
// A family's handler finds nothing and calls WaitForKeys; when it is run anew (CallContext::waits_on is set) it does
// the same again. It has no session then: the client may be another worker's.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "node/command/call_context.h"
#include "node/store/shard_guard.h"

namespace understudy::command {

// The first of the keys that holds a value of that type, for commands that take from one of several. False after the
// error reply; *entry is null if there is none.
bool FindFilled(CallContext& ctx, Args keys, store::Type type, std::string_view* name, store::Entry** entry,
                resp::Writer& reply);

enum class TimeoutUnit : uint8_t { kSeconds, kMilliseconds };

// A timeout as commands take it: in seconds it may be a fraction. *ms: rounded up; 0 = for ever. False after the error
// reply.
bool ReadTimeout(const CallContext& ctx, std::string_view text, TimeoutUnit unit, int64_t* ms, resp::Writer& reply);

struct WaitOptions {
  store::Type type = store::Type::kString;  // what the keys have to hold; while one holds another type, nothing is tried
  bool tells_of_end = false;                // the command is run anew also when a key is gone or of another type: XREADGROUP
  int64_t timeout_ms = 0;                   // 0 = for ever
};

// The client waits until one of the keys holds something. command: what is run anew then, with the arguments that it
// takes then (XREAD's $ is an id); its row is the context's. keys: of the command, as they come in it.
// False: it may not wait, as in a transaction; the handler answers what it answers when the time is up. True: no reply.
bool WaitForKeys(CallContext& ctx, Args command, std::span<const std::string_view> keys, const WaitOptions& options);

class Blocking final : public store::ChangeSink {
 public:
  explicit Blocking(uint32_t workers);
  ~Blocking();
  // Before workers start.
  void Attach(Services& services);

  // What who runs waiting commands may do, read before the command that is the cause was admitted.
  struct Office {
    bool may_write = false;   // else only commands that read are run
    uint64_t generation = 0;  // RoleGate::generation()
  };
  // Which shards' locks are held.
  struct Held {
    bool all = false;  // or nobody else uses the keyspace
    std::span<const uint32_t> shards = {};
  };
  // A reply for a client, and what it acknowledges.
  struct Delivery {
    std::shared_ptr<WaitingCommand> command;
    std::string reply;
    bool wrote = false;
    uint64_t offset = 0, generation = 0;
  };
  struct Served {
    std::vector<Delivery> deliveries;
    bool appended = false;  // to the replication log
    bool left = false;      // something, for want of locks
    bool pending = false;   // any of these: Deliver is to be called
  };

  // Is a key noted that may be ready for somebody? Any thread; right for keys whose shards the caller has locked.
  bool noted() const { return noted_.load(std::memory_order_relaxed) != 0; }
  // Runs what the noted keys of the held shards make ready. cause: the time, where to count.
  void Serve(const CallContext& cause, const Held& held, const Office& office, Served* served);
  // The same for all that is noted, with no locks held.
  void ServeAll(const CallContext& cause, const Office& office, Served* served);
  // Sends the replies on their way; nothing is left in `served`. No locks held.
  void Deliver(Served* served);

  // ---- The client's worker, no locks held ------------------------------------------------------------------------
  // Ends the client's wait, if it waits, with a reply. False: it does not, or its reply is on its way.
  bool End(Session& session, std::string_view reply);
  // The connection ends.
  void Leave(Session& session);
  // This node is a primary no longer: every client of the worker that waits is told so, and closed.
  void EndAll(net::Worker& worker);

  // Now and then: takes commands that are over out of queues that were not to be touched when they ended.
  void OnTick(net::Worker& worker);

  // CLIENT UNBLOCK, from any worker. False: no such client, or it does not wait.
  bool Unblock(uint64_t client, bool with_error);

  // For INFO. Any thread.
  size_t keys() const { return keys_.load(std::memory_order_relaxed); }
  size_t keys_that_tell_of_end() const { return telling_keys_.load(std::memory_order_relaxed); }

  // store::ChangeSink
  void OnChanged(store::WatchedKey& watched) override;

 private:
  friend bool WaitForKeys(CallContext&, Args, std::span<const std::string_view>, const WaitOptions&);
  struct WaitedKey;
  class Locks;
  using Name = std::pair<int, std::string_view>;  // database, key
  struct alignas(64) PerShard {                   // the shard's lock
    std::map<Name, std::unique_ptr<WaitedKey>> keys;
    std::vector<WaitedKey*> noted;
    std::atomic<bool> any_noted{false};  // written under the lock
  };
  struct PerWorker {  // the worker's thread
    std::vector<std::shared_ptr<WaitingCommand>> leaving;               // claimed, and still in their queues
    std::multimap<int64_t, std::shared_ptr<WaitingCommand>> deadlines;  // MonoTime ns
    int64_t timer_ns = INT64_MAX;                                       // of the earliest timer that runs
  };
  enum class Outcome : uint8_t { kDone, kNeedsLocks };
  friend struct WaitingCommand;

  void Enter(CallContext& ctx, Args command, std::span<const std::string_view> keys, const WaitOptions& options);
  WaitedKey& KeyOf(int db, std::string_view name, uint64_t hash, int64_t now_ms);
  void Note(WaitedKey& key);
  void DropNote(WaitedKey& key);
  // The oldest of those shards: a key that one client's command makes ready comes after all that were ready before.
  WaitedKey* TakeNote(std::span<const uint32_t> shards, std::span<const uint32_t> more);
  Outcome ServeKey(const CallContext& cause, WaitedKey& key, Locks& locks, const Office& office, Served* served);
  void Run(const CallContext& cause, const std::shared_ptr<WaitingCommand>& command, const Office& office, Served* served);
  // False: the user may not run it any more, and the error is written.
  bool MayStillRun(WaitingCommand& command, int64_t now_ms, resp::Writer& reply);
  // A claimed command leaves the queues of its keys, where nobody runs it any more: at once, or at a later tick if a
  // script has all shards (script/floor.h). Not in a batch.
  void LeaveUnlocked(const std::shared_ptr<WaitingCommand>& command);
  // Out of the queues of its keys; their shards are locked.
  void LeaveQueues(const std::shared_ptr<WaitingCommand>& command);
  void RemoveIfUnused(WaitedKey& key);
  static bool Claim(WaitingCommand& command);
  // The session's command is out of all queues: forgets it, and lets the client go on after its reply.
  void Finish(Session& session, std::string_view reply);
  void Forget(Session& session);
  void SetTimer(net::Worker& worker, int64_t deadline_ns);
  void OnTimer(net::Worker& worker);

  Services* services_ = nullptr;
  std::unique_ptr<PerShard[]> shards_;
  std::vector<uint32_t> all_shards_;
  std::vector<PerWorker> workers_;
  std::atomic<uint32_t> noted_{0};
  std::atomic<uint64_t> next_note_{0};
  std::atomic<size_t> keys_{0}, telling_keys_{0};
  std::mutex mutex_;
  std::unordered_map<uint64_t, std::shared_ptr<WaitingCommand>> by_client_;  // mutex_
};

}  // namespace understudy::command
