#include "node/store/keyspace.h"

#include <algorithm>
#include <bit>

#include "common/check.h"
#include "common/random.h"
#include "node/store/lazy_freer.h"
#include "node/store/shard_guard.h"
#include "node/store/table.h"

namespace understudy::store {

ShardSet::ShardSet(std::span<const uint32_t> indexes) {
  uint32_t* first = inline_;
  if (indexes.size() > kInline) {
    heap_.resize(indexes.size());
    first = heap_.data();
  }
  uint32_t* last = std::copy(indexes.begin(), indexes.end(), first);
  std::sort(first, last);
  size_ = static_cast<size_t>(std::unique(first, last) - first);
}

Keyspace::Keyspace(const Options& options) : databases_(options.databases) {
  CHECK(std::has_single_bit(options.shards) && options.shards <= 1024);
  CHECK(options.databases >= 1 && options.databases <= 1024);
  shard_bits_ = std::countr_zero(options.shards);
  settings_ = std::make_unique<MemorySettings>();
  freer_ = std::make_unique<LazyFreer>(*settings_);
  average_ttls_ = std::make_unique<std::atomic<int64_t>[]>(static_cast<size_t>(databases_));
  shards_.reserve(options.shards);
  for (uint32_t i = 0; i < options.shards; ++i) {
    shards_.push_back(std::make_unique<Shard>(i, shard_bits_, databases_, *freer_, *settings_, totals_));
  }
}

Keyspace::~Keyspace() = default;

void Keyspace::SetExpirySink(ExpirySink* sink) {
  for (const auto& shard : shards_) shard->expiry_sink_ = sink;
}

void Keyspace::SetKeyListener(KeyListener* listener) {
  listener_ = listener;
  for (const auto& shard : shards_) shard->listener_ = listener;
}

void Keyspace::SetShared(bool shared) {
  const int users = users_.fetch_add(shared ? 1 : -1, std::memory_order_acq_rel) + (shared ? 1 : -1);
  CHECK(users >= 0);
}

// ---- Whole databases -----------------------------------------------------------------------------------------

void Keyspace::FlushDb(int db, Freeing freeing) {
  for (const auto& shard : shards_) shard->FlushDb(db, freeing);
  if (listener_ != nullptr) listener_->OnDatabasesChanged();
}

void Keyspace::FlushAll(Freeing freeing) {
  for (const auto& shard : shards_) {
    for (int db = 0; db < databases_; ++db) shard->FlushDb(db, freeing);
  }
  if (listener_ != nullptr) listener_->OnDatabasesChanged();
}

void Keyspace::SwapDb(int a, int b, int64_t now_ms) {
  for (const auto& shard : shards_) shard->SwapDb(a, b, now_ms);
  if (listener_ != nullptr) listener_->OnDatabasesChanged();
}

void Keyspace::SwapContents(Keyspace& other) {
  CHECK(&other != this && other.shard_count() == shard_count() && other.databases_ == databases_);
  for (uint32_t i = 0; i < shard_count(); ++i) {
    Shard& mine = *shards_[i];
    Shard& theirs = *other.shards_[i];
    for (int db = 0; db < databases_; ++db) {
      // Of another data set every stored key is a change.
      mine.MarkWatchersOfDb(db, mine.table(db), theirs.table(db), INT64_MIN);
      theirs.MarkWatchersOfDb(db, theirs.table(db), mine.table(db), INT64_MIN);
    }
    mine.tables_.swap(theirs.tables_);
    for (const auto& table : mine.tables_) {
      if (table != nullptr) table->set_freer(*freer_);
    }
    for (const auto& table : theirs.tables_) {
      if (table != nullptr) table->set_freer(*other.freer_);
    }
    mine.PublishAll();
    theirs.PublishAll();
  }
  for (KeyListener* listener : {listener_, other.listener_}) {
    if (listener != nullptr) listener->OnDatabasesChanged();
  }
}

// ---- Walking -------------------------------------------------------------------------------------------------

uint64_t Keyspace::Scan(int db, uint64_t cursor, size_t count, int64_t now_ms, View view, Locking locking,
                        FunctionRef<void(const Entry&)> fn) {
  cursor &= kCursorMask;
  size_t entries = 0;
  size_t buckets = 0;
  const size_t max_buckets = count > SIZE_MAX / 10 ? SIZE_MAX : count * 10;
  auto give = [&](const Entry& entry) {
    if (view == View::kNormal && entry.ExpiredAt(now_ms)) return;
    ++entries;
    fn(entry);
  };
  do {
    const uint32_t index = CursorShard(cursor);
    std::optional<OneShardGuard> guard;
    if (locking == Locking::kTake) guard.emplace(*this, *shards_[index]);
    do {
      cursor = shards_[index]->ScanStep(db, cursor, give);
      ++buckets;
      if (entries >= count || buckets >= max_buckets) return cursor;
    } while (cursor != 0 && CursorShard(cursor) == index);
  } while (cursor != 0);
  return 0;
}

void Keyspace::ForEach(int db, int64_t now_ms, View view, Locking locking, FunctionRef<void(const Entry&)> fn) {
  uint64_t cursor = 0;
  do {
    cursor = Scan(db, cursor, 1000, now_ms, view, locking, fn);
  } while (cursor != 0);
}

std::optional<std::string> Keyspace::RandomKey(int db, int64_t now_ms, View view, Locking locking) {
  // As many attempts as Redis makes when it meets expired keys only.
  for (int tried = 0; tried < 100; ++tried) {
    const size_t total = Size(db);
    if (total == 0) return std::nullopt;
    size_t at = RandomU64() % total;
    uint32_t index = 0;
    while (index + 1 < shard_count() && at >= shards_[index]->Size(db)) {
      at -= shards_[index]->Size(db);
      ++index;
    }
    std::optional<OneShardGuard> guard;
    if (locking == Locking::kTake) guard.emplace(*this, *shards_[index]);
    const Entry* entry = shards_[index]->RandomEntry(db, RandomU64());
    if (entry == nullptr || (view == View::kNormal && entry->ExpiredAt(now_ms))) continue;
    return std::string(entry->key());
  }
  return std::nullopt;
}

// ---- Expiry --------------------------------------------------------------------------------------------------

Keyspace::SweepResult Keyspace::Sweep(int64_t now_ms, const Clock& clock, const SweepBudget& budget) {
  // As much as a segment may hold, so that the lock is held for one segment.
  constexpr size_t kEntriesALock = 1;
  const Deadline deadline = Deadline::In(clock, budget.max_time);
  SweepResult result;
  size_t looked_at = 0;
  uint32_t index = sweep_at_.load(std::memory_order_relaxed) % shard_count();
  for (uint32_t visited = 0; visited < shard_count(); ++visited) {
    Shard& shard = *shards_[index];
    while (shard.next_expire_ms() < now_ms) {
      if (looked_at >= budget.max_entries || deadline.Passed(clock.Mono())) {
        result.more = true;
        sweep_at_.store(index, std::memory_order_relaxed);
        return result;
      }
      OneShardGuard guard(*this, shard);
      const size_t removed = shard.ExpireStep(now_ms, kEntriesALock);
      result.expired += removed;
      looked_at += removed + 400;  // about a segment
    }
    index = (index + 1) % shard_count();
  }
  sweep_at_.store(index, std::memory_order_relaxed);
  SampleTtls(now_ms);
  return result;
}

// A running average, for which a sample of one shard counts one in fifty, as in Redis.
void Keyspace::SampleTtls(int64_t now_ms) {
  constexpr size_t kSample = 16;
  constexpr int64_t kWeight = 50;
  const uint32_t first = sample_at_.fetch_add(1, std::memory_order_relaxed) % shard_count();
  for (int db = 0; db < databases_; ++db) {
    std::atomic<int64_t>& average = average_ttls_[static_cast<size_t>(db)];
    int64_t sample = 0, count = 0;
    for (uint32_t i = 0; i < shard_count() && count == 0; ++i) {
      Shard& shard = *shards_[(first + i) % shard_count()];
      if (shard.ExpireCount(db) == 0) continue;
      OneShardGuard guard(*this, shard);
      shard.Sample(db, RandomU64(), kSample, true, [&](const Entry& entry) {
        if (entry.ExpiredAt(now_ms)) return;
        sample += (entry.expire_ms() - now_ms - sample) / ++count;
      });
    }
    const int64_t before = average.load(std::memory_order_relaxed);
    const bool anew = before == 0 || sample == 0;
    average.store(anew ? sample : before + (sample - before) / kWeight, std::memory_order_relaxed);
  }
}

// ---- Figures -------------------------------------------------------------------------------------------------

size_t Keyspace::Size(int db) const {
  size_t n = 0;
  for (const auto& shard : shards_) n += shard->Size(db);
  return n;
}

size_t Keyspace::ExpireCount(int db) const {
  size_t n = 0;
  for (const auto& shard : shards_) n += shard->ExpireCount(db);
  return n;
}

size_t Keyspace::ExpiringHashes(int db) const {
  size_t n = 0;
  for (const auto& shard : shards_) n += shard->ExpiringHashes(db);
  return n;
}

size_t Keyspace::TotalSize() const {
  size_t n = 0;
  for (int db = 0; db < databases_; ++db) n += Size(db);
  return n;
}

size_t Keyspace::UsedBytes() const {
  size_t n = 0;
  for (const auto& shard : shards_) n += shard->used_bytes();
  return n;
}

size_t Keyspace::IndexBytes() const {
  size_t n = 0;
  for (const auto& shard : shards_) n += shard->index_bytes();
  return n;
}

size_t Keyspace::WaitingBytes() const { return freer_->waiting_bytes(); }

size_t Keyspace::LazyFreePending() const { return freer_->pending(); }
uint64_t Keyspace::LazyFreed() const { return freer_->freed(); }

void Keyspace::ResetTotals() {
  totals_.expired_keys.store(0, std::memory_order_relaxed);
  totals_.evicted_keys.store(0, std::memory_order_relaxed);
  totals_.expired_fields.store(0, std::memory_order_relaxed);
  freer_->ResetFreed();
}

void Keyspace::SetEvictionPolicy(EvictionPolicy policy) {
  settings_->policy.store(policy, std::memory_order_relaxed);
  for (const auto& shard : shards_) shard->lfu_.store(UsesLfu(policy), std::memory_order_relaxed);
}

void Keyspace::TakeMemorySettingsOf(const Keyspace& other) {
  const LfuSettings lfu = other.settings_->lfu();
  settings_->lfu_log_factor.store(lfu.log_factor, std::memory_order_relaxed);
  settings_->lfu_decay_minutes.store(lfu.decay_minutes, std::memory_order_relaxed);
  SetEvictionPolicy(other.settings_->policy.load(std::memory_order_relaxed));
}

std::vector<Keyspace::TableRef> Keyspace::TablesOf(uint32_t shard_index) const {
  std::vector<TableRef> refs;
  for (int db = 0; db < databases_; ++db) {
    const std::shared_ptr<Table>& table = shards_[shard_index]->tables_[static_cast<size_t>(db)];
    if (table != nullptr && table->size() > 0) refs.push_back({db, table});
  }
  return refs;
}

void Keyspace::Validate() const {
  for (const auto& shard : shards_) shard->Validate();
}

}  // namespace understudy::store
