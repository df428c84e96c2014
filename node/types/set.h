// Set: members without order.
//
// Integers only: an intset, ascending. Other small ones: a listpack, in the order in which they came. Larger ones: a
// table (SetMember in dict.h). They change when Redis's do, and never back (but for TryIntset, as Redis does it for
// results of SINTERSTORE and its like).
//
// Texts that are handed in must not lie in the set itself; those that come out are good until the next change.
// Not thread-safe: guarded by the lock of the key's shard. May be handed to another thread to be destroyed: that
// takes time in proportion to its members. Source: Redis 7.2's t_set.c (behaviour).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "common/function_ref.h"
#include "node/types/dict.h"
#include "node/types/encoding.h"
#include "node/types/intset.h"
#include "node/types/listpack.h"
#include "node/types/sample.h"
#include "node/types/set_member.h"

namespace understudy::types {

class Set {
 public:
  using Member = ListpackValue;  // an integer or a text

  // An empty one, in the encoding that Redis begins with when `first` and up to count - 1 others are going to be added.
  Set(std::string_view first, size_t count, const Limits& limits);
  // Takes over what Release gave.
  static Set Adopt(Encoding encoding, void* rep) { return Set(encoding, rep); }
  // From the bytes of an RDB file or DUMP: none unless they are a listpack of different members, or an intset. A table
  // if it has more than the limit; members may be longer than theirs, as in Redis. A listpack may be empty.
  static std::optional<Set> FromListpack(std::string_view bytes, const Limits& limits);
  static std::optional<Set> FromIntset(std::string_view bytes, const Limits& limits);
  Set(Set&& other) noexcept : encoding_(other.encoding_), rep_(std::exchange(other.rep_, nullptr)) {}
  Set& operator=(Set&& other) noexcept {
    std::swap(encoding_, other.encoding_);
    std::swap(rep_, other.rep_);
    return *this;
  }
  ~Set();
  // Gives the representation away, to be adopted again; nothing but encoding() and destruction may follow.
  void* Release() { return std::exchange(rep_, nullptr); }

  Encoding encoding() const { return encoding_; }
  size_t Size() const;
  // O(1).
  size_t AllocatedBytes() const;
  // The bytes of a compact one, as RDB has them.
  std::string_view AsBytes() const;
  Set Clone() const;

  bool Contains(std::string_view member) const;
  // Becomes a table if `count` members that are going to be added may make it one: Redis decides that before it adds
  // the first of them.
  void Expect(size_t count, const Limits& limits);
  // False if it is there already.
  bool Add(std::string_view member, const Limits& limits);
  // False if it is not there.
  bool Erase(std::string_view member);
  // Becomes an intset if it may: all members are integers, and not too many.
  void TryIntset(const Limits& limits);

  // Members until fn returns false; then false. fn changes nothing.
  bool ForEach(FunctionRef<bool(const Member&)> fn) const;
  // Gives fn some members, all of a compact set, and returns the cursor for the next call; 0 begins and ends. Each
  // member that is there from begin to end is given at least once.
  uint64_t Scan(uint64_t cursor, FunctionRef<void(const Member&)> fn) const;
  // A member, each as likely. Not of an empty set.
  Member Random(uint64_t random) const;
  // Removes and returns a member, each as likely. Not of an empty set.
  std::string Pop(uint64_t random);
  // `count` different members, or all if there are not more.
  void SampleDistinct(size_t count, Random64 random, FunctionRef<void(const Member&)> fn) const;
  // `count` members, each drawn from all; none if there is none.
  void SampleRepeated(size_t count, Random64 random, FunctionRef<void(const Member&)> fn) const;

  // Checks all invariants. For tests.
  void Validate() const;

 private:
  using Table = Dict<SetMember>;

  Set(Encoding encoding, void* rep) : encoding_(encoding), rep_(rep) {}
  ListpackView pack() const { return ListpackView(rep_); }
  IntsetView integers() const { return IntsetView(rep_); }
  Table& table() const { return *static_cast<Table*>(rep_); }
  template <typename Fn>
  auto EditPack(Fn fn);
  template <typename Fn>
  auto EditIntset(Fn fn);
  void ConvertToTable();
  void ConvertToListpack();
  bool AddToTable(std::string_view member);
  bool FitsListpack(std::string_view member, const Limits& limits) const;

  Encoding encoding_;
  void* rep_;
};

}  // namespace understudy::types
