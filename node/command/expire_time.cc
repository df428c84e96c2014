#include "node/command/expire_time.h"

#include <string>

#include "node/command/call_context.h"

namespace understudy::command {

bool ReadExpireTime(std::string_view text, ExpireUnit unit, ExpireBase base, int64_t now_ms, int64_t least,
                    std::string_view command, int64_t* unix_ms, resp::Writer& reply) {
  int64_t value = 0;
  if (!ReadInt64(text, &value, reply)) return false;
  const bool bad = value < least ||
                   (unit == ExpireUnit::kSeconds && __builtin_mul_overflow(value, 1000, &value)) ||
                   (base == ExpireBase::kRelative && __builtin_add_overflow(value, now_ms, &value));
  if (bad) {
    reply.Error("ERR invalid expire time in '" + std::string(command) + "' command");
    return false;
  }
  // Before 1970 is as good as just expired; the store keeps one value for "none".
  *unix_ms = value < 0 ? 0 : value;
  return true;
}

bool TakeExpireOption(std::span<const std::string_view> options, size_t* i, ExpireOption* out) {
  const std::string_view word = options[*i];
  if (*i + 1 == options.size()) return false;
  if (!Is(word, "ex") && !Is(word, "px") && !Is(word, "exat") && !Is(word, "pxat")) return false;
  out->given = true;
  out->text = options[++*i];
  out->unit = word[0] == 'e' || word[0] == 'E' ? ExpireUnit::kSeconds : ExpireUnit::kMilliseconds;
  out->base = word.size() == 4 ? ExpireBase::kAbsolute : ExpireBase::kRelative;
  return true;
}

bool ReadExpireConditions(std::span<const std::string_view> options, ExpireConditions* out, resp::Writer& reply) {
  for (const std::string_view option : options) {
    if (Is(option, "nx")) {
      out->if_none = true;
    } else if (Is(option, "xx")) {
      out->if_some = true;
    } else if (Is(option, "gt")) {
      out->if_greater = true;
    } else if (Is(option, "lt")) {
      out->if_less = true;
    } else {
      reply.Error("ERR Unsupported option " + std::string(option));
      return false;
    }
  }
  if (out->if_none && (out->if_some || out->if_greater || out->if_less)) {
    reply.Error("ERR NX and XX, GT or LT options at the same time are not compatible");
    return false;
  }
  if (out->if_greater && out->if_less) {
    reply.Error("ERR GT and LT options at the same time are not compatible");
    return false;
  }
  return true;
}

}  // namespace understudy::command
