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

// -- words of annotation confirm-dead that came too early

TEST(VoidWord, IsOneThatNamesAProcessThatAnswersAndIsNotedOnce) {
  Group g;
  g.view.confirmed_dead = {"a1"};
  const Decision d = g.Persist();
  EXPECT_EQ(g.state.void_words, (std::vector<std::string>{"a1"}));
  EXPECT_EQ(g.state.epoch, 1u) << "nothing else is decided by it";
  EXPECT_TRUE(d.grants.allowed);
  ASSERT_EQ(d.events.size(), 1u);
  EXPECT_TRUE(d.events[0].warning);
  EXPECT_EQ(d.events[0].message,
            "annotation cache.understudy.dev/confirm-dead names a1, but a answers: that counts for nothing, also later; "
            "remove it");
  for (int i = 0; i < 10; ++i) {
    g.Pass(500);
    const Decision steady = g.Decide();
    EXPECT_FALSE(steady.persist);
    EXPECT_TRUE(steady.events.empty());
  }
}

TEST(VoidWord, IsNoProofWhenItsProcessEndsLater) {
  Group g(0);
  g.view.confirmed_dead = {"a1"};
  g.Persist();
  g.Pass(150'000);
  g.Pod("a").channel.up = false;
  g.Pod("a").exists = false;  // deleted by force
  g.Pass(10'000);
  EXPECT_FALSE(Dead(g, "a1"));
  // Another operator process, which never heard it.
  g.view.memory = {};
  g.view.pods[0].heard.reset();
  g.view.me.acquired_at = g.now;
  g.state.term = g.view.me.term = "another leader's";
  g.Pass(10'000);
  EXPECT_FALSE(Dead(g, "a1"));
  const Decision d = g.Decide();
  ASSERT_TRUE(d.findings.waiting_for_proof);
  EXPECT_EQ(d.findings.waiting_for_proof->incarnation, "a1");
  EXPECT_NE(d.findings.waiting_message.find("; annotation confirm-dead has named a since it still answered, which counts "
                                            "for nothing: remove the annotation before you set it again; if a will not"),
            std::string::npos)
      << d.findings.waiting_message;
}

TEST(VoidWord, CountsAfterTheAnnotationWasRemovedAndSetAgain) {
  Group g(0);
  g.view.confirmed_dead = {"a1", "b1"};
  g.Persist();
  g.Pod("a").channel.up = false;
  g.Pass(10'000);
  g.view.confirmed_dead = {"a1"};
  EXPECT_FALSE(Dead(g, "a1")) << "it is still the same word";
  g.view.confirmed_dead.clear();
  g.Persist();
  EXPECT_TRUE(g.state.void_words.empty());
  EXPECT_FALSE(Dead(g, "a1"));
  g.view.confirmed_dead = {"a1"};
  EXPECT_TRUE(Dead(g, "a1"));
}

TEST(VoidWord, TakesBackWhatAnotherOperatorProcessBelieved) {
  Group g;
  g.Pod("a").channel.up = false;
  g.view.confirmed_dead = {"a1"};
  ASSERT_TRUE(Dead(g, "a1"));
  g.state.void_words = {"a1"};  // noted by a leader that hears it
  EXPECT_FALSE(Dead(g, "a1"));
}

TEST(VoidWord, LeavesTheWordThatTheNodeIsOutOfServiceAlone) {
  Group g;
  g.state.void_words = g.view.confirmed_dead = {"b1"};
  g.view.nodes_out_of_service = {"host-b"};
  g.Pod("b").channel.up = false;
  ASSERT_TRUE(Dead(g, "b1"));
  const MonoTime first = g.view.memory.deaths[0].at;
  g.Pass(1000);
  ASSERT_TRUE(Dead(g, "b1"));
  EXPECT_EQ(g.view.memory.deaths[0].at, first) << "waits that count from it go on";
}

TEST(VoidWord, IsNotedBesideWhateverElseIsPersisted) {
  Group g;
  g.Die("a");
  g.view.confirmed_dead = {"b1"};
  g.Persist();
  EXPECT_TRUE(g.state.failover);
  EXPECT_EQ(g.state.void_words, (std::vector<std::string>{"b1"}));
}

TEST(ProofOfDeath, ANewLeaderThatHasNotHeardAProcessYetBelievesNobodyThatItEnded) {
  Group g(0);
  g.view.me.acquired_at = g.now;
  g.Pod("a").heard.reset();
  g.Pod("a").channel = {};
  g.view.confirmed_dead = {"a1"};
  const Decision d = g.Decide();
  EXPECT_TRUE(d.memory.deaths.empty());
  EXPECT_LE(d.wake_at, g.now + kRecent);
  g.Pass(kRecent.ms() - 1);
  EXPECT_FALSE(Dead(g, "a1"));
  g.Pass(1);
  EXPECT_TRUE(Dead(g, "a1"));
}

TEST(ProofOfDeath, AStandbyBelievesNoAdministrator) {
  Group g(0);
  g.Pod("a").channel.up = false;
  g.view.confirmed_dead = {"a1"};
  g.view.me.leads = false;
  EXPECT_TRUE(Remember(g.state, g.view, g.now, g.wall).deaths.empty());
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
