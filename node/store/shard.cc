#include "node/store/shard.h"

#include <algorithm>

#include "common/check.h"
#include "node/store/edit.h"
#include "node/store/keyspace.h"
#include "node/store/lazy_freer.h"
#include "node/store/table.h"
#include "node/types/hash.h"

namespace understudy::store {

inline void Shard::Counts::Publish(const Table* table) {
  keys.store(table == nullptr ? 0 : table->size(), std::memory_order_relaxed);
  expires.store(table == nullptr ? 0 : table->expires(), std::memory_order_relaxed);
  expiring_hashes.store(table == nullptr ? 0 : table->expiring_hashes(), std::memory_order_relaxed);
}

// Around every mutation of one table: carries what it changed over to the figures that any thread may read.
class Shard::Change {
 public:
  Change(Shard& shard, int db, const Table& table)
      : shard_(shard), db_(static_cast<size_t>(db)), table_(table), bytes_(table.used_bytes()),
        index_bytes_(table.index_bytes()), next_expire_ms_(table.next_expire_ms()) {}
  ~Change() {
    shard_.counts_[db_].Publish(&table_);
    const size_t used = shard_.used_bytes_.load(std::memory_order_relaxed);
    shard_.used_bytes_.store(used + table_.used_bytes() - bytes_, std::memory_order_relaxed);
    if (table_.index_bytes() != index_bytes_) [[unlikely]] {
      const size_t index = shard_.index_bytes_.load(std::memory_order_relaxed);
      shard_.index_bytes_.store(index + table_.index_bytes() - index_bytes_, std::memory_order_relaxed);
    }
    if (table_.next_expire_ms() != next_expire_ms_) {
      int64_t next = INT64_MAX;
      for (const auto& table : shard_.tables_) {
        if (table != nullptr) next = std::min(next, table->next_expire_ms());
      }
      shard_.next_expire_ms_.store(next, std::memory_order_relaxed);
    }
  }
  Change(const Change&) = delete;
  Change& operator=(const Change&) = delete;

 private:
  Shard& shard_;
  const size_t db_;
  const Table& table_;
  const size_t bytes_, index_bytes_;
  const int64_t next_expire_ms_;
};

Shard::Shard(uint32_t index, int shard_bits, int databases, LazyFreer& freer, const MemorySettings& settings,
             Totals& totals)
    : index_(index), shard_bits_(shard_bits), freer_(freer), settings_(settings), totals_(totals), random_(index),
      tables_(static_cast<size_t>(databases)),
      counts_(std::make_unique<Counts[]>(static_cast<size_t>(databases))) {}

Shard::~Shard() = default;

Table& Shard::NewTable(int db) {
  std::shared_ptr<Table>& slot = tables_[static_cast<size_t>(db)];
  slot = std::make_shared<Table>(shard_bits_, freer_);
  used_bytes_.store(used_bytes() + slot->used_bytes(), std::memory_order_relaxed);
  index_bytes_.store(index_bytes() + slot->index_bytes(), std::memory_order_relaxed);
  return *slot;
}

// ---- Reading -------------------------------------------------------------------------------------------------

const Entry* Shard::Peek(int db, std::string_view key, uint64_t hash, int64_t now_ms, View view) const {
  const Table* t = table(db);
  if (t == nullptr) return nullptr;
  const Entry* entry = t->Find(key, hash);
  return entry == nullptr || (view == View::kNormal && entry->ExpiredAt(now_ms)) ? nullptr : entry;
}

uint32_t Shard::TouchedLfu(uint32_t bits, int64_t now_ms) {
  random_ = HashFold(random_ + 0x9e3779b97f4a7c15, 0xd1b54a32d192ed03 ^ random_);
  return LfuTouched(bits, now_ms, settings_.lfu(), random_);
}

// ---- Writing -------------------------------------------------------------------------------------------------

void Shard::NoteExpired(int db, std::string_view key) {
  totals_.expired_keys.fetch_add(1, std::memory_order_relaxed);
  if (expiry_sink_ != nullptr) expiry_sink_->OnExpired(db, key);
}

void Shard::NoteFieldExpired(int db, std::string_view key, std::string_view field) {
  CountExpiredFields(1);
  if (expiry_sink_ != nullptr) expiry_sink_->OnFieldExpired(db, key, field);
}

Entry* Shard::ExpireFieldsOf(int db, std::string_view key, uint64_t hash, Entry& entry, int64_t now_ms) {
  if (NextFieldExpiry(entry.type(), entry.encoding(), entry.rep()) >= now_ms) return &entry;
  bool gone = false;
  size_t removed = 0;
  {
    Edit<types::Hash> edit(*this, db, key, hash, entry, now_ms);
    while (edit->next_expire_ms() < now_ms) {
      removed += edit->ExpireFields(now_ms, Table::kFieldsAStep,
                                    [&](std::string_view field) { NoteFieldExpired(db, key, field); });
    }
    if (removed == 0) edit.NothingChanged();
    gone = edit->Size() == 0;
  }
  if (removed > 0) NoteFieldsExpired(db, key, gone);
  return gone ? nullptr : &entry;
}

bool Shard::EraseIfExpired(int db, std::string_view key, uint64_t hash, int64_t now_ms) {
  Table* t = table(db);
  if (t == nullptr) return false;
  const Table::Place place = t->Locate(key, hash);
  if (!place || !place.entry->ExpiredAt(now_ms)) return false;
  NoteExpired(db, key);
  MarkWatchers(db, key, hash, true, true);  // before the erasure: `key` may be a view of the entry's own
  Change change(*this, db, *t);
  t->Erase(place, hash, settings_.lazy_expire.load(std::memory_order_relaxed) ? Freeing::kLazy : Freeing::kInline);
  return true;
}

Entry* Shard::Set(int db, std::string_view key, uint64_t hash, std::string_view value, int64_t now_ms,
                  const SetOptions& options) {
  Table& t = TableForWrite(db);
  Entry* entry;
  const Table::Place place = t.Locate(key, hash);
  // In place, without anything that is counted: the figures stay as they are.
  const bool no_expire = options.expire_ms == kNoExpire || options.keep_expire;
  const uint32_t access = AccessBits(place.entry, now_ms);
  if (place && no_expire && t.Overwrite(place, hash, value, options.hint, access)) {
    MarkWatchers(db, key, hash, false);
    return place.entry;
  }
  {
    Change change(*this, db, t);
    int64_t expire_ms = options.expire_ms;
    if (options.keep_expire) expire_ms = place ? place.entry->expire_ms() : kNoExpire;
    entry = t.Set(place, key, hash, value, expire_ms, options.hint, access);
  }
  MarkWatchers(db, entry->key(), hash, false);
  return entry;
}

std::span<char> Shard::Resize(int db, std::string_view key, uint64_t hash, size_t value_bytes, int64_t now_ms,
                              StringHint hint) {
  Table& t = TableForWrite(db);
  Entry* entry;
  {
    Change change(*this, db, t);
    const Table::Place place = t.Locate(key, hash);
    entry = t.Resize(place, key, hash, value_bytes, hint, AccessBits(place.entry, now_ms));
  }
  MarkWatchers(db, entry->key(), hash, false);
  return Table::ValueOf(*entry);
}

bool Shard::SetCollection(int db, std::string_view key, uint64_t hash, Collection value, int64_t now_ms) {
  if (!value.MayBeStored()) return Erase(db, key, hash);
  StoredValue stored;
  stored.collection = std::move(value);
  Put(db, key, hash, std::move(stored), now_ms);
  return true;
}

Collection Shard::OpenEdit(int db, Entry& entry, uint64_t hash) {
  return table(db)->OpenValue(entry, hash);
}

void Shard::CloseEdit(int db, std::string_view key, uint64_t hash, Entry* entry, Collection value, size_t old_bytes,
                      bool changed, int64_t now_ms) {
  if (entry == nullptr) {
    if (changed && value.MayBeStored()) SetCollection(db, key, hash, std::move(value), now_ms);
    return;
  }
  const bool gone = !value.MayBeStored();
  if (changed) MarkWatchers(db, key, hash, gone);  // before an erasure: `key` may be a view of the entry's own
  Table& t = *table(db);
  Change change(*this, db, t);
  t.CloseValue(*entry, hash, std::move(value), old_bytes);
  if (!gone) return;
  const Table::Place place = t.Locate(key, hash);
  CHECK(place.entry == entry && changed);
  t.Erase(place, hash, Freeing::kInline);
}

bool Shard::Erase(int db, std::string_view key, uint64_t hash, Freeing freeing) {
  Table* t = table(db);
  if (t == nullptr) return false;
  const Table::Place place = t->Locate(key, hash);
  if (!place) return false;
  MarkWatchers(db, key, hash, true);  // before the erasure: `key` may be a view of the entry's own
  Change change(*this, db, *t);
  t->Erase(place, hash, freeing);
  return true;
}

bool Shard::SetExpire(int db, std::string_view key, uint64_t hash, int64_t expire_ms) {
  CHECK(expire_ms != kNoExpire);
  Table* t = table(db);
  if (t == nullptr) return false;
  const Table::Place place = t->Locate(key, hash);
  if (!place) return false;
  MarkWatchers(db, key, hash, false);
  Change change(*this, db, *t);
  t->SetExpire(place, hash, expire_ms);
  return true;
}

bool Shard::Persist(int db, std::string_view key, uint64_t hash) {
  Table* t = table(db);
  if (t == nullptr) return false;
  const Table::Place place = t->Locate(key, hash);
  if (!place || !place.entry->has_expire()) return false;
  MarkWatchers(db, key, hash, false);
  Change change(*this, db, *t);
  t->SetExpire(place, hash, kNoExpire);
  return true;
}

// ---- Moving values -------------------------------------------------------------------------------------------

std::optional<StoredValue> Shard::Copy(int db, std::string_view key, uint64_t hash, int64_t now_ms) const {
  const Table* t = table(db);
  const Entry* entry = t == nullptr ? nullptr : t->Find(key, hash);
  if (entry == nullptr) return std::nullopt;
  StoredValue value;
  value.expire_ms = entry->expire_ms();
  if (!lfu_.load(std::memory_order_relaxed)) value.idle_seconds = entry->IdleSeconds(now_ms);
  if (!entry->is_string()) {
    value.collection = CloneCollection(*entry);
    return value;
  }
  value.hint = entry->string_hint();
  if (entry->external()) {
    value.blob = BlobRef::Share(entry->blob());
  } else {
    value.bytes = entry->value();
  }
  return value;
}

std::optional<StoredValue> Shard::Take(int db, std::string_view key, uint64_t hash, int64_t now_ms) {
  Table* t = table(db);
  const Table::Place place = t == nullptr ? Table::Place{} : t->Locate(key, hash);
  if (!place) return std::nullopt;
  if (place.entry->is_string()) {
    std::optional<StoredValue> value = Copy(db, key, hash, now_ms);
    Erase(db, key, hash);
    return value;
  }
  StoredValue value;
  value.expire_ms = place.entry->expire_ms();
  if (!lfu_.load(std::memory_order_relaxed)) value.idle_seconds = place.entry->IdleSeconds(now_ms);
  MarkWatchers(db, key, hash, true);
  Change change(*this, db, *t);
  value.collection = t->Take(place, hash);
  return value;
}

Entry* Shard::Put(int db, std::string_view key, uint64_t hash, StoredValue value, int64_t now_ms) {
  Table& t = TableForWrite(db);
  Entry* entry;
  {
    Change change(*this, db, t);
    const Table::Place place = t.Locate(key, hash);
    const bool counted = value.frequency && lfu_.load(std::memory_order_relaxed);
    const uint32_t access = counted ? LfuBits(now_ms, *value.frequency)
                                    : AccessBits(place.entry, now_ms, value.idle_seconds);
    if (value.collection) {
      entry = t.SetCollection(place, key, hash, std::move(value.collection), value.expire_ms, access);
    } else if (value.blob && value.blob.view().size() >= kBlobMinBytes) {
      entry = t.SetBlob(place, key, hash, value.blob.Release(), value.expire_ms, value.hint, access);
    } else {
      entry = t.Set(place, key, hash, value.view(), value.expire_ms, value.hint, access);
    }
  }
  MarkWatchers(db, entry->key(), hash, false);
  return entry;
}

// ---- WATCH ---------------------------------------------------------------------------------------------------

void Shard::Watch(WatchedKey& watched, int64_t now_ms) {
  CHECK((watched.dirty != nullptr) != (watched.sink != nullptr));
  const Table* t = table(watched.db);
  const Entry* entry = t == nullptr ? nullptr : t->Find(watched.key, watched.hash);
  watched.was_expired = entry != nullptr && entry->ExpiredAt(now_ms);
  watchers_[watched.hash].push_back(&watched);
  told_ = true;
}

void Shard::Unwatch(WatchedKey& watched) {
  const auto it = watchers_.find(watched.hash);
  CHECK(it != watchers_.end());
  CHECK(std::erase(it->second, &watched) == 1);
  if (it->second.empty()) watchers_.erase(it);
  told_ = tells_ || !watchers_.empty();
}

bool Shard::IsWatchedBy(const std::atomic<bool>& dirty, int db, std::string_view key, uint64_t hash) const {
  const auto it = watchers_.find(hash);
  if (it == watchers_.end()) return false;
  return std::any_of(it->second.begin(), it->second.end(), [&](const WatchedKey* watched) {
    return watched->dirty == &dirty && watched->db == db && watched->key == key;
  });
}

bool Shard::WatchedKeyExpired(const WatchedKey& watched, int64_t now_ms) const {
  if (watched.was_expired) return false;
  const Table* t = table(watched.db);
  const Entry* entry = t == nullptr ? nullptr : t->Find(watched.key, watched.hash);
  return entry != nullptr && entry->ExpiredAt(now_ms);
}

namespace {

void Tell(WatchedKey& watched) {
  if (watched.sink != nullptr) return watched.sink->OnChanged(watched);
  watched.dirty->store(true, std::memory_order_relaxed);
}

}  // namespace

void Shard::MarkWatchersOf(int db, std::string_view key, uint64_t hash, bool now_absent, bool by_itself) {
  if (tells_) listener_->OnKeyChanged(*this, key, by_itself);
  const auto it = watchers_.find(hash);
  if (it == watchers_.end()) return;
  for (WatchedKey* watched : it->second) {
    if (watched->db != db || watched->key != key) continue;
    // It was as good as gone when it was watched; that it is gone now changes nothing (as in Redis).
    if (watched->was_expired && now_absent) {
      watched->was_expired = false;
      continue;
    }
    Tell(*watched);
  }
}

void Shard::MarkWatchersOfDb(int db, const Table* before, const Table* after, int64_t now_ms) {
  for (auto& [hash, list] : watchers_) {
    for (WatchedKey* watched : list) {
      if (watched->db != db) continue;
      const bool was = before != nullptr && before->Find(watched->key, hash) != nullptr;
      const Entry* now = after == nullptr ? nullptr : after->Find(watched->key, hash);
      // A key that has expired is as good as none, before and after; whoever watches is told no difference (as in Redis).
      const bool now_expired = now != nullptr && now->ExpiredAt(now_ms);
      if (watched->was_expired && was && (now == nullptr || now_expired)) {
        watched->was_expired = now_expired;
      } else if (!was && now_expired) {
        watched->was_expired = true;
      } else if (was || now != nullptr) {
        Tell(*watched);
      }
    }
  }
}

// ---- Walking -------------------------------------------------------------------------------------------------

uint64_t Shard::ScanStep(int db, uint64_t cursor, FunctionRef<void(const Entry&)> fn) const {
  const uint64_t next_shard = uint64_t{index_ + 1} << (48 - shard_bits_);
  const uint64_t end = next_shard == uint64_t{1} << 48 ? 0 : next_shard;
  const Table* t = table(db);
  if (t == nullptr) return end;
  const uint64_t local = t->ScanBucket(cursor << 16 << shard_bits_, fn);
  if (local == 0) return end;
  return (uint64_t{index_} << (48 - shard_bits_)) | local >> shard_bits_ >> 16;
}

const Entry* Shard::RandomEntry(int db, uint64_t random) const {
  const Table* t = table(db);
  return t == nullptr ? nullptr : t->RandomEntry(random);
}

// ---- Expiry --------------------------------------------------------------------------------------------------

size_t Shard::ExpireStep(int64_t now_ms, size_t max_entries) {
  size_t removed = 0;
  size_t looked_at = 0;
  for (size_t db = 0; db < tables_.size() && looked_at < max_entries; ++db) {
    Table* t = tables_[db].get();
    while (t != nullptr && looked_at < max_entries && t->next_expire_ms() < now_ms) {
      Change change(*this, static_cast<int>(db), *t);
      const bool lazy = settings_.lazy_expire.load(std::memory_order_relaxed);
      const auto mark = [&](const Entry& entry, bool now_absent) {
        if (!told_) return;
        MarkWatchers(static_cast<int>(db), entry.key(), HashKey(entry.key()), now_absent, true);
      };
      size_t fields = 0;  // of the hash that is being looked at
      looked_at += t->ExpireSegment(
          now_ms, lazy ? Freeing::kLazy : Freeing::kInline,
          [&](const Entry& entry) {
            ++removed;
            NoteExpired(static_cast<int>(db), entry.key());
            mark(entry, true);
          },
          [&](const Entry& entry, std::string_view field) {
            ++fields;
            NoteFieldExpired(static_cast<int>(db), entry.key(), field);
            mark(entry, false);
          },
          [&](const Entry& entry, bool gone) {
            if (fields > 0) NoteFieldsExpired(static_cast<int>(db), entry.key(), gone);
            fields = 0;
          });
    }
  }
  return removed;
}

// ---- Eviction ------------------------------------------------------------------------------------------------

void Shard::Sample(int db, uint64_t random, size_t wanted, bool with_expire,
                   FunctionRef<void(const Entry&)> fn) const {
  if (const Table* t = table(db); t != nullptr) t->Sample(random, wanted, with_expire, fn);
}

size_t Shard::Evict(int db, std::string_view key, uint64_t hash) {
  Table* t = table(db);
  if (t == nullptr) return 0;
  const Table::Place place = t->Locate(key, hash);
  if (!place) return 0;
  totals_.evicted_keys.fetch_add(1, std::memory_order_relaxed);
  if (expiry_sink_ != nullptr) expiry_sink_->OnEvicted(db, key);
  MarkWatchers(db, key, hash, true, true);  // before the erasure: `key` may be a view of the entry's own
  const size_t entry_bytes = place.entry->AllocatedBytes();
  Change change(*this, db, *t);
  t->Erase(place, hash, settings_.lazy_eviction.load(std::memory_order_relaxed) ? Freeing::kLazy : Freeing::kInline);
  return entry_bytes;
}

// ---- Databases -----------------------------------------------------------------------------------------------

void Shard::FlushDb(int db, Freeing freeing) {
  std::shared_ptr<Table>& slot = tables_[static_cast<size_t>(db)];
  if (slot == nullptr) return;
  MarkWatchersOfDb(db, slot.get(), nullptr, 0);
  if (freeing == Freeing::kLazy) freer_.Add(std::move(slot));
  slot = nullptr;
  PublishAll();
}

void Shard::SwapDb(int a, int b, int64_t now_ms) {
  MarkWatchersOfDb(a, table(a), table(b), now_ms);
  MarkWatchersOfDb(b, table(b), table(a), now_ms);
  std::swap(tables_[static_cast<size_t>(a)], tables_[static_cast<size_t>(b)]);
  PublishAll();
}

size_t Shard::free_bytes() const {
  size_t bytes = 0;
  for (const auto& table : tables_) {
    if (table != nullptr) bytes += table->free_bytes();
  }
  return bytes;
}

void Shard::PublishAll() {
  size_t used = 0, index = 0;
  int64_t next = INT64_MAX;
  for (size_t db = 0; db < tables_.size(); ++db) {
    const Table* t = tables_[db].get();
    counts_[db].Publish(t);
    if (t == nullptr) continue;
    used += t->used_bytes();
    index += t->index_bytes();
    next = std::min(next, t->next_expire_ms());
  }
  used_bytes_.store(used, std::memory_order_relaxed);
  index_bytes_.store(index, std::memory_order_relaxed);
  next_expire_ms_.store(next, std::memory_order_relaxed);
}

void Shard::Validate() const {
  size_t used = 0, index = 0;
  int64_t next = INT64_MAX;
  for (size_t db = 0; db < tables_.size(); ++db) {
    const Table* t = tables_[db].get();
    CHECK(Size(static_cast<int>(db)) == (t == nullptr ? 0 : t->size()));
    CHECK(ExpireCount(static_cast<int>(db)) == (t == nullptr ? 0 : t->expires()));
    CHECK(ExpiringHashes(static_cast<int>(db)) == (t == nullptr ? 0 : t->expiring_hashes()));
    if (t == nullptr) continue;
    t->Validate(index_);
    used += t->used_bytes();
    index += t->index_bytes();
    next = std::min(next, t->next_expire_ms());
  }
  CHECK(used == used_bytes() && index == index_bytes());
  CHECK(next == next_expire_ms());
}

}  // namespace understudy::store
