#include "node/role/role_gate.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace understudy::role {
namespace {

constexpr MonoTime kNow{10'000'000'000};

TEST(RoleGate, AnswersLoadingBeforeAnyRole) {
  RoleGate gate;
  EXPECT_EQ(gate.Check(false, kNow), Admission::kLoading);
  EXPECT_EQ(gate.Check(true, kNow), Admission::kLoading);
  EXPECT_EQ(ErrorText(Admission::kLoading).substr(0, 8), "LOADING ");  // clients retry on that word
}

TEST(RoleGate, ServesEverythingStandalone) {
  RoleGate gate;
  gate.ServeStandalone();
  EXPECT_EQ(gate.Check(true, kNow), Admission::kServe);
  EXPECT_TRUE(gate.MayFlush(gate.generation(), kNow));
}

TEST(RoleGate, StandaloneRefusesWritesWithoutEnoughReplicas) {
  RoleGate gate;
  gate.Publish({.mode = GateState::Mode::kStandalone, .enough_voters = false, .lease_until = kForever});
  EXPECT_EQ(gate.Check(true, kNow), Admission::kNoReplicas);
  EXPECT_EQ(gate.Check(false, kNow), Admission::kServe);
  EXPECT_TRUE(gate.MayStream(kNow)) << "what expires goes to the replicas that are there";
}

TEST(RoleGate, AStaleReplicaRefusesReads) {
  RoleGate gate;
  gate.Publish({.mode = GateState::Mode::kReplica, .stale = true});
  EXPECT_EQ(gate.Check(false, kNow), Admission::kStale);
  EXPECT_EQ(gate.Check(true, kNow), Admission::kReadOnly);
  EXPECT_EQ(ErrorText(Admission::kStale),
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.");
}

TEST(RoleGate, AReplicaServesReadsOnlyAndNothingWithoutData) {
  RoleGate gate;
  gate.Publish({.mode = GateState::Mode::kReplica});
  EXPECT_EQ(gate.Check(false, kNow), Admission::kServe);
  EXPECT_EQ(gate.Check(true, kNow), Admission::kReadOnly);
  EXPECT_FALSE(gate.MayFlush(gate.generation(), kNow));
  EXPECT_EQ(ErrorText(Admission::kReadOnly),
            "READONLY You can't write against a read only replica.");
  gate.Publish({.mode = GateState::Mode::kReplica, .loading = true});
  EXPECT_EQ(gate.Check(false, kNow), Admission::kLoading);
  EXPECT_EQ(gate.Check(true, kNow), Admission::kReadOnly);  // its writer shall look for the primary
  gate.Publish({.mode = GateState::Mode::kReplica, .loading = true, .paused_until = kNow + Milliseconds(1)});
  EXPECT_EQ(gate.Check(true, kNow), Admission::kReadOnly);
  gate.Publish({.mode = GateState::Mode::kPrimary, .loading = true, .lease_until = kForever});
  EXPECT_EQ(gate.Check(true, kNow), Admission::kLoading);
}

TEST(RoleGate, TheReplicationCanRefuseAtOnceWhileItLoads) {
  RoleGate gate;
  gate.Publish({.mode = GateState::Mode::kReplica});
  gate.BlockForLoading(true);
  EXPECT_EQ(gate.Check(false, kNow), Admission::kLoading);
  gate.Publish({.mode = GateState::Mode::kReplica});
  EXPECT_EQ(gate.Check(false, kNow), Admission::kLoading);
  gate.BlockForLoading(false);
  EXPECT_EQ(gate.Check(false, kNow), Admission::kServe);
}

TEST(RoleGate, ThePrimarysLeaseIsCheckedTwice) {
  RoleGate gate;
  gate.Publish(
      {.mode = GateState::Mode::kPrimary, .lease_until = kNow + Milliseconds(10), .generation = 3});
  EXPECT_EQ(gate.Check(true, kNow), Admission::kServe);
  EXPECT_TRUE(gate.MayFlush(3, kNow));
  EXPECT_FALSE(gate.MayFlush(3, kNow + Milliseconds(10)));
  EXPECT_EQ(gate.Check(true, kNow + Milliseconds(10)), Admission::kNoLease);
  EXPECT_EQ(gate.Check(false, kNow + Milliseconds(10)), Admission::kServe);
  EXPECT_FALSE(gate.MayFlush(2, kNow));
  EXPECT_TRUE(gate.InOffice(kNow));
  EXPECT_FALSE(gate.InOffice(kNow + Milliseconds(10)));
  gate.Publish({.mode = GateState::Mode::kReplica, .lease_until = kNow + Milliseconds(10), .generation = 4});
  EXPECT_FALSE(gate.InOffice(kNow));
}

TEST(RoleGate, AReplyOfAnEarlierOfficeIsNeverSent) {
  RoleGate gate;
  gate.Publish({.mode = GateState::Mode::kPrimary, .lease_until = kForever, .generation = 1});
  const uint64_t generation = gate.generation();
  gate.Publish({.mode = GateState::Mode::kReplica, .generation = 2});
  gate.Publish({.mode = GateState::Mode::kPrimary, .lease_until = kForever, .generation = 2});
  EXPECT_FALSE(gate.MayFlush(generation, kNow));
}

TEST(RoleGate, RefusalsComeInTheirOrder) {
  RoleGate gate;
  GateState state{
      .mode = GateState::Mode::kPrimary, .enough_voters = false, .synchronous_replicas = 1};
  state.paused_until = kNow + Milliseconds(1);
  gate.Publish(state);
  EXPECT_EQ(gate.Check(true, kNow), Admission::kPaused);
  EXPECT_EQ(gate.Check(true, kNow + Milliseconds(1)), Admission::kNoLease);
  state.lease_until = kForever;
  gate.Publish(state);
  EXPECT_EQ(gate.Check(true, kNow + Milliseconds(1)), Admission::kNoReplicas);
  EXPECT_EQ(gate.synchronous_replicas(), 1u);
  EXPECT_EQ(gate.paused_until(), kNow + Milliseconds(1));
}

// A reader that sees the primary's mode sees a lease of that office, never the "for ever" of
// another one.
TEST(RoleGate, NoReaderMixesTwoOffices) {
  RoleGate gate;
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> wrong{0}, seen{0};
  std::thread reader([&] {
    while (!stop.load()) {
      if (gate.Check(true, kNow) == Admission::kServe) ++wrong;
      if (gate.mode() == GateState::Mode::kPrimary) ++seen;
    }
  });
  // A primary only ever with a lease that is over.
  uint64_t generation = 1;
  while (seen.load() < 1000) {
    gate.Publish(
        {.mode = GateState::Mode::kReplica, .lease_until = kForever, .generation = generation++});
    gate.Publish(
        {.mode = GateState::Mode::kPrimary, .lease_until = kNow, .generation = generation});
  }
  stop = true;
  reader.join();
  EXPECT_EQ(wrong.load(), 0u);
}

}  // namespace
}  // namespace understudy::role
