// Quicklist: the large form of a list, a row of listpacks.
//
//   nodes_ (a ring)  ... | pack, 127 | pack, 80 | plain, 1 MB | pack, 3 | ...
//                             |
//                             listpack of up to 8 kB (list-max-listpack-size)
//
// Problem: one listpack makes every edit move all that is behind it, a node for each element costs 40 bytes of it.
// Idea, as in Redis: nodes of a few kilobytes, and an element that is larger than a node alone in a plain one. What
// differs: the nodes are no chain but a ring of 16 bytes each, so that a search by index adds up counts that lie
// side by side, 100,000 elements in a microsecond, and never visits the nodes that it skips.
//
// No node is empty. The node limit is an argument: it may change while a list lives. Not thread-safe.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/function_ref.h"
#include "node/types/listpack.h"

namespace understudy::types {

// list-max-listpack-size. Source: Redis's quicklist.c (which sizes a node may have).
class NodeLimit {
 public:
  // setting: positive, entries (and 8 KiB); -1 to -5: 4, 8, 16, 32, 64 KiB.
  explicit NodeLimit(int64_t setting);
  bool Exceeds(size_t bytes, size_t entries) const { return bytes > bytes_ || entries > entries_; }
  // Whether an element is too large for any listpack.
  bool IsLarge(size_t element_bytes) const { return element_bytes > bytes_; }
  // Whether a listpack is so small that a quicklist of that one node becomes a listpack again, also when it is
  // shrinking: then half of the limit, so that it does not go to and fro.
  bool FitsListpack(size_t bytes, size_t entries, bool shrinking) const;

 private:
  static constexpr size_t kSafeBytes = 8192;
  bool by_entries_;
  size_t bytes_;
  size_t entries_;
};

enum class ListEnd : uint8_t { kHead, kTail };

class Quicklist {
 public:
  Quicklist() = default;
  ~Quicklist();
  Quicklist(const Quicklist&) = delete;
  Quicklist& operator=(const Quicklist&) = delete;

  uint64_t size() const { return size_; }
  // Beside this object. O(1).
  size_t AllocatedBytes() const { return bytes_; }

  void Push(ListEnd end, std::string_view value, const NodeLimit& limit);
  // Before the element `index`, behind the last one if it is size().
  void Insert(uint64_t index, std::string_view value, const NodeLimit& limit);
  void Replace(uint64_t index, std::string_view value, const NodeLimit& limit);
  // first + count <= size().
  void Erase(uint64_t first, uint64_t count);
  // Up to `most` elements that are `value`, from the end that is named. Returned: how many.
  uint64_t EraseEqual(std::string_view value, uint64_t most, ListEnd from);
  // Calls fn(value) for `count` elements from `first` on, backward if `reverse`, until it returns false.
  void Walk(uint64_t first, uint64_t count, bool reverse, FunctionRef<bool(const ListpackValue&)> fn) const;

  // Nodes as RDB files hold them: the listpack, or the element of a plain node.
  size_t nodes() const { return count_; }
  void ForEachNode(FunctionRef<void(bool plain, std::string_view bytes)> fn) const;
  void AppendPack(Listpack pack);  // not empty
  void AppendPlain(std::string_view value);
  // The listpack of the only node; nullptr if there are more, or it is plain.
  const void* only_pack() const;
  Listpack TakeOnlyPack();

  void CloneTo(Quicklist* copy) const;  // copy: new
  // CHECKs every invariant; for tests. O(n).
  void Validate() const;

 private:
  struct Node {
    void* data;            // a listpack, or the bytes of an element
    uint32_t count;        // of a listpack; 0: plain
    uint32_t plain_bytes;  // of a plain node
    bool plain() const { return count == 0; }
    uint64_t size() const { return plain() ? 1 : count; }
    std::string_view bytes() const {
      return plain() ? std::string_view(static_cast<const char*>(data), plain_bytes) : ListpackView(data).AsBytes();
    }
  };
  static_assert(sizeof(Node) == 16, "what a node costs beside its block");
  struct Where {
    size_t node;
    uint64_t offset;  // of the element in it
  };

  Node& At(size_t node) const { return ring_[(head_ + node) & (capacity_ - 1)]; }
  Where Seek(uint64_t index) const;
  bool Allows(size_t node, size_t value_bytes, const NodeLimit& limit) const;
  Node NewNode(std::string_view value, const NodeLimit& limit);
  Node NewPlain(std::string_view value);
  Node Adopted(Listpack pack);
  void Reserve(size_t nodes);
  void InsertNode(size_t at, const Node& node);
  // The blocks are freed, or somebody else's already.
  void RemoveNodes(size_t at, size_t n, bool free_blocks);
  template <typename Change>
  void Edit(Node& node, Change change);
  void InsertInto(size_t node, uint64_t offset, std::string_view value);
  void Split(size_t node, uint64_t offset);
  // Joins the node with the one behind it if the limit allows.
  void TryJoin(size_t node, const NodeLimit& limit);

  Node* ring_ = nullptr;
  size_t capacity_ = 0;  // a power of two, or 0
  size_t head_ = 0;
  size_t count_ = 0;     // nodes
  uint64_t size_ = 0;    // elements
  size_t bytes_ = 0;
};

}  // namespace understudy::types
