#include "node/types/intset.h"

#include <malloc.h>

#include <bit>
#include <cstdlib>

#include "common/check.h"

namespace understudy::types {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers of the format are copied as they are");

uint32_t WidthOf(int64_t value) {
  if (value >= INT16_MIN && value <= INT16_MAX) return 2;
  return value >= INT32_MIN && value <= INT32_MAX ? 4 : 8;
}

template <typename T>
T LoadAs(const uint8_t* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

uint8_t* NewBlock(size_t bytes) {
  auto* block = static_cast<uint8_t*>(std::malloc(bytes));
  CHECK(block != nullptr);
  return block;
}

}  // namespace

size_t IntsetView::AllocatedBytes() const { return malloc_usable_size(block_); }

int64_t IntsetView::Load(size_t i, uint32_t width) const {
  const uint8_t* p = block_ + kHeaderBytes + i * width;
  return width == 2 ? LoadAs<int16_t>(p) : width == 4 ? LoadAs<int32_t>(p) : LoadAs<int64_t>(p);
}

size_t IntsetView::LowerBound(int64_t value) const {
  size_t from = 0, to = Count();
  const uint32_t w = width();
  while (from < to) {
    const size_t middle = (from + to) / 2;
    if (Load(middle, w) < value) {
      from = middle + 1;
    } else {
      to = middle;
    }
  }
  return from;
}

bool IntsetView::Validate(std::string_view bytes, bool deep) {
  if (bytes.size() < kHeaderBytes) return false;
  const IntsetView set(bytes.data());
  const uint64_t width = set.width(), count = set.Count();
  if (width != 2 && width != 4 && width != 8) return false;
  if (count == 0 || bytes.size() != kHeaderBytes + count * width) return false;
  for (size_t i = 1; deep && i < count; ++i) {
    if (set.Get(i) <= set.Get(i - 1)) return false;
  }
  return true;
}

Intset::Intset() : IntsetView(NewBlock(kHeaderBytes)) { StoreHeader(2, 0); }

Intset Intset::Copy(std::string_view bytes) {
  uint8_t* block = NewBlock(bytes.size());
  std::memcpy(block, bytes.data(), bytes.size());
  return Adopt(block);
}

Intset::~Intset() { std::free(block_); }

// Keeps what the allocator gave in its rounding; gives back what is more than a quarter left over.
void Intset::Resize(size_t bytes) {
  const size_t usable = malloc_usable_size(block_);
  if (bytes <= usable && bytes + bytes / 4 + 16 >= usable) return;
  auto* block = static_cast<uint8_t*>(std::realloc(block_, bytes));
  CHECK(block != nullptr);
  block_ = block;
}

void Intset::Widen(uint32_t width) {
  const uint32_t old = this->width();
  const size_t count = Count();
  Resize(kHeaderBytes + count * width);
  for (size_t i = count; i-- > 0;) Store(i, width, Load(i, old));  // from the right: each moves right
  StoreHeader(width, count);
}

bool Intset::Add(int64_t value) {
  if (WidthOf(value) > width()) Widen(WidthOf(value));
  const size_t i = LowerBound(value), count = Count();
  if (i < count && Get(i) == value) return false;
  const uint32_t w = width();
  Resize(kHeaderBytes + (count + 1) * w);
  uint8_t* at = block_ + kHeaderBytes + i * w;
  std::memmove(at + w, at, (count - i) * w);
  Store(i, w, value);
  StoreHeader(w, count + 1);
  return true;
}

bool Intset::Erase(int64_t value) {
  const size_t i = LowerBound(value), count = Count();
  if (i == count || Get(i) != value) return false;
  const uint32_t w = width();
  uint8_t* at = block_ + kHeaderBytes + i * w;
  std::memmove(at, at + w, (count - i - 1) * w);
  StoreHeader(w, count - 1);
  Resize(kHeaderBytes + (count - 1) * w);
  return true;
}

}  // namespace understudy::types
