#include "common/result.h"

#include <cstdio>
#include <cstdlib>

namespace understudy {

void CheckFailed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, condition);
  std::abort();
}

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kOk: return "ok";
    case Code::kInvalid: return "invalid";
    case Code::kNotFound: return "not found";
    case Code::kConflict: return "conflict";
    case Code::kUnavailable: return "unavailable";
    case Code::kDenied: return "denied";
    case Code::kExpired: return "expired";
    case Code::kInternal: return "internal";
  }
  return "unknown";
}

Status Status::Prefixed(std::string_view context) const {
  if (ok()) return {};
  return {code(), std::string(context) + ": " + std::string(message())};
}

std::string Status::ToString() const {
  if (ok()) return "ok";
  return std::string(CodeName(code())) + ": " + std::string(message());
}

}  // namespace understudy
