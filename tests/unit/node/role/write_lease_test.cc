#include "node/role/write_lease.h"

#include <gtest/gtest.h>

#include "common/control/quorum.h"
#include "tests/unit/node/role/rule_set_test_peer.h"

namespace understudy::role {
namespace {

constexpr MonoTime kStart{5'000'000'000};

control::NodeRef Voter(int i) {
  return {"node-" + std::to_string(i), "uid", "inc-" + std::to_string(i), "", ""};
}

control::Configuration Config(int voters, uint32_t lease_ms = 1500) {
  control::Configuration configuration;
  configuration.lease_ms = lease_ms;
  for (int i = 0; i < voters; ++i) configuration.voters.push_back(Voter(i));
  return configuration;
}

TEST(WriteLease, NeedsTheGrantsOfTheTable) {
  const size_t needed[] = {0, 1, 2, 2, 3, 3};
  const size_t fences[] = {0, 1, 1, 2, 2, 3};
  for (int voters = 0; voters <= 5; ++voters) {
    SCOPED_TRACE(voters);
    EXPECT_EQ(control::GrantsNeeded(voters), needed[voters]);
    if (voters > 0) {
      EXPECT_EQ(control::FencesNeeded(voters), fences[voters]);
    }
    WriteLease lease;
    lease.Start(1, Config(voters));
    const uint64_t seq = lease.NextRequest(kStart);
    for (size_t given = 0; given < needed[voters]; ++given) {
      EXPECT_FALSE(lease.Held(kStart));
      if (given == 0) {
        EXPECT_TRUE(lease.OnOperatorGrant(seq, 1));
        EXPECT_TRUE(lease.OnOperatorGrant(seq, 1));  // twice is once
      } else {
        EXPECT_TRUE(lease.OnVoterGrant(Voter(static_cast<int>(given)), seq, 1));
      }
    }
    EXPECT_TRUE(lease.Held(kStart));
    EXPECT_EQ(lease.HeldUntil(), voters == 0 ? kForever : kStart + Milliseconds(1500));
  }
}

TEST(WriteLease, VotersAloneAreEnough) {
  WriteLease lease;
  lease.Start(1, Config(3));
  const uint64_t seq = lease.NextRequest(kStart);
  lease.OnVoterGrant(Voter(0), seq, 1);
  lease.OnVoterGrant(Voter(2), seq, 1);
  EXPECT_TRUE(lease.Held(kStart));  // the operator being lost stops nothing
}

TEST(WriteLease, RunsFromTheSendingOfTheRequest) {
  WriteLease lease;
  lease.Start(1, Config(1));
  const uint64_t seq = lease.NextRequest(kStart);
  lease.NextRequest(kStart + Seconds(1));
  // The answer comes 1.4 s later.
  lease.OnVoterGrant(Voter(0), seq, 1);
  EXPECT_EQ(lease.HeldUntil(), kStart + Milliseconds(1500));
  EXPECT_FALSE(lease.Held(kStart + Milliseconds(1500)));
}

TEST(WriteLease, AnOlderAnswerDoesNotShortenIt) {
  WriteLease lease;
  lease.Start(1, Config(1));
  const uint64_t first = lease.NextRequest(kStart);
  const uint64_t second = lease.NextRequest(kStart + Milliseconds(400));
  lease.OnVoterGrant(Voter(0), second, 1);
  lease.OnVoterGrant(Voter(0), first, 1);
  EXPECT_EQ(lease.HeldUntil(), kStart + Milliseconds(1900));
}

TEST(WriteLease, EndsWithTheShortestOfTheNeededGrants) {
  WriteLease lease;
  lease.Start(1, Config(2));
  const uint64_t a = lease.NextRequest(kStart);
  const uint64_t b = lease.NextRequest(kStart + Milliseconds(100));
  const uint64_t c = lease.NextRequest(kStart + Milliseconds(200));
  lease.OnOperatorGrant(a, 1);
  lease.OnVoterGrant(Voter(0), b, 1);
  EXPECT_EQ(lease.HeldUntil(), kStart + Milliseconds(1500));
  lease.OnVoterGrant(Voter(1), c, 1);
  EXPECT_EQ(lease.HeldUntil(), kStart + Milliseconds(1600));
}

// With clocks 10 % apart each way and 1.25 T in the operator's wait, the lease is over before the
// wait is.
TEST(WriteLease, IsOverWithinTheOperatorsWaitOnClocksTenPercentApart) {
  WriteLease lease;
  lease.Start(1, Config(1, 1000));
  const uint64_t seq = lease.NextRequest(kStart);
  lease.OnVoterGrant(Voter(0), seq, 1);
  const double own_ms = static_cast<double>((lease.HeldUntil() - kStart).ms());
  const double slow_clock_real_ms = own_ms / 0.9;      // the primary's clock runs at 0.9
  const double fast_wait_real_ms = 1.25 * 1000 / 1.1;  // the operator's at 1.1
  EXPECT_LT(slow_clock_real_ms, fast_wait_real_ms);
}

TEST(WriteLease, ASmallerTShortensTheGrantsHeld) {
  WriteLease lease;
  lease.Start(1, Config(1, 4000));
  lease.OnVoterGrant(Voter(0), lease.NextRequest(kStart), 1);
  EXPECT_EQ(lease.HeldUntil(), kStart + Seconds(4));
  lease.Change(Config(1, 500));
  EXPECT_EQ(lease.HeldUntil(), kStart + Milliseconds(500));

  WriteLease careless(RuleSetTestPeer::Without({Rule::kClamp}));
  careless.Start(1, Config(1, 4000));
  careless.OnVoterGrant(Voter(0), careless.NextRequest(kStart), 1);
  careless.Change(Config(1, 500));
  EXPECT_EQ(careless.HeldUntil(), kStart + Seconds(4));  // story H6
}

TEST(WriteLease, VotersAreNamedByIncarnation) {
  control::NodeRef restarted = Voter(0);
  restarted.incarnation = "inc-new";
  WriteLease lease;
  lease.Start(1, Config(1));
  lease.OnVoterGrant(restarted, lease.NextRequest(kStart), 1);
  EXPECT_FALSE(lease.Held(kStart));

  WriteLease careless(RuleSetTestPeer::Without({Rule::kVoterIncarnation}));
  careless.Start(1, Config(1));
  careless.OnVoterGrant(restarted, careless.NextRequest(kStart), 1);
  EXPECT_TRUE(careless.Held(kStart));  // story H8
}

TEST(WriteLease, AReplicasGrantCountsAsSoonAsItIsAVoter) {
  WriteLease lease;
  lease.Start(1, Config(0));
  lease.OnVoterGrant(Voter(0), lease.NextRequest(kStart), 1);
  EXPECT_EQ(lease.HeldUntil(), kForever);
  lease.Change(Config(1));
  EXPECT_TRUE(lease.Held(kStart));  // the first voter's joining interrupts nothing
}

TEST(WriteLease, IgnoresOtherEpochsUnknownAndForgottenRequests) {
  WriteLease lease;
  lease.Start(2, Config(1));
  const uint64_t seq = lease.NextRequest(kStart);
  EXPECT_FALSE(lease.OnVoterGrant(Voter(0), seq, 1));
  EXPECT_FALSE(lease.OnVoterGrant(Voter(0), seq, 3));
  EXPECT_FALSE(lease.OnVoterGrant(Voter(0), seq + 1, 2));
  EXPECT_FALSE(lease.OnVoterGrant(Voter(0), 0, 2));
  for (size_t i = 0; i < WriteLease::kRememberedRequests; ++i)
    lease.NextRequest(kStart + Seconds(1));
  EXPECT_FALSE(lease.OnVoterGrant(Voter(0), seq, 2));
  EXPECT_TRUE(lease.OnVoterGrant(Voter(0), seq + 1, 2));
}

TEST(WriteLease, ANewOfficeStartsWithoutGrants) {
  WriteLease lease;
  lease.Start(1, Config(1));
  const uint64_t seq = lease.NextRequest(kStart);
  lease.OnVoterGrant(Voter(0), seq, 1);
  lease.Start(2, Config(1));
  EXPECT_FALSE(lease.Held(kStart));
  lease.Stop();
  EXPECT_FALSE(lease.OnVoterGrant(Voter(0), seq, 2));
  EXPECT_EQ(lease.HeldUntil(), MonoTime{});
}

TEST(WriteLease, RemembersABoundedNumberOfGrantors) {
  WriteLease lease;
  lease.Start(1, Config(1));
  for (int i = 0; i < 1000; ++i)
    lease.OnVoterGrant(Voter(1000 - i), lease.NextRequest(kStart + Milliseconds(i)), 1);
  lease.OnVoterGrant(Voter(0), lease.NextRequest(kStart + Seconds(2)), 1);
  EXPECT_TRUE(lease.Held(kStart + Seconds(2)));
}

}  // namespace
}  // namespace understudy::role
