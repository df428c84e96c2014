#include "node/persist/crc64.h"

#include <array>
#include <cstring>

namespace understudy::persist {
namespace {

constexpr uint64_t kReflectedPolynomial = 0x95ac9329ac4bc9b5;  // 0xad93d23594c935a9, bits reversed

// tables[k][b]: CRC of byte b followed by k zero bytes, so that 8 bytes are folded at once.
constexpr std::array<std::array<uint64_t, 256>, 8> MakeTables() {
  std::array<std::array<uint64_t, 256>, 8> tables{};
  for (uint64_t b = 0; b < 256; ++b) {
    uint64_t crc = b;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) != 0 ? crc >> 1 ^ kReflectedPolynomial : crc >> 1;
    tables[0][b] = crc;
  }
  for (size_t b = 0; b < 256; ++b) {
    for (size_t k = 1; k < 8; ++k) tables[k][b] = tables[0][tables[k - 1][b] & 0xff] ^ tables[k - 1][b] >> 8;
  }
  return tables;
}
constexpr auto kTables = MakeTables();

}  // namespace

uint64_t Crc64(uint64_t crc, std::string_view bytes) {
  const char* p = bytes.data();
  size_t n = bytes.size();
  for (; n >= 8; n -= 8, p += 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    crc ^= word;
    crc = kTables[7][crc & 0xff] ^ kTables[6][crc >> 8 & 0xff] ^ kTables[5][crc >> 16 & 0xff] ^
          kTables[4][crc >> 24 & 0xff] ^ kTables[3][crc >> 32 & 0xff] ^ kTables[2][crc >> 40 & 0xff] ^
          kTables[1][crc >> 48 & 0xff] ^ kTables[0][crc >> 56];
  }
  for (; n > 0; --n, ++p) crc = kTables[0][(crc ^ static_cast<uint8_t>(*p)) & 0xff] ^ crc >> 8;
  return crc;
}

}  // namespace understudy::persist
