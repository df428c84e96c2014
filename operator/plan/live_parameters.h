// Parameters that a process takes while it runs: an edit of them needs no new Pod and waits for nothing.
//
// Which ones those are is the process's to say. It is sent the arguments that a new Pod would have, whenever what it
// says that it took is something else, and says what of them is open: that waits for a new Pod, or is refused. So
// an operator or a process that was restarted comes out right by comparing, and a steady node is sent nothing. An
// older node says nothing of parameters: then a change of any takes a new Pod.
//
// Until it has answered, for kUnsettledLimit at most, nothing is told or done otherwise than before the edit: the
// answer may be that no Pod has to go, or that none with these parameters could start. Pure.
#pragma once

#include <optional>
#include <string>

#include "common/control/messages.h"
#include "operator/failover/view.h"
#include "operator/plan/plan.h"

namespace understudy::plan {

struct PodTemplate;

struct SeenProcess {
  const failover::PodView* process = nullptr;  // nullptr: there is none
  const Memory* memory = nullptr;              // of the key that plans for the node; nullptr: nothing is remembered
  MonoTime now;
};

struct LiveParameters {
  // What the process is to have; unset: it has no say.
  std::optional<control::Parameters> wanted;
  bool taken = false;  // it has judged them
  bool asked = false;  // it has not yet, and its answer decides whether the Pod is outdated and in what
  // It can't have these and no new process could: why, a sentence without a full stop. Its Pod is left alone.
  std::string refused;
};

// Narrows `parameters` of the template's values down to what takes a new Pod, and with it `outdated`.
void JudgeParameters(const NodeView& view, const SeenProcess& seen, PodTemplate* pod_template);

// Makes of an outdated Pod's template what the node's status tells of it, while an answer is awaited.
void KeepAsTold(const NodeView& view, PodTemplate* pod_template);

// Sends what the process has not taken yet, once the StatefulSet has it, and tells once what has come into force.
void SendParameters(const NodeView& view, const failover::PodView* process, const PodTemplate& pod_template,
                    MonoTime now, Plan* plan);

}  // namespace understudy::plan
