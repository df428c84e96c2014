// PlanLone: a node that no group answers for.
//
// It stands alone (a CacheCluster without a group, the heir of a deleted one, one that a group refused), or
// waits for its group, or is what a deleted group left: data that stays as it is, read-only.
//
// Standing alone has an epoch of its own, in the node's status. For each new process: {epoch + 1, its
// incarnation, dataset} is persisted, then the role order is sent until the node says that it has the role.
//
// A Promote ends here (promote_demote.h): the status says already that the node is independent; the order makes it
// so. If that can't be, because its process ended or lost its data set, it goes back to its group. A Demote waits
// here until the group accepts it.
#include <algorithm>

#include "operator/manifests/manifests.h"
#include "operator/plan/membership.h"
#include "operator/plan/objects.h"
#include "operator/plan/observation.h"
#include "operator/plan/pending_status.h"
#include "operator/plan/pod_template.h"
#include "operator/plan/promote_demote.h"
#include "operator/plan/status.h"

namespace understudy::plan {
namespace {

using api::Truth;
namespace reason = api::reason;

enum class Situation { kStandsAlone, kWaits, kLeft };

struct Lone {
  const LoneView& view;
  const api::CacheNode& node;
  MonoTime now;
  WallTime wall;
  const control::NodeState* words = nullptr;
  Situation situation = Situation::kStandsAlone;
  bool accepted = true;
  bool waits = false;
  bool can_run = true;
  std::string_view accepted_reason = reason::kAccepted;
  std::string accepted_message;
  Deferral deferral;
  std::optional<PodTemplate> pod_template;
  // Why it waits, or what it is.
  std::string_view why = reason::kCreating;
  std::string message;
};

void Refuse(Lone* lone, std::string_view why, std::string message) {
  lone->accepted = false;
  lone->accepted_reason = why;
  lone->accepted_message = std::move(message);
}

bool HasRole(const Lone& lone) {
  return lone.words != nullptr && lone.words->group == lone.node.meta.uid &&
         lone.words->role == control::Role::kStandalone && StandsAlone(lone.node) &&
         lone.words->incarnation == lone.node.status.incarnation;
}

// It was a member, its status says that it stands alone, and it has not said so itself yet.
bool LeavesAsReplica(const Lone& lone) {
  return StandsAlone(lone.node) && lone.node.status.role == "replica" && !HasRole(lone);
}

// A process without a past: what the one before it had is gone.
bool IsBlank(const Lone& lone) {
  return lone.words != nullptr && lone.words->group.empty() && lone.words->role == control::Role::kUnassigned;
}

// What a deleted group left: neither new nor at anybody's service until it is promoted or its group is back.
const char* PhaseOfLeft(const Lone& lone) {
  const bool data = lone.words == nullptr ? lone.node.status.phase != "creating" : lone.words->complete;
  return data ? "modifying" : "creating";
}

// Independent, and replicationGroupId asks for a Demote: why it has not begun. The group itself accepts it.
void JudgeDemote(Lone* lone) {
  const api::CacheNode& node = lone->node;
  const std::string& named = node.spec.replication_group_id;
  if (!lone->view.named_group) {
    Refuse(lone, reason::kReplicationGroupNotFound,
           "replication group " + named + " does not exist; " + node.meta.name + " goes on as it is until it does");
    lone->waits = true;
    return;
  }
  const Permission permission = BeginDemote(node, lone->words, *lone->view.named_group);
  const bool due = AskForDemote(node, lone->view.named_group->object, permission, lone->wall, &lone->deferral);
  lone->accepted = !permission.refused;
  lone->waits = permission.waits;
  lone->accepted_reason = permission.reason;
  lone->accepted_message = permission.message;
  if (permission.given && !due) lone->accepted_message += InWindow(lone->deferral, kDemoteField);
}

void Classify(Lone* lone) {
  const api::CacheNode& node = lone->node;
  const std::string& named = node.spec.replication_group_id;
  const std::string& promoted = node.spec.promoted_from;
  const bool deleting = lone->view.named_group && lone->view.named_group->object.meta.deleted;
  if (StandsAlone(node)) {
    lone->situation = Situation::kStandsAlone;
    if (!named.empty()) {
      JudgeDemote(lone);
    } else if (LeavesAsReplica(*lone) && !promoted.empty()) {
      lone->accepted_reason = reason::kPromoting;
      lone->accepted_message = "leaves replication group " + promoted + " with its data";
    }
    return;
  }
  if (!node.status.group_uid.empty()) {
    const std::string& group = node.status.replication_group_id;
    lone->situation = Situation::kLeft;
    lone->why = reason::kReplicationGroupNotFound;
    lone->message = "replication group " + group + " is gone; the node " +
                    (IsBlank(*lone) ? "has no data, as its process has ended, and waits"
                                    : "keeps its data, read-only,") +
                    " until it is promoted (promotedFrom: " + group + "), deleted, or the group is back";
    return;
  }
  if (!named.empty() || (promoted.empty() && node.kind == api::NodeKind::kReadReplica)) {
    lone->situation = Situation::kWaits;
    lone->why = reason::kReplicationGroupNotFound;
    lone->message = named.empty() ? "set replicationGroupId to the group that the ReadReplica is to belong to"
                    : deleting    ? "replication group " + named + " is being deleted"
                                  : "waiting for replication group " + named;
  }
}

// What began in its group, or is no longer asked for.
void AskForVerbs(Lone* lone) {
  DeferrableStep promote{kPromoteField, "", "", {}};
  const auto* said = api::FindPending(lone->node.status.pending_modified_values, kPromoteField);
  if (LeavesAsReplica(*lone) && said != nullptr) {
    promote.from = said->from;
    promote.begun = true;
  }
  lone->deferral.Due(promote);
  if (lone->deferral.InForce(kDemoteField) == nullptr) lone->deferral.Due({kDemoteField, "", "", {}});
}

void Judge(Lone* lone) {
  Classify(lone);
  AskForVerbs(lone);
  if (const std::string conflict = NodeNameConflict(lone->view.node, lone->view.claims); !conflict.empty()) {
    Refuse(lone, reason::kNameConflict, conflict);
    lone->can_run = false;
  }
}

// The node is a member of the group after all: its process is, or was when it ended.
std::optional<StatusWrite> ReturnToGroup(const Lone& lone, Plan* plan) {
  const control::NodeState& words = *lone.words;
  const api::CacheNode& node = lone.node;
  const auto& group = lone.view.named_group;
  if (!group || group->object.meta.deleted || !failover::Started(group->state)) return std::nullopt;
  const std::string& uid = group->object.meta.uid;
  const std::string& name = group->object.meta.name;
  bool returns = false;
  if (!StandsAlone(node)) {
    returns = words.group == uid;  // its status never said so
  } else if (LeavesAsReplica(lone) && words.incarnation == node.status.incarnation) {
    // The wish was taken back in time, or there is nothing whole to leave with.
    returns = words.group == uid && (node.spec.replication_group_id == name ||
                                     (node.spec.promoted_from == name && !words.complete));
  } else if (LeavesAsReplica(lone)) {
    // Its process ended before it stood alone. What it was to leave with is still in the group.
    returns = node.spec.promoted_from == name && words.group.empty() && words.role == control::Role::kUnassigned;
  }
  if (!returns) return std::nullopt;
  api::CacheNodeStatus status = node.status;
  status.epoch = 0;
  status.incarnation.clear();
  status.moving_to.clear();
  status.dataset = words.dataset;
  status.group_uid = uid;
  status.replication_group_id = name;
  if (StandsAlone(node)) {
    plan->events.push_back({node.Ref(), false, "PromoteStopped", "Promote",
                            node.meta.name + " goes on as a member of replication group " + name +
                                ": it did not come to stand alone"});
  }
  return StatusWrite{node.Ref(), api::CacheNodeStatusJson(status)};
}

// An order to join was on its way when the status was taken back: the process has left its life alone.
std::optional<StatusWrite> FollowProcess(const Lone& lone) {
  const control::NodeState& words = *lone.words;
  const bool left = StandsAlone(lone.node) && lone.node.status.role == "standalone" &&
                    words.incarnation == lone.node.status.incarnation && !words.group.empty() &&
                    words.group != lone.node.meta.uid;
  if (!left) return std::nullopt;
  api::CacheNodeStatus status = lone.node.status;
  status.epoch = 0;
  status.incarnation.clear();
  status.moving_to.clear();
  status.dataset = words.dataset;
  status.group_uid = words.group;
  status.role = "replica";  // what it leaves as, should it be promoted
  return StatusWrite{lone.node.Ref(), api::CacheNodeStatusJson(status)};
}

// Promote of what a deleted group left: there is nobody to be in sync with.
std::optional<StatusWrite> PromoteLeft(const Lone& lone, Plan* plan) {
  const control::NodeState& words = *lone.words;
  const api::CacheNode& node = lone.node;
  if (lone.situation != Situation::kLeft || !node.spec.replication_group_id.empty() ||
      node.spec.promoted_from != node.status.replication_group_id || words.terminating) {
    return std::nullopt;
  }
  const bool blank = IsBlank(lone);
  if (!blank && (words.group != node.status.group_uid || !words.complete)) return std::nullopt;
  api::CacheNodeStatus status = node.status;
  status.epoch = 1;
  status.incarnation = words.incarnation;
  // The primary of a group that vanished keeps its data set's id, as an heir does.
  status.dataset = words.role == control::Role::kPrimary ? words.dataset : lone.view.fresh_dataset;
  status.group_uid.clear();
  if (status.role != "primary") status.role = "replica";  // it leaves as one (LeavesAsReplica)
  status.phase = "modifying";
  plan->events.push_back({node.Ref(), false, "PromoteStarted", "Promote",
                          "Promoting " + node.meta.name + ", which replication group " +
                              node.spec.promoted_from + " left behind"});
  if (blank) {
    plan->events.push_back({node.Ref(), true, "DataLost", "Promote",
                            "the process of " + node.meta.name + " has ended and its data with it; it starts empty"});
  }
  return StatusWrite{node.Ref(), api::CacheNodeStatusJson(status)};
}

// The process that the status knows, or a new one: what has to be written before it gets an order.
std::optional<StatusWrite> NewLife(const Lone& lone, Plan* plan) {
  const control::NodeState& words = *lone.words;
  api::CacheNodeStatus status = lone.node.status;
  const bool known = StandsAlone(lone.node) && status.incarnation == words.incarnation;
  if (known || words.terminating) return std::nullopt;
  if (words.group == lone.node.meta.uid && words.role == control::Role::kStandalone) {
    // The status was lost, the node was not.
    status.epoch = static_cast<int64_t>(words.epoch);
    status.dataset = words.dataset;
  } else if (IsBlank(lone)) {
    if (!status.dataset.empty()) {
      plan->events.push_back({lone.node.Ref(), true, "DataLost", "StandAlone",
                              "the process of " + lone.node.meta.name + " has ended and its data with it; "
                              "it starts empty"});
    }
    status.epoch += 1;
    status.dataset = lone.view.fresh_dataset;
    status.moving_to.clear();
  } else {
    return std::nullopt;  // it belongs to a group that this object does not know: it is left alone
  }
  status.incarnation = words.incarnation;
  status.group_uid.clear();
  return StatusWrite{lone.node.Ref(), api::CacheNodeStatusJson(status)};
}

void SendOrder(const Lone& lone, Plan* plan) {
  const control::NodeState& words = *lone.words;
  if (!StandsAlone(lone.node) || words.incarnation != lone.node.status.incarnation || HasRole(lone)) return;
  const std::string key = words.incarnation + "/" + std::to_string(lone.node.status.epoch);
  const MonoTime again = lone.view.memory.order_sent + failover::kResend;
  const MonoTime channel_since = lone.view.process->channel.up_since;
  if (lone.view.memory.order_sent_to == key && lone.now < again && lone.view.memory.order_sent >= channel_since) {
    plan->wake_at = std::min(plan->wake_at, again);
    return;
  }
  failover::OutgoingOrder out;
  out.pod_uid = lone.view.process->pod_uid;
  out.order.kind = control::OrderKind::kRole;
  out.order.group = lone.node.meta.uid;
  out.order.epoch = static_cast<uint64_t>(lone.node.status.epoch);
  out.order.incarnation = words.incarnation;
  out.order.role = control::Role::kStandalone;
  out.order.configuration.epoch = out.order.epoch;
  out.order.configuration.number = out.order.epoch;
  out.order.fresh_dataset = lone.node.status.dataset;
  // Promoted with its data or not at all: then it goes back.
  out.order.promotion = LeavesAsReplica(lone) && !lone.node.spec.promoted_from.empty() && !words.group.empty();
  if (!words.group.empty() && words.group != lone.node.meta.uid) {
    out.order.leaves_group = words.group;
    out.order.leaves_epoch = words.epoch;
  }
  plan->orders.push_back(std::move(out));
  plan->memory.order_sent_to = key;
  plan->memory.order_sent = lone.now;
  plan->wake_at = std::min(plan->wake_at, lone.now + failover::kResend);
}

// The heir of a group whose deletion runs: if its process ended before it stood alone, the group decides.
bool GroupDecides(const Lone& lone) {
  const auto& group = lone.view.named_group;
  if (!group || !group->object.status.heir || group->object.status.heir->name != lone.node.meta.name) return false;
  return !HasRole(lone) && lone.words != nullptr && lone.words->incarnation != lone.node.status.incarnation;
}

// The heir of a deleted group, whose process is still the primary of that group: it would wait for a hand-over that
// nobody is left to arrange.
bool IsHeirInOffice(const LoneView& view) {
  const control::NodeState* words = WordsOf(view.process ? &*view.process : nullptr);
  return StandsAlone(view.node.node) && words != nullptr && words->role == control::Role::kPrimary;
}

// Nobody else has its data: replacing its Pod costs it, and waits until it is due.
void ReplaceOutdated(Lone* lone, Plan* plan) {
  const auto* process = lone->view.process ? &*lone->view.process : nullptr;
  DeferrableStep step;
  step.needed = kRestartNeeds;
  // The end of its process needs no proof: the next one starts under a new epoch, empty.
  step.harmless = lone->pod_template->outdated && NothingRuns(lone->view.node, process, {});
  if (!step.harmless) step.cost = lone->node.meta.name + " has no replica, so its data is lost when its Pod is replaced";
  if (!AskForReplacement(*lone->pod_template, step, &lone->deferral)) return;
  const bool refused = !lone->pod_template->live.refused.empty();
  if (!step.harmless && (refused || NobodyAsked(*lone->pod_template, lone->node.spec.node))) {
    for (const char* field : kTemplateFields) {
      lone->deferral.Hold(field, reason::kWaitingForMembers, refused ? kRefusedWords : kNobodyAskedWords);
    }
    return;
  }
  if (lone->pod_template->live.asked) return;
  if (lone->pod_template->ready && Announced(lone->node.status, lone->deferral)) {
    ReplacePod(lone->view.node, *lone->pod_template, &plan->actions);
  }
}

Status Place(const Lone& lone, const failover::PodView* process, const Json& stateful_set, Plan* plan) {
  const LoneView& view = lone.view;
  const auto placement = JudgePlacement(view.node, process, stateful_set, view.fleet.get(), view.memory, lone.wall);
  plan->memory.placements.clear();
  if (placement) plan->memory.placements[lone.node.meta.name] = *placement;
  return PlacementStatus(placement);
}

void EnsureObjects(Lone* lone, Plan* plan) {
  NodeObjects objects;
  objects.view = &lone->view.node;
  objects.settings = lone->node.spec.node;
  objects.rejected = &lone->view.memory.rejected;
  objects.now = lone->now;
  Status made = EnsureKeys(lone->node.meta.ns, lone->view.settings, lone->view.config_map, &plan->actions);
  if (made.ok()) {
    auto built = BuildNode(objects, lone->view.settings);
    const auto* process = lone->view.process ? &*lone->view.process : nullptr;
    made = built.status();
    if (built.ok()) made = Place(*lone, process, *built, plan);
    if (made.ok()) {
      lone->pod_template = PodTemplateOf(lone->view.node, {process, &lone->view.memory, lone->now}, *std::move(built), true);
      EnsureNode(lone->view.node, process, "", ZoneOf(lone->view.node, lone->view.hosts), lone->pod_template->stateful_set,
                 lone->now, plan);
      ReplaceOutdated(lone, plan);
      TryMissingPod(lone->view.node, *lone->pod_template, lone->now, lone->wall, plan);
      SendParameters(lone->view.node, process, *lone->pod_template, lone->now, plan);
      const std::string& refused = lone->pod_template->live.refused;
      if (!refused.empty() && lone->accepted) Refuse(lone, reason::kInvalidParameterValue, refused);
      return;
    }
  }
  EnsureNodeSlice(lone->view.node, ZoneOf(lone->view.node, lone->view.hosts), &plan->actions);
  lone->can_run = false;
  lone->waits = RefusalWaits(made);
  Refuse(lone, RefusalReason(made), std::string(made.message()));
}

bool GetsPod(const Lone& lone) { return HasOrGetsPod(lone.view.node, lone.wall); }

void SetConditions(const Lone& lone, const std::optional<Fault>& fault, api::CacheNodeStatus* status) {
  const int64_t generation = lone.node.meta.generation;
  const auto set = [&](std::string_view type, Truth truth, std::string_view why, std::string_view message) {
    status->conditions.Set(type, truth, why, message, generation, lone.wall);
  };
  SetAccepted(lone.accepted, lone.accepted_reason,
              lone.accepted && lone.accepted_message.empty() ? "its names and settings are its own"
                                                             : lone.accepted_message,
              generation, lone.wall, &status->conditions, lone.waits);
  if (HasRole(lone)) {
    set(api::kReady, Truth::kTrue, reason::kAvailable, "stands alone and accepts writes");
    set(api::kInSync, Truth::kTrue, reason::kStandsAlone, "stands alone");
    return;
  }
  if (!lone.can_run && !GetsPod(lone)) {
    set(api::kReady, Truth::kFalse, lone.accepted_reason, lone.accepted_message);
  } else if (lone.situation != Situation::kStandsAlone) {
    set(api::kReady, Truth::kFalse, lone.why, lone.message);
  } else if (fault) {
    set(api::kReady, Truth::kFalse, fault->reason, fault->message);
  } else {
    set(api::kReady, Truth::kFalse, reason::kCreating, "waiting for its process to start");
  }
  if (lone.situation == Situation::kLeft) {
    set(api::kInSync, Truth::kFalse, reason::kLinkDown, "has no primary to follow");
  } else {
    set(api::kInSync, Truth::kFalse, reason::kCreating, "has no role yet");
  }
}

api::CacheNodeStatus StatusOf(const Lone& lone) {
  const auto fault = FaultOf(lone.view.node, lone.view.process ? &*lone.view.process : nullptr, lone.wall);
  api::CacheNodeStatus status = lone.node.status;
  status.observed_generation = lone.node.meta.generation;
  const bool has_role = HasRole(lone);
  if (has_role) status.role = "standalone";
  if (lone.situation == Situation::kLeft && status.role == "primary") status.role = "replica";
  if (lone.situation == Situation::kStandsAlone && !IsLeaving(status)) status.replication_group_id.clear();
  if (has_role && lone.words->dataset != "") status.dataset = lone.words->dataset;
  // The permission of a move is for the group that it was given for.
  const auto& group = lone.view.named_group;
  const bool still = group && group->object.meta.uid == status.moving_to &&
                     group->object.meta.name == lone.node.spec.replication_group_id;
  if (!still) status.moving_to.clear();
  status.availability_zone = ZoneOf(lone.view.node, lone.view.hosts);
  const bool made = lone.can_run || GetsPod(lone);
  status.endpoint = made ? manifests::ServiceEndpoint(lone.node.meta.name, lone.node.meta.ns) : "";
  status.lag.clear();
  if (lone.pod_template) status.effective_image = lone.pod_template->in_force.image;
  if (lone.node.meta.deleted) {
    status.phase = "deleting";
  } else if (has_role) {
    status.phase = "available";
  } else if ((!lone.can_run && !GetsPod(lone)) || (fault && fault->reason == reason::kContainerFailing)) {
    status.phase = "create-failed";
  } else if (lone.situation == Situation::kLeft) {
    status.phase = PhaseOfLeft(lone);
  } else {
    status.phase = LeavesAsReplica(lone) ? "modifying" : "creating";
  }
  SetConditions(lone, fault, &status);
  SetPending(lone.deferral, lone.node.meta.generation, lone.wall, &status);
  return status;
}

void EnsureLabels(const Lone& lone, Plan* plan) {
  std::map<std::string, std::optional<std::string>> wanted = {{api::kReaderLabel, std::nullopt}};
  if (lone.situation == Situation::kStandsAlone) {
    wanted[api::kGroupLabel] = std::nullopt;
    wanted[api::kRoleLabel] = HasRole(lone) ? std::optional<std::string>("standalone") : std::nullopt;
  } else if (lone.situation == Situation::kLeft && lone.words != nullptr && !IsBlank(lone)) {
    wanted[api::kRoleLabel] = "replica";
  }
  EnsurePodLabels(lone.view.node, wanted, &plan->actions);
}

bool Settled(const Lone& lone, Plan* plan) {
  auto& since = plan->memory.unsettled_since;
  if (!FellSilent(lone.view.node, lone.view.process ? &*lone.view.process : nullptr)) {
    since.reset();
    return true;
  }
  if (!since) since = lone.now;
  const MonoTime shown = *since + kUnsettledLimit;
  if (lone.now < shown) plan->wake_at = std::min(plan->wake_at, shown);
  return lone.now >= shown;
}

}  // namespace

Plan PlanLone(const LoneView& view, MonoTime now, WallTime wall) {
  Plan plan;
  plan.memory = view.memory;
  const api::CacheNode& node = view.node.node;
  // Nobody else depends on it: what was made for it goes as an orphan once the object is gone.
  if (node.meta.deleted || view.namespace_terminating) {
    if (IsHeirInOffice(view)) RemoveNodeAndPod(view.node, &plan.actions);
    EnsureFinalizer(node.Ref(), node.meta, false, &plan.actions);
    return plan;
  }
  Lone lone{view, node, now, wall, WordsOf(view.process ? &*view.process : nullptr)};
  lone.deferral = DeferralOf(node, nullptr, wall);
  Judge(&lone);
  if (!lone.can_run) plan.wake_at = std::min(plan.wake_at, now + kConflictPeriod);
  if (lone.words != nullptr && !GroupDecides(lone)) {
    const bool alone = lone.situation == Situation::kStandsAlone;
    auto write = alone ? ReturnToGroup(lone, &plan) : PromoteLeft(lone, &plan);
    if (!write && alone) write = FollowProcess(lone);
    if (!write && alone) write = NewLife(lone, &plan);
    if (write) {
      plan.persist.push_back(std::move(*write));
      return plan;
    }
    if (alone) SendOrder(lone, &plan);
  }
  if (StandsAlone(node) && !node.spec.replication_group_id.empty()) {
    plan.wake_at = std::min(plan.wake_at, now + kLookAgain);  // whether the group takes it by now
  }
  if (!Settled(lone, &plan)) return plan;
  const bool moved = EnsureFinalizer(node.Ref(), node.meta, false, &plan.actions);
  if (lone.situation == Situation::kStandsAlone && lone.can_run) EnsureObjects(&lone, &plan);
  EnsureLabels(lone, &plan);
  if (moved) return plan;
  WakeFor(lone.deferral, now, wall, &plan);
  if (const auto at = MoreIsSaidAt(view.node, wall)) WakeAt(*at, now, wall, &plan);
  const api::CacheNodeStatus status = StatusOf(lone);
  if (auto write = WriteOf(node, status)) {
    AddNodeEvents(node, status, &plan);
    if (status.role == "standalone" && node.status.role == "replica" && !node.spec.promoted_from.empty()) {
      plan.events.push_back({node.Ref(), false, "PromoteComplete", "Promote",
                             "Cache cluster " + node.meta.name + " is independent of replication group " +
                                 node.spec.promoted_from});
    }
    AddPendingEvents(node.Ref(), node.status.pending_modified_values, lone.deferral, &plan);
    plan.statuses.push_back(std::move(*write));
  }
  return plan;
}

}  // namespace understudy::plan
