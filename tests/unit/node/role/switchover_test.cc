// The node's half of FAILOVER.md section 7: pause, resume, poll, the end after SIGTERM.
#include <gmock/gmock.h>

#include "tests/unit/node/role/machine_fixture.h"

namespace understudy::role {
namespace {

using control::OrderKind;

using SwitchoverTest = MachineFixture;

TEST_F(SwitchoverTest, APauseHoldsWritesAndEndsByItself) {
  Do(First());
  control::Order pause = Base(OrderKind::kPause, 1);
  pause.budget_ms = 2000;
  EXPECT_TRUE(Do(pause).state.paused);
  RoleGate gate;
  gate.Publish(machine.Gate());
  EXPECT_EQ(gate.Check(true, now), Admission::kPaused);
  EXPECT_EQ(gate.Check(false, now), Admission::kServe);
  EXPECT_EQ(machine.NextDeadline(), now + Seconds(2));
  now = now + Milliseconds(1000);
  pause.id = 2;
  Do(pause);  // does not lengthen it
  EXPECT_TRUE(machine.Tick(now).empty());
  now = now + Milliseconds(1000);
  EXPECT_EQ(gate.Check(true, now), Admission::kServe);  // even if nobody ticks
  EXPECT_EQ(machine.Tick(now), std::vector<Action>{ResumeWrites{}});
  EXPECT_FALSE(State().paused);
}

TEST_F(SwitchoverTest, ALateDuplicateOfAPauseDoesNotPauseAgain) {
  Do(First());
  Do(Base(OrderKind::kPause, 1));
  now = now + Seconds(3);
  machine.Tick(now);
  EXPECT_FALSE(Do(Base(OrderKind::kPause, 1)).state.paused);
}

TEST_F(SwitchoverTest, ResumeEndsAPauseAndOthersRefuseIt) {
  EXPECT_FALSE(Do(Base(OrderKind::kPause, 1)).accepted);
  Do(First());
  Do(Base(OrderKind::kPause, 1));
  EXPECT_FALSE(Do(Base(OrderKind::kResume, 1)).state.paused);
  EXPECT_EQ(Count<ResumeWrites>(), 1u);
  EXPECT_FALSE(Do(Base(OrderKind::kPause, 2)).accepted);  // of an epoch that it holds no office in
}

TEST_F(SwitchoverTest, ATargetHoldsWritesUntilItMayAcknowledgeThem) {
  LoadedReplica(1, 1, 77);
  EXPECT_TRUE(Do(Base(OrderKind::kPause, 1)).state.paused);
  RoleGate gate;
  gate.Publish(machine.Gate());
  EXPECT_EQ(gate.Check(true, now), Admission::kPaused);
  EXPECT_EQ(gate.Check(false, now), Admission::kServe);
  Do(Promotion(2, 2, 77));
  gate.Publish(machine.Gate());
  EXPECT_EQ(gate.Check(true, now), Admission::kPaused) << "the lease is still to come";
  EXPECT_TRUE(machine.Tick(now).empty());
  Do(Base(OrderKind::kResume, 2));
  EXPECT_TRUE(State().paused) << "held until it may acknowledge, or the budget is over";
  machine.OnOperatorGrant({machine.NextRequest(now), 2});
  const uint64_t request = machine.BuildLeaseRequest(now).seq;
  machine.OnVoterAnswer(Node("a"), {request, 2, true}, now);
  EXPECT_EQ(machine.Tick(now), std::vector<Action>{ResumeWrites{}});
  gate.Publish(machine.Gate());
  EXPECT_EQ(gate.Check(true, now), Admission::kServe);
  // A pause of its own office is another one, and lasts although the lease is held.
  control::Order pause = Base(OrderKind::kPause, 2);
  pause.id = 2;
  EXPECT_TRUE(Do(pause).state.paused);
  EXPECT_TRUE(machine.Tick(now).empty());
}

TEST_F(SwitchoverTest, APauseOfThePrimaryReplacesOneThatItBeganAsTarget) {
  LoadedReplica(1, 1, 77);
  Do(Base(OrderKind::kPause, 1));
  now = now + Milliseconds(1500);
  control::Order alone = Promotion(2, 2, 77);
  alone.configuration.voters.clear();
  control::Order pause = Base(OrderKind::kPause, 2);
  pause.id = 2;
  Do(alone);
  Do(pause);
  EXPECT_TRUE(machine.Tick(now).empty()) << "the lease, which needs nobody, ends only the other one";
  EXPECT_EQ(machine.NextDeadline(), now + Seconds(2));
}

TEST_F(SwitchoverTest, ATargetWithoutVotersServesAtOnce) {
  LoadedReplica(1, 1, 77);
  Do(Base(OrderKind::kPause, 1));
  control::Order alone = Promotion(2, 2, 77);
  alone.configuration.voters.clear();
  Do(alone);
  EXPECT_EQ(machine.Tick(now), std::vector<Action>{ResumeWrites{}});
}

TEST_F(SwitchoverTest, ATargetRefusesWritesAgainWhenItIsAborted) {
  LoadedReplica(1, 1, 77);
  Do(Base(OrderKind::kPause, 1));
  EXPECT_FALSE(Do(Base(OrderKind::kResume, 1)).state.paused);
  RoleGate gate;
  gate.Publish(machine.Gate());
  EXPECT_EQ(gate.Check(true, now), Admission::kReadOnly);
  control::Order pause = Base(OrderKind::kPause, 1);
  pause.id = 2;
  Do(pause);
  Do(Replica(2, 2, "another"));
  EXPECT_FALSE(State().paused) << "it follows another primary";
  EXPECT_EQ(Count<ResumeWrites>(), 2u);
}

TEST_F(SwitchoverTest, ATargetThatIsNotPromotedRefusesWritesAgainByItself) {
  LoadedReplica(1, 1, 77);
  Do(Base(OrderKind::kPause, 1));
  now = now + Seconds(2);
  RoleGate gate;
  gate.Publish(machine.Gate());
  EXPECT_EQ(gate.Check(true, now), Admission::kReadOnly);
  EXPECT_EQ(machine.Tick(now), std::vector<Action>{ResumeWrites{}});
}

TEST_F(SwitchoverTest, ADemotionEndsAPause) {
  Do(First());
  Do(Base(OrderKind::kPause, 1));
  EXPECT_FALSE(Do(Base(OrderKind::kDemote, 2)).state.paused);
  EXPECT_FALSE(machine.NextDeadline().has_value());
}

TEST_F(SwitchoverTest, APollBringsTheStateAndChangesNothing) {
  LoadedReplica(1, 1, 77);
  const control::OrderAck ack = Do(Base(OrderKind::kPoll, 2));
  EXPECT_TRUE(ack.accepted);
  EXPECT_EQ(ack.state.offset, 77u);
  EXPECT_EQ(State().epoch, 1u);  // not even the epoch that it names
  EXPECT_FALSE(Do(Base(OrderKind::kPoll, 0)).accepted);
  EXPECT_THAT(Do(Base(static_cast<OrderKind>(9), 1)).reason, testing::HasSubstr("kind 9"));
}

TEST_F(SwitchoverTest, APrimaryWithVotersWaitsForTheSwitchoverBeforeItExits) {
  EXPECT_TRUE(machine.MayExit());
  Do(First());
  EXPECT_TRUE(machine.MayExit());  // nobody could take over
  Do(Primary(1, 2, {"a"}));
  EXPECT_FALSE(machine.MayExit());
  Do(Base(OrderKind::kDemote, 2));
  EXPECT_FALSE(machine.MayExit());  // it still feeds the target
  Do(Replica(2, 3));
  EXPECT_TRUE(machine.MayExit());
}

}  // namespace
}  // namespace understudy::role
