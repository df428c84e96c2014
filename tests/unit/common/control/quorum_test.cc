#include "common/control/quorum.h"

#include <gtest/gtest.h>

#include <bit>

namespace understudy::control {
namespace {

// Section 5's table follows from one demand: grants of old and new can't both be enough.
TEST(Quorum, FencedVotersLeaveTooFewGrantors) {
  for (size_t voters = 1; voters <= 9; ++voters) {
    const size_t others =
        voters - FencesNeeded(voters);  // unfenced voters; the operator has stopped
    EXPECT_LT(others, GrantsNeeded(voters)) << voters;
    EXPECT_GE(others + 1, GrantsNeeded(voters)) << voters << ": one fence fewer would not do";
    // Losing the operator, or one replica, never stops writes.
    EXPECT_GE(voters, GrantsNeeded(voters)) << voters;
  }
}

TEST(Quorum, AnswersMeetEveryAcknowledgedWrite) {
  for (unsigned voters = 1; voters <= 6; ++voters)
    for (unsigned s = 1; s <= voters; ++s)
      for (unsigned holders = 0; holders < 1u << voters; ++holders)
        for (unsigned answers = 0; answers < 1u << voters; ++answers) {
          if (std::popcount(holders) != static_cast<int>(s)) continue;
          if (std::popcount(answers) != static_cast<int>(AnswersNeeded(voters, s))) continue;
          ASSERT_NE(holders & answers, 0u) << voters << " " << s;
        }
  EXPECT_EQ(AnswersNeeded(3, 0), 1u);
  EXPECT_EQ(AnswersNeeded(2, 3), 1u);
}

}  // namespace
}  // namespace understudy::control
