#include "node/persist/function_dump.h"

#include "node/persist/crc64.h"
#include "node/persist/rdb_cursor.h"
#include "node/persist/rdb_format.h"
#include "node/persist/rdb_reader.h"
#include "node/persist/rdb_writer.h"

namespace understudy::persist {
namespace {

constexpr size_t kFooterBytes = 2 + 8;
constexpr size_t kMostCodeBytes = 512u << 20;

}  // namespace

void AppendRdbFunction(std::string& out, std::string_view code) {
  out.push_back(static_cast<char>(kOpFunction2));
  AppendRdbString(out, code);
}

std::string DumpFunctions(std::span<const std::string_view> codes) {
  std::string out;
  for (const std::string_view code : codes) AppendRdbFunction(out, code);
  AppendDumpEnd(out, kRdbVersion);
  return out;
}

Result<std::vector<std::string>> ParseFunctions(std::string_view payload) {
  if (payload.size() < kFooterBytes || !CheckDumpPayload(payload).ok()) {
    return Invalid("DUMP payload version or checksum are wrong");
  }
  RdbCursor cursor(payload.substr(0, payload.size() - kFooterBytes));
  std::vector<std::string> codes;
  while (!cursor.at_end()) {
    uint8_t op;
    if (!cursor.Byte(&op) || op != kOpFunction2) return Invalid("given type is not a function");
    std::string decoded;
    std::string_view code;
    if (!cursor.String(kMostCodeBytes, &decoded, &code)) return Invalid("failed loading functions payload");
    codes.emplace_back(code);
  }
  return codes;
}

}  // namespace understudy::persist
