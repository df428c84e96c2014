#include "common/control/messages.h"

#include <algorithm>
#include <limits>
#include <type_traits>

#include "common/hash.h"
#include "common/json.h"

namespace understudy::control {
namespace {

// Deepest message: an order's configuration's list of voters.
constexpr int kMaxDepth = 6;

template <typename T>
constexpr bool kIsVector = false;
template <typename T>
constexpr bool kIsVector<std::vector<T>> = true;

// Raw bytes, which CBOR keeps apart from text.
struct Raw {
  std::string& bytes;
};

class Encoder {
 public:
  explicit Encoder(Json* out) : out_(*out) {}
  template <typename T>
  void operator()(const char* name, T&& value) {
    out_[name] = Value(value);
  }

 private:
  template <typename T>
  static Json Value(const T& value);
  Json& out_;
};

class Decoder {
 public:
  Decoder(const Json& in, std::string* error) : in_(in), error_(*error) {}
  template <typename T>
  void operator()(const char* name, T&& value) {
    if (!error_.empty()) return;
    const auto it = in_.find(name);
    if (it == in_.end() || Read(*it, value)) return;
    // A member inside this one may have been named already.
    if (error_.empty())
      error_ = std::string("member '") + name + "' is of the wrong kind or out of range";
  }

 private:
  template <typename T>
  bool Read(const Json& in, T& value);
  const Json& in_;
  std::string& error_;
};

// The members of each struct, once for both directions.
template <typename Io>
void Fields(Io& io, NodeRef& v) {
  io("name", v.name);
  io("podUID", v.pod_uid);
  io("incarnation", v.incarnation);
  io("nodeName", v.node_name);
  io("address", v.address);
}

template <typename Io>
void Fields(Io& io, Configuration& v) {
  io("number", v.number);
  io("epoch", v.epoch);
  io("primary", v.primary);
  io("voters", v.voters);
  io("synchronousReplicas", v.synchronous_replicas);
  io("leaseMs", v.lease_ms);
}

template <typename Io>
void Fields(Io& io, ReplicaAck& v) {
  io("incarnation", v.incarnation);
  io("offset", v.offset);
  io("inSync", v.in_sync);
  io("needsFullCopy", v.needs_full_copy);
  io("silentMs", v.silent_ms);
}

template <typename Io>
void Fields(Io& io, OpenParameter& v) {
  io("name", v.name);
  io("inForce", v.in_force);
  io("reason", v.reason);
}

template <typename Io>
void Fields(Io& io, ParametersState& v) {
  io("taken", v.taken);
  io("open", v.open);
}

template <typename Io>
void Fields(Io& io, Parameter& v) {
  io("name", v.name);
  io("value", v.value);
}

template <typename Io>
void Fields(Io& io, Parameters& v) {
  io("incarnation", v.incarnation);
  io("values", v.values);
  io("hold", v.hold);
}

template <typename Io>
void Fields(Io& io, NodeState& v) {
  io("podUID", v.pod_uid);
  io("incarnation", v.incarnation);
  io("group", v.group);
  io("epoch", v.epoch);
  io("role", v.role);
  io("roleEpoch", v.role_epoch);
  io("inOffice", v.in_office);
  io("configuration", v.configuration);
  io("configurationAcked", v.configuration_acked);
  io("synchronousReplicas", v.synchronous_replicas);
  io("leaseMs", v.lease_ms);
  io("dataset", v.dataset);
  io("historyID", v.history_id);
  io("lastRecordEpoch", v.last_record_epoch);
  io("offset", v.offset);
  io("complete", v.complete);
  io("loading", v.loading);
  io("keys", v.keys);
  io("primary", v.primary);
  io("link", v.link);
  io("linkSilentMs", v.link_silent_ms);
  io("acks", v.acks);
  io("leaseLeftMs", v.lease_left_ms);
  io("leaseHeld", v.lease_held);
  io("paused", v.paused);
  io("unfit", v.unfit);
  io("terminating", v.terminating);
  io("lastGrantedMsAgo", v.last_granted_ms_ago);
  io("ended", v.ended);
  io("nonce", v.nonce);
  io("parameters", v.parameters);
}

template <typename Io>
void Fields(Io& io, Challenge& v) {
  io("protocol", v.protocol);
  io("nonce", Raw{v.nonce});
  io("podUID", v.pod_uid);
  io("incarnation", v.incarnation);
}

template <typename Io>
void Fields(Io& io, Auth& v) {
  io("protocol", v.protocol);
  io("signature", Raw{v.signature});
  io("identity", v.identity);
}

template <typename Io>
void Fields(Io& io, Hello& v) {
  io("protocol", v.protocol);
  io("state", v.state);
}

template <typename Io>
void Fields(Io& io, Heartbeat& v) {
  io("seq", v.seq);
  io("state", v.state);
}

template <typename Io>
void Fields(Io& io, Grant& v) {
  io("seq", v.seq);
  io("epoch", v.epoch);
}

template <typename Io>
void Fields(Io& io, Order& v) {
  io("id", v.id);
  io("kind", v.kind);
  io("group", v.group);
  io("epoch", v.epoch);
  io("incarnation", v.incarnation);
  io("role", v.role);
  io("configuration", v.configuration);
  io("copyOnly", v.copy_only);
  io("copyEpoch", v.copy_epoch);
  io("promotion", v.promotion);
  io("minOffset", v.min_offset);
  io("freshDataset", v.fresh_dataset);
  io("dropData", v.drop_data);
  io("dropDataset", v.drop_dataset);
  io("leavesGroup", v.leaves_group);
  io("leavesEpoch", v.leaves_epoch);
  io("replicationKey", Raw{v.replication_key});
  io("detectionMs", v.detection_ms);
  io("readerMaxLagMs", v.reader_max_lag_ms);
  io("nonce", v.nonce);
  io("budgetMs", v.budget_ms);
}

template <typename Io>
void Fields(Io& io, OrderAck& v) {
  io("id", v.id);
  io("accepted", v.accepted);
  io("reason", v.reason);
  io("state", v.state);
}

template <typename Io>
void Fields(Io& io, PeerHello& v) {
  io("protocol", v.protocol);
  io("group", v.group);
  io("epoch", v.epoch);
  io("incarnation", v.incarnation);
  io("name", v.name);
  io("nonce", Raw{v.nonce});
  io("mac", Raw{v.mac});
}

template <typename Io>
void Fields(Io& io, LeaseRequest& v) {
  io("seq", v.seq);
  io("epoch", v.epoch);
  io("incarnation", v.incarnation);
  io("offset", v.offset);
}

template <typename Io>
void Fields(Io& io, LeaseGrant& v) {
  io("seq", v.seq);
  io("epoch", v.epoch);
  io("granted", v.granted);
}

template <typename T>
Json Encoder::Value(const T& value) {
  if constexpr (std::is_same_v<T, Raw>) {
    return Json::binary({value.bytes.begin(), value.bytes.end()});
  } else if constexpr (std::is_enum_v<T>) {
    return static_cast<uint64_t>(value);
  } else if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
    return value;
  } else if constexpr (kIsVector<T>) {
    Json list = Json::array();
    for (const auto& item : value) list.push_back(Value(item));
    return list;
  } else {
    Json object = Json::object();
    Encoder encoder(&object);
    Fields(encoder, const_cast<T&>(value));
    return object;
  }
}

bool ValidEnum(uint64_t value, Role) {
  return value <= static_cast<uint64_t>(Role::kStandalone);
}
bool ValidEnum(uint64_t value, LinkState) {
  return value <= static_cast<uint64_t>(LinkState::kUp);
}
bool ValidEnum(uint64_t value, OrderKind) {
  return value >= 1 && value <= UINT8_MAX;  // unknown ones too: they are answered, not cut off
}

template <typename T>
bool Decoder::Read(const Json& in, T& value) {
  if constexpr (std::is_same_v<std::remove_const_t<T>, Raw>) {
    if (!in.is_binary()) return false;
    value.bytes.assign(in.get_binary().begin(), in.get_binary().end());
    return true;
  } else if constexpr (std::is_enum_v<T>) {
    if (!in.is_number_unsigned() || !ValidEnum(in.get<uint64_t>(), T{})) return false;
    value = static_cast<T>(in.get<uint64_t>());
    return true;
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!in.is_boolean()) return false;
    value = in.get<bool>();
    return true;
  } else if constexpr (std::is_unsigned_v<T>) {
    if (!in.is_number_unsigned() || in.get<uint64_t>() > std::numeric_limits<T>::max())
      return false;
    value = static_cast<T>(in.get<uint64_t>());
    return true;
  } else if constexpr (std::is_integral_v<T>) {
    if (!in.is_number_integer()) return false;
    if (in.is_number_unsigned() &&
        in.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<T>::max()))
      return false;
    if (in.get<int64_t>() < std::numeric_limits<T>::min()) return false;
    value = static_cast<T>(in.get<int64_t>());
    return true;
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!in.is_string()) return false;
    value = in.get_ref<const std::string&>();
    return true;
  } else if constexpr (kIsVector<T>) {
    if (!in.is_array()) return false;
    value.clear();
    for (const Json& item : in) {
      value.emplace_back();
      if (!Read(item, value.back())) return false;
    }
    return true;
  } else {
    if (!in.is_object()) return false;
    Decoder decoder(in, &error_);
    Fields(decoder, value);
    return error_.empty();
  }
}

// One entry for each alternative of Message, in its order.
constexpr const char* kNames[] = {"challenge",    "auth",      "hello",    "heartbeat",
                                  "grant",        "order",     "orderAck", "peerHello",
                                  "leaseRequest", "leaseGrant", "parameters"};
static_assert(std::size(kNames) == std::variant_size_v<Message>);
constexpr const char kTypeMember[] = "type";

// A first pass that only looks at the shape: the parser behind Json::from_cbor recurses once a
// level, so a message of nested lists could otherwise exhaust the stack.
class ShapeCheck : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool key(string_t&) override { return true; }
  bool start_object(size_t) override { return ++depth_ <= kMaxDepth; }
  bool start_array(size_t) override { return ++depth_ <= kMaxDepth; }
  bool end_object() override { return --depth_, true; }
  bool end_array() override { return --depth_, true; }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  int depth_ = 0;
};

template <size_t I = 0>
Result<Message> DecodeAs(size_t index, const Json& object) {
  if constexpr (I == std::variant_size_v<Message>) {
    return Internal("unreachable message index");
  } else {
    if (index != I) return DecodeAs<I + 1>(index, object);
    std::variant_alternative_t<I, Message> value;
    std::string error;
    Decoder decoder(object, &error);
    Fields(decoder, value);
    if (!error.empty()) return Invalid(std::string("control message ") + kNames[I] + ": " + error);
    return Message(std::move(value));
  }
}

void AppendPart(std::string* out, std::string_view part) {
  for (int shift = 24; shift >= 0; shift -= 8)
    out->push_back(static_cast<char>((part.size() >> shift) & 0xff));
  out->append(part);
}

}  // namespace

std::string_view RoleName(Role role) {
  switch (role) {
    case Role::kUnassigned:
      return "unassigned";
    case Role::kReplica:
      return "replica";
    case Role::kPrimary:
      return "primary";
    case Role::kStandalone:
      return "standalone";
  }
  return "unknown";
}

std::string_view OrderKindName(OrderKind kind) {
  switch (kind) {
    case OrderKind::kRole:
      return "role";
    case OrderKind::kFence:
      return "fence";
    case OrderKind::kOffset:
      return "offset";
    case OrderKind::kDemote:
      return "demote";
    case OrderKind::kPause:
      return "pause";
    case OrderKind::kResume:
      return "resume";
    case OrderKind::kPoll:
      return "poll";
  }
  return "unknown";
}

std::string Encode(const Message& message) {
  Json object = Json::object();
  object[kTypeMember] = kNames[message.index()];
  std::visit(
      [&](const auto& value) {
        Encoder encoder(&object);
        Fields(encoder, const_cast<std::remove_cvref_t<decltype(value)>&>(value));
      },
      message);
  std::string out;
  Json::to_cbor(object, nlohmann::detail::output_adapter<char>(out));
  return out;
}

Result<Message> Decode(std::string_view bytes) {
  if (bytes.size() > kMaxMessageBytes)
    return Invalid("control message of " + std::to_string(bytes.size()) + " bytes; at most " +
                   std::to_string(kMaxMessageBytes) + " are allowed");
  ShapeCheck shape;
  if (!Json::sax_parse(bytes.begin(), bytes.end(), &shape, Json::input_format_t::cbor))
    return Invalid("control message is not a CBOR map of at most " + std::to_string(kMaxDepth) +
                   " levels");
  const Json object =
      Json::from_cbor(bytes.begin(), bytes.end(), /*strict=*/true, /*allow_exceptions=*/false);
  if (!object.is_object()) return Invalid("control message is not a CBOR map");
  const std::string type = JsonString(object, kTypeMember);
  for (size_t i = 0; i < std::size(kNames); ++i)
    if (type == kNames[i]) return DecodeAs(i, object);
  return Invalid("control message of unknown type '" + type.substr(0, 40) + "'");
}

std::string ParametersHash(const Parameters& parameters) {
  std::vector<std::pair<std::string, std::string>> all;
  for (const Parameter& one : parameters.values) all.emplace_back("value", one.name + " " + one.value);
  for (const std::string& name : parameters.hold) all.emplace_back("hold", name);
  std::sort(all.begin(), all.end());
  std::string text;
  for (const auto& [what, which] : all) {
    AppendPart(&text, what);
    AppendPart(&text, which);
  }
  const uint64_t hash = Fnv1a(text);
  std::string hex;
  for (int shift = 60; shift >= 0; shift -= 4) hex.push_back("0123456789abcdef"[(hash >> shift) & 15]);
  return hex;
}

std::string ChallengeText(const Challenge& challenge) {
  std::string out;
  AppendPart(&out, "understudy control challenge 1");
  AppendPart(&out, challenge.nonce);
  AppendPart(&out, challenge.pod_uid);
  AppendPart(&out, challenge.incarnation);
  return out;
}

std::string PeerText(const PeerHello& hello, std::string_view challenge) {
  std::string out;
  AppendPart(&out, "understudy peer hello 1");
  AppendPart(&out, challenge);
  AppendPart(&out, hello.group);
  AppendPart(&out, std::to_string(hello.epoch));
  AppendPart(&out, hello.incarnation);
  AppendPart(&out, hello.nonce);
  return out;
}

std::string StateText(const NodeState& state) {
  Json object = Json::object();
  Encoder encoder(&object);
  Fields(encoder, const_cast<NodeState&>(state));
  object["role"] = RoleName(state.role);
  return object.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace understudy::control
