// Edit: how a command changes a hash, a list, a set, a sorted set or a stream.
//
//   store::Edit<types::Hash> hash(shard, db, key, key_hash, entry, now_ms);
//   hash->Set(field, value, ...);
//
// As long as it lives the value belongs to it, and reads of the entry are a CHECK failure. In its destructor the value
// goes back: its encoding and its bytes are noted, those who WATCH the key are told, a key without
// elements is removed, but not a stream's.
// Running snapshots have got the old state when it is opened.
//
// Needs the shard's lock from begin to end. Several may be open at once, on different keys. Between opening and the end
// the key is not touched in any other way.
#pragma once

#include <string_view>
#include <utility>

#include "node/store/shard.h"

namespace understudy::store {

template <typename T>
class Edit {
 public:
  // entry: what FindForWrite gave for that key; it holds a T (CHECK).
  Edit(Shard& shard, int db, std::string_view key, uint64_t hash, Entry& entry, int64_t now_ms)
      : shard_(shard), db_(db), key_(key), hash_(hash), now_ms_(now_ms), entry_(&entry),
        value_(Adopt(shard.OpenEdit(db, entry, hash))), old_bytes_(value_.AllocatedBytes()) {}
  // entry: null if there is no such key. Then `make` gives an empty value, with which the key is made if it has
  // elements at the end, or is a stream.
  template <typename Make>
  Edit(Shard& shard, int db, std::string_view key, uint64_t hash, Entry* entry, int64_t now_ms, Make make)
      : shard_(shard), db_(db), key_(key), hash_(hash), now_ms_(now_ms), entry_(entry),
        value_(entry != nullptr ? Adopt(shard.OpenEdit(db, *entry, hash)) : make()),
        old_bytes_(value_.AllocatedBytes()) {}
  ~Edit() {
    shard_.CloseEdit(db_, key_, hash_, entry_, Collection(std::move(value_)), old_bytes_, changed_, now_ms_);
  }
  Edit(const Edit&) = delete;
  Edit& operator=(const Edit&) = delete;

  T& operator*() { return value_; }
  T* operator->() { return &value_; }
  bool is_new() const { return entry_ == nullptr; }

  // The command has found nothing to change: nobody is told. (The representation may be another one all the same.)
  void NothingChanged() { changed_ = false; }

 private:
  static T Adopt(Collection value) {
    CHECK(value.type() == kTypeOf<T>);
    const types::Encoding encoding = value.encoding();
    return T::Adopt(encoding, value.Release());
  }

  Shard& shard_;
  const int db_;
  const std::string_view key_;
  const uint64_t hash_;
  const int64_t now_ms_;
  Entry* const entry_;
  bool changed_ = true;
  T value_;
  const size_t old_bytes_;
};

}  // namespace understudy::store
