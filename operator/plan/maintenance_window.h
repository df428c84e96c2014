// The weekly time in which deferred changes are applied: `ddd:hh24:mi-ddd:hh24:mi` in UTC, as the original
// has it (research: ElastiCache's PreferredMaintenanceWindow).
//
// Minutes of the week, counted from Sunday 00:00 UTC, modulo 10080; a window is half open, [start, end), and
// may pass the end of the week. Pure values: what time it is, is an argument.
#pragma once

#include <string>
#include <string_view>

#include "common/clock.h"
#include "common/result.h"

namespace understudy::plan {

inline constexpr int kMinutesPerWeek = 7 * 24 * 60;
inline constexpr int kMinWindowMinutes = 60;
inline constexpr int kMaxWindowMinutes = 24 * 60;

class MaintenanceWindow {
 public:
  // start: minute of the week, 0 to 10079; length in minutes, 60 to 1440.
  MaintenanceWindow(int start, int length);

  int start() const { return start_; }
  int length() const { return length_; }
  std::string Text() const;  // "sun:05:00-sun:06:00"

  bool IsOpen(WallTime now) const { return Left(now).ns > 0; }
  // How long it stays open; zero while it is closed.
  Duration Left(WallTime now) const;
  // The first opening after `now`; while it is open, the one of the next week.
  WallTime NextOpening(WallTime now) const;

  bool operator==(const MaintenanceWindow&) const = default;

 private:
  int start_;
  int length_;
};

// Days in any case. kInvalid, with one sentence: not of that form, or shorter or longer than allowed.
Result<MaintenanceWindow> ParseMaintenanceWindow(std::string_view text);

// The window of an object that names none: an hour that its UID picks, on a quarter of an hour, so that many
// objects are spread over the week and each keeps its own.
MaintenanceWindow DefaultMaintenanceWindow(std::string_view uid);

// "Sun 05:00Z", for people.
std::string WeekTimeText(WallTime time);

}  // namespace understudy::plan
