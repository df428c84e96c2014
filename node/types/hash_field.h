// HashField: a field of a hash with its value and perhaps a time at which it expires, in one block.
//
//   narrow: field to 63 bytes, value to 255       wide
//   +---------+--------+------------+-------+-------+   +---------+--------+--------+------------+-------+-------+
//   | flags,  | value  | expire ms: | field | value |   | flags   | field  | value  | expire ms: | field | value |
//   | field   | bytes  | 8, if TTL  |       |       |   |         | bytes: | bytes: | 8, if TTL  |       |       |
//   | bytes   |        |            |       |       |   |         | 4      | 4      |            |       |       |
//   +---------+--------+------------+-------+-------+   +---------+--------+--------+------------+-------+-------+
//
// Threads: as the table that it is in. Views are good until the next change of the field.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "node/types/dict.h"

namespace understudy::types {

// Unix milliseconds; this one for fields that do not expire.
inline constexpr int64_t kNoExpire = kNeverDue;

class HashField {
 public:
  HashField(const HashField&) = delete;
  HashField& operator=(const HashField&) = delete;

  static HashField* New(std::string_view field, std::string_view value, int64_t expire_ms);
  static void Delete(HashField* field);
  // The same field with another value or expiry: in place where the block allows it, else `old` is freed.
  static HashField* Changed(HashField* old, std::string_view value, int64_t expire_ms);

  std::string_view field() const {
    const Shape s = shape();
    return {bytes() + s.header, s.field};
  }
  std::string_view value() const {
    const Shape s = shape();
    return {bytes() + s.header + s.field, s.value};
  }
  int64_t expire_ms() const {
    if ((flags_ & kHasExpire) == 0) return kNoExpire;
    int64_t at;
    std::memcpy(&at, bytes() + shape().header - sizeof at, sizeof at);
    return at;
  }
  // It still lives in the millisecond of its expiry time, as in Valkey.
  bool ExpiredAt(int64_t now_ms) const { return (flags_ & kHasExpire) != 0 && now_ms > expire_ms(); }

 private:
  static constexpr uint8_t kHasExpire = 0x80;
  static constexpr uint8_t kWide = 0x40;
  static constexpr uint8_t kFieldBytes = 0x3f;

  struct Shape {
    uint32_t header, field, value;  // bytes
  };

  HashField() = default;
  const char* bytes() const { return reinterpret_cast<const char*>(this); }
  char* bytes() { return reinterpret_cast<char*>(this); }
  Shape shape() const {
    const uint32_t expire = (flags_ & kHasExpire) != 0 ? 8 : 0;
    if ((flags_ & kWide) == 0) [[likely]] {
      return {2 + expire, flags_ & uint32_t{kFieldBytes}, static_cast<uint8_t>(bytes()[1])};
    }
    uint32_t sizes[2];
    std::memcpy(sizes, bytes() + 1, sizeof sizes);
    return {9 + expire, sizes[0], sizes[1]};
  }

  uint8_t flags_;
};

inline std::string_view DictKey(const HashField& field) { return field.field(); }

}  // namespace understudy::types
