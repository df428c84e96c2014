#include "common/control/messages.h"

#include <gtest/gtest.h>

#include <random>

#include "common/json.h"

namespace understudy::control {
namespace {

NodeRef Ref(const std::string& name) {
  return {name, "uid-" + name, "inc-" + name, "host", "fd00::1"};
}

NodeState FullState() {
  NodeState state;
  state.pod_uid = "uid";
  state.incarnation = "inc";
  state.group = "G";
  state.epoch = UINT64_MAX;
  state.role = Role::kPrimary;
  state.role_epoch = 6;
  state.in_office = true;
  state.configuration = 9;
  state.configuration_acked = 8;
  state.synchronous_replicas = 2;
  state.lease_ms = 1750;
  state.dataset = "d";
  state.history_id = std::string(40, 'a');
  state.last_record_epoch = 6;
  state.offset = 1ull << 50;
  state.complete = true;
  state.loading = true;
  state.keys = 77;
  state.primary = "p";
  state.link = LinkState::kUp;
  state.link_silent_ms = 12;
  state.acks = {{"inc-a", 5, true, false, 3}, {"inc-b", 6, false, true, 4}};
  state.lease_left_ms = 900;
  state.lease_held = true;
  state.paused = true;
  state.unfit = true;
  state.terminating = true;
  state.last_granted_ms_ago = -1;
  state.ended = {"x", "y"};
  state.nonce = 31;
  state.parameters = {"0123", {{"hz", "10", ""}, {"port", "", "no"}}};
  return state;
}

Order FullOrder() {
  Order order;
  order.id = 4;
  order.kind = OrderKind::kRole;
  order.group = "G";
  order.epoch = 3;
  order.incarnation = "inc";
  order.role = Role::kPrimary;
  order.configuration = {7, 3, Ref("p"), {Ref("a"), Ref("b")}, 1, 1500};
  order.copy_only = true;
  order.promotion = true;
  order.min_offset = 99;
  order.fresh_dataset = "f";
  order.drop_data = true;
  order.drop_dataset = "old";
  order.leaves_group = "H";
  order.leaves_epoch = 2;
  order.replication_key = std::string("\0\xff\x80 raw", 7);
  order.detection_ms = 500;
  order.reader_max_lag_ms = 1;
  order.nonce = 12;
  order.budget_ms = 100;
  return order;
}

std::vector<Message> OneOfEach() {
  std::string raw(32, '\0');
  for (size_t i = 0; i < raw.size(); ++i) raw[i] = static_cast<char>(i * 37);
  return {Challenge{2, raw, "uid", "inc"},
          Auth{3, raw + raw, "op-1"},
          Hello{1, FullState()},
          Heartbeat{12, FullState()},
          Grant{12, 6},
          FullOrder(),
          OrderAck{4, true, "why", FullState()},
          PeerHello{1, "G", 3, "inc", "pod", raw, raw},
          LeaseRequest{9, 3, "inc", 1234},
          LeaseGrant{9, 3, true},
          Parameters{"inc", {{"hz", "10"}, {"save", ""}}, {"maxmemory"}}};
}

// Every member survives: two encodings are equal only if all members are, since the encoding names
// them all.
TEST(Messages, SurviveTheWire) {
  for (const Message& message : OneOfEach()) {
    const std::string bytes = Encode(message);
    Result<Message> back = Decode(bytes);
    ASSERT_TRUE(back.ok()) << back.status().ToString();
    EXPECT_EQ(back->index(), message.index());
    EXPECT_EQ(Encode(*back), bytes);
    EXPECT_LT(bytes.size(), 1500u);
  }
  EXPECT_EQ(std::get<Heartbeat>(*Decode(Encode(Heartbeat{12, FullState()}))).state, FullState());
  const Result<Message> decoded = Decode(Encode(FullOrder()));
  const Order& order = std::get<Order>(*decoded);
  EXPECT_EQ(order.configuration, FullOrder().configuration);
  EXPECT_EQ(order.replication_key, FullOrder().replication_key);
  EXPECT_EQ(order.min_offset, 99u);
  EXPECT_TRUE(order.drop_data);
  EXPECT_EQ(order.drop_dataset, "old");
}

TEST(Messages, AHashOfParametersIsThatOfTheirContentsInAnyOrder) {
  const Parameters some{"inc", {{"hz", "10"}, {"save", ""}}, {"maxmemory"}};
  const std::string hash = ParametersHash(some);
  EXPECT_EQ(hash.size(), 16u);
  EXPECT_EQ(ParametersHash({"other", {{"save", ""}, {"hz", "10"}}, {"maxmemory"}}), hash);
  EXPECT_NE(ParametersHash({"inc", {{"hz", "10"}, {"save", ""}}, {}}), hash);
  EXPECT_NE(ParametersHash({"inc", {{"hz", "11"}, {"save", ""}}, {"maxmemory"}}), hash);
  EXPECT_NE(ParametersHash({"inc", {{"hz", "10"}}, {"maxmemory"}}), hash);
  EXPECT_FALSE(ParametersHash({}).empty());
}

// Between nodes of one version and an operator of the other.
TEST(Messages, AStateWithoutParametersIsThatOfANodeThatChangesNoneWhileItRuns) {
  const std::vector<uint8_t> bytes = Json::to_cbor({{"type", "hello"}, {"state", {{"podUID", "uid"}}}});
  const Result<Message> old = Decode(std::string(bytes.begin(), bytes.end()));
  ASSERT_TRUE(old.ok());
  EXPECT_TRUE(std::get<Hello>(*old).state.parameters.taken.empty());
}

std::string Cbor(const Json& json) {
  const std::vector<uint8_t> bytes = Json::to_cbor(json);
  return {bytes.begin(), bytes.end()};
}

TEST(Messages, UnknownMembersAreIgnoredAndAbsentOnesTakeTheirDefault) {
  Json json = {{"type", "order"}, {"kind", 2}, {"epoch", 5}, {"newMember", {{"a", 1}}}};
  Result<Message> message = Decode(Cbor(json));
  ASSERT_TRUE(message.ok()) << message.status().ToString();
  const Order& order = std::get<Order>(*message);
  EXPECT_EQ(order.kind, OrderKind::kFence);
  EXPECT_EQ(order.epoch, 5u);
  EXPECT_EQ(order.detection_ms, 1000u);
  EXPECT_EQ(order.budget_ms, 2000u);
}

TEST(Messages, AnOrderOfALaterKindArrivesAsItIs) {
  Json json = {{"type", "order"}, {"kind", 200}, {"epoch", 5}};
  Result<Message> message = Decode(Cbor(json));
  ASSERT_TRUE(message.ok()) << message.status().ToString();
  EXPECT_EQ(static_cast<int>(std::get<Order>(*message).kind), 200);
  EXPECT_EQ(OrderKindName(std::get<Order>(*message).kind), "unknown");
}

TEST(Messages, WrongKindsAndRangesAreRefusedByName) {
  const auto error = [](Json json) {
    json["type"] = "order";
    const Result<Message> message = Decode(Cbor(json));
    return message.ok() ? std::string("accepted") : std::string(message.status().message());
  };
  EXPECT_EQ(error({{"epoch", "5"}}),
            "control message order: member 'epoch' is of the wrong kind or out of range");
  EXPECT_EQ(error({{"epoch", -5}}),
            "control message order: member 'epoch' is of the wrong kind or out of range");
  EXPECT_EQ(error({{"epoch", 5.5}}),
            "control message order: member 'epoch' is of the wrong kind or out of range");
  EXPECT_EQ(error({{"kind", 0}}),
            "control message order: member 'kind' is of the wrong kind or out of range");
  EXPECT_EQ(error({{"kind", 256}}),
            "control message order: member 'kind' is of the wrong kind or out of range");
  EXPECT_EQ(error({{"role", 4}}),
            "control message order: member 'role' is of the wrong kind or out of range");
  EXPECT_EQ(error({{"budgetMs", 1ull << 32}}),
            "control message order: member 'budgetMs' is of the wrong kind or out of range");
  EXPECT_EQ(error({{"replicationKey", "text"}}),
            "control message order: member 'replicationKey' is of the wrong kind or out of range");
  EXPECT_EQ(error({{"configuration", 1}}),
            "control message order: member 'configuration' is of the wrong kind or out of range");
  EXPECT_EQ(error({{"configuration", {{"voters", Json::array({Json{{"name", 1}}})}}}}),
            "control message order: member 'name' is of the wrong kind or out of range");
}

TEST(Messages, OtherInputIsRefused) {
  EXPECT_FALSE(Decode("").ok());
  EXPECT_FALSE(Decode("{\"type\":\"grant\"}").ok());
  EXPECT_EQ(Decode(Cbor({{"type", "nonsense"}})).status().message(),
            "control message of unknown type 'nonsense'");
  EXPECT_EQ(Decode(Cbor({1, 2})).status().message(), "control message is not a CBOR map");
  EXPECT_FALSE(Decode(Encode(Grant{1, 1}) + "x").ok());
  EXPECT_EQ(Decode(std::string(kMaxMessageBytes + 1, 'x')).status().message(),
            "control message of 65537 bytes; at most 65536 are allowed");
}

TEST(Messages, NestedListsDontExhaustTheStack) {
  EXPECT_FALSE(Decode(std::string(kMaxMessageBytes, '\x81')).ok());
  std::string maps;
  while (maps.size() < kMaxMessageBytes - 3) maps += "\xa1\x61x";
  EXPECT_FALSE(Decode(maps).ok());
}

TEST(Messages, EveryTruncationIsRefused) {
  for (const Message& message : OneOfEach()) {
    const std::string bytes = Encode(message);
    for (size_t n = 0; n < bytes.size(); ++n) ASSERT_FALSE(Decode(bytes.substr(0, n)).ok()) << n;
  }
}

TEST(Messages, GarbageIsRefusedOrDecodesToSomethingThatEncodes) {
  std::mt19937_64 random(1);
  const std::vector<Message> messages = OneOfEach();
  size_t accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = Encode(messages[random() % messages.size()]);
    const int changes = 1 + static_cast<int>(random() % 4);
    for (int i = 0; i < changes; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    if (random() % 8 == 0) bytes.resize(random() % (bytes.size() + 1));
    const Result<Message> message = Decode(bytes);
    if (!message.ok()) continue;
    ++accepted;
    ASSERT_TRUE(Decode(Encode(*message)).ok());
  }
  EXPECT_GT(accepted, 100u);  // the changes are small enough to get past the first check
}

TEST(Messages, SignedTextsTellFieldsApart) {
  Challenge a{1, "nonce", "ab", "c"};
  Challenge b{1, "nonce", "a", "bc"};
  EXPECT_NE(ChallengeText(a), ChallengeText(b));
  PeerHello hello{1, "G", 3, "inc", "", "n", ""};
  PeerHello other = hello;
  other.epoch = 4;
  EXPECT_NE(PeerText(hello, "x"), PeerText(other, "x"));
  EXPECT_NE(PeerText(hello, "x"), PeerText(hello, "y"));
  EXPECT_NE(PeerText(hello, ""), ChallengeText(a));
}

TEST(Messages, AStateReadsAsJson) {
  Result<Json> json = ParseJson(StateText(FullState()));
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(JsonString(*json, "role"), "primary");
  EXPECT_EQ(JsonInt(JsonAt(*json, "acks")[1], "offset"), 6);
  NodeState broken;
  broken.group = "\xff";
  EXPECT_TRUE(ParseJson(StateText(broken)).ok());
}

}  // namespace
}  // namespace understudy::control
