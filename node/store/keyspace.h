// Keyspace: all data of a node. A power of two of shards, each with its lock and a table per database.
//
// A key's 64-bit hash (keyed with random bits drawn at start) decides everything: its top bits the shard, the
// next ones the segment, then the bucket. The hash does not depend on the database.
//
// Sharing: while one worker is the only thread that touches the tables, locks are elided. Every further user
// (second worker, applier, snapshot, loader into a live keyspace) is announced by SetShared(true) before it
// starts and by SetShared(false) after it has ended, always on worker 0's thread, between two commands.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/clock.h"
#include "common/keyed_hash.h"
#include "node/store/function_ref.h"
#include "node/store/shard.h"
#include "node/store/table.h"

namespace understudy::store {

class LazyFreer;

// A set of shard indexes in ascending order, without heap memory up to 16 of them.
class ShardSet {
 public:
  ShardSet() = default;
  explicit ShardSet(std::span<const uint32_t> indexes);  // sorts, drops repetitions
  const uint32_t* begin() const { return heap_.empty() ? inline_ : heap_.data(); }
  const uint32_t* end() const { return begin() + size_; }
  size_t size() const { return size_; }

 private:
  static constexpr size_t kInline = 16;
  uint32_t inline_[kInline];
  size_t size_ = 0;
  std::vector<uint32_t> heap_;
};

class Keyspace {
 public:
  struct Options {
    uint32_t shards = 64;  // power of two, 1 to 1024
    int databases = 16;    // 1 to 1024
  };

  // Whether a method that visits several shards takes their locks itself, one at a time.
  enum class Locking {
    kTake,
    kHeld,  // the caller has an AllShardsGuard (inside EXEC)
  };

  Keyspace() : Keyspace(Options{}) {}
  explicit Keyspace(const Options& options);
  ~Keyspace();
  Keyspace(const Keyspace&) = delete;
  Keyspace& operator=(const Keyspace&) = delete;

  // ---- Addressing; any thread ----------------------------------------------------------------------------
  static uint64_t Hash(std::string_view key) { return HashKey(key); }
  uint32_t ShardIndex(uint64_t hash) const { return static_cast<uint32_t>(hash >> 1 >> (63 - shard_bits_)); }
  Shard& shard(uint32_t index) { return *shards_[index]; }
  const Shard& shard(uint32_t index) const { return *shards_[index]; }
  Shard& ShardOf(uint64_t hash) { return *shards_[ShardIndex(hash)]; }
  uint32_t shard_count() const { return static_cast<uint32_t>(shards_.size()); }
  int databases() const { return databases_; }

  // ---- Set-up --------------------------------------------------------------------------------------------
  // Before threads start. nullptr: nobody is told.
  void SetExpirySink(ExpirySink* sink);
  void SetKeyListener(KeyListener* listener);
  // Counts users beside worker 0; see above. Only on worker 0's thread, with no guard held.
  void SetShared(bool shared);
  bool shared() const { return users_.load(std::memory_order_relaxed) > 0; }

  // ---- Whole databases; the caller holds an AllShardsGuard ------------------------------------------------
  void FlushDb(int db, Freeing freeing = Freeing::kLazy);
  void FlushAll(Freeing freeing = Freeing::kLazy);
  void SwapDb(int a, int b, int64_t now_ms);
  // Exchanges all data with `other` (same numbers of shards and databases), for a copy loaded beside. WATCHed
  // keys of both are marked as after FlushAll. Guards on both are held. Then `other` may be read, flushed or
  // destroyed, but not written: a snapshot of this keyspace may still be reading its tables.
  void SwapContents(Keyspace& other);

  // ---- Walking -------------------------------------------------------------------------------------------
  // SCAN: calls fn for each stored key that `view` shows at now_ms, from `cursor` (0: from the start; any other
  // value is safe, too), until at least `count` entries or 10 * count buckets were visited. Returns the cursor
  // to go on with, 0 at the end. Guarantees as in Shard::ScanStep. Cursors are < 2^48.
  uint64_t Scan(int db, uint64_t cursor, size_t count, int64_t now_ms, View view, Locking locking,
                FunctionRef<void(const Entry&)> fn);
  // KEYS: all of it. With kTake one shard is locked at a time, so it is not one point in time.
  void ForEach(int db, int64_t now_ms, View view, Locking locking, FunctionRef<void(const Entry&)> fn);
  uint32_t CursorShard(uint64_t cursor) const {
    return static_cast<uint32_t>((cursor & kCursorMask) >> (48 - shard_bits_));
  }
  // A random key that `view` shows, or nothing if there is none (or all looked at are expired).
  std::optional<std::string> RandomKey(int db, int64_t now_ms, View view, Locking locking);

  // ---- Expiry --------------------------------------------------------------------------------------------
  struct SweepBudget {
    size_t max_entries = 20'000;          // entries looked at
    // Checked between segments, each of which takes up to 60 us; clients wait meanwhile.
    Duration max_time = Microseconds(200);
  };
  struct SweepResult {
    size_t expired = 0;
    bool more = false;  // keys that are due may be left: call again soon
  };
  // Removes due keys and fields, and samples how long others still live, going round the shards; takes locks itself,
  // one for a segment at a time. Called every 100 ms or so by one thread, on a primary only: a replica waits for the
  // primary's DELs.
  SweepResult Sweep(int64_t now_ms, const Clock& clock, const SweepBudget& budget);
  SweepResult Sweep(int64_t now_ms, const Clock& clock) { return Sweep(now_ms, clock, SweepBudget()); }

  // ---- Figures; any thread, no lock ------------------------------------------------------------------------
  size_t Size(int db) const;         // DBSIZE: keys, expired ones that are still stored included
  size_t ExpireCount(int db) const;  // keys with a TTL
  size_t ExpiringHashes(int db) const;  // hashes with fields that have a TTL
  // Of keys with a TTL, in milliseconds; 0 if there is none. What Sweep found in samples: 0 on a replica.
  int64_t AverageTtl(int db) const { return average_ttls_[static_cast<size_t>(db)].load(std::memory_order_relaxed); }
  size_t TotalSize() const;
  size_t UsedBytes() const;          // entries, values, tables; without what waits to be freed
  size_t IndexBytes() const;         // of them tables without what they hold
  size_t WaitingBytes() const;       // what waits to be freed on the background thread
  size_t LazyFreePending() const;    // objects that wait to be freed (INFO lazyfree_pending_objects)
  uint64_t LazyFreed() const;        // objects that were (INFO lazyfreed_objects)
  uint64_t ExpiredKeys() const { return totals_.expired_keys.load(std::memory_order_relaxed); }
  uint64_t ExpiredFields() const { return totals_.expired_fields.load(std::memory_order_relaxed); }  // of hashes
  uint64_t EvictedKeys() const { return totals_.evicted_keys.load(std::memory_order_relaxed); }
  void ResetTotals();                // CONFIG RESETSTAT

  // ---- Memory --------------------------------------------------------------------------------------------
  const MemorySettings& memory_settings() const { return *settings_; }
  MemorySettings& memory_settings() { return *settings_; }
  // Any thread. Entries' access bits have another meaning from now on if it changes to or from LFU.
  void SetEvictionPolicy(EvictionPolicy policy);
  // Takes over policy and LFU settings of `other`: for a copy loaded beside it.
  void TakeMemorySettingsOf(const Keyspace& other);

  // True while a snapshot's store of overwritten data is more than half full because its receiver is slow.
  // Admission should then hold writes back, in steps of a millisecond: if it overflows, the copy fails.
  bool WritersShouldWait() const { return (against_writers_.load(std::memory_order_relaxed) & ~kWritesFail) != 0; }
  // Writes are to be refused, since the last save failed (stop-writes-on-bgsave-error).
  bool WritesFail() const { return (against_writers_.load(std::memory_order_relaxed) & kWritesFail) != 0; }
  void SetWritesFail(bool fail) {
    if (fail) {
      against_writers_.fetch_or(kWritesFail, std::memory_order_relaxed);
    } else {
      against_writers_.fetch_and(~kWritesFail, std::memory_order_relaxed);
    }
  }
  // Neither: one look for what is usual.
  bool WritersMayPass() const { return against_writers_.load(std::memory_order_relaxed) == 0; }

  // ---- For persist/snapshot --------------------------------------------------------------------------------
  // The tables of one shard that have keys, by database. Shard's lock held.
  struct TableRef {
    int db;
    std::shared_ptr<Table> table;
  };
  std::vector<TableRef> TablesOf(uint32_t shard_index) const;
  void CountSnapshotPressure(int change) { against_writers_.fetch_add(change, std::memory_order_relaxed); }
  // Bytes that running copies hold: overwritten data, chunks that wait to be sent. Any thread.
  std::atomic<size_t>& snapshot_bytes() { return snapshot_bytes_; }
  size_t SnapshotBytes() const { return snapshot_bytes_.load(std::memory_order_relaxed); }

  // CHECKs every invariant. Guards held, or one thread. For tests.
  void Validate() const;

 private:
  friend class OneShardGuard;
  friend class ShardGuard;
  friend class ExtraShards;
  friend class AllShardsGuard;
  void SampleTtls(int64_t now_ms);
  static constexpr uint64_t kCursorMask = (uint64_t{1} << 48) - 1;

  const int databases_;
  KeyListener* listener_ = nullptr;
  int shard_bits_ = 0;
  std::unique_ptr<MemorySettings> settings_;
  std::unique_ptr<LazyFreer> freer_;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::atomic<int> users_{0};  // beside worker 0
  static constexpr int kWritesFail = 1 << 16;
  std::atomic<int> against_writers_{0};  // snapshots under pressure, and kWritesFail
  std::atomic<size_t> snapshot_bytes_{0};
  Shard::Totals totals_;
  std::atomic<uint32_t> sweep_at_{0};  // shard where the next Sweep starts
  std::unique_ptr<std::atomic<int64_t>[]> average_ttls_;  // by database
  uint32_t sample_at_ = 0;  // shard where the next SampleTtls starts; of the thread that sweeps
};

}  // namespace understudy::store
