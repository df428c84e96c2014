// CRC-64 as Redis uses it (Jones): polynomial 0xad93d23594c935a9, reflected, start 0, no final xor.
// Crc64(0, "123456789") = 0xe9c6d914c4b8d9ca. Pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace understudy::persist {
// crc: of what came before, 0 at the start.
uint64_t Crc64(uint64_t crc, std::string_view bytes);
}  // namespace understudy::persist
