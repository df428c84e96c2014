#include "operator/plan/live_parameters.h"

#include <algorithm>
#include <map>
#include <set>

#include "operator/manifests/manifests.h"
#include "operator/plan/observation.h"
#include "operator/plan/pod_template.h"

namespace understudy::plan {
namespace {

constexpr const char* kField = "parameters";
using Values = std::map<std::string, std::string>;

// nullopt: more than a message holds.
std::optional<control::Parameters> WantedOf(const NodeView& view, const PodTemplate& pod_template,
                                            const control::Incarnation& incarnation) {
  constexpr size_t kAround = 32;  // of each in the message
  control::Parameters wanted{.incarnation = incarnation};
  size_t bytes = 1024;
  for (auto& [name, value] : manifests::ArgumentsOf(pod_template.stateful_set)) {
    bytes += name.size() + value.size() + kAround;
    wanted.values.push_back({name, value});
  }
  if (bytes > control::kMaxMessageBytes) return std::nullopt;
  // It suits the memory limit that a new Pod has, and may be too much for the one that this Pod has.
  const auto made = manifests::ParseTemplateValues(view.pod->meta.Annotation(api::kTemplateValuesAnnotation));
  if (!made || made->resources != pod_template.wanted.resources) wanted.hold.push_back("maxmemory");
  return wanted;
}

// Nothing is open. What was pending is applied if it is wanted still: told by the text that was pending.
void Close(const api::PendingModification* said, const Values& wanted, PodTemplate* pod_template) {
  std::string text;
  if (said != nullptr) {
    Values of_it;
    for (const std::string* known : {&said->from, &said->to}) {
      for (const auto& [name, value] : manifests::ParseParameters(*known)) {
        if (const auto it = wanted.find(name); it != wanted.end()) of_it[name] = it->second;
      }
    }
    text = manifests::ParametersText(of_it);
  }
  pod_template->in_force.parameters = pod_template->wanted.parameters = text;
}

void Open(const std::vector<control::OpenParameter>& open, const Values& wanted, const Values& made,
          const api::PendingModification* said, PodTemplate* pod_template) {
  // Another image may know what this one refuses.
  const bool same_image = pod_template->in_force.image == pod_template->wanted.image;
  Values from, to;
  for (const control::OpenParameter& one : open) {
    // Others are the operator's own arguments, which are not among the parameters.
    if (!wanted.contains(one.name) && !made.contains(one.name)) continue;
    if (!one.reason.empty() && same_image) {
      std::string& why = pod_template->live.refused;
      why += (why.empty() ? "" : "; ") + std::string("node.parameters.") + one.name + " is refused: " + one.reason;
      continue;
    }
    if (!one.in_force.empty()) from[one.name] = one.in_force;
    if (const auto it = wanted.find(one.name); it != wanted.end()) to[one.name] = it->second;
  }
  if (from == to) return Close(said, wanted, pod_template);
  pod_template->in_force.parameters = manifests::ParametersText(from);
  pod_template->wanted.parameters = manifests::ParametersText(to);
}

void KeepParameters(const api::PendingModification* said, PodTemplate* pod_template) {
  pod_template->in_force.parameters = said == nullptr ? "" : said->from;
  pod_template->wanted.parameters = said == nullptr ? "" : said->to;
}

// Whether there is still time for it to answer.
bool MayAnswer(const NodeView& view, const control::Parameters& wanted, const SeenProcess& seen) {
  if (seen.memory == nullptr) return true;
  const auto known = seen.memory->parameters.find(view.node.meta.name);
  const bool begun = known != seen.memory->parameters.end() && known->second.incarnation == wanted.incarnation &&
                     known->second.asked == control::ParametersHash(wanted);
  return !begun || seen.now - known->second.asked_at < kUnsettledLimit;
}

}  // namespace

void KeepAsTold(const NodeView& view, PodTemplate* pod_template) {
  if (!pod_template->outdated) return;
  const api::PendingModifications& said = view.node.status.pending_modified_values;
  manifests::TemplateValues& in_force = pod_template->in_force;
  manifests::TemplateValues& wanted = pod_template->wanted;
  const auto keep = [&said](const char* field, const std::string& has, std::string* wants) {
    const api::PendingModification* one = api::FindPending(said, field);
    *wants = one == nullptr ? has : one->to;
  };
  keep("image", in_force.image, &wanted.image);
  keep("resources", in_force.resources, &wanted.resources);
  keep("podTemplate", in_force.rest, &wanted.rest);
  KeepParameters(api::FindPending(said, kField), pod_template);
  pod_template->outdated = in_force != wanted;
}

void JudgeParameters(const NodeView& view, const SeenProcess& seen, PodTemplate* pod_template) {
  PodTemplate& pod = *pod_template;
  const api::PendingModification* said = api::FindPending(view.node.status.pending_modified_values, kField);
  const Values wanted = manifests::ParseParameters(pod.wanted.parameters);
  const Values made = manifests::ParseParameters(pod.in_force.parameters);
  const control::NodeState* words = WordsOf(seen.process);
  if (words != nullptr && !words->parameters.taken.empty()) {
    pod.live.wanted = WantedOf(view, pod, words->incarnation);
    pod.live.taken = pod.live.wanted && words->parameters.taken == control::ParametersHash(*pod.live.wanted);
  }
  if (!pod.outdated) {
    if (std::string why = RefusedConfiguration(view, seen.process); !why.empty()) {
      pod.live.refused = "its process can't be started with its parameters: " + std::move(why);
    }
    return Close(said, wanted, &pod);
  }
  pod.live.asked = pod.live.wanted && !pod.live.taken && MayAnswer(view, *pod.live.wanted, seen);
  if (pod.live.asked) {
    const api::Condition* accepted = view.node.status.conditions.Find(api::kAccepted);
    const bool same_image = pod.in_force.image == pod.wanted.image;
    if (same_image && accepted != nullptr && accepted->reason == api::reason::kInvalidParameterValue) {
      pod.live.refused = accepted->message;
    }
    return KeepAsTold(view, &pod);
  }
  if (pod.live.taken) {
    Open(words->parameters.open, wanted, made, said, &pod);
  } else if (words == nullptr && !CannotRun(view, seen.process)) {
    // Nothing is heard of it for now: no reason to tell anything else of its parameters than before.
    KeepParameters(said, &pod);
  }
  pod.outdated = pod.in_force != pod.wanted;
}

namespace {

// What the user gave it that is in force now. before: as far as it is known.
Values InForce(const control::NodeState& words, Values wanted) {
  for (const control::OpenParameter& one : words.parameters.open) {
    wanted.erase(one.name);
    if (!one.in_force.empty()) wanted[one.name] = one.in_force;
  }
  return wanted;
}

void TellApplied(const NodeView& view, const Values& before, const Values& now, Plan* plan) {
  std::set<std::string> names;
  for (const Values* values : {&before, &now}) {
    for (const auto& [name, value] : *values) names.insert(name);
  }
  std::string note;
  for (const std::string& name : names) {
    const auto from = before.find(name), to = now.find(name);
    if (from != before.end() && to != now.end() && from->second == to->second) continue;
    note += (note.empty() ? "" : ", ") + name + " " + (from == before.end() ? "default" : from->second) + " -> " +
            (to == now.end() ? "default" : to->second);
  }
  if (note.empty()) return;
  plan->events.push_back({view.node.Ref(), false, "ParametersApplied", "Modify",
                          "Applied without a new Pod: " + manifests::Shortened(note)});
}

}  // namespace

void SendParameters(const NodeView& view, const failover::PodView* process, const PodTemplate& pod_template,
                    MonoTime now, Plan* plan) {
  const LiveParameters& live = pod_template.live;
  const control::NodeState* words = WordsOf(process);
  if (words == nullptr || !live.wanted) return;
  TakenParameters& known = plan->memory.parameters[view.node.meta.name];
  if (known.incarnation != words->incarnation) known = {.incarnation = words->incarnation};
  if (live.taken) {
    Values in_force =
        InForce(*words, manifests::ParseParameters(manifests::ValuesOf(pod_template.stateful_set).parameters));
    if (known.in_force) TellApplied(view, *known.in_force, in_force, plan);
    known.in_force = std::move(in_force);
    return;
  }
  const std::string hash = control::ParametersHash(*live.wanted);
  if (known.asked != hash) {
    known.asked = hash;
    known.asked_at = now;
  }
  if (live.asked) plan->wake_at = std::min(plan->wake_at, known.asked_at + kUnsettledLimit);
  // The process is not ahead of what a new one would be started with: that one may be refused.
  const auto& set = view.stateful_set;
  if (!set || set->template_hash != manifests::TemplateHashOf(pod_template.stateful_set)) return;
  if (!known.in_force) {
    const auto made = manifests::ParseTemplateValues(view.pod->meta.Annotation(api::kTemplateValuesAnnotation));
    if (made) known.in_force = InForce(*words, manifests::ParseParameters(made->parameters));
  }
  const MonoTime again = known.sent_at + failover::kResend;
  if (known.sent != hash || now >= again || known.sent_at < process->channel.up_since) {
    plan->parameters.push_back({process->pod_uid, *live.wanted});
    known.sent = hash;
    known.sent_at = now;
  }
  plan->wake_at = std::min(plan->wake_at, known.sent_at + failover::kResend);
}

}  // namespace understudy::plan
