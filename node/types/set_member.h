// SetMember: one member of a set, in one block: its length (a byte; 255: four more follow) and its bytes.
// Threads: as the table that it is in.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>

#include "common/check.h"

namespace understudy::types {

class SetMember {
 public:
  SetMember(const SetMember&) = delete;
  SetMember& operator=(const SetMember&) = delete;

  static SetMember* New(std::string_view text) {
    CHECK(text.size() <= UINT32_MAX);
    const auto size = static_cast<uint32_t>(text.size());
    const bool is_long = size >= kLong;
    void* block = std::malloc(1 + (is_long ? sizeof size : 0) + size);
    CHECK(block != nullptr);
    auto* made = new (block) SetMember;
    made->size_ = static_cast<uint8_t>(is_long ? kLong : size);
    char* p = static_cast<char*>(block) + 1;
    if (is_long) {
      std::memcpy(p, &size, sizeof size);
      p += sizeof size;
    }
    if (size > 0) std::memcpy(p, text.data(), size);
    return made;
  }
  static void Delete(SetMember* member) { std::free(member); }

  std::string_view text() const {
    const char* p = reinterpret_cast<const char*>(this) + 1;
    if (size_ != kLong) [[likely]] return {p, size_};
    uint32_t size;
    std::memcpy(&size, p, sizeof size);
    return {p + sizeof size, size};
  }

 private:
  static constexpr uint8_t kLong = 255;
  SetMember() = default;
  uint8_t size_;
};

inline std::string_view DictKey(const SetMember& member) { return member.text(); }

}  // namespace understudy::types
