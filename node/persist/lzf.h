// Reads LZF, the compression in RDB strings. (We write none: it costs more CPU than bandwidth inside a
// cluster.) Grammar, a control byte c at a time:
//   c < 32:  c + 1 literal bytes follow
//   else:    copy from the output: length (c >> 5) + 2, or if c >> 5 is 7 another byte is added to it;
//            distance ((c & 31) << 8 | last byte) + 1 backwards
// Pure.
#pragma once

#include <string>
#include <string_view>

#include "common/result.h"

namespace understudy::persist {
// size: what the result must be long; anything else is kInvalid. The caller has bounded it.
Result<std::string> LzfDecompress(std::string_view compressed, size_t size);
}  // namespace understudy::persist
