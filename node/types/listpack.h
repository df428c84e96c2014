// Listpack: many small values in one block of memory, in the very format of Redis.
//
// The compact form of hashes, sets and sorted sets, and the node of lists and streams. It is byte for byte what RDB
// files and DUMP hold, so these copy it. Strings that are what an integer prints as are kept as that integer.
//
//   +-------------+-----------+---------+---------+-----+------+
//   | total bytes | entries:  | entry 0 | entry 1 | ... | 0xff |
//   | (4, LE)     | 2, LE (*) |         |         |     |      |
//   +-------------+-----------+---------+---------+-----+------+
//   entry: | encoding, payload | back length: size of what is left of it, 1 to 5 bytes, to be read from the right |
//
//   0xxxxxxx                integer, 7 bits         10xxxxxx string, up to 63 bytes
//   110xxxxx x8             13 bits, signed         1110xxxx x8 string, up to 4095 bytes
//   f1 f2 f3 f4 + 2 3 4 8   16, 24, 32, 64 bits     f0 + 4-byte length + string
//   (*) 65535: there are that many or more, count them.
//
// ListpackView reads a block that somebody else owns, Listpack owns one and changes it. Positions are offsets into
// the block, 0 = none; a change makes all positions and texts invalid but those that it returns, so what is put in
// must not be a text of the same block. Every edit moves the bytes behind it: meant for small blocks.
//
// Trusts its bytes: what came from outside goes through Validate() first. Source: Redis's listpack.c (format).
// Threads: none of its own; pure but for memory.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "common/function_ref.h"

namespace understudy::types {

// One value of a listpack: an integer, or a text that is none (or that another program left as a text).
class ListpackValue {
 public:
  // Room for any integer as text.
  using Buffer = char[24];

  ListpackValue() = default;
  explicit ListpackValue(std::string_view text) : text_(text) {}
  explicit ListpackValue(int64_t integer) : is_integer_(true), integer_(integer) {}

  bool is_integer() const { return is_integer_; }
  int64_t integer() const { return integer_; }
  // The bytes, of an integer printed to `buffer`.
  std::string_view Text(Buffer& buffer) const { return is_integer_ ? Print(buffer) : text_; }
  std::string ToString() const {
    Buffer buffer;
    return std::string(Text(buffer));
  }
  // Bytes of its text.
  size_t TextSize() const;
  // Whether its text is `text`.
  bool Is(std::string_view text) const;

 private:
  std::string_view Print(Buffer& buffer) const;
  bool is_integer_ = false;
  int64_t integer_ = 0;
  std::string_view text_;
};

class ListpackView {
 public:
  using Position = uint32_t;
  static constexpr Position kNone = 0;
  static constexpr size_t kHeaderBytes = 6;
  // What would grow beyond must take another form, as in Redis: HasRoomFor. Four times as much is the format's end.
  static constexpr size_t kMaxBytes = size_t{1} << 30;
  static constexpr uint32_t kCountUnknown = 65535;

  // block: a valid listpack that outlives the view.
  explicit ListpackView(const void* block) : block_(static_cast<uint8_t*>(const_cast<void*>(block))) {}

  const void* data() const { return block_; }
  // Bytes of the format: header, entries, end.
  size_t bytes() const { return LoadTotal(block_); }
  std::string_view AsBytes() const { return {reinterpret_cast<const char*>(block_), bytes()}; }
  // Bytes of memory that the block takes.
  size_t AllocatedBytes() const;
  // Entries. O(1) below 65535, else counts them.
  size_t Count() const;
  bool empty() const { return block_[kHeaderBytes] == kEnd; }
  // Whether values of `more` text bytes may be added.
  bool HasRoomFor(size_t more) const { return more <= kMaxBytes && bytes() + more <= kMaxBytes; }

  // kNone where there is none.
  Position First() const { return empty() ? kNone : kHeaderBytes; }
  Position Last() const { return Previous(static_cast<Position>(bytes() - 1)); }
  Position Next(Position at) const {
    const Position next = Behind(at);
    return block_[next] == kEnd ? kNone : next;
  }
  Position Previous(Position at) const;
  // The entry `index`, which counts from 0, or from -1 backward. Skips from the nearer end.
  Position Seek(int64_t index) const;
  ListpackValue Get(Position at) const;

  // The first entry from `from` on that has this text, looking at one of every `stride`. from: may be kNone.
  Position Find(Position from, std::string_view text, size_t stride = 1) const;
  // Calls fn for the values in order until it returns false.
  void ForEach(FunctionRef<bool(const ListpackValue&)> fn) const;

  // Whether `bytes` are a listpack that every function here may be given. deep: looks at each entry, which makes
  // that true for any bytes; else only header and end, for blocks of one's own. Never reads outside of them.
  static bool Validate(std::string_view bytes, bool deep);

 protected:
  static constexpr uint8_t kEnd = 0xff;

  static uint32_t LoadTotal(const uint8_t* block) {
    uint32_t total;
    std::memcpy(&total, block, sizeof total);
    return total;
  }
  // Bytes of encoding and payload of the entry at p, without its back length; 0 if there is no such encoding.
  static uint64_t EncodedBytes(const uint8_t* p);
  // Bytes of the back length of an entry of `n` such bytes. The bounds are Redis's, one short of what fits.
  static uint32_t BackBytes(uint64_t n) {
    return n <= 127 ? 1 : n < 16383 ? 2 : n < 2097151 ? 3 : n < 268435455 ? 4 : 5;
  }
  Position Behind(Position at) const {
    const uint64_t n = EncodedBytes(block_ + at);
    return static_cast<Position>(at + n + BackBytes(n));
  }

  uint8_t* block_;
};

class Listpack : public ListpackView {
 public:
  // An empty one, with room for `reserve` bytes.
  explicit Listpack(size_t reserve = 0);
  // Takes over a block from malloc that holds a valid listpack.
  static Listpack Adopt(void* block) { return Listpack(static_cast<uint8_t*>(block), Owned{}); }
  // A copy of valid bytes.
  static Listpack Copy(std::string_view bytes);
  Listpack(Listpack&& other) noexcept : ListpackView(std::exchange(other.block_, nullptr)) {}
  Listpack& operator=(Listpack&& other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~Listpack();
  // Gives the block away, to be freed with free() or adopted again; nothing but destruction may follow.
  void* Release() { return std::exchange(block_, nullptr); }

  // Values are kept as integers where their text allows it. Returned: where the new entry is.
  Position Append(std::string_view text) { return Insert(End(), text); }
  Position Append(int64_t integer) { return Insert(End(), integer); }
  Position Prepend(std::string_view text) { return Insert(kHeaderBytes, text); }
  Position Prepend(int64_t integer) { return Insert(kHeaderBytes, integer); }
  Position InsertBefore(Position at, std::string_view text) { return Insert(at, text); }
  Position InsertBefore(Position at, int64_t integer) { return Insert(at, integer); }
  Position InsertAfter(Position at, std::string_view text) { return Insert(Behind(at), text); }
  Position InsertAfter(Position at, int64_t integer) { return Insert(Behind(at), integer); }
  Position Replace(Position at, std::string_view text);
  Position Replace(Position at, int64_t integer);
  // Two values at the end, with one growth: a field and its value. Returned: the first.
  Position AppendPair(std::string_view first, std::string_view second);
  // Returned: the entry that followed, kNone if it was the last.
  Position Erase(Position at) { return EraseRange(at, 1); }
  // `count` entries from `at` on, or as many as there are.
  Position EraseRange(Position at, size_t count);
  // From entry `index` on, which may be negative.
  void EraseAt(int64_t index, size_t count);
  // All entries of `other` behind, or before, those that are here.
  void AppendAll(ListpackView other) { SpliceAll(End(), other); }
  void PrependAll(ListpackView other) { SpliceAll(kHeaderBytes, other); }
  // Memory for so many bytes in all, for one who knows what is to come.
  void Reserve(size_t bytes);
  // Gives memory back that edits left over.
  void ShrinkToFit();

 private:
  struct Owned {};
  struct Code;  // a value, encoded but for its payload
  Listpack(uint8_t* block, Owned) : ListpackView(block) {}

  Position End() const { return static_cast<Position>(bytes() - 1); }
  Position Insert(Position at, std::string_view text);
  Position Insert(Position at, int64_t integer);
  Position Put(Position at, size_t old_bytes, const Code& code, int added);
  void SpliceAll(Position at, ListpackView other);
  // Makes the `old_bytes` at `at` `new_bytes` long and counts `added` entries more.
  void MakeRoom(Position at, size_t old_bytes, size_t new_bytes, int64_t added);
};

}  // namespace understudy::types
