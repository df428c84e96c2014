// Writes RDB version 11. Pure functions that append to a string; the caller concatenates, sends and keeps the
// CRC. Key records are independent of each other: what order they come in does not matter, as long as each is
// preceded somewhere by the SELECTDB of its database.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "node/persist/rdb_format.h"
#include "node/store/entry.h"

namespace understudy::persist {

// Auxiliary fields, in order: names from rdb_format.h.
using AuxFields = std::vector<std::pair<std::string, std::string>>;

// version: kRdbVersion or kOldRdbVersion.
void AppendRdbMagic(std::string& out, int version = kRdbVersion);
void AppendRdbLength(std::string& out, uint64_t n);
// As an integer if the text is one of at most 32 bits, else as bytes.
void AppendRdbString(std::string& out, std::string_view bytes);
void AppendRdbAux(std::string& out, std::string_view name, std::string_view value);
void AppendRdbSelectDb(std::string& out, int db);
void AppendRdbResizeDb(std::string& out, uint64_t keys, uint64_t keys_with_expire);
// Whole record of a key: expiry, type, key, value.
void AppendRdbEntry(std::string& out, const store::Entry& entry);
// All of the record but the value's bytes, which the caller sends after it: for large values (external()).
void AppendRdbEntryHead(std::string& out, const store::Entry& entry);
// EOF opcode and checksum. crc: over all that was written before the EOF opcode.
void AppendRdbEnd(std::string& out, uint64_t crc);

// What DUMP answers: type, value, version, CRC.
std::string DumpPayload(const store::Entry& entry);

}  // namespace understudy::persist
