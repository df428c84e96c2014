// FAILOVER.md section 6, steps 3 and 4: fence and wait.
#include "tests/unit/operator/failover/group.h"

namespace understudy::failover {
namespace {

using control::OrderKind;

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

TEST(Fence, IsPersistedBeforeAnybodyIsToldAndStopsGrants) {
  Group g;
  BeginSilent(g);  // Persist() checked that nothing was ordered with it
  EXPECT_EQ(g.state.epoch, 2u);
  const Decision d = g.Decide();
  EXPECT_FALSE(d.grants.allowed);
  EXPECT_TRUE(Group::Orders(d, "b", OrderKind::kFence));
  EXPECT_TRUE(Group::Orders(d, "c", OrderKind::kFence));
  EXPECT_TRUE(Group::Orders(d, "a", OrderKind::kDemote));
}

TEST(Fence, TakesAnEpochAboveEveryOneHeard) {
  Group g;
  g.Node("c").epoch = 5;
  g.Die("a");
  (void)g.Persist();
  EXPECT_EQ(g.state.epoch, 6u);
  g.Node("b").epoch = 9;  // heard only now
  (void)g.Persist();
  EXPECT_EQ(g.state.epoch, 10u);
  EXPECT_EQ(g.state.failover->step, Step::kFence);
}

TEST(Fence, WithProofOfDeathTheQuestionIsTheFirstOrder) {
  Group g;
  Begin(g);
  const Decision d = g.Decide();
  EXPECT_TRUE(Group::Orders(d, "b", OrderKind::kOffset));
  EXPECT_FALSE(Group::Orders(d, "b", OrderKind::kFence));
}

TEST(Fence, ADemotedOldPrimaryEndsTheWait) {
  Group g;
  BeginSilent(g);
  g.Node("a").epoch = 2;
  g.Node("a").in_office = g.Node("a").lease_held = false;
  EXPECT_TRUE(Group::Orders(g.Decide(), "b", OrderKind::kOffset));
}

TEST(Fence, APrimaryThatOnlyHeardOfTheEpochIsNotDemoted) {
  Group g;
  BeginSilent(g);
  g.Node("a").epoch = 2;  // still in office, still with a lease
  EXPECT_FALSE(Group::Orders(g.Decide(), "b", OrderKind::kOffset));
}

// How many voters must be fenced or dead: R + 1 - A (section 5).
TEST(Fence, NeedsEnoughVotersForEachSize) {
  const size_t needed[] = {0, 1, 1, 2, 2, 3};
  for (int r = 1; r <= 5; ++r) {
    Group g(r);
    BeginSilent(g);
    size_t fenced = 0;
    for (int i = 1; i <= r && fenced < needed[r]; ++i) {
      g.Pass(60'000, {"a"});
      EXPECT_FALSE(Group::Orders(g.Decide(), "b", OrderKind::kOffset))
          << "R=" << r << " fenced " << fenced;
      g.Node(std::string(1, static_cast<char>('a' + i))).epoch = 2;
      ++fenced;
    }
    EXPECT_TRUE(Group::Orders(g.Decide(), "b", OrderKind::kOffset)) << "R=" << r;
  }
}

struct Wait {
  Group g{1};
  Wait() {
    g.view.me.last_grant = g.now - Seconds(50);
    BeginSilent(g);
    g.Node("b").epoch = 2;
  }
  // Milliseconds until the wait is over, found by asking.
  int64_t Left() {
    int64_t ms = 0;
    while (!Group::Orders(g.Decide(), "b", OrderKind::kOffset)) {
      EXPECT_LE(g.Decide().wake_at.ns, (g.now + Seconds(10)).ns);
      g.Pass(25, {"a"});
      int64_t& ago_ms = g.Node("b").last_granted_ms_ago;
      if (ago_ms >= 0) ago_ms += 25;
      ms += 25;
      if (ms > 20'000) break;
    }
    return ms;
  }
};

TEST(Wait, IsCountedFromTheFencedVotersOwnLastGrant) {
  Wait w;
  w.g.Node("b").last_granted_ms_ago = 300;
  EXPECT_EQ(w.Left(), 1875 - 300);  // 1.25 T
}

TEST(Wait, AVoterThatNeverGrantedAsksForNone) {
  Wait w;
  EXPECT_EQ(w.Left(), 0);
}

TEST(Wait, IsCountedFromTheOperatorsOwnLastGrant) {
  Wait w;
  w.g.view.me.last_grant = w.g.now - Milliseconds(375);
  EXPECT_EQ(w.Left(), 1500);
}

TEST(Wait, IsCountedFromTheLastMomentOfAnEarlierLeader) {
  Wait w;
  w.g.view.me.predecessors_until = w.g.now - Milliseconds(875);
  EXPECT_EQ(w.Left(), 1000);
}

TEST(Wait, IsCountedFromADeadVotersProof) {
  Wait w;
  w.g.Node("b").epoch = 1;
  w.g.Die("b");
  w.g.Add("c");  // somebody to ask
  w.g.Node("c").group = "uid";
  w.g.Node("c").epoch = 2;
  (void)w.g.Decide();
  int64_t ms = 0;
  while (!Group::Orders(w.g.Decide(), "c", OrderKind::kOffset)) {
    w.g.Pass(25, {"a"});
    ms += 25;
    ASSERT_LT(ms, 5000);
  }
  EXPECT_EQ(ms, 1875);
}

TEST(Wait, IsThatOfTheLargestLeaseInTheList) {
  Wait w;
  control::Configuration c = w.g.state.configurations[0];
  c.number = 2;
  c.lease_ms = 4000;
  w.g.state.configurations.insert(w.g.state.configurations.begin(), c);
  w.g.view.spec.lease_ms = 500;
  w.g.Node("b").last_granted_ms_ago = 0;
  EXPECT_EQ(w.Left(), 5000);
}

TEST(Wait, EveryListedConfigurationMustBeFenced) {
  Group g(3);
  control::Configuration c = g.state.configurations[0];
  c.number = 2;
  c.voters = {g.Ref("c"), g.Ref("d")};
  g.state.configurations.push_back(c);
  BeginSilent(g);
  g.Node("b").epoch = 2;
  g.Pass(60'000, {"a"});
  EXPECT_FALSE(Group::Orders(g.Decide(), "b", OrderKind::kOffset));
  g.Node("d").epoch = 2;  // now two of {b,c,d} and one of {c,d}
  EXPECT_TRUE(Group::Orders(g.Decide(), "b", OrderKind::kOffset));
}

TEST(Wait, NobodyIsAskedForAProofWhileTheFencesAreOnTheirWay) {
  Group g(1);
  g.Pass(1000, {"a"});
  g.Unlink("b");
  (void)g.Persist();
  EXPECT_FALSE(g.Decide().findings.waiting_for_proof);
  g.Pass(kProofPatience.ms(), {"a"});
  EXPECT_TRUE(g.Decide().findings.waiting_for_proof) << "the only voter does not answer its fence";
}

TEST(Wait, WithoutVotersOnlyDemotionOrDeathEndsIt) {
  Group g(1);
  g.state.configurations[0].voters.clear();
  Failover fo;
  fo.epoch = g.state.epoch = 2;
  fo.old = g.state.primary;
  g.state.failover = fo;
  g.Silence("a");
  g.Node("b").epoch = 2;
  g.Pass(600'000, {"a"});
  const Decision d = g.DecideAfterPatience({"a"});
  EXPECT_FALSE(Group::Orders(d, "b", OrderKind::kOffset));
  ASSERT_TRUE(d.findings.waiting_for_proof);
  EXPECT_EQ(d.findings.waiting_for_proof->incarnation, "a1");
  g.Die("a");
  EXPECT_TRUE(Group::Orders(g.Decide(), "b", OrderKind::kOffset));
}

}  // namespace
}  // namespace understudy::failover
