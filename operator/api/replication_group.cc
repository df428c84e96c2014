#include "operator/api/replication_group.h"

#include <algorithm>

namespace understudy::api {
namespace {

void Put(Json* object, const char* key, const std::string& value) {
  if (!value.empty()) (*object)[key] = value;
}

std::optional<Duration> OptionalDuration(const Json& object, const char* key) {
  const auto parsed = ParseDuration(JsonString(object, key));
  if (!parsed.ok()) return std::nullopt;
  return *parsed;
}

std::optional<int> OptionalInt(const Json& object, const char* key) {
  const Json& value = JsonAt(object, key);
  if (!value.is_number_integer()) return std::nullopt;
  return static_cast<int>(value.get<int64_t>());
}

MultiAz MultiAzFromName(const std::string& name) {
  if (name == "Required") return MultiAz::kRequired;
  if (name == "Disabled") return MultiAz::kDisabled;
  return MultiAz::kPreferred;
}

ReplicationGroupSpec ParseSpec(const Json& json) {
  ReplicationGroupSpec spec;
  spec.description = JsonString(json, "description");
  spec.primary_cluster_id = JsonString(json, "primaryClusterId");
  spec.replicas = static_cast<int>(JsonInt(json, "replicas"));
  spec.automatic_failover = JsonBool(json, "automaticFailover", true);
  spec.multi_az = MultiAzFromName(JsonString(json, "multiAZ"));
  spec.synchronous_replicas = OptionalInt(json, "synchronousReplicas");
  spec.reader_max_lag = OptionalDuration(json, "readerMaxLag");
  const Json& failover = JsonAt(json, "failover");
  spec.detection_timeout = OptionalDuration(failover, "detectionTimeout");
  spec.lease_duration = OptionalDuration(failover, "leaseDuration");
  spec.max_per_hour = OptionalInt(failover, "maxPerHour");
  spec.apply_immediately = OptionalBool(json, "applyImmediately");
  spec.preferred_maintenance_window = JsonString(json, "preferredMaintenanceWindow");
  spec.test_failover_at = JsonString(JsonAt(json, "testFailover"), "requestedAt");
  spec.node = ParseNodeSettings(JsonAt(json, "node"));
  if (JsonString(json, "deletionPolicy") == "Delete") spec.deletion_policy = DeletionPolicy::kDelete;
  return spec;
}

MemberStatus ParseMember(const Json& json) {
  MemberStatus member;
  member.name = JsonString(json, "name");
  member.kind = JsonString(json, "kind");
  member.declared = JsonBool(json, "declared");
  member.role = JsonString(json, "role");
  member.zone = JsonString(json, "zone");
  member.endpoint = JsonString(json, "endpoint");
  member.link_status = JsonString(json, "linkStatus");
  member.lag = JsonString(json, "lag");
  return member;
}

Json MemberJson(const MemberStatus& member) {
  Json json = {{"name", member.name}, {"kind", member.kind}, {"declared", member.declared}};
  Put(&json, "role", member.role);
  Put(&json, "zone", member.zone);
  Put(&json, "endpoint", member.endpoint);
  Put(&json, "linkStatus", member.link_status);
  Put(&json, "lag", member.lag);
  return json;
}

ReplicationGroupStatus ParseStatus(const Json& json) {
  ReplicationGroupStatus status;
  status.observed_generation = JsonInt(json, "observedGeneration", -1);
  status.phase = JsonString(json, "phase", "creating");
  const Json& members = JsonAt(json, "members");
  if (members.is_array()) {
    for (const Json& member : members) status.members.push_back(ParseMember(member));
  }
  std::sort(status.members.begin(), status.members.end(),
            [](const MemberStatus& a, const MemberStatus& b) { return a.name < b.name; });
  status.members_ready = JsonString(json, "membersReady");
  status.replicas = static_cast<int>(JsonInt(json, "replicas"));
  status.selector = JsonString(json, "selector");
  const Json& endpoints = JsonAt(json, "endpoints");
  status.primary_endpoint = JsonString(endpoints, "primary");
  status.reader_endpoint = JsonString(endpoints, "reader");
  status.automatic_failover = JsonString(json, "automaticFailover");
  status.effective_synchronous_replicas = static_cast<int>(JsonInt(json, "effectiveSynchronousReplicas"));
  status.effective_reader_max_lag = JsonString(json, "effectiveReaderMaxLag");
  const Json& failover = JsonAt(json, "effectiveFailover");
  status.effective_detection_timeout = JsonString(failover, "detectionTimeout");
  status.effective_lease_duration = JsonString(failover, "leaseDuration");
  status.effective_max_per_hour = static_cast<int>(JsonInt(failover, "maxPerHour"));
  status.effective_maintenance_window = JsonString(json, "effectivePreferredMaintenanceWindow");
  status.pending = JsonString(json, "pending");
  status.pending_modified_values = ParsePendingModifications(JsonAt(json, "pendingModifiedValues"));
  const Json& heir = JsonAt(json, "heir");
  if (heir.is_object()) status.heir = Heir{JsonString(heir, "name"), JsonString(heir, "incarnation")};
  status.conditions = ParseConditions(JsonAt(json, "conditions"));
  return status;
}

}  // namespace

std::string_view MultiAzName(MultiAz value) {
  switch (value) {
    case MultiAz::kPreferred: return "Preferred";
    case MultiAz::kRequired: return "Required";
    case MultiAz::kDisabled: return "Disabled";
  }
  return "Preferred";
}

ObjectRef ReplicationGroup::Ref() const {
  return {std::string(kApiVersion), "ReplicationGroup", meta.ns, meta.name, meta.uid, meta.resource_version};
}

Result<ReplicationGroup> ParseReplicationGroup(const Json& document) {
  ReplicationGroup group;
  group.meta = ParseMeta(document);
  if (group.meta.name.empty()) return Invalid("ReplicationGroup without metadata.name");
  group.spec = ParseSpec(JsonAt(document, "spec"));
  group.status = ParseStatus(JsonAt(document, "status"));
  return group;
}

Json ReplicationGroupStatusJson(const ReplicationGroupStatus& status) {
  Json json = {{"observedGeneration", status.observed_generation},
               {"phase", status.phase},
               {"replicas", status.replicas},
               {"conditions", ConditionsJson(status.conditions)}};
  json["members"] = Json::array();
  for (const MemberStatus& member : status.members) json["members"].push_back(MemberJson(member));
  Put(&json, "membersReady", status.members_ready);
  Put(&json, "selector", status.selector);
  if (!status.primary_endpoint.empty()) {
    json["endpoints"] = {{"primary", status.primary_endpoint}, {"reader", status.reader_endpoint}};
  }
  Put(&json, "automaticFailover", status.automatic_failover);
  if (!status.effective_lease_duration.empty()) {
    json["effectiveSynchronousReplicas"] = status.effective_synchronous_replicas;
    json["effectiveReaderMaxLag"] = status.effective_reader_max_lag;
    json["effectiveFailover"] = {{"detectionTimeout", status.effective_detection_timeout},
                                 {"leaseDuration", status.effective_lease_duration},
                                 {"maxPerHour", status.effective_max_per_hour}};
  }
  Put(&json, "effectivePreferredMaintenanceWindow", status.effective_maintenance_window);
  Put(&json, "pending", status.pending);
  if (!status.pending_modified_values.empty()) {
    json["pendingModifiedValues"] = PendingModificationsJson(status.pending_modified_values);
  }
  if (status.heir) json["heir"] = {{"name", status.heir->name}, {"incarnation", status.heir->incarnation}};
  return json;
}

std::string OperatorMadeName(const std::string& group, int number) {
  return group + "-" + std::to_string(1000 + number).substr(1);
}

Json OperatorMadeNodeJson(NodeKind kind, const ReplicationGroup& group, const std::string& name, bool pool) {
  Json labels = {{kGroupLabel, group.meta.name}};
  if (pool) labels[kPoolLabel] = group.meta.name;
  return {{"apiVersion", kApiVersion},
          {"kind", NodeKindName(kind)},
          {"metadata",
           {{"name", name},
            {"namespace", group.meta.ns},
            {"labels", labels},
            {"annotations",
             {{kOwnerAnnotation, "ReplicationGroup/" + group.meta.name}, {kOwnerUidAnnotation, group.meta.uid}}}}},
          {"spec", {{"replicationGroupId", group.meta.name}}}};
}

}  // namespace understudy::api
