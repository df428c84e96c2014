// A node's Pod against the one that would be made now: what differs, whether anything runs in it, and the
// question whether it may be replaced.
//
// StatefulSets are OnDelete and always have the wanted template, so a Pod takes it whenever it is made anew,
// for whatever reason; a Pod of another template is a pending modification, but for the parameters that its process
// has taken while it runs (live_parameters.h). Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/json.h"
#include "operator/failover/view.h"
#include "operator/manifests/manifests.h"
#include "operator/plan/deferral.h"
#include "operator/plan/live_parameters.h"
#include "operator/plan/plan.h"

namespace understudy::plan {

struct PodTemplate {
  Json stateful_set;                   // as it should be
  manifests::TemplateValues wanted;
  manifests::TemplateValues in_force;  // of the Pod; what is wanted while there is none
  bool outdated = false;               // a new Pod would be another one
  bool same_values = false;            // though from the same values: another operator builds it otherwise
  // A new Pod would have the wanted template: the StatefulSet has it and its controller has seen it.
  bool ready = false;
  LiveParameters live;
};
// alone: the node stands alone. What its former group's settings gave to its Pod is no reason to replace it, which
// would cost its data: it is outdated when its own settings have changed since.
PodTemplate PodTemplateOf(const NodeView& view, const SeenProcess& seen, Json stateful_set, bool alone = false);

// No process ever was in the Pod, or the Pod is broken and no process in it says anything.
bool CannotRun(const NodeView& view, const failover::PodView* process);
// CannotRun, and its process has ended or never was: to make it anew disturbs nobody. `named`: processes
// that the group counts on; their end must stay proven when the Pod is gone (FAILOVER.md section 4).
bool NothingRuns(const NodeView& view, const failover::PodView* process,
                 const std::vector<control::Incarnation>& named);

// Asks for the replacement of the Pod, once for each field that differs: fields and values as users see them.
// step: needed, cost and harmless of it. True: due.
bool AskForReplacement(const PodTemplate& pod_template, const DeferrableStep& step, Deferral* deferral);
// The fields that AskForReplacement may record.
inline constexpr const char* kTemplateFields[] = {"image", "parameters", "resources", "podTemplate"};

// Only a new version of the operator makes the Pod outdated: its default image, or how it builds Pods. No
// reason to lose data. settings: in force for the node.
bool NobodyAsked(const PodTemplate& pod_template, const api::NodeSettings& settings);
inline constexpr const char* kNobodyAskedWords =
    "would cost the data and was not asked for, as only the operator is another one: add a ReadReplica, or set image";

inline constexpr const char* kRefusedWords = "waits until the parameters that its process refuses are corrected";

// Whether a Node takes the Pod that would come with `stateful_set`, where one goes on as it is if none does: one that
// runs, or that the StatefulSet makes anew while the node is held back for that reason. nullopt: nothing is to be kept,
// so that a Pod may wait for a Node, which a cluster autoscaler needs, or nothing is known of Nodes.
std::optional<Placement> JudgePlacement(const NodeView& view, const failover::PodView* process, const Json& stateful_set,
                                        const Fleet* fleet, const Memory& memory, WallTime wall);
// OK, or why the node is held back, for RefusalReason (objects.h).
Status PlacementStatus(const std::optional<Placement>& placement);

// It has a Pod, or is given one whatever is refused now: its StatefulSet makes it.
bool HasOrGetsPod(const NodeView& view, WallTime wall);

// Whether the status says already that these modifications are being applied: it is written first, so that
// the reason of what follows outlives this operator, and nothing is told twice.
bool Announced(const api::CacheNodeStatus& status, const Deferral& deferral);

// A Pod that is missing for long (LacksPod): whether the API server refuses it, now and then.
void TryMissingPod(const NodeView& view, const PodTemplate& pod_template, MonoTime now, WallTime wall, Plan* plan);

// Deletes the Pod with its own grace, if it is still as it was seen (its role label would show a change of
// roles that this operator does not know of); the StatefulSet, which is there, makes the new one.
void ReplacePod(const NodeView& view, const PodTemplate& pod_template, std::vector<Action>* actions);

}  // namespace understudy::plan
