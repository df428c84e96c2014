// Whether a listpack that came from outside names each member or field once. Pure.
#pragma once

#include "node/types/listpack.h"

namespace understudy::types {

// Looks at one of every `stride` values, by their texts. O(n log n).
bool AllDistinct(ListpackView pack, size_t stride);

}  // namespace understudy::types
