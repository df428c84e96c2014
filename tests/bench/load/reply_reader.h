// Counts the replies in the bytes that a connection receives, and finds errors among them.
//
// A generator must cost less than the server that it loads: replies of a known first word and length are
// stepped over, the others are read element by element (RESP2). Bytes may be cut anywhere.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "tests/bench/load/commands.h"

namespace understudy::load {

class ReplyReader {
 public:
  explicit ReplyReader(const std::vector<ExpectedReply>& expected) {
    for (const ExpectedReply& reply : expected) {
      Glance& glance = glances_[glance_count_++];
      std::memcpy(&glance.bits, reply.prefix.data(), reply.prefix.size());
      std::memset(&glance.mask, 0xFF, reply.prefix.size());
      glance.size = reply.size;
    }
  }

  // False: an error reply, or bytes that are no reply; error() says which.
  [[nodiscard]] bool Read(const char* data, size_t size);

  uint64_t replies() const { return replies_; }  // since the start
  uint64_t nulls() const { return nulls_; }      // "no such key"
  const std::string& error() const { return error_; }

 private:
  static constexpr size_t kMaxLine = 64 * 1024;

  struct Glance {
    uint64_t bits = 0, mask = 0;
    uint32_t size = 0;
  };
  bool ReadLine(std::string_view line);
  bool Fail(std::string_view what, std::string_view line);
  void EndElement() {
    if (--open_ == 0) ++replies_;
  }

  std::array<Glance, 2> glances_{};
  size_t glance_count_ = 0;
  uint64_t skip_ = 0;  // bytes of a bulk string that are still to come
  uint64_t open_ = 0;  // elements of the present reply that are still to come
  std::string line_;   // the start of a line that was cut
  uint64_t replies_ = 0, nulls_ = 0;
  std::string error_;
};

}  // namespace understudy::load
