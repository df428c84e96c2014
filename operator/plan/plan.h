// What to do for one key: made by pure functions, carried out by apply/.
//
// How to carry a Plan out (FAILOVER.md "persisted before it is acted on"):
//  1. Keep `memory`; let the grantor follow `grants` at once.
//  2. `persist`: write each status (server-side apply on the subresource, with the resourceVersion of its
//     ref). If one conflicts, drop the plan and observe again. If all succeed, record `events` and make the
//     next plan at once from what was written; such a plan holds no orders and no actions.
//  3. `orders` (fill in id and replication_key), `parameters`, `reconnect`.
//  4. `actions`, in their order: the primary EndpointSlice is the first of them when it moves. A conflict or
//     a failure ends the plan: observe again, with back-off.
//  5. `statuses`, each like `persist`; then `events`.
//  6. Plan again at `wake_at`, or when an input changes.
// A steady group yields a plan with nothing in it but grants, memory and wake_at.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/clock.h"
#include "common/json.h"
#include "operator/api/meta.h"
#include "operator/failover/machine.h"
#include "operator/plan/group_view.h"

namespace understudy::plan {

// The whole status as this field manager owns it; ref.resource_version is the precondition.
struct StatusWrite {
  api::ObjectRef ref;
  Json status;
};

// POST. 409: the name is taken; observe again. After the first apply of an object that was created by POST,
// apply/ takes our own `Update` entry out of managedFields (API.md "Under GitOps").
struct CreateObject {
  Json object;
};
// Server-side apply of all fields that we own; metadata.uid is set, so that another object of that name
// answers 422 and is never merged into. A StatefulSet is not applied while the API server would refuse its Pod, which
// its controller would tell in events alone, after the last Pod is gone.
struct ApplyObject {
  Json object;
};
// DELETE with the UID as a precondition, and the resourceVersion if ref has one (background propagation). 404
// and 409 are fine: it is gone, or not what was decided on, and is looked at again.
struct DeleteObject {
  api::ObjectRef ref;
  int64_t grace_seconds = -1;  // of a Pod; -1: its own
  // Of a Pod that is replaced: the StatefulSet that makes its successor. The Pod stays while the API server would
  // refuse that one. null: of any other deletion.
  Json successor;
};
// DELETE of a Pod with grace period 0 and the UID as a precondition: the member's Node is lost and nothing
// names its process any more.
struct ForceDeletePod {
  api::ObjectRef ref;
};
// Merge patch of metadata.labels with the UID as a precondition; nullopt removes the label. 404 and 409 are
// fine: the Pod is gone.
struct LabelPod {
  api::ObjectRef ref;
  std::map<std::string, std::optional<std::string>> labels;
};
// Merge patch {metadata: {uid, resourceVersion, finalizers}} with the whole new list. 404 is fine only for a list
// without ours: of an object that is gone nothing more is made.
struct SetFinalizers {
  api::ObjectRef ref;
  std::vector<std::string> finalizers;
};
// GET: the object still exists with this UID, else the plan ends here. Before something is made for it, or what an
// older object of its name left is written: what the cache shows may be gone by now, with nobody left to clean up.
struct ConfirmExists {
  api::ObjectRef ref;
};
// Asks the API server, without creating anything, whether it takes the Pod of a StatefulSet that has none for long.
struct TryPod {
  Json stateful_set;
};
using Action = std::variant<CreateObject, ApplyObject, DeleteObject, ForceDeletePod, LabelPod, SetFinalizers,
                            ConfirmExists, TryPod>;

// For events.k8s.io/v1; action: what the operator did or tried, CamelCase ("Failover", "CreateNode").
struct Event {
  api::ObjectRef regarding;
  bool warning = false;
  std::string reason;
  std::string action;
  std::string note;
};

// What a process is to take while it runs: to its own incarnation only, and lost when the channel is down.
struct OutgoingParameters {
  std::string pod_uid;
  control::Parameters parameters;
};

struct Plan {
  Memory memory;
  failover::Grants grants;
  std::vector<StatusWrite> persist;
  std::vector<failover::OutgoingOrder> orders;
  std::vector<OutgoingParameters> parameters;
  std::vector<std::string> reconnect;  // Pod UIDs: close the control channel and open it anew
  std::vector<Action> actions;
  std::vector<StatusWrite> statuses;
  std::vector<Event> events;
  std::vector<failover::Kind> recorded;  // changes of the primary that `persist` adds to the history
  MonoTime wake_at{INT64_MAX};
  // Something is under way, or the primary is suspected: every word of a node is worth a plan.
  bool attentive = false;

  // Nothing to write and nothing to send.
  bool Idle() const {
    return persist.empty() && orders.empty() && parameters.empty() && reconnect.empty() && actions.empty() &&
           statuses.empty() && events.empty();
  }
};

// Called by the leader only, with views no older than what it last wrote.
Plan PlanGroup(const GroupView& view, MonoTime now, WallTime wall);
Plan PlanLone(const LoneView& view, MonoTime now, WallTime wall);

// For whom a child was made, by its annotations: kind, namespace, name and UID; all empty on a foreign object.
api::ObjectRef OwnerOf(const api::ObjectMeta& child);
// Two objects of one key can't both own children: a node of either kind, or a group, of one name.
std::string OwnerKey(const api::ObjectRef& owner);

// Children of objects that are gone: whatever has our owner-uid annotation with a UID that no object has. And
// what belongs to no single object: the ConfigMap with the operator's key in a namespace without nodes.
// What an older object of a living one's name left is no orphan: the living one's plan takes it over or deletes it
// (objects.h), so that no Pod of a living object is ever deleted for its age.
struct OrphanView {
  std::set<std::string> living;         // UIDs of all CacheClusters, ReadReplicas and ReplicationGroups
  std::set<std::string> living_keys;    // their OwnerKeys
  bool complete = false;                // all three kinds are listed and their watches are current
  std::map<std::string, MonoTime> deletions_seen;  // UIDs whose DELETE event this process received
  struct Child {
    api::ObjectRef ref;                 // StatefulSet, Service, PodDisruptionBudget, operator-made node
    api::ObjectRef owner;               // kind and name from the annotation, uid = owner-uid
  };
  std::vector<Child> children;
  std::map<std::string, MonoTime> announced;  // owner UIDs -> when the event was planned; kept by the caller
  std::vector<api::ObjectRef> key_maps;       // ConfigMaps `understudy-operator` that are ours
  std::set<std::string> inhabited;            // namespaces with a node, or with a StatefulSet or Pod of one
};
inline constexpr Duration kOrphanWait = Seconds(15 * 60);
// Deletes at once after a deletion that was seen, else kOrphanWait after an event that announces it; nothing
// while `complete` is false. `announced` gets the owners that are new.
struct OrphanPlan {
  std::vector<DeleteObject> deletes;
  std::vector<Event> events;
  std::map<std::string, MonoTime> announced;
  MonoTime wake_at{INT64_MAX};
};
OrphanPlan PlanOrphans(const OrphanView& view, MonoTime now, WallTime wall);

}  // namespace understudy::plan
