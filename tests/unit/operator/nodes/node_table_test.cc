// The node table against a fake node on loopback: a real HTTP server that speaks the control channel.
#include "operator/nodes/node_table.h"

#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <thread>

#include "common/http_server.h"

namespace understudy::nodes {
namespace {

using namespace std::chrono_literals;

// A node process: answers /v1/control and /v1/lifeline; the test says what it is.
class FakeNode {
 public:
  FakeNode(std::string pod_uid, std::string incarnation, const crypto::PublicKey& operator_key, uint16_t port = 0)
      : work_(boost::asio::make_work_guard(io_)),
        server_(io_, clock_, {.address = "127.0.0.1", .port = port}),
        operator_key_(operator_key) {
    state_.pod_uid = std::move(pod_uid);
    state_.incarnation = std::move(incarnation);
    server_.WebSocket("/v1/control", {}, [this](const std::shared_ptr<ws::Channel>& channel) { return Control(channel); });
    server_.WebSocket("/v1/lifeline", {}, [this](const std::shared_ptr<ws::Channel>& channel) {
      std::lock_guard lock(mutex_);
      lifelines_.push_back(channel);
      return ws::Handlers{};
    });
    const Status listening = server_.Listen();
    CHECK(listening.ok());
    thread_ = std::thread([this] { io_.run(); });
  }
  ~FakeNode() {
    work_.reset();
    io_.stop();
    thread_.join();
  }

  uint16_t port() const { return server_.port(); }
  void Beat(uint64_t seq, const std::function<void(control::NodeState&)>& edit) {
    std::lock_guard lock(mutex_);
    edit(state_);
    for (const auto& channel : channels_) channel->Send(control::Encode(control::Heartbeat{seq, state_}));
  }
  void SayGoodbye() {
    std::lock_guard lock(mutex_);
    for (const auto& channel : channels_) channel->Goodbye("bye");
    channels_.clear();
  }
  int authenticated() const { return authenticated_; }
  std::vector<control::Order> orders() {
    std::lock_guard lock(mutex_);
    return orders_;
  }
  std::vector<control::Grant> grants() {
    std::lock_guard lock(mutex_);
    return grants_;
  }
  size_t lifelines() {
    std::lock_guard lock(mutex_);
    return lifelines_.size();
  }

 private:
  ws::Handlers Control(const std::shared_ptr<ws::Channel>& channel) {
    ws::Handlers handlers;
    handlers.on_open = [this, channel] {
      std::lock_guard lock(mutex_);
      channel->Send(control::Encode(
          control::Challenge{control::kProtocol, std::string(32, 'n'), state_.pod_uid, state_.incarnation}));
    };
    handlers.on_message = [this, channel](std::string_view bytes) {
      const auto message = control::Decode(bytes);
      ASSERT_TRUE(message.ok());
      std::lock_guard lock(mutex_);
      if (const auto* auth = std::get_if<control::Auth>(&*message)) {
        const control::Challenge challenge{control::kProtocol, std::string(32, 'n'), state_.pod_uid, state_.incarnation};
        ASSERT_TRUE(operator_key_.Verify(control::ChallengeText(challenge), auth->signature));
        ++authenticated_;
        channels_.push_back(channel);
        channel->Send(control::Encode(control::Hello{control::kProtocol, state_}));
      } else if (const auto* order = std::get_if<control::Order>(&*message)) {
        orders_.push_back(*order);
      } else if (const auto* grant = std::get_if<control::Grant>(&*message)) {
        grants_.push_back(*grant);
      }
    };
    return handlers;
  }

  SystemClock clock_;
  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  http::Server server_;
  const crypto::PublicKey operator_key_;
  std::thread thread_;
  std::mutex mutex_;
  control::NodeState state_;
  std::vector<std::shared_ptr<ws::Channel>> channels_, lifelines_;
  std::vector<control::Order> orders_;
  std::vector<control::Grant> grants_;
  std::atomic<int> authenticated_{0};
};

class NodeTableTest : public ::testing::Test {
 protected:
  void StartTable(uint16_t port) {
    table_ = std::make_unique<NodeTable>(
        Options{.identity = "test",
                .admin_port = port,
                .threads = 2,
                .leadership = [this] {
                  std::lock_guard lock(mutex_);
                  return leadership_;
                },
                .matters = [](const control::NodeState& a, const control::NodeState& b) { return a.role != b.role; }},
        key_, clock_, registry_);
    table_->Start([this](const std::string& owner) {
      std::lock_guard lock(mutex_);
      ++changes_[owner];
    });
  }
  // Waits for a condition that events bring about.
  static bool Await(const std::function<bool()>& condition) {
    for (int i = 0; i < 1000; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(10ms);
    }
    return false;
  }
  bool Up(const std::string& uid) {
    const auto known = table_->Get(uid);
    return known && known->channel.up;
  }
  int Changes(const std::string& owner) {
    std::lock_guard lock(mutex_);
    return changes_[owner];
  }

  SystemClock clock_;
  metrics::Registry registry_;
  crypto::SigningKey signing_ = *crypto::SigningKey::Generate();
  OperatorKey key_{signing_};
  std::mutex mutex_;
  kube::Leadership leadership_;
  std::map<std::string, int> changes_;
  std::unique_ptr<NodeTable> table_;
};

TEST_F(NodeTableTest, HearsANodeAndOpensALifelineToItsIncarnation) {
  FakeNode node("uid-1", "aaaa", signing_.Public());
  StartTable(node.port());
  table_->SetTarget({"uid-1", "127.0.0.1", "ns/one"});
  ASSERT_TRUE(Await([&] { return Up("uid-1") && node.lifelines() == 1; }));
  const auto known = table_->Get("uid-1");
  ASSERT_TRUE(known->heard);
  EXPECT_EQ(known->heard->state.incarnation, "aaaa");
  EXPECT_GE(known->channel.up_since, known->channel.begun_at);
  // The callback comes after what it tells of can be seen.
  EXPECT_TRUE(Await([&] { return Changes("ns/one") >= 1; }));
}

TEST_F(NodeTableTest, IgnoresWhoeverAnswersAtTheAddressOfAnotherPod) {
  FakeNode node("another-pod", "aaaa", signing_.Public());
  StartTable(node.port());
  table_->SetTarget({"uid-1", "127.0.0.1", "ns/one"});
  std::this_thread::sleep_for(200ms);
  EXPECT_FALSE(Up("uid-1"));
  EXPECT_EQ(node.authenticated(), 0);
  EXPECT_FALSE(table_->Get("uid-1")->heard);
}

TEST_F(NodeTableTest, SendsAnOrderOnlyToTheIncarnationThatItNames) {
  FakeNode node("uid-1", "aaaa", signing_.Public());
  StartTable(node.port());
  table_->SetTarget({"uid-1", "127.0.0.1", "ns/one"});
  ASSERT_TRUE(Await([&] { return Up("uid-1"); }));
  control::Order order;
  order.group = "group";
  order.epoch = 3;
  order.incarnation = "bbbb";
  table_->SendOrder("uid-1", order);
  order.incarnation = "aaaa";
  table_->SendOrder("uid-1", order);
  ASSERT_TRUE(Await([&] { return node.orders().size() == 1; }));
  EXPECT_EQ(node.orders()[0].incarnation, "aaaa");
  EXPECT_EQ(node.orders()[0].replication_key, crypto::ReplicationKey(signing_, "group", 3));
  EXPECT_NE(node.orders()[0].id, 0u);
  order.copy_only = true;
  order.copy_epoch = 2;
  table_->SendOrder("uid-1", order);
  ASSERT_TRUE(Await([&] { return node.orders().size() == 2; }));
  EXPECT_EQ(node.orders()[1].replication_key, crypto::ReplicationKey(signing_, "group", 2));
}

TEST_F(NodeTableTest, GrantsOnlyAsThePlanOfThisLeadershipAllows) {
  FakeNode node("uid-1", "aaaa", signing_.Public());
  StartTable(node.port());
  table_->SetTarget({"uid-1", "127.0.0.1", "ns/one"});
  ASSERT_TRUE(Await([&] { return Up("uid-1"); }));
  const auto primary = [](control::NodeState& state) {
    state.group = "group";
    state.role = control::Role::kPrimary;
    state.in_office = true;
    state.epoch = state.role_epoch = 2;
  };
  const auto lead = [&](MonoTime acquired, MonoTime until) {
    std::lock_guard lock(mutex_);
    leadership_ = {.leading = true, .term = "t", .acquired_at = acquired, .valid_until = until};
  };
  const MonoTime now = clock_.Mono();
  lead(now, now + Seconds(60));
  const auto heard = [&](uint64_t offset) {
    return Await([&] { return table_->Get("uid-1")->heard->state.offset == offset; });
  };
  // Nothing was planned yet.
  node.Beat(1, [&](auto& s) { primary(s); s.offset = 1; });
  ASSERT_TRUE(heard(1));
  EXPECT_EQ(table_->LastGrant("group"), MonoTime{});
  // Planned under another leadership.
  table_->SetGrants("group", {.allowed = true, .epoch = 2, .to = "aaaa"}, now - Seconds(1));
  node.Beat(2, [](auto& s) { s.offset = 2; });
  ASSERT_TRUE(heard(2));
  // For another epoch, another incarnation, or not allowed.
  for (const failover::Grants& grants : {failover::Grants{true, 3, "aaaa"}, {true, 2, "bbbb"}, {false, 2, "aaaa"}}) {
    table_->SetGrants("group", grants, now);
    node.Beat(3, [](auto& s) { ++s.offset; });
    ASSERT_TRUE(Await([&] { return table_->Get("uid-1")->heard->at > now; }));
  }
  ASSERT_TRUE(heard(5));
  EXPECT_TRUE(node.grants().empty());
  // As it should be.
  table_->SetGrants("group", {.allowed = true, .epoch = 2, .to = "aaaa"}, now);
  node.Beat(7, [](auto& s) { s.offset = 6; });
  ASSERT_TRUE(Await([&] { return node.grants().size() == 1; }));
  EXPECT_EQ(node.grants()[0].seq, 7u);
  EXPECT_EQ(node.grants()[0].epoch, 2u);
  const MonoTime granted = table_->LastGrant("group");
  EXPECT_GT(granted, now);
  // Leadership ran out: no grant, whatever the plan said.
  lead(now, clock_.Mono());
  node.Beat(8, [](auto& s) { s.offset = 7; });
  ASSERT_TRUE(heard(7));
  EXPECT_EQ(node.grants().size(), 1u);
  EXPECT_EQ(table_->LastGrant("group"), granted);
}

TEST_F(NodeTableTest, AGoodbyeIsNoEndOfTheProcessAndTheChannelComesBack) {
  FakeNode node("uid-1", "aaaa", signing_.Public());
  StartTable(node.port());
  table_->SetTarget({"uid-1", "127.0.0.1", "ns/one"});
  ASSERT_TRUE(Await([&] { return Up("uid-1"); }));
  node.SayGoodbye();
  ASSERT_TRUE(Await([&] { return node.authenticated() == 2 && Up("uid-1"); }));
  EXPECT_TRUE(table_->Lifelines({"aaaa"}).empty());
}

TEST_F(NodeTableTest, AnEndedProcessShowsAsFinAndThenAsRefused) {
  auto node = std::make_unique<FakeNode>("uid-1", "aaaa", signing_.Public());
  const uint16_t port = node->port();
  StartTable(port);
  table_->SetTarget({"uid-1", "127.0.0.1", "ns/one"});
  ASSERT_TRUE(Await([&] { return Up("uid-1") && node->lifelines() == 1; }));
  node.reset();  // closes all its sockets, as the kernel does for a process that ends
  ASSERT_TRUE(Await([&] {
    const auto ends = table_->Lifelines({"aaaa"});
    return ends.size() == 1 && ends[0].ended_by_fin_at > MonoTime{} && ends[0].refused_begun_at >= ends[0].ended_by_fin_at;
  }));
  EXPECT_FALSE(Up("uid-1"));
  // Its successor in the same Pod is heard as another incarnation, and what is known of the first stays.
  FakeNode successor("uid-1", "bbbb", signing_.Public(), port);
  ASSERT_TRUE(Await([&] { return Up("uid-1") && table_->Get("uid-1")->heard->state.incarnation == "bbbb"; }));
  EXPECT_EQ(table_->Lifelines({"aaaa", "bbbb"}).size(), 1u);
}

TEST_F(NodeTableTest, WhatIsKnownOfAPodStaysUntilItIsForgotten) {
  FakeNode node("uid-1", "aaaa", signing_.Public());
  StartTable(node.port());
  table_->SetTarget({"uid-1", "127.0.0.1", "ns/one"});
  ASSERT_TRUE(Await([&] { return Up("uid-1"); }));
  table_->Forget("uid-1");
  EXPECT_TRUE(table_->Get("uid-1")) << "not while there is a link";
  table_->RemoveTarget("uid-1");
  EXPECT_FALSE(Up("uid-1"));
  EXPECT_TRUE(table_->Get("uid-1")->heard);
  table_->Forget("uid-1");
  EXPECT_FALSE(table_->Get("uid-1"));
}

TEST_F(NodeTableTest, OnlyChangesThatMatterWakeAPlanUnlessSomethingIsUnderWay) {
  FakeNode node("uid-1", "aaaa", signing_.Public());
  StartTable(node.port());
  table_->SetTarget({"uid-1", "127.0.0.1", "ns/one"});
  ASSERT_TRUE(Await([&] { return Up("uid-1"); }));
  node.Beat(1, [](auto& s) { s.offset = 10; });
  ASSERT_TRUE(Await([&] { return table_->Get("uid-1")->heard->state.offset == 10; }));
  const int before = Changes("ns/one");
  node.Beat(2, [](auto& s) { s.offset = 20; });
  ASSERT_TRUE(Await([&] { return table_->Get("uid-1")->heard->state.offset == 20; }));
  EXPECT_EQ(Changes("ns/one"), before);
  table_->SetAttentive("ns/one", true);
  node.Beat(3, [](auto& s) { s.offset = 30; });
  ASSERT_TRUE(Await([&] { return Changes("ns/one") == before + 1; }));
}

}  // namespace
}  // namespace understudy::nodes
