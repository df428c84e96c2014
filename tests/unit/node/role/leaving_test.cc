// Leaving a group and joining one: Promote, Demote, the end of a group (FAILOVER.md section 2).
#include "tests/unit/node/role/machine_fixture.h"

namespace understudy::role {
namespace {

using control::OrderAck;
using control::Role;

using Leaving = MachineFixture;

TEST_F(Leaving, APrimaryWhoseGroupIsDeletedServesOnAlone) {
  Do(First(7));
  const uint64_t generation = machine.Gate().generation;
  control::Order alone = Standalone(1, "object");
  alone.leaves_group = "G";
  alone.leaves_epoch = 7;
  const OrderAck ack = Do(alone);
  EXPECT_TRUE(ack.accepted);
  EXPECT_EQ(Count<Demote>(), 0u);
  EXPECT_EQ(Mode(), GateState::Mode::kStandalone);
  EXPECT_EQ(machine.Gate().generation, generation);
  EXPECT_EQ(std::get<BecomeStandalone>(done.back()).dataset, "");
}

TEST_F(Leaving, PromoteKeepsTheDataUnderANewDatasetId) {
  LoadedReplica(2, 1, 100);
  control::Order alone = Standalone(1, "object");
  alone.leaves_group = "G";
  alone.leaves_epoch = 2;
  alone.fresh_dataset = "data-2";
  ASSERT_TRUE(Do(alone).accepted);
  const auto& action = std::get<BecomeStandalone>(done.back());
  EXPECT_FALSE(action.start_empty);
  EXPECT_EQ(action.dataset, "data-2");
}

TEST_F(Leaving, PromoteOfAnIncompleteReplicaIsRefusedAndNeverStartsEmpty) {
  Do(Replica(2, 1));
  control::Order alone = Standalone(1, "object");
  alone.leaves_group = "G";
  alone.leaves_epoch = 2;
  alone.fresh_dataset = "data-2";
  alone.promotion = true;
  const OrderAck ack = Do(alone);
  EXPECT_FALSE(ack.accepted);
  EXPECT_EQ(ack.reason, "this node holds no whole data set, so it can't be promoted");
  EXPECT_EQ(State().group, "G");
  EXPECT_EQ(State().role, Role::kReplica);
  LoadedReplica(2, 2, 100);
  EXPECT_TRUE(Do(alone).accepted);
  EXPECT_FALSE(std::get<BecomeStandalone>(done.back()).start_empty);
}

TEST_F(Leaving, DemoteDropsDataOnlyIfTheOrderAllowsIt) {
  control::Order alone = Standalone(1, "object");
  alone.fresh_dataset = "data-s";
  Do(alone);
  control::Order replica = Replica(4, 2);
  replica.leaves_group = "object";
  replica.leaves_epoch = 1;
  OrderAck ack = Do(replica);
  EXPECT_FALSE(ack.accepted);
  EXPECT_EQ(
      ack.reason,
      "this standalone node holds a data set of its own, and the order does not allow to drop it");
  replica.drop_data = true;
  EXPECT_TRUE(Do(replica).accepted);
  EXPECT_TRUE(std::get<BecomeReplica>(done.back()).drop_data);
}

TEST_F(Leaving, DemoteDropsTheDataSetThatTheOrderNamesAndNoOther) {
  control::Order alone = Standalone(1, "object");
  alone.fresh_dataset = "data-s";
  Do(alone);
  facts.dataset = "data-s";
  facts.keys = 1;  // came after the operator saw an empty node
  control::Order replica = Replica(4, 2);
  replica.leaves_group = "object";
  replica.leaves_epoch = 1;
  replica.drop_data = true;
  OrderAck ack = Do(replica);
  EXPECT_FALSE(ack.accepted);
  EXPECT_EQ(ack.reason,
            "this standalone node holds data set data-s; the order allows to drop (none)");
  replica.drop_dataset = "data-of-before";
  EXPECT_FALSE(Do(replica).accepted);
  EXPECT_EQ(Mode(), GateState::Mode::kStandalone);
  replica.drop_dataset = "data-s";
  EXPECT_TRUE(Do(replica).accepted);
}

TEST_F(Leaving, DemoteEndsTheOfficeSoThatNoReplyOfItIsFlushedLater) {
  control::Order alone = Standalone(1, "object");
  alone.fresh_dataset = "data-s";
  Do(alone);
  const uint64_t generation = machine.Gate().generation;
  control::Order replica = Replica(4, 2);
  replica.leaves_group = "object";
  replica.leaves_epoch = 1;
  replica.drop_data = true;
  ASSERT_TRUE(Do(replica).accepted);
  EXPECT_NE(machine.Gate().generation, generation);
  EXPECT_EQ(Count<Demote>(), 1u);  // closes the clients
  EXPECT_TRUE(std::holds_alternative<BecomeReplica>(done.back()));
}

TEST_F(Leaving, AMemberOfAGroupThatIsGoneIsAdoptedWithItsData) {
  for (const Role role : {Role::kReplica, Role::kPrimary}) {
    SetUp();
    LoadedReplica(2, 1, 100);
    control::Order order = role == Role::kReplica ? Replica(3, 1, "q") : Primary(3, 1);
    order.group = "H";
    EXPECT_FALSE(Do(order).accepted) << "it names nothing that may be left";
    order.leaves_group = "G";
    order.leaves_epoch = 1;
    EXPECT_FALSE(Do(order).accepted) << "it is of epoch 2";
    order.leaves_epoch = 2;
    const OrderAck ack = Do(order);
    EXPECT_TRUE(ack.accepted) << ack.reason;
    EXPECT_EQ(ack.state.group, "H");
    EXPECT_EQ(ack.state.role, role);
    EXPECT_EQ(ack.state.last_granted_ms_ago, -1) << "grants of the old group mean nothing to the new one";
  }
  EXPECT_FALSE(std::get<BecomePrimary>(done.back()).start_empty);
}

TEST_F(Leaving, APrimaryOfAGroupThatIsGoneStopsBeforeItFollowsAnother) {
  Do(First(2));
  control::Order order = Replica(3, 1, "q");
  order.group = "H";
  order.leaves_group = "G";
  order.leaves_epoch = 2;
  ASSERT_TRUE(Do(order).accepted);
  EXPECT_EQ(Count<Demote>(), 1u);
  EXPECT_EQ(Mode(), GateState::Mode::kReplica);
}

TEST_F(Leaving, APrimaryOfAGroupThatIsGoneDropsTheDataSetThatTheOrderNamesAndNoOther) {
  Do(First(2));
  facts.dataset = "data-s";
  facts.keys = 1;
  control::Order order = Replica(3, 1, "q");
  order.group = "H";
  order.leaves_group = "G";
  order.leaves_epoch = 2;
  order.drop_data = true;
  OrderAck ack = Do(order);
  EXPECT_FALSE(ack.accepted);
  EXPECT_EQ(ack.reason, "this primary node holds data set data-s; the order allows to drop (none)");
  EXPECT_EQ(Mode(), GateState::Mode::kPrimary);
  order.drop_dataset = "data-s";
  EXPECT_TRUE(Do(order).accepted);
}

}  // namespace
}  // namespace understudy::role
