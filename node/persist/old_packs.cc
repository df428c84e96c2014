#include "node/persist/old_packs.h"

#include <cstdint>
#include <cstring>

namespace understudy::persist {
namespace {

// Takes from the front; false if there is not as much.
class Input {
 public:
  explicit Input(std::string_view bytes) : left_(bytes) {}
  size_t left() const { return left_.size(); }

  bool Byte(uint8_t* out) {
    if (left_.empty()) return false;
    *out = static_cast<uint8_t>(left_[0]);
    left_.remove_prefix(1);
    return true;
  }
  bool Bytes(uint64_t n, std::string_view* out) {
    if (n > left_.size()) return false;
    *out = left_.substr(0, n);
    left_.remove_prefix(n);
    return true;
  }
  template <typename T>
  bool LittleEndian(T* out) {
    std::string_view bytes;
    if (!Bytes(sizeof *out, &bytes)) return false;
    std::memcpy(out, bytes.data(), sizeof *out);
    return true;
  }
  // A byte, or 254 and 4 more for what a byte can't hold.
  bool Length(uint32_t* out) {
    uint8_t first;
    if (!Byte(&first) || first == 255) return false;
    *out = first;
    return first < 254 || (LittleEndian(out) && *out >= 254);
  }

 private:
  std::string_view left_;
};

template <typename T>
bool ReadInteger(Input& in, types::ListpackValue* out) {
  T n;
  if (!in.LittleEndian(&n)) return false;
  *out = types::ListpackValue(int64_t{n});
  return true;
}

bool ReadText(Input& in, uint64_t size, types::ListpackValue* out) {
  std::string_view text;
  if (!in.Bytes(size, &text)) return false;
  *out = types::ListpackValue(text);
  return true;
}

bool ReadZiplistValue(Input& in, types::ListpackValue* out) {
  uint8_t code;
  if (!in.Byte(&code)) return false;
  std::string_view bytes;
  switch (code >> 6) {
    case 0: return ReadText(in, code & 63, out);
    case 1: {
      uint8_t low;
      return in.Byte(&low) && ReadText(in, static_cast<uint64_t>(code & 63) << 8 | low, out);
    }
    case 2: {
      if (code != 0x80 || !in.Bytes(4, &bytes)) return false;
      uint64_t size = 0;
      for (const char c : bytes) size = size << 8 | static_cast<uint8_t>(c);
      return ReadText(in, size, out);
    }
    default: break;
  }
  switch (code) {
    case 0xc0: return ReadInteger<int16_t>(in, out);
    case 0xd0: return ReadInteger<int32_t>(in, out);
    case 0xe0: return ReadInteger<int64_t>(in, out);
    case 0xfe: return ReadInteger<int8_t>(in, out);
    case 0xf0: {
      if (!in.Bytes(3, &bytes)) return false;
      uint32_t n = 0;
      std::memcpy(&n, bytes.data(), 3);
      *out = types::ListpackValue(int64_t{static_cast<int32_t>(n << 8) >> 8});
      return true;
    }
    default: break;
  }
  if (code < 0xf1 || code > 0xfd) return false;
  *out = types::ListpackValue(int64_t{code} - 0xf1);
  return true;
}

}  // namespace

bool WalkZiplist(std::string_view bytes, FunctionRef<bool(const types::ListpackValue&)> fn) {
  constexpr uint16_t kUnknown = 65535;
  Input in(bytes);
  uint32_t total, last;
  uint16_t count;
  if (!in.LittleEndian(&total) || !in.LittleEndian(&last) || !in.LittleEndian(&count)) return false;
  if (total != bytes.size() || in.left() == 0 || static_cast<uint8_t>(bytes.back()) != 0xff) return false;
  uint64_t seen = 0;
  size_t before = 0;  // bytes of the entry before
  size_t last_seen = bytes.size() - in.left();
  while (in.left() > 1) {
    const size_t start = bytes.size() - in.left();
    uint32_t claimed;
    types::ListpackValue value;
    if (!in.Length(&claimed) || claimed != before || !ReadZiplistValue(in, &value) || in.left() == 0) return false;
    before = bytes.size() - in.left() - start;
    last_seen = start;
    ++seen;
    if (!fn(value)) return false;
  }
  return last == last_seen && (count == kUnknown || count == seen);
}

bool WalkZipmap(std::string_view bytes, FunctionRef<bool(std::string_view, std::string_view)> fn) {
  constexpr uint8_t kUnknown = 254;
  Input in(bytes);
  uint8_t count;
  if (!in.Byte(&count) || in.left() == 0 || static_cast<uint8_t>(bytes.back()) != 0xff) return false;
  uint64_t seen = 0;
  while (in.left() > 1) {
    uint32_t field_size, value_size;
    uint8_t unused;
    std::string_view field, value, rest;
    if (!in.Length(&field_size) || !in.Bytes(field_size, &field) || !in.Length(&value_size) || !in.Byte(&unused) ||
        !in.Bytes(value_size, &value) || !in.Bytes(unused, &rest) || in.left() == 0) {
      return false;
    }
    ++seen;
    if (!fn(field, value)) return false;
  }
  return count >= kUnknown || count == seen;
}

}  // namespace understudy::persist
