#include "node/persist/rdb_cursor.h"

#include <spdlog/fmt/fmt.h>

#include <cmath>

#include "node/persist/lzf.h"
#include "node/types/score_text.h"

namespace understudy::persist {

bool RdbCursor::Length(uint64_t* out, bool* encoded) {
  uint8_t first;
  if (!Byte(&first)) return false;
  *encoded = false;
  switch (first >> 6) {
    case 0: *out = first & 63; return true;
    case 1: {
      uint8_t second;
      if (!Byte(&second)) return false;
      *out = static_cast<uint64_t>(first & 63) << 8 | second;
      return true;
    }
    case 2: {
      if (first != 0x80 && first != 0x81) return Error(fmt::format("length starts with byte {:#04x}", first));
      const size_t n = first == 0x80 ? 4 : 8;
      if (!Want(n)) return false;
      *out = 0;
      for (size_t i = 0; i < n; ++i) *out = *out << 8 | static_cast<uint8_t>(in_[at_++]);
      return true;
    }
    default: *encoded = true; *out = first & 63; return true;
  }
}

bool RdbCursor::PlainLength(uint64_t* out) {
  bool encoded;
  if (!Length(out, &encoded)) return false;
  if (encoded) return Error("a length is expected where an encoded string stands");
  return true;
}

template <typename T>
bool RdbCursor::Integer(std::string* decoded, std::string_view* view) {
  T n;
  if (!LittleEndian(&n)) return false;
  *decoded = std::to_string(n);
  *view = *decoded;
  return true;
}

bool RdbCursor::String(size_t limit, std::string* decoded, std::string_view* view) {
  uint64_t n;
  bool encoded;
  if (!Length(&n, &encoded)) return false;
  if (!encoded) {
    if (n > limit) return Error(fmt::format("string of {} bytes is longer than the {} allowed", n, limit));
    if (!Want(n)) return false;
    *view = in_.substr(at_, n);
    at_ += n;
    return true;
  }
  switch (n) {
    case 0: return Integer<int8_t>(decoded, view);
    case 1: return Integer<int16_t>(decoded, view);
    case 2: return Integer<int32_t>(decoded, view);
    case 3: return Lzf(limit, decoded, view);
    default: return Error(fmt::format("string encoding {} is not known; 0 to 3 are", n));
  }
}

bool RdbCursor::Lzf(size_t limit, std::string* decoded, std::string_view* view) {
  uint64_t compressed, size;
  if (!PlainLength(&compressed) || !PlainLength(&size)) return false;
  if (size > limit) return Error(fmt::format("string of {} bytes is longer than the {} allowed", size, limit));
  // One byte of input gives at most 132 (a run of 264 from 3 bytes is less a byte): more is a lie.
  if (compressed > size + size / 16 + 64) return Error("compressed string is longer than its contents");
  if (size / 132 > compressed) return Error("compressed string is too short for its contents");
  if (!Want(compressed)) return false;
  Result<std::string> text = LzfDecompress(in_.substr(at_, compressed), size);
  if (!text.ok()) return Error(std::string(text.status().message()));
  at_ += compressed;
  *decoded = *std::move(text);
  *view = *decoded;
  return true;
}

bool RdbCursor::TextDouble(double* out) {
  const size_t start = at_;
  uint8_t n;
  if (!Byte(&n)) return false;
  switch (n) {
    case 255: *out = -INFINITY; return true;
    case 254: *out = INFINITY; return true;
    case 253: return Error("a score is not a number");
    default: break;
  }
  if (!Want(n)) {
    at_ = start;
    return false;
  }
  const std::string_view text = in_.substr(at_, n);
  const std::optional<double> score = types::ParseScore(text);
  if (!score) return Error("a score is not a number");
  at_ += n;
  *out = *score;
  return true;
}

}  // namespace understudy::persist
