#include "node/types/stream_id.h"

#include <bit>
#include <cctype>
#include <charconv>
#include <cstring>

namespace understudy::types {
namespace {

Status BadId() { return Invalid("ERR Invalid stream ID specified as stream command argument"); }

// As strtoull, which Redis asks: spaces and a plus may stand before it.
bool ParseNumber(std::string_view text, uint64_t* out) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text[0])) != 0) text.remove_prefix(1);
  if (text.starts_with('+')) text.remove_prefix(1);
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, *out);
  return error == std::errc() && stop == end;
}

uint64_t Swapped(uint64_t n) {
  static_assert(std::endian::native == std::endian::little);
  return __builtin_bswap64(n);
}

// auto_seq: nullptr where ms-* is not allowed.
bool ParseId(std::string_view text, uint64_t missing_seq, StreamId* out, bool* auto_seq) {
  text = text.substr(0, text.find('\0'));
  const size_t dash = text.find('-');
  if (!ParseNumber(text.substr(0, dash), &out->ms)) return false;
  out->seq = missing_seq;
  if (dash == std::string_view::npos) return true;
  const std::string_view seq = text.substr(dash + 1);
  if (auto_seq != nullptr && seq == "*") {
    out->seq = 0;
    *auto_seq = true;
    return true;
  }
  return ParseNumber(seq, &out->seq);
}

Result<StreamId> ParseBound(std::string_view text, uint64_t missing_seq, bool* excluded) {
  *excluded = text.size() > 1 && text[0] == '(';
  if (*excluded) return ParseStreamId(text.substr(1), missing_seq);
  if (text == "-") return kMinStreamId;
  if (text == "+") return kMaxStreamId;
  return ParseStreamId(text, missing_seq);
}

}  // namespace

std::string_view StreamId::PrintTo(char (&buffer)[kMaxText]) const {
  char* const end = buffer + sizeof buffer;
  char* at = std::to_chars(buffer, end, ms).ptr;
  *at++ = '-';
  at = std::to_chars(at, end, seq).ptr;
  return {buffer, static_cast<size_t>(at - buffer)};
}

std::string StreamId::ToString() const {
  char buffer[kMaxText];
  return std::string(PrintTo(buffer));
}

void StreamId::Store(char* out) const {
  const uint64_t numbers[2] = {Swapped(ms), Swapped(seq)};
  std::memcpy(out, numbers, kBytes);
}

StreamId StreamId::Load(const char* bytes) {
  uint64_t numbers[2];
  std::memcpy(numbers, bytes, kBytes);
  return {Swapped(numbers[0]), Swapped(numbers[1])};
}

bool Increment(StreamId* id) {
  if (*id == kMaxStreamId) return false;
  if (++id->seq == 0) ++id->ms;
  return true;
}

bool Decrement(StreamId* id) {
  if (id->zero()) return false;
  if (id->seq-- == 0) --id->ms;
  return true;
}

Result<StreamId> ParseStreamId(std::string_view text, uint64_t missing_seq) {
  StreamId id;
  if (!ParseId(text, missing_seq, &id, nullptr)) return BadId();
  return id;
}

Result<NewStreamId> ParseNewStreamId(std::string_view text) {
  NewStreamId made;
  if (text == "*") {
    made.auto_ms = made.auto_seq = true;
    return made;
  }
  if (!ParseId(text, 0, &made.id, &made.auto_seq)) return BadId();
  return made;
}

Result<StreamPosition> ParseStreamPosition(std::string_view text) {
  StreamPosition position;
  if (text == "$") {
    position.last = true;
  } else if (!ParseId(text, 0, &position.id, nullptr)) {
    return BadId();
  }
  return position;
}

Result<StreamId> ParseRangeStart(std::string_view text) {
  bool excluded;
  Result<StreamId> id = ParseBound(text, 0, &excluded);
  if (id.ok() && excluded && !Increment(&*id)) return Invalid("ERR invalid start ID for the interval");
  return id;
}

Result<StreamId> ParseRangeEnd(std::string_view text) {
  bool excluded;
  Result<StreamId> id = ParseBound(text, UINT64_MAX, &excluded);
  if (id.ok() && excluded && !Decrement(&*id)) return Invalid("ERR invalid end ID for the interval");
  return id;
}

}  // namespace understudy::types
