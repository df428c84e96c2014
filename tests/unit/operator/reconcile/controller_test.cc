// The loop over keys, and the failovers that /metrics tells of: those whose record was written, of groups that exist.
#include "operator/reconcile/failover_counts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "operator/plan/state_codec.h"
#include "operator/reconcile/controller.h"

namespace understudy::reconcile {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(FailoverCounts, AreOfAGroupAndAKindAndEndWithTheGroup) {
  metrics::Registry registry;
  FailoverCounts counts(registry);
  EXPECT_EQ(registry.Text(), "");
  counts.Know("ns", "g");
  counts.Add("ns", "g", failover::Kind::kSwitchover);
  counts.Know("ns", "g");
  counts.Add("other", "g", failover::Kind::kTakeover);
  EXPECT_EQ(registry.Text(),
            "# HELP understudy_failovers_total Changes of the primary recorded in status.failoverHistory\n"
            "# TYPE understudy_failovers_total counter\n"
            "understudy_failovers_total{namespace=\"ns\",group=\"g\",kind=\"takeover\"} 0\n"
            "understudy_failovers_total{namespace=\"ns\",group=\"g\",kind=\"restore\"} 0\n"
            "understudy_failovers_total{namespace=\"ns\",group=\"g\",kind=\"switchover\"} 1\n"
            "understudy_failovers_total{namespace=\"other\",group=\"g\",kind=\"takeover\"} 1\n"
            "understudy_failovers_total{namespace=\"other\",group=\"g\",kind=\"restore\"} 0\n"
            "understudy_failovers_total{namespace=\"other\",group=\"g\",kind=\"switchover\"} 0\n");
  counts.Forget("ns", "g");
  EXPECT_THAT(registry.Text(), Not(HasSubstr("namespace=\"ns\"")));
  counts.Forget("other", "g");
  counts.Forget("other", "g");
  EXPECT_EQ(registry.Text(), "");
}

// Knows one group; a write of its status is answered with what was written, or with a conflict.
class OneGroupServer final : public kube::Transport {
 public:
  Result<kube::Response> Send(const kube::Request& request, Deadline) override {
    std::lock_guard lock(mutex_);
    Json answer = {{"metadata", {{"name", "x"}, {"namespace", "ns"}, {"resourceVersion", "1"}}}};
    if (request.path.find("replicationgroups/g/status") != std::string::npos) {
      ++status_writes_;
      if (conflicts_) return kube::Response{.status = 409, .body = R"({"kind": "Status", "message": "stale"})", .headers = {}};
      document["status"] = Json::parse(request.body)["status"];
      document["metadata"]["resourceVersion"] = std::to_string(++version_);
      answer = document;
    }
    return kube::Response{.status = 200, .body = answer.dump(), .headers = {}};
  }
  void SetConflicts(bool conflicts) {
    std::lock_guard lock(mutex_);
    conflicts_ = conflicts;
  }
  int StatusWrites() {
    std::lock_guard lock(mutex_);
    return status_writes_;
  }
  Json document;

 private:
  std::mutex mutex_;
  int version_ = 10;
  int status_writes_ = 0;
  bool conflicts_ = false;
};

class ControllerTest : public testing::Test {
 protected:
  ControllerTest() {
    // The elected winner of a takeover has not taken office: when it has been silent for long enough it is replaced,
    // and the abandoned promotion goes on record.
    failover::GroupState state;
    state.epoch = 2;
    state.term = leadership_.term;
    state.primary = {"a", "pod-a", "a1", "", ""};
    state.dataset = "d";
    control::Configuration configuration;
    configuration.number = configuration.epoch = 2;
    configuration.primary = {"b", "pod-b", "b1", "", ""};
    configuration.lease_ms = 1500;
    state.configurations = {configuration};
    failover::Failover running;
    running.step = failover::Step::kPromote;
    running.epoch = 2;
    running.old = state.primary;
    running.winner = configuration.primary;
    state.failover = running;
    server_.document = {{"metadata", {{"name", "g"}, {"namespace", "ns"}, {"uid", "uid-g"}, {"resourceVersion", "5"}}},
                        {"spec", {{"primaryClusterId", "a"}}},
                        {"status", plan::GroupStatusJson({}, state)}};
    world_.OnChanges([this](const std::string& key, watch::Priority priority) { queue_.Add(key, priority); });
    for (auto& [spec, target] : world_.Watches()) target->Commit("1");
    for (const char* name : {"a", "b"}) {
      world_.cache_clusters.cache.Upsert({{"metadata", {{"name", name}, {"namespace", "ns"}, {"uid", name}, {"resourceVersion", "4"}}},
                                          {"spec", {{"replicationGroupId", "g"}}}});
    }
    world_.groups.cache.Upsert(server_.document);
    controller_.Start(1);
  }
  ~ControllerTest() override {
    queue_.ShutDown();
    controller_.Stop();
  }
  // Within five seconds; the group is planned again and again meanwhile.
  bool Comes(const std::function<bool()>& true_now) {
    for (int i = 0; i < 500; ++i) {
      if (true_now()) return true;
      queue_.Add("g/ns/g");
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }
  bool Shows(const std::string& text) { return registry_.Text().find(text) != std::string::npos; }

  FakeClock clock_;
  metrics::Registry registry_;
  OneGroupServer server_;
  kube::Client client_{server_, clock_};
  kube::EventRecorder events_{client_, clock_, registry_, {.instance = "test"}};
  nodes::OperatorKey key_{*crypto::SigningKey::Generate()};
  const kube::Leadership leadership_{
      .leading = true, .term = "t", .acquired_at = clock_.Mono(), .valid_until = clock_.Mono() + Seconds(3600)};
  nodes::NodeTable nodes_{{.identity = "test", .leadership = [this] { return leadership_; }, .matters = plan::NeedsPlan},
                          key_, clock_, registry_};
  observe::World world_{nodes_, clock_};
  observe::Observer observer_{world_, nodes_, {}};
  watch::WorkQueue queue_{"test", clock_, registry_};
  apply::PlanApplier applier_{
      client_, nodes_, events_, clock_,
      {[this] { return leadership_; },
       [this](const kube::Resource& resource, const Json& object) { world_.Wrote(resource, object); }}};
  Controller controller_{{world_, observer_, applier_, nodes_, queue_, [this] { return leadership_; }, clock_, registry_}};
};

TEST_F(ControllerTest, CountsAFailoverWhenItsRecordIsWrittenAndForgetsADeletedGroup) {
  const std::string series = "understudy_failovers_total{namespace=\"ns\",group=\"g\",kind=\"takeover\"} ";
  ASSERT_TRUE(Comes([&] { return Shows(series + "0\n"); }));
  server_.SetConflicts(true);
  clock_.Advance(failover::kPromoteSilence + Seconds(1));
  ASSERT_TRUE(Comes([&] {
    clock_.Advance(Milliseconds(100));  // after a conflict the queue waits a moment
    return server_.StatusWrites() >= 2;
  }));
  EXPECT_TRUE(Shows(series + "0\n")) << "nothing was written";
  server_.SetConflicts(false);
  ASSERT_TRUE(Comes([&] {
    clock_.Advance(Milliseconds(100));
    return Shows(series + "1\n");
  })) << registry_.Text();
  world_.groups.cache.Remove(server_.document);
  EXPECT_TRUE(Comes([&] { return !Shows("understudy_failovers_total"); })) << registry_.Text();
}

TEST_F(ControllerTest, AsksEverMoreRarelyWhileAWriteIsInConflictAndNothingChanges) {
  server_.SetConflicts(true);
  clock_.Advance(failover::kPromoteSilence + Seconds(1));
  queue_.Add("g/ns/g");
  // A tenth of the clock's time for the controller's thread.
  const auto pass = [&](Duration d) {
    for (int64_t ms = 0; ms < d.ms(); ms += 10) {
      clock_.Advance(Milliseconds(10));
      queue_.Add("r/ns/nobody");  // wakes who waits for the clock
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  };
  pass(Seconds(5));
  const int first = server_.StatusWrites();
  EXPECT_GE(first, 5) << "the first ones come soon";
  pass(Seconds(10));
  EXPECT_LE(server_.StatusWrites() - first, 10) << "later ones do not";
  // The watch shows something: that is looked at at once.
  const int before = server_.StatusWrites();
  Json shown = server_.document;
  shown["metadata"]["resourceVersion"] = "6";
  server_.SetConflicts(false);
  world_.groups.cache.Upsert(shown);
  for (int i = 0; i < 500 && server_.StatusWrites() == before; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_GT(server_.StatusWrites(), before);
}

}  // namespace
}  // namespace understudy::reconcile
