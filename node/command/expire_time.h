// Expiry times as commands give them, turned into Unix milliseconds, and the options around them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "node/resp/writer.h"

namespace understudy::command {

enum class ExpireUnit : uint8_t { kSeconds, kMilliseconds };
enum class ExpireBase : uint8_t { kRelative, kAbsolute };

// least: the smallest number that the command takes. command: the name for the error text. Writes the error reply and
// returns false if the value is no integer or out of range.
bool ReadExpireTime(std::string_view text, ExpireUnit unit, ExpireBase base, int64_t now_ms, int64_t least,
                    std::string_view command, int64_t* unix_ms, resp::Writer& reply);

// EX seconds, PX milliseconds, EXAT and PXAT with a Unix time: what SET and its like have among their options.
struct ExpireOption {
  bool given = false;
  std::string_view text;  // the number, for ReadExpireTime
  ExpireUnit unit = ExpireUnit::kSeconds;
  ExpireBase base = ExpireBase::kRelative;

  // The same word, with any number.
  bool IsLike(const ExpireOption& other) const { return unit == other.unit && base == other.base; }
};
// If options[*i] is one and a number follows: takes both, and *i is that of the number.
bool TakeExpireOption(std::span<const std::string_view> options, size_t* i, ExpireOption* out);

// NX, XX, GT, LT of EXPIRE and HEXPIRE.
struct ExpireConditions {
  bool if_none = false, if_some = false, if_greater = false, if_less = false;

  // expires: there is a time already, now_at. What has none lives longer than anything else.
  bool Hold(bool expires, int64_t now_at, int64_t new_at) const {
    if (if_none && expires) return false;
    if (if_some && !expires) return false;
    if (if_greater && (!expires || new_at <= now_at)) return false;
    if (if_less && expires && new_at >= now_at) return false;
    return true;
  }
};
// False after the error reply.
bool ReadExpireConditions(std::span<const std::string_view> options, ExpireConditions* out, resp::Writer& reply);

}  // namespace understudy::command
