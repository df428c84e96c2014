// Values of the table: entries made, changed in place, replaced, freed.
#include <algorithm>
#include <cstring>
#include <new>

#include "common/check.h"
#include "node/store/lazy_freer.h"
#include "node/store/table.h"
#include "node/store/table_bits.h"
#include "node/types/hash_field.h"

namespace understudy::store {

namespace {

constexpr uint8_t StringKind(StringHint hint) { return static_cast<uint8_t>(static_cast<uint8_t>(hint) << 4); }

}  // namespace

Entry* Table::NewEntry(std::string_view key, int64_t expire_ms, size_t tail_bytes, uint8_t kind, uint32_t access) {
  CHECK(key.size() <= kMaxKeyBytes);
  const bool has_expire = expire_ms != kNoExpire;
  void* memory = heap_.Allocate(Entry::BytesFor(key.size(), has_expire, tail_bytes));
  CHECK((reinterpret_cast<uint64_t>(memory) & ~kPointerMask) == 0);
  auto* entry = new (memory) Entry;
  entry->meta_ = static_cast<uint8_t>((has_expire ? Entry::kHasExpire : 0) | kind);
  entry->set_access_bits(access);
  entry->set_embedded_value_bytes(entry->has_pointer() ? 0 : static_cast<uint32_t>(tail_bytes));
  char* p = entry->bytes() + Entry::kHeaderBytes;
  if (has_expire) {
    entry->set_expire_ms(expire_ms);
    p += sizeof expire_ms;
  }
  if (key.size() >= 255) {
    entry->key_bytes_ = 255;
    const auto n = static_cast<uint32_t>(key.size());
    std::memcpy(p, &n, sizeof n);
    p += sizeof n;
  } else {
    entry->key_bytes_ = static_cast<uint8_t>(key.size());
  }
  if (!key.empty()) std::memcpy(p, key.data(), key.size());
  return entry;
}

void Table::DropOutside(Entry& entry, Freeing freeing) {
  if (!entry.is_string()) {
    if (entry.rep() == nullptr) return;  // it was taken
    Collection value = Detach(entry);
    if (freeing == Freeing::kLazy && value.FreeEffort() > LazyFreer::kMinEffort &&
        freer_->HasRoomFor(value.AllocatedBytes())) {
      freer_->Add(std::move(value));
    }
    return;
  }
  Blob* blob = entry.blob();
  --outside_count_;
  outside_bytes_ -= blob->allocated_bytes();
  if (freeing == Freeing::kLazy && blob->capacity() >= LazyFreer::kMinBytes && !blob->shared() &&
      freer_->HasRoomFor(blob->allocated_bytes())) {
    freer_->Add(BlobRef::Adopt(blob));
  } else {
    blob->Unref();
  }
}

void Table::FreeEntry(Entry* entry, Freeing freeing) {
  if (entry->has_pointer()) DropOutside(*entry, freeing);
  heap_.Free(entry, entry->BlockBytes());
}

std::span<char> Table::ValueOf(Entry& entry) {
  if (Blob* blob = entry.blob(); blob != nullptr) return {blob->data(), blob->size()};
  return {entry.mutable_value(), entry.embedded_value_bytes()};
}

bool Table::Overwrite(const Place& place, uint64_t hash, std::string_view value, StringHint hint, uint32_t access) {
  Entry& entry = *place.entry;
  if (!entry.is_plain() || value.size() >= kBlobMinBytes) return false;
  const size_t old_bytes = entry.embedded_value_bytes();
  if (value.size() != old_bytes) {
    const size_t rest = entry.BlockBytes() - old_bytes;
    if (!EntryHeap::SameClass(&entry, rest + old_bytes, rest + value.size())) return false;
    BeforeChange(*place.segment, hash);
    entry.set_embedded_value_bytes(static_cast<uint32_t>(value.size()));
  } else {
    BeforeChange(*place.segment, hash);
  }
  if (!value.empty()) std::memmove(entry.mutable_value(), value.data(), value.size());
  entry.set_hint(hint);
  entry.set_access_bits(access);
  return true;
}

Entry* Table::Set(const Place& place, std::string_view key, uint64_t hash, std::string_view value,
                  int64_t expire_ms, StringHint hint, uint32_t access) {
  CHECK(value.size() <= kMaxValueBytes);
  const bool external = value.size() >= kBlobMinBytes;
  Entry* old = place.entry;
  if (old != nullptr && old->is_string() && old->external() == external &&
      old->has_expire() == (expire_ms != kNoExpire)) {
    Blob* blob = old->blob();
    const bool fits = external ? !blob->shared() && value.size() <= blob->capacity() &&
                                     blob->capacity() <= 2 * value.size()
                               : EntryHeap::SameClass(old, old->BlockBytes(),
                                                      Entry::BytesFor(key.size(), old->has_expire(), value.size()));
    if (fits) {
      BeforeChange(*place.segment, hash);
      // The pre-image may have shared the Blob.
      if (!external || !blob->shared()) {
        if (external) {
          std::memmove(blob->data(), value.data(), value.size());
          blob->set_size(value.size());
        } else {
          if (!value.empty()) std::memmove(old->mutable_value(), value.data(), value.size());
          old->set_embedded_value_bytes(static_cast<uint32_t>(value.size()));
        }
        old->set_hint(hint);
        old->set_access_bits(access);
        if (old->has_expire()) {
          old->set_expire_ms(expire_ms);
          NoteExpire(*place.segment, expire_ms);
        }
        return old;
      }
    }
  }
  if (external) {
    Blob* blob = Blob::New(value.size(), value.size());
    std::memcpy(blob->data(), value.data(), value.size());
    return SetBlob(place, key, hash, blob, expire_ms, hint, access);
  }
  Entry* entry = NewEntry(key, expire_ms, value.size(), StringKind(hint), access);
  if (!value.empty()) std::memcpy(entry->mutable_value(), value.data(), value.size());
  Put(place, hash, entry);
  return entry;
}

void Table::Put(const Place& place, uint64_t hash, Entry* entry) {
  BeforeChange(SegmentAt(Local(hash)), hash);
  Install(place, hash, entry);
  if (entry->has_expire()) {
    ++expires_;
    NoteExpire(SegmentAt(Local(hash)), entry->expire_ms());
  }
  if (place) {
    if (place.entry->has_expire()) --expires_;
    FreeEntry(place.entry, freer_->OnOverwrite());
  }
}

Entry* Table::SetBlob(const Place& place, std::string_view key, uint64_t hash, Blob* blob, int64_t expire_ms,
                      StringHint hint, uint32_t access) {
  Entry* entry = NewEntry(key, expire_ms, sizeof(Blob*), StringKind(hint) | Entry::kExternal, access);
  std::memcpy(entry->mutable_value(), &blob, sizeof blob);
  ++outside_count_;
  outside_bytes_ += blob->allocated_bytes();
  Put(place, hash, entry);
  return entry;
}

Entry* Table::SetCollection(const Place& place, std::string_view key, uint64_t hash, Collection value,
                            int64_t expire_ms, uint32_t access) {
  Entry* entry = NewEntry(key, expire_ms, sizeof(void*), static_cast<uint8_t>(value.type()), access);
  Attach(*entry, std::move(value));
  Put(place, hash, entry);
  const int64_t due = NextFieldExpiry(entry->type(), entry->encoding(), entry->rep());
  if (due != types::kNoExpire) NoteFieldExpiry(hash, due);
  return entry;
}

Collection Table::Detach(Entry& entry) {
  Collection value(entry.type(), entry.encoding(), entry.rep());
  CHECK(value);  // else it is open for an edit
  entry.set_rep(entry.encoding(), nullptr);
  --outside_count_;
  outside_bytes_ -= value.AllocatedBytes();
  expiring_hashes_ -= value.HasExpiringFields() ? 1 : 0;
  return value;
}

void Table::Attach(Entry& entry, Collection value) {
  ++outside_count_;
  outside_bytes_ += value.AllocatedBytes();
  expiring_hashes_ += value.HasExpiringFields() ? 1 : 0;
  const types::Encoding encoding = value.encoding();
  entry.set_rep(encoding, value.Release());
}

Collection Table::OpenValue(Entry& entry, uint64_t hash) {
  BeforeChange(SegmentAt(Local(hash)), hash);
  CHECK(!entry.is_string());
  Collection value(entry.type(), entry.encoding(), entry.rep());
  CHECK(value);  // else it is open already
  expiring_hashes_ -= value.HasExpiringFields() ? 1 : 0;
  entry.set_rep(entry.encoding(), nullptr);
  return value;
}

void Table::CloseValue(Entry& entry, uint64_t hash, Collection value, size_t old_bytes) {
  CHECK(value.type() == entry.type() && entry.rep() == nullptr);
  outside_bytes_ += value.AllocatedBytes() - old_bytes;
  expiring_hashes_ += value.HasExpiringFields() ? 1 : 0;
  const types::Encoding encoding = value.encoding();
  entry.set_rep(encoding, value.Release());
  const int64_t due = NextFieldExpiry(entry.type(), entry.encoding(), entry.rep());
  if (due != types::kNoExpire) NoteFieldExpiry(hash, due);
}

Entry* Table::Resize(const Place& place, std::string_view key, uint64_t hash, size_t value_bytes, StringHint hint,
                     uint32_t access) {
  CHECK(value_bytes <= kMaxValueBytes);
  Entry* old = place.entry;
  CHECK(old == nullptr || old->is_string());
  const bool external = value_bytes >= kBlobMinBytes;
  const size_t old_bytes = old == nullptr ? 0 : old->value().size();
  const size_t kept = std::min(old_bytes, value_bytes);
  const int64_t expire_ms = old == nullptr ? kNoExpire : old->expire_ms();
  if (old != nullptr && old->external() == external) {
    BeforeChange(*place.segment, hash);
    Blob* blob = old->blob();
    const bool fits = external ? !blob->shared() && value_bytes <= blob->capacity()
                               : EntryHeap::SameClass(old, old->BlockBytes(),
                                                      Entry::BytesFor(key.size(), old->has_expire(), value_bytes));
    if (fits) {
      if (external) {
        blob->set_size(value_bytes);
      } else {
        old->set_embedded_value_bytes(static_cast<uint32_t>(value_bytes));
      }
      const std::span<char> value = ValueOf(*old);
      if (value_bytes > kept) std::memset(value.data() + kept, 0, value_bytes - kept);
      old->set_hint(hint);
      old->set_access_bits(access);
      return old;
    }
  }
  if (!external) {
    // Made with its final length, then filled: Set copies from a view of that length, so go by hand.
    Entry* entry = NewEntry(key, expire_ms, value_bytes, StringKind(hint), access);
    char* value = entry->mutable_value();
    if (kept > 0) std::memcpy(value, old->value().data(), kept);
    if (value_bytes > kept) std::memset(value + kept, 0, value_bytes - kept);
    BeforeChange(SegmentAt(Local(hash)), hash);
    Install(place, hash, entry);
    if (old != nullptr) FreeEntry(old, freer_->OnOverwrite());
    return entry;
  }
  // Room to grow where it has grown before, as repeated APPENDs do: twice to 1 MiB, then 1 MiB.
  const bool grows = old != nullptr && value_bytes > old_bytes;
  const size_t room = !grows ? 0 : std::min<size_t>(value_bytes, 1u << 20);
  Blob* blob = Blob::New(value_bytes, std::min(value_bytes + room, kMaxValueBytes));
  if (kept > 0) std::memcpy(blob->data(), old->value().data(), kept);
  if (value_bytes > kept) std::memset(blob->data() + kept, 0, value_bytes - kept);
  return SetBlob(place, key, hash, blob, expire_ms, hint, access);
}

void Table::SetExpire(const Place& place, uint64_t hash, int64_t expire_ms) {
  Entry* old = place.entry;
  BeforeChange(*place.segment, hash);
  const bool has_expire = expire_ms != kNoExpire;
  if (old->has_expire() == has_expire) {
    if (has_expire) old->set_expire_ms(expire_ms);
  } else {
    const size_t tail_bytes = old->tail_bytes();
    const std::string_view key = old->key();
    Entry* entry = NewEntry(key, expire_ms, tail_bytes, old->meta_ & ~Entry::kHasExpire, old->access_bits());
    std::memcpy(entry->mutable_value(), key.data() + key.size(), tail_bytes);
    Install(place, hash, entry);
    heap_.Free(old, old->BlockBytes());  // what a pointer leads to has moved to the new entry
    expires_ = has_expire ? expires_ + 1 : expires_ - 1;
  }
  if (has_expire) NoteExpire(*place.segment, expire_ms);
}

Collection Table::Take(const Place& place, uint64_t hash) {
  BeforeChange(*place.segment, hash);
  Collection value = Detach(*place.entry);
  Erase(place, hash, Freeing::kInline);
  return value;
}

void Table::Erase(const Place& place, uint64_t hash, Freeing freeing) {
  BeforeChange(*place.segment, hash);
  Entry* entry = place.entry;
  RemoveSlot(*place.segment, place.bucket, place.slot);
  if (entry->has_expire()) --expires_;
  FreeEntry(entry, freeing);
  ShrinkIfSparse(place.segment);
}

}  // namespace understudy::store
