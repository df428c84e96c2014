// FAILOVER.md section 6, steps 5 and 6: ask and elect; all nodes lost.
#include "tests/unit/operator/failover/group.h"

namespace understudy::failover {
namespace {

// The primary is proven dead and the fence is persisted.
void Begin(Group& g) {
  g.Die("a");
  (void)g.Persist();
  ASSERT_TRUE(g.state.failover);
}
// The primary is silent, not proven dead, and the fence is persisted.
void BeginSilent(Group& g) {
  g.Silence("a");
  for (const PodView& p : g.view.pods) {
    if (p.member != "a") g.Unlink(p.member);
  }
  (void)g.Persist();
  ASSERT_TRUE(g.state.failover);
  ASSERT_EQ(g.state.failover->reason, "PrimarySilent");
}
// The answers are in; expects an election.
void ElectNow(Group& g) {
  const Decision d = g.Decide();
  ASSERT_TRUE(d.persist) << d.findings.no_promotable_replica;
  g.state = *d.persist;
  ASSERT_EQ(g.state.failover->step, Step::kPromote);
}

TEST(Election, HeartbeatOffsetsAreNotUsed) {
  Group g;
  Begin(g);
  (void)g.Decide();
  g.Node("b").offset = 500;
  g.Pass(299);
  EXPECT_FALSE(g.Decide().persist);
}

TEST(Election, AnswersToAnotherQuestionDoNotCount) {
  Group g;
  Begin(g);
  g.FenceAndAnswer();
  for (PodView& p : g.view.pods) {
    if (p.answer) p.answer->state.nonce += 1;
  }
  EXPECT_FALSE(g.Decide().persist);
}

TEST(Election, DoesNotWaitForMoreOnceAllWhoAreConnectedAnswered) {
  Group g;
  Begin(g);
  g.FenceAndAnswer();
  ElectNow(g);
}

TEST(Election, WaitsALittleForThoseWhoAreConnected) {
  Group g;
  Begin(g);
  g.FenceAndAnswer({"c"});
  EXPECT_FALSE(g.Decide().persist);
  g.Pass(300);
  ElectNow(g);
  EXPECT_EQ(g.state.failover->winner.name, "b");
}

TEST(Election, TheLastRecordsEpochComesBeforeTheOffset) {
  Group g;
  Begin(g);
  g.Node("b").offset = 900;
  g.Node("c").last_record_epoch = 2;
  g.Node("b").last_record_epoch = 1;
  g.FenceAndAnswer();
  ElectNow(g);
  EXPECT_EQ(g.state.failover->winner.name, "c");
}

TEST(Election, TheLargerOffsetWins) {
  Group g;
  Begin(g);
  g.Node("c").offset = 101;
  g.FenceAndAnswer();
  ElectNow(g);
  EXPECT_EQ(g.state.failover->winner.name, "c");
  EXPECT_EQ(g.state.failover->offset, 101u);
}

TEST(Election, PrefersAnotherZoneOnEqualOffsetsThenTheLowerName) {
  Group g;
  g.Pod("b").zone = g.Pod("a").zone;
  Begin(g);
  g.FenceAndAnswer();
  ElectNow(g);
  EXPECT_EQ(g.state.failover->winner.name, "c");

  Group h;
  Begin(h);
  h.FenceAndAnswer();
  ElectNow(h);
  EXPECT_EQ(h.state.failover->winner.name, "b");
}

TEST(Election, AnUnfitNodeCountsAsNotAnsweringUntilItIsFit) {
  Group g(1);
  Begin(g);
  g.Node("b").unfit = true;
  g.FenceAndAnswer();
  EXPECT_FALSE(g.Decide().persist);
  g.Node("b").unfit = false;  // the answer that it gave stands
  ElectNow(g);
}

TEST(Election, AnIncompleteNodeIsNoCandidate) {
  Group g;
  Begin(g);
  g.Node("b").offset = 999;
  g.Node("b").complete = false;
  g.FenceAndAnswer();
  ElectNow(g);
  EXPECT_EQ(g.state.failover->winner.name, "c");
}

TEST(Election, ANodeThatStillHoldsTheDataOfAnotherGroupIsNoCandidate) {
  Group g;
  Begin(g);
  g.Node("b").offset = 999;
  g.Node("b").dataset = "another";
  g.FenceAndAnswer();
  ElectNow(g);
  EXPECT_EQ(g.state.failover->winner.name, "c");
}

TEST(Election, ADemotedOldPrimaryIsACandidateAndAnswersForItsEpoch) {
  Group g(2, 1);
  BeginSilent(g);
  g.Node("a").offset = 150;
  g.Node("a").in_office = g.Node("a").lease_held = false;
  g.Pass(10);
  g.Silence("b");
  g.Silence("c");
  g.FenceAndAnswer({"b", "c"});
  g.Pass(300, {"b", "c"});
  g.Answer({"b", "c"});
  ElectNow(g);
  EXPECT_EQ(g.state.failover->winner.incarnation, "a1");
}

// R - S + 1 answers (section 6, step 6): which numbers of answering voters are enough, the primary
// being silent.
TEST(Election, IsCoveredByRMinusSPlusOneVoters) {
  for (int r = 1; r <= 4; ++r) {
    for (uint32_t s = 0; s <= static_cast<uint32_t>(r); ++s) {
      for (int answers = 1; answers <= r; ++answers) {
        Group g(r, s);
        Failover fo;
        fo.epoch = g.state.epoch = 2;
        fo.old = g.state.primary;
        g.state.failover = fo;
        g.Silence("a");
        std::vector<std::string> silent = {"a"};
        for (int i = answers + 1; i <= r; ++i)
          silent.push_back(std::string(1, static_cast<char>('a' + i)));
        for (int i = 1; i <= r; ++i) g.Node(std::string(1, static_cast<char>('a' + i))).epoch = 2;
        g.Pass(60'000, silent);
        g.FenceAndAnswer(silent);
        g.Pass(5'000, silent);
        g.Answer(silent);
        const bool enough = s == 0 || answers >= r - static_cast<int>(s) + 1;
        EXPECT_EQ(g.Decide().persist.has_value(), enough)
            << "R=" << r << " S=" << s << " answers=" << answers;
      }
    }
  }
}

TEST(Election, EveryListedConfigurationMustBeCovered) {
  Group g(2, 1);
  control::Configuration c = g.state.configurations[0];
  c.voters = {g.Ref("b")};
  g.state.configurations[0] = c;
  c.number = 2;
  c.voters = {g.Ref("b"), g.Ref("c")};
  g.state.configurations.push_back(c);
  g.Die("a");
  (void)g.Persist();
  g.Silence("c");
  g.FenceAndAnswer({"c"});
  g.Pass(10'000, {"c"});
  g.Answer({"c"});
  const Decision d = g.Decide();
  EXPECT_FALSE(d.persist);  // a write of the newer one may be on a and c only
  EXPECT_NE(d.findings.no_promotable_replica.find("c"), std::string::npos);
  EXPECT_EQ(d.findings.failover_ready_reason, "NoPromotableReplica");
}

TEST(Election, WhenAllWhoAreSilentAreDeadTheBestAnswerWinsWithDataLost) {
  Group g(2, 1);
  g.Die("a");
  (void)g.Persist();
  g.Die("c");
  g.FenceAndAnswer();
  ElectNow(g);
  EXPECT_EQ(g.state.failover->winner.name, "b");
  EXPECT_TRUE(g.state.failover->data_lost);
}

TEST(Election, NothingIsLostWhenNothingWasPromised) {
  Group g(1, 2);  // fewer voters than S: nothing was ever acknowledged
  g.Die("a");
  (void)g.Persist();
  g.FenceAndAnswer();
  ElectNow(g);
  EXPECT_FALSE(g.state.failover->data_lost);
}

TEST(Election, AStaleOutsiderWaitsForTheVoters) {
  Group g;
  g.state.configurations[0].voters = {g.Ref("b")};
  Begin(g);
  g.Silence("b");
  g.FenceAndAnswer({"b"});
  g.Pass(1000, {"b"});
  g.Answer({"b"});
  EXPECT_FALSE(g.Decide().persist);
  g.Pass(4000, {"b"});
  g.Answer({"b"});
  ElectNow(g);
  EXPECT_EQ(g.state.failover->winner.name, "c");
}

TEST(Election, TheWinnersConfigurationNamesThoseWhoHoldAPrefix) {
  Group g(3);
  g.state.configurations[0].number = 7;
  Begin(g);
  g.Node("b").offset = 120;
  g.Node("c").offset = 110;
  g.Node("d").last_record_epoch = 0;  // another history
  g.FenceAndAnswer();
  ElectNow(g);
  const control::Configuration& c = g.state.configurations.back();
  EXPECT_EQ(g.state.configurations.size(), 2u);
  EXPECT_EQ(c.number, 8u);
  EXPECT_EQ(c.epoch, 2u);
  EXPECT_EQ(c.primary.incarnation, "b1");
  ASSERT_EQ(c.voters.size(), 1u);
  EXPECT_EQ(c.voters[0].incarnation, "c1");
}

// -- all nodes lost
TEST(EmptyStart, NeedsEveryListedIncarnationDeadOrHeardWithoutData) {
  Group g(1);
  g.Die("a");
  (void)g.Persist();
  (void)g.Decide();
  g.Pass(10);
  g.Start("a", "a2");
  g.Pod("b").channel.up = false;
  g.Pass(3000, {"b"});
  Decision d = g.Decide();
  EXPECT_FALSE(d.persist);
  EXPECT_NE(d.findings.no_promotable_replica.find("b"), std::string::npos);
  g.Die("b");
  d = g.Persist();
  EXPECT_TRUE(g.state.failover->empty_start);
  EXPECT_TRUE(g.state.failover->data_lost);
  EXPECT_EQ(g.state.dataset, "fresh");
  EXPECT_EQ(g.state.failover->winner.incarnation, "a2");
  ASSERT_FALSE(d.events.empty());
  EXPECT_EQ(d.events[0].reason, "DataLost");
  EXPECT_TRUE(d.events[0].warning);
  const Decision order = g.Decide();
  const std::vector<control::Order> orders = Group::To(order, "pod-a");
  ASSERT_EQ(orders.size(), 1u);
  EXPECT_FALSE(orders[0].promotion);
  EXPECT_EQ(orders[0].fresh_dataset, "fresh");
}

TEST(EmptyStart, WaitsForAPodThatNoConfigurationNames) {
  Group g(2);
  g.state.configurations[0].voters = {g.Ref("b")};
  g.Die("a");
  g.Die("b");
  (void)g.Persist();
  (void)g.Decide();
  g.Pass(10);
  g.Start("a", "a2");
  g.Silence("c");
  g.Pod("c").channel.up = false;
  g.Pass(3000, {"c"});
  const Decision d = g.Decide();
  EXPECT_FALSE(d.persist);
  EXPECT_NE(d.findings.no_promotable_replica.find("c"), std::string::npos);
}

TEST(EmptyStart, WithAMemberThatDoesNotAnswerTheGroupWaitsForIt) {
  Group g(1);
  g.Die("a");
  g.Die("b");
  for (const char* name : {"a", "b"}) g.Pod(name).exists = false;
  (void)g.Persist();
  const Decision d = g.Decide();
  EXPECT_FALSE(d.persist);
  EXPECT_EQ(d.findings.no_promotable_replica, "no node of the group answers");
}

TEST(EmptyStart, AVolumeMayStillHoldTheData) {
  Group g(1);
  g.MemberOf("b").has_volume = true;
  g.Die("a");
  g.Die("b");
  (void)g.Persist();
  (void)g.Decide();
  g.Pass(10);
  g.Start("a", "a2");
  g.Pass(3000, {"b"});
  EXPECT_FALSE(g.Decide().persist);
}

}  // namespace
}  // namespace understudy::failover
