#include "tests/simulation/operator_process.h"

#include <algorithm>

#include "common/check.h"
#include "tests/simulation/world.h"

namespace understudy::simulation {

OperatorProcess::OperatorProcess(World& world, std::string at) : world_(world) {
  location = std::move(at);
  identity = world.NewId("op");
  rate = world.RateOf(location);
}

MonoTime OperatorProcess::Now() const {
  return Clock(world_.now_us());
}

bool OperatorProcess::Valid() const {
  const Story* story = world_.options().story;
  const int64_t deadline_ms = story ? story->lease_ms[1] : 4000;
  return leads_ && Now() - renewed_ < Milliseconds(deadline_ms);
}

void OperatorProcess::StartTimers() {
  world_.At(world_.dice().Below(100) * kMs, *this, [this] { Tick(); });
}

// -- leadership and API server
// ------------------------------------------------------------------------

void OperatorProcess::Tick() {
  const Story* story = world_.options().story;
  const MonoTime now = Now();
  world_.At(static_cast<int64_t>(50 * kMs / rate), *this, [this] { Tick(); });
  if (leads_ && !Valid()) {
    leads_ = false;
    grants_ = {};
    world_.Trace(location + " lost leadership");
  }
  if (now >= lease_next_) {
    lease_next_ = now + Milliseconds(story ? story->lease_ms[2] : 1000);
    ApiServer& api = world_.api();
    if (leads_) {
      world_.Send(*this, api, "leaseput",
                  [&api, this, v = lease_version_, now] { api.OnPutLease(*this, v, now); });
    } else {
      world_.Send(*this, api, "leaseget", [&api, this, now] { api.OnGetLease(*this, now); });
    }
  }
  if (request_ && now - request_->at > Milliseconds(800)) {
    must_read_ = must_read_ || request_->put;  // its outcome is unknown
    request_.reset();
    read_next_ = {};
  }
  if (!request_ && now >= read_next_) {
    read_next_ = now + Milliseconds(500);
    request_ = Request{world_.NewNumber(), now, false};
    ApiServer& api = world_.api();
    world_.Send(*this, api, "get", [&api, this, id = request_->id] { api.OnGet(*this, id); });
  }
  for (const Pod& pod : world_.pods()) {
    const Peer& peer = peers_[pod.uid];
    const bool quiet = !peer.channel.up || !peer.heard || now - peer.heard->at > Milliseconds(1600);
    if (quiet && now - peer.tried > Milliseconds(250)) TryConnect(pod.uid);
  }
  if (now >= wake_) Decide();
}

void OperatorProcess::OnLease(bool ok, const std::string& holder, int64_t version, MonoTime sent,
                              bool put) {
  const Story* story = world_.options().story;
  const MonoTime now = Now();
  if (version < lease_version_) return;
  const Duration deadline = Milliseconds(story ? story->lease_ms[1] : 4000);
  if (put && ok) {
    lease_version_ = version;
    lease_seen_ = now;
    renewed_ = std::max(renewed_, world_.options().rules.renew_from_sending ? sent : now);
    if (!leads_ && now - renewed_ < deadline) {
      leads_ = true;
      acquired_ = now;
      term_ = world_.NewId("term");
      state_.reset();
      version_ = least_version_ = -1;
      must_read_ = true;
      request_.reset();
      read_next_ = {};
      world_.Trace(location + " leads");
    }
    return;
  }
  if (version > lease_version_) {
    lease_version_ = version;
    lease_seen_ = now;
  }
  const Duration duration = Milliseconds(story ? story->lease_ms[0] : 6000);
  if (!leads_ && !put && (holder.empty() || holder == identity || now - lease_seen_ > duration)) {
    const bool let_run_out = !holder.empty() && holder != identity;
    // 1.25: both clocks may be 10 % off.
    predecessors_until_ = let_run_out ? std::min(now, lease_seen_ + deadline * 1.25) : now;
    ApiServer& api = world_.api();
    world_.Send(*this, api, "leaseput",
                [&api, this, v = lease_version_, now] { api.OnPutLease(*this, v, now); });
  }
}

void OperatorProcess::Release() {
  if (!leads_) return;
  leads_ = false;
  grants_ = {};
  ApiServer& api = world_.api();
  world_.Send(*this, api, "leasedrop",
              [&api, this, v = lease_version_] { api.OnDropLease(*this, v); });
}

void OperatorProcess::Put(const failover::GroupState& state) {
  request_ = Request{world_.NewNumber(), Now(), true};
  ApiServer& api = world_.api();
  world_.Send(*this, api, "put", [&api, this, id = request_->id, v = version_, state] {
    api.OnPut(*this, id, v, state);
  });
}

void OperatorProcess::OnReply(uint64_t id, bool ok, int64_t version,
                              const failover::GroupState& status, const GroupSpec& spec) {
  if (!request_ || request_->id != id) return;
  request_.reset();
  if (!ok) {  // conflict: nothing more until a newer version was read
    least_version_ = version_ + 1;
    must_read_ = true;
    read_next_ = {};
    return;
  }
  must_read_ = false;
  if (version >= version_) {
    state_ = status;
    spec_ = spec;
    version_ = version;
  }
  Decide();
}

void OperatorProcess::OnSlice(const std::string& pod_uid) {
  if (slice_ == pod_uid) return;
  slice_ = pod_uid;
  Decide();
}

// -- what the nodes say
// ---------------------------------------------------------------------------------

void OperatorProcess::TryConnect(const std::string& pod_uid) {
  Peer& peer = peers_[pod_uid];
  peer.tried = Now();
  Pod* pod = world_.PodByUid(pod_uid);
  NodeProcess* node = pod->process;
  if (node == nullptr) return;
  const MonoTime begun = Now();
  if (world_.Rejecting(*this, *node)) {
    world_.At(2 * kMs, *this, [this, pod_uid, begun] { OnRefused(pod_uid, begun); });
  } else if (node->alive) {
    world_.Send(*this, *node, "connect", [node, this, begun] { node->OnConnect(this, begun); });
  } else if (!world_.Blocked(*this, *node) && !world_.Blocked(*node, *this)) {
    world_.At(2 * kMs, *this, [this, pod_uid, begun] { OnRefused(pod_uid, begun); });
  }
}

failover::LifelineEnd& OperatorProcess::LifelineOf(const std::string& incarnation) {
  for (failover::LifelineEnd& l : lifelines_) {
    if (l.incarnation == incarnation) return l;
  }
  lifelines_.push_back({incarnation, {}, {}});
  return lifelines_.back();
}

void OperatorProcess::NoteHeard(Peer& peer, const control::NodeState& state, uint64_t order) {
  if (state.nonce != 0) peer.answer = failover::Heard{state, Now()};
  if (order < peer.order) return;  // within one connection nothing overtakes
  peer.order = order;
  peer.heard = failover::Heard{state, Now()};
}

void OperatorProcess::OnHello(NodeProcess* from, const control::NodeState& state, uint64_t order,
                              MonoTime begun) {
  Peer& peer = peers_[from->pod_uid];
  if (begun < peer.channel.begun_at) return;
  if (peer.incarnation != from->incarnation) {
    peer.incarnation = from->incarnation;
    peer.order = 0;
    peer.answer.reset();
  }
  peer.channel = {true, begun, Now(), {}};
  NoteHeard(peer, state, order);
  Decide();
}

void OperatorProcess::OnWords(NodeProcess* from, const control::NodeState& state, uint64_t order,
                              uint64_t heartbeat) {
  Peer& peer = peers_[from->pod_uid];
  if (peer.incarnation != from->incarnation || !peer.channel.up) return;
  NoteHeard(peer, state, order);
  if (heartbeat != 0 && Valid() && grants_.allowed && grants_.to == from->incarnation &&
      state.role == control::Role::kPrimary && state.role_epoch == grants_.epoch) {
    last_grant_ = Now();
    world_.Send(*this, *from, "grant",
                [from, g = control::Grant{heartbeat, grants_.epoch}] { from->OnOperatorGrant(g); });
  }
  Decide();
}

void OperatorProcess::OnLifelineEnd(NodeProcess* of) {
  LifelineOf(of->incarnation).ended_by_fin_at = Now();
  Peer& peer = peers_[of->pod_uid];
  if (peer.incarnation == of->incarnation && peer.channel.up) {
    peer.channel.up = false;
    peer.channel.down_since = Now();
  }
  TryConnect(of->pod_uid);
  Decide();
}

void OperatorProcess::OnRefused(const std::string& pod_uid, MonoTime begun) {
  // A proof names the incarnation that was known when the attempt began.
  const Peer& peer = peers_[pod_uid];
  if (!peer.incarnation.empty()) LifelineOf(peer.incarnation).refused_begun_at = begun;
  if (state_) {
    for (const control::NodeRef& n : failover::NamedNodes(*state_)) {
      if (n.pod_uid == pod_uid) LifelineOf(n.incarnation).refused_begun_at = begun;
    }
  }
  Decide();
}

// -- decisions
// ------------------------------------------------------------------------------------------

failover::View OperatorProcess::BuildView() const {
  failover::View view;
  view.spec.group_uid = "group";
  view.spec.synchronous_replicas = spec_.synchronous_replicas;
  view.spec.lease_ms = spec_.lease_ms;
  view.spec.automatic_failover = spec_.automatic_failover;
  view.spec.detection_ms = 1500;
  view.spec.max_per_hour = 1000;
  view.spec.first_primary = spec_.names.empty() ? "" : spec_.names[0];
  view.spec.primary_cluster_id = "n0";
  if (spec_.switch_number > 0) {
    view.spec.moves.push_back({failover::MoveRequest::Source::kAnnotation,
                               spec_.switch_to + "@" + std::to_string(spec_.switch_number),
                               spec_.switch_to, "asked for by annotation"});
  }
  const Story* story = world_.options().story;
  view.me.leads = leads_;
  view.me.acquired_at = acquired_;
  if (world_.options().rules.wait_for_predecessors) view.me.predecessors_until = predecessors_until_;
  view.me.valid_until = renewed_ + Milliseconds(story ? story->lease_ms[1] : 4000);
  view.me.term = term_;
  view.me.last_grant = last_grant_;
  for (const std::string& name : spec_.names) view.members.push_back({.name = name});
  const bool sees_api = !world_.Blocked(*this, world_.api());
  for (const Pod& pod : world_.pods()) {
    failover::PodView p;
    p.member = pod.member;
    p.pod_uid = pod.uid;
    p.exists = pod.exists;
    p.address = "10.0.0.1";
    p.ever_started = pod.process != nullptr;
    auto peer = peers_.find(pod.uid);
    if (peer != peers_.end()) {
      p.channel = peer->second.channel;
      p.heard = peer->second.heard;
      p.answer = peer->second.answer;
    }
    if (sees_api) {
      p.terminated = pod.terminated;
      p.running = pod.process && std::find(p.terminated.begin(), p.terminated.end(),
                                           pod.process->incarnation) == p.terminated.end();
    } else {
      p.running = true;
    }
    view.pods.push_back(std::move(p));
  }
  view.lifelines = lifelines_;
  view.endpoint_pod_uid = slice_;
  view.memory = memory_;
  return view;
}

void OperatorProcess::Decide() {
  if (!state_ || must_read_ || (request_ && request_->put) || version_ < least_version_) return;
  const MonoTime now = Now();
  failover::View view = BuildView();
  if (!Valid()) {
    memory_ = failover::Remember(*state_, view, now, world_.Wall(), world_.options().rules.machine);
    return;
  }
  view.fresh_nonce = world_.NewNumber();
  view.fresh_dataset = "d" + std::to_string(view.fresh_nonce);
  Apply(failover::Decide(*state_, view, now, world_.Wall(), world_.options().rules.machine));
}

void OperatorProcess::Apply(failover::Decision decision) {
  if (world_.tracing()) {
    for (const failover::Death& d : decision.memory.deaths) {
      const bool known =
          std::any_of(memory_.deaths.begin(), memory_.deaths.end(),
                      [&](const failover::Death& k) { return k.incarnation == d.incarnation; });
      if (!known) world_.Trace(location + ": " + d.incarnation + " proven dead: " + d.why);
    }
    for (const failover::Event& e : decision.events)
      world_.Trace(location + " event " + e.reason + ": " + e.message);
  }
  memory_ = std::move(decision.memory);
  grants_ = decision.grants;
  WakeAt(decision.wake_at);
  for (const std::string& uid : decision.reconnect) {
    if (Now() - peers_[uid].tried > Milliseconds(20)) TryConnect(uid);
  }
  if (decision.persist) {
    CHECK(decision.orders.empty() && !decision.endpoint && decision.force_delete.empty());
    CHECK(*decision.persist != *state_);
    Put(*decision.persist);
    return;
  }
  bool demotes = false;
  for (failover::OutgoingOrder& out : decision.orders) {
    demotes = demotes || out.order.kind == control::OrderKind::kDemote;
    Pod* pod = world_.PodByUid(out.pod_uid);
    NodeProcess* node = world_.Process(peers_[out.pod_uid].incarnation);
    CHECK(pod != nullptr && node != nullptr);
    out.order.id = world_.NewNumber();
    const char* kind = "role";
    switch (out.order.kind) {
      case control::OrderKind::kRole:
        kind = out.order.role == control::Role::kPrimary ? "promote" : "role";
        break;
      case control::OrderKind::kFence:
      case control::OrderKind::kDemote:
        kind = "fence";
        break;
      case control::OrderKind::kOffset:
        kind = "query";
        break;
      case control::OrderKind::kPause:
        kind = "pause";
        break;
      case control::OrderKind::kResume:
        kind = "resume";
        break;
      case control::OrderKind::kPoll:
        kind = "poll";
        break;
    }
    world_.Send(*this, *node, kind,
                [node, this, order = out.order] { node->OnOrder(this, order); });
  }
  if (decision.endpoint && decision.endpoint->pod_uid != slice_ &&
      (slice_sent_ != decision.endpoint->pod_uid || Now() - slice_sent_at_ > Milliseconds(500))) {
    slice_sent_ = decision.endpoint->pod_uid;
    slice_sent_at_ = Now();
    ApiServer& api = world_.api();
    world_.Send(*this, api, "putslice",
                [&api, this, uid = slice_sent_] { api.OnPutSlice(*this, uid); });
  }
  // The demotion of a switchover is no write of its own.
  if (demotes && state_->failover && state_->failover->step == failover::Step::kPause) {
    world_.Reached(*this, "switch:demote");
  }
}

void OperatorProcess::WakeAt(MonoTime at) {
  wake_ = at;
  if (at.ns == INT64_MAX) return;
  const int64_t delay_us =
      static_cast<int64_t>(static_cast<double>((at - Now()).ns) / 1000.0 / rate) + 1;
  if (delay_us > 10'000'000) return;
  world_.At(std::max<int64_t>(delay_us, 1), *this, [this, at] {
    if (wake_ == at) Decide();
  });
}

}  // namespace understudy::simulation
