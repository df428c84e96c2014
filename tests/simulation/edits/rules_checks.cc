// API.md's rules for what the operator writes and deletes: windows, one switchover per edit, one member at a
// time, nothing that an object declares (Checks in checks.h).
#include <algorithm>

#include "operator/manifests/manifests.h"
#include "operator/plan/deferral.h"
#include "operator/plan/maintenance_window.h"
#include "operator/plan/membership.h"
#include "operator/plan/pod_template.h"
#include "operator/plan/promote_demote.h"
#include "tests/simulation/edits/simulation.h"

namespace understudy::edits {
namespace {

constexpr Duration kTolerance = Seconds(2);

bool IsTemplateField(const std::string& field) {
  return std::find(std::begin(plan::kTemplateFields), std::end(plan::kTemplateFields), field) !=
         std::end(plan::kTemplateFields);
}

bool Applying(const api::PendingModifications& pending, const api::PendingModification& one) {
  const auto* said = api::FindPending(pending, one.field);
  return said != nullptr && said->from == one.from && said->to == one.to &&
         said->reason == api::reason::kApplyingModifications;
}

std::optional<api::CacheNode> ParseNodeObject(const Json* document) {
  if (document == nullptr) return std::nullopt;
  const bool cluster = JsonString(*document, "kind") == "CacheCluster";
  return *api::ParseCacheNode(cluster ? api::NodeKind::kCacheCluster : api::NodeKind::kReadReplica, *document);
}

bool Fits(const plan::MaintenanceWindow& window, WallTime wall, Duration needed) {
  return window.Left(wall) + kTolerance >= needed;
}

plan::MaintenanceWindow WindowOr(const std::string& text, const plan::MaintenanceWindow& otherwise) {
  const auto parsed = plan::ParseMaintenanceWindow(text);
  return parsed.ok() ? *parsed : otherwise;
}

}  // namespace

// Of objects as the operator has seen them: it can't follow an edit that it does not know.
bool Checks::InWindow(const api::ReplicationGroup& group, Duration needed) const {
  if (group.spec.apply_immediately.value_or(false)) return true;
  return Fits(WindowOr(group.spec.preferred_maintenance_window, plan::DefaultMaintenanceWindow(group.meta.uid)),
              simulation_.clock().Wall(), needed);
}

bool Checks::InWindow(const api::CacheNode& node, Duration needed) const {
  const WallTime wall = simulation_.clock().Wall();
  std::vector<const api::ReplicationGroup*> groups = {nullptr};
  const auto all = simulation_.oper().world().GroupsOf(kNamespace);
  for (const auto& group : all) {
    const api::ObjectMeta& meta = group->object.meta;
    if (meta.uid == node.status.group_uid || meta.name == node.spec.replication_group_id ||
        meta.name == node.spec.promoted_from || group->object.spec.primary_cluster_id == node.meta.name) {
      groups.push_back(&group->object);
    }
  }
  if (groups.size() > 1 && !plan::StandsAlone(node)) groups.erase(groups.begin());
  return std::any_of(groups.begin(), groups.end(), [&](const api::ReplicationGroup* group) {
    const bool inherited = group != nullptr && group->spec.apply_immediately.value_or(false);
    if (node.spec.apply_immediately.value_or(inherited)) return true;
    const plan::MaintenanceWindow of_group =
        group == nullptr ? plan::DefaultMaintenanceWindow(node.meta.uid)
                         : WindowOr(group->spec.preferred_maintenance_window, plan::DefaultMaintenanceWindow(group->meta.uid));
    return Fits(WindowOr(node.spec.preferred_maintenance_window, of_group), wall, needed);
  });
}

void Checks::WroteStatus(const Json& before, const Json& after) {
  const std::string kind = JsonString(after, "kind");
  if (before.at("status") == after.at("status")) {
    throw Violation{"7 the status of " + kind + " " + JsonString(after.at("metadata"), "name") + " was written unchanged"};
  }
  for (const api::PendingModification& one : api::ParsePendingModifications(JsonAt(after.at("status"), "pendingModifiedValues"))) {
    if (one.reason == api::reason::kWaitingForMembers) held_.insert({UidOf(after), one.field});
  }
  if (kind == "ReplicationGroup") {
    CheckGroup(*plan::ParseGroupObject(before), *plan::ParseGroupObject(after));
  } else {
    CheckNode(*ParseNodeObject(&before), *ParseNodeObject(&after));
  }
}

void Checks::CheckGroup(const plan::GroupObject& before, const plan::GroupObject& after) {
  const std::string& name = after.object.meta.name;
  if (after.state.epoch < before.state.epoch) throw Violation{"2 the epoch of " + name + " went back"};
  for (const control::Configuration& configuration : after.state.configurations) {
    std::set<std::string> voters;
    for (const control::NodeRef& voter : configuration.voters) {
      if (!voters.insert(voter.incarnation).second) throw Violation{"3 " + name + " counts voter " + voter.name + " twice"};
    }
  }
  if (failover::Started(before.state) && !failover::Started(after.state)) Emptied(after);
  const auto& begun = after.state.failover;
  const bool begins = begun && begun->kind == failover::Kind::kSwitchover &&
                      (!before.state.failover || before.state.failover->kind != failover::Kind::kSwitchover);
  if (!begins) return;
  simulation_.Trace("  switchover of " + name + " from " + begun->old.name + " to " + begun->winner.name + ": " +
                    begun->message);
  const auto seen = simulation_.oper().world().groups.Get(watch::ObjectKey(kNamespace, name));
  const std::string& uid = after.object.meta.uid;
  if (begun->message.starts_with("primaryClusterId was set to ")) {
    const std::string key = uid + "/" + begun->winner.name;
    if (++switched_[key] > asked_[key]) throw Violation{"S " + name + " switches over to " + begun->winner.name + " again"};
    if (seen && !InWindow(seen->object, plan::kSwitchoverNeeds)) {
      throw Violation{"W " + name + " switches over by edit outside its window"};
    }
  } else if (begun->message.starts_with("annotation switchover-to")) {
    const std::string key = uid + "@" + after.state.handled_switchover_to;
    if (++switched_[key] > 1) throw Violation{"S " + name + " follows its annotation again"};
  } else if (begun->message.starts_with("the Pod of " + begun->old.name + " is to be replaced")) {
    const auto node = simulation_.oper().world().FindNode(kNamespace, begun->old.name);
    if (node && !InWindow(*node, plan::kRestartNeeds)) {
      throw Violation{"W " + name + " hands over outside the window, to replace " + begun->old.name};
    }
  }
}

void Checks::Emptied(const plan::GroupObject& group) {
  const std::string& uid = group.object.meta.uid;
  for (const char* kind : {"CacheCluster", "ReadReplica"}) {
    for (const Json* document : simulation_.api().All(kind)) {
      const api::CacheNode node = *ParseNodeObject(document);
      if (node.meta.deleted || node.status.group_uid != uid || node.spec.replication_group_id != group.object.meta.name) continue;
      throw Violation{"5 " + group.object.meta.name + " is emptied, and " + node.meta.name + " is declared in it"};
    }
  }
  for (const CacheProcess* process : simulation_.Living()) {
    if (process->machine().group() == uid && process->HasData()) return;  // it takes everything along
  }
  ledgers_[uid].writes.clear();  // its nodes were deleted, and have ended
}

void Checks::CheckNode(const api::CacheNode& before, const api::CacheNode& after) {
  const std::string& name = after.meta.name;
  const auto seen = simulation_.oper().world().FindNode(after.kind, kNamespace, name);
  const api::CacheNode& known = seen ? *seen : before;
  const CacheProcess* process = simulation_.ProcessOf(name);
  const bool runs = process != nullptr && process->alive;
  for (const api::PendingModification& one : after.status.pending_modified_values) {
    if (one.reason != api::reason::kApplyingModifications || Applying(before.status.pending_modified_values, one)) continue;
    const bool of_template = IsTemplateField(one.field);
    // Of an ended operator: it may have been decided when no process ran.
    if (of_template && (!runs || simulation_.oper().delivers_late())) continue;
    if (one.field == plan::kDemoteField && (!after.status.moving_to.empty() || !after.status.group_uid.empty()) &&
        plan::kDemoteField == one.field && before.status.group_uid != after.status.group_uid) {
      continue;  // judged below
    }
    if (one.field == plan::kDemoteField && (!before.status.moving_to.empty() || before.status.epoch > 0)) continue;
    const Duration needed = one.field == plan::kPromoteField ? Seconds(60) : plan::kRestartNeeds;
    if (!InWindow(known, needed)) {
      throw Violation{"W " + name + ": " + one.field + " begins outside the window"};
    }
  }
  const bool alone_before = before.status.epoch > 0, alone = after.status.epoch > 0;
  // The permission to drop goes along with what it took from its former group, and with what it is about to write.
  if (after.status.moving_to != before.status.moving_to && !after.status.moving_to.empty() && process != nullptr &&
      WhyKept(*process, after.status.moving_to).empty()) {
    discardable_[after.meta.uid][after.status.dataset] = simulation_.ticks() + 100'000;
  }
  // It joins a group, dropping what it has; a first start claims one that keeps it.
  const Json* joined = simulation_.api().WithUid("ReplicationGroup", after.status.group_uid);
  const auto group_state = joined == nullptr ? failover::GroupState() : plan::ParseGroupObject(*joined)->state;
  const bool claimed = !failover::Started(group_state) || group_state.primary.name == name;
  if (!claimed && alone_before && alone && before.status.group_uid.empty() && !after.status.group_uid.empty() &&
      before.status.moving_to != after.status.group_uid && !InWindow(known, plan::kRestartNeeds)) {
    throw Violation{"W " + name + " joins " + after.status.replication_group_id + " outside the window"};
  }
  // It leaves a group.
  const Json* group = simulation_.api().WithUid("ReplicationGroup", before.status.group_uid);
  const bool stands = runs && process->machine().role() == control::Role::kStandalone;
  if (!alone_before && alone && group != nullptr && !group->at("metadata").contains("deletionTimestamp") && !stands) {
    const auto& pending = before.status.pending_modified_values;
    const bool announced = std::any_of(pending.begin(), pending.end(), [](const api::PendingModification& one) {
      return (one.field == plan::kPromoteField || one.field == plan::kDemoteField) &&
             one.reason == api::reason::kApplyingModifications;
    });
    if (!announced) throw Violation{"W " + name + " leaves its group, which was not announced"};
  }
}

void Checks::Deletes(const api::ObjectRef& ref, int64_t grace_seconds) {
  const ApiServer& api = simulation_.api();
  const Json* object = api.Get(ref.kind, ref.name);
  if (ref.kind == "Pod") {
    if (grace_seconds != 0) return CheckReplacement(ref.name);
    for (const Json* group : api.All("ReplicationGroup")) {
      if (failover::NamesPod(plan::ParseGroupObject(*group)->state, ref.uid)) {
        throw Violation{"P Pod " + ref.name + " is deleted by force, and " +
                        JsonString(group->at("metadata"), "name") + " counts on it"};
      }
    }
    return;
  }
  const api::ObjectMeta meta = api::ParseMeta(*object);
  if (ref.kind == "CacheCluster" || ref.kind == "ReadReplica") {
    const Json* group = api.WithUid("ReplicationGroup", JsonString(JsonAt(*object, "status"), "groupUid"));
    const bool goes_along = group != nullptr && group->at("metadata").contains("deletionTimestamp") &&
                            JsonString(group->at("spec"), "deletionPolicy") == "Delete";
    if (meta.OwnerUid().empty() && !goes_along) throw Violation{"D " + ref.kind + " " + ref.name + ", which a user made, is deleted"};
    return;
  }
  if (ref.kind != "StatefulSet") return;
  for (const char* kind : {"CacheCluster", "ReadReplica"}) {
    const Json* owner = api.WithUid(kind, meta.OwnerUid());
    if (owner != nullptr && !owner->at("metadata").contains("deletionTimestamp")) {
      throw Violation{"D StatefulSet " + ref.name + " is deleted, and " + kind + " " + ref.name + " declares it"};
    }
  }
}

bool Checks::HasParameters(const CacheProcess& process) const {
  const Json* set = simulation_.api().Get("StatefulSet", process.name);
  if (set == nullptr) return true;
  control::Parameters wanted;
  for (const auto& [name, value] : manifests::ArgumentsOf(*set)) wanted.values.push_back({name, value});
  return process.parameters().taken == control::ParametersHash(wanted) && process.parameters().open.empty();
}

bool Checks::IsDeclared(const std::string& pod) const {
  const ApiServer& api = simulation_.api();
  const Json& annotations = JsonAt(api.Get("Pod", pod)->at("metadata"), "annotations");
  const Json* set = api.WithUid("StatefulSet", JsonString(annotations, kSetAnnotation));
  if (set == nullptr) return false;
  for (const char* kind : {"CacheCluster", "ReadReplica"}) {
    const Json* owner = api.WithUid(kind, api::ParseMeta(*set).OwnerUid());
    if (owner != nullptr && !owner->at("metadata").contains("deletionTimestamp")) return true;
  }
  return false;
}

// The Pod of a node that is being removed needs no announcement and no window.
void Checks::CheckEnd(const std::string& pod, const CacheProcess& process) {
  if (process.machine().role() != control::Role::kPrimary || !process.HasData()) return;
  for (const char* kind : {"CacheCluster", "ReadReplica"}) {
    for (const Json* node : simulation_.api().All(kind)) {
      const bool stays = !node->at("metadata").contains("deletionTimestamp") &&
                         JsonString(JsonAt(*node, "status"), "groupUid") == process.machine().group();
      if (!stays) continue;
      throw Violation{"D Pod " + pod + " is ended at once with its group's data, and " +
                      JsonString(node->at("metadata"), "name") + " stays in the group"};
    }
  }
}

void Checks::CheckReplacement(const std::string& pod) {
  const std::string name = pod.substr(0, pod.size() - 2);
  const CacheProcess* process = simulation_.ProcessOf(name);
  if (process == nullptr || !process->alive) return;
  if (!IsDeclared(pod)) return CheckEnd(pod, *process);
  const auto node = simulation_.oper().world().FindNode(kNamespace, name);
  if (!node) throw Violation{"D Pod " + pod + " is deleted, of no node"};
  const auto& pending = node->status.pending_modified_values;
  const bool announced = std::any_of(pending.begin(), pending.end(), [](const api::PendingModification& one) {
    return IsTemplateField(one.field) && one.reason == api::reason::kApplyingModifications;
  });
  if (!announced) throw Violation{"W Pod " + pod + " is deleted, which was not announced"};
  const bool only_parameters = std::all_of(pending.begin(), pending.end(), [](const api::PendingModification& one) {
    return one.field == "parameters" || !IsTemplateField(one.field);
  });
  if (only_parameters && HasParameters(*process)) {
    throw Violation{"L Pod " + pod + " is deleted for parameters that its process has taken"};
  }
  if (!InWindow(*node, plan::kRestartNeeds)) throw Violation{"W Pod " + pod + " is replaced outside the window"};
  const std::string& group = node->status.group_uid;
  if (group.empty() || process->machine().role() == control::Role::kStandalone) return;
  const auto& voters = process->machine().configuration().voters;
  // One that was deposed while it was cut off does not know it yet.
  const Json* document = simulation_.api().WithUid("ReplicationGroup", group);
  const bool deposed =
      document != nullptr && plan::ParseGroupObject(*document)->state.primary.incarnation != process->incarnation;
  if (process->machine().role() == control::Role::kPrimary && process->machine().in_office() && !voters.empty() && !deposed) {
    throw Violation{"R Pod " + pod + " is replaced, and is primary with voters"};
  }
  const auto other = replacing_.find(group);
  if (other != replacing_.end() && other->second != name) {
    throw Violation{"R Pod " + pod + " is replaced before " + other->second + " is back"};
  }
  replacing_[group] = name;
}

void Checks::CheckSuccessors() {
  for (auto it = replacing_.begin(); it != replacing_.end();) {
    const auto& [uid, name] = *it;
    const Json* document = simulation_.api().WithUid("ReplicationGroup", uid);
    const CacheProcess* process = simulation_.ProcessOf(name);
    bool back = document == nullptr;
    if (!back) {
      const plan::GroupObject group = *plan::ParseGroupObject(*document);
      const CacheProcess* primary = simulation_.Process(group.state.primary.incarnation);
      const auto node = simulation_.oper().world().FindNode(kNamespace, name);
      back = !node || node->meta.deleted || node->status.group_uid != uid;
      if (process != nullptr && process->alive && process->complete() && process->machine().group() == uid) {
        const Json* pod = simulation_.api().Get("Pod", name + "-0");
        const bool going = pod == nullptr || pod->at("metadata").contains("deletionTimestamp");
        back = back || (!going && (process == primary || (primary != nullptr && process->Follows(*primary))));
      }
    }
    it = back ? replacing_.erase(it) : std::next(it);
  }
}

}  // namespace understudy::edits
