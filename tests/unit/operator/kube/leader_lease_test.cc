#include "operator/kube/leader_lease.h"

#include <gtest/gtest.h>

#include <atomic>

#include "tests/unit/operator/kube/kube_test_env.h"

namespace understudy::kube {
namespace {

using test::Fault;

// A candidate with its own connection, on short times.
class Candidate {
 public:
  Candidate(KubeTestEnv& env, const std::string& pod)
      : env_(env),
        transport_(MakeBeastTransport(env.Context(env.Plain()))),
        lease_({.identity = MakeLeaseIdentity(pod),
                .lease_duration = Milliseconds(1000),
                .renew_deadline = Milliseconds(600),
                .retry_period = Milliseconds(100)},
               "system", "understudy-operator", *transport_, env.clock, env.registry,
               {.on_acquired = [this](const Leadership& now) { Acquired(now); },
                .on_lost = [this](const std::string& reason) { Lost(reason); }}) {
    lease_.Start();
    lease_.SetEligible(true);
  }

  bool WaitAcquired(int times) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30), [&] { return acquired_ >= times; });
  }
  bool WaitLost(int times) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30), [&] { return lost_ >= times; });
  }
  std::string term() {
    std::lock_guard lock(mutex_);
    return term_;
  }
  LeaderLease& lease() { return lease_; }
  std::atomic<bool> leader_during_lost{false};
  std::atomic<int> writes_at_lost{0};

 private:
  void Acquired(const Leadership& now) {
    std::lock_guard lock(mutex_);
    ++acquired_;
    term_ = now.term;
    changed_.notify_all();
  }
  void Lost(const std::string&) {
    if (lease_.IsLeader()) leader_during_lost = true;
    writes_at_lost = env_.server.CountRequests("PUT", "leases");
    std::lock_guard lock(mutex_);
    ++lost_;
    changed_.notify_all();
  }

  KubeTestEnv& env_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int acquired_ = 0;  // mutex_
  int lost_ = 0;      // mutex_
  std::string term_;  // mutex_
  std::unique_ptr<Transport> transport_;
  LeaderLease lease_;
};

Json LeaseOf(KubeTestEnv& env) {
  return env.server.store()
      .Get({"/apis/coordination.k8s.io/v1/leases", "system", "understudy-operator", ""})
      .body;
}

TEST(LeaderLeaseTest, LeadsRenewsAndReleases) {
  KubeTestEnv env;
  Candidate a(env, "operator-0");
  ASSERT_TRUE(a.WaitAcquired(1));
  EXPECT_TRUE(a.lease().IsLeader());
  const Leadership now = a.lease().Get();
  EXPECT_TRUE(now.leading);
  EXPECT_EQ(now.term.size(), 32u);
  EXPECT_GT(now.valid_until, env.clock.Mono());
  EXPECT_LE(now.valid_until, env.clock.Mono() + Milliseconds(600));
  EXPECT_EQ(JsonString(LeaseOf(env)["spec"], "holderIdentity").rfind("operator-0_", 0), 0u);
  EXPECT_EQ(LeaseOf(env)["spec"]["leaseDurationSeconds"], 1);
  ASSERT_TRUE(env.server.WaitForRequests("PUT", "leases", 3));
  EXPECT_NE(
      env.registry.Text().find("leader_election_master_status{name=\"understudy-operator\"} 1"),
      std::string::npos);
  EXPECT_TRUE(a.lease().Release(env.Soon()));
  EXPECT_FALSE(a.lease().IsLeader());
  EXPECT_FALSE(a.leader_during_lost);
  EXPECT_EQ(LeaseOf(env)["spec"]["holderIdentity"], "");
  EXPECT_GT(env.server.CountRequests("PUT", "leases"), a.writes_at_lost)
      << "the callback came before the release was sent";
}

TEST(LeaderLeaseTest, KeepsWhatOthersPutOnTheObject) {
  KubeTestEnv env;
  Candidate a(env, "operator-0");
  ASSERT_TRUE(a.WaitAcquired(1));
  auto transport = MakeBeastTransport(env.Context(env.Plain()));
  Client client(*transport, env.clock);
  ASSERT_TRUE(client
                  .MergePatch(kLeases, "system", "understudy-operator",
                              {{"metadata", {{"labels", {{"team", "x"}}}}}}, "", env.Soon())
                  .ok());
  const int writes = env.server.CountRequests("PUT", "leases");
  ASSERT_TRUE(env.server.WaitForRequests("PUT", "leases", writes + 3));
  EXPECT_EQ(LeaseOf(env)["metadata"]["labels"]["team"], "x");
  EXPECT_TRUE(a.lease().IsLeader());
}

TEST(LeaderLeaseTest, AReleaseHandsOverWithoutTheLeaseDuration) {
  KubeTestEnv env;
  Candidate a(env, "operator-0");
  ASSERT_TRUE(a.WaitAcquired(1));
  Candidate b(env, "operator-1");
  ASSERT_TRUE(a.lease().Release(env.Soon()));
  ASSERT_TRUE(b.WaitAcquired(1));
  EXPECT_NE(a.term(), b.term());
  EXPECT_EQ(LeaseOf(env)["spec"]["leaseTransitions"], 1);
  EXPECT_FALSE(a.lease().IsLeader());
}

TEST(LeaderLeaseTest, ALeaderThatIsGoneIsFollowedByTheOther) {
  KubeTestEnv env;
  Candidate a(env, "operator-0");
  ASSERT_TRUE(a.WaitAcquired(1));
  const MonoTime promised = a.lease().ValidUntil();
  Candidate b(env, "operator-1");
  a.lease().Stop();  // ends without releasing, as a crash does
  EXPECT_FALSE(a.lease().IsLeader());
  ASSERT_TRUE(b.WaitAcquired(1));
  EXPECT_GE(b.lease().Get().acquired_at, promised);
}

TEST(LeaderLeaseTest, LosesInTimeWhenTheServerIsAwayAndWinsAgainWithAnotherTerm) {
  KubeTestEnv env;
  Candidate a(env, "operator-0");
  ASSERT_TRUE(a.WaitAcquired(1));
  const std::string first = a.term();
  env.server.Pause();
  ASSERT_TRUE(a.WaitLost(1));
  EXPECT_FALSE(a.lease().IsLeader());
  EXPECT_EQ(a.lease().Get().term, "");
  env.server.Resume();
  ASSERT_TRUE(a.WaitAcquired(2));
  EXPECT_NE(a.term(), first);
}

TEST(LeaderLeaseTest, AServerThatDoesNotAnswerDoesNotHoldUpTheLoss) {
  KubeTestEnv env;
  Candidate a(env, "operator-0");
  ASSERT_TRUE(a.WaitAcquired(1));
  env.server.AddFault({.path = "leases", .times = 1000, .action = Fault::Action::kHang});
  ASSERT_TRUE(a.WaitLost(1));
  EXPECT_FALSE(a.lease().IsLeader());
  env.server.ClearFaults();
  env.server.CloseConnections();
  ASSERT_TRUE(a.WaitAcquired(2));
}

TEST(LeaderLeaseTest, ARenewalWhoseAnswerIsLostCostsNoLeadership) {
  KubeTestEnv env;
  Candidate a(env, "operator-0");
  ASSERT_TRUE(a.WaitAcquired(1));
  env.server.AddFault({.method = "PUT", .path = "leases", .action = Fault::Action::kDropReply});
  const int writes = env.server.CountRequests("PUT", "leases");
  ASSERT_TRUE(env.server.WaitForRequests("PUT", "leases", writes + 4));
  EXPECT_TRUE(a.lease().IsLeader());
  EXPECT_EQ(a.lease().Get().term, a.term());
}

}  // namespace
}  // namespace understudy::kube
