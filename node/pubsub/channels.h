// Channels: who listens to what, and messages on their way to the workers of those who do.
//
// A client belongs to one worker, which alone may touch it; who publishes may be on another one, or be the
// replication thread. So a message goes the way of a letter: Publish() looks up who listens, counts them, and puts
// the message, encoded once, into the mailbox of each worker that has listeners; the worker is woken once, and hands
// what is in its mailbox to its clients, many messages at a time. Nothing is allocated for a receiver.
//
//   names: channel, pattern or shard channel --> Listeners of worker 0: { client, client, ... }
//                                            `-> Listeners of worker 2: { client }
//   mailbox of worker 2: (message, Listeners), (message, Listeners), ...
//
// Order, as if there were one thread: whoever has the answer to PUBLISH before a client subscribes or unsubscribes
// knows whether that client gets the message. So a change of subscriptions takes the worker's mail in the same
// critical section in which it becomes known, and hands it out to those who listened until then.
//
// One lock, not one per channel: a message is matched with all patterns, wherever they are, and the mail of a worker
// is one queue. It is held for a look-up, a walk over the patterns and a push for each worker that listens; the
// message is encoded before, handed out after it. While nobody listens to anything, Publish() takes no lock.
//
// A mailbox is bounded by Crowded(): who can wait then does not publish (command/admission.cc); what can't, a
// transaction or a write that somebody wants to know of, is added all the same.
//
// Threads: Publish, and what only asks, any thread, also with shard locks held: nothing is called back, and the lock
// is the last one. A Subscriber, and Hand, its worker's thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace understudy::pubsub {

enum class Kind : uint8_t { kChannel, kPattern, kShardChannel };
inline constexpr size_t kKinds = 3;

// Hash and equality for look-ups by a view.
struct NameHash {
  using is_transparent = void;
  size_t operator()(std::string_view name) const { return std::hash<std::string_view>()(name); }
};

struct Listeners;

// One that listens; ends after Channels::RemoveAll.
class Subscriber {
 public:
  explicit Subscriber(uint32_t worker) : worker_(worker) {}
  virtual ~Subscriber();
  Subscriber(const Subscriber&) = delete;
  Subscriber& operator=(const Subscriber&) = delete;

  // A message: an array of RESP2 or a push of RESP3, in two pieces, without its first character. The body is the same
  // for all receivers; one that does not send it at once may keep it.
  virtual void OnMessage(std::string_view head, const std::shared_ptr<const std::string>& body) = 0;

  size_t count(Kind kind) const { return places_[static_cast<size_t>(kind)].size(); }
  // What the registry keeps for it.
  size_t MemoryBytes() const { return memory_bytes_; }

 private:
  friend class Channels;
  struct Place {
    Listeners* listeners;
    size_t index;  // in Listeners::subscribers
  };
  const uint32_t worker_;
  size_t memory_bytes_ = 0;
  // With names of its own: those of the registry go when the last of them is given up, on whatever worker.
  std::unordered_map<std::string, Place, NameHash, std::equal_to<>> places_[kKinds];
};

// Those of one worker who listen to one name.
struct Listeners {
  std::string head;                      // how their messages begin
  std::vector<Subscriber*> subscribers;  // the worker's thread
  size_t count = 0;                      // of them, under the registry's lock
};

class Channels {
 public:
  // Output that the mail of a worker may make before Crowded().
  static constexpr size_t kCrowdedBytes = 4 * 1024 * 1024;

  explicit Channels(uint32_t workers);
  ~Channels();

  // Called by Wake() for each worker that has new mail and was not woken yet; it then calls Hand. Before threads start.
  void OnMail(std::function<void(uint32_t worker)> wake) { wake_ = std::move(wake); }

  // ---- The subscriber's worker ------------------------------------------------------------------------------
  // False if it listens (does not listen) already.
  bool Subscribe(Subscriber& subscriber, Kind kind, std::string_view name);
  bool Unsubscribe(Subscriber& subscriber, Kind kind, std::string_view name);
  // Names of one kind, as they are now.
  static std::vector<std::string> NamesOf(const Subscriber& subscriber, Kind kind);
  void RemoveAll(Subscriber& subscriber);
  // Gives the worker's mail to its clients.
  void Hand(uint32_t worker);

  // ---- Any thread -------------------------------------------------------------------------------------------
  // Returns how many get it. sharded: goes to shard channels only, else to channels and patterns.
  // Wake() must follow, once for any number of messages, with no lock held.
  size_t Publish(std::string_view channel, std::string_view message, bool sharded);
  void Wake() {
    if (unwoken_.load(std::memory_order_acquire)) WakeAll();
  }
  // Does anybody listen to anything?
  bool Used() const { return subscriptions_.load(std::memory_order_acquire) > 0; }
  bool Crowded() const { return crowded_.load(std::memory_order_relaxed) > 0; }

  // Names that have listeners and match the pattern; all without one (no pattern matches an empty name).
  std::vector<std::string> Names(Kind kind, std::optional<std::string_view> pattern) const;
  size_t CountNames(Kind kind) const;
  size_t CountListeners(Kind kind, std::string_view name) const;

 private:
  struct Name {
    std::vector<std::unique_ptr<Listeners>> of_worker;  // by its number; null = none
    size_t count = 0;
  };
  using Directory = std::unordered_map<std::string, Name, NameHash, std::equal_to<>>;
  struct Letter {
    std::shared_ptr<const std::string> body;
    Listeners* to;
  };
  struct Mailbox {
    std::vector<Letter> letters;
    size_t output_bytes = 0;  // that they make
    bool unwoken = false;
  };

  Directory& directory(Kind kind) { return names_[static_cast<size_t>(kind)]; }
  const Directory& directory(Kind kind) const { return names_[static_cast<size_t>(kind)]; }
  void Put(const Name& name, const std::shared_ptr<const std::string>& body);
  // The worker's letters, by the lock's holder; and their way to its clients.
  std::vector<Letter> Take(uint32_t worker);
  void HandOut(uint32_t worker, std::vector<Letter> letters);
  void WakeAll();

  const uint32_t workers_;
  std::function<void(uint32_t)> wake_;
  mutable std::mutex mutex_;
  Directory names_[kKinds];                  // mutex_
  std::vector<Mailbox> mailboxes_;           // mutex_
  std::vector<std::vector<Letter>> spares_;  // empty ones to be used again; each is its worker's
  std::atomic<size_t> subscriptions_{0};     // written under mutex_
  std::atomic<int> crowded_{0};              // mailboxes that are; written under mutex_
  std::atomic<bool> unwoken_{false};         // written under mutex_
};

}  // namespace understudy::pubsub
