// CHECK: an invariant of our own that must hold, in production too. A failure prints the place and the
// condition to standard error and aborts: going on with broken state is worse than a restart.
#pragma once

namespace understudy {
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);
}

#define CHECK(condition) \
  (__builtin_expect(!!(condition), 1) ? (void)0 : ::understudy::CheckFailed(__FILE__, __LINE__, #condition))
