#include "operator/plan/maintenance_window.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include "common/check.h"
#include "common/hash.h"

namespace understudy::plan {
namespace {

constexpr int64_t kMinute_ms = 60'000;
constexpr int64_t kWeek_ms = kMinutesPerWeek * kMinute_ms;
// Unix time begins on a Thursday; the week here on a Sunday.
constexpr int64_t kEpochOffset_ms = 4 * 24 * 60 * kMinute_ms;
constexpr std::array<const char*, 7> kDays = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
constexpr size_t kPointLength = 9;  // ddd:hh:mi

// Milliseconds since the last Sunday 00:00.
int64_t WeekMillis(WallTime time) {
  const int64_t rest = (time.unix_ms + kEpochOffset_ms) % kWeek_ms;
  return rest < 0 ? rest + kWeek_ms : rest;
}

std::string TwoDigits(int value) { return {static_cast<char>('0' + value / 10), static_cast<char>('0' + value % 10)}; }

std::string PointText(int minute) {
  return std::string(kDays[static_cast<size_t>(minute / 1440)]) + ":" + TwoDigits(minute % 1440 / 60) + ":" +
         TwoDigits(minute % 60);
}

std::optional<int> TwoDigitsAt(std::string_view text, size_t at, int limit) {
  const auto digit = [&](size_t i) { return text[i] >= '0' && text[i] <= '9' ? text[i] - '0' : -1; };
  const int tens = digit(at), ones = digit(at + 1);
  if (tens < 0 || ones < 0 || tens * 10 + ones >= limit) return std::nullopt;
  return tens * 10 + ones;
}

// "sun:05:00" in lower case.
std::optional<int> ParsePoint(std::string_view text) {
  if (text.size() != kPointLength || text[3] != ':' || text[6] != ':') return std::nullopt;
  const auto day = std::find(kDays.begin(), kDays.end(), text.substr(0, 3));
  const auto hour = TwoDigitsAt(text, 4, 24), minute = TwoDigitsAt(text, 7, 60);
  if (day == kDays.end() || !hour || !minute) return std::nullopt;
  return static_cast<int>(day - kDays.begin()) * 1440 + *hour * 60 + *minute;
}

}  // namespace

MaintenanceWindow::MaintenanceWindow(int start, int length) : start_(start), length_(length) {
  CHECK(start >= 0 && start < kMinutesPerWeek);
  CHECK(length >= kMinWindowMinutes && length <= kMaxWindowMinutes);
}

std::string MaintenanceWindow::Text() const {
  return PointText(start_) + "-" + PointText((start_ + length_) % kMinutesPerWeek);
}

Duration MaintenanceWindow::Left(WallTime now) const {
  const int64_t since_ms = (WeekMillis(now) - start_ * kMinute_ms + kWeek_ms) % kWeek_ms;
  return Milliseconds(std::max<int64_t>(length_ * kMinute_ms - since_ms, 0));
}

WallTime MaintenanceWindow::NextOpening(WallTime now) const {
  const int64_t until_ms = (start_ * kMinute_ms - WeekMillis(now) + kWeek_ms) % kWeek_ms;
  return {now.unix_ms + (until_ms == 0 ? kWeek_ms : until_ms)};
}

Result<MaintenanceWindow> ParseMaintenanceWindow(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  const std::string_view all = lower;
  std::optional<int> from, to;
  if (all.size() == 2 * kPointLength + 1 && all[kPointLength] == '-') {
    from = ParsePoint(all.substr(0, kPointLength));
    to = ParsePoint(all.substr(kPointLength + 1));
  }
  const std::string quoted = "preferredMaintenanceWindow is '" + std::string(text) + "'";
  if (!from || !to) {
    return Invalid(quoted + "; it must be ddd:hh24:mi-ddd:hh24:mi in UTC, for example sun:05:00-sun:06:00");
  }
  const int length = (*to - *from + kMinutesPerWeek) % kMinutesPerWeek;
  if (length < kMinWindowMinutes || length > kMaxWindowMinutes) {
    return Invalid(quoted + ", which is " + std::to_string(length) +
                   " minutes long; it must be 60 minutes to 24 hours long");
  }
  return MaintenanceWindow(*from, length);
}

MaintenanceWindow DefaultMaintenanceWindow(std::string_view uid) {
  // FNV-1a with a last mixing step: stable for ever, since an object keeps its hour over operator versions.
  uint64_t hash = Fnv1a(uid);
  hash ^= hash >> 33;
  hash *= 0xff51afd7ed558ccdull;
  hash ^= hash >> 33;
  constexpr int kQuarter = 15;
  return {static_cast<int>(hash % (kMinutesPerWeek / kQuarter)) * kQuarter, kMinWindowMinutes};
}

std::string WeekTimeText(WallTime time) {
  std::string text = PointText(static_cast<int>(WeekMillis(time) / kMinute_ms));
  text[0] = static_cast<char>(text[0] - 'a' + 'A');
  text[3] = ' ';
  return text + "Z";
}

}  // namespace understudy::plan
