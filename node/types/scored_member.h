// ScoredMember: one member of a sorted set with its score, in one block.
//
// The table of members and the tree of scores both point here, so that a member's bytes are there once:
//
//   byte 0                8          9 (or 13)
//   +---------------------+----------+---------------+
//   | score (double)      | length   | member bytes  |     length 255: 4 bytes of length follow
//   +---------------------+----------+---------------+
//
// Whoever made it with New deletes it. The score changes only through a ScoreTree while the member is in one.
#pragma once

#include <malloc.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "common/check.h"

namespace understudy::types {

class ScoredMember {
 public:
  ScoredMember(const ScoredMember&) = delete;
  ScoredMember& operator=(const ScoredMember&) = delete;

  // score: no NaN.
  static ScoredMember* New(std::string_view member, double score) {
    CHECK(!std::isnan(score) && member.size() <= UINT32_MAX);
    const bool is_long = member.size() >= kLong;
    void* const block = std::malloc(kHeaderBytes + (is_long ? 4 : 0) + member.size());
    CHECK(block != nullptr);
    auto* const made = new (block) ScoredMember(score);
    char* p = static_cast<char*>(block) + kHeaderBytes;
    made->length_ = static_cast<uint8_t>(is_long ? kLong : member.size());
    if (is_long) {
      const auto n = static_cast<uint32_t>(member.size());
      std::memcpy(p, &n, sizeof n);
      p += sizeof n;
    }
    if (!member.empty()) std::memcpy(p, member.data(), member.size());
    return made;
  }
  static void Delete(ScoredMember* member) { std::free(member); }

  double score() const { return score_; }
  std::string_view member() const {
    const char* const p = reinterpret_cast<const char*>(this) + kHeaderBytes;
    if (length_ < kLong) [[likely]] return {p, length_};
    uint32_t n;
    std::memcpy(&n, p, sizeof n);
    return {p + sizeof n, n};
  }
  size_t AllocatedBytes() const { return malloc_usable_size(const_cast<ScoredMember*>(this)); }

 private:
  friend class ScoreTree;
  static constexpr size_t kHeaderBytes = 9;  // not sizeof: the member follows the length at once
  static constexpr uint8_t kLong = 255;

  explicit ScoredMember(double score) : score_(score) {}

  double score_;
  uint8_t length_ = 0;
};

}  // namespace understudy::types
