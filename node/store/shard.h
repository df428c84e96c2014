// Shard: the part of the keyspace behind one lock. All keys of one shard index, in every database.
//
// All methods need the shard's lock (ShardGuard), except those marked "any thread". `hash` is always
// Keyspace::Hash(key), and ShardIndex(hash) is this shard. An Entry* and every view taken from it are good
// until the next mutation of that key (mutations of other keys do not move it) and no longer than the lock.
//
// What every mutation does by itself: it saves the old state for running snapshots, marks those who WATCH the
// key, keeps the counters, the memory account and the expiry index right. What it does not do: write the
// replication log. That is the caller's; only for keys removed because they expired does the shard call the
// keyspace's ExpirySink, so that the log has their DEL before the write that found them.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "node/store/collection.h"
#include "node/store/entry.h"
#include "node/store/function_ref.h"
#include "node/store/memory_settings.h"
#include "node/store/shard_lock.h"

namespace understudy::store {

class Table;
class Keyspace;
class LazyFreer;
class Shard;
class Probe;

// What a caller sees of keys whose time has come but which are still stored.
enum class View {
  kNormal,  // clients, on a primary and on a replica: they are not there
  kRaw,     // the replication stream being applied: they are there until the primary says DEL
};

// Told about every key that the shard removes by itself. Set once, before threads start.
class ExpirySink {
 public:
  // Under the shard's lock, before the write that found it. May append to the replication log, no more.
  virtual void OnExpired(int db, std::string_view key) = 0;
  // The same for a key that goes because memory is short.
  virtual void OnEvicted(int db, std::string_view key) = 0;
  // As OnExpired, for a field of a hash whose time has come. With the last one the key goes, too, without OnExpired.
  virtual void OnFieldExpired(int /*db*/, std::string_view /*key*/, std::string_view /*field*/) {}
  // After it, once for the fields of a hash that went together. key_gone: the key went with the last of them.
  virtual void OnFieldsExpired(int /*db*/, std::string_view /*key*/, bool /*key_gone*/) {}

 protected:
  ~ExpirySink() = default;
};

// A value out of the table: for RENAME, MOVE, COPY, RESTORE, loading. May be kept as long as one likes.
struct StoredValue {
  StringHint hint = StringHint::kAuto;
  int64_t expire_ms = kNoExpire;
  uint32_t idle_seconds = 0;
  std::optional<uint8_t> frequency = {};  // under an LFU policy, instead of idle_seconds
  Collection collection;  // what is no string
  BlobRef blob;           // large strings: shared, not copied
  std::string bytes;      // others
  std::string_view view() const { return blob ? blob.view() : std::string_view(bytes); }
};

struct SetOptions {
  int64_t expire_ms = kNoExpire;       // Unix ms; kNoExpire: none
  bool keep_expire = false;            // keep what TTL the key has; expire_ms is then ignored
  StringHint hint = StringHint::kAuto;
};

struct WatchedKey;

// Told about changes of the keys that name it. Under the shard's lock: it may note them, no more.
class ChangeSink {
 public:
  virtual void OnChanged(WatchedKey& watched) = 0;

 protected:
  ~ChangeSink() = default;
};

// One WATCH of one client on one key, or a key for which clients wait. Its owner keeps it at its address until Unwatch.
struct WatchedKey {
  int db = 0;
  std::string key;
  uint64_t hash = 0;
  // Who is told, one of the two:
  std::atomic<bool>* dirty = nullptr;  // the session's one flag for all its keys, set by any writer
  ChangeSink* sink = nullptr;
  bool was_expired = false;            // set by Watch
};

// Told of changes of whatever key, by the shards that were asked to tell (Shard::SetTells). Set once, before threads
// start.
class KeyListener {
 public:
  // Under the shard's lock, shortly before or after the change: it may note it, no more. by_itself: the key expired, or
  // had to go because memory is short.
  virtual void OnKeyChanged(Shard& shard, std::string_view key, bool by_itself) = 0;
  // Databases were emptied or exchanged as a whole, whether any shard was asked or not. Every shard's lock is held.
  virtual void OnDatabasesChanged() = 0;

 protected:
  ~KeyListener() = default;
};

enum class Freeing {
  kInline,  // now, on this thread
  kLazy,    // large values on the background thread
};

class alignas(64) Shard {
 public:
  struct Totals {  // of the keyspace
    std::atomic<uint64_t> expired_keys{0}, evicted_keys{0}, expired_fields{0};
  };
  Shard(uint32_t index, int shard_bits, int databases, LazyFreer& freer, const MemorySettings& settings, Totals& totals);
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  uint32_t index() const { return index_; }

  // ---- Reading -----------------------------------------------------------------------------------------
  // The entry, or nullptr. kNormal hides a key whose expiry time has passed (Entry::ExpiredAt).
  // Find notes the access for OBJECT IDLETIME; Peek does not (OBJECT, TTL, TYPE, EXISTS, DEBUG).
  [[gnu::always_inline]] Entry* Find(int db, std::string_view key, uint64_t hash, int64_t now_ms, View view);
  const Entry* Peek(int db, std::string_view key, uint64_t hash, int64_t now_ms, View view) const;

  // A hint for a group of commands, gathered before they are executed: begins to fetch the key's memory. False:
  // there is none. The probe is good until the shard is changed: where it is shared, until the lock is freed.
  [[gnu::always_inline]] bool Prefetch(int db, uint64_t hash, Probe* probe) const;

  // ---- Writing -----------------------------------------------------------------------------------------
  // As Find, but kNormal removes an expired key for good first (ExpirySink::OnExpired). Every command that
  // may write calls it for each key whose old state it depends on, before its own effects are logged.
  Entry* FindForWrite(int db, std::string_view key, uint64_t hash, int64_t now_ms, View view);

  // Makes or replaces the whole value, and the TTL unless keep_expire. One lookup; in place where the size
  // class stays. An expired key that is still stored is replaced as any other, so call FindForWrite first if
  // keep_expire. value may not point into this shard's entry of the same key unless that is its own value
  // (then it is copied first). Requires sizes within kMaxKeyBytes, kMaxValueBytes (CHECK).
  Entry* Set(int db, std::string_view key, uint64_t hash, std::string_view value, int64_t now_ms,
             const SetOptions& options = {});

  // Changes a string's length and gives it for writing: APPEND, SETRANGE, SETBIT. The common part is kept,
  // new bytes are zero; a missing key is made, without TTL. TTL is kept. The span is good as an Entry* is.
  // Requires that the key holds no collection (CHECK).
  std::span<char> Resize(int db, std::string_view key, uint64_t hash, size_t value_bytes, int64_t now_ms,
                         StringHint hint = StringHint::kRaw);

  // Makes or replaces the whole value by a collection, and removes the TTL: SORT, SINTERSTORE and their like. An
  // empty one removes the key. False if there was nothing to do: it is empty, and there was no such key.
  // (To change a collection in place: edit.h.)
  bool SetCollection(int db, std::string_view key, uint64_t hash, Collection value, int64_t now_ms);

  // False if it was not there (also expired ones that are still stored are erased, and give true).
  bool Erase(int db, std::string_view key, uint64_t hash, Freeing freeing = Freeing::kLazy);

  // Removes the key if it is stored and expired at now_ms, and tells the ExpirySink. True if it did.
  bool EraseIfExpired(int db, std::string_view key, uint64_t hash, int64_t now_ms);

  // Removes fields of a hash whose time has come, and tells the ExpirySink. A command that changes fields calls it
  // first, on a primary, for what FindForWrite gave. Returns the entry, or null if the key went with its last field.
  Entry* ExpireFieldsOf(int db, std::string_view key, uint64_t hash, Entry& entry, int64_t now_ms);
  // For INFO: a key, and fields, that a command removed because it gave them a time in the past.
  void CountExpiredKey() { totals_.expired_keys.fetch_add(1, std::memory_order_relaxed); }
  void CountExpiredFields(uint64_t fields) { totals_.expired_fields.fetch_add(fields, std::memory_order_relaxed); }

  // Sets the expiry time of a stored key (also one in the past: the caller decides whether that is a DEL).
  // False if the key is not stored.
  bool SetExpire(int db, std::string_view key, uint64_t hash, int64_t expire_ms);
  // Removes the TTL. False if the key is not stored or has none.
  bool Persist(int db, std::string_view key, uint64_t hash);

  // ---- Moving values: RENAME, MOVE, COPY, RESTORE, loading ----------------------------------------------
  // Copy of a stored key's value with its TTL (a Blob is shared, a collection is copied, element by element), or
  // nothing. now_ms: for its idle time.
  std::optional<StoredValue> Copy(int db, std::string_view key, uint64_t hash, int64_t now_ms) const;
  // The same, without a copy, and the key is erased.
  std::optional<StoredValue> Take(int db, std::string_view key, uint64_t hash, int64_t now_ms);
  // Makes or replaces the key with value, TTL and idle time of `value`.
  Entry* Put(int db, std::string_view key, uint64_t hash, StoredValue value, int64_t now_ms);

  // ---- WATCH -------------------------------------------------------------------------------------------
  // From now on every change of the key (write, expiry, flush, swap) sets *watched.dirty, or the sink is told. Fill in all fields
  // but was_expired. `watched` must stay where it is until Unwatch with the same object.
  void Watch(WatchedKey& watched, int64_t now_ms);
  void Unwatch(WatchedKey& watched);
  // Is there a WATCH of that key which sets this flag?
  bool IsWatchedBy(const std::atomic<bool>& dirty, int db, std::string_view key, uint64_t hash) const;
  // At EXEC: true if the key's time has come since Watch, though nobody removed it yet (EXEC must then fail,
  // as it does when *dirty is set).
  bool WatchedKeyExpired(const WatchedKey& watched, int64_t now_ms) const;
  // Whether the keyspace's KeyListener is told of each change from now on.
  void SetTells(bool tells) {
    tells_ = tells && listener_ != nullptr;
    told_ = tells_ || !watchers_.empty();
  }

  // ---- Walking -----------------------------------------------------------------------------------------
  // Calls fn for the entries of one bucket at `cursor` (a cursor whose Keyspace::CursorShard is this shard)
  // and returns the next one, 0 after the last of the last shard. A key that is stored during the whole walk
  // is given exactly once, whatever else is inserted or erased meanwhile. fn must not mutate.
  uint64_t ScanStep(int db, uint64_t cursor, FunctionRef<void(const Entry&)> fn) const;
  // A key chosen by `random` (64 random bits), nearly uniform; nullptr only if there is none. Does not look at
  // expiry.
  const Entry* RandomEntry(int db, uint64_t random) const;

  // ---- Expiry ------------------------------------------------------------------------------------------
  // Removes keys and fields of hashes that are due at now_ms, earliest segments first, each told to the ExpirySink.
  // Looks at no more than about max_entries of them (at least one segment's). Returns the number of keys removed.
  size_t ExpireStep(int64_t now_ms, size_t max_entries);
  // Lower bound of the earliest expiry time of all keys and fields, INT64_MAX if none has one. Any thread.
  int64_t next_expire_ms() const { return next_expire_ms_.load(std::memory_order_relaxed); }

  // ---- Eviction ----------------------------------------------------------------------------------------
  // Some keys from a random place on; see Table::Sample. random: 64 random bits.
  void Sample(int db, uint64_t random, size_t wanted, bool with_expire, FunctionRef<void(const Entry&)> fn) const;
  // Erases a stored key because memory is short, and tells the ExpirySink. Returns the bytes that became free.
  size_t Evict(int db, std::string_view key, uint64_t hash);

  // ---- Databases ---------------------------------------------------------------------------------------
  // Keys, expired ones that are still stored included; keys with a TTL; hashes with fields that have one. Any thread.
  size_t Size(int db) const { return counts_[static_cast<size_t>(db)].keys.load(std::memory_order_relaxed); }
  size_t ExpireCount(int db) const { return counts_[static_cast<size_t>(db)].expires.load(std::memory_order_relaxed); }
  size_t ExpiringHashes(int db) const {
    return counts_[static_cast<size_t>(db)].expiring_hashes.load(std::memory_order_relaxed);
  }
  void FlushDb(int db, Freeing freeing = Freeing::kLazy);  // kLazy: O(1), memory is freed in the background
  void SwapDb(int a, int b, int64_t now_ms);

  // Bytes of entries, values and tables. Any thread.
  size_t used_bytes() const { return used_bytes_.load(std::memory_order_relaxed); }
  // Of them tables without what they hold. Any thread.
  size_t index_bytes() const { return index_bytes_.load(std::memory_order_relaxed); }
  // What is free in the entries' heaps. Needs the lock.
  size_t free_bytes() const;

  // CHECKs every invariant of the tables. For tests; visits everything.
  void Validate() const;

 private:
  friend class Keyspace;
  friend class OneShardGuard;
  friend class ShardGuard;
  friend class ExtraShards;
  friend class AllShardsGuard;
  template <typename T>
  friend class Edit;
  class Change;

  // Of a database, for any thread to read.
  struct Counts {
    std::atomic<size_t> keys{0}, expires{0}, expiring_hashes{0};
    void Publish(const Table* table);  // null: no keys
  };

  // edit.h. The entry's collection, to be changed; pre-images are saved.
  Collection OpenEdit(int db, Entry& entry, uint64_t hash);
  // entry: null if the value is a new one; old_bytes: what the value took before. changed: there is something to tell.
  void CloseEdit(int db, std::string_view key, uint64_t hash, Entry* entry, Collection value, size_t old_bytes,
                 bool changed, int64_t now_ms);
  Table* table(int db) const { return tables_[static_cast<size_t>(db)].get(); }
  Table& TableForWrite(int db) {
    Table* const t = table(db);
    return t != nullptr ? *t : NewTable(db);
  }
  [[gnu::cold]] Table& NewTable(int db);
  void NoteExpired(int db, std::string_view key);
  void NoteFieldExpired(int db, std::string_view key, std::string_view field);
  void NoteFieldsExpired(int db, std::string_view key, bool key_gone) {
    if (expiry_sink_ != nullptr) expiry_sink_->OnFieldsExpired(db, key, key_gone);
  }
  void NoteAccess(Entry& entry, int64_t now_ms);
  // Bits of an entry that is written now. old: what it replaces, if anything.
  uint32_t AccessBits(const Entry* old, int64_t now_ms, uint32_t idle_seconds = 0) {
    if (!lfu_.load(std::memory_order_relaxed)) [[likely]] return LruBits(now_ms, idle_seconds);
    return old != nullptr ? TouchedLfu(old->access_bits(), now_ms) : LfuBits(now_ms);
  }
  [[gnu::cold]] uint32_t TouchedLfu(uint32_t bits, int64_t now_ms);
  // now_absent: the change was a removal. by_itself: see KeyListener.
  void MarkWatchers(int db, std::string_view key, uint64_t hash, bool now_absent, bool by_itself = false) {
    if (told_) [[unlikely]] MarkWatchersOf(db, key, hash, now_absent, by_itself);
  }
  void MarkWatchersOf(int db, std::string_view key, uint64_t hash, bool now_absent, bool by_itself);
  // The database's table is about to be replaced: marks who watches a key that is in either.
  void MarkWatchersOfDb(int db, const Table* before, const Table* after, int64_t now_ms);
  void PublishAll();  // after whole tables were exchanged

  ShardLock lock_;
  const uint32_t index_;
  const int shard_bits_;
  std::atomic<bool> lfu_{false};       // the policy in force counts accesses; written by Keyspace
  LazyFreer& freer_;
  const MemorySettings& settings_;
  ExpirySink* expiry_sink_ = nullptr;  // set by Keyspace before threads start
  Totals& totals_;
  uint64_t random_;                    // for LFU
  std::vector<std::shared_ptr<Table>> tables_;  // by database; null while it never had a key
  std::map<uint64_t, std::vector<WatchedKey*>> watchers_;  // by hash
  KeyListener* listener_ = nullptr;    // set by Keyspace before threads start
  bool tells_ = false;                 // it is told of changes
  bool told_ = false;                  // somebody is: tells_, or there are watchers
  std::atomic<int64_t> next_expire_ms_{INT64_MAX};
  std::unique_ptr<Counts[]> counts_;  // by database
  std::atomic<size_t> used_bytes_{0};
  std::atomic<size_t> index_bytes_{0};
};

}  // namespace understudy::store
