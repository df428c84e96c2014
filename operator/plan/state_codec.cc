#include "operator/plan/state_codec.h"

#include <algorithm>
#include <utility>

namespace understudy::plan {
namespace {

using control::Configuration;
using control::NodeRef;
using failover::Failover;
using failover::GroupState;
using failover::HistoryEntry;
using failover::Times;

void Put(Json* object, const char* key, const std::string& value) {
  if (!value.empty()) (*object)[key] = value;
}
void Put(Json* object, const char* key, uint64_t value) {
  if (value != 0) (*object)[key] = value;
}
void Put(Json* object, const char* key, WallTime value) {
  if (value.unix_ms != 0) (*object)[key] = FormatRfc3339Micro(value);
}
void PutFlag(Json* object, const char* key, bool value) {
  if (value) (*object)[key] = true;
}
void Put(Json* object, const char* key, const NodeRef& node);

WallTime TimeAt(const Json& object, const char* key) {
  WallTime time;
  return ParseRfc3339(JsonString(object, key), &time) ? time : WallTime{};
}

uint64_t Unsigned(const Json& object, const char* key) {
  return static_cast<uint64_t>(JsonInt(object, key));
}

Json NodeJson(const NodeRef& node) {
  Json json = {{"name", node.name}};
  Put(&json, "podUID", node.pod_uid);
  Put(&json, "incarnation", node.incarnation);
  Put(&json, "nodeName", node.node_name);
  Put(&json, "address", node.address);
  return json;
}

void Put(Json* object, const char* key, const NodeRef& node) {
  if (node != NodeRef{}) (*object)[key] = NodeJson(node);
}

NodeRef ParseNode(const Json& json) {
  return {JsonString(json, "name"), JsonString(json, "podUID"), JsonString(json, "incarnation"),
          JsonString(json, "nodeName"), JsonString(json, "address")};
}

constexpr std::pair<const char*, WallTime Times::*> kTimes[] = {
    {"suspected", &Times::suspected}, {"confirmed", &Times::confirmed}, {"fenced", &Times::fenced},
    {"elected", &Times::elected},     {"promoted", &Times::promoted},   {"repointed", &Times::repointed},
    {"completed", &Times::completed},
};

void PutTimes(Json* object, const Times& times) {
  Json json = Json::object();
  for (const auto& [key, member] : kTimes) Put(&json, key, times.*member);
  if (!json.empty()) (*object)["times"] = std::move(json);
}

Times ParseTimes(const Json& json) {
  Times times;
  for (const auto& [key, member] : kTimes) times.*member = TimeAt(json, key);
  return times;
}

Json ConfigurationJson(const Configuration& configuration) {
  Json json = {{"number", configuration.number},
               {"epoch", configuration.epoch},
               {"primary", NodeJson(configuration.primary)},
               {"synchronousReplicas", configuration.synchronous_replicas},
               {"leaseDuration", api::FormatDuration(Milliseconds(configuration.lease_ms))}};
  json["voters"] = Json::array();
  for (const NodeRef& voter : configuration.voters) json["voters"].push_back(NodeJson(voter));
  return json;
}

Configuration ParseConfiguration(const Json& json) {
  Configuration configuration;
  configuration.number = Unsigned(json, "number");
  configuration.epoch = Unsigned(json, "epoch");
  configuration.primary = ParseNode(JsonAt(json, "primary"));
  configuration.synchronous_replicas = static_cast<uint32_t>(JsonInt(json, "synchronousReplicas"));
  const auto lease = api::ParseDuration(JsonString(json, "leaseDuration"));
  if (lease.ok()) configuration.lease_ms = static_cast<uint32_t>(lease->ms());
  const Json& voters = JsonAt(json, "voters");
  if (voters.is_array()) {
    for (const Json& voter : voters) configuration.voters.push_back(ParseNode(voter));
  }
  return configuration;
}

Json FailoverJson(const Failover& failover) {
  Json json = {{"kind", failover::KindName(failover.kind)},
               {"step", failover::StepName(failover.step)},
               {"epoch", failover.epoch}};
  Put(&json, "reason", failover.reason);
  Put(&json, "message", failover.message);
  Put(&json, "old", failover.old);
  Put(&json, "winner", failover.winner);
  Put(&json, "source", failover.source);
  Put(&json, "offset", failover.offset);
  Put(&json, "offsetEpoch", failover.offset_epoch);
  Put(&json, "proof", failover.proof);
  Put(&json, "oldOffset", failover.old_offset);
  Put(&json, "oldHeard", failover.old_heard);
  PutFlag(&json, "oldOffsetFinal", failover.old_offset_final);
  Put(&json, "droppedBytes", failover.dropped_bytes);
  PutFlag(&json, "dataLost", failover.data_lost);
  PutFlag(&json, "emptyStart", failover.empty_start);
  PutTimes(&json, failover.times);
  return json;
}

std::optional<Failover> ParseFailover(const Json& json) {
  const auto kind = failover::KindFromName(JsonString(json, "kind"));
  const auto step = failover::StepFromName(JsonString(json, "step"));
  if (!kind || !step) return std::nullopt;
  Failover failover;
  failover.kind = *kind;
  failover.step = *step;
  failover.epoch = Unsigned(json, "epoch");
  failover.reason = JsonString(json, "reason");
  failover.message = JsonString(json, "message");
  failover.old = ParseNode(JsonAt(json, "old"));
  failover.winner = ParseNode(JsonAt(json, "winner"));
  failover.source = ParseNode(JsonAt(json, "source"));
  failover.offset = Unsigned(json, "offset");
  failover.offset_epoch = Unsigned(json, "offsetEpoch");
  failover.proof = JsonString(json, "proof");
  failover.old_offset = Unsigned(json, "oldOffset");
  failover.old_heard = TimeAt(json, "oldHeard");
  failover.old_offset_final = JsonBool(json, "oldOffsetFinal");
  failover.dropped_bytes = Unsigned(json, "droppedBytes");
  failover.data_lost = JsonBool(json, "dataLost");
  failover.empty_start = JsonBool(json, "emptyStart");
  failover.times = ParseTimes(JsonAt(json, "times"));
  return failover;
}

Json HistoryJson(const HistoryEntry& entry) {
  Json json = {{"kind", failover::KindName(entry.kind)}, {"epoch", entry.epoch}};
  Put(&json, "reason", entry.reason);
  Put(&json, "message", entry.message);
  Put(&json, "oldPrimary", entry.old_primary);
  Put(&json, "newPrimary", entry.new_primary);
  Put(&json, "proof", entry.proof);
  Put(&json, "offset", entry.offset);
  Put(&json, "offsetEpoch", entry.offset_epoch);
  Put(&json, "oldOffset", entry.old_offset);
  Put(&json, "oldHeard", entry.old_heard);
  PutFlag(&json, "dataLost", entry.data_lost);
  Put(&json, "oldReturned", entry.old_returned);
  Put(&json, "droppedBytes", entry.dropped_bytes);
  PutTimes(&json, entry.times);
  return json;
}

HistoryEntry ParseHistory(const Json& json) {
  HistoryEntry entry;
  entry.kind = failover::KindFromName(JsonString(json, "kind")).value_or(failover::Kind::kTakeover);
  entry.epoch = Unsigned(json, "epoch");
  entry.reason = JsonString(json, "reason");
  entry.message = JsonString(json, "message");
  entry.old_primary = ParseNode(JsonAt(json, "oldPrimary"));
  entry.new_primary = ParseNode(JsonAt(json, "newPrimary"));
  entry.proof = JsonString(json, "proof");
  entry.offset = Unsigned(json, "offset");
  entry.offset_epoch = Unsigned(json, "offsetEpoch");
  entry.old_offset = Unsigned(json, "oldOffset");
  entry.old_heard = TimeAt(json, "oldHeard");
  entry.data_lost = JsonBool(json, "dataLost");
  entry.old_returned = TimeAt(json, "oldReturned");
  entry.dropped_bytes = Unsigned(json, "droppedBytes");
  entry.times = ParseTimes(JsonAt(json, "times"));
  return entry;
}

}  // namespace

Json GroupStateJson(const GroupState& state) {
  Json json = Json::object();
  Put(&json, "epoch", state.epoch);
  Put(&json, "term", state.term);
  Put(&json, "primary", state.primary.name);
  Put(&json, "primaryProcess", state.primary);
  if (!state.configurations.empty()) {
    json["configurations"] = Json::array();
    for (const Configuration& c : state.configurations) json["configurations"].push_back(ConfigurationJson(c));
  }
  if (state.failover) json["failover"] = FailoverJson(*state.failover);
  if (!state.failover_history.empty()) {
    json["failoverHistory"] = Json::array();
    for (const HistoryEntry& e : state.failover_history) json["failoverHistory"].push_back(HistoryJson(e));
  }
  // Also when there is none: a status without it is of an operator that did not keep it.
  if (!state.unproven_takeovers.empty() || !state.failover_history.empty()) {
    json["unprovenTakeovers"] = Json::array();
    for (const WallTime at : state.unproven_takeovers) json["unprovenTakeovers"].push_back(FormatRfc3339Micro(at));
  }
  Put(&json, "handledPrimaryClusterId", state.handled_primary_cluster_id);
  Put(&json, "handledTestFailover", state.handled_test_failover);
  Put(&json, "handledSwitchoverTo", state.handled_switchover_to);
  if (!state.void_words.empty()) json["voidConfirmDead"] = state.void_words;
  Put(&json, "dataset", state.dataset);
  return json;
}

GroupState ParseGroupState(const Json& status) {
  GroupState state;
  state.epoch = Unsigned(status, "epoch");
  state.term = JsonString(status, "term");
  state.primary = ParseNode(JsonAt(status, "primaryProcess"));
  const Json& configurations = JsonAt(status, "configurations");
  if (configurations.is_array()) {
    for (const Json& c : configurations) state.configurations.push_back(ParseConfiguration(c));
  }
  state.failover = ParseFailover(JsonAt(status, "failover"));
  const Json& history = JsonAt(status, "failoverHistory");
  if (history.is_array()) {
    for (const Json& e : history) state.failover_history.push_back(ParseHistory(e));
  }
  if (const Json& unproven = JsonAt(status, "unprovenTakeovers"); unproven.is_array()) {
    for (const Json& at : unproven) {
      WallTime time;
      if (at.is_string() && ParseRfc3339(at.get<std::string>(), &time)) state.unproven_takeovers.push_back(time);
    }
  } else {
    state.unproven_takeovers = failover::UnprovenOf(state.failover_history, state.failover);
  }
  state.handled_primary_cluster_id = JsonString(status, "handledPrimaryClusterId");
  state.handled_test_failover = JsonString(status, "handledTestFailover");
  state.handled_switchover_to = JsonString(status, "handledSwitchoverTo");
  state.void_words = api::ParseStrings(JsonAt(status, "voidConfirmDead"));
  state.dataset = JsonString(status, "dataset");
  return state;
}

Json GroupStatusJson(const api::ReplicationGroupStatus& status, const failover::GroupState& state) {
  Json json = api::ReplicationGroupStatusJson(status);
  json.update(GroupStateJson(state));
  // Column PRIMARY names no node that has been deleted; the state goes on counting on its process.
  const bool member = std::any_of(status.members.begin(), status.members.end(),
                                  [&](const api::MemberStatus& line) { return line.name == state.primary.name; });
  if (!member) json.erase("primary");
  return json;
}

Result<GroupObject> ParseGroupObject(const Json& document) {
  auto object = api::ParseReplicationGroup(document);
  if (!object.ok()) return object.status();
  return GroupObject{*std::move(object), ParseGroupState(JsonAt(document, "status"))};
}

}  // namespace understudy::plan
