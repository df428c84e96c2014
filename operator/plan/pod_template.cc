#include "operator/plan/pod_template.h"

#include <algorithm>

#include "operator/plan/observation.h"

namespace understudy::plan {

PodTemplate PodTemplateOf(const NodeView& view, const SeenProcess& seen, Json stateful_set, bool alone) {
  PodTemplate result;
  result.wanted = result.in_force = manifests::ValuesOf(stateful_set);
  const std::string hash = manifests::TemplateHashOf(stateful_set);
  result.stateful_set = std::move(stateful_set);
  const auto& set = view.stateful_set;
  result.ready = set && set->meta.OwnerUid() == view.node.meta.uid && !set->meta.deleted &&
                 set->template_hash == hash && set->observed_generation >= set->meta.generation;
  // Somebody took the annotation off: nothing is known, so nothing is replaced.
  if (!view.pod || view.pod->template_hash.empty() || view.pod->template_hash == hash) {
    JudgeParameters(view, seen, &result);
    return result;
  }
  result.outdated = !alone || view.pod->meta.Annotation(api::kTemplateAloneAnnotation) != hash;
  const auto values = manifests::ParseTemplateValues(view.pod->meta.Annotation(api::kTemplateValuesAnnotation));
  if (values) {
    result.in_force = *values;
  } else {
    result.in_force.image = view.pod->image;
  }
  if (!result.outdated) {
    result.wanted = result.in_force;
  } else if (result.in_force == result.wanted) {
    result.same_values = true;
    result.in_force.rest = view.pod->template_hash;
    result.wanted.rest = hash;
  }
  if (result.outdated) JudgeParameters(view, seen, &result);
  return result;
}

bool CannotRun(const NodeView& view, const failover::PodView* process) {
  if (!view.pod || view.pod->running || WordsOf(process) != nullptr) return false;
  if (NeverRan(*view.pod, process)) return true;
  const auto fault = FaultOf(view, process, {});
  return fault && (fault->reason == api::reason::kUnschedulable || fault->reason == api::reason::kContainerFailing);
}

bool NothingRuns(const NodeView& view, const failover::PodView* process,
                 const std::vector<control::Incarnation>& named) {
  if (process == nullptr || !CannotRun(view, process)) return false;
  return std::all_of(named.begin(), named.end(), [&](const control::Incarnation& one) {
    return std::find(process->terminated.begin(), process->terminated.end(), one) != process->terminated.end();
  });
}

namespace {

// What is there is to be kept from a template with this hash, in case that no Node takes its Pod.
bool IsWorthKeeping(const NodeView& view, const failover::PodView* process, const std::string& hash, WallTime wall) {
  const auto& pod = view.pod;
  const auto& set = view.stateful_set;
  // What an older object of its name left is taken over or removed first.
  if (!set || set->meta.OwnerUid() != view.node.meta.uid) return false;
  if (pod && (pod->template_hash.empty() || pod->template_hash == hash)) return false;
  if (pod && pod->running) return true;
  // Between two Pods of the template that it had, so that a drain does not bring in the one that was refused.
  if (!IsHeldBack(view.node.status) || set->template_hash == hash) return false;
  if (!pod) return !LacksPod(view, wall);
  if (pod->meta.deleted || pod->phase == "Failed") return true;
  const auto fault = FaultOf(view, process, {});
  return !fault || (fault->reason != api::reason::kUnschedulable && fault->reason != api::reason::kContainerFailing);
}

}  // namespace

std::optional<Placement> JudgePlacement(const NodeView& view, const failover::PodView* process, const Json& stateful_set,
                                        const Fleet* fleet, const Memory& memory, WallTime wall) {
  const std::string hash = manifests::TemplateHashOf(stateful_set);
  if (fleet == nullptr || !IsWorthKeeping(view, process, hash, wall)) return std::nullopt;
  const auto known = memory.placements.find(view.node.meta.name);
  if (known != memory.placements.end() && known->second.template_hash == hash &&
      known->second.fleet_version == fleet->version) {
    return known->second;
  }
  return Placement{hash, fleet->version, WhyNoNodeTakes(stateful_set, view.node.spec.availability_zone, *fleet)};
}

Status PlacementStatus(const std::optional<Placement>& placement) {
  return placement && !placement->why_not.empty() ? NotFound(placement->why_not) : Status();
}

bool HasOrGetsPod(const NodeView& view, WallTime wall) {
  if (view.pod) return true;
  return view.stateful_set && view.stateful_set->meta.OwnerUid() == view.node.meta.uid && !LacksPod(view, wall);
}

bool AskForReplacement(const PodTemplate& pod_template, const DeferrableStep& step, Deferral* deferral) {
  bool due = false;
  const auto ask = [&](const char* field, const std::string& from, const std::string& to) {
    DeferrableStep one = step;
    one.field = field;
    one.from = manifests::Shortened(from);
    one.to = manifests::Shortened(to);
    due = deferral->Due(one) || due;
  };
  const manifests::TemplateValues& from = pod_template.in_force;
  const manifests::TemplateValues& to = pod_template.wanted;
  ask("image", from.image, to.image);
  ask("parameters", from.parameters, to.parameters);
  ask("resources", from.resources, to.resources);
  ask("podTemplate", from.rest, to.rest);
  return due;
}

bool NobodyAsked(const PodTemplate& pod_template, const api::NodeSettings& settings) {
  const manifests::TemplateValues& from = pod_template.in_force;
  const manifests::TemplateValues& to = pod_template.wanted;
  if (from.parameters != to.parameters || from.resources != to.resources) return false;
  return pod_template.same_values || (from.rest == to.rest && !settings.image);
}

bool Announced(const api::CacheNodeStatus& status, const Deferral& deferral) {
  const api::PendingModifications& said = status.pending_modified_values;
  const auto& entries = deferral.entries();
  return std::all_of(entries.begin(), entries.end(), [&](const Deferral::Entry& entry) {
    return entry.value.reason != api::reason::kApplyingModifications ||
           std::find(said.begin(), said.end(), entry.value) != said.end();
  });
}

void TryMissingPod(const NodeView& view, const PodTemplate& pod_template, MonoTime now, WallTime wall, Plan* plan) {
  constexpr Duration kAgain = Seconds(30);
  const std::string& name = view.node.meta.name;
  if (!LacksPod(view, wall) || !pod_template.ready) {
    plan->memory.tried.erase(name);
    return;
  }
  const auto last = plan->memory.tried.find(name);
  if (last == plan->memory.tried.end() || now >= last->second + kAgain) {
    Json set = pod_template.stateful_set;
    set["metadata"]["uid"] = view.stateful_set->meta.uid;
    plan->actions.push_back(TryPod{std::move(set)});
    plan->memory.tried[name] = now;
  }
  plan->wake_at = std::min(plan->wake_at, plan->memory.tried[name] + kAgain);
}

void ReplacePod(const NodeView& view, const PodTemplate& pod_template, std::vector<Action>* actions) {
  const api::ObjectMeta& meta = view.pod->meta;
  if (meta.deleted) return;
  Json successor = pod_template.stateful_set;
  successor["metadata"]["uid"] = view.stateful_set->meta.uid;
  actions->push_back(
      DeleteObject{{"v1", "Pod", meta.ns, meta.name, meta.uid, meta.resource_version}, -1, std::move(successor)});
}

}  // namespace understudy::plan
