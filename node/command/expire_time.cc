#include "node/command/expire_time.h"

#include <string>

#include "node/command/call_context.h"

namespace understudy::command {

bool ReadExpireTime(std::string_view text, ExpireUnit unit, ExpireBase base, int64_t now_ms, bool positive_only,
                    std::string_view command, int64_t* unix_ms, resp::Writer& reply) {
  int64_t value = 0;
  if (!ReadInt64(text, &value, reply)) return false;
  const bool bad = (positive_only && value <= 0) ||
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

}  // namespace understudy::command
