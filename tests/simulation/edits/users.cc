#include "tests/simulation/edits/users.h"

#include <algorithm>

#include "operator/plan/maintenance_window.h"
#include "tests/simulation/edits/simulation.h"

namespace understudy::edits {
namespace {

constexpr size_t kMostNodes = 10;
constexpr size_t kMostGroups = 3;
const std::vector<std::string> kGroupNames = {"alpha", "beta", "gamma"};
const std::vector<std::string> kNodeNames = {"n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9", "n10"};

}  // namespace

bool Users::Chance(int percent) { return simulation_.dice().Below(100) < percent; }

std::vector<Users::Node> Users::Nodes() const {
  std::vector<Node> nodes;
  for (const char* kind : {"CacheCluster", "ReadReplica"}) {
    for (const Json* node : simulation_.api().All(kind)) nodes.push_back({kind, JsonString(node->at("metadata"), "name")});
  }
  return nodes;
}

std::vector<std::string> Users::Groups() const {
  std::vector<std::string> groups;
  for (const Json* group : simulation_.api().All("ReplicationGroup")) {
    groups.push_back(JsonString(group->at("metadata"), "name"));
  }
  return groups;
}

const Json& Users::Spec(const std::string& kind, const std::string& name) const {
  return simulation_.api().Get(kind, name)->at("spec");
}

std::string Users::AnyNodeName() {
  const std::vector<Node> nodes = Nodes();
  return nodes.empty() || Chance(10) ? simulation_.dice().Of(kNodeNames) : simulation_.dice().Of(nodes).name;
}

std::string Users::AnyGroupName() {
  const std::vector<std::string> groups = Groups();
  return groups.empty() || Chance(10) ? simulation_.dice().Of(kGroupNames) : simulation_.dice().Of(groups);
}

// Often one that is open now, or soon.
std::string Users::AnyWindow() {
  Dice& dice = simulation_.dice();
  const int64_t minutes = simulation_.clock().Wall().unix_ms / 60'000 + 4 * 1440;  // the epoch was a Thursday
  const int start = Chance(60) ? static_cast<int>((minutes + dice.Below(90) - 45) % plan::kMinutesPerWeek)
                               : static_cast<int>(dice.Below(plan::kMinutesPerWeek));
  return plan::MaintenanceWindow(start, static_cast<int>(60 + dice.Below(120))).Text();
}

void Users::Create(const std::string& kind, const std::string& name, Json spec) {
  simulation_.Trace("EDIT create " + kind + " " + name + " " + spec.dump());
  const int observed = -1;
  simulation_.api().Put(kind, name, {{"apiVersion", std::string(api::kApiVersion)},
                                     {"metadata", Json::object()},
                                     {"spec", std::move(spec)},
                                     {"status", {{"observedGeneration", observed}, {"phase", "creating"}}}});
  const Json& made = *simulation_.api().Get(kind, name);
  if (kind == "ReplicationGroup") {
    simulation_.checks().AskedForPrimary(made);
  } else {
    simulation_.checks().Declared(made);
  }
}

void Users::Write(const std::string& kind, const std::string& name, Json spec, const std::string& what) {
  simulation_.Trace("EDIT " + kind + " " + name + ": " + what + " " + spec.dump());
  simulation_.api().Change(kind, name, [&](Json* d) { (*d)["spec"] = std::move(spec); }, true);
  simulation_.checks().Declared(*simulation_.api().Get(kind, name));
}

void Users::Remove(const std::string& kind, const std::string& name) {
  simulation_.Trace("EDIT delete " + kind + " " + name);
  simulation_.api().Delete(kind, name);
}

void Users::Begin() {
  for (size_t i = 0; i < 2; ++i) {
    const std::string& group = kGroupNames[i];
    const std::string& first = kNodeNames[i * 3];
    Create("ReplicationGroup", group, {{"primaryClusterId", first}});
    Create("CacheCluster", first, Chance(50) ? Json{{"replicationGroupId", group}} : Json::object());
    for (size_t k = 1; k < 3; ++k) {
      if (i == 0 || Chance(60)) Create("ReadReplica", kNodeNames[i * 3 + k], {{"replicationGroupId", group}});
    }
  }
  Create("CacheCluster", "n8", Json::object());
}

void Users::Edit() {
  for (int attempt = 0; attempt < 200; ++attempt) {
    if (TryEdit()) return;
  }
  throw Violation{"no edit is possible"};
}

bool Users::TryEdit() {
  Dice& dice = simulation_.dice();
  const std::vector<Node> nodes = Nodes();
  const std::vector<std::string> groups = Groups();
  const int64_t which = dice.Below(100);
  if (which < 10) return CreateNode();
  if (which < 15) return DeleteNode();
  if (which < 21) return CreateGroup();
  if (which < 23) return DeleteGroup();
  const bool of_node = which < 68;
  if (of_node && nodes.empty()) return false;
  if (!of_node && groups.empty()) return false;
  if (which < 33) return Join(dice.Of(nodes));
  if (which < 42) return Promote(dice.Of(nodes));
  if (which < 51) return Discard(dice.Of(nodes));
  if (which < 60) return EditNodeSettings(dice.Of(nodes));
  if (which < 68) {
    const Node node = dice.Of(nodes);
    return EditWhen(node.kind, node.name);
  }
  const std::string group = dice.Of(groups);
  if (which < 76) return EditPrimary(group);
  if (which < 83) return AskForSwitchover(group);
  if (which < 91) return EditWhen("ReplicationGroup", group);
  return EditGroup(group);
}

bool Users::CreateNode() {
  if (Nodes().size() >= kMostNodes) return false;
  const std::string name = simulation_.dice().Of(kNodeNames);
  const std::string kind = Chance(50) ? "CacheCluster" : "ReadReplica";
  if (simulation_.api().Get(kind, name) != nullptr) return false;
  Json spec = Json::object();
  if (kind == "ReadReplica" || Chance(50)) spec["replicationGroupId"] = AnyGroupName();
  if (Chance(10)) {
    spec.erase("replicationGroupId");
    spec["promotedFrom"] = AnyGroupName();
  }
  if (Chance(25)) spec["applyImmediately"] = true;
  if (Chance(15)) spec["availabilityZone"] = "zone-" + std::string(1, static_cast<char>('a' + simulation_.dice().Below(3)));
  Create(kind, name, std::move(spec));
  return true;
}

bool Users::DeleteNode() {
  const std::vector<Node> nodes = Nodes();
  if (nodes.empty()) return false;
  const Node node = simulation_.dice().Of(nodes);
  Remove(node.kind, node.name);
  // A user who made a mistake applies the manifest again.
  if (Chance(15) && simulation_.api().Get(node.kind, node.name) == nullptr) {
    Create(node.kind, node.name, {{"replicationGroupId", AnyGroupName()}});
  }
  return true;
}

bool Users::CreateGroup() {
  const std::vector<std::string> groups = Groups();
  if (groups.size() >= kMostGroups) return false;
  const std::string name = simulation_.dice().Of(kGroupNames);
  if (simulation_.api().Get("ReplicationGroup", name) != nullptr) return false;
  Json spec = Json::object();
  if (Chance(60)) spec["primaryClusterId"] = AnyNodeName();
  if (Chance(30)) spec["replicas"] = 1 + simulation_.dice().Below(2);
  if (Chance(40)) spec["applyImmediately"] = true;
  if (Chance(30)) spec["synchronousReplicas"] = 1;
  if (Chance(20)) spec["deletionPolicy"] = "Delete";
  if (Chance(20)) spec["deletionProtection"] = true;
  if (Chance(30)) spec["preferredMaintenanceWindow"] = AnyWindow();
  Create("ReplicationGroup", name, std::move(spec));
  return true;
}

bool Users::DeleteGroup() {
  const std::vector<std::string> groups = Groups();
  if (groups.empty()) return false;
  const std::string name = simulation_.dice().Of(groups);
  if (JsonBool(Spec("ReplicationGroup", name), "deletionProtection")) return false;
  Remove("ReplicationGroup", name);
  return true;
}

bool Users::Join(const Node& node) {
  Json spec = Spec(node.kind, node.name);
  spec["replicationGroupId"] = AnyGroupName();
  spec.erase("promotedFrom");
  if (spec == Spec(node.kind, node.name)) return false;
  Write(node.kind, node.name, std::move(spec), "joins");
  return true;
}

bool Users::Promote(const Node& node) {
  Json spec = Spec(node.kind, node.name);
  const std::string group = JsonString(spec, "replicationGroupId");
  if (!group.empty()) {
    spec.erase("replicationGroupId");
    spec["promotedFrom"] = group;  // without it the API server refuses the removal
    Write(node.kind, node.name, std::move(spec), "is promoted");
    return true;
  }
  const std::string left = JsonString(spec, "promotedFrom");
  if (left.empty()) return false;
  spec.erase("promotedFrom");
  if (Chance(70)) {
    spec["replicationGroupId"] = left;
  } else if (node.kind == "ReadReplica" && Chance(50)) {
    return false;
  }
  Write(node.kind, node.name, std::move(spec), "takes the Promote back");
  return true;
}

bool Users::Discard(const Node& node) {
  const Json& document = *simulation_.api().Get(node.kind, node.name);
  Json spec = document.at("spec");
  const std::string right = JsonString(JsonAt(document, "status"), "dataset");
  spec.erase("discardExistingData");
  if (Chance(60) && !right.empty()) {
    spec["discardExistingData"] = right;
  } else if (Chance(60)) {
    spec["discardExistingData"] = simulation_.NewHex();
  }
  if (spec == document.at("spec")) return false;
  Write(node.kind, node.name, std::move(spec), "discards");
  return true;
}

Json Users::AnySettings(Json settings) {
  Dice& dice = simulation_.dice();
  if (!settings.is_object()) settings = Json::object();
  const std::string number = std::to_string(1 + dice.Below(3));
  switch (dice.Below(4)) {
    case 0: settings["image"] = "understudy:" + number; break;
    case 1: settings["resources"] = {{"limits", {{"memory", number + "Gi"}}}}; break;
    case 2:
      // One that a process takes while it runs, and one that takes a new process.
      if (Chance(50)) {
        settings["parameters"]["maxmemory-policy"] = Chance(50) ? "allkeys-lru" : "noeviction";
      } else {
        settings["parameters"]["tcp-backlog"] = "10" + number;
      }
      break;
    default: settings["podLabels"]["team"] = "t" + number; break;
  }
  return settings;
}

bool Users::EditNodeSettings(const Node& node) {
  Json spec = Spec(node.kind, node.name);
  if (Chance(80)) {
    spec["node"] = AnySettings(JsonAt(spec, "node"));
  } else {
    spec.erase("node");
  }
  if (spec == Spec(node.kind, node.name)) return false;
  Write(node.kind, node.name, std::move(spec), "settings");
  return true;
}

bool Users::EditWhen(const std::string& kind, const std::string& name) {
  Json spec = Spec(kind, name);
  if (Chance(50)) {
    spec.erase("applyImmediately");
    if (Chance(70)) spec["applyImmediately"] = Chance(70);
  } else {
    spec.erase("preferredMaintenanceWindow");
    if (Chance(80)) spec["preferredMaintenanceWindow"] = AnyWindow();
  }
  if (spec == Spec(kind, name)) return false;
  Write(kind, name, std::move(spec), "when");
  return true;
}

bool Users::EditPrimary(const std::string& group) {
  Json spec = Spec("ReplicationGroup", group);
  spec.erase("primaryClusterId");
  if (Chance(85)) {
    const std::string name = AnyNodeName();
    if (name == group) return false;
    spec["primaryClusterId"] = name;
  }
  if (spec == Spec("ReplicationGroup", group)) return false;
  Write("ReplicationGroup", group, std::move(spec), "primary");
  simulation_.checks().AskedForPrimary(*simulation_.api().Get("ReplicationGroup", group));
  return true;
}

bool Users::AskForSwitchover(const std::string& group) {
  std::string value = AnyNodeName() + "@" + FormatRfc3339(simulation_.clock().Wall());
  if (Chance(5)) value = "tomorrow";
  if (Chance(10)) value.clear();
  simulation_.Trace("EDIT ReplicationGroup " + group + ": switchover-to " + value);
  simulation_.api().Change("ReplicationGroup", group, [&](Json* d) {
    Json& annotations = (*d)["metadata"]["annotations"];
    if (!annotations.is_object()) annotations = Json::object();
    annotations.erase(api::kSwitchoverToAnnotation);
    if (!value.empty()) annotations[api::kSwitchoverToAnnotation] = value;
  });
  return true;
}

bool Users::EditGroup(const std::string& group) {
  Dice& dice = simulation_.dice();
  Json spec = Spec("ReplicationGroup", group);
  switch (dice.Below(7)) {
    case 0: spec["automaticFailover"] = !JsonBool(spec, "automaticFailover", true); break;
    case 1: spec["deletionProtection"] = !JsonBool(spec, "deletionProtection"); break;
    case 2: spec["synchronousReplicas"] = dice.Below(3); break;
    case 3: spec["node"] = AnySettings(JsonAt(spec, "node")); break;
    case 4: spec["deletionPolicy"] = Chance(70) ? "RetainClusters" : "Delete"; break;
    case 5: spec["testFailover"] = {{"requestedAt", FormatRfc3339(simulation_.clock().Wall())}}; break;
    default: spec["replicas"] = dice.Below(3); break;
  }
  if (spec == Spec("ReplicationGroup", group)) return false;
  Write("ReplicationGroup", group, std::move(spec), "settings");
  return true;
}

void Users::ConfirmDeaths() {
  for (const std::string& name : Groups()) {
    const Json& group = *simulation_.api().Get("ReplicationGroup", name);
    for (const Json& condition : JsonAt(JsonAt(group, "status"), "conditions")) {
      if (JsonString(condition, "type") != "WaitingForProofOfDeath" || JsonString(condition, "status") != "True") continue;
      for (const control::NodeRef& ref : failover::NamedNodes(plan::ParseGroupObject(group)->state)) {
        if (JsonString(condition, "message").find(ref.incarnation) == std::string::npos) continue;
        const CacheProcess* process = simulation_.Process(ref.incarnation);
        if (process != nullptr && process->alive) continue;
        simulation_.Trace("an administrator confirms that " + ref.incarnation + " has ended");
        simulation_.api().Change("ReplicationGroup", name, [&](Json* d) {
          (*d)["metadata"]["annotations"][api::kConfirmDeadAnnotation] = ref.incarnation;
        });
      }
    }
  }
}

}  // namespace understudy::edits
