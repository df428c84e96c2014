#include "node/types/listpack.h"

#include <malloc.h>

#include <bit>
#include <charconv>
#include <cstdlib>

#include "common/canonical_int.h"
#include "common/check.h"

namespace understudy::types {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers of the format are copied as they are");

template <typename T>
T Load(const uint8_t* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

uint32_t StringBytes12(const uint8_t* p) { return static_cast<uint32_t>((p[0] & 0x0f) << 8 | p[1]); }

// The back length of `n`, most significant 7 bits first; all bytes but the first have bit 7 set.
void WriteBack(uint8_t* p, uint64_t n, uint32_t size) {
  for (uint32_t i = size; i-- > 0; n >>= 7) p[i] = static_cast<uint8_t>((n & 0x7f) | (i == 0 ? 0 : 0x80));
}

// Reads the back length that ends at `last`, at most `room` bytes of it; UINT64_MAX if it does not end.
uint64_t ReadBack(const uint8_t* last, size_t room) {
  uint64_t n = 0;
  for (uint32_t i = 0; i < 5 && i < room; ++i, --last) {
    n |= uint64_t{static_cast<uint8_t>(*last & 0x7f)} << (7 * i);
    if ((*last & 0x80) == 0) return n;
  }
  return UINT64_MAX;
}

uint32_t LoadCount(const uint8_t* block) { return Load<uint16_t>(block + 4); }
void StoreCount(uint8_t* block, size_t count) {
  const auto stored = static_cast<uint16_t>(count < ListpackView::kCountUnknown ? count : ListpackView::kCountUnknown);
  std::memcpy(block + 4, &stored, sizeof stored);
}
void StoreTotal(uint8_t* block, size_t total) {
  const auto stored = static_cast<uint32_t>(total);
  std::memcpy(block, &stored, sizeof stored);
}

uint8_t* NewBlock(size_t bytes) {
  auto* block = static_cast<uint8_t*>(std::malloc(bytes));
  CHECK(block != nullptr);
  return block;
}

}  // namespace

// ---- Values ----------------------------------------------------------------------------------------------------

std::string_view ListpackValue::Print(Buffer& buffer) const {
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, integer_);
  return {buffer, static_cast<size_t>(result.ptr - buffer)};
}

size_t ListpackValue::TextSize() const {
  Buffer buffer;
  return Text(buffer).size();
}

bool ListpackValue::Is(std::string_view text) const {
  if (!is_integer_) return text_ == text;
  int64_t integer;
  return ParseCanonicalInt(text, &integer) && integer == integer_;
}

// ---- Reading ---------------------------------------------------------------------------------------------------

uint64_t ListpackView::EncodedBytes(const uint8_t* p) {
  const uint8_t first = *p;
  if (first < 0x80) return 1;
  if (first < 0xc0) return uint64_t{1} + (first & 0x3f);
  if (first < 0xe0) return 2;
  if (first < 0xf0) return uint64_t{2} + StringBytes12(p);
  switch (first) {
    case 0xf0: return uint64_t{5} + Load<uint32_t>(p + 1);
    case 0xf1: return 3;
    case 0xf2: return 4;
    case 0xf3: return 5;
    case 0xf4: return 9;
    default: return 0;
  }
}

ListpackValue ListpackView::Get(Position at) const {
  const uint8_t* p = block_ + at;
  const uint8_t first = *p;
  const auto text = [](const uint8_t* from, size_t n) {
    return ListpackValue(std::string_view(reinterpret_cast<const char*>(from), n));
  };
  if (first < 0x80) return ListpackValue(int64_t{first});
  if (first < 0xc0) return text(p + 1, first & 0x3f);
  if (first < 0xe0) {
    const int64_t low13 = (first & 0x1f) << 8 | p[1];
    return ListpackValue(low13 < 4096 ? low13 : low13 - 8192);
  }
  if (first < 0xf0) return text(p + 2, StringBytes12(p));
  switch (first) {
    case 0xf0: return text(p + 5, Load<uint32_t>(p + 1));
    case 0xf1: return ListpackValue(int64_t{Load<int16_t>(p + 1)});
    case 0xf2: {
      const int64_t low24 = p[1] | p[2] << 8 | p[3] << 16;
      return ListpackValue(low24 < (1 << 23) ? low24 : low24 - (1 << 24));
    }
    case 0xf3: return ListpackValue(int64_t{Load<int32_t>(p + 1)});
    case 0xf4: return ListpackValue(Load<int64_t>(p + 1));
    default: CHECK(false);
  }
}

size_t ListpackView::AllocatedBytes() const { return malloc_usable_size(block_); }

size_t ListpackView::Count() const {
  const uint32_t stored = LoadCount(block_);
  if (stored != kCountUnknown) return stored;
  size_t count = 0;
  for (Position at = First(); at != kNone; at = Next(at)) ++count;
  return count;
}

ListpackView::Position ListpackView::Previous(Position at) const {
  if (at == kHeaderBytes) return kNone;
  const uint64_t n = ReadBack(block_ + at - 1, at);
  return static_cast<Position>(at - BackBytes(n) - n);
}

ListpackView::Position ListpackView::Seek(int64_t index) const {
  const uint32_t stored = LoadCount(block_);
  if (stored != kCountUnknown) {
    const int64_t count = stored;
    if (index < 0) index += count;
    if (index < 0 || index >= count) return kNone;
    if (index > count / 2) index -= count;
  }
  Position at = index < 0 ? Last() : First();
  for (; index > 0 && at != kNone; --index) at = Next(at);
  for (; index < -1 && at != kNone; ++index) at = Previous(at);
  return at;
}

ListpackView::Position ListpackView::Find(Position from, std::string_view text, size_t stride) const {
  // An integer is looked for as one, but also as a text: another program's RDB may have it that way.
  int64_t integer = 0;
  const bool numeric = ParseCanonicalInt(text, &integer);
  size_t skip = 0;
  for (Position at = from; at != kNone; at = Next(at)) {
    if (skip > 0) {
      --skip;
      continue;
    }
    skip = stride - 1;
    const uint8_t* p = block_ + at;
    if (*p >= 0x80 && *p < 0xc0) {  // the usual one: a short text
      if ((*p & 0x3fu) == text.size() && std::memcmp(p + 1, text.data(), text.size()) == 0) return at;
      continue;
    }
    const ListpackValue value = Get(at);
    if (value.is_integer() ? numeric && value.integer() == integer : value.Is(text)) return at;
  }
  return kNone;
}

void ListpackView::ForEach(FunctionRef<bool(const ListpackValue&)> fn) const {
  for (Position at = First(); at != kNone; at = Next(at)) {
    if (!fn(Get(at))) return;
  }
}

bool ListpackView::Validate(std::string_view bytes, bool deep) {
  const auto* block = reinterpret_cast<const uint8_t*>(bytes.data());
  const size_t size = bytes.size();
  if (size < kHeaderBytes + 1 || LoadTotal(block) != size || block[size - 1] != kEnd) return false;
  if (!deep) return true;
  // Up to here texts may reach; the last byte is the end mark.
  const size_t end = size - 1;
  size_t count = 0;
  size_t at = kHeaderBytes;
  while (at < end) {
    const uint8_t first = block[at];
    if (first >= 0xf5) return false;  // an end before the end, or no encoding
    const size_t head = first < 0xe0 ? 1 : first < 0xf0 ? 2 : first == 0xf0 ? 5 : 1;
    if (head > end - at) return false;
    const uint64_t n = EncodedBytes(block + at);
    const uint32_t back = BackBytes(n);
    if (n + back > end - at) return false;
    at += n + back;
    if (ReadBack(block + at - 1, back) != n) return false;
    ++count;
  }
  const uint32_t stored = LoadCount(block);
  return stored == kCountUnknown || stored == count;
}

// ---- Changing --------------------------------------------------------------------------------------------------

struct Listpack::Code {
  explicit Code(std::string_view value) {
    int64_t integer;
    if (ParseCanonicalInt(value, &integer)) {
      Encode(integer);
      return;
    }
    text = value;
    const size_t n = value.size();
    if (n < 64) {
      head[0] = static_cast<uint8_t>(0x80 | n);
      head_bytes = 1;
    } else if (n < 4096) {
      head[0] = static_cast<uint8_t>(0xe0 | n >> 8);
      head[1] = static_cast<uint8_t>(n);
      head_bytes = 2;
    } else {
      CHECK(n < kMaxBytes);
      head[0] = 0xf0;
      const auto stored = static_cast<uint32_t>(n);
      std::memcpy(head + 1, &stored, sizeof stored);
      head_bytes = 5;
    }
  }
  explicit Code(int64_t integer) { Encode(integer); }

  void Encode(int64_t v) {
    const auto wide = [&](uint8_t mark, uint32_t bytes) {
      head[0] = mark;
      std::memcpy(head + 1, &v, sizeof v);
      head_bytes = 1 + bytes;
    };
    if (v >= 0 && v <= 127) {
      head[0] = static_cast<uint8_t>(v);
      head_bytes = 1;
    } else if (v >= -4096 && v <= 4095) {
      head[0] = static_cast<uint8_t>(0xc0 | (v >> 8 & 0x1f));
      head[1] = static_cast<uint8_t>(v);
      head_bytes = 2;
    } else if (v >= INT16_MIN && v <= INT16_MAX) {
      wide(0xf1, 2);
    } else if (v >= -(1 << 23) && v < (1 << 23)) {
      wide(0xf2, 3);
    } else if (v >= INT32_MIN && v <= INT32_MAX) {
      wide(0xf3, 4);
    } else {
      wide(0xf4, 8);
    }
  }
  size_t encoded_bytes() const { return head_bytes + text.size(); }
  size_t bytes() const { return encoded_bytes() + BackBytes(encoded_bytes()); }
  void Write(uint8_t* to) const {
    std::memcpy(to, head, head_bytes);
    if (!text.empty()) std::memcpy(to + head_bytes, text.data(), text.size());
    WriteBack(to + encoded_bytes(), encoded_bytes(), BackBytes(encoded_bytes()));
  }

  uint8_t head[9];
  uint32_t head_bytes = 0;
  std::string_view text;  // empty for integers
};

Listpack::Listpack(size_t reserve) : ListpackView(nullptr) {
  block_ = NewBlock(reserve > kHeaderBytes + 1 ? reserve : kHeaderBytes + 1);
  StoreTotal(block_, kHeaderBytes + 1);
  StoreCount(block_, 0);
  block_[kHeaderBytes] = kEnd;
}

Listpack Listpack::Copy(std::string_view bytes) {
  uint8_t* block = NewBlock(bytes.size());
  std::memcpy(block, bytes.data(), bytes.size());
  return Adopt(block);
}

Listpack::~Listpack() { std::free(block_); }

void Listpack::MakeRoom(Position at, size_t old_bytes, size_t new_bytes, int64_t added) {
  if (old_bytes == new_bytes && added == 0) return;  // a number that stays as long as it was
  const size_t total = bytes();
  const size_t wanted = total - old_bytes + new_bytes;
  CHECK(wanted <= UINT32_MAX);
  // The allocator's own rounding is all the spare room there is: growth in a size class costs nothing.
  if (wanted > total) Reserve(wanted);
  std::memmove(block_ + at + new_bytes, block_ + at + old_bytes, total - at - old_bytes);
  StoreTotal(block_, wanted);
  const uint32_t count = LoadCount(block_);
  // A count that was lost at 65535 stays so, as in Redis: to find it again costs a walk.
  if (count != kCountUnknown) StoreCount(block_, static_cast<size_t>(count + added));
  if (wanted < total) ShrinkToFit();
}

void Listpack::Reserve(size_t bytes) {
  if (bytes <= malloc_usable_size(block_)) return;
  auto* grown = static_cast<uint8_t*>(std::realloc(block_, bytes));
  CHECK(grown != nullptr);
  block_ = grown;
}

void Listpack::ShrinkToFit() {
  // Below a quarter left over, a copy costs more than it gives back.
  const size_t wanted = bytes();
  if (wanted + wanted / 4 + 16 >= malloc_usable_size(block_)) return;
  if (void* less = std::realloc(block_, wanted); less != nullptr) block_ = static_cast<uint8_t*>(less);
}

Listpack::Position Listpack::Put(Position at, size_t old_bytes, const Code& code, int added) {
  MakeRoom(at, old_bytes, code.bytes(), added);
  code.Write(block_ + at);
  return at;
}

Listpack::Position Listpack::Insert(Position at, std::string_view text) { return Put(at, 0, Code(text), 1); }
Listpack::Position Listpack::Insert(Position at, int64_t integer) { return Put(at, 0, Code(integer), 1); }

Listpack::Position Listpack::Replace(Position at, std::string_view text) {
  return Put(at, Behind(at) - at, Code(text), 0);
}
Listpack::Position Listpack::Replace(Position at, int64_t integer) {
  return Put(at, Behind(at) - at, Code(integer), 0);
}

Listpack::Position Listpack::AppendPair(std::string_view first, std::string_view second) {
  const Code codes[2] = {Code(first), Code(second)};
  const Position at = End();
  MakeRoom(at, 0, codes[0].bytes() + codes[1].bytes(), 2);
  codes[0].Write(block_ + at);
  codes[1].Write(block_ + at + codes[0].bytes());
  return at;
}

Listpack::Position Listpack::EraseRange(Position at, size_t count) {
  if (at == kNone) return kNone;
  Position behind = at;
  size_t erased = 0;
  for (; erased < count && block_[behind] != kEnd; ++erased) behind = Behind(behind);
  MakeRoom(at, behind - at, 0, -static_cast<int64_t>(erased));
  return block_[at] == kEnd ? kNone : at;
}

void Listpack::EraseAt(int64_t index, size_t count) {
  if (const Position at = Seek(index); at != kNone) EraseRange(at, count);
}

void Listpack::SpliceAll(Position at, ListpackView other) {
  const size_t payload = other.bytes() - kHeaderBytes - 1;
  const uint32_t theirs = LoadCount(static_cast<const uint8_t*>(other.data()));
  const bool count_lost = theirs == kCountUnknown;
  if (count_lost) StoreCount(block_, kCountUnknown);
  MakeRoom(at, 0, payload, theirs);
  std::memcpy(block_ + at, static_cast<const uint8_t*>(other.data()) + kHeaderBytes, payload);
}

}  // namespace understudy::types
