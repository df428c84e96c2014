// List: values in the order in which they were put, cheap at both ends.
//
// Small ones are one listpack, large ones a row of them (quicklist.h). A list changes its form exactly when Redis's
// does: before elements are added, a listpack that would pass list-max-listpack-size becomes a quicklist; after
// elements went, a quicklist of one node with at most half of the limit becomes a listpack again.
//
// Indexes count from 0 and must be within the list. Values are given as ListpackValue, which is an integer or a
// view that lives until the call back returns. A list may be empty between calls; a key never holds an empty one.
// Threads: those of the key's shard.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "common/function_ref.h"
#include "node/types/encoding.h"
#include "node/types/listpack.h"
#include "node/types/quicklist.h"

namespace understudy::types {

class List {
 public:
  List();  // empty, a listpack
  // Takes over what Release gave.
  static List Adopt(Encoding encoding, void* rep) { return List(encoding, rep); }
  // An empty quicklist, for nodes as an RDB file holds them: AppendPack, AppendPlain, then Compact.
  static List OfNodes();

  List(List&& other) noexcept : encoding_(other.encoding_), rep_(std::exchange(other.rep_, nullptr)) {}
  List& operator=(List&& other) noexcept {
    std::swap(encoding_, other.encoding_);
    std::swap(rep_, other.rep_);
    return *this;
  }
  ~List();
  // Gives the value away; nothing but destruction may follow.
  void* Release() { return std::exchange(rep_, nullptr); }
  List Clone() const;

  Encoding encoding() const { return encoding_; }
  // "listpack" or "quicklist", as OBJECT ENCODING answers.
  std::string_view EncodingName() const { return types::EncodingName(Kind::kList, encoding_); }
  uint64_t Size() const;
  bool empty() const { return Size() == 0; }
  // O(1).
  size_t AllocatedBytes() const;

  // One after the other, so that kHead leaves them in reverse order, as LPUSH does.
  void Push(ListEnd end, std::span<const std::string_view> values, const Limits& limits);
  void Push(ListEnd end, std::string_view value, const Limits& limits) { Push(end, {&value, 1}, limits); }
  // Beside the first element that is `pivot`. False: there is none.
  bool InsertBeside(std::string_view pivot, bool after, std::string_view value, const Limits& limits);
  void Set(uint64_t index, std::string_view value, const Limits& limits);
  // `count` elements from `first` on. LPOP, RPOP, LTRIM.
  void Erase(uint64_t first, uint64_t count, const Limits& limits);
  // Up to `most` elements that are `value`, from the end that is named. LREM. Returned: how many.
  uint64_t EraseEqual(std::string_view value, uint64_t most, ListEnd from, const Limits& limits);

  // Calls fn for `count` elements from `first` on, backward if `reverse`, until it returns false.
  void Walk(uint64_t first, uint64_t count, bool reverse, FunctionRef<bool(const ListpackValue&)> fn) const;
  void WalkAll(FunctionRef<bool(const ListpackValue&)> fn) const { Walk(0, Size(), false, fn); }
  // Calls fn(index) for the elements that are `value`, until it returns false. LPOS: rank 1 starts with the first
  // match, 2 with the second, -1 with the last and backward; not 0. max_compared: 0 for all of the list.
  void Positions(std::string_view value, int64_t rank, uint64_t max_compared, FunctionRef<bool(uint64_t)> fn) const;

  // What LIST_QUICKLIST_2 in RDB files holds: listpacks, and elements that stand alone.
  uint64_t nodes() const { return is_listpack() ? 1 : quicklist().nodes(); }
  void ForEachNode(FunctionRef<void(bool plain, std::string_view bytes)> fn) const;
  // Only after OfNodes. pack: valid; may be empty.
  void AppendPack(Listpack pack);
  void AppendPlain(std::string_view value) { quicklist().AppendPlain(value); }
  // The form that the limits ask for: after loading, or when limits have changed.
  void Compact(const Limits& limits);

  // CHECKs every invariant; for tests. O(n).
  void Validate() const;

 private:
  List(Encoding encoding, void* rep) : encoding_(encoding), rep_(rep) {}

  bool is_listpack() const { return encoding_ == Encoding::kListpack; }
  ListpackView listpack() const { return ListpackView(rep_); }
  Quicklist& quicklist() const { return *static_cast<Quicklist*>(rep_); }
  template <typename Change>
  void Edit(Change change);
  // Elements of so many bytes are to be added.
  void Grow(size_t bytes, size_t entries, const NodeLimit& limit);
  void Shrink(const NodeLimit& limit, bool shrinking);

  Encoding encoding_;
  void* rep_;  // Listpack's block, or Quicklist
};

}  // namespace understudy::types
