// FAILOVER.md section 4, sentence by sentence.
#include "tests/unit/operator/failover/group.h"

namespace understudy::failover {
namespace {

bool Dead(Group& g, const std::string& incarnation) {
  (void)g.Decide();
  return std::any_of(g.view.memory.deaths.begin(), g.view.memory.deaths.end(),
                     [&](const Death& d) { return d.incarnation == incarnation; });
}

LifelineEnd& Lifeline(Group& g) {
  g.view.lifelines.push_back({"a1", {}, {}});
  return g.view.lifelines.back();
}

TEST(ProofOfDeath, TheKubeletsWordNamesTheIncarnation) {
  Group g;
  EXPECT_FALSE(Dead(g, "a1"));
  g.Pod("a").terminated = {"a0"};
  EXPECT_FALSE(Dead(g, "a1"));
  g.Pod("a").terminated = {"a0", "a1"};
  EXPECT_TRUE(Dead(g, "a1"));
}

TEST(ProofOfDeath, TheKubeletsWordOfAnotherPodUidProvesNothing) {
  Group g;
  PodView other = g.Pod("a");
  other.pod_uid = "pod-a-again";
  other.terminated = {"a1"};
  other.heard.reset();
  g.view.pods.push_back(other);
  EXPECT_FALSE(Dead(g, "a1"));
}

TEST(ProofOfDeath, AVanishedPodCountsOnlyIfItsLastVersionShowedIt) {
  Group g;
  g.Pod("b").channel.up = false;
  g.Pod("b").exists = false;
  EXPECT_FALSE(Dead(g, "b1"));
  for (PodView& p : g.view.pods) {
    if (p.member == "b") p.terminated = {"b1"};
  }
  EXPECT_TRUE(Dead(g, "b1"));
}

TEST(ProofOfDeath, SilenceALostNodeAStoppedContainerAndAForcedDeletionProveNothing) {
  Group g;
  g.Silence("a");
  PodView& p = g.Pod("a");
  p.node_lost = true;
  p.running = false;
  p.channel.up = false;
  p.deletion_timestamp = {1};
  EXPECT_FALSE(Dead(g, "a1"));
}

TEST(ProofOfDeath, AnotherIncarnationFromTheSamePodUidIsItsSuccessor) {
  Group g;
  (void)g.Decide();
  g.Pass(10);
  g.Start("b", "b2");
  g.Pass(10);
  EXPECT_TRUE(Dead(g, "b1"));
}

TEST(ProofOfDeath, ASuccessorOnAnOlderChannelProvesNothingAndTheChannelIsOpenedAnew) {
  Group g;
  // This process first hears of b1 by the status, while its old channel still delivers words of b0.
  g.Pod("b").heard->state.incarnation = "b0";
  g.Pod("b").channel.begun_at = g.now - Seconds(10);
  const Decision d = g.Decide();
  EXPECT_TRUE(d.memory.deaths.empty());
  EXPECT_EQ(d.reconnect, std::vector<std::string>{"pod-b"});
}

TEST(ProofOfDeath, AnotherIncarnationUnderTheSameNameInAnotherPodProvesNothing) {
  Group g;
  (void)g.Decide();
  g.Pass(10);
  g.Pod("b").exists = false;
  PodView p;
  p.member = "b";
  p.pod_uid = "pod-b-again";
  p.ever_started = p.running = true;
  g.view.pods.push_back(p);
  g.Start("b", "b2");
  g.Pass(10);
  EXPECT_FALSE(Dead(g, "b1"));
}

TEST(ProofOfDeath, ALifelineNeedsFinThenARefusalAndAVoter) {
  struct Case {
    const char* what;
    int64_t fin_ms, refused_ms;  // 0 = never
    bool voter;
    bool dead;
  };
  for (const Case& c : std::vector<Case>{
           {"all three", 100, 110, true, true},
           {"no voter", 100, 110, false, false},
           {"a refusal only: a network policy", 0, 110, true, false},
           {"FIN only", 100, 0, true, false},
           {"the attempt began before the FIN", 100, 90, true, false},
       }) {
    Group g;
    LifelineEnd& l = Lifeline(g);
    if (c.fin_ms) l.ended_by_fin_at = g.now + Milliseconds(c.fin_ms);
    if (c.refused_ms) l.refused_begun_at = g.now + Milliseconds(c.refused_ms);
    if (c.voter) g.Node("b").ended = {"a1"};
    g.Pass(200);
    EXPECT_EQ(Dead(g, "a1"), c.dead) << c.what;
  }
}

TEST(ProofOfDeath, OnlyAVotersReportCompletesALifeline) {
  Group g(2);
  g.state.configurations[0].voters = {g.Ref("b")};
  LifelineEnd& l = Lifeline(g);
  l.ended_by_fin_at = g.now;
  l.refused_begun_at = g.now + Milliseconds(1);
  g.Node("c").ended = {"a1"};  // a replica, but no voter
  g.Pass(10);
  EXPECT_FALSE(Dead(g, "a1"));
}

TEST(ProofOfDeath, TheAdministratorsWordNamesAnIncarnationOrANode) {
  Group g;
  g.Pod("a").channel.up = false;
  g.view.confirmed_dead = {"a0"};
  EXPECT_FALSE(Dead(g, "a1"));
  g.view.confirmed_dead = {"a1"};
  EXPECT_TRUE(Dead(g, "a1"));

  Group h;
  h.Pod("a").channel.up = false;
  h.view.nodes_out_of_service = {"host-a"};
  EXPECT_TRUE(Dead(h, "a1"));
}

TEST(ProofOfDeath, TheAdministratorIsNotBelievedWhileTheProcessSpeaks) {
  Group g;
  g.view.confirmed_dead = {"a1"};
  g.view.nodes_out_of_service = {"host-a"};
  EXPECT_FALSE(Dead(g, "a1"));
}

TEST(ProofOfDeath, OfAnAdministratorIsVoidWhenTheProcessSpeaksAgain) {
  Group g;
  g.Pod("a").channel.up = false;
  g.view.confirmed_dead = {"a1"};
  ASSERT_TRUE(Dead(g, "a1"));
  g.view.confirmed_dead.clear();
  EXPECT_TRUE(Dead(g, "a1")) << "remembered";
  g.Pod("a").channel.up = true;
  g.Pod("a").heard->at = g.now;
  EXPECT_FALSE(Dead(g, "a1")) << "it had only been stopped";
  g.Pod("a").channel.up = false;
  EXPECT_FALSE(Dead(g, "a1")) << "nobody says so now";
}

TEST(ProofOfDeath, ThatWasSeenStaysWhateverIsStillHeard) {
  Group g;
  g.Die("a");
  ASSERT_TRUE(Dead(g, "a1"));
  g.Pod("a").terminated.clear();
  g.Pod("a").channel.up = true;
  g.Pod("a").heard->at = g.now;  // late words
  EXPECT_TRUE(Dead(g, "a1"));
}

TEST(ProofOfDeath, IsKeptWithTheTimeItWasFirstSeenAndOverAChangeOfLeadership) {
  Group g;
  g.Die("b");
  (void)g.Decide();
  const MonoTime first = g.now;
  g.Pass(5000);
  g.Pod("b").terminated.clear();
  g.view.me.acquired_at = g.now;
  (void)g.Decide();
  ASSERT_EQ(g.view.memory.deaths.size(), 1u);
  EXPECT_EQ(g.view.memory.deaths[0].at, first);
}

TEST(ProofOfDeath, OneThatAnEarlierLeaderRecordedCounts) {
  Group g;
  g.Pod("a").channel.up = false;
  Failover fo;
  fo.epoch = g.state.epoch = 2;
  fo.old = g.state.primary;
  fo.proof = "seen by the leader before";
  g.state.failover = fo;
  EXPECT_TRUE(Dead(g, "a1"));
}

TEST(ProofOfDeath, TheStandbyRemembersToo) {
  Group g;
  g.Die("a");
  const Memory m = Remember(g.state, g.view, g.now, g.wall);
  ASSERT_EQ(m.deaths.size(), 1u);
  EXPECT_EQ(m.deaths[0].incarnation, "a1");
  EXPECT_EQ(m.primary.incarnation, "a1");
  EXPECT_EQ(m.primary.offset, 100u);
}

}  // namespace
}  // namespace understudy::failover
