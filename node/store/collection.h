// Collection: a value of any kind but a string, outside of the keyspace: between two keys, on its way in from an RDB
// file or a STORE command, or to the thread that frees it.
//
// Not thread-safe; may go from one thread to another. Destroying a large one takes time in proportion to its elements.
#pragma once

#include <utility>

#include "node/store/entry.h"

namespace understudy::store {

class Collection {
 public:
  Collection() = default;  // none
  // Takes over the representation (T::Release) of a value of that type.
  Collection(Type type, types::Encoding encoding, void* rep) : type_(type), encoding_(encoding), rep_(rep) {}
  // value: a Hash, List, Set, SortedSet or Stream. Taken over.
  template <typename T>
  explicit Collection(T value) : type_(kTypeOf<T>), encoding_(value.encoding()), rep_(value.Release()) {}
  Collection(Collection&& other) noexcept
      : type_(other.type_), encoding_(other.encoding_), rep_(std::exchange(other.rep_, nullptr)) {}
  Collection& operator=(Collection&& other) noexcept {
    std::swap(type_, other.type_);
    std::swap(encoding_, other.encoding_);
    std::swap(rep_, other.rep_);
    return *this;
  }
  ~Collection() {
    if (rep_ != nullptr) Destroy();
  }
  // Gives the representation away; nothing but destruction may follow.
  void* Release() { return std::exchange(rep_, nullptr); }

  explicit operator bool() const { return rep_ != nullptr; }
  Type type() const { return type_; }
  types::Encoding encoding() const { return encoding_; }
  template <typename T>
  types::Borrowed<T> As() const {
    CHECK(rep_ != nullptr && type_ == kTypeOf<T>);
    return types::Borrowed<T>(encoding_, rep_);
  }

  // Elements; fields that expired and were not removed yet count. O(1).
  size_t Size() const;
  // A key may hold it: it has elements, or is a stream, which outlives its entries.
  bool MayBeStored() const { return type_ == Type::kStream || Size() > 0; }
  // O(1).
  size_t AllocatedBytes() const;
  // A hash with fields that have a time. O(1).
  bool HasExpiringFields() const;
  Collection Clone() const;
  // What freeing it takes, in blocks of memory: 1 for compact forms. O(1), of a stream in
  // proportion to its groups. Source: Redis's lazyfreeGetFreeEffort.
  size_t FreeEffort() const;

 private:
  void Destroy();

  Type type_ = Type::kString;
  types::Encoding encoding_ = types::Encoding::kListpack;
  void* rep_ = nullptr;
};

// The same of a collection in an entry. O(1).
size_t CollectionBytes(const Entry& entry);
size_t CollectionSize(const Entry& entry);
Collection CloneCollection(const Entry& entry);
// When the first field of a hash expires, or earlier; types::kNoExpire for none, and for other kinds.
int64_t NextFieldExpiry(Type type, types::Encoding encoding, void* rep);

}  // namespace understudy::store
