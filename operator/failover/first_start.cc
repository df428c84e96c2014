#include "operator/failover/first_start.h"

#include <algorithm>
#include <set>
#include <tuple>

namespace understudy::failover {
namespace {

using control::NodeState;
using control::Role;

bool IsMember(const Turn& turn, const PodView& pod) {
  return pod.exists && turn.Wanted(pod.member);
}

// The Node of a Pod that was never heard is out of service or deleted: an administrator's word that whatever
// ran there has ended (FAILOVER.md section 4), though no incarnation is known that it could be said of.
bool NodeOutOfService(const Turn& turn, const PodView& pod) {
  const std::vector<std::string>& lost = turn.view.nodes_out_of_service;
  return !pod.node_name.empty() && std::find(lost.begin(), lost.end(), pod.node_name) != lost.end();
}

// A process that may have data runs there and has not said what it has.
bool Unheard(const Turn& turn, const PodView& pod) {
  if (!pod.running) return false;  // what ran before has taken its memory with it
  if (!pod.heard) return !NodeOutOfService(turn, pod);
  return !turn.Reachable(pod) && !turn.Dead(pod.heard->state.incarnation);
}

bool HoldsAdoptable(const Turn& turn, const PodView& pod) {
  const NodeState& node = pod.heard->state;
  if (!node.complete || (node.keys == 0 && turn.EpochOf(node) == 0)) return false;
  const Member* member = turn.FindMember(pod.member);
  if (member->discard_dataset == node.dataset && !node.dataset.empty()) return false;
  return turn.Ours(node) || node.group.empty() || member->may_leave_group == node.group;
}

const PodView* FirstPrimary(const Turn& turn) {
  const PodView* pod = turn.PodOf(turn.spec.first_primary);
  if (pod == nullptr || !IsMember(turn, *pod) || !pod->heard || !turn.Reachable(*pod)) return nullptr;
  const NodeState& node = pod->heard->state;
  const Member* member = turn.FindMember(pod->member);
  const bool claimable =
      node.group.empty() || turn.Ours(node) || (member && member->may_leave_group == node.group);
  return claimable ? pod : nullptr;
}

GroupState Begin(const Turn& turn, const PodView& primary) {
  const NodeState& node = primary.heard->state;
  GroupState next = turn.state;
  next.primary = turn.RefOf(primary);
  next.handled_primary_cluster_id = turn.spec.primary_cluster_id;
  next.dataset = node.complete && !node.dataset.empty() ? node.dataset : turn.view.fresh_dataset;
  return next;
}

// A node knows of this group what its status does not: not one that has ended since the group was emptied.
bool KnownToNodes(const Turn& turn) {
  return std::any_of(turn.view.pods.begin(), turn.view.pods.end(), [&](const PodView& pod) {
    if (!pod.heard || turn.EpochOf(pod.heard->state) == 0) return false;
    return turn.EpochOf(pod.heard->state) > turn.state.epoch || !turn.Dead(pod.heard->state.incarnation);
  });
}

// The nodes know this group, its status does not: a takeover above what they know. Its
// configurations are unknown, so two stand in for them: one without voters, which no waiting can
// fence, and one in which every member counts.
void Recover(Turn& turn, const PodView& best) {
  const PodView* old = &best;
  uint64_t number = 0;
  control::Configuration all;
  all.lease_ms = turn.spec.lease_ms;
  all.synchronous_replicas = 1;
  for (const PodView& pod : turn.view.pods) {
    if (!pod.heard || !turn.Ours(pod.heard->state)) continue;
    const NodeState& node = pod.heard->state;
    number = std::max(number, node.configuration);
    all.lease_ms = std::max(all.lease_ms, node.lease_ms);
    if (node.role == Role::kPrimary && (old->heard->state.role != Role::kPrimary ||
                                        node.role_epoch > old->heard->state.role_epoch)) {
      old = &pod;
    }
  }
  GroupState next = Begin(turn, *old);
  all.primary = next.primary;
  all.epoch = old->heard->state.role_epoch;
  for (const PodView& pod : turn.view.pods) {
    if (&pod != old && pod.heard && turn.Ours(pod.heard->state))
      all.voters.push_back(turn.RefOf(pod));
  }
  control::Configuration none = all;
  none.voters.clear();
  none.synchronous_replicas = 0;
  none.number = number + 1;
  all.number = number + 2;
  next.configurations = {none, all};
  next.epoch = std::max(turn.state.epoch, turn.HighestEpochHeard()) + 1;
  Failover fo;
  fo.epoch = next.epoch;
  fo.old = next.primary;
  fo.reason = "StatusLost";
  fo.message = "the nodes know epoch " + std::to_string(next.epoch - 1) +
               " of this group, its status knows none";
  fo.times.suspected = fo.times.confirmed = turn.wall;
  turn.Note(true, "FailoverStarted", fo.message);
  next.failover = std::move(fo);
  turn.out.persist = std::move(next);
}

}  // namespace

void FirstStart(Turn& turn) {
  turn.Forbid();
  std::string& why = turn.out.findings.failover_ready_message;
  turn.out.findings.failover_ready_reason = "NotStarted";
  std::vector<const PodView*> holders;
  std::set<std::string> datasets;
  int alone = 0;
  std::string named;
  for (const PodView& pod : turn.view.pods) {
    if (!IsMember(turn, pod)) continue;
    if (Unheard(turn, pod)) {
      why = "waiting to hear from " + pod.member + ", which may have data";
      if (pod.node_lost) {
        why += "; its Node " + pod.node_name + " is not ready: if it will not come back, delete the Node, or taint "
               "it node.kubernetes.io/out-of-service";
      }
      return;
    }
    if (!pod.heard || turn.Dead(pod.heard->state.incarnation) || !HoldsAdoptable(turn, pod))
      continue;
    holders.push_back(&pod);
    datasets.insert(pod.heard->state.dataset);
    if (pod.heard->state.role == Role::kStandalone) ++alone;
    named += (named.empty() ? "" : ", ") + pod.member + " holds " + pod.heard->state.dataset;
  }
  // Two that stand alone have written different things, also if both have it from one group.
  if (datasets.size() > 1 || alone > 1) {
    why = "several data sets: " + named;
    turn.out.findings.several_datasets = named;
    return;
  }
  const PodView* chosen = nullptr;
  if (!holders.empty()) {
    auto key = [&](const PodView* p) {
      const NodeState& n = p->heard->state;
      // Whoever takes writes until it has its order has more than was heard; its followers have not.
      const bool writes = n.role == Role::kStandalone || (n.role == Role::kPrimary && n.in_office);
      return std::tuple(turn.EpochOf(n) == 0 ? 0 : n.last_record_epoch, n.last_record_epoch,
                        writes, n.offset, p->member == turn.spec.first_primary);
    };
    chosen =
        *std::max_element(holders.begin(), holders.end(), [&](const PodView* a, const PodView* b) {
          return key(a) < key(b) || (key(a) == key(b) && a->member > b->member);
        });
  } else {
    chosen = FirstPrimary(turn);
  }
  if (KnownToNodes(turn)) {
    if (chosen != nullptr) {
      Recover(turn, *chosen);
    } else {
      why = "the nodes know this group, but none that answers may become its primary";
    }
    return;
  }
  if (chosen == nullptr) {
    why = "waiting for the node of " + (turn.spec.first_primary.empty()
                                            ? std::string("the first member")
                                            : turn.spec.first_primary);
    return;
  }
  GroupState next = Begin(turn, *chosen);
  // Above that of a primary which left with its data or was deleted, and above every epoch in the histories that are
  // there, empty ones too: elections compare the epochs of last records, and a node that has not joined yet must not
  // win by an older group's.
  next.epoch = turn.state.epoch + 1;
  for (const PodView& pod : turn.view.pods) {
    if (IsMember(turn, pod) && pod.heard && pod.heard->state.complete)
      next.epoch = std::max(next.epoch, pod.heard->state.last_record_epoch + 1);
  }
  control::Configuration first;
  first.number = 1;
  first.epoch = next.epoch;
  first.primary = next.primary;
  first.synchronous_replicas = turn.spec.synchronous_replicas;
  first.lease_ms = turn.spec.lease_ms;
  next.configurations = {first};
  if (chosen->member != turn.spec.first_primary) {
    turn.Note(false, "PrimaryKept",
              chosen->member + " is primary, because it holds the newest of the data that was found" +
                  (turn.spec.primary_cluster_id.empty()
                       ? std::string()
                       : "; primaryClusterId " + turn.spec.primary_cluster_id + " counts as handled"));
  }
  turn.Note(false, "GroupStarted", "Replication group started with primary " + chosen->member);
  turn.out.persist = std::move(next);
}

}  // namespace understudy::failover
