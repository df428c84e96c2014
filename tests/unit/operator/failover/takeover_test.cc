// FAILOVER.md section 6, steps 7 to 10: promote, repoint, record; automaticFailover false.
#include "tests/unit/operator/failover/group.h"

namespace understudy::failover {
namespace {

using control::OrderKind;
using control::Role;

// The primary is proven dead and the fence is persisted.
void Begin(Group& g) {
  g.Die("a");
  (void)g.Persist();
  ASSERT_TRUE(g.state.failover);
}
// The answers are in; expects an election.
void ElectNow(Group& g) {
  const Decision d = g.Decide();
  ASSERT_TRUE(d.persist) << d.findings.no_promotable_replica;
  g.state = *d.persist;
  ASSERT_EQ(g.state.failover->step, Step::kPromote);
}

TEST(Election, DoesNotWaitForTheOldPrimaryWhoseSilenceBeganTheTakeover) {
  Group g(2);
  g.Pass(1000, {"a"});
  g.Unlink("b");
  (void)g.Persist();
  ASSERT_TRUE(g.state.failover);
  g.FenceAndAnswer({"a"});
  g.Pass(2000, {"a"});  // no lease of "a" can last; it counts as connected still
  g.FenceAndAnswer({"a"});
  ElectNow(g);
  EXPECT_EQ(g.state.failover->winner.name, "b");
}

TEST(Election, WaitsAMomentForAnOldPrimaryThatWasHeardLately) {
  Group g(2);
  g.Pass(1000, {"a"});
  g.Unlink("b");
  (void)g.Persist();
  g.Node("a").lease_held = false;
  g.FenceAndAnswer();  // "a" gave its role up
  g.Answer({"a"});
  g.Pod("a").answer.reset();
  const Decision d = g.Decide();
  EXPECT_FALSE(d.persist);
  EXPECT_LE(d.wake_at, g.now + kAnswersWait);
  g.Pass(kAnswersWait.ms());
  ElectNow(g);
}

TEST(Election, NamesEveryProcessWhoseEndWouldLetItGoOn) {
  Group g(1);
  Begin(g);
  g.Pod("b").channel.up = false;  // nothing is known of the only voter either
  g.Silence("b");
  for (int i = 0; i < 3; ++i) {
    (void)g.Decide();
    g.Pass(400, {"b"});
  }
  EXPECT_FALSE(g.Decide().findings.waiting_for_proof) << "not worth a word yet";
  g.Pass(kProofPatience.ms(), {"b"});
  const Decision d = g.Decide();
  EXPECT_FALSE(d.persist);
  ASSERT_TRUE(d.findings.waiting_for_proof);
  EXPECT_NE(d.findings.waiting_message.find("confirm-dead: b1"), std::string::npos)
      << d.findings.waiting_message;
}

// -- what maxPerHour counts

TEST(Unproven, AProofBeforeTheElectionTakesTheTakeoverOutOfTheCount) {
  Group g(2);
  g.Pass(1000, {"a"});
  g.Unlink("b");
  (void)g.Persist();
  ASSERT_EQ(g.state.unproven_takeovers.size(), 1u);
  EXPECT_EQ(g.state.unproven_takeovers[0], g.state.failover->times.confirmed);
  g.Die("a");
  g.FenceAndAnswer({"a"});
  ElectNow(g);
  EXPECT_TRUE(g.state.unproven_takeovers.empty());
}

TEST(Unproven, AHigherEpochMetInTheFenceIsTheSameTakeover) {
  Group g(2);
  g.Pass(1000, {"a"});
  g.Unlink("b");
  (void)g.Persist();
  g.Pass(100, {"a"});
  g.Node("b").epoch = 9;
  (void)g.Persist();
  ASSERT_EQ(g.state.failover->epoch, 10u);
  EXPECT_EQ(g.state.unproven_takeovers, std::vector<WallTime>{g.wall});
}

TEST(Unproven, ARestoreThatBecomesATakeoverCounts) {
  Group g(2);
  g.view.spec.automatic_failover = false;
  g.Node("b").epoch = 9;
  (void)g.Persist();
  ASSERT_EQ(g.state.failover->kind, Kind::kRestore);
  EXPECT_TRUE(g.state.unproven_takeovers.empty());
  g.view.spec.automatic_failover = true;
  (void)g.Persist();
  ASSERT_EQ(g.state.failover->kind, Kind::kTakeover);
  EXPECT_EQ(g.state.unproven_takeovers.size(), 1u);
}

// -- promote, repoint, record
struct Promoted {
  Group g;
  explicit Promoted(int r = 2, uint32_t s = 0) : g(r, s) {
    Begin(g);
    g.FenceAndAnswer();
    ElectNow(g);
  }
};

TEST(Promote, TheOrderNamesIncarnationAndOffsetAndTheOthersAreRepointedAtTheSameTime) {
  Promoted p;
  const Decision d = p.g.Decide();
  const std::vector<control::Order> winner = Group::To(d, "pod-b");
  ASSERT_EQ(winner.size(), 1u);
  EXPECT_EQ(winner[0].role, Role::kPrimary);
  EXPECT_TRUE(winner[0].promotion);
  EXPECT_EQ(winner[0].incarnation, "b1");
  EXPECT_EQ(winner[0].min_offset, 100u);
  EXPECT_EQ(winner[0].configuration, p.g.state.configurations.back());
  const std::vector<control::Order> other = Group::To(d, "pod-c");
  ASSERT_EQ(other.size(), 1u);
  EXPECT_EQ(other[0].role, Role::kReplica);
  EXPECT_EQ(other[0].configuration.primary.incarnation, "b1");
  EXPECT_EQ(d.grants, (Grants{true, 2, "b1"}));
  EXPECT_FALSE(d.endpoint);
}

TEST(Promote, TheEndpointMovesAsSoonAsTheWinnerSaysItIsPrimary) {
  Promoted p;
  (void)p.g.Decide();
  p.g.Pass(20);
  p.g.TakeOffice("b");
  const Decision d = p.g.Decide();
  EXPECT_FALSE(d.persist);
  ASSERT_TRUE(d.endpoint);
  EXPECT_EQ(d.endpoint->pod_uid, "pod-b");
}

TEST(Promote, IsRecordedWhenTheEndpointNamesTheWinner) {
  Promoted p;
  p.g.TakeOffice("b");
  (void)p.g.Decide();
  p.g.view.endpoint_pod_uid = "pod-b";
  (void)p.g.Persist();
  EXPECT_FALSE(p.g.state.failover);
  EXPECT_EQ(p.g.state.primary.incarnation, "b1");
  ASSERT_EQ(p.g.state.failover_history.size(), 1u);
  const HistoryEntry& e = p.g.state.failover_history[0];
  EXPECT_EQ(e.old_primary.incarnation, "a1");
  EXPECT_EQ(e.new_primary.incarnation, "b1");
  EXPECT_EQ(e.offset, 100u);
  EXPECT_EQ(e.old_offset, 100u);
  EXPECT_GT(e.old_heard.unix_ms, 0);
  EXPECT_FALSE(e.proof.empty());
  for (WallTime t : {e.times.suspected, e.times.confirmed, e.times.fenced, e.times.elected,
                     e.times.promoted, e.times.repointed, e.times.completed}) {
    EXPECT_GT(t.unix_ms, 0);
  }
}

TEST(Promote, IsRecordedWithoutTheEndpointAfterAWhile) {
  Promoted p;
  p.g.TakeOffice("b");
  (void)p.g.Decide();
  p.g.Pass(2000);
  (void)p.g.Persist();
  EXPECT_FALSE(p.g.state.failover);
  EXPECT_EQ(p.g.state.failover_history[0].times.repointed.unix_ms, 0);
  p.g.Settle("c", 2);
  const Decision d = p.g.Decide();
  ASSERT_TRUE(d.endpoint);  // still wanted
  EXPECT_EQ(d.endpoint->pod_uid, "pod-b");
}

TEST(Promote, WithProofATakeoverTakesThreeWrites) {
  Group g;
  int writes = 0;
  auto write = [&] {
    (void)g.Persist();
    ++writes;
  };
  g.Die("a");
  write();
  g.FenceAndAnswer();
  write();
  g.TakeOffice("b");
  (void)g.Decide();
  g.view.endpoint_pod_uid = "pod-b";
  write();
  EXPECT_EQ(writes, 3);
  EXPECT_EQ(g.state.configurations.size(), 1u);  // with S = 0 nothing has to be caught up
}

TEST(Promote, EarlierConfigurationsStayUntilTheWinnerCaughtItsVotersUp) {
  Promoted p(2, 1);
  p.g.TakeOffice("b");
  (void)p.g.Decide();
  p.g.view.endpoint_pod_uid = "pod-b";
  (void)p.g.Persist();
  EXPECT_EQ(p.g.state.configurations.size(), 2u);
  p.g.Settle("c", 2);
  p.g.Ack("c");
  EXPECT_FALSE(p.g.Decide().persist);
  p.g.Node("b").configuration_acked = p.g.state.configurations.back().number;
  (void)p.g.Persist();
  EXPECT_EQ(p.g.state.configurations.size(), 1u);
}

TEST(Promote, AWinnerThatRestartsIsReplacedUnderANewEpoch) {
  Promoted p;
  (void)p.g.Decide();
  p.g.Pass(10);
  p.g.Start("b", "b2");
  p.g.Pass(10);
  (void)p.g.Persist();
  EXPECT_EQ(p.g.state.epoch, 3u);
  EXPECT_EQ(p.g.state.failover->step, Step::kFence);
  EXPECT_EQ(p.g.state.failover->old.incarnation, "b1");  // elected means primary of its epoch
  EXPECT_EQ(p.g.state.primary.incarnation, "b1");
  EXPECT_EQ(p.g.state.failover_history.size(), 1u);  // the abandoned promotion is on record
}

TEST(Promote, ASilentWinnerWithoutVotersMustBeProvenDead) {
  Group g(1);
  Begin(g);
  g.FenceAndAnswer();
  ElectNow(g);
  EXPECT_TRUE(g.state.configurations.back().voters.empty());
  (void)g.Decide();
  g.Pass(2500, {"b"});
  (void)g.Persist();
  EXPECT_EQ(g.state.failover->old.incarnation, "b1");
  g.Start("a", "a2");
  g.Pass(600'000, {"b"});
  const Decision d = g.DecideAfterPatience({"b"});
  EXPECT_FALSE(d.persist);
  EXPECT_TRUE(d.findings.waiting_for_proof);
}

TEST(Promote, OnlyTheElectedMayBeGranted) {
  Promoted p;
  Decision d = p.g.Decide();
  EXPECT_EQ(d.grants.to, "b1");
  p.g.Node("c").epoch = 9;
  d = p.g.Decide();
  EXPECT_FALSE(d.grants.allowed);
}

TEST(OldPrimary, WhatItMustDropIsCountedBeforeItFollows) {
  Promoted p;
  p.g.TakeOffice("b");
  (void)p.g.Decide();
  p.g.view.endpoint_pod_uid = "pod-b";
  (void)p.g.Persist();
  p.g.Settle("c", 2);
  p.g.Ack("c");
  p.g.state.failover_history[0].proof.clear();  // it was silent, not dead
  p.g.view.memory.deaths.clear();
  PodView& a = p.g.Pod("a");
  a.terminated.clear();
  a.channel.up = a.running = true;
  a.heard->at = p.g.now;
  a.heard->state.offset = 142;
  Decision d = p.g.Decide();  // it still believes that it is primary
  EXPECT_TRUE(Group::Orders(d, "a", OrderKind::kDemote));
  EXPECT_FALSE(Group::Orders(d, "a", OrderKind::kRole));
  a.heard->state.epoch = 2;
  a.heard->state.in_office = a.heard->state.lease_held = false;
  d = p.g.Persist();
  EXPECT_EQ(p.g.state.failover_history[0].dropped_bytes, 42u);
  EXPECT_GT(p.g.state.failover_history[0].old_returned.unix_ms, 0);
  EXPECT_TRUE(Group::Orders(p.g.Decide(), "a", OrderKind::kRole));
}

TEST(OldPrimary, ItsEpochMayHavePartedBeforeTheWinnersOffset) {
  // a was elected at offset 100 of epoch 2 and went on to 130; b, at 160 of epoch 1, replaced it: a
  // drops all that it wrote in epoch 2, not nothing.
  Promoted p;
  p.g.TakeOffice("b");
  (void)p.g.Decide();
  p.g.view.endpoint_pod_uid = "pod-b";
  (void)p.g.Persist();
  p.g.Settle("c", 2);
  p.g.Ack("c");
  HistoryEntry earlier;
  earlier.epoch = 2;
  earlier.offset = 100;
  earlier.old_returned = {1};
  HistoryEntry later = p.g.state.failover_history[0];
  later.epoch = 3;
  later.offset = 160;
  later.offset_epoch = 1;
  p.g.state.failover_history = {earlier, later};
  p.g.view.memory.deaths.clear();
  PodView& a = p.g.Pod("a");
  a.terminated.clear();
  a.channel.up = a.running = true;
  a.heard->at = p.g.now;
  a.heard->state.offset = 130;
  a.heard->state.last_record_epoch = 2;
  a.heard->state.epoch = 3;
  a.heard->state.in_office = a.heard->state.lease_held = false;
  p.g.state.epoch = 3;
  for (const char* n : {"b", "c"}) p.g.Node(n).epoch = p.g.Node(n).role_epoch = 3;
  (void)p.g.Persist();
  EXPECT_EQ(p.g.state.failover_history[1].dropped_bytes, 30u);
}

TEST(History, KeepsTheLastTen) {
  Promoted p;
  HistoryEntry e;
  e.old_returned = {1};
  p.g.state.failover_history.assign(kMaxHistory, e);
  p.g.TakeOffice("b");
  (void)p.g.Decide();
  p.g.view.endpoint_pod_uid = "pod-b";
  (void)p.g.Persist();
  EXPECT_EQ(p.g.state.failover_history.size(), kMaxHistory);
  EXPECT_EQ(p.g.state.failover_history.back().new_primary.name, "b");
}

// -- automaticFailover: false
struct Restore {
  Group g;
  Restore() : g(2, 1) {
    g.view.spec.automatic_failover = false;
    g.Die("a");
    (void)g.Persist();
    (void)g.Decide();
  }
};

TEST(Restore, WaitsForTheOldPrimarysOwnPod) {
  Restore r;
  EXPECT_EQ(r.g.state.failover->kind, Kind::kRestore);
  r.g.FenceAndAnswer();
  const Decision d = r.g.Decide();
  EXPECT_FALSE(d.persist);
  EXPECT_FALSE(d.findings.no_promotable_replica.empty());
}

TEST(Restore, TheRestartedPrimaryFirstCopiesTheBestReplica) {
  Restore r;
  r.g.Pass(10);
  r.g.Start("a", "a2");
  r.g.Pass(10);
  r.g.Node("c").offset = 130;
  r.g.FenceAndAnswer();
  (void)r.g.Persist();
  EXPECT_EQ(r.g.state.failover->step, Step::kCopy);
  EXPECT_EQ(r.g.state.failover->winner.incarnation, "a2");
  EXPECT_EQ(r.g.state.failover->source.incarnation, "c1");
  Decision d = r.g.Decide();
  const std::vector<control::Order> orders = Group::To(d, "pod-a");
  ASSERT_EQ(orders.size(), 1u);
  EXPECT_TRUE(orders[0].copy_only);
  EXPECT_EQ(orders[0].epoch, 2u);
  EXPECT_EQ(orders[0].copy_epoch, 1u) << "c has no role of the new epoch, nor its key";
  EXPECT_EQ(orders[0].configuration.primary.incarnation, "c1");
  control::NodeState& a = r.g.Node("a");
  a.group = "uid";
  a.epoch = a.role_epoch = 2;
  a.role = Role::kReplica;
  a.primary = "c1";
  a.dataset = "data";
  a.complete = true;
  a.last_record_epoch = 1;
  a.offset = 129;
  EXPECT_FALSE(r.g.Decide().persist);  // not yet all
  a.offset = 130;
  (void)r.g.Persist();
  EXPECT_EQ(r.g.state.failover->step, Step::kPromote);
  EXPECT_EQ(r.g.state.failover->winner.incarnation, "a2");
  r.g.TakeOffice("a");
  r.g.view.endpoint_pod_uid = "pod-a";
  d = r.g.Persist();
  ASSERT_EQ(d.events.size(), 1u);
  EXPECT_EQ(d.events[0].message, "Primary node a was restarted and is primary again, with the group's data");
}

TEST(Restore, NeedsTheSameCoverAsAnElection) {
  Restore r;
  r.g.Pass(10);
  r.g.Start("a", "a2");
  r.g.Silence("c");
  r.g.Pass(10, {"c"});
  r.g.FenceAndAnswer({"c"});
  r.g.Pass(5000, {"c"});
  r.g.Answer({"c"});
  const Decision d = r.g.Decide();
  EXPECT_FALSE(d.persist);
  EXPECT_NE(d.findings.no_promotable_replica.find("c"), std::string::npos);
}

TEST(Restore, ACopyThatFailsIsTriedUnderANewEpoch) {
  Restore r;
  r.g.Pass(10);
  r.g.Start("a", "a2");
  r.g.Pass(10);
  r.g.FenceAndAnswer();
  (void)r.g.Persist();
  ASSERT_EQ(r.g.state.failover->step, Step::kCopy);
  (void)r.g.Decide();
  r.g.Die(r.g.state.failover->source.name);
  (void)r.g.Persist();
  EXPECT_EQ(r.g.state.failover->step, Step::kFence);
  EXPECT_EQ(r.g.state.epoch, 3u);
  EXPECT_EQ(r.g.state.failover->kind, Kind::kRestore);
}

TEST(Restore, BecomesATakeoverWhenAutomaticFailoverIsTurnedOn) {
  Restore r;
  r.g.view.spec.automatic_failover = true;
  (void)r.g.Persist();
  EXPECT_EQ(r.g.state.failover->kind, Kind::kTakeover);
}

}  // namespace
}  // namespace understudy::failover
