#include "node/resp/writer.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace understudy::resp {

char* WriteLongInteger(char* to, int64_t value) { return std::to_chars(to, to + 20, value).ptr; }

void Writer::SimpleString(std::string_view text) {
  char* p = out_->Reserve(text.size() + 3);
  *p++ = '+';
  p = std::copy(text.begin(), text.end(), p);
  *p++ = '\r';
  *p++ = '\n';
  out_->Commit(p);
}

void Writer::Error(std::string_view text) {
  errors_++;
  while (!text.empty() && (text.back() == '\r' || text.back() == '\n')) text.remove_suffix(1);
  const std::string_view code = text.substr(0, text.find(' '));
  last_error_code_size_ = static_cast<uint8_t>(std::min(code.size(), sizeof(last_error_code_)));
  std::copy_n(code.begin(), last_error_code_size_, last_error_code_);
  char* p = out_->Reserve(text.size() + 3);
  *p++ = '-';
  for (char c : text) *p++ = (c == '\r' || c == '\n') ? ' ' : c;
  *p++ = '\r';
  *p++ = '\n';
  out_->Commit(p);
}

void Writer::BulkInteger(int64_t value) {
  char digits[20];
  Bulk({digits, static_cast<size_t>(WriteInteger(digits, value) - digits)});
}

void Writer::Null() { out_->Append(protocol_ == 2 ? "$-1\r\n" : "_\r\n"); }
void Writer::NullArray() { out_->Append(protocol_ == 2 ? "*-1\r\n" : "_\r\n"); }
void Writer::Array(size_t elements) { Header('*', static_cast<int64_t>(elements)); }

void Writer::Map(size_t pairs) {
  if (protocol_ == 2) {
    Header('*', static_cast<int64_t>(pairs * 2));
  } else {
    Header('%', static_cast<int64_t>(pairs));
  }
}

void Writer::Set(size_t elements) { Header(protocol_ == 2 ? '*' : '~', static_cast<int64_t>(elements)); }
void Writer::Push(size_t elements) { Header(protocol_ == 2 ? '*' : '>', static_cast<int64_t>(elements)); }

void Writer::Double(double value) { DoubleText(FormatDouble(value)); }

void Writer::DoubleText(std::string_view text) {
  if (protocol_ == 2) return Bulk(text);
  char* p = out_->Reserve(text.size() + 3);
  *p++ = ',';
  p = std::copy(text.begin(), text.end(), p);
  *p++ = '\r';
  *p++ = '\n';
  out_->Commit(p);
}

void Writer::Boolean(bool value) {
  if (protocol_ == 2) return Integer(value ? 1 : 0);
  out_->Append(value ? "#t\r\n" : "#f\r\n");
}

void Writer::Verbatim(std::string_view format, std::string_view text) {
  if (protocol_ == 2) return Bulk(text);
  char* p = out_->Reserve(text.size() + format.size() + 30);
  *p++ = '=';
  p = WriteInteger(p, static_cast<int64_t>(text.size() + format.size() + 1));
  *p++ = '\r';
  *p++ = '\n';
  p = std::copy(format.begin(), format.end(), p);
  *p++ = ':';
  p = std::copy(text.begin(), text.end(), p);
  *p++ = '\r';
  *p++ = '\n';
  out_->Commit(p);
}

std::string FormatDouble(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  // Whole numbers without an exponent, as long as they are exact.
  if (value == std::floor(value) && std::fabs(value) < 1e17) {
    if (value == 0) return std::signbit(value) ? "-0" : "0";
    return std::to_string(static_cast<int64_t>(value));
  }
  char text[40];
  const auto end = std::to_chars(text, text + sizeof(text), value);
  std::string out(text, end.ptr);
  return out;
}

std::string FormatLongDouble(long double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char text[5 * 1024];
  const int n = std::snprintf(text, sizeof(text), "%.17Lf", value);
  std::string out(text, static_cast<size_t>(n));
  if (out.find('.') != std::string::npos) {
    out.erase(out.find_last_not_of('0') + 1);
    if (out.back() == '.') out.pop_back();
  }
  if (out == "-0") out = "0";
  return out;
}

}  // namespace understudy::resp
