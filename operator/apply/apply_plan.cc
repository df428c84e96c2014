#include "operator/apply/apply_plan.h"

#include <array>
#include <utility>

#include "common/log.h"
#include "common/overloaded.h"
#include "operator/manifests/manifests.h"

namespace understudy::apply {
namespace {

Json Identity(const api::ObjectRef& ref) {
  Json metadata = {{"name", ref.name}, {"namespace", ref.ns}, {"uid", ref.uid}};
  if (!ref.resource_version.empty()) metadata["resourceVersion"] = ref.resource_version;
  return metadata;
}

// Gone already, or replaced by another object of the same name: what was to be removed is removed.
Status UnlessGone(Status status) {
  if (status.code() == Code::kNotFound || status.code() == Code::kConflict) return {};
  return status;
}

// True: the text began with that.
bool Cut(const std::string& head, std::string* text) {
  if (!text->starts_with(head)) return false;
  text->erase(0, head.size());
  return true;
}

// The plan was made for it, and is void.
Status IsGone(const api::ObjectRef& ref) { return Conflict(ref.kind + " " + ref.ns + "/" + ref.name + " is gone"); }

}  // namespace

const kube::Resource& ResourceOf(const std::string& kind) {
  static constexpr std::array<const kube::Resource*, 9> kWritten = {
      &kube::kReplicationGroups, &kube::kReadReplicas,          &kube::kCacheClusters,
      &kube::kPods,              &kube::kServices,              &kube::kConfigMaps,
      &kube::kStatefulSets,      &kube::kPodDisruptionBudgets,  &kube::kEndpointSlices};
  for (const kube::Resource* resource : kWritten) {
    if (resource->kind == kind) return *resource;
  }
  LOG_ERROR("a plan names kind '{}', which plans never write", kind);
  CHECK(false);
  return *kWritten[0];
}

Status PlanApplier::CheckLeads(MonoTime under) const {
  const kube::Leadership now = hooks_.leadership();
  if (now.leading && now.acquired_at == under && clock_.Mono() < now.valid_until) return {};
  return Denied("this process does not lead any more");
}

Result<PlanApplier::Outcome> PlanApplier::Apply(const std::string& group_uid, const plan::Plan& plan, MonoTime under) {
  RETURN_IF_ERROR(CheckLeads(under));
  nodes_.SetGrants(group_uid, plan.grants, under);
  if (!plan.persist.empty()) {
    for (const plan::StatusWrite& write : plan.persist) {
      RETURN_IF_ERROR(CheckLeads(under));
      RETURN_IF_ERROR(WriteStatus(write));
    }
    Record(plan.events);
    return Outcome{.next = Next::kAgain};
  }
  for (const failover::OutgoingOrder& order : plan.orders) nodes_.SendOrder(order.pod_uid, order.order);
  for (const plan::OutgoingParameters& out : plan.parameters) nodes_.SendParameters(out.pod_uid, out.parameters);
  for (const std::string& pod_uid : plan.reconnect) nodes_.Reconnect(pod_uid);
  for (const plan::Action& action : plan.actions) {
    RETURN_IF_ERROR(CheckLeads(under));
    Result<std::optional<Outcome>> refused = TryPod(action);
    if (!refused.ok()) return refused.status();
    if (*refused) return **std::move(refused);
    RETURN_IF_ERROR(CheckLeads(under));
    const Status done = Act(action);
    if (std::optional<Outcome> rejected = RejectionOf(action, done)) return *std::move(rejected);
    RETURN_IF_ERROR(done);
  }
  for (const plan::StatusWrite& write : plan.statuses) {
    RETURN_IF_ERROR(CheckLeads(under));
    RETURN_IF_ERROR(WriteStatus(write));
  }
  Record(plan.events);
  return Outcome{};
}

PlanApplier::Outcome PlanApplier::Rejected(const Json& stateful_set, std::string message, bool waits) const {
  Outcome outcome;
  outcome.next = Next::kRejected;
  outcome.rejected_name = JsonString(JsonAt(stateful_set, "metadata"), "name");
  LOG_WARN("{}: {}", outcome.rejected_name, message);
  outcome.rejection = {manifests::AppliedHash(stateful_set), std::move(message), waits, clock_.Mono() + kRejectedFor};
  return outcome;
}

// What users wrote, and no schema checks, stands in the Pod template.
std::optional<PlanApplier::Outcome> PlanApplier::RejectionOf(const plan::Action& action, const Status& done) const {
  if (done.code() != Code::kInvalid) return std::nullopt;
  const auto* create = std::get_if<plan::CreateObject>(&action);
  const auto* apply = std::get_if<plan::ApplyObject>(&action);
  const Json* object = create != nullptr ? &create->object : apply != nullptr ? &apply->object : nullptr;
  if (object == nullptr || JsonString(*object, "kind") != "StatefulSet") return std::nullopt;
  std::string words = kube::WordsOfAnswer(done.message());
  Cut("StatefulSet.apps \"" + JsonString(JsonAt(*object, "metadata"), "name") + "\" is invalid: ", &words);
  return Rejected(*object, "the API server refuses its StatefulSet: " + words, false);
}

// Objects that it names may be missing, and admission may have rules for Pods, of the cluster or of its users: of
// these a StatefulSet knows nothing.
Result<std::optional<PlanApplier::Outcome>> PlanApplier::TryPod(const plan::Action& action) {
  const auto* apply = std::get_if<plan::ApplyObject>(&action);
  const auto* del = std::get_if<plan::DeleteObject>(&action);
  const auto* attempt = std::get_if<plan::TryPod>(&action);
  const Json* set = apply != nullptr && JsonString(apply->object, "kind") == "StatefulSet" ? &apply->object
                    : del != nullptr && !del->successor.is_null()                          ? &del->successor
                    : attempt != nullptr                                                   ? &attempt->stateful_set
                                                                                           : nullptr;
  if (set == nullptr) return std::optional<Outcome>();
  const Json pod = manifests::PodOf(*set);
  const std::string name = JsonString(JsonAt(pod, "metadata"), "name");
  const Status tried = client_.TryCreate(kube::kPods, pod, Limit());
  if (tried.ok() || tried.code() == Code::kConflict || tried.code() == Code::kNotFound) return std::optional<Outcome>();
  std::string words = kube::WordsOfAnswer(tried.message());
  const auto says = [&words](const char* part) { return words.find(part) != std::string::npos; };
  // The Pod that is there counts as well now, and not when it is replaced.
  const bool forbidden = Cut("pods \"" + name + "\" is forbidden: ", &words) && !says("exceeded quota");
  const bool invalid = Cut("Pod \"" + name + "\" is invalid: ", &words);
  if (forbidden || invalid || says("denied the request") || says("failed calling webhook")) {
    return std::optional(Rejected(*set, "the API server refuses its Pod: " + words, !invalid));
  }
  LOG_WARN("whether the API server would take Pod {} is unknown: {}", name, tried.message());
  // Without an answer nothing healthy is deleted.
  if (del != nullptr && tried.code() == Code::kUnavailable) return tried;
  return std::optional<Outcome>();
}

Status PlanApplier::WriteStatus(const plan::StatusWrite& write) {
  const Json object = {{"apiVersion", write.ref.api_version},
                       {"kind", write.ref.kind},
                       {"metadata", Identity(write.ref)},
                       {"status", write.status}};
  const kube::Resource& resource = ResourceOf(write.ref.kind);
  Result<Json> answer = client_.Apply(resource, object, {.subresource = "status"}, Limit());
  if (!answer.ok()) return answer.status();
  hooks_.written(resource, *answer);
  return {};
}

Status PlanApplier::ReadGroup(const std::string& ns, const std::string& name) {
  Result<Json> answer = client_.Get(kube::kReplicationGroups, ns, name, Limit());
  if (!answer.ok()) return answer.status();
  hooks_.written(kube::kReplicationGroups, *answer);
  return {};
}

Status PlanApplier::Act(const plan::Action& action) {
  const auto patch_metadata = [&](const api::ObjectRef& ref, Json metadata) -> Status {
    const kube::Resource& resource = ResourceOf(ref.kind);
    Result<Json> answer =
        client_.MergePatch(resource, ref.ns, ref.name, {{"metadata", std::move(metadata)}}, "", Limit());
    if (!answer.ok()) return answer.status();
    hooks_.written(resource, *answer);
    return {};
  };
  const auto remove = [&](const api::ObjectRef& ref, int64_t grace_seconds) -> Status {
    const kube::DeleteOptions options = {
        .uid = ref.uid, .resource_version = ref.resource_version, .propagation = "Background", .grace_seconds = grace_seconds};
    return UnlessGone(client_.Delete(ResourceOf(ref.kind), ref.ns, ref.name, options, Limit()).status());
  };
  return std::visit(
      Overloaded{
          [&](const plan::CreateObject& create) -> Status {
            const kube::Resource& resource = ResourceOf(JsonString(create.object, "kind"));
            Result<Json> answer = client_.Create(resource, create.object, Limit());
            if (!answer.ok()) return answer.status();
            hooks_.written(resource, *answer);
            return {};
          },
          [&](const plan::ApplyObject& apply) -> Status {
            const kube::Resource& resource = ResourceOf(JsonString(apply.object, "kind"));
            Result<Json> answer = client_.FirstApply(resource, apply.object, Limit());
            if (!answer.ok()) return answer.status();
            hooks_.written(resource, *answer);
            return {};
          },
          [&](const plan::DeleteObject& del) -> Status { return remove(del.ref, del.grace_seconds); },
          [&](const plan::ForceDeletePod& del) -> Status {
            LOG_INFO("deleting Pod {}/{} ({}) by force: its Node is lost and nothing names its process", del.ref.ns,
                     del.ref.name, del.ref.uid);
            return remove(del.ref, 0);
          },
          [&](const plan::LabelPod& label) -> Status {
            Json labels = Json::object();
            for (const auto& [key, value] : label.labels) labels[key] = value ? Json(*value) : Json();
            return UnlessGone(patch_metadata(label.ref, {{"uid", label.ref.uid}, {"labels", std::move(labels)}}));
          },
          [&](const plan::SetFinalizers& set) -> Status {
            Json metadata = {{"uid", set.ref.uid}, {"finalizers", set.finalizers}};
            if (!set.ref.resource_version.empty()) metadata["resourceVersion"] = set.ref.resource_version;
            const Status status = patch_metadata(set.ref, std::move(metadata));
            if (status.code() != Code::kNotFound) return status;
            return api::HasFinalizer(set.finalizers) ? IsGone(set.ref) : Status();
          },
          [&](const plan::ConfirmExists& confirm) -> Status {
            const api::ObjectRef& ref = confirm.ref;
            const kube::Resource& resource = ResourceOf(ref.kind);
            Result<Json> answer = client_.Get(resource, ref.ns, ref.name, Limit());
            if (answer.status().code() == Code::kNotFound) return IsGone(ref);
            if (!answer.ok()) return answer.status();
            if (JsonString(JsonAt(*answer, "metadata"), "uid") != ref.uid) return IsGone(ref);
            hooks_.written(resource, *answer);
            return {};
          },
          [&](const plan::TryPod&) -> Status { return {}; },  // done before
      },
      action);
}

void PlanApplier::Record(const std::vector<plan::Event>& events) {
  for (const plan::Event& event : events) {
    LOG_INFO("{} {}/{}: {}: {}", event.regarding.kind, event.regarding.ns, event.regarding.name, event.reason,
             event.note);
    events_.Record({.type = event.warning ? kube::EventType::kWarning : kube::EventType::kNormal,
                    .reason = event.reason,
                    .action = event.action,
                    .note = event.note,
                    .regarding = {event.regarding.api_version, event.regarding.kind, event.regarding.ns,
                                  event.regarding.name, event.regarding.uid}});
  }
}

}  // namespace understudy::apply
