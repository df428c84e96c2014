#include "node/role/copy_rules.h"

#include <gtest/gtest.h>

#include "tests/unit/node/role/rule_set_test_peer.h"

namespace understudy::role {
namespace {

using control::Role;

control::NodeRef Ref(const std::string& name) {
  return {name, "", "inc-" + name, "", ""};
}

struct CopyRules : testing::Test {
  control::Configuration configuration;
  CopySource source{Role::kPrimary, true, true, false, &configuration};
};

TEST_F(CopyRules, APrimaryInOfficeCopiesToWhoIsNoVoter) {
  configuration.synchronous_replicas = 1;
  EXPECT_EQ(AnswerFullCopy(source, Ref("a"), false), CopyAnswer::kReplace);
}

TEST_F(CopyRules, AVoterThatCanBeSparedLeavesFirst) {
  configuration.synchronous_replicas = 1;
  configuration.voters = {Ref("a"), Ref("b")};
  EXPECT_EQ(AnswerFullCopy(source, Ref("a"), false), CopyAnswer::kLeaveVotersFirst);
  EXPECT_EQ(AnswerFullCopy(source, Ref("a"), false, RuleSetTestPeer::Without({Rule::kComplete})),
            CopyAnswer::kReplace);
}

TEST_F(CopyRules, AVoterThatCantBeSparedLoadsBeside) {
  configuration.synchronous_replicas = 1;
  configuration.voters = {Ref("a")};
  EXPECT_EQ(AnswerFullCopy(source, Ref("a"), false), CopyAnswer::kBeside);
}

TEST_F(CopyRules, WithoutSynchronousReplicasAVoterMayDropItsData) {
  configuration.voters = {Ref("a")};
  EXPECT_EQ(AnswerFullCopy(source, Ref("a"), false), CopyAnswer::kReplace);
}

TEST_F(CopyRules, ADemotedPrimaryStartsNoFullCopyButFeeds) {
  source.in_office = false;
  EXPECT_TRUE(MayServeReplication(source, false));
  EXPECT_EQ(AnswerFullCopy(source, Ref("a"), false), CopyAnswer::kRefuse);
  EXPECT_EQ(
      AnswerFullCopy(source, Ref("a"), false, RuleSetTestPeer::Without({Rule::kFullCopyInOffice})),
      CopyAnswer::kReplace);
}

TEST_F(CopyRules, AReplicaServesCopyOnlyOrders) {
  source.role = Role::kReplica;
  source.in_office = false;
  EXPECT_EQ(AnswerFullCopy(source, Ref("a"), false), CopyAnswer::kRefuse);
  EXPECT_EQ(AnswerFullCopy(source, Ref("a"), true), CopyAnswer::kReplace);
}

TEST_F(CopyRules, HalfOfADataSetIsNoSource) {
  source.complete = false;
  EXPECT_EQ(AnswerFullCopy(source, Ref("a"), true), CopyAnswer::kRefuse);
  source.complete = true;
  source.loading = true;
  EXPECT_FALSE(MayServeReplication(source, true));
}

TEST_F(CopyRules, AFencedReplicaStartsNoLoading) {
  EXPECT_TRUE(MayStartLoading(2, 2));
  EXPECT_FALSE(MayStartLoading(3, 2));
  EXPECT_TRUE(MayStartLoading(3, 2, RuleSetTestPeer::Without({Rule::kFullCopyInOffice})));
}

TEST_F(CopyRules, OnlyVotersCountForSynchronousReplicas) {
  configuration.voters = {Ref("a"), Ref("b"), Ref("c")};
  configuration.synchronous_replicas = 2;
  const std::vector<control::ReplicaAck> acks = {
      {"inc-a", 50}, {"inc-b", 70}, {"inc-c", 60}, {"inc-x", 90}};
  EXPECT_EQ(CountAcked(acks, configuration, 60), 2u);
  EXPECT_EQ(SyncOffset(acks, configuration), 60u);
  EXPECT_EQ(SyncOffset(acks, configuration, RuleSetTestPeer::Without({Rule::kSyncVoters})), 70u);
  configuration.synchronous_replicas = 0;
  EXPECT_EQ(SyncOffset(acks, configuration), UINT64_MAX);
  configuration.synchronous_replicas = 4;
  EXPECT_EQ(SyncOffset(acks, configuration), 0u);
}

}  // namespace
}  // namespace understudy::role
