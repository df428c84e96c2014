// Expiry times as commands give them, turned into Unix milliseconds.
#pragma once

#include <cstdint>
#include <string_view>

#include "node/resp/writer.h"

namespace understudy::command {

enum class ExpireUnit : uint8_t { kSeconds, kMilliseconds };
enum class ExpireBase : uint8_t { kRelative, kAbsolute };

// positive_only: SET and GETEX refuse times that are not positive. command: the name for the error text. Writes
// the error reply and returns false if the value is no integer or out of range.
bool ReadExpireTime(std::string_view text, ExpireUnit unit, ExpireBase base, int64_t now_ms, bool positive_only,
                    std::string_view command, int64_t* unix_ms, resp::Writer& reply);

}  // namespace understudy::command
