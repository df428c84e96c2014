// Desired objects against live ones: the fewest writes that make them equal.
//
// A live object carries the hash of what was applied last; it is written again when the desired one has
// another hash, or when a field that we own was changed by somebody else. An object of another owner is
// never written: its own owner, or the clean-up of orphans, deals with it.
//
// What an older object of the owner's name left is the owner's: no two have one name at a time. It is taken over by
// the next apply, which writes the new owner-uid and, as that is not in the Pod template, replaces no Pod. First of
// all it is made sure that the owner still exists (ConfirmExists): a cache that is late may show the older one of the
// two, and it is the younger one's children that it would write. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "operator/manifests/manifests.h"
#include "operator/plan/group_view.h"
#include "operator/plan/plan.h"

namespace understudy::plan {

// Made for this owner, or for an older object of its name.
bool IsChildOf(const api::ObjectMeta& child, const api::ObjectRef& owner);
// Plans the proof that the owner exists, unless this plan has it already: a finalizer that is set is one.
void ConfirmOwner(const api::ObjectRef& owner, std::vector<Action>* actions);
// Creates, applies or leaves alone. False: nothing of ours stands under that name yet (it has to be created,
// or another owner's object has to go first). owner.uid empty: of no single object.
bool Ensure(const api::ObjectMeta* live, bool drifted, Json desired, const api::ObjectRef& owner,
            std::vector<Action>* actions);
// Deletes the live object if it is this owner's and not being deleted already.
void Remove(const api::ObjectMeta* live, std::string_view api_version, std::string_view kind,
            const api::ObjectRef& owner, std::vector<Action>* actions);

// The ConfigMap that holds the operator's key, which every node of the namespace mounts; once per plan.
// kConflict: a foreign one has its name.
Status EnsureKeys(const std::string& ns, const Settings& settings, const std::optional<api::ConfigMap>& live,
                  std::vector<Action>* actions);

// What one node is made from while it is wanted. kInvalid: the settings can't be built (see ValidateSettings).
// kUnavailable: not while the API server refuses their Pod.
struct NodeObjects {
  const NodeView* view = nullptr;
  api::NodeSettings settings;
  std::string group;  // "" while it stands alone
  bool pool = false;
  api::MultiAz multi_az = api::MultiAz::kDisabled;
  std::vector<std::string> avoid_zones;
  const std::map<std::string, Rejection>* rejected = nullptr;  // Memory's
  MonoTime now;
};
// The StatefulSet as it should be.
Result<Json> BuildNode(const NodeObjects& objects, const Settings& settings);
// Of the node's Service, once it is there: follows the present Pod; between two Pods it stays as it is. Part of
// EnsureNode; by itself for a node whose other objects stay as they are, as its settings are refused.
void EnsureNodeSlice(const NodeView& view, const std::string& zone, std::vector<Action>* actions);
// Condition Accepted of a node whose objects can't be made, by what BuildNode, EnsureKeys or JudgePlacement
// (pod_template.h) says.
std::string_view RefusalReason(const Status& status);
// No edit is needed: another object, or a Node, helps.
bool RefusalWaits(const Status& status);
// The node's children, with that StatefulSet, the first of which waits for view.first_pod_at unless the node's zone is
// given anyway. zone: of the Node that its Pod is on. group_uid: as for JudgeLeftover.
void EnsureNode(const NodeView& view, const failover::PodView* process, const std::string& group_uid,
                const std::string& zone, Json stateful_set, MonoTime now, Plan* plan);

// What to do with the StatefulSet that an older object of the node's name left, by what its process is.
enum class Leftover {
  kTake,    // the process is the node's: of its group, its own, or without a past. Also when nothing was left
  kWait,    // it has not said what it is
  kRemove,  // it holds what only the older object had a claim to, and would follow nobody
};
// group_uid: of the group that answers for the node; "" = it stands alone.
Leftover JudgeLeftover(const NodeView& view, const failover::PodView* process, const std::string& group_uid);
// The EndpointSlice `live` (null: none) of a Service of ours that has no selector.
void EnsureSlice(const api::Service& service, const api::EndpointSlice* live, const manifests::SliceTarget& target,
                 Json desired, const api::ObjectRef& owner, std::vector<Action>* actions);
// The address type of that slice.
std::string AddressTypeOf(const api::Service& service);

// Deletes the node's children. True: none is left but its Pod, which goes as its StatefulSet's garbage.
bool RemoveNode(const NodeView& view, std::vector<Action>* actions);

// Ends the Pod of a node that goes with all that it has, as nothing that stays has a claim to its data. A primary
// would wait for a hand-over (25 s) that nobody is left to take, so it gets one second.
void EndPod(const NodeView& view, std::vector<Action>* actions);

// Both, for a node that goes with all that it has. True as RemoveNode.
bool RemoveNodeAndPod(const NodeView& view, std::vector<Action>* actions);

// The image that a new Pod gets: the spec's, else the operator's default. The one in force is the Pod's: a new
// default is a pending modification like any other.
std::string WantedImage(const api::NodeSettings& merged, const Settings& settings);

// Labels that the live Pod must have or not have (nullopt); plans one patch with the differences.
void EnsurePodLabels(const NodeView& view, const std::map<std::string, std::optional<std::string>>& wanted,
                     std::vector<Action>* actions);

// Adds or removes our finalizer. True: a write was planned, so that the object's version moves.
bool EnsureFinalizer(const api::ObjectRef& ref, const api::ObjectMeta& meta, bool present,
                     std::vector<Action>* actions);

}  // namespace understudy::plan
