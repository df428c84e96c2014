#include "tests/bench/load/reply_reader.h"

#include <algorithm>
#include <charconv>

namespace understudy::load {

bool ReplyReader::Fail(std::string_view what, std::string_view line) {
  error_ = std::string(what) + " '" + std::string(line.substr(0, 200)) + "'";
  return false;
}

bool ReplyReader::Read(const char* data, size_t size) {
  const char* p = data;
  const char* const end = data + size;
  while (p < end) {
    if (skip_ > 0) {
      const uint64_t part = std::min<uint64_t>(skip_, static_cast<uint64_t>(end - p));
      p += part;
      skip_ -= part;
      if (skip_ == 0) EndElement();
      continue;
    }
    if (open_ == 0 && line_.empty() && end - p >= 8) {
      uint64_t word;
      std::memcpy(&word, p, 8);
      bool known = false;
      for (size_t i = 0; i < glance_count_; ++i) {
        const Glance& glance = glances_[i];
        if ((word & glance.mask) == glance.bits && static_cast<size_t>(end - p) >= glance.size) {
          p += glance.size;
          ++replies_;
          known = true;
          break;
        }
      }
      if (known) continue;
    }
    const char* newline = static_cast<const char*>(std::memchr(p, '\n', static_cast<size_t>(end - p)));
    if (newline == nullptr) {
      line_.append(p, end);
      if (line_.size() > kMaxLine) return Fail("a line without end", line_);
      return true;
    }
    bool good;
    if (line_.empty()) {
      good = ReadLine({p, static_cast<size_t>(newline - p)});
    } else {
      line_.append(p, newline);
      good = ReadLine(line_);
      line_.clear();
    }
    if (!good) return false;
    p = newline + 1;
  }
  return true;
}

// line: without its "\n".
bool ReplyReader::ReadLine(std::string_view line) {
  if (line.size() < 2 || line.back() != '\r') return Fail("no RESP reply:", line);
  line.remove_suffix(1);
  if (open_ == 0) open_ = 1;
  const char type = line[0];
  if (type == '+' || type == ':') {
    EndElement();
    return true;
  }
  if (type == '-') return Fail("the server answered", line);
  int64_t length = 0;
  const auto [end, error] = std::from_chars(line.data() + 1, line.data() + line.size(), length);
  if ((type != '$' && type != '*') || error != std::errc() || end != line.data() + line.size() || length < -1) {
    return Fail("no RESP reply:", line);
  }
  if (length < 0) {
    ++nulls_;
    EndElement();
  } else if (type == '$') {
    skip_ = static_cast<uint64_t>(length) + 2;
  } else {
    open_ += static_cast<uint64_t>(length);
    EndElement();
  }
  return true;
}

}  // namespace understudy::load
