#include "common/clock.h"

#include <gtest/gtest.h>

namespace understudy {
namespace {

TEST(Clock, NeverIsBeforeEverythingAndCanBeSubtracted) {
  const MonoTime never;
  EXPECT_LT(never, MonoTime{0});
  EXPECT_GT((SystemClock().Mono() - never).seconds(), 1e9);
  EXPECT_LT(never + Seconds(1'000'000), MonoTime{0});
}

TEST(Clock, TheSystemClockGoesOn) {
  const SystemClock clock;
  const MonoTime before = clock.Mono();
  EXPECT_LE(before, clock.Mono());
  EXPECT_GT(clock.Wall().unix_ms, 1'600'000'000'000);
}

TEST(Deadline, CountsDownToZero) {
  FakeClock clock;
  const Deadline deadline = Deadline::In(clock, Seconds(2));
  EXPECT_EQ(deadline.Left(clock.Mono()), Seconds(2));
  clock.Advance(Milliseconds(500));
  EXPECT_EQ(deadline.Left(clock.Mono()).ms(), 1500);
  EXPECT_FALSE(deadline.Passed(clock.Mono()));
  clock.Advance(Seconds(2));
  EXPECT_EQ(deadline.Left(clock.Mono()), Duration{});
  EXPECT_TRUE(deadline.Passed(clock.Mono()));
}

TEST(Rfc3339, FormatsAndParses) {
  const WallTime time{1'767'323'045'678};
  EXPECT_EQ(FormatRfc3339(time), "2026-01-02T03:04:05Z");
  EXPECT_EQ(FormatRfc3339Micro(time), "2026-01-02T03:04:05.678000Z");
  WallTime parsed;
  ASSERT_TRUE(ParseRfc3339("2026-01-02T03:04:05.678000Z", &parsed));
  EXPECT_EQ(parsed, time);
  ASSERT_TRUE(ParseRfc3339("2026-01-02T05:34:05+02:30", &parsed));
  EXPECT_EQ(parsed.unix_ms, 1'767'323'045'000);
  for (const char* wrong : {"", "2026-01-02", "2026-01-02T03:04:05", "2026-01-02T03:04:05Zx",
                            "2026-01-02T03:04:05+2:3x"})
    EXPECT_FALSE(ParseRfc3339(wrong, &parsed)) << wrong;
}

}  // namespace
}  // namespace understudy
