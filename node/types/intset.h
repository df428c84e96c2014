// Intset: a small set of integers in one block of memory, in the very format of Redis.
//
//   +-----------------+----------------+---------+---------+-----+
//   | width: 2, 4, 8  | integers       | smallest| ...     |     |   all little-endian, ascending, no two the same
//   | (4 bytes)       | (4 bytes)      |         |         |     |
//   +-----------------+----------------+---------+---------+-----+
//
// The width is that of the widest integer there ever was. IntsetView reads a block that somebody else owns, Intset
// owns one and changes it. Search is binary; an edit moves the bytes behind it.
//
// Trusts its bytes: what came from outside goes through Validate() first. Source: Redis's intset.c (format).
// Threads: none of its own; pure but for memory.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

namespace understudy::types {

class IntsetView {
 public:
  static constexpr size_t kHeaderBytes = 8;

  // block: a valid intset that outlives the view.
  explicit IntsetView(const void* block) : block_(static_cast<uint8_t*>(const_cast<void*>(block))) {}

  const void* data() const { return block_; }
  uint32_t width() const { return LoadWord(0); }
  size_t Count() const { return LoadWord(4); }
  // Bytes of the format.
  size_t bytes() const { return kHeaderBytes + Count() * width(); }
  std::string_view AsBytes() const { return {reinterpret_cast<const char*>(block_), bytes()}; }
  // Bytes of memory that the block takes.
  size_t AllocatedBytes() const;

  // The i-th smallest, from 0.
  int64_t Get(size_t i) const { return Load(i, width()); }
  bool Contains(int64_t value) const {
    const size_t i = LowerBound(value);
    return i < Count() && Get(i) == value;
  }

  // Whether `bytes` are an intset that every function here may be given. Empty ones are not, as in Redis. deep: looks
  // at each integer; else only at the header. Never reads outside of them.
  static bool Validate(std::string_view bytes, bool deep);

 protected:
  uint32_t LoadWord(size_t at) const {
    uint32_t word;
    std::memcpy(&word, block_ + at, sizeof word);
    return word;
  }
  int64_t Load(size_t i, uint32_t width) const;
  // How many are smaller than `value`.
  size_t LowerBound(int64_t value) const;

  uint8_t* block_;
};

class Intset : public IntsetView {
 public:
  Intset();  // empty
  // Takes over a block from malloc that holds a valid intset.
  static Intset Adopt(void* block) { return Intset(static_cast<uint8_t*>(block)); }
  // A copy of valid bytes.
  static Intset Copy(std::string_view bytes);
  Intset(Intset&& other) noexcept : IntsetView(std::exchange(other.block_, nullptr)) {}
  Intset& operator=(Intset&& other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~Intset();
  // Gives the block away, to be freed with free() or adopted again; nothing but destruction may follow.
  void* Release() { return std::exchange(block_, nullptr); }

  // False if it is there already.
  bool Add(int64_t value);
  // False if it is not there.
  bool Erase(int64_t value);

 private:
  explicit Intset(uint8_t* block) : IntsetView(block) {}
  void Resize(size_t bytes);
  void Widen(uint32_t width);
  void Store(size_t i, uint32_t width, int64_t value) {
    std::memcpy(block_ + kHeaderBytes + i * width, &value, width);
  }
  void StoreHeader(uint32_t width, size_t count) {
    const uint32_t words[2] = {width, static_cast<uint32_t>(count)};
    std::memcpy(block_, words, sizeof words);
  }
};

}  // namespace understudy::types
