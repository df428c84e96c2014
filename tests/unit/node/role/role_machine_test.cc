// A test per sentence of FAILOVER.md sections 2, 3, 5 and 7 that speaks of the node.
#include "node/role/role_machine.h"

#include "tests/unit/node/role/machine_fixture.h"

namespace understudy::role {
namespace {

using control::OrderAck;
using control::OrderKind;
using control::Role;

using RoleMachineTest = MachineFixture;

// ---- section 2

TEST_F(RoleMachineTest, StartsUnassignedAndServesNothing) {
  EXPECT_EQ(State().role, Role::kUnassigned);
  EXPECT_EQ(State().group, "");
  EXPECT_FALSE(State().in_office);
  EXPECT_EQ(Mode(), GateState::Mode::kUnassigned);
  std::string why;
  EXPECT_FALSE(machine.Ready(now, &why));
  EXPECT_EQ(why, "no role was assigned yet");
}

TEST_F(RoleMachineTest, FirstPrimaryStartsEmptyOnlyWithAFreshDataset) {
  OrderAck ack = Do(Primary(1, 1));
  EXPECT_FALSE(ack.accepted);
  EXPECT_EQ(
      ack.reason,
      "this node holds no whole data set, and the order names no fresh one to start empty with");
  EXPECT_TRUE(done.empty());
  ack = Do(First());
  EXPECT_TRUE(ack.accepted);
  ASSERT_EQ(done.size(), 1u);
  const auto& action = std::get<BecomePrimary>(done[0]);
  EXPECT_TRUE(action.start_empty);
  EXPECT_EQ(action.dataset, "data-1");
  EXPECT_EQ(ack.state.role, Role::kPrimary);
  EXPECT_TRUE(ack.state.in_office);
  EXPECT_EQ(ack.state.configuration, 1u);
  EXPECT_EQ(ack.state.configuration_acked, 1u);
  EXPECT_TRUE(ack.state.lease_held);  // R = 0 needs none
  EXPECT_EQ(ack.state.lease_left_ms, 0u);
}

TEST_F(RoleMachineTest, RefusesALowerEpoch) {
  Do(First(5));
  const OrderAck ack = Do(Replica(4, 9));
  EXPECT_FALSE(ack.accepted);
  EXPECT_EQ(ack.reason, "epoch 4 is lower than 5, the highest that this node has seen");
  EXPECT_EQ(ack.state.role, Role::kPrimary);
}

TEST_F(RoleMachineTest, RefusesAnOrderForAnotherIncarnation) {
  control::Order order = First();
  order.incarnation = "inc-other";
  const OrderAck ack = Do(order);
  EXPECT_FALSE(ack.accepted);
  EXPECT_EQ(ack.reason, "the order is for incarnation inc-other; this one is inc-me");
}

TEST_F(RoleMachineTest, AcknowledgesARepeatedOrderAndDoesNothing) {
  Do(First());
  const size_t before = done.size();
  const OrderAck ack = Do(First());
  EXPECT_TRUE(ack.accepted);
  EXPECT_EQ(done.size(), before);
}

TEST_F(RoleMachineTest, RefusesAConfigurationThatIsNotLarger) {
  Do(First());
  Do(Primary(1, 2, {"a"}));
  Do(Primary(1, 3, {}));
  const OrderAck ack = Do(Primary(1, 2, {"a"}));
  EXPECT_FALSE(ack.accepted);
  EXPECT_EQ(ack.state.configuration, 3u);
  EXPECT_EQ(machine.configuration().voters.size(), 0u);
}

TEST_F(RoleMachineTest, WithoutConfigurationNumbersALateDuplicateDisarmsTheLease) {
  machine = RoleMachine("uid-me", "inc-me", RuleSetTestPeer::Without({Rule::kConfigurationNumber}));
  Do(First());
  Do(Primary(1, 2, {"a"}));
  EXPECT_FALSE(State().lease_held);
  Do(First());
  EXPECT_TRUE(State().lease_held);  // story H3
}

TEST_F(RoleMachineTest, AppliesARoleOrderOfAHigherEpochForTheSamePrimary) {
  LoadedReplica(1, 1, 100);
  EXPECT_EQ(Count<BecomeReplica>(), 1u);
  const OrderAck ack = Do(Replica(2, 1));
  EXPECT_TRUE(ack.accepted);
  EXPECT_EQ(Count<BecomeReplica>(), 2u);
  EXPECT_EQ(ack.state.role_epoch, 2u);
}

TEST_F(RoleMachineTest, ItsFirstRoleClosesTheClientsOfItsPredecessorAndLaterRolesOfAReplicaNobody) {
  Do(Replica(1, 1));
  EXPECT_TRUE(std::get<BecomeReplica>(done.back()).close_clients);
  Do(Replica(2, 1));
  ASSERT_EQ(Count<BecomeReplica>(), 2u);
  EXPECT_FALSE(std::get<BecomeReplica>(done.back()).close_clients);
}

TEST_F(RoleMachineTest, ACopyIsMadeInTheEpochThatTheOrderNamesForIt) {
  control::Order copy = Replica(2, 1);
  copy.copy_only = copy.drop_data = true;
  copy.copy_epoch = 1;
  ASSERT_TRUE(Do(copy).accepted);
  EXPECT_EQ(std::get<BecomeReplica>(done.back()).epoch, 2u);
  EXPECT_EQ(std::get<BecomeReplica>(done.back()).copy_epoch, 1u);
  facts.complete = true;
  EXPECT_TRUE(Do(Promotion(2, 2, 0)).accepted);
}

TEST_F(RoleMachineTest, ANodeWithoutDataAnswersLoadingUntilItsRoleIsCarriedOut) {
  machine.Observe(facts, now);
  const Outcome outcome = machine.OnOrder(First(), now);
  EXPECT_EQ(machine.Gate().mode, GateState::Mode::kUnassigned) << "it will be primary";
  Perform(outcome.actions, outcome.transition);
  EXPECT_EQ(machine.Gate().mode, GateState::Mode::kPrimary);
  Do(Replica(2, 1));
  EXPECT_EQ(machine.Gate().mode, GateState::Mode::kReplica);
}

TEST_F(RoleMachineTest, AppliesAHigherEpochAtAPrimaryThatStaysPrimary) {
  Do(First());
  const OrderAck ack = Do(Promotion(2, 2, 10));
  EXPECT_TRUE(ack.accepted);
  EXPECT_EQ(Count<BecomePrimary>(), 2u);
  EXPECT_EQ(Count<Demote>(), 0u);
  EXPECT_EQ(ack.state.role_epoch, 2u);
}

TEST_F(RoleMachineTest, AnOrderOfAnotherGroupNamesWhatItLeaves) {
  Do(Standalone(3, "object"));  // refused: nothing to start with
  control::Order alone = Standalone(3, "object");
  alone.fresh_dataset = "data-s";
  ASSERT_TRUE(Do(alone).accepted);
  control::Order claim = Primary(1, 1);
  OrderAck ack = Do(claim);
  EXPECT_FALSE(ack.accepted);
  EXPECT_EQ(ack.reason,
            "the order is of group G and leaves group (none) at epoch 0; this node belongs to "
            "object at epoch 3");
  claim.leaves_group = "object";
  claim.leaves_epoch = 2;
  EXPECT_FALSE(Do(claim).accepted);
  claim.leaves_epoch = 3;
  ack = Do(claim);
  EXPECT_TRUE(ack.accepted);
  EXPECT_EQ(ack.state.group, "G");
  EXPECT_EQ(ack.state.epoch, 1u);
  EXPECT_FALSE(
      std::get<BecomePrimary>(done.back()).start_empty);  // standalone -> primary keeps the data
  EXPECT_TRUE(Do(claim).accepted);                        // its duplicate
}

TEST_F(RoleMachineTest, FenceDemotionAndQuestionOfAnEpochWithARoleOrderChangeNothing) {
  Do(First());
  Do(Promotion(3, 2, 0));
  for (OrderKind kind : {OrderKind::kFence, OrderKind::kDemote}) {
    const OrderAck ack = Do(Base(kind, 3));
    EXPECT_TRUE(ack.accepted);
    EXPECT_TRUE(ack.state.in_office);
    EXPECT_EQ(ack.state.role, Role::kPrimary);
  }
  const OrderAck ack = Do(Base(OrderKind::kOffset, 3));
  EXPECT_FALSE(ack.accepted);
  EXPECT_TRUE(State().in_office);
  EXPECT_EQ(Count<Demote>(), 0u);
}

TEST_F(RoleMachineTest, ALateQuestionDoesNotSilenceAFollower) {
  LoadedReplica(3, 1, 100);
  control::Order question = Base(OrderKind::kOffset, 3);
  question.nonce = 99;
  const OrderAck ack = Do(question);
  EXPECT_TRUE(ack.accepted);
  EXPECT_EQ(ack.state.nonce, 99u);
  EXPECT_EQ(Count<StopApplying>(), 0u);
}

TEST_F(RoleMachineTest, WithoutTheEqualEpochRuleALateFenceHitsTheWinner) {
  machine = RoleMachine("uid-me", "inc-me", RuleSetTestPeer::Without({Rule::kEqualEpoch}));
  Do(First());
  Do(Base(OrderKind::kFence, 1));
  EXPECT_FALSE(State().in_office);  // story H24
}

TEST_F(RoleMachineTest, AnUnassignedNodeKeepsTheEpochOfAFence) {
  OrderAck ack = Do(Base(OrderKind::kFence, 4));
  EXPECT_TRUE(ack.accepted);
  EXPECT_EQ(ack.state.epoch, 4u);
  EXPECT_EQ(ack.state.group, "G");
  EXPECT_FALSE(Do(Replica(3, 1)).accepted);
  control::Order question = Base(OrderKind::kOffset, 4);
  question.nonce = 7;
  ack = Do(question);
  EXPECT_EQ(ack.state.nonce, 7u);
  EXPECT_FALSE(ack.state.complete);
}

TEST_F(RoleMachineTest, LeavingThePrimaryRoleClosesTheGateBeforeAnythingElse) {
  Do(First());
  const uint64_t generation = machine.Gate().generation;
  machine.Observe(facts, now);
  const control::Order demote = Base(OrderKind::kDemote, 2);
  const Outcome outcome = machine.OnOrder(demote, now);
  EXPECT_EQ(Mode(), GateState::Mode::kReplica);
  EXPECT_NE(machine.Gate().generation, generation);
  EXPECT_TRUE(State().in_office);  // not reported before it is done
  EXPECT_FALSE(State().lease_held);
  facts.offset = 25;  // a command that was being executed
  Perform(outcome.actions, outcome.transition);
  const OrderAck ack = machine.Ack(demote, outcome, now);
  EXPECT_FALSE(ack.state.in_office);
  EXPECT_EQ(ack.state.role, Role::kPrimary);
  EXPECT_EQ(ack.state.epoch, 2u);
  EXPECT_EQ(ack.state.offset, 25u);
  EXPECT_EQ(Count<Demote>(), 1u);
}

TEST_F(RoleMachineTest, APrimaryThatBecomesAReplicaIsDemotedFirst) {
  Do(First());
  Do(Replica(2, 2));
  ASSERT_EQ(done.size(), 3u);
  EXPECT_TRUE(std::holds_alternative<Demote>(done[1]));
  EXPECT_TRUE(std::holds_alternative<BecomeReplica>(done[2]));
}

TEST_F(RoleMachineTest, ADemotedPrimaryBecomesAReplicaWithoutASecondDemotion) {
  Do(First());
  Do(Base(OrderKind::kDemote, 2));
  Do(Replica(2, 2));
  EXPECT_EQ(Count<Demote>(), 1u);
  EXPECT_EQ(State().role, Role::kReplica);
  EXPECT_TRUE(State().in_office);
}

TEST_F(RoleMachineTest, ADemotedPrimaryCanGetItsRoleBackUnderANewEpoch) {
  Do(First());
  Do(Base(OrderKind::kDemote, 2));
  EXPECT_TRUE(Do(Promotion(3, 2, facts.offset)).accepted);
  EXPECT_EQ(Mode(), GateState::Mode::kPrimary);
}

TEST_F(RoleMachineTest, APrimaryInOfficeDoesNotBecomeAReplicaOfItsOwnEpoch) {
  Do(First());
  const OrderAck ack = Do(Replica(1, 9));
  EXPECT_FALSE(ack.accepted);
  EXPECT_TRUE(ack.state.in_office);
}

TEST_F(RoleMachineTest, NobodyFollowsItself) {
  EXPECT_FALSE(Do(Replica(1, 1, "me")).accepted);
  control::Order order = Replica(1, 1);
  order.configuration.primary.incarnation.clear();
  EXPECT_FALSE(Do(order).accepted);
}

TEST_F(RoleMachineTest, APrimaryThatMeetsAHigherEpochFencesItself) {
  Do(First());
  Outcome outcome = machine.OnEpochMet("other group", 9, now);
  EXPECT_TRUE(outcome.actions.empty());
  outcome = machine.OnEpochMet("G", 1, now);
  EXPECT_TRUE(outcome.actions.empty());
  outcome = machine.OnEpochMet("G", 2, now);
  Perform(outcome.actions, outcome.transition);
  EXPECT_EQ(Count<Demote>(), 1u);
  EXPECT_EQ(Mode(), GateState::Mode::kReplica);
}

// ---- promotion (section 6, step 7)

TEST_F(RoleMachineTest, PromotionNeedsTheOffsetOfTheElection) {
  LoadedReplica(1, 1, 100);
  const OrderAck ack = Do(Promotion(2, 2, 101));
  EXPECT_FALSE(ack.accepted);
  EXPECT_EQ(ack.reason, "this node holds the data up to offset 100; the promotion needs 101");
  EXPECT_TRUE(Do(Promotion(2, 2, 100)).accepted);
}

TEST_F(RoleMachineTest, PromotionNeedsAWholeDataSet) {
  Do(Replica(1, 1));
  facts.offset = 500;
  const OrderAck ack = Do(Promotion(2, 2, 100));
  EXPECT_FALSE(ack.accepted);
  EXPECT_EQ(ack.reason, "this node holds no whole data set, so it can't be promoted");
}

TEST_F(RoleMachineTest, WithoutTheIncarnationRuleAnEmptyNodeIsPromoted) {
  machine = RoleMachine("uid-me", "inc-me", RuleSetTestPeer::Without({Rule::kOrderIncarnation}));
  control::Order order = Promotion(2, 2, 100);
  order.incarnation = "inc-before-the-restart";
  EXPECT_TRUE(Do(order).accepted);  // story H19
}

TEST_F(RoleMachineTest, PromotionOfAFencedVoterUndoesItsSilence) {
  LoadedReplica(1, 1, 100);
  Do(Base(OrderKind::kFence, 2));
  Do(Base(OrderKind::kOffset, 2));
  EXPECT_EQ(Count<StopApplying>(), 1u);
  const OrderAck ack = Do(Promotion(2, 2, 100));
  EXPECT_TRUE(ack.accepted);
  EXPECT_TRUE(ack.state.in_office);
}

TEST_F(RoleMachineTest, ACopyOnlyReplicaIsPromotedInTheSameEpochByALargerNumber) {
  control::Order copy = Replica(2, 3);
  copy.copy_only = true;
  ASSERT_TRUE(Do(copy).accepted);
  facts.complete = true;
  facts.offset = 80;
  EXPECT_FALSE(Do(Promotion(2, 3, 80)).accepted);
  EXPECT_TRUE(Do(Promotion(2, 4, 80)).accepted);
}

// ---- the offset question (section 6, step 5)

TEST_F(RoleMachineTest, AnsweringTheQuestionStopsApplyingOnce) {
  LoadedReplica(1, 1, 100);
  control::Order question = Base(OrderKind::kOffset, 2);
  question.nonce = 5;
  OrderAck ack = Do(question);
  EXPECT_TRUE(ack.accepted);
  EXPECT_EQ(ack.state.nonce, 5u);
  EXPECT_EQ(ack.state.epoch, 2u);
  EXPECT_EQ(Count<StopApplying>(), 1u);
  question.nonce = 6;
  ack = Do(question);
  EXPECT_EQ(ack.state.nonce, 6u);
  EXPECT_EQ(Count<StopApplying>(), 1u);
  EXPECT_EQ(State().nonce, 0u);  // a heartbeat is no answer
  Do(Replica(2, 1));
  EXPECT_EQ(Count<BecomeReplica>(), 2u);
}

TEST_F(RoleMachineTest, ARepeatedQuestionWaitsForTheFirstOne) {
  LoadedReplica(1, 1, 100);
  const Outcome first = machine.OnOrder(Base(OrderKind::kOffset, 2), now);
  const Outcome second = machine.OnOrder(Base(OrderKind::kOffset, 2), now);
  EXPECT_TRUE(second.actions.empty());
  EXPECT_EQ(second.transition, first.transition);
  EXPECT_NE(first.transition, 0u);
}

TEST_F(RoleMachineTest, ADemotedPrimaryAnswersTheQuestionToo) {
  Do(First());
  control::Order question = Base(OrderKind::kOffset, 2);
  question.nonce = 5;
  const OrderAck ack = Do(question);  // demotes first: the epoch is higher
  EXPECT_TRUE(ack.accepted);
  EXPECT_EQ(ack.state.nonce, 5u);
  EXPECT_FALSE(ack.state.in_office);
  EXPECT_TRUE(ack.state.complete);
}

// ---- grants of a voter (sections 5 and 6, step 3)

TEST_F(RoleMachineTest, OnlyARoleOrderMakesAGrantor) {
  EXPECT_FALSE(machine.OnLeaseRequest(Request(1), now).grant.has_value());
  Do(First());
  EXPECT_FALSE(machine.OnLeaseRequest(Request(1), now).grant.has_value());
}

TEST_F(RoleMachineTest, AVoterGrantsToThePrimaryThatItFollowsOnly) {
  LoadedReplica(1, 1, 100);
  EXPECT_TRUE(machine.OnLeaseRequest(Request(1), now).grant->granted);
  const LeaseAnswer answer = machine.OnLeaseRequest(Request(1, "somebody"), now);
  EXPECT_FALSE(answer.grant.has_value());
  EXPECT_EQ(answer.reason,
            "the request comes from incarnation inc-somebody; this replica follows inc-p");
}

TEST_F(RoleMachineTest, ACopyOnlyReplicaGrantsNothing) {
  control::Order copy = Replica(1, 1);
  copy.copy_only = true;
  Do(copy);
  EXPECT_FALSE(machine.OnLeaseRequest(Request(1), now).grant.has_value());
}

TEST_F(RoleMachineTest, AFencedVoterGrantsNothingToLowerEpochsAndSaysWhenItLastDid) {
  LoadedReplica(1, 1, 100);
  EXPECT_EQ(State().last_granted_ms_ago, -1);
  machine.OnLeaseRequest(Request(1), now);
  EXPECT_EQ(State().last_granted_ms_ago, -1);  // of this epoch, not an older one
  now = now + Milliseconds(300);
  const OrderAck ack = Do(Base(OrderKind::kFence, 2));
  EXPECT_EQ(ack.state.last_granted_ms_ago, 300);
  EXPECT_FALSE(ack.state.in_office);
  EXPECT_EQ(Count<Fenced>(), 1u);
  EXPECT_EQ(Count<StopApplying>(), 0u);  // it goes on applying
  now = now + Milliseconds(100);
  const LeaseAnswer answer = machine.OnLeaseRequest(Request(1), now);
  EXPECT_FALSE(answer.grant->granted);
  EXPECT_EQ(answer.grant->epoch, 2u);
  EXPECT_EQ(State().last_granted_ms_ago, 400);
}

TEST_F(RoleMachineTest, AGrantToAHigherEpochFencesTheVoterForThePast) {
  LoadedReplica(1, 1, 100);
  machine.OnLeaseRequest(Request(1), now);
  now = now + Milliseconds(50);
  const LeaseAnswer answer = machine.OnLeaseRequest(Request(3), now);
  EXPECT_TRUE(answer.grant->granted);
  Perform(answer.actions, answer.transition);
  EXPECT_EQ(State().epoch, 3u);
  EXPECT_EQ(State().last_granted_ms_ago, 50);
  EXPECT_FALSE(machine.OnLeaseRequest(Request(2), now).grant->granted);
}

// ---- the primary's lease (section 5)

TEST_F(RoleMachineTest, WritesAreServedOnlyWithTheGrantsNeeded) {
  Do(First());
  Do(Primary(1, 2, {"a", "b"}));  // A = 2
  RoleGate gate;
  const auto check = [&] {
    gate.Publish(machine.Gate());
    return gate.Check(true, now);
  };
  EXPECT_EQ(check(), Admission::kNoLease);
  const control::LeaseRequest request = machine.BuildLeaseRequest(now);
  machine.OnVoterAnswer(Node("a"), {request.seq, 1, true}, now);
  EXPECT_EQ(check(), Admission::kNoLease);
  machine.OnOperatorGrant({request.seq, 1});
  EXPECT_EQ(check(), Admission::kServe);
  EXPECT_EQ(gate.Check(false, now), Admission::kServe);
  EXPECT_EQ(State().lease_left_ms, 1500u);
  now = now + Milliseconds(1499);
  EXPECT_EQ(check(), Admission::kServe);
  now = now + Milliseconds(1);
  EXPECT_EQ(check(), Admission::kNoLease);
  EXPECT_EQ(gate.Check(false, now), Admission::kServe);  // reads go on
  EXPECT_FALSE(State().lease_held);
}

TEST_F(RoleMachineTest, AGrantForAnotherEpochIsIgnoredAndAHigherOneDemotes) {
  Do(First(2));
  Do(Primary(2, 2, {"a"}));
  const control::LeaseRequest request = machine.BuildLeaseRequest(now);
  machine.OnVoterAnswer(Node("a"), {request.seq, 1, true}, now);
  EXPECT_FALSE(State().lease_held);
  const Outcome outcome = machine.OnVoterAnswer(Node("a"), {request.seq, 3, false}, now);
  Perform(outcome.actions, outcome.transition);
  EXPECT_EQ(Count<Demote>(), 1u);
}

TEST_F(RoleMachineTest, FewerVotersThanSynchronousReplicasRefuseWrites) {
  Do(First());
  Do(Primary(1, 2, {"a"}, 2));
  const control::LeaseRequest request = machine.BuildLeaseRequest(now);
  machine.OnOperatorGrant({request.seq, 1});
  RoleGate gate;
  gate.Publish(machine.Gate());
  EXPECT_EQ(gate.Check(true, now), Admission::kNoReplicas);
}

// A write that no voter is there to acknowledge would wait for ever; Redis' min-replicas-max-lag refuses it too.
TEST_F(RoleMachineTest, WritesAreRefusedWhenFewerVotersThanSWereHeardForTenSeconds) {
  Do(First());
  Do(Primary(1, 2, {"a"}, 1));
  const MonoTime configured = now;
  const auto check = [&](MonoTime at) {
    now = at;
    facts.acks = {{"inc-stranger", 0, true}, {"inc-a", 0, true, false, static_cast<uint64_t>((at - configured).ms())}};
    const bool worth_telling = machine.Observe(facts, now);
    machine.OnOperatorGrant({machine.BuildLeaseRequest(now).seq, 1});
    RoleGate gate;
    gate.Publish(machine.Gate());
    return std::pair(gate.Check(true, now), worth_telling);
  };
  check(configured);
  const uint64_t generation = machine.Gate().generation;
  EXPECT_EQ(check(configured + Milliseconds(9999)), std::pair(Admission::kServe, false));
  EXPECT_EQ(machine.Gate().generation, generation);
  EXPECT_EQ(check(configured + Seconds(10)), std::pair(Admission::kNoReplicas, true));
  EXPECT_NE(machine.Gate().generation, generation) << "whose write waited is disconnected";
  EXPECT_TRUE(State().lease_held);  // it keeps its office
  facts.acks.back().silent_ms = 0;  // it is back
  EXPECT_TRUE(machine.Observe(facts, now));
  EXPECT_TRUE(machine.Gate().enough_voters);
  EXPECT_EQ(check(configured + Seconds(11)).first, Admission::kNoReplicas);
  // Whom a new configuration names may have to connect first.
  Do(Primary(1, 3, {"b"}, 1));
  EXPECT_TRUE(machine.Gate().enough_voters);
  machine.Observe(facts, now);
  EXPECT_TRUE(machine.Gate().enough_voters);
}

TEST_F(RoleMachineTest, AConfigurationIsAcknowledgedWhenSOfItsVotersHoldTheOffsetOfThatMoment) {
  Do(First());
  facts.offset = 100;
  OrderAck ack = Do(Primary(1, 2, {"a", "b"}, 1));
  EXPECT_EQ(ack.state.configuration, 2u);  // acts on it at once
  EXPECT_EQ(ack.state.configuration_acked, 1u);
  facts.offset = 150;
  facts.acks = {{"inc-stranger", 150}, {"inc-a", 99}};
  machine.Observe(facts, now);
  EXPECT_EQ(State().configuration_acked, 1u);
  facts.acks = {{"inc-a", 100}};
  EXPECT_TRUE(machine.Observe(facts, now));  // worth a heartbeat
  EXPECT_EQ(State().configuration_acked, 2u);
}

TEST_F(RoleMachineTest, ASecondChangeSetsTheMarkAnew) {
  Do(First());
  facts.offset = 100;
  Do(Primary(1, 2, {"a", "b"}, 1));
  facts.offset = 200;
  Do(Primary(1, 3, {"b"}, 1));
  facts.acks = {{"inc-a", 200}, {"inc-b", 150}};
  machine.Observe(facts, now);
  EXPECT_EQ(State().configuration_acked, 1u);
  facts.acks[1].offset = 200;
  machine.Observe(facts, now);
  EXPECT_EQ(State().configuration_acked, 3u);
}

// ---- what is told

TEST_F(RoleMachineTest, NewRolesOpenOnlyWhenTheyAreCarriedOut) {
  LoadedReplica(1, 1, 100);
  const Outcome outcome = machine.OnOrder(Promotion(2, 2, 100), now);
  EXPECT_EQ(Mode(), GateState::Mode::kReplica);
  EXPECT_EQ(State().role, Role::kReplica);
  EXPECT_EQ(State().epoch, 1u);
  Perform(outcome.actions, outcome.transition);
  EXPECT_EQ(Mode(), GateState::Mode::kPrimary);
  EXPECT_EQ(State().role, Role::kPrimary);
}

TEST_F(RoleMachineTest, HeartbeatsAndLeaseRequestsKeepTheIntervalsOfSection3) {
  EXPECT_EQ(machine.HeartbeatInterval(), Seconds(1));
  control::Order order = First();
  order.configuration.lease_ms = 1200;
  order.detection_ms = 1000;
  Do(order);
  EXPECT_EQ(machine.HeartbeatInterval(), Milliseconds(400));
  EXPECT_EQ(machine.LeaseRequestInterval(), Milliseconds(250));
  order.configuration.number = 2;
  order.configuration.lease_ms = 60000;
  order.detection_ms = 60000;
  Do(order);
  EXPECT_EQ(machine.HeartbeatInterval(), Milliseconds(500));
}

TEST_F(RoleMachineTest, LinkSilenceIsThatOfThePeerChannelOrTheLink) {
  LoadedReplica(1, 1, 100);
  now = now + Milliseconds(700);
  facts.link_silent_ms = 5000;
  machine.Observe(facts, now);
  EXPECT_EQ(State().link_silent_ms, 700u);  // since the order: it can't know more
  machine.OnPeerTraffic(now);
  now = now + Milliseconds(40);
  EXPECT_EQ(State().link_silent_ms, 40u);
}

TEST_F(RoleMachineTest, KnowsWhenItsPrimarysSilenceWillBeLongEnough) {
  EXPECT_GE(machine.PrimarySilentAt(now), kForever);  // follows nobody
  control::Order order = Replica(1, 1);
  order.detection_ms = 600;
  ASSERT_TRUE(Do(order).accepted);
  facts.link = control::LinkState::kUp;
  facts.link_silent_ms = 5000;
  machine.Observe(facts, now);
  EXPECT_EQ(machine.PrimarySilentAt(now), now + Milliseconds(600));
  now = now + Milliseconds(100);
  machine.OnPeerTraffic(now);
  now = now + Milliseconds(250);
  EXPECT_EQ(machine.PrimarySilentAt(now), now + Milliseconds(350));
  now = now + Milliseconds(350);
  EXPECT_EQ(machine.PrimarySilentAt(now), now);
  facts.link_silent_ms = 20;  // the link brought something
  machine.Observe(facts, now);
  EXPECT_EQ(machine.PrimarySilentAt(now), now + Milliseconds(580));
}

TEST_F(RoleMachineTest, ReadersLoseAReplicaThatLags) {
  control::Order order = Replica(1, 1);
  order.reader_max_lag_ms = 1000;
  Do(order);
  facts.complete = true;
  facts.link = control::LinkState::kUp;
  facts.offset = 100;
  machine.Observe(facts, now);
  std::string why;
  EXPECT_FALSE(machine.Ready(now, &why));
  EXPECT_EQ(why, "never was level with the primary");
  machine.OnPrimaryOffset(100, now);
  EXPECT_TRUE(machine.Ready(now, &why));
  now = now + Milliseconds(900);
  machine.OnPrimaryOffset(200, now);
  EXPECT_TRUE(machine.Ready(now, &why));
  const MonoTime at_200 = now;
  now = now + Milliseconds(200);
  machine.OnPrimaryOffset(300, now);
  EXPECT_FALSE(machine.Ready(now, &why));
  EXPECT_EQ(why, "lags 1100 ms behind the primary; 1000 ms are allowed");
  facts.offset = 250;
  machine.Observe(facts, now);
  EXPECT_EQ(machine.Lag(now), now - at_200);
  EXPECT_TRUE(machine.Ready(now, &why));
}

TEST_F(RoleMachineTest, UnfitAndTerminatingAndEndedLifelinesAreSaid) {
  Do(First());
  machine.SetUnfit(true);
  machine.SetTerminating();
  for (int i = 0; i < 20; ++i) machine.ReportEnded("inc-" + std::to_string(i % 12));
  EXPECT_TRUE(State().unfit);
  EXPECT_TRUE(State().terminating);
  EXPECT_EQ(State().ended.size(), 8u);
  std::string why;
  EXPECT_FALSE(machine.Ready(now, &why));
}

}  // namespace
}  // namespace understudy::role
