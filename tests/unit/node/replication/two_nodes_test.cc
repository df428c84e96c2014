// Two and three nodes of one group, and standalone ones, over loopback.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <random>
#include <thread>

#include "tests/unit/node/replication/test_node.h"

namespace understudy::replication {
namespace {

using control::LinkState;

// Writes random sets, deletions and transactions until told to stop.
class Load {
 public:
  explicit Load(TestNode& node, int keys = 5000) : thread_([this, &node, keys] { Run(node, keys); }) {}
  ~Load() { Stop(); }
  void Stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  uint64_t writes() const { return writes_; }

 private:
  void Run(TestNode& node, int keys) {
    std::mt19937 random(7);
    while (!stop_) {
      const std::string a = "key:" + std::to_string(random() % keys), b = "key:" + std::to_string(random() % keys);
      const std::string value(random() % 200, static_cast<char>('a' + random() % 26));
      const int db = random() % 3 == 0 ? 5 : 0;
      const std::string_view set[] = {"SET", a, value};
      const std::string_view del[] = {"DEL", a, b};
      const std::string_view incr[] = {"INCR", "counter"};
      switch (random() % 4) {
        case 0: node.Write({{db, del}}); break;
        case 1: node.Write({{db, set}, {0, incr}}); break;
        default: node.Write({{db, set}}); break;
      }
      ++writes_;
      if (random() % 64 == 0) std::this_thread::yield();
    }
  }
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> writes_{0};
  std::thread thread_;
};

bool CaughtUp(TestNode& primary, TestNode& replica) {
  return Await([&] { return replica.Up() && replica.replication->offset() == primary.replication->offset(); });
}

void ExpectSame(TestNode& a, TestNode& b) {
  const auto left = a.Data(), right = b.Data();
  EXPECT_EQ(left.size(), right.size());
  EXPECT_TRUE(left == right);
}

TEST(TwoNodes, AFullCopyUnderWriteLoadIsExact) {
  TestNode primary(1, false), replica(2, false);
  primary.Primary(1, {}, 0, true);
  for (int i = 0; i < 50'000; ++i) primary.Set("key:" + std::to_string(i % 20'000), std::string(100, 'x'));
  primary.Set("with-ttl", "v");
  const std::string_view ttl[] = {"SET", "expiring", "v", "PXAT", "1234567890123"};
  primary.Write({{2, ttl}});
  {
    Load load(primary);
    replica.Replica(primary, 1);
    ASSERT_TRUE(Await([&] { return replica.Up(); }));
    const uint64_t writes = load.writes();
    ASSERT_TRUE(Await([&] { return load.writes() > writes + 5000; }));
  }
  ASSERT_TRUE(CaughtUp(primary, replica));
  ExpectSame(primary, replica);
  const ReplicationState p = primary.state(), r = replica.state();
  EXPECT_EQ(r.replid, p.replid);
  EXPECT_EQ(r.dataset, "dataset-1");
  EXPECT_EQ(r.dataset, p.dataset);
  EXPECT_EQ(r.last_record_epoch, 1u);
  EXPECT_TRUE(r.complete);
  EXPECT_FALSE(r.loading);
  EXPECT_FALSE(replica.hooks.loading);
  EXPECT_EQ(p.full_syncs, 1u);
  ASSERT_EQ(p.replicas.size(), 1u);
  EXPECT_EQ(p.replicas[0].state, "online");
  EXPECT_EQ(p.replicas[0].port, TestNode::kPort);
  EXPECT_GT(replica.sink.groups, 0u);
}

TEST(TwoNodes, ABrokenLinkCostsAPartialResynchronisation) {
  Settings settings;
  settings.backlog_bytes = 512 * 1024 * 1024;  // the load is as fast as it can be
  TestNode primary(1, false, settings), replica(2, false, settings);
  primary.Primary(1, {}, 0, true);
  primary.Set("a", "1");
  replica.Replica(primary, 1);
  ASSERT_TRUE(CaughtUp(primary, replica));
  Load load(primary);
  for (int i = 1; i <= 5; ++i) {
    primary.CutLinks();
    ASSERT_TRUE(Await([&] { return primary.state().partial_syncs == static_cast<uint64_t>(i); })) << i;
    ASSERT_TRUE(Await([&] { return replica.Up(); }));
  }
  load.Stop();
  ASSERT_TRUE(CaughtUp(primary, replica));
  EXPECT_EQ(primary.state().full_syncs, 1u);
  ExpectSame(primary, replica);
}

TEST(TwoNodes, WhatTheBacklogLostIsCopiedAnew) {
  Settings settings;
  settings.backlog_bytes = 16 * 1024;
  TestNode primary(1, false, settings), replica(2, false, settings);
  primary.Primary(1, {}, 0, true);
  replica.Replica(primary, 1);
  ASSERT_TRUE(CaughtUp(primary, replica));
  primary.RefuseConnections(true);
  primary.CutLinks();
  ASSERT_TRUE(Await([&] { return !replica.Up() && primary.state().replicas.empty(); }));
  for (int i = 0; i < 1000; ++i) primary.Set("key:" + std::to_string(i), std::string(200, 'x'));
  primary.RefuseConnections(false);
  ASSERT_TRUE(CaughtUp(primary, replica));
  EXPECT_EQ(primary.state().full_syncs, 2u);
  EXPECT_EQ(primary.state().partial_refused, 1u);
  ExpectSame(primary, replica);
}

TEST(ThreeNodes, AfterAPromotionTheOthersGoOnWithoutACopy) {
  TestNode a(1, false), b(2, false), c(3, false);
  a.Primary(1, {}, 0, true);
  for (int i = 0; i < 1000; ++i) a.Set("key:" + std::to_string(i), "1", i % 4);
  b.Replica(a, 1);
  c.Replica(a, 1);
  ASSERT_TRUE(CaughtUp(a, b) && CaughtUp(a, c));
  const std::string first = a.state().replid;
  for (int i = 0; i < 1000; ++i) a.Set("key:" + std::to_string(i), "2", i % 4);
  ASSERT_TRUE(CaughtUp(a, b) && CaughtUp(a, c));

  // Switchover: a is demoted with its final offset, b takes office, both others follow it.
  ASSERT_TRUE(a.Do([&](auto done) { a.replication->Demote(done); }).ok());
  const uint64_t final_offset = a.state().offset;
  EXPECT_TRUE(a.state().demoted);
  ASSERT_TRUE(Await([&] { return b.state().offset == final_offset; }));
  ASSERT_TRUE(b.Do([&](auto done) { b.replication->StopApplying(done); }).ok());
  b.Primary(2);
  a.Replica(b, 2);
  c.Replica(b, 2);
  b.Set("after", "promotion", 3);
  ASSERT_TRUE(CaughtUp(b, a) && CaughtUp(b, c));
  ExpectSame(b, a);
  ExpectSame(b, c);
  const ReplicationState state = b.state();
  EXPECT_EQ(state.full_syncs, 0u);
  EXPECT_EQ(state.partial_syncs, 2u);
  EXPECT_NE(state.replid, first);
  EXPECT_EQ(state.replid2, first);
  EXPECT_EQ(state.second_offset, static_cast<int64_t>(final_offset) + 1);
  EXPECT_EQ(state.last_record_epoch, 2u);
  EXPECT_EQ(a.state().last_record_epoch, 2u);
  EXPECT_EQ(a.state().replid, state.replid);
  EXPECT_EQ(a.hooks.shares, 1);
  EXPECT_EQ(b.hooks.shares, 0);
  // And back: c never was at a after epoch 1 and still needs no copy.
  ASSERT_TRUE(b.Do([&](auto done) { b.replication->Demote(done); }).ok());
  ASSERT_TRUE(Await([&] { return a.state().offset == b.state().offset; }));
  a.Primary(3);
  c.Replica(a, 3);
  b.Replica(a, 3);
  a.Set("after", "that", 1);
  ASSERT_TRUE(CaughtUp(a, b) && CaughtUp(a, c));
  ExpectSame(a, b);
  ExpectSame(a, c);
  EXPECT_EQ(a.state().full_syncs, 2u);  // those of epoch 1
}

TEST(ThreeNodes, TheSamePrimaryInANewEpochKeepsItsReplicas) {
  TestNode a(1, false), b(2, false);
  a.Primary(1, {}, 0, true);
  a.Set("k", "1");
  b.Replica(a, 1);
  ASSERT_TRUE(CaughtUp(a, b));
  b.Replica(a, 2);  // its order comes first
  a.Primary(2);
  a.Set("k", "2");
  ASSERT_TRUE(Await([&] { return b.state().last_record_epoch == 2; }));
  ASSERT_TRUE(CaughtUp(a, b));
  ExpectSame(a, b);
  EXPECT_EQ(a.state().full_syncs, 1u);
  EXPECT_EQ(a.state().partial_syncs, 1u);
}

TEST(ThreeNodes, WhatAnOldPrimaryHasAloneIsCountedAndDropped) {
  TestNode a(1, false), b(2, false);
  a.Primary(1, {}, 0, true);
  a.Set("k", "1");
  b.Replica(a, 1);
  ASSERT_TRUE(CaughtUp(a, b));
  ASSERT_TRUE(b.Do([&](auto done) { b.replication->StopApplying(done); }).ok());
  EXPECT_EQ(b.state().link, LinkState::kNone);
  const uint64_t shared = b.state().offset;
  const uint64_t lost = a.Set("only-on-a", "1") - shared;
  b.Primary(2);
  b.Set("k", "2");
  ASSERT_TRUE(a.Do([&](auto done) { a.replication->Demote(done); }).ok());
  a.Replica(b, 2);
  ASSERT_TRUE(CaughtUp(b, a));
  ExpectSame(b, a);
  EXPECT_EQ(a.state().dropped_bytes, lost);
  EXPECT_EQ(b.state().full_syncs, 1u);
}

TEST(ThreeNodes, APrimaryThatMayNotAcknowledgeSendsNoKeepaliveAndReturnsWithoutACopy) {
  Settings settings;
  settings.ping_period_ms = 20;
  TestNode a(1, false, settings), b(2, false), c(3, false);
  a.Primary(1, {}, 0, true);
  b.Replica(a, 1);
  c.Replica(a, 1);
  ASSERT_TRUE(CaughtUp(a, b) && CaughtUp(a, c));
  const uint64_t quiet = a.replication->offset();
  ASSERT_TRUE(Await([&] { return a.replication->offset() > quiet + 28; })) << "its keepalives";
  a.hooks.in_office = false;
  usleep(100'000);  // what was on its way
  ASSERT_TRUE(CaughtUp(a, b));
  ASSERT_TRUE(b.Do([&](auto done) { b.replication->StopApplying(done); }).ok());
  usleep(300'000);
  EXPECT_EQ(a.state().offset, b.state().offset);
  b.Primary(2);
  ASSERT_TRUE(a.Do([&](auto done) { a.replication->Demote(done); }).ok());
  a.Replica(b, 2);
  ASSERT_TRUE(CaughtUp(b, a));
  EXPECT_EQ(a.state().dropped_bytes, 0u);
  EXPECT_EQ(b.state().full_syncs, 0u);
}

TEST(ThreeNodes, SyncOffsetCountsTheVotersOfTheConfigurationOnly) {
  TestNode a(1, false), b(2, false), c(3, false);
  a.Primary(1, {}, 0, true);
  EXPECT_EQ(a.replication->SyncOffset(), UINT64_MAX);
  b.Replica(a, 1);
  c.Replica(a, 1);
  ASSERT_TRUE(CaughtUp(a, b) && CaughtUp(a, c));

  control::Configuration configuration;
  configuration.number = 2;
  configuration.epoch = 1;
  configuration.voters = {b.Ref()};
  configuration.synchronous_replicas = 1;
  ASSERT_TRUE(a.Do([&](auto done) { a.replication->ActUnder(configuration, done); }).ok());
  ASSERT_TRUE(Await([&] { return a.state().configuration_acked == 2; }));
  const uint64_t offset = a.Set("k", "1");
  ASSERT_TRUE(Await([&] { return a.replication->SyncOffset() >= offset; }));
  EXPECT_EQ(a.replication->SyncOffset(), offset);
  ASSERT_TRUE(Await([&] { return a.replication->CountAcked(offset) == 2; }));

  // Two voters, both needed; c's link is broken and stays so.
  configuration.number = 3;
  configuration.voters = {b.Ref(), c.Ref()};
  configuration.synchronous_replicas = 2;
  ASSERT_TRUE(c.Do([&](auto done) { c.replication->StopApplying(done); }).ok());
  const uint64_t second = a.Set("k", "2");
  ASSERT_TRUE(a.Do([&](auto done) { a.replication->ActUnder(configuration, done); }).ok());
  ASSERT_TRUE(Await([&] { return a.replication->CountAcked(second) == 1; }));
  EXPECT_EQ(a.replication->SyncOffset(), offset);
  EXPECT_EQ(a.state().configuration_acked, 2u);
  EXPECT_EQ(a.state().configuration, 3u);
  c.Replica(a, 1);
  ASSERT_TRUE(Await([&] { return a.replication->SyncOffset() >= second; }));
  ASSERT_TRUE(Await([&] { return a.state().configuration_acked == 3; }));

  // More than there are: nothing is acknowledged.
  configuration.number = 4;
  configuration.synchronous_replicas = 3;
  ASSERT_TRUE(a.Do([&](auto done) { a.replication->ActUnder(configuration, done); }).ok());
  EXPECT_EQ(a.replication->SyncOffset(), 0u);
  EXPECT_GT(a.hooks.acks, 0);
}

TEST(ThreeNodes, InSyncMeansAcknowledgedWhatThePrimaryHadASecondAgo) {
  TestNode a(1, false), b(2, false);
  a.Primary(1, {}, 0, true);
  b.Replica(a, 1);
  Load load(a);
  ASSERT_TRUE(Await([&] {
    const auto acks = a.state().acks;
    return acks.size() == 1 && acks[0].in_sync && acks[0].incarnation == b.incarnation;
  }));
  ASSERT_TRUE(b.Do([&](auto done) { b.replication->StopApplying(done); }).ok());
  ASSERT_TRUE(Await([&] { return !a.state().acks[0].in_sync; }));
  EXPECT_LE(a.state().acks[0].offset, b.state().offset);
}

TEST(Group, AForeignGroupAndAnOldEpochAreRefused) {
  TestNode primary(1, false), replica(2, false);
  primary.Primary(5, {}, 0, true);
  replica.Replica(primary, 4);
  ASSERT_TRUE(Await([&] { return replica.state().link_error.find("epoch 4 is over") != std::string::npos; }));
  role::BecomeReplica order;
  order.group = "another-group";
  order.epoch = 5;
  order.primary = primary.Ref();
  order.replication_key = "key of epoch 5";
  ASSERT_TRUE(replica.Do([&](auto done) { replica.replication->BecomeReplica(order, done); }).ok());
  ASSERT_TRUE(Await([&] { return replica.state().link_error.find("belongs to group a-group") != std::string::npos; }));
  order.group = kGroup;
  order.replication_key = "not the key";
  ASSERT_TRUE(replica.Do([&](auto done) { replica.replication->BecomeReplica(order, done); }).ok());
  ASSERT_TRUE(Await([&] { return replica.state().link_error.find("proof is not made") != std::string::npos; }));
  // Another process at the address of the primary that was meant.
  order.replication_key = "key of epoch 5";
  order.primary.incarnation = "somebody-else";
  ASSERT_TRUE(replica.Do([&](auto done) { replica.replication->BecomeReplica(order, done); }).ok());
  ASSERT_TRUE(Await([&] { return replica.state().link_error.find("not somebody-else") != std::string::npos; }));
  EXPECT_TRUE(primary.state().replicas.empty());
  replica.Replica(primary, 5);
  ASSERT_TRUE(CaughtUp(primary, replica));
}

TEST(Group, AHigherEpochIsRefusedAndNotBelieved) {
  TestNode primary(1, false), replica(2, false);
  primary.Primary(5, {}, 0, true);
  replica.Replica(primary, 6);
  ASSERT_TRUE(Await([&] { return replica.state().link_error.find("knows only epoch 5") != std::string::npos; }));
  replica.Replica(primary, 7);
  EXPECT_EQ(primary.state().mode, Mode::kPrimary);
  EXPECT_FALSE(primary.state().demoted);
}

TEST(Group, AVoterKeepsItsDataOrLoadsBeside) {
  Settings settings;
  settings.backlog_bytes = 16 * 1024;
  TestNode a(1, false, settings), b(2, false, settings), c(3, false, settings);
  a.Primary(1, {}, 0, true);
  a.Set("k", "1");
  b.Replica(a, 1);
  c.Replica(a, 1);
  ASSERT_TRUE(CaughtUp(a, b) && CaughtUp(a, c));
  control::Configuration configuration;
  configuration.number = 2;
  configuration.epoch = 1;
  configuration.voters = {b.Ref(), c.Ref()};
  configuration.synchronous_replicas = 1;
  ASSERT_TRUE(a.Do([&](auto done) { a.replication->ActUnder(configuration, done); }).ok());
  a.RefuseConnections(true);
  a.CutLinks();
  ASSERT_TRUE(Await([&] { return a.state().replicas.empty() && !b.Up(); }));
  for (int i = 0; i < 1000; ++i) a.Set("key:" + std::to_string(i), std::string(200, 'x'));
  a.RefuseConnections(false);
  // One of two voters can be spared: it must leave first.
  ASSERT_TRUE(Await([&] { return b.state().needs_full_copy; }));
  EXPECT_EQ(b.Data().size(), 1u);
  ASSERT_TRUE(Await([&] {
    const auto acks = a.state().acks;
    return acks.size() == 2 && acks[0].needs_full_copy && acks[1].needs_full_copy;
  }));
  // The only voter can't: it serves its old data until the new one is whole.
  configuration.number = 3;
  configuration.voters = {b.Ref()};
  ASSERT_TRUE(a.Do([&](auto done) { a.replication->ActUnder(configuration, done); }).ok());
  ASSERT_TRUE(CaughtUp(a, b));
  EXPECT_FALSE(b.hooks.loading);
  EXPECT_FALSE(b.state().needs_full_copy);
  ExpectSame(a, b);
  // c is no voter any more: it drops what it has.
  ASSERT_TRUE(CaughtUp(a, c));
  ExpectSame(a, c);
}

TEST(Group, ADemotedPrimaryFeedsButCopiesNothing) {
  TestNode a(1, false), b(2, false), c(3, false);
  a.Primary(1, {}, 0, true);
  a.Set("k", "1");
  b.Replica(a, 1);
  ASSERT_TRUE(CaughtUp(a, b));
  int drains = a.hooks.drains;
  ASSERT_TRUE(a.Do([&](auto done) { a.replication->Demote(done); }).ok());
  EXPECT_EQ(a.hooks.drains, drains + 1);
  a.CutLinks();
  ASSERT_TRUE(CaughtUp(a, b));  // a partial resynchronisation is welcome
  c.Replica(a, 1);
  ASSERT_TRUE(Await([&] { return c.state().link_error.find("not in office") != std::string::npos; }));
  EXPECT_EQ(a.state().full_syncs, 1u);
}

TEST(Group, AFencedReplicaGoesOnButLoadsNothing) {
  Settings settings;
  settings.backlog_bytes = 16 * 1024;
  TestNode a(1, false, settings), b(2, false, settings);
  a.Primary(1, {}, 0, true);
  b.Replica(a, 1);
  ASSERT_TRUE(CaughtUp(a, b));
  ASSERT_TRUE(b.Do([&](auto done) { b.replication->Fence(done); }).ok());
  a.Set("k", "1");
  ASSERT_TRUE(CaughtUp(a, b));
  a.RefuseConnections(true);
  a.CutLinks();
  ASSERT_TRUE(Await([&] { return a.state().replicas.empty() && !b.Up(); }));
  for (int i = 0; i < 1000; ++i) a.Set("key:" + std::to_string(i), std::string(200, 'x'));
  a.RefuseConnections(false);
  ASSERT_TRUE(Await([&] { return b.state().link_error.find("a higher epoch is known") != std::string::npos; }));
  EXPECT_EQ(b.Data().size(), 1u);
  EXPECT_TRUE(b.state().complete);
  b.Replica(a, 1);
  ASSERT_TRUE(CaughtUp(a, b));
  ExpectSame(a, b);
}

// automaticFailover false: the restarted primary copies the best replica, then gets the role back.
TEST(Group, ARestartedPrimaryCopiesAReplicaThatWasAskedForItsOffsetAndTheOthersGoOn) {
  TestNode before(1, false), b(2, false), c(3, false), again(4, false);
  before.Primary(1, {}, 0, true);
  before.Set("k", "1");
  b.Replica(before, 1);
  c.Replica(before, 1);
  ASSERT_TRUE(CaughtUp(before, b) && CaughtUp(before, c));
  for (TestNode* node : {&b, &c}) {
    ASSERT_TRUE(node->Do([&](auto done) { node->replication->Fence(done); }).ok());
    ASSERT_TRUE(node->Do([&](auto done) { node->replication->StopApplying(done); }).ok());
  }
  again.Copy(b, 2, 1);
  ASSERT_TRUE(Await([&] { return again.state().complete; })) << again.state().link_error;
  ExpectSame(b, again);
  EXPECT_EQ(again.state().offset, b.state().offset);
  again.Primary(2);
  again.Set("k", "2");
  b.Replica(again, 2);
  c.Replica(again, 2);
  ASSERT_TRUE(CaughtUp(again, b) && CaughtUp(again, c));
  ExpectSame(again, b);
  ExpectSame(again, c);
  EXPECT_EQ(again.state().full_syncs, 0u);
}

TEST(Group, ANodeWithoutDataIsNoPrimaryUnlessItStartsEmpty) {
  TestNode node(1, false);
  role::BecomePrimary order;
  order.group = kGroup;
  order.epoch = 1;
  const Status status = node.Do([&](auto done) { node.replication->BecomePrimary(order, done); });
  EXPECT_EQ(status.code(), Code::kConflict);
  EXPECT_EQ(node.state().mode, Mode::kUnassigned);
  node.Primary(1, {}, 0, true);
  EXPECT_TRUE(node.state().complete);
  EXPECT_FALSE(node.hooks.loading);
}

TEST(Group, DataOfAnotherDatasetIsDroppedWhenTheOrderSaysSo) {
  TestNode a(1, false), b(2, false);
  a.Primary(1, {}, 0, true);
  a.Set("of-a", "1");
  b.Primary(1, {}, 0, true);
  b.Set("of-b", "1");
  b.Replica(a, 1, true);
  ASSERT_TRUE(CaughtUp(a, b));
  ExpectSame(a, b);
  EXPECT_EQ(b.state().dropped_bytes, 0u);
}

TEST(Group, AReplicaStandsAloneAfterPromote) {
  TestNode a(1, false), b(2, false);
  a.Primary(1, {}, 0, true);
  a.Set("k", "1");
  for (int i = 0; i < 50; ++i) a.Set("key:" + std::to_string(i), std::to_string(i));
  b.Replica(a, 1);
  ASSERT_TRUE(CaughtUp(a, b));
  const auto held = b.Data();
  ASSERT_EQ(held.size(), 51u);
  role::BecomeStandalone order;
  order.group = "b's own";
  order.epoch = 1;
  order.dataset = "new-dataset";
  ASSERT_TRUE(b.Do([&](auto done) { b.replication->BecomeStandalone(order, done); }).ok());
  EXPECT_EQ(b.Data(), held) << "every key, as it was";
  EXPECT_FALSE(b.hooks.loading);
  b.Set("k", "2");
  EXPECT_EQ(b.state().dataset, "new-dataset");
  EXPECT_EQ(b.state().mode, Mode::kStandalone);
  EXPECT_NE(b.state().replid, a.state().replid);
  EXPECT_EQ(b.replication->SyncOffset(), UINT64_MAX);
  EXPECT_TRUE(a.Data().at("0 k").starts_with("1 "));
}

TEST(Group, AStandaloneNodeIsDemotedDropsItsDataAndFollows) {
  TestNode a(1, false), b(2, false);
  a.Primary(1, {}, 0, true);
  a.Set("of-a", "1");
  role::BecomeStandalone order;
  order.group = "b's own";
  order.epoch = 4;
  order.start_empty = true;
  order.dataset = "b's data";
  ASSERT_TRUE(b.Do([&](auto done) { b.replication->BecomeStandalone(order, done); }).ok());
  b.Set("of-b", "1");
  // What the role machine makes of the order to follow.
  ASSERT_TRUE(b.Do([&](auto done) { b.replication->Demote(done); }).ok());
  b.Replica(a, 1, true);
  ASSERT_TRUE(CaughtUp(a, b));
  ExpectSame(a, b);
  EXPECT_EQ(b.state().dataset, a.state().dataset);
  a.Set("later", "1");
  ASSERT_TRUE(CaughtUp(a, b));
  ExpectSame(a, b);
}

TEST(Group, ACopyIsStartedAnewWhenItsPrimaryDiesInTheMiddle) {
  TestNode a(1, false), b(2, false);
  a.Primary(1, {}, 0, true);
  for (int i = 0; i < 200; ++i) a.Set("key:" + std::to_string(i), std::string(100'000, 'x'));
  // Links are broken again and again while b loads, then left alone.
  b.Replica(a, 1);
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(Await([&] { return b.state().loading || b.Up(); }));
    a.CutLinks();
    ASSERT_TRUE(Await([&] { return a.state().replicas.empty() || b.Up(); }));
  }
  ASSERT_TRUE(CaughtUp(a, b));
  ExpectSame(a, b);
  EXPECT_TRUE(b.state().complete);
  EXPECT_FALSE(b.hooks.loading);
}

TEST(Group, AHalfLoadedNodeIsNotComplete) {
  std::mutex mutex;  // b's thread cuts a's links while this one ends a
  auto a = std::make_unique<TestNode>(1, false);
  TestNode b(2, false);
  a->Primary(1, {}, 0, true);
  for (int i = 0; i < 400; ++i) a->Set("key:" + std::to_string(i), std::string(100'000, 'x'));
  b.hooks.on_drain = [&] {  // after the old data is out of reach, before the new one came
    std::lock_guard lock(mutex);
    if (a) a->CutLinks();
  };
  b.Replica(*a, 1);
  ASSERT_TRUE(Await([&] { return b.hooks.drains >= 2; }));
  EXPECT_FALSE(b.state().complete);
  EXPECT_TRUE(b.hooks.loading);
  {
    std::lock_guard lock(mutex);
    a.reset();
  }
  ASSERT_TRUE(b.Do([&](auto done) { b.replication->StopApplying(done); }).ok());
  EXPECT_FALSE(b.state().complete);
  EXPECT_TRUE(b.hooks.loading);
  role::BecomePrimary order;
  order.group = kGroup;
  order.epoch = 2;
  EXPECT_FALSE(b.Do([&](auto done) { b.replication->BecomePrimary(order, done); }).ok());
}

TEST(Group, ASlowReplicaIsDroppedAtItsLimit) {
  Settings settings;
  settings.backlog_bytes = 64 * 1024;
  settings.replica_hard_limit_bytes = 1024 * 1024;
  TestNode a(1, true, settings);
  // A replica that asks and then reads nothing.
  a.Set("k", "v");
  Result<int> connected = ConnectBlocking(a.ip, TestNode::kPort);
  ASSERT_TRUE(connected.ok());
  const std::string hello = "*3\r\n$8\r\nREPLCONF\r\n$4\r\ncapa\r\n$3\r\neof\r\n*3\r\n$5\r\nPSYNC\r\n$1\r\n?\r\n$2\r\n-1\r\n";
  ASSERT_EQ(send(*connected, hello.data(), hello.size(), 0), static_cast<ssize_t>(hello.size()));
  ASSERT_TRUE(Await([&] { return a.state().full_syncs == 1; }));
  const std::string value(10'000, 'x');
  for (int i = 0; i < 200; ++i) a.Set("k", value);
  ASSERT_TRUE(Await([&] { return a.state().replicas.empty(); }));
  EXPECT_EQ(a.state().replicas_dropped, 1u);
  ASSERT_TRUE(Await([&] { return a.state().backlog_held_bytes < 512 * 1024; }));
  close(*connected);
}

// ---- Standalone --------------------------------------------------------------------------------------

TEST(Standalone, AChainPassesTheSameBytesOn) {
  TestNode a(1, true), b(2, true), c(3, true);
  a.Set("before", "1", 4);
  EXPECT_FALSE(a.replication->active());
  b.Follow(a.ip, TestNode::kPort);
  EXPECT_TRUE(b.hooks.replica_of);
  ASSERT_TRUE(Await([&] { return b.Up(); }));
  EXPECT_TRUE(a.replication->active());
  Load load(a);
  c.Follow(b.ip, TestNode::kPort);
  ASSERT_TRUE(Await([&] { return c.Up(); }));
  const uint64_t writes = load.writes();
  ASSERT_TRUE(Await([&] { return load.writes() > writes + 3000; }));
  load.Stop();
  ASSERT_TRUE(CaughtUp(a, b) && CaughtUp(a, c));
  ExpectSame(a, b);
  ExpectSame(a, c);
  EXPECT_EQ(c.state().replid, a.state().replid);
  // The end of the chain goes on at its head without a copy.
  const uint64_t full = a.state().full_syncs;
  c.Follow(a.ip, TestNode::kPort);
  a.Set("k", "direct", 7);
  ASSERT_TRUE(CaughtUp(a, c));
  EXPECT_EQ(a.state().full_syncs, full);
  ExpectSame(a, c);
}

TEST(Standalone, ReplicaOfNoOneKeepsTheDataAndTheOthersGoOn) {
  TestNode a(1, true), b(2, true), c(3, true);
  a.Set("k", "1");
  b.Follow(a.ip, TestNode::kPort);
  c.Follow(a.ip, TestNode::kPort);
  ASSERT_TRUE(CaughtUp(a, b) && CaughtUp(a, c));
  ASSERT_TRUE(b.Do([&](auto done) { b.replication->FollowNobody(done); }).ok());
  EXPECT_FALSE(b.hooks.replica_of);
  b.Set("k", "2");
  c.Follow(b.ip, TestNode::kPort);
  ASSERT_TRUE(CaughtUp(b, c));
  ExpectSame(b, c);
  EXPECT_EQ(b.state().full_syncs, 0u);
  EXPECT_EQ(b.state().partial_syncs, 1u);
}

TEST(Standalone, SeveralReplicasThatWaitShareOneSnapshot) {
  TestNode a(1, true);
  for (int i = 0; i < 300; ++i) a.Set("key:" + std::to_string(i), std::string(50'000, 'x'));
  std::vector<std::unique_ptr<TestNode>> replicas;
  Load load(a, 500);
  for (int i = 0; i < 4; ++i) replicas.push_back(std::make_unique<TestNode>(i + 2, true));
  for (auto& r : replicas) r->Follow(a.ip, TestNode::kPort);
  for (auto& r : replicas) ASSERT_TRUE(Await([&] { return r->Up(); }));
  load.Stop();
  for (auto& r : replicas) {
    ASSERT_TRUE(CaughtUp(a, *r));
    ExpectSame(a, *r);
  }
  EXPECT_EQ(a.state().full_syncs, 4u);
  EXPECT_EQ(a.hooks.shares, 0);
}

TEST(Standalone, TheBacklogIsFreedWhenNobodyUsesIt) {
  Settings settings;
  settings.backlog_ttl_ms = 300;
  TestNode a(1, true, settings);
  {
    TestNode b(2, true);
    b.Follow(a.ip, TestNode::kPort);
    ASSERT_TRUE(Await([&] { return b.Up(); }));
  }
  EXPECT_TRUE(a.replication->active());
  ASSERT_TRUE(Await([&] { return !a.replication->active(); }));
  const std::string replid = a.state().replid;
  a.Set("k", "uncounted");
  TestNode c(3, true);
  c.Follow(a.ip, TestNode::kPort);
  ASSERT_TRUE(CaughtUp(a, c));
  EXPECT_NE(a.state().replid, replid);
  ExpectSame(a, c);
}

TEST(Standalone, WaitCountsAcknowledgements) {
  TestNode a(1, true), b(2, true);
  b.Follow(a.ip, TestNode::kPort);
  ASSERT_TRUE(Await([&] { return b.Up(); }));
  const uint64_t offset = a.Set("k", "1");
  a.replication->RequestAcks();
  ASSERT_TRUE(Await([&] { return a.replication->CountAcked(offset) == 1; }, 900));  // not the periodic one
  EXPECT_EQ(a.replication->CountAcked(offset + 1'000'000), 0u);
}

}  // namespace
}  // namespace understudy::replication
