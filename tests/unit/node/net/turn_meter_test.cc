#include "node/net/turn_meter.h"

#include <gtest/gtest.h>

namespace understudy::net {
namespace {

class TurnMeterTest : public ::testing::Test {
 protected:
  TurnMeterTest() { meter_.Begin(cpu_); }
  void Turn(Duration wall, Duration cpu) {
    cpu_ = cpu_ + cpu;
    meter_.Add(wall, [this] {
      ++readings_;
      return cpu_;
    });
  }

  Duration cpu_ = Seconds(3);
  int readings_ = 0;
  TurnMeter meter_;
};

TEST_F(TurnMeterTest, ALongTurnCountsWithItsOwnCpuTime) {
  Turn(Milliseconds(5), Milliseconds(2));
  Turn(Milliseconds(3), Microseconds(300));
  EXPECT_EQ(meter_.longest(), Milliseconds(5));
  EXPECT_EQ(meter_.longest_cpu(), Milliseconds(2));
  EXPECT_EQ(meter_.long_turns(), 1u);
  EXPECT_EQ(meter_.turns(), 2u);
  EXPECT_EQ(meter_.total(), Milliseconds(8));
}

TEST_F(TurnMeterTest, ATurnIsNeverChargedMoreThanItsWallTime) {
  // Waiting between turns costs CPU time, too.
  for (int i = 0; i < 1000; ++i) Turn(Microseconds(5), Microseconds(9));
  EXPECT_EQ(meter_.longest_cpu(), Microseconds(5));
  Turn(Microseconds(900), Microseconds(950));
  EXPECT_EQ(meter_.longest_cpu(), Microseconds(900));
  EXPECT_EQ(meter_.long_turns(), 0u);
}

TEST_F(TurnMeterTest, ShortTurnsShareAReading) {
  for (int i = 0; i < 640; ++i) Turn(Microseconds(1), Microseconds(1));
  EXPECT_EQ(readings_, 10);
  for (int i = 0; i < 40; ++i) Turn(Microseconds(50), Microseconds(50));
  EXPECT_EQ(readings_, 30);
}

// Whatever the turns were, the figure is at least that of the longest, and too large by the others of its group at
// most.
TEST_F(TurnMeterTest, IsNeverTooSmallAndNeverFarTooLarge) {
  uint64_t random = 1;
  const auto below = [&random](int64_t limit) {
    random = random * 6364136223846793005 + 1442695040888963407;
    return static_cast<int64_t>(random >> 33) % limit;
  };
  for (int round = 0; round < 1000; ++round) {
    meter_.Reset();
    Duration most;
    for (int i = 0; i < 200; ++i) {
      const Duration cpu = Microseconds(below(10) == 0 ? below(3000) : below(20));
      most = std::max(most, cpu);
      Turn(cpu + Microseconds(below(10) == 0 ? below(5000) : 0), cpu);
    }
    for (uint32_t i = 0; i < TurnMeter::kGroupTurns; ++i) Turn({}, {});
    ASSERT_GE(meter_.longest_cpu(), most);
    ASSERT_LE(meter_.longest_cpu(), most + TurnMeter::kGroup);
  }
}

TEST_F(TurnMeterTest, ResetForgets) {
  Turn(Milliseconds(5), Milliseconds(2));
  meter_.Reset();
  EXPECT_EQ(meter_.longest(), Duration{});
  EXPECT_EQ(meter_.longest_cpu(), Duration{});
  EXPECT_EQ(meter_.long_turns(), 0u);
  EXPECT_EQ(meter_.turns(), 0u);
  Turn(Milliseconds(2), Microseconds(1500));
  EXPECT_EQ(meter_.longest_cpu(), Microseconds(1500)) << "the CPU time before the reset is not its own";
}

}  // namespace
}  // namespace understudy::net
