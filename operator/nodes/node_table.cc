#include "operator/nodes/node_table.h"

#include <algorithm>
#include <utility>

#include "common/log.h"
#include "operator/nodes/link.h"

namespace understudy::nodes {

NodeTable::NodeTable(Options options, const OperatorKey& key, const Clock& clock, metrics::Registry& registry)
    : options_(std::move(options)),
      key_(key),
      clock_(clock),
      heartbeats_(registry.GetCounter("understudy_heartbeats_total", "Heartbeats and acknowledgements of nodes heard")),
      grants_given_(registry.GetCounter("understudy_grants_total", "Write lease grants given to primaries")),
      channels_up_(registry.GetGauge("understudy_control_channels", "Control channels that are up")) {
  CHECK(options_.matters != nullptr && options_.leadership != nullptr);
}

NodeTable::~NodeTable() { Stop(); }

void NodeTable::Start(std::function<void(const std::string&)> on_change) {
  on_change_ = std::move(on_change);
  pool_ = std::make_unique<LinkPool>(options_.threads);
}

void NodeTable::Stop() {
  std::map<std::string, std::shared_ptr<Link>> links;
  {
    std::lock_guard lock(mutex_);
    links.swap(links_);
  }
  for (auto& [uid, link] : links) link->Stop();
  links.clear();  // before the io_context that their timers belong to
  pool_.reset();
}

void NodeTable::SetTarget(const Target& target) {
  std::shared_ptr<Link> old, made;
  {
    std::lock_guard lock(mutex_);
    std::shared_ptr<Link>& slot = links_[target.pod_uid];
    if (slot && slot->target() == target) return;
    old = std::move(slot);
    slot = made = std::make_shared<Link>(*this, pool_->io(), target, options_, key_, clock_);
    known_[target.pod_uid];
  }
  if (old) {
    old->Stop();
    OnDown(old->target());
  }
  made->Start();
}

void NodeTable::RemoveTarget(const std::string& pod_uid) {
  std::shared_ptr<Link> old;
  {
    std::lock_guard lock(mutex_);
    const auto it = links_.find(pod_uid);
    if (it == links_.end()) return;
    old = std::move(it->second);
    links_.erase(it);
  }
  old->Stop();
  OnDown(old->target());
}

void NodeTable::Forget(const std::string& pod_uid) {
  std::lock_guard lock(mutex_);
  if (links_.count(pod_uid) != 0) return;
  known_.erase(pod_uid);
  for (auto it = lifeline_pods_.begin(); it != lifeline_pods_.end();) {
    if (it->second == pod_uid) {
      lifeline_ends_.erase(it->first);
      it = lifeline_pods_.erase(it);
    } else {
      ++it;
    }
  }
}

std::vector<std::string> NodeTable::PodUids() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> uids;
  uids.reserve(known_.size());
  for (const auto& [uid, known] : known_) uids.push_back(uid);
  return uids;
}

std::optional<Known> NodeTable::Get(const std::string& pod_uid) const {
  std::lock_guard lock(mutex_);
  const auto it = known_.find(pod_uid);
  if (it == known_.end()) return std::nullopt;
  return it->second;
}

std::vector<failover::LifelineEnd> NodeTable::Lifelines(const std::vector<control::Incarnation>& incarnations) const {
  std::vector<failover::LifelineEnd> ends;
  std::lock_guard lock(mutex_);
  for (const control::Incarnation& incarnation : incarnations) {
    const auto it = lifeline_ends_.find(incarnation);
    if (it != lifeline_ends_.end()) ends.push_back(it->second);
  }
  return ends;
}

std::shared_ptr<Link> NodeTable::FindLink(const std::string& pod_uid) const {
  std::lock_guard lock(mutex_);
  const auto it = links_.find(pod_uid);
  return it == links_.end() ? nullptr : it->second;
}

void NodeTable::SendOrder(const std::string& pod_uid, control::Order order) {
  const std::shared_ptr<Link> link = FindLink(pod_uid);
  if (link == nullptr) return;
  order.id = next_order_id_++;
  if (order.kind == control::OrderKind::kRole) {
    order.replication_key = key_.ReplicationKey(order.group, order.copy_only ? order.copy_epoch : order.epoch);
  }
  LOG_DEBUG("order {} to {}: {} epoch {} configuration {}", order.id, link->target().address,
            control::OrderKindName(order.kind), order.epoch, order.configuration.number);
  link->Send(order.incarnation, order);
}

void NodeTable::SendParameters(const std::string& pod_uid, const control::Parameters& parameters) {
  const std::shared_ptr<Link> link = FindLink(pod_uid);
  if (link == nullptr) return;
  LOG_DEBUG("parameters {} to {}", control::ParametersHash(parameters), link->target().address);
  link->Send(parameters.incarnation, parameters);
}

void NodeTable::Reconnect(const std::string& pod_uid) {
  const std::shared_ptr<Link> link = FindLink(pod_uid);
  if (link == nullptr) return;
  link->Reconnect();
}

void NodeTable::SetAttentive(const std::string& owner, bool attentive) {
  std::lock_guard lock(mutex_);
  if (attentive) {
    attentive_.insert(owner);
  } else {
    attentive_.erase(owner);
  }
}

void NodeTable::SetGrants(const std::string& group_uid, const failover::Grants& grants, MonoTime under) {
  std::lock_guard lock(mutex_);
  GroupGrants& slot = grants_[group_uid];
  slot.allowed = grants;
  slot.under = under;
}

MonoTime NodeTable::LastGrant(const std::string& group_uid) const {
  std::lock_guard lock(mutex_);
  const auto it = grants_.find(group_uid);
  return it == grants_.end() ? MonoTime{} : it->second.last;
}

void NodeTable::OnUp(const Target& target, MonoTime begun_at, const control::NodeState& state) {
  {
    std::lock_guard lock(mutex_);
    Known& known = known_[target.pod_uid];
    if (!known.channel.up) channels_up_.Set(static_cast<double>(++up_));
    known.channel.up = true;
    known.channel.begun_at = begun_at;
    known.channel.up_since = clock_.Mono();
    known.heard = {state, known.channel.up_since};
    lifeline_pods_[state.incarnation] = target.pod_uid;
  }
  LOG_INFO("control channel to {} is up: incarnation {}, {}", target.address, state.incarnation,
           control::RoleName(state.role));
  Changed(target.owner);
}

void NodeTable::OnDown(const Target& target) {
  {
    std::lock_guard lock(mutex_);
    const auto it = known_.find(target.pod_uid);
    if (it == known_.end() || !it->second.channel.up) return;
    it->second.channel.up = false;
    it->second.channel.down_since = clock_.Mono();
    channels_up_.Set(static_cast<double>(--up_));
  }
  Changed(target.owner);
}

void NodeTable::OnState(const Target& target, const control::NodeState& state) {
  heartbeats_.Add();
  bool changed = false;
  {
    std::lock_guard lock(mutex_);
    Known& known = known_[target.pod_uid];
    changed = !known.heard || known.heard->state.incarnation != state.incarnation || state.nonce != 0 ||
              attentive_.count(target.owner) != 0 || options_.matters(known.heard->state, state);
    known.heard = {state, clock_.Mono()};
    if (state.nonce != 0) known.answer = known.heard;
  }
  if (changed) Changed(target.owner);
}

bool NodeTable::MayGrant(const control::NodeState& state) {
  if (state.role != control::Role::kPrimary || !state.in_office) return false;
  const kube::Leadership leadership = options_.leadership();
  std::lock_guard lock(mutex_);
  const auto it = grants_.find(state.group);
  if (it == grants_.end()) return false;
  const failover::Grants& allowed = it->second.allowed;
  if (!allowed.allowed || allowed.to != state.incarnation || allowed.epoch != state.role_epoch) return false;
  const MonoTime now = clock_.Mono();
  if (!leadership.leading || it->second.under != leadership.acquired_at || now >= leadership.valid_until) return false;
  it->second.last = now;  // before the frame is sent: a takeover waits from here
  grants_given_.Add();
  return true;
}

void NodeTable::OnLifelineFin(const Target& target, const control::Incarnation& incarnation) {
  {
    std::lock_guard lock(mutex_);
    failover::LifelineEnd& end = lifeline_ends_[incarnation];
    end.incarnation = incarnation;
    end.ended_by_fin_at = clock_.Mono();
    lifeline_pods_[incarnation] = target.pod_uid;
  }
  LOG_INFO("lifeline to {} (incarnation {}) ended by FIN", target.address, incarnation);
  Changed(target.owner);
}

void NodeTable::OnRefused(const Target& target, const control::Incarnation& incarnation, MonoTime begun_at) {
  {
    std::lock_guard lock(mutex_);
    failover::LifelineEnd& end = lifeline_ends_[incarnation];
    const bool first = end.refused_begun_at <= end.ended_by_fin_at;
    end.incarnation = incarnation;
    end.refused_begun_at = std::max(end.refused_begun_at, begun_at);
    lifeline_pods_[incarnation] = target.pod_uid;
    if (!first) return;
  }
  Changed(target.owner);
}

void NodeTable::Changed(const std::string& owner) { on_change_(owner); }

}  // namespace understudy::nodes
