// Hash: fields with values; each may have a time at which it expires.
//
// Small ones are a listpack of field, value, field, value, in the order in which they came; larger ones, and all in
// which a field has, or had, a TTL, a table (HashField in dict.h). They become a table when Redis's do, and never a
// listpack again. Compact ones are searched from the front, which is what their limits are for.
//
// Time is handed in: a field that expired before now_ms is not there for anybody, but takes memory, and counts in
// Size(), until ExpireFields or a change of that field removes it. Whoever decides about expiry (a primary) calls
// ExpireFields first; a replica, which waits for the primary's word, only does not see it.
//
// Texts that are handed in must not lie in the hash itself; those that come out are good until the next change.
// Not thread-safe: guarded by the lock of the key's shard. May be handed to another thread to be destroyed: that
// takes time in proportion to its fields. Source: Valkey 9's t_hash.c (behaviour).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "common/function_ref.h"
#include "node/types/encoding.h"
#include "node/types/hash_field.h"
#include "node/types/listpack.h"
#include "node/types/sample.h"

namespace understudy::types {

class Hash {
 public:
  struct Field {
    ListpackValue name;
    ListpackValue value;
    int64_t expire_ms = kNoExpire;
  };
  // For Set: the field keeps the TTL that it has. (kNoExpire: it loses it, as with HSET.)
  static constexpr int64_t kKeepExpire = INT64_MIN;

  Hash();  // empty, a listpack
  // Takes over what Release gave.
  static Hash Adopt(Encoding encoding, void* rep) { return Hash(encoding, rep); }
  // From the bytes of an RDB file or DUMP: none unless they are a listpack of pairs with different fields. A table if
  // it has more than the limit; values may be longer than theirs, as in Redis. May be empty.
  static std::optional<Hash> FromListpack(std::string_view bytes, const Limits& limits);
  Hash(Hash&& other) noexcept : encoding_(other.encoding_), rep_(std::exchange(other.rep_, nullptr)) {}
  Hash& operator=(Hash&& other) noexcept {
    std::swap(encoding_, other.encoding_);
    std::swap(rep_, other.rep_);
    return *this;
  }
  ~Hash();
  // Gives the representation away, to be adopted again; nothing but encoding() and destruction may follow.
  void* Release() { return std::exchange(rep_, nullptr); }

  Encoding encoding() const { return encoding_; }
  // Fields, with those that expired and are not removed yet. O(1).
  size_t Size() const;
  // Without them. O(1) if next_expire_ms() is not before now_ms.
  size_t CountLive(int64_t now_ms) const;
  // O(1).
  size_t AllocatedBytes() const;
  // The bytes of a compact one, as RDB has them.
  std::string_view AsListpack() const { return ListpackView(rep_).AsBytes(); }
  Hash Clone() const;

  std::optional<Field> Find(std::string_view name, int64_t now_ms) const;

  // Becomes a table if these words (fields and values of one command, in turn) would make it one: Redis decides that
  // before it sets the first of them.
  void Expect(std::span<const std::string_view> words, const Limits& limits);
  // True if the field is new. An expired one is. expire_ms: a time, kNoExpire or kKeepExpire.
  bool Set(std::string_view name, std::string_view value, int64_t expire_ms, const Limits& limits, int64_t now_ms);
  // False if there is no such field.
  bool SetExpire(std::string_view name, int64_t expire_ms, int64_t now_ms);
  // False if there was no such field.
  bool Erase(std::string_view name, int64_t now_ms);

  // Is there a field with a time, also one whose time has come?
  bool HasExpiringFields() const { return encoding_ == Encoding::kTable && table().due_elements() > 0; }
  // No field expires earlier; kNoExpire if none ever does. A lower bound: what it announces may be gone.
  int64_t next_expire_ms() const { return encoding_ == Encoding::kTable ? table().next_due() : kNoExpire; }
  // Removes fields that expired before now_ms, at most `limit`, and gives their names to fn. Bounded in time, so
  // repeat while next_expire_ms() is before now_ms. Returns how many it removed.
  size_t ExpireFields(int64_t now_ms, size_t limit, FunctionRef<void(std::string_view)> fn);

  // Fields until fn returns false; then false. fn changes nothing.
  bool ForEach(int64_t now_ms, FunctionRef<bool(const Field&)> fn) const;
  // Gives fn some fields, all of a compact one, and returns the cursor for the next call; 0 begins and ends. Each
  // field that is there from begin to end is given at least once.
  uint64_t Scan(uint64_t cursor, int64_t now_ms, FunctionRef<void(const Field&)> fn) const;
  // A field, each as likely; none if there is none.
  std::optional<Field> Random(uint64_t random, int64_t now_ms) const;
  // `count` different fields, or all if there are not more.
  void SampleDistinct(size_t count, Random64 random, int64_t now_ms, FunctionRef<void(const Field&)> fn) const;
  // `count` fields, each drawn from all; none if there is none.
  void SampleRepeated(size_t count, Random64 random, int64_t now_ms, FunctionRef<void(const Field&)> fn) const;

  // Checks all invariants. For tests.
  void Validate() const;

 private:
  using Table = Dict<HashField>;

  Hash(Encoding encoding, void* rep) : encoding_(encoding), rep_(rep) {}
  bool compact() const { return encoding_ == Encoding::kListpack; }
  ListpackView pack() const { return ListpackView(rep_); }
  Table& table() const { return *static_cast<Table*>(rep_); }
  template <typename Fn>
  auto EditPack(Fn fn);
  ListpackView::Position FindPosition(std::string_view name) const;
  Field FieldAt(ListpackView::Position at) const;
  static Field FieldOf(const HashField& field);
  void ConvertToTable();
  void SetAt(const Table::Place& place, std::string_view name, std::string_view value, int64_t expire_ms);
  bool MayHaveExpired(int64_t now_ms) const { return next_expire_ms() < now_ms; }
  std::vector<const HashField*> LiveFields(int64_t now_ms) const;

  Encoding encoding_;
  void* rep_;
};

}  // namespace understudy::types
