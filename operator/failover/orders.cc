#include "operator/failover/orders.h"

#include <algorithm>

namespace understudy::failover {

using control::NodeState;
using control::Order;
using control::OrderKind;
using control::Role;

namespace {

// Leaving another group (or its own standalone life) needs the permission that its object gave.
// False: it may not; the reason is among the findings.
bool MayJoin(Turn& turn, const PodView& pod, Order& order) {
  const NodeState& node = pod.heard->state;
  const Member* member = turn.FindMember(pod.member);
  if (!node.group.empty() && !turn.Ours(node)) {
    if (member == nullptr || member->may_leave_group != node.group) {
      turn.out.findings.not_joining.push_back(pod.member + " belongs to another group (" +
                                              node.group +
                                              "); it joins when its object allows it to leave");
      return false;
    }
    order.leaves_group = node.group;
    order.leaves_epoch = node.epoch;
  }
  return true;
}

// What a follower holds may go if it is an older state of this group, or if its object says so.
bool MayDrop(Turn& turn, const PodView& pod, Order& order) {
  const NodeState& node = pod.heard->state;
  if (node.dataset.empty()) return true;
  const Member* member = turn.FindMember(pod.member);
  const bool older_state = HoldsOlderState(turn.state, node);
  const bool named = older_state || turn.Ours(node) ||
                     (member != nullptr && member->discard_dataset == node.dataset);
  if (!named && node.keys != 0) {
    turn.out.findings.not_joining.push_back(
        pod.member + " holds other data (" + node.dataset +
        "); it joins when its spec allows to drop it: discardExistingData: " + node.dataset);
    return false;
  }
  // The same data set needs no copy if it went no other way; a node that stood alone has.
  order.drop_data = !older_state;
  // An empty node gets no permission for keys that are on their way.
  if (order.drop_data && named) order.drop_dataset = node.dataset;
  return true;
}

}  // namespace

void Send(Turn& turn, const PodView& pod, Order order, uint64_t number, Duration again) {
  if (!pod.channel.up || !pod.heard) return;
  const control::Incarnation& to = pod.heard->state.incarnation;
  std::vector<Memory::Sent>& sent = turn.memory.sent;
  std::erase_if(sent, [&](const Memory::Sent& s) { return turn.now - s.at > Seconds(10); });
  auto same = [&](const Memory::Sent& s) {
    return s.to == to && s.kind == order.kind && s.epoch == order.epoch && s.number == number;
  };
  auto before = std::find_if(sent.begin(), sent.end(), same);
  if (before != sent.end()) {
    if (before->at >= pod.channel.up_since && before->at + again > turn.now) {
      turn.WakeAt(before->at + again);
      return;
    }
    before->at = turn.now;
  } else {
    sent.push_back({to, order.kind, order.epoch, number, turn.now});
  }
  turn.WakeAt(turn.now + again);
  order.group = turn.spec.group_uid;
  order.incarnation = to;
  order.detection_ms = turn.spec.detection_ms;
  order.reader_max_lag_ms = turn.spec.reader_max_lag_ms;
  turn.out.orders.push_back({pod.pod_uid, std::move(order)});
}

void OrderPrimary(Turn& turn, const control::NodeRef& primary,
                  const control::Configuration& configuration, PrimaryOrder how) {
  const PodView* pod = turn.on(Rule::kOrderIncarnation) ? turn.PodHearing(primary.incarnation)
                                                        : turn.PodOf(primary.name);
  if (pod == nullptr || !pod->heard) return;
  Order order;
  order.kind = OrderKind::kRole;
  order.role = Role::kPrimary;
  order.epoch = configuration.epoch;
  order.configuration = configuration;
  order.configuration.lease_ms = turn.LeaseMs(configuration);
  order.configuration.synchronous_replicas = turn.SynchronousReplicas(configuration);
  order.promotion = how.promotion;
  order.min_offset = how.min_offset;
  order.fresh_dataset = turn.state.dataset;
  if (!MayJoin(turn, *pod, order)) return;
  Send(turn, *pod, std::move(order), configuration.number);
}

void OrderFollowers(Turn& turn, const control::Configuration& configuration,
                    std::string_view hold_back) {
  const control::NodeRef& primary = configuration.primary;
  for (const PodView& pod : turn.view.pods) {
    if (!pod.heard || !turn.Reachable(pod)) continue;
    const NodeState& node = pod.heard->state;
    if (node.incarnation == primary.incarnation || node.incarnation == hold_back) continue;
    const bool voter =
        std::any_of(configuration.voters.begin(), configuration.voters.end(),
                    [&](const control::NodeRef& v) { return v.incarnation == node.incarnation; });
    // Who has handed over learns to whom, also if it leaves: a primary that does not know it waits at SIGTERM.
    const bool handed_over = turn.Ours(node) && node.role == Role::kPrimary && !node.in_office;
    if (!voter && !(pod.exists && (turn.Wanted(pod.member) || handed_over))) continue;
    const bool follows = turn.Ours(node) && node.role == Role::kReplica &&
                         node.primary == primary.incarnation &&
                         node.role_epoch >= configuration.epoch;
    if (follows || turn.EpochOf(node) > configuration.epoch) continue;
    Order order;
    order.kind = OrderKind::kRole;
    order.role = Role::kReplica;
    order.epoch = configuration.epoch;
    order.configuration = configuration;
    if (!MayJoin(turn, pod, order) || !MayDrop(turn, pod, order)) continue;
    Send(turn, pod, std::move(order), configuration.number);
  }
}

void OrderCopy(Turn& turn, const control::NodeRef& copier, const control::NodeRef& source,
               uint64_t epoch) {
  const PodView* pod = turn.PodHearing(copier.incarnation);
  const NodeState* words = turn.Words(source.incarnation);
  if (pod == nullptr || words == nullptr) return;
  Order order;
  order.kind = OrderKind::kRole;
  order.role = Role::kReplica;
  order.epoch = epoch;
  order.copy_epoch = words->role_epoch;  // fenced, but not in this epoch's role
  order.configuration = turn.Newest();
  order.configuration.epoch = epoch;
  order.configuration.primary = source;
  order.configuration.voters.clear();
  order.copy_only = true;
  order.drop_data = true;
  Send(turn, *pod, std::move(order), order.configuration.number);
}

void OrderFence(Turn& turn, const PodView& pod, uint64_t epoch) {
  Order order;
  order.kind = OrderKind::kFence;
  order.epoch = epoch;
  Send(turn, pod, std::move(order), 0);
}

void OrderDemote(Turn& turn, const control::NodeRef& old, uint64_t epoch) {
  const PodView* pod = turn.PodHearing(old.incarnation);
  if (pod == nullptr) return;
  Order order;
  order.kind = OrderKind::kDemote;
  order.epoch = epoch;
  Send(turn, *pod, std::move(order), 0);
}

void AskOffset(Turn& turn, const PodView& pod, uint64_t epoch) {
  Order order;
  order.kind = OrderKind::kOffset;
  order.epoch = epoch;
  order.nonce = turn.memory.nonce;
  Send(turn, pod, std::move(order), turn.memory.nonce);
}

void OrderPause(Turn& turn, const control::NodeRef& node, uint64_t epoch) {
  const PodView* pod = turn.PodHearing(node.incarnation);
  if (pod == nullptr) return;
  Order order;
  order.kind = OrderKind::kPause;
  order.epoch = epoch;
  order.budget_ms = static_cast<uint32_t>(kPauseBudget.ms());
  Send(turn, *pod, std::move(order), 0);
}

void OrderResume(Turn& turn, const control::NodeRef& node, uint64_t epoch) {
  const PodView* pod = turn.PodHearing(node.incarnation);
  if (pod == nullptr) return;
  Order order;
  order.kind = OrderKind::kResume;
  order.epoch = epoch;
  Send(turn, *pod, std::move(order), 0);
}

void Poll(Turn& turn, const control::NodeRef& node, uint64_t epoch) {
  const PodView* pod = turn.PodHearing(node.incarnation);
  if (pod == nullptr) return;
  Order order;
  order.kind = OrderKind::kPoll;
  order.epoch = epoch;
  Send(turn, *pod, std::move(order), 0, kPoll);
}

}  // namespace understudy::failover
