// Writes replies in RESP2 or RESP3. A type that RESP2 lacks is written as Redis 7 does there: a map as a flat
// array, a set as an array, a double as a bulk string, a boolean as 0 or 1, null as "$-1".
// Arrays are announced with their length, so a caller counts before it writes.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "node/resp/output.h"

namespace understudy::resp {

// Decimal digits of `value` at `to` (room for 20); returns the end.
char* WriteLongInteger(char* to, int64_t value);
inline char* WriteInteger(char* to, int64_t value) {
  const auto n = static_cast<uint64_t>(value);  // most lengths have one or two digits
  if (n < 10) {
    *to = static_cast<char>('0' + n);
    return to + 1;
  }
  if (n >= 100) return WriteLongInteger(to, value);
  to[0] = static_cast<char>('0' + n / 10);
  to[1] = static_cast<char>('0' + n % 10);
  return to + 2;
}

class Writer {
 public:
  // protocol: 2 or 3.
  Writer(Output& out, int protocol) : out_(&out), protocol_(protocol) {}

  int protocol() const { return protocol_; }
  void set_protocol(int protocol) { protocol_ = protocol; }
  Output& output() { return *out_; }

  void Ok() { out_->Append("+OK\r\n"); }
  void SimpleString(std::string_view text);
  // text: code and sentence, "ERR syntax error". Line ends behind it are left out, others are replaced by spaces, as
  // clients would lose their place. errors() counts them; last_error_code() is the first word of the last one.
  void Error(std::string_view text);
  // The same, of an error that somebody has told of already: last_error_code() is empty.
  void ErrorToldBefore(std::string_view text) {
    Error(text);
    last_error_code_size_ = 0;
  }
  void Integer(int64_t value) { Header(':', value); }
  void Bulk(std::string_view value) {
    char* p = out_->Reserve(value.size() + 26);
    *p++ = '$';
    p = WriteInteger(p, static_cast<int64_t>(value.size()));
    *p++ = '\r';
    *p++ = '\n';
    if (!value.empty()) std::memcpy(p, value.data(), value.size());
    p += value.size();
    *p++ = '\r';
    *p++ = '\n';
    out_->Commit(p);
  }
  void BulkInteger(int64_t value);
  void Null();       // no such value
  void NullArray();  // no such list: "*-1" in RESP2
  void Array(size_t elements);
  void Map(size_t pairs);
  void Set(size_t elements);
  void Push(size_t elements);
  void Double(double value);
  // text: a number that is printed already.
  void DoubleText(std::string_view text);
  void Boolean(bool value);
  // format: three characters, "txt" or "mkd".
  void Verbatim(std::string_view format, std::string_view text);
  // Bytes that are a whole reply already.
  void Raw(std::string_view bytes) { out_->Append(bytes); }

  uint64_t errors() const { return errors_; }
  std::string_view last_error_code() const { return {last_error_code_, last_error_code_size_}; }

 private:
  void Header(char type, int64_t value) {
    char* p = out_->Reserve(24);
    *p++ = type;
    p = WriteInteger(p, value);
    *p++ = '\r';
    *p++ = '\n';
    out_->Commit(p);
  }

  Output* out_;
  int protocol_;
  uint64_t errors_ = 0;
  char last_error_code_[24] = {};
  uint8_t last_error_code_size_ = 0;
};

// A double as Redis prints it: the shortest text that reads back as the same value, "inf", "-inf", "nan".
std::string FormatDouble(double value);
// As INCRBYFLOAT prints it: 17 digits after the point at most, no exponent, no trailing zeros.
std::string FormatLongDouble(long double value);
}  // namespace understudy::resp
