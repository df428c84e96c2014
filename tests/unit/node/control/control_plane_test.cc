#include "node/control/control_plane.h"

#include <sys/wait.h>

#include <csignal>
#include <utility>

#include "tests/unit/node/control/control_fixture.h"

namespace understudy::control {
namespace {

class ControlPlaneTest : public testing::Test {
 protected:
  void SetUp() override { dir.Write("operator.pub", key.Public().ToPem()); }
  void StartNode(std::optional<TestNode>& node, const std::string& name,
                 const std::string& address = "127.0.0.1") {
    node.emplace(address, port, name, dir);
    const Status status = node->plane->Bind();
    ASSERT_TRUE(status.ok()) << status.ToString();
    node->plane->Start();
  }
  // Becomes a test of one node, with a role if wanted.
  void Start() { StartNode(node, "a"); }
  std::string Get(const std::string& path) {
    PlainSocket socket(port);
    socket.Send("GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    return socket.ReadAll();
  }

  const uint16_t port = FreePort();
  TempDir dir;
  crypto::SigningKey key = *crypto::SigningKey::Generate();
  std::optional<TestNode> node, other;
  IoThread thread;
};

// ---- who may order

TEST_F(ControlPlaneTest, AProvedOperatorGetsHelloAndHeartbeats) {
  Start();
  TestOperator op(thread, *node, key);
  const auto challenge = op.challenges.Take();
  ASSERT_TRUE(challenge.has_value());
  EXPECT_EQ(challenge->pod_uid, "uid-a");
  EXPECT_EQ(challenge->nonce.size(), 32u);
  const auto hello = op.hellos.Take();
  ASSERT_TRUE(hello.has_value());
  EXPECT_EQ(hello->state.incarnation, "inc-a");
  EXPECT_EQ(hello->state.role, Role::kUnassigned);
  uint64_t last = 0;
  for (int i = 0; i < 3; ++i) {
    const auto beat = op.heartbeats.Take();
    ASSERT_TRUE(beat.has_value());
    EXPECT_GT(beat->seq, last);
    last = beat->seq;
  }
}

TEST_F(ControlPlaneTest, AnotherKeysSignatureIsRefused) {
  Start();
  TestOperator op(thread, *node, *crypto::SigningKey::Generate());
  EXPECT_EQ(op.EndReason(), "closed by the peer: the signature is not the operator's");
}

TEST_F(ControlPlaneTest, ASignatureOfAnotherChallengeIsRefused) {
  Start();
  TestOperator first(thread, *node, key, false), second(thread, *node, key, false);
  const auto challenge = first.challenges.Take();
  ASSERT_TRUE(challenge.has_value() && second.challenges.Take().has_value());
  second.Send(Auth{kProtocol, key.Sign(ChallengeText(*challenge)), "replayed"});
  EXPECT_EQ(second.EndReason(), "closed by the peer: the signature is not the operator's");
}

TEST_F(ControlPlaneTest, TheKeyIsReadAnewForEachChannel) {
  std::remove((dir.path() + "/operator.pub").c_str());
  Start();
  {
    TestOperator op(thread, *node, key);
    EXPECT_NE(op.EndReason().find("the operator's public key can't be read from"),
              std::string::npos);
  }
  dir.Write("operator.pub", "nonsense");
  {
    TestOperator op(thread, *node, key);
    EXPECT_NE(op.EndReason().find("not an Ed25519 public key"), std::string::npos);
  }
  dir.Write("operator.pub", key.Public().ToBase64());
  TestOperator op(thread, *node, key);
  EXPECT_TRUE(op.hellos.Take().has_value());
}

TEST_F(ControlPlaneTest, NothingIsOrderedBeforeTheProof) {
  Start();
  TestOperator op(thread, *node, key, false);
  op.Send(op.Primary(1, 1));
  EXPECT_EQ(op.EndReason(), "closed by the peer: the first message has to be auth");
  TestOperator garbage(thread, *node, key, false);
  garbage.SendBytes("garbage");
  EXPECT_EQ(garbage.EndReason(),
            "closed by the peer: control message is not a CBOR map of at most 6 levels");
  EXPECT_EQ(node->Check(), role::Admission::kLoading);
}

TEST_F(ControlPlaneTest, AnOldProtocolIsRefused) {
  Start();
  TestOperator op(thread, *node, key, false);
  ASSERT_TRUE(op.challenges.Take().has_value());
  op.Send(Auth{0, "", "old"});
  EXPECT_EQ(op.EndReason(),
            "closed by the peer: protocol 0 is not understood any more; 1 and later are");
}

TEST_F(ControlPlaneTest, SeveralOperatorsAreConnectedAtOnce) {
  Start();
  TestOperator a(thread, *node, key), b(thread, *node, key);
  ASSERT_TRUE(a.hellos.Take() && b.hellos.Take());
  EXPECT_TRUE(a.Do(a.Primary(1, 1)).accepted);
  for (TestOperator* op : {&a, &b}) {
    std::optional<Heartbeat> beat;
    do {
      beat = op->heartbeats.Take();
      ASSERT_TRUE(beat.has_value());
    } while (beat->state.role != Role::kPrimary);
  }
}

// ---- orders and grants

TEST_F(ControlPlaneTest, AnOrderIsAcknowledgedWhenItIsCarriedOut) {
  Start();
  TestOperator op(thread, *node, key);
  const OrderAck ack = op.Do(op.Primary(1, 1));
  EXPECT_TRUE(ack.accepted) << ack.reason;
  EXPECT_EQ(ack.state.role, Role::kPrimary);
  EXPECT_TRUE(ack.state.in_office);
  EXPECT_EQ(ack.state.last_record_epoch, 1u);
  EXPECT_EQ(node->data_path.done().Take(), "primary");
  EXPECT_EQ(node->Check(), role::Admission::kServe);
  const OrderAck refused = op.Do(op.Primary(0, 5));
  EXPECT_FALSE(refused.accepted);
  EXPECT_EQ(refused.reason, "epoch 0 is lower than 1, the highest that this node has seen");
}

TEST_F(ControlPlaneTest, ParametersAreTakenByTheirAddresseeAndToldAtOnce) {
  Start();
  TestOperator op(thread, *node, key);
  const std::optional<Hello> hello = op.hellos.Take();
  ASSERT_TRUE(hello.has_value());
  EXPECT_EQ(hello->state.parameters.taken, "at start");
  Parameters parameters{"another", {{"live", "2"}, {"slow", "1"}}, {}};
  op.Send(parameters);
  parameters.incarnation = node->ref.incarnation;
  op.Send(parameters);
  EXPECT_EQ(node->data_path.done().Take(), "declared");
  std::optional<Heartbeat> beat;
  do {
    beat = op.heartbeats.Take();
    ASSERT_TRUE(beat.has_value());
  } while (beat->state.parameters.taken != ParametersHash(parameters));
  EXPECT_EQ(beat->state.parameters.open, (std::vector<OpenParameter>{{"slow", "before", ""}}));
  const OrderAck ack = op.Do(op.Primary(1, 1));
  EXPECT_EQ(ack.state.parameters, beat->state.parameters);
  EXPECT_EQ(node->data_path.done().Take(), "primary") << "what is for another process is not taken";
}

TEST_F(ControlPlaneTest, AnOrderThatCantBeCarriedOutIsRefusedAndOpensNothing) {
  Start();
  node->data_path.answer = Conflict("no whole data set");
  TestOperator op(thread, *node, key);
  const OrderAck ack = op.Do(op.Primary(1, 1));
  EXPECT_FALSE(ack.accepted);
  EXPECT_EQ(ack.reason, "no whole data set");
  EXPECT_EQ(ack.state.role, Role::kUnassigned);
  EXPECT_NE(node->Check(), role::Admission::kServe);
  EXPECT_FALSE(op.Do(op.Primary(1, 1)).accepted);  // its repetition changes nothing
  {
    std::lock_guard lock(node->data_path.mutex);
    node->data_path.answer = {};
  }
  EXPECT_TRUE(op.Do(op.Primary(2, 2)).accepted);  // a further order leads out of it
  EXPECT_EQ(node->Check(), role::Admission::kServe);
}

TEST_F(ControlPlaneTest, GrantsOfTheOperatorKeepTheGateOpenAndTheirEndClosesIt) {
  Start();
  TestOperator op(thread, *node, key);
  op.Do(op.Primary(1, 1));
  op.Do(op.Primary(1, 2, {{"b", "uid-b", "inc-b", "", "127.0.0.9"}}, 300));
  EXPECT_EQ(node->Check(), role::Admission::kNoLease);
  op.grants = true;
  ASSERT_TRUE(node->Becomes(role::Admission::kServe));
  // Over several leases: never closed in between.
  const MonoTime until = node->clock.Mono() + Milliseconds(900);
  while (node->clock.Mono() < until) {
    ASSERT_EQ(node->Check(), role::Admission::kServe);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  op.grants = false;
  EXPECT_TRUE(node->Becomes(role::Admission::kNoLease));
  EXPECT_EQ(node->Check(false), role::Admission::kServe);
}

TEST_F(ControlPlaneTest, APrimarysHeartbeatsComeThreeTimesALease) {
  Start();
  TestOperator op(thread, *node, key);
  op.Do(op.Primary(1, 1, {}, 300));
  const MonoTime begin = node->clock.Mono();
  MonoTime last = begin;
  int beats = 0;
  while (last - begin < Milliseconds(1000)) {
    ASSERT_TRUE(op.heartbeats.Take().has_value());
    last = node->clock.Mono();
    ++beats;
  }
  EXPECT_GE(beats, 4) << "about one each 100 ms";
  EXPECT_LE(beats, 14);
}

TEST_F(ControlPlaneTest, ADemotionClosesTheGateThenTheClientsAndTellsTheFinalOffset) {
  Start();
  TestOperator op(thread, *node, key);
  const OrderAck first = op.Do(op.Primary(1, 1));
  const OrderAck ack = op.Do(op.Base(OrderKind::kDemote, 2));
  EXPECT_TRUE(ack.accepted);
  EXPECT_FALSE(ack.state.in_office);
  EXPECT_EQ(ack.state.offset, first.state.offset + 7);
  EXPECT_EQ(node->data_path.done().Take(), "primary");
  EXPECT_EQ(node->data_path.done().Take(), "demote");
  EXPECT_EQ(node->Check(), role::Admission::kReadOnly);
}

TEST_F(ControlPlaneTest, APauseEndsByItself) {
  Start();
  TestOperator op(thread, *node, key);
  op.Do(op.Primary(1, 1));
  EXPECT_EQ(node->data_path.done().Take(), "primary");
  Order pause = op.Base(OrderKind::kPause, 1);
  pause.budget_ms = 100;
  EXPECT_TRUE(op.Do(pause).state.paused);
  EXPECT_EQ(node->data_path.done().Take(), "wake");
  EXPECT_EQ(node->data_path.done().Take(), "wake");  // when it ended
  EXPECT_EQ(node->Check(), role::Admission::kServe);
}

TEST_F(ControlPlaneTest, AChangeIsToldAtOnce) {
  Start();
  TestOperator op(thread, *node, key);
  op.Do(op.Replica(1, 1, {"p", "uid-p", "inc-p", "", "127.0.0.9"}));
  {
    std::lock_guard lock(node->data_path.mutex);
    node->data_path.facts.complete = true;
  }
  const MonoTime before = node->clock.Mono();
  node->plane->OnChange();
  std::optional<Heartbeat> beat;
  do {
    beat = op.heartbeats.Take();
    ASSERT_TRUE(beat.has_value());
  } while (!beat->state.complete);
  EXPECT_LT(node->clock.Mono() - before, Milliseconds(900));  // not with the next regular one
  EXPECT_EQ(node->Check(false), role::Admission::kServe);
}

TEST_F(ControlPlaneTest, AStuckWorkerMakesTheNodeUnfitAndLaterDead) {
  Start();
  TestOperator op(thread, *node, key);
  op.Do(op.Primary(1, 1));
  node->data_path.longest_turn_ns = Seconds(31).ns;
  std::optional<Heartbeat> beat;
  do {
    beat = op.heartbeats.Take();
    ASSERT_TRUE(beat.has_value());
  } while (!beat->state.unfit);
  EXPECT_NE(Get("/livez").find("200 OK"), std::string::npos);
  EXPECT_NE(Get("/readyz").find("503"), std::string::npos);
  node->data_path.longest_turn_ns = Seconds(121).ns;
  const std::string answer = Get("/livez");
  EXPECT_NE(answer.find("503"), std::string::npos);
  EXPECT_NE(answer.find("a worker has not ended a turn for 121 s"), std::string::npos);
}

TEST_F(ControlPlaneTest, SigtermWaitsForTheSwitchover) {
  Start();
  TestOperator op(thread, *node, key);
  const NodeRef b{"b", "uid-b", "inc-b", "", "127.0.0.9"};
  op.Do(op.Primary(1, 1));
  op.Do(op.Primary(1, 2, {b}));
  Mailbox<bool> exits;
  node->plane->Terminate([&] { exits.Put(true); });
  std::optional<Heartbeat> beat;
  do {
    beat = op.heartbeats.Take();
    ASSERT_TRUE(beat.has_value());
  } while (!beat->state.terminating);
  op.Do(op.Base(OrderKind::kDemote, 2));
  EXPECT_FALSE(exits.Take(std::chrono::milliseconds(0)).has_value());
  op.Do(op.Replica(2, 3, b));
  EXPECT_TRUE(exits.Take().has_value());
}

// ---- the port, probes

TEST_F(ControlPlaneTest, ASecondProcessCantTakeThePort) {
  Start();
  TestNode second("127.0.0.1", port, "b", dir);
  const Status status = second.plane->Bind();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.message(),
            "the admin port, which one process per Pod holds, can't be taken: can't bind to "
            "127.0.0.1 port " +
                std::to_string(port) + ": another process has this port");
}

TEST_F(ControlPlaneTest, TheIncarnationIsWrittenToTheTerminationLog) {
  dir.Write("termination-log", "what an earlier one wrote, longer than an incarnation is");
  Start();
  EXPECT_EQ(dir.Read("termination-log"), "inc-a");
}

TEST_F(ControlPlaneTest, ProbesMetricsAndStatusTellTheRole) {
  Start();
  EXPECT_NE(Get("/livez").find("200 OK"), std::string::npos);
  EXPECT_NE(Get("/readyz").find("no role was assigned yet"), std::string::npos);
  TestOperator op(thread, *node, key);
  op.Do(op.Primary(3, 1));
  EXPECT_NE(Get("/readyz").find("200 OK"), std::string::npos);
  const std::string text = Get("/metrics");
  EXPECT_NE(text.find("understudy_role{role=\"primary\"} 1\n"), std::string::npos) << text;
  EXPECT_NE(text.find("understudy_epoch 3\n"), std::string::npos);
  EXPECT_NE(text.find("understudy_operator_channels 1\n"), std::string::npos);
  const std::string status = Get("/v1/status");
  const Result<Json> json = ParseJson(status.substr(status.find("\r\n\r\n") + 4));
  ASSERT_TRUE(json.ok()) << status;
  EXPECT_EQ(JsonString(*json, "role"), "primary");
  EXPECT_EQ(JsonInt(*json, "epoch"), 3);
}

// ---- peers

class Peers : public ControlPlaneTest {
 protected:
  // a is primary with b as its only voter; no operator grants.
  void StartBoth(uint32_t lease_ms = 300) {
    StartNode(node, "a", "127.0.0.1");
    StartNode(other, "b", "127.0.0.2");
    op_a.emplace(thread, *node, key);
    op_b.emplace(thread, *other, key);
    ASSERT_TRUE(op_a->Do(op_a->Primary(1, 1)).accepted);
    ASSERT_TRUE(op_b->Do(op_b->Replica(1, 1, node->ref)).accepted);
    ASSERT_TRUE(op_a->Do(op_a->Primary(1, 2, {other->ref}, lease_ms)).accepted);
  }
  std::optional<TestOperator> op_a, op_b;
};

TEST_F(Peers, AVotersGrantsKeepThePrimaryInOfficeWithoutAnOperator) {
  StartBoth();
  ASSERT_TRUE(node->Becomes(role::Admission::kServe));
  const MonoTime until = node->clock.Mono() + Milliseconds(900);
  while (node->clock.Mono() < until) {
    ASSERT_EQ(node->Check(), role::Admission::kServe);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

TEST_F(Peers, AFencedVoterGrantsNoMoreAndTellsThePrimary) {
  StartBoth(60'000);  // so long that only being told can be the reason
  ASSERT_TRUE(node->Becomes(role::Admission::kServe));
  const OrderAck ack = op_b->Do(op_b->Base(OrderKind::kFence, 2));
  EXPECT_TRUE(ack.accepted);
  EXPECT_FALSE(ack.state.in_office);
  EXPECT_GE(ack.state.last_granted_ms_ago, 0);
  EXPECT_TRUE(node->Becomes(role::Admission::kReadOnly));
}

TEST_F(Peers, ANewEpochOfTheSamePrimaryConnectsAnew) {
  StartBoth();
  ASSERT_TRUE(node->Becomes(role::Admission::kServe));
  ASSERT_TRUE(op_a->Do(op_a->Primary(2, 3, {other->ref}, 300)).accepted);
  ASSERT_TRUE(op_b->Do(op_b->Replica(2, 3, node->ref)).accepted);
  EXPECT_TRUE(node->Becomes(role::Admission::kServe));
}

TEST_F(Peers, AVotersGrantLetsThePromotedTargetOfASwitchoverGoOnWithWhatItHeld) {
  StartBoth();
  ASSERT_TRUE(node->Becomes(role::Admission::kServe));
  {
    std::lock_guard lock(other->data_path.mutex);
    other->data_path.facts.complete = true;
  }
  const MonoTime held_at = other->clock.Mono();
  Order hold = op_b->Base(OrderKind::kPause, 1);
  hold.budget_ms = 60'000;  // the node's own limit of 2 s is in force
  ASSERT_TRUE(op_b->Do(hold).state.paused);
  EXPECT_EQ(other->Check(), role::Admission::kPaused);
  ASSERT_TRUE(op_a->Do(op_a->Base(OrderKind::kDemote, 2)).accepted);
  ASSERT_TRUE(op_b->Do(op_b->Primary(2, 3, {node->ref}, 60'000)).accepted);
  EXPECT_EQ(other->Check(), role::Admission::kPaused) << "a refusal here would be for the want of a lease";
  ASSERT_TRUE(op_a->Do(op_a->Replica(2, 3, other->ref)).accepted);
  ASSERT_TRUE(other->Becomes(role::Admission::kServe));
  EXPECT_LT(other->clock.Mono(), held_at + Seconds(2)) << "not because the pause is over";
}

TEST_F(Peers, APeerThatCantProveItselfIsRefused) {
  Start();
  TestOperator op(thread, *node, key);
  op.Do(op.Primary(1, 1));
  const auto try_hello = [&](std::function<void(PeerHello&)> change) {
    Mailbox<ws::End> ends;
    std::shared_ptr<ws::Client> channel;
    SystemClock clock;
    Mailbox<Challenge> challenges;
    channel = ws::Client::Connect(
        thread.io, clock, {.address = "127.0.0.1", .port = port, .path = "/v1/peer"},
        {.on_message =
             [&](std::string_view bytes) {
               if (Result<Message> message = Decode(bytes); message.ok())
                 if (const auto* challenge = std::get_if<Challenge>(&*message))
                   challenges.Put(*challenge);
             },
         .on_end = [&](const ws::End& end) { ends.Put(end); }});
    const Challenge challenge = challenges.Take().value_or(Challenge{});
    PeerHello hello{kProtocol, "G", 1, "inc-x", "x", "0123456789abcdef", ""};
    hello.mac =
        crypto::HmacSha256(crypto::ReplicationKey(key, "G", 1), PeerText(hello, challenge.nonce));
    change(hello);
    channel->Send(Encode(hello));
    return ends.Take().value_or(ws::End{.message = "still open"}).message;
  };
  EXPECT_EQ(try_hello([](PeerHello& hello) { hello.mac[3] ^= 1; }),
            "the proof is not that of a node of this group and epoch");
  EXPECT_EQ(try_hello([](PeerHello& hello) { hello.incarnation = "inc-y"; }),
            "the proof is not that of a node of this group and epoch");
  EXPECT_EQ(try_hello([](PeerHello& hello) { hello.group = "H"; }),
            "this node belongs to another group");
  EXPECT_EQ(try_hello([](PeerHello& hello) { hello.epoch = 9; }),
            "the peer is of epoch 9, this primary of 1");
  EXPECT_EQ(node->Check(), role::Admission::kServe);  // a claim without a proof demotes nobody
}

// ---- lifelines, with processes that end

class Lifelines : public ControlPlaneTest {
 protected:
  // A primary in a process of its own, which ends when this object goes. Made before any thread
  // here.
  pid_t Child() {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    const pid_t pid = fork();
    if (pid == 0) {
      TestNode primary("127.0.0.3", port, "p", dir);
      if (!primary.plane->Bind().ok() || write(ready[1], "x", 1) != 1) _exit(1);
      primary.plane->Start();
      for (;;) pause();
    }
    char byte = 0;
    close(ready[1]);
    EXPECT_EQ(read(ready[0], &byte, 1), 1) << "the child could not take its port";
    close(ready[0]);
    return pid;
  }
  std::optional<Heartbeat> UntilEnded(TestOperator& op) {
    for (;;) {
      std::optional<Heartbeat> beat = op.heartbeats.Take();
      if (!beat.has_value() || !beat->state.ended.empty()) return beat;
    }
  }
  const NodeRef primary{"p", "uid-p", "inc-p", "", "127.0.0.3"};
  std::vector<int> held;
};

TEST_F(Lifelines, AKilledPrimaryIsReportedAsEnded) {
  thread.Stop();
  const pid_t pid = Child();
  IoThread own;
  Start();
  {
    TestOperator op(own, *node, key);
    TestOperator at_primary(own, primary, port, key);
    ASSERT_TRUE(at_primary.hellos.Take().has_value()) << at_primary.EndReason();
    op.Do(op.Replica(1, 1, primary));
    while (Get("/metrics").find("understudy_lifeline_open 1\n") == std::string::npos)
      std::this_thread::yield();
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    const std::optional<Heartbeat> beat = UntilEnded(op);
    ASSERT_TRUE(beat.has_value());
    EXPECT_EQ(beat->state.ended, std::vector<Incarnation>{"inc-p"});
  }
}

// RST is no proof, also if the port refuses afterwards (a firewall does both to living nodes).
TEST_F(Lifelines, AResetIsNotReported) {
  Start();
  TestOperator op(thread, *node, key);
  uint16_t same_port = port;
  const int listener = BoundSocket(&same_port, "127.0.0.3");
  ASSERT_EQ(listen(listener, 5), 0);
  op.Do(op.Replica(1, 1, primary));
  // The peer channel comes too; whichever this is, a lifeline is what its first message makes it.
  int lifeline = -1;
  while (lifeline < 0 ||
         Get("/metrics").find("understudy_lifeline_open 1\n") == std::string::npos) {
    lifeline = AcceptWebSocket(listener);
    ASSERT_GE(lifeline, 0);
    if (send(lifeline, "\x82\x05inc-p", 7, MSG_NOSIGNAL) != 7) {  // given up before it was accepted
      close(std::exchange(lifeline, -1));
      continue;
    }
    held.push_back(lifeline);
    for (int i = 0;
         i < 200 && Get("/metrics").find("understudy_lifeline_open 1\n") == std::string::npos; ++i)
      std::this_thread::yield();
  }
  close(listener);
  for (const int fd : held) {
    const linger at_once{1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
  }
  while (Get("/metrics").find("understudy_lifeline_open 0\n") == std::string::npos)
    std::this_thread::yield();
  // It was tried again at once and refused; several heartbeats later nothing was concluded from
  // that.
  for (int i = 0; i < 3; ++i) {
    const std::optional<Heartbeat> beat = op.heartbeats.Take();
    ASSERT_TRUE(beat.has_value());
    EXPECT_TRUE(beat->state.ended.empty());
  }
}

}  // namespace
}  // namespace understudy::control
