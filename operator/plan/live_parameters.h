// Parameters that a process takes while it runs: an edit of them needs no new Pod and waits for nothing.
//
// Which ones those are is the process's to say. It is sent the arguments that a new Pod would have, whenever what it
// says that it took is something else, and says what of them is open: that waits for a new Pod, or is refused. So
// an operator or a process that was restarted comes out right by comparing, and a steady node is sent nothing. An
// older node says nothing of parameters: then a change of any takes a new Pod. Pure.
#pragma once

#include <optional>
#include <string>

#include "common/control/messages.h"
#include "operator/failover/view.h"
#include "operator/plan/plan.h"

namespace understudy::plan {

struct PodTemplate;

struct LiveParameters {
  // What the process is to have; unset: it has no say.
  std::optional<control::Parameters> wanted;
  bool taken = false;  // it has judged them
  // It can't have these and no new process could: why, a sentence without a full stop. Its Pod is left alone.
  std::string refused;
};

// Narrows `parameters` of the template's values down to what takes a new Pod, and with it `outdated`.
void JudgeParameters(const NodeView& view, const failover::PodView* process, PodTemplate* pod_template);

// Sends what the process has not taken yet, once the StatefulSet has it, and tells once what has come into force.
void SendParameters(const NodeView& view, const failover::PodView* process, const PodTemplate& pod_template,
                    MonoTime now, Plan* plan);

}  // namespace understudy::plan
