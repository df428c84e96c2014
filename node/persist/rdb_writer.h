// Writes RDB version 11, or one of the others that rdb_format.h names. Pure functions that append to a string; the
// caller concatenates, sends and keeps the CRC. Key records are independent of each other: what order they come in does
// not matter, as long as each is preceded somewhere by the SELECTDB of its database.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/function_ref.h"
#include "node/persist/rdb_format.h"
#include "node/store/entry.h"

namespace understudy::persist {

// Auxiliary fields, in order: names from rdb_format.h.
using AuxFields = std::vector<std::pair<std::string, std::string>>;

// version: kRdbVersion, kOldRdbVersion or kValkeyRdbVersion; also below.
void AppendRdbMagic(std::string& out, int version = kRdbVersion);
void AppendRdbLength(std::string& out, uint64_t n);
// As an integer if the text is one of at most 32 bits, else as bytes.
void AppendRdbString(std::string& out, std::string_view bytes);
void AppendRdbAux(std::string& out, std::string_view name, std::string_view value);
void AppendRdbSelectDb(std::string& out, int db);
void AppendRdbResizeDb(std::string& out, uint64_t keys, uint64_t keys_with_expire);
// Whole record of a key: expiry, type, key, value. Compact collections are copied, others written element by element.
// Only kValkeyRdbVersion has the TTLs of a hash's fields: in others these fields stay, and never expire.
void AppendRdbEntry(std::string& out, const store::Entry& entry, int version = kRdbVersion);
// The same in pieces: between two elements `next` is given what was written since its last call, and says where to go
// on; null: give up, which makes the result false.
bool AppendRdbEntryInPieces(std::string* out, const store::Entry& entry, int version,
                            FunctionRef<std::string*(std::string*)> next);
// All of the record but the value's bytes, which the caller sends after it: for large values (external()).
void AppendRdbEntryHead(std::string& out, const store::Entry& entry);
// EOF opcode and checksum. crc: over all that was written before the EOF opcode.
void AppendRdbEnd(std::string& out, uint64_t crc);

// What ends a DUMP payload: version, and CRC of all before it.
void AppendDumpEnd(std::string& out, int version);
// What DUMP answers: type, value, version, CRC. Version 11, but 80 for a hash with fields that have a TTL.
std::string DumpPayload(const store::Entry& entry);

}  // namespace understudy::persist
