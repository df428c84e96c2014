// Entry: one key with its value, in one allocation.
//
// Memory per key is what a cache is paid for, so a string key is a single block: header, optional TTL, key,
// value. Only values of kBlobMinBytes and more live outside, in a Blob with a reference count: a snapshot or
// a copy of the key then shares it, and whoever changes a shared Blob copies it first. Hashes, lists, sets,
// sorted sets and streams hang on one pointer, and two bits say what it leads to (types/encoding.h).
//
//   byte 0    1..3            4        5..7
//   +---------+---------------+--------+---------------+--------+---------+-----+------------------+
//   | type,   | how it was    | key    | value bytes   | expire | key     | key | value; or Blob*  |
//   | flags   | used:         | bytes  | (24 bits;     | ms: 8, | bytes:  |     | if kExternal; or |
//   |         | access.h      | or 255 | 0 if pointer) | if TTL | 4, if   |     | a collection's   |
//   |         |               |        |               |        | 255     |     | pointer          |
//   +---------+---------------+--------+---------------+--------+---------+-----+------------------+
//
// Threads: everything here is guarded by the lock of the shard that holds the key. Views into an entry are
// valid until the next mutation of that key or until the lock is given up. Only a Shard changes entries.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "common/canonical_int.h"
#include "common/check.h"
#include "node/store/access.h"
#include "node/types/borrowed.h"

namespace understudy::types {
class Hash;
class List;
class Set;
class SortedSet;
class Stream;
}  // namespace understudy::types

namespace understudy::store {

// Expiry times are Unix milliseconds; this one means that the key has none.
inline constexpr int64_t kNoExpire = INT64_MIN;
// Values this large live in a Blob.
inline constexpr size_t kBlobMinBytes = 16 * 1024;
// Longest key and longest string value (Redis's proto-max-bulk-len is 512 MiB).
inline constexpr size_t kMaxKeyBytes = 512u << 20;
inline constexpr size_t kMaxValueBytes = 512u << 20;

// What a key holds. Part of the entry's header: 4 bits.
enum class Type : uint8_t { kString = 0, kList = 1, kSet = 2, kSortedSet = 3, kHash = 4, kStream = 5 };
std::string_view TypeName(Type type);  // "string", "list", "set", "zset", "hash", "stream", as TYPE answers

// Of the class of a collection.
template <typename T>
struct TypeOf;
template <>
struct TypeOf<types::List> { static constexpr Type kType = Type::kList; };
template <>
struct TypeOf<types::Set> { static constexpr Type kType = Type::kSet; };
template <>
struct TypeOf<types::SortedSet> { static constexpr Type kType = Type::kSortedSet; };
template <>
struct TypeOf<types::Hash> { static constexpr Type kType = Type::kHash; };
template <>
struct TypeOf<types::Stream> { static constexpr Type kType = Type::kStream; };
template <typename T>
inline constexpr Type kTypeOf = TypeOf<T>::kType;

// How OBJECT ENCODING names a string. Redis's answer depends on how the value came to be, so two bits of
// history are kept.
enum class StringHint : uint8_t {
  kAuto = 0,     // set as a whole: int if it is a canonical 64-bit integer, else embstr to 44 bytes, else raw
  kRaw = 1,      // changed in place (APPEND, SETRANGE, SETBIT): raw
  kNotInt = 2,   // result of INCRBYFLOAT: embstr to 44 bytes, else raw
};

// A large value. Immutable while more than one holder has it.
class Blob {
 public:
  static Blob* New(size_t size, size_t capacity);  // contents not initialised
  void Ref() { refs_.fetch_add(1, std::memory_order_relaxed); }
  void Unref();
  bool shared() const { return refs_.load(std::memory_order_acquire) > 1; }
  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  void set_size(size_t size) { size_ = size; }
  char* data() { return reinterpret_cast<char*>(this + 1); }
  const char* data() const { return reinterpret_cast<const char*>(this + 1); }
  std::string_view view() const { return {data(), size_}; }
  size_t allocated_bytes() const;

 private:
  Blob(size_t size, size_t capacity) : size_(size), capacity_(capacity) {}
  std::atomic<uint32_t> refs_{1};
  size_t size_;
  size_t capacity_;
};

// Holds one reference to a Blob. May outlive the lock, and be given up on any thread.
class BlobRef {
 public:
  BlobRef() = default;
  static BlobRef Share(Blob* blob) { blob->Ref(); return BlobRef(blob); }
  static BlobRef Adopt(Blob* blob) { return BlobRef(blob); }
  BlobRef(const BlobRef& other) : blob_(other.blob_) { if (blob_) blob_->Ref(); }
  BlobRef(BlobRef&& other) noexcept : blob_(std::exchange(other.blob_, nullptr)) {}
  BlobRef& operator=(BlobRef other) noexcept { std::swap(blob_, other.blob_); return *this; }
  ~BlobRef() { if (blob_) blob_->Unref(); }
  explicit operator bool() const { return blob_ != nullptr; }
  Blob* get() const { return blob_; }
  Blob* Release() { return std::exchange(blob_, nullptr); }
  std::string_view view() const { return blob_ ? blob_->view() : std::string_view(); }

 private:
  explicit BlobRef(Blob* blob) : blob_(blob) {}
  Blob* blob_ = nullptr;
};

// Keys are short: comparing them here costs less than a call would.
inline bool SameBytes(const char* a, const char* b, size_t n) {
  const auto differ = [](const char* x, const char* y) {
    uint64_t u, v;
    std::memcpy(&u, x, sizeof u);
    std::memcpy(&v, y, sizeof v);
    return u ^ v;
  };
  if (n >= 8 && n <= 64) [[likely]] {
    uint64_t difference = differ(a + n - 8, b + n - 8);
    for (; n > 8; n -= 8, a += 8, b += 8) difference |= differ(a, b);
    return difference == 0;
  }
  return n == 0 || std::memcmp(a, b, n) == 0;
}

class Entry {
 public:
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  Type type() const { return static_cast<Type>(meta_ & kTypeBits); }
  bool is_string() const { return (meta_ & kTypeBits) == 0; }
  StringHint string_hint() const { return static_cast<StringHint>((meta_ >> 4) & 3); }
  bool has_expire() const { return (meta_ & kHasExpire) != 0; }
  bool external() const { return (meta_ & kExternal) != 0; }
  int64_t expire_ms() const {
    if (!has_expire()) return kNoExpire;
    int64_t at;
    std::memcpy(&at, bytes() + kHeaderBytes, sizeof at);
    return at;
  }
  // The key still lives in the millisecond of its expiry time, as in Redis.
  bool ExpiredAt(int64_t now_ms) const { return has_expire() && now_ms > expire_ms(); }

  std::string_view key() const {
    const char* p = bytes() + kHeaderBytes + (has_expire() ? 8 : 0);
    if (key_bytes_ < 255) [[likely]] return {p, key_bytes_};
    uint32_t n;
    std::memcpy(&n, p, sizeof n);
    return {p + sizeof n, n};
  }
  bool HasKey(std::string_view name) const {
    const std::string_view k = key();
    return k.size() == name.size() && SameBytes(k.data(), name.data(), name.size());
  }
  // The string value; empty if it is no string.
  std::string_view value() const {
    const std::string_view k = key();
    const char* p = k.data() + k.size();
    if (!external()) [[likely]] return {p, embedded_value_bytes()};
    return blob()->view();
  }
  // nullptr unless external().
  Blob* blob() const {
    if (!external()) return nullptr;
    const std::string_view k = key();
    Blob* b;
    std::memcpy(&b, k.data() + k.size(), sizeof b);
    return b;
  }

  // A collection, as what it is: entry->As<types::Hash>()->Find(...). Its type must be that (CHECK), and it must not
  // be open for an edit.
  template <typename T>
  types::Borrowed<T> As() const {
    CHECK(type() == kTypeOf<T>);
    void* const pointer = rep();
    CHECK(pointer != nullptr);
    return types::Borrowed<T>(encoding(), pointer);
  }
  // Of a collection: what its pointer leads to, and the pointer (null while it is open for an edit).
  types::Encoding encoding() const { return static_cast<types::Encoding>(meta_ >> 4 & 3); }
  void* rep() const {
    const std::string_view k = key();
    void* pointer;
    std::memcpy(&pointer, k.data() + k.size(), sizeof pointer);
    return pointer;
  }

  // Begins to fetch the beginning of a collection: all of one with ten short elements. Reads the entry.
  [[gnu::always_inline]] void PrefetchCollection() const {
    if ((meta_ & kTypeBits) == 0) return;
    const auto* value = static_cast<const char*>(rep());
    __builtin_prefetch(value);
    __builtin_prefetch(value + 64);
    __builtin_prefetch(value + 128);
  }

  // Seconds since the last access that was not a Peek, for OBJECT IDLETIME; not under an LFU policy.
  uint32_t IdleSeconds(int64_t now_ms) const { return LruIdleSeconds(access_bits(), now_ms); }
  // What they mean: access.h.
  uint32_t access_bits() const {
    return static_cast<uint32_t>(access_[0] | access_[1] << 8 | access_[2] << 16);
  }
  // "int", "embstr", "raw", "listpack" ..., as OBJECT ENCODING answers.
  std::string_view EncodingName() const;
  // Bytes of the block and of what it points to. O(1). MEMORY USAGE adds kSlotBytes for the table.
  size_t AllocatedBytes() const;
  static constexpr size_t kSlotBytes = 12;  // 64 bytes for 7 slots that are filled to 83 %, and gaps between buckets

 private:
  friend class Table;

  static constexpr size_t kHeaderBytes = 8;
  static constexpr uint8_t kTypeBits = 0x0f;
  static constexpr uint8_t kHasExpire = 0x40;
  static constexpr uint8_t kExternal = 0x80;

  Entry() = default;
  // Bytes of a block whose embedded value (or Blob pointer) takes tail_bytes.
  static size_t BytesFor(size_t key_bytes, bool has_expire, size_t tail_bytes) {
    return kHeaderBytes + (has_expire ? 8 : 0) + (key_bytes >= 255 ? 4 : 0) + key_bytes + tail_bytes;
  }
  size_t BlockBytes() const;
  // A Blob or a collection: the value lies outside.
  bool has_pointer() const { return (meta_ & (kExternal | kTypeBits)) != 0; }
  // An embedded string without TTL.
  bool is_plain() const { return (meta_ & (kExternal | kHasExpire | kTypeBits)) == 0; }
  size_t tail_bytes() const { return has_pointer() ? sizeof(void*) : embedded_value_bytes(); }
  const char* bytes() const { return reinterpret_cast<const char*>(this); }
  char* bytes() { return reinterpret_cast<char*>(this); }
  char* mutable_value() {
    const std::string_view k = key();
    return const_cast<char*>(k.data()) + k.size();
  }
  uint32_t embedded_value_bytes() const {
    return static_cast<uint32_t>(value_[0] | value_[1] << 8 | value_[2] << 16);
  }
  void set_embedded_value_bytes(uint32_t n) {
    value_[0] = static_cast<uint8_t>(n);
    value_[1] = static_cast<uint8_t>(n >> 8);
    value_[2] = static_cast<uint8_t>(n >> 16);
  }
  // Type, flags and access bits in one load.
  bool HasAccessBits(uint32_t bits) const {
    uint32_t word;
    std::memcpy(&word, this, sizeof word);
    return word >> 8 == bits;
  }
  void set_access_bits(uint32_t bits) {
    access_[0] = static_cast<uint8_t>(bits);
    access_[1] = static_cast<uint8_t>(bits >> 8);
    access_[2] = static_cast<uint8_t>(bits >> 16);
  }
  void set_expire_ms(int64_t at) { std::memcpy(bytes() + kHeaderBytes, &at, sizeof at); }
  void set_rep(types::Encoding encoding, void* pointer) {
    meta_ = static_cast<uint8_t>((meta_ & ~0x30) | static_cast<uint8_t>(encoding) << 4);
    std::memcpy(mutable_value(), &pointer, sizeof pointer);
  }
  void set_hint(StringHint hint) {
    meta_ = static_cast<uint8_t>((meta_ & ~0x30) | static_cast<uint8_t>(hint) << 4);
  }

  uint8_t meta_;       // bits 0-3 type, 4-5 a string's hint or a collection's encoding, 6 has TTL, 7 external
  uint8_t access_[3];  // little-endian; see access.h
  uint8_t key_bytes_;  // 255: a 4-byte length precedes the key
  uint8_t value_[3];   // little-endian length; 0 if it has a pointer
};
static_assert(sizeof(Entry) == 8, "the header is 8 bytes: memory per key is a promise");

using understudy::ParseCanonicalInt;

}  // namespace understudy::store
