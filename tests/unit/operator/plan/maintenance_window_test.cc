#include "operator/plan/maintenance_window.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

namespace understudy::plan {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kMinute_ms = 60'000;

WallTime At(const std::string& text) {
  WallTime time;
  EXPECT_TRUE(ParseRfc3339(text, &time)) << text;
  return time;
}

MaintenanceWindow Window(const std::string& text) {
  const auto window = ParseMaintenanceWindow(text);
  EXPECT_TRUE(window.ok()) << text << ": " << window.status().ToString();
  return window.ok() ? *window : MaintenanceWindow(0, 60);
}

// 2026-11-22 is a Sunday.
const WallTime kSunday = At("2026-11-22T00:00:00Z");

// Against the simplest model: every minute of a week, marked by hand.
void ExpectAsMarked(const MaintenanceWindow& window) {
  std::vector<bool> open(kMinutesPerWeek, false);
  for (int i = 0; i < window.length(); ++i) open[static_cast<size_t>((window.start() + i) % kMinutesPerWeek)] = true;
  for (int minute = 0; minute < kMinutesPerWeek; ++minute) {
    const WallTime now{kSunday.unix_ms + minute * kMinute_ms};
    ASSERT_EQ(window.IsOpen(now), open[static_cast<size_t>(minute)]) << window.Text() << " at minute " << minute;
    int left = 0;
    while (left < kMinutesPerWeek && open[static_cast<size_t>((minute + left) % kMinutesPerWeek)]) ++left;
    ASSERT_EQ(window.Left(now), Milliseconds(left * kMinute_ms)) << window.Text() << " at minute " << minute;
    int next = 1;
    while ((minute + next) % kMinutesPerWeek != window.start()) ++next;
    ASSERT_EQ(window.NextOpening(now).unix_ms, now.unix_ms + next * kMinute_ms)
        << window.Text() << " at minute " << minute;
  }
}

TEST(MaintenanceWindow, IsRightInEveryMinuteOfTheWeek) {
  for (const char* text : {"sun:00:00-sun:01:00", "sun:05:00-sun:06:00", "wed:23:30-thu:01:15", "sat:23:00-sun:00:00",
                           "sat:23:00-sun:01:30", "sat:12:00-sun:12:00", "fri:00:00-sat:00:00"}) {
    ExpectAsMarked(Window(text));
  }
}

TEST(MaintenanceWindow, IsHalfOpenToTheMillisecond) {
  const MaintenanceWindow window = Window("sun:05:00-sun:06:00");
  const int64_t opens = kSunday.unix_ms + 300 * kMinute_ms, closes = opens + 60 * kMinute_ms;
  EXPECT_FALSE(window.IsOpen({opens - 1}));
  EXPECT_EQ(window.NextOpening({opens - 1}).unix_ms, opens);
  EXPECT_TRUE(window.IsOpen({opens}));
  EXPECT_EQ(window.Left({opens}), Seconds(3600));
  EXPECT_EQ(window.NextOpening({opens}).unix_ms, opens + 7 * 24 * 3600'000) << "it is open already";
  EXPECT_EQ(window.Left({closes - 1}), Milliseconds(1));
  EXPECT_FALSE(window.IsOpen({closes}));
}

TEST(MaintenanceWindow, PassesTheEndOfTheWeek) {
  const MaintenanceWindow window = Window("sat:23:00-sun:01:30");
  EXPECT_EQ(window.length(), 150);
  EXPECT_EQ(window.Left(kSunday), Seconds(90 * 60));
  EXPECT_EQ(window.NextOpening(kSunday), At("2026-11-28T23:00:00Z"));
  EXPECT_EQ(window.Text(), "sat:23:00-sun:01:30");
}

TEST(MaintenanceWindow, KnowsTheDaysBefore1970) {
  EXPECT_TRUE(Window("wed:23:00-thu:00:00").IsOpen(At("1969-12-31T23:30:00Z")));
}

// The original's own examples: it is Thursday, November 9, 15:00, and the window is moved.
TEST(MaintenanceWindow, OpensNextAsTheOriginalsExamplesSay) {
  const WallTime now = At("2017-11-09T15:00:00Z");
  EXPECT_EQ(Window("fri:17:00-fri:18:00").NextOpening(now), At("2017-11-10T17:00:00Z"));
  EXPECT_EQ(Window("fri:16:00-fri:17:00").NextOpening(now), At("2017-11-10T16:00:00Z"));
  EXPECT_EQ(Window("sat:16:00-sat:17:00").NextOpening(now), At("2017-11-11T16:00:00Z"));
  EXPECT_EQ(Window("wed:16:00-wed:17:00").NextOpening(now), At("2017-11-15T16:00:00Z"));
}

TEST(MaintenanceWindow, TakesDaysInAnyCaseAndWritesThemSmall) {
  EXPECT_EQ(Window("Sun:05:00-SUN:06:00").Text(), "sun:05:00-sun:06:00");
}

TEST(MaintenanceWindow, SaysWhatIsWrongAndWhatIsAllowed) {
  for (const char* text : {"", "sun:05:00", "sun:05:00-", "sun:5:00-sun:06:00", "sun:05:00-sun:06:00 ", "sun:24:00-mon:01:00",
                           "sun:05:60-sun:07:00", "son:05:00-son:06:00", "sun-05:00-sun-06:00", "05:00-06:00",
                           "sun:05:00/sun:06:00", "sun:-5:00-sun:06:00"}) {
    const auto window = ParseMaintenanceWindow(text);
    ASSERT_FALSE(window.ok()) << text;
    EXPECT_EQ(window.status().code(), Code::kInvalid);
    EXPECT_EQ(window.status().message(),
              "preferredMaintenanceWindow is '" + std::string(text) +
                  "'; it must be ddd:hh24:mi-ddd:hh24:mi in UTC, for example sun:05:00-sun:06:00");
  }
  EXPECT_EQ(ParseMaintenanceWindow("sun:05:00-sun:05:59").status().message(),
            "preferredMaintenanceWindow is 'sun:05:00-sun:05:59', which is 59 minutes long; it must be 60 minutes to "
            "24 hours long");
  EXPECT_THAT(std::string(ParseMaintenanceWindow("sun:05:00-mon:05:01").status().message()), HasSubstr("1441 minutes"));
  EXPECT_FALSE(ParseMaintenanceWindow("sun:05:00-sun:05:00").ok());
  EXPECT_FALSE(ParseMaintenanceWindow("sun:06:00-sun:05:00").ok()) << "all week but an hour";
  EXPECT_TRUE(ParseMaintenanceWindow("sun:05:00-sun:06:00").ok());
  EXPECT_TRUE(ParseMaintenanceWindow("sun:05:00-mon:05:00").ok());
}

TEST(MaintenanceWindow, WritesWhatItReads) {
  for (int start = 0; start < kMinutesPerWeek; start += 7) {
    for (const int length : {60, 61, 719, 1440}) {
      const MaintenanceWindow window(start, length);
      ASSERT_EQ(Window(window.Text()), window);
    }
  }
}

TEST(MaintenanceWindow, ByDefaultIsAnHourOfTheObjectsOwnSpreadOverTheWeek) {
  EXPECT_EQ(DefaultMaintenanceWindow("uid-1"), DefaultMaintenanceWindow("uid-1"));
  // It must not move with a later version: the hour of a UID is what it has been.
  EXPECT_EQ(DefaultMaintenanceWindow("4f0c1d1e-0b1f-4c7e-9d59-0a1b2c3d4e5f").Text(), "wed:07:15-wed:08:15");
  std::map<int, int> per_day;
  for (int i = 0; i < 7000; ++i) {
    const MaintenanceWindow window = DefaultMaintenanceWindow("uid-" + std::to_string(i));
    ASSERT_EQ(window.length(), 60);
    ASSERT_EQ(window.start() % 15, 0);
    ++per_day[window.start() / 1440];
  }
  ASSERT_EQ(per_day.size(), 7u);
  for (const auto& [day, count] : per_day) {
    EXPECT_GT(count, 800) << day;
    EXPECT_LT(count, 1200) << day;
  }
}

TEST(MaintenanceWindow, ATimeOfTheWeekIsShort) {
  EXPECT_EQ(WeekTimeText(At("2026-11-22T05:00:00Z")), "Sun 05:00Z");
  EXPECT_EQ(WeekTimeText(At("2026-11-28T23:59:59Z")), "Sat 23:59Z");
}

}  // namespace
}  // namespace understudy::plan
