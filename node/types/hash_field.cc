#include "node/types/hash_field.h"

#include <cstdlib>
#include <new>

#include "common/check.h"

namespace understudy::types {

HashField* HashField::New(std::string_view field, std::string_view value, int64_t expire_ms) {
  CHECK(field.size() <= UINT32_MAX && value.size() <= UINT32_MAX);
  const bool wide = field.size() > kFieldBytes || value.size() > 255;
  const bool expires = expire_ms != kNoExpire;
  const size_t header = (wide ? 9 : 2) + (expires ? 8 : 0);
  void* block = std::malloc(header + field.size() + value.size());
  CHECK(block != nullptr);
  auto* made = new (block) HashField;
  made->flags_ = static_cast<uint8_t>((expires ? kHasExpire : 0) | (wide ? kWide : field.size()));
  char* p = made->bytes();
  if (wide) {
    const uint32_t sizes[2] = {static_cast<uint32_t>(field.size()), static_cast<uint32_t>(value.size())};
    std::memcpy(p + 1, sizes, sizeof sizes);
  } else {
    p[1] = static_cast<char>(value.size());
  }
  if (expires) std::memcpy(p + header - sizeof expire_ms, &expire_ms, sizeof expire_ms);
  if (!field.empty()) std::memcpy(p + header, field.data(), field.size());
  if (!value.empty()) std::memcpy(p + header + field.size(), value.data(), value.size());
  return made;
}

void HashField::Delete(HashField* field) { std::free(field); }

HashField* HashField::Changed(HashField* old, std::string_view value, int64_t expire_ms) {
  const Shape s = old->shape();
  const bool wide = (old->flags_ & kWide) != 0;
  const bool expires = (old->flags_ & kHasExpire) != 0;
  const size_t usable = malloc_usable_size(old), needed = s.header + s.field + value.size();
  // A large block for a small value is given back.
  const bool fits = needed <= usable && (usable <= 64 || needed > usable / 2);
  if (!fits || expires != (expire_ms != kNoExpire) || wide != (s.field > kFieldBytes || value.size() > 255)) {
    HashField* made = New(old->field(), value, expire_ms);
    Delete(old);
    return made;
  }
  char* p = old->bytes();
  const auto size = static_cast<uint32_t>(value.size());
  if (wide) {
    std::memcpy(p + 5, &size, sizeof size);
  } else {
    p[1] = static_cast<char>(size);
  }
  if (expires) std::memcpy(p + s.header - sizeof expire_ms, &expire_ms, sizeof expire_ms);
  if (!value.empty()) std::memmove(p + s.header + s.field, value.data(), value.size());
  return old;
}

}  // namespace understudy::types
