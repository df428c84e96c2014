// RdbCursor: reads the small parts of RDB from a view that may break off anywhere.
//
// Every method gives false when bytes are missing (need() says how many there must be in all) or, with an error set,
// when they are wrong. Then nothing of what it would have read counts. Lengths are checked against a limit before
// memory is taken for them. Pure.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace understudy::persist {

class RdbCursor {
 public:
  explicit RdbCursor(std::string_view in) : in_(in) {}

  bool Byte(uint8_t* out) {
    if (!Want(1)) return false;
    *out = static_cast<uint8_t>(in_[at_++]);
    return true;
  }
  template <typename T>
  bool LittleEndian(T* out) {
    if (!Want(sizeof *out)) return false;
    std::memcpy(out, in_.data() + at_, sizeof *out);
    at_ += sizeof *out;
    return true;
  }
  // n bytes as they are. view: of the input.
  bool Bytes(size_t n, std::string_view* view) {
    if (!Want(n)) return false;
    *view = in_.substr(at_, n);
    at_ += n;
    return true;
  }
  // A length, or if *encoded an encoding's number.
  bool Length(uint64_t* out, bool* encoded);
  bool PlainLength(uint64_t* out);
  // view: of the input, or of *decoded. limit: longest allowed.
  bool String(size_t limit, std::string* decoded, std::string_view* view);
  // A score as text behind a length of one byte, which also stands for what has no digits. Not NaN.
  bool TextDouble(double* out);

  bool Error(std::string what) {
    error_ = std::move(what);
    return false;
  }
  size_t at() const { return at_; }
  bool at_end() const { return at_ == in_.size(); }
  size_t need() const { return need_; }
  const std::optional<std::string>& error() const { return error_; }

 private:
  bool Want(uint64_t n) {
    if (in_.size() - at_ >= n) return true;
    need_ = at_ + n;
    return false;
  }
  template <typename T>
  bool Integer(std::string* decoded, std::string_view* view);
  bool Lzf(size_t limit, std::string* decoded, std::string_view* view);

  const std::string_view in_;
  size_t at_ = 0;
  size_t need_ = 0;
  std::optional<std::string> error_;
};

}  // namespace understudy::persist
