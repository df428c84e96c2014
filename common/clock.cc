#include "common/clock.h"

#include <time.h>

#include <cstdio>

namespace understudy {

MonoTime SystemClock::Mono() const {
  timespec ts{};
  clock_gettime(CLOCK_BOOTTIME, &ts);
  return {static_cast<int64_t>(ts.tv_sec) * 1'000'000'000 + ts.tv_nsec};
}

WallTime SystemClock::Wall() const {
  timespec ts{};
  clock_gettime(CLOCK_REALTIME, &ts);
  return {static_cast<int64_t>(ts.tv_sec) * 1'000 + ts.tv_nsec / 1'000'000};
}

namespace {
std::string Format(WallTime t, bool micro) {
  const int64_t ms = ((t.unix_ms % 1000) + 1000) % 1000;
  const time_t seconds = (t.unix_ms - ms) / 1000;
  tm parts{};
  gmtime_r(&seconds, &parts);
  char buffer[40];
  size_t n = strftime(buffer, sizeof buffer, "%Y-%m-%dT%H:%M:%S", &parts);
  if (micro) n += static_cast<size_t>(std::snprintf(buffer + n, sizeof buffer - n, ".%06d", static_cast<int>(ms) * 1000));
  return std::string(buffer, n) + "Z";
}
}  // namespace

std::string FormatRfc3339(WallTime t) { return Format(t, false); }
std::string FormatRfc3339Micro(WallTime t) { return Format(t, true); }

bool ParseRfc3339(const std::string& text, WallTime* out) {
  tm parts{};
  const char* rest = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr) return false;
  int64_t ms = 0;
  if (*rest == '.') {
    int64_t scale = 100;
    for (++rest; *rest >= '0' && *rest <= '9'; ++rest, scale /= 10) ms += (*rest - '0') * scale;
  }
  int64_t offset_s = 0;
  if (*rest == '+' || *rest == '-') {
    int hours = 0, minutes = 0, used = 0;
    if (std::sscanf(rest + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 || rest[1 + used] != '\0') return false;
    offset_s = (hours * 60 + minutes) * 60 * (*rest == '+' ? 1 : -1);
  } else if (rest[0] != 'Z' || rest[1] != '\0') {
    return false;
  }
  out->unix_ms = (static_cast<int64_t>(timegm(&parts)) - offset_s) * 1000 + ms;
  return true;
}

}  // namespace understudy
