#include "node/persist/rdb_writer.h"

#include <bit>

#include "common/check.h"
#include "node/persist/crc64.h"
#include "node/persist/rdb_format.h"

namespace understudy::persist {
namespace {

static_assert(std::endian::native == std::endian::little);

template <typename T>
void AppendLittleEndian(std::string& out, T n) {
  out.append(reinterpret_cast<const char*>(&n), sizeof n);
}

void AppendByte(std::string& out, uint8_t b) { out.push_back(static_cast<char>(b)); }

uint8_t TypeByte(store::Type type) {
  switch (type) {
    case store::Type::kString: return kTypeString;
  }
  CHECK(false);
}

}  // namespace

void AppendRdbMagic(std::string& out, int version) {
  const std::string digits = std::to_string(version);
  out += "REDIS";
  out.append(4 - digits.size(), '0');
  out += digits;
}

void AppendRdbLength(std::string& out, uint64_t n) {
  if (n < 64) {
    AppendByte(out, static_cast<uint8_t>(n));
  } else if (n < 16384) {
    AppendByte(out, static_cast<uint8_t>(0x40 | n >> 8));
    AppendByte(out, static_cast<uint8_t>(n));
  } else {
    const int bytes = n <= UINT32_MAX ? 4 : 8;
    AppendByte(out, bytes == 4 ? 0x80 : 0x81);
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) AppendByte(out, static_cast<uint8_t>(n >> shift));
  }
}

void AppendRdbString(std::string& out, std::string_view bytes) {
  int64_t n;
  if (bytes.size() <= 11 && store::ParseCanonicalInt(bytes, &n)) {
    if (n >= INT8_MIN && n <= INT8_MAX) {
      AppendByte(out, 0xc0);
      AppendLittleEndian(out, static_cast<int8_t>(n));
      return;
    }
    if (n >= INT16_MIN && n <= INT16_MAX) {
      AppendByte(out, 0xc1);
      AppendLittleEndian(out, static_cast<int16_t>(n));
      return;
    }
    if (n >= INT32_MIN && n <= INT32_MAX) {
      AppendByte(out, 0xc2);
      AppendLittleEndian(out, static_cast<int32_t>(n));
      return;
    }
  }
  AppendRdbLength(out, bytes.size());
  out += bytes;
}

void AppendRdbAux(std::string& out, std::string_view name, std::string_view value) {
  AppendByte(out, kOpAux);
  AppendRdbString(out, name);
  AppendRdbString(out, value);
}

void AppendRdbSelectDb(std::string& out, int db) {
  AppendByte(out, kOpSelectDb);
  AppendRdbLength(out, static_cast<uint64_t>(db));
}

void AppendRdbResizeDb(std::string& out, uint64_t keys, uint64_t keys_with_expire) {
  AppendByte(out, kOpResizeDb);
  AppendRdbLength(out, keys);
  AppendRdbLength(out, keys_with_expire);
}

void AppendRdbEntryHead(std::string& out, const store::Entry& entry) {
  CHECK(entry.external());
  if (entry.has_expire()) {
    AppendByte(out, kOpExpireMs);
    AppendLittleEndian(out, entry.expire_ms());
  }
  AppendByte(out, TypeByte(entry.type()));
  AppendRdbString(out, entry.key());
  AppendRdbLength(out, entry.value().size());
}

void AppendRdbEntry(std::string& out, const store::Entry& entry) {
  if (entry.external()) {
    AppendRdbEntryHead(out, entry);
    out += entry.value();
    return;
  }
  if (entry.has_expire()) {
    AppendByte(out, kOpExpireMs);
    AppendLittleEndian(out, entry.expire_ms());
  }
  AppendByte(out, TypeByte(entry.type()));
  AppendRdbString(out, entry.key());
  AppendRdbString(out, entry.value());
}

void AppendRdbEnd(std::string& out, uint64_t crc) {
  const char eof = static_cast<char>(kOpEof);
  out.push_back(eof);
  AppendLittleEndian(out, Crc64(crc, {&eof, 1}));
}

std::string DumpPayload(const store::Entry& entry) {
  std::string out;
  AppendByte(out, TypeByte(entry.type()));
  AppendRdbString(out, entry.value());
  AppendLittleEndian(out, static_cast<uint16_t>(kRdbVersion));
  AppendLittleEndian(out, Crc64(0, out));
  return out;
}

}  // namespace understudy::persist
