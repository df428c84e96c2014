#include "operator/plan/observation.h"

#include <array>

#include "common/exit_code.h"

namespace understudy::plan {

failover::PodView PodViewOf(const api::Pod& pod, const std::string& member, const api::Node* host,
                            bool host_gone) {
  failover::PodView view;
  view.member = member;
  view.pod_uid = pod.meta.uid;
  view.address = pod.ip;
  view.node_name = pod.node_name;
  view.zone = host == nullptr ? "" : host->zone;
  view.ever_started = pod.running || pod.terminated || pod.last_terminated;
  view.running = pod.running;
  for (const auto& ended : {pod.terminated, pod.last_terminated}) {
    if (ended && !ended->message.empty()) view.terminated.push_back(ended->message);
  }
  if (pod.meta.deleted) view.deletion_timestamp = *pod.meta.deleted;
  view.node_lost = host_gone || (host != nullptr && !host->ready);
  return view;
}

bool NeedsPlan(const control::NodeState& before, const control::NodeState& after) {
  const auto without_counters = [](control::NodeState state) {
    state.offset = 0;
    state.keys = state.keys == 0 ? 0 : 1;
    state.link_silent_ms = 0;
    state.lease_left_ms = 0;
    state.last_granted_ms_ago = 0;
    for (control::ReplicaAck& ack : state.acks) {
      ack.offset = 0;
      ack.silent_ms = 0;
    }
    return state;
  };
  return without_counters(before) != without_counters(after);
}

const failover::PodView* ProcessOf(const GroupView& view, const NodeView& node) {
  if (!node.pod) return nullptr;
  for (const failover::PodView& pod : view.failover.pods) {
    if (pod.pod_uid == node.pod->meta.uid) return &pod;
  }
  return nullptr;
}

const control::NodeState* WordsOf(const failover::PodView* process) {
  if (process == nullptr || !process->channel.up || !process->heard) return nullptr;
  return &process->heard->state;
}

namespace {

// What a process that ended before it had an incarnation left behind: the last line of its output, which the
// kubelet hands on (terminationMessagePolicy FallbackToLogsOnError).
struct LastWords {
  int exit_code = 0;
  std::string line;
};
// nullopt: no process of the Pod has ended like that, or another one has been heard since.
std::optional<LastWords> LastWordsOf(const api::Pod& pod, const failover::PodView* process) {
  constexpr size_t kLongest = 400;
  constexpr size_t kIncarnation = 32;
  const std::optional<api::Termination>& ended = pod.terminated ? pod.terminated : pod.last_terminated;
  if (WordsOf(process) != nullptr || !ended || ended->exit_code == 0) return std::nullopt;
  std::string text = ended->message;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  if (text.size() == kIncarnation && text.find_first_not_of("0123456789abcdef") == std::string::npos) return std::nullopt;
  if (const size_t line = text.rfind('\n'); line != std::string::npos) text.erase(0, line + 1);
  if (text.size() > kLongest) text.resize(kLongest);
  return LastWords{ended->exit_code, std::move(text)};
}

// From then on what does not come up is worth a word.
constexpr Duration kPatience = Seconds(10);

// The kubelet sees nothing wrong with it yet.
bool IsComingUp(const api::Pod& pod) {
  return pod.waiting_reason == "ContainerCreating" || pod.waiting_reason == "PodInitializing";
}

// Since when its Pod, or then its container, is expected; nullopt: it is not, or somebody says what is wrong.
std::optional<WallTime> WaitsSince(const NodeView& node) {
  if (!node.pod && node.stateful_set) {
    // When the Pod before it went is not on record, but that it was missed.
    const api::Condition* ready = node.node.status.conditions.Find(api::kReady);
    if (ready == nullptr || ready->status != api::Truth::kFalse) return std::nullopt;
    return std::max(node.stateful_set->meta.created, ready->last_transition);
  }
  if (!node.pod || !IsComingUp(*node.pod) || node.pod->accepted_at.unix_ms == 0) return std::nullopt;
  return node.pod->accepted_at;
}

bool LastsSince(const std::optional<WallTime>& since, WallTime wall) {
  return since && wall.unix_ms >= since->unix_ms + kPatience.ms();
}

std::string Describe(const char* kind, const api::ObjectMeta& meta) {
  return std::string("kubectl describe ") + kind + " " + meta.name + " -n " + meta.ns;
}

}  // namespace

bool NeverRan(const api::Pod& pod, const failover::PodView* process) {
  const bool said = !pod.waiting_reason.empty() && !pod.terminated && !pod.last_terminated && pod.restarts == 0;
  return said && !pod.running && (process == nullptr || !process->heard);
}

std::optional<WallTime> MoreIsSaidAt(const NodeView& node, WallTime wall) {
  const std::optional<WallTime> since = WaitsSince(node);
  if (!since || LastsSince(since, wall)) return std::nullopt;
  return WallTime{since->unix_ms + kPatience.ms()};
}

bool LacksPod(const NodeView& node, WallTime wall) {
  return !node.pod && LastsSince(WaitsSince(node), wall);
}

std::optional<Fault> FaultOf(const NodeView& node, const failover::PodView* process, WallTime wall) {
  const std::optional<WallTime> since = WaitsSince(node);
  const bool lasts = LastsSince(since, wall);
  if (!node.pod) {
    if (!node.stateful_set) return std::nullopt;
    if (!lasts) return Fault{api::reason::kCreating, "its Pod is being created"};
    return Fault{api::reason::kCreating, "it has no Pod since " + FormatRfc3339(*since) +
                                             ": Kubernetes makes none for its StatefulSet, whose events say why: " +
                                             Describe("statefulset", node.stateful_set->meta)};
  }
  const api::Pod& pod = *node.pod;
  if (pod.unschedulable) {
    return Fault{api::reason::kUnschedulable, "no Node takes its Pod: " + pod.scheduler_message};
  }
  if (const auto last = LastWordsOf(pod, process)) {
    return Fault{api::reason::kContainerFailing, "its process ends at once with exit code " +
                                                     std::to_string(last->exit_code) +
                                                     (last->line.empty() ? "" : ": " + last->line)};
  }
  if (!pod.waiting_reason.empty() && !IsComingUp(pod)) {
    std::string message = "the kubelet says " + pod.waiting_reason;
    if (!pod.waiting_message.empty()) message += ": " + pod.waiting_message;
    return Fault{api::reason::kContainerFailing, std::move(message)};
  }
  if (pod.phase == "Failed") {
    return Fault{api::reason::kContainerFailing, "its Pod has failed and is being replaced"};
  }
  if (process != nullptr && process->node_lost) {
    return Fault{api::reason::kUnreachable, "Kubernetes Node " + pod.node_name + " is not ready"};
  }
  if (lasts) {
    return Fault{api::reason::kCreating, "its container has been in " + pod.waiting_reason + " since " +
                                             FormatRfc3339(*since) + "; the events say why: " +
                                             Describe("pod", pod.meta)};
  }
  // Until it was heard once, a process that does not answer is one that starts.
  if (pod.running && process != nullptr && process->heard && WordsOf(process) == nullptr) {
    return Fault{api::reason::kUnreachable, "its container is said to run, but its process does not answer the operator"};
  }
  return std::nullopt;
}

std::string RefusedConfiguration(const NodeView& node, const failover::PodView* process) {
  if (!node.pod) return "";
  const auto last = LastWordsOf(*node.pod, process);
  if (!last || last->exit_code != kBadConfigurationExit) return "";
  const std::string_view line = last->line, prefix = kNodePrefix;
  return std::string(line.starts_with(prefix) ? line.substr(prefix.size()) : line);
}

bool FellSilent(const NodeView& node, const failover::PodView* process) {
  return node.node.status.phase == "available" && node.pod && node.pod->running && WordsOf(process) == nullptr;
}

std::string ZoneOf(const NodeView& node, const std::map<std::string, api::Node>& hosts) {
  if (!node.pod) return "";
  const auto it = hosts.find(node.pod->node_name);
  return it == hosts.end() ? "" : it->second.zone;
}

std::string LagText(uint64_t bytes) {
  if (bytes == 0) return "0B";
  static constexpr std::array<const char*, 5> kUnits = {"B", "kB", "MB", "GB", "TB"};
  uint64_t power = 1;
  int exponent = 0;
  while (power < bytes && exponent < 14) {
    power *= 10;
    ++exponent;
  }
  static constexpr std::array<const char*, 3> kLeading = {"1", "10", "100"};
  return std::string(kLeading[static_cast<size_t>(exponent % 3)]) + kUnits[static_cast<size_t>(exponent / 3)];
}

}  // namespace understudy::plan
