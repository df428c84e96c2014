#include "operator/manifests/manifests.h"
#include "operator/plan/objects.h"
#include "operator/plan/pending_status.h"
#include "operator/plan/status.h"

namespace understudy::plan {
namespace {

using api::Truth;
namespace reason = api::reason;

// It was made, and has been of use.
bool Worked(const api::CacheNodeStatus& status) {
  return status.phase == "available" || status.phase == "modifying" || status.phase == "failing-over";
}

std::string NodePhase(const GroupTurn& turn, const MemberNow& now) {
  const api::CacheNodeStatus& before = now.member->view->node.status;
  if (now.member->view->node.meta.deleted) return "deleting";
  if (!now.member->can_run && !HasOrGetsPod(*now.member->view, turn.wall)) return "create-failed";
  if (now.parts) return "modifying";
  if (now.ready || now.serves_alone) return "available";
  // Its primary has left to stand alone: it keeps what it has, read-only.
  if (turn.group.meta.deleted && now.words != nullptr && now.words->complete) return "modifying";
  if (now.is_primary && turn.state.failover) {
    return turn.state.failover->kind == failover::Kind::kSwitchover ? "modifying" : "failing-over";
  }
  const bool failing = now.fault && now.fault->reason == reason::kContainerFailing;
  if (failing && (before.phase == "creating" || before.phase == "create-failed")) return "create-failed";
  // It joins with what it served before, and copies, or is behind or silent for a moment: a modification, not a new node.
  const bool keeps = now.words != nullptr ? now.words->complete : now.member->view->pod && now.member->view->pod->running;
  const bool copies = now.words != nullptr && !now.is_primary && before.phase == "modifying";
  if (copies || (keeps && Worked(before))) return "modifying";
  // A node that was available and lost its process or its data is made again.
  return "creating";
}

// The group that the node is in: as long as its process belongs to an older one, that one is kept, since it
// is what the process may be told to leave.
std::string GroupUidOf(const GroupTurn& turn, const MemberNow& now) {
  const std::string& before = now.member->view->node.status.group_uid;
  if (before.empty() || before == turn.group.meta.uid) return turn.group.meta.uid;
  const bool joined = now.words != nullptr && now.words->group != before;
  return joined ? turn.group.meta.uid : before;
}

// It stood alone by its status, and that process has ended: the new one has nothing that it would have to leave.
bool LifeAloneEnded(const MemberNow& now) {
  const api::CacheNodeStatus& before = now.member->view->node.status;
  return before.epoch > 0 && now.words != nullptr && now.words->incarnation != before.incarnation &&
         now.words->group.empty() && now.words->role == control::Role::kUnassigned;
}

void SetReady(const GroupTurn& turn, const MemberNow& now, api::CacheNodeStatus* status) {
  const int64_t generation = now.member->view->node.meta.generation;
  if (now.ready) {
    status->conditions.Set(api::kReady, Truth::kTrue, reason::kAvailable,
                           now.is_primary ? "accepts writes" : "follows the primary", generation, turn.wall);
  } else if (now.serves_alone) {
    const std::string& group = turn.group.meta.name;
    status->conditions.Set(api::kReady, Truth::kTrue, reason::kAvailable,
                           "stands alone and accepts writes, because replication group " + group +
                               " has not been started (see its condition Ready)",
                           generation, turn.wall);
  } else if (!now.member->can_run && !HasOrGetsPod(*now.member->view, turn.wall)) {
    status->conditions.Set(api::kReady, Truth::kFalse, now.member->reason, now.member->message, generation, turn.wall);
  } else if (now.fault) {
    status->conditions.Set(api::kReady, Truth::kFalse, now.fault->reason, now.fault->message, generation, turn.wall);
  } else if (now.is_primary && turn.PrimaryWords() != nullptr) {
    const bool lacks = !turn.lacks_replicas.empty();
    status->conditions.Set(api::kReady, Truth::kFalse, lacks ? reason::kNotEnoughReplicas : reason::kPrimaryUnreachable,
                           lacks ? turn.lacks_replicas : "is the primary but may not acknowledge writes now", generation,
                           turn.wall);
  } else {
    status->conditions.Set(api::kReady, Truth::kFalse, now.sync_reason, now.sync_message, generation, turn.wall);
  }
}

}  // namespace

api::CacheNodeStatus MemberStatusOf(const GroupTurn& turn, const MemberNow& now) {
  const NodeView& view = *now.member->view;
  const int64_t generation = view.node.meta.generation;
  api::CacheNodeStatus status = view.node.status;
  status.observed_generation = generation;
  status.phase = NodePhase(turn, now);
  status.role = now.role;
  status.replication_group_id = turn.group.meta.name;
  status.group_uid = GroupUidOf(turn, now);
  const bool joined = now.words != nullptr && now.words->group == turn.group.meta.uid;
  if (joined || LifeAloneEnded(now)) {
    // Its life alone is over; until then these say what its process may leave.
    status.epoch = 0;
    status.incarnation.clear();
    status.moving_to.clear();
    status.dataset = now.words->dataset;
  }
  status.availability_zone = now.zone;
  status.endpoint = manifests::ServiceEndpoint(view.node.meta.name, view.node.meta.ns);
  status.lag = now.lag;
  if (now.pod_template) status.effective_image = now.pod_template->in_force.image;

  SetAccepted(now.member->accepted, now.member->reason, now.member->message, generation, turn.wall,
              &status.conditions, now.member->waits);
  SetReady(turn, now, &status);
  status.conditions.Set(api::kInSync, now.sync, now.sync_reason, now.sync_message, generation, turn.wall);
  SetPending(now.deferral, generation, turn.wall, &status);
  return status;
}

std::optional<StatusWrite> LostPrimaryWrite(const GroupTurn& turn, const MemberNow& primary) {
  const api::CacheNode& node = primary.member->view->node;
  api::CacheNodeStatus status = node.status;
  status.phase = NodePhase(turn, primary);
  SetReady(turn, primary, &status);
  return WriteOf(node, status);
}

api::CacheNodeStatus RefusedStatus(const GroupTurn& turn, const Member& member) {
  const api::CacheNode& node = member.view->node;
  api::CacheNodeStatus status = node.status;
  status.observed_generation = node.meta.generation;
  status.phase = node.meta.deleted ? "deleting" : member.waits ? "creating" : "create-failed";
  SetAccepted(false, member.reason, member.message, node.meta.generation, turn.wall, &status.conditions, member.waits);
  status.conditions.Set(api::kReady, Truth::kFalse, member.reason, member.message, node.meta.generation, turn.wall);
  return status;
}

std::optional<StatusWrite> WriteOf(const api::CacheNode& node, const api::CacheNodeStatus& status) {
  if (status == node.status) return std::nullopt;
  return StatusWrite{node.Ref(), api::CacheNodeStatusJson(status)};
}

void AddNodeEvents(const api::CacheNode& node, const api::CacheNodeStatus& next, Plan* plan) {
  const api::ObjectRef ref = node.Ref();
  if (next.phase == "available" && node.status.phase == "creating") {
    plan->events.push_back({ref, false, "CacheNodeAvailable", "CreateNode",
                            next.availability_zone.empty()
                                ? "Cache node " + node.meta.name + " is available"
                                : "Added cache node " + node.meta.name + " in availability zone " +
                                      next.availability_zone});
  }
  // Not one that was in sync before: what a deleted group left, and that is back.
  if (next.phase == "available" && node.status.phase == "modifying" && next.role == "replica" && NeverInSync(node)) {
    plan->events.push_back({ref, false, "DemoteComplete", "Demote",
                            "Cache cluster " + node.meta.name + " is a replica in replication group " +
                                next.replication_group_id});
  }
  const api::Condition* before = node.status.conditions.Find(api::kAccepted);
  const api::Condition* now = next.conditions.Find(api::kAccepted);
  // Whose object is being deleted has nothing to correct any more.
  if (!node.meta.deleted && now != nullptr && now->status == Truth::kFalse &&
      (before == nullptr || before->status != Truth::kFalse || before->reason != now->reason)) {
    plan->events.push_back({ref, true, now->reason, "Reconcile", now->message});
  }
  // Its Pod does not come up, and time alone may not help.
  const api::Condition* was_ready = node.status.conditions.Find(api::kReady);
  const api::Condition* ready = next.conditions.Find(api::kReady);
  const bool stuck = ready != nullptr && ready->status == Truth::kFalse &&
                     (ready->reason == reason::kContainerFailing || ready->reason == reason::kUnschedulable);
  if (stuck && !node.meta.deleted && (was_ready == nullptr || was_ready->reason != ready->reason)) {
    plan->events.push_back({ref, true, ready->reason, "CreateNode", ready->message});
  }
}

}  // namespace understudy::plan
