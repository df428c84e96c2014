// A control plane on loopback with a data path that does what it is told, and an operator that
// speaks the control channel.
#pragma once

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <mutex>
#include <vector>

#include "common/crypto.h"
#include "common/json.h"
#include "node/control/control_plane.h"
#include "tests/unit/common/loopback.h"

namespace understudy::control {

class FakeDataPath : public DataPath {
 public:
  role::ReplicationFacts Facts() override {
    std::lock_guard lock(mutex);
    return facts;
  }
  role::RoleGate& gate() override { return gate_; }
  Duration LongestTurn() override { return {longest_turn_ns.load()}; }

  void BecomePrimary(const role::BecomePrimary& action, Done done) override {
    Change("primary", std::move(done), [&] {
      facts.complete = true;
      facts.last_record_epoch = action.epoch;
      facts.offset += 10;
      facts.acks.clear();
    });
  }
  void ActUnder(const role::ActUnder&, Done done) override {
    Change("configuration", std::move(done), [] {});
  }
  void BecomeReplica(const role::BecomeReplica&, Done done) override {
    Change("replica", std::move(done), [] {});
  }
  void BecomeStandalone(const role::BecomeStandalone&, Done done) override {
    Change("standalone", std::move(done), [] {});
  }
  void Fence(const role::Fenced&, Done done) override {
    Change("fence", std::move(done), [] {});
  }
  void StopApplying(const role::StopApplying&, Done done) override {
    Change("stop applying", std::move(done), [] {});
  }
  void Demote(const role::Demote&, Done done) override {
    Change(gate_.Check(true, clock.Mono()) == role::Admission::kReadOnly
               ? "demote"
               : "demote with an open gate",
           std::move(done), [&] { facts.offset += 7; });  // commands that were being executed
  }
  void WakePausedClients() override { done_.Put("wake"); }
  void CheckHeldReplies() override {}
  // Only `live` changes while it runs.
  void Declare(const Parameters& declared) override {
    declared_ = {.taken = ParametersHash(declared)};
    for (const Parameter& one : declared.values) {
      if (one.name != "live") declared_.open.push_back({one.name, "before", ""});
    }
    done_.Put("declared");
  }
  const ParametersState& Declared() override { return declared_; }

  // What was done, in order.
  Mailbox<std::string>& done() { return done_; }

  std::mutex mutex;
  role::ReplicationFacts facts;  // mutex
  Status answer;                 // mutex
  std::atomic<int64_t> longest_turn_ns{0};

 private:
  template <typename F>
  void Change(const char* what, Done done, F change) {
    Status status;
    {
      std::lock_guard lock(mutex);
      change();
      status = answer;
    }
    done_.Put(what);
    done(status);
  }
  SystemClock clock;
  role::RoleGate gate_;
  ParametersState declared_{.taken = "at start"};
  Mailbox<std::string> done_;
};

// A free port on all of 127.0.0.0/8, as far as that can be known.
inline uint16_t FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  socklen_t size = sizeof at;
  getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size);
  close(fd);
  return ntohs(at.sin_port);
}

class TempDir {
 public:
  TempDir() {
    char name[] = "/tmp/understudy-control-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~TempDir() {
    for (const char* file : {"/operator.pub", "/termination-log", "/dump.rdb"})
      std::remove((path_ + file).c_str());
    rmdir(path_.c_str());
  }
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ + "/" + name) << text;
  }
  std::string Read(const std::string& name) const {
    std::ifstream file(path_ + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// One node.
struct TestNode {
  TestNode(const std::string& address, uint16_t port, const std::string& name, const TempDir& dir) {
    ref = {name, "uid-" + name, "inc-" + name, "host", address};
    ControlPlane::Options options;
    options.address = address;
    options.admin_port = port;
    options.operator_key_dir = dir.path();
    options.termination_log = dir.path() + "/termination-log";
    options.pod_uid = ref.pod_uid;
    options.pod_name = name;
    plane.emplace(options, clock, data_path, ref.incarnation, registry);
  }
  role::Admission Check(bool is_write = true) {
    return data_path.gate().Check(is_write, clock.Mono());
  }
  // Waits for time to bring this about.
  bool Becomes(role::Admission admission) {
    for (int i = 0; i < 10'000; ++i) {
      if (Check() == admission) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  }
  NodeRef ref;
  SystemClock clock;
  metrics::Registry registry;
  FakeDataPath data_path;
  std::optional<ControlPlane> plane;
};

// The operator's end of one control channel.
class TestOperator {
 public:
  // answers: proves itself when challenged.
  TestOperator(IoThread& thread, const TestNode& node, crypto::SigningKey key, bool answers = true)
      : TestOperator(thread, node.ref, node.plane->port(), std::move(key), answers) {}
  TestOperator(IoThread& thread, const NodeRef& node, uint16_t port, crypto::SigningKey key,
               bool answers = true)
      : answers_(answers), node_(node), key_(std::move(key)) {
    std::lock_guard lock(connecting_);
    channel_ = ws::Client::Connect(
        thread.io, clock_, {.address = node.address, .port = port, .path = "/v1/control"},
        {.on_message = [this](std::string_view bytes) { OnMessage(bytes); },
         .on_end =
             [this](const ws::End& end) {
               ends.Put(end);
               ended_ = true;  // last: the destructor waits for it, and then `ends` goes
             }});
  }
  ~TestOperator() {
    channel_->Close();
    while (!ended_) std::this_thread::yield();
  }

  void Send(const Message& message) { channel_->Send(Encode(message)); }
  void SendBytes(std::string bytes) { channel_->Send(std::move(bytes)); }
  Order Base(OrderKind kind, uint64_t epoch) {
    Order order;
    order.id = ++last_id_;
    order.kind = kind;
    order.group = "G";
    order.epoch = epoch;
    order.incarnation = node_.incarnation;
    order.replication_key = crypto::ReplicationKey(key_, "G", epoch);
    return order;
  }
  Order Primary(uint64_t epoch, uint64_t number, std::vector<NodeRef> voters = {},
                uint32_t lease_ms = 1500) {
    Order order = Base(OrderKind::kRole, epoch);
    order.role = Role::kPrimary;
    order.configuration = {number, epoch, node_, std::move(voters), 0, lease_ms};
    order.fresh_dataset = "data";
    return order;
  }
  Order Replica(uint64_t epoch, uint64_t number, const NodeRef& primary) {
    Order order = Base(OrderKind::kRole, epoch);
    order.role = Role::kReplica;
    order.configuration.number = number;
    order.configuration.epoch = epoch;
    order.configuration.primary = primary;
    return order;
  }
  OrderAck Do(const Order& order) {
    const std::optional<bool> proved = proved_.Take();
    EXPECT_TRUE(proved.has_value()) << "the node did not accept the proof";
    if (!proved.has_value()) return {};
    proved_.Put(true);
    Send(order);
    std::optional<OrderAck> ack = acks.Take();
    EXPECT_TRUE(ack.has_value()) << "no acknowledgement came";
    return ack.value_or(OrderAck{});
  }
  std::string EndReason() {
    std::optional<ws::End> end = ends.Take();
    return end ? std::string(ws::EndCauseName(end->cause)) + ": " + end->message : "still open";
  }

  std::atomic<bool> grants{false};  // answers heartbeats of a primary with grants
  Mailbox<Challenge> challenges;
  Mailbox<Hello> hellos;
  Mailbox<Heartbeat> heartbeats;
  Mailbox<OrderAck> acks;
  Mailbox<ws::End> ends;

 private:
  void OnMessage(std::string_view bytes) {
    std::lock_guard lock(connecting_);
    Result<Message> message = Decode(bytes);
    ASSERT_TRUE(message.ok()) << message.status().ToString();
    if (const auto* challenge = std::get_if<Challenge>(&*message)) {
      if (answers_) Send(Auth{kProtocol, key_.Sign(ChallengeText(*challenge)), "test"});
      challenges.Put(*challenge);
    } else if (const auto* hello = std::get_if<Hello>(&*message)) {
      proved_.Put(true);
      hellos.Put(*hello);
    } else if (const auto* heartbeat = std::get_if<Heartbeat>(&*message)) {
      if (grants && heartbeat->state.role == Role::kPrimary)
        Send(Grant{heartbeat->seq, heartbeat->state.role_epoch});
      heartbeats.Put(*heartbeat);
    } else if (const auto* ack = std::get_if<OrderAck>(&*message)) {
      acks.Put(*ack);
    }
  }

  const bool answers_;
  std::mutex connecting_;  // held until channel_ is set
  SystemClock clock_;
  NodeRef node_;
  crypto::SigningKey key_;
  uint64_t last_id_ = 0;
  Mailbox<bool> proved_;
  std::atomic<bool> ended_{false};
  std::shared_ptr<ws::Client> channel_;
};

}  // namespace understudy::control
