// The store's name for common/function_ref.h.
#pragma once

#include "common/function_ref.h"

namespace understudy::store {
using understudy::FunctionRef;
}  // namespace understudy::store
