#include "operator/plan/objects.h"

#include <algorithm>

#include "operator/manifests/manifests.h"
#include "operator/plan/membership.h"
#include "operator/plan/observation.h"

namespace understudy::plan {
namespace {

constexpr int64_t kEndSeconds = 1;

bool Drifted(const std::optional<api::Service>& live, const Json& desired) {
  if (!live) return false;
  const Json& spec = JsonAt(desired, "spec");
  if (live->selector != api::ParseStringMap(JsonAt(spec, "selector"))) return true;
  if (live->publish_not_ready != JsonBool(spec, "publishNotReadyAddresses")) return true;
  return live->ports.size() != JsonAt(spec, "ports").size();
}

bool Drifted(const std::optional<api::StatefulSet>& live, const Json& desired) {
  if (!live) return false;
  const Json& pod_template = JsonAt(JsonAt(desired, "spec"), "template");
  return live->replicas != 1 || live->update_strategy != "OnDelete" ||
         live->template_hash != api::ParseMeta(pod_template).Annotation(api::kTemplateHashAnnotation) ||
         live->image != JsonString(JsonAt(JsonAt(pod_template, "spec"), "containers").at(0), "image");
}

}  // namespace

bool IsChildOf(const api::ObjectMeta& child, const api::ObjectRef& owner) {
  const std::string uid = child.OwnerUid();
  if (uid == owner.uid || uid.empty() || owner.uid.empty()) return uid == owner.uid;
  return OwnerKey(OwnerOf(child)) == OwnerKey(owner);
}

void ConfirmOwner(const api::ObjectRef& owner, std::vector<Action>* actions) {
  if (owner.uid.empty()) return;
  for (const Action& action : *actions) {
    if (const auto* confirm = std::get_if<ConfirmExists>(&action); confirm && confirm->ref.uid == owner.uid) return;
    const auto* set = std::get_if<SetFinalizers>(&action);
    if (set != nullptr && set->ref.uid == owner.uid && api::HasFinalizer(set->finalizers)) return;
  }
  actions->push_back(ConfirmExists{owner});
}

bool Ensure(const api::ObjectMeta* live, bool drifted, Json desired, const api::ObjectRef& owner,
            std::vector<Action>* actions) {
  if (live == nullptr) {
    ConfirmOwner(owner, actions);
    actions->push_back(CreateObject{std::move(desired)});
    return false;
  }
  if (!IsChildOf(*live, owner) || live->deleted) return false;
  if (live->OwnerUid() != owner.uid) ConfirmOwner(owner, actions);
  if (drifted || live->Annotation(api::kHashAnnotation) != manifests::AppliedHash(desired)) {
    desired["metadata"]["uid"] = live->uid;
    actions->push_back(ApplyObject{std::move(desired)});
  }
  return true;
}

void Remove(const api::ObjectMeta* live, std::string_view api_version, std::string_view kind,
            const api::ObjectRef& owner, std::vector<Action>* actions) {
  if (live == nullptr || !IsChildOf(*live, owner) || live->deleted) return;
  if (live->OwnerUid() != owner.uid) ConfirmOwner(owner, actions);
  actions->push_back(
      DeleteObject{{std::string(api_version), std::string(kind), live->ns, live->name, live->uid, ""}});
}

std::string WantedImage(const api::NodeSettings& merged, const Settings& settings) {
  return merged.image.value_or(settings.default_node_image);
}

Status EnsureKeys(const std::string& ns, const Settings& settings, const std::optional<api::ConfigMap>& live,
                  std::vector<Action>* actions) {
  if (live && live->meta.Label("app.kubernetes.io/managed-by") != "understudy") {
    return Conflict(ForeignObject("ConfigMap", live->meta));
  }
  Json desired = manifests::BuildConfigMap(ns, settings.public_key);
  const bool drifted = live && live->data != api::ParseStringMap(JsonAt(desired, "data"));
  Ensure(MetaOf(live), drifted, std::move(desired), {}, actions);
  return {};
}

std::string AddressTypeOf(const api::Service& service) {
  return service.ip_families.empty() ? "IPv4" : service.ip_families.front();
}

void EnsureSlice(const api::Service& service, const api::EndpointSlice* live, const manifests::SliceTarget& target,
                 Json desired, const api::ObjectRef& owner, std::vector<Action>* actions) {
  // The address type of a slice can't be changed; one of another type makes room first.
  if (live != nullptr && live->address_type != AddressTypeOf(service)) {
    Remove(&live->meta, "discovery.k8s.io/v1", "EndpointSlice", owner, actions);
    return;
  }
  const bool drifted =
      live != nullptr && (live->endpoints.size() != 1 || live->endpoints.front().target_uid != target.pod_uid ||
                          live->endpoints.front().addresses != std::vector{target.address});
  Ensure(live == nullptr ? nullptr : &live->meta, drifted, std::move(desired), owner, actions);
}

Leftover JudgeLeftover(const NodeView& view, const failover::PodView* process, const std::string& group_uid) {
  const api::CacheNode& node = view.node;
  if (!view.stateful_set || view.stateful_set->meta.OwnerUid() == node.meta.uid) return Leftover::kTake;
  if (const control::NodeState* words = WordsOf(process)) {
    const bool fits = words->group.empty() || words->group == node.meta.uid || words->group == group_uid ||
                      words->group == node.status.group_uid;
    return fits ? Leftover::kTake : Leftover::kRemove;
  }
  if (!view.pod || !view.pod->running) return Leftover::kTake;
  if (!group_uid.empty()) return Leftover::kWait;
  return StandsAlone(node) ? Leftover::kTake : Leftover::kRemove;
}

void EnsureNodeSlice(const NodeView& view, const std::string& zone, std::vector<Action>* actions) {
  const std::string& uid = view.node.meta.uid;
  if (!view.service || view.service->meta.OwnerUid() != uid || view.service->meta.deleted) return;
  if (!view.pod || view.pod->ip.empty() || view.pod->meta.deleted) return;
  const manifests::SliceTarget target = {view.pod->ip, view.pod->node_name, zone, view.pod->meta.name,
                                         view.pod->meta.uid};
  EnsureSlice(*view.service, view.slice ? &*view.slice : nullptr, target,
              manifests::BuildNodeSlice(view.node, view.service->meta.uid, AddressTypeOf(*view.service), target),
              view.node.Ref(), actions);
}

Result<Json> BuildNode(const NodeObjects& objects, const Settings& settings) {
  manifests::NodeInput input;
  input.node = &objects.view->node;
  input.settings = objects.settings;
  input.image = WantedImage(objects.settings, settings);
  input.image_alone = WantedImage(objects.view->node.spec.node, settings);
  input.group = objects.group;
  input.pool = objects.pool;
  input.multi_az = objects.multi_az;
  input.avoid_zones = objects.avoid_zones;
  auto built = manifests::BuildStatefulSet(input);
  if (!built.ok() || objects.rejected == nullptr) return built;
  const auto refused = objects.rejected->find(input.node->meta.name);
  if (refused == objects.rejected->end() || objects.now >= refused->second.until ||
      refused->second.hash != manifests::AppliedHash(*built)) {
    return built;
  }
  return refused->second.waits ? Unavailable(refused->second.message) : Invalid(refused->second.message);
}

std::string_view RefusalReason(const Status& status) {
  if (status.code() == Code::kConflict) return api::reason::kNameConflict;
  if (status.code() == Code::kNotFound) return api::reason::kUnschedulable;
  return api::reason::kInvalidParameterCombination;
}

bool RefusalWaits(const Status& status) {
  return status.code() == Code::kUnavailable || status.code() == Code::kNotFound;
}

void EnsureNode(const NodeView& view, const failover::PodView* process, const std::string& group_uid,
                const std::string& zone, Json stateful_set, MonoTime now, Plan* plan) {
  const api::ObjectRef owner = view.node.Ref();
  Json headless = manifests::BuildHeadlessService(view.node);
  const bool headless_drifted = Drifted(view.headless, headless);
  Ensure(MetaOf(view.headless), headless_drifted, std::move(headless), owner, &plan->actions);
  Json service = manifests::BuildNodeService(view.node);
  const bool service_drifted = Drifted(view.service, service);
  Ensure(MetaOf(view.service), service_drifted, std::move(service), owner, &plan->actions);
  const Leftover leftover = JudgeLeftover(view, process, group_uid);
  if (leftover == Leftover::kRemove) {
    Remove(MetaOf(view.stateful_set), "apps/v1", "StatefulSet", owner, &plan->actions);
  } else if (leftover == Leftover::kWait) {
    plan->wake_at = std::min(plan->wake_at, now + kLookAgain);
  } else if (!view.stateful_set && view.node.spec.availability_zone.empty() && now < view.first_pod_at) {
    plan->wake_at = std::min(plan->wake_at, view.first_pod_at);
  } else {
    const bool set_drifted = Drifted(view.stateful_set, stateful_set);
    Ensure(MetaOf(view.stateful_set), set_drifted, std::move(stateful_set), owner, &plan->actions);
  }
  EnsureNodeSlice(view, zone, &plan->actions);
}

bool RemoveNode(const NodeView& view, std::vector<Action>* actions) {
  const api::ObjectRef owner = view.node.Ref();
  Remove(MetaOf(view.stateful_set), "apps/v1", "StatefulSet", owner, actions);
  Remove(MetaOf(view.service), "v1", "Service", owner, actions);
  Remove(MetaOf(view.headless), "v1", "Service", owner, actions);
  const auto left = [&owner](const auto& object) { return object && IsChildOf(object->meta, owner); };
  return !left(view.stateful_set) && !left(view.service) && !left(view.headless);
}

void EndPod(const NodeView& view, std::vector<Action>* actions) {
  const bool foreign = view.stateful_set && !IsChildOf(view.stateful_set->meta, view.node.Ref());
  if (!view.pod || foreign) return;
  const api::ObjectMeta& meta = view.pod->meta;
  actions->push_back(DeleteObject{{"v1", "Pod", meta.ns, meta.name, meta.uid, ""}, kEndSeconds});
}

bool RemoveNodeAndPod(const NodeView& view, std::vector<Action>* actions) {
  // Before its StatefulSet, for the garbage collector ends it with the Pod's own grace period, and a shorter one that
  // follows shortens nothing.
  EndPod(view, actions);
  return RemoveNode(view, actions);
}

void EnsurePodLabels(const NodeView& view, const std::map<std::string, std::optional<std::string>>& wanted,
                     std::vector<Action>* actions) {
  if (!view.pod || view.pod->meta.deleted) return;
  LabelPod patch;
  std::map<std::string, std::optional<std::string>> all = wanted;
  all[api::kClusterLabel] = view.node.meta.name;  // without it the StatefulSet lets go of the Pod
  for (const auto& [key, value] : all) {
    const auto it = view.pod->meta.labels.find(key);
    const bool present = it != view.pod->meta.labels.end();
    if (value ? (!present || it->second != *value) : present) patch.labels[key] = value;
  }
  if (patch.labels.empty()) return;
  const api::ObjectMeta& meta = view.pod->meta;
  patch.ref = {"v1", "Pod", meta.ns, meta.name, meta.uid, ""};
  actions->push_back(std::move(patch));
}

bool EnsureFinalizer(const api::ObjectRef& ref, const api::ObjectMeta& meta, bool present,
                     std::vector<Action>* actions) {
  if (meta.HasFinalizer() == present) return false;
  std::vector<std::string> finalizers = meta.finalizers;
  if (present) {
    finalizers.emplace_back(api::kFinalizer);
  } else {
    std::erase(finalizers, std::string(api::kFinalizer));
  }
  actions->push_back(SetFinalizers{ref, std::move(finalizers)});
  return true;
}

}  // namespace understudy::plan
